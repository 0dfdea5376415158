//! Whether a series rises behind its warm-up, and goes on rising.

use super::kendall::{Kendall, kendall};
use super::point::{SeriesPoint, detrended, median};
use super::sawtooth::find_sawtooth;
use super::segments::SegmentLevels;
use super::slope::{Slope, theil_sen};

/// Fewer points say nothing.
pub const MIN_POINTS: usize = 8;
/// Growth of less than a few pages is none, in bytes.
const MIN_CHANGE_BYTES: f64 = 16.0 * 1024.0;
/// Growth of less than this share of the size is none.
const MIN_CHANGE_RATIO: f64 = 0.01;

/// Warm-ups that are tried, in eighths of the log: what comes behind is judged.
const WARM_UPS: [u8; 5] = [0, 1, 2, 3, 4];
/// A rise is the end of a warm-up if the quarter of the log before it rose so many times as fast; of a short log three eighths, or the noise of a few
/// points would hide it.
const WARM_UP_RATE_RATIO: f64 = 1.5;
/// Fewer points make a short log.
const SHORT_LOG_POINTS: usize = 50;
/// A fall by this share of the range, and a rise by as much again, make a tooth.
pub const TOOTH_DEPTH: f64 = 0.4;
/// In fewer steps a rise is a handful of chances: largest requests so far, levels that happened to be in order.
const MIN_STEPS: f64 = 4.0;
/// So many troughs can be compared.
const MIN_TROUGHS: usize = 4;

/// The chances below which the tests speak of a rise, in three ways of equal worth: the less doubt Kendall's test leaves, the less steadily need the
/// levels rise. Found on simulated series; `docs/benchmarks.md` has what they lead to.
const CRITERIA: [PValueLimits; 3] = [
    PValueLimits { kendall: 0.05, medians: 0.015, minima: 0.05 },
    PValueLimits { kendall: 1e-4, medians: 0.04, minima: 0.1 },
    PValueLimits { kendall: 1e-8, medians: 0.08, minima: 0.2 },
];
/// The chance below which the troughs of a saw-tooth rise, and those that Kendall's test and the medians of the stretches leave beside them.
const TROUGH_P_LIMIT: f64 = 0.005;
const TROUGH_KENDALL_P_LIMIT: f64 = 0.05;
const MEDIANS_P_LIMIT: f64 = 0.2;

#[derive(Debug, Clone, Copy)]
struct PValueLimits {
    kendall: f64,
    medians: f64,
    minima: f64,
}

/// What a series does from `from` on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rise {
    /// Whether it rises, or chance may have made it.
    pub found: bool,
    /// The chance that there is no rise: the greatest of the tests that spoke for it, else Kendall's.
    pub p_value: f64,
    /// The slope, its interval widened for autocorrelation.
    pub slope: Slope,
    /// Where the judged part begins.
    pub from: f64,
    /// The level of the line there.
    pub first: f64,
}

impl Rise {
    /// The same with the rate of what comes behind a longer warm-up, if that is lower for certain: the rest of a warm-up can hide in a rise.
    fn with_later_rate(self, points: &[SeriesPoint]) -> Self {
        let mut find_rise = self;
        for eighths in WARM_UPS {
            let rest = points.get(start_after(points, eighths)..).unwrap_or_default();
            let is_later =
                rest.len() >= MIN_POINTS && rest.first().is_some_and(|point| point.seconds > find_rise.from);
            let later = is_later.then(|| Window::new(rest)?.find_rise(None)).flatten();
            if let Some(later) = later.filter(|later| later.slope.high < find_rise.slope.low) {
                find_rise = Self { slope: later.slope, from: later.from, first: later.first, ..find_rise };
            }
        }
        find_rise
    }

    /// Of a series that was turned upside down, as it was.
    pub fn negated(self) -> Self {
        let slope =
            Slope { per_second: -self.slope.per_second, low: -self.slope.high, high: -self.slope.low };
        Self { slope, first: -self.first, ..self }
    }
}

/// The least change over the whole log that counts.
pub fn least_change(points: &[SeriesPoint]) -> f64 {
    let size = median(points.iter().map(|point| point.mean.abs())).unwrap_or(0.0);
    MIN_CHANGE_BYTES.max(size * MIN_CHANGE_RATIO)
}

/// The rise behind the shortest warm-up behind which there is one; where there is none, what the series does behind the shortest
/// warm-up behind which it is level, or in the second half. `None` if there are too few points.
pub fn find_rise(points: &[SeriesPoint]) -> Option<Rise> {
    let least = least_change(points);
    let (first, last) = (points.first()?, points.last()?);
    let range = highest(points) - lowest(points);
    if range < least {
        return Window::new(points)?.find_rise(None);
    }
    let mut settled = None;
    let mut latest = None;
    for eighths in WARM_UPS {
        let (warm_up, rest) = points.split_at_checked(start_after(points, eighths))?;
        if rest.len() < MIN_POINTS {
            break;
        }
        let part = Window::new(rest)?;
        let change = part.slope.per_second * (last.seconds - first.seconds);
        if change >= least
            && !part.is_end_of_warm_up(warm_up)
            && let Some(p_value) = part.rise_p_value()
        {
            return part.find_rise(Some(p_value)).map(|find_rise| find_rise.with_later_rate(points));
        }
        // The warm-up is over where what follows is level.
        if settled.is_none() && change.abs() < least {
            settled = Some(part);
        } else {
            latest = Some(part);
        }
    }
    settled.or(latest)?.find_rise(None)
}

/// The index of the first point behind so many eighths of the time: points may be denser at the beginning, as those of PSS are.
fn start_after(points: &[SeriesPoint], eighths: u8) -> usize {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return 0 };
    let until = first.seconds + (last.seconds - first.seconds) * f64::from(eighths) / 8.0;
    points.partition_point(|point| point.seconds < until)
}

fn highest(points: &[SeriesPoint]) -> f64 {
    points.iter().map(|point| point.max).fold(f64::NEG_INFINITY, f64::max)
}

fn lowest(points: &[SeriesPoint]) -> f64 {
    points.iter().map(|point| point.min).fold(f64::INFINITY, f64::min)
}

/// A series, or what of it comes behind a warm-up.
struct Window<'a> {
    points: &'a [SeriesPoint],
    slope: Slope,
    detrended: Vec<f64>,
}

impl<'a> Window<'a> {
    fn new(points: &'a [SeriesPoint]) -> Option<Self> {
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
    fn find_rise(&self, p_value: Option<f64>) -> Option<Rise> {
        let from = self.points.first()?.seconds;
        let test = self.kendall();
        let slope = theil_sen(self.points, test.inflation)?;
        let first = median(self.detrended.iter().copied())?;
        Some(Rise { found: p_value.is_some(), p_value: p_value.unwrap_or(test.p_rising), slope, from, first })
    }

    /// The chance of what the tests found, if they find a rise that goes on.
    fn rise_p_value(&self) -> Option<f64> {
        let levels = SegmentLevels::medians(self.points);
        let medians = levels.rise_p_value();
        // The weakest conditions of all, and the cheapest to test.
        if medians >= MEDIANS_P_LIMIT || self.lasting_steps() < MIN_STEPS {
            return None;
        }
        let kendall = self.kendall().p_rising;
        let passes = |limits: &PValueLimits, minima: f64| {
            kendall < limits.kendall && medians < limits.medians && minima < limits.minima
        };
        let minima = SegmentLevels::minima(self.points).rise_p_value();
        let steady = CRITERIA.iter().any(|way| passes(way, minima));
        if steady && levels.keeps_rising() {
            return Some(kendall.max(medians));
        }
        let troughs = self.troughs().filter(|troughs| troughs.len() >= MIN_TROUGHS)?;
        let levels = SegmentLevels::medians(&troughs);
        let p_value = levels.rise_p_value();
        (p_value < TROUGH_P_LIMIT && kendall < TROUGH_KENDALL_P_LIMIT && levels.keeps_rising())
            .then(|| kendall.max(p_value))
    }

    /// In how many steps, were they equal, the level rose to which it never fell back.
    fn lasting_steps(&self) -> f64 {
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
    fn troughs(&self) -> Option<Vec<SeriesPoint>> {
        let origin = self.points.first()?.seconds;
        let line = |seconds: f64| self.slope.per_second * (seconds - origin);
        let flat: Vec<SeriesPoint> =
            self.points.iter().map(|point| point.shifted(-line(point.seconds))).collect();
        let highest = flat.iter().map(|point| point.mean).fold(f64::NEG_INFINITY, f64::max);
        let lowest = flat.iter().map(|point| point.mean).fold(f64::INFINITY, f64::min);
        let find_sawtooth = find_sawtooth(&flat, (highest - lowest) * TOOTH_DEPTH)?;
        Some(find_sawtooth.troughs.iter().map(|trough| trough.shifted(line(trough.seconds))).collect())
    }

    /// Whether it is likely to be the end of the warm-up before it: what came just before rose faster for certain, as it does on the way to a bound and
    /// where growth dies down like a logarithm.
    fn is_end_of_warm_up(&self, warm_up: &[SeriesPoint]) -> bool {
        let all = warm_up.len() + self.points.len();
        let reach = if all < SHORT_LOG_POINTS { all * 3 / 8 } else { all / 4 };
        let before = warm_up.get(warm_up.len().saturating_sub(reach)..).and_then(|w| theil_sen(w, 1.0));
        let here = self.slope.per_second;
        before.is_some_and(|before| before.per_second > here * WARM_UP_RATE_RATIO && before.low > here)
    }
}
