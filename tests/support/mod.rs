//! What tests need to run tools and targets: programs with a time limit, processes that never outlive a test, waiting
//! without sleeping blindly, interpreters, and a plain word where something cannot be tested here.

mod background;
pub mod browser;
pub mod control_group;
pub mod damage;
pub mod debian;
pub mod interpreters;
pub mod log;
pub mod process;
pub mod prometheus;
pub mod pty;
pub mod python;
pub mod samples;
pub mod series;
pub mod skip;
pub mod tested;
mod tool;
pub mod workspace;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

pub use background::{Background, wait_gone};
pub use tool::{Run, Tool};

/// Long enough for anything a test waits for on a slow, busy machine. A test that fails takes this long, none that passes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the tests that can be long are to be: `MEMTOOLS_LONG=1`.
pub fn is_long() -> bool {
    std::env::var_os("MEMTOOLS_LONG").is_some_and(|value| value != "0")
}

/// The path of one of the four commands, as built for this test.
pub fn bin(name: &str) -> PathBuf {
    match name {
        "memmon" => env!("CARGO_BIN_EXE_memmon"),
        "memobj" => env!("CARGO_BIN_EXE_memobj"),
        "memplot" => env!("CARGO_BIN_EXE_memplot"),
        "memdiff" => env!("CARGO_BIN_EXE_memdiff"),
        _ => panic!("no command is named {name}"),
    }
    .into()
}

/// The path of a program of this machine.
///
/// # Panics
/// If it is not on the search path.
#[track_caller]
pub fn which(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("no {program} on the search path"))
}

/// Waits until `condition` holds.
///
/// # Panics
/// If it does not hold within `limit`: the message says what was waited for.
#[track_caller]
pub fn wait_until(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(limit, what, || condition().then_some(()));
}

/// Waits until `attempt` has something.
///
/// # Panics
/// If it has nothing within `limit`: the message says what was waited for.
#[track_caller]
pub fn wait_for<T>(limit: Duration, what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        // Looked at before the clock: a condition that holds counts, however late we come.
        if let Some(found) = attempt() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} in vain for: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The JSON objects of JSONL text, a line each.
///
/// # Panics
/// On a line that is no JSON object.
#[track_caller]
pub fn json_lines(text: &[u8]) -> Vec<Value> {
    let lines = text.split_inclusive(|&byte| byte == b'\n').enumerate();
    lines
        .map(|(index, line)| {
            let shown = String::from_utf8_lossy(line);
            let value: Value = serde_json::from_slice(line)
                .unwrap_or_else(|error| panic!("line {} is no JSON: {error}: {shown:?}", index + 1));
            assert!(value.is_object(), "line {} is no object: {shown:?}", index + 1);
            value
        })
        .collect()
}
