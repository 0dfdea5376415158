//! Renders reports for a terminal.

use std::time::Duration;

use common::columns::Tone;
use common::record::{DiffRecord, MomentRef, Verdict};
use common::stdio::escape_controls;
use common::table::{Line, Style};
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
    let mut lines = vec![Line::whole(0, Tone::Plain, list.heading), Line::default()];
    for (verdict, followers) in &list.growing {
        let [subject, predicate] = describe(verdict);
        let mut line = Line::whole(0, Tone::Strong, subject);
        line.push(Tone::Plain, " ");
        line.push(Tone::Growth, predicate);
        lines.push(line);
        if !followers.is_empty() {
            lines.push(Line::whole(2, Tone::Dim, escape_controls(followers)));
        }
    }
    if list.growing.is_empty() {
        lines.push(Line::whole(0, Tone::Plain, "nothing is growing"));
    }
    lines.extend(list.others.iter().map(|verdict| Line::whole(0, Tone::Plain, describe(verdict).join(" "))));
    let notes = [(list.more_growing, Tone::Dim), (list.brief, Tone::Warning)];
    let others = format!("others: {} (all with --all)", list.other_counts);
    let others = if list.other_counts.is_empty() { String::new() } else { others };
    let notes = notes.into_iter().chain([(others, Tone::Dim), (list.dropped, Tone::Dim)]);
    lines.extend(notes.filter(|(note, _)| !note.is_empty()).map(|(note, tone)| Line::whole(0, tone, note)));
    let mut text = String::new();
    for line in lines {
        line.write(Style { colour: options.colour, width: options.width }, &mut text);
    }
    text.lines().map(str::to_owned).collect()
}
