//! Differences for people and for other programs: text, markdown, rows.

mod csv;
mod grid;
mod markdown;
mod rows;
mod text;

#[cfg(test)]
mod tests;

use common::record::DiffRecord;

use crate::delta::Growth;

pub use self::csv::Csv;
pub use self::markdown::markdown;
pub use self::text::text;

/// How tables look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Whether to colour; without, not one escape byte is written.
    pub colour: bool,
    /// The columns of the terminal, to which names are shortened; `None` shortens nothing.
    pub width: Option<usize>,
    /// The most rows of a table; `None`: all, with those that did not change.
    pub limit: Option<usize>,
}

/// What is to be shown.
#[derive(Debug, Clone, Copy)]
pub enum Found<'a> {
    /// Two moments.
    Changes {
        /// What changed.
        record: &'a DiffRecord,
        /// What of it is growth beyond the threshold.
        grown: &'a [Growth],
        /// What has to be said to it.
        notes: &'a [String],
        /// The threshold in words: `4.00 MiB`.
        threshold: &'a str,
    },
    /// Verdicts over many moments.
    Verdicts {
        /// The verdicts, in their order.
        record: &'a DiffRecord,
        /// How many measurements they are of.
        measured: u64,
    },
}

impl Found<'_> {
    /// The record of it.
    #[must_use]
    pub fn record(&self) -> &DiffRecord {
        match self {
            Found::Changes { record, .. } | Found::Verdicts { record, .. } => record,
        }
    }
}
