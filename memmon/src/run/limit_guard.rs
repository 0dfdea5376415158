//! Holds `--fail-above` between two samples: short peaks count too.

use std::time::{Duration, Instant};

use common::record::{EventKind, ProcessEvent};
use common::time::Ticker;

use crate::limits::Limits;

/// How often sizes are read if there is a limit, however long the interval.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);

/// The times at which to read sizes, if there is a limit and samples are further apart than [`PROBE_INTERVAL`].
pub(super) fn probe_ticker(is_limited: bool, interval: Duration) -> Option<Ticker> {
    (is_limited && interval > PROBE_INTERVAL).then(|| Ticker::new(Instant::now(), PROBE_INTERVAL))
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
        limit_bytes: Some(limit.value),
        value_bytes: Some(largest),
        own_bytes: Some(largest),
        exit_code: None,
        signal: None,
        lifetime_seconds: None,
        rss_peak_bytes: None,
        ..command
    })
}

#[cfg(test)]
mod tests {
    use common::record::{Header, Metric, Run};

    use super::*;
    use crate::cli::Limit;
    use crate::limits::TreeUsage;

    fn limits(metric: Metric) -> Limits {
        Limits::new(u64::MAX, u64::MAX, vec![Limit { metric, value: 100 }])
    }

    #[test]
    fn guard_needs_limit_and_long_interval() {
        assert!(probe_ticker(false, Duration::from_secs(10)).is_none());
        assert!(probe_ticker(true, PROBE_INTERVAL).is_none());
        let mut ticker = probe_ticker(true, Duration::from_secs(10)).unwrap();
        let now = Instant::now();
        assert!(ticker.fire(now).is_some());
        assert!(ticker.fire(now).is_none());
        assert!(ticker.fire(now + PROBE_INTERVAL).is_some());
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
        assert!(limits(Metric::Total).is_above(&usage));
        assert!(!limits(Metric::Rss).is_above(&usage));
        assert!(!limits(Metric::Pss).is_above(&usage));
    }
}
