//! Values of a figure between its points.

use crate::figure::{Figure, Point, Series};

/// The value of a series at a moment, interpolated between two points, and the number of its run; `None` in a gap.
pub(super) fn value_at(series: &Series, unix_ms: i64) -> Option<(usize, f64)> {
    series.runs.iter().enumerate().find_map(|(number, run)| {
        let next = run.partition_point(|point| point.unix_ms < unix_ms);
        let after = run.get(next)?;
        if after.unix_ms == unix_ms {
            return Some((number, after.value));
        }
        Some((number, between(run.get(next.checked_sub(1)?)?, after, unix_ms)))
    })
}

fn between(before: &Point, after: &Point, unix_ms: i64) -> f64 {
    let share = (unix_ms - before.unix_ms) as f64 / (after.unix_ms - before.unix_ms).max(1) as f64;
    before.value + (after.value - before.value) * share
}

/// The sum of all series at a moment and their values; `None` if none has a value there.
pub(super) fn values_at(figure: &Figure, unix_ms: i64) -> Option<(f64, Vec<f64>)> {
    let known: Vec<Option<(usize, f64)>> =
        figure.series.iter().map(|series| value_at(series, unix_ms)).collect();
    let has_any = known.iter().any(Option::is_some);
    let values: Vec<f64> = known.iter().map(|known| known.map_or(0.0, |(_, value)| value.max(0.0))).collect();
    has_any.then(|| (values.iter().sum(), values))
}

/// All moments with a value, in order and without duplicates.
pub(super) fn moments(figure: &Figure) -> Vec<i64> {
    let mut moments: Vec<i64> = figure.points().map(|point| point.unix_ms).collect();
    moments.sort_unstable();
    moments.dedup();
    moments
}
