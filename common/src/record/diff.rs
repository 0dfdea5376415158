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
        /// The processes of both sides, by absolute change of their resident size.
        pub processes: Vec<ProcessChange>,
        /// The totals of a tree, and of all objects of a process.
        pub totals: Vec<TotalChange>,
        /// The types of Python objects of both sides, by absolute change of their size.
        pub types: Vec<CountChange>,
        /// The modules of those types, in the same order.
        pub modules: Vec<CountChange>,
        /// The holders of both sides, in the same order; empty if neither side counted holders.
        #[serde(default)]
        pub holders: Vec<CountChange>,
        /// The caches of both sides, in the same order; their counts are entries.
        #[serde(default)]
        pub caches: Vec<CountChange>,
        /// The Python threads that exist on one side only.
        pub threads: Vec<ThreadChange>,
        /// The trends of the series, by bytes per hour; empty without `--trend`.
        pub verdicts: Vec<Verdict>,
        /// The number of dropped series: if there are too many, the smallest are dropped; 0 without `--trend`.
        pub series_omitted: u64,
        /// Whether something grew beyond the threshold, so that memdiff exits with 1.
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
    /// The input that contains it.
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
        /// The open file descriptors of a process.
        Fds,
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
        /// The threads of a process.
        Threads,
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
    /// The unique name by which the two sides were matched: `root`, or the command line of a child; a long one is shortened in the middle, and
    /// duplicates get ` #2` and so on.
    pub role: Arc<str>,
    /// Its name; if it changed, the later one.
    pub name: Arc<str>,
    /// Its command line; if it changed, the later one; a long one is shortened in the middle; `null` if unknown.
    pub command: Option<Arc<str>>,
    /// The sides that contain it.
    pub presence: Presence,
    /// Its pid at the earlier moment; `null` if it did not exist.
    pub pid_before: Option<u32>,
    /// Its pid at the later moment; `null` if it did not exist.
    pub pid_after: Option<u32>,
    /// Its resident set size at the earlier moment.
    pub rss_before_bytes: Option<u64>,
    /// Its resident set size at the later moment.
    pub rss_after_bytes: Option<u64>,
    /// Its proportional set size at the earlier moment.
    pub pss_before_bytes: Option<u64>,
    /// Its proportional set size at the later moment.
    pub pss_after_bytes: Option<u64>,
    /// Its unique set size at the earlier moment.
    pub uss_before_bytes: Option<u64>,
    /// Its unique set size at the later moment.
    pub uss_after_bytes: Option<u64>,
    /// Its swapped-out size at the earlier moment.
    pub swap_before_bytes: Option<u64>,
    /// Its swapped-out size at the later moment.
    pub swap_after_bytes: Option<u64>,
    /// The number of its threads at the earlier moment.
    pub threads_before: Option<u64>,
    /// The number of its threads at the later moment.
    pub threads_after: Option<u64>,
}

/// A total on both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TotalChange {
    /// The kind of total: resident or proportional size of a tree, Python objects of a process, or its resident set without these objects.
    pub kind: SeriesKind,
    /// The root of the tree, or the process, as in [`ProcessChange::role`].
    pub role: Arc<str>,
    /// The total at the earlier moment.
    pub before_bytes: Option<u64>,
    /// The total at the later moment.
    pub after_bytes: Option<u64>,
    /// For `python`, the number of objects at the earlier moment.
    pub count_before: Option<u64>,
    /// For `python`, the number of objects at the later moment.
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
    /// The number of objects at the earlier moment; for a cache, of entries.
    pub count_before: Option<u64>,
    /// The number of objects at the later moment; for a cache, of entries.
    pub count_after: Option<u64>,
    /// Their size at the earlier moment.
    pub size_before_bytes: Option<u64>,
    /// Their size at the later moment.
    pub size_after_bytes: Option<u64>,
}

/// A thread on one side only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThreadChange {
    /// The thread's name.
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
    /// The measured value.
    pub kind: SeriesKind,
    /// The type, module, holder, cache or process.
    pub name: Arc<str>,
    /// The process: `root`, or the command line of a child as in [`ProcessChange::role`]. Several children may have the same.
    pub role: Arc<str>,
    /// Its pid; if it had several, the last one.
    pub pid: Option<u32>,
    /// Its trend.
    #[serde(alias = "course")]
    pub trend: TrendKind,
    /// The confidence in the trend, 0 to 1.
    pub confidence_ratio: f64,
    /// The rate (Theil–Sen slope); `null` if the series is too short, or is a number.
    pub bytes_per_hour: Option<f64>,
    /// The lower end of the 95 % confidence interval of the rate.
    pub bytes_per_hour_low: Option<f64>,
    /// The upper end of the 95 % confidence interval of the rate.
    pub bytes_per_hour_high: Option<f64>,
    /// Of `fds` and `threads`: the rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count_per_hour: Option<f64>,
    /// The lower end of the 95 % confidence interval of that rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count_per_hour_low: Option<f64>,
    /// The upper end of the 95 % confidence interval of that rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count_per_hour_high: Option<f64>,
    /// The first moment of the rate, after the warm-up.
    pub from: Option<Stamp>,
    /// The last moment of the rate.
    pub to: Option<Stamp>,
    /// The size at `from`.
    pub first_bytes: Option<u64>,
    /// The size at `to`.
    pub last_bytes: Option<u64>,
    /// Of `fds` and `threads`: the number at `from`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_count: Option<u64>,
    /// Of `fds` and `threads`: the number at `to`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_count: Option<u64>,
    /// The number of moments with a known size.
    pub moments: u64,
    /// The time at which the size reaches a limit at this rate; `null` if it does not grow, or if no limit is known.
    #[serde(alias = "full_at")]
    pub limit_reached_at: Option<Stamp>,
    /// The kind of that limit.
    #[serde(alias = "full_of")]
    pub limit_kind: Option<LimitKind>,
    /// The size of that limit.
    #[serde(alias = "full_limit_bytes")]
    pub limit_bytes: Option<u64>,
    /// For a type or holder whose censuses have samples (`object_samples`): the number of new objects that were checked again later; `null` if
    /// there were none.
    #[serde(alias = "newcomers")]
    pub new_objects: Option<u64>,
    /// The number of new objects that survived, as far as known: nearly all objects of a leak, few of temporary ones.
    #[serde(alias = "newcomers_kept")]
    pub new_objects_survived: Option<u64>,
}
