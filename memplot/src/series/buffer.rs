//! Keeps the points of one series while the log is read.

use std::sync::Arc;

use crate::downsample::PointBuckets;
use crate::figure::Point;

/// Identifies a series within a view.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SeriesKey {
    /// A process.
    Process { input: usize, pid: u32, start: u64 },
    /// A type, module, holder, cache or total.
    Named {
        input: usize,
        /// The process it belongs to; empty for the root of a run.
        role: Arc<str>,
        name: Arc<str>,
    },
}

impl SeriesKey {
    /// The log it is from.
    pub fn input(&self) -> usize {
        match self {
            Self::Process { input, .. } | Self::Named { input, .. } => *input,
        }
    }

    /// The process that a named series belongs to.
    pub fn role(&self) -> &str {
        match self {
            Self::Process { .. } => "",
            Self::Named { role, .. } => role,
        }
    }
}

/// The points of one series.
#[derive(Debug, Clone)]
pub struct SeriesBuffer {
    /// Identifies it.
    pub key: SeriesKey,
    /// Its name, the last one if it changed.
    pub name: Arc<str>,
    /// The command line of a process.
    pub cmdline: Option<Arc<str>>,
    /// Whether it matches `--grep`.
    pub wanted: bool,
    /// Its values in each track; empty if the series was dropped.
    pub parts: Vec<TrackPart>,
    /// The largest value so far.
    pub greatest: f64,
}

/// A series' values in one track.
#[derive(Debug, Clone)]
pub struct TrackPart {
    /// The track.
    pub track: usize,
    /// The number of the last sample that has the series.
    pub last_sample: u64,
    /// The last value.
    pub latest: f64,
    /// The values.
    pub points: PointBuckets,
}

impl SeriesBuffer {
    /// Its part in a track.
    pub fn part(&self, track: usize) -> Option<&TrackPart> {
        self.parts.iter().rev().find(|part| part.track == track)
    }

    /// Most often it is the last one.
    fn part_mut(&mut self, track: usize) -> Option<&mut TrackPart> {
        self.parts.iter_mut().rev().find(|part| part.track == track)
    }

    /// Adds a value. `sample` is the number of the sample in its track: a series that was not in the one before has a gap.
    /// Returns the number of new buckets.
    pub fn add(&mut self, track: usize, sample: u64, point: Point, gap: bool, buckets: usize) -> usize {
        self.greatest = self.greatest.max(point.value);
        if let Some(part) = self.part_mut(track) {
            let gap = gap || part.last_sample.saturating_add(1) != sample;
            part.last_sample = sample;
            part.latest = point.value;
            let before = part.points.len();
            part.points.push(point, gap);
            return part.points.len().saturating_sub(before);
        }
        let mut points = PointBuckets::new(buckets);
        points.push(point, true);
        self.parts.push(TrackPart { track, last_sample: sample, latest: point.value, points });
        1
    }

    /// Notes a sample that has the series without a value: its line continues to the next value.
    pub fn add_unmeasured(&mut self, track: usize, sample: u64) {
        if let Some(part) = self.part_mut(track).filter(|part| part.last_sample.saturating_add(1) == sample) {
            part.last_sample = sample;
        }
    }

    /// The number of its buckets.
    pub fn buckets(&self) -> usize {
        self.parts.iter().map(|part| part.points.len()).sum()
    }
}
