//! Memory read page by page through a bounded cache, where each read is a system call.
//!
//! Pages are read at different moments, so their contents need not agree: callers check the values they read. Only requested pages are
//! read, never their neighbours: reading a page that the process never touched would allocate it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::cache::{Cache, Health, Limits};

use super::proc_mem::read_scattered;
use super::{Memory, PAGE_SIZE, Unreadable};
use crate::addr::Addr;

/// Pages that one system call reads at most. More gave no gain when measured; the kernel's limit is 1,024.
const PAGES_A_CALL: usize = 256;

/// Counters of the reads of a [`PageCache`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadCounts {
    /// Calls that read the memory below.
    pub calls: u64,
    /// Pages that these calls read.
    pub pages: u64,
    /// Reads that failed, mostly at addresses that were already stale.
    pub rejected: u64,
}

/// Another memory, read through a page cache.
pub struct PageCache<'m> {
    source: &'m dyn Memory,
    written: Vec<Range<Addr>>,
    pages: Cache<u64, Arc<[u8]>>,
    /// The process whose pages may be read several at a time; see [`with_batches`](Self::with_batches).
    batch_pid: Option<u32>,
    calls: AtomicU64,
    read_pages: AtomicU64,
    rejected: AtomicU64,
}

impl<'m> PageCache<'m> {
    /// Creates an empty cache of at most `limit_bytes` over `source`.
    #[must_use]
    pub fn new(source: &'m dyn Memory, limit_bytes: u64) -> Self {
        Self {
            source,
            written: source.written_regions(),
            pages: Cache::new(Limits::new(limit_bytes)),
            batch_pid: None,
            calls: AtomicU64::new(0),
            read_pages: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
        }
    }

    /// Lets [`prefetch`](Memory::prefetch) read several pages of process `pid` by one process_vm_readv(2). That call gives the process its
    /// own copy of each page that it shares with a fork, so use it only where nothing is shared.
    #[must_use]
    pub fn with_batches(self, pid: u32) -> Self {
        Self { batch_pid: Some(pid), ..self }
    }

    /// Sets the result of [`written_regions`](Memory::written_regions).
    #[must_use]
    pub fn with_written_regions(self, written: Vec<Range<Addr>>) -> Self {
        Self { written, ..self }
    }

    /// Drops all pages, so that the next reads see current bytes.
    pub fn clear_cache(&self) {
        self.pages.clear();
    }

    /// The counters so far.
    #[must_use]
    pub fn counts(&self) -> ReadCounts {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ReadCounts { calls: load(&self.calls), pages: load(&self.read_pages), rejected: load(&self.rejected) }
    }

    /// The cache's health report.
    #[must_use]
    pub fn health(&self) -> Health {
        self.pages.health()
    }

    fn page(&self, number: u64) -> Option<Arc<[u8]>> {
        if let Some(page) = self.pages.get(&number) {
            return Some(page);
        }
        let mut bytes = [0; PAGE_SIZE];
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.source.read(page_addr(number), &mut bytes).ok()?;
        Some(self.insert(number, &bytes))
    }

    fn insert(&self, number: u64, bytes: &[u8]) -> Arc<[u8]> {
        let page: Arc<[u8]> = bytes.into();
        self.read_pages.fetch_add(1, Ordering::Relaxed);
        self.pages.insert(number, Arc::clone(&page));
        page
    }

    /// Reads these pages by one call, up to the first that cannot be read.
    fn fetch(&self, pid: u32, numbers: &BTreeSet<u64>, buffer: &mut [u8]) {
        let Some(into) = buffer.get_mut(..numbers.len() * PAGE_SIZE) else { return };
        let parts: Vec<(Addr, usize)> = numbers.iter().map(|&page| (page_addr(page), PAGE_SIZE)).collect();
        self.calls.fetch_add(1, Ordering::Relaxed);
        let read = read_scattered(pid, &parts, into).unwrap_or(0) / PAGE_SIZE;
        for (&number, bytes) in numbers.iter().zip(into.chunks_exact(PAGE_SIZE)).take(read) {
            self.insert(number, bytes);
        }
    }

    fn read_part(&self, at: Addr, into: &mut [u8]) -> Option<()> {
        let page = self.page(at.0 / PAGE_SIZE as u64)?;
        into.copy_from_slice(page.get(at.page_offset()..)?.get(..into.len())?);
        Some(())
    }
}

impl Memory for PageCache<'_> {
    fn read(&self, at: Addr, into: &mut [u8]) -> Result<(), Unreadable> {
        let cached = at.page_parts(into).try_for_each(|(at, part)| self.read_part(at, part));
        if cached.is_some() {
            return Ok(());
        }
        // The range may end within a page that is not readable as a whole.
        let read = self.source.read(at, into);
        self.rejected.fetch_add(read.is_err().into(), Ordering::Relaxed);
        read
    }

    fn regions(&self) -> &[Range<Addr>] {
        self.source.regions()
    }

    fn written_regions(&self) -> Vec<Range<Addr>> {
        self.written.clone()
    }

    fn prefetch(&self, wanted: &mut dyn Iterator<Item = Range<Addr>>) {
        let Some(pid) = self.batch_pid else { return };
        let mut missing = BTreeSet::new();
        let mut buffer = Vec::new();
        let mut fetch = |missing: &mut BTreeSet<u64>| {
            buffer.resize(PAGES_A_CALL * PAGE_SIZE, 0);
            self.fetch(pid, missing, &mut buffer);
            missing.clear();
        };
        for range in wanted {
            let first = range.start.0 / PAGE_SIZE as u64;
            let last = range.end.0.saturating_sub(1).max(range.start.0) / PAGE_SIZE as u64;
            // A hostile range may claim to be huge.
            for number in (first..=last).take(PAGES_A_CALL) {
                if self.pages.get(&number).is_none() {
                    missing.insert(number);
                }
                if missing.len() == PAGES_A_CALL {
                    fetch(&mut missing);
                }
            }
        }
        if !missing.is_empty() {
            fetch(&mut missing);
        }
    }
}

fn page_addr(number: u64) -> Addr {
    Addr(number.wrapping_mul(PAGE_SIZE as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::FakeMemory;

    /// Counts its reads; its memory ends within a page.
    struct Counted(FakeMemory, AtomicU64);

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
    fn each_page_is_read_once() {
        let bytes: Vec<u8> = (0..3 * PAGE_SIZE + 100).map(|place| (place * 7 % 251) as u8).collect();
        let mut memory = FakeMemory::new();
        memory.put(Addr(0x1000), &bytes);
        let counted = Counted(memory, AtomicU64::new(0));
        let cached = PageCache::new(&counted, 1 << 20);
        for (at, length) in [
            (0, 8),
            (PAGE_SIZE - 3, 8),
            (2 * PAGE_SIZE - 1, 1),
            (17, 100),
            (PAGE_SIZE, PAGE_SIZE),
            (5, 2 * PAGE_SIZE),
        ] {
            let mut read = vec![0; length];
            cached.read(Addr(0x1000 + at as u64), &mut read).unwrap();
            assert_eq!(read, bytes[at..at + length], "{at} {length}");
        }
        assert_eq!(counted.1.load(Ordering::Relaxed), 3, "three pages");
        assert_eq!(cached.counts(), ReadCounts { calls: 3, pages: 3, rejected: 0 });
        // The last page is readable in part.
        let mut read = [0; 8];
        cached.read(Addr((0x1000 + 3 * PAGE_SIZE + 90) as u64), &mut read).unwrap();
        assert_eq!(read, bytes[3 * PAGE_SIZE + 90..][..8]);
        for at in [0, 0xfff, (END - 4) as u64, u64::MAX - 3] {
            assert!(cached.read(Addr(at), &mut read).is_err(), "{at:#x}");
        }
        assert_eq!(cached.counts().rejected, 4);
    }
}
