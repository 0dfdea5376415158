//! Renders reports as CSV: a row for each value of a comparison, or for each verdict.

use std::borrow::Cow;

use common::cli::Failure;
use common::record::{DiffRecord, Presence, Verdict};
use common::stdio::escape_controls;
use common::time::Stamp;
use serde::Serialize;

use super::report::Report;
use crate::delta::{self, known_change};

/// Writes reports as rows under one line of titles.
///
/// The cell of an unknown value is empty. Control characters in names are escaped, so that a row is one line.
#[derive(Debug, Default)]
pub struct CsvWriter {
    has_titles: bool,
}

/// A value at two moments; the fields are the columns.
#[derive(Serialize)]
struct ChangeRow<'a> {
    before: Stamp,
    after: Stamp,
    iteration_before: u64,
    iteration_after: u64,
    kind: &'a str,
    name: Cow<'a, str>,
    role: Cow<'a, str>,
    presence: Presence,
    pid_before: Option<u32>,
    pid_after: Option<u32>,
    before_bytes: Option<u64>,
    after_bytes: Option<u64>,
    change_bytes: Option<i64>,
    count_before: Option<u64>,
    count_after: Option<u64>,
    change_count: Option<i64>,
}

impl CsvWriter {
    /// The rows of the next report.
    ///
    /// # Errors
    /// None in practice: it writes to memory.
    pub fn rows(&mut self, report: &Report<'_>) -> Result<Vec<u8>, Failure> {
        let titles = !std::mem::replace(&mut self.has_titles, true);
        let mut writer = csv::WriterBuilder::new().has_headers(titles).from_writer(Vec::new());
        let written = match report {
            Report::Verdicts { record, .. } => {
                record.verdicts.iter().map(escape_verdict).try_for_each(|row| writer.serialize(row))
            }
            Report::Changes { comparison, .. } => {
                change_rows(&comparison.record).into_iter().try_for_each(|row| writer.serialize(row))
            }
        };
        written.map_err(|error| Failure::new(format!("CSV: {error}"), ""))?;
        writer.into_inner().map_err(|error| Failure::new(format!("CSV: {error}"), ""))
    }
}

fn change_rows(record: &DiffRecord) -> Vec<ChangeRow<'_>> {
    let mut rows = Vec::new();
    for p in &record.processes {
        let row = |kind| ChangeRow {
            pid_before: p.pid_before,
            pid_after: p.pid_after,
            ..ChangeRow::new(record, kind, &p.name, &p.role, p.presence)
        };
        let sizes = [
            ("rss", p.rss_before_bytes, p.rss_after_bytes),
            ("pss", p.pss_before_bytes, p.pss_after_bytes),
            ("uss", p.uss_before_bytes, p.uss_after_bytes),
            ("swap", p.swap_before_bytes, p.swap_after_bytes),
        ];
        let known = sizes
            .into_iter()
            .filter(|(kind, before, after)| *kind == "rss" || before.is_some() || after.is_some());
        rows.extend(known.map(|(kind, before, after)| row(kind).with_bytes(before, after)));
        if p.threads_before.is_some() || p.threads_after.is_some() {
            rows.push(row("threads").with_counts(p.threads_before, p.threads_after));
        }
    }
    rows.extend(record.totals.iter().map(|total| {
        ChangeRow::new(record, &total.kind, "", &total.role, Presence::Both)
            .with_bytes(total.before_bytes, total.after_bytes)
            .with_counts(total.count_before, total.count_after)
    }));
    for (kind, changes) in delta::lists(record) {
        rows.extend(changes.iter().map(|change| {
            ChangeRow::new(record, kind.as_str(), &change.name, &change.role, change.presence)
                .with_bytes(change.size_before_bytes, change.size_after_bytes)
                .with_counts(change.count_before, change.count_after)
        }));
    }
    let threads = record.threads.iter();
    rows.extend(threads.map(|t| ChangeRow::new(record, "thread", &t.name, &t.role, t.presence)));
    rows
}

impl<'a> ChangeRow<'a> {
    fn new(record: &DiffRecord, kind: &'a str, name: &'a str, role: &'a str, presence: Presence) -> Self {
        Self {
            before: record.before.timestamp,
            after: record.after.timestamp,
            iteration_before: record.before.iteration,
            iteration_after: record.after.iteration,
            kind,
            name: escape_controls(name),
            role: escape_controls(role),
            presence,
            pid_before: None,
            pid_after: None,
            before_bytes: None,
            after_bytes: None,
            change_bytes: None,
            count_before: None,
            count_after: None,
            change_count: None,
        }
    }

    fn with_bytes(self, before_bytes: Option<u64>, after_bytes: Option<u64>) -> Self {
        let change_bytes = known_change(self.presence, before_bytes, after_bytes).map(|change| change.0);
        Self { before_bytes, after_bytes, change_bytes, ..self }
    }

    fn with_counts(self, count_before: Option<u64>, count_after: Option<u64>) -> Self {
        let is_known = count_before.is_some() || count_after.is_some();
        let change = known_change(self.presence, count_before, count_after).filter(|_| is_known);
        Self { count_before, count_after, change_count: change.map(|change| change.0), ..self }
    }
}

fn escape_verdict(verdict: &Verdict) -> Verdict {
    Verdict {
        name: escape_controls(&verdict.name).into(),
        role: escape_controls(&verdict.role).into(),
        ..verdict.clone()
    }
}
