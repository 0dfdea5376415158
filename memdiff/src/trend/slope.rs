//! The Theil–Sen slope: the median of the slopes between all pairs of points.

use super::point::SeriesPoint;

/// A slope in values per second and its 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slope {
    /// The median of all pairs' slopes.
    pub per_second: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The slope of the means; `None` if no two points differ in time.
///
/// The interval is Sen's (1968), by ranks among the pairs' slopes. `inflation` is by how much the variance of Kendall's S is greater than
/// of independent values (1 if they are), which widens it. The time is quadratic in the number of points.
#[must_use]
pub fn theil_sen(points: &[SeriesPoint], inflation: f64) -> Option<Slope> {
    let mut slopes = Vec::with_capacity(points.len() * points.len() / 2);
    for (index, earlier) in points.iter().enumerate() {
        slopes.extend(points.iter().skip(index + 1).filter_map(|later| {
            let seconds = later.seconds - earlier.seconds;
            // Two moments a hair's breadth apart have no slope that is a number.
            Some((later.mean - earlier.mean) / seconds).filter(|slope| seconds > 0.0 && slope.is_finite())
        }));
    }
    let pairs = slopes.len();
    let middle = super::median(slopes.iter().copied())?;

    let variance = variance_of_s(points.iter().map(|point| point.mean));
    // 1.959964: 95 % of a normal distribution lie within so many deviations.
    let reach = 1.959_963_984_540_054 * (variance * inflation).sqrt();
    let low = ((pairs as f64 - reach) / 2.0).round_ties_even() - 1.0;
    let high = ((pairs as f64 + reach) / 2.0).round_ties_even();
    // A negative number becomes 0.
    let low = nth(&mut slopes, low as usize)?;
    let high = nth(&mut slopes, high as usize)?;
    Some(Slope { per_second: middle, low, high })
}

/// The variance of Kendall's S over these values in any order, were they independent; ties lessen it.
pub(super) fn variance_of_s(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let term = |n: usize| {
        let n = n as f64;
        n * (n - 1.0) * (2.0 * n + 5.0)
    };
    let ties: f64 = sorted.chunk_by(|a, b| a == b).map(|tied| term(tied.len())).sum();
    (term(sorted.len()) - ties) / 18.0
}

/// The value at this rank, from 0; the greatest for a rank beyond it.
fn nth(values: &mut [f64], rank: usize) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    Some(*values.select_nth_unstable_by(rank.min(last), f64::total_cmp).1)
}
