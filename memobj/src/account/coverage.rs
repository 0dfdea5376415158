//! Coverage of Python's own allocator: blocks that objects explain, and objects in blocks that no known reference leads to.
//!
//! The unreached objects are an estimate: data can look like an object.

use std::collections::BTreeMap;

use memobj_cpython::heap::parallel::in_parts;
use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_cpython::heap::size::read_size;
use memobj_cpython::heap::types::Type;
use memobj_cpython::heap::walk::ObjectCount;
use memobj_cpython::pools::Pools;
use memobj_process::addr::Addr;
use memobj_process::error::Error;
use memobj_process::memory::Memory;

use super::block_map::{BlockMap, ObjectProbe, POOLS_AT_ONCE};

/// Objects of a type that no known reference leads to.
#[derive(Debug, Clone)]
pub struct Unreached {
    /// Their type.
    pub ty: Type,
    /// Number and sizes.
    pub count: ObjectCount,
}

/// The explained part of the allocator's blocks.
#[derive(Debug, Clone, Default)]
pub struct PoolCoverage {
    /// Bytes of blocks in use.
    pub used_bytes: u64,
    /// Bytes of blocks in use with an object that was found, or with its storage.
    pub explained_bytes: u64,
    /// Objects that seem to lie in the other blocks, ordered by the address of their type.
    pub unreached: Vec<Unreached>,
}

/// A part of the sum.
#[derive(Default)]
struct Part {
    explained_bytes: u64,
    unreached: BTreeMap<Addr, Unreached>,
}

impl Part {
    fn add(&mut self, ty: &Type, count: ObjectCount) {
        let row = self
            .unreached
            .entry(ty.at)
            .or_insert_with(|| Unreached { ty: ty.clone(), count: ObjectCount::default() });
        row.count.merge(&count);
    }
}

/// Sums up the coverage of `pools`, with `threads` threads. The owners of `blocks` must have been found.
pub(super) fn measure<M: Memory>(
    python: &PythonHeap<'_, M>,
    pools: &Pools,
    blocks: &BlockMap<'_>,
    hook_bytes: u64,
    threads: usize,
) -> Result<PoolCoverage, Error> {
    let parts = in_parts(threads, pools.pools.len(), POOLS_AT_ONCE, |parts| {
        let mut probe = ObjectProbe::new(python, blocks, hook_bytes);
        let mut sum = Part::default();
        for pool in parts.flatten() {
            add_pool(&mut probe, blocks, pool, &mut sum);
        }
        sum
    });
    let mut all = Part::default();
    for part in parts? {
        all.explained_bytes = all.explained_bytes.saturating_add(part.explained_bytes);
        for row in part.unreached.into_values() {
            all.add(&row.ty, row.count);
        }
    }
    Ok(PoolCoverage {
        used_bytes: pools.used_bytes(),
        explained_bytes: all.explained_bytes,
        unreached: all.unreached.into_values().collect(),
    })
}

fn add_pool<M: Memory>(
    probe: &mut ObjectProbe<'_, '_, '_, M>,
    blocks: &BlockMap<'_>,
    number: usize,
    sum: &mut Part,
) {
    let Some(&pool) = blocks.index.pool(number) else { return };
    for block in (0..pool.handed_out()).map(|block| (number, block)) {
        // A pointer can still lead to a block that was freed.
        if !blocks.live.contains(block) {
            continue;
        }
        if blocks.objects.contains(block) || blocks.storage.contains(block) {
            sum.explained_bytes = sum.explained_bytes.saturating_add(pool.block_bytes);
        } else if let Some((at, of)) = probe.object_in(block)
            && let Ok(size) = read_size(probe.python, at, &of)
        {
            sum.add(&of, ObjectCount { objects: 1, bytes: size.bytes, overhead_bytes: size.overhead_bytes });
        }
    }
}
