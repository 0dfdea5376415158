//! What a census is wanted of, and how it may be taken.

use std::path::PathBuf;
use std::time::Duration;

use memobj_cpython::runtime::LocateMethod;

/// Where the objects are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In a running process.
    Process {
        /// Its number.
        pid: u32,
    },
    /// In a core file, gcore's or the kernel's.
    Core(PathBuf),
    /// In a snapshot that was saved before.
    Snapshot(PathBuf),
}

/// Which objects are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Scope {
    /// Those that the garbage collector tracks, as gc.get_objects() lists them
    Tracked,
    /// Those, and all that can be reached from them
    Reachable,
    /// What the allocator holds besides
    Heap,
}

impl Scope {
    /// Its word in records and on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tracked => "tracked",
            Self::Reachable => "reachable",
            Self::Heap => "heap",
        }
    }
}

/// Whether a process may be stopped for the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopping {
    /// As long as it takes.
    Any,
    /// If the estimate of the pause is not above this; else it is read as it runs.
    AtMost(Duration),
    /// Not at all: it is read as it runs.
    Never,
}

/// A census that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Where the objects are.
    pub source: Source,
    /// Which of them are counted.
    pub scope: Scope,
    /// Whether a process may be stopped.
    pub stopping: Stopping,
    /// The only way to look for the interpreter; `None`: one after the other.
    pub way: Option<LocateMethod>,
    /// Whether an account of the resident set is wanted.
    pub memory: bool,
    /// Where to save the copied bytes.
    pub save: Option<PathBuf>,
    /// What is to be found out of who holds them; `None`: nothing.
    pub holding: Option<Holding>,
    /// What is to be found out of the program's caches; `None`: nothing.
    pub caches: Option<Caching>,
    /// Whether its objects are to be followed from one census to the next, and what leaks among them to be told.
    pub following: bool,
}

impl Request {
    /// The census that users get who ask for nothing else.
    #[must_use]
    pub const fn of(source: Source) -> Self {
        Self {
            source,
            scope: Scope::Reachable,
            stopping: Stopping::Any,
            way: None,
            memory: false,
            save: None,
            holding: None,
            caches: None,
            following: false,
        }
    }
}

/// What is wanted to know of caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caching {
    /// Entries with more bytes than this are counted.
    pub max_item_bytes: u64,
}

/// What is wanted to know of who holds objects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holding {
    /// What would be freed without them.
    pub retained: bool,
    /// The names of types to whose objects the ways are wanted.
    pub why: Vec<String>,
}
