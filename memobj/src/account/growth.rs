//! Growth of the resident set from one moment to a later one, its causes, and advice.
//!
//! If objects grow, the question is who holds them, which this module does not answer. If they do not, the rows that grew name the
//! cause: C code that does not free memory, malloc that keeps freed memory, or Python's allocator, of whose arenas a few objects keep many.
//!
//! ```
//! use common::record::{MemoryAccount, MemoryKind, MemoryRow};
//! use memobj::account::growth::{GrowthCause, compare};
//!
//! let account = |bytes| {
//!     let (kind, detail) = (MemoryKind::NativeUsed, None);
//!     let row = MemoryRow { kind, detail, private_bytes: bytes, shared_bytes: 0, swap_bytes: 0 };
//!     MemoryAccount { rss_bytes: bytes, rows: vec![row], ..MemoryAccount::default() }
//! };
//! let change = compare(&account(1000), &account(5000));
//! assert_eq!(change.cause(), Some(GrowthCause::Native));
//! ```
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use common::record::{MemoryAccount, MemoryKind, MemoryRow};

/// A cause is listed if it has one part in so many of the growth.
const LISTED_PART: i64 = 10;
/// Arenas of malloc from which on fewer are worth a try; a program with one thread has one.
const MANY_ARENAS: u64 = 4;

/// The cause of growth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GrowthCause {
    /// More or larger Python objects.
    Objects,
    /// Free memory that Python's allocator keeps.
    PythonFree,
    /// C code, through malloc.
    Native,
    /// Freed memory that malloc keeps.
    NativeFree,
    /// Memory of an allocator that is not read.
    Allocator,
    /// Threads.
    Threads,
    /// Mapped files, or more pages of them.
    Files,
    /// Shared memory.
    Shared,
    /// Memory that libraries, or the program itself, have mapped.
    Mapped,
    /// Memory without a known owner.
    Unknown,
}

impl GrowthCause {
    /// The cause that a row counts towards.
    pub const fn from_row(kind: MemoryKind) -> Self {
        match kind {
            MemoryKind::PythonObjects | MemoryKind::PythonUsed => Self::Objects,
            MemoryKind::PythonFreeBlocks | MemoryKind::PythonFreePools | MemoryKind::PythonOverhead => {
                Self::PythonFree
            }
            MemoryKind::NativeUsed | MemoryKind::NativeMapped | MemoryKind::NativeOverhead => Self::Native,
            MemoryKind::NativeCached | MemoryKind::NativeFree | MemoryKind::NativeTop => Self::NativeFree,
            MemoryKind::Allocator => Self::Allocator,
            MemoryKind::Stack | MemoryKind::ThreadData => Self::Threads,
            MemoryKind::File | MemoryKind::Kernel => Self::Files,
            MemoryKind::SharedMemory => Self::Shared,
            MemoryKind::Library | MemoryKind::Named => Self::Mapped,
            MemoryKind::Unexplained | MemoryKind::Unknown => Self::Unknown,
        }
    }

    /// A description for a person.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Objects => "Python objects",
            Self::PythonFree => "free memory that Python keeps",
            Self::Native => "memory that C code took",
            Self::NativeFree => "free memory that malloc keeps",
            Self::Allocator => "memory of another allocator",
            Self::Threads => "stacks of threads",
            Self::Files => "mapped files",
            Self::Shared => "shared memory",
            Self::Mapped => "memory that libraries mapped",
            Self::Unknown => "memory without a known owner",
        }
    }

    /// Advice, for a process with these figures.
    pub fn advice(self, now: &MemoryAccount) -> &'static str {
        let is_much = |bytes: u64| bytes.saturating_mul(10) >= now.rss_bytes && bytes > 0;
        match self {
            Self::Objects => "see who holds them: --holders, --why TYPE",
            Self::PythonFree if is_much(now.pinned_bytes) => {
                "a few objects keep nearly empty arenas: see which (pinned_by); create them again together, or create them \
                 before the many short-lived ones"
            }
            Self::PythonFree => "Python will use it again before it takes more: this is the peak, not a leak",
            Self::Native => {
                "if it goes on, a native leak in an extension or a C library: trace malloc (heaptrack, memray --native)"
            }
            Self::NativeFree if now.malloc_arenas.is_some_and(|arenas| arenas >= MANY_ARENAS) => {
                "each thread may have a heap of its own: try MALLOC_ARENA_MAX=2 in its environment, or malloc_trim(0) in it"
            }
            Self::NativeFree if is_much(now.trimmable_bytes) => {
                "try malloc_trim(0) in the program (ctypes.CDLL(None).malloc_trim(0)), or MALLOC_TRIM_THRESHOLD_"
            }
            Self::NativeFree => {
                "it is fragmented between chunks in use, and malloc will use it again: try another allocator"
            }
            Self::Allocator => {
                "see the statistics of that allocator; jemalloc and mimalloc give memory back later"
            }
            Self::Threads => "check for threads that are started and never end",
            Self::Files => "the kernel takes such pages back when it needs them",
            Self::Shared => "check that segments are closed: multiprocessing.shared_memory, mmap, /dev/shm",
            Self::Mapped => {
                "it is the library's own pool: see its settings (OPENBLAS_NUM_THREADS for OpenBLAS)"
            }
            Self::Unknown => "see its mappings in /proc/PID/smaps, and trace mmap (strace -k -e mmap)",
        }
    }
}

/// The change of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowChange {
    /// The use of the memory.
    pub kind: MemoryKind,
    /// More of that.
    pub detail: Option<Arc<str>>,
    /// Negative if it shrank.
    pub bytes: i64,
}

/// The difference between two accounts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountChange {
    /// Growth of the resident set.
    pub rss_bytes: i64,
    /// The rows that changed; the one that grew most comes first, the one that shrank most last.
    pub rows: Vec<RowChange>,
    /// If the resident set grew: its causes with their bytes, the largest first. Small ones are left out.
    pub causes: Vec<(GrowthCause, i64)>,
}

impl AccountChange {
    /// The cause of at least half of the growth; `None` if there is none.
    pub fn cause(&self) -> Option<GrowthCause> {
        let (cause, bytes) = self.causes.first()?;
        (bytes.saturating_mul(2) >= self.rss_bytes).then_some(*cause)
    }
}

/// The rows that changed; the one that grew most comes first, the one that shrank most last.
pub fn row_changes(first: &[MemoryRow], last: &[MemoryRow]) -> Vec<RowChange> {
    let mut changes: BTreeMap<(MemoryKind, Option<&Arc<str>>), i64> = BTreeMap::new();
    for (rows, sign) in [(first, -1), (last, 1)] {
        for row in rows {
            let change = changes.entry((row.kind, row.detail.as_ref())).or_default();
            *change = change.saturating_add(signed(row.resident_bytes()).saturating_mul(sign));
        }
    }
    let changed = changes.into_iter().filter(|(_, bytes)| *bytes != 0);
    let mut rows: Vec<RowChange> =
        changed.map(|((kind, detail), bytes)| RowChange { kind, detail: detail.cloned(), bytes }).collect();
    rows.sort_by_key(|change| Reverse(change.bytes));
    rows
}

/// Compares two accounts of a process.
pub fn compare(first: &MemoryAccount, last: &MemoryAccount) -> AccountChange {
    let rows = row_changes(&first.rows, &last.rows);
    let rss_bytes = signed(last.rss_bytes).saturating_sub(signed(first.rss_bytes));
    let mut causes: BTreeMap<GrowthCause, i64> = BTreeMap::new();
    for row in rows.iter().filter(|_| rss_bytes > 0) {
        let sum = causes.entry(GrowthCause::from_row(row.kind)).or_default();
        *sum = sum.saturating_add(row.bytes);
    }
    let counts =
        |(_, bytes): &(GrowthCause, i64)| *bytes > 0 && bytes.saturating_mul(LISTED_PART) >= rss_bytes;
    let mut causes: Vec<(GrowthCause, i64)> = causes.into_iter().filter(counts).collect();
    causes.sort_by_key(|(_, bytes)| Reverse(*bytes));
    AccountChange { rss_bytes, rows, causes }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(rows: &[(MemoryKind, Option<&str>, u64)]) -> MemoryAccount {
        let row = |&(kind, detail, private_bytes): &(MemoryKind, Option<&str>, u64)| MemoryRow {
            kind,
            detail: detail.map(Arc::from),
            private_bytes,
            shared_bytes: 0,
            swap_bytes: 0,
        };
        let rss_bytes = rows.iter().map(|(_, _, bytes)| bytes).sum();
        let rows = rows.iter().map(row).collect();
        MemoryAccount { rss_bytes, rows, malloc_arenas: Some(1), ..MemoryAccount::default() }
    }

    #[test]
    fn rows_that_grew_name_the_cause() {
        let first = account(&[
            (MemoryKind::PythonObjects, Some("pools"), 1000),
            (MemoryKind::NativeUsed, None, 500),
            (MemoryKind::File, Some("/a"), 300),
        ]);
        let last = account(&[
            (MemoryKind::PythonObjects, Some("pools"), 990),
            (MemoryKind::NativeUsed, None, 1500),
            (MemoryKind::NativeMapped, None, 200),
            (MemoryKind::File, Some("/b"), 310),
        ]);
        let change = compare(&first, &last);
        assert_eq!(change.rss_bytes, 1200);
        let rows: Vec<_> =
            change.rows.iter().map(|row| (row.kind, row.detail.as_deref(), row.bytes)).collect();
        let expected = [
            (MemoryKind::NativeUsed, None, 1000),
            (MemoryKind::File, Some("/b"), 310),
            (MemoryKind::NativeMapped, None, 200),
            (MemoryKind::PythonObjects, Some("pools"), -10),
            (MemoryKind::File, Some("/a"), -300),
        ];
        assert_eq!(rows, expected);
        // Files have 10 more of 1,200: that is no cause.
        assert_eq!(change.causes, [(GrowthCause::Native, 1200)]);
        assert_eq!(change.cause(), Some(GrowthCause::Native));
    }

    #[test]
    fn mixed_growth_has_no_cause() {
        let first = account(&[(MemoryKind::NativeUsed, None, 500)]);
        assert_eq!(compare(&first, &account(&[(MemoryKind::NativeUsed, None, 400)])).causes, []);
        assert_eq!(compare(&first, &first), AccountChange::default());
        let last = account(&[
            (MemoryKind::NativeUsed, None, 600),
            (MemoryKind::Stack, Some("a"), 90),
            (MemoryKind::SharedMemory, Some("/x"), 80),
        ]);
        let change = compare(&first, &last);
        assert_eq!(
            change.causes,
            [(GrowthCause::Native, 100), (GrowthCause::Threads, 90), (GrowthCause::Shared, 80)]
        );
        assert_eq!(change.cause(), None);
    }

    #[test]
    fn advice_depends_on_the_figures() {
        let now = |arenas, trimmable_bytes, pinned_bytes| MemoryAccount {
            rss_bytes: 1000,
            malloc_arenas: Some(arenas),
            trimmable_bytes,
            pinned_bytes,
            ..MemoryAccount::default()
        };
        let advice = |account: &MemoryAccount| GrowthCause::NativeFree.advice(account);
        assert!(advice(&now(8, 500, 0)).contains("MALLOC_ARENA_MAX"));
        assert!(advice(&now(1, 500, 0)).contains("malloc_trim"));
        assert!(!advice(&now(1, 5, 0)).contains("malloc_trim"));
        assert_ne!(
            GrowthCause::PythonFree.advice(&now(1, 0, 500)),
            GrowthCause::PythonFree.advice(&now(1, 0, 5))
        );
    }
}
