//! The memdiff command: comparisons, verdicts and exit codes.

mod cli_io;
mod counts;
mod edge_cases;
mod golden;
mod sample_logs;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::log::memmon;
use crate::support::python::{Target, python};
use crate::support::{PATIENCE, Run, Tool, wait_until, workspace};

/// memdiff with these arguments, in UTC.
pub fn diff(args: &[&str]) -> Tool {
    Tool::ours("memdiff").args(args).env("TZ", "UTC")
}

/// Writes a file with this text.
pub fn written(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// The only `diff` record that memdiff prints of these logs.
#[track_caller]
fn record(paths: &[&Path], code: i32) -> Value {
    let paths: Vec<&str> = paths.iter().map(|path| path.to_str().unwrap()).collect();
    let run = diff(&paths).args(["--format", "jsonl"]).run().expect_code(code);
    let mut records = run.records();
    assert_eq!(records.len(), 1, "{run}");
    records.remove(0)
}

/// The names of a list with their sizes before and after.
fn sizes(rows: &Value, name: &str, size: &str) -> BTreeMap<String, [Option<u64>; 2]> {
    let row = |row: &Value| {
        let sides = ["before", "after"].map(|side| row[format!("{size}_{side}_bytes")].as_u64());
        (row[name].as_str().unwrap().to_owned(), sides)
    };
    rows.as_array().unwrap().iter().map(row).filter(|(_, sides)| *sides != [None; 2]).collect()
}

/// The numbers that an independent reader finds in the same logs.
fn oracle(paths: &[&Path]) -> Option<Value> {
    let script = workspace::root().join("tests/memdiff/oracle.py");
    let run = Tool::new(&python()?.path).arg("-B").arg(script).args(paths).run().expect_code(0);
    Some(serde_json::from_slice(&run.stdout).unwrap())
}

#[track_caller]
fn assert_same(paths: &[&Path], code: i32) {
    let Some(expected) = oracle(paths) else { crate::skip!("no Python on this machine") };
    let got = record(paths, code);
    let expected = |part: &str| -> BTreeMap<String, [Option<u64>; 2]> {
        serde_json::from_value(expected[part].clone()).unwrap()
    };
    assert_eq!(sizes(&got["processes"], "role", "rss"), expected("rss"));
    for part in ["types", "holders", "caches"] {
        assert_eq!(sizes(&got[part], "name", "size"), expected(part), "{part}");
    }
}

/// The log of memmon watching a target until `until` holds, at ten samples a second.
#[track_caller]
fn recorded(folder: &TempDir, name: &str, target: &Target, until: impl Fn(&str) -> bool) -> PathBuf {
    let path = folder.path().join(name);
    let watch = memmon(target.pid(), &["-i", "100ms", "-o", path.to_str().unwrap()]).start();
    let log = || std::fs::read_to_string(&path).unwrap_or_default();
    wait_until(PATIENCE, "samples", || until(&log()));
    watch.signal(Signal::INT);
    watch.finish(PATIENCE).expect_code(0);
    path
}

fn samples(log: &str) -> usize {
    log.matches("{\"type\":\"process\",").count()
}

#[test]
fn growth_of_a_program_exits_1() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let folder = tempfile::tempdir().unwrap();
    let mut target = Target::start(python, "grow.py", &["40", "40"]);
    let log = recorded(&folder, "log.jsonl", &target, |log| samples(log) >= 25);
    target.process.wait_line("grown");
    assert_same(&[&log], 1);
    let got = record(&[&log], 1);
    let process = &got["processes"][0];
    assert_eq!((&process["role"], &process["pid_before"]), (&Value::from("root"), &process["pid_after"]));
    let grew = process["rss_after_bytes"].as_u64().unwrap() - process["rss_before_bytes"].as_u64().unwrap();
    assert!(grew > 10 << 20 && got["grew"] == true, "{got}");
    diff(&[log.to_str().unwrap(), "--threshold", "1G"]).run().expect_code(0);
}

#[test]
fn two_runs_are_matched_by_role() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, mib: &str| {
        let target = Target::start(python, "tree.py", &["3", "1", mib]);
        (recorded(&folder, name, &target, |log| samples(log) >= 3), target)
    };
    let (before, first) = run("before.jsonl", "1");
    let (after, second) = run("after.jsonl", "9");
    let got = record(&[&before, &after], 1);
    let processes = got["processes"].as_array().unwrap();
    assert_eq!(processes.len(), 4);
    assert!(processes.iter().all(|p| p["presence"] == "both" && p["pid_before"] != p["pid_after"]), "{got}");
    let root = processes.iter().find(|p| p["role"] == "root").unwrap();
    assert_eq!((&root["pid_before"], &root["pid_after"]), (&first.pid().into(), &second.pid().into()));
    let text = diff(&[before.to_str().unwrap(), after.to_str().unwrap()]).run().out();
    let pids = format!("{} → {}", first.pid(), second.pid());
    assert!(text.contains(&pids) && text.contains("two different runs"), "{text}");
}

#[test]
fn independent_reading_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let (before, after) = sample_logs::week();
    let (before, after) = (written(&folder, "before", &before), written(&folder, "after", &after));
    assert_same(&[&before, &after], 1);
    let leak = written(&folder, "leak", &sample_logs::leaking("00c0ffee00c0ffee", 50));
    assert_same(&[&leak], 1);
    assert_same(&[&written(&folder, "sessions", &sample_logs::sessions("00c0ffee00c0ffee", 20))], 1);
    let run = "00c0ffee00c0ffee";
    let held = |n: u64, cut| {
        let caches = [("lru of a.f", n, (n == 1).then_some(100)), ("lru of a.g", n, Some(n << 20))];
        let caches = if n == 1 { &caches[..] } else { &caches[..1] };
        let other = if n == 1 { "a._c" } else { "a._d" };
        sample_logs::holding(run, (n, 10), &[("a._b", n, n << 20), (other, 1, 9)], caches, cut)
    };
    for cut in [true, false] {
        let (first, last) = (held(1, cut), held(2, cut));
        let unlooked = sample_logs::census(run, 2, 10, &[("dict", 100, 9 << 20)], false);
        assert_same(&[&written(&folder, "held", &(first.clone() + &last))], 0);
        assert_same(&[&written(&folder, "unlooked", &(first + &unlooked))], 1);
    }
    let types = |n: u64| [("dict", n, n << 20), ("list", 7, 70)];
    let older: String =
        (1..9).map(|n| sample_logs::legacy(n, 10 * i64::try_from(n).unwrap(), &types(n))).collect();
    assert_same(&[&written(&folder, "older", &older)], 1);
}

#[test]
fn exchanged_logs_mirror_result() {
    let folder = tempfile::tempdir().unwrap();
    let (before, after) = sample_logs::week();
    let (before, after) = (written(&folder, "before", &before), written(&folder, "after", &after));
    let (there, back) = (record(&[&before, &after], 1), record(&[&after, &before], 0));
    for (rows, name, size) in
        [("processes", "role", "rss"), ("types", "name", "size"), ("modules", "name", "size")]
    {
        let mirrored: BTreeMap<_, _> =
            sizes(&back[rows], name, size).into_iter().map(|(name, [b, a])| (name, [a, b])).collect();
        assert_eq!(sizes(&there[rows], name, size), mirrored);
    }
}

#[test]
fn leak_is_found_among_steady() {
    let folder = tempfile::tempdir().unwrap();
    let log = written(&folder, "log", &sample_logs::leaking("00c0ffee00c0ffee", 400));
    let run = diff(&["--trend", log.to_str().unwrap()]).run().expect_code(1);
    let line =
        run.out().lines().find(|line| line.contains("--queue images (pid 102) grows by")).unwrap().to_owned();
    assert!(
        line.contains("360.0 MiB/h") && line.contains("; fills the machine's 16.00 GiB in about 23 h ("),
        "{line}"
    );
    assert!(!run.out().contains("--queue mail"), "{run}");
    let rows = diff(&["--trend", log.to_str().unwrap(), "--format", "csv"]).run().expect_code(1);
    let mut reader = csv::Reader::from_reader(rows.stdout.as_slice());
    let trend = |row: csv::StringRecord| (row[0].to_owned(), row[1].to_owned(), row[4].to_owned());
    let found: Vec<_> = reader.records().map(|row| trend(row.unwrap())).collect();
    let of = |name: &str| {
        found.iter().find(|(kind, row, _)| kind == "rss" && row.contains(name)).unwrap().2.clone()
    };
    assert_eq!([of("images"), of("mail"), of("bot")], ["growing", "steady", "steady"]);
    // Neither a higher threshold nor `never` fails.
    for args in [["--threshold", "1G"], ["--fail-on", "never"]] {
        diff(&["--trend", log.to_str().unwrap()]).args(args).run().expect_code(0);
    }
}

#[test]
fn ten_thousand_series_are_judged() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..11_500).map(|n| format!("pkg.mod{n:05}.Type")).collect();
    let census = |turn: u32| {
        let size = |n: u64| if n == 11_499 { 9_000_000 + u64::from(turn) * 500_000 } else { 1000 + n };
        let types: Vec<sample_logs::Type<'_>> =
            names.iter().zip(0_u64..).map(|(name, n)| (&**name, 1, size(n))).collect();
        sample_logs::census("00c0ffee00c0ffee", u64::from(turn) + 1, i64::from(turn) * 10, &types, false)
    };
    let log = written(&folder, "log", &(0..16).map(census).collect::<String>());
    let run = diff(&["--trend", log.to_str().unwrap()]).limit(Duration::from_secs(300)).run().expect_code(1);
    assert!(run.out().contains("pkg.mod11499.Type in root (pid 1) grows by"), "{run}");
    assert!(run.out().contains(" small series were dropped, as there were too many"), "{run}");
}

/// The only line on stderr.
#[track_caller]
pub fn error_line(run: &Run) -> String {
    assert!(run.err().starts_with("memdiff: ") && run.err().lines().count() == 1, "{run}");
    run.err()
}
