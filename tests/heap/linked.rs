//! The graph of a process is what that process finds in itself: every reference of it; and what its objects retain is what a search
//! finds that goes without them.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use memobj::graph::{Graph, NodeId};
use memobj::holders::retained::RetainedSizes;
use memobj::object_graph::ObjectGraph;
use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_cpython::heap::referents::{EdgeKind, ReferenceReader};
use memobj_cpython::heap::types::TypeRegistry;
use memobj_cpython::heap::walk::walk_heap;
use memobj_process::addr::Addr;

use super::target::Target;
use super::{Differences, is_known, layout_of, name_of};
use crate::support::interpreters::{build, interpreters, loads};

/// What is in a list more often than in another; dicts of thousands are compared.
fn more(all: &[u64], than: &[u64]) -> Vec<u64> {
    let mut left: HashMap<u64, usize> = HashMap::new();
    for one in than {
        *left.entry(*one).or_default() += 1;
    }
    let is_more = |one: &&u64| match left.get_mut(one) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    all.iter().filter(is_more).copied().collect()
}

/// Reads the graph of a target with one thread and with three, which must be the same.
fn each_graph(
    script: &str,
    mut compare: impl FnMut(&str, &PythonHeap<'_, super::target::Copied>, &Target, &ObjectGraph<'_>),
) {
    for interpreter in interpreters() {
        let name = interpreter.to_string();
        if !loads(interpreter, "ctypes") {
            continue;
        }
        let target = Target::run(&interpreter.program, script);
        let (layout, found) = layout_of(&target, build(interpreter));
        let python = PythonHeap::read(&target.memory, &layout, target.runtime, &found).unwrap();
        let walked = walk_heap(&python, 1).unwrap();
        let links = ObjectGraph::read(&python, &walked, 1).unwrap();
        let again = ObjectGraph::read(&python, &walked, 3).unwrap();
        assert!(
            links.references() == again.references(),
            "{name}: three threads find another graph than one"
        );
        compare(&name, &python, &target, &links);
    }
}

#[test]
fn every_reference_is_an_edge() {
    let mut wrong = String::new();
    each_graph("fixture.py", |name, python, target, links| {
        let mut differences = Differences::default();
        let mut types = TypeRegistry::new(python);
        for (&at, object) in &target.oracle.objects {
            let Some(node) = links.node(Addr(at)) else {
                let of = name_of(&mut types, Addr(at));
                differences.add(format!("no node: {of}"), || format!("{at:#x}"));
                continue;
            };
            let edges = links.references().targets(node).iter().filter_map(|&to| links.address(to));
            let mut edges: Vec<u64> = edges.map(|at| at.0).collect();
            edges.sort_unstable();
            let id = types.type_of(Addr(at)).unwrap();
            let of = types.get(id).unwrap().clone();
            let lacks = more(&object.referents, &edges);
            // What is there besides, the process does not show: strings in dicts, constants of code, the type.
            let mut hidden = vec![of.at.0];
            let mut reader = ReferenceReader { python, types: &mut types };
            reader.read_hidden(Addr(at), &of, &mut |to: Addr, _: EdgeKind| hidden.push(to.0)).unwrap();
            let extra = more(&more(&edges, &object.referents), &hidden);
            if !lacks.is_empty() || !extra.is_empty() {
                let mut is_guessed = false;
                let mut note = |_: Addr, kind| is_guessed |= kind == EdgeKind::Guessed;
                reader.read_visited(Addr(at), &of, &mut note).unwrap();
                let guessed = if is_guessed { "guessed " } else { "" };
                differences.add(format!("{guessed}referents of {}", of.name()), || {
                    format!("{at:#x} lacks {lacks:x?}; extra {extra:x?}")
                });
            }
        }
        differences.0.retain(|about, (count, _)| !is_known(about, *count));
        if !differences.0.is_empty() {
            writeln!(wrong, "{name}:\n{}", differences.report()).unwrap();
        }
    });
    assert!(wrong.is_empty(), "{wrong}");
}

/// The bytes of all that the roots reach if they may not go over the nodes that `without` holds.
fn reached(links: &ObjectGraph<'_>, without: &HashSet<NodeId>) -> u64 {
    let graph: &Graph = links.references();
    let mut seen = vec![false; graph.nodes()];
    let mut stack: Vec<NodeId> = links.root_nodes();
    let mut bytes = 0;
    while let Some(node) = stack.pop() {
        if seen[node.index()] || without.contains(&node) {
            continue;
        }
        seen[node.index()] = true;
        bytes += links.size(node);
        stack.extend(graph.targets(node));
    }
    bytes
}

#[test]
fn retained_is_unreached_without_owner() {
    let mut wrong = String::new();
    each_graph("frozen.py", |name, _, _, links| {
        let retained = RetainedSizes::new(links).unwrap();
        let all = reached(links, &HashSet::new());
        let mut by_type: HashMap<_, Vec<NodeId>> = HashMap::new();
        for node in (0..links.objects() as u32).map(NodeId) {
            by_type.entry(links.type_index(node)).or_default().push(node);
        }
        // Of each type its first, its middle and its last object; and all sources.
        let mut nodes: Vec<NodeId> = links.root_nodes();
        for of in by_type.values() {
            nodes.extend([of[0], of[of.len() / 2], of[of.len() - 1]]);
        }
        nodes.sort_unstable();
        nodes.dedup();
        let (mut some, mut many) = (0, 0);
        for &node in nodes.iter().step_by((nodes.len() / 150).max(1)) {
            let expected = all - reached(links, &HashSet::from([node]));
            let ours = retained.bytes_of(node);
            some += u32::from(ours > 0);
            many += u32::from(ours > links.size(node));
            if ours != expected {
                let of = links.type_of(node).map(|of| of.name());
                writeln!(wrong, "{name}: {of:?} retains {expected}, not {ours}").unwrap();
            }
        }
        assert!(
            some > 50 && many > 20,
            "{name}: of the sample {some} retain something, {many} more than themselves"
        );
    });
    assert!(wrong.is_empty(), "{wrong}");
}
