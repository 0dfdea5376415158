//! The bytes of a value.

use std::sync::Arc;

/// A value that knows its size.
pub trait Weigh {
    /// The bytes it owns alone beyond its `size_of_val`: the capacity of its buffers.
    fn owned_bytes(&self) -> u64;

    /// The allocation it shares with its clones, if any; counted once for all entries.
    fn shared(&self) -> Option<Shared> {
        None
    }
}

/// An allocation that several values may share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shared {
    /// Its address.
    pub id: usize,
    /// Its bytes.
    pub bytes: u64,
}

/// The two counters of an `Arc` (`ArcInner` of the standard library).
const COUNTERS_BYTES: u64 = 2 * size_of::<usize>() as u64;

impl<T: Weigh + ?Sized> Weigh for Arc<T> {
    fn owned_bytes(&self) -> u64 {
        0
    }

    fn shared(&self) -> Option<Shared> {
        let bytes = count(size_of_val(&**self)).saturating_add((**self).owned_bytes());
        Some(Shared { id: Self::as_ptr(self).addr(), bytes: bytes.saturating_add(COUNTERS_BYTES) })
    }
}

impl Weigh for [u8] {
    fn owned_bytes(&self) -> u64 {
        0
    }
}

impl Weigh for Vec<u8> {
    fn owned_bytes(&self) -> u64 {
        count(self.capacity())
    }
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
