//! A verdict for people: the answer first, then why it is believed, where it is held and what to do.

use std::time::Duration;

use common::columns::Tone;
use common::record::{Leak, LeakVerdict, LeaksRecord, MemoryGrowth};
use common::stdio::escape_controls;
use common::table::Line;
use common::time::Span;
use common::units::{Bytes, counted, thousands};

use super::advice;

/// Where what follows a label begins.
const LABEL: usize = 2;
const TEXT: usize = 10;
/// So many findings are told in full; the largest ones matter.
const MAX_FULL: usize = 2;
/// So many more are told by a line each.
const MAX_BRIEF: usize = 4;
/// What must be pinned, in bytes, to be worth a line.
const MIN_PINNED: u64 = 4 << 20;

/// The lines of a verdict.
pub(super) fn lines(record: &LeaksRecord) -> Vec<Line> {
    let mut lines = Vec::new();
    match record.verdict {
        LeakVerdict::Leak => {
            let (own, along): (Vec<&Leak>, Vec<&Leak>) =
                record.leaks.iter().partition(|leak| leak.side_effect_of.is_none());
            for leak in own.iter().take(MAX_FULL) {
                lines.extend(full_lines(record, leak));
            }
            for leak in own.iter().skip(MAX_FULL).take(MAX_BRIEF) {
                lines.push(headline("LEAK", Tone::Alarm, &summary_sentence(leak)));
            }
            let others = own.len().saturating_sub(MAX_FULL + MAX_BRIEF) as u64;
            if others > 0 {
                let text = format!("… and {}", counted(others, "smaller one", "smaller ones"));
                lines.push(Line::whole(LABEL, Tone::Dim, text));
            }
            for leak in along.iter().take(MAX_BRIEF) {
                let with = leak.side_effect_of.as_deref().unwrap_or_default();
                let bytes = Bytes(leak.bytes_per_minute.max(0.0) as u64);
                let text = format!("with {with} comes {} in {}, {bytes}/min", short(&leak.name), leak.holder);
                lines.push(Line::whole(LABEL, Tone::Dim, escape_controls(&text)));
            }
            if let Some(memory) = record.memory.as_ref().filter(|memory| memory.is_leak) {
                lines.extend(memory_lines(record, memory));
            }
        }
        LeakVerdict::None => lines.push(headline("no leak found", Tone::Strong, "")),
        LeakVerdict::TooShort => {
            lines.push(headline("no verdict", Tone::Warning, "too few censuses: at least 3 are needed"));
        }
    }
    for full in record.filling.iter().take(MAX_BRIEF) {
        let limit = full.max_entries.map(thousands).unwrap_or_default();
        let text = format!("{}; it fills up to its limit of {limit}", summary_sentence(full));
        lines.push(headline("no leak", Tone::Plain, &text));
    }
    lines.extend(comparison(record));
    lines.push(numbers(record));
    lines
}

fn headline(word: &str, tone: Tone, text: &str) -> Line {
    let mut line = Line::whole(0, tone, word);
    if !text.is_empty() {
        line.push_apart(Tone::Strong, escape_controls(text));
    }
    line
}

fn labeled(label: &str, text: &str) -> Line {
    let mut line = Line::whole(LABEL, Tone::Dim, label);
    line.skip_to(TEXT);
    line.push(Tone::Plain, escape_controls(text));
    line
}

/// What grows and how fast, in a sentence.
fn summary_sentence(leak: &Leak) -> String {
    let objects = rate_of(leak.objects_per_minute);
    let name = kind_of(leak);
    let bytes = Bytes(leak.bytes_per_minute.max(0.0) as u64);
    let leaves = match (leak.freed, leak.survived) {
        (0, 1..) => ", and nothing ever leaves it",
        _ => "",
    };
    match &*leak.cause {
        "garbage" => {
            format!("{name} piles up in circles, {objects} a minute, {bytes}/min, and the collector is off")
        }
        "uncollectable" => format!("gc.garbage grows by {objects} {name} a minute, {bytes}/min"),
        "unreferred" => {
            format!(
                "{objects} {name} a minute are lost, {bytes}/min: alive, and nobody is known to refer to them"
            )
        }
        "native" => format!("native code holds {objects} more {name} a minute, {bytes}/min{leaves}"),
        _ if &*leak.growth_mode == "enlarged" => match leak.entries_per_minute {
            Some(entries) => {
                format!("{} ({name}) grows by {} items a minute, {bytes}/min", leak.holder, rate_of(entries))
            }
            None => format!("{} ({name}) grows by {bytes}/min", leak.holder),
        },
        _ => format!("{} grows by {objects} {name} a minute, {bytes}/min{leaves}", leak.holder),
    }
}

/// The type, and what waits in it.
fn kind_of(leak: &Leak) -> String {
    match &leak.function {
        Some(function) => format!("{} {function}", short(&leak.name)),
        None => short(&leak.name).to_owned(),
    }
}

/// The name of a type without its module.
fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// A time to a tenth of a second.
fn span(seconds: f64) -> Span {
    Span(Duration::from_millis((seconds.max(0.0) * 10.0).round() as u64 * 100))
}

fn rate_of(per_minute: f64) -> String {
    if per_minute >= 10.0 { thousands(per_minute.round() as u64) } else { format!("{per_minute:.1}") }
}

fn full_lines(record: &LeaksRecord, leak: &Leak) -> Vec<Line> {
    let mut lines = vec![headline("LEAK", Tone::Alarm, &summary_sentence(leak))];
    lines.push(labeled("why", &why(record, leak)));
    if let Some(way) = &leak.path {
        lines.push(labeled("held", way));
    }
    if let Some(waiting) = &leak.waiting {
        lines.push(labeled("waits", waiting));
    }
    lines.push(labeled("grows", &grows(leak)));
    lines.push(labeled("age", &age(leak)));
    if let Some(retained) = leak.retained_bytes.filter(|&retained| retained > 0) {
        lines.push(labeled("frees", &format!("{} if they went", Bytes(retained))));
    }
    if let Some(pinned) = pinned(record, leak) {
        lines.push(labeled("pins", &format!("{pinned} of free memory, in arenas where little else is left")));
    }
    lines.push(labeled("do", &advice::of(leak)));
    lines
}

/// The free memory that the objects of a leak keep from being given back, if that is more than theirs.
fn pinned(record: &LeaksRecord, leak: &Leak) -> Option<Bytes> {
    let by = record.pinned_type.as_ref().filter(|by| leak.types.iter().any(|grown| grown.name == **by))?;
    let pinned = record.pinned_bytes.filter(|&pinned| pinned >= MIN_PINNED.max(leak.held_size_bytes))?;
    (leak.name == *by).then_some(Bytes(pinned))
}

fn why(record: &LeaksRecord, leak: &Leak) -> String {
    let span = span(record.duration_seconds);
    let more = format!("more in each of {} censuses in {span}", record.censuses);
    let seen = match (leak.survived, leak.freed) {
        (0, _) => String::new(),
        (stayed, 0) => format!("; {} came and stayed, none that was seen twice is gone", thousands(stayed)),
        (stayed, left) => format!("; {} came and stayed, {} are gone", thousands(stayed), thousands(left)),
    };
    // Certainty is not to be had by counting.
    format!("{more}{seen}; confidence {:.1} %", (leak.confidence_ratio * 100.0).min(99.9))
}

fn grows(leak: &Leak) -> String {
    let how = match (&*leak.growth_mode, leak.container.as_deref(), leak.entries) {
        ("appended", Some(of), entries) => format!("appended to a {of}{}", with(entries)),
        ("prepended", Some(of), entries) => format!("put in front of a {of}{}", with(entries)),
        ("inserted", Some(of), entries) => format!("put into a {of}{}", with(entries)),
        ("keys_set", Some(of), entries) => format!("keys are set in a {of}{}", with(entries)),
        ("added", Some(of), entries) => format!("added to a {of}{}", with(entries)),
        ("cached", _, entries) => format!("results are cached{}", with(entries)),
        ("enlarged", ..) => "the object itself gets larger".to_owned(),
        (_, Some(of), _) => format!("linked to a {of}"),
        _ => "linked to each other".to_owned(),
    };
    let comes = |grown: &&common::record::TypeGrowth| {
        grown.name != leak.name && grown.objects_per_minute * 2.0 >= leak.objects_per_minute
    };
    let others: Vec<&str> = leak.types.iter().filter(comes).map(|grown| short(&grown.name)).take(4).collect();
    if others.is_empty() { how } else { format!("{how}; with them {}", others.join(", ")) }
}

fn with(entries: Option<u64>) -> String {
    entries.map(|entries| format!(" of {}", counted(entries, "entry", "entries"))).unwrap_or_default()
}

fn age(leak: &Leak) -> String {
    let newest = span(leak.newest_age_seconds);
    match leak.oldest_age_seconds {
        None => format!("the oldest is from before the first census, the newest younger than {newest}"),
        Some(oldest) => format!("the oldest came {} ago, the newest is younger than {newest}", span(oldest)),
    }
}

fn memory_lines(record: &LeaksRecord, memory: &MemoryGrowth) -> Vec<Line> {
    let bytes = |value: f64| Bytes(value.max(0.0) as u64);
    let text = format!(
        "memory that is no Python object grows: RSS by {}/min, objects by {}/min",
        bytes(memory.bytes_per_minute),
        bytes(memory.objects_bytes_per_minute)
    );
    let mut lines = vec![headline("LEAK", Tone::Alarm, &text)];
    let span = span(record.duration_seconds);
    let confidence = (memory.confidence_ratio * 100.0).min(99.9);
    lines.push(labeled(
        "why",
        &format!("RSS rose over {} censuses in {span}; confidence {confidence:.1} %", record.censuses),
    ));
    let rows: Vec<String> = memory
        .rows
        .iter()
        .take(3)
        .map(|row| {
            let detail = row.detail.as_deref().map(|detail| format!(" {detail}")).unwrap_or_default();
            let words = advice::words(&row.kind);
            format!("{words}{detail} +{} to {}", Bytes(row.growth_bytes), Bytes(row.current_bytes))
        })
        .collect();
    if !rows.is_empty() {
        lines.push(labeled("where", &rows.join("; ")));
    }
    lines.push(labeled("do", &advice::of_memory(record, memory)));
    lines
}

/// How it compares with others of its kind.
fn comparison(record: &LeaksRecord) -> Option<Line> {
    let among = record.peers.as_ref()?;
    let bytes = |value: f64| Bytes(value.max(0.0) as u64);
    let (tone, words) =
        if among.is_outlier { (Tone::Warning, "stands out among") } else { (Tone::Dim, "is one of") };
    let text = format!(
        "this process {words} {} of its program: they grow by {}/min in the median, it by {}/min",
        thousands(among.processes),
        bytes(among.median_bytes_per_minute),
        bytes(among.bytes_per_minute)
    );
    Some(Line::whole(0, tone, text))
}

/// What was looked at, in numbers.
fn numbers(record: &LeaksRecord) -> Line {
    let name = record.name.as_deref().unwrap_or("?");
    let span = span(record.duration_seconds);
    let mut text = format!(
        "{name} (pid {}), Python {}: {} in {span}; objects {} → {}, {} → {}",
        record.pid,
        record.python,
        counted(record.censuses, "census", "censuses"),
        thousands(record.first_objects),
        thousands(record.last_objects),
        Bytes(record.first_size_bytes),
        Bytes(record.last_size_bytes),
    );
    if let (Some(first), Some(last)) = (record.first_rss_bytes, record.last_rss_bytes) {
        text.push_str(&format!("; RSS {} → {}", Bytes(first), Bytes(last)));
    }
    text.push_str(&format!("; {}", counted(record.holders_checked, "place", "places")));
    if let Some(pause) = record.longest_pause_seconds {
        text.push_str(&format!(
            "; stood still for {} at most",
            Span(Duration::from_secs_f64(pause.max(0.0)))
        ));
    }
    Line::whole(0, Tone::Dim, escape_controls(&text))
}
