//! The heap snapshot of V8: Chrome DevTools and memlab open it.
//!
//! Facts: `HeapSnapshotJSONSerializer` in V8's `src/profiler/heap-snapshot-generator.cc`, and what DevTools reads of it
//! (`HeapSnapshotLoader.ts`, `HeapSnapshot.ts` in `front_end/entrypoints/heap_snapshot_worker`). Both readers keep numbers in 32 bits.

use std::io::{self, Write};

use common::record::Liveness;
use memobj_process::memory::Memory;

use super::edges::{EdgeReader, Label};
use super::ids::Ids;
use super::strings::Strings;
use crate::graph::NodeId;
use crate::holders::Holders;
use crate::names::NameReader;
use crate::object_graph::TypeIndex;

/// The fields of nodes and edges, as V8 names and orders them. Readers find fields by name, some by number.
const META: &str = r#"{"node_fields":["type","name","id","self_size","edge_count","trace_node_id","detachedness"],"node_types":[["hidden","array","string","object","code","closure","regexp","number","native","synthetic","concatenated string","sliced string","symbol","bigint","object shape"],"string","number","number","number","number","number"],"edge_fields":["type","name_or_index","to_node"],"edge_types":[["context","element","property","internal","hidden","shortcut","weak"],"string_or_number","node"],"trace_function_info_fields":["function_id","name","script_name","script_id","line","column"],"trace_node_fields":["id","function_info_index","count","size","children"],"sample_fields":["timestamp_us","last_assigned_id"],"location_fields":["object_index","script_id","line","column"]}"#;

/// The number of fields of a node.
const NODE_FIELDS: u64 = 7;

/// Numbers of types of nodes. All objects are `object`: readers show arrays and strings without the name of their class.
const OBJECT: u8 = 3;
const SYNTHETIC: u8 = 9;

/// The node above all roots, and above the unreachable objects.
const ROOT: &str = "(Python)";
const UNREACHABLE: &str = "(unreachable)";

/// Writes all objects with their references.
pub(super) fn write<M: Memory>(
    names: &mut NameReader<'_, '_, M>,
    holders: &Holders<'_>,
    out: &mut impl Write,
) -> io::Result<()> {
    let graph = holders.graph();
    let references = graph.references();
    let unreachable: Vec<NodeId> =
        graph.object_nodes().filter(|&node| graph.liveness(node) == Liveness::Garbage).collect();
    // The root is first; nodes of the graph follow in their order; the one above unreachable objects is last.
    let below_root = graph.roots().len() + usize::from(!unreachable.is_empty());
    let nodes = references.nodes() + 1 + usize::from(!unreachable.is_empty());
    let edges = references.edges() + below_root + unreachable.len();
    writeln!(
        out,
        "{{\"snapshot\":{{\"meta\":{META},\"node_count\":{nodes},\"edge_count\":{edges},\"trace_function_count\":0}},\"nodes\":["
    )?;

    let mut strings = Strings::new("(no name)");
    let mut reader = EdgeReader::new(holders, names);
    let mut row = NodeRow { out, is_first: true };
    // The ids 1 to `reserved` are those of the nodes that are no objects.
    let reserved = graph.roots().len() as u64 + 2;
    let ids = Ids::new(graph, reserved);
    row.write(SYNTHETIC, strings.number(ROOT), 1, 0, below_root)?;
    let types = (0..).map(TypeIndex).take(graph.types().len());
    let type_names: Vec<u32> = types.map(|of| reader.name_type(of, &mut strings)).collect();
    let unknown = strings.number("?");
    let mut failed = Ok(());
    graph.each_object(|node, at| {
        let name = type_names.get(graph.type_index(node).0 as usize).copied().unwrap_or(unknown);
        let numbered = u64::from(node.0).saturating_add(reserved).saturating_add(1);
        let id = ids.as_ref().map_or(numbered, |ids| ids.id(at));
        // Readers keep 32 bits: a larger object is 4 GiB there.
        let size = graph.size(node).min(u64::from(u32::MAX));
        if failed.is_ok() {
            failed = row.write(OBJECT, name, id, size, references.targets(node).len());
        }
    });
    failed?;
    for (root, id) in graph.roots().iter().zip(2..) {
        let name = reader.name_root(root.node, &mut strings);
        row.write(SYNTHETIC, name, id, 0, references.targets(root.node).len())?;
    }
    if !unreachable.is_empty() {
        row.write(SYNTHETIC, strings.number(UNREACHABLE), reserved, 0, unreachable.len())?;
    }

    writeln!(out, "],\n\"edges\":[")?;
    let mut row = EdgeRow { out, is_first: true };
    let first_root = graph.objects() as u64 + 1;
    for (index, node) in (0..below_root).zip(first_root..) {
        row.write(Label::Element(u32::try_from(index).unwrap_or(u32::MAX)), node)?;
    }
    let position = |node: NodeId| u64::from(node.0) + 1;
    for node in (0..).map(NodeId).take(references.nodes()) {
        let is_garbage = |node: NodeId| graph.liveness(node) == Liveness::Garbage;
        let from_garbage = node.index() < graph.objects() && is_garbage(node);
        reader.visit(node, &mut strings, |label, to| {
            // Garbage keeps nothing alive: without this it would share what others retain.
            let label = if from_garbage && !is_garbage(to) { Label::Weak(label.name()) } else { label };
            row.write(label, position(to))
        })?;
    }
    for (index, &node) in (0..).zip(&unreachable) {
        row.write(Label::Element(index), position(node))?;
    }

    let none = "],\n\"trace_function_infos\":[],\n\"trace_tree\":[],\n\"samples\":[],\n\"locations\":[],\n";
    writeln!(out, "{none}\"strings\":[")?;
    for (number, text) in strings.list().iter().enumerate() {
        out.write_all(if number == 0 { b"" } else { b",\n" })?;
        serde_json::to_writer(&mut *out, text)?;
    }
    writeln!(out, "]}}")
}

/// Writes the rows of nodes.
struct NodeRow<'o, W> {
    out: &'o mut W,
    is_first: bool,
}

impl<W: Write> NodeRow<'_, W> {
    fn write(&mut self, kind: u8, name: u32, id: u64, size: u64, edges: usize) -> io::Result<()> {
        let comma = if std::mem::take(&mut self.is_first) { "" } else { "," };
        writeln!(self.out, "{comma}{kind},{name},{id},{size},{edges},0,0")
    }
}

/// Writes the rows of edges.
struct EdgeRow<'o, W> {
    out: &'o mut W,
    is_first: bool,
}

impl<W: Write> EdgeRow<'_, W> {
    /// `position` is that of the node among all.
    fn write(&mut self, label: Label, position: u64) -> io::Result<()> {
        let comma = if std::mem::take(&mut self.is_first) { "" } else { "," };
        let (kind, name) = match label {
            Label::Context(name) => (0, name),
            Label::Element(index) => (1, index),
            Label::Property(name) => (2, name),
            Label::Internal(name) => (3, name),
            Label::Weak(name) => (6, name),
        };
        writeln!(self.out, "{comma}{kind},{name},{}", position.saturating_mul(NODE_FIELDS))
    }
}
