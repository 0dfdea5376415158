//! A record of a log in a form that does not depend on its tool and version.

use std::sync::Arc;

use crate::record::{DiffRecord, HeapNode, LeaksRecord, MemoryRow, ObjectSample, ProcessEvent};

/// One record of a log.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// The index of its input.
    pub input: usize,
    /// Its line in the input, from 1.
    pub line: u64,
    /// The run that wrote it. Runs of the older tool get the names `legacy-1`, `legacy-2`, …
    pub run: Arc<str>,
    /// The machine; empty if unknown.
    pub host: Arc<str>,
    /// Its number within the run.
    pub iteration: u64,
    /// The time of the measurement in milliseconds since 1970.
    pub unix_ms: i64,
    /// The time since the start of the run, by a monotonic clock; `None` if unknown.
    pub elapsed_seconds: Option<f64>,
    /// The requested interval; `None` if unknown.
    pub interval_seconds: Option<f64>,
    /// Samples that were skipped since the moment before.
    pub missed_ticks: u64,
    /// The measurement or event.
    pub data: MomentData,
}

/// A measurement or an event.
#[derive(Debug, Clone, PartialEq)]
pub enum MomentData {
    /// A process and its descendants.
    Tree(Tree),
    /// The objects of a Python process.
    Census(Census),
    /// An event of a process.
    Event(Box<ProcessEvent>),
    /// A result of memdiff.
    Diff(Box<DiffRecord>),
    /// A verdict on a Python process.
    Leaks(Box<LeaksRecord>),
    /// A failed measurement: a gap, not a zero.
    Failed(String),
}

/// A process tree.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tree {
    /// The root, then its descendants.
    pub processes: Vec<Process>,
    /// The sum of the resident sizes; shared pages count several times.
    pub total_rss_bytes: u64,
    /// The sum of the last known proportional sizes.
    pub total_pss_bytes: Option<u64>,
    /// The limit of the root's control group.
    pub cgroup_limit_bytes: Option<u64>,
    /// The usage of the whole control group.
    pub cgroup_current_bytes: Option<u64>,
    /// The machine's memory.
    pub system_total_bytes: Option<u64>,
    /// The memory available to a new program.
    pub system_available_bytes: Option<u64>,
}

/// A process of a tree.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Process {
    /// Its pid.
    pub pid: u32,
    /// With `pid` its identity: clock ticks since boot, else a hash of `start_time`, else 0.
    pub start: u64,
    /// Its name.
    pub name: Arc<str>,
    /// Its arguments as one line, separated by spaces; `None` if unknown.
    pub cmdline: Option<Arc<str>>,
    /// Resident size.
    pub rss_bytes: Option<u64>,
    /// Proportional size.
    pub pss_bytes: Option<u64>,
    /// Unique size.
    pub uss_bytes: Option<u64>,
    /// Swapped-out size.
    pub swap_bytes: Option<u64>,
    /// The number of threads.
    pub threads: Option<u64>,
    /// The number of open file descriptors.
    pub fds: Option<u64>,
}

/// The objects of a Python process.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Census {
    /// The process; 0 in logs of the older tool.
    pub pid: u32,
    /// As in [`Process::start`].
    pub start: u64,
    /// The requested process, if this one is a descendant of it.
    pub root_pid: Option<u32>,
    /// Its name; empty if unknown.
    pub name: Arc<str>,
    /// Its arguments as one line; `None` if unknown.
    pub cmdline: Option<Arc<str>>,
    /// All objects.
    pub total_objects: u64,
    /// Their size; `None` in logs of the older tool.
    pub total_size_bytes: Option<u64>,
    /// By type.
    pub types: Vec<Total>,
    /// Whether `types` is truncated: a missing type is then unknown, not absent.
    pub types_cut: bool,
    /// By module.
    pub modules: Vec<Total>,
    /// Whether `modules` is truncated.
    pub modules_cut: bool,
    /// The names of the Python threads; `None` if unknown.
    pub threads: Option<Vec<Arc<str>>>,
    /// The resident size of the process.
    pub rss_bytes: Option<u64>,
    /// By holder; `None` if holders were not counted.
    pub holders: Option<Vec<Total>>,
    /// Whether `holders` is truncated.
    pub holders_cut: bool,
    /// The caches; `None` if caches were not counted.
    pub caches: Option<Vec<Cache>>,
    /// Whether `caches` is truncated.
    pub caches_cut: bool,
    /// The rows of the account of the resident set; empty without an account.
    pub memory_rows: Vec<MemoryRow>,
    /// Samples of objects of types and holders.
    pub object_samples: Vec<ObjectSample>,
    /// The tree of holders, each node before those below it; empty without one.
    pub heap_tree: Vec<HeapNode>,
}

/// Objects of one type, module or holder.
#[derive(Debug, Clone, PartialEq)]
pub struct Total {
    /// The type, module or holder.
    pub name: Arc<str>,
    /// The number of objects.
    pub count: u64,
    /// Their size.
    pub size_bytes: u64,
}

/// A cache of a Python program.
#[derive(Debug, Clone, PartialEq)]
pub struct Cache {
    /// Its name.
    pub name: Arc<str>,
    /// The number of entries.
    pub entries: u64,
    /// Their size; `None` if unknown.
    pub size_bytes: Option<u64>,
}
