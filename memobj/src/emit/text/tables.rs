//! Tables and cells that all parts of the text share.

use common::columns::{Cell, Tone};
use common::stdio::escape_controls;
use common::table::{Column, Line, Table};
use common::units::{Bytes, thousands};

use crate::emit::summary::{ObjectSum, ratio};

/// The width of the last column: only the terminal cuts names.
pub(super) const ANY_WIDTH: usize = usize::MAX;

/// A row of an [`object_table`].
#[derive(Debug, Clone, Copy)]
pub(super) struct ObjectRow<'a> {
    pub name: &'a str,
    pub sum: ObjectSum,
    /// The bytes of the optional column.
    pub extra: Option<u64>,
}

/// A table of objects by name. Rows beyond `limit` are summed up in the last one, with `rest_extra`.
///
/// `columns` are the titles of the optional column and of the names; shares are of `total_bytes`.
pub(super) fn object_table(
    title: &str,
    columns: [&'static str; 2],
    rows: &[ObjectRow<'_>],
    total_bytes: u64,
    limit: usize,
    rest_extra: impl Fn(ObjectSum) -> Option<u64>,
) -> Vec<Line> {
    let [extra, name] = columns;
    let mut table = Table::new([
        Column::right("COUNT"),
        Column::right("SIZE"),
        Column::right("SHARE"),
        Column::right(extra),
        Column::left(name, ANY_WIDTH),
    ]);
    let mut push = |sum: ObjectSum, extra: Option<u64>, name: Cell| {
        table.push([
            Cell::plain(thousands(sum.count)),
            Cell::plain(size(sum)),
            share_cell(sum.size_bytes, total_bytes),
            Cell::plain(extra.map(bytes).unwrap_or_default()),
            name,
        ]);
    };
    let (shown, others) = cut(rows, limit);
    for row in shown {
        push(row.sum, row.extra, name_cell(row.name));
    }
    if !others.is_empty() {
        let sum = others.iter().fold(ObjectSum::NONE, |sum, row| sum.and(row.sum));
        push(sum, rest_extra(sum), Cell::new(Tone::Dim, more(others.len())));
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
