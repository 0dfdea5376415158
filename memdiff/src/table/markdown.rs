//! Renders reports in markdown, for issues and pull requests on GitHub.

use std::fmt::Write as _;

use common::record::{DiffRecord, MomentRef, TrendKind};
use common::stdio::escape_controls;

use super::grid::Grid;
use super::report::{RenderOptions, Report, TIME_FORMAT, VerdictList, list_growth};
use super::sections::{Section, sections};
use crate::delta::Comparison;
use crate::verdict;

/// Renders a report in markdown.
pub fn render_markdown(report: &Report<'_>, options: RenderOptions) -> String {
    let mut paragraphs = match report {
        Report::Changes { comparison, threshold } => changes(comparison, threshold, options.limit),
        Report::Verdicts { record, measured } => verdicts(record, *measured, options.limit),
    };
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    paragraphs.join("\n\n") + "\n"
}

fn changes(comparison: &Comparison, threshold: &str, limit: Option<usize>) -> Vec<String> {
    let record = &comparison.record;
    let mut paragraphs = if comparison.grown.is_empty() {
        vec![format!("**Nothing grew by more than {threshold}.**")]
    } else {
        vec![format!("**Grew by more than {threshold}:**"), code(&list_growth(&comparison.grown))]
    };
    let (before, after) = (describe_moment(&record.before), describe_moment(&record.after));
    paragraphs.push(format!("Before: {before}  \nAfter: {after}"));
    paragraphs.extend(comparison.notes.iter().map(|note| format!("Note: {}", code(note))));
    paragraphs.extend(sections(record, limit).iter().flat_map(section_paragraphs));
    paragraphs
}

fn describe_moment(moment: &MomentRef) -> String {
    // The reference keeps GitHub from linking the number to an issue.
    format!("{}, {} #&#8203;{}", moment.timestamp.format(TIME_FORMAT), code(&moment.file), moment.iteration)
}

fn section_paragraphs(section: &Section) -> [String; 3] {
    let owner = section.owner.as_ref().map_or_else(String::new, |owner| format!(" of {}", code(owner)));
    let lead = if section.grid.rows.is_empty() || section.omitted.is_empty() { "" } else { "… and " };
    [format!("### {}{owner}", section.title), table(&section.grid), format!("{lead}{}", section.omitted)]
}

fn table(grid: &Grid) -> String {
    let used = grid.used_columns();
    let Some((name, numbers)) = used.split_last() else { return String::new() };
    let title = |index: &usize| grid.titles.get(*index).copied().unwrap_or_default().to_lowercase();
    let mut text = String::new();
    numbers.iter().for_each(|index| text += &format!("| {} ", title(index)));
    text += &format!("| {} |\n{}| --- |", title(name), "| ---: ".repeat(numbers.len()));
    for row in &grid.rows {
        let cell = |index: &usize| row.get(*index).map_or("", |cell| &cell.text);
        text.push('\n');
        numbers.iter().for_each(|index| text += &format!("| {} ", cell(index)));
        text += &format!("| {} |", code(cell(name)));
    }
    text
}

fn verdicts(record: &DiffRecord, measured: u64, limit: Option<usize>) -> Vec<String> {
    let list = VerdictList::new(record, measured, limit);
    let mut paragraphs = vec![code(&list.heading)];
    if list.growing.is_empty() {
        paragraphs.push("Nothing is growing.".to_owned());
    }
    let mut table = vec!["| rate | series | verdict |\n| ---: | --- | --- |".to_owned()];
    for (verdict, followers) in list
        .growing
        .iter()
        .map(|(verdict, followers)| (verdict, &**followers))
        .chain(list.others.iter().map(|verdict| (verdict, "")))
    {
        let description = verdict::describe(verdict, record.after.timestamp);
        let rate = match verdict.bytes_per_hour.or(verdict.count_per_hour) {
            Some(rate) if matches!(verdict.trend, TrendKind::Growing | TrendKind::Shrinking) => {
                format!("{}{}", if rate < 0.0 { "-" } else { "+" }, verdict::format_slope(verdict))
            }
            _ => String::new(),
        };
        let followers = if followers.is_empty() { String::new() } else { format!("; {}", code(followers)) };
        table.push(format!(
            "| {rate} | {} | {}{followers} |",
            code(&description.subject),
            description.predicate
        ));
    }
    if table.len() > 1 {
        paragraphs.push(table.join("\n"));
    }
    paragraphs.extend([list.more_growing, list.brief].into_iter().filter(|note| !note.is_empty()));
    if !list.other_counts.is_empty() {
        paragraphs.push(format!("Others: {}", list.other_counts));
    }
    paragraphs.push(list.dropped);
    paragraphs
}

/// A name as a code span, in which GitHub sees no markup, HTML, mention, link or end of a cell.
///
/// The backtick has a meaning in a code span, and the pipe and the backslash in a table: names with these are HTML with character references.
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
    fn code_spans_escape_names() {
        assert_eq!(code("botpkg.cache.Session"), "`botpkg.cache.Session`");
        assert_eq!(code("<script>alert(1)</script> @all #1"), "`<script>alert(1)</script> @all #1`");
        assert_eq!(code("a|b"), "<code>a&#124;b</code>");
        assert_eq!(code("`rm` \\"), "<code>&#96;rm&#96; &#92;</code>");
        assert_eq!(code("two\nlines"), "<code>two&#92;nlines</code>");
        assert_eq!(code("  "), "");
    }
}
