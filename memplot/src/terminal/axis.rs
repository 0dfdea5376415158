//! Draws axes, grid lines, and the symbols of events.

use ratatui::buffer::Buffer;
use ratatui::style::{Modifier, Style};

use super::events::symbol;
use super::layout::Layout;
use super::options::TerminalOptions;
use super::text::{dim, width, write_text};
use crate::colour::ALERT;
use crate::figure::{Figure, Mark, MarkKind};
use crate::scale::Tick;

/// Draws grid lines, the time axis and the labels of both axes.
pub(super) fn draw(layout: &Layout, buffer: &mut Buffer) {
    let plot = layout.plot;
    let base = plot.bottom();
    let ticks = layout.values.ticks.iter();
    let rows: Vec<(u16, &str)> =
        ticks.filter_map(|tick| Some((layout.row(tick.at)?, tick.label.as_str()))).collect();
    // Labels need two rows each: if they are nearer, only every second or third is drawn.
    let distances = rows.iter().zip(rows.iter().skip(1)).filter_map(|(low, high)| low.0.checked_sub(high.0));
    let every = distances.min().map_or(1, |rows| 2_u16.div_ceil(rows.max(1)));
    for (y, label) in rows.into_iter().step_by(every.into()) {
        write_text(buffer, ((plot.x - 1).saturating_sub(width(label)), y), label, dim());
        if y < base {
            write_text(buffer, (plot.x, y), &"┈".repeat(plot.width.into()), dim());
        }
    }
    write_text(buffer, (plot.x, base), &"─".repeat(plot.width.into()), dim());
    for column in draw_ticks(&layout.times.ticks, layout, base + 1, dim(), buffer) {
        write_text(buffer, (column, base), "┬", dim());
    }
    draw_ticks(&layout.times.dates, layout, base + 2, Style::new(), buffer);
}

/// Draws the labels that have room. Returns the columns of their ticks.
fn draw_ticks(ticks: &[Tick<i64>], layout: &Layout, y: u16, style: Style, buffer: &mut Buffer) -> Vec<u16> {
    let mut free = buffer.area.x;
    let mut drawn = Vec::new();
    for tick in ticks {
        let Some(column) = layout.column(tick.at) else { continue };
        let label_width = width(&tick.label);
        let last = buffer.area.right().saturating_sub(label_width);
        let x = column.saturating_sub(label_width / 2).min(last).max(buffer.area.x);
        if x >= free {
            write_text(buffer, (x, y), &tick.label, style);
            free = x + label_width + 2;
            drawn.push(column);
        }
    }
    drawn
}

/// Draws the symbols of events on the time axis. The most severe of a column is visible.
pub(super) fn draw_marks(figure: &Figure, options: TerminalOptions, layout: &Layout, buffer: &mut Buffer) {
    let mut marks: Vec<&Mark> = figure.marks.iter().collect();
    marks.sort_by_key(|mark| mark.kind);
    for mark in marks {
        let Some(column) = layout.column(mark.unix_ms) else { continue };
        let style = if mark.kind >= MarkKind::Limit {
            Style::new().fg(options.colour(ALERT)).add_modifier(Modifier::BOLD)
        } else {
            Style::new()
        };
        write_text(buffer, (column, layout.plot.bottom()), symbol(mark.kind), style);
    }
}
