//! `leaks`: what grows in a Python process from census to census, and who holds it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::census::Liveness;
use super::header::record;
use super::memory::MemoryKind;
use super::names::names;

record! {
    /// The verdict on a CPython process after several censuses (`type`: `leaks`).
    pub struct LeaksRecord {
        /// The process, in the pid namespace of memobj.
        pub pid: u32,
        /// When it began, in clock ticks since boot.
        pub start_ticks: Option<u64>,
        /// The process that was asked for, where this one was found below it.
        pub root_pid: Option<u32>,
        /// The name of the process; `null` where it could not be read.
        pub name: Option<Arc<str>>,
        /// Its arguments; `null` where they could not be read or are not wanted.
        pub cmdline: Option<Arc<[String]>>,
        /// The version of its Python.
        pub python: Arc<str>,
        /// What is concluded.
        pub verdict: LeakVerdict,
        /// How many censuses it is concluded from.
        pub censuses: u64,
        /// From the first to the last of them.
        pub duration_seconds: f64,
        /// The longest that the process stood still for one; `null` if it never did.
        pub longest_pause_seconds: Option<f64>,
        /// All objects in the first census.
        pub first_objects: u64,
        /// All objects in the last one.
        pub last_objects: u64,
        /// Their sizes in the first.
        pub first_size_bytes: u64,
        /// Their sizes in the last.
        pub last_size_bytes: u64,
        /// The resident set in the first; `null` where it is not known.
        pub first_rss_bytes: Option<u64>,
        /// The resident set in the last.
        pub last_rss_bytes: Option<u64>,
        /// How many places of the program hold objects: all were looked at.
        #[serde(alias = "places")]
        pub holders_checked: u64,
        /// What grows and does not stop, those with the most bytes a minute first.
        pub leaks: Vec<Leak>,
        /// What grows towards a limit that it has: caches and queues that fill up.
        #[serde(default)]
        pub filling: Vec<Leak>,
        /// Resident and free in arenas that few objects keep; `null` if it is not known.
        pub pinned_bytes: Option<u64>,
        /// The type whose objects keep most of those; `null` if there are none.
        #[serde(alias = "pinned_by")]
        pub pinned_type: Option<Arc<str>>,
        /// Growth of the resident set besides Python objects; `null` if there is none, or if it is not known.
        pub memory: Option<MemoryGrowth>,
        /// How it compares with other processes of the same program; `null` where there are none.
        #[serde(alias = "among")]
        pub peers: Option<PeerComparison>,
    }
}

/// What is concluded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeakVerdict {
    /// Something grows, and nothing brings it down.
    Leak,
    /// Nothing does.
    None,
    /// There were too few censuses to say.
    #[default]
    TooShort,
}

names! {
    /// How a container grows.
    pub enum GrowthMode {
        /// Items are appended at its end.
        Appended,
        /// Items are put in front of the others.
        Prepended,
        /// Items are inserted anywhere.
        Inserted,
        /// Keys are set.
        KeysSet,
        /// Elements are added to a set.
        Added,
        /// Results are cached.
        Cached,
        /// Attributes are set, or a chain of objects grows.
        Linked,
        /// The object itself grows.
        Enlarged,
    }
}

/// Something that grows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leak {
    /// Why it is not freed. Garbage is listed only while the collector is off.
    pub cause: Liveness,
    /// The place that holds it, by name.
    pub holder: Arc<str>,
    /// The type of what is added.
    #[serde(rename = "type")]
    pub name: Arc<str>,
    /// The function that waits in it, or that it is; `null` if it is neither.
    pub function: Option<Arc<str>>,
    /// What is suspended, with the line where most of it waits: `task bot.wait_reply, waiting at bot.py:42`; `null` if nothing is.
    pub waiting: Option<Arc<str>>,
    /// Objects of that type a minute.
    pub objects_per_minute: f64,
    /// If it is one container that grows and not the number of objects: items a minute that come into it; else `null`.
    pub entries_per_minute: Option<f64>,
    /// Bytes a minute, with all that comes with them.
    pub bytes_per_minute: f64,
    /// All objects that the place holds now.
    pub held_objects: u64,
    /// Their sizes.
    pub held_size_bytes: u64,
    /// What would be freed without those of the type; `null` if that is not known.
    pub retained_bytes: Option<u64>,
    /// How long ago the oldest was seen first; `null` if it was there in the first census.
    #[serde(alias = "oldest_seconds")]
    pub oldest_age_seconds: Option<f64>,
    /// How long ago the newest was not there yet.
    #[serde(alias = "newest_seconds")]
    pub newest_age_seconds: f64,
    /// How many came after the first census and were seen in another one.
    #[serde(alias = "stayed")]
    pub survived: u64,
    /// How many were gone that had been seen twice.
    #[serde(alias = "left")]
    pub freed: u64,
    /// How sure it is, 0 to 1: not by chance in so many of as many looks at a place that stays as it is.
    pub confidence_ratio: f64,
    /// The type of what it is added to; `null` for what nobody holds.
    pub container: Option<Arc<str>>,
    /// How many items that has; `null` if it is not known, or not one alone.
    pub entries: Option<u64>,
    /// How it grows.
    #[serde(alias = "how")]
    pub growth_mode: GrowthMode,
    /// The way to it, as most have; `null` for what nobody holds.
    #[serde(alias = "way")]
    pub path: Option<Arc<str>>,
    /// What grows there, the most bytes first.
    pub types: Vec<TypeGrowth>,
    /// How many entries a cache or queue may have at most; `null` if there is no limit.
    #[serde(alias = "limit")]
    pub max_entries: Option<u64>,
    /// The holder of the leak that this one comes with, as weak references do; `null` for one of its own.
    #[serde(alias = "along")]
    pub side_effect_of: Option<Arc<str>>,
}

/// Growth of a type in a place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TypeGrowth {
    /// The type.
    #[serde(rename = "type")]
    pub name: Arc<str>,
    /// Objects a minute.
    pub objects_per_minute: f64,
    /// Bytes a minute.
    pub bytes_per_minute: f64,
}

/// Growth of the resident set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemoryGrowth {
    /// Whether it is a leak of its own: more than Python objects explain.
    #[serde(alias = "leaks")]
    pub is_leak: bool,
    /// Bytes a minute.
    pub bytes_per_minute: f64,
    /// By how much Python objects grow, in bytes a minute.
    pub objects_bytes_per_minute: f64,
    /// How sure the growth is, 0 to 1.
    pub confidence_ratio: f64,
    /// What grew most, from the account of the first census to that of the last.
    pub rows: Vec<MemoryRowGrowth>,
    /// What `malloc_trim(0)` would give back.
    pub trimmable_bytes: u64,
}

/// Growth of what memory is used for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryRowGrowth {
    /// The use, as in the account of a census.
    pub kind: MemoryKind,
    /// More of that.
    pub detail: Option<Arc<str>>,
    /// By how much it grew.
    #[serde(alias = "grown_bytes")]
    pub growth_bytes: u64,
    /// How much it is now.
    #[serde(alias = "now_bytes")]
    pub current_bytes: u64,
}

/// How a process compares with others of the same program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeerComparison {
    /// How many there are, itself among them.
    pub processes: u64,
    /// The median of what their objects grow by, in bytes a minute.
    pub median_bytes_per_minute: f64,
    /// What its own grow by.
    pub bytes_per_minute: f64,
    /// Whether it stands out.
    #[serde(alias = "stands_out")]
    pub is_outlier: bool,
}
