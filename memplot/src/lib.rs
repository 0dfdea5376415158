//! `memplot`: a log as a picture.
//!
//! Its own issue builds it; until then the command says so and exits 2.

use std::process::ExitCode;

use common::cli::{self, Failure};

/// The `memplot` command.
#[must_use]
pub fn main() -> ExitCode {
    cli::run("memplot", || Err(Failure::not_built_yet()))
}
