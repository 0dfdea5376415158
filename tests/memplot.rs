//! memplot draws the values of the log, whatever it contains.

mod cli_io;
mod edge_cases;
mod golden;
pub mod heap;
mod hostile_names;
pub mod logs;
mod numbers;
mod rendering;

use std::path::Path;

use tempfile::TempDir;

use crate::support::Tool;

/// memplot in UTC, for the same text on every machine.
fn memplot(args: &[&str]) -> Tool {
    Tool::ours("memplot").args(args).env("TZ", "UTC")
}

/// A folder with a log in it.
fn folder(log: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "log.jsonl", log);
    folder
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

/// The SVG of a log.
#[track_caller]
pub fn svg(log: &str, args: &[&str]) -> String {
    let run = memplot(args).stdin(log).run().expect_code(0);
    run.out()
}
