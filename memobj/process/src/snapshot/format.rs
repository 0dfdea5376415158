//! Constants of the format.

use std::path::Path;

use crate::error::{Error, Stage};
use crate::info::shown;

/// The first bytes of a snapshot.
pub const MAGIC: &[u8; 8] = b"memobj\x1a\n";
/// The version that is written and read.
pub(super) const VERSION: u32 = 1;
/// The most pages of a block that are compressed together.
pub(super) const BLOCK_PAGES: usize = 64;
/// The longest header in bytes: a process has 65,530 mappings at most, unless the system's limit was raised.
pub(super) const MAX_HEADER: usize = 64 << 20;

pub(super) fn snapshot_error(path: &Path, message: &str, hint: &str) -> Error {
    Error::new(Stage::ATTACH, format!("{}: {message}", shown(path)), hint)
}
