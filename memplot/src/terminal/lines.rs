//! Lines in braille. Every point is drawn, so every peak is.

use ratatui::buffer::Buffer;
use ratatui::style::Color;
use ratatui::symbols::Marker;
use ratatui::widgets::Widget as _;
use ratatui::widgets::canvas::{Canvas, Context, Line, Points};

use super::TerminalOptions;
use super::areas::{moments, run_and_value_at};
use super::layout::Layout;
use crate::colour::ThemeColour;
use crate::figure::{Figure, Point, Series, TrendLine};

/// The line of the total.
const TOTAL: ThemeColour = ThemeColour { light: (0x20, 0x24, 0x2a), dark: (0xf0, 0xf2, 0xf4) };

/// The colour of the total's line.
pub(super) fn total_colour(options: TerminalOptions) -> Color {
    options.colour(TOTAL)
}

pub(super) fn draw(figure: &Figure, options: TerminalOptions, layout: &Layout, buffer: &mut Buffer) {
    let stacked = figure.stacked.then(|| stack(figure));
    let series = stacked.as_ref().unwrap_or(&figure.series);
    let (right, top) = layout.dots();
    let canvas = Canvas::default().marker(Marker::Braille).x_bounds([0.0, right]).y_bounds([0.0, top]).paint(
        |context| {
            // What counts most is drawn last, over the others.
            for series in series.iter().rev() {
                line(context, series, options.series(series.colour), layout);
            }
            if let Some(total) = &figure.total {
                line(context, total, total_colour(options), layout);
            }
            for (series, trend) in series.iter().filter_map(|series| Some((series, series.trend.as_ref()?))) {
                fitted(context, trend, options.series(series.colour), layout);
            }
        },
    );
    // On a buffer of its own: where no dot is, what stands there stays.
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

fn line(context: &mut Context, series: &Series, colour: Color, layout: &Layout) {
    for run in &series.runs {
        for pair in run.windows(2) {
            if let [from, to] = pair {
                let ((x1, y1), (x2, y2)) = (layout.dot(*from), layout.dot(*to));
                context.draw(&Line::new(x1, y1, x2, y2, colour));
            }
        }
        if let [alone] = run.as_slice() {
            context.draw(&Points::new(&[layout.dot(*alone)], colour));
        }
    }
}

/// A fitted line, dotted.
fn fitted(context: &mut Context, trend: &TrendLine, colour: Color, layout: &Layout) {
    const DOTS: i32 = 48;
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "moments of a log")]
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

/// The upper edges of stacked areas, for where there are no colours to fill them.
fn stack(figure: &Figure) -> Vec<Series> {
    let moments = moments(figure);
    let mut below = vec![0.0; moments.len()];
    let mut edges = Vec::new();
    for series in &figure.series {
        let mut runs: Vec<Vec<Point>> = Vec::new();
        let mut before = None;
        for (below, unix_ms) in below.iter_mut().zip(&moments) {
            let place = run_and_value_at(series, *unix_ms);
            if let Some((run, value)) = place {
                *below += value.max(0.0);
                if before != Some(run) {
                    runs.push(Vec::new());
                }
                runs.last_mut()
                    .into_iter()
                    .for_each(|run| run.push(Point { unix_ms: *unix_ms, value: *below }));
            }
            before = place.map(|(run, _)| run);
        }
        edges.push(Series { runs, peak: None, last: None, trend: None, ..series.clone() });
    }
    edges
}
