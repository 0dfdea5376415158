//! From the points of a series to what it does.

use common::record::Course;
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::Judgement;
use super::kendall::kendall;
use super::points::{Point, detrended, median};
use super::slope::{Slope, theil_sen};
use super::teeth::teeth;

/// Fewer moments say nothing.
const FEWEST: usize = 8;
/// Growth below so many bytes is none: a few pages.
const FEW_PAGES: f64 = 16.0 * 1024.0;
/// Growth below so much of the size is none.
const SMALL_SHARE: f64 = 0.01;
/// How many blocks of time are compared.
const BLOCKS: usize = 8;
/// The chance of a false alarm that each check allows.
const ALPHA: f64 = 0.005;

/// Judges a series of `moments` moments, of which `points` is what is left.
#[must_use]
pub fn judge(points: &[Point], moments: u64, last: Option<f64>) -> Judgement {
    let too_short = Judgement {
        course: Course::TooShort,
        confidence: 1.0,
        per_second: None,
        low: None,
        high: None,
        from_seconds: None,
        first: None,
        last,
        moments,
    };
    if points.len() < FEWEST {
        return too_short;
    }
    let Some(rise) = rise(points) else { return too_short };
    let mirrored: Vec<Point> = points.iter().map(|point| point.mirrored()).collect();
    let Some(fall) = self::rise(&mirrored) else { return too_short };
    let with = |course, confidence, found: &Rise| Judgement {
        course,
        confidence,
        per_second: Some(found.slope.per_second),
        low: Some(found.slope.low),
        high: Some(found.slope.high),
        from_seconds: Some(found.from),
        first: Some(found.first),
        ..too_short
    };
    if rise.p < ALPHA {
        return with(Course::Growing, 1.0 - rise.p, &rise);
    }
    if fall.p < ALPHA {
        let mirrored = Rise {
            slope: Slope { per_second: -fall.slope.per_second, low: -fall.slope.high, high: -fall.slope.low },
            first: -fall.first,
            ..fall
        };
        return with(Course::Shrinking, 1.0 - fall.p, &mirrored);
    }
    let low = points.iter().map(|p| p.min).fold(f64::INFINITY, f64::min);
    let high = points.iter().map(|p| p.max).fold(f64::NEG_INFINITY, f64::max);
    let toothed = (high - low >= floor(points))
        .then(|| teeth(points, (high - low) * 0.4))
        .flatten()
        .is_some_and(|teeth| teeth.lean > 0.3);
    with(if toothed { Course::SawTooth } else { Course::Steady }, rise.p.min(fall.p).clamp(0.0, 1.0), &rise)
}

/// A rise, and how likely chance made it.
#[derive(Debug, Clone, Copy)]
struct Rise {
    slope: Slope,
    from: f64,
    first: f64,
    /// The greatest chance of all checks; 1 if it is none for other reasons.
    p: f64,
}

/// The least growth that counts.
fn floor(points: &[Point]) -> f64 {
    let size = median(points.iter().map(|point| point.mean.abs())).unwrap_or(0.0);
    FEW_PAGES.max(size * SMALL_SHARE)
}

/// The rise behind the warm-up.
fn rise(points: &[Point]) -> Option<Rise> {
    let floor = floor(points);
    let mut found = None;
    for eighth in [0, 1, 2, 3, 4] {
        let window = points.get(points.len() * eighth / 8..).filter(|window| window.len() >= FEWEST)?;
        let (first, last) = (window.first()?, window.last()?);
        let plain = theil_sen(window, 1.0)?;
        let test = kendall(window, &detrended(window, plain.per_second));
        let slope = theil_sen(window, test.inflation)?;
        let half = window.len() / 2;
        let earlier = theil_sen(window.get(..half)?, 1.0)?.per_second;
        let later = theil_sen(window.get(half..)?, 1.0)?.per_second;
        let level = median(detrended(window, slope.per_second))?;
        let blocks = blocks(window, BLOCKS);
        let middles: Vec<f64> =
            blocks.iter().filter_map(|block| median(block.iter().map(|p| p.mean))).collect();
        let floors: Vec<f64> =
            blocks.iter().map(|block| block.iter().map(|p| p.min).fold(f64::INFINITY, f64::min)).collect();
        let growth = slope.per_second * (last.seconds - first.seconds);
        let goes_on = later > earlier * 0.5;
        let p = if growth >= floor && goes_on {
            test.p_rising.max(rising(&middles)).max(rising(&floors))
        } else {
            1.0
        };
        found = Some(Rise { slope, from: first.seconds, first: level, p });
        if goes_on {
            break;
        }
    }
    found
}

/// The points in so many runs of equal length, or nearly.
fn blocks(points: &[Point], count: usize) -> Vec<&[Point]> {
    (0..count)
        .filter_map(|i| points.get(points.len() * i / count..points.len() * (i + 1) / count))
        .filter(|block| !block.is_empty())
        .collect()
}

/// The chance that a random walk rises as steadily as these levels: Student's test on their steps (one side).
fn rising(levels: &[f64]) -> f64 {
    let steps: Vec<f64> = levels.windows(2).filter_map(|w| Some(w.last()? - w.first()?)).collect();
    let n = steps.len() as f64;
    if n < 2.0 {
        return 1.0;
    }
    let mean = steps.iter().sum::<f64>() / n;
    let variance = steps.iter().map(|step| (step - mean).powi(2)).sum::<f64>() / (n - 1.0);
    if mean <= 0.0 {
        return 1.0;
    }
    let t = mean / (variance / n).sqrt();
    if !t.is_finite() {
        return 0.0;
    }
    StudentsT::new(0.0, 1.0, n - 1.0).map_or(1.0, |student| student.sf(t))
}
