//! From the points of a series to what it does.

use common::record::TrendKind;
use statrs::function::erf::erfc;

use super::TrendEstimate;
use super::point::{SeriesPoint, median};
use super::rise::{MIN_POINTS, Rise, TOOTH_DEPTH, find_rise, least_change};
use super::sawtooth::find_sawtooth;

/// A shorter log says nothing, in seconds: any program grows when it starts.
const MIN_SECONDS: f64 = 10.0;
/// With fewer moments, what changes but shows no clear rise is not called steady.
const MIN_POINTS_FOR_STEADY: usize = 16;
/// No test of some moments is surer than this.
const MAX_CONFIDENCE: f64 = 0.999;
/// How strongly a saw-tooth leans: it rises in more steps than it falls in by this share of all.
const SAWTOOTH_LEAN: f64 = 0.25;

/// Judges a series of `moments` moments whose last value is `last`, of which `points` are left.
#[must_use]
pub fn classify(points: &[SeriesPoint], moments: u64, last: Option<f64>) -> TrendEstimate {
    let unsaid = TrendEstimate {
        kind: TrendKind::TooShort,
        confidence: 0.0,
        per_second: None,
        low: None,
        high: None,
        from_seconds: None,
        first: None,
        last,
        moments,
    };
    let span = points.first().zip(points.last()).map_or(0.0, |(first, last)| last.seconds - first.seconds);
    if points.len() < MIN_POINTS || span < MIN_SECONDS {
        return unsaid;
    }
    let Some(up) = find_rise(points) else { return unsaid };
    let (kind, found) = if up.found {
        (TrendKind::Growing, up)
    } else {
        let negated: Vec<SeriesPoint> = points.iter().map(|point| point.negated()).collect();
        match find_rise(&negated).map(Rise::negated).filter(|down| down.found) {
            Some(down) => (TrendKind::Shrinking, down),
            None => (classify_level(points, &up), up),
        }
    };
    let confidence = match kind {
        TrendKind::Growing | TrendKind::Shrinking => 1.0 - found.p_value,
        TrendKind::Steady | TrendKind::SawTooth => probability_of_little_change(points, span, &found),
        TrendKind::TooShort => return unsaid,
    };
    TrendEstimate {
        kind,
        // What is no number is no confidence.
        confidence: if confidence.is_nan() { 0.0 } else { confidence.clamp(0.0, MAX_CONFIDENCE) },
        per_second: Some(found.slope.per_second),
        low: Some(found.slope.low),
        high: Some(found.slope.high),
        from_seconds: Some(found.from),
        first: Some(found.first),
        ..unsaid
    }
}

/// What a series does that neither grows nor shrinks.
fn classify_level(points: &[SeriesPoint], found: &Rise) -> TrendKind {
    let highest = points.iter().map(|point| point.max).fold(f64::NEG_INFINITY, f64::max);
    let lowest = points.iter().map(|point| point.min).fold(f64::INFINITY, f64::min);
    let range = highest - lowest;
    if range < least_change(points) {
        return TrendKind::Steady;
    }
    if find_sawtooth(points, range * TOOTH_DEPTH)
        .is_some_and(|find_sawtooth| find_sawtooth.lean > SAWTOOTH_LEAN)
    {
        return TrendKind::SawTooth;
    }
    if points.len() < MIN_POINTS_FOR_STEADY && found.p_value < 0.05 {
        TrendKind::TooShort
    } else {
        TrendKind::Steady
    }
}

/// The chance that in `seconds`, as long a time again, it changes by less than a tenth of its size, as the interval of the slope tells.
fn probability_of_little_change(points: &[SeriesPoint], seconds: f64, found: &Rise) -> f64 {
    let size = median(points.iter().map(|point| point.mean.abs())).unwrap_or(0.0);
    let little = (size / 10.0).max(least_change(points));
    let change = found.slope.per_second * seconds;
    // An interval of 95 % is 3.92 deviations wide.
    let deviation = (found.slope.high - found.slope.low) * seconds / 3.92;
    if deviation <= 0.0 {
        return f64::from(u8::from(change.abs() < little));
    }
    let below = |value: f64| erfc((change - value) / deviation / std::f64::consts::SQRT_2) / 2.0;
    below(little) - below(-little)
}
