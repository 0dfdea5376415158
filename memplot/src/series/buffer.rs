//! Who has a series: a process, a type, a module, a sum.

use std::sync::Arc;

use crate::downsample::PointBuckets;
use crate::figure::Point;

/// What tells one member from all others of a view.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SeriesKey {
    /// A process.
    Process {
        /// The input it stands in.
        input: usize,
        /// Its number.
        pid: u32,
        /// When it began.
        start: u64,
    },
    /// Something with a name.
    Named {
        /// The input it stands in.
        input: usize,
        /// The process it is of; empty for the root.
        role: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
}

impl SeriesKey {
    /// The input it stands in.
    #[must_use]
    pub fn input(&self) -> usize {
        match self {
            Self::Process { input, .. } | Self::Named { input, .. } => *input,
        }
    }

    /// The process that something with a name is of.
    #[must_use]
    pub fn role(&self) -> &str {
        match self {
            Self::Process { .. } => "",
            Self::Named { role, .. } => role,
        }
    }
}

/// One member of a view, and what is kept of its values.
#[derive(Debug, Clone)]
pub struct SeriesBuffer {
    /// Who it is.
    pub key: SeriesKey,
    /// Its name, the last if it changed.
    pub name: Arc<str>,
    /// The command line of a process.
    pub cmdline: Option<Arc<str>>,
    /// Whether the user wants it.
    pub wanted: bool,
    /// Its values in each track that it is in.
    pub parts: Vec<TrackPart>,
    /// The greatest value so far.
    pub greatest: f64,
}

/// A member's values in one track.
#[derive(Debug, Clone)]
pub struct TrackPart {
    /// The track.
    pub track: usize,
    /// The number of the last sample there that has the member.
    pub seen: u64,
    /// The last value.
    pub latest: f64,
    /// The values.
    pub line: PointBuckets,
}

impl SeriesBuffer {
    /// Its part in a track. Most often it is the last one.
    #[must_use]
    pub fn part(&self, track: usize) -> Option<&TrackPart> {
        self.parts.iter().rev().find(|part| part.track == track)
    }

    /// Adds a value. `sample` is the number of the sample in its track; a member that was not in the one before begins anew.
    /// Returns how many buckets more there are.
    pub fn add(&mut self, track: usize, sample: u64, point: Point, gap: bool, buckets: usize) -> usize {
        self.greatest = self.greatest.max(point.value);
        if let Some(part) = self.parts.iter_mut().rev().find(|part| part.track == track) {
            let gap = gap || part.seen.saturating_add(1) != sample;
            part.seen = sample;
            part.latest = point.value;
            let before = part.line.len();
            part.line.push(point, gap);
            return part.line.len().saturating_sub(before);
        }
        let mut line = PointBuckets::new(buckets);
        line.push(point, true);
        self.parts.push(TrackPart { track, seen: sample, latest: point.value, line });
        1
    }

    /// It was in a sample, but not measured: its line goes on to the next value.
    pub fn stay(&mut self, track: usize, sample: u64) {
        if let Some(part) = self.parts.iter_mut().rev().find(|part| part.track == track)
            && part.seen.saturating_add(1) == sample
        {
            part.seen = sample;
        }
    }

    /// How many buckets it has.
    #[must_use]
    pub fn buckets(&self) -> usize {
        self.parts.iter().map(|part| part.line.len()).sum()
    }
}
