//! Differences for people and for other programs: text, markdown, rows.

mod csv;
mod grid;
mod markdown;
mod sections;
mod text;

#[cfg(test)]
mod tests;

use common::record::DiffRecord;

use crate::delta::Growth;

pub use self::csv::CsvWriter;
pub use self::markdown::markdown;
pub use self::text::text;

/// How tables look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderOptions {
    /// Whether to colour; without, not one escape byte is written.
    pub colour: bool,
    /// The columns of the terminal, to which names are shortened; `None` shortens nothing.
    pub width: Option<usize>,
    /// The most rows of a table; `None`: all, with those that did not change.
    pub limit: Option<usize>,
}

/// What is to be shown.
#[derive(Debug, Clone, Copy)]
pub enum Report<'a> {
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

impl Report<'_> {
    /// The record of it.
    #[must_use]
    pub fn record(&self) -> &DiffRecord {
        match self {
            Report::Changes { record, .. } | Report::Verdicts { record, .. } => record,
        }
    }
}
