//! The table of processes. Only visible rows are built.

use common::process::ProcessState;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::columns::{Column, ColumnNeeds, PlacedColumn, lay_out};
use super::event_log::Severity;
use super::glyphs::{self, UNKNOWN, fit};
use super::model::{Model, Sort};
use super::process_state::ProcessRow;
use super::theme::Theme;
use super::tree_state::{Row, TreeState};

/// The indentation of a tree level, in cells.
const INDENT_CELLS: u16 = 2;

/// The rows and their columns.
pub(super) struct ProcessTable<'a> {
    model: &'a Model,
    theme: Theme,
    sort: Sort,
    rows: &'a [Row],
    columns: Vec<PlacedColumn>,
    /// The largest visible RSS: a full bar.
    largest: u64,
}

impl<'a> ProcessTable<'a> {
    /// A table of `rows` in `area`, visible from `first` on.
    pub(super) fn new(
        model: &'a Model,
        theme: Theme,
        sort: Sort,
        rows: &'a [Row],
        first: usize,
        area: Rect,
    ) -> Self {
        let mut needs = ColumnNeeds { name: 0, pid: 0, command: false };
        let mut largest = 0;
        let view = first..first.saturating_add(area.height.into());
        for (at, row) in rows.iter().enumerate() {
            let Some(root) = model.root(row) else { continue };
            let Some(process) = row.process.and_then(|at| root.process(at)) else { continue };
            let name = process.name_width.saturating_add(row.depth.saturating_mul(INDENT_CELLS));
            needs.name = needs.name.max(name);
            needs.pid = needs.pid.max(u16::try_from(process.pid.max(1).ilog10()).unwrap_or(0) + 1);
            needs.command |= process.cmdline.is_some();
            if view.contains(&at) && process.ended.is_none() {
                largest = largest.max(process.rss.unwrap_or(0));
            }
        }
        Self { model, theme, sort, rows, columns: lay_out(area.width, needs), largest }
    }

    /// The column titles; the one by which rows are sorted is marked.
    pub(super) fn titles(&self, area: Rect, buf: &mut Buffer) {
        buf.set_style(area, self.theme.titles());
        for place in &self.columns {
            let is_key = matches!(
                (self.sort, place.column),
                (Sort::Memory, Column::Rss) | (Sort::Growth, Column::Change)
            );
            let title = if is_key { format!("{}▾", place.title) } else { place.title.to_owned() };
            self.cell(area, *place, &title, self.theme.titles(), buf);
        }
    }

    /// Draws the row at `at`, if it exists, in the first line of `area`.
    pub(super) fn row(&self, at: usize, area: Rect, buf: &mut Buffer) {
        let Some(row) = self.rows.get(at) else { return };
        let Some(root) = self.model.root(row) else { return };
        match row.process.map(|at| root.process(at)) {
            None => self.sum_row(root, area, buf),
            Some(Some(process)) => self.process_row(row, process, area, buf),
            Some(None) => {}
        }
    }

    /// The total of a tree, above its processes.
    fn sum_row(&self, root: &TreeState, area: Rect, buf: &mut Buffer) {
        let strong = self.theme.strong();
        let Some(root_process) = root.root_process() else { return };
        for place in &self.columns {
            let (text, style) = match place.column {
                Column::Name => (format!("Σ {} ({})", root_process.name, root.live_count()), strong),
                Column::Rss => (glyphs::size(root.total_rss), strong),
                Column::Change => {
                    (glyphs::change(root.growth()), strong.patch(self.theme.growth(root.grew_notably())))
                }
                Column::History => {
                    (glyphs::spark(root.totals(), place.width, 1).concat(), self.theme.history())
                }
                Column::Pss => (glyphs::size_or_unknown(root.total_pss), strong),
                Column::Bar => {
                    let how = root.ended.as_ref().map(|(how, _)| how.clone());
                    (how.unwrap_or_default(), self.theme.faint())
                }
                Column::Pid | Column::State | Column::Cpu | Column::Threads | Column::Command => continue,
            };
            let style = if root.ended.is_some() { self.theme.faint() } else { style };
            self.cell(area, *place, &text, style, buf);
        }
    }

    fn process_row(&self, row: &Row, process: &ProcessRow, area: Rect, buf: &mut Buffer) {
        let has_bars = self.columns.iter().any(|place| place.column == Column::Bar);
        // The exit is shown in place of the bar, or of the history in a narrow table.
        let exit_column = if has_bars { Column::Bar } else { Column::History };
        for place in &self.columns {
            let (text, style) = match (place.column, &process.ended) {
                (column, Some(end)) if column == exit_column => (end.how.clone(), self.theme.plain()),
                (Column::Name, _) => (self.name(row, process, place.width), self.theme.plain()),
                (column, _) => self.value(process, column, place.width),
            };
            let style = if process.ended.is_some() { self.theme.faint() } else { style };
            self.cell(area, *place, &text, style, buf);
        }
    }

    /// The text and style of a column other than the name.
    fn value(&self, process: &ProcessRow, column: Column, width: u16) -> (String, Style) {
        let plain = self.theme.plain();
        match column {
            Column::Name => (process.name.clone(), plain),
            Column::Pid => (process.pid.to_string(), plain),
            Column::State => state(process.state, self.theme),
            Column::Rss => (glyphs::size_or_unknown(process.rss), self.theme.strong()),
            Column::Bar => (glyphs::bar(process.rss.unwrap_or(0), self.largest, width), self.theme.bar()),
            Column::Change => {
                let change = process.growth().map_or_else(|| UNKNOWN.to_owned(), glyphs::change);
                (change, self.theme.growth(process.grew_notably()))
            }
            Column::History => (glyphs::spark(process.history(), width, 1).concat(), self.theme.history()),
            Column::Pss => (glyphs::size_or_unknown(process.pss), plain),
            Column::Cpu => (process.cpu.map_or_else(|| UNKNOWN.to_owned(), glyphs::percent), plain),
            Column::Threads => (process.threads.map_or_else(|| UNKNOWN.to_owned(), glyphs::count), plain),
            Column::Command => (command(process, width), self.theme.faint()),
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
        let indent = if place.column.is_right_aligned() {
            place.width - glyphs::width(&text).min(place.width)
        } else {
            0
        };
        let x = area.x.saturating_add(place.x).saturating_add(indent);
        if x < area.right() && area.height > 0 {
            buf.set_stringn(x, area.y, text, (place.width - indent).into(), style);
        }
    }
}

/// The state's letter, as in ps(1).
fn state(state: Option<ProcessState>, theme: Theme) -> (String, Style) {
    use ProcessState as S;
    let (letter, style) = match state {
        Some(S::Running) => ("R", theme.strong()),
        Some(S::Sleeping) => ("S", theme.plain()),
        Some(S::DiskSleep) => ("D", theme.severity(Severity::Notice)),
        Some(S::Stopped) => ("T", theme.plain()),
        Some(S::TracingStop) => ("t", theme.plain()),
        Some(S::Zombie) => ("Z", theme.severity(Severity::Notice)),
        Some(S::Dead) => ("X", theme.plain()),
        Some(S::Idle) => ("I", theme.plain()),
        Some(S::Parked) => ("P", theme.plain()),
        Some(S::Unknown) => ("?", theme.plain()),
        None => (UNKNOWN, theme.plain()),
    };
    (letter.to_owned(), style)
}

/// The beginning of a command line, escaped.
fn command(process: &ProcessRow, width: u16) -> String {
    let Some(arguments) = &process.cmdline else { return UNKNOWN.to_owned() };
    // Combining characters have no width, so up to twice the width may be visible.
    let most = usize::from(width) * 2 + 1;
    let mut line = String::new();
    let mut taken = 0;
    for (n, argument) in arguments.iter().enumerate() {
        if taken > most {
            break;
        }
        if n > 0 {
            line.push(' ');
        }
        line.extend(argument.chars().take(most - taken.min(most)));
        taken += argument.chars().take(most).count() + 1;
    }
    common::stdio::escape_controls(&line).into_owned()
}
