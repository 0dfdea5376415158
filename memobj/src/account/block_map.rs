//! Some bits for every block of every pool, and the search for objects in blocks.

use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_cpython::heap::size::prefix_bytes;
use memobj_cpython::heap::types::{Type, TypeRegistry};
use memobj_cpython::layout::encoding::RefCounts;
use memobj_cpython::layout::flags;
use memobj_cpython::object::memory_ext::MemoryExt;
use memobj_cpython::pools::{Pool, PoolIndex, Pools};
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

/// Pools that a thread takes at once.
pub(super) const POOLS_AT_ONCE: usize = 16;
/// Bits of a word.
const BITS: usize = 64;

/// A block: the number of its pool, and its number in the pool.
pub(super) type BlockId = (usize, usize);

/// A bit for every block of every pool. Threads set bits at the same time.
#[derive(Debug)]
pub(super) struct BlockSet {
    /// Words of bits for a pool.
    words: usize,
    bits: Vec<AtomicU64>,
}

impl BlockSet {
    fn new(pools: &Pools) -> Self {
        let words = pools.pools.iter().map(Pool::handed_out).max().unwrap_or(0).div_ceil(BITS);
        let all = words.saturating_mul(pools.pools.len());
        Self { words, bits: (0..all).map(|_| AtomicU64::new(0)).collect() }
    }

    /// The word of a block's bit, and its mask.
    #[inline]
    fn bit(&self, (pool, block): BlockId) -> Option<(&AtomicU64, u64)> {
        let word = pool.wrapping_mul(self.words).wrapping_add(block / BITS);
        Some((self.bits.get(word)?, 1 << (block % BITS)))
    }

    /// Adds a block; returns whether it is new.
    #[inline]
    pub(super) fn insert(&self, block: BlockId) -> bool {
        self.bit(block).is_some_and(|(word, mask)| {
            word.load(Ordering::Relaxed) & mask == 0 && word.fetch_or(mask, Ordering::Relaxed) & mask == 0
        })
    }

    #[inline]
    pub(super) fn contains(&self, block: BlockId) -> bool {
        self.bit(block).is_some_and(|(word, mask)| word.load(Ordering::Relaxed) & mask != 0)
    }
}

/// The blocks of all pools, and what is known of each.
#[derive(Debug)]
pub(super) struct BlockMap<'p> {
    pub(super) index: PoolIndex<'p>,
    /// Blocks in use.
    pub(super) live: BlockSet,
    /// Blocks with an object that was found.
    pub(super) objects: BlockSet,
    /// Blocks without an object that belong to an object.
    pub(super) storage: BlockSet,
}

impl<'p> BlockMap<'p> {
    pub(super) fn new<M: Memory>(memory: &M, pools: &'p Pools) -> Self {
        let empty = || BlockSet::new(pools);
        let map = Self { index: PoolIndex::new(pools), live: empty(), objects: empty(), storage: empty() };
        for pool in &pools.pools {
            pool.for_each_used_block(memory, |at| {
                if let Some(block) = map.index.block_at(at) {
                    map.live.insert(block);
                }
            });
        }
        map
    }

    /// The start of a block, and its pool.
    #[inline]
    pub(super) fn start(&self, (pool, block): BlockId) -> Option<(Addr, &Pool)> {
        let pool = self.index.pool(pool)?;
        Some((pool.block(block), pool))
    }

    /// Whether a block is in use and has no owner yet.
    #[inline]
    pub(super) fn is_unowned(&self, block: BlockId) -> bool {
        !self.objects.contains(block) && !self.storage.contains(block) && self.live.contains(block)
    }
}

/// Recognizes objects in blocks by their headers. Data can look like an object.
pub(super) struct ObjectProbe<'b, 'p, 'm, M> {
    pub(super) python: &'p PythonHeap<'m, M>,
    pub(super) types: TypeRegistry<'p, 'm, M>,
    blocks: &'b BlockMap<'b>,
    /// Bytes that the allocator's debug hooks put before each object.
    hook_bytes: u64,
}

impl<'b, 'p, 'm, M: Memory> ObjectProbe<'b, 'p, 'm, M> {
    pub(super) fn new(python: &'p PythonHeap<'m, M>, blocks: &'b BlockMap<'b>, hook_bytes: u64) -> Self {
        Self { python, types: TypeRegistry::new(python), blocks, hook_bytes }
    }

    /// The object that seems to lie in a block, and its type.
    pub(super) fn object_in(&mut self, block: BlockId) -> Option<(Addr, Rc<Type>)> {
        let (start, room) = self.requested(block)?;
        // Before an object are: nothing, the collector's header, or that and pointers to its attributes.
        [0, 16, 32].into_iter().find_map(|prefix| {
            let at = start.plus(prefix);
            self.has_refcount(at).then_some(())?;
            let id = self.types.type_of(at)?;
            let of = Rc::clone(self.types.get(id)?);
            let fits = match of.itemsize {
                // A short ASCII string has less than its type's basic size, a longer one more.
                _ if of.flags & flags::UNICODE_SUBCLASS != 0 => true,
                0 if of.flags & flags::INLINE_VALUES == 0 => {
                    let needed = of.basicsize.checked_add(prefix)?;
                    needed.checked_next_multiple_of(16) == room.checked_next_multiple_of(16)
                }
                _ => self.size_with_items(at, &of)?.checked_add(prefix)? <= room,
            };
            (fits && prefix_bytes(self.python.layout, of.flags, of.is_gc()) == prefix).then_some((at, of))
        })
    }

    /// The bytes of a block that the program asked for: all of it, or the size that the debug hooks wrote down.
    fn requested(&self, block: BlockId) -> Option<(Addr, u64)> {
        let (start, pool) = self.blocks.start(block)?;
        let room = pool.block_bytes;
        if self.hook_bytes == 0 {
            return Some((start, room));
        }
        // `_PyMem_DebugRawAlloc`: the size, the highest byte first; the letter of the allocator, `o` for objects; guards.
        let mut head = [0; 16];
        self.python.memory.read(start, &mut head).ok()?;
        let ([size, [b'o', guards @ ..]], []) = head.as_chunks::<8>() else { return None };
        let size = u64::from_be_bytes(*size);
        let fits = size.checked_add(self.hook_bytes)? <= room;
        (fits && guards.iter().all(|&byte| byte == 0xfd)).then_some((start.plus(self.hook_bytes), size))
    }

    /// The size of an object with items, by its own count. An `int` counts otherwise from 3.12 on, and is short.
    fn size_with_items(&self, at: Addr, of: &Type) -> Option<u64> {
        if of.flags & flags::LONG_SUBCLASS != 0 {
            return Some(of.basicsize);
        }
        let items = self.python.memory.read_signed(at, self.python.layout.var_object.ob_size).ok()?;
        of.basicsize.checked_add(items.unsigned_abs().checked_mul(of.itemsize.unsigned_abs())?)
    }

    /// Whether the word at `at` can be a reference count.
    fn has_refcount(&self, at: Addr) -> bool {
        let offset = self.python.layout.object.ob_refcnt.unwrap_or_default();
        let Ok(word) = self.python.memory.read_word(at, offset) else { return false };
        match self.python.layout.encodings.refcounts {
            RefCounts::Word => (1..1 << 40).contains(&word),
            RefCounts::WordOrImmortal => (1..=u64::from(u32::MAX)).contains(&word),
            // Behind the count are a few bits of overflow, zero but for moments, then flags.
            RefCounts::HalfOrImmortal => word & 0xffff_ffff != 0 && word >> 32 & 0xffff == 0,
            RefCounts::Biased => false,
        }
    }
}
