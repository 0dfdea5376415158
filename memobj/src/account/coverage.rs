//! What of the allocator's blocks the objects that were found explain, and what objects lie in the others.
//!
//! A block is explained if an object that was found lies in it, or if it is no object and a pointer leads to it from a block that is
//! explained: then that owns it, as a dict owns its table of keys. What looks like an object and was not found is told apart: nothing
//! that was found leads to it by a way that is known. How many of those there are is an estimate, since data can look like an object.

use memobj_cpython::layout::flags;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_cpython::heap::size::read_size;
use memobj_cpython::heap::types::Type;
use memobj_cpython::heap::types::TypeRegistry;
use memobj_cpython::heap::walk::HeapWalk;
use memobj_cpython::heap::walk::ObjectCount;
use memobj_cpython::layout::encoding::InstanceAttributes;
use memobj_cpython::layout::encoding::RefCounts;
use memobj_cpython::object::memory_ext::MemoryExt;
use memobj_cpython::pools::Pool;
use memobj_cpython::pools::PoolIndex;
use memobj_cpython::pools::Pools;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

/// A word of bits.
const BITS: usize = 64;

/// Pools that a thread takes at once.
const PART: usize = 16;

/// What is looked through at once; no block of pymalloc is longer.
const POOL: usize = 16 << 10;

/// Objects of a type that nothing leads to.
#[derive(Debug, Clone)]
pub struct Unreached {
    /// Their type.
    pub of: Type,
    /// How many, and what they weigh.
    pub count: ObjectCount,
}

/// The measure_coverage of all blocks.
#[derive(Debug, Clone, Default)]
pub struct PoolCoverage {
    /// Bytes of blocks in use.
    pub used_bytes: u64,
    /// Bytes of those that are explained.
    pub explained_bytes: u64,
    /// Objects that were found in blocks.
    pub objects_inside: u64,
    /// Objects that were found elsewhere: larger than any block, static, or not allocated by pymalloc.
    pub objects_outside: u64,
    /// What else seems to be objects, by type.
    pub unreached: Vec<Unreached>,
}

/// Makes the measure_coverage of `pools`. `shift` is what the allocator's debug hooks put before each object, in bytes.
pub fn measure_coverage<M: Memory>(
    python: &PythonHeap<'_, M>,
    walked: &HeapWalk,
    pools: &Pools,
    shift: u64,
    threads: usize,
) -> PoolCoverage {
    let blocks = Blocks::new(python.memory, pools);
    let mut measure_coverage = PoolCoverage { used_bytes: pools.used_bytes(), ..PoolCoverage::default() };
    let mut outside = Vec::new();
    walked.heap.for_each(&walked.index, |at| match blocks.index.block_at(at) {
        Some(place) => {
            measure_coverage.objects_inside += 1;
            blocks.set(&blocks.found, place);
        }
        None => outside.push(at),
    });
    measure_coverage.objects_outside = outside.len() as u64;

    let next = AtomicUsize::new(0);
    let marking = || {
        let mut marker = Marker::new(python, &blocks, shift);
        // In parts: what lies outside of pools is less, and goes with the first.
        loop {
            let part = next.fetch_add(PART, Ordering::Relaxed);
            if part == 0 {
                outside.iter().for_each(|&at| marker.object(at));
            }
            if part >= pools.pools.len() {
                break;
            }
            (part..part + PART).for_each(|number| marker.pool(number));
        }
    };
    in_threads(threads, &marking);

    let next = AtomicUsize::new(0);
    let counting = || {
        let mut marker = Marker::new(python, &blocks, shift);
        let mut sum = PoolCoverage::default();
        loop {
            let part = next.fetch_add(PART, Ordering::Relaxed);
            if part >= pools.pools.len() {
                return sum;
            }
            (part..part + PART).for_each(|number| marker.count(number, &mut sum));
        }
    };
    for part in in_threads(threads, &counting) {
        measure_coverage.explained_bytes += part.explained_bytes;
        for one in part.unreached {
            add(&mut measure_coverage.unreached, one);
        }
    }
    measure_coverage.unreached.sort_by_key(|unreached: &Unreached| unreached.of.at);
    measure_coverage
}

fn add(all: &mut Vec<Unreached>, one: Unreached) {
    match all.iter_mut().find(|known| known.of.at == one.of.at) {
        Some(known) => {
            known.count.objects += one.count.objects;
            known.count.bytes = known.count.bytes.saturating_add(one.count.bytes);
            known.count.overhead_bytes = known.count.overhead_bytes.saturating_add(one.count.overhead_bytes);
        }
        None => all.push(one),
    }
}

/// What each of some threads makes of the same work; a thread that came to grief is missing.
fn in_threads<T: Send>(threads: usize, work: &(impl Fn() -> T + Sync)) -> Vec<T> {
    if threads <= 1 {
        return vec![work()];
    }
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    })
}

/// A bit for every block of every pool, several times.
struct Blocks<'p> {
    index: PoolIndex<'p>,
    /// Words of bits for a pool.
    words: usize,
    /// Blocks in use.
    live: Vec<AtomicU64>,
    /// Blocks in which an object lies that was found.
    found: Vec<AtomicU64>,
    /// Blocks that are no objects and belong to some.
    owned: Vec<AtomicU64>,
}

impl<'p> Blocks<'p> {
    fn new<M: Memory>(memory: &M, pools: &'p Pools) -> Self {
        let words = pools.pools.iter().map(Pool::handed_out).max().unwrap_or(0).div_ceil(BITS);
        let empty = || (0..words * pools.pools.len()).map(|_| AtomicU64::new(0)).collect();
        let blocks =
            Self { index: PoolIndex::new(pools), words, live: empty(), found: empty(), owned: empty() };
        for pool in &pools.pools {
            pool.for_each_used_block(memory, |block| {
                if let Some(place) = blocks.index.block_at(block) {
                    blocks.set(&blocks.live, place);
                }
            });
        }
        blocks
    }

    /// The bit of a block: its word, and a mask.
    #[inline]
    fn bit(&self, (pool, block): (usize, usize)) -> (usize, u64) {
        (pool * self.words + block / BITS, 1 << (block % BITS))
    }

    /// Sets a bit; whether it was not set before.
    #[inline]
    fn set(&self, bits: &[AtomicU64], place: (usize, usize)) -> bool {
        let (word, mask) = self.bit(place);
        bits.get(word).is_some_and(|word| {
            word.load(Ordering::Relaxed) & mask == 0 && word.fetch_or(mask, Ordering::Relaxed) & mask == 0
        })
    }

    #[inline]
    fn is_set(&self, bits: &[AtomicU64], place: (usize, usize)) -> bool {
        let (word, mask) = self.bit(place);
        bits.get(word).is_some_and(|word| word.load(Ordering::Relaxed) & mask != 0)
    }

    /// Where a block begins, and its pool.
    #[inline]
    fn start(&self, (pool, block): (usize, usize)) -> Option<(Addr, &Pool)> {
        let pool = self.index.pool(pool)?;
        Some((pool.block(block), pool))
    }
}

/// One thread's part in following pointers out of blocks.
struct Marker<'b, 'p, 'm, M> {
    python: &'p PythonHeap<'m, M>,
    blocks: &'b Blocks<'b>,
    types: TypeRegistry<'p, 'm, M>,
    shift: u64,
    /// Blocks that are newly owned, still to be looked into.
    stack: Vec<(usize, usize)>,
    buffer: Vec<u8>,
}

impl<'b, 'p, 'm, M: Memory> Marker<'b, 'p, 'm, M> {
    fn new(python: &'p PythonHeap<'m, M>, blocks: &'b Blocks<'b>, shift: u64) -> Self {
        Self {
            python,
            blocks,
            types: TypeRegistry::new(python),
            shift,
            stack: Vec::new(),
            buffer: vec![0; POOL],
        }
    }

    /// Follows what the objects in a pool point to.
    fn pool(&mut self, number: usize) {
        let Some(&pool) = self.blocks.index.pool(number) else { return };
        for block in 0..pool.handed_out() {
            if self.blocks.is_set(&self.blocks.found, (number, block)) {
                self.stretch(pool.block(block), pool.block_bytes);
            }
        }
    }

    /// Follows what an object outside of pools points to.
    fn object(&mut self, at: Addr) {
        let size = self.types.type_of(at).and_then(|id| self.types.get(id)).map(|of| of.basicsize);
        if let Some(size) = size {
            // What stands before it is the collector's, or a pointer to values.
            self.stretch(at.minus(32), 32_u64.saturating_add(size.min(POOL as u64 / 2)));
        }
    }

    /// Follows every pointer in a stretch of memory, and in what is owned by that.
    fn stretch(&mut self, at: Addr, bytes: u64) {
        self.words(at, bytes);
        while let Some(place) = self.stack.pop() {
            if let Some((at, pool)) = self.blocks.start(place) {
                let bytes = pool.block_bytes;
                self.words(at, bytes);
            }
        }
    }

    /// A piece at a time: mimalloc's blocks can be long.
    fn words(&mut self, at: Addr, bytes: u64) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut from = 0;
        while from < bytes {
            let length = (bytes - from).min(POOL as u64);
            let Some(piece) = buffer.get_mut(..length as usize) else { break };
            if self.python.memory.read(at.plus(from), piece).is_err() {
                break;
            }
            for word in piece.as_chunks::<8>().0 {
                // A tagged pointer is as good as its block.
                if let Some(place) = self.blocks.index.block_at(Addr(u64::from_le_bytes(*word))) {
                    self.consider(place);
                }
            }
            from += length;
        }
        self.buffer = buffer;
    }

    fn consider(&mut self, place: (usize, usize)) {
        let blocks = self.blocks;
        if blocks.is_set(&blocks.found, place)
            || blocks.is_set(&blocks.owned, place)
            || !blocks.is_set(&blocks.live, place)
            || self.object_in(place).is_some()
        {
            return;
        }
        if blocks.set(&blocks.owned, place) {
            self.stack.push(place);
        }
    }

    /// The object that seems to lie in a block, and its type.
    fn object_in(&mut self, place: (usize, usize)) -> Option<(Addr, Rc<Type>)> {
        let (block, pool) = self.blocks.start(place)?;
        let (block, room) = self.asked_for(block, pool)?;
        // Before an object stand nothing, the collector's header, or that and pointers to its attributes.
        [0, 16, 32].into_iter().find_map(|prefix| {
            let at = block.plus(prefix);
            self.is_counted(at).then_some(())?;
            let id = self.types.type_of(at)?;
            let of = Rc::clone(self.types.get(id)?);
            let fits = match of.itemsize {
                // A short ASCII string has less than its type's basic size, a longer one more.
                _ if of.flags & flags::UNICODE_SUBCLASS != 0 => true,
                0 if of.flags & flags::INLINE_VALUES == 0 => {
                    let needed = prefix.checked_add(of.basicsize)?;
                    needed.checked_next_multiple_of(16) == room.checked_next_multiple_of(16)
                }
                _ => prefix.checked_add(self.size_with_items(at, &of)?)? <= room,
            };
            let prefix_fits = prefix_of(&of, self.python.layout.encodings.instance_attributes) == prefix;
            (fits && prefix_fits).then_some((at, of))
        })
    }

    /// What of a block the program asked for: all of it, as far as is known, or what the debug hooks say.
    fn asked_for(&self, block: Addr, pool: &Pool) -> Option<(Addr, u64)> {
        let room = pool.block_bytes;
        if self.shift == 0 {
            return Some((block, room));
        }
        // `_PyMem_DebugRawAlloc`: the size, the highest byte first; the letter of the allocator, `o` for objects; guards.
        let mut head = [0; 16];
        self.python.memory.read(block, &mut head).ok()?;
        let ([size, [b'o', guards @ ..]], []) = head.as_chunks::<8>() else { return None };
        let size = u64::from_be_bytes(*size);
        (guards.iter().all(|&byte| byte == 0xfd) && size.checked_add(self.shift)? <= room).then_some(())?;
        Some((block.plus(self.shift), size))
    }

    /// The size of an object of variable length, by its own measure_coverage; `int`s of 3.12 and later count otherwise, and are short.
    fn size_with_items(&self, at: Addr, of: &Type) -> Option<u64> {
        if of.flags & flags::LONG_SUBCLASS != 0 {
            return Some(of.basicsize);
        }
        let items = self.python.memory.read_signed(at, self.python.layout.var_object.ob_size).ok()?;
        of.basicsize.checked_add(items.unsigned_abs().checked_mul(of.itemsize.unsigned_abs())?)
    }

    /// Whether the count of references at `at` can be one.
    fn is_counted(&self, at: Addr) -> bool {
        let offset = self.python.layout.object.ob_refcnt.unwrap_or_default();
        let Ok(word) = self.python.memory.read_word(at, offset) else { return false };
        match self.python.layout.encodings.refcounts {
            RefCounts::Word => (1..1 << 40).contains(&word),
            RefCounts::WordOrImmortal => (1..=u64::from(u32::MAX)).contains(&word),
            // Behind the count stand a few bits of overflow, which are none but in flight, then flags.
            RefCounts::HalfOrImmortal => word & 0xffff_ffff != 0 && word >> 32 & 0xffff == 0,
            RefCounts::Biased => false,
        }
    }

    /// Adds up a pool: explained bytes, and what seems to be objects besides.
    fn count(&mut self, number: usize, sum: &mut PoolCoverage) {
        let Some(&pool) = self.blocks.index.pool(number) else { return };
        for block in 0..pool.handed_out() {
            let place = (number, block);
            let blocks = self.blocks;
            if !blocks.is_set(&blocks.live, place) {
                // Something may point still to what is no more.
                continue;
            }
            if blocks.is_set(&blocks.found, place) || blocks.is_set(&blocks.owned, place) {
                sum.explained_bytes = sum.explained_bytes.saturating_add(pool.block_bytes);
            } else if let Some((at, of)) = self.object_in(place)
                && let Ok(size) = read_size(self.python, at, &of)
            {
                let count =
                    ObjectCount { objects: 1, bytes: size.bytes, overhead_bytes: size.overhead_bytes };
                add(&mut sum.unreached, Unreached { of: Type::clone(&of), count });
            }
        }
    }
}

/// What stands before an object of a type, in bytes.
fn prefix_of(of: &Type, attributes: InstanceAttributes) -> u64 {
    let managed = match attributes {
        InstanceAttributes::DictOffset => 0,
        InstanceAttributes::ValuesAndDict { .. } => flags::MANAGED_DICT,
        InstanceAttributes::TaggedWord { .. } | InstanceAttributes::InlineValues { .. } => {
            flags::MANAGED_DICT | flags::MANAGED_WEAKREF
        }
    };
    16 * (u64::from(of.is_gc()) + u64::from(of.flags & managed != 0))
}
