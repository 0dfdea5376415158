//! Which moments of the logs are compared: the first, the last, those the user named; or each with the one before.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use common::cli::Failure;
use common::record::EventKind;
use jiff::tz::TimeZone;

use crate::cli::MomentArg;
use crate::measurement::{Measurement, MeasurementKey, Measurements, local_stamp};

/// Roots and Python processes that are kept of one input; of more, those seen least lately are forgotten.
const MAX_MEASUREMENTS: usize = 4096;

/// Runs of an input that are remembered: one that comes again is then known to run beside the others.
const MAX_RUNS: usize = 16;

/// How near to a time of day the first or last moment of a log must be to stand for it, in milliseconds.
const TOLERANCE_MS: i64 = 60_000;

/// Measurements by who they are of.
#[derive(Debug, Default)]
struct MeasurementStore {
    entries: HashMap<MeasurementKey, StoredMeasurement>,
    sequence: u64,
}

#[derive(Debug)]
struct StoredMeasurement {
    measurement: Measurement,
    /// When it came, relative to others.
    sequence: u64,
    /// Whether the process was said to have ended.
    ended: bool,
}

impl MeasurementStore {
    fn insert(&mut self, key: MeasurementKey, measurement: Measurement) {
        self.sequence += 1;
        self.entries.insert(key, StoredMeasurement { measurement, sequence: self.sequence, ended: false });
        if self.entries.len() > MAX_MEASUREMENTS {
            let mut sequences: Vec<u64> = self.entries.values().map(|stored| stored.sequence).collect();
            sequences.sort_unstable();
            let oldest = sequences.get(MAX_MEASUREMENTS / 2).copied().unwrap_or(0);
            self.entries.retain(|_, stored| stored.sequence >= oldest);
        }
    }

    fn insert_first(&mut self, key: MeasurementKey, measurement: &Measurement) {
        if self.entries.len() < MAX_MEASUREMENTS && !self.entries.contains_key(&key) {
            self.insert(key, measurement.clone());
        }
    }

    fn keep_runs(&mut self, is_tree: bool, runs: &[Arc<str>]) {
        self.entries.retain(|key, _| key.is_tree != is_tree || runs.contains(&key.run));
    }

    /// What is of these runs, trees first, in the order in which it came. Roots that ended are left out if others of
    /// their kind did not.
    fn side(&self, runs: impl Fn(bool) -> Vec<Arc<str>>) -> Measurements {
        let mut found: Vec<(&MeasurementKey, &StoredMeasurement)> = Vec::new();
        for is_tree in [true, false] {
            let runs = runs(is_tree);
            let of_kind =
                self.entries.iter().filter(|(key, _)| key.is_tree == is_tree && runs.contains(&key.run));
            let of_kind: Vec<(&MeasurementKey, &StoredMeasurement)> = of_kind.collect();
            let any_lives = of_kind.iter().any(|(_, stored)| !stored.ended);
            found.extend(of_kind.into_iter().filter(|(_, stored)| !stored.ended || !any_lives));
        }
        found.sort_by_key(|(key, stored)| (!key.is_tree, stored.sequence));
        found.into_iter().map(|(_, stored)| stored.measurement.clone()).collect()
    }
}

/// The runs of one kind of record in an input, as they come. Mostly one follows the other; two that take turns run beside each
/// other, as when two monitors append to one file, and count together.
#[derive(Debug, Default)]
struct RunSequence {
    known: Vec<Arc<str>>,
    /// Those that run now.
    active: Vec<Arc<str>>,
    /// The first, and those that ran beside it.
    first: Vec<Arc<str>>,
    last: Option<Arc<str>>,
}

impl RunSequence {
    /// Takes note of a record of `run`; whether that is a run never seen.
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
                let beside = self.active.iter().filter(|run| !self.first.contains(run)).cloned();
                let beside: Vec<Arc<str>> = beside.collect();
                self.first.extend(beside);
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

#[derive(Debug)]
struct MomentSearch {
    pick: MomentArg,
    store: MeasurementStore,
    /// For times: what each was chosen for, and how far it is from it.
    distances: HashMap<MeasurementKey, (i64, u64)>,
}

impl InputSelection {
    /// Follows an input in which these moments are wanted beside the first and the last.
    #[must_use]
    pub fn new(searches: &[MomentArg]) -> Self {
        let search_result = |pick: &MomentArg| MomentSearch {
            pick: pick.clone(),
            store: MeasurementStore::default(),
            distances: HashMap::new(),
        };
        Self { searches: searches.iter().map(search_result).collect(), ..Self::default() }
    }

    /// Takes in a measurement; the next of the same input.
    pub fn add(&mut self, mut measurement: Measurement) {
        let key = measurement.key();
        let runs = if key.is_tree { &mut self.trees } else { &mut self.censuses };
        if runs.observe(&key.run) {
            let (known, first) = (&runs.known, &runs.first);
            for store in [&mut self.first, &mut self.last] {
                store.entries.retain(|other, _| {
                    other.is_tree != key.is_tree || known.contains(&other.run) || first.contains(&other.run)
                });
            }
        }
        let before = self.last.entries.get(&key).map(|stored| &stored.measurement);
        if let Some(before) = before {
            measurement.fill_from_previous(before);
        }
        for search in &mut self.searches {
            search.offer(&key, before, &measurement, &runs.active);
        }
        self.first.insert_first(key.clone(), &measurement);
        self.last.insert(key, measurement);
    }

    /// Takes note of what happened to a process.
    pub fn add_event(&mut self, run: &Arc<str>, event: EventKind, pid: u32) {
        if event == EventKind::Exited {
            let of_it = self.last.entries.iter_mut().filter(|(key, _)| key.is_tree && key.pid == pid);
            of_it.filter(|(key, _)| key.run == *run).for_each(|(_, stored)| stored.ended = true);
        }
    }

    /// The first moment of every process of the first run.
    #[must_use]
    pub fn first(&self) -> Measurements {
        self.first.side(|is_tree| self.runs(is_tree).first.clone())
    }

    /// The last moment of every process of the last run.
    #[must_use]
    pub fn last(&self) -> Measurements {
        self.last.side(|is_tree| self.runs(is_tree).active.clone())
    }

    /// The moment that was asked for as the `index`th; `None` if not so many were. `file` is the input's name, for the error.
    ///
    /// # Errors
    /// If the log has no such moment, with those it has; if it has none at all.
    pub fn search_result(&self, index: usize, file: &str) -> Result<Option<Measurements>, Failure> {
        let Some(search_result) = self.searches.get(index) else { return Ok(None) };
        let side = search_result.store.side(|is_tree| {
            let runs = search_result.store.entries.keys().filter(|key| key.is_tree == is_tree);
            runs.map(|key| Arc::clone(&key.run)).collect()
        });
        if !side.is_empty() {
            return Ok(Some(side));
        }
        let moments = |side: &Measurements| {
            let at = side.iter().map(|measurement| &measurement.at).max_by_key(|at| at.unix_ms);
            at.map_or_else(String::new, |at| {
                format!("{} (#{})", local_stamp(at.unix_ms).format("%F %T"), at.iteration)
            })
        };
        Err(Failure::new(
            format!("{file}: it has no moment {}", search_result.pick.text()),
            format!("it goes from {} to {}", moments(&self.first()), moments(&self.last())),
        ))
    }

    fn runs(&self, is_tree: bool) -> &RunSequence {
        if is_tree { &self.trees } else { &self.censuses }
    }
}

impl MomentSearch {
    fn offer(
        &mut self,
        key: &MeasurementKey,
        before: Option<&Measurement>,
        measurement: &Measurement,
        active: &[Arc<str>],
    ) {
        let targets = match &self.pick {
            MomentArg::Iteration(number) => {
                if measurement.at.iteration == *number {
                    self.keep(key, measurement, active);
                }
                return;
            }
            MomentArg::Moment { unix_ms, .. } => vec![*unix_ms],
            // The time of the day of either: the two may stand on both sides of midnight.
            MomentArg::Clock { seconds, .. } => {
                let moments = std::iter::once(measurement).chain(before);
                moments.filter_map(|measurement| time_of_day(measurement.at.unix_ms, *seconds)).collect()
            }
        };
        for target in targets {
            let is_near = |measurement: &&Measurement| {
                measurement.at.unix_ms.abs_diff(target) <= TOLERANCE_MS.unsigned_abs()
            };
            let passed = before
                .filter(|before| before.at.unix_ms < target && target <= measurement.at.unix_ms)
                .map(|before| [before, measurement]);
            match passed {
                Some(both) => both
                    .into_iter()
                    .for_each(|measurement| self.keep_if_nearer(key, measurement, target, active)),
                None => {
                    let near = Some(measurement).filter(is_near);
                    near.into_iter()
                        .for_each(|measurement| self.keep_if_nearer(key, measurement, target, active));
                }
            }
        }
    }

    fn keep_if_nearer(
        &mut self,
        key: &MeasurementKey,
        measurement: &Measurement,
        target: i64,
        active: &[Arc<str>],
    ) {
        let distance = measurement.at.unix_ms.abs_diff(target);
        match self.distances.entry(key.clone()) {
            Entry::Occupied(entry) if entry.get().0 == target && entry.get().1 <= distance => return,
            Entry::Occupied(mut entry) => {
                entry.insert((target, distance));
            }
            Entry::Vacant(entry) => {
                entry.insert((target, distance));
            }
        }
        self.keep(key, measurement, active);
        let stored = &self.store.entries;
        self.distances.retain(|key, _| stored.contains_key(key));
    }

    fn keep(&mut self, key: &MeasurementKey, measurement: &Measurement, active: &[Arc<str>]) {
        self.store.insert(key.clone(), measurement.clone());
        self.store.keep_runs(key.is_tree, active);
    }
}

/// When the clock shows that many seconds since midnight on the day of `unix_ms`, in this machine's zone. `None` for moments
/// outside the calendar.
fn time_of_day(unix_ms: i64, seconds: u32) -> Option<i64> {
    let zone = TimeZone::system();
    let date = zone.to_datetime(jiff::Timestamp::from_millisecond(unix_ms).ok()?).date();
    let [hour, minute, second] =
        [seconds / 3600, seconds / 60 % 60, seconds % 60].map(|part| i8::try_from(part).unwrap_or(0));
    Some(zone.to_timestamp(date.at(hour, minute, second, 0)).ok()?.as_millisecond())
}

/// Each record with the one before of the same process, or with the `every`th before.
#[derive(Debug)]
pub struct SuccessivePairs {
    every: usize,
    store: MeasurementStore,
    counts: HashMap<MeasurementKey, usize>,
    /// What was read last, which a later one may need, if that is not what it is compared with.
    latest: MeasurementStore,
}

impl SuccessivePairs {
    /// Pairs that are `every` records apart; at least 1.
    #[must_use]
    pub fn new(every: usize) -> Self {
        Self {
            every: every.max(1),
            store: MeasurementStore::default(),
            counts: HashMap::new(),
            latest: MeasurementStore::default(),
        }
    }

    /// The earlier one, and this, if it is its turn.
    pub fn next(&mut self, mut measurement: Measurement) -> Option<(Measurement, Measurement)> {
        let key = measurement.key();
        if let Some(before) = self.latest.entries.get(&key) {
            measurement.fill_from_previous(&before.measurement);
        }
        self.latest.insert(key.clone(), measurement.clone());
        let count = self.counts.entry(key.clone()).or_insert(0);
        *count += 1;
        if *count != 1 && !(*count - 1).is_multiple_of(self.every) {
            return None;
        }
        let before = self.store.entries.remove(&key).map(|stored| stored.measurement);
        self.store.insert(key, measurement.clone());
        if self.counts.len() > MAX_MEASUREMENTS {
            let stored = &self.store.entries;
            self.counts.retain(|key, _| stored.contains_key(key));
        }
        before.map(|before| (before, measurement))
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

    fn shown(side: &Measurements) -> Vec<(String, u64, u32)> {
        side.iter()
            .map(|measurement| {
                (measurement.at.run.to_string(), measurement.at.iteration, measurement.key().pid)
            })
            .collect()
    }

    #[test]
    fn a_log_has_a_first_and_a_last_moment_of_each_root() {
        let log = [at("r", 1), other("r", 1, 2), at("r", 2), at("r", 3), other("r", 3, 2), at("r", 4)];
        let selection = select(&[], &log);
        assert_eq!(shown(&selection.first()), [("r".into(), 1, 1), ("r".into(), 1, 2)]);
        assert_eq!(shown(&selection.last()), [("r".into(), 3, 2), ("r".into(), 4, 1)]);
    }

    #[test]
    fn of_two_runs_the_first_begins_and_the_last_ends() {
        let selection = select(&[], &[at("a", 1), at("a", 2), other("b", 1, 7), other("b", 2, 7)]);
        assert_eq!(shown(&selection.first()), [("a".into(), 1, 1)]);
        assert_eq!(shown(&selection.last()), [("b".into(), 2, 7)]);
    }

    #[test]
    fn two_runs_that_take_turns_count_together() {
        let log = [at("a", 1), other("b", 1, 7), at("a", 2), other("b", 2, 7), at("a", 3)];
        let selection = select(&[], &log);
        assert_eq!(shown(&selection.first()), [("a".into(), 1, 1), ("b".into(), 1, 7)]);
        assert_eq!(shown(&selection.last()), [("b".into(), 2, 7), ("a".into(), 3, 1)]);
    }

    #[test]
    fn a_root_that_ended_is_gone_unless_all_did() {
        let mut selection = select(&[], &[at("r", 1), other("r", 1, 2), at("r", 2), other("r", 2, 2)]);
        selection.add_event(&"r".into(), EventKind::Exited, 2);
        assert_eq!(shown(&selection.last()), [("r".into(), 2, 1)]);
        selection.add_event(&"r".into(), EventKind::Exited, 1);
        assert_eq!(selection.last().len(), 2);
    }

    #[test]
    fn iterations_and_times_are_found_and_what_is_not_there_is_told() {
        let log: Vec<Measurement> = (1..=5).map(|iteration| at("r", iteration * 100)).collect();
        let moment = |unix_ms| MomentArg::Moment { unix_ms, text: "then".into() };
        let found = |pick: MomentArg| {
            let side = select(&[pick], &log).search_result(0, "log").map(Option::unwrap);
            side.map(|side| shown(&side)).map_err(|failure| failure.what)
        };
        assert_eq!(found(MomentArg::Iteration(300)), Ok(vec![("r".into(), 300, 1)]));
        assert_eq!(found(moment(240_000)), Ok(vec![("r".into(), 200, 1)]));
        assert_eq!(found(moment(260_000)), Ok(vec![("r".into(), 300, 1)]));
        // A little before the first and after the last is near enough; a lot is not.
        assert_eq!(found(moment(45_000)), Ok(vec![("r".into(), 100, 1)]));
        assert_eq!(found(moment(555_000)), Ok(vec![("r".into(), 500, 1)]));
        assert_eq!(found(moment(700_000)), Err("log: it has no moment then".into()));
        assert_eq!(found(MomentArg::Iteration(7)), Err("log: it has no moment 7".into()));
    }

    #[test]
    fn a_time_of_day_is_that_of_the_last_day_that_comes_by_it() {
        const DAY: u64 = 86_400;
        let noon = time_of_day(i64::try_from(10 * DAY).unwrap() * 1000 + 43_200_000, 43_200).unwrap();
        let noon = u64::try_from(noon).unwrap() / 1000;
        // Before and after noon on two days, and the morning of a third.
        let seconds = [noon - 500, noon + 400, noon + DAY - 300, noon + DAY + 400, noon + 2 * DAY - 9000];
        let log: Vec<Measurement> = seconds.iter().map(|&second| at("r", second)).collect();
        let selection = select(&[MomentArg::Clock { seconds: 43_200, text: "12:00".into() }], &log);
        assert_eq!(
            shown(&selection.search_result(0, "log").unwrap().unwrap()),
            [("r".into(), noon + DAY - 300, 1)]
        );
    }

    #[test]
    fn of_several_runs_that_have_an_iteration_the_last_counts() {
        let selection =
            select(&[MomentArg::Iteration(2)], &[at("a", 1), at("a", 2), at("b", 1), at("b", 2), at("b", 3)]);
        assert_eq!(shown(&selection.search_result(0, "log").unwrap().unwrap()), [("b".into(), 2, 1)]);
        assert!(selection.search_result(1, "log").unwrap().is_none());
    }

    #[test]
    fn pairs_are_of_one_process_and_so_many_records_apart() {
        let pairs = |every, log: &[Measurement]| -> Vec<(u64, u64)> {
            let mut pairs = SuccessivePairs::new(every);
            let found = log.iter().cloned().filter_map(|measurement| pairs.next(measurement));
            found.map(|(before, after)| (before.at.iteration, after.at.iteration)).collect()
        };
        let log: Vec<Measurement> = (1..=7).flat_map(|n| [at("r", n), other("r", n + 10, 2)]).collect();
        assert_eq!(pairs(1, &log[..6]), [(1, 2), (11, 12), (2, 3), (12, 13)]);
        assert_eq!(pairs(3, &log), [(1, 4), (11, 14), (4, 7), (14, 17)]);
        // Another run is another story.
        assert_eq!(pairs(1, &[at("a", 1), at("b", 1), at("b", 2)]), [(1, 2)]);
    }

    #[test]
    fn memory_is_bounded_by_what_is_kept() {
        let mut selection = InputSelection::new(&[]);
        let mut pairs = SuccessivePairs::new(1);
        for pid in 1..20_000 {
            selection.add(other("r", 1, pid));
            pairs.next(other("r", 1, pid));
        }
        assert!(
            selection.last.entries.len() <= MAX_MEASUREMENTS
                && selection.first.entries.len() <= MAX_MEASUREMENTS
        );
        assert!(pairs.store.entries.len() <= MAX_MEASUREMENTS && pairs.counts.len() <= MAX_MEASUREMENTS + 1);
    }
}
