//! Memory that holds still: bytes of ours, found by their address in the target.

use std::ops::Range;

use super::ranges::{self, merge_overlapping};
use super::{CopyBuffer, FilePart, Memory, PAGE_SIZE, Unreadable};
use crate::addr::Addr;

/// What a leaf of the index spans: 16 MiB of addresses.
const LEAF_BITS: u32 = 24;
/// Pages of a leaf.
const LEAF: usize = 1 << (LEAF_BITS - PAGE_BITS);
const PAGE_BITS: u32 = PAGE_SIZE.ilog2();
/// Addresses of a user's process on x86-64 have 47 bits; those of more are given to who asks for them by mmap(2)'s hint alone.
const ADDRESS_BITS: u32 = 47;
const ZEROS: &[u8; PAGE_SIZE] = &[0; PAGE_SIZE];

/// Consecutive pages of the target that were copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopiedRun {
    /// The first page.
    pub at: Addr,
    /// How many.
    pub pages: usize,
}

impl CopiedRun {
    fn range(&self) -> Range<Addr> {
        self.at..self.at.plus((self.pages * PAGE_SIZE) as u64)
    }
}

/// What is read where no copied page is.
#[derive(Debug, Clone)]
pub struct Uncopied {
    /// Where.
    pub range: Range<Addr>,
    /// What.
    pub backing: Backing,
}

/// The content of pages that nobody has written to.
#[derive(Debug, Clone)]
pub enum Backing {
    /// Memory without a file: zeros.
    Zeros,
    /// What a file has there.
    File(std::sync::Arc<FilePart>),
}

/// A copy of a process's memory. It never changes, so that everything computed from it agrees.
///
/// Reading a word takes two looks into an index of pages and no more: there is no state in it, and any number of threads read at once.
#[derive(Debug)]
pub struct FrozenMemory {
    bytes: CopyBuffer,
    runs: Vec<CopiedRun>,
    /// By address, in units of a leaf: the number of the leaf, 0 for the one that is empty. A table of [`ADDRESS_BITS`] that the system
    /// clears when it is touched, which is only where the target has something.
    top: Vec<u32>,
    /// By leaf and page: the number of the page in `bytes`, counted from 1; 0 for none.
    leaves: Vec<u32>,
    behind: Vec<Uncopied>,
    regions: Vec<Range<Addr>>,
}

impl FrozenMemory {
    /// Whether the page of `at` was copied.
    #[must_use]
    pub fn is_copied(&self, at: Addr) -> bool {
        self.place(at).is_some()
    }

    /// Where `at` is in `bytes`, if its page was copied.
    #[inline]
    fn place(&self, at: Addr) -> Option<usize> {
        let leaf = *self.top.get(usize::try_from(at.0 >> LEAF_BITS).ok()?)? as usize;
        let page = (at.0 >> PAGE_BITS) as usize & (LEAF - 1);
        let number = *self.leaves.get(leaf * LEAF + page)? as usize;
        Some((number.checked_sub(1)? << PAGE_BITS) | (at.0 as usize & (PAGE_SIZE - 1)))
    }

    /// `N` bytes of one copied page.
    #[inline]
    fn word<const N: usize>(&self, at: Addr) -> Option<[u8; N]> {
        if at.0 as usize & (PAGE_SIZE - 1) > PAGE_SIZE - N {
            return None;
        }
        self.bytes.get(self.place(at)?..)?.first_chunk().copied()
    }

    /// `N` bytes, wherever they are.
    #[cold]
    fn scattered<const N: usize>(&self, at: Addr) -> Result<[u8; N], Unreadable> {
        let mut bytes = [0; N];
        self.read(at, &mut bytes)?;
        Ok(bytes)
    }

    #[inline]
    fn bytes_at<const N: usize>(&self, at: Addr) -> Result<[u8; N], Unreadable> {
        self.word(at).map_or_else(|| self.scattered(at), Ok)
    }

    fn behind_at(&self, at: Addr) -> Option<&Uncopied> {
        let next = self.behind.partition_point(|behind| behind.range.start <= at);
        self.behind.get(next.checked_sub(1)?).filter(|behind| at < behind.range.end)
    }

    /// The bytes of `into`, which are of one page.
    fn read_within_page(&self, at: Addr, into: &mut [u8]) -> Option<()> {
        if let Some(place) = self.place(at) {
            into.copy_from_slice(self.bytes.get(place..)?.get(..into.len())?);
            return Some(());
        }
        let behind = self.behind_at(at)?;
        match &behind.backing {
            Backing::Zeros => into.fill(0),
            Backing::File(constant) => constant.read(at.0 - behind.range.start.0, into)?,
        }
        Some(())
    }

    /// The pages that were copied, in the order of the copy, each run with its bytes.
    pub fn runs(&self) -> impl Iterator<Item = (Addr, &[u8])> {
        let mut from = 0;
        self.runs.iter().filter_map(move |run| {
            let length = run.pages.checked_mul(PAGE_SIZE)?;
            let part = self.bytes.get(from..)?.get(..length)?;
            from += length;
            Some((run.at, part))
        })
    }

    /// What is read where nothing was copied, by address.
    #[must_use]
    pub fn uncopied(&self) -> &[Uncopied] {
        &self.behind
    }

    /// Says anew what is read where nothing was copied. Of ranges that overlap, only the first is taken.
    pub fn set_uncopied(&mut self, mut behind: Vec<Uncopied>) {
        behind.retain(|behind| behind.range.start < behind.range.end);
        behind.sort_by_key(|behind| behind.range.start);
        let mut end = Addr::NULL;
        behind.retain(|behind| {
            // A file's part begins where its range does, so that a range which is cut at its front would be another part.
            let fits = behind.range.start >= end;
            end = end.max(behind.range.end);
            fits
        });
        let all = behind.iter().map(|behind| behind.range.clone());
        self.regions = merge_overlapping(self.runs.iter().map(CopiedRun::range).chain(all).collect());
        self.behind = behind;
    }

    /// How many bytes were copied.
    #[must_use]
    pub fn copied_bytes(&self) -> u64 {
        self.runs.iter().map(|run| (run.pages * PAGE_SIZE) as u64).sum()
    }

    /// The buffers, for the next copy.
    #[must_use]
    pub fn into_buffers(self) -> CopyBuffer {
        self.bytes
    }
}

impl Memory for FrozenMemory {
    fn read(&self, at: Addr, into: &mut [u8]) -> Result<(), Unreadable> {
        let mut from = at;
        let mut rest = into;
        while !rest.is_empty() {
            let length = (PAGE_SIZE - (from.0 as usize & (PAGE_SIZE - 1))).min(rest.len());
            let Some((part, after)) = rest.split_at_mut_checked(length) else { break };
            self.read_within_page(from, part).ok_or(Unreadable { at })?;
            // Addresses do not go round: nothing is at the end of the address space.
            from = from.plus(length as u64);
            rest = after;
        }
        Ok(())
    }

    fn slice(&self, at: Addr, length: usize) -> Option<&[u8]> {
        if let Some(place) = self.place(at) {
            let within = at.0 as usize & (PAGE_SIZE - 1);
            // Pages that follow each other in the target mostly do so in the copy too.
            let further = (within.checked_add(length)?).saturating_sub(1) / PAGE_SIZE;
            let adjoins = |page: usize| {
                self.place(at.plus((page * PAGE_SIZE) as u64)) == Some(place + page * PAGE_SIZE)
            };
            return if (1..=further).all(adjoins) { self.bytes.get(place..)?.get(..length) } else { None };
        }
        let behind = self.behind_at(at)?;
        let skipped = at.0 - behind.range.start.0;
        match &behind.backing {
            // Of one page alone, so that none is passed over that was copied.
            _ if length > PAGE_SIZE - (at.0 as usize & (PAGE_SIZE - 1)) => None,
            Backing::Zeros => ZEROS.get(..length),
            Backing::File(constant) => constant.slice(skipped, length),
        }
    }

    fn regions(&self) -> &[Range<Addr>] {
        &self.regions
    }

    fn written_regions(&self) -> Vec<Range<Addr>> {
        let files = self.behind.iter().filter(|behind| matches!(behind.backing, Backing::File(_)));
        let parts = self.runs.iter().map(CopiedRun::range).chain(files.map(|of| of.range.clone()));
        ranges::merge_nearby(parts.collect(), &self.regions)
    }

    #[inline]
    fn read_u8(&self, at: Addr) -> Result<u8, Unreadable> {
        self.bytes_at(at).map(u8::from_le_bytes)
    }

    #[inline]
    fn read_u16(&self, at: Addr) -> Result<u16, Unreadable> {
        self.bytes_at(at).map(u16::from_le_bytes)
    }

    #[inline]
    fn read_u32(&self, at: Addr) -> Result<u32, Unreadable> {
        self.bytes_at(at).map(u32::from_le_bytes)
    }

    #[inline]
    fn read_u64(&self, at: Addr) -> Result<u64, Unreadable> {
        self.bytes_at(at).map(u64::from_le_bytes)
    }
}

/// More bytes than there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the copy is larger than the room that was made for it")]
pub struct BufferFull;

/// A copy in the making.
#[derive(Debug, Default)]
pub struct CopyBuilder {
    bytes: CopyBuffer,
    used: usize,
    runs: Vec<CopiedRun>,
}

impl CopyBuilder {
    /// Begins a copy in prepared buffers.
    #[must_use]
    pub const fn new(bytes: CopyBuffer) -> Self {
        Self { bytes, used: 0, runs: Vec::new() }
    }

    /// The place for the pages from `at` (the beginning of a page) on, to be written by the caller. What was in it before is still in it.
    ///
    /// # Errors
    /// If there is no room for them.
    pub fn pages(&mut self, at: Addr, pages: usize) -> Result<&mut [u8], BufferFull> {
        let length = pages.checked_mul(PAGE_SIZE).ok_or(BufferFull)?;
        let place = self.bytes.part_mut(self.used, length).ok_or(BufferFull)?;
        self.used += length;
        match self.runs.last_mut().filter(|last| last.at.plus((last.pages * PAGE_SIZE) as u64) == at) {
            Some(last) => last.pages += pages,
            None => self.runs.push(CopiedRun { at, pages }),
        }
        Ok(place)
    }

    /// The last `bytes` that were given a place, whatever runs they are of; `None` if there are not so many.
    pub fn last_mut(&mut self, bytes: usize) -> Option<&mut [u8]> {
        self.bytes.part_mut(self.used.checked_sub(bytes)?, bytes)
    }

    /// Gives the copy up: the buffers, for another one.
    #[must_use]
    pub fn into_buffers(self) -> CopyBuffer {
        self.bytes
    }

    /// Takes back the last `pages` pages: they could not be read.
    pub fn take_back(&mut self, pages: usize) {
        let mut left = pages;
        while let Some(last) = self.runs.last_mut().filter(|_| left > 0) {
            let taken = left.min(last.pages);
            last.pages -= taken;
            left -= taken;
            self.used = self.used.saturating_sub(taken * PAGE_SIZE);
            if last.pages == 0 {
                self.runs.pop();
            }
        }
    }

    /// How many bytes were given a place.
    #[must_use]
    pub const fn used_bytes(&self) -> usize {
        self.used
    }

    /// The copy, with what is behind it; see [`FrozenMemory::set_behind`].
    #[must_use]
    pub fn finish(self, behind: Vec<Uncopied>) -> FrozenMemory {
        let mut top = vec![0_u32; 1 << (ADDRESS_BITS - LEAF_BITS)];
        let mut leaves = vec![0_u32; LEAF];
        let mut number = 0_u32;
        for run in &self.runs {
            for page in 0..run.pages as u64 {
                number = number.saturating_add(1);
                let at = run.at.plus(page << PAGE_BITS);
                let Some(leaf) = top.get_mut((at.0 >> LEAF_BITS) as usize) else { continue };
                if *leaf == 0 {
                    *leaf = u32::try_from(leaves.len() / LEAF).unwrap_or(0);
                    leaves.resize(leaves.len() + LEAF, 0);
                }
                let entry = *leaf as usize * LEAF + ((at.0 >> PAGE_BITS) as usize & (LEAF - 1));
                if let Some(entry) = leaves.get_mut(entry) {
                    *entry = number;
                }
            }
        }

        let (bytes, runs) = (self.bytes, self.runs);
        let mut frozen = FrozenMemory { bytes, runs, top, leaves, behind: Vec::new(), regions: Vec::new() };
        frozen.set_uncopied(behind);
        frozen
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use super::*;

    const ANONYMOUS: Addr = Addr(0x7f00_0000_0000);
    const MAPPED: Addr = Addr(0x5000_0000);

    /// Two pages copied, an untouched one between them, and a file of 5,000 bytes.
    fn frozen() -> FrozenMemory {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 5000]).unwrap();
        let mut buffers = CopyBuffer::new();
        buffers.prepare(3 * PAGE_SIZE).unwrap();
        let mut filling = CopyBuilder::new(buffers);
        filling.pages(ANONYMOUS, 1).unwrap().fill(1);
        filling.pages(ANONYMOUS.plus(2 * PAGE_SIZE as u64), 1).unwrap().fill(2);
        filling.pages(ANONYMOUS.plus(3 * PAGE_SIZE as u64), 1).unwrap().fill(3);
        let file = Backing::File(Arc::new(FilePart::new(Arc::new(file), 0, 3 * PAGE_SIZE as u64)));
        filling.finish(vec![
            Uncopied { range: ANONYMOUS..ANONYMOUS.plus(8 * PAGE_SIZE as u64), backing: Backing::Zeros },
            Uncopied { range: MAPPED..MAPPED.plus(3 * PAGE_SIZE as u64), backing: file },
        ])
    }

    #[test]
    fn copied_untouched_and_file_pages_are_read_alike_and_across_their_ends() {
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
    fn what_is_not_there_is_not_readable_however_hostile_its_address() {
        let frozen = frozen();
        let end = ANONYMOUS.plus(8 * PAGE_SIZE as u64);
        for at in
            [0, 8, 0x4fff_ffff, end.0, end.0 - 7, 1 << 47, u64::MAX, u64::MAX - 7, 0xffff_8000_0000_0000]
        {
            assert_eq!(frozen.read_u64(Addr(at)), Err(Unreadable { at: Addr(at) }), "{at:#x}");
            assert_eq!(frozen.slice(Addr(at), usize::MAX), None);
        }
        assert_eq!(frozen.regions(), [MAPPED..MAPPED.plus(3 * PAGE_SIZE as u64), ANONYMOUS..end]);
    }

    #[test]
    fn what_was_written_are_copied_pages_and_files() {
        let frozen = frozen();
        let copied = ANONYMOUS..ANONYMOUS.plus(4 * PAGE_SIZE as u64);
        assert_eq!(frozen.written_regions(), [MAPPED..MAPPED.plus(3 * PAGE_SIZE as u64), copied]);
    }

    #[test]
    fn a_slice_is_what_lies_in_one_piece() {
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
    fn pages_are_taken_back_from_the_end_and_room_is_not_exceeded() {
        let mut buffers = CopyBuffer::new();
        buffers.prepare(PAGE_SIZE).unwrap();
        let room = buffers.len() / PAGE_SIZE;
        let mut filling = CopyBuilder::new(buffers);
        assert_eq!(filling.pages(ANONYMOUS, room + 1), Err(BufferFull));
        assert_eq!(filling.pages(ANONYMOUS, usize::MAX), Err(BufferFull));
        filling.pages(ANONYMOUS, 1).unwrap().fill(1);
        filling.pages(MAPPED, 3).unwrap().fill(2);
        filling.take_back(2);
        filling.pages(ANONYMOUS.plus(PAGE_SIZE as u64), 1).unwrap().fill(3);
        let frozen = filling.finish(Vec::new());
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
}
