//! Finds the objects that survive from census to census, by identity: an object of CPython never moves.
//!
//! Only two censuses are kept. For each object of the census before there are its address (one bit per eight bytes of the
//! target's memory), its signature, the census in which it was first seen, and what held it: little more than six bytes per
//! object.

use crate::graph::{NodeId, TooLarge};
use crate::object_graph::{ObjectGraph, Ranks};
use memobj_cpython::heap::address_set::{AddressIndex, AddressSet, Cursor};
use memobj_cpython::heap::builtins::Builtin;
use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_cpython::heap::types::Type;
use memobj_cpython::object::memory_ext::MemoryExt;
use memobj_cpython::object::str_header::StrHeader;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

/// Censuses that can be distinguished.
pub const MAX_CENSUSES: usize = 250;

/// Identifies an object together with its address.
type Signature = u32;

/// What holds an object, in the order of how long it lasts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keeper {
    /// Nothing that explains anything.
    #[default]
    Unknown,
    /// A running or suspended function of the program.
    ProgramCall,
    /// One of an installed package.
    LibraryCall,
    /// Something more lasting than a function that runs.
    Lasting,
}

/// Knows the objects of the censuses so far.
#[derive(Debug, Default)]
pub struct Survivors {
    before: Option<Before>,
    censuses: u8,
}

/// The census before.
#[derive(Debug)]
struct Before {
    places: AddressIndex,
    set: AddressSet,
    generations: Generations,
}

/// The objects of a census, with the census in which each was first seen.
#[derive(Debug)]
pub struct Generations {
    census: u8,
    signatures: Vec<Signature>,
    first_seen: Vec<u8>,
    keepers: Vec<Keeper>,
}

impl Generations {
    /// The number of this census, the first being 0.
    pub const fn current(&self) -> usize {
        self.census as usize
    }

    /// The census in which an object was first seen; this one for a node that is no object.
    #[inline]
    pub fn first_seen(&self, node: NodeId) -> usize {
        self.first_seen.get(node.index()).copied().unwrap_or(self.census).into()
    }

    /// What held an object in the census before.
    #[inline]
    pub fn kept_by(&self, node: NodeId) -> Keeper {
        self.keepers.get(node.index()).copied().unwrap_or_default()
    }

    /// Notes what holds each object now, for the next census.
    pub fn note_keepers(&mut self, keeper: impl Fn(NodeId) -> Keeper) {
        for (node, kept_by) in (0..).map(NodeId).zip(&mut self.keepers) {
            *kept_by = keeper(node);
        }
    }

    /// Corrects the census in which an object was first seen.
    pub fn correct(&mut self, node: NodeId, census: usize) {
        if let (Some(first_seen), Ok(census)) = (self.first_seen.get_mut(node.index()), u8::try_from(census))
        {
            *first_seen = census;
        }
    }
}

impl Survivors {
    /// The number of censuses so far.
    pub fn censuses(&self) -> usize {
        self.censuses.into()
    }

    /// Finds the objects of a heap that survived. An object that was freed and replaced by one of the same type, length, beginning and end
    /// at the same address counts as a survivor, so the numbers of survivors are upper bounds.
    ///
    /// # Errors
    /// There are too many objects.
    pub fn identify<M: Memory>(
        &self,
        python: &PythonHeap<'_, M>,
        graph: &ObjectGraph<'_>,
    ) -> Result<Generations, TooLarge> {
        let ranks = graph.ranks();
        let mut generations = Generations {
            census: self.censuses,
            signatures: Vec::with_capacity(ranks.len()),
            first_seen: Vec::with_capacity(ranks.len()),
            keepers: Vec::with_capacity(ranks.len()),
        };
        let before = match &self.before {
            Some(before) => Some((Ranks::new(&before.places, &before.set)?, &before.generations)),
            None => None,
        };
        let mut cursor = Cursor::default();
        let mut next = 0;
        let mut each = |at: Addr| {
            let new = NodeId(next);
            let of = graph.type_of(new);
            next = next.saturating_add(1);
            let signature = of.map_or(0, |of| read_signature(python, at, of));
            let known = before.as_ref().and_then(|(ranks, generations)| {
                let node = ranks.node(at, &mut cursor)?;
                let &first_seen = generations.first_seen.get(node.index())?;
                (generations.signatures.get(node.index()) == Some(&signature))
                    .then(|| (first_seen, generations.kept_by(node)))
            });
            let (first_seen, kept_by) = known.unwrap_or((self.censuses, Keeper::Unknown));
            generations.signatures.push(signature);
            generations.first_seen.push(first_seen);
            generations.keepers.push(kept_by);
        };
        ranks.each(&mut each);
        Ok(generations)
    }

    /// Keeps a census for the next one.
    pub fn keep(&mut self, places: AddressIndex, set: AddressSet, generations: Generations) {
        self.censuses = generations.census.saturating_add(1);
        self.before = Some(Before { places, set, generations });
    }
}

/// The constant part of an object: its type, and for immutable contents their length and beginning.
fn read_signature<M: Memory>(python: &PythonHeap<'_, M>, at: Addr, of: &Type) -> Signature {
    let (memory, layout) = (python.memory, python.layout);
    let word = |offset: u32| memory.read_word(at, offset).unwrap_or(0);
    let fixed = match of.kind {
        Some(Builtin::Str) => text_signature(python, at),
        Some(Builtin::Tuple | Builtin::StructSequence) => {
            mixed(word(layout.var_object.ob_size), word(layout.tuple_object.ob_item))
        }
        Some(Builtin::Int) => mixed(word(layout.var_object.ob_size), word(layout.long_object.ob_digit)),
        Some(Builtin::Bytes) => {
            let length = word(layout.var_object.ob_size);
            ends_signature(memory, at.plus(layout.bytes_object.ob_sval.into()), length)
        }
        Some(Builtin::Number) => word(layout.object.size),
        _ => 0,
    };
    (mixed(of.at.0, fixed) >> 32) as Signature
}

/// The length of a `str`, and its beginning and end.
fn text_signature<M: Memory>(python: &PythonHeap<'_, M>, at: Addr) -> u64 {
    let (memory, layout) = (python.memory, python.layout);
    let Ok(head) = StrHeader::read(memory, layout, at) else { return 0 };
    match head.read_data(memory, layout, at) {
        Ok(data) if head.ready => ends_signature(memory, data, head.length.saturating_mul(head.kind)),
        _ => head.length,
    }
}

/// A number of bytes, and the first and the last eight of them.
fn ends_signature<M: Memory>(memory: &M, first: Addr, bytes: u64) -> u64 {
    let word = |at: Addr| memory.read_u64(at).unwrap_or(0);
    match bytes.checked_sub(8) {
        Some(rest) => mixed(bytes, mixed(word(first), word(first.plus(rest)))),
        // The bytes behind a short text are not its own.
        None => mixed(bytes, word(first) & (1_u64 << (bytes * 8)).wrapping_sub(1)),
    }
}

/// Combines two words; the multiplier is that of Knuth's hash, 2⁶⁴ divided by the golden ratio.
const fn mixed(a: u64, b: u64) -> u64 {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    (a.wrapping_mul(GOLDEN).rotate_left(29) ^ b).wrapping_mul(GOLDEN)
}
