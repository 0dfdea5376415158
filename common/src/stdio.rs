//! Manners at the standard streams: a pipe that closes is a clean end, and nothing of a target's reaches a terminal raw.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

/// Whether an error says that the reader of our output went away: `| head -1` had enough.
#[must_use]
pub fn is_broken_pipe(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

/// Text made safe for a terminal and for one line of output.
///
/// Control characters (line ends and escape among them, of 7 and of 8 bits) are shown as Rust writes them, `\n`, `\u{1b}`;
/// so are the invisible characters that turn the direction of text, with which a name could disguise itself.
#[must_use]
pub fn escape_controls(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_harmful(c) {
            let _ = write!(safe, "{}", c.escape_default());
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Whether to colour what goes to `stream`: only a terminal, and not if the user set `NO_COLOR` (<https://no-color.org>)
/// or the terminal is `dumb`.
pub fn wants_colour(stream: &impl IsTerminal) -> bool {
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    stream.is_terminal() && !no_colour && !dumb
}

/// How long a line for stderr waits for somebody to read what stands before it.
#[cfg(unix)]
const PATIENCE: rustix::event::Timespec = rustix::event::Timespec { tv_sec: 1, tv_nsec: 0 };

/// One line on stderr, `tool: message`. A stderr that is closed or full is no reason to fail or to stand still: there is
/// nobody to tell.
pub fn say(tool: &str, message: &str) {
    let mut line = format!("{tool}: {}", escape_controls(message));
    line.push('\n');
    if is_writable() {
        let _ = io::stderr().write_all(line.as_bytes());
    }
}

/// Whether stderr takes something, at once or soon. Where that is not known, writing tells.
#[cfg(unix)]
fn is_writable() -> bool {
    use rustix::event::{PollFd, PollFlags, poll};
    let stderr = io::stderr();
    poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], Some(&PATIENCE)) != Ok(0)
}

#[cfg(not(unix))]
fn is_writable() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escape_sequences_and_line_ends_are_shown_not_sent() {
        assert_eq!(escape_controls("plain 名前 ✓"), "plain 名前 ✓");
        assert_eq!(escape_controls("a\nb\x1b[31mred\u{9b}2J\x07"), "a\\nb\\u{1b}[31mred\\u{9b}2J\\u{7}");
        assert_eq!(escape_controls("x\u{202e}fdp.exe"), "x\\u{202e}fdp.exe");
    }

    #[test]
    fn only_broken_pipes_are_broken_pipes() {
        assert!(is_broken_pipe(&io::Error::from(io::ErrorKind::BrokenPipe)));
        assert!(!is_broken_pipe(&io::Error::from(io::ErrorKind::StorageFull)));
    }

    proptest! {
        #[test]
        fn nothing_harmful_is_left(text: String) {
            prop_assert!(!escape_controls(&text).chars().any(is_harmful));
        }
    }
}
