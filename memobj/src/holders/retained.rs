//! What would be freed if something were given up: an object, all objects of a type or a module, all that a place holds.

use crate::graph::{Dominators, NodeId, Preorder};
use crate::object_graph::ObjectGraph;
use memobj_cpython::stage;
use memobj_process::error::Error;

/// The sizes that objects retain: their own, and those of all that only they lead to.
#[derive(Debug)]
pub struct RetainedSizes {
    order: Preorder,
    dominators: Dominators,
    /// By number in `order`.
    bytes: Vec<u64>,
}

impl RetainedSizes {
    /// Of all that is reached from the sources.
    ///
    /// # Errors
    /// Never, for a graph that was built.
    pub fn new(graph: &ObjectGraph<'_>) -> Result<Self, Error> {
        let roots = graph.root_nodes();
        let order = Preorder::new(graph.references(), &roots).map_err(|error| {
            Error::new(
                stage::HEAP,
                format!("the references cannot be followed: {error}"),
                "take a census without them",
            )
        })?;
        let dominators = Dominators::new(graph.references(), &order, &roots);
        let bytes = dominators.retained(|number| order.node(number).map_or(0, |node| graph.size(node)));
        Ok(Self { order, dominators, bytes })
    }

    /// What an object retains, or a source; 0 for what nothing reaches.
    #[must_use]
    pub fn of(&self, node: NodeId) -> u64 {
        let number = self.order.number(node);
        number.and_then(|number| self.bytes.get(number as usize)).copied().unwrap_or(0)
    }

    /// Where the objects are that each alone leads to.
    #[must_use]
    pub fn dominator_intervals(&self) -> DominatorIntervals {
        DominatorIntervals::of(&self.order, &self.dominators)
    }

    /// What the objects of each group retain together: `group` tells the group of an object, and there are `groups` of them. An object
    /// that another one of its group retains anyway is not added again.
    #[must_use]
    pub fn by_group(&self, groups: usize, group: impl Fn(NodeId) -> Option<usize>) -> Vec<u64> {
        let tree = DominatorTree::of(self.dominators.immediate());
        let mut sums = vec![0_u64; groups];
        // How many of each group are above.
        let mut above = vec![0_u32; groups];
        let group = |number: u32| self.order.node(number).and_then(&group).filter(|&group| group < groups);
        // Each number with how many of its children were looked at.
        let mut way: Vec<(u32, usize)> = vec![(0, 0)];
        while let Some((number, next)) = way.last_mut() {
            let number = *number;
            if let Some(&child) = tree.children(number).get(*next) {
                *next += 1;
                if let Some(group) = group(child) {
                    let bytes = self.bytes.get(child as usize).copied().unwrap_or(0);
                    if let (Some(above), Some(sum)) = (above.get_mut(group), sums.get_mut(group)) {
                        if *above == 0 {
                            *sum = sum.saturating_add(bytes);
                        }
                        *above = above.saturating_add(1);
                    }
                }
                way.push((child, 0));
            } else {
                if let Some(above) = group(number).and_then(|group| above.get_mut(group)) {
                    *above = above.saturating_sub(1);
                }
                way.pop();
            }
        }
        sums
    }
}

/// The dominator tree in an order in which all that an object dominates follows it. 8 bytes an object.
#[derive(Debug)]
pub struct DominatorIntervals {
    /// By node: its place, and the place behind the last that it dominates; both 0 for what nothing reaches.
    places: Vec<(u32, u32)>,
}

impl DominatorIntervals {
    fn of(order: &Preorder, dominators: &Dominators) -> Self {
        let tree = DominatorTree::of(dominators.immediate());
        let mut by_number = vec![(0_u32, 0_u32); dominators.immediate().len()];
        let mut next = 1_u32;
        // Each number with how many of its children were looked at.
        let mut way: Vec<(u32, usize)> = vec![(0, 0)];
        while let Some((number, looked)) = way.last_mut() {
            let number = *number;
            if let Some(&child) = tree.children(number).get(*looked) {
                *looked += 1;
                if let Some(place) = by_number.get_mut(child as usize) {
                    place.0 = next;
                }
                next = next.saturating_add(1);
                way.push((child, 0));
            } else {
                if let Some(place) = by_number.get_mut(number as usize) {
                    place.1 = next;
                }
                way.pop();
            }
        }
        let mut places = Vec::new();
        for (number, place) in (0..).zip(by_number) {
            let Some(node) = order.node(number) else { continue };
            if places.len() <= node.index() {
                places.resize(node.index() + 1, (0, 0));
            }
            if let Some(of_node) = places.get_mut(node.index()) {
                *of_node = place;
            }
        }
        Self { places }
    }

    /// Whether all ways from the roots to `node` lead over `above`, or it is that itself.
    #[must_use]
    #[inline]
    pub fn dominates(&self, above: NodeId, node: NodeId) -> bool {
        let (Some(above), Some(node)) = (self.places.get(above.index()), self.places.get(node.index()))
        else {
            return false;
        };
        above.0 > 0 && (above.0..above.1).contains(&node.0)
    }
}

/// A tree by its nodes' children.
struct DominatorTree {
    starts: Vec<u32>,
    children: Vec<u32>,
}

impl DominatorTree {
    /// From the parent of each; that of 0 is none.
    fn of(parents: &[u32]) -> Self {
        let mut starts = vec![0_u32; parents.len() + 1];
        for &parent in parents.iter().skip(1) {
            if let Some(count) = starts.get_mut(parent as usize) {
                *count = count.saturating_add(1);
            }
        }
        let mut sum = 0_u32;
        for start in &mut starts {
            sum = sum.saturating_add(*start);
            *start = sum;
        }
        let mut children = vec![0; sum as usize];
        // From behind, so that each row is in order and ends up at its start.
        for number in (1..parents.len() as u32).rev() {
            let parent = parents.get(number as usize).copied().unwrap_or(0);
            if let Some(end) = starts.get_mut(parent as usize) {
                *end = end.saturating_sub(1);
                if let Some(place) = children.get_mut(*end as usize) {
                    *place = number;
                }
            }
        }
        Self { starts, children }
    }

    fn children(&self, number: u32) -> &[u32] {
        let at = |number: usize| self.starts.get(number).copied().unwrap_or(0) as usize;
        self.children.get(at(number as usize)..at(number as usize + 1)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_in_order() {
        // 0 → 1, 4; 1 → 2, 3; 4 → 5.
        let tree = DominatorTree::of(&[0, 0, 1, 1, 0, 4]);
        assert_eq!(tree.children(0), [1, 4]);
        assert_eq!(tree.children(1), [2, 3]);
        assert_eq!(tree.children(4), [5]);
        assert!(tree.children(5).is_empty() && tree.children(6).is_empty());
    }
}
