//! memobj finds processes by the name of their program or script.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::python::{Python, python};
use crate::support::{Background, PATIENCE, Tool, wait_until};

/// A script that starts as many copies of itself as it has arguments.
const SCRIPT: &str = "\
import subprocess, sys
if len(sys.argv) > 1:
    below = subprocess.Popen([sys.executable, sys.argv[0], *sys.argv[2:]], stdout=subprocess.PIPE)
    below.stdout.readline()
print('ready', flush=True)
sys.stdin.read()
";

/// A script under a name that only this test uses.
fn script(folder: &Path, word: &str) -> PathBuf {
    let path = folder.join(format!("{word}-{}.py", std::process::id()));
    fs::write(&path, SCRIPT).unwrap();
    path
}

fn start(python: &Python, script: &Path, below: &[&str]) -> Background {
    let mut target = Tool::new(&python.path).arg(script).args(below).start();
    target.wait_line("ready");
    target
}

fn name(script: &Path) -> &str {
    script.file_name().unwrap().to_str().unwrap()
}

#[test]
fn script_name_selects_its_process() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let folder = tempfile::tempdir().unwrap();
    let script = script(folder.path(), "single");
    let target = start(python, &script, &[]);
    let run = Tool::ours("memobj").args(["-n", name(&script)]).run().expect_code(0);
    assert_eq!(run.records()[0]["pid"], target.pid(), "{run}");
    let leaks = ["--leaks", "--for", "400ms", "--count", "3", "-n", name(&script)];
    let run = Tool::ours("memobj").args(leaks).run().expect_code(0);
    assert_eq!((&run.records()[0]["pid"], &run.records()[0]["censuses"]), (&target.pid().into(), &3.into()));
}

#[test]
fn several_matches_are_listed_or_all_counted() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let folder = tempfile::tempdir().unwrap();
    let script = script(folder.path(), "several");
    let targets = [start(python, &script, &[]), start(python, &script, &[])];
    for more in [&[][..], &["--leaks"]] {
        let run = Tool::ours("memobj").args(["-n", name(&script)]).args(more).run().expect_code(2);
        assert!(run.out().is_empty(), "{run}");
        for target in &targets {
            assert!(run.err().contains(&format!("-p {} ", target.pid())), "{run}");
        }
        assert_eq!(run.err().matches(script.to_str().unwrap()).count(), 2, "the commands: {run}");
        assert!(run.err().contains("--tree"), "{run}");
    }
    let hidden = Tool::ours("memobj").args(["-n", name(&script), "--no-cmdline"]).run().expect_code(2);
    assert!(!hidden.err().contains(script.to_str().unwrap()), "{hidden}");
    let run = Tool::ours("memobj").args(["--tree", "-n", name(&script)]).run().expect_code(0);
    let mut counted: Vec<u64> = run.records().iter().filter_map(|record| record["pid"].as_u64()).collect();
    counted.sort_unstable();
    let mut expected = targets.each_ref().map(|target| u64::from(target.pid()));
    expected.sort_unstable();
    assert_eq!(counted, expected);
}

#[test]
fn process_below_a_match_is_no_second_match() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let folder = tempfile::tempdir().unwrap();
    let script = script(folder.path(), "family");
    let target = start(python, &script, &["1"]);
    wait_until(PATIENCE, "a child", || !crate::support::process::descendants(target.pid()).is_empty());
    let run = Tool::ours("memobj").args(["-n", name(&script)]).run().expect_code(2);
    assert!(run.err().contains("2 processes are named"), "{run}");
    let leaks = ["--leaks", "--for", "400ms", "--count", "3", "-n", name(&script)];
    let run = Tool::ours("memobj").args(leaks).run();
    let processes: Vec<_> = run.records().iter().filter_map(|record| record["pid"].as_u64()).collect();
    assert_eq!(processes.first(), Some(&target.pid().into()), "{run}");
    // On a busy machine the child may not have been searched in this short time, which is 2.
    assert!(matches!(run.code(), Some(0 | 2)), "{run}");
}

#[test]
fn unknown_name_is_an_error() {
    let run = Tool::ours("memobj").args(["-n", "no-program-has-this-name"]).run().expect_code(2);
    assert!(run.err().contains("no process is named 'no-program-has-this-name'"), "{run}");
    let run = Tool::ours("memobj").args(["-n", "x", "--core", "y"]).run().expect_code(2);
    assert!(run.err().contains("--name"), "{run}");
}
