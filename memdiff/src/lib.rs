//! `memdiff`: what grows between two moments or logs, how fast, how sure.
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | words | [`cli`] | what the user types |
//! | sides | [`measurement`] | what is measured at one moment |
//! | choice | [`choose`] | moments of logs → the two sides, or each with the one before |
//! | align | [`align`] | who is who on the two sides: by what they are, not by number |
//! | delta | [`delta`] | two sides → what changed, and what of it is growth |
//! | trend | [`trend`] | one series over time → what it does, how fast, how sure |
//! | verdict | [`verdict`] | all moments → every series, what it does, in words |
//! | table | [`table`] | differences and verdicts for people and other programs |
//! | flow | [`run`] | arguments → the flow above, in order → exit code |

pub mod align;
pub mod cli;
pub mod delta;
pub mod measurement;
pub mod run;
pub mod selection;
pub mod table;
pub mod trend;
pub mod verdict;

use std::process::ExitCode;

/// The `memdiff` command.
#[must_use]
pub fn main() -> ExitCode {
    match common::cli::parse::<cli::Args>(std::env::args_os()) {
        Ok(args) => common::cli::run("memdiff", || run::run(args)),
        Err(code) => code,
    }
}
