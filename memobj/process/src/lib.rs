//! Reads processes and their memory from outside: running, stopped, in core files and in snapshots. It knows nothing of Python.
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | words | [`addr`], [`error`] | addresses are a type of their own; errors are typed by stage, each with what to do |
//! | memory | [`memory`] | reading foreign memory, wherever it is |
//! | pages | [`residence`] | which pages of a process are resident, and whether others have them too |
//! | subject | [`facts`] | what is known of a process besides its memory: who it is, mappings, threads |
//! | binary | [`elf`] | file → symbols, sections, build id, load bias |
//! | target | [`target`] | attach, stop, copy, resume; core files; the only layer that touches another process |
//! | snapshot | [`snapshot`] | a process at one moment, saved and opened again |

pub mod addr;
pub mod elf;
pub mod error;
pub mod info;
pub mod memory;
pub mod residence;
pub mod snapshot;
pub mod target;
