//! Which columns there is room for, and how wide they are.

use super::process_state::HISTORY_SAMPLES;

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// From left to right.
    const ORDER: [Self; 11] = [
        Self::Name,
        Self::Pid,
        Self::State,
        Self::Rss,
        Self::Bar,
        Self::Change,
        Self::History,
        Self::Pss,
        Self::Cpu,
        Self::Threads,
        Self::Command,
    ];

    /// The most needed first, each with the cells without which it is of no use.
    const PRIORITY: [(Self, u16); 11] = [
        (Self::Name, 12),
        (Self::Rss, 6),
        (Self::Change, 7),
        (Self::History, 8),
        (Self::Pid, 5),
        (Self::Bar, 7),
        (Self::Pss, 6),
        (Self::State, 1),
        (Self::Cpu, 5),
        (Self::Threads, 4),
        (Self::Command, 20),
    ];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Name => "NAME",
            Self::Pid => "PID",
            Self::State => "S",
            Self::Rss => "RSS",
            Self::Bar => "",
            Self::Change => "CHANGE",
            Self::History => "HISTORY",
            Self::Pss => "PSS",
            Self::Cpu => "CPU%",
            Self::Threads => "THR",
            Self::Command => "COMMAND",
        }
    }

    /// Whether its texts end at its right edge: numbers, and histories, of which the newest stands there.
    pub(super) fn is_right_aligned(self) -> bool {
        !matches!(self, Self::Name | Self::State | Self::Bar | Self::Command)
    }
}

/// A column with its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PlacedColumn {
    pub(super) column: Column,
    /// Cells from the left edge of the table.
    pub(super) x: u16,
    pub(super) width: u16,
}

/// What the rows would like to have.
#[derive(Debug, Clone, Copy)]
pub(super) struct ColumnNeeds {
    /// Cells of the longest name with what leads to it in the tree.
    pub(super) name: u16,
    /// Digits of the largest number of a process.
    pub(super) pid: u16,
    /// Whether any command line is known.
    pub(super) command: bool,
}

/// The columns for a table of `width` cells, from left to right, with a cell between them.
pub(super) fn lay_out(width: u16, needs: ColumnNeeds) -> Vec<PlacedColumn> {
    let mut widths: Vec<(Column, u16)> = Vec::new();
    let mut left = width;
    for (column, need) in Column::PRIORITY {
        let need = match column {
            Column::Name => need.min(width),
            Column::Pid => need.max(needs.pid),
            Column::Command if !needs.command => continue,
            _ => need,
        };
        let gap = u16::from(!widths.is_empty());
        if let Some(rest) = left.checked_sub(need + gap) {
            left = rest;
            widths.push((column, need));
        }
    }
    let has_command = widths.iter().any(|(column, _)| *column == Column::Command);
    let samples = u16::try_from(HISTORY_SAMPLES).unwrap_or(u16::MAX);
    // What is left goes to these in turn, each up to as much as it can use.
    let name = needs.name.min(if has_command { width / 4 } else { width / 2 });
    let mut growing = vec![
        (Column::Name, name.min(24)),
        (Column::History, (width / 8).clamp(8, 32)),
        (Column::Bar, (width / 12).clamp(7, 20)),
        (Column::Name, name),
    ];
    growing.push(if has_command { (Column::Command, u16::MAX) } else { (Column::History, samples) });
    for (column, most) in growing {
        if let Some((_, cells)) = widths.iter_mut().find(|(known, _)| *known == column) {
            let more = most.saturating_sub(*cells).min(left);
            *cells += more;
            left -= more;
        }
    }
    let mut x = 0;
    let mut columns = Vec::new();
    for column in Column::ORDER {
        if let Some((_, width)) = widths.iter().find(|(known, _)| *known == column) {
            columns.push(PlacedColumn { column, x, width: *width });
            x = x.saturating_add(*width).saturating_add(1);
        }
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
        assert_eq!(names(120), Column::ORDER);
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
