//! Ends the command and all its descendants.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::process::ProcessId;
use rustix::process::Signal;

use super::reap::has_children;
use super::{Launched, Reaped, family};

/// The default time between SIGTERM and SIGKILL.
pub const GRACE: Duration = Duration::from_secs(5);

/// The time that killed processes get to exit. Only a process in state D takes longer.
const KILL_LIMIT: Duration = Duration::from_secs(2);

/// The shortest and the longest pause between two checks.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// The result of [`Launched::terminate`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terminated {
    /// Processes that were reaped meanwhile.
    pub reaped: Vec<Reaped>,
    /// Processes that got SIGKILL, because SIGTERM did not end them in time.
    pub killed: Vec<u32>,
    /// Processes that still run: they are in state D, or belong to another user.
    pub survivors: Vec<u32>,
}

impl Launched {
    /// Ends the command and all its descendants.
    ///
    /// The command gets SIGTERM. After its exit the descendants get SIGTERM: a shell exits at once without a signal to its
    /// programs. After `grace` the rest get SIGKILL, again and again until none is left. Stopped processes get SIGCONT, so
    /// that they can handle SIGTERM. `before` is called as by [`reap`](Self::reap).
    ///
    /// Returns after `grace` and 2 s at the latest. Without `/proc` only the command itself is ended.
    pub fn terminate(&mut self, grace: Duration, mut before: impl FnMut(u32)) -> Terminated {
        let mut done = Terminated { reaped: self.reap(&mut before), ..Terminated::default() };
        let mut asked = HashSet::new();
        let deadline = Instant::now() + grace;
        self.request_exit();
        let mut pause = PAUSE.0;
        loop {
            done.reaped.append(&mut self.reap(&mut before));
            if !has_children() {
                return done;
            }
            if self.exit_status.is_some() {
                for process in family::descendants().iter().filter(|process| asked.insert(process.id)) {
                    family::send(process, Signal::TERM);
                    family::send(process, Signal::CONT);
                }
            }
            if Instant::now() >= deadline {
                break;
            }
            wait(&mut pause, deadline);
        }
        self.kill(&mut done, &mut before);
        done
    }

    fn request_exit(&self) {
        self.send(Signal::TERM);
        self.send(Signal::CONT);
    }

    fn kill(&mut self, done: &mut Terminated, before: &mut impl FnMut(u32)) {
        let deadline = Instant::now() + KILL_LIMIT;
        let mut unkillable: HashSet<ProcessId> = HashSet::new();
        let mut pause = PAUSE.0;
        loop {
            if self.send(Signal::KILL) {
                push_unique(&mut done.killed, self.pid());
            }
            let command = self.running_pid();
            family::visit_descendants(|process| {
                if !family::send(process, Signal::KILL) {
                    unkillable.insert(process.id);
                } else if Some(process.id.pid) != command && push_unique(&mut done.killed, process.id.pid) {
                    // A process forks: check again soon.
                    pause = PAUSE.0;
                }
            });
            done.reaped.append(&mut self.reap(&mut *before));
            if !has_children() {
                return;
            }
            let left = family::descendants();
            let is_hopeless = !left.is_empty() && left.iter().all(|process| unkillable.contains(&process.id));
            if is_hopeless || Instant::now() >= deadline {
                break;
            }
            wait(&mut pause, deadline);
        }
        done.survivors = self.leftovers();
        // Without /proc the list never contains the command.
        if let Some(command) = self.running_pid() {
            push_unique(&mut done.survivors, command);
        }
    }

    fn running_pid(&self) -> Option<u32> {
        self.exit_status.is_none().then(|| self.pid())
    }
}

/// Adds `pid` once. Returns whether it is new.
fn push_unique(pids: &mut Vec<u32>, pid: u32) -> bool {
    let is_new = !pids.contains(&pid);
    if is_new {
        pids.push(pid);
    }
    is_new
}

fn wait(pause: &mut Duration, deadline: Instant) {
    std::thread::sleep((*pause).min(deadline.saturating_duration_since(Instant::now())));
    *pause = (*pause * 2).min(PAUSE.1);
}
