//! A queue that never makes its producer wait: when full, it drops and counts its oldest entries.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The approximate overhead of an entry, so that the limit also holds for empty lines.
const OVERHEAD_BYTES: usize = 64;

/// An entry of a [`Queue`].
pub(super) trait Entry {
    /// Its size in memory.
    fn size_bytes(&self) -> usize;
    /// The number of line ends in it.
    fn lines(&self) -> u64;
}

/// Output that was dropped, because it was not taken in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// Lines whose end was dropped.
    pub lines: u64,
    /// All dropped bytes.
    pub bytes: u64,
}

impl Lost {
    fn and(self, more: Self) -> Self {
        Self { lines: self.lines + more.lines, bytes: self.bytes + more.bytes }
    }

    fn add(&mut self, entry: &impl Entry) {
        self.lines += entry.lines();
        self.bytes += entry.size_bytes() as u64;
    }
}

#[derive(Debug)]
struct State<T> {
    entries: VecDeque<T>,
    size_bytes: usize,
    /// Dropped since entries were last taken.
    lost: Lost,
    /// Dropped before that.
    lost_before: Lost,
    is_closed: bool,
}

/// A bounded queue; see the module.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    limit_bytes: usize,
}

impl<T: Entry> Queue<T> {
    pub(super) fn new(limit_bytes: usize) -> Self {
        let state = State {
            entries: VecDeque::new(),
            size_bytes: 0,
            lost: Lost::default(),
            lost_before: Lost::default(),
            is_closed: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), limit_bytes }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code panics with the lock, and a relay that stops would block the command.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds `entry` unless the queue is closed. Returns whether the queue was empty.
    pub(super) fn push(&self, entry: T) -> bool {
        let mut state = self.lock();
        if state.is_closed {
            return false;
        }
        let was_empty = state.entries.is_empty();
        state.size_bytes += entry.size_bytes() + OVERHEAD_BYTES;
        state.entries.push_back(entry);
        while state.size_bytes > self.limit_bytes {
            let Some(oldest) = state.pop() else { break };
            state.lost.add(&oldest);
        }
        drop(state);
        self.changed.notify_one();
        was_empty
    }

    /// Waits for entries and takes them until their bytes reach `enough`. Also returns what was dropped before them since the
    /// last call. `None` once the queue is closed and empty.
    pub(super) fn take(&self, enough: usize) -> Option<(Vec<T>, Lost)> {
        let mut state = self
            .changed
            .wait_while(self.lock(), |state| state.entries.is_empty() && !state.is_closed)
            .unwrap_or_else(PoisonError::into_inner);
        let taken = state.take(enough);
        (!taken.0.is_empty()).then_some(taken)
    }

    /// Takes all entries without waiting. Also returns what was dropped before them since the last call.
    pub(super) fn take_all(&self) -> (Vec<T>, Lost) {
        self.lock().take(usize::MAX)
    }

    /// Closes the queue: its entries can still be taken.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Closes the queue and drops its entries.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        while let Some(entry) = state.pop() {
            state.lost.add(&entry);
        }
    }

    /// Everything that was dropped so far.
    pub(super) fn lost(&self) -> Lost {
        let state = self.lock();
        state.lost_before.and(state.lost)
    }
}

impl<T: Entry> State<T> {
    fn pop(&mut self) -> Option<T> {
        let entry = self.entries.pop_front()?;
        self.size_bytes = self.size_bytes.saturating_sub(entry.size_bytes() + OVERHEAD_BYTES);
        Some(entry)
    }

    fn take(&mut self, enough: usize) -> (Vec<T>, Lost) {
        let mut taken = Vec::new();
        let mut size = 0;
        while size < enough {
            let Some(entry) = self.pop() else { break };
            size += entry.size_bytes();
            taken.push(entry);
        }
        let lost = std::mem::take(&mut self.lost);
        self.lost_before = self.lost_before.and(lost);
        (taken, lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Entry for &'static str {
        fn size_bytes(&self) -> usize {
            self.len()
        }
        fn lines(&self) -> u64 {
            1
        }
    }

    const NOTHING: Lost = Lost { lines: 0, bytes: 0 };

    fn lost(lines: u64, bytes: u64) -> Lost {
        Lost { lines, bytes }
    }

    #[test]
    fn full_queue_drops_oldest() {
        let queue = Queue::new(2 * (OVERHEAD_BYTES + 1));
        assert!(queue.push("a"));
        assert!(!queue.push("b"));
        queue.push("c");
        assert_eq!(queue.take(1), Some((vec!["b"], lost(1, 1))));
        queue.push("d");
        assert_eq!(queue.take_all(), (vec!["c", "d"], NOTHING));
        assert_eq!((queue.lost(), queue.take_all()), (lost(1, 1), (vec![], NOTHING)));
    }

    #[test]
    fn empty_lines_count_as_bytes() {
        let queue = Queue::new(10 * OVERHEAD_BYTES);
        for _ in 0..100 {
            queue.push("");
        }
        assert_eq!(queue.take_all(), (vec![""; 10], lost(90, 0)));
    }

    #[test]
    fn closed_queue_only_drains() {
        let queue = Queue::new(1000);
        queue.push("a");
        queue.close();
        queue.push("b");
        assert_eq!(queue.take(1), Some((vec!["a"], NOTHING)));
        assert_eq!(queue.take(1), None);
    }

    #[test]
    fn abandoned_entries_are_counted() {
        let queue = Queue::new(1000);
        queue.push("a");
        queue.push("b");
        queue.abandon();
        queue.push("c");
        assert_eq!((queue.lost(), queue.take(1)), (lost(2, 2), None));
    }

    #[test]
    fn push_wakes_consumer() {
        let queue = Queue::new(1000);
        std::thread::scope(|scope| {
            let consumer = scope.spawn(|| (queue.take(1), queue.take(1)));
            std::thread::sleep(std::time::Duration::from_millis(20));
            queue.push("a");
            queue.close();
            assert_eq!(consumer.join().unwrap(), (Some((vec!["a"], NOTHING)), None));
        });
    }
}
