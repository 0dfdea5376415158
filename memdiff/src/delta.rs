//! Compares two moments, and finds growth beyond a threshold.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use common::log::Census;
use common::record::{
    CountChange, DiffRecord, Header, MomentRef, Presence, ProcessChange, SeriesKind, ThreadChange,
    TotalChange,
};
use common::units::Change;

use crate::align::{self, ProcessPair, ProcessView};
use crate::cli::{DEFAULT_THRESHOLD_BYTES, Threshold};
use crate::measurement::{CensusList, ListRow, Measurement, Origin, census_lists, local_stamp, native_bytes};

/// The growth that does not count yet: only growth beyond both bounds does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GrowthThreshold {
    /// In bytes.
    pub bytes: u64,
    /// As a share of the size before.
    pub ratio: f64,
}

impl GrowthThreshold {
    /// The last size and the last percentage given; `bytes` if no size was given.
    pub fn new(thresholds: &[Threshold], bytes: u64) -> Self {
        let mut all = Self { bytes, ratio: 0.0 };
        for threshold in thresholds {
            match *threshold {
                Threshold::Bytes(bytes) => all.bytes = bytes,
                Threshold::Ratio(ratio) => all.ratio = ratio,
            }
        }
        all
    }

    /// Whether growth from `before` to `after` counts.
    pub fn is_exceeded(&self, before: u64, after: u64) -> bool {
        after.saturating_sub(before) > self.bytes && self.is_ratio_exceeded(before, after)
    }

    /// Whether growth from `before` to `after`, which may be no bytes, counts by its ratio.
    pub fn is_ratio_exceeded(&self, before: u64, after: u64) -> bool {
        after.saturating_sub(before) as f64 > before as f64 * self.ratio
    }
}

impl Default for GrowthThreshold {
    fn default() -> Self {
        Self::new(&[], DEFAULT_THRESHOLD_BYTES)
    }
}

/// The differences between two moments.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// All differences, largest absolute change first.
    pub record: DiffRecord,
    /// Growth beyond the threshold, largest first.
    pub grown: Vec<Growth>,
    /// Facts that a reader needs to interpret the numbers.
    pub notes: Vec<String>,
}

/// A process, tree, type, module, holder or cache that grew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    /// Its name.
    pub name: Arc<str>,
    /// Its growth in bytes.
    pub bytes: u64,
}

/// Compares the measurements of two moments. Neither may be empty. `files` are the names of the inputs.
pub fn compare(
    header: Header,
    before: &[Measurement],
    after: &[Measurement],
    files: &[String],
    threshold: &GrowthThreshold,
) -> Comparison {
    let pairs = align::match_processes(&align::process_views(before), &align::process_views(after));
    let mut record = DiffRecord::new(header, moment_ref(before, files), moment_ref(after, files));
    let mut notes = notes_on(before, after);
    let mut uncounted: Vec<&str> = Vec::new();
    let has_processes = [before, after]
        .map(|side| side.iter().filter_map(Measurement::tree).any(|tree| !tree.processes.is_empty()));
    for pair in &pairs {
        record.processes.push(compare_process(pair, has_processes));
        record.totals.extend(compare_totals(pair));
        if let Some((was, is)) = pair.both(|view| view.census) {
            let lists = [&mut record.types, &mut record.modules, &mut record.holders, &mut record.caches];
            for ((was, is), list) in census_lists(was).into_iter().zip(census_lists(is)).zip(lists) {
                list.extend(compare_lists(&pair.role, was, is));
            }
            record.threads.extend(compare_threads(&pair.role, was, is));
        } else if [pair.before, pair.after].iter().flatten().any(|view| view.census.is_some()) {
            uncounted.push(&pair.role);
        }
    }
    if let Some((first, others)) = uncounted.split_first() {
        let more = if others.is_empty() { String::new() } else { format!(" and of {} more", others.len()) };
        notes.push(format!("not compared: objects of {first}{more}, which were counted on one side only"));
    }
    sort(&mut record);
    let grown = find_growth(&record, threshold);
    record.grew = !grown.is_empty();
    Comparison { record, grown, notes }
}

/// The lists of a record, by kind.
pub fn lists(record: &DiffRecord) -> [(SeriesKind, &Vec<CountChange>); 4] {
    [
        (SeriesKind::Type, &record.types),
        (SeriesKind::Module, &record.modules),
        (SeriesKind::Holder, &record.holders),
        (SeriesKind::Cache, &record.caches),
    ]
}

/// The origin of the latest measurement.
fn latest(measurements: &[Measurement]) -> Option<&Origin> {
    measurements.iter().map(|measurement| &measurement.origin).max_by_key(|origin| origin.unix_ms)
}

fn moment_ref(measurements: &[Measurement], files: &[String]) -> MomentRef {
    let unknown =
        || MomentRef { file: String::new(), run: "".into(), iteration: 0, timestamp: local_stamp(0) };
    latest(measurements).map_or_else(unknown, |origin| origin.to_moment_ref(files))
}

fn notes_on(before: &[Measurement], after: &[Measurement]) -> Vec<String> {
    let mut notes = Vec::new();
    let is_same_run = before.iter().any(|a| after.iter().any(|b| a.origin.run == b.origin.run));
    if !is_same_run {
        notes.push("two different runs: processes are matched by their role".to_owned());
    }
    let unix_ms = |side| latest(side).map(|origin| origin.unix_ms);
    if unix_ms(after) < unix_ms(before) {
        notes.push("the later side was measured before the earlier one".to_owned());
    }
    notes
}

/// The change of a process. A process that is missing where processes were listed was not there.
fn compare_process(pair: &ProcessPair<'_>, has_processes: [bool; 2]) -> ProcessChange {
    let (before, after) = (pair.before, pair.after);
    let rss = |view: ProcessView<'_>| {
        view.process.map_or_else(|| view.census.and_then(|census| census.rss_bytes), |p| p.rss_bytes)
    };
    let [was, is] = [before, after].map(|view| view.and_then(|view| view.process));
    // Processes with a census alone say nothing about a side that lists processes.
    let is_listed = was.is_some() || is.is_some();
    let is_complete = has_processes.map(|has_processes| has_processes && is_listed);
    let cmdline = after.and_then(|view| view.cmdline).or(before.and_then(|view| view.cmdline));
    ProcessChange {
        role: Arc::clone(&pair.role),
        name: after.or(before).map_or_else(|| "".into(), |view| Arc::clone(view.name)),
        command: cmdline.map(|line| {
            // Most are short enough to be shared as they are.
            let short = align::shorten_command(line);
            if short == **line { Arc::clone(line) } else { short.into() }
        }),
        presence: presence([before.is_some(), after.is_some()], is_complete),
        pid_before: before.map(|view| view.pid),
        pid_after: after.map(|view| view.pid),
        rss_before_bytes: before.and_then(rss),
        rss_after_bytes: after.and_then(rss),
        pss_before_bytes: was.and_then(|process| process.pss_bytes),
        pss_after_bytes: is.and_then(|process| process.pss_bytes),
        uss_before_bytes: was.and_then(|process| process.uss_bytes),
        uss_after_bytes: is.and_then(|process| process.uss_bytes),
        swap_before_bytes: was.and_then(|process| process.swap_bytes),
        swap_after_bytes: is.and_then(|process| process.swap_bytes),
        threads_before: was.and_then(|process| process.threads),
        threads_after: is.and_then(|process| process.threads),
    }
}

/// The sums over a tree and over the objects of a process.
fn compare_totals(pair: &ProcessPair<'_>) -> Vec<TotalChange> {
    let total = |kind: SeriesKind, [before_bytes, after_bytes]: [Option<u64>; 2]| TotalChange {
        kind,
        role: Arc::clone(&pair.role),
        before_bytes,
        after_bytes,
        count_before: None,
        count_after: None,
    };
    let known = |kind, bytes: [Option<u64>; 2]| (bytes != [None, None]).then(|| total(kind, bytes));
    let mut totals = Vec::new();
    if let Some((was, is)) = pair.both(|view| view.tree) {
        totals.push(total(SeriesKind::TotalRss, [Some(was.total_rss_bytes), Some(is.total_rss_bytes)]));
        totals.extend(known(SeriesKind::TotalPss, [was.total_pss_bytes, is.total_pss_bytes]));
    }
    if let Some((was, is)) = pair.both(|view| view.census) {
        totals.push(TotalChange {
            count_before: Some(was.total_objects),
            count_after: Some(is.total_objects),
            ..total(SeriesKind::Python, [was.total_size_bytes, is.total_size_bytes])
        });
        totals.extend(known(SeriesKind::Native, [native_bytes(was), native_bytes(is)]));
    }
    totals
}

/// The changes of all names on either list. A name missing from a complete list counts as 0, from a truncated list as unknown.
fn compare_lists(role: &Arc<str>, before: CensusList<'_>, after: CensusList<'_>) -> Vec<CountChange> {
    let mut earlier: HashMap<&Arc<str>, ListRow<'_>> =
        before.rows.iter().map(|row| (row.name, *row)).collect();
    let count = |row: Option<ListRow<'_>>, is_truncated: bool| match row {
        Some(row) => (Some(row.count), row.size_bytes),
        None if is_truncated => (None, None),
        None => (Some(0), Some(0)),
    };
    let is_complete = [!before.is_truncated, !after.is_truncated];
    let change = |name: &Arc<str>, was: Option<ListRow<'_>>, is: Option<ListRow<'_>>| {
        let (count_before, size_before_bytes) = count(was, before.is_truncated);
        let (count_after, size_after_bytes) = count(is, after.is_truncated);
        CountChange {
            name: Arc::clone(name),
            role: Arc::clone(role),
            presence: presence([was.is_some(), is.is_some()], is_complete),
            count_before,
            count_after,
            size_before_bytes,
            size_after_bytes,
        }
    };
    let mut changes: Vec<CountChange> = Vec::with_capacity(after.rows.len());
    changes.extend(after.rows.iter().map(|row| change(row.name, earlier.remove(row.name), Some(*row))));
    let gone = before.rows.iter().filter_map(|row| earlier.remove(row.name));
    changes.extend(gone.map(|row| change(row.name, Some(row), None)));
    changes
}

/// Thread names that one side has more often than the other, each as often as the counts differ.
fn compare_threads(role: &Arc<str>, before: &Census, after: &Census) -> Vec<ThreadChange> {
    let (Some(before), Some(after)) = (&before.threads, &after.threads) else { return Vec::new() };
    let mut balance: HashMap<&Arc<str>, i64> = HashMap::new();
    after.iter().for_each(|name| *balance.entry(name).or_insert(0) += 1);
    before.iter().for_each(|name| *balance.entry(name).or_insert(0) -= 1);
    let change = |(name, count): (&Arc<str>, i64)| {
        let presence = if count > 0 { Presence::New } else { Presence::Gone };
        let change = ThreadChange { name: Arc::clone(name), role: Arc::clone(role), presence };
        std::iter::repeat_n(change, usize::try_from(count.unsigned_abs()).unwrap_or(0))
    };
    balance.into_iter().flat_map(change).collect()
}

/// A value at both moments; `None` if unknown.
pub type Sides<T = u64> = [Option<T>; 2];

/// RSS, PSS, USS and swap of a process, with their names in records.
pub fn process_sizes(p: &ProcessChange) -> [(&'static str, Sides); 4] {
    [
        ("rss", [p.rss_before_bytes, p.rss_after_bytes]),
        ("pss", [p.pss_before_bytes, p.pss_after_bytes]),
        ("uss", [p.uss_before_bytes, p.uss_after_bytes]),
        ("swap", [p.swap_before_bytes, p.swap_after_bytes]),
    ]
}

/// The change of a size, if it is known.
pub fn known_change(presence: Presence, sizes: Sides) -> Option<Change> {
    known_sizes(presence, sizes).map(|(before, after)| Change::between(before, after))
}

/// Both sizes, if they are known: something new had 0 before, something gone has 0 now.
fn known_sizes(presence: Presence, [before, after]: Sides) -> Option<(u64, u64)> {
    match presence {
        Presence::New => Some((before.unwrap_or(0), after?)),
        Presence::Gone => Some((before?, after.unwrap_or(0))),
        Presence::Both | Presence::Unknown => Some((before?, after?)),
    }
}

/// Where something is. What is missing on a side is known not to be there if the side `is_complete`.
fn presence(is_there: [bool; 2], is_complete: [bool; 2]) -> Presence {
    match (is_there, is_complete) {
        ([true, true], _) => Presence::Both,
        ([false, _], [true, _]) => Presence::New,
        ([true, false], [_, true]) => Presence::Gone,
        _ => Presence::Unknown,
    }
}

/// Sorts by absolute change of size, then by change of count, then by size; unknown changes come last. The order does not depend on which side
/// is the earlier one.
fn sort(record: &mut DiffRecord) {
    let rank = |presence, sizes: Sides| {
        let change = known_change(presence, sizes);
        let size = sizes.into_iter().max().flatten().unwrap_or(0);
        (change.is_none(), Reverse(change.map_or(0, |change| change.0.unsigned_abs())), Reverse(size))
    };
    record.processes.sort_by(|a, b| {
        let key = |p: &ProcessChange| rank(p.presence, [p.rss_before_bytes, p.rss_after_bytes]);
        (key(a), &a.role).cmp(&(key(b), &b.role))
    });
    for changes in [&mut record.types, &mut record.modules, &mut record.holders, &mut record.caches] {
        changes.sort_by(|a, b| {
            let key = |c: &CountChange| {
                let (is_unknown, change, size) = rank(c.presence, [c.size_before_bytes, c.size_after_bytes]);
                let count = c.count_after.unwrap_or(0).abs_diff(c.count_before.unwrap_or(0));
                (is_unknown, change, Reverse(count), size)
            };
            (key(a), &a.name, &a.role).cmp(&(key(b), &b.name, &b.role))
        });
    }
    record.threads.sort_by(|a, b| (&a.role, &a.name).cmp(&(&b.role, &b.name)));
}

/// The growth beyond the threshold, largest first.
///
/// A process counts by its RSS, a new one by its PSS if known: memory that a fork shares with its parent is no growth. A tree counts by the sum
/// of PSS if known on both sides, otherwise of RSS.
fn find_growth(record: &DiffRecord, threshold: &GrowthThreshold) -> Vec<Growth> {
    let mut grown: Vec<Growth> = Vec::new();
    let mut add = |name: &Arc<str>, presence, sizes: Sides| {
        if let Some((before, after)) = known_sizes(presence, sizes)
            && threshold.is_exceeded(before, after)
        {
            grown.push(Growth { name: Arc::clone(name), bytes: after.saturating_sub(before) });
        }
    };
    for process in &record.processes {
        let after = match process.presence {
            Presence::New => process.pss_after_bytes.or(process.rss_after_bytes),
            _ => process.rss_after_bytes,
        };
        let command = process.command.as_ref().unwrap_or(&process.name);
        let is_root = &*process.role == "root" && !process.name.is_empty();
        let name = if is_root { command } else { &process.role };
        add(name, process.presence, [process.rss_before_bytes, after]);
    }
    for total in &record.totals {
        let name: Arc<str> = match total.kind {
            SeriesKind::TotalRss | SeriesKind::TotalPss if is_single_process(record, &total.role) => continue,
            SeriesKind::TotalRss if has_total_pss(record, &total.role) => continue,
            SeriesKind::TotalRss | SeriesKind::TotalPss => "the tree".into(),
            SeriesKind::Python => "Python objects".into(),
            kind => kind.to_string().into(),
        };
        add(&name, Presence::Both, [total.before_bytes, total.after_bytes]);
    }
    for change in lists(record).into_iter().flat_map(|(_, changes)| changes) {
        add(&change.name, change.presence, [change.size_before_bytes, change.size_after_bytes]);
    }
    grown.sort_by(|a, b| (Reverse(a.bytes), &a.name).cmp(&(Reverse(b.bytes), &b.name)));
    grown
}

fn tree_total<'r>(record: &'r DiffRecord, role: &str, kind: SeriesKind) -> Option<&'r TotalChange> {
    record.totals.iter().find(|total| total.kind == kind && &*total.role == role)
}

fn has_total_pss(record: &DiffRecord, role: &str) -> bool {
    tree_total(record, role, SeriesKind::TotalPss)
        .is_some_and(|total| total.before_bytes.is_some() && total.after_bytes.is_some())
}

/// Whether a tree has no process but its root, so that its sums repeat the root's sizes.
pub fn is_single_process(record: &DiffRecord, role: &str) -> bool {
    let total = tree_total(record, role, SeriesKind::TotalRss);
    let root = record.processes.iter().find(|process| &*process.role == role);
    total.zip(root).is_some_and(|(total, root)| {
        (total.before_bytes, total.after_bytes) == (root.rss_before_bytes, root.rss_after_bytes)
    })
}

#[cfg(test)]
mod tests;
