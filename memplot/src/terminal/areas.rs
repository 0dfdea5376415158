//! Draws stacked areas in blocks.

use ratatui::buffer::Buffer;
use ratatui::style::Color;

use super::interpolate::{moments, values_at};
use super::layout::Layout;
use super::options::TerminalOptions;
use crate::figure::Figure;

/// The blocks from empty to full, in eighths of a cell.
const LEVELS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// Draws stacked areas. Each column shows the moment with the highest sum.
pub(super) fn draw(figure: &Figure, options: TerminalOptions, layout: &Layout, buffer: &mut Buffer) {
    let moments = moments(figure);
    for column in 0..layout.plot.width {
        let (from, to) = layout.times.only.map_or_else(|| layout.time_of_column(column), |at| (at, at + 1));
        let first = moments.partition_point(|moment| *moment < from);
        let here = moments.iter().skip(first).take_while(|moment| **moment < to);
        let highest = here.filter_map(|moment| values_at(figure, *moment)).max_by(|a, b| a.0.total_cmp(&b.0));
        // A column without a moment shows the areas between two.
        let Some((_, parts)) = highest.or_else(|| values_at(figure, from + (to - from) / 2)) else {
            continue;
        };
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

/// The block in the cell with its lower edge at `floor`, its series, and the series above it, for areas with these upper edges.
/// All lengths are in eighths of a cell. `None` if the cell is empty.
fn fill(edges: &[f64], floor: f64) -> Option<(&'static str, usize, Option<usize>)> {
    let mut lower_edge: f64 = 0.0;
    // Each series in the cell and its height there, from below.
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
    // A cell has two colours. At the top of the stack one of them is the background.
    if covered < 7.5 {
        let lower = largest(&parts)?;
        // At the bottom every area is visible, however small.
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
