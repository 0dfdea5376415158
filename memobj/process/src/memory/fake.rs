//! Memory written by hand, for tests.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Memory, PAGE_SIZE, Unreadable};
use crate::addr::Addr;

/// Memory that tests fill by hand. Other bytes of its pages are zeros.
#[derive(Debug, Default, Clone)]
pub struct FakeMemory {
    pages: BTreeMap<u64, Box<[u8; PAGE_SIZE]>>,
    regions: Vec<Range<Addr>>,
}

impl FakeMemory {
    /// Creates memory without pages.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes bytes, and maps their pages.
    pub fn put(&mut self, at: Addr, bytes: &[u8]) -> &mut Self {
        for (at, &byte) in (at.0..).zip(bytes) {
            let page = self.pages.entry(at / PAGE_SIZE as u64).or_insert_with(|| Box::new([0; PAGE_SIZE]));
            if let Some(into) = page.get_mut(Addr(at).page_offset()) {
                *into = byte;
            }
        }
        let page = |number: &u64| Addr(number * PAGE_SIZE as u64)..Addr((number + 1) * PAGE_SIZE as u64);
        self.regions = super::ranges::merge_overlapping(self.pages.keys().map(page).collect());
        self
    }

    /// Writes eight bytes.
    pub fn put_u64(&mut self, at: Addr, value: u64) -> &mut Self {
        self.put(at, &value.to_le_bytes())
    }

    /// Writes four bytes.
    pub fn put_u32(&mut self, at: Addr, value: u32) -> &mut Self {
        self.put(at, &value.to_le_bytes())
    }
}

impl Memory for FakeMemory {
    fn read(&self, at: Addr, into: &mut [u8]) -> Result<(), Unreadable> {
        at.page_parts(into)
            .try_for_each(|(at, part)| {
                let page = self.pages.get(&(at.0 / PAGE_SIZE as u64))?;
                part.copy_from_slice(page.get(at.page_offset()..)?.get(..part.len())?);
                Some(())
            })
            .ok_or(Unreadable { at })
    }

    fn regions(&self) -> &[Range<Addr>] {
        &self.regions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_that_were_put_are_readable() {
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
