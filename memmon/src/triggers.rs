//! Conditions of `--at`: when to run the command of `--run`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::process::ProcessId;
use common::record::{EventKind, Header, Metric, MetricValue, Pressure, ProcessEvent};

use crate::cli::{Condition, Limit, Trigger};
use crate::limits::START_UP;
use crate::source::ProcessCounts;

/// Sizes that are kept of a process for one condition of growth: one for each part of the time.
const PARTS: u32 = 60;

/// The sizes of one tree at one moment.
#[derive(Debug, Clone, Default)]
pub struct TreeSizes {
    /// The pid of its root.
    pub root_pid: u32,
    /// Its living processes.
    pub processes: Vec<ProcessSize>,
    /// The memory that can run out, if it was read.
    pub memory: Option<MemoryUse>,
    /// The memory pressure of the control group or of the machine, if it was read.
    pub pressure: Option<Pressure>,
}

/// The values that conditions need beside the resident sizes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// The use of the memory that can run out.
    pub memory: bool,
    /// The numbers of descriptors and threads.
    pub counts: bool,
    /// The memory pressure.
    pub pressure: bool,
}

/// The size of one process.
#[derive(Debug, Clone)]
pub struct ProcessSize {
    /// The process.
    pub id: ProcessId,
    /// Its name.
    pub name: Arc<str>,
    /// Its resident size.
    pub rss_bytes: u64,
    /// Its descriptors and threads, if they were read.
    pub counts: ProcessCounts,
}

/// The use of a cgroup that has a limit, or else of the machine. Page cache that the kernel can drop does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryUse {
    /// The bytes in use.
    pub used_bytes: u64,
    /// The limit, or the size of the machine's memory.
    pub limit_bytes: u64,
}

/// A condition that became true.
#[derive(Debug, Clone)]
pub struct Fired {
    /// The condition as it was written.
    pub text: String,
    /// The process that it is about: the one above the limit, the one that grew, or the largest one.
    pub process: ProcessSize,
    /// The root of its tree.
    pub root_pid: u32,
    /// What is above the limit.
    pub metric: Metric,
    /// The value of the metric.
    pub value: MetricValue,
    /// The limit of the metric.
    pub limit: MetricValue,
}

impl Fired {
    /// Its event for the log.
    pub fn event(&self, header: Header) -> ProcessEvent {
        let is_count = matches!(self.value, MetricValue::Count(_));
        let event = ProcessEvent {
            name: Some(Arc::clone(&self.process.name)),
            metric: Some(self.metric),
            own_bytes: (!is_count).then_some(self.process.rss_bytes),
            ..ProcessEvent::new(header, EventKind::LimitCrossed, self.process.id.pid, self.root_pid)
        };
        event.with_values(self.value, self.limit)
    }
}

/// Checks the conditions, each at most once in a time span.
#[derive(Debug)]
pub struct Triggers {
    /// With the moment when it was true last.
    triggers: Vec<(Trigger, Option<Instant>)>,
    every: Duration,
    began: Instant,
    /// Sizes in the past, by process and by the number of the condition.
    histories: HashMap<ProcessId, History>,
}

#[derive(Debug)]
struct History {
    /// From here on it grows.
    starts: Instant,
    minima: Vec<Minima>,
}

/// The smallest size of each part of a time span, with the number of the part since the begin.
type Minima = VecDeque<(u128, u64)>;

impl Needs {
    /// The values that conditions need.
    pub fn of<'a>(triggers: impl Iterator<Item = &'a Trigger>) -> Self {
        let mut needs = Self::default();
        for trigger in triggers {
            match trigger.condition {
                Condition::Percentage(_) => needs.memory = true,
                Condition::Pressure { .. } => needs.pressure = true,
                Condition::Above(Limit { metric: Metric::Fds | Metric::Threads, .. }) => needs.counts = true,
                Condition::Above(_) | Condition::Growth { .. } => {}
            }
        }
        needs
    }
}

impl Triggers {
    /// Each of `triggers` fires at most once in the time `every`.
    pub fn new(triggers: Vec<Trigger>, every: Duration, now: Instant) -> Self {
        let triggers = triggers.into_iter().map(|trigger| (trigger, None)).collect();
        Self { triggers, every, began: now, histories: HashMap::new() }
    }

    /// The values that the conditions need.
    pub fn needs(&self) -> Needs {
        Needs::of(self.triggers.iter().map(|(trigger, _)| trigger))
    }

    /// The first condition that is true of these trees, unless it fired before within the time span. With `may_fire` unset the sizes
    /// are only noted.
    pub fn check(&mut self, trees: &[TreeSizes], now: Instant, may_fire: bool) -> Option<Fired> {
        self.note(trees, now);
        if !may_fire {
            return None;
        }
        let every = self.every;
        let is_due = |last: Option<Instant>| last.is_none_or(|last| now.duration_since(last) >= every);
        let histories = &self.histories;
        let (fired, last) = self.triggers.iter_mut().enumerate().find_map(|(nth, (trigger, last))| {
            let mut fired = trees.iter().filter(|_| is_due(*last)).filter_map(|tree| {
                let growth = |process: &ProcessSize| {
                    let smallest =
                        histories.get(&process.id)?.minima.get(nth)?.iter().map(|(_, size)| *size).min();
                    Some(process.rss_bytes.saturating_sub(smallest?))
                };
                is_true(trigger, tree, &growth)
            });
            fired.next().map(|fired| (fired, last))
        })?;
        *last = Some(now);
        Some(fired)
    }

    /// Notes the sizes, for conditions of growth.
    fn note(&mut self, trees: &[TreeSizes], now: Instant) {
        let age = now.duration_since(self.began);
        let mut before = std::mem::take(&mut self.histories);
        for process in trees.iter().flat_map(|tree| &tree.processes) {
            // What runs at the begin has loaded its program.
            let starts = if age < START_UP { now } else { now + START_UP };
            let mut history = before
                .remove(&process.id)
                .unwrap_or_else(|| History { starts, minima: vec![Minima::new(); self.triggers.len()] });
            if now >= history.starts {
                for ((trigger, _), minima) in self.triggers.iter().zip(&mut history.minima) {
                    if let Condition::Growth { within, .. } = trigger.condition {
                        note_size(minima, age, within, process.rss_bytes);
                    }
                }
            }
            self.histories.insert(process.id, history);
        }
    }
}

/// Notes a size at the time `age`, and forgets those that are older than `within`.
fn note_size(minima: &mut Minima, age: Duration, within: Duration, bytes: u64) {
    let part = age.as_nanos() / (within.as_nanos() / u128::from(PARTS)).max(1);
    match minima.back_mut() {
        Some((last, smallest)) if *last == part => *smallest = bytes.min(*smallest),
        _ => minima.push_back((part, bytes)),
    }
    while minima.front().is_some_and(|(first, _)| part - first > u128::from(PARTS)) {
        minima.pop_front();
    }
}

fn is_true(
    trigger: &Trigger,
    tree: &TreeSizes,
    growth: &dyn Fn(&ProcessSize) -> Option<u64>,
) -> Option<Fired> {
    let largest = || tree.processes.iter().max_by_key(|process| process.rss_bytes);
    let most = |count: fn(ProcessCounts) -> Option<u64>| {
        let process = tree.processes.iter().max_by_key(|process| count(process.counts))?;
        Some((count(process.counts)?, process))
    };
    let (metric, value, limit, process) = match trigger.condition {
        Condition::Above(Limit { metric, value: limit }) => {
            let (value, process) = match metric {
                Metric::Rss => (largest()?.rss_bytes, largest()?),
                Metric::Fds => most(|counts| counts.fds)?,
                Metric::Threads => most(|counts| counts.threads)?,
                _ => {
                    let sizes = tree.processes.iter().map(|process| process.rss_bytes);
                    (sizes.fold(0, u64::saturating_add), largest()?)
                }
            };
            (metric, MetricValue::of(metric, value), MetricValue::of(metric, limit), process)
        }
        Condition::Percentage(percent) => {
            let memory = tree.memory?;
            // By hundredths first: the product could be too large.
            let limit = MetricValue::Bytes(memory.limit_bytes / 100 * percent);
            (Metric::Memory, MetricValue::Bytes(memory.used_bytes), limit, largest()?)
        }
        Condition::Growth { bytes, .. } => {
            let process = tree.processes.iter().max_by_key(|process| growth(process))?;
            (Metric::Growth, MetricValue::Bytes(growth(process)?), MetricValue::Bytes(bytes), process)
        }
        Condition::Pressure { full, ratio } => {
            let pressure = tree.pressure.as_ref()?;
            let value = if full { pressure.full_avg10_ratio } else { pressure.some_avg10_ratio };
            (Metric::Pressure, MetricValue::Ratio(value), MetricValue::Ratio(ratio), largest()?)
        }
    };
    (value > limit).then(|| Fired {
        text: trigger.text.clone(),
        process: process.clone(),
        root_pid: tree.root_pid,
        metric,
        value,
        limit,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn triggers(texts: &[&str], every: u64, now: Instant) -> Triggers {
        let triggers = texts.iter().map(|text| Trigger::parse(text).unwrap()).collect();
        Triggers::new(triggers, Duration::from_secs(every), now)
    }

    /// A tree of processes 1, 2, … with these sizes in MiB, of 1000 MiB of memory.
    fn tree(mib: &[u64]) -> [TreeSizes; 1] {
        let process = |(&mib, pid): (&u64, u32)| ProcessSize {
            id: ProcessId { pid, start: 7 },
            name: format!("p{pid}").into(),
            rss_bytes: mib * MIB,
            counts: ProcessCounts { fds: Some(mib), threads: Some(mib / 10) },
        };
        let memory = MemoryUse { used_bytes: mib.iter().sum::<u64>() * MIB, limit_bytes: 1000 * MIB };
        let processes = mib.iter().zip(1..).map(process).collect();
        [TreeSizes { root_pid: 1, processes, memory: Some(memory), pressure: None }]
    }

    #[test]
    fn values_above_a_limit_fire() {
        let now = Instant::now();
        let fires = |text: &str, mib: &[u64]| triggers(&[text], 9, now).check(&tree(mib), now, true);
        assert!(fires("100M", &[60, 40]).is_none());
        let total = fires("100M", &[40, 61]).unwrap();
        assert_eq!(
            (total.metric, total.value, total.process.id.pid),
            (Metric::Total, MetricValue::Bytes(101 * MIB), 2)
        );
        assert!(fires("rss:100M", &[60, 100]).is_none());
        assert_eq!(fires("rss:100M", &[60, 101]).unwrap().process.id.pid, 2);
        assert!(fires("80%", &[500, 300]).is_none());
        let share = fires("80%", &[500, 301]).unwrap();
        assert_eq!(
            (share.metric, share.value, share.limit),
            (Metric::Memory, MetricValue::Bytes(801 * MIB), MetricValue::Bytes(800 * MIB))
        );
        assert_eq!(share.event(Header::now(&common::record::Run::start(), 1)).own_bytes, Some(500 * MIB));
        let unknown = [TreeSizes { memory: None, ..tree(&[999])[0].clone() }];
        assert!(triggers(&["1%"], 9, now).check(&unknown, now, true).is_none());
        assert!(triggers(&["1M"], 9, now).check(&[], now, true).is_none());
    }

    #[test]
    fn counts_and_pressure_fire() {
        let now = Instant::now();
        let fires = |text: &str, tree: &[TreeSizes]| triggers(&[text], 9, now).check(tree, now, true);
        assert!(fires("fds:61", &tree(&[60, 61])).is_none());
        let fds = fires("fds:60", &tree(&[60, 61])).unwrap();
        assert_eq!((fds.value, fds.process.id.pid), (MetricValue::Count(61), 2));
        let event = fds.event(Header::now(&common::record::Run::start(), 1));
        assert_eq!((event.value_count, event.limit_count, event.own_bytes), (Some(61), Some(60), None));
        assert_eq!(fires("threads:5", &tree(&[60, 61])).unwrap().value, MetricValue::Count(6));
        let mut unread = tree(&[60]);
        unread[0].processes[0].counts = ProcessCounts::default();
        assert!(fires("fds:1", &unread).is_none(), "unknown crosses nothing");
        let mut waiting = tree(&[60, 61]);
        waiting[0].pressure =
            Some(Pressure { some_avg10_ratio: 0.25, full_avg10_ratio: 0.125, ..Pressure::default() });
        assert!(fires("pressure:25%", &waiting).is_none() && fires("pressure:full:13%", &waiting).is_none());
        let some = fires("pressure:24%", &waiting).unwrap();
        assert_eq!((some.metric, some.value), (Metric::Pressure, MetricValue::Ratio(0.25)));
        assert_eq!(some.process.id.pid, 2, "the largest");
        assert!(
            fires("pressure:full:12%", &waiting).is_some() && fires("pressure:1%", &tree(&[60])).is_none()
        );
    }

    #[test]
    fn growth_counts_within_its_time() {
        let begin = Instant::now();
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let mut slow = triggers(&["growth:10M/60s"], 3600, begin);
        for second in 0..300 {
            assert!(slow.check(&tree(&[50 + second / 10]), at(second), true).is_none(), "6 MiB a minute");
        }
        let mut fast = triggers(&["growth:10M/60s"], 3600, begin);
        let fired = (0..300).find_map(|second| fast.check(&tree(&[99, 50 + second / 3]), at(second), true));
        let fired = fired.unwrap();
        assert_eq!(
            (fired.metric, fired.value, fired.process.id.pid),
            (Metric::Growth, MetricValue::Bytes(11 * MIB), 2)
        );
        let kept = fast.histories.values().map(|history| history.minima[0].len()).max();
        assert!(kept <= Some(61), "{kept:?}");
    }

    #[test]
    fn start_up_is_no_growth() {
        let begin = Instant::now();
        let at = |ms: u64| begin + Duration::from_millis(ms);
        let mut triggers = triggers(&["growth:10M/60s"], 3600, begin);
        assert!(triggers.check(&tree(&[50]), at(0), true).is_none());
        assert!(triggers.check(&tree(&[50, 1]), at(10_000), true).is_none());
        assert!(triggers.check(&tree(&[50, 90]), at(11_000), true).is_none(), "it loads its program");
        assert!(triggers.check(&tree(&[50, 95]), at(12_100), true).is_none());
        let fired = triggers.check(&tree(&[50, 106]), at(13_000), true).unwrap();
        assert_eq!((fired.process.id.pid, fired.value), (2, MetricValue::Bytes(11 * MIB)));
    }

    #[test]
    fn condition_fires_once_in_its_time() {
        let begin = Instant::now();
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let mut triggers = triggers(&["rss:10M", "rss:20M"], 100, begin);
        assert!(triggers.check(&tree(&[15]), at(0), false).is_none(), "it waits");
        let mut fires = |second, mib| triggers.check(&tree(&[mib]), at(second), true).map(|fired| fired.text);
        assert_eq!(fires(1, 15).as_deref(), Some("rss:10M"));
        assert_eq!(fires(2, 15), None);
        assert_eq!(fires(3, 25).as_deref(), Some("rss:20M"), "each has its own time");
        assert_eq!(fires(100, 15), None);
        assert_eq!(fires(101, 15).as_deref(), Some("rss:10M"));
    }
}
