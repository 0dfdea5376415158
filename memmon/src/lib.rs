//! `memmon`: watches the memory of a process and all its children from outside, or starts a command and watches it.
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | words | [`cli`] | what the user types |
//! | edge | [`emit`] | records for people, tables and files |

pub mod cli;
pub mod emit;

use std::process::ExitCode;

/// The `memmon` command.
#[must_use]
pub fn main() -> ExitCode {
    match common::cli::parse::<cli::Args>(std::env::args_os()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(code) => code,
    }
}
