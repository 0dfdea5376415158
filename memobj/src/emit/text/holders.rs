//! The part of a census's text that shows who holds the objects.

use common::columns::{Cell, Tone};
use common::record::{DescriptorTotal, Liveness};
use common::stdio::escape_controls;
use common::table::Line;
use common::units::{counted, thousands};

use super::packages::packages;
use super::tables::{ANY_WIDTH, bytes, cut, more, name_cell, object_table, share_cell, table, titled_table};
use crate::holders::summary::HolderSummary;
use crate::holders::why::Why;
use crate::object_sum::{ObjectSum, SummaryRow};

/// Paths to the objects of a type that are shown.
const MAX_PATHS: usize = 10;

/// The tables, those that were asked for by name first. Together they have about twice `limit` rows. `fds` is the number of the
/// process's open file descriptors.
pub(super) fn lines(held: &HolderSummary, total: ObjectSum, fds: Option<u64>, limit: usize) -> Vec<Line> {
    let (half, quarter) = (limit.div_ceil(2), limit.div_ceil(4));
    let mut lines: Vec<Line> = held.whys.iter().flat_map(paths).collect();
    lines.extend(rows("holders", "HOLDER", &held.holders, total, half));
    lines.extend(rows("owners", "OWNER", &held.owners, total, half));
    let columns = ("RETAINED", retained_bytes as fn(_) -> _);
    lines.extend(packages("packages of owners", &held.modules, total.size_bytes, quarter, columns));
    lines.extend(retained(held, total, half));
    lines.extend(descriptor_rows(held, fds, quarter));
    lines.extend(unreachable_rows(held, quarter));
    lines
}

/// The open file descriptors of objects.
fn descriptor_rows(held: &HolderSummary, fds: Option<u64>, limit: usize) -> Vec<Line> {
    let (Some(rows), Some(fds)) = (&held.descriptors, fds) else { return Vec::new() };
    if rows.is_empty() {
        return Vec::new();
    }
    let sum = |rows: &[DescriptorTotal]| rows.iter().fold(0, |sum: u64, row| sum.saturating_add(row.count));
    let mut table = table(&["COUNT"], &[("TYPE", 24), ("HOLDER", ANY_WIDTH)]);
    let (shown, others) = cut(rows, limit);
    for row in shown {
        table.push([Cell::plain(thousands(row.count)), name_cell(&row.name), name_cell(&row.holder)]);
    }
    if !others.is_empty() {
        let rest = Cell::new(Tone::Dim, more(others.len()));
        table.push([Cell::plain(thousands(sum(others))), rest, Cell::default()]);
    }
    let title = format!(
        "open file descriptors ({} of {} belong to Python objects)",
        thousands(sum(rows)),
        thousands(fds)
    );
    titled_table(&title, table)
}

/// The paths to the objects of a type.
fn paths(why: &Why) -> Vec<Line> {
    let mut table = table(&["COUNT"], &[("PATH", ANY_WIDTH)]);
    let (shown, others) = cut(&why.paths, MAX_PATHS);
    for path in shown {
        table.push([Cell::plain(thousands(path.count)), name_cell(&path.describe())]);
    }
    if !others.is_empty() {
        let count = others.iter().map(|path| path.count).sum();
        let paths = counted(others.len() as u64, "other path", "other paths");
        table.push([Cell::plain(thousands(count)), Cell::new(Tone::Dim, format!("… {paths}"))]);
    }
    let objects = counted(why.objects, "object", "objects");
    let sample = if why.sampled < why.objects {
        format!("; paths to {} of them", thousands(why.sampled))
    } else {
        String::new()
    };
    let title = format!("why {} ({objects}{sample})", escape_controls(&why.type_name));
    titled_table(&title, table).into_iter().map(Line::wrapped).collect()
}

fn rows(title: &str, name: &'static str, rows: &[SummaryRow], total: ObjectSum, limit: usize) -> Vec<Line> {
    object_table(title, ["RETAINED", name], rows, total.size_bytes, limit, retained_bytes, |_| Vec::new())
}

fn retained_bytes(sum: ObjectSum) -> Option<u64> {
    sum.retained_bytes
}

/// The retained sizes of types.
fn retained(held: &HolderSummary, total: ObjectSum, limit: usize) -> Vec<Line> {
    let Some(retained) = &held.retained else { return Vec::new() };
    let mut rows: Vec<(&str, u64)> = retained.iter().map(|(name, &bytes)| (&**name, bytes)).collect();
    rows.sort_by_key(|&(name, bytes)| (std::cmp::Reverse(bytes), name));
    let mut table = table(&["RETAINED", "SHARE"], &[("TYPE", ANY_WIDTH)]);
    for (name, size) in rows.into_iter().take(limit) {
        table.push([Cell::plain(bytes(size)), share_cell(size, total.size_bytes), name_cell(name)]);
    }
    titled_table("freed without the type", table)
}

/// Objects that the program cannot reach.
fn unreachable_rows(held: &HolderSummary, limit: usize) -> Vec<Line> {
    if held.unreachable.is_empty() {
        return Vec::new();
    }
    let mut table = table(&["COUNT", "SIZE"], &[("CAUSE", 20), ("TYPE", ANY_WIDTH)]);
    for row in held.unreachable.iter().take(limit) {
        table.push([
            Cell::plain(thousands(row.count)),
            Cell::plain(bytes(row.size_bytes)),
            Cell::plain(describe(row.cause)),
            name_cell(&row.name),
        ]);
    }
    let count: u64 = held.unreachable.iter().fold(0, |sum, row| sum.saturating_add(row.count));
    titled_table(&format!("unreachable ({})", counted(count, "object", "objects")), table)
}

/// Why objects are unreachable, in words.
fn describe(cause: Liveness) -> &'static str {
    match cause {
        Liveness::Held => "reachable",
        Liveness::Uncollectable => "in gc.garbage",
        Liveness::Native => "held by native code",
        Liveness::Unreferred => "no known referrer",
        Liveness::Garbage => "cyclic garbage",
        Liveness::Unknown => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use common::table::Style;

    use super::*;

    fn held_by(name: &str, count: u64, size_bytes: u64, retained_bytes: Option<u64>) -> SummaryRow {
        SummaryRow {
            name: name.into(),
            sum: ObjectSum { count, size_bytes, retained_bytes, ..ObjectSum::NONE },
        }
    }

    fn text(held: &HolderSummary, limit: usize) -> String {
        let total = ObjectSum { count: 100, size_bytes: 4096, ..ObjectSum::NONE };
        let mut text = String::new();
        for line in lines(held, total, Some(12), limit) {
            line.write(Style { colour: false, width: None }, &mut text);
        }
        text
    }

    #[test]
    fn holder_table_sums_the_rest() {
        let held = HolderSummary {
            holders: vec![
                held_by("app._sessions", 60, 2048, Some(1024)),
                held_by("a\u{1b}[2J", 30, 1024, Some(0)),
                held_by("b", 10, 1024, Some(0)),
            ],
            owners: vec![held_by("app.Session", 100, 4096, None)],
            unreachable: vec![common::record::UnreachableTotal {
                name: "app.Node".into(),
                cause: Liveness::Garbage,
                count: 7,
                size_bytes: 70,
            }],
            ..HolderSummary::default()
        };
        let shown = text(&held, 1);
        assert!(shown.contains("holders (3)"), "{shown}");
        assert!(shown.contains("60  2.00 KiB  50.0 %  1.00 KiB  app._sessions\n"), "{shown}");
        assert!(shown.contains("… 2 more"), "{shown}");
        assert!(!text(&held, 3).contains('\u{1b}'), "control characters of the target reach the terminal");
        assert!(shown.contains("100  4.00 KiB  100.0 %  app.Session"), "{shown}");
        assert!(shown.contains("unreachable (7 objects)") && shown.contains("garbage  app.Node"), "{shown}");
        assert!(!shown.contains("freed without the type"), "{shown}");
    }

    #[test]
    fn descriptor_table_sums_the_rest() {
        let row = |holder: &str, name: &str, count| DescriptorTotal {
            holder: holder.into(),
            name: name.into(),
            count,
        };
        let descriptors = vec![
            row("app.connections", "socket.socket", 7),
            row("app.log", "_io.FileIO", 1),
            row("app.loop", "select.epoll", 1),
        ];
        let held = HolderSummary { descriptors: Some(descriptors), ..HolderSummary::default() };
        let shown = text(&held, 4);
        assert!(shown.contains("open file descriptors (9 of 12 belong to Python objects)"), "{shown}");
        assert!(shown.contains("7  socket.socket  app.connections\n"), "{shown}");
        assert!(shown.contains("2  … 2 more"), "{shown}");
        let none = HolderSummary { descriptors: Some(Vec::new()), ..HolderSummary::default() };
        assert!(!text(&none, 4).contains("file descriptors"));
    }

    #[test]
    fn rare_paths_are_summed_up() {
        let path = |count| crate::holders::why::ReferencePath {
            count,
            root: "module app".into(),
            steps: Vec::new(),
        };
        let held = HolderSummary {
            whys: vec![Why {
                type_name: "app.Session".into(),
                objects: 5000,
                sampled: 500,
                paths: (0..12).map(|number| path(100 - number)).collect(),
            }],
            retained: Some([("dict".into(), 2048)].into()),
            ..HolderSummary::default()
        };
        let shown = text(&held, 5);
        assert!(shown.contains("why app.Session (5,000 objects; paths to 500 of them)"), "{shown}");
        assert!(shown.contains("100  module app\n") && shown.contains("179  … 2 other paths"), "{shown}");
        assert!(shown.contains("2.00 KiB  50.0 %  dict"), "{shown}");
    }
}
