//! Objects that keep memory from being given back: the last ones in nearly empty arenas and pools.
//!
//! An arena goes back to the system when no block of it is in use, and a pool can serve blocks of another size when none of its own is
//! (Objects/obmalloc.c). So a single small object keeps all of both. mimalloc gives back each page by itself, so its pages are looked at.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;

use memobj_process::addr::Addr;
use memobj_process::residence::{PageKind, PageRun};

use super::python_memory::{PoolUse, PythonMemory};
use super::span::RowId;

/// An arena or pool is nearly empty if at most one part in so many of its bytes is in use.
const NEARLY_EMPTY: u64 = 4;

/// Memory that few objects keep.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PinnedMemory {
    /// Nearly empty arenas; of mimalloc pages.
    pub arenas: u64,
    /// Their resident bytes that are not in use.
    pub arena_bytes: u64,
    /// Nearly empty pools.
    pub pools: u64,
    /// Their bytes that are not in use.
    pub pool_bytes: u64,
    /// The types of the objects in them, those that keep most first.
    pub types: Vec<TypePinning>,
    /// The nearly empty arenas by address, each with the bytes that are kept.
    pub kept: Vec<(Range<Addr>, u64)>,
}

/// Memory that the objects of a type keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypePinning {
    /// The number of the type.
    pub row: RowId,
    /// Nearly empty arenas in which it has blocks.
    pub arenas: u64,
    /// Blocks with its objects or their storage in nearly empty arenas.
    pub in_arenas: u64,
    /// Their part of the bytes that these arenas keep; each block in use has the same part.
    pub arena_bytes: u64,
    /// The same blocks in nearly empty pools.
    pub in_pools: u64,
    /// Their part of the bytes that these pools keep; also in `arena_bytes` where the pool's arena is nearly empty.
    pub pool_bytes: u64,
}

/// Finds the nearly empty arenas and pools, and the objects in them.
pub(super) fn find(pages: &[PageRun], python: &PythonMemory<'_>) -> PinnedMemory {
    let mut pinned = PinnedMemory::default();
    let mut types: HashMap<RowId, TypePinning> = HashMap::new();
    let mut of_type = |row: RowId, add: &dyn Fn(&mut TypePinning)| {
        let none = TypePinning { row, arenas: 0, in_arenas: 0, arena_bytes: 0, in_pools: 0, pool_bytes: 0 };
        add(types.entry(row).or_insert(none));
    };
    let is_mimalloc = python.pools.iter().any(|pool| pool.heap.is_some());
    let mimalloc_pages: Vec<Range<Addr>> = python.pools.iter().map(|pool| pool.range.clone()).collect();
    for arena in if is_mimalloc { &mimalloc_pages } else { python.arenas } {
        let pools = within(python.pools, arena, |pool| pool.range.start);
        let used = pools.iter().fold(0_u64, |sum, pool| sum.saturating_add(pool.used_bytes));
        let kept = resident(pages, arena).saturating_sub(used);
        if used == 0 || used > length(arena) / NEARLY_EMPTY {
            continue;
        }
        pinned.arenas = pinned.arenas.saturating_add(1);
        pinned.arena_bytes = pinned.arena_bytes.saturating_add(kept);
        pinned.kept.push((arena.clone(), kept));
        for (row, blocks, bytes) in shares(python, pools, kept) {
            of_type(row, &|of| {
                of.arenas = of.arenas.saturating_add(1);
                of.in_arenas = of.in_arenas.saturating_add(blocks);
                of.arena_bytes = of.arena_bytes.saturating_add(bytes);
            });
        }
    }
    for pool in python.pools {
        let bytes = length(&pool.range);
        if pool.used_bytes == 0 || pool.used_bytes > bytes / NEARLY_EMPTY {
            continue;
        }
        let kept = bytes.saturating_sub(pool.used_bytes);
        pinned.pools = pinned.pools.saturating_add(1);
        pinned.pool_bytes = pinned.pool_bytes.saturating_add(kept);
        for (row, blocks, bytes) in shares(python, std::slice::from_ref(pool), kept) {
            of_type(row, &|of| {
                of.in_pools = of.in_pools.saturating_add(blocks);
                of.pool_bytes = of.pool_bytes.saturating_add(bytes);
            });
        }
    }
    pinned.types = types.into_values().collect();
    pinned.types.sort_by_key(|of| (Reverse((of.arena_bytes, of.pool_bytes, of.in_pools)), of.row));
    pinned
}

/// The types in some pools, each with its blocks and its part of `kept`.
fn shares(
    python: &PythonMemory<'_>,
    pools: &[PoolUse],
    kept: u64,
) -> impl Iterator<Item = (RowId, u64, u64)> {
    let mut blocks: HashMap<RowId, u64> = HashMap::new();
    let mut all = 0_u64;
    for pool in pools {
        for span in within(python.objects, &pool.blocks, |span| span.start) {
            let count = length(&(span.start..span.end)).div_ceil(pool.block_bytes.max(1));
            let sum = blocks.entry(span.row).or_default();
            *sum = sum.saturating_add(count);
            all = all.saturating_add(count);
        }
    }
    blocks.into_iter().map(move |(row, blocks)| {
        let part = u128::from(kept).saturating_mul(blocks.into()).checked_div(all.into()).unwrap_or(0);
        (row, blocks, u64::try_from(part).unwrap_or(kept))
    })
}

/// The part of a list by address that begins in a range.
fn within<'a, T>(list: &'a [T], range: &Range<Addr>, start: impl Fn(&T) -> Addr) -> &'a [T] {
    let first = list.partition_point(|one| start(one) < range.start);
    let end = list.partition_point(|one| start(one) < range.end);
    list.get(first..end).unwrap_or_default()
}

fn resident(pages: &[PageRun], range: &Range<Addr>) -> u64 {
    let first = pages.partition_point(|run| run.range.end <= range.start);
    let runs = pages.iter().skip(first).take_while(|run| run.range.start < range.end);
    let resident = runs.filter(|run| run.kind != PageKind::Swapped);
    resident.fold(0, |sum: u64, run| {
        sum.saturating_add(length(&(run.range.start.max(range.start)..run.range.end.min(range.end))))
    })
}

const fn length(range: &Range<Addr>) -> u64 {
    range.end.0.saturating_sub(range.start.0)
}

#[cfg(test)]
mod tests {
    use super::super::span::Span;
    use super::*;

    #[test]
    fn last_blocks_pin_arenas() {
        let range = |start: u64, end: u64| Addr(start)..Addr(end);
        let pool = |start: u64, used: u64| PoolUse {
            range: range(start, start + 1000),
            blocks: range(start + 40, start + 1000),
            block_bytes: 100,
            used_bytes: used,
            heap: None,
        };
        let arenas = [range(0, 10_000), range(20_000, 30_000), range(40_000, 50_000)];
        let pools =
            [pool(1000, 100), pool(2000, 800), pool(20_000, 960), pool(21_000, 960), pool(22_000, 960)];
        let span = |start: u64, bytes: u64, row: u32| Span {
            start: Addr(start),
            end: Addr(start + bytes),
            row: RowId(row),
        };
        let objects = [span(1040, 100, 7), span(2040, 400, 7), span(2440, 400, 8), span(20_040, 900, 9)];
        let python = PythonMemory {
            arenas: &arenas,
            pools: &pools,
            objects: &objects,
            types: 10,
            ..PythonMemory::default()
        };
        let pages = [
            PageRun { range: range(0, 6900), kind: PageKind::Private },
            PageRun { range: range(6900, 7500), kind: PageKind::Swapped },
            PageRun { range: range(20_000, 30_000), kind: PageKind::Shared },
        ];
        let pinned = find(&pages, &python);
        // The first arena has 900 of 10,000 in use; the second one is more than a quarter full; the third one is empty and will go.
        assert_eq!((pinned.arenas, pinned.arena_bytes), (1, 6000));
        assert_eq!((pinned.pools, pinned.pool_bytes), (1, 900));
        let found: Vec<_> = pinned
            .types
            .iter()
            .map(|one| (one.row.0, one.in_arenas, one.arena_bytes, one.in_pools, one.pool_bytes))
            .collect();
        assert_eq!(found, [(7, 5, 3333, 1, 900), (8, 4, 2666, 0, 0)]);
        assert!(pinned.types.iter().all(|one| one.arenas == 1));
        assert_eq!(pinned.kept, [(range(0, 10_000), 6000)]);
    }
}
