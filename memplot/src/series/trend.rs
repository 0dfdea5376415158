//! Turns verdicts of memdiff into trend lines.

use common::record::{SeriesKind, TrendKind, Verdict};

use super::buffer::{SeriesBuffer, SeriesKey};
use super::extract::TOTAL_NAMES;
use super::request::PlotRequest;
use crate::cli::{Metric, Quantity};
use crate::figure::{Point, TrendLine, Unit};
use crate::format;

const HOUR_MS: f64 = 3_600_000.0;

/// The trend line of a series, if there is a verdict about it. Subtracts `base` from its values.
pub fn line_for(
    series: &SeriesBuffer,
    name: &str,
    quantity: Quantity,
    request: &PlotRequest<'_>,
    base: f64,
) -> Option<TrendLine> {
    let kind = match (quantity, request.args.metric) {
        (Quantity::Types, _) => SeriesKind::Type,
        (Quantity::Modules, _) => SeriesKind::Module,
        (Quantity::Holders, _) => SeriesKind::Holder,
        (Quantity::Caches, _) => SeriesKind::Cache,
        (Quantity::Processes, Metric::Rss) => SeriesKind::Rss,
        (Quantity::Processes, Metric::Pss) => SeriesKind::Pss,
        (Quantity::Total, _) if series.name == TOTAL_NAMES.rss => SeriesKind::TotalRss,
        (Quantity::Total, _) if series.name == TOTAL_NAMES.pss => SeriesKind::TotalPss,
        (Quantity::Total, _) if series.name == TOTAL_NAMES.python => SeriesKind::Python,
        (Quantity::Total, _) => SeriesKind::Rss,
        _ => return None,
    };
    let mut verdicts = request.verdicts.iter().filter(|verdict| verdict.kind == kind);
    trend_line(verdicts.find(|verdict| is_about(verdict, series, name))?, base)
}

fn is_about(verdict: &Verdict, series: &SeriesBuffer, name: &str) -> bool {
    match &series.key {
        SeriesKey::Process { pid, .. } => match verdict.pid {
            Some(verdict_pid) => verdict_pid == *pid,
            None => *verdict.name == *series.name || &*verdict.name == name,
        },
        SeriesKey::Named { role, name, .. }
            if matches!(verdict.kind, SeriesKind::Type | SeriesKind::Module) =>
        {
            verdict.name == *name && (role.is_empty() || role.contains(&*verdict.role))
        }
        SeriesKey::Named { .. } => true,
    }
}

fn trend_line(verdict: &Verdict, base: f64) -> Option<TrendLine> {
    #[expect(clippy::cast_possible_truncation, reason = "stamps are within the years of the calendar")]
    let unix_ms = |stamp: common::time::Stamp| (stamp.unix_seconds() * 1000.0).round() as i64;
    let (from, to) = (unix_ms(verdict.from?), unix_ms(verdict.to?));
    let (first, last) = (verdict.first_bytes? as f64, verdict.last_bytes? as f64);
    let rate = verdict.bytes_per_hour.unwrap_or(0.0);
    let per_hour = format::change(Unit::Bytes, rate);
    let (label, slope) = match verdict.trend {
        TrendKind::Growing => (format!("growing, {per_hour}/h"), rate),
        TrendKind::Shrinking => (format!("shrinking, {per_hour}/h"), rate),
        TrendKind::Steady => ("steady".to_owned(), 0.0),
        TrendKind::Sawtooth => ("saw-tooth".to_owned(), 0.0),
        TrendKind::TooShort => return None,
    };
    // The line has memdiff's slope and passes through the middle of both ends.
    let half = slope * (to - from) as f64 / HOUR_MS / 2.0;
    let middle = f64::midpoint(first, last) - base;
    let point = |unix_ms, value| Point { unix_ms, value };
    Some(TrendLine { from: point(from, middle - half), to: point(to, middle + half), label })
}
