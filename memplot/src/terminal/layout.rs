//! What goes where, and how values and moments become places.

use ratatui::layout::Rect;

use super::axis;
use super::labels::{self, Label};
use super::text::width;
use super::{ColourDepth, TerminalOptions, text};
use crate::figure::{Figure, Mark, MarkKind, Point};
use crate::scale::{TimeScale, ValueScale};

/// From this width on names stand beside the lines, not below.
const MIN_WIDTH_BESIDE: u16 = 90;
/// Lines of what happened, at most.
const MAX_EVENT_ROWS: usize = 4;
/// Lines of the subtitle, at most.
const MAX_SUBTITLE_ROWS: usize = 4;
/// Less than this is no picture.
const MIN_SIZE: (u16, u16) = (20, 8);

/// Where the parts of a picture stand.
#[derive(Debug)]
pub(super) struct Layout {
    /// Rows of title and subtitle.
    pub(super) head: u16,
    /// The cells of lines and areas. Empty if there is no room.
    pub(super) plot: Rect,
    pub(super) values: ValueScale,
    pub(super) times: TimeScale,
    pub(super) labels: Vec<Label>,
    /// Names beside the plot, or below it.
    pub(super) names: Rect,
    pub(super) beside: bool,
    /// What happened, in words.
    pub(super) events: Vec<String>,
    pub(super) events_from: u16,
    /// All rows that are used.
    pub(super) rows: u16,
}

impl Layout {
    pub(super) fn new(figure: &Figure, options: TerminalOptions, area: Rect) -> Self {
        let subtitle =
            text::subtitle(figure, area.width).len().min(MAX_SUBTITLE_ROWS).min(usize::from(area.height / 6));
        let head = u16::try_from(1 + subtitle).unwrap_or(1).min(area.height);
        let labels = labels::all(figure);
        let mut layout = Self {
            head,
            plot: Rect::default(),
            values: axis::values(figure),
            times: axis::times(figure.time, area.width),
            labels,
            names: Rect::default(),
            beside: false,
            events: Vec::new(),
            events_from: 0,
            rows: head,
        };
        if area.width >= MIN_SIZE.0 && area.height >= MIN_SIZE.1 {
            layout.divide(figure, options, area);
        }
        layout
    }

    fn divide(&mut self, figure: &Figure, options: TerminalOptions, area: Rect) {
        // Axis, times, dates.
        let free = area.height.saturating_sub(self.head + 3);
        let events = events(&figure.marks);
        let event_rows = u16::try_from(events.len()).unwrap_or(0).min(free / 6);
        let free = free - event_rows;
        let count = u16::try_from(self.labels.len()).unwrap_or(u16::MAX);
        self.beside = area.width >= MIN_WIDTH_BESIDE && count <= free;
        let below = if self.beside { 0 } else { count.min(free.saturating_sub(10).max(free / 3)) };
        let height = free - below;

        let scale = self.values.ticks.iter().map(|tick| width(&tick.label)).max().unwrap_or(0) + 1;
        let gutter = u16::from(options.depth == ColourDepth::None);
        let beside = if self.beside { labels::width(&self.labels).min(area.width * 2 / 5) + 2 } else { 0 };
        self.plot = Rect {
            x: area.x + scale,
            y: area.y + self.head,
            width: area.width.saturating_sub(scale + gutter + beside),
            height,
        };
        self.times = axis::times(figure.time, self.plot.width);
        let bottom = self.plot.bottom() + 3;
        self.names = if self.beside {
            let x = self.plot.right() + gutter + 1;
            Rect { x, y: self.plot.y, width: area.right().saturating_sub(x), height: height + 1 }
        } else {
            Rect { x: area.x, y: bottom, width: area.width, height: below }
        };
        self.events = events.into_iter().take(event_rows.into()).collect();
        self.events_from = bottom + below;
        self.rows = self.events_from + event_rows - area.y;
    }

    /// The highest dot to the right and to the top of braille cells.
    pub(super) fn dots(&self) -> (f64, f64) {
        (f64::from(self.plot.width) * 2.0 - 1.0, f64::from(self.plot.height) * 4.0 - 1.0)
    }

    /// The dot of a point, from the lower left; outside of the plot for what is outside of the axes.
    pub(super) fn dot(&self, point: Point) -> (f64, f64) {
        let (right, top) = self.dots();
        (self.times.fraction(point.unix_ms) * right, self.values.fraction(point.value) * top)
    }

    /// The column of a moment, if it is in the plot.
    pub(super) fn column(&self, unix_ms: i64) -> Option<u16> {
        let dot = (self.times.fraction(unix_ms) * self.dots().0).round();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within the plot's width"
        )]
        let column = (0.0..=self.dots().0).contains(&dot).then_some(dot as u16 / 2);
        column.map(|column| self.plot.x + column)
    }

    /// The row of a value, if it is in the plot; the lower edge is the row of the axis.
    pub(super) fn row(&self, value: f64) -> Option<u16> {
        let share = self.values.fraction(value);
        if share <= 0.0 {
            return (share == 0.0).then_some(self.plot.bottom());
        }
        let dot = (share * self.dots().1).round();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within the plot's height"
        )]
        let up = (dot <= self.dots().1).then_some(dot as u16 / 4)?;
        self.plot.bottom().checked_sub(1 + up)
    }

    /// The moments that a column stands for: from the first up to the second.
    pub(super) fn moments_of(&self, column: u16) -> (i64, i64) {
        let (from, to) = (self.times.from, self.times.to);
        let span = i128::from(to) - i128::from(from) + 1;
        let edge = |column: u16| {
            let after = span * i128::from(column) / i128::from(self.plot.width.max(1));
            from.saturating_add(i64::try_from(after).unwrap_or(i64::MAX))
        };
        (edge(column), edge(column.saturating_add(1)))
    }
}

/// What happened, a line each: the severe things one by one with their time, the others by their number.
fn events(marks: &[Mark]) -> Vec<String> {
    let count = |kind: MarkKind| marks.iter().filter(|mark| mark.kind == kind).count();
    let mut lines = Vec::new();
    let severe: Vec<&Mark> =
        marks.iter().filter(|mark| matches!(mark.kind, MarkKind::Limit | MarkKind::Oom)).collect();
    let room = if severe.len() > MAX_EVENT_ROWS - 1 { MAX_EVENT_ROWS - 2 } else { MAX_EVENT_ROWS - 1 };
    for mark in severe.iter().take(room) {
        lines.push(format!("{} {} {}", axis::symbol(mark.kind), axis::time_of_day(mark.unix_ms), mark.text));
    }
    if let Some(rest) = severe.len().checked_sub(room).filter(|rest| *rest > 0) {
        lines.push(format!("! and {rest} more limits crossed or processes killed"));
    }
    let counted: Vec<String> =
        [(MarkKind::Started, "started"), (MarkKind::Exited, "ended"), (MarkKind::Run, "runs began")]
            .into_iter()
            .filter(|(kind, _)| count(*kind) > 0)
            .map(|(kind, word)| format!("{} {} {word}", axis::symbol(kind), count(kind)))
            .collect();
    if !counted.is_empty() {
        lines.push(counted.join("  "));
    }
    lines
}
