//! Whether a series rises behind its warm-up, and goes on rising.

use super::kendall::{Kendall, kendall};
use super::levels::Levels;
use super::points::{Point, detrended, median};
use super::slope::{Slope, theil_sen};
use super::teeth::teeth;

/// Fewer points say nothing.
pub const FEWEST: usize = 8;
/// Growth of less than a few pages is none, in bytes.
const FEW_PAGES: f64 = 16.0 * 1024.0;
/// Growth of less than this share of the size is none.
const SMALL_SHARE: f64 = 0.01;

/// Warm-ups that are tried, in eighths of the log: what comes behind is judged.
const WARM_UPS: [u8; 5] = [0, 1, 2, 3, 4];
/// A rise is the end of a warm-up if the quarter of the log before it rose so many times as fast; of a short log three eighths, or the noise of a few
/// points would hide it.
const FASTER: f64 = 1.5;
/// Fewer points make a short log.
const SHORT: usize = 50;
/// A fall by this share of the range, and a rise by as much again, make a tooth.
pub const TOOTH: f64 = 0.4;
/// In fewer steps a rise is a handful of chances: largest requests so far, levels that happened to be in order.
const FEWEST_STEPS: f64 = 4.0;
/// So many troughs can be compared.
const TROUGHS: usize = 4;

/// The chances below which the tests speak of a rise, in three ways of equal worth: the less doubt Kendall's test leaves, the less steadily need the
/// levels rise. Found on simulated series; `docs/benchmarks.md` has what they lead to.
const WAYS: [Chances; 3] = [
    Chances { kendall: 0.05, middles: 0.015, floors: 0.05 },
    Chances { kendall: 1e-4, middles: 0.04, floors: 0.1 },
    Chances { kendall: 1e-8, middles: 0.08, floors: 0.2 },
];
/// The chance below which the troughs of a saw-tooth rise, and those that Kendall's test and the medians of the stretches leave beside them.
const TROUGHS_RISE: f64 = 0.005;
const KENDALL_BESIDE: f64 = 0.05;
const MIDDLES_BESIDE: f64 = 0.2;

#[derive(Debug, Clone, Copy)]
struct Chances {
    kendall: f64,
    middles: f64,
    floors: f64,
}

/// What a series does from `from` on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rise {
    /// Whether it rises, or chance may have made it.
    pub found: bool,
    /// The chance that there is no rise: the greatest of the tests that spoke for it, else Kendall's.
    pub chance: f64,
    /// The slope, its interval widened for autocorrelation.
    pub slope: Slope,
    /// Where the judged part begins.
    pub from: f64,
    /// The level of the line there.
    pub first: f64,
}

impl Rise {
    /// The same with the rate of what comes behind a longer warm-up, if that is lower for certain: the rest of a warm-up can hide in a rise.
    fn slowed(self, points: &[Point]) -> Self {
        let mut rise = self;
        for eighths in WARM_UPS {
            let rest = points.get(behind(points, eighths)..).unwrap_or_default();
            let is_later =
                rest.len() >= FEWEST && rest.first().is_some_and(|point| point.seconds > rise.from);
            let later = is_later.then(|| Part::new(rest)?.rise(None)).flatten();
            if let Some(later) = later.filter(|later| later.slope.high < rise.slope.low) {
                rise = Self { slope: later.slope, from: later.from, first: later.first, ..rise };
            }
        }
        rise
    }

    /// Of a series that was turned upside down, as it was.
    pub fn mirrored(self) -> Self {
        let slope =
            Slope { per_second: -self.slope.per_second, low: -self.slope.high, high: -self.slope.low };
        Self { slope, first: -self.first, ..self }
    }
}

/// The least change over the whole log that counts.
pub fn least_change(points: &[Point]) -> f64 {
    let size = median(points.iter().map(|point| point.mean.abs())).unwrap_or(0.0);
    FEW_PAGES.max(size * SMALL_SHARE)
}

/// The rise behind the shortest warm-up behind which there is one; where there is none, what the series does behind the shortest
/// warm-up behind which it is level, or in the second half. `None` if there are too few points.
pub fn rise(points: &[Point]) -> Option<Rise> {
    let least = least_change(points);
    let (first, last) = (points.first()?, points.last()?);
    let range = highest(points) - lowest(points);
    if range < least {
        return Part::new(points)?.rise(None);
    }
    let mut settled = None;
    let mut latest = None;
    for eighths in WARM_UPS {
        let (warm_up, rest) = points.split_at_checked(behind(points, eighths))?;
        if rest.len() < FEWEST {
            break;
        }
        let part = Part::new(rest)?;
        let change = part.slope.per_second * (last.seconds - first.seconds);
        if change >= least
            && !part.is_tail_of(warm_up)
            && let Some(chance) = part.chance_of_rise()
        {
            return part.rise(Some(chance)).map(|rise| rise.slowed(points));
        }
        // The warm-up is over where what follows is level.
        if settled.is_none() && change.abs() < least {
            settled = Some(part);
        } else {
            latest = Some(part);
        }
    }
    settled.or(latest)?.rise(None)
}

/// The index of the first point behind so many eighths of the time: points may be denser at the beginning, as those of PSS are.
fn behind(points: &[Point], eighths: u8) -> usize {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return 0 };
    let until = first.seconds + (last.seconds - first.seconds) * f64::from(eighths) / 8.0;
    points.partition_point(|point| point.seconds < until)
}

fn highest(points: &[Point]) -> f64 {
    points.iter().map(|point| point.max).fold(f64::NEG_INFINITY, f64::max)
}

fn lowest(points: &[Point]) -> f64 {
    points.iter().map(|point| point.min).fold(f64::INFINITY, f64::min)
}

/// A series, or what of it comes behind a warm-up.
struct Part<'a> {
    points: &'a [Point],
    slope: Slope,
    detrended: Vec<f64>,
}

impl<'a> Part<'a> {
    fn new(points: &'a [Point]) -> Option<Self> {
        let slope = theil_sen(points, 1.0)?;
        Some(Self { points, slope, detrended: detrended(points, slope.per_second) })
    }

    fn kendall(&self) -> Kendall {
        // What is left of an exact line is the rounding of numbers, which has patterns that say nothing.
        let size = self.points.iter().map(|point| point.mean.abs()).fold(0.0, f64::max);
        let grain = f64::max(size * 1e-12, f64::MIN_POSITIVE);
        let residuals: Vec<f64> = self.detrended.iter().map(|left| (left / grain).round()).collect();
        kendall(self.points, &residuals)
    }

    /// The slope as a rise, if there is a chance that the tests gave it.
    fn rise(&self, chance: Option<f64>) -> Option<Rise> {
        let from = self.points.first()?.seconds;
        let test = self.kendall();
        let slope = theil_sen(self.points, test.inflation)?;
        let first = median(self.detrended.iter().copied())?;
        Some(Rise { found: chance.is_some(), chance: chance.unwrap_or(test.p_rising), slope, from, first })
    }

    /// The chance of what the tests found, if they find a rise that goes on.
    fn chance_of_rise(&self) -> Option<f64> {
        let levels = Levels::middles(self.points);
        let middles = levels.chance_of_rise();
        // The weakest conditions of all, and the cheapest to test.
        if middles >= MIDDLES_BESIDE || self.ratchets() < FEWEST_STEPS {
            return None;
        }
        let kendall = self.kendall().p_rising;
        let passes = |limits: &Chances, floors: f64| {
            kendall < limits.kendall && middles < limits.middles && floors < limits.floors
        };
        let floors = Levels::floors(self.points).chance_of_rise();
        let steady = WAYS.iter().any(|way| passes(way, floors));
        if steady && levels.go_on() {
            return Some(kendall.max(middles));
        }
        let troughs = self.troughs().filter(|troughs| troughs.len() >= TROUGHS)?;
        let levels = Levels::middles(&troughs);
        let chance = levels.chance_of_rise();
        (chance < TROUGHS_RISE && kendall < KENDALL_BESIDE && levels.go_on()).then(|| kendall.max(chance))
    }

    /// In how many steps, were they equal, the level rose to which it never fell back.
    fn ratchets(&self) -> f64 {
        let mut lowest = f64::INFINITY;
        let (mut sum, mut squares) = (0.0, 0.0);
        for point in self.points.iter().rev() {
            if point.min < lowest {
                if lowest.is_finite() {
                    let step = lowest - point.min;
                    sum += step;
                    squares += step * step;
                }
                lowest = point.min;
            }
        }
        if squares > 0.0 { sum * sum / squares } else { 0.0 }
    }

    /// The troughs of the teeth that stand on the slope.
    fn troughs(&self) -> Option<Vec<Point>> {
        let origin = self.points.first()?.seconds;
        let line = |seconds: f64| self.slope.per_second * (seconds - origin);
        let flat: Vec<Point> = self.points.iter().map(|point| point.raised(-line(point.seconds))).collect();
        let highest = flat.iter().map(|point| point.mean).fold(f64::NEG_INFINITY, f64::max);
        let lowest = flat.iter().map(|point| point.mean).fold(f64::INFINITY, f64::min);
        let teeth = teeth(&flat, (highest - lowest) * TOOTH)?;
        Some(teeth.troughs.iter().map(|trough| trough.raised(line(trough.seconds))).collect())
    }

    /// Whether it is likely to be the end of the warm-up before it: what came just before rose faster for certain, as it does on the way to a bound and
    /// where growth dies down like a logarithm.
    fn is_tail_of(&self, warm_up: &[Point]) -> bool {
        let all = warm_up.len() + self.points.len();
        let reach = if all < SHORT { all * 3 / 8 } else { all / 4 };
        let before = warm_up.get(warm_up.len().saturating_sub(reach)..).and_then(|w| theil_sen(w, 1.0));
        let here = self.slope.per_second;
        before.is_some_and(|before| before.per_second > here * FASTER && before.low > here)
    }
}
