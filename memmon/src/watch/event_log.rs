//! The latest events and the latest output of the launched command.

use std::collections::VecDeque;

use common::record::{ErrorRecord, EventKind, MetricValue, ProcessEvent};
use common::stdio::escape_controls;
use common::time::Stamp;
use common::units::{Bytes, Change};
use ratatui::style::Style;

use super::process_state::{describe_exit, display_name};
use super::recent;
use super::theme;

/// Lines kept of each: more than any pane shows.
const MAX_LINES: usize = 32;

/// Characters kept of a line: more than any terminal shows.
const MAX_CHARS: usize = 1024;

/// An event in one line.
#[derive(Debug)]
pub(super) struct LogEntry {
    pub(super) moment: Stamp,
    pub(super) text: String,
    pub(super) style: Style,
    /// How often it was repeated.
    pub(super) times: u64,
}

/// The latest events.
#[derive(Debug, Default)]
pub(super) struct EventLog {
    /// The oldest first.
    pub(super) entries: VecDeque<LogEntry>,
}

impl EventLog {
    /// Takes an event.
    pub(super) fn take_event(&mut self, event: &ProcessEvent) {
        let who = match &event.name {
            Some(name) => format!("{} ({})", display_name(name), event.pid),
            None => format!("process {}", event.pid),
        };
        let size =
            |bytes: Option<u64>| bytes.map_or_else(|| "–".to_owned(), |bytes| Bytes(bytes).to_string());
        let (text, style) = match event.event {
            EventKind::Grew => {
                let growth = event.growth_bytes.map_or_else(|| "–".to_owned(), |by| Change(by).to_string());
                (format!("{who} grew by {growth} to {}", size(event.value_bytes)), theme::NOTICE)
            }
            EventKind::LimitCrossed => {
                let metric = event.metric.map_or_else(|| "memory".into(), |metric| metric.to_string());
                let text = |value: Option<MetricValue>| {
                    value.map_or_else(|| "–".to_owned(), |value| value.to_string())
                };
                let (value, limit) = (text(event.value()), text(event.limit()));
                (format!("{who}: {metric} {value} is above the limit of {limit}"), theme::ALERT)
            }
            EventKind::OomKill => {
                let killed = match event.oom_kills {
                    Some(1) | None => "a process".to_owned(),
                    Some(n) => format!("{n} processes"),
                };
                (format!("{who}: out of memory, the kernel killed {killed} of its cgroup"), theme::ALERT)
            }
            // The table shows exits; the log only those of a root or by a signal.
            EventKind::Exited if event.signal.is_some() || event.pid == event.root_pid => {
                (format!("{who}: {}", describe_exit(event)), theme::PLAIN)
            }
            EventKind::Exited
            | EventKind::Started
            | EventKind::Replaced
            | EventKind::Omitted
            | EventKind::Unknown => return,
        };
        self.push(event.timestamp, text, style);
    }

    /// Takes an error.
    pub(super) fn take_error(&mut self, error: &ErrorRecord) {
        let mut text = format!("{}: {}", sanitize(&error.stage), sanitize(&error.message));
        if let Some(hint) = &error.hint {
            text.push_str(": ");
            text.push_str(&sanitize(hint));
        }
        self.push(error.timestamp, text, theme::ALERT);
    }

    fn push(&mut self, moment: Stamp, text: String, style: Style) {
        match self.entries.back_mut().filter(|last| last.text == text) {
            Some(last) => (last.moment, last.times) = (moment, last.times + 1),
            None => recent::push(&mut self.entries, LogEntry { moment, text, style, times: 1 }, MAX_LINES),
        }
    }
}

/// The latest output of the launched command.
#[derive(Debug, Default)]
pub(super) struct OutputTail {
    /// The oldest first.
    pub(super) lines: VecDeque<String>,
}

impl OutputTail {
    /// Takes a raw line, with or without its line end.
    pub(super) fn take(&mut self, line: &str) {
        // A progress bar overwrites itself: a terminal would show the last version.
        let line = line.trim_end_matches(['\r', '\n']);
        let line = line.rsplit('\r').next().unwrap_or_default();
        recent::push(&mut self.lines, sanitize(line), MAX_LINES);
    }
}

/// One line, safe for a terminal and cut.
fn sanitize(text: &str) -> String {
    let cut: String = text.chars().take(MAX_CHARS).map(|c| if c == '\t' { ' ' } else { c }).collect();
    escape_controls(&cut).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{event, header};
    use super::*;

    fn texts(events: &EventLog) -> Vec<&str> {
        recent::last(&events.entries, 99).map(|item| item.text.as_str()).collect()
    }

    #[test]
    fn events_become_sentences() {
        let mut events = EventLog::default();
        let mut grew = event(EventKind::Grew, 7, 1);
        grew.name = Some("wor\x1bker".into());
        (grew.growth_bytes, grew.value_bytes) = (Some(12 << 20), Some(112 << 20));
        events.take_event(&grew);
        let mut limit = event(EventKind::LimitCrossed, 7, 1);
        (limit.metric, limit.limit_bytes, limit.value_bytes) =
            (Some("total".into()), Some(500 << 20), Some(512 << 20));
        events.take_event(&limit);
        let mut oom = event(EventKind::OomKill, 1, 1);
        oom.oom_kills = Some(2);
        events.take_event(&oom);
        let mut killed = event(EventKind::Exited, 7, 1);
        killed.signal = Some(9);
        events.take_event(&killed);
        assert_eq!(
            texts(&events),
            [
                "wor\\u{1b}ker (7) grew by +12.00 MiB to 112.00 MiB",
                "process 7: total 512.00 MiB is above the limit of 500.00 MiB",
                "process 1: out of memory, the kernel killed 2 processes of its cgroup",
                "process 7: SIGKILL",
            ]
        );
    }

    #[test]
    fn ordinary_events_are_not_logged() {
        let mut events = EventLog::default();
        for kind in [EventKind::Started, EventKind::Replaced, EventKind::Unknown, EventKind::Exited] {
            events.take_event(&event(kind, 7, 1));
        }
        assert_eq!(events.entries.len(), 0);
        let end = ProcessEvent { exit_code: Some(0), ..event(EventKind::Exited, 1, 1) };
        events.take_event(&end);
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
        assert_eq!(recent::last(&events.entries, 1).next().unwrap().times, 1000);
        for n in 0..1000 {
            events.take_error(&error(&n.to_string()));
        }
        assert_eq!(events.entries.len(), MAX_LINES);
        assert_eq!(
            recent::last(&events.entries, 2).map(|item| item.text.as_str()).collect::<Vec<_>>(),
            ["sample: 998", "sample: 999"]
        );
    }

    #[test]
    fn output_is_escaped_and_bounded() {
        let mut output = OutputTail::default();
        for line in ["10 %\r20 %\r30 %\r\n", "a\tb\x1b]0;title\x07", &"x".repeat(1 << 20), ""] {
            output.take(line);
        }
        let lines: Vec<&str> = recent::last(&output.lines, 9).map(String::as_str).collect();
        assert_eq!(lines[..2], ["30 %", "a b\\u{1b}]0;title\\u{7}"]);
        assert_eq!((lines[2].len(), lines[3]), (MAX_CHARS, ""));
        (0..1000).for_each(|n| output.take(&n.to_string()));
        assert_eq!(
            (output.lines.len(), recent::last(&output.lines, 1).next().unwrap().as_str()),
            (MAX_LINES, "999")
        );
    }
}
