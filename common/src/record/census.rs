//! `census`: the counted Python objects of a process at one moment.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fingerprints::ObjectSample;
use super::header::record;
use super::heap_tree::HeapNode;
use super::memory::MemoryAccount;
use super::names::{named, names};
use super::omitted::Omitted;
use super::python::{Coverage, GcState, PythonBuild};
use super::scan::scanned;

record! {
    CensusFields:
    /// The objects of a CPython process (`type`: `census`). Totals include the rows that lists omit.
    pub struct CensusRecord {
        /// Its pid in the pid namespace of memobj.
        pub pid: u32,
        /// Its start time in clock ticks since boot; `null` for a core file or a snapshot.
        pub start_ticks: Option<u64>,
        /// The pid of the requested process, if this process is a descendant of it.
        pub root_pid: Option<u32>,
        /// Its name; `null` if it could not be read.
        pub name: Option<Arc<str>>,
        /// Its arguments; `null` if they could not be read, or if they are not recorded.
        pub cmdline: Option<Arc<[String]>>,
        /// The number of all objects.
        pub total_objects: u64,
        /// The sizes of all objects, as `sys.getsizeof` gives them.
        pub total_size_bytes: u64,
        /// Objects and bytes by type, largest first.
        pub types: Vec<TypeTotal>,
        /// The rows that `types` omits; `null` if the list is complete.
        pub types_omitted: Option<Omitted>,
        /// Objects and bytes by the module of their type, largest first.
        #[serde(default)]
        pub modules: Vec<ModuleTotal>,
        /// The rows that `modules` omits; `null` if the list is complete.
        pub modules_omitted: Option<Omitted>,
        /// The Python threads; `null` if they could not be read.
        pub threads: Option<Vec<PythonThread>>,
        /// The resident set size of the process at that moment; `null` if there is none.
        pub rss_bytes: Option<u64>,
        /// The holders of objects, those with the most bytes first; `null` if holders were not counted.
        pub holders: Option<Vec<HolderTotal>>,
        /// The rows that `holders` omits; `null` if the list is complete, or if `holders` is `null`.
        pub holders_omitted: Option<Omitted>,
        /// The caches, largest first; `null` if memobj did not search for caches.
        pub caches: Option<Vec<CacheTotal>>,
        /// The rows that `caches` omits; `null` if the list is complete, or if `caches` is `null`.
        pub caches_omitted: Option<Omitted>,
        /// The Python build; `null` in old records without it, as for all fields below.
        pub python: Option<PythonBuild>,
        /// The number of interpreters in the process.
        pub interpreters: Option<u64>,
        /// The objects that `types`, `modules` and the totals count; `null` in old records.
        pub scope: Option<Scope>,
        /// The number of objects in the collector's lists, as `gc.get_objects()` gives them; `null` if this scope was not counted, as for all
        /// scopes below.
        pub tracked_objects: Option<u64>,
        /// The sizes of the tracked objects.
        pub tracked_size_bytes: Option<u64>,
        /// The number of objects frozen by `gc.freeze()`; the tracked ones do not include them.
        pub permanent_objects: Option<u64>,
        /// The sizes of the frozen objects.
        pub permanent_size_bytes: Option<u64>,
        /// The number of objects of the scope `reachable`.
        pub reachable_objects: Option<u64>,
        /// The sizes of these objects.
        pub reachable_size_bytes: Option<u64>,
        /// The number of objects of the scope `heap`.
        pub heap_objects: Option<u64>,
        /// The sizes of these objects.
        pub heap_size_bytes: Option<u64>,
        /// The storage of all objects of the scope that `sys.getsizeof` does not count.
        pub total_overhead_bytes: Option<u64>,
        /// The garbage collector of the main interpreter; `null` if it could not be read.
        pub gc: Option<GcState>,
        /// The share of the process's memory that the objects explain.
        pub coverage: Option<Coverage>,
        /// The source of the census; `null` in old records.
        pub method: Option<CaptureMethod>,
        /// Why the process was read while it ran; `null` if it was not.
        pub live_reason: Option<LiveReason>,
        /// The number of pauses until the process was outside a collection; 1 if it was not paused.
        pub attempts: Option<u64>,
        /// `true` if the garbage collector was running at the moment of the census: some objects may be missing; `null` if unknown.
        pub in_collection: Option<bool>,
        /// The total pause of the process over all attempts: 0 for a copy made while it slept; `null` if it was read while it
        /// ran, unless it was paused before for a copy that took too long.
        pub pause_seconds: Option<f64>,
        /// The number of system calls that the pauses ended early: with EINTR, or a `write` or `send` after a part of its bytes; `null` if unknown,
        /// as for a process that was read while it ran, or a file.
        pub interrupted_calls: Option<u64>,
        /// The duration of the census.
        pub duration_seconds: Option<f64>,
        /// The number of reads that failed, or during which the memory changed; a few are normal, one per thousand objects is too many.
        pub torn_reads: Option<u64>,
        /// The number of values that were not valid for their type; a few are normal, such as stale words of frames and C code.
        pub rejected_reads: Option<u64>,
        /// The peak memory of memobj itself so far.
        pub memobj_peak_bytes: Option<u64>,
        /// The owner of each byte of the resident set; `null` if `--memory` was not given, or if the account is not possible: for a live read, a
        /// core file, or a snapshot saved without it.
        pub memory: Option<MemoryAccount>,
        /// Objects by owner, the nearest named thing above them, largest first; absent if owners were not counted, as for all fields below.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub owners: Option<Vec<OwnerTotal>>,
        /// The rows that `owners` omits; absent if the list is complete, or if `owners` is absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub owners_omitted: Option<Omitted>,
        /// Objects by the module of their owner, in the form of `modules`: for a class its module, for a holder the module of its name.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub owner_modules: Option<Vec<ModuleTotal>>,
        /// The rows that `owner_modules` omits.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub owner_modules_omitted: Option<Omitted>,
        /// The unreachable objects, largest first.
        #[serde(skip_serializing_if = "Option::is_none", alias = "strays")]
        pub unreachable: Option<Vec<UnreachableTotal>>,
        /// The paths from a root to the objects of the requested types (`--why`), those with the most objects first.
        #[serde(skip_serializing_if = "Option::is_none", alias = "ways")]
        pub paths: Option<Vec<PathTotal>>,
        /// A sample of the objects of the types and holders with the most bytes, at most 48 of each; a later census of the same process shows
        /// which of them still exist.
        #[serde(skip_serializing_if = "Option::is_none", alias = "survivors")]
        pub object_samples: Option<Vec<ObjectSample>>,
        /// The tree of holders, each node before those below it, the largest first; each object counts once in it (`--retained`).
        #[serde(skip_serializing_if = "Option::is_none")]
        pub heap_tree: Option<Vec<HeapNode>>,
        /// The number of open file descriptors; absent if holders were not counted, or if unknown.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub fds: Option<u64>,
        /// The open file descriptors that Python objects own, by holder and type, those with the most first; absent if unknown.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub fd_holders: Option<Vec<DescriptorTotal>>,
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
        /// A copy made without a pause, while all threads of the process slept.
        Quiet,
        /// A copy made while the threads that ran were paused, and all others slept.
        Gentle,
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
        /// The pause would have interrupted threads that wait in system calls, which was forbidden.
        NoInterrupt,
        /// Memory did not suffice for a copy.
        Memory,
        /// No watchdog could be started for the pause.
        Watchdog,
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
        /// Its name as Python writes it: builtins without a module (`dict`), all others with their module (`botpkg.cache.Session`).
        #[serde(rename = "type")]
        pub name: Arc<str>,
        /// The number of objects.
        pub count: u64,
        /// The sum of their sizes.
        pub size_bytes: u64,
        /// The storage that they own and `sys.getsizeof` does not count; absent if it is 0.
        #[serde(default, skip_serializing_if = "is_zero")]
        pub overhead_bytes: u64,
        /// `false` if a part of their size is unknown from outside; absent, which means `true`, if `sys.getsizeof` gives the same size.
        #[serde(default = "exact", skip_serializing_if = "is_exact")]
        pub size_exact: bool,
        /// The retained size: the memory that would be freed without them, with all objects that only they reach; absent if not computed.
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
        /// The number of objects whose type belongs to the module.
        pub count: u64,
        /// The sum of their sizes.
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
        /// The sum of their sizes.
        pub size_bytes: u64,
        /// The retained size: the memory that would be freed without the holder; absent if not computed.
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
        /// Its name, unique in a list: `botpkg.cache.Session`, `task botpkg.poll, waiting at bot.py:42`, `botpkg.cache._sessions`.
        pub owner: Arc<str>,
        /// The number of objects that it owns.
        pub count: u64,
        /// The sum of their sizes.
        pub size_bytes: u64,
    }
}

scanned! {
    DescriptorTotalFields:
    /// The open file descriptors of a holder that objects of one type own.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct DescriptorTotal {
        /// The holder of the objects.
        pub holder: Arc<str>,
        /// The type of the objects.
        #[serde(rename = "type")]
        pub name: Arc<str>,
        /// The number of descriptors.
        pub count: u64,
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
        /// The sum of their sizes.
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
        /// The path by names, from a module, a function or a thread to the objects:
        /// `module botpkg.cache → _sessions (dict, 10,000 entries) → Session`.
        #[serde(alias = "way")]
        pub path: Arc<str>,
        /// The number of sampled objects with this path.
        pub count: u64,
        /// The number of sampled objects of the type.
        pub sampled: u64,
        /// The number of all objects of the type.
        pub objects: u64,
    }
}

scanned! {
    CacheTotalFields:
    /// A cache of the program.
    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
    pub struct CacheTotal {
        /// Its path in the program, or its function, unique in a list; caches with the same name share one row: `botpkg.cache._sessions`,
        /// `botpkg.render`.
        pub name: Arc<str>,
        /// The number of its entries.
        pub entries: u64,
        /// The deep size: the cache itself and all objects that it reaches without passing through modules, types and functions, each object
        /// once; `null` if it was not measured, or if there were too many objects to follow.
        pub size_bytes: Option<u64>,
        /// The largest number of entries that it allows; `null` without a limit, or if the limit is unknown.
        pub max_entries: Option<u64>,
        /// The number of lookups that found an entry; `null` if the cache does not count them.
        pub hits: Option<u64>,
        /// The number of lookups that found no entry; `null` if the cache does not count them.
        pub misses: Option<u64>,
        /// The kind of cache: `functools.lru_cache`, or its type: `cachetools.TTLCache`, `dict`; absent in old records without this
        /// field, as for all fields below.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub kind: Option<Arc<str>>,
        /// Whether it belongs to the standard library.
        #[serde(skip_serializing_if = "Option::is_none", alias = "standard")]
        pub stdlib: Option<bool>,
        /// The number of caches in this row.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub instances: Option<u64>,
        /// Its fill level by its own measure, 1 for full; absent without a limit; for several caches, the level of the fullest.
        #[serde(skip_serializing_if = "Option::is_none", alias = "limit_ratio")]
        pub fill_ratio: Option<f64>,
        /// The share of hits in all lookups; absent if there were no lookups, or if they are not counted.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub hit_ratio: Option<f64>,
        /// The part of its size that other references also reach.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub shared_bytes: Option<u64>,
        /// The retained size: the memory that would be freed without the cache, through any reference.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub retained_bytes: Option<u64>,
        /// The average size of an entry without the parts that other entries share: its key, its value, and all objects that these reach.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub average_entry_bytes: Option<u64>,
        /// The size of the largest entry.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub largest_entry_bytes: Option<u64>,
        /// The key of that entry, if it could be a name in a program and has at most 20 characters.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub largest_entry_key: Option<Arc<str>>,
        /// The number of entries larger than `--max-item`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub large_entries: Option<u64>,
        /// The clock of its entries' times; absent if no time could be read.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub clock: Option<CacheClock>,
        /// The number of entries past their deadline; absent if no deadline could be read.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub expired_entries: Option<u64>,
        /// Its warnings, the worst first.
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
        /// Its name; `null` for a thread unknown to `threading`, such as a thread of C code; the main thread always has a name.
        pub name: Option<Arc<str>>,
        /// The result of `threading.get_ident` in it.
        pub ident: Option<u64>,
        /// The result of `threading.get_native_id` in it: the kernel's thread id.
        pub native_id: Option<u64>,
        /// Whether it is a daemon thread: the interpreter exits without waiting for it.
        pub daemon: Option<bool>,
        /// Whether it has started and has not ended.
        pub alive: Option<bool>,
        /// Whether it is the main thread.
        pub main: Option<bool>,
        /// The qualified name of its current function; `null` if it runs no Python code, or in old records without this field.
        pub function: Option<Arc<str>>,
        /// The file of that function, as in its code object.
        pub file: Option<Arc<str>>,
        /// Its current line.
        pub line: Option<u32>,
    }
}
