//! Blocks of Python's own allocator: pymalloc's arenas and pools, or the segments and pages of mimalloc, which free-threaded builds use.
//!
//! Facts: Objects/obmalloc.c of 3.8 to 3.15, `_Py_GetAllocatedBlocks` and `_PyObject_DebugMallocStats` there for what counts as in use.
//! An arena is cut into pools, a pool into blocks of one size; only blocks of 512 bytes at most come from here, all larger ones from
//! malloc. [`mimalloc`] uses the same types: a segment is an arena, a page a pool.

mod arenas;
mod index;
pub mod mimalloc;
mod scan;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::layout::Layout;
use crate::object::memory_ext::MemoryExt;
use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use arenas::{ArenaArray, read_arena_arrays, read_listed_pools};

pub use index::PoolIndex;
pub use scan::scan_pools;

/// Bytes that block sizes are multiples of (`ALIGNMENT`, on 64-bit machines since 3.7).
const ALIGNMENT: u32 = 16;

/// Sizes there are (`NB_SMALL_SIZE_CLASSES`): up to 512 bytes.
const SIZES: u32 = 32;

/// Blocks of a pool at most: of 8 bytes in 64 KiB of mimalloc. pymalloc has fewer, of 16 bytes in 16 KiB.
const MOST_BLOCKS: u32 = 8192;

/// Lists of free blocks that a page of mimalloc has.
const LISTS: usize = 3;

/// The use of a pool's blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HeapTag {
    /// Anything: pools of pymalloc.
    #[default]
    Any,
    /// No objects. Free-threaded builds have four heaps (`_Py_MIMALLOC_HEAP_MEM` and others, Include/internal/pycore_mimalloc.h).
    Mem,
    /// Objects that the collector cannot track.
    Object,
    /// Objects that it can track.
    Gc,
    /// Objects that it can track, with two words before them for attributes and weak references.
    GcPre,
}

impl HeapTag {
    /// The heap with this tag in mimalloc's pages.
    pub const fn from_tag(tag: u64) -> Option<Self> {
        Some(match tag {
            0 => Self::Mem,
            1 => Self::Object,
            2 => Self::Gc,
            3 => Self::GcPre,
            _ => return None,
        })
    }

    /// Its name in records; `None` if there is only one heap.
    pub const fn as_str(self) -> Option<&'static str> {
        Some(match self {
            Self::Any => return None,
            Self::Mem => "mem",
            Self::Object => "object",
            Self::Gc => "gc",
            Self::GcPre => "gc_pre",
        })
    }
}

/// A pool with blocks in use: one of pymalloc's, or a page of mimalloc.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// Its start, with its header.
    pub at: Addr,
    /// Its bytes.
    pub bytes: u64,
    /// Bytes of each block.
    pub block_bytes: u64,
    /// Blocks in use.
    pub used: u32,
    /// Blocks that were given out at least once.
    handed_out: u32,
    /// Bytes from its beginning to its first block.
    header: u32,
    /// Their use.
    pub heap: HeapTag,
    /// The heads of the lists of free blocks. pymalloc has one.
    free: [Addr; LISTS],
}

/// The pools of a Python, in the order of their addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pools {
    /// The pools with blocks in use.
    pub pools: Vec<Pool>,
    /// Their arenas, of mimalloc segments and the memory kept for more segments, by address. Without a table each is from its first pool
    /// in use to its last.
    pub ranges: Vec<Range<Addr>>,
    /// Memory of the allocator itself, except headers of pools, by address: heads of segments.
    pub heads: Vec<Range<Addr>>,
    /// The unit of pools in bytes: a pool begins at a multiple of it, and has one unit or more. Pools of pymalloc have one.
    pub pool_bytes: u64,
    /// Invalid pools: changed during the read, or not as the layout says.
    pub rejected: u64,
}

impl Pool {
    /// Reads the pool of pymalloc at `at`; `Ok(None)` if no block of it is in use.
    ///
    /// # Errors
    /// It cannot be read, or is not a pool.
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
            // Its other fields are outdated.
            return Ok(None);
        }
        if index >= SIZES {
            return Err(none);
        }
        let block_bytes = index.saturating_add(1).saturating_mul(ALIGNMENT);
        let room = sizes.pool_bytes.saturating_sub(fields.size);
        let (untouched, last) = (int(fields.nextoffset)?, int(fields.maxnextoffset)?);
        let handed_out_bytes = untouched.checked_sub(fields.size).ok_or(none)?;
        let plausible = used.saturating_mul(block_bytes) <= room
            && last == sizes.pool_bytes.saturating_sub(block_bytes)
            && untouched <= last.saturating_add(block_bytes)
            && handed_out_bytes.is_multiple_of(block_bytes);
        if !plausible {
            return Err(none);
        }
        let mut free = [Addr::NULL; LISTS];
        if let Some(first) = free.first_mut() {
            *first = memory.read_pointer(at, fields.freeblock)?;
        }
        Ok(Some(Self {
            at,
            bytes: sizes.pool_bytes.into(),
            block_bytes: block_bytes.into(),
            used,
            handed_out: handed_out_bytes.checked_div(block_bytes).ok_or(none)?,
            header: fields.size,
            heap: HeapTag::Any,
            free,
        }))
    }

    /// Calls `each` with every block in use. Returns whether the lists of free blocks were valid; if not, free blocks may be among them.
    pub fn for_each_used_block(&self, memory: &(impl Memory + ?Sized), mut each: impl FnMut(Addr)) -> bool {
        let mut free = [0_u64; (MOST_BLOCKS / 64) as usize];
        let size = self.block_bytes.max(1);
        let count = u64::from(self.handed_out.min(MOST_BLOCKS));
        let first = self.block(0);
        let mut whole = true;
        let mut left = count;
        'lists: for list in self.free {
            let mut at = list;
            while !at.is_null() {
                let offset = at.0.wrapping_sub(first.0);
                let Some(index) = offset.checked_div(size) else { break };
                let exact = left > 0 && offset.is_multiple_of(size) && index < count;
                let word = usize::try_from(index / 64)
                    .ok()
                    .and_then(|number| free.get_mut(number))
                    .filter(|word| exact && **word >> (index % 64) & 1 == 0);
                let (Some(word), Ok(next)) = (word, memory.read_addr(at)) else {
                    whole = false;
                    break 'lists;
                };
                *word |= 1 << (index % 64);
                left = left.saturating_sub(1);
                at = next;
            }
        }
        for index in 0..self.handed_out.min(MOST_BLOCKS) {
            if free.get(index as usize / 64).is_some_and(|word| word >> (index % 64) & 1 == 0) {
                each(first.plus(u64::from(index).wrapping_mul(size)));
            }
        }
        whole
    }

    /// The memory of its blocks, given out or not; its header is before it.
    pub fn block_range(&self) -> Range<Addr> {
        let block = self.block_bytes.max(1);
        let room = self.bytes.saturating_sub(self.header.into());
        let first = self.block(0);
        first..first.plus(room.saturating_sub(room.checked_rem(block).unwrap_or(0)))
    }

    /// Its memory.
    pub fn range(&self) -> Range<Addr> {
        self.at..Addr(self.at.0.saturating_add(self.bytes))
    }

    /// Blocks that were given out at least once.
    pub const fn handed_out(&self) -> usize {
        self.handed_out as usize
    }

    /// The start of a block.
    pub fn block(&self, index: usize) -> Addr {
        self.at.plus(u64::from(self.header)).plus((index as u64).wrapping_mul(self.block_bytes))
    }

    /// Bytes in use.
    pub fn used_bytes(&self) -> u64 {
        u64::from(self.used).saturating_mul(self.block_bytes)
    }
}

impl Pools {
    /// Reads the pools of a Python. `statics` are the variables `arenas` and `maxarenas`, if the file names them. Without a table, `ranges` are
    /// searched, which should be memory without a file: reading other memory of a running process may make it resident.
    pub fn read(
        memory: &(impl Memory + ?Sized),
        layout: &Layout,
        interpreters: &[Addr],
        statics: Option<(Addr, Addr)>,
        ranges: &[Range<Addr>],
    ) -> Self {
        let known: Option<Vec<ArenaArray>> = read_arena_arrays(memory, layout, interpreters, statics);
        known
            .and_then(|tables| read_listed_pools(memory, layout, &tables).ok())
            .unwrap_or_else(|| scan_pools(memory, layout, ranges))
    }

    /// Blocks in use.
    pub fn blocks(&self) -> u64 {
        self.pools.iter().map(|pool| u64::from(pool.used)).sum()
    }

    /// Bytes in use.
    pub fn used_bytes(&self) -> u64 {
        self.pools.iter().map(Pool::used_bytes).fold(0, u64::saturating_add)
    }
}
