//! Lines of code: which add to a container, and which remove from it.

use crate::record::{Additions, CodeLine, Leak, LeaksRecord};
use crate::units::{counted, thousands};

use super::short_forms::span;

/// Callers of the program's own code that are shown.
const MAX_CALLERS: usize = 3;

/// The lines that add, each with its callers up to the first one of the standard library.
pub(super) fn adds(additions: &Additions) -> String {
    if let Some(refused) = &additions.refused {
        return format!("not known: {refused}");
    }
    let seen = thousands(additions.seen);
    let known: u64 = additions.lines.iter().map(|line| line.count).sum();
    let lines: Vec<String> = additions
        .lines
        .iter()
        .map(|line| {
            let share =
                if line.count == additions.seen { String::new() } else { format!(" ({})", line.count) };
            let likely = if line.is_certain { "" } else { "likely " };
            format!("{likely}{}{share}", call_chain(&line.frames))
        })
        .collect();
    match (additions.seen, known) {
        (0, _) => format!(
            "nothing was added in {} of watching; start it again with a longer --for",
            span(additions.watched_seconds)
        ),
        (_, 0) => {
            format!("{} seen, from code that is not known", counted(additions.seen, "addition", "additions"))
        }
        _ => format!("{}, {} of {seen} additions seen", lines.join("; "), thousands(known)),
    }
}

fn file_and_line(frame: &CodeLine) -> String {
    let file = frame.file.rsplit('/').next().unwrap_or_default();
    frame.line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"))
}

/// A line and its callers: `bus.py:88 in Bus.dispatch ← run (bot.py:31)`.
#[must_use]
pub fn call_chain(frames: &[CodeLine]) -> String {
    let Some((first, callers)) = frames.split_first() else { return String::new() };
    let mut text = format!("{} in {}", file_and_line(first), first.function);
    // The program's own code is what the user can change.
    let mut own = usize::from(!first.is_library());
    for caller in callers {
        if own > 0 && caller.is_library() || own > MAX_CALLERS {
            break;
        }
        own += usize::from(!caller.is_library());
        text.push_str(&format!(" ← {} ({})", caller.function, file_and_line(caller)));
    }
    text
}

/// Functions, each with its line.
pub(super) fn functions(lines: &[CodeLine]) -> String {
    let each = |line: &CodeLine| format!("{} ({})", line.function, file_and_line(line));
    let all: Vec<String> = lines.iter().map(each).collect();
    all.join(", ")
}

/// The code that removes. It may run rarely.
pub(super) fn removes(record: &LeaksRecord, leak: &Leak) -> String {
    let lines = functions(&leak.removers);
    if leak.freed > 0 {
        return lines;
    }
    let span = span(record.duration_seconds);
    format!("{lines}: nothing in these {span}; if it runs less often, look again with a longer --for")
}
