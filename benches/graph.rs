//! How fast the graph of a heap is searched, and in how much memory.
//!
//! `cargo bench -p memobj --bench graph [-- [NODES]]`: a heap of so many objects (10,000,000): records with dicts, strings
//! and lists of their own, in two lists each, with references from anywhere to anywhere.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench is a program for the one who runs it"
)]

use std::time::{Duration, Instant};

use memobj::graph::{Dominators, Graph, NodeId, Preorder, ShortestPaths};

fn main() {
    let nodes = std::env::args().find_map(|argument| argument.parse::<u32>().ok()).unwrap_or(10_000_000);
    let mut times = Vec::new();
    let graph = timed(&mut times, "made", || heap(nodes));
    let edges = graph.edges();
    let roots: Vec<_> = (0..100).map(NodeId).collect();
    let made = peak_kib();
    let order = timed(&mut times, "numbered in depth", || Preorder::new(&graph, &roots).unwrap());
    let dominators = timed(&mut times, "dominators", || Dominators::new(&graph, &order, &roots));
    let retained =
        timed(&mut times, "retained", || dominators.retained(|number| u64::from(number != 0) * 64));
    let peak = peak_kib();
    let paths = timed(&mut times, "shortest paths", || ShortestPaths::new(&graph, &roots, |_, _| true));
    let reached = (0..nodes).filter(|&node| paths.reaches(NodeId(node))).count();
    assert_eq!(reached + 1, order.len(), "both searches reach the same");
    assert_eq!(
        retained.first().copied(),
        Some(reached as u64 * 64),
        "the root of all roots retains everything"
    );
    println!("{nodes} nodes, {edges} edges, {reached} reached\n\n| step | seconds |\n|---|--:|");
    for (step, time) in &times {
        println!("| {step} | {:.2} |", time.as_secs_f64());
    }
    let total: Duration = times.iter().skip(1).take(3).map(|&(_, time)| time).sum();
    println!("| **dominators and retained in all** | **{:.2}** |", total.as_secs_f64());
    println!(
        "\nPeak: {} MiB for the graph alone, {} MiB in all: {:.1} bytes a node beside 8 an edge.",
        made / 1024,
        peak / 1024,
        (peak as f64 * 1024.0 - edges as f64 * 8.0) / f64::from(nodes)
    );
}

fn timed<T>(times: &mut Vec<(&'static str, Duration)>, step: &'static str, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = work();
    times.push((step, begun.elapsed()));
    result
}

/// What this process took at most, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Objects as an allocator lays them, what is made together lying together: 100 shared ones (types, interned names, small numbers), then
/// records of seven (an instance, its dict, two strings, a number, a list, a float), held by lists of 1,000, each record by two.
fn heap(nodes: u32) -> Graph {
    let mut builder = memobj::graph::GraphBuilder::new(nodes as usize, nodes as usize * 3).unwrap();
    let mut random = 1_u64;
    let mut chance = |below: u32| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((random >> 33) % u64::from(below)) as u32
    };
    // 100 shared ones, of which the first is a list of all lists; then the lists; then the records.
    let lists = (nodes - SHARED) / (7 * 1000 + 2) * 2;
    let first = SHARED + lists;
    let records = (nodes - first) / 7;
    for node in 0..nodes {
        let mut row = |targets: &[u32]| targets.iter().for_each(|&to| builder.edge(NodeId(to)));
        if node == 0 {
            row(&(SHARED..first).collect::<Vec<_>>());
        } else if let Some(list) = node.checked_sub(SHARED).filter(|&list| list < lists) {
            // Half of them hold the records in the order in which they were made, the others as it comes.
            let record =
                |place| if list % 2 == 0 { (list / 2 * 1000 + place) % records } else { chance(records) };
            row(&(0..1000).map(record).map(|record| first + record * 7).collect::<Vec<_>>());
        } else if let Some(place) = node.checked_sub(first) {
            match place % 7 {
                0 => row(&[1, node + 1]),
                1 => row(&[2, 10, node + 1, 11, node + 2, 12, node + 3, 13, node + 4]),
                5 => row(&[50 + chance(50), 50 + chance(50), node + 1, first + chance(records) * 7]),
                _ => {}
            }
        }
        builder.end_row().unwrap();
    }
    builder.build()
}

/// How many objects everything shares.
const SHARED: u32 = 100;
