//! Lines for events.

use common::columns::Tone;
use common::record::{EventKind, Metric, ProcessEvent};
use common::table::{Line, Style};
use common::units::{Bytes, Change};

use super::format::{count, describe_metric, display_name, size_or_dash, span};
use crate::shell_quote::{exit_status, quote_command};

/// Events of an iteration that are listed; more are summarized. Events of roots are always listed.
const MAX_EVENTS: u64 = 6;

/// Processes that are named for one crossed limit.
const MAX_NAMED: u64 = 10;

/// Events since the last sample, held back until the next.
#[derive(Debug, Default)]
pub(super) struct PendingEvents {
    pub(super) iteration: u64,
    /// Each line, and whether it is about a root.
    lines: Vec<(bool, Line)>,
    started: u64,
    ended: u64,
    by_signal: u64,
    failed: u64,
    replaced: u64,
}

impl PendingEvents {
    /// Takes a `started`, `exited`, `replaced` or `omitted` event.
    pub(super) fn take(&mut self, event: &ProcessEvent, style: Style) {
        if event.at_start == Some(true) {
            return;
        }
        self.iteration = event.iteration;
        if event.event == EventKind::Omitted {
            self.ended = self.ended.saturating_add(event.omitted_exits.unwrap_or(0));
            return;
        }
        let of_root = event.pid == event.root_pid;
        if !of_root {
            match event.event {
                EventKind::Started => self.started += 1,
                EventKind::Exited => {
                    self.ended += 1;
                    self.by_signal += u64::from(event.signal.is_some());
                    self.failed += u64::from(event.exit_code.is_some_and(|code| code != 0));
                }
                _ => self.replaced += 1,
            }
        }
        // Of many events only the counts are kept.
        if of_root || self.others() <= MAX_EVENTS {
            self.lines.push((of_root, event_line(event, style)));
        }
    }

    fn others(&self) -> u64 {
        self.started + self.ended + self.replaced
    }

    pub(super) fn into_lines(self) -> Vec<Line> {
        let summary = (self.others() > MAX_EVENTS).then(|| self.summary());
        let is_listed = |of_root: bool| of_root || summary.is_none();
        let listed: Vec<Line> =
            self.lines.into_iter().filter(|(of_root, _)| is_listed(*of_root)).map(|(_, line)| line).collect();
        summary.into_iter().chain(listed).collect()
    }

    /// `41 processes started, 39 ended (2 by signal), 3 now run another program`.
    fn summary(&self) -> Line {
        let list = |counts: &[(u64, &str)]| {
            let known = counts.iter().filter(|(number, _)| *number > 0);
            known.map(|(number, label)| format!("{number} {label}")).collect::<Vec<_>>().join(", ")
        };
        let mut ended = list(&[(self.by_signal, "by signal"), (self.failed, "failed")]);
        ended = if ended.is_empty() { "ended".to_owned() } else { format!("ended ({ended})") };
        let counts =
            [(self.started, "started"), (self.ended, &ended), (self.replaced, "now run another program")];
        let text = list(&counts);
        let noun = if text.starts_with("1 ") { " process " } else { " processes " };
        let mut line = Line::indented(2);
        line.push(Tone::Plain, text.replacen(' ', noun, 1));
        line
    }
}

/// `+ 1250 convert started: convert a.png b.jpg`.
fn event_line(event: &ProcessEvent, style: Style) -> Line {
    let name = event.name.as_deref().map(|name| display_name(name, style));
    let subject = format!("{} {}", event.pid, name.as_deref().unwrap_or_default());
    let subject = subject.trim_end();
    let (text, detail) = match event.event {
        EventKind::Started => (format!("+ {subject} started"), command(event)),
        EventKind::Exited => (format!("- {subject} ended{}", describe_exit(event)), None),
        _ => {
            let program = name.unwrap_or_else(|| "another program".to_owned());
            (format!("~ {} now runs {program}", event.pid), command(event))
        }
    };
    let mut line = Line::indented(2);
    line.push(Tone::Plain, text);
    if let Some(detail) = detail {
        line.push(Tone::Plain, ": ");
        line.push(Tone::Dim, detail);
    }
    line
}

fn command(event: &ProcessEvent) -> Option<String> {
    event.cmdline.as_deref().filter(|arguments| !arguments.is_empty()).map(quote_command)
}

/// `: exit 0 after 3 s, peak 12.00 MiB`, as far as known.
fn describe_exit(event: &ProcessEvent) -> String {
    let mut text = exit_status(event).map(|status| format!(": {status}")).unwrap_or_default();
    if let Some(lifetime) = event.lifetime_seconds.and_then(span) {
        text.push_str(&format!(" after {lifetime}"));
    }
    if let Some(peak) = event.rss_peak_bytes {
        text.push_str(&format!(", peak {}", Bytes(peak)));
    }
    text
}

/// `worker-1 (pid 1240)`.
fn process(event: &ProcessEvent, style: Style) -> String {
    match &event.name {
        Some(name) => format!("{} (pid {})", display_name(name, style), event.pid),
        None => format!("pid {}", event.pid),
    }
}

/// The warning that a process grew by more than `--warn-growth`.
pub(super) fn grew(event: &ProcessEvent, since: Option<u64>, style: Style) -> Line {
    let by =
        event.growth_bytes.map(|bytes| format!(" by {}", Bytes(bytes.unsigned_abs()))).unwrap_or_default();
    let since = since.map_or_else(|| "the sample before".to_owned(), |iteration| format!("#{iteration}"));
    let limit = event.limit_bytes.map(|bytes| format!(", more than {}", Bytes(bytes))).unwrap_or_default();
    let text = format!("! {} grew{by} since {since}{limit}", process(event, style));
    Line::whole(2, Tone::Warning, text)
}

/// The warning about OOM kills.
pub(super) fn oom_kill(event: &ProcessEvent, style: Style) -> Line {
    let killed =
        event.oom_kills.map_or_else(|| "processes".to_owned(), |kills| count(kills, "process", "processes"));
    let text =
        format!("! out of memory: the kernel killed {killed} in the cgroup of {}", process(event, style));
    Line::whole(2, Tone::Alarm, text)
}

/// A crossed limit, which several events may report.
#[derive(Debug)]
pub(super) struct LimitCrossing {
    /// Iteration, root, metric and limit.
    key: (u64, u32, Option<Metric>, Option<u64>),
    /// The number of its events so far.
    parts: u64,
}

impl LimitCrossing {
    /// The crossing that `event` reports, which may be that of the event before.
    pub(super) fn new(event: &ProcessEvent, before: Option<Self>) -> Self {
        let key = (event.iteration, event.root_pid, event.metric, event.limit_bytes);
        let parts = before.filter(|before| before.key == key).map_or(0, |before| before.parts);
        Self { key, parts: parts.saturating_add(1) }
    }

    /// The lines for `event`: the crossing first, then each process and its part.
    pub(super) fn lines(&self, event: &ProcessEvent, style: Style) -> Vec<Line> {
        let alarm = |text: String| Line::whole(2, Tone::Alarm, text);
        let value = event.value().map_or_else(|| "–".to_owned(), |value| value.to_string());
        let limit = event.limit().map(|limit| format!(" of {limit}")).unwrap_or_default();
        let growth = event.growth_bytes.map(|bytes| format!(", {} since first seen", Change(bytes)));
        let growth = growth.unwrap_or_default();
        let metric = match event.metric {
            Some(Metric::Rss) => {
                let who = process(event, style);
                return vec![alarm(format!("! {who}: RSS {value} is above the limit{limit}{growth}"))];
            }
            Some(Metric::Growth) => {
                let who = process(event, style);
                let limit = size_or_dash(event.limit_bytes);
                return vec![alarm(format!("! {who}: grew by {value}, more than {limit}"))];
            }
            Some(metric @ (Metric::Memory | Metric::Pressure)) => {
                let (what, own) =
                    (describe_metric(metric), if metric == Metric::Memory { "" } else { "RSS " });
                let part = format!("{}: {own}{}", process(event, style), size_or_dash(event.own_bytes));
                return vec![
                    alarm(format!("! {what} {value} is above the limit{limit}")),
                    Line::whole(6, Tone::Plain, part),
                ];
            }
            Some(metric @ (Metric::Fds | Metric::Threads)) => {
                let who = process(event, style);
                let what = describe_metric(metric);
                return vec![alarm(format!("! {who}: {value} {what}, above the limit{limit}"))];
            }
            metric => metric.map_or("memory", describe_metric),
        };
        let mut lines = Vec::new();
        if self.parts == 1 {
            let root = event.root_pid;
            lines.push(alarm(format!(
                "! tree of pid {root}: total {metric} {value} is above the limit{limit}"
            )));
        }
        let part = match self.parts {
            1..=MAX_NAMED => format!("{}: {}{growth}", process(event, style), size_or_dash(event.own_bytes)),
            _ if self.parts == MAX_NAMED + 1 => "and others".to_owned(),
            _ => return lines,
        };
        lines.push(Line::whole(6, Tone::Plain, part));
        lines
    }
}
