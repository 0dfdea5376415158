//! The priority of the calling thread: its nice value, setpriority(2). Linux has one for each thread; a new thread inherits it.
//!
//! ```
//! std::thread::spawn(|| common::priority::lower(19)).join().unwrap();
//! ```

use std::marker::PhantomData;

use rustix::process::{Pid, Resource, getpriority_process, getrlimit, setpriority_process};

/// The best nice value.
const BEST: i32 = -20;
/// RLIMIT_NICE is 20 minus the best nice value that a process without CAP_SYS_NICE may have: getrlimit(2).
const RLIMIT_NICE_OFFSET: i32 = 20;

/// A thread with a better priority, until this is dropped there.
#[derive(Debug)]
pub struct Raised {
    before: Option<i32>,
    /// It belongs to its thread.
    _thread: PhantomData<*const ()>,
}

impl Drop for Raised {
    fn drop(&mut self) {
        self.before.map(set);
    }
}

/// Gives this thread the best priority that it may have.
#[must_use]
pub fn raise() -> Raised {
    let before = current().filter(|&before| {
        let limit = getrlimit(Resource::Nice).current.map_or(0, |limit| i32::try_from(limit).unwrap_or(0));
        let permitted = RLIMIT_NICE_OFFSET.saturating_sub(limit);
        set(BEST) || permitted < before && set(permitted)
    });
    Raised { before, _thread: PhantomData }
}

/// Gives this thread the nice value `nice`, unless its own is higher, which is a lower priority.
pub fn lower(nice: i32) {
    if current().is_some_and(|now| now < nice) {
        set(nice);
    }
}

/// Gives all threads of this program a nice value of at most `nice`, where the system permits it: the last thread that exits releases the
/// memory of all, and whoever waits for the program waits for that thread to get a processor.
pub fn raise_all(nice: i32) {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return };
    let numbers = threads.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for thread in numbers.filter_map(Pid::from_raw) {
        if getpriority_process(Some(thread)).is_ok_and(|now| now > nice) {
            // Without CAP_SYS_NICE it keeps its priority, or has exited.
            let _ = setpriority_process(Some(thread), nice);
        }
    }
}

/// The nice value of this thread.
#[must_use]
pub fn current() -> Option<i32> {
    // 0 is the calling thread. Elsewhere it is the whole process, which we leave alone.
    if cfg!(target_os = "linux") { getpriority_process(None).ok() } else { None }
}

fn set(nice: i32) -> bool {
    setpriority_process(None, nice).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_have_priorities_of_their_own() {
        let before = current();
        let lowered = std::thread::spawn(|| {
            lower(19);
            // It is not raised again.
            lower(5);
            let inherited = std::thread::spawn(current).join().unwrap();
            (current(), inherited)
        });
        assert_eq!(lowered.join().unwrap(), (Some(19), Some(19)));

        // In the same test, because it raises the threads of other tests as well.
        let (lowered, is_lowered) = std::sync::mpsc::channel();
        let (raised, is_raised) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            lower(19);
            lowered.send(()).unwrap();
            is_raised.recv().unwrap();
            current()
        });
        is_lowered.recv().unwrap();
        raise_all(18);
        raised.send(()).unwrap();
        let after = thread.join().unwrap();
        let may_raise = || {
            lower(19);
            set(18)
        };
        let permitted = std::thread::spawn(may_raise).join().unwrap();
        assert_eq!(after, Some(if permitted { 18 } else { 19 }));
        assert_eq!(current(), before);
    }

    #[test]
    fn raised_priority_is_restored() {
        let before = current();
        let raised = raise();
        let during = current();
        drop(raised);
        assert!(during <= before, "{during:?} after {before:?}");
        assert_eq!(current(), before);
    }
}
