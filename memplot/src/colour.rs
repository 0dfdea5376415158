//! Colours that stay distinct for colour-blind readers, and the same for the same name in every plot.

use std::collections::BTreeSet;

/// A colour as red, green and blue.
pub type Rgb = (u8, u8, u8);

/// A colour for a light and for a dark background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThemeColour {
    /// On a light background.
    pub light: Rgb,
    /// On a dark background.
    pub dark: Rgb,
}

impl ThemeColour {
    const fn new(light: Rgb, dark: Rgb) -> Self {
        Self { light, dark }
    }
}

/// The background of a plot.
pub const BACKGROUND: ThemeColour = ThemeColour::new((0xff, 0xff, 0xff), (0x16, 0x18, 0x1d));
/// Main text, and the line of the total.
pub const TEXT: ThemeColour = ThemeColour::new((0x1d, 0x21, 0x26), (0xe8, 0xea, 0xed));
/// Secondary text.
pub const MUTED: ThemeColour = ThemeColour::new((0x5f, 0x66, 0x6e), (0xa3, 0xaa, 0xb3));
/// Grid lines.
pub const GRID: ThemeColour = ThemeColour::new((0xdf, 0xe2, 0xe6), (0x34, 0x38, 0x40));
/// Crossed limits and out-of-memory kills.
pub const ALERT: ThemeColour = ThemeColour::new((0xb3, 0x1d, 0x28), (0xff, 0x7b, 0x72));

/// What grew, in a difference.
pub const GREW: ThemeColour = ThemeColour::new((0xd7, 0x30, 0x27), (0xf0, 0x5a, 0x4f));
/// What shrank.
pub const SHRANK: ThemeColour = ThemeColour::new((0x2f, 0x6f, 0xd0), (0x5b, 0x98, 0xf5));

/// Paul Tol's *muted* scheme with its two palest colours darkened for lines on white, and one more orange. Neighbours differ in
/// lightness too.
pub const PALETTE: [ThemeColour; 24] = [
    ThemeColour::new((0x33, 0x22, 0x88), (0x8c, 0x7c, 0xe8)),
    ThemeColour::new((0x44, 0xaa, 0x99), (0x5c, 0xc9, 0xb7)),
    ThemeColour::new((0xcc, 0x66, 0x77), (0xe8, 0x82, 0x94)),
    ThemeColour::new((0x3a, 0x98, 0xc9), (0x88, 0xcc, 0xee)),
    ThemeColour::new((0x88, 0x22, 0x55), (0xc9, 0x5c, 0x92)),
    ThemeColour::new((0xc3, 0xa5, 0x2c), (0xdd, 0xcc, 0x77)),
    ThemeColour::new((0x11, 0x77, 0x33), (0x4c, 0xb3, 0x70)),
    ThemeColour::new((0xaa, 0x44, 0x99), (0xd6, 0x7f, 0xc8)),
    ThemeColour::new((0x8a, 0x8a, 0x2a), (0xb9, 0xb9, 0x55)),
    ThemeColour::new((0xd5, 0x6f, 0x1c), (0xf0, 0x9a, 0x52)),
    ThemeColour::new((0xe3, 0x1a, 0x1c), (0xff, 0x6b, 0x6b)),
    ThemeColour::new((0x1f, 0x78, 0xb4), (0x4f, 0xa3, 0xe0)),
    ThemeColour::new((0x6a, 0x3d, 0x9a), (0xb4, 0x8b, 0xe0)),
    ThemeColour::new((0xb1, 0x59, 0x28), (0xd9, 0x92, 0x5f)),
    ThemeColour::new((0x00, 0x77, 0x7a), (0x2b, 0xb8, 0xbb)),
    ThemeColour::new((0x4d, 0x4d, 0x4d), (0xc0, 0xc4, 0xc8)),
    ThemeColour::new((0x5c, 0x7a, 0x00), (0xa3, 0xcc, 0x29)),
    ThemeColour::new((0xd6, 0x27, 0x9a), (0xff, 0x7a, 0xc8)),
    ThemeColour::new((0x0b, 0x3c, 0x5d), (0x7a, 0xa6, 0xc9)),
    ThemeColour::new((0xe0, 0x8a, 0x00), (0xff, 0xb8, 0x4d)),
    ThemeColour::new((0x7f, 0x3b, 0x08), (0xc9, 0x8a, 0x5a)),
    ThemeColour::new((0x2c, 0xa2, 0x5f), (0x6f, 0xdc, 0x9b)),
    ThemeColour::new((0x8c, 0x6b, 0xb1), (0xcb, 0xb3, 0xea)),
    ThemeColour::new((0x99, 0x00, 0x0d), (0xff, 0x9c, 0x8a)),
];

/// The first colours of the palette, from which a name chooses. The others are for pictures of more series.
pub const CHOSEN: usize = 10;

/// The combined series of all others.
pub const OTHERS: ThemeColour = ThemeColour::new((0x9a, 0x9d, 0xa3), (0x7d, 0x81, 0x88));

/// The palette's colour at `index`, which wraps around; [`OTHERS`] for `None`.
pub fn for_series(index: Option<usize>) -> ThemeColour {
    index.and_then(|index| PALETTE.get(index % PALETTE.len()).copied()).unwrap_or(OTHERS)
}

/// A colour as CSS and SVG write it: `#332288`.
pub fn hex((r, g, b): Rgb) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// The colour index that a name gets if no other name has taken it. FNV-1a gives the same on every machine and in every version.
pub fn preferred(name: &str) -> usize {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    // FNV's low bits depend on the last letters only.
    usize::try_from((hash ^ (hash >> 32)) % CHOSEN as u64).unwrap_or(0)
}

/// Assigns a colour index to each name, most important name first: its preferred one, the next free one of those that names
/// choose, or the next one of the others. Starts again when all
/// are taken.
pub fn assign<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<usize> {
    let mut taken = BTreeSet::new();
    let mut colours = Vec::new();
    for name in names {
        if taken.len() == PALETTE.len() {
            taken.clear();
        }
        let own = preferred(name);
        let mut candidates = (0..CHOSEN).map(|step| (own + step) % CHOSEN).chain(CHOSEN..PALETTE.len());
        let colour = candidates.find(|colour| !taken.contains(colour)).unwrap_or(own);
        taken.insert(colour);
        colours.push(colour);
    }
    colours
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_distinct_stable_colours() {
        let names = ["dict", "str", "list", "tuple", "function", "bytes", "int", "set", "code", "type"];
        let colours = assign(names);
        assert_eq!(colours.iter().collect::<BTreeSet<_>>().len(), CHOSEN);
        let many: Vec<String> = (0..24).map(|n| format!("type {n}")).collect();
        assert_eq!(assign(many.iter().map(String::as_str)).iter().collect::<BTreeSet<_>>().len(), 24);
        assert_eq!(colours[0], preferred("dict"));
        assert_eq!(assign(["dict"]), assign(["dict", "str"])[..1]);
        assert_eq!(assign(["a"; 25]).len(), 25);
    }

    /// Relative luminance, as WCAG 2 defines it.
    fn luminance((r, g, b): (u8, u8, u8)) -> f64 {
        let linear = |c: u8| {
            let c = f64::from(c) / 255.0;
            if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
    }

    #[test]
    fn colours_have_enough_contrast() {
        let contrast = |a: f64, b: f64| (a.max(b) + 0.05) / (a.min(b) + 0.05);
        for colour in PALETTE.iter().chain([&OTHERS]) {
            assert!(contrast(luminance(colour.light), 1.0) > 2.3, "{colour:?}");
            assert!(contrast(luminance(colour.dark), luminance((0x16, 0x18, 0x1d))) > 3.0, "{colour:?}");
        }
    }
}
