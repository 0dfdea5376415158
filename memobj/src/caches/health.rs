//! Warnings about caches. Each has a floor, since small caches do no harm.
use common::record::CacheWarning;

use super::Cache;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Least entries (of several with one name, each) or bytes for a warning of no limit; in the standard library, bytes.
const UNBOUNDED_ENTRIES: u64 = 1000;
const UNBOUNDED_BYTES: u64 = MIB;
const UNBOUNDED_STANDARD_BYTES: u64 = 10 * MIB;
/// Larger entries, and larger averages, are warned of.
const LARGE_ENTRY: u64 = 500 * KIB;
const LARGE_AVERAGE: u64 = 100 * KIB;
/// The least share of hits, and the least lookups for a warning.
const FEW_HITS: f64 = 0.5;
const MANY_LOOKUPS: u64 = 100;
/// Shares of the limit for a warning, and the least limit.
const NEARLY: f64 = 0.75;
const ALL_BUT: f64 = 0.9;
const LEAST_LIMIT: u64 = 32;
/// A cache with this share of hits may well be full.
const GOOD_HITS: f64 = 0.9;
/// Least expired entries for a warning, and their least share.
const MANY_EXPIRED: u64 = 100;
const MUCH_EXPIRED: f64 = 0.25;

/// The warnings about a cache, the worst first; about the standard library only those about size.
pub(super) fn warnings(cache: &Cache) -> Vec<CacheWarning> {
    let mut warnings = Vec::new();
    let (deep, size) = (cache.deep_bytes(), cache.size.as_ref());
    // Shared objects would not be freed by a limit.
    let own = size.map_or(0, |size| size.deep_bytes.saturating_sub(size.shared_bytes));
    let is_large = match cache.standard {
        true => own >= UNBOUNDED_STANDARD_BYTES,
        false => {
            cache.entries / cache.instances.max(1) >= UNBOUNDED_ENTRIES
                || (own >= UNBOUNDED_BYTES && cache.entries > 1)
        }
    };
    if cache.unbounded && is_large {
        warnings.push(CacheWarning::NoLimit);
    }
    if cache.standard {
        return warnings;
    }
    let expired = cache.expired.unwrap_or(0);
    if expired >= MANY_EXPIRED && expired as f64 >= cache.entries as f64 * MUCH_EXPIRED {
        warnings.push(CacheWarning::Expired);
    }
    if size.is_some_and(|size| size.largest_bytes > LARGE_ENTRY) {
        warnings.push(CacheWarning::LargeEntry);
    }
    if cache.entries > 1 && size.is_some_and(|size| size.average_bytes > LARGE_AVERAGE) {
        warnings.push(CacheWarning::LargeAverage);
    }
    let lookups = cache.hits.unwrap_or(0).saturating_add(cache.misses.unwrap_or(0));
    let hits = cache.hit_ratio().filter(|_| lookups >= MANY_LOOKUPS);
    if hits.is_some_and(|hits| hits < FEW_HITS) {
        warnings.push(CacheWarning::LowHits);
    }
    let counts = cache.limit.is_none_or(|limit| limit >= LEAST_LIMIT) || deep >= MIB;
    if let Some(fullness) = cache.fullness.filter(|_| counts && hits.is_none_or(|hits| hits < GOOD_HITS)) {
        if fullness > ALL_BUT {
            warnings.push(CacheWarning::Above90);
        } else if fullness > NEARLY {
            warnings.push(CacheWarning::Above75);
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caches::CacheSize;

    fn cache(entries: u64, limit: Option<u64>, bytes: u64) -> Cache {
        let size = CacheSize { deep_bytes: bytes, retained_bytes: bytes, ..CacheSize::default() };
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
            size: Some(size),
            clock: None,
            expired: None,
            warnings: Vec::new(),
        }
    }

    fn entry(entries: u64, average_bytes: u64, largest_bytes: u64) -> Cache {
        let size = CacheSize { average_bytes, largest_bytes, ..CacheSize::default() };
        Cache { size: Some(size), ..cache(entries, Some(1 << 20), 0) }
    }

    fn lookups(hits: u64, misses: u64) -> Cache {
        Cache { hits: Some(hits), misses: Some(misses), ..cache(95, Some(100), 9000) }
    }

    #[test]
    fn each_warning_has_a_floor() {
        use CacheWarning::{Above75, Above90, Expired, LargeAverage, LargeEntry, LowHits, NoLimit};
        let standard = |cache: Cache| Cache { standard: true, ..cache };
        let several = |cache: Cache, instances: u64| Cache { instances, ..cache };
        let expired = |many: u64, of: u64| Cache { expired: Some(many), ..cache(of, Some(1 << 20), 0) };
        let shared = |cache: Cache, bytes: u64| {
            let size = cache.size.clone().unwrap();
            Cache { size: Some(CacheSize { shared_bytes: bytes, ..size }), ..cache }
        };
        let cases: Vec<(Cache, &[CacheWarning])> = vec![
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
