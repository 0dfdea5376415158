//! What happened, and what the launched command printed: the last lines of both.

use std::collections::VecDeque;

use common::record::{ErrorRecord, EventKind, ProcessEvent};
use common::stdio::escape_controls;
use common::time::Stamp;
use common::units::{Bytes, Change};

use super::process::name_for_people;

/// Lines kept of each; more than any pane shows.
const LINES: usize = 32;

/// Characters kept of one line; more than any terminal shows.
const CHARS: usize = 1024;

/// How much a person should mind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// Good to know.
    Plain,
    /// Worth a look.
    Notable,
    /// Something is wrong.
    Grave,
}

/// Something that happened, in one line.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) moment: Stamp,
    pub(super) text: String,
    pub(super) weight: Weight,
    /// How often it happened in a row.
    pub(super) times: u64,
}

/// What happened last.
#[derive(Debug, Default)]
pub(super) struct News {
    items: VecDeque<Item>,
}

impl News {
    /// Takes in an event; `end` is how the process ended, if that is what happened.
    pub(super) fn take_event(&mut self, event: &ProcessEvent, end: Option<String>) {
        let who = match &event.name {
            Some(name) => format!("{} ({})", name_for_people(name), event.pid),
            None => format!("process {}", event.pid),
        };
        let size =
            |bytes: Option<u64>| bytes.map_or_else(|| "–".to_owned(), |bytes| Bytes(bytes).to_string());
        let (text, weight) = match event.event {
            EventKind::Grew => {
                let growth = event.growth_bytes.map_or_else(|| "–".to_owned(), |by| Change(by).to_string());
                (format!("{who} grew by {growth} to {}", size(event.value_bytes)), Weight::Notable)
            }
            EventKind::LimitCrossed => {
                let metric = event.metric.as_deref().map_or("memory".into(), name_for_people);
                let (value, limit) = (size(event.value_bytes), size(event.limit_bytes));
                (format!("{who}: {metric} {value} is over the limit of {limit}"), Weight::Grave)
            }
            EventKind::OomKill => {
                let what = match event.kills {
                    Some(1) | None => "a process".to_owned(),
                    Some(n) => format!("{n} processes"),
                };
                (format!("{who}: the kernel killed {what} of its cgroup for want of memory"), Weight::Grave)
            }
            // Ends stand in the table; here only those of a root or by a signal.
            EventKind::Exited if event.signal.is_some() || event.pid == event.root_pid => {
                (format!("{who}: {}", end.unwrap_or_default()), Weight::Plain)
            }
            EventKind::Exited | EventKind::Started | EventKind::Replaced | EventKind::Unknown => return,
        };
        self.push(event.timestamp, text, weight);
    }

    /// Takes in something that could not be done.
    pub(super) fn take_error(&mut self, error: &ErrorRecord) {
        let mut text = format!("{}: {}", clean(&error.stage), clean(&error.message));
        if let Some(hint) = &error.hint {
            text.push_str(": ");
            text.push_str(&clean(hint));
        }
        self.push(error.timestamp, text, Weight::Grave);
    }

    fn push(&mut self, moment: Stamp, text: String, weight: Weight) {
        if let Some(last) = self.items.back_mut().filter(|last| last.text == text) {
            last.moment = moment;
            last.times += 1;
            return;
        }
        if self.items.len() == LINES {
            self.items.pop_front();
        }
        self.items.push_back(Item { moment, text, weight, times: 1 });
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// The last `count`, the oldest of them first.
    pub(super) fn last(&self, count: usize) -> impl Iterator<Item = &Item> {
        self.items.iter().skip(self.items.len().saturating_sub(count))
    }
}

/// What the launched command printed last.
#[derive(Debug, Default)]
pub(super) struct Output {
    lines: VecDeque<String>,
}

impl Output {
    /// Takes in a line as it was printed, with or without its end.
    pub(super) fn take(&mut self, line: &str) {
        // A progress bar writes over itself: what was written last is what a terminal would show.
        let line = line.trim_end_matches(['\r', '\n']);
        let line = line.rsplit('\r').next().unwrap_or_default();
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(clean(line));
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
fn clean(text: &str) -> String {
    let cut: String = text.chars().take(CHARS).map(|c| if c == '\t' { ' ' } else { c }).collect();
    escape_controls(&cut).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{event, header};
    use super::*;

    fn texts(news: &News) -> Vec<&str> {
        news.last(99).map(|item| item.text.as_str()).collect()
    }

    #[test]
    fn events_are_told_in_a_sentence() {
        let mut news = News::default();
        let mut grew = event(EventKind::Grew, 7, 1);
        grew.name = Some("wor\x1bker".into());
        (grew.growth_bytes, grew.value_bytes) = (Some(12 << 20), Some(112 << 20));
        news.take_event(&grew, None);
        let mut limit = event(EventKind::LimitCrossed, 7, 1);
        (limit.metric, limit.limit_bytes, limit.value_bytes) =
            (Some("total".into()), Some(500 << 20), Some(512 << 20));
        news.take_event(&limit, None);
        let mut oom = event(EventKind::OomKill, 1, 1);
        oom.kills = Some(2);
        news.take_event(&oom, None);
        let mut killed = event(EventKind::Exited, 7, 1);
        killed.signal = Some(9);
        news.take_event(&killed, Some("SIGKILL".into()));
        assert_eq!(
            texts(&news),
            [
                "wor\\u{1b}ker (7) grew by +12.00 MiB to 112.00 MiB",
                "process 7: total 512.00 MiB is over the limit of 500.00 MiB",
                "process 1: the kernel killed 2 processes of its cgroup for want of memory",
                "process 7: SIGKILL",
            ]
        );
    }

    #[test]
    fn everyday_events_are_no_news() {
        let mut news = News::default();
        for kind in [EventKind::Started, EventKind::Replaced, EventKind::Unknown, EventKind::Exited] {
            news.take_event(&event(kind, 7, 1), None);
        }
        assert_eq!(news.len(), 0);
        news.take_event(&event(EventKind::Exited, 1, 1), Some("exit 0".into()));
        assert_eq!(texts(&news), ["process 1: exit 0"], "the end of a root is");
    }

    #[test]
    fn what_repeats_is_told_once_and_all_is_bounded() {
        let mut news = News::default();
        let error = |message: &str| ErrorRecord::new(header(1), "sample", message.to_owned());
        for _ in 0..1000 {
            news.take_error(&error("permission\ndenied"));
        }
        assert_eq!(texts(&news), ["sample: permission\\ndenied"]);
        assert_eq!(news.last(1).next().unwrap().times, 1000);
        for n in 0..1000 {
            news.take_error(&error(&n.to_string()));
        }
        assert_eq!(news.len(), LINES);
        assert_eq!(
            news.last(2).map(|item| item.text.as_str()).collect::<Vec<_>>(),
            ["sample: 998", "sample: 999"]
        );
    }

    #[test]
    fn output_is_made_safe_and_bounded() {
        let mut output = Output::default();
        for line in ["10 %\r20 %\r30 %\r\n", "a\tb\x1b]0;title\x07", &"x".repeat(1 << 20), ""] {
            output.take(line);
        }
        let lines: Vec<&str> = output.last(9).collect();
        assert_eq!(lines[..2], ["30 %", "a b\\u{1b}]0;title\\u{7}"]);
        assert_eq!((lines[2].len(), lines[3]), (CHARS, ""));
        (0..1000).for_each(|n| output.take(&n.to_string()));
        assert_eq!((output.len(), output.last(1).next()), (LINES, Some("999")));
    }
}
