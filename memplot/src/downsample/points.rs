//! One series of points: of each bucket the first, the least, the greatest and the last.

use super::index;
use crate::figure::Point;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    index: i64,
    /// Nothing was measured between the bucket before and `first`.
    gap: bool,
    first: Point,
    least: Point,
    greatest: Point,
    last: Point,
}

impl Bucket {
    fn new(index: i64, point: Point, gap: bool) -> Self {
        Self { index, gap, first: point, least: point, greatest: point, last: point }
    }

    fn add(&mut self, point: Point) {
        if point.value < self.least.value {
            self.least = point;
        }
        if point.value > self.greatest.value {
            self.greatest = point;
        }
        self.last = point;
    }

    /// Takes in the bucket that follows.
    fn join(&mut self, next: Self) {
        if next.least.value < self.least.value {
            self.least = next.least;
        }
        if next.greatest.value > self.greatest.value {
            self.greatest = next.greatest;
        }
        self.last = next.last;
    }
}

/// Points in order of time, at most `limit` buckets of them.
#[derive(Debug, Clone)]
pub struct PointBuckets {
    width_ms: i64,
    limit: usize,
    buckets: Vec<Bucket>,
    /// Where the last bucket ends: most points are told by it, without a division.
    end_ms: i64,
}

impl PointBuckets {
    /// Without a point. `limit` is at least 1.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { width_ms: 1, limit: limit.max(1), buckets: Vec::new(), end_ms: i64::MIN }
    }

    /// Adds a point that is not earlier than the last one; `gap`: no line leads to it.
    pub fn push(&mut self, point: Point, gap: bool) {
        if point.unix_ms < self.end_ms
            && let Some(last) = self.buckets.last_mut()
        {
            last.add(point);
            return;
        }
        self.buckets.push(Bucket::new(index(point.unix_ms, self.width_ms), point, gap));
        self.find_end();
        while self.buckets.len() > self.limit {
            self.coarsen();
        }
    }

    fn find_end(&mut self) {
        let after = |last: &Bucket| last.index.saturating_add(1).saturating_mul(self.width_ms);
        self.end_ms = self.buckets.last().map_or(i64::MIN, after);
    }

    /// Doubles the width of the buckets. A gap within a bucket is narrower than can be seen, and goes.
    pub fn coarsen(&mut self) {
        self.width_ms = self.width_ms.saturating_mul(2);
        let mut joined: Vec<Bucket> = Vec::with_capacity(self.buckets.len() / 2 + 1);
        for bucket in &self.buckets {
            let index = index(bucket.first.unix_ms, self.width_ms);
            match joined.last_mut() {
                Some(last) if last.index == index => last.join(*bucket),
                _ => joined.push(Bucket { index, ..*bucket }),
            }
        }
        self.buckets = joined;
        self.find_end();
    }

    /// Forgets whole buckets before a moment; the next one is no longer connected to anything.
    pub fn drop_before(&mut self, unix_ms: i64) {
        let gone = self.buckets.partition_point(|bucket| bucket.last.unix_ms < unix_ms);
        self.buckets.drain(..gone);
        if self.buckets.is_empty() {
            self.width_ms = 1;
            self.find_end();
        }
    }

    /// How many buckets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Whether there is no point.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// The points that are kept, between two moments, in runs without a gap.
    #[must_use]
    pub fn runs(&self, from: i64, to: i64) -> Vec<Vec<Point>> {
        let mut runs: Vec<Vec<Point>> = Vec::new();
        for bucket in &self.buckets {
            let mut points = [bucket.first, bucket.least, bucket.greatest, bucket.last];
            points.sort_by_key(|point| point.unix_ms);
            let mut gap = bucket.gap;
            for point in points {
                if point.unix_ms < from || point.unix_ms > to {
                    continue;
                }
                match runs.last_mut() {
                    Some(run) if !gap => {
                        if run.last() != Some(&point) {
                            run.push(point);
                        }
                    }
                    _ => runs.push(vec![point]),
                }
                gap = false;
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(limit: usize, values: &[f64]) -> PointBuckets {
        let mut line = PointBuckets::new(limit);
        for (index, &value) in values.iter().enumerate() {
            line.push(Point { unix_ms: 1000 * i64::try_from(index).unwrap(), value }, false);
        }
        line
    }

    fn all(line: &PointBuckets) -> Vec<Point> {
        line.runs(i64::MIN, i64::MAX).concat()
    }

    #[test]
    fn few_points_are_all_kept() {
        let values = [3.0, 1.0, 2.0];
        let kept: Vec<f64> = all(&line(8, &values)).iter().map(|point| point.value).collect();
        assert_eq!(kept, values);
    }

    #[test]
    fn spike_keeps_its_timestamp() {
        let mut values = vec![5.0; 1_000_000];
        values[654_321] = 900.0;
        values[77] = 0.5;
        let line = line(1024, &values);
        assert!(line.len() <= 1024 && line.len() > 256, "{}", line.len());
        let kept = all(&line);
        assert!(kept.contains(&Point { unix_ms: 654_321_000, value: 900.0 }));
        assert!(kept.contains(&Point { unix_ms: 77_000, value: 0.5 }));
        assert_eq!(kept.last().unwrap().unix_ms, 999_999_000);
    }

    #[test]
    fn wide_gaps_survive_coarsening() {
        let mut line = PointBuckets::new(16);
        for index in 0..1000 {
            let late = if index < 500 { 0 } else { 100_000 };
            line.push(Point { unix_ms: index * 10 + late, value: 1.0 }, index == 500);
        }
        let runs = line.runs(i64::MIN, i64::MAX);
        assert_eq!(runs.len(), 2, "{runs:?}");
        assert_eq!((runs[0].last().unwrap().unix_ms, runs[1][0].unix_ms), (4990, 105_000));
    }

    #[test]
    fn dropping_all_resets_width() {
        let mut line = line(4, &[1.0; 100]);
        line.drop_before(i64::MAX);
        assert!(line.is_empty());
        for unix_ms in 0..4 {
            line.push(Point { unix_ms, value: 2.0 }, false);
        }
        assert_eq!(all(&line).len(), 4);
    }

    proptest! {
        #[test]
        fn extremes_of_points_are_kept(values in proptest::collection::vec(-1e12_f64..1e12, 1..500), limit in 1_usize..20) {
            let kept = all(&line(limit, &values));
            let extremes = |points: &[f64]| points.iter().fold((f64::MAX, f64::MIN), |(a, b), &v| (a.min(v), b.max(v)));
            let kept_values: Vec<f64> = kept.iter().map(|point| point.value).collect();
            prop_assert_eq!(extremes(&kept_values), extremes(&values));
            prop_assert!(kept.len() <= 4 * limit);
            prop_assert!(kept.windows(2).all(|pair| pair[0].unix_ms <= pair[1].unix_ms));
            for point in kept {
                let index = usize::try_from(point.unix_ms / 1000).unwrap();
                prop_assert_eq!(values[index], point.value);
            }
        }
    }
}
