//! Saving.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::header::SnapshotHeader;
use super::{BLOCK_PAGES, MAGIC, MAX_HEAD, VERSION, trouble};
use crate::addr::Addr;
use crate::error::Error;
use crate::memory::{Backing, PAGE_SIZE, Uncopied};
use crate::target::FrozenProcess;

/// Parts of files above this are saved as far as they were looked at: data, not programs.
const MAX_WHOLE: u64 = 64 << 20;
const BLOCK: usize = BLOCK_PAGES * PAGE_SIZE;

/// Saves to a file, which only its owner can read. It is there complete or not at all; one that was there before is replaced. Returns
/// how long it is, in bytes.
///
/// # Errors
/// If it cannot be written.
pub fn save(still: &FrozenProcess, path: &Path) -> Result<u64, Error> {
    let failed = |error: io::Error| {
        trouble(path, &error.to_string(), "choose a place with room that you may write to")
    };
    // A device or a pipe is written to as it is; a name of its own beside it would take its place.
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        let file = OpenOptions::new().write(true).open(path).map_err(failed)?;
        return write(still, file).map_err(failed);
    }
    let part = Part::beside(path).map_err(failed)?;
    let length = write(still, &part.file).map_err(failed)?;
    part.becomes(path).map_err(failed)?;
    Ok(length)
}

/// A file in the making; removed if it does not come to be.
struct Part {
    path: PathBuf,
    file: File,
    is_whole: bool,
}

impl Part {
    fn beside(path: &Path) -> io::Result<Self> {
        let mut name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?.to_owned();
        name.push(format!(".part-{}", std::process::id()));
        let path = path.with_file_name(name);
        // A link that somebody put there is not followed.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { path, file, is_whole: false })
    }

    fn becomes(mut self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        self.is_whole = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_whole {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Writes a snapshot; returns its length in bytes.
///
/// # Errors
/// If it cannot be written.
pub fn write(still: &FrozenProcess, to: impl Write) -> io::Result<u64> {
    let mut out =
        Sealing { to: BufWriter::with_capacity(1 << 20, to), seal: crc32fast::Hasher::new(), length: 0 };
    let mut head = serde_json::to_vec(&SnapshotHeader::of(still))?;
    if head.len() > MAX_HEAD {
        head = serde_json::to_vec(&SnapshotHeader::of(still).without_pages())?;
    }
    let length = u32::try_from(head.len()).ok().filter(|&length| length as usize <= MAX_HEAD);
    let length =
        length.ok_or_else(|| io::Error::other("the process has too many mappings for a snapshot"))?;
    out.bytes(MAGIC)?;
    out.bytes(&VERSION.to_le_bytes())?;
    out.bytes(&length.to_le_bytes())?;
    out.bytes(&head)?;

    let mut blocks =
        Blocks { out, packed: vec![0; lz4_flex::block::get_maximum_output_size(BLOCK)], zeros: None };
    for (at, bytes) in still.memory.runs() {
        blocks.pages(at, bytes)?;
    }
    blocks.end_of_zeros()?;
    let mut copied: Vec<Range<Addr>> =
        still.memory.runs().map(|(at, bytes)| at..at.plus(bytes.len() as u64)).collect();
    copied.sort_unstable_by_key(|copied| copied.start);
    for behind in still.memory.uncopied() {
        behind_of(still, behind, &copied, &mut blocks)?;
        blocks.end_of_zeros()?;
    }
    let mut out = blocks.out;
    out.block(Addr::NULL, 0, &[])?;
    let seal = out.seal.clone().finalize();
    out.bytes(&seal.to_le_bytes())?;
    out.to.flush()?;
    Ok(out.length)
}

/// What was not copied, which is the rest of `copied`: untouched memory as zeros, and what files hold.
fn behind_of(
    still: &FrozenProcess,
    behind: &Uncopied,
    copied: &[Range<Addr>],
    blocks: &mut Blocks<impl Write>,
) -> io::Result<()> {
    let is_copied = |at: Addr| still.memory.is_copied(at);
    match &behind.backing {
        Backing::Zeros => {
            // By stretches that nothing was copied of: untouched memory can be terabytes.
            let mut from = behind.range.start;
            let next = copied.partition_point(|copied| copied.end <= from);
            let within = copied.get(next..).unwrap_or_default().iter().cloned();
            let end = behind.range.end..behind.range.end;
            for copied in within.take_while(|copied| copied.start < behind.range.end).chain([end]) {
                if copied.start > from {
                    blocks.zero_pages(from, (copied.start.0 - from.0) / PAGE_SIZE as u64)?;
                }
                from = from.max(copied.end);
            }
        }
        Backing::File(constant) => {
            let is_program =
                still.info.mapping_at(behind.range.start).is_some_and(|mapping| mapping.access.execute);
            if !is_program {
                constant.hold_all(MAX_WHOLE);
            }
            for (skipped, bytes) in constant.held() {
                let at = behind.range.start.plus(skipped);
                // The last page may be a part of one.
                let mut padded;
                let bytes = if bytes.len().is_multiple_of(PAGE_SIZE) {
                    bytes
                } else {
                    padded = bytes.to_vec();
                    padded.resize(bytes.len().next_multiple_of(PAGE_SIZE), 0);
                    &padded
                };
                for (page, number) in bytes.chunks(PAGE_SIZE).zip(0_u64..) {
                    let at = at.plus(number * PAGE_SIZE as u64);
                    if !is_copied(at) && behind.range.contains(&at) {
                        blocks.pages(at, page)?;
                    }
                }
            }
        }
    }
    Ok(())
}

struct Blocks<W: Write> {
    out: Sealing<W>,
    packed: Vec<u8>,
    /// Pages of zeros that were not written yet: where, how many.
    zeros: Option<(Addr, u64)>,
}

impl<W: Write> Blocks<W> {
    fn pages(&mut self, at: Addr, bytes: &[u8]) -> io::Result<()> {
        let mut at = at;
        let mut rest = bytes;
        while !rest.is_empty() {
            let is_zero = |page: &[u8]| page.iter().all(|&byte| byte == 0);
            let mut pages = rest.chunks(PAGE_SIZE).take(BLOCK_PAGES);
            let first_is_zero = pages.next().is_some_and(is_zero);
            let length = (1 + pages.take_while(|page| is_zero(page) == first_is_zero).count()) * PAGE_SIZE;
            let Some((part, behind)) = rest.split_at_checked(length.min(rest.len())) else { break };
            if first_is_zero {
                self.zero_pages(at, (length / PAGE_SIZE) as u64)?;
            } else {
                self.end_of_zeros()?;
                let packed = lz4_flex::block::compress_into(part, &mut self.packed).unwrap_or(usize::MAX);
                let stored =
                    self.packed.get(..packed).filter(|packed| packed.len() < part.len()).unwrap_or(part);
                self.out.block(at, (part.len() / PAGE_SIZE) as u64, stored)?;
            }
            at = at.plus(length as u64);
            rest = behind;
        }
        Ok(())
    }

    fn zero_pages(&mut self, at: Addr, count: u64) -> io::Result<()> {
        match &mut self.zeros {
            Some((start, pages)) if start.plus(*pages * PAGE_SIZE as u64) == at => *pages += count,
            _ => {
                self.end_of_zeros()?;
                self.zeros = Some((at, count));
            }
        }
        Ok(())
    }

    fn end_of_zeros(&mut self) -> io::Result<()> {
        match self.zeros.take() {
            Some((at, pages)) => self.out.block(at, pages, &[]),
            None => Ok(()),
        }
    }
}

struct Sealing<W: Write> {
    to: BufWriter<W>,
    seal: crc32fast::Hasher,
    length: u64,
}

impl<W: Write> Sealing<W> {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.seal.update(bytes);
        self.length += bytes.len() as u64;
        self.to.write_all(bytes)
    }

    fn block(&mut self, at: Addr, pages: u64, stored: &[u8]) -> io::Result<()> {
        let length = u32::try_from(stored.len()).map_err(io::Error::other)?;
        self.bytes(&at.0.to_le_bytes())?;
        self.bytes(&pages.to_le_bytes())?;
        self.bytes(&length.to_le_bytes())?;
        self.bytes(stored)
    }
}
