//! Opening a snapshot. Nothing in the file is trusted, and memory use is bounded by what the file can decompress to.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::format::{BLOCK_PAGES, MAGIC, MAX_HEADER, VERSION, snapshot_error};
use crate::addr::{ADDRESS_BITS, Addr};
use crate::error::Error;
use crate::memory::{Backing, CopyBuffer, CopyBuilder, PAGE_SIZE, Uncopied};
use crate::target::FrozenProcess;

/// The highest compression ratio of LZ4: a byte encodes 255 more at most (LZ4 block format, "Literals" and "Match copy operation").
const MAX_COMPRESSION: u64 = 255;
/// The longest copy that is opened, in bytes: the address space of a user's process.
const MAX_COPY: u64 = 1 << ADDRESS_BITS;

/// Whether the checksum must match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// A snapshot with another checksum is refused.
    Verify,
    /// The checksum is not compared, for tests that damage snapshots on purpose.
    Ignore,
}

/// Why a snapshot cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Another kind of file.
    #[error("is not a snapshot of memobj")]
    Foreign,
    /// A version that is not supported.
    #[error("was saved by another version of memobj (format {0}; this one reads {VERSION})")]
    Version(u32),
    /// The file ends too early.
    #[error("is cut short")]
    Short,
    /// The content is inconsistent.
    #[error("is damaged: {0}")]
    Damaged(&'static str),
    /// Reading failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Opens a snapshot file.
///
/// # Errors
/// If it is not a snapshot, is damaged, or cannot be read.
pub fn open(path: &Path) -> Result<FrozenProcess, Error> {
    let opened = File::open(path).map_err(SnapshotError::Io).and_then(|file| {
        let length = file.metadata()?.len();
        read(BufReader::with_capacity(1 << 20, file), length, Checksum::Verify)
    });
    opened.map_err(|error| {
        let hint = match error {
            SnapshotError::Foreign => "give a file from `--save-snapshot`; for a core file use `--core`",
            SnapshotError::Version(_) => "open it with that version",
            SnapshotError::Short | SnapshotError::Damaged(_) => "save it again, or copy the original again",
            SnapshotError::Io(_) => "give the path of a file that you may read",
        };
        snapshot_error(path, &error.to_string(), hint)
    })
}

/// Reads a snapshot of `length` bytes.
///
/// # Errors
/// As [`open`].
pub fn read(from: impl Read, length: u64, checksum: Checksum) -> Result<FrozenProcess, SnapshotError> {
    let mut from = ChecksumReader { from, checksum: crc32fast::Hasher::new() };
    let magic: [u8; 8] = from.array().map_err(|_| SnapshotError::Foreign)?;
    if magic != *MAGIC {
        return Err(SnapshotError::Foreign);
    }
    let version = u32::from_le_bytes(from.array()?);
    if version != VERSION {
        return Err(SnapshotError::Version(version));
    }
    let header_length = u32::from_le_bytes(from.array()?) as usize;
    if header_length > MAX_HEADER || header_length as u64 > length {
        return Err(SnapshotError::Damaged("its header is too long"));
    }
    let mut header = vec![0; header_length];
    from.fill(&mut header)?;
    let mut process: FrozenProcess =
        serde_json::from_slice(&header).map_err(|_| SnapshotError::Damaged("its header cannot be parsed"))?;

    let mut buffer = CopyBuffer::new();
    let most = length.saturating_mul(MAX_COMPRESSION).min(MAX_COPY);
    buffer.reserve(usize::try_from(most).unwrap_or(usize::MAX))?;
    let mut builder = CopyBuilder::new(buffer);
    let mut zeros = Vec::new();
    while read_block(&mut from, &mut builder, &mut zeros)? {}
    let computed = from.checksum.clone().finalize();
    let saved = u32::from_le_bytes(from.array()?);
    if checksum == Checksum::Verify && saved != computed {
        return Err(SnapshotError::Damaged("its checksum is wrong"));
    }
    process.info.mappings.retain(|mapping| mapping.range.start < mapping.range.end);
    process.info.mappings.sort_by_key(|mapping| mapping.range.start);
    process.memory = builder.finish(zeros);
    Ok(process)
}

/// Reads a block; false at the end.
fn read_block(
    from: &mut ChecksumReader<impl Read>,
    builder: &mut CopyBuilder,
    zeros: &mut Vec<Uncopied>,
) -> Result<bool, SnapshotError> {
    let at = Addr(u64::from_le_bytes(from.array()?));
    let pages = u64::from_le_bytes(from.array()?);
    let stored = u32::from_le_bytes(from.array()?) as usize;
    if pages == 0 {
        return Ok(false);
    }
    let end = pages.checked_mul(PAGE_SIZE as u64).and_then(|length| at.0.checked_add(length));
    let end = end.filter(|&end| at.page_offset() == 0 && end <= MAX_COPY);
    let end = Addr(end.ok_or(SnapshotError::Damaged("a block has an impossible address"))?);
    if stored == 0 {
        zeros.push(Uncopied { range: at..end, backing: Backing::Zeros });
        return Ok(true);
    }
    let too_long = || SnapshotError::Damaged("a block is too long");
    let pages = usize::try_from(pages).ok().filter(|&pages| pages <= BLOCK_PAGES);
    let pages = pages.filter(|&pages| stored <= pages.saturating_mul(PAGE_SIZE)).ok_or_else(too_long)?;
    let into =
        builder.pages(at, pages).map_err(|_| SnapshotError::Damaged("it is larger than its file allows"))?;
    if stored == into.len() {
        from.fill(into)?;
        return Ok(true);
    }
    let mut packed = [0; BLOCK_PAGES * PAGE_SIZE];
    let packed = packed.get_mut(..stored).ok_or_else(too_long)?;
    from.fill(packed)?;
    match lz4_flex::block::decompress_into(packed, into) {
        Ok(length) if length == into.len() => Ok(true),
        Ok(_) | Err(_) => Err(SnapshotError::Damaged("a block cannot be decompressed")),
    }
}

struct ChecksumReader<R> {
    from: R,
    checksum: crc32fast::Hasher,
}

impl<R: Read> ChecksumReader<R> {
    fn fill(&mut self, into: &mut [u8]) -> Result<(), SnapshotError> {
        self.from.read_exact(into).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => SnapshotError::Short,
            _ => SnapshotError::Io(error),
        })?;
        self.checksum.update(into);
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }
}
