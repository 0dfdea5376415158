//! What is wrong with a cache. Small ones are no news, whatever they do: each warning has a floor below which it is not said.

use super::Cache;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// A cache without a limit is news from so many entries on (of several of one name, each), or so many bytes; of those that came with Python, from so many bytes.
const UNBOUNDED_ENTRIES: u64 = 1000;
const UNBOUNDED_BYTES: u64 = MIB;
const UNBOUNDED_STANDARD_BYTES: u64 = 10 * MIB;
/// An entry is large from more than this on, and so is the average of all.
const LARGE_ENTRY: u64 = 500 * KIB;
const LARGE_AVERAGE: u64 = 100 * KIB;
/// Hits are seldom below this, if something was looked for so often.
const FEW_HITS: f64 = 0.5;
const MANY_LOOKUPS: u64 = 100;
/// A cache is nearly full above these shares of its limit, if the limit is at least so many entries or it has so many bytes.
const NEARLY: f64 = 0.75;
const ALL_BUT: f64 = 0.9;
const LEAST_LIMIT: u64 = 32;
/// What finds this share of what is looked for does what it is for, and may well be full.
const GOOD_HITS: f64 = 0.9;
/// Entries past their time are news from so many on, if they are so large a part of all.
const MANY_EXPIRED: u64 = 100;
const MUCH_EXPIRED: f64 = 0.25;

/// What is wrong with a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Warning {
    /// It has no limit, or none that could be found.
    NoLimit,
    /// Many of its entries are past their deadline.
    Expired,
    /// An entry has more than 500 KiB.
    LargeEntry,
    /// Its entries have more than 100 KiB on average.
    LargeAverage,
    /// Less than half of what is looked for is found.
    LowHits,
    /// It is above 90 % of its limit.
    Above90,
    /// It is above 75 % of its limit.
    Above75,
}

impl Warning {
    /// Its word in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoLimit => "no_limit",
            Self::Expired => "expired",
            Self::LargeEntry => "large_entry",
            Self::LargeAverage => "large_average",
            Self::LowHits => "low_hits",
            Self::Above90 => "above_90",
            Self::Above75 => "above_75",
        }
    }
}

/// What is wrong with a cache, the worst first. Of those that came with Python only what they weigh is anybody's concern.
pub(super) fn warnings(cache: &Cache) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let (deep, weight) = (cache.deep_bytes(), cache.weight.as_ref());
    // What all is reached otherwise too would not be freed by a limit.
    let own = weight.map_or(0, |weight| weight.deep_bytes.saturating_sub(weight.shared_bytes));
    let is_large = match cache.standard {
        true => own >= UNBOUNDED_STANDARD_BYTES,
        false => {
            cache.entries / cache.instances.max(1) >= UNBOUNDED_ENTRIES
                || (own >= UNBOUNDED_BYTES && cache.entries > 1)
        }
    };
    if cache.unbounded && is_large {
        warnings.push(Warning::NoLimit);
    }
    if cache.standard {
        return warnings;
    }
    let expired = cache.expired.unwrap_or(0);
    if expired >= MANY_EXPIRED && expired as f64 >= cache.entries as f64 * MUCH_EXPIRED {
        warnings.push(Warning::Expired);
    }
    if weight.is_some_and(|weight| weight.largest_bytes > LARGE_ENTRY) {
        warnings.push(Warning::LargeEntry);
    }
    if cache.entries > 1 && weight.is_some_and(|weight| weight.average_bytes > LARGE_AVERAGE) {
        warnings.push(Warning::LargeAverage);
    }
    let lookups = cache.hits.unwrap_or(0).saturating_add(cache.misses.unwrap_or(0));
    let hits = cache.hit_ratio().filter(|_| lookups >= MANY_LOOKUPS);
    if hits.is_some_and(|hits| hits < FEW_HITS) {
        warnings.push(Warning::LowHits);
    }
    let counts = cache.limit.is_none_or(|limit| limit >= LEAST_LIMIT) || deep >= MIB;
    if let Some(fullness) = cache.fullness.filter(|_| counts && hits.is_none_or(|hits| hits < GOOD_HITS)) {
        if fullness > ALL_BUT {
            warnings.push(Warning::Above90);
        } else if fullness > NEARLY {
            warnings.push(Warning::Above75);
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caches::CacheSize;

    fn cache(entries: u64, limit: Option<u64>, bytes: u64) -> Cache {
        let weight = CacheSize { deep_bytes: bytes, retained_bytes: bytes, ..CacheSize::default() };
        Cache {
            name: "a.cache".into(),
            kind: "dict".into(),
            standard: false,
            instances: 1,
            entries,
            limit,
            fullness: limit.map(|limit| entries as f64 / limit as f64),
            unbounded: limit.is_none(),
            hits: None,
            misses: None,
            weight: Some(weight),
            clock: None,
            expired: None,
            warnings: Vec::new(),
        }
    }

    fn entry(entries: u64, average_bytes: u64, largest_bytes: u64) -> Cache {
        let weight = CacheSize { average_bytes, largest_bytes, ..CacheSize::default() };
        Cache { weight: Some(weight), ..cache(entries, Some(1 << 20), 0) }
    }

    fn lookups(hits: u64, misses: u64) -> Cache {
        Cache { hits: Some(hits), misses: Some(misses), ..cache(95, Some(100), 9000) }
    }

    #[test]
    fn each_warning_has_a_floor() {
        use Warning::{Above75, Above90, Expired, LargeAverage, LargeEntry, LowHits, NoLimit};
        let standard = |cache: Cache| Cache { standard: true, ..cache };
        let several = |cache: Cache, instances: u64| Cache { instances, ..cache };
        let expired = |many: u64, of: u64| Cache { expired: Some(many), ..cache(of, Some(1 << 20), 0) };
        let shared = |cache: Cache, bytes: u64| {
            let weight = cache.weight.clone().unwrap();
            Cache { weight: Some(CacheSize { shared_bytes: bytes, ..weight }), ..cache }
        };
        let cases: Vec<(Cache, &[Warning])> = vec![
            (cache(3, None, 500), &[]),
            (cache(999, None, MIB - 1), &[]),
            (cache(1000, None, 500), &[NoLimit]),
            (cache(2, None, MIB), &[NoLimit]),
            (cache(1, None, MIB), &[]),
            (shared(cache(900, None, 9 * MIB), 8 * MIB + 1), &[]),
            (several(cache(2000, None, 500), 100), &[]),
            (several(cache(2000, None, 500), 2), &[NoLimit]),
            (standard(cache(5000, None, 9 * MIB)), &[]),
            (standard(cache(5000, None, 10 * MIB)), &[NoLimit]),
            (cache(75, Some(100), 500), &[]),
            (cache(76, Some(100), 500), &[Above75]),
            (cache(90, Some(100), 500), &[Above75]),
            (cache(91, Some(100), 500), &[Above90]),
            (cache(16, Some(16), 500), &[]),
            (cache(16, Some(16), MIB), &[Above90]),
            (lookups(900, 100), &[]),
            (lookups(89, 11), &[Above90]),
            (lookups(49, 51), &[LowHits, Above90]),
            (lookups(9, 51), &[Above90]),
            (standard(lookups(0, 1000)), &[]),
            (entry(5, 0, 500 * KIB), &[]),
            (entry(5, 0, 500 * KIB + 1), &[LargeEntry]),
            (entry(1, 600 * KIB, 600 * KIB), &[LargeEntry]),
            (entry(2, 100 * KIB + 1, 400 * KIB), &[LargeAverage]),
            (expired(99, 100), &[]),
            (expired(100, 401), &[]),
            (expired(100, 400), &[Expired]),
        ];
        for (number, (cache, expected)) in cases.iter().enumerate() {
            assert_eq!(warnings(cache), *expected, "case {number}: {cache:?}");
        }
        let numbers =
            Cache { hits: Some(u64::MAX), misses: Some(u64::MAX), ..cache(u64::MAX, Some(1), u64::MAX) };
        assert_eq!(warnings(&numbers), [Above90], "numbers of a hostile target do not overflow");
    }
}
