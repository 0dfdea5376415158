//! Classifies the points of a series as growing, shrinking, steady or saw-tooth.

use common::record::TrendKind;
use common::trend::normal_tail;

use super::estimate::{TrendEstimate, TrendLine};
use super::point::{SeriesPoint, least_change, range, typical_size};
use super::rise::{MIN_POINTS, Rise, TOOTH_DEPTH, find_rise};
use super::sawtooth::find_sawtooth;

/// The shortest series that is judged: any program grows when it starts.
const MIN_SECONDS: f64 = 10.0;
/// A series with fewer points that changes, but does not clearly rise, is too short to be called steady.
const MIN_POINTS_FOR_STEADY: usize = 16;
/// The tests are approximations: no confidence is higher.
const MAX_CONFIDENCE: f64 = 0.999;
/// The least lean of a saw-tooth, see [`Sawtooth::lean`](super::sawtooth::Sawtooth::lean).
const MIN_LEAN: f64 = 0.25;

/// Classifies a series of `moments` values whose last is `last`, compacted to `points`.
#[must_use]
pub(super) fn classify(points: &[SeriesPoint], moments: u64, last: Option<f64>) -> TrendEstimate {
    let too_short = TrendEstimate { kind: TrendKind::TooShort, confidence: 0.0, line: None, last, moments };
    let seconds = points.first().zip(points.last()).map_or(0.0, |(first, last)| last.seconds - first.seconds);
    if points.len() < MIN_POINTS || seconds < MIN_SECONDS {
        return too_short;
    }
    let Some(rise) = find_rise(points) else { return too_short };
    let fall = || {
        let negated: Vec<SeriesPoint> = points.iter().map(|point| point.negated()).collect();
        find_rise(&negated).filter(|fall| fall.is_significant)
    };
    let (kind, confidence, line) = if rise.is_significant {
        (TrendKind::Growing, 1.0 - rise.p_value, rise.line)
    } else if let Some(fall) = fall() {
        (TrendKind::Shrinking, 1.0 - fall.p_value, fall.line.negated())
    } else {
        match classify_level(points, &rise) {
            TrendKind::TooShort => return too_short,
            kind => (kind, probability_of_little_change(points, seconds, &rise.line), rise.line),
        }
    };
    let confidence = if confidence.is_nan() { 0.0 } else { confidence.clamp(0.0, MAX_CONFIDENCE) };
    TrendEstimate { kind, confidence, line: Some(line), ..too_short }
}

/// Classifies a series that neither grows nor shrinks.
fn classify_level(points: &[SeriesPoint], rise: &Rise) -> TrendKind {
    let range = range(points);
    if range < least_change(points) {
        return TrendKind::Steady;
    }
    if find_sawtooth(points, range * TOOTH_DEPTH).is_some_and(|sawtooth| sawtooth.lean > MIN_LEAN) {
        return TrendKind::Sawtooth;
    }
    if points.len() < MIN_POINTS_FOR_STEADY && rise.p_value < 0.05 {
        TrendKind::TooShort
    } else {
        TrendKind::Steady
    }
}

/// The probability, by the slope's interval, that the size changes by less than a tenth in `seconds`.
fn probability_of_little_change(points: &[SeriesPoint], seconds: f64, line: &TrendLine) -> f64 {
    let little = (typical_size(points) / 10.0).max(least_change(points));
    let change = line.slope.per_second * seconds;
    // An interval of 95 % is 3.92 standard deviations wide.
    let deviation = (line.slope.high - line.slope.low) * seconds / 3.92;
    if deviation <= 0.0 {
        return f64::from(u8::from(change.abs() < little));
    }
    let below = |value: f64| normal_tail((change - value) / deviation);
    below(little) - below(-little)
}
