//! Describes the growth of a place as a leak record.
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use common::record::{CODECS, GrowthMode, Leak, Liveness};
use memobj_cpython::heap::builtins::{Builtin, Growth};
use memobj_cpython::heap::walk::ObjectCount;
use memobj_process::memory::Memory;

use super::entries::Entries;
use super::find::{Candidate, GrowingRow, LeakFinder, MINUTE};
use super::growth_roots::RootGroup;
use super::history::{HistoryRow, NEW_MODULES, NameId};
use super::threads::most_common;
use crate::graph::NodeId;
use crate::holders::PlaceId;
use crate::holders::place_name::INTERPRETER;
use crate::holders::why::ReferencePath;
use crate::names::{NameReader, Reference, qualified_name};
use crate::object_graph::{RootKind, TypeIndex};

/// Objects of a leak whose paths to root are sampled.
const SAMPLE: usize = 100;
/// Up to one item in this number may be at an unexpected position.
const RARELY: usize = 20;
/// Types that a leak lists.
const MAX_TYPES: usize = 8;

impl LeakFinder<'_, '_> {
    /// The most specific type among the frequent growth roots of a place; of keys and their values, that of the values.
    fn added<'g, M: Memory>(
        &self,
        names: &mut NameReader<'_, '_, M>,
        groups: Option<&'g HashMap<TypeIndex, RootGroup>>,
    ) -> Option<(TypeIndex, &'g RootGroup)> {
        let groups = groups?;
        let most = groups.values().map(|group| group.roots).max()?;
        let many = groups.iter().filter(|(_, group)| group.roots.saturating_mul(2) >= most);
        many.map(|(&of, group)| (of, group)).max_by_key(|&(of, group)| {
            (self.is_user_class(of), !self.is_of_keys(names, group), group.bytes, of)
        })
    }

    /// Whether growth roots are keys of a dict.
    fn is_of_keys<M: Memory>(&self, names: &mut NameReader<'_, '_, M>, group: &RootGroup) -> bool {
        let graph = self.holders.graph();
        group.samples.first().is_some_and(|&key| {
            let ends =
                self.holders.paths().parent(key).and_then(|from| graph.address(from)).zip(graph.address(key));
            ends.and_then(|(from, to)| names.reference(from, to)) == Some(Reference::Key)
        })
    }

    /// Describes the growth of a place.
    pub fn describe<M: Memory>(
        &self,
        names: &mut NameReader<'_, '_, M>,
        place: NameId,
        rows: &[GrowingRow<'_>],
        groups: Option<&HashMap<TypeIndex, RootGroup>>,
    ) -> Candidate {
        let added = self.added(names, groups);
        let into = added.and_then(|(of, group)| self.most_added_to(names, of, group));
        let graph = self.holders.graph();
        let is_chain =
            added.zip(into).is_some_and(|((of, _), (into, _))| self.ids.type_index(graph, into) == of);
        let entries = groups
            .zip(added)
            .map(|(groups, added)| self.entries(names, groups, added, is_chain && self.is_link(added.0)));
        let main = self.main(rows, entries.as_ref());
        let entries = entries.filter(|entries| {
            main.is_some_and(|main| Some(main.type_id) == self.ids.type_of(entries.counted))
        });
        let share = entries.as_ref().map_or(1.0, |entries| entries.share);
        let index = match &entries {
            Some(entries) => Some(entries.of),
            None => main.and_then(|growing| self.index_of(growing.type_id)),
        };
        let type_id = index.and_then(|index| self.ids.type_of(index));
        let enlarged = main.filter(|growing| growing.objects.net <= 0.0);
        let mut nodes = match entries {
            Some(entries) if !entries.nodes.is_empty() => entries.nodes,
            _ => index.map(|index| self.nodes(place, index)).unwrap_or_default(),
        };
        if enlarged.is_some() {
            // One of them grows, and that is the largest before long.
            nodes.sort_by_cached_key(|&node| {
                let entries = graph.address(node).and_then(|at| names.entries(at)).unwrap_or(0);
                Reverse((entries, graph.size(node)))
            });
        }
        let sample = || nodes.iter().copied().step_by(nodes.len().div_ceil(SAMPLE).max(1));
        let suspended = self.suspended(names, sample());
        let (function, waiting) = match suspended {
            Some((function, waiting)) => (Some(function), Some(waiting)),
            None => (self.function(names, index, sample()), None),
        };
        let entry_code = match waiting {
            None => self.entry_code(names, sample()),
            Some(_) => None,
        };
        let enlarged_entries =
            enlarged.and_then(|growing| growing.entries).map(|entries| entries.per_second * MINUTE);
        let limited = match enlarged_entries {
            Some(rate) => nodes.first().map(|&node| (node, rate)),
            None => added
                .and_then(|(_, group)| group.most())
                .map(|(node, _)| (node, main.map_or(0.0, GrowingRow::objects_per_minute))),
        };
        let mode = match added.zip(into) {
            _ if enlarged.is_some() => GrowthMode::Enlarged,
            Some(((of, _), (node, _))) => self.growth_mode(of, node),
            None => GrowthMode::Linked,
        };
        let path = self.holders.reference_paths(names, sample()).first().map(ReferencePath::describe);
        let (oldest_age_seconds, newest_age_seconds) = self.ages(main.map(|growing| growing.row));
        let of = index.and_then(|index| self.holders.graph().type_at(index));
        let holder = self.holder(place, &nodes);
        let cause = self.cause(place).unwrap_or(Liveness::Held);
        let held = self.held(place);
        let (container, entries) =
            added.zip(into).map(|((_, group), into)| self.container(names, group, into)).unzip();
        let leak = Leak {
            cause,
            path: if &*holder == NEW_MODULES { Some(format!("{NEW_MODULES} → module")) } else { path }
                .map(Arc::from),
            holder,
            name: type_id.map_or_else(|| "?".into(), |of| self.history.type_name(of)),
            function,
            waiting,
            entry_code: if enlarged.is_some() { None } else { entry_code },
            objects_per_minute: main.map_or(0.0, GrowingRow::objects_per_minute) * share,
            entries_per_minute: enlarged_entries,
            bytes_per_minute: rows.iter().map(GrowingRow::bytes_per_minute).sum::<f64>().max(0.0),
            native_bytes_per_minute: None,
            native_type: None,
            held_objects: held.objects,
            held_size_bytes: held.bytes,
            retained_bytes: None,
            added_bytes: None,
            oldest_age_seconds,
            newest_age_seconds,
            survived: main.map_or(0, |growing| part_of(growing.row.survived(), share)),
            freed: main.map_or(0, |growing| part_of(growing.row.freed, share)),
            confidence_ratio: main.map_or(0.0, |growing| growing.confidence(self.tested)),
            growth_by_census: main.map(|growing| growing.growth_by_census(share)).unwrap_or_default(),
            container,
            container_name: None,
            entries: entries.flatten(),
            growth_mode: mode,
            types: rows
                .iter()
                .take(MAX_TYPES)
                .map(|growing| growing.type_growth(self.history.type_name(growing.type_id)))
                .collect(),
            is_made_anew: false,
            max_entries: limited.and_then(|(node, rate)| self.limit(names, node, rate)),
            hiding_type: None,
            suspects: Vec::new(),
            side_effect_of: None,
            additions: None,
            candidates: Vec::new(),
            removers: Vec::new(),
            callers: Vec::new(),
            sleeping_remover: None,
            fds: 0,
            added_fds: 0,
        };
        let is_weak = of.is_some_and(|of| of.kind == Some(Builtin::WeakReference));
        let items = match (enlarged, nodes.first()) {
            // The newest come last. Values may be the same for all keys.
            (Some(_), Some(&node)) => {
                let is_new = |item: &NodeId| self.generations.first_seen(*item) > 0;
                let targets = graph.references().targets(node).iter().rev().copied();
                targets.filter(is_new).take(SAMPLE).collect()
            }
            _ => sample().collect(),
        };
        let mut candidate = Candidate {
            is_standard: self.is_standard(place, sample().next()),
            origin: self.module(sample().next()).and_then(|module| self.holders.modules().origin(module)),
            is_weak,
            slows_down: rows.iter().all(|growing| growing.slows_down),
            leak,
            place,
            places: vec![place],
            items,
            container: if enlarged.is_some() { nodes.first().copied() } else { into.map(|(node, _)| node) },
        };
        if matches!(cause, Liveness::Native | Liveness::Unreferred) {
            let roots = added.map_or(&[][..], |(_, group)| &group.samples);
            let types = rows.iter().filter_map(|growing| self.index_of(growing.type_id)).collect();
            self.name_hidden_holder(names, &mut candidate, roots, types);
        } else {
            self.name_made_anew(&mut candidate);
        }
        candidate
    }

    /// The row that counts the entries; without growth roots, the row of the most specific or largest type.
    fn main<'r, 'a>(
        &self,
        rows: &'r [GrowingRow<'a>],
        entries: Option<&Entries>,
    ) -> Option<&'r GrowingRow<'a>> {
        let type_id = entries.and_then(|entries| self.ids.type_of(entries.counted));
        let of_roots =
            rows.iter().find(|growing| Some(growing.type_id) == type_id && growing.objects.net > 0.0);
        let is_user = |of: NameId| self.index_of(of).is_some_and(|index| self.is_user_class(index));
        of_roots.or_else(|| {
            rows.iter().max_by(|a, b| {
                is_user(a.type_id)
                    .cmp(&is_user(b.type_id))
                    .then(a.bytes_per_minute().total_cmp(&b.bytes_per_minute()))
            })
        })
    }

    /// The name of the place that holds most of these objects: `place`, or a part of it.
    fn holder(&self, place: NameId, nodes: &[NodeId]) -> Arc<str> {
        let mut by_place: BTreeMap<PlaceId, usize> = BTreeMap::new();
        for place in nodes.iter().filter_map(|&node| self.holders.holder(node)) {
            *by_place.entry(place).or_default() += 1;
        }
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (place, count) in by_place {
            if let Some(place) = self.holders.place(place) {
                *counts.entry(&*place.text).or_default() += count;
            }
        }
        let most = counts.into_iter().max_by_key(|&(_, count)| count);
        let most = most.filter(|&(_, count)| count * 5 >= nodes.len() * 4);
        most.map_or_else(|| self.history.place(place), |(text, _)| text.into())
    }

    /// Whether a place belongs to the standard library or the interpreter.
    fn is_standard(&self, place: NameId, node: Option<NodeId>) -> bool {
        let module = self.module(node);
        let name = self.history.place(place);
        // The interpreter keeps strings of the program by themselves, too, and codecs for the library.
        [INTERPRETER, CODECS].contains(&&*name)
            || &*name != "gc.garbage" && module.is_some_and(|module| self.holders.is_standard(module))
    }

    /// The module of the place that holds an object.
    fn module(&self, node: Option<NodeId>) -> Option<&str> {
        node.and_then(|node| self.holders.place(self.holders.holder(node)?)?.module.as_deref())
    }

    /// The age of the oldest object, unless it is from the first census, and an upper bound for the newest.
    pub(super) fn ages(&self, row: Option<&HistoryRow>) -> (Option<f64>, f64) {
        let last = self.moments.last().copied().unwrap_or(0.0);
        let ago = |census: usize| self.moments.get(census).map_or(0.0, |at| last - at);
        let by_generation = row.map(|row| row.by_generation.as_slice()).unwrap_or_default();
        let with =
            || (0..).zip(by_generation).filter(|&(_, &count)| count > 0).map(|(first_seen, _)| first_seen);
        let newest: usize = with().last().unwrap_or(0);
        (with().next().filter(|&first_seen| first_seen > 0).map(ago), ago(newest.saturating_sub(1)))
    }

    /// The type of this name.
    pub(super) fn index_of(&self, of: NameId) -> Option<TypeIndex> {
        let types = self.holders.graph().types();
        (0..).take(types.len()).map(TypeIndex).find(|&index| self.ids.type_of(index) == Some(of))
    }

    /// The objects of a type in a place: those added after the first census, if there are any.
    fn nodes(&self, place: NameId, index: TypeIndex) -> Vec<NodeId> {
        let graph = self.holders.graph();
        let type_id = self.ids.type_of(index);
        let all = || {
            graph.object_nodes().filter(|&node| {
                self.ids.key(self.holders, node).is_some_and(|(at, of)| at == place && Some(of) == type_id)
            })
        };
        let new: Vec<NodeId> = all().filter(|&node| self.generations.first_seen(node) > 0).collect();
        if new.is_empty() { all().collect() } else { new }
    }

    /// All objects of a place.
    pub(super) fn held(&self, place: NameId) -> ObjectCount {
        let rows = self.history.rows().filter(|((at, _), _)| *at == place);
        let mut total = ObjectCount::default();
        for (_, row) in rows {
            let last = |series: &[u64]| series.last().copied().unwrap_or(0);
            total.merge(&ObjectCount {
                objects: last(&row.objects),
                bytes: last(&row.bytes),
                ..ObjectCount::default()
            });
        }
        total
    }

    /// The function that most of these objects are; of objects of the standard library, such as timers, the one that they will call.
    fn function<M: Memory>(
        &self,
        names: &mut NameReader<'_, '_, M>,
        index: Option<TypeIndex>,
        nodes: impl Iterator<Item = NodeId>,
    ) -> Option<Arc<str>> {
        let graph = self.holders.graph();
        let of = graph.type_at(index?)?;
        let is_function = of.kind == Some(Builtin::Function);
        let calls = of.kind.is_none() && of.class.is_some() && self.holders.is_standard(&of.module);
        if !is_function && !calls {
            return None;
        }
        most_common(nodes.filter_map(|node| {
            let function = if is_function { node } else { self.called(node)? };
            Some(names.function(graph.address(function)?)?.into())
        }))
    }

    /// The function that is suspended in most of these objects, and its line.
    fn suspended<M: Memory>(
        &self,
        names: &mut NameReader<'_, '_, M>,
        nodes: impl Iterator<Item = NodeId>,
    ) -> Option<(Arc<str>, Arc<str>)> {
        let graph = self.holders.graph();
        most_common(nodes.filter_map(|node| {
            let suspended = names.suspended(graph.address(node)?)?;
            let function = qualified_name(suspended.module.as_deref(), &suspended.name);
            Some((function.into(), suspended.to_string().into()))
        }))
    }

    /// The type of the container that growth roots were added to, and its entries if it is a single one.
    fn container<M: Memory>(
        &self,
        names: &mut NameReader<'_, '_, M>,
        group: &RootGroup,
        (node, count): (NodeId, u64),
    ) -> (Arc<str>, Option<u64>) {
        let graph = self.holders.graph();
        let is_one = count.saturating_mul(10) >= group.roots.saturating_mul(8);
        let of = match (graph.type_of(node), graph.root(node).map(|root| root.kind)) {
            (Some(of), _) => of.name().into(),
            (None, Some(RootKind::Thread(_))) => "thread".into(),
            (None, Some(RootKind::ExitCallbacks(_))) => "C array".into(),
            (None, Some(RootKind::Interpreter(_) | RootKind::Registry(_) | RootKind::StaticTypes)) => {
                "interpreter".into()
            }
            (None, Some(RootKind::Greenlets)) => "greenlet".into(),
            (None, Some(RootKind::Native | RootKind::Unknown | RootKind::GreenletStacks)) => {
                "native structure".into()
            }
            (None, _) => "frame".into(),
        };
        (of, graph.address(node).filter(|_| is_one).and_then(|at| names.entries(at)))
    }

    /// The object that most growth roots of a type were added to, and how many. Where instances have dicts, a root in the dict of an
    /// instance of its own type was linked to that instance.
    fn most_added_to<M: Memory>(
        &self,
        names: &mut NameReader<'_, '_, M>,
        of: TypeIndex,
        group: &RootGroup,
    ) -> Option<(NodeId, u64)> {
        let (node, count) = group.most()?;
        let graph = self.holders.graph();
        let before =
            self.holders.paths().parent(node).filter(|&before| self.ids.type_index(graph, before) == of);
        let linked = before.filter(|&before| {
            let ends = graph.address(before).zip(graph.address(node));
            ends.and_then(|(from, to)| names.reference(from, to)) == Some(Reference::Internal)
        });
        Some((linked.unwrap_or(node), count))
    }

    /// The growth mode of the object with most growth roots.
    fn growth_mode(&self, of: TypeIndex, node: NodeId) -> GrowthMode {
        let graph = self.holders.graph();
        if let Some(RootKind::ExitCallbacks(_)) = graph.root(node).map(|root| root.kind) {
            return GrowthMode::Appended;
        }
        match graph.type_of(node).and_then(|of| of.kind).map_or(Growth::Fixed, Builtin::growth) {
            Growth::Keys if self.is_of_cache(node) => GrowthMode::Cached,
            Growth::Keys => GrowthMode::KeysSet,
            Growth::Elements => GrowthMode::Added,
            Growth::Results => GrowthMode::Cached,
            Growth::Items | Growth::Copies => self.sequence_mode(of, node),
            Growth::Fixed => GrowthMode::Linked,
        }
    }

    /// Whether a dict contains the results of `functools.lru_cache`.
    fn is_of_cache(&self, node: NodeId) -> bool {
        let before = self.holders.paths().parent(node);
        before.and_then(|before| self.holders.graph().type_of(before)?.kind) == Some(Builtin::LruCache)
    }

    /// The position of new objects in a sequence.
    fn sequence_mode(&self, of: TypeIndex, node: NodeId) -> GrowthMode {
        let graph = self.holders.graph();
        let items =
            graph.references().targets(node).iter().filter(|&&item| self.ids.type_index(graph, item) == of);
        let new: Vec<bool> = items.map(|&item| self.generations.first_seen(item) > 0).collect();
        let added = new.iter().filter(|&&new| new).count();
        // The old ones behind the first new one, and before the last. An address may be that of an old object of the same type.
        let behind = new.iter().skip_while(|&&new| !new).filter(|&&new| !new).count();
        let before = new.iter().rev().skip_while(|&&new| !new).filter(|&&new| !new).count();
        match () {
            () if behind <= before && behind.saturating_mul(RARELY) <= added => GrowthMode::Appended,
            () if before < behind && before.saturating_mul(RARELY) <= added => GrowthMode::Prepended,
            () => GrowthMode::Inserted,
        }
    }
}

/// A share of a number, rounded.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast from a float saturates")]
fn part_of(count: u64, share: f64) -> u64 {
    (count as f64 * share).round() as u64
}
