//! The bytes that a cache reports against the growth of its process. A separate process, so that nothing else allocates.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests, and what they share")]

use std::sync::Arc;

use common::cache::{Cache, Limits, Weigh};

/// The process's own pages in RAM, in bytes: proc_pid_status(5).
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Growth of the process while a cache is filled, divided by the bytes that the cache reports. Also returns the cache: the next one would
/// reuse its memory unnoticed.
fn taken_ratio<V: Weigh + Clone + Send + 'static>(
    limits: Limits,
    make: impl Fn(u64) -> V,
) -> (f64, Cache<u64, V>) {
    let before = resident_bytes();
    let cache: Cache<u64, V> = Cache::new(limits);
    let mut key = 0;
    while cache.health().evicted_for_room == 0 {
        // Asking for its health walks the cache: not for every entry.
        for _ in 0..5000 {
            cache.insert(key, make(key));
            key += 1;
        }
    }
    let (taken, reported) = (resident_bytes().saturating_sub(before), cache.health().bytes);
    assert!(reported > limits.bytes / 10 * 9);
    (taken as f64 / reported as f64, cache)
}

#[test]
fn reported_bytes_match_resident() {
    let limits = Limits { item_bytes: 1 << 20, ..Limits::new(64 << 20) };
    let (pages, _kept) = taken_ratio(limits, |key| -> Arc<[u8]> { vec![key as u8; 4096].into() });
    let (small, _kept) = taken_ratio(limits, |key| vec![key as u8; 40]);
    assert!((0.9..1.1).contains(&pages), "of pages {pages}");
    // The allocator rounds up, and a table that has just doubled is nearly half empty.
    assert!((0.8..1.3).contains(&small), "of small values {small}");
}
