//! `memobj`: a census of every Python object in a running CPython process, from outside.
//!
//! Its own issue builds it; until then the command says so and exits 2.

use std::process::ExitCode;

use common::cli::{self, Failure};

/// The `memobj` command.
#[must_use]
pub fn main() -> ExitCode {
    cli::run("memobj", || Err(Failure::not_built_yet()))
}
