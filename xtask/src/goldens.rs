//! Goldens: what people see, kept to the letter in tests/goldens/.

use std::io;
use std::process::Command;

use crate::command::cargo;
use crate::workspace;

/// The environment variable that makes tests write goldens (`write`) instead of comparing with them.
pub const WRITE: &str = "MEMTOOLS_GOLDENS";

/// Runs every test with `golden` in its name so that it writes what it would compare with. Returns whether all passed.
///
/// # Errors
/// If cargo cannot be started.
pub fn write() -> io::Result<bool> {
    let status = Command::new(cargo())
        .args(["test", "golden"])
        .current_dir(workspace::root())
        .env(WRITE, "write")
        .status()?;
    Ok(status.success())
}
