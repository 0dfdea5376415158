//! The result of judging a series.

use common::record::TrendKind;
use common::trend::Slope;

/// The trend of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrendEstimate {
    /// The kind of trend.
    pub kind: TrendKind,
    /// The confidence in the kind, from 0 to 0.999.
    ///
    /// Growing and shrinking: 1 minus the greatest p-value of the tests. Steady and saw-tooth: the probability, by the slope's interval, that the
    /// size changes by less than a tenth in as long a time again. Too short: 0.
    pub confidence: f64,
    /// The line behind the warm-up; `None` if the series is too short.
    pub line: Option<TrendLine>,
    /// The last value.
    pub last: Option<f64>,
    /// The number of values.
    pub moments: u64,
}

/// The line through the part of a series that follows its warm-up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrendLine {
    /// The Theil–Sen slope; its interval is widened for autocorrelation.
    pub slope: Slope,
    /// The time at which the line begins.
    pub from_seconds: f64,
    /// The value of the line there.
    pub first: f64,
}

impl TrendLine {
    /// The line of the series with all signs changed.
    pub(super) fn negated(self) -> Self {
        let Slope { per_second, low, high } = self.slope;
        Self { slope: Slope { per_second: -per_second, low: -high, high: -low }, first: -self.first, ..self }
    }
}
