//! What a census says of the Python itself, its collector and how much of its memory is explained.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::names::names;
use super::scan::scanned;

scanned! {
    PythonBuildFields:
    /// Which Python a process runs.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct PythonBuild {
        /// Its version: `3.13.0`, `3.15.0rc1`.
        pub version: Arc<str>,
        /// `sys.implementation.name`: `cpython`.
        pub implementation: Arc<str>,
        /// Whether it is a debug build.
        pub debug: Option<bool>,
        /// Whether it is a build without the global lock.
        pub free_threaded: Option<bool>,
        /// Whether the interpreter is in a shared library of its own, rather than in the program.
        pub shared: Option<bool>,
        /// The program that runs in the process; `null` where it is not known or not wanted.
        pub executable: Option<Arc<str>>,
        /// How the interpreter's state was found: a word of `--locate`.
        #[serde(alias = "located")]
        pub located_by: Option<Arc<str>>,
        /// The name of the table by which its objects were read.
        pub layout: Option<Arc<str>>,
        /// How many other Pythons run in the process, of which nothing was counted; `null` in a census of a version that did not say so.
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
        /// The youngest first.
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
        /// What has happened since it was collected last, as `gc.get_count()`.
        pub pending: Option<u64>,
        /// At how much of that it is collected, as `gc.get_threshold()`.
        pub threshold: Option<u64>,
        /// How often it was collected.
        pub collections: Option<u64>,
        /// How many objects that freed.
        pub collected: Option<u64>,
        /// How many could not be freed.
        pub uncollectable: Option<u64>,
        /// Objects in it; `null` where the collector has no list of each.
        pub objects: Option<u64>,
    }
}

names! {
    /// Python's allocator of small blocks.
    pub enum Allocator {
        /// CPython's own, with arenas and pools.
        Pymalloc,
        /// That of free-threaded builds.
        Mimalloc,
        /// The C library's: `PYTHONMALLOC=malloc`.
        Malloc,
    }
}

scanned! {
    CoverageFields:
    /// How much of a process's memory the counted objects explain.
    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
    pub struct Coverage {
        /// The objects found and what they own beside their sizes.
        pub objects_bytes: u64,
        /// Python's allocator of small blocks in that process.
        pub allocator: Option<Allocator>,
        /// Bytes of blocks in use in its pools.
        pub allocator_used_bytes: Option<u64>,
        /// Bytes of those blocks that belong to objects found.
        pub allocator_explained_bytes: Option<u64>,
        /// The share of the blocks in use that belongs to objects found.
        pub allocator_ratio: Option<f64>,
        /// Objects found, by the resident set of the process. It may be above 1: what is swapped out is counted, too.
        pub rss_ratio: Option<f64>,
    }
}
