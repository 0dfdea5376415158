//! The health report of a cache.

use crate::units::Bytes;

/// Contents and counters of a cache at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    /// Entries in both levels.
    pub entries: u64,
    /// Their bytes, tables included; shared bytes are counted once.
    pub bytes: u64,
    /// The limit of `bytes`.
    pub limit_bytes: u64,
    /// Entries in the hot level.
    pub hot_entries: u64,
    /// The part of `bytes` that entries share.
    pub shared_bytes: u64,
    /// The bytes of the largest entry.
    pub largest_bytes: u64,
    /// Reads that found an entry, in either level.
    pub hits: u64,
    /// Hits in the hot level.
    pub hot_hits: u64,
    /// Reads that found no entry.
    pub misses: u64,
    /// Values that replaced an earlier one.
    pub replaced: u64,
    /// Entries evicted to keep the limit.
    pub evicted_for_room: u64,
    /// Entries removed after their time to live.
    pub expired: u64,
    /// Entries that were cleared, or whose new value was too large.
    pub removed: u64,
    /// Values above the limit for one item, which were not kept.
    pub too_large: u64,
}

impl Health {
    /// Hits per read; `None` before the first read.
    #[must_use]
    pub fn hit_ratio(&self) -> Option<f64> {
        let asked = self.hits.saturating_add(self.misses);
        (asked > 0).then(|| self.hits as f64 / asked as f64)
    }

    /// The mean bytes of an entry; `None` without entries.
    #[must_use]
    pub fn average_bytes(&self) -> Option<u64> {
        self.bytes.checked_div(self.entries)
    }

    /// A warning from 75 % and from 90 % of the limit on.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let reached = |percent: &u128| u128::from(self.bytes) * 100 >= u128::from(self.limit_bytes) * percent;
        let percent = [90, 75].into_iter().find(reached)?;
        let (used, limit) = (Bytes(self.bytes), Bytes(self.limit_bytes));
        Some(format!("above {percent} % of its limit: {used} of {limit} in {} entries", self.entries))
    }
}
