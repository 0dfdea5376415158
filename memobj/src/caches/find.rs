//! Finds, reads and measures caches.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use common::record::CacheTotal;

use crate::graph::NodeId;
use crate::holders::Holders;
use crate::holders::retained::RetainedSizes;
use crate::names::NameReader;
use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_cpython::object::memory_ext::MemoryExt;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::clock::ClockReadings;
use super::deep_size::{CacheNodes, DeepSize, DeepSizer, EntryNodes};
use super::expiry::{EntryTimes, times};
use super::health::warnings;
use super::kind::CacheKind;
use super::name_heuristics::{Meaning, means};
use super::search::{CacheCandidate, search};
use super::{Cache, metadata};

/// Entries that are read for all caches together, for each object, and in any case: a bound for hostile dicts.
const MAX_ENTRIES: u64 = 4;
const SOME_ENTRIES: u64 = 1 << 20;
/// Caches in one attribute of a class that each have a name of their own.
const MAX_NAMED: usize = 16;
/// A longer key may be a secret, and is not shown.
const LONGEST_KEY: usize = 20;

/// Finds and measures all caches of a Python, the largest first; several with one name are one. Entries larger than `max_item_bytes` are
/// counted. Times are read if `now` is known.
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
    let groups = group(counted);
    let roots: Vec<(NodeId, u32)> = (0..)
        .zip(&groups)
        .flat_map(|(number, group)| group.members.iter().map(move |(_, found)| (number, found)))
        .map(|(number, found)| (root(holders, found), number))
        .collect();
    let mut sizer = DeepSizer::new(holders.graph(), retained, &roots, groups.len());
    let mut left =
        (holders.graph().objects() as u64).saturating_mul(MAX_ENTRIES).saturating_add(SOME_ENTRIES);
    let mut caches: Vec<Cache> = Vec::with_capacity(groups.len());
    for (number, group) in (0..).zip(groups) {
        let count = group.members.iter().fold(0, |sum: u64, (entries, _)| sum.saturating_add(*entries));
        let rest = left.checked_sub(count);
        left = rest.unwrap_or(left);
        let mut cache = Cache::default();
        let (mut keys, mut measured) = (Vec::new(), Vec::new());
        for (count, found) in &group.members {
            let mut next = unread(&mut names, found, *count);
            if rest.is_some() {
                let entries = names.objects().read_pairs(found.table, usize::MAX);
                next = read(&mut names, found, &entries, now);
                measured.push(nodes(&mut names, holders, found, &entries));
                keys.extend(entries.into_iter().map(|(key, _)| key));
            }
            if cache.row.instances.is_none() { cache = next } else { cache.join(next) }
        }
        cache.row.name = group.name;
        if let Some(size) = rest.and_then(|_| sizer.measure(number, &measured)) {
            cache.set_size(&size, max_item_bytes, |entry| names.key(*keys.get(entry)?));
        }
        cache.row.warnings = Some(warnings(&cache));
        caches.push(cache);
    }
    caches.sort_by(|a, b| {
        let order = |cache: &Cache| (cache.is_standard(), Reverse((cache.own_bytes(), cache.row.entries)));
        order(a).cmp(&order(b)).then_with(|| a.row.name.cmp(&b.row.name))
    });
    caches
}

/// The caches of one name, each with the number of its entries.
struct CacheGroup {
    name: Arc<str>,
    members: Vec<(u64, CacheCandidate)>,
}

/// Groups caches by name and type. Many caches in one attribute of a class have the name of that.
fn group(caches: Vec<(u64, CacheCandidate)>) -> Vec<CacheGroup> {
    let mut instances: HashMap<Arc<str>, usize> = HashMap::new();
    for attribute in caches.iter().filter_map(|(_, found)| found.attribute.as_ref()) {
        *instances.entry(Arc::clone(attribute)).or_default() += 1;
    }
    let mut groups: Vec<CacheGroup> = Vec::new();
    let mut by_name: HashMap<Arc<str>, usize> = HashMap::new();
    for (count, found) in caches {
        let is_one_of_many = |attribute: &&Arc<str>| instances.get(*attribute) > Some(&MAX_NAMED);
        let mut name = Arc::clone(found.attribute.as_ref().filter(is_one_of_many).unwrap_or(&found.name));
        let is_other = |group: &CacheGroup| group.members.iter().any(|(_, other)| other.kind != found.kind);
        if by_name.get(&name).and_then(|&at| groups.get(at)).is_some_and(is_other) {
            name = format!("{name} ({})", found.kind).into();
        }
        match by_name.get(&name).and_then(|&at| groups.get_mut(at)) {
            Some(group) => group.members.push((count, found)),
            None => {
                by_name.insert(Arc::clone(&name), groups.len());
                groups.push(CacheGroup { name, members: vec![(count, found)] });
            }
        }
    }
    groups
}

/// The object that keeps the entries of a cache: the dict that Django's objects share is held by a module, too.
fn root(holders: &Holders<'_>, found: &CacheCandidate) -> NodeId {
    let table = holders.graph().node(found.table).filter(|_| found.cache_kind == CacheKind::Locmem);
    table.unwrap_or(found.root)
}

/// The nodes of a cache and of its entries.
fn nodes<M: Memory>(
    names: &mut NameReader<'_, '_, M>,
    holders: &Holders<'_>,
    found: &CacheCandidate,
    entries: &[(Addr, Addr)],
) -> CacheNodes {
    let graph = holders.graph();
    let entries = entries.iter().map(|&(key, value)| {
        let is_lru = found.cache_kind == CacheKind::Lru;
        let result = is_lru.then(|| result(names, value)).flatten();
        let (key, value) = (graph.node(key), graph.node(value));
        match result {
            Some(result) => EntryNodes { key, value: graph.node(result), link: value },
            None => EntryNodes { key, value, link: None },
        }
    });
    CacheNodes {
        entries: entries.collect(),
        root: root(holders, found),
        table: graph.node(found.table),
        function: found.function,
    }
}

/// A cache with these entries, not measured.
fn read<M: Memory>(
    names: &mut NameReader<'_, '_, M>,
    found: &CacheCandidate,
    entries: &[(Addr, Addr)],
    now: Option<ClockReadings>,
) -> Cache {
    let times = now.and_then(|now| times_of(names, found, entries, &now));
    let mut cache = unread(names, found, entries.len() as u64);
    cache.row.clock = times.map(|times| times.clock);
    cache.row.expired_entries = times.and_then(|times| times.expired);
    cache
}

/// A cache with `count` entries that are not read.
fn unread<M: Memory>(names: &mut NameReader<'_, '_, M>, found: &CacheCandidate, count: u64) -> Cache {
    let (max_entries, fill_ratio, unbounded) = limit(names, found, count);
    let row = CacheTotal {
        name: Arc::clone(&found.name),
        kind: Some(Arc::clone(&found.kind)),
        stdlib: Some(found.standard),
        instances: Some(1),
        entries: count,
        max_entries,
        fill_ratio,
        hits: found.counters.hits,
        misses: found.counters.misses,
        ..CacheTotal::default()
    };
    Cache { row, unbounded }
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
        let pairs = names.objects().read_pairs(*at, usize::MAX);
        let values: Vec<Addr> = pairs.into_iter().map(|(_, value)| value).collect();
        if let Some(times) = times(names, &values, now, true) {
            return Some(times);
        }
    }
    None
}

impl Cache {
    /// Adds another cache of the same name; both are not measured yet.
    fn join(&mut self, other: Self) {
        let sum = |a: Option<u64>, b: Option<u64>| Some(a?.saturating_add(b?));
        self.unbounded |= other.unbounded;
        let (a, b) = (&mut self.row, other.row);
        a.instances = sum(a.instances, b.instances);
        a.entries = a.entries.saturating_add(b.entries);
        a.max_entries = sum(a.max_entries, b.max_entries);
        a.fill_ratio = [a.fill_ratio, b.fill_ratio].into_iter().flatten().reduce(f64::max);
        a.hits = sum(a.hits, b.hits);
        a.misses = sum(a.misses, b.misses);
        a.expired_entries =
            sum(a.expired_entries, b.expired_entries).or(a.expired_entries).or(b.expired_entries);
        a.clock = a.clock.or(b.clock);
    }

    /// Sets the sizes. `key` reads the key of an entry.
    fn set_size(
        &mut self,
        size: &DeepSize,
        max_item_bytes: u64,
        key: impl FnOnce(usize) -> Option<Arc<str>>,
    ) {
        let sum = size.entries.iter().fold(0, |sum: u64, &bytes| sum.saturating_add(bytes));
        // Of equal ones the first.
        let largest = (0..).zip(&size.entries).max_by_key(|&(index, &bytes)| (bytes, Reverse(index)));
        let key = largest.and_then(|(index, _): (usize, _)| key(index));
        let row = &mut self.row;
        row.size_bytes = Some(size.deep_bytes);
        row.shared_bytes = Some(size.shared_bytes);
        row.retained_bytes = Some(size.retained_bytes);
        row.average_entry_bytes = Some(sum.checked_div(size.entries.len() as u64).unwrap_or(0));
        row.largest_entry_bytes = Some(largest.map_or(0, |(_, &bytes)| bytes));
        row.largest_entry_key = key.filter(|key| key.chars().count() <= LONGEST_KEY);
        row.large_entries = Some(size.entries.iter().filter(|&&bytes| bytes > max_item_bytes).count() as u64);
    }
}
