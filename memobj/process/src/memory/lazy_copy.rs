//! The memory of a process that runs, copied where it is read: it shows no single moment, and knows which pages were read.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::address_table::AddressTable;
use super::page_index::{PageUse, append};
use super::{FrozenMemory, Memory, PAGE_SIZE, Unreadable};
use crate::addr::Addr;

/// A block is copied by one read: 16 pages.
const BLOCK_BITS: u32 = 16;
const BLOCK_BYTES: u64 = 1 << BLOCK_BITS;
const BLOCK: usize = 1 << BLOCK_BITS;
const PAGES: u64 = (BLOCK / PAGE_SIZE) as u64;

/// Some pages of 64 KiB of addresses.
#[derive(Default)]
struct Block {
    /// The pages that belong to the copy, one bit each.
    own: u16,
    /// Their bytes, once one was read; `None` in it if they cannot be read.
    bytes: OnceLock<Option<Box<[u8]>>>,
}

impl Block {
    fn is_own(&self, at: Addr) -> bool {
        self.own & page_bit(at) != 0
    }
}

fn page_bit(at: Addr) -> u16 {
    1 << (at.0 / PAGE_SIZE as u64 % PAGES)
}

/// The memory of a process, of which the pages that have content of their own are copied when they are read.
pub struct LazyCopy<'m> {
    /// To copy from.
    source: &'m dyn Memory,
    /// A copy without these pages, for reads of other ones.
    others: FrozenMemory,
    blocks: AddressTable<Block, BLOCK_BITS>,
    /// Bytes that may still be copied.
    left: AtomicU64,
}

impl<'m> LazyCopy<'m> {
    /// Copies `pages` from `source` and reads all other ones from `others`, a copy without them. Once `limit` bytes are exceeded, no more can be read.
    #[must_use]
    pub fn new(source: &'m dyn Memory, others: FrozenMemory, pages: &[Range<Addr>], limit: u64) -> Self {
        let mut blocks: AddressTable<Block, BLOCK_BITS> = AddressTable::new();
        for at in pages.iter().flat_map(|range| (range.start.0..range.end.0).step_by(PAGE_SIZE)).map(Addr) {
            if let Some(block) = blocks.get_mut(at) {
                block.own |= page_bit(at);
            }
        }
        Self { source, others, blocks, left: AtomicU64::new(limit) }
    }

    /// The pages that were not read so far, in whole blocks; `None` if too many were.
    #[must_use]
    pub fn unread(&self) -> Option<PageUse> {
        let mut usage = PageUse::default();
        for (at, block) in self.blocks.iter().filter(|(_, block)| block.bytes.get().is_none()) {
            let pages = (0..PAGES).map(|page| at.plus(page * PAGE_SIZE as u64));
            pages.filter(|&at| block.is_own(at)).for_each(|at| append(&mut usage.unread, at));
        }
        (self.left.load(Ordering::Relaxed) > 0).then_some(usage)
    }

    /// The bytes at `at`, if they are in pages of one block that are copied.
    fn part(&self, at: Addr, length: usize) -> Option<&[u8]> {
        let block = self.blocks.get(at)?;
        let offset = (at.0 % BLOCK_BYTES) as usize;
        let end = offset.checked_add(length).filter(|&end| end <= BLOCK)?;
        let is_own = |page: usize| block.own & (1 << page) != 0;
        if !(offset / PAGE_SIZE..end.div_ceil(PAGE_SIZE)).all(is_own) {
            return None;
        }
        let bytes = block.bytes.get_or_init(|| self.copy(block, at.minus(offset as u64)));
        bytes.as_ref()?.get(offset..end)
    }

    fn copy(&self, block: &Block, at: Addr) -> Option<Box<[u8]>> {
        let size = u64::from(block.own.count_ones()) * PAGE_SIZE as u64;
        let take = |left: u64| Some(left.saturating_sub(size));
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).unwrap_or_default();
        if left < size {
            return None;
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(BLOCK).ok()?;
        bytes.resize(BLOCK, 0);
        let mut bytes = bytes.into_boxed_slice();
        if block.own == u16::MAX && self.source.read(at, &mut bytes).is_ok() {
            return Some(bytes);
        }
        for (at, page) in at.page_parts(&mut bytes).filter(|&(at, _)| block.is_own(at)) {
            self.source.read(at, page).ok()?;
        }
        Some(bytes)
    }
}

impl Memory for LazyCopy<'_> {
    fn read(&self, at: Addr, into: &mut [u8]) -> Result<(), Unreadable> {
        if let Some(bytes) = self.part(at, into.len()) {
            into.copy_from_slice(bytes);
            return Ok(());
        }
        at.page_parts(into).try_for_each(|(at, part)| {
            if self.blocks.get(at).is_some_and(|block| block.is_own(at)) {
                part.copy_from_slice(self.part(at, part.len()).ok_or(Unreadable { at })?);
                return Ok(());
            }
            self.others.read(at, part)
        })
    }

    fn slice(&self, at: Addr, length: usize) -> Option<&[u8]> {
        self.part(at, length)
    }

    fn regions(&self) -> &[Range<Addr>] {
        self.others.regions()
    }

    fn written_regions(&self) -> Vec<Range<Addr>> {
        self.others.written_regions()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Backing, CopyBuilder, FakeMemory, Uncopied};

    const AT: Addr = Addr(0x7f00_0000_0000);

    fn page(number: u64) -> Addr {
        AT.plus(number * PAGE_SIZE as u64)
    }

    /// Three blocks of fives; the second one lacks a page in the copy, which was never written to.
    fn memories() -> (FakeMemory, FrozenMemory, [Range<Addr>; 2]) {
        let mut source = FakeMemory::new();
        source.put(AT, &[5; 3 * BLOCK]);
        let own = [AT..page(20), page(21)..page(48)];
        let mut builder = CopyBuilder::default();
        own.iter().for_each(|pages| builder.skip(pages.clone()));
        let others = builder.finish(vec![Uncopied { range: AT..page(48), backing: Backing::Zeros }]);
        (source, others, own)
    }

    #[test]
    fn blocks_that_are_read_are_copied() {
        let (source, others, own) = memories();
        let copy = LazyCopy::new(&source, others, &own, 1 << 20);
        assert_eq!(copy.unread().unwrap().unread, own);
        assert_eq!(copy.read_u64(page(16).minus(4)), Ok(0x0505_0505_0505_0505));
        assert_eq!(copy.read_u64(page(20).minus(4)), Ok(0x0505_0505));
        assert_eq!(copy.read_u64(page(21).minus(4)), Ok(0x0505_0505_0000_0000));
        assert_eq!(copy.slice(page(1).minus(4), 8), Some(&[5; 8][..]));
        assert!(copy.slice(page(16).minus(4), 8).is_none() && copy.slice(page(20), 1).is_none());
        for at in [page(48), page(20).minus(AT.0), Addr(u64::MAX), Addr(1 << 47)] {
            assert!(copy.read_u64(at).is_err() && copy.slice(at, usize::MAX).is_none(), "{at}");
        }
        assert_eq!(copy.unread(), Some(PageUse { unread: vec![page(32)..page(48)], missed: vec![] }));
    }

    #[test]
    fn nothing_is_copied_beyond_the_limit() {
        let (source, others, own) = memories();
        let copy = LazyCopy::new(&source, others, &own, 32 * PAGE_SIZE as u64);
        assert!(copy.read_u8(AT).is_ok() && copy.read_u8(page(17)).is_ok() && copy.unread().is_some());
        assert!(copy.read_u8(page(32)).is_err() && copy.unread().is_none());
    }
}
