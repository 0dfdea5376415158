//! Events as symbols and as lines of text.

use crate::clock::{time_of_day, zone};
use crate::figure::{Mark, MarkKind};

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

/// Describes events: severe ones each with its time, others by their number.
pub(super) fn lines(marks: &[Mark]) -> Vec<String> {
    let severe: Vec<&Mark> = marks.iter().filter(|mark| mark.kind >= MarkKind::Limit).collect();
    let room = if severe.len() > MAX_LINES - 1 { MAX_LINES - 2 } else { MAX_LINES - 1 };
    let listed = severe.iter().take(room);
    let mut lines: Vec<String> = listed
        .map(|mark| {
            format!("{} {} {}", symbol(mark.kind), time_of_day(mark.unix_ms, zone(), true), mark.text)
        })
        .collect();
    if severe.len() > room {
        lines.push(format!("! and {} more limits crossed or processes killed", severe.len() - room));
    }
    let counted: Vec<String> =
        [(MarkKind::Started, "started"), (MarkKind::Exited, "ended"), (MarkKind::Run, "runs began")]
            .into_iter()
            .map(|(kind, verb)| (kind, marks.iter().filter(|mark| mark.kind == kind).count(), verb))
            .filter(|(_, count, _)| *count > 0)
            .map(|(kind, count, verb)| format!("{} {count} {verb}", symbol(kind)))
            .collect();
    if !counted.is_empty() {
        lines.push(counted.join("  "));
    }
    lines
}
