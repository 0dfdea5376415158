//! memobj counts the open file descriptors of a program as the program and the kernel do, and names who holds them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::support::interpreters::{Interpreter, interpreters, loads, script};
use crate::support::{Background, Run, Tool, workspace};

/// A search that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(600);

fn start(interpreter: &Interpreter, mode: Option<&str>) -> Background {
    let file = workspace::root().join("tests/targets/descriptors.py");
    let mut target = script(interpreter, &file).args(mode).start();
    target.wait_line("ready ");
    target
}

fn memobj(target: &Background, args: &[&str]) -> Tool {
    Tool::ours("memobj").arg("-p").arg(target.pid().to_string()).args(args).limit(LIMIT)
}

/// The numbers of descriptors by holder and type.
fn by_holder(census: &Value) -> BTreeMap<String, u64> {
    let rows = census["fd_holders"].as_array().unwrap_or_else(|| panic!("no holders: {census}"));
    let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
    rows.iter()
        .map(|row| (format!("{} {}", text(row, "holder"), text(row, "type")), row["count"].as_u64().unwrap()))
        .collect()
}

/// What differs from what the program itself says.
fn compare(interpreter: &Interpreter) -> Vec<String> {
    let target = start(interpreter, None);
    let out = target.out();
    let truth = out.lines().find(|line| line.starts_with('{')).unwrap();
    let truth: Value = serde_json::from_str(truth).unwrap();
    let run = memobj(&target, &["--holders", "--format", "jsonl"]).run().expect_code(0);
    let census = run.records().pop().unwrap();
    let owned: BTreeMap<String, u64> = serde_json::from_value(truth["owned"].clone()).unwrap();
    let mut differences = Vec::new();
    if census["fds"] != truth["fds"] {
        differences.push(format!("{interpreter}: {} descriptors instead of {}", census["fds"], truth["fds"]));
    }
    if by_holder(&census) != owned {
        differences.push(format!("{interpreter}: {:?} instead of {owned:?}", by_holder(&census)));
    }
    differences
}

#[test]
fn holders_of_descriptors_are_counted() {
    if interpreters().is_empty() {
        crate::skip!("no Python that memobj knows on this machine");
    }
    let differences: Vec<String> = interpreters().iter().flat_map(compare).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn files_have_no_descriptors() {
    let Some(interpreter) = interpreters().last() else { crate::skip!("no Python on this machine") };
    let target = start(interpreter, None);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("snapshot");
    let saved = memobj(&target, &["--format", "jsonl", "--save-snapshot"]).arg(&file).run().expect_code(0);
    assert_eq!(saved.records().pop().unwrap().get("fds"), None, "holders were not counted: {saved}");
    let run =
        Tool::ours("memobj").arg("--snapshot").arg(&file).args(["--holders", "--format", "jsonl"]).run();
    let census = run.expect_code(0).records().pop().unwrap();
    assert!(census["holders"].is_array());
    assert_eq!((census.get("fds"), census.get("fd_holders")), (None, None));
}

/// The verdict on a target that opens more and more.
fn search(target: &Background) -> Run {
    let args = ["--leaks", "--count", "6", "-i", "0.5", "--max-pause", "1m", "--nice", "0"];
    memobj(target, &args).run()
}

/// The newest interpreter with sockets.
fn with_sockets() -> Option<&'static Interpreter> {
    interpreters().iter().rev().find(|interpreter| !interpreter.debug && loads(interpreter, "socket"))
}

#[test]
fn leaked_sockets_name_holder_and_line() {
    let Some(interpreter) = with_sockets() else { crate::skip!("no Python with sockets on this machine") };
    let target = start(interpreter, Some("sockets"));
    let run = search(&target).expect_code(1);
    let record = run.records().into_iter().find(|record| record["type"] == "leaks").unwrap();
    let leak = &record["leaks"][0];
    assert_eq!(leak["holder"], "__main__.sessions", "{run}");
    let (now, added) = (leak["fds"].as_u64().unwrap(), leak["added_fds"].as_u64().unwrap());
    let all = &record["fds"];
    let grown = all["last_count"].as_u64().unwrap() - all["first_count"].as_u64().unwrap();
    // Some are opened between the copy and the list of the kernel.
    assert!(now > added && added.abs_diff(grown) <= 5 && added >= 10, "{added} of {grown}: {run}");
    assert_eq!(
        all["last_object_count"].as_u64().unwrap() - all["first_object_count"].as_u64().unwrap(),
        added
    );
    let source = workspace::read("tests/targets/descriptors.py");
    let line = 1 + source.lines().position(|line| line.contains("sessions.append")).unwrap();
    let text = memobj(&target, &["--leaks", "--count", "4", "-i", "0.5", "--format", "text"]).run();
    let text = text.expect_code(1);
    assert!(text.out().contains(&format!("descriptors.py:{line}")), "{text}");
    assert!(text.out().contains("open file descriptors; "), "{text}");
}

#[test]
fn numbers_without_objects_are_counted() {
    let Some(interpreter) = interpreters().last() else { crate::skip!("no Python on this machine") };
    let target = start(interpreter, Some("numbers"));
    let text = memobj(&target, &["--leaks", "--count", "4", "-i", "0.5", "--format", "text"]).run();
    assert!(text.out().contains("file descriptors  grew from"), "{text}");
    assert!(text.out().contains("no Python object owns"), "{text}");
}
