//! The cache against a simple model, and examples.

use std::collections::HashMap;

use proptest::prelude::*;

use super::store::entry_bytes;
use super::*;

const MS: Duration = Duration::from_millis(1);

/// A value of a wanted size, which may share bytes with others.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Value {
    name: u32,
    owned: u64,
    shared: Option<Shared>,
}

impl Weigh for Value {
    fn owned_bytes(&self) -> u64 {
        self.owned
    }

    fn shared(&self) -> Option<Shared> {
        self.shared
    }
}

/// An entry of the model; lists begin with the most recently used.
#[derive(Debug, Clone)]
struct Kept {
    key: u8,
    value: Value,
    bytes: u64,
    due: Option<Instant>,
}

#[derive(Debug)]
struct Model {
    limits: Limits,
    hot: Vec<Kept>,
    main: Vec<Kept>,
    counted: Health,
}

fn full(entry: &Kept) -> u64 {
    entry.bytes + entry.value.shared.map_or(0, |shared| shared.bytes)
}

impl Model {
    fn all(&self) -> impl Iterator<Item = &Kept> {
        self.hot.iter().chain(&self.main)
    }

    fn shared_bytes(&self) -> u64 {
        let shared: HashMap<usize, u64> = self
            .all()
            .filter_map(|entry| entry.value.shared)
            .map(|shared| (shared.id, shared.bytes))
            .collect();
        shared.values().sum()
    }

    fn bytes(&self) -> u64 {
        self.all().map(|entry| entry.bytes).sum::<u64>() + self.shared_bytes()
    }

    fn take(&mut self, key: u8) -> Option<(bool, Kept)> {
        if let Some(at) = self.hot.iter().position(|entry| entry.key == key) {
            return Some((true, self.hot.remove(at)));
        }
        let at = self.main.iter().position(|entry| entry.key == key)?;
        Some((false, self.main.remove(at)))
    }

    fn put(&mut self, hot: bool, entry: Kept) {
        if hot && full(&entry) <= self.limits.hot_bytes {
            self.hot.insert(0, entry);
        } else {
            self.main.insert(0, entry);
        }
        while self.hot.iter().map(full).sum::<u64>() > self.limits.hot_bytes {
            let last = self.hot.pop().unwrap();
            self.main.insert(0, last);
        }
    }

    fn expire(&mut self, now: Instant) {
        let before = self.all().count();
        self.hot.retain(|entry| entry.due.is_none_or(|due| due > now));
        self.main.retain(|entry| entry.due.is_none_or(|due| due > now));
        self.counted.expired += (before - self.all().count()) as u64;
    }

    fn get(&mut self, key: u8, now: Instant) -> Option<Value> {
        self.expire(now);
        let Some((hot, entry)) = self.take(key) else {
            self.counted.misses += 1;
            return None;
        };
        self.counted.hits += 1;
        self.counted.hot_hits += u64::from(hot);
        let value = entry.value.clone();
        self.put(true, entry);
        Some(value)
    }

    fn insert(&mut self, key: u8, value: Value, now: Instant) -> bool {
        self.expire(now);
        let before = self.take(key);
        let life = self.limits.time_to_live;
        let own = size_of_entry(life.is_some(), value.shared.is_some()) + value.owned;
        let entry = Kept { key, bytes: own, due: life.map(|life| now + life), value };
        if full(&entry) > self.limits.item_bytes.min(self.limits.bytes) {
            self.counted.too_large += 1;
            self.counted.removed += u64::from(before.is_some());
            return false;
        }
        self.counted.replaced += u64::from(before.is_some());
        self.put(before.is_some_and(|(hot, _)| hot), entry);
        while self.bytes() > self.limits.bytes {
            if self.main.pop().is_none() {
                self.hot.pop();
            }
            self.counted.evicted_for_room += 1;
        }
        true
    }

    fn health(&self) -> Health {
        Health {
            entries: self.all().count() as u64,
            bytes: self.bytes(),
            limit_bytes: self.limits.bytes,
            hot_entries: self.hot.len() as u64,
            shared_bytes: self.shared_bytes(),
            largest_bytes: self.all().map(full).max().unwrap_or(0),
            ..self.counted
        }
    }
}

fn size_of_entry(timed: bool, shares: bool) -> u64 {
    entry_bytes::<u8, store::Entry<Value>>(timed, shares)
}

#[derive(Debug, Clone)]
enum Step {
    Get(u8),
    Insert(u8, Value),
    Clear,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let shared = proptest::option::weighted(0.5, 0_usize..4)
        .prop_map(|id| id.map(|id| Shared { id, bytes: 100 * (id as u64 + 1) }));
    let value =
        (any::<u32>(), 0_u64..1200, shared).prop_map(|(name, owned, shared)| Value { name, owned, shared });
    prop_oneof![
        8 => (0_u8..12).prop_map(Step::Get),
        8 => (0_u8..12, value).prop_map(|(key, value)| Step::Insert(key, value)),
        1 => Just(Step::Clear),
        2 => (0_u64..30).prop_map(Step::Wait),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    (0_u64..6000, 0_u64..3000, 0_u64..2000, proptest::option::of(1_u64..50)).prop_map(
        |(bytes, hot_bytes, item_bytes, life)| Limits {
            bytes,
            hot_bytes,
            item_bytes,
            time_to_live: life.map(|life| life as u32 * MS),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn cache_matches_model(limits in limits(), steps in proptest::collection::vec(step(), 0..80)) {
        let mut store = Store::new(limits);
        let mut model =
            Model { limits, hot: Vec::new(), main: Vec::new(), counted: Health::default() };
        let mut now = Instant::now();
        for step in steps {
            match step {
                Step::Get(key) => prop_assert_eq!(store.get(&key, now), model.get(key, now)),
                Step::Insert(key, value) => {
                    prop_assert_eq!(store.insert(key, value.clone(), now), model.insert(key, value, now));
                }
                Step::Clear => {
                    model.counted.removed += model.all().count() as u64;
                    (model.hot, model.main) = (Vec::new(), Vec::new());
                    store.clear();
                }
                Step::Wait(ms) => {
                    now += ms as u32 * MS;
                    store.expire(now);
                    model.expire(now);
                }
            }
            prop_assert_eq!(store.health(), model.health());
            prop_assert!(store.health().bytes <= limits.bytes);
            prop_assert_eq!(store.next_expiry(), model.all().filter_map(|entry| entry.due).min());
        }
    }
}

fn bytes(length: usize) -> Arc<[u8]> {
    vec![7; length].into()
}

#[test]
fn scan_keeps_entries_used_twice() {
    let cache: Cache<u64, Arc<[u8]>> = Cache::new(Limits::new(1 << 20));
    assert!(cache.insert(0, bytes(4096)));
    assert_eq!(cache.get(&0).map(|page| page.len()), Some(4096));
    for page in 1..10_000 {
        assert!(cache.insert(page, bytes(4096)));
    }
    assert!(cache.get(&0).is_some(), "it was used twice");
    assert!(cache.get(&1).is_none() && cache.get(&9_999).is_some());
    let health = cache.health();
    assert!(health.bytes <= 1 << 20 && health.bytes > 1_000_000, "{health:?}");
    assert_eq!(health.evicted_for_room, 10_000 - health.entries);
    assert_eq!((health.hits, health.hot_hits, health.misses), (3, 1, 1));
    assert!(health.average_bytes().is_some_and(|average| (4096..4400).contains(&average)), "{health:?}");
    assert!(health.warning().unwrap().contains("90 %"), "{health:?}");
}

#[test]
fn shared_bytes_count_once() {
    let cache: Cache<u64, Arc<[u8]>> = Cache::new(Limits::new(1 << 20));
    let page = bytes(10_000);
    for key in 0..10 {
        cache.insert(key, Arc::clone(&page));
    }
    let health = cache.health();
    assert_eq!(health.shared_bytes, 10_016);
    assert!((10_016..13_000).contains(&health.bytes), "{health:?}");
    for key in 0..9 {
        assert!(cache.insert(key, bytes(0)));
    }
    assert_eq!(cache.health().shared_bytes, 10_016 + 9 * 16);
    assert!(cache.insert(9, bytes(0)));
    assert_eq!(cache.health().shared_bytes, 10 * 16);
    cache.clear();
    let health = cache.health();
    assert_eq!((health.entries, health.bytes, health.shared_bytes, health.removed), (0, 0, 0, 10));
    assert_eq!((health.average_bytes(), health.warning(), health.hit_ratio()), (None, None, None));
}

#[test]
fn large_value_removes_old_one() {
    let cache: Cache<u64, Vec<u8>> = Cache::new(Limits { item_bytes: 1000, ..Limits::new(1 << 20) });
    assert!(cache.insert(1, vec![0; 100]));
    assert!(!cache.insert(1, vec![0; 1000]));
    assert_eq!(cache.get(&1), None, "the old one is not given for the new one");
    assert!(!cache.insert(2, vec![0; 5000]));
    assert_eq!((cache.get(&2), cache.health().too_large, cache.health().entries), (None, 2, 0));
    assert!(cache.insert(3, vec![3]));
    assert_eq!(cache.get(&3), Some(vec![3]));
}

#[test]
fn warning_at_75_and_90_percent() {
    let at = |bytes| Health { bytes, limit_bytes: 1000, ..Health::default() };
    let percent = |bytes| at(bytes).warning().map(|warning| warning.split(' ').nth(1).unwrap().to_owned());
    assert_eq!(
        [749, 750, 899, 900].map(percent),
        [None, Some("75".into()), Some("75".into()), Some("90".into())]
    );
    let halves = Health { hits: 1, misses: 1, ..at(0) };
    assert_eq!((halves.hit_ratio(), at(750).warning().is_some()), (Some(0.5), true));
}

#[test]
fn entries_expire_without_reads() {
    let limits = Limits { time_to_live: Some(30 * MS), ..Limits::new(1 << 20) };
    let cache: Cache<u64, Arc<[u8]>> = Cache::new(limits);
    let freed = bytes(1000);
    cache.insert(1, Arc::clone(&freed));
    let limit = Instant::now() + Duration::from_secs(20);
    // The test reads only the value, never the cache.
    while Arc::strong_count(&freed) > 1 {
        assert!(Instant::now() < limit, "it never expired");
        thread::sleep(MS);
    }
    let health = cache.health();
    assert_eq!((health.expired, health.entries, health.bytes), (1, 0, 0));

    let forever: Cache<u64, Arc<[u8]>> = Cache::new(Limits::new(1 << 20));
    forever.insert(1, bytes(10));
    thread::sleep(60 * MS);
    assert!(forever.get(&1).is_some());
}

#[test]
fn expiry_thread_ends_with_cache() {
    let limits = Limits { time_to_live: Some(Duration::from_secs(1000)), ..Limits::new(1 << 20) };
    let cache: Cache<u64, Arc<[u8]>> = Cache::new(limits);
    let freed = bytes(10);
    cache.insert(1, Arc::clone(&freed));
    drop(cache);
    let limit = Instant::now() + Duration::from_secs(20);
    while Arc::strong_count(&freed) > 1 {
        assert!(Instant::now() < limit, "the cache is still held");
        thread::sleep(MS);
    }
}

#[test]
fn threads_keep_byte_limit() {
    let cache: Arc<Cache<u64, Arc<[u8]>>> = Arc::new(Cache::new(Limits::new(100_000)));
    thread::scope(|scope| {
        for seed in 0..4_u64 {
            let cache = Arc::clone(&cache);
            scope.spawn(move || {
                for step in 0..5_000_u64 {
                    let key = (step * 7 + seed * 13) % 97;
                    let found = cache.get(&key).unwrap_or_else(|| {
                        let made = bytes(key as usize * 50);
                        cache.insert(key, Arc::clone(&made));
                        made
                    });
                    assert_eq!(found.len(), key as usize * 50);
                    assert!(cache.health().bytes <= 100_000);
                }
            });
        }
    });
    let health = cache.health();
    assert!(health.hits + health.misses == 20_000 && health.evicted_for_room > 0, "{health:?}");
}
