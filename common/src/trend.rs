//! Trends of series: the Mann–Kendall test, Theil–Sen and least-squares slopes, and p-values.
//!
//! A series is a slice of `(seconds, value)` pairs in order of time. These functions know nothing of memory: each tool has thresholds of its own.
//!
//! ```
//! use common::trend::{mann_kendall, theil_sen};
//!
//! let sizes = [(0.0, 100.0), (10.0, 130.0), (20.0, 155.0), (30.0, 190.0), (40.0, 220.0)];
//! let slope = theil_sen(&sizes, 1.0).unwrap();
//! assert_eq!(slope.per_second, 3.0);
//! assert!(slope.low < 3.0 && 3.0 < slope.high);
//! assert!(mann_kendall(&sizes, 1.0).p_rising < 0.02);
//! ```

use std::f64::consts::SQRT_2;

use statrs::distribution::{ContinuousCDF, StudentsT};
use statrs::function::erf::erfc;

/// Half the width of the interval around the mean that holds 95 % of a normal distribution, in standard deviations.
const Z_95: f64 = 1.959_963_984_540_054;

/// The result of a Mann–Kendall test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MannKendall {
    /// Kendall's S, see [`kendall_s`].
    pub s: f64,
    /// The variance of S for values without a trend.
    pub variance: f64,
    /// S in standard deviations, with continuity correction.
    pub z: f64,
    /// The one-sided p-value of a rise.
    pub p_rising: f64,
}

/// Tests a series for a rise, with the normal approximation of S.
///
/// `variance_factor` is 1 for independent values, and [`variance_factor`] of the residuals otherwise.
///
/// Source: Mann, *Econometrica* 13 (1945); variance with ties: Kendall, *Rank Correlation Methods* (1975).
///
/// ```
/// let steady = [(0.0, 5.0), (1.0, 7.0), (2.0, 5.0), (3.0, 7.0), (4.0, 5.0)];
/// assert!(common::trend::mann_kendall(&steady, 1.0).p_rising > 0.4);
/// ```
#[must_use]
pub fn mann_kendall(series: &[(f64, f64)], variance_factor: f64) -> MannKendall {
    let s = kendall_s(series);
    let variance = variance_of_s(series) * variance_factor;
    let z = if variance > 0.0 { (s.abs() - 1.0).max(0.0).copysign(s) / variance.sqrt() } else { 0.0 };
    MannKendall { s, variance, z, p_rising: normal_tail(z) }
}

/// Kendall's S: the number of pairs of values that rise, minus the number of pairs that fall.
///
/// ```
/// assert_eq!(common::trend::kendall_s(&[(0.0, 1.0), (1.0, 3.0), (2.0, 2.0)]), 1.0);
/// ```
#[must_use]
pub fn kendall_s(series: &[(f64, f64)]) -> f64 {
    let mut s = 0.0;
    for (index, (_, earlier)) in series.iter().enumerate() {
        for (_, later) in series.iter().skip(index + 1) {
            s += f64::from(i8::from(later > earlier) - i8::from(later < earlier));
        }
    }
    s
}

/// The variance of S for independent values; ties lessen it.
fn variance_of_s(series: &[(f64, f64)]) -> f64 {
    let mut sorted: Vec<f64> = series.iter().map(|(_, value)| *value).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let term = |n: usize| {
        let n = n as f64;
        n * (n - 1.0) * (2.0 * n + 5.0)
    };
    let ties: f64 = sorted.chunk_by(|a, b| a == b).map(|tied| term(tied.len())).sum();
    (term(sorted.len()) - ties) / 18.0
}

/// The factor by which autocorrelation raises the variance of S, at least 1.
///
/// `residuals` are the values without their slope, see [`residuals`]. The ranks of the residuals are correlated at each lag; lags significant at
/// 5 % count. A factor below 1 would make values that alternate look surer than independent ones.
///
/// Source: Hamed and Rao, *Journal of Hydrology* 204 (1998).
///
/// ```
/// let waves: Vec<f64> = (0..40).map(|i| f64::from(i % 10)).collect();
/// assert!(common::trend::variance_factor(&waves) > 1.0);
/// assert_eq!(common::trend::variance_factor(&[]), 1.0);
/// ```
#[must_use]
pub fn variance_factor(residuals: &[f64]) -> f64 {
    let n = residuals.len() as f64;
    if n < 4.0 {
        return 1.0;
    }
    let significant = Z_95 / n.sqrt();
    let ranks = ranks(residuals);
    let mean = ranks.iter().sum::<f64>() / n;
    let centred: Vec<f64> = ranks.iter().map(|rank| rank - mean).collect();
    let power: f64 = centred.iter().map(|x| x * x).sum();
    if power <= 0.0 {
        return 1.0;
    }
    let mut sum = 0.0;
    for lag in 1..residuals.len() {
        let product: f64 = centred.iter().zip(centred.iter().skip(lag)).map(|(a, b)| a * b).sum();
        let correlation = product / power;
        if correlation.abs() > significant {
            let left = n - lag as f64;
            sum += left * (left - 1.0) * (left - 2.0) * correlation;
        }
    }
    (1.0 + 2.0 / (n * (n - 1.0) * (n - 2.0)) * sum).max(1.0)
}

/// The rank of each value, from 1; equal values share the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<(usize, f64)> = values.iter().copied().enumerate().collect();
    order.sort_unstable_by(|a, b| a.1.total_cmp(&b.1));
    let mut ranked: Vec<(usize, f64)> = Vec::with_capacity(values.len());
    for tied in order.chunk_by(|a, b| a.1 == b.1) {
        let rank = ranked.len() as f64 + (tied.len() as f64 + 1.0) / 2.0;
        ranked.extend(tied.iter().map(|(index, _)| (*index, rank)));
    }
    ranked.sort_unstable_by_key(|(index, _)| *index);
    ranked.into_iter().map(|(_, rank)| rank).collect()
}

/// The exact distribution of Kendall's S for series of one length, without ties.
///
/// For short series, where the normal approximation is poor.
///
/// Source: the recurrence of Kendall, *Biometrika* 30 (1938), on the number of inversions of a random permutation.
///
/// ```
/// use common::trend::ExactKendall;
///
/// // One of the 120 orders of five values has no pair that falls.
/// assert!((ExactKendall::new(5).p_rising(10.0) - 1.0 / 120.0).abs() < 1e-12);
/// ```
#[derive(Debug, Clone)]
pub struct ExactKendall {
    pairs: f64,
    /// The probability of at most this number of inversions, by index.
    cumulative: Vec<f64>,
}

impl ExactKendall {
    /// The distribution for series of `length` values.
    #[must_use]
    pub fn new(length: usize) -> Self {
        let mut probabilities = vec![1.0];
        for next in 1..length {
            let mut sum = 0.0;
            let share = (next + 1) as f64;
            let with_next = (0..probabilities.len() + next).map(|count| {
                sum += probabilities.get(count).copied().unwrap_or(0.0);
                if let Some(out) = count.checked_sub(next + 1) {
                    sum -= probabilities.get(out).copied().unwrap_or(0.0);
                }
                f64::max(sum, 0.0) / share
            });
            probabilities = with_next.collect();
        }
        let mut sum = 0.0;
        let cumulative = probabilities.into_iter().map(|probability| {
            sum += probability;
            f64::min(sum, 1.0)
        });
        Self { cumulative: cumulative.collect(), pairs: length as f64 * (length as f64 - 1.0) / 2.0 }
    }

    /// The one-sided p-value of a rise: the probability of this S or a greater one. Ties count half, which makes it cautious.
    #[must_use]
    pub fn p_rising(&self, s: f64) -> f64 {
        let inversions = f64::ceil((self.pairs - s) / 2.0);
        self.cumulative.get(rank(inversions)).copied().unwrap_or(1.0)
    }
}

/// A slope and its 95 % confidence interval, in values per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slope {
    /// The median of the slopes between all pairs.
    pub per_second: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
}

/// The Theil–Sen slope: the median of the slopes between all pairs of points. `None` if no two points differ in time.
///
/// `variance_factor` above 1 widens the interval, see [`variance_factor`]. Time and memory are quadratic in the length.
///
/// Source: Theil (1950); interval: Sen, *Journal of the American Statistical Association* 63 (1968).
#[must_use]
pub fn theil_sen(series: &[(f64, f64)], variance_factor: f64) -> Option<Slope> {
    let mut slopes = Vec::with_capacity(series.len() * series.len() / 2);
    for (index, (earlier, before)) in series.iter().enumerate() {
        slopes.extend(series.iter().skip(index + 1).filter_map(|(later, after)| {
            let seconds = later - earlier;
            // Times that differ by a rounding error alone give no finite slope.
            Some((after - before) / seconds).filter(|slope| seconds > 0.0 && slope.is_finite())
        }));
    }
    let pairs = slopes.len() as f64;
    let per_second = median(slopes.iter().copied())?;
    let reach = Z_95 * (variance_of_s(series) * variance_factor).sqrt();
    let low = ((pairs - reach) / 2.0).round_ties_even() - 1.0;
    let high = ((pairs + reach) / 2.0).round_ties_even();
    let low = nth_value(&mut slopes, rank(low))?;
    let high = nth_value(&mut slopes, rank(high))?;
    Some(Slope { per_second, low, high })
}

/// A rank as an index; 0 for a negative one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast from a float saturates")]
fn rank(rank: f64) -> usize {
    rank as usize
}

/// The value at this rank, from 0; the greatest for a rank beyond the last.
fn nth_value(values: &mut [f64], rank: usize) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    Some(*values.select_nth_unstable_by(rank.min(last), f64::total_cmp).1)
}

/// The values minus a line of this slope through 0 at the first point.
#[must_use]
pub fn residuals(series: &[(f64, f64)], per_second: f64) -> Vec<f64> {
    let origin = series.first().map_or(0.0, |(seconds, _)| *seconds);
    series.iter().map(|(seconds, value)| value - per_second * (seconds - origin)).collect()
}

/// A line fitted by least squares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeastSquares {
    /// Its slope in values per second.
    pub per_second: f64,
    /// The share of the variance that it explains, R².
    pub r_squared: f64,
}

/// Fits a line by least squares. `None` if no two points differ in time.
///
/// ```
/// let line = common::trend::least_squares(&[(0.0, 1.0), (2.0, 5.0), (4.0, 9.0)]).unwrap();
/// assert_eq!((line.per_second, line.r_squared), (2.0, 1.0));
/// ```
#[must_use]
pub fn least_squares(series: &[(f64, f64)]) -> Option<LeastSquares> {
    let n = series.len() as f64;
    let mean_time = series.iter().map(|(seconds, _)| seconds).sum::<f64>() / n;
    let mean_value = series.iter().map(|(_, value)| value).sum::<f64>() / n;
    let centred = || series.iter().map(|(seconds, value)| (seconds - mean_time, value - mean_value));
    let time_variance: f64 = centred().map(|(x, _)| x * x).sum();
    let covariance: f64 = centred().map(|(x, y)| x * y).sum();
    let value_variance: f64 = centred().map(|(_, y)| y * y).sum();
    let r_squared =
        if value_variance > 0.0 { covariance * covariance / (time_variance * value_variance) } else { 0.0 };
    (time_variance > 0.0).then(|| LeastSquares { per_second: covariance / time_variance, r_squared })
}

/// The one-sided p-value of Student's t-test: whether the mean of independent values is above 0.
///
/// 1 for fewer than two values, and for a mean of 0 or less.
///
/// ```
/// assert!(common::trend::p_of_positive_mean(&[2.0, 3.0, 2.5, 3.5]) < 0.01);
/// assert_eq!(common::trend::p_of_positive_mean(&[-1.0, -2.0]), 1.0);
/// ```
#[must_use]
pub fn p_of_positive_mean(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n.max(1.0);
    if n < 2.0 || mean <= 0.0 {
        return 1.0;
    }
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let t = mean / (variance / n).sqrt();
    if !t.is_finite() {
        return 0.0;
    }
    StudentsT::new(0.0, 1.0, n - 1.0).map_or(1.0, |student| student.sf(t))
}

/// The probability that a standard normal variable is above `z`.
#[must_use]
pub fn normal_tail(z: f64) -> f64 {
    erfc(z / SQRT_2) / 2.0
}

/// The median; the mean of the middle two for an even number of values. `None` without values.
///
/// ```
/// assert_eq!(common::trend::median([3.0, 1.0, 2.0, 10.0]), Some(2.5));
/// ```
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_p_values_count_permutations() {
        // Of the 120 orders of five values one has no inversion, and four have one.
        let five = ExactKendall::new(5);
        assert!((five.p_rising(10.0) - 1.0 / 120.0).abs() < 1e-12);
        assert!((five.p_rising(8.0) - 5.0 / 120.0).abs() < 1e-12);
        assert!((five.p_rising(-10.0) - 1.0).abs() < 1e-12);
        assert_eq!(five.cumulative.len(), 11);
        assert!((ExactKendall::new(3).p_rising(3.0) - 1.0 / 6.0).abs() < 1e-12);
        let long = ExactKendall::new(250).cumulative;
        assert!(long[0] < 1e-300 && long.last().is_some_and(|&all| all > 0.999_999));
    }

    #[test]
    fn ties_make_exact_test_cautious() {
        let exact = ExactKendall::new(4);
        assert_eq!(exact.p_rising(5.0), exact.p_rising(4.0));
        assert!(exact.p_rising(5.0) > exact.p_rising(6.0));
    }
}
