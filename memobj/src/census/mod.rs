//! What was counted, in numbers: no addresses, nothing of the target's contents but names.

pub(crate) mod clock;
pub mod collector;
pub(crate) mod count;
pub mod threads;

use std::sync::Arc;
use std::time::Duration;

use crate::account::process_memory::ProcessMemory;
use crate::caches::Cache;
use crate::config::Scope;
use crate::holders::summary::HolderSummary;

/// Every object of a Python process at one moment, counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Census {
    /// Whose objects they are.
    pub process: ProcessFacts,
    /// The Python in it.
    pub python: Python,
    /// How many interpreters it runs.
    pub interpreters: u64,
    /// The scope of `types`.
    pub scope: Scope,
    /// The totals of every scope that was counted.
    pub totals: Totals,
    /// Every type that has objects in this scope, in any order. Two types may have the same name.
    pub types: Vec<TypeCount>,
    /// Its threads, in the order in which they were begun as far as that is known; `None` where they could not be read.
    pub threads: Option<Vec<Thread>>,
    /// The garbage collector, that of the main interpreter; counts of objects are of all; `None` where it could not be read.
    pub gc: Option<Gc>,
    /// How much of the memory is explained.
    pub coverage: Coverage,
    /// The account of the resident set; `None` where it was not asked for, or cannot be made: of what was read live, of core files.
    pub memory: Option<ProcessMemory>,
    /// How it was taken.
    pub capture: CaptureInfo,
    /// Who holds the objects; `None` unless asked for.
    pub held: Option<HolderSummary>,
    /// The caches of the program, largest first; `None` unless asked for.
    pub caches: Option<Vec<Cache>>,
}

/// Who a process is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessFacts {
    /// Its number, in our pid namespace.
    pub pid: u32,
    /// When it began, in clock ticks since boot; `None` where that is not known, as of a core file.
    pub start_ticks: Option<u64>,
    /// Its name.
    pub name: Option<Arc<str>>,
    /// Its arguments.
    pub cmdline: Option<Vec<String>>,
    /// The program that runs in it, as the target itself would find it.
    pub executable: Option<Arc<str>>,
}

/// Which Python it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    /// As `platform.python_version()`: `3.13.0`, `3.15.0rc1`.
    pub version: Arc<str>,
    /// As `sys.implementation.name`: `cpython`.
    pub implementation: Arc<str>,
    /// Whether it was configured with `--with-pydebug`.
    pub debug: bool,
    /// Whether it was configured with `--disable-gil`.
    pub free_threaded: bool,
    /// Whether the interpreter is in a shared library of its own, rather than in the program; `None` where that cannot be told.
    pub shared: Option<bool>,
    /// The word for how its state was found, as in `--locate`.
    pub located: Arc<str>,
    /// The name of the table by which its objects were read.
    pub layout: Arc<str>,
    /// How many other Pythons run in the process, of which nothing was counted.
    pub others: u64,
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

/// A thread.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Thread {
    /// Its name; `None` for one that `threading` does not know.
    pub name: Option<Arc<str>>,
    /// What `threading.get_ident` gives in it.
    pub ident: Option<u64>,
    /// What `threading.get_native_id` gives in it.
    pub native_id: Option<u64>,
    /// Whether the interpreter ends without waiting for it.
    pub daemon: Option<bool>,
    /// Whether it has begun and not ended.
    pub alive: Option<bool>,
    /// Whether it is the main thread.
    pub main: Option<bool>,
    /// The qualified name of the function that it runs now; `None` if it runs no Python code.
    pub function: Option<Arc<str>>,
    /// The file of that function, as its code object names it.
    pub file: Option<Arc<str>>,
    /// The line that it is on.
    pub line: Option<u32>,
}

/// A garbage collector.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gc {
    /// `gc.isenabled()`.
    pub enabled: Option<bool>,
    /// The youngest first.
    pub generations: Vec<Generation>,
    /// `gc.get_freeze_count()`.
    pub frozen: Option<u64>,
    /// `len(gc.garbage)`.
    pub garbage: Option<u64>,
    /// Objects that it tracks, the frozen ones not among them.
    pub tracked: Option<u64>,
}

/// A generation of the garbage collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Generation {
    /// What has happened since its last collection, as `gc.get_count()`.
    pub pending: Option<u64>,
    /// At how much of that it is collected, as `gc.get_threshold()`.
    pub threshold: Option<u64>,
    /// How often it was collected.
    pub collections: Option<u64>,
    /// How many objects that freed.
    pub collected: Option<u64>,
    /// How many could not be freed.
    pub uncollectable: Option<u64>,
    /// Objects in it; `None` where the collector has no list of each.
    pub objects: Option<u64>,
}

/// How much of the memory the objects explain.
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

/// What hands out small blocks of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocator {
    /// CPython's own, with arenas and pools.
    Pymalloc,
    /// That of free-threaded builds.
    Mimalloc,
    /// The C library's: `PYTHONMALLOC=malloc`.
    Malloc,
}

impl Allocator {
    /// Its word in records.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pymalloc => "pymalloc",
            Self::Mimalloc => "mimalloc",
            Self::Malloc => "malloc",
        }
    }
}

/// How a census was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureInfo {
    /// From what.
    pub method: Method,
    /// How often the process was stopped until it was outside a collection; 1 where it was not stopped.
    pub attempts: u64,
    /// Whether the collector was at work in the memory that was counted: then links and counts were in flux.
    pub in_collection: Option<bool>,
    /// How long the process stood still, all attempts together; `None` where it was not stopped.
    pub pause: Option<Duration>,
    /// From the request to the numbers.
    pub duration: Duration,
    /// What could not be read, or had changed while it was read.
    pub torn_reads: u64,
    /// What was read and could not be what it was read as.
    pub rejected_reads: u64,
}

/// From what a census was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// A copy that was made while the process stood still.
    Stopped,
    /// The process as it ran on.
    Live(LiveReason),
    /// A core file.
    Core,
    /// A saved snapshot.
    Snapshot,
}

/// Why a process was read as it ran on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveReason {
    /// The user wanted it so.
    Asked,
    /// It would have stood still for longer than the user wants.
    MaxPause,
    /// There is no room for the copy.
    Memory,
}

impl Method {
    /// Its word in records.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Live(_) => "live",
            Self::Core => "core",
            Self::Snapshot => "snapshot",
        }
    }
}

impl LiveReason {
    /// Its word in records.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::MaxPause => "max_pause",
            Self::Memory => "memory",
        }
    }
}
