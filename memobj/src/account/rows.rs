//! The rows of the account: what memory is used for.

use std::collections::HashMap;
use std::sync::Arc;

use super::span::{PageBytes, RowId};

/// Declares [`RowKind`] by rows: what it is in records, what it is for a person, and where an object in such memory lies.
macro_rules! row_kinds {
    ($($(#[$doc:meta])* $kind:ident: $name:literal, $description:literal, $place:literal;)*) => {
        /// What memory is used for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum RowKind {
            $($(#[$doc])* $kind,)*
        }

        impl RowKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// The name in records.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }

            /// A description for a person.
            #[must_use]
            pub const fn describe(self) -> &'static str {
                match self { $(Self::$kind => $description),* }
            }

            /// Where an object lies that lies in such memory.
            #[must_use]
            pub const fn place(self) -> &'static str {
                match self { $(Self::$kind => $place),* }
            }
        }
    };
}

row_kinds! {
    /// Python objects and the storage that they own. Detail: where they lie.
    PythonObjects: "python_objects", "Python objects", "pools";
    /// Blocks that Python's allocator has given out and that no object owns.
    PythonUsed: "python_used", "other blocks of Python in use", "pools";
    /// Free blocks in pools with other blocks in use.
    PythonFreeBlocks: "python_free_blocks", "free blocks in used pools", "pools";
    /// Pools without a block in use, and parts of arenas that were never divided into pools.
    PythonFreePools: "python_free_pools", "free pools of Python", "pools";
    /// Headers of pools, and their ends that are too small for a block.
    PythonOverhead: "python_overhead", "overhead of pools", "pools";
    /// Chunks of malloc in use without a Python object, with their headers.
    NativeUsed: "native_used", "malloc, in use", "malloc";
    /// The same, chunks so large that each has a mapping of its own.
    NativeMapped: "native_mapped", "malloc, large, in use", "mappings of their own";
    /// Freed chunks in malloc's fast bins and threads' caches.
    NativeCached: "native_cached", "malloc, free in caches", "malloc";
    /// Freed chunks in malloc's lists of free chunks.
    NativeFree: "native_free", "malloc, free but kept", "malloc";
    /// The ends of malloc's heaps, never given out or freed again.
    NativeTop: "native_top", "malloc, never used or given back", "malloc";
    /// Memory of malloc itself: arenas, headers of heaps.
    NativeOverhead: "native_overhead", "malloc, its own", "malloc";
    /// Memory of another allocator that is not read. Detail: its name.
    Allocator: "allocator", "memory of", "elsewhere";
    /// Stacks of threads. Detail: the thread's name.
    Stack: "stack", "stacks of threads", "elsewhere";
    /// Static data of threads.
    ThreadData: "thread_data", "static data of threads", "elsewhere";
    /// Mapped files, and the other static data of programs and libraries (`.bss`). Detail: the path.
    File: "file", "file", "static data";
    /// Memory that processes may share: of memfd_create, `/dev/shm`, System V, anonymous. Detail: its name.
    SharedMemory: "shared_memory", "shared memory", "shared memory";
    /// Memory that the kernel maps into each process, such as `[vdso]`. Detail: its name.
    Kernel: "kernel", "from the kernel", "elsewhere";
    /// Anonymous memory to which the static data of a library or program points. Detail: its path.
    Library: "library", "mapped by", "elsewhere";
    /// Anonymous memory that the program gave a name (PR_SET_VMA_ANON_NAME). Detail: the name.
    Named: "named", "named by the program", "elsewhere";
    /// Resident memory without a known owner. Detail: the kind of its mapping.
    Unexplained: "unexplained", "not explained", "elsewhere";
}

impl RowKind {
    /// Whether it says what the memory is used for.
    #[must_use]
    pub const fn explains(self) -> bool {
        !matches!(self, Self::Unexplained | Self::Allocator)
    }
}

/// A row of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The use of the memory.
    pub kind: RowKind,
    /// More of that; see [`RowKind`].
    pub detail: Option<Arc<str>>,
    /// Bytes.
    pub bytes: PageBytes,
}

/// The rows while they are filled.
#[derive(Debug, Default)]
pub(super) struct Rows {
    rows: Vec<Row>,
    known: HashMap<(RowKind, Option<Arc<str>>), RowId>,
}

impl Rows {
    /// The number of a row, which is new if there was none.
    pub(super) fn id(&mut self, kind: RowKind, detail: Option<&str>) -> RowId {
        let next = RowId(u32::try_from(self.rows.len()).unwrap_or(u32::MAX));
        let detail: Option<Arc<str>> = detail.map(Arc::from);
        *self.known.entry((kind, detail.clone())).or_insert_with(|| {
            self.rows.push(Row { kind, detail, bytes: PageBytes::default() });
            next
        })
    }

    /// A row by its number.
    pub(super) fn get(&self, row: RowId) -> Option<&Row> {
        self.rows.get(row.0 as usize)
    }

    /// The bytes of a row.
    pub(super) fn bytes_mut(&mut self, row: RowId) -> Option<&mut PageBytes> {
        self.rows.get_mut(row.0 as usize).map(|row| &mut row.bytes)
    }

    /// The rows with any bytes, the largest first.
    pub(super) fn into_sorted(mut self) -> Vec<Row> {
        self.rows.retain(|row| row.bytes != PageBytes::default());
        self.rows.sort_by(|a, b| {
            let size = |row: &Row| (row.bytes.resident_bytes(), row.bytes.swapped_bytes);
            size(b).cmp(&size(a)).then_with(|| (a.kind, &a.detail).cmp(&(b.kind, &b.detail)))
        });
        self.rows
    }
}
