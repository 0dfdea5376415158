//! The objects of a heap as a graph: each is a node with a type, a size and references, numbered by address.
//!
//! The nodes behind the objects are the GC [`roots`]: running frames, threads, interpreters, static types, and native code, which is known
//! only by references that nothing else accounts for ([`Liveness`]).

mod ranks;
mod refcounts;
pub mod registry;
pub mod roots;
mod unreachable;

use common::record::Liveness;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::graph::{Graph, GraphBuilder, NodeId, TooLarge};
use memobj_cpython::heap::address_set::Cursor;
use memobj_cpython::heap::parallel::{join_all, start};
use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_cpython::heap::referents::{EdgeKind, ReferenceReader};
use memobj_cpython::heap::size::read_size;
use memobj_cpython::heap::types::{Type, TypeRegistry};
use memobj_cpython::heap::walk::{HeapWalk, TypeStats};
use memobj_cpython::stage;
use memobj_process::addr::Addr;
use memobj_process::error::Error;
use memobj_process::memory::Memory;

pub use ranks::Ranks;
pub use registry::Registry;
pub use roots::{GraphThread, Root, RootKind};

/// A type, by its number among all that have objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeIndex(pub u32);

impl TypeIndex {
    /// Of a root, or of an object that could not be read.
    pub const NONE: Self = Self(u32::MAX);
}

/// Marks a size that does not fit into 32 bits.
const LARGE: u32 = u32::MAX;

/// The objects of a heap and their references.
#[derive(Debug)]
pub struct ObjectGraph<'w> {
    ranks: Ranks<'w>,
    references: Graph,
    types: &'w [TypeStats],
    type_indices: Vec<TypeIndex>,
    sizes: Vec<u32>,
    large: BTreeMap<u32, u64>,
    /// Objects that words on the stacks of greenlets point to, by number.
    on_stacks: Vec<NodeId>,
    roots: Vec<Root>,
    threads: Vec<GraphThread>,
    liveness: Vec<Liveness>,
}

impl<'w> ObjectGraph<'w> {
    /// Reads all references between the objects that were found, with `threads` threads; the result is the same with any number.
    ///
    /// # Errors
    /// If there are more references than can be numbered, or a thread panicked.
    pub fn read<M: Memory>(
        python: &PythonHeap<'_, M>,
        walked: &'w HeapWalk,
        threads: usize,
    ) -> Result<Self, Error> {
        let ranks = Ranks::new(&walked.index, &walked.heap).map_err(too_large)?;
        let rows = read_rows(python, walked, &ranks, threads.max(1))?;
        let mut rows = rows.into_iter();
        let mut all = rows.next().map_or_else(|| Rows::new(ranks.len()), Ok).map_err(too_large)?;
        for part in rows {
            all.append(part).map_err(too_large)?;
        }
        let mut graph = Self {
            ranks,
            references: all.edges.build(),
            types: &walked.types,
            type_indices: all.type_indices,
            sizes: all.sizes,
            large: all.large,
            on_stacks: all.on_stacks,
            roots: Vec::new(),
            threads: Vec::new(),
            liveness: Vec::new(),
        };
        graph.add_known_roots(python).map_err(too_large)?;
        graph.classify_unreachable(python).map_err(too_large)?;
        Ok(graph)
    }

    /// The references. Objects come first, then roots.
    pub const fn references(&self) -> &Graph {
        &self.references
    }

    /// The numbers of the objects.
    pub const fn ranks(&self) -> &Ranks<'w> {
        &self.ranks
    }

    /// The number of objects. Nodes from this number on are roots.
    pub const fn objects(&self) -> usize {
        self.ranks.len()
    }

    /// The GC roots; the node of the first one is [`objects`](Self::objects), the others follow.
    pub fn roots(&self) -> &[Root] {
        &self.roots
    }

    /// The root that a node is; `None` for an object.
    pub fn root(&self, node: NodeId) -> Option<&Root> {
        self.roots.get(node.index().checked_sub(self.objects())?)
    }

    /// The nodes of all roots.
    pub fn root_nodes(&self) -> Vec<NodeId> {
        self.roots.iter().map(|root| root.node).collect()
    }

    /// The threads whose states and frames are among the roots.
    pub fn threads(&self) -> &[GraphThread] {
        &self.threads
    }

    /// The address of an object; `None` for a root.
    pub fn address(&self, node: NodeId) -> Option<Addr> {
        self.ranks.address(node)
    }

    /// The object at `at`.
    pub fn node(&self, at: Addr) -> Option<NodeId> {
        self.ranks.node(at, &mut Cursor::default())
    }

    /// All objects, in the order of their numbers.
    pub fn object_nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..).take(self.objects()).map(NodeId)
    }

    /// Calls `each` with all objects, in the order of their numbers.
    pub fn each_object(&self, mut each: impl FnMut(NodeId, Addr)) {
        let mut nodes = (0..).map(NodeId);
        let mut next = |at| nodes.next().into_iter().for_each(|node| each(node, at));
        for part in self.ranks.parts(1) {
            self.ranks.each_in(part, &mut next);
        }
        self.ranks.unaligned().iter().copied().for_each(&mut next);
    }

    /// The type of an object.
    #[inline]
    pub fn type_index(&self, node: NodeId) -> TypeIndex {
        self.type_indices.get(node.index()).copied().unwrap_or(TypeIndex::NONE)
    }

    /// A type.
    pub fn type_at(&self, index: TypeIndex) -> Option<&'w Type> {
        self.types.get(index.0 as usize).map(|counted| &counted.ty)
    }

    /// The type of an object.
    pub fn type_of(&self, node: NodeId) -> Option<&'w Type> {
        self.type_at(self.type_index(node))
    }

    /// All types that have objects, in the order of their [`TypeIndex`].
    pub const fn types(&self) -> &'w [TypeStats] {
        self.types
    }

    /// The size of an object, as `sys.getsizeof` gives it; 0 for a root.
    #[inline]
    pub fn size(&self, node: NodeId) -> u64 {
        match self.sizes.get(node.index()) {
            Some(&LARGE) => self.large.get(&node.0).copied().unwrap_or(u64::from(LARGE)),
            Some(&size) => u64::from(size),
            None => 0,
        }
    }

    /// The liveness of an object.
    pub fn liveness(&self, node: NodeId) -> Liveness {
        self.liveness.get(node.index()).copied().unwrap_or_default()
    }
}

pub(crate) fn too_large(error: TooLarge) -> Error {
    Error::new(stage::HEAP, format!("cannot read the references: {error}"), "take a census without them")
}

/// Consecutive rows of the graph, with the types and sizes of their objects.
struct Rows {
    edges: GraphBuilder,
    type_indices: Vec<TypeIndex>,
    sizes: Vec<u32>,
    large: BTreeMap<u32, u64>,
    on_stacks: Vec<NodeId>,
}

impl Rows {
    fn new(objects: usize) -> Result<Self, TooLarge> {
        Ok(Self {
            edges: GraphBuilder::new(objects, 0)?,
            type_indices: Vec::new(),
            sizes: Vec::new(),
            large: BTreeMap::new(),
            on_stacks: Vec::new(),
        })
    }

    fn append(&mut self, other: Self) -> Result<(), TooLarge> {
        self.edges.append(other.edges)?;
        self.type_indices.extend(other.type_indices);
        self.sizes.extend(other.sizes);
        self.large.extend(other.large);
        self.on_stacks.extend(other.on_stacks);
        Ok(())
    }
}

/// Reads the rows of all objects, in consecutive parts.
fn read_rows<M: Memory>(
    python: &PythonHeap<'_, M>,
    walked: &HeapWalk,
    ranks: &Ranks<'_>,
    threads: usize,
) -> Result<Vec<Rows>, Error> {
    let indices: HashMap<Addr, TypeIndex> =
        walked.types.iter().zip(0..).map(|(counted, index)| (counted.ty.at, TypeIndex(index))).collect();
    let parts = ranks.parts(threads);
    if parts.len() <= 1 {
        let part = parts.first().cloned().unwrap_or_default();
        return Ok(vec![read_part(python, ranks, &indices, part, true).map_err(too_large)?]);
    }
    std::thread::scope(|scope| {
        let last = parts.len().saturating_sub(1);
        let workers = parts.into_iter().enumerate().map(|(number, part)| {
            let indices = &indices;
            start(scope, move || read_part(python, ranks, indices, part, number == last))
        });
        join_all(workers.collect::<Result<_, Error>>()?)?
            .into_iter()
            .map(|rows| rows.map_err(too_large))
            .collect()
    })
}

/// Reads the rows of the objects in a range of bit words; `is_last` adds the unaligned objects.
fn read_part<M: Memory>(
    python: &PythonHeap<'_, M>,
    ranks: &Ranks<'_>,
    indices: &HashMap<Addr, TypeIndex>,
    words: std::ops::Range<usize>,
    is_last: bool,
) -> Result<Rows, TooLarge> {
    let mut rows = Rows::new(ranks.len())?;
    let mut types = TypeRegistry::new(python);
    // By the numbers of this thread's registry.
    let mut known: Vec<TypeIndex> = Vec::new();
    let mut failed = Ok(());
    let mut node = ranks.first(words.start);
    let mut cursor = Cursor::default();
    let mut row = |at: Addr| {
        let id = types.type_of(at);
        let of = id.and_then(|id| types.get(id)).map(Rc::clone);
        let (Some(id), Some(of)) = (id, of) else {
            rows.type_indices.push(TypeIndex::NONE);
            rows.sizes.push(0);
            node = node.saturating_add(1);
            failed = failed.and(rows.edges.end_row());
            return;
        };
        if known.len() <= id.0 as usize {
            let new = types.list().iter().skip(known.len());
            known.extend(new.map(|of| indices.get(&of.at).copied().unwrap_or(TypeIndex::NONE)));
        }
        rows.type_indices.push(known.get(id.0 as usize).copied().unwrap_or(TypeIndex::NONE));
        let size = read_size(python, at, &of).map_or(of.basicsize, |size| size.bytes);
        match u32::try_from(size).ok().filter(|&size| size != LARGE) {
            Some(size) => rows.sizes.push(size),
            None => {
                rows.sizes.push(LARGE);
                rows.large.insert(node, size);
            }
        }
        let (edges, on_stacks) = (&mut rows.edges, &mut rows.on_stacks);
        read_references(&mut types, at, &of, &mut |to, kind| match ranks.node(to, &mut cursor) {
            Some(to) if kind == EdgeKind::Stack => on_stacks.push(to),
            Some(to) => edges.edge(to),
            None => {}
        });
        node = node.saturating_add(1);
        failed = failed.and(rows.edges.end_row());
    };
    ranks.each_in(words, &mut row);
    if is_last {
        ranks.unaligned().iter().copied().for_each(&mut row);
    }
    failed.map(|()| rows)
}

/// Calls `each` with every reference of an object that can be read, as often as it is there.
pub(crate) fn read_references<M: Memory>(
    types: &mut TypeRegistry<'_, '_, M>,
    at: Addr,
    of: &Type,
    // Not generic: a hundred readers would be compiled for each caller.
    mut each: &mut dyn FnMut(Addr, EdgeKind),
) {
    let mut reader = ReferenceReader { python: types.python(), types };
    // Unreadable objects were counted when the heap was walked.
    let _ = reader.read_visited(at, of, &mut each);
    let _ = reader.read_hidden(at, of, &mut each);
    let shows_type = of.visits_type || of.class.as_ref().is_some_and(|class| class.visits_type);
    if of.is_heap() && !shows_type {
        // Every object counts as a reference to a type that was made at run time, whether its `tp_traverse` says so or not
        // (`PyObject_Init` in Objects/object.c).
        each(of.at, EdgeKind::Hidden);
    }
}
