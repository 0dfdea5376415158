//! Warnings and limits: which samples cause an event, and which end the run.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use common::record::{EventKind, Metric, MetricValue, ProcessEvent, ProcessRecord, ProcessSample};
use common::time::Stamp;
use common::units::Change;

use crate::cli::Limit;

/// After a warning of `--warn-rss` the process must fall below this share of it before the next warning.
const WARN_RESET_RATIO: f64 = 0.95;

/// A younger process still loads its program, which is no growth.
pub const START_UP: Duration = Duration::from_secs(2);

/// The resident sizes of a tree between two samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TreeUsage {
    /// Their sum.
    pub total_bytes: u64,
    /// The largest of them.
    pub largest_bytes: u64,
}

/// Checks every sample against the limits.
#[derive(Debug)]
pub struct Limits {
    warn_growth: u64,
    warn_rss: u64,
    fail: Vec<Limit>,
    /// By root.
    seen: HashMap<u32, HashMap<ProcessKey, RssHistory>>,
}

/// Pid, and start in clock ticks where the system has them. (Elsewhere a pid that is reused between two samples counts as the same
/// process, and causes a wrong warning at worst.)
type ProcessKey = (u32, Option<u64>);

#[derive(Debug, Clone, Copy)]
struct RssHistory {
    first: u64,
    last: u64,
    above: bool,
    /// The process has loaded its program: from here on it grows.
    has_started: bool,
}

/// The consequences of a sample.
#[derive(Debug, Default)]
pub struct LimitCheck {
    /// In the order of the processes; crossed limits of `--fail-above` last.
    pub events: Vec<ProcessEvent>,
    /// Whether a limit of `--fail-above` was crossed.
    pub failed: bool,
}

impl Limits {
    /// Warns of growth above `warn_growth` between two samples and of RSS above `warn_rss`; fails above any of `fail`.
    pub fn new(warn_growth: u64, warn_rss: u64, fail: Vec<Limit>) -> Self {
        Self { warn_growth, warn_rss, fail, seen: HashMap::new() }
    }

    /// Notes an exec: the memory of the new program is no growth of the old one.
    pub fn replaced(&mut self, root_pid: u32, pid: u32) {
        let histories = self.seen.get_mut(&root_pid).into_iter().flatten();
        for (_, history) in histories.filter(|((known, _), _)| *known == pid) {
            history.last = u64::MAX;
        }
    }

    /// Whether one of these trees crosses a limit of their resident sizes. (The others are read in samples only.)
    pub fn is_above(&self, trees: &[TreeUsage]) -> bool {
        self.fail.iter().any(|limit| match limit.metric {
            Metric::Total => trees.iter().any(|tree| tree.total_bytes > limit.value),
            Metric::Rss => trees.iter().any(|tree| tree.largest_bytes > limit.value),
            _ => false,
        })
    }

    /// The limit that a single process of this size crosses.
    pub fn crossed_by(&self, rss_bytes: u64) -> Option<Limit> {
        let is_crossed =
            |limit: &&Limit| matches!(limit.metric, Metric::Total | Metric::Rss) && rss_bytes > limit.value;
        self.fail.iter().find(is_crossed).copied()
    }

    /// Checks a sample.
    pub fn check(&mut self, record: &ProcessRecord) -> LimitCheck {
        let mut check = LimitCheck::default();
        let before = self.seen.remove(&record.pid).unwrap_or_default();
        let mut now = HashMap::with_capacity(record.children.len() + 1);
        let root = record.root();
        let processes = || std::iter::once(&root).chain(&record.children);
        for process in processes() {
            let Some(rss) = process.rss_bytes else { continue };
            let key = (process.pid, process.start_ticks);
            let known = before.get(&key).copied();
            // All memory of a process that started later is growth.
            let first = known.map_or(if record.iteration > 1 { 0 } else { rss }, |known| known.first);
            let was_above = known.is_some_and(|known| known.above);
            if let Some(known) = known.filter(|known| known.has_started)
                && rss.saturating_sub(known.last) > self.warn_growth
            {
                check.events.push(event(record, process, None, self.warn_growth, rss, known.last));
            }
            if rss > self.warn_rss && !was_above {
                check.events.push(event(record, process, Some(Metric::Rss), self.warn_rss, rss, first));
            }
            let above =
                rss > self.warn_rss || (was_above && rss as f64 > self.warn_rss as f64 * WARN_RESET_RATIO);
            let has_started =
                known.is_some_and(|known| known.has_started) || is_past_start_up(record, process);
            now.insert(key, RssHistory { first, last: rss, above, has_started });
        }
        let growth = |process: &ProcessSample| {
            let history = now.get(&(process.pid, process.start_ticks));
            history.map_or(0, |history| Change::between(history.first, history.last).0)
        };
        for limit in &self.fail {
            let (value, culprit) = match limit.metric {
                Metric::Rss => most(processes(), |process| process.rss_bytes),
                Metric::Total => (
                    Some(record.total_rss_bytes),
                    processes().max_by_key(|process| (growth(process), process.rss_bytes)),
                ),
                Metric::Pss => (
                    record.total_pss_bytes,
                    processes().max_by_key(|process| (growth(process), process.pss_bytes)),
                ),
                Metric::Fds => most(processes(), |process| process.fds),
                Metric::Threads => most(processes(), |process| process.threads),
                Metric::Memory | Metric::Growth | Metric::Pressure | Metric::Unknown => (None, None),
            };
            if let (Some(value), Some(culprit)) = (value.filter(|value| *value > limit.value), culprit) {
                let event = event(record, culprit, Some(limit.metric), limit.value, value, 0);
                let growth_bytes = event.growth_bytes.map(|_| growth(culprit));
                check.events.push(ProcessEvent { growth_bytes, ..event });
                check.failed = true;
            }
        }
        self.seen.insert(record.pid, now);
        check
    }
}

/// Whether a process was no longer starting when it was sampled. One of unknown age counts as running.
fn is_past_start_up(record: &ProcessRecord, process: &ProcessSample) -> bool {
    let start = process.start_time.as_deref().and_then(|start| start.parse::<Stamp>().ok());
    start.is_none_or(|start| record.timestamp.unix_seconds() - start.unix_seconds() >= START_UP.as_secs_f64())
}

/// The process with the most of something, and how much that is.
fn most<'a>(
    processes: impl Iterator<Item = &'a ProcessSample>,
    amount: fn(&ProcessSample) -> Option<u64>,
) -> (Option<u64>, Option<&'a ProcessSample>) {
    let most = processes.max_by_key(|process| amount(process));
    (most.and_then(amount), most)
}

/// A crossed limit of `metric`, or growth if there is none. `before` is the RSS from which the growth counts.
fn event(
    record: &ProcessRecord,
    process: &ProcessSample,
    metric: Option<Metric>,
    limit: u64,
    value: u64,
    before: u64,
) -> ProcessEvent {
    let kind = if metric.is_some() { EventKind::LimitCrossed } else { EventKind::Grew };
    let [value, limit] = [value, limit].map(|value| MetricValue::of(metric.unwrap_or(Metric::Rss), value));
    let growth = match value {
        MetricValue::Bytes(bytes) => Some(Change::between(before, bytes).0),
        _ => None,
    };
    let event = ProcessEvent {
        ppid: process.ppid,
        start_time: process.start_time.clone(),
        start_ticks: process.start_ticks,
        name: Some(Arc::clone(&process.name)),
        metric,
        own_bytes: metric.filter(|_| growth.is_some()).and_then(|metric| match metric {
            Metric::Pss => process.pss_bytes,
            _ => process.rss_bytes,
        }),
        growth_bytes: growth,
        ..ProcessEvent::new(record.header(), kind, process.pid, record.pid)
    };
    event.with_values(value, limit)
}

#[cfg(test)]
mod tests {
    use common::record::{Header, Run};

    use super::*;

    const MIB: u64 = 1 << 20;

    fn process(pid: u32, rss: Option<u64>, pss: Option<u64>) -> ProcessSample {
        let name = format!("p{pid}");
        ProcessSample {
            start_ticks: Some(7),
            rss_bytes: rss,
            pss_bytes: pss,
            ..ProcessSample::unread(pid, &name)
        }
    }

    /// Root 1 and children 2, 3, … with these sizes in MiB.
    fn record(iteration: u64, mib: &[u64]) -> ProcessRecord {
        let mut processes =
            mib.iter().zip(1..).map(|(&mib, pid)| process(pid, Some(mib * MIB), Some(mib * MIB / 2)));
        let mut record = ProcessRecord::new(Header::now(&Run::start(), iteration), processes.next().unwrap());
        record.children = processes.collect();
        record.total_rss_bytes = mib.iter().sum::<u64>() * MIB;
        record.total_pss_bytes = Some(record.total_rss_bytes / 2);
        record
    }

    fn limits(fail: &[&str]) -> Limits {
        Limits::new(10 * MIB, 100 * MIB, fail.iter().map(|text| Limit::parse(text).unwrap()).collect())
    }

    fn events(check: &LimitCheck) -> Vec<(EventKind, u32)> {
        check.events.iter().map(|e| (e.event, e.pid)).collect()
    }

    #[test]
    fn growth_names_the_process() {
        let mut limits = limits(&[]);
        assert!(limits.check(&record(1, &[50, 20, 30])).events.is_empty(), "a first sample is no growth");
        assert!(
            limits.check(&record(2, &[60, 20, 30])).events.is_empty(),
            "just the threshold is not beyond it"
        );
        let check = limits.check(&record(3, &[60, 35, 30, 90]));
        assert_eq!(events(&check), [(EventKind::Grew, 2)], "a new process is no growth either");
        assert_eq!(check.events[0].growth_bytes, Some(15 << 20));
        assert!(!check.failed);
    }

    #[test]
    fn exec_is_no_growth() {
        let mut limits = limits(&[]);
        limits.check(&record(1, &[5, 5]));
        limits.replaced(1, 2);
        assert_eq!(events(&limits.check(&record(2, &[30, 30]))), [(EventKind::Grew, 1)]);
        assert_eq!(events(&limits.check(&record(3, &[30, 60]))), [(EventKind::Grew, 2)]);
    }

    #[test]
    fn start_up_is_no_growth() {
        let mut limits = limits(&[]);
        let sample = |iteration: u64, mib: u64, age: f64| {
            let mut record = record(iteration, &[mib]);
            let start = Stamp::from_unix_seconds(record.timestamp.unix_seconds() - age).unwrap();
            record.start_time = Some(start.to_string().into());
            record
        };
        assert!(limits.check(&sample(1, 1, 0.1)).events.is_empty());
        assert!(limits.check(&sample(2, 60, 10.1)).events.is_empty(), "it loaded its program");
        assert_eq!(events(&limits.check(&sample(3, 90, 20.1))), [(EventKind::Grew, 1)]);
    }

    #[test]
    fn warn_rss_fires_once_per_crossing() {
        let mut limits = limits(&[]);
        let crossings: Vec<usize> = [99, 101, 99, 101, 94, 101]
            .iter()
            .zip(1..)
            .map(|(&mib, n)| {
                let check = limits.check(&record(n, &[mib]));
                check.events.iter().filter(|e| e.event == EventKind::LimitCrossed).count()
            })
            .collect();
        assert_eq!(crossings, [0, 1, 0, 0, 0, 1]);
    }

    #[test]
    fn crossing_names_the_grower() {
        let mut limits = limits(&["200M"]);
        assert!(!limits.check(&record(1, &[90, 5, 5])).failed);
        assert!(!limits.check(&record(2, &[90, 5, 60])).failed);
        let check = limits.check(&record(3, &[92, 5, 70, 40]));
        assert!(check.failed);
        let event = check.events.last().unwrap();
        assert_eq!((event.pid, event.metric, event.value_bytes), (3, Some(Metric::Total), Some(207 * MIB)));
        assert_eq!((event.own_bytes, event.growth_bytes), (Some(70 * MIB), Some(65 << 20)));
    }

    #[test]
    fn new_process_counts_as_growth() {
        let mut limits = limits(&["200M"]);
        limits.check(&record(1, &[90, 5]));
        limits.check(&record(2, &[90, 5, 80]));
        assert_eq!(limits.check(&record(3, &[120, 5, 80])).events.last().unwrap().pid, 3);
    }

    #[test]
    fn rss_is_per_process_pss_per_tree() {
        assert!(!limits(&["rss:80M"]).check(&record(1, &[70, 75])).failed);
        let check = limits(&["rss:80M"]).check(&record(1, &[70, 85]));
        assert!(check.failed);
        assert_eq!(check.events.last().unwrap().pid, 2);
        assert!(!limits(&["pss:80M"]).check(&record(1, &[70, 75])).failed);
        assert!(limits(&["pss:70M"]).check(&record(1, &[70, 75])).failed);
        let mut unknown = record(1, &[70, 75]);
        unknown.total_pss_bytes = None;
        assert!(!limits(&["pss:1M"]).check(&unknown).failed, "what is not known crosses nothing");
    }

    #[test]
    fn descriptors_and_threads_are_limited() {
        let mut busy = record(1, &[70, 75]);
        busy.children[0].fds = Some(1200);
        (busy.fds, busy.threads) = (Some(8), Some(201));
        let check = limits(&["fds:1000", "threads:200", "fds:1200", "threads:999"]).check(&busy);
        let found: Vec<_> =
            check.events.iter().map(|e| (e.pid, e.metric, e.value_count, e.limit_count)).collect();
        assert_eq!(
            found,
            [
                (2, Some(Metric::Fds), Some(1200), Some(1000)),
                (1, Some(Metric::Threads), Some(201), Some(200)),
            ]
        );
        let [event, _] = &check.events[..] else { panic!("{check:?}") };
        assert_eq!((event.value_bytes, event.own_bytes, event.growth_bytes), (None, None, None));
        assert!(
            check.failed && !limits(&["fds:1"]).check(&record(1, &[70])).failed,
            "unknown crosses nothing"
        );
    }

    #[test]
    fn unreadable_size_is_no_change() {
        let mut limits = limits(&["total:1G"]);
        limits.check(&record(1, &[50]));
        let mut hidden = record(2, &[50]);
        hidden.rss_bytes = None;
        assert!(limits.check(&hidden).events.is_empty());
        assert!(limits.check(&record(3, &[70])).events.is_empty());
    }
}
