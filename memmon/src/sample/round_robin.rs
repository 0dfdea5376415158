//! The order of expensive readings, and their time budgets.

use std::collections::VecDeque;
use std::time::Duration;

use common::process::ProcessId;

use super::budget::TimeBudget;

/// The share of time for state, processor time, names, peaks and the like. About 40 µs per process and reading.
const DETAILS_SHARE: f64 = 0.000_15;
/// The share of time for PSS and USS.
const PSS_SHARE: f64 = 0.000_5;
/// The most that may be spent at once. It allows an ordinary tree to be read completely in its first sample.
const BURST: Duration = Duration::from_millis(20);

/// Chooses the next process to read: round robin, and every other time a root, if one was not read in this tick.
///
/// However small the budget, roots and other processes do not starve each other.
#[derive(Debug, Default)]
pub(super) struct ReadQueue {
    ring: VecDeque<ProcessId>,
    roots: VecDeque<ProcessId>,
    left: usize,
    root_is_next: bool,
}

impl ReadQueue {
    /// Adds a new process.
    pub(super) fn add(&mut self, id: ProcessId) {
        self.ring.push_back(id);
    }

    /// Begins a tick, in which each process is read at most once. Exited processes and roots leave the ring.
    pub(super) fn begin(&mut self, roots: Vec<ProcessId>, lives: impl Fn(&ProcessId) -> bool) {
        self.ring.retain(|id| lives(id) && !roots.contains(id));
        self.left = self.ring.len();
        self.roots = roots.into();
    }

    /// The next process to read in this tick.
    pub(super) fn next(&mut self) -> Option<ProcessId> {
        self.root_is_next = !self.root_is_next;
        if (self.root_is_next || self.left == 0)
            && let Some(root) = self.roots.pop_front()
        {
            return Some(root);
        }
        self.left = self.left.checked_sub(1)?;
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
