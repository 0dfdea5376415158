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
        omitted.add(cache.row.entries, cache.own_bytes());
    }
    let row = |cache: &Cache| CacheTotal { hit_ratio: cache.hit_ratio(), ..cache.row.clone() };
    (Some(listed.iter().map(row).collect()), omitted.if_any())
}
