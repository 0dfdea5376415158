//! What one series does over time: whether it grows, how fast, and how sure that is.
//!
//! Pure: values go in by [`SampledSeries::push`], a [`TrendEstimate`] comes out of [`SampledSeries::classify`]. Memory is bounded whatever the length.
//! `docs/architecture.md` tells how a verdict is made and why so.

mod classify;
mod kendall;
mod point;
mod rise;
mod sampled_series;
mod sawtooth;
mod segments;
mod slope;

#[cfg(test)]
mod tests;

use common::record::TrendKind;

pub use classify::classify;
pub use kendall::{Kendall, kendall};
pub use point::{SeriesPoint, detrended, median};
pub use sampled_series::SampledSeries;
pub use slope::{Slope, theil_sen};

/// What a series does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrendEstimate {
    /// What it does.
    pub kind: TrendKind,
    /// How sure that is, 0 to 1, and never above 0.999.
    ///
    /// Growing and shrinking: 1 less the chance that the tests give to there being no trend. Steady and saw-tooth: the chance, as far as the slope's
    /// interval tells, that in as long a time again it changes by less than a tenth of its size. Too short: 0.
    pub confidence: f64,
    /// The Theil–Sen slope in values per second of what comes behind the warm-up; `None` if too short to say.
    pub per_second: Option<f64>,
    /// The lower end of its 95 % confidence interval, widened for autocorrelation.
    pub low: Option<f64>,
    /// The upper end of it.
    pub high: Option<f64>,
    /// Where the slope begins, in the seconds that were pushed: behind the warm-up.
    pub from_seconds: Option<f64>,
    /// The value there.
    pub first: Option<f64>,
    /// The last value.
    pub last: Option<f64>,
    /// How many moments were taken in.
    pub moments: u64,
}
