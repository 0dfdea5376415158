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

use common::record::{CacheTotal, CacheWarning};

pub use clock::ClockReadings;
pub use find::find_caches;
pub use metadata::{limit_in_module, limit_of_owner, number};

/// A cache, or several of one name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cache {
    /// Its row in a record, without the hit ratio.
    pub row: CacheTotal,
    /// Whether no limit was found; false for weak dictionaries.
    pub unbounded: bool,
}

impl Cache {
    /// The share of lookups that found an entry; `None` without counters or lookups.
    pub fn hit_ratio(&self) -> Option<f64> {
        let (hits, misses) = (self.row.hits? as f64, self.row.misses? as f64);
        (hits + misses > 0.0).then(|| hits / (hits + misses))
    }

    /// The lookups that were counted.
    pub fn lookups(&self) -> u64 {
        self.row.hits.unwrap_or(0).saturating_add(self.row.misses.unwrap_or(0))
    }

    /// The deep size, or 0 if it is not known.
    pub fn deep_bytes(&self) -> u64 {
        self.row.size_bytes.unwrap_or(0)
    }

    /// The part of the deep size that no other reference and no other cache reaches. These add up.
    pub fn own_bytes(&self) -> u64 {
        self.deep_bytes().saturating_sub(self.row.shared_bytes.unwrap_or(0))
    }

    /// Whether it belongs to the standard library.
    pub fn is_standard(&self) -> bool {
        self.row.stdlib == Some(true)
    }

    /// Its problems, the worst first.
    pub fn warnings(&self) -> &[CacheWarning] {
        self.row.warnings.as_deref().unwrap_or_default()
    }
}
