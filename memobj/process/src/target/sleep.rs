//! Proof that no thread of a process ran for a while, without any effect on it.
//!
//! The kernel counts how often it took a thread off its processor: `voluntary_ctxt_switches` + `nonvoluntary_ctxt_switches` of
//! proc_pid_status(5), incremented in `__schedule` (kernel/sched/core.c) before the switch. The proof reads, in this order:
//!
//! 1. the list of threads, and the counters of each;
//! 2. the number of threads, `Threads:` of the process: it must be the length of the list;
//! 3. what the caller does meanwhile;
//! 4. `/proc/PID/task/TID/syscall` of each thread: it must not say `running`;
//! 5. the counters of the thread again: they must be the same.
//!
//! Then no thread ran from 2 to 4. The kernel fills `syscall` only after it held the lock of the thread's run queue and saw that the thread
//! was on no processor (`task_current_syscall`, lib/syscall.c, and `wait_task_inactive`). So each thread was off its processor at 4. Had it
//! run at any moment between 1 and 4, it would have been taken off since, and counted. The state alone proves nothing: a thread sets it to S
//! before it leaves its processor, and runs again before anybody looks.
//!
//! No thread is missing from the list: at 2 all threads of the list existed, because they did at 1 and at 5 and did not run, and their number
//! was that of all threads. A thread can only be created by one that runs. That covers fork(2) and execve(2) too, and the kernel's threads
//! that work for io_uring, which are threads of the process.
//!
//! **Threads that are stopped.** The same proof holds if some threads are stopped by ptrace(2) before 1 and until after 5: they do not run
//! either, and exist at 2. So only threads that run have to be stopped ([`Look`] finds them), and those that sleep are left alone.
//!
//! A process that shares the memory is not covered, as it is not covered by a stop: one of clone(2) with CLONE_VM and without CLONE_THREAD. The
//! parent of vfork(2) waits in state D, and a thread in this state is not taken for asleep. Nor is data that the kernel or a device delivers
//! for a sleeping thread (io_uring, AIO), or that a debugger or a peer writes (process_vm_writev(2)): a thread in a debugger's stop (state t) is
//! not taken for asleep either.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use common::process::ProcessState;

use super::procfs::{self, Status};
use super::system_call::{InCall, in_call};

/// The threads of a process, all of which were asleep when they were looked at, apart from those that are stopped.
#[derive(Debug)]
pub(super) struct SleepingThreads {
    pid: u32,
    /// The number of each, and how often it had left a processor.
    threads: Vec<(u32, u64)>,
    stopped: usize,
}

impl SleepingThreads {
    /// Looks at all threads of a process until `deadline`, apart from those that are `stopped` and remain so. `None` if one is awake, if the
    /// time does not suffice, or if the kernel does not show what is needed.
    pub fn look(pid: u32, stopped: &BTreeSet<u32>, deadline: Instant) -> Option<Self> {
        let mut threads = Vec::new();
        for tid in procfs::tids(pid).ok()?.into_iter().filter(|tid| !stopped.contains(tid)) {
            let status = procfs::thread_status(pid, tid).filter(is_asleep)?;
            threads.push((tid, status.switches?));
            if Instant::now() >= deadline {
                return None;
            }
        }
        let status = Status::parse(&procfs::read_short(&format!("/proc/{pid}/status")).ok()?);
        let stopped = stopped.len();
        (status.threads == Some(threads.len() + stopped)).then_some(Self { pid, threads, stopped })
    }

    /// Whether none ran since the look, as far as the counters say: this is no proof.
    pub fn seem_asleep(&self) -> bool {
        self.threads.iter().all(|&(tid, switches)| {
            procfs::thread_status(self.pid, tid)
                .is_some_and(|status| is_asleep(&status) && status.switches == Some(switches))
        })
    }

    /// Whether it is proven that none ran between the end of the look and the begin of this call.
    pub fn have_slept(&self) -> bool {
        self.threads.iter().all(|&(tid, switches)| {
            in_call(self.pid, tid).is_off_processor()
                && procfs::thread_status(self.pid, tid)
                    .is_some_and(|status| status.switches == Some(switches))
        })
    }

    /// Their number, with those that were stopped.
    pub const fn len(&self) -> usize {
        self.threads.len() + self.stopped
    }
}

/// How often each thread of a running process left a processor, by its number in its own pid namespace. Empty if the process has exited, or
/// the kernel does not show it.
#[must_use]
pub fn thread_switches(pid: u32) -> BTreeMap<u32, u64> {
    let statuses = procfs::tids(pid).unwrap_or_default().into_iter();
    let statuses = statuses.filter_map(|tid| Some((tid, procfs::thread_status(pid, tid)?)));
    statuses.filter_map(|(tid, status)| Some((status.inner.unwrap_or(tid), status.switches?))).collect()
}

/// What the threads of a process do at a moment, as far as it matters to a stop of those that run. It proves nothing.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Threads that run, or wait for a processor.
    pub awake: Vec<u32>,
    /// Threads that sleep in a system call that a stop would end early, with the number of their switches.
    pub fragile: Vec<(u32, u64)>,
    /// Threads that sleep in a system call that the kernel goes on with after a stop, with the number of their switches.
    pub robust: Vec<(u32, u64)>,
}

impl Look {
    /// Looks at all threads of a process. `None` if one is in a state in which it can neither be stopped nor be left alone.
    pub fn at(pid: u32) -> Option<Self> {
        let mut look = Self::default();
        for tid in procfs::tids(pid).ok()? {
            let status = procfs::thread_status(pid, tid)?;
            match in_call(pid, tid) {
                _ if status.state == ProcessState::Running => look.awake.push(tid),
                _ if !is_asleep(&status) => return None,
                InCall::Running => look.awake.push(tid),
                InCall::Robust => look.robust.push((tid, status.switches?)),
                InCall::Fragile => look.fragile.push((tid, status.switches?)),
                InCall::Unknown => return None,
            }
        }
        Some(look)
    }
}

fn is_asleep(status: &Status) -> bool {
    matches!(status.state, ProcessState::Sleeping | ProcessState::Stopped | ProcessState::Idle)
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};
    use std::time::Duration;

    use super::*;

    struct Ending(Child);

    impl Drop for Ending {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn within(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    #[test]
    fn sleeper_is_proven_and_runner_is_not() {
        let sleeper = Ending(Command::new("sleep").arg("600").spawn().unwrap());
        let deadline = within(60);
        let asleep = loop {
            let look = SleepingThreads::look(sleeper.0.id(), &BTreeSet::new(), deadline);
            if let Some(asleep) = look.filter(SleepingThreads::have_slept) {
                break asleep;
            }
            assert!(Instant::now() < deadline, "it never slept");
        };
        assert!(asleep.len() == 1 && asleep.seem_asleep() && asleep.have_slept());
        let look = |pid, deadline| SleepingThreads::look(pid, &BTreeSet::new(), deadline);
        assert!(look(sleeper.0.id(), Instant::now()).is_none(), "no time is no look");
        let other = BTreeSet::from([std::process::id()]);
        let miscounted = SleepingThreads::look(sleeper.0.id(), &other, deadline);
        assert!(miscounted.is_none(), "a stopped thread that is not in the list");

        let forged = SleepingThreads {
            pid: asleep.pid,
            threads: asleep.threads.iter().map(|&(tid, n)| (tid, n + 1)).collect(),
            stopped: 0,
        };
        assert!(!forged.seem_asleep() && !forged.have_slept());
        drop(sleeper);
        assert!(!asleep.seem_asleep() && !asleep.have_slept());

        // We run while we look at ourselves.
        assert!(look(std::process::id(), within(60)).is_none());
        assert!(!in_call(u32::MAX, 1).is_off_processor());
    }
}
