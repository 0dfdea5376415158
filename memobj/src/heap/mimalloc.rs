//! The blocks of mimalloc's heaps, where free-threaded builds keep all objects. There are no lists of the collector there: it walks
//! these blocks itself.
//!
//! Facts: `Include/internal/mimalloc/mimalloc/types.h`, `Objects/mimalloc/segment.c`, and `gc_visit_heaps` and
//! `op_from_block` in `Python/gc_free_threading.c`.

use crate::addr::Addr;
use crate::layout::fields::{MiHeap, MiPage, MiSegment};
use crate::memory::{Memory, Unreadable};

use super::access::Access;
use super::chain::Chain;
use super::python::Python;

/// `MI_SEGMENT_SIZE`: segments are as large, and aligned to it.
const SEGMENT: u64 = 32 << 20;
/// `MI_SEGMENT_SLICE_SIZE`.
const SLICE: u64 = 64 << 10;
/// The most slices of a segment (`MI_SLICES_PER_SEGMENT`).
const MAX_SLICES: u64 = SEGMENT / SLICE;
/// The most pages of one queue that are followed. A bound, no fact.
const MAX_PAGES: u64 = 1 << 26;
/// The low bits of a list of free blocks that other threads gave back, which are flags.
const FLAGS: u64 = 3;

/// `_PyGC_BITS_TRACKED`, of `ob_gc_bits`.
const TRACKED: u8 = 1;
/// `_PyGC_BITS_UNREACHABLE`.
const UNREACHABLE: u8 = 4;
/// `_PyGC_BITS_FROZEN`.
const FROZEN: u8 = 8;

/// A block that may be an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    /// Where the object would begin.
    pub at: Addr,
    /// What the collector makes of it.
    pub state: State,
}

/// What the collector makes of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It is none of its business.
    Untracked,
    /// `gc.get_objects` gives it.
    Tracked,
    /// It was told to leave it alone.
    Frozen,
}

/// The heaps of a thread, by their number (`mi_heap_tag`): what lies in them, and where in a block an object begins.
const OBJECT_HEAPS: [(u64, bool, u64); 3] = [
    // Objects that are not the collector's.
    (1, false, 0),
    // Those that are.
    (2, true, 0),
    // Those that have two words before them, for attributes and weak references.
    (3, true, 16),
];

impl<M: Memory> Python<'_, M> {
    /// Calls `each` with every block of the heaps of objects that is in use: of all threads, and of those that have ended.
    /// Returns how many chains did not hold together.
    pub(crate) fn read_blocks(&self, mut each: impl FnMut(Block)) -> u64 {
        let layout = self.layout;
        let (Some(of_heap), Some(of_page), Some(of_segment)) =
            (&layout.mi_heap, &layout.mi_page, &layout.mi_segment)
        else {
            return 0;
        };
        let mut pages = Pages { python: self, page: of_page, segment: of_segment, free: Vec::new() };
        let mut broken = 0;
        for &interpreter in &self.interpreters {
            if let Some(heaps) = layout.thread_state_impl.as_ref().and_then(|known| known.mimalloc_heaps) {
                for thread in self.read_threads(interpreter) {
                    for heap in OBJECT_HEAPS {
                        let at = thread.plus(u64::from(heaps)).plus(heap.0 * u64::from(of_heap.size));
                        broken += pages.read_heap(at, of_heap, heap, &mut each);
                    }
                }
            }
            broken += pages.read_abandoned(interpreter, &mut each);
        }
        broken
    }
}

/// A reader of pages.
struct Pages<'p, 'm, M> {
    python: &'p Python<'m, M>,
    page: &'p MiPage,
    segment: &'p MiSegment,
    /// Which blocks of a page are free.
    free: Vec<bool>,
}

impl<M: Memory> Pages<'_, '_, M> {
    fn read_heap(
        &mut self,
        at: Addr,
        known: &MiHeap,
        heap: (u64, bool, u64),
        each: &mut impl FnMut(Block),
    ) -> u64 {
        let memory = self.python.memory;
        let stride = self.python.layout.mi_page_queue.as_ref().map_or(24, |queue| queue.size);
        let mut broken = 0;
        for queue in 0..known.pages_count {
            let first = at.plus(u64::from(known.pages) + u64::from(queue) * u64::from(stride));
            let mut next = memory.read_pointer(first, 0);
            let mut before = Addr::NULL;
            let mut left = MAX_PAGES;
            while let Ok(page) = next
                && !page.is_null()
                && left > 0
            {
                // A page knows the one before it: a chain that runs in a circle does not hold together.
                if memory.read_pointer(page, self.page.prev).ok() != Some(before)
                    || self.read_page(page, heap, each).is_err()
                {
                    broken += 1;
                    break;
                }
                before = page;
                next = memory.read_pointer(page, self.page.next);
                left -= 1;
            }
        }
        broken
    }

    /// The segments of threads that have ended, until another takes them over.
    fn read_abandoned(&mut self, interpreter: Addr, each: &mut impl FnMut(Block)) -> u64 {
        let layout = self.python.layout;
        let (Some(mimalloc), Some(of_interpreter), Some(of_pool)) =
            (layout.interpreter_state.mimalloc, &layout.mimalloc_interp, &layout.mi_abandoned_pool)
        else {
            return 0;
        };
        let (Some(pool), Some(following)) = (of_interpreter.abandoned_pool, self.segment.abandoned_next) else {
            return 0;
        };
        let pool = interpreter.plus(u64::from(mimalloc)).plus(u64::from(pool));
        let mut broken = 0;
        for list in [of_pool.abandoned, of_pool.abandoned_visited] {
            let mut next = self.python.memory.read_pointer(pool, list);
            let mut chain = Chain::default();
            // The low bits of the list's head are a tag.
            while let Ok(segment) = next.map(|next| next.without(SEGMENT - 1))
                && chain.goes_on(segment)
            {
                broken += self.read_segment(segment, each);
                next = self.python.memory.read_pointer(segment, following);
            }
        }
        broken
    }

    /// The pages of a segment.
    fn read_segment(&mut self, segment: Addr, each: &mut impl FnMut(Block)) -> u64 {
        let memory = self.python.memory;
        let Some(slice_count) = self.page.slice_count else { return 0 };
        let stride = u64::from(self.segment.slices_stride);
        let entries = memory.read_count(segment, self.segment.slice_entries).unwrap_or(0).min(MAX_SLICES);
        let mut index = 0;
        let mut broken = 0;
        while index < entries {
            let page = segment.plus(u64::from(self.segment.slices)).plus(index * stride);
            let Ok(slices) = memory.read_int(page, slice_count) else { return broken + 1 };
            let Some(slices) = u64::try_from(slices).ok().filter(|&slices| slices > 0) else { return broken + 1 };
            // The first holds the segment's own head.
            let used = memory.read_int(page, self.page.xblock_size).unwrap_or(0) != 0;
            if index > 0 && used {
                let word = memory.read_word(page, 8).unwrap_or(0);
                let tag = self.page.tag.map_or(0, |tag| tag.of(word, 8));
                if let Some(&heap) = OBJECT_HEAPS.iter().find(|heap| heap.0 == tag) {
                    broken += u64::from(self.read_page(page, heap, each).is_err());
                }
            }
            index += slices;
        }
        broken
    }

    /// The blocks of a page that are in use.
    fn read_page(
        &mut self,
        page: Addr,
        (_, collected, before): (u64, bool, u64),
        each: &mut impl FnMut(Block),
    ) -> Result<(), Unreadable> {
        let memory = self.python.memory;
        let none = Unreadable { at: page };
        let segment = page.without(SEGMENT - 1);
        let offset = page.0.wrapping_sub(segment.0).checked_sub(u64::from(self.segment.slices)).ok_or(none)?;
        let index = offset.checked_div(u64::from(self.segment.slices_stride)).ok_or(none)?;
        let size = u64::from(memory.read_u32(page.plus(u64::from(self.page.xblock_size)))?);
        let capacity = usize::from(memory.read_u16(page.plus(u64::from(self.page.capacity)))?);
        if size < 16 || index >= MAX_SLICES {
            return Err(none);
        }
        // `_mi_segment_page_start_from_slice`: small blocks begin a little later, against cache conflicts.
        let skipped = match size {
            0..=64 => 3 * size,
            65..=512 => size,
            _ => 0,
        };
        let first = segment.plus(index * SLICE + skipped);
        self.free.clear();
        self.free.resize(capacity, false);
        for list in [self.page.free, self.page.local_free, self.page.xthread_free] {
            let mut block = memory.read_pointer(page, list)?.without(FLAGS);
            let mut left = capacity;
            while !block.is_null() && left > 0 {
                let number = block.0.checked_sub(first.0).map(|bytes| bytes / size).ok_or(none)?;
                let free = usize::try_from(number).ok().and_then(|number| self.free.get_mut(number));
                *free.ok_or(none)? = true;
                block = memory.read_pointer(block, 0)?;
                left -= 1;
            }
        }
        let bits = self.python.layout.object.ob_gc_bits;
        let in_use = self.free.iter().enumerate().filter(|(_, free)| !**free);
        for (number, _) in in_use {
            let at = first.plus(number as u64 * size + before);
            let state = match bits {
                Some(bits) if collected => match memory.read_byte(at, bits)? {
                    bits if bits & TRACKED == 0 || bits & UNREACHABLE != 0 => State::Untracked,
                    bits if bits & FROZEN != 0 => State::Frozen,
                    _ => State::Tracked,
                },
                _ => State::Untracked,
            };
            each(Block { at, state });
        }
        Ok(())
    }
}
