//! Colours that people tell apart whatever their eyes are, the same for the same name in every picture.

use std::collections::BTreeSet;

/// A colour on a light and on a dark ground.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThemeColour {
    /// On a light ground.
    pub light: (u8, u8, u8),
    /// On a dark ground.
    pub dark: (u8, u8, u8),
}

/// Paul Tol's *muted* scheme, its two palest darkened so that they serve as lines on white, and one orange more. Neighbours here
/// differ in lightness too.
pub const PALETTE: [ThemeColour; 10] = [
    ThemeColour { light: (0x33, 0x22, 0x88), dark: (0x8c, 0x7c, 0xe8) },
    ThemeColour { light: (0x44, 0xaa, 0x99), dark: (0x5c, 0xc9, 0xb7) },
    ThemeColour { light: (0xcc, 0x66, 0x77), dark: (0xe8, 0x82, 0x94) },
    ThemeColour { light: (0x3a, 0x98, 0xc9), dark: (0x88, 0xcc, 0xee) },
    ThemeColour { light: (0x88, 0x22, 0x55), dark: (0xc9, 0x5c, 0x92) },
    ThemeColour { light: (0xc3, 0xa5, 0x2c), dark: (0xdd, 0xcc, 0x77) },
    ThemeColour { light: (0x11, 0x77, 0x33), dark: (0x4c, 0xb3, 0x70) },
    ThemeColour { light: (0xaa, 0x44, 0x99), dark: (0xd6, 0x7f, 0xc8) },
    ThemeColour { light: (0x8a, 0x8a, 0x2a), dark: (0xb9, 0xb9, 0x55) },
    ThemeColour { light: (0xd5, 0x6f, 0x1c), dark: (0xf0, 0x9a, 0x52) },
];

/// What all others together have.
pub const OTHERS: ThemeColour = ThemeColour { light: (0x9a, 0x9d, 0xa3), dark: (0x7d, 0x81, 0x88) };

/// The colour of a place in the palette; beyond its end it begins anew.
#[must_use]
pub fn for_series(index: Option<usize>) -> ThemeColour {
    index.and_then(|index| PALETTE.get(index % PALETTE.len()).copied()).unwrap_or(OTHERS)
}

/// FNV-1a: a hash that is the same on every machine and in every version.
fn hash(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// The colour that a name has wherever it is free.
#[must_use]
pub fn preferred(name: &str) -> usize {
    let hash = hash(name);
    // The low bits of FNV alone are those of the last letters.
    usize::try_from((hash ^ (hash >> 32)) % PALETTE.len() as u64).unwrap_or(0)
}

/// Colours for names, those that count most first: each its own, or the next that is free; when all are taken, they begin anew.
#[must_use]
pub fn assign<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<usize> {
    let mut taken = BTreeSet::new();
    let mut colours = Vec::new();
    for name in names {
        if taken.len() == PALETTE.len() {
            taken.clear();
        }
        let own = preferred(name);
        let mut free =
            (0..PALETTE.len()).map(|step| (own + step) % PALETTE.len()).filter(|c| !taken.contains(c));
        let colour = free.next().unwrap_or(own);
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
        assert_eq!(colours.iter().collect::<BTreeSet<_>>().len(), PALETTE.len());
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
