//! What of the resident set grew from one moment to a later one, and what can be tried.
//!
//! Where objects grow, who holds them is the question, and this is not the answer. But where they do not, the rows that grew say who has the
//! memory: C code that gives nothing back, malloc that keeps what it was given back, or Python's allocator, of whose arenas few objects keep many.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Account;
use super::rows::RowKind;

/// A cause is told if it has one part in so many of what the resident set grew by.
const PART: i64 = 10;
/// Heaps of malloc from which on fewer are worth a try; a program with one thread has one.
const MANY_HEAPS: u64 = 4;

/// An account, as far as it is compared: of a census, or out of a record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountSummary {
    /// The resident set.
    pub rss_bytes: u64,
    /// What it is made of: kind, detail, resident bytes.
    pub rows: Vec<(RowKind, Option<Arc<str>>, u64)>,
    /// Heaps of malloc.
    pub heaps: Option<u64>,
    /// What `malloc_trim(0)` would give back.
    pub trimmable_bytes: u64,
    /// Nearly empty arenas of Python's allocator.
    pub pinned_arenas: u64,
    /// What those keep.
    pub pinned_bytes: u64,
}

impl Account {
    /// What of it is compared.
    #[must_use]
    pub fn summary(&self) -> AccountSummary {
        let rows = self.rows.iter();
        AccountSummary {
            rss_bytes: self.rss_bytes,
            rows: rows.map(|row| (row.kind, row.detail.clone(), row.tally.resident_bytes())).collect(),
            heaps: self.arenas.as_ref().map(|arenas| arenas.len() as u64),
            trimmable_bytes: self.trimmable_bytes,
            pinned_arenas: self.pinned.arenas,
            pinned_bytes: self.pinned.arena_bytes,
        }
    }
}

/// Who the memory went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GrowthCause {
    /// Objects of Python: there are more of them, or larger ones.
    Objects,
    /// Python's allocator, which keeps more that is free.
    PythonFree,
    /// C code, through malloc.
    Native,
    /// malloc, which keeps more that was given back to it.
    NativeFree,
    /// An allocator that is named and not looked into.
    Allocator,
    /// Threads.
    Threads,
    /// Files that were mapped, or more of them that was touched.
    Files,
    /// Shared memory.
    Shared,
    /// What libraries, or the program itself, have mapped for themselves.
    Mapped,
    /// Nobody that is known.
    Unknown,
}

impl GrowthCause {
    /// What a row counts towards.
    const fn of(kind: RowKind) -> Self {
        match kind {
            RowKind::PythonObjects | RowKind::PythonUsed => Self::Objects,
            RowKind::PythonFreeBlocks | RowKind::PythonFreePools | RowKind::PythonOverhead => {
                Self::PythonFree
            }
            RowKind::NativeUsed | RowKind::NativeMapped | RowKind::NativeOverhead => Self::Native,
            RowKind::NativeCached | RowKind::NativeFree | RowKind::NativeTop => Self::NativeFree,
            RowKind::Allocator => Self::Allocator,
            RowKind::Stack | RowKind::ThreadData => Self::Threads,
            RowKind::File | RowKind::Kernel => Self::Files,
            RowKind::SharedMemory => Self::Shared,
            RowKind::Library | RowKind::Named => Self::Mapped,
            RowKind::Unexplained => Self::Unknown,
        }
    }

    /// Who it is, for a person.
    #[must_use]
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
            Self::Unknown => "memory that nobody is known for",
        }
    }

    /// What to try, with what is so `now`.
    #[must_use]
    pub fn advice(self, now: &AccountSummary) -> &'static str {
        let is_much = |bytes: u64| bytes.saturating_mul(10) >= now.rss_bytes && bytes > 0;
        match self {
            Self::Objects => "see who holds them: --holders, --why TYPE",
            Self::PythonFree if is_much(now.pinned_bytes) => {
                "a few objects keep nearly empty arenas: see who they are (pinned_by), make them anew in one place, or make \
                 them before the many that go"
            }
            Self::PythonFree => {
                "it will be used again before more is taken: look at the peak, not at the leak"
            }
            Self::Native => {
                "a native leak, if it goes on: in an extension or a C library; trace malloc (heaptrack, memray --native)"
            }
            Self::NativeFree if now.heaps.is_some_and(|heaps| heaps >= MANY_HEAPS) => {
                "each thread may have a heap of its own: try MALLOC_ARENA_MAX=2 in its environment, or malloc_trim(0) in it"
            }
            Self::NativeFree if is_much(now.trimmable_bytes) => {
                "try malloc_trim(0) in the program (ctypes.CDLL(None).malloc_trim(0)), or MALLOC_TRIM_THRESHOLD_"
            }
            Self::NativeFree => {
                "it is in pieces between what is in use, and will be used again: try another allocator"
            }
            Self::Allocator => {
                "ask that allocator: jemalloc and mimalloc print statistics, and give memory back later"
            }
            Self::Threads => "look whether threads are begun and never end",
            Self::Files => "the kernel takes such pages back when it needs them",
            Self::Shared => "look whether segments are closed: multiprocessing.shared_memory, mmap, /dev/shm",
            Self::Mapped => {
                "it is that library's own pool: see its settings (OPENBLAS_NUM_THREADS for OpenBLAS)"
            }
            Self::Unknown => {
                "look at /proc/PID/smaps for what is mapped there, and trace mmap (strace -k -e mmap)"
            }
        }
    }
}

/// How much a row has more than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowGrowth {
    /// What it is.
    pub kind: RowKind,
    /// More of that.
    pub detail: Option<Arc<str>>,
    /// By how much; negative if it has less.
    pub bytes: i64,
}

/// What is different.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountChange {
    /// By how much the resident set grew.
    pub rss_bytes: i64,
    /// The rows that are not as large as before: what grew most first, what shrank most last.
    pub rows: Vec<RowGrowth>,
    /// If the resident set grew: who has it, the most first, each with how much. Those that have little are left out.
    pub causes: Vec<(GrowthCause, i64)>,
}

impl AccountChange {
    /// The cause that has most of what the resident set grew by; `None` if it did not grow, or none has half of that.
    #[must_use]
    pub fn cause(&self) -> Option<GrowthCause> {
        let (cause, bytes) = self.causes.first()?;
        (bytes.saturating_mul(2) >= self.rss_bytes).then_some(*cause)
    }
}

/// Compares two accounts of a process.
#[must_use]
pub fn compare(first: &AccountSummary, last: &AccountSummary) -> AccountChange {
    let mut rows: BTreeMap<(RowKind, Option<&Arc<str>>), i64> = BTreeMap::new();
    let mut causes: BTreeMap<GrowthCause, i64> = BTreeMap::new();
    for (figures, sign) in [(first, -1), (last, 1)] {
        for (kind, detail, bytes) in &figures.rows {
            let bytes = signed(*bytes).saturating_mul(sign);
            let row = rows.entry((*kind, detail.as_ref())).or_default();
            *row = row.saturating_add(bytes);
            let cause = causes.entry(GrowthCause::of(*kind)).or_default();
            *cause = cause.saturating_add(bytes);
        }
    }
    let rss_bytes = signed(last.rss_bytes).saturating_sub(signed(first.rss_bytes));
    let grown = rows.into_iter().filter(|(_, bytes)| *bytes != 0);
    let mut rows: Vec<RowGrowth> =
        grown.map(|((kind, detail), bytes)| RowGrowth { kind, detail: detail.cloned(), bytes }).collect();
    rows.sort_by_key(|growth| Reverse(growth.bytes));
    let counts = |(_, bytes): &(GrowthCause, i64)| *bytes > 0 && bytes.saturating_mul(PART) >= rss_bytes;
    let mut causes: Vec<(GrowthCause, i64)> = causes.into_iter().filter(counts).collect();
    if rss_bytes <= 0 {
        causes.clear();
    }
    causes.sort_by_key(|(_, bytes)| Reverse(*bytes));
    AccountChange { rss_bytes, rows, causes }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(rows: &[(RowKind, Option<&str>, u64)]) -> AccountSummary {
        let rows: Vec<_> = rows.iter().map(|(kind, of, bytes)| (*kind, of.map(Arc::from), *bytes)).collect();
        let rss_bytes = rows.iter().map(|(_, _, bytes)| bytes).sum();
        AccountSummary { rss_bytes, rows, heaps: Some(1), ..AccountSummary::default() }
    }

    #[test]
    fn the_rows_that_grew_say_who_has_it() {
        let first = summary(&[
            (RowKind::PythonObjects, Some("pools"), 1000),
            (RowKind::NativeUsed, None, 500),
            (RowKind::File, Some("/a"), 300),
        ]);
        let last = summary(&[
            (RowKind::PythonObjects, Some("pools"), 990),
            (RowKind::NativeUsed, None, 1500),
            (RowKind::NativeMapped, None, 200),
            (RowKind::File, Some("/b"), 310),
        ]);
        let change = compare(&first, &last);
        assert_eq!(change.rss_bytes, 1200);
        let rows: Vec<_> =
            change.rows.iter().map(|row| (row.kind, row.detail.as_deref(), row.bytes)).collect();
        let expected = [
            (RowKind::NativeUsed, None, 1000),
            (RowKind::File, Some("/b"), 310),
            (RowKind::NativeMapped, None, 200),
            (RowKind::PythonObjects, Some("pools"), -10),
            (RowKind::File, Some("/a"), -300),
        ];
        assert_eq!(rows, expected);
        // Files have 10 more of 1,200: that is no cause.
        assert_eq!(change.causes, [(GrowthCause::Native, 1200)]);
        assert_eq!(change.cause(), Some(GrowthCause::Native));
    }

    #[test]
    fn what_shrinks_has_no_cause_and_what_grows_by_many_has_no_single_one() {
        let first = summary(&[(RowKind::NativeUsed, None, 500)]);
        assert_eq!(compare(&first, &summary(&[(RowKind::NativeUsed, None, 400)])).causes, []);
        assert_eq!(compare(&first, &first), AccountChange::default());
        let last = summary(&[
            (RowKind::NativeUsed, None, 600),
            (RowKind::Stack, Some("a"), 90),
            (RowKind::SharedMemory, Some("/x"), 80),
        ]);
        let change = compare(&first, &last);
        assert_eq!(
            change.causes,
            [(GrowthCause::Native, 100), (GrowthCause::Threads, 90), (GrowthCause::Shared, 80)]
        );
        assert_eq!(change.cause(), None);
    }

    #[test]
    fn what_to_try_depends_on_what_is_there() {
        let now = |heaps, trimmable_bytes, pinned_bytes| AccountSummary {
            rss_bytes: 1000,
            heaps: Some(heaps),
            trimmable_bytes,
            pinned_bytes,
            ..AccountSummary::default()
        };
        let advice = |figures: &AccountSummary| GrowthCause::NativeFree.advice(figures);
        assert!(advice(&now(8, 500, 0)).contains("MALLOC_ARENA_MAX"));
        assert!(advice(&now(1, 500, 0)).contains("malloc_trim"));
        assert!(!advice(&now(1, 5, 0)).contains("malloc_trim"));
        assert_ne!(
            GrowthCause::PythonFree.advice(&now(1, 0, 500)),
            GrowthCause::PythonFree.advice(&now(1, 0, 5))
        );
    }
}
