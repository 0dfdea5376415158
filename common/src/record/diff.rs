//! `diff`: changes between two moments, and growing series.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::header::{Header, record};
use super::names::names;
use crate::time::Stamp;

record! {
    /// A result of memdiff (`type`: `diff`): changes between two moments, verdicts over many, or both.
    pub struct DiffRecord {
        /// The earlier moment.
        pub before: MomentRef,
        /// The later moment.
        pub after: MomentRef,
        /// Processes on either side, by absolute change of their resident size.
        pub processes: Vec<ProcessChange>,
        /// Totals of a tree, and of all objects of a process.
        pub totals: Vec<TotalChange>,
        /// Types of Python objects on either side, by absolute change of their size.
        pub types: Vec<CountChange>,
        /// The modules of those types.
        pub modules: Vec<CountChange>,
        /// Holders on either side, by absolute change of their size.
        #[serde(default)]
        pub holders: Vec<CountChange>,
        /// Caches on either side, by absolute change of their size; they count entries.
        #[serde(default)]
        pub caches: Vec<CountChange>,
        /// Python threads that are on one side only.
        pub threads: Vec<ThreadChange>,
        /// The trends with `--trend`, by bytes per hour; empty without.
        pub verdicts: Vec<Verdict>,
        /// The number of small series that were dropped, because there were too many. 0 without `--trend`.
        pub series_omitted: u64,
        /// Whether something grew beyond the threshold, so that the exit code is 1.
        pub grew: bool,
    }
}

impl DiffRecord {
    /// Creates a record of two moments without changes.
    #[must_use]
    pub fn new(header: Header, before: MomentRef, after: MomentRef) -> Self {
        Self { before, after, ..Self::default() }.with_header(header)
    }
}

/// A moment of a log.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MomentRef {
    /// Its input.
    pub file: String,
    /// Its run.
    pub run: Arc<str>,
    /// Its number in that run.
    pub iteration: u64,
    /// The time of the measurement.
    pub timestamp: Stamp,
}

/// The sides that contain something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// On both sides.
    Both,
    /// On the later side only.
    New,
    /// On the earlier side only.
    Gone,
    /// Listed on one side; the list of the other side is truncated.
    Unknown,
}

names! {
    /// The kind of a series, in alphabetical order.
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
        /// The limit of a control group.
        Cgroup,
        /// The memory of the machine.
        Machine,
    }
}

/// A process on either side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcessChange {
    /// The unique name by which the two were matched: `root`, or the command line of a child, shortened in the middle, with ` #2`
    /// and so on for duplicates.
    pub role: Arc<str>,
    /// Its last name.
    pub name: Arc<str>,
    /// Its last command line, shortened in the middle; `null` if unknown.
    pub command: Option<Arc<str>>,
    /// The sides that contain it.
    pub presence: Presence,
    /// Its pid in the earlier moment; `null` if it did not run.
    pub pid_before: Option<u32>,
    /// Its pid in the later moment.
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
    /// Its swapped-out size in the earlier moment.
    pub swap_before_bytes: Option<u64>,
    /// Its swapped-out size in the later moment.
    pub swap_after_bytes: Option<u64>,
    /// Its threads in the earlier moment.
    pub threads_before: Option<u64>,
    /// Its threads in the later moment.
    pub threads_after: Option<u64>,
}

/// A total on both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TotalChange {
    /// The kind of total: RSS or PSS of a tree, Python objects or native memory of a process.
    pub kind: SeriesKind,
    /// The root of the tree, or the process, as in [`ProcessChange::role`].
    pub role: Arc<str>,
    /// The total in the earlier moment; `null` if unknown.
    pub before_bytes: Option<u64>,
    /// The total in the later moment.
    pub after_bytes: Option<u64>,
    /// Objects in the earlier moment, of `python`.
    pub count_before: Option<u64>,
    /// Objects in the later moment, of `python`.
    pub count_after: Option<u64>,
}

/// A type, module, holder or cache on either side. An unknown value is `null`; 0 means that there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CountChange {
    /// The type, module, holder or cache.
    pub name: Arc<str>,
    /// The process, as in [`ProcessChange::role`].
    pub role: Arc<str>,
    /// The sides that contain it.
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

/// The trend of a series over all its moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrendKind {
    /// It rises without falling back.
    Growing,
    /// It is level after the warm-up.
    Steady,
    /// It falls.
    Shrinking,
    /// It repeatedly rises and falls back, as with a collector or a cache that is emptied.
    #[serde(alias = "saw_tooth")]
    Sawtooth,
    /// There are too few moments, or the time is too short.
    TooShort,
}

/// The verdict on a series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The kind of value.
    pub kind: SeriesKind,
    /// The type, module, holder, cache or process.
    pub name: Arc<str>,
    /// The process: `root`, or the command line of a child as in [`ProcessChange::role`], not unique.
    pub role: Arc<str>,
    /// Its last pid.
    pub pid: Option<u32>,
    /// Its trend.
    #[serde(alias = "course")]
    pub trend: TrendKind,
    /// The confidence, 0 to 1.
    pub confidence_ratio: f64,
    /// Bytes per hour (Theil–Sen slope); `null` if too short.
    pub bytes_per_hour: Option<f64>,
    /// The lower end of its 95 % confidence interval.
    pub bytes_per_hour_low: Option<f64>,
    /// The upper end of its 95 % confidence interval.
    pub bytes_per_hour_high: Option<f64>,
    /// The first moment of the rate, after the warm-up.
    pub from: Option<Stamp>,
    /// The last moment.
    pub to: Option<Stamp>,
    /// The size at `from`.
    pub first_bytes: Option<u64>,
    /// The size at `to`.
    pub last_bytes: Option<u64>,
    /// The number of moments.
    pub moments: u64,
    /// The time when it reaches the limit at this rate; `null` if it does not grow, or without a known limit.
    #[serde(alias = "full_at")]
    pub limit_reached_at: Option<Stamp>,
    /// The limit that is reached first.
    #[serde(alias = "full_of")]
    pub limit_kind: Option<LimitKind>,
    /// That limit.
    #[serde(alias = "full_limit_bytes")]
    pub limit_bytes: Option<u64>,
    /// The number of new objects in the samples of a type or holder that were checked later; `null` without any.
    #[serde(alias = "newcomers")]
    pub new_objects: Option<u64>,
    /// The number of them that survived as far as known.
    #[serde(alias = "newcomers_kept")]
    pub new_objects_survived: Option<u64>,
}
