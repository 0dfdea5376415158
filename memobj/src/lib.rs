//! `memobj`: a census of every Python object in a running CPython process, from outside.
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | words | [`addr`], [`error`] | addresses are a type of their own; errors are typed by stage, each with what to do |
//! | memory | [`memory`] | reading foreign memory, wherever it is |
//! | subject | [`facts`], [`residence`] | what is known of a process besides its memory: who it is, mappings, threads; which pages are resident |
//! | binary | [`elf`] | file → symbols, sections, build id, load bias |
//! | target | [`target`] | attach, stop, copy, resume; core files; the only layer that touches another process |
//! | account | [`account`] | who has each resident byte, once: Python, malloc, files, stacks, or nobody that is known |
//! | snapshot | [`snapshot`] | a process at one moment, saved and opened again |

pub mod account;
pub mod addr;
pub mod elf;
pub mod error;
pub mod facts;
pub mod memory;
pub mod residence;
pub mod snapshot;
pub mod target;

use std::process::ExitCode;

use common::cli::{self, Failure};

/// The `memobj` command.
#[must_use]
pub fn main() -> ExitCode {
    cli::run("memobj", || Err(Failure::not_built_yet()))
}
