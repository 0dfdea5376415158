//! Who holds the open file descriptors: the objects that own them, by holder and type.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use common::record::DescriptorTotal;
use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_process::memory::Memory;

use super::Holders;
use crate::graph::NodeId;
use crate::object_graph::ObjectGraph;

/// The objects that own a file descriptor that is in `open`, one for each descriptor.
pub fn find_descriptor_owners<M: Memory>(
    python: &PythonHeap<'_, M>,
    graph: &ObjectGraph<'_>,
    open: &BTreeSet<u32>,
) -> Vec<NodeId> {
    let fields: Vec<_> = graph.types().iter().map(|counted| counted.ty.descriptor).collect();
    if fields.iter().all(Option::is_none) {
        return Vec::new();
    }
    let mut owners = Vec::new();
    // The program may have closed a descriptor behind the back of an object, and another object may have its number now.
    let mut found: HashSet<u32> = HashSet::new();
    graph.each_object(|node, at| {
        let field = fields.get(graph.type_index(node).0 as usize).copied().flatten();
        let number = field.and_then(|field| field.read(python.memory, at));
        if number.is_some_and(|number| open.contains(&number) && found.insert(number)) {
            owners.push(node);
        }
    });
    owners
}

/// Totals by holder and type, those with the most file descriptors first.
pub fn sum_descriptors<M: Memory>(
    python: &PythonHeap<'_, M>,
    holders: &Holders<'_>,
    open: &BTreeSet<u32>,
) -> Vec<DescriptorTotal> {
    let graph = holders.graph();
    let mut totals: BTreeMap<(&str, String), u64> = BTreeMap::new();
    for node in find_descriptor_owners(python, graph, open) {
        let holder = holders.holder(node).and_then(|place| holders.place(place));
        let name = graph.type_of(node).map_or_else(|| "?".into(), |of| of.name());
        let count = totals.entry((holder.map_or("?", |place| &place.text), name)).or_default();
        *count = count.saturating_add(1);
    }
    let row = |((holder, name), count): ((&str, String), u64)| DescriptorTotal {
        holder: holder.into(),
        name: name.into(),
        count,
    };
    let mut rows: Vec<DescriptorTotal> = totals.into_iter().map(row).collect();
    rows.sort_by_key(|row| Reverse(row.count));
    rows
}
