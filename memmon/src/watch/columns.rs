//! Chooses the columns of the table and their widths.

use super::process_state::HISTORY_SAMPLES;

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Column {
    Name,
    Pid,
    State,
    Rss,
    Bar,
    Change,
    History,
    Pss,
    Cpu,
    Threads,
    Command,
}

impl Column {
    /// By priority: each column with its title and its minimal width in cells.
    const PRIORITY: [(Self, &'static str, u16); 11] = [
        (Self::Name, "NAME", 12),
        (Self::Rss, "RSS", 6),
        (Self::Change, "CHANGE", 7),
        (Self::History, "HISTORY", 8),
        (Self::Pid, "PID", 5),
        (Self::Bar, "", 7),
        (Self::Pss, "PSS", 6),
        (Self::State, "S", 1),
        (Self::Cpu, "CPU%", 5),
        (Self::Threads, "THR", 4),
        (Self::Command, "COMMAND", 20),
    ];

    /// Whether its texts are right-aligned: numbers, and histories, whose newest value is at the right.
    pub(super) fn is_right_aligned(self) -> bool {
        !matches!(self, Self::Name | Self::State | Self::Bar | Self::Command)
    }
}

/// A column and its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PlacedColumn {
    pub(super) column: Column,
    pub(super) title: &'static str,
    /// Cells from the left edge of the table.
    pub(super) x: u16,
    pub(super) width: u16,
}

/// The widths that the rows need.
#[derive(Debug, Clone, Copy)]
pub(super) struct ColumnNeeds {
    /// Cells of the longest name, with its indentation in the tree.
    pub(super) name: u16,
    /// Digits of the largest pid.
    pub(super) pid: u16,
    /// Whether a command line is known.
    pub(super) command: bool,
}

/// The columns of a table of `width` cells, from left to right, with a cell between them.
pub(super) fn lay_out(width: u16, needs: ColumnNeeds) -> Vec<PlacedColumn> {
    let mut columns: Vec<PlacedColumn> = Vec::new();
    let mut left = width;
    for (column, title, least) in Column::PRIORITY {
        let least = match column {
            Column::Name => least.min(width),
            Column::Pid => least.max(needs.pid),
            Column::Command if !needs.command => continue,
            _ => least,
        };
        let gap = u16::from(!columns.is_empty());
        if let Some(rest) = left.checked_sub(least + gap) {
            left = rest;
            columns.push(PlacedColumn { column, title, x: 0, width: least });
        }
    }
    let has_command = columns.iter().any(|placed| placed.column == Column::Command);
    let samples = u16::try_from(HISTORY_SAMPLES).unwrap_or(u16::MAX);
    // These columns grow into the remaining cells in turn, each up to the width it can use.
    let name = needs.name.min(if has_command { width / 4 } else { width / 2 });
    let growing = [
        (Column::Name, name.min(24)),
        (Column::History, (width / 8).clamp(8, 32)),
        (Column::Bar, (width / 12).clamp(7, 20)),
        (Column::Name, name),
        if has_command { (Column::Command, u16::MAX) } else { (Column::History, samples) },
    ];
    for (column, most) in growing {
        if let Some(placed) = columns.iter_mut().find(|placed| placed.column == column) {
            let more = most.saturating_sub(placed.width).min(left);
            placed.width += more;
            left -= more;
        }
    }
    columns.sort_unstable_by_key(|placed| placed.column);
    let mut x = 0_u16;
    for placed in &mut columns {
        placed.x = x;
        x = x.saturating_add(placed.width).saturating_add(1);
    }
    columns
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NEEDS: ColumnNeeds = ColumnNeeds { name: 30, pid: 7, command: true };

    fn names(width: u16) -> Vec<Column> {
        lay_out(width, NEEDS).iter().map(|place| place.column).collect()
    }

    #[test]
    fn narrow_table_keeps_key_columns() {
        use Column::*;
        assert_eq!(names(10), [Name]);
        assert_eq!(names(40), [Name, State, Rss, Change, History]);
        assert_eq!(names(80), [Name, Pid, State, Rss, Bar, Change, History, Pss, Cpu, Threads]);
        assert_eq!(names(120), [Name, Pid, State, Rss, Bar, Change, History, Pss, Cpu, Threads, Command]);
    }

    #[test]
    fn no_cmdline_no_command_column() {
        let columns = lay_out(200, ColumnNeeds { command: false, ..NEEDS });
        assert!(columns.iter().all(|place| place.column != Column::Command));
    }

    proptest! {
        #[test]
        fn columns_never_overlap(width in 1_u16..400, name: u16, pid in 1_u16..11, command: bool) {
            let columns = lay_out(width, ColumnNeeds { name, pid, command });
            prop_assert_eq!(columns[0].column, Column::Name);
            let mut end = 0;
            for place in columns {
                prop_assert!(place.x >= end && place.width > 0);
                end = place.x + place.width + 1;
            }
            prop_assert!(end <= width + 1);
        }
    }
}
