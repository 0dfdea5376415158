//! `memobj`: a census of every Python object in a running CPython process, from outside.
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | words | [`addr`], [`error`], [`request`] | addresses are a type of their own; errors are typed by stage, each with what to do; what is wanted |
//! | memory | [`memory`] | reading foreign memory, wherever it is |
//! | census | [`census`] | what was counted, in numbers |
//! | edge | [`cli`], [`emit`] | what the user types; censuses as records and as tables for people |
//! | flow | [`run`] | arguments → censuses, in order → exit code |

pub mod addr;
pub mod census;
pub mod cli;
pub mod emit;
pub mod error;
pub mod memory;
pub mod request;
pub mod run;

use std::process::ExitCode;

use common::cli::Failure;

/// The `memobj` command.
#[must_use]
pub fn main() -> ExitCode {
    common::cli::run("memobj", || Err(Failure::not_built_yet()))
}
