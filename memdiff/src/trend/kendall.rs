//! The Mann–Kendall test: whether later values are greater more often than chance would have it.

use statrs::function::erf::erfc;

use super::point::SeriesPoint;
use super::slope::variance_of_s;

/// What the test says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kendall {
    /// Pairs that rise less pairs that fall.
    pub s: f64,
    /// S in deviations of what chance gives, with its continuity correction.
    pub z: f64,
    /// The variance of S by chance, with ties and autocorrelation.
    pub variance: f64,
    /// The chance of so great a rise where there is none (one side).
    pub p_rising: f64,
    /// By how much the variance of S was raised because neighbours resemble each other; 1 or more.
    pub inflation: f64,
}

/// Tests the means for a rise. Ties lessen the variance; autocorrelation raises it as Hamed and Rao (1998) have it, estimated by the ranks
/// of `detrended`, the means without their slope.
#[must_use]
pub fn kendall(points: &[SeriesPoint], detrended: &[f64]) -> Kendall {
    let mut s = 0.0;
    for (index, earlier) in points.iter().enumerate() {
        for later in points.iter().skip(index + 1) {
            s += f64::from(i8::from(later.mean > earlier.mean) - i8::from(later.mean < earlier.mean));
        }
    }
    let inflation = inflation(detrended).max(1.0);
    let variance = variance_of_s(points.iter().map(|point| point.mean)) * inflation;
    let z = if variance > 0.0 { (s.abs() - 1.0).max(0.0).copysign(s) / variance.sqrt() } else { 0.0 };
    Kendall { s, z, variance, p_rising: erfc(z / std::f64::consts::SQRT_2) / 2.0, inflation }
}

/// By how much autocorrelation raises the variance of S: the sum over the lags whose correlation of ranks is significant at 5 %.
pub(super) fn inflation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    if n < 4.0 {
        return 1.0;
    }
    let significant = 1.959_963_984_540_054 / n.sqrt();
    let ranks = ranks(values);
    let mean = ranks.iter().sum::<f64>() / n;
    let centred: Vec<f64> = ranks.iter().map(|rank| rank - mean).collect();
    let power: f64 = centred.iter().map(|x| x * x).sum();
    if power <= 0.0 {
        return 1.0;
    }
    let mut sum = 0.0;
    for lag in 1..values.len() {
        let product: f64 = centred.iter().zip(centred.iter().skip(lag)).map(|(a, b)| a * b).sum();
        let correlation = product / power;
        if correlation.abs() > significant {
            let left = n - lag as f64;
            sum += left * (left - 1.0) * (left - 2.0) * correlation;
        }
    }
    1.0 + 2.0 / (n * (n - 1.0) * (n - 2.0)) * sum
}

/// The rank of each value from 1; equal ones share the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<(usize, f64)> = values.iter().copied().enumerate().collect();
    order.sort_unstable_by(|a, b| a.1.total_cmp(&b.1));
    let mut ranked: Vec<(usize, f64)> = Vec::with_capacity(values.len());
    for tied in order.chunk_by(|a, b| a.1 == b.1) {
        let rank = ranked.len() as f64 + (tied.len() as f64 + 1.0) / 2.0;
        ranked.extend(tied.iter().map(|(place, _)| (*place, rank)));
    }
    ranked.sort_unstable_by_key(|(place, _)| *place);
    ranked.into_iter().map(|(_, rank)| rank).collect()
}
