//! Addresses in another process.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The smallest page of the supported processors, in bytes: memory is copied and counted in pieces of it. On Arm the kernel's pages may be larger,
/// 16 or 64 KiB, and then each has several of these.
pub const PAGE_SIZE: usize = 4096;
/// The same for addresses.
pub(crate) const PAGE_BYTES: u64 = PAGE_SIZE as u64;
/// The bits of an address of a user's process: 47 on x86-64, 48 on Arm. mmap(2) returns higher ones only to programs that ask for them.
pub const ADDRESS_BITS: u32 = 48;

/// An address in the memory of another process, read only through a [`Memory`](crate::memory::Memory).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Addr(pub u64);

impl Addr {
    /// The null pointer.
    pub const NULL: Self = Self(0);

    /// Whether it is the null pointer.
    #[must_use]
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }

    /// Whether a process can have something there: not in its first page, which is never mapped, and not beyond its addresses.
    #[must_use]
    pub const fn is_plausible(self) -> bool {
        self.0 >= PAGE_BYTES && self.0 >> ADDRESS_BITS == 0
    }

    /// The address `bytes` higher. Wraps around: a hostile address becomes one that cannot be read.
    #[must_use]
    pub const fn plus(self, bytes: u64) -> Self {
        Self(self.0.wrapping_add(bytes))
    }

    /// The address `bytes` lower. Wraps around, as [`plus`](Self::plus).
    #[must_use]
    pub const fn minus(self, bytes: u64) -> Self {
        Self(self.0.wrapping_sub(bytes))
    }

    /// The address with `bits` cleared, for pointers that carry tags in their low bits.
    #[must_use]
    pub const fn clear_bits(self, bits: u64) -> Self {
        Self(self.0 & !bits)
    }

    /// Its offset in its page.
    #[inline]
    pub(crate) const fn page_offset(self) -> usize {
        (self.0 % PAGE_BYTES) as usize
    }

    /// The first address of its page.
    pub(crate) const fn page_start(self) -> Self {
        self.clear_bits(PAGE_BYTES.wrapping_sub(1))
    }

    /// Splits the bytes from this address on into parts that are within one page each.
    pub(crate) fn page_parts(self, bytes: &mut [u8]) -> impl Iterator<Item = (Self, &mut [u8])> {
        let (first, rest) = bytes.split_at_mut((PAGE_SIZE - self.page_offset()).min(bytes.len()));
        let next = self.plus(first.len() as u64);
        let first = (!first.is_empty()).then_some((self, first));
        let pages = (0..).map(move |page: u64| next.plus(page.wrapping_mul(PAGE_SIZE as u64)));
        first.into_iter().chain(pages.zip(rest.chunks_mut(PAGE_SIZE)))
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_wraps_around() {
        assert_eq!(Addr(u64::MAX).plus(1), Addr::NULL);
        assert_eq!(Addr(0).minus(16), Addr(u64::MAX - 15));
        assert_eq!(Addr(0x1003).clear_bits(3), Addr(0x1000));
        assert_eq!(format!("{} {:?}", Addr(0x7f00), Addr(16)), "0x7f00 0x10");
    }

    #[test]
    fn addresses_of_both_processors_are_plausible() {
        let at = [0x1000, 0x5555_5555_4000, 0x7fff_ffff_e000, 0xaaaa_aaab_0000, 0xffff_f7ff_0000];
        assert!(at.into_iter().all(|at| Addr(at).is_plausible()));
        let none = [0, 8, 0xfff, 1 << 48, 0xffff_8000_0000_0000, u64::MAX];
        assert!(!none.into_iter().any(|at| Addr(at).is_plausible()));
    }

    #[test]
    fn page_parts_end_at_pages() {
        let parts = |at: u64, length: usize| -> Vec<(u64, usize)> {
            Addr(at).page_parts(&mut vec![0; length]).map(|(at, part)| (at.0, part.len())).collect()
        };
        assert_eq!(parts(0x1ffc, 5000), [(0x1ffc, 4), (0x2000, 4096), (0x3000, 900)]);
        assert_eq!(parts(0x1000, 8), [(0x1000, 8)]);
        assert_eq!(parts(7, 0), []);
    }
}
