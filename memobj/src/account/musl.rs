//! musl's malloc: its groups of slots, in use and free.
//!
//! Facts: src/malloc/mallocng/meta.h and malloc.c of musl 1.2.1 to 1.2.5. A group is memory with up to 32 slots of one size; a `struct meta`
//! elsewhere describes it, and the group points back to that. The structs are in areas of one page each. Nothing has a symbol: an area is
//! found by its header and by a group that points back into it. Groups of small slots are in a slot of a larger group.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use common::record::MemoryKind;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::glibc::{ChunkRun, SearchAreas};

const PAGE: u64 = 4096;
/// `UNIT`: sizes are multiples of it, and so is the header of a group.
const UNIT: u64 = 16;
/// Offsets in `struct meta_area`: `next`, `nslots`, `slots`.
const AREA_NEXT: u64 = 8;
const AREA_COUNT: u64 = 16;
const AREA_METAS: u64 = 24;
/// The structs that a page has room for.
const MAX_METAS: u32 = 101;
/// `sizeof(struct meta)`, and the offsets of `mem`, `avail_mask`, `freed_mask` and of the word of bit fields.
const META_BYTES: u64 = 40;
const META_MEM: u64 = 16;
const META_AVAILABLE: u64 = 24;
const META_FREED: u64 = 28;
const META_BITS: u64 = 32;
/// Groups in slots of groups: there are fewer steps than size classes.
const MAX_DEPTH: usize = 48;
/// Groups in a larger one before the slot that is searched: a few in each of 32 slots.
const MAX_BELOW: usize = 1024;
/// `size_classes`: the size of a slot, in units.
const SIZE_CLASSES: [u64; 48] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 18, 20, 25, 31, 36, 42, 50, 63, 72, 84, 102, 127, 146, 170, 204,
    255, 292, 340, 409, 511, 584, 682, 818, 1023, 1169, 1364, 1637, 2047, 2340, 2730, 3276, 4095, 4680, 5460,
    6552, 8191,
];

/// A group of slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Group {
    start: Addr,
    slot_bytes: u64,
    slots: u32,
    /// The slots in use, a bit each.
    used: u32,
    /// Whether it has a mapping of its own, and is not in a slot of another group.
    is_mapped: bool,
}

impl Group {
    /// Reads the `struct meta` at an address; `None` if no group points back to it.
    fn read(memory: &(impl Memory + ?Sized), at: Addr) -> Option<Self> {
        let start = memory.read_addr(at.plus(META_MEM)).ok()?;
        if memory.read_addr(start).ok()? != at {
            return None;
        }
        let free =
            memory.read_u32(at.plus(META_AVAILABLE)).ok()? | memory.read_u32(at.plus(META_FREED)).ok()?;
        // last_idx:5, freeable:1, sizeclass:6, maplen:52
        let bits = memory.read_u64(at.plus(META_BITS)).ok()?;
        let slots = u32::try_from(bits & 31).ok()?.checked_add(1)?;
        let pages = bits >> 12;
        let slot_bytes = if slots == 1 && pages > 0 {
            pages.checked_mul(PAGE)?.checked_sub(UNIT)?
        } else {
            let class = usize::try_from((bits >> 6) & 63).ok()?;
            SIZE_CLASSES.get(class)?.checked_mul(UNIT)?
        };
        let all = u32::MAX >> (32_u32.checked_sub(slots)?);
        let group = Self { start, slot_bytes, slots, used: all & !free, is_mapped: pages > 0 };
        group.end().map(|_| group)
    }

    fn slot(&self, number: u32) -> Option<Range<Addr>> {
        let offset = self.slot_bytes.checked_mul(number.into())?.checked_add(UNIT)?;
        let start = self.start.0.checked_add(offset)?;
        Some(Addr(start)..Addr(start.checked_add(self.slot_bytes)?))
    }

    fn end(&self) -> Option<Addr> {
        self.slot(self.slots.checked_sub(1)?).map(|slot| slot.end)
    }

    fn is_used(&self, number: u32) -> bool {
        self.used.checked_shr(number).is_some_and(|bits| bits & 1 == 1)
    }
}

/// The memory of musl's malloc in a process.
#[derive(Debug, Default)]
pub struct Musl {
    /// The slots of its groups, by address.
    pub pieces: Vec<ChunkRun>,
    groups: BTreeMap<Addr, Group>,
}

impl Musl {
    /// Finds the groups of a process in the memory that may have them. Empty if there is no such malloc.
    pub fn read(memory: &(impl Memory + ?Sized), areas: &SearchAreas) -> Self {
        let mut found = Self::default();
        let mut metas = Vec::new();
        let mut seen = HashSet::new();
        for range in areas.heap.iter().chain(&areas.touched) {
            let first = Addr(range.start.0.next_multiple_of(PAGE));
            for page in (first.0..range.end.0).step_by(4096).map(Addr) {
                if let Some(of_page) = read_area(memory, page).filter(|_| seen.insert(page)) {
                    metas.push(page..page.plus(PAGE));
                    found.groups.extend(of_page.into_iter().map(|group| (group.start, group)));
                }
            }
        }
        let mut pieces = Vec::new();
        for group in found.groups.values().filter(|group| group.is_mapped) {
            found.add(group, &mut pieces, MAX_DEPTH);
        }
        pieces.extend(metas.into_iter().map(|page| piece(page, MemoryKind::NativeOverhead)));
        pieces.sort_unstable_by_key(|piece| piece.start);
        found.pieces = pieces;
        found
    }

    /// Adds the slots of a group: those with a group in them by the slots of that.
    fn add(&self, group: &Group, pieces: &mut Vec<ChunkRun>, depth: usize) {
        let Some(depth) = depth.checked_sub(1) else { return };
        pieces.push(piece(group.start..group.start.plus(UNIT), MemoryKind::NativeOverhead));
        for (number, slot) in (0..group.slots).filter_map(|number| Some((number, group.slot(number)?))) {
            let inner = self.groups.range(slot.clone()).next().map(|(_, group)| group);
            let inner = inner.filter(|inner| !inner.is_mapped && inner.slot_bytes < group.slot_bytes);
            match inner.and_then(|inner| Some((inner, inner.end().filter(|&end| end <= slot.end)?))) {
                _ if !group.is_used(number) => pieces.push(piece(slot, MemoryKind::NativeFree)),
                Some((inner, end)) => {
                    pieces.push(piece(slot.start..inner.start, MemoryKind::NativeOverhead));
                    self.add(inner, pieces, depth);
                    pieces.push(piece(end..slot.end, MemoryKind::NativeOverhead));
                }
                None if group.slots == 1 && group.is_mapped => {
                    pieces.push(piece(slot, MemoryKind::NativeMapped))
                }
                None => pieces.push(piece(slot, MemoryKind::NativeUsed)),
            }
        }
    }

    /// The slot in use whose memory was given out at an address. Before that are the number of the slot and the distance from the first one
    /// (`enframe`): malloc may leave out a few units of a slot.
    pub fn chunk(&self, memory: &(impl Memory + ?Sized), at: Addr) -> Option<Range<Addr>> {
        // Groups in slots before it begin later than its own.
        let mut below = self.groups.range(..at).rev().map(|(_, group)| group).take(MAX_BELOW);
        let group = below.find(|group| group.end().is_some_and(|end| at < end))?;
        let offset = at.0.checked_sub(group.start.0)?.checked_sub(UNIT)?;
        let number = u32::try_from(offset.checked_div(group.slot_bytes)?).ok()?;
        let slot = group.slot(number).filter(|_| number < group.slots && group.is_used(number))?;
        let noted = [memory.read_u8(at.minus(3)).ok()? & 31, memory.read_u8(at.minus(4)).ok()?];
        let units = u16::try_from(offset / UNIT).ok()?;
        let is_start =
            noted == [u8::try_from(number).ok()?, 0] && memory.read_u16(at.minus(2)).ok()? == units;
        (is_start && at.0.is_multiple_of(UNIT)).then_some(slot)
    }

    /// The memory of its groups that have a mapping of their own.
    pub fn mapped(&self) -> impl Iterator<Item = Range<Addr>> {
        let mapped = self.groups.values().filter(|group| group.is_mapped);
        mapped.filter_map(|group| Some(group.start..group.end()?))
    }
}

fn piece(range: Range<Addr>, part: MemoryKind) -> ChunkRun {
    ChunkRun { start: range.start, end: range.end, part }
}

/// The groups that the area in a page describes; `None` if it is none.
fn read_area(memory: &(impl Memory + ?Sized), page: Addr) -> Option<Vec<Group>> {
    let check = memory.read_u64(page).ok()?;
    let next = memory.read_u64(page.plus(AREA_NEXT)).ok()?;
    let count = memory.read_u32(page.plus(AREA_COUNT)).ok()?;
    if check == 0 || !next.is_multiple_of(PAGE) || count == 0 || count > MAX_METAS {
        return None;
    }
    let metas = (0..u64::from(count))
        .map(|number| page.plus(AREA_METAS.wrapping_add(number.wrapping_mul(META_BYTES))));
    let groups: Vec<Group> = metas.filter_map(|at| Group::read(memory, at)).collect();
    (!groups.is_empty()).then_some(groups)
}

#[cfg(test)]
mod tests {
    use memobj_process::memory::FakeMemory;

    use super::*;

    const AREA: Addr = Addr(0x10_0000);
    const OUTER: Addr = Addr(0x20_0000);
    const LARGE: Addr = Addr(0x30_0000);

    /// A `struct meta`, and the group's pointer back to it.
    fn put_group(memory: &mut FakeMemory, number: u64, group: Addr, masks: [u32; 2], bits: u64) {
        let at = AREA.plus(AREA_METAS + number * META_BYTES);
        memory.put_u64(at.plus(META_MEM), group.0).put_u64(group, at.0);
        memory.put_u32(at.plus(META_AVAILABLE), masks[0]).put_u32(at.plus(META_FREED), masks[1]);
        memory.put_u64(at.plus(META_BITS), bits);
    }

    /// A group of four slots of 512 bytes (class 23 is 127 units), with a group of two slots of 16 bytes in its second slot, a free third
    /// slot; and a group for one large allocation.
    fn made() -> FakeMemory {
        let mut memory = FakeMemory::new();
        memory.put_u64(AREA, 0x1234_5678).put_u32(AREA.plus(AREA_COUNT), 3);
        put_group(&mut memory, 0, OUTER, [0b100, 0], 3 | 23 << 6 | 2 << 12);
        let inner = OUTER.plus(16 + 127 * 16);
        put_group(&mut memory, 1, inner, [0, 0b10], 1);
        put_group(&mut memory, 2, LARGE, [0, 0], 63 << 6 | 8 << 12);
        // The header of the first slot of the outer group: number 0, distance 0; of the last one: number 3, two units left out.
        let last = OUTER.plus(16 + 3 * 127 * 16 + 32);
        memory.put(last.minus(4), &[0, 3]).put(last.minus(2), &(3_u16 * 127 + 2).to_le_bytes());
        memory.put(LARGE.plus(8 * 4096 - 1), &[0]);
        memory
    }

    fn areas() -> SearchAreas {
        SearchAreas { touched: vec![AREA..AREA.plus(PAGE)], ..SearchAreas::default() }
    }

    #[test]
    fn slots_are_in_use_or_free() {
        let found = Musl::read(&made(), &areas());
        let bytes = |part| -> u64 {
            let pieces = found.pieces.iter().filter(|piece| piece.part == part);
            pieces.map(|piece| piece.end.0 - piece.start.0).sum()
        };
        assert_eq!(bytes(MemoryKind::NativeUsed), 2 * 127 * 16 + 16);
        assert_eq!(bytes(MemoryKind::NativeFree), 127 * 16 + 16);
        assert_eq!(bytes(MemoryKind::NativeMapped), 8 * 4096 - 16);
        assert_eq!(bytes(MemoryKind::NativeOverhead), 4096 + 3 * 16 + (127 * 16 - 48));
        assert!(found.pieces.windows(2).all(|pair| pair[0].end <= pair[1].start), "{:?}", found.pieces);
    }

    #[test]
    fn slot_is_found_by_what_malloc_returned() {
        let memory = made();
        let found = Musl::read(&memory, &areas());
        let (slot, inside) = (OUTER.plus(16 + 3 * 127 * 16), 127 * 16);
        assert_eq!(found.chunk(&memory, slot.plus(32)), Some(slot..slot.plus(inside)));
        assert_eq!(found.chunk(&memory, slot.plus(48)), None);
        // The third one is free.
        assert_eq!(found.chunk(&memory, OUTER.plus(16 + 2 * 127 * 16)), None);
    }

    #[test]
    fn other_pages_are_no_areas() {
        let mut memory = made();
        memory.put_u64(OUTER, 1).put_u64(OUTER.plus(16 + 127 * 16), 1).put_u64(LARGE, 1);
        assert_eq!(Musl::read(&memory, &areas()).pieces, []);
        assert_eq!(Musl::read(&FakeMemory::new(), &areas()).pieces, []);
    }
}
