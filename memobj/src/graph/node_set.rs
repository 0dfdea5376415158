//! Sets of nodes.

use super::NodeId;

/// A set of nodes, with a bit for each.
#[derive(Debug, Clone)]
pub struct NodeSet {
    bits: Vec<u64>,
}

impl NodeSet {
    /// An empty set for nodes below `nodes`.
    pub fn new(nodes: usize) -> Self {
        Self { bits: vec![0; nodes.div_ceil(64)] }
    }

    /// Adds a node.
    pub fn insert(&mut self, node: NodeId) {
        if let Some(word) = self.bits.get_mut(node.index() / 64) {
            *word |= 1 << (node.index() % 64);
        }
    }

    /// Whether a node is in the set.
    #[inline]
    pub fn contains(&self, node: NodeId) -> bool {
        self.bits.get(node.index() / 64).is_some_and(|word| word >> (node.index() % 64) & 1 != 0)
    }
}
