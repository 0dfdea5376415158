//! Where the parts of a picture are.

use super::labels::Label;
use crate::cli::Size;
use crate::figure::{Figure, Unit};
use crate::scale::{TimeScale, ValueScale};
use crate::text_metrics::{shortened, width};

/// Sizes of letters, in pixels.
pub const TITLE: f64 = 20.0;
/// Of the second line.
pub const SUBTITLE: f64 = 13.0;
/// Of all else.
pub const BODY: f64 = 12.0;
/// From one label to the next.
pub const LINE: f64 = 16.5;
/// From the end of the lines to their labels.
pub const LEADER: f64 = 16.0;
/// More labels than these stand below the plot.
const MAX_LABELS_BESIDE: usize = 20;
const EDGE: f64 = 18.0;
/// Between two columns of labels below.
const COLUMN_GAP: f64 = 18.0;
/// The dot before a label below.
pub const DOT: f64 = 14.0;

/// Where everything is, in pixels.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The whole.
    pub size: (f64, f64),
    /// The title, made to fit.
    pub title: String,
    /// The lines below it.
    pub subtitle: Vec<String>,
    /// The rectangle of the data.
    pub left: f64,
    /// Its right end.
    pub right: f64,
    /// Its upper end.
    pub top: f64,
    /// Its lower end.
    pub bottom: f64,
    /// Labels, in the order of the picture's series.
    pub labels: Vec<Label>,
    /// Labels in columns below: the width of one and how many there are; `None`: beside the ends of the lines.
    pub below: Option<(f64, usize)>,
    /// How many labels have no room.
    pub unlabelled: usize,
    /// The axis of values.
    pub values: ValueScale,
    /// The axis of time.
    pub time: TimeScale,
}

impl Layout {
    /// Arranges a picture.
    #[must_use]
    pub fn new(figure: &Figure, size: Size, values: ValueScale, zone: &jiff::tz::TimeZone) -> Self {
        let (w, h) = (f64::from(size.width), f64::from(size.height));
        let title = shortened(&figure.title, TITLE, w - 2.0 * EDGE);
        let subtitle = wrap(&figure.subtitle, SUBTITLE, w - 2.0 * EDGE);
        let widest_tick = values.ticks.iter().map(|tick| width(&tick.label, BODY)).fold(0.0, f64::max);
        let left = EDGE + widest_tick + 8.0;
        let top = 34.0 + subtitle.len() as f64 * 19.0 + 26.0;
        let mut bottom = h - 56.0;

        let beside = (w * 0.36).min(420.0);
        let mut labels = Label::all(figure, beside - LEADER - EDGE);
        let fits =
            figure.series.len() <= MAX_LABELS_BESIDE && figure.series.len() as f64 * LINE <= bottom - top;
        let widest = labels.iter().map(Label::width).fold(0.0, f64::max);
        let mut right = w - EDGE - LEADER - widest;
        let mut below = None;
        let mut unlabelled = 0;
        if !fits {
            right = w - EDGE - 6.0;
            let column = widest + DOT + COLUMN_GAP;
            let columns = floor_count((w - 2.0 * EDGE + COLUMN_GAP) / column).max(1);
            let most_rows = floor_count((h * 0.4) / LINE).max(1);
            let rows = labels.len().div_ceil(columns).min(most_rows);
            unlabelled = labels.len().saturating_sub(rows * columns);
            labels.truncate(rows * columns - usize::from(unlabelled > 0));
            unlabelled += usize::from(unlabelled > 0);
            bottom -= rows as f64 * LINE + 6.0;
            below = Some((column, rows));
        }
        // However many labels there are, some room is left for what they are of.
        right = right.max(left + 60.0);
        bottom = bottom.max(top + 40.0);
        let most =
            floor_count((right - left) / if figure.time.1 - figure.time.0 < 60_000 { 100.0 } else { 80.0 });
        let time = TimeScale::new(figure.time, most.clamp(2, 16), zone);
        Self {
            size: (w, h),
            title,
            subtitle,
            left,
            right,
            top,
            bottom,
            labels,
            below,
            unlabelled,
            values,
            time,
        }
    }

    /// The place of a moment.
    #[must_use]
    pub fn x(&self, unix_ms: i64) -> f64 {
        self.left + (self.right - self.left) * self.time.fraction(unix_ms)
    }

    /// The place of a value.
    #[must_use]
    pub fn y(&self, value: f64) -> f64 {
        self.bottom - (self.bottom - self.top) * self.values.fraction(value)
    }

    /// The column of pixels that a moment is drawn in.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "within the picture")]
    pub fn column(&self, unix_ms: i64) -> i64 {
        self.x(unix_ms).floor() as i64
    }
}

/// A number of whole things that have room.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
fn floor_count(room: f64) -> usize {
    room.floor().clamp(0.0, 1e6) as usize
}

/// The axis of values for what a picture shows.
#[must_use]
pub fn value_scale(figure: &Figure, edges: impl Iterator<Item = f64>) -> ValueScale {
    let mut values: Vec<f64> = edges.collect();
    if !figure.stacked {
        values.extend(figure.series.iter().flat_map(|one| &one.runs).flatten().map(|point| point.value));
        let trends = figure.series.iter().filter_map(|one| one.trend.as_ref());
        values.extend(trends.flat_map(|trend| [trend.from.value, trend.to.value]));
    }
    values.retain(|value| value.is_finite());
    let high = values.iter().copied().fold(0.0, f64::max);
    let low = values.iter().copied().fold(f64::MAX, f64::min).min(high);
    if figure.log_scale {
        let least = values.iter().copied().filter(|value| *value > 0.0).fold(f64::MAX, f64::min);
        let floor = if figure.unit == Unit::Bytes { 64.0 } else { 1.0 };
        return ValueScale::log(figure.unit, if least < f64::MAX { least } else { floor }, high);
    }
    ValueScale::linear(figure.unit, low, high, low < 0.0)
}

/// The parts of a line, on as many lines as they take, at most three.
fn wrap(text: &str, size: f64, widest: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in text.split("  ·  ").filter(|part| !part.is_empty()) {
        let joined = lines.last().map(|line| format!("{line}  ·  {part}"));
        match joined.filter(|joined| width(joined, size) <= widest) {
            Some(joined) => {
                if let Some(last) = lines.last_mut() {
                    *last = joined;
                }
            }
            None if lines.len() < 3 => lines.push(shortened(part, size, widest)),
            None => {}
        }
    }
    lines
}
