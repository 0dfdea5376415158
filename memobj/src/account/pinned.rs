//! Who keeps memory from being given back: the last inhabitants of nearly empty arenas and pools.
//!
//! An arena goes back to the system when no block of it is in use, and a pool can serve blocks of another size when none of its own is
//! (Objects/obmalloc.c). So a single small object keeps all of both. Of mimalloc a page goes back by itself, so that there pages are what is kept.

use std::collections::HashMap;
use std::ops::Range;

use memobj_process::addr::Addr;
use memobj_process::residence::{PageKind, PageRun};

use super::span::RowId;
use super::{PoolUse, PythonMemory};

/// Nearly empty is what has at most a quarter of its bytes in use.
const NEARLY_EMPTY: u64 = 4;

/// What is kept by few.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PinnedMemory {
    /// Arenas that are nearly empty; of mimalloc pages.
    pub arenas: u64,
    /// What of them is resident and not in use.
    pub arena_bytes: u64,
    /// Pools that are nearly empty.
    pub pools: u64,
    /// What of them is not in use.
    pub pool_bytes: u64,
    /// Who lives there, those that keep most first.
    pub types: Vec<TypePinning>,
    /// The nearly empty arenas themselves, by address, each with what it keeps.
    pub kept: Vec<(Range<Addr>, u64)>,
}

/// What the objects of a type keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypePinning {
    /// The number of the type.
    pub row: RowId,
    /// How many nearly empty arenas there are in which it has blocks.
    pub arenas: u64,
    /// Blocks with objects, or storage they own, in nearly empty arenas.
    pub in_arenas: u64,
    /// Their part of what these arenas keep: each block in use has the same part.
    pub arena_bytes: u64,
    /// The same in nearly empty pools.
    pub in_pools: u64,
    /// Their part of what these pools keep, which is in `arena_bytes` too where the pool's arena is nearly empty.
    pub pool_bytes: u64,
}

/// Looks at all arenas and pools.
pub(super) fn find(pages: &[PageRun], python: &PythonMemory<'_>) -> PinnedMemory {
    let mut pinned = PinnedMemory::default();
    let mut types: HashMap<RowId, [u64; 5]> = HashMap::new();
    // mimalloc gives back each page by itself.
    let pages_alone = python.pools.iter().any(|pool| pool.heap.is_some());
    let each: Vec<Range<Addr>> = python.pools.iter().map(|pool| pool.range.clone()).collect();
    for arena in if pages_alone { &each } else { python.arenas } {
        let pools = within(python.pools, arena, |pool| pool.range.start);
        let used: u64 = pools.iter().map(|pool| pool.used_bytes).sum();
        let kept = resident(pages, arena).saturating_sub(used);
        if used == 0 || used > length(arena) / NEARLY_EMPTY {
            continue;
        }
        pinned.arenas += 1;
        pinned.arena_bytes += kept;
        pinned.kept.push((arena.clone(), kept));
        share(python, pools, kept, |row, blocks, bytes| {
            let [arenas, count, sum, ..] = types.entry(row).or_default();
            *arenas += 1;
            *count += blocks;
            *sum += bytes;
        });
    }
    for pool in python.pools {
        let bytes = length(&pool.range);
        if pool.used_bytes == 0 || pool.used_bytes > bytes / NEARLY_EMPTY {
            continue;
        }
        let kept = bytes.saturating_sub(pool.used_bytes);
        pinned.pools += 1;
        pinned.pool_bytes += kept;
        share(python, std::slice::from_ref(pool), kept, |row, blocks, bytes| {
            let [.., count, sum] = types.entry(row).or_default();
            *count += blocks;
            *sum += bytes;
        });
    }
    pinned.types = types
        .into_iter()
        .map(|(row, [arenas, in_arenas, arena_bytes, in_pools, pool_bytes])| TypePinning {
            row,
            arenas,
            in_arenas,
            arena_bytes,
            in_pools,
            pool_bytes,
        })
        .collect();
    pinned.types.sort_by_key(|pinning| {
        (std::cmp::Reverse((pinning.arena_bytes, pinning.pool_bytes, pinning.in_pools)), pinning.row)
    });
    pinned
}

/// Tells `each` the inhabitants of some pools by type: their blocks, and the part of `kept` that is theirs.
fn share(python: &PythonMemory<'_>, pools: &[PoolUse], kept: u64, mut each: impl FnMut(RowId, u64, u64)) {
    let mut blocks: HashMap<RowId, u64> = HashMap::new();
    for pool in pools {
        for span in within(python.objects, &pool.blocks, |span| span.start) {
            let bytes = length(&(span.start..span.end));
            *blocks.entry(span.row).or_default() += bytes.div_ceil(pool.block_bytes.max(1));
        }
    }
    let all = blocks.values().sum::<u64>().max(1);
    for (row, blocks) in blocks {
        each(
            row,
            blocks,
            u64::try_from(u128::from(kept) * u128::from(blocks) / u128::from(all)).unwrap_or(kept),
        );
    }
}

/// What of a list that is by address begins in a range.
fn within<'a, T>(list: &'a [T], range: &Range<Addr>, start: impl Fn(&T) -> Addr) -> &'a [T] {
    let first = list.partition_point(|one| start(one) < range.start);
    let end = list.partition_point(|one| start(one) < range.end);
    list.get(first..end).unwrap_or_default()
}

fn resident(pages: &[PageRun], range: &Range<Addr>) -> u64 {
    let first = pages.partition_point(|run| run.range.end <= range.start);
    let runs = pages.iter().skip(first).take_while(|run| run.range.start < range.end);
    runs.filter(|run| run.kind != PageKind::Swapped)
        .map(|run| length(&(run.range.start.max(range.start)..run.range.end.min(range.end))))
        .sum()
}

const fn length(range: &Range<Addr>) -> u64 {
    range.end.0.saturating_sub(range.start.0)
}

#[cfg(test)]
mod tests {
    use super::super::span::Span;
    use super::*;

    #[test]
    fn the_last_inhabitants_keep_what_nobody_uses() {
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
        let span = |start: u64, bytes: u64, row: u32| Span::at(Addr(start), bytes, RowId(row));
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
