//! Waiting for whatever comes first.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::process::ProcessId;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;
#[cfg(target_os = "linux")]
use rustix::process::{PidfdFlags, pidfd_open};

/// The kernel's events are heard at once as long as there are at most so many wake-ups a second; in a storm they are
/// heard in batches, so that watching costs no more than it is worth.
const WAKE_UPS_PER_SECOND: u32 = 10;
/// How long a batch gathers.
const BATCH: Duration = Duration::from_millis(200);

/// What there is to attend to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ready {
    /// A signal arrived.
    pub signal: bool,
    /// The kernel tells of processes.
    pub kernel: bool,
    /// A root ended.
    pub root_ended: bool,
    /// The command printed something.
    pub output: bool,
    /// Somebody pressed a key.
    pub key: bool,
    /// Nobody reads our stdout any more.
    pub stdout_closed: bool,
}

/// Marks what is ready.
type Mark = fn(&mut Ready);

/// What is waited for.
#[derive(Debug, Default)]
pub struct Sources<'a> {
    /// Signals that arrived.
    pub signals: Option<BorrowedFd<'a>>,
    /// The kernel's process events.
    pub kernel: Option<BorrowedFd<'a>>,
    /// What the command prints.
    pub output: Option<BorrowedFd<'a>>,
    /// The keyboard.
    pub keys: Option<BorrowedFd<'a>>,
}

/// Waits, and keeps what is needed for it.
#[derive(Debug)]
pub struct Waiter {
    stdout: Option<OwnedFd>,
    ends: Vec<(ProcessId, OwnedFd)>,
    tokens: f64,
    counted: Instant,
    hold_kernel_until: Option<Instant>,
}

impl Waiter {
    /// `stdout` is what to look at for a reader that goes away; only a pipe can tell of that.
    pub fn new(stdout: Option<OwnedFd>) -> Self {
        let is_pipe = |fd: &OwnedFd| {
            rustix::fs::fstat(fd).is_ok_and(|s| FileType::from_raw_mode(s.st_mode) == FileType::Fifo)
        };
        Self {
            stdout: stdout.filter(is_pipe),
            ends: Vec::new(),
            tokens: f64::from(WAKE_UPS_PER_SECOND),
            counted: Instant::now(),
            hold_kernel_until: None,
        }
    }

    /// That nobody reads our stdout was told once, and would be told at every waiting: it does not change.
    pub fn forget_stdout(&mut self) {
        self.stdout = None;
    }

    /// Be woken by the end of these processes, and of no others. Where the system cannot tell of the end of a process that
    /// is not our child, the next tick finds it.
    #[cfg(target_os = "linux")]
    pub fn watch_ends(&mut self, roots: impl Iterator<Item = ProcessId>) {
        let roots: Vec<ProcessId> = roots.collect();
        self.ends.retain(|(id, _)| roots.contains(id));
        for id in roots {
            if self.ends.iter().any(|(known, _)| *known == id) {
                continue;
            }
            let pid = i32::try_from(id.pid).ok().and_then(rustix::process::Pid::from_raw);
            if let Some(fd) = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) {
                self.ends.push((id, fd));
            }
        }
    }

    /// As on Linux, where there is a way.
    #[cfg(not(target_os = "linux"))]
    pub fn watch_ends(&mut self, _: impl Iterator<Item = ProcessId>) {}

    /// Waits until one of the sources has something, or until `deadline`; without one, for ever.
    ///
    /// # Errors
    /// What poll(2) says; being interrupted is no error.
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
            // Nothing is asked of it: an error condition is told unasked.
            (self.stdout.as_ref().map(AsFd::as_fd), PollFlags::empty(), |ready| ready.stdout_closed = true),
        ];
        let ends = self.ends.iter().map(|(_, fd)| {
            let mark: Mark = |ready| ready.root_ended = true;
            (Some(fd.as_fd()), PollFlags::IN, mark)
        });
        let (mut fds, kinds): (Vec<PollFd<'_>>, Vec<_>) = wanted
            .into_iter()
            .chain(ends)
            .filter_map(|(fd, flags, kind)| Some((PollFd::from_borrowed_fd(fd?, flags), kind)))
            .unzip();
        let timeout = deadline.map(|deadline| deadline.saturating_duration_since(now)).map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        let mut ready = Ready::default();
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
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
    fn the_deadline_ends_the_waiting_and_a_source_ends_it_sooner() {
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
    fn a_pipe_without_a_reader_is_noticed() {
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
    fn in_a_storm_the_kernel_is_heard_in_batches() {
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
    fn the_end_of_a_process_that_is_not_waited_for_is_noticed() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let id = ProcessId { pid: child.id(), start: 0 };
        let mut waiter = Waiter::new(None);
        waiter.watch_ends([id].into_iter());
        child.kill().unwrap();
        assert!(waiter.wait(&Sources::default(), None).unwrap().root_ended);
        waiter.watch_ends(std::iter::empty());
        let ready = waiter.wait(&Sources::default(), Some(Instant::now())).unwrap();
        assert!(!ready.root_ended, "one that is not asked for any more wakes no more");
        child.wait().unwrap();
    }
}
