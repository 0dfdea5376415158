//! Ending the command and everything below it.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::process::ProcessId;
use rustix::process::Signal;

use super::reap::has_children;
use super::{Launched, Reaped, family};

/// How long processes have between SIGTERM and SIGKILL, where the user did not say otherwise.
pub const GRACE: Duration = Duration::from_secs(5);

/// How long to wait for killed processes to be gone. Only a kernel that is stuck (state D) takes longer.
const KILL_LIMIT: Duration = Duration::from_secs(2);

/// The pause between two looks, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// What came of [`Launched::terminate`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terminated {
    /// Those whose end was noticed meanwhile.
    pub reaped: Vec<Reaped>,
    /// Those that SIGTERM did not end in time: they got SIGKILL.
    pub killed: Vec<u32>,
    /// Those that live still: the kernel holds them, or they belong to another user.
    pub survivors: Vec<u32>,
}

impl Launched {
    /// Ends the command and all processes below it.
    ///
    /// The command gets SIGTERM, and when it has ended, so do those it left behind: a shell ends at once and its programs
    /// know nothing of it. Whatever lives after `grace` gets SIGKILL, again and again until nothing is left. Stopped
    /// processes are continued, else they would not notice. `before` is called as by [`reap`](Self::reap).
    ///
    /// Returns after `grace` and 2 s at the latest. Where there is no `/proc` only the command itself is ended.
    pub fn terminate(&mut self, grace: Duration, mut before: impl FnMut(u32)) -> Terminated {
        let mut done = Terminated { reaped: self.reap(&mut before), ..Terminated::default() };
        let mut asked = HashSet::new();
        let deadline = Instant::now() + grace;
        self.ask();
        let mut pause = PAUSE.0;
        loop {
            done.reaped.append(&mut self.reap(&mut before));
            if !has_children() {
                return done;
            }
            if self.ended.is_some() {
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

    fn ask(&self) {
        self.send(Signal::TERM);
        self.send(Signal::CONT);
    }

    fn kill(&mut self, done: &mut Terminated, before: &mut impl FnMut(u32)) {
        let deadline = Instant::now() + KILL_LIMIT;
        let mut out_of_reach: HashSet<ProcessId> = HashSet::new();
        let mut pause = PAUSE.0;
        loop {
            if self.send(Signal::KILL) {
                note(&mut done.killed, self.pid());
            }
            let command = self.living();
            family::visit_descendants(|process| {
                if !family::send(process, Signal::KILL) {
                    out_of_reach.insert(process.id);
                } else if Some(process.id.pid) != command && note(&mut done.killed, process.id.pid) {
                    // Something forks: follow closely.
                    pause = PAUSE.0;
                }
            });
            done.reaped.append(&mut self.reap(&mut *before));
            if !has_children() {
                return;
            }
            let left = family::descendants();
            let is_in_vain =
                !left.is_empty() && left.iter().all(|process| out_of_reach.contains(&process.id));
            if is_in_vain || Instant::now() >= deadline {
                break;
            }
            wait(&mut pause, deadline);
        }
        done.survivors = self.leftovers();
        // Without /proc the list is empty, whatever became of the command.
        if let Some(command) = self.living() {
            note(&mut done.survivors, command);
        }
    }

    fn living(&self) -> Option<u32> {
        self.ended.is_none().then(|| self.pid())
    }
}

/// Adds `pid`, once. Whether it is new.
fn note(pids: &mut Vec<u32>, pid: u32) -> bool {
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
