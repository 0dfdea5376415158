//! Rows of cells, aligned as a terminal shows them: wide characters take two columns, and only the last cell of a row gives way.

use anstyle::AnsiColor;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::Look;

/// Columns between two columns of a table.
const GAP: usize = 2;

/// So much of a name is worth more than the dispensable columns.
const WANTED_NAME: usize = 32;

/// A name is not shortened below this, however narrow the terminal: a line that breaks is better than a name that says nothing.
const SHORTEST_NAME: usize = 16;

/// What a cell is, and so how it looks where colours are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Tone {
    #[default]
    Plain,
    /// What only leads the eye.
    Dim,
    /// Titles, and names that matter.
    Strong,
    Growth,
    Shrinkage,
}

impl Tone {
    /// `text` in this tone.
    pub(super) fn paint(self, text: &str, look: Look) -> String {
        if !look.colour || self == Self::Plain || text.is_empty() {
            return text.to_owned();
        }
        let style = anstyle::Style::new();
        let style = match self {
            Self::Plain => style,
            Self::Dim => style.dimmed(),
            Self::Strong => style.bold(),
            Self::Growth => style.fg_color(Some(AnsiColor::Red.into())),
            Self::Shrinkage => style.fg_color(Some(AnsiColor::Green.into())),
        };
        format!("{}{text}{}", style.render(), style.render_reset())
    }
}

/// A cell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) tone: Tone,
    pub(super) text: String,
}

impl Cell {
    pub(super) fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { tone, text: text.into() }
    }

    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self::new(Tone::Plain, text)
    }
}

/// A table whose last column holds names and is set to the left, all others numbers and to the right. A column with nothing below
/// its title is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) titles: Vec<&'static str>,
    pub(super) rows: Vec<Vec<Cell>>,
    /// The columns that a narrow terminal can do without, the first first.
    pub(super) dispensable: &'static [usize],
}

impl Grid {
    /// The columns that have something in some row, by their index.
    pub(super) fn used(&self) -> Vec<usize> {
        let has_text = |index: &usize| {
            self.rows.iter().any(|row| row.get(*index).is_some_and(|cell| !cell.text.is_empty()))
        };
        (0..self.titles.len()).filter(has_text).collect()
    }

    /// Its lines, indented by a gap, the titles first.
    pub(super) fn lines(&self, look: Look) -> Vec<String> {
        let titles: Vec<Cell> = self.titles.iter().map(|title| Cell::new(Tone::Dim, *title)).collect();
        let all = || std::iter::once(&titles).chain(&self.rows);
        let wide = |index: usize| all().filter_map(|row| row.get(index)).map(|cell| width(&cell.text)).max();
        let mut columns: Vec<(usize, usize)> =
            self.used().into_iter().map(|index| (index, wide(index).unwrap_or(0))).collect();
        let Some((name, longest)) = columns.pop() else { return Vec::new() };
        let before =
            |columns: &[(usize, usize)]| GAP + columns.iter().map(|(_, width)| width + GAP).sum::<usize>();
        let mut dispensable = self.dispensable.iter();
        if let Some(limit) = look.width {
            while before(&columns) + longest.min(WANTED_NAME) > limit
                && let Some(index) = dispensable.next()
            {
                columns.retain(|(column, _)| column != index);
            }
        }
        let room = look.width.map(|limit| limit.saturating_sub(before(&columns)).max(SHORTEST_NAME));
        let line = |row: &Vec<Cell>| {
            let mut line = " ".repeat(GAP);
            for &(index, wide) in &columns {
                let cell = row.get(index).cloned().unwrap_or_default();
                line += &" ".repeat(wide.saturating_sub(width(&cell.text)));
                line += &cell.tone.paint(&cell.text, look);
                line += &" ".repeat(GAP);
            }
            if let Some(cell) = row.get(name) {
                let text = room.map_or_else(|| cell.text.clone(), |room| shortened(&cell.text, room));
                line += &cell.tone.paint(&text, look);
            }
            line.trim_end().to_owned()
        };
        all().map(line).collect()
    }
}

/// How many columns a terminal gives `text`.
pub(super) fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// `text` in at most `columns`, with `…` in its middle for what is left out: both ends of a name tell more than its middle.
pub(super) fn shortened(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let kept = columns.saturating_sub(1);
    let tail = kept / 2;
    let head = prefix(text.chars(), kept - tail);
    let end: String = prefix(text.chars().rev(), tail).chars().rev().collect();
    let mut short = format!("{head}…{end}");
    // Some sequences are wider than their characters one by one: a sign that a selector turns into an emoji.
    while width(&short) > columns && short.pop().is_some() {}
    short
}

/// As many characters as fit.
fn prefix(characters: impl Iterator<Item = char>, columns: usize) -> String {
    let mut used = 0;
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used <= columns
    };
    characters.take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn columns_are_aligned_by_what_a_terminal_shows_and_empty_ones_left_out() {
        let row = |a: &str, b: &str, name: &str| {
            vec![Cell::plain(a), Cell::plain(b), Cell::plain(""), Cell::plain(name)]
        };
        let grid = |dispensable| Grid {
            titles: vec!["A", "B", "EMPTY", "NAME"],
            rows: vec![row("1", "名前", "x"), row("22", "b", "a name that is long"), row("", "", "")],
            dispensable,
        };
        let look = |width| Look { colour: false, width: Some(width), limit: None };
        assert_eq!(
            grid(&[]).lines(look(28)),
            ["   A     B  NAME", "   1  名前  x", "  22     b  a name t…is long", ""]
        );
        // What can be done without goes before a name is cut.
        assert_eq!(grid(&[1]).lines(look(28)), ["   A  NAME", "   1  x", "  22  a name that is long", ""]);
        assert_eq!(grid(&[1]).lines(look(40)).len(), 4);
        assert!(grid(&[1]).lines(look(40))[0].contains('B'));
    }

    #[test]
    fn names_are_shortened_in_their_middle() {
        assert_eq!(shortened("abcdefghij", 5), "ab…ij");
        assert_eq!(shortened("名前名前", 6), "名…前");
        assert_eq!(shortened("abc", 3), "abc");
    }

    #[test]
    fn without_colours_there_is_no_escape() {
        let look = |colour| Look { colour, width: None, limit: None };
        assert_eq!(Tone::Growth.paint("x", look(false)), "x");
        assert_eq!(Tone::Growth.paint("x", look(true)), "\u{1b}[31mx\u{1b}[0m");
    }

    proptest! {
        #[test]
        fn what_is_shortened_fits(text: String, columns in 1_usize..40) {
            prop_assert!(width(&shortened(&text, columns)) <= columns);
        }
    }
}
