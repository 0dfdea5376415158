//! A series in bounded memory.

use super::classify::classify;
use super::estimate::TrendEstimate;
use super::point::SeriesPoint;

/// The most buckets of a series. Shorter series are exact.
const MAX_BUCKETS: usize = 256;

/// Larger numbers are no sizes or times; squares and sums of smaller ones do not overflow.
const MAX_MAGNITUDE: f64 = 1e30;

/// A series that compacts itself: at most 256 buckets, about 12 KiB.
///
/// A bucket holds one value at first. When all are in use, neighbours are merged, and from then on each bucket takes twice as many values. It keeps
/// their mean, minimum and maximum, so that no peak and no trough is lost.
#[derive(Debug, Clone, Default)]
pub struct SampledSeries {
    buckets: Vec<Bucket>,
    /// The number of values that a bucket takes, as a power of two.
    doublings: u32,
    moments: u64,
    /// The time of the last value, as it was given.
    clock: Option<f64>,
    /// Added to all times since the clock was set back.
    clock_offset: f64,
    /// The last time step forward.
    step: f64,
    /// The next value begins a bucket.
    begins_bucket: bool,
    last: Option<f64>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    count: u64,
    point: SeriesPoint,
}

impl SampledSeries {
    /// A series without values.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the value at a time.
    ///
    /// Ignores numbers that are not finite or above 1e30, and a second value at the same time. A time before the last one means that the clock was
    /// set back: the series continues from its last time.
    pub fn push(&mut self, seconds: f64, value: f64) {
        let sane = |number: f64| number.is_finite() && number.abs() <= MAX_MAGNITUDE;
        if !sane(seconds) || !sane(value) || self.clock == Some(seconds) {
            return;
        }
        if let Some(clock) = self.clock {
            if seconds < clock {
                self.clock_offset += clock - seconds + self.step;
            } else {
                self.step = seconds - clock;
            }
        }
        self.clock = Some(seconds);
        self.last = Some(value);
        self.moments += 1;
        self.append(seconds + self.clock_offset, value);
    }

    /// Marks a value that is missing: the values before and after it share a bucket only if room is needed.
    pub fn push_gap(&mut self) {
        self.begins_bucket = true;
    }

    /// The number of values.
    #[must_use]
    pub fn moments(&self) -> u64 {
        self.moments
    }

    /// The points of the series, in order of time.
    #[must_use]
    pub fn points(&self) -> Vec<SeriesPoint> {
        self.buckets.iter().map(|bucket| bucket.point).collect()
    }

    /// Judges the series.
    #[must_use]
    pub fn estimate_trend(&self) -> TrendEstimate {
        classify(&self.points(), self.moments, self.last)
    }

    fn append(&mut self, seconds: f64, value: f64) {
        let bucket = Bucket { count: 1, point: SeriesPoint::exact(seconds, value) };
        let begins_bucket = std::mem::take(&mut self.begins_bucket);
        match self.buckets.last_mut() {
            Some(last) if !begins_bucket && last.count < 1 << self.doublings => *last = last.merged(&bucket),
            _ => {
                if self.buckets.len() >= MAX_BUCKETS {
                    self.compact();
                }
                self.buckets.push(bucket);
            }
        }
    }

    /// Merges neighbours, and doubles the capacity of buckets until a quarter of them is free.
    fn compact(&mut self) {
        loop {
            let mut merged: Vec<Bucket> = Vec::with_capacity(MAX_BUCKETS);
            for bucket in &self.buckets {
                match merged.last_mut() {
                    Some(last) if last.count + bucket.count <= 1 << self.doublings => {
                        *last = last.merged(bucket);
                    }
                    _ => merged.push(*bucket),
                }
            }
            self.buckets = merged;
            if self.buckets.len() <= MAX_BUCKETS * 3 / 4 {
                return;
            }
            self.doublings += 1;
        }
    }
}

impl Bucket {
    fn merged(&self, later: &Self) -> Self {
        let count = self.count + later.count;
        let share = later.count as f64 / count as f64;
        let (a, b) = (&self.point, &later.point);
        let point = SeriesPoint {
            seconds: a.seconds + (b.seconds - a.seconds) * share,
            mean: a.mean + (b.mean - a.mean) * share,
            min: a.min.min(b.min),
            max: a.max.max(b.max),
        };
        Self { count, point }
    }
}
