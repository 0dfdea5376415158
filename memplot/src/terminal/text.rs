//! Words in cells: cut by width, not by letters, and with nothing in them that a terminal would obey.

use common::columns;
use common::stdio::escape_controls;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::layout::Layout;
use crate::figure::Figure;

/// How many cells a text takes.
pub(super) fn width(text: &str) -> u16 {
    u16::try_from(columns::width(text)).unwrap_or(u16::MAX)
}

/// A name without control characters, in at most `cells` cells; one that is longer is cut in its middle.
pub(super) fn shorten(text: &str, cells: u16) -> String {
    columns::shortened(&escape_controls(text), cells.into()).into_owned()
}

/// What helps to find one's way.
pub(super) fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

/// The subtitle in rows of at most so many cells: its parts stay whole where they can.
pub(super) fn subtitle(figure: &Figure, cells: u16) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    for part in figure.subtitle.split("  ·  ").filter(|part| !part.is_empty()) {
        let part = escape_controls(part);
        match rows.last_mut() {
            Some(row) if width(row).saturating_add(width(&part) + 3) <= cells => {
                row.push_str(" · ");
                row.push_str(&part);
            }
            _ => rows.push(part.into_owned()),
        }
    }
    rows
}

/// Title and subtitle.
pub(super) fn head(figure: &Figure, layout: &Layout, buffer: &mut Buffer) {
    let area = buffer.area;
    let title = (figure.title.clone(), Style::new().add_modifier(Modifier::BOLD));
    let rows = subtitle(figure, area.width).into_iter().map(|row| (row, dim()));
    for (y, (text, style)) in (area.y..).zip(std::iter::once(title).chain(rows)).take(layout.head.into()) {
        write_text(buffer, (area.x, y), &shorten(&text, area.width), style);
    }
}

/// Writes a text where it stands inside of the buffer.
pub(super) fn write_text(buffer: &mut Buffer, (x, y): (u16, u16), text: &str, style: Style) {
    let area = buffer.area;
    if x < area.right() && y < area.bottom() {
        buffer.set_stringn(x, y, text, usize::from(area.right() - x), style);
    }
}

/// Writes a text in the middle of a part of the buffer.
pub(super) fn centred(text: &str, area: Rect, buffer: &mut Buffer) {
    let text = shorten(text, area.width);
    write_text(
        buffer,
        (area.x + (area.width - width(&text)) / 2, area.y + area.height / 2),
        &text,
        Style::new(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shortened_and_escaped() {
        assert_eq!(shorten("package.module.LongTypeName", 16), "package.…ypeName");
        assert_eq!(shorten("a\u{1b}[31mb", 20), "a\\u{1b}[31mb");
    }
}
