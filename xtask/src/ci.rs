//! Every check, in one command; `.ci/run` calls it on a clean machine.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::command::cargo;
use crate::workspace;

/// The environment variable that tells tests where to note what they had to leave out.
pub const SKIPPED_FILE: &str = "MEMTOOLS_SKIPPED";

/// The command that runs all tests, as the README names it.
pub const TESTS: &[&str] = &["test"];

/// The checks: a name and cargo's arguments. The cheap ones first.
const CHECKS: &[(&str, &[&str])] = &[
    ("format", &["fmt", "--all", "--check"]),
    ("lints", &["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]),
    ("documentation", &["doc", "--workspace", "--no-deps"]),
    ("one tool alone", &["check", "--no-default-features", "--features", "memobj", "--bin", "memobj"]),
    ("packages", &["xtask", "dist"]),
    ("tests", TESTS),
];

/// How one check went.
struct Outcome {
    name: &'static str,
    passed: bool,
    took: Duration,
}

/// Runs all checks, the later ones too if one fails, and says at the end how each went and what tests left out.
/// Returns whether all passed.
///
/// # Errors
/// If cargo cannot be started or the skip list not be written.
pub fn run() -> io::Result<bool> {
    let skipped = skipped_file();
    if let Some(folder) = skipped.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&skipped, "")?;

    let mut outcomes = Vec::new();
    for &(name, args) in CHECKS {
        writeln!(io::stderr(), "\n── {name}: cargo {}", args.join(" "))?;
        let start = Instant::now();
        let status = Command::new(cargo())
            .args(args)
            .current_dir(workspace::root())
            .env("RUSTDOCFLAGS", "--deny warnings")
            .env(SKIPPED_FILE, &skipped)
            .status()?;
        outcomes.push(Outcome { name, passed: status.success(), took: start.elapsed() });
    }
    let notes = std::fs::read_to_string(&skipped)?;
    io::stderr().write_all(report(&outcomes, &notes).as_bytes())?;
    Ok(outcomes.iter().all(|outcome| outcome.passed))
}

fn skipped_file() -> PathBuf {
    workspace::target().join("skipped.txt")
}

fn report(outcomes: &[Outcome], skipped: &str) -> String {
    let mut text = "\n── summary\n".to_owned();
    for outcome in outcomes {
        let word = if outcome.passed { "passed" } else { "FAILED" };
        text += &format!("{word}  {} ({} s)\n", outcome.name, outcome.took.as_secs());
    }
    let mut lines: Vec<&str> = skipped.lines().filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    lines.dedup();
    if lines.is_empty() {
        text += "No test left anything out.\n";
    }
    for line in lines {
        text += line;
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_failures_and_each_skip_once() {
        let outcome = |name, passed| Outcome { name, passed, took: Duration::from_secs(2) };
        let text = report(
            &[outcome("lints", true), outcome("tests", false)],
            "SKIPPED: b\nSKIPPED: a\nSKIPPED: b\n",
        );
        assert_eq!(text, "\n── summary\npassed  lints (2 s)\nFAILED  tests (2 s)\nSKIPPED: a\nSKIPPED: b\n");
        assert!(report(&[], "").contains("No test left anything out"));
    }
}
