//! The value axis: ticks at round values.

use super::tick::Tick;
use crate::figure::{Figure, Unit};
use crate::format::{multiples, with_unit};

/// About as many ticks as an axis has at most.
const MAX_TICKS: f64 = 7.0;

/// Room above the highest value, as a share of the range.
const HEADROOM: f64 = 0.04;

/// A value axis.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueScale {
    /// The lower end.
    pub min: f64,
    /// The upper end.
    pub max: f64,
    /// Whether the axis is logarithmic.
    pub is_log: bool,
    /// Round values.
    pub ticks: Vec<Tick<f64>>,
}

impl ValueScale {
    /// The axis of a figure. `sums` are the heights of its stack, if it is stacked.
    pub fn for_figure(figure: &Figure, sums: impl IntoIterator<Item = f64>) -> Self {
        let single = figure.series.iter().filter(|_| !figure.stacked);
        let values = single.flat_map(|series| {
            let trend = series.trend.iter().flat_map(|trend| [trend.from, trend.to]);
            series.points().chain(trend).map(|point| point.value)
        });
        let (mut low, mut high, mut least_positive) = (f64::MAX, 0.0_f64, f64::MAX);
        for value in sums.into_iter().chain(values).filter(|value| value.is_finite()) {
            (low, high) = (low.min(value), high.max(value));
            if value > 0.0 {
                least_positive = least_positive.min(value);
            }
        }
        if !figure.log_scale {
            return Self::linear(figure.unit, low.min(high), high, low < 0.0);
        }
        let fallback = if figure.unit == Unit::Bytes { 64.0 } else { 1.0 };
        Self::log(figure.unit, if least_positive < f64::MAX { least_positive } else { fallback }, high)
    }

    /// A linear axis with room for 0 and `low` to `high`.
    pub fn linear(unit: Unit, low: f64, high: f64, signed: bool) -> Self {
        let (low, mut high) = (low.min(0.0), high.max(0.0));
        if low == 0.0 && high == 0.0 {
            high = 1.0;
        }
        let span = high - low;
        let step = step(unit, span / MAX_TICKS);
        let max = if high > 0.0 { high + span * HEADROOM } else { 0.0 };
        let min = if low < 0.0 { low - span * HEADROOM } else { 0.0 };
        let ticks = multiples_between(step, min, max);
        Self { min, max, is_log: false, ticks: labelled(unit, &ticks, signed) }
    }

    /// A logarithmic axis with room for `low` to `high`, both above 0.
    pub fn log(unit: Unit, low: f64, high: f64) -> Self {
        let base: f64 = if unit == Unit::Bytes { 2.0 } else { 10.0 };
        let low = if low > 0.0 { low } else { 1.0 };
        let exponent = |value: f64| value.log2() / base.log2();
        let first = (exponent(low) + 1e-9).floor();
        let last = (exponent(high.max(low)) - 1e-9).ceil().max(first + 1.0);
        let mut step = ((last - first) / MAX_TICKS).ceil().max(1.0);
        if unit == Unit::Bytes && step > 5.0 {
            step = (step / 10.0).ceil() * 10.0;
        }
        let exponents = multiples_between(step, first, last).into_iter();
        let ticks: Vec<f64> = exponents.map(|exponent| base.powf(exponent)).collect();
        let (min, max) = (base.powf(first), base.powf(last));
        Self { min, max, is_log: true, ticks: labelled(unit, &ticks, false) }
    }

    /// The position of a value on the axis, 0 to 1. Values that a logarithm does not have are at 0.
    pub fn fraction(&self, value: f64) -> f64 {
        let fraction = if self.is_log {
            (value.max(self.min) / self.min).log2() / (self.max / self.min).log2()
        } else {
            (value - self.min) / (self.max - self.min)
        };
        if fraction.is_finite() { fraction } else { 0.0 }
    }
}

/// The multiples of `step` from `min` to `max`, at most 32.
fn multiples_between(step: f64, min: f64, max: f64) -> Vec<f64> {
    let numbers = std::iter::successors(Some((min / step).ceil()), |number| Some(number + 1.0));
    numbers.map(|number| number * step).take_while(|value| *value <= max).take(32).collect()
}

/// The smallest round step of at least `least`: 1, 2, 4, … for bytes; 1, 2, 5, 10, … for counts.
fn step(unit: Unit, least: f64) -> f64 {
    match unit {
        Unit::Bytes => 2_f64.powf(least.max(1.0).log2().ceil()),
        Unit::Count => {
            let power = 10_f64.powf(least.max(1.0).log10().floor());
            // Tolerates rounding errors in the last bits.
            let is_enough = |step: &f64| *step >= least * (1.0 - 1e-9);
            [1.0, 2.0, 5.0].into_iter().map(|step| step * power).find(is_enough).unwrap_or(power * 10.0)
        }
    }
}

/// Ticks in one common unit, or each in its own if the common one needs more than three digits.
fn labelled(unit: Unit, ticks: &[f64], signed: bool) -> Vec<Tick<f64>> {
    let (names, factor) = multiples(unit);
    let unit_of = |value: f64| {
        let (mut rest, mut index) = (value, 0);
        while rest >= 1000.0 && index + 1 < names.len() {
            rest /= factor;
            index += 1;
        }
        (names.get(index).copied().unwrap_or_default(), value / rest)
    };
    let sizes = || ticks.iter().map(|tick| tick.abs()).filter(|size| *size > 0.0);
    let common = unit_of(sizes().fold(0.0, f64::max));
    let is_common = sizes().fold(f64::MAX, f64::min) >= common.1 / 8.0;
    let label = |at: f64| {
        if at == 0.0 {
            return "0".to_owned();
        }
        let (name, size) = if is_common { common } else { unit_of(at.abs()) };
        let number = (at.abs() / size * 1000.0).round() / 1000.0;
        let sign = match at {
            a if a < 0.0 => "−",
            _ if signed => "+",
            _ => "",
        };
        with_unit(&format!("{sign}{number}"), name)
    };
    ticks.iter().map(|&at| Tick { at, label: label(at) }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: f64 = 1_048_576.0;

    fn labels(scale: &ValueScale) -> Vec<&str> {
        scale.ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn byte_ticks_share_one_unit() {
        let scale = ValueScale::linear(Unit::Bytes, 0.0, 1200.0 * MIB, false);
        assert_eq!(labels(&scale), ["0", "0.25 GiB", "0.5 GiB", "0.75 GiB", "1 GiB"]);
        let scale = ValueScale::linear(Unit::Bytes, 0.0, 600.0 * MIB, false);
        assert_eq!(labels(&scale), ["0", "128 MiB", "256 MiB", "384 MiB", "512 MiB"]);
        assert_eq!(labels(&ValueScale::linear(Unit::Bytes, 0.0, 0.0, false)), ["0", "1 B"]);
    }

    #[test]
    fn signed_and_count_ticks() {
        let scale = ValueScale::linear(Unit::Bytes, -3.0 * MIB, 5.0 * MIB, true);
        assert_eq!(labels(&scale), ["−2 MiB", "0", "+2 MiB", "+4 MiB"]);
        let scale = ValueScale::linear(Unit::Count, 0.0, 23_000.0, false);
        assert_eq!(labels(&scale), ["0", "5 k", "10 k", "15 k", "20 k"]);
    }

    #[test]
    fn log_ticks_are_whole_powers() {
        let scale = ValueScale::log(Unit::Bytes, 3.0 * 1024.0, 900.0 * MIB);
        assert!(scale.is_log && scale.ticks.len() <= 8, "{scale:?}");
        assert_eq!(scale.fraction(0.0), 0.0);
        assert_eq!(labels(&ValueScale::log(Unit::Count, 1.0, 1000.0)), ["1", "10", "100", "1 k"]);
        assert!(ValueScale::log(Unit::Bytes, 5.0, 5.0).max > 5.0);
    }

    proptest! {
        #[test]
        fn tick_labels_are_distinct(low in -1e18_f64..1e18, span in 0.0_f64..1e19, bytes: bool) {
            let unit = if bytes { Unit::Bytes } else { Unit::Count };
            let scale = ValueScale::linear(unit, low, low + span, true);
            prop_assert!(scale.min <= low && scale.max >= low + span);
            let labels = labels(&scale);
            prop_assert!(!labels.is_empty() && labels.len() <= 10, "{:?}", labels);
            let mut once = labels.clone();
            once.sort_unstable();
            once.dedup();
            prop_assert_eq!(once.len(), labels.len(), "{:?}", labels);
        }

        #[test]
        fn scale_is_monotonic(a in 0.0_f64..1e15, b in 0.0_f64..1e15, log: bool) {
            let scale = if log { ValueScale::log(Unit::Bytes, 1.0, 1e15) } else { ValueScale::linear(Unit::Bytes, 0.0, 1e15, false) };
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(scale.fraction(low) <= scale.fraction(high));
            prop_assert!((0.0..=1.0).contains(&scale.fraction(low)));
        }
    }
}
