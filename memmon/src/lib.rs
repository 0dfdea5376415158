//! `memmon`: watches the memory of a process and all its children from outside, or starts a command and watches it.
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | words | [`cli`], [`words`] | what the user types; names of things |
//! | edge | [`watch`] | one screen, redrawn |

pub mod cli;
#[cfg(unix)]
pub mod watch;
pub mod words;

use std::process::ExitCode;

/// The `memmon` command.
#[must_use]
pub fn main() -> ExitCode {
    match common::cli::parse::<cli::Args>(std::env::args_os()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(code) => code,
    }
}
