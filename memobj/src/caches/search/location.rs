//! The location of an object: its name, and its owner.

use std::sync::Arc;

use crate::graph::NodeId;
use crate::holders::PlaceId;
use crate::names::Reference;
use memobj_cpython::heap::builtins::Builtin;
use memobj_process::memory::Memory;

use super::{FEW, MAX_HOPS, Search};

/// Objects with more attributes are searched no further.
const MAX_ATTRIBUTES: u64 = 10_000;

/// The owner of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CacheOwner {
    /// This object, which has it as an attribute.
    Instance(NodeId),
    /// This function, which has it as a closure variable.
    Function(NodeId),
    /// A class, which has it as an attribute.
    Class,
}

impl<M: Memory> Search<'_, '_, '_, '_, M> {
    /// Whether a name of the program leads to an object itself.
    pub(super) fn is_top(&self, node: NodeId) -> bool {
        let place = self.place(node);
        place.is_some() && self.holders.paths().parent(node).is_some_and(|before| self.place(before) != place)
    }

    /// The same, or to its cell.
    pub(super) fn is_named(&self, node: NodeId) -> bool {
        if self.is_top(node) {
            return true;
        }
        let before = self.holders.paths().parent(node);
        before.is_some_and(|before| self.is_cell(before) && self.is_top(before))
    }

    fn is_cell(&self, node: NodeId) -> bool {
        self.holders.graph().type_of(node).is_some_and(|of| of.class.is_none() && of.name() == "cell")
    }

    fn place(&self, node: NodeId) -> Option<PlaceId> {
        self.holders.holder(node)
    }

    pub(super) fn owner(&self, node: NodeId) -> Option<CacheOwner> {
        let (graph, paths) = (self.holders.graph(), self.holders.paths());
        let before = paths.parent(node)?;
        if self.is_cell(before) {
            let function = paths.parent(paths.parent(before)?)?;
            let of = graph.type_of(function)?;
            return (of.kind == Some(Builtin::Function)).then_some(CacheOwner::Function(function));
        }
        let is_instance =
            |node: NodeId| graph.type_of(node).is_some_and(|of| of.class.is_some() && !of.is_metatype());
        if is_instance(before) {
            return Some(CacheOwner::Instance(before));
        }
        // In the dict of a class or an instance.
        let above = paths.parent(before)?;
        let of = graph.type_of(above)?;
        let is_dict = graph.type_of(before)?.kind == Some(Builtin::Dict) && !self.is_top(before);
        match is_dict {
            true if of.is_metatype() => Some(CacheOwner::Class),
            true if is_instance(above) => Some(CacheOwner::Instance(above)),
            _ => None,
        }
    }

    /// The class and the attribute of the object that has a cache.
    pub(super) fn attribute(&mut self, node: NodeId) -> Option<Arc<str>> {
        let Some(CacheOwner::Instance(owner)) = self.owner(node) else { return None };
        let graph = self.holders.graph();
        let before = graph.address(self.holders.paths().parent(node)?)?;
        let name = match self.names.reference(before, graph.address(node)?)? {
            Reference::Attribute(name) => name,
            Reference::Entry(key) => self.names.key(key)?,
            _ => return None,
        };
        Some(format!("{}.{name}", graph.type_of(owner)?.name()).into())
    }

    /// The name of an object, from its place on, and its module.
    pub(super) fn name(&mut self, node: NodeId) -> (Arc<str>, Option<Arc<str>>) {
        let paths = self.holders.paths();
        let mut hops = Vec::new();
        let mut at = node;
        while !self.is_top(at) && hops.len() < MAX_HOPS {
            let Some(before) = paths.parent(at) else { break };
            hops.push((before, at));
            at = before;
        }
        let Some(place) = self.holders.holder(at).and_then(|place| self.holders.place(place)) else {
            return ("?".into(), None);
        };
        let mut text = place.text.to_string();
        let mut is_namespace = false;
        for (from, to) in hops.into_iter().rev() {
            is_namespace = self.add_hop(&mut text, from, to, is_namespace);
        }
        (text.into(), place.module.clone())
    }

    /// Adds a reference to a name; returns whether its target has attributes as entries.
    fn add_hop(&mut self, text: &mut String, from: NodeId, to: NodeId, is_namespace: bool) -> bool {
        let graph = self.holders.graph();
        let (Some(from_at), Some(to_at)) = (graph.address(from), graph.address(to)) else { return false };
        let most = if is_namespace { MAX_ATTRIBUTES } else { FEW as u64 };
        let many = self.names.entries(from_at).is_some_and(|entries| entries > most);
        let reference = if many { Some(Reference::Element) } else { self.names.reference(from_at, to_at) };
        match reference {
            Some(Reference::Attribute(name) | Reference::Local(name)) => {
                text.push('.');
                text.push_str(&name);
            }
            Some(Reference::Entry(key)) => match self.names.key(key) {
                Some(key) if is_namespace => {
                    text.push('.');
                    text.push_str(&key);
                }
                Some(key) => {
                    text.push_str("[\"");
                    text.push_str(&key);
                    text.push_str("\"]");
                }
                None => text.push_str("[…]"),
            },
            Some(Reference::Internal) => {
                return graph.type_of(to).is_some_and(|of| of.kind == Some(Builtin::Dict));
            }
            Some(Reference::Index(_) | Reference::Element | Reference::Key) => text.push_str("[…]"),
            _ => {}
        }
        false
    }

    pub(super) fn is_standard(&self, module: Option<&str>) -> bool {
        module.is_some_and(|module| self.holders.is_standard(module))
    }

    /// Whether the owner belongs to the standard library: every logger has a cache.
    pub(super) fn is_of_standard(&self, owner: Option<CacheOwner>) -> bool {
        match owner {
            Some(CacheOwner::Instance(owner)) => {
                self.holders.graph().type_of(owner).is_some_and(|of| self.is_standard(Some(&of.module)))
            }
            Some(CacheOwner::Function(_) | CacheOwner::Class) | None => false,
        }
    }
}

/// The part of a place before its last name, and the last name: `memo` of `a.f closure memo`.
pub(super) fn leaf(place: &str) -> (&str, &str) {
    place.rsplit_once(['.', ' ']).unwrap_or(("", place))
}
