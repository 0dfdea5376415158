//! What was added, and to what: the first new object on the shortest way to each object that is new.
//!
//! Each new object has one *head*, so that bytes add up: a session is the head of its attributes, which came with it. What leads to a head
//! was there before: the container that grows.

use std::collections::HashMap;

use crate::graph::{NodeId, ShortestPaths};
use crate::holders::Holders;
use crate::object_graph::TypeIndex;
use crate::survivors::Generations;
use memobj_cpython::heap::types::Type;

use super::history::{NameId, PlaceIds};

/// Not known yet.
const NONE: u32 = u32::MAX;
/// So many containers of one group are told apart.
const MAX_CONTAINERS: usize = 1024;

/// The heads of one type in a place.
#[derive(Debug, Default)]
pub struct RootGroup {
    /// How many there are.
    pub roots: u64,
    /// The bytes of all that came with them, and theirs.
    pub bytes: u64,
    /// What they were added to, and how many to each. If they are too many not all are here.
    pub containers: HashMap<NodeId, u64>,
    /// How many objects of each type came with them, themselves among them.
    pub types: HashMap<TypeIndex, u64>,
}

impl RootGroup {
    /// The container that most heads were added to, and how many.
    pub fn most(&self) -> Option<(NodeId, u64)> {
        let counts = self.containers.iter().map(|(&node, &count)| (node, count));
        counts.max_by_key(|&(node, count)| (count, node))
    }
}

/// The groups of each place, by the type of their heads.
pub type RootGroups = HashMap<NameId, HashMap<TypeIndex, RootGroup>>;

/// Puts what came after the first census into groups, in the places for which `wanted` is true. What was seen in the last census alone
/// does not count, since it may go again.
#[must_use]
pub fn find(
    holders: &Holders<'_>,
    generations: &Generations,
    ids: &PlaceIds,
    wanted: impl Fn(NameId) -> bool,
) -> RootGroups {
    let links = holders.graph();
    let mut roots = RootFinder {
        paths: holders.paths(),
        generations,
        known: vec![NONE; links.objects()],
        way: Vec::new(),
    };
    let mut groups = RootGroups::new();
    for node in (0..).take(links.objects()).map(NodeId) {
        let first_seen = generations.first_seen(node);
        if first_seen == 0 || first_seen == generations.current() {
            continue;
        }
        let Some((place, _)) = ids.key(holders, node).filter(|&(place, _)| wanted(place)) else {
            continue;
        };
        let root = roots.of(node);
        let group = groups.entry(place).or_default().entry(links.type_index(root)).or_default();
        group.bytes = group.bytes.saturating_add(links.size(node));
        *group.types.entry(links.type_index(node)).or_default() += 1;
        if root == node {
            group.roots += 1;
            if let Some(container) = holders.paths().parent(root)
                && (group.containers.len() < MAX_CONTAINERS || group.containers.contains_key(&container))
            {
                *group.containers.entry(container).or_default() += 1;
            }
        }
    }
    groups
}

struct RootFinder<'a> {
    paths: &'a ShortestPaths,
    generations: &'a Generations,
    known: Vec<u32>,
    way: Vec<NodeId>,
}

impl RootFinder<'_> {
    /// The head of an object that is new.
    fn of(&mut self, node: NodeId) -> NodeId {
        let mut at = node;
        let root = loop {
            match self.known.get(at.index()) {
                Some(&NONE) => {}
                Some(&root) => break NodeId(root),
                None => break at,
            }
            self.way.push(at);
            // A source is no object and counts as old, since it is where ways begin.
            match self.paths.parent(at).filter(|&before| self.is_new(before)) {
                Some(before) => at = before,
                None => break at,
            }
        };
        for node in self.way.drain(..) {
            if let Some(place) = self.known.get_mut(node.index()) {
                *place = root.0;
            }
        }
        root
    }

    fn is_new(&self, node: NodeId) -> bool {
        node.index() < self.known.len() && self.generations.first_seen(node) > 0
    }
}

/// What a type says to who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Specificity {
    /// It is of Python itself, as a dict: it may be anything.
    Builtin,
    /// It came with Python.
    Stdlib,
    /// Somebody of the program named it.
    User,
}

/// How much a type says.
#[must_use]
pub fn specificity(holders: &Holders<'_>, of: &Type) -> Specificity {
    if of.module == "builtins" || of.is_metatype() || of.name() == "functools._lru_list_elem" {
        Specificity::Builtin
    } else if of.class.is_none() || holders.modules().is_standard(&of.module) {
        Specificity::Stdlib
    } else {
        Specificity::User
    }
}
