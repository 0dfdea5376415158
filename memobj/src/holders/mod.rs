//! Holders and owners of objects.
//!
//! A *holder* is the place nearest to a root that has a name and holds more than itself: `botpkg.cache._sessions`, a local variable, the
//! cache of a function. An *owner* is the nearest named thing above an object: the instance of a class of the program that it is a part of,
//! or else the holder. So a dict is not just a dict.

pub mod descriptors;
pub mod heap_tree;
pub mod object_samples;
pub mod path_search;
pub mod pinning;
pub mod place_name;
pub mod retained;
pub mod single_objects;
pub mod summary;
pub mod why;

mod attribution;
mod calls;
mod definitions;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

pub use attribution::STANDARD;
use common::record::{Liveness, UnreachableTotal};
use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_cpython::heap::size::Size;
use memobj_cpython::heap::walk::{HeapWalk, ObjectCount};
use memobj_process::error::Error;
use memobj_process::memory::Memory;

use path_search::{FoundPaths, find_paths};
use place_name::PlaceNamer;
use single_objects::SingleClasses;

use crate::graph::{NodeId, ShortestPaths};
use crate::names::NameReader;
use crate::names::modules::Modules;
use crate::names::threads::read_thread_names;
use crate::object_graph::ObjectGraph;
use crate::survivors::Keeper;

/// A place, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaceId(pub u32);

/// A place in the program that holds or owns objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPlace {
    /// Its name: `botpkg.cache._sessions`.
    pub text: Arc<str>,
    /// Its module, if it has one.
    pub module: Option<Arc<str>>,
    /// The place that this one is a part of by name; `None` for a root, and for an owner that is a class or a function.
    pub above: Option<PlaceId>,
}

/// The holder and the owner of every object.
#[derive(Debug)]
pub struct Holders<'w> {
    graph: ObjectGraph<'w>,
    modules: Modules,
    threads: Vec<Arc<str>>,
    paths: ShortestPaths,
    keepers: Vec<Keeper>,
    places: Vec<NamedPlace>,
    holders: Vec<PlaceId>,
    owners: Vec<PlaceId>,
    single: SingleClasses,
}

impl<'w> Holders<'w> {
    /// Finds the holders, with `threads` threads where work can be shared; the result is the same with any number.
    ///
    /// # Errors
    /// As [`ObjectGraph::read`].
    pub fn find<M: Memory>(
        python: &PythonHeap<'_, M>,
        walked: &'w HeapWalk,
        threads: usize,
    ) -> Result<Self, Error> {
        Ok(Self::find_in(python, ObjectGraph::read(python, walked, threads)?, |_| Keeper::Unknown, None))
    }

    /// Finds the holders in a graph. `kept_by` is what [`keeper`](Self::keeper) was in the census before, and `single` what
    /// [`single_classes`](Self::single_classes) was in the first one.
    pub fn find_in<M: Memory>(
        python: &PythonHeap<'_, M>,
        graph: ObjectGraph<'w>,
        kept_by: impl Fn(NodeId) -> Keeper,
        single: Option<&SingleClasses>,
    ) -> Self {
        let mut names = NameReader::new(python);
        let modules = Modules::read(&mut names);
        let threads = read_thread_names(&mut names, graph.threads());
        let FoundPaths { paths, starts, keepers, loops } = find_paths(&graph, &modules, &mut names, kept_by);
        let single = single.map_or_else(|| SingleClasses::find(&graph, &modules), SingleClasses::clone);
        let single_objects = [loops, single.objects(&graph, &paths)].concat();
        let mut found = Self {
            graph,
            modules,
            threads,
            paths,
            keepers,
            places: Vec::new(),
            holders: Vec::new(),
            owners: Vec::new(),
            single,
        };
        found.attribute(&mut names, &starts, &single_objects);
        found
    }

    /// The object graph.
    pub const fn graph(&self) -> &ObjectGraph<'w> {
        &self.graph
    }

    /// The loaded modules.
    pub const fn modules(&self) -> &Modules {
        &self.modules
    }

    /// The classes that have a single object, as far as names depend on that.
    pub const fn single_classes(&self) -> &SingleClasses {
        &self.single
    }

    /// Whether a place belongs to the standard library, or is its summary row.
    pub fn is_standard(&self, module: &str) -> bool {
        module == STANDARD || self.modules.is_standard(module)
    }

    /// The path to each object.
    pub const fn paths(&self) -> &ShortestPaths {
        &self.paths
    }

    /// What the path to an object begins at.
    #[inline]
    pub fn keeper(&self, node: NodeId) -> Keeper {
        let keeper = self.keepers.get(node.index()).filter(|_| self.paths.reaches(node));
        keeper.copied().unwrap_or_default()
    }

    /// All places, in the order of their numbers.
    pub fn places(&self) -> &[NamedPlace] {
        &self.places
    }

    /// A place.
    pub fn place(&self, id: PlaceId) -> Option<&NamedPlace> {
        self.places.get(id.0 as usize)
    }

    /// The holder of an object.
    pub fn holder(&self, node: NodeId) -> Option<PlaceId> {
        self.holders.get(node.index()).copied()
    }

    /// The owner of an object.
    pub fn owner(&self, node: NodeId) -> Option<PlaceId> {
        self.owners.get(node.index()).copied()
    }

    /// The name of a root, and its module.
    pub fn name_root<M: Memory>(
        &self,
        names: &mut NameReader<'_, '_, M>,
        node: NodeId,
    ) -> (Arc<str>, Option<Arc<str>>) {
        let (graph, modules, threads) = (&self.graph, &self.modules, &self.threads);
        PlaceNamer { graph, modules, threads, names }.root(node)
    }

    /// Totals by holder: every object once.
    pub fn holder_totals(&self) -> Vec<ObjectCount> {
        self.totals(&self.holders)
    }

    /// Totals by owner: every object once.
    pub fn owner_totals(&self) -> Vec<ObjectCount> {
        self.totals(&self.owners)
    }

    fn size(&self, node: NodeId) -> Size {
        Size { bytes: self.graph.size(node), overhead_bytes: 0 }
    }

    fn totals(&self, of: &[PlaceId]) -> Vec<ObjectCount> {
        let mut totals = vec![ObjectCount::default(); self.places.len()];
        for (node, place) in (0..).map(NodeId).zip(of) {
            if let Some(total) = totals.get_mut(place.0 as usize) {
                total.add(self.size(node));
            }
        }
        totals
    }

    /// The unreachable objects by liveness and type, the most bytes first.
    pub fn unreachable(&self) -> Vec<UnreachableTotal> {
        let mut totals: BTreeMap<_, ObjectCount> = BTreeMap::new();
        for node in self.graph.object_nodes() {
            let liveness = self.graph.liveness(node);
            if liveness != Liveness::Held {
                totals.entry((liveness, self.graph.type_index(node))).or_default().add(self.size(node));
            }
        }
        let row = |((cause, of), total): (_, ObjectCount)| UnreachableTotal {
            name: self.graph.type_at(of).map_or_else(|| "?".into(), |of| of.name().into()),
            cause,
            count: total.objects,
            size_bytes: total.bytes,
        };
        let mut all: Vec<UnreachableTotal> = totals.into_iter().map(row).collect();
        all.sort_by_key(|row| Reverse((row.size_bytes, row.count)));
        all
    }
}
