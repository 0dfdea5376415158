//! Objects of classes that were freed and replaced by others of their class at the same address.
//!
//! An object of a class has no constant part of its own, so its address and type alone identify it. But what it holds came with it: if all
//! of that is newer than the object seems to be, another object has taken its place. A table that is emptied and filled again reuses its
//! memory in the same order, and would seem to keep its objects.

use memobj_cpython::heap::builtins::Builtin;
use memobj_cpython::heap::types::Type;
use memobj_process::memory::Memory;

use crate::graph::NodeId;
use crate::holders::Holders;
use crate::names::NameReader;
use crate::survivors::Generations;

/// Corrects the census in which such objects, and the dicts of their attributes, were first seen. An instance and its dict have addresses of
/// their own, so each may seem to be older than the other.
pub(super) fn correct<M: Memory>(
    generations: &mut Generations,
    holders: &Holders<'_>,
    names: &mut NameReader<'_, '_, M>,
) {
    let (graph, paths) = (holders.graph(), holders.paths());
    let is_dict = |of: &Type| of.kind == Some(Builtin::Dict);
    let is = |node: NodeId, is: fn(&Type) -> bool| graph.type_of(node).is_some_and(is);
    let mut dict_of = |node: NodeId| graph.node(names.namespace(graph.address(node)?)?);
    // The oldest object that one holds, apart from the dict of its attributes.
    let oldest_held = |generations: &Generations, holder: NodeId, dict: Option<NodeId>| {
        let held = graph.references().targets(holder).iter().copied();
        let held = held.filter(|&to| paths.parent(to) == Some(holder) && Some(to) != dict);
        held.map(|to| generations.first_seen(to)).min()
    };
    for node in graph.object_nodes() {
        let first_seen = generations.first_seen(node);
        if first_seen == 0 {
            continue;
        }
        let is_old = first_seen != generations.current();
        if is(node, Type::is_plain_class) {
            let dict = dict_of(node);
            let held = [Some(node), dict].into_iter().flatten();
            let oldest = held.filter_map(|holder| oldest_held(generations, holder, dict)).min();
            if let Some(oldest) = oldest.filter(|&oldest| is_old && oldest > first_seen) {
                generations.correct(node, oldest);
            }
            let first_seen = generations.first_seen(node);
            if let Some(dict) = dict.filter(|&dict| generations.first_seen(dict) < first_seen) {
                generations.correct(dict, first_seen);
            }
        } else if is_old && is(node, is_dict) {
            let oldest = oldest_held(generations, node, None).filter(|&oldest| oldest > first_seen);
            let of_instance =
                |holder: &NodeId| is(*holder, Type::is_plain_class) && dict_of(*holder) == Some(node);
            if let Some(oldest) = oldest.filter(|_| paths.parent(node).as_ref().is_some_and(of_instance)) {
                generations.correct(node, oldest);
            }
        }
    }
}
