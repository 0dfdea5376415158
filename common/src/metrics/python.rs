//! The metrics of `census` and `leaks` records.

use std::collections::BTreeMap;

use super::families::{
    CACHE_BYTES, CACHE_ENTRIES, CACHE_HITS, CACHE_MAX_ENTRIES, CACHE_MISSES, CENSUS_PAUSE, CENSUS_RSS,
    CENSUS_TIME, Family, HOLDER_BYTES, HOLDER_OBJECTS, HOLDER_RETAINED, LEAK_CONFIDENCE, LEAK_OBJECTS_RATE,
    LEAK_RATE, LEAK_RETAINED, LEAKS, MEMORY, OBJECT_BYTES, OBJECTS, OTHER_RATE, PYTHON, TYPE_BYTES,
    TYPE_OBJECTS, VERDICT_PAUSE, VERDICT_TIME,
};
use super::values::{MAX_ROWS, Subject, Values};
use crate::record::{CensusRecord, LeakVerdict, LeaksRecord};

/// Adds the values of one process. Nothing of an earlier record counts: a census measures all that it lists.
struct Adder<'a> {
    values: &'a mut Values,
    subject: Subject,
}

impl Adder<'_> {
    fn set(&mut self, family: Family, row: &[&str], value: Option<f64>) {
        self.values.set(family, &self.subject, row, value, &Values::default());
    }

    fn count(&mut self, family: Family, row: &[&str], value: impl Into<Option<u64>>) {
        self.set(family, row, value.into().map(|value| value as f64));
    }
}

/// Adds the values of a census.
pub(super) fn take_census(values: &mut Values, record: &CensusRecord) {
    let name = record.name.as_deref().unwrap_or_default();
    let subject = Subject::new(name, record.cmdline.as_deref(), record.pid, None, record.start_ticks);
    let mut adder = Adder { values, subject };
    adder.set(CENSUS_TIME, &[], Some(record.timestamp.unix_seconds()));
    adder.set(CENSUS_PAUSE, &[], record.pause_seconds);
    if let Some(python) = &record.python {
        adder.count(PYTHON, &[&python.version], 1);
    }
    adder.count(CENSUS_RSS, &[], record.rss_bytes);
    adder.count(OBJECTS, &[], record.total_objects);
    adder.count(OBJECT_BYTES, &[], record.total_size_bytes);
    for row in record.types.iter().take(MAX_ROWS) {
        adder.count(TYPE_OBJECTS, &[&row.name], row.count);
        adder.count(TYPE_BYTES, &[&row.name], row.size_bytes);
    }
    for row in record.holders.iter().flatten().take(MAX_ROWS) {
        adder.count(HOLDER_OBJECTS, &[&row.holder], row.count);
        adder.count(HOLDER_BYTES, &[&row.holder], row.size_bytes);
        adder.count(HOLDER_RETAINED, &[&row.holder], row.retained_bytes);
    }
    for row in record.caches.iter().flatten().take(MAX_ROWS) {
        adder.count(CACHE_ENTRIES, &[&row.name], row.entries);
        adder.count(CACHE_MAX_ENTRIES, &[&row.name], row.max_entries);
        adder.count(CACHE_BYTES, &[&row.name], row.size_bytes);
        adder.count(CACHE_HITS, &[&row.name], row.hits);
        adder.count(CACHE_MISSES, &[&row.name], row.misses);
    }
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    for row in record.memory.iter().flat_map(|memory| &memory.rows) {
        let sum = kinds.entry(row.kind.to_string()).or_default();
        *sum = sum.saturating_add(row.private_bytes).saturating_add(row.shared_bytes);
    }
    for (kind, bytes) in kinds {
        adder.count(MEMORY, &[&kind], bytes);
    }
}

/// Adds a verdict.
pub(super) fn take_leaks(values: &mut Values, record: &LeaksRecord) {
    let name = record.name.as_deref().unwrap_or_default();
    let subject = Subject::new(name, record.cmdline.as_deref(), record.pid, None, record.start_ticks);
    let mut adder = Adder { values, subject };
    adder.set(VERDICT_TIME, &[], Some(record.timestamp.unix_seconds()));
    adder.set(VERDICT_PAUSE, &[], record.longest_pause_seconds);
    if record.verdict == LeakVerdict::TooShort {
        return;
    }
    let other = record.memory.as_ref().filter(|memory| memory.is_leak);
    let leaks: Vec<_> = record.leaks.iter().filter(|leak| leak.side_effect_of.is_none()).collect();
    let found = u64::try_from(leaks.len()).unwrap_or(u64::MAX).saturating_add(u64::from(other.is_some()));
    adder.count(LEAKS, &[], found);
    adder.set(OTHER_RATE, &[], other.map(|memory| memory.bytes_per_minute / 60.0));
    for leak in leaks.into_iter().take(MAX_ROWS) {
        let row: [&str; 2] = [&leak.holder, &leak.name];
        adder.set(LEAK_RATE, &row, Some(leak.bytes_per_minute / 60.0));
        adder.set(LEAK_OBJECTS_RATE, &row, Some(leak.objects_per_minute / 60.0));
        adder.count(LEAK_RETAINED, &row, leak.retained_bytes);
        adder.set(LEAK_CONFIDENCE, &row, Some(leak.confidence_ratio));
    }
}
