//! Measures text in the font of the plots.

use std::sync::OnceLock;

use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider};
use unicode_width::UnicodeWidthChar;

/// The fonts of a plot, the preferred one first. Text is measured in the first. The Latin fonts after it are not wider.
pub const FONTS: &str = "'DejaVu Sans',Verdana,'Noto Sans','Noto Sans CJK SC','Hiragino Sans','Microsoft YaHei',\
                         'Noto Color Emoji','Apple Color Emoji','Segoe UI Emoji',sans-serif";

fn font() -> Option<&'static FontRef<'static>> {
    static FONT: OnceLock<Option<FontRef<'static>>> = OnceLock::new();
    FONT.get_or_init(|| FontRef::new(dejavu::sans::regular()).ok()).as_ref()
}

/// The width of a character for a font size of 1; `None` if the font does not have it.
fn advance(character: char) -> Option<f64> {
    let glyph = font()?.charmap().map(character)?;
    font()?.glyph_metrics(Size::new(1.0), LocationRef::default()).advance_width(glyph).map(f64::from)
}

fn character_width(character: char) -> f64 {
    // Chinese characters and emoji, which the font lacks, are square in other fonts.
    advance(character).unwrap_or_else(|| match character.width() {
        Some(0) | None => 0.0,
        Some(1) => 0.65,
        Some(_) => 1.05,
    })
}

/// Whether the embedded font has all characters of a text.
pub fn is_covered(text: &str) -> bool {
    let has = |character| font().is_some_and(|font| font.charmap().map(character).is_some());
    text.chars().all(|character| character.is_ascii() || has(character))
}

/// The width of a text at a font size, both in pixels.
pub fn width(text: &str, size: f64) -> f64 {
    text.chars().map(character_width).sum::<f64>() * size
}

/// Replaces the middle of a text with `…` if it is wider than `widest`.
pub fn shortened(text: &str, size: f64, widest: f64) -> String {
    if width(text, size) <= widest {
        return text.to_owned();
    }
    let letters: Vec<char> = text.chars().collect();
    let room = (widest / size - character_width('…')).max(0.0);
    // The end of a dotted name is more specific, and gets more room.
    let (mut head, mut tail) = (0.0, 0.0);
    let (mut from_left, mut from_right) = (0, 0);
    while from_left + from_right < letters.len() {
        let take_left = head <= tail * 0.75;
        let next = if take_left { letters.get(from_left) } else { letters.iter().rev().nth(from_right) };
        let next_width = next.copied().map_or(0.0, character_width);
        if head + tail + next_width > room {
            break;
        }
        if take_left {
            head += next_width;
            from_left += 1;
        } else {
            tail += next_width;
            from_right += 1;
        }
    }
    let kept_left = letters.iter().take(from_left);
    let kept_right = letters.iter().skip(letters.len() - from_right);
    kept_left.chain(std::iter::once(&'…')).chain(kept_right).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn widths_match_the_font() {
        // DejaVu Sans has 2048 units: `m` is 1995 of them wide, `i` 569.
        assert!((width("m", 2048.0) - 1995.0).abs() < 1.0, "{}", width("m", 2048.0));
        assert!((width("i", 2048.0) - 569.0).abs() < 1.0);
        assert!((width("名前", 10.0) - 21.0).abs() < 0.1 && width("e\u{301}", 10.0) < 7.0);
        assert!(is_covered("dict Größe Ω ✓") && !is_covered("名前"));
    }

    #[test]
    fn long_names_lose_their_middle() {
        let short = shortened("botpkg.sessions.cache.backends.memory.SessionState", 12.0, 150.0);
        assert!(
            short.starts_with("botpkg") && short.ends_with("SessionState") && short.contains('…'),
            "{short}"
        );
        assert_eq!(shortened("dict", 12.0, 150.0), "dict");
        assert_eq!(shortened("dict", 12.0, 0.0), "…");
    }

    proptest! {
        #[test]
        fn shortened_text_fits(text in "\\PC{0,80}", widest in 20.0_f64..300.0) {
            let short = shortened(&text, 12.0, widest);
            prop_assert!(width(&short, 12.0) <= widest + 1e-6, "{}", short);
        }
    }
}
