//! The tree of holders: the dominator tree, whose objects are joined by module, holder and type.
//!
//! Each object is in the node of its path once, so the tree adds up to the heap. Below a module come its holders, below a holder the types
//! of its objects, and below a type what objects of that type retain: other types, or other holders.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use common::record::{HeapNode, HeapNodeKind, Omitted};

use super::retained::RetainedSizes;
use super::{Holders, PlaceId};
use crate::graph::NodeId;
use crate::graph::dominators::Visit;
use crate::object_graph::TypeIndex;

/// A node is listed if it has one part in this many of all bytes.
const LISTED_PARTS: u64 = 1000;
/// Levels of the tree; what is deeper belongs to the last one.
const MAX_DEPTH: u32 = 48;
/// Nodes, small ones included; what would need more belongs to the node above. About 100 MB.
const MAX_NODES: usize = 1 << 20;

/// What distinguishes a node from the others below the same one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Label {
    Module(Arc<str>),
    Holder(PlaceId),
    Type(TypeIndex),
}

#[derive(Debug)]
struct Node {
    above: usize,
    depth: u32,
    label: Option<Label>,
    /// The holder that it is in; `None` for modules and other groups, in which the holders of all places may be.
    holder: Option<PlaceId>,
    count: u64,
    size_bytes: u64,
}

/// The tree, with all nodes.
#[derive(Debug)]
pub struct HeapTree<'a, 'w> {
    holders: &'a Holders<'w>,
    /// By type: the first type of the same name.
    types: Vec<TypeIndex>,
    nodes: Vec<Node>,
    below: HashMap<(usize, Label), usize>,
}

impl<'a, 'w> HeapTree<'a, 'w> {
    /// Makes the tree.
    pub fn new(holders: &'a Holders<'w>, retained: &RetainedSizes) -> Self {
        let heap = Node { above: 0, depth: 0, label: None, holder: None, count: 0, size_bytes: 0 };
        let mut first: HashMap<String, TypeIndex> = HashMap::new();
        let types = (0..).map(TypeIndex).zip(holders.graph().types());
        let types = types.map(|(index, of)| *first.entry(of.ty.name()).or_insert(index)).collect();
        let mut tree = Self { holders, types, nodes: vec![heap], below: HashMap::new() };
        // The node of each object on the path of the walk.
        let mut path = vec![0];
        retained.walk(|node, visit| match visit {
            Visit::Enter => {
                let above = path.last().copied().unwrap_or(0);
                path.push(tree.add(above, node));
            }
            Visit::Leave => {
                path.pop();
            }
        });
        for node in holders.graph().object_nodes().filter(|&node| !retained.reaches(node)) {
            tree.add(0, node);
        }
        tree.sum_up();
        tree
    }

    /// Its nodes, without those smaller than a thousandth of all bytes.
    pub fn listed(&self) -> Vec<HeapNode> {
        self.rows(self.bytes().div_ceil(LISTED_PARTS))
    }

    /// Its largest nodes, `nodes` at most. Of those of one size either all or none are there.
    pub fn largest(&self, nodes: usize) -> Vec<HeapNode> {
        let mut sizes: Vec<u64> = self.nodes.iter().skip(1).map(|node| node.size_bytes).collect();
        // The heap is one of them.
        let wanted = nodes.saturating_sub(1);
        let largest_omitted = if wanted < sizes.len() {
            *sizes.select_nth_unstable_by_key(wanted, |&size| Reverse(size)).1
        } else {
            0
        };
        self.rows(largest_omitted.saturating_add(1))
    }

    fn bytes(&self) -> u64 {
        self.nodes.first().map_or(0, |heap| heap.size_bytes)
    }

    /// Adds an object below a node; roots, which have no holder, add nothing. Returns its node.
    fn add(&mut self, above: usize, object: NodeId) -> usize {
        let Some(holder) = self.holders.holder(object) else { return above };
        let place = self.place_node(above, holder);
        let own = self.holders.graph().type_index(object);
        let named = self.types.get(own.0 as usize).copied().unwrap_or(own);
        let at = self.type_node(place, named);
        let size = self.holders.graph().size(object);
        if let Some(node) = self.nodes.get_mut(at) {
            node.count = node.count.saturating_add(1);
            node.size_bytes = node.size_bytes.saturating_add(size);
        }
        at
    }

    /// The node of a holder, seen from an object above.
    fn place_node(&mut self, above: usize, holder: PlaceId) -> usize {
        let Some(within) = self.nodes.get(above).map(|node| node.holder) else { return above };
        let module = self.group(holder);
        match (within, module) {
            (Some(same), _) if same == holder => above,
            // What a holder retains is in it, whatever its name.
            (Some(_), _) => self.child(above, Label::Holder(holder), Some(holder)),
            // Modules retain each other: each stands for its own.
            (None, (name, true)) => {
                let module = self.below.get(&(0, Label::Module(Arc::clone(&name)))).copied();
                let is_inside = module.is_some() && module == self.top(above);
                if is_inside { above } else { self.child(0, Label::Module(name), None) }
            }
            (None, (name, false)) => {
                let module = self.child(0, Label::Module(name), None);
                self.child(module, Label::Holder(holder), Some(holder))
            }
        }
    }

    /// The module or group of a place, and whether the place is the group itself.
    fn group(&self, holder: PlaceId) -> (Arc<str>, bool) {
        let (mut name, mut above): (Arc<str>, _) = ("?".into(), Some(holder));
        let mut is_group = true;
        // Without a module, the root that its name begins with is the group. A place has a higher number than the one above.
        while let Some(place) = above.and_then(|id| self.holders.place(id)) {
            if let Some(module) = &place.module {
                return (Arc::clone(module), is_group && *module == place.text);
            }
            name = Arc::clone(&place.text);
            let next = place.above.filter(|next| above.is_some_and(|at| *next < at));
            is_group = is_group && next.is_none();
            above = next;
        }
        (name, is_group)
    }

    /// The node directly below the heap in which a node is.
    fn top(&self, at: usize) -> Option<usize> {
        let mut node = at;
        while let Some(of) = self.nodes.get(node) {
            if of.depth <= 1 {
                return (of.depth == 1).then_some(node);
            }
            node = of.above;
        }
        None
    }

    /// The node of a type. A step from a type to another one that the path has already leads to the first such place: a chain of objects is
    /// one node, not thousands.
    fn type_node(&mut self, above: usize, of: TypeIndex) -> usize {
        let label = Label::Type(of);
        if let Some(&known) = self.below.get(&(above, label.clone())) {
            return known;
        }
        let mut outer = above;
        if let Some(from) = self.label(above).filter(|label| matches!(label, Label::Type(_))).cloned() {
            while let Some(node) = self.nodes.get(outer) {
                if !matches!(node.label, Some(Label::Type(_))) {
                    break;
                }
                let over = node.above;
                if self.label(outer) == Some(&label) && self.label(over) == Some(&from) {
                    return outer;
                }
                outer = over;
            }
        }
        let holder = self.nodes.get(above).and_then(|node| node.holder);
        self.child(above, label, holder)
    }

    fn label(&self, at: usize) -> Option<&Label> {
        self.nodes.get(at)?.label.as_ref()
    }

    /// The node with a label below another one; that one if there is no room.
    fn child(&mut self, above: usize, label: Label, holder: Option<PlaceId>) -> usize {
        if let Some(&known) = self.below.get(&(above, label.clone())) {
            return known;
        }
        let depth = self.nodes.get(above).map_or(0, |node| node.depth).saturating_add(1);
        if depth > MAX_DEPTH || self.nodes.len() >= MAX_NODES {
            return above;
        }
        let at = self.nodes.len();
        self.below.insert((above, label.clone()), at);
        self.nodes.push(Node { above, depth, label: Some(label), holder, count: 0, size_bytes: 0 });
        at
    }

    /// Adds each node to the one above, which always has a lower number.
    fn sum_up(&mut self) {
        for at in (1..self.nodes.len()).rev() {
            let Some(&Node { above, count, size_bytes, .. }) = self.nodes.get(at) else { continue };
            if let Some(node) = self.nodes.get_mut(above) {
                node.count = node.count.saturating_add(count);
                node.size_bytes = node.size_bytes.saturating_add(size_bytes);
            }
        }
    }

    /// The nodes from `least_bytes` on, each before those below it.
    fn rows(&self, least_bytes: u64) -> Vec<HeapNode> {
        let is_large = |node: &Node| node.size_bytes >= least_bytes.max(1);
        let mut below: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        let mut omitted = vec![Omitted::default(); self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate().skip(1) {
            if is_large(node) {
                below.get_mut(node.above).into_iter().for_each(|list| list.push(at));
            } else if let Some(sum) = omitted.get_mut(node.above) {
                sum.add(node.count, node.size_bytes);
            }
        }
        let mut rows = Vec::new();
        let mut open = vec![0];
        while let Some(at) = open.pop() {
            let (Some(node), Some(below)) = (self.nodes.get(at), below.get_mut(at)) else { continue };
            let omitted = omitted.get(at).and_then(|omitted| omitted.if_any());
            rows.push(self.row(node, omitted));
            // The largest comes first, so it is opened last.
            below.sort_by_key(|&at| {
                let node = self.nodes.get(at);
                Reverse(node.map(|node| (node.size_bytes, node.count)))
            });
            open.extend(below.iter().rev());
        }
        rows
    }

    fn row(&self, node: &Node, omitted: Option<Omitted>) -> HeapNode {
        let (kind, name) = match &node.label {
            None => (HeapNodeKind::Heap, "Python objects".into()),
            Some(Label::Module(name)) => (HeapNodeKind::Module, Arc::clone(name)),
            Some(Label::Holder(place)) => {
                let name =
                    self.holders.place(*place).map_or_else(|| "?".into(), |place| Arc::clone(&place.text));
                (HeapNodeKind::Holder, name)
            }
            Some(Label::Type(of)) => {
                let of = self.holders.graph().type_at(*of);
                (HeapNodeKind::Type, of.map_or_else(|| "?".into(), |of| of.name().into()))
            }
        };
        let Node { depth, count, size_bytes, .. } = *node;
        HeapNode { depth, kind, name, count, size_bytes, omitted }
    }
}
