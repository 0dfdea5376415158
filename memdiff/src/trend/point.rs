//! Points of a series, and what is asked of lists of numbers everywhere here.

/// Neighbouring moments of a series as one; a single one is exact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SeriesPoint {
    /// When: the mean of their times, in seconds.
    pub seconds: f64,
    /// Their mean.
    pub mean: f64,
    /// The least of them.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl SeriesPoint {
    /// A single moment.
    #[must_use]
    pub fn exact(seconds: f64, value: f64) -> Self {
        Self { seconds, mean: value, min: value, max: value }
    }

    /// The same moment higher by `height`.
    #[must_use]
    pub fn shifted(self, height: f64) -> Self {
        Self { mean: self.mean + height, min: self.min + height, max: self.max + height, ..self }
    }

    /// The same turned upside down: what fell rises.
    #[must_use]
    pub fn negated(self) -> Self {
        Self { seconds: self.seconds, mean: -self.mean, min: -self.max, max: -self.min }
    }
}

/// The median; of an even number the mean of the middle two. `None` of nothing.
#[must_use]
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    let length = values.len();
    let (low, &mut high, _) =
        (length > 0).then(|| values.select_nth_unstable_by(length / 2, f64::total_cmp))?;
    if length % 2 == 1 {
        return Some(high);
    }
    low.iter().copied().max_by(f64::total_cmp).map(|low| low + (high - low) / 2.0)
}

/// The means with the line of this slope taken out.
#[must_use]
pub fn detrended(points: &[SeriesPoint], slope: f64) -> Vec<f64> {
    let origin = points.first().map_or(0.0, |point| point.seconds);
    points.iter().map(|point| point.mean - slope * (point.seconds - origin)).collect()
}
