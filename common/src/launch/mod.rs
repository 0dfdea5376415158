//! Starts a command, waits for it and, if needed, ends it.
//!
//! The command must not notice that a monitor started it. It runs in the same process group (so Ctrl-C and Ctrl-Z at the
//! terminal reach it), in the same folder, with the same limits and the same standard input. It ignores the signals that
//! this program ignored at its start; signals that this program catches have their default effect in the command. SIGPIPE
//! is the exception: it gets its default effect, because Rust programs ignore it from the start and cannot know how they
//! found it.
//!
//! On Linux this program becomes the *child subreaper* (prctl(2)): a process whose parent exited becomes its child instead
//! of init's. So every descendant of the command stays visible, and this program must reap each of them
//! ([`Launched::reap`]). All children of the program must belong to the command: the exit of any other child would be
//! reaped here, too.
//!
//! Dropping a [`Launched`] ends a command that still runs, also after a panic. To leave it running, wait for its exit first.
//!
//! ```
//! use common::launch::{ExitStatus, Launched, Output, Plan};
//!
//! # fn main() -> Result<(), common::cli::Failure> {
//! let plan = Plan { program: "sh".into(), args: vec!["-c".into(), "exit 3".into()], name: "sh".into(), note: None };
//! let mut command = Launched::spawn(&plan, Output::Inherit)?;
//! while command.exit_status().is_none() {
//!     std::thread::sleep(std::time::Duration::from_millis(5));
//!     command.reap(|_| {});
//! }
//! assert_eq!(command.exit_status(), Some(ExitStatus::Exited(3)));
//! # Ok(())
//! # }
//! ```

mod family;
mod interpreter;
mod reap;
mod relay;
mod spawn;
mod terminate;

use std::time::Duration;

use crate::cli::Failure;
use crate::signal::Received;
use rustix::process::{Pid, Signal, WaitIdOptions};

pub use interpreter::{Environment, Plan, resolve};
pub use reap::{ExitStatus, Reaped, own_peak_bytes};
pub use relay::{Finished, Line, Lines, Lost, Relay, RelayOptions};
pub use spawn::Output;
pub use terminate::{GRACE, Terminated};

/// The signals that [`Launched::forward`] passes to the command. SIGCHLD, if caught, wakes the program when there is a child
/// to [`reap`](Launched::reap).
pub const FORWARDED: [i32; 6] = [
    Signal::INT.as_raw(),
    Signal::QUIT.as_raw(),
    Signal::TERM.as_raw(),
    Signal::HUP.as_raw(),
    Signal::USR1.as_raw(),
    Signal::USR2.as_raw(),
];

/// The signals of [`FORWARDED`] that the terminal's driver sends to the whole foreground group, so also to the command.
const FROM_TERMINAL: [Signal; 3] = [Signal::INT, Signal::QUIT, Signal::HUP];

/// A started command.
#[derive(Debug)]
pub struct Launched {
    pid: Pid,
    exit_status: Option<ExitStatus>,
    max_rss_bytes: Option<u64>,
    relay: Option<Relay>,
}

impl Launched {
    /// Starts `plan` with its output going to `output`.
    ///
    /// # Errors
    /// Exit 127: the command is not found. Exit 126: it cannot be executed. Exit 2: processes, memory or descriptors are
    /// short. Then nothing was started.
    pub fn spawn(plan: &Plan, output: Output) -> Result<Self, Failure> {
        // Before the command starts: its first child may be orphaned at once. Kernels before 3.4 refuse; the command still runs.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
        let (pid, relay) = spawn::spawn(plan, output)?;
        Ok(Self { pid, exit_status: None, max_rss_bytes: None, relay })
    }

    /// The command's pid. After the command was reaped, another process may get it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// The exit status of the command, once [`reap`](Self::reap) has reaped it.
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.exit_status
    }

    /// The largest resident size, in bytes, of any single process among the command, the descendants it waited for, and
    /// adopted ones that had exited when the command was reaped. `None` before.
    ///
    /// It is exact even for a short peak: getrusage(2), RUSAGE_CHILDREN. A new process inherits the peak of the process that
    /// started it, so small commands show the size of this program.
    #[must_use]
    pub fn max_rss_bytes(&self) -> Option<u64> {
        self.max_rss_bytes
    }

    /// The relay of the output, if there is one.
    #[must_use]
    pub fn relay(&self) -> Option<&Relay> {
        self.relay.as_ref()
    }

    /// Takes the relay, to [`finish`](Relay::finish) it.
    pub fn take_relay(&mut self) -> Option<Relay> {
        self.relay.take()
    }

    /// Reaps every child that has exited: the command, and adopted orphans. Does not wait.
    ///
    /// Calls `before` with each pid while the process is still a zombie: the pid is still its own, and its files in `/proc`
    /// can still be read.
    pub fn reap(&mut self, mut before: impl FnMut(u32)) -> Vec<Reaped> {
        let mut reaped = Vec::new();
        while let Some(pid) = reap::next_exited(self.exit_status.is_none().then_some(self.pid)) {
            let number = pid.as_raw_nonzero().get().unsigned_abs();
            before(number);
            let Ok(Some(status)) = reap::wait(pid, WaitIdOptions::empty()) else { break };
            if pid == self.pid && self.exit_status.is_none() {
                self.exit_status = Some(status);
                self.max_rss_bytes = reap::children_max_rss_bytes();
            }
            reaped.push(Reaped { pid: number, status });
        }
        if self.exit_status.is_none() && reap::wait(self.pid, WaitIdOptions::NOWAIT).is_err() {
            self.exit_status = Some(ExitStatus::Unknown);
            reaped.push(Reaped { pid: self.pid(), status: ExitStatus::Unknown });
        }
        reaped
    }

    /// Forwards a signal to the command, unless the command already got it or was reaped. Returns whether it did.
    ///
    /// The terminal sends Ctrl-C, Ctrl-\ and a hang-up to the command, too; the same signals from a process reach only this
    /// program. (A signal to the whole group, as from `timeout`, reaches the command twice: the two cases look the same.) If
    /// this program leads the session, as under `ssh -t`, the hang-up goes to the leader alone, and to the others when the
    /// leader exits (credentials(7), and `__tty_hangup` in the kernel).
    pub fn forward(&self, received: Received) -> bool {
        let Some(signal) =
            Signal::from_named_raw(received.number).filter(|_| FORWARDED.contains(&received.number))
        else {
            return false;
        };
        let for_leader = signal == Signal::HUP && leads_session();
        let has_it = FROM_TERMINAL.contains(&signal) && !received.sent_by_process && !for_leader;
        !has_it && self.send(signal)
    }

    /// The descendants of the command that still run, in no order. They keep running and become children of init when this
    /// program exits.
    #[must_use]
    pub fn leftovers(&self) -> Vec<u32> {
        if !reap::has_children() {
            return Vec::new();
        }
        family::descendants().iter().map(|process| process.id.pid).collect()
    }

    /// Sends `signal` to the command unless it was reaped: until then its pid is its own.
    fn send(&self, signal: Signal) -> bool {
        self.exit_status.is_none() && rustix::process::kill_process(self.pid, signal).is_ok()
    }
}

/// By `nix`, because `rustix` rejects the 0 that getsid(2) returns for a leader outside this pid namespace.
fn leads_session() -> bool {
    nix::unistd::getsid(None) == Ok(nix::unistd::getpid())
}

impl Drop for Launched {
    fn drop(&mut self) {
        // After an exit of the command its leftovers keep running.
        self.reap(|_| {});
        if self.exit_status.is_none() {
            self.terminate(GRACE, |_| {});
        }
        if let Some(mut relay) = self.relay.take() {
            // The last lines may be an error message.
            relay.finish(Duration::from_secs(1));
        }
    }
}
