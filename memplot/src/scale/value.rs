//! The axis of values: from 0, in steps that people count in.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged};

use super::{Tick, interpolate};
use crate::figure::Unit;

/// Hairlines beyond these are too many.
const MAX_TICKS: f64 = 7.0;

/// Room above the highest value, as a share of it.
const HEADROOM: f64 = 0.04;

const BYTES: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
const COUNTS: [&str; 5] = ["", "k", "M", "G", "T"];

/// An axis of values.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueScale {
    /// The lower end.
    pub min: f64,
    /// The upper end.
    pub max: f64,
    /// Whether equal distances are equal factors.
    pub is_log: bool,
    /// Where hairlines are.
    pub ticks: Vec<Tick<f64>>,
}

impl ValueScale {
    /// An axis with room for `low` to `high`, from 0 or to it.
    #[must_use]
    pub fn linear(unit: Unit, low: f64, high: f64, signed: bool) -> Self {
        let (low, mut high) = (low.min(0.0), high.max(0.0));
        if low == 0.0 && high == 0.0 {
            high = 1.0;
        }
        let span = high - low;
        let step = step(unit, span / MAX_TICKS);
        let max = if high > 0.0 { high + span * HEADROOM } else { 0.0 };
        let min = if low < 0.0 { low - span * HEADROOM } else { 0.0 };
        let mut ticks = Vec::new();
        let mut number = (min / step).ceil();
        // Bounded: a step is at least a seventh of the span.
        while number * step <= max && ticks.len() < 32 {
            ticks.push(number * step);
            number += 1.0;
        }
        Self { min, max, is_log: false, ticks: tick_labels(unit, &ticks, signed) }
    }

    /// An axis with room for `low` to `high`, both above 0, in equal factors.
    #[must_use]
    pub fn log(unit: Unit, low: f64, high: f64) -> Self {
        let base: f64 = if unit == Unit::Bytes { 2.0 } else { 10.0 };
        let low = if low > 0.0 { low } else { 1.0 };
        let high = high.max(low);
        let first = (low.log2() / base.log2() + 1e-9).floor();
        let mut last = (high.log2() / base.log2() - 1e-9).ceil();
        if last <= first {
            last = first + 1.0;
        }
        let mut factor = ((last - first) / MAX_TICKS).ceil().max(1.0);
        if unit == Unit::Bytes && factor > 5.0 {
            factor = (factor / 10.0).ceil() * 10.0;
        }
        let mut ticks = Vec::new();
        let mut power = (first / factor).ceil() * factor;
        while power <= last && ticks.len() < 32 {
            ticks.push(base.powf(power));
            power += factor;
        }
        Self {
            min: base.powf(first),
            max: base.powf(last),
            is_log: true,
            ticks: tick_labels(unit, &ticks, false),
        }
    }

    /// How far up a value is, 0 to 1. What a logarithm has no place for is at the bottom.
    #[must_use]
    pub fn fraction(&self, value: f64) -> f64 {
        let part = if self.is_log {
            (value.max(self.min) / self.min).log2() / (self.max / self.min).log2()
        } else {
            (value - self.min) / (self.max - self.min)
        };
        if part.is_finite() { part } else { 0.0 }
    }
}

/// The smallest step that is no smaller than `least`: 1, 2, 4, … for bytes, 1, 2, 5, 10, … for counts.
fn step(unit: Unit, least: f64) -> f64 {
    match unit {
        Unit::Bytes => 2_f64.powf(least.max(1.0).log2().ceil()),
        Unit::Count => {
            let power = 10_f64.powf(least.max(1.0).log10().floor());
            let steps = [1.0, 2.0, 5.0, 10.0];
            // A little less, so that what is a step but for its last bit is one.
            steps
                .into_iter()
                .map(|step| step * power)
                .find(|step| *step >= least * (1.0 - 1e-9))
                .unwrap_or(power * 10.0)
        }
    }
}

/// Ticks in one unit, if that takes no more than three digits; powers on a logarithmic axis each in its own.
fn tick_labels(unit: Unit, ticks: &[f64], signed: bool) -> Vec<Tick<f64>> {
    let (names, factor): (&[&str], f64) = match unit {
        Unit::Bytes => (&BYTES, 1024.0),
        Unit::Count => (&COUNTS, 1000.0),
    };
    let name_of = |value: f64| {
        let (mut rest, mut place) = (value, 0);
        while rest >= 1000.0 && place + 1 < names.len() {
            rest /= factor;
            place += 1;
        }
        (names.get(place).copied().unwrap_or_default(), value / rest)
    };
    let greatest = ticks.iter().fold(0.0_f64, |greatest, tick| greatest.max(tick.abs()));
    let least =
        ticks.iter().copied().filter(|tick| *tick != 0.0).fold(f64::MAX, |least, tick| least.min(tick.abs()));
    let (common_name, common) = name_of(greatest);
    // Steps below an eighth of the unit take more digits than people like to read.
    let has_one = least >= common / 8.0;
    ticks
        .iter()
        .map(|&at| {
            let (name, size) = if has_one { (common_name, common) } else { name_of(at.abs()) };
            let number = if at == 0.0 { 0.0 } else { (at.abs() / size * 1000.0).round() / 1000.0 };
            let sign = match at {
                a if a < 0.0 => "−",
                a if signed && a > 0.0 => "+",
                _ => "",
            };
            let space = if name.is_empty() { "" } else { " " };
            let label = if at == 0.0 { "0".to_owned() } else { format!("{sign}{number}{space}{name}") };
            Tick { at, label }
        })
        .collect()
}

impl Ranged for ValueScale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        interpolate(limit.0, limit.1, self.fraction(*value))
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.iter().map(|tick| tick.at).collect()
    }

    fn range(&self) -> Range<f64> {
        self.min..self.max
    }
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
            prop_assert!(scale.map(&low, (5000, 0)) >= scale.map(&high, (5000, 0)));
            prop_assert!((0..=5000).contains(&scale.map(&low, (5000, 0))));
        }
    }
}
