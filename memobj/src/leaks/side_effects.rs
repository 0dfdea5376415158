//! What belongs to a leak: the memory that its entries retain, and other growth that comes with them.

use std::collections::HashSet;
use std::sync::Arc;

use common::record::Liveness;
use memobj_cpython::heap::builtins::{Builtin, Content};
use memobj_cpython::heap::types::Type;
use memobj_process::memory::Memory;

use super::find::{Candidate, LeakFinder, MAX_MULTIPLE, MINUTE, is_multiple};
use super::history::NameId;
use crate::graph::NodeId;
use crate::holders::STANDARD;
use crate::holders::place_name::GREENLET_STACKS;
use crate::holders::retained::RetainedSizes;
use crate::names::NameReader;
use crate::names::modules::Origin;

/// Objects that are searched below an entry for those of another leak.
const MAX_SEARCHED: usize = 64;
/// The part of a step by which the other may differ: one fortieth.
const TOLERANCE: u64 = 40;
/// Containers within containers, up to the object that has them.
const MAX_LEVELS: usize = 8;
/// The object that has a container, and the one that has that object.
const MAX_OWNERS: usize = 2;
/// Different steps that two series must have in common.
const MIN_STEPS: usize = 3;

impl LeakFinder<'_, '_> {
    /// Adds the memory that would be freed without the entries, all and new ones. New objects that an entry brings along into other
    /// places count for its rate.
    pub(super) fn add_retained(&self, retained: &RetainedSizes, found: &mut [Candidate]) {
        let graph = self.holders.graph();
        // The container, and what it is a part of, stay.
        let mut kept: HashSet<NodeId> = HashSet::new();
        for candidate in &*found {
            let into = candidate.container.filter(|_| !candidate.is_chain());
            kept.extend(std::iter::successors(into, |&node| self.holders.paths().parent(node)));
        }
        let at = self.candidate_of(found);
        let is_new = |node: NodeId| self.generations.first_seen(node) > 0;
        let all = retained.by_group(found.len(), |node| at(node).filter(|_| !kept.contains(&node)));
        let new_size = |node: NodeId| if is_new(node) { graph.size(node) } else { 0 };
        let new = retained.by_group_with(found.len(), |node| at(node).filter(|_| is_new(node)), new_size);
        let mut in_place = vec![0_u64; found.len()];
        for node in graph.object_nodes().filter(|&node| is_new(node)) {
            if let Some(sum) = at(node).and_then(|number| in_place.get_mut(number)) {
                *sum = sum.saturating_add(graph.size(node));
            }
        }
        // It borrows the candidates.
        drop(at);
        let seconds = self.seconds();
        for (((candidate, all), new), in_place) in found.iter_mut().zip(all).zip(new).zip(in_place) {
            if candidate.places.is_empty() || candidate.leak.cause == Liveness::Garbage {
                continue;
            }
            let tables = self.net_bytes(&candidate.places).saturating_sub(in_place);
            let leak = &mut candidate.leak;
            let added = new.saturating_add(tables);
            // The row of the standard library has other containers, too.
            let all = if *leak.holder == *STANDARD { 0 } else { all.saturating_add(tables) };
            leak.retained_bytes = Some(all.max(added));
            leak.added_bytes = Some(added);
            if seconds > 0.0 {
                leak.bytes_per_minute += new.saturating_sub(in_place) as f64 / seconds * MINUTE;
            }
        }
    }

    /// Finds the number of the candidate that holds an object.
    pub(super) fn candidate_of(&self, found: &[Candidate]) -> impl Fn(NodeId) -> Option<usize> {
        let mut by_place: Vec<Option<usize>> = Vec::new();
        for (number, candidate) in (0..).zip(found) {
            for place in &candidate.places {
                let place = place.0 as usize;
                by_place.resize(by_place.len().max(place.saturating_add(1)), None);
                if let Some(entry) = by_place.get_mut(place) {
                    *entry = Some(number);
                }
            }
        }
        move |node| {
            let (place, _) = self.ids.key(self.holders, node)?;
            *by_place.get(place.0 as usize)?
        }
    }

    /// By how many bytes the objects of these places grew.
    fn net_bytes(&self, places: &[NameId]) -> u64 {
        let rows = self.history.rows().filter(|((place, _), _)| places.contains(place));
        let (first, last) = rows.fold((0_u64, 0_u64), |(first, last), (_, row)| {
            let sum = |sum: u64, value: Option<&u64>| sum.saturating_add(value.copied().unwrap_or(0));
            (sum(first, row.bytes.first()), sum(last, row.bytes.last()))
        });
        last.saturating_sub(first)
    }

    /// Marks growth that comes with that of another leak: of the entries' own objects in a second place; and at the same rate, of the
    /// standard library, of weak references and of what only C code refers to.
    pub(super) fn mark_side_effects<M: Memory>(
        &self,
        names: &NameReader<'_, '_, M>,
        found: &mut [Candidate],
    ) {
        found.sort_by(|a, b| {
            rank(a).cmp(&rank(b)).then(b.leak.bytes_per_minute.total_cmp(&a.leak.bytes_per_minute))
        });
        self.mark_registers(names, found);
        let mut rest = &mut *found;
        while let Some((main, others)) = rest.split_first_mut() {
            if main.leak.side_effect_of.is_none() {
                for other in others.iter_mut().filter(|other| other.leak.side_effect_of.is_none()) {
                    if self.belongs_to(other, main) {
                        other.leak.side_effect_of = Some(Arc::clone(&main.leak.holder));
                    }
                }
            }
            rest = others;
        }
        self.mark_in_step(found);
        self.mark_twins(found);
    }

    /// Marks what lists the entries of another leak by weak references, which hold nothing. What has objects of a class, or functions, is no
    /// mere list.
    fn mark_registers<M: Memory>(&self, names: &NameReader<'_, '_, M>, found: &mut [Candidate]) {
        let graph = self.holders.graph();
        let referred = names.python().layout.weakref_object.wr_object;
        let is_weak =
            |node: NodeId| graph.type_of(node).and_then(|of| of.kind) == Some(Builtin::WeakReference);
        let is_plain = |&node: &NodeId| {
            let is_value =
                |of: &Type| of.class.is_none() && of.kind.is_some_and(|kind| kind != Builtin::Function);
            is_weak(node) || graph.type_of(node).is_some_and(is_value)
        };
        let referent = |node: NodeId| {
            let at = graph.address(node).filter(|_| is_weak(node))?;
            graph.node(names.objects().read_pointer(at, referred)?)
        };
        let lists = |other: &Candidate, main: &Candidate| {
            let is_entry = |to: NodeId| self.generations.first_seen(to) > 0 && self.is_in(to, &main.places);
            let listing = other.items.iter().filter(|&&item| {
                let below = self.new_below(item);
                below.iter().all(is_plain) && below.into_iter().filter_map(referent).any(is_entry)
            });
            // Of a dict, the items are keys and values: half of them may be no references.
            let listing = listing.count();
            listing > 0 && listing * 3 >= other.items.len()
        };
        for number in 0..found.len() {
            let Some(other) = found.get(number).filter(|other| other.leak.side_effect_of.is_none()) else {
                continue;
            };
            let mut causes = found.iter().filter(|main| main.leak.side_effect_of.is_none());
            let cause = causes.find(|main| main.leak.holder != other.leak.holder && lists(other, main));
            let cause = cause.map(|main| Arc::clone(&main.leak.holder));
            if let Some(other) = found.get_mut(number) {
                other.leak.side_effect_of = cause;
            }
        }
    }

    /// Marks the smaller of two containers of one object, or of a part of it, that grew alike from each census to the next, or by a small
    /// multiple: the same code fills both.
    fn mark_twins(&self, found: &mut [Candidate]) {
        let owners: Vec<Vec<NodeId>> = found.iter().map(|candidate| self.owners_of(candidate)).collect();
        let mut rest = &mut *found;
        let mut owners = owners.as_slice();
        while let (Some((main, others)), Some((of_main, next))) =
            (rest.split_first_mut(), owners.split_first())
        {
            let growth = &main.leak.growth_by_census;
            if main.leak.side_effect_of.is_none() {
                let shares = |of: &&Vec<NodeId>| of.iter().any(|owner| of_main.contains(owner));
                for (other, _) in others.iter_mut().zip(next).filter(|(_, of)| shares(of)) {
                    if other.leak.side_effect_of.is_none() && is_alike(&other.leak.growth_by_census, growth) {
                        other.leak.side_effect_of = Some(Arc::clone(&main.leak.holder));
                    }
                }
            }
            (rest, owners) = (others, next);
        }
    }

    /// The instance that has the container of a leak, and the one that has that.
    fn owners_of(&self, candidate: &Candidate) -> Vec<NodeId> {
        let nearest = candidate.container.and_then(|container| self.owner_of(container));
        std::iter::successors(nearest, |&owner| self.owner_of(owner)).take(MAX_OWNERS).collect()
    }

    /// The instance that has an object, maybe in containers; `None` if there is none.
    fn owner_of(&self, part: NodeId) -> Option<NodeId> {
        let graph = self.holders.graph();
        let above = std::iter::successors(self.holders.paths().parent(part), |&node| {
            let is_inside = graph.type_of(node).is_some_and(|of| of.kind.is_some() && of.class.is_none());
            self.holders.paths().parent(node).filter(|_| is_inside)
        });
        let owner = above.take(MAX_LEVELS).last()?;
        graph.type_of(owner).filter(|of| of.class.is_some() && !of.is_metatype()).map(|_| owner)
    }

    /// Marks what an installed package holds beside a leak that the program holds, if both grew by the same number from each census to the
    /// next: the package keeps a register of what the program adds.
    fn mark_in_step(&self, found: &mut [Candidate]) {
        let is_cause = |candidate: &&Candidate| candidate.leak.side_effect_of.is_none();
        let of_program = |candidate: &&Candidate| candidate.origin == Some(Origin::Program);
        let own: Vec<(Arc<str>, Vec<i64>)> = (found.iter().filter(is_cause).filter(of_program))
            .map(|candidate| (Arc::clone(&candidate.leak.holder), candidate.leak.growth_by_census.clone()))
            .collect();
        for other in found.iter_mut().filter(|other| other.origin == Some(Origin::Installed)) {
            if other.leak.side_effect_of.is_none() {
                let in_step = own
                    .iter()
                    .find(|(_, growth)| is_in_step(&other.leak.growth_by_census, growth, self.moments));
                other.leak.side_effect_of = in_step.map(|(holder, _)| Arc::clone(holder));
            }
        }
    }

    /// Whether the growth of `other` comes with that of `main`.
    pub(super) fn belongs_to(&self, other: &Candidate, main: &Candidate) -> bool {
        let rate = other.leak.entries_per_minute.unwrap_or(other.leak.objects_per_minute);
        let of = main.leak.objects_per_minute;
        rank(other) > rank(main) && (is_multiple(rate, of) || is_multiple(of, rate))
            || self.leads_to(&other.items, &main.places)
            || self.leads_to(&main.items, &other.places)
    }

    /// Whether most of these entries refer, directly or through new objects, to new objects of a place.
    fn leads_to(&self, items: &[NodeId], places: &[NameId]) -> bool {
        let is_there = |node: NodeId| self.generations.first_seen(node) > 0 && self.is_in(node, places);
        let leading = items.iter().filter(|&&item| self.new_below(item).into_iter().any(is_there)).count();
        leading * 2 > items.len()
    }

    fn is_in(&self, node: NodeId, places: &[NameId]) -> bool {
        self.ids.key(self.holders, node).is_some_and(|(place, _)| places.contains(&place))
    }

    /// An entry, and the first new objects that it refers to, directly or through each other. Numbers and texts are left out: what has nothing
    /// else to do with each other may refer to the same one, such as the number of a request.
    fn new_below(&self, item: NodeId) -> Vec<NodeId> {
        let graph = self.holders.graph();
        let is_value = |node: NodeId| {
            let kind = graph.type_of(node).and_then(|of| of.kind);
            kind.is_some_and(|kind| kind.content() == Content::Value)
        };
        let is_new = |node: NodeId| {
            graph.address(node).is_some() && self.generations.first_seen(node) > 0 && !is_value(node)
        };
        let mut met: Vec<NodeId> = vec![item];
        let mut next = 0;
        while let Some(&node) = met.get(next) {
            next += 1;
            for &to in graph.references().targets(node) {
                if met.len() >= MAX_SEARCHED {
                    return met;
                }
                if is_new(to) && !met.contains(&to) {
                    met.push(to);
                }
            }
        }
        met
    }
}

/// Whether one of two series of growth is the other, or a small multiple of it, but for what is added between the reads of both.
fn is_alike(a: &[i64], b: &[i64]) -> bool {
    let is_times = |times: u32, (&of, &all): (&i64, &i64)| {
        let times = i64::from(times);
        of.saturating_mul(times).abs_diff(all) <= all.unsigned_abs() / TOLERANCE + times.unsigned_abs()
    };
    let is_multiple = |of: &[i64], all: &[i64]| {
        (1..=MAX_MULTIPLE).any(|times| of.iter().zip(all).all(|both| is_times(times, both)))
    };
    a.len() == b.len() && !a.is_empty() && (is_multiple(a, b) || is_multiple(b, a))
}

/// Whether two series of growth from moment to moment are the same, but for rounding. Equal rates say nothing: both may be constant.
#[expect(clippy::cast_possible_truncation, reason = "a cast from a float saturates")]
fn is_in_step(a: &[i64], b: &[i64], moments: &[f64]) -> bool {
    let is_near = |(&a, &b): (&i64, &i64)| a.abs_diff(b).saturating_mul(TOLERANCE) <= a.unsigned_abs();
    let seconds: Vec<f64> = moments.iter().zip(moments.iter().skip(1)).map(|(a, b)| b - a).collect();
    let rate = a.iter().sum::<i64>() as f64 / seconds.iter().sum::<f64>();
    // How much more each step is than at a constant rate.
    let steps: HashSet<i64> = a
        .iter()
        .zip(&seconds)
        .map(|(&step, seconds)| (step as f64 - rate * seconds).round() as i64)
        .collect();
    a.len() == b.len() && steps.len() >= MIN_STEPS && a.iter().zip(b).all(is_near)
}

/// How likely a leak is the cause of others that grow at the same rate, the likeliest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// What the program or a package holds.
    Own,
    /// What the standard library holds, or only C code refers to.
    Library,
    /// Weak references, which list what others hold, and arguments of calls that wait.
    Weak,
}

fn rank(candidate: &Candidate) -> Rank {
    let leak = &candidate.leak;
    let is_of_c = matches!(leak.cause, Liveness::Unreferred | Liveness::Native) && leak.hiding_type.is_none();
    match () {
        () if candidate.is_weak || *leak.holder == *GREENLET_STACKS => Rank::Weak,
        () if candidate.is_standard || is_of_c => Rank::Library,
        () => Rank::Own,
    }
}

#[cfg(test)]
mod tests {
    use super::{is_alike, is_in_step};

    #[test]
    fn multiples_are_alike() {
        assert!(is_alike(&[50, 51, 47], &[50, 52, 47]) && is_alike(&[50, 51, 47], &[100, 102, 95]));
        assert!(is_alike(&[152, 150, 141], &[50, 51, 47]));
        assert!(!is_alike(&[50, 51, 47], &[75, 76, 70]) && !is_alike(&[50, 51, 47], &[50, 102, 47]));
        assert!(!is_alike(&[], &[]) && !is_alike(&[1], &[1, 1]));
    }

    #[test]
    fn only_uneven_rates_show_a_common_cause() {
        let even = [0.0, 1.0, 2.0, 3.0, 4.0];
        let in_step = |a: &[i64], b: &[i64]| is_in_step(a, b, &even);
        assert!(in_step(&[50, 51, 47, 50], &[50, 51, 47, 50]));
        assert!(in_step(&[50, 51, 47, 50], &[50, 51, 48, 50]));
        assert!(!in_step(&[50, 51, 47, 50], &[50, 51, 50, 50]));
        assert!(!in_step(&[50, 51, 50, 50], &[50, 51, 50, 50]));
        assert!(!in_step(&[], &[]));
        // The censuses are not at equal distances, so steps differ at a constant rate, too.
        let uneven = [0.0, 1.0, 1.5, 3.0, 4.0];
        assert!(!is_in_step(&[50, 25, 75, 50], &[50, 25, 75, 50], &uneven));
        assert!(is_in_step(&[60, 25, 65, 50], &[60, 25, 65, 50], &uneven));
    }
}
