//! Processes that the kernel reported and no listing has shown yet. Many exit before that.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::source::KernelEvent;

/// With more than this the exits must have been lost, and all are forgotten.
const MAX_PENDING: usize = 100_000;

/// A new process below a root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PendingProcess {
    /// Its parent.
    pub ppid: u32,
    /// The tree it belongs to.
    pub root: usize,
    /// Its start, on the monotonic clock since boot.
    pub at: Duration,
    /// Whether it has called exec.
    pub execed: bool,
    /// Its own name, if it has one and that was readable.
    pub name: Option<Arc<str>>,
    /// Its command line, under the same condition.
    pub cmdline: Option<Arc<[String]>>,
}

/// All pending processes.
#[derive(Debug, Default)]
pub struct PendingProcesses {
    by_pid: HashMap<u32, PendingProcess>,
}

impl PendingProcesses {
    /// Applies kernel events. Returns those that change a pending process, with its state then, or a watched process; and lost events.
    ///
    /// `tree_of` is the tree of a watched process.
    /// `lives` says whether a pid belongs to a watched process: a listing may show a child before its fork event is read.
    pub fn apply(
        &mut self,
        events: Vec<KernelEvent>,
        tree_of: impl Fn(u32) -> Option<usize>,
        lives: impl Fn(u32) -> bool,
    ) -> Vec<(KernelEvent, Option<PendingProcess>)> {
        let mut updates = Vec::new();
        let mut ended = HashSet::new();
        for event in events {
            match event {
                KernelEvent::Fork { child, .. } if lives(child) && !ended.contains(&child) => {}
                KernelEvent::Fork { parent, child, at } => {
                    let root =
                        tree_of(parent).or_else(|| self.by_pid.get(&parent).map(|process| process.root));
                    if let Some(root) = root {
                        if self.by_pid.len() >= MAX_PENDING {
                            self.by_pid.clear();
                            updates.push((KernelEvent::Lost, None));
                        }
                        let process = PendingProcess { ppid: parent, root, at, ..PendingProcess::default() };
                        self.by_pid.insert(child, process);
                    }
                }
                KernelEvent::Exec { pid } => {
                    let process = self.by_pid.get_mut(&pid).map(|process| {
                        (process.execed, process.name) = (true, None);
                        process.clone()
                    });
                    if process.is_some() || tree_of(pid).is_some() {
                        updates.push((event, process));
                    }
                }
                KernelEvent::Name { pid, name } => {
                    if let Some(process) = self.by_pid.get_mut(&pid) {
                        process.name = Some(name);
                    }
                }
                KernelEvent::Exit { pid, .. } => {
                    ended.insert(pid);
                    let process = self.by_pid.remove(&pid);
                    if process.is_some() || tree_of(pid).is_some() {
                        updates.push((event, process));
                    }
                }
                KernelEvent::Lost => {
                    // Exits may be lost too; the next listing finds the processes that live.
                    self.by_pid.clear();
                    updates.push((event, None));
                }
            }
        }
        updates
    }

    /// Removes a process that is watched from now on.
    pub fn take(&mut self, pid: u32) -> Option<PendingProcess> {
        self.by_pid.remove(&pid)
    }

    /// Sets the name and command line of a pending process.
    pub fn set_name(&mut self, pid: u32, name: Arc<str>, cmdline: Option<Arc<[String]>>) {
        if let Some(process) = self.by_pid.get_mut(&pid) {
            (process.name, process.cmdline) = (Some(name), cmdline);
        }
    }

    /// Their pids, in order.
    pub fn pids(&self) -> Vec<u32> {
        let mut pids: Vec<u32> = self.by_pid.keys().copied().collect();
        pids.sort_unstable();
        pids
    }

    /// The tree of a pending process.
    pub fn tree_of(&self, pid: u32) -> Option<usize> {
        self.by_pid.get(&pid).map(|process| process.root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn root_is_10(pid: u32) -> Option<usize> {
        (pid == 10).then_some(0)
    }

    #[test]
    fn short_lives_have_name_and_status() {
        let mut pending = PendingProcesses::default();
        let updates = pending.apply(
            vec![
                KernelEvent::Fork { parent: 10, child: 20, at: at(5) },
                KernelEvent::Fork { parent: 20, child: 21, at: at(6) },
                KernelEvent::Fork { parent: 77, child: 78, at: at(6) },
                KernelEvent::Exec { pid: 21 },
                KernelEvent::Name { pid: 21, name: "sh".into() },
                KernelEvent::Exit { pid: 21, wait_status: 256, at: at(7) },
                KernelEvent::Exit { pid: 78, wait_status: 0, at: at(8) },
                KernelEvent::Exit { pid: 20, wait_status: 9, at: at(9) },
            ],
            root_is_10,
            |_| false,
        );
        let child = PendingProcess { ppid: 10, root: 0, at: at(5), execed: false, name: None, cmdline: None };
        let unnamed = PendingProcess { ppid: 20, at: at(6), execed: true, ..child.clone() };
        let grandchild = PendingProcess { name: Some("sh".into()), ..unnamed.clone() };
        assert_eq!(
            updates,
            [
                (KernelEvent::Exec { pid: 21 }, Some(unnamed)),
                (KernelEvent::Exit { pid: 21, wait_status: 256, at: at(7) }, Some(grandchild)),
                (KernelEvent::Exit { pid: 20, wait_status: 9, at: at(9) }, Some(child)),
            ]
        );
    }

    #[test]
    fn survivor_waits_for_listing() {
        let mut pending = PendingProcesses::default();
        assert!(
            pending
                .apply(vec![KernelEvent::Fork { parent: 10, child: 20, at: at(5) }], root_is_10, |_| false)
                .is_empty()
        );
        assert_eq!(pending.tree_of(20), Some(0));
        assert!(pending.take(20).is_some());
        assert!(pending.take(20).is_none());
        let exit = KernelEvent::Exit { pid: 10, wait_status: 0, at: at(9) };
        assert_eq!(
            pending.apply(vec![exit.clone()], root_is_10, |_| false),
            [(exit, None)],
            "the exit of a watched process is passed on"
        );
    }

    #[test]
    fn listed_process_is_not_pending() {
        let mut pending = PendingProcesses::default();
        let fork = KernelEvent::Fork { parent: 10, child: 20, at: at(5) };
        assert!(pending.apply(vec![fork.clone()], root_is_10, |pid| pid == 20).is_empty());
        assert_eq!(pending.tree_of(20), None);
        let exit = KernelEvent::Exit { pid: 20, wait_status: 0, at: at(4) };
        pending.apply(vec![exit, fork], root_is_10, |pid| pid == 20);
        assert_eq!(pending.tree_of(20), Some(0), "a number given out again is another process");
    }

    #[test]
    fn lost_events_clear_pending() {
        let mut pending = PendingProcesses::default();
        let fork = KernelEvent::Fork { parent: 10, child: 20, at: at(5) };
        assert_eq!(
            pending.apply(vec![fork, KernelEvent::Lost], root_is_10, |_| false),
            [(KernelEvent::Lost, None)]
        );
        assert_eq!(pending.tree_of(20), None);
    }
}
