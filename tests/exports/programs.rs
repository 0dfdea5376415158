//! Exports in the programs that they are for: `go tool pprof`, speedscope's schema, the loader of Chrome DevTools, memlab. The scripts
//! of `benches` compare the numbers of these programs with memobj's.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::start;
use crate::support::interpreters::interpreters;
use crate::support::python::{known, with};
use crate::support::{Tool, bin, debian, workspace};

/// Time for programs that are fetched and for files that are opened.
const LIMIT: Duration = Duration::from_secs(300);

/// Go of Debian 12, the last one that has pprof in its package and need not build it.
const GO: &str = "apt bookworm apt-get update; apt bookworm apt-get download golang-1.19-go; dpkg -x *.deb ../all; rm *.deb
mv ../all/usr/lib/go-1.19 ../root/go";

/// The folder whose `node_modules` has these packages of npm; kept with the build as `name`.
fn node_modules(name: &str, packages: &[&str], file: &str) -> Result<PathBuf, String> {
    // Two tests must not fetch the same at once.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if kept.join("node_modules").join(file).exists() {
        return Ok(kept);
    }
    let made = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).map_err(|error| error.to_string())?;
    let npm = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", "."];
    let run = Tool::new("sh").args(["-c", "command -v node >/dev/null && exec \"$@\"", "sh"]).args(npm);
    let run = run.args(packages).dir(made.path()).limit(LIMIT).run();
    if run.code() != Some(0) || !made.path().join("node_modules").join(file).exists() {
        return Err("no Node on this machine, or npm cannot fetch the programs".to_owned());
    }
    let _ = fs::rename(made.path(), &kept);
    Ok(kept)
}

#[test]
fn pprof_and_speedscope_have_the_census() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    let go = crate::or_skip!(debian::unpacked("golang", GO, &["go/bin/go"])).join("go");
    let schema = "speedscope/dist/release/file-format-schema.json";
    let speedscope = crate::or_skip!(node_modules("speedscope", &["speedscope@1.25"], schema));
    let validator = crate::or_skip!(with(&["jsonschema==4.25.1"], "import jsonschema"), "no jsonschema: ");
    let path = format!("{}:{}", go.join("bin").display(), std::env::var("PATH").unwrap_or_default());
    let run = Tool::new(validator)
        .arg(workspace::root().join("benches/profiles.py"))
        .arg("--bin")
        .arg(bin("memobj").parent().unwrap())
        .arg("--python")
        .arg(&python.path)
        .arg("--schema")
        .arg(speedscope.join("node_modules").join(schema))
        .env("PATH", path)
        .env("GOROOT", &go)
        .limit(LIMIT)
        .run()
        .expect_code(0);
    assert!(run.out().ends_with("all numbers are the same\n"), "{run}");
}

#[test]
fn devtools_and_memlab_have_the_census() {
    let Some(python) = interpreters().last() else { crate::skip!("no Python that memobj knows") };
    let packages = ["@memlab/heap-analysis@2", "chrome-devtools-frontend@1", "esbuild"];
    let folder = crate::or_skip!(node_modules("devtools", &packages, "chrome-devtools-frontend"));
    let target = start(python);
    let files = tempfile::tempdir().unwrap();
    let export = |name: &str, args: &[&str]| {
        let file = files.path().join(format!("{name}.heapsnapshot"));
        let record = files.path().join(format!("{name}.jsonl"));
        let pid = target.pid().to_string();
        let run = Tool::ours("memobj").args(["-p", &pid, "--export"]).arg(&file).args(args).run();
        fs::write(&record, run.expect_code(0).stdout).unwrap();
        [file, record]
    };
    let exports = [export("a", &["--retained"]), export("b", &[])].concat();
    let script = workspace::root().join("benches/exports.mjs");
    let run = Tool::new("node").arg(script).args(&exports).arg("__main__.Session").dir(&folder);
    let run = run.limit(LIMIT).run().expect_code(0);
    assert!(run.out().ends_with("all numbers are the same\n"), "{run}");
}
