//! Follows every series of the logs, and judges its trend.

mod cause;
mod describe;
mod key;
mod limits;
mod process_series;
mod run_clock;
mod series;
mod series_set;
mod survival;

#[cfg(test)]
mod tests;

use common::record::{TrendKind, Verdict};

use crate::delta::GrowthThreshold;

pub use self::cause::group_growth;
pub use self::describe::{count_by_trend, describe, format_follower, format_slope, is_brief};
pub use self::series_set::SeriesSet;

/// Whether a verdict is growth beyond the threshold, from the end of the warm-up to the end of the log.
pub fn is_growing_beyond(verdict: &Verdict, threshold: &GrowthThreshold) -> bool {
    // A threshold of bytes says nothing of a number.
    let (first, last) = verdict.first_count.zip(verdict.last_count).unwrap_or((0, u64::MAX));
    verdict.trend == TrendKind::Growing
        && threshold.is_ratio_exceeded(first, last)
        && (key::is_count(verdict.kind)
            || threshold
                .is_exceeded(verdict.first_bytes.unwrap_or(0), verdict.last_bytes.unwrap_or(u64::MAX)))
}
