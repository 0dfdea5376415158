//! `census`: the counted Python objects of a process at one moment.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fingerprints::ObjectSample;
use super::header::record;
use super::memory::MemoryAccount;
use super::names::{named, names};
use super::omitted::Omitted;
use super::python::{Coverage, GcState, PythonBuild};
use super::scan::scanned;

record! {
    CensusFields:
    /// The objects of a CPython process (`type`: `census`). Totals include the rows that lists omit.
    pub struct CensusRecord {
        /// The process, in the pid namespace of memobj.
        pub pid: u32,
        /// Its start time in clock ticks since boot; `null` for a core file or a snapshot.
        pub start_ticks: Option<u64>,
        /// The requested process, if this one is a descendant of it.
        pub root_pid: Option<u32>,
        /// The name of the process; `null` if it could not be read.
        pub name: Option<Arc<str>>,
        /// Its arguments; `null` if they could not be read, or were not requested.
        pub cmdline: Option<Arc<[String]>>,
        /// All objects.
        pub total_objects: u64,
        /// The sizes of all objects by `sys.getsizeof`.
        pub total_size_bytes: u64,
        /// Objects and bytes by type, largest first.
        pub types: Vec<TypeTotal>,
        /// The rows that `types` omits; `null` if there are none.
        pub types_omitted: Option<Omitted>,
        /// Objects and bytes by the module of their type, largest first.
        #[serde(default)]
        pub modules: Vec<ModuleTotal>,
        /// The rows that `modules` omits; `null` if there are none.
        pub modules_omitted: Option<Omitted>,
        /// The Python threads; `null` if they could not be read.
        pub threads: Option<Vec<PythonThread>>,
        /// The resident set of the process; `null` if there is none.
        pub rss_bytes: Option<u64>,
        /// The holders of objects, largest first; `null` if holders were not counted.
        pub holders: Option<Vec<HolderTotal>>,
        /// The rows that `holders` omits; `null` if there are none, or if `holders` is `null`.
        pub holders_omitted: Option<Omitted>,
        /// The caches, largest first; `null` if caches were not counted.
        pub caches: Option<Vec<CacheTotal>>,
        /// The rows that `caches` omits; `null` if there are none, or if `caches` is `null`.
        pub caches_omitted: Option<Omitted>,
        /// The Python build; `null` in old records, as all fields below.
        pub python: Option<PythonBuild>,
        /// The number of interpreters in the process.
        pub interpreters: Option<u64>,
        /// The objects that `types` and the totals above count.
        pub scope: Option<Scope>,
        /// The objects of `gc.get_objects()`; `null` if they were not counted, as in all scopes.
        pub tracked_objects: Option<u64>,
        /// The sizes of these objects.
        pub tracked_size_bytes: Option<u64>,
        /// The objects frozen by `gc.freeze()`.
        pub permanent_objects: Option<u64>,
        /// The sizes of these objects.
        pub permanent_size_bytes: Option<u64>,
        /// Tracked objects, and all objects reachable from them.
        pub reachable_objects: Option<u64>,
        /// The sizes of these objects.
        pub reachable_size_bytes: Option<u64>,
        /// Reachable objects, and the other objects of the allocator.
        pub heap_objects: Option<u64>,
        /// The sizes of these objects.
        pub heap_size_bytes: Option<u64>,
        /// The storage of the counted objects that `sys.getsizeof` does not count.
        pub total_overhead_bytes: Option<u64>,
        /// The garbage collector of the main interpreter; `null` if it could not be read.
        pub gc: Option<GcState>,
        /// The explained share of the memory.
        pub coverage: Option<Coverage>,
        /// The source of the census.
        pub method: Option<CaptureMethod>,
        /// Why a process was read while it ran; `null` if it was paused.
        pub live_reason: Option<LiveReason>,
        /// The number of pauses until it was outside a collection.
        pub attempts: Option<u64>,
        /// Whether the collector was running: the numbers may miss the objects that it was moving.
        pub in_collection: Option<bool>,
        /// The total pause of the process over all attempts; `null` if it was not paused.
        pub pause_seconds: Option<f64>,
        /// The duration of the census.
        pub duration_seconds: Option<f64>,
        /// Reads that failed, or that met a change. A few are normal; one per thousand objects is too many.
        pub torn_reads: Option<u64>,
        /// Values that could not be valid. A few are normal, such as stale words of frames and C code.
        pub rejected_reads: Option<u64>,
        /// The peak memory of memobj so far.
        pub memobj_peak_bytes: Option<u64>,
        /// The account of the resident set; `null` if it was not requested, or is not possible.
        pub memory: Option<MemoryAccount>,
        /// Objects by owner, largest first; absent if owners were not counted, as all fields below.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub owners: Option<Vec<OwnerTotal>>,
        /// The rows that `owners` omits; absent if there are none, or if `owners` is absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub owners_omitted: Option<Omitted>,
        /// Objects by the module of their owner, largest first.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub owner_modules: Option<Vec<ModuleTotal>>,
        /// The rows that `owner_modules` omits.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub owner_modules_omitted: Option<Omitted>,
        /// Unreachable objects by cause and type, largest first.
        #[serde(skip_serializing_if = "Option::is_none", alias = "strays")]
        pub unreachable: Option<Vec<UnreachableTotal>>,
        /// Paths from a root to the objects of the requested types, by type and number of objects.
        #[serde(skip_serializing_if = "Option::is_none", alias = "ways")]
        pub paths: Option<Vec<PathTotal>>,
        /// A sample of the objects of the largest types and holders, by their identity.
        #[serde(skip_serializing_if = "Option::is_none", alias = "survivors")]
        pub object_samples: Option<Vec<ObjectSample>>,
    }
}

/// The objects that a census counts.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The objects that the garbage collector tracks, as gc.get_objects() lists them
    Tracked,
    /// Tracked objects, and all objects reachable from them
    #[default]
    Reachable,
    /// Reachable objects, and what else the allocator holds
    Heap,
    /// A scope that this version does not know.
    #[serde(other)]
    #[value(skip)]
    Unknown,
}
named!(Scope);

names! {
    /// The source of a census.
    pub enum CaptureMethod {
        /// A copy made while the process was paused.
        Stopped,
        /// The running process.
        Live,
        /// A core file.
        Core,
        /// A saved snapshot.
        Snapshot,
    }

    /// Why a process was read while it ran.
    pub enum LiveReason {
        /// The user asked for it.
        Asked,
        /// The pause would have exceeded the limit.
        MaxPause,
        /// Memory did not suffice for a copy.
        Memory,
    }

    /// Why an object is not freed.
    #[derive(Default)]
    pub enum Liveness {
        /// The program can reach it.
        #[default]
        Held,
        /// Only `gc.garbage` refers to it: the collector could not free it, or `gc.DEBUG_SAVEALL` is set.
        Uncollectable,
        /// It has more references than were found from other unreachable objects: native code holds it, or an object that leads to it.
        Native,
        /// No reference to it was found, or only such an object leads to it. Native code holds it where memobj does not search, or leaked it.
        Unreferred,
        /// All its references come from other garbage: the collector will free it, if it is enabled.
        Garbage,
    }

    /// A clock of a program.
    pub enum CacheClock {
        /// `time.time()`: seconds since 1970.
        Wall,
        /// `time.monotonic()`, and the time of event loops: seconds since boot without suspended time.
        Monotonic,
    }

    /// A warning about a cache.
    pub enum CacheWarning {
        /// No limit was found.
        NoLimit,
        /// Many entries are past their deadline.
        Expired,
        /// An entry is larger than 500 KiB.
        LargeEntry,
        /// The entries are larger than 100 KiB on average.
        LargeAverage,
        /// Less than half of the lookups find an entry.
        LowHits,
        /// It is above 90 % of its limit.
        #[serde(rename = "above_90")]
        Above90,
        /// It is above 75 % of its limit.
        #[serde(rename = "above_75")]
        Above75,
    }
}

scanned! {
    TypeTotalFields:
    /// The objects of one type.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct TypeTotal {
        /// Its name as Python writes it: builtins bare (`dict`), all others with their module (`botpkg.cache.Session`).
        #[serde(rename = "type")]
        pub name: Arc<str>,
        /// The number of objects.
        pub count: u64,
        /// Their sizes by `sys.getsizeof`.
        pub size_bytes: u64,
        /// Their storage that `sys.getsizeof` does not count; absent if it is 0.
        #[serde(default, skip_serializing_if = "is_zero")]
        pub overhead_bytes: u64,
        /// Whether `sys.getsizeof` gives the same sizes; `false` if a part of a size is unknown, absent if `true`.
        #[serde(default = "exact", skip_serializing_if = "is_exact")]
        pub size_exact: bool,
        /// The memory that would be freed without them: their sizes, and those of all objects that only they reach; absent if not computed.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub retained_bytes: Option<u64>,
    }
}

impl TypeTotal {
    /// Creates a row with exact sizes.
    #[must_use]
    pub fn new(name: Arc<str>, count: u64, size_bytes: u64) -> Self {
        Self { name, count, size_bytes, overhead_bytes: 0, size_exact: true, retained_bytes: None }
    }
}

fn is_zero(bytes: &u64) -> bool {
    *bytes == 0
}

fn exact() -> bool {
    true
}

fn is_exact(exact: &bool) -> bool {
    *exact
}

scanned! {
    ModuleTotalFields:
    /// The objects whose type is of one module.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct ModuleTotal {
        /// The module; `builtins` for builtin types.
        pub module: Arc<str>,
        /// The number of objects.
        pub count: u64,
        /// Their sizes.
        pub size_bytes: u64,
    }
}

scanned! {
    HolderTotalFields:
    /// The objects that one name of the program keeps alive, directly or indirectly.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct HolderTotal {
        /// Its path by names, unique in a list: `botpkg.cache._sessions`.
        pub holder: Arc<str>,
        /// The number of objects that it holds.
        pub count: u64,
        /// Their sizes.
        pub size_bytes: u64,
        /// The memory that would be freed without it; absent if not computed.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub retained_bytes: Option<u64>,
    }
}

scanned! {
    OwnerTotalFields:
    /// Objects by owner: the nearest named thing that leads to them. It is the class of the instance that contains them, a suspended
    /// function, a task, or else their holder.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct OwnerTotal {
        /// Its name, unique in a list: `botpkg.cache.Session`.
        pub owner: Arc<str>,
        /// The number of objects.
        pub count: u64,
        /// Their sizes.
        pub size_bytes: u64,
    }
}

scanned! {
    UnreachableTotalFields:
    /// The unreachable objects of a type with one cause.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct UnreachableTotal {
        /// The type.
        #[serde(rename = "type")]
        pub name: Arc<str>,
        /// Why they are not freed.
        #[serde(alias = "standing")]
        pub cause: Liveness,
        /// The number of objects.
        pub count: u64,
        /// Their sizes.
        pub size_bytes: u64,
    }
}

scanned! {
    PathTotalFields:
    /// A path from a root to some objects of a type.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct PathTotal {
        /// The type.
        #[serde(rename = "type")]
        pub name: Arc<str>,
        /// The path by names, from a module, a function or a thread: `module botpkg.cache → _sessions (dict, 10,000 entries) → Session`.
        #[serde(alias = "way")]
        pub path: Arc<str>,
        /// The number of sampled objects with this path.
        pub count: u64,
        /// The number of sampled objects of the type.
        pub sampled: u64,
        /// The number of objects.
        pub objects: u64,
    }
}

scanned! {
    CacheTotalFields:
    /// A cache of the program.
    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
    pub struct CacheTotal {
        /// Its path or function, unique in a list: `botpkg.cache._sessions`. Caches with the same name are one row.
        pub name: Arc<str>,
        /// The number of its entries.
        pub entries: u64,
        /// All objects that it reaches, but not through modules, types and functions; `null` if not measured.
        pub size_bytes: Option<u64>,
        /// The limit of its entries; `null` without a limit, or if unknown.
        pub max_entries: Option<u64>,
        /// The number of hits; `null` if it does not count them.
        pub hits: Option<u64>,
        /// The number of misses; `null` if it does not count them.
        pub misses: Option<u64>,
        /// Its kind: `functools.lru_cache`, or its type; absent in old records, as all fields below.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub kind: Option<Arc<str>>,
        /// Whether it belongs to the standard library.
        #[serde(skip_serializing_if = "Option::is_none", alias = "standard")]
        pub stdlib: Option<bool>,
        /// The number of caches of this row.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub instances: Option<u64>,
        /// Its fill level, 1 for full, by its own measure; absent without a limit. The fullest one of several caches.
        #[serde(skip_serializing_if = "Option::is_none", alias = "limit_ratio")]
        pub fill_ratio: Option<f64>,
        /// The share of hits in all lookups; absent without lookups, or if they are not counted.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub hit_ratio: Option<f64>,
        /// The part of its size that other references also reach.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub shared_bytes: Option<u64>,
        /// The memory that would be freed without it.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub retained_bytes: Option<u64>,
        /// The average size of an entry, without memory that other entries share.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub average_entry_bytes: Option<u64>,
        /// The size of the largest entry.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub largest_entry_bytes: Option<u64>,
        /// The key of that entry, if it is short and looks like a name.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub largest_entry_key: Option<Arc<str>>,
        /// The number of entries larger than `--max-item`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub large_entries: Option<u64>,
        /// The clock of its entries' deadlines; absent if no deadline could be read.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub clock: Option<CacheClock>,
        /// The number of entries past their deadline; absent if no deadline could be read.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub expired_entries: Option<u64>,
        /// Its warnings, worst first.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub warnings: Option<Vec<CacheWarning>>,
    }
}

impl CacheTotal {
    /// Creates a row with only the number of entries.
    #[must_use]
    pub fn new(name: Arc<str>, entries: u64) -> Self {
        Self { name, entries, ..Self::default() }
    }
}

scanned! {
    PythonThreadFields:
    /// A thread known to Python.
    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
    pub struct PythonThread {
        /// Its name; `null` for a thread unknown to `threading`, such as one of C code. The main thread always has a name.
        pub name: Option<Arc<str>>,
        /// The result of `threading.get_ident` in it.
        pub ident: Option<u64>,
        /// The result of `threading.get_native_id` in it: the kernel's thread id.
        pub native_id: Option<u64>,
        /// Whether it is a daemon thread.
        pub daemon: Option<bool>,
        /// Whether it runs.
        pub alive: Option<bool>,
        /// Whether it is the main thread.
        pub main: Option<bool>,
        /// The qualified name of its current function; `null` if it runs no Python code.
        pub function: Option<Arc<str>>,
        /// The file of that function, as in its code object.
        pub file: Option<Arc<str>>,
        /// Its current line.
        pub line: Option<u32>,
    }
}
