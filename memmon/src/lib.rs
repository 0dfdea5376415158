//! `memmon` watches the memory of processes and all processes below them, or launches a command and watches it.
//!
//! ```
//! use clap::Parser as _;
//!
//! let args = memmon::cli::Args::try_parse_from(["memmon", "-p", "1234", "-i", "1s"])?;
//! assert_eq!((args.pid.as_slice(), args.repeat.interval.as_secs()), (&[1234][..], 1));
//! # Ok::<(), clap::Error>(())
//! ```
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | arguments | [`cli`], [`shell_quote`] | what the user types; command lines and signal names as text |
//! | source | [`source`] | what the kernel or sysinfo says |
//! | forest | [`process_forest`] | descendants and identity |
//! | limits | [`limits`] | warnings and limits: the events that samples cause |
//! | triggers | [`triggers`] | conditions: when to run a command |
//! | sample | [`sample`], [`roots`] | one tick → records; the processes that the user named |
//! | edge | [`emit`], [`watch`] | records for people, tables, files, and one screen, redrawn |
//! | flow | [`run`] | arguments → the flow above, in order → exit code |

#![cfg_attr(
    not(test),
    warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)
)]

pub mod cli;
pub mod emit;
pub mod limits;
pub mod process_forest;
pub mod roots;
pub mod run;
pub mod sample;
pub mod shell_quote;
pub mod source;
pub mod triggers;
pub mod watch;

use std::process::ExitCode;

/// The `memmon` command.
pub fn main() -> ExitCode {
    match common::cli::parse::<cli::Args>(std::env::args_os()) {
        Ok(args) => common::cli::run(cli::TOOL, || run::run(args)),
        Err(code) => code,
    }
}
