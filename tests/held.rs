//! What holds still is the same wherever it lies: a process, its saved snapshot and its core file give one census, and say that the same
//! holds the objects, with one thread or many.

use std::path::{Path, PathBuf};

use serde_json::Value;
use xtask::support::Tested;

use crate::support::interpreters::{Interpreter, interpreters};
use crate::support::{Run, Tool, bin, tested, workspace};

/// The census of a run, without what tells of the taking rather than of the objects.
#[track_caller]
fn census(run: Run) -> Value {
    let run = run.expect_code(0);
    let mut records = run.records();
    let mut census = records.pop().unwrap_or_else(|| panic!("no record: {run}"));
    assert!(records.is_empty() && census["type"] == "census", "{run}");
    let fields = census.as_object_mut().unwrap();
    let about_objects = [
        "total_objects",
        "total_size_bytes",
        "types",
        "types_omitted",
        "modules",
        "modules_omitted",
        "gc",
        "holders",
        "holders_omitted",
        "owners",
        "owners_omitted",
        "owner_modules",
        "owner_modules_omitted",
        "unreachable",
        "paths",
    ];
    fields.retain(|name, _| about_objects.contains(&name.as_str()));
    census
}

/// Where the core file of a process is that gcore writes.
pub fn core(pid: u32, folder: &Path) -> Result<PathBuf, String> {
    let start = folder.join("core");
    let run =
        Tool::new("sh").args(["-c", "exec gcore -o \"$0\" \"$1\""]).arg(&start).arg(pid.to_string()).run();
    let file = folder.join(format!("core.{pid}"));
    if run.code() == Some(0) && file.is_file() { Ok(file) } else { Err(run.err().trim().to_owned()) }
}

/// Who holds the objects is asked too.
const HOLDING: &[&str] = &["--retained", "--why", "dict", "--why", "function", "--why", "str"];

/// Compares the censuses of one interpreter; what differs is a line.
fn compare(interpreter: &Interpreter, differences: &mut Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let script = workspace::root().join("tests/targets/idle.py");
    let mut target = crate::support::interpreters::script(interpreter, &script).start();
    let pid: u32 = target.wait_line("ready ").trim().parse().unwrap();
    let saved = folder.path().join("snapshot");
    let stopped = Tool::ours("memobj").arg("-p").arg(pid.to_string()).arg("--save-snapshot").arg(&saved);
    let stopped = census(stopped.args(HOLDING).run());
    let from_snapshot = |tool: Tool| tool.arg("--snapshot").arg(&saved).args(HOLDING).run();
    // On one processor memobj has one thread.
    let alone = Tool::new("sh").args(["-c", "exec taskset --cpu-list 0 \"$@\"", "sh"]).arg(bin("memobj"));
    let alone = from_snapshot(alone);
    let from_snapshot = census(from_snapshot(Tool::ours("memobj")));
    let from_core = core(pid, folder.path())
        .map(|file| census(Tool::ours("memobj").arg("--core").arg(file).args(HOLDING).run()));
    let objects = stopped["total_objects"].as_u64().unwrap();
    assert!(objects > 1000, "{interpreter}: {stopped}");
    let mut same = |what: &str, other: &Value| {
        let same = *other == stopped;
        if !same {
            differences.push(format!("{interpreter}: {what}:\n{other}\ninstead of\n{stopped}"));
        }
        same
    };
    let snapshot = same("snapshot", &from_snapshot);
    if alone.code() == Some(127) {
        crate::support::skip::note(module_path!(), line!(), "no taskset on this machine");
    } else {
        same("one processor", &census(alone));
    }
    let core = match &from_core {
        Ok(census) => Some(same("core", census)),
        Err(reason) => {
            crate::support::skip::note(
                module_path!(),
                line!(),
                &format!("{interpreter}: no core by gcore: {reason}"),
            );
            None
        }
    };
    tested::note("held", &Tested { core, snapshot: Some(snapshot), ..tested::row(interpreter, objects) });
    target.close_stdin();
}

#[test]
fn files_repeat_the_census() {
    if interpreters().is_empty() {
        crate::skip!("no Python that memobj knows on this machine");
    }
    let mut differences = Vec::new();
    for interpreter in interpreters() {
        compare(interpreter, &mut differences);
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
