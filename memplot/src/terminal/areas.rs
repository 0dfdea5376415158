//! Areas on each other, in blocks: of every column of cells the moment at which they are highest together.

use ratatui::buffer::Buffer;
use ratatui::style::Color;

use super::TerminalOptions;
use super::layout::Layout;
use crate::figure::{Figure, Point, Series};

/// From empty to full, upwards, in eighths of a cell.
const LEVELS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// A series' value at a moment: measured, or on the line between two that were; `None` in a gap.
pub(super) fn value_at(series: &Series, unix_ms: i64) -> Option<f64> {
    run_and_value_at(series, unix_ms).map(|(_, value)| value)
}

/// The same, with the number of the run that it is in.
pub(super) fn run_and_value_at(series: &Series, unix_ms: i64) -> Option<(usize, f64)> {
    series.runs.iter().enumerate().find_map(|(number, run)| {
        let next = run.partition_point(|point| point.unix_ms < unix_ms);
        let after = run.get(next)?;
        if after.unix_ms == unix_ms {
            return Some((number, after.value));
        }
        Some((number, between(run.get(next.checked_sub(1)?)?, after, unix_ms)))
    })
}

fn between(before: &Point, after: &Point, unix_ms: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of any year are below 2^53")]
    let share = (unix_ms - before.unix_ms) as f64 / (after.unix_ms - before.unix_ms).max(1) as f64;
    before.value + (after.value - before.value) * share
}

/// Each series' value at one moment, and their sum; `None` if nothing was measured around it.
fn values(figure: &Figure, unix_ms: i64) -> Option<(f64, Vec<f64>)> {
    let mut known = false;
    let values: Vec<f64> = figure
        .series
        .iter()
        .map(|series| {
            let value = value_at(series, unix_ms);
            known |= value.is_some();
            value.unwrap_or(0.0).max(0.0)
        })
        .collect();
    known.then(|| (values.iter().sum(), values))
}

/// The sum of all at one moment.
pub(super) fn sum_at(figure: &Figure, unix_ms: i64) -> Option<f64> {
    values(figure, unix_ms).map(|(sum, _)| sum)
}

/// All moments with a value, in order, each once.
pub(super) fn moments(figure: &Figure) -> Vec<i64> {
    let points = figure.series.iter().flat_map(|series| series.runs.iter().flatten());
    let mut moments: Vec<i64> = points.map(|point| point.unix_ms).collect();
    moments.sort_unstable();
    moments.dedup();
    moments
}

pub(super) fn draw(figure: &Figure, options: TerminalOptions, layout: &Layout, buffer: &mut Buffer) {
    let moments = moments(figure);
    for column in 0..layout.plot.width {
        let (from, to) = layout.moments_of(column);
        let first = moments.partition_point(|moment| *moment < from);
        let here = moments.iter().skip(first).take_while(|moment| **moment < to);
        let highest = here.filter_map(|moment| values(figure, *moment)).max_by(|a, b| a.0.total_cmp(&b.0));
        // Between two moments that lie farther apart than a column is wide the areas go on.
        let Some((_, parts)) = highest.or_else(|| values(figure, from + (to - from) / 2)) else { continue };
        let mut below = 0.0;
        let edges: Vec<f64> = parts
            .iter()
            .map(|part| {
                below += part;
                layout.values.fraction(below) * f64::from(layout.plot.height) * 8.0
            })
            .collect();
        for row in 0..layout.plot.height {
            let floor = f64::from(layout.plot.height - 1 - row) * 8.0;
            let Some(cell) = buffer.cell_mut((layout.plot.x + column, layout.plot.y + row)) else { continue };
            let Some((symbol, lower, upper)) = fill(&edges, floor) else { continue };
            let colour =
                |index: usize| options.series(figure.series.get(index).and_then(|series| series.colour));
            cell.reset();
            cell.set_symbol(symbol).set_fg(colour(lower)).set_bg(upper.map_or(Color::Reset, colour));
        }
    }
}

/// What of the areas with these upper edges stands in a cell whose lower edge is at `floor`, in eighths of a cell: a
/// block, the series it is of, and the series above it. `None`: nothing.
fn fill(edges: &[f64], floor: f64) -> Option<(&'static str, usize, Option<usize>)> {
    let mut lower_edge: f64 = 0.0;
    // Series and how much of the cell each covers, from below.
    let mut parts: Vec<(usize, f64)> = Vec::new();
    for (index, edge) in edges.iter().enumerate() {
        let covered = edge.min(floor + 8.0) - lower_edge.max(floor);
        lower_edge = *edge;
        if covered > 0.0 {
            parts.push((index, covered));
        }
    }
    let covered: f64 = parts.iter().map(|part| part.1).sum();
    let largest = |parts: &[(usize, f64)]| parts.iter().max_by(|a, b| a.1.total_cmp(&b.1)).map(|part| part.0);
    // A cell has two colours. At the upper end one of them is the ground's.
    if covered < 7.5 {
        let lower = largest(&parts)?;
        // What is more than nothing is seen at the bottom, and half an eighth elsewhere is not.
        let least = if floor == 0.0 { 1.0 } else { 0.0 };
        let level = level(covered.round().max(least));
        return (level != " ").then_some((level, lower, None));
    }
    let (first, rest) = parts.split_first()?;
    match (first.1.round(), largest(rest)) {
        (height, Some(upper)) if height < 8.0 => {
            let symbol = level(height);
            Some(if symbol == " " { ("█", upper, None) } else { (symbol, first.0, Some(upper)) })
        }
        _ => Some(("█", first.0, None)),
    }
}

fn level(eighths: f64) -> &'static str {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 8")]
    let index = eighths.clamp(0.0, 8.0) as usize;
    LEVELS.get(index).copied().unwrap_or("█")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_show_area_edges() {
        assert_eq!(fill(&[3.0, 20.0], 0.0), Some(("▃", 0, Some(1))));
        assert_eq!(fill(&[3.0, 20.0], 8.0), Some(("█", 1, None)));
        assert_eq!(fill(&[3.0, 20.0], 16.0), Some(("▄", 1, None)));
        assert_eq!(fill(&[3.0, 20.0], 24.0), None);
        assert_eq!(fill(&[0.01], 0.0), Some(("▁", 0, None)), "little is not nothing");
        assert_eq!(fill(&[8.2], 8.0), None);
        assert_eq!(fill(&[0.2, 16.0], 0.0), Some(("█", 1, None)));
        assert_eq!(fill(&[0.0, 0.0], 0.0), None);
        assert_eq!(fill(&[], 0.0), None);
    }
}
