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

use common::stdio::wants_colour;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::cli::Theme;
use crate::colour::{self, ThemeColour};
use crate::figure::Figure;
use layout::Layout;

/// How a terminal is given colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColourDepth {
    /// Not at all: no escape sequence is written. Letters tell the series apart.
    None,
    /// One of 256 that most terminals have.
    Indexed,
    /// Any.
    True,
}

/// Columns and rows where there is no terminal.
const DEFAULT_SIZE: (u16, u16) = (100, 30);

/// What a picture is drawn for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalOptions {
    /// Columns and rows there are. Less than 20 by 8 have no room for more than a title.
    pub size: (u16, u16),
    /// Which colours.
    pub depth: ColourDepth,
    /// Whether the terminal's ground is light.
    pub is_light: bool,
}

impl TerminalOptions {
    /// For a file, or a pipe: no colours, a common size.
    #[must_use]
    pub fn plain() -> Self {
        Self { size: DEFAULT_SIZE, depth: ColourDepth::None, is_light: false }
    }

    /// For stdout: if it is a terminal its size but for the line of the next prompt, and what it says of its colours in
    /// `COLORTERM` and `COLORFGBG`.
    #[must_use]
    pub fn for_stdout(theme: Theme) -> Self {
        let stdout = std::io::stdout();
        if !std::io::IsTerminal::is_terminal(&stdout) {
            return Self::plain();
        }
        let size = crossterm::terminal::size().ok().filter(|(columns, rows)| *columns > 0 && *rows > 0);
        let (columns, rows) = size.unwrap_or(DEFAULT_SIZE);
        let has = |name: &str, values: &[&str]| {
            std::env::var(name).is_ok_and(|value| values.iter().any(|end| value.ends_with(end)))
        };
        let depth = match wants_colour(&stdout) {
            false => ColourDepth::None,
            true if has("COLORTERM", &["truecolor", "24bit"]) => ColourDepth::True,
            true => ColourDepth::Indexed,
        };
        let is_light = match theme {
            Theme::Light => true,
            Theme::Dark => false,
            // Colours of text and ground by number: white is 7 or 15. Most terminals are dark.
            Theme::Auto => has("COLORFGBG", &[";7", ";15"]),
        };
        Self { size: (columns, rows.saturating_sub(1)), depth, is_light }
    }

    fn colour(self, colour: ThemeColour) -> ratatui::style::Color {
        ansi::colour(if self.is_light { colour.light } else { colour.dark }, self.depth)
    }

    fn series(self, index: Option<usize>) -> ratatui::style::Color {
        self.colour(colour::for_series(index))
    }
}

/// `picture` as lines of text, at most as many as there are rows.
#[must_use]
pub fn text(figure: &Figure, options: TerminalOptions) -> String {
    let mut buffer = Buffer::empty(Rect::new(0, 0, options.size.0, options.size.1));
    let rows = render(figure, options, &mut buffer);
    ansi::lines(&buffer, rows, options.depth)
}

/// Draws into the buffer; returns how many rows it took.
fn render(figure: &Figure, options: TerminalOptions, buffer: &mut Buffer) -> u16 {
    let layout = Layout::new(figure, options, buffer.area);
    text::head(figure, &layout, buffer);
    if layout.plot.is_empty() {
        return layout.rows;
    }
    axis::draw(&layout, buffer);
    if figure.series.iter().chain(&figure.total).all(|series| series.runs.iter().all(Vec::is_empty)) {
        text::centred("Nothing was measured", layout.plot, buffer);
    }
    if figure.stacked && options.depth != ColourDepth::None {
        areas::draw(figure, options, &layout, buffer);
    } else {
        lines::draw(figure, options, &layout, buffer);
    }
    axis::marks(figure, options, &layout, buffer);
    labels::draw(figure, options, &layout, buffer);
    layout.rows
}

#[cfg(test)]
mod tests;
