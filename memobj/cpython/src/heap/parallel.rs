//! Work on numbered things, shared among threads.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Scope, ScopedJoinHandle};

use memobj_process::error::Error;

use crate::stage;

/// Hands out the numbers below an end, some at a time.
pub struct Parts<'n> {
    next: &'n AtomicUsize,
    end: usize,
    step: usize,
}

impl Iterator for Parts<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let start = self.next.fetch_add(self.step, Ordering::Relaxed);
        (start < self.end).then(|| start..start.saturating_add(self.step).min(self.end))
    }
}

/// Calls `work` on each of `threads` threads; together they get each number below `end` once, `step` at a time.
///
/// # Errors
/// A thread could not be started, or panicked.
pub fn in_parts<T: Send>(
    threads: usize,
    end: usize,
    step: usize,
    work: impl Fn(Parts<'_>) -> T + Sync,
) -> Result<Vec<T>, Error> {
    let next = AtomicUsize::new(0);
    let work = || work(Parts { next: &next, end, step });
    if threads <= 1 {
        return Ok(vec![work()]);
    }
    std::thread::scope(|scope| {
        join_all((0..threads).map(|_| start(scope, work)).collect::<Result<_, Error>>()?)
    })
}

/// Starts a thread.
///
/// # Errors
/// The system refuses one: it has a limit of threads and of address space.
pub fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, Error> {
    std::thread::Builder::new().spawn_scoped(scope, work).map_err(|error| {
        let hint = "raise the limits (`ulimit -u`, `ulimit -v`)";
        Error::new(stage::HEAP, format!("cannot start a thread: {error}"), hint)
    })
}

/// Waits for threads; returns their results in order.
///
/// # Errors
/// A thread panicked.
pub fn join_all<T>(workers: Vec<ScopedJoinHandle<'_, T>>) -> Result<Vec<T>, Error> {
    let panicked = |_| {
        let hint = "please report it, with a snapshot (--save-snapshot) if you may share one";
        Error::new(stage::HEAP, "internal error: a worker thread panicked", hint)
    };
    workers.into_iter().map(|worker| worker.join().map_err(panicked)).collect()
}
