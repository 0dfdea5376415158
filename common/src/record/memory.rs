//! The account of a resident set in a census: the owner of each byte.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::names::names;
use super::omitted::Omitted;
use super::scan::scanned;

scanned! {
    MemoryAccountFields:
    /// The owners of a process's resident set; each byte counts once.
    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
    pub struct MemoryAccount {
        /// The resident set, as the kernel counts it from the process's pages. The rows add up to it. `VmRSS` is a counter that may be off by
        /// some pages.
        pub rss_bytes: u64,
        /// The explained part of the resident set.
        pub explained_bytes: u64,
        /// `explained_bytes` divided by `rss_bytes`.
        pub explained_ratio: f64,
        /// The uses of memory, largest first; files below a thousandth of the total share one row.
        pub rows: Vec<MemoryRow>,
        /// The memory of objects by type, largest first.
        pub types: Vec<TypeMemory>,
        /// The rows that `types` omits: the number of types and their resident bytes, without a count of objects.
        pub types_omitted: Option<Omitted>,
        /// The number of arenas of the C library's malloc; `null` if none was found.
        #[serde(alias = "heaps")]
        pub malloc_arenas: Option<u64>,
        /// The memory that `malloc_trim(0)` would return.
        pub trimmable_bytes: u64,
        /// The number of arenas of pymalloc (pages of mimalloc) with at most a quarter in use: a single used block keeps a whole arena
        /// allocated.
        pub pinned_arenas: u64,
        /// The resident and unused memory in these arenas.
        pub pinned_bytes: u64,
        /// The types of the objects in these arenas, those that keep the most first; at most ten.
        #[serde(alias = "pinned_by")]
        pub pinned_types: Vec<PinnedType>,
        /// The holders of these objects, those that keep the most first; at most ten; absent without `--holders`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub pinned_holders: Option<Vec<PinnedHolder>>,
        /// Regions of memory of at least one mebibyte outside pools and heaps, largest first; at most twenty.
        #[serde(alias = "large")]
        pub large_regions: Vec<LargeRegion>,
        /// The part of the resident set in huge pages.
        #[serde(alias = "huge_bytes")]
        pub huge_page_bytes: u64,
        /// The swapped-out memory; not part of the resident set.
        pub swap_bytes: u64,
        /// The memory in hugetlbfs pages; not part of the resident set.
        pub hugetlb_bytes: u64,
        /// The kernel's page tables of the process; not part of the resident set.
        pub page_table_bytes: Option<u64>,
    }
}

names! {
    /// A use of memory.
    pub enum MemoryKind {
        /// Python objects and the storage that they own. Detail: the kind of memory.
        PythonObjects,
        /// Allocated blocks of Python's allocator that no object owns.
        PythonUsed,
        /// Free blocks in pools with other blocks in use.
        PythonFreeBlocks,
        /// Pools without a used block, and parts of arenas that were never divided into pools.
        PythonFreePools,
        /// Headers of pools, and their ends that are too small for a block.
        PythonOverhead,
        /// Chunks of malloc in use without a Python object, with their headers.
        NativeUsed,
        /// The same, for chunks so large that each has its own mapping.
        NativeMapped,
        /// Freed chunks in malloc's fast bins and threads' caches.
        NativeCached,
        /// Freed chunks in malloc's lists of free chunks.
        NativeFree,
        /// The free ends of malloc's heaps.
        NativeTop,
        /// Memory of malloc itself: arenas, headers of heaps.
        NativeOverhead,
        /// Memory of another allocator that is not read. Detail: its name.
        Allocator,
        /// Stacks of threads. Detail: the thread's name.
        Stack,
        /// Static data of threads.
        ThreadData,
        /// Mapped files, and the other static data of programs and libraries (`.bss`). Detail: the path.
        File,
        /// Memory that processes may share: of memfd_create, `/dev/shm`, System V, anonymous. Detail: its name.
        SharedMemory,
        /// Memory that the kernel maps into each process, such as `[vdso]`. Detail: its name.
        Kernel,
        /// Anonymous memory to which the static data of a library or program points. Detail: its path.
        Library,
        /// Anonymous memory that the program gave a name (PR_SET_VMA_ANON_NAME). Detail: the name.
        Named,
        /// Resident memory without a known owner. Detail: the kind of its mapping.
        Unexplained,
    }
}

scanned! {
    MemoryRowFields:
    /// A use of memory.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct MemoryRow {
        /// The use of the memory.
        pub kind: MemoryKind,
        /// A detail of the use: a file, a thread, an allocator; `null` if there is none, and for the sum of many small rows.
        pub detail: Option<Arc<str>>,
        /// The resident bytes in pages of this process alone.
        pub private_bytes: u64,
        /// The resident bytes in pages that other processes map too.
        pub shared_bytes: u64,
        /// The bytes in swap.
        pub swap_bytes: u64,
    }
}

impl MemoryRow {
    /// Bytes that count as RSS.
    #[must_use]
    pub const fn resident_bytes(&self) -> u64 {
        self.private_bytes.saturating_add(self.shared_bytes)
    }
}

scanned! {
    TypeMemoryFields:
    /// The memory of a type's objects, with the storage that only they own.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct TypeMemory {
        /// Its name, as in `types`.
        #[serde(rename = "type")]
        pub name: Arc<str>,
        /// The resident bytes in pages of this process alone.
        pub private_bytes: u64,
        /// The resident bytes in pages that other processes map too: in a forked worker, the pages that are still shared with its parent.
        pub shared_bytes: u64,
        /// The bytes in swap.
        pub swap_bytes: u64,
    }
}

scanned! {
    PinnedTypeFields:
    /// A type whose objects keep nearly empty arenas allocated.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct PinnedType {
        /// Its name.
        #[serde(rename = "type")]
        pub name: Arc<str>,
        /// The number of used blocks in those arenas that belong to its objects.
        pub blocks: u64,
        /// Its part of the pinned memory: all used blocks of an arena have equal parts.
        pub pinned_bytes: u64,
    }
}

scanned! {
    PinnedHolderFields:
    /// A holder of objects in nearly empty arenas.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct PinnedHolder {
        /// The holder, as in `holders`.
        pub holder: Arc<str>,
        /// The number of its objects in nearly empty arenas.
        pub objects: u64,
        /// The number of these arenas.
        pub arenas: u64,
        /// Its part of the pinned memory: all objects of an arena have equal parts.
        pub pinned_bytes: u64,
    }
}

scanned! {
    LargeRegionFields:
    /// A large region of memory.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct LargeRegion {
        /// The use of the region, as in the rows.
        pub kind: MemoryKind,
        /// The type whose objects fill at least half of it; `null` if there is none.
        pub owner: Option<Arc<str>>,
        /// The resident part of the region.
        pub resident_bytes: u64,
    }
}
