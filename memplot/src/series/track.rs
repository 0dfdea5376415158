//! One run of a tool: its samples in order of time, and where there are gaps between them.

use std::sync::Arc;

use crate::downsample::{Entry, PointBuckets, RowBuckets};

/// A gap is where more than so many intervals passed.
const GAP_INTERVALS: f64 = 2.5;

/// Clocks are set back by a little now and then; a step back within this is none, in milliseconds.
const TOLERANCE_MS: i64 = 1000;

/// From how many steps on an interval that the log does not name is known.
const MIN_STEPS: usize = 4;

/// How many of the last steps an interval is told from.
const STEPS: usize = 31;

/// The usual step between the last samples.
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

    #[expect(clippy::cast_precision_loss, reason = "steps between samples are far below 2^53 ms")]
    fn median(&self) -> Option<f64> {
        if self.recent.len() < MIN_STEPS {
            return None;
        }
        let mut sorted = self.recent.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).map(|&step| step as f64)
    }
}

/// Where a sample belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// In this track at this moment, behind a gap or not.
    InTrack {
        /// Milliseconds since 1970, later than all before.
        unix_ms: i64,
        /// Whether nothing was measured just before.
        gap: bool,
    },
    /// In a track of its own: the clock was set back.
    NewTrack,
}

/// Samples of one run, or of the part of it up to where the clock was set back.
#[derive(Debug, Clone)]
pub struct Track {
    /// The input it stands in.
    pub input: usize,
    /// The run.
    pub run: Arc<str>,
    /// Its first sample.
    pub first_ms: i64,
    /// Its last one.
    pub last_ms: i64,
    /// How many samples it has.
    pub samples: u64,
    /// The last sample's lists were complete: what they do not list was not there.
    pub complete: bool,
    /// Whole samples.
    pub rows: RowBuckets,
    /// TotalNames.
    pub total: PointBuckets,
    failed: bool,
    incomplete: bool,
    steps: RecentSteps,
}

impl Track {
    /// Without a sample.
    #[must_use]
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

    /// A sample failed: what follows is behind a gap.
    pub fn mark_failed(&mut self) {
        self.failed = true;
    }

    /// Where a sample belongs; takes note of its moment if it is here.
    #[expect(clippy::cast_precision_loss, reason = "steps between samples are far below 2^53 ms")]
    pub fn place_sample(&mut self, unix_ms: i64, interval_seconds: Option<f64>) -> Placement {
        if self.samples == 0 {
            (self.first_ms, self.last_ms, self.samples) = (unix_ms, unix_ms, 1);
            return Placement::InTrack { unix_ms, gap: true };
        }
        let named = interval_seconds.filter(|seconds| *seconds > 0.0).map(|seconds| seconds * 1000.0);
        let step = unix_ms.saturating_sub(self.last_ms);
        if step < -TOLERANCE_MS {
            return Placement::NewTrack;
        }
        let step = step.max(1);
        let unix_ms = self.last_ms.saturating_add(step);
        let interval = named.or_else(|| self.steps.median());
        let late = interval.is_some_and(|interval| step as f64 > interval.max(1.0) * GAP_INTERVALS);
        if named.is_none() {
            self.steps.add(step);
        }
        let gap = std::mem::take(&mut self.failed) || late;
        self.last_ms = unix_ms;
        self.samples += 1;
        Placement::InTrack { unix_ms, gap }
    }

    /// Keeps a sample that has its place. Without `entries` it is not whole, and what is stacked has a gap there.
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

    /// Whether two tracks have a time in common.
    #[must_use]
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
        moments
            .iter()
            .map(|&moment| match track.place_sample(moment, interval) {
                Placement::InTrack { gap, .. } => gap,
                Placement::NewTrack => panic!("{moment} is elsewhere"),
            })
            .collect()
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
        // With too few steps nothing is said.
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
        let here = |unix_ms, gap| Placement::InTrack { unix_ms, gap };
        assert_eq!(track.place_sample(5000, Some(1.0)), here(5000, true));
        assert_eq!(track.place_sample(5000, Some(1.0)), here(5001, false));
        assert_eq!(track.place_sample(4500, Some(1.0)), here(5002, false));
        assert_eq!(track.place_sample(-3_600_000, Some(1.0)), Placement::NewTrack);
        assert_eq!(track.place_sample(6000, Some(1.0)), here(6000, false));
    }
}
