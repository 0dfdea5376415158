//! Chunks that were given back and wait in fast bins and threads' caches: by their headers they are in use.
//!
//! Facts: `fastbinsY`, `tcache_perthread_struct`, `PROTECT_PTR` in malloc/malloc.c of glibc 2.27 to the development branch after 2.42.
//! From 2.32 on the pointer to the next chunk in a list is XORed with the address it is kept at, shifted by 12 bits.

use std::cell::Cell;
use std::collections::HashSet;

use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use super::chunks::{ALIGNMENT, SIZE};

/// A thread's cache: how many lists it has, and how many bytes each count of them takes.
#[derive(Debug, Clone, Copy)]
struct TcacheLayout {
    lists: u64,
    count_bytes: u64,
}

/// 2.27 to 2.29, 2.30 to 2.41, from 2.42 on.
const CACHES: [TcacheLayout; 3] = [
    TcacheLayout { lists: 64, count_bytes: 1 },
    TcacheLayout { lists: 64, count_bytes: 2 },
    TcacheLayout { lists: 76, count_bytes: 2 },
];
/// FreeLists of chunks of one size: 32 bytes, and 16 more for each.
const SMALL_LISTS: u64 = 64;
/// `MINSIZE`.
const SMALLEST: u64 = 32;

impl TcacheLayout {
    /// `sizeof(tcache_perthread_struct)`.
    const fn bytes(self) -> u64 {
        self.lists * (self.count_bytes + 8)
    }

    /// What a chunk of that size takes.
    const fn chunk_bytes(self) -> u64 {
        (self.bytes() + SIZE).next_multiple_of(ALIGNMENT)
    }
}

/// Whether a chunk of that many bytes may be a thread's cache.
pub(super) fn may_be_cache(chunk_bytes: u64) -> bool {
    CACHES.iter().any(|cache| cache.chunk_bytes() == chunk_bytes)
}

/// Follows lists of cached chunks; `chunk` says whether one can begin at an address, and how many bytes it has.
pub(super) struct FreeLists<'a, M: ?Sized, F> {
    pub memory: &'a M,
    pub chunk: F,
    /// Every chunk that was found in a list, so that none is followed twice.
    pub found: HashSet<Addr>,
    /// How many chunks may still be looked at: lists that lead through the whole heap, one like the other, must not keep us.
    pub steps: Cell<u64>,
}

impl<M: Memory + ?Sized, F: Fn(Addr) -> Option<u64>> FreeLists<'_, M, F> {
    /// The chunks of a fast bin whose head is at `head`.
    ///
    /// # Errors
    /// If the head cannot be read.
    pub(super) fn read_fast_bin(&mut self, head: Addr) -> Result<(), Unreadable> {
        let first = self.memory.read_addr(head)?;
        // The links lead from chunk to chunk, not from bytes to bytes.
        let chunks = self.follow(first, 2 * SIZE, None).unwrap_or_default();
        self.found.extend(chunks);
        Ok(())
    }

    /// The chunks in the cache whose bytes begin at `at` in a chunk of `chunk_bytes`; none if that is no cache.
    pub(super) fn read_cache(&mut self, at: Addr, chunk_bytes: u64) {
        let found = CACHES
            .iter()
            .filter(|cache| cache.chunk_bytes() == chunk_bytes)
            .find_map(|cache| self.read_lists(at, *cache));
        self.found.extend(found.unwrap_or_default());
    }

    /// All lists of a cache; `None` if one of them cannot be a list: then it is other data.
    fn read_lists(&self, at: Addr, cache: TcacheLayout) -> Option<Vec<Addr>> {
        let mut all = Vec::new();
        for list in 0..cache.lists {
            let count = at.plus(list * cache.count_bytes);
            let count = if cache.count_bytes == 1 {
                self.memory.read_u8(count).map(u16::from)
            } else {
                self.memory.read_u16(count)
            };
            let first = self.memory.read_addr(at.plus(cache.lists * cache.count_bytes + list * 8)).ok()?;
            if first.is_null() {
                continue;
            }
            let size = (list < SMALL_LISTS).then_some(SMALLEST + list * ALIGNMENT);
            let chunks = self.follow(first, 0, size)?;
            // How many there are; from 2.42 on how many more may be added.
            if cache.lists == SMALL_LISTS && chunks.len() != usize::from(count.ok()?) {
                return None;
            }
            all.extend(chunks);
        }
        Some(all)
    }

    /// The chunks of a list: plain pointers, or protected ones. `link` is how far behind the place a pointer names the next pointer is.
    fn follow(&self, first: Addr, link: u64, size: Option<u64>) -> Option<Vec<Addr>> {
        [true, false].into_iter().find_map(|protected| self.follow_as(first, link, size, protected))
    }

    fn follow_as(&self, first: Addr, link: u64, size: Option<u64>, protected: bool) -> Option<Vec<Addr>> {
        let mut chunks = Vec::new();
        let mut seen = HashSet::new();
        let mut at = first;
        while !at.is_null() {
            self.steps.set(self.steps.get().checked_sub(1)?);
            let bytes = at.plus(link);
            let length = (self.chunk)(bytes)?;
            if size.is_some_and(|size| size != length) || self.found.contains(&bytes) || !seen.insert(bytes) {
                return None;
            }
            chunks.push(bytes);
            let next = self.memory.read_u64(bytes).ok()?;
            at = Addr(if protected { next ^ (bytes.0 >> 12) } else { next });
        }
        Some(chunks)
    }
}
