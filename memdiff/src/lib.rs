//! `memdiff`: what grows between two moments or logs, how fast, how sure.
//!
//! Its own issue builds it; until then the command says so and exits 2.
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | trend | [`trend`] | one series over time → what it does, how fast, how sure |

pub mod trend;

use std::process::ExitCode;

use common::cli::{self, Failure};

/// The `memdiff` command.
#[must_use]
pub fn main() -> ExitCode {
    cli::run("memdiff", || Err(Failure::not_built_yet()))
}
