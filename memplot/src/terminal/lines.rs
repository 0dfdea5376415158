//! Draws lines in braille. All points are drawn, so no peak is lost.

use ratatui::buffer::Buffer;
use ratatui::style::Color;
use ratatui::symbols::Marker;
use ratatui::widgets::Widget as _;
use ratatui::widgets::canvas::{Canvas, Context, Line, Points};

use super::interpolate::{moments, value_at};
use super::layout::Layout;
use super::options::TerminalOptions;
use crate::colour::TEXT;
use crate::figure::{Figure, Point, Series, TrendLine};

/// Draws all series, the total and trends.
pub(super) fn draw(figure: &Figure, options: TerminalOptions, layout: &Layout, buffer: &mut Buffer) {
    let stacked = figure.stacked.then(|| stacked_edges(figure));
    let series = stacked.as_ref().unwrap_or(&figure.series);
    let (right, top) = layout.dots();
    let canvas = Canvas::default().marker(Marker::Braille).x_bounds([0.0, right]).y_bounds([0.0, top]).paint(
        |context| {
            // The most important series comes first: it is drawn last, on top.
            for series in series.iter().rev() {
                draw_line(context, series, options.series(series.colour), layout);
            }
            if let Some(total) = &figure.total {
                draw_line(context, total, options.colour(TEXT), layout);
            }
            for (series, trend) in series.iter().filter_map(|series| Some((series, series.trend.as_ref()?))) {
                draw_trend(context, trend, options.series(series.colour), layout);
            }
        },
    );
    // On a buffer of its own: cells without dots keep their content.
    let mut drawn = Buffer::empty(layout.plot);
    canvas.render(layout.plot, &mut drawn);
    for (x, y) in layout.plot.positions().map(|position| (position.x, position.y)) {
        if let (Some(from), Some(to)) = (drawn.cell((x, y)), buffer.cell_mut((x, y)))
            && !matches!(from.symbol(), " " | "\u{2800}")
        {
            *to = from.clone();
        }
    }
}

fn draw_line(context: &mut Context, series: &Series, colour: Color, layout: &Layout) {
    for run in &series.runs {
        for pair in run.windows(2) {
            if let [from, to] = pair {
                let ((x1, y1), (x2, y2)) = (layout.dot(*from), layout.dot(*to));
                context.draw(&Line::new(x1, y1, x2, y2, colour));
            }
        }
        if let [alone] = run.as_slice() {
            let (x, y) = layout.dot(*alone);
            match layout.times.only {
                Some(_) => context.draw(&Line::new(0.0, y, layout.dots().0, y, colour)),
                None => context.draw(&Points::new(&[(x, y)], colour)),
            }
        }
    }
}

/// Draws a trend as a dotted line.
fn draw_trend(context: &mut Context, trend: &TrendLine, colour: Color, layout: &Layout) {
    const DOTS: i32 = 48;
    #[expect(clippy::cast_possible_truncation, reason = "moments of a log")]
    let dot = |n: i32| {
        let share = f64::from(n) / f64::from(DOTS);
        let (from, to) = (trend.from, trend.to);
        layout.dot(Point {
            unix_ms: from.unix_ms + ((to.unix_ms - from.unix_ms) as f64 * share) as i64,
            value: from.value + (to.value - from.value) * share,
        })
    };
    let dots: Vec<(f64, f64)> = (0..=DOTS).map(dot).collect();
    context.draw(&Points::new(&dots, colour));
}

/// The upper edges of stacked areas, for terminals without colours to fill them.
fn stacked_edges(figure: &Figure) -> Vec<Series> {
    let moments = moments(figure);
    let mut below = vec![0.0; moments.len()];
    let mut edges = Vec::new();
    for series in &figure.series {
        let mut runs: Vec<Vec<Point>> = Vec::new();
        let mut last_run = None;
        for (below, &unix_ms) in below.iter_mut().zip(&moments) {
            let found = value_at(series, unix_ms);
            if let Some((run, value)) = found {
                *below += value.max(0.0);
                let point = Point { unix_ms, value: *below };
                match runs.last_mut() {
                    Some(points) if last_run == Some(run) => points.push(point),
                    _ => runs.push(vec![point]),
                }
            }
            last_run = found.map(|(run, _)| run);
        }
        edges.push(Series { runs, colour: series.colour, ..Series::default() });
    }
    edges
}
