//! Assigns processes to the roots they descend from.

use std::collections::HashMap;

use common::process::ProcessId;

use crate::source::ProcessEntry;

/// The watched roots and every living process below them.
///
/// Membership is kept: a process whose parent exits gets another parent (init, or a subreaper) and remains a member. A new process is
/// a member if its parent is. It also is if a member leads its session or process group: this finds grandchildren whose parent
/// exited before it was seen, since a session can only be inherited (setsid(2)).
///
/// ```
/// use common::process::ProcessId;
/// use memmon::process_forest::ProcessForest;
/// use memmon::source::ProcessEntry;
///
/// let id = |pid| ProcessId { pid, start: 1 };
/// let mut forest = ProcessForest::default();
/// forest.add_root(id(10));
/// let child = ProcessEntry { id: id(11), ppid: 10, ..ProcessEntry::default() };
/// assert_eq!(forest.add_new(&[child]), [(child, 0)]);
/// ```
#[derive(Debug, Default)]
pub struct ProcessForest {
    roots: Vec<ProcessId>,
    /// Each living member and the index of its root, by pid.
    members: HashMap<u32, (ProcessId, usize)>,
    adopter: Option<u32>,
}

impl ProcessForest {
    /// Adds a root. Returns the index of its tree.
    pub fn add_root(&mut self, root: ProcessId) -> usize {
        let index = self.roots.len();
        self.roots.push(root);
        self.add(root, index);
        index
    }

    /// Orphans of the first tree become children of `pid`, which has no others (a subreaper, prctl(2)).
    pub fn set_adopter(&mut self, pid: u32) {
        self.adopter = Some(pid);
    }

    /// The roots, living or not, by index.
    pub fn roots(&self) -> &[ProcessId] {
        &self.roots
    }

    /// The tree of the process that has this pid now.
    pub fn tree_of(&self, pid: u32) -> Option<usize> {
        self.members.get(&pid).map(|(_, root)| *root)
    }

    /// The member with this pid.
    pub fn member(&self, pid: u32) -> Option<ProcessId> {
        self.members.get(&pid).map(|(id, _)| *id)
    }

    /// Adds a process that is known to belong to tree `root`.
    pub fn add(&mut self, id: ProcessId, root: usize) {
        self.members.insert(id.pid, (id, root));
    }

    /// Removes a process that exited. Another one with its pid stays.
    pub fn remove(&mut self, id: ProcessId) {
        if self.member(id.pid) == Some(id) {
            self.members.remove(&id.pid);
        }
    }

    /// Assigns new processes to trees; those of no tree are left out. Parents come before their children.
    pub fn add_new(&mut self, new: &[ProcessEntry]) -> Vec<(ProcessEntry, usize)> {
        let mut taken = Vec::new();
        let mut left: Vec<ProcessEntry> =
            new.iter().filter(|f| self.member(f.id.pid) != Some(f.id)).copied().collect();
        loop {
            let before = taken.len();
            // After a wrap-around a child can have a smaller pid than its parent.
            left.retain(|entry| match self.find_tree(entry) {
                _ if self.member(entry.id.pid) == Some(entry.id) => false,
                Some(root) => {
                    self.add(entry.id, root);
                    taken.push((*entry, root));
                    false
                }
                None => true,
            });
            if taken.len() == before {
                return taken;
            }
        }
    }

    fn find_tree(&self, entry: &ProcessEntry) -> Option<usize> {
        let leader = |pid: u32| if pid == 0 || pid == entry.id.pid { None } else { self.tree_of(pid) };
        let adopted = || (self.adopter == Some(entry.ppid)).then_some(0);
        leader(entry.ppid).or_else(adopted).or_else(|| leader(entry.session)).or_else(|| leader(entry.group))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(pid: u32, ppid: u32) -> ProcessEntry {
        ProcessEntry { id: ProcessId { pid, start: u64::from(pid) }, ppid, group: 0, session: 0 }
    }

    fn forest(root: u32) -> ProcessForest {
        let mut forest = ProcessForest::default();
        forest.add_root(found(root, 1).id);
        forest
    }

    fn pids(taken: &[(ProcessEntry, usize)]) -> Vec<u32> {
        taken.iter().map(|(f, _)| f.id.pid).collect()
    }

    #[test]
    fn adopted_orphan_joins_first_tree() {
        let mut forest = forest(100);
        assert!(forest.add_new(&[found(5, 50)]).is_empty());
        forest.set_adopter(50);
        assert_eq!(
            forest.add_new(&[found(6, 50), found(7, 51)]).first().map(|(f, root)| (f.id.pid, *root)),
            Some((6, 0))
        );
        assert_eq!(forest.tree_of(7), None);
    }

    #[test]
    fn descendants_in_any_pid_order() {
        let mut forest = forest(100);
        let taken =
            forest.add_new(&[found(5, 7), found(7, 200), found(200, 100), found(201, 1), found(100, 1)]);
        assert_eq!(pids(&taken), [200, 7, 5]);
        assert!(forest.add_new(&[found(5, 7)]).is_empty(), "known ones are not taken again");
    }

    #[test]
    fn orphans_stay_members() {
        let mut forest = forest(100);
        forest.add_new(&[found(200, 100), found(300, 200)]);
        forest.remove(found(200, 100).id);
        assert_eq!(pids(&forest.add_new(&[found(400, 300)])), [400]);
    }

    #[test]
    fn session_or_group_finds_grandchild() {
        let mut forest = forest(100);
        let daemon = ProcessEntry { session: 100, ..found(300, 1) };
        let stranger = ProcessEntry { session: 99, group: 98, ..found(301, 1) };
        let grouped = ProcessEntry { session: 99, group: 100, ..found(302, 1) };
        assert_eq!(pids(&forest.add_new(&[daemon, stranger, grouped])), [300, 302]);
    }

    #[test]
    fn reused_pid_is_another_process() {
        let mut forest = forest(100);
        let first = found(200, 100);
        forest.add_new(&[first]);
        let second = ProcessEntry { id: ProcessId { pid: 200, start: 999 }, ..found(200, 100) };
        assert_eq!(forest.add_new(&[second]).len(), 1);
        forest.remove(first.id);
        assert_eq!(
            forest.member(200),
            Some(second.id),
            "the end of the first does not add_new the second along"
        );
    }

    proptest! {
        #[test]
        fn any_parent_table_terminates(
            table in proptest::collection::vec((1_u32..50, 0_u32..50), 0..80)
        ) {
            let all: Vec<ProcessEntry> = table.iter().map(|&(pid, ppid)| found(pid, ppid)).collect();
            let mut forest = forest(7);
            let mut taken = pids(&forest.add_new(&all));
            let n = taken.len();
            taken.sort_unstable();
            taken.dedup();
            prop_assert_eq!(taken.len(), n);
        }
    }
}
