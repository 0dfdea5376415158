//! The sentences of a verdict on one process.

use std::time::Duration;

use crate::columns::Tone;
use crate::record::{
    GrowthMode, Leak, LeakVerdict, LeaksRecord, Liveness, MemoryGrowth, MemoryKind, TypeGrowth,
};
use crate::time::Span;
use crate::units::{Bytes, counted, thousands, whole};

use super::advice;
use super::code_lines::{adds, functions, removes};
use super::descriptors::descriptor_growth;
use super::memory::describe;
use super::sentence::{HELD, Level, Sentence};
use super::short_forms::{last_part, span};

/// Leaks that are described in full: the largest ones matter.
const MAX_FULL: usize = 2;
/// Further leaks that get one line each.
const MAX_BRIEF: usize = 4;
/// Other growth that is listed with a leak.
const MAX_WITH: usize = 3;
/// Growth of RSS that is worth a line.
const MIN_GROWTH: u64 = 1 << 20;
/// Other uses of the growth that are listed, and their least part of it.
const MAX_OTHERS: usize = 3;
const SHOWN_PART: u64 = 20;
/// Pinned bytes that are worth a line.
const MIN_PINNED: u64 = 4 << 20;

/// The sentences of a verdict, the answer first.
#[must_use]
pub fn sentences(record: &LeaksRecord) -> Vec<Sentence> {
    let mut lines = Vec::new();
    match record.verdict {
        LeakVerdict::Leak => {
            let (own, side_effects): (Vec<&Leak>, Vec<&Leak>) =
                record.leaks.iter().partition(|leak| leak.side_effect_of.is_none());
            for leak in own.iter().take(MAX_FULL) {
                let with: Vec<&Leak> = side_effects
                    .iter()
                    .copied()
                    .filter(|other| {
                        other.side_effect_of.as_ref() == Some(&leak.holder) && other.holder != leak.holder
                    })
                    .collect();
                lines.extend(full_lines(record, leak, &with));
            }
            for leak in own.iter().skip(MAX_FULL).take(MAX_BRIEF) {
                lines.push(Sentence::headline("LEAK", Tone::Alarm, &summary_sentence(record, leak)));
            }
            let others = own.len().saturating_sub(MAX_FULL + MAX_BRIEF) as u64;
            if others > 0 {
                let text = format!("… and {}", counted(others, "smaller one", "smaller ones"));
                lines.push(Sentence { level: Level::Detail, ..Sentence::remark(Tone::Dim, text) });
            }
            if let Some(memory) = record.memory.as_ref().filter(|memory| memory.is_leak) {
                lines.extend(memory_lines(record, memory));
            }
        }
        LeakVerdict::None => lines.push(Sentence::headline("no leak found", Tone::Strong, "")),
        LeakVerdict::TooShort => {
            lines.push(Sentence::headline(
                "no verdict",
                Tone::Warning,
                "too few censuses: at least 3 are needed",
            ));
        }
    }
    lines.extend(remarks(record));
    lines
}

/// Everything that is known of a process besides its leaks.
pub(super) fn remarks(record: &LeaksRecord) -> Vec<Sentence> {
    let mut lines = Vec::new();
    for full in record.filling.iter().take(MAX_BRIEF) {
        let limit = full.max_entries.map(thousands).unwrap_or_default();
        let text = format!("{}; its limit is {limit}", summary_sentence(record, full));
        lines.push(Sentence::headline("fills up", Tone::Plain, &text));
    }
    for slowing in record.slowing.iter().take(MAX_BRIEF) {
        lines.push(Sentence::headline("slows down", Tone::Plain, &slowing_sentence(slowing)));
    }
    for undecided in record.undecided.iter().take(MAX_BRIEF) {
        lines.push(Sentence::headline("undecided", Tone::Warning, &undecided_sentence(record, undecided)));
    }
    lines.extend(rss_growth(record));
    lines.extend(descriptor_growth(record));
    lines.extend(comparison(record));
    lines.extend(unjudged_children(record));
    lines.extend(without_copies(record));
    lines.push(numbers(record));
    lines
}

/// The growing thing and its rate.
fn summary_sentence(record: &LeaksRecord, leak: &Leak) -> String {
    let objects = rate_of(leak.objects_per_minute);
    let name = kind_of(leak);
    let bytes = match leak.native_bytes_per_minute {
        Some(native) => {
            format!(
                "{}/min, and {}/min of native memory",
                Bytes(whole(leak.bytes_per_minute)),
                Bytes(whole(native))
            )
        }
        None => format!("{}/min", Bytes(whole(leak.bytes_per_minute))),
    };
    let removed = match (leak.freed, leak.survived) {
        (0, 1..) => "; nothing was removed",
        _ => "",
    };
    match leak.cause {
        Liveness::Garbage => {
            format!("{objects} {name} per minute become cyclic garbage ({bytes}), and the collector is off")
        }
        Liveness::Uncollectable => format!("gc.garbage grows by {objects} {name} per minute ({bytes})"),
        Liveness::Unreferred | Liveness::Native if leak.hiding_type.is_some() => {
            let of = leak.hiding_type.as_deref().unwrap_or_default();
            format!(
                "{objects} {name} per minute leak in cycles through {of}, which does not show the collector what it holds ({bytes})"
            )
        }
        Liveness::Unreferred | Liveness::Native if !record.unread_frames_of.is_empty() => format!(
            "{objects} more {name} per minute have no known holder ({bytes}); frames of {}, which cannot be read, may hold them",
            record.unread_frames_of.join(", ")
        ),
        Liveness::Unreferred => {
            format!("{objects} {name} per minute leak with no known referrer ({bytes})")
        }
        Liveness::Native => {
            format!("native code holds {objects} more {name} per minute ({bytes}){removed}")
        }
        _ if leak.growth_mode == GrowthMode::Enlarged => match leak.entries_per_minute {
            Some(entries) => {
                format!("{} ({name}) grows by {} items per minute ({bytes})", leak.holder, rate_of(entries))
            }
            None => format!("{} ({name}) grows by {bytes}", leak.holder),
        },
        _ => format!("{} grows by {objects} {name} per minute ({bytes}){removed}", leak.holder),
    }
}

/// Growth that slows down, with its numbers.
fn slowing_sentence(leak: &Leak) -> String {
    let added: Vec<String> = leak.growth_by_census.iter().map(i64::to_string).collect();
    let unit = match (leak.growth_mode, leak.entries_per_minute) {
        (GrowthMode::Enlarged, Some(_)) => "items",
        (GrowthMode::Enlarged, None) => "bytes",
        _ => &kind_of(leak),
    };
    format!("{} grows, but more slowly from census to census: {} {unit}", leak.holder, added.join(", "))
}

/// Growth that a sleeping loop will remove from, and what to do.
fn undecided_sentence(record: &LeaksRecord, leak: &Leak) -> String {
    let sleeper = leak.sleeping_remover.as_slice();
    let span = span(record.duration_seconds);
    format!(
        "{}, but {} removes from it and slept nearly all these {span}: search again with a --for in which it wakes several times",
        summary_sentence(record, leak),
        functions(sleeper),
    )
}

/// The type, with the function that is suspended in it.
fn kind_of(leak: &Leak) -> String {
    match &leak.function {
        Some(function) => format!("{} {function}", display_name(&leak.name)),
        None => display_name(&leak.name).to_owned(),
    }
}

/// The name of a type for a person: classes of the main script and builtins without their module.
fn display_name(name: &str) -> &str {
    name.strip_prefix("__main__.").unwrap_or(name)
}

fn rate_of(per_minute: f64) -> String {
    if per_minute >= 10.0 { thousands(whole(per_minute.round())) } else { format!("{per_minute:.1}") }
}

fn full_lines(record: &LeaksRecord, leak: &Leak, with: &[&Leak]) -> Vec<Sentence> {
    let mut lines = vec![Sentence::headline("LEAK", Tone::Alarm, &summary_sentence(record, leak))];
    lines.push(Sentence::detail("why", &why(record, leak)));
    if let Some(path) = &leak.path {
        lines.push(Sentence::detail(HELD, path));
    }
    if let Some(waiting) = &leak.waiting {
        lines.push(Sentence::detail("waits", waiting));
    }
    if let Some(code) = &leak.entry_code {
        lines.push(Sentence::detail("code", &functions(std::slice::from_ref(code))));
    }
    if let Some(additions) = &leak.additions {
        lines.push(Sentence::detail("adds", &adds(leak, additions)));
    }
    if leak.additions.as_ref().is_none_or(|additions| additions.lines.is_empty())
        && !leak.candidates.is_empty()
    {
        lines.push(Sentence::detail("likely", &format!("see {}", functions(&leak.candidates))));
    }
    if !leak.callers.is_empty() {
        lines.push(Sentence::detail("calls", &format!("likely {}", functions(&leak.callers))));
    }
    if !leak.removers.is_empty() {
        lines.push(Sentence::detail("removes", &removes(record, leak)));
    }
    lines.push(Sentence::detail("grows", &grows(leak)));
    lines.push(Sentence::detail("age", &age(leak)));
    if let Some(retained) = leak.retained_bytes.filter(|&retained| retained > 0) {
        let text = match leak.added_bytes {
            Some(added) => {
                let span = span(record.duration_seconds);
                format!(
                    "{} if all entries were removed; {} of it came in {span}",
                    Bytes(retained),
                    Bytes(added)
                )
            }
            None => format!("{} if all entries were removed", Bytes(retained)),
        };
        lines.push(Sentence::detail("frees", &text));
    }
    if let (Some(native), Some(of)) = (leak.native_bytes_per_minute, leak.native_type.as_deref()) {
        let each = if leak.objects_per_minute > 0.0 { native / leak.objects_per_minute } else { 0.0 };
        let text = format!(
            "about {} of native memory for each entry, through its {}",
            Bytes(whole(each)),
            display_name(of)
        );
        lines.push(Sentence::detail("keeps", &text));
    }
    if leak.added_fds > 0 {
        let fds = counted(leak.fds, "open file descriptor", "open file descriptors");
        let text =
            format!("{fds}; {} of them came in {}", thousands(leak.added_fds), span(record.duration_seconds));
        lines.push(Sentence::detail("opens", &text));
    }
    if !with.is_empty() {
        lines.push(Sentence::detail("with", &grows_with(with)));
    }
    if let Some(pinned) = pinned(record, leak) {
        lines.push(Sentence::detail("pins", &format!("{pinned} of free memory in nearly empty arenas")));
    }
    lines.push(Sentence::detail("do", &advice::for_leak(record, leak)));
    lines
}

/// Other growth that comes with a leak.
fn grows_with(with: &[&Leak]) -> String {
    let each = |leak: &&Leak| {
        let bytes = Bytes(whole(leak.bytes_per_minute));
        format!("{} in {} ({bytes}/min)", display_name(&leak.name), leak.holder)
    };
    let mut all: Vec<String> = with.iter().take(MAX_WITH).map(each).collect();
    if let Some(rest @ 1..) = with.len().checked_sub(MAX_WITH) {
        all.push(format!("{} more", thousands(rest as u64)));
    }
    all.join("; ")
}

/// How much of the growth of RSS the leaks explain, and the uses of the rest.
fn rss_growth(record: &LeaksRecord) -> Option<Sentence> {
    let memory = record.memory.as_ref()?;
    let grown =
        record.last_rss_bytes?.checked_sub(record.first_rss_bytes?).filter(|&grown| grown >= MIN_GROWTH)?;
    let explained = memory.explained_bytes.min(grown);
    let percent = explained as f64 / grown as f64 * 100.0;
    let mut text =
        format!("RSS grew by {}: these leaks explain {} ({percent:.0} %)", Bytes(grown), Bytes(explained));
    if record.leaks.is_empty() {
        text = format!("RSS grew by {}", Bytes(grown));
    }
    let is_python = |kind: MemoryKind| {
        matches!(
            kind,
            MemoryKind::PythonObjects
                | MemoryKind::PythonUsed
                | MemoryKind::PythonFreeBlocks
                | MemoryKind::PythonFreePools
                | MemoryKind::PythonOverhead
        )
    };
    let is_native = |kind: MemoryKind| {
        matches!(kind, MemoryKind::NativeUsed | MemoryKind::NativeMapped | MemoryKind::NativeOverhead)
    };
    let has_native = record.leaks.iter().any(|leak| leak.native_type.is_some());
    let others = memory.rows.iter().filter(|row| {
        let is_explained =
            !record.leaks.is_empty() && (is_python(row.kind) || has_native && is_native(row.kind));
        !is_explained && row.growth_bytes.saturating_mul(SHOWN_PART) >= grown
    });
    for row in others.take(MAX_OTHERS) {
        let detail = row.detail.as_deref().map(|detail| format!(" {detail}")).unwrap_or_default();
        text.push_str(&format!("; {}{detail} {}", describe(row.kind), Bytes(row.growth_bytes)));
    }
    Some(Sentence::remark(Tone::Dim, text))
}

/// The free memory that the objects of a leak keep from being given back, if that is more than theirs.
fn pinned(record: &LeaksRecord, leak: &Leak) -> Option<Bytes> {
    let by = record.pinned_type.as_ref().filter(|by| leak.types.iter().any(|grown| grown.name == **by))?;
    let pinned = record.pinned_bytes.filter(|&pinned| pinned >= MIN_PINNED.max(leak.held_size_bytes))?;
    (leak.name == *by).then_some(Bytes(pinned))
}

fn why(record: &LeaksRecord, leak: &Leak) -> String {
    let span = span(record.duration_seconds);
    let risen = leak.growth_by_census.iter().filter(|&&growth| growth > 0).count();
    let more = match leak.growth_by_census.len() {
        steps if risen < steps => format!("more in {risen} of {steps} comparisons of two censuses in {span}"),
        _ => format!("more in each of {} censuses in {span}", record.censuses),
    };
    let seen = match (leak.survived, leak.freed) {
        (0, _) => String::new(),
        (stayed, 0) => format!("; {} were added and stayed, none was removed", thousands(stayed)),
        (stayed, left) => {
            format!("; {} were added and stayed, {} were removed", thousands(stayed), thousands(left))
        }
    };
    // Certainty is not to be had by counting.
    format!("{more}{seen}; confidence {:.1} %", (leak.confidence_ratio * 100.0).min(99.9))
}

fn grows(leak: &Leak) -> String {
    let how = match (leak.growth_mode, leak.container.as_deref(), leak.entries) {
        _ if leak.is_made_anew => "made anew again and again, larger each time".to_owned(),
        (GrowthMode::Appended, Some(of), entries) => format!("appended to {}{}", a(of), of_entries(entries)),
        (GrowthMode::Prepended, Some(of), entries) => {
            format!("prepended to {}{}", a(of), of_entries(entries))
        }
        (GrowthMode::Inserted, Some(of), entries) => {
            format!("inserted into {}{}", a(of), of_entries(entries))
        }
        (GrowthMode::KeysSet, Some(of), entries) => {
            format!("keys are set in {}{}", a(of), of_entries(entries))
        }
        (GrowthMode::Added, Some(of), entries) => format!("added to {}{}", a(of), of_entries(entries)),
        (GrowthMode::Cached, _, Some(entries)) => {
            format!("results are cached: {} so far", counted(entries, "entry", "entries"))
        }
        (GrowthMode::Cached, ..) => "results are cached".to_owned(),
        (GrowthMode::Enlarged, ..) => "the object itself gets larger".to_owned(),
        (_, Some(of), _) => format!("linked to {}", a(of)),
        _ => "linked to each other".to_owned(),
    };
    let comes = |grown: &&TypeGrowth| {
        grown.name != leak.name && grown.objects_per_minute * 2.0 >= leak.objects_per_minute
    };
    let others: Vec<&str> =
        leak.types.iter().filter(comes).map(|grown| last_part(&grown.name)).take(4).collect();
    if others.is_empty() { how } else { format!("{how}; together with {}", others.join(", ")) }
}

/// A noun with its article, by its first letter.
fn a(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'A', 'E', 'I', 'O']) { "an" } else { "a" };
    format!("{article} {noun}")
}

fn of_entries(entries: Option<u64>) -> String {
    entries.map(|entries| format!(" of {}", counted(entries, "entry", "entries"))).unwrap_or_default()
}

fn age(leak: &Leak) -> String {
    let newest = span(leak.newest_age_seconds);
    match leak.oldest_age_seconds {
        None => format!("the oldest existed before the first census; the newest is younger than {newest}"),
        Some(oldest) => {
            format!("the oldest was added {} ago; the newest is younger than {newest}", span(oldest))
        }
    }
}

fn memory_lines(record: &LeaksRecord, memory: &MemoryGrowth) -> Vec<Sentence> {
    let bytes = |value: f64| Bytes(whole(value));
    let text = format!(
        "memory outside Python objects grows: RSS by {}/min, objects by {}/min",
        bytes(memory.bytes_per_minute),
        bytes(memory.objects_bytes_per_minute)
    );
    let mut lines = vec![Sentence::headline("LEAK", Tone::Alarm, &text)];
    let span = span(record.duration_seconds);
    let confidence = (memory.confidence_ratio * 100.0).min(99.9);
    lines.push(Sentence::detail(
        "why",
        &format!("RSS rose over {} censuses in {span}; confidence {confidence:.1} %", record.censuses),
    ));
    let rows: Vec<String> = memory
        .rows
        .iter()
        .take(3)
        .map(|row| {
            let detail = row.detail.as_deref().map(|detail| format!(" {detail}")).unwrap_or_default();
            let what = describe(row.kind);
            format!("{what}{detail} +{} to {}", Bytes(row.growth_bytes), Bytes(row.current_bytes))
        })
        .collect();
    if !rows.is_empty() {
        lines.push(Sentence::detail("where", &rows.join("; ")));
    }
    lines.push(Sentence::detail("do", &advice::for_memory(record, memory)));
    lines
}

/// A comparison of the process with others of its program.
fn comparison(record: &LeaksRecord) -> Option<Sentence> {
    let among = record.peers.as_ref()?;
    let bytes = |value: f64| Bytes(whole(value));
    let (tone, relation) =
        if among.is_outlier { (Tone::Warning, "stands out among") } else { (Tone::Dim, "is one of") };
    let text = format!(
        "this process {relation} {} of its program: the median grows by {}/min, this one by {}/min",
        thousands(among.processes),
        bytes(among.median_bytes_per_minute),
        bytes(among.bytes_per_minute)
    );
    Some(Sentence::remark(tone, text))
}

/// The processes below it without a verdict.
fn unjudged_children(record: &LeaksRecord) -> Vec<Sentence> {
    let mut lines = Vec::new();
    if record.unchecked_children > 0 {
        let processes = counted(record.unchecked_children, "Python process", "Python processes");
        let were = if record.unchecked_children == 1 { "was" } else { "were" };
        lines.push(Sentence::headline(
            "not checked",
            Tone::Warning,
            &format!("{processes} below it {were} not checked: add --tree, or name one with -p"),
        ));
    }
    if record.brief_children > 0 {
        let processes = counted(record.brief_children, "Python process", "Python processes");
        let text = format!("{processes} below it came late or ended early: no verdict on them");
        lines.push(Sentence::remark(Tone::Dim, text));
    }
    lines
}

/// What the verdict lacks where the process could not be copied.
fn without_copies(record: &LeaksRecord) -> Option<Sentence> {
    let text = format!(
        "{} of {} censuses read it while it ran, because a copy would have taken too long: they do not judge memory outside objects; \
         --max-pause 2s permits longer pauses",
        thousands(record.live_censuses),
        thousands(record.censuses)
    );
    (record.live_censuses > 0).then(|| Sentence::headline("not copied", Tone::Warning, &text))
}

/// The figures that the verdict is based on.
pub(super) fn numbers(record: &LeaksRecord) -> Sentence {
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
    text.push_str(&format!("; {}", counted(record.holders_checked, "holder", "holders")));
    if let Some(pause) = record.longest_pause_seconds {
        text.push_str(&format!("; longest pause {}", Span(Duration::from_secs_f64(pause.max(0.0)))));
    }
    Sentence::remark(Tone::Dim, text)
}
