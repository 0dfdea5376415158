//! Whether a series rises behind its warm-up, and goes on rising.

use super::kendall::kendall;
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
const WARM_UPS: [usize; 5] = [0, 1, 2, 3, 4];
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
/// The same where only the troughs of a saw-tooth can be compared.
const TROUGHS_RISE: f64 = 0.005;
const BESIDE_TROUGHS: Chances = Chances { kendall: 0.05, middles: 0.2, floors: 1.0 };

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
    let mut settled = None;
    let mut latest = None;
    for eighths in WARM_UPS {
        let (warm_up, rest) = points.split_at_checked(points.len() * eighths / 8)?;
        if rest.len() < FEWEST {
            break;
        }
        let part = Part::new(rest)?;
        let large = part.slope.per_second * (last.seconds - first.seconds) >= least;
        if large && !part.is_tail_of(warm_up) {
            if let Some(chance) = part.chance_of_rise() {
                return part.rise(true, chance);
            }
        }
        let here = part.rise(false, part.kendall_chance);
        // The warm-up is over where what follows is level.
        let change = part.slope.per_second.abs() * (last.seconds - first.seconds);
        if settled.is_none() && change < least {
            settled = here;
        }
        latest = here;
    }
    settled.or(latest)
}

/// A series, or what of it comes behind a warm-up.
struct Part<'a> {
    points: &'a [Point],
    slope: Slope,
    detrended: Vec<f64>,
    kendall_chance: f64,
    inflation: f64,
    middles: Levels,
}

impl<'a> Part<'a> {
    fn new(points: &'a [Point]) -> Option<Self> {
        let slope = theil_sen(points, 1.0)?;
        let detrended = detrended(points, slope.per_second);
        // What is left of an exact line is the rounding of numbers, which has patterns that say nothing.
        let size = points.iter().map(|point| point.mean.abs()).fold(0.0, f64::max);
        let grain = f64::max(size * 1e-12, f64::MIN_POSITIVE);
        let residuals: Vec<f64> = detrended.iter().map(|left| (left / grain).round()).collect();
        let test = kendall(points, &residuals);
        let (kendall_chance, inflation) = (test.p_rising, test.inflation);
        let middles = Levels::middles(points);
        Some(Self { points, slope, detrended, kendall_chance, inflation, middles })
    }

    fn rise(&self, found: bool, chance: f64) -> Option<Rise> {
        let from = self.points.first()?.seconds;
        let slope = theil_sen(self.points, self.inflation)?;
        Some(Rise { found, chance, slope, from, first: median(self.detrended.iter().copied())? })
    }

    /// The chance of what the tests found, if they find a rise that goes on.
    fn chance_of_rise(&self) -> Option<f64> {
        let middles = self.middles.chance_of_rise();
        let passes = |limits: &Chances, floors: f64| {
            self.kendall_chance < limits.kendall && middles < limits.middles && floors < limits.floors
        };
        // The weakest conditions of all: whoever fails them needs no further test.
        if !passes(&BESIDE_TROUGHS, 0.0) || self.ratchets() < FEWEST_STEPS {
            return None;
        }
        let floors = Levels::floors(self.points).chance_of_rise();
        let steady = WAYS.iter().any(|way| passes(way, floors));
        if steady && self.middles.go_on() {
            return Some(self.kendall_chance.max(middles));
        }
        let troughs = self.troughs().filter(|troughs| troughs.len() >= TROUGHS)?;
        let levels = Levels::middles(&troughs);
        let chance = levels.chance_of_rise();
        (chance < TROUGHS_RISE && levels.go_on()).then(|| self.kendall_chance.max(chance))
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
