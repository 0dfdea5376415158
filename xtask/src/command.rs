//! Other programs that a chore runs.

use std::ffi::OsString;
use std::io;
use std::process::{Command, Stdio};

/// The cargo that runs this chore.
#[must_use]
pub fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Runs a command to its end.
///
/// # Errors
/// It cannot be started, or fails.
pub fn run(command: &mut Command) -> io::Result<()> {
    let status = command.status().map_err(|error| named(command, &error))?;
    if status.success() { Ok(()) } else { Err(named(command, &status)) }
}

/// Runs a command, and returns what it writes to stdout.
///
/// # Errors
/// It cannot be started, fails, or writes what is no text.
pub fn output(command: &mut Command) -> io::Result<String> {
    let done = command.stderr(Stdio::inherit()).output().map_err(|error| named(command, &error))?;
    if !done.status.success() {
        return Err(named(command, &done.status));
    }
    String::from_utf8(done.stdout).map_err(io::Error::other)
}

fn named(command: &Command, what: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {what}", command.get_program().to_string_lossy()))
}
