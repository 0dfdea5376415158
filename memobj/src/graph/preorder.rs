//! Depth-first search: the nodes that the roots reach, in preorder.

use super::{Graph, NodeId, TooLarge};

/// No number, no node.
pub(super) const NONE: u32 = u32::MAX;

/// The nodes that the roots reach, in preorder. Number 0 is a root of all roots, which is no node; the parent of each number in the search
/// has a smaller number.
#[derive(Debug)]
pub struct Preorder {
    /// The node of each number; `NONE` for number 0.
    nodes: Vec<u32>,
    /// The number of each node; `NONE` if it was not reached.
    numbers: Vec<u32>,
    /// The parent of each number.
    parents: Vec<u32>,
}

impl Preorder {
    /// Searches `graph` from `roots`, in their order; roots that are not there are skipped.
    ///
    /// # Errors
    /// Never, for a graph that was built: it has one number to spare.
    pub fn new(graph: &Graph, roots: &[NodeId]) -> Result<Self, TooLarge> {
        let mut numbers = vec![NONE; graph.nodes()];
        let mut nodes = vec![NONE];
        let mut parents = vec![0];
        // The path to the present node: numbers, each with how many of its edges were followed.
        let mut path: Vec<(u32, u32)> = Vec::new();
        for &root in roots {
            visit(root, 0, &mut numbers, &mut nodes, &mut parents, &mut path)?;
            while let Some((number, followed)) = path.last_mut() {
                let parent = *number;
                let node = nodes.get(parent as usize).copied().unwrap_or(NONE);
                let rest = graph.targets(NodeId(node)).get(*followed as usize..).unwrap_or_default();
                let unseen = |to: &&NodeId| numbers.get(to.index()).is_some_and(|&number| number == NONE);
                match rest.iter().find(unseen).copied() {
                    Some(to) => {
                        let passed = rest.iter().position(|&other| other == to).unwrap_or(0);
                        *followed = followed
                            .saturating_add(u32::try_from(passed).unwrap_or(u32::MAX))
                            .saturating_add(1);
                        visit(to, parent, &mut numbers, &mut nodes, &mut parents, &mut path)?;
                    }
                    None => {
                        path.pop();
                    }
                }
            }
        }
        Ok(Self { nodes, numbers, parents })
    }

    /// The number of nodes reached, and one for the root of all roots.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing was reached.
    pub fn is_empty(&self) -> bool {
        self.nodes.len() <= 1
    }

    /// The node of a number; `None` for 0 and beyond the end.
    pub fn node(&self, number: u32) -> Option<NodeId> {
        self.nodes.get(number as usize).copied().filter(|&node| node != NONE).map(NodeId)
    }

    /// The number of a node, if the roots reach it.
    pub fn number(&self, node: NodeId) -> Option<u32> {
        self.numbers.get(node.index()).copied().filter(|&number| number != NONE)
    }

    /// The number from which each was reached first; of 0, 0.
    pub fn parents(&self) -> &[u32] {
        &self.parents
    }
}

/// Gives `node` the next number, unless it has one or is not there.
fn visit(
    node: NodeId,
    parent: u32,
    numbers: &mut [u32],
    nodes: &mut Vec<u32>,
    parents: &mut Vec<u32>,
    path: &mut Vec<(u32, u32)>,
) -> Result<(), TooLarge> {
    if let Some(number) = numbers.get_mut(node.index()).filter(|number| **number == NONE) {
        *number = u32::try_from(nodes.len()).ok().filter(|&next| next != NONE).ok_or(TooLarge)?;
        path.push((*number, 0));
        nodes.push(node.0);
        parents.push(parent);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::graph;
    use super::*;

    #[test]
    fn numbers_are_depth_first() {
        let graph = graph(6, &[(0, 2), (0, 1), (2, 3), (3, 0), (1, 3), (4, 5)]);
        let order = Preorder::new(&graph, &[NodeId(0), NodeId(9)]).unwrap();
        let nodes: Vec<_> = (0..order.len() as u32).map(|number| order.node(number)).collect();
        assert_eq!(nodes, [None, Some(NodeId(0)), Some(NodeId(2)), Some(NodeId(3)), Some(NodeId(1))]);
        assert_eq!(order.parents(), [0, 0, 1, 2, 1]);
        assert_eq!(
            (order.number(NodeId(3)), order.number(NodeId(4)), order.number(NodeId(9))),
            (Some(3), None, None)
        );
        assert!(!order.is_empty() && Preorder::new(&graph, &[]).unwrap().is_empty());
    }

    #[test]
    fn long_chain_needs_no_stack() {
        let mut builder = super::super::GraphBuilder::new(1_000_000, 1_000_000).unwrap();
        for node in 1..=1_000_000 {
            builder.edge(NodeId(node));
            builder.end_row().unwrap();
        }
        let order = Preorder::new(&builder.build(), &[NodeId(0)]).unwrap();
        assert_eq!(order.len(), 1_000_001);
    }
}
