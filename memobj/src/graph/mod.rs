//! Graphs of numbered nodes: dominators, shortest paths. Knows nothing of Python.
//!
//! Flat arrays throughout: a node is a number below 2³², its edges are a row of a compressed table ([`Graph`]). A depth-first search from
//! the roots gives the [`preorder`], in whose numbers [`dominators`] work; a breadth-first search gives the [`shortest_paths`].
//!
//! ```
//! use memobj::graph::{Dominators, GraphBuilder, NodeId, Preorder, ShortestPaths};
//!
//! // 0 → 1 → 2, and 0 → 2.
//! let mut builder = GraphBuilder::new(3, 3)?;
//! for targets in [&[1, 2][..], &[2], &[]] {
//!     targets.iter().for_each(|&to| builder.edge(NodeId(to)));
//!     builder.end_row()?;
//! }
//! let graph = builder.build();
//! let roots = [NodeId(0)];
//! let order = Preorder::new(&graph, &roots)?;
//! // With a weight of 1 each, node 0 retains all three, node 1 itself alone.
//! let retained = Dominators::new(&graph, &order, &roots).retained(|number| u64::from(number > 0));
//! assert_eq!(retained, [3, 3, 1, 1]);
//! let paths = ShortestPaths::new(&graph, &roots, |_, _| true);
//! assert_eq!(paths.path_to(NodeId(2)), [NodeId(0), NodeId(2)]);
//! # Ok::<(), memobj::graph::TooLarge>(())
//! ```

mod adjacency;
pub mod dominators;
pub mod node_set;
pub mod preorder;
pub mod shortest_paths;

pub use dominators::Dominators;
pub use node_set::NodeSet;
pub use preorder::Preorder;
pub use shortest_paths::ShortestPaths;

/// A node: an object, by its rank among all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    /// Its index in an array of all nodes.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// More nodes or edges than numbers of 32 bits can count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than 4,294,967,294 nodes or edges")]
pub struct TooLarge;

/// Edges by the node they leave from: 4 bytes an edge and 4 a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// The start of each node's row in `targets`, and the end of the last one.
    starts: Vec<u32>,
    targets: Vec<NodeId>,
}

impl Graph {
    /// The number of nodes.
    pub fn nodes(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// The number of edges, parallel ones included.
    pub fn edges(&self) -> usize {
        self.targets.len()
    }

    /// The targets of the edges of `node`, in the order in which they were added; none for a node that is not there.
    #[inline]
    pub fn targets(&self, node: NodeId) -> &[NodeId] {
        let (Some(&start), Some(&end)) = (self.starts.get(node.index()), self.starts.get(node.index() + 1))
        else {
            return &[];
        };
        self.targets.get(start as usize..end as usize).unwrap_or_default()
    }

    /// Adds a node behind all others with its edges, except those to nodes that are not there.
    ///
    /// # Errors
    /// If there are too many nodes or edges then; the graph stays as it was.
    pub fn add(&mut self, targets: impl IntoIterator<Item = NodeId>) -> Result<NodeId, TooLarge> {
        let node = u32::try_from(self.nodes()).ok().filter(|&node| node < u32::MAX - 1).ok_or(TooLarge)?;
        let before = self.targets.len();
        self.targets.extend(targets.into_iter().filter(|to| to.0 <= node));
        match u32::try_from(self.targets.len()) {
            Ok(end) => self.starts.push(end),
            Err(_) => {
                self.targets.truncate(before);
                return Err(TooLarge);
            }
        }
        Ok(NodeId(node))
    }
}

/// Makes a [`Graph`] from rows that come in the order of the nodes.
#[derive(Debug)]
pub struct GraphBuilder {
    nodes: usize,
    starts: Vec<u32>,
    targets: Vec<NodeId>,
}

impl GraphBuilder {
    /// For `nodes` nodes and about `edges` edges.
    ///
    /// # Errors
    /// If there are too many nodes.
    pub fn new(nodes: usize, edges: usize) -> Result<Self, TooLarge> {
        // One number is left for "none".
        if u32::try_from(nodes).is_ok_and(|nodes| nodes < u32::MAX) {
            let mut starts = Vec::with_capacity(nodes + 1);
            starts.push(0);
            Ok(Self { nodes, starts, targets: Vec::with_capacity(edges) })
        } else {
            Err(TooLarge)
        }
    }

    /// Adds an edge to the present row, unless its target is not there.
    #[inline]
    pub fn edge(&mut self, to: NodeId) {
        if to.index() < self.nodes {
            self.targets.push(to);
        }
    }

    /// Ends the row of the present node.
    ///
    /// # Errors
    /// If there are too many edges.
    pub fn end_row(&mut self) -> Result<(), TooLarge> {
        let end = u32::try_from(self.targets.len()).map_err(|_| TooLarge)?;
        if self.starts.len() <= self.nodes {
            self.starts.push(end);
        }
        Ok(())
    }

    /// Appends the finished rows of another builder.
    ///
    /// # Errors
    /// If there are too many edges then.
    pub fn append(&mut self, other: Self) -> Result<(), TooLarge> {
        let base = self.starts.last().copied().unwrap_or(0);
        self.targets.truncate(base as usize);
        let end = other.starts.last().copied().unwrap_or(0);
        base.checked_add(end).ok_or(TooLarge)?;
        self.targets
            .extend(other.targets.into_iter().take(end as usize).filter(|to| to.index() < self.nodes));
        let room = (self.nodes + 1).saturating_sub(self.starts.len());
        self.starts.extend(other.starts.into_iter().skip(1).take(room).map(|end| end.saturating_add(base)));
        Ok(())
    }

    /// Builds the graph. A node without a finished row has no edges.
    pub fn build(mut self) -> Graph {
        let end = self.starts.last().copied().unwrap_or(0);
        self.targets.truncate(end as usize);
        self.starts.resize(self.nodes + 1, end);
        Graph { starts: self.starts, targets: self.targets }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A graph of `nodes` nodes with these edges.
    pub(crate) fn graph(nodes: usize, edges: &[(u32, u32)]) -> Graph {
        let mut builder = GraphBuilder::new(nodes, edges.len()).unwrap();
        for node in 0..nodes as u32 {
            for &(_, to) in edges.iter().filter(|&&(from, _)| from == node) {
                builder.edge(NodeId(to));
            }
            builder.end_row().unwrap();
        }
        builder.build()
    }

    #[test]
    fn rows_keep_their_order() {
        let graph = graph(3, &[(0, 1), (0, 2), (0, 1), (2, 0)]);
        assert_eq!((graph.nodes(), graph.edges()), (3, 4));
        assert_eq!(graph.targets(NodeId(0)), [NodeId(1), NodeId(2), NodeId(1)]);
        assert!(graph.targets(NodeId(1)).is_empty());
        assert_eq!(graph.targets(NodeId(2)), [NodeId(0)]);
        assert!(graph.targets(NodeId(3)).is_empty() && graph.targets(NodeId(u32::MAX)).is_empty());
    }

    #[test]
    fn rows_made_apart_are_one_graph() {
        let whole = graph(4, &[(0, 1), (1, 3), (1, 2), (3, 0)]);
        let mut first = GraphBuilder::new(4, 0).unwrap();
        first.edge(NodeId(1));
        first.end_row().unwrap();
        let mut second = GraphBuilder::new(4, 0).unwrap();
        for row in [&[3, 2][..], &[], &[0]] {
            row.iter().for_each(|&to| second.edge(NodeId(to)));
            second.end_row().unwrap();
        }
        first.append(second).unwrap();
        assert_eq!(first.build(), whole);
    }

    #[test]
    fn added_node_comes_last() {
        let mut graph = graph(2, &[(0, 1)]);
        assert_eq!(graph.add([NodeId(1), NodeId(2), NodeId(3), NodeId(0)]), Ok(NodeId(2)));
        assert_eq!(graph.nodes(), 3);
        assert_eq!(graph.targets(NodeId(2)), [NodeId(1), NodeId(2), NodeId(0)]);
        assert_eq!(graph.targets(NodeId(0)), [NodeId(1)]);
    }

    #[test]
    fn invalid_edges_and_rows_are_dropped() {
        let mut builder = GraphBuilder::new(2, 0).unwrap();
        builder.edge(NodeId(2));
        builder.edge(NodeId(1));
        builder.end_row().unwrap();
        builder.edge(NodeId(0));
        let graph = builder.build();
        assert_eq!((graph.nodes(), graph.edges()), (2, 1));
        assert_eq!(GraphBuilder::new(u32::MAX as usize, 0).err(), Some(TooLarge));
    }
}
