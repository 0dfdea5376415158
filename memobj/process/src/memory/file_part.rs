//! The content of mapped files: pages that a process never wrote to are read from the file when they are needed.

use std::fs::File;
use std::sync::{Arc, OnceLock};

use super::PAGE_SIZE;
use super::proc_mem::read_file;

/// Bytes that are read and kept at once.
const CHUNK: usize = 1 << 16;
/// The same for offsets in a file.
const CHUNK_BYTES: u64 = CHUNK as u64;
/// Parts of files above this size are data, not programs: they are read but not kept.
const MAX_KEPT: u64 = 1 << 30;

type Chunk = OnceLock<Option<Box<[u8]>>>;

/// A part of a file, read in chunks on first use.
#[derive(Debug)]
pub struct FilePart {
    file: Arc<File>,
    offset: u64,
    length: u64,
    chunks: OnceLock<Box<[Chunk]>>,
}

impl FilePart {
    /// The `length` bytes from `offset` on; the file may be shorter.
    #[must_use]
    pub const fn new(file: Arc<File>, offset: u64, length: u64) -> Self {
        Self { file, offset, length, chunks: OnceLock::new() }
    }

    /// The bytes that the file has now, in whole pages. A mapping can be far longer than its file, above all in a damaged core file.
    pub(super) fn present_bytes(&self) -> u64 {
        let end = self.file.metadata().map_or(0, |file| file.len());
        let present = end.saturating_sub(self.offset);
        present.checked_next_multiple_of(PAGE_SIZE as u64).unwrap_or(u64::MAX).min(self.length)
    }

    /// Whether it may hold objects of a program: it is not too long.
    pub(super) const fn is_program(&self) -> bool {
        self.length <= MAX_KEPT
    }

    /// The chunks that were read so far, each with its offset in the part.
    pub fn kept_chunks(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let chunks = self.chunks.get().into_iter().flatten().zip(0_u64..);
        chunks.filter_map(|(chunk, number)| Some((number * CHUNK_BYTES, chunk.get()?.as_deref()?)))
    }

    /// Reads the whole part into [`kept_chunks`](Self::kept_chunks), unless it is longer than `limit`.
    pub fn keep_all(&self, limit: u64) {
        if self.length <= limit.min(MAX_KEPT) {
            for number in 0..self.length.div_ceil(CHUNK_BYTES) {
                let _ = self.slice(number * CHUNK_BYTES, 1);
            }
        }
    }

    /// Fills `into` from `skipped` bytes into the part; `None` if not all of it is there.
    pub(super) fn read(&self, skipped: u64, into: &mut [u8]) -> Option<()> {
        if self.length > MAX_KEPT {
            let read = read_file(&self.file, self.offset.checked_add(skipped)?, into)?;
            let end = skipped.checked_add(read as u64)?;
            let missing = into.get_mut(read..)?;
            // The file's last page ends with zeros in memory; pages behind it are not there.
            missing.fill(0);
            let last_page_end = end.checked_next_multiple_of(PAGE_SIZE as u64)?;
            return (end.checked_add(missing.len() as u64)? <= last_page_end).then_some(());
        }
        let mut from = skipped;
        let mut rest = into;
        while !rest.is_empty() {
            let length = (CHUNK - (from % CHUNK_BYTES) as usize).min(rest.len());
            let (part, after) = rest.split_at_mut_checked(length)?;
            part.copy_from_slice(self.slice(from, length)?);
            from = from.checked_add(length as u64)?;
            rest = after;
        }
        Some(())
    }

    /// Borrows `length` bytes, if they are in one chunk.
    pub(super) fn slice(&self, skipped: u64, length: usize) -> Option<&[u8]> {
        if self.length > MAX_KEPT {
            return None;
        }
        let number = usize::try_from(skipped / CHUNK_BYTES).ok()?;
        let within = (skipped % CHUNK_BYTES) as usize;
        let chunks = self
            .chunks
            .get_or_init(|| (0..self.length.div_ceil(CHUNK_BYTES)).map(|_| OnceLock::new()).collect());
        let chunk = chunks.get(number)?.get_or_init(|| self.read_chunk(number)).as_deref()?;
        chunk.get(within..)?.get(..length)
    }

    fn read_chunk(&self, number: usize) -> Option<Box<[u8]>> {
        let from = (number * CHUNK) as u64;
        let mut bytes = vec![0; self.length.checked_sub(from)?.min(CHUNK_BYTES) as usize];
        let read = read_file(&self.file, self.offset.checked_add(from)?, &mut bytes)?;
        bytes.truncate(read.next_multiple_of(PAGE_SIZE).min(bytes.len()));
        Some(bytes.into_boxed_slice())
    }
}
