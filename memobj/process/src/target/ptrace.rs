//! Every thread of a process held still by ptrace(2), and let go on every path out.
//!
//! The kernel knows a tracer by its *thread*: that alone may ask for anything, and when it ends, all that it traced run on, with signals
//! that were on their way, and stay stopped if job control had stopped them. So a thread of ours does nothing else. If a thread of the
//! target does not stop in time (one in vfork(2) or waiting for a dead disk cannot), ours just ends; that is the only way there is to
//! let go of a thread that was seized and has not stopped. If all of memobj is killed, its threads end too.
//!
//! No thread is told apart from being stopped by waiting for it: the kernel would take a stop that was waited for as dealt with, and
//! forget the signal that caused it. All waiting here only looks (`WNOWAIT`), which also leaves the end of a process to its parent,
//! which may be another thread of ours.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::procfs::{Stat, Status};
use common::process::ProcessState;

/// A stop for no signal, as seized threads have it: linux/ptrace.h.
const PTRACE_EVENT_STOP: i32 = 128;
/// For so long a thread that is to stop is asked without a break; it mostly takes less.
const SPIN_LIMIT: Duration = Duration::from_micros(300);
/// How much longer than the limit our own thread may take to say what became of it: it may wait in the kernel for an execve(2).
const GRACE: Duration = Duration::from_millis(500);
/// How long the kernel may take to let go of what a thread traced that has ended.
const RELEASE_LIMIT: Duration = Duration::from_millis(200);

/// Why a process could not be held.
#[derive(Debug)]
pub(super) enum StopError {
    /// It has ended.
    Gone,
    /// The kernel refused.
    Refused(io::Error),
    /// A thread did not stop in time.
    Timeout(Option<UnstoppedThread>),
    /// Our own thread could not be started.
    NoThread(io::Error),
}

/// A thread that did not stop.
#[derive(Debug)]
pub(super) struct UnstoppedThread {
    pub tid: u32,
    pub name: String,
    pub state: ProcessState,
}

/// How a seized thread is let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ThreadStop {
    /// Asked to stop; has not yet.
    Running,
    /// It stopped, by our wish or by job control.
    Stopped,
    /// It stopped on its way to take a signal, which is handed to it at its release.
    Signalled(Signal),
    /// The same with a signal that nix has no name for (a real-time one): the kernel hands it on when our thread ends.
    Nameless,
    /// It has ended.
    Ended,
}

/// A process whose threads all stand still. Dropped, they run on.
#[derive(Debug)]
pub(super) struct PtraceStop {
    pid: u32,
    /// Closed to say that it is to be let go.
    release: Option<Sender<()>>,
    thread: Option<JoinHandle<Instant>>,
    /// When the first thread was asked to stop.
    pub begun: Instant,
    /// How many threads stand still.
    pub threads: usize,
}

struct Stopped {
    begun: Instant,
    threads: usize,
}

impl PtraceStop {
    /// Stops every thread of the process within `limit`.
    pub fn stop(pid: u32, limit: Duration) -> Result<Self, StopError> {
        let (report, reported) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("holder".to_owned())
            .spawn(move || run_tracer(pid, limit, &report, &released))
            .map_err(StopError::NoThread)?;
        match reported.recv_timeout(limit.saturating_add(GRACE)) {
            Ok(Ok(Stopped { begun, threads })) => {
                Ok(Self { pid, release: Some(release), thread: Some(thread), begun, threads })
            }
            Ok(Err(trouble)) => {
                let _ = thread.join();
                wait_until_let_go(pid);
                Err(trouble)
            }
            // Ours waits in the kernel. When it comes back, it finds nobody to report to, and ends.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(StopError::Timeout(None)),
        }
    }

    /// Lets it run on; says when the last thread was let go.
    pub fn release(mut self) -> Instant {
        self.end()
    }

    fn end(&mut self) -> Instant {
        drop(self.release.take());
        let at = self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_else(Instant::now);
        wait_until_let_go(self.pid);
        at
    }
}

impl Drop for PtraceStop {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.end();
        }
    }
}

/// Our thread is merge_overlapping a moment before the kernel has taken it down, and with it what it still traced.
fn wait_until_let_go(pid: u32) {
    let deadline = Instant::now() + RELEASE_LIMIT;
    while is_traced_by_us(pid) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_micros(50));
    }
}

fn is_traced_by_us(pid: u32) -> bool {
    let tracer = |tid| status_of(pid, tid).and_then(|status| status.tracer);
    // The kernel names the thread.
    let is_ours = |tracer: u32| fs::exists(format!("/proc/self/task/{tracer}")).unwrap_or(false);
    tids(pid).unwrap_or_default().into_iter().filter_map(tracer).any(is_ours)
}

/// The life of our thread: when it let go of the last one.
fn run_tracer(
    pid: u32,
    limit: Duration,
    report: &Sender<Result<Stopped, StopError>>,
    released: &Receiver<()>,
) -> Instant {
    let mut tracer = Tracer { pid, deadline: Instant::now() + limit, begun: None, threads: BTreeMap::new() };
    let outcome = tracer.all();
    let threads = tracer.threads.values().filter(|stop| **stop != ThreadStop::Ended).count();
    let held = outcome.map(|()| Stopped { begun: tracer.begun.unwrap_or_else(Instant::now), threads });
    let is_held = held.is_ok();
    if report.send(held).is_ok() && is_held {
        // Nothing is ever sent: it ends when the other side is dropped.
        let _ = released.recv();
    }
    tracer.release();
    Instant::now()
}

struct Tracer {
    pid: u32,
    deadline: Instant,
    begun: Option<Instant>,
    threads: BTreeMap<u32, ThreadStop>,
}

impl Tracer {
    /// Seizes and stops all threads, also those that were born meanwhile: no new one comes when all of them stand still.
    fn all(&mut self) -> Result<(), StopError> {
        loop {
            let listed = tids(self.pid).map_err(|_| StopError::Gone)?;
            let fresh: Vec<u32> = listed.into_iter().filter(|tid| !self.threads.contains_key(tid)).collect();
            if fresh.is_empty() {
                break;
            }
            // Seized first, which stops nobody, so that they then stop as close together as can be.
            for &tid in &fresh {
                let stop = self.seize(tid)?;
                self.threads.insert(tid, stop);
            }
            self.begun.get_or_insert_with(Instant::now);
            for &tid in &fresh {
                self.interrupt(tid);
            }
            for &tid in &fresh {
                self.await_stop(tid)?;
            }
        }
        let any = self.threads.values().any(|stop| *stop != ThreadStop::Ended);
        if any { Ok(()) } else { Err(StopError::Gone) }
    }

    fn seize(&self, tid: u32) -> Result<ThreadStop, StopError> {
        // Without options: not PTRACE_O_EXITKILL above all, by which the target would die with us.
        match ptrace::seize(raw(tid), ptrace::Options::empty()) {
            Ok(()) => Ok(ThreadStop::Running),
            Err(Errno::ESRCH) => Ok(ThreadStop::Ended),
            // So the kernel calls threads that have ended, too.
            Err(Errno::EPERM) if self.has_ended(tid) => Ok(ThreadStop::Ended),
            Err(error) => Err(StopError::Refused(error.into())),
        }
    }

    fn has_ended(&self, tid: u32) -> bool {
        stat_of(self.pid, tid).is_none_or(|stat| stat.state.has_ended())
    }

    fn interrupt(&mut self, tid: u32) {
        if self.threads.get(&tid) == Some(&ThreadStop::Running) && ptrace::interrupt(raw(tid)).is_err() {
            self.threads.insert(tid, ThreadStop::Ended);
        }
    }

    fn await_stop(&mut self, tid: u32) -> Result<(), StopError> {
        let asked = Instant::now();
        let mut nap = Duration::from_micros(20);
        while self.threads.get(&tid) == Some(&ThreadStop::Running) {
            let stop = poll_stop(tid);
            if stop != ThreadStop::Running {
                self.threads.insert(tid, stop);
                break;
            }
            let now = Instant::now();
            if now >= self.deadline {
                let stat = stat_of(self.pid, tid);
                let stuck = |stat: Stat| UnstoppedThread { tid, name: stat.name, state: stat.state };
                return Err(StopError::Timeout(stat.map(stuck)));
            }
            if now.duration_since(asked) < SPIN_LIMIT {
                std::thread::yield_now();
            } else {
                std::thread::sleep(nap);
                nap = (nap * 2).min(Duration::from_millis(2));
            }
        }
        Ok(())
    }

    /// Lets go of all that stopped. Of the others the kernel lets go when this thread ends.
    fn release(&mut self) {
        for (&tid, stop) in &self.threads {
            let signal = match stop {
                ThreadStop::Stopped => None,
                ThreadStop::Signalled(signal) => Some(*signal),
                ThreadStop::Running | ThreadStop::Nameless | ThreadStop::Ended => continue,
            };
            // It may have been killed meanwhile; then there is nothing to let go.
            let _ = ptrace::detach(raw(tid), signal);
        }
    }
}

/// What a thread that was asked to stop is doing.
fn poll_stop(tid: u32) -> ThreadStop {
    let options = WaitPidFlag::WNOHANG
        | WaitPidFlag::WNOWAIT
        | WaitPidFlag::WSTOPPED
        | WaitPidFlag::WEXITED
        | WaitPidFlag::__WALL
        | WaitPidFlag::__WNOTHREAD;
    match waitid(Id::Pid(raw(tid)), options) {
        Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => ThreadStop::Running,
        Ok(WaitStatus::PtraceEvent(_, signal, 0)) => ThreadStop::Signalled(signal),
        Ok(WaitStatus::PtraceEvent(_, _, PTRACE_EVENT_STOP)) => ThreadStop::Stopped,
        Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) | Err(Errno::ECHILD | Errno::ESRCH) => {
            ThreadStop::Ended
        }
        Ok(_) => ThreadStop::Stopped,
        // nix has no word for the signal.
        Err(_) => ThreadStop::Nameless,
    }
}

fn raw(tid: u32) -> Pid {
    Pid::from_raw(tid.cast_signed())
}

/// The threads of a process.
pub(super) fn tids(pid: u32) -> io::Result<Vec<u32>> {
    let mut tids = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        tids.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    tids.sort_unstable();
    Ok(tids)
}

/// `stat` of a thread; `None` if it has ended.
pub(super) fn stat_of(pid: u32, tid: u32) -> Option<Stat> {
    Stat::parse(&fs::read(format!("/proc/{pid}/task/{tid}/stat")).ok()?)
}

/// `status` of a thread; `None` if it has ended.
pub(super) fn status_of(pid: u32, tid: u32) -> Option<Status> {
    fs::read(format!("/proc/{pid}/task/{tid}/status")).ok().map(|text| Status::parse(&text))
}
