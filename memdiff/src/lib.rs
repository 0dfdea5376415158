//! `memdiff`: compares two moments or logs, and finds what grows, how fast, and how sure that is.
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | command line | [`cli`] | the arguments |
//! | measurements | `measurement` | the values of one moment |
//! | selection | `selection` | moments of logs → the two that are compared, or each with an earlier one |
//! | align | `align` | processes of two moments → pairs of the same role |
//! | delta | `delta` | two moments → differences, and growth beyond a threshold |
//! | trend | [`trend`] | one series over time → its kind of trend, slope and confidence |
//! | verdict | `verdict` | all moments → a verdict on every series |
//! | table | `table` | differences and verdicts → text, markdown, CSV |
//! | flow | `run` | arguments → the flow above → exit code |
//!
//! ```
//! use common::record::TrendKind;
//! use memdiff::trend::SampledSeries;
//!
//! let mut rss = SampledSeries::new();
//! (0..100).for_each(|minute| rss.push(f64::from(minute) * 60.0, 50e6));
//! assert_eq!(rss.estimate_trend().kind, TrendKind::Steady);
//! ```

#![cfg_attr(
    not(test),
    warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)
)]

mod align;
pub mod cli;
mod delta;
mod measurement;
mod run;
mod selection;
mod table;
pub mod trend;
mod verdict;

use std::process::ExitCode;

/// Runs the `memdiff` command.
#[must_use]
pub fn main() -> ExitCode {
    match common::cli::parse::<cli::Args>(std::env::args_os()) {
        Ok(args) => common::cli::run("memdiff", || run::run(args)),
        Err(code) => code,
    }
}
