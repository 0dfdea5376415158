//! What happened, and what the launched command printed: the last lines of both.

use std::collections::VecDeque;

use common::record::{ErrorRecord, EventKind, ProcessEvent};
use common::stdio::escape_controls;
use common::time::Stamp;
use common::units::{Bytes, Change};

use super::process_state::display_name;

/// Lines kept of each; more than any pane shows.
const MAX_LINES: usize = 32;

/// Characters kept of one line; more than any terminal shows.
const MAX_CHARS: usize = 1024;

/// How much a person should mind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    /// Good to know.
    Info,
    /// Worth a look.
    Notice,
    /// Something is wrong.
    Alert,
}

/// Something that happened, in one line.
#[derive(Debug)]
pub(super) struct LogEntry {
    pub(super) moment: Stamp,
    pub(super) text: String,
    pub(super) severity: Severity,
    /// How often it happened in a row.
    pub(super) times: u64,
}

/// What happened last.
#[derive(Debug, Default)]
pub(super) struct EventLog {
    items: VecDeque<LogEntry>,
}

impl EventLog {
    /// Takes in an event; `end` is how the process ended, if that is what happened.
    pub(super) fn take_event(&mut self, event: &ProcessEvent, end: Option<String>) {
        let who = match &event.name {
            Some(name) => format!("{} ({})", display_name(name), event.pid),
            None => format!("process {}", event.pid),
        };
        let size =
            |bytes: Option<u64>| bytes.map_or_else(|| "–".to_owned(), |bytes| Bytes(bytes).to_string());
        let (text, severity) = match event.event {
            EventKind::Grew => {
                let growth = event.growth_bytes.map_or_else(|| "–".to_owned(), |by| Change(by).to_string());
                (format!("{who} grew by {growth} to {}", size(event.value_bytes)), Severity::Notice)
            }
            EventKind::LimitCrossed => {
                let metric = event.metric.as_deref().map_or("memory".into(), display_name);
                let (value, limit) = (size(event.value_bytes), size(event.limit_bytes));
                (format!("{who}: {metric} {value} is over the limit of {limit}"), Severity::Alert)
            }
            EventKind::OomKill => {
                let what = match event.oom_kills {
                    Some(1) | None => "a process".to_owned(),
                    Some(n) => format!("{n} processes"),
                };
                (format!("{who}: the kernel killed {what} of its cgroup for want of memory"), Severity::Alert)
            }
            // Ends stand in the table; here only those of a root or by a signal.
            EventKind::Exited if event.signal.is_some() || event.pid == event.root_pid => {
                (format!("{who}: {}", end.unwrap_or_default()), Severity::Info)
            }
            EventKind::Exited | EventKind::Started | EventKind::Replaced | EventKind::Unknown => return,
        };
        self.push(event.timestamp, text, severity);
    }

    /// Takes in something that could not be done.
    pub(super) fn take_error(&mut self, error: &ErrorRecord) {
        let mut text = format!("{}: {}", sanitize(&error.stage), sanitize(&error.message));
        if let Some(hint) = &error.hint {
            text.push_str(": ");
            text.push_str(&sanitize(hint));
        }
        self.push(error.timestamp, text, Severity::Alert);
    }

    fn push(&mut self, moment: Stamp, text: String, severity: Severity) {
        if let Some(last) = self.items.back_mut().filter(|last| last.text == text) {
            last.moment = moment;
            last.times += 1;
            return;
        }
        if self.items.len() == MAX_LINES {
            self.items.pop_front();
        }
        self.items.push_back(LogEntry { moment, text, severity, times: 1 });
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// The last `count`, the oldest of them first.
    pub(super) fn last(&self, count: usize) -> impl Iterator<Item = &LogEntry> {
        self.items.iter().skip(self.items.len().saturating_sub(count))
    }
}

/// What the launched command printed last.
#[derive(Debug, Default)]
pub(super) struct OutputTail {
    lines: VecDeque<String>,
}

impl OutputTail {
    /// Takes in a line as it was printed, with or without its end.
    pub(super) fn take(&mut self, line: &str) {
        // A progress bar writes over itself: what was written last is what a terminal would show.
        let line = line.trim_end_matches(['\r', '\n']);
        let line = line.rsplit('\r').next().unwrap_or_default();
        if self.lines.len() == MAX_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(sanitize(line));
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// The last `count`, the oldest of them first.
    pub(super) fn last(&self, count: usize) -> impl Iterator<Item = &str> {
        self.lines.iter().skip(self.lines.len().saturating_sub(count)).map(String::as_str)
    }
}

/// One line, safe for a terminal and not too long.
fn sanitize(text: &str) -> String {
    let cut: String = text.chars().take(MAX_CHARS).map(|c| if c == '\t' { ' ' } else { c }).collect();
    escape_controls(&cut).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{event, header};
    use super::*;

    fn texts(events: &EventLog) -> Vec<&str> {
        events.last(99).map(|item| item.text.as_str()).collect()
    }

    #[test]
    fn events_become_sentences() {
        let mut events = EventLog::default();
        let mut grew = event(EventKind::Grew, 7, 1);
        grew.name = Some("wor\x1bker".into());
        (grew.growth_bytes, grew.value_bytes) = (Some(12 << 20), Some(112 << 20));
        events.take_event(&grew, None);
        let mut limit = event(EventKind::LimitCrossed, 7, 1);
        (limit.metric, limit.limit_bytes, limit.value_bytes) =
            (Some("total".into()), Some(500 << 20), Some(512 << 20));
        events.take_event(&limit, None);
        let mut oom = event(EventKind::OomKill, 1, 1);
        oom.oom_kills = Some(2);
        events.take_event(&oom, None);
        let mut killed = event(EventKind::Exited, 7, 1);
        killed.signal = Some(9);
        events.take_event(&killed, Some("SIGKILL".into()));
        assert_eq!(
            texts(&events),
            [
                "wor\\u{1b}ker (7) grew by +12.00 MiB to 112.00 MiB",
                "process 7: total 512.00 MiB is over the limit of 500.00 MiB",
                "process 1: the kernel killed 2 processes of its cgroup for want of memory",
                "process 7: SIGKILL",
            ]
        );
    }

    #[test]
    fn ordinary_events_are_not_logged() {
        let mut events = EventLog::default();
        for kind in [EventKind::Started, EventKind::Replaced, EventKind::Unknown, EventKind::Exited] {
            events.take_event(&event(kind, 7, 1), None);
        }
        assert_eq!(events.len(), 0);
        events.take_event(&event(EventKind::Exited, 1, 1), Some("exit 0".into()));
        assert_eq!(texts(&events), ["process 1: exit 0"], "the end of a root is");
    }

    #[test]
    fn repeats_merge_and_log_is_bounded() {
        let mut events = EventLog::default();
        let error = |message: &str| ErrorRecord::new(header(1), "sample", message.to_owned());
        for _ in 0..1000 {
            events.take_error(&error("permission\ndenied"));
        }
        assert_eq!(texts(&events), ["sample: permission\\ndenied"]);
        assert_eq!(events.last(1).next().unwrap().times, 1000);
        for n in 0..1000 {
            events.take_error(&error(&n.to_string()));
        }
        assert_eq!(events.len(), MAX_LINES);
        assert_eq!(
            events.last(2).map(|item| item.text.as_str()).collect::<Vec<_>>(),
            ["sample: 998", "sample: 999"]
        );
    }

    #[test]
    fn output_is_escaped_and_bounded() {
        let mut output = OutputTail::default();
        for line in ["10 %\r20 %\r30 %\r\n", "a\tb\x1b]0;title\x07", &"x".repeat(1 << 20), ""] {
            output.take(line);
        }
        let lines: Vec<&str> = output.last(9).collect();
        assert_eq!(lines[..2], ["30 %", "a b\\u{1b}]0;title\\u{7}"]);
        assert_eq!((lines[2].len(), lines[3]), (MAX_CHARS, ""));
        (0..1000).for_each(|n| output.take(&n.to_string()));
        assert_eq!((output.len(), output.last(1).next()), (MAX_LINES, Some("999")));
    }
}
