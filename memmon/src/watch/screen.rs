//! The whole screen: its layout and its keys.

use common::record::Record;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Color;
use ratatui::text::Span;

use super::glyphs::{self, draw, fit};
use super::keys::Key;
use super::model::{Model, Sort};
use super::process_table::ProcessTable;
use super::tree_state::Row;
use super::{header, recent, theme};

/// The most lines of events and of the command's output.
const MAX_EVENT_LINES: usize = 4;
const MAX_OUTPUT_LINES: usize = 6;

/// The state of the watched processes, and which part of it is visible.
#[derive(Debug, Default)]
pub(super) struct Screen {
    model: Model,
    has_colour: bool,
    has_keys: bool,
    sort: Sort,
    /// The first visible row.
    first: usize,
    /// The number of visible rows at the last drawing.
    page: usize,
}

/// Divides `height` lines among title, machine, sum, titles, table, events, output and footer.
///
/// The table gets at least half of what the fixed parts leave, or what its rows need if that is less.
fn divide(
    height: u16,
    has_machine: bool,
    has_keys: bool,
    rows: usize,
    events: usize,
    output: usize,
) -> [u16; 8] {
    let fixed = |from: u16, is_wanted: bool| u16::from(is_wanted && height >= from);
    let sum = match height {
        ..3 => 0,
        3..18 => 1,
        18..28 => 2,
        28..45 => 3,
        _ => 5,
    };
    let (title, titles) = (fixed(1, true), fixed(4, true));
    let (machine, footer) = (fixed(6, has_machine), fixed(7, has_keys));
    let left = height.saturating_sub(title + sum + titles + machine + footer);
    let room = left.saturating_sub(u16::try_from(rows).unwrap_or(u16::MAX)).max(left / 2);
    // A line for the title of the pane, and its lines.
    let pane = |lines: usize, most: usize| match lines.min(most) {
        0 => 0,
        lines => u16::try_from(lines + 1).unwrap_or(0),
    };
    let (events, output) = (pane(events, MAX_EVENT_LINES), pane(output, MAX_OUTPUT_LINES));
    let events = events.min(room.saturating_sub(output).max(room / 2));
    let output = output.min(room - events);
    [title, machine, sum, titles, left - events - output, events, output, footer]
}

impl Screen {
    /// An empty screen; with `has_keys` it shows which keys there are.
    pub(super) fn new(has_keys: bool, has_colour: bool) -> Self {
        Self { has_colour, has_keys, page: 1, ..Self::default() }
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
            Key::Sort => (self.sort, self.first) = (self.sort.next(), 0),
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
        let (events, output) = (model.events.entries.len(), model.output.lines.len());
        let mut y = area.y;
        let parts = divide(area.height, has_machine, self.has_keys, rows.len(), events, output);
        let [title, machine, sum, titles, body, events, output, footer] = parts.map(|height| {
            let part = Rect { y, height, ..area };
            y += height;
            part
        });
        self.page = usize::from(body.height);
        self.first = self.first.min(rows.len().saturating_sub(self.page));
        header::title(model, title, buf);
        header::machine(model, machine, buf);
        header::sum(model, sum, buf);
        let table = ProcessTable::new(model, self.sort, &rows, self.first, body);
        table.titles(titles, buf);
        // Without keys the table cannot be scrolled: show how many rows are hidden.
        let hidden = rows.len().saturating_sub(self.page);
        let shows_hidden = !self.has_keys && hidden > 0 && self.page > 1;
        for (n, line) in body.rows().enumerate() {
            if shows_hidden && n + 1 == self.page {
                draw(Span::styled(format!("… and {} more", hidden + 1), theme::FAINT), line, buf);
            } else {
                table.row(self.first.saturating_add(n), line, buf);
            }
        }
        self.render_events(events, buf);
        let output = pane("output", output, buf);
        for (line, text) in output.rows().zip(recent::last(&model.output.lines, output.height.into())) {
            draw(fit(text, line.width), line, buf);
        }
        self.render_footer(footer, &rows, buf);
        if !self.has_colour {
            buf.content.iter_mut().for_each(|cell| cell.fg = Color::Reset);
        }
    }

    fn render_events(&self, area: Rect, buf: &mut Buffer) {
        let area = pane("events", area, buf);
        for (line, item) in area.rows().zip(recent::last(&self.model.events.entries, area.height.into())) {
            let clock = format!("{} ", item.moment.format("%H:%M:%S"));
            let times =
                if item.times > 1 { format!(" (×{})", glyphs::count(item.times)) } else { String::new() };
            let room = line.width.saturating_sub(glyphs::width(&clock) + glyphs::width(&times));
            let spans = vec![
                Span::styled(clock, theme::FAINT),
                Span::styled(fit(&item.text, room), item.style),
                Span::styled(times, theme::FAINT),
            ];
            draw(spans, line, buf);
        }
    }

    fn render_footer(&self, area: Rect, rows: &[Row], buf: &mut Buffer) {
        let mut left = area.width;
        if rows.len() > self.page {
            let last = self.first.saturating_add(self.page).min(rows.len());
            let place = format!("{}–{last} of {}", self.first + 1, rows.len());
            let cells = glyphs::width(&place);
            if cells + 12 <= area.width {
                left -= cells + 1;
                draw(place, Rect { x: area.right() - cells, width: cells, ..area }, buf);
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
            spans.push(Span::styled(key, theme::STRONG));
            spans.push(Span::styled(format!(" {what}  "), theme::FAINT));
        }
        draw(spans, Rect { width: left, ..area }, buf);
    }
}

/// Draws the title of a pane of more than one line. Returns the area for its lines.
fn pane(name: &str, area: Rect, buf: &mut Buffer) -> Rect {
    if area.height < 2 {
        return area;
    }
    let rule = format!("── {name} {}", "─".repeat(area.width.into()));
    draw(Span::styled(rule, theme::FAINT), area, buf);
    Rect { y: area.y + 1, height: area.height - 1, ..area }
}
