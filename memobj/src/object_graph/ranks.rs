//! Numbers for a set of addresses: rank and select on a bitmap.

use std::ops::Range;

use crate::graph::{NodeId, TooLarge};
use memobj_cpython::heap::address_set::{AddressIndex, AddressSet, Cursor};
use memobj_process::addr::Addr;

/// Numbers of the objects in a set: aligned ones by address, then the others. Four bytes for every 512 of the target's memory.
#[derive(Debug)]
pub struct Ranks<'w> {
    index: &'w AddressIndex,
    set: &'w AddressSet,
    /// By word of bits: the number of objects before it.
    before: Vec<u32>,
    aligned: u32,
    unaligned: Vec<Addr>,
    len: usize,
}

impl<'w> Ranks<'w> {
    /// Numbers the objects of `set`, which must not change afterwards.
    ///
    /// # Errors
    /// If there are too many.
    pub fn new(index: &'w AddressIndex, set: &'w AddressSet) -> Result<Self, TooLarge> {
        let mut before = Vec::with_capacity(set.words());
        let mut aligned = 0_u32;
        for index in 0..set.words() {
            before.push(aligned);
            aligned = aligned.checked_add(set.word(index).count_ones()).ok_or(TooLarge)?;
        }
        let unaligned = set.unaligned();
        let len = (aligned as usize).checked_add(unaligned.len()).ok_or(TooLarge)?;
        Ok(Self { index, set, before, aligned, unaligned, len })
    }

    /// The number of objects.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of the object at `at`; `None` if it is not in the set.
    #[inline]
    pub fn node(&self, at: Addr, cursor: &mut Cursor) -> Option<NodeId> {
        if !at.0.is_multiple_of(8) {
            let index = self.unaligned.binary_search(&at).ok()?;
            return Some(NodeId(self.aligned.checked_add(u32::try_from(index).ok()?)?));
        }
        let bit = self.index.bit(at.0, cursor)?;
        let index = (bit / 64) as usize;
        let word = self.set.word(index);
        let mask = 1_u64 << (bit % 64);
        if word & mask == 0 {
            return None;
        }
        let below = (word & (mask - 1)).count_ones();
        Some(NodeId(self.before.get(index)?.checked_add(below)?))
    }

    /// The address of an object.
    pub fn address(&self, node: NodeId) -> Option<Addr> {
        if node.0 >= self.aligned {
            return self.unaligned.get((node.0 - self.aligned) as usize).copied();
        }
        let index = self.before.partition_point(|&before| before <= node.0).checked_sub(1)?;
        let mut word = self.set.word(index);
        // Clears the bits below the wanted one.
        for _ in 0..node.0.checked_sub(*self.before.get(index)?)? {
            word &= word.wrapping_sub(1);
        }
        let bit = (index as u64).checked_mul(64)?.checked_add(u64::from(word.trailing_zeros()))?;
        self.index.address(bit)
    }

    /// The number of the first object in the word `index` or after it.
    pub fn first(&self, index: usize) -> u32 {
        self.before.get(index).copied().unwrap_or(self.aligned)
    }

    /// Divides the words of bits into `count` ranges with about as many objects each.
    pub fn parts(&self, count: usize) -> Vec<Range<usize>> {
        let mut parts = Vec::with_capacity(count);
        let mut start = 0;
        for part in 1..=count {
            let wanted = u64::from(self.aligned) * part as u64 / count.max(1) as u64;
            let end = if part == count {
                self.before.len()
            } else {
                self.before.partition_point(|&before| u64::from(before) < wanted).max(start)
            };
            parts.push(start..end);
            start = end;
        }
        parts
    }

    /// Calls `each` with the aligned objects in a range of words, in order.
    pub fn each_in(&self, words: Range<usize>, each: impl FnMut(Addr)) {
        self.set.for_each_in(self.index, words, None, each);
    }

    /// Calls `each` with all objects, in order.
    pub fn each(&self, mut each: impl FnMut(Addr)) {
        self.each_in(0..self.before.len(), &mut each);
        self.unaligned.iter().copied().for_each(each);
    }

    /// The unaligned objects, whose numbers come after all others.
    pub fn unaligned(&self) -> &[Addr] {
        &self.unaligned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_addresses_match() {
        let regions = [Addr(0x1000)..Addr(0x9000), Addr(0x7fff_0000)..Addr(0x7fff_1000)];
        let index = AddressIndex::new(&regions);
        let set = AddressSet::new(&index).unwrap();
        let all: Vec<u64> = [0x1000, 0x1008, 0x11f8, 0x1200, 0x8ff8, 0x7fff_0000, 0x7fff_0ff8].into();
        let odd = [0x2004, 0x7fff_0014];
        for &at in all.iter().chain(&odd) {
            assert!(set.insert(&index, Addr(at), &mut Cursor::default()));
        }
        let ranks = Ranks::new(&index, &set).unwrap();
        assert_eq!(ranks.len(), 9);
        for (node, &at) in all.iter().chain(&odd).enumerate() {
            let node = NodeId(node as u32);
            assert_eq!(ranks.node(Addr(at), &mut Cursor::default()), Some(node), "{at:#x}");
            assert_eq!(ranks.address(node), Some(Addr(at)));
        }
        for at in [0, 0x1010, 0x9000, 0x2000, 0x2008, 0x300c, u64::MAX] {
            assert_eq!(ranks.node(Addr(at), &mut Cursor::default()), None, "{at:#x}");
        }
        assert_eq!(ranks.address(NodeId(9)), None);
        for count in 1..5 {
            let mut found = Vec::new();
            for part in ranks.parts(count) {
                assert_eq!(ranks.first(part.start) as usize, found.len());
                ranks.each_in(part, |at| found.push(at.0));
            }
            assert_eq!(found, all);
        }
    }
}
