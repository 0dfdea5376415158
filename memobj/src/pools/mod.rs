//! pymalloc's arenas and pools: what the allocator of small objects has given out.
//!
//! Facts: Objects/obmalloc.c of 3.8 to 3.15, `_Py_GetAllocatedBlocks` and `_PyObject_DebugMallocStats` there for what counts as in use.
//! An arena is cut into pools, a pool into blocks of one size; only blocks of 512 bytes at most come from here, all larger ones from
//! malloc.

mod arenas;
mod index;
mod scan;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::addr::Addr;
use crate::layout::Layout;
use crate::memory::{Memory, Unreadable};
use crate::object::access::Access;

use arenas::{Table, listed, tables};
use scan::scanned;

pub use index::Index;

/// Bytes that block sizes are multiples of (`ALIGNMENT`, on 64-bit machines since 3.7).
const ALIGNMENT: u32 = 16;

/// Sizes there are (`NB_SMALL_SIZE_CLASSES`): up to 512 bytes.
const SIZES: u32 = 32;

/// A pool with blocks in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// Where it begins, with its header.
    pub at: Addr,
    /// Bytes of each block.
    pub block_bytes: u32,
    /// Blocks in use.
    pub used: u32,
    /// Bytes from its beginning to its first block.
    header: u32,
    /// Bytes from its beginning to the first block that was never given out.
    untouched: u32,
    /// The first of the blocks that were given back.
    free: Addr,
}

/// The pools of a Python, in the order of their addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pools {
    /// Those with blocks in use.
    pub pools: Vec<Pool>,
    /// Arenas they are in.
    pub arenas: u64,
    /// Where these are, by address; without a table of them, from their first pool in use to their last.
    pub ranges: Vec<Range<Addr>>,
    /// Bytes of an arena.
    pub arena_bytes: u64,
    /// Bytes of a pool.
    pub pool_bytes: u64,
    /// Pools that seemed to be none: changed while they were read, or not what the layout says.
    pub rejected: u64,
}

impl Pool {
    /// Reads the pool at `at`; `Ok(None)` if no block of it is in use.
    ///
    /// # Errors
    /// If it cannot be read, or is no pool.
    pub fn read(
        memory: &(impl Memory + ?Sized),
        layout: &Layout,
        at: Addr,
    ) -> Result<Option<Self>, Unreadable> {
        let none = Unreadable { at };
        let (fields, sizes) = (layout.pool_header.as_ref().ok_or(none)?, layout.encodings.pymalloc);
        let int = |offset: u32| memory.read_u32(at.plus(offset.into()));
        let (used, index) = (int(fields.ref_count)?, int(fields.szidx)?);
        if used == 0 {
            // Its other fields are of its last life.
            return Ok(None);
        }
        if index >= SIZES {
            return Err(none);
        }
        let block_bytes = (index + 1) * ALIGNMENT;
        let room = sizes.pool_bytes.saturating_sub(fields.size);
        let (untouched, last) = (int(fields.nextoffset)?, int(fields.maxnextoffset)?);
        let plausible = used <= room / block_bytes
            && last == sizes.pool_bytes.saturating_sub(block_bytes)
            && untouched >= fields.size
            && untouched <= last.saturating_add(block_bytes)
            && untouched.saturating_sub(fields.size) % block_bytes == 0;
        if !plausible {
            return Err(none);
        }
        let free = memory.read_pointer(at, fields.freeblock)?;
        Ok(Some(Self { at, block_bytes, used, header: fields.size, untouched, free }))
    }

    /// Calls `each` with every block in use. Returns whether the list of free blocks was whole: if not, blocks that are free may have
    /// been given too.
    pub fn blocks(&self, memory: &(impl Memory + ?Sized), mut each: impl FnMut(Addr)) -> bool {
        // At most (16 KiB - 48) / 16 blocks: a bit each.
        let mut free = [0_u64; 16];
        let count = self.untouched.saturating_sub(self.header) / self.block_bytes.max(1);
        let first = self.at.plus(self.header.into());
        let mut whole = true;
        let mut at = self.free;
        for _ in 0..=count {
            if at.is_null() {
                break;
            }
            let offset = at.0.wrapping_sub(first.0);
            let index = offset / u64::from(self.block_bytes.max(1));
            let exact = offset.is_multiple_of(u64::from(self.block_bytes.max(1))) && index < u64::from(count);
            let word =
                free.get_mut(index as usize / 64).filter(|word| exact && **word >> (index % 64) & 1 == 0);
            let Some(word) = word else {
                whole = false;
                break;
            };
            *word |= 1 << (index % 64);
            let Ok(next) = memory.read_addr(at) else {
                whole = false;
                break;
            };
            at = next;
        }
        for index in 0..u64::from(count) {
            if free.get(index as usize / 64).is_some_and(|word| word >> (index % 64) & 1 == 0) {
                each(first.plus(index * u64::from(self.block_bytes)));
            }
        }
        whole
    }

    /// Where its blocks are, whether they were given out or not; what is before them is its head.
    #[must_use]
    pub fn range_of_blocks(&self, pool_bytes: u64) -> Range<Addr> {
        let block = u64::from(self.block_bytes).max(1);
        let room = pool_bytes.saturating_sub(self.header.into());
        let first = self.at.plus(self.header.into());
        first..first.plus(room / block * block)
    }

    /// Blocks that were ever given out.
    #[must_use]
    pub fn given(&self) -> usize {
        (self.untouched.saturating_sub(self.header) / self.block_bytes.max(1)) as usize
    }

    /// Where a block begins.
    #[must_use]
    pub fn block(&self, index: usize) -> Addr {
        self.at.plus(u64::from(self.header)).plus((index as u64).wrapping_mul(self.block_bytes.into()))
    }

    /// Bytes in use.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        u64::from(self.used) * u64::from(self.block_bytes)
    }
}

impl Pools {
    /// Those of a Python. `statics` are the variables `arenas` and `maxarenas`, where these have names and the layout says that it is they;
    /// without a table the pools are looked for in `ranges`, which should be what has no file: reading other memory of a process that runs on
    /// may make it resident.
    #[must_use]
    pub fn read(
        memory: &(impl Memory + ?Sized),
        layout: &Layout,
        interpreters: &[Addr],
        statics: Option<(Addr, Addr)>,
        ranges: &[Range<Addr>],
    ) -> Self {
        let known: Option<Vec<Table>> = tables(memory, layout, interpreters, statics);
        known
            .and_then(|tables| listed(memory, layout, &tables).ok())
            .unwrap_or_else(|| scanned(memory, layout, ranges))
    }

    /// Those that are found without a table, by what their headers say, in `ranges`.
    #[must_use]
    pub fn scanned(memory: &(impl Memory + ?Sized), layout: &Layout, ranges: &[Range<Addr>]) -> Self {
        scanned(memory, layout, ranges)
    }

    /// Blocks in use.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.pools.iter().map(|pool| u64::from(pool.used)).sum()
    }

    /// Bytes in use.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.pools.iter().map(Pool::used_bytes).sum()
    }

    /// The pool that an address lies in.
    #[must_use]
    pub fn pool_of(&self, at: Addr) -> Option<&Pool> {
        let behind = self.pools.partition_point(|pool| pool.at <= at);
        let pool = self.pools.get(behind.checked_sub(1)?)?;
        (at.0 - pool.at.0 < self.pool_bytes).then_some(pool)
    }
}
