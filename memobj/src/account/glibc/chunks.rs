//! The chunks of a heap, one after the other.
//!
//! Facts: `struct malloc_chunk` in malloc/malloc.c of glibc. A chunk begins with the size of the one before it (its own if that is
//! free, else that one's last word) and its size, whose lowest bits say: 1, the chunk before is in use; 2, it has a mapping of its own;
//! 4, it is not of the main arena. So the next chunk says whether a chunk is in use. Chunks in fast bins and in threads'
//! caches count as in use.

use common::record::MemoryKind;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

/// `PREV_INUSE`.
pub(super) const BEFORE_IN_USE: u64 = 1;
/// `IS_MMAPPED`.
pub(super) const OWN_MAPPING: u64 = 2;
/// `SIZE_BITS`.
pub(super) const FLAGS: u64 = 7;
/// Alignment of chunks (`MALLOC_ALIGNMENT`), and the size of a fencepost.
pub(super) const ALIGNMENT: u64 = 16;
/// Bytes from a chunk to its size.
pub(super) const SIZE: u64 = 8;
/// Bytes from a chunk to the address that malloc returns.
pub(super) const HEADER: u64 = 2 * SIZE;

/// Consecutive chunks of one use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRun {
    /// The first byte.
    pub start: Addr,
    /// The byte behind the last.
    pub end: Addr,
    /// Their use. `NativeOverhead` are the header of a heap, its arena and fenceposts; `NativeTop` was never given out.
    pub part: MemoryKind,
}

/// The chunks of a heap.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// By address.
    pub pieces: Vec<ChunkRun>,
    /// The end of the walk: the heap's end, or the first invalid chunk.
    pub reached: Addr,
}

/// Walks over the chunks from `first` on. `top` is the last one of its arena, if it lies in this heap; `end` is the end of the heap.
/// Each free chunk is a run of its own; others are merged with their neighbours. Calls `used` with every chunk in use.
pub(super) fn walk(
    memory: &(impl Memory + ?Sized),
    first: Addr,
    top: Addr,
    end: Addr,
    mut used: impl FnMut(Addr, u64),
) -> Walk {
    let mut pieces: Vec<ChunkRun> = Vec::new();
    let mut at = first;
    let Ok(mut head) = memory.read_u64(at.plus(SIZE)) else { return Walk { pieces, reached: at } };
    loop {
        let size = head & !FLAGS;
        let next = Addr(at.0.saturating_add(size));
        if at == top {
            pieces.push(ChunkRun { start: at, end: next.min(end), part: MemoryKind::NativeTop });
            // Behind it is less than a page that the heap has and malloc does not count.
            return Walk { pieces, reached: if next <= end { end } else { at } };
        }
        if size == 0 {
            // The last fencepost of a heap that another one follows; the rest is not used.
            pieces.push(ChunkRun { start: at, end, part: MemoryKind::NativeOverhead });
            return Walk { pieces, reached: end };
        }
        let is_last = next == end && size == ALIGNMENT;
        if (next >= end && !is_last) || !size.is_multiple_of(ALIGNMENT) || head & OWN_MAPPING != 0 {
            return Walk { pieces, reached: at };
        }
        let behind = if is_last { Ok(BEFORE_IN_USE) } else { memory.read_u64(next.plus(SIZE)) };
        let Ok(behind) = behind else { return Walk { pieces, reached: at } };
        let part = match (size, behind & BEFORE_IN_USE) {
            (ALIGNMENT, _) => MemoryKind::NativeOverhead,
            (_, 0) => MemoryKind::NativeFree,
            _ => MemoryKind::NativeUsed,
        };
        if part == MemoryKind::NativeUsed {
            used(at, size);
        }
        match pieces.last_mut() {
            Some(last) if last.part == part && part != MemoryKind::NativeFree => last.end = next,
            _ => pieces.push(ChunkRun { start: at, end: next, part }),
        }
        if is_last {
            return Walk { pieces, reached: end };
        }
        (at, head) = (next, behind);
    }
}

/// Reads the chunk for which `malloc` returned `bytes`, if it can be one of a heap from `start` to `end`.
pub(super) fn read_chunk(
    memory: &(impl Memory + ?Sized),
    bytes: Addr,
    start: Addr,
    end: Addr,
) -> Option<ChunkRun> {
    let at = bytes.minus(HEADER);
    if !bytes.0.is_multiple_of(ALIGNMENT) || at < start || at >= end {
        return None;
    }
    let size = memory.read_u64(at.plus(SIZE)).ok()? & !FLAGS;
    let behind = Addr(at.0.checked_add(size)?);
    let plausible = size > ALIGNMENT && size.is_multiple_of(ALIGNMENT) && behind <= end;
    plausible.then_some(ChunkRun { start: at, end: behind, part: MemoryKind::NativeUsed })
}
