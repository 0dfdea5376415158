//! The examples do what they say.

mod sql;

use crate::support::python::{python, with};
use crate::support::workspace;
use crate::support::{Tool, bin, json_lines};

/// memobj looks at each of its tests for some seconds.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(120);

fn example(name: &str) -> std::path::PathBuf {
    workspace::root().join("examples").join(name)
}

#[test]
fn leak_of_the_bot_is_named() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let mut bot = Tool::new(&python.path).args(["-B", "-u"]).arg(example("leaky_bot.py")).start();
    bot.wait_line("bot: serving");
    let pid = bot.pid().to_string();
    let run =
        Tool::ours("memobj").args(["--leaks", "--for", "6s", "-i", "1s", "-p", &pid]).run().expect_code(1);
    let records = json_lines(run.out().as_bytes());
    let last = records.last().unwrap();
    let named: Vec<(String, String)> = last["leaks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|leak| (leak["type"].as_str().unwrap().to_owned(), leak["holder"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(named.len(), 1, "{last}");
    assert!(named[0].0.ends_with("Session") && named[0].1.ends_with("sessions"), "{named:?}");
}

/// A log with three samples of this process in `folder`.
fn log(folder: &std::path::Path) {
    let pid = std::process::id().to_string();
    let args = ["-i", "50ms", "--count", "3", "-o", "log.jsonl", "-p", &pid];
    Tool::ours("memmon").args(args).dir(folder).run().expect_code(0);
}

#[test]
fn python_example_reads_a_log() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let folder = tempfile::tempdir().unwrap();
    log(folder.path());
    let run = Tool::new(&python.path).arg(example("read_log.py")).arg("log.jsonl").dir(folder.path()).run();
    let out = run.expect_code(0).out();
    assert!(out.starts_with(&format!("process {}: ", std::process::id())), "{out}");
}

#[test]
fn leaking_test_fails_with_its_line() {
    let python = crate::or_skip!(with(&["pytest==9.2.0"], "import pytest"), "no pytest: ");
    let arguments = ["-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"];
    let run = Tool::new(python)
        .args(arguments)
        .env("MEMOBJ", bin("memobj"))
        .dir(example("pytest"))
        .limit(LIMIT)
        .run();
    let out = run.expect_code(1).out();
    assert!(out.contains("1 failed, 1 passed") && out.contains("Service.history grows"), "{out}");
    let line = std::fs::read_to_string(example("pytest/test_service.py")).unwrap();
    let line = line.lines().position(|line| line.contains("self.history.append")).unwrap() + 1;
    assert!(out.contains(&format!("test_service.py:{line}")), "{out}");
}

/// Leaks sockets in a list, and descriptors that no object has.
const OPENS: &str = "
import os, socket, pytest
kept = []
@pytest.mark.no_leak
def test_sockets(): kept.append(socket.socket())
@pytest.mark.no_leak
def test_numbers(): os.open('/dev/null', os.O_RDONLY)
";

#[test]
fn open_files_fail_a_test() {
    let python = crate::or_skip!(with(&["pytest==9.2.0"], "import pytest"), "no pytest: ");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("test_opens.py"), OPENS).unwrap();
    std::fs::copy(example("pytest/conftest.py"), folder.path().join("conftest.py")).unwrap();
    // A slow search would meet a low limit of open files first.
    let raised = "ulimit -n \"$(ulimit -Hn)\"; exec \"$@\"";
    let pytest = |memobj: &std::path::Path| {
        let tool = Tool::new("sh").args(["-c", raised, "sh"]).arg(&python);
        let tool = tool.args(["-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"]).env("MEMOBJ", memobj);
        tool.dir(folder.path()).limit(LIMIT).run().expect_code(1).out()
    };
    let out = pytest(&bin("memobj"));
    assert!(out.contains("2 failed") && out.contains("leak: open files grow from "), "{out}");
    assert!(out.contains("test_opens.kept grows") && out.contains("more open files"), "{out}");
    assert!(out.contains("added by test_sockets, ") && out.contains("test_opens.py:5"), "{out}");
    let out = pytest("/nowhere/memobj".as_ref());
    assert!(out.contains("no_leak needs /nowhere/memobj: install it"), "{out}");
    assert!(!out.contains("Traceback") && !out.contains("During handling"), "{out}");
}
