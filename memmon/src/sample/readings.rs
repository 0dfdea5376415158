//! Expensive readings: details and PSS, within their time budgets.

use std::time::{Duration, Instant};

use common::process::ProcessId;
use common::record::{EventKind, Record};

use super::sampler::Sampler;
use super::watched_process::WatchedProcess;
use crate::cli::Pss;

/// With `--pss auto` a process is skipped if reading its PSS would hold its memory map for longer.
const MAX_PSS_READ: Duration = Duration::from_millis(20);
/// The expected cost of walking page tables: 14 ms per GiB in pages of 4 KiB.
const PSS_SECONDS_PER_BYTE: f64 = 0.014 / (1 << 30) as f64;

impl Sampler {
    pub(super) fn read_details(&mut self, elapsed: Duration, records: &mut Vec<Record>) {
        self.details_budget.earn(elapsed);
        if !self.details_budget.has_credit() {
            return;
        }
        // Processes after an exec come first, whatever remains for the others.
        let execs = self.members.iter().filter(|(_, member)| member.exec_seen).map(|(id, _)| *id);
        let mut execs = execs.collect::<Vec<ProcessId>>().into_iter();
        let roots: Vec<ProcessId> = self.living_roots().collect();
        self.queue.begin(roots, |id| self.members.contains_key(id));
        let mut start = Instant::now();
        while self.details_budget.has_credit() {
            let Some(id) = execs.next().or_else(|| self.queue.next()) else { return };
            if self.members.get(&id).is_none_or(|member| member.details_fresh && !member.exec_seen) {
                continue;
            }
            let replaced = self.refresh(id, start);
            let now = Instant::now();
            self.details_budget.spend(now.duration_since(start));
            start = now;
            if replaced && let Some(member) = self.members.get(&id) {
                let event = member.event(self.header(), EventKind::Replaced, self.root_pid(member.root));
                records.push(Record::ProcessEvent(Box::new(event)));
            }
        }
    }

    pub(super) fn read_pss(&mut self, elapsed: Duration) {
        self.pss_budget.earn(elapsed);
        let always = self.options.pss == Pss::Always;
        if self.options.pss == Pss::Never || !(always || self.pss_budget.has_credit()) {
            return;
        }
        // The most outdated figures first, weighted by size.
        let now = Instant::now();
        let due = self.members.values().filter(|member| always || pss_cost(member) <= MAX_PSS_READ);
        let mut due: Vec<(f64, ProcessId)> =
            due.map(|member| (pss_urgency(member, now), member.id)).collect();
        due.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for (_, id) in due {
            if !always && !self.pss_budget.has_credit() {
                return;
            }
            let begin = Instant::now();
            let Some(reading) = self.source.proportional(id) else { return };
            let end = Instant::now();
            let cost = end.duration_since(begin);
            self.pss_budget.spend(cost);
            if let Some(member) = self.members.get_mut(&id) {
                member.pss_fresh = true;
                member.pss_cost = Some(cost);
                // An unreadable process has no figure from now on, rather than an outdated one.
                member.pss = reading.ok().map(|sizes| (sizes, end));
            }
        }
    }
}

/// The expected cost of reading a process's PSS: that of the last reading, or an estimate by size.
fn pss_cost(member: &WatchedProcess) -> Duration {
    let by_size =
        || Duration::from_secs_f64(member.sizes.map_or(0.0, |s| s.rss_bytes as f64 * PSS_SECONDS_PER_BYTE));
    member.pss_cost.unwrap_or_else(by_size)
}

fn pss_urgency(member: &WatchedProcess, now: Instant) -> f64 {
    let size = member.sizes.map_or(1.0, |s| s.rss_bytes as f64 + 1.0);
    // A process that was never read counts as a day old.
    let age = member.pss.map_or(86_400.0, |(_, at)| now.duration_since(at).as_secs_f64());
    size * age
}
