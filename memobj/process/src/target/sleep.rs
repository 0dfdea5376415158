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
//! A process that shares the memory is not covered, as it is not covered by a stop: one of clone(2) with CLONE_VM and without CLONE_THREAD. The
//! parent of vfork(2) waits in state D, and a thread in this state is not taken for asleep. Nor is data that the kernel or a device delivers
//! for a sleeping thread (io_uring, AIO), or that a debugger or a peer writes (process_vm_writev(2)): a thread in a debugger's stop (state t) is
//! not taken for asleep either.

use std::fs;
use std::time::Instant;

use common::process::ProcessState;

use super::procfs::{self, Status};

/// The threads of a process, all of which were asleep when they were looked at.
#[derive(Debug)]
pub(super) struct SleepingThreads {
    pid: u32,
    /// The number of each, and how often it had left a processor.
    threads: Vec<(u32, u64)>,
}

impl SleepingThreads {
    /// Looks at all threads of a process until `deadline`. `None` if one is awake, if the time does not suffice, or if the kernel does not
    /// show what is needed.
    pub fn look(pid: u32, deadline: Instant) -> Option<Self> {
        let mut threads = Vec::new();
        for tid in procfs::tids(pid).ok()? {
            let status = procfs::thread_status(pid, tid).filter(is_asleep)?;
            threads.push((tid, status.switches?));
            if Instant::now() >= deadline {
                return None;
            }
        }
        let status = Status::parse(&fs::read(format!("/proc/{pid}/status")).ok()?);
        (status.threads == Some(threads.len())).then_some(Self { pid, threads })
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
            is_off_processor(self.pid, tid)
                && procfs::thread_status(self.pid, tid)
                    .is_some_and(|status| status.switches == Some(switches))
        })
    }

    /// Their number.
    pub const fn len(&self) -> usize {
        self.threads.len()
    }
}

fn is_asleep(status: &Status) -> bool {
    matches!(status.state, ProcessState::Sleeping | ProcessState::Stopped | ProcessState::Idle)
}

/// Whether the kernel makes sure that a thread is on no processor. False where the file is missing (CONFIG_HAVE_ARCH_TRACEHOOK) or forbidden.
fn is_off_processor(pid: u32, tid: u32) -> bool {
    let text = fs::read(format!("/proc/{pid}/task/{tid}/syscall")).unwrap_or_default();
    // A line of numbers; a system without this file's meaning may show anything else.
    let first = text.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    std::str::from_utf8(first).is_ok_and(|number| number.parse::<i64>().is_ok())
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
            let look = SleepingThreads::look(sleeper.0.id(), deadline);
            if let Some(asleep) = look.filter(SleepingThreads::have_slept) {
                break asleep;
            }
            assert!(Instant::now() < deadline, "it never slept");
        };
        assert!(asleep.len() == 1 && asleep.seem_asleep() && asleep.have_slept());
        assert!(SleepingThreads::look(sleeper.0.id(), Instant::now()).is_none(), "no time is no look");

        let forged = SleepingThreads {
            pid: asleep.pid,
            threads: asleep.threads.iter().map(|&(tid, n)| (tid, n + 1)).collect(),
        };
        assert!(!forged.seem_asleep() && !forged.have_slept());
        drop(sleeper);
        assert!(!asleep.seem_asleep() && !asleep.have_slept());

        // We run while we look at ourselves.
        assert!(SleepingThreads::look(std::process::id(), within(60)).is_none());
        assert!(!is_off_processor(u32::MAX, 1));
    }
}
