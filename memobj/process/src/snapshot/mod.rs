//! A process at one moment, saved to a file: for bug reports, for tests, for later analysis.
//!
//! A file holds the eight bytes of [`MAGIC`], the version (4 bytes, all numbers little endian), the length of the header (4) and the header
//! as JSON; then blocks, ended by one of no pages; then a CRC-32 of all bytes before it. A block is an address (8 bytes), a number of pages
//! (8), the length of its data (4), and the data: nothing for pages of zeros, the pages themselves, or an LZ4 block of them if that is
//! shorter.
//!
//! A snapshot holds all memory of the process, with its secrets: only its owner can read the file.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod format;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use format::MAGIC;
pub use read::{Checksum, open, read};
pub use write::{save, write};
