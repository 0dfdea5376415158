//! Dominators of large graphs are those that another algorithm finds: petgraph's, which follows Cooper, Harvey and Kennedy.
#![allow(clippy::unwrap_used, reason = "in tests a panic is the message")]

use memobj::graph::{Dominators, Graph, GraphBuilder, NodeId, Preorder};
use petgraph::algo::dominators::simple_fast;
use petgraph::graph::{DiGraph, NodeIndex};

/// Numbers that look random, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(end)) as u32
    }
}

/// The targets of each node of a graph like a heap's: most refer to few that lie near, some, and the root, to many, some to anything.
fn rows(nodes: u32, root: u32, random: &mut Random) -> Vec<Vec<u32>> {
    let mut rows = Vec::new();
    for node in 0..nodes {
        let many = if node == root || random.below(100) == 0 { 60 } else { random.below(4) };
        let target = |random: &mut Random| match random.below(8) {
            0 => random.below(nodes),
            _ => (node + 1 + random.below(50)) % nodes,
        };
        rows.push((0..many).map(|_| target(random)).collect());
    }
    rows
}

fn graph(rows: &[Vec<u32>]) -> Graph {
    let mut builder = GraphBuilder::new(rows.len(), 0).unwrap();
    for row in rows {
        row.iter().for_each(|&to| builder.edge(NodeId(to)));
        builder.end_row().unwrap();
    }
    builder.build()
}

/// The nodes whose dominators differ, and how many were compared.
fn compare(rows: &[Vec<u32>], root: u32) -> (Vec<u32>, usize) {
    let graph = graph(rows);
    let roots = [NodeId(root)];
    let order = Preorder::new(&graph, &roots).unwrap();
    let ours = Dominators::new(&graph, &order, &roots);
    let edges = (0..).zip(rows).flat_map(|(from, row)| row.iter().map(move |&to| (from, to)));
    let other = DiGraph::<(), ()>::from_edges(edges);
    let theirs = simple_fast(&other, NodeIndex::new(root as usize));
    let mut differ = Vec::new();
    for node in 0..rows.len() as u32 {
        let number = order.number(NodeId(node));
        let dominator = number.and_then(|number| {
            let dominator = ours.immediate().get(number as usize).copied()?;
            order.node(dominator).map(|node| node.0)
        });
        let expected = theirs.immediate_dominator(NodeIndex::new(node as usize));
        if dominator != expected.map(|node| node.index() as u32) {
            differ.push(node);
        }
    }
    (differ, order.len() - 1)
}

#[test]
fn dominators_match_the_oracle() {
    let mut random = Random(2026);
    for nodes in [10, 1000, 200_000] {
        let root = random.below(nodes);
        let rows = rows(nodes, root, &mut random);
        let (differ, reached) = compare(&rows, root);
        assert!(differ.is_empty(), "of {nodes} from {root}: {differ:?}");
        assert!(nodes < 1000 || reached > nodes as usize / 2, "only {reached} of {nodes} are reached");
    }
}

#[test]
fn deep_graphs_match_the_oracle() {
    let chain: Vec<Vec<u32>> = (0..100_000).map(|node| vec![(node + 1) % 100_000]).collect();
    assert_eq!(compare(&chain, 0), (vec![], 100_000));
    let ladder: Vec<Vec<u32>> =
        (0..10_000).map(|node| vec![(node + 1) % 10_000, (node + 2) % 10_000]).collect();
    assert_eq!(compare(&ladder, 7), (vec![], 10_000));
}
