//! Caches of a program: containers of results, sessions or rows that may keep too many.
//!
//! A cache is found by its type (`functools.lru_cache`, cachetools, Django's local memory, weak dictionaries), by its name, or by entries
//! with times in them (`search`). It gets its deep size (`deep_size`), its limit and counters (`metadata`), its expired entries (`expiry`),
//! and warnings (`health`).
//!
//! Hostile memory is expected: a cache may contain itself, its owner, or the whole program.

mod clock;
mod deep_size;
mod expiry;
mod find;
pub mod health;
mod kind;
mod metadata;
mod name_heuristics;
mod search;

use common::record::{CacheClock, CacheWarning};
use std::sync::Arc;

pub use clock::ClockReadings;
pub use find::find_caches;

/// A cache, or several of one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Cache {
    /// Its place: `botpkg.cache._sessions`; of a decorated function its name.
    pub name: Arc<str>,
    /// Its type: `functools.lru_cache`, `cachetools.TTLCache`, `dict`.
    pub kind: Arc<str>,
    /// Whether it belongs to the standard library.
    pub standard: bool,
    /// The number of caches with this name.
    pub instances: u64,
    /// The number of entries.
    pub entries: u64,
    /// The most entries that it may have.
    pub limit: Option<u64>,
    /// The used share of its limit, by its own measure; `None` without a limit.
    pub fullness: Option<f64>,
    /// Whether no limit was found; false for weak dictionaries.
    pub unbounded: bool,
    /// Lookups that found an entry.
    pub hits: Option<u64>,
    /// Lookups that found none.
    pub misses: Option<u64>,
    /// Its size; `None` if it leads to more objects than can be followed.
    pub size: Option<CacheSize>,
    /// The clock of the times in its entries.
    pub clock: Option<CacheClock>,
    /// Entries past their deadline; `None` without readable deadlines.
    pub expired: Option<u64>,
    /// Warnings, the worst first.
    pub warnings: Vec<CacheWarning>,
}

/// The size of a cache.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CacheSize {
    /// All objects that it leads to, except over modules, types and functions; each once.
    pub deep_bytes: u64,
    /// The part of that with other paths from the roots.
    pub shared_bytes: u64,
    /// The size that would be freed without it.
    pub retained_bytes: u64,
    /// The average size of an entry without objects of other entries.
    pub average_bytes: u64,
    /// The size of the largest entry.
    pub largest_bytes: u64,
    /// The key of the largest entry, if it could be a name.
    pub largest_key: Option<Arc<str>>,
    /// Entries larger than the requested size.
    pub large_entries: u64,
}

impl Cache {
    /// The share of lookups that found an entry; `None` without counters or lookups.
    #[must_use]
    pub fn hit_ratio(&self) -> Option<f64> {
        let (hits, misses) = (self.hits? as f64, self.misses? as f64);
        (hits + misses > 0.0).then(|| hits / (hits + misses))
    }

    /// The deep size, or 0 if it is not known.
    #[must_use]
    pub fn deep_bytes(&self) -> u64 {
        self.size.as_ref().map_or(0, |size| size.deep_bytes)
    }
}
