//! `diff`: what changed between two moments, and what grows.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::header::{Header, record};
use super::names::names;
use crate::time::Stamp;

record! {
    /// What memdiff found (`type`: `diff`): changes between two moments, verdicts over many, or both.
    pub struct DiffRecord {
        /// The earlier moment.
        pub before: MomentRef,
        /// The later moment.
        pub after: MomentRef,
        /// Processes on either side, by absolute change of their resident size.
        pub processes: Vec<ProcessChange>,
        /// Sums over a whole tree, and over all objects of a process.
        pub totals: Vec<TotalChange>,
        /// Types of Python objects on either side, by absolute change of their size.
        pub types: Vec<CountChange>,
        /// The modules of those types.
        pub modules: Vec<CountChange>,
        /// What holds objects on either side, in the same way.
        #[serde(default)]
        pub holders: Vec<CountChange>,
        /// Caches on either side, in the same way; what they count is entries.
        #[serde(default)]
        pub caches: Vec<CountChange>,
        /// Python threads that are on one side only.
        pub threads: Vec<ThreadChange>,
        /// What grows, with `--trend`, by bytes per hour; empty without.
        pub verdicts: Vec<Verdict>,
        /// Series that were not followed to the end as there were too many: the smallest ones. 0 without `--trend`.
        pub series_omitted: u64,
        /// Whether something grew beyond the threshold: the exit code is 1 then.
        pub grew: bool,
    }
}

impl DiffRecord {
    /// The record of two moments between which nothing was found yet.
    #[must_use]
    pub fn new(header: Header, before: MomentRef, after: MomentRef) -> Self {
        Self { before, after, ..Self::default() }.with_header(header)
    }
}

/// A moment of a log.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MomentRef {
    /// The input it stands in.
    pub file: String,
    /// The run it is of.
    pub run: Arc<str>,
    /// Its number in that run.
    pub iteration: u64,
    /// When it was measured.
    pub timestamp: Stamp,
}

/// Whether something is on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// On both sides.
    Both,
    /// On the later side only.
    New,
    /// On the earlier side only.
    Gone,
    /// Listed on one side, and the list of the other was cut: it may be there as well.
    Unknown,
}

names! {
    /// The kind of value that a series has, in the order of their names.
    pub enum SeriesKind {
        /// A cache.
        Cache,
        /// The objects that a holder keeps alive.
        Holder,
        /// The objects of a module's types.
        Module,
        /// The resident size of a process without its Python objects.
        Native,
        /// The proportional size of a process.
        Pss,
        /// All Python objects of a process.
        Python,
        /// The resident size of a process.
        Rss,
        /// The proportional size of a tree of processes.
        TotalPss,
        /// The resident size of a tree of processes.
        TotalRss,
        /// The objects of a type.
        Type,
    }

    /// A limit of memory.
    pub enum LimitKind {
        /// That of a control group.
        Cgroup,
        /// The memory of the machine.
        Machine,
    }
}

/// A process on either side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcessChange {
    /// What the two were matched by, each once: `root`, or the command line of a child, cut in the middle if it is long, with
    /// ` #2` and so on where several have the same.
    pub role: Arc<str>,
    /// Its name, the later if it changed.
    pub name: Arc<str>,
    /// Its command line, the later if it changed, cut in the middle if it is long; `null` if it is not known.
    pub command: Option<Arc<str>>,
    /// On which sides it is.
    pub presence: Presence,
    /// Its number in the earlier moment; `null` if it was not there.
    pub pid_before: Option<u32>,
    /// Its number in the later moment.
    pub pid_after: Option<u32>,
    /// Its resident size in the earlier moment; `null` if not measured.
    pub rss_before_bytes: Option<u64>,
    /// Its resident size in the later moment.
    pub rss_after_bytes: Option<u64>,
    /// Its proportional size in the earlier moment.
    pub pss_before_bytes: Option<u64>,
    /// Its proportional size in the later moment.
    pub pss_after_bytes: Option<u64>,
    /// Its unique size in the earlier moment.
    pub uss_before_bytes: Option<u64>,
    /// Its unique size in the later moment.
    pub uss_after_bytes: Option<u64>,
    /// What of it was swapped out in the earlier moment.
    pub swap_before_bytes: Option<u64>,
    /// What of it was swapped out in the later moment.
    pub swap_after_bytes: Option<u64>,
    /// Its threads in the earlier moment.
    pub threads_before: Option<u64>,
    /// Its threads in the later moment.
    pub threads_after: Option<u64>,
}

/// A sum that is on both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TotalChange {
    /// The sum: RSS or PSS of a tree, Python objects or native memory of a process.
    pub kind: SeriesKind,
    /// The root of the tree, or the process, as in [`ProcessChange::role`].
    pub role: Arc<str>,
    /// The sum in the earlier moment; `null` if not known.
    pub before_bytes: Option<u64>,
    /// The sum in the later moment.
    pub after_bytes: Option<u64>,
    /// Objects in the earlier moment, of `python`.
    pub count_before: Option<u64>,
    /// Objects in the later moment, of `python`.
    pub count_after: Option<u64>,
}

/// A type, module, holder or cache on either side. A value is `null` where it is not known, and 0 only where it is known that there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CountChange {
    /// The type, module, holder or cache.
    pub name: Arc<str>,
    /// The process, as in [`ProcessChange::role`].
    pub role: Arc<str>,
    /// On which sides it is.
    pub presence: Presence,
    /// Objects in the earlier moment; entries of a cache.
    pub count_before: Option<u64>,
    /// Objects in the later moment; entries of a cache.
    pub count_after: Option<u64>,
    /// Their size in the earlier moment.
    pub size_before_bytes: Option<u64>,
    /// Their size in the later moment.
    pub size_after_bytes: Option<u64>,
}

/// A thread on one side only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThreadChange {
    /// Its name.
    pub name: Arc<str>,
    /// The process, as in [`ProcessChange::role`].
    pub role: Arc<str>,
    /// New or gone.
    pub presence: Presence,
}

/// What a series does over all its moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrendKind {
    /// It rises and nothing brings it down.
    Growing,
    /// It stays where it is, warm-up apart.
    Steady,
    /// It falls.
    Shrinking,
    /// It rises and falls back again and again: a collector, a cache that is emptied.
    #[serde(alias = "saw_tooth")]
    Sawtooth,
    /// Too few moments, or too short a time, to say.
    TooShort,
}

/// What one series does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The kind of value.
    pub kind: SeriesKind,
    /// The type, module, holder, cache or process.
    pub name: Arc<str>,
    /// The process: `root`, or the command line of a child as in [`ProcessChange::role`], but that several may have the same.
    pub role: Arc<str>,
    /// Its number, the last if it had several.
    pub pid: Option<u32>,
    /// What it does.
    #[serde(alias = "course")]
    pub trend: TrendKind,
    /// How sure that is, 0 to 1.
    pub confidence_ratio: f64,
    /// Bytes per hour (Theil–Sen slope); `null` if too short.
    pub bytes_per_hour: Option<f64>,
    /// The lower end of its 95 % confidence interval.
    pub bytes_per_hour_low: Option<f64>,
    /// The upper end of its 95 % confidence interval.
    pub bytes_per_hour_high: Option<f64>,
    /// The first moment the rate is of: behind the warm-up.
    pub from: Option<Stamp>,
    /// The last moment.
    pub to: Option<Stamp>,
    /// The size at `from`.
    pub first_bytes: Option<u64>,
    /// The size at `to`.
    pub last_bytes: Option<u64>,
    /// How many moments.
    pub moments: u64,
    /// When the limit would be reached at this rate; `null` if it does not grow or no limit is known.
    #[serde(alias = "full_at")]
    pub limit_reached_at: Option<Stamp>,
    /// The limit that is reached first.
    #[serde(alias = "full_of")]
    pub limit_kind: Option<LimitKind>,
    /// That limit.
    #[serde(alias = "full_limit_bytes")]
    pub limit_bytes: Option<u64>,
    /// Of a type or a holder whose censuses have samples: how many objects were seen to come and looked for later; `null` if none was.
    #[serde(alias = "newcomers")]
    pub new_objects: Option<u64>,
    /// How many of them stayed as long as could be told.
    #[serde(alias = "newcomers_kept")]
    pub new_objects_survived: Option<u64>,
}
