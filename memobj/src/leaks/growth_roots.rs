//! Growth roots: the first new object on the shortest path to each new object.
//!
//! Each new object has one growth root, so bytes add up: a session is the growth root of its attributes, which were created with it.
//! The object before a growth root is old: it is the container that grows. In a module that was imported meanwhile, what came with the import
//! is old. So is a container that a program makes anew from the items of the one before, with one more: the items are the growth.

use std::collections::{HashMap, HashSet};

use crate::graph::{NodeId, ShortestPaths};
use crate::holders::Holders;
use crate::object_graph::{ObjectGraph, TypeIndex};
use crate::survivors::Generations;
use memobj_cpython::heap::builtins::Content;
use memobj_cpython::heap::types::Type;

use super::history::{NameId, PlaceIds};

/// The growth root is not known yet.
const NONE: u32 = u32::MAX;
/// Containers that a group distinguishes.
const MAX_CONTAINERS: usize = 1024;
/// Containers in each other that are made anew.
const MAX_REMADE: usize = 2;
/// Growth roots of a group that are listed.
const MAX_SAMPLES: usize = 1 << 14;

/// The growth roots of one type in a place.
#[derive(Debug, Default)]
pub struct RootGroup {
    /// Their number.
    pub roots: u64,
    /// Their bytes, with all objects below them.
    pub bytes: u64,
    /// The containers that they were added to, with counts; not all if there are too many.
    pub containers: HashMap<NodeId, u64>,
    /// New objects by type, the growth roots among them.
    pub types: HashMap<TypeIndex, u64>,
    /// Some of the growth roots.
    pub samples: Vec<NodeId>,
    /// The censuses in which they were first seen.
    generations: HashSet<usize>,
}

impl RootGroup {
    /// The container with most growth roots, and their number.
    pub fn most(&self) -> Option<(NodeId, u64)> {
        let counts = self.containers.iter().map(|(&node, &count)| (node, count));
        counts.max_by_key(|&(node, count)| (count, node))
    }

    /// Whether there are growth roots of most censuses. A chain has one, from which the others hang.
    pub fn is_spread(&self, generations: &Generations) -> bool {
        // Of the first census no object is new, and those of the last do not count.
        let possible = generations.current().saturating_sub(1);
        self.generations.len().saturating_mul(2) >= possible
    }
}

/// The groups of each place, by type.
pub type RootGroups = HashMap<NameId, HashMap<TypeIndex, RootGroup>>;

/// The objects that were added after the first census, in the `wanted` places. Objects that only the last census has do not count: they
/// may be freed again.
pub(super) fn new_objects(
    holders: &Holders<'_>,
    generations: &Generations,
    ids: &PlaceIds,
    wanted: impl Fn(NameId) -> bool,
) -> impl Iterator<Item = (NodeId, NameId)> {
    holders.graph().object_nodes().filter_map(move |node| {
        let first_seen = generations.first_seen(node);
        let counts = first_seen > 0 && first_seen != generations.current();
        let (place, _) = Some(node).filter(|_| counts).and_then(|node| ids.key(holders, node))?;
        wanted(place).then_some((node, place))
    })
}

/// Groups the new objects in the `wanted` places by their growth roots.
pub fn find(
    holders: &Holders<'_>,
    generations: &Generations,
    ids: &PlaceIds,
    imported: &HashSet<NodeId>,
    wanted: impl Fn(NameId) -> bool,
) -> RootGroups {
    let graph = holders.graph();
    let mut roots = RootFinder::new(holders, generations, imported);
    let mut groups = RootGroups::new();
    for (node, place) in new_objects(holders, generations, ids, wanted) {
        let root = roots.root(node);
        let group = groups.entry(place).or_default().entry(ids.type_index(graph, root)).or_default();
        group.bytes = group.bytes.saturating_add(graph.size(node));
        *group.types.entry(ids.type_index(graph, node)).or_default() += 1;
        if root == node {
            group.roots += 1;
            group.generations.insert(generations.first_seen(node));
            if group.samples.len() < MAX_SAMPLES {
                group.samples.push(root);
            }
            if let Some(container) = holders.paths().parent(root)
                && (group.containers.len() < MAX_CONTAINERS || group.containers.contains_key(&container))
            {
                *group.containers.entry(container).or_default() += 1;
            }
        }
    }
    groups
}

/// Finds the growth root of each new object.
pub(super) struct RootFinder<'a> {
    graph: &'a ObjectGraph<'a>,
    paths: &'a ShortestPaths,
    generations: &'a Generations,
    imported: &'a HashSet<NodeId>,
    known: Vec<u32>,
    /// Whether new containers were made of older items.
    remade: HashMap<NodeId, bool>,
    path: Vec<NodeId>,
}

impl<'a> RootFinder<'a> {
    /// Starts without known growth roots; `imported` are the modules that were imported after the first census.
    pub fn new(
        holders: &'a Holders<'_>,
        generations: &'a Generations,
        imported: &'a HashSet<NodeId>,
    ) -> Self {
        let known = vec![NONE; holders.graph().objects()];
        let (graph, paths) = (holders.graph(), holders.paths());
        Self { graph, paths, generations, imported, known, remade: HashMap::new(), path: Vec::new() }
    }

    /// The growth root of a new object.
    pub fn root(&mut self, node: NodeId) -> NodeId {
        let mut at = node;
        let mut root = loop {
            match self.known.get(at.index()) {
                Some(&NONE) => {}
                Some(&root) => break NodeId(root),
                None => break at,
            }
            self.path.push(at);
            // A root is no object and counts as old: paths begin there.
            match self.paths.parent(at).filter(|&before| self.is_new(before)) {
                Some(before) if !self.is_remade(before) => at = before,
                _ => break at,
            }
        };
        // An import may last from one census to the next.
        let comes_later = |node: NodeId, module: NodeId| {
            self.generations.first_seen(node) > self.generations.first_seen(module).saturating_add(1)
        };
        for node in self.path.drain(..).rev() {
            if self.imported.contains(&root) && comes_later(node, root) {
                root = node;
            }
            if let Some(place) = self.known.get_mut(node.index()) {
                *place = root.0;
            }
        }
        root
    }

    /// Whether much of what a container holds is older than the container itself, or was made anew in this way with it.
    fn is_remade(&mut self, node: NodeId) -> bool {
        self.is_remade_within(node, MAX_REMADE)
    }

    fn is_remade_within(&mut self, node: NodeId, depth: usize) -> bool {
        if let Some(&known) = self.remade.get(&node) {
            return known;
        }
        let kind = self.graph.type_of(node).and_then(|of| of.kind);
        let is_container =
            kind.is_some_and(|kind| !matches!(kind.content(), Content::Value | Content::Other));
        let targets = self.graph.references().targets(node).iter().copied().filter(|_| is_container);
        let held: Vec<NodeId> = targets.filter(|&to| self.paths.parent(to) == Some(node)).collect();
        let first_seen = self.generations.first_seen(node);
        let older = held.iter().filter(|&&to| {
            self.generations.first_seen(to) < first_seen || depth > 0 && self.is_remade_within(to, depth - 1)
        });
        let older = older.count();
        let is_remade = are_enough(older, held.len());
        self.remade.insert(node, is_remade);
        is_remade
    }

    fn is_new(&self, node: NodeId) -> bool {
        node.index() < self.known.len() && self.generations.first_seen(node) > 0
    }
}

/// Whether enough objects in a container are older than the container to show that it was made from another one: a third of them. The others
/// may be new keys.
pub(super) const fn are_enough(older: usize, held: usize) -> bool {
    older > 0 && older.saturating_mul(3) >= held
}

/// Whether a type is a class of the program; otherwise it is a builtin, or of the standard library or C code.
pub fn is_user_class(holders: &Holders<'_>, of: &Type) -> bool {
    let is_builtin = of.module == "builtins" || of.is_metatype() || of.name() == "functools._lru_list_elem";
    !is_builtin && of.class.is_some() && !holders.modules().is_standard(&of.module)
}
