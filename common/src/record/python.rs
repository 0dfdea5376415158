//! The Python build, garbage collector and memory coverage of a census.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::names::names;
use super::scan::scanned;

scanned! {
    PythonBuildFields:
    /// The Python of a process.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct PythonBuild {
        /// Its version: `3.13.0`, `3.15.0rc1`.
        pub version: Arc<str>,
        /// `sys.implementation.name`: `cpython`.
        pub implementation: Arc<str>,
        /// Whether it is a debug build.
        pub debug: Option<bool>,
        /// Whether it is a free-threaded build, without the global interpreter lock.
        pub free_threaded: Option<bool>,
        /// Whether the interpreter is in a shared library, not in the program; `null` if unknown.
        pub shared: Option<bool>,
        /// The program of the process; `null` if unknown, or not recorded (`--no-cmdline`).
        pub executable: Option<Arc<str>>,
        /// The method that found the interpreter's state: `symtab`, `dynsym`, `section`, `cookie` or `scan`.
        #[serde(alias = "located")]
        pub located_by: Option<Arc<str>>,
        /// The name of the layout table that its objects were read with.
        pub layout: Option<Arc<str>>,
        /// The number of other Pythons in the process, whose objects were not counted; `null` in old records without this field.
        #[serde(alias = "others")]
        pub other_runtimes: Option<u64>,
    }
}

scanned! {
    GcStateFields:
    /// The state of a garbage collector.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct GcState {
        /// `gc.isenabled()`.
        pub enabled: Option<bool>,
        /// Its generations, the youngest first.
        #[serde(default)]
        pub generations: Vec<GcGeneration>,
        /// The number of objects that it tracks, without the frozen ones.
        pub tracked: Option<u64>,
        /// `gc.get_freeze_count()`.
        pub frozen: Option<u64>,
        /// `len(gc.garbage)`.
        pub garbage: Option<u64>,
    }
}

scanned! {
    GcGenerationFields:
    /// A generation of a garbage collector.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
    pub struct GcGeneration {
        /// Its count since the last collection, as `gc.get_count()` gives it.
        pub pending: Option<u64>,
        /// The count that starts a collection, as `gc.get_threshold()` gives it.
        pub threshold: Option<u64>,
        /// The number of its collections.
        pub collections: Option<u64>,
        /// The number of objects that these collections freed.
        pub collected: Option<u64>,
        /// The number of objects that could not be freed.
        pub uncollectable: Option<u64>,
        /// The number of objects in it; `null` if the collector has no list per generation: on free-threaded builds objects have no generation,
        /// and `gc.get_objects(0)` returns all of them.
        pub objects: Option<u64>,
    }
}

names! {
    /// Python's allocator of small blocks.
    pub enum Allocator {
        /// CPython's own, with arenas and pools.
        Pymalloc,
        /// The allocator of free-threaded builds.
        Mimalloc,
        /// The C library's: `PYTHONMALLOC=malloc`.
        Malloc,
    }
}

scanned! {
    CoverageFields:
    /// The share of a process's memory that the counted objects explain.
    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
    pub struct Coverage {
        /// The sizes of the counted objects and of the storage that they own.
        pub objects_bytes: u64,
        /// The allocator of Python in that process.
        pub allocator: Option<Allocator>,
        /// The bytes of used blocks in its pools; pymalloc keeps larger blocks outside pools, mimalloc has all blocks in pools.
        pub allocator_used_bytes: Option<u64>,
        /// The bytes of used blocks that belong to counted objects.
        pub allocator_explained_bytes: Option<u64>,
        /// `allocator_explained_bytes` divided by `allocator_used_bytes`: the explained share of the used blocks.
        pub allocator_ratio: Option<f64>,
        /// The resident bytes of chunks in use of the C library's malloc; `null` if the account of RSS was not made, or that has no such malloc.
        pub malloc_used_bytes: Option<u64>,
        /// Those of them that belong to counted objects.
        pub malloc_explained_bytes: Option<u64>,
        /// `malloc_explained_bytes` divided by `malloc_used_bytes`.
        pub malloc_ratio: Option<f64>,
        /// `objects_bytes` divided by `rss_bytes`; it can be above 1, because swapped-out objects are counted.
        pub rss_ratio: Option<f64>,
        /// The types whose objects may have suspended frames that cannot be read: coroutines of unknown libraries in C. What such frames hold
        /// may be missing.
        #[serde(default)]
        pub unread_frames_of: Vec<Arc<str>>,
    }
}
