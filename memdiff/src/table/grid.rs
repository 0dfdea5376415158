//! Rows of cells, aligned as a terminal shows them: wide characters take two columns, and only the last cell of a row gives way.

use common::columns::{Cell, Tone, shortened, width};

use super::RenderOptions;

/// Columns between two columns of a table.
const GAP: usize = 2;

/// So much of a name is worth more than the dispensable columns.
const WANTED_NAME: usize = 32;

/// A name is not shortened below this, however narrow the terminal: a line that breaks is better than a name that says nothing.
const SHORTEST_NAME: usize = 16;

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
    pub(super) fn lines(&self, options: RenderOptions) -> Vec<String> {
        let titles: Vec<Cell> = self.titles.iter().map(|title| Cell::new(Tone::Dim, *title)).collect();
        let all = || std::iter::once(&titles).chain(&self.rows);
        let wide = |index: usize| all().filter_map(|row| row.get(index)).map(|cell| width(&cell.text)).max();
        let mut columns: Vec<(usize, usize)> =
            self.used().into_iter().map(|index| (index, wide(index).unwrap_or(0))).collect();
        let Some((name, longest)) = columns.pop() else { return Vec::new() };
        let before =
            |columns: &[(usize, usize)]| GAP + columns.iter().map(|(_, width)| width + GAP).sum::<usize>();
        let mut dispensable = self.dispensable.iter();
        if let Some(limit) = options.width {
            while before(&columns) + longest.min(WANTED_NAME) > limit
                && let Some(index) = dispensable.next()
            {
                columns.retain(|(column, _)| column != index);
            }
        }
        let room = options.width.map(|limit| limit.saturating_sub(before(&columns)).max(SHORTEST_NAME));
        let line = |row: &Vec<Cell>| {
            let mut line = " ".repeat(GAP);
            for &(index, wide) in &columns {
                let cell = row.get(index).cloned().unwrap_or_default();
                line += &" ".repeat(wide.saturating_sub(width(&cell.text)));
                line += &cell.tone.paint(&cell.text, options.colour);
                line += &" ".repeat(GAP);
            }
            if let Some(cell) = row.get(name) {
                let text = shortened(&cell.text, room.unwrap_or(usize::MAX));
                line += &cell.tone.paint(&text, options.colour);
            }
            line.trim_end().to_owned()
        };
        all().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
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
        let options = |width| RenderOptions { colour: false, width: Some(width), limit: None };
        assert_eq!(
            grid(&[]).lines(options(28)),
            ["   A     B  NAME", "   1  名前  x", "  22     b  a name t…is long", ""]
        );
        // What can be done without goes before a name is cut.
        assert_eq!(grid(&[1]).lines(options(28)), ["   A  NAME", "   1  x", "  22  a name that is long", ""]);
        assert_eq!(grid(&[1]).lines(options(40)).len(), 4);
        assert!(grid(&[1]).lines(options(40))[0].contains('B'));
    }
}
