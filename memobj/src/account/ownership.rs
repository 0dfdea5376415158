//! Storage ownership: which blocks of Python's allocator and which chunks of malloc belong to which objects.
//!
//! An object owns the block or the chunk that it lies in, whole. It also owns each block and chunk without an object that it has a
//! pointer to, and what those lead to: a dict owns its table of keys, a list its items, a buffer its bytes. A block that looks like an
//! object is no storage. Storage that several objects point to belongs to the one with the lowest address. Pointers that only C code
//! keeps are not known; what they lead to is in use without an owner.
//!
//! Both the coverage of the allocator and the account of RSS follow from this one pass.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use memobj_cpython::heap::builtins::Builtin;
use memobj_cpython::heap::greenlets::{Greenlet, read_greenlet};
use memobj_cpython::heap::parallel::in_parts;
use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_cpython::heap::size::read_size;
use memobj_cpython::heap::types::Type;
use memobj_cpython::heap::walk::HeapWalk;
use memobj_cpython::object::Objects;
use memobj_cpython::object::memory_ext::MemoryExt;
use memobj_cpython::pools::Pools;
use memobj_process::addr::Addr;
use memobj_process::error::Error;
use memobj_process::info::ProcessInfo;
use memobj_process::memory::Memory;

use super::block_map::{BlockId, BlockMap, ObjectProbe, POOLS_AT_ONCE};
use super::native_heaps::NativeHeaps;
use super::span::{RowId, Span};

/// Bytes that are scanned at once; no block of pymalloc is longer.
const PIECE: usize = 16 << 10;
const PIECE_BYTES: u64 = PIECE as u64;
/// Bytes of an object outside of pools that are scanned.
const MAX_OBJECT_BYTES: u64 = 8 << 10;
/// The longest chunk of malloc that is scanned: longer tables hold objects.
const MAX_CHUNK_BYTES: u64 = 64 << 10;
/// Bytes before an object that may hold its header and pointers to its attributes.
const PREFIX: u64 = 32;

/// Finds the owners of blocks, with `threads` threads.
pub(super) fn trace_blocks<M: Memory>(
    python: &PythonHeap<'_, M>,
    walked: &HeapWalk,
    pools: &Pools,
    blocks: &BlockMap<'_>,
    hook_bytes: u64,
    threads: usize,
) -> Result<(), Error> {
    let mut outside = Vec::new();
    walked.heap.for_each(&walked.index, |at| match blocks.index.block_at(at) {
        Some(block) => {
            blocks.objects.insert(block);
        }
        None => outside.push(at),
    });
    in_parts(threads, pools.pools.len(), POOLS_AT_ONCE, |parts| {
        let mut tracer = Tracer::new(python, blocks, hook_bytes, None);
        for part in parts {
            // The objects outside of pools are few, and go with the first part.
            if part.start == 0 {
                outside.iter().for_each(|&at| tracer.trace_outside(at));
            }
            for number in part {
                tracer.trace_pool(number);
            }
        }
    })
    .map(|_| ())
}

/// Finds the owners of blocks and of malloc's chunks, by type. This takes one thread, so that the first owner is always the same.
pub(super) fn trace_all<'h, 'm, M: Memory>(
    python: &'h PythonHeap<'m, M>,
    walked: &HeapWalk,
    pools: &'h Pools,
    blocks: &'h BlockMap<'h>,
    hook_bytes: u64,
    facts: &ProcessInfo,
    heaps: &'h NativeHeaps,
) -> TypeOwners<'h> {
    let mut tracer = Tracer::new(python, blocks, hook_bytes, Some(TypeOwners::new(walked, pools, heaps)));
    tracer.place_objects(walked, facts);
    // Plain data comes last: it owns little, and behind it a block still has old bytes, which can look like pointers.
    let mut plain = Vec::new();
    walked.heap.for_each(&walked.index, |at| match tracer.type_of(at) {
        Some(of) if is_plain_data(&of) => plain.push((at, of)),
        Some(of) => tracer.trace_object(at, &of),
        None => {}
    });
    plain.iter().for_each(|(at, of)| tracer.trace_object(*at, of));
    tracer.owners.unwrap_or_else(|| TypeOwners::new(walked, pools, heaps))
}

/// The types that own blocks, chunks of malloc and other memory.
pub(super) struct TypeOwners<'h> {
    pools: &'h Pools,
    heaps: &'h NativeHeaps,
    /// The number of a type among those that were counted, by its address.
    numbers: HashMap<Addr, u32>,
    /// By pool: the place of its first block in `blocks`.
    first: Vec<usize>,
    /// By block that was ever given out: the number of its owner; `UNOWNED` without one.
    blocks: Vec<u32>,
    /// Chunks of malloc and memory elsewhere, by start: the end, and the number of the owner.
    outside: HashMap<Addr, (Addr, u32)>,
}

/// No owner.
const UNOWNED: u32 = u32::MAX;

impl<'h> TypeOwners<'h> {
    fn new(walked: &HeapWalk, pools: &'h Pools, heaps: &'h NativeHeaps) -> Self {
        let mut count = 0_usize;
        let mut first = Vec::with_capacity(pools.pools.len());
        for pool in &pools.pools {
            first.push(count);
            count = count.saturating_add(pool.handed_out());
        }
        let numbers = (0..).zip(&walked.types).map(|(number, counted)| (counted.ty.at, number)).collect();
        Self { pools, heaps, numbers, first, blocks: vec![UNOWNED; count], outside: HashMap::new() }
    }

    /// Gives a block to a type, unless it has an owner.
    fn claim_block(&mut self, (pool, block): BlockId, number: u32) {
        let place = self.first.get(pool).and_then(|first| self.blocks.get_mut(first.checked_add(block)?));
        if let Some(owner) = place.filter(|owner| **owner == UNOWNED) {
            *owner = number;
        }
    }

    /// Gives a chunk to a type; returns whether it had no owner.
    fn claim_chunk(&mut self, chunk: &Range<Addr>, number: u32) -> bool {
        let mut is_new = false;
        self.outside.entry(chunk.start).or_insert_with(|| {
            is_new = true;
            (chunk.end, number)
        });
        is_new
    }

    /// All memory with an owner, and the free blocks, both by address; neighbours are merged.
    pub(super) fn into_spans(self, blocks: &BlockMap<'_>) -> (Vec<Span>, Vec<Range<Addr>>) {
        let outside = self.outside.iter();
        let mut spans: Vec<Span> =
            outside.map(|(&start, &(end, owner))| Span { start, end, row: RowId(owner) }).collect();
        let mut free: Vec<Range<Addr>> = Vec::new();
        for (number, (pool, &first)) in self.pools.pools.iter().zip(&self.first).enumerate() {
            let mut last: Option<Span> = None;
            let owners = self.blocks.get(first..first.saturating_add(pool.handed_out())).unwrap_or_default();
            for (block, &owner) in owners.iter().enumerate() {
                let start = pool.block(block);
                let end = start.plus(pool.block_bytes);
                if !blocks.live.contains((number, block)) {
                    push_free(&mut free, start..end);
                } else if owner != UNOWNED {
                    match &mut last {
                        Some(last) if last.end == start && last.row == RowId(owner) => last.end = end,
                        _ => spans.extend(last.replace(Span { start, end, row: RowId(owner) })),
                    }
                }
            }
            spans.extend(last);
            push_free(&mut free, pool.block(pool.handed_out())..pool.block_range().end);
        }
        spans.sort_unstable_by_key(|span| (span.start, span.end, span.row));
        (spans, free)
    }
}

fn push_free(free: &mut Vec<Range<Addr>>, range: Range<Addr>) {
    match free.last_mut() {
        _ if range.is_empty() => {}
        Some(last) if last.end == range.start => last.end = range.end,
        _ => free.push(range),
    }
}

/// Follows pointers out of objects and storage.
struct Tracer<'b, 'p, 'm, M> {
    blocks: &'b BlockMap<'b>,
    probe: ObjectProbe<'b, 'p, 'm, M>,
    /// Storage that was claimed and not scanned yet.
    stack: Vec<Range<Addr>>,
    buffer: Vec<u8>,
    /// `None` if only blocks are looked for.
    owners: Option<TypeOwners<'b>>,
    /// The number of the type whose object is scanned.
    number: u32,
}

impl<'b, 'p, 'm, M: Memory> Tracer<'b, 'p, 'm, M> {
    fn new(
        python: &'p PythonHeap<'m, M>,
        blocks: &'b BlockMap<'b>,
        hook_bytes: u64,
        owners: Option<TypeOwners<'b>>,
    ) -> Self {
        Self {
            blocks,
            probe: ObjectProbe::new(python, blocks, hook_bytes),
            stack: Vec::new(),
            buffer: vec![0; PIECE],
            owners,
            number: UNOWNED,
        }
    }

    fn type_of(&mut self, at: Addr) -> Option<Rc<Type>> {
        let id = self.probe.types.type_of(at)?;
        self.probe.types.get(id).map(Rc::clone)
    }

    /// Traces the objects in a pool.
    fn trace_pool(&mut self, number: usize) {
        let Some(&pool) = self.blocks.index.pool(number) else { return };
        for block in 0..pool.handed_out() {
            if self.blocks.objects.contains((number, block)) {
                let start = pool.block(block);
                self.trace(start..start.plus(pool.block_bytes), false);
            }
        }
    }

    /// Traces an object outside of pools.
    fn trace_outside(&mut self, at: Addr) {
        if let Some(of) = self.type_of(at) {
            self.trace(outside_range(at, &of), false);
        }
    }

    /// Traces an object wherever it lies, for its type.
    fn trace_object(&mut self, at: Addr, of: &Type) {
        let number = self.owners.as_ref().and_then(|owners| owners.numbers.get(&of.at));
        let Some(&number) = number else { return };
        self.number = number;
        let range = self.blocks.index.block_at(at).and_then(|block| {
            let (start, pool) = self.blocks.start(block)?;
            Some(start..start.plus(pool.block_bytes))
        });
        // The pieces of such storage are linked one to the next; a deque's are too large for pymalloc.
        let is_chained = matches!(of.kind, Some(Builtin::Deque | Builtin::OrderedDict | Builtin::LruCache));
        self.trace(range.unwrap_or_else(|| outside_range(at, of)), is_chained);
    }

    /// Claims all storage that an object leads to. Storage leads to chunks of malloc only if it `is_chained`.
    fn trace(&mut self, object: Range<Addr>, is_chained: bool) {
        self.scan(&object, true);
        while let Some(storage) = self.stack.pop() {
            self.scan(&storage, is_chained);
        }
    }

    /// Claims the storage that the words of a range point to.
    fn scan(&mut self, range: &Range<Addr>, into_chunks: bool) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut at = range.start;
        while at < range.end {
            let length = range.end.0.saturating_sub(at.0).min(PIECE_BYTES);
            let Some(piece) = buffer.get_mut(..length as usize) else { break };
            if self.probe.python.memory.read(at, piece).is_err() {
                break;
            }
            for word in piece.as_chunks::<8>().0 {
                let to = Addr(u64::from_le_bytes(*word));
                // A tagged pointer is as good as its block.
                match self.blocks.index.block_at(to) {
                    Some(block) => self.claim_block(block),
                    None if into_chunks => self.claim_chunk(to),
                    None => {}
                }
            }
            at = at.plus(length);
        }
        self.buffer = buffer;
    }

    fn claim_block(&mut self, block: BlockId) {
        if !self.blocks.is_unowned(block) || self.probe.object_in(block).is_some() {
            return;
        }
        if self.blocks.storage.insert(block) {
            if let Some(owners) = &mut self.owners {
                owners.claim_block(block, self.number);
            }
            self.stack
                .extend(self.blocks.start(block).map(|(start, pool)| start..start.plus(pool.block_bytes)));
        }
    }

    fn claim_chunk(&mut self, to: Addr) {
        let Some(owners) = &mut self.owners else { return };
        let Some(chunk) = owners.heaps.chunk(self.probe.python.memory, to) else { return };
        if owners.claim_chunk(&chunk, self.number)
            && chunk.end.0.saturating_sub(chunk.start.0) <= MAX_CHUNK_BYTES
        {
            self.stack.push(chunk);
        }
    }

    /// Gives a suspended greenlet its stacks: the copy of a part of its C stack, and the chunks of its data stack.
    fn place_stacks(&mut self, at: Addr, number: u32) {
        let python = self.probe.python;
        let objects = Objects::new(python.memory, python.layout);
        let (Some(owners), Greenlet::Suspended(stacks)) = (&mut self.owners, read_greenlet(objects, at))
        else {
            return;
        };
        let copy = stacks.stack.copy();
        if let Some(block) = self.blocks.index.block_at(copy.start) {
            if self.blocks.storage.insert(block) {
                owners.claim_block(block, number);
            }
        } else if let Some(chunk) = owners.heaps.chunk(python.memory, copy.start) {
            owners.claim_chunk(&chunk, number);
        }
        for chunk in stacks.chunks(objects) {
            owners.claim_chunk(&chunk, number);
        }
    }

    /// Gives every object the block or chunk that it lies in.
    fn place_objects(&mut self, walked: &HeapWalk, facts: &ProcessInfo) {
        let (blocks, memory) = (self.blocks, self.probe.python.memory);
        // An object that lies in neither ends before the next object begins, whatever it says of its size.
        let mut last: Option<Addr> = None;
        walked.heap.for_each(&walked.index, |at| {
            let block = blocks.index.block_at(at);
            block.map(|block| blocks.objects.insert(block));
            let of = self.type_of(at);
            let Some(owners) = &mut self.owners else { return };
            if let Some((end, _)) = last.take().and_then(|last| owners.outside.get_mut(&last)) {
                *end = at.min(*end);
            }
            let Some(of) = of else { return };
            let Some(&number) = owners.numbers.get(&of.at) else { return };
            // Before an object are: nothing, the collector's header, that and pointers to its attributes, or what debug hooks put.
            let chunk = || {
                [0, 16, 32, 48].into_iter().find_map(|prefix| owners.heaps.chunk(memory, at.minus(prefix)))
            };
            if let Some(block) = block {
                owners.claim_block(block, number);
            } else if let Some(chunk) = chunk() {
                owners.claim_chunk(&chunk, number);
            } else {
                let end = at.0.saturating_add(in_place_bytes(self.probe.python, at, &of));
                owners.outside.insert(at, (Addr(end), number));
                last = Some(at);
            }
            if of.kind == Some(Builtin::Greenlet) {
                self.place_stacks(at, number);
            }
            let Some(owners) = &mut self.owners else { return };
            if of.module == "mmap"
                && of.qualname == "mmap"
                && let Some(mapped) = mapped_by(self.probe.python, facts, at)
            {
                owners.outside.insert(mapped.start, (mapped.end, number));
            }
        });
    }
}

/// Whether the objects of a type hold values or references alone; a `str` may also have its text as UTF-8.
const fn is_plain_data(of: &Type) -> bool {
    matches!(of.kind, Some(Builtin::Str | Builtin::Int | Builtin::Number | Builtin::Bytes | Builtin::Tuple))
}

/// The part of an object outside of pools that is scanned.
fn outside_range(at: Addr, of: &Type) -> Range<Addr> {
    at.minus(PREFIX)..at.plus(of.basicsize.min(MAX_OBJECT_BYTES))
}

/// Bytes of an object where it lies, without storage elsewhere.
fn in_place_bytes<M: Memory>(python: &PythonHeap<'_, M>, at: Addr, of: &Type) -> u64 {
    if of.is_metatype() {
        return python.layout.type_object.size.into();
    }
    if of.itemsize == 0 && of.kind != Some(Builtin::Str) {
        return of.basicsize;
    }
    read_size(python, at, of).map_or(of.basicsize, |size| size.bytes)
}

/// The memory that a `mmap` object has mapped; `None` if it was closed.
fn mapped_by<M: Memory>(python: &PythonHeap<'_, M>, facts: &ProcessInfo, at: Addr) -> Option<Range<Addr>> {
    let fields = python.layout.mmap_object.as_ref()?;
    let data = python.memory.read_pointer(at, fields.data).ok()?;
    let bytes = python.memory.read_count(at, fields.size_).ok()?;
    let mapping = facts.mapping_at(data).filter(|mapping| mapping.range.start == data)?;
    Some(data..Addr(data.0.saturating_add(bytes)).min(mapping.range.end))
}
