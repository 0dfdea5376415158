//! Which object alone keeps which others: immediate dominators, and what each node retains.
//!
//! The semi-NCA algorithm (Georgiadis, Tarjan and Werneck, "Finding Dominators in Practice", 2006): semidominators in descending
//! order of preorder numbers, with path compression; then the nearest common ancestor of each with its parent, in ascending order.

use super::{Graph, NodeId, Preorder};

/// The dominator tree of what the roots reach, by the numbers of an [`Preorder`].
#[derive(Debug)]
pub struct Dominators {
    /// The immediate dominator of each number, which is a smaller number; of 0, 0.
    immediate: Vec<u32>,
}

impl Dominators {
    /// Of the nodes in `order`, which must have been made from `graph` and these `roots`.
    #[must_use]
    pub fn new(graph: &Graph, order: &Preorder, roots: &[NodeId]) -> Self {
        let predecessors = Predecessors::new(graph, order, roots);
        let semidominators = semidominators(order, &predecessors);
        drop(predecessors);
        // Numbers ascend from the root, so a dominator's own dominator is known before it is asked for.
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

    /// The immediate dominator of each number: the one node through which all ways from the roots lead to it; 0 if there is none.
    #[must_use]
    pub fn immediate(&self) -> &[u32] {
        &self.immediate
    }

    /// What each number retains: its own weight and that of all it dominates. Number 0 has the sum of all.
    #[must_use]
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
}

fn at(numbers: &[u32], number: u32) -> u32 {
    numbers.get(number as usize).copied().unwrap_or(0)
}

/// The edges of the nodes reached, turned about: for each number, the numbers that refer to it.
struct Predecessors {
    starts: Vec<u32>,
    predecessors: Vec<u32>,
}

impl Predecessors {
    fn new(graph: &Graph, order: &Preorder, roots: &[NodeId]) -> Self {
        // Counted at the place after their own, then summed up, then moved on while they are filled: each row ends where it began.
        let mut starts = vec![0_u32; order.len() + 1];
        each_edge(graph, order, roots, |_, to| {
            if let Some(count) = starts.get_mut(to as usize) {
                *count = count.saturating_add(1);
            }
        });
        let mut sum = 0_u32;
        for start in &mut starts {
            sum = sum.saturating_add(*start);
            *start = sum;
        }
        let mut predecessors = vec![0; sum as usize];
        each_edge(graph, order, roots, |from, to| {
            if let Some(end) = starts.get_mut(to as usize) {
                *end = end.saturating_sub(1);
                if let Some(place) = predecessors.get_mut(*end as usize) {
                    *place = from;
                }
            }
        });
        Self { starts, predecessors }
    }

    fn of(&self, number: u32) -> &[u32] {
        let range = at(&self.starts, number) as usize..at(&self.starts, number.saturating_add(1)) as usize;
        self.predecessors.get(range).unwrap_or_default()
    }
}

fn each_edge(graph: &Graph, order: &Preorder, roots: &[NodeId], mut each: impl FnMut(u32, u32)) {
    for &root in roots {
        if let Some(number) = order.number(root) {
            each(0, number);
        }
    }
    for number in 1..order.len() as u32 {
        let Some(node) = order.node(number) else { continue };
        for &to in graph.targets(node) {
            if let Some(to) = order.number(to) {
                each(number, to);
            }
        }
    }
}

fn semidominators(order: &Preorder, predecessors: &Predecessors) -> Vec<u32> {
    let mut semidominators: Vec<u32> = order.parents().to_vec();
    // The least semidominator on the way up from each number to its ancestor, both of what was looked at already.
    let mut least: Vec<u32> = (0..order.len() as u32).collect();
    let mut ancestors: Vec<u32> = order.parents().to_vec();
    let mut way = Vec::new();
    for number in (1..order.len() as u32).rev() {
        let mut semidominator = at(&semidominators, number);
        for &predecessor in predecessors.of(number) {
            let through = if predecessor > number {
                compress(predecessor, number, &mut ancestors, &mut least, &mut way)
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

/// The least semidominator between `from` and the first ancestor that is not beyond `last`; shortens the way for the next.
fn compress(from: u32, last: u32, ancestors: &mut [u32], least: &mut [u32], way: &mut Vec<u32>) -> u32 {
    way.clear();
    let mut top = from;
    while at(ancestors, top) > last {
        way.push(top);
        top = at(ancestors, top);
    }
    let mut smallest = at(least, top);
    let ancestor = at(ancestors, top);
    for &number in way.iter().rev() {
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

    /// What `node` retains by definition: all that the roots no longer reach without it.
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
    fn the_example_of_lengauer_and_tarjan() {
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
    fn retained_sizes_are_what_would_be_lost() {
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
