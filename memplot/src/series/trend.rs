//! What memdiff found about a series, as a line to be drawn.

use common::record::{TrendKind, Verdict};

use super::Request;
use super::member::{Key, Member};
use crate::cli::{Metric, What};
use crate::picture::{Point, Trend, Unit};
use crate::words;

const HOUR_MS: f64 = 3_600_000.0;

/// The trend of a member, if a verdict is about it.
pub fn of(
    member: &Member,
    name: &str,
    what: What,
    metric: Metric,
    request: &Request,
    base: f64,
) -> Option<Trend> {
    let kind = match (what, metric) {
        (What::Types, _) => "type",
        (What::Modules, _) => "module",
        (What::Holders, _) => "holder",
        (What::Caches, _) => "cache",
        (What::Processes, Metric::Rss) => "rss",
        (What::Processes, Metric::Pss) => "pss",
        (What::Total, _) => match &*member.name {
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

fn is_of(verdict: &Verdict, member: &Member, name: &str) -> bool {
    match &member.key {
        Key::Process { pid, .. } => match verdict.pid {
            Some(of) => of == *pid,
            None => *verdict.name == *member.name || &*verdict.name == name,
        },
        Key::Named { role, name: own, .. }
            if verdict.kind.as_ref() == "type" || verdict.kind.as_ref() == "module" =>
        {
            verdict.name == *own && (role.is_empty() || role.contains(&*verdict.role))
        }
        Key::Named { .. } => true,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a picture has no more than 53 bits of resolution")]
fn trend(verdict: &Verdict, base: f64) -> Option<Trend> {
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
    let word = match verdict.course {
        TrendKind::Growing => format!("growing, {}/h", words::change(Unit::Bytes, rate)),
        TrendKind::Shrinking => format!("shrinking, {}/h", words::change(Unit::Bytes, rate)),
        TrendKind::Steady => "steady".to_owned(),
        TrendKind::SawTooth => "saw-tooth".to_owned(),
        TrendKind::TooShort => return None,
    };
    // The slope is memdiff's; its height is such that it passes through the middle of both ends.
    let slope = if matches!(verdict.course, TrendKind::Steady | TrendKind::SawTooth) { 0.0 } else { rate };
    let half = slope * (to - from) as f64 / HOUR_MS / 2.0;
    let middle = f64::midpoint(first, last) - base;
    let point = |unix_ms, value| Point { unix_ms, value };
    Some(Trend { from: point(from, middle - half), to: point(to, middle + half), words: word })
}
