//! Memory of which whole pages are kept for a moment: where each read is a system call, and many are close to each other.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::{Memory, PAGE_SIZE, Unreadable};
use crate::addr::Addr;

/// The most pages that are kept: 4 MiB. When there are more, all are let go.
const MOST_PAGES: usize = 1024;

/// Another memory, read page by page. What was read once is not read again, so it lasts as long as one look at a process does.
pub struct Paged<'m> {
    under: &'m dyn Memory,
    pages: Mutex<HashMap<u64, Box<[u8]>>>,
}

impl<'m> Paged<'m> {
    /// Reads `under`; nothing of it is kept yet.
    #[must_use]
    pub fn new(under: &'m dyn Memory) -> Self {
        Self { under, pages: Mutex::default() }
    }

    /// Fills `into` from the page `number`, `within` bytes behind its beginning; `None` if the page cannot be read whole.
    fn read_page(&self, number: u64, within: usize, into: &mut [u8]) -> Option<()> {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if !pages.contains_key(&number) {
            let mut page = vec![0; PAGE_SIZE].into_boxed_slice();
            self.under.read(Addr(number.wrapping_mul(PAGE_SIZE as u64)), &mut page).ok()?;
            if pages.len() >= MOST_PAGES {
                pages.clear();
            }
            pages.insert(number, page);
        }
        let bytes = pages.get(&number)?.get(within..)?.get(..into.len())?;
        into.copy_from_slice(bytes);
        Some(())
    }
}

impl Memory for Paged<'_> {
    fn read(&self, at: Addr, into: &mut [u8]) -> Result<(), Unreadable> {
        if into.len() > PAGE_SIZE {
            return self.under.read(at, into);
        }
        let within = at.0 as usize % PAGE_SIZE;
        let (first, second) = into.split_at_mut((PAGE_SIZE - within).min(into.len()));
        let number = at.0 / PAGE_SIZE as u64;
        let read = self.read_page(number, within, first).and_then(|()| {
            if second.is_empty() { Some(()) } else { self.read_page(number.checked_add(1)?, 0, second) }
        });
        read.map_or_else(|| self.under.read(at, into), |()| Ok(()))
    }

    fn regions(&self) -> &[Range<Addr>] {
        self.under.regions()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::memory::FakeMemory;

    /// ReadCounts what is asked of it, and ends within a page.
    struct Counted(FakeMemory, AtomicUsize);

    const END: usize = 0x1000 + 3 * PAGE_SIZE + 100;

    impl Memory for Counted {
        fn read(&self, at: Addr, into: &mut [u8]) -> Result<(), Unreadable> {
            self.1.fetch_add(1, Ordering::Relaxed);
            if at.plus(into.len() as u64) > Addr(END as u64) {
                return Err(Unreadable { at });
            }
            self.0.read(at, into)
        }

        fn regions(&self) -> &[Range<Addr>] {
            self.0.regions()
        }
    }

    #[test]
    fn reads_are_those_of_what_is_below_and_pages_are_asked_for_once() {
        let bytes: Vec<u8> = (0..3 * PAGE_SIZE + 100).map(|place| (place * 7 % 251) as u8).collect();
        let mut image = FakeMemory::new();
        image.put(Addr(0x1000), &bytes);
        let counted = Counted(image, AtomicUsize::new(0));
        let paged = Paged::new(&counted);
        for (at, length) in [
            (0, 8),
            (PAGE_SIZE - 3, 8),
            (2 * PAGE_SIZE - 1, 1),
            (17, 100),
            (PAGE_SIZE, PAGE_SIZE),
            (5, 2 * PAGE_SIZE),
        ] {
            let mut read = vec![0; length];
            paged.read(Addr(0x1000 + at as u64), &mut read).unwrap();
            assert_eq!(read, bytes[at..at + length], "{at} {length}");
        }
        assert_eq!(counted.1.load(Ordering::Relaxed), 3, "two pages, and what is longer than one");
        // Of a page that is not all there.
        let mut read = [0; 8];
        paged.read(Addr((0x1000 + 3 * PAGE_SIZE + 90) as u64), &mut read).unwrap();
        assert_eq!(read, bytes[3 * PAGE_SIZE + 90..][..8]);
        for at in [0, 0xfff, (END - 4) as u64, u64::MAX - 3] {
            assert!(paged.read(Addr(at), &mut read).is_err(), "{at:#x}");
        }
    }
}
