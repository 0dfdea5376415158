//! What would be freed if something were given up: an object, all objects of a type or a module, all that a place holds.

use crate::error::{Error, Stage};
use crate::graph::{Dominators, NodeId, Order};
use crate::links::Links;

/// The sizes that objects retain: their own, and those of all that only they lead to.
#[derive(Debug)]
pub struct Retained {
    order: Order,
    dominators: Dominators,
    /// By number in `order`.
    bytes: Vec<u64>,
}

impl Retained {
    /// Of all that is reached from the sources.
    ///
    /// # Errors
    /// Never, for a graph that was built.
    pub fn new(links: &Links<'_>) -> Result<Self, Error> {
        let roots = links.roots();
        let order = Order::new(links.graph(), &roots).map_err(|error| {
            Error::new(
                Stage::Heap,
                format!("the references cannot be followed: {error}"),
                "take a census without them",
            )
        })?;
        let dominators = Dominators::new(links.graph(), &order, &roots);
        let bytes = dominators.retained(|number| order.node(number).map_or(0, |node| links.size(node)));
        Ok(Self { order, dominators, bytes })
    }

    /// What an object retains, or a source; 0 for what nothing reaches.
    #[must_use]
    pub fn of(&self, node: NodeId) -> u64 {
        let number = self.order.number(node);
        number.and_then(|number| self.bytes.get(number as usize)).copied().unwrap_or(0)
    }

    /// What the objects of each group retain together: `group` tells the group of an object, and there are `groups` of them. An object
    /// that another one of its group retains anyway is not added again.
    #[must_use]
    pub fn by_group(&self, groups: usize, group: impl Fn(NodeId) -> Option<usize>) -> Vec<u64> {
        let tree = Children::of(self.dominators.immediate());
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

/// A tree by its nodes' children.
struct Children {
    starts: Vec<u32>,
    children: Vec<u32>,
}

impl Children {
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
        let tree = Children::of(&[0, 0, 1, 1, 0, 4]);
        assert_eq!(tree.children(0), [1, 4]);
        assert_eq!(tree.children(1), [2, 3]);
        assert_eq!(tree.children(4), [5]);
        assert!(tree.children(5).is_empty() && tree.children(6).is_empty());
    }
}
