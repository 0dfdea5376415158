//! Waits for the first of several events.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::process::ProcessId;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;
use rustix::io::Errno;
#[cfg(target_os = "linux")]
use rustix::process::{PidfdFlags, pidfd_open};

/// Up to this rate, each of the kernel's events wakes at once. More of them wake in batches, so that a storm stays cheap.
const WAKE_UPS_PER_SECOND: u32 = 10;
/// The time that a batch collects events.
const BATCH: Duration = Duration::from_millis(200);

/// The events that are ready.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ready {
    /// A signal arrived.
    pub signal: bool,
    /// The kernel reports processes.
    pub kernel: bool,
    /// A watched process exited.
    pub process_exited: bool,
    /// The command printed output.
    pub output: bool,
    /// A key was pressed.
    pub key: bool,
    /// The reader of our stdout is gone.
    pub stdout_closed: bool,
}

/// Marks what is ready.
type Mark = fn(&mut Ready);

/// Whether one of these events comes within `limit`. A signal ends the wait early.
///
/// # Errors
/// If the kernel cannot wait.
pub fn is_ready(file: &impl AsFd, events: PollFlags, limit: Duration) -> io::Result<bool> {
    let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
    match poll(&mut [PollFd::new(file, events)], Some(&limit)) {
        Err(Errno::INTR) => Ok(false),
        ready => Ok(ready? > 0),
    }
}

/// The descriptors to wait for.
#[derive(Debug, Default)]
pub struct Sources<'a> {
    /// The queue of signals.
    pub signals: Option<BorrowedFd<'a>>,
    /// The kernel's process events.
    pub kernel: Option<BorrowedFd<'a>>,
    /// The command's output.
    pub output: Option<BorrowedFd<'a>>,
    /// The keyboard.
    pub keys: Option<BorrowedFd<'a>>,
}

/// Waits for events; keeps the state between waits.
#[derive(Debug)]
pub struct Waiter {
    stdout: Option<OwnedFd>,
    exits: Vec<(ProcessId, OwnedFd)>,
    tokens: f64,
    counted: Instant,
    hold_kernel_until: Option<Instant>,
}

impl Waiter {
    /// Creates a waiter. If `stdout` is a pipe, the exit of its reader is an event.
    pub fn new(stdout: Option<OwnedFd>) -> Self {
        let is_pipe = |fd: &OwnedFd| {
            rustix::fs::fstat(fd).is_ok_and(|s| FileType::from_raw_mode(s.st_mode) == FileType::Fifo)
        };
        Self {
            stdout: stdout.filter(is_pipe),
            exits: Vec::new(),
            tokens: f64::from(WAKE_UPS_PER_SECOND),
            counted: Instant::now(),
            hold_kernel_until: None,
        }
    }

    /// Stops to watch stdout: its closed reader would end each wait.
    pub fn forget_stdout(&mut self) {
        self.stdout = None;
    }

    /// Watches the exits of these processes and no others. If the system does not report the exit of other programs' children,
    /// the next tick finds it.
    #[cfg(target_os = "linux")]
    pub fn watch_exits(&mut self, roots: impl Iterator<Item = ProcessId>) {
        let roots: Vec<ProcessId> = roots.collect();
        self.exits.retain(|(id, _)| roots.contains(id));
        for id in roots {
            if self.exits.iter().any(|(known, _)| *known == id) {
                continue;
            }
            let pid = i32::try_from(id.pid).ok().and_then(rustix::process::Pid::from_raw);
            if let Some(fd) = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) {
                self.exits.push((id, fd));
            }
        }
    }

    /// Does nothing: the next tick finds an exit.
    #[cfg(not(target_os = "linux"))]
    pub fn watch_exits(&mut self, _: impl Iterator<Item = ProcessId>) {}

    /// Waits for an event, or until `deadline`.
    ///
    /// # Errors
    /// poll(2) fails. An interrupted wait is no error.
    pub fn wait(&mut self, sources: &Sources<'_>, deadline: Option<Instant>) -> io::Result<Ready> {
        let now = Instant::now();
        let held = self.hold_kernel_until.filter(|until| *until > now);
        let deadline = match (deadline, held) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let kernel = sources.kernel.filter(|_| held.is_none());
        let wanted: [(_, _, Mark); 5] = [
            (sources.signals, PollFlags::IN, |ready| ready.signal = true),
            (kernel, PollFlags::IN, |ready| ready.kernel = true),
            (sources.output, PollFlags::IN, |ready| ready.output = true),
            (sources.keys, PollFlags::IN, |ready| ready.key = true),
            // poll(2) always reports an error condition.
            (self.stdout.as_ref().map(AsFd::as_fd), PollFlags::empty(), |ready| ready.stdout_closed = true),
        ];
        let exits = self.exits.iter().map(|(_, fd)| {
            let mark: Mark = |ready| ready.process_exited = true;
            (Some(fd.as_fd()), PollFlags::IN, mark)
        });
        let (mut fds, kinds): (Vec<PollFd<'_>>, Vec<_>) = wanted
            .into_iter()
            .chain(exits)
            .filter_map(|(fd, flags, kind)| Some((PollFd::from_borrowed_fd(fd?, flags), kind)))
            .unzip();
        let timeout = deadline.map(|deadline| deadline.saturating_duration_since(now)).map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        let mut ready = Ready::default();
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => {
                for (fd, kind) in fds.iter().zip(&kinds) {
                    if !fd.revents().is_empty() {
                        kind(&mut ready);
                    }
                }
            }
            Err(error) => return Err(error.into()),
        }
        if ready.kernel {
            self.count_wake_up();
        }
        Ok(ready)
    }

    fn count_wake_up(&mut self) {
        let now = Instant::now();
        let most = f64::from(WAKE_UPS_PER_SECOND);
        self.tokens = (self.tokens + now.duration_since(self.counted).as_secs_f64() * most).min(most);
        self.counted = now;
        self.tokens -= 1.0;
        self.hold_kernel_until = (self.tokens < 0.0).then(|| now + BATCH);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn wait_ends_at_event_or_deadline() {
        let mut waiter = Waiter::new(None);
        let begin = Instant::now();
        let ready = waiter.wait(&Sources::default(), Some(begin + Duration::from_millis(20))).unwrap();
        assert_eq!(ready, Ready::default());
        assert!(begin.elapsed() >= Duration::from_millis(20));
        let (reader, mut writer) = UnixStream::pair().unwrap();
        writer.write_all(b"x").unwrap();
        let sources = Sources { signals: Some(reader.as_fd()), ..Sources::default() };
        let ready = waiter.wait(&sources, None).unwrap();
        assert_eq!(ready, Ready { signal: true, ..Ready::default() });
    }

    #[test]
    fn closed_stdout_pipe_is_noticed() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let mut waiter = Waiter::new(Some(writer));
        let soon = || Some(Instant::now() + Duration::from_millis(5));
        assert!(!waiter.wait(&Sources::default(), soon()).unwrap().stdout_closed);
        drop(reader);
        assert!(waiter.wait(&Sources::default(), None).unwrap().stdout_closed);
        waiter.forget_stdout();
        assert!(!waiter.wait(&Sources::default(), soon()).unwrap().stdout_closed);
    }

    #[test]
    fn event_storm_is_batched() {
        let (reader, mut writer) = UnixStream::pair().unwrap();
        writer.write_all(b"x").unwrap();
        let mut waiter = Waiter::new(None);
        let sources = Sources { kernel: Some(reader.as_fd()), ..Sources::default() };
        let begin = Instant::now();
        let mut heard = 0;
        while begin.elapsed() < Duration::from_millis(500) {
            heard +=
                u32::from(waiter.wait(&sources, Some(begin + Duration::from_millis(500))).unwrap().kernel);
        }
        // The tokens at hand, those earned meanwhile, and one for each batch.
        assert!((10..=10 + 5 + 4).contains(&heard), "{heard}");
    }

    #[test]
    fn exit_of_process_wakes() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let id = ProcessId { pid: child.id(), start: 0 };
        let mut waiter = Waiter::new(None);
        waiter.watch_exits([id].into_iter());
        child.kill().unwrap();
        assert!(waiter.wait(&Sources::default(), None).unwrap().process_exited);
        waiter.watch_exits(std::iter::empty());
        let ready = waiter.wait(&Sources::default(), Some(Instant::now())).unwrap();
        assert!(!ready.process_exited, "one that is not asked for any more wakes no more");
        child.wait().unwrap();
    }
}
