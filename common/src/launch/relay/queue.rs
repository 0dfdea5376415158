//! A queue that never makes its producer wait: full, it loses its oldest entries and counts them.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What an entry takes in memory beside its bytes, about: a command that prints nothing but line ends is held to the limit
/// as well.
const OVERHEAD_BYTES: usize = 64;

/// Something that waits in a [`Queue`].
pub(super) trait Entry {
    /// Its bytes in memory.
    fn size_bytes(&self) -> usize;
    /// How many of the command's lines end in it.
    fn lines(&self) -> u64;
}

/// What the command printed and nobody took in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// Lines whose end was lost.
    pub lines: u64,
    /// All bytes that were lost.
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
    /// Since entries were last taken.
    lost: Lost,
    /// Before that.
    lost_before: Lost,
    is_closed: bool,
}

/// See the module.
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
        // Nothing panics while it holds the lock, and a relay that stops would stop the command.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `entry` at the end. Whether the queue was empty. A closed queue takes nothing.
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

    /// Waits for entries and takes them from the front until their bytes reach `enough`, with what was lost before
    /// them since the last time. `None` once the queue is closed and empty.
    pub(super) fn take(&self, enough: usize) -> Option<(Vec<T>, Lost)> {
        let mut state = self
            .changed
            .wait_while(self.lock(), |state| state.entries.is_empty() && !state.is_closed)
            .unwrap_or_else(PoisonError::into_inner);
        let taken = state.take(enough);
        (!taken.0.is_empty()).then_some(taken)
    }

    /// Takes all that is there, with what was lost before it since the last time. Does not wait.
    pub(super) fn take_all(&self) -> (Vec<T>, Lost) {
        self.lock().take(usize::MAX)
    }

    /// Ends the queue: what is in it can be taken, nothing more comes in.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Ends the queue and gives up what is in it.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        while let Some(entry) = state.pop() {
            state.lost.add(&entry);
        }
    }

    /// What was lost so far.
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
    fn the_oldest_are_lost_and_counted() {
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
    fn empty_lines_take_room_too() {
        let queue = Queue::new(10 * OVERHEAD_BYTES);
        for _ in 0..100 {
            queue.push("");
        }
        assert_eq!(queue.take_all(), (vec![""; 10], lost(90, 0)));
    }

    #[test]
    fn a_closed_queue_can_be_emptied_but_takes_nothing() {
        let queue = Queue::new(1000);
        queue.push("a");
        queue.close();
        queue.push("b");
        assert_eq!(queue.take(1), Some((vec!["a"], NOTHING)));
        assert_eq!(queue.take(1), None);
    }

    #[test]
    fn what_was_abandoned_is_counted() {
        let queue = Queue::new(1000);
        queue.push("a");
        queue.push("b");
        queue.abandon();
        queue.push("c");
        assert_eq!((queue.lost(), queue.take(1)), (lost(2, 2), None));
    }

    #[test]
    fn a_waiting_consumer_is_woken() {
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
