//! Colours that people with any kind of colour vision can tell apart, on white and on black.

/// Which background a picture is made for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Theme {
    /// The reader's choice, where the form of the picture has one.
    #[default]
    Auto,
    /// White.
    Light,
    /// Black.
    Dark,
}

/// One colour on both backgrounds, as `#rrggbb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hue {
    /// On white.
    pub light: &'static str,
    /// On black.
    pub dark: &'static str,
}

/// Text, and the line of the total.
pub const INK: Hue = Hue { light: "#1d2126", dark: "#e6e9ec" };
/// The background.
pub const PAPER: Hue = Hue { light: "#ffffff", dark: "#14181d" };

/// The colours of series.
#[derive(Debug)]
pub struct Palette;

impl Palette {
    /// The colours that names are given.
    #[must_use]
    pub fn series() -> &'static [Hue] {
        &[
            Hue { light: "#332288", dark: "#8f82e0" },
            Hue { light: "#44aa99", dark: "#58c4b2" },
            Hue { light: "#cc6677", dark: "#e08090" },
            Hue { light: "#88ccee", dark: "#88ccee" },
            Hue { light: "#b8a332", dark: "#ddcc77" },
            Hue { light: "#882255", dark: "#c75a92" },
            Hue { light: "#117733", dark: "#4cae6a" },
            Hue { light: "#999933", dark: "#b5b54e" },
            Hue { light: "#aa4499", dark: "#cc72bd" },
        ]
    }

    /// The colour of all others together.
    #[must_use]
    pub fn other() -> Hue {
        Hue { light: "#b4b9bf", dark: "#6b747e" }
    }

    /// What is a reason for concern.
    #[must_use]
    pub fn grave() -> Hue {
        Hue { light: "#b3261e", dark: "#ff8a80" }
    }
}
