use common::record::TrendKind;
use common::trend::{mann_kendall, median, theil_sen};
use proptest::prelude::*;

use super::point::means;
use super::*;

fn sampled(values: impl IntoIterator<Item = f64>) -> SampledSeries {
    let mut series = SampledSeries::new();
    for (turn, value) in values.into_iter().enumerate() {
        series.push(10.0 * turn as f64, value);
    }
    series
}

fn judged(values: impl IntoIterator<Item = f64>) -> TrendEstimate {
    sampled(values).estimate_trend()
}

const MIB: f64 = 1024.0 * 1024.0;

#[test]
fn line_grows_at_its_slope() {
    for moments in [20, 60, 200, 1000, 5000] {
        let estimate = judged((0..moments).map(|i| 1e8 + 1e6 * f64::from(i)));
        assert_eq!(estimate.kind, TrendKind::Growing, "{moments}");
        assert!((estimate.line.unwrap().slope.per_second - 1e5).abs() < 1.0, "{estimate:?}");
        assert!(
            estimate.line.unwrap().slope.low <= 1e5 + 1e-6 && estimate.line.unwrap().slope.high >= 1e5 - 1e-6
        );
        assert_eq!(estimate.moments, moments as u64);
        // A long log begins with the mean of its first moments.
        assert!(estimate.line.unwrap().from_seconds <= 0.05 * f64::from(moments), "{estimate:?}");
        assert!(estimate.confidence > 0.99);
    }
}

#[test]
fn line_grows_though_points_get_rare() {
    for (dense, late) in (5..8).map(|late| (10, late)).chain((5..9).map(|late| (20, late))) {
        let mut series = SampledSeries::new();
        let early = (0..dense).map(|i| 0.1 * f64::from(i));
        let times = early.chain((0..late).map(|i| 0.1 * f64::from(dense) + 4.0 * f64::from(i)));
        times.for_each(|at| series.push(at, 1e8 + 1e6 * at));
        let estimate = series.estimate_trend();
        assert_eq!(estimate.kind, TrendKind::Growing, "{dense}, {late}: {estimate:?}");
    }
}

#[test]
fn flat_is_steady_falling_shrinks() {
    let steady = judged((0..100).map(|_| 5e7));
    assert_eq!((steady.kind, steady.line.unwrap().slope.per_second), (TrendKind::Steady, 0.0));
    assert!(steady.confidence > 0.99);
    let falling = judged((0..100).map(|i| 5e8 - 1e6 * f64::from(i)));
    assert_eq!(falling.kind, TrendKind::Shrinking);
    let line = falling.line.unwrap();
    assert!(
        line.slope.low <= line.slope.per_second && line.slope.per_second <= line.slope.high,
        "{falling:?}"
    );
    assert!(line.first > falling.last.unwrap());
}

#[test]
fn little_growth_is_steady() {
    // A few pages, and less than a hundredth of the size.
    assert_eq!(judged((0..100).map(|i| 2e5 + 100.0 * f64::from(i))).kind, TrendKind::Steady);
    assert_eq!(judged((0..100).map(|i| 4e9 + 2e5 * f64::from(i))).kind, TrendKind::Steady);
    assert_eq!(judged((0..100).map(|i| 4e9 + 8e5 * f64::from(i))).kind, TrendKind::Growing);
}

#[test]
fn warm_up_cache_and_jump_are_steady() {
    let warm_up = judged((0..100).map(|i| 100.0 * MIB * (1.0 - (-f64::from(i) / 15.0).exp())));
    assert_eq!(warm_up.kind, TrendKind::Steady);
    assert!(warm_up.line.unwrap().from_seconds > 200.0, "{warm_up:?}");
    assert_eq!(judged((0..100).map(|i| MIB * f64::from(i.min(60)))).kind, TrendKind::Steady);
    assert_eq!(judged((0..100).map(|i| if i < 50 { MIB } else { 90.0 * MIB })).kind, TrendKind::Steady);
}

#[test]
fn leak_rate_excludes_warm_up() {
    let value = |i: i32| 200.0 * MIB * (1.0 - (-f64::from(i) / 6.0).exp()) + MIB * f64::from(i);
    let leak = judged((0..200).map(value));
    assert_eq!(leak.kind, TrendKind::Growing);
    assert!((leak.line.unwrap().slope.per_second - MIB / 10.0).abs() < MIB / 200.0, "{leak:?}");
    assert!(leak.line.unwrap().from_seconds >= 200.0, "{leak:?}");
}

#[test]
fn rising_troughs_are_growth() {
    let tooth = |i: i32| 50.0 * MIB + 5.0 * MIB * f64::from(i % 11);
    assert_eq!(judged((0..200).map(tooth)).kind, TrendKind::Sawtooth);
    let rising = judged((0..200).map(|i| tooth(i) + MIB * f64::from(i)));
    assert_eq!(rising.kind, TrendKind::Growing);
    assert!((rising.line.unwrap().slope.per_second - MIB / 10.0).abs() < MIB / 100.0, "{rising:?}");
}

#[test]
fn staircase_grows_while_it_continues() {
    assert_eq!(judged((0..200).map(|i| 50.0 * MIB + 4.0 * MIB * f64::from(i / 10))).kind, TrendKind::Growing);
    assert_eq!(judged((0..200).map(|i| MIB * (50.0 + 40.0 * f64::from(i / 100)))).kind, TrendKind::Steady);
    let ended = (0..200).map(|i| 50.0 * MIB + 4.0 * MIB * f64::from(i.min(120) / 10));
    assert_eq!(judged(ended).kind, TrendKind::Steady);
}

#[test]
fn short_series_is_too_short() {
    let nothing = judged([]);
    assert_eq!((nothing.kind, nothing.confidence, nothing.last), (TrendKind::TooShort, 0.0, None));
    let few = judged((0..7).map(|i| MIB * f64::from(i)));
    assert_eq!((few.kind, few.moments, few.last), (TrendKind::TooShort, 7, Some(6.0 * MIB)));
    let mut quick = SampledSeries::new();
    (0..90).for_each(|i| quick.push(0.1 * f64::from(i), MIB * f64::from(i)));
    assert_eq!(quick.estimate_trend().kind, TrendKind::TooShort);
    (90..120).for_each(|i| quick.push(0.1 * f64::from(i), MIB * f64::from(i)));
    assert_eq!(quick.estimate_trend().kind, TrendKind::Growing);
}

#[test]
fn invalid_numbers_are_ignored() {
    let mut series = sampled((0..50).map(|i| MIB * f64::from(i)));
    let before = (series.moments(), series.estimate_trend());
    for (seconds, value) in [
        (f64::NAN, 1.0),
        (f64::INFINITY, 1.0),
        (1e300, 1.0),
        (600.0, f64::NAN),
        (601.0, f64::NEG_INFINITY),
        (602.0, f64::MAX),
        (490.0, 7.0),
    ] {
        series.push(seconds, value);
        assert_eq!((series.moments(), series.estimate_trend()), before, "{seconds} {value}");
    }
}

#[test]
fn clock_set_back_continues_series() {
    let mut series = SampledSeries::new();
    for turn in 0..100 {
        let seconds = 10.0 * f64::from(turn) - if turn < 50 { 0.0 } else { 86400.0 };
        series.push(seconds, MIB * f64::from(turn));
    }
    let estimate = series.estimate_trend();
    assert_eq!((estimate.kind, estimate.moments), (TrendKind::Growing, 100));
    assert!((estimate.line.unwrap().slope.per_second - MIB / 10.0).abs() < 1.0, "{estimate:?}");
}

#[test]
fn gaps_keep_resolution() {
    let mut series = SampledSeries::new();
    for turn in 0..3000 {
        series.push(10.0 * f64::from(turn), MIB * f64::from(turn));
        if turn < 1000 || turn % 7 == 0 {
            series.push_gap();
        }
    }
    let points = series.points();
    assert!((100..=256).contains(&points.len()), "{}", points.len());
    let widest = points.windows(2).map(|pair| pair[1].seconds - pair[0].seconds).fold(0.0, f64::max);
    assert!(widest <= 10.0 * 64.0, "{widest}");
    assert_eq!(series.estimate_trend().kind, TrendKind::Growing);
}

/// Values far above the least change that counts, as whole numbers, so that sums are exact.
fn values() -> impl Strategy<Value = Vec<f64>> {
    let any = prop::collection::vec(0_u32..1 << 20, 1..120);
    let rising = (1_u32..1000, prop::collection::vec(0_u32..2000, 1..120));
    prop_oneof![
        any.prop_map(|values| values.into_iter().map(|value| f64::from(value) * 1024.0 + 1e8).collect()),
        rising.prop_map(|(slope, noise)| {
            let value =
                |(i, noise)| f64::from(slope) * f64::from(i) * 1024.0 + f64::from(noise) * 1024.0 + 1e6;
            (0_u32..).zip(noise).map(value).collect()
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    #[test]
    fn units_do_not_change_trend(values in values(), double in 1..8_i32, later in 0_u32..1_000_000) {
        let (size, time) = (2.0_f64.powi(double), 2.0_f64.powi(8 - double));
        let estimate = judged(values.iter().copied());
        let mut other = SampledSeries::new();
        for (turn, value) in values.iter().enumerate() {
            other.push((10.0 * turn as f64) * time + f64::from(later), value * size);
        }
        let scaled = other.estimate_trend();
        prop_assert_eq!(scaled.kind, estimate.kind);
        let line = |estimate: &TrendEstimate| estimate.line.map(|l| (l.slope.per_second, l.slope.low, l.from_seconds));
        let expected = |(slope, low, from)| (slope * size / time, low * size / time, from * time + f64::from(later));
        prop_assert_eq!(line(&scaled), line(&estimate).map(expected));
        prop_assert!((scaled.confidence - estimate.confidence).abs() < 1e-9);
    }

    #[test]
    fn offset_does_not_change_slope(values in values(), base in 0_u32..1 << 30) {
        let here = sampled(values.iter().copied()).points();
        let above: Vec<SeriesPoint> = here.iter().map(|point| point.shifted(f64::from(base))).collect();
        prop_assert_eq!(theil_sen(&means(&above), 1.0), theil_sen(&means(&here), 1.0));
        prop_assert_eq!(mann_kendall(&means(&above), 1.0), mann_kendall(&means(&here), 1.0));
    }

    #[test]
    fn negated_growth_is_shrinking(values in values()) {
        // Both lie about the same size, as what change counts depends on it.
        let middle = median(values.iter().copied()).unwrap();
        let up = judged(values.iter().map(|value| 1e9 + (value - middle)));
        let down = judged(values.iter().map(|value| 1e9 - (value - middle)));
        let expected = match up.kind {
            TrendKind::Growing => TrendKind::Shrinking,
            TrendKind::Shrinking => TrendKind::Growing,
            // Teeth lean to one side only.
            _ => return Ok(()),
        };
        prop_assert_eq!(down.kind, expected, "{:?} {:?}", up, down);
    }

    #[test]
    fn any_steep_line_grows(
        moments in 8_u32..400,
        base in 0_u32..1 << 30,
        share in 2_u32..1000,
        page in prop_oneof![Just(1.0), Just(4096.0)],
    ) {
        // Two hundredths of the size, or 64 pages, or more.
        let growth = f64::max(f64::from(base) * f64::from(share) / 100.0 * 1.3, 64.0 * 4096.0);
        let value = |i: u32| f64::from(base) + growth * f64::from(i) / f64::from(moments - 1);
        let line: Vec<f64> = (0..moments).map(|i| (value(i) / page).floor() * page).collect();
        let estimate = judged(line.iter().copied());
        prop_assert_eq!(estimate.kind, TrendKind::Growing, "{:?}", estimate);
        prop_assert_eq!(judged(line.into_iter().rev()).kind, TrendKind::Shrinking);
    }

    #[test]
    fn any_input_gives_valid_estimate(pushes in prop::collection::vec((any::<f64>(), any::<f64>(), any::<bool>()), 0..400)) {
        let mut series = SampledSeries::new();
        for (seconds, value, is_gap) in pushes {
            series.push(seconds, value);
            if is_gap {
                series.push_gap();
            }
        }
        let estimate = series.estimate_trend();
        prop_assert!((0.0..=1.0).contains(&estimate.confidence));
        prop_assert!(series.points().len() <= 256);
    }

    #[test]
    fn merging_keeps_extremes_and_mean(values in prop::collection::vec(0_u32..1 << 30, 1..3000)) {
        let series = sampled(values.iter().map(|value| f64::from(*value)));
        let points = series.points();
        prop_assert!(points.len() <= 256);
        prop_assert!(points.windows(2).all(|pair| pair[0].seconds < pair[1].seconds));
        let highest = points.iter().map(|point| point.max).fold(0.0, f64::max);
        let lowest = points.iter().map(|point| point.min).fold(f64::MAX, f64::min);
        prop_assert_eq!(highest, f64::from(*values.iter().max().unwrap()));
        prop_assert_eq!(lowest, f64::from(*values.iter().min().unwrap()));
        prop_assert!(points.iter().all(|point| point.min <= point.mean && point.mean <= point.max));
        prop_assert_eq!(series.moments(), values.len() as u64);
    }
}
