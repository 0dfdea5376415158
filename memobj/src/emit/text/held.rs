//! The part of a census's block that says who holds the objects.

use common::columns::{Cell, Tone};
use common::stdio::escape_controls;
use common::table::{Column, Line, Table};
use common::units::{Bytes, counted, thousands};

use super::super::tally::Sum;
use super::block::{ANY_WIDTH, percent, ratio, titled};
use crate::census::held::{Held, HeldBy};
use crate::holders::why::Why;

/// So many ways to the objects of a type are shown.
const WAYS: usize = 10;

/// What was asked for comes first.
pub(super) fn lines(held: &Held, total: Sum, limit: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = held.whys.iter().flat_map(why).collect();
    lines.extend(rows("holders", "HOLDER", &held.holders, total, limit));
    lines.extend(rows("owners", "OWNER", &held.owners, total, limit));
    lines.extend(rows("modules of owners", "MODULE", &held.modules, total, limit));
    lines.extend(retained(held, total, limit));
    lines.extend(strays(held, limit));
    lines
}

/// The ways to the objects of a type.
fn why(why: &Why) -> Vec<Line> {
    let mut table = Table::new([Column::right("COUNT"), Column::left("WAY", ANY_WIDTH)]);
    for way in why.ways.iter().take(WAYS) {
        table.push([
            Cell::plain(thousands(way.count)),
            Cell::plain(escape_controls(&way.text()).into_owned()),
        ]);
    }
    let others: u64 = why.ways.iter().skip(WAYS).map(|way| way.count).sum();
    if others > 0 {
        let ways = counted(why.ways.len().saturating_sub(WAYS) as u64, "other way", "other ways");
        table.push([Cell::plain(thousands(others)), Cell::new(Tone::Dim, format!("… {ways}"))]);
    }
    let objects = counted(why.objects, "object", "objects");
    let sample = if why.sampled < why.objects {
        format!("; the ways to {} of them", thousands(why.sampled))
    } else {
        String::new()
    };
    titled(&format!("why {} ({objects}{sample})", escape_controls(&why.of)), table)
}

/// The largest rows, and the sum of the others.
fn rows(what: &str, title: &'static str, rows: &[HeldBy], total: Sum, limit: usize) -> Vec<Line> {
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
    titled(&format!("{what} ({})", thousands(rows.len() as u64)), table)
}

/// What types retain.
fn retained(held: &Held, total: Sum, limit: usize) -> Vec<Line> {
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
    titled("freed without the type", table)
}

/// What the program cannot reach.
fn strays(held: &Held, limit: usize) -> Vec<Line> {
    if held.strays.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new([
        Column::right("COUNT"),
        Column::right("SIZE"),
        Column::left("IS", 16),
        Column::left("TYPE", ANY_WIDTH),
    ]);
    for stray in held.strays.iter().take(limit) {
        table.push([
            Cell::plain(thousands(stray.count)),
            Cell::plain(Bytes(stray.size_bytes).to_string()),
            Cell::plain(stray.standing),
            Cell::plain(escape_controls(&stray.of).into_owned()),
        ]);
    }
    let count: u64 = held.strays.iter().fold(0, |sum, stray| sum.saturating_add(stray.count));
    titled(&format!("not reached ({})", counted(count, "object", "objects")), table)
}
