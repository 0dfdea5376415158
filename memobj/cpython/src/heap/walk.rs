//! Walks the heap: every object once, counted by type in four scopes.
//!
//! The objects that the collector tracks are put into a set. Then the memory is swept in the order of addresses: each of them is visited,
//! together with the objects that only it leads to. Objects that the collector does not see are noted on the way, and swept in the same way at
//! the end. Threads take parts of the memory in turn; the result does not depend on which thread took which part.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::layout::encoding::GcLists;
use crate::stage;
use memobj_process::addr::Addr;
use memobj_process::error::Error;
use memobj_process::memory::Memory;

use super::address_set::{AddressIndex, AddressSet, Cursor};
use super::parallel::{Parts, in_parts};
use super::python_heap::PythonHeap;
use super::referents::{EdgeKind, EdgeSink, ReferenceReader};
use super::roots;
use super::size::{Size, read_size};
use super::tracked_blocks::TrackState;
use super::types::{Type, TypeRegistry};

/// Words of bits that a thread takes at once: 64 KiB of the target's memory.
const PART: usize = 128;

/// Bytes of an object that are prefetched: its head, and the members that most have.
const HEAD: u64 = 64;

/// References that are followed for each word of memory at most. Objects do not overlap, so a word holds one, except for a few that
/// several objects share. More means a corrupt or hostile heap.
const MOST_REFERENCES: u64 = 4;

/// A number of objects, and their sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ObjectCount {
    /// Objects.
    pub objects: u64,
    /// Their sizes, as `sys.getsizeof` gives them.
    pub bytes: u64,
    /// Storage that they own beyond that.
    pub overhead_bytes: u64,
}

impl ObjectCount {
    /// Adds an object of this size.
    pub fn add(&mut self, size: Size) {
        self.objects = self.objects.saturating_add(1);
        self.bytes = self.bytes.saturating_add(size.bytes);
        self.overhead_bytes = self.overhead_bytes.saturating_add(size.overhead_bytes);
    }

    /// Adds the objects of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.objects = self.objects.saturating_add(other.objects);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.overhead_bytes = self.overhead_bytes.saturating_add(other.overhead_bytes);
    }
}

/// The objects of a type, in each scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScopedCounts {
    /// Tracked by the collector, as `gc.get_objects` gives them.
    pub tracked: ObjectCount,
    /// Frozen by `gc.freeze`: in no generation.
    pub frozen: ObjectCount,
    /// Tracked and frozen objects, and all that are reached from them by `gc.get_referents`.
    pub reachable: ObjectCount,
    /// Reachable objects, and all that are reached from them and from running code, by any reference.
    pub heap: ObjectCount,
}

impl ScopedCounts {
    fn merge(&mut self, other: &Self) {
        self.tracked.merge(&other.tracked);
        self.frozen.merge(&other.frozen);
        self.reachable.merge(&other.reachable);
        self.heap.merge(&other.heap);
    }
}

/// A type and how many of its objects there are.
#[derive(Debug, Clone)]
pub struct TypeStats {
    /// The type.
    pub ty: Type,
    /// Its objects.
    pub counts: ScopedCounts,
}

/// All objects.
#[derive(Debug)]
pub struct HeapWalk {
    /// The types that have objects, by address.
    pub types: Vec<TypeStats>,
    /// The bits of the sets.
    pub index: AddressIndex,
    /// The objects that the collector tracks.
    pub tracked: AddressSet,
    /// The objects frozen by `gc.freeze`.
    pub frozen: AddressSet,
    /// The objects that are reached by `gc.get_referents`.
    pub reachable: AddressSet,
    /// All objects.
    pub heap: AddressSet,
    /// Objects with an unreadable part.
    pub torn: u64,
    /// References to addresses without an object.
    pub rejected: u64,
    /// Broken links in the collector's lists.
    pub broken_links: u64,
}

/// The data that all threads share.
struct Shared<'p, 'm, M> {
    python: &'p PythonHeap<'m, M>,
    index: AddressIndex,
    tracked: AddressSet,
    frozen: AddressSet,
    reachable: AddressSet,
    /// Targets of references that the collector does not see; some are reached otherwise, too.
    hidden: AddressSet,
    /// References that may still be followed.
    budget: AtomicU64,
}

/// The set that is swept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sweep {
    Tracked,
    Frozen,
    Hidden,
}

/// The findings of a thread.
#[derive(Default)]
struct WorkerResult {
    types: Vec<(Type, ScopedCounts)>,
    rejected: Vec<Addr>,
    torn: u64,
}

/// Walks all objects with `threads` threads; the result is the same with any number.
///
/// # Errors
/// There are more references than the memory has room for, our own memory is short, or a thread panicked.
pub fn walk_heap<M: Memory>(python: &PythonHeap<'_, M>, threads: usize) -> Result<HeapWalk, Error> {
    // Memory that was never written has no objects.
    let written = python.memory.written_regions();
    let index = AddressIndex::new(&written);
    let (tracked, frozen) = (AddressSet::new(&index)?, AddressSet::new(&index)?);
    let mut broken_links = 0_u64;
    for list in python.gc_lists() {
        let into = if list.permanent { &frozen } else { &tracked };
        let mut cursor = Cursor::default();
        let broken = python.read_gc_list(list, |at| into.insert(&index, at, &mut cursor)).broken;
        broken_links = broken_links.saturating_add(broken);
    }
    let hidden = AddressSet::new(&index)?;
    if python.layout.encodings.gc_lists == GcLists::MimallocPages {
        let mut types = TypeRegistry::new(python);
        let mut cursor = Cursor::default();
        let broken = python.read_blocks(|block| {
            let into = match block.state {
                TrackState::Tracked => &tracked,
                TrackState::Frozen => &frozen,
                // A few blocks there are no objects.
                TrackState::Untracked if types.is_object(block.at) => &hidden,
                TrackState::Untracked => return,
            };
            into.insert(&index, block.at, &mut cursor);
        });
        broken_links = broken_links.saturating_add(broken);
    }
    let reachable = tracked.duplicate()?;
    frozen.for_each(&index, |at| {
        reachable.insert(&index, at, &mut Cursor::default());
    });
    let words: u64 = written.iter().map(|region| region.end.0.saturating_sub(region.start.0) / 8).sum();
    let budget = AtomicU64::new(words.saturating_mul(MOST_REFERENCES).saturating_add(1 << 20));
    let shared = Shared { python, index, tracked, frozen, reachable, hidden, budget };

    let mut all = run(&shared, &shared.tracked, Sweep::Tracked, threads)?;
    all.extend(run(&shared, &shared.frozen, Sweep::Frozen, threads)?);
    // Addresses that proved to be no objects leave the sets: a later sweep may meet them again.
    let mut rejected = BTreeSet::new();
    for at in all.iter_mut().flat_map(|found| found.rejected.drain(..)) {
        rejected.insert(at);
        for set in [&shared.tracked, &shared.frozen, &shared.reachable] {
            set.remove(&shared.index, at);
        }
    }
    let torn_roots = {
        let mut types = TypeRegistry::new(python);
        let mut reader = ReferenceReader { python, types: &mut types };
        let mut cursor = Cursor::default();
        roots::read_roots(&mut reader, &mut |to, _| {
            shared.hidden.insert(&shared.index, to, &mut cursor);
        })
    };
    let heap = shared.reachable.duplicate()?;
    let hidden = run(&shared, &heap, Sweep::Hidden, threads)?;
    for at in hidden.iter().flat_map(|found| &found.rejected) {
        rejected.insert(*at);
        heap.remove(&shared.index, *at);
    }
    all.extend(hidden);
    if shared.budget.load(Ordering::Relaxed) == 0 {
        // The counts so far are meaningless.
        return Err(Error::new(
            stage::HEAP,
            "corrupt heap: more references than its memory can hold (objects overlap)",
            "other code wrote over its objects; gdb shows the memory",
        ));
    }
    let torn = all.iter().map(|found| found.torn).fold(torn_roots, u64::saturating_add);
    Ok(HeapWalk {
        types: merge_types(all),
        index: shared.index,
        tracked: shared.tracked,
        frozen: shared.frozen,
        reachable: shared.reachable,
        heap,
        torn,
        rejected: rejected.len() as u64,
        broken_links,
    })
}

/// The types that all threads found, each once.
fn merge_types(all: Vec<WorkerResult>) -> Vec<TypeStats> {
    let mut types: BTreeMap<Addr, TypeStats> = BTreeMap::new();
    for (ty, counts) in all.into_iter().flat_map(|found| found.types) {
        if counts == ScopedCounts::default() {
            continue;
        }
        match types.entry(ty.at) {
            Entry::Occupied(mut entry) => entry.get_mut().counts.merge(&counts),
            Entry::Vacant(entry) => {
                entry.insert(TypeStats { ty, counts });
            }
        }
    }
    let mut types: Vec<TypeStats> = types.into_values().collect();
    for counted in &mut types {
        // Objects of an earlier sweep are not found again.
        let counts = &mut counted.counts;
        counts.reachable.merge(&counts.tracked);
        counts.reachable.merge(&counts.frozen);
        counts.heap.merge(&counts.reachable);
    }
    types
}

/// Sweeps with some threads. `set` is swept; for hidden objects it has all that were found so far.
fn run<M: Memory>(
    shared: &Shared<'_, '_, M>,
    set: &AddressSet,
    sweep: Sweep,
    threads: usize,
) -> Result<Vec<WorkerResult>, Error> {
    // The first part has the unaligned objects, too.
    in_parts(threads, set.words().max(1), PART, |parts| Worker::new(shared, set, sweep).work(parts))
}

/// Follows references: to objects that were not reached before.
struct FollowEdges<'a> {
    reached: &'a AddressSet,
    index: &'a AddressIndex,
    stack: &'a mut Vec<Addr>,
    cursor: Cursor,
    /// References, and words that were none.
    words: u64,
}

impl EdgeSink for FollowEdges<'_> {
    #[inline]
    fn edge(&mut self, to: Addr, _: EdgeKind) {
        self.words = self.words.wrapping_add(1);
        if !to.is_null() && self.reached.insert(self.index, to, &mut self.cursor) {
            self.stack.push(to);
        }
    }
}

/// Notes references that the collector does not see.
struct NoteHidden<'a> {
    reached: &'a AddressSet,
    hidden: &'a AddressSet,
    index: &'a AddressIndex,
    cursor: Cursor,
    /// As those of [`FollowEdges`].
    words: u64,
}

impl EdgeSink for NoteHidden<'_> {
    #[inline]
    fn edge(&mut self, to: Addr, _: EdgeKind) {
        self.words = self.words.wrapping_add(1);
        if !to.is_null() && !self.reached.contains(self.index, to, &mut self.cursor) {
            self.hidden.insert(self.index, to, &mut self.cursor);
        }
    }
}

/// A thread's own part of the work.
struct Worker<'s, 'p, 'm, M> {
    shared: &'s Shared<'p, 'm, M>,
    set: &'s AddressSet,
    sweep: Sweep,
    types: TypeRegistry<'p, 'm, M>,
    counts: Vec<ScopedCounts>,
    /// Objects that are still to be visited.
    stack: Vec<Addr>,
    rejected: Vec<Addr>,
    torn: u64,
    /// References that were followed since the shared budget was last reduced.
    followed: u64,
}

impl<'s, 'p, 'm, M: Memory> Worker<'s, 'p, 'm, M> {
    fn new(shared: &'s Shared<'p, 'm, M>, set: &'s AddressSet, sweep: Sweep) -> Self {
        Self {
            shared,
            set,
            sweep,
            types: TypeRegistry::new(shared.python),
            counts: Vec::new(),
            stack: Vec::new(),
            rejected: Vec::new(),
            torn: 0,
            followed: 0,
        }
    }

    /// Walks parts of the memory until none is left.
    fn work(mut self, parts: Parts<'_>) -> WorkerResult {
        let mut batch = Vec::new();
        let (swept, except) = match self.sweep {
            Sweep::Hidden => (&self.shared.hidden, Some(self.set)),
            Sweep::Tracked | Sweep::Frozen => (self.set, None),
        };
        for part in parts {
            if self.shared.budget.load(Ordering::Relaxed) == 0 {
                break;
            }
            if part.start == 0 {
                batch.extend(swept.unaligned());
            }
            swept.for_each_in(&self.shared.index, part, except, |at| batch.push(at));
            self.shared.python.memory.prefetch(&mut batch.iter().map(|at| *at..at.plus(HEAD)));
            for at in batch.drain(..) {
                if self.shared.budget.load(Ordering::Relaxed) == 0 {
                    break;
                }
                if self.sweep == Sweep::Hidden {
                    self.push_hidden(at);
                } else {
                    self.visit(at, true);
                }
                while let Some(at) = self.stack.pop() {
                    self.visit(at, false);
                }
            }
        }
        let types = self.types.list().iter().map(|ty| Type::clone(ty)).zip(self.counts).collect();
        WorkerResult { types, rejected: self.rejected, torn: self.torn }
    }

    fn push_hidden(&mut self, at: Addr) {
        if self.set.insert(&self.shared.index, at, &mut Cursor::default()) {
            self.stack.push(at);
        }
    }

    /// Counts the object at `at`, which was just swept or else reached from one, and follows what it refers to.
    #[inline]
    fn visit(&mut self, at: Addr, swept: bool) {
        let Some(id) = self.types.type_of(at) else {
            self.rejected.push(at);
            return;
        };
        let Some(ty) = self.types.get(id).map(Rc::clone) else { return };
        self.counts.resize(self.types.list().len(), ScopedCounts::default());
        if self.counts.get(id.0 as usize) == Some(&ScopedCounts::default()) {
            self.note_type(ty.at);
        }

        let mut torn = false;
        let size = read_size(self.shared.python, at, &ty).unwrap_or_else(|_| {
            torn = true;
            Size { bytes: ty.basicsize, overhead_bytes: 0 }
        });
        if let Some(counts) = self.counts.get_mut(id.0 as usize) {
            let scope = match (self.sweep, swept) {
                (Sweep::Tracked, true) => &mut counts.tracked,
                (Sweep::Frozen, true) => &mut counts.frozen,
                (Sweep::Tracked | Sweep::Frozen, false) => &mut counts.reachable,
                (Sweep::Hidden, _) => &mut counts.heap,
            };
            scope.add(size);
        }

        let mut reader = ReferenceReader { python: self.shared.python, types: &mut self.types };
        let index = &self.shared.index;
        let reached = if self.sweep == Sweep::Hidden { self.set } else { &self.shared.reachable };
        let mut follow =
            FollowEdges { reached, index, stack: &mut self.stack, cursor: Cursor::default(), words: 0 };
        torn |= reader.read_visited(at, &ty, &mut follow).is_err();
        let followed = if self.sweep == Sweep::Hidden {
            torn |= reader.read_hidden(at, &ty, &mut follow).is_err();
            follow.words
        } else {
            let hidden = &self.shared.hidden;
            let mut note = NoteHidden { reached, hidden, index, cursor: follow.cursor, words: follow.words };
            torn |= reader.read_hidden(at, &ty, &mut note).is_err();
            note.words
        };
        self.torn = self.torn.saturating_add(u64::from(torn));
        self.followed = self.followed.saturating_add(followed);
        if self.followed > 1 << 16 {
            self.spend_budget();
        }
    }

    /// Reduces the shared budget by the references followed; ends the work when it is used up.
    fn spend_budget(&mut self) {
        let spend = |budget: u64| Some(budget.saturating_sub(self.followed));
        let _ = self.shared.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend);
        self.followed = 0;
        if self.shared.budget.load(Ordering::Relaxed) == 0 {
            self.stack.clear();
        }
    }

    /// Notes a type as an object at its first instance. Types are also met through words that prove to be no references; those are not noted,
    /// since which thread meets them is a matter of chance.
    fn note_type(&mut self, at: Addr) {
        if self.sweep == Sweep::Hidden {
            self.push_hidden(at);
        } else {
            self.shared.hidden.insert(&self.shared.index, at, &mut Cursor::default());
        }
    }
}
