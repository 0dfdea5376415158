//! `census`: every Python object of a process at one moment, counted.

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
    /// The objects of one CPython process (`type`: `census`). Totals are of everything; a list that was cut says so.
    pub struct CensusRecord {
        /// The process, in the pid namespace of memobj.
        pub pid: u32,
        /// When it began, in clock ticks since boot; `null` for a core file or a snapshot.
        pub start_ticks: Option<u64>,
        /// The process that was asked for, where this one was found below it.
        pub root_pid: Option<u32>,
        /// The name of the process; `null` where it could not be read.
        pub name: Option<Arc<str>>,
        /// Its arguments; `null` where they could not be read or are not wanted.
        pub cmdline: Option<Arc<[String]>>,
        /// All objects.
        pub total_objects: u64,
        /// The sizes of all objects, as `sys.getsizeof` gives them.
        pub total_size_bytes: u64,
        /// Objects and bytes by type, largest first.
        pub types: Vec<TypeTotal>,
        /// What `types` does not list; `null` if it lists everything.
        pub types_omitted: Option<Omitted>,
        /// Objects and bytes by the module of their type, largest first.
        #[serde(default)]
        pub modules: Vec<ModuleTotal>,
        /// What `modules` does not list; `null` if it lists everything.
        pub modules_omitted: Option<Omitted>,
        /// The Python threads; `null` where they could not be read.
        pub threads: Option<Vec<PythonThread>>,
        /// The resident set of the process at that moment; `null` where there is none.
        pub rss_bytes: Option<u64>,
        /// What holds objects, by its path, those that hold most bytes first; `null` if that was not looked at.
        pub holders: Option<Vec<HolderTotal>>,
        /// What `holders` does not list; `null` if it lists everything, or is `null` itself.
        pub holders_omitted: Option<Omitted>,
        /// The caches that were found, largest first; `null` if none was looked for.
        pub caches: Option<Vec<CacheTotal>>,
        /// What `caches` does not list; `null` if it lists everything, or is `null` itself.
        pub caches_omitted: Option<Omitted>,
        /// Which Python it is; `null` in censuses of a version that did not say so, as all below.
        pub python: Option<PythonBuild>,
        /// How many interpreters run in it.
        pub interpreters: Option<u64>,
        /// The objects that `types` and the totals above count.
        pub scope: Option<Scope>,
        /// What the garbage collector lists, as `gc.get_objects()`; `null` if it was not counted, as all scopes.
        pub tracked_objects: Option<u64>,
        /// The sizes of those.
        pub tracked_size_bytes: Option<u64>,
        /// What `gc.freeze()` has put apart.
        pub permanent_objects: Option<u64>,
        /// The sizes of those.
        pub permanent_size_bytes: Option<u64>,
        /// What can be reached from what is tracked, and that itself.
        pub reachable_objects: Option<u64>,
        /// The sizes of those.
        pub reachable_size_bytes: Option<u64>,
        /// What the allocator holds besides, and all that is reachable.
        pub heap_objects: Option<u64>,
        /// The sizes of those.
        pub heap_size_bytes: Option<u64>,
        /// What the counted objects own and `sys.getsizeof` does not count.
        pub total_overhead_bytes: Option<u64>,
        /// The garbage collector of the main interpreter; `null` where it could not be read.
        pub gc: Option<GcState>,
        /// How much of the memory is explained.
        pub coverage: Option<Coverage>,
        /// The source of the census.
        pub method: Option<CaptureMethod>,
        /// Why a process was read while it ran; `null` if it was not.
        pub live_reason: Option<LiveReason>,
        /// How often it was stopped until it was outside a collection.
        pub attempts: Option<u64>,
        /// Whether the collector was at work in what was counted: the numbers may be off by what it held in its hands.
        pub in_collection: Option<bool>,
        /// How long the process stood still, all attempts together; `null` if it was not stopped.
        pub pause_seconds: Option<f64>,
        /// How long the census took.
        pub duration_seconds: Option<f64>,
        /// Reads that failed, or that met a change. A few are usual; one for a thousand objects is too many.
        pub torn_reads: Option<u64>,
        /// What was read and could not be what it was read as. A few are usual, as words that frames and C code left behind.
        pub rejected_reads: Option<u64>,
        /// The most memory that memobj itself has had so far.
        pub memobj_peak_bytes: Option<u64>,
        /// The account of the resident set; `null` if that was not asked for, or cannot be made.
        pub memory: Option<MemoryAccount>,
        /// Objects by the nearest thing above them that has a name, largest first; absent if that was not looked at, as all below.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub owners: Option<Vec<OwnerTotal>>,
        /// What `owners` does not list; absent if it lists everything, or is absent itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub owners_omitted: Option<Omitted>,
        /// Objects by the module of their owner, largest first.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub owner_modules: Option<Vec<ModuleTotal>>,
        /// What `owner_modules` does not list.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub owner_modules_omitted: Option<Omitted>,
        /// What the program cannot reach, by why it is there and by type, largest first.
        #[serde(skip_serializing_if = "Option::is_none", alias = "strays")]
        pub unreachable: Option<Vec<UnreachableTotal>>,
        /// The ways to the objects of the types that were asked for, by type, those of most objects first.
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
        /// How many there are.
        pub count: u64,
        /// Their sizes, as `sys.getsizeof` gives them.
        pub size_bytes: u64,
        /// What they own and `sys.getsizeof` does not count; absent if that is nothing.
        #[serde(default, skip_serializing_if = "is_zero")]
        pub overhead_bytes: u64,
        /// Absent, that is `true`, if `sys.getsizeof` would say the same; `false` if a part of their size could not be known.
        #[serde(default = "exact", skip_serializing_if = "is_exact")]
        pub size_exact: bool,
        /// What would be freed without them: their own sizes, and those of all that only they lead to; absent if that was not computed.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub retained_bytes: Option<u64>,
    }
}

impl TypeTotal {
    /// A row of exact sizes.
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
        /// How many objects.
        pub count: u64,
        /// Their sizes.
        pub size_bytes: u64,
    }
}

scanned! {
    HolderTotalFields:
    /// The objects that one name of the program keeps alive.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct HolderTotal {
        /// Its path by names, each once in a list: `botpkg.cache._sessions`.
        pub holder: Arc<str>,
        /// How many objects it holds.
        pub count: u64,
        /// What they take.
        pub size_bytes: u64,
        /// What would be freed without it; absent if that was not computed.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub retained_bytes: Option<u64>,
    }
}

scanned! {
    OwnerTotalFields:
    /// Objects by the nearest thing above them that has a name in the program: the class of an instance that they are a part of, a function
    /// that is suspended, a task; or else what holds them.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct OwnerTotal {
        /// Its name, each once in a list: `botpkg.cache.Session`.
        pub owner: Arc<str>,
        /// How many objects.
        pub count: u64,
        /// Their sizes.
        pub size_bytes: u64,
    }
}

scanned! {
    UnreachableTotalFields:
    /// Objects of a type that the program cannot reach.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct UnreachableTotal {
        /// The type.
        #[serde(rename = "type")]
        pub name: Arc<str>,
        /// Why they are not freed.
        #[serde(alias = "standing")]
        pub cause: Liveness,
        /// How many.
        pub count: u64,
        /// Their sizes.
        pub size_bytes: u64,
    }
}

scanned! {
    PathTotalFields:
    /// A way to some objects of a type.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct PathTotal {
        /// The type.
        #[serde(rename = "type")]
        pub name: Arc<str>,
        /// The way by names, from a module, a function or a thread on: `module botpkg.cache → _sessions (dict, 10,000 entries) → Session`.
        #[serde(alias = "way")]
        pub path: Arc<str>,
        /// How many of the objects that were looked at are reached so.
        pub count: u64,
        /// How many objects of the type were looked at.
        pub sampled: u64,
        /// How many there are.
        pub objects: u64,
    }
}

scanned! {
    CacheTotalFields:
    /// A cache of the program.
    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
    pub struct CacheTotal {
        /// Where it is, or of what function, each once in a list: `botpkg.cache._sessions`. Several of one name are one row.
        pub name: Arc<str>,
        /// How many entries it has.
        pub entries: u64,
        /// All that it leads to but over modules, types and functions, each object once; `null` if that was not measured.
        pub size_bytes: Option<u64>,
        /// The most entries it may have; `null` without a limit, or where that is not known.
        pub max_entries: Option<u64>,
        /// How often something was found in it; `null` if it does not count that.
        pub hits: Option<u64>,
        /// How often nothing was found; `null` if it does not count that.
        pub misses: Option<u64>,
        /// What it is: `functools.lru_cache`, or its type; absent in censuses of a version that did not say so, as all below.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub kind: Option<Arc<str>>,
        /// Whether it came with Python.
        #[serde(skip_serializing_if = "Option::is_none", alias = "standard")]
        pub stdlib: Option<bool>,
        /// How many caches this row is of.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub instances: Option<u64>,
        /// How full it is by its own measure, 1 being full; absent without a limit. Of several caches, that of the fullest.
        #[serde(skip_serializing_if = "Option::is_none", alias = "limit_ratio")]
        pub fill_ratio: Option<f64>,
        /// Hits of all lookups; absent if there were none, or they are not counted.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub hit_ratio: Option<f64>,
        /// What of its size is reached otherwise, too.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub shared_bytes: Option<u64>,
        /// What would be freed without it.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub retained_bytes: Option<u64>,
        /// What an entry has on average that no other entry has.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub average_entry_bytes: Option<u64>,
        /// What the largest entry has.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub largest_entry_bytes: Option<u64>,
        /// The key of that entry, if it could be a name and is short.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub largest_entry_key: Option<Arc<str>>,
        /// Entries that are larger than `--max-item`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub large_entries: Option<u64>,
        /// The clock by which its entries have times; absent if they have none that could be read.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub clock: Option<CacheClock>,
        /// Entries past their deadline; absent if they have none that could be read.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub expired_entries: Option<u64>,
        /// What is wrong with it, the worst first.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub warnings: Option<Vec<CacheWarning>>,
    }
}

impl CacheTotal {
    /// A row that says no more than how many entries there are.
    #[must_use]
    pub fn new(name: Arc<str>, entries: u64) -> Self {
        Self { name, entries, ..Self::default() }
    }
}

scanned! {
    PythonThreadFields:
    /// A thread that Python knows.
    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
    pub struct PythonThread {
        /// Its name; `null` for one that `threading` does not know, as those of C code. The main thread always has one.
        pub name: Option<Arc<str>>,
        /// What `threading.get_ident` gives in it.
        pub ident: Option<u64>,
        /// What `threading.get_native_id` gives in it: the kernel's number.
        pub native_id: Option<u64>,
        /// Whether the interpreter ends without waiting for it.
        pub daemon: Option<bool>,
        /// Whether it has begun and not ended.
        pub alive: Option<bool>,
        /// Whether it is the main thread.
        pub main: Option<bool>,
        /// The qualified name of the function that it runs; `null` if it runs no Python code.
        pub function: Option<Arc<str>>,
        /// The file of that function, as its code names it.
        pub file: Option<Arc<str>>,
        /// The line that it is on.
        pub line: Option<u32>,
    }
}
