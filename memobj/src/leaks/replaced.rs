//! Objects of classes that were freed and replaced by others of their class at the same address.
//!
//! An object of a class has no constant part of its own, so its address and type alone identify it. But what it holds came with it: if all
//! of that is newer than the object seems to be, another object has taken its place. A table that is emptied and filled again reuses its
//! memory in the same order, and would seem to keep its objects.

use memobj_cpython::heap::types::Type;
use memobj_process::memory::Memory;

use crate::graph::NodeId;
use crate::holders::Holders;
use crate::names::NameReader;
use crate::survivors::Generations;

/// Corrects the census in which such objects, and the dicts of their attributes, were first seen.
pub(super) fn correct<M: Memory>(
    generations: &mut Generations,
    holders: &Holders<'_>,
    names: &mut NameReader<'_, '_, M>,
) {
    let (graph, paths) = (holders.graph(), holders.paths());
    let is_instance = |of: &Type| of.class.is_some() && of.kind.is_none() && !of.is_metatype();
    for node in graph.object_nodes() {
        let first_seen = generations.first_seen(node);
        let is_known = first_seen > 0 && first_seen != generations.current();
        if !(is_known && graph.type_of(node).is_some_and(is_instance)) {
            continue;
        }
        let dict = graph.address(node).and_then(|at| names.namespace(at)).and_then(|dict| graph.node(dict));
        let held = |holder: NodeId| {
            let targets = graph.references().targets(holder).iter().copied();
            targets.filter(move |&to| paths.parent(to) == Some(holder) && Some(to) != dict)
        };
        let held = held(node).chain(dict.into_iter().flat_map(held));
        let oldest = held.map(|to| generations.first_seen(to)).min();
        if let Some(oldest) = oldest.filter(|&oldest| oldest > first_seen) {
            dict.into_iter().chain([node]).for_each(|node| generations.correct(node, oldest));
        }
    }
}
