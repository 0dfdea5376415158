//! Saving a snapshot.

use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::Path;

use common::output_file::{self, Readers};

use super::format::{BLOCK_PAGES, MAGIC, MAX_HEADER, VERSION, snapshot_error};
use crate::addr::{Addr, PAGE_BYTES};
use crate::error::Error;
use crate::info::Mapping;
use crate::memory::{Backing, PAGE_SIZE, Uncopied};
use crate::target::FrozenProcess;

/// Parts of data files above this size are saved only as far as they were read.
const MAX_WHOLE: u64 = 64 << 20;
const BLOCK: usize = BLOCK_PAGES * PAGE_SIZE;

/// Saves to a file that only its owner can read, and returns its length in bytes. The file appears when it is complete, and replaces an
/// older one.
///
/// # Errors
/// If it cannot be written.
pub fn save(process: &FrozenProcess, path: &Path) -> Result<u64, Error> {
    let failed = |error: io::Error| {
        snapshot_error(path, &error.to_string(), "choose a writable folder with enough free space")
    };
    output_file::write_whole(path, Readers::OnlyOwner, |file| write(process, file)).map_err(failed)
}

/// Writes a snapshot, and returns its length in bytes.
///
/// # Errors
/// If it cannot be written.
pub fn write(process: &FrozenProcess, to: impl Write) -> io::Result<u64> {
    let to = BufWriter::with_capacity(1 << 20, to);
    let mut out = ChecksumWriter { to, checksum: crc32fast::Hasher::new(), length: 0 };
    let mut json = serde_json::to_vec(process)?;
    if json.len() > MAX_HEADER {
        // The pages are its longest part, and the least needed.
        let mut header: serde_json::Map<_, _> = serde_json::from_slice(&json)?;
        header.remove("residence");
        json = serde_json::to_vec(&header)?;
    }
    let length = u32::try_from(json.len()).ok().filter(|&length| length as usize <= MAX_HEADER);
    let length =
        length.ok_or_else(|| io::Error::other("the process has too many mappings for a snapshot"))?;
    out.bytes(MAGIC)?;
    out.bytes(&VERSION.to_le_bytes())?;
    out.bytes(&length.to_le_bytes())?;
    out.bytes(&json)?;

    let packed = vec![0; lz4_flex::block::get_maximum_output_size(BLOCK)];
    let mut blocks = BlockWriter { out, packed, zeros: None };
    for (at, bytes) in process.memory.runs() {
        blocks.pages(at, bytes)?;
    }
    blocks.flush_zeros()?;
    let mut copied: Vec<Range<Addr>> =
        process.memory.runs().map(|(at, bytes)| at..at.plus(bytes.len() as u64)).collect();
    copied.sort_unstable_by_key(|copied| copied.start);
    for uncopied in process.memory.uncopied() {
        write_uncopied(process, uncopied, &copied, &mut blocks)?;
        blocks.flush_zeros()?;
    }
    let mut out = blocks.out;
    out.block(Addr::NULL, 0, &[])?;
    let checksum = out.checksum.clone().finalize();
    out.bytes(&checksum.to_le_bytes())?;
    out.to.flush()?;
    Ok(out.length)
}

/// Writes the pages of a range that are not in `copied`: zeros, and the content of files.
fn write_uncopied(
    process: &FrozenProcess,
    uncopied: &Uncopied,
    copied: &[Range<Addr>],
    blocks: &mut BlockWriter<impl Write>,
) -> io::Result<()> {
    let range = &uncopied.range;
    match &uncopied.backing {
        Backing::Zeros => {
            // Gap by gap and not page by page: untouched memory can be terabytes.
            let mut from = range.start;
            let next = copied.partition_point(|copied| copied.end <= from);
            let inside = copied.get(next..).unwrap_or_default().iter().cloned();
            let end = range.end..range.end;
            for copied in inside.take_while(|copied| copied.start < range.end).chain([end]) {
                if copied.start > from {
                    blocks.zero_pages(from, copied.start.0.saturating_sub(from.0) / PAGE_BYTES)?;
                }
                from = from.max(copied.end);
            }
        }
        Backing::File(part) => {
            // A mapping with the head of a file has its constants too: on Arm, linkers put code beside them.
            let is_code = |mapping: &Mapping| mapping.access.execute && mapping.offset > 0;
            if !process.info.mapping_at(range.start).is_some_and(is_code) {
                part.keep_all(MAX_WHOLE);
            }
            for (skipped, bytes) in part.kept_chunks() {
                let mut at = range.start.plus(skipped);
                for page in bytes.chunks(PAGE_SIZE) {
                    if !process.memory.is_copied(at) && range.contains(&at) {
                        // The last page of a file may be a part of one.
                        let mut whole = [0; PAGE_SIZE];
                        whole.iter_mut().zip(page).for_each(|(into, byte)| *into = *byte);
                        blocks.pages(at, &whole)?;
                    }
                    at = at.plus(PAGE_SIZE as u64);
                }
            }
        }
    }
    Ok(())
}

struct BlockWriter<W: Write> {
    out: ChecksumWriter<W>,
    packed: Vec<u8>,
    /// Pages of zeros that were not written yet: the first address and their number.
    zeros: Option<(Addr, u64)>,
}

impl<W: Write> BlockWriter<W> {
    fn pages(&mut self, mut at: Addr, mut rest: &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            let is_zero = |page: &[u8]| page.iter().all(|&byte| byte == 0);
            let mut pages = rest.chunks(PAGE_SIZE).take(BLOCK_PAGES);
            let first_is_zero = pages.next().is_some_and(is_zero);
            let others = pages.take_while(|page| is_zero(page) == first_is_zero).count();
            let length = others.saturating_add(1).saturating_mul(PAGE_SIZE);
            let Some((part, after)) = rest.split_at_checked(length.min(rest.len())) else { break };
            if first_is_zero {
                self.zero_pages(at, (length / PAGE_SIZE) as u64)?;
            } else {
                self.flush_zeros()?;
                let packed = lz4_flex::block::compress_into(part, &mut self.packed).unwrap_or(usize::MAX);
                let stored =
                    self.packed.get(..packed).filter(|packed| packed.len() < part.len()).unwrap_or(part);
                self.out.block(at, (part.len() / PAGE_SIZE) as u64, stored)?;
            }
            at = at.plus(length as u64);
            rest = after;
        }
        Ok(())
    }

    fn zero_pages(&mut self, at: Addr, count: u64) -> io::Result<()> {
        match &mut self.zeros {
            Some((start, pages)) if start.plus(pages.wrapping_mul(PAGE_BYTES)) == at => {
                *pages = pages.saturating_add(count);
            }
            _ => {
                self.flush_zeros()?;
                self.zeros = Some((at, count));
            }
        }
        Ok(())
    }

    fn flush_zeros(&mut self) -> io::Result<()> {
        self.zeros.take().map_or(Ok(()), |(at, pages)| self.out.block(at, pages, &[]))
    }
}

struct ChecksumWriter<W: Write> {
    to: BufWriter<W>,
    checksum: crc32fast::Hasher,
    length: u64,
}

impl<W: Write> ChecksumWriter<W> {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.checksum.update(bytes);
        self.length = self.length.saturating_add(bytes.len() as u64);
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
