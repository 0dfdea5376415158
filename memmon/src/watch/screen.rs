//! The whole screen: its layout and its keys.

use common::record::Record;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::glyphs::{self, fit};
use super::header;
use super::keys::Key;
use super::model::{Model, Sort};
use super::process_table::ProcessTable;
use super::theme::Theme;
use super::tree_state::Row;

/// The most lines of events and of the command's output.
const MAX_EVENT_LINES: usize = 4;
const MAX_OUTPUT_LINES: usize = 6;

/// The state of the watched processes, and which part of it is visible.
#[derive(Debug)]
pub(super) struct Screen {
    model: Model,
    theme: Theme,
    has_keys: bool,
    sort: Sort,
    /// The first visible row.
    first: usize,
    /// The number of visible rows at the last drawing.
    page: usize,
}

/// The height of each part, in lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct RowPlan {
    title: u16,
    machine: u16,
    sum: u16,
    titles: u16,
    table: u16,
    events: u16,
    output: u16,
    footer: u16,
}

impl RowPlan {
    /// Divides `height` lines. The table gets at least half of what the fixed parts leave, or what its rows need if that is less.
    fn new(
        height: u16,
        has_machine: bool,
        has_keys: bool,
        rows: usize,
        events: usize,
        output: usize,
    ) -> Self {
        let fixed = |from: u16| u16::from(height >= from);
        let mut plan = Self {
            title: fixed(1),
            sum: match height {
                ..3 => 0,
                3..18 => 1,
                18..28 => 2,
                28..45 => 3,
                _ => 5,
            },
            titles: fixed(4),
            machine: if has_machine { fixed(6) } else { 0 },
            footer: if has_keys { fixed(7) } else { 0 },
            ..Self::default()
        };
        let left = height.saturating_sub(plan.title + plan.sum + plan.titles + plan.machine + plan.footer);
        let room = left.saturating_sub(u16::try_from(rows).unwrap_or(u16::MAX)).max(left / 2);
        // A line for the title of the pane, and its lines.
        let pane = |lines: usize, most: usize| match lines.min(most) {
            0 => 0,
            lines => u16::try_from(lines + 1).unwrap_or(0),
        };
        let (events, output) = (pane(events, MAX_EVENT_LINES), pane(output, MAX_OUTPUT_LINES));
        plan.events = events.min(room.saturating_sub(output).max(room / 2));
        plan.output = output.min(room - plan.events);
        plan.table = left - plan.events - plan.output;
        plan
    }
}

impl Screen {
    /// An empty screen; with `has_keys` it shows which keys there are.
    pub(super) fn new(has_keys: bool, has_colour: bool) -> Self {
        Self {
            model: Model::default(),
            theme: Theme::new(has_colour),
            has_keys,
            sort: Sort::default(),
            first: 0,
            page: 1,
        }
    }

    /// Takes a record.
    pub(super) fn take(&mut self, record: &Record) {
        self.model.take(record);
    }

    /// Takes a line of the launched command's output.
    pub(super) fn take_output(&mut self, line: &str) {
        self.model.output.take(line);
    }

    /// Handles a key. Returns whether it quits. Drawing limits how far one can scroll.
    pub(super) fn press(&mut self, key: Key) -> bool {
        let page = self.page.saturating_sub(1).max(1);
        match key {
            Key::Quit | Key::Repaint => {}
            Key::Up => self.first = self.first.saturating_sub(1),
            Key::Down => self.first = self.first.saturating_add(1),
            Key::PageUp => self.first = self.first.saturating_sub(page),
            Key::PageDown => self.first = self.first.saturating_add(page),
            Key::Home => self.first = 0,
            Key::End => self.first = usize::MAX,
            Key::Sort => {
                self.sort = self.sort.next();
                self.first = 0;
            }
        }
        key == Key::Quit
    }

    /// Draws everything into `area` of an empty buffer.
    pub(super) fn render(&mut self, area: Rect, buf: &mut Buffer) {
        let area = area.intersection(buf.area);
        if area.is_empty() {
            return;
        }
        self.model.commit_total();
        let model = &self.model;
        let has_machine =
            model.system.is_some() || model.pressure.is_some() || model.tightest_cgroup().is_some();
        let rows = model.rows(self.sort);
        let (events, output) = (model.events.entries().len(), model.output.lines().len());
        let plan = RowPlan::new(area.height, has_machine, self.has_keys, rows.len(), events, output);
        let mut y = area.y;
        let mut part = |height: u16| {
            let part = Rect { y, height, ..area };
            y += height;
            part
        };
        self.page = usize::from(plan.table);
        self.first = self.first.min(rows.len().saturating_sub(self.page));

        for area in part(plan.title).rows() {
            header::title(model, self.theme, area, buf);
        }
        for area in part(plan.machine).rows() {
            header::machine(model, self.theme, area, buf);
        }
        let sum = part(plan.sum);
        if !sum.is_empty() {
            header::sum(model, self.theme, sum, buf);
        }
        let (titles, body) = (part(plan.titles), part(plan.table));
        let table = ProcessTable::new(model, self.theme, self.sort, &rows, self.first, body);
        if !titles.is_empty() {
            table.titles(titles, buf);
        }
        // Without keys nobody can scroll: show how many rows are hidden.
        let hidden = rows.len().saturating_sub(self.page);
        let shows_hidden = !self.has_keys && hidden > 0 && self.page > 1;
        for (n, line) in body.rows().enumerate() {
            if shows_hidden && n + 1 == self.page {
                let text = format!("… and {} more", hidden + 1);
                buf.set_stringn(line.x, line.y, text, line.width.into(), self.theme.faint());
            } else {
                table.row(self.first.saturating_add(n), line, buf);
            }
        }
        self.render_events(part(plan.events), buf);
        self.render_output(part(plan.output), buf);
        self.render_footer(part(plan.footer), &rows, buf);
    }

    /// Draws the title of a pane of more than one line. Returns the area for its lines.
    fn pane(&self, name: &str, area: Rect, buf: &mut Buffer) -> Rect {
        if area.height < 2 {
            return area;
        }
        let rule = format!("── {name} {}", "─".repeat(area.width.into()));
        buf.set_stringn(area.x, area.y, rule, area.width.into(), self.theme.faint());
        Rect { y: area.y + 1, height: area.height - 1, ..area }
    }

    fn render_events(&self, area: Rect, buf: &mut Buffer) {
        let area = self.pane("events", area, buf);
        for (line, item) in area.rows().zip(self.model.events.entries().last(area.height.into())) {
            let clock = format!("{} ", item.moment.format("%H:%M:%S"));
            let times =
                if item.times > 1 { format!(" (×{})", glyphs::count(item.times)) } else { String::new() };
            let room = line.width.saturating_sub(glyphs::width(&clock) + glyphs::width(&times));
            let spans = vec![
                Span::styled(clock, self.theme.faint()),
                Span::styled(fit(&item.text, room), self.theme.severity(item.severity)),
                Span::styled(times, self.theme.faint()),
            ];
            buf.set_line(line.x, line.y, &Line::from(spans), line.width);
        }
    }

    fn render_output(&self, area: Rect, buf: &mut Buffer) {
        let area = self.pane("output", area, buf);
        for (line, text) in area.rows().zip(self.model.output.lines().last(area.height.into())) {
            buf.set_stringn(line.x, line.y, fit(text, line.width), line.width.into(), self.theme.plain());
        }
    }

    fn render_footer(&self, area: Rect, rows: &[Row], buf: &mut Buffer) {
        if area.is_empty() {
            return;
        }
        let mut left = area.width;
        if rows.len() > self.page {
            let last = self.first.saturating_add(self.page).min(rows.len());
            let place = format!("{}–{last} of {}", self.first + 1, rows.len());
            let cells = glyphs::width(&place);
            if cells + 12 <= area.width {
                left -= cells + 1;
                buf.set_string(area.x + left + 1, area.y, place, self.theme.plain());
            }
        }
        let sort = format!("sort: {}", self.sort.as_str());
        let keys = [("q", "quit"), ("s", sort.as_str()), ("↑↓", "scroll"), ("PgUp PgDn", "page")];
        let mut spans = Vec::new();
        let mut used = 0;
        for (key, what) in keys {
            let cells = glyphs::width(key) + 1 + glyphs::width(what) + 2;
            if used + cells > left + 2 {
                break;
            }
            used += cells;
            spans.push(Span::styled(key, self.theme.strong()));
            spans.push(Span::styled(format!(" {what}  "), self.theme.faint()));
        }
        buf.set_line(area.x, area.y, &Line::from(spans), left);
    }
}
