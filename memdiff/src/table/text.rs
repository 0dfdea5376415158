//! Tables for a terminal.

use common::columns::Tone;
use std::fmt::Write as _;
use std::time::Duration;

use common::record::{DiffRecord, MomentRef, Presence, TrendKind, Verdict};
use common::stdio::escape_controls;
use common::time::Span;
use common::units::Change;

use super::sections::{self, Section};
use super::{RenderOptions, Report};
use crate::delta::Growth;
use crate::verdict;

/// How many of those that grew are named in the last line.
const NAMED: usize = 3;

/// What was found, as text with a line end after each line.
#[must_use]
pub fn text(found: &Report<'_>, options: RenderOptions) -> String {
    match found {
        Report::Changes { record, grown, notes, threshold } => {
            changes(record, grown, notes, threshold, options)
        }
        Report::Verdicts { record, measured } => verdicts(record, *measured, options),
    }
}

fn changes(
    record: &DiffRecord,
    grown: &[Growth],
    notes: &[String],
    threshold: &str,
    options: RenderOptions,
) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{} {}", Tone::Dim.paint("before", options.colour), moment(&record.before));
    let _ = writeln!(
        out,
        "{}  {}{}",
        Tone::Dim.paint("after", options.colour),
        moment(&record.after),
        later(record)
    );
    for note in notes {
        let _ = writeln!(out, "{}   {}", Tone::Dim.paint("note", options.colour), escape_controls(note));
    }
    part(&sections::processes(record, options.limit), options, &mut out);
    let (parts, more) = sections::object_lists(record, options.limit);
    parts.iter().for_each(|table| part(table, options, &mut out));
    if more > 0 {
        let line = format!("objects of {more} more processes (all with --all)");
        let _ = writeln!(out, "\n{}", Tone::Dim.paint(&line, options.colour));
    }
    threads(record, options, &mut out);
    let _ = writeln!(out, "\n{}", summary(grown, threshold, options));
    out
}

fn moment(mark: &MomentRef) -> String {
    let time = mark.timestamp.format("%Y-%m-%d %H:%M:%S");
    format!("{time}  {} #{}", escape_controls(&mark.file), mark.iteration)
}

/// How long after the one side the other is.
fn later(record: &DiffRecord) -> String {
    let seconds = record.after.timestamp.unix_seconds() - record.before.timestamp.unix_seconds();
    match Duration::try_from_secs_f64(seconds) {
        Ok(span) if !span.is_zero() => format!(", {} later", Span(span)),
        _ => String::new(),
    }
}

fn part(part: &Section, options: RenderOptions, out: &mut String) {
    if part.grid.rows.is_empty() && part.rest.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}", Tone::Strong.paint(&part.title, options.colour));
    let lines = part.grid.lines(options);
    let (listed, sums) =
        lines.split_at_checked(lines.len().saturating_sub(part.sums)).unwrap_or((&lines, &[]));
    let lead = if listed.len() > 1 { "… and " } else { "" };
    let rest = format!("  {}", Tone::Dim.paint(&format!("{lead}{}", part.rest), options.colour));
    let rest = (!part.rest.is_empty()).then_some(&rest);
    for line in listed.iter().chain(rest).chain(sums) {
        let _ = writeln!(out, "{line}");
    }
}

fn threads(record: &DiffRecord, options: RenderOptions, out: &mut String) {
    if record.threads.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}", Tone::Strong.paint("Threads", options.colour));
    let shown = options.limit.unwrap_or(usize::MAX);
    let several = record
        .threads
        .iter()
        .any(|thread| record.threads.first().is_some_and(|first| first.role != thread.role));
    for thread in record.threads.iter().take(shown) {
        let (word, tone) = match thread.presence {
            Presence::New => (" new", Tone::Growth),
            _ => ("gone", Tone::Shrinkage),
        };
        let whose = if several { format!(" of {}", escape_controls(&thread.role)) } else { String::new() };
        let _ =
            writeln!(out, "  {}  {}{whose}", tone.paint(word, options.colour), escape_controls(&thread.name));
    }
    if let Some(more) = record.threads.len().checked_sub(shown).filter(|more| *more > 0) {
        let _ = writeln!(out, "  {}", Tone::Dim.paint(&format!("… and {more} more"), options.colour));
    }
}

/// The line that says what the exit code says.
fn summary(grown: &[Growth], threshold: &str, options: RenderOptions) -> String {
    if grown.is_empty() {
        return format!("nothing grew by more than {threshold}");
    }
    let line = format!("grew by more than {threshold}: {}", list_growth(grown));
    Tone::Growth.paint(&line, options.colour).into_owned()
}

/// The names of those that grew most.
pub(super) fn list_growth(grown: &[Growth]) -> String {
    let names = grown.iter().take(NAMED).map(|growth| {
        let change = Change(i64::try_from(growth.bytes).unwrap_or(i64::MAX));
        format!("{} ({change})", escape_controls(&growth.name))
    });
    let mut names = names.collect::<Vec<_>>().join(", ");
    if let Some(more) = grown.len().checked_sub(NAMED).filter(|more| *more > 0) {
        let _ = write!(names, " and {more} more");
    }
    names
}

fn verdicts(record: &DiffRecord, measured: u64, options: RenderOptions) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", verdicts_heading(record, measured));
    let displayed_verdicts: Vec<&Verdict> = displayed_verdicts(record, options.limit.is_none());
    let (growing, others): (Vec<_>, Vec<_>) =
        displayed_verdicts.into_iter().partition(|v| v.trend == TrendKind::Growing);
    let now = record.after.timestamp;
    let shown = options.limit.unwrap_or(usize::MAX);
    out.push('\n');
    for verdict in growing.iter().take(shown) {
        let sentence = verdict::describe(verdict, now);
        let subject = escape_controls(&sentence.subject);
        let subject = Tone::Strong.paint(&subject, options.colour);
        let _ = writeln!(
            out,
            "{subject} {}",
            Tone::Growth.paint(&escape_controls(&sentence.predicate), options.colour)
        );
    }
    if growing.is_empty() {
        let _ = writeln!(out, "nothing is growing");
    }
    if let Some(more) = growing.len().checked_sub(shown).filter(|more| *more > 0) {
        let _ =
            writeln!(out, "{}", Tone::Dim.paint(&format!("… and {more} more are growing"), options.colour));
    }
    if options.limit.is_none() {
        for verdict in &others {
            let sentence = verdict::describe(verdict, now);
            let _ = writeln!(
                out,
                "{} {}",
                escape_controls(&sentence.subject),
                escape_controls(&sentence.predicate)
            );
        }
    } else {
        let counts = verdict::count_by_trend(others.into_iter());
        if !counts.is_empty() {
            let _ = writeln!(
                out,
                "{}",
                Tone::Dim.paint(&format!("others: {counts} (all with --all)"), options.colour)
            );
        }
    }
    if record.series_omitted > 0 {
        let line = format!("{} small series were dropped, as there were too many", record.series_omitted);
        let _ = writeln!(out, "{}", Tone::Dim.paint(&line, options.colour));
    }
    out
}

/// What was looked at.
pub(super) fn verdicts_heading(record: &DiffRecord, measured: u64) -> String {
    let (first, last) = (&record.before, &record.after);
    let seconds = (last.timestamp.unix_seconds() - first.timestamp.unix_seconds()).max(0.0);
    let span = Span(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    let files =
        if first.file == last.file { first.file.clone() } else { format!("{} to {}", first.file, last.file) };
    let pattern = "%Y-%m-%d %H:%M:%S";
    let plural = if measured == 1 { "" } else { "s" };
    format!(
        "{}: {measured} measurement{plural} in {span}, {} to {}",
        escape_controls(&files),
        first.timestamp.format(pattern),
        last.timestamp.format(pattern),
    )
}

/// The verdicts that a person needs. That a process grows by RSS and by PSS is one fact, and so it is of one growing process and its
/// tree's total, unless everything is asked for.
pub(super) fn displayed_verdicts(record: &DiffRecord, all: bool) -> Vec<&Verdict> {
    let growing = |kind: &str, like: &Verdict| {
        record.verdicts.iter().any(|other| {
            &*other.kind == kind
                && other.trend == TrendKind::Growing
                && (other.pid, &other.name, &other.role) == (like.pid, &like.name, &like.role)
        })
    };
    let says_it_again = |verdict: &Verdict| match &*verdict.kind {
        _ if verdict.trend != TrendKind::Growing => false,
        "pss" => growing("rss", verdict),
        "total_pss" => growing("total_rss", verdict),
        _ => false,
    };
    record.verdicts.iter().filter(|verdict| all || !says_it_again(verdict)).collect()
}
