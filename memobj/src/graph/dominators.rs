//! Immediate dominators, and the weight that each node retains.
//!
//! The semi-NCA algorithm (Georgiadis, Tarjan and Werneck, "Finding Dominators in Practice", 2006): semidominators in descending
//! order of preorder numbers, with path compression; then the nearest common ancestor of each with its parent, in ascending order.

use super::adjacency::Adjacency;
use super::preorder::Preorder;
use super::{Graph, NodeId};

/// The dominator tree of the nodes that the roots reach, by the numbers of a [`Preorder`].
#[derive(Debug)]
pub struct Dominators {
    /// The immediate dominator of each number, which is a smaller number; of 0, 0.
    immediate: Vec<u32>,
}

/// A moment of a walk over the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visit {
    /// Before the nodes that are dominated.
    Enter,
    /// After them.
    Leave,
}

#[expect(clippy::cast_possible_truncation, reason = "a graph has fewer than 2^32 nodes")]
impl Dominators {
    /// Finds the dominators of the nodes in `order`, which must have been made from `graph` and these `roots`.
    pub fn new(graph: &Graph, order: &Preorder, roots: &[NodeId]) -> Self {
        let semidominators = semidominators(graph, order, roots);
        // Numbers ascend from the root, so a dominator's own dominator is known before it is needed.
        let mut immediate = order.parents().to_vec();
        for number in 1..immediate.len() {
            let semidominator = at(&semidominators, number as u32);
            let mut dominator = at(&immediate, number as u32);
            while dominator > semidominator {
                dominator = at(&immediate, dominator);
            }
            if let Some(place) = immediate.get_mut(number) {
                *place = dominator;
            }
        }
        Self { immediate }
    }

    /// The immediate dominator of each number: the last node that all paths from the roots to it share; 0 if there is none.
    pub fn immediate(&self) -> &[u32] {
        &self.immediate
    }

    /// The weight that each number retains: its own and that of all it dominates. Number 0 has the sum of all.
    pub fn retained(&self, weight: impl Fn(u32) -> u64) -> Vec<u64> {
        let mut retained: Vec<u64> = (0..self.immediate.len() as u32).map(weight).collect();
        for number in (1..retained.len()).rev() {
            let own = retained.get(number).copied().unwrap_or(0);
            let dominator = at(&self.immediate, number as u32);
            if let Some(sum) = retained.get_mut(dominator as usize) {
                *sum = sum.saturating_add(own);
            }
        }
        retained
    }

    /// Walks over the tree in depth; each number is entered and left once.
    pub fn walk(&self, mut visit: impl FnMut(u32, Visit)) {
        let end = self.immediate.len() as u32;
        let below = (1..end).rev();
        let tree = Adjacency::new(end as usize, || {
            below.clone().map(|number| (at(&self.immediate, number), number))
        });
        visit(0, Visit::Enter);
        // Each number on the path, with the count of its children that were visited.
        let mut path: Vec<(u32, usize)> = vec![(0, 0)];
        while let Some((number, visited)) = path.last_mut() {
            match tree.row(*number).get(*visited) {
                Some(&child) => {
                    *visited += 1;
                    visit(child, Visit::Enter);
                    path.push((child, 0));
                }
                None => {
                    visit(*number, Visit::Leave);
                    path.pop();
                }
            }
        }
    }
}

fn at(numbers: &[u32], number: u32) -> u32 {
    numbers.get(number as usize).copied().unwrap_or(0)
}

/// The edges among the numbers, with those from number 0 to the roots.
#[expect(clippy::cast_possible_truncation, reason = "a graph has fewer than 2^32 nodes")]
fn edges(graph: &Graph, order: &Preorder, roots: &[NodeId]) -> impl Iterator<Item = (u32, u32)> {
    let from_root = roots.iter().filter_map(|&root| Some((0, order.number(root)?)));
    let others = (1..order.len() as u32).flat_map(move |number| {
        let targets = order.node(number).map_or(&[][..], |node| graph.targets(node));
        targets.iter().filter_map(move |&to| Some((number, order.number(to)?)))
    });
    from_root.chain(others)
}

#[expect(clippy::cast_possible_truncation, reason = "a graph has fewer than 2^32 nodes")]
fn semidominators(graph: &Graph, order: &Preorder, roots: &[NodeId]) -> Vec<u32> {
    let predecessors =
        Adjacency::new(order.len(), || edges(graph, order, roots).map(|(from, to)| (to, from)));
    let mut semidominators: Vec<u32> = order.parents().to_vec();
    // The least semidominator on the path from each number up to its ancestor, both among the numbers that were processed.
    let mut least: Vec<u32> = (0..order.len() as u32).collect();
    let mut ancestors: Vec<u32> = order.parents().to_vec();
    let mut path = Vec::new();
    for number in (1..order.len() as u32).rev() {
        let mut semidominator = at(&semidominators, number);
        for &predecessor in predecessors.row(number) {
            let through = if predecessor > number {
                compress(predecessor, number, &mut ancestors, &mut least, &mut path)
            } else {
                predecessor
            };
            semidominator = semidominator.min(through);
        }
        for places in [&mut semidominators, &mut least] {
            if let Some(place) = places.get_mut(number as usize) {
                *place = semidominator;
            }
        }
    }
    semidominators
}

/// The least semidominator between `from` and the first ancestor that is not beyond `last`; shortens the path for the next call.
fn compress(from: u32, last: u32, ancestors: &mut [u32], least: &mut [u32], path: &mut Vec<u32>) -> u32 {
    path.clear();
    let mut top = from;
    while at(ancestors, top) > last {
        path.push(top);
        top = at(ancestors, top);
    }
    let mut smallest = at(least, top);
    let ancestor = at(ancestors, top);
    for &number in path.iter().rev() {
        if let (Some(place), Some(above)) =
            (least.get_mut(number as usize), ancestors.get_mut(number as usize))
        {
            *place = smallest.min(*place);
            smallest = *place;
            *above = ancestor;
        }
    }
    smallest
}

#[cfg(test)]
mod tests {
    use super::super::tests::graph;
    use super::*;

    fn dominators(graph: &Graph, roots: &[u32]) -> (Preorder, Dominators) {
        let roots: Vec<_> = roots.iter().copied().map(NodeId).collect();
        let order = Preorder::new(graph, &roots).unwrap();
        let dominators = Dominators::new(graph, &order, &roots);
        (order, dominators)
    }

    fn dominator(order: &Preorder, dominators: &Dominators, node: u32) -> Option<u32> {
        let number = order.number(NodeId(node)).unwrap();
        order.node(at(dominators.immediate(), number)).map(|node| node.0)
    }

    /// The weight that `node` retains by definition: of all nodes that the roots do not reach without it.
    fn naive(graph: &Graph, roots: &[u32], node: u32) -> u64 {
        let mut seen = vec![false; graph.nodes()];
        let mut work: Vec<u32> = roots.iter().copied().filter(|&root| root != node).collect();
        while let Some(next) = work.pop() {
            if next != node && !std::mem::replace(&mut seen[next as usize], true) {
                work.extend(graph.targets(NodeId(next)).iter().map(|to| to.0));
            }
        }
        let reached = Preorder::new(graph, &roots.iter().copied().map(NodeId).collect::<Vec<_>>()).unwrap();
        let lost = |&number: &u32| !seen[reached.node(number).unwrap().index()];
        (1..reached.len() as u32).filter(lost).map(|number| weight(reached.node(number).unwrap())).sum()
    }

    fn weight(node: NodeId) -> u64 {
        u64::from(node.0) * 10 + 1
    }

    #[test]
    fn example_of_lengauer_and_tarjan() {
        // R A B C D E F G H I J K L of their figure of 1979, by their places here.
        let edges = [
            (0, 1),
            (0, 2),
            (0, 3),
            (1, 4),
            (2, 1),
            (2, 4),
            (2, 5),
            (3, 6),
            (3, 7),
            (4, 12),
            (5, 8),
            (6, 9),
            (7, 9),
            (7, 10),
            (8, 5),
            (8, 11),
            (9, 11),
            (10, 9),
            (11, 9),
            (11, 0),
            (12, 8),
        ];
        let graph = graph(13, &edges);
        let (order, dominators) = dominators(&graph, &[0]);
        let found: Vec<_> = (1..13).map(|node| dominator(&order, &dominators, node).unwrap()).collect();
        assert_eq!(found, [0, 0, 0, 0, 0, 3, 3, 0, 0, 7, 0, 4]);
    }

    #[test]
    fn retained_sizes_match_definition() {
        let mut random = 12_345_u64;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((random >> 33) % below) as u32
        };
        for round in 0..200 {
            let nodes = 1 + next(40);
            let edges: Vec<_> = (0..next(120)).map(|_| (next(nodes.into()), next(nodes.into()))).collect();
            let roots: Vec<_> = (0..1 + next(3)).map(|_| next(nodes.into())).collect();
            let graph = graph(nodes as usize, &edges);
            let (order, dominators) = dominators(&graph, &roots);
            let retained = dominators.retained(|number| order.node(number).map_or(0, weight));
            for number in 1..order.len() as u32 {
                let node = order.node(number).unwrap().0;
                assert_eq!(
                    retained[number as usize],
                    naive(&graph, &roots, node),
                    "round {round}, node {node}: {edges:?} from {roots:?}"
                );
            }
        }
    }
}
