//! The levels of a series in successive stretches of time, and what their steps tell.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::point::{SeriesPoint, median};

/// How many stretches are compared: with fewer, the steps are too few to differ from chance; with more, each is too noisy.
const MAX_SEGMENTS: usize = 8;

/// A later half of the steps that is less than this share of the earlier half slows down.
const SLOWDOWN_RATIO: f64 = 0.5;
/// The last two steps are at least this share of the mean one, or the growth has ended.
const MIN_END_RATIO: f64 = 0.3;

/// One level for each of at most eight stretches with equally many points.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentLevels(Vec<f64>);

impl SegmentLevels {
    /// The medians of the stretches.
    pub fn medians(points: &[SeriesPoint]) -> Self {
        Self(segments(points).filter_map(|stretch| median(stretch.iter().map(|point| point.mean))).collect())
    }

    /// The least values of the stretches: what was not given back.
    pub fn minima(points: &[SeriesPoint]) -> Self {
        let least =
            |stretch: &[SeriesPoint]| stretch.iter().map(|point| point.min).fold(f64::INFINITY, f64::min);
        Self(segments(points).map(least).collect())
    }

    fn steps(&self) -> Vec<f64> {
        self.0.iter().zip(self.0.iter().skip(1)).map(|(earlier, later)| later - earlier).collect()
    }

    /// The chance that a walk without direction rises so steadily: Student's test of the steps (one side).
    ///
    /// A single jump, however high, gives a t of 1; growth that ended half-way 2.5; seven equal steps any. So the test needs growth that goes on, and
    /// needs no word on how neighbours resemble each other, as the steps of a random walk are independent and those of noise even out.
    pub fn rise_p_value(&self) -> f64 {
        let steps = self.steps();
        let n = steps.len() as f64;
        let mean = mean(&steps);
        if n < 2.0 || mean <= 0.0 {
            return 1.0;
        }
        let variance = steps.iter().map(|step| (step - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let t = mean / (variance / n).sqrt();
        if !t.is_finite() {
            return 0.0;
        }
        StudentsT::new(0.0, 1.0, n - 1.0).map_or(1.0, |student| student.sf(t))
    }

    /// Whether the rise goes on to the end and does not slow down.
    pub fn keeps_rising(&self) -> bool {
        let steps = self.steps();
        let (earlier, later) = steps.split_at(steps.len() / 2);
        let end = steps.get(steps.len().saturating_sub(2)..).unwrap_or_default();
        let slows = mean(later) < mean(earlier) * SLOWDOWN_RATIO;
        !slows && mean(end) >= mean(&steps) * MIN_END_RATIO && !self.levels_off()
    }

    /// Whether the steps become smaller and smaller, as they do on the way to a bound: so do 85 of 100 pairs of steps, and the later half is
    /// a fifth less than the earlier.
    fn levels_off(&self) -> bool {
        let steps = self.steps();
        let mut falling = 0_usize;
        let mut pairs = 0_usize;
        for (index, earlier) in steps.iter().enumerate() {
            for later in steps.iter().skip(index + 1) {
                pairs += 1;
                falling += usize::from(later < earlier);
            }
        }
        let (earlier, later) = steps.split_at(steps.len() / 2);
        falling * 20 >= pairs * 17 && mean(later) < mean(earlier) * 0.8
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The points in at most eight runs, equally long or nearly; none is empty.
fn segments(points: &[SeriesPoint]) -> impl Iterator<Item = &[SeriesPoint]> {
    let count = MAX_SEGMENTS.min(points.len());
    (0..count)
        .filter_map(move |index| points.get(points.len() * index / count..points.len() * (index + 1) / count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(values: &[f64]) -> SegmentLevels {
        let points: Vec<SeriesPoint> =
            values.iter().enumerate().map(|(i, value)| SeriesPoint::exact(i as f64, *value)).collect();
        SegmentLevels::medians(&points)
    }

    #[test]
    fn a_jump_is_chance_and_a_steady_rise_is_none() {
        assert!(levels(&[0.0, 0.0, 0.0, 0.0, 9.0, 9.0, 9.0, 9.0]).rise_p_value() > 0.15);
        assert!(levels(&[0.0, 1.0, 2.0, 3.0, 3.0, 3.0, 3.0, 3.0]).rise_p_value() > 0.02);
        assert!(levels(&[0.0, 1.0, 2.1, 3.0, 4.1, 5.0, 6.2, 7.0]).rise_p_value() < 1e-6);
        assert_eq!(levels(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]).rise_p_value(), 0.0);
        assert_eq!(levels(&[7.0, 6.0, 5.0]).rise_p_value(), 1.0);
        assert_eq!(levels(&[7.0]).rise_p_value(), 1.0);
    }

    #[test]
    fn what_slows_down_or_ended_does_not_go_on() {
        assert!(levels(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]).keeps_rising());
        assert!(levels(&[0.0, 1.0, 3.0, 4.0, 4.5, 5.0, 6.0, 8.0]).keeps_rising());
        assert!(!levels(&[0.0, 3.0, 6.0, 9.0, 9.5, 10.0, 10.5, 11.0]).keeps_rising(), "slower");
        assert!(!levels(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 5.0, 5.0]).keeps_rising(), "ended");
        assert!(!levels(&[0.0, 1.0, 1.9, 2.7, 3.4, 4.0, 4.5, 4.9]).keeps_rising(), "settles");
    }

    #[test]
    fn stretches_hold_every_point_once() {
        for length in 0..40 {
            let points: Vec<SeriesPoint> =
                (0..length).map(|i| SeriesPoint::exact(f64::from(i), 0.0)).collect();
            let joined: Vec<SeriesPoint> = segments(&points).flatten().copied().collect();
            assert_eq!(joined, points);
            assert!(segments(&points).all(|stretch| !stretch.is_empty()));
        }
    }
}
