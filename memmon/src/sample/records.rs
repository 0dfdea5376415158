//! Turns readings into `process` records.

use std::time::{Duration, Instant};

use common::record::{Cgroup, EventKind, Header, ProcessEvent, ProcessRecord, ProcessSample, Record};
use common::time::Tick;

use super::sampler::{Sampler, TreeState};
use super::watched_process::{WatchedProcess, round};

/// The machine and the cgroup are read at most this often, however short the interval.
const SYSTEM_READ_INTERVAL: Duration = Duration::from_millis(950);

impl Sampler {
    /// Adds the `process` records of this tick, then OOM kills.
    pub(super) fn add_process_records(&mut self, tick: &Tick, begin: Instant, records: &mut Vec<Record>) {
        let is_due = self.system_read_at.is_none_or(|at| begin.duration_since(at) >= SYSTEM_READ_INTERVAL);
        let (mut system, mut pressure) = (None, None);
        if is_due {
            self.system_read_at = Some(begin);
            system = self.source.system();
            pressure = self.source.pressure();
            self.machine_bytes = system.as_ref().map(|s| s.total_bytes).or(self.machine_bytes);
        }
        let mut by_tree: Vec<Vec<&WatchedProcess>> = self.trees.iter().map(|_| Vec::new()).collect();
        for member in self.members.values() {
            if let Some(members) = by_tree.get_mut(member.root) {
                members.push(member);
            }
        }
        let mut killed = Vec::new();
        for ((&root_id, tree), mut members) in self.forest.roots().iter().zip(&mut self.trees).zip(by_tree) {
            let Some(root) = self.members.get(&root_id) else { continue };
            let header = Header::now(&self.run, self.iteration);
            let cgroup = if is_due { self.source.cgroup(root_id) } else { None };
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
            let sample = |member: &WatchedProcess| member.sample(self.machine_bytes, tree.limit);
            let mut record = ProcessRecord::new(header, sample(root));
            record.children = members.iter().filter(|m| m.id != root_id).map(|m| sample(m)).collect();
            record.short_lived_count =
                self.has_kernel_events.then_some(std::mem::take(&mut tree.short_lived));
            add_totals(&mut record, &members, begin);
            record.cgroup = cgroup;
            record.pressure.clone_from(&pressure);
            record.system.clone_from(&system);
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

fn add_totals(record: &mut ProcessRecord, members: &[&WatchedProcess], now: Instant) {
    let rss = |samples: &[ProcessSample]| -> u64 {
        samples.iter().filter_map(|sample| sample.rss_bytes).fold(0, u64::saturating_add)
    };
    record.children_count = u64::try_from(record.children.len()).unwrap_or(u64::MAX);
    record.children_rss_bytes = rss(&record.children);
    record.total_rss_bytes = record.children_rss_bytes.saturating_add(record.rss_bytes.unwrap_or(0));
    let mut pss = 0_u64;
    let mut oldest = now;
    for member in members.iter().filter(|member| !member.is_exiting) {
        // The total is unknown if one part is.
        let Some((sizes, at)) = member.pss else { return };
        pss = pss.saturating_add(sizes.pss_bytes);
        oldest = oldest.min(at);
    }
    record.total_pss_bytes = Some(pss);
    record.total_pss_age_seconds = Some(round(now.duration_since(oldest).as_secs_f64(), 1e3));
}

/// The number of OOM kills since the last reading; 0 at the first.
fn oom_kills(tree: &mut TreeState, cgroup: &Cgroup) -> u64 {
    let before = tree.oom_kills;
    tree.oom_kills = cgroup.oom_kills.or(before);
    before.zip(cgroup.oom_kills).map_or(0, |(before, now)| now.saturating_sub(before))
}
