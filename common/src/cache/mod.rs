//! A cache bounded in bytes, for the tools' own use: a memory tool must not leak.
//!
//! It has two levels. A new entry starts in the *main* level; the next hit moves it to the small *hot* level, which returns its least
//! recently used entries to the main level when it is full. So a scan that reads everything once does not evict entries that are used all
//! the time. Each level is in exact order of use. Eviction takes the least recently used entry of the main level, then of the hot level.
//!
//! Entries expire only if a time to live is set; then a thread of the cache removes them in time, without a read. An entry above the limit
//! for one item is not kept, only counted.
//!
//! The lists and tables are those of the crate `lru`. moka and quick_cache do not fit: moka records uses in a lossy queue and evicts later,
//! so it can exceed its limit and its order is inexact; quick_cache (S3-FIFO) has no order of use and no time to live.
//!
//! ```
//! use std::sync::Arc;
//! use common::cache::{Cache, Limits};
//!
//! let pages: Cache<u64, Arc<[u8]>> = Cache::new(Limits::new(1 << 20));
//! pages.insert(7, vec![0; 4096].into());
//! assert_eq!(pages.get(&7).map(|page| page.len()), Some(4096));
//! assert_eq!(pages.health().hit_ratio(), Some(1.0));
//! ```

mod health;
mod store;
mod weigh;

use std::hash::Hash;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError, Weak};
use std::time::{Duration, Instant};
use std::{fmt, thread};

pub use health::Health;
use store::Store;
pub use weigh::{Shared, Weigh};

/// The limits of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All bytes: keys, values and the tables that hold them. A key counts by its `size_of`, so it must own nothing.
    pub bytes: u64,
    /// The bytes of the hot level. Bytes that several entries share count in each of them here.
    pub hot_bytes: u64,
    /// The bytes of one entry.
    pub item_bytes: u64,
    /// The life of an entry after it was written. `None`: entries never expire.
    pub time_to_live: Option<Duration>,
}

impl Limits {
    /// `bytes` in all, an eighth of it for the hot level and for one item; nothing expires.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self { bytes, hot_bytes: bytes / 8, item_bytes: bytes / 8, time_to_live: None }
    }
}

/// A bounded cache, for any number of threads.
pub struct Cache<K, V> {
    inner: Arc<Inner<K, V>>,
    expiry: Once,
}

struct Inner<K, V> {
    store: Mutex<Store<K, V>>,
    /// Wakes the expiry thread when the next expiry is earlier, or when the cache is dropped.
    changed: Condvar,
}

impl<K: Hash + Eq, V> Inner<K, V> {
    fn lock(&self) -> MutexGuard<'_, Store<K, V>> {
        // A panic comes from the code of a key or a value; each call restores the limit.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, V> Cache<K, V>
where
    K: Hash + Eq + Copy + Send + 'static,
    V: Weigh + Clone + Send + 'static,
{
    /// Creates an empty cache.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let inner = Inner { store: Mutex::new(Store::new(limits)), changed: Condvar::new() };
        Self { inner: Arc::new(inner), expiry: Once::new() }
    }

    /// Returns the value of `key`, which becomes the most recently used.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<V> {
        self.inner.lock().get(key, Instant::now())
    }

    /// Inserts or replaces the value of `key`. Returns whether it was kept: a value above the limit for one item is not, and the earlier
    /// value is removed.
    pub fn insert(&self, key: K, value: V) -> bool {
        let mut store = self.inner.lock();
        let was_first = store.next_expiry();
        let kept = store.insert(key, value, Instant::now());
        if store.next_expiry() != was_first {
            self.expiry.call_once(|| self.start_expiry());
            self.inner.changed.notify_one();
        }
        kept
    }

    /// Removes all entries; counters keep their values.
    pub fn clear(&self) {
        self.inner.lock().clear();
    }

    /// Returns contents and counters.
    #[must_use]
    pub fn health(&self) -> Health {
        self.inner.lock().health()
    }

    /// Starts the thread that removes expired entries. Without it they go at the next access.
    fn start_expiry(&self) {
        let inner = Arc::downgrade(&self.inner);
        let builder = thread::Builder::new().name("cache-expiry".into()).stack_size(64 << 10);
        let _ = builder.spawn(move || expire(&inner));
    }
}

impl<K: Hash + Eq, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("health", &self.inner.lock().health()).finish_non_exhaustive()
    }
}

impl<K, V> Drop for Cache<K, V> {
    fn drop(&mut self) {
        self.inner.changed.notify_one();
    }
}

/// The longest sleep of the expiry thread: a drop just before it sleeps does not wake it.
const MAX_SLEEP: Duration = Duration::from_secs(1);

/// Removes expired entries until the cache is dropped.
fn expire<K: Hash + Eq + Copy, V: Weigh + Clone>(cache: &Weak<Inner<K, V>>) {
    while let Some(inner) = cache.upgrade() {
        let mut store = inner.lock();
        let now = Instant::now();
        store.expire(now);
        let sleep = store.next_expiry().map_or(MAX_SLEEP, |due| due.saturating_duration_since(now));
        drop(inner.changed.wait_timeout(store, sleep.min(MAX_SLEEP)));
    }
}

#[cfg(test)]
mod tests;
