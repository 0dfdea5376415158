//! A picture's data for the script of the page.

use common::stdio::escape_controls;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::clock;
use crate::colour::PALETTE;
use crate::figure::{Figure, MarkKind, Point, Series, Unit};

/// Changes of the zone's clock that are taken along: two a year for five hundred years.
const MAX_CHANGES: usize = 1000;

#[derive(Serialize)]
struct PageData {
    unit: &'static str,
    stacked: bool,
    log: bool,
    time: (i64, i64),
    /// From which moment on the zone's clock is how many seconds ahead.
    zone: Vec<(i64, i32)>,
    series: Vec<SeriesData>,
    total: Option<SeriesData>,
    marks: Vec<(i64, &'static str, String)>,
}

/// A series. Moments are milliseconds after the first of the picture: short numbers.
#[derive(Serialize)]
struct SeriesData {
    name: String,
    colour: Option<usize>,
    ended: bool,
    first: Option<(i64, Number)>,
    last: Option<(i64, Number)>,
    peak: Option<(i64, Number)>,
    /// Moment, value, moment, value, …
    runs: Vec<Vec<Number>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trend: Option<TrendData>,
}

#[derive(Serialize)]
struct TrendData {
    from: (i64, Number),
    to: (i64, Number),
    label: String,
}

/// A number, written as an integer where it is one.
#[derive(Clone, Copy)]
struct Number(f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Beyond this not every integer is a float, and the script's numbers are floats.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if self.0.fract() == 0.0 && self.0.abs() <= EXACT {
            #[expect(clippy::cast_possible_truncation, reason = "an integer below 2^53")]
            return serializer.serialize_i64(self.0 as i64);
        }
        serializer.serialize_f64(self.0)
    }
}

/// The data as JSON that can stand in a script element: nothing in it ends the element or begins a comment.
pub(super) fn json(figure: &Figure) -> String {
    let origin = figure.time.0;
    let data = PageData {
        unit: match figure.unit {
            Unit::Bytes => "bytes",
            Unit::Count => "count",
        },
        stacked: figure.stacked,
        log: figure.log_scale,
        time: figure.time,
        zone: zone(figure.time),
        series: figure.series.iter().map(|series| line(series, origin)).collect(),
        total: figure.total.as_ref().map(|series| line(series, origin)),
        marks: figure
            .marks
            .iter()
            .map(|mark| (after(origin, mark.unix_ms), kind(mark.kind), escaped(&mark.text)))
            .collect(),
    };
    // Strings and finite numbers always have a form in JSON.
    let text = serde_json::to_string(&data).unwrap_or_default();
    let mut safe = String::with_capacity(text.len() + 64);
    for c in text.chars() {
        // Outside of strings none of them is in JSON, so inside the escape means the same.
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                safe.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            other => safe.push(other),
        }
    }
    safe
}

/// The name of the zone whose clock the page shows.
pub(super) fn zone_name() -> String {
    clock::zone()
        .iana_name()
        .map_or_else(|| "the time zone where this page was made".to_owned(), str::to_owned)
}

fn zone((from, to): (i64, i64)) -> Vec<(i64, i32)> {
    let zone = clock::zone();
    let Ok(start) = Timestamp::from_millisecond(from) else { return vec![(from, 0)] };
    let mut changes = vec![(from, zone.to_offset(start).seconds())];
    for change in zone.following(start).take(MAX_CHANGES) {
        let at = change.timestamp().as_millisecond();
        if at > to {
            break;
        }
        changes.push((at, change.offset().seconds()));
    }
    changes
}

fn line(series: &Series, origin: i64) -> SeriesData {
    let point = |point: &Point| (after(origin, point.unix_ms), Number(point.value));
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of any year are below 2^53")]
    let run = |points: &Vec<Point>| {
        points
            .iter()
            .flat_map(|point| [Number(after(origin, point.unix_ms) as f64), Number(point.value)])
            .collect()
    };
    SeriesData {
        name: escaped(&series.name),
        colour: series.colour.map(|colour| colour % PALETTE.len()),
        ended: series.ended,
        first: series.first.as_ref().map(point),
        last: series.last.as_ref().map(point),
        peak: series.peak.as_ref().map(point),
        runs: series.runs.iter().filter(|run| !run.is_empty()).map(run).collect(),
        trend: series.trend.as_ref().map(|trend| TrendData {
            from: point(&trend.from),
            to: point(&trend.to),
            label: escaped(&trend.label),
        }),
    }
}

fn escaped(text: &str) -> String {
    escape_controls(text).into_owned()
}

fn after(origin: i64, unix_ms: i64) -> i64 {
    unix_ms.saturating_sub(origin)
}

fn kind(kind: MarkKind) -> &'static str {
    match kind {
        MarkKind::Started => "started",
        MarkKind::Exited => "exited",
        MarkKind::Limit => "limit",
        MarkKind::Oom => "oom",
        MarkKind::Run => "run",
    }
}
