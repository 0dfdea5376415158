//! Breadth-first search: the shortest path from a root to each node.

use super::preorder::NONE;
use super::{Graph, NodeId};

/// The parent of each node in a breadth-first search; following parents leads to the nearest root by the fewest edges. 4 bytes a node.
#[derive(Debug)]
pub struct ShortestPaths {
    /// The parent of each node: itself for a root, `NONE` if it was not reached.
    parents: Vec<u32>,
}

impl ShortestPaths {
    /// Searches `graph` from `roots`. Of paths of one length, the one from the earlier root and over the earlier edge wins. Edges for which
    /// `follow(from, to)` is false are skipped.
    pub fn new(graph: &Graph, roots: &[NodeId], follow: impl FnMut(NodeId, NodeId) -> bool) -> Self {
        let mut paths = Self { parents: vec![NONE; graph.nodes()] };
        paths.extend(graph, roots, follow);
        paths
    }

    /// Extends the search to other roots or edges; nodes that were reached keep their path. A root that was reached is searched again,
    /// since `follow` may accept more now.
    pub fn extend(
        &mut self,
        graph: &Graph,
        roots: &[NodeId],
        mut follow: impl FnMut(NodeId, NodeId) -> bool,
    ) {
        let before = &mut self.parents;
        let mut front = Vec::new();
        for &root in roots {
            let Some(place) = before.get_mut(root.index()) else { continue };
            if *place == NONE {
                *place = root.0;
            }
            front.push(root);
        }
        let mut next = Vec::new();
        while !front.is_empty() {
            for &from in &front {
                for &to in graph.targets(from) {
                    if before.get(to.index()).is_some_and(|&place| place == NONE) && follow(from, to) {
                        if let Some(place) = before.get_mut(to.index()) {
                            *place = from.0;
                        }
                        next.push(to);
                    }
                }
            }
            front.clear();
            std::mem::swap(&mut front, &mut next);
        }
    }

    /// Whether a root reaches `node`.
    pub fn reaches(&self, node: NodeId) -> bool {
        self.parents.get(node.index()).is_some_and(|&before| before != NONE)
    }

    /// The parent of `node`; `None` for a root and for a node that is not reached.
    pub fn parent(&self, node: NodeId) -> Option<NodeId> {
        self.parents
            .get(node.index())
            .copied()
            .filter(|&before| before != NONE && before != node.0)
            .map(NodeId)
    }

    /// The path from a root to `node`, with both ends; empty if no root reaches it.
    pub fn path_to(&self, node: NodeId) -> Vec<NodeId> {
        if !self.reaches(node) {
            return Vec::new();
        }
        let mut path: Vec<_> = std::iter::successors(Some(node), |&node| self.parent(node)).collect();
        path.reverse();
        path
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::graph;
    use super::*;

    #[test]
    fn paths_are_the_shortest() {
        let graph = graph(7, &[(0, 1), (1, 2), (2, 3), (0, 4), (4, 3), (3, 0), (5, 6), (3, 3)]);
        let paths = ShortestPaths::new(&graph, &[NodeId(0), NodeId(9)], |_, _| true);
        let path = |node| paths.path_to(NodeId(node)).into_iter().map(|node| node.0).collect::<Vec<_>>();
        assert_eq!(path(3), [0, 4, 3]);
        assert_eq!(path(0), [0]);
        assert!(path(6).is_empty() && path(9).is_empty());
        assert_eq!(paths.parent(NodeId(0)), None);
    }

    #[test]
    fn extended_search_keeps_paths() {
        let graph = graph(6, &[(0, 1), (1, 2), (3, 2), (3, 4), (2, 5)]);
        let mut paths = ShortestPaths::new(&graph, &[NodeId(0)], |_, to| to != NodeId(5));
        let path = |paths: &ShortestPaths, node| {
            paths.path_to(NodeId(node)).into_iter().map(|node| node.0).collect::<Vec<_>>()
        };
        paths.extend(&graph, &[NodeId(3)], |_, _| true);
        assert_eq!(path(&paths, 2), [0, 1, 2]);
        assert_eq!(path(&paths, 4), [3, 4]);
        assert!(!paths.reaches(NodeId(5)), "what was reached is not looked at again");
        paths.extend(&graph, &[NodeId(2)], |_, _| true);
        assert_eq!(path(&paths, 5), [0, 1, 2, 5]);
    }

    #[test]
    fn edges_may_be_passed_over() {
        let graph = graph(4, &[(0, 3), (0, 1), (1, 2), (2, 3)]);
        let paths = ShortestPaths::new(&graph, &[NodeId(0)], |from, to| (from.0, to.0) != (0, 3));
        assert_eq!(paths.path_to(NodeId(3)).len(), 4);
    }
}
