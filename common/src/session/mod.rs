//! The session of a tool that observes processes: signals, the launched command, waiting, bounds, and the exit code.
//!
//! The tool keeps its own loop and takes its own samples; the session owns everything that the loops of all such tools share.
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use common::session::{Session, SessionEvent, SessionOptions};
//! use common::time::Ticker;
//! use common::wait::Sources;
//!
//! # fn main() -> Result<(), common::cli::Failure> {
//! let options = SessionOptions { tool: "sampler", count: Some(2), ..SessionOptions::default() };
//! let mut session = Session::open(options)?;
//! // session.launch(&command, |_| Output::Inherit)?; starts a command, whose exit then ends the session.
//! session.begin();
//! let mut ticker = Ticker::new(Instant::now(), Duration::from_millis(10));
//! let (mut samples, mut stopped) = (0, false);
//! while !stopped && session.is_within_bounds(samples, Instant::now()) {
//!     if ticker.fire(Instant::now()).is_some() {
//!         samples += 1; // take a sample and write it
//!         continue;
//!     }
//!     session.wait(Sources::default(), Some(ticker.deadline()))?;
//!     while let Some(event) = session.next_event() {
//!         stopped |= event == SessionEvent::StopRequested;
//!     }
//! }
//! assert_eq!(session.exit_code(0, None)?, 0);
//! # Ok(())
//! # }
//! ```

mod destination;
mod log_file;

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::cli::{EXIT_TROUBLE, Failure};
use crate::launch::{Environment, ExitStatus, FORWARDED, Launched, Output, Plan, Reaped, resolve};
use crate::process::ProcessId;
use crate::record::{EventKind, Header, ProcessEvent};
use crate::signal::{STOP_SIGNALS, Signals};
use crate::stdio::say;
use crate::time::Span;
use crate::wait::{Ready, Sources, Waiter};

pub use destination::{Destination, open_log, open_stdout, stdout_style, terminal_columns};
pub use log_file::{LogFile, dated_path, is_dated};

/// What a session needs to know before it begins.
#[derive(Debug, Clone, Copy, Default)]
pub struct SessionOptions {
    /// The tool's name, for messages on stderr.
    pub tool: &'static str,
    /// Whether [`Session::launch`] will be called.
    pub launches: bool,
    /// Whether the tool draws on the terminal: resizing and Ctrl-Z become events, and no signal ends the tool before
    /// [`Session::restore_default_signals`].
    pub draws: bool,
    /// Whether records go to stdout: the end of its reader is then reported by [`Session::wait`].
    pub writes_stdout: bool,
    /// The number of samples after which recording ends.
    pub count: Option<u64>,
    /// The time after which recording ends.
    pub duration: Option<Duration>,
}

/// A signal that the tool must handle. Those for the launched command are forwarded without an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEvent {
    /// A child exited: call [`Session::reap`].
    ChildExited,
    /// The user asked for the end.
    StopRequested,
    /// The terminal has another size.
    Resized,
    /// Ctrl-Z: give the terminal back and stop.
    SuspendRequested,
}

/// The session of one run. Dropping it ends a command that still runs.
#[derive(Debug)]
pub struct Session {
    options: SessionOptions,
    signals: Signals,
    command: Option<Launched>,
    waiter: Waiter,
    began: Instant,
}

impl Session {
    /// Catches the signals that the options call for.
    ///
    /// Call it before anything is launched or watched, so that no signal ends the tool while a command depends on it.
    ///
    /// # Errors
    /// The system refuses a signal handler.
    pub fn open(options: SessionOptions) -> Result<Self, Failure> {
        let mut caught = STOP_SIGNALS.to_vec();
        if options.launches {
            caught.extend(FORWARDED);
            caught.push(Signal::CHILD.as_raw());
        }
        if options.draws {
            caught.extend([Signal::WINCH, Signal::TSTP].map(Signal::as_raw));
        }
        caught.sort_unstable();
        caught.dedup();
        let ending: &[i32] = if options.draws || options.launches { &[] } else { &STOP_SIGNALS };
        let signals = Signals::catch(&caught, ending)
            .map_err(|error| Failure::new(format!("cannot catch signals: {error}"), ""))?;
        let stdout = options.writes_stdout.then(|| io::stdout().as_fd().try_clone_to_owned().ok());
        let waiter = Waiter::new(stdout.flatten());
        Ok(Self { options, signals, command: None, waiter, began: Instant::now() })
    }

    /// Starts the user's command; `output` chooses where its output goes. Reports a chosen interpreter on stderr.
    ///
    /// # Errors
    /// The command is not found or cannot be executed.
    pub fn launch(
        &mut self,
        command: &[OsString],
        output: impl FnOnce(&Plan) -> Output,
    ) -> Result<&Launched, Failure> {
        let plan = resolve(command, &Environment::current())?;
        if let Some(note) = &plan.note {
            say(self.options.tool, note);
        }
        Ok(self.command.insert(Launched::spawn(&plan, output(&plan))?))
    }

    /// The launched command.
    #[must_use]
    pub fn command(&self) -> Option<&Launched> {
        self.command.as_ref()
    }

    /// The launched command, to end it or to take its relay.
    pub fn command_mut(&mut self) -> Option<&mut Launched> {
        self.command.as_mut()
    }

    /// Whether the launched command has exited, as far as [`reap`](Self::reap) has seen.
    #[must_use]
    pub fn command_has_exited(&self) -> bool {
        self.command.as_ref().is_some_and(|command| command.exit_status().is_some())
    }

    /// Starts the clock for the duration bound.
    pub fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// When the session began.
    #[must_use]
    pub fn began(&self) -> Instant {
        self.began
    }

    /// When recording ends at the latest.
    #[must_use]
    pub fn end_time(&self) -> Option<Instant> {
        self.options.duration.and_then(|duration| self.began.checked_add(duration))
    }

    /// Whether another sample may be taken `now`, after `samples` of them.
    #[must_use]
    pub fn is_within_bounds(&self, samples: u64, now: Instant) -> bool {
        self.options.count.is_none_or(|count| samples < count) && self.end_time().is_none_or(|end| now < end)
    }

    /// Wakes [`wait`](Self::wait) when one of these processes exits, and forgets all others.
    pub fn watch_exits(&mut self, processes: impl Iterator<Item = ProcessId>) {
        self.waiter.watch_exits(processes);
    }

    /// Waits for a signal, for output of the command, for one of `sources`, or until `deadline`.
    ///
    /// # Errors
    /// The system call fails.
    pub fn wait(&mut self, sources: Sources<'_>, deadline: Option<Instant>) -> Result<Ready, Failure> {
        let sources = Sources {
            signals: Some(self.signals.as_fd()),
            output: self.command.as_ref().and_then(Launched::relay).map(AsFd::as_fd),
            ..sources
        };
        let ready = self
            .waiter
            .wait(&sources, deadline)
            .map_err(|error| Failure::new(format!("cannot wait for events: {error}"), ""))?;
        if ready.stdout_closed {
            self.waiter.forget_stdout();
        }
        Ok(ready)
    }

    /// The next signal for the tool. Signals for a launched command are forwarded: the command decides, and the tool ends
    /// when it exits.
    pub fn next_event(&mut self) -> Option<SessionEvent> {
        while let Some(received) = self.signals.next() {
            let is = |signal: Signal| received.number == signal.as_raw();
            if is(Signal::CHILD) {
                return Some(SessionEvent::ChildExited);
            } else if is(Signal::WINCH) {
                return Some(SessionEvent::Resized);
            } else if is(Signal::TSTP) {
                return Some(SessionEvent::SuspendRequested);
            }
            let Some(command) = &self.command else {
                if is(Signal::INT) && !self.options.draws {
                    end_echoed_line();
                }
                return Some(SessionEvent::StopRequested);
            };
            command.forward(received);
        }
        None
    }

    /// Reaps every child that exited: the command, and orphans that this program adopted.
    pub fn reap(&mut self) -> Vec<Reaped> {
        self.command.as_mut().map_or_else(Vec::new, |command| command.reap(|_| {}))
    }

    /// The `exited` event of the launched command, for one that exited before it could be observed.
    #[must_use]
    pub fn command_exit(&self, header: Header) -> Option<ProcessEvent> {
        let command = self.command.as_ref()?;
        let mut event = ProcessEvent::new(header, EventKind::Exited, command.pid(), command.pid());
        if let Some(ended) = command.exit_status() {
            set_exit(&mut event, ended);
        }
        Some(event)
    }

    /// Gives the next signal its default effect: a user who asks twice gets an immediate end. With a command, signals
    /// remain the command's.
    pub fn restore_default_signals(&self) {
        if self.command.is_none() {
            self.signals.restore_defaults();
        }
    }

    /// Reports on stderr how many processes the command left running. `own` is a process that this program started for itself.
    pub fn report_leftovers(&self, own: Option<u32>) {
        let left = self.command.as_ref().map(Launched::leftovers).unwrap_or_default();
        let left = left.into_iter().filter(|&pid| Some(pid) != own).count();
        let note = match left {
            0 => return,
            1 => "1 process that the command started still runs; it was left alone".to_owned(),
            _ => format!("{left} processes that the command started still run; they were left alone"),
        };
        say(self.options.tool, &note);
    }

    /// Reports on stderr how many samples were taken and for how long; `more` is appended.
    pub fn report_summary(&self, samples: u64, [one, many]: [&str; 2], more: &str) {
        let unit = if samples == 1 { one } else { many };
        say(self.options.tool, &format!("{samples} {unit} in {}{more}", Span(self.began.elapsed())));
    }

    /// The exit code of the tool: `code` if it is not 0, else that of the launched command, else 0.
    ///
    /// # Errors
    /// `failure`, unless a command was launched: its status is then the answer, and the failure is reported on stderr.
    pub fn exit_code(&self, code: u8, failure: Option<Failure>) -> Result<u8, Failure> {
        let Some(command) = &self.command else { return failure.map_or(Ok(code), Err) };
        if let Some(failure) = failure {
            say(self.options.tool, &failure.message);
        }
        if code != 0 {
            return Ok(code);
        }
        Ok(command.exit_status().map_or(EXIT_TROUBLE, ExitStatus::exit_code))
    }
}

/// Ends the line on which the terminal shows `^C`.
fn end_echoed_line() {
    let mut stderr = io::stderr();
    if stderr.is_terminal() {
        // A terminal that is gone needs no line.
        let _ = stderr.write_all(b"\n");
    }
}

/// Puts the exit code or signal of a process into its event.
pub fn set_exit(event: &mut ProcessEvent, ended: ExitStatus) {
    (event.exit_code, event.signal) = match ended {
        ExitStatus::Exited(code) => (Some(code), None),
        ExitStatus::Signaled { signal, .. } => (None, Some(signal)),
        ExitStatus::Unknown => (None, None),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(options: SessionOptions) -> Session {
        Session::open(SessionOptions { tool: "test", ..options }).unwrap()
    }

    #[test]
    fn bounds_end_recording() {
        let mut session = session(SessionOptions {
            count: Some(2),
            duration: Some(Duration::from_secs(5)),
            ..<_>::default()
        });
        session.begin();
        let now = session.began();
        assert!(session.is_within_bounds(1, now) && !session.is_within_bounds(2, now));
        assert!(!session.is_within_bounds(0, now + Duration::from_secs(5)));
        assert_eq!(session.end_time(), Some(now + Duration::from_secs(5)));
    }

    #[test]
    fn failure_without_command_is_returned() {
        let session = session(SessionOptions::default());
        assert_eq!(session.exit_code(3, None), Ok(3));
        assert_eq!(
            session.exit_code(3, Some(Failure::new("disk full", ""))).unwrap_err().message,
            "disk full"
        );
        assert!(session.command_exit(Header::now(&crate::record::Run::start(), 1)).is_none());
    }
}
