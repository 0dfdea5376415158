//! What changed between two sides, value by value, and what of it is growth beyond the threshold.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use common::log::Census;
use common::record::{
    CountChange, DiffRecord, Header, MomentRef, Presence, ProcessChange, ThreadChange, TotalChange,
};
use common::units::Change;

use crate::align::{self, ProcessPair, ProcessView};
use crate::cli::{DEFAULT_THRESHOLD_BYTES, Threshold};
use crate::measurement::{self, CensusList, ListRow, Measurements, Origin, local_stamp};

/// What growth must pass to count: both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GrowthThreshold {
    /// More than so many bytes.
    pub bytes: u64,
    /// More than this share of what was there before.
    pub ratio: f64,
}

impl GrowthThreshold {
    /// From what the user gave, the last of each kind; `bytes` if there was no size.
    #[must_use]
    pub fn new(thresholds: &[Threshold], bytes: u64) -> Self {
        let mut bounds = Self { bytes, ratio: 0.0 };
        for threshold in thresholds {
            match *threshold {
                Threshold::Bytes(bytes) => bounds.bytes = bytes,
                Threshold::Ratio(ratio) => bounds.ratio = ratio,
            }
        }
        bounds
    }

    /// Whether growth from `before` to `after` counts.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share need not be exact beyond 2^53 bytes")]
    pub fn is_exceeded(&self, before: u64, after: u64) -> bool {
        let growth = after.saturating_sub(before);
        growth > self.bytes && growth as f64 > before as f64 * self.ratio
    }
}

impl Default for GrowthThreshold {
    fn default() -> Self {
        Self::new(&[], DEFAULT_THRESHOLD_BYTES)
    }
}

/// What changed, and what has to be said to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The changes, sorted: the largest first, whichever way it went.
    pub record: DiffRecord,
    /// What grew beyond the bounds, largest first: a process, tree, type, module, holder or cache, and by how much.
    pub grown: Vec<Growth>,
    /// What a person has to know to read the numbers right.
    pub notes: Vec<String>,
}

/// Something that grew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    /// The process, type, module, holder or cache.
    pub name: Arc<str>,
    /// By how many bytes.
    pub bytes: u64,
}

/// Compares two sides. Neither may be empty. `files` are the names of the inputs.
#[must_use]
pub fn compare(
    header: Header,
    before: &Measurements,
    after: &Measurements,
    files: &[String],
    bounds: &GrowthThreshold,
) -> Comparison {
    let pairs = align::match_processes(align::process_views(before), align::process_views(after));
    let mut record = DiffRecord::new(header, mark(before, files), mark(after, files));
    let mut notes = notes_on(before, after);
    let mut uncounted: Vec<&str> = Vec::new();
    let has_trees =
        |pick: fn(&ProcessPair<'_>) -> Option<bool>| pairs.iter().any(|pair| pick(pair) == Some(true));
    let listed = Listed {
        before: has_trees(|pair| Some(pair.before.as_ref()?.process.is_some())),
        after: has_trees(|pair| Some(pair.after.as_ref()?.process.is_some())),
    };
    for pair in &pairs {
        record.processes.push(compare_process(pair, listed));
        record.totals.extend(tree_totals(pair));
        let [was, is] = [&pair.before, &pair.after].map(|view| view.as_ref().and_then(|view| view.census));
        match (was, is) {
            (Some(before), Some(after)) => {
                record.totals.extend(python_totals(&pair.role, before, after));
                record.types.extend(compare_lists(
                    &pair.role,
                    measurement::types(before),
                    measurement::types(after),
                ));
                record.modules.extend(compare_lists(
                    &pair.role,
                    measurement::modules(before),
                    measurement::modules(after),
                ));
                record.holders.extend(compare_lists(
                    &pair.role,
                    measurement::holders(before),
                    measurement::holders(after),
                ));
                record.caches.extend(compare_lists(
                    &pair.role,
                    measurement::caches(before),
                    measurement::caches(after),
                ));
                record.threads.extend(compare_threads(&pair.role, before, after));
            }
            (Some(_), None) | (None, Some(_)) => uncounted.push(&pair.role),
            (None, None) => {}
        }
    }
    if let Some((first, others)) = uncounted.split_first() {
        let more = if others.is_empty() { String::new() } else { format!(" and of {} more", others.len()) };
        notes
            .push(format!("the objects of {first}{more} were counted on one side only and are not compared"));
    }
    sort(&mut record);
    let grown = find_growth(&record, bounds);
    record.grew = !grown.is_empty();
    Comparison { record, grown, notes }
}

/// Whether a side lists processes at all: where it does, one that is missing is not there.
#[derive(Debug, Clone, Copy)]
struct Listed {
    before: bool,
    after: bool,
}

/// The latest of a side's moments stands for it.
fn latest(side: &Measurements) -> Option<&Origin> {
    side.iter().map(|measurement| &measurement.at).max_by_key(|at| at.unix_ms)
}

fn mark(side: &Measurements, files: &[String]) -> MomentRef {
    let unknown =
        || MomentRef { file: String::new(), run: "".into(), iteration: 0, timestamp: local_stamp(0) };
    latest(side).map_or_else(unknown, |at| at.mark(files))
}

fn notes_on(before: &Measurements, after: &Measurements) -> Vec<String> {
    let mut notes = Vec::new();
    let (Some(earlier), Some(later)) = (latest(before), latest(after)) else { return notes };
    let same_run = before.iter().any(|a| after.iter().any(|b| a.at.run == b.at.run));
    if !same_run {
        notes.push("two different runs: processes are matched by their role".to_owned());
    }
    if later.unix_ms < earlier.unix_ms {
        notes.push("the later side was measured before the earlier one".to_owned());
    }
    notes
}

fn compare_process(pair: &ProcessPair<'_>, listed: Listed) -> ProcessChange {
    let (before, after) = (pair.before.as_ref(), pair.after.as_ref());
    let rss = |view: Option<&ProcessView<'_>>| {
        view.and_then(|view| match (view.process, view.census) {
            (Some(process), _) => process.rss_bytes,
            (None, census) => census.and_then(|census| census.rss_bytes),
        })
    };
    let [was, is] = [before, after].map(|view| view.and_then(|view| view.process));
    let presence = match (before, after) {
        (Some(_), Some(_)) => Presence::Both,
        (None, Some(view)) if view.process.is_some() && listed.before => Presence::New,
        (Some(view), None) if view.process.is_some() && listed.after => Presence::Gone,
        _ => Presence::Unknown,
    };
    ProcessChange {
        role: Arc::clone(&pair.role),
        name: after.or(before).map_or_else(|| "".into(), |view| Arc::clone(view.name)),
        command: after.and_then(|view| view.cmdline).or(before.and_then(|view| view.cmdline)).map(|line| {
            // Most are short, and shared as they are.
            let short = align::shorten_command(line);
            if short == **line { Arc::clone(line) } else { short.into() }
        }),
        presence,
        pid_before: before.map(|view| view.pid),
        pid_after: after.map(|view| view.pid),
        rss_before_bytes: rss(before),
        rss_after_bytes: rss(after),
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

fn tree_totals(pair: &ProcessPair<'_>) -> Vec<TotalChange> {
    let tree = |view: &Option<ProcessView<'_>>| view.as_ref().and_then(|view| view.tree).cloned();
    let (Some(before), Some(after)) = (tree(&pair.before), tree(&pair.after)) else { return Vec::new() };
    let total = |kind: &str, before_bytes, after_bytes| TotalChange {
        kind: kind.into(),
        role: Arc::clone(&pair.role),
        before_bytes,
        after_bytes,
        count_before: None,
        count_after: None,
    };
    let mut totals = vec![total("total_rss", Some(before.total_rss_bytes), Some(after.total_rss_bytes))];
    if before.total_pss_bytes.is_some() || after.total_pss_bytes.is_some() {
        totals.push(total("total_pss", before.total_pss_bytes, after.total_pss_bytes));
    }
    totals
}

/// What of the resident size the Python objects do not explain; `None` where either is not known.
#[must_use]
pub fn native_bytes(census: &Census) -> Option<u64> {
    Some(census.rss_bytes?.saturating_sub(census.total_size_bytes?))
}

fn python_totals(role: &Arc<str>, before: &Census, after: &Census) -> Vec<TotalChange> {
    let python = TotalChange {
        kind: "python".into(),
        role: Arc::clone(role),
        before_bytes: before.total_size_bytes,
        after_bytes: after.total_size_bytes,
        count_before: Some(before.total_objects),
        count_after: Some(after.total_objects),
    };
    let (was, is) = (native_bytes(before), native_bytes(after));
    let native = (was.is_some() || is.is_some()).then(|| TotalChange {
        kind: "native".into(),
        role: Arc::clone(role),
        before_bytes: was,
        after_bytes: is,
        count_before: None,
        count_after: None,
    });
    std::iter::once(python).chain(native).collect()
}

/// Everything that is on either list. What one lists alone was not there on the other if that list is whole, and may have been
/// there if it was cut.
fn compare_lists(role: &Arc<str>, before: CensusList<'_>, after: CensusList<'_>) -> Vec<CountChange> {
    let mut earlier: HashMap<&Arc<str>, ListRow<'_>> = before.0.iter().map(|row| (row.name, *row)).collect();
    let mut changes: Vec<CountChange> = Vec::with_capacity(after.0.len());
    let count = |row: Option<ListRow<'_>>, is_cut: bool| match row {
        Some(row) => (Some(row.count), row.size_bytes),
        None if is_cut => (None, None),
        None => (Some(0), Some(0)),
    };
    let mut change = |name: &Arc<str>, was: Option<ListRow<'_>>, is: Option<ListRow<'_>>| {
        let presence = match (was, is) {
            (Some(_), Some(_)) => Presence::Both,
            (None, _) if before.1 => Presence::Unknown,
            (_, None) if after.1 => Presence::Unknown,
            (None, _) => Presence::New,
            (_, None) => Presence::Gone,
        };
        let (count_before, size_before_bytes) = count(was, before.1);
        let (count_after, size_after_bytes) = count(is, after.1);
        changes.push(CountChange {
            name: Arc::clone(name),
            role: Arc::clone(role),
            presence,
            count_before,
            count_after,
            size_before_bytes,
            size_after_bytes,
        });
    };
    for row in after.0 {
        change(row.name, earlier.remove(row.name), Some(row));
    }
    for row in before.0 {
        if earlier.remove(row.name).is_some() {
            change(row.name, Some(row), None);
        }
    }
    changes
}

/// Threads by name that one side has more of than the other.
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

/// A change of size that is known: a new thing had nothing before, one that is gone has nothing now.
#[must_use]
pub fn known_change(presence: Presence, before: Option<u64>, after: Option<u64>) -> Option<Change> {
    let (before, after) = known_sizes(presence, before, after);
    Some(Change::between(before?, after?))
}

fn known_sizes(presence: Presence, before: Option<u64>, after: Option<u64>) -> (Option<u64>, Option<u64>) {
    match presence {
        Presence::New => (Some(before.unwrap_or(0)), after),
        Presence::Gone => (before, Some(after.unwrap_or(0))),
        Presence::Both | Presence::Unknown => (before, after),
    }
}

/// Largest change first; what did not change in size by the number of objects; what is unknown last, by the size that is known.
/// The same order whichever side comes first, so that what is exchanged is mirrored.
fn sort(record: &mut DiffRecord) {
    let rank = |presence, before: Option<u64>, after: Option<u64>| {
        let change = known_change(presence, before, after);
        let known = before.max(after).unwrap_or(0);
        (change.is_none(), Reverse(change.map_or(0, |change| change.0.unsigned_abs())), Reverse(known))
    };
    record.processes.sort_by(|a, b| {
        let key = |p: &ProcessChange| rank(p.presence, p.rss_before_bytes, p.rss_after_bytes);
        (key(a), &a.role).cmp(&(key(b), &b.role))
    });
    for changes in [&mut record.types, &mut record.modules, &mut record.holders, &mut record.caches] {
        changes.sort_by(|a, b| {
            let key = |c: &CountChange| {
                let (unknown, change, known) = rank(c.presence, c.size_before_bytes, c.size_after_bytes);
                let objects = c.count_after.unwrap_or(0).abs_diff(c.count_before.unwrap_or(0));
                (unknown, change, Reverse(objects), known)
            };
            (key(a), &a.name, &a.role).cmp(&(key(b), &b.name, &b.role))
        });
    }
    record.threads.sort_by(|a, b| (&a.role, &a.name).cmp(&(&b.role, &b.name)));
}

/// What grew beyond the bounds, by size.
///
/// Of a process that is on both sides its resident size counts; of a new one its proportional size if that is known, as what a fork
/// shares with its parent is no growth; of a tree the sum of proportional sizes if both are known, else of resident ones.
fn find_growth(record: &DiffRecord, bounds: &GrowthThreshold) -> Vec<Growth> {
    let mut grown: Vec<Growth> = Vec::new();
    let mut hold = |name: &Arc<str>, presence, before: Option<u64>, after: Option<u64>| {
        if let (Some(before), Some(after)) = known_sizes(presence, before, after)
            && bounds.is_exceeded(before, after)
        {
            grown.push(Growth { name: Arc::clone(name), bytes: after.saturating_sub(before) });
        }
    };
    for process in &record.processes {
        let after = match process.presence {
            Presence::New => process.pss_after_bytes.or(process.rss_after_bytes),
            _ => process.rss_after_bytes,
        };
        let name = display_name(process);
        hold(&name, process.presence, process.rss_before_bytes, after);
    }
    for total in &record.totals {
        let name = match &*total.kind {
            "total_rss" if has_proportional(record, total) => continue,
            "total_rss" | "total_pss" if is_single_process(record, total) => continue,
            "total_rss" | "total_pss" => "the tree".into(),
            "python" => "Python objects".into(),
            other => Arc::from(other),
        };
        hold(&name, Presence::Both, total.before_bytes, total.after_bytes);
    }
    for change in [&record.types, &record.modules, &record.holders, &record.caches].into_iter().flatten() {
        hold(&change.name, change.presence, change.size_before_bytes, change.size_after_bytes);
    }
    grown.sort_by(|a, b| (Reverse(a.bytes), &a.name).cmp(&(Reverse(b.bytes), &b.name)));
    grown
}

/// What a process is called beside a number: the root by its command line or name, others by their role.
#[must_use]
pub fn display_name(process: &ProcessChange) -> Arc<str> {
    if &*process.role == "root" && !process.name.is_empty() {
        process.command.as_ref().map_or_else(|| Arc::clone(&process.name), Arc::clone)
    } else {
        Arc::clone(&process.role)
    }
}

fn has_proportional(record: &DiffRecord, total: &TotalChange) -> bool {
    let known = |other: &&TotalChange| {
        &*other.kind == "total_pss" && other.role == total.role && other.before_bytes.is_some()
    };
    record.totals.iter().filter(known).any(|other| other.after_bytes.is_some())
}

/// Whether a tree has no more than its root: its total then says nothing new.
#[must_use]
pub fn is_single_process(record: &DiffRecord, total: &TotalChange) -> bool {
    record.processes.iter().filter(|process| process.role == total.role).any(|root| {
        root.rss_before_bytes == rss_total(record, total).0
            && root.rss_after_bytes == rss_total(record, total).1
    })
}

fn rss_total(record: &DiffRecord, total: &TotalChange) -> (Option<u64>, Option<u64>) {
    let of_tree = |other: &&TotalChange| &*other.kind == "total_rss" && other.role == total.role;
    let found = record.totals.iter().find(of_tree);
    found.map_or((None, None), |found| (found.before_bytes, found.after_bytes))
}

#[cfg(test)]
mod tests;
