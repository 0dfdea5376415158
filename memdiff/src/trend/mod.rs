//! The trend of one series: whether it grows, how fast, and how sure that is.
//!
//! ```
//! use common::record::TrendKind;
//! use memdiff::trend::SampledSeries;
//!
//! let mut rss = SampledSeries::new();
//! for minute in 0..60 {
//!     rss.push(f64::from(minute) * 60.0, 50e6 + f64::from(minute) * 1e6);
//! }
//! let trend = rss.estimate_trend();
//! assert_eq!(trend.kind, TrendKind::Growing);
//! assert!((trend.line.unwrap().slope.per_second * 60.0 - 1e6).abs() < 1.0);
//! ```

mod classify;
mod estimate;
mod point;
mod rise;
mod sampled_series;
mod sawtooth;
mod segments;

#[cfg(test)]
mod tests;

pub use estimate::{TrendEstimate, TrendLine};
pub use point::SeriesPoint;
pub use sampled_series::SampledSeries;
