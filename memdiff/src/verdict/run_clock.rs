//! The runs of the logs: their clocks, and what is known of the machines they ran on.

use std::collections::HashMap;
use std::sync::Arc;

use common::log::{Moment, Tree};

use super::process_series::ProcessKey;

/// The interval of a log that does not tell it.
const DEFAULT_INTERVAL_SECONDS: f64 = 10.0;

/// Where a measurement belongs.
#[derive(Debug, Clone)]
pub(super) struct MomentContext {
    /// The number of its run.
    pub(super) run: u32,
    /// By the run's own clock, which never goes back.
    pub(super) seconds: f64,
    /// By the wall clock.
    pub(super) unix_ms: i64,
    pub(super) host: Arc<str>,
    /// Ticks were missed since the moment before.
    pub(super) is_behind_a_gap: bool,
    /// How far apart its moments are, about.
    interval_seconds: f64,
}

#[derive(Debug)]
struct RunClock {
    index: u32,
    seconds: f64,
    unix_ms: i64,
    step: f64,
}

/// What a machine had left when it was last looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct MemoryLimits {
    pub(super) unix_ms: i64,
    /// How long after it a process may have been seen last and still count as living.
    pub(super) interval_seconds: f64,
    pub(super) cgroup: Option<Headroom>,
    pub(super) machine: Option<Headroom>,
}

/// A limit and what is left below it, in bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Headroom {
    pub(super) limit: u64,
    pub(super) left: u64,
}

#[derive(Debug, Default)]
pub(super) struct RunClocks {
    runs: HashMap<Arc<str>, RunClock>,
    limits: HashMap<Arc<str>, MemoryLimits>,
    /// The latest process of each number.
    latest: HashMap<(u32, u32), ProcessKey>,
}

impl RunClocks {
    /// The number of a run.
    pub(super) fn index(&mut self, run: &Arc<str>) -> u32 {
        self.run(run).index
    }

    fn run(&mut self, run: &Arc<str>) -> &mut RunClock {
        let next = u32::try_from(self.runs.len()).unwrap_or(u32::MAX);
        self.runs.entry(Arc::clone(run)).or_insert(RunClock {
            index: next,
            seconds: f64::NEG_INFINITY,
            unix_ms: 0,
            step: 0.0,
        })
    }

    /// Where a measurement belongs.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds between two moments are below 2^53")]
    pub(super) fn context(&mut self, moment: &Moment) -> MomentContext {
        let run = self.run(&moment.run);
        let is_first = run.seconds == f64::NEG_INFINITY;
        let passed = moment.unix_ms.saturating_sub(run.unix_ms) as f64 / 1000.0;
        let seconds = match moment.elapsed_seconds.filter(|elapsed| elapsed.is_finite()) {
            Some(elapsed) => elapsed,
            None if is_first => 0.0,
            // The clock was set back: as much time as the last step is assumed to have passed.
            None if passed < 0.0 => run.seconds + moment.interval_seconds.unwrap_or(run.step),
            None => run.seconds + passed,
        };
        if !is_first && seconds > run.seconds {
            run.step = seconds - run.seconds;
        }
        run.seconds = run.seconds.max(seconds);
        run.unix_ms = moment.unix_ms;
        let step = if run.step > 0.0 { run.step } else { DEFAULT_INTERVAL_SECONDS };
        MomentContext {
            run: run.index,
            seconds,
            unix_ms: moment.unix_ms,
            host: Arc::clone(&moment.host),
            is_behind_a_gap: moment.missed_ticks > 0,
            interval_seconds: moment.interval_seconds.unwrap_or(step),
        }
    }

    /// Takes note of what is left around a tree; each part as it was last told.
    pub(super) fn update_limits(&mut self, context: &MomentContext, tree: &Tree) {
        let room = |limit: Option<u64>, left: Option<u64>| Some(Headroom { limit: limit?, left: left? });
        let used = tree.cgroup_limit_bytes.zip(tree.cgroup_current_bytes);
        let cgroup = room(tree.cgroup_limit_bytes, used.map(|(limit, used)| limit.saturating_sub(used)));
        let machine = room(tree.system_total_bytes, tree.system_available_bytes);
        let known = self.limits.entry(Arc::clone(&context.host)).or_insert(MemoryLimits {
            unix_ms: context.unix_ms,
            interval_seconds: context.interval_seconds,
            cgroup: None,
            machine: None,
        });
        if context.unix_ms >= known.unix_ms {
            known.unix_ms = context.unix_ms;
            known.interval_seconds = context.interval_seconds;
            known.cgroup = cgroup.or(known.cgroup);
            known.machine = machine.or(known.machine);
        }
    }

    pub(super) fn limits(&self, host: &Arc<str>) -> Option<MemoryLimits> {
        self.limits.get(host).copied()
    }

    pub(super) fn add_process(&mut self, key: ProcessKey) {
        self.latest.insert((key.run, key.pid), key);
    }

    /// The process that had a number last.
    pub(super) fn latest_with_pid(&self, run: u32, pid: u32) -> Option<ProcessKey> {
        self.latest.get(&(run, pid)).copied()
    }

    /// Forgets the processes that nobody follows any more.
    pub(super) fn retain_processes(&mut self, is_followed: impl Fn(&ProcessKey) -> bool) {
        self.latest.retain(|_, key| is_followed(key));
    }
}
