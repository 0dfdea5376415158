//! Freed chunks in fast bins and threads' caches (tcache), whose headers say that they are in use.
//!
//! Facts: `fastbinsY`, `tcache_perthread_struct`, `PROTECT_PTR` in malloc/malloc.c of glibc 2.27 to the development branch after 2.42.
//! From 2.32 on the pointer to the next chunk in a list is XORed with the address it is kept at, shifted by 12 bits.

use std::cell::Cell;
use std::collections::HashSet;

use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use super::chunks::{ALIGNMENT, HEADER, SIZE};

/// The layout of a thread's cache: the number of its lists, and the bytes of each list's count.
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
/// Lists of chunks of one size: 32 bytes, and 16 more for each.
const SMALL_LISTS: u64 = 64;
/// `MINSIZE`.
const SMALLEST: u64 = 32;

impl TcacheLayout {
    /// `sizeof(tcache_perthread_struct)`.
    const fn bytes(self) -> u64 {
        self.lists.saturating_mul(self.count_bytes.saturating_add(8))
    }

    /// The size of its chunk.
    const fn chunk_bytes(self) -> u64 {
        self.bytes().saturating_add(SIZE).next_multiple_of(ALIGNMENT)
    }
}

/// Whether a chunk of this size may be a thread's cache.
pub(super) fn may_be_cache(chunk_bytes: u64) -> bool {
    CACHES.iter().any(|cache| cache.chunk_bytes() == chunk_bytes)
}

/// Follows lists of freed chunks. `chunk` returns the size of the chunk at an address, if there can be one.
pub(super) struct FreeLists<'a, M: ?Sized, F> {
    pub memory: &'a M,
    pub chunk: F,
    /// Every chunk that was found in a list; none is followed twice.
    pub found: HashSet<Addr>,
    /// Chunks that may still be followed: a damaged heap can have many lists through all of it.
    pub steps: Cell<u64>,
}

impl<M: Memory + ?Sized, F: Fn(Addr) -> Option<u64>> FreeLists<'_, M, F> {
    /// Reads the chunks of a fast bin whose head is at `head`.
    ///
    /// # Errors
    /// If the head cannot be read.
    pub(super) fn read_fast_bin(&mut self, head: Addr) -> Result<(), Unreadable> {
        let first = self.memory.read_addr(head)?;
        // The links lead from chunk to chunk, not from bytes to bytes.
        let chunks = self.follow(first, HEADER, None).unwrap_or_default();
        self.found.extend(chunks);
        Ok(())
    }

    /// Reads the chunks in the cache at `at`, in a chunk of `chunk_bytes`, if that is a cache.
    pub(super) fn read_cache(&mut self, at: Addr, chunk_bytes: u64) {
        let found = CACHES
            .iter()
            .filter(|cache| cache.chunk_bytes() == chunk_bytes)
            .find_map(|cache| self.read_lists(at, *cache));
        self.found.extend(found.unwrap_or_default());
    }

    /// Reads all lists of a cache; `None` if one of them cannot be a list: then it is other data.
    fn read_lists(&self, at: Addr, cache: TcacheLayout) -> Option<Vec<Addr>> {
        let mut all = Vec::new();
        for list in 0..cache.lists {
            let count = at.plus(list.saturating_mul(cache.count_bytes));
            let count = if cache.count_bytes == 1 {
                self.memory.read_u8(count).map(u16::from)
            } else {
                self.memory.read_u16(count)
            };
            let heads = at.plus(cache.lists.saturating_mul(cache.count_bytes));
            let first = self.memory.read_addr(heads.plus(list.saturating_mul(8))).ok()?;
            if first.is_null() {
                continue;
            }
            let size = (list < SMALL_LISTS).then(|| list.saturating_mul(ALIGNMENT).saturating_add(SMALLEST));
            let chunks = self.follow(first, 0, size)?;
            // The number of chunks; from 2.42 on the number that may be added.
            if cache.lists == SMALL_LISTS && chunks.len() != usize::from(count.ok()?) {
                return None;
            }
            all.extend(chunks);
        }
        Some(all)
    }

    /// Follows a list of protected pointers, or of plain ones. `link` is the distance from the address in a pointer to the next pointer.
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
