//! The open file descriptors of each place, in the first census and in the last.

use std::collections::{BTreeMap, BTreeSet};

use common::record::DescriptorGrowth;
use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_process::memory::Memory;

use super::history::{NameId, PlaceIds};
use crate::holders::Holders;
use crate::holders::descriptors::find_descriptor_owners;

/// The open file descriptors in the first census and in the last.
#[derive(Debug, Clone, Default)]
pub(super) struct DescriptorHistory {
    first: Option<DescriptorCounts>,
    last: Option<DescriptorCounts>,
}

/// The open file descriptors in one census.
#[derive(Debug, Clone, Default)]
struct DescriptorCounts {
    /// Of the process.
    open: u64,
    /// Of objects, by the place that holds these.
    by_place: BTreeMap<NameId, u64>,
}

impl DescriptorCounts {
    fn of_objects(&self) -> u64 {
        self.by_place.values().fold(0, |sum, &count| sum.saturating_add(count))
    }

    fn of_places(&self, places: &[NameId]) -> u64 {
        let places: BTreeSet<&NameId> = places.iter().collect();
        let counts = places.into_iter().filter_map(|place| self.by_place.get(place));
        counts.fold(0, |sum, &count| sum.saturating_add(count))
    }
}

impl DescriptorHistory {
    /// Adds a census; `open` are the open file descriptors of the process, if known.
    pub fn add<M: Memory>(
        &mut self,
        python: &PythonHeap<'_, M>,
        holders: &Holders<'_>,
        ids: &PlaceIds,
        open: Option<&BTreeSet<u32>>,
    ) {
        let Some(open) = open else {
            self.last = None;
            return;
        };
        let mut counts = DescriptorCounts { open: open.len() as u64, ..DescriptorCounts::default() };
        for node in find_descriptor_owners(python, holders.graph(), open) {
            if let Some((place, _)) = ids.key(holders, node) {
                let count = counts.by_place.entry(place).or_default();
                *count = count.saturating_add(1);
            }
        }
        self.first.get_or_insert_with(|| counts.clone());
        self.last = Some(counts);
    }

    /// The open file descriptors of places now, and how many more these are than in the first census.
    pub fn of_places(&self, places: &[NameId]) -> (u64, u64) {
        let count =
            |counts: &Option<DescriptorCounts>| counts.as_ref().map_or(0, |counts| counts.of_places(places));
        let now = count(&self.last);
        (now, now.saturating_sub(count(&self.first)))
    }

    /// The growth of the process's number; `None` if it is unknown.
    pub fn growth(&self) -> Option<DescriptorGrowth> {
        let (first, last) = self.first.as_ref().zip(self.last.as_ref())?;
        Some(DescriptorGrowth {
            first_count: first.open,
            last_count: last.open,
            first_object_count: first.of_objects(),
            last_object_count: last.of_objects(),
        })
    }
}
