//! The standard streams: a closed pipe is a clean end, and text of a target is escaped for the terminal.
//!
//! ```
//! assert_eq!(common::stdio::escape_controls("a\u{1b}[2J"), "a\\u{1b}[2J");
//! ```

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

/// Moves to the left edge and clears the line.
const CLEAR_LINE: &str = "\r\x1b[K";

/// Whether the reader of our output is gone, as after `| head -1`.
#[must_use]
pub fn is_broken_pipe(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

/// Escapes text for a terminal and for one line of output.
///
/// Control characters of 7 and 8 bits become `\n`, `\u{1b}` and so on. So do invisible characters that change the direction of
/// text, with which a name could disguise itself.
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

/// Whether a character can affect a terminal, or is invisible and changes the direction of text.
pub(crate) fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Escapes text for a cell of a CSV table, as [`escape_controls`] does. An apostrophe comes before text that a spreadsheet
/// would calculate: a name that begins with `=`, `+`, `-`, `@`, or the wide forms of these.
///
/// Source: OWASP, "CSV Injection". Tabs and line ends, which it lists too, are escaped.
#[must_use]
pub fn escape_cell(text: &str) -> Cow<'_, str> {
    let text = escape_controls(text);
    if text.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) {
        return Cow::Owned(format!("'{text}"));
    }
    text
}

/// Whether to colour the output to `stream`: it is a terminal, not `dumb`, and `NO_COLOR` (<https://no-color.org>) is not set.
pub fn wants_colour(stream: &impl IsTerminal) -> bool {
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    stream.is_terminal() && !no_colour && !dumb
}

/// The time that a line for stderr waits until stderr is writable.
#[cfg(unix)]
const WRITE_TIMEOUT: rustix::event::Timespec = rustix::event::Timespec { tv_sec: 1, tv_nsec: 0 };

/// Writes the line `tool: message` to stderr. Gives up if stderr is closed, or full for a second.
pub fn say(tool: &str, message: &str) {
    let mut line = format!("{tool}: {}", escape_controls(message));
    line.push('\n');
    if is_writable() {
        let _ = io::stderr().write_all(line.as_bytes());
    }
}

/// Whether stderr is writable now or soon, or poll(2) fails.
#[cfg(unix)]
fn is_writable() -> bool {
    use rustix::event::{PollFd, PollFlags, poll};
    let stderr = io::stderr();
    poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], Some(&WRITE_TIMEOUT)) != Ok(0)
}

#[cfg(not(unix))]
fn is_writable() -> bool {
    true
}

/// A line on stderr that is updated, and cleared at the end. Without a terminal there is none.
#[derive(Debug)]
pub struct StatusLine {
    enabled: bool,
    shown: bool,
}

impl StatusLine {
    /// A line that shows nothing yet, and nothing at all unless it is `wanted` and stderr is a terminal.
    #[must_use]
    pub fn new(wanted: bool) -> Self {
        Self { enabled: wanted && io::stderr().is_terminal(), shown: false }
    }

    /// Whether it can be seen.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Shows `text` in place of the last text. It must fit in one line of a terminal.
    pub fn show(&mut self, text: &str) {
        if self.enabled {
            self.shown = true;
            let _ = write!(io::stderr(), "{CLEAR_LINE}{}", escape_controls(text));
        }
    }

    /// Clears it, before other output and at the end.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(io::stderr(), "{CLEAR_LINE}");
        }
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(escape_controls("plain 名前 ✓"), "plain 名前 ✓");
        assert_eq!(escape_controls("a\nb\x1b[31mred\u{9b}2J\x07"), "a\\nb\\u{1b}[31mred\\u{9b}2J\\u{7}");
        assert_eq!(escape_controls("x\u{202e}fdp\u{61c}.exe"), "x\\u{202e}fdp\\u{61c}.exe");
    }

    #[test]
    fn formulas_are_defused() {
        for (text, cell) in [
            ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
            ("-bash", "'-bash"),
            ("+1", "'+1"),
            ("@SUM", "'@SUM"),
            ("＝1", "'＝1"),
            ("\t=1", "\\t=1"),
            ("\r=1", "\\r=1"),
            ("a=1", "a=1"),
            ("", ""),
        ] {
            assert_eq!(escape_cell(text), cell);
        }
    }

    #[test]
    fn broken_pipe_is_recognized() {
        assert!(is_broken_pipe(&io::Error::from(io::ErrorKind::BrokenPipe)));
        assert!(!is_broken_pipe(&io::Error::from(io::ErrorKind::StorageFull)));
    }

    proptest! {
        #[test]
        fn escaped_text_is_harmless(text: String) {
            prop_assert!(!escape_controls(&text).chars().any(is_harmful));
        }
    }
}
