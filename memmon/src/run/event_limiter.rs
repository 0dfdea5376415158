//! Limits the records of a fork storm: some processes fork thousands of times a second, and each exit would be a record.

use std::collections::BTreeMap;
use std::time::Instant;

use common::record::{EventKind, Header, ProcessEvent, Record};

/// Exits of short-lived processes that are written at once, as when a build starts.
const BURST: f64 = 1000.0;
/// Exits of short-lived processes that are written per second after that: with some 300 bytes each, 1.3 GB a day.
const PER_SECOND: f64 = 50.0;

/// Leaves out `exited` events of short-lived processes above the rate, and counts them for each tree.
///
/// Processes that are in a sample have both a `started` and an `exited` event: samples are limited by their interval.
#[derive(Debug)]
pub(super) struct EventLimiter {
    allowed: f64,
    counted: Instant,
    /// The number left out since the last sample, by the root's pid.
    omitted: BTreeMap<u32, u64>,
}

impl EventLimiter {
    pub(super) fn new(now: Instant) -> Self {
        Self { allowed: BURST, counted: now, omitted: BTreeMap::new() }
    }

    /// Removes the events above the rate. Adds their number, as an event before the next sample of their tree.
    pub(super) fn limit(&mut self, records: Vec<Record>, now: Instant) -> Vec<Record> {
        let earned = now.saturating_duration_since(self.counted).as_secs_f64() * PER_SECOND;
        (self.allowed, self.counted) = ((self.allowed + earned).min(BURST), now);
        let mut kept = Vec::with_capacity(records.len());
        for record in records {
            match &record {
                Record::ProcessEvent(event) if self.is_above(event) => continue,
                Record::Process(sample) => {
                    let omitted = self.omitted.remove(&sample.pid);
                    kept.extend(omitted.map(|count| omitted_event(sample.header(), sample.pid, count)));
                }
                _ => {}
            }
            kept.push(record);
        }
        kept
    }

    /// The events with the numbers left out since the last sample, for the end of the run.
    pub(super) fn finish(&mut self, header: &Header) -> Vec<Record> {
        let omitted = std::mem::take(&mut self.omitted).into_iter();
        omitted.map(|(root, count)| omitted_event(header.clone(), root, count)).collect()
    }

    /// Whether an event is above the rate; counts it.
    fn is_above(&mut self, event: &ProcessEvent) -> bool {
        // Nothing but its exit is known of a process that lived between two samples.
        let is_short_lived = event.start_time.is_none() && event.start_ticks.is_none();
        if event.event != EventKind::Exited || event.pid == event.root_pid || !is_short_lived {
            return false;
        }
        if self.allowed >= 1.0 {
            self.allowed -= 1.0;
            return false;
        }
        let count = self.omitted.entry(event.root_pid).or_default();
        *count = count.saturating_add(1);
        true
    }
}

fn omitted_event(header: Header, root: u32, count: u64) -> Record {
    let event = ProcessEvent::new(header, EventKind::Omitted, root, root);
    Record::ProcessEvent(Box::new(ProcessEvent { omitted_exits: Some(count), ..event }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use common::record::{ProcessRecord, ProcessSample, Run};

    use super::*;

    fn header(iteration: u64) -> Header {
        Header::now(&Run::start(), iteration)
    }

    fn event(kind: EventKind, pid: u32) -> Record {
        Record::ProcessEvent(Box::new(ProcessEvent::new(header(1), kind, pid, 7)))
    }

    fn sample(iteration: u64) -> Record {
        Record::Process(Box::new(ProcessRecord::new(header(iteration), ProcessSample::unread(7, "root"))))
    }

    fn storm(count: u32) -> Vec<Record> {
        (0..count).map(|pid| event(EventKind::Exited, 100 + pid)).collect()
    }

    #[test]
    fn storm_is_limited_and_counted() {
        let start = Instant::now();
        let mut limiter = EventLimiter::new(start);
        assert_eq!(limiter.limit(storm(5000), start).len(), 1000);
        assert_eq!(limiter.limit(storm(5000), start + Duration::from_secs(1)).len(), 50);
        let records = vec![event(EventKind::Exited, 7), sample(2), event(EventKind::Started, 8)];
        let kept = limiter.limit(records, start + Duration::from_secs(1));
        assert_eq!(kept.len(), 4, "a root's event, the number, the sample, another kind");
        let Record::ProcessEvent(omitted) = &kept[1] else { panic!("{kept:?}") };
        assert_eq!((omitted.event, omitted.pid, omitted.iteration), (EventKind::Omitted, 7, 2));
        assert_eq!(omitted.omitted_exits, Some(4000 + 4950));
        assert!(matches!(kept[2], Record::Process(_)));
        assert!(limiter.finish(&header(3)).is_empty());
        assert_eq!(limiter.limit(storm(2), start + Duration::from_secs(1)).len(), 0);
        assert_eq!(limiter.finish(&header(3)).len(), 1);
    }

    #[test]
    fn sampled_processes_keep_their_exits() {
        let start = Instant::now();
        let mut limiter = EventLimiter::new(start);
        let sampled = |pid| {
            let event = ProcessEvent::new(header(1), EventKind::Exited, pid, 7);
            Record::ProcessEvent(Box::new(ProcessEvent { start_ticks: Some(1), ..event }))
        };
        assert_eq!(limiter.limit((10..5010).map(sampled).collect(), start).len(), 5000);
        assert_eq!(limiter.limit(storm(1), start).len(), 1);
    }
}
