//! `memobj`: a census of every Python object in a running CPython process, from outside.
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | words | [`addr`], [`error`], [`request`] | addresses are a type of their own; errors are typed by stage, each with what to do; what is wanted |
//! | memory | [`memory`] | reading foreign memory, wherever it is |
//! | pages | [`residence`] | which pages of a process are resident, and whether others have them too |
//! | subject | [`facts`] | what is known of a process besides its memory: who it is, mappings, threads |
//! | binary | [`elf`] | file → symbols, sections, build id, load bias |
//! | target | [`target`] | attach, stop, copy, resume; core files; the only layer that touches another process |
//! | snapshot | [`snapshot`] | a process at one moment, saved and opened again |
//! | layout | [`layout`] | where everything is in each version of CPython, or an error that says what is missing |
//! | object | [`object`] | a single object, read by what it is: a name, an entry of a dict, an attribute |
//! | runtime | [`runtime`] | which Python it is, where its interpreters and threads are, that its layout holds |
//! | pools | [`pools`] | what the allocator of small objects has given out |
//! | heap | [`heap`] | every live object, its type, its size, and what it refers to |
//! | graph | [`graph`] | objects as numbers, references as edges: dominators, shortest paths; knows nothing of Python |
//! | links | [`links`] | the objects of a heap as a graph, and what holds them without being an object |
//! | survivors | [`survivors`] | which objects were there in the censuses before; knows nothing of names |
//! | names | [`names`] | how one object refers to another, in the words of the program |
//! | holders | [`holders`] | who holds each object, and what would be freed without it |
//! | caches | [`caches`] | the caches of the program: what they hold and weigh, and what is wrong with them |
//! | account | [`account`] | who has each resident byte, once: Python, malloc, files, stacks, or nobody that is known |
//! | leaks | [`leaks`] | what grows from census to census, who holds it, and whether anything leaves it |
//! | census | [`census`] | what was counted, in numbers |
//! | edge | [`cli`], [`emit`] | what the user types; censuses as records and as tables for people |
//! | flow | [`run`] | arguments → censuses, in order → exit code |

pub mod account;
pub mod addr;
pub mod caches;
pub mod census;
pub mod cli;
pub mod elf;
pub mod emit;
pub mod error;
pub mod facts;
pub mod graph;
pub mod heap;
pub mod holders;
pub mod layout;
pub mod leaks;
pub mod links;
pub mod memory;
pub mod names;
pub mod object;
pub mod pools;
pub mod request;
pub mod residence;
pub mod run;
pub mod runtime;
pub mod snapshot;
pub mod survivors;
pub mod target;

use std::process::ExitCode;

/// The `memobj` command.
#[must_use]
pub fn main() -> ExitCode {
    match common::cli::parse::<cli::Args>(std::env::args_os()) {
        Ok(args) => common::cli::run("memobj", || run::run(&args, &mut census::observer::Observer::new())),
        Err(code) => code,
    }
}
