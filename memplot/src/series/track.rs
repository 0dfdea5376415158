//! The samples of one run of a tool in order of time, with gaps between them.

use std::sync::Arc;

use crate::downsample::{Entry, PointBuckets, RowBuckets};

/// A longer step between two samples is a gap, in intervals.
const GAP_INTERVALS: f64 = 2.5;

/// A smaller step back is a correction of the clock and counts as none, in milliseconds.
const TOLERANCE_MS: i64 = 1000;

/// With fewer steps the interval is unknown.
const MIN_STEPS: usize = 4;

/// The number of last steps to estimate the interval from.
const STEPS: usize = 31;

/// The last steps between samples, to estimate the interval of a log that does not give it.
#[derive(Debug, Clone, Default)]
struct RecentSteps {
    recent: Vec<i64>,
    next: usize,
}

impl RecentSteps {
    fn add(&mut self, step: i64) {
        match self.recent.get_mut(self.next) {
            Some(place) => *place = step,
            None => self.recent.push(step),
        }
        self.next = (self.next + 1) % STEPS;
    }

    fn median(&self) -> Option<f64> {
        if self.recent.len() < MIN_STEPS {
            return None;
        }
        let mut sorted = self.recent.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).map(|&step| step as f64)
    }
}

/// The samples of one run, up to the moment when the clock was set back.
#[derive(Debug, Clone)]
pub struct Track {
    /// The log it is from.
    pub input: usize,
    /// The run.
    pub run: Arc<str>,
    /// Its first sample.
    pub first_ms: i64,
    /// Its last sample.
    pub last_ms: i64,
    /// The number of its samples.
    pub samples: u64,
    /// Whether the last sample listed all series.
    pub complete: bool,
    /// Rows of values, for stacks.
    pub rows: RowBuckets,
    /// The sum of all values.
    pub total: PointBuckets,
    /// The last sample failed.
    failed: bool,
    /// Some values of the last sample are unknown.
    incomplete: bool,
    steps: RecentSteps,
}

impl Track {
    /// A track without samples.
    pub fn new(input: usize, run: &Arc<str>, buckets: usize, entries: usize) -> Self {
        Self {
            input,
            run: Arc::clone(run),
            first_ms: i64::MAX,
            last_ms: i64::MIN,
            samples: 0,
            complete: false,
            rows: RowBuckets::new(buckets, entries),
            total: PointBuckets::new(buckets),
            failed: false,
            incomplete: false,
            steps: RecentSteps::default(),
        }
    }

    /// Notes a failed sample: the next one has a gap before it.
    pub fn mark_failed(&mut self) {
        self.failed = true;
    }

    /// Adds the time of a sample. Returns a time later than all before, and whether nothing was measured just before it; `None`
    /// if the clock was set back, so that the sample needs a new track.
    pub fn place_sample(&mut self, unix_ms: i64, interval_seconds: Option<f64>) -> Option<(i64, bool)> {
        if self.samples == 0 {
            (self.first_ms, self.last_ms, self.samples) = (unix_ms, unix_ms, 1);
            return Some((unix_ms, true));
        }
        let step = unix_ms.saturating_sub(self.last_ms);
        if step < -TOLERANCE_MS {
            return None;
        }
        let step = step.max(1);
        let known = interval_seconds.filter(|seconds| *seconds > 0.0).map(|seconds| seconds * 1000.0);
        let interval = known.or_else(|| self.steps.median());
        let late = interval.is_some_and(|interval| step as f64 > interval.max(1.0) * GAP_INTERVALS);
        if known.is_none() {
            self.steps.add(step);
        }
        let gap = std::mem::take(&mut self.failed) || late;
        self.last_ms = self.last_ms.saturating_add(step);
        self.samples += 1;
        Some((self.last_ms, gap))
    }

    /// Adds the values of a sample. Without `entries` some are unknown: stacks have a gap there.
    pub fn record(&mut self, unix_ms: i64, gap: bool, total: Option<f64>, entries: Option<&Vec<Entry>>) {
        let behind = gap || self.incomplete;
        if let Some(entries) = entries {
            self.rows.push(unix_ms, behind, total, entries);
        }
        if let Some(value) = total {
            self.total.push(crate::figure::Point { unix_ms, value }, behind);
        }
        self.incomplete = entries.is_none();
    }

    /// Whether two tracks share a range of time.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.samples > 0
            && other.samples > 0
            && self.first_ms < other.last_ms
            && other.first_ms < self.last_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track() -> Track {
        Track::new(0, &"run".into(), 64, 1000)
    }

    fn gaps(track: &mut Track, interval: Option<f64>, moments: &[i64]) -> Vec<bool> {
        moments.iter().map(|&moment| track.place_sample(moment, interval).unwrap().1).collect()
    }

    #[test]
    fn long_steps_are_gaps() {
        let moments = [0, 1000, 3500, 6001, 7000];
        assert_eq!(gaps(&mut track(), Some(1.0), &moments), [true, false, false, true, false]);
    }

    #[test]
    fn interval_is_estimated_from_steps() {
        let moments = [0, 1000, 2000, 3000, 4000, 5000, 9000, 10_000];
        assert_eq!(
            gaps(&mut track(), None, &moments),
            [true, false, false, false, false, false, true, false]
        );
        // Too few steps.
        assert_eq!(gaps(&mut track(), None, &[0, 1000, 60_000]), [true, false, false]);
    }

    #[test]
    fn failed_sample_is_a_gap() {
        let mut track = track();
        gaps(&mut track, Some(1.0), &[0, 1000]);
        track.mark_failed();
        assert_eq!(gaps(&mut track, Some(1.0), &[2000, 3000]), [true, false]);
    }

    #[test]
    fn clock_set_back_starts_new_track() {
        let mut track = track();
        let here = |unix_ms, gap| Some((unix_ms, gap));
        assert_eq!(track.place_sample(5000, Some(1.0)), here(5000, true));
        assert_eq!(track.place_sample(5000, Some(1.0)), here(5001, false));
        assert_eq!(track.place_sample(4500, Some(1.0)), here(5002, false));
        assert_eq!(track.place_sample(-3_600_000, Some(1.0)), None);
        assert_eq!(track.place_sample(6000, Some(1.0)), here(6000, false));
    }
}
