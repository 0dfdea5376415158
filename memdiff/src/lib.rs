//! `memdiff`: compares two moments or logs, and finds what grows, how fast, and how sure that is.
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | command line | [`cli`] | the arguments |
//! | measurements | [`measurement`] | the values of one moment |
//! | selection | [`selection`] | moments of logs → the two that are compared, or each with an earlier one |
//! | align | [`align`] | processes of two moments → pairs of the same role |
//! | delta | [`delta`] | two moments → differences, and growth beyond a threshold |
//! | trend | [`trend`] | one series over time → its kind of trend, slope and confidence |
//! | verdict | [`verdict`] | all moments → a verdict on every series |
//! | table | [`table`] | differences and verdicts → text, markdown, CSV |
//! | flow | [`run`] | arguments → the flow above → exit code |
//!
//! ```
//! use memdiff::cli::Threshold;
//! use memdiff::delta::GrowthThreshold;
//!
//! let threshold = GrowthThreshold::new(&[Threshold::parse("10%").unwrap()], 4 << 20);
//! assert!(threshold.is_exceeded(100 << 20, 111 << 20));
//! assert!(!threshold.is_exceeded(1 << 20, 2 << 20), "below 4 MiB");
//! ```

#![cfg_attr(
    not(test),
    warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)
)]

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

/// Runs the `memdiff` command.
#[must_use]
pub fn main() -> ExitCode {
    match common::cli::parse::<cli::Args>(std::env::args_os()) {
        Ok(args) => common::cli::run("memdiff", || run::run(args)),
        Err(code) => code,
    }
}
