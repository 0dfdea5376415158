use common::record::TrendKind;
use proptest::prelude::*;

use super::*;

fn track(values: impl IntoIterator<Item = f64>) -> SampledSeries {
    let mut track = SampledSeries::new();
    for (turn, value) in values.into_iter().enumerate() {
        track.push(10.0 * turn as f64, value);
    }
    track
}

fn judged(values: impl IntoIterator<Item = f64>) -> TrendEstimate {
    track(values).classify()
}

const MIB: f64 = 1024.0 * 1024.0;

#[test]
fn a_line_grows_at_its_slope() {
    for moments in [20, 60, 200, 1000, 5000] {
        let judgement = judged((0..moments).map(|i| 1e8 + 1e6 * f64::from(i)));
        assert_eq!(judgement.kind, TrendKind::Growing, "{moments}");
        assert!((judgement.per_second.unwrap() - 1e5).abs() < 1.0, "{judgement:?}");
        assert!(judgement.low.unwrap() <= 1e5 + 1e-6 && judgement.high.unwrap() >= 1e5 - 1e-6);
        assert_eq!(judgement.moments, moments as u64);
        // A long log begins with the mean of its first moments.
        assert!(judgement.from_seconds.unwrap() <= 0.05 * f64::from(moments), "{judgement:?}");
        assert!(judgement.confidence > 0.99);
    }
}

#[test]
fn what_stands_still_is_steady_and_what_falls_shrinks() {
    let steady = judged((0..100).map(|_| 5e7));
    assert_eq!((steady.kind, steady.per_second), (TrendKind::Steady, Some(0.0)));
    assert!(steady.confidence > 0.99);
    let falling = judged((0..100).map(|i| 5e8 - 1e6 * f64::from(i)));
    assert_eq!(falling.kind, TrendKind::Shrinking);
    assert!(falling.low <= falling.per_second && falling.per_second <= falling.high, "{falling:?}");
    assert!(falling.first > falling.last);
}

#[test]
fn little_growth_is_none() {
    // A few pages, and less than a hundredth of the size.
    assert_eq!(judged((0..100).map(|i| 2e5 + 100.0 * f64::from(i))).kind, TrendKind::Steady);
    assert_eq!(judged((0..100).map(|i| 4e9 + 2e5 * f64::from(i))).kind, TrendKind::Steady);
    assert_eq!(judged((0..100).map(|i| 4e9 + 8e5 * f64::from(i))).kind, TrendKind::Growing);
}

#[test]
fn a_warm_up_a_full_cache_and_a_jump_are_steady() {
    let warm_up = judged((0..100).map(|i| 100.0 * MIB * (1.0 - (-f64::from(i) / 15.0).exp())));
    assert_eq!(warm_up.kind, TrendKind::Steady);
    assert!(warm_up.from_seconds.unwrap() > 200.0, "{warm_up:?}");
    assert_eq!(judged((0..100).map(|i| MIB * f64::from(i.min(60)))).kind, TrendKind::Steady);
    assert_eq!(judged((0..100).map(|i| if i < 50 { MIB } else { 90.0 * MIB })).kind, TrendKind::Steady);
}

#[test]
fn behind_its_warm_up_a_leak_has_its_own_rate() {
    let value = |i: i32| 200.0 * MIB * (1.0 - (-f64::from(i) / 6.0).exp()) + MIB * f64::from(i);
    let leak = judged((0..200).map(value));
    assert_eq!(leak.kind, TrendKind::Growing);
    assert!((leak.per_second.unwrap() - MIB / 10.0).abs() < MIB / 200.0, "{leak:?}");
    assert!(leak.from_seconds.unwrap() >= 200.0, "{leak:?}");
}

#[test]
fn level_troughs_are_a_saw_tooth_and_rising_ones_growth() {
    let tooth = |i: i32| 50.0 * MIB + 5.0 * MIB * f64::from(i % 11);
    assert_eq!(judged((0..200).map(tooth)).kind, TrendKind::SawTooth);
    let rising = judged((0..200).map(|i| tooth(i) + MIB * f64::from(i)));
    assert_eq!(rising.kind, TrendKind::Growing);
    assert!((rising.per_second.unwrap() - MIB / 10.0).abs() < MIB / 100.0, "{rising:?}");
}

#[test]
fn a_staircase_grows_only_if_it_goes_on() {
    assert_eq!(judged((0..200).map(|i| 50.0 * MIB + 4.0 * MIB * f64::from(i / 10))).kind, TrendKind::Growing);
    assert_eq!(judged((0..200).map(|i| MIB * (50.0 + 40.0 * f64::from(i / 100)))).kind, TrendKind::Steady);
    let ended = (0..200).map(|i| 50.0 * MIB + 4.0 * MIB * f64::from(i.min(120) / 10));
    assert_eq!(judged(ended).kind, TrendKind::Steady);
}

#[test]
fn a_few_moments_and_a_few_seconds_say_nothing() {
    let nothing = judged([]);
    assert_eq!((nothing.kind, nothing.confidence, nothing.last), (TrendKind::TooShort, 0.0, None));
    let few = judged((0..7).map(|i| MIB * f64::from(i)));
    assert_eq!((few.kind, few.moments, few.last), (TrendKind::TooShort, 7, Some(6.0 * MIB)));
    let mut quick = SampledSeries::new();
    (0..90).for_each(|i| quick.push(0.1 * f64::from(i), MIB * f64::from(i)));
    assert_eq!(quick.classify().kind, TrendKind::TooShort);
    (90..120).for_each(|i| quick.push(0.1 * f64::from(i), MIB * f64::from(i)));
    assert_eq!(quick.classify().kind, TrendKind::Growing);
}

#[test]
fn what_is_no_number_is_not_taken_in() {
    let mut track = track((0..50).map(|i| MIB * f64::from(i)));
    let before = (track.moments(), track.classify());
    for (seconds, value) in [
        (f64::NAN, 1.0),
        (f64::INFINITY, 1.0),
        (1e300, 1.0),
        (600.0, f64::NAN),
        (601.0, f64::NEG_INFINITY),
        (602.0, f64::MAX),
        (490.0, 7.0),
    ] {
        track.push(seconds, value);
        assert_eq!((track.moments(), track.classify()), before, "{seconds} {value}");
    }
}

#[test]
fn a_clock_that_is_set_back_goes_on_from_where_it_was() {
    let mut track = SampledSeries::new();
    for turn in 0..100 {
        let seconds = 10.0 * f64::from(turn) - if turn < 50 { 0.0 } else { 86400.0 };
        track.push(seconds, MIB * f64::from(turn));
    }
    let judgement = track.classify();
    assert_eq!((judgement.kind, judgement.moments), (TrendKind::Growing, 100));
    assert!((judgement.per_second.unwrap() - MIB / 10.0).abs() < 1.0, "{judgement:?}");
}

#[test]
fn gaps_are_no_zeros_and_spoil_no_resolution() {
    let mut track = SampledSeries::new();
    for turn in 0..3000 {
        track.push(10.0 * f64::from(turn), MIB * f64::from(turn));
        if turn < 1000 || turn % 7 == 0 {
            track.push_gap();
        }
    }
    let points = track.points();
    assert!((100..=256).contains(&points.len()), "{}", points.len());
    let widest = points.windows(2).map(|pair| pair[1].seconds - pair[0].seconds).fold(0.0, f64::max);
    assert!(widest <= 10.0 * 64.0, "{widest}");
    assert_eq!(track.classify().kind, TrendKind::Growing);
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
    fn units_of_size_and_time_do_not_matter(values in values(), double in 1..8_i32, later in 0_u32..1_000_000) {
        let (size, time) = (2.0_f64.powi(double), 2.0_f64.powi(8 - double));
        let judgement = judged(values.iter().copied());
        let mut other = SampledSeries::new();
        for (turn, value) in values.iter().enumerate() {
            other.push((10.0 * turn as f64) * time + f64::from(later), value * size);
        }
        let scaled = other.classify();
        prop_assert_eq!(scaled.kind, judgement.kind);
        prop_assert_eq!(scaled.per_second, judgement.per_second.map(|slope| slope * size / time));
        prop_assert_eq!(scaled.low, judgement.low.map(|slope| slope * size / time));
        prop_assert_eq!(scaled.from_seconds, judgement.from_seconds.map(|s| s * time + f64::from(later)));
        prop_assert!((scaled.confidence - judgement.confidence).abs() < 1e-9);
    }

    #[test]
    fn a_base_beneath_does_not_change_slope_and_test(values in values(), base in 0_u32..1 << 30) {
        let here = track(values.iter().copied()).points();
        let above: Vec<SeriesPoint> = here.iter().map(|point| point.shifted(f64::from(base))).collect();
        prop_assert_eq!(theil_sen(&above, 1.0), theil_sen(&here, 1.0));
        prop_assert_eq!(kendall(&above, &[]), kendall(&here, &[]));
    }

    #[test]
    fn upside_down_growth_is_shrinking(values in values()) {
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
    fn any_line_above_the_floor_grows_and_backwards_it_shrinks(
        moments in 8_u32..400,
        base in 0_u32..1 << 30,
        share in 2_u32..1000,
        page in prop_oneof![Just(1.0), Just(4096.0)],
    ) {
        // Two hundredths of the size, or 64 pages, or more.
        let growth = f64::max(f64::from(base) * f64::from(share) / 100.0 * 1.3, 64.0 * 4096.0);
        let value = |i: u32| f64::from(base) + growth * f64::from(i) / f64::from(moments - 1);
        let line: Vec<f64> = (0..moments).map(|i| (value(i) / page).floor() * page).collect();
        let judgement = judged(line.iter().copied());
        prop_assert_eq!(judgement.kind, TrendKind::Growing, "{:?}", judgement);
        prop_assert_eq!(judged(line.into_iter().rev()).kind, TrendKind::Shrinking);
    }

    #[test]
    fn nothing_overturns_it(pushes in prop::collection::vec((any::<f64>(), any::<f64>(), any::<bool>()), 0..400)) {
        let mut track = SampledSeries::new();
        for (seconds, value, push_gap) in pushes {
            track.push(seconds, value);
            if push_gap {
                track.push_gap();
            }
        }
        let judgement = track.classify();
        prop_assert!((0.0..=1.0).contains(&judgement.confidence));
        prop_assert!(track.points().len() <= 256);
    }

    #[test]
    fn joined_moments_keep_peak_trough_and_mean(values in prop::collection::vec(0_u32..1 << 30, 1..3000)) {
        let track = track(values.iter().map(|value| f64::from(*value)));
        let points = track.points();
        prop_assert!(points.len() <= 256);
        prop_assert!(points.windows(2).all(|pair| pair[0].seconds < pair[1].seconds));
        let highest = points.iter().map(|point| point.max).fold(0.0, f64::max);
        let lowest = points.iter().map(|point| point.min).fold(f64::MAX, f64::min);
        prop_assert_eq!(highest, f64::from(*values.iter().max().unwrap()));
        prop_assert_eq!(lowest, f64::from(*values.iter().min().unwrap()));
        prop_assert!(points.iter().all(|point| point.min <= point.mean && point.mean <= point.max));
        prop_assert_eq!(track.moments(), values.len() as u64);
    }
}
