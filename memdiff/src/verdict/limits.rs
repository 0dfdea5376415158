//! Forecasts when growth reaches a limit of memory.

use common::log::Tree;
use common::record::LimitKind;
use common::time::Stamp;

use super::run_clock::MomentContext;
use crate::measurement::local_stamp;

/// No forecast is farther than ten years.
const HORIZON_HOURS: f64 = 87_660.0;

/// How long a process may be missing, beside three intervals, before it counts as ended.
const PATIENCE_MS: i64 = 60_000;

/// The memory that a machine had left when it was last measured.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct MemoryLimits {
    unix_ms: Option<i64>,
    interval_seconds: f64,
    cgroup: Option<Headroom>,
    machine: Option<Headroom>,
}

/// A limit and the memory left below it.
#[derive(Debug, Clone, Copy)]
struct Headroom {
    limit_bytes: u64,
    left_bytes: u64,
}

/// When growth reaches a limit.
#[derive(Debug, Clone)]
pub(super) struct Forecast {
    pub(super) at: Stamp,
    pub(super) of: LimitKind,
    pub(super) limit_bytes: u64,
}

impl MemoryLimits {
    /// Updates the limits that a tree was measured with.
    pub(super) fn update(&mut self, context: &MomentContext, tree: &Tree) {
        if self.unix_ms.is_some_and(|last| context.unix_ms < last) {
            return;
        }
        let headroom =
            |limit: Option<u64>, left: Option<u64>| Some(Headroom { limit_bytes: limit?, left_bytes: left? });
        let used = tree.cgroup_limit_bytes.zip(tree.cgroup_current_bytes);
        let left = used.map(|(limit, used)| limit.saturating_sub(used));
        self.unix_ms = Some(context.unix_ms);
        self.interval_seconds = context.interval_seconds;
        self.cgroup = headroom(tree.cgroup_limit_bytes, left).or(self.cgroup);
        self.machine = headroom(tree.system_total_bytes, tree.system_available_bytes).or(self.machine);
    }

    /// When the first limit is reached by growth of a process that was last seen at `last_unix_ms`. `None` if it does not grow, has ended, or no
    /// limit is known.
    pub(super) fn forecast(&self, last_unix_ms: i64, bytes_per_hour: f64) -> Option<Forecast> {
        let unix_ms = self.unix_ms?;
        let patience = PATIENCE_MS.saturating_add(milliseconds(self.interval_seconds * 3.0));
        if unix_ms.saturating_sub(last_unix_ms) > patience || bytes_per_hour <= 0.0 {
            return None;
        }
        let known = [(self.cgroup, LimitKind::Cgroup), (self.machine, LimitKind::Machine)];
        let known = known.into_iter().filter_map(|(headroom, of)| Some((headroom?, of)));
        let (headroom, of) = known.min_by_key(|(headroom, _)| headroom.left_bytes)?;
        let hours = headroom.left_bytes as f64 / bytes_per_hour;
        let at = local_stamp(unix_ms.saturating_add(milliseconds(hours * 3600.0)));
        (hours < HORIZON_HOURS).then_some(Forecast { at, of, limit_bytes: headroom.limit_bytes })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a cast from a float saturates")]
pub(super) fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}
