//! The terminal that a figure is drawn for.

use common::stdio::wants_colour;
use ratatui::style::Color;

use super::ansi;
use crate::cli::Theme;
use crate::colour::{self, ThemeColour};

/// The colours of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColourDepth {
    /// None, and no escape sequences. Letters distinguish the series.
    None,
    /// The 256 colours that most terminals have.
    Indexed,
    /// All colours.
    True,
}

/// Columns and rows without a terminal.
const DEFAULT_SIZE: (u16, u16) = (100, 30);

/// Size and colours of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalOptions {
    /// Columns and rows. Less than 20 by 8 have room for a title only.
    pub size: (u16, u16),
    /// The colours.
    pub depth: ColourDepth,
    /// Whether the background is light.
    pub is_light: bool,
}

impl TerminalOptions {
    /// Default size and no colours, for a file or pipe.
    #[must_use]
    pub fn plain() -> Self {
        Self { size: DEFAULT_SIZE, depth: ColourDepth::None, is_light: false }
    }

    /// The terminal on stdout: its size without the line of the next prompt, and its colours as `COLORTERM` and `COLORFGBG`
    /// describe them. [`plain`](Self::plain) if stdout is no terminal.
    #[must_use]
    pub fn for_stdout(theme: Theme) -> Self {
        let stdout = std::io::stdout();
        if !std::io::IsTerminal::is_terminal(&stdout) {
            return Self::plain();
        }
        let size = crossterm::terminal::size().ok().filter(|(columns, rows)| *columns > 0 && *rows > 0);
        let (columns, rows) = size.unwrap_or(DEFAULT_SIZE);
        let ends_with = |name: &str, ends: &[&str]| {
            std::env::var(name).is_ok_and(|value| ends.iter().any(|end| value.ends_with(end)))
        };
        let depth = match wants_colour(&stdout) {
            false => ColourDepth::None,
            true if ends_with("COLORTERM", &["truecolor", "24bit"]) => ColourDepth::True,
            true => ColourDepth::Indexed,
        };
        let is_light = match theme {
            Theme::Light => true,
            Theme::Dark => false,
            // The numbers of text and background colour; 7 and 15 are white. Most terminals are dark.
            Theme::Auto => ends_with("COLORFGBG", &[";7", ";15"]),
        };
        Self { size: (columns, rows.saturating_sub(1)), depth, is_light }
    }

    pub(crate) fn colour(self, colour: ThemeColour) -> Color {
        let rgb = if self.is_light { colour.light } else { colour.dark };
        match self.depth {
            ColourDepth::None => Color::Reset,
            ColourDepth::True => Color::Rgb(rgb.0, rgb.1, rgb.2),
            ColourDepth::Indexed => Color::Indexed(ansi::nearest(rgb)),
        }
    }

    pub(crate) fn series(self, index: Option<usize>) -> Color {
        self.colour(colour::for_series(index))
    }
}
