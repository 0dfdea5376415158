//! One series as it comes in, in bounded memory.

use super::TrendEstimate;
use super::classify::classify;
use super::point::SeriesPoint;

/// The most buckets of a track. Up to so many moments it is exact.
const MAX_BUCKETS: usize = 256;

/// What is no size and no time: larger than any, and far from where sums overflow.
const MAX_MAGNITUDE: f64 = 1e30;

/// A series fed over time.
///
/// It keeps at most 256 buckets (about 12 KiB), each of one moment at first. When they are full, neighbours are joined and each bucket takes
/// twice as many moments from then on: a bucket keeps the mean, the least and the greatest value, so no peak and no trough is lost.
#[derive(Debug, Clone, Default)]
pub struct SampledSeries {
    buckets: Vec<Bucket>,
    /// How many moments a bucket takes, as a power of two.
    doublings: u32,
    moments: u64,
    /// The last time as it was pushed.
    clock: Option<f64>,
    /// What is added to times since the clock went back.
    clock_offset: f64,
    /// The last step forward.
    step: f64,
    /// The next moment begins a bucket.
    separate_next: bool,
    last: Option<f64>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    count: u64,
    point: SeriesPoint,
}

impl SampledSeries {
    /// One without moments.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the value at a moment.
    ///
    /// What is no finite number, or beyond 1e30, is not taken in, nor is a second value at the same time. A time before the last one is a
    /// clock that was set back: the series goes on from where it was.
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

    /// A moment that was not measured: what comes before and after is not joined where it need not be.
    pub fn push_gap(&mut self) {
        self.separate_next = true;
    }

    /// How many moments were taken in.
    #[must_use]
    pub fn moments(&self) -> u64 {
        self.moments
    }

    /// The last value.
    #[must_use]
    pub fn last(&self) -> Option<f64> {
        self.last
    }

    /// The series so far, in order of time.
    #[must_use]
    pub fn points(&self) -> Vec<SeriesPoint> {
        self.buckets.iter().map(|bucket| bucket.point).collect()
    }

    /// What it does so far.
    #[must_use]
    pub fn classify(&self) -> TrendEstimate {
        classify(&self.points(), self.moments, self.last)
    }

    fn append(&mut self, seconds: f64, value: f64) {
        let moment = Bucket { count: 1, point: SeriesPoint::exact(seconds, value) };
        let separate_next = std::mem::take(&mut self.separate_next);
        if let Some(last) =
            self.buckets.last_mut().filter(|last| !separate_next && last.count < 1 << self.doublings)
        {
            *last = last.with(&moment);
            return;
        }
        if self.buckets.len() >= MAX_BUCKETS {
            self.join();
        }
        self.buckets.push(moment);
    }

    /// Joins neighbours that fit into one bucket, and doubles what fits into one until a quarter of the buckets is free.
    fn join(&mut self) {
        loop {
            let mut joined: Vec<Bucket> = Vec::with_capacity(MAX_BUCKETS);
            for bucket in &self.buckets {
                match joined.last_mut() {
                    Some(last) if last.count + bucket.count <= 1 << self.doublings => {
                        *last = last.with(bucket);
                    }
                    _ => joined.push(*bucket),
                }
            }
            self.buckets = joined;
            if self.buckets.len() <= MAX_BUCKETS * 3 / 4 {
                return;
            }
            self.doublings += 1;
        }
    }
}

impl Bucket {
    fn with(&self, later: &Self) -> Self {
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
