//! Finds the rows of the history that leak, and merges those with one cause.
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use common::record::{GrowthMode, Leak, Liveness, TypeGrowth};
use memobj_cpython::heap::builtins::Growth;
use memobj_cpython::heap::types::Type;
use memobj_process::error::Error;
use memobj_process::memory::Memory;

use super::bounded::BoundedGrowth;
use super::growth_roots;
use super::history::{History, HistoryRow, NameId, PlaceIds};
use super::trend::{Trend, Trends, chance_of_balance};
use crate::graph::NodeId;
use crate::holders::Holders;
use crate::holders::place_name::CONTEXTS;
use crate::holders::retained::RetainedSizes;
use crate::names::NameReader;
use crate::names::modules::Origin;
use crate::survivors::Generations;

/// The largest probability that as many objects are freed as added.
const MAX_BALANCE: f64 = 0.3;
/// The smallest growth in objects.
pub(super) const MIN_OBJECTS: f64 = 3.0;
/// The smallest growth in bytes, if the number of objects is constant.
const MIN_BYTES: f64 = 4096.0;
/// The smallest growth in container items, if the number of objects is constant.
const MIN_ENTRIES: f64 = 32.0;
/// The smallest share of that growth that a straight line explains.
const MIN_STRAIGHT: f64 = 0.8;
/// The smallest share of added objects that survive.
const MIN_STAYING: f64 = 0.3;
/// The largest number of new entries for each object of the same place that is new and does not stay.
const MOST_PASSING: f64 = 2.0;
/// Places that are described.
const MAX_FINDINGS: usize = 20;
/// The tolerance between rates of objects that are added together.
const RATE_TOLERANCE: f64 = 0.15;
/// Objects of the library that may be added with one of the program.
pub(super) const MAX_MULTIPLE: u32 = 4;
/// The largest probability that any of all rows rises so by chance.
const MAX_CHANCE_AMONG: f64 = 0.25;
/// The least confidence of a leak: below it the growth comes in bursts, and the next one may be the last.
const MIN_CONFIDENCE: f64 = 0.7;
/// Seconds per minute: records have growth per minute.
pub(super) const MINUTE: f64 = 60.0;
/// Bytes of an item in a container.
const ITEM_BYTES: f64 = 8.0;

/// Everything that the search reads.
pub(super) struct LeakFinder<'a, 'w> {
    pub history: &'a History,
    pub moments: &'a [f64],
    pub holders: &'a Holders<'w>,
    pub generations: &'a Generations,
    pub ids: &'a PlaceIds,
    pub collector_on: Option<bool>,
    /// Threads in each census.
    pub threads: &'a [u64],
    /// The rows whose number of objects changed: a rise by chance is the more likely, the more rows are tested.
    pub tested: u64,
}

/// A growing row of the history.
pub(super) struct GrowingRow<'a> {
    pub type_id: NameId,
    pub row: &'a HistoryRow,
    pub objects: Trend,
    pub bytes: Trend,
    /// The trend of container items, if they grow and the number of objects is constant.
    pub entries: Option<Trend>,
    /// Whether it grows more and more slowly.
    pub slows_down: bool,
}

impl GrowingRow<'_> {
    /// The confidence in the growth: that it is no chance among all rows tested, and as far as a straight line explains it.
    pub fn confidence(&self, tested: u64) -> f64 {
        if self.objects.net > 0.0 {
            return (1.0 - chance_among(self.row, &self.objects, tested)) * self.objects.straight;
        }
        let trend = self.entries.unwrap_or(self.bytes);
        (1.0 - trend.chance) * trend.straight
    }

    /// The growth from each census to the next, of what grows; only this share of it are entries.
    #[expect(clippy::cast_possible_truncation, reason = "a cast from a float saturates")]
    pub fn growth_by_census(&self, share: f64) -> Vec<i64> {
        let values = match self.entries {
            _ if self.objects.net > 0.0 => &self.row.objects,
            Some(_) => &self.row.entries,
            None => &self.row.bytes,
        };
        steps(values).map(|growth| (growth as f64 * share).round() as i64).collect()
    }

    /// Objects per minute.
    pub fn objects_per_minute(&self) -> f64 {
        self.objects.per_second.max(0.0) * MINUTE
    }

    /// Bytes per minute.
    pub fn bytes_per_minute(&self) -> f64 {
        // Tables grow in steps, and need more for each item than a pointer in the end.
        let items = self.entries.map_or(0.0, |entries| entries.per_second * ITEM_BYTES);
        self.bytes.per_second.max(items) * MINUTE
    }

    /// The growth of its type, for the list of types of a leak.
    pub fn type_growth(&self, name: Arc<str>) -> TypeGrowth {
        TypeGrowth {
            name,
            objects_per_minute: self.objects_per_minute(),
            bytes_per_minute: self.bytes_per_minute().max(0.0),
        }
    }
}

/// A leak that may be merged with others.
pub(super) struct Candidate {
    pub leak: Leak,
    /// The place that holds it.
    pub place: NameId,
    /// The container that most objects were added to, or the object that gets larger.
    pub container: Option<NodeId>,
    /// All places of it.
    pub places: Vec<NameId>,
    /// Some of the added entries; of an object that gets larger, some of its own.
    pub items: Vec<NodeId>,
    /// Whether the place belongs to the standard library or the interpreter.
    pub is_standard: bool,
    /// The place that the module of the holder was loaded from; `None` if it is held by no module.
    pub origin: Option<Origin>,
    /// Whether weak references grow.
    pub is_weak: bool,
    /// Whether it grows more and more slowly.
    pub slows_down: bool,
}

impl Candidate {
    /// Whether objects are added to others of their own type.
    pub fn is_chain(&self) -> bool {
        // If the newest comes first, nothing old refers to it.
        self.leak.growth_mode == GrowthMode::Linked
            && self.leak.container.as_ref().is_none_or(|container| *container == self.leak.name)
    }
}

impl LeakFinder<'_, '_> {
    /// The time from the first census to the last.
    pub(super) fn seconds(&self) -> f64 {
        self.moments.last().zip(self.moments.first()).map_or(0.0, |(last, first)| last - first)
    }

    /// Finds leaks, most bytes first; side effects of other leaks come last.
    pub fn find<M: Memory>(&self, names: &mut NameReader<'_, '_, M>) -> Result<Vec<Candidate>, Error> {
        let trends = Trends::new(self.moments);
        let mut places: BTreeMap<NameId, Vec<GrowingRow<'_>>> = BTreeMap::new();
        // Objects in each place that are more than before and do not stay: of a table that is emptied from time to time.
        let mut passing: HashMap<NameId, f64> = HashMap::new();
        for ((place, of), row) in self.history.rows() {
            if let Some(growing) = grows(&trends, self.tested, of, row) {
                places.entry(place).or_default().push(growing);
            } else if let Some(objects) = trends.trend(&row.objects).filter(|_| !stays(row)) {
                let most = passing.entry(place).or_default();
                *most = most.max(objects.net);
            }
        }
        places.retain(|place, rows| {
            let passing = passing.get(place).copied().unwrap_or(0.0);
            let comes_and_goes = |entries: Trend| entries.net <= passing * MOST_PASSING;
            rows.retain(|growing| !growing.entries.is_some_and(comes_and_goes));
            // Contexts come with what runs in them: with tasks, with timers.
            let name = self.history.place(*place);
            self.cause(*place).is_some() && &*name != CONTEXTS && !rows.is_empty()
        });
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let bounded = BoundedGrowth::find(self.holders, self.generations, self.ids, names, |place| {
            places.contains_key(&place)
        });
        for (&place, rows) in &mut places {
            rows.retain(|growing| {
                let place = (place, &*self.history.place(place));
                let entries = growing.entries.map(|entries| entries.net);
                let of = self.index_of(growing.type_id);
                !bounded.explains_row(place, of, growing.objects.net, entries)
            });
            // What goes on is a leak, whatever else in the same place slows down.
            if rows.iter().any(|growing| !growing.slows_down) {
                rows.retain(|growing| !growing.slows_down);
            }
        }
        places.retain(|_, rows| !rows.is_empty());
        let mut groups =
            growth_roots::find(self.holders, self.generations, self.ids, &bounded.imported, |place| {
                places.contains_key(&place)
            });
        for (&place, groups) in &mut groups {
            groups.retain(|&of, _| !bounded.explains(place, of));
        }
        let rate = |rows: &[GrowingRow<'_>]| rows.iter().map(GrowingRow::bytes_per_minute).sum::<f64>();
        let mut all: Vec<(NameId, Vec<GrowingRow<'_>>)> = places.into_iter().collect();
        all.sort_by(|a, b| rate(&b.1).total_cmp(&rate(&a.1)).then(a.0.cmp(&b.0)));
        let mut found: Vec<Candidate> = Vec::new();
        for (place, mut rows) in all.into_iter().take(MAX_FINDINGS) {
            rows.sort_by(|a, b| {
                b.bytes_per_minute().total_cmp(&a.bytes_per_minute()).then(a.type_id.cmp(&b.type_id))
            });
            let candidate = self.describe(names, place, &rows, groups.get(&place));
            let roots: u64 = groups.get(&place).into_iter().flatten().map(|(_, group)| group.roots).sum();
            if candidate.is_standard && roots > 0 && roots <= bounded.entries_of_imports() {
                continue;
            }
            match found.iter_mut().find(|other| self.are_one_chain(other, &candidate)) {
                Some(other) => merge(other, candidate),
                None => found.push(candidate),
            }
        }
        for candidate in &mut found {
            self.name_chain(candidate);
        }
        self.join_chains(&trends, &mut found);
        self.merge_threads(&trends, &mut found, names);
        let retained = RetainedSizes::new(self.holders.graph())?;
        self.add_retained(&retained, &mut found);
        self.mark_side_effects(names, &mut found);
        found.sort_by(|a, b| {
            let key = |candidate: &Candidate| candidate.leak.side_effect_of.is_some();
            key(a).cmp(&key(b)).then(b.leak.bytes_per_minute.total_cmp(&a.leak.bytes_per_minute))
        });
        Ok(found)
    }

    /// Why objects of a place are not freed; `None` for garbage that the collector will free.
    pub(super) fn cause(&self, place: NameId) -> Option<Liveness> {
        let name = self.history.place(place);
        match &*name {
            "gc.garbage" => Some(Liveness::Uncollectable),
            "(native code)" => Some(Liveness::Native),
            "(no known referrer)" => Some(Liveness::Unreferred),
            name => {
                match name.strip_prefix('(').and_then(|name| name.strip_suffix(')')).map(Liveness::from) {
                    Some(Liveness::Garbage) => {
                        (self.collector_on == Some(false)).then_some(Liveness::Garbage)
                    }
                    Some(Liveness::Unknown) | None => Some(Liveness::Held),
                    liveness => liveness,
                }
            }
        }
    }
}

/// The growth of a row whose added objects survive.
fn grows<'a>(trends: &Trends, tested: u64, type_id: NameId, row: &'a HistoryRow) -> Option<GrowingRow<'a>> {
    let (objects, bytes) = (trends.trend(&row.objects)?, trends.trend(&row.usual_bytes())?);
    if objects.net >= MIN_OBJECTS {
        let slows_down = trends.is_slowing(&objects);
        let growing = GrowingRow { type_id, row, objects, bytes, entries: None, slows_down };
        let grows = (trends.is_rise(&objects) || slows_down)
            && stays(row)
            && Trends::rises_mostly(&row.objects)
            && chance_among(row, &objects, tested) <= MAX_CHANCE_AMONG
            && growing.confidence(tested) >= MIN_CONFIDENCE;
        return grows.then_some(growing);
    }
    if objects.net > 0.0 {
        return None;
    }
    let is_line = |trend: &Trend, least: f64| {
        let rises = trends.is_rise(trend) || trends.is_slowing(trend);
        rises && trend.net >= least && trend.straight >= MIN_STRAIGHT
    };
    let entries = trends.trend(&row.entries);
    let entries =
        entries.filter(|entries| is_line(entries, MIN_ENTRIES) && Trends::rises_mostly(&row.entries));
    let slows_down = trends.is_slowing(&entries.unwrap_or(bytes));
    // A table keeps the size for the most entries that it had.
    let has_entries = row.entries.iter().any(|&count| count > 0);
    (entries.is_some() || !has_entries && is_line(&bytes, MIN_BYTES)).then_some(GrowingRow {
        type_id,
        row,
        objects,
        bytes,
        entries,
        slows_down,
    })
}

/// The probability that any of all rows tested rises by chance as this one does (Bonferroni's bound): as steadily, and with as few objects
/// freed. A row without a trend does both no more often than the rarer of them.
fn chance_among(row: &HistoryRow, objects: &Trend, tested: u64) -> f64 {
    let chance = objects.chance.min(chance_of_balance(row.survived(), row.freed));
    (chance * tested.max(1) as f64).min(1.0)
}

/// Whether most objects that were added to a row survive.
fn stays(row: &HistoryRow) -> bool {
    // Objects of the last census are too new to count as survivors.
    let before = row.objects.len().saturating_sub(2);
    let first = row.objects.first().copied().unwrap_or(0);
    let net = row.objects.get(before).copied().unwrap_or(0).saturating_sub(first);
    let (survived, freed) = (row.survived(), row.freed);
    survived as f64 >= net as f64 * MIN_STAYING
        && survived.saturating_sub(freed) as f64 >= survived as f64 * MIN_STAYING
        && chance_of_balance(survived, freed) <= MAX_BALANCE
}

/// Whether a rate is about a small multiple of another.
pub(super) fn is_multiple(rate: f64, of: f64) -> bool {
    (1..=MAX_MULTIPLE)
        .any(|times| (rate - of * f64::from(times)).abs() <= of * f64::from(times) * RATE_TOLERANCE)
}

/// Merges two branches of one leak.
pub(super) fn merge(into: &mut Candidate, other: Candidate) {
    let (a, b) = (&mut into.leak, other.leak);
    a.objects_per_minute += b.objects_per_minute;
    add_growth(&mut a.growth_by_census, b.growth_by_census.iter().copied());
    a.held_objects = a.held_objects.saturating_add(b.held_objects);
    a.held_size_bytes = a.held_size_bytes.saturating_add(b.held_size_bytes);
    a.survived = a.survived.saturating_add(b.survived);
    a.freed = a.freed.saturating_add(b.freed);
    a.confidence_ratio = a.confidence_ratio.max(b.confidence_ratio);
    a.newest_age_seconds = a.newest_age_seconds.min(b.newest_age_seconds);
    merge_rates(a, &b);
    into.places.extend(other.places);
    into.items.extend(other.items);
}

/// The growth from each value to the next.
pub(super) fn steps(values: &[u64]) -> impl Iterator<Item = i64> {
    let pairs = values.iter().zip(values.iter().skip(1));
    pairs.map(|(&before, &after)| {
        after.saturating_sub(before).cast_signed() - before.saturating_sub(after).cast_signed()
    })
}

/// Adds a series of growth to another one.
pub(super) fn add_growth(into: &mut [i64], other: impl Iterator<Item = i64>) {
    into.iter_mut().zip(other).for_each(|(sum, step)| *sum = sum.saturating_add(step));
}

pub(super) fn merge_rates(into: &mut Leak, other: &Leak) {
    into.bytes_per_minute += other.bytes_per_minute;
    for grown in &other.types {
        match into.types.iter_mut().find(|known| known.name == grown.name) {
            Some(known) => {
                known.objects_per_minute += grown.objects_per_minute;
                known.bytes_per_minute += grown.bytes_per_minute;
            }
            None => into.types.push(grown.clone()),
        }
    }
}

/// Whether objects of a type are containers that grow.
pub(super) fn has_items(of: &Type) -> bool {
    of.kind.is_some_and(|kind| matches!(kind.growth(), Growth::Keys | Growth::Items | Growth::Elements))
}
