//! Points of a series, each of one or more neighbouring values.

use common::trend::median;

/// Smaller changes are a few pages, and count as none.
const MIN_CHANGE_BYTES: f64 = 16.0 * 1024.0;
/// Smaller changes, as a share of the size, count as none.
const MIN_CHANGE_RATIO: f64 = 0.01;

/// Neighbouring values of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SeriesPoint {
    /// The mean of their times.
    pub seconds: f64,
    /// Their mean.
    pub mean: f64,
    /// The least of them.
    pub min: f64,
    /// The greatest of them.
    pub max: f64,
}

impl SeriesPoint {
    /// A point of a single value.
    #[must_use]
    pub fn exact(seconds: f64, value: f64) -> Self {
        Self { seconds, mean: value, min: value, max: value }
    }

    /// The point raised by `height`.
    #[must_use]
    pub fn shifted(self, height: f64) -> Self {
        Self { mean: self.mean + height, min: self.min + height, max: self.max + height, ..self }
    }

    /// The point with the signs of its values changed: a fall becomes a rise.
    #[must_use]
    pub fn negated(self) -> Self {
        Self { seconds: self.seconds, mean: -self.mean, min: -self.max, max: -self.min }
    }
}

/// The times and means of points, as [`common::trend`] takes them.
pub(super) fn means(points: &[SeriesPoint]) -> Vec<(f64, f64)> {
    points.iter().map(|point| (point.seconds, point.mean)).collect()
}

/// The difference between the greatest and the least value.
pub(super) fn range(points: &[SeriesPoint]) -> f64 {
    let highest = points.iter().map(|point| point.max).fold(f64::NEG_INFINITY, f64::max);
    let lowest = points.iter().map(|point| point.min).fold(f64::INFINITY, f64::min);
    highest - lowest
}

/// The median of the absolute means; 0 without points.
pub(super) fn typical_size(points: &[SeriesPoint]) -> f64 {
    median(points.iter().map(|point| point.mean.abs())).unwrap_or(0.0)
}

/// The least change over a whole series that counts.
pub(super) fn least_change(points: &[SeriesPoint]) -> f64 {
    MIN_CHANGE_BYTES.max(typical_size(points) * MIN_CHANGE_RATIO)
}
