//! Objects that are the only ones of their class: the parts that a program is built of, such as its hub and its store.
//!
//! A container may hold them: `app.state`, a list of services. Then the name of the container says little about what they hold, and that of
//! their class says it all. The number of entries is no test: it changes from census to census, and names must not. The standard library
//! has many small classes for its own bookkeeping: those say nothing.

use std::collections::HashSet;
use std::sync::Arc;

use memobj_cpython::heap::types::Type;

use crate::graph::{NodeId, ShortestPaths};
use crate::names::modules::Modules;
use crate::object_graph::ObjectGraph;

/// The most objects that a class may have later in a series of censuses. With more, they are entries of what holds them.
const MAX_LATER: u64 = 16;

/// The names of classes that have a single object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SingleClasses(HashSet<Arc<str>>);

impl SingleClasses {
    /// Finds the classes of the program and of installed packages.
    pub(super) fn find(graph: &ObjectGraph<'_>, modules: &Modules) -> Self {
        let single = graph.types().iter().filter(|of| {
            is_instance(&of.ty) && of.counts.heap.objects == 1 && !modules.is_standard(&of.ty.module)
        });
        Self(single.map(|of| of.ty.name().into()).collect())
    }

    /// Their objects that have a path, those with the shortest first.
    pub(super) fn objects(&self, graph: &ObjectGraph<'_>, paths: &ShortestPaths) -> Vec<NodeId> {
        let types = graph.types().iter();
        let is_single: Vec<bool> = types
            .map(|of| {
                is_instance(&of.ty) && of.counts.heap.objects <= MAX_LATER && self.0.contains(&*of.ty.name())
            })
            .collect();
        let single = |node: &NodeId| {
            is_single.get(graph.type_index(*node).0 as usize) == Some(&true) && paths.reaches(*node)
        };
        let mut found: Vec<NodeId> = graph.object_nodes().filter(single).collect();
        found.sort_by_cached_key(|&node| {
            std::iter::successors(Some(node), |&node| paths.parent(node)).count()
        });
        found
    }
}

/// Whether objects of a type have attributes.
fn is_instance(of: &Type) -> bool {
    of.is_plain_class() && of.module != "builtins"
}
