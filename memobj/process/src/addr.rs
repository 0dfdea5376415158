//! Addresses in the target.

use std::fmt;

/// An address in the target's memory. Never one of ours: nothing can be done with it but read through a
/// [`Memory`](crate::memory::Memory).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Addr(pub u64);

impl Addr {
    /// The null pointer.
    pub const NULL: Self = Self(0);

    /// Whether it is the null pointer.
    #[must_use]
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }

    /// The address `bytes` further. Wraps, as the target's own arithmetic does: what comes of a hostile address is an address that
    /// cannot be read.
    #[must_use]
    pub const fn plus(self, bytes: u64) -> Self {
        Self(self.0.wrapping_add(bytes))
    }

    /// The address `bytes` before. Wraps, as [`plus`](Self::plus).
    #[must_use]
    pub const fn minus(self, bytes: u64) -> Self {
        Self(self.0.wrapping_sub(bytes))
    }

    /// The address without the low bits in which CPython keeps marks.
    #[must_use]
    pub const fn clear_bits(self, bits: u64) -> Self {
        Self(self.0 & !bits)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_addresses_wrap_and_do_not_panic() {
        assert_eq!(Addr(u64::MAX).plus(1), Addr::NULL);
        assert_eq!(Addr(0).minus(16), Addr(u64::MAX - 15));
        assert_eq!(Addr(0x1003).clear_bits(3), Addr(0x1000));
        assert_eq!(format!("{} {:?}", Addr(0x7f00), Addr(16)), "0x7f00 0x10");
    }
}
