//! Readings that cost more than a look: who comes next, within what they may cost.

use std::time::{Duration, Instant};

use common::process::ProcessId;
use common::record::{EventKind, Record};

use super::Sampler;
use super::budget::Budget;
use super::member::Member;
use crate::cli::Pss;

/// The share of the time for state, processor time, names, peaks and the like. About 40 µs a process and reading.
const DETAILS_SHARE: f64 = 0.000_15;
/// The share of the time for PSS and USS.
const PSS_SHARE: f64 = 0.000_5;
/// What may be spent at once, at the start above all, so that an ordinary tree is known from its first sample on.
const BURST: Duration = Duration::from_millis(20);
/// A single reading of PSS that would hold the process's memory map for longer is not made unless asked for.
const DEAREST_PSS: Duration = Duration::from_millis(20);
/// What walking the page tables costs before it was measured: 14 ms for a GiB in pages of 4 KiB.
const PSS_SECONDS_PER_BYTE: f64 = 0.014 / (1 << 30) as f64;

/// Budgets for details and for PSS.
pub(super) fn budgets(interval: Duration) -> (Budget, Budget) {
    let budget = |share: f64| Budget::new(share, BURST.max(interval.mul_f64(share)));
    (budget(DETAILS_SHARE), budget(PSS_SHARE))
}

impl Sampler {
    pub(super) fn read_details(&mut self, elapsed: Duration, records: &mut Vec<Record>) {
        self.details_budget.earn(elapsed);
        // Those that run another program come first, then the roots, then everyone in turn.
        let execs = self.members.iter().filter(|(_, member)| member.exec_seen).map(|(id, _)| *id);
        let urgent: Vec<ProcessId> = execs.chain(self.living_roots()).collect();
        let mut turns = self.turns.len();
        let mut next = urgent.into_iter();
        let mut start = Instant::now();
        while self.details_budget.has_credit() {
            let id = match next.next() {
                Some(id) => id,
                None if turns == 0 => return,
                None => {
                    turns -= 1;
                    let Some(id) = self.turns.pop_front() else { return };
                    if !self.members.contains_key(&id) {
                        continue;
                    }
                    self.turns.push_back(id);
                    id
                }
            };
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

    pub(super) fn read_proportional(&mut self, elapsed: Duration) {
        self.pss_budget.earn(elapsed);
        if self.options.pss == Pss::Never {
            return;
        }
        let always = self.options.pss == Pss::Always;
        if !always && !self.pss_budget.has_credit() {
            return;
        }
        // First the ones whose figure is most out of date, weighed by what they hold.
        let now = Instant::now();
        let due = self.members.values().filter(|member| always || pss_cost(member) <= DEAREST_PSS);
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
                // One that cannot be read has no figure from now on, rather than an old one.
                member.pss = reading.ok().map(|sizes| (sizes, end));
            }
        }
    }
}

/// What reading a process's PSS will cost: as the last time, or by its size.
fn pss_cost(member: &Member) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let by_size =
        || Duration::from_secs_f64(member.sizes.map_or(0.0, |s| s.rss_bytes as f64 * PSS_SECONDS_PER_BYTE));
    member.pss_cost.unwrap_or_else(by_size)
}

fn pss_urgency(member: &Member, now: Instant) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "an order")]
    let size = member.sizes.map_or(1.0, |s| s.rss_bytes as f64 + 1.0);
    // Never read counts as a day old.
    let age = member.pss.map_or(86_400.0, |(_, at)| now.duration_since(at).as_secs_f64());
    size * age
}
