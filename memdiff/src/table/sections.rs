//! The rows of each table, the same for text and markdown.

use common::columns::{Cell, Tone};
use std::sync::Arc;

use common::record::{CountChange, DiffRecord, Presence, ProcessChange, TotalChange};
use common::stdio::escape_controls;
use common::units::{Bytes, Change};

use super::grid::Grid;
use crate::delta;

/// A table, and what it does not show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    /// What it is of.
    pub(super) title: String,
    pub(super) grid: Grid,
    /// What was left out, in words; empty if nothing was.
    pub(super) rest: String,
    /// How many of the last rows are sums, also of what was left out.
    pub(super) sums: usize,
}

const PROCESSES: &[&str] = &[
    "CHANGE",
    "RSS BEFORE",
    "AFTER",
    "PSS CHANGE",
    "PSS AFTER",
    "USS CHANGE",
    "USS AFTER",
    "SWAP CHANGE",
    "THREADS",
    "PID",
    "PROCESS",
];

/// What a narrow terminal can do without, the first first: changes tell more than sizes, and RSS is there in any case.
const DISPENSABLE: &[usize] = &[6, 4, 5, 7, 8, 3];

/// The processes, and below them the sums over each tree.
pub(super) fn processes(record: &DiffRecord, limit: Option<usize>) -> Section {
    let is_plain = |process: &&ProcessChange| {
        process.presence == Presence::Both
            && process.rss_before_bytes == process.rss_after_bytes
            && process.pss_before_bytes == process.pss_after_bytes
            && process.threads_before == process.threads_after
            && !process.role.starts_with("root")
    };
    let (unchanged, displayed_verdicts): (Vec<_>, Vec<_>) = if limit.is_some() {
        record.processes.iter().partition(is_plain)
    } else {
        (Vec::new(), record.processes.iter().collect())
    };
    let shown = limit.unwrap_or(usize::MAX).min(displayed_verdicts.len());
    let mut rows: Vec<Vec<Cell>> =
        displayed_verdicts.iter().take(shown).map(|process| process_row(process)).collect();
    let sizes = displayed_verdicts
        .iter()
        .skip(shown)
        .map(|p| delta::known_change(p.presence, p.rss_before_bytes, p.rss_after_bytes));
    let rest = describe_omitted(sizes, unchanged.len());
    let listed = rows.len();
    rows.extend(record.totals.iter().filter_map(|total| total_row(record, total)));
    let sums = rows.len() - listed;
    // Where no size is known (the older tool tells none), a table of processes says nothing.
    let is_known = |p: &ProcessChange| p.rss_before_bytes.is_some() || p.rss_after_bytes.is_some();
    if !record.processes.iter().any(is_known) {
        rows.clear();
    }
    let grid = Grid { titles: PROCESSES.to_vec(), rows, dispensable: DISPENSABLE };
    Section { title: "Processes".to_owned(), grid, rest, sums }
}

fn process_row(process: &ProcessChange) -> Vec<Cell> {
    let p = process;
    let changed = |before, after| change_cell(p.presence, before, after, false);
    let threads = match (p.threads_before, p.threads_after) {
        (Some(before), Some(after)) if before != after => format!("{before} → {after}"),
        (None, None) => String::new(),
        (before, after) => after.or(before).map_or_else(String::new, |count| count.to_string()),
    };
    let pid = match (p.pid_before, p.pid_after) {
        (Some(before), Some(after)) if before != after => format!("{before} → {after}"),
        (before, after) => {
            after.or(before).filter(|pid| *pid != 0).map_or_else(String::new, |pid| pid.to_string())
        }
    };
    let line = if &*p.role == "root" && !p.name.is_empty() {
        format!("root: {}", p.command.as_ref().unwrap_or(&p.name))
    } else {
        p.role.to_string()
    };
    let name = name_cell(p.presence, &line);
    vec![
        change_cell(p.presence, p.rss_before_bytes, p.rss_after_bytes, true),
        bytes_cell(p.rss_before_bytes),
        bytes_cell(p.rss_after_bytes),
        changed(p.pss_before_bytes, p.pss_after_bytes),
        bytes_cell(p.pss_after_bytes),
        changed(p.uss_before_bytes, p.uss_after_bytes),
        bytes_cell(p.uss_after_bytes),
        changed_swap(p),
        Cell::plain(threads),
        Cell::plain(pid),
        name,
    ]
}

/// Mostly nothing is swapped out, and nothing is to be told of it.
fn changed_swap(process: &ProcessChange) -> Cell {
    if process.swap_before_bytes.unwrap_or(0) == 0 && process.swap_after_bytes.unwrap_or(0) == 0 {
        return Cell::default();
    }
    change_cell(process.presence, process.swap_before_bytes, process.swap_after_bytes, false)
}

/// The sum over a tree, unless it has no more than its root.
fn total_row(record: &DiffRecord, total: &TotalChange) -> Option<Vec<Cell>> {
    let words = match &*total.kind {
        _ if delta::is_single_process(record, total) => return None,
        "total_rss" => "total of the tree by RSS (what is shared counts for each)",
        "total_pss" => "total of the tree by PSS",
        _ => return None,
    };
    let several = record.totals.iter().filter(|other| &*other.kind == "total_rss").count() > 1;
    let words = if several { format!("{words}: {}", escape_controls(&total.role)) } else { words.to_owned() };
    let mut row = vec![
        change_cell(Presence::Both, total.before_bytes, total.after_bytes, true),
        bytes_cell(total.before_bytes),
        bytes_cell(total.after_bytes),
    ];
    row.resize(PROCESSES.len() - 1, Cell::default());
    row.push(Cell::new(Tone::Strong, words));
    Some(row)
}

/// All objects and what they do not explain, then types, modules, holders and caches of each process whose objects were counted.
pub(super) fn object_lists(record: &DiffRecord, limit: Option<usize>) -> (Vec<Section>, usize) {
    let mut roles: Vec<&Arc<str>> = Vec::new();
    for total in record.totals.iter().filter(|total| &*total.kind == "python") {
        if roles.last() != Some(&&total.role) {
            roles.push(&total.role);
        }
    }
    let shown = limit.unwrap_or(usize::MAX).min(roles.len());
    let of_role = |changes: &[CountChange], role: &Arc<str>| -> Vec<CountChange> {
        changes.iter().filter(|change| change.role == *role).cloned().collect()
    };
    let mut parts = Vec::new();
    for role in roles.iter().take(shown) {
        let whose = if roles.len() > 1 { format!(" of {}", escape_controls(role)) } else { String::new() };
        parts.push(objects(record, role, &whose));
        parts.push(counts(&of_role(&record.types, role), "TYPE", format!("Types{whose}"), limit));
        parts.push(counts(&of_role(&record.modules, role), "MODULE", format!("Modules{whose}"), limit));
        let held = if whose.is_empty() { "Held by".to_owned() } else { format!("Held by, objects{whose}") };
        parts.push(counts(&of_role(&record.holders, role), "HOLDER", held, limit));
        parts.push(counts(&of_role(&record.caches, role), "CACHE", format!("Caches{whose}"), limit));
    }
    parts.retain(|part| !part.grid.rows.is_empty() || !part.rest.is_empty());
    (parts, roles.len() - shown)
}

fn objects(record: &DiffRecord, role: &Arc<str>, whose: &str) -> Section {
    let of_role = record.totals.iter().filter(|total| total.role == *role);
    let rows = of_role.filter_map(|total| {
        let name = match &*total.kind {
            "python" => "all Python objects",
            "native" => "resident beside Python objects",
            _ => return None,
        };
        Some(count_row(
            Presence::Both,
            (total.before_bytes, total.after_bytes),
            (total.count_before, total.count_after),
            name,
        ))
    });
    let grid = Grid { titles: count_titles("OBJECTS"), rows: rows.collect(), dispensable: &[] };
    Section { title: format!("Objects{whose}"), grid, rest: String::new(), sums: 0 }
}

fn count_titles(what: &'static str) -> Vec<&'static str> {
    vec!["CHANGE", "BEFORE", "AFTER", "COUNT CHANGE", "COUNT AFTER", what]
}

fn counts(changes: &[CountChange], what: &'static str, title: String, limit: Option<usize>) -> Section {
    let is_plain = |change: &&CountChange| {
        change.presence == Presence::Both
            && (change.size_before_bytes, change.count_before)
                == (change.size_after_bytes, change.count_after)
    };
    let (unchanged, displayed_verdicts): (Vec<_>, Vec<_>) = if limit.is_some() {
        changes.iter().partition(is_plain)
    } else {
        (Vec::new(), changes.iter().collect())
    };
    let shown = limit.unwrap_or(usize::MAX).min(displayed_verdicts.len());
    let row = |c: &&CountChange| {
        let sizes = (c.size_before_bytes, c.size_after_bytes);
        count_row(c.presence, sizes, (c.count_before, c.count_after), &c.name)
    };
    let rows = displayed_verdicts.iter().take(shown).map(row).collect();
    let sizes = displayed_verdicts
        .iter()
        .skip(shown)
        .map(|c| delta::known_change(c.presence, c.size_before_bytes, c.size_after_bytes));
    let rest = describe_omitted(sizes, unchanged.len());
    Section { title, grid: Grid { titles: count_titles(what), rows, dispensable: &[4, 3] }, rest, sums: 0 }
}

fn count_row(
    presence: Presence,
    (before, after): (Option<u64>, Option<u64>),
    (count_before, count_after): (Option<u64>, Option<u64>),
    name: &str,
) -> Vec<Cell> {
    let count = match delta::known_change(presence, count_before, count_after) {
        _ if count_before.is_none() && count_after.is_none() => String::new(),
        Some(Change(0)) => "±0".to_owned(),
        Some(Change(count)) => format!("{count:+}"),
        None => "?".to_owned(),
    };
    vec![
        change_cell(presence, before, after, true),
        bytes_cell(before),
        bytes_cell(after),
        Cell::plain(count),
        Cell::plain(count_after.map_or_else(String::new, |count| count.to_string())),
        name_cell(presence, name),
    ]
}

/// A name, with a word where it is not on both sides.
fn name_cell(presence: Presence, name: &str) -> Cell {
    let name = if name.is_empty() { "(no name)".into() } else { escape_controls(name) };
    match presence {
        Presence::Both => Cell::plain(name),
        Presence::New => Cell::plain(format!("{name} (new)")),
        Presence::Gone => Cell::plain(format!("{name} (gone)")),
        Presence::Unknown => Cell::new(Tone::Dim, format!("{name} (listed on one side only)")),
    }
}

fn bytes_cell(bytes: Option<u64>) -> Cell {
    Cell::plain(bytes.map_or_else(String::new, |bytes| Bytes(bytes).to_string()))
}

/// A change, or `?` where one side is not known though the other is; `must` also where neither is.
fn change_cell(presence: Presence, before: Option<u64>, after: Option<u64>, must: bool) -> Cell {
    if before.is_none() && after.is_none() && !must {
        return Cell::default();
    }
    match delta::known_change(presence, before, after) {
        None => Cell::new(Tone::Dim, "?"),
        Some(change) => {
            let tone = match change.0 {
                0 => Tone::Dim,
                1.. => Tone::Growth,
                _ => Tone::Shrinkage,
            };
            Cell::new(tone, change.to_string())
        }
    }
}

/// What was left out: rows beyond the limit with the sum of their changes, and what did not change.
fn describe_omitted(cut: impl Iterator<Item = Option<Change>>, unchanged: usize) -> String {
    let (mut count, mut sum, mut unknown) = (0_usize, 0_i64, 0_usize);
    for change in cut {
        count += 1;
        match change {
            Some(change) => sum = sum.saturating_add(change.0),
            None => unknown += 1,
        }
    }
    let mut words: Vec<String> = Vec::new();
    if count > 0 {
        words.push(format!("{count} more ({} together)", Change(sum)));
    }
    if unknown > 0 {
        words.push(format!("{unknown} of them unknown"));
    }
    if unchanged > 0 {
        words.push(format!("{unchanged} unchanged"));
    }
    words.join(", ")
}
