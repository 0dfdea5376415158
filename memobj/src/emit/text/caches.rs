//! The caches in a census's text: warnings, then a table with the worst first.
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use common::columns::{Cell, Tone};
use common::record::CacheWarning;
use common::stdio::escape_controls;
use common::table::{Column, Line, Table};
use common::units::{Bytes, Change, counted, thousands};

use super::tables::{ANY_WIDTH, percent, titled_table};
use crate::caches::Cache;
use crate::emit::summary::ratio;

/// Longer names of caches move the cells behind them.
const MAX_NAME_WIDTH: usize = 40;

/// Entries and bytes of each cache at the census before, by name.
pub(super) type Before = HashMap<Arc<str>, (u64, u64)>;

/// Entries and bytes of each cache, for the next census.
pub(super) fn cache_sizes(caches: &[Cache]) -> Before {
    caches
        .iter()
        .map(|cache| (Arc::clone(&cache.row.name), (cache.row.entries, cache.deep_bytes())))
        .collect()
}

/// The warnings and the table, at most `limit` rows of each.
pub(super) fn lines(caches: &[Cache], before: Option<&Before>, limit: usize) -> Vec<Line> {
    let mut order: Vec<&Cache> = caches.iter().collect();
    order.sort_by_key(|cache| {
        let worst = cache.warnings().first().copied();
        let size = Reverse((cache.own_bytes(), cache.row.entries));
        (worst.is_none(), cache.is_standard(), worst, size)
    });
    let mut lines = warnings(&order, limit);
    let is_well = |cache: &&Cache| cache.warnings().is_empty();
    let (standard, own): (Vec<&Cache>, Vec<&Cache>) =
        order.into_iter().partition(|cache| cache.is_standard() && is_well(cache));
    let (empty, shown): (Vec<&Cache>, Vec<&Cache>) =
        own.into_iter().partition(|cache| cache.row.entries == 0 && is_well(cache));
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

/// The sum of caches: of what each has alone.
fn sum(caches: &[&Cache]) -> String {
    let entries = caches.iter().fold(0, |sum: u64, cache| sum.saturating_add(cache.row.entries));
    let bytes = caches.iter().fold(0, |sum: u64, cache| sum.saturating_add(cache.own_bytes()));
    format!("{}, {}", counted(entries, "entry", "entries"), Bytes(bytes))
}

fn warnings(caches: &[&Cache], limit: usize) -> Vec<Line> {
    let all: Vec<String> = caches
        .iter()
        .flat_map(|cache| cache.warnings().iter().map(move |&warning| (cache, warning)))
        // A full cache is the reason for its low hit ratio, which mentions it.
        .filter(|(cache, warning)| {
            *warning < CacheWarning::Above90 || !cache.warnings().contains(&CacheWarning::LowHits)
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
    let row = &cache.row;
    let size = |bytes: Option<u64>| Bytes(bytes.unwrap_or_default());
    let (name, has, keeps, is, it) = match row.instances.filter(|&instances| instances > 1) {
        Some(instances) => {
            (format!("{} caches of {}", thousands(instances), row.name), "have", "keep", "are", "each")
        }
        None => (row.name.to_string(), "has", "keeps", "is", "it"),
    };
    let entries = counted(row.entries, "entry", "entries");
    let full = || {
        let share = percent(row.fill_ratio.unwrap_or_default());
        let of = row.max_entries.map(|most| format!(" ({} of {})", thousands(row.entries), thousands(most)));
        format!("{share} full{}", of.unwrap_or_default())
    };
    match warning {
        CacheWarning::NoLimit => {
            format!(
                "{name} {has} no limit, {entries} and {}: give {it} one, or remove old entries",
                Bytes(cache.own_bytes())
            )
        }
        CacheWarning::Expired => format!(
            "{name} {keeps} {} of {entries} past their deadline: remove them from time to time",
            thousands(row.expired_entries.unwrap_or_default())
        ),
        CacheWarning::LargeEntry => {
            let key = row.largest_entry_key.as_ref().map(|key| format!(" [\"{key}\"]")).unwrap_or_default();
            format!(
                "{name} {has} an entry{key} of {}: store large values elsewhere",
                size(row.largest_entry_bytes)
            )
        }
        CacheWarning::LargeAverage => format!(
            "{name} {has} entries of {} on average: limit {it} by their size, not by their number",
            size(row.average_entry_bytes)
        ),
        CacheWarning::LowHits => {
            let ratio = percent(cache.hit_ratio().unwrap_or_default());
            let is_full = row.fill_ratio.is_some_and(|fullness| fullness > 0.9);
            let what = if is_full { "make it larger, or remove it" } else { "check its keys, or remove it" };
            format!("{name} {has} a hit ratio of {ratio} ({} lookups): {what}", thousands(cache.lookups()))
        }
        CacheWarning::Above90 => {
            format!("{name} {is} {}: new entries evict others that may be needed; make it larger", full())
        }
        CacheWarning::Above75 => format!("{name} {is} {}: check whether that is large enough", full()),
        CacheWarning::Unknown => format!("{name} {has} an unknown warning"),
    }
}

fn cache_table(caches: &[&Cache], before: Option<&Before>, limit: usize) -> Vec<Line> {
    // The name is within the 80 columns of a small terminal.
    let before_name = ["ENTRIES", "CHANGE", "LIMIT", "FULL", "HITS", "SIZE"].map(Column::right);
    let after_name = ["SHARED", "AVERAGE", "LARGEST", "LARGE", "EXPIRED"].map(Column::right);
    let name = [Column::left("CACHE", MAX_NAME_WIDTH)];
    let kind = [Column::left("KIND", ANY_WIDTH)];
    let columns = before_name.into_iter().chain(name).chain(after_name).chain(kind);
    let mut table = Table::new(columns.collect::<Vec<_>>());
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
    let record = &cache.row;
    let share = |share: Option<f64>| share.map(percent).unwrap_or_default();
    let bytes = |bytes: Option<u64>| bytes.map(|bytes| Bytes(bytes).to_string()).unwrap_or_default();
    let of_entries = |size: Option<u64>| bytes(size.filter(|_| record.entries > 0));
    let some = |count: Option<u64>| count.filter(|&count| count > 0).map(thousands).unwrap_or_default();
    let limit = match (record.max_entries, cache.unbounded) {
        (Some(most), _) => thousands(most),
        (None, true) => "none".into(),
        // The limit has a unit that only the program knows.
        (None, false) if record.fill_ratio.is_some() => "own".into(),
        (None, false) => String::new(),
    };
    // A new cache has grown by all its entries.
    let change = before.map(|before| {
        let (entries, size) = before.get(&record.name).copied().unwrap_or((0, 0));
        (Change::between(entries, record.entries).0, Change::between(size, cache.deep_bytes()))
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
    let several = record.instances.filter(|&instances| instances > 1);
    let several = several.map(|instances| format!(" ×{}", thousands(instances))).unwrap_or_default();
    let ill = if cache.warnings().is_empty() { Tone::Plain } else { Tone::Warning };
    let kind = record.kind.as_deref().and_then(|kind| kind.rsplit('.').next()).unwrap_or_default();
    let shared = record.shared_bytes.and_then(|shared| ratio(shared, cache.deep_bytes()));
    vec![
        Cell::plain(thousands(record.entries)),
        Cell::new(tone, change),
        Cell::plain(limit),
        Cell::plain(share(record.fill_ratio)),
        Cell::plain(share(cache.hit_ratio())),
        Cell::plain(bytes(record.size_bytes)),
        Cell::new(ill, format!("{}{several}", escape_controls(&record.name))),
        Cell::new(Tone::Dim, share(shared)),
        Cell::plain(of_entries(record.average_entry_bytes)),
        Cell::plain(of_entries(record.largest_entry_bytes)),
        Cell::plain(some(record.large_entries)),
        Cell::plain(some(record.expired_entries)),
        Cell::new(Tone::Dim, escape_controls(kind).into_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use common::record::CacheTotal;

    use super::*;

    fn cache(name: &str, entries: u64, deep_bytes: u64, warnings: &[CacheWarning]) -> Cache {
        let row = CacheTotal {
            kind: Some("cachetools.TTLCache".into()),
            stdlib: Some(false),
            instances: Some(1),
            size_bytes: Some(deep_bytes),
            shared_bytes: Some(deep_bytes / 4),
            retained_bytes: Some(0),
            average_entry_bytes: Some(0),
            largest_entry_bytes: Some(0),
            large_entries: Some(0),
            warnings: Some(warnings.to_vec()),
            ..CacheTotal::new(name.into(), entries)
        };
        Cache { row, unbounded: true }
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
        let mut full = cache("a.full\u{1b}[2J", 38, 4096, &[CacheWarning::LowHits, CacheWarning::Above90]);
        (full.row.max_entries, full.row.fill_ratio) = (Some(40), Some(0.95));
        (full.row.hits, full.row.misses) = (Some(10), Some(990));
        let mut standard = cache("re._cache", 7, 1024, &[]);
        standard.row.stdlib = Some(true);
        let caches = [
            cache("a.large", 50, 8192, &[]),
            full,
            cache("a.none", 5000, 2048, &[CacheWarning::NoLimit]),
            cache("a.empty", 0, 64, &[]),
            standard,
        ];
        let before = Before::from([("a.large".into(), (60, 8192)), ("a.none".into(), (5000, 2048))]);
        let expected = "
  ! a.none has no limit, 5,000 entries and 1.50 KiB: give it one, or remove old entries
  ! a.full\\u{1b}[2J has a hit ratio of 1.0 % (1,000 lookups): make it larger, or remove it

  caches (3)
  ENTRIES          CHANGE  LIMIT    FULL   HITS      SIZE  CACHE            SHARED  AVERAGE  LARGEST  KIND
    5,000                   none                 2.00 KiB  a.none           25.0 %      0 B      0 B  TTLCache
       38  +38, +4.00 KiB     40  95.0 %  1.0 %  4.00 KiB  a.full\\u{1b}[2J  25.0 %      0 B      0 B  TTLCache
       50       -10, ±0 B   none                 8.00 KiB  a.large          25.0 %      0 B      0 B  TTLCache
  and 1 empty cache: 0 entries, 48 B
  and 1 cache of Python itself: 7 entries, 768 B
";
        assert_eq!(shown(&caches, Some(&before), 20), expected);
        let short = shown(&caches, None, 1);
        assert!(
            short.contains("  … 1 more warning\n") && short.contains("  … 2 more: 88 entries, 9.00 KiB\n"),
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
