//! The account of RSS of a process with a Python in it, and the coverage of Python's allocator: both from one pass over storage.

use std::sync::Arc;

use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_cpython::heap::walk::HeapWalk;
use memobj_cpython::pools::Pools;
use memobj_process::error::Error;
use memobj_process::info::ProcessInfo;
use memobj_process::memory::Memory;
use memobj_process::residence::Residence;

use super::block_map::BlockMap;
use super::coverage::{self, PoolCoverage};
use super::ownership::{trace_all, trace_blocks};
use super::pinned::TypePinning;
use super::{Account, NativeHeaps, PoolUse, PythonMemory, account};

/// The account of a Python process.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProcessMemory {
    /// The account.
    pub account: Account,
    /// The names of its types, by number.
    pub types: Vec<Arc<str>>,
}

impl ProcessMemory {
    /// The types whose objects keep nearly empty arenas, by name; those that keep most come first.
    pub fn pinning(&self) -> impl Iterator<Item = (&Arc<str>, &TypePinning)> {
        let types = self.account.pinned.types.iter().filter(|pinning| pinning.in_arenas > 0);
        types.filter_map(|pinning| Some((self.types.get(pinning.row.0 as usize)?, pinning)))
    }
}

/// Python's own allocator, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct PythonAllocator<'a> {
    /// Its pools; `None` if it has none, or they could not be read.
    pub pools: Option<&'a Pools>,
    /// Bytes that its debug hooks put before each object.
    pub hook_bytes: u64,
    /// The name of an allocator whose pools are not read.
    pub unread: Option<&'static str>,
}

/// Measures the coverage of Python's allocator, if its pools are known.
///
/// # Errors
/// A thread panicked.
pub fn measure_coverage<M: Memory>(
    python: &PythonHeap<'_, M>,
    walked: &HeapWalk,
    allocator: PythonAllocator<'_>,
    threads: usize,
) -> Result<Option<PoolCoverage>, Error> {
    let (Some(pools), hook_bytes) = (allocator.pools, allocator.hook_bytes) else { return Ok(None) };
    let blocks = BlockMap::new(python.memory, pools);
    trace_blocks(python, walked, pools, &blocks, hook_bytes, threads)?;
    coverage::measure(python, pools, &blocks, hook_bytes, threads).map(Some)
}

/// Makes the account of a process, and measures the coverage of Python's allocator, if its pools are known.
///
/// # Errors
/// A thread panicked.
pub fn account_for_process<M: Memory>(
    python: &PythonHeap<'_, M>,
    walked: &HeapWalk,
    allocator: PythonAllocator<'_>,
    facts: &ProcessInfo,
    residence: &Residence,
    threads: usize,
) -> Result<(Option<PoolCoverage>, ProcessMemory), Error> {
    let none = Pools::default();
    let (pools, hook_bytes) = (allocator.pools.unwrap_or(&none), allocator.hook_bytes);
    let blocks = BlockMap::new(python.memory, pools);
    let heaps = NativeHeaps::read(python.memory, facts, residence, &pools.ranges);
    let owners = trace_all(python, walked, pools, &blocks, hook_bytes, facts, &heaps);
    let coverage = allocator
        .pools
        .map(|pools| coverage::measure(python, pools, &blocks, hook_bytes, threads))
        .transpose()?;
    let (objects, free_blocks) = owners.into_spans(&blocks);
    let known = PythonMemory {
        arenas: &pools.ranges,
        pools: &pool_uses(pools),
        free_blocks: &free_blocks,
        objects: &objects,
        types: walked.types.len(),
        allocator: allocator.unread.filter(|_| pools.pools.is_empty()),
    };
    let account = account(python.memory, facts, residence, heaps, &known);
    let types = walked.types.iter().map(|counted| counted.ty.name().into()).collect();
    Ok((coverage, ProcessMemory { account, types }))
}

/// The pools, and the heads of segments as pools without a block, by address.
fn pool_uses(pools: &Pools) -> Vec<PoolUse> {
    let heads = pools.heads.iter().map(|head| PoolUse {
        range: head.clone(),
        blocks: head.end..head.end,
        block_bytes: 0,
        used_bytes: 0,
        heap: None,
    });
    let pools = pools.pools.iter().map(|pool| PoolUse {
        range: pool.range(),
        blocks: pool.block_range(),
        block_bytes: pool.block_bytes,
        used_bytes: pool.used_bytes(),
        heap: pool.heap.as_str(),
    });
    let mut uses: Vec<PoolUse> = heads.chain(pools).collect();
    uses.sort_by_key(|pool| pool.range.start);
    uses
}
