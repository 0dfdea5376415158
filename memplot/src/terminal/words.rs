//! Words in cells: cut by width, not by letters, and with nothing in them that a terminal would obey.

use common::stdio::escape_controls;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::layout::Layout;
use crate::picture::Picture;

/// How many cells a text takes.
pub(super) fn width(text: &str) -> u16 {
    u16::try_from(text.width()).unwrap_or(u16::MAX)
}

/// A name without control characters, in at most `cells` cells; one that is longer is cut in its middle, as its end often
/// tells more than its beginning.
pub(super) fn shorten(text: &str, cells: u16) -> String {
    let text = escape_controls(text);
    if width(&text) <= cells {
        return text.into_owned();
    }
    let Some(room) = cells.checked_sub(1) else { return String::new() };
    let end = within(text.chars().rev(), room / 3);
    let start = within(text.chars(), room - width(&end));
    let end: String = end.chars().rev().collect();
    format!("{start}…{end}")
}

/// As many of the characters as fit.
fn within(characters: impl Iterator<Item = char>, cells: u16) -> String {
    let mut left = usize::from(cells);
    characters
        .take_while(|c| {
            // Behind a heart or a digit this one asks for the wide picture of it.
            let width = if *c == '\u{fe0f}' { 1 } else { c.width().unwrap_or(0) };
            left.checked_sub(width).map(|rest| left = rest).is_some()
        })
        .collect()
}

/// What helps to find one's way.
pub(super) fn faint() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

/// The subtitle in rows of at most so many cells: its parts stay whole where they can.
pub(super) fn subtitle(picture: &Picture, cells: u16) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    for part in picture.subtitle.split("  ·  ").filter(|part| !part.is_empty()) {
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
pub(super) fn head(picture: &Picture, layout: &Layout, buffer: &mut Buffer) {
    let area = buffer.area;
    let title = (picture.title.clone(), Style::new().add_modifier(Modifier::BOLD));
    let rows = subtitle(picture, area.width).into_iter().map(|row| (row, faint()));
    for (y, (text, style)) in (area.y..).zip(std::iter::once(title).chain(rows)).take(layout.head.into()) {
        put(buffer, (area.x, y), &shorten(&text, area.width), style);
    }
}

/// Writes a text where it stands inside of the buffer.
pub(super) fn put(buffer: &mut Buffer, (x, y): (u16, u16), text: &str, style: Style) {
    let area = buffer.area;
    if x < area.right() && y < area.bottom() {
        buffer.set_stringn(x, y, text, usize::from(area.right() - x), style);
    }
}

/// Writes a text in the middle of a part of the buffer.
pub(super) fn centred(text: &str, area: Rect, buffer: &mut Buffer) {
    let text = shorten(text, area.width);
    put(buffer, (area.x + (area.width - width(&text)) / 2, area.y + area.height / 2), &text, Style::new());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_cut_in_their_middle() {
        assert_eq!(shorten("short", 5), "short");
        assert_eq!(shorten("package.module.LongTypeName", 16), "package.mo…eName");
        assert_eq!(shorten("名前です名前です", 8), "名前…す");
        assert_eq!(shorten("a\u{1b}[31mb", 20), "a\\u{1b}[31mb");
        assert_eq!([shorten("abc", 0), shorten("abc", 1), shorten("abc", 2)], ["", "…", "a…"]);
    }

    proptest! {
        #[test]
        fn a_cut_name_fits(text: String, cells in 0_u16..40) {
            prop_assert!(width(&shorten(&text, cells)) <= cells);
        }
    }
}
