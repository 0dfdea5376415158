//! Events as symbols and as lines of text.

use common::units::counted;

use crate::clock::{time_of_day, zone};
use crate::figure::{Mark, MarkKind, event_count};

/// The maximal number of lines.
const MAX_LINES: usize = 4;

/// The symbol of an event: up for a start, down for an end.
pub(super) fn symbol(kind: MarkKind) -> &'static str {
    match kind {
        MarkKind::Started => "▴",
        MarkKind::Exited => "▾",
        MarkKind::Limit => "!",
        MarkKind::Oom => "✖",
        MarkKind::Run => "▲",
    }
}

/// Describes events: the number of each symbol first, which explains it; then severe ones each with its time.
pub(super) fn lines(marks: &[Mark]) -> Vec<String> {
    let severe: Vec<&Mark> = marks.iter().filter(|mark| mark.kind >= MarkKind::Limit).collect();
    let room = if severe.len() > MAX_LINES - 1 { MAX_LINES - 2 } else { MAX_LINES - 1 };
    let listed = severe.iter().take(room);
    let mut lines = explained(marks);
    lines.extend(listed.map(|mark| {
        format!("{} {} {}", symbol(mark.kind), time_of_day(mark.unix_ms, zone(), true), mark.text)
    }));
    if severe.len() > room {
        lines.push(format!("! and {} more limits crossed or processes killed", severe.len() - room));
    }
    lines
}

/// `▴ 3 started  ▾ 2 ended`, if there are any.
fn explained(marks: &[Mark]) -> Vec<String> {
    let names = [
        (MarkKind::Started, "started", "started"),
        (MarkKind::Exited, "ended", "ended"),
        (MarkKind::Run, "run began", "runs began"),
    ];
    let counted = names.into_iter().filter_map(|(kind, one, many)| {
        let count = event_count(marks, kind);
        (count > 0).then(|| format!("{} {}", symbol(kind), counted(count, one, many)))
    });
    let line = counted.collect::<Vec<_>>().join("  ");
    if line.is_empty() { Vec::new() } else { vec![line] }
}
