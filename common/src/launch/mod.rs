//! A command that is started, waited for and, if need be, ended.
//!
//! The command must not notice that it was started by a monitor. It runs in the same process group (Ctrl-C and Ctrl-Z
//! at the terminal reach it by themselves), in the same folder, with the same limits and the same standard input. What
//! signals this program ignored at its start the command ignores too; those that it catches have their default effect
//! there. The one exception is SIGPIPE, which is back to its default: Rust programs begin with ignoring it, and do not
//! know how they found it.
//!
//! On Linux this program becomes the *child subreaper* (prctl(2)): a process whose parent ended becomes its child, not
//! init's. So nothing that the command began gets out of sight, and in return every end of such a process must be
//! noticed: [`Launched::reap`]. All children of the program have to be the command's family; a program that starts
//! others beside it would have their ends noticed here.
//!
//! A [`Launched`] that is dropped while the command runs ends it: no way out of the program, a panic included, leaves it
//! behind. Who wants to leave it alone waits for its end first.

mod family;
mod interpreter;
mod reap;
mod relay;
mod spawn;
mod terminate;

use std::ffi::OsString;
use std::time::Duration;

use crate::cli::Failure;
use crate::signal::{ENDING, Received};
use crate::stdio::say;
use rustix::process::{Pid, Signal, WaitIdOptions};

pub use interpreter::{Environment, Plan, resolve};
pub use reap::{Ended, Reaped, own_peak_bytes};
pub use relay::{Finished, Line, Lines, Lost, Relay, RelayOptions};
pub use spawn::Output;
pub use terminate::{GRACE, Terminated};

/// The signals that the program has to catch for [`Launched::forward`]. Beside them SIGCHLD, caught, wakes it when there
/// is something to [`reap`](Launched::reap).
pub const FORWARDED: [i32; 6] = [
    Signal::INT.as_raw(),
    Signal::QUIT.as_raw(),
    Signal::TERM.as_raw(),
    Signal::HUP.as_raw(),
    Signal::USR1.as_raw(),
    Signal::USR2.as_raw(),
];

/// What a tool catches: what the user asks for an end with, and with a command what that is to get, and SIGCHLD.
#[must_use]
pub fn caught(launching: bool) -> Vec<i32> {
    let mut numbers = ENDING.to_vec();
    if launching {
        numbers.extend(FORWARDED);
        numbers.push(Signal::CHILD.as_raw());
    }
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// Starts the command that the user typed, its output going where `output` says of it. What was taken for what is said as `tool`.
///
/// # Errors
/// As [`resolve`] and [`Launched::spawn`].
pub fn start(
    tool: &str,
    command: &[OsString],
    output: impl FnOnce(&Plan) -> Output,
) -> Result<Launched, Failure> {
    let plan = resolve(command, &Environment::current())?;
    if let Some(note) = &plan.note {
        say(tool, note);
    }
    let output = output(&plan);
    Launched::spawn(&plan, output)
}

/// Those of [`FORWARDED`] that the terminal's driver sends: to the whole group in the foreground, the command included.
const FROM_TERMINAL: [Signal; 3] = [Signal::INT, Signal::QUIT, Signal::HUP];

/// A started command.
#[derive(Debug)]
pub struct Launched {
    pid: Pid,
    ended: Option<Ended>,
    max_rss_bytes: Option<u64>,
    relay: Option<Relay>,
}

impl Launched {
    /// Starts `plan`, its output going to `output`.
    ///
    /// # Errors
    /// With exit 127 a command that is not found, with 126 one that cannot be executed, with 2 a shortage of processes,
    /// memory or descriptors. Then nothing was started.
    pub fn spawn(plan: &Plan, output: Output) -> Result<Self, Failure> {
        // Before the command: its first child may be orphaned at once. A kernel that refuses has no subreapers (before
        // 3.4); the command runs all the same.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
        let (pid, relay) = spawn::spawn(plan, output)?;
        Ok(Self { pid, ended: None, max_rss_bytes: None, relay })
    }

    /// The command's number. Once its end was noticed it may be another process's.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// How the command ended, once [`reap`](Self::reap) has noticed it.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        self.ended
    }

    /// The largest resident size, in bytes, of any single process that had ended when the command's end was noticed: the
    /// command, its descendants it waited for, and adopted ones. `None` before.
    ///
    /// It is exact, however short the peak was: getrusage(2), RUSAGE_CHILDREN. A new process counts as having had the
    /// size of the one that started it, so small commands show the size of this program.
    #[must_use]
    pub fn max_rss_bytes(&self) -> Option<u64> {
        self.max_rss_bytes
    }

    /// The relay, if the output goes through one.
    #[must_use]
    pub fn relay(&self) -> Option<&Relay> {
        self.relay.as_ref()
    }

    /// The relay, to [`finish`](Relay::finish) it.
    pub fn take_relay(&mut self) -> Option<Relay> {
        self.relay.take()
    }

    /// Takes notice of every process that has ended: the command, and adopted orphans. Does not wait.
    ///
    /// `before` is called with the number of each while it is still a zombie: the number is still its own, and what
    /// `/proc` says of a zombie can still be read.
    pub fn reap(&mut self, mut before: impl FnMut(u32)) -> Vec<Reaped> {
        let mut reaped = Vec::new();
        while let Some(pid) = reap::next_ended(self.ended.is_none().then_some(self.pid)) {
            let number = pid.as_raw_nonzero().get().unsigned_abs();
            before(number);
            let Ok(Some(status)) = reap::wait(pid, WaitIdOptions::empty()) else { break };
            if pid == self.pid && self.ended.is_none() {
                self.ended = Some(status);
                self.max_rss_bytes = reap::children_max_rss_bytes();
            }
            reaped.push(Reaped { pid: number, status });
        }
        if self.ended.is_none() && reap::wait(self.pid, WaitIdOptions::NOWAIT).is_err() {
            self.ended = Some(Ended::Unknown);
            reaped.push(Reaped { pid: self.pid(), status: Ended::Unknown });
        }
        reaped
    }

    /// Passes a signal on to the command, unless the command got it already or its end was noticed. Whether it did.
    ///
    /// Ctrl-C, Ctrl-\ and a hang-up of the terminal reach the command by themselves; the same signals sent by a process
    /// reached only this program. (One sent to the whole group, as by `timeout`, reaches the command twice: nothing tells
    /// the two cases apart.) A hang-up is another matter where this program leads the session, as under `ssh -t`: then it is
    /// told to the leader alone, and to the others when the leader ends (credentials(7), and `__tty_hangup` in the kernel).
    pub fn forward(&self, received: Received) -> bool {
        let Some(signal) =
            Signal::from_named_raw(received.number).filter(|_| FORWARDED.contains(&received.number))
        else {
            return false;
        };
        let for_leader = signal == Signal::HUP && leads_session();
        let was_there = FROM_TERMINAL.contains(&signal) && !received.sent_by_process && !for_leader;
        !was_there && self.send(signal)
    }

    /// The processes that live still though the command has ended: those it started to outlive it, and those it forgot.
    /// They are left alone; when this program ends they become init's. In no order.
    #[must_use]
    pub fn leftovers(&self) -> Vec<u32> {
        if !reap::has_children() {
            return Vec::new();
        }
        family::descendants().iter().map(|process| process.id.pid).collect()
    }

    /// Sends `signal` to the command, if its number is still its own: nobody but this program can set it free.
    fn send(&self, signal: Signal) -> bool {
        self.ended.is_none() && rustix::process::kill_process(self.pid, signal).is_ok()
    }
}

/// Asked through `nix`: a leader outside this pid namespace has the number 0 here (getsid(2)), which `rustix` takes for impossible.
fn leads_session() -> bool {
    nix::unistd::getsid(None) == Ok(nix::unistd::getpid())
}

impl Drop for Launched {
    fn drop(&mut self) {
        // If it ended by itself, what it left behind is left alone.
        self.reap(|_| {});
        if self.ended.is_none() {
            self.terminate(GRACE, |_| {});
        }
        if let Some(mut relay) = self.relay.take() {
            // Its last words may tell why.
            relay.finish(Duration::from_secs(1));
        }
    }
}
