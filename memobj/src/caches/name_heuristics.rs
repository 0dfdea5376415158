//! Meanings of names: caches, limits, counts of hits, deadlines.
//!
//! Names are compared by their parts: `_user_cache`, `userCache` and `_Users__cache` all end in the part `cache`. Programs are free to name
//! things as they like, so the table is experience; a cache with another name is found only by its contents.

/// The meaning of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A cache, by a part of the name.
    Cache,
    /// Something beside a cache, by the last part: `cache_config`, `CACHE_TTL`, `cached_property`.
    Accessory,
    /// The most entries that a cache may have.
    Limit,
    /// The number of lookups that found an entry.
    Hits,
    /// The number of lookups that found none.
    Misses,
    /// The time until which an entry is valid.
    Deadline,
    /// The time at which an entry was made, or used last.
    Timestamp,
    /// The deadlines of a cache's entries: a dict beside it with the same keys.
    Deadlines,
}

/// Lists of names with one meaning, each with its source: of `Cache` and `Accessory` parts of names, of others whole names without `_`.
/// `lookup`, `registry`, `pool` and `index` are no caches: these are mostly filled once, at the start.
const NAMES: &[(Meaning, &str)] = &[
    // Usual words.
    (Meaning::Cache, "cache caches cached memo memos memoized memoised"),
    // functools.lru_cache, cachetools.LRUCache, cachetools.TTLCache.
    (Meaning::Cache, "lru ttl"),
    // Settings of caches, as in Django's CACHES (BACKEND, TIMEOUT, OPTIONS), and usual names.
    (
        Meaning::Accessory,
        "aliases args backend backends class classes config configs control controls default defaults dir dirs enabled \
         factory file files header headers kwargs name names options param params path paths policy property section \
         setting settings timeout timeouts ttls type types url urls",
    ),
    // Statistics and helpers (cache_info of functools), and usual names.
    (
        Meaning::Accessory,
        "client clients counter counters count counts func funcs handlers hits hooks info lock locks metrics misses \
         size sizes stat stats timers",
    ),
    // functools.lru_cache, cachetools: maxsize; collections.deque: maxlen.
    (Meaning::Limit, "maxsize maxlen"),
    // SQLAlchemy: pool_size; redis: max_connections; concurrent.futures: _max_workers.
    (Meaning::Limit, "poolsize maxpoolsize maxconnections maxworkers"),
    // Django's MAX_ENTRIES.
    (Meaning::Limit, "maxentries"),
    // Usual names.
    (
        Meaning::Limit,
        "maxitems maxlength maxcount maxkeys maxobjects maxcachesize cachesize capacity cap limit sizelimit entrylimit \
         maximumsize max",
    ),
    // functools.lru_cache: hits; usual names.
    (Meaning::Hits, "hits hit hitcount hitscount cachehits numhits nhits counthits"),
    // functools.lru_cache: misses; usual names.
    (Meaning::Misses, "misses miss misscount missescount cachemisses nummisses nmisses countmisses"),
    // cachetools.TTLCache's links: expires; asyncio.TimerHandle: when; JWT (RFC 7519): exp; usual names.
    (
        Meaning::Deadline,
        "expires expire expiry expiration expiresat expireat expiretime expirytime expirationtime expirests expiryts \
         deadline validuntil gooduntil until staleat evictat ttluntil when exp",
    ),
    // Usual names.
    (
        Meaning::Timestamp,
        "ts timestamp time created createdat updated updatedat lastused lastaccess lastaccessed lastseen accessed \
         accessedat cachedat storedat insertedat fetchedat addedat savedat",
    ),
    // Django's LocMemCache: _expire_info; cachetools: _TTLCache__links, _TLRUCache__items; aiocache: _handlers.
    (Meaning::Deadlines, "expireinfo links items handlers"),
    // Usual names.
    (
        Meaning::Deadlines,
        "expires expire expiry expirations expiration expiries deadlines deadline timers ttls ttl expirytimes",
    ),
];

/// Whether a list of this meaning has a name.
fn is_listed(meaning: Meaning, name: &str) -> bool {
    let mut lists = NAMES.iter().filter(|(listed, _)| *listed == meaning);
    lists.any(|(_, names)| names.split_ascii_whitespace().any(|listed| listed == name))
}

/// Whether a whole name has this meaning: `_max_size` is a limit.
pub(super) fn means(name: &str, meaning: Meaning) -> bool {
    is_listed(meaning, &parts(name).concat())
}

/// Whether a name is that of the limit of a container with another name: `_MAXCACHE` of `_cache`, `SESSIONS_LIMIT` of `sessions`.
pub(super) fn is_limit_of(name: &str, container: &str) -> bool {
    let (name, container) = (parts(name).concat(), parts(container).concat());
    let rest = name.strip_prefix("max").and_then(|rest| rest.strip_prefix(&*container));
    let is_after = |rest: &str| matches!(rest, "max" | "limit" | "maxsize" | "maxlen" | "size" | "capacity");
    rest.is_some_and(|rest| rest.is_empty() || rest == "size")
        || name.strip_prefix(&*container).is_some_and(is_after)
}

/// Whether a name is one of Python's own.
fn is_special(name: &str) -> bool {
    name.starts_with("__") && name.ends_with("__")
}

/// Whether a name is that of a cache: a part of it is listed, and the last part is not that of an accessory.
pub(super) fn is_cache(name: &str) -> bool {
    let names_cache = |part: &String| {
        let bare = part.trim_end_matches(|letter: char| letter.is_ascii_digit());
        // Two words written as one: `lrucache`, `querycache`.
        bare.ends_with("cache") || bare.ends_with("caches") || is_listed(Meaning::Cache, bare)
    };
    !is_accessory(name) && parts(name).iter().any(names_cache)
}

/// Whether a name is that of an accessory of a cache, by its last part; or of a constant, which is set once.
pub(super) fn is_accessory(name: &str) -> bool {
    let is_constant = name.chars().any(char::is_uppercase) && !name.chars().any(char::is_lowercase);
    // `_CACHE = {}` is filled at run time as often as not; `CACHES = {…}` are the settings of a framework.
    let is_setting = is_constant && !name.ends_with("CACHE");
    is_special(name)
        || is_setting
        || parts(name).last().is_some_and(|last| is_listed(Meaning::Accessory, last))
}

/// Whether a name is that of several caches: `_caches`.
pub(super) fn is_caches(name: &str) -> bool {
    parts(name).last().is_some_and(|last| last == "caches" || last == "memos")
}

/// The parts of a name, in lower case: those of `_lruCache2` are `lru` and `cache2`.
fn parts(name: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut before = '_';
    for letter in unmangled(name).chars() {
        if letter == '_' || letter == '.' {
            before = '_';
            continue;
        }
        let begins = before == '_' || (letter.is_uppercase() && before.is_lowercase());
        let lower = letter.to_lowercase();
        match parts.last_mut().filter(|_| !begins) {
            Some(part) => part.extend(lower),
            None => parts.push(lower.collect()),
        }
        before = letter;
    }
    parts
}

/// A private name as it is written in its class: `_Cache__data` is `__data`.
fn unmangled(name: &str) -> &str {
    let is_private = name.starts_with('_') && !name.starts_with("__");
    match name.find("__").filter(|&at| is_private && at > 1) {
        Some(at) => name.get(at..).unwrap_or(name),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_containers_have_their_names() {
        assert!(is_limit_of("_MAXCACHE", "_cache") && is_limit_of("_MAXCACHE2", "_cache2"));
        assert!(is_limit_of("SESSIONS_LIMIT", "sessions") && is_limit_of("MAX_JOBS", "jobs"));
        assert!(!is_limit_of("MAX_RETRIES", "sessions") && !is_limit_of("_MAXCACHE2", "_cache"));
        assert!(!is_limit_of("limit", "sessions"));
    }

    #[test]
    fn caches_by_name() {
        for name in [
            "cache",
            "_cache",
            "_user_cache",
            "userCache",
            "cached_users",
            "_Users__cache",
            "memo",
            "_lru",
            "LRUCache",
            "TTLCache",
            "querycache",
            "cache2",
            "_RESULT_CACHE",
            "_caches",
            "SessionCache",
        ] {
            assert!(is_cache(name), "{name}");
        }
        for name in [
            "memory",
            "_sessions",
            "cache_config",
            "CACHES",
            "CACHE_TTL",
            "cache_lock",
            "__cached__",
            "cached_property",
            "lookup",
            "cacher",
            "__pycache__",
            "memoryview",
            "cache_stats",
            "",
        ] {
            assert!(!is_cache(name), "{name}");
        }
        assert!(is_caches("_caches") && !is_caches("_cache"));
    }

    #[test]
    fn limits_counts_and_times_by_name() {
        assert!(
            means("_Cache__maxsize", Meaning::Limit)
                && means("max_size", Meaning::Limit)
                && means("_max_entries", Meaning::Limit)
        );
        assert!(
            means("_hits", Meaning::Hits)
                && means("cacheMisses", Meaning::Misses)
                && !means("whits", Meaning::Hits)
        );
        assert!(
            means("expires_at", Meaning::Deadline)
                && means("created_at", Meaning::Timestamp)
                && means("_expire_info", Meaning::Deadlines)
        );
        assert!(means("_TTLCache__links", Meaning::Deadlines));
    }
}
