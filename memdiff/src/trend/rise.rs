//! Finds a rise that follows the warm-up of a series and continues to its end.

use common::trend::{Slope, mann_kendall, median, residuals, theil_sen, variance_factor};

use super::estimate::TrendLine;
use super::point::{SeriesPoint, least_change, means, range};
use super::sawtooth::find_sawtooth;
use super::segments::LevelSteps;

/// The fewest points that are judged.
pub(super) const MIN_POINTS: usize = 8;
/// The depth of a tooth of a saw-tooth, as a share of the range.
pub(super) const TOOTH_DEPTH: f64 = 0.4;

/// The warm-ups that are tried, in eighths of the time.
const WARM_UP_EIGHTHS: [u8; 5] = [0, 1, 2, 3, 4];
/// A rise is the end of a warm-up if the quarter of the points before it rose this many times as fast.
const WARM_UP_RATE_RATIO: f64 = 1.5;
/// With fewer points three eighths are compared instead of a quarter: the noise of a few points would hide a warm-up.
const SHORT_SERIES_POINTS: usize = 50;
/// A rise in fewer steps is chance: the largest requests so far, or levels that happened to be in order.
const MIN_STEPS: f64 = 4.0;
/// The fewest troughs of a saw-tooth that are compared.
const MIN_TROUGHS: usize = 4;

/// The p-values below which the tests find a rise. One row is enough: with a lower p-value of Mann and Kendall, less steady levels suffice.
///
/// Found on simulated series; `docs/benchmarks.md` has the rates of false alarms and detections.
const P_LIMITS: [PLimits; 3] = [
    PLimits { kendall: 0.05, medians: 0.015, minima: 0.05 },
    PLimits { kendall: 1e-4, medians: 0.04, minima: 0.1 },
    PLimits { kendall: 1e-8, medians: 0.08, minima: 0.2 },
];
/// The same for the troughs of a saw-tooth, beside the test of Mann and Kendall of the whole series.
const TROUGHS_P_LIMIT: f64 = 0.005;
const TROUGHS_KENDALL_P_LIMIT: f64 = 0.05;
/// Medians with a greater p-value are no rise.
const MEDIANS_P_LIMIT: f64 = 0.2;

struct PLimits {
    kendall: f64,
    medians: f64,
    minima: f64,
}

/// A line through a series, and whether it is a rise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rise {
    /// Whether the tests found a rise.
    pub(super) is_significant: bool,
    /// The greatest p-value of the tests that found the rise, otherwise that of Mann and Kendall.
    pub(super) p_value: f64,
    /// The line.
    pub(super) line: TrendLine,
}

impl Rise {
    /// Replaces the line by that after a longer warm-up if its slope is significantly lower: a rise can begin with the rest of a warm-up.
    fn with_later_slope(mut self, points: &[SeriesPoint]) -> Self {
        for eighths in WARM_UP_EIGHTHS {
            let rest = points.get(index_after(points, eighths)..).unwrap_or_default();
            let is_later =
                rest.len() >= MIN_POINTS && rest.first().is_some_and(|p| p.seconds > self.line.from_seconds);
            let later = is_later.then(|| Window::new(rest)?.rise(None)).flatten();
            if let Some(later) = later.filter(|later| later.line.slope.high < self.line.slope.low) {
                self.line = later.line;
            }
        }
        self
    }
}

/// Tries warm-ups, shortest first, and returns the first rise after one. Otherwise the line after the first warm-up that a level part
/// follows, or through the last part tried. `None` if there are too few points.
pub(super) fn find_rise(points: &[SeriesPoint]) -> Option<Rise> {
    let least = least_change(points);
    let (first, last) = (points.first()?, points.last()?);
    if range(points) < least {
        return Window::new(points)?.rise(None);
    }
    let mut level = None;
    let mut latest = None;
    for eighths in WARM_UP_EIGHTHS {
        let (warm_up, rest) = points.split_at_checked(index_after(points, eighths))?;
        if rest.len() < MIN_POINTS {
            break;
        }
        let window = Window::new(rest)?;
        let change = window.slope.per_second * (last.seconds - first.seconds);
        if change >= least
            && !window.is_end_of_warm_up(warm_up)
            && let Some(p_value) = window.rise_p_value()
        {
            return Some(window.rise(Some(p_value))?.with_later_slope(points));
        }
        if level.is_none() && change.abs() < least {
            level = Some(window);
        } else {
            latest = Some(window);
        }
    }
    level.or(latest)?.rise(None)
}

/// The index of the first point after this many eighths of the time. By time, as points may be denser at the beginning (PSS).
fn index_after(points: &[SeriesPoint], eighths: u8) -> usize {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return 0 };
    let until = first.seconds + (last.seconds - first.seconds) * f64::from(eighths) / 8.0;
    points.partition_point(|point| point.seconds < until)
}

/// The part of a series that follows a warm-up.
struct Window<'a> {
    points: &'a [SeriesPoint],
    means: Vec<(f64, f64)>,
    slope: Slope,
    residuals: Vec<f64>,
}

impl<'a> Window<'a> {
    fn new(points: &'a [SeriesPoint]) -> Option<Self> {
        let means = means(points);
        let slope = theil_sen(&means, 1.0)?;
        Some(Self { points, slope, residuals: residuals(&means, slope.per_second), means })
    }

    fn variance_factor(&self) -> f64 {
        // The residuals of an exact line are rounding errors, which have meaningless patterns.
        let size = self.means.iter().map(|(_, mean)| mean.abs()).fold(0.0, f64::max);
        let grain = f64::max(size * 1e-12, f64::MIN_POSITIVE);
        let rounded: Vec<f64> = self.residuals.iter().map(|residual| (residual / grain).round()).collect();
        variance_factor(&rounded)
    }

    /// The line of the window: a rise if the tests found one, with this p-value.
    fn rise(&self, p_value: Option<f64>) -> Option<Rise> {
        let factor = self.variance_factor();
        let line = TrendLine {
            slope: theil_sen(&self.means, factor)?,
            from_seconds: self.points.first()?.seconds,
            first: median(self.residuals.iter().copied())?,
        };
        let is_significant = p_value.is_some();
        Some(Rise {
            is_significant,
            p_value: p_value.unwrap_or_else(|| mann_kendall(&self.means, factor).p_rising),
            line,
        })
    }

    /// The greatest p-value of the tests, if they find a rise that continues.
    fn rise_p_value(&self) -> Option<f64> {
        let steps = LevelSteps::from_medians(self.points);
        let medians = steps.rise_p_value();
        // The weakest conditions, and the cheapest to test, come first.
        if medians >= MEDIANS_P_LIMIT || self.lasting_steps() < MIN_STEPS {
            return None;
        }
        let kendall = mann_kendall(&self.means, self.variance_factor()).p_rising;
        let minima = LevelSteps::from_minima(self.points).rise_p_value();
        let is_steady = P_LIMITS
            .iter()
            .any(|limits| kendall < limits.kendall && medians < limits.medians && minima < limits.minima);
        if is_steady && steps.keep_rising() {
            return Some(kendall.max(medians));
        }
        let troughs = self.troughs().filter(|troughs| troughs.len() >= MIN_TROUGHS)?;
        let steps = LevelSteps::from_medians(&troughs);
        let p_value = steps.rise_p_value();
        (p_value < TROUGHS_P_LIMIT && kendall < TROUGHS_KENDALL_P_LIMIT && steps.keep_rising())
            .then(|| kendall.max(p_value))
    }

    /// The effective number of steps to levels below which the series never fell again: equal steps count 1 each, small ones beside a large one less.
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

    /// The troughs of the saw-tooth around the slope.
    fn troughs(&self) -> Option<Vec<SeriesPoint>> {
        let origin = self.points.first()?.seconds;
        let line = |seconds: f64| self.slope.per_second * (seconds - origin);
        let flat: Vec<SeriesPoint> =
            self.points.iter().map(|point| point.shifted(-line(point.seconds))).collect();
        let highest = flat.iter().map(|point| point.mean).fold(f64::NEG_INFINITY, f64::max);
        let lowest = flat.iter().map(|point| point.mean).fold(f64::INFINITY, f64::min);
        let sawtooth = find_sawtooth(&flat, (highest - lowest) * TOOTH_DEPTH)?;
        Some(sawtooth.troughs.iter().map(|trough| trough.shifted(line(trough.seconds))).collect())
    }

    /// Whether the points just before rose significantly faster, as they do on the way to a bound and in logarithmic growth.
    fn is_end_of_warm_up(&self, warm_up: &[SeriesPoint]) -> bool {
        let all = warm_up.len() + self.points.len();
        let reach = if all < SHORT_SERIES_POINTS { all * 3 / 8 } else { all / 4 };
        let before = warm_up.get(warm_up.len().saturating_sub(reach)..).unwrap_or_default();
        let here = self.slope.per_second;
        theil_sen(&means(before), 1.0)
            .is_some_and(|before| before.per_second > here * WARM_UP_RATE_RATIO && before.low > here)
    }
}
