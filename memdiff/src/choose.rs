//! Which moments of the logs are compared: the first, the last, those the user named; or each with the one before.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use common::cli::Failure;
use common::record::EventKind;
use jiff::tz::TimeZone;

use crate::cli::Pick;
use crate::side::{Key, Seen, Side, stamp};

/// Roots and Python processes that are kept of one input; of more, those seen least lately are forgotten.
const MOST_KEPT: usize = 4096;

/// Runs of an input that are remembered: one that comes again is then known to run beside the others.
const RUNS_KEPT: usize = 16;

/// How near to a time of day the first or last moment of a log must be to stand for it, in milliseconds.
const NEAR_MS: i64 = 60_000;

/// Measurements by who they are of.
#[derive(Debug, Default)]
struct Book {
    entries: HashMap<Key, Kept>,
    sequence: u64,
}

#[derive(Debug)]
struct Kept {
    seen: Seen,
    /// When it came, relative to others.
    sequence: u64,
    /// Whether the process was said to have ended.
    ended: bool,
}

impl Book {
    fn insert(&mut self, key: Key, seen: Seen) {
        self.sequence += 1;
        self.entries.insert(key, Kept { seen, sequence: self.sequence, ended: false });
        if self.entries.len() > MOST_KEPT {
            let mut sequences: Vec<u64> = self.entries.values().map(|kept| kept.sequence).collect();
            sequences.sort_unstable();
            let oldest = sequences.get(MOST_KEPT / 2).copied().unwrap_or(0);
            self.entries.retain(|_, kept| kept.sequence >= oldest);
        }
    }

    fn insert_first(&mut self, key: Key, seen: &Seen) {
        if self.entries.len() < MOST_KEPT && !self.entries.contains_key(&key) {
            self.insert(key, seen.clone());
        }
    }

    fn keep_runs(&mut self, is_tree: bool, runs: &[Arc<str>]) {
        self.entries.retain(|key, _| key.is_tree != is_tree || runs.contains(&key.run));
    }

    /// What is of these runs, trees first, in the order in which it came. Roots that ended are left out if others of
    /// their kind did not.
    fn side(&self, runs: impl Fn(bool) -> Vec<Arc<str>>) -> Side {
        let mut found: Vec<(&Key, &Kept)> = Vec::new();
        for is_tree in [true, false] {
            let runs = runs(is_tree);
            let of_kind =
                self.entries.iter().filter(|(key, _)| key.is_tree == is_tree && runs.contains(&key.run));
            let of_kind: Vec<(&Key, &Kept)> = of_kind.collect();
            let any_lives = of_kind.iter().any(|(_, kept)| !kept.ended);
            found.extend(of_kind.into_iter().filter(|(_, kept)| !kept.ended || !any_lives));
        }
        found.sort_by_key(|(key, kept)| (!key.is_tree, kept.sequence));
        found.into_iter().map(|(_, kept)| kept.seen.clone()).collect()
    }
}

/// The runs of one kind of record in an input, as they come. Mostly one follows the other; two that take turns run beside each
/// other, as when two monitors append to one file, and count together.
#[derive(Debug, Default)]
struct Runs {
    known: Vec<Arc<str>>,
    /// Those that run now.
    awake: Vec<Arc<str>>,
    /// The first, and those that ran beside it.
    first: Vec<Arc<str>>,
    last: Option<Arc<str>>,
}

impl Runs {
    /// Takes note of a record of `run`; whether that is a run never seen.
    fn note(&mut self, run: &Arc<str>) -> bool {
        if self.last.as_ref() == Some(run) {
            return false;
        }
        self.last = Some(Arc::clone(run));
        if self.known.contains(run) {
            if !self.awake.contains(run) {
                self.awake.push(Arc::clone(run));
            }
            if self.awake.iter().any(|run| self.first.contains(run)) {
                let beside = self.awake.iter().filter(|run| !self.first.contains(run)).cloned();
                let beside: Vec<Arc<str>> = beside.collect();
                self.first.extend(beside);
            }
            return false;
        }
        self.known.push(Arc::clone(run));
        if self.known.len() > RUNS_KEPT {
            self.known.remove(0);
        }
        self.awake = vec![Arc::clone(run)];
        if self.first.is_empty() {
            self.first.push(Arc::clone(run));
        }
        true
    }
}

/// The moments of one input that may be compared, in memory bounded by the number of processes.
#[derive(Debug, Default)]
pub struct Followed {
    trees: Runs,
    censuses: Runs,
    first: Book,
    last: Book,
    picks: Vec<Picked>,
}

#[derive(Debug)]
struct Picked {
    pick: Pick,
    book: Book,
    /// For times: what each was chosen for, and how far it is from it.
    distances: HashMap<Key, (i64, u64)>,
}

impl Followed {
    /// Follows an input in which these moments are wanted beside the first and the last.
    #[must_use]
    pub fn new(picks: &[Pick]) -> Self {
        let picked =
            |pick: &Pick| Picked { pick: pick.clone(), book: Book::default(), distances: HashMap::new() };
        Self { picks: picks.iter().map(picked).collect(), ..Self::default() }
    }

    /// Takes in a measurement; the next of the same input.
    pub fn measured(&mut self, mut seen: Seen) {
        let key = seen.key();
        let runs = if key.is_tree { &mut self.trees } else { &mut self.censuses };
        if runs.note(&key.run) {
            let (known, first) = (&runs.known, &runs.first);
            for book in [&mut self.first, &mut self.last] {
                book.entries.retain(|other, _| {
                    other.is_tree != key.is_tree || known.contains(&other.run) || first.contains(&other.run)
                });
            }
        }
        let before = self.last.entries.get(&key).map(|kept| &kept.seen);
        if let Some(before) = before {
            seen.recall(before);
        }
        for picked in &mut self.picks {
            picked.consider(&key, before, &seen, &runs.awake);
        }
        self.first.insert_first(key.clone(), &seen);
        self.last.insert(key, seen);
    }

    /// Takes note of what happened to a process.
    pub fn happened(&mut self, run: &Arc<str>, event: EventKind, pid: u32) {
        if event == EventKind::Exited {
            let of_it = self.last.entries.iter_mut().filter(|(key, _)| key.is_tree && key.pid == pid);
            of_it.filter(|(key, _)| key.run == *run).for_each(|(_, kept)| kept.ended = true);
        }
    }

    /// The first moment of every process of the first run.
    #[must_use]
    pub fn first(&self) -> Side {
        self.first.side(|is_tree| self.runs(is_tree).first.clone())
    }

    /// The last moment of every process of the last run.
    #[must_use]
    pub fn last(&self) -> Side {
        self.last.side(|is_tree| self.runs(is_tree).awake.clone())
    }

    /// The moment that was asked for as the `index`th; `None` if not so many were. `file` is the input's name, for the error.
    ///
    /// # Errors
    /// If the log has no such moment, with those it has; if it has none at all.
    pub fn picked(&self, index: usize, file: &str) -> Result<Option<Side>, Failure> {
        let Some(picked) = self.picks.get(index) else { return Ok(None) };
        let side = picked.book.side(|is_tree| {
            let runs = picked.book.entries.keys().filter(|key| key.is_tree == is_tree);
            runs.map(|key| Arc::clone(&key.run)).collect()
        });
        if !side.is_empty() {
            return Ok(Some(side));
        }
        let moments = |side: &Side| {
            let at = side.iter().map(|seen| &seen.at).max_by_key(|at| at.unix_ms);
            at.map_or_else(String::new, |at| {
                format!("{} (#{})", stamp(at.unix_ms).format("%F %T"), at.iteration)
            })
        };
        Err(Failure::new(
            format!("{file}: it has no moment {}", picked.pick.text()),
            format!("it goes from {} to {}", moments(&self.first()), moments(&self.last())),
        ))
    }

    fn runs(&self, is_tree: bool) -> &Runs {
        if is_tree { &self.trees } else { &self.censuses }
    }
}

impl Picked {
    fn consider(&mut self, key: &Key, before: Option<&Seen>, seen: &Seen, awake: &[Arc<str>]) {
        let targets = match &self.pick {
            Pick::Iteration(number) => {
                if seen.at.iteration == *number {
                    self.take(key, seen, awake);
                }
                return;
            }
            Pick::Moment { unix_ms, .. } => vec![*unix_ms],
            // The time of the day of either: the two may stand on both sides of midnight.
            Pick::Clock { seconds, .. } => {
                let moments = std::iter::once(seen).chain(before);
                moments.filter_map(|seen| clock(seen.at.unix_ms, *seconds)).collect()
            }
        };
        for target in targets {
            let is_near = |seen: &&Seen| seen.at.unix_ms.abs_diff(target) <= NEAR_MS.unsigned_abs();
            let passed = before
                .filter(|before| before.at.unix_ms < target && target <= seen.at.unix_ms)
                .map(|before| [before, seen]);
            match passed {
                Some(both) => both.into_iter().for_each(|seen| self.take_nearer(key, seen, target, awake)),
                None => {
                    let near = Some(seen).filter(is_near);
                    near.into_iter().for_each(|seen| self.take_nearer(key, seen, target, awake));
                }
            }
        }
    }

    fn take_nearer(&mut self, key: &Key, seen: &Seen, target: i64, awake: &[Arc<str>]) {
        let distance = seen.at.unix_ms.abs_diff(target);
        match self.distances.entry(key.clone()) {
            Entry::Occupied(entry) if entry.get().0 == target && entry.get().1 <= distance => return,
            Entry::Occupied(mut entry) => {
                entry.insert((target, distance));
            }
            Entry::Vacant(entry) => {
                entry.insert((target, distance));
            }
        }
        self.take(key, seen, awake);
        let kept = &self.book.entries;
        self.distances.retain(|key, _| kept.contains_key(key));
    }

    fn take(&mut self, key: &Key, seen: &Seen, awake: &[Arc<str>]) {
        self.book.insert(key.clone(), seen.clone());
        self.book.keep_runs(key.is_tree, awake);
    }
}

/// When the clock shows that many seconds since midnight on the day of `unix_ms`, in this machine's zone. `None` for moments
/// outside the calendar.
fn clock(unix_ms: i64, seconds: u32) -> Option<i64> {
    let zone = TimeZone::system();
    let date = zone.to_datetime(jiff::Timestamp::from_millisecond(unix_ms).ok()?).date();
    let [hour, minute, second] =
        [seconds / 3600, seconds / 60 % 60, seconds % 60].map(|part| i8::try_from(part).unwrap_or(0));
    Some(zone.to_timestamp(date.at(hour, minute, second, 0)).ok()?.as_millisecond())
}

/// Each record with the one before of the same process, or with the `every`th before.
#[derive(Debug)]
pub struct Pairs {
    every: usize,
    book: Book,
    counts: HashMap<Key, usize>,
    /// What was read last, which a later one may need, if that is not what it is compared with.
    latest: Book,
}

impl Pairs {
    /// Pairs that are `every` records apart; at least 1.
    #[must_use]
    pub fn new(every: usize) -> Self {
        Self { every: every.max(1), book: Book::default(), counts: HashMap::new(), latest: Book::default() }
    }

    /// The earlier one, and this, if it is its turn.
    pub fn next(&mut self, mut seen: Seen) -> Option<(Seen, Seen)> {
        let key = seen.key();
        if let Some(before) = self.latest.entries.get(&key) {
            seen.recall(&before.seen);
        }
        self.latest.insert(key.clone(), seen.clone());
        let count = self.counts.entry(key.clone()).or_insert(0);
        *count += 1;
        if *count != 1 && !(*count - 1).is_multiple_of(self.every) {
            return None;
        }
        let before = self.book.entries.remove(&key).map(|kept| kept.seen);
        self.book.insert(key, seen.clone());
        if self.counts.len() > MOST_KEPT {
            let kept = &self.book.entries;
            self.counts.retain(|key, _| kept.contains_key(key));
        }
        before.map(|before| (before, seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::side::testing::{process, seen, tree};

    fn at(run: &str, iteration: u64) -> Seen {
        seen(run, iteration, tree(&[process(1, 10, "a", iteration)]))
    }

    fn other(run: &str, iteration: u64, pid: u32) -> Seen {
        seen(run, iteration, tree(&[process(pid, 10, "b", iteration)]))
    }

    fn follow(picks: &[Pick], moments: &[Seen]) -> Followed {
        let mut followed = Followed::new(picks);
        moments.iter().cloned().for_each(|seen| followed.measured(seen));
        followed
    }

    fn shown(side: &Side) -> Vec<(String, u64, u32)> {
        side.iter().map(|seen| (seen.at.run.to_string(), seen.at.iteration, seen.key().pid)).collect()
    }

    #[test]
    fn a_log_has_a_first_and_a_last_moment_of_each_root() {
        let log = [at("r", 1), other("r", 1, 2), at("r", 2), at("r", 3), other("r", 3, 2), at("r", 4)];
        let followed = follow(&[], &log);
        assert_eq!(shown(&followed.first()), [("r".into(), 1, 1), ("r".into(), 1, 2)]);
        assert_eq!(shown(&followed.last()), [("r".into(), 3, 2), ("r".into(), 4, 1)]);
    }

    #[test]
    fn of_two_runs_the_first_begins_and_the_last_ends() {
        let followed = follow(&[], &[at("a", 1), at("a", 2), other("b", 1, 7), other("b", 2, 7)]);
        assert_eq!(shown(&followed.first()), [("a".into(), 1, 1)]);
        assert_eq!(shown(&followed.last()), [("b".into(), 2, 7)]);
    }

    #[test]
    fn two_runs_that_take_turns_count_together() {
        let log = [at("a", 1), other("b", 1, 7), at("a", 2), other("b", 2, 7), at("a", 3)];
        let followed = follow(&[], &log);
        assert_eq!(shown(&followed.first()), [("a".into(), 1, 1), ("b".into(), 1, 7)]);
        assert_eq!(shown(&followed.last()), [("b".into(), 2, 7), ("a".into(), 3, 1)]);
    }

    #[test]
    fn a_root_that_ended_is_gone_unless_all_did() {
        let mut followed = follow(&[], &[at("r", 1), other("r", 1, 2), at("r", 2), other("r", 2, 2)]);
        followed.happened(&"r".into(), EventKind::Exited, 2);
        assert_eq!(shown(&followed.last()), [("r".into(), 2, 1)]);
        followed.happened(&"r".into(), EventKind::Exited, 1);
        assert_eq!(followed.last().len(), 2);
    }

    #[test]
    fn iterations_and_times_are_found_and_what_is_not_there_is_told() {
        let log: Vec<Seen> = (1..=5).map(|iteration| at("r", iteration * 100)).collect();
        let moment = |unix_ms| Pick::Moment { unix_ms, text: "then".into() };
        let found = |pick: Pick| {
            let side = follow(&[pick], &log).picked(0, "log").map(Option::unwrap);
            side.map(|side| shown(&side)).map_err(|failure| failure.what)
        };
        assert_eq!(found(Pick::Iteration(300)), Ok(vec![("r".into(), 300, 1)]));
        assert_eq!(found(moment(240_000)), Ok(vec![("r".into(), 200, 1)]));
        assert_eq!(found(moment(260_000)), Ok(vec![("r".into(), 300, 1)]));
        // A little before the first and after the last is near enough; a lot is not.
        assert_eq!(found(moment(45_000)), Ok(vec![("r".into(), 100, 1)]));
        assert_eq!(found(moment(555_000)), Ok(vec![("r".into(), 500, 1)]));
        assert_eq!(found(moment(700_000)), Err("log: it has no moment then".into()));
        assert_eq!(found(Pick::Iteration(7)), Err("log: it has no moment 7".into()));
    }

    #[test]
    fn a_time_of_day_is_that_of_the_last_day_that_comes_by_it() {
        const DAY: u64 = 86_400;
        let noon = clock(i64::try_from(10 * DAY).unwrap() * 1000 + 43_200_000, 43_200).unwrap();
        let noon = u64::try_from(noon).unwrap() / 1000;
        // Before and after noon on two days, and the morning of a third.
        let seconds = [noon - 500, noon + 400, noon + DAY - 300, noon + DAY + 400, noon + 2 * DAY - 9000];
        let log: Vec<Seen> = seconds.iter().map(|&second| at("r", second)).collect();
        let followed = follow(&[Pick::Clock { seconds: 43_200, text: "12:00".into() }], &log);
        assert_eq!(shown(&followed.picked(0, "log").unwrap().unwrap()), [("r".into(), noon + DAY - 300, 1)]);
    }

    #[test]
    fn of_several_runs_that_have_an_iteration_the_last_counts() {
        let followed =
            follow(&[Pick::Iteration(2)], &[at("a", 1), at("a", 2), at("b", 1), at("b", 2), at("b", 3)]);
        assert_eq!(shown(&followed.picked(0, "log").unwrap().unwrap()), [("b".into(), 2, 1)]);
        assert!(followed.picked(1, "log").unwrap().is_none());
    }

    #[test]
    fn pairs_are_of_one_process_and_so_many_records_apart() {
        let pairs = |every, log: &[Seen]| -> Vec<(u64, u64)> {
            let mut pairs = Pairs::new(every);
            let found = log.iter().cloned().filter_map(|seen| pairs.next(seen));
            found.map(|(before, after)| (before.at.iteration, after.at.iteration)).collect()
        };
        let log: Vec<Seen> = (1..=7).flat_map(|n| [at("r", n), other("r", n + 10, 2)]).collect();
        assert_eq!(pairs(1, &log[..6]), [(1, 2), (11, 12), (2, 3), (12, 13)]);
        assert_eq!(pairs(3, &log), [(1, 4), (11, 14), (4, 7), (14, 17)]);
        // Another run is another story.
        assert_eq!(pairs(1, &[at("a", 1), at("b", 1), at("b", 2)]), [(1, 2)]);
    }

    #[test]
    fn memory_is_bounded_by_what_is_kept() {
        let mut followed = Followed::new(&[]);
        let mut pairs = Pairs::new(1);
        for pid in 1..20_000 {
            followed.measured(other("r", 1, pid));
            pairs.next(other("r", 1, pid));
        }
        assert!(followed.last.entries.len() <= MOST_KEPT && followed.first.entries.len() <= MOST_KEPT);
        assert!(pairs.book.entries.len() <= MOST_KEPT && pairs.counts.len() <= MOST_KEPT + 1);
    }
}
