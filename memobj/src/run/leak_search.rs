//! The search for leaks in all processes of a run: progress, comparison, and the verdict.

use std::collections::{BTreeMap, BTreeSet};

use common::cli::EXIT_TROUBLE;
use common::record::{Header, Leak, LeakVerdict, LeaksRecord, PeerComparison};
use common::stdio::StatusLine;
use common::verdict::bytes_per_minute;

use super::TOOL;
use super::tracker::Tracker;
use crate::census::Census;
use crate::leaks::source_lines::find_lines;

/// Something leaks.
const EXIT_LEAK: u8 = 1;
/// Processes of one program that are compared at least.
const MIN_ALIKE: usize = 3;
/// A process whose growth is this many medians stands out.
const OUTLIER_FACTOR: f64 = 3.0;

/// The search for leaks in all processes of a run.
#[derive(Debug)]
pub(super) struct LeakSearch {
    /// Censuses of each process that are planned.
    planned: u64,
    status: StatusLine,
    /// The findings in processes that have exited.
    finished: Vec<LeaksRecord>,
    /// Errors by process that were reported. The same one may come at each census.
    errors: BTreeSet<(Option<u32>, String)>,
    /// The exit code of the verdict.
    concluded: Option<u8>,
}

impl LeakSearch {
    /// Starts an empty search; shows progress on a terminal if `show_progress`.
    pub(super) fn new(planned: u64, show_progress: bool) -> Self {
        let status = StatusLine::new(show_progress);
        Self { planned, status, finished: Vec::new(), errors: BTreeSet::new(), concluded: None }
    }

    /// Whether an error of a process was not reported before; notes it.
    pub(super) fn is_first(&mut self, pid: Option<u32>, message: &str) -> bool {
        self.errors.insert((pid, message.to_owned()))
    }

    /// Notes the findings after a census. Without `cmdline` their record has no arguments.
    pub(super) fn note(&mut self, root: Option<u32>, census: &Census, tracker: &mut Tracker, cmdline: bool) {
        let Some(leaks) = &tracker.state.leaks else { return };
        let report = leaks.report();
        if self.concluded.is_none() {
            self.status.show(&format!("{TOOL}: census {} of {} …", report.censuses, self.planned));
        }
        let record = &census.record;
        let mut report = report.clone();
        find_lines(record.pid, &mut report.leaks, leaks.mentions(), leaks.sleeping());
        tracker.outcome = Some(LeaksRecord {
            pid: record.pid,
            start_ticks: record.start_ticks,
            root_pid: root.filter(|&root| root != record.pid),
            name: record.name.clone(),
            cmdline: record.cmdline.clone().filter(|_| cmdline),
            python: record.python.as_ref().map(|python| python.version.clone()).unwrap_or_default(),
            ..report
        });
    }

    /// Keeps the findings in a process that has exited.
    pub(super) fn finish(&mut self, tracker: Tracker) {
        self.finished.extend(tracker.outcome);
    }

    /// The verdicts, largest growth first; nothing if they were given before. `running` are the processes that did not exit; `unchecked`
    /// counts those below each root that were not searched. With `omits_brief`, processes below a root that ran too briefly are counted alone.
    pub(super) fn conclude<'t>(
        &mut self,
        running: impl Iterator<Item = &'t Tracker>,
        header: impl Fn() -> Header,
        unchecked: &BTreeMap<u32, u64>,
        omits_brief: bool,
    ) -> Vec<LeaksRecord> {
        if self.concluded.is_some() {
            return Vec::new();
        }
        self.status.clear();
        let running = running.filter_map(|tracker| tracker.outcome.as_ref());
        let all = self.finished.iter().chain(running).map(without_undecided);
        let is_judged = |outcome: &LeaksRecord| outcome.verdict != LeakVerdict::TooShort;
        let (mut outcomes, brief): (Vec<LeaksRecord>, Vec<LeaksRecord>) =
            all.partition(|outcome| !omits_brief || outcome.root_pid.is_none() || is_judged(outcome));
        outcomes.sort_by(|a, b| bytes_per_minute(b).total_cmp(&bytes_per_minute(a)).then(a.pid.cmp(&b.pid)));
        let rates = rates_by_program(&outcomes);
        let records: Vec<LeaksRecord> = outcomes
            .into_iter()
            .map(|outcome| {
                let peers = compare(rates.get(&program(&outcome)), bytes_per_minute(&outcome));
                let brief = brief.iter().filter(|brief| brief.root_pid == Some(outcome.pid)).count();
                LeaksRecord {
                    peers,
                    unchecked_children: unchecked.get(&outcome.pid).copied().unwrap_or(0),
                    brief_children: brief as u64,
                    ..outcome
                }
                .with_header(header())
            })
            .collect();
        let any = |verdict| records.iter().any(|record| record.verdict == verdict);
        self.concluded = Some(if any(LeakVerdict::Leak) {
            EXIT_LEAK
        } else if any(LeakVerdict::None) && unchecked.is_empty() {
            0
        } else {
            EXIT_TROUBLE
        });
        records
    }

    /// Whether the verdicts were given.
    pub(super) const fn is_concluded(&self) -> bool {
        self.concluded.is_some()
    }

    /// The exit code of the verdict; 0 before there is one.
    pub(super) fn exit_code(&self) -> u8 {
        self.concluded.unwrap_or(0)
    }
}

/// The findings with growth apart from leaks that a sleeping loop of the program removes from, and with the verdict on the rest.
fn without_undecided(outcome: &LeaksRecord) -> LeaksRecord {
    let mut outcome = outcome.clone();
    let sleeps = |leak: &mut Leak| leak.sleeping_remover.is_some() && leak.side_effect_of.is_none();
    outcome.undecided = outcome.leaks.extract_if(.., sleeps).collect();
    let comes_with =
        |leak: &Leak| outcome.undecided.iter().any(|main| leak.side_effect_of.as_ref() == Some(&main.holder));
    outcome.leaks.retain(|leak| !comes_with(leak));
    let memory_leaks = outcome.memory.as_ref().is_some_and(|memory| memory.is_leak);
    if outcome.verdict == LeakVerdict::Leak && outcome.leaks.is_empty() && !memory_leaks {
        outcome.verdict = LeakVerdict::None;
    }
    outcome
}

/// The growth of the processes of each program, in bytes per minute, in ascending order.
fn rates_by_program(outcomes: &[LeaksRecord]) -> BTreeMap<String, Vec<f64>> {
    let mut rates: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for outcome in outcomes {
        rates.entry(program(outcome)).or_default().push(bytes_per_minute(outcome));
    }
    for rates in rates.values_mut() {
        rates.sort_by(f64::total_cmp);
    }
    rates
}

/// Identifies the program of a process: by its arguments, or by its name where they are unknown.
fn program(outcome: &LeaksRecord) -> String {
    match &outcome.cmdline {
        Some(arguments) => arguments.join("\0"),
        None => outcome.name.as_deref().unwrap_or_default().to_owned(),
    }
}

/// Compares the growth of a process with that of all processes of its program, itself among them.
fn compare(rates: Option<&Vec<f64>>, own: f64) -> Option<PeerComparison> {
    let rates = rates.filter(|rates| rates.len() >= MIN_ALIKE)?;
    let median = rates.get(rates.len() / 2).copied().unwrap_or(0.0);
    Some(PeerComparison {
        processes: rates.len() as u64,
        median_bytes_per_minute: median,
        bytes_per_minute: own,
        is_outlier: own > 0.0 && own > median * OUTLIER_FACTOR,
    })
}
