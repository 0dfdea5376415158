//! Finds the copy of a page by its address, and knows which pages were read.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::PAGE_SIZE;
use super::address_table::AddressTable;
use crate::addr::Addr;

const PAGE_BITS: u32 = PAGE_SIZE.ilog2();

/// This bit of an entry says that the page was not read yet. So the test whether it must be noted is one comparison.
const UNREAD: u32 = 1 << 31;
/// Entries of pages that were left out of the copy: not read, and read in vain.
const SKIPPED: u32 = u32::MAX;
const MISSED: u32 = u32::MAX - 1;

/// The pages of a copy that were read and that were not, by address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageUse {
    /// Pages of the process that were not read, copied or not.
    pub unread: Vec<Range<Addr>>,
    /// Pages that were read, but left out of the copy.
    pub missed: Vec<Range<Addr>>,
}

/// The number of the copy of each page, by address.
#[derive(Debug, Default)]
pub(super) struct PageIndex {
    /// The number of each page in the copy, counted from 1; 0 for none.
    pages: AddressTable<AtomicU32, PAGE_BITS>,
    has_missed: AtomicBool,
}

impl PageIndex {
    /// Creates an index of no pages.
    pub fn new() -> Self {
        Self { pages: AddressTable::new(), has_missed: AtomicBool::new(false) }
    }

    fn set(&mut self, at: Addr, entry: u32) {
        if let Some(place) = self.pages.get_mut(at) {
            *place.get_mut() = entry;
        }
    }

    /// Adds consecutive pages whose copies have the numbers from `first` on, counted from 1.
    pub fn add(&mut self, at: Addr, pages: usize, first: u32) {
        for (number, page) in (first..SKIPPED & !UNREAD).zip(0..pages as u64) {
            self.set(at.plus(page << PAGE_BITS), number | UNREAD);
        }
    }

    /// Adds consecutive pages that were left out.
    pub fn skip(&mut self, pages: &Range<Addr>) {
        (pages.start.0..pages.end.0).step_by(PAGE_SIZE).for_each(|at| self.set(Addr(at), SKIPPED));
    }

    /// The offset of `at` in the copy, if its page was copied. Notes that the page was read.
    #[inline]
    pub fn offset_of(&self, at: Addr) -> Option<usize> {
        let entry = self.pages.get(at)?;
        let mut number = entry.load(Ordering::Relaxed);
        if number >= UNREAD {
            number = self.note(entry, number)?;
        }
        Some(((number.checked_sub(1)? as usize) << PAGE_BITS) | at.page_offset())
    }

    /// Notes the first read of a page, or any of one that was left out.
    #[cold]
    fn note(&self, entry: &AtomicU32, number: u32) -> Option<u32> {
        if number >= MISSED {
            entry.store(MISSED, Ordering::Relaxed);
            self.has_missed.store(true, Ordering::Relaxed);
            return None;
        }
        entry.store(number & !UNREAD, Ordering::Relaxed);
        Some(number & !UNREAD)
    }

    /// Whether the page of `at` was left out.
    pub fn is_skipped(&self, at: Addr) -> bool {
        self.pages.get(at).is_some_and(|entry| entry.load(Ordering::Relaxed) >= MISSED)
    }

    /// Whether a page was read that was left out.
    pub fn has_missed(&self) -> bool {
        self.has_missed.load(Ordering::Relaxed)
    }

    /// The pages that were read and that were not.
    pub fn usage(&self) -> PageUse {
        let mut usage = PageUse::default();
        for (at, entry) in self.pages.iter() {
            match entry.load(Ordering::Relaxed) {
                MISSED => append(&mut usage.missed, at),
                unread if unread >= UNREAD => append(&mut usage.unread, at),
                _ => {}
            }
        }
        usage
    }
}

/// Adds a page behind all others.
pub(super) fn append(ranges: &mut Vec<Range<Addr>>, at: Addr) {
    let end = at.plus(PAGE_SIZE as u64);
    match ranges.last_mut().filter(|last| last.end == at) {
        Some(last) => last.end = end,
        None => ranges.push(at..end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Addr = Addr(0x7f00_00ff_e000);

    fn page(number: u64) -> Addr {
        AT.plus(number * PAGE_SIZE as u64)
    }

    #[test]
    fn usage_has_unread_and_missed_pages() {
        let mut index = PageIndex::new();
        // Across the border of two leaves.
        index.add(AT, 4, 1);
        index.skip(&(page(4)..page(7)));
        assert_eq!(index.usage(), PageUse { unread: vec![AT..page(7)], missed: vec![] });
        assert_eq!(index.offset_of(page(2).plus(5)), Some(2 * PAGE_SIZE + 5));
        assert_eq!(index.offset_of(page(2)), Some(2 * PAGE_SIZE));
        assert!(!index.has_missed() && index.is_skipped(page(5)) && !index.is_skipped(page(3)));
        assert_eq!((index.offset_of(page(5)), index.offset_of(page(9))), (None, None));
        assert!(index.has_missed() && index.is_skipped(page(5)) && index.offset_of(page(5)).is_none());
        let unread = vec![AT..page(2), page(3)..page(5), page(6)..page(7)];
        assert_eq!(index.usage(), PageUse { unread, missed: vec![page(5)..page(6)] });
    }

    #[test]
    fn hostile_addresses_have_no_page() {
        let mut index = PageIndex::new();
        index.skip(&(Addr(u64::MAX - 5)..Addr(u64::MAX)));
        index.add(Addr(1 << 48), 2, 1);
        for at in [0, 1 << 48, u64::MAX, 0xffff_8000_0000_0000] {
            assert!(index.offset_of(Addr(at)).is_none() && !index.is_skipped(Addr(at)), "{at:#x}");
        }
        assert_eq!(index.usage(), PageUse::default());
        assert!(PageIndex::default().offset_of(AT).is_none());
    }
}
