//! Every series of the logs, fed with all moments, and what each of them does.

mod describe;
mod process_series;
mod run_clock;
mod survival;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use common::log::{Census, Moment, Process, Tree, What};
use common::record::{EventKind, TrendKind, Verdict};

use self::process_series::{ProcessKey, ProcessSeries, Series, SeriesKind};
use self::run_clock::{MomentContext, RunClocks};
use crate::delta::{self, GrowthThreshold};
use crate::measurement::{self, CensusList, Origin};

pub use self::describe::{Description, count_by_trend, describe, format_rate};

/// The most series that are followed: about 12 KiB each when they are long.
pub const MAX_SERIES: usize = 10_000;

/// The most dropped series that are told apart, so that one that comes again and again counts once.
const MOST_COUNTED: usize = 1_000_000;

/// So few series are judged on one thread.
const FEW_SERIES: usize = 64;

/// A process that ended with fewer moments than this gives way first where there is no room.
const FEW_MOMENTS: u64 = 20;

/// All series of all inputs.
///
/// A series is of one process in one run: a number used again and another run begin another one. Memory is bounded by the number
/// of series that are followed, whatever the length of the logs.
#[derive(Debug)]
pub struct SeriesSet {
    limit: usize,
    processes: HashMap<ProcessKey, ProcessSeries>,
    runs: RunClocks,
    /// How many there are, and how many there ever were.
    count: usize,
    serial: u64,
    /// Nothing smaller is taken in any more: as small ones were dropped.
    min_bytes: u64,
    omitted: HashSet<u64>,
    /// How many processes were left when it was last looked which are spent.
    kept_processes: usize,
    ends: Option<(Origin, Origin)>,
    measured: u64,
}

impl Default for SeriesSet {
    fn default() -> Self {
        Self::with_limit(MAX_SERIES)
    }
}

impl SeriesSet {
    /// At most `limit` series; of more the smallest are dropped.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self {
            limit,
            processes: HashMap::new(),
            runs: RunClocks::default(),
            count: 0,
            serial: 0,
            min_bytes: 0,
            omitted: HashSet::new(),
            kept_processes: 0,
            ends: None,
            measured: 0,
        }
    }

    /// Takes in the next moment; whether it was a measurement.
    pub fn add(&mut self, moment: &Moment) -> bool {
        match &moment.what {
            What::Tree(tree) => {
                let context = self.begin(moment);
                self.tree(&context, tree);
            }
            What::Census(census) => {
                let context = self.begin(moment);
                self.census(&context, census);
            }
            What::Event(event) => {
                if event.event == EventKind::Exited {
                    let run = self.runs.index(&moment.run);
                    let ticks = event.start_ticks;
                    let it = |key: &&mut ProcessSeries| ticks.is_none_or(|ticks| ticks == key.start);
                    let known = self
                        .runs
                        .latest_with_pid(run, event.pid)
                        .and_then(|key| self.processes.get_mut(&key));
                    known.filter(it).into_iter().for_each(|processes| processes.has_ended = true);
                }
                return false;
            }
            What::Failed(_) => {
                let run = self.runs.index(&moment.run);
                let of_run = self.processes.iter_mut().filter(|(key, _)| key.run == run);
                of_run.for_each(|(_, processes)| processes.gap());
                return false;
            }
            What::Diff(_) => return false,
        }
        self.measured += 1;
        true
    }

    /// How many measurements were taken in.
    #[must_use]
    pub fn measured(&self) -> u64 {
        self.measured
    }

    /// The first and the last measurement.
    #[must_use]
    pub fn ends(&self) -> Option<(&Origin, &Origin)> {
        self.ends.as_ref().map(|(first, last)| (first, last))
    }

    /// How many series were dropped, as there were too many.
    #[must_use]
    pub fn omitted(&self) -> u64 {
        u64::try_from(self.omitted.len()).unwrap_or(u64::MAX)
    }

    /// What each series does, by bytes per hour: what grows most first, what is too short to say last.
    #[must_use]
    pub fn verdicts(&self) -> Vec<Verdict> {
        let mut series = Vec::with_capacity(self.count);
        for (key, processes) in &self.processes {
            let has_ended = processes.has_ended || self.is_missing(processes);
            let limits = self.runs.limits(&processes.host).filter(|_| !has_ended);
            series.extend(processes.named().map(|named| (key, processes, named, has_ended, limits)));
        }
        // Each is judged by itself, which takes a millisecond or two: with thousands of them every processor helps.
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let share = series.len().div_ceil(threads).max(FEW_SERIES);
        let mut verdicts: Vec<Verdict> = Vec::with_capacity(series.len());
        std::thread::scope(|scope| {
            let judge = |part: &[(&ProcessKey, &ProcessSeries, _, _, _)]| -> Vec<Verdict> {
                part.iter()
                    .map(|(key, processes, named, ended, around)| {
                        processes.verdict(key, *named, *ended, *around)
                    })
                    .collect()
            };
            let mut parts = series.chunks(share);
            let first = parts.next();
            let others: Vec<_> = parts.map(|part| scope.spawn(move || judge(part))).collect();
            verdicts.extend(first.map(judge).unwrap_or_default());
            verdicts.extend(others.into_iter().filter_map(|other| other.join().ok()).flatten());
        });
        // What grows comes first, then by rate. With equal rates names decide, so that the order is always the same.
        let rank = |verdict: &Verdict| match verdict.trend {
            TrendKind::Growing => 0,
            TrendKind::TooShort => 2,
            TrendKind::Steady | TrendKind::Shrinking | TrendKind::Sawtooth => 1,
        };
        verdicts.sort_by(|a, b| {
            let rate = |verdict: &Verdict| verdict.bytes_per_hour.unwrap_or(f64::NEG_INFINITY);
            let by_rate = rank(a).cmp(&rank(b)).then(rate(b).total_cmp(&rate(a)));
            by_rate.then_with(|| (&a.kind, &a.name, &a.role, a.pid).cmp(&(&b.kind, &b.name, &b.role, b.pid)))
        });
        verdicts
    }

    /// Whether a process was missing when its tree was last measured.
    fn is_missing(&self, processes: &ProcessSeries) -> bool {
        let root = processes.root.as_ref().and_then(|root| self.processes.get(root));
        root.is_some_and(|root| root.measurement_number > processes.measurement_number)
    }

    fn begin(&mut self, moment: &Moment) -> MomentContext {
        // Once small series are not taken in, brief processes leave nothing that would be pruned.
        if self.processes.len() > 2 * self.kept_processes.max(self.limit) {
            self.remove_exited();
        }
        let at = Origin {
            input: moment.input,
            line: moment.line,
            run: Arc::clone(&moment.run),
            host: Arc::clone(&moment.host),
            iteration: moment.iteration,
            unix_ms: moment.unix_ms,
        };
        match &mut self.ends {
            Some((_, last)) => *last = at,
            ends @ None => *ends = Some((at.clone(), at)),
        }
        self.runs.context(moment)
    }

    fn tree(&mut self, context: &MomentContext, tree: &Tree) {
        let Some(root) = tree.processes.first() else { return };
        self.runs.update_limits(context, tree);
        let top = ProcessKey { run: context.run, pid: root.pid, start: root.start };
        let measurement_number =
            self.processes.get(&top).map_or(1, |processes| processes.measurement_number.saturating_add(1));
        let is_fresh = tree.processes.iter().any(|process| process.pss_bytes.is_some());
        for (index, process) in tree.processes.iter().enumerate() {
            let key = ProcessKey { run: context.run, pid: process.pid, start: process.start };
            self.process(context, key, process, (index > 0).then_some(top), measurement_number);
        }
        // The tree of one is the process itself.
        if tree.processes.len() > 1 || self.processes.get(&top).is_some_and(|top| top.has_had_children) {
            if let Some(top) = self.processes.get_mut(&top) {
                top.has_had_children = true;
            }
            self.push(context, top, SeriesKind::TotalRss, None, tree.total_rss_bytes);
            // A sum of which no part was read anew is no new moment.
            if let Some(total) = tree.total_pss_bytes.filter(|_| is_fresh) {
                self.push(context, top, SeriesKind::TotalPss, None, total);
            }
        }
    }

    fn process(
        &mut self,
        context: &MomentContext,
        key: ProcessKey,
        process: &Process,
        root: Option<ProcessKey>,
        measurement_number: u64,
    ) {
        let processes = self.process_series(context, key, &process.name);
        processes.update_name(process.cmdline.as_ref(), &process.name);
        processes.root = root;
        processes.measurement_number = measurement_number;
        if let Some(bytes) = process.rss_bytes {
            self.push(context, key, SeriesKind::Rss, None, bytes);
        }
        if let Some(bytes) = process.pss_bytes {
            self.push(context, key, SeriesKind::Pss, None, bytes);
        }
    }

    fn census(&mut self, context: &MomentContext, census: &Census) {
        let key = ProcessKey { run: context.run, pid: census.pid, start: census.start };
        let processes = self.process_series(context, key, &census.name);
        processes.update_name(census.cmdline.as_ref(), &census.name);
        processes.root = None;
        processes.is_below = census.root_pid.is_some_and(|root| root != census.pid);
        processes.measurement_number = processes.measurement_number.saturating_add(1);
        if let Some(bytes) = census.rss_bytes {
            self.push(context, key, SeriesKind::Rss, None, bytes);
        }
        if let Some(bytes) = census.total_size_bytes {
            self.push(context, key, SeriesKind::Python, None, bytes);
        }
        if let Some(bytes) = delta::native_bytes(census) {
            self.push(context, key, SeriesKind::Native, None, bytes);
        }
        self.list(context, key, SeriesKind::Type, &measurement::types(census));
        self.list(context, key, SeriesKind::Module, &measurement::modules(census));
        self.list(context, key, SeriesKind::Holder, &measurement::holders(census));
        self.list(context, key, SeriesKind::Cache, &measurement::caches(census));
        for sample in &census.object_samples {
            let kind = match &*sample.kind {
                "type" => SeriesKind::Type,
                "holder" => SeriesKind::Holder,
                _ => continue,
            };
            let processes = self.processes.get_mut(&key);
            if let Some(series) = processes.and_then(|processes| processes.series(kind, Some(&sample.name))) {
                series.add_survivors(&sample.fingerprints);
            }
        }
    }

    /// What a whole list does not have is not there; a cut one says nothing of it. What it has without a size is there.
    fn list(
        &mut self,
        context: &MomentContext,
        key: ProcessKey,
        kind: SeriesKind,
        (rows, is_cut): &CensusList<'_>,
    ) {
        for row in rows {
            if let Some(bytes) = row.size_bytes {
                self.push(context, key, kind, Some(row.name), bytes);
            }
        }
        if let Some(processes) = self.processes.get_mut(&key).filter(|_| !is_cut) {
            let unmeasured = rows.iter().filter(|row| row.size_bytes.is_none());
            processes.record_absent(kind, context, &unmeasured.map(|row| row.name).collect());
        }
    }

    fn process_series(
        &mut self,
        context: &MomentContext,
        key: ProcessKey,
        name: &Arc<str>,
    ) -> &mut ProcessSeries {
        self.runs.add_process(key);
        self.processes.entry(key).or_insert_with(|| ProcessSeries::new(&context.host, name, key.start))
    }

    /// One value of one series, which begins with it if there is room.
    fn push(
        &mut self,
        context: &MomentContext,
        key: ProcessKey,
        kind: SeriesKind,
        name: Option<&Arc<str>>,
        bytes: u64,
    ) {
        let Some(processes) = self.processes.get_mut(&key) else { return };
        if let Some(series) = processes.series(kind, name) {
            series.push(context, bytes);
            return;
        }
        if self.min_bytes > 0 && bytes <= self.min_bytes {
            self.count_omitted(key, kind, name);
            return;
        }
        self.serial += 1;
        let mut series = Series::new(kind, self.serial);
        series.push(context, bytes);
        processes.add(name, series);
        self.count += 1;
        if self.count > self.limit + self.limit / 8 {
            self.drop_smallest();
        }
    }

    fn count_omitted(&mut self, key: ProcessKey, kind: SeriesKind, name: Option<&Arc<str>>) {
        if self.omitted.len() < MOST_COUNTED {
            let mut hasher = DefaultHasher::new();
            (key, kind, name).hash(&mut hasher);
            self.omitted.insert(hasher.finish());
        }
    }

    /// Drops what is too much: first what ended soon after it began, then the smallest, of equal ones the latest.
    fn drop_smallest(&mut self) {
        let mut ranks: Vec<(u64, u64, u64)> = Vec::with_capacity(self.count);
        let gone: HashSet<ProcessKey> = self
            .processes
            .iter()
            .filter(|(_, f)| f.has_ended || self.is_missing(f))
            .map(|(key, _)| *key)
            .collect();
        // What ended counts as smaller than any other.
        let rank = |key: &ProcessKey, series: &Series| {
            let is_brief = series.moments() < FEW_MOMENTS && gone.contains(key);
            (u64::from(!is_brief), series.peak_bytes, u64::MAX - series.serial)
        };
        for (key, processes) in &self.processes {
            ranks.extend(processes.all_series().map(|series| rank(key, series)));
        }
        ranks.sort_unstable();
        let Some(&cut) = ranks.get(ranks.len().saturating_sub(self.limit)) else { return };
        let mut dropped: Vec<(ProcessKey, SeriesKind, Option<Arc<str>>)> = Vec::new();
        for (key, processes) in &mut self.processes {
            processes.retain(|name, series| {
                let stays = rank(key, series) >= cut;
                if !stays {
                    dropped.push((*key, series.kind, name.cloned()));
                }
                stays
            });
        }
        if cut.0 > 0 {
            self.min_bytes = self.min_bytes.max(cut.1);
        }
        self.count -= dropped.len();
        dropped.into_iter().for_each(|(key, kind, name)| self.count_omitted(key, kind, name.as_ref()));
        self.remove_exited();
    }

    /// Forgets the processes that are gone and have no series left.
    fn remove_exited(&mut self) {
        let is_gone = |processes: &ProcessSeries| processes.has_ended || self.is_missing(processes);
        let spent = |processes: &ProcessSeries| processes.is_empty() && is_gone(processes);
        let spent: Vec<ProcessKey> =
            self.processes.iter().filter(|(_, f)| spent(f)).map(|(key, _)| *key).collect();
        let roots: HashSet<ProcessKey> =
            self.processes.values().filter_map(|processes| processes.root).collect();
        for key in spent.iter().filter(|key| !roots.contains(key)) {
            self.processes.remove(key);
        }
        let processes = &self.processes;
        self.runs.retain_processes(|key| processes.contains_key(key));
        self.kept_processes = self.processes.len();
    }
}

/// Whether a verdict is growth beyond the bounds: from behind the warm-up to the end.
#[must_use]
pub fn is_growing_beyond(verdict: &Verdict, bounds: &GrowthThreshold) -> bool {
    verdict.trend == TrendKind::Growing
        && bounds.is_exceeded(verdict.first_bytes.unwrap_or(0), verdict.last_bytes.unwrap_or(u64::MAX))
}
