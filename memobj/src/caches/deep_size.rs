//! What caches weigh: all that is reached from one, each object once, and what of it each entry has.

use crate::graph::NodeId;
use crate::holders::retained::{DominatorIntervals, RetainedSizes};
use crate::object_graph::ObjectGraph;
use memobj_cpython::heap::builtins::Builtin;

/// Not reached.
const FREE: u32 = 0;
/// Of the cache, but of no entry: its tables, its lists.
const OWN: u32 = 1;
/// Of several entries.
const SHARED: u32 = 2;
/// Of the first entry alone; those of others follow.
const FIRST: u32 = 3;

/// How many edges may be followed for all caches together, for each edge of the graph: caches that all lead to the whole heap are not
/// worth more of anybody's time. A bound, no fact.
const MOST_ROUNDS: u64 = 4;
/// And so many besides.
const MOST_EDGES: u64 = 10_000_000;

/// The objects of an entry.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct EntryNodes {
    pub key: Option<NodeId>,
    pub value: Option<NodeId>,
    /// What ties them together and leads to other entries too: only itself is of the entry.
    pub link: Option<NodeId>,
}

/// What a cache weighs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct DeepSize {
    /// All that is reached from it, with itself.
    pub deep_bytes: u64,
    /// What of that is reached otherwise, too.
    pub shared_bytes: u64,
    /// What would be freed without it.
    pub retained_bytes: u64,
    /// What each entry has that no other entry has, in their order.
    pub entries: Vec<u64>,
}

/// Weighs caches.
pub(super) struct DeepSizer<'a, 'w> {
    graph: &'a ObjectGraph<'w>,
    retained: &'a RetainedSizes,
    dominator_intervals: DominatorIntervals,
    /// By type: whether its objects are where a cache ends: modules, types, functions.
    ends: Vec<bool>,
    /// By node: whose it is.
    labels: Vec<u32>,
    touched: Vec<NodeId>,
    left: u64,
}

impl<'a, 'w> DeepSizer<'a, 'w> {
    pub fn new(graph: &'a ObjectGraph<'w>, retained: &'a RetainedSizes) -> Self {
        let is_end = |of: &memobj_cpython::heap::types::Type| {
            of.is_metatype()
                || matches!(of.kind, Some(Builtin::Module | Builtin::Function))
                || of.name() == "builtin_function_or_method"
        };
        Self {
            graph,
            retained,
            dominator_intervals: retained.dominator_intervals(),
            ends: graph.types().iter().map(|counted| is_end(&counted.of)).collect(),
            labels: vec![FREE; graph.objects()],
            touched: Vec::new(),
            left: (graph.references().edges() as u64).saturating_mul(MOST_ROUNDS).saturating_add(MOST_EDGES),
        }
    }

    /// Weighs the cache that `root` is, whose entries are in `table`. `besides` is what it refers to and is not of it: the function whose
    /// results it keeps. `None` if it leads to more than can be followed.
    pub fn measure(
        &mut self,
        root: NodeId,
        table: Option<NodeId>,
        besides: Option<NodeId>,
        entries: &[EntryNodes],
    ) -> Option<DeepSize> {
        let weight =
            self.label(root, table, besides, entries).map(|()| self.sum(root, besides, entries.len()));
        for node in self.touched.drain(..) {
            if let Some(label) = self.labels.get_mut(node.index()) {
                *label = FREE;
            }
        }
        weight
    }

    /// Finds out whose each object is. Each is looked at three times at most: when an entry reaches it, when it turns out that another
    /// one does too, and at the end.
    fn label(
        &mut self,
        root: NodeId,
        table: Option<NodeId>,
        besides: Option<NodeId>,
        entries: &[EntryNodes],
    ) -> Option<()> {
        let own = [Some(root), table, besides];
        let mut stack = Vec::new();
        for node in own.into_iter().flatten() {
            self.claim(node, OWN, &mut stack);
        }
        stack.clear();
        for (members, label) in entries.iter().zip(FIRST..) {
            for node in [members.link, members.key, members.value].into_iter().flatten() {
                self.claim(node, label, &mut stack);
                if Some(node) == members.link {
                    stack.clear();
                }
            }
            self.follow(&mut stack)?;
        }
        // What is left belongs to no entry.
        for node in [Some(root), table].into_iter().flatten() {
            stack.push((node, OWN));
        }
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

    /// Gives an object to an entry; what another has already is of both.
    #[inline]
    fn claim(&mut self, node: NodeId, label: u32, stack: &mut Vec<(NodeId, u32)>) {
        let Some(place) = self.labels.get_mut(node.index()) else { return };
        let label = match *place {
            FREE => label,
            OWN | SHARED => return,
            // The cache's own tables lead to all entries; that takes nothing from them.
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

    fn sum(&self, root: NodeId, besides: Option<NodeId>, entries: usize) -> DeepSize {
        let mut weight = DeepSize { entries: vec![0; entries], ..DeepSize::default() };
        for &node in self.touched.iter().filter(|&&node| Some(node) != besides) {
            let bytes = self.graph.size(node);
            weight.deep_bytes = weight.deep_bytes.saturating_add(bytes);
            if !self.dominator_intervals.dominates(root, node) {
                weight.shared_bytes = weight.shared_bytes.saturating_add(bytes);
            }
            let label = self.labels.get(node.index()).copied().unwrap_or(FREE);
            let entry = label.checked_sub(FIRST).and_then(|entry| weight.entries.get_mut(entry as usize));
            if let Some(entry) = entry {
                *entry = entry.saturating_add(bytes);
            }
        }
        weight.retained_bytes = self.retained.bytes_of(root);
        weight
    }
}
