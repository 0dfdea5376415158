//! Identifies processes and series.

use std::sync::Arc;

use crate::measurement::ListKind;

/// A process in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ProcessKey {
    pub(super) run: u32,
    pub(super) pid: u32,
    pub(super) start: u64,
}

/// A series of a process: its kind, and the name of a row of a list.
pub(super) type SeriesName = (SeriesKind, Option<Arc<str>>);

/// The kind of value that a series has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum SeriesKind {
    Rss,
    Pss,
    TotalRss,
    TotalPss,
    Python,
    Native,
    Listed(ListKind),
}

impl SeriesKind {
    /// The name of the kind in records.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Rss => "rss",
            Self::Pss => "pss",
            Self::TotalRss => "total_rss",
            Self::TotalPss => "total_pss",
            Self::Python => "python",
            Self::Native => "native",
            Self::Listed(list) => list.as_str(),
        }
    }

    /// Whether the kernel counts the value, also while the process exits.
    pub(super) fn is_kernel_counter(self) -> bool {
        matches!(self, Self::Rss | Self::Pss | Self::TotalRss | Self::TotalPss)
    }
}
