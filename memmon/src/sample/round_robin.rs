//! Readings that cost more than a look: who comes next, within what they may cost.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use common::process::ProcessId;
use common::record::{EventKind, Record};

use super::Sampler;
use super::budget::TimeBudget;
use super::watched_process::WatchedProcess;
use crate::cli::Pss;

/// The share of the time for state, processor time, names, peaks and the like. About 40 µs a process and reading.
const DETAILS_SHARE: f64 = 0.000_15;
/// The share of the time for PSS and USS.
const PSS_SHARE: f64 = 0.000_5;
/// What may be spent at once, at the start above all, so that an ordinary tree is known from its first sample on.
const BURST: Duration = Duration::from_millis(20);
/// A single reading of PSS that would hold the process's memory map for longer is not made unless asked for.
const MAX_PSS_READ: Duration = Duration::from_millis(20);
/// What walking the page tables costs before it was measured: 14 ms for a GiB in pages of 4 KiB.
const PSS_SECONDS_PER_BYTE: f64 = 0.014 / (1 << 30) as f64;

/// Whose turn it is: everyone's in a ring, and every other time a root's, as long as this tick has one that was not read.
///
/// However little the budget allows, the roots do not starve the others, nor the others the roots.
#[derive(Debug, Default)]
pub(super) struct ReadQueue {
    ring: VecDeque<ProcessId>,
    roots: VecDeque<ProcessId>,
    left: usize,
    root_is_next: bool,
}

impl ReadQueue {
    /// Takes in a new process.
    pub(super) fn add(&mut self, id: ProcessId) {
        self.ring.push_back(id);
    }

    /// Begins a tick in which everyone is read once at most. The dead drop out, and a root stands in the ring no more.
    fn begin(&mut self, roots: Vec<ProcessId>, lives: impl Fn(&ProcessId) -> bool) {
        self.ring.retain(|id| lives(id) && !roots.contains(id));
        self.left = self.ring.len();
        self.roots = roots.into();
    }

    fn next(&mut self) -> Option<ProcessId> {
        self.root_is_next = !self.root_is_next;
        if (self.root_is_next || self.left == 0)
            && let Some(root) = self.roots.pop_front()
        {
            return Some(root);
        }
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let id = self.ring.pop_front()?;
        self.ring.push_back(id);
        Some(id)
    }
}

/// Budgets for details and for PSS.
pub(super) fn budgets(interval: Duration) -> (TimeBudget, TimeBudget) {
    let budget = |share: f64| TimeBudget::new(share, BURST.max(interval.mul_f64(share)));
    (budget(DETAILS_SHARE), budget(PSS_SHARE))
}

impl Sampler {
    pub(super) fn read_details(&mut self, elapsed: Duration, records: &mut Vec<Record>) {
        self.details_budget.earn(elapsed);
        if !self.details_budget.has_credit() {
            return;
        }
        // Those that run another program come first, whatever is left for the others.
        let execs = self.members.iter().filter(|(_, member)| member.exec_seen).map(|(id, _)| *id);
        let mut execs = execs.collect::<Vec<ProcessId>>().into_iter();
        let roots: Vec<ProcessId> = self.living_roots().collect();
        self.queue.begin(roots, |id| self.members.contains_key(id));
        let mut start = Instant::now();
        while self.details_budget.has_credit() {
            let Some(id) = execs.next().or_else(|| self.queue.next()) else { return };
            if self.members.get(&id).is_none_or(|member| member.details_fresh && !member.exec_seen) {
                continue;
            }
            let replaced = self.refresh(id, start);
            let now = Instant::now();
            self.details_budget.spend(now.duration_since(start));
            start = now;
            if replaced && let Some(member) = self.members.get(&id) {
                let event = member.event(self.header(), EventKind::Replaced, self.root_pid(member.root));
                records.push(Record::ProcessEvent(Box::new(event)));
            }
        }
    }

    pub(super) fn read_pss(&mut self, elapsed: Duration) {
        self.pss_budget.earn(elapsed);
        if self.options.pss == Pss::Never {
            return;
        }
        let always = self.options.pss == Pss::Always;
        if !always && !self.pss_budget.has_credit() {
            return;
        }
        // First the ones whose figure is most out of date, weighed by what they hold.
        let now = Instant::now();
        let due = self.members.values().filter(|member| always || pss_cost(member) <= MAX_PSS_READ);
        let mut due: Vec<(f64, ProcessId)> =
            due.map(|member| (pss_urgency(member, now), member.id)).collect();
        due.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for (_, id) in due {
            if !always && !self.pss_budget.has_credit() {
                return;
            }
            let begin = Instant::now();
            let Some(reading) = self.source.proportional(id) else { return };
            let end = Instant::now();
            let cost = end.duration_since(begin);
            self.pss_budget.spend(cost);
            if let Some(member) = self.members.get_mut(&id) {
                member.pss_fresh = true;
                member.pss_cost = Some(cost);
                // One that cannot be read has no figure from now on, rather than an old one.
                member.pss = reading.ok().map(|sizes| (sizes, end));
            }
        }
    }
}

/// What reading a process's PSS will cost: as the last time, or by its size.
fn pss_cost(member: &WatchedProcess) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let by_size =
        || Duration::from_secs_f64(member.sizes.map_or(0.0, |s| s.rss_bytes as f64 * PSS_SECONDS_PER_BYTE));
    member.pss_cost.unwrap_or_else(by_size)
}

fn pss_urgency(member: &WatchedProcess, now: Instant) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "an order")]
    let size = member.sizes.map_or(1.0, |s| s.rss_bytes as f64 + 1.0);
    // Never read counts as a day old.
    let age = member.pss.map_or(86_400.0, |(_, at)| now.duration_since(at).as_secs_f64());
    size * age
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(pid: u32) -> ProcessId {
        ProcessId { pid, start: 1 }
    }

    fn queue(members: u32) -> ReadQueue {
        let mut queue = ReadQueue::default();
        (1..=members).for_each(|pid| queue.add(id(pid)));
        queue
    }

    #[test]
    fn each_is_read_once_a_tick() {
        let mut queue = queue(5);
        for _ in 0..3 {
            queue.begin(vec![id(1), id(3)], |_| true);
            let mut read: Vec<u32> = std::iter::from_fn(|| queue.next()).map(|id| id.pid).collect();
            read.sort_unstable();
            assert_eq!(read, [1, 2, 3, 4, 5]);
        }
    }

    #[test]
    fn one_read_a_tick_starves_nobody() {
        let mut queue = queue(6);
        let mut read = Vec::new();
        for _ in 0..20 {
            queue.begin(vec![id(1)], |_| true);
            read.extend(queue.next().map(|id| id.pid));
        }
        assert_eq!(read.len(), 20);
        assert_eq!(read.iter().filter(|pid| **pid == 1).count(), 10);
        for pid in 2..=6 {
            assert_eq!(read.iter().filter(|p| **p == pid).count(), 2, "{pid}: {read:?}");
        }
    }

    #[test]
    fn exited_processes_leave_queue() {
        let mut queue = ReadQueue::default();
        for pid in 1..10_000 {
            queue.add(id(pid));
            queue.begin(Vec::new(), |id| id.pid + 3 > pid);
        }
        assert!(queue.ring.len() <= 3);
    }
}
