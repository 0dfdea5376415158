//! Memory written by hand, for tests of what reads it.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Memory, PAGE_SIZE, Unreadable};
use crate::addr::Addr;

/// A process that never was: pages that hold what was put into them, and zeros.
#[derive(Debug, Default, Clone)]
pub struct FakeMemory {
    pages: BTreeMap<u64, Box<[u8; PAGE_SIZE]>>,
    regions: Vec<Range<Addr>>,
}

impl FakeMemory {
    /// Nothing is mapped.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes bytes; the pages that they are on are mapped by that.
    pub fn put(&mut self, at: Addr, bytes: &[u8]) -> &mut Self {
        for (place, &byte) in (at.0..).zip(bytes) {
            let page = self.pages.entry(place / PAGE_SIZE as u64).or_insert_with(|| Box::new([0; PAGE_SIZE]));
            if let Some(into) = page.get_mut(place as usize % PAGE_SIZE) {
                *into = byte;
            }
        }
        let page = |number: &u64| Addr(number * PAGE_SIZE as u64)..Addr((number + 1) * PAGE_SIZE as u64);
        self.regions = super::ranges::merge_overlapping(self.pages.keys().map(page).collect());
        self
    }

    /// Writes a word of eight bytes.
    pub fn put_u64(&mut self, at: Addr, value: u64) -> &mut Self {
        self.put(at, &value.to_le_bytes())
    }

    /// Writes a word of four bytes.
    pub fn put_u32(&mut self, at: Addr, value: u32) -> &mut Self {
        self.put(at, &value.to_le_bytes())
    }
}

impl Memory for FakeMemory {
    fn read(&self, at: Addr, into: &mut [u8]) -> Result<(), Unreadable> {
        for (skipped, byte) in (0..).zip(into) {
            let place = at.plus(skipped).0;
            let page = self.pages.get(&(place / PAGE_SIZE as u64)).ok_or(Unreadable { at })?;
            *byte = *page.get(place as usize % PAGE_SIZE).ok_or(Unreadable { at })?;
        }
        Ok(())
    }

    fn regions(&self) -> &[Range<Addr>] {
        &self.regions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_read_and_nothing_else_is_there() {
        let mut image = FakeMemory::new();
        image
            .put_u64(Addr(0x1ffc), 0x1122_3344_5566_7788)
            .put_u32(Addr(0x5000), 9)
            .put(Addr(0x5008), b"text\0");
        assert_eq!(image.read_u64(Addr(0x1ffc)), Ok(0x1122_3344_5566_7788));
        assert_eq!(image.read_u64(Addr(0x5000)), Ok(9));
        assert_eq!(image.read_c_string(Addr(0x5008), 99).unwrap(), b"text");
        assert_eq!(image.read_u64(Addr(0x2ffc)), Err(Unreadable { at: Addr(0x2ffc) }));
        assert_eq!(image.regions(), [Addr(0x1000)..Addr(0x3000), Addr(0x5000)..Addr(0x6000)]);
    }
}
