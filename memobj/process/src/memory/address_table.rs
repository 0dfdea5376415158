//! A table by address, of which only the parts in use need memory.

use crate::addr::{ADDRESS_BITS, Addr};

/// A leaf spans 16 MiB of addresses.
const LEAF_BITS: u32 = 24;
const SPAN: u64 = 1 << LEAF_BITS;

/// An entry for each 2^`BITS` bytes of addresses.
#[derive(Debug, Default)]
pub(super) struct AddressTable<T, const BITS: u32> {
    /// The number of the leaf of each 16 MiB of addresses; 0 is the empty leaf. The kernel allocates only the pages of it that are used.
    top: Vec<u32>,
    leaves: Vec<T>,
}

impl<T: Default, const BITS: u32> AddressTable<T, BITS> {
    const LEAF: usize = 1 << (LEAF_BITS - BITS);

    /// Creates a table of empty entries.
    pub fn new() -> Self {
        let mut table = Self { top: vec![0; 1 << (ADDRESS_BITS - LEAF_BITS)], leaves: Vec::new() };
        table.add_leaf();
        table
    }

    fn add_leaf(&mut self) {
        self.leaves.resize_with(self.leaves.len() + Self::LEAF, T::default);
    }

    fn place(leaf: u32, at: Addr) -> usize {
        leaf as usize * Self::LEAF + ((at.0 % SPAN) as usize >> BITS)
    }

    /// The entry of an address; one of the empty leaf if none near it was written to.
    #[inline]
    pub fn get(&self, at: Addr) -> Option<&T> {
        let leaf = *self.top.get(usize::try_from(at.0 >> LEAF_BITS).ok()?)?;
        self.leaves.get(Self::place(leaf, at))
    }

    /// The entry of an address, to write to. `None` if no process has such an address.
    pub fn get_mut(&mut self, at: Addr) -> Option<&mut T> {
        let next = u32::try_from(self.leaves.len() / Self::LEAF).ok()?;
        let leaf = self.top.get_mut(usize::try_from(at.0 >> LEAF_BITS).ok()?)?;
        if *leaf == 0 {
            *leaf = next;
        }
        let (leaf, is_new) = (*leaf, *leaf == next);
        if is_new {
            self.add_leaf();
        }
        self.leaves.get_mut(Self::place(leaf, at))
    }

    /// The first address of each entry near one that was written to, and the entry, by address.
    pub fn iter(&self) -> impl Iterator<Item = (Addr, &T)> {
        let used = (0_u64..).zip(&self.top).filter(|&(_, &leaf)| leaf != 0);
        used.flat_map(|(span, &leaf)| {
            let from = leaf as usize * Self::LEAF;
            let entries = self.leaves.get(from..from.saturating_add(Self::LEAF)).unwrap_or_default();
            (0_u64..)
                .zip(entries)
                .map(move |(number, entry)| (Addr((span << LEAF_BITS) | (number << BITS)), entry))
        })
    }
}
