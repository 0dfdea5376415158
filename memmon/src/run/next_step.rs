//! The next command that helps a user who has seen the result of a run.

use std::fs;
use std::path::Path;

use common::session::is_dated;

use crate::cli::Format;

/// The step after a log; `None` for a format that memdiff does not read, and for a name with a date, which may be several files.
pub(super) fn judge(log: &Path, format: Option<Format>) -> Option<String> {
    let is_read = matches!(format, None | Some(Format::Jsonl)) && !is_dated(log);
    is_read.then(|| format!("what grew? memdiff --trend {}", log.display()))
}

/// The step after a look at a process that still runs, if it runs Python.
pub(super) fn search(pid: u32) -> Option<String> {
    let program = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let is_python = program.file_name()?.to_string_lossy().starts_with("python");
    is_python.then(|| format!("growing? memobj --leaks -p {pid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_fit_the_target() {
        assert_eq!(judge(Path::new("a.jsonl"), None).as_deref(), Some("what grew? memdiff --trend a.jsonl"));
        assert_eq!(judge(Path::new("a-%Y.jsonl"), None), None);
        assert_eq!(judge(Path::new("a.csv"), Some(Format::Csv)), None);
        assert_eq!(search(std::process::id()), None, "this test is no Python");
    }
}
