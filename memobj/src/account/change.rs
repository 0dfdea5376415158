//! What of the resident set grew from one moment to a later one, and what can be tried.
//!
//! Where objects grow, who holds them is the question, and this is not the answer. But where they do not, the rows that grew say who has the
//! memory: C code that gives nothing back, malloc that keeps what it was given back, or Python's allocator, of whose arenas few objects keep many.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Account;
use super::rows::Kind;

/// A cause is told if it has one part in so many of what the resident set grew by.
const PART: i64 = 10;
/// Heaps of malloc from which on fewer are worth a try; a program with one thread has one.
const MANY_HEAPS: u64 = 4;

/// An account, as far as it is compared: of a census, or out of a record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Figures {
    /// The resident set.
    pub rss_bytes: u64,
    /// What it is made of: kind, detail, resident bytes.
    pub rows: Vec<(Kind, Option<Arc<str>>, u64)>,
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
    pub fn figures(&self) -> Figures {
        let rows = self.rows.iter();
        Figures {
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
pub enum Cause {
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

impl Cause {
    /// What a row counts towards.
    const fn of(kind: Kind) -> Self {
        match kind {
            Kind::PythonObjects | Kind::PythonUsed => Self::Objects,
            Kind::PythonFreeBlocks | Kind::PythonFreePools | Kind::PythonOverhead => Self::PythonFree,
            Kind::NativeUsed | Kind::NativeMapped | Kind::NativeOverhead => Self::Native,
            Kind::NativeCached | Kind::NativeFree | Kind::NativeTop => Self::NativeFree,
            Kind::Allocator => Self::Allocator,
            Kind::Stack | Kind::ThreadData => Self::Threads,
            Kind::File | Kind::Kernel => Self::Files,
            Kind::SharedMemory => Self::Shared,
            Kind::Library | Kind::Named => Self::Mapped,
            Kind::Unexplained => Self::Unknown,
        }
    }

    /// Who it is, for a person.
    #[must_use]
    pub const fn words(self) -> &'static str {
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
    pub fn advice(self, now: &Figures) -> &'static str {
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
pub struct Growth {
    /// What it is.
    pub kind: Kind,
    /// More of that.
    pub detail: Option<Arc<str>>,
    /// By how much; negative if it has less.
    pub bytes: i64,
}

/// What is different.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// By how much the resident set grew.
    pub rss_bytes: i64,
    /// The rows that are not as large as before: what grew most first, what shrank most last.
    pub rows: Vec<Growth>,
    /// If the resident set grew: who has it, the most first, each with how much. Those that have little are left out.
    pub causes: Vec<(Cause, i64)>,
}

impl Change {
    /// The cause that has most of what the resident set grew by; `None` if it did not grow, or none has half of that.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        let (cause, bytes) = self.causes.first()?;
        (bytes.saturating_mul(2) >= self.rss_bytes).then_some(*cause)
    }
}

/// Compares two accounts of a process.
#[must_use]
pub fn compared(first: &Figures, last: &Figures) -> Change {
    let mut rows: BTreeMap<(Kind, Option<&Arc<str>>), i64> = BTreeMap::new();
    let mut causes: BTreeMap<Cause, i64> = BTreeMap::new();
    for (figures, sign) in [(first, -1), (last, 1)] {
        for (kind, detail, bytes) in &figures.rows {
            let bytes = signed(*bytes).saturating_mul(sign);
            let row = rows.entry((*kind, detail.as_ref())).or_default();
            *row = row.saturating_add(bytes);
            let cause = causes.entry(Cause::of(*kind)).or_default();
            *cause = cause.saturating_add(bytes);
        }
    }
    let rss_bytes = signed(last.rss_bytes).saturating_sub(signed(first.rss_bytes));
    let grown = rows.into_iter().filter(|(_, bytes)| *bytes != 0);
    let mut rows: Vec<Growth> =
        grown.map(|((kind, detail), bytes)| Growth { kind, detail: detail.cloned(), bytes }).collect();
    rows.sort_by_key(|growth| Reverse(growth.bytes));
    let counts = |(_, bytes): &(Cause, i64)| *bytes > 0 && bytes.saturating_mul(PART) >= rss_bytes;
    let mut causes: Vec<(Cause, i64)> = causes.into_iter().filter(counts).collect();
    if rss_bytes <= 0 {
        causes.clear();
    }
    causes.sort_by_key(|(_, bytes)| Reverse(*bytes));
    Change { rss_bytes, rows, causes }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(rows: &[(Kind, Option<&str>, u64)]) -> Figures {
        let rows: Vec<_> = rows.iter().map(|(kind, of, bytes)| (*kind, of.map(Arc::from), *bytes)).collect();
        let rss_bytes = rows.iter().map(|(_, _, bytes)| bytes).sum();
        Figures { rss_bytes, rows, heaps: Some(1), ..Figures::default() }
    }

    #[test]
    fn the_rows_that_grew_say_who_has_it() {
        let first = figures(&[
            (Kind::PythonObjects, Some("pools"), 1000),
            (Kind::NativeUsed, None, 500),
            (Kind::File, Some("/a"), 300),
        ]);
        let last = figures(&[
            (Kind::PythonObjects, Some("pools"), 990),
            (Kind::NativeUsed, None, 1500),
            (Kind::NativeMapped, None, 200),
            (Kind::File, Some("/b"), 310),
        ]);
        let change = compared(&first, &last);
        assert_eq!(change.rss_bytes, 1200);
        let rows: Vec<_> =
            change.rows.iter().map(|row| (row.kind, row.detail.as_deref(), row.bytes)).collect();
        let expected = [
            (Kind::NativeUsed, None, 1000),
            (Kind::File, Some("/b"), 310),
            (Kind::NativeMapped, None, 200),
            (Kind::PythonObjects, Some("pools"), -10),
            (Kind::File, Some("/a"), -300),
        ];
        assert_eq!(rows, expected);
        // Files have 10 more of 1,200: that is no cause.
        assert_eq!(change.causes, [(Cause::Native, 1200)]);
        assert_eq!(change.cause(), Some(Cause::Native));
    }

    #[test]
    fn what_shrinks_has_no_cause_and_what_grows_by_many_has_no_single_one() {
        let first = figures(&[(Kind::NativeUsed, None, 500)]);
        assert_eq!(compared(&first, &figures(&[(Kind::NativeUsed, None, 400)])).causes, []);
        assert_eq!(compared(&first, &first), Change::default());
        let last = figures(&[
            (Kind::NativeUsed, None, 600),
            (Kind::Stack, Some("a"), 90),
            (Kind::SharedMemory, Some("/x"), 80),
        ]);
        let change = compared(&first, &last);
        assert_eq!(change.causes, [(Cause::Native, 100), (Cause::Threads, 90), (Cause::Shared, 80)]);
        assert_eq!(change.cause(), None);
    }

    #[test]
    fn what_to_try_depends_on_what_is_there() {
        let now = |heaps, trimmable_bytes, pinned_bytes| Figures {
            rss_bytes: 1000,
            heaps: Some(heaps),
            trimmable_bytes,
            pinned_bytes,
            ..Figures::default()
        };
        let advice = |figures: &Figures| Cause::NativeFree.advice(figures);
        assert!(advice(&now(8, 500, 0)).contains("MALLOC_ARENA_MAX"));
        assert!(advice(&now(1, 500, 0)).contains("malloc_trim"));
        assert!(!advice(&now(1, 5, 0)).contains("malloc_trim"));
        assert_ne!(Cause::PythonFree.advice(&now(1, 0, 500)), Cause::PythonFree.advice(&now(1, 0, 5)));
    }
}
