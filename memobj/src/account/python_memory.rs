//! The memory of a Python as ranges.

use std::ops::Range;

use memobj_process::addr::Addr;

use super::span::Span;

/// The memory of a Python, by ranges. All lists are by address.
#[derive(Debug, Clone, Copy, Default)]
pub struct PythonMemory<'a> {
    /// Memory that its allocator took from the system: arenas of pymalloc, segments of mimalloc.
    pub arenas: &'a [Range<Addr>],
    /// Pools with blocks in use, each within an arena.
    pub pools: &'a [PoolUse],
    /// Free blocks in those pools; neighbours may be merged.
    pub free_blocks: &'a [Range<Addr>],
    /// Objects and their storage, each once; `row` is the number of their type.
    pub objects: &'a [Span],
    /// The number of types.
    pub types: usize,
    /// An allocator of its own that is not read: anonymous memory of which nothing else is known belongs to it.
    pub allocator: Option<&'static str>,
}

/// A pool with blocks in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolUse {
    /// The whole pool.
    pub range: Range<Addr>,
    /// Its blocks. The bytes before are its header, the bytes behind too few for a block.
    pub blocks: Range<Addr>,
    /// Bytes of each block.
    pub block_bytes: u64,
    /// Bytes of blocks in use.
    pub used_bytes: u64,
    /// Its heap, where Python has several.
    pub heap: Option<&'static str>,
}
