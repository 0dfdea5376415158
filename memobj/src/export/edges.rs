//! The references of objects as edges with names.
//!
//! Names are those in the program: attributes, variables, modules. An entry of a dict or a list has its number.

use std::sync::Arc;

use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::strings::Strings;
use crate::graph::{NodeId, NodeSet};
use crate::holders::Holders;
use crate::names::{NameReader, Reference, is_name};
use crate::object_graph::{ObjectGraph, RootKind, TypeIndex};

/// What an edge is called, in the terms of V8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Label {
    /// A variable, by the number of its name.
    Context(u32),
    /// An item, by its number in its container.
    Element(u32),
    /// An attribute, by the number of its name.
    Property(u32),
    /// Another part, by the number of its name.
    Internal(u32),
    /// A reference that keeps nothing alive, by the number of its name.
    Weak(u32),
}

impl Label {
    /// The number of its name; that of [`NO_NAME`](Strings::NO_NAME) for an item.
    pub(super) fn name(self) -> u32 {
        match self {
            Self::Element(_) => Strings::NO_NAME,
            Self::Context(name) | Self::Property(name) | Self::Internal(name) | Self::Weak(name) => name,
        }
    }
}

/// Reads edges.
pub(super) struct EdgeReader<'a, 'w, 'p, 'm, M> {
    holders: &'a Holders<'w>,
    names: &'a mut NameReader<'p, 'm, M>,
    /// Dicts whose keys are attributes or variables of a module.
    namespaces: NodeSet,
    /// By type: its node.
    types: Vec<Option<NodeId>>,
    /// Of the present node.
    found: Vec<(Addr, Reference)>,
    labels: Vec<(NodeId, Label)>,
    targets: Vec<NodeId>,
}

impl<'a, 'w, 'p, 'm, M: Memory> EdgeReader<'a, 'w, 'p, 'm, M> {
    pub(super) fn new(holders: &'a Holders<'w>, names: &'a mut NameReader<'p, 'm, M>) -> Self {
        let graph = holders.graph();
        let mut namespaces = NodeSet::new(graph.objects());
        graph.each_object(|node, at| {
            let may_have_one = graph.type_of(node).is_some_and(NameReader::<M>::has_namespace);
            if may_have_one && let Some(dict) = names.namespace(at).and_then(|dict| graph.node(dict)) {
                namespaces.insert(dict);
            }
        });
        let types = graph.types().iter().map(|counted| graph.node(counted.ty.at)).collect();
        Self { holders, names, namespaces, types, found: Vec::new(), labels: Vec::new(), targets: Vec::new() }
    }

    fn graph(&self) -> &'a ObjectGraph<'w> {
        self.holders.graph()
    }

    /// The name of a root, by number.
    pub(super) fn name_root(&mut self, node: NodeId, strings: &mut Strings) -> u32 {
        let (name, _) = self.holders.name_root(self.names, node);
        strings.number(&name)
    }

    /// Calls `each` with the label and the target of every edge of a node: as many as its row in the graph has.
    pub(super) fn visit(
        &mut self,
        node: NodeId,
        strings: &mut Strings,
        mut each: impl FnMut(Label, NodeId) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        self.read_labels(node, strings);
        let row = self.graph().references().targets(node);
        self.targets.clear();
        self.targets.extend_from_slice(row);
        self.targets.sort_unstable();
        let own_type = self.types.get(self.graph().type_index(node).0 as usize).copied().flatten();
        let mut labels = self.labels.iter().peekable();
        for &to in &self.targets {
            while labels.next_if(|(other, _)| *other < to).is_some() {}
            let label = match labels.next_if(|(other, _)| *other == to) {
                Some(&(_, label)) => label,
                None if own_type == Some(to) => Label::Property(strings.number("__class__")),
                None => Label::Internal(strings.number("(reference)")),
            };
            each(label, to)?;
        }
        Ok(())
    }

    /// Reads the names of the references of a node, ordered by target.
    fn read_labels(&mut self, node: NodeId, strings: &mut Strings) {
        let mut found = std::mem::take(&mut self.found);
        let mut keep = |to: Addr, reference: Reference| {
            if !matches!(reference, Reference::Unnamed | Reference::Guessed) {
                found.push((to, reference));
            }
        };
        let graph = self.graph();
        match (graph.address(node), graph.root(node).map(|root| root.kind)) {
            (Some(at), _) => self.names.visit_references(at, keep),
            (None, Some(RootKind::Frame { at, .. })) => self.names.visit_frame(at, keep),
            (None, Some(RootKind::Modules(_))) => {
                for &module in graph.references().targets(node) {
                    let at = graph.address(module).unwrap_or_default();
                    if let Some(module) = self.holders.modules().get(at) {
                        keep(at, Reference::Attribute(Arc::clone(&module.name)));
                    }
                }
            }
            (None, _) => {}
        }
        let is_root = graph.root(node).is_some();
        let is_namespace = self.namespaces.contains(node);
        let mut entries = Counter::default();
        let mut elements = Counter::default();
        self.labels.clear();
        for (to, reference) in found.drain(..) {
            let Some(target) = graph.node(to) else {
                // It still has its place in the order.
                match reference {
                    Reference::Entry(_) => _ = entries.next(),
                    Reference::Element => _ = elements.next(),
                    _ => {}
                }
                continue;
            };
            let mut internal = |name: &str| Label::Internal(strings.number(name));
            let label = match reference {
                Reference::Attribute(name) | Reference::ContextVariable(name)
                    if is_root || is_name(&name) =>
                {
                    Label::Property(strings.number(&name))
                }
                Reference::Local(name) if is_name(&name) => Label::Context(strings.number(&name)),
                Reference::Attribute(_) | Reference::ContextVariable(_) => internal("(attribute)"),
                Reference::Local(_) => internal("(variable)"),
                Reference::Entry(key) => {
                    let number = entries.next();
                    let name = if is_namespace { self.names.key(key) } else { None };
                    match name {
                        Some(name) => Label::Property(strings.number(&name)),
                        None => Label::Element(number),
                    }
                }
                Reference::Index(index) => Label::Element(u32::try_from(index).unwrap_or(u32::MAX)),
                Reference::Element => Label::Element(elements.next()),
                Reference::Key => internal("(key)"),
                Reference::Internal if self.namespaces.contains(target) => internal("__dict__"),
                Reference::Internal => internal("(content)"),
                Reference::Wrapped => internal("(wrapped)"),
                Reference::Defaults => internal("__defaults__"),
                Reference::KeywordDefaults => internal("__kwdefaults__"),
                Reference::Closure => internal("__closure__"),
                Reference::Cached => internal("(cached)"),
                Reference::Awaited(name) => Label::Property(strings.number(name)),
                Reference::ThreadLocals => internal("(dicts of threads)"),
                Reference::Unnamed | Reference::Guessed => continue,
            };
            self.labels.push((target, label));
        }
        self.found = found;
        // Stable: the first name of a reference is the most specific one.
        self.labels.sort_by_key(|&(to, _)| to);
    }

    /// The number of the name of a type.
    pub(super) fn name_type(&self, of: TypeIndex, strings: &mut Strings) -> u32 {
        let name = self.graph().type_at(of).map_or_else(|| "?".into(), |of| of.name());
        strings.number(&name)
    }
}

/// Numbers items.
#[derive(Debug, Default)]
struct Counter(u32);

impl Counter {
    fn next(&mut self) -> u32 {
        let number = self.0;
        self.0 = number.saturating_add(1);
        number
    }
}
