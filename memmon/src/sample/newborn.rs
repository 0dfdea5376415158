//! Processes that the kernel told of and that no listing has shown yet. Many never will: they live too short.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::source::KernelEvent;

/// Beyond this many the oldest knowledge is given up: their exits were lost.
const MOST: usize = 100_000;

/// A process that began below a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newborn {
    /// Its parent.
    pub ppid: u32,
    /// The tree it belongs to.
    pub root: usize,
    /// When it began, on the monotonic clock since boot.
    pub at: Duration,
    /// It runs another program than its parent.
    pub execed: bool,
    /// Its name, once it took one of its own and that could be read.
    pub name: Option<Arc<str>>,
    /// Its command line, likewise.
    pub cmdline: Option<Arc<[String]>>,
}

/// What became of a process that was told of.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    /// A newborn ended before anyone saw it.
    ShortLived {
        /// Its number.
        pid: u32,
        /// What was known of it.
        newborn: Newborn,
        /// As wait(2) encodes it.
        wait_status: i32,
        /// When it ended.
        at: Duration,
    },
    /// A newborn runs another program: its name can be read now, if it still lives.
    NewProgram {
        /// Its number.
        pid: u32,
    },
    /// A process that is watched already runs another program.
    Exec {
        /// Its number.
        pid: u32,
    },
    /// A process that is watched already ended.
    Exit {
        /// Its number.
        pid: u32,
        /// As wait(2) encodes it.
        wait_status: i32,
        /// When.
        at: Duration,
    },
    /// The kernel could not keep all events for us.
    Lost,
}

/// The newborns, by number.
#[derive(Debug, Default)]
pub struct Newborns {
    waiting: HashMap<u32, Newborn>,
}

impl Newborns {
    /// Follows what the kernel told. `tree_of` says which tree a watched process is in.
    ///
    /// `lives` says whether a number is that of a process already watched: a listing may show a child before the kernel's word of its birth
    /// is heard.
    pub fn follow(
        &mut self,
        events: Vec<KernelEvent>,
        tree_of: impl Fn(u32) -> Option<usize>,
        lives: impl Fn(u32) -> bool,
    ) -> Vec<Told> {
        let mut told = Vec::new();
        let mut ended = HashSet::new();
        for event in events {
            match event {
                KernelEvent::Fork { child, .. } if lives(child) && !ended.contains(&child) => {}
                KernelEvent::Fork { parent, child, at } => {
                    let root =
                        tree_of(parent).or_else(|| self.waiting.get(&parent).map(|newborn| newborn.root));
                    if let Some(root) = root {
                        if self.waiting.len() >= MOST {
                            self.waiting.clear();
                            told.push(Told::Lost);
                        }
                        self.waiting.insert(
                            child,
                            Newborn { ppid: parent, root, at, execed: false, name: None, cmdline: None },
                        );
                    }
                }
                KernelEvent::Exec { pid } => {
                    if let Some(newborn) = self.waiting.get_mut(&pid) {
                        (newborn.execed, newborn.name) = (true, None);
                        told.push(Told::NewProgram { pid });
                    } else if tree_of(pid).is_some() {
                        told.push(Told::Exec { pid });
                    }
                }
                KernelEvent::Name { pid, name } => {
                    if let Some(newborn) = self.waiting.get_mut(&pid) {
                        newborn.name = Some(name);
                    }
                }
                KernelEvent::Exit { pid, wait_status, at } => {
                    ended.insert(pid);
                    if let Some(newborn) = self.waiting.remove(&pid) {
                        told.push(Told::ShortLived { pid, newborn, wait_status, at });
                    } else if tree_of(pid).is_some() {
                        told.push(Told::Exit { pid, wait_status, at });
                    }
                }
                KernelEvent::Lost => {
                    // Exits may be among what was lost; the listing finds who is still there.
                    self.waiting.clear();
                    told.push(Told::Lost);
                }
            }
        }
        told
    }

    /// A listing shows the process: it is watched from now on.
    pub fn found(&mut self, pid: u32) -> Option<Newborn> {
        self.waiting.remove(&pid)
    }

    /// What a newborn's program could be read to be.
    pub fn name(&mut self, pid: u32, name: Arc<str>, cmdline: Option<Arc<[String]>>) {
        if let Some(newborn) = self.waiting.get_mut(&pid) {
            (newborn.name, newborn.cmdline) = (Some(name), cmdline);
        }
    }

    /// Their numbers, in order.
    pub fn pids(&self) -> Vec<u32> {
        let mut pids: Vec<u32> = self.waiting.keys().copied().collect();
        pids.sort_unstable();
        pids
    }

    /// The tree a newborn belongs to.
    pub fn tree_of(&self, pid: u32) -> Option<usize> {
        self.waiting.get(&pid).map(|newborn| newborn.root)
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
    fn a_child_and_its_own_child_that_lived_for_a_moment_are_told_with_name_and_status() {
        let mut newborns = Newborns::default();
        let told = newborns.follow(
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
        let child = Newborn { ppid: 10, root: 0, at: at(5), execed: false, name: None, cmdline: None };
        let grandchild =
            Newborn { ppid: 20, at: at(6), execed: true, name: Some("sh".into()), ..child.clone() };
        assert_eq!(
            told,
            [
                Told::NewProgram { pid: 21 },
                Told::ShortLived { pid: 21, newborn: grandchild, wait_status: 256, at: at(7) },
                Told::ShortLived { pid: 20, newborn: child, wait_status: 9, at: at(9) },
            ]
        );
    }

    #[test]
    fn one_that_lives_on_waits_until_it_is_found() {
        let mut newborns = Newborns::default();
        assert!(
            newborns
                .follow(vec![KernelEvent::Fork { parent: 10, child: 20, at: at(5) }], root_is_10, |_| false)
                .is_empty()
        );
        assert_eq!(newborns.tree_of(20), Some(0));
        assert!(newborns.found(20).is_some());
        assert!(newborns.found(20).is_none());
        let exit = KernelEvent::Exit { pid: 10, wait_status: 0, at: at(9) };
        assert_eq!(
            newborns.follow(vec![exit], root_is_10, |_| false),
            [Told::Exit { pid: 10, wait_status: 0, at: at(9) }],
            "a watched one's end is told as such"
        );
    }

    #[test]
    fn one_that_a_listing_showed_first_is_not_told_twice() {
        let mut newborns = Newborns::default();
        let fork = KernelEvent::Fork { parent: 10, child: 20, at: at(5) };
        assert!(newborns.follow(vec![fork.clone()], root_is_10, |pid| pid == 20).is_empty());
        assert_eq!(newborns.tree_of(20), None);
        let exit = KernelEvent::Exit { pid: 20, wait_status: 0, at: at(4) };
        newborns.follow(vec![exit, fork], root_is_10, |pid| pid == 20);
        assert_eq!(newborns.tree_of(20), Some(0), "a number given out again is another process");
    }

    #[test]
    fn what_is_lost_leaves_nothing_waiting_for_ever() {
        let mut newborns = Newborns::default();
        let fork = KernelEvent::Fork { parent: 10, child: 20, at: at(5) };
        assert_eq!(newborns.follow(vec![fork, KernelEvent::Lost], root_is_10, |_| false), [Told::Lost]);
        assert_eq!(newborns.tree_of(20), None);
    }
}
