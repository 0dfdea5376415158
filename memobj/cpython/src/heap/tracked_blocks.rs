//! The blocks of mimalloc's heaps, where free-threaded builds keep all objects. There are no lists of the collector there: it walks
//! these blocks itself.
//!
//! Facts: `gc_visit_heaps` and `op_from_block` in `PythonHeap/gc_free_threading.c`.

use std::ops::Range;

use crate::pools::{HeapTag, Pools, mimalloc};
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::python_heap::PythonHeap;
use crate::object::memory_ext::MemoryExt;

/// `_PyGC_BITS_TRACKED`, of `ob_gc_bits`.
const TRACKED: u8 = 1;
/// `_PyGC_BITS_UNREACHABLE`.
const UNREACHABLE: u8 = 4;
/// `_PyGC_BITS_FROZEN`.
const FROZEN: u8 = 8;

/// A block that may be an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeapBlock {
    /// The start of the object.
    pub at: Addr,
    /// The collector's state of it.
    pub state: TrackState,
}

/// The collector's state of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackState {
    /// It is not tracked.
    Untracked,
    /// `gc.get_objects` gives it.
    Tracked,
    /// `gc.freeze` froze it.
    Frozen,
}

impl<M: Memory> PythonHeap<'_, M> {
    /// The pages of mimalloc that have blocks in use: of all threads, and of those that have ended. `anonymous` is memory without a file, by
    /// address, for what the allocator keeps besides.
    pub fn read_pages(&self, anonymous: &[Range<Addr>]) -> Pools {
        let threads: Vec<Addr> =
            self.interpreters.iter().flat_map(|&interpreter| self.read_threads(interpreter)).collect();
        mimalloc::read(self.memory, self.layout, &self.interpreters, &threads, anonymous)
    }

    /// Calls `each` with every block in use of the heaps of objects. Returns the number of broken chains and pages.
    pub fn read_blocks(&self, mut each: impl FnMut(HeapBlock)) -> u64 {
        let pools = self.read_pages(&[]);
        let mut broken = pools.rejected;
        for pool in &pools.pools {
            // Whether the collector can track its objects, and their offset in a block (`op_from_block`).
            let (collected, before) = match pool.heap {
                HeapTag::Object => (false, 0),
                HeapTag::Gc => (true, 0),
                HeapTag::GcPre => (true, 16),
                HeapTag::Mem | HeapTag::Any => continue,
            };
            let whole = pool.for_each_used_block(self.memory, |block| {
                let at = block.plus(before);
                each(HeapBlock {
                    at,
                    state: if collected { self.read_state(at) } else { TrackState::Untracked },
                });
            });
            broken = broken.saturating_add(u64::from(!whole));
        }
        broken
    }

    fn read_state(&self, at: Addr) -> TrackState {
        let bits = self.layout.object.ob_gc_bits.and_then(|bits| self.memory.read_byte(at, bits).ok());
        match bits {
            Some(bits) if bits & TRACKED == 0 || bits & UNREACHABLE != 0 => TrackState::Untracked,
            Some(bits) if bits & FROZEN != 0 => TrackState::Frozen,
            Some(_) => TrackState::Tracked,
            None => TrackState::Untracked,
        }
    }
}
