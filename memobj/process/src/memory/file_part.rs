//! What files hold: pages that a process maps and never wrote to are the file's own, and are read from there when they are needed.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, OnceLock};

use super::PAGE_SIZE;

/// How much is read at once and kept.
const CHUNK: usize = 1 << 16;
/// Parts of files above this are read without being kept: data files, not programs.
const MAX_KEPT: u64 = 1 << 30;

type Chunk = OnceLock<Option<Box<[u8]>>>;

/// A part of a file, read by chunks at first use, and kept.
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

    /// How long the part is, in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// What was read of it till now: where in the part each chunk begins, and its bytes.
    pub fn held(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let chunks = self.chunks.get().into_iter().flatten().zip(0_u64..);
        chunks.filter_map(|(chunk, number)| Some((number * CHUNK as u64, chunk.get()?.as_deref()?)))
    }

    /// Reads all of it, if it is not longer than `limit`, so that [`held`](Self::held) has it.
    pub fn hold_all(&self, limit: u64) {
        if self.length <= limit.min(MAX_KEPT) {
            for number in 0..self.length.div_ceil(CHUNK as u64) {
                let _ = self.slice(number * CHUNK as u64, 1);
            }
        }
    }

    /// Fills `into` with what is `skipped` bytes behind the beginning; `None` if it is not all there.
    pub(super) fn read(&self, skipped: u64, into: &mut [u8]) -> Option<()> {
        if self.length > MAX_KEPT {
            let read = self.read_file(skipped, into)?;
            return padded(skipped + read as u64, into.get_mut(read..)?);
        }
        let mut from = skipped;
        let mut rest = into;
        while !rest.is_empty() {
            let length = (CHUNK - from as usize % CHUNK).min(rest.len());
            let (part, after) = rest.split_at_mut_checked(length)?;
            part.copy_from_slice(self.slice(from, length)?);
            from = from.checked_add(length as u64)?;
            rest = after;
        }
        Some(())
    }

    /// The same without copying, if it is of one chunk.
    pub(super) fn slice(&self, skipped: u64, length: usize) -> Option<&[u8]> {
        if self.length > MAX_KEPT {
            return None;
        }
        let number = usize::try_from(skipped).ok()? / CHUNK;
        let within = skipped as usize % CHUNK;
        let chunks = self
            .chunks
            .get_or_init(|| (0..(self.length as usize).div_ceil(CHUNK)).map(|_| OnceLock::new()).collect());
        let chunk = chunks.get(number)?.get_or_init(|| self.chunk(number)).as_deref()?;
        chunk.get(within..)?.get(..length)
    }

    fn chunk(&self, number: usize) -> Option<Box<[u8]>> {
        let from = (number * CHUNK) as u64;
        let mut bytes = vec![0; CHUNK.min(self.length.checked_sub(from)? as usize)];
        let read = self.read_file(from, &mut bytes)?;
        // The rest of the file's last page is zeros in memory too; pages behind that are not there.
        bytes.truncate(read.next_multiple_of(PAGE_SIZE).min(bytes.len()));
        Some(bytes.into_boxed_slice())
    }

    /// Reads until the end of the file at most.
    fn read_file(&self, skipped: u64, into: &mut [u8]) -> Option<usize> {
        let mut done = 0;
        while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = self.offset.checked_add(skipped)?.checked_add(done as u64)?;
            match self.file.read_at(rest, at) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        Some(done)
    }
}

/// Fills `rest`, which a file that ended `end` bytes into its part does not have, if it is of the file's last page.
fn padded(end: u64, rest: &mut [u8]) -> Option<()> {
    if end + rest.len() as u64 > end.next_multiple_of(PAGE_SIZE as u64) {
        return None;
    }
    rest.fill(0);
    Some(())
}
