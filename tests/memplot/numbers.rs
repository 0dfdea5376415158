//! Compares the values in the SVG with those of the log, both read independently in Python.

use super::{folder, logs, memplot};
use crate::support::python::python;
use crate::support::{Tool, workspace};

/// Draws a log and lets Python compare.
#[track_caller]
fn compare(log: &str, what: &str, args: &[&str]) {
    let Some(python) = python() else { crate::skip!("no Python to read the log independently") };
    let folder = folder(log);
    let run = memplot(args).arg("log.jsonl").dir(folder.path()).run().expect_code(0);
    std::fs::write(folder.path().join("plot.svg"), &run.stdout).unwrap();
    let reader = workspace::root().join("tests/memplot/oracle.py");
    let check = Tool::new(&python.path)
        .arg("-B")
        .arg(reader)
        .args([what, "log.jsonl", "plot.svg"])
        .dir(folder.path());
    let check = check.run();
    assert_eq!(check.code(), Some(0), "{what} {args:?}: {check}");
    assert!(check.out().contains("series agree"), "{check}");
}

#[test]
fn object_series_match_the_log() {
    let log = logs::objects();
    compare(&log, "types", &[]);
    compare(&log, "types", &["--what", "types", "--log-scale"]);
    compare(&log, "counts", &["--what", "counts"]);
    compare(&log, "modules", &["--what", "modules"]);
    compare(&log, "holders", &["--what", "holders"]);
    compare(&log, "caches", &["--what", "caches"]);
    compare(&log, "types-delta", &["--delta"]);
    compare(&log, "types", &["--size", "700x500", "--top", "3"]);
}

#[test]
fn process_series_match_the_log() {
    let log = logs::hour();
    compare(&log, "processes", &["--no-stack"]);
    compare(&log, "stack", &[]);
    compare(&log, "stack", &["--top", "2"]);
    compare(&log, "total", &["--what", "total"]);
    compare(&log, "threads", &["--what", "threads"]);
    compare(&log, "processes-pss", &["--no-stack", "--metric", "pss"]);
}

#[test]
fn downsampling_keeps_extremes() {
    let mut log = String::new();
    for n in 0..20_000_u64 {
        let spike = if n.is_multiple_of(3571) { 50 << 20 } else { 0 };
        let processes = [(1, "bot", (30 << 20) + (n * 7919 % 1000) * 1024 + spike), (2, "other", 9 << 20)];
        log += &logs::tree(n + 1, logs::START + i64::try_from(n).unwrap() * 1000, &processes);
    }
    compare(&log, "processes", &["--no-stack"]);
    compare(&log, "stack", &[]);
}
