//! Builds the figure: the largest series, the combined others, and the total.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use common::cli::Failure;
use common::units::counted;

use super::buffer::{SeriesBuffer, SeriesKey};
use super::groups::{Group, LEAST_MEMBERS, Member, SMALL, groups};
use super::log_summary::LogSummary;
use super::view::View;
use super::{headline, marks, names, trend};
use crate::cli::Quantity;
use crate::colour;
use crate::downsample::Row;
use crate::figure::{Figure, Point, Series};

/// The combined others are not drawn as a line if their peak is higher than this many times all other peaks: they would flatten
/// the other lines.
const MAX_OTHERS_RATIO: f64 = 2.0;

type Runs = Vec<Vec<Point>>;

/// A series with its points in the time window.
#[derive(Debug)]
struct Selected<'a> {
    id: u32,
    buffer: &'a SeriesBuffer,
    runs: Runs,
    /// The value that changes are relative to: 0 without `--delta`.
    base: f64,
    peak: Point,
    area: f64,
    first: Point,
    last: Point,
    ended: bool,
}

impl Selected<'_> {
    fn height(&self) -> f64 {
        (self.peak.value - self.base).abs()
    }

    fn by_name(&self, other: &Self) -> Ordering {
        self.buffer.name.cmp(&other.buffer.name).then(self.id.cmp(&other.id))
    }
}

/// Builds the figure of a view.
pub fn figure(log: &LogSummary<'_>, view: &View) -> Result<Figure, Failure> {
    let request = &log.request;
    let quantity = view.quantity;
    let stacked = is_stacked(log, view)?;
    let (from, to) = (request.window.from(), request.window.to());
    let mut selected = select_with_points(view, from, to, request.args.delta);
    if selected.is_empty() {
        return Err(log.nothing_to_draw());
    }
    let all = selected.len();
    let mut groups = groups_of(&mut selected, view, log);
    // A short process with a high peak says less than one that stays.
    let by_area = quantity == Quantity::Processes;
    // Roots come first; each run of a log has one.
    let rank =
        |one: &Selected<'_>| (view.is_root(&one.buffer.key), if by_area { one.area } else { one.height() });
    selected.sort_by(|a, b| {
        let ((root_a, size_a), (root_b, size_b)) = (rank(a), rank(b));
        root_b.cmp(&root_a).then(size_b.total_cmp(&size_a)).then_with(|| a.by_name(b))
    });
    if !by_area && !stacked && !request.args.delta && !request.args.log_scale && request.grep.is_none() {
        join_tiny(&mut selected);
    }
    while selected.len() + groups.len() > request.top() {
        let least = selected.last().map(rank);
        let is_smaller = |group: &Group| least.is_none_or(|(is_root, area)| is_root || group.area <= area);
        if groups.last().is_some_and(is_smaller) {
            groups.pop();
        } else {
            selected.pop();
        }
    }
    if request.args.delta && selected.iter().any(|one| one.height() > 0.0) {
        selected.retain(|one| one.height() > 0.0);
    }
    selected.sort_by(|a, b| b.area.total_cmp(&a.area).then_with(|| a.by_name(b)));
    let in_groups: usize = groups.iter().map(|group| group.ids.len()).sum();
    let others = u64::try_from(all - selected.len() - in_groups).unwrap_or(0) + view.dropped;

    let rows = rows_in_order(view, from, to);
    let buffers: Vec<&SeriesBuffer> = selected.iter().map(|one| one.buffer).collect();
    let stacked_runs = if stacked { runs_of_rows(&selected, &rows) } else { vec![None; selected.len()] };
    let names = names::unique_names(&buffers, &request.inputs);
    // With their areas, and with the names that choose their colours.
    let mut drawn: Vec<(f64, String, Series)> = Vec::with_capacity(selected.len() + groups.len());
    for ((one, name), stacked_runs) in selected.iter().zip(names).zip(stacked_runs) {
        let change = |point: Point| Point { value: point.value - one.base, ..point };
        let runs = stacked_runs.unwrap_or_else(|| one.runs.clone());
        let series = Series {
            trend: trend::line_for(one.buffer, &name, quantity, request, one.base),
            name,
            colour: None,
            runs: runs.into_iter().map(|run| run.into_iter().map(change).collect()).collect(),
            first: Some(change(one.first)),
            peak: Some(change(one.peak)),
            last: Some(change(one.last)),
            ended: one.ended,
        };
        drawn.push((one.area, names::short_name(one.buffer), series));
    }
    for group in &groups {
        let sum = |row: &Row| -> Option<f64> {
            let own = row.entries.iter().filter(|entry| group.ids.contains(&entry.id));
            own.map(|entry| entry.value).reduce(|a, b| a + b)
        };
        if let Some(series) = combined_series(group.label(), runs_of_sums(&rows, sum)) {
            drawn.push((group.area, group.name.clone(), Series { ended: group.ended, ..series }));
        }
    }
    drawn.sort_by(|a, b| b.0.total_cmp(&a.0));
    let colours = colour::assign(drawn.iter().map(|(_, name, _)| name.as_str()));
    let coloured = drawn.into_iter().zip(colours);
    let mut series: Vec<Series> =
        coloured.map(|((_, _, series), colour)| Series { colour: Some(colour), ..series }).collect();
    let mut omitted = None;
    let shown: BTreeSet<u32> = selected
        .iter()
        .map(|one| one.id)
        .chain(groups.iter().flat_map(|group| group.ids.iter().copied()))
        .collect();
    let combined =
        (others > 0 && !request.args.delta).then(|| combine_others(&shown, &rows, quantity, others));
    if let Some(other) = combined.flatten() {
        let peak = other.peak.map_or(0.0, |peak| peak.value);
        let highest = series.iter().filter_map(|one| one.peak).map(|peak| peak.value).fold(0.0, f64::max);
        if stacked || peak <= highest * MAX_OTHERS_RATIO {
            series.push(other);
        } else {
            omitted = Some((other.name, peak));
        }
    }
    let total = if stacked { total(view, &rows, from, to) } else { None };
    let time = extent(series.iter().chain(&total));
    let mut figure = Figure {
        title: request.args.title.clone().unwrap_or_else(|| headline::title(log, view)),
        subtitle: Vec::new(),
        unit: view.unit(),
        stacked,
        log_scale: request.args.log_scale,
        delta: request.args.delta,
        time,
        series,
        total,
        marks: marks::between(&log.events, time, quantity),
    };
    figure.subtitle = headline::subtitle(log, view, &figure, omitted);
    Ok(figure)
}

/// Leaves the tiny lines to the others, if there are several: beside the largest one they are no more than the axis.
fn join_tiny(selected: &mut Vec<Selected<'_>>) {
    let highest = selected.iter().map(Selected::height).fold(0.0, f64::max);
    let is_tiny = |one: &Selected<'_>| one.height() < highest * SMALL;
    if selected.iter().filter(|one| is_tiny(one)).count() >= LEAST_MEMBERS {
        selected.retain(|one| !is_tiny(one));
    }
}

/// Whether to stack: if the user asks for it, or if the values are parts of one total.
fn is_stacked(log: &LogSummary<'_>, view: &View) -> Result<bool, Failure> {
    let request = &log.request;
    let overlap = view
        .tracks
        .iter()
        .enumerate()
        .any(|(index, track)| view.tracks.iter().skip(index + 1).any(|other| track.overlaps(other)));
    let is_default = view.quantity == Quantity::Processes
        && !overlap
        && request.inputs.len() < 2
        && !request.args.delta
        && !request.args.log_scale;
    if request.args.stack && overlap {
        return Err(Failure::new(
            "runs of this log overlap in time and cannot be stacked",
            "leave --stack out, or draw them one by one",
        ));
    }
    Ok(request.args.stack || is_default && !request.args.no_stack)
}

/// All series that have points between two moments.
fn select_with_points(view: &View, from: i64, to: i64, delta: bool) -> Vec<Selected<'_>> {
    let begin = view.tracks_in_order().first().map(|track| track.first_ms.max(from));
    let mut all = Vec::new();
    for (id, buffer) in view.kept() {
        let runs: Runs = buffer.parts.iter().flat_map(|part| part.points.runs(from, to)).collect();
        let points = || runs.iter().flatten().copied();
        let Some((first, last)) = ends(&runs) else { continue };
        // A process that started later grew from nothing. A name missing from a truncated list is unknown.
        let from_nothing = Some(first.unix_ms) != begin && matches!(buffer.key, SeriesKey::Process { .. });
        let base = if delta && !from_nothing { first.value } else { 0.0 };
        let height = |point: Point| (point.value - base).abs();
        let peak = points().fold(first, |a, b| if height(b) > height(a) { b } else { a });
        let area = runs.iter().map(|run| area(run, base)).sum();
        all.push(Selected { id, buffer, runs, base, peak, area, first, last, ended: false });
    }
    if all.iter().all(|one| matches!(one.buffer.key, SeriesKey::Process { .. })) {
        mark_ended(view, &mut all, to);
    }
    all
}

/// Marks processes that are not in the last shown sample of their input.
fn mark_ended(view: &View, all: &mut [Selected<'_>], to: i64) {
    for input in all.iter().map(|one| one.buffer.key.input()).collect::<BTreeSet<usize>>() {
        let tracks =
            view.tracks.iter().enumerate().filter(|(_, track)| track.input == input && track.samples > 0);
        let Some((id, track)) = tracks.max_by_key(|(_, track)| track.last_ms) else { continue };
        let latest =
            all.iter().filter(|one| one.buffer.key.input() == input).map(|one| one.last.unix_ms).max();
        for one in all.iter_mut().filter(|one| one.buffer.key.input() == input) {
            one.ended = if track.last_ms <= to {
                one.buffer.part(id).is_none_or(|part| part.last_sample < track.samples)
            } else {
                // The window ends before the log does.
                Some(one.last.unix_ms) < latest
            };
        }
    }
}

/// The area below a line, only for comparison.
fn area(run: &[Point], base: f64) -> f64 {
    let height = |point: &Point| (point.value - base).abs();
    let steps = run.iter().zip(run.iter().skip(1));
    let sum: f64 =
        steps.map(|(a, b)| (b.unix_ms - a.unix_ms) as f64 * f64::midpoint(height(a), height(b))).sum();
    // A single point counts as a millisecond.
    sum + run.first().map_or(0.0, height)
}

/// The rows of all tracks in order of time. Each track starts with a gap.
fn rows_in_order(view: &View, from: i64, to: i64) -> Vec<Row> {
    let mut rows = Vec::new();
    for track in view.tracks_in_order() {
        let of_track = track.rows.rows(from, to).enumerate();
        rows.extend(of_track.map(|(index, row)| Row { gap: row.gap || index == 0, ..row }));
    }
    rows
}

/// Adds a point to the last run, or starts a new run with it.
fn add(runs: &mut Runs, point: Point, joined: bool) {
    match runs.last_mut() {
        Some(run) if joined => run.push(point),
        _ => runs.push(vec![point]),
    }
}

/// The points of each selected series at the moments of the rows.
fn runs_of_rows(selected: &[Selected<'_>], rows: &[Row]) -> Vec<Option<Runs>> {
    let indices: HashMap<u32, usize> =
        selected.iter().enumerate().map(|(index, one)| (one.id, index)).collect();
    // With the number of the row after the last point.
    let mut all: Vec<(Runs, usize)> = vec![(Vec::new(), 0); selected.len()];
    for (number, row) in rows.iter().enumerate() {
        for entry in &row.entries {
            let index = indices.get(&entry.id).copied();
            let Some((runs, next)) = index.and_then(|index| all.get_mut(index)) else { continue };
            add(runs, Point { unix_ms: row.unix_ms, value: entry.value }, !row.gap && *next == number);
            *next = number + 1;
        }
    }
    all.into_iter().map(|(runs, _)| Some(runs)).collect()
}

/// Takes many small or equal processes of one command out of `selected`, as groups.
fn groups_of(selected: &mut Vec<Selected<'_>>, view: &View, log: &LogSummary<'_>) -> Vec<Group> {
    let request = &log.request;
    // Changes since the beginning, and the processes of several logs, are compared one by one.
    if view.quantity != Quantity::Processes || request.args.delta || request.inputs.len() > 1 {
        return Vec::new();
    }
    let whole: f64 = selected.iter().map(|one| one.area).sum();
    let member = |one: &Selected<'_>| Member {
        id: one.id,
        name: names::short_name(one.buffer),
        area: one.area,
        ended: one.ended,
    };
    let members: Vec<Member> =
        selected.iter().filter(|one| !view.is_root(&one.buffer.key)).map(member).collect();
    let groups = groups(&members, whole, selected.len() > request.top());
    selected.retain(|one| !groups.iter().any(|group| group.ids.contains(&one.id)));
    groups
}

/// The sum of all series that are not shown, where it is known.
fn combine_others(shown: &BTreeSet<u32>, rows: &[Row], quantity: Quantity, others: u64) -> Option<Series> {
    if quantity == Quantity::Total {
        return None;
    }
    let adds_up = matches!(quantity, Quantity::Processes | Quantity::Threads);
    let value = |row: &Row| {
        let sum = |is_shown: bool| -> f64 {
            let entries = row.entries.iter().filter(|entry| shown.contains(&entry.id) == is_shown);
            entries.map(|entry| entry.value).sum()
        };
        match row.total {
            Some(total) => Some((total - sum(true)).max(0.0)),
            None => adds_up.then(|| sum(false)),
        }
    };
    combined_series(counted(others, "other", "others"), runs_of_sums(rows, value))
}

/// The points of a sum, with gaps where it has no value.
fn runs_of_sums(rows: &[Row], value: impl Fn(&Row) -> Option<f64>) -> Runs {
    let mut runs = Vec::new();
    let mut joined = false;
    for row in rows {
        let value = value(row);
        if let Some(value) = value {
            add(&mut runs, Point { unix_ms: row.unix_ms, value }, joined && !row.gap);
        }
        joined = value.is_some();
    }
    runs
}

fn combined_series(name: String, runs: Runs) -> Option<Series> {
    let (first, last) = ends(&runs)?;
    let points = runs.iter().flatten().copied();
    let peak = points.reduce(|a, b| if b.value > a.value { b } else { a });
    Some(Series { name, first: Some(first), peak, last: Some(last), runs, ..Series::default() })
}

/// The first and the last point.
fn ends(runs: &Runs) -> Option<(Point, Point)> {
    let points = || runs.iter().flatten().copied();
    points().min_by_key(|p| p.unix_ms).zip(points().max_by_key(|p| p.unix_ms))
}

/// The total of all series.
fn total(view: &View, rows: &[Row], from: i64, to: i64) -> Option<Series> {
    let mut runs: Runs = view.tracks_in_order().iter().flat_map(|track| track.total.runs(from, to)).collect();
    if runs.is_empty() {
        for row in rows {
            let value = row.entries.iter().map(|entry| entry.value).sum();
            add(&mut runs, Point { unix_ms: row.unix_ms, value }, !row.gap);
        }
    }
    combined_series("total".to_owned(), runs)
}

fn extent<'a>(series: impl Iterator<Item = &'a Series>) -> (i64, i64) {
    series
        .flat_map(Series::points)
        .fold((i64::MAX, i64::MIN), |(from, to), point| (from.min(point.unix_ms), to.max(point.unix_ms)))
}
