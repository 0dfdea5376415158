//! What was read, as records.

use std::time::{Duration, Instant};

use common::record::{
    Cgroup, EventKind, Header, Pressure, ProcessEvent, ProcessRecord, ProcessSample, Record, System,
};
use common::time::Tick;

use super::watched_process::{WatchedProcess, round};
use super::{Sampler, Tree};

/// The machine and the cgroup are not read more often, however short the interval.
const SYSTEM_READ_INTERVAL: Duration = Duration::from_millis(950);

impl Sampler {
    /// The `process` records of this tick, and behind them what the kernel killed.
    pub(super) fn build(&mut self, tick: &Tick, begin: Instant, records: &mut Vec<Record>) {
        let near = self.system_read_at.is_none_or(|at| begin.duration_since(at) >= SYSTEM_READ_INTERVAL);
        let (mut system, mut pressure) = (None, None);
        if near {
            self.system_read_at = Some(begin);
            system = self.source.system();
            pressure = self.source.pressure();
            self.machine = system.as_ref().map(|s| s.total_bytes).or(self.machine);
        }
        let mut below: Vec<Vec<&WatchedProcess>> = self.trees.iter().map(|_| Vec::new()).collect();
        for member in self.members.values() {
            if let Some(members) = below.get_mut(member.root) {
                members.push(member);
            }
        }
        let mut killed = Vec::new();
        for (index, mut members) in below.into_iter().enumerate() {
            let Some(root_id) = self.forest.roots().get(index).copied() else { continue };
            let (Some(root), Some(tree)) = (self.members.get(&root_id), self.trees.get_mut(index)) else {
                continue;
            };
            let header = Header::now(&self.run, self.iteration);
            let cgroup = if near { self.source.cgroup(root_id) } else { None };
            if let Some(cgroup) = &cgroup {
                tree.limit = cgroup.limit_bytes;
                let kills = oom_kills(tree, cgroup);
                if kills > 0 {
                    let event = root.event(header.clone(), EventKind::OomKill, root_id.pid);
                    killed.push(Record::ProcessEvent(Box::new(ProcessEvent {
                        oom_kills: Some(kills),
                        ..event
                    })));
                }
            }
            members.sort_unstable_by_key(|member| (member.id.start, member.id.pid));
            let mut record = ProcessRecord::new(header, root.sample(self.machine, tree.limit));
            record.children = members
                .iter()
                .filter(|m| m.id != root_id)
                .map(|m| m.sample(self.machine, tree.limit))
                .collect();
            record.short_lived_count = self.kernel_reports.then_some(std::mem::take(&mut tree.short_lived));
            total(&mut record, &members, begin);
            surround(&mut record, cgroup, pressure.clone(), system.clone());
            record.interval_seconds = self.options.interval.as_secs_f64();
            record.elapsed_seconds = round(begin.duration_since(self.started).as_secs_f64(), 1e6);
            record.late_seconds = round(tick.late.as_secs_f64(), 1e6);
            record.missed_ticks = tick.missed;
            record.sample_seconds = round(begin.elapsed().as_secs_f64(), 1e6);
            records.push(Record::Process(Box::new(record)));
        }
        records.append(&mut killed);
    }
}

fn total(record: &mut ProcessRecord, members: &[&WatchedProcess], now: Instant) {
    let sum = |samples: &[ProcessSample]| -> u64 {
        samples.iter().filter_map(|s| s.rss_bytes).fold(0, u64::saturating_add)
    };
    record.children_count = u64::try_from(record.children.len()).unwrap_or(u64::MAX);
    record.children_rss_bytes = sum(&record.children);
    record.total_rss_bytes = record.children_rss_bytes.saturating_add(record.rss_bytes.unwrap_or(0));
    let mut pss = 0_u64;
    let mut oldest = now;
    for member in members.iter().filter(|member| !member.is_exiting) {
        let Some((sizes, at)) = member.pss else { return };
        pss = pss.saturating_add(sizes.pss_bytes);
        oldest = oldest.min(at);
    }
    record.total_pss_bytes = Some(pss);
    record.total_pss_age_seconds = Some(round(now.duration_since(oldest).as_secs_f64(), 1e3));
}

fn surround(
    record: &mut ProcessRecord,
    cgroup: Option<Cgroup>,
    pressure: Option<Pressure>,
    system: Option<System>,
) {
    record.cgroup = cgroup;
    record.pressure = pressure;
    record.system = system;
}

/// How many were killed since the reading before; none at the first.
fn oom_kills(tree: &mut Tree, cgroup: &Cgroup) -> u64 {
    let before = tree.oom_kills;
    tree.oom_kills = cgroup.oom_kills.or(before);
    match (before, cgroup.oom_kills) {
        (Some(before), Some(now)) => now.saturating_sub(before),
        _ => 0,
    }
}
