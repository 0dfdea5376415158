//! How a cache fares.

/// What a cache holds and did, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    /// Entries in both levels.
    pub entries: u64,
    /// What they take, with their tables; bytes that several share are counted once.
    pub bytes: u64,
    /// What they may take.
    pub limit_bytes: u64,
    /// Entries in the hot level.
    pub hot_entries: u64,
    /// How much of `bytes` may be shared with others: each once.
    pub shared_bytes: u64,
    /// The largest entry that it holds.
    pub largest_bytes: u64,
    /// What was asked for and found, in either level.
    pub hits: u64,
    /// What of that was found in the hot level.
    pub hot_hits: u64,
    /// What was asked for and not found.
    pub misses: u64,
    /// Values that took the place of one before them.
    pub replaced: u64,
    /// Entries that had to go since there was no room.
    pub evicted_for_room: u64,
    /// Entries that had lived their time.
    pub expired: u64,
    /// Entries that were taken out by request.
    pub removed: u64,
    /// Values that were passed through since they were above the limit for one item.
    pub too_large: u64,
}

/// How near its limit a cache is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fullness {
    /// Below 75 %.
    Roomy,
    /// From 75 %.
    Filling,
    /// From 90 %.
    Full,
}

impl Health {
    /// The share of what was asked for that was found; `None` if nothing was asked for.
    #[must_use]
    pub fn hit_ratio(&self) -> Option<f64> {
        let asked = self.hits.saturating_add(self.misses);
        (asked > 0).then(|| self.hits as f64 / asked as f64)
    }

    /// The bytes of an entry on average; `None` without any.
    #[must_use]
    pub fn average_bytes(&self) -> Option<u64> {
        self.bytes.checked_div(self.entries)
    }

    /// How near its limit it is.
    #[must_use]
    pub fn fullness(&self) -> Fullness {
        let reached = |percent: u128| u128::from(self.bytes) * 100 >= u128::from(self.limit_bytes) * percent;
        if reached(90) {
            Fullness::Full
        } else if reached(75) {
            Fullness::Filling
        } else {
            Fullness::Roomy
        }
    }

    /// A line for people about a cache that is nearly full; `None` if it is not.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let level = match self.fullness() {
            Fullness::Roomy => return None,
            Fullness::Filling => "75 %",
            Fullness::Full => "90 %",
        };
        let (used, limit) = (crate::units::Bytes(self.bytes), crate::units::Bytes(self.limit_bytes));
        Some(format!(
            "the cache is above {level} of its limit: {used} of {limit} in {} entries",
            self.entries
        ))
    }
}
