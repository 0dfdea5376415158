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
    let row = &cache.row;
    // Shared objects would not be freed by a limit; and each of several caches needs one of its own.
    let instances = row.instances.unwrap_or(1).max(1);
    let own = cache.own_bytes() / instances;
    let is_large = if cache.is_standard() {
        own >= UNBOUNDED_STANDARD_BYTES
    } else {
        row.entries / instances >= UNBOUNDED_ENTRIES || (own >= UNBOUNDED_BYTES && row.entries > instances)
    };
    if cache.unbounded && is_large {
        warnings.push(CacheWarning::NoLimit);
    }
    if cache.is_standard() {
        return warnings;
    }
    let expired = row.expired_entries.unwrap_or(0);
    if expired >= MANY_EXPIRED && expired as f64 >= row.entries as f64 * MUCH_EXPIRED {
        warnings.push(CacheWarning::Expired);
    }
    if row.largest_entry_bytes > Some(LARGE_ENTRY) {
        warnings.push(CacheWarning::LargeEntry);
    }
    if row.entries > 1 && row.average_entry_bytes > Some(LARGE_AVERAGE) {
        warnings.push(CacheWarning::LargeAverage);
    }
    let hits = cache.hit_ratio().filter(|_| cache.lookups() >= MANY_LOOKUPS);
    if hits.is_some_and(|hits| hits < FEW_HITS) {
        warnings.push(CacheWarning::LowHits);
    }
    let counts = row.max_entries.is_none_or(|limit| limit >= LEAST_LIMIT) || cache.deep_bytes() >= MIB;
    if let Some(fullness) = row.fill_ratio.filter(|_| counts && hits.is_none_or(|hits| hits < GOOD_HITS)) {
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
    use common::record::CacheTotal;

    use super::*;

    fn cache(entries: u64, limit: Option<u64>, bytes: u64) -> Cache {
        let row = CacheTotal {
            kind: Some("dict".into()),
            stdlib: Some(false),
            instances: Some(1),
            max_entries: limit,
            fill_ratio: limit.map(|limit| entries as f64 / limit as f64),
            size_bytes: Some(bytes),
            shared_bytes: Some(0),
            retained_bytes: Some(bytes),
            average_entry_bytes: Some(0),
            largest_entry_bytes: Some(0),
            ..CacheTotal::new("a.cache".into(), entries)
        };
        Cache { row, unbounded: limit.is_none() }
    }

    fn with(mut cache: Cache, change: impl FnOnce(&mut CacheTotal)) -> Cache {
        change(&mut cache.row);
        cache
    }

    fn entry(entries: u64, average_bytes: u64, largest_bytes: u64) -> Cache {
        with(cache(entries, Some(1 << 20), 0), |row| {
            row.average_entry_bytes = Some(average_bytes);
            row.largest_entry_bytes = Some(largest_bytes);
        })
    }

    fn lookups(hits: u64, misses: u64) -> Cache {
        with(cache(95, Some(100), 9000), |row| (row.hits, row.misses) = (Some(hits), Some(misses)))
    }

    #[test]
    fn each_warning_has_a_floor() {
        use CacheWarning::{Above75, Above90, Expired, LargeAverage, LargeEntry, LowHits, NoLimit};

        let standard = |cache: Cache| with(cache, |row| row.stdlib = Some(true));
        let several = |cache: Cache, instances: u64| with(cache, |row| row.instances = Some(instances));
        let expired =
            |many: u64, of: u64| with(cache(of, Some(1 << 20), 0), |row| row.expired_entries = Some(many));
        let shared = |cache: Cache, bytes: u64| with(cache, |row| row.shared_bytes = Some(bytes));
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
        let numbers = with(cache(u64::MAX, Some(1), u64::MAX), |row| {
            (row.hits, row.misses) = (Some(u64::MAX), Some(u64::MAX));
        });
        assert_eq!(warnings(&numbers), [Above90], "numbers of a hostile target do not overflow");
    }
}
