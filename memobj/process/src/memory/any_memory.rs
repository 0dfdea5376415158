//! One type for every memory that a census reads.

use std::ops::Range;

use super::{FrozenMemory, Memory, Unreadable};
use crate::addr::Addr;

/// A copy, or another memory. Code that is generic over [`Memory`] is compiled once for it: reads of a copy stay inline, and a slower
/// memory does not notice the indirect call.
#[derive(Clone, Copy)]
pub enum AnyMemory<'a> {
    /// A copy.
    Frozen(&'a FrozenMemory),
    /// Another memory, such as that of a running process.
    Other(&'a dyn Memory),
}

impl Memory for AnyMemory<'_> {
    #[inline]
    fn read(&self, at: Addr, into: &mut [u8]) -> Result<(), Unreadable> {
        match self {
            Self::Frozen(memory) => memory.read(at, into),
            Self::Other(memory) => memory.read(at, into),
        }
    }

    #[inline]
    fn slice(&self, at: Addr, length: usize) -> Option<&[u8]> {
        match self {
            Self::Frozen(memory) => memory.slice(at, length),
            Self::Other(memory) => memory.slice(at, length),
        }
    }

    fn prefetch(&self, wanted: &mut dyn Iterator<Item = Range<Addr>>) {
        match self {
            Self::Frozen(memory) => memory.prefetch(wanted),
            Self::Other(memory) => memory.prefetch(wanted),
        }
    }

    fn regions(&self) -> &[Range<Addr>] {
        match self {
            Self::Frozen(memory) => memory.regions(),
            Self::Other(memory) => memory.regions(),
        }
    }

    fn written_regions(&self) -> Vec<Range<Addr>> {
        match self {
            Self::Frozen(memory) => memory.written_regions(),
            Self::Other(memory) => memory.written_regions(),
        }
    }

    fn is_partial(&self) -> bool {
        match self {
            Self::Frozen(memory) => memory.is_partial(),
            Self::Other(memory) => memory.is_partial(),
        }
    }

    fn has_missed(&self) -> bool {
        match self {
            Self::Frozen(memory) => memory.has_missed(),
            Self::Other(memory) => memory.has_missed(),
        }
    }
}
