//! The growth of each leak from census to census, as a small curve.

use std::fmt::Write as _;

use common::record::{GrowthMode, Leak, LeaksRecord};
use common::units::{Bytes, thousands};
use common::verdict::span;

use crate::svg::escape;

/// The units of a curve's drawing.
const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 48.0;
/// The space for the width of its line.
const MARGIN: f64 = 3.0;
/// Curves that are drawn: the largest leaks come first.
const MAX_CURVES: usize = 12;

/// The curves of all leaks, and of growth towards a limit or that slows down.
pub fn html(records: &[LeaksRecord]) -> String {
    let of_record = |record: &LeaksRecord| -> Vec<String> {
        let own = record.leaks.iter().filter(|leak| leak.side_effect_of.is_none());
        own.chain(&record.filling)
            .chain(&record.slowing)
            .chain(&record.undecided)
            .filter_map(|leak| curve(record, leak))
            .collect()
    };
    let curves: Vec<String> = records.iter().flat_map(of_record).take(MAX_CURVES).collect();
    if curves.is_empty() {
        return String::new();
    }
    format!("<h3>Growth from census to census</h3>\n<div class=\"curves\">\n{}</div>\n", curves.concat())
}

/// The sums of the growth, from 0 at the first census.
fn sums(leak: &Leak) -> Vec<i64> {
    let add = |sum: &mut i64, growth: &i64| {
        *sum = sum.saturating_add(*growth);
        Some(*sum)
    };
    std::iter::once(0).chain(leak.growth_by_census.iter().scan(0, add)).collect()
}

fn curve(record: &LeaksRecord, leak: &Leak) -> Option<String> {
    let sums = sums(leak);
    let last = *sums.last().filter(|_| sums.len() > 1)?;
    let (low, high) = (*sums.iter().min()?, *sums.iter().max()?);
    let range = high.saturating_sub(low).max(1) as f64;
    // The censuses have the times of the record if it has them, else equal distances.
    let times = Some(&record.totals_by_census).filter(|totals| totals.len() == sums.len());
    let end = times.and_then(|totals| totals.last()).map_or(0.0, |last| last.elapsed_seconds);
    let across = |index: usize| match times.and_then(|totals| totals.get(index)).filter(|_| end > 0.0) {
        Some(totals) => totals.elapsed_seconds / end,
        None => index as f64 / (sums.len() - 1) as f64,
    };
    let mut points = String::new();
    for (index, sum) in sums.iter().enumerate() {
        let x = MARGIN + across(index) * (WIDTH - 2.0 * MARGIN);
        let y = HEIGHT - MARGIN - sum.saturating_sub(low) as f64 / range * (HEIGHT - 2.0 * MARGIN);
        let _ = write!(points, "{}{x:.1},{y:.1}", if index == 0 { "" } else { " " });
    }
    let amount = match (leak.growth_mode, leak.entries_per_minute) {
        (GrowthMode::Enlarged, None) => Bytes(last.unsigned_abs()).to_string(),
        (GrowthMode::Enlarged, Some(_)) => format!("{} items", thousands(last.unsigned_abs())),
        _ => format!("{} {}", thousands(last.unsigned_abs()), escape(&leak.name)),
    };
    let sign = if last < 0 { "−" } else { "+" };
    let holder = escape(&leak.holder);
    let text = format!("{sign}{amount} in {}", span(record.duration_seconds));
    Some(format!(
        "<figure><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{text}\">\
         <polyline points=\"{points}\"/></svg><figcaption><b>{holder}</b> <span>{text}</span></figcaption></figure>\n"
    ))
}
