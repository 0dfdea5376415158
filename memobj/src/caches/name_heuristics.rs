//! What names say: whether something is called a cache, a limit, a count of hits, a deadline.
//!
//! NameReader are compared by their words: `_user_cache`, `userCache` and `_Users__cache` all end in the word `cache`. A program is free to call
//! things as it likes, so these lists are experience, no fact; what they miss is found only by what is in it.

/// The words by which a cache is called. `lookup`, `registry`, `pool` and `index` are none: what is called so is mostly filled once, when
/// the program starts, and then of no interest here.
const CACHE: &[&str] = &["cache", "caches", "cached", "memo", "memos", "memoized", "memoised", "lru", "ttl"];

/// A name that ends in one of these is of something beside a cache: `cache_config`, `CACHE_TTL`, `cached_property`.
const BESIDE: &[&str] = &[
    "aliases", "args", "backend", "backends", "class", "classes", "client", "clients", "config", "configs",
    "control", "controls", "counter", "counters", "count", "counts", "default", "defaults", "dir", "dirs",
    "enabled", "factory", "file", "files", "func", "funcs", "handlers", "header", "headers", "hits", "hooks",
    "info", "kwargs", "lock", "locks", "metrics", "misses", "name", "names", "options", "param", "params",
    "path", "paths", "policy", "property", "section", "setting", "settings", "size", "sizes", "stat",
    "stats", "timeout", "timeouts", "timers", "type", "types", "ttls", "url", "urls",
];

/// How many entries something may have at most.
const LIMIT: &[&str] = &[
    "maxsize",
    "maxentries",
    "maxitems",
    "maxlen",
    "maxlength",
    "maxcount",
    "maxkeys",
    "maxobjects",
    "maxcachesize",
    "cachesize",
    "capacity",
    "cap",
    "limit",
    "sizelimit",
    "entrylimit",
    "maximumsize",
    "max",
];

/// How often something was found, or not.
const HITS: &[&str] = &["hits", "hit", "hitcount", "hitscount", "cachehits", "numhits", "nhits", "counthits"];
const MISSES: &[&str] =
    &["misses", "miss", "misscount", "missescount", "cachemisses", "nummisses", "nmisses", "countmisses"];

/// Until when an entry is good.
const DEADLINE: &[&str] = &[
    "expires",
    "expire",
    "expiry",
    "expiration",
    "expiresat",
    "expireat",
    "expiretime",
    "expirytime",
    "expirationtime",
    "expirests",
    "expiryts",
    "deadline",
    "validuntil",
    "gooduntil",
    "until",
    "staleat",
    "evictat",
    "ttluntil",
    "when",
    "exp",
];

/// Since when it is there, or when it was used last.
const STAMP: &[&str] = &[
    "ts",
    "timestamp",
    "time",
    "created",
    "createdat",
    "updated",
    "updatedat",
    "lastused",
    "lastaccess",
    "lastaccessed",
    "lastseen",
    "accessed",
    "accessedat",
    "cachedat",
    "storedat",
    "insertedat",
    "fetchedat",
    "addedat",
    "savedat",
];

/// Where the deadlines of a cache's entries are that are not in the entries themselves: a dict beside it with the same keys.
const DEADLINES: &[&str] = &[
    "expireinfo",
    "expires",
    "expire",
    "expiry",
    "expirations",
    "expiration",
    "expiries",
    "deadlines",
    "deadline",
    "handlers",
    "timers",
    "links",
    "items",
    "ttls",
    "ttl",
    "expirytimes",
];

/// The words of a name, in lower case: `_lruCache2` is `lru`, `cache2`.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = '_';
    for letter in unmangled(name).chars() {
        if letter == '_' || letter == '.' {
            before = '_';
            continue;
        }
        let begins = before == '_' || (letter.is_uppercase() && before.is_lowercase());
        let lower = letter.to_lowercase();
        match words.last_mut().filter(|_| !begins) {
            Some(word) => word.extend(lower),
            None => words.push(lower.collect()),
        }
        before = letter;
    }
    words
}

/// A private name as it is written in its class: `_Cache__data` is `__data`.
fn unmangled(name: &str) -> &str {
    let is_private = name.starts_with('_') && !name.starts_with("__");
    match name.find("__").filter(|&at| is_private && at > 1) {
        Some(at) => name.get(at..).unwrap_or(name),
        None => name,
    }
}

/// Whether a name is of something that Python itself puts there.
pub(super) fn is_special(name: &str) -> bool {
    name.starts_with("__") && name.ends_with("__")
}

/// Whether something of this name is a cache by its name: a word of it says so, and the last one is not of something else.
pub(super) fn is_cache(name: &str) -> bool {
    if is_special(name) {
        return false;
    }
    let words = words(name);
    let says_so = |word: &String| {
        let bare = word.trim_end_matches(|letter: char| letter.is_ascii_digit());
        // Two words written as one: `lrucache`, `querycache`.
        CACHE.contains(&bare) || bare.ends_with("cache") || bare.ends_with("caches")
    };
    words.iter().any(says_so) && !is_beside(name)
}

/// Whether a name is of something that stands beside caches, by its last word; or of a constant, which is set once.
pub(super) fn is_beside(name: &str) -> bool {
    if is_special(name) {
        return true;
    }
    let is_constant = name.chars().any(char::is_uppercase) && !name.chars().any(char::is_lowercase);
    // `_CACHE = {}` is filled at run time as often as not; `CACHES = {…}` is how a framework is told what to make.
    let is_setting = is_constant && !name.ends_with("CACHE");
    is_setting || words(name).last().is_some_and(|last| BESIDE.contains(&last.as_str()))
}

/// Whether a name is of several caches: `_caches`.
pub(super) fn is_caches(name: &str) -> bool {
    words(name).last().is_some_and(|last| last == "caches" || last == "memos")
}

/// A name as one word: `_max_size` is `maxsize`.
fn joined(name: &str) -> String {
    words(name).concat()
}

pub(super) fn is_limit(name: &str) -> bool {
    LIMIT.contains(&joined(name).as_str())
}

pub(super) fn is_hits(name: &str) -> bool {
    HITS.contains(&joined(name).as_str())
}

pub(super) fn is_misses(name: &str) -> bool {
    MISSES.contains(&joined(name).as_str())
}

pub(super) fn is_deadline(name: &str) -> bool {
    DEADLINE.contains(&joined(name).as_str())
}

pub(super) fn is_stamp(name: &str) -> bool {
    STAMP.contains(&joined(name).as_str())
}

pub(super) fn is_deadlines(name: &str) -> bool {
    DEADLINES.contains(&joined(name).as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_told_by_their_names() {
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
    fn what_stands_beside_a_cache_is_told_by_its_name() {
        assert!(is_limit("_Cache__maxsize") && is_limit("max_size") && is_limit("_max_entries"));
        assert!(is_hits("_hits") && is_misses("cacheMisses") && !is_hits("whits"));
        assert!(is_deadline("expires_at") && is_stamp("created_at") && is_deadlines("_expire_info"));
        assert!(is_deadlines("_TTLCache__links"));
    }
}
