use common::record::Course;

use super::*;

fn judged(values: impl IntoIterator<Item = f64>) -> Judgement {
    let mut track = Track::new();
    for (second, value) in values.into_iter().enumerate() {
        track.push(second as f64, value);
    }
    track.judge()
}

#[test]
fn a_line_grows_at_its_slope() {
    for moments in [20, 60, 200, 1000, 5000] {
        let judgement = judged((0..moments).map(|i| 1e8 + 1e6 * f64::from(i)));
        assert_eq!(judgement.course, Course::Growing, "{moments}");
        assert!((judgement.per_second.unwrap() - 1e6).abs() < 1.0, "{judgement:?}");
        assert_eq!(judgement.moments, moments as u64);
        assert!(judgement.confidence > 0.99);
    }
}

#[test]
fn what_stands_still_is_steady_and_what_falls_shrinks() {
    assert_eq!(judged((0..100).map(|_| 5e7)).course, Course::Steady);
    assert_eq!(judged((0..100).map(|i| 5e8 - 1e6 * f64::from(i))).course, Course::Shrinking);
}

#[test]
fn a_few_moments_say_nothing() {
    assert_eq!(judged([]).course, Course::TooShort);
    assert_eq!(judged((0..7).map(|i| 1e6 * f64::from(i))).course, Course::TooShort);
}
