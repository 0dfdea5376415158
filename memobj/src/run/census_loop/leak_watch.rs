//! The moments of a search for leaks: of its censuses, and of the watch for who adds to the leaks, which is between the censuses, from the first
//! verdict on, and after the last one.

use std::time::{Duration, Instant};

use common::time::Ticker;

use super::CensusLoop;
use crate::run::leak_search::LeakSearch;

/// How long the leaks of a process are watched after the last census.
const MAX_WATCH: Duration = Duration::from_secs(5);
/// A shorter watch between two censuses is not worth its system calls.
const MIN_WATCH: Duration = Duration::from_millis(100);
/// The watch ends so long before the next census.
const MARGIN: Duration = Duration::from_millis(60);
/// The number of censuses after which a late search ends. With fewer, a rise may be chance.
const ENOUGH_CENSUSES: u64 = 5;
/// The part of its planned time after which a search is late.
const MAX_LENGTH: f64 = 1.2;
/// The longest delay of a census, as a part of the time since the census before.
const MAX_DELAY: f64 = 0.75;

impl CensusLoop<'_> {
    /// When the next census begins: in a search for leaks later than planned, but for the last one. `distance` is the planned time between two
    /// censuses, or the last one if that was longer.
    ///
    /// At equal distances, a table that the program empties at about the same interval would seem to grow: each census would see it a little
    /// later after it was emptied.
    pub(super) fn next_census(&self, ticker: &Ticker, distance: Duration) -> Instant {
        let is_last = self.iteration.saturating_add(1) >= self.config.max_censuses;
        let random = getrandom::u32().ok().filter(|_| self.leaks.is_some() && !is_last);
        let delay = random.map_or(0.0, |random| f64::from(random) / f64::from(u32::MAX) * MAX_DELAY);
        let now = Instant::now();
        let due = ticker.deadline().max(now) + distance.mul_f64(delay);
        self.config.search_time.map_or(due, |time| due.min(now.max(ticker.start() + time)))
    }

    /// Whether there are more censuses to come. On a busy machine a search for leaks makes do with fewer.
    pub(super) fn goes_on(&self, ticker: &Ticker, now: Instant) -> bool {
        let is_late = |time: Duration| now >= ticker.start() + time.mul_f64(MAX_LENGTH);
        let suffices = self.iteration >= ENOUGH_CENSUSES && self.config.search_time.is_some_and(is_late);
        self.session.is_within_bounds(self.iteration, now) && self.outputs.is_open() && !suffices
    }

    /// Watches who adds to the leaks after the last census, unless the user wants the verdict at once.
    pub(super) fn watch_last_additions(&mut self) {
        if self.leaks.as_ref().is_none_or(LeakSearch::is_concluded) {
            return;
        }
        for pid in self.leaking() {
            self.watch_additions(pid, MAX_WATCH);
        }
    }

    /// Watches who adds to the leaks until the next census: slow ones are added to a few times in a minute.
    pub(super) fn watch_additions_until(&mut self, next_census: Instant) {
        if self.leaks.as_ref().is_none_or(LeakSearch::is_concluded) {
            return;
        }
        let pids = self.leaking();
        for (watched, pid) in pids.iter().enumerate() {
            let left = next_census.saturating_duration_since(Instant::now()).saturating_sub(MARGIN);
            let part = u32::try_from(pids.len().saturating_sub(watched)).unwrap_or(u32::MAX).max(1);
            let limit = left / part;
            if limit >= MIN_WATCH {
                self.watch_additions(*pid, limit);
            }
        }
    }

    /// The processes that leak, and whose additions are not known well enough.
    fn leaking(&self) -> Vec<u32> {
        let leaking = self.processes.iter().filter(|process| process.tracker.wants_watch());
        leaking.map(|process| process.info.id.pid).collect()
    }

    fn watch_additions(&mut self, pid: u32, limit: Duration) {
        let Some(process) = self.processes.get_mut(pid).filter(|_| !self.stopped) else { return };
        let mut tracker = std::mem::take(&mut process.tracker);
        tracker.watch_additions(limit, &mut || {
            self.wait(Some(Instant::now())).is_ok() && !self.stopped && self.outputs.is_open()
        });
        match self.processes.get_mut(pid) {
            Some(process) => process.tracker = tracker,
            None => self.finish_leaks([tracker]),
        }
    }
}
