//! The content of a report, as text and markdown share it.

use std::time::Duration;

use common::columns::Tone;
use common::record::{DiffRecord, SeriesKind, TrendKind, Verdict};
use common::stdio::escape_controls;
use common::time::Span;
use common::units::Change;

use crate::delta::{Comparison, Growth};
use crate::verdict;

/// The number of grown names in the summary.
const SUMMARY_NAMES: usize = 3;

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
    /// Verdicts of growth.
    pub(super) growing: Vec<&'a Verdict>,
    /// The number of further verdicts of growth.
    pub(super) more_growing: usize,
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
        let (mut growing, mut others): (Vec<_>, Vec<_>) =
            displayed.partition(|verdict| verdict.trend == TrendKind::Growing);
        let limit_or_all = limit.unwrap_or(usize::MAX);
        let more_growing = growing.len().saturating_sub(limit_or_all);
        growing.truncate(limit_or_all);
        let mut other_counts = String::new();
        if limit.is_some() {
            other_counts = verdict::count_by_trend(others.drain(..));
        }
        let dropped = match record.series_omitted {
            0 => String::new(),
            count => format!("{count} small series were dropped, as there were too many"),
        };
        Self { heading: heading(record, measured), growing, more_growing, others, other_counts, dropped }
    }
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
    let plural = if measured == 1 { "" } else { "s" };
    format!(
        "{}: {measured} measurement{plural} in {span}, {} to {}",
        escape_controls(&files),
        first.timestamp.format(TIME_FORMAT),
        last.timestamp.format(TIME_FORMAT),
    )
}
