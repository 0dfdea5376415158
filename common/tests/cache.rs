//! What a cache says it takes, held against what its process takes. A process of its own: nothing else allocates meanwhile.

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

/// What the process grows by while the cache is filled, over what the cache says. The cache, too: memory that it gives back would be used
/// again by the next one, unseen.
fn taken_ratio<V: Weigh + Clone>(limits: Limits, make: impl Fn(u64) -> V) -> (f64, Cache<u64, V>) {
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
    let (taken, told) = (resident_bytes().saturating_sub(before), cache.health().bytes);
    assert!(told > limits.bytes / 10 * 9);
    (taken as f64 / told as f64, cache)
}

#[test]
fn what_it_says_it_takes_is_what_it_takes() {
    let limits = Limits { item_bytes: 1 << 20, ..Limits::of(64 << 20) };
    let (pages, _kept) = taken_ratio(limits, |key| -> Arc<[u8]> { vec![key as u8; 4096].into() });
    let (small, _kept) = taken_ratio(limits, |key| vec![key as u8; 40]);
    assert!((0.9..1.1).contains(&pages), "of pages {pages}");
    // The allocator rounds up, and a table that has just doubled is nearly half empty.
    assert!((0.8..1.3).contains(&small), "of small values {small}");
}
