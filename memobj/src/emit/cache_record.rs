//! Caches in a record.

use common::record::{CacheTotal, Omitted};

use crate::caches::Cache;

/// Caches that are listed.
const MOST: usize = 1000;

/// The rows of these caches, and the sum of the omitted ones.
pub(super) fn caches(all: &[Cache]) -> (Option<Vec<CacheTotal>>, Option<Omitted>) {
    let (listed, others) = all.split_at_checked(MOST).unwrap_or((all, &[]));
    let mut omitted = Omitted::default();
    for cache in others {
        omitted.add(cache.entries, cache.deep_bytes());
    }
    (Some(listed.iter().map(row).collect()), omitted.if_any())
}

fn row(cache: &Cache) -> CacheTotal {
    let size = cache.size.as_ref();
    CacheTotal {
        name: cache.name.clone(),
        entries: cache.entries,
        size_bytes: size.map(|size| size.deep_bytes),
        max_entries: cache.limit,
        hits: cache.hits,
        misses: cache.misses,
        kind: Some(cache.kind.clone()),
        stdlib: Some(cache.standard),
        instances: Some(cache.instances),
        fill_ratio: cache.fullness,
        hit_ratio: cache.hit_ratio(),
        shared_bytes: size.map(|size| size.shared_bytes),
        retained_bytes: size.map(|size| size.retained_bytes),
        average_entry_bytes: size.map(|size| size.average_bytes),
        largest_entry_bytes: size.map(|size| size.largest_bytes),
        largest_entry_key: size.and_then(|size| size.largest_key.clone()),
        large_entries: size.map(|size| size.large_entries),
        clock: cache.clock,
        expired_entries: cache.expired,
        warnings: Some(cache.warnings.clone()),
    }
}
