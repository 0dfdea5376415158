//! Lines of code: which add to a container, and which remove from it.

use crate::record::{Additions, CodeLine, Leak, LeaksRecord};
use crate::units::{counted, thousands};

use super::short_forms::span;

/// Callers of the program's own code that are shown.
const MAX_CALLERS: usize = 3;
/// Callers of a library's code that are shown, if there are no more.
const MAX_LIBRARY: usize = 2;

/// The lines that add, each with its callers up to the first one of the standard library.
pub(super) fn adds(leak: &Leak, additions: &Additions) -> String {
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
        (0, _) => {
            let one_of = leak.container.as_deref().filter(|_| leak.entries.is_none());
            nothing_added(one_of, &span(additions.watched_seconds).to_string())
        }
        (_, 0) => {
            format!("{} seen, from code that is not known", counted(additions.seen, "addition", "additions"))
        }
        _ => format!("{}, {} of {seen} additions seen", lines.join("; "), thousands(known)),
    }
}

/// Says that nothing was seen; of several containers, all of this type, only the one that grew most was watched.
fn nothing_added(one_of: Option<&str>, time: &str) -> String {
    match one_of {
        Some(container) => {
            format!(
                "nothing was added in {time} to the {container} that was watched, one of several that grow"
            )
        }
        None => format!("nothing was added in {time} of watching; start it again with a longer --for"),
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
    // The program's own code is what the user can change.
    let library =
        if first.is_library() { callers.iter().take_while(|caller| caller.is_library()).count() } else { 0 };
    let (library, own) = callers.split_at_checked(library).unwrap_or_default();
    let own = own.iter().take_while(|caller| !caller.is_library()).take(MAX_CALLERS);
    let mut text = format!("{} in {}", file_and_line(first), first.function);
    let each = |caller: &CodeLine| format!(" ← {} ({})", caller.function, file_and_line(caller));
    let shown = if library.len() <= MAX_LIBRARY { library.len() } else { MAX_LIBRARY - 1 };
    text.extend(library.iter().take(shown).map(each));
    let more = library.len().saturating_sub(shown);
    if more > 0 {
        text.push_str(&format!(" ← … {more} more"));
    }
    text.extend(own.map(each));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(files: &[&str]) -> String {
        let frame = |(line, file): (u32, &&str)| CodeLine {
            function: format!("f{line}").into(),
            file: (*file).into(),
            line: Some(line),
        };
        let frames: Vec<CodeLine> = (1..).zip(files).map(frame).collect();
        call_chain(&frames)
    }

    #[test]
    fn one_of_several_containers_was_watched() {
        assert!(nothing_added(None, "5 s").ends_with("start it again with a longer --for"));
        let text = nothing_added(Some("list"), "5 s");
        assert_eq!(text, "nothing was added in 5 s to the list that was watched, one of several that grow");
    }

    #[test]
    fn chain_leads_to_the_program() {
        let (own, library) = ("/srv/bot.py", "/usr/lib/python3.13/queue.py");
        assert_eq!(chain(&[own, own, library]), "bot.py:1 in f1 ← f2 (bot.py:2)");
        assert_eq!(
            chain(&[library, library, own, own]),
            "queue.py:1 in f1 ← f2 (queue.py:2) ← f3 (bot.py:3) ← f4 (bot.py:4)"
        );
        let deep = [&[library; 9][..], &[own]].concat();
        assert_eq!(chain(&deep), "queue.py:1 in f1 ← f2 (queue.py:2) ← … 7 more ← f10 (bot.py:10)");
        assert_eq!(chain(&[library; 9]), "queue.py:1 in f1 ← f2 (queue.py:2) ← … 7 more");
        assert_eq!(chain(&[own; 9]), "bot.py:1 in f1 ← f2 (bot.py:2) ← f3 (bot.py:3) ← f4 (bot.py:4)");
        assert_eq!(chain(&[]), "");
    }
}
