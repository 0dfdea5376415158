//! Tables, cells and numbers that all parts of the text share.

use common::columns::{Cell, Tone};
use common::stdio::escape_controls;
use common::table::{Column, Line, Table};
use common::units::{Bytes, thousands};

use crate::emit::summary::ratio;
use crate::object_sum::{ObjectSum, SummaryRow};

/// The width of the last column: only the terminal cuts names.
pub(super) const ANY_WIDTH: usize = usize::MAX;

/// An empty table: columns of numbers, then columns of texts, each with its greatest width.
pub(super) fn table(numbers: &[&'static str], texts: &[(&'static str, usize)]) -> Table {
    let numbers = numbers.iter().map(|title| Column::right(title));
    let texts = texts.iter().map(|&(title, widest)| Column::left(title, widest));
    Table::new(numbers.chain(texts).collect::<Vec<_>>())
}

/// A table of objects by name. Rows beyond `limit` are summed up in the last one.
///
/// `columns` are the titles of the optional column, which has the bytes that `extra` gives, and of the names; shares are of `total_bytes`.
/// The rows that `parts` gives for a row are below it.
pub(super) fn object_table(
    title: &str,
    columns: [&'static str; 2],
    rows: &[SummaryRow],
    total_bytes: u64,
    limit: usize,
    extra: impl Fn(ObjectSum) -> Option<u64>,
    parts: impl Fn(&SummaryRow) -> Vec<SummaryRow>,
) -> Vec<Line> {
    let [extra_title, name] = columns;
    let mut table = table(&["COUNT", "SIZE", "SHARE", extra_title], &[(name, ANY_WIDTH)]);
    let mut push = |sum: ObjectSum, name: Cell| {
        table.push([
            Cell::plain(thousands(sum.count)),
            Cell::plain(size(sum)),
            share_cell(sum.size_bytes, total_bytes),
            Cell::plain(extra(sum).map(bytes).unwrap_or_default()),
            name,
        ]);
    };
    let (shown, others) = cut(rows, limit);
    for row in shown {
        push(row.sum, name_cell(&row.name));
        for part in parts(row) {
            push(part.sum, Cell::new(Tone::Dim, format!("  {}", escape_controls(&part.name))));
        }
    }
    if !others.is_empty() {
        let sum = others.iter().fold(ObjectSum::NONE, |sum, row| sum.and(row.sum));
        push(sum, Cell::new(Tone::Dim, more(others.len())));
    }
    titled_table(&format!("{title} ({})", thousands(rows.len() as u64)), table)
}

/// A table below its title, with an empty line before it.
pub(super) fn titled_table(title: &str, table: Table) -> Vec<Line> {
    let mut line = Line::indented(2);
    line.push(Tone::Strong, title);
    let mut lines = vec![Line::default(), line];
    lines.extend(table.into_lines(2).0);
    lines
}

/// The first `limit` rows, and the others.
pub(super) fn cut<T>(rows: &[T], limit: usize) -> (&[T], &[T]) {
    rows.split_at_checked(limit).unwrap_or((rows, &[]))
}

/// The name of a row that stands for several.
pub(super) fn more(rows: usize) -> String {
    format!("… {} more", thousands(rows as u64))
}

/// A name that comes from the target.
pub(super) fn name_cell(name: &str) -> Cell {
    Cell::plain(escape_controls(name).into_owned())
}

/// The share of `part` in `whole`.
pub(super) fn share_cell(part: u64, whole: u64) -> Cell {
    Cell::new(Tone::Dim, ratio(part, whole).map(percent).unwrap_or_default())
}

/// A number of bytes with its unit.
pub(super) fn bytes(bytes: u64) -> String {
    Bytes(bytes).to_string()
}

/// The size of objects, marked as a lower bound if it is one.
pub(super) fn size(sum: ObjectSum) -> String {
    let sign = if sum.size_exact { "" } else { "≥" };
    format!("{sign}{}", Bytes(sum.size_bytes))
}

/// A share as a percentage.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
