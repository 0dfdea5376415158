//! Opening: whatever the file says, nothing is believed that was not checked, and memory is bounded by what the file can unpack to.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::header::SnapshotHeader;
use super::{BLOCK_PAGES, MAGIC, MAX_HEAD, VERSION, trouble};
use crate::addr::Addr;
use crate::error::Error;
use crate::memory::{Backing, CopyBuffer, CopyBuilder, PAGE_SIZE, Uncopied};
use crate::target::{FileOrigin, FrozenProcess};

/// How far LZ4 can unpack: a byte says 255 more at most (LZ4 block format, "Literals" and "Match copy operation").
const MAX_UNPACKING: u64 = 255;
/// The longest copy that is opened, in bytes: what fits between the addresses of a user's process.
const MAX_COPY: u64 = 1 << 47;

/// Whether the seal has to be unbroken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// It has to be: what was changed on the way is refused.
    Verify,
    /// It need not be: for tests that break snapshots on purpose, to see what comes of that.
    Ignore,
}

/// What is wrong with a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Another kind of file.
    #[error("is no snapshot of memobj")]
    Foreign,
    /// Of a version to come.
    #[error("was saved by another version of memobj (format {0}; this one reads {VERSION})")]
    Version(u32),
    /// It ends too early.
    #[error("is cut short")]
    Short,
    /// What it says cannot be.
    #[error("is damaged: {0}")]
    Damaged(&'static str),
    /// It could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Opens a snapshot.
///
/// # Errors
/// If it is none, or damaged, or cannot be read.
pub fn open(path: &Path) -> Result<FrozenProcess, Error> {
    let opened = File::open(path).map_err(SnapshotError::Io).and_then(|file| {
        let length = file.metadata()?.len();
        read(BufReader::with_capacity(1 << 20, file), length, Checksum::Verify)
    });
    opened.map_err(|broken| {
        let hint = match broken {
            SnapshotError::Foreign => {
                "give a file that `--save-snapshot` made; for a core file there is `--core`"
            }
            SnapshotError::Version(_) => "open it with that version",
            SnapshotError::Short | SnapshotError::Damaged(_) => {
                "save it anew, or copy it anew from where it is whole"
            }
            SnapshotError::Io(_) => "give the path of a file that you may read",
        };
        trouble(path, &broken.to_string(), hint)
    })
}

/// Reads a snapshot of `length` bytes.
///
/// # Errors
/// What is wrong with it.
pub fn read(from: impl Read, length: u64, seal: Checksum) -> Result<FrozenProcess, SnapshotError> {
    let mut from = Sealed { from, seal: crc32fast::Hasher::new() };
    let magic: [u8; 8] = from.array().map_err(|_| SnapshotError::Foreign)?;
    if magic != *MAGIC {
        return Err(SnapshotError::Foreign);
    }
    let version = u32::from_le_bytes(from.array()?);
    if version != VERSION {
        return Err(SnapshotError::Version(version));
    }
    let head_length = u32::from_le_bytes(from.array()?) as usize;
    if head_length > MAX_HEAD || head_length as u64 > length {
        return Err(SnapshotError::Damaged("its head is too long"));
    }
    let mut head = vec![0; head_length];
    from.fill(&mut head)?;
    let mut head: SnapshotHeader =
        serde_json::from_slice(&head).map_err(|_| SnapshotError::Damaged("its head is unreadable"))?;

    let mut buffers = CopyBuffer::new();
    let most = length.saturating_mul(MAX_UNPACKING).min(MAX_COPY);
    buffers.reserve(usize::try_from(most).unwrap_or(usize::MAX))?;
    let mut filling = CopyBuilder::new(buffers);
    let mut zeros = Vec::new();
    while let Some(block) = block(&mut from, &mut filling)? {
        zeros.extend(block);
    }
    let found = from.seal.clone().finalize();
    let sealed = u32::from_le_bytes(from.array()?);
    if seal == Checksum::Verify && sealed != found {
        return Err(SnapshotError::Damaged("its seal is broken"));
    }
    let memory = filling.finish(zeros);
    let residence = head.take_residence();
    let (info, at, copy, saved_addresses) = head.parts();
    Ok(FrozenProcess { memory, info, at, copy, residence, files: FileOrigin::Disk, saved_addresses })
}

/// Reads a block; what is to be read as zeros by it. `None` at the end.
fn block(
    from: &mut Sealed<impl Read>,
    filling: &mut CopyBuilder,
) -> Result<Option<Option<Uncopied>>, SnapshotError> {
    let at = Addr(u64::from_le_bytes(from.array()?));
    let pages = u64::from_le_bytes(from.array()?);
    let stored = u32::from_le_bytes(from.array()?) as usize;
    if pages == 0 {
        return Ok(None);
    }
    let end = pages.checked_mul(PAGE_SIZE as u64).and_then(|length| at.0.checked_add(length));
    let end = end.filter(|&end| at.0.is_multiple_of(PAGE_SIZE as u64) && end <= MAX_COPY);
    let end = Addr(end.ok_or(SnapshotError::Damaged("a block is where nothing can be"))?);
    if stored == 0 {
        return Ok(Some(Some(Uncopied { range: at..end, backing: Backing::Zeros })));
    }
    let pages = usize::try_from(pages).ok().filter(|&pages| pages <= BLOCK_PAGES);
    let pages = pages
        .filter(|&pages| stored <= pages * PAGE_SIZE)
        .ok_or(SnapshotError::Damaged("a block is too long"))?;
    let full = |_| SnapshotError::Damaged("it holds more than it can");
    let into = filling.pages(at, pages).map_err(full)?;
    if stored == into.len() {
        from.fill(into)?;
        return Ok(Some(None));
    }
    let mut packed = [0; BLOCK_PAGES * PAGE_SIZE];
    let packed = packed.get_mut(..stored).ok_or(SnapshotError::Damaged("a block is too long"))?;
    from.fill(packed)?;
    match lz4_flex::block::decompress_into(packed, into) {
        Ok(length) if length == into.len() => Ok(Some(None)),
        Ok(_) | Err(_) => Err(SnapshotError::Damaged("a block does not unpack")),
    }
}

struct Sealed<R> {
    from: R,
    seal: crc32fast::Hasher,
}

impl<R: Read> Sealed<R> {
    fn fill(&mut self, into: &mut [u8]) -> Result<(), SnapshotError> {
        self.from.read_exact(into).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => SnapshotError::Short,
            _ => SnapshotError::Io(error),
        })?;
        self.seal.update(into);
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }
}
