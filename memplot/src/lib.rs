//! `memplot`: a log as a picture.
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | model | [`picture`] | what is to be seen, whatever it is drawn with |
//! | colours | [`palette`] | which colour a series has |
//! | backend | [`html`] | a picture as a page |
//!
//! Its own issue builds it; until then the command says so and exits 2.

pub mod html;
pub mod palette;
pub mod picture;

use std::process::ExitCode;

use common::cli::{self, Failure};

/// The `memplot` command.
#[must_use]
pub fn main() -> ExitCode {
    cli::run("memplot", || Err(Failure::not_built_yet()))
}
