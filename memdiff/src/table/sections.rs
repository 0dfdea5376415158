//! The tables of a comparison.

use std::sync::Arc;

use common::columns::{Cell, Tone};
use common::record::{CountChange, DiffRecord, Presence, ProcessChange, SeriesKind, TotalChange};
use common::stdio::escape_controls;
use common::units::{Bytes, Change, thousands};

use super::grid::Grid;
use crate::delta::{self, Sides, known_change, process_sizes};

/// A table with its title.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) title: String,
    /// The process that the table is about, if there are tables of several.
    pub(super) owner: Option<Arc<str>>,
    pub(super) grid: Grid,
    /// A description of the rows left out; empty if there are none.
    pub(super) omitted: String,
    /// The number of rows at the end that are sums, also of the rows left out.
    pub(super) sums: usize,
}

const PROCESS_TITLES: &[&str] = &[
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

/// The columns that a narrow terminal leaves out, in this order: sizes before changes; RSS always stays.
const DISPENSABLE_PROCESS_COLUMNS: &[usize] = &[6, 4, 5, 7, 8, 3];

/// The title and the name column of each list.
const LIST_TITLES: [(&str, &str); 4] =
    [("Types", "TYPE"), ("Modules", "MODULE"), ("Holders", "HOLDER"), ("Caches", "CACHE")];

/// The tables of a comparison, without empty ones. `limit` is the most rows of each; `None` for all, unchanged ones too.
pub(super) fn sections(record: &DiffRecord, limit: Option<usize>) -> Vec<Section> {
    let mut roles: Vec<&Arc<str>> = record
        .totals
        .iter()
        .filter(|total| total.kind == SeriesKind::Python)
        .map(|total| &total.role)
        .collect();
    roles.dedup();
    let shown = limit.unwrap_or(usize::MAX).min(roles.len());
    let mut sections = vec![process_section(record, limit)];
    for &role in roles.iter().take(shown) {
        let owner = (roles.len() > 1).then(|| Arc::clone(role));
        sections.push(object_section(record, role, owner.clone()));
        for ((_, changes), titles) in delta::lists(record).into_iter().zip(LIST_TITLES) {
            let changes: Vec<&CountChange> = changes.iter().filter(|change| change.role == *role).collect();
            sections.push(list_section(titles, &changes, owner.clone(), limit));
        }
    }
    if roles.len() > shown {
        let omitted = format!("objects of {} more processes (all with --all)", roles.len() - shown);
        sections.push(Section { omitted, ..Section::new("Other processes", None, Grid::default()) });
    }
    sections.push(thread_section(record, limit));
    sections.retain(|section| !section.grid.rows.is_empty() || !section.omitted.is_empty());
    sections
}

impl Section {
    fn new(title: &str, owner: Option<Arc<str>>, grid: Grid) -> Self {
        Self { title: title.to_owned(), owner, grid, omitted: String::new(), sums: 0 }
    }
}

/// The processes, and below them the sums over each tree.
fn process_section(record: &DiffRecord, limit: Option<usize>) -> Section {
    // The older tool measures no process: a table of them would be empty.
    let is_measured = |p: &ProcessChange| p.rss_before_bytes.is_some() || p.rss_after_bytes.is_some();
    let is_unchanged = |p: &ProcessChange| {
        p.presence == Presence::Both
            && p.rss_before_bytes == p.rss_after_bytes
            && p.pss_before_bytes == p.pss_after_bytes
            && p.threads_before == p.threads_after
            && !p.role.starts_with("root")
    };
    let change = |p: &ProcessChange| known_change(p.presence, [p.rss_before_bytes, p.rss_after_bytes]);
    let (shown, omitted) = select_rows(record.processes.iter(), limit, is_unchanged, change);
    let mut rows: Vec<Vec<Cell>> = shown.into_iter().map(process_row).collect();
    let listed = rows.len();
    rows.extend(record.totals.iter().filter_map(|total| tree_total_row(record, total)));
    let sums = rows.len() - listed;
    if !record.processes.iter().any(is_measured) {
        rows.clear();
    }
    let grid = Grid { titles: PROCESS_TITLES.to_vec(), rows, dispensable: DISPENSABLE_PROCESS_COLUMNS };
    Section { omitted, sums, ..Section::new("Processes", None, grid) }
}

fn process_row(p: &ProcessChange) -> Vec<Cell> {
    let [rss, pss, uss, swap] = process_sizes(p).map(|(_, sizes)| sizes);
    let changed = |sizes: Sides, is_shown: bool| {
        if is_shown { change_cell(p.presence, sizes) } else { Cell::default() }
    };
    let is_known = |sizes: Sides| sizes != [None; 2];
    let transition = |before: Option<u64>, after: Option<u64>| match (before, after) {
        (Some(before), Some(after)) if before != after => Cell::plain(format!("{before} → {after}")),
        (before, after) => Cell::plain(after.or(before).map_or_else(String::new, |count| count.to_string())),
    };
    // An unknown pid is 0.
    let pid = |pid: Option<u32>| pid.filter(|pid| *pid != 0).map(u64::from);
    let line = if &*p.role == "root" && !p.name.is_empty() {
        format!("root: {}", p.command.as_ref().unwrap_or(&p.name))
    } else {
        p.role.to_string()
    };
    let mut row = size_cells(p.presence, rss).to_vec();
    row.extend([
        changed(pss, is_known(pss)),
        bytes_cell(p.pss_after_bytes),
        changed(uss, is_known(uss)),
        bytes_cell(p.uss_after_bytes),
        // Mostly nothing is swapped out.
        changed(swap, swap.into_iter().flatten().any(|bytes| bytes > 0)),
        transition(p.threads_before, p.threads_after),
        transition(pid(p.pid_before), pid(p.pid_after)),
        name_cell(p.presence, &line),
    ]);
    row
}

/// The sum over a tree, unless it has a root alone.
fn tree_total_row(record: &DiffRecord, total: &TotalChange) -> Option<Vec<Cell>> {
    let name = match total.kind {
        SeriesKind::TotalRss => "total of the tree by RSS (shared memory counts for each process)",
        SeriesKind::TotalPss => "total of the tree by PSS",
        _ => return None,
    };
    if delta::is_single_process(record, &total.role) {
        return None;
    }
    let trees = record.totals.iter().filter(|other| other.kind == SeriesKind::TotalRss).count();
    let name = if trees > 1 { format!("{name}: {}", escape_controls(&total.role)) } else { name.to_owned() };
    let mut row = size_cells(Presence::Both, [total.before_bytes, total.after_bytes]).to_vec();
    row.resize(PROCESS_TITLES.len() - 1, Cell::default());
    row.push(Cell::new(Tone::Strong, name));
    Some(row)
}

/// All objects of a process, and the rest of its resident memory.
fn object_section(record: &DiffRecord, role: &Arc<str>, owner: Option<Arc<str>>) -> Section {
    let totals = record.totals.iter().filter(|total| total.role == *role);
    let rows = totals.filter_map(|total| {
        let name = match total.kind {
            SeriesKind::Python => "all Python objects",
            SeriesKind::Native => "resident memory outside Python objects",
            _ => return None,
        };
        let sizes = [total.before_bytes, total.after_bytes];
        Some(count_row(Presence::Both, sizes, [total.count_before, total.count_after], name))
    });
    let grid = Grid { titles: count_titles("OBJECTS"), rows: rows.collect(), dispensable: &[] };
    Section::new("Objects", owner, grid)
}

fn count_titles(name: &'static str) -> Vec<&'static str> {
    vec!["CHANGE", "BEFORE", "AFTER", "COUNT CHANGE", "COUNT AFTER", name]
}

fn list_section(
    (title, name): (&'static str, &'static str),
    changes: &[&CountChange],
    owner: Option<Arc<str>>,
    limit: Option<usize>,
) -> Section {
    let is_unchanged = |c: &CountChange| {
        c.presence == Presence::Both
            && (c.size_before_bytes, c.count_before) == (c.size_after_bytes, c.count_after)
    };
    let change = |c: &CountChange| known_change(c.presence, [c.size_before_bytes, c.size_after_bytes]);
    let (shown, omitted) = select_rows(changes.iter().copied(), limit, is_unchanged, change);
    let rows = shown.into_iter().map(|c| {
        let sizes = [c.size_before_bytes, c.size_after_bytes];
        count_row(c.presence, sizes, [c.count_before, c.count_after], &c.name)
    });
    let grid = Grid { titles: count_titles(name), rows: rows.collect(), dispensable: &[4, 3] };
    Section { omitted, ..Section::new(title, owner, grid) }
}

/// The threads that are on one side only; the process of each if there are several.
fn thread_section(record: &DiffRecord, limit: Option<usize>) -> Section {
    let has_several = record.threads.iter().zip(record.threads.iter().skip(1)).any(|(a, b)| a.role != b.role);
    let rows = record.threads.iter().take(limit.unwrap_or(usize::MAX)).map(|thread| {
        let (presence, tone) = match thread.presence {
            Presence::New => ("new", Tone::Growth),
            _ => ("gone", Tone::Shrinkage),
        };
        let role = if has_several { escape_controls(&thread.role) } else { "".into() };
        vec![Cell::new(tone, presence), Cell::plain(role), name_cell(Presence::Both, &thread.name)]
    });
    let rows: Vec<Vec<Cell>> = rows.collect();
    let omitted = match record.threads.len() - rows.len() {
        0 => String::new(),
        more => format!("{more} more"),
    };
    let grid = Grid { titles: vec!["CHANGE", "PROCESS", "THREAD"], rows, dispensable: &[1] };
    Section { omitted, ..Section::new("Threads", None, grid) }
}

fn count_row(presence: Presence, sizes: Sides, counts: Sides, name: &str) -> Vec<Cell> {
    let change = match known_change(presence, counts) {
        _ if counts == [None; 2] => String::new(),
        Some(Change(0)) => "±0".to_owned(),
        Some(Change(count)) => {
            format!("{}{}", if count < 0 { "-" } else { "+" }, thousands(count.unsigned_abs()))
        }
        None => "?".to_owned(),
    };
    let [_, after] = counts;
    let count = after.map_or_else(String::new, thousands);
    let mut row = size_cells(presence, sizes).to_vec();
    row.extend([Cell::plain(change), Cell::plain(count), name_cell(presence, name)]);
    row
}

/// A name, marked if it is on one side only.
fn name_cell(presence: Presence, name: &str) -> Cell {
    let name = if name.is_empty() { "(no name)".into() } else { escape_controls(name) };
    match presence {
        Presence::Both => Cell::plain(name),
        Presence::New => Cell::plain(format!("{name} (new)")),
        Presence::Gone => Cell::plain(format!("{name} (gone)")),
        Presence::Unknown => Cell::new(Tone::Dim, format!("{name} (listed on one side only)")),
    }
}

/// A change, the size before, and the size after.
fn size_cells(presence: Presence, sizes: Sides) -> [Cell; 3] {
    let [before, after] = sizes.map(bytes_cell);
    [change_cell(presence, sizes), before, after]
}

fn bytes_cell(bytes: Option<u64>) -> Cell {
    Cell::plain(bytes.map_or_else(String::new, |bytes| Bytes(bytes).to_string()))
}

/// A change, or `?` if it is unknown.
fn change_cell(presence: Presence, sizes: Sides) -> Cell {
    let Some(change) = known_change(presence, sizes) else { return Cell::new(Tone::Dim, "?") };
    let tone = match change.0 {
        0 => Tone::Dim,
        1.. => Tone::Growth,
        _ => Tone::Shrinkage,
    };
    Cell::new(tone, change.to_string())
}

/// The rows to show, and a description of the others: rows beyond the limit with the sum of their changes, and unchanged rows.
fn select_rows<'r, T>(
    rows: impl Iterator<Item = &'r T>,
    limit: Option<usize>,
    is_unchanged: impl Fn(&T) -> bool,
    change: impl Fn(&T) -> Option<Change>,
) -> (Vec<&'r T>, String) {
    let Some(limit) = limit else { return (rows.collect(), String::new()) };
    let (unchanged, mut shown): (Vec<&T>, Vec<&T>) = rows.partition(|row| is_unchanged(row));
    let beyond = shown.split_off(limit.min(shown.len()));
    let changes: Vec<Option<Change>> = beyond.into_iter().map(change).collect();
    let sum = changes.iter().flatten().fold(0_i64, |sum, change| sum.saturating_add(change.0));
    let unknown = changes.iter().filter(|change| change.is_none()).count();
    let parts = [
        (changes.len(), format!("{} more ({} together)", changes.len(), Change(sum))),
        (unknown, format!("{unknown} of them unknown")),
        (unchanged.len(), format!("{} unchanged", unchanged.len())),
    ];
    let parts: Vec<String> =
        parts.into_iter().filter(|(count, _)| *count > 0).map(|(_, part)| part).collect();
    (shown, parts.join(", "))
}
