//! Tables of aligned cells; wide characters take two columns.

use common::columns::{Cell, Tone, shortened, width};

use super::report::RenderOptions;

/// The space between two columns.
const GAP: usize = 2;

/// Columns are left out before names get less space than this.
const WANTED_NAME_COLUMNS: usize = 32;

/// Names are not shortened further on a narrow terminal: a line that wraps is better than a name that cannot be recognized.
const MIN_NAME_COLUMNS: usize = 16;

/// A table of right-aligned numbers and, in the last column, left-aligned names. Columns without text in any row are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) titles: Vec<&'static str>,
    pub(super) rows: Vec<Vec<Cell>>,
    /// The columns that a narrow terminal leaves out, in this order.
    pub(super) dispensable: &'static [usize],
}

impl Grid {
    /// The indices of the columns with text in any row.
    pub(super) fn used_columns(&self) -> Vec<usize> {
        let has_text = |index: &usize| {
            self.rows.iter().any(|row| row.get(*index).is_some_and(|cell| !cell.text.is_empty()))
        };
        (0..self.titles.len()).filter(has_text).collect()
    }

    /// The titles and rows as indented lines.
    pub(super) fn lines(&self, options: RenderOptions) -> Vec<String> {
        let titles: Vec<Cell> = self.titles.iter().map(|title| Cell::new(Tone::Dim, *title)).collect();
        let all = || std::iter::once(&titles).chain(&self.rows);
        let widest =
            |index: usize| all().filter_map(|row| row.get(index)).map(|cell| width(&cell.text)).max();
        let mut columns: Vec<(usize, usize)> =
            self.used_columns().into_iter().map(|index| (index, widest(index).unwrap_or(0))).collect();
        let Some((name, longest)) = columns.pop() else { return Vec::new() };
        let name_start =
            |columns: &[(usize, usize)]| GAP + columns.iter().map(|(_, width)| width + GAP).sum::<usize>();
        let mut dispensable = self.dispensable.iter();
        if let Some(limit) = options.width {
            while name_start(&columns) + longest.min(WANTED_NAME_COLUMNS) > limit
                && let Some(index) = dispensable.next()
            {
                columns.retain(|(column, _)| column != index);
            }
        }
        let room = options
            .width
            .map_or(usize::MAX, |limit| limit.saturating_sub(name_start(&columns)).max(MIN_NAME_COLUMNS));
        let line = |row: &Vec<Cell>| {
            let mut line = " ".repeat(GAP);
            for &(index, widest) in &columns {
                let cell = row.get(index).cloned().unwrap_or_default();
                line += &" ".repeat(widest.saturating_sub(width(&cell.text)));
                line += &options.paint(cell.tone, &cell.text);
                line += &" ".repeat(GAP);
            }
            if let Some(cell) = row.get(name) {
                line += &options.paint(cell.tone, &shortened(&cell.text, room));
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
    fn columns_align_by_terminal_width() {
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
        // Columns are left out before a name is cut.
        assert_eq!(grid(&[1]).lines(options(28)), ["   A  NAME", "   1  x", "  22  a name that is long", ""]);
        assert_eq!(grid(&[1]).lines(options(40)).len(), 4);
        assert!(grid(&[1]).lines(options(40))[0].contains('B'));
    }
}
