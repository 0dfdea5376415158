//! All series of the logs, in bounded memory.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use common::log::{Census, Moment, MomentData, Tree};
use common::record::{EventKind, ProcessEvent, SeriesKind, TrendKind, Verdict};

use super::key::{BYTES_OF_COUNT, ProcessKey, SeriesName};
use super::limits::MemoryLimits;
use super::process_series::ProcessSeries;
use super::run_clock::{MomentContext, RunClocks};
use super::series::Series;
use crate::measurement::{CensusList, Origin, census_lists, native_bytes};

/// The most series that are followed; long ones take about 12 KiB each.
const MAX_SERIES: usize = 10_000;

/// The most dropped series that are remembered, so that one that returns is counted once.
const MAX_DROPPED: usize = 1_000_000;

/// The fewest series for which another thread is started.
const SERIES_PER_THREAD: usize = 64;

/// The series of a process that ended with fewer moments are dropped first.
const MIN_MOMENTS_OF_ENDED: u64 = 20;

/// A series with its name and process.
type SeriesRef<'a> = (ProcessKey, &'a ProcessSeries, &'a SeriesName, &'a Series);

/// All series of all inputs.
///
/// A series belongs to one process in one run: a reused pid and another run begin another series. Memory is bounded by the number of series,
/// not by the length of the logs.
#[derive(Debug, Default)]
pub struct SeriesSet {
    /// The most series; `None` for [`MAX_SERIES`].
    limit: Option<usize>,
    pub(super) processes: HashMap<ProcessKey, ProcessSeries>,
    runs: RunClocks,
    /// The latest process of each run and pid.
    latest: HashMap<(u32, u32), ProcessKey>,
    limits: HashMap<Arc<str>, MemoryLimits>,
    /// The number of series now, and of all there ever were.
    pub(super) count: usize,
    begun: u64,
    /// Series are only added above this size, once others were dropped.
    min_bytes: u64,
    /// Hashes of the dropped series.
    dropped: HashSet<u64>,
    /// The number of processes after the last removal of ended ones.
    kept_processes: usize,
    ends: Option<(Origin, Origin)>,
    measured: u64,
}

impl SeriesSet {
    /// At most `limit` series instead of [`MAX_SERIES`]; above it the smallest are dropped.
    #[cfg(test)]
    pub fn with_limit(limit: usize) -> Self {
        Self { limit: Some(limit), ..Self::default() }
    }

    fn limit(&self) -> usize {
        self.limit.unwrap_or(MAX_SERIES)
    }

    /// Adds the next moment; returns whether it was a measurement.
    pub fn add(&mut self, moment: &Moment) -> bool {
        match &moment.data {
            MomentData::Tree(tree) => {
                let context = self.begin_moment(moment);
                self.record_tree(&context, tree);
            }
            MomentData::Census(census) => {
                let context = self.begin_moment(moment);
                self.record_census(&context, census);
            }
            MomentData::Event(event) => {
                self.record_event(&moment.run, event);
                return false;
            }
            MomentData::Failed(_) => {
                let run = self.runs.number(&moment.run);
                let of_run = self.processes.iter_mut().filter(|(key, _)| key.run == run);
                of_run.flat_map(|(_, process)| process.series.values_mut()).for_each(Series::push_gap);
                return false;
            }
            MomentData::Diff(_) | MomentData::Leaks(_) => return false,
        }
        self.measured += 1;
        true
    }

    /// The number of measurements.
    pub fn measured(&self) -> u64 {
        self.measured
    }

    /// The origins of the first and the last measurement.
    pub fn ends(&self) -> Option<(&Origin, &Origin)> {
        self.ends.as_ref().map(|(first, last)| (first, last))
    }

    /// The number of series that were dropped, as there were too many.
    pub fn dropped(&self) -> u64 {
        u64::try_from(self.dropped.len()).unwrap_or(u64::MAX)
    }

    /// The verdicts on all series: growing ones first, those too short last, and by rate.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let mut all: Vec<SeriesRef<'_>> = Vec::with_capacity(self.count);
        for (key, process) in &self.processes {
            all.extend(process.series.iter().map(|(name, series)| (*key, process, name, series)));
        }
        // A verdict takes a millisecond or two: thousands of them are shared among the processors.
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let share = all.len().div_ceil(threads).max(SERIES_PER_THREAD);
        let mut verdicts: Vec<Verdict> = std::thread::scope(|scope| {
            let verdict = |(key, process, name, series): &SeriesRef<'_>| {
                process.verdict(*key, name, series, self.has_ended(process), self.limits.get(&process.host))
            };
            let judge = move |part: &[SeriesRef<'_>]| -> Vec<Verdict> { part.iter().map(verdict).collect() };
            let threads: Vec<_> = all.chunks(share).map(|part| scope.spawn(move || judge(part))).collect();
            let joined = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
            joined.flat_map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        let rank = |verdict: &Verdict| match verdict.trend {
            TrendKind::Growing => 0,
            TrendKind::TooShort => 2,
            TrendKind::Steady | TrendKind::Shrinking | TrendKind::Sawtooth => 1,
        };
        verdicts.sort_by(|a, b| {
            let rate = |verdict: &Verdict| verdict.bytes_per_hour.unwrap_or(f64::NEG_INFINITY);
            let by_rate = rank(a).cmp(&rank(b)).then(rate(b).total_cmp(&rate(a)));
            // Of equal rates the name decides, so that the order is always the same.
            by_rate.then_with(|| {
                (a.kind, &a.name, &a.role, a.pid, a.moments)
                    .cmp(&(b.kind, &b.name, &b.role, b.pid, b.moments))
            })
        });
        verdicts
    }

    /// Whether a process has ended, or was missing when its tree was last measured.
    fn has_ended(&self, process: &ProcessSeries) -> bool {
        let root = process.root.as_ref().and_then(|root| self.processes.get(root));
        process.has_ended || root.is_some_and(|root| root.last_measurement > process.last_measurement)
    }

    fn begin_moment(&mut self, moment: &Moment) -> MomentContext {
        // Brief processes whose series are all too small are never dropped as series.
        if self.processes.len() > 2 * self.kept_processes.max(self.limit()) {
            self.remove_ended();
        }
        let origin = Origin::from_moment(moment);
        match &mut self.ends {
            Some((_, last)) => *last = origin,
            ends @ None => *ends = Some((origin.clone(), origin)),
        }
        self.runs.advance(moment)
    }

    fn record_event(&mut self, run: &Arc<str>, event: &ProcessEvent) {
        let run = self.runs.number(run);
        let key = self.latest.get(&(run, event.pid)).filter(|_| event.event == EventKind::Exited);
        let is_same = |key: &&ProcessKey| event.start_ticks.is_none_or(|ticks| ticks == key.start);
        if let Some(process) = key.filter(is_same).and_then(|key| self.processes.get_mut(key)) {
            process.has_ended = true;
        }
    }

    fn record_tree(&mut self, context: &MomentContext, tree: &Tree) {
        let Some(root) = tree.processes.first() else { return };
        let limits = self.limits.entry(Arc::clone(&context.host));
        limits.or_default().update(context, tree);
        let root_key = context.process(root.pid, root.start);
        let last_measurement =
            self.processes.get(&root_key).map_or(1, |root| root.last_measurement.saturating_add(1));
        for (index, measured) in tree.processes.iter().enumerate() {
            let key = context.process(measured.pid, measured.start);
            let process = self.process_mut(context, key, &measured.name);
            process.update_name(measured.cmdline.as_ref(), &measured.name);
            process.root = (index > 0).then_some(root_key);
            process.last_measurement = last_measurement;
            self.record(context, key, (SeriesKind::Rss, None), measured.rss_bytes);
            self.record(context, key, (SeriesKind::Pss, None), measured.pss_bytes);
            for (kind, count) in [(SeriesKind::Fds, measured.fds), (SeriesKind::Threads, measured.threads)] {
                let weighted = count.map(|count| count.saturating_mul(BYTES_OF_COUNT));
                self.record(context, key, (kind, None), weighted);
            }
        }
        // The sums of a process that never had children repeat its own sizes.
        let Some(root) = self.processes.get_mut(&root_key) else { return };
        root.has_had_children |= tree.processes.len() > 1;
        if root.has_had_children {
            // A sum of which no part was read anew is no new value.
            let is_fresh = tree.processes.iter().any(|process| process.pss_bytes.is_some());
            self.record(context, root_key, (SeriesKind::TotalRss, None), Some(tree.total_rss_bytes));
            let total_pss = tree.total_pss_bytes.filter(|_| is_fresh);
            self.record(context, root_key, (SeriesKind::TotalPss, None), total_pss);
        }
    }

    fn record_census(&mut self, context: &MomentContext, census: &Census) {
        let key = context.process(census.pid, census.start);
        let process = self.process_mut(context, key, &census.name);
        process.update_name(census.cmdline.as_ref(), &census.name);
        process.root = None;
        process.is_child = census.root_pid.is_some_and(|root| root != census.pid);
        process.last_measurement = process.last_measurement.saturating_add(1);
        self.record(context, key, (SeriesKind::Rss, None), census.rss_bytes);
        self.record(context, key, (SeriesKind::Python, None), census.total_size_bytes);
        self.record(context, key, (SeriesKind::Native, None), native_bytes(census));
        let lists = census_lists(census);
        lists.iter().for_each(|list| self.record_list(context, key, list));
        let Some(process) = self.processes.get_mut(&key) else { return };
        let complete = lists.iter().filter(|list| !list.is_truncated).map(|list| list.kind);
        process.record_absent(context, &complete.collect::<Vec<_>>());
        for sample in &census.object_samples {
            let name = (sample.kind, Some(Arc::clone(&sample.name)));
            if let Some(series) = process.series.get_mut(&name) {
                series.add_survivors(&sample.fingerprints);
            }
        }
    }

    fn record_list(&mut self, context: &MomentContext, key: ProcessKey, list: &CensusList<'_>) {
        for row in &list.rows {
            let name = (list.kind, Some(Arc::clone(row.name)));
            if row.size_bytes.is_some() {
                self.record(context, key, name, row.size_bytes);
            } else if let Some(process) = self.processes.get_mut(&key)
                && let Some(series) = process.series.get_mut(&name)
            {
                series.mark_listed(context);
            }
        }
    }

    fn process_mut(
        &mut self,
        context: &MomentContext,
        key: ProcessKey,
        name: &Arc<str>,
    ) -> &mut ProcessSeries {
        self.latest.insert((key.run, key.pid), key);
        self.processes.entry(key).or_insert_with(|| ProcessSeries::new(&context.host, name))
    }

    /// Adds a value, if it was measured, to a series, which begins with it if there is room.
    fn record(&mut self, context: &MomentContext, key: ProcessKey, name: SeriesName, bytes: Option<u64>) {
        let (Some(process), Some(bytes)) = (self.processes.get_mut(&key), bytes) else { return };
        if let Some(series) = process.series.get_mut(&name) {
            series.push(context, bytes);
            return;
        }
        if self.min_bytes > 0 && bytes <= self.min_bytes {
            self.remember_dropped(key, &name);
            return;
        }
        self.begun += 1;
        let mut series = Series::new(name.0, self.begun);
        series.push(context, bytes);
        process.series.insert(name, series);
        self.count += 1;
        if self.count > self.limit() + self.limit() / 8 {
            self.drop_smallest();
        }
    }

    fn remember_dropped(&mut self, key: ProcessKey, name: &SeriesName) {
        if self.dropped.len() < MAX_DROPPED {
            let mut hasher = DefaultHasher::new();
            (key, name).hash(&mut hasher);
            self.dropped.insert(hasher.finish());
        }
    }

    /// Drops series down to the limit: first brief ones of ended processes, then the smallest, of equal ones the latest.
    fn drop_smallest(&mut self) {
        let processes = self.processes.iter();
        let ended: HashSet<ProcessKey> =
            processes.filter(|(_, process)| self.has_ended(process)).map(|(key, _)| *key).collect();
        let rank = |key: &ProcessKey, series: &Series| {
            let is_brief = series.moments() < MIN_MOMENTS_OF_ENDED && ended.contains(key);
            (u64::from(!is_brief), series.peak_bytes, u64::MAX - series.serial)
        };
        let mut ranks: Vec<(u64, u64, u64)> = Vec::with_capacity(self.count);
        for (key, process) in &self.processes {
            ranks.extend(process.series.values().map(|series| rank(key, series)));
        }
        ranks.sort_unstable();
        let Some(&least) = ranks.get(ranks.len().saturating_sub(self.limit())) else { return };
        let mut dropped: Vec<(ProcessKey, SeriesName)> = Vec::new();
        for (key, process) in &mut self.processes {
            let small = process.series.extract_if(|_, series| rank(key, series) < least);
            dropped.extend(small.map(|(name, _)| (*key, name)));
        }
        if least.0 > 0 {
            self.min_bytes = self.min_bytes.max(least.1);
        }
        self.count -= dropped.len();
        dropped.iter().for_each(|(key, name)| self.remember_dropped(*key, name));
        self.remove_ended();
    }

    /// Removes the processes that have ended and have no series left.
    fn remove_ended(&mut self) {
        let is_spent = |process: &ProcessSeries| process.series.is_empty() && self.has_ended(process);
        let roots: HashSet<ProcessKey> = self.processes.values().filter_map(|process| process.root).collect();
        let spent = self.processes.iter().filter(|(key, process)| is_spent(process) && !roots.contains(key));
        let spent: Vec<ProcessKey> = spent.map(|(key, _)| *key).collect();
        for key in &spent {
            self.processes.remove(key);
        }
        self.latest.retain(|_, key| self.processes.contains_key(key));
        self.kept_processes = self.processes.len();
    }
}
