//! What is drawn of all that was kept: the members that count most, the others together, the sum, and the words around them.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use common::cli::Failure;
use common::units::counted;

use super::buffer::{SeriesBuffer, SeriesKey};
use super::view::View;
use super::{Collector, headline, marks, names, trend};
use crate::cli::Quantity;
use crate::colour;
use crate::downsample::Row;
use crate::figure::{Figure, Point, Series, Unit};

/// Others that reach more than so many times the highest of those that are drawn would press them flat: then they are only told.
const MAX_OTHERS_RATIO: f64 = 2.0;

/// A member with its points.
#[derive(Debug)]
pub(super) struct Selected<'a> {
    pub(super) id: u32,
    pub(super) member: &'a SeriesBuffer,
    runs: Vec<Vec<Point>>,
    base: f64,
    peak: Point,
    area: f64,
    first: Point,
    last: Point,
    ended: bool,
}

/// The unit of a view.
pub(super) fn unit(view: &View) -> Unit {
    match view.choice.what {
        Quantity::Types | Quantity::Modules | Quantity::Holders | Quantity::Caches | Quantity::Processes => {
            Unit::Bytes
        }
        Quantity::Counts | Quantity::Threads => Unit::Count,
        Quantity::Total => {
            let counts =
                view.members.iter().filter(|member| view.is_kept(member)).all(|m| &*m.name == "objects");
            if counts { Unit::Count } else { Unit::Bytes }
        }
    }
}

pub(super) fn figure(collector: &Collector, view: &View) -> Result<Figure, Failure> {
    let request = &collector.request;
    let what = view.choice.what;
    let stacked = is_stacked(collector, view)?;
    let (from, to) = (request.window.from(), request.window.to());
    let mut shown = with_points(view, from, to, request.delta);
    if shown.is_empty() {
        return Err(collector.nothing_to_draw());
    }
    let all = shown.len();
    shown.sort_by(|a, b| height(b).total_cmp(&height(a)).then_with(|| by_name(a, b)));
    shown.truncate(request.top);
    if request.delta && shown.first().is_some_and(|first| height(first) > 0.0) {
        // What never changed has nothing to show.
        shown.retain(|one| height(one) > 0.0);
    }
    shown.sort_by(|a, b| b.area.total_cmp(&a.area).then_with(|| by_name(a, b)));
    let others = u64::try_from(all - shown.len()).unwrap_or(0) + view.dropped;

    let rows = rows_in_order(view, from, to);
    let members: Vec<&SeriesBuffer> = shown.iter().map(|one| one.member).collect();
    let names = names::unique_names(&members, &request.inputs);
    let short: Vec<String> = members.iter().map(|member| names::short_name(member)).collect();
    let colours = colour::assign(short.iter().map(String::as_str));
    let stacked_runs = if stacked { runs_of_rows(&shown, &rows) } else { Vec::new() };
    let mut series: Vec<Series> = Vec::with_capacity(shown.len() + 1);
    for (place, one) in shown.iter().enumerate() {
        let name = names.get(place).cloned().unwrap_or_default();
        let runs =
            if stacked { stacked_runs.get(place).cloned().unwrap_or_default() } else { one.runs.clone() };
        series.push(Series {
            trend: trend::line_for(one.member, &name, what, view.choice.metric, request, one.base),
            name,
            colour: colours.get(place).copied(),
            runs: subtract_base_all(runs, one.base),
            first: Some(subtract_base(one.first, one.base)),
            peak: Some(subtract_base(one.peak, one.base)),
            last: Some(subtract_base(one.last, one.base)),
            ended: one.ended,
        });
    }
    let mut omitted_others = None;
    if others > 0
        && !request.delta
        && let Some(other) = others_combined(&shown, &rows, what, others)
    {
        let highest = series.iter().filter_map(|one| one.peak).map(|peak| peak.value).fold(0.0, f64::max);
        let peak = other.peak.map_or(0.0, |peak| peak.value);
        if stacked || peak <= highest * MAX_OTHERS_RATIO {
            series.push(other);
        } else {
            omitted_others = other.peak.map(|peak| (other.name, peak.value));
        }
    }
    let total = stacked.then(|| total(view, &rows, from, to)).filter(|total| total.peak.is_some());
    let time = extent(series.iter().chain(&total));
    let happened = marks::between(&collector.events, time, what);
    let head = headline::headline(collector, view, &series, total.as_ref(), time, omitted_others);
    Ok(Figure {
        title: request.title.clone().unwrap_or(head.title),
        subtitle: head.subtitle,
        unit: unit(view),
        stacked,
        log_scale: request.log_scale,
        time,
        series,
        total,
        marks: happened,
    })
}

/// Whether values are stacked: by wish, or where they add up and stand in one line of time.
fn is_stacked(collector: &Collector, view: &View) -> Result<bool, Failure> {
    let request = &collector.request;
    let overlap = view
        .tracks
        .iter()
        .enumerate()
        .any(|(place, track)| view.tracks.iter().skip(place + 1).any(|other| track.overlaps(other)));
    match request.stack {
        Some(true) if overlap => Err(Failure::new(
            "runs of this log overlap in time: they cannot be stacked on each other",
            "leave --stack out, or draw them one by one",
        )),
        Some(stack) => Ok(stack),
        None => Ok(view.choice.what == Quantity::Processes
            && !overlap
            && request.inputs.len() < 2
            && !request.delta
            && !request.log_scale),
    }
}

fn by_name(a: &Selected<'_>, b: &Selected<'_>) -> Ordering {
    a.member.name.cmp(&b.member.name).then(a.id.cmp(&b.id))
}

fn height(one: &Selected<'_>) -> f64 {
    (one.peak.value - one.base).abs()
}

fn subtract_base(point: Point, base: f64) -> Point {
    Point { value: point.value - base, ..point }
}

fn subtract_base_all(mut runs: Vec<Vec<Point>>, base: f64) -> Vec<Vec<Point>> {
    for point in runs.iter_mut().flatten() {
        point.value -= base;
    }
    runs
}

/// All members that have a point between two moments.
fn with_points(view: &View, from: i64, to: i64, delta: bool) -> Vec<Selected<'_>> {
    let begin =
        view.tracks.iter().filter(|track| track.samples > 0).map(|track| track.first_ms.max(from)).min();
    let mut all = Vec::new();
    for (id, member) in (0..).zip(&view.members).filter(|(_, member)| view.is_kept(member)) {
        let runs: Vec<Vec<Point>> = member.parts.iter().flat_map(|part| part.line.runs(from, to)).collect();
        let points = || runs.iter().flatten();
        let (Some(&first), Some(&last)) =
            (points().min_by_key(|p| p.unix_ms), points().max_by_key(|p| p.unix_ms))
        else {
            continue;
        };
        // What came later grew from nothing; of a list that is cut nobody knows.
        let from_nothing = Some(first.unix_ms) != begin && matches!(member.key, SeriesKey::Process { .. });
        let base = if delta && !from_nothing { first.value } else { 0.0 };
        let greater =
            |a: Point, b: &Point| if (b.value - base).abs() > (a.value - base).abs() { *b } else { a };
        let peak = points().fold(first, greater);
        let area = runs.iter().map(|run| area(run, base)).sum();
        all.push(Selected { id, member, base, peak, area, first, last, ended: false, runs });
    }
    if all.iter().all(|one: &Selected<'_>| matches!(one.member.key, SeriesKey::Process { .. })) {
        mark_ended(view, &mut all, to);
    }
    all
}

/// Marks processes that are not in the last sample of their input that is shown.
fn mark_ended(view: &View, all: &mut [Selected<'_>], to: i64) {
    for input in all.iter().map(|one| one.member.key.input()).collect::<BTreeSet<usize>>() {
        let tracks =
            view.tracks.iter().enumerate().filter(|(_, track)| track.input == input && track.samples > 0);
        let Some((id, track)) = tracks.max_by_key(|(_, track)| track.last_ms) else { continue };
        let of_input = |one: &&mut Selected<'_>| one.member.key.input() == input;
        if track.last_ms <= to {
            for one in all.iter_mut().filter(of_input) {
                one.ended = one.member.part(id).is_none_or(|part| part.seen < track.samples);
            }
        } else {
            // The window ends before the log does: whoever has a value as late as anyone was there.
            let latest = all.iter_mut().filter(of_input).map(|one| one.last.unix_ms).max();
            for one in all.iter_mut().filter(of_input) {
                one.ended = Some(one.last.unix_ms) < latest;
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "areas are only compared")]
fn area(run: &[Point], base: f64) -> f64 {
    let steps = run.iter().zip(run.iter().skip(1));
    let sum: f64 = steps
        .map(|(a, b)| {
            let middle = f64::midpoint((a.value - base).abs(), (b.value - base).abs());
            (b.unix_ms - a.unix_ms) as f64 * middle
        })
        .sum();
    // One point counts too: a millisecond of it.
    sum + run.first().map_or(0.0, |point| (point.value - base).abs())
}

/// The rows of all tracks, by time; the first of each track stands behind a gap.
fn rows_in_order(view: &View, from: i64, to: i64) -> Vec<Row> {
    let mut tracks: Vec<&super::track::Track> =
        view.tracks.iter().filter(|track| track.samples > 0).collect();
    tracks.sort_by_key(|track| track.first_ms);
    let mut rows = Vec::new();
    for track in tracks {
        for (place, row) in track.rows.rows(from, to).enumerate() {
            rows.push(Row { gap: row.gap || place == 0, ..row });
        }
    }
    rows
}

/// Adds a point to runs: to the last, or behind a gap to a new one.
fn add(runs: &mut Vec<Vec<Point>>, point: Point, joined: bool) {
    match runs.last_mut() {
        Some(run) if joined => run.push(point),
        _ => runs.push(vec![point]),
    }
}

fn runs_of_rows(shown: &[Selected<'_>], rows: &[Row]) -> Vec<Vec<Vec<Point>>> {
    let places: HashMap<u32, usize> = shown.iter().enumerate().map(|(place, one)| (one.id, place)).collect();
    let mut all: Vec<Vec<Vec<Point>>> = vec![Vec::new(); shown.len()];
    let mut seen = vec![usize::MAX; shown.len()];
    for (number, row) in rows.iter().enumerate() {
        for entry in &row.entries {
            let Some(&place) = places.get(&entry.id) else { continue };
            let (Some(runs), Some(seen)) = (all.get_mut(place), seen.get_mut(place)) else { continue };
            let joined = !row.gap && *seen == number.wrapping_sub(1) && number > 0;
            *seen = number;
            add(runs, Point { unix_ms: row.unix_ms, value: entry.value }, joined);
        }
    }
    all
}

/// What all that are not shown have together, where that is known.
fn others_combined(shown: &[Selected<'_>], rows: &[Row], what: Quantity, others: u64) -> Option<Series> {
    if matches!(what, Quantity::Total) {
        return None;
    }
    let ids: BTreeSet<u32> = shown.iter().map(|one| one.id).collect();
    let adds_up = matches!(what, Quantity::Processes | Quantity::Threads);
    let mut runs = Vec::new();
    let mut joined = false;
    for row in rows {
        let of = |is_shown: bool| -> f64 {
            row.entries.iter().filter(|e| ids.contains(&e.id) == is_shown).map(|e| e.value).sum()
        };
        let value = match row.total {
            Some(total) => Some((total - of(true)).max(0.0)),
            None => adds_up.then(|| of(false)),
        };
        if let Some(value) = value {
            add(&mut runs, Point { unix_ms: row.unix_ms, value }, joined && !row.gap);
        }
        joined = value.is_some();
    }
    let name = counted(others, "other", "others");
    series_of(name, runs)
}

fn series_of(name: String, runs: Vec<Vec<Point>>) -> Option<Series> {
    let points = || runs.iter().flatten().copied();
    let peak = points().reduce(|a, b| if b.value > a.value { b } else { a })?;
    let (first, last) = (points().min_by_key(|p| p.unix_ms), points().max_by_key(|p| p.unix_ms));
    Some(Series { name, colour: None, first, peak: Some(peak), last, ended: false, trend: None, runs })
}

/// The sum.
fn total(view: &View, rows: &[Row], from: i64, to: i64) -> Series {
    let mut tracks: Vec<&super::track::Track> =
        view.tracks.iter().filter(|track| track.samples > 0).collect();
    tracks.sort_by_key(|track| track.first_ms);
    let mut runs: Vec<Vec<Point>> = tracks.iter().flat_map(|track| track.total.runs(from, to)).collect();
    if runs.is_empty() {
        for row in rows {
            let value = row.entries.iter().map(|entry| entry.value).sum();
            add(&mut runs, Point { unix_ms: row.unix_ms, value }, !row.gap);
        }
    }
    let nothing = Series {
        name: String::new(),
        colour: None,
        runs: Vec::new(),
        first: None,
        peak: None,
        last: None,
        ended: false,
        trend: None,
    };
    series_of("total".to_owned(), runs).unwrap_or(nothing)
}

fn extent<'a>(series: impl Iterator<Item = &'a Series>) -> (i64, i64) {
    let mut extent = (i64::MAX, i64::MIN);
    for point in series.flat_map(|one| &one.runs).flatten() {
        extent = (extent.0.min(point.unix_ms), extent.1.max(point.unix_ms));
    }
    extent
}
