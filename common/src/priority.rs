//! The priority of the calling thread: its nice value, setpriority(2). Linux has one for each thread; a new thread inherits it.
//!
//! ```
//! std::thread::spawn(|| common::priority::lower(19)).join().unwrap();
//! ```

use std::marker::PhantomData;

use rustix::process::{Resource, getpriority_process, getrlimit, setpriority_process};

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
    fn lowered_priority_is_of_one_thread() {
        let before = current();
        let lowered = std::thread::spawn(|| {
            lower(19);
            // It is not raised again.
            lower(5);
            let inherited = std::thread::spawn(current).join().unwrap();
            (current(), inherited)
        });
        assert_eq!(lowered.join().unwrap(), (Some(19), Some(19)));
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
