//! The state of one tree between two redraws, and the order of its rows.

use std::collections::{HashMap, VecDeque};

use common::record::{Cgroup, ProcessEvent, ProcessRecord, ProcessSample};

use super::process_state::{HISTORY_SAMPLES, ProcessRow, describe_exit, may_be_equal};
use super::recent;

/// How many samples an exited process remains visible.
pub(super) const EXITED_ROW_TICKS: u64 = 5;

/// A root and all processes below it, including those that exited recently.
#[derive(Debug, Default)]
pub(super) struct TreeState {
    /// The root first, the others in the order of their first sample.
    pub(super) processes: Vec<ProcessRow>,
    /// The latest process of each pid, as an index into `processes`.
    by_pid: HashMap<u32, usize>,
    /// The number of samples so far.
    generation: u64,
    /// The iteration of the last sample.
    pub(super) iteration: u64,
    pub(super) total_rss: u64,
    pub(super) first_total: u64,
    pub(super) total_pss: Option<u64>,
    pub(super) short_lived: u64,
    /// The last known value: it is read at most once a second.
    pub(super) cgroup: Option<Cgroup>,
    /// The oldest first.
    pub(super) totals: VecDeque<Option<u64>>,
    /// How the root exited and in which iteration, if it has.
    pub(super) ended: Option<(String, u64)>,
}

impl TreeState {
    /// A root that is new in this record.
    pub(super) fn new(record: &ProcessRecord) -> Self {
        let mut root = Self { first_total: record.total_rss_bytes, ..Self::default() };
        root.update(record);
        root
    }

    /// Takes a sample.
    pub(super) fn update(&mut self, record: &ProcessRecord) {
        self.generation += 1;
        self.iteration = record.iteration;
        self.total_rss = record.total_rss_bytes;
        self.total_pss = record.total_pss_bytes.or(self.total_pss);
        self.short_lived = record.short_lived_count.unwrap_or(0);
        if record.cgroup.is_some() {
            self.cgroup.clone_from(&record.cgroup);
        }
        recent::push(&mut self.totals, Some(record.total_rss_bytes), HISTORY_SAMPLES);
        self.take(&record.root());
        // A child with the root's pid would replace it.
        for child in record.children.iter().filter(|child| child.pid != record.pid) {
            self.take(child);
        }
        self.remove_exited();
        if self.root_process().is_some_and(|root| root.ended.is_none()) {
            self.ended = None;
        }
    }

    fn take(&mut self, sample: &ProcessSample) {
        let start = (sample.start_ticks, sample.start_time.as_ref());
        let known = self.by_pid.get(&sample.pid).and_then(|&at| self.processes.get_mut(at));
        match known {
            // A pid twice in a record: the first counts.
            Some(process) if process.seen == self.generation => {}
            Some(process) if may_be_equal(process.start(), start) => process.update(sample, self.generation),
            _ => {
                self.by_pid.insert(sample.pid, self.processes.len());
                self.processes.push(ProcessRow::new(sample, self.generation));
            }
        }
    }

    /// Marks processes that are missing in the sample as exited, and forgets those that exited long ago.
    fn remove_exited(&mut self) {
        let now = self.generation;
        for process in self.processes.iter_mut().filter(|process| process.seen != now) {
            process.ended.get_or_insert_with(|| ("ended".to_owned(), now));
        }
        let before = self.processes.len();
        let is_visible = |(_, confirmed): &(String, u64)| now - confirmed < EXITED_ROW_TICKS;
        self.processes.retain(|process| process.ended.as_ref().is_none_or(is_visible));
        if self.processes.len() == before {
            return;
        }
        self.by_pid.clear();
        self.by_pid.extend(self.processes.iter().enumerate().map(|(at, process)| (process.sample.pid, at)));
        let room = self.processes.len() * 2 + 16;
        self.processes.shrink_to(room);
        self.by_pid.shrink_to(room);
    }

    /// Takes the exit of one of its processes.
    pub(super) fn exited(&mut self, event: &ProcessEvent) {
        let start = (event.start_ticks, event.start_time.as_ref());
        let Some(&at) = self.by_pid.get(&event.pid) else { return };
        let Some(process) = self.processes.get_mut(at) else { return };
        if may_be_equal(process.start(), start) {
            process.ended = Some((describe_exit(event), self.generation));
            if at == 0 {
                self.ended = Some((describe_exit(event), event.iteration.max(self.iteration)));
            }
        }
    }

    /// Whether a record is about this root.
    pub(super) fn is_of(&self, record: &ProcessRecord) -> bool {
        let start = (record.start_ticks, record.start_time.as_ref());
        self.root_process()
            .is_some_and(|root| root.sample.pid == record.pid && may_be_equal(root.start(), start))
    }

    /// The root process itself.
    pub(super) fn root_process(&self) -> Option<&ProcessRow> {
        self.processes.first()
    }

    /// The number of processes in the last sample.
    pub(super) fn live_count(&self) -> usize {
        self.processes.iter().filter(|process| process.ended.is_none()).count()
    }

    /// The rows of the tree from top to bottom. `offset` is the number of rows above them in the table.
    pub(super) fn rows(&self, root: usize, offset: usize) -> Vec<Row> {
        let parents = self.parents();
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); parents.len()];
        for (at, parent) in parents.iter().enumerate().skip(1) {
            if let Some(siblings) = children.get_mut(*parent) {
                siblings.push(at);
            }
        }
        let mut rows = Vec::with_capacity(parents.len());
        // The rows to add next: index, depth, row of the parent, and whether it is the last child.
        let mut stack = if parents.is_empty() { Vec::new() } else { vec![(0, 0_u16, None, true)] };
        while let Some((at, depth, parent, is_last)) = stack.pop() {
            let here = offset + rows.len();
            rows.push(Row { root, process: Some(at), depth, parent, is_last });
            let below = children.get(at).into_iter().flatten().rev().enumerate();
            stack.extend(below.map(|(n, &child)| (child, depth.saturating_add(1), Some(here), n == 0)));
        }
        rows
    }

    /// The index of each process's parent. It is the root if the parent is not in the tree, or is below the process itself.
    fn parents(&self) -> Vec<usize> {
        let mut parents: Vec<usize> = (self.processes.iter())
            .map(|process| process.sample.ppid.and_then(|ppid| self.by_pid.get(&ppid)).copied().unwrap_or(0))
            .collect();
        // From which process each one was first reached on the way up to the root.
        let mut met_from: Vec<Option<usize>> = vec![None; parents.len()];
        if let Some(root) = met_from.first_mut() {
            *root = Some(0);
        }
        for begin in 1..parents.len() {
            let mut at = begin;
            while let Some(met @ None) = met_from.get_mut(at) {
                *met = Some(begin);
                let Some(parent) = parents.get_mut(at) else { break };
                // Reached on this same way: a cycle, which is cut here.
                if met_from.get(*parent) == Some(&Some(begin)) {
                    *parent = 0;
                }
                at = *parent;
            }
        }
        parents
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    /// The index of the root.
    pub(super) root: usize,
    /// The index of the process; `None` for the total of the tree.
    pub(super) process: Option<usize>,
    /// The number of ancestors in its tree.
    pub(super) depth: u16,
    /// The row of its parent.
    pub(super) parent: Option<usize>,
    /// Whether it is the last child of its parent.
    pub(super) is_last: bool,
}

#[cfg(test)]
mod tests {
    use common::process::ProcessState;
    use common::record::EventKind;

    use super::super::testing::{event, record, sample, tree};
    use super::*;

    /// Depth and number of each row, and whether it is the last of its parent.
    fn shape(root: &TreeState) -> Vec<(u16, u32, bool)> {
        let rows = root.rows(0, 0);
        rows.iter()
            .map(|row| (row.depth, root.processes.get(row.process.unwrap()).unwrap().sample.pid, row.is_last))
            .collect()
    }

    #[test]
    fn children_follow_parents_by_start() {
        let root = TreeState::new(&tree(1, 1, &[(2, 1), (3, 1), (4, 2), (5, 4), (6, 2)]));
        assert_eq!(
            shape(&root),
            [(0, 1, true), (1, 2, false), (2, 4, false), (3, 5, true), (2, 6, true), (1, 3, true)]
        );
        let rows = root.rows(7, 100);
        assert_eq!(
            rows.iter().map(|row| row.parent).collect::<Vec<_>>(),
            [None, Some(100), Some(101), Some(102), Some(101), Some(100)]
        );
        assert!(rows.iter().all(|row| row.root == 7));
    }

    #[test]
    fn orphans_and_cycles_join_root() {
        let root = TreeState::new(&tree(1, 1, &[(2, 99), (3, 4), (4, 5), (5, 3), (6, 6), (7, 4)]));
        let mut pids: Vec<_> = shape(&root).iter().map(|row| row.1).collect();
        assert_eq!(pids.len(), 7);
        pids.sort_unstable();
        assert_eq!(pids, [1, 2, 3, 4, 5, 6, 7], "each is shown once");
        assert!(shape(&root).contains(&(1, 2, false)));
        assert!(shape(&root).iter().any(|row| row.0 == 1 && row.1 == 6));
    }

    #[test]
    fn exited_rows_are_freed() {
        let mut root = TreeState::new(&tree(1, 1, &[(2, 1), (3, 2)]));
        root.update(&tree(1, 2, &[(3, 1)]));
        let gone = |root: &TreeState| {
            let ended: Vec<_> =
                root.processes.iter().filter(|p| p.ended.is_some()).map(|p| p.sample.pid).collect();
            ended
        };
        assert_eq!((gone(&root), root.live_count()), (vec![2], 2));
        assert_eq!(shape(&root).len(), 3);
        for n in 0..EXITED_ROW_TICKS {
            assert_eq!(root.processes.len(), 3, "after {n} more samples");
            root.update(&tree(1, 3 + n, &[(3, 1)]));
        }
        assert_eq!((root.processes.len(), root.by_pid.len()), (2, 2));
        assert_eq!(root.processes.get(1).unwrap().history.len(), 7, "the others keep their history");
    }

    #[test]
    fn short_lives_leave_no_memory() {
        let mut root = TreeState::new(&tree(1, 1, &[]));
        for n in 0..2000_u32 {
            let children: Vec<_> = (0..50).map(|i| (2 + n * 50 + i, 1)).collect();
            root.update(&tree(1, u64::from(n) + 2, &children));
        }
        for n in 0..=EXITED_ROW_TICKS {
            root.update(&tree(1, 5000 + n, &[]));
        }
        assert_eq!((root.processes.len(), root.by_pid.len()), (1, 1));
        assert!(root.processes.capacity() < 100 && root.by_pid.capacity() < 100);
    }

    #[test]
    fn reused_pid_is_another_process() {
        let mut root = TreeState::new(&tree(1, 1, &[(2, 1)]));
        let mut next = record(1, 2, 10);
        next.children = vec![sample(2, 1, "other", 5)];
        next.children[0].start_ticks = Some(777);
        root.update(&next);
        let of_two: Vec<_> = root.processes.iter().filter(|p| p.sample.pid == 2).collect();
        assert_eq!(of_two.len(), 2);
        assert!(of_two[0].ended.is_some() && of_two[1].ended.is_none());
        let mut exited = event(EventKind::Exited, 2, 1);
        exited.start_ticks = Some(of_two[0].sample.pid.into());
        root.exited(&exited);
        assert!(
            root.processes[2].ended.is_none(),
            "an event about the former bearer is not about the new one"
        );
    }

    #[test]
    fn exit_event_order_does_not_matter() {
        let mut exited = event(EventKind::Exited, 2, 1);
        exited.exit_code = Some(0);
        let how =
            |root: &TreeState| root.processes.get(1).unwrap().ended.as_ref().map(|(how, _)| how.clone());
        let mut before = TreeState::new(&tree(1, 1, &[(2, 1)]));
        before.exited(&exited);
        before.update(&tree(1, 2, &[]));
        assert_eq!(how(&before).as_deref(), Some("exit 0"));
        let mut after = TreeState::new(&tree(1, 1, &[(2, 1)]));
        after.update(&tree(1, 2, &[]));
        assert_eq!(how(&after).as_deref(), Some("ended"));
        after.exited(&exited);
        assert_eq!(how(&after).as_deref(), Some("exit 0"));
        // What is still sampled has not ended after all, unless it is a zombie.
        let mut still = TreeState::new(&tree(1, 1, &[(2, 1)]));
        still.exited(&exited);
        still.update(&tree(1, 2, &[(2, 1)]));
        assert_eq!(how(&still), None);
        still.exited(&exited);
        let mut zombie = tree(1, 3, &[(2, 1)]);
        zombie.children[0].state = Some(ProcessState::Zombie);
        for _ in 0..EXITED_ROW_TICKS * 3 {
            still.update(&zombie);
        }
        assert_eq!(how(&still).as_deref(), Some("exit 0"));
    }

    #[test]
    fn child_cannot_replace_root() {
        let mut strange = tree(1, 1, &[(2, 1)]);
        strange.children.push(ProcessSample { start_ticks: Some(5000), ..sample(1, 1, "impostor", 1) });
        let mut root = TreeState::new(&strange);
        root.update(&strange);
        assert_eq!(root.root_process().unwrap().name, "p1");
        assert_eq!(root.processes.len(), 2);
    }
}
