//! Output compared letter by letter with goldens, which `cargo xtask goldens` writes.

use super::{diff, sample_logs, written};
use crate::support::workspace;

/// Compares with the file, or writes it.
#[track_caller]
pub fn hold(name: &str, got: &str) {
    let path = workspace::root().join("tests/goldens/memdiff").join(name);
    if std::env::var_os(xtask::goldens::WRITE).is_some_and(|value| value == "write") {
        std::fs::write(&path, got).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == got,
        "{}: `cargo xtask goldens` writes it anew\n── expected\n{expected}\n── got\n{got}\n──",
        path.display()
    );
}

#[test]
fn golden_week_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let (before, after) = sample_logs::week();
    written(&folder, "before.jsonl", &before);
    written(&folder, "after.jsonl", &after);
    for (format, ending) in [("text", "txt"), ("markdown", "md"), ("csv", "csv")] {
        let args = ["before.jsonl", "after.jsonl", "--format", format];
        let run = diff(&args).dir(folder.path()).run().expect_code(1);
        hold(&format!("week.{ending}"), &run.out());
    }
    let run = diff(&["before.jsonl", "after.jsonl", "--all"]).dir(folder.path()).run().expect_code(1);
    hold("week-all.txt", &run.out());
}

#[test]
fn golden_holders_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    written(&folder, "log.jsonl", &sample_logs::sessions("00c0ffee00c0ffee", 120));
    for (format, ending) in [("text", "txt"), ("markdown", "md"), ("csv", "csv")] {
        let run = diff(&["log.jsonl", "--format", format]).dir(folder.path()).run().expect_code(1);
        hold(&format!("sessions.{ending}"), &run.out());
    }
    let run = diff(&["--trend", "log.jsonl", "--all"]).dir(folder.path()).run().expect_code(1);
    hold("sessions-trend.txt", &run.out());
}

#[test]
fn golden_leak_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    written(&folder, "log.jsonl", &sample_logs::leaking("00c0ffee00c0ffee", 300));
    for (format, ending) in [("text", "txt"), ("markdown", "md")] {
        let run = diff(&["--trend", "log.jsonl", "--format", format]).dir(folder.path()).run().expect_code(1);
        hold(&format!("leak.{ending}"), &run.out());
    }
    let run = diff(&["--trend", "log.jsonl", "--all"]).dir(folder.path()).run().expect_code(1);
    hold("leak-all.txt", &run.out());
    let run = diff(&["log.jsonl", "--every", "150"]).dir(folder.path()).run().expect_code(1);
    hold("leak-every.txt", &run.out());
}
