//! glibc's malloc: its arenas, what of them is in use, what is free and kept, and what `malloc_trim` would give back.
//!
//! Facts: malloc/malloc.c and malloc/arena.c of glibc 2.27 to 2.42 and the development branch after it. The main arena's heap is what
//! `brk` gives (`[heap]`); others are heaps of their own, mapped at multiples of their largest size, which begin with a `heap_info`.
//! Large chunks have a mapping of their own.

mod arena_state;
mod chunks;
mod free_lists;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::HashSet;
use std::ops::Range;

use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use arena_state::MallocState;
pub use chunks::{ChunkRun, ChunkUse};
use free_lists::FreeLists;

const PAGE: u64 = 4096;
/// `sizeof(struct malloc_chunk)`: what of a free chunk `malloc_trim` never touches.
const CHUNK_HEAD: u64 = 48;
/// `MINSIZE`: what of the main arena's end is always kept.
const SMALLEST: u64 = 32;
/// What heaps are mapped at multiples of (`HEAP_MAX_SIZE`): by itself, and with huge pages of 2 MiB and 1 GiB (`glibc.malloc.hugetlb`).
const HEAP_MAX: [u64; 3] = [64 << 20, 8 << 20, 4 << 30];
/// Of `heap_info`: `prev`, `size`.
const INFO_PREV: u64 = 8;
const INFO_SIZE: u64 = 16;
/// Chunks that are looked at in lists of those that wait; there are a few hundred for each thread, and what fast bins keep.
const MOST_WAITING: u64 = 1 << 26;
/// SearchAreas at which a main heap may begin that are tried.
const MOST_BEGINNINGS: usize = 4;
/// More heaps than fit into the addresses of a process.
const MOST_HEAPS: usize = 1 << 21;

/// What is known of an arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Arena {
    /// Whether it is the one whose heap is `[heap]`.
    pub main: bool,
    /// What it took from the system.
    pub system_bytes: u64,
    /// Chunks given out, without those that wait in caches.
    pub used_bytes: u64,
    /// Chunks in its lists of free ones.
    pub free_bytes: u64,
    /// Chunks in its fast bins.
    pub fast_bytes: u64,
    /// Chunks in the caches of threads.
    pub cached_bytes: u64,
    /// The end that was never given out.
    pub top_bytes: u64,
    /// Of its heaps what could not be followed.
    pub lost_bytes: u64,
}

/// A heap of an arena: where chunks are.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ArenaHeap {
    /// With what stands before its first chunk.
    range: Range<Addr>,
    first: Addr,
    top: Addr,
    arena: usize,
    /// Where chunks in use begin.
    chunks: ChunkStarts,
}

/// Addresses within a heap, a bit for each place at which a chunk can begin.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ChunkStarts {
    from: Addr,
    bits: Vec<u64>,
}

impl ChunkStarts {
    fn new(range: &Range<Addr>) -> Self {
        let places = range.end.0.saturating_sub(range.start.0) / chunks::ALIGNMENT;
        // No heap is larger than what is mapped.
        Self { from: range.start, bits: vec![0; usize::try_from(places.div_ceil(64)).unwrap_or(0)] }
    }

    fn place(&self, at: Addr) -> Option<(usize, u64)> {
        let place = at.0.checked_sub(self.from.0)? / chunks::ALIGNMENT;
        Some((usize::try_from(place / 64).ok()?, 1 << (place % 64)))
    }

    fn insert(&mut self, at: Addr) {
        if let Some((word, bit)) = self.place(at)
            && let Some(word) = self.bits.get_mut(word)
        {
            *word |= bit;
        }
    }

    fn contains(&self, at: Addr) -> bool {
        at.0.is_multiple_of(chunks::ALIGNMENT)
            && self
                .place(at)
                .is_some_and(|(word, bit)| self.bits.get(word).is_some_and(|word| word & bit != 0))
    }
}

/// What glibc's malloc has in a process.
#[derive(Debug, Default)]
pub struct Glibc {
    /// Its arenas.
    pub arenas: Vec<Arena>,
    /// What its heaps are made of, by address.
    pub pieces: Vec<ChunkRun>,
    /// Chunks in fast bins and threads' caches, by address.
    pub cached: Vec<Range<Addr>>,
    /// Chunks with a mapping of their own, by address.
    pub mapped: Vec<Range<Addr>>,
    /// What malloc itself says those take; `None` where that was not found.
    pub mmapped_bytes: Option<u64>,
    /// What `malloc_trim(0)` would give back to the system, as far as it is resident, by address.
    pub trimmable: Vec<Range<Addr>>,
    heaps: Vec<ArenaHeap>,
    /// Of `waiting`, those in fast bins.
    fast: Vec<Range<Addr>>,
    /// Chunks that may be a thread's cache, with their bytes.
    caches: Vec<(Addr, u64)>,
}

/// Where to look.
#[derive(Debug, Default)]
pub struct SearchAreas {
    /// Writable data of programs and libraries, by address.
    pub data: Vec<Range<Addr>>,
    /// `[heap]`, in one piece.
    pub heap: Option<Range<Addr>>,
    /// Anonymous memory that can be written to and may hold chunks with a mapping of their own, by address.
    pub anonymous: Vec<Range<Addr>>,
    /// What of that was ever touched: of what was set aside there may be terabytes.
    pub touched: Vec<Range<Addr>>,
}

impl SearchAreas {
    /// Where the anonymous memory ends that `at` lies in; `at` itself if it lies in none.
    fn end_of(&self, at: Addr) -> Addr {
        let first = self.anonymous.partition_point(|range| range.end <= at);
        self.anonymous
            .iter()
            .skip(first)
            .fold(at, |end, range| if range.start <= end { range.end } else { end })
    }
}

impl Glibc {
    /// Looks for arenas, and follows what they have.
    #[must_use]
    pub fn read(memory: &(impl Memory + ?Sized), places: &SearchAreas) -> Self {
        let mut glibc = Self::default();
        let mut states = Vec::new();
        for ring in arena_state::find(memory, &places.data) {
            for state in &ring {
                glibc.add_arena(memory, state, places);
            }
            if let (Some(main), Some(heap)) = (ring.first(), &places.heap) {
                let told = arena_state::read_mmapped_bytes(memory, &places.data, main.at, heap.start);
                glibc.mmapped_bytes = glibc.mmapped_bytes.or(told);
            }
            states.extend(ring);
        }
        if glibc.arenas.is_empty() {
            return glibc;
        }
        glibc.heaps.sort_unstable_by_key(|heap| heap.range.start);
        glibc.read_cached(memory, &states);
        glibc.pieces.sort_unstable_by_key(|piece| piece.start);
        glibc.find_trimmable();
        glibc.mapped = read_mapped(memory, places);
        glibc
    }

    /// The chunk in use that malloc returned `at` for, with its head; `None` if it returned nothing there.
    #[must_use]
    pub fn chunk(&self, memory: &(impl Memory + ?Sized), at: Addr) -> Option<Range<Addr>> {
        let head = at.minus(2 * chunks::SIZE);
        if let Some(heap) = self.heap_of(at) {
            if !heap.chunks.contains(head) {
                return None;
            }
            return chunks::read_chunk(memory, at, heap.first, heap.range.end)
                .map(|chunk| chunk.start..chunk.end);
        }
        let behind = self.mapped.partition_point(|range| range.start <= at);
        self.mapped.get(behind.checked_sub(1)?).filter(|range| range.start == head).cloned()
    }

    /// Where its heaps are.
    pub fn heaps(&self) -> impl Iterator<Item = Range<Addr>> {
        self.heaps.iter().map(|heap| heap.range.clone())
    }

    fn heap_of(&self, at: Addr) -> Option<&ArenaHeap> {
        let behind = self.heaps.partition_point(|heap| heap.range.start <= at);
        self.heaps.get(behind.checked_sub(1)?).filter(|heap| at < heap.range.end)
    }

    fn add_arena(&mut self, memory: &(impl Memory + ?Sized), state: &MallocState, places: &SearchAreas) {
        let number = self.arenas.len();
        let mut arena = Arena { system_bytes: state.system_bytes, ..Arena::default() };
        let heaps = heaps_of(memory, state, number, places);
        arena.main = heaps.is_none();
        let heaps = heaps.unwrap_or_else(|| main_heap(memory, state, number, places).into_iter().collect());
        for mut heap in heaps {
            let (caches, starts) = (&mut self.caches, &mut heap.chunks);
            let walk = chunks::walk(memory, heap.first, heap.top, heap.range.end, |at, bytes| {
                starts.insert(at);
                if free_lists::may_be_cache(bytes) {
                    caches.push((at, bytes));
                }
            });
            arena.lost_bytes += heap.range.end.0.saturating_sub(walk.reached.0);
            self.pieces.push(ChunkRun { start: heap.range.start, end: heap.first, part: ChunkUse::Own });
            for piece in walk.pieces {
                let bytes = piece.end.0.saturating_sub(piece.start.0);
                match piece.part {
                    ChunkUse::Used => arena.used_bytes += bytes,
                    ChunkUse::Free => arena.free_bytes += bytes,
                    ChunkUse::Top => arena.top_bytes += bytes,
                    ChunkUse::Own => {}
                }
                self.pieces.push(piece);
            }
            self.heaps.push(heap);
        }
        self.arenas.push(arena);
    }

    /// Finds the chunks that wait in fast bins and caches, and takes them from what is used.
    fn read_cached(&mut self, memory: &(impl Memory + ?Sized), states: &[MallocState]) {
        let caches = std::mem::take(&mut self.caches);
        let chunk = |at: Addr| self.chunk(memory, at).map(|chunk| chunk.end.0.saturating_sub(chunk.start.0));
        let mut lists = FreeLists { memory, chunk, found: HashSet::new(), steps: Cell::new(MOST_WAITING) };
        for head in states.iter().flat_map(MallocState::fast_bins) {
            // One that cannot be read holds nothing that could be told.
            let _ = lists.read_fast_bin(head);
        }
        let fast = std::mem::take(&mut lists.found);
        for (at, bytes) in caches {
            lists.read_cache(at.plus(2 * chunks::SIZE), bytes);
        }
        let cached = std::mem::take(&mut lists.found);
        for (chunks, is_fast) in [(fast, true), (cached, false)] {
            for at in chunks {
                let (Some(chunk), Some(heap)) = (self.chunk(memory, at), self.heap_of(at)) else {
                    continue;
                };
                let bytes = chunk.end.0.saturating_sub(chunk.start.0);
                let number = heap.arena;
                if let Some(arena) = self.arenas.get_mut(number) {
                    arena.used_bytes = arena.used_bytes.saturating_sub(bytes);
                    *if is_fast { &mut arena.fast_bytes } else { &mut arena.cached_bytes } += bytes;
                }
                if is_fast {
                    self.fast.push(chunk.clone());
                }
                self.cached.push(chunk);
            }
        }
        self.fast.sort_unstable_by_key(|range| range.start);
        self.cached.sort_unstable_by_key(|range| range.start);
    }

    /// What `mtrim` and `systrim` would give back: first the fast bins are emptied, so that free neighbours become one; then the whole
    /// pages within each free chunk go, and of the main arena those at its end.
    fn find_trimmable(&mut self) {
        let free = self.pieces.iter().filter(|piece| matches!(piece.part, ChunkUse::Free | ChunkUse::Top));
        let mut open: Vec<ChunkRun> = free.copied().collect();
        open.extend(self.fast.iter().map(|range| ChunkRun {
            start: range.start,
            end: range.end,
            part: ChunkUse::Free,
        }));
        open.sort_unstable_by_key(|piece| piece.start);
        let mut merged: Vec<ChunkRun> = Vec::new();
        for piece in open {
            match merged.last_mut() {
                Some(last) if last.end == piece.start && last.part == ChunkUse::Free => {
                    (last.end, last.part) = (piece.end, piece.part);
                }
                _ => merged.push(piece),
            }
        }
        let pages = merged.iter().filter_map(|piece| match piece.part {
            ChunkUse::Top => {
                let arena = self.arenas.get(self.heap_of(piece.start)?.arena)?;
                let size = piece.end.0.saturating_sub(piece.start.0);
                let bytes = size.saturating_sub(SMALLEST + 1) / PAGE * PAGE;
                arena.main.then(|| piece.end.minus(bytes)..piece.end)
            }
            _ => {
                let start = piece.start.0.checked_add(CHUNK_HEAD)?.checked_next_multiple_of(PAGE)?;
                let bytes = piece.end.0.saturating_sub(start) / PAGE * PAGE;
                Some(Addr(start)..Addr(start.saturating_add(bytes)))
            }
        });
        self.trimmable = pages.filter(|range| !range.is_empty()).collect();
    }
}

/// The heaps of an arena that is not the main one; `None` if it is.
fn heaps_of(
    memory: &(impl Memory + ?Sized),
    state: &MallocState,
    number: usize,
    places: &SearchAreas,
) -> Option<Vec<ArenaHeap>> {
    let owner = |base: Addr| memory.read_addr(base).ok() == Some(state.at);
    let (most, info_bytes) = HEAP_MAX.iter().find_map(|&most| {
        let base = state.at.clear_bits(most - 1);
        let info_bytes = state.at.0.saturating_sub(base.0);
        ((1..=64).contains(&info_bytes) && owner(base)).then_some((most, info_bytes))
    })?;
    let mut heaps: Vec<ArenaHeap> = Vec::new();
    let mut base = state.top.clear_bits(most - 1);
    let mut seen = HashSet::new();
    while !base.is_null() && owner(base) && seen.insert(base) && heaps.len() < MOST_HEAPS {
        let (Ok(before), Ok(size)) =
            (memory.read_addr(base.plus(INFO_PREV)), memory.read_u64(base.plus(INFO_SIZE)))
        else {
            break;
        };
        // The arena itself stands in its first heap, behind the head that all have.
        let head = base.plus(info_bytes);
        let first = if head == state.at { state.at.plus(state.shape.bytes()) } else { head };
        let first = Addr(first.0.checked_next_multiple_of(chunks::ALIGNMENT)?);
        // However long it says it is, it is no longer than what is mapped there.
        let range = base..base.plus(size.min(most)).min(places.end_of(base));
        let chunks = ChunkStarts::new(&range);
        heaps.push(ArenaHeap { range, first, top: state.top, arena: number, chunks });
        base = before.clear_bits(most - 1);
    }
    Some(heaps)
}

/// The heap of a main arena. Its first chunk is where `brk` began; where that is not known, the first place from which chunks lead to
/// its end.
fn main_heap(
    memory: &(impl Memory + ?Sized),
    state: &MallocState,
    number: usize,
    places: &SearchAreas,
) -> Option<ArenaHeap> {
    let range = places.heap.clone()?;
    let start = range.start.0.checked_next_multiple_of(chunks::ALIGNMENT)?;
    let reaches =
        |first: Addr| chunks::walk(memory, first, state.top, range.end, |_, _| {}).reached == range.end;
    let first = (0..PAGE)
        .step_by(chunks::ALIGNMENT as usize)
        .map(|offset| Addr(start).plus(offset))
        .filter(|first| {
            let head = memory.read_u64(first.plus(chunks::SIZE)).unwrap_or(0);
            head & chunks::BEFORE_IN_USE != 0 && head & !chunks::FLAGS >= SMALLEST
        })
        .take(MOST_BEGINNINGS)
        .find(|first| reaches(*first))
        // Chunks as far as they can be followed are better than none.
        .unwrap_or(Addr(start));
    let chunks = ChunkStarts::new(&range);
    Some(ArenaHeap { range, first, top: state.top, arena: number, chunks })
}

/// Chunks with a mapping of their own: at the start of a page, with no chunk before them, of whole pages. After 2.42 their size is without
/// the head of the next chunk, which there is none of, and the lowest bit of the word before it says that they are of huge pages
/// (`mmap_set_chunk`).
fn read_mapped(memory: &(impl Memory + ?Sized), places: &SearchAreas) -> Vec<Range<Addr>> {
    let mut found: Vec<Range<Addr>> = Vec::new();
    let mut behind = Addr::NULL;
    for range in &places.touched {
        let mut at = range.start.max(behind);
        while at < range.end {
            let head = memory.read_u64(at).ok().zip(memory.read_u64(at.plus(chunks::SIZE)).ok());
            let size = match head {
                Some((0 | 1, size)) if size & chunks::FLAGS == chunks::OWN_MAPPING => size & !chunks::FLAGS,
                _ => 0,
            };
            let bytes = if size.is_multiple_of(PAGE) { size } else { size.saturating_add(2 * chunks::SIZE) };
            let end = Addr(at.0.saturating_add(bytes));
            if bytes > 0 && bytes.is_multiple_of(PAGE) && end <= places.end_of(at) {
                found.push(at..end);
                behind = end;
                at = end;
            } else {
                at = Addr(at.0.saturating_add(PAGE));
            }
        }
    }
    found
}
