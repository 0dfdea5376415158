//! Rows for a spreadsheet: one for each value that is on a side, or one for each verdict.

use std::borrow::Cow;

use common::cli::Failure;
use common::record::{DiffRecord, Presence, TrendKind, Verdict};
use common::stdio::escape_controls;
use common::time::Stamp;
use serde::Serialize;

use crate::delta;

/// Differences as rows below one line of titles, however many come.
///
/// What is not known is an empty cell. A row is one line: names have their control characters escaped.
#[derive(Debug, Default)]
pub struct CsvWriter {
    is_titled: bool,
}

/// A value of two moments, the columns in their order.
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

#[derive(Serialize)]
struct VerdictRow<'a> {
    kind: &'a str,
    name: Cow<'a, str>,
    role: Cow<'a, str>,
    pid: Option<u32>,
    trend: TrendKind,
    confidence_ratio: f64,
    bytes_per_hour: Option<f64>,
    bytes_per_hour_low: Option<f64>,
    bytes_per_hour_high: Option<f64>,
    from: Option<Stamp>,
    to: Option<Stamp>,
    first_bytes: Option<u64>,
    last_bytes: Option<u64>,
    moments: u64,
    limit_reached_at: Option<Stamp>,
    limit_kind: Option<&'a str>,
    limit_bytes: Option<u64>,
    new_objects: Option<u64>,
    new_objects_survived: Option<u64>,
}

impl CsvWriter {
    /// The next difference as lines.
    ///
    /// # Errors
    /// None in practice: writing to memory.
    pub fn rows(&mut self, record: &DiffRecord, has_verdicts: bool) -> Result<Vec<u8>, Failure> {
        let titles = !std::mem::replace(&mut self.is_titled, true);
        let mut writer = csv::WriterBuilder::new().has_headers(titles).from_writer(Vec::new());
        let written = if has_verdicts {
            record.verdicts.iter().map(verdict_row).try_for_each(|row| writer.serialize(row))
        } else {
            change_rows(record).into_iter().try_for_each(|row| writer.serialize(row))
        };
        written.map_err(|error| Failure::new(format!("rows: {error}"), ""))?;
        writer.into_inner().map_err(|error| Failure::new(format!("rows: {error}"), ""))
    }
}

fn change_rows(record: &DiffRecord) -> Vec<ChangeRow<'_>> {
    type Values = (Option<u64>, Option<u64>);
    let row = |kind: &'static str, name: &'static str, presence| ChangeRow {
        before: record.before.timestamp,
        after: record.after.timestamp,
        iteration_before: record.before.iteration,
        iteration_after: record.after.iteration,
        kind,
        name: name.into(),
        role: "".into(),
        presence,
        pid_before: None,
        pid_after: None,
        before_bytes: None,
        after_bytes: None,
        change_bytes: None,
        count_before: None,
        count_after: None,
        change_count: None,
    };
    let mut rows = Vec::new();
    for p in &record.processes {
        let of_process = |kind| ChangeRow {
            name: escape_controls(&p.name),
            role: escape_controls(&p.role),
            pid_before: p.pid_before,
            pid_after: p.pid_after,
            ..row(kind, "", p.presence)
        };
        let sizes: [(&'static str, Values); 4] = [
            ("rss", (p.rss_before_bytes, p.rss_after_bytes)),
            ("pss", (p.pss_before_bytes, p.pss_after_bytes)),
            ("uss", (p.uss_before_bytes, p.uss_after_bytes)),
            ("swap", (p.swap_before_bytes, p.swap_after_bytes)),
        ];
        for (kind, (before, after)) in sizes {
            if kind == "rss" || before.is_some() || after.is_some() {
                let mut row = of_process(kind);
                row.set_bytes(before, after);
                rows.push(row);
            }
        }
        if p.threads_before.is_some() || p.threads_after.is_some() {
            let mut row = of_process("threads");
            row.set_counts(p.threads_before, p.threads_after);
            rows.push(row);
        }
    }
    for total in &record.totals {
        let mut row = ChangeRow {
            kind: &total.kind,
            role: escape_controls(&total.role),
            ..row("", "", Presence::Both)
        };
        row.set_bytes(total.before_bytes, total.after_bytes);
        row.set_counts(total.count_before, total.count_after);
        rows.push(row);
    }
    let lists = [
        ("type", &record.types),
        ("module", &record.modules),
        ("holder", &record.holders),
        ("cache", &record.caches),
    ];
    for (kind, changes) in lists {
        for change in changes {
            let mut row = ChangeRow {
                name: escape_controls(&change.name),
                role: escape_controls(&change.role),
                ..row(kind, "", change.presence)
            };
            row.set_bytes(change.size_before_bytes, change.size_after_bytes);
            row.set_counts(change.count_before, change.count_after);
            rows.push(row);
        }
    }
    for thread in &record.threads {
        rows.push(ChangeRow {
            name: escape_controls(&thread.name),
            role: escape_controls(&thread.role),
            ..row("thread", "", thread.presence)
        });
    }
    rows
}

impl ChangeRow<'_> {
    fn set_bytes(&mut self, before: Option<u64>, after: Option<u64>) {
        (self.before_bytes, self.after_bytes) = (before, after);
        self.change_bytes = delta::known_change(self.presence, before, after).map(|change| change.0);
    }

    fn set_counts(&mut self, before: Option<u64>, after: Option<u64>) {
        (self.count_before, self.count_after) = (before, after);
        let is_known = before.is_some() || after.is_some();
        self.change_count =
            delta::known_change(self.presence, before, after).filter(|_| is_known).map(|change| change.0);
    }
}

fn verdict_row(verdict: &Verdict) -> VerdictRow<'_> {
    VerdictRow {
        kind: &verdict.kind,
        name: escape_controls(&verdict.name),
        role: escape_controls(&verdict.role),
        pid: verdict.pid,
        trend: verdict.trend,
        confidence_ratio: verdict.confidence_ratio,
        bytes_per_hour: verdict.bytes_per_hour,
        bytes_per_hour_low: verdict.bytes_per_hour_low,
        bytes_per_hour_high: verdict.bytes_per_hour_high,
        from: verdict.from,
        to: verdict.to,
        first_bytes: verdict.first_bytes,
        last_bytes: verdict.last_bytes,
        moments: verdict.moments,
        limit_reached_at: verdict.limit_reached_at,
        limit_kind: verdict.limit_kind.as_deref(),
        limit_bytes: verdict.limit_bytes,
        new_objects: verdict.new_objects,
        new_objects_survived: verdict.new_objects_survived,
    }
}
