//! Scans memory for pools. A stripped Python up to 3.11 keeps the table of arenas in a static variable without a name.

use std::collections::HashMap;
use std::ops::Range;

use crate::layout::Layout;
use crate::object::memory_ext::MemoryExt;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::{Pool, Pools};

/// The pools in `ranges`, recognized by their headers: a count, a size and two offsets that must agree, at an address that is a multiple of
/// a pool's size. The arenas are those that the headers name.
pub fn scan_pools(memory: &(impl Memory + ?Sized), layout: &Layout, ranges: &[Range<Addr>]) -> Pools {
    let sizes = layout.encodings.pymalloc;
    let pool_bytes = u64::from(sizes.pool_bytes).max(1);
    let mut found = Pools { pool_bytes, ..Pools::default() };
    let mut arenas: HashMap<i32, Range<Addr>> = HashMap::new();
    let Some(fields) = &layout.pool_header else { return found };
    for region in ranges {
        let first = region.start.0.checked_next_multiple_of(pool_bytes).unwrap_or(u64::MAX);
        let mut at = first;
        while at.saturating_add(pool_bytes) <= region.end.0 {
            if let Ok(Some(pool)) = Pool::read(memory, layout, Addr(at)) {
                // Free blocks are among those that were handed out; data that looks like a header fails here.
                let untouched = pool.block(pool.handed_out());
                let is_free = |list: &Addr| list.is_null() || (Addr(at)..untouched).contains(list);
                let arena = memory.read_int(Addr(at), fields.arenaindex);
                if let Ok(arena) = arena
                    && pool.free.iter().all(is_free)
                {
                    let end = Addr(at.saturating_add(pool_bytes));
                    let range = arenas.entry(arena).or_insert(Addr(at)..end);
                    // A pool farther away is of another arena with the same number, or invalid.
                    if end.0.saturating_sub(range.start.0) <= u64::from(sizes.arena_bytes) {
                        range.end = end;
                    }
                    found.pools.push(pool);
                }
            }
            at = at.saturating_add(pool_bytes);
        }
    }
    found.ranges = arenas.into_values().collect();
    found.ranges.sort_unstable_by_key(|range| range.start);
    found
}
