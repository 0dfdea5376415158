//! The content of a report, as text and markdown share it.

use std::time::Duration;

use common::columns::Tone;
use common::record::{DiffRecord, SeriesKind, TrendKind, Verdict};
use common::stdio::escape_controls;
use common::time::Span;
use common::units::{Change, counted, thousands};

use crate::delta::{Comparison, Growth};
use crate::verdict;

/// The number of grown names in the summary.
const SUMMARY_NAMES: usize = 3;

/// The most causes of growth that are shown, and the most series that grow with each. Together they fit a small terminal.
const MAX_CAUSES: usize = 5;
const MAX_FOLLOWERS: usize = 4;

/// How times are shown.
pub(super) const TIME_FORMAT: &str = "%Y-%m-%d %H:%M:%S";

/// How tables are rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderOptions {
    /// Whether to colour text; without it no escape byte is written.
    pub colour: bool,
    /// The columns of the terminal, to which names are shortened; `None` shortens nothing.
    pub width: Option<usize>,
    /// The most rows of a table; `None` for all rows, unchanged ones too.
    pub limit: Option<usize>,
}

impl RenderOptions {
    pub(super) fn paint(self, tone: Tone, text: &str) -> String {
        tone.paint(text, self.colour).into_owned()
    }
}

/// The content of a report.
#[derive(Debug, Clone, Copy)]
pub enum Report<'a> {
    /// The differences between two moments.
    Changes {
        /// The differences.
        comparison: &'a Comparison,
        /// The threshold for people: `4.00 MiB`.
        threshold: &'a str,
    },
    /// Verdicts on all series.
    Verdicts {
        /// The verdicts, sorted.
        record: &'a DiffRecord,
        /// The number of measurements.
        measured: u64,
    },
}

impl Report<'_> {
    /// The record of the report.
    pub fn record(&self) -> &DiffRecord {
        match self {
            Report::Changes { comparison, .. } => &comparison.record,
            Report::Verdicts { record, .. } => record,
        }
    }
}

/// The names and growth of those that grew most.
pub(super) fn list_growth(grown: &[Growth]) -> String {
    let names = grown.iter().take(SUMMARY_NAMES).map(|growth| {
        let change = Change(i64::try_from(growth.bytes).unwrap_or(i64::MAX));
        format!("{} ({change})", escape_controls(&growth.name))
    });
    let names = names.collect::<Vec<_>>().join(", ");
    match grown.len().saturating_sub(SUMMARY_NAMES) {
        0 => names,
        more => format!("{names} and {more} more"),
    }
}

/// The displayed part of the verdicts of a record.
pub(super) struct VerdictList<'a> {
    /// Files, number of measurements, and times.
    pub(super) heading: String,
    /// Verdicts of growth: each with a description of what grows with it, which is empty if that is nothing, or if all are displayed.
    pub(super) growing: Vec<(&'a Verdict, String)>,
    /// A description of further verdicts of growth; empty if there are none.
    pub(super) more_growing: String,
    /// A warning about a short log; empty if it is long enough.
    pub(super) brief: String,
    /// Other verdicts, if all are displayed.
    pub(super) others: Vec<&'a Verdict>,
    /// Counts of the verdicts that are not displayed; empty if there are none.
    pub(super) other_counts: String,
    /// A note on dropped series; empty if none were.
    pub(super) dropped: String,
}

impl<'a> VerdictList<'a> {
    pub(super) fn new(record: &'a DiffRecord, measured: u64, limit: Option<usize>) -> Self {
        let displayed =
            record.verdicts.iter().filter(|verdict| limit.is_none() || !is_repetition(record, verdict));
        let (growing, mut others): (Vec<_>, Vec<_>) =
            displayed.partition(|verdict| verdict.trend == TrendKind::Growing);
        let (growing, more_growing) = match limit {
            None => (growing.into_iter().map(|verdict| (verdict, String::new())).collect(), String::new()),
            Some(limit) => causes(&growing, limit.min(MAX_CAUSES)),
        };
        let is_brief = !growing.is_empty() && growing.iter().all(|(verdict, _)| verdict::is_brief(verdict));
        let brief = if is_brief {
            "the log is short: this may be a start that settles".to_owned()
        } else {
            String::new()
        };
        let mut other_counts = String::new();
        if limit.is_some() {
            other_counts = verdict::count_by_trend(others.drain(..));
        }
        let dropped = match record.series_omitted {
            0 => String::new(),
            count => format!("{} small series were dropped, as there were too many", thousands(count)),
        };
        Self {
            heading: heading(record, measured),
            growing,
            more_growing,
            brief,
            others,
            other_counts,
            dropped,
        }
    }
}

/// The causes of growth, each with what grows with it, and a description of the causes beyond `limit`.
fn causes<'a>(growing: &[&'a Verdict], limit: usize) -> (Vec<(&'a Verdict, String)>, String) {
    let groups = verdict::group_growth(growing);
    let (shown, others) = groups.split_at(limit.min(groups.len()));
    let more = match others {
        [] => String::new(),
        others => format!("… and {} more are growing (all with --all)", thousands(others.len() as u64)),
    };
    (shown.iter().map(|group| (group.cause, describe_followers(&group.followers))).collect(), more)
}

/// `with it: RSS of the process by 3.1 MiB/h, type str by 1.0 MiB/h, 41 more types, 2 modules`.
fn describe_followers(followers: &[&Verdict]) -> String {
    // A module has the types of all its objects: it is no cause to look at.
    let (modules, others): (Vec<&Verdict>, Vec<&Verdict>) =
        followers.iter().partition(|verdict| verdict.kind == SeriesKind::Module);
    let (shown, rest) = others.split_at(others.len().min(MAX_FOLLOWERS));
    let mut parts: Vec<String> = shown.iter().map(|verdict| verdict::format_follower(verdict)).collect();
    let names = [
        (SeriesKind::Type, "more type", "more types"),
        (SeriesKind::Holder, "more holder", "more holders"),
        (SeriesKind::Cache, "more cache", "more caches"),
    ];
    for (kind, one, many) in names {
        let count = rest.iter().filter(|verdict| verdict.kind == kind).count() as u64;
        parts.extend((count > 0).then(|| counted(count, one, many)));
    }
    parts.extend((!modules.is_empty()).then(|| counted(modules.len() as u64, "module", "modules")));
    if parts.is_empty() { String::new() } else { format!("with it: {}", parts.join(", ")) }
}

/// Whether a verdict of growth by PSS repeats one by RSS.
fn is_repetition(record: &DiffRecord, verdict: &Verdict) -> bool {
    let rss = match verdict.kind {
        SeriesKind::Pss => SeriesKind::Rss,
        SeriesKind::TotalPss => SeriesKind::TotalRss,
        _ => return false,
    };
    verdict.trend == TrendKind::Growing
        && record.verdicts.iter().any(|other| {
            other.kind == rss
                && other.trend == TrendKind::Growing
                && (other.pid, &other.name, &other.role) == (verdict.pid, &verdict.name, &verdict.role)
        })
}

fn heading(record: &DiffRecord, measured: u64) -> String {
    let (first, last) = (&record.before, &record.after);
    let seconds = (last.timestamp.unix_seconds() - first.timestamp.unix_seconds()).max(0.0);
    let span = Span(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    let files =
        if first.file == last.file { first.file.clone() } else { format!("{} to {}", first.file, last.file) };
    format!(
        "{}: {} in {span}, {} to {}",
        escape_controls(&files),
        counted(measured, "measurement", "measurements"),
        first.timestamp.format(TIME_FORMAT),
        last.timestamp.format(TIME_FORMAT),
    )
}
