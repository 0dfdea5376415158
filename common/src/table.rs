//! Lines of toned text, aligned in tables and cut at the width of the terminal.
//!
//! ```
//! use common::columns::Cell;
//! use common::table::{Column, Style, Table};
//!
//! let mut table = Table::new([Column::left("NAME", 20), Column::right("BYTES")]);
//! table.push([Cell::plain("worker"), Cell::plain("4096")]);
//! let mut text = String::new();
//! for line in table.into_lines(0).0 {
//!     line.write(Style::default(), &mut text);
//! }
//! assert_eq!(text, "NAME    BYTES\nworker   4096\n");
//! ```

use crate::columns::{Cell, Tone, beginning, width};

/// The style of text output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// Whether to colour it. If not, no escape byte is written.
    pub colour: bool,
    /// The width of the terminal, where lines are cut or wrapped; `None` for no limit.
    pub width: Option<usize>,
}

/// The space between two columns of a table.
pub const GAP: usize = 2;

/// A line under construction. It never ends in spaces.
#[derive(Debug, Default)]
pub struct Line {
    pieces: Vec<(Tone, String)>,
    width: usize,
    space: usize,
    /// Whether it continues on further lines; otherwise it is cut.
    wraps: bool,
    /// The column where its further lines begin, if it is known.
    hang: Option<usize>,
}

/// The indent of a wrapped line's further lines, if the line has a single piece of text.
const CONTINUATION: usize = 2;
/// Further lines that would have fewer columns for text begin at the left edge.
const MIN_ROOM: usize = 20;

impl Line {
    /// Creates a line with an indent of `space` columns.
    #[must_use]
    pub fn indented(space: usize) -> Self {
        Self { space, ..Self::default() }
    }

    /// Creates a line of one tone that is wrapped between words, and never cut. Further lines begin below the text behind the first gap.
    #[must_use]
    pub fn whole(space: usize, tone: Tone, text: impl Into<String>) -> Self {
        let mut line = Self::indented(space).wrapped();
        line.push(tone, text);
        line
    }

    /// Wraps the line instead of cutting it.
    #[must_use]
    pub fn wrapped(self) -> Self {
        Self { wraps: true, ..self }
    }

    /// The width, with space at the end.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width + self.space
    }

    /// Adds space up to `column`, at least a gap after text.
    pub fn skip_to(&mut self, column: usize) {
        let least = if self.pieces.is_empty() { self.space } else { GAP };
        self.space = column.saturating_sub(self.width).max(least);
    }

    /// Adds text.
    pub fn push(&mut self, tone: Tone, text: impl Into<String>) {
        let text = text.into();
        if text.is_empty() {
            return;
        }
        if self.space > 0 {
            if !self.pieces.is_empty() {
                self.hang.get_or_insert(self.width + self.space);
            }
            self.pieces.push((Tone::Plain, " ".repeat(self.space)));
            self.width += self.space;
            self.space = 0;
        }
        self.width += width(&text);
        self.pieces.push((tone, text));
    }

    /// Adds a gap and text.
    pub fn push_apart(&mut self, tone: Tone, text: impl Into<String>) {
        self.skip_to(0);
        self.push(tone, text);
    }

    /// Writes the line and its end in a style.
    pub fn write(&self, style: Style, out: &mut String) {
        let limit = style.width.filter(|&limit| self.width > limit);
        if let Some(limit) = limit.filter(|_| self.wraps) {
            return self.write_wrapped(limit, style.colour, out);
        }
        let mut room = limit.map_or(usize::MAX, |limit| limit.saturating_sub(1));
        for (tone, text) in &self.pieces {
            let shown = if limit.is_some() { beginning(text, room) } else { text };
            room = room.saturating_sub(width(shown));
            out.push_str(&tone.paint(shown, style.colour));
            if shown.len() < text.len() {
                break;
            }
        }
        if limit.is_some() {
            out.push('…');
        }
        out.push('\n');
    }
}

impl Line {
    /// Writes the line in pieces that fit into `limit` columns. A longer word is not broken, so that it can be copied.
    fn write_wrapped(&self, limit: usize, colour: bool, out: &mut String) {
        let indent =
            self.pieces.first().map_or(0, |(_, text)| text.len() - text.trim_start_matches(' ').len());
        let hang = self.hang.unwrap_or(indent + CONTINUATION);
        let hang = if hang + MIN_ROOM > limit { 0 } else { hang };
        let (mut used, mut space, mut is_blank) = (0, 0, true);
        for (tone, text) in &self.pieces {
            for (number, word) in text.split(' ').enumerate() {
                space += usize::from(number > 0);
                if word.is_empty() {
                    continue;
                }
                let wide = width(word);
                if !is_blank && space > 0 && used + space + wide > limit {
                    out.push('\n');
                    (used, space) = (0, hang);
                }
                out.push_str(&" ".repeat(space));
                out.push_str(&tone.paint(word, colour));
                (used, space, is_blank) = (used + space + wide, 0, false);
            }
        }
        out.push('\n');
    }
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    title: &'static str,
    right: bool,
    widest: usize,
}

impl Column {
    /// A column of text. A cell wider than `widest` does not widen the column; it moves the cells after it.
    #[must_use]
    pub fn left(title: &'static str, widest: usize) -> Self {
        Self { title, right: false, widest }
    }

    /// A column of numbers.
    #[must_use]
    pub fn right(title: &'static str) -> Self {
        Self { title, right: true, widest: usize::MAX }
    }
}

/// Rows with aligned columns. A column without text below its title is left out.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Creates a table without rows.
    #[must_use]
    pub fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row with a cell for each column.
    pub fn push(&mut self, row: impl Into<Vec<Cell>>) {
        self.rows.push(row.into());
    }

    /// The rows as lines with an indent, below a line of titles if there are any. Also returns the start of a further column.
    #[must_use]
    pub fn into_lines(self, indent: usize) -> (Vec<Line>, usize) {
        let widths: Vec<usize> =
            (0..).zip(&self.columns).map(|(at, column)| self.width(at, column)).collect();
        let titles: Vec<Cell> =
            self.columns.iter().map(|column| Cell::new(Tone::Dim, column.title)).collect();
        let titled = titles.iter().any(|title| !title.text.is_empty());
        let rows = titled.then_some(titles).into_iter().chain(self.rows);
        let lines = rows
            .map(|row| {
                let mut line = Line::indented(indent);
                let mut start = indent;
                for ((cell, column), &wide) in row.into_iter().zip(&self.columns).zip(&widths) {
                    if wide == 0 {
                        continue;
                    }
                    let lead = if column.right { wide.saturating_sub(width(&cell.text)) } else { 0 };
                    line.skip_to(start + lead);
                    line.push(cell.tone, cell.text);
                    start += wide + GAP;
                }
                line
            })
            .collect();
        let end = widths.iter().filter(|&&wide| wide > 0).map(|wide| wide + GAP).sum::<usize>() + indent;
        (lines, end)
    }

    /// The width of a column; 0 if it is left out.
    fn width(&self, at: usize, column: &Column) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(at)).map(|cell| width(&cell.text));
        match cells.max() {
            None | Some(0) => 0,
            Some(widest) => widest.min(column.widest).max(width(column.title)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(line: &Line, colour: bool, width: Option<usize>) -> String {
        let mut out = String::new();
        line.write(Style { colour, width }, &mut out);
        out
    }

    #[test]
    fn line_is_cut_at_width() {
        let mut line = Line::indented(2);
        line.push(Tone::Strong, "ab");
        line.push_apart(Tone::Dim, "cdef");
        line.skip_to(20);
        assert_eq!(shown(&line, false, None), "  ab  cdef\n");
        assert_eq!(shown(&line, false, Some(10)), "  ab  cdef\n");
        assert_eq!(shown(&line, false, Some(9)), "  ab  cd…\n");
        assert_eq!(shown(&line, false, Some(4)), "  a…\n");
        assert_eq!(shown(&line, true, Some(9)), "  \u{1b}[1mab\u{1b}[0m  \u{1b}[2mcd\u{1b}[0m…\n");
    }

    #[test]
    fn whole_line_wraps_below_its_text() {
        let mut line = Line::whole(0, Tone::Alarm, "LEAK");
        line.push_apart(
            Tone::Strong,
            "a.cache grows by 1,928 str a minute, a.very.long.name_that_fits_no_line here",
        );
        assert_eq!(shown(&line, false, None).lines().count(), 1);
        let wrapped = "LEAK  a.cache grows by 1,928\n      str a minute,\n      \
                       a.very.long.name_that_fits_no_line\n      here\n";
        assert_eq!(shown(&line, false, Some(28)), wrapped);
        let mut plain = String::new();
        for piece in shown(&line, true, Some(28)).split('\u{1b}') {
            plain.push_str(
                piece.split_once('m').filter(|_| piece.starts_with('[')).map_or(piece, |(_, rest)| rest),
            );
        }
        assert_eq!(plain, wrapped);
        let line = Line::whole(2, Tone::Warning, "! no limit: give it one, or remove entries");
        assert_eq!(shown(&line, false, Some(26)), "  ! no limit: give it one,\n    or remove entries\n");
        assert_eq!(shown(&Line::whole(2, Tone::Warning, "abcdef"), false, Some(4)), "  abcdef\n");
        // A label column that leaves no room for text.
        let mut line = Line::whole(0, Tone::Dim, "a long label of columns");
        line.push_apart(Tone::Plain, "text text");
        assert_eq!(shown(&line, false, Some(30)), "a long label of columns  text\ntext\n");
    }

    #[test]
    fn table_aligns_wide_characters() {
        let columns =
            [Column::left("NAME", 6), Column::right("N"), Column::right("EMPTY"), Column::left("", 9)];
        let mut table = Table::new(columns);
        for (name, number, word) in [("a", "1", "x"), ("名前", "22", ""), ("too long a name", "333", "y")] {
            table.push([Cell::plain(name), Cell::plain(number), Cell::default(), Cell::plain(word)]);
        }
        let (lines, end) = table.into_lines(1);
        let text: String = lines.iter().map(|line| shown(line, false, None)).collect();
        assert_eq!(text, " NAME      N\n a         1  x\n 名前     22\n too long a name  333  y\n");
        assert_eq!(end, 1 + 6 + 2 + 3 + 2 + 1 + 2);
    }

    proptest! {
        #[test]
        fn wrapped_line_keeps_its_words(text in "[a-z]{1,9}( {1,3}[a-z]{1,9}){0,20}", limit in 24_usize..60) {
            let mut line = Line::whole(2, Tone::Dim, "label");
            line.skip_to(10);
            line.push(Tone::Plain, text.clone());
            let shown = shown(&line, false, Some(limit));
            prop_assert!(shown.lines().all(|line| width(line) <= limit && !line.ends_with(' ')), "{shown}");
            let words: Vec<&str> = shown.split_whitespace().skip(1).collect();
            prop_assert_eq!(words, text.split_whitespace().collect::<Vec<_>>());
        }

        #[test]
        fn cut_line_fits(pieces in proptest::collection::vec("\\PC{0,9}", 0..6), limit in 1_usize..40) {
            let mut line = Line::default();
            for piece in pieces {
                line.push_apart(Tone::Growth, piece);
            }
            let line = shown(&line, false, Some(limit));
            prop_assert!(width(line.trim_end_matches('\n')) <= limit);
        }
    }
}
