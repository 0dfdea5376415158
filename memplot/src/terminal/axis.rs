//! The axes: hairlines at round values, round moments with the date where it changes, and signs of what happened.

use ratatui::buffer::Buffer;
use ratatui::style::{Modifier, Style};

use super::layout::Layout;
use super::text::{dim, width, write_text};
use super::{TerminalOptions, areas};
use crate::clock::{self, zone};
use crate::colour::ThemeColour;
use crate::figure::{Figure, Mark, MarkKind, Point};
use crate::scale::{TimeScale, ValueScale};

/// What is a reason for concern.
const ALERT: ThemeColour = ThemeColour { light: (0xb3, 0x26, 0x1e), dark: (0xff, 0x8a, 0x80) };

/// The axis of values that has room for all there is to draw.
pub(super) fn values(figure: &Figure) -> ValueScale {
    let (low, high) = extent(figure);
    if figure.log_scale {
        ValueScale::log(figure.unit, low, high)
    } else {
        ValueScale::linear(figure.unit, low, high, low < 0.0)
    }
}

/// The least and the largest value; above 0 on a logarithmic axis.
fn extent(figure: &Figure) -> (f64, f64) {
    let points = |series: &crate::figure::Series| {
        let trend = series.trend.iter().filter(|_| !figure.stacked).flat_map(|trend| [trend.from, trend.to]);
        series
            .runs
            .iter()
            .flatten()
            .copied()
            .chain(trend)
            .map(|point: Point| point.value)
            .collect::<Vec<f64>>()
    };
    let mut values: Vec<f64> = figure.total.iter().flat_map(points).collect();
    if figure.stacked {
        let sums = areas::moments(figure);
        values.extend(sums.into_iter().filter_map(|moment| areas::sum_at(figure, moment)));
    } else {
        values.extend(figure.series.iter().flat_map(points));
    }
    if figure.log_scale {
        values.retain(|value| *value > 0.0);
    }
    let extent = values.into_iter().fold(None, |extent: Option<(f64, f64)>, value| {
        Some(extent.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
    });
    extent.unwrap_or((0.0, 0.0))
}

/// The axis of time for so many columns: words need some, and blanks between them.
pub(super) fn times(span: (i64, i64), columns: u16) -> TimeScale {
    TimeScale::new(span, usize::from(columns / 11).max(1), zone())
}

/// A clock time to the second.
pub(super) fn time_of_day(unix_ms: i64) -> String {
    clock::time_of_day(unix_ms, zone(), true)
}

/// Hairlines, the line of the axis, and the words at both.
pub(super) fn draw(layout: &Layout, buffer: &mut Buffer) {
    let plot = layout.plot;
    let base = plot.bottom();
    let rows: Vec<(u16, &str)> = layout
        .values
        .ticks
        .iter()
        .filter_map(|tick| Some((layout.row(tick.at)?, tick.label.as_str())))
        .collect();
    // Where there are more than every second row has room for, every second is left out, or two of three.
    let nearest = rows.windows(2).filter_map(|pair| match pair {
        [(lower, _), (upper, _)] => lower.checked_sub(*upper),
        _ => None,
    });
    let every = nearest.min().map_or(1, |rows| 2_u16.div_ceil(rows.max(1)));
    for (y, label) in rows.into_iter().step_by(every.into()) {
        write_text(buffer, ((plot.x - 1).saturating_sub(width(label)), y), label, dim());
        if y < base {
            write_text(buffer, (plot.x, y), &"┈".repeat(plot.width.into()), dim());
        }
    }
    write_text(buffer, (plot.x, base), &"─".repeat(plot.width.into()), dim());
    let ticks = layout.times.ticks.iter().map(|tick| (tick.at, tick.label.as_str()));
    for (column, _) in words(ticks, layout, base + 1, dim(), buffer) {
        write_text(buffer, (column, base), "┬", dim());
    }
    let dates = layout.times.dates.iter().map(|tick| (tick.at, tick.label.as_str()));
    words(dates, layout, base + 2, Style::new(), buffer);
}

/// Writes words below their moments, those that have room; returns their columns.
fn words<'a>(
    ticks: impl Iterator<Item = (i64, &'a str)>,
    layout: &Layout,
    y: u16,
    style: Style,
    buffer: &mut Buffer,
) -> Vec<(u16, &'a str)> {
    let mut free = buffer.area.x;
    let mut written = Vec::new();
    for (at, label) in ticks {
        let Some(column) = layout.column(at) else { continue };
        let last = buffer.area.right().saturating_sub(width(label));
        let x = column.saturating_sub(width(label) / 2).min(last).max(buffer.area.x);
        if x >= free {
            write_text(buffer, (x, y), label, style);
            free = x + width(label) + 2;
            written.push((column, label));
        }
    }
    written
}

/// The sign of what happened: up for what began, down for what ended.
pub(super) fn symbol(kind: MarkKind) -> &'static str {
    match kind {
        MarkKind::Started => "▴",
        MarkKind::Exited => "▾",
        MarkKind::Limit => "!",
        MarkKind::Oom => "✖",
        MarkKind::Run => "▲",
    }
}

fn weight(kind: MarkKind) -> u8 {
    match kind {
        MarkKind::Started => 0,
        MarkKind::Exited => 1,
        MarkKind::Run => 2,
        MarkKind::Limit => 3,
        MarkKind::Oom => 4,
    }
}

/// Signs on the axis; of several in one column the gravest.
pub(super) fn marks(figure: &Figure, options: TerminalOptions, layout: &Layout, buffer: &mut Buffer) {
    let mut marks: Vec<&Mark> = figure.marks.iter().collect();
    marks.sort_by_key(|mark| weight(mark.kind));
    for mark in marks {
        let Some(column) = layout.column(mark.unix_ms) else { continue };
        let style = match mark.kind {
            MarkKind::Limit | MarkKind::Oom => {
                Style::new().fg(options.colour(ALERT)).add_modifier(Modifier::BOLD)
            }
            _ => Style::new(),
        };
        write_text(buffer, (column, layout.plot.bottom()), symbol(mark.kind), style);
    }
}
