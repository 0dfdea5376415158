//! Where Python objects lie, and what of other memory is theirs: what the account of RSS needs to know of Python.
//!
//! An object has the block of pymalloc or the chunk of malloc that it lies in, whole, and those that hold no object and that it has a
//! pointer to the beginning of: a dict its table of keys, a list its items, a buffer its bytes. What two objects point to is of the one
//! with the lower address. So far this is what a program looks like from outside; of memory that C keeps by pointers of its own nothing
//! can be told but that it is in use.

use std::collections::HashMap;
use std::sync::Arc;

use crate::account::glibc::Glibc;
use crate::account::pinned::TypePinning;
use crate::account::span::{RowId, Span};
use crate::account::{Account, NativeHeaps, PoolUse, PythonMemory, account};
use memobj_cpython::heap::builtins::Builtin;
use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_cpython::heap::size::read_size;
use memobj_cpython::heap::types::Type;
use memobj_cpython::heap::types::TypeRegistry;
use memobj_cpython::heap::walk::HeapWalk;
use memobj_cpython::object::memory_ext::MemoryExt;
use memobj_cpython::pools::PoolIndex;
use memobj_cpython::pools::Pools;
use memobj_process::addr::Addr;
use memobj_process::info::ProcessInfo;
use memobj_process::memory::Memory;
use memobj_process::residence::Residence;

/// A block that nobody is known for.
const NOBODY: u32 = 0;
/// A block that was given back.
const FREE: u32 = u32::MAX;
/// What of storage is looked through for more of it: tables larger than this hold objects, or none.
const MOST_STORAGE: u64 = 64 << 10;
/// What of an object is looked through.
const MOST_OBJECT: u64 = 4 << 10;

/// The account of a Python process.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProcessMemory {
    /// The account.
    pub account: Account,
    /// The names of its types, by number.
    pub types: Vec<Arc<str>>,
}

impl ProcessMemory {
    /// The types whose objects keep nearly empty arenas, by name, those that keep most first.
    pub fn pinning(&self) -> impl Iterator<Item = (&Arc<str>, &TypePinning)> {
        let types = self.account.pinned.types.iter().filter(|pinning| pinning.in_arenas > 0);
        types.filter_map(|pinning| Some((self.types.get(pinning.row.0 as usize)?, pinning)))
    }
}

/// Makes the account of a process with a Python in it. `pools` is what its allocator has given out; `None` where it has none, or where that
/// is not looked into: then `unseen` is what it is called.
pub fn account_for_process<M: Memory>(
    python: &PythonHeap<'_, M>,
    facts: &ProcessInfo,
    residence: &Residence,
    walked: &HeapWalk,
    pools: Option<&Pools>,
    unseen: Option<&'static str>,
) -> ProcessMemory {
    let none = Pools::default();
    let pools = pools.unwrap_or(&none);
    let heaps = NativeHeaps::read(python.memory, facts, residence, &pools.ranges);
    let mut homes = StorageOwners::new(python, facts, walked, pools, &heaps.glibc);
    homes.settle(walked);
    homes.follow(walked);
    let (spans, free_blocks) = homes.spans();
    let uses = uses(pools);
    let known = PythonMemory {
        arenas: &pools.ranges,
        pools: &uses,
        free_blocks: &free_blocks,
        objects: &spans,
        types: walked.types.len(),
        allocator: unseen.filter(|_| pools.pools.is_empty()),
    };
    let account = account(python.memory, facts, residence, heaps, &known);
    let types = walked.types.iter().map(|counted| counted.of.name().into()).collect();
    ProcessMemory { account, types }
}

/// The pools, and the heads of segments as pools without a block, by address.
fn uses(pools: &Pools) -> Vec<PoolUse> {
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

/// Where objects live.
struct StorageOwners<'h, 'm, M> {
    python: &'h PythonHeap<'m, M>,
    facts: &'h ProcessInfo,
    pools: &'h Pools,
    index: PoolIndex<'h>,
    glibc: &'h Glibc,
    types: TypeRegistry<'h, 'm, M>,
    /// The number of a type among those that were counted, by its address.
    numbers: HashMap<Addr, u32>,
    /// Of each pool the place of its first block in `owners`.
    first: Vec<usize>,
    /// Of each block that was ever given out whose it is: the number of a type, plus 1.
    owners: Vec<u32>,
    /// The same of chunks of malloc, and of what lies elsewhere.
    outside: HashMap<Addr, (Addr, u32)>,
    buffer: Vec<u8>,
}

/// A place that something of Python may have.
#[derive(Clone, Copy)]
enum Storage {
    /// A block of pymalloc, by its place in `owners`.
    Block { place: usize, start: Addr, bytes: u64 },
    /// A chunk of malloc.
    Chunk { start: Addr, end: Addr },
}

impl<'h, 'm, M: Memory> StorageOwners<'h, 'm, M> {
    fn new(
        python: &'h PythonHeap<'m, M>,
        facts: &'h ProcessInfo,
        walked: &HeapWalk,
        pools: &'h Pools,
        glibc: &'h Glibc,
    ) -> Self {
        let mut first = Vec::with_capacity(pools.pools.len());
        let mut owners = Vec::new();
        for pool in &pools.pools {
            let begin = owners.len();
            first.push(begin);
            owners.resize(begin + pool.handed_out(), FREE);
            pool.for_each_used_block(python.memory, |block| {
                let offset = block.0.saturating_sub(pool.block(0).0) / pool.block_bytes.max(1);
                if let Some(owner) = owners.get_mut(begin + offset as usize) {
                    *owner = NOBODY;
                }
            });
        }
        let numbers = (0..).zip(&walked.types).map(|(number, counted)| (counted.of.at, number)).collect();
        Self {
            python,
            facts,
            pools,
            index: PoolIndex::new(pools),
            glibc,
            types: TypeRegistry::new(python),
            numbers,
            first,
            owners,
            outside: HashMap::new(),
            buffer: vec![0; MOST_STORAGE as usize],
        }
    }

    /// The type of an object, and its number among those that were counted.
    fn type_of(&mut self, at: Addr) -> Option<(std::rc::Rc<Type>, u32)> {
        let id = self.types.type_of(at)?;
        let of = self.types.get(id)?.clone();
        let number = *self.numbers.get(&of.at)?;
        Some((of, number))
    }

    /// The block that `at` lies in.
    fn block(&self, at: Addr) -> Option<Storage> {
        let (pool, block) = self.index.block_at(at)?;
        let place = self.first.get(pool)?.checked_add(block)?;
        let pool = self.index.pool(pool)?;
        Some(Storage::Block { place, start: pool.block(block), bytes: pool.block_bytes })
    }

    /// The chunk whose bytes begin at `at`.
    fn chunk(&self, at: Addr) -> Option<Storage> {
        let chunk = self.glibc.chunk(self.python.memory, at)?;
        Some(Storage::Chunk { start: chunk.start, end: chunk.end })
    }

    /// Every object gets the block or chunk that it lies in.
    fn settle(&mut self, walked: &HeapWalk) {
        // What lies in neither ends before the next object begins, whatever it says of its size.
        let mut last: Option<Addr> = None;
        walked.heap.for_each(&walked.index, |at| {
            if let Some((end, _)) = last.take().and_then(|last| self.outside.get_mut(&last)) {
                *end = at.min(*end);
            }
            let Some((of, number)) = self.type_of(at) else { return };
            // Before an object stand nothing, the collector's header, that and pointers to its attributes, or what debug hooks put.
            let home = self.block(at).or_else(|| (0..=3).find_map(|steps| self.chunk(at.minus(16 * steps))));
            match home {
                Some(home) => {
                    self.take(home, number);
                }
                None => {
                    let bytes = self.laid(at, &of);
                    self.outside.insert(at, (Addr(at.0.saturating_add(bytes)), number + 1));
                    last = Some(at);
                }
            }
            if of.module == "mmap" && of.qualname == "mmap" {
                self.settle_mapping(at, number);
            }
        });
    }

    /// What of an object lies where it is, in bytes: without storage elsewhere.
    fn laid(&self, at: Addr, of: &Type) -> u64 {
        if of.is_metatype() {
            return self.python.layout.type_object.size.into();
        }
        if of.itemsize == 0 && of.kind != Some(Builtin::Str) {
            return of.basicsize;
        }
        read_size(self.python, at, of).map_or(of.basicsize, |size| size.bytes)
    }

    /// What a `mmap` has mapped.
    fn settle_mapping(&mut self, at: Addr, number: u32) {
        let Some(fields) = &self.python.layout.mmap_object else { return };
        let memory = self.python.memory;
        let (Ok(data), Ok(bytes)) =
            (memory.read_pointer(at, fields.data), memory.read_count(at, fields.size_))
        else {
            return;
        };
        // One that was closed has nothing; no other says more than what is mapped there.
        let mapped = self.facts.mapping_at(data).filter(|mapping| mapping.range.start == data);
        if let Some(mapped) = mapped {
            let end = Addr(data.0.saturating_add(bytes)).min(mapped.range.end);
            self.outside.insert(data, (end, number + 1));
        }
    }

    /// Gives a home to a type, if nobody has it; whether that was so.
    fn take(&mut self, home: Storage, number: u32) -> bool {
        match home {
            Storage::Block { place, .. } => match self.owners.get_mut(place) {
                Some(owner) if *owner == NOBODY => {
                    *owner = number + 1;
                    true
                }
                _ => false,
            },
            Storage::Chunk { start, end } => {
                let mut new = false;
                self.outside.entry(start).or_insert_with(|| {
                    new = true;
                    (end, number + 1)
                });
                new
            }
        }
    }

    /// Every object gets the storage that it points to, and what that points to.
    fn follow(&mut self, walked: &HeapWalk) {
        let mut open: Vec<(Storage, bool)> = Vec::new();
        walked.heap.for_each(&walked.index, |at| {
            let Some((of, number)) = self.type_of(at) else { return };
            if matches!(
                of.kind,
                Some(Builtin::Str | Builtin::Int | Builtin::Number | Builtin::Bytes | Builtin::Tuple)
            ) {
                return;
            }
            // ObjectGraph of one piece of storage to the next: a deque's blocks are too large for pymalloc.
            let chained = matches!(of.kind, Some(Builtin::Deque | Builtin::OrderedDict | Builtin::LruCache));
            // What stands before an object may be a pointer to its values.
            let (start, before) = (at.minus(32), 32);
            self.look(start, before + of.basicsize.min(MOST_OBJECT), number, true, &mut open);
            while let Some((home, chunks)) = open.pop() {
                let (start, bytes) = match home {
                    Storage::Block { start, bytes, .. } => (start, bytes),
                    Storage::Chunk { start, end } => (start, end.0.saturating_sub(start.0)),
                };
                if bytes <= MOST_STORAGE {
                    self.look(start, bytes, number, chained && chunks, &mut open);
                }
            }
        });
    }

    /// Takes what the words at `start` point to; `chunks`: chunks of malloc too.
    fn look(&mut self, start: Addr, bytes: u64, number: u32, chunks: bool, open: &mut Vec<(Storage, bool)>) {
        let mut buffer = std::mem::take(&mut self.buffer);
        if let Some(piece) = buffer.get_mut(..bytes as usize)
            && self.python.memory.read(start, piece).is_ok()
        {
            for word in piece.as_chunks::<8>().0 {
                let to = Addr(u64::from_le_bytes(*word));
                let home = match self.block(to) {
                    None if chunks => self.chunk(to),
                    block => block,
                };
                if let Some(home) = home
                    && self.take(home, number)
                {
                    open.push((home, chunks));
                }
            }
        }
        self.buffer = buffer;
    }

    /// Whose memory is whose, and the free blocks, both by address; neighbours are one.
    fn spans(self) -> (Vec<Span>, Vec<std::ops::Range<Addr>>) {
        let mut spans: Vec<Span> = self
            .outside
            .iter()
            .map(|(start, (end, owner))| Span {
                start: *start,
                end: *end,
                row: RowId(owner.saturating_sub(1)),
            })
            .collect();
        let mut free: Vec<std::ops::Range<Addr>> = Vec::new();
        for (pool, first) in self.pools.pools.iter().zip(&self.first) {
            let mut last: Option<Span> = None;
            let owners = self.owners.get(*first..first.saturating_add(pool.handed_out())).unwrap_or_default();
            for (block, owner) in owners.iter().enumerate() {
                let start = pool.block(block);
                let end = start.plus(pool.block_bytes);
                match *owner {
                    NOBODY => {}
                    FREE => push_free(&mut free, start..end),
                    owner => match &mut last {
                        Some(last) if last.end == start && last.row == RowId(owner - 1) => last.end = end,
                        _ => spans.extend(last.replace(Span { start, end, row: RowId(owner - 1) })),
                    },
                }
            }
            spans.extend(last);
            let blocks = pool.block_range();
            push_free(&mut free, pool.block(pool.handed_out())..blocks.end);
        }
        spans.sort_unstable_by_key(|span| (span.start, span.end, span.row));
        (spans, free)
    }
}

fn push_free(free: &mut Vec<std::ops::Range<Addr>>, range: std::ops::Range<Addr>) {
    match free.last_mut() {
        _ if range.is_empty() => {}
        Some(last) if last.end == range.start => last.end = range.end,
        _ => free.push(range),
    }
}
