//! The table of processes. Only visible rows are built.

use std::collections::VecDeque;

use common::process::ProcessState;
use common::units::Change;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::columns::{Column, ColumnNeeds, PlacedColumn, lay_out};
use super::glyphs::{self, UNKNOWN, draw, fit};
use super::model::{Model, Sort};
use super::process_state::{ProcessRow, grew_notably};
use super::theme;
use super::tree_state::{Row, TreeState};
use crate::shell_quote::command_name;

/// The indentation of a tree level, in cells.
const INDENT_CELLS: u16 = 2;

/// The rows and their columns.
pub(super) struct ProcessTable<'a> {
    model: &'a Model,
    sort: Sort,
    rows: &'a [Row],
    columns: Vec<PlacedColumn>,
    /// The largest visible RSS: a full bar.
    largest: u64,
}

impl<'a> ProcessTable<'a> {
    /// A table of `rows` in `area`, visible from `first` on.
    pub(super) fn new(model: &'a Model, sort: Sort, rows: &'a [Row], first: usize, area: Rect) -> Self {
        let mut needs = ColumnNeeds { name: 0, pid: 0, command: false };
        let mut largest = 0;
        let view = first..first.saturating_add(area.height.into());
        for (at, row) in rows.iter().enumerate() {
            let Some(root) = model.roots.get(row.root) else { continue };
            let Some(process) = row.process.and_then(|at| root.processes.get(at)) else { continue };
            let name = process.name_width.saturating_add(row.depth.saturating_mul(INDENT_CELLS));
            needs.name = needs.name.max(name);
            needs.pid = needs.pid.max(u16::try_from(process.sample.pid.max(1).ilog10()).unwrap_or(0) + 1);
            needs.command |= process.sample.cmdline.is_some();
            if view.contains(&at) && process.ended.is_none() {
                largest = largest.max(process.sample.rss_bytes.unwrap_or(0));
            }
        }
        Self { model, sort, rows, columns: lay_out(area.width, needs), largest }
    }

    /// The column titles; the one by which rows are sorted is marked.
    pub(super) fn titles(&self, area: Rect, buf: &mut Buffer) {
        buf.set_style(area, theme::TITLES);
        for place in &self.columns {
            let is_key = matches!(
                (self.sort, place.column),
                (Sort::Memory, Column::Rss) | (Sort::Growth, Column::Change)
            );
            let title = if is_key { format!("{}▾", place.title) } else { place.title.to_owned() };
            self.cell(area, *place, &title, theme::TITLES, buf);
        }
    }

    /// Draws the row at `at`, if it exists, in the first line of `area`.
    pub(super) fn row(&self, at: usize, area: Rect, buf: &mut Buffer) {
        let Some(row) = self.rows.get(at) else { return };
        let Some(root) = self.model.roots.get(row.root) else { return };
        match row.process.map(|at| root.processes.get(at)) {
            None => self.sum_row(root, area, buf),
            Some(Some(process)) => self.process_row(row, process, area, buf),
            Some(None) => {}
        }
    }

    /// The total of a tree, above its processes.
    fn sum_row(&self, root: &TreeState, area: Rect, buf: &mut Buffer) {
        let Some(root_process) = root.root_process() else { return };
        for place in &self.columns {
            let (text, style) = match place.column {
                Column::Name => (format!("Σ {} ({})", root_process.name, root.live_count()), theme::STRONG),
                Column::Rss => (glyphs::size(root.total_rss), theme::STRONG),
                Column::Change => {
                    let (text, style) = growth(Some(root.first_total), Some(root.total_rss));
                    (text, theme::STRONG.patch(style))
                }
                Column::History => history(&root.totals, place.width),
                Column::Pss => (glyphs::size_or_unknown(root.total_pss), theme::STRONG),
                Column::Bar => {
                    (root.ended.as_ref().map(|(how, _)| how.clone()).unwrap_or_default(), theme::FAINT)
                }
                Column::Pid | Column::State | Column::Cpu | Column::Threads | Column::Command => continue,
            };
            let style = if root.ended.is_some() { theme::FAINT } else { style };
            self.cell(area, *place, &text, style, buf);
        }
    }

    fn process_row(&self, row: &Row, process: &ProcessRow, area: Rect, buf: &mut Buffer) {
        let has_bars = self.columns.iter().any(|place| place.column == Column::Bar);
        // The exit is shown in place of the bar, or of the history in a narrow table.
        let exit_column = if has_bars { Column::Bar } else { Column::History };
        for place in &self.columns {
            let (text, style) = match (place.column, &process.ended) {
                (column, Some((how, _))) if column == exit_column => (how.clone(), theme::PLAIN),
                (Column::Name, _) => (self.name(row, process, place.width), theme::PLAIN),
                (column, _) => self.value(process, column, place.width),
            };
            let style = if process.ended.is_some() { theme::FAINT } else { style };
            self.cell(area, *place, &text, style, buf);
        }
    }

    /// The text and style of a column other than the name.
    fn value(&self, process: &ProcessRow, column: Column, width: u16) -> (String, Style) {
        let or_unknown = |text: Option<String>| (text.unwrap_or_else(|| UNKNOWN.to_owned()), theme::PLAIN);
        match column {
            Column::Name => (process.name.clone(), theme::PLAIN),
            Column::Pid => (process.sample.pid.to_string(), theme::PLAIN),
            Column::State => state(process.sample.state),
            Column::Rss => (glyphs::size_or_unknown(process.sample.rss_bytes), theme::STRONG),
            Column::Bar => {
                (glyphs::bar(process.sample.rss_bytes.unwrap_or(0), self.largest, width), theme::BAR)
            }
            Column::Change => growth(process.first_rss, process.sample.rss_bytes),
            Column::History => history(&process.history, width),
            Column::Pss => or_unknown(process.sample.pss_bytes.map(glyphs::size)),
            Column::Cpu => or_unknown(process.sample.cpu_ratio.map(glyphs::percent)),
            Column::Threads => or_unknown(process.sample.threads.map(glyphs::count)),
            Column::Command => (command(process, width), theme::FAINT),
        }
    }

    /// The name with the tree lines before it. Of a very deep tree only the lowest levels are drawn.
    fn name(&self, row: &Row, process: &ProcessRow, width: u16) -> String {
        if row.depth == 0 {
            return process.name.clone();
        }
        let levels = row.depth.min((width / 2 / INDENT_CELLS).max(1));
        let mut lines = vec![if row.is_last { "└─" } else { "├─" }];
        let mut above = row.parent.and_then(|at| self.rows.get(at));
        for _ in 1..levels {
            let Some(parent) = above.filter(|parent| parent.depth > 0) else { break };
            lines.push(if parent.is_last { "  " } else { "│ " });
            above = parent.parent.and_then(|at| self.rows.get(at));
        }
        if levels < row.depth
            && let Some(outermost) = lines.last_mut()
        {
            *outermost = "… ";
        }
        lines.reverse();
        lines.push(&process.name);
        lines.concat()
    }

    fn cell(&self, area: Rect, place: PlacedColumn, text: &str, style: Style, buf: &mut Buffer) {
        let text = fit(text, place.width);
        let is_right = place.column.is_right_aligned();
        let indent = if is_right { place.width.saturating_sub(glyphs::width(&text)) } else { 0 };
        let x = area.x.saturating_add(place.x).saturating_add(indent);
        let cell = Rect { x, width: place.width - indent, ..area };
        draw(Span::styled(text, style), cell.intersection(area), buf);
    }
}

/// A change from the first size, emphasized if it is notable.
fn growth(first: Option<u64>, now: Option<u64>) -> (String, Style) {
    let change = first.zip(now).map(|(first, now)| glyphs::change(Change::between(first, now).0));
    (change.unwrap_or_else(|| UNKNOWN.to_owned()), theme::growth(grew_notably(first, now)))
}

fn history(sizes: &VecDeque<Option<u64>>, width: u16) -> (String, Style) {
    (glyphs::spark(sizes.iter().copied(), width, 1).concat(), theme::HISTORY)
}

/// The state's letter, as in ps(1).
fn state(state: Option<ProcessState>) -> (String, Style) {
    let Some(state) = state else { return (UNKNOWN.to_owned(), theme::PLAIN) };
    let letter = b"RSDTtZXIP".iter().find(|letter| ProcessState::from_letter(**letter) == state);
    let style = match state {
        ProcessState::Running => theme::STRONG,
        ProcessState::DiskSleep | ProcessState::Zombie => theme::NOTICE,
        _ => theme::PLAIN,
    };
    (char::from(*letter.unwrap_or(&b'?')).to_string(), style)
}

/// The beginning of a command line, escaped. The command is without its folder.
fn command(process: &ProcessRow, width: u16) -> String {
    let Some(arguments) = &process.sample.cmdline else { return UNKNOWN.to_owned() };
    // Combining characters have no width, so up to twice the width may be visible.
    let most = usize::from(width) * 2 + 1;
    let mut line = String::new();
    let mut taken = 0;
    for (n, argument) in arguments.iter().enumerate() {
        if taken > most {
            break;
        }
        let argument = if n == 0 { command_name(argument) } else { argument };
        if n > 0 {
            line.push(' ');
        }
        line.extend(argument.chars().take(most - taken.min(most)));
        taken += argument.chars().take(most).count() + 1;
    }
    common::stdio::escape_controls(&line).into_owned()
}
