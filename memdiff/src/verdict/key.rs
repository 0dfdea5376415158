//! Identifies processes and series.

use std::sync::Arc;

use common::record::SeriesKind;

/// A process in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ProcessKey {
    pub(super) run: u32,
    pub(super) pid: u32,
    pub(super) start: u64,
}

/// A series of a process: its kind, and the name of a row of a list.
pub(super) type SeriesName = (SeriesKind, Option<Arc<str>>);

/// Whether the kernel counts the value, also while the process exits.
pub(super) fn is_kernel_counter(kind: SeriesKind) -> bool {
    matches!(kind, SeriesKind::Rss | SeriesKind::Pss | SeriesKind::TotalRss | SeriesKind::TotalPss)
        || is_count(kind)
}

/// Whether the value is a number of descriptors or threads, not of bytes.
pub(crate) fn is_count(kind: SeriesKind) -> bool {
    matches!(kind, SeriesKind::Fds | SeriesKind::Threads)
}

/// The bytes that one descriptor or thread stands for in a series. Sizes and counts have the same least change: four of them reach it.
pub(super) const BYTES_OF_COUNT: u64 = 4096;

/// Whether the value is that of a row of a list.
pub(super) fn is_listed(kind: SeriesKind) -> bool {
    matches!(kind, SeriesKind::Type | SeriesKind::Module | SeriesKind::Holder | SeriesKind::Cache)
}
