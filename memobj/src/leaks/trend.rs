//! Tests whether a short series rises, and keeps rising.

use common::trend::{ExactKendall, kendall_s, least_squares};

/// The largest p-value of a rise. With fewer than five censuses no order is rare enough: four rise by chance once in 24 times.
const MAX_CHANCE: f64 = 0.05;
/// The smallest ratio of the slope at the end to that before; below it the series settles.
const SLOWEST_END: f64 = 0.35;

/// The trend of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// The last value minus the first.
    pub net: f64,
    /// The slope per second, by least squares.
    pub per_second: f64,
    /// The p-value of the exact one-sided Mann–Kendall test. Ties count as half an inversion, which makes it more
    /// conservative.
    pub chance: f64,
    /// Whether it rises at the end about as fast as before.
    pub goes_on: bool,
    /// The share of the variance that the line explains.
    pub straight: f64,
}

/// Finds the trends of series of one length.
#[derive(Debug)]
pub struct Trends {
    moments: Vec<f64>,
    exact: ExactKendall,
}

impl Trends {
    /// Prepares the tests for series with a value at each of these moments, in seconds.
    pub fn new(moments: &[f64]) -> Self {
        Self { moments: moments.to_vec(), exact: ExactKendall::new(moments.len()) }
    }

    /// Whether a trend is a significant rise that continues until the end. Few values cannot be significant.
    pub fn is_rise(&self, trend: &Trend) -> bool {
        trend.goes_on && (self.moments.len() < 4 || trend.chance <= MAX_CHANCE)
    }

    /// The trend of a series; `None` if it is too short, or takes no time.
    pub fn trend(&self, values: &[u64]) -> Option<Trend> {
        let n = self.moments.len();
        let (&first, &last) = (values.first()?, values.last()?);
        let (&begin, &end) = (self.moments.first()?, self.moments.last()?);
        if n < 3 || values.len() != n || end <= begin {
            return None;
        }
        let value = |value: u64| value as f64;
        let series: Vec<(f64, f64)> =
            self.moments.iter().zip(values).map(|(&at, &size)| (at, value(size))).collect();
        let line = least_squares(&series)?;
        // The last third: the last of two to five steps, the last two of six to eight.
        let turn = n - 1 - ((n - 1) / 3).max(1);
        let (&turn_at, &turned) = (self.moments.get(turn)?, values.get(turn)?);
        let before = (value(turned) - value(first)) / (turn_at - begin);
        let after = (value(last) - value(turned)) / (end - turn_at);
        Some(Trend {
            net: value(last) - value(first),
            per_second: line.per_second,
            chance: self.exact.p_rising(kendall_s(&series)),
            goes_on: after > 0.0 && after >= before * SLOWEST_END,
            straight: line.r_squared,
        })
    }
}

/// The probability that at least `came` of all objects were added if adding and freeing are equally likely: Hoeffding's bound.
pub fn chance_of_balance(came: u64, left: u64) -> f64 {
    let (came, left) = (came as f64, left as f64);
    if came <= left {
        return 1.0;
    }
    (-(came - left) * (came - left) / (2.0 * (came + left))).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trend(values: &[u64]) -> Trend {
        let moments: Vec<f64> = (0..values.len()).map(|at| at as f64 * 2.0).collect();
        Trends::new(&moments).trend(values).unwrap()
    }

    #[test]
    fn line_is_a_rise() {
        let line = trend(&[100, 120, 140, 160, 180]);
        assert_eq!((line.net, line.per_second, line.goes_on), (80.0, 10.0, true));
        assert!(line.chance < 0.01 && line.straight > 0.999);
    }

    #[test]
    fn settling_series_does_not_go_on() {
        assert!(!trend(&[0, 50, 75, 87, 93]).goes_on);
        assert!(!trend(&[0, 100, 100, 100, 100]).goes_on);
        assert!(!trend(&[0, 10, 20, 30, 5]).goes_on);
        assert!(trend(&[0, 10, 0, 10, 0]).chance > 0.3);
        assert!(trend(&[7, 7, 7, 7, 7]).chance > 0.5);
    }

    #[test]
    fn one_sided_flow_is_no_balance() {
        assert!(chance_of_balance(50, 0) < 1e-10);
        assert!(chance_of_balance(50, 45) > 0.5 && chance_of_balance(5, 5) >= 1.0);
    }
}
