//! The caches of a program: what keeps results, sessions or rows so that they need not be made again, and may keep too many.
//!
//! Some are told by what they are (`functools.lru_cache`, cachetools, Django's local memory, weak dictionaries), the others by what they
//! are called, or by entries that have times in them (`search`). Each is weighed with everything that it leads to (`deep_size`), its
//! limits and counters are looked for beside it (`metadata`), and what is wrong with it is said (`health`).
//!
//! Nothing here runs code of the target, and nothing trusts it: a cache may hold itself, its owner, or the whole program.

mod clock;
mod deep_size;
mod expiry;
mod find;
pub mod health;
mod kind;
mod metadata;
mod name_heuristics;
mod search;

use std::sync::Arc;

pub use clock::{Clock, ClockReadings};
pub use find::find_caches;
pub use health::Warning;

/// A cache, or several of one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Cache {
    /// Where it is in the program: `botpkg.cache._sessions`; of a function its name.
    pub name: Arc<str>,
    /// What it is: `functools.lru_cache`, `cachetools.TTLCache`, `dict`.
    pub kind: Arc<str>,
    /// Whether it came with Python.
    pub standard: bool,
    /// How many caches have this name.
    pub instances: u64,
    /// How many entries it has.
    pub entries: u64,
    /// How many it may have.
    pub limit: Option<u64>,
    /// How full it is, by its own measure, 1 being full; `None` without a limit.
    pub fullness: Option<f64>,
    /// Whether it has no limit, or none that could be found; not so of what empties itself.
    pub unbounded: bool,
    /// How often something was found.
    pub hits: Option<u64>,
    /// How often nothing was found.
    pub misses: Option<u64>,
    /// What it weighs; `None` if it leads to more than can be followed.
    pub weight: Option<CacheSize>,
    /// The clock by which its entries have times.
    pub clock: Option<Clock>,
    /// Entries that are past their deadline; `None` if they have none that could be read.
    pub expired: Option<u64>,
    /// What is wrong with it, the worst first.
    pub warnings: Vec<Warning>,
}

/// What a cache weighs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CacheSize {
    /// All that is reached from it but over modules, types and functions, each object once.
    pub deep_bytes: u64,
    /// What of that is reached otherwise, too.
    pub shared_bytes: u64,
    /// What would be freed without it.
    pub retained_bytes: u64,
    /// What an entry has on average that no other entry has.
    pub average_bytes: u64,
    /// What the largest one has.
    pub largest_bytes: u64,
    /// Its key, if that could be a name.
    pub largest_key: Option<Arc<str>>,
    /// How many have more than was asked.
    pub large_entries: u64,
}

impl Cache {
    /// The share of lookups that found something; `None` if it does not count them, or there were none.
    #[must_use]
    pub fn hit_ratio(&self) -> Option<f64> {
        let (hits, misses) = (self.hits? as f64, self.misses? as f64);
        (hits + misses > 0.0).then(|| hits / (hits + misses))
    }

    /// What it weighs, as far as that is known.
    #[must_use]
    pub fn deep_bytes(&self) -> u64 {
        self.weight.as_ref().map_or(0, |weight| weight.deep_bytes)
    }
}
