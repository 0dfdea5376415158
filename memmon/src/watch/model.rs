//! The data of the screen, collected from records and bounded.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use common::record::{Cgroup, EventKind, Pressure, ProcessEvent, ProcessRecord, Record, System};
use common::time::Stamp;
use common::trend::least_squares;

use super::event_log::{EventLog, OutputTail};
use super::process_state::HISTORY_SAMPLES;
use super::recent;
use super::tree_state::{EXITED_ROW_TICKS, Row, TreeState};

/// Totals kept: as many as the widest terminal shows.
const MAX_TOTALS: usize = 512;

/// The last totals, from which the trend is computed.
const TREND_SAMPLES: usize = 120;

/// The shortest time for a trend per minute.
const MIN_TREND_SECONDS: f64 = 10.0;

/// Iterations after which a root without samples is forgotten: its history would be empty.
const SILENT_ROOT_TICKS: u64 = HISTORY_SAMPLES as u64;

/// The order of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Sort {
    /// Children below their parents.
    #[default]
    Tree,
    /// The largest first.
    Memory,
    /// The largest growth since the first sample first.
    Growth,
}

impl Sort {
    pub(super) fn next(self) -> Self {
        match self {
            Self::Tree => Self::Memory,
            Self::Memory => Self::Growth,
            Self::Growth => Self::Tree,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Tree => "tree",
            Self::Memory => "memory",
            Self::Growth => "growth",
        }
    }
}

/// The total of all trees, for the header.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct TotalSummary {
    pub(super) rss: u64,
    pub(super) least: u64,
    pub(super) most: u64,
    pub(super) pss: Option<u64>,
    pub(super) processes: usize,
    pub(super) short_lived: u64,
    /// Bytes per minute, and the observed seconds.
    pub(super) trend: Option<(i64, f64)>,
}

/// Everything the screen can show.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) roots: Vec<TreeState>,
    pub(super) host: Option<Arc<str>>,
    pub(super) moment: Option<Stamp>,
    pub(super) iteration: u64,
    pub(super) interval_seconds: f64,
    elapsed_seconds: f64,
    pub(super) system: Option<System>,
    pub(super) pressure: Option<Pressure>,
    /// The elapsed seconds and the total of all trees.
    totals: VecDeque<(f64, u64)>,
    /// The iteration of the last total.
    totals_iteration: Option<u64>,
    /// Whether a sample is not in `totals` yet.
    is_total_due: bool,
    /// The minimum and maximum of all totals but the last, which may still change.
    bounds: Option<(u64, u64)>,
    pub(super) events: EventLog,
    pub(super) output: OutputTail,
}

impl Model {
    /// Takes a record. Records that the screen does not show are ignored.
    pub(super) fn take(&mut self, record: &Record) {
        match record {
            Record::Process(record) => self.take_sample(record),
            Record::ProcessEvent(event) => self.take_event(event),
            Record::Error(error) => self.events.take_error(error),
            _ => {}
        }
    }

    fn take_sample(&mut self, record: &ProcessRecord) {
        if record.iteration != self.iteration {
            self.commit_total();
            self.iteration = record.iteration;
            self.remove_exited_roots();
        }
        self.host = Some(Arc::clone(&record.host));
        self.moment = Some(record.timestamp);
        self.interval_seconds = record.interval_seconds;
        self.elapsed_seconds = record.elapsed_seconds;
        if record.system.is_some() {
            self.system.clone_from(&record.system);
        }
        if record.pressure.is_some() {
            self.pressure.clone_from(&record.pressure);
        }
        match self.roots.iter_mut().find(|root| root.is_of(record)) {
            Some(root) => root.update(record),
            None => self.roots.push(TreeState::new(record)),
        }
        self.is_total_due = true;
    }

    fn take_event(&mut self, event: &ProcessEvent) {
        if event.event == EventKind::Exited {
            let is_its =
                |root: &TreeState| root.root_process().is_some_and(|root| root.sample.pid == event.root_pid);
            self.roots.iter_mut().filter(|root| is_its(root)).for_each(|root| root.exited(event));
        }
        self.events.take_event(event);
    }

    fn remove_exited_roots(&mut self) {
        let now = self.iteration;
        self.roots.retain(|root| match &root.ended {
            Some((_, iteration)) => now.saturating_sub(*iteration) <= EXITED_ROW_TICKS,
            None => now.saturating_sub(root.iteration) <= SILENT_ROOT_TICKS,
        });
    }

    /// Adds the samples of this iteration to the totals.
    pub(super) fn commit_total(&mut self) {
        if !std::mem::take(&mut self.is_total_due) {
            return;
        }
        let rss = (self.visible_roots().filter(|(_, root)| root.ended.is_none()))
            .fold(0_u64, |sum, (_, root)| sum.saturating_add(root.total_rss));
        match self.totals.back_mut() {
            Some(last) if self.totals_iteration == Some(self.iteration) => {
                *last = (self.elapsed_seconds, rss)
            }
            last => {
                if let Some((_, last)) = last {
                    let (least, most) = self.bounds.unwrap_or((*last, *last));
                    self.bounds = Some((least.min(*last), most.max(*last)));
                }
                recent::push(&mut self.totals, (self.elapsed_seconds, rss), MAX_TOTALS);
            }
        }
        self.totals_iteration = Some(self.iteration);
    }

    /// The roots with their index, without those inside the tree of another root.
    pub(super) fn visible_roots(&self) -> impl Iterator<Item = (usize, &TreeState)> {
        let below: HashSet<u32> = match self.roots.as_slice() {
            [] | [_] => HashSet::new(),
            roots => {
                let inner = roots.iter().flat_map(|root| root.processes.iter().skip(1));
                inner.filter(|process| process.ended.is_none()).map(|process| process.sample.pid).collect()
            }
        };
        let is_outermost =
            move |root: &TreeState| root.root_process().is_none_or(|root| !below.contains(&root.sample.pid));
        // If two roots are below each other, all are shown.
        let all = !self.roots.iter().any(&is_outermost);
        self.roots.iter().enumerate().filter(move |(_, root)| all || is_outermost(root))
    }

    /// The rows of the table, from top to bottom.
    pub(super) fn rows(&self, sort: Sort) -> Vec<Row> {
        let visible_roots: Vec<(usize, &TreeState)> = self.visible_roots().collect();
        let mut rows = Vec::new();
        if sort == Sort::Tree {
            for (at, root) in &visible_roots {
                if visible_roots.len() > 1 {
                    rows.push(Row { root: *at, process: None, depth: 0, parent: None, is_last: true });
                }
                rows.extend(root.rows(*at, rows.len()));
            }
            return rows;
        }
        let mut keyed = Vec::new();
        for (at, root) in &visible_roots {
            for (index, process) in root.processes.iter().enumerate() {
                let key = match sort {
                    Sort::Growth => process.growth(),
                    _ => process.sample.rss_bytes.map(|rss| i64::try_from(rss).unwrap_or(i64::MAX)),
                };
                let row = Row { root: *at, process: Some(index), depth: 0, parent: None, is_last: true };
                keyed.push((key, row));
            }
        }
        // A stable sort: equal rows keep the order of their start. Unknown values come last.
        keyed.sort_by_key(|(key, _)| std::cmp::Reverse(*key));
        keyed.into_iter().map(|(_, row)| row).collect()
    }

    /// Usage and limit of the cgroup that is closest to its limit.
    pub(super) fn tightest_cgroup(&self) -> Option<(u64, u64)> {
        let limited = |cgroup: &Cgroup| Some((cgroup.current_bytes?, cgroup.limit_bytes?));
        (self.roots.iter().filter_map(|root| root.cgroup.as_ref().and_then(limited)))
            .max_by_key(|(current, limit)| u128::from(*current) * 1_000_000 / u128::from(*limit).max(1))
    }

    /// The totals, oldest first.
    pub(super) fn totals(&self) -> impl DoubleEndedIterator<Item = Option<u64>> {
        self.totals.iter().map(|(_, rss)| Some(*rss))
    }

    /// The current total; `None` before the first sample.
    pub(super) fn sum(&self) -> Option<TotalSummary> {
        let (_, rss) = *self.totals.back()?;
        let (least, most) = self.bounds.unwrap_or((rss, rss));
        let mut sum = TotalSummary {
            rss,
            least: least.min(rss),
            most: most.max(rss),
            pss: Some(0),
            processes: 0,
            short_lived: 0,
            trend: self.trend(),
        };
        for (_, root) in self.visible_roots() {
            sum.processes += root.live_count();
            sum.short_lived = sum.short_lived.saturating_add(root.short_lived);
            sum.pss = sum.pss.zip(root.total_pss).map(|(sum, pss)| sum.saturating_add(pss));
        }
        Some(sum)
    }

    /// The least-squares slope of the last totals in bytes per minute, and their time span in seconds.
    fn trend(&self) -> Option<(i64, f64)> {
        let points: Vec<(f64, f64)> =
            recent::last(&self.totals, TREND_SAMPLES).map(|&(elapsed, rss)| (elapsed, rss as f64)).collect();
        if points.len() < 3 {
            return None;
        }
        let slope = least_squares(&points)?.per_second * 60.0;
        let span = points.last()?.0 - points.first()?.0;
        #[expect(clippy::cast_possible_truncation, reason = "a float beyond i64 becomes its end")]
        let slope_bytes = slope.round() as i64;
        (slope.is_finite() && span.is_finite() && span >= MIN_TREND_SECONDS).then_some((slope_bytes, span))
    }

    /// How the last root exited, if all have.
    pub(super) fn exit_summary(&self) -> Option<&str> {
        let mut last = None;
        for (_, root) in self.visible_roots() {
            last = Some(root.ended.as_ref()?.0.as_str());
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{event, record, tree};
    use super::*;

    fn fed(records: impl IntoIterator<Item = ProcessRecord>) -> Model {
        let mut model = Model::default();
        for record in records {
            model.take(&Record::Process(Box::new(record)));
        }
        model.commit_total();
        model
    }

    #[test]
    fn total_covers_all_roots() {
        let model = fed([record(1, 1, 100), record(2, 1, 50), record(1, 2, 80), record(2, 2, 40)]);
        assert_eq!(model.totals().collect::<Vec<_>>(), [Some(150), Some(120)]);
        let sum = model.sum().unwrap();
        assert_eq!((sum.rss, sum.least, sum.most, sum.processes), (120, 120, 150, 2));
        assert_eq!(sum.pss, None, "unknown in one is unknown in all");
    }

    #[test]
    fn mid_iteration_draw_counts_once() {
        let mut model = fed([record(1, 1, 100)]);
        for part in [record(2, 1, 50), record(1, 2, 80), record(2, 2, 40)] {
            model.take(&Record::Process(Box::new(part)));
            model.commit_total();
            model.commit_total();
        }
        assert_eq!(model.totals().collect::<Vec<_>>(), [Some(150), Some(120)]);
    }

    #[test]
    fn nested_root_is_counted_once() {
        let model = fed([record(2, 1, 1 << 20), tree(1, 1, &[(2, 1), (3, 2)])]);
        assert_eq!(model.sum().unwrap().rss, 3 << 20);
        assert_eq!(model.rows(Sort::Tree).len(), 3);
        assert_eq!(model.rows(Sort::Memory).len(), 3);
        let nonsense = fed([tree(1, 1, &[(2, 1)]), tree(2, 1, &[(1, 2)])]);
        assert_eq!(nonsense.rows(Sort::Tree).len(), 2 * (2 + 1));
    }

    #[test]
    fn trend_is_bytes_per_minute() {
        // 10 seconds apart and 1000 bytes more each time.
        let model = fed((1..=10).map(|n| record(1, n, 5000 + n * 1000)));
        assert_eq!(model.sum().unwrap().trend, Some((6000, 90.0)));
        assert_eq!(
            fed([record(1, 1, 1), record(1, 2, 9)]).sum().unwrap().trend,
            None,
            "two points are no trend"
        );
        let mut stuck: Vec<_> = (1..=5).map(|n| record(1, n, n)).collect();
        stuck.iter_mut().for_each(|record| record.elapsed_seconds = 3.0);
        assert_eq!(fed(stuck).sum().unwrap().trend, None);
        let mut soon: Vec<_> = (1..=5).map(|n| record(1, n, n << 20)).collect();
        soon.iter_mut().for_each(|record| record.elapsed_seconds /= 10.0);
        assert_eq!(fed(soon).sum().unwrap().trend, None, "four seconds are too short for a trend");
    }

    #[test]
    fn unknown_sorts_last() {
        let mut first = tree(1, 1, &[(2, 1), (3, 1), (4, 1)]);
        first.children[2].rss_bytes = None;
        let mut second = first.clone();
        second.iteration = 2;
        second.children[0].rss_bytes = Some(10);
        second.children[1].rss_bytes = Some(3 << 20);
        let model = fed([first, second]);
        let pids = |sort| -> Vec<u32> {
            let rows = model.rows(sort);
            rows.iter().map(|row| model.roots[row.root].processes[row.process.unwrap()].sample.pid).collect()
        };
        assert_eq!(pids(Sort::Tree), [1, 2, 3, 4]);
        assert_eq!(pids(Sort::Memory), [3, 1, 2, 4]);
        assert_eq!(pids(Sort::Growth), [3, 1, 2, 4]);
        assert_eq!(Sort::Tree.next().next().next(), Sort::Tree);
    }

    #[test]
    fn ended_and_silent_roots_are_dropped() {
        let mut model = fed([record(1, 1, 100), record(2, 1, 50), record(3, 1, 10)]);
        model.take(&Record::ProcessEvent(Box::new(event(EventKind::Exited, 2, 2))));
        assert_eq!(model.exit_summary(), None);
        for iteration in 2..=EXITED_ROW_TICKS + 1 {
            model.take(&Record::Process(Box::new(record(1, iteration, 100))));
        }
        assert_eq!(model.roots.len(), 3);
        model.take(&Record::Process(Box::new(record(1, EXITED_ROW_TICKS + 2, 100))));
        assert_eq!(model.roots.len(), 2, "the ended one");
        model.take(&Record::Process(Box::new(record(1, SILENT_ROOT_TICKS + 2, 100))));
        assert_eq!(model.roots.len(), 1, "the silent one");
        model.take(&Record::ProcessEvent(Box::new(event(EventKind::Exited, 1, 1))));
        assert_eq!(model.exit_summary(), Some("ended"));
    }

    #[test]
    fn totals_are_bounded_extremes_kept() {
        let model = fed((1..=3000).map(|n| record(1, n, if n == 5 { 7 } else { 1000 + n })));
        assert_eq!(model.totals().count(), MAX_TOTALS);
        let sum = model.sum().unwrap();
        assert_eq!((sum.least, sum.most), (7, 4000));
    }

    #[test]
    fn tightest_cgroup_is_found() {
        let group = |current_bytes, limit_bytes| Cgroup {
            version: 2,
            path: "/".into(),
            current_bytes,
            limit_bytes,
            peak_bytes: None,
            oom_kills: None,
            anon_bytes: None,
            file_bytes: None,
            kernel_bytes: None,
            shmem_bytes: None,
        };
        let mut records = [record(1, 1, 1), record(2, 1, 1), record(3, 1, 1)];
        records[0].cgroup = Some(group(Some(50), Some(100)));
        records[1].cgroup = Some(group(Some(90), Some(100)));
        records[2].cgroup = Some(group(Some(9000), None));
        assert_eq!(fed(records).tightest_cgroup(), Some((90, 100)));
    }
}
