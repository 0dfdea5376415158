//! Colours of a picture on its ground.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::cli::Theme;
use crate::colour::{self, ThemeColour};
use crate::svg::{Rgb, hex};

const GROUND: ThemeColour = ThemeColour { light: (0xff, 0xff, 0xff), dark: (0x16, 0x18, 0x1d) };
const TEXT: ThemeColour = ThemeColour { light: (0x1d, 0x21, 0x26), dark: (0xe8, 0xea, 0xed) };
const MUTED: ThemeColour = ThemeColour { light: (0x5f, 0x66, 0x6e), dark: (0xa3, 0xaa, 0xb3) };
const HAIRLINE: ThemeColour = ThemeColour { light: (0xdf, 0xe2, 0xe6), dark: (0x34, 0x38, 0x40) };
const ALARM: ThemeColour = ThemeColour { light: (0xb3, 0x1d, 0x28), dark: (0xff, 0x7b, 0x72) };

/// What something is drawn for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The ground.
    Ground,
    /// Words that count, and the line of the sum.
    Text,
    /// Words beside.
    Muted,
    /// Lines that only guide the eye.
    Hairline,
    /// Limits and what they do.
    Alarm,
    /// A series.
    Series(Option<usize>),
}

impl Role {
    fn colour(self) -> ThemeColour {
        match self {
            Self::Ground => GROUND,
            Self::Text => TEXT,
            Self::Muted => MUTED,
            Self::Hairline => HAIRLINE,
            Self::Alarm => ALARM,
            Self::Series(index) => colour::for_series(index),
        }
    }

    /// The letter in its classes.
    fn class_suffix(self) -> String {
        match self {
            Self::Ground => "g".to_owned(),
            Self::Text => "t".to_owned(),
            Self::Muted => "m".to_owned(),
            Self::Hairline => "h".to_owned(),
            Self::Alarm => "w".to_owned(),
            Self::Series(None) => "o".to_owned(),
            Self::Series(Some(index)) => format!("c{}", index % colour::PALETTE.len()),
        }
    }

    /// The class of what is filled with it: text too.
    #[must_use]
    pub fn fill(self) -> String {
        format!("f{}", self.class_suffix())
    }

    /// The class of what is drawn as a line.
    #[must_use]
    pub fn stroke(self) -> String {
        format!("s{}", self.class_suffix())
    }

    /// Its colour, light if the viewer may choose.
    #[must_use]
    pub fn rgb(self, theme: Theme) -> Rgb {
        let colour = self.colour();
        if theme == Theme::Dark { colour.dark } else { colour.light }
    }
}

/// The style svg that makes a light picture dark where the viewer prefers that: for renderers that know of it; all others see the
/// attributes.
#[must_use]
pub fn dark_mode_css(colours: &BTreeSet<Option<usize>>) -> String {
    let mut css = "@media (prefers-color-scheme:dark){".to_owned();
    let roles = [Role::Ground, Role::Text, Role::Muted, Role::Hairline, Role::Alarm];
    for role in roles.into_iter().chain(colours.iter().map(|colour| Role::Series(*colour))) {
        let dark = hex(role.colour().dark);
        let _ = write!(css, ".{}{{fill:{dark}}}.{}{{stroke:{dark}}}", role.fill(), role.stroke());
    }
    css.push('}');
    css
}
