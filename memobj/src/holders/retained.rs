//! Retained sizes: the memory that would be freed without an object, a type, a module or a place.

use std::collections::BTreeMap;

use crate::graph::dominators::Visit;
use crate::graph::{Dominators, NodeId, Preorder};
use crate::object_graph::{ObjectGraph, too_large};
use memobj_process::error::Error;

/// The retained size of each object: its own size and those of all objects that only it leads to.
#[derive(Debug)]
pub struct RetainedSizes {
    order: Preorder,
    dominators: Dominators,
    /// By number in `order`.
    bytes: Vec<u64>,
}

impl RetainedSizes {
    /// Computes the sizes for all objects that the roots reach.
    ///
    /// # Errors
    /// Never, for a graph that was built.
    pub fn new(graph: &ObjectGraph<'_>) -> Result<Self, Error> {
        let roots = graph.root_nodes();
        let order = Preorder::new(graph.references(), &roots).map_err(too_large)?;
        let dominators = Dominators::new(graph.references(), &order, &roots);
        let bytes = dominators.retained(|number| order.node(number).map_or(0, |node| graph.size(node)));
        Ok(Self { order, dominators, bytes })
    }

    /// The retained size of an object or root; 0 for an unreachable one.
    pub fn bytes_of(&self, node: NodeId) -> u64 {
        self.order.number(node).map_or(0, |number| self.bytes_at(number))
    }

    /// Whether the roots reach an object; others have no place among the dominators.
    pub fn reaches(&self, node: NodeId) -> bool {
        self.order.number(node).is_some()
    }

    /// Walks over the objects and roots: each is entered after the one that dominates it, and left after those that it dominates.
    pub fn walk(&self, mut visit: impl FnMut(NodeId, Visit)) {
        self.dominators
            .walk(|number, moment| self.order.node(number).into_iter().for_each(|node| visit(node, moment)));
    }

    fn bytes_at(&self, number: u32) -> u64 {
        self.bytes.get(number as usize).copied().unwrap_or(0)
    }

    /// By node: the group of the nearest object with a group among those on every path to it, itself included; `None` without one.
    pub fn nearest_groups(&self, group: impl Fn(NodeId) -> Option<u32>) -> Vec<Option<u32>> {
        let mut nearest = Vec::new();
        let mut above: Vec<u32> = Vec::new();
        self.dominators.walk(|number, visit| {
            let Some(node) = self.order.node(number) else { return };
            let own = group(node);
            match visit {
                Visit::Enter => {
                    above.extend(own);
                    if nearest.len() <= node.index() {
                        nearest.resize(node.index() + 1, None);
                    }
                    if let Some(place) = nearest.get_mut(node.index()) {
                        *place = above.last().copied();
                    }
                }
                Visit::Leave if own.is_some() => {
                    above.pop();
                }
                Visit::Leave => {}
            }
        });
        nearest
    }

    /// The size that the objects of each of `groups` groups retain together. `group` returns the group of an object. An object that
    /// another one of its group retains is not added again.
    pub fn by_group(&self, groups: usize, group: impl Fn(NodeId) -> Option<usize>) -> Vec<u64> {
        // Of each group the sum, and how many of its objects are above the present one.
        let mut sums = vec![(0_u64, 0_u32); groups];
        self.dominators.walk(|number, visit| {
            let group = self.order.node(number).and_then(&group);
            let Some((sum, above)) = group.and_then(|group| sums.get_mut(group)) else { return };
            match visit {
                Visit::Enter => {
                    if *above == 0 {
                        *sum = sum.saturating_add(self.bytes_at(number));
                    }
                    *above = above.saturating_add(1);
                }
                Visit::Leave => *above = above.saturating_sub(1),
            }
        });
        sums.into_iter().map(|(sum, _)| sum).collect()
    }

    /// As [`by_group`](Self::by_group), with another size of each object; for few groups.
    pub fn by_group_with(
        &self,
        groups: usize,
        group: impl Fn(NodeId) -> Option<usize>,
        size: impl Fn(NodeId) -> u64,
    ) -> Vec<u64> {
        let mut sums = vec![0_u64; groups];
        // The groups that an object above the present one is in, with their number.
        let mut above: BTreeMap<usize, u32> = BTreeMap::new();
        self.dominators.walk(|number, visit| {
            let Some(node) = self.order.node(number) else { return };
            let group = group(node);
            if visit == Visit::Enter {
                group.into_iter().for_each(|group| {
                    let count = above.entry(group).or_default();
                    *count = count.saturating_add(1)
                });
                for &group in above.keys() {
                    if let Some(sum) = sums.get_mut(group) {
                        *sum = sum.saturating_add(size(node));
                    }
                }
            } else if let Some(group) = group
                && let Some(count) = above.get_mut(&group)
            {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    above.remove(&group);
                }
            }
        });
        sums
    }
}
