//! The data of the page as JSON.

use common::stdio::escape_controls;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::clock;
use crate::colour::PALETTE;
use crate::figure::{Figure, MarkKind, Point, Series, Unit};

/// Changes of the time zone's offset, at most: two a year for five hundred years.
const MAX_CHANGES: usize = 1000;

#[derive(Serialize)]
struct PageData {
    unit: Unit,
    stacked: bool,
    log: bool,
    delta: bool,
    time: (i64, i64),
    /// Moments, and the offset of the time zone in seconds from then on.
    zone: Vec<(i64, i32)>,
    series: Vec<SeriesData>,
    total: Option<SeriesData>,
    marks: Vec<(i64, MarkKind, String)>,
}

/// A point. Moments count from the start of the figure, which makes short numbers.
type PointData = (i64, Number);

#[derive(Serialize)]
struct SeriesData {
    name: String,
    colour: Option<usize>,
    ended: bool,
    first: Option<PointData>,
    last: Option<PointData>,
    peak: Option<PointData>,
    /// Moment, value, moment, value, …
    runs: Vec<Vec<Number>>,
    /// The ends of its line, and a description.
    #[serde(skip_serializing_if = "Option::is_none")]
    trend: Option<(PointData, PointData, String)>,
}

/// A number that is written as an integer if it is one.
#[derive(Clone, Copy)]
struct Number(f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // JavaScript's numbers are floats, which are exact up to here.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if self.0.fract() == 0.0 && self.0.abs() <= EXACT {
            #[expect(clippy::cast_possible_truncation, reason = "an integer below 2^53")]
            return serializer.serialize_i64(self.0 as i64);
        }
        serializer.serialize_f64(self.0)
    }
}

/// The data as JSON.
pub(super) fn json(figure: &Figure) -> String {
    let origin = figure.time.0;
    let marks = figure.marks.iter();
    let data = PageData {
        unit: figure.unit,
        stacked: figure.stacked,
        log: figure.log_scale,
        delta: figure.delta,
        time: figure.time,
        zone: offsets(figure.time),
        series: figure.series.iter().map(|series| series_data(series, origin)).collect(),
        total: figure.total.as_ref().map(|series| series_data(series, origin)),
        marks: marks
            .map(|mark| (mark.unix_ms.saturating_sub(origin), mark.kind, escaped(&mark.text)))
            .collect(),
    };
    // Strings and finite numbers can always be written.
    serde_json::to_string(&data).unwrap_or_default()
}

/// The name of the page's time zone, or a description if it has none.
pub(super) fn zone_name() -> &'static str {
    clock::zone().iana_name().unwrap_or("of the computer that made this page")
}

fn offsets((from, to): (i64, i64)) -> Vec<(i64, i32)> {
    let zone = clock::zone();
    let Ok(start) = Timestamp::from_millisecond(from) else { return vec![(from, 0)] };
    let changes = zone.following(start).take(MAX_CHANGES);
    let changes = changes.map(|change| (change.timestamp().as_millisecond(), change.offset().seconds()));
    let first = (from, zone.to_offset(start).seconds());
    std::iter::once(first).chain(changes.take_while(|(at, _)| *at <= to)).collect()
}

fn series_data(series: &Series, origin: i64) -> SeriesData {
    let point = |point: Point| (point.unix_ms.saturating_sub(origin), Number(point.value));
    let numbers = |&one: &Point| [Number(point(one).0 as f64), Number(one.value)];
    let runs = series.runs.iter().filter(|run| !run.is_empty());
    SeriesData {
        name: escaped(&series.name),
        colour: series.colour.map(|colour| colour % PALETTE.len()),
        ended: series.ended,
        first: series.first.map(point),
        last: series.last.map(point),
        peak: series.peak.map(point),
        runs: runs.map(|run| run.iter().flat_map(numbers).collect()).collect(),
        trend: series.trend.as_ref().map(|t| (point(t.from), point(t.to), escaped(&t.label))),
    }
}

fn escaped(text: &str) -> String {
    escape_controls(text).into_owned()
}
