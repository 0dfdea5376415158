//! A process of its own that ends this one if it cannot resume what it has paused.
//!
//! A paused process runs on when its tracer exits, but not while its tracer is itself stopped (SIGSTOP, a debugger) or gets no processor.
//! The watchdog looks at the tracing thread during each pause. It kills the tracer, so that the kernel resumes the target.
//!
//! It is the program of [`set_watchdog`], in a session of its own: signals of the terminal and of a process group do not reach it. It lives
//! until its standard input ends, so until this process ends in any way. Nothing else is inherited but stderr.
//!
//! Before each pause it has to answer, so one that was killed or stopped is replaced. After that one line says which thread begins to pause
//! which process, and for how long at most; another one says that it has released it.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use common::process::ProcessState;
use common::wait::is_ready;
use rustix::event::PollFlags;
use rustix::process::{Pid, PidfdFlags, Signal, getppid, pidfd_open, pidfd_send_signal, setsid};

use super::procfs::thread_status;
use crate::priority;

/// The name of the process, at most 15 bytes.
const NAME: &str = "memobj-watchdog";
/// How long the watchdog may take to start and answer. No process is paused yet.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// The time between two looks during a pause.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// The looks in a row that have to find the tracer stopped. One stop is not enough: strace(1) stops a thread at each system call.
const MAX_STOPPED_LOOKS: u32 = 4;
/// How much longer than permitted a pause may last. The tracer itself ends it in time unless it gets no processor.
const GRACE: Duration = Duration::from_millis(100);
/// The looks after that time. If the watchdog itself did not run, the tracer may not have run either.
const MAX_LATE_LOOKS: u32 = 3;
/// The longest line. A longer one does not come from us.
const MAX_LINE: usize = 256;

static PROGRAM: OnceLock<fn() -> Command> = OnceLock::new();
static WATCHDOG: Mutex<Option<Watchdog>> = Mutex::new(None);

/// Sets the program of the watchdog: `program` returns a command that calls [`run_watchdog`] with its last argument, which is added to it.
/// Without a program there is no watchdog.
pub fn set_watchdog(program: fn() -> Command) {
    // Whoever comes first decides.
    let _ = PROGRAM.set(program);
}

/// The pid of the watchdog, if there is one. It is a child of this process.
#[must_use]
pub fn watchdog_pid() -> Option<u32> {
    watchdog().as_ref().map(|watchdog| watchdog.process.id())
}

fn watchdog() -> MutexGuard<'static, Option<Watchdog>> {
    WATCHDOG.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the watchdog, and waits for its end. It would outlive this process by a moment, and become a child of the first process of the pid
/// namespace: in a container that is often the target. During a pause the watchdog stays.
pub fn end_watchdog() {
    // A thread that was left behind may hold the lock while it waits for an answer.
    let Ok(mut current) = WATCHDOG.try_lock() else { return };
    if let Some(watchdog) = current.take_if(|watchdog| watchdog.pauses == 0) {
        watchdog.end();
    }
}

/// The watchdog, as the process that it watches sees it.
#[derive(Debug)]
struct Watchdog {
    process: Child,
    socket: UnixStream,
    /// The pauses that it watches.
    pauses: usize,
}

impl Watchdog {
    fn start(program: fn() -> Command) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        socket.set_read_timeout(Some(ANSWER_LIMIT))?;
        let process = program()
            .arg(std::process::id().to_string())
            .current_dir("/")
            // An image may have no /dev/null.
            .stdout(Stdio::from(OwnedFd::from(theirs.try_clone()?)))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()?;
        Ok(Self { process, socket, pauses: 0 })
    }

    /// Waits for its answer.
    fn ask(&mut self) -> io::Result<()> {
        self.socket.write_all(b"ready?\n")?;
        self.socket.read_exact(&mut [0])
    }

    fn end(mut self) {
        // It may have exited.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Makes sure that a watchdog runs, if there is a program for it.
pub(super) fn prepare() -> io::Result<()> {
    let Some(&program) = PROGRAM.get() else { return Ok(()) };
    let mut current = watchdog();
    if let Some(mut watchdog) = current.take() {
        if watchdog.ask().is_ok() {
            *current = Some(watchdog);
            return Ok(());
        }
        // It was killed or is stopped.
        watchdog.end();
    }
    let mut started = Watchdog::start(program)?;
    if let Err(error) = started.ask() {
        started.end();
        return Err(error);
    }
    *current = Some(started);
    Ok(())
}

/// A pause that is watched, until it is dropped.
#[derive(Debug)]
pub(super) struct Watched {
    thread: Pid,
}

impl Watched {
    /// Lets the watchdog watch this thread, which is about to pause `target` for `longest` at most.
    pub fn begin(target: u32, longest: Option<Duration>) -> io::Result<Self> {
        let thread = Pid::from_raw(nix::unistd::gettid().as_raw()).ok_or(io::ErrorKind::NotFound)?;
        let limit = longest.map_or_else(|| "-".to_owned(), |longest| longest.as_millis().to_string());
        let line = format!("begin {} {target} {limit}\n", thread.as_raw_nonzero());
        let begin = || say(&line, |pauses| pauses.saturating_add(1));
        // It may have been killed since it was prepared.
        begin().or_else(|_| prepare().and_then(|()| begin()))?;
        Ok(Self { thread })
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Without a watchdog there is nothing to end.
        let _ = say(&format!("end {}\n", self.thread.as_raw_nonzero()), |pauses| pauses.saturating_sub(1));
    }
}

fn say(line: &str, count: fn(usize) -> usize) -> io::Result<()> {
    if PROGRAM.get().is_none() {
        return Ok(());
    }
    let mut current = watchdog();
    let watchdog = current.as_mut().ok_or(io::ErrorKind::NotConnected)?;
    watchdog.pauses = count(watchdog.pauses);
    watchdog.socket.write_all(line.as_bytes())
}

/// Is the watchdog of the process `parent`, until that ends. The connection is standard input.
///
/// # Errors
/// If `parent` is not the parent of this process, or the kernel has no pidfd_open(2).
pub fn run_watchdog(parent: &str) -> io::Result<()> {
    match watch(parent) {
        // The process has ended, or has not waited for an answer.
        Err(_) if is_ready(&io::stdin(), PollFlags::HUP, Duration::ZERO)? => Ok(()),
        ended => ended,
    }
}

fn watch(parent: &str) -> io::Result<()> {
    // It fails for the leader of a process group, which a child is not.
    let _ = setsid();
    // Only the name is lost.
    let _ = std::fs::write("/proc/self/comm", NAME);
    // It looks a hundred times a second, and only during a pause.
    let _raised = priority::raise_to_real_time();
    let pid = parent.parse().ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    let tracer = pidfd_open(pid, PidfdFlags::empty())?;
    if getppid() != Some(pid) {
        // It has exited, and its number may belong to another process.
        return Err(io::ErrorKind::NotFound.into());
    }
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let parent = pid.as_raw_nonzero().get().unsigned_abs();
    let mut looks = Looks { parent, socket, line: Vec::new(), pauses: BTreeMap::new() };
    while looks.receive()? {
        let Some(reason) = looks.reason_to_end() else { continue };
        // What it wrote before it was stopped is there by now.
        if is_ready(&looks.socket, PollFlags::IN, Duration::ZERO)? {
            continue;
        }
        pidfd_send_signal(&tracer, Signal::KILL)?;
        common::stdio::say("memobj", &reason);
        break;
    }
    Ok(())
}

/// A pause as the watchdog sees it.
#[derive(Debug)]
struct Pause {
    target: u32,
    /// The end of the permitted time.
    end: Option<Instant>,
    switches: Option<u64>,
    stopped_looks: u32,
    late_looks: u32,
}

/// The pauses that are under way.
#[derive(Debug)]
struct Looks {
    parent: u32,
    socket: UnixStream,
    line: Vec<u8>,
    /// By the thread that traces.
    pauses: BTreeMap<u32, Pause>,
}

impl Looks {
    /// Receives what was sent, waiting for the time between two looks during a pause, and without end otherwise. False at the end.
    fn receive(&mut self) -> io::Result<bool> {
        if !self.pauses.is_empty() && !is_ready(&self.socket, PollFlags::IN, LOOK_INTERVAL)? {
            return Ok(true);
        }
        let mut bytes = [0; MAX_LINE];
        let length = match self.socket.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            read => read?,
        };
        for &byte in bytes.iter().take(length) {
            if byte != b'\n' {
                self.line.push(byte);
            } else {
                let line = std::mem::take(&mut self.line);
                self.obey(&String::from_utf8_lossy(&line))?;
            }
        }
        Ok(length > 0 && self.line.len() <= MAX_LINE)
    }

    fn obey(&mut self, line: &str) -> io::Result<()> {
        let mut words = line.split(' ');
        let verb = words.next();
        let mut number = || words.next()?.parse::<u32>().ok();
        match verb {
            Some("ready?") => self.socket.write_all(b"\n")?,
            Some("begin") => {
                if let (Some(thread), Some(target)) = (number(), number()) {
                    let limit = words.next().and_then(|word| word.parse().ok()).map(Duration::from_millis);
                    let end = limit.and_then(|limit| Instant::now().checked_add(limit.saturating_add(GRACE)));
                    let pause = Pause { target, end, switches: None, stopped_looks: 0, late_looks: 0 };
                    self.pauses.insert(thread, pause);
                }
            }
            Some("end") => drop(number().and_then(|thread| self.pauses.remove(&thread))),
            _ => {}
        }
        Ok(())
    }

    /// Looks at each tracing thread once. Returns why the process has to end, if it has to.
    fn reason_to_end(&mut self) -> Option<String> {
        let (parent, now) = (self.parent, Instant::now());
        self.pauses.iter_mut().find_map(|(&thread, pause)| {
            let status = thread_status(parent, thread).unwrap_or_default();
            let is_stopped = matches!(status.state, ProcessState::Stopped | ProcessState::TracingStop);
            let has_run = status.switches != pause.switches;
            pause.switches = status.switches;
            pause.stopped_looks =
                if is_stopped && !has_run { pause.stopped_looks.saturating_add(1) } else { 0 };
            let is_late = pause.end.is_some_and(|end| now >= end);
            pause.late_looks = if is_late { pause.late_looks.saturating_add(1) } else { 0 };
            let target = pause.target;
            let what = if pause.stopped_looks >= MAX_STOPPED_LOOKS {
                format!("it was stopped while it held pid {target} paused")
            } else if pause.late_looks >= MAX_LATE_LOOKS {
                format!("it held pid {target} paused for longer than permitted")
            } else {
                return None;
            };
            Some(format!("the watchdog ended memobj (pid {parent}): {what}, which runs on now"))
        })
    }
}
