//! What memdiff found about a series, as a line to be drawn.

use common::record::{TrendKind, Verdict};

use super::PlotRequest;
use super::buffer::{SeriesBuffer, SeriesKey};
use crate::cli::{Metric, Quantity};
use crate::figure::{Point, TrendLine, Unit};
use crate::format;

const HOUR_MS: f64 = 3_600_000.0;

/// The trend of a member, if a verdict is about it.
pub fn line_for(
    member: &SeriesBuffer,
    name: &str,
    what: Quantity,
    metric: Metric,
    request: &PlotRequest,
    base: f64,
) -> Option<TrendLine> {
    let kind = match (what, metric) {
        (Quantity::Types, _) => "type",
        (Quantity::Modules, _) => "module",
        (Quantity::Holders, _) => "holder",
        (Quantity::Caches, _) => "cache",
        (Quantity::Processes, Metric::Rss) => "rss",
        (Quantity::Processes, Metric::Pss) => "pss",
        (Quantity::Total, _) => match &*member.name {
            "sum of RSS" => "total_rss",
            "sum of PSS" => "total_pss",
            "Python objects" => "python",
            _ => "rss",
        },
        _ => return None,
    };
    let verdict =
        request.verdicts.iter().find(|verdict| *verdict.kind == *kind && is_of(verdict, member, name))?;
    trend(verdict, base)
}

fn is_of(verdict: &Verdict, member: &SeriesBuffer, name: &str) -> bool {
    match &member.key {
        SeriesKey::Process { pid, .. } => match verdict.pid {
            Some(of) => of == *pid,
            None => *verdict.name == *member.name || &*verdict.name == name,
        },
        SeriesKey::Named { role, name: own, .. }
            if verdict.kind.as_ref() == "type" || verdict.kind.as_ref() == "module" =>
        {
            verdict.name == *own && (role.is_empty() || role.contains(&*verdict.role))
        }
        SeriesKey::Named { .. } => true,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a picture has no more than 53 bits of resolution")]
fn trend(verdict: &Verdict, base: f64) -> Option<TrendLine> {
    let milliseconds = |stamp: common::time::Stamp| {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "stamps are within the years that can be written"
        )]
        let whole = (stamp.unix_seconds() * 1000.0).round() as i64;
        whole
    };
    let (from, to) = (milliseconds(verdict.from?), milliseconds(verdict.to?));
    let (first, last) = (verdict.first_bytes? as f64, verdict.last_bytes? as f64);
    let rate = verdict.bytes_per_hour.unwrap_or(0.0);
    let word = match verdict.trend {
        TrendKind::Growing => format!("growing, {}/h", format::change(Unit::Bytes, rate)),
        TrendKind::Shrinking => format!("shrinking, {}/h", format::change(Unit::Bytes, rate)),
        TrendKind::Steady => "steady".to_owned(),
        TrendKind::Sawtooth => "saw-tooth".to_owned(),
        TrendKind::TooShort => return None,
    };
    // The slope is memdiff's; its height is such that it passes through the middle of both ends.
    let slope = if matches!(verdict.trend, TrendKind::Steady | TrendKind::Sawtooth) { 0.0 } else { rate };
    let half = slope * (to - from) as f64 / HOUR_MS / 2.0;
    let middle = f64::midpoint(first, last) - base;
    let point = |unix_ms, value| Point { unix_ms, value };
    Some(TrendLine { from: point(from, middle - half), to: point(to, middle + half), label: word })
}
