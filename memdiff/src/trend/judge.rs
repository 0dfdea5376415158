//! From the points of a series to what it does.

use common::record::Course;
use statrs::function::erf::erfc;

use super::Judgement;
use super::points::{Point, median};
use super::rise::{FEWEST, Rise, TOOTH, least_change, rise};
use super::teeth::teeth;

/// A shorter log says nothing, in seconds: any program grows when it starts.
const SHORTEST: f64 = 10.0;
/// With fewer moments, what changes but shows no clear rise is not called steady.
const FEW: usize = 16;
/// No test of some moments is surer than this.
const SUREST: f64 = 0.999;
/// How strongly a saw-tooth leans: it rises in more steps than it falls in by this share of all.
const LEAN: f64 = 0.25;

/// Judges a series of `moments` moments whose last value is `last`, of which `points` are left.
#[must_use]
pub fn judge(points: &[Point], moments: u64, last: Option<f64>) -> Judgement {
    let unsaid = Judgement {
        course: Course::TooShort,
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
    if points.len() < FEWEST || span < SHORTEST {
        return unsaid;
    }
    let mirrored: Vec<Point> = points.iter().map(|point| point.mirrored()).collect();
    let Some((up, down)) = rise(points).zip(rise(&mirrored).map(Rise::mirrored)) else { return unsaid };
    let (course, found) = match (up.found, down.found) {
        (true, _) => (Course::Growing, up),
        (false, true) => (Course::Shrinking, down),
        (false, false) => (level(points, &up), up),
    };
    let confidence = match course {
        Course::Growing | Course::Shrinking => 1.0 - found.chance,
        Course::Steady | Course::SawTooth => chance_of_little(points, span, &found),
        Course::TooShort => return unsaid,
    };
    Judgement {
        course,
        confidence: confidence.clamp(0.0, SUREST),
        per_second: Some(found.slope.per_second),
        low: Some(found.slope.low),
        high: Some(found.slope.high),
        from_seconds: Some(found.from),
        first: Some(found.first),
        ..unsaid
    }
}

/// What a series does that neither grows nor shrinks.
fn level(points: &[Point], found: &Rise) -> Course {
    let highest = points.iter().map(|point| point.max).fold(f64::NEG_INFINITY, f64::max);
    let lowest = points.iter().map(|point| point.min).fold(f64::INFINITY, f64::min);
    let range = highest - lowest;
    if range < least_change(points) {
        return Course::Steady;
    }
    if teeth(points, range * TOOTH).is_some_and(|teeth| teeth.lean > LEAN) {
        return Course::SawTooth;
    }
    if points.len() < FEW && found.chance < 0.05 { Course::TooShort } else { Course::Steady }
}

/// The chance that in `seconds`, as long a time again, it changes by less than a tenth of its size, as the interval of the slope tells.
fn chance_of_little(points: &[Point], seconds: f64, found: &Rise) -> f64 {
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
