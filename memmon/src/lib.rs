//! `memmon`: watches the memory of a process and all its children from outside, or starts a command and watches it.
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | words | [`cli`] | what the user types |
//! | launch | [`launch`] | a command started, relayed, reaped |

pub mod cli;
#[cfg(unix)]
pub mod launch;

use std::process::ExitCode;

/// The `memmon` command.
#[must_use]
pub fn main() -> ExitCode {
    match common::cli::parse::<cli::Args>(std::env::args_os()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(code) => code,
    }
}
