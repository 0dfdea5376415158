//! A cache that is bounded in bytes: what the tools use on themselves, since a memory tool must not leak.
//!
//! It has two levels. What is new stands in the *main* level; what is found there again goes up to the small *hot* one, and what that
//! has no room for comes back down. So a long scan, which reads everything once, drives out what else was read once, and not what
//! is needed all the time. Each level is in strict order of use, and what has to go is what was not used for longest in the main
//! level; of the hot one only if there is nothing else.
//!
//! Nothing expires unless a time to live was given; then a thread of its own takes out what is due, whether anybody looks or not.
//! An item above the limit for one item is not kept, and counted.
//!
//! The lists and tables are the crate `lru`'s. moka and quick_cache were looked at: moka notes uses in a queue that may lose some
//! and evicts some time later, so it can be over its limit meanwhile and its order is not exact; quick_cache (S3-FIFO) has neither
//! an order of use nor a time to live. Both are made for many threads that share a server's cache; here the bound has to hold.

mod health;
mod store;
mod weigh;

use std::hash::Hash;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use std::{fmt, io, thread};

pub use health::{Fullness, Health};
use store::Store;
pub use weigh::{Shared, Weigh};

/// What a cache may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All it takes: keys, values and the tables that hold them. A key counts by its `size_of`: it is a number or an address.
    pub bytes: u64,
    /// How much of that the hot level may take. Bytes that several entries share count in each of them here.
    pub hot_bytes: u64,
    /// The most that one entry may take.
    pub item_bytes: u64,
    /// How long an entry lives after it was written. `None`: for ever.
    pub time_to_live: Option<Duration>,
}

impl Limits {
    /// `bytes` in all, an eighth of it for the hot level and for one item; nothing expires.
    #[must_use]
    pub const fn of(bytes: u64) -> Self {
        Self { bytes, hot_bytes: bytes / 8, item_bytes: bytes / 8, time_to_live: None }
    }
}

/// A bounded cache, for any number of threads.
pub struct Cache<K, V> {
    inner: Arc<Inner<K, V>>,
}

struct Inner<K, V> {
    store: Mutex<Store<K, V>>,
    /// Tells the thread that waits for entries to expire that the first of them does so sooner, or that the cache is gone.
    changed: Condvar,
}

impl<K: Hash + Eq, V> Inner<K, V> {
    fn lock(&self) -> MutexGuard<'_, Store<K, V>> {
        // Whoever panicked did so in a key's or a value's own code; the bound still holds, as it is looked at in each call.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Clone, V: Weigh + Clone> Cache<K, V> {
    /// An empty cache in which nothing expires, whatever `limits` say: for where no thread is to be started.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let store = Store::new(Limits { time_to_live: None, ..limits });
        Self { inner: Arc::new(Inner { store: Mutex::new(store), changed: Condvar::new() }) }
    }

    /// The value of `key`, which is the one used last from now on.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<V> {
        self.inner.lock().get(key, Instant::now())
    }

    /// Keeps `value`, in place of one that `key` may have had. Whether it is kept: one that is too large is not, and neither is
    /// the one before it.
    pub fn insert(&self, key: K, value: V) -> bool {
        let mut store = self.inner.lock();
        let was_first = store.next_expiry();
        let kept = store.insert(key, value, Instant::now());
        if store.next_expiry() != was_first {
            self.inner.changed.notify_one();
        }
        kept
    }

    /// The value of `key`, made by `make` and kept if it is not there. `make` runs without the lock, so that others are not held up:
    /// two threads may make the same.
    ///
    /// # Errors
    /// What `make` says; then nothing is kept.
    pub fn get_or_try_insert<E>(&self, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        if let Some(found) = self.get(&key) {
            return Ok(found);
        }
        let made = make()?;
        self.insert(key, made.clone());
        Ok(made)
    }

    /// Takes the value of `key` out.
    pub fn remove(&self, key: &K) -> Option<V> {
        self.inner.lock().remove(key)
    }

    /// Takes everything out. What was counted stays counted.
    pub fn clear(&self) {
        self.inner.lock().clear();
    }

    /// How it fares.
    #[must_use]
    pub fn health(&self) -> Health {
        self.inner.lock().health()
    }
}

impl<K: Hash + Eq + Clone + Send + 'static, V: Weigh + Clone + Send + 'static> Cache<K, V> {
    /// An empty cache. Where `limits` give a time to live, a thread takes out what has expired.
    ///
    /// # Errors
    /// If that thread cannot be started.
    pub fn start(limits: Limits) -> io::Result<Self> {
        let cache = Self {
            inner: Arc::new(Inner { store: Mutex::new(Store::new(limits)), changed: Condvar::new() }),
        };
        if limits.time_to_live.is_some() {
            let inner = Arc::downgrade(&cache.inner);
            thread::Builder::new()
                .name("cache-expiry".into())
                .stack_size(64 << 10)
                .spawn(move || expire(&inner))?;
        }
        Ok(cache)
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

/// The longest that the thread waits without looking whether the cache is still there: its end may be told before it begins to wait.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Takes out what expires until the cache is gone.
fn expire<K: Hash + Eq + Clone, V: Weigh + Clone>(cache: &Weak<Inner<K, V>>) {
    while let Some(inner) = cache.upgrade() {
        let mut store = inner.lock();
        let now = Instant::now();
        store.expire(now);
        let due = store.next_expiry().map_or(LOOK_AGAIN, |due| due.saturating_duration_since(now));
        drop(inner.changed.wait_timeout(store, due.min(LOOK_AGAIN)));
    }
}

#[cfg(test)]
mod tests;
