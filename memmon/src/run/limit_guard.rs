//! Holds `--fail-above` between two samples: short peaks count too.

use std::time::{Duration, Instant};

use common::record::{EventKind, ProcessEvent, Record};

use crate::limits::Limits;
use crate::sample::TreeUsage;

/// How often sizes are read if there is a limit, however long the interval.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);

/// The times at which to read sizes between samples.
#[derive(Debug)]
pub(super) struct LimitGuard {
    next: Option<Instant>,
}

impl LimitGuard {
    /// Active if there is a limit and samples are further apart than [`PROBE_INTERVAL`].
    pub fn new(limited: bool, interval: Duration) -> Self {
        Self { next: (limited && interval > PROBE_INTERVAL).then(Instant::now) }
    }

    /// The next time.
    pub fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Whether the time has come; sets the next one.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let due = self.next.is_some_and(|next| now >= next);
        if due {
            self.next = now.checked_add(PROBE_INTERVAL);
        }
        due
    }
}

/// Whether a sample would fail now.
pub(super) fn is_above(limits: &Limits, usage: &[TreeUsage]) -> bool {
    usage.iter().any(|tree| limits.is_above(tree.total_bytes, tree.largest_bytes))
}

/// The event of an exited command of which one process exceeded a limit between two readings: the kernel keeps the largest size of
/// all reaped processes. `own` is memmon's own peak: every new process counts as having had it.
pub(super) fn missed_crossing(
    limits: &Limits,
    largest: Option<u64>,
    own: Option<u64>,
    command: ProcessEvent,
) -> Option<ProcessEvent> {
    let largest = largest.filter(|&largest| own.is_none_or(|own| largest > own))?;
    let limit = limits.crossed_by(largest)?;
    Some(ProcessEvent {
        event: EventKind::LimitCrossed,
        metric: Some(limit.metric),
        limit_bytes: Some(limit.bytes),
        value_bytes: Some(largest),
        own_bytes: Some(largest),
        exit_code: None,
        signal: None,
        lifetime_seconds: None,
        rss_peak_bytes: None,
        ..command
    })
}

/// The exit of process `pid` among these records.
pub(super) fn find_exit(records: &[Record], pid: u32) -> Option<&ProcessEvent> {
    records.iter().find_map(|record| match record {
        Record::ProcessEvent(event) if event.event == EventKind::Exited && event.pid == pid => {
            Some(event.as_ref())
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use common::record::{Header, Run};

    use super::*;
    use common::record::Metric;

    use crate::cli::Limit;

    fn limits(metric: Metric) -> Limits {
        Limits::new(u64::MAX, u64::MAX, vec![Limit { metric, bytes: 100 }])
    }

    #[test]
    fn guard_needs_limit_and_long_interval() {
        assert_eq!(LimitGuard::new(false, Duration::from_secs(10)).deadline(), None);
        assert_eq!(LimitGuard::new(true, PROBE_INTERVAL).deadline(), None);
        let mut guard = LimitGuard::new(true, Duration::from_secs(10));
        let now = Instant::now();
        assert!(guard.is_due(now));
        assert!(!guard.is_due(now));
        assert!(guard.is_due(now + PROBE_INTERVAL));
    }

    #[test]
    fn missed_peak_counts_unless_ours() {
        let end = ProcessEvent {
            exit_code: Some(0),
            ..ProcessEvent::new(Header::now(&Run::start(), 2), EventKind::Exited, 7, 7)
        };
        let crossed = |metric, largest, own| missed_crossing(&limits(metric), largest, own, end.clone());
        let event = crossed(Metric::Total, Some(101), Some(50)).unwrap();
        assert_eq!((event.event, event.value_bytes), (EventKind::LimitCrossed, Some(101)));
        assert_eq!((event.exit_code, event.pid, event.limit_bytes), (None, 7, Some(100)));
        assert!(crossed(Metric::Rss, Some(101), None).is_some());
        assert!(crossed(Metric::Rss, Some(100), None).is_none());
        assert!(crossed(Metric::Pss, Some(101), None).is_none(), "shared pages may count less");
        assert!(crossed(Metric::Rss, Some(101), Some(101)).is_none());
        assert!(crossed(Metric::Rss, None, None).is_none());
    }

    #[test]
    fn totals_and_single_sizes_differ() {
        let usage = [TreeUsage::default(), TreeUsage { total_bytes: 101, largest_bytes: 60 }];
        assert!(is_above(&limits(Metric::Total), &usage));
        assert!(!is_above(&limits(Metric::Rss), &usage));
        assert!(!is_above(&limits(Metric::Pss), &usage));
    }
}
