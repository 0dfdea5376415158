//! Who holds what: each object by the one place of the program that leads to it, and by its nearest owner there.
//!
//! A *holder* is the place nearest to a root that has a name and holds more than itself: `botpkg.cache._sessions`, a local variable, the
//! cache of a function. An *owner* is the nearest thing above an object that somebody of the program has named: the instance of a class
//! that it is a part of, or else the holder. So a dict is not just a dict.

pub mod object_samples;
pub mod path_search;
pub mod pinning;
pub mod place_name;
pub mod retained;
pub mod summary;
pub mod why;

mod attribution;

use std::sync::Arc;

use attribution::STANDARD;

use crate::graph::{NodeId, ShortestPaths};
use crate::names::NameReader;
use crate::names::modules::Modules;
use crate::names::threads::read_thread_names;
use crate::object_graph::{Liveness, ObjectGraph};
use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_cpython::heap::walk::HeapWalk;
use memobj_process::error::Error;
use memobj_process::memory::Memory;

/// A place of the program, by its number among all that were met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaceId(pub u32);

/// A place that holds objects, or something that owns them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPlace {
    /// Its name: `botpkg.cache._sessions`.
    pub text: Arc<str>,
    /// The module that it is of; `None` if it is of none.
    pub module: Option<Arc<str>>,
    /// The place that this one is a part of, by its name; `None` for what ways begin with, and for an owner that is a class or a function.
    pub above: Option<PlaceId>,
}

/// Objects and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ObjectTotals {
    /// How many.
    pub objects: u64,
    /// Their sizes, as `sys.getsizeof` gives them.
    pub bytes: u64,
}

impl ObjectTotals {
    fn add(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// Every object of a heap with who holds it.
#[derive(Debug)]
pub struct Holders<'w> {
    graph: ObjectGraph<'w>,
    modules: Modules,
    threads: Vec<Arc<str>>,
    paths: ShortestPaths,
    places: Vec<NamedPlace>,
    holders: Vec<PlaceId>,
    owners: Vec<PlaceId>,
}

impl<'w> Holders<'w> {
    /// Finds them, with `threads` threads for what they can share; the result is the same with any number.
    ///
    /// # Errors
    /// As [`ObjectGraph::read`].
    pub fn find<M: Memory>(
        python: &PythonHeap<'_, M>,
        walked: &'w HeapWalk,
        threads: usize,
    ) -> Result<Self, Error> {
        let graph = ObjectGraph::read(python, walked, threads)?;
        let mut names = NameReader::new(python);
        let modules = Modules::read(&mut names);
        let threads = read_thread_names(&mut names, graph.threads());
        let paths = path_search::find_paths(&graph, &modules, &mut names);
        let mut found = Self {
            graph,
            modules,
            threads,
            paths,
            places: Vec::new(),
            holders: Vec::new(),
            owners: Vec::new(),
        };
        found.attribute(&mut names);
        Ok(found)
    }

    /// The graph.
    #[must_use]
    pub const fn graph(&self) -> &ObjectGraph<'w> {
        &self.graph
    }

    /// The modules.
    #[must_use]
    pub const fn modules(&self) -> &Modules {
        &self.modules
    }

    /// Whether a place's module came with Python: by itself, or as what all of that is told as.
    #[must_use]
    pub fn is_standard(&self, module: &str) -> bool {
        module == STANDARD || self.modules.is_standard(module)
    }

    /// The way to each object.
    #[must_use]
    pub const fn paths(&self) -> &ShortestPaths {
        &self.paths
    }

    /// All places, in the order of their numbers.
    #[must_use]
    pub fn places(&self) -> &[NamedPlace] {
        &self.places
    }

    /// A place.
    #[must_use]
    pub fn place(&self, id: PlaceId) -> Option<&NamedPlace> {
        self.places.get(id.0 as usize)
    }

    /// What holds an object.
    #[must_use]
    pub fn holder(&self, node: NodeId) -> Option<PlaceId> {
        self.holders.get(node.index()).copied()
    }

    /// What owns an object.
    #[must_use]
    pub fn owner(&self, node: NodeId) -> Option<PlaceId> {
        self.owners.get(node.index()).copied()
    }

    /// What each place holds, by its number: every object once.
    #[must_use]
    pub fn holder_totals(&self) -> Vec<ObjectTotals> {
        self.totals(&self.holders)
    }

    /// What each place owns, by its number: every object once.
    #[must_use]
    pub fn owner_totals(&self) -> Vec<ObjectTotals> {
        self.totals(&self.owners)
    }

    fn totals(&self, of: &[PlaceId]) -> Vec<ObjectTotals> {
        let mut totals = vec![ObjectTotals::default(); self.places.len()];
        for (node, place) in (0..).map(NodeId).zip(of) {
            if let Some(total) = totals.get_mut(place.0 as usize) {
                total.add(self.graph.size(node));
            }
        }
        totals
    }

    /// The objects that the program cannot reach, by what keeps them alive and by type; the most bytes first.
    #[must_use]
    pub fn unreachable(&self) -> Vec<(Liveness, crate::object_graph::TypeIndex, ObjectTotals)> {
        let mut totals = std::collections::BTreeMap::<_, ObjectTotals>::new();
        for node in (0..).take(self.graph.objects()).map(NodeId) {
            let standing = self.graph.liveness(node);
            if standing != Liveness::Reachable {
                totals.entry((standing, self.graph.type_index(node))).or_default().add(self.graph.size(node));
            }
        }
        let mut all: Vec<_> =
            totals.into_iter().map(|((standing, of), total)| (standing, of, total)).collect();
        all.sort_by_key(|&(_, _, total)| std::cmp::Reverse((total.bytes, total.objects)));
        all
    }
}
