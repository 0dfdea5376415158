//! What an entry takes.

use std::sync::Arc;

/// A value whose size can be told.
pub trait Weigh {
    /// The bytes that it owns elsewhere, beside its own `size_of`, and that no other value has: the capacity of its buffers.
    fn owned_bytes(&self) -> u64;

    /// What it shares with copies of itself, if it does: counted once, however many entries hold it.
    fn shared(&self) -> Option<Shared> {
        None
    }
}

/// Bytes that several values may have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shared {
    /// Tells them apart from others as long as they live: where they are.
    pub id: usize,
    /// How many they are.
    pub bytes: u64,
}

/// What an `Arc` has beside its value: two counters (`ArcInner` of the standard library).
const COUNTERS_BYTES: u64 = 2 * size_of::<usize>() as u64;

impl Weigh for Arc<[u8]> {
    fn owned_bytes(&self) -> u64 {
        0
    }

    fn shared(&self) -> Option<Shared> {
        Some(Shared { id: self.as_ptr().addr(), bytes: count(self.len()).saturating_add(COUNTERS_BYTES) })
    }
}

impl Weigh for Arc<str> {
    fn owned_bytes(&self) -> u64 {
        0
    }

    fn shared(&self) -> Option<Shared> {
        Some(Shared { id: self.as_ptr().addr(), bytes: count(self.len()).saturating_add(COUNTERS_BYTES) })
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
