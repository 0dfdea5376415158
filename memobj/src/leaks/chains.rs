//! Objects of one type that lead to each other: branches of a tree, parts of a chain.
//!
//! Where a list is linked in both directions, or a table has some of its objects, the shortest path to each object begins at the nearest of
//! several places. So each of these has a part of the growth.

use std::collections::BTreeSet;
use std::sync::Arc;

use memobj_cpython::heap::builtins::Builtin;
use memobj_process::memory::Memory;

use super::find::{Candidate, LeakFinder, MINUTE, add_growth, merge, steps};
use super::history::NameId;
use super::trend::Trends;
use crate::graph::NodeId;
use crate::holders::Holders;
use crate::names::{NameReader, Reference};

impl LeakFinder<'_, '_> {
    /// Whether two places are branches of one tree or parts of one chain of objects of one type.
    pub(super) fn are_one_chain(&self, a: &Candidate, b: &Candidate) -> bool {
        let above =
            |candidate: &Candidate| self.history.above(candidate.place).filter(|_| candidate.is_chain());
        a.leak.name == b.leak.name && above(a).is_some() && above(a) == above(b)
    }

    /// Names a chain by its beginning.
    pub(super) fn name_chain(&self, candidate: &mut Candidate) {
        let above = self.history.above(candidate.place).filter(|_| candidate.is_chain());
        // The place above a module's attribute is the module, which is no part of the chain.
        if let Some(above) = above.filter(|&above| self.history.above(above).is_some()) {
            candidate.leak.holder = self.history.place(above);
        }
    }

    /// Merges into each chain its objects to which another place has a shorter path. That place may be no leak by itself.
    pub(super) fn join_chains(&self, trends: &Trends, found: &mut Vec<Candidate>) {
        let mut waiting = std::mem::take(found);
        while let Some(at) = waiting.iter().position(Candidate::is_chain) {
            let mut chain = waiting.remove(at);
            for place in self.linked_places(&chain) {
                let name = &chain.leak.name;
                let is_part = |other: &Candidate| other.leak.name == *name && other.places.contains(&place);
                let part = [&mut waiting, &mut *found].into_iter().find_map(|list| {
                    let at = list.iter().position(is_part)?;
                    Some(list.remove(at))
                });
                match part {
                    Some(part) => merge(&mut chain, part),
                    // It may have come with another part.
                    None if chain.places.contains(&place) => {}
                    None => self.add_rows(trends, &mut chain, place),
                }
            }
            found.push(chain);
        }
        found.append(&mut waiting);
    }

    /// The other places that hold objects of a chain's type to which its own objects refer.
    fn linked_places(&self, chain: &Candidate) -> BTreeSet<NameId> {
        let graph = self.holders.graph();
        let Some(of) = chain.items.first().map(|&item| self.ids.type_index(graph, item)) else {
            return BTreeSet::new();
        };
        let is_link = |node: NodeId| self.ids.type_index(graph, node) == of;
        let place = |node: NodeId| self.ids.key(self.holders, node).map(|(place, _)| place);
        let is_in = |node: NodeId| place(node).is_some_and(|place| chain.places.contains(&place));
        let is_dict = |node: NodeId| graph.type_of(node).and_then(|of| of.kind) == Some(Builtin::Dict);
        let targets = |node: NodeId| graph.references().targets(node).iter().copied();
        let own = graph.object_nodes().filter(|&node| is_link(node) && is_in(node));
        // Its attributes may be in a dict.
        let linked = own.flat_map(|node| {
            targets(node).chain(targets(node).filter(move |&to| is_dict(to)).flat_map(targets))
        });
        linked.filter(|&to| is_link(to) && !is_in(to)).filter_map(place).collect()
    }

    /// Adds the growth of the chain's types in another place.
    fn add_rows(&self, trends: &Trends, chain: &mut Candidate, place: NameId) {
        let leak = &mut chain.leak;
        for ((_, of), row) in self.history.rows().filter(|((at, _), _)| *at == place) {
            let name = self.history.type_name(of);
            let rises = |values: &[u64]| trends.trend(values).map_or(0.0, |trend| trend.per_second.max(0.0));
            let (objects, bytes) = (rises(&row.objects) * MINUTE, rises(&row.bytes) * MINUTE);
            let Some(known) = leak.types.iter_mut().find(|known| known.name == name) else { continue };
            known.objects_per_minute += objects;
            known.bytes_per_minute += bytes;
            leak.bytes_per_minute += bytes;
            if leak.name == name {
                leak.objects_per_minute += objects;
                leak.survived = leak.survived.saturating_add(row.survived());
                add_growth(&mut leak.growth_by_census, steps(&row.objects));
                let (_, newest) = self.ages(Some(row));
                leak.newest_age_seconds = leak.newest_age_seconds.min(newest);
            }
        }
        let held = self.held(place);
        leak.held_objects = leak.held_objects.saturating_add(held.objects);
        leak.held_size_bytes = leak.held_size_bytes.saturating_add(held.bytes);
        chain.places.push(place);
    }
}

/// The attribute by which the objects of a chain lead to each other.
pub(super) fn link_name<M: Memory>(
    names: &mut NameReader<'_, '_, M>,
    holders: &Holders<'_>,
    candidate: &Candidate,
) -> Option<Arc<str>> {
    let (graph, paths) = (holders.graph(), holders.paths());
    let linked = candidate.items.iter().filter(|_| candidate.is_chain()).find_map(|&item| {
        let before = paths.parent(item)?;
        let is_like = |node: NodeId| graph.type_index(node) == graph.type_index(item);
        (is_like(before) || paths.parent(before).is_some_and(is_like)).then_some((before, item))
    });
    let (before, item) = linked?;
    match names.reference(graph.address(before)?, graph.address(item)?)? {
        Reference::Attribute(name) => Some(name),
        Reference::Entry(key) => names.key(key),
        _ => None,
    }
}
