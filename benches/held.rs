//! Where the time goes when memobj finds out who holds the objects of a real heap.
//!
//! `cargo bench -p memobj --bench held -- SNAPSHOT`, with what `memobj --save-snapshot SNAPSHOT` saved. `benches/held.py` makes one.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench is a program for the one who runs it"
)]

use std::path::Path;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use memobj::graph::{Preorder, ShortestPaths};
use memobj::holders::Holders;
use memobj::holders::retained::RetainedSizes;
use memobj::object_graph::ObjectGraph;
use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_cpython::heap::walk::walk_heap;
use memobj_cpython::runtime::detect::detect;
use memobj_cpython::runtime::locate::SYMBOLS;
use memobj_process::elf::ElfCache;
use memobj_process::info::ProcessSource as _;
use memobj_process::snapshot;

fn main() {
    let Some(file) = std::env::args().skip(1).find(|argument| !argument.starts_with('-')) else {
        println!("which snapshot? cargo bench -p memobj --bench held -- SNAPSHOT");
        return;
    };
    let threads = available_parallelism().map_or(1, usize::from);
    let mut times = Vec::new();
    let still = timed(&mut times, "snapshot opened", || snapshot::open(Path::new(&file)).unwrap());
    let found = detect(&still, None, &ElfCache::new(SYMBOLS)).unwrap();
    let memory = &still.memory;
    let runtime = found.read(still.memory()).unwrap();
    let python = PythonHeap::from_runtime(memory, &found.layout, &runtime).unwrap();
    let walked = timed(&mut times, "objects found", || walk_heap(&python, threads).unwrap());
    let before = peak_kib();
    let (objects, edges) = {
        let links = timed(&mut times, "links", || ObjectGraph::read(&python, &walked, threads).unwrap());
        let roots = links.root_nodes();
        timed(&mut times, "- a search in depth", || Preorder::new(links.references(), &roots).unwrap());
        timed(&mut times, "- a search in breadth", || {
            ShortestPaths::new(links.references(), &roots, |_, _| true)
        });
        (links.objects(), links.references().edges())
    };
    let holders =
        timed(&mut times, "links, ways and holders", || Holders::find(&python, &walked, threads).unwrap());
    let retained =
        timed(&mut times, "dominators and retained sizes", || RetainedSizes::new(holders.graph()).unwrap());
    let places = holders.places().len();
    timed(&mut times, "retained by holder", || {
        retained.by_group(places, |node| holders.holder(node).map(|place| place.0 as usize))
    });
    println!(
        "{objects} objects, {edges} references, {places} places, {threads} threads\n\n| step | seconds |\n|---|--:|"
    );
    for (step, time) in &times {
        println!("| {step} | {:.2} |", time.as_secs_f64());
    }
    let peak = (peak_kib() - before) * 1024;
    println!(
        "\nPeak beside the copy and the sets of objects: {} MiB: {:.1} bytes an object beside 8 a reference.",
        peak >> 20,
        (peak as f64 - edges as f64 * 8.0) / objects as f64
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
