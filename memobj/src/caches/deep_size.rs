//! Deep sizes of caches and of their entries, each object once.

use std::collections::HashSet;

use crate::graph::NodeId;
use crate::holders::retained::RetainedSizes;
use crate::object_graph::ObjectGraph;
use memobj_cpython::heap::builtins::Builtin;

/// Not reached.
const FREE: u32 = 0;
/// Of the cache alone: its tables, its lists.
const OWN: u32 = 1;
/// Of several entries.
const SHARED: u32 = 2;
/// Of the first entry alone; the labels of other entries follow.
const FIRST: u32 = 3;

/// Edges that may be followed for all caches together, for each edge of the graph: a bound for many caches that lead to the whole heap.
const MAX_ROUNDS: u64 = 4;
/// Edges that may be followed in any case.
const MAX_EDGES: u64 = 10_000_000;

/// The objects of an entry.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct EntryNodes {
    pub key: Option<NodeId>,
    pub value: Option<NodeId>,
    /// The node of a linked list that ties them together; its references are not of the entry.
    pub link: Option<NodeId>,
}

/// A cache that is measured, alone or as one of several of one name.
#[derive(Debug)]
pub(super) struct CacheNodes {
    /// The cache itself.
    pub root: NodeId,
    /// The dict with its entries.
    pub table: Option<NodeId>,
    /// The function whose results it keeps, which is no part of it.
    pub function: Option<NodeId>,
    pub entries: Vec<EntryNodes>,
}

/// The deep size of all caches of one name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct DeepSize {
    /// All objects that they lead to, with themselves, each once.
    pub deep_bytes: u64,
    /// The part of that with other paths from the roots, or in a cache of another name within them.
    pub shared_bytes: u64,
    /// The size that would be freed without them.
    pub retained_bytes: u64,
    /// The size of each entry without objects of other entries, in order.
    pub entries: Vec<u64>,
}

/// Measures caches.
pub(super) struct DeepSizer<'a, 'w> {
    graph: &'a ObjectGraph<'w>,
    /// By node: the name whose caches alone lead to it.
    owners: Vec<Option<u32>>,
    /// By name: the size that would be freed without its caches.
    retained: Vec<u64>,
    /// By type: whether its objects end a cache: modules, types, functions.
    ends: Vec<bool>,
    /// By node: its label.
    labels: Vec<u32>,
    touched: Vec<NodeId>,
    left: u64,
}

impl<'a, 'w> DeepSizer<'a, 'w> {
    /// Prepares for the caches `roots`, each with the number of its name, of `names`.
    pub fn new(
        graph: &'a ObjectGraph<'w>,
        retained: &RetainedSizes,
        roots: &[(NodeId, u32)],
        names: usize,
    ) -> Self {
        let mut by_node: Vec<Option<u32>> = vec![None; graph.objects()];
        for (root, name) in roots {
            if let Some(place) = by_node.get_mut(root.index()) {
                *place = Some(*name);
            }
        }
        let name = |node: NodeId| by_node.get(node.index()).copied().flatten();
        let is_end = |of: &memobj_cpython::heap::types::Type| {
            of.is_metatype()
                || matches!(of.kind, Some(Builtin::Module | Builtin::Function))
                || of.name() == "builtin_function_or_method"
        };
        Self {
            graph,
            owners: retained.nearest_groups(name),
            retained: retained.by_group(names, |node| name(node).map(|name| name as usize)),
            ends: graph.types().iter().map(|counted| is_end(&counted.ty)).collect(),
            labels: vec![FREE; graph.objects()],
            touched: Vec::new(),
            left: (graph.references().edges() as u64).saturating_mul(MAX_ROUNDS).saturating_add(MAX_EDGES),
        }
    }

    /// Measures the caches of a name. `None` if they lead to more objects than can be followed.
    pub fn measure(&mut self, name: u32, caches: &[CacheNodes]) -> Option<DeepSize> {
        let size = self.label(caches).map(|()| self.sum(name, caches));
        for node in self.touched.drain(..) {
            if let Some(label) = self.labels.get_mut(node.index()) {
                *label = FREE;
            }
        }
        size
    }

    /// Labels all objects. Each is visited three times at most: from an entry, from another entry, and at the end.
    fn label(&mut self, caches: &[CacheNodes]) -> Option<()> {
        let mut stack = Vec::new();
        for cache in caches {
            for node in [Some(cache.root), cache.table, cache.function].into_iter().flatten() {
                self.claim(node, OWN, &mut stack);
            }
        }
        stack.clear();
        for (members, label) in caches.iter().flat_map(|cache| &cache.entries).zip(FIRST..) {
            for node in [members.link, members.key, members.value].into_iter().flatten() {
                self.claim(node, label, &mut stack);
                if Some(node) == members.link {
                    stack.clear();
                }
            }
            self.follow(&mut stack)?;
        }
        // The rest belongs to no entry.
        let own = caches.iter().flat_map(|cache| [Some(cache.root), cache.table]);
        stack.extend(own.flatten().map(|node| (node, OWN)));
        self.follow(&mut stack)
    }

    fn follow(&mut self, stack: &mut Vec<(NodeId, u32)>) -> Option<()> {
        let graph = self.graph;
        while let Some((node, label)) = stack.pop() {
            let targets = graph.references().targets(node);
            self.left = self.left.checked_sub(targets.len() as u64)?;
            for &to in targets {
                self.claim(to, label, stack);
            }
        }
        Some(())
    }

    /// Labels an object; one that has another label is shared.
    #[inline]
    fn claim(&mut self, node: NodeId, label: u32, stack: &mut Vec<(NodeId, u32)>) {
        let Some(place) = self.labels.get_mut(node.index()) else { return };
        let label = match *place {
            FREE => label,
            OWN | SHARED => return,
            // The tables of the cache lead to all entries and share nothing.
            other if other == label || label == OWN => return,
            _ => SHARED,
        };
        if *place == FREE {
            let kind = self.graph.type_index(node).0 as usize;
            if self.ends.get(kind).copied().unwrap_or(true) {
                return;
            }
            self.touched.push(node);
        }
        *place = label;
        stack.push((node, label));
    }

    fn sum(&self, name: u32, caches: &[CacheNodes]) -> DeepSize {
        let functions: HashSet<NodeId> = caches.iter().filter_map(|cache| cache.function).collect();
        let entries = caches.iter().map(|cache| cache.entries.len()).sum();
        let mut size = DeepSize { entries: vec![0; entries], ..DeepSize::default() };
        for &node in self.touched.iter().filter(|node| !functions.contains(node)) {
            let bytes = self.graph.size(node);
            size.deep_bytes = size.deep_bytes.saturating_add(bytes);
            if self.owners.get(node.index()).copied().flatten() != Some(name) {
                size.shared_bytes = size.shared_bytes.saturating_add(bytes);
            }
            let label = self.labels.get(node.index()).copied().unwrap_or(FREE);
            let entry = label.checked_sub(FIRST).and_then(|entry| size.entries.get_mut(entry as usize));
            if let Some(entry) = entry {
                *entry = entry.saturating_add(bytes);
            }
        }
        size.retained_bytes = self.retained.get(name as usize).copied().unwrap_or(0);
        size
    }
}
