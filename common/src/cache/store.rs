//! The two levels of a cache and their byte accounting; single-threaded, with the time as an argument.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Instant;

use lru::LruCache;

use super::{Health, Limits, Shared, Weigh};

/// Overhead of an entry: two list links, the allocation header, and a slot of a table of pointers that is 2/3 full on average (`LruEntry`
/// and `map` in the crate lru; hashbrown's tables are between 7/16 and 7/8 full).
const LINKS_BYTES: u64 = 2 * 8 + 16 + 17 * 3 / 2;
/// Overhead of an entry with shared bytes: a slot of `Sharing::holders`.
const SHARED_BYTES: u64 = 25 * 3 / 2;
/// Overhead of an entry that expires, without its key: an instant and a number, in a tree whose nodes are 2/3 full on average.
const EXPIRY_BYTES: u64 = 24 * 3 / 2;

pub(super) struct Store<K, V> {
    limits: Limits,
    hot: Level<K, V>,
    main: Level<K, V>,
    /// The bytes of all entries, shared bytes counted once.
    bytes: u64,
    shared: Sharing,
    /// Keys by time of expiry.
    expiries: BTreeMap<(Instant, u64), K>,
    /// The number of the next entry: several may expire at one moment.
    number: u64,
    /// The counters; `health` fills in the rest.
    counted: Health,
}

pub(super) struct Entry<V> {
    value: V,
    /// Its bytes without shared ones.
    own_bytes: u64,
    shared: Option<Shared>,
    expiry: Option<(Instant, u64)>,
}

impl<V> Entry<V> {
    /// Its bytes, shared ones included.
    fn bytes(&self) -> u64 {
        self.own_bytes.saturating_add(self.shared.map_or(0, |shared| shared.bytes))
    }
}

/// Entries in the order of their use, and the sum of their bytes.
struct Level<K, V> {
    entries: LruCache<K, Entry<V>>,
    bytes: u64,
}

impl<K: Hash + Eq, V> Level<K, V> {
    fn new() -> Self {
        Self { entries: LruCache::unbounded(), bytes: 0 }
    }

    /// Adds a new entry as the most recently used.
    fn put(&mut self, key: K, entry: Entry<V>) {
        self.bytes = self.bytes.saturating_add(entry.bytes());
        self.entries.push(key, entry);
    }

    fn pop(&mut self, key: &K) -> Option<(K, Entry<V>)> {
        let (key, entry) = self.entries.pop_entry(key)?;
        self.bytes = self.bytes.saturating_sub(entry.bytes());
        Some((key, entry))
    }

    fn pop_last(&mut self) -> Option<(K, Entry<V>)> {
        let (key, entry) = self.entries.pop_lru()?;
        self.bytes = self.bytes.saturating_sub(entry.bytes());
        Some((key, entry))
    }
}

/// The number of holders and the bytes of each shared allocation, and the sum of these bytes.
#[derive(Debug, Default)]
struct Sharing {
    holders: HashMap<usize, (u64, u64)>,
    bytes: u64,
}

impl Sharing {
    /// Adds a holder; returns the bytes that are new.
    fn add(&mut self, shared: Shared) -> u64 {
        let (holders, _) = self.holders.entry(shared.id).or_insert((0, shared.bytes));
        *holders += 1;
        let new = if *holders == 1 { shared.bytes } else { 0 };
        self.bytes = self.bytes.saturating_add(new);
        new
    }

    /// Removes a holder; returns the bytes that are gone.
    fn remove(&mut self, shared: Shared) -> u64 {
        let Some((holders, bytes)) = self.holders.get_mut(&shared.id) else { return 0 };
        *holders -= 1;
        if *holders > 0 {
            return 0;
        }
        let gone = *bytes;
        self.holders.remove(&shared.id);
        self.bytes = self.bytes.saturating_sub(gone);
        gone
    }
}

impl<K: Hash + Eq, V> Store<K, V> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            hot: Level::new(),
            main: Level::new(),
            bytes: 0,
            shared: Sharing::default(),
            expiries: BTreeMap::new(),
            number: 0,
            counted: Health::default(),
        }
    }

    /// The time of the next expiry.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first_key_value().map(|((due, _), _)| *due)
    }

    fn pop(&mut self, key: &K) -> Option<(K, Entry<V>)> {
        let (key, entry) = self.hot.pop(key).or_else(|| self.main.pop(key))?;
        self.forget(&entry);
        Some((key, entry))
    }

    /// Subtracts an entry that has left its level.
    fn forget(&mut self, entry: &Entry<V>) {
        let shared = entry.shared.map_or(0, |shared| self.shared.remove(shared));
        self.bytes = self.bytes.saturating_sub(entry.own_bytes.saturating_add(shared));
        if let Some(expiry) = entry.expiry {
            self.expiries.remove(&expiry);
        }
    }

    /// Evicts until the limit is kept.
    fn make_room(&mut self) {
        while self.bytes > self.limits.bytes {
            let Some((_, entry)) = self.main.pop_last().or_else(|| self.hot.pop_last()) else { return };
            self.forget(&entry);
            self.counted.evicted_for_room += 1;
        }
    }

    fn entries(&self) -> u64 {
        count(self.hot.entries.len()) + count(self.main.entries.len())
    }

    pub(super) fn health(&self) -> Health {
        let all = self.hot.entries.iter().chain(self.main.entries.iter());
        Health {
            entries: self.entries(),
            bytes: self.bytes,
            limit_bytes: self.limits.bytes,
            hot_entries: count(self.hot.entries.len()),
            shared_bytes: self.shared.bytes,
            largest_bytes: all.map(|(_, entry)| entry.bytes()).max().unwrap_or(0),
            ..self.counted
        }
    }

    /// Moves entries of the hot level to the main level until the hot limit is kept.
    fn cool(&mut self) {
        while self.hot.bytes > self.limits.hot_bytes {
            let Some((key, entry)) = self.hot.pop_last() else { return };
            self.main.put(key, entry);
        }
    }
}

impl<K: Hash + Eq + Copy, V: Weigh + Clone> Store<K, V> {
    pub(super) fn get(&mut self, key: &K, now: Instant) -> Option<V> {
        self.expire(now);
        if let Some(entry) = self.hot.entries.get(key) {
            self.counted.hits += 1;
            self.counted.hot_hits += 1;
            return Some(entry.value.clone());
        }
        let Some((key, entry)) = self.main.pop(key) else {
            self.counted.misses += 1;
            return None;
        };
        self.counted.hits += 1;
        let value = entry.value.clone();
        if entry.bytes() > self.limits.hot_bytes {
            self.main.put(key, entry);
        } else {
            self.hot.put(key, entry);
            self.cool();
        }
        Some(value)
    }

    pub(super) fn insert(&mut self, key: K, value: V, now: Instant) -> bool {
        self.expire(now);
        let was_hot = self.hot.entries.contains(&key);
        let was_there = self.pop(&key).is_some();
        let timed = self.limits.time_to_live.is_some();
        let shared = value.shared();
        let own_bytes =
            entry_bytes::<K, Entry<V>>(timed, shared.is_some()).saturating_add(value.owned_bytes());
        let expiry =
            self.limits.time_to_live.and_then(|life| now.checked_add(life)).map(|due| (due, self.number));
        let entry = Entry { value, own_bytes, shared, expiry };
        if entry.bytes() > self.limits.item_bytes.min(self.limits.bytes) {
            self.counted.too_large += 1;
            self.counted.removed += u64::from(was_there);
            return false;
        }
        self.counted.replaced += u64::from(was_there);
        self.number += 1;
        self.bytes = self.bytes.saturating_add(own_bytes);
        self.bytes = self.bytes.saturating_add(shared.map_or(0, |shared| self.shared.add(shared)));
        if let Some(expiry) = expiry {
            self.expiries.insert(expiry, key);
        }
        if was_hot && entry.bytes() <= self.limits.hot_bytes {
            self.hot.put(key, entry);
            self.cool();
        } else {
            self.main.put(key, entry);
        }
        self.make_room();
        true
    }

    pub(super) fn clear(&mut self) {
        let counted = Health { removed: self.counted.removed + self.entries(), ..self.counted };
        *self = Self { counted, number: self.number, ..Self::new(self.limits) };
    }

    /// Removes the entries that expire by `now`.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some(first) = self.expiries.first_entry()
            && first.key().0 <= now
        {
            let key = first.remove();
            if self.pop(&key).is_some() {
                self.counted.expired += 1;
            }
        }
    }
}

/// The bytes of an entry without those that its value owns.
pub(super) fn entry_bytes<K, E>(timed: bool, shares: bool) -> u64 {
    let key = count(size_of::<K>());
    let expiry = if timed { EXPIRY_BYTES + key * 3 / 2 } else { 0 };
    let sharing = if shares { SHARED_BYTES } else { 0 };
    key + count(size_of::<E>()) + LINKS_BYTES + expiry + sharing
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
