//! Pauses every thread of a process by ptrace(2), and resumes them on every path out.
//!
//! For the kernel a tracer is a *thread*: no other may make requests, and when it exits, the kernel resumes all that it traced, delivers
//! their pending signals, and leaves those stopped that job control had stopped. So one thread of ours traces and does nothing else. If a
//! thread of the target does not stop in time (in vfork(2), or waiting for a dead disk), ours exits: there is no other way to release a
//! thread that was seized and has not stopped. If memobj is killed, its threads exit too.
//!
//! The longest pause is kept by the same thread: it releases the target when the time is over, whatever the thread that copies waits for.
//! Threads in state D could not be stopped, so their states are looked at before any thread is interrupted.
//!
//! All waits peek (`WNOWAIT`): after a real wait the kernel regards the stop as handled, and drops the signal that caused it. Peeking also
//! leaves the exit of a process to its parent, which may be another thread of ours.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fs, io};

use common::process::ProcessState;
use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::processor::ended_call;
use super::procfs::{thread_state, thread_status, tids};
use super::system_call::{InCall, in_call, is_cut_short};
use super::watchdog::{self, Watched};
use crate::priority::{self, Raised};

/// The stop of a seized thread without a signal: linux/ptrace.h.
const PTRACE_EVENT_STOP: i32 = 128;
/// How long to poll a stopping thread without sleeping; most stop sooner.
const SPIN_LIMIT: Duration = Duration::from_micros(300);
/// How much longer than the limit our own thread may take to report: the kernel may block it during an execve(2).
const GRACE: Duration = Duration::from_millis(500);
/// How long it takes to release a thread.
const RELEASE_TIME: Duration = Duration::from_micros(5);
/// The pause between two looks at threads in state D.
const BLOCKED_PAUSE: Duration = Duration::from_millis(2);
/// How long the kernel may take to release the threads of a tracer that has exited.
const RELEASE_LIMIT: Duration = Duration::from_millis(200);

/// How often a tracing thread looks whether it has to end its pause early.
const LET_GO_PAUSE: Duration = Duration::from_millis(5);

/// The number of tracing threads that may have paused something.
static TRACING: AtomicUsize = AtomicUsize::new(0);
/// Whether they release all that they have paused, and pause nothing.
static LETS_GO: AtomicBool = AtomicBool::new(false);

/// Resumes all processes that are paused, and pauses none while `f` runs: what may stop ourselves.
pub fn without_stops(f: impl FnOnce()) {
    LETS_GO.store(true, Ordering::SeqCst);
    let deadline = Instant::now() + RELEASE_LIMIT;
    while TRACING.load(Ordering::SeqCst) > 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    f();
    LETS_GO.store(false, Ordering::SeqCst);
}

fn lets_go() -> bool {
    LETS_GO.load(Ordering::SeqCst)
}

/// Why a process could not be paused.
#[derive(Debug)]
pub(super) enum StopError {
    /// It has exited.
    Exited,
    /// The kernel refused permission.
    Refused(io::Error),
    /// A thread did not stop in time: its number, name and state. The time during which others were paused, from the first request on, and
    /// the number of their calls that were cut short.
    Timeout(Option<(u32, String, ProcessState)>, Duration, u64),
    /// Our own thread could not be created.
    NoThread(io::Error),
    /// None of the threads that were to be paused runs.
    Asleep,
    /// The watchdog could not be started.
    NoWatchdog(io::Error),
}

/// The threads to pause.
#[derive(Debug, Clone)]
pub(super) enum Choice {
    /// All of them.
    All,
    /// Those that run, and these if they sleep in a call that the kernel goes on with after a stop.
    Awake(BTreeSet<u32>),
}

/// The state of a seized thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ThreadStop {
    /// It sleeps in a call that a stop would end early: it is left alone.
    LeftAlone,
    /// It was asked to stop and has not stopped yet.
    Running,
    /// It stopped, at our request or by job control.
    Stopped,
    /// It stopped while it took a signal, which is delivered at its release.
    Signalled(Signal),
    /// The same with a real-time signal, which nix cannot name: the kernel delivers it when our thread exits.
    SignalledRealTime,
    /// It has exited.
    Exited,
}

/// The begin of a pause: the moment of the first request to stop, the paused threads and the number of calls that were cut short.
type Stopped = (Instant, BTreeSet<u32>, u64);

/// The end of a pause.
#[derive(Debug, Clone, Copy)]
pub(super) struct Release {
    /// The moment at which the last thread was released.
    pub at: Instant,
    /// Whether the longest pause was over before anybody asked for the release.
    pub time_over: bool,
}

/// A process whose threads are all paused. Dropping it resumes them.
#[derive(Debug)]
pub(super) struct PtraceStop {
    pid: u32,
    /// Our thread, which releases it when the sender is dropped.
    tracer: Option<(Sender<()>, JoinHandle<Release>)>,
    /// When the first thread was asked to stop.
    pub begun: Instant,
    /// The paused threads.
    pub threads: BTreeSet<u32>,
    /// System calls that the pause ended early.
    pub cut_short: u64,
}

impl PtraceStop {
    /// Pauses the chosen threads of the process within `limit`, for `longest` at most.
    pub fn stop(
        pid: u32,
        choice: Choice,
        limit: Duration,
        longest: Option<Duration>,
    ) -> Result<Self, StopError> {
        let limit = longest.map_or(limit, |longest| limit.min(longest));
        watchdog::prepare().map_err(StopError::NoWatchdog)?;
        if matches!(choice, Choice::All) {
            await_interruptible(pid, limit)?;
        }
        let (report, reported) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("tracer".to_owned())
            .spawn(move || run_tracer(pid, choice, (limit, longest), &report, &released))
            .map_err(StopError::NoThread)?;
        match reported.recv_timeout(limit.saturating_add(GRACE)) {
            Ok(Ok((begun, threads, cut_short))) => {
                Ok(Self { pid, tracer: Some((release, thread)), begun, threads, cut_short })
            }
            Ok(Err(error)) => {
                let _ = thread.join();
                wait_until_released(pid);
                Err(error)
            }
            // Our thread is blocked in the kernel. It exits when it finds that nothing receives its report.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err(StopError::Timeout(None, limit.saturating_add(GRACE), 0))
            }
        }
    }

    /// Resumes it.
    pub fn release(mut self) -> Release {
        self.end()
    }

    fn end(&mut self) -> Release {
        let none = || Release { at: Instant::now(), time_over: false };
        let Some((release, thread)) = self.tracer.take() else { return none() };
        drop(release);
        let released = thread.join().unwrap_or_else(|_| none());
        wait_until_released(self.pid);
        released
    }
}

impl Drop for PtraceStop {
    fn drop(&mut self) {
        self.end();
    }
}

/// A thread can be joined a moment before the kernel releases what it traced.
fn wait_until_released(pid: u32) {
    let deadline = Instant::now() + RELEASE_LIMIT;
    while is_traced_by_us(pid) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_micros(50));
    }
}

fn is_traced_by_us(pid: u32) -> bool {
    let tracer = |tid| thread_status(pid, tid).and_then(|status| status.tracer);
    // The kernel reports the tracing thread.
    let is_ours = |tracer: u32| fs::exists(format!("/proc/self/task/{tracer}")).unwrap_or(false);
    tids(pid).unwrap_or_default().into_iter().filter_map(tracer).any(is_ours)
}

/// Waits until no thread is in state D: such a thread cannot be stopped, and the others would be paused for nothing.
fn await_interruptible(pid: u32, limit: Duration) -> Result<(), StopError> {
    let deadline = Instant::now() + limit;
    loop {
        let blocked = tids(pid).map_err(|_| StopError::Exited)?.into_iter().find_map(|tid| {
            let (name, state) = thread_state(pid, tid)?;
            (state == ProcessState::DiskSleep).then_some((tid, name, state))
        });
        match blocked {
            None => return Ok(()),
            Some(thread) if Instant::now() >= deadline => {
                return Err(StopError::Timeout(Some(thread), Duration::ZERO, 0));
            }
            Some(_) => std::thread::sleep(BLOCKED_PAUSE),
        }
    }
}

/// Traces until the release is asked for or the longest pause is over. `limits` are the time until all threads are stopped, and the longest
/// pause.
fn run_tracer(
    pid: u32,
    choice: Choice,
    (limit, longest): (Duration, Option<Duration>),
    report: &Sender<Result<Stopped, StopError>>,
    released: &Receiver<()>,
) -> Release {
    priority::raise().keep();
    let mut tracer = Tracer { pid, choice, limits: (limit, longest), held: None, threads: BTreeMap::new() };
    // In this order: either we see that nothing may be paused, or are waited for.
    TRACING.fetch_add(1, Ordering::SeqCst);
    let outcome = tracer.stop_chosen();
    let begun = tracer.held.as_ref().map_or_else(Instant::now, |held| held.begun);
    let paused = tracer.paused();
    let threads = u32::try_from(paused.len()).unwrap_or(u32::MAX);
    let cut_short = tracer.cut_short();
    let is_stopped = outcome.is_ok();
    let mut time_over = false;
    let report = |outcome| report.send(outcome);
    if is_stopped && report(Ok((begun, paused, cut_short))).is_ok() {
        let release = RELEASE_TIME.saturating_mul(threads);
        let end = longest.and_then(|longest| begun.checked_add(longest.saturating_sub(release)));
        loop {
            let left = end.map_or(LET_GO_PAUSE, |end| end.saturating_duration_since(Instant::now()));
            time_over = left.is_zero() || lets_go();
            // The other side is dropped, and nothing is ever sent.
            if time_over || released.recv_timeout(left.min(LET_GO_PAUSE)) != Err(RecvTimeoutError::Timeout) {
                break;
            }
        }
    }
    tracer.release();
    let at = Instant::now();
    if let Some(held) = tracer.held.take() {
        held.end();
    }
    TRACING.fetch_sub(1, Ordering::SeqCst);
    if let Err(error) = outcome {
        // Reported late, so that the time of the pause is known.
        let _ = report(Err(match error {
            StopError::Timeout(thread, ..) => StopError::Timeout(thread, at.duration_since(begun), cut_short),
            error => error,
        }));
    }
    Release { at, time_over }
}

struct Tracer {
    pid: u32,
    choice: Choice,
    /// The time until all threads are stopped, and the longest pause.
    limits: (Duration, Option<Duration>),
    /// From the first seized thread on.
    held: Option<Held>,
    threads: BTreeMap<u32, ThreadStop>,
}

/// The time in which threads may be paused.
struct Held {
    begun: Instant,
    watched: Watched,
    raised: Raised,
}

impl Held {
    /// In this order: a thread that others keep off the processors must hold nothing, and its time must not pass.
    fn begin(pid: u32, longest: Option<Duration>) -> Result<Self, StopError> {
        let raised = priority::raise_to_real_time();
        let watched = Watched::begin(pid, longest).map_err(StopError::NoWatchdog)?;
        Ok(Self { begun: Instant::now(), watched, raised })
    }

    /// The end of the watch. The thread keeps its priority until it ends, because the kernel then releases threads that stopped too late.
    fn end(self) {
        self.raised.keep();
        drop(self.watched);
    }
}

impl Tracer {
    /// Seizes and stops the chosen threads, with those created meanwhile: once all are stopped, no new one appears.
    fn stop_chosen(&mut self) -> Result<(), StopError> {
        loop {
            let listed = tids(self.pid).map_err(|_| StopError::Exited)?;
            let is_fresh = |tid: &u32| !self.threads.contains_key(tid) && self.is_chosen(*tid);
            let fresh: Vec<u32> = listed.into_iter().filter(is_fresh).collect();
            if fresh.is_empty() {
                break;
            }
            let begun = match &self.held {
                Some(held) => held.begun,
                // Before the first thread is seized, because that stops at the next signal.
                None => self.held.insert(Held::begin(self.pid, self.limits.1)?).begun,
            };
            // Their release takes a part of the time.
            let release = RELEASE_TIME.saturating_mul(u32::try_from(fresh.len()).unwrap_or(u32::MAX));
            let deadline = begun + self.limits.0.saturating_sub(release);
            // Seizing stops no thread: so all stop close together afterwards.
            for &tid in &fresh {
                self.check_time(tid, deadline)?;
                let stop = self.seize(tid)?;
                self.threads.insert(tid, stop);
            }
            for &tid in &fresh {
                self.check_time(tid, deadline)?;
                self.interrupt(tid);
            }
            for &tid in &fresh {
                self.await_stop(tid, deadline)?;
            }
        }
        match self.choice {
            _ if !self.paused().is_empty() => Ok(()),
            Choice::All => Err(StopError::Exited),
            Choice::Awake(_) => Err(StopError::Asleep),
        }
    }

    /// Whether a thread is to be paused, as it is now.
    fn is_chosen(&self, tid: u32) -> bool {
        let Choice::Awake(also) = &self.choice else { return true };
        match in_call(self.pid, tid) {
            InCall::Running => true,
            InCall::Robust => also.contains(&tid),
            InCall::Fragile | InCall::Unknown => false,
        }
    }

    /// The threads that are stopped.
    fn paused(&self) -> BTreeSet<u32> {
        let is_paused = |stop: &ThreadStop| !matches!(stop, ThreadStop::LeftAlone | ThreadStop::Exited);
        self.threads.iter().filter(|(_, stop)| is_paused(stop)).map(|(&tid, _)| tid).collect()
    }

    /// The number of stopped threads whose system call the stop ended early.
    fn cut_short(&self) -> u64 {
        let calls = self.paused().into_iter().filter_map(|tid| ended_call(raw(tid)));
        calls.filter(|&call| is_cut_short(call)).count() as u64
    }

    fn seize(&self, tid: u32) -> Result<ThreadStop, StopError> {
        // No options, above all not PTRACE_O_EXITKILL: it would kill the target when we exit.
        match ptrace::seize(raw(tid), ptrace::Options::empty()) {
            Ok(()) => Ok(ThreadStop::Running),
            Err(Errno::ESRCH) => Ok(ThreadStop::Exited),
            // The kernel also refuses threads that have exited.
            Err(Errno::EPERM) if self.has_ended(tid) => Ok(ThreadStop::Exited),
            Err(error) => Err(StopError::Refused(error.into())),
        }
    }

    fn has_ended(&self, tid: u32) -> bool {
        thread_state(self.pid, tid).is_none_or(|(_, state)| state.has_ended())
    }

    /// Asks a seized thread to stop. One that fell asleep since it was chosen is left alone: so at most microseconds pass between the look at
    /// a thread and its interrupt.
    fn interrupt(&mut self, tid: u32) {
        if self.threads.get(&tid) != Some(&ThreadStop::Running) {
            return;
        }
        if !self.is_chosen(tid) {
            self.threads.insert(tid, ThreadStop::LeftAlone);
        } else if ptrace::interrupt(raw(tid)).is_err() {
            self.threads.insert(tid, ThreadStop::Exited);
        }
    }

    fn await_stop(&mut self, tid: u32, deadline: Instant) -> Result<(), StopError> {
        let asked = Instant::now();
        let mut nap = Duration::from_micros(20);
        while self.threads.get(&tid) == Some(&ThreadStop::Running) {
            let stop = poll_stop(tid);
            if stop != ThreadStop::Running {
                self.threads.insert(tid, stop);
            }
            self.check_time(tid, deadline)?;
            if stop != ThreadStop::Running {
                break;
            }
            if asked.elapsed() < SPIN_LIMIT {
                std::thread::yield_now();
            } else {
                std::thread::sleep(nap);
                nap = (nap * 2).min(Duration::from_millis(2));
            }
        }
        Ok(())
    }

    /// An error with the thread if the time is over, or nothing may be paused any more.
    fn check_time(&self, tid: u32, deadline: Instant) -> Result<(), StopError> {
        if Instant::now() < deadline && !lets_go() {
            return Ok(());
        }
        let thread = thread_state(self.pid, tid).map(|(name, state)| (tid, name, state));
        Err(StopError::Timeout(thread, Duration::ZERO, 0))
    }

    /// Releases the threads that stopped, also after their time. The kernel releases the others when this thread exits.
    fn release(&mut self) {
        for (&tid, &stop) in &self.threads {
            let stop = if stop == ThreadStop::Running { poll_stop(tid) } else { stop };
            let signal = match stop {
                ThreadStop::Stopped => None,
                ThreadStop::Signalled(signal) => Some(signal),
                ThreadStop::LeftAlone
                | ThreadStop::Running
                | ThreadStop::SignalledRealTime
                | ThreadStop::Exited => continue,
            };
            // Fails if the thread was killed meanwhile.
            let _ = ptrace::detach(raw(tid), signal);
        }
    }
}

/// Peeks at the state of a thread that was asked to stop.
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
            ThreadStop::Exited
        }
        Ok(_) => ThreadStop::Stopped,
        // nix cannot represent the signal.
        Err(_) => ThreadStop::SignalledRealTime,
    }
}

fn raw(tid: u32) -> Pid {
    Pid::from_raw(tid.cast_signed())
}
