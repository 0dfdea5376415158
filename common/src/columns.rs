//! Text in the columns of a terminal: how wide it is, how it is cut, and in which tones it is written.

use std::borrow::Cow;

use anstyle::AnsiColor;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How many columns a terminal gives `text`.
#[must_use]
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// The longest beginning of `text` that fits into `columns`.
#[must_use]
pub fn beginning(text: &str, columns: usize) -> &str {
    let mut used = 0;
    let end = text.char_indices().find(|&(_, c)| {
        used += widened(c);
        used > columns
    });
    let mut kept = end.and_then(|(at, _)| text.get(..at)).unwrap_or(text);
    // Some sequences are wider than their characters one by one.
    while width(kept) > columns {
        let mut characters = kept.chars();
        characters.next_back();
        kept = characters.as_str();
    }
    kept
}

/// The columns of a character, as part of a text.
fn widened(c: char) -> usize {
    // Behind a heart or a digit this one asks for the wide picture of it.
    if c == '\u{fe0f}' { 1 } else { c.width().unwrap_or(0) }
}

/// `text` in at most `columns`, with `…` at its end for what is left out.
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

/// `text` in at most `columns`, with `…` in its middle for what is left out: both ends of a name tell more than its middle.
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

/// What a piece of text is, and so how it looks where colours are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// As the terminal writes anything.
    #[default]
    Plain,
    /// Labels and other words that only lead the eye.
    Dim,
    /// What matters most.
    Strong,
    /// What became more.
    Growth,
    /// What became less.
    Shrinkage,
    /// What may need looking after.
    Warning,
    /// What needs it now.
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

    /// `text` in this tone; without `colour`, and where there is nothing to colour, not one escape byte.
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
    /// How it is written.
    pub tone: Tone,
    /// What stands in it.
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
    fn text_is_cut_by_columns_not_by_characters() {
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
    fn names_are_shortened_in_their_middle() {
        assert_eq!(shortened("abcdefghij", 5), "ab…ij");
        assert_eq!(shortened("package.module.LongTypeName", 16), "package.…ypeName");
        assert_eq!(shortened("名前名前", 6), "名…前");
        assert_eq!(shortened("abc", 3), "abc");
        assert_eq!([shortened("abc", 0), shortened("abc", 1), shortened("abc", 2)], ["", "…", "a…"]);
    }

    #[test]
    fn without_colours_there_is_no_escape() {
        assert_eq!(Tone::Growth.paint("x", false), "x");
        assert_eq!(Tone::Growth.paint("x", true), "\u{1b}[31mx\u{1b}[0m");
        assert_eq!([Tone::Plain.paint("x", true), Tone::Alarm.paint("", true)], ["x", ""]);
    }

    proptest! {
        #[test]
        fn what_is_cut_fits(text: String, columns in 0_usize..40) {
            prop_assert!(width(&cut(&text, columns)) <= columns);
            prop_assert!(width(&shortened(&text, columns)) <= columns);
            prop_assert!(text.starts_with(beginning(&text, columns)));
        }
    }
}
