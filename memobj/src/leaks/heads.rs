//! What was added, and to what: the first new object on the shortest way to each object that is new.
//!
//! Each new object has one *head*, so that bytes add up: a session is the head of its attributes, which came with it. What leads to a head
//! was there before: the container that grows.

use std::collections::HashMap;

use crate::graph::{NodeId, Paths};
use crate::holders::Holders;
use crate::links::TypeIndex;
use crate::survivors::Sighting;
use memobj_cpython::heap::types::Type;

use super::history::{Census, Word};

/// Not known yet.
const NONE: u32 = u32::MAX;
/// So many containers of one group are told apart.
const MOST_CONTAINERS: usize = 1024;

/// The heads of one type in a place.
#[derive(Debug, Default)]
pub struct Group {
    /// How many there are.
    pub heads: u64,
    /// The bytes of all that came with them, and theirs.
    pub bytes: u64,
    /// What they were added to, and how many to each. If they are too many not all are here.
    pub containers: HashMap<NodeId, u64>,
    /// How many objects of each type came with them, themselves among them.
    pub types: HashMap<TypeIndex, u64>,
}

impl Group {
    /// The container that most heads were added to, and how many.
    pub fn most(&self) -> Option<(NodeId, u64)> {
        let counts = self.containers.iter().map(|(&node, &count)| (node, count));
        counts.max_by_key(|&(node, count)| (count, node))
    }
}

/// The groups of each place, by the type of their heads.
pub type Groups = HashMap<Word, HashMap<TypeIndex, Group>>;

/// Puts what came after the first census into groups, in the places for which `wanted` is true. What was seen in the last census alone
/// does not count, since it may go again.
#[must_use]
pub fn find(
    holders: &Holders<'_>,
    sighting: &Sighting,
    census: &Census,
    wanted: impl Fn(Word) -> bool,
) -> Groups {
    let links = holders.links();
    let mut heads =
        Heads { paths: holders.paths(), sighting, known: vec![NONE; links.objects()], way: Vec::new() };
    let mut groups = Groups::new();
    for node in (0..).take(links.objects()).map(NodeId) {
        let born = sighting.born(node);
        if born == 0 || born == sighting.census() {
            continue;
        }
        let Some((place, _)) = census.key(holders, node).filter(|&(place, _)| wanted(place)) else {
            continue;
        };
        let head = heads.of(node);
        let group = groups.entry(place).or_default().entry(links.kind(head)).or_default();
        group.bytes = group.bytes.saturating_add(links.size(node));
        *group.types.entry(links.kind(node)).or_default() += 1;
        if head == node {
            group.heads += 1;
            if let Some(container) = holders.paths().before(head)
                && (group.containers.len() < MOST_CONTAINERS || group.containers.contains_key(&container))
            {
                *group.containers.entry(container).or_default() += 1;
            }
        }
    }
    groups
}

struct Heads<'a> {
    paths: &'a Paths,
    sighting: &'a Sighting,
    known: Vec<u32>,
    way: Vec<NodeId>,
}

impl Heads<'_> {
    /// The head of an object that is new.
    fn of(&mut self, node: NodeId) -> NodeId {
        let mut at = node;
        let head = loop {
            match self.known.get(at.index()) {
                Some(&NONE) => {}
                Some(&head) => break NodeId(head),
                None => break at,
            }
            self.way.push(at);
            // A source is no object and counts as old, since it is where ways begin.
            match self.paths.before(at).filter(|&before| self.is_new(before)) {
                Some(before) => at = before,
                None => break at,
            }
        };
        for node in self.way.drain(..) {
            if let Some(place) = self.known.get_mut(node.index()) {
                *place = head.0;
            }
        }
        head
    }

    fn is_new(&self, node: NodeId) -> bool {
        node.index() < self.known.len() && self.sighting.born(node) > 0
    }
}

/// What a type says to who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Telling {
    /// It is of Python itself, as a dict: it may be anything.
    Little,
    /// It came with Python.
    Some,
    /// Somebody of the program named it.
    Much,
}

/// How much a type says.
#[must_use]
pub fn telling(holders: &Holders<'_>, of: &Type) -> Telling {
    if of.module == "builtins" || of.is_metatype() || of.name() == "functools._lru_list_elem" {
        Telling::Little
    } else if of.class.is_none() || holders.modules().is_standard(&of.module) {
        Telling::Some
    } else {
        Telling::Much
    }
}
