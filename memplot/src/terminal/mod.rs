//! Draws a figure with the characters of a terminal.
//!
//! Lines are drawn in braille, with eight dots a cell; stacked areas in blocks, with eight steps a cell. Peaks and gaps are kept,
//! and nothing is outside the requested size.

mod ansi;
mod areas;
mod axis;
mod events;
mod interpolate;
mod label_text;
mod labels;
mod layout;
mod lines;
mod options;
mod text;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use self::layout::Layout;
use self::text::{centre, dim, write_text};
use crate::figure::Figure;

pub(crate) use ansi::lines;
pub use options::{ColourDepth, TerminalOptions};
pub(crate) use text::{shorten, width as cells};

/// Renders a figure as lines of text, at most as many as the terminal has rows.
#[must_use]
pub fn render(figure: &Figure, options: TerminalOptions) -> String {
    let mut buffer = Buffer::empty(Rect::new(0, 0, options.size.0, options.size.1));
    let layout = Layout::new(figure, options, buffer.area);
    draw(figure, options, &layout, &mut buffer);
    lines(&buffer, layout.rows, options.depth != ColourDepth::None)
}

fn draw(figure: &Figure, options: TerminalOptions, layout: &Layout, buffer: &mut Buffer) {
    let styles = std::iter::once(Style::new().add_modifier(Modifier::BOLD)).chain(std::iter::repeat(dim()));
    for (y, (text, style)) in (0..).zip(layout.head.iter().zip(styles)) {
        write_text(buffer, (0, y), &shorten(text, options.size.0), style);
    }
    if layout.plot.is_empty() {
        return;
    }
    axis::draw(layout, buffer);
    if figure.series.iter().chain(&figure.total).all(|series| series.points().next().is_none()) {
        centre("Nothing was measured", layout.plot, buffer);
    }
    if figure.stacked && options.depth != ColourDepth::None {
        areas::draw(figure, options, layout, buffer);
    } else {
        lines::draw(figure, options, layout, buffer);
    }
    axis::draw_marks(figure, options, layout, buffer);
    labels::draw(figure, options, layout, buffer);
}

#[cfg(test)]
mod tests;
