//! Tables for an issue or a pull request, as GitHub renders them.

use std::fmt::Write as _;

use common::record::{DiffRecord, MomentRef, Presence, TrendKind, Verdict};
use common::stdio::escape_controls;

use super::grid::Grid;
use super::sections::{self, Section};
use super::text::{displayed_verdicts, list_growth, verdicts_heading};
use super::{RenderOptions, Report};
use crate::delta::Growth;
use crate::verdict;

/// What was found, in markdown.
#[must_use]
pub fn markdown(found: &Report<'_>, options: RenderOptions) -> String {
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
    let _ = writeln!(
        out,
        "**{}**\n",
        if grown.is_empty() {
            format!("Nothing grew by more than {threshold}.")
        } else {
            format!("Grew by more than {threshold}:")
        }
    );
    if !grown.is_empty() {
        let _ = writeln!(out, "{}\n", code(&list_growth(grown)));
    }
    let _ = writeln!(out, "Before: {}  \nAfter: {}", moment(&record.before), moment(&record.after));
    for note in notes {
        let _ = writeln!(out, "\nNote: {}", code(note));
    }
    part(&sections::processes(record, options.limit), &mut out);
    let (parts, more) = sections::object_lists(record, options.limit);
    parts.iter().for_each(|table| part(table, &mut out));
    if more > 0 {
        let _ = writeln!(out, "\nObjects of {more} more processes are left out.");
    }
    if !record.threads.is_empty() {
        let _ = writeln!(out, "\n### Threads\n\n|  | thread | process |\n| --- | --- | --- |");
        for thread in record.threads.iter().take(options.limit.unwrap_or(usize::MAX)) {
            let word = if thread.presence == Presence::New { "new" } else { "gone" };
            let _ = writeln!(out, "| {word} | {} | {} |", code(&thread.name), code(&thread.role));
        }
        let more =
            options.limit.and_then(|limit| record.threads.len().checked_sub(limit)).filter(|more| *more > 0);
        more.into_iter().for_each(|more| {
            let _ = writeln!(out, "\n… and {more} more");
        });
    }
    out
}

fn moment(mark: &MomentRef) -> String {
    let time = mark.timestamp.format("%Y-%m-%d %H:%M:%S");
    format!("{time}, {} #&#8203;{}", code(&mark.file), mark.iteration)
}

fn part(part: &Section, out: &mut String) {
    if part.grid.rows.is_empty() && part.rest.is_empty() {
        return;
    }
    // A title may hold a command line.
    let (title, whose) = part.title.split_once(" of ").unwrap_or((&part.title, ""));
    let whose = if whose.is_empty() { String::new() } else { format!(" of {}", code(whose)) };
    let _ = writeln!(out, "\n### {title}{whose}\n");
    grid(&part.grid, out);
    if !part.rest.is_empty() {
        let lead = if part.grid.rows.is_empty() { "" } else { "\n… and " };
        let _ = writeln!(out, "{lead}{}", part.rest);
    }
}

fn grid(grid: &Grid, out: &mut String) {
    let used = grid.used();
    let Some((name, numbers)) = used.split_last() else { return };
    let title = |index: &usize| grid.titles.get(*index).copied().unwrap_or_default().to_lowercase();
    for index in numbers {
        let _ = write!(out, "| {} ", title(index));
    }
    let _ = writeln!(out, "| {} |", title(name));
    let _ = writeln!(out, "{}| --- |", "| ---: ".repeat(numbers.len()));
    for row in &grid.rows {
        for index in numbers {
            let _ = write!(out, "| {} ", row.get(*index).map_or("", |cell| &cell.text));
        }
        let _ = writeln!(out, "| {} |", row.get(*name).map_or_else(String::new, |cell| code(&cell.text)));
    }
}

fn verdicts(record: &DiffRecord, measured: u64, options: RenderOptions) -> String {
    let mut out = String::new();
    let displayed_verdicts = displayed_verdicts(record, options.limit.is_none());
    let (growing, others): (Vec<_>, Vec<_>) =
        displayed_verdicts.into_iter().partition(|v| v.trend == TrendKind::Growing);
    let _ = writeln!(out, "{}\n", code(&verdicts_heading(record, measured)));
    let mut listed: Vec<&Verdict> = growing;
    let more = options.limit.and_then(|limit| listed.len().checked_sub(limit)).unwrap_or(0);
    if listed.is_empty() {
        let _ = writeln!(out, "Nothing is growing.");
    }
    listed.truncate(options.limit.unwrap_or(usize::MAX));
    if options.limit.is_none() {
        listed.extend(&others);
    }
    if !listed.is_empty() {
        let _ = writeln!(out, "| rate | what | in words |\n| ---: | --- | --- |");
    }
    for verdict in listed {
        let sentence = verdict::describe(verdict, record.after.timestamp);
        let rate = match verdict.bytes_per_hour {
            Some(rate) if matches!(verdict.trend, TrendKind::Growing | TrendKind::Shrinking) => {
                format!("{}{}", if rate < 0.0 { "-" } else { "+" }, verdict::format_rate(rate))
            }
            _ => String::new(),
        };
        let _ = writeln!(out, "| {rate} | {} | {} |", code(&sentence.subject), sentence.predicate);
    }
    if more > 0 {
        let _ = writeln!(out, "\n… and {more} more are growing");
    }
    let counts = verdict::count_by_trend(others.into_iter());
    if options.limit.is_some() && !counts.is_empty() {
        let _ = writeln!(out, "\nOthers: {counts}");
    }
    if record.series_omitted > 0 {
        let _ =
            writeln!(out, "\n{} small series were dropped, as there were too many.", record.series_omitted);
    }
    out
}

/// A name that stands for itself: no markup, no HTML, no mention, no link, and no end of a cell.
///
/// In a code span nothing has a meaning but the backtick, and in a table the pipe, with the backslash before it; names with those
/// are written as HTML in character references.
fn code(name: &str) -> String {
    let name = escape_controls(name);
    let name = name.trim();
    if name.is_empty() {
        return String::new();
    }
    if !name.contains(['`', '|', '\\']) {
        return format!("`{name}`");
    }
    let mut html = String::from("<code>");
    for c in name.chars() {
        if c.is_ascii_punctuation() {
            let _ = write!(html, "&#{};", u32::from(c));
        } else {
            html.push(c);
        }
    }
    html + "</code>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_themselves() {
        assert_eq!(code("botpkg.cache.Session"), "`botpkg.cache.Session`");
        assert_eq!(code("<script>alert(1)</script> @all #1"), "`<script>alert(1)</script> @all #1`");
        assert_eq!(code("a|b"), "<code>a&#124;b</code>");
        assert_eq!(code("`rm` \\"), "<code>&#96;rm&#96; &#92;</code>");
        assert_eq!(code("two\nlines"), "<code>two&#92;nlines</code>");
        assert_eq!(code("  "), "");
    }
}
