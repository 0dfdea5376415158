//! Renders reports for a terminal.

use std::time::Duration;

use common::columns::Tone;
use common::record::{DiffRecord, MomentRef, Verdict};
use common::stdio::escape_controls;
use common::time::Span;

use super::report::{RenderOptions, Report, TIME_FORMAT, VerdictList, list_growth};
use super::sections::{Section, sections};
use crate::delta::Comparison;
use crate::verdict;

/// Renders a report as text; each line has a line end.
pub fn render_text(report: &Report<'_>, options: RenderOptions) -> String {
    let lines = match report {
        Report::Changes { comparison, threshold } => changes(comparison, threshold, options),
        Report::Verdicts { record, measured } => verdicts(record, *measured, options),
    };
    lines.into_iter().flat_map(|line| [line, "\n".to_owned()]).collect()
}

fn changes(comparison: &Comparison, threshold: &str, options: RenderOptions) -> Vec<String> {
    let record = &comparison.record;
    let mut lines = vec![
        format!("{} {}", options.paint(Tone::Dim, "before"), describe_moment(&record.before)),
        format!(
            "{}  {}{}",
            options.paint(Tone::Dim, "after"),
            describe_moment(&record.after),
            time_between(record)
        ),
    ];
    lines.extend(
        comparison
            .notes
            .iter()
            .map(|note| format!("{}   {}", options.paint(Tone::Dim, "note"), escape_controls(note))),
    );
    for section in sections(record, options.limit) {
        lines.extend(section_lines(&section, options));
    }
    let summary = if comparison.grown.is_empty() {
        format!("nothing grew by more than {threshold}")
    } else {
        let names = list_growth(&comparison.grown);
        options.paint(Tone::Growth, &format!("grew by more than {threshold}: {names}"))
    };
    lines.extend([String::new(), summary]);
    lines
}

fn describe_moment(moment: &MomentRef) -> String {
    format!(
        "{}  {} #{}",
        moment.timestamp.format(TIME_FORMAT),
        escape_controls(&moment.file),
        moment.iteration
    )
}

fn time_between(record: &DiffRecord) -> String {
    let seconds = record.after.timestamp.unix_seconds() - record.before.timestamp.unix_seconds();
    match Duration::try_from_secs_f64(seconds) {
        Ok(span) if !span.is_zero() => format!(", {} later", Span(span)),
        _ => String::new(),
    }
}

/// An empty line, the title, the table, and before its sums the rows left out.
fn section_lines(section: &Section, options: RenderOptions) -> Vec<String> {
    let title = match &section.owner {
        Some(owner) => format!("{} of {}", section.title, escape_controls(owner)),
        None => section.title.clone(),
    };
    let mut lines = vec![String::new(), options.paint(Tone::Strong, &title)];
    let mut rows = section.grid.lines(options);
    let sums = rows.split_off(rows.len().saturating_sub(section.sums));
    let lead = if rows.len() > 1 { "… and " } else { "" };
    lines.extend(rows);
    if !section.omitted.is_empty() {
        lines.push(format!("  {}", options.paint(Tone::Dim, &format!("{lead}{}", section.omitted))));
    }
    lines.extend(sums);
    lines
}

fn verdicts(record: &DiffRecord, measured: u64, options: RenderOptions) -> Vec<String> {
    let list = VerdictList::new(record, measured, options.limit);
    let describe = |verdict: &Verdict| {
        let description = verdict::describe(verdict, record.after.timestamp);
        [description.subject, description.predicate].map(|part| escape_controls(&part).into_owned())
    };
    let mut lines = vec![list.heading, String::new()];
    for [subject, predicate] in list.growing.iter().map(|verdict| describe(verdict)) {
        lines.push(format!(
            "{} {}",
            options.paint(Tone::Strong, &subject),
            options.paint(Tone::Growth, &predicate)
        ));
    }
    if list.growing.is_empty() {
        lines.push("nothing is growing".to_owned());
    }
    if list.more_growing > 0 {
        lines.push(options.paint(Tone::Dim, &format!("… and {} more are growing", list.more_growing)));
    }
    lines.extend(list.others.iter().map(|verdict| describe(verdict).join(" ")));
    if !list.other_counts.is_empty() {
        lines.push(options.paint(Tone::Dim, &format!("others: {} (all with --all)", list.other_counts)));
    }
    if !list.dropped.is_empty() {
        lines.push(options.paint(Tone::Dim, &list.dropped));
    }
    lines
}
