//! Tests whether a short series rises, and keeps rising.

use common::trend::{ExactKendall, kendall_s, least_squares};

/// The largest p-value of a rise. With fewer than five censuses no order is rare enough: four rise by chance once in 24 times.
const MAX_CHANCE: f64 = 0.05;
/// The smallest ratio of the slope at the end to that before; below it the series settles.
const SLOWEST_END: f64 = 0.35;
/// The largest ratio of the last third's slope to the first third's for a rise that slows down.
const SLOWED_END: f64 = 0.6;

/// Parts of the time in which a rise is looked for.
const PARTS: usize = 6;

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
    /// How it rises at the end.
    pub course: Course,
    /// The share of the variance that the line explains.
    pub straight: f64,
}

/// How a series rises at the end, compared with before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// About as fast.
    GoesOn,
    /// It rises, and less from each census to the next.
    SlowsDown,
    /// Much slower, or not at all.
    Settles,
}

/// Finds the trends of series of one length.
#[derive(Debug)]
pub struct Trends {
    moments: Vec<f64>,
    exact: ExactKendall,
    /// The test of the slopes between the values.
    exact_slopes: ExactKendall,
}

impl Trends {
    /// Prepares the tests for series with a value at each of these moments, in seconds.
    pub fn new(moments: &[f64]) -> Self {
        let exact_slopes = ExactKendall::new(moments.len().saturating_sub(1));
        Self { moments: moments.to_vec(), exact: ExactKendall::new(moments.len()), exact_slopes }
    }

    /// Whether a trend is a significant rise that continues until the end. Few values cannot be significant.
    pub fn is_rise(&self, trend: &Trend) -> bool {
        trend.course == Course::GoesOn && self.is_significant(trend)
    }

    /// Whether a trend is a significant rise that slows down.
    pub fn is_slowing(&self, trend: &Trend) -> bool {
        trend.course == Course::SlowsDown && self.is_significant(trend)
    }

    /// Whether a trend is a significant rise, however it ends.
    pub fn is_significant(&self, trend: &Trend) -> bool {
        self.moments.len() < 4 || trend.chance <= MAX_CHANCE
    }

    /// Whether values rise in most parts of the time. What comes in a few bursts may have an end.
    pub fn rises_mostly(values: &[u64]) -> bool {
        let steps = values.len().saturating_sub(1);
        let parts = steps.min(PARTS);
        let at = |part: usize| values.get(part.saturating_mul(steps).checked_div(parts)?);
        let rises = (0..parts).filter(|&part| at(part) < at(part.saturating_add(1))).count();
        rises.saturating_mul(2) > parts
    }

    /// Whether the slopes between the values fall, and are much lower at the end than at the beginning. The number of slopes is small, so
    /// the order must be significant, too.
    fn slows_down(&self, series: &[(f64, f64)]) -> bool {
        let slopes: Vec<(f64, f64)> = (series.iter().zip(series.iter().skip(1)))
            .filter(|(a, b)| b.0 > a.0)
            .map(|(a, b)| (b.0, (b.1 - a.1) / (b.0 - a.0)))
            .collect();
        let third = (slopes.len() / 3).max(1);
        let mean = |slopes: &mut dyn Iterator<Item = &(f64, f64)>| {
            slopes.take(third).map(|&(_, slope)| slope).sum::<f64>() / third as f64
        };
        let (early, late) = (mean(&mut slopes.iter()), mean(&mut slopes.iter().rev()));
        slopes.len() + 1 == series.len()
            && late <= early * SLOWED_END
            && self.exact_slopes.p_rising(-kendall_s(&slopes)) <= MAX_CHANCE
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
        let course = if after <= 0.0 {
            Course::Settles
        } else if self.slows_down(&series) {
            Course::SlowsDown
        } else if after >= before * SLOWEST_END {
            Course::GoesOn
        } else {
            Course::Settles
        };
        Some(Trend {
            net: value(last) - value(first),
            per_second: line.per_second,
            chance: self.exact.p_rising(kendall_s(&series)),
            course,
            straight: line.r_squared,
        })
    }
}

/// The probability that at least `came` of all objects were added if adding and freeing are equally likely: Chernoff's bound.
///
/// Without a freed object it is exact: one half to the power of `came`. Source: Hoeffding, *J. Am. Stat. Assoc.* 58 (1963), theorem 1.
pub fn chance_of_balance(came: u64, left: u64) -> f64 {
    let (came, left) = (came as f64, left as f64);
    if came <= left {
        return 1.0;
    }
    let share = |part: f64| if part > 0.0 { part * (2.0 * part / (came + left)).ln() } else { 0.0 };
    (-share(came) - share(left)).exp()
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
        assert_eq!((line.net, line.per_second, line.course), (80.0, 10.0, Course::GoesOn));
        assert!(line.chance < 0.01 && line.straight > 0.999);
    }

    #[test]
    fn settling_series_does_not_go_on() {
        assert_eq!(trend(&[0, 100, 100, 100, 100]).course, Course::Settles);
        assert_eq!(trend(&[0, 10, 20, 30, 5]).course, Course::Settles);
        assert_eq!(trend(&[0, 900, 950, 1010, 1055]).course, Course::Settles);
        assert!(trend(&[0, 10, 0, 10, 0]).chance > 0.3);
        assert!(trend(&[7, 7, 7, 7, 7]).chance > 0.5);
    }

    #[test]
    fn falling_rate_slows_down() {
        assert_eq!(trend(&[0, 50, 75, 87, 93]).course, Course::SlowsDown);
        assert_eq!(trend(&[100, 120, 134, 143, 148]).course, Course::SlowsDown);
        assert_eq!(trend(&[0, 30, 50, 62, 71, 77, 81]).course, Course::SlowsDown);
    }

    #[test]
    fn bursts_are_no_steady_rise() {
        let rises = |steps: &[u64]| {
            let sums: Vec<u64> = (0..=steps.len()).map(|count| steps.iter().take(count).sum()).collect();
            Trends::rises_mostly(&sums)
        };
        assert!(rises(&[1, 2, 1]) && rises(&[0, 5, 1, 0, 7, 3]));
        assert!(!rises(&[0, 1, 8, 0, 20, 0]) && !rises(&[18, 0, 0, 5, 7, 0]));
        // A census for each second does not see a leak of one object in five seconds in each of them.
        let slow: Vec<u64> = (0..60_u64).map(|second| u64::from(second % 5 == 0)).collect();
        assert!(rises(&slow));
        assert!(!Trends::rises_mostly(&[]) && !Trends::rises_mostly(&[1]));
    }

    #[test]
    fn uneven_or_slightly_falling_rate_goes_on() {
        assert_eq!(trend(&[0, 50, 80, 125, 153]).course, Course::GoesOn);
        assert_eq!(trend(&[0, 50, 98, 144, 188]).course, Course::GoesOn);
        assert_eq!(trend(&[0, 20, 30, 41, 49]).course, Course::GoesOn);
        assert_eq!(trend(&[0, 9, 14, 24, 30, 41, 47]).course, Course::GoesOn);
        let unsure = Trends::new(&[0.0, 1.0, 2.0]).trend(&[0, 20, 30]).unwrap();
        assert_eq!(unsure.course, Course::GoesOn, "two slopes say little");
    }

    #[test]
    fn one_sided_flow_is_no_balance() {
        assert!((chance_of_balance(10, 0) - 1.0 / 1024.0).abs() < 1e-12);
        assert!(chance_of_balance(50, 0) < 1e-10);
        assert!(chance_of_balance(50, 45) > 0.5 && chance_of_balance(5, 5) >= 1.0);
    }
}
