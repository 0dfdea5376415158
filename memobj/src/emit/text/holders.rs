//! The part of a census's block that says who holds the objects.

use common::columns::{Cell, Tone};
use common::stdio::escape_controls;
use common::table::{Column, Line, Table};
use common::units::{Bytes, counted, thousands};

use super::super::summary::ObjectSum;
use super::census::{ANY_WIDTH, percent, ratio, titled_table};
use crate::holders::summary::{HolderRow, HolderSummary};
use crate::holders::why::Why;

/// So many ways to the objects of a type are shown.
const WAYS: usize = 10;

/// What was asked for comes first. Together the tables have about two times as many rows as one of the others: what they say is one answer.
pub(super) fn lines(held: &HolderSummary, total: ObjectSum, limit: usize) -> Vec<Line> {
    let (half, quarter) = (limit.div_ceil(2), limit.div_ceil(4));
    let mut lines: Vec<Line> = held.whys.iter().flat_map(why).collect();
    lines.extend(rows("holders", "HOLDER", &held.holders, total, half));
    lines.extend(rows("owners", "OWNER", &held.owners, total, half));
    lines.extend(rows("modules of owners", "MODULE", &held.modules, total, quarter));
    lines.extend(retained(held, total, half));
    lines.extend(unreachable_rows(held, quarter));
    lines
}

/// The ways to the objects of a type.
fn why(why: &Why) -> Vec<Line> {
    let mut table = Table::new([Column::right("COUNT"), Column::left("WAY", ANY_WIDTH)]);
    for way in why.paths.iter().take(WAYS) {
        table.push([
            Cell::plain(thousands(way.count)),
            Cell::plain(escape_controls(&way.describe()).into_owned()),
        ]);
    }
    let others: u64 = why.paths.iter().skip(WAYS).map(|way| way.count).sum();
    if others > 0 {
        let ways = counted(why.paths.len().saturating_sub(WAYS) as u64, "other way", "other ways");
        table.push([Cell::plain(thousands(others)), Cell::new(Tone::Dim, format!("… {ways}"))]);
    }
    let objects = counted(why.objects, "object", "objects");
    let sample = if why.sampled < why.objects {
        format!("; the ways to {} of them", thousands(why.sampled))
    } else {
        String::new()
    };
    titled_table(&format!("why {} ({objects}{sample})", escape_controls(&why.of)), table)
}

/// The largest rows, and the sum of the others.
fn rows(what: &str, title: &'static str, rows: &[HolderRow], total: ObjectSum, limit: usize) -> Vec<Line> {
    let retains = rows.iter().any(|row| row.retained_bytes.is_some());
    let mut table = Table::new([
        Column::right("COUNT"),
        Column::right("SIZE"),
        Column::right("SHARE"),
        Column::right(if retains { "RETAINED" } else { "" }),
        Column::left(title, ANY_WIDTH),
    ]);
    let mut add = |count: u64, bytes: u64, retained: Option<u64>, tone: Tone, name: String| {
        let share = ratio(bytes, total.size_bytes);
        table.push([
            Cell::plain(thousands(count)),
            Cell::plain(Bytes(bytes).to_string()),
            Cell::new(Tone::Dim, share.map(percent).unwrap_or_default()),
            Cell::plain(retained.map(|bytes| Bytes(bytes).to_string()).unwrap_or_default()),
            Cell::new(tone, name),
        ]);
    };
    for row in rows.iter().take(limit) {
        let name = escape_controls(&row.name).into_owned();
        add(row.count, row.size_bytes, row.retained_bytes, Tone::Plain, name);
    }
    let others = rows.get(limit..).unwrap_or_default();
    if !others.is_empty() {
        let sum = others.iter().fold((0_u64, 0_u64), |(count, bytes), row| {
            (count.saturating_add(row.count), bytes.saturating_add(row.size_bytes))
        });
        add(sum.0, sum.1, None, Tone::Dim, format!("… {} more", thousands(others.len() as u64)));
    }
    titled_table(&format!("{what} ({})", thousands(rows.len() as u64)), table)
}

/// What types retain.
fn retained(held: &HolderSummary, total: ObjectSum, limit: usize) -> Vec<Line> {
    let Some(retained) = &held.retained else { return Vec::new() };
    let mut rows: Vec<(&str, u64)> = retained.iter().map(|(name, &bytes)| (&**name, bytes)).collect();
    rows.sort_by_key(|&(name, bytes)| (std::cmp::Reverse(bytes), name));
    let mut table =
        Table::new([Column::right("RETAINED"), Column::right("SHARE"), Column::left("TYPE", ANY_WIDTH)]);
    for (name, bytes) in rows.into_iter().take(limit) {
        table.push([
            Cell::plain(Bytes(bytes).to_string()),
            Cell::new(Tone::Dim, ratio(bytes, total.size_bytes).map(percent).unwrap_or_default()),
            Cell::plain(escape_controls(name).into_owned()),
        ]);
    }
    titled_table("freed without the type", table)
}

/// What the program cannot reach.
fn unreachable_rows(held: &HolderSummary, limit: usize) -> Vec<Line> {
    if held.unreachable.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new([
        Column::right("COUNT"),
        Column::right("SIZE"),
        Column::left("IS", 16),
        Column::left("TYPE", ANY_WIDTH),
    ]);
    for row in held.unreachable.iter().take(limit) {
        table.push([
            Cell::plain(thousands(row.count)),
            Cell::plain(Bytes(row.size_bytes).to_string()),
            Cell::plain(row.liveness),
            Cell::plain(escape_controls(&row.type_name).into_owned()),
        ]);
    }
    let count: u64 = held.unreachable.iter().fold(0, |sum, row| sum.saturating_add(row.count));
    titled_table(&format!("not reached ({})", counted(count, "object", "objects")), table)
}

#[cfg(test)]
mod tests {
    use common::table::Style;

    use super::*;
    use crate::holders::summary::UnreachableObjects;

    fn held_by(name: &str, count: u64, size_bytes: u64, retained_bytes: Option<u64>) -> HolderRow {
        HolderRow { name: name.into(), count, size_bytes, retained_bytes }
    }

    fn text(held: &HolderSummary, limit: usize) -> String {
        let total = ObjectSum { count: 100, size_bytes: 4096, ..ObjectSum::NONE };
        let mut text = String::new();
        for line in lines(held, total, limit) {
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
            unreachable: vec![UnreachableObjects {
                type_name: "app.Node".into(),
                liveness: "garbage",
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
        assert!(shown.contains("not reached (7 objects)") && shown.contains("garbage  app.Node"), "{shown}");
        assert!(!shown.contains("freed without the type"), "{shown}");
    }

    #[test]
    fn rare_paths_are_summed_up() {
        let way = |count| crate::holders::why::ReferencePath {
            count,
            root: "module app".into(),
            steps: Vec::new(),
        };
        let held = HolderSummary {
            whys: vec![Why {
                of: "app.Session".into(),
                objects: 5000,
                sampled: 500,
                paths: (0..12).map(|number| way(100 - number)).collect(),
            }],
            retained: Some([("dict".into(), 2048)].into()),
            ..HolderSummary::default()
        };
        let shown = text(&held, 5);
        assert!(shown.contains("why app.Session (5,000 objects; the ways to 500 of them)"), "{shown}");
        assert!(shown.contains("100  module app\n") && shown.contains("179  … 2 other ways"), "{shown}");
        assert!(shown.contains("2.00 KiB  50.0 %  dict"), "{shown}");
    }
}
