//! mimalloc's heaps, where free-threaded builds keep everything that is not the C library's: segments, cut into pages, cut into blocks.
//!
//! Facts: Include/internal/mimalloc/mimalloc/types.h and Objects/mimalloc/segment.c, arena.c of 3.13 (mimalloc 2.1);
//! `_mimalloc_thread_state` and `_mimalloc_interp_state` in Include/internal/pycore_mimalloc.h: each thread has four heaps, and what of
//! them is in use when it ends is abandoned to its interpreter, until another thread takes it over. A segment lies at a multiple of
//! its size, so that any address in it leads to it. Segments are cut from larger pieces of memory, of which what is free is kept.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use crate::layout::Layout;
use crate::layout::fields::{MiHeap, MiPage, MiSegment};
use crate::object::memory_ext::MemoryExt;
use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable, contiguous_end, gaps};

use super::{HeapTag, MOST_BLOCKS, Pool, Pools};

/// `MI_SEGMENT_SIZE`: segments are as large, or larger, and at multiples of it. So are the parts of what they are cut from
/// (`MI_ARENA_BLOCK_SIZE`).
const SEGMENT: u64 = 32 << 20;
/// `MI_SEGMENT_SLICE_SIZE`: pages are as large, or several times that.
const SLICE: u64 = 64 << 10;
/// Slices that a segment knows at most (`MI_SLICES_PER_SEGMENT`); a larger segment has a single page.
const MAX_SLICES: u64 = SEGMENT / SLICE;
/// The low bits of a list of free blocks that other threads gave back, which are flags.
const FLAGS: u64 = 3;
/// Heaps of a thread (`_Py_MIMALLOC_HEAP_COUNT`).
const HEAPS: u64 = 4;
/// The smallest block, in bytes.
const SMALLEST: u64 = 8;
/// The block size of a page with one block that is too large for the field (`MI_HUGE_BLOCK_SIZE`).
const HUGE: u64 = 2 << 30;
/// `MI_MEM_ARENA` of `mi_memkind_t`: a segment that was cut from a larger piece.
const OF_ARENA: i32 = 6;
/// The size of such a piece, or a divisor of it (`mi_option_arena_reserve`).
const ARENA: u64 = 1 << 30;

/// Reads the pages with blocks in use of all heaps of `threads` (`PyThreadState`), and of the ended threads of `interpreters`; none if the
/// layout has no mimalloc. `anonymous` is memory without a file, by address, which the allocator may keep for more segments.
pub fn read(
    memory: &(impl Memory + ?Sized),
    layout: &Layout,
    interpreters: &[Addr],
    threads: &[Addr],
    anonymous: &[Range<Addr>],
) -> Pools {
    let mut found = Pools { pool_bytes: SLICE, ..Pools::default() };
    let (Some(of_heap), Some(page), Some(segment)) = (&layout.mi_heap, &layout.mi_page, &layout.mi_segment)
    else {
        return found;
    };
    let mut reader = PageReader {
        memory,
        page,
        segment,
        segments: HashSet::new(),
        seen: HashSet::new(),
        pools: Vec::new(),
        rejected: 0,
    };
    if let Some(heaps) = layout.thread_state_impl.as_ref().and_then(|known| known.mimalloc_heaps) {
        let stride = layout.mi_page_queue.as_ref().map_or(24, |queue| queue.size);
        for thread in threads {
            for tag in 0..HEAPS {
                let at = thread.plus(u64::from(heaps)).plus(tag.wrapping_mul(of_heap.size.into()));
                reader.read_heap(at, of_heap, stride, tag);
            }
        }
    }
    for interpreter in interpreters {
        reader.read_abandoned(layout, *interpreter);
    }
    let PageReader { segments, mut pools, mut rejected, .. } = reader;
    pools.sort_unstable_by_key(|pool| pool.at);
    let mut behind = Addr::NULL;
    pools.retain(|pool| {
        // Pages do not overlap, so one of the two is invalid.
        let apart = pool.at >= behind;
        if apart {
            behind = pool.range().end;
        }
        rejected = rejected.saturating_add(u64::from(!apart));
        apart
    });
    found.pools = pools;
    found.rejected = rejected;
    let mut segments: Vec<Addr> = segments.into_iter().collect();
    segments.sort_unstable();
    found.take_segments(memory, segment, &segments, anonymous);
    found
}

impl Pools {
    /// Adds the segments, their heads, and the memory that is kept for more of them.
    fn take_segments(
        &mut self,
        memory: &(impl Memory + ?Sized),
        known: &MiSegment,
        segments: &[Addr],
        anonymous: &[Range<Addr>],
    ) {
        // The pieces that segments are cut from: the start, and the end of the last segment in it.
        let mut pieces: BTreeMap<Addr, Addr> = BTreeMap::new();
        let mut behind = Addr::NULL;
        for &segment in segments.iter().filter(|segment| !segment.is_null()) {
            let slices = memory.read_count(segment, known.segment_slices).unwrap_or(0);
            let mapped = contiguous_end(memory.regions(), segment);
            let end = Addr(segment.0.saturating_add(slices.saturating_mul(SLICE))).min(mapped);
            if segment < behind || end <= segment {
                self.rejected = self.rejected.saturating_add(1);
                continue;
            }
            behind = end;
            self.ranges.push(segment..end);
            let own = memory.read_count(segment, known.segment_info_slices).unwrap_or(0);
            let own = Addr(segment.0.saturating_add(own.saturating_mul(SLICE))).min(end);
            let first = self.pools.partition_point(|pool| pool.at < segment);
            let own = self.pools.get(first).map_or(own, |pool| own.min(pool.at));
            if own > segment {
                self.heads.push(segment..own);
            }
            let block = known.memid_block_index.and_then(|at| memory.read_count(segment, at).ok());
            let kind = known.memid_kind.and_then(|at| memory.read_int(segment, at).ok());
            if let (Some(block), Some(OF_ARENA)) = (block, kind)
                && let Some(before) = block.checked_mul(SEGMENT).filter(|before| *before <= segment.0)
            {
                let last = pieces.entry(segment.minus(before)).or_insert(end);
                *last = end.max(*last);
            }
        }
        let mut kept = Vec::new();
        for (piece, last) in pieces {
            let used = last.0.saturating_sub(piece.0);
            let length = used.div_ceil(ARENA).saturating_mul(ARENA);
            let end = Addr(piece.0.saturating_add(length)).min(contiguous_end(anonymous, piece));
            // The memory between its segments, and behind the last one.
            kept.extend(gaps(&(piece..end), &self.ranges));
        }
        self.ranges.append(&mut kept);
        self.ranges.sort_unstable_by_key(|range| range.start);
        // In a hostile process pieces may overlap: shared memory belongs to the first.
        let mut behind = Addr::NULL;
        self.ranges.retain_mut(|range| {
            range.start = range.start.max(behind);
            behind = behind.max(range.end);
            range.start < range.end
        });
    }
}

/// Reads pages.
struct PageReader<'l, 'm, M: ?Sized> {
    memory: &'m M,
    page: &'l MiPage,
    segment: &'l MiSegment,
    /// The segments with a page in use.
    segments: HashSet<Addr>,
    /// Pages that were read: none is read twice.
    seen: HashSet<Addr>,
    pools: Vec<Pool>,
    /// Invalid pages, and broken chains.
    rejected: u64,
}

impl<M: Memory + ?Sized> PageReader<'_, '_, M> {
    /// The pages of a heap, in all of its queues.
    fn read_heap(&mut self, at: Addr, known: &MiHeap, stride: u32, tag: u64) {
        for queue in 0..known.pages_count {
            let first = at.plus(known.pages.into()).plus(u64::from(queue).saturating_mul(stride.into()));
            let mut next = self.memory.read_pointer(first, 0);
            let mut before = Addr::NULL;
            while let Ok(page) = next
                && !page.is_null()
            {
                // A page knows the one before it, and stands in one queue.
                if self.memory.read_pointer(page, self.page.prev).ok() != Some(before)
                    || !self.seen.insert(page)
                {
                    self.rejected = self.rejected.saturating_add(1);
                    break;
                }
                if !self.take(page, tag) {
                    break;
                }
                before = page;
                next = self.memory.read_pointer(page, self.page.next);
            }
        }
    }

    /// The segments of threads that have ended, until another takes them over.
    fn read_abandoned(&mut self, layout: &Layout, interpreter: Addr) {
        let (Some(mimalloc), Some(of_interpreter), Some(of_pool)) =
            (layout.interpreter_state.mimalloc, &layout.mimalloc_interp, &layout.mi_abandoned_pool)
        else {
            return;
        };
        let (Some(pool), Some(following)) = (of_interpreter.abandoned_pool, self.segment.abandoned_next)
        else {
            return;
        };
        let pool = interpreter.plus(u64::from(mimalloc)).plus(u64::from(pool));
        let mut seen = HashSet::new();
        for list in [of_pool.abandoned, of_pool.abandoned_visited] {
            let mut next = self.memory.read_pointer(pool, list);
            // The low bits of the list's head are a tag.
            while let Ok(segment) = next.map(|next| next.clear_bits(SEGMENT - 1))
                && !segment.is_null()
                && seen.insert(segment)
            {
                self.rejected = self.rejected.saturating_add(u64::from(self.read_segment(segment).is_err()));
                next = self.memory.read_pointer(segment, following);
            }
        }
    }

    /// The pages of a segment, by their slices.
    fn read_segment(&mut self, segment: Addr) -> Result<(), Unreadable> {
        let none = Unreadable { at: segment };
        let slice_count = self.page.slice_count.ok_or(none)?;
        let stride = u64::from(self.segment.slices_stride);
        let entries = self.memory.read_count(segment, self.segment.slice_entries)?.min(MAX_SLICES);
        let mut index = 0;
        while index < entries {
            let page = segment.plus(u64::from(self.segment.slices)).plus(index.saturating_mul(stride));
            let slices = self.memory.read_int(page, slice_count)?;
            let slices = u64::try_from(slices).ok().filter(|&slices| slices > 0).ok_or(none)?;
            // The first holds the segment's own head.
            if index > 0 && self.memory.read_int(page, self.page.xblock_size)? != 0 && self.seen.insert(page)
            {
                let tag = match (self.page.tag, self.page.heap_tag) {
                    (Some(tag), _) => tag.extract(self.memory.read_word(page, 8)?, 8),
                    (None, Some(tag)) => self.memory.read_byte(page, tag)?.into(),
                    (None, None) => 0,
                };
                self.take(page, tag);
            }
            index = index.saturating_add(slices);
        }
        Ok(())
    }

    /// Adds a page and its segment; returns whether it is valid.
    fn take(&mut self, page: Addr, tag: u64) -> bool {
        let Ok(pool) = self.read_page(page, tag) else {
            self.rejected = self.rejected.saturating_add(1);
            return false;
        };
        if pool.used > 0 {
            self.segments.insert(page.clear_bits(SEGMENT - 1));
            self.pools.push(pool);
        }
        true
    }

    fn read_page(&self, page: Addr, tag: u64) -> Result<Pool, Unreadable> {
        let memory = self.memory;
        let none = Unreadable { at: page };
        let segment = page.clear_bits(SEGMENT - 1);
        let offset = page.0.wrapping_sub(segment.0).checked_sub(self.segment.slices.into()).ok_or(none)?;
        let stride = u64::from(self.segment.slices_stride);
        let index = offset.checked_div(stride).ok_or(none)?;
        let slice_count = self.page.slice_count.ok_or(none)?;
        let slices = u64::from(memory.read_u32(page.plus(slice_count.into()))?);
        let size = u64::from(memory.read_u32(page.plus(self.page.xblock_size.into()))?);
        let handed_out = u32::from(memory.read_u16(page.plus(self.page.capacity.into()))?);
        let at = segment.plus(index.saturating_mul(SLICE));
        let bytes = slices.checked_mul(SLICE).ok_or(none)?;
        // `_mi_segment_page_start_from_slice`: small blocks begin a little later, against cache conflicts.
        let header = match size {
            0..=64 => 3 * size,
            65..=512 => size,
            _ => 0,
        };
        let block_bytes = if size >= HUGE { bytes } else { size };
        let room = u64::from(handed_out).checked_mul(block_bytes).and_then(|room| room.checked_add(header));
        let plausible = offset.is_multiple_of(stride)
            && (1..MAX_SLICES).contains(&index)
            && size >= SMALLEST
            && handed_out <= MOST_BLOCKS
            && room.is_some_and(|room| room <= bytes)
            && at.0.checked_add(bytes).is_some_and(|end| contiguous_end(memory.regions(), at) >= Addr(end));
        if !plausible {
            return Err(none);
        }
        let mut free = [Addr::NULL; super::LISTS];
        for (head, list) in
            free.iter_mut().zip([self.page.free, self.page.local_free, self.page.xthread_free])
        {
            *head = memory.read_pointer(page, list)?.clear_bits(FLAGS);
        }
        let header = u32::try_from(header).map_err(|_| none)?;
        let heap = HeapTag::from_tag(tag).ok_or(none)?;
        let mut pool = Pool { at, bytes, block_bytes, used: 0, handed_out, header, heap, free };
        // By its own count those are in use that other threads have given back, too.
        let mut used = 0;
        if !pool.for_each_used_block(memory, |_| used = u32::saturating_add(used, 1)) {
            return Err(none);
        }
        pool.used = used;
        Ok(pool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{self, Build};
    use memobj_process::memory::FakeMemory;

    const THREAD: Addr = Addr(0x10_0000);
    const PLACE: Addr = Addr(0x2_0000_0000);

    fn layout() -> &'static Layout {
        let build = Build { hexversion: 0x030d_00f0, free_threaded: true, debug: false };
        layout::candidates(build).unwrap()[0]
    }

    /// A block of the page.
    fn block(number: u64) -> Addr {
        PLACE.plus(SLICE + 3 * 48 + 48 * number)
    }

    /// A segment of which four slices are there, the first its own, the second a page of ten blocks of 48 bytes in the heap of objects that
    /// are not the collector's: three were given back, each in another list. And where the page's own struct is.
    fn made() -> (FakeMemory, Addr) {
        let layout = layout();
        let (heap, page, segment) = (
            layout.mi_heap.as_ref().unwrap(),
            layout.mi_page.as_ref().unwrap(),
            layout.mi_segment.as_ref().unwrap(),
        );
        let heaps = layout.thread_state_impl.as_ref().unwrap().mimalloc_heaps.unwrap();
        let mut image = FakeMemory::new();
        image.put(THREAD, &vec![0; (heaps + 4 * heap.size) as usize]);
        image.put(PLACE, &vec![0; 4 * SLICE as usize]);
        let at = |offset: u32| PLACE.plus(offset.into());
        image.put_u64(at(segment.segment_slices), MAX_SLICES);
        image.put_u64(at(segment.segment_info_slices), 1);
        image.put_u32(at(segment.memid_kind.unwrap()), OF_ARENA.cast_unsigned());
        let own = at(segment.slices).plus(segment.slices_stride.into());
        let of = |offset: u32| own.plus(offset.into());
        image.put_u32(of(page.slice_count.unwrap()), 1);
        image.put(of(page.capacity), &10_u16.to_le_bytes());
        image.put_u32(of(page.xblock_size), 48);
        image.put_u64(of(page.free), block(3).0);
        image.put_u64(of(page.local_free), block(5).0);
        image.put_u64(of(page.xthread_free), block(7).0 | 1);
        let queue = THREAD.plus(u64::from(heaps + heap.size + heap.pages) + 5 * 24);
        image.put_u64(queue, own.0);
        (image, own)
    }

    fn found(image: &FakeMemory) -> Pools {
        read(image, layout(), &[], &[THREAD], image.regions())
    }

    #[test]
    fn blocks_in_no_free_list_are_in_use() {
        let (image, _) = made();
        let pools = found(&image);
        assert_eq!((pools.rejected, pools.ranges.len(), pools.pools.len()), (0, 1, 1));
        let pool = pools.pools[0];
        assert_eq!((pool.used, pool.block_bytes, pool.heap), (7, 48, HeapTag::Object));
        let mut blocks = Vec::new();
        assert!(pool.for_each_used_block(&image, |block| blocks.push(block)));
        assert_eq!(blocks, [0, 1, 2, 4, 6, 8, 9].map(block));
        assert_eq!(pools.heads, [PLACE..PLACE.plus(SLICE)]);
        assert_eq!(pools.ranges, [PLACE..PLACE.plus(4 * SLICE)]);
        assert_eq!(super::super::PoolIndex::new(&pools).block_at(block(4)), Some((0, 4)));
    }

    #[test]
    fn implausible_pages_are_rejected() {
        let page = layout().mi_page.as_ref().unwrap();
        let changes = [
            (page.xblock_size, 0),
            (page.xblock_size, 7000),
            (page.slice_count.unwrap(), 0),
            (page.slice_count.unwrap(), u32::MAX),
            (page.prev, 8),
            (page.free, 8),
        ];
        for (offset, value) in changes {
            let (mut image, own) = made();
            image.put_u32(own.plus(offset.into()), value);
            let pools = found(&image);
            assert_eq!((pools.pools.len(), pools.rejected), (0, 1), "{offset} {value}");
        }
        let (mut image, own) = made();
        image.put_u64(own.plus(page.next.into()), own.0);
        let pools = found(&image);
        assert_eq!((pools.pools.len(), pools.rejected), (1, 1));
    }
}
