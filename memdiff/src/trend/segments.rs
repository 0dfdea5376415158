//! The steps between the levels of a series in successive segments of it.

use common::trend::{median, p_of_positive_mean};

use super::point::SeriesPoint;

/// Fewer segments give too few steps to differ from chance; in more of them the noise is too strong.
const MAX_SEGMENTS: usize = 8;
/// Growth slows down if the later half of the steps is less than this share of the earlier half.
const SLOWDOWN_RATIO: f64 = 0.5;
/// Growth has ended if the last two steps are less than this share of the mean step.
const MIN_END_RATIO: f64 = 0.3;

/// Rounding errors of a time are smaller, in segments.
const GRAIN: f64 = 1e-9;

/// The steps between the levels of at most eight segments of equal time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LevelSteps(Vec<f64>);

impl LevelSteps {
    /// The steps between the medians of the segments.
    pub(super) fn from_medians(points: &[SeriesPoint]) -> Self {
        Self::between(points, |segment| median(segment.iter().map(|point| point.mean)).unwrap_or(0.0))
    }

    /// The steps between the least values of the segments: a leak is never given back.
    pub(super) fn from_minima(points: &[SeriesPoint]) -> Self {
        Self::between(points, |segment| segment.iter().map(|point| point.min).fold(f64::INFINITY, f64::min))
    }

    fn between(points: &[SeriesPoint], level: impl Fn(&[SeriesPoint]) -> f64) -> Self {
        let levels: Vec<f64> = segments(points).map(level).collect();
        Self(levels.iter().zip(levels.iter().skip(1)).map(|(earlier, later)| later - earlier).collect())
    }

    /// The p-value of a rise: Student's t-test of the mean step.
    ///
    /// A single jump of any height gives a t of 1, growth that ended half-way one of 2.5. The steps of a random walk are independent and
    /// noise evens out within a segment, so that autocorrelation needs no estimate.
    pub(super) fn rise_p_value(&self) -> f64 {
        p_of_positive_mean(&self.0)
    }

    /// Whether the rise continues to the end and does not slow down.
    pub(super) fn keep_rising(&self) -> bool {
        let end = self.0.get(self.0.len().saturating_sub(2)..).unwrap_or_default();
        let (earlier, later) = self.halves();
        later >= earlier * SLOWDOWN_RATIO && mean(end) >= mean(&self.0) * MIN_END_RATIO && !self.level_off()
    }

    /// Whether the steps shrink as they do towards a bound: in 85 % of their pairs, and by a fifth from the earlier half to the later one.
    fn level_off(&self) -> bool {
        let mut falling = 0_usize;
        for (index, earlier) in self.0.iter().enumerate() {
            falling += self.0.iter().skip(index + 1).filter(|later| *later < earlier).count();
        }
        let pairs = self.0.len() * self.0.len().saturating_sub(1) / 2;
        let (earlier, later) = self.halves();
        falling * 20 >= pairs * 17 && later < earlier * 0.8
    }

    /// The mean steps of the earlier and the later half.
    fn halves(&self) -> (f64, f64) {
        let (earlier, later) = self.0.split_at(self.0.len() / 2);
        (mean(earlier), mean(later))
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The points in at most eight segments of equal time, or of equally many points if these come at equal times; none is empty. By time, as
/// points may be denser at the beginning (file descriptors, PSS): a steady rise would be one great step at the end.
fn segments(points: &[SeriesPoint]) -> impl Iterator<Item = &[SeriesPoint]> {
    let (first, last) = (points.first(), points.last());
    let begin = first.map_or(0.0, |point| point.seconds);
    let span = last.map_or(0.0, |point| point.seconds) - begin;
    let length = points.len() as f64;
    let count = MAX_SEGMENTS.min(points.len()) as f64;
    let number = move |point: &SeriesPoint| {
        // Among points at equal times, its number.
        let index = if span > 0.0 { (point.seconds - begin) / span * (length - 1.0) } else { 0.0 };
        ((index + 1.0) * count / length - GRAIN).ceil()
    };
    points.chunk_by(move |a, b| number(a).total_cmp(&number(b)).is_eq())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(values: &[f64]) -> LevelSteps {
        let points: Vec<SeriesPoint> =
            values.iter().enumerate().map(|(i, value)| SeriesPoint::exact(i as f64, *value)).collect();
        LevelSteps::from_medians(&points)
    }

    #[test]
    fn jump_is_chance_and_steady_rise_is_not() {
        assert!(steps(&[0.0, 0.0, 0.0, 0.0, 9.0, 9.0, 9.0, 9.0]).rise_p_value() > 0.15);
        assert!(steps(&[0.0, 1.0, 2.0, 3.0, 3.0, 3.0, 3.0, 3.0]).rise_p_value() > 0.02);
        assert!(steps(&[0.0, 1.0, 2.1, 3.0, 4.1, 5.0, 6.2, 7.0]).rise_p_value() < 1e-6);
        assert_eq!(steps(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]).rise_p_value(), 0.0);
        assert_eq!(steps(&[7.0, 6.0, 5.0]).rise_p_value(), 1.0);
        assert_eq!(steps(&[7.0]).rise_p_value(), 1.0);
    }

    #[test]
    fn slowing_growth_does_not_keep_rising() {
        assert!(steps(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]).keep_rising());
        assert!(steps(&[0.0, 1.0, 3.0, 4.0, 4.5, 5.0, 6.0, 8.0]).keep_rising());
        assert!(!steps(&[0.0, 3.0, 6.0, 9.0, 9.5, 10.0, 10.5, 11.0]).keep_rising(), "slower");
        assert!(!steps(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 5.0, 5.0]).keep_rising(), "ended");
        assert!(!steps(&[0.0, 1.0, 1.9, 2.7, 3.4, 4.0, 4.5, 4.9]).keep_rising(), "levels off");
    }

    #[test]
    fn dense_points_are_no_more_time() {
        let early = (0..30_i32).map(|i| f64::from(i) / 10.0);
        let late = (0..10_i32).map(|i| 3.0 + 2.0 * f64::from(i));
        let points: Vec<SeriesPoint> = early.chain(late).map(|at| SeriesPoint::exact(at, at)).collect();
        for steps in [LevelSteps::from_medians(&points), LevelSteps::from_minima(&points)] {
            assert!(steps.rise_p_value() < 1e-3, "{steps:?}");
            assert!(steps.keep_rising(), "{steps:?}");
        }
    }

    #[test]
    fn points_at_equal_times_are_shared_equally() {
        for length in 1..40_usize {
            let points: Vec<SeriesPoint> =
                (0..length).map(|i| SeriesPoint::exact(0.1 * i as f64, 0.0)).collect();
            let count = MAX_SEGMENTS.min(length);
            let ends = (1..=count).map(|i| length * i / count);
            let mut end = 0;
            let found = segments(&points).map(|segment| {
                end += segment.len();
                end
            });
            assert!(found.eq(ends), "{length}");
        }
    }

    #[test]
    fn segments_hold_every_point_once() {
        for length in 0..40 {
            let points: Vec<SeriesPoint> =
                (0..length).map(|i| SeriesPoint::exact(f64::from(i), 0.0)).collect();
            let joined: Vec<SeriesPoint> = segments(&points).flatten().copied().collect();
            assert_eq!(joined, points);
            assert!(segments(&points).all(|segment| !segment.is_empty()));
        }
    }
}
