//! glibc's malloc: its arenas, their chunks in use and free, and the memory that `malloc_trim` would give back.
//!
//! Facts: malloc/malloc.c and malloc/arena.c of glibc 2.27 to 2.42 and the development branch after it. The main arena's heap is
//! `[heap]`, which `brk` extends; others have heaps that are mapped at multiples of their largest size and begin with a `heap_info`.
//! Large chunks have a mapping of their own.

mod arena_state;
mod chunks;
mod free_lists;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::HashSet;
use std::ops::Range;

use common::record::MemoryKind;
use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, contiguous_end, range_at};

use arena_state::MallocState;
pub use chunks::ChunkRun;
use free_lists::FreeLists;

const PAGE: u64 = 4096;
/// `sizeof(struct malloc_chunk)`: bytes of a free chunk that `malloc_trim` never gives back.
const CHUNK_HEAD: u64 = 48;
/// `MINSIZE`: bytes of the main arena's end that are always kept.
const SMALLEST: u64 = 32;
/// Alignment of heaps (`HEAP_MAX_SIZE`): the default, and with huge pages of 2 MiB and 1 GiB (`glibc.malloc.hugetlb`).
const HEAP_MAX: [u64; 3] = [64 << 20, 8 << 20, 4 << 30];
/// Offsets of `prev` and `size` in `heap_info`.
const INFO_PREV: u64 = 8;
const INFO_SIZE: u64 = 16;
/// Chunks that are followed in free lists; a thread's cache has a few hundred.
const MAX_CACHED: u64 = 1 << 26;
/// Addresses at which a main heap may begin that are tried.
const MAX_FIRST_CHUNKS: usize = 4;
/// More heaps than fit into the addresses of a process.
const MAX_HEAPS: usize = 1 << 21;

/// An arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Arena {
    /// Whether it is the one whose heap is `[heap]`.
    pub main: bool,
    /// Bytes that it took from the system.
    pub system_bytes: u64,
    /// Bytes of chunks in use, without those in caches.
    pub used_bytes: u64,
    /// Bytes of chunks in its lists of free chunks.
    pub free_bytes: u64,
    /// Bytes of chunks in its fast bins.
    pub fast_bytes: u64,
    /// Bytes of chunks in the caches of threads.
    pub cached_bytes: u64,
    /// Bytes at the end that were never given out.
    pub top_bytes: u64,
    /// Bytes of its heaps that could not be walked.
    pub lost_bytes: u64,
}

/// A heap of an arena.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ArenaHeap {
    /// All of it, with the header before the first chunk.
    range: Range<Addr>,
    first: Addr,
    top: Addr,
    arena: usize,
    /// The starts of chunks in use.
    chunks: ChunkStarts,
}

/// A set of addresses in a heap, with a bit for each address at which a chunk can begin.
///
/// It has bits only for the parts of the heap with chunks: the size of a heap is a word of the target, or of a core file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct ChunkStarts {
    /// By address: the number of a part, and its bits.
    parts: Vec<(u64, Box<[u64; PART_WORDS]>)>,
}

/// Words of bits of a part: 4 KiB for 512 KiB of a heap.
const PART_WORDS: usize = 512;
/// The same, for numbers of words.
const PART: u64 = PART_WORDS as u64;

impl ChunkStarts {
    /// The part, the word in it and the bit of an address.
    fn place(at: Addr) -> (u64, usize, u64) {
        let place = at.0 / chunks::ALIGNMENT;
        let word = place / 64;
        (word / PART, (word % PART) as usize, 1 << (place % 64))
    }

    /// Adds an address, which lies behind all others.
    fn push(&mut self, at: Addr) {
        let (part, word, bit) = Self::place(at);
        if self.parts.last().is_none_or(|(last, _)| *last < part) {
            self.parts.push((part, Box::new([0; PART_WORDS])));
        }
        if let Some((_, bits)) = self.parts.last_mut().filter(|(last, _)| *last == part)
            && let Some(word) = bits.get_mut(word)
        {
            *word |= bit;
        }
    }

    fn contains(&self, at: Addr) -> bool {
        let (part, word, bit) = Self::place(at);
        let found = self.parts.binary_search_by_key(&part, |(part, _)| *part).ok();
        let word = found.and_then(|at| self.parts.get(at)).and_then(|(_, bits)| bits.get(word));
        at.0.is_multiple_of(chunks::ALIGNMENT) && word.is_some_and(|word| word & bit != 0)
    }
}

/// The memory of glibc's malloc in a process.
#[derive(Debug, Default)]
pub struct Glibc {
    /// Its arenas.
    pub arenas: Vec<Arena>,
    /// The chunks of its heaps, by address.
    pub pieces: Vec<ChunkRun>,
    /// Chunks in fast bins and threads' caches, by address.
    pub cached: Vec<Range<Addr>>,
    /// Chunks with a mapping of their own, by address.
    pub mapped: Vec<Range<Addr>>,
    /// Their bytes as malloc counts them; `None` where that was not found.
    pub mmapped_bytes: Option<u64>,
    /// Memory that `malloc_trim(0)` would give back to the system where it is resident, by address.
    pub trimmable: Vec<Range<Addr>>,
    heaps: Vec<ArenaHeap>,
    /// The part of `cached` in fast bins.
    fast: Vec<Range<Addr>>,
    /// Chunks that may be a thread's cache, with their bytes.
    caches: Vec<(Addr, u64)>,
}

/// Memory in which malloc is searched.
#[derive(Debug, Default)]
pub struct SearchAreas {
    /// Writable data of programs and libraries, by address.
    pub data: Vec<Range<Addr>>,
    /// `[heap]`, in one piece.
    pub heap: Option<Range<Addr>>,
    /// Anonymous memory that can be written to and may hold chunks with a mapping of their own, by address.
    pub anonymous: Vec<Range<Addr>>,
    /// The parts of that which were ever touched; programs reserve terabytes.
    pub touched: Vec<Range<Addr>>,
}

impl Glibc {
    /// Finds the arenas, and reads their heaps.
    pub fn read(memory: &(impl Memory + ?Sized), areas: &SearchAreas) -> Self {
        let mut glibc = Self::default();
        let mut states = Vec::new();
        for ring in arena_state::find_arenas(memory, &areas.data) {
            for state in &ring {
                glibc.add_arena(memory, state, areas);
            }
            if let (Some(main), Some(heap)) = (ring.first(), &areas.heap) {
                let bytes = arena_state::read_mmapped_bytes(memory, &areas.data, main.at, heap.start);
                glibc.mmapped_bytes = glibc.mmapped_bytes.or(bytes);
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
        glibc.mapped = read_mapped(memory, areas);
        glibc
    }

    /// The chunk in use for which malloc returned `at`, with its header; `None` if there is none.
    pub fn chunk(&self, memory: &(impl Memory + ?Sized), at: Addr) -> Option<Range<Addr>> {
        let head = at.minus(chunks::HEADER);
        if let Some(heap) = self.heap_of(at) {
            if !heap.chunks.contains(head) {
                return None;
            }
            return chunks::read_chunk(memory, at, heap.first, heap.range.end)
                .map(|chunk| chunk.start..chunk.end);
        }
        range_at(&self.mapped, head).filter(|range| range.start == head).cloned()
    }

    /// The memory of its heaps.
    pub fn heaps(&self) -> impl Iterator<Item = Range<Addr>> {
        self.heaps.iter().map(|heap| heap.range.clone())
    }

    fn heap_of(&self, at: Addr) -> Option<&ArenaHeap> {
        let behind = self.heaps.partition_point(|heap| heap.range.start <= at);
        self.heaps.get(behind.checked_sub(1)?).filter(|heap| at < heap.range.end)
    }

    fn add_arena(&mut self, memory: &(impl Memory + ?Sized), state: &MallocState, areas: &SearchAreas) {
        let number = self.arenas.len();
        let mut arena = Arena { system_bytes: state.system_bytes, ..Arena::default() };
        let heaps = heaps_of(memory, state, number, areas);
        arena.main = heaps.is_none();
        let heaps = heaps.unwrap_or_else(|| main_heap(memory, state, number, areas).into_iter().collect());
        for mut heap in heaps {
            let (caches, starts) = (&mut self.caches, &mut heap.chunks);
            let walk = chunks::walk(memory, heap.first, heap.top, heap.range.end, |at, bytes| {
                starts.push(at);
                if free_lists::may_be_cache(bytes) {
                    caches.push((at, bytes));
                }
            });
            add(&mut arena.lost_bytes, walk.reached, heap.range.end);
            self.pieces.push(ChunkRun {
                start: heap.range.start,
                end: heap.first,
                part: MemoryKind::NativeOverhead,
            });
            for piece in walk.pieces {
                match piece.part {
                    MemoryKind::NativeUsed => add(&mut arena.used_bytes, piece.start, piece.end),
                    MemoryKind::NativeFree => add(&mut arena.free_bytes, piece.start, piece.end),
                    MemoryKind::NativeTop => add(&mut arena.top_bytes, piece.start, piece.end),
                    _ => {}
                }
                self.pieces.push(piece);
            }
            self.heaps.push(heap);
        }
        self.arenas.push(arena);
    }

    /// Finds the chunks in fast bins and caches, and subtracts them from those in use.
    fn read_cached(&mut self, memory: &(impl Memory + ?Sized), states: &[MallocState]) {
        let caches = std::mem::take(&mut self.caches);
        let chunk = |at: Addr| self.chunk(memory, at).map(|chunk| chunk.end.0.saturating_sub(chunk.start.0));
        let mut lists = FreeLists { memory, chunk, found: HashSet::new(), steps: Cell::new(MAX_CACHED) };
        for head in states.iter().flat_map(MallocState::fast_bins) {
            let _ = lists.read_fast_bin(head);
        }
        let fast = std::mem::take(&mut lists.found);
        for (at, bytes) in caches {
            lists.read_cache(at.plus(chunks::HEADER), bytes);
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
                    let sum = if is_fast { &mut arena.fast_bytes } else { &mut arena.cached_bytes };
                    add(sum, chunk.start, chunk.end);
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

    /// Finds the memory that `mtrim` and `systrim` would give back. They empty the fast bins, which merges free neighbours; then the whole
    /// pages in each free chunk go, and those at the end of the main arena.
    fn find_trimmable(&mut self) {
        let free = self
            .pieces
            .iter()
            .filter(|piece| matches!(piece.part, MemoryKind::NativeFree | MemoryKind::NativeTop));
        let mut open: Vec<ChunkRun> = free.copied().collect();
        open.extend(self.fast.iter().map(|range| ChunkRun {
            start: range.start,
            end: range.end,
            part: MemoryKind::NativeFree,
        }));
        open.sort_unstable_by_key(|piece| piece.start);
        let mut merged: Vec<ChunkRun> = Vec::new();
        for piece in open {
            match merged.last_mut() {
                Some(last) if last.end == piece.start && last.part == MemoryKind::NativeFree => {
                    (last.end, last.part) = (piece.end, piece.part);
                }
                _ => merged.push(piece),
            }
        }
        let pages = merged.iter().filter_map(|piece| match piece.part {
            MemoryKind::NativeTop => {
                let arena = self.arenas.get(self.heap_of(piece.start)?.arena)?;
                let size = piece.end.0.saturating_sub(piece.start.0);
                let bytes = (size.saturating_sub(SMALLEST + 1)) & !(PAGE - 1);
                arena.main.then(|| piece.end.minus(bytes)..piece.end)
            }
            _ => {
                let start = piece.start.0.checked_add(CHUNK_HEAD)?.checked_next_multiple_of(PAGE)?;
                let bytes = piece.end.0.saturating_sub(start) & !(PAGE - 1);
                Some(Addr(start)..Addr(start.saturating_add(bytes)))
            }
        });
        self.trimmable = pages.filter(|range| !range.is_empty()).collect();
    }
}

/// Adds the bytes of a range to a sum.
fn add(sum: &mut u64, start: Addr, end: Addr) {
    *sum = sum.saturating_add(end.0.saturating_sub(start.0));
}

/// Reads the heaps of an arena; `None` for the main one.
fn heaps_of(
    memory: &(impl Memory + ?Sized),
    state: &MallocState,
    number: usize,
    areas: &SearchAreas,
) -> Option<Vec<ArenaHeap>> {
    let owner = |base: Addr| memory.read_addr(base).ok() == Some(state.at);
    let (most, info_bytes) = HEAP_MAX.iter().find_map(|&most| {
        let base = state.at.clear_bits(most.saturating_sub(1));
        let info_bytes = state.at.0.saturating_sub(base.0);
        ((1..=64).contains(&info_bytes) && owner(base)).then_some((most, info_bytes))
    })?;
    let mut heaps: Vec<ArenaHeap> = Vec::new();
    let mut base = state.top.clear_bits(most.saturating_sub(1));
    let mut seen = HashSet::new();
    while !base.is_null() && owner(base) && seen.insert(base) && heaps.len() < MAX_HEAPS {
        let (Ok(before), Ok(size)) =
            (memory.read_addr(base.plus(INFO_PREV)), memory.read_u64(base.plus(INFO_SIZE)))
        else {
            break;
        };
        // The arena itself is in its first heap, behind the header that all have.
        let head = base.plus(info_bytes);
        let first = if head == state.at { state.end() } else { head };
        let first = Addr(first.0.checked_next_multiple_of(chunks::ALIGNMENT)?);
        // It is no longer than its mapping.
        let range = base..base.plus(size.min(most)).min(contiguous_end(&areas.anonymous, base));
        let chunks = ChunkStarts::default();
        heaps.push(ArenaHeap { range, first, top: state.top, arena: number, chunks });
        base = before.clear_bits(most.saturating_sub(1));
    }
    Some(heaps)
}

/// Finds the heap of a main arena. Its first chunk is where `brk` began, which is not known: the first address from which chunks lead to
/// the end is taken.
fn main_heap(
    memory: &(impl Memory + ?Sized),
    state: &MallocState,
    number: usize,
    areas: &SearchAreas,
) -> Option<ArenaHeap> {
    let range = areas.heap.clone()?;
    let start = range.start.0.checked_next_multiple_of(chunks::ALIGNMENT)?;
    let reaches =
        |first: Addr| chunks::walk(memory, first, state.top, range.end, |_, _| {}).reached == range.end;
    let first = (0..PAGE)
        .filter(|offset| offset.is_multiple_of(chunks::ALIGNMENT))
        .map(|offset| Addr(start).plus(offset))
        .filter(|first| {
            let head = memory.read_u64(first.plus(chunks::SIZE)).unwrap_or(0);
            head & chunks::BEFORE_IN_USE != 0 && head & !chunks::FLAGS >= SMALLEST
        })
        .take(MAX_FIRST_CHUNKS)
        .find(|first| reaches(*first))
        // Some chunks are better than none.
        .unwrap_or(Addr(start));
    Some(ArenaHeap { range, first, top: state.top, arena: number, chunks: ChunkStarts::default() })
}

/// Finds the chunks with a mapping of their own: at the start of a page, with no chunk before them, of whole pages. After 2.42 their size
/// is without the header of the next chunk, and the lowest bit of the word before it means huge pages (`mmap_set_chunk`).
fn read_mapped(memory: &(impl Memory + ?Sized), areas: &SearchAreas) -> Vec<Range<Addr>> {
    let mut found: Vec<Range<Addr>> = Vec::new();
    let mut behind = Addr::NULL;
    for range in &areas.touched {
        let mut at = range.start.max(behind);
        while at < range.end {
            let head = memory.read_u64(at).ok().zip(memory.read_u64(at.plus(chunks::SIZE)).ok());
            let size = match head {
                Some((0 | 1, size)) if size & chunks::FLAGS == chunks::OWN_MAPPING => size & !chunks::FLAGS,
                _ => 0,
            };
            let bytes = if size.is_multiple_of(PAGE) { size } else { size.saturating_add(chunks::HEADER) };
            let end = Addr(at.0.saturating_add(bytes));
            if bytes > 0 && bytes.is_multiple_of(PAGE) && end <= contiguous_end(&areas.anonymous, at) {
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
