//! Accuracy of memdiff's verdicts: statistics against SciPy, verdicts on simulated series.

use std::fmt::Write;

use common::record::TrendKind;
use common::trend::{mann_kendall, residuals, theil_sen, variance_factor};
use serde::Deserialize;

use crate::support::series::{KINDS, Kind, judged};

/// The results of SciPy and pymannkendall for a series; `oracles/trend.py` writes them.
#[derive(Debug, Deserialize)]
struct Expected {
    name: String,
    seconds: Vec<f64>,
    values: Vec<f64>,
    slope: f64,
    low: f64,
    high: f64,
    equal_slope: f64,
    s: f64,
    variance: f64,
    z: f64,
    p: f64,
    corrected_variance: Option<f64>,
    tau: f64,
}

fn assert_close(name: &str, ours: f64, theirs: f64) {
    let scale = ours.abs().max(theirs.abs()).max(1e-12);
    assert!((ours - theirs).abs() <= 1e-9 * scale, "{name}: {ours} is not {theirs}");
}

#[test]
fn trend_statistics_match_scipy() {
    let cases: Vec<Expected> = serde_json::from_str(include_str!("oracles/trend.json")).unwrap();
    assert!(cases.len() >= 40, "{}", cases.len());
    let mut corrected = 0;
    for expected in &cases {
        let name = &expected.name;
        let series: Vec<(f64, f64)> =
            expected.seconds.iter().copied().zip(expected.values.iter().copied()).collect();
        let slope = theil_sen(&series, 1.0).unwrap();
        assert_close(name, slope.per_second, expected.slope);
        assert_close(name, slope.low, expected.low);
        assert_close(name, slope.high, expected.high);

        let equal: Vec<(f64, f64)> =
            expected.values.iter().enumerate().map(|(i, value)| (i as f64, *value)).collect();
        let slope = theil_sen(&equal, 1.0).unwrap().per_second;
        assert_close(name, slope, expected.equal_slope);

        let independent = mann_kendall(&equal, 1.0);
        assert_eq!(independent.s, expected.s, "{name}");
        assert_close(name, independent.variance, expected.variance);
        assert_close(name, independent.z, expected.z);
        // SciPy's p is two-sided, and 1 minus a number close to 1; ours is statrs's erfc, exact to eleven digits.
        let p = 2.0 * independent.p_rising.min(1.0 - independent.p_rising);
        assert!((p - expected.p).abs() < 1e-10, "{name}: {p} is not {}", expected.p);
        let pairs = (equal.len() * (equal.len() - 1) / 2) as f64;
        // Tau-b: pairs of equal values are left out of one of its two counts.
        let tied = pairs - equal_pairs(&expected.values);
        assert_close(name, independent.s / (pairs * tied).sqrt(), expected.tau);

        let dependent = mann_kendall(&equal, variance_factor(&residuals(&equal, slope)));
        if let Some(variance) = expected.corrected_variance {
            // A factor below 1 is not used.
            assert_close(name, dependent.variance, variance.max(expected.variance));
            corrected += usize::from(variance > expected.variance);
        }
    }
    assert!(corrected >= 5, "only {corrected} series resemble themselves");
}

fn equal_pairs(values: &[f64]) -> f64 {
    let equal_behind = |(i, value): (usize, &f64)| values[i + 1..].iter().filter(|v| *v == value).count();
    values.iter().enumerate().map(equal_behind).sum::<usize>() as f64
}

/// The number of series of a kind that are judged to grow.
fn growing(kind: &Kind, moments: usize, series: u64) -> u64 {
    (0..series).map(|seed| u64::from(judged(&kind.series(seed, moments)).kind == TrendKind::Growing)).sum()
}

/// Lengths and numbers of the series of each kind; together more than a thousand that do not leak.
const SERIES: [(usize, u64); 3] = [(20, 40), (60, 16), (200, 2)];

/// `benches/verdicts.rs` does the same with more and longer series.
#[test]
fn false_alarms_are_rare_leaks_found() {
    let mut table = String::new();
    let mut rate = |leaks: bool| {
        let (mut of, mut all) = (0, 0);
        for kind in KINDS.iter().filter(|kind| kind.leaks == leaks) {
            write!(table, "{:<40}", kind.name).unwrap();
            for (moments, series) in SERIES {
                let found = growing(kind, moments, series);
                write!(table, " {found:>3} of {series:>2}").unwrap();
                of += found;
                all += series;
            }
            table.push('\n');
        }
        (of, all)
    };
    let (false_alarms, steady) = rate(false);
    let (found, leaking) = rate(true);
    println!("{table}false alarms: {false_alarms} of {steady}; found: {found} of {leaking}");
    assert!(steady >= 1000, "{steady}");
    assert!(false_alarms * 100 < steady, "{false_alarms} false alarms of {steady}\n{table}");
    assert!(found * 100 > leaking * 95, "{found} found of {leaking}\n{table}");
}

#[test]
fn simulated_series_are_reproducible() {
    for kind in KINDS {
        assert_eq!(kind.series(3, 50), kind.series(3, 50), "{}", kind.name);
        assert_ne!(kind.series(3, 50), kind.series(4, 50), "{}", kind.name);
    }
}
