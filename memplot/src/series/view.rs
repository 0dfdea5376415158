//! Collects the series of one quantity, in bounded memory.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use common::log::{Moment, MomentData as Measured};
use regex::Regex;

use super::buffer::{SeriesBuffer, SeriesKey};
use super::extract::{SeriesId, TOTAL_NAMES, extract};
use super::request::PlotRequest;
use super::track::Track;
use crate::cli::{Metric, Quantity};
use crate::downsample::Entry;
use crate::figure::{Point, Unit};

/// Root processes that are known as such: each run has one.
const MAX_ROOTS: usize = 10_000;
/// The buckets of all series together, of about 100 bytes each.
const BUCKETS_LIMIT: usize = 256 << 10;

/// The buckets left when there are more.
const BUCKETS_TARGET: usize = BUCKETS_LIMIT / 4 * 3;

/// The size of a series without its buckets, in buckets.
const SERIES_COST: usize = 8;

/// A series with no more buckets is not made coarser.
const MIN_BUCKETS: usize = 16;

/// The values in the rows of a track, of 16 bytes each.
const ROW_VALUES_LIMIT: usize = 1 << 20;

/// Identifies a run of a tool: its input and its name there.
type RunKey = (usize, Arc<str>);

/// The values of one moment of a run. Records of several root processes can share it.
#[derive(Debug)]
struct Sample {
    track: usize,
    iteration: u64,
    unix_ms: i64,
    interval_seconds: Option<f64>,
    roots: Vec<(u32, u64)>,
    entries: Vec<Entry>,
    /// Series without a value: memmon does not read every value in every sample.
    unmeasured: Vec<u32>,
    total: Option<f64>,
    complete: bool,
}

/// The series of one quantity.
#[derive(Debug)]
pub struct View {
    /// The quantity.
    pub quantity: Quantity,
    /// The memory size of a process.
    pub metric: Metric,
    /// All runs.
    pub tracks: Vec<Track>,
    /// The number of series that were dropped to save memory.
    pub dropped: u64,
    grep: Option<Regex>,
    buckets_limit: usize,
    /// The number of series that keep their resolution.
    spared: usize,
    series: Vec<SeriesBuffer>,
    index: HashMap<SeriesKey, u32>,
    /// The places of dropped series in `series`, for new ones.
    free: Vec<u32>,
    /// The buckets of all series.
    buckets: usize,
    /// The track that each run adds to.
    current: HashMap<RunKey, usize>,
    /// The last sample, as long as more records may belong to it.
    pending: Option<Sample>,
    /// The series of the last moment: the next one most often has the same in the same order.
    last: Vec<u32>,
    /// The first process of each run; the others have a role.
    roots: HashMap<RunKey, u32>,
    /// The root processes of trees.
    root_processes: HashSet<(u32, u64)>,
    no_role: Arc<str>,
    dropped_before: i64,
}

impl View {
    /// An empty view.
    pub fn new(quantity: Quantity, request: &PlotRequest<'_>) -> Self {
        Self {
            quantity,
            metric: request.args.metric,
            tracks: Vec::new(),
            dropped: 0,
            grep: request.grep.clone(),
            buckets_limit: request.buckets,
            spared: request.top().saturating_mul(4).max(64),
            series: Vec::new(),
            index: HashMap::new(),
            free: Vec::new(),
            buckets: 0,
            current: HashMap::new(),
            pending: None,
            last: Vec::new(),
            roots: HashMap::new(),
            root_processes: HashSet::new(),
            no_role: "".into(),
            dropped_before: i64::MIN,
        }
    }

    /// The series that match `--grep` and were not dropped, with their numbers.
    pub fn kept(&self) -> impl Iterator<Item = (u32, &SeriesBuffer)> {
        (0..).zip(&self.series).filter(|(_, series)| series.wanted && !series.parts.is_empty())
    }

    /// Whether a series is the root of a tree.
    pub fn is_root(&self, key: &SeriesKey) -> bool {
        matches!(key, SeriesKey::Process { pid, start, .. } if self.root_processes.contains(&(*pid, *start)))
    }

    /// The tracks with samples, by their first sample.
    pub fn tracks_in_order(&self) -> Vec<&Track> {
        let mut tracks: Vec<&Track> = self.tracks.iter().filter(|track| track.samples > 0).collect();
        tracks.sort_by_key(|track| track.first_ms);
        tracks
    }

    /// The unit of the values.
    pub fn unit(&self) -> Unit {
        match self.quantity {
            Quantity::Counts | Quantity::Threads => Unit::Count,
            Quantity::Total if self.kept().all(|(_, series)| series.name == TOTAL_NAMES.objects) => {
                Unit::Count
            }
            _ => Unit::Bytes,
        }
    }

    /// Adds a moment. Ignores it if it has no values of this quantity.
    pub fn add(&mut self, moment: &Moment) {
        if matches!(moment.data, Measured::Failed(_)) {
            if let Some(&track) = self.current.get(&(moment.input, Arc::clone(&moment.run))) {
                if self.pending.as_ref().is_some_and(|pending| pending.track == track) {
                    self.flush();
                }
                if let Some(track) = self.tracks.get_mut(track) {
                    track.mark_failed();
                }
            }
            return;
        }
        // Before values are extracted: they may belong to a series that is dropped here.
        if self.cost() > BUCKETS_LIMIT {
            self.reduce();
        }
        let role = self.role(moment);
        let mut entries = Vec::with_capacity(self.last.len() + 1);
        let mut unmeasured = Vec::new();
        let summary = extract(&moment.data, self.quantity, self.metric, &mut |id, value| {
            let id = self.series_of(entries.len(), &id, moment.input, &role);
            let wanted = self.series.get(id as usize).is_some_and(|series| series.wanted);
            match value.filter(|_| wanted) {
                Some(value) => entries.push(Entry { id, value: value as f64 }),
                None => unmeasured.push(id),
            }
        });
        let Some(summary) = summary else { return };
        if matches!(moment.data, Measured::Tree(_)) && self.root_processes.len() < MAX_ROOTS {
            self.root_processes.insert(summary.root);
        }
        self.last.clear();
        self.last.extend(entries.iter().map(|entry| entry.id));
        let track = self.track(moment);
        if let Some(pending) = &mut self.pending
            && pending.track == track
            && pending.iteration == moment.iteration
            && !pending.roots.contains(&summary.root)
        {
            pending.roots.push(summary.root);
            pending.entries.append(&mut entries);
            pending.unmeasured.append(&mut unmeasured);
            pending.total = pending.total.zip(summary.total).map(|(a, b)| a + b);
            pending.complete &= summary.complete;
            return;
        }
        self.flush();
        self.pending = Some(Sample {
            // A new one if the clock was set back.
            track: self.track(moment),
            iteration: moment.iteration,
            unix_ms: moment.unix_ms,
            interval_seconds: moment.interval_seconds,
            roots: vec![summary.root],
            entries,
            unmeasured,
            total: summary.total,
            complete: summary.complete,
        });
    }

    /// Adds the last sample.
    pub fn finish(&mut self) {
        self.flush();
    }

    /// Drops values before a moment, now and then. `newest` is the latest moment of the log.
    pub fn drop_before(&mut self, unix_ms: i64, newest: i64) {
        if unix_ms.saturating_sub(self.dropped_before) <= newest.saturating_sub(unix_ms) / 16 {
            return;
        }
        self.dropped_before = unix_ms;
        let mut emptied = Vec::new();
        // The pending sample is the first one in the range.
        let pending: HashSet<u32> =
            self.pending.iter().flat_map(|sample| &sample.entries).map(|entry| entry.id).collect();
        for (id, series) in (0..).zip(&mut self.series).filter(|(_, series)| !series.parts.is_empty()) {
            for part in &mut series.parts {
                part.points.drop_before(unix_ms);
            }
            if series.buckets() == 0 && !pending.contains(&id) {
                emptied.push(id);
            }
        }
        for track in &mut self.tracks {
            track.rows.drop_before(unix_ms);
            track.total.drop_before(unix_ms);
        }
        self.buckets = self.series.iter().map(SeriesBuffer::buckets).sum();
        self.remove(&emptied);
    }

    /// Distinguishes the processes of a run: empty for the root.
    fn role(&mut self, moment: &Moment) -> Arc<str> {
        let Measured::Census(census) = &moment.data else { return Arc::clone(&self.no_role) };
        let is_below = census.root_pid.is_some_and(|root| root != census.pid);
        let key = (moment.input, Arc::clone(&moment.run));
        if !is_below && *self.roots.entry(key).or_insert(census.pid) == census.pid {
            return Arc::clone(&self.no_role);
        }
        let name = census.cmdline.as_ref().unwrap_or(&census.name);
        format!("{name} ({})", census.pid).into()
    }

    fn track(&mut self, moment: &Moment) -> usize {
        let key = (moment.input, Arc::clone(&moment.run));
        let next = self.tracks.len();
        let track = *self.current.entry(key).or_insert(next);
        if track == next {
            self.tracks.push(self.new_track(moment.input, &moment.run));
        }
        track
    }

    fn new_track(&self, input: usize, run: &Arc<str>) -> Track {
        Track::new(input, run, self.buckets_limit, ROW_VALUES_LIMIT)
    }

    /// The number of a series, which may be new. `place` is its place in the moment.
    fn series_of(&mut self, place: usize, id: &SeriesId<'_>, input: usize, role: &Arc<str>) -> u32 {
        let guess = self.last.get(place).copied().filter(|&guess| {
            let series = self.series.get(guess as usize).map(|series| &series.key);
            series.is_some_and(|key| id.matches(key) && key.input() == input && key.role() == &**role)
        });
        let number = guess.unwrap_or_else(|| {
            let key = id.key(input, role);
            self.index.get(&key).copied().unwrap_or_else(|| self.new_series(key, id))
        });
        if let (SeriesId::Process { name, cmdline, .. }, Some(series)) =
            (id, self.series.get_mut(number as usize))
        {
            if !Arc::ptr_eq(name, &series.name) {
                series.name = Arc::clone(name);
            }
            let is_known =
                |line: &Arc<str>| series.cmdline.as_ref().is_some_and(|own| Arc::ptr_eq(own, line));
            if let Some(cmdline) = cmdline.filter(|line| !is_known(line)) {
                series.cmdline = Some(Arc::clone(cmdline));
            }
        }
        number
    }

    fn new_series(&mut self, key: SeriesKey, id: &SeriesId<'_>) -> u32 {
        let (name, cmdline) = match id {
            SeriesId::Process { name, cmdline, .. } => (Arc::clone(name), cmdline.cloned()),
            SeriesId::Named(name) => (Arc::clone(name), None),
        };
        let wanted = self.grep.as_ref().is_none_or(|grep| {
            grep.is_match(&name) || cmdline.as_ref().is_some_and(|line| grep.is_match(line))
        });
        let number = self.free.pop().unwrap_or_else(|| u32::try_from(self.series.len()).unwrap_or(u32::MAX));
        self.index.insert(key.clone(), number);
        let series = SeriesBuffer { key, name, cmdline, wanted, parts: Vec::new(), greatest: f64::MIN };
        match self.series.get_mut(number as usize) {
            Some(place) => *place = series,
            None => self.series.push(series),
        }
        number
    }

    /// Adds the pending sample to its track and series.
    fn flush(&mut self) {
        let Some(mut pending) = self.pending.take() else { return };
        let mut track_id = pending.track;
        let Some(track) = self.tracks.get_mut(track_id) else { return };
        let before = (track.samples > 0 && track.complete).then_some(track.last_ms);
        let mut placed = track.place_sample(pending.unix_ms, pending.interval_seconds);
        if placed.is_none() {
            let key = (track.input, Arc::clone(&track.run));
            let mut track = self.new_track(key.0, &key.1);
            placed = track.place_sample(pending.unix_ms, pending.interval_seconds);
            track_id = self.tracks.len();
            self.current.insert(key, track_id);
            self.tracks.push(track);
        }
        let (Some((unix_ms, gap)), Some(track)) = (placed, self.tracks.get_mut(track_id)) else { return };
        let sample = track.samples;
        track.complete = pending.complete;
        // A name missing from a complete list counts as zero: what is new grew from there.
        let before = before.filter(|_| !gap && sample > 1);
        for &Entry { id, value } in &pending.entries {
            let Some(series) = self.series.get_mut(id as usize) else { continue };
            if let Some(unix_ms) = before.filter(|_| series.part(track_id).is_none()) {
                let zero = Point { unix_ms, value: 0.0 };
                self.buckets +=
                    series.add(track_id, sample.saturating_sub(1), zero, true, self.buckets_limit);
            }
            let point = Point { unix_ms, value };
            self.buckets += series.add(track_id, sample, point, gap, self.buckets_limit);
        }
        for &id in pending.unmeasured.iter().filter(|_| !gap) {
            if let Some(series) = self.series.get_mut(id as usize) {
                series.add_unmeasured(track_id, sample);
            }
        }
        if pending.complete {
            self.add_zeros(track_id, sample, unix_ms, gap, &mut pending.entries);
        }
        let all_known = self.add_unmeasured(track_id, &mut pending);
        // All processes of a tree are listed. With --grep the total is that of the matches.
        let adds_up = matches!(self.quantity, Quantity::Processes | Quantity::Threads) || self.grep.is_some();
        if let Some(track) = self.tracks.get_mut(track_id) {
            let sum = || pending.entries.iter().map(|entry| entry.value).sum();
            let total = if adds_up { all_known.then(sum) } else { pending.total };
            track.record(unix_ms, gap, total, all_known.then_some(&pending.entries));
        }
    }

    /// Adds the last known value of unmeasured series. Returns whether each has one: a stack needs all.
    fn add_unmeasured(&self, track: usize, pending: &mut Sample) -> bool {
        let mut all_known = true;
        for &id in &pending.unmeasured {
            let Some(series) = self.series.get(id as usize).filter(|series| series.wanted) else { continue };
            match series.part(track) {
                Some(part) => pending.entries.push(Entry { id, value: part.latest }),
                None => all_known = false,
            }
        }
        all_known
    }

    /// Adds zeros for series of a track that a complete list no longer names.
    fn add_zeros(&mut self, track: usize, sample: u64, unix_ms: i64, gap: bool, entries: &mut Vec<Entry>) {
        let zero = Point { unix_ms, value: 0.0 };
        for (id, series) in (0..).zip(&mut self.series) {
            if series.wanted && series.part(track).is_some_and(|part| part.last_sample != sample) {
                self.buckets += series.add(track, sample, zero, gap, self.buckets_limit);
                entries.push(Entry { id, value: 0.0 });
            }
        }
    }

    /// The memory of all series, in buckets.
    fn cost(&self) -> usize {
        self.buckets + self.index.len() * SERIES_COST
    }

    /// Reduces memory: all but the largest series lose resolution; if that is not enough, the smallest are dropped. Their values
    /// stay in the totals.
    fn reduce(&mut self) {
        let alive = (0..).zip(&self.series).filter(|(_, series)| !series.parts.is_empty());
        let mut order: Vec<(u32, f64)> = alive.map(|(id, series)| (id, series.greatest)).collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let order: Vec<u32> = order.into_iter().map(|(id, _)| id).collect();
        let (spared, others) = order.split_at(order.len().min(self.spared));
        let mut before = usize::MAX;
        while self.cost() > BUCKETS_TARGET && self.cost() < before {
            before = self.cost();
            self.coarsen(others);
        }
        let mut cost = self.cost();
        let mut removed = Vec::new();
        for &id in others.iter().rev() {
            if cost <= BUCKETS_TARGET {
                break;
            }
            let buckets = self.series.get(id as usize).map_or(0, SeriesBuffer::buckets);
            cost = cost.saturating_sub(buckets + SERIES_COST);
            removed.push(id);
        }
        self.dropped += removed.len() as u64;
        self.remove(&removed);
        if self.cost() > BUCKETS_TARGET {
            self.coarsen(spared);
        }
    }

    /// Removes series, and all references to them.
    fn remove(&mut self, ids: &[u32]) {
        if ids.is_empty() {
            return;
        }
        for &id in ids {
            let Some(series) = self.series.get_mut(id as usize) else { continue };
            self.buckets -= series.buckets();
            series.parts.clear();
            self.index.remove(&series.key);
            self.free.push(id);
        }
        self.last.clear();
        let removed: HashSet<u32> = ids.iter().copied().collect();
        for track in &mut self.tracks {
            track.rows.remove_series(|id| removed.contains(&id));
        }
        if let Some(pending) = &mut self.pending {
            pending.entries.retain(|entry| !removed.contains(&entry.id));
            pending.unmeasured.retain(|id| !removed.contains(id));
        }
    }

    fn coarsen(&mut self, ids: &[u32]) {
        for &id in ids {
            let Some(series) = self.series.get_mut(id as usize) else { continue };
            for points in series.parts.iter_mut().map(|part| &mut part.points) {
                let before = points.len();
                if before > MIN_BUCKETS {
                    points.coarsen();
                    self.buckets -= before - points.len();
                }
            }
        }
    }
}
