//! The arenas of glibc's malloc, found by their shape, since the symbol is private to libc and mostly stripped.
//!
//! Facts: `struct malloc_state`, `malloc_init_state`, `bin_at` in malloc/malloc.c of glibc 2.27 to 2.42 and the development branch after
//! it. In all of them `top`, `last_remainder`, `bins` and `binmap`, `next`, `next_free`, `attached_threads`, `system_mem`,
//! `max_system_mem` follow each other in this order. The members before `top` differ: fast bins are gone after 2.42.

use std::ops::Range;

use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable, for_each_word};

/// `NBINS` - 1: doubly linked lists of free chunks; the head of each is two pointers.
const BINS: u64 = 127;
/// Bytes of an array of bins.
const BINS_BYTES: usize = 127 * 16;
/// `BINMAPSIZE` words of 4 bytes.
const BINMAP_BYTES: u64 = 16;
/// Bytes from `top` to `bins`.
const TOP_TO_BINS: u64 = 16;
/// Bytes from `top` to `next`.
const TOP_TO_NEXT: u64 = TOP_TO_BINS + BINS * 16 + BINMAP_BYTES;
/// Bytes from `next` to `system_mem`.
const NEXT_TO_SYSTEM: u64 = 24;
/// Bytes from `next` to the end of the struct.
const NEXT_TO_END: u64 = 40;
/// `mutex` and `flags`.
const LOCK_BYTES: u64 = 8;
/// `have_fastchunks` with its padding.
const HAVE_FAST_BYTES: u64 = 8;
/// Offset of `top`, with fast bins and without.
const TOPS: [u64; 2] = [LOCK_BYTES + HAVE_FAST_BYTES + 80, LOCK_BYTES];
/// Empty bins that mark an arena; most of the 127 are empty in most programs.
const EMPTY_BINS: usize = 8;
/// More arenas than the default of `MALLOC_ARENA_MAX` on a machine with 8,192 processors.
const MAX_ARENAS: usize = 1 << 16;
/// Addresses at which bins may begin that are tried; an arena has a hundred at most.
const MAX_STARTS: usize = 1 << 16;
/// Bytes of static data that are searched.
const MAX_DATA: u64 = 1 << 28;

/// Offset of `bins`, if `top` has this offset.
const fn bins_offset(top_offset: u64) -> u64 {
    top_offset.saturating_add(TOP_TO_BINS)
}

/// An arena: `struct malloc_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MallocState {
    pub at: Addr,
    top_offset: u64,
    /// The chunk at the end that was never given out.
    pub top: Addr,
    /// Bytes taken from the system.
    pub system_bytes: u64,
    next: Addr,
}

impl MallocState {
    /// # Errors
    /// If it cannot be read.
    fn read(memory: &(impl Memory + ?Sized), at: Addr, top_offset: u64) -> Result<Self, Unreadable> {
        let top = at.plus(top_offset);
        let next = top.plus(TOP_TO_NEXT);
        Ok(Self {
            at,
            top_offset,
            top: memory.read_addr(top)?,
            system_bytes: memory.read_u64(next.plus(NEXT_TO_SYSTEM))?,
            next: memory.read_addr(next)?,
        })
    }

    /// The address behind it.
    pub(super) const fn end(&self) -> Addr {
        self.at.plus(self.top_offset.saturating_add(TOP_TO_NEXT + NEXT_TO_END))
    }

    /// The addresses of the heads of its fast bins.
    pub(super) fn fast_bins(&self) -> impl Iterator<Item = Addr> + use<> {
        let (at, first) = (self.at, LOCK_BYTES + HAVE_FAST_BYTES);
        (first..self.top_offset).step_by(8).map(move |offset| at.plus(offset))
    }
}

/// Finds the arenas of every glibc whose data lies in `data`; the main one of each comes first.
pub(super) fn find_arenas(memory: &(impl Memory + ?Sized), data: &[Range<Addr>]) -> Vec<Vec<MallocState>> {
    let mut found: Vec<Vec<MallocState>> = Vec::new();
    let mut left = MAX_DATA;
    // Bounds for memory that is made to look like arenas.
    let (mut starts, mut steps) = (MAX_STARTS, MAX_ARENAS);
    for range in data {
        let length = range.end.0.saturating_sub(range.start.0).min(left);
        left = left.saturating_sub(length);
        for bins in find_bins(memory, range.start, length, &mut starts) {
            let known = |ring: &Vec<MallocState>| {
                ring.iter().any(|state| state.at.plus(bins_offset(state.top_offset)) == bins)
            };
            if !found.iter().any(known) {
                found.extend(
                    TOPS.iter().find_map(|&top| ring(memory, bins.minus(bins_offset(top)), top, &mut steps)),
                );
            }
        }
    }
    found
}

/// Finds the addresses at which `bins` of an arena may begin. Both pointers of an empty bin lead to 16 bytes before it.
fn find_bins(memory: &(impl Memory + ?Sized), start: Addr, length: u64, most: &mut usize) -> Vec<Addr> {
    let mut empty = Vec::new();
    let mut before: Option<(Addr, u64)> = None;
    for_each_word(memory, &[start..start.plus(length)], |at, word| {
        if let Some((first, same)) = before.replace((at, word))
            && word == same
            && word == first.minus(16).0
            && at == first.plus(8)
        {
            empty.push(first);
        }
    });
    // Groups that may belong to one arena, and for each the addresses at which the array may begin.
    let mut starts = Vec::new();
    let mut rest = empty.as_slice();
    while let Some(&first) = rest.first() {
        let reach = rest.partition_point(|at| at.0.saturating_sub(first.0) < BINS * 16);
        let (group, others) = rest.split_at(reach.max(1));
        rest = others;
        if let (Some(last), true) = (group.last(), group.len() >= EMPTY_BINS) {
            let earliest = last.minus((BINS - 1) * 16);
            let before = starts.len();
            let may = (0..BINS).map(|bin| earliest.plus(bin.saturating_mul(16)));
            starts.extend(may.filter(|start| *start <= first).take(*most));
            *most = most.saturating_sub(starts.len().saturating_sub(before));
        }
    }
    starts
}

/// Reads the ring of arenas that begins at `first`; `None` if it is none.
fn ring(
    memory: &(impl Memory + ?Sized),
    first: Addr,
    top_offset: u64,
    steps: &mut usize,
) -> Option<Vec<MallocState>> {
    let mut states = Vec::new();
    let mut at = first;
    loop {
        let state = MallocState::read(memory, at, top_offset).ok()?;
        let plausible =
            !state.top.is_null() && state.top.0.is_multiple_of(16) && state.system_bytes < 1 << 47;
        if !plausible || !has_bins(memory, at.plus(bins_offset(top_offset))) {
            return None;
        }
        *steps = steps.checked_sub(1)?;
        at = state.next;
        states.push(state);
        if at == first {
            return Some(states);
        }
    }
}

/// Whether each head of a list has two pointers to itself, or two to chunks.
fn has_bins(memory: &(impl Memory + ?Sized), bins: Addr) -> bool {
    let mut heads = [0; BINS_BYTES];
    if memory.read(bins, &mut heads).is_err() {
        return false;
    }
    heads.as_chunks::<8>().0.as_chunks::<2>().0.iter().zip(0_u64..).all(|([forward, back], bin)| {
        let (forward, back) = (u64::from_le_bytes(*forward), u64::from_le_bytes(*back));
        let empty = bins.plus(bin.saturating_mul(16)).minus(16).0;
        let is_chunk = |word: u64| word != 0 && word != empty && word.is_multiple_of(16);
        (forward == empty && back == empty) || (is_chunk(forward) && is_chunk(back))
    })
}

/// Reads the bytes of chunks with a mapping of their own (`mmapped_mem`) in `mp_` (`struct malloc_par`). `mp_` is found by `sbrk_base`,
/// the start of the heap, which is behind that and its maximum.
pub(super) fn read_mmapped_bytes(
    memory: &(impl Memory + ?Sized),
    data: &[Range<Addr>],
    main: Addr,
    heap: Addr,
) -> Option<u64> {
    let range = data.iter().find(|range| range.contains(&main))?;
    let mut words = vec![0; usize::try_from(range.end.0.saturating_sub(range.start.0).min(1 << 20)).ok()?];
    memory.read(range.start, &mut words).ok()?;
    words.as_chunks::<8>().0.windows(3).find_map(|window| {
        let [now, most, base] = window else { return None };
        let (now, most) = (u64::from_le_bytes(*now), u64::from_le_bytes(*most));
        let plausible = now <= most && now % 4096 == 0 && most % 4096 == 0 && most < 1 << 47;
        (u64::from_le_bytes(*base) == heap.0 && plausible).then_some(now)
    })
}
