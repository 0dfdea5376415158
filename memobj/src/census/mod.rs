//! The census: counts and sizes. It contains no addresses, and nothing of the target's data but names.

pub(crate) mod clock;
pub mod collector;
pub(crate) mod count;
pub mod threads;

use std::sync::Arc;
use std::time::Duration;

use common::record::{Allocator, CaptureMethod, GcState, LiveReason, PythonBuild, PythonThread, Scope};

use crate::account::process_memory::ProcessMemory;
use crate::caches::Cache;
use crate::holders::summary::HolderSummary;

/// The objects of a Python process at one moment, counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Census {
    /// The process.
    pub process: ProcessFacts,
    /// Its Python.
    pub python: PythonBuild,
    /// The number of its interpreters.
    pub interpreters: u64,
    /// The scope of `types`.
    pub scope: Scope,
    /// The totals of all scopes.
    pub totals: Totals,
    /// All types with objects in this scope, in any order. Two types may have one name.
    pub types: Vec<TypeCount>,
    /// Its threads, oldest first as far as that is known; `None` if unreadable.
    pub threads: Option<Vec<PythonThread>>,
    /// The collector of the main interpreter; object counts are of all interpreters. `None` if unreadable.
    pub gc: Option<GcState>,
    /// How much memory the objects explain.
    pub coverage: Coverage,
    /// The account of the resident set; `None` unless asked for, and for running processes and core files.
    pub memory: Option<ProcessMemory>,
    /// How the memory was read.
    pub capture: CaptureInfo,
    /// Who holds the objects; `None` unless asked for.
    pub held: Option<HolderSummary>,
    /// The caches of the program, largest first; `None` unless asked for.
    pub caches: Option<Vec<Cache>>,
}

/// Identifies a process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessFacts {
    /// Its number, in our pid namespace.
    pub pid: u32,
    /// Its start, in clock ticks since boot; `None` if unknown, as for a core file.
    pub start_ticks: Option<u64>,
    /// Its name.
    pub name: Option<Arc<str>>,
    /// Its arguments, if they are wanted and known.
    pub cmdline: Option<Arc<[String]>>,
}

/// Objects and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Total {
    /// How many.
    pub count: u64,
    /// Their sizes, as `sys.getsizeof` gives them.
    pub size_bytes: u64,
}

/// The totals of the scopes; `None` for what was not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// What the collector's generations list: as `gc.get_objects()`.
    pub tracked: Option<Total>,
    /// What `gc.freeze()` has put apart. It is in no list of `gc.get_objects()`.
    pub permanent: Option<Total>,
    /// What can be reached from what is tracked, and that itself.
    pub reachable: Option<Total>,
    /// What the allocator holds besides, and all that is reachable.
    pub heap: Option<Total>,
}

/// The objects of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeCount {
    /// Its module; `builtins` for builtin types.
    pub module: Arc<str>,
    /// Its name within the module, as `__qualname__`.
    pub qualname: Arc<str>,
    /// How many.
    pub count: u64,
    /// Their sizes, as `sys.getsizeof` gives them.
    pub size_bytes: u64,
    /// Storage that they own and `sys.getsizeof` does not count.
    pub overhead_bytes: u64,
    /// Whether `size_bytes` is what `sys.getsizeof` says; if not it is at least what is known.
    pub size_exact: bool,
}

/// How much memory the objects explain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coverage {
    /// Python's own allocator in that process; `None` if that is not known.
    pub allocator: Option<Allocator>,
    /// Bytes of blocks in use in its pools; `None` where it has none, or where they could not be read.
    pub used_bytes: Option<u64>,
    /// Bytes of those blocks in which objects that were found lie, or what these own; `None` where that was not looked at.
    pub explained_bytes: Option<u64>,
    /// The resident set of the process; `None` where there is none.
    pub rss_bytes: Option<u64>,
}

/// How the memory of a census was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureInfo {
    /// The method.
    pub method: CaptureMethod,
    /// Why the process was read while it ran, if it was.
    pub live_reason: Option<LiveReason>,
    /// Stops until the process was outside a collection; 1 without stops.
    pub attempts: u64,
    /// Whether a collection was under way: links and counts are then inconsistent.
    pub in_collection: Option<bool>,
    /// The sum of all pauses; `None` without stops.
    pub pause: Option<Duration>,
    /// The duration of the whole census.
    pub duration: Duration,
    /// Reads that failed or met a change.
    pub torn_reads: u64,
    /// Values that could not be what they were read as.
    pub rejected_reads: u64,
}
