//! `memobj`: a census of every Python object in a running CPython process, from outside.
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | words | [`addr`], [`error`] | addresses are a type of their own; errors are typed by stage, each with what to do |
//! | memory | [`memory`] | reading foreign memory, wherever it is |
//! | layout | [`layout`] | where everything is in each version of CPython, or an error that says what is missing |
//! | heap | [`heap`] | every live object, its type, its size, and what it refers to |

pub mod addr;
pub mod error;
pub mod graph;
pub mod heap;
pub mod layout;
pub mod memory;

use std::process::ExitCode;

use common::cli::{self, Failure};

/// The `memobj` command.
#[must_use]
pub fn main() -> ExitCode {
    cli::run("memobj", || Err(Failure::not_built_yet()))
}
