//! Text in cells: shortened by width, and without control characters.

use common::columns;
use common::stdio::escape_controls;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::figure::Figure;
use crate::format::wrap_parts;

/// The number of cells that a text takes.
pub(crate) fn width(text: &str) -> u16 {
    u16::try_from(columns::width(text)).unwrap_or(u16::MAX)
}

/// Escapes control characters, and shortens the middle of a text to fit into `cells`.
pub(crate) fn shorten(text: &str, cells: u16) -> String {
    columns::shortened(&escape_controls(text), cells.into()).into_owned()
}

/// The style of secondary text.
pub(super) fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

/// The subtitle in rows of at most `cells`.
pub(super) fn subtitle_rows(figure: &Figure, cells: u16) -> Vec<String> {
    let parts: Vec<String> = figure.subtitle.iter().map(|part| escape_controls(part).into_owned()).collect();
    wrap_parts(&parts, " · ", |row| width(row) <= cells)
}

/// Writes the part of a text that is inside the buffer.
pub(super) fn write_text(buffer: &mut Buffer, (x, y): (u16, u16), text: &str, style: Style) {
    let area = buffer.area;
    if x < area.right() && y < area.bottom() {
        buffer.set_stringn(x, y, text, usize::from(area.right() - x), style);
    }
}

/// Writes a text in the centre of an area.
pub(super) fn centre(text: &str, area: Rect, buffer: &mut Buffer) {
    let text = shorten(text, area.width);
    let (x, y) = (area.x + (area.width - width(&text)) / 2, area.y + area.height / 2);
    write_text(buffer, (x, y), &text, Style::new());
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
