//! A picture in a terminal's own characters, so that a shell on a far machine is enough to see it.
//!
//! Lines are drawn in braille, eight dots a character; stacked areas in blocks, eight steps a character. Every peak is
//! kept, gaps are gaps, and nothing stands outside of the size that was asked for.

mod ansi;
mod areas;
mod axis;
mod labels;
mod layout;
mod lines;
mod text;

use std::io::{self, Write};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::colour::{self, Colour};
use crate::picture::Picture;
use layout::Layout;

/// How a terminal is given colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Not at all: no escape sequence is written. Letters tell the series apart.
    None,
    /// One of 256 that most terminals have.
    Indexed,
    /// Any.
    True,
}

impl Depth {
    /// What a terminal says that it can do in its `COLORTERM`.
    #[must_use]
    pub fn of(colorterm: Option<&str>) -> Self {
        match colorterm {
            Some("truecolor" | "24bit") => Self::True,
            _ => Self::Indexed,
        }
    }
}

/// What a picture is drawn for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Columns and rows there are. Less than 20 or 6 show no picture, only its title.
    pub size: (u16, u16),
    /// Which colours.
    pub depth: Depth,
    /// Whether the terminal's ground is light.
    pub is_light: bool,
}

impl Look {
    fn colour(self, colour: Colour) -> ratatui::style::Color {
        ansi::colour(if self.is_light { colour.light } else { colour.dark }, self.depth)
    }

    fn series(self, index: Option<usize>) -> ratatui::style::Color {
        self.colour(colour::of(index))
    }
}

/// Writes `picture` as lines of text, at most as many as there are rows.
///
/// # Errors
/// Those of `out`.
pub fn draw(picture: &Picture, look: Look, out: &mut dyn Write) -> io::Result<()> {
    let mut buffer = Buffer::empty(Rect::new(0, 0, look.size.0, look.size.1));
    let rows = render(picture, look, &mut buffer);
    ansi::write(&buffer, rows, look.depth, out)
}

/// Draws into the buffer; returns how many rows it took.
fn render(picture: &Picture, look: Look, buffer: &mut Buffer) -> u16 {
    let layout = Layout::new(picture, look, buffer.area);
    text::head(picture, &layout, buffer);
    if layout.plot.is_empty() {
        return layout.rows;
    }
    axis::draw(&layout, buffer);
    if picture.series.iter().chain(&picture.total).all(|series| series.runs.iter().all(Vec::is_empty)) {
        text::centred("Nothing was measured", layout.plot, buffer);
    }
    if picture.stacked && look.depth != Depth::None {
        areas::draw(picture, look, &layout, buffer);
    } else {
        lines::draw(picture, look, &layout, buffer);
    }
    axis::marks(picture, look, &layout, buffer);
    labels::draw(picture, look, &layout, buffer);
    layout.rows
}

#[cfg(test)]
mod tests;
