//! Downsamples one series: each bucket keeps its first, lowest, highest and last point.

use super::buckets::{Bucket, Buckets};
use crate::figure::Point;

/// The extremes of the points in one interval of time.
#[derive(Debug, Clone, Copy)]
pub struct PointBucket {
    /// Nothing was measured between the bucket before and `first`.
    gap: bool,
    first: Point,
    least: Point,
    greatest: Point,
    last: Point,
}

impl Bucket for PointBucket {
    fn first_ms(&self) -> i64 {
        self.first.unix_ms
    }

    fn last_ms(&self) -> i64 {
        self.last.unix_ms
    }

    /// A gap between the two is too narrow to be seen, and is lost.
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

/// Points in order of time, in a limited number of buckets.
pub type PointBuckets = Buckets<PointBucket>;

impl PointBuckets {
    /// Adds a point that is not earlier than the last one. With `gap` no line leads to it.
    pub fn push(&mut self, point: Point, gap: bool) {
        self.add(PointBucket { gap, first: point, least: point, greatest: point, last: point });
        while self.is_over_limit() {
            self.coarsen();
        }
    }

    /// The kept points between two moments, split into runs at gaps.
    pub fn runs(&self, from: i64, to: i64) -> Vec<Vec<Point>> {
        let mut runs: Vec<Vec<Point>> = Vec::new();
        for bucket in self.iter() {
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
        assert_eq!(line.len(), 0);
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
