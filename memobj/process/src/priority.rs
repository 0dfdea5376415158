//! The priority of the calling thread: its nice value, setpriority(2), or a real-time policy, sched(7). Linux has one for each thread; a new
//! thread inherits it.
//!
//! ```
//! std::thread::spawn(|| memobj_process::priority::lower(19)).join().unwrap();
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
    real_time: Option<real_time::Raised>,
    /// It belongs to its thread.
    _thread: PhantomData<*const ()>,
}

impl Drop for Raised {
    fn drop(&mut self) {
        if let Some(raised) = self.real_time.take() {
            raised.restore();
        }
        self.before.map(set);
    }
}

impl Raised {
    /// Keeps the priority until the thread ends.
    pub fn keep(mut self) {
        self.real_time = None;
        self.before = None;
    }
}

/// Gives this thread the best nice value that it may have.
#[must_use]
pub fn raise() -> Raised {
    let before = current().filter(|&before| {
        let limit = getrlimit(Resource::Nice).current.map_or(0, |limit| i32::try_from(limit).unwrap_or(0));
        let permitted = RLIMIT_NICE_OFFSET.saturating_sub(limit);
        set(BEST) || permitted < before && set(permitted)
    });
    Raised { before, real_time: None, _thread: PhantomData }
}

/// Gives this thread the lowest real-time priority, which needs CAP_SYS_NICE or RLIMIT_RTPRIO, or else the best nice value that it may have.
///
/// A nice value is weighed only against threads of the same session, where the kernel groups those (`sched_autogroup_enabled`): on 2 busy
/// processors, threads of nice -20 waited for 250 ms, real-time ones for 0.3 ms.
#[must_use]
pub fn raise_to_real_time() -> Raised {
    let before = current();
    match real_time::raise() {
        // Its end sets another nice value.
        Some(raised) => Raised { before, real_time: Some(raised), _thread: PhantomData },
        None => raise(),
    }
}

/// The real-time policy SCHED_RR: sched(7).
mod real_time {
    use thread_priority::{
        RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
        thread_native_id, thread_schedule_policy,
    };

    /// What the crate makes the nice value 0.
    const NORMAL: u8 = 49;

    /// A thread with a real-time priority: its policy before.
    #[derive(Debug)]
    pub(super) struct Raised(ThreadSchedulePolicy);

    /// Gives this thread the lowest real-time priority, unless it has one, or must not.
    pub(super) fn raise() -> Option<Raised> {
        let before = thread_schedule_policy().ok();
        let before = before.filter(|before| matches!(before, ThreadSchedulePolicy::Normal(_)))?;
        let round_robin = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin);
        set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, round_robin).ok()?;
        Some(Raised(before))
    }

    impl Raised {
        /// Gives the thread its policy again, and a nice value of 0.
        pub fn restore(self) {
            let Ok(normal) = ThreadPriority::try_from(NORMAL) else { return };
            // Permitted: it is no better than what it had.
            let _ = set_thread_priority_and_policy(thread_native_id(), normal, self.0);
        }
    }
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
    getpriority_process(None).ok()
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
        // The 41st field is the policy: proc_pid_stat(5).
        let policy = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            let fields = stat.rsplit_once(") ").unwrap().1.split(' ').nth(41 - 3).map(str::to_owned);
            fields.unwrap()
        };
        let before = (current(), policy());
        for raise in [raise, raise_to_real_time] {
            let raised = raise();
            let during = (current(), policy());
            drop(raised);
            let is_better = during.1 != before.1 || during.0 <= before.0;
            assert!(is_better, "{during:?} after {before:?}");
            assert_eq!((current(), policy()), before);
        }

        // SCHED_RR, for a user who may have it. A thread that is about to end may keep it.
        let keeping = move || {
            raise_to_real_time().keep();
            (current(), policy())
        };
        let kept = std::thread::spawn(keeping).join().unwrap();
        let is_root = rustix::process::geteuid().is_root();
        assert!(!is_root || kept.1 == "2" || kept.0 == Some(BEST), "{kept:?}");
    }
}
