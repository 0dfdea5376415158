//! The rows of the account: what memory is used for.

use std::collections::HashMap;
use std::sync::Arc;

use super::span::{PageBytes, RowId};

/// What memory is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowKind {
    /// Python objects and the storage they own. Detail: where they lie.
    PythonObjects,
    /// Blocks that Python's allocator has given out and no object that was found lies in.
    PythonUsed,
    /// Blocks that are free, in pools with others that are not.
    PythonFreeBlocks,
    /// Pools of which no block is in use, and what of arenas was never divided.
    PythonFreePools,
    /// Heads of pools, and what is left over of them.
    PythonOverhead,
    /// What malloc has given out, with the heads of chunks, and no Python object lies in.
    NativeUsed,
    /// The same, chunks so large that each has a mapping of its own.
    NativeMapped,
    /// Given back to malloc, and kept in fast bins and threads' caches.
    NativeCached,
    /// Given back to malloc, and kept in its lists of free chunks.
    NativeFree,
    /// The ends of malloc's heaps that were never given out, or given back.
    NativeTop,
    /// malloc's own: arenas, heads of heaps.
    NativeOverhead,
    /// Memory of an allocator that is named and not looked into. Detail: its name.
    Allocator,
    /// Stacks of threads. Detail: the thread's name.
    Stack,
    /// Static data of threads.
    ThreadData,
    /// Mapped files, and what programs and libraries have besides (`.bss`). Detail: the path.
    File,
    /// Memory that processes may share: of memfd_create, `/dev/shm`, System V, anonymous. Detail: its name.
    SharedMemory,
    /// What the kernel puts into each process, such as `[vdso]`. Detail: its name.
    Kernel,
    /// Anonymous memory that the static data of a library or program points to the beginning of. Detail: its path.
    Library,
    /// Anonymous memory with a name that the program gave it (PR_SET_VMA_ANON_NAME). Detail: the name.
    Named,
    /// What is resident, and nobody is known for. Detail: what it is mapped as.
    Unexplained,
}

impl RowKind {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::PythonObjects,
        Self::PythonUsed,
        Self::PythonFreeBlocks,
        Self::PythonFreePools,
        Self::PythonOverhead,
        Self::NativeUsed,
        Self::NativeMapped,
        Self::NativeCached,
        Self::NativeFree,
        Self::NativeTop,
        Self::NativeOverhead,
        Self::Allocator,
        Self::Stack,
        Self::ThreadData,
        Self::File,
        Self::SharedMemory,
        Self::Kernel,
        Self::Library,
        Self::Named,
        Self::Unexplained,
    ];

    /// Its word in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PythonObjects => "python_objects",
            Self::PythonUsed => "python_used",
            Self::PythonFreeBlocks => "python_free_blocks",
            Self::PythonFreePools => "python_free_pools",
            Self::PythonOverhead => "python_overhead",
            Self::NativeUsed => "native_used",
            Self::NativeMapped => "native_mapped",
            Self::NativeCached => "native_cached",
            Self::NativeFree => "native_free",
            Self::NativeTop => "native_top",
            Self::NativeOverhead => "native_overhead",
            Self::Allocator => "allocator",
            Self::Stack => "stack",
            Self::ThreadData => "thread_data",
            Self::File => "file",
            Self::SharedMemory => "shared_memory",
            Self::Kernel => "kernel",
            Self::Library => "library",
            Self::Named => "named",
            Self::Unexplained => "unexplained",
        }
    }

    /// What it is, for a person.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::PythonObjects => "Python objects",
            Self::PythonUsed => "other blocks of Python in use",
            Self::PythonFreeBlocks => "free blocks in used pools",
            Self::PythonFreePools => "free pools of Python",
            Self::PythonOverhead => "overhead of pools",
            Self::NativeUsed => "malloc, in use",
            Self::NativeMapped => "malloc, large, in use",
            Self::NativeCached => "malloc, free in caches",
            Self::NativeFree => "malloc, free but kept",
            Self::NativeTop => "malloc, never used or given back",
            Self::NativeOverhead => "malloc, its own",
            Self::Allocator => "memory of",
            Self::Stack => "stacks of threads",
            Self::ThreadData => "static data of threads",
            Self::File => "file",
            Self::SharedMemory => "shared memory",
            Self::Kernel => "from the kernel",
            Self::Library => "mapped by",
            Self::Named => "named by the program",
            Self::Unexplained => "not explained",
        }
    }

    /// Whether it says what the memory is used for.
    #[must_use]
    pub const fn explains(self) -> bool {
        !matches!(self, Self::Unexplained | Self::Allocator)
    }

    /// Where an object lies that lies in such memory.
    #[must_use]
    pub const fn place(self) -> &'static str {
        match self {
            Self::PythonObjects
            | Self::PythonUsed
            | Self::PythonFreeBlocks
            | Self::PythonFreePools
            | Self::PythonOverhead => "pools",
            Self::NativeMapped => "mappings of their own",
            Self::NativeUsed
            | Self::NativeCached
            | Self::NativeFree
            | Self::NativeTop
            | Self::NativeOverhead => "malloc",
            Self::File => "static data",
            Self::SharedMemory => "shared memory",
            Self::Allocator
            | Self::Stack
            | Self::ThreadData
            | Self::Kernel
            | Self::Library
            | Self::Named
            | Self::Unexplained => "elsewhere",
        }
    }
}

/// A row of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What it is.
    pub kind: RowKind,
    /// More of that; see [`RowKind`].
    pub detail: Option<Arc<str>>,
    /// How much.
    pub tally: PageBytes,
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
            self.rows.push(Row { kind, detail, tally: PageBytes::default() });
            next
        })
    }

    /// What a row is.
    pub(super) fn kind(&self, row: RowId) -> Option<RowKind> {
        self.rows.get(row.0 as usize).map(|row| row.kind)
    }

    /// More of what a row is.
    pub(super) fn detail(&self, row: RowId) -> Option<Arc<str>> {
        self.rows.get(row.0 as usize).and_then(|row| row.detail.clone())
    }

    /// The tally of a row.
    pub(super) fn tally(&mut self, row: RowId) -> Option<&mut PageBytes> {
        self.rows.get_mut(row.0 as usize).map(|row| &mut row.tally)
    }

    /// Those that have something, the largest first.
    pub(super) fn finish(mut self) -> Vec<Row> {
        self.rows.retain(|row| row.tally != PageBytes::default());
        self.rows.sort_by(|a, b| {
            let size = |row: &Row| (row.tally.resident_bytes(), row.tally.swapped_bytes);
            size(b).cmp(&size(a)).then_with(|| (a.kind, &a.detail).cmp(&(b.kind, &b.detail)))
        });
        self.rows
    }
}
