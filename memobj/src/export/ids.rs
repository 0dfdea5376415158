//! Stable ids of objects, below 2³²: an object has the same id in each export of its process.
//!
//! An id is the address in units of 16 bytes, the alignment of CPython's allocators, without its upper bits: 64 GiB fit. Addresses that differ by
//! a multiple of 64 GiB would meet, so a window of 64 GiB that meets another one is moved.

use std::collections::BTreeMap;

use memobj_process::addr::Addr;

use crate::object_graph::ObjectGraph;

/// The bits of an address within a unit.
const UNIT_BITS: u32 = 4;
/// The bits of an id.
const ID_BITS: u32 = 32;
/// Windows move by a gigabyte: then the growth of a heap seldom changes how far one moves.
const STEP: u64 = 1 << (30 - UNIT_BITS);
const IDS: u64 = 1 << ID_BITS;

/// The ids of the objects of a process.
#[derive(Debug)]
pub(super) struct Ids {
    /// By the upper bits of addresses: what is added to the lower ones.
    offsets: BTreeMap<u64, u64>,
}

impl Ids {
    /// For the objects of a graph; ids below `reserved` belong to other nodes. `None` if the objects are too far apart.
    pub(super) fn new(graph: &ObjectGraph<'_>, reserved: u64) -> Option<Self> {
        let mut windows: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        graph.each_object(|_, at| {
            let (window, low) = split(at);
            let (first, last) = windows.entry(window).or_insert((low, low));
            (*first, *last) = ((*first).min(low), (*last).max(low));
        });
        Self::place(windows, reserved)
    }

    fn place(windows: BTreeMap<u64, (u64, u64)>, reserved: u64) -> Option<Self> {
        let mut placed = vec![(0, reserved)];
        let mut offsets = BTreeMap::new();
        for (window, (first, last)) in windows {
            let moved = (0..IDS / STEP).map(|step| {
                let offset = step.wrapping_mul(STEP);
                let first = (first.wrapping_add(offset)) % IDS;
                let last = (last.wrapping_add(offset)) % IDS;
                (offset, first, last)
            });
            let is_free = |&(_, first, last): &(u64, u64, u64)| {
                first <= last && placed.iter().all(|&(from, to)| last < from || to < first)
            };
            let (offset, first, last) = { moved }.find(is_free)?;
            placed.push((first, last));
            offsets.insert(window, offset);
        }
        Some(Self { offsets })
    }

    /// The id of the object at `at`.
    pub(super) fn id(&self, at: Addr) -> u64 {
        let (window, low) = split(at);
        let offset = self.offsets.get(&window).copied().unwrap_or(0);
        low.wrapping_add(offset) % IDS
    }
}

/// The upper bits of an address, and the lower ones in units.
fn split(at: Addr) -> (u64, u64) {
    let units = at.0 >> UNIT_BITS;
    (units >> ID_BITS, units % IDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_that_meet_are_moved() {
        let (exe, arena) = (Addr(0x55d5_1234_5670), Addr(0x7f05_1234_5670));
        let window = |at: Addr| (split(at).0, (split(at).1, split(at).1 + 100));
        assert_eq!(split(exe).1, split(arena).1);
        let ids = Ids::place([window(exe), window(arena)].into(), 10).unwrap();
        assert_eq!(ids.id(exe), split(exe).1);
        assert_eq!(ids.id(arena), (split(arena).1 + STEP) % IDS);
        let alone = Ids::place([window(arena)].into(), 10).unwrap();
        assert_eq!(alone.id(arena), split(arena).1);
    }

    #[test]
    fn reserved_ids_stay_free() {
        let low = Addr(0x7f00_0000_0010);
        let ids = Ids::place([(split(low).0, (split(low).1, split(low).1))].into(), 10).unwrap();
        assert_eq!(ids.id(low), split(low).1 + STEP);
    }

    #[test]
    fn more_than_all_ids_do_not_fit() {
        assert!(Ids::place([(1, (20, IDS - 1)), (2, (20, IDS - 1))].into(), 10).is_none());
    }
}
