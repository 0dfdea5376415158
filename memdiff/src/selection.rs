//! Selects the moments of a log that are compared: the first, the last, those the user named; or each with an earlier one.

use std::collections::HashMap;
use std::sync::Arc;

use common::cli::Failure;
use common::record::EventKind;
use jiff::tz::TimeZone;

use crate::cli::MomentArg;
use crate::measurement::{Measurement, MeasurementKey, local_stamp};

/// The most roots and Python processes to keep of one input. Above it, the half that was measured longest ago is removed.
const MAX_MEASUREMENTS: usize = 4096;

/// The number of runs of an input that are remembered, to recognize runs that alternate.
const MAX_RUNS: usize = 16;

/// The farthest that the first or last moment of a log may be from a time that the user named.
const TOLERANCE_MS: u64 = 60_000;

/// The latest measurement of each process.
#[derive(Debug, Default)]
struct MeasurementStore {
    entries: HashMap<MeasurementKey, Stored>,
    sequence: u64,
}

#[derive(Debug)]
struct Stored {
    measurement: Measurement,
    /// The order in which measurements came.
    sequence: u64,
    /// The number of measurements of the process before this one.
    earlier_count: usize,
    /// Whether the end of the process was recorded.
    has_ended: bool,
}

impl MeasurementStore {
    fn get(&self, key: &MeasurementKey) -> Option<&Measurement> {
        self.entries.get(key).map(|stored| &stored.measurement)
    }

    /// Stores a measurement; returns the number of those of the same process before it.
    fn insert(&mut self, key: MeasurementKey, measurement: Measurement) -> usize {
        self.sequence += 1;
        let earlier_count = self.entries.get(&key).map_or(0, |stored| stored.earlier_count + 1);
        let stored = Stored { measurement, sequence: self.sequence, earlier_count, has_ended: false };
        self.entries.insert(key, stored);
        if self.entries.len() > MAX_MEASUREMENTS {
            let mut sequences: Vec<u64> = self.entries.values().map(|stored| stored.sequence).collect();
            sequences.sort_unstable();
            let oldest = sequences.get(MAX_MEASUREMENTS / 2).copied().unwrap_or(0);
            self.entries.retain(|_, stored| stored.sequence >= oldest);
        }
        earlier_count
    }

    /// Removes measurements of one kind from other runs.
    fn retain_runs(&mut self, is_tree: bool, is_kept: impl Fn(&Arc<str>) -> bool) {
        self.entries.retain(|key, _| key.is_tree != is_tree || is_kept(&key.run));
    }

    /// The measurements of these runs, trees first, in the order in which they came. Processes that ended are left out if others of their kind
    /// did not.
    fn measurements_of(&self, runs: impl Fn(bool) -> Vec<Arc<str>>) -> Vec<Measurement> {
        let mut found: Vec<(bool, &Stored)> = Vec::new();
        for is_tree in [true, false] {
            let runs = runs(is_tree);
            let of_kind = self.entries.iter().filter(|(key, _)| key.is_tree == is_tree);
            let of_kind: Vec<_> = of_kind.filter(|(key, _)| runs.contains(&key.run)).collect();
            let any_lives = of_kind.iter().any(|(_, stored)| !stored.has_ended);
            let shown = of_kind.into_iter().filter(|(_, stored)| !stored.has_ended || !any_lives);
            found.extend(shown.map(|(_, stored)| (!is_tree, stored)));
        }
        found.sort_by_key(|(is_census, stored)| (*is_census, stored.sequence));
        found.into_iter().map(|(_, stored)| stored.measurement.clone()).collect()
    }
}

/// The runs of one kind of record in an input. Mostly they follow each other. Runs that alternate, as of two monitors that append to one file,
/// count as one.
#[derive(Debug, Default)]
struct RunSequence {
    known: Vec<Arc<str>>,
    /// The latest run, and those that alternate with it.
    active: Vec<Arc<str>>,
    /// The first run, and those that alternated with it.
    first: Vec<Arc<str>>,
    last: Option<Arc<str>>,
}

impl RunSequence {
    /// Adds the run of a record; returns whether it is a new run.
    fn observe(&mut self, run: &Arc<str>) -> bool {
        if self.last.as_ref() == Some(run) {
            return false;
        }
        self.last = Some(Arc::clone(run));
        if self.known.contains(run) {
            if !self.active.contains(run) {
                self.active.push(Arc::clone(run));
            }
            if self.active.iter().any(|run| self.first.contains(run)) {
                let others = self.active.iter().filter(|run| !self.first.contains(run));
                let others: Vec<Arc<str>> = others.cloned().collect();
                self.first.extend(others);
            }
            return false;
        }
        self.known.push(Arc::clone(run));
        if self.known.len() > MAX_RUNS {
            self.known.remove(0);
        }
        self.active = vec![Arc::clone(run)];
        if self.first.is_empty() {
            self.first.push(Arc::clone(run));
        }
        true
    }
}

/// The moments of one input that may be compared, in memory bounded by the number of processes.
#[derive(Debug, Default)]
pub struct InputSelection {
    trees: RunSequence,
    censuses: RunSequence,
    first: MeasurementStore,
    last: MeasurementStore,
    searches: Vec<MomentSearch>,
}

impl InputSelection {
    /// Selects the first and the last moment of an input, and these.
    pub fn new(wanted: &[MomentArg]) -> Self {
        let search =
            |moment: &MomentArg| MomentSearch { wanted: moment.clone(), found: MeasurementStore::default() };
        Self { searches: wanted.iter().map(search).collect(), ..Self::default() }
    }

    /// Adds the next measurement of the input.
    pub fn add(&mut self, mut measurement: Measurement) {
        let key = measurement.key();
        let runs = if key.is_tree { &mut self.trees } else { &mut self.censuses };
        if runs.observe(&key.run) {
            for store in [&mut self.first, &mut self.last] {
                store.retain_runs(key.is_tree, |run| runs.known.contains(run) || runs.first.contains(run));
            }
        }
        let previous = self.last.get(&key);
        if let Some(previous) = previous {
            measurement.fill_from_previous(previous);
        }
        for search in &mut self.searches {
            search.offer(&key, previous, &measurement, &runs.active);
        }
        if self.first.entries.len() < MAX_MEASUREMENTS && !self.first.entries.contains_key(&key) {
            self.first.insert(key.clone(), measurement.clone());
        }
        self.last.insert(key, measurement);
    }

    /// Adds an event of a process.
    pub fn add_event(&mut self, run: &Arc<str>, event: EventKind, pid: u32) {
        if event == EventKind::Exited {
            let trees = self.last.entries.iter_mut().filter(|(key, _)| key.is_tree && key.pid == pid);
            trees.filter(|(key, _)| key.run == *run).for_each(|(_, stored)| stored.has_ended = true);
        }
    }

    /// The first moment of every process of the first run.
    pub fn first(&self) -> Vec<Measurement> {
        self.first.measurements_of(|is_tree| self.runs(is_tree).first.clone())
    }

    /// The last moment of every process of the last run.
    pub fn last(&self) -> Vec<Measurement> {
        self.last.measurements_of(|is_tree| self.runs(is_tree).active.clone())
    }

    /// The wanted moment of this index; `None` if fewer were wanted. `file` is the name of the input, for the error.
    ///
    /// # Errors
    /// If the log has no such moment. The hint says which moments it has.
    pub fn wanted(&self, index: usize, file: &str) -> Result<Option<Vec<Measurement>>, Failure> {
        let Some(search) = self.searches.get(index) else { return Ok(None) };
        let found = search.found.measurements_of(|is_tree| {
            let keys = search.found.entries.keys().filter(|key| key.is_tree == is_tree);
            keys.map(|key| Arc::clone(&key.run)).collect()
        });
        if !found.is_empty() {
            return Ok(Some(found));
        }
        let describe = |measurements: &[Measurement]| {
            let origin = measurements.iter().map(|m| &m.origin).max_by_key(|origin| origin.unix_ms);
            origin.map_or_else(String::new, |origin| {
                format!("{} (#{})", local_stamp(origin.unix_ms).format("%F %T"), origin.iteration)
            })
        };
        Err(Failure::new(
            format!("{file}: no moment {}", search.wanted),
            format!("the log goes from {} to {}", describe(&self.first()), describe(&self.last())),
        ))
    }

    fn runs(&self, is_tree: bool) -> &RunSequence {
        if is_tree { &self.trees } else { &self.censuses }
    }
}

/// The search for a moment that the user named.
#[derive(Debug)]
struct MomentSearch {
    wanted: MomentArg,
    /// The nearest measurement of each process so far.
    found: MeasurementStore,
}

impl MomentSearch {
    fn offer(
        &mut self,
        key: &MeasurementKey,
        previous: Option<&Measurement>,
        measurement: &Measurement,
        active: &[Arc<str>],
    ) {
        let now = measurement.origin.unix_ms;
        let before = previous.map(|previous| previous.origin.unix_ms);
        let targets = match &self.wanted {
            MomentArg::Iteration(number) => {
                if measurement.origin.iteration == *number {
                    self.keep(key, measurement, active);
                }
                return;
            }
            MomentArg::Moment(moment) => vec![moment.as_millisecond()],
            // On the day of either: midnight may be between the two.
            MomentArg::Clock(time) => {
                std::iter::once(now).chain(before).filter_map(|at| at_time_of_day(at, *time)).collect()
            }
        };
        for target in targets {
            let passed = previous.filter(|_| before.is_some_and(|before| before < target) && target <= now);
            let is_candidate = passed.is_some() || now.abs_diff(target) <= TOLERANCE_MS;
            for candidate in passed.into_iter().chain(is_candidate.then_some(measurement)) {
                let distance = |m: &Measurement| m.origin.unix_ms.abs_diff(target);
                // One that was found on an earlier day is farther from the same time of this day.
                if self.found.get(key).is_none_or(|found| distance(candidate) < distance(found)) {
                    self.keep(key, candidate, active);
                }
            }
        }
    }

    fn keep(&mut self, key: &MeasurementKey, measurement: &Measurement, active: &[Arc<str>]) {
        self.found.insert(key.clone(), measurement.clone());
        self.found.retain_runs(key.is_tree, |run| active.contains(run));
    }
}

/// A time of day on the day of `unix_ms`, in this machine's zone. `None` outside the calendar.
fn at_time_of_day(unix_ms: i64, time: jiff::civil::Time) -> Option<i64> {
    let zone = TimeZone::system();
    let date = zone.to_datetime(jiff::Timestamp::from_millisecond(unix_ms).ok()?).date();
    Some(zone.to_timestamp(date.to_datetime(time)).ok()?.as_millisecond())
}

/// Pairs each measurement with an earlier one of the same process, at a fixed distance.
#[derive(Debug)]
pub struct SuccessivePairs {
    distance: usize,
    /// The earlier measurement of the next pair.
    earlier: MeasurementStore,
    /// The last measurement, from which later ones are filled in.
    latest: MeasurementStore,
}

impl SuccessivePairs {
    /// Pairs that are `distance` records apart; at least 1.
    pub fn new(distance: usize) -> Self {
        let (earlier, latest) = (MeasurementStore::default(), MeasurementStore::default());
        Self { distance: distance.max(1), earlier, latest }
    }

    /// Adds a measurement; returns the pair that it completes.
    pub fn add(&mut self, mut measurement: Measurement) -> Option<(Measurement, Measurement)> {
        let key = measurement.key();
        if let Some(previous) = self.latest.get(&key) {
            measurement.fill_from_previous(previous);
        }
        let count = self.latest.insert(key.clone(), measurement.clone());
        if !count.is_multiple_of(self.distance) {
            return None;
        }
        let earlier = self.earlier.entries.remove(&key).map(|stored| stored.measurement);
        self.earlier.insert(key, measurement.clone());
        earlier.map(|earlier| (earlier, measurement))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::testing::{measurement, process, tree};

    fn at(run: &str, iteration: u64) -> Measurement {
        measurement(run, iteration, tree(&[process(1, 10, "a", iteration)]))
    }

    fn other(run: &str, iteration: u64, pid: u32) -> Measurement {
        measurement(run, iteration, tree(&[process(pid, 10, "b", iteration)]))
    }

    fn select(searches: &[MomentArg], moments: &[Measurement]) -> InputSelection {
        let mut selection = InputSelection::new(searches);
        moments.iter().cloned().for_each(|measurement| selection.add(measurement));
        selection
    }

    fn shown(side: &[Measurement]) -> Vec<(String, u64, u32)> {
        side.iter()
            .map(|measurement| {
                (measurement.origin.run.to_string(), measurement.origin.iteration, measurement.key().pid)
            })
            .collect()
    }

    #[test]
    fn each_root_has_first_and_last() {
        let log = [at("r", 1), other("r", 1, 2), at("r", 2), at("r", 3), other("r", 3, 2), at("r", 4)];
        let selection = select(&[], &log);
        assert_eq!(shown(&selection.first()), [("r".into(), 1, 1), ("r".into(), 1, 2)]);
        assert_eq!(shown(&selection.last()), [("r".into(), 3, 2), ("r".into(), 4, 1)]);
    }

    #[test]
    fn first_run_begins_last_run_ends() {
        let selection = select(&[], &[at("a", 1), at("a", 2), other("b", 1, 7), other("b", 2, 7)]);
        assert_eq!(shown(&selection.first()), [("a".into(), 1, 1)]);
        assert_eq!(shown(&selection.last()), [("b".into(), 2, 7)]);
    }

    #[test]
    fn alternating_runs_count_together() {
        let log = [at("a", 1), other("b", 1, 7), at("a", 2), other("b", 2, 7), at("a", 3)];
        let selection = select(&[], &log);
        assert_eq!(shown(&selection.first()), [("a".into(), 1, 1), ("b".into(), 1, 7)]);
        assert_eq!(shown(&selection.last()), [("b".into(), 2, 7), ("a".into(), 3, 1)]);
    }

    #[test]
    fn ended_root_is_left_out() {
        let mut selection = select(&[], &[at("r", 1), other("r", 1, 2), at("r", 2), other("r", 2, 2)]);
        selection.add_event(&"r".into(), EventKind::Exited, 2);
        assert_eq!(shown(&selection.last()), [("r".into(), 2, 1)]);
        selection.add_event(&"r".into(), EventKind::Exited, 1);
        assert_eq!(selection.last().len(), 2);
    }

    #[test]
    fn named_moments_are_found() {
        let log: Vec<Measurement> = (1..=5).map(|iteration| at("r", iteration * 100)).collect();
        let moment = |ms| MomentArg::Moment(jiff::Timestamp::from_millisecond(ms).unwrap());
        let found = |pick: MomentArg| {
            let side = select(&[pick], &log).wanted(0, "log").map(Option::unwrap);
            side.map(|side| shown(&side)).map_err(|failure| failure.message)
        };
        assert_eq!(found(MomentArg::Iteration(300)), Ok(vec![("r".into(), 300, 1)]));
        assert_eq!(found(moment(240_000)), Ok(vec![("r".into(), 200, 1)]));
        assert_eq!(found(moment(260_000)), Ok(vec![("r".into(), 300, 1)]));
        // A little before the first and after the last is near enough; a lot is not.
        assert_eq!(found(moment(45_000)), Ok(vec![("r".into(), 100, 1)]));
        assert_eq!(found(moment(555_000)), Ok(vec![("r".into(), 500, 1)]));
        assert_eq!(found(moment(700_000)), Err(format!("log: no moment {}", moment(700_000))));
        assert_eq!(found(MomentArg::Iteration(7)), Err("log: no moment 7".into()));
    }

    #[test]
    fn time_of_day_is_on_last_day() {
        const DAY: u64 = 86_400;
        let midday = jiff::civil::time(12, 0, 0, 0);
        let noon = at_time_of_day(i64::try_from(10 * DAY).unwrap() * 1000 + 43_200_000, midday).unwrap();
        let noon = u64::try_from(noon).unwrap() / 1000;
        // Before and after noon on two days, and the morning of a third.
        let seconds = [noon - 500, noon + 400, noon + DAY - 300, noon + DAY + 400, noon + 2 * DAY - 9000];
        let log: Vec<Measurement> = seconds.iter().map(|&second| at("r", second)).collect();
        let selection = select(&[MomentArg::Clock(midday)], &log);
        assert_eq!(shown(&selection.wanted(0, "log").unwrap().unwrap()), [("r".into(), noon + DAY - 300, 1)]);
    }

    #[test]
    fn iteration_is_of_last_run() {
        let selection =
            select(&[MomentArg::Iteration(2)], &[at("a", 1), at("a", 2), at("b", 1), at("b", 2), at("b", 3)]);
        assert_eq!(shown(&selection.wanted(0, "log").unwrap().unwrap()), [("b".into(), 2, 1)]);
        assert!(selection.wanted(1, "log").unwrap().is_none());
    }

    #[test]
    fn pairs_are_of_one_process() {
        let pairs = |every, log: &[Measurement]| -> Vec<(u64, u64)> {
            let mut pairs = SuccessivePairs::new(every);
            let found = log.iter().cloned().filter_map(|measurement| pairs.add(measurement));
            found.map(|(before, after)| (before.origin.iteration, after.origin.iteration)).collect()
        };
        let log: Vec<Measurement> = (1..=7).flat_map(|n| [at("r", n), other("r", n + 10, 2)]).collect();
        assert_eq!(pairs(1, &log[..6]), [(1, 2), (11, 12), (2, 3), (12, 13)]);
        assert_eq!(pairs(3, &log), [(1, 4), (11, 14), (4, 7), (14, 17)]);
        // Another run is another story.
        assert_eq!(pairs(1, &[at("a", 1), at("b", 1), at("b", 2)]), [(1, 2)]);
    }

    #[test]
    fn memory_of_selection_is_bounded() {
        let mut selection = InputSelection::new(&[]);
        let mut pairs = SuccessivePairs::new(1);
        for pid in 1..20_000 {
            selection.add(other("r", 1, pid));
            pairs.add(other("r", 1, pid));
        }
        assert!(
            selection.last.entries.len() <= MAX_MEASUREMENTS
                && selection.first.entries.len() <= MAX_MEASUREMENTS
        );
        assert!(
            pairs.earlier.entries.len() <= MAX_MEASUREMENTS && pairs.latest.entries.len() <= MAX_MEASUREMENTS
        );
    }
}
