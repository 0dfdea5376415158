//! A copy of a process's memory, indexed by address.

use std::ops::Range;
use std::sync::Arc;

use super::earlier_copy::{CopiedRun, EarlierCopy, append};
use super::page_index::{PageIndex, PageUse};
use super::ranges::{merge_nearby, merge_overlapping};
use super::{CopyBuffer, FilePart, Memory, PAGE_SIZE, Unreadable};
use crate::addr::Addr;

const ZEROS: &[u8; PAGE_SIZE] = &[0; PAGE_SIZE];

/// A range of memory whose pages are read from somewhere else where they were not copied.
#[derive(Debug, Clone)]
pub struct Uncopied {
    /// The range.
    pub range: Range<Addr>,
    /// Its content.
    pub backing: Backing,
}

/// The content of pages that were never written to.
#[derive(Debug, Clone)]
pub enum Backing {
    /// Zeros: memory without a file.
    Zeros,
    /// A part of a file.
    File(Arc<FilePart>),
}

/// A copy of a process's memory, which never changes.
///
/// A read takes two lookups in a page index. There is no lock: any number of threads read at once.
#[derive(Debug, Default)]
pub struct FrozenMemory {
    bytes: CopyBuffer,
    runs: Vec<CopiedRun>,
    /// Pages that were left out of the copy.
    skipped: Vec<Range<Addr>>,
    index: PageIndex,
    uncopied: Vec<Uncopied>,
    regions: Vec<Range<Addr>>,
}

impl FrozenMemory {
    /// Whether the page of `at` was copied.
    #[must_use]
    pub fn is_copied(&self, at: Addr) -> bool {
        self.offset_of(at).is_some()
    }

    /// The offset of `at` in `bytes`, if its page was copied.
    #[inline]
    fn offset_of(&self, at: Addr) -> Option<usize> {
        self.index.offset_of(at)
    }

    /// The pages that were read so far and that were not.
    #[must_use]
    pub fn usage(&self) -> PageUse {
        self.index.usage()
    }

    fn uncopied_at(&self, at: Addr) -> Option<&Uncopied> {
        let next = self.uncopied.partition_point(|uncopied| uncopied.range.start <= at);
        self.uncopied.get(next.checked_sub(1)?).filter(|uncopied| at < uncopied.range.end)
    }

    /// Reads bytes of one page.
    #[inline]
    fn read_copied(&self, at: Addr, into: &mut [u8]) -> Option<()> {
        if at.page_offset() + into.len() > PAGE_SIZE {
            return None;
        }
        into.copy_from_slice(self.bytes.get(self.offset_of(at)?..)?.get(..into.len())?);
        Some(())
    }

    /// Reads bytes wherever they are.
    #[cold]
    fn read_scattered(&self, at: Addr, into: &mut [u8]) -> Option<()> {
        at.page_parts(into).try_for_each(|(at, part)| {
            self.read_copied(at, part).or_else(|| {
                if self.index.is_skipped(at) {
                    return None;
                }
                let uncopied = self.uncopied_at(at)?;
                match &uncopied.backing {
                    Backing::Zeros => part.fill(0),
                    Backing::File(file) => file.read(at.0.checked_sub(uncopied.range.start.0)?, part)?,
                }
                Some(())
            })
        })
    }

    /// The copied pages in the order of the copy: each run's address and bytes.
    pub fn runs(&self) -> impl Iterator<Item = (Addr, &[u8])> {
        self.runs.iter().filter_map(|run| {
            let part = self.bytes.get(run.first.checked_mul(PAGE_SIZE)?..)?;
            Some((run.at, part.get(..run.pages.checked_mul(PAGE_SIZE)?)?))
        })
    }

    /// The ranges that are read from somewhere else where they were not copied, by address.
    #[must_use]
    pub fn uncopied(&self) -> &[Uncopied] {
        &self.uncopied
    }

    /// Replaces the uncopied ranges. Of ranges that overlap, the first wins. The part of a range behind the end of its file is left out.
    pub fn set_uncopied(&mut self, mut uncopied: Vec<Uncopied>) {
        for Uncopied { range, backing } in &mut uncopied {
            if let Backing::File(part) = backing {
                range.end = range.end.min(range.start.plus(part.present_bytes()));
            }
        }
        uncopied.retain(|uncopied| uncopied.range.start < uncopied.range.end);
        uncopied.sort_by_key(|uncopied| uncopied.range.start);
        let mut end = Addr::NULL;
        uncopied.retain(|uncopied| {
            // A file's part begins where its range does, so the front of a range cannot be cut off.
            let fits = uncopied.range.start >= end;
            end = end.max(uncopied.range.end);
            fits
        });
        let copied = self.written();
        self.regions =
            merge_overlapping(copied.chain(uncopied.iter().map(|part| part.range.clone())).collect());
        self.uncopied = uncopied;
    }

    /// The pages that were written to.
    fn written(&self) -> impl Iterator<Item = Range<Addr>> {
        self.runs.iter().map(|run| run.at..run.end()).chain(self.skipped.iter().cloned())
    }

    /// The number of copied bytes.
    #[must_use]
    pub fn copied_bytes(&self) -> u64 {
        self.runs.iter().map(|run| (run.pages * PAGE_SIZE) as u64).sum()
    }

    /// Returns the buffer, for the next copy.
    #[must_use]
    pub fn into_buffers(self) -> CopyBuffer {
        self.bytes
    }
}

impl Memory for FrozenMemory {
    #[inline]
    fn read(&self, at: Addr, into: &mut [u8]) -> Result<(), Unreadable> {
        self.read_copied(at, into).or_else(|| self.read_scattered(at, into)).ok_or(Unreadable { at })
    }

    fn slice(&self, at: Addr, length: usize) -> Option<&[u8]> {
        if let Some(offset) = self.offset_of(at) {
            // Adjacent pages of the target are mostly adjacent in the copy too.
            let further = at.page_offset().checked_add(length)?.saturating_sub(1) / PAGE_SIZE;
            let is_adjacent = |page: usize| {
                self.offset_of(at.plus((page * PAGE_SIZE) as u64)) == Some(offset + page * PAGE_SIZE)
            };
            let bytes = self.bytes.get(offset..).filter(|_| (1..=further).all(is_adjacent))?;
            return bytes.get(..length);
        }
        if self.index.is_skipped(at) {
            return None;
        }
        let uncopied = self.uncopied_at(at)?;
        match &uncopied.backing {
            // Within one page, since the next one may have been copied.
            _ if length > PAGE_SIZE - at.page_offset() => None,
            Backing::Zeros => ZEROS.get(..length),
            Backing::File(file) => file.slice(at.0.checked_sub(uncopied.range.start.0)?, length),
        }
    }

    fn regions(&self) -> &[Range<Addr>] {
        &self.regions
    }

    fn written_regions(&self) -> Vec<Range<Addr>> {
        let is_program = |part: &&Uncopied| matches!(&part.backing, Backing::File(file) if file.is_program());
        let files = self.uncopied.iter().filter(is_program);
        merge_nearby(self.written().chain(files.map(|part| part.range.clone())).collect(), &self.regions)
    }

    fn is_partial(&self) -> bool {
        !self.skipped.is_empty()
    }

    fn has_missed(&self) -> bool {
        self.index.has_missed()
    }
}

/// The copy needs more bytes than its buffer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the copy is larger than its buffer")]
pub struct BufferFull;

/// Builds a [`FrozenMemory`].
#[derive(Debug, Default)]
pub struct CopyBuilder {
    bytes: CopyBuffer,
    /// Bytes at the beginning that were copied before.
    kept: usize,
    used: usize,
    runs: Vec<CopiedRun>,
    skipped: Vec<Range<Addr>>,
}

impl CopyBuilder {
    /// Begins a copy in a prepared buffer.
    #[must_use]
    pub fn new(mut bytes: CopyBuffer) -> Self {
        bytes.overwrite();
        Self { bytes, kept: 0, used: 0, runs: Vec::new(), skipped: Vec::new() }
    }

    /// Begins a copy behind the pages of an earlier one, which stay in the buffer. [`reuse`](Self::reuse) takes them over.
    #[must_use]
    pub const fn behind(earlier: &EarlierCopy, bytes: CopyBuffer) -> Self {
        let used = earlier.used_bytes();
        Self { bytes, kept: used, used, runs: Vec::new(), skipped: Vec::new() }
    }

    /// Reserves the bytes of the pages from `at` (a page's first address) on, for the caller to write. They hold bytes of earlier copies.
    ///
    /// # Errors
    /// If the buffer is full.
    pub fn pages(&mut self, at: Addr, pages: usize) -> Result<&mut [u8], BufferFull> {
        let length = pages.checked_mul(PAGE_SIZE).ok_or(BufferFull)?;
        let bytes = self.bytes.part_mut(self.used, length).ok_or(BufferFull)?;
        append(&mut self.runs, CopiedRun { at, pages, first: self.used / PAGE_SIZE });
        self.used += length;
        Ok(bytes)
    }

    /// Takes over pages of an earlier copy in this buffer. Returns those that it lacks, each with their number.
    pub fn reuse(&mut self, earlier: &EarlierCopy, at: Addr, pages: usize) -> Vec<(Addr, usize)> {
        let (parts, missing) = earlier.find(at, pages);
        parts.into_iter().for_each(|part| append(&mut self.runs, part));
        missing
    }

    /// Leaves these pages out of the copy: reading them is an error.
    pub fn skip(&mut self, pages: Range<Addr>) {
        self.skipped.push(pages);
    }

    /// The last `bytes` bytes that were reserved; `None` if there are fewer.
    pub fn last_mut(&mut self, bytes: usize) -> Option<&mut [u8]> {
        self.bytes.part_mut(self.used.checked_sub(bytes)?, bytes)
    }

    /// Abandons the copy and returns the buffer.
    #[must_use]
    pub fn into_buffers(self) -> CopyBuffer {
        self.bytes
    }

    /// The number of reserved bytes, without those of an earlier copy.
    #[must_use]
    pub const fn used_bytes(&self) -> usize {
        self.used.saturating_sub(self.kept)
    }

    /// The number of pages that the copy has.
    #[must_use]
    pub fn page_count(&self) -> usize {
        self.runs.iter().map(|run| run.pages).sum()
    }

    /// Ends a copy whose pages a later one may take over, and returns the buffer with them. `unreadable` pages are left out.
    #[must_use]
    pub fn keep(self, unreadable: &[Addr]) -> (CopyBuffer, EarlierCopy) {
        let content = self.bytes.content();
        (self.bytes, EarlierCopy::new(self.runs, unreadable, self.used, content))
    }

    /// Finishes the copy; for `uncopied` see [`FrozenMemory::set_uncopied`].
    #[must_use]
    pub fn finish(self, uncopied: Vec<Uncopied>) -> FrozenMemory {
        let mut index = PageIndex::new();
        for run in &self.runs {
            index.add(run.at, run.pages, u32::try_from(run.first).unwrap_or(u32::MAX).saturating_add(1));
        }
        self.skipped.iter().for_each(|pages| index.skip(pages));
        let Self { bytes, runs, skipped, .. } = self;
        let mut frozen =
            FrozenMemory { bytes, runs, skipped, index, uncopied: Vec::new(), regions: Vec::new() };
        frozen.set_uncopied(uncopied);
        frozen
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const ANONYMOUS: Addr = Addr(0x7f00_0000_0000);
    const MAPPED: Addr = Addr(0x5000_0000);

    /// Two pages copied, an untouched one between them, and a file of 5,000 bytes.
    fn frozen() -> FrozenMemory {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 5000]).unwrap();
        let mut buffers = CopyBuffer::new();
        buffers.prepare(3 * PAGE_SIZE).unwrap();
        let mut builder = CopyBuilder::new(buffers);
        builder.pages(ANONYMOUS, 1).unwrap().fill(1);
        builder.pages(ANONYMOUS.plus(2 * PAGE_SIZE as u64), 1).unwrap().fill(2);
        builder.pages(ANONYMOUS.plus(3 * PAGE_SIZE as u64), 1).unwrap().fill(3);
        let file = Backing::File(Arc::new(FilePart::new(Arc::new(file), 0, 3 * PAGE_SIZE as u64)));
        builder.finish(vec![
            Uncopied { range: ANONYMOUS..ANONYMOUS.plus(8 * PAGE_SIZE as u64), backing: Backing::Zeros },
            Uncopied { range: MAPPED..MAPPED.plus(3 * PAGE_SIZE as u64), backing: file },
        ])
    }

    #[test]
    fn reads_cross_copied_zero_and_file_pages() {
        let frozen = frozen();
        let page = PAGE_SIZE as u64;
        assert_eq!(frozen.read_u64(ANONYMOUS), Ok(u64::from_le_bytes([1; 8])));
        assert_eq!(
            frozen.read_u64(ANONYMOUS.plus(page - 4)),
            Ok(u64::from_le_bytes([1, 1, 1, 1, 0, 0, 0, 0]))
        );
        assert_eq!(
            frozen.read_u64(ANONYMOUS.plus(3 * page - 2)),
            Ok(u64::from_le_bytes([2, 2, 3, 3, 3, 3, 3, 3]))
        );
        assert_eq!(frozen.read_u32(MAPPED.plus(8)), Ok(0x0707_0707));
        // A file's last page ends with zeros; what is behind it raises SIGBUS in the target, and is not there.
        assert_eq!(frozen.read_u64(MAPPED.plus(4996)), Ok(0x0707_0707));
        assert_eq!(frozen.read_u8(MAPPED.plus(2 * page - 1)), Ok(0));
        assert!(frozen.read_u8(MAPPED.plus(2 * page)).is_err());
        let mut all = vec![9; 8 * PAGE_SIZE];
        frozen.read(ANONYMOUS, &mut all).unwrap();
        assert_eq!(all.iter().filter(|&&byte| byte == 0).count(), 5 * PAGE_SIZE);
        assert_eq!(frozen.copied_bytes(), 3 * page);
    }

    #[test]
    fn hostile_addresses_are_unreadable() {
        let frozen = frozen();
        let end = ANONYMOUS.plus(8 * PAGE_SIZE as u64);
        for at in
            [0, 8, 0x4fff_ffff, end.0, end.0 - 7, 1 << 47, u64::MAX, u64::MAX - 7, 0xffff_8000_0000_0000]
        {
            assert_eq!(frozen.read_u64(Addr(at)), Err(Unreadable { at: Addr(at) }), "{at:#x}");
            assert_eq!(frozen.slice(Addr(at), usize::MAX), None);
        }
        // The file has two pages, though its mapping has three.
        assert_eq!(frozen.regions(), [MAPPED..MAPPED.plus(2 * PAGE_SIZE as u64), ANONYMOUS..end]);
    }

    #[test]
    fn mapping_ends_with_its_file() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        file.set_len(5000).unwrap();
        let part = |offset| Backing::File(Arc::new(FilePart::new(Arc::clone(&file), offset, 1 << 46)));
        let ranges = [(MAPPED, 0), (ANONYMOUS, 1 << 20)];
        let uncopied =
            ranges.map(|(at, offset)| Uncopied { range: at..at.plus(1 << 46), backing: part(offset) });
        let frozen = CopyBuilder::new(CopyBuffer::new()).finish(uncopied.into());
        assert_eq!(frozen.regions(), [MAPPED..MAPPED.plus(2 * PAGE_SIZE as u64)]);
        assert!(frozen.read_u8(MAPPED).is_ok() && frozen.read_u8(ANONYMOUS).is_err());
        assert_eq!(frozen.written_regions(), [], "so long a part is data");
    }

    #[test]
    fn written_regions_are_copies_and_files() {
        let frozen = frozen();
        let copied = ANONYMOUS..ANONYMOUS.plus(4 * PAGE_SIZE as u64);
        assert_eq!(frozen.written_regions(), [MAPPED..MAPPED.plus(2 * PAGE_SIZE as u64), copied]);
    }

    #[test]
    fn slice_needs_adjacent_pages() {
        let frozen = frozen();
        let page = PAGE_SIZE as u64;
        assert_eq!(frozen.slice(ANONYMOUS, PAGE_SIZE).unwrap(), [1; PAGE_SIZE]);
        assert_eq!(frozen.slice(ANONYMOUS, PAGE_SIZE + 1), None);
        let both = frozen.slice(ANONYMOUS.plus(2 * page + 1), 2 * PAGE_SIZE - 1).unwrap();
        assert!(
            both[..PAGE_SIZE - 1].iter().all(|&byte| byte == 2)
                && both[PAGE_SIZE - 1..].iter().all(|&byte| byte == 3)
        );
        assert_eq!(frozen.slice(ANONYMOUS.plus(page), 16).unwrap(), [0; 16]);
        assert_eq!(frozen.slice(MAPPED.plus(16), 16).unwrap(), [7; 16]);
        assert!(frozen.slice(ANONYMOUS, 0).unwrap().is_empty());
    }

    #[test]
    fn builder_never_exceeds_its_buffer() {
        let mut buffers = CopyBuffer::new();
        buffers.prepare(PAGE_SIZE).unwrap();
        let room = buffers.len() / PAGE_SIZE;
        let mut builder = CopyBuilder::new(buffers);
        assert_eq!(builder.pages(ANONYMOUS, room + 1), Err(BufferFull));
        assert_eq!(builder.pages(ANONYMOUS, usize::MAX), Err(BufferFull));
        builder.pages(ANONYMOUS, 1).unwrap().fill(1);
        builder.pages(MAPPED, 1).unwrap().fill(2);
        builder.pages(ANONYMOUS.plus(PAGE_SIZE as u64), 1).unwrap().fill(3);
        let frozen = builder.finish(Vec::new());
        let runs: Vec<_> = frozen.runs().map(|(at, bytes)| (at, bytes.len(), bytes[0])).collect();
        assert_eq!(
            runs,
            [
                (ANONYMOUS, PAGE_SIZE, 1),
                (MAPPED, PAGE_SIZE, 2),
                (ANONYMOUS.plus(PAGE_SIZE as u64), PAGE_SIZE, 3)
            ]
        );
        assert!(frozen.read_u8(MAPPED.plus(PAGE_SIZE as u64)).is_err());
        assert_eq!(frozen.read_u16(ANONYMOUS.plus(PAGE_SIZE as u64 - 1)), Ok(0x0301));
    }
    #[test]
    fn skipped_pages_are_missed_and_never_zeros() {
        let (frozen, page) = (skipping_one(), PAGE_SIZE as u64);
        let end = ANONYMOUS.plus(8 * page);
        assert!(frozen.is_partial() && frozen.copied_bytes() == page && frozen.regions() == [ANONYMOUS..end]);
        assert_eq!(frozen.written_regions(), [ANONYMOUS..ANONYMOUS.plus(3 * page)]);
        assert_eq!((frozen.read_u8(ANONYMOUS), frozen.read_u8(ANONYMOUS.plus(3 * page))), (Ok(1), Ok(0)));
        assert!(!frozen.has_missed());
        // Also by a read that begins before it, or that may borrow.
        for (at, length) in [(page, 8), (page - 4, 8), (2 * page, 1), (0, 2 * PAGE_SIZE)] {
            let frozen = skipping_one();
            let at = ANONYMOUS.plus(at);
            assert!(frozen.slice(at, length).is_none() && frozen.has_missed(), "{at}");
            let frozen = skipping_one();
            assert!(frozen.read(at, &mut vec![0; length]).is_err() && frozen.has_missed(), "{at}");
            assert!(!frozen.usage().missed.is_empty());
        }
    }

    fn skipping_one() -> FrozenMemory {
        let mut buffers = CopyBuffer::new();
        buffers.prepare(PAGE_SIZE).unwrap();
        let mut builder = CopyBuilder::new(buffers);
        builder.pages(ANONYMOUS, 1).unwrap().fill(1);
        builder.skip(ANONYMOUS.plus(PAGE_SIZE as u64)..ANONYMOUS.plus(3 * PAGE_SIZE as u64));
        let range = ANONYMOUS..ANONYMOUS.plus(8 * PAGE_SIZE as u64);
        builder.finish(vec![Uncopied { range, backing: Backing::Zeros }])
    }
}
