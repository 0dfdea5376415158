//! What a reader of a log wants of its records: one moment, whatever tool and version wrote it.

use std::sync::Arc;

use crate::record::{DiffRecord, ObjectSample, ProcessEvent};

/// One record of a log.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// Which of the inputs it stands in, from 0, in the order they were named.
    pub input: usize,
    /// Its line there, from 1.
    pub line: u64,
    /// The run of the tool that wrote it. The older tool's logs name none; they get `legacy-1`, `legacy-2`, … where numbers
    /// start again.
    pub run: Arc<str>,
    /// The machine; empty if the log does not say.
    pub host: Arc<str>,
    /// Its number within the run.
    pub iteration: u64,
    /// When it was measured: milliseconds since 1970.
    pub unix_ms: i64,
    /// Since the run began, by a clock that nobody sets; `None` if the log does not say.
    pub elapsed_seconds: Option<f64>,
    /// The interval asked for; `None` if the log does not say.
    pub interval_seconds: Option<f64>,
    /// Samples that were due since the one before and not taken.
    pub missed_ticks: u64,
    /// What was measured or happened.
    pub what: What,
}

/// What was measured or happened.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A process and everything below it.
    Tree(Tree),
    /// The objects of a Python process.
    Census(Census),
    /// Something that happened to a process.
    Event(Box<ProcessEvent>),
    /// What memdiff found.
    Diff(Box<DiffRecord>),
    /// This moment could not be measured: a gap, not a zero.
    Failed(String),
}

/// A process tree at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tree {
    /// The root first, then every process below it.
    pub processes: Vec<Process>,
    /// Sum of the resident sizes: shared pages counted several times.
    pub total_rss_bytes: u64,
    /// Sum of the last known proportional sizes.
    pub total_pss_bytes: Option<u64>,
    /// The limit of the root's control group.
    pub cgroup_limit_bytes: Option<u64>,
    /// What the whole control group uses.
    pub cgroup_current_bytes: Option<u64>,
    /// The machine's memory.
    pub system_total_bytes: Option<u64>,
    /// What of it a new program could have.
    pub system_available_bytes: Option<u64>,
}

/// One process of a tree at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// With `pid` its identity: clock ticks since boot, or a hash of `start_time` where there are none; 0 if neither is known.
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
    /// Swapped out.
    pub swap_bytes: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
}

/// A Python process's objects at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Census {
    /// The process; 0 in logs of the older tool.
    pub pid: u32,
    /// As in [`Process::start`].
    pub start: u64,
    /// The process that was asked for, where this one was found below it.
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
    /// Whether there are types that are not listed: one that is not listed is then unknown, not absent.
    pub types_cut: bool,
    /// By module.
    pub modules: Vec<Total>,
    /// The same for modules.
    pub modules_cut: bool,
    /// The names of the Python threads; `None` if unknown.
    pub threads: Option<Vec<Arc<str>>>,
    /// The resident size of the process.
    pub rss_bytes: Option<u64>,
    /// By what holds them; `None` if that was not looked at.
    pub holders: Option<Vec<Total>>,
    /// The same for holders.
    pub holders_cut: bool,
    /// The caches; `None` if none was looked for.
    pub caches: Option<Vec<Cache>>,
    /// The same for caches.
    pub caches_cut: bool,
    /// Which objects of types and holders there were, in a sample; empty if none was taken.
    pub object_samples: Vec<ObjectSample>,
}

/// Objects of one type, module or holder.
#[derive(Debug, Clone, PartialEq)]
pub struct Total {
    /// The type, module or holder.
    pub name: Arc<str>,
    /// How many.
    pub count: u64,
    /// Their size.
    pub size_bytes: u64,
}

/// A cache of a Python program.
#[derive(Debug, Clone, PartialEq)]
pub struct Cache {
    /// What it is and of what.
    pub name: Arc<str>,
    /// How many entries.
    pub entries: u64,
    /// What they take; `None` if that was not measured.
    pub size_bytes: Option<u64>,
}
