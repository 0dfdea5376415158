//! The caches in a census's text: warnings, then a table with the worst first.
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use common::columns::{Cell, Tone};
use common::record::CacheWarning;
use common::stdio::escape_controls;
use common::table::Line;
use common::units::{Bytes, Change, counted, thousands};

use super::tables::{ANY_WIDTH, percent, table, titled_table};
use crate::caches::Cache;
use crate::emit::summary::ratio;

/// Entries and bytes of each cache at the census before, by name.
pub(super) type Before = HashMap<Arc<str>, (u64, u64)>;

/// Entries and bytes of each cache, for the next census.
pub(super) fn cache_sizes(caches: &[Cache]) -> Before {
    caches.iter().map(|cache| (Arc::clone(&cache.name), (cache.entries, cache.deep_bytes()))).collect()
}

/// The warnings and the table, at most `limit` rows of each.
pub(super) fn lines(caches: &[Cache], before: Option<&Before>, limit: usize) -> Vec<Line> {
    let mut order: Vec<&Cache> = caches.iter().collect();
    order.sort_by_key(|cache| {
        let worst = cache.warnings.first().copied();
        (worst.is_none(), cache.standard, worst, Reverse(cache.deep_bytes()), Reverse(cache.entries))
    });
    let mut lines = warnings(&order, limit);
    let is_well = |cache: &&Cache| cache.warnings.is_empty();
    let (standard, own): (Vec<&Cache>, Vec<&Cache>) =
        order.into_iter().partition(|cache| cache.standard && is_well(cache));
    let (empty, shown): (Vec<&Cache>, Vec<&Cache>) =
        own.into_iter().partition(|cache| cache.entries == 0 && is_well(cache));
    if !shown.is_empty() {
        lines.extend(cache_table(&shown, before, limit));
    }
    let others = [
        (&empty, "empty cache", "empty caches"),
        (&standard, "cache of Python itself", "caches of Python itself"),
    ];
    for (caches, one, many) in others.into_iter().filter(|(caches, ..)| !caches.is_empty()) {
        let many = counted(caches.len() as u64, one, many);
        lines.push(Line::whole(2, Tone::Dim, format!("and {many}: {}", sum(caches))));
    }
    lines
}

/// The sum of caches.
fn sum(caches: &[&Cache]) -> String {
    let entries = caches.iter().fold(0, |sum: u64, cache| sum.saturating_add(cache.entries));
    let bytes = caches.iter().fold(0, |sum: u64, cache| sum.saturating_add(cache.deep_bytes()));
    format!("{}, {}", counted(entries, "entry", "entries"), Bytes(bytes))
}

fn warnings(caches: &[&Cache], limit: usize) -> Vec<Line> {
    let all: Vec<String> = caches
        .iter()
        .flat_map(|cache| cache.warnings.iter().map(move |&warning| (cache, warning)))
        // A full cache is the reason for its low hit ratio, which mentions it.
        .filter(|(cache, warning)| {
            *warning < CacheWarning::Above90 || !cache.warnings.contains(&CacheWarning::LowHits)
        })
        .map(|(cache, warning)| sentence(cache, warning))
        .collect();
    if all.is_empty() {
        let text = if caches.is_empty() { "no caches were found" } else { "no problems found in the caches" };
        return vec![Line::default(), Line::whole(2, Tone::Dim, text)];
    }
    let mut lines = vec![Line::default()];
    lines.extend(
        all.iter()
            .take(limit)
            .map(|text| Line::whole(2, Tone::Warning, format!("! {}", escape_controls(text)))),
    );
    let others = all.len().saturating_sub(limit);
    if others > 0 {
        lines.push(Line::whole(
            2,
            Tone::Dim,
            format!("… {}", counted(others as u64, "more warning", "more warnings")),
        ));
    }
    lines
}

/// The problem in numbers, with advice.
fn sentence(cache: &Cache, warning: CacheWarning) -> String {
    let name = &cache.name;
    let size = cache.size.clone().unwrap_or_default();
    let entries = counted(cache.entries, "entry", "entries");
    let full = || {
        let share = percent(cache.fullness.unwrap_or_default());
        let of = cache.limit.map(|most| format!(" ({} of {})", thousands(cache.entries), thousands(most)));
        format!("{share} full{}", of.unwrap_or_default())
    };
    match warning {
        CacheWarning::NoLimit => {
            format!(
                "{name} has no limit, {entries} and {}: give it one, or remove old entries",
                Bytes(size.deep_bytes)
            )
        }
        CacheWarning::Expired => format!(
            "{name} keeps {} of {entries} past their deadline: remove them from time to time",
            thousands(cache.expired.unwrap_or_default())
        ),
        CacheWarning::LargeEntry => {
            let key = size.largest_key.map(|key| format!(" [\"{key}\"]")).unwrap_or_default();
            format!("{name} has an entry{key} of {}: store large values elsewhere", Bytes(size.largest_bytes))
        }
        CacheWarning::LargeAverage => format!(
            "{name} has entries of {} on average: limit it by their size, not by their number",
            Bytes(size.average_bytes)
        ),
        CacheWarning::LowHits => {
            let ratio = percent(cache.hit_ratio().unwrap_or_default());
            let is_full = cache.fullness.is_some_and(|fullness| fullness > 0.9);
            let what = if is_full { "make it larger, or remove it" } else { "check its keys, or remove it" };
            let lookups = cache.hits.unwrap_or(0).saturating_add(cache.misses.unwrap_or(0));
            format!("{name} has a hit ratio of {ratio} ({} lookups): {what}", thousands(lookups))
        }
        CacheWarning::Above90 => {
            format!("{name} is {}: new entries evict others that may be needed; make it larger", full())
        }
        CacheWarning::Above75 => format!("{name} is {}: check whether that is large enough", full()),
        CacheWarning::Unknown => format!("{name} has an unknown warning"),
    }
}

fn cache_table(caches: &[&Cache], before: Option<&Before>, limit: usize) -> Vec<Line> {
    let numbers = [
        "ENTRIES", "CHANGE", "LIMIT", "FULL", "HITS", "SIZE", "SHARED", "AVERAGE", "LARGEST", "LARGE",
        "EXPIRED",
    ];
    let mut table = table(&numbers, &[("KIND", 24), ("CACHE", ANY_WIDTH)]);
    for cache in caches.iter().take(limit) {
        table.push(row(cache, before));
    }
    let others = caches.get(limit..).unwrap_or_default();
    let mut lines = titled_table(&format!("caches ({})", thousands(caches.len() as u64)), table);
    if !others.is_empty() {
        let text = format!("… {} more: {}", thousands(others.len() as u64), sum(others));
        lines.push(Line::whole(2, Tone::Dim, text));
    }
    lines
}

fn row(cache: &Cache, before: Option<&Before>) -> Vec<Cell> {
    let size = cache.size.as_ref();
    let share = |share: Option<f64>| share.map(percent).unwrap_or_default();
    let bytes = |of: Option<u64>| of.map(|bytes| Bytes(bytes).to_string()).unwrap_or_default();
    let many = |of: Option<u64>| of.map(thousands).unwrap_or_default();
    let some = |of: Option<u64>| many(of.filter(|&count| count > 0));
    let limit = match (cache.limit, cache.unbounded) {
        (Some(most), _) => thousands(most),
        (None, true) => "none".into(),
        // The limit has a unit that only the program knows.
        (None, false) => {
            if cache.fullness.is_some() {
                "own".into()
            } else {
                String::new()
            }
        }
    };
    // A new cache has grown by all its entries.
    let change = before.map(|before| {
        let (entries, size) = before.get(&cache.name).copied().unwrap_or((0, 0));
        (Change::between(entries, cache.entries).0, Change::between(size, cache.deep_bytes()))
    });
    let (tone, change) = match change.filter(|change| *change != (0, Change(0))) {
        Some((entries, size)) => {
            let tone = if (entries, size.0) > (0, 0) { Tone::Growth } else { Tone::Shrinkage };
            (
                tone,
                format!(
                    "{}{}, {size}",
                    if entries < 0 { "-" } else { "+" },
                    thousands(entries.unsigned_abs())
                ),
            )
        }
        None => (Tone::Plain, String::new()),
    };
    let several =
        if cache.instances > 1 { format!(" ×{}", thousands(cache.instances)) } else { String::new() };
    let ill = if cache.warnings.is_empty() { Tone::Plain } else { Tone::Warning };
    let kind = cache.kind.rsplit('.').next().unwrap_or_default();
    let shared = size.and_then(|size| ratio(size.shared_bytes, size.deep_bytes));
    vec![
        Cell::plain(thousands(cache.entries)),
        Cell::new(tone, change),
        Cell::plain(limit),
        Cell::plain(share(cache.fullness)),
        Cell::plain(share(cache.hit_ratio())),
        Cell::plain(bytes(size.map(|size| size.deep_bytes))),
        Cell::new(Tone::Dim, share(shared)),
        Cell::plain(bytes(size.map(|size| size.average_bytes).filter(|_| cache.entries > 0))),
        Cell::plain(bytes(size.map(|size| size.largest_bytes).filter(|_| cache.entries > 0))),
        Cell::plain(some(size.map(|size| size.large_entries))),
        Cell::plain(some(cache.expired)),
        Cell::new(Tone::Dim, escape_controls(kind).into_owned()),
        Cell::new(ill, format!("{}{several}", escape_controls(&cache.name))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caches::CacheSize;

    fn cache(name: &str, entries: u64, deep_bytes: u64, warnings: &[CacheWarning]) -> Cache {
        let size = CacheSize { deep_bytes, shared_bytes: deep_bytes / 4, ..CacheSize::default() };
        Cache {
            name: name.into(),
            kind: "cachetools.TTLCache".into(),
            standard: false,
            instances: 1,
            entries,
            limit: None,
            fullness: None,
            unbounded: true,
            hits: None,
            misses: None,
            size: Some(size),
            clock: None,
            expired: None,
            warnings: warnings.to_vec(),
        }
    }

    fn shown(caches: &[Cache], before: Option<&Before>, limit: usize) -> String {
        let mut text = String::new();
        for line in lines(caches, before, limit) {
            line.write(common::table::Style::default(), &mut text);
        }
        text
    }

    #[test]
    fn warnings_come_first() {
        let caches = [
            cache("a.large", 50, 8192, &[]),
            Cache {
                limit: Some(40),
                fullness: Some(0.95),
                hits: Some(10),
                misses: Some(990),
                ..cache("a.full\u{1b}[2J", 38, 4096, &[CacheWarning::LowHits, CacheWarning::Above90])
            },
            cache("a.none", 5000, 2048, &[CacheWarning::NoLimit]),
            cache("a.empty", 0, 64, &[]),
            Cache { standard: true, ..cache("re._cache", 7, 1024, &[]) },
        ];
        let before = Before::from([("a.large".into(), (60, 8192)), ("a.none".into(), (5000, 2048))]);
        let expected = "
  ! a.none has no limit, 5,000 entries and 2.00 KiB: give it one, or remove old entries
  ! a.full\\u{1b}[2J has a hit ratio of 1.0 % (1,000 lookups): make it larger, or remove it

  caches (3)
  ENTRIES          CHANGE  LIMIT    FULL   HITS      SIZE  SHARED  AVERAGE  LARGEST  KIND      CACHE
    5,000                   none                 2.00 KiB  25.0 %      0 B      0 B  TTLCache  a.none
       38  +38, +4.00 KiB     40  95.0 %  1.0 %  4.00 KiB  25.0 %      0 B      0 B  TTLCache  a.full\\u{1b}[2J
       50       -10, ±0 B   none                 8.00 KiB  25.0 %      0 B      0 B  TTLCache  a.large
  and 1 empty cache: 0 entries, 64 B
  and 1 cache of Python itself: 7 entries, 1.00 KiB
";
        assert_eq!(shown(&caches, Some(&before), 20), expected);
        let short = shown(&caches, None, 1);
        assert!(
            short.contains("  … 1 more warning\n") && short.contains("  … 2 more: 88 entries, 12.00 KiB\n"),
            "{short}"
        );
        assert!(!short.contains("CHANGE"), "{short}");
    }

    #[test]
    fn healthy_caches_say_so() {
        let text = shown(&[cache("a.large", 50, 8192, &[])], None, 20);
        assert!(text.starts_with("\n  no problems found in the caches\n"), "{text}");
        assert!(shown(&[], None, 20).contains("no caches were found"), "{}", shown(&[], None, 20));
    }
}
