//! The objects of each place and type, in every census of a run.
//!
//! A place is identified by its name, so it stays the same if its container is replaced. A place that is new after the first census is
//! counted with the place above it: otherwise ever new names would be places that never grow.
//!
//! Objects that a call seemed to hold until something more lasting did count as if that had held them since they were first seen.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::graph::NodeId;
use crate::holders::place_name::name_of_threads;
use crate::holders::{Holders, PlaceId};
use crate::object_graph::{ObjectGraph, TypeIndex};
use crate::survivors::{Generations, Keeper};

/// The place of modules that were imported after the first census.
pub const NEW_MODULES: &str = "sys.modules";

/// At most one census in this number sees more objects than there mostly are.
const RARELY: usize = 3;

/// The number of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameId(pub u32);

/// Names and their numbers.
#[derive(Debug, Clone, Default)]
struct NameTable {
    list: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, NameId>,
}

impl NameTable {
    fn number(&mut self, name: &Arc<str>) -> NameId {
        if let Some(&known) = self.numbers.get(name) {
            return known;
        }
        let id = NameId(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
        self.list.push(Arc::clone(name));
        self.numbers.insert(Arc::clone(name), id);
        id
    }

    /// The number of a place: threads that have an attribute of a `threading.local` each share one.
    fn number_of_place(&mut self, text: &Arc<str>) -> NameId {
        if let Some(&known) = self.numbers.get(text) {
            return known;
        }
        let Some(shared) = name_of_threads(text) else { return self.number(text) };
        let id = self.number(&shared.into());
        self.numbers.insert(Arc::clone(text), id);
        id
    }

    fn name(&self, id: NameId) -> Arc<str> {
        self.list.get(id.0 as usize).map_or_else(|| "?".into(), Arc::clone)
    }
}

/// A place and a type.
pub type RowKey = (NameId, NameId);

/// The objects of a type in a place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryRow {
    /// Objects in each census.
    pub objects: Vec<u64>,
    /// Their bytes.
    pub bytes: Vec<u64>,
    /// Their items, if they are containers.
    pub entries: Vec<u64>,
    /// The objects of the last census, by the census in which they were first seen.
    pub by_generation: Vec<u64>,
    /// Objects that were seen at least twice, and were freed later.
    pub freed: u64,
}

impl HistoryRow {
    /// A row without objects in the censuses so far.
    fn new(censuses: usize) -> Self {
        let zeros = || vec![0; censuses];
        Self { objects: zeros(), bytes: zeros(), entries: zeros(), ..Self::default() }
    }

    /// Their bytes, where the number of objects mostly is the same. A census may see a larger one that was just made beside the one that it
    /// will replace: then each counts for its part.
    pub fn usual_bytes(&self) -> Cow<'_, [u64]> {
        let usual = self.objects.iter().copied().min().unwrap_or(0);
        let more = self.objects.iter().filter(|&&count| count > usual).count();
        let is_usual = |count: Option<&u64>| usual > 0 && count == Some(&usual);
        if !is_usual(self.objects.first())
            || !is_usual(self.objects.last())
            || more * RARELY > self.objects.len()
        {
            return Cow::Borrowed(&self.bytes);
        }
        let part = |(&bytes, &count): (&u64, &u64)| bytes.saturating_mul(usual) / count.max(1);
        Cow::Owned(self.bytes.iter().zip(&self.objects).map(part).collect())
    }

    fn add(&mut self, sum: RowSum) {
        let mut arrived = Sum::default();
        let before = self.objects.iter_mut().zip(&mut self.bytes).zip(&mut self.entries);
        for (((objects, bytes), entries), arrival) in before.zip(&sum.arrived) {
            arrived.add(arrival);
            *objects = objects.saturating_add(arrived.objects);
            *bytes = bytes.saturating_add(arrived.bytes);
            *entries = entries.saturating_add(arrived.entries);
        }
        let Sum { objects, bytes, entries } = sum.now;
        self.objects.push(objects);
        self.bytes.push(bytes);
        self.entries.push(entries);
        self.by_generation = sum.by_generation;
    }

    /// Objects that were added after the first census and were seen again; those of the last census are too new.
    pub fn survived(&self) -> u64 {
        let last = self.objects.len().saturating_sub(1);
        self.by_generation.iter().take(last).skip(1).sum()
    }
}

/// The objects of each place and type, in every census.
#[derive(Debug, Clone, Default)]
pub struct History {
    places: NameTable,
    types: NameTable,
    /// The place above each place.
    above: HashMap<NameId, NameId>,
    rows: HashMap<RowKey, HistoryRow>,
    censuses: usize,
}

/// A number of objects, their bytes, and their items if they are containers.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    objects: u64,
    bytes: u64,
    entries: u64,
}

impl Sum {
    fn add(&mut self, other: &Self) {
        self.objects = self.objects.saturating_add(other.objects);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.entries = self.entries.saturating_add(other.entries);
    }
}

/// The objects of a type in a place in one census.
#[derive(Debug, Clone, Default)]
struct RowSum {
    now: Sum,
    by_generation: Vec<u64>,
    /// Those that a call seemed to hold in the censuses before, by the census in which they were first seen.
    arrived: Vec<Sum>,
}

impl RowSum {
    fn add(&mut self, other: &Self) {
        self.now.add(&other.now);
        self.by_generation.resize(self.by_generation.len().max(other.by_generation.len()), 0);
        for (sum, count) in self.by_generation.iter_mut().zip(&other.by_generation) {
            *sum = sum.saturating_add(*count);
        }
        self.arrived.resize(self.arrived.len().max(other.arrived.len()), Sum::default());
        self.arrived.iter_mut().zip(&other.arrived).for_each(|(sum, other)| sum.add(other));
    }

    fn add_object(&mut self, object: &Sum, first_seen: usize, has_arrived: bool) {
        self.now.add(object);
        if let Some(count) = self.by_generation.get_mut(first_seen) {
            *count += 1;
        }
        if has_arrived {
            self.arrived.resize(self.by_generation.len(), Sum::default());
            if let Some(sum) = self.arrived.get_mut(first_seen) {
                sum.add(object);
            }
        }
    }
}

/// The numbers of the places and types of a census in the history.
#[derive(Debug)]
pub struct PlaceIds {
    places: Vec<NameId>,
    types: Vec<NameId>,
    /// For each type, the first one of its name.
    first_of_name: Vec<TypeIndex>,
}

impl PlaceIds {
    /// The row of an object; `None` if nothing holds it.
    #[inline]
    pub fn key(&self, holders: &Holders<'_>, node: NodeId) -> Option<RowKey> {
        let place = *self.places.get(holders.holder(node)?.0 as usize)?;
        let of = *self.types.get(holders.graph().type_index(node).0 as usize)?;
        Some((place, of))
    }

    /// The type of an object; of several with one name, the first. A program may make a class for each of its objects.
    pub fn type_index(&self, graph: &ObjectGraph<'_>, node: NodeId) -> TypeIndex {
        let of = graph.type_index(node);
        self.first_of_name.get(of.0 as usize).copied().unwrap_or(of)
    }

    /// The number of a type name.
    pub fn type_of(&self, index: TypeIndex) -> Option<NameId> {
        self.types.get(index.0 as usize).copied()
    }
}

impl History {
    /// The name of a place.
    pub fn place(&self, place: NameId) -> Arc<str> {
        self.places.name(place)
    }

    /// The name of a type.
    pub fn type_name(&self, of: NameId) -> Arc<str> {
        self.types.name(of)
    }

    /// All rows.
    pub fn rows(&self) -> impl Iterator<Item = (RowKey, &HistoryRow)> {
        self.rows.iter().map(|(&key, row)| (key, row))
    }

    /// The rows whose number of objects changed.
    pub fn changed(&self) -> u64 {
        let changes = |row: &&HistoryRow| row.objects.iter().any(|count| Some(count) != row.objects.first());
        self.rows.values().filter(changes).count() as u64
    }

    /// A row.
    pub fn row(&self, key: RowKey) -> Option<&HistoryRow> {
        self.rows.get(&key)
    }

    /// The place above a place; `None` for a root.
    pub fn above(&self, place: NameId) -> Option<NameId> {
        self.above.get(&place).copied()
    }

    /// Adds a census; `entries` counts the items of a container.
    pub fn add(
        &mut self,
        holders: &Holders<'_>,
        generations: &Generations,
        mut entries: impl FnMut(NodeId) -> u64,
    ) -> PlaceIds {
        let graph = holders.graph();
        let has_arrived = |node: NodeId| {
            generations.first_seen(node) < generations.current()
                && holders.keeper(node) > generations.kept_by(node).max(Keeper::ProgramCall)
        };
        // These places are not new, though they seem to be.
        let hidden =
            graph.object_nodes().filter(|&node| generations.first_seen(node) == 0 && has_arrived(node));
        let hidden = hidden.filter_map(|node| holders.holder(node)).collect();
        let census = self.names(holders, &hidden);
        let mut now: HashMap<RowKey, RowSum> = HashMap::new();
        let none = || RowSum { by_generation: vec![0; self.censuses + 1], ..RowSum::default() };
        // Neighbours are often alike.
        let mut last: Option<(RowKey, RowSum)> = None;
        for node in graph.object_nodes() {
            let Some(key) = census.key(holders, node) else { continue };
            if last.as_ref().is_none_or(|(other, _)| *other != key)
                && let Some((before, sum)) = last.replace((key, none()))
            {
                now.entry(before).or_default().add(&sum);
            }
            if let Some((_, sum)) = &mut last {
                let object = Sum { objects: 1, bytes: graph.size(node), entries: entries(node) };
                sum.add_object(&object, generations.first_seen(node), has_arrived(node));
            }
        }
        if let Some((key, sum)) = last {
            now.entry(key).or_default().add(&sum);
        }
        self.merge(now);
        census
    }

    fn merge(&mut self, mut now: HashMap<RowKey, RowSum>) {
        let before = self.censuses;
        for (key, row) in &mut self.rows {
            let new = now.remove(key).unwrap_or_default();
            // Objects of the census before were seen only once.
            let twice = before.saturating_sub(1);
            let gone = row.by_generation.iter().take(twice).enumerate().map(|(first_seen, &was)| {
                was.saturating_sub(new.by_generation.get(first_seen).copied().unwrap_or(0))
            });
            row.freed = row.freed.saturating_add(gone.sum());
            row.add(new);
        }
        for (key, sum) in now {
            let mut row = HistoryRow::new(before);
            row.add(sum);
            self.rows.insert(key, row);
        }
        self.censuses += 1;
    }

    /// Numbers the places and types. Places in `hidden` are not new.
    fn names(&mut self, holders: &Holders<'_>, hidden: &HashSet<PlaceId>) -> PlaceIds {
        let first = self.censuses == 0;
        let all = holders.places();
        let mut places: Vec<NameId> = Vec::with_capacity(all.len());
        for (number, place) in (0..).map(PlaceId).zip(all) {
            let known = first || self.places.numbers.contains_key(&place.text) || hidden.contains(&number);
            // Of what it is a part of, the nearest that is known: that has a lower number, since it was met before.
            let above = place.above.and_then(|above| places.get(above.0 as usize).copied());
            let id = match above {
                _ if known => self.places.number_of_place(&place.text),
                Some(above) => above,
                None if place.module.as_ref() == Some(&place.text) => self.places.number(&NEW_MODULES.into()),
                None => self.places.number_of_place(&place.text),
            };
            if let Some(above) = above.filter(|&above| above != id) {
                self.above.insert(id, above);
            }
            places.push(id);
        }
        let types = holders.graph().types();
        let types: Vec<NameId> =
            types.iter().map(|counted| self.types.number(&counted.ty.name().into())).collect();
        let mut first: HashMap<NameId, TypeIndex> = HashMap::new();
        let indexed = (0..).map(TypeIndex).zip(&types);
        let first_of_name = indexed.map(|(index, &of)| *first.entry(of).or_insert(index)).collect();
        PlaceIds { places, types, first_of_name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_a_place() {
        let mut names = NameTable::default();
        let id = names.number_of_place(&"thread worker-1: bot.local.kept".into());
        assert_eq!(names.number_of_place(&"thread worker-2: bot.local.kept".into()), id);
        assert_eq!(&*names.name(id), "threads: bot.local.kept");
        let other = names.number_of_place(&"thread worker-1".into());
        assert_eq!(&*names.name(other), "thread worker-1");
        assert!(
            names.numbers.contains_key("thread worker-2: bot.local.kept"),
            "it is not new in the next census"
        );
    }

    #[test]
    fn second_object_of_a_moment_does_not_count() {
        let usual = |objects: &[u64], bytes: &[u64]| {
            let row =
                HistoryRow { objects: objects.to_vec(), bytes: bytes.to_vec(), ..HistoryRow::default() };
            row.usual_bytes().into_owned()
        };
        assert_eq!(usual(&[1, 1, 2, 1], &[10, 20, 62, 40]), [10, 20, 31, 40]);
        assert_eq!(usual(&[1, 1, 1, 1], &[10, 20, 30, 40]), [10, 20, 30, 40]);
        // Two of them are usual, or it is not known how many.
        assert_eq!(usual(&[1, 2, 2, 1], &[10, 40, 62, 40]), [10, 40, 62, 40]);
        assert_eq!(usual(&[2, 1, 1, 1], &[20, 20, 30, 40]), [20, 20, 30, 40]);
        assert_eq!(usual(&[0, 0, 1, 0], &[0, 0, 10, 0]), [0, 0, 10, 0]);
    }
}
