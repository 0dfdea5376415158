//! Finds, reads and measures caches.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use crate::holders::Holders;
use crate::holders::retained::RetainedSizes;
use crate::names::NameReader;
use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_cpython::object::memory_ext::MemoryExt;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::clock::ClockReadings;
use super::deep_size::{DeepSizer, EntryNodes};
use super::expiry::{EntryTimes, times};
use super::health::warnings;
use super::kind::CacheKind;
use super::name_heuristics::{Meaning, means};
use super::search::{CacheCandidate, search};
use super::{Cache, CacheSize, metadata};

/// Entries that are read for all caches together, for each object, and in any case: a bound for hostile dicts.
const MAX_ENTRIES: u64 = 4;
const SOME_ENTRIES: u64 = 1 << 20;
/// A longer key may be a secret, and is not shown.
const LONGEST_KEY: usize = 20;

/// Finds and measures all caches of a Python, the largest first; several with one name are merged. Entries larger than `max_item_bytes` are
/// counted. Times are read if `now` is known.
#[must_use]
pub fn find_caches<M: Memory>(
    python: &PythonHeap<'_, M>,
    holders: &Holders<'_>,
    retained: &RetainedSizes,
    now: Option<ClockReadings>,
    max_item_bytes: u64,
) -> Vec<Cache> {
    let mut names = NameReader::new(python);
    let mut found = search(holders, &mut names, now);
    // If not all can be measured, the most important ones are.
    let mut counted: Vec<(u64, CacheCandidate)> =
        found.drain(..).map(|found| (names.entries(found.table).unwrap_or(0), found)).collect();
    counted.sort_by_key(|(entries, found)| (found.standard, Reverse(*entries), found.root));
    let mut sizer = DeepSizer::new(holders.graph(), retained);
    let mut caches: Vec<Cache> = Vec::new();
    let mut by_name: HashMap<Arc<str>, usize> = HashMap::new();
    let mut left =
        (holders.graph().objects() as u64).saturating_mul(MAX_ENTRIES).saturating_add(SOME_ENTRIES);
    for (count, found) in counted {
        let rest = left.checked_sub(count);
        left = rest.unwrap_or(left);
        let entries = rest.map(|_| names.objects().pairs(found.table, usize::MAX));
        let mut cache = match entries {
            Some(entries) => read(&mut names, &mut sizer, holders, &found, &entries, now, max_item_bytes),
            None => unread(&mut names, &found, count),
        };
        if by_name.get(&cache.name).and_then(|&at| caches.get(at)).is_some_and(|like| like.kind != cache.kind)
        {
            cache.name = format!("{} ({})", cache.name, cache.kind).into();
        }
        match by_name.get(&cache.name).and_then(|&at| caches.get_mut(at)) {
            Some(like) => like.join(cache),
            None => {
                by_name.insert(Arc::clone(&cache.name), caches.len());
                caches.push(cache);
            }
        }
    }
    for cache in &mut caches {
        cache.warnings = warnings(cache);
    }
    caches.sort_by(|a, b| {
        let order = |cache: &Cache| (cache.standard, Reverse(cache.deep_bytes()), Reverse(cache.entries));
        order(a).cmp(&order(b)).then_with(|| a.name.cmp(&b.name))
    });
    caches
}

fn read<M: Memory>(
    names: &mut NameReader<'_, '_, M>,
    sizer: &mut DeepSizer<'_, '_>,
    holders: &Holders<'_>,
    found: &CacheCandidate,
    entries: &[(Addr, Addr)],
    now: Option<ClockReadings>,
    max_item_bytes: u64,
) -> Cache {
    let graph = holders.graph();
    let members: Vec<EntryNodes> = entries
        .iter()
        .map(|&(key, value)| {
            let is_lru = found.cache_kind == CacheKind::Lru;
            let result = is_lru.then(|| result(names, value)).flatten();
            let (key, value) = (graph.node(key), graph.node(value));
            match result {
                Some(result) => EntryNodes { key, value: graph.node(result), link: value },
                None => EntryNodes { key, value, link: None },
            }
        })
        .collect();
    let table = graph.node(found.table);
    // The dict that Django's objects share is held by a module, too.
    let root = if found.cache_kind == CacheKind::Locmem { table.unwrap_or(found.root) } else { found.root };
    let size = sizer.measure(root, table, found.function, &members);
    let size = size.map(|size| {
        let sum = size.entries.iter().fold(0, |sum: u64, &bytes| sum.saturating_add(bytes));
        // Of equal ones the first.
        let largest = (0..).zip(&size.entries).max_by_key(|&(index, &bytes)| (bytes, Reverse(index)));
        let key = largest.and_then(|(index, _): (usize, _)| names.key(entries.get(index)?.0));
        let key = key.filter(|key| key.chars().count() <= LONGEST_KEY);
        CacheSize {
            deep_bytes: size.deep_bytes,
            shared_bytes: size.shared_bytes,
            retained_bytes: size.retained_bytes,
            average_bytes: sum.checked_div(size.entries.len() as u64).unwrap_or(0),
            largest_bytes: largest.map_or(0, |(_, &bytes)| bytes),
            largest_key: key,
            large_entries: size.entries.iter().filter(|&&bytes| bytes > max_item_bytes).count() as u64,
        }
    });
    let times = now.and_then(|now| times_of(names, found, entries, &now));
    Cache {
        size,
        clock: times.map(|times| times.clock),
        expired: times.and_then(|times| times.expired),
        ..unread(names, found, entries.len() as u64)
    }
}

/// A cache with `count` entries that are not read.
fn unread<M: Memory>(names: &mut NameReader<'_, '_, M>, found: &CacheCandidate, count: u64) -> Cache {
    let (limit, fullness, unbounded) = limit(names, found, count);
    Cache {
        name: Arc::clone(&found.name),
        kind: Arc::clone(&found.kind),
        standard: found.standard,
        instances: 1,
        entries: count,
        limit,
        fullness,
        unbounded,
        hits: found.counters.hits,
        misses: found.counters.misses,
        size: None,
        clock: None,
        expired: None,
        warnings: Vec::new(),
    }
}

/// Reads the result in a node of an `lru_cache`'s list, which it has with a limit (`lru_list_elem`, Modules/_functoolsmodule.c).
fn result<M: Memory>(names: &mut NameReader<'_, '_, M>, value: Addr) -> Option<Addr> {
    let of = names.type_of(value)?;
    (of.module == "functools" && of.qualname == "_lru_list_elem").then_some(())?;
    let python = names.python();
    python.memory.read_pointer(value, python.layout.lru_list_elem.result).ok()
}

/// The limit, the used share of it, and whether there is none.
fn limit<M: Memory>(
    names: &mut NameReader<'_, '_, M>,
    found: &CacheCandidate,
    entries: u64,
) -> (Option<u64>, Option<f64>, bool) {
    let share = |used: f64, most: f64| (most > 0.0 && most.is_finite()).then(|| used / most);
    if found.cache_kind == CacheKind::Cachetools {
        let mut read = |name: &str| {
            let at = metadata::value_of(&found.attributes, name)?;
            metadata::number(names, at)
        };
        let (used, most) = (read("_Cache__currsize"), read("_Cache__maxsize"));
        let (Some(used), Some(most)) = (used, most) else { return (None, None, false) };
        if !most.is_finite() {
            return (None, None, true);
        }
        // Entries may have sizes of their own in any unit; then the limit is not a number of entries.
        let has_sizes = metadata::value_of(&found.attributes, "_Cache__size")
            .is_some_and(|sizes| names.entries(sizes).is_some());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a cast from a float saturates"
        )]
        let limit = (!has_sizes && most >= 0.0).then_some(most as u64);
        return (limit, share(used, most), false);
    }
    let limit = found.counters.limit;
    let fullness = limit.and_then(|limit| share(entries as f64, limit as f64));
    (limit, fullness, limit.is_none() && found.cache_kind != CacheKind::Weak)
}

/// Finds the times of a cache's entries: their own, or those in a dict beside it.
fn times_of<M: Memory>(
    names: &mut NameReader<'_, '_, M>,
    found: &CacheCandidate,
    entries: &[(Addr, Addr)],
    now: &ClockReadings,
) -> Option<EntryTimes> {
    match found.cache_kind {
        CacheKind::Lru | CacheKind::Weak => return None,
        CacheKind::Cachetools | CacheKind::Locmem => {}
        CacheKind::Table | CacheKind::Instance | CacheKind::Other => {
            let values: Vec<Addr> = entries.iter().map(|&(_, value)| value).collect();
            if let Some(times) = times(names, &values, now, false) {
                return Some(times);
            }
        }
    }
    for (name, at) in &found.attributes {
        if *at == found.table || !means(name, Meaning::Deadlines) {
            continue;
        }
        let pairs = names.objects().pairs(*at, usize::MAX);
        let values: Vec<Addr> = pairs.into_iter().map(|(_, value)| value).collect();
        if let Some(times) = times(names, &values, now, true) {
            return Some(times);
        }
    }
    None
}

impl Cache {
    /// Merges a cache with the same name.
    fn join(&mut self, other: Self) {
        let sum = |a: Option<u64>, b: Option<u64>| Some(a?.saturating_add(b?));
        self.instances = self.instances.saturating_add(other.instances);
        self.entries = self.entries.saturating_add(other.entries);
        self.limit = sum(self.limit, other.limit);
        self.fullness = match (self.fullness, other.fullness) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        self.unbounded |= other.unbounded;
        self.hits = sum(self.hits, other.hits);
        self.misses = sum(self.misses, other.misses);
        self.expired = match (self.expired, other.expired) {
            (a, None) => a,
            (None, b) => b,
            (a, b) => sum(a, b),
        };
        self.clock = self.clock.or(other.clock);
        self.size = match (self.size.take(), other.size) {
            (Some(a), Some(b)) => Some(a.and(b, self.entries, other.entries)),
            _ => None,
        };
    }
}

impl CacheSize {
    /// The sum; objects of both count twice. `entries` are of both, `others` of the other one.
    fn and(self, other: Self, entries: u64, others: u64) -> Self {
        let sum = |a: u64, b: u64| a.saturating_add(b);
        let own = entries.saturating_sub(others);
        let of_entries =
            sum(self.average_bytes.saturating_mul(own), other.average_bytes.saturating_mul(others));
        let (largest_bytes, largest_key) = if other.largest_bytes > self.largest_bytes {
            (other.largest_bytes, other.largest_key)
        } else {
            (self.largest_bytes, self.largest_key)
        };
        Self {
            deep_bytes: sum(self.deep_bytes, other.deep_bytes),
            shared_bytes: sum(self.shared_bytes, other.shared_bytes),
            retained_bytes: sum(self.retained_bytes, other.retained_bytes),
            average_bytes: of_entries.checked_div(entries).unwrap_or(0),
            largest_bytes,
            largest_key,
            large_entries: sum(self.large_entries, other.large_entries),
        }
    }
}
