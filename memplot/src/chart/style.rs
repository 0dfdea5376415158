//! Font sizes, and the roles of colours with their CSS classes.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::cli::Theme;
use crate::colour::{ALERT, BACKGROUND, GRID, MUTED, PALETTE, Rgb, TEXT, ThemeColour, for_series, hex};

/// Font size of the title, in pixels.
pub const TITLE: f64 = 20.0;
/// Font size of the subtitle.
pub const SUBTITLE: f64 = 13.0;
/// Font size of all other text.
pub const BODY: f64 = 12.0;

/// The purpose of a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The background.
    Background,
    /// Main text, and the line of the total.
    Text,
    /// Secondary text.
    Muted,
    /// Grid lines.
    Grid,
    /// Crossed limits and out-of-memory kills.
    Alert,
    /// A series.
    Series(Option<usize>),
}

impl Role {
    /// Its colour, and the suffix of its classes.
    fn style(self) -> (ThemeColour, String) {
        let (colour, suffix) = match self {
            Self::Background => (BACKGROUND, "g"),
            Self::Text => (TEXT, "t"),
            Self::Muted => (MUTED, "m"),
            Self::Grid => (GRID, "h"),
            Self::Alert => (ALERT, "w"),
            Self::Series(None) => (for_series(None), "o"),
            Self::Series(Some(index)) => (for_series(Some(index)), &*format!("c{}", index % PALETTE.len())),
        };
        (colour, suffix.to_owned())
    }

    /// The class of filled shapes and text.
    pub fn fill(self) -> String {
        format!("f{}", self.style().1)
    }

    /// The class of lines.
    pub fn stroke(self) -> String {
        format!("s{}", self.style().1)
    }

    /// Its colour. The automatic theme is light, and [`dark_mode_css`] makes it dark.
    pub fn rgb(self, theme: Theme) -> Rgb {
        let colour = self.style().0;
        if theme == Theme::Dark { colour.dark } else { colour.light }
    }
}

/// A style sheet with dark colours for viewers that prefer them. Renderers without media queries use the light attributes.
pub fn dark_mode_css(series: &BTreeSet<Option<usize>>) -> String {
    let mut css = "@media (prefers-color-scheme:dark){".to_owned();
    let roles = [Role::Background, Role::Text, Role::Muted, Role::Grid, Role::Alert];
    for role in roles.into_iter().chain(series.iter().map(|colour| Role::Series(*colour))) {
        let dark = hex(role.rgb(Theme::Dark));
        let _ = write!(css, ".{}{{fill:{dark}}}.{}{{stroke:{dark}}}", role.fill(), role.stroke());
    }
    css.push('}');
    css
}
