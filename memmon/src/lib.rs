//! `memmon`: watches the memory of a process and all its children from outside, or starts a command and watches it.
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | words | [`cli`], [`words`] | what the user types, and names that several views show |
//! | source | [`source`] | what the kernel or sysinfo says |
//! | tree | [`tree`] | descendants, identity |
//! | sample | [`sample`], [`limit`], [`roots`] | one tick → records; which are worth a warning; what the user named |
//! | edge | [`emit`], [`watch`] | records for people, tables, files, and one screen, redrawn |
//! | flow | [`run`] | arguments → the flow above, in order → exit code |

pub mod cli;
pub mod emit;
pub mod limit;
pub mod roots;
pub mod run;
pub mod sample;
pub mod source;
pub mod tree;
pub mod watch;
pub mod words;

use std::process::ExitCode;

/// The `memmon` command.
#[must_use]
pub fn main() -> ExitCode {
    match common::cli::parse::<cli::Args>(std::env::args_os()) {
        Ok(args) => common::cli::run("memmon", || run::run(args)),
        Err(code) => code,
    }
}
