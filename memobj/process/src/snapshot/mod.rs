//! A process at one moment, saved and opened again: for bug reports, for tests, for a second look.
//!
//! A file is the eight bytes of [`MAGIC`], the version (4 bytes, all numbers little endian), the length of the head (4) and the head, as
//! JSON; then blocks until one of no pages; then a CRC-32 of everything before it. A block is an address (8 bytes), a number of pages (8),
//! the length of what follows (4), and that: nothing for pages of zeros, the pages themselves, or less, packed as an LZ4 block.
//!
//! A snapshot holds what the process held, its secrets too: it is made readable for its owner alone.

mod header;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::path::Path;

use crate::error::{Error, Stage};
use crate::info::shown;

pub use read::{Checksum, open, read};
pub use write::{save, write};

/// How a snapshot begins.
pub const MAGIC: &[u8; 8] = b"memobj\x1a\n";
/// What this version writes, and all that it reads.
const VERSION: u32 = 1;
/// The pages of a block that are packed together, at most.
const BLOCK_PAGES: usize = 64;
/// The longest head that is read, in bytes: a process has 65,530 mappings at most, unless its system was told otherwise.
const MAX_HEAD: usize = 64 << 20;

fn trouble(path: &Path, what: &str, hint: &str) -> Error {
    Error::new(Stage::ATTACH, format!("{}: {what}", shown(path)), hint)
}
