//! A root and everything below it, from sample to sample, and the order in which it is shown.

use std::collections::HashMap;
use std::collections::VecDeque;

use common::record::{Cgroup, ProcessEvent, ProcessRecord, ProcessSample};
use common::units::Change;

use super::process_state::{ExitInfo, HISTORY_SAMPLES, ProcessRow, StartTime, describe_exit, grew_notably};

/// Samples for which a process that ended stays in sight.
pub(super) const EXITED_ROW_TICKS: u64 = 5;

/// A watched process and all that were ever below it, until some time after they ended.
#[derive(Debug)]
pub(super) struct TreeState {
    /// The root itself first, the others in the order in which they were first seen.
    processes: Vec<ProcessRow>,
    /// The latest bearer of each number, as an index into `processes`.
    by_pid: HashMap<u32, usize>,
    /// Counts the samples taken in.
    generation: u64,
    /// The iteration of the last sample.
    pub(super) iteration: u64,
    pub(super) total_rss: u64,
    first_total: u64,
    pub(super) total_pss: Option<u64>,
    pub(super) short_lived: u64,
    /// The last one known: it is read at most once a second.
    pub(super) cgroup: Option<Cgroup>,
    totals: VecDeque<u64>,
    /// How the root ended and in which iteration, if it has.
    pub(super) ended: Option<(String, u64)>,
}

impl TreeState {
    /// A root that was not known before this record.
    pub(super) fn new(record: &ProcessRecord) -> Self {
        let mut root = Self {
            processes: Vec::new(),
            by_pid: HashMap::new(),
            generation: 0,
            iteration: 0,
            total_rss: 0,
            first_total: record.total_rss_bytes,
            total_pss: None,
            short_lived: 0,
            cgroup: None,
            totals: VecDeque::new(),
            ended: None,
        };
        root.update(record);
        root
    }

    /// Takes in a sample of it.
    pub(super) fn update(&mut self, record: &ProcessRecord) {
        self.generation += 1;
        self.iteration = record.iteration;
        self.total_rss = record.total_rss_bytes;
        self.total_pss = record.total_pss_bytes.or(self.total_pss);
        self.short_lived = record.short_lived_count.unwrap_or(0);
        if record.cgroup.is_some() {
            self.cgroup.clone_from(&record.cgroup);
        }
        if self.totals.len() == HISTORY_SAMPLES {
            self.totals.pop_front();
        }
        self.totals.push_back(record.total_rss_bytes);
        self.take(&record.root());
        // A child with the root's number would take its place.
        for child in record.children.iter().filter(|child| child.pid != record.pid) {
            self.take(child);
        }
        self.remove_exited();
        if self.root_process().is_some_and(|root_process| root_process.ended.is_none()) {
            self.ended = None;
        }
    }

    fn take(&mut self, sample: &ProcessSample) {
        let start = StartTime::new(sample.start_ticks, sample.start_time.as_ref());
        let known = self.by_pid.get(&sample.pid).and_then(|&at| self.processes.get_mut(at));
        match known {
            // One number twice in a record: the first stands.
            Some(process) if process.seen == self.generation => {}
            Some(process) if process.start.may_equal(&start) => process.update(sample, self.generation),
            _ => {
                self.by_pid.insert(sample.pid, self.processes.len());
                self.processes.push(ProcessRow::new(sample, start, self.generation));
            }
        }
    }

    /// Marks those that the sample no longer has, and forgets those that went long enough ago.
    fn remove_exited(&mut self) {
        let now = self.generation;
        for process in self.processes.iter_mut().filter(|process| process.seen != now) {
            process.ended.get_or_insert_with(|| ExitInfo { how: "ended".to_owned(), generation: now });
        }
        let before = self.processes.len();
        self.processes.retain(|process| {
            process.ended.as_ref().is_none_or(|end| now - end.generation < EXITED_ROW_TICKS)
        });
        if self.processes.len() == before {
            return;
        }
        self.by_pid.clear();
        self.by_pid.extend(self.processes.iter().enumerate().map(|(at, process)| (process.pid, at)));
        let room = self.processes.len() * 2 + 16;
        self.processes.shrink_to(room);
        self.by_pid.shrink_to(room);
    }

    /// Takes in that one of its processes exited.
    pub(super) fn exited(&mut self, event: &ProcessEvent) {
        let start = StartTime::new(event.start_ticks, event.start_time.as_ref());
        let (generation, how) = (self.generation, describe_exit(event));
        let Some(&at) = self.by_pid.get(&event.pid) else { return };
        let Some(process) = self.processes.get_mut(at).filter(|process| process.start.may_equal(&start))
        else {
            return;
        };
        process.ended = Some(ExitInfo { how: how.clone(), generation });
        if at == 0 {
            self.ended = Some((how, event.iteration.max(self.iteration)));
        }
    }

    /// Whether a record is of this root.
    pub(super) fn is_of(&self, record: &ProcessRecord) -> bool {
        let start = StartTime::new(record.start_ticks, record.start_time.as_ref());
        self.root_process().is_some_and(|root_process| {
            root_process.pid == record.pid && root_process.start.may_equal(&start)
        })
    }

    /// The root process itself.
    pub(super) fn root_process(&self) -> Option<&ProcessRow> {
        self.processes.first()
    }

    /// The process at an index that [`rows`](Self::rows) gave.
    pub(super) fn process(&self, at: usize) -> Option<&ProcessRow> {
        self.processes.get(at)
    }

    /// All processes, those that ended among them.
    pub(super) fn processes(&self) -> &[ProcessRow] {
        &self.processes
    }

    /// How many processes were in the last sample.
    pub(super) fn live_count(&self) -> usize {
        self.processes.iter().filter(|process| process.ended.is_none()).count()
    }

    /// How much the sum of resident sizes grew since the first sample.
    pub(super) fn growth(&self) -> i64 {
        Change::between(self.first_total, self.total_rss).0
    }

    /// Whether the sum grew by so much that a person should look.
    pub(super) fn grew_notably(&self) -> bool {
        grew_notably(Some(self.first_total), Some(self.total_rss))
    }

    /// The sums of resident sizes, oldest first.
    pub(super) fn totals(&self) -> impl DoubleEndedIterator<Item = Option<u64>> {
        self.totals.iter().map(|total| Some(*total))
    }

    /// The tree as rows from top to bottom. `offset` is the number of rows already in the list that they will be put behind.
    pub(super) fn rows(&self, root: usize, offset: usize) -> Vec<Row> {
        let parents = self.parents();
        // Children as linked lists, made backwards so that they come out in order.
        let mut first_child: Vec<Option<usize>> = vec![None; parents.len()];
        let mut next_sibling = first_child.clone();
        for (at, parent) in parents.iter().enumerate().skip(1).rev() {
            if let (Some(first), Some(next)) = (first_child.get_mut(*parent), next_sibling.get_mut(at)) {
                *next = first.replace(at);
            }
        }
        let follow = |list: &[Option<usize>], at: usize| list.get(at).copied().flatten();
        let mut rows = Vec::with_capacity(parents.len());
        // What is to be shown next, with its depth and the row of its parent.
        let mut waiting = if parents.is_empty() { Vec::new() } else { vec![(0, 0, None)] };
        while let Some((at, depth, parent)) = waiting.pop() {
            let sibling = follow(&next_sibling, at);
            if let Some(sibling) = sibling {
                waiting.push((sibling, depth, parent));
            }
            let here = offset + rows.len();
            rows.push(Row { root, process: Some(at), depth, parent, is_last: sibling.is_none() });
            if let Some(child) = follow(&first_child, at) {
                waiting.push((child, depth.saturating_add(1), Some(here)));
            }
        }
        rows
    }

    /// The index of each process's parent. Without one in the tree, or with one that is below itself, it is the root.
    fn parents(&self) -> Vec<usize> {
        let mut parents: Vec<usize> = (self.processes.iter())
            .map(|process| process.ppid.and_then(|ppid| self.by_pid.get(&ppid)).copied().unwrap_or(0))
            .collect();
        // Who was met on the way up from whom; the way up ends at the root.
        let mut met_from: Vec<Option<usize>> = vec![None; parents.len()];
        if let Some(root) = met_from.first_mut() {
            *root = Some(0);
        }
        for begin in 1..parents.len() {
            let mut at = begin;
            while let Some(met @ None) = met_from.get_mut(at) {
                *met = Some(begin);
                let Some(parent) = parents.get_mut(at) else { break };
                // Met on this same way: a circle, which is cut here.
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
    /// Which root.
    pub(super) root: usize,
    /// Which of its processes; none: the sum of its tree.
    pub(super) process: Option<usize>,
    /// How many are above it in its tree.
    pub(super) depth: u16,
    /// The row of its parent.
    pub(super) parent: Option<usize>,
    /// Whether no child of its parent comes after it.
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
            .map(|row| (row.depth, root.process(row.process.unwrap()).unwrap().pid, row.is_last))
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
                root.processes().iter().filter(|p| p.ended.is_some()).map(|p| p.pid).collect();
            ended
        };
        assert_eq!((gone(&root), root.live_count()), (vec![2], 2));
        assert_eq!(shape(&root).len(), 3);
        for n in 0..EXITED_ROW_TICKS {
            assert_eq!(root.processes().len(), 3, "after {n} more samples");
            root.update(&tree(1, 3 + n, &[(3, 1)]));
        }
        assert_eq!((root.processes().len(), root.by_pid.len()), (2, 2));
        assert_eq!(root.process(1).unwrap().history().count(), 7, "the others keep their history");
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
        let of_two: Vec<_> = root.processes().iter().filter(|p| p.pid == 2).collect();
        assert_eq!(of_two.len(), 2);
        assert!(of_two[0].ended.is_some() && of_two[1].ended.is_none());
        let mut exited = event(EventKind::Exited, 2, 1);
        exited.start_ticks = Some(of_two[0].pid.into());
        root.exited(&exited);
        assert!(
            root.processes()[2].ended.is_none(),
            "an event about the former bearer is not about the new one"
        );
    }

    #[test]
    fn exit_event_order_does_not_matter() {
        let mut exited = event(EventKind::Exited, 2, 1);
        exited.exit_code = Some(0);
        let how = |root: &TreeState| root.process(1).unwrap().ended.as_ref().map(|end| end.how.clone());
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
        assert_eq!(root.processes().len(), 2);
    }
}
