//! What cannot be tested on this machine is said aloud, never passed over in silence.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Ends the test, with a line that says what was left out and why.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)+) => {{
        $crate::support::skip::note(module_path!(), line!(), &format!($($reason)+));
        return;
    }};
}

/// The value of a result; an error ends the test, with a line that has it behind `$before`.
#[macro_export]
macro_rules! or_skip {
    ($result:expr) => {
        $crate::or_skip!($result, "")
    };
    ($result:expr, $before:literal) => {
        match $result {
            Ok(value) => value,
            Err(reason) => $crate::skip!(concat!($before, "{}"), reason),
        }
    };
}

/// Notes that the running test was left out: on stderr, and in a file that `cargo xtask ci` shows at its end.
pub fn note(module: &str, line: u32, reason: &str) {
    let text = entry(std::thread::current().name(), module, line, reason);
    // Past libtest's capture, which takes what the print macros write: it is seen though the test passes.
    let _ = std::io::stderr().write_all(text.as_bytes());
    let file = std::env::var_os(xtask::ci::SKIPPED_FILE)
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("skipped.txt"), PathBuf::from);
    append(&file, &text);
}

/// The line about the test on the thread named `thread`, skipped at `line` of `module`.
pub fn entry(thread: Option<&str>, module: &str, line: u32, reason: &str) -> String {
    // With a thread for each test libtest names it after the test; with a single one it is `main`.
    let test =
        thread.filter(|name| *name != "main").map_or_else(|| format!("{module}:{line}"), str::to_owned);
    format!("SKIPPED: {test}: {reason}\n")
}

/// Adds text to a file in one write, as several tests may do at once.
pub fn append(file: &Path, text: &str) {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .unwrap_or_else(|error| panic!("{}: {error}: a skip could not be noted", file.display()));
}
