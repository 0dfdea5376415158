//! The table of arenas, where CPython keeps one that can be found.

use crate::layout::Layout;
use crate::layout::encoding::ArenaTable;
use crate::object::memory_ext::MemoryExt;
use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use super::{Pool, Pools};

/// More arenas than fit into the address space of a process, at 256 KiB each.
const MOST_ARENAS: u64 = 1 << 29;

/// A table of arenas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArenaArray {
    /// The first slot.
    pub at: Addr,
    /// The number of slots, used or not.
    pub slots: u64,
}

/// Finds the tables of a Python, each once; `None` if they cannot be found.
pub fn read_arena_arrays(
    memory: &(impl Memory + ?Sized),
    layout: &Layout,
    interpreters: &[Addr],
    statics: Option<(Addr, Addr)>,
) -> Option<Vec<ArenaArray>> {
    let mut found = Vec::new();
    let mut read = |table: Addr, slots: Addr| {
        let table =
            ArenaArray { at: memory.read_addr(table).ok()?, slots: memory.read_u32(slots).ok()?.into() };
        // It may be missing yet, or shared with another interpreter (3.12 and newer).
        if !table.at.is_null() && table.slots > 0 && !found.contains(&table) {
            found.push(table);
        }
        Some(())
    };
    let encoding = layout.encodings.pymalloc.arenas;
    if let ArenaTable::Static = encoding {
        let (table, slots) = statics?;
        read(table, slots)?;
        return Some(found);
    }
    let fields = layout.obmalloc_state.as_ref()?;
    for interpreter in interpreters {
        let state = interpreter.plus(layout.interpreter_state.obmalloc?.into());
        let state = match encoding {
            ArenaTable::BehindPointer => memory.read_addr(state).ok()?,
            ArenaTable::InInterpreter | ArenaTable::Static => state,
        };
        if !state.is_null() {
            read(state.plus(fields.arenas.into()), state.plus(fields.maxarenas.into()))?;
        }
    }
    Some(found)
}

/// Reads the pools in the arenas of all `tables`; arenas in two tables count once.
///
/// # Errors
/// If a table cannot be read.
pub fn read_listed_pools(
    memory: &(impl Memory + ?Sized),
    layout: &Layout,
    tables: &[ArenaArray],
) -> Result<Pools, Unreadable> {
    let sizes = layout.encodings.pymalloc;
    let Some(fields) = &layout.arena_object else { return Ok(Pools::default()) };
    let (arena_bytes, pool_bytes) = (u64::from(sizes.arena_bytes), u64::from(sizes.pool_bytes));
    let mut starts = Vec::new();
    for table in tables {
        for slot in 0..table.slots.min(MOST_ARENAS) {
            let record = table.at.plus(slot.wrapping_mul(fields.size.into()));
            let address = memory.read_pointer(record, fields.address)?;
            if !address.is_null() {
                starts.push((address, memory.read_pointer(record, fields.pool_address)?));
            }
        }
    }
    starts.sort_unstable();
    starts.dedup();
    let mut found = Pools { pool_bytes, ..Pools::default() };
    let mut behind = Addr::NULL;
    for (address, pools_end) in starts {
        if address < behind {
            // Arenas do not overlap, so one of the two is invalid.
            found.rejected = found.rejected.saturating_add(1);
            continue;
        }
        behind = Addr(address.0.saturating_add(arena_bytes));
        found.ranges.push(address..behind);
        // From its first aligned address to the first that no pool was ever made of.
        let first = address.0.checked_next_multiple_of(pool_bytes).unwrap_or(u64::MAX);
        let end = pools_end.min(behind).0;
        let step = usize::try_from(pool_bytes.max(1)).unwrap_or(usize::MAX);
        for at in (first..end).step_by(step).map(Addr) {
            match Pool::read(memory, layout, at) {
                Ok(Some(pool)) => found.pools.push(pool),
                Ok(None) => {}
                Err(Unreadable { .. }) => found.rejected = found.rejected.saturating_add(1),
            }
        }
    }
    Ok(found)
}
