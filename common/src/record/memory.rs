//! The account of a resident set in a census: who has each byte.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::names::names;
use super::omitted::Omitted;
use super::scan::scanned;

scanned! {
    MemoryAccountFields:
    /// Who has the resident set of a process, each byte once.
    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
    pub struct MemoryAccount {
        /// The resident set to which the rows add up, as the kernel adds it up from the process's pages.
        pub rss_bytes: u64,
        /// What of it is explained.
        pub explained_bytes: u64,
        /// The second by the first.
        pub explained_ratio: f64,
        /// What memory is used for, the largest first.
        pub rows: Vec<MemoryRow>,
        /// Where objects of each type lie, the largest first.
        pub types: Vec<TypeMemory>,
        /// What that leaves out: types, no objects, and what of them is resident.
        pub types_omitted: Option<Omitted>,
        /// Heaps of the C library's malloc; `null` where there is none that is known.
        #[serde(alias = "heaps")]
        pub malloc_arenas: Option<u64>,
        /// What `malloc_trim(0)` would give back.
        pub trimmable_bytes: u64,
        /// Arenas of pymalloc that few objects keep.
        pub pinned_arenas: u64,
        /// What of those is resident and not in use.
        pub pinned_bytes: u64,
        /// Who lives in them, those that keep most first.
        #[serde(alias = "pinned_by")]
        pub pinned_types: Vec<PinnedType>,
        /// Who holds what lives in them, those that keep most first; absent where it was not asked who holds objects.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub pinned_holders: Option<Vec<PinnedHolder>>,
        /// Large pieces of memory, the largest first.
        #[serde(alias = "large")]
        pub large_regions: Vec<LargeRegion>,
        /// Of the resident set, in huge pages.
        #[serde(alias = "huge_bytes")]
        pub huge_page_bytes: u64,
        /// Swapped out, and no part of it.
        pub swap_bytes: u64,
        /// In pages of hugetlbfs, which are no part of it.
        pub hugetlb_bytes: u64,
        /// The kernel's tables for it, which are no part of it; `null` where that is not known.
        pub page_table_bytes: Option<u64>,
    }
}

names! {
    /// A use of memory.
    pub enum MemoryKind {
        /// Python objects and the storage that they own. Detail: where they lie.
        PythonObjects,
        /// Blocks that Python's allocator has given out and that no object owns.
        PythonUsed,
        /// Free blocks in pools with other blocks in use.
        PythonFreeBlocks,
        /// Pools without a block in use, and parts of arenas that were never divided into pools.
        PythonFreePools,
        /// Headers of pools, and their ends that are too small for a block.
        PythonOverhead,
        /// Chunks of malloc in use without a Python object, with their headers.
        NativeUsed,
        /// The same, chunks so large that each has a mapping of its own.
        NativeMapped,
        /// Freed chunks in malloc's fast bins and threads' caches.
        NativeCached,
        /// Freed chunks in malloc's lists of free chunks.
        NativeFree,
        /// The ends of malloc's heaps, never given out or freed again.
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
    /// What some memory is used for.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct MemoryRow {
        /// The use.
        pub kind: MemoryKind,
        /// More of that: a file, a thread, an allocator; `null` where there is nothing to add, and for the sum of many small ones.
        pub detail: Option<Arc<str>>,
        /// Resident in pages of this process alone.
        pub private_bytes: u64,
        /// Resident in pages that others have mapped, too.
        pub shared_bytes: u64,
        /// In swap.
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
    /// Where the objects of a type lie, with the storage that is theirs alone.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct TypeMemory {
        /// Its name, as in `types` of the census.
        #[serde(rename = "type")]
        pub name: Arc<str>,
        /// Resident in pages of this process alone.
        pub private_bytes: u64,
        /// Resident in pages that others have mapped, too.
        pub shared_bytes: u64,
        /// In swap.
        pub swap_bytes: u64,
    }
}

scanned! {
    PinnedTypeFields:
    /// Who keeps nearly empty arenas from being given back.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct PinnedType {
        /// The type.
        #[serde(rename = "type")]
        pub name: Arc<str>,
        /// Blocks with its objects in those arenas.
        pub blocks: u64,
        /// Its part of what they keep.
        pub pinned_bytes: u64,
    }
}

scanned! {
    PinnedHolderFields:
    /// Who holds the objects in nearly empty arenas.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct PinnedHolder {
        /// The place of the program, as in `holders` of the census.
        pub holder: Arc<str>,
        /// How many of its objects lie in such arenas.
        pub objects: u64,
        /// In how many of them.
        pub arenas: u64,
        /// Its part of what they keep.
        pub pinned_bytes: u64,
    }
}

scanned! {
    LargeRegionFields:
    /// A large piece of memory.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct LargeRegion {
        /// The use, as in the rows.
        pub kind: MemoryKind,
        /// The type whose objects have half of it and more; `null` if there is none.
        pub owner: Option<Arc<str>>,
        /// What of it is resident.
        pub resident_bytes: u64,
    }
}
