//! The positions of all parts of a chart.

use plotters_backend::BackendCoord;

use super::label_text::LabelText;
use super::style::{BODY, SUBTITLE, TITLE};
use crate::cli::Size;
use crate::figure::{Figure, PART_SEPARATOR};
use crate::format::wrap_parts;
use crate::scale::{TimeScale, ValueScale};
use crate::svg::units;
use crate::text_metrics::{shortened, width};

/// From one label to the next.
pub const LINE: f64 = 16.5;
/// From the end of the lines to their labels.
pub const LEADER: f64 = 16.0;
/// Room for the dot before a label below the plot.
pub const DOT: f64 = 14.0;
/// The margin on each side.
pub const MARGIN: f64 = 18.0;
/// More labels than these are below the plot.
const MAX_LABELS_BESIDE: usize = 20;
/// Between two columns of labels below the plot.
const COLUMN_GAP: f64 = 18.0;
const MAX_SUBTITLE_LINES: usize = 3;

/// The positions of all parts, in pixels.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Width and height of the chart.
    pub size: (f64, f64),
    /// The title, shortened to fit.
    pub title: String,
    /// The lines of the subtitle.
    pub subtitle: Vec<String>,
    /// The left end of the data area.
    pub left: f64,
    /// Its right end.
    pub right: f64,
    /// Its upper end.
    pub top: f64,
    /// Its lower end.
    pub bottom: f64,
    /// The labels of the figure's series.
    pub labels: Vec<LabelText>,
    /// The width of a column of labels below the plot and its number of rows; `None` if labels are beside the lines.
    pub below: Option<(f64, usize)>,
    /// The number of labels without room.
    pub unlabelled: usize,
    /// The value axis.
    pub values: ValueScale,
    /// The time axis.
    pub time: TimeScale,
}

impl Layout {
    /// Arranges a figure.
    pub fn new(figure: &Figure, size: Size, values: ValueScale, zone: &jiff::tz::TimeZone) -> Self {
        let (w, h) = (f64::from(size.width), f64::from(size.height));
        let text_width = w - 2.0 * MARGIN;
        let title = shortened(&figure.title, TITLE, text_width);
        let mut subtitle = wrap_parts(&figure.picture_subtitle(), PART_SEPARATOR, |line| {
            width(line, SUBTITLE) <= text_width
        });
        subtitle.truncate(MAX_SUBTITLE_LINES);
        for line in &mut subtitle {
            *line = shortened(line, SUBTITLE, text_width);
        }
        let widest_tick = values.ticks.iter().map(|tick| width(&tick.label, BODY)).fold(0.0, f64::max);
        let left = MARGIN + widest_tick + 8.0;
        let top = 34.0 + subtitle.len() as f64 * 19.0 + 26.0;
        let mut bottom = h - 56.0;

        let mut labels = LabelText::for_figure(figure, (w * 0.36).min(420.0) - LEADER - MARGIN);
        let widest = labels.iter().map(LabelText::width).fold(0.0, f64::max);
        let mut right = w - MARGIN - LEADER - widest;
        let mut below = None;
        let mut unlabelled = 0;
        if labels.len() > MAX_LABELS_BESIDE || labels.len() as f64 * LINE > bottom - top {
            right = w - MARGIN - 6.0;
            let column = widest + DOT + COLUMN_GAP;
            let columns = floor_count((text_width + COLUMN_GAP) / column).max(1);
            let rows = labels.len().div_ceil(columns).min(floor_count((h * 0.4) / LINE).max(1));
            let room = rows * columns;
            if labels.len() > room {
                // The last place says how many labels are missing.
                unlabelled = labels.len() - room + 1;
                labels.truncate(room - 1);
            }
            bottom -= rows as f64 * LINE + 6.0;
            below = Some((column, rows));
        }
        // However many labels there are, the data keep some room.
        right = right.max(left + 60.0);
        bottom = bottom.max(top + 40.0);
        let tick_width = if figure.time.1 - figure.time.0 < 60_000 { 100.0 } else { 80.0 };
        let time = TimeScale::new(figure.time, floor_count((right - left) / tick_width).clamp(2, 16), zone);
        let size = (w, h);
        Self { size, title, subtitle, left, right, top, bottom, labels, below, unlabelled, values, time }
    }

    /// The horizontal position of a moment.
    pub fn x(&self, unix_ms: i64) -> f64 {
        self.left + (self.right - self.left) * self.time.fraction(unix_ms)
    }

    /// The vertical position of a value.
    pub fn y(&self, value: f64) -> f64 {
        self.bottom - (self.bottom - self.top) * self.values.fraction(value)
    }

    /// The place of a value on the canvas, with the ends of the axes at whole units.
    #[expect(clippy::cast_possible_truncation, reason = "within the chart")]
    pub fn coord(&self, unix_ms: i64, value: f64) -> BackendCoord {
        let place = |from: f64, to: f64, fraction: f64| {
            let (from, to) = (f64::from(units(from)), f64::from(units(to)));
            (from + (to - from) * fraction).round() as i32
        };
        (
            place(self.left, self.right, self.time.fraction(unix_ms)),
            place(self.bottom, self.top, self.values.fraction(value)),
        )
    }

    /// The column of pixels that shows a moment.
    #[expect(clippy::cast_possible_truncation, reason = "within the chart")]
    pub fn column(&self, unix_ms: i64) -> i64 {
        self.x(unix_ms).floor() as i64
    }

    /// The dates below the time axis that have room, each with the position of its middle.
    pub fn date_labels(&self) -> impl Iterator<Item = (f64, &str)> {
        let mut free = f64::MIN;
        self.time.dates.iter().filter_map(move |date| {
            let half = width(&date.label, BODY) / 2.0;
            let x = self.x(date.at).max(MARGIN + half).min(self.size.0 - MARGIN - half);
            let has_room = x - half >= free;
            if has_room {
                free = x + half + 10.0;
            }
            has_room.then_some((x, date.label.as_str()))
        })
    }
}

/// The number of whole items that have room.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
fn floor_count(room: f64) -> usize {
    room.floor().clamp(0.0, 1e6) as usize
}
