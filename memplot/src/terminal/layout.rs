//! Arranges title, plot, labels and events, and maps values and moments to cells.

use ratatui::layout::Rect;

use super::events;
use super::interpolate::{moments, values_at};
use super::label_text::{Label, labels, total_width};
use super::options::{ColourDepth, TerminalOptions};
use super::text::{subtitle_rows, width};
use crate::clock::zone;
use crate::figure::{Figure, Point, Series};
use crate::scale::{TimeScale, ValueScale};

/// From this width on labels are beside the plot.
const MIN_WIDTH_BESIDE: u16 = 90;
/// Rows of the subtitle, at most.
const MAX_SUBTITLE_ROWS: usize = 4;
/// Rows that labels below the plot leave to it.
const MIN_ROWS: u16 = 9;
/// The least width of a column of labels, and their largest number.
const MIN_COLUMN: u16 = 38;
const MAX_COLUMNS: u16 = 3;
/// Smaller areas have no plot.
const MIN_SIZE: (u16, u16) = (20, 8);

/// The positions of all parts.
#[derive(Debug)]
pub(super) struct Layout {
    /// Title and subtitle.
    pub(super) head: Vec<String>,
    /// The cells of lines and areas; empty if there is no room.
    pub(super) plot: Rect,
    pub(super) values: ValueScale,
    pub(super) times: TimeScale,
    pub(super) labels: Vec<Label>,
    /// The cells of labels.
    pub(super) names: Rect,
    /// Whether labels are beside the plot, not below.
    pub(super) beside: bool,
    /// The number of columns of labels below the plot.
    pub(super) columns: u16,
    pub(super) events: Vec<String>,
    /// The first row of events.
    pub(super) events_from: u16,
    /// The number of rows used.
    pub(super) rows: u16,
}

impl Layout {
    pub(super) fn new(figure: &Figure, options: TerminalOptions, area: Rect) -> Self {
        let subtitle = subtitle_rows(figure, area.width).into_iter();
        let subtitle = subtitle.take(MAX_SUBTITLE_ROWS.min(usize::from(area.height / 6)));
        let head: Vec<String> =
            std::iter::once(figure.title.clone()).chain(subtitle).take(area.height.into()).collect();
        let mut layout = Self {
            rows: u16::try_from(head.len()).unwrap_or(0),
            head,
            plot: Rect::default(),
            values: value_scale(figure),
            times: time_scale(figure, area.width),
            labels: labels(figure),
            names: Rect::default(),
            beside: false,
            columns: 1,
            events: Vec::new(),
            events_from: 0,
        };
        if area.width >= MIN_SIZE.0 && area.height >= MIN_SIZE.1 {
            layout.divide(figure, options, area);
        }
        layout
    }

    fn divide(&mut self, figure: &Figure, options: TerminalOptions, area: Rect) {
        let head = self.rows;
        // Three rows for the axis, its times and its dates.
        let free = area.height.saturating_sub(head + 3);
        self.events = events::lines(&figure.marks);
        self.events.truncate(usize::from(free / 6));
        let event_rows = u16::try_from(self.events.len()).unwrap_or(0);
        let free = free - event_rows;
        let count = u16::try_from(self.labels.len()).unwrap_or(u16::MAX);
        self.beside = area.width >= MIN_WIDTH_BESIDE && count <= free;
        let below = if self.beside { 0 } else { self.arrange_below(count, free, area.width) };
        let height = free - below;

        let scale = self.values.ticks.iter().map(|tick| width(&tick.label)).max().unwrap_or(0) + 1;
        let gutter = u16::from(options.depth == ColourDepth::None);
        let beside = if self.beside { total_width(&self.labels).min(area.width * 2 / 5) + 2 } else { 0 };
        let plot_width = area.width.saturating_sub(scale + gutter + beside);
        self.plot = Rect { x: area.x + scale, y: area.y + head, width: plot_width, height };
        self.times = time_scale(figure, plot_width);
        let bottom = self.plot.bottom() + 3;
        self.names = if self.beside {
            let x = self.plot.right() + gutter + 1;
            Rect { x, y: self.plot.y, width: area.right().saturating_sub(x), height: height + 1 }
        } else {
            Rect { x: area.x, y: bottom, width: area.width, height: below }
        };
        self.events_from = bottom + below;
        self.rows = self.events_from + event_rows - area.y;
    }

    /// Orders the labels below the plot by growth, the total first, and returns the number of their rows.
    fn arrange_below(&mut self, count: u16, free: u16, width: u16) -> u16 {
        let totals = self.labels.iter().take_while(|label| label.is_total).count();
        if let Some(series) = self.labels.get_mut(totals..) {
            series.sort_by(|a, b| b.growth.total_cmp(&a.growth));
        }
        let room = free.saturating_sub(MIN_ROWS).max(free / 3);
        self.columns = if count > room { (width / MIN_COLUMN).clamp(1, MAX_COLUMNS) } else { 1 };
        count.div_ceil(self.columns).min(room)
    }

    /// The position of the upper right dot of the braille cells.
    pub(super) fn dots(&self) -> (f64, f64) {
        (f64::from(self.plot.width) * 2.0 - 1.0, f64::from(self.plot.height) * 4.0 - 1.0)
    }

    /// The dot of a point, counted from the lower left. It may be outside the plot.
    pub(super) fn dot(&self, point: Point) -> (f64, f64) {
        let (right, top) = self.dots();
        (self.times.fraction(point.unix_ms) * right, self.values.fraction(point.value) * top)
    }

    /// The column of a moment, if it is in the plot.
    pub(super) fn column(&self, unix_ms: i64) -> Option<u16> {
        Some(self.plot.x + whole_dot(self.times.fraction(unix_ms), self.dots().0)? / 2)
    }

    /// The row of a value, if it is in the plot. The lower end is the row of the axis.
    pub(super) fn row(&self, value: f64) -> Option<u16> {
        let fraction = self.values.fraction(value);
        if fraction == 0.0 {
            return Some(self.plot.bottom());
        }
        self.plot.bottom().checked_sub(1 + whole_dot(fraction, self.dots().1)? / 4)
    }

    /// The range of time of a column, without its end.
    pub(super) fn time_of_column(&self, column: u16) -> (i64, i64) {
        let (from, to) = (self.times.from, self.times.to);
        let span = i128::from(to) - i128::from(from) + 1;
        let edge = |column: u16| {
            let offset = span * i128::from(column) / i128::from(self.plot.width.max(1));
            from.saturating_add(i64::try_from(offset).unwrap_or(i64::MAX))
        };
        (edge(column), edge(column.saturating_add(1)))
    }
}

/// The dot at a fraction of an axis, if it is on the axis.
fn whole_dot(fraction: f64, last: f64) -> Option<u16> {
    let dot = (fraction * last).round();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "on the axis")]
    (fraction >= 0.0 && dot <= last).then_some(dot as u16)
}

fn value_scale(figure: &Figure) -> ValueScale {
    let total = figure.total.iter().flat_map(Series::points).map(|point| point.value);
    let moments = if figure.stacked { moments(figure) } else { Vec::new() };
    let sums = moments.into_iter().filter_map(|unix_ms| Some(values_at(figure, unix_ms)?.0));
    ValueScale::for_figure(figure, total.chain(sums))
}

/// A time axis with as many ticks as have room for their labels.
fn time_scale(figure: &Figure, columns: u16) -> TimeScale {
    TimeScale::new(figure.time, usize::from(columns / 11).max(1), zone())
}
