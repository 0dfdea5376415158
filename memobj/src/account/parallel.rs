//! Work on numbered things, shared among threads.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Numbers that a thread takes at once.
const PART: usize = 16;

/// Hands out the numbers below an end, some at a time.
pub(super) struct Parts<'n> {
    next: &'n AtomicUsize,
    end: usize,
}

impl Iterator for Parts<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let start = self.next.fetch_add(PART, Ordering::Relaxed);
        (start < self.end).then(|| start..start.saturating_add(PART).min(self.end))
    }
}

/// Calls `work` on each of `threads` threads; together they get each number below `end` once. The result of a thread that panicked is
/// missing.
pub(super) fn in_parts<T: Send>(threads: usize, end: usize, work: impl Fn(Parts<'_>) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let work = || work(Parts { next: &next, end });
    if threads <= 1 {
        return vec![work()];
    }
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    })
}
