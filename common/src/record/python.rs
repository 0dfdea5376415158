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
        /// Whether it is a free-threaded build.
        pub free_threaded: Option<bool>,
        /// Whether the interpreter is in a shared library, not in the program.
        pub shared: Option<bool>,
        /// The program of the process; `null` if unknown or not requested.
        pub executable: Option<Arc<str>>,
        /// How the interpreter's state was found: a value of `--locate`.
        #[serde(alias = "located")]
        pub located_by: Option<Arc<str>>,
        /// The name of its layout table.
        pub layout: Option<Arc<str>>,
        /// The number of other Pythons in the process, which were not counted; `null` in old records.
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
        /// From youngest to oldest.
        #[serde(default)]
        pub generations: Vec<GcGeneration>,
        /// Objects that it tracks, without the frozen ones.
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
        /// Its count since its last collection, as in `gc.get_count()`.
        pub pending: Option<u64>,
        /// The count at which it is collected, as in `gc.get_threshold()`.
        pub threshold: Option<u64>,
        /// The number of its collections.
        pub collections: Option<u64>,
        /// The number of objects that they freed.
        pub collected: Option<u64>,
        /// The number of objects that could not be freed.
        pub uncollectable: Option<u64>,
        /// Its objects; `null` if the collector has no list per generation.
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
        /// The allocator of small blocks.
        pub allocator: Option<Allocator>,
        /// The used blocks in its pools.
        pub allocator_used_bytes: Option<u64>,
        /// The used blocks that belong to counted objects.
        pub allocator_explained_bytes: Option<u64>,
        /// The share of the used blocks that belongs to counted objects.
        pub allocator_ratio: Option<f64>,
        /// The counted objects as a share of the resident set. It can be above 1, because swapped-out objects are counted.
        pub rss_ratio: Option<f64>,
    }
}
