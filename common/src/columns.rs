//! Text in the columns of a terminal: its width, truncation and tone.
//!
//! ```
//! use common::columns::{cut, shortened, width};
//!
//! assert_eq!((width("名前"), cut("worker", 5), shortened("abcdefghij", 5)), (4, "work…".into(), "ab…ij".into()));
//! ```

use std::borrow::Cow;

use anstyle::AnsiColor;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The columns of `text` on a terminal.
#[must_use]
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// The longest prefix of `text` that fits into `columns`.
#[must_use]
pub fn beginning(text: &str, columns: usize) -> &str {
    let mut used = 0;
    let end = text.char_indices().find(|&(_, c)| {
        used += widened(c);
        used > columns
    });
    let mut kept = end.and_then(|(at, _)| text.get(..at)).unwrap_or(text);
    // Some sequences are wider than the sum of their characters.
    while width(kept) > columns {
        let mut characters = kept.chars();
        characters.next_back();
        kept = characters.as_str();
    }
    kept
}

/// The columns of a character within a text.
fn widened(c: char) -> usize {
    // This selector makes the character before it wide.
    if c == '\u{fe0f}' { 1 } else { c.width().unwrap_or(0) }
}

/// Truncates `text` to `columns`, with `…` at its end.
#[must_use]
pub fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    match columns.checked_sub(1) {
        None => Cow::Borrowed(""),
        Some(room) => Cow::Owned(format!("{}…", beginning(text, room))),
    }
}

/// Truncates `text` to `columns`, with `…` in its middle: both ends of a name say more than its middle.
#[must_use]
pub fn shortened(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let Some(room) = columns.checked_sub(1) else { return Cow::Borrowed("") };
    let tail = room / 2;
    let mut used = 0;
    let fits = |c: &char| {
        used += widened(*c);
        used <= tail
    };
    let end: String = text.chars().rev().take_while(fits).collect::<Vec<_>>().into_iter().rev().collect();
    let mut short = format!("{}…{end}", beginning(text, room - tail));
    while width(&short) > columns && short.pop().is_some() {}
    Cow::Owned(short)
}

/// The meaning of a piece of text, which decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// Ordinary text.
    #[default]
    Plain,
    /// Labels.
    Dim,
    /// Important text.
    Strong,
    /// An increase.
    Growth,
    /// A decrease.
    Shrinkage,
    /// A possible problem.
    Warning,
    /// A problem.
    Alarm,
}

impl Tone {
    fn style(self) -> anstyle::Style {
        let style = anstyle::Style::new();
        let colour = |colour: AnsiColor| style.fg_color(Some(colour.into()));
        match self {
            Self::Plain => style,
            Self::Dim => style.dimmed(),
            Self::Strong => style.bold(),
            Self::Growth => colour(AnsiColor::Red),
            Self::Shrinkage => colour(AnsiColor::Green),
            Self::Warning => colour(AnsiColor::Yellow),
            Self::Alarm => colour(AnsiColor::Red).bold(),
        }
    }

    /// Colours `text`. Writes no escape byte without `colour`, or if there is nothing to colour.
    #[must_use]
    pub fn paint(self, text: &str, colour: bool) -> Cow<'_, str> {
        if !colour || self == Self::Plain || text.is_empty() {
            return Cow::Borrowed(text);
        }
        let style = self.style();
        Cow::Owned(format!("{}{text}{}", style.render(), style.render_reset()))
    }
}

/// A cell of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    /// Its tone.
    pub tone: Tone,
    /// Its text.
    pub text: String,
}

impl Cell {
    /// A cell in a tone.
    pub fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { tone, text: text.into() }
    }

    /// A cell without a tone.
    pub fn plain(text: impl Into<String>) -> Self {
        Self::new(Tone::Plain, text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_cut_by_columns() {
        assert_eq!(cut("worker", 6), "worker");
        assert_eq!(cut("worker", 5), "work…");
        assert_eq!(cut("名前です", 8), "名前です");
        assert_eq!(cut("名前です", 7), "名前で…");
        assert_eq!(cut("名前です", 6), "名前…", "half a wide character does not stand");
        let hearts = "❤\u{fe0f}".repeat(3);
        assert_eq!(
            [cut(&hearts, 3), cut(&hearts, 5)],
            ["❤\u{fe0f}…", "❤\u{fe0f}❤\u{fe0f}…"],
            "selectors widen a heart"
        );
        assert_eq!([cut("ab", 0), cut("ab", 1), cut("", 0)], ["", "…", ""]);
    }

    #[test]
    fn long_names_lose_their_middle() {
        assert_eq!(shortened("abcdefghij", 5), "ab…ij");
        assert_eq!(shortened("package.module.LongTypeName", 16), "package.…ypeName");
        assert_eq!(shortened("名前名前", 6), "名…前");
        assert_eq!(shortened("abc", 3), "abc");
        assert_eq!([shortened("abc", 0), shortened("abc", 1), shortened("abc", 2)], ["", "…", "a…"]);
    }

    #[test]
    fn no_colour_means_no_escape() {
        assert_eq!(Tone::Growth.paint("x", false), "x");
        assert_eq!(Tone::Growth.paint("x", true), "\u{1b}[31mx\u{1b}[0m");
        assert_eq!([Tone::Plain.paint("x", true), Tone::Alarm.paint("", true)], ["x", ""]);
    }

    proptest! {
        #[test]
        fn cut_text_fits(text: String, columns in 0_usize..40) {
            prop_assert!(width(&cut(&text, columns)) <= columns);
            prop_assert!(width(&shortened(&text, columns)) <= columns);
            prop_assert!(text.starts_with(beginning(&text, columns)));
        }
    }
}
