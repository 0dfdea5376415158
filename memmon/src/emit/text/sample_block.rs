//! The block of a sample.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use common::columns::{Cell, Tone, width};
use common::process::ProcessState;
use common::record::{ProcessRecord, ProcessSample};
use common::table::{Column, Line, Style, Table};
use common::time::Stamp;
use common::units::{Bytes, Change};

use super::format::{NAME_COLUMNS, ProcessIdentity, count, display_name, size_or_dash, span};
use crate::shell_quote::{quote_command, short_command};

/// Children that are listed.
const MAX_CHILDREN: usize = 30;

/// The column of values: after the longest label, `children`.
const VALUE_COLUMN: usize = 12;

/// Values of a sample with which the next sample of the same root is compared.
#[derive(Debug)]
pub(super) struct Checkpoint {
    pub(super) iteration: u64,
    /// The iteration of the sample before.
    pub(super) since: Option<u64>,
    /// The sizes, by label.
    sizes: [(&'static str, Option<u64>); 7],
    /// From this or an earlier sample: it is not read each time.
    cgroup_limit: Option<u64>,
    unreadable: u64,
    new: u64,
    children: HashMap<ProcessIdentity, Option<u64>>,
    command: Option<Arc<[String]>>,
}

impl Checkpoint {
    pub(super) fn new(record: &ProcessRecord, before: Option<&Self>) -> Self {
        let children: HashMap<_, _> =
            record.children.iter().map(|child| (identity(child), child.rss_bytes)).collect();
        let is_hidden = |rss: Option<u64>, state: Option<ProcessState>| {
            rss.is_none() && !state.is_some_and(ProcessState::has_ended)
        };
        let hidden_children = record.children.iter().filter(|child| is_hidden(child.rss_bytes, child.state));
        let unreadable = hidden_children.count() + usize::from(is_hidden(record.rss_bytes, record.state));
        let is_new =
            |child: &&ProcessIdentity| before.is_some_and(|before| !before.children.contains_key(*child));
        let no_child_read = record.children.iter().all(|child| child.rss_bytes.is_none());
        let children_rss = (children.is_empty() || !no_child_read).then_some(record.children_rss_bytes);
        let total_rss = (record.rss_bytes.is_some() || !no_child_read).then_some(record.total_rss_bytes);
        let cgroup = record.cgroup.as_ref();
        Self {
            iteration: record.iteration,
            since: before.map(|before| before.iteration),
            sizes: [
                ("RSS", record.rss_bytes),
                ("PSS", record.pss_bytes),
                ("VMS", record.vms_bytes),
                ("swap", record.swap_bytes),
                ("cgroup", cgroup.and_then(|cgroup| cgroup.current_bytes)),
                ("children", children_rss),
                ("total", total_rss),
            ],
            cgroup_limit: match cgroup {
                Some(cgroup) => cgroup.limit_bytes,
                None => before.and_then(|before| before.cgroup_limit),
            },
            unreadable: unreadable as u64,
            new: children.keys().filter(is_new).count() as u64,
            children,
            command: record.cmdline.clone().or_else(|| before.and_then(|before| before.command.clone())),
        }
    }

    fn size(&self, label: &str) -> Option<u64> {
        self.sizes.iter().find(|(known, _)| *known == label).and_then(|(_, size)| *size)
    }
}

fn identity(process: &ProcessSample) -> ProcessIdentity {
    (process.pid, process.start_time.clone())
}

/// A sample and the one before.
pub(super) struct SampleBlock<'a> {
    pub(super) record: &'a ProcessRecord,
    pub(super) now: &'a Checkpoint,
    pub(super) before: Option<&'a Checkpoint>,
    pub(super) machine_bytes: Option<u64>,
    /// The date, if it differs from that of the last block.
    pub(super) date: Option<&'a str>,
    pub(super) style: Style,
}

impl SampleBlock<'_> {
    pub(super) fn lines(&self) -> Vec<Line> {
        let mut lines = vec![self.heading()];
        lines.extend(self.command());
        let missed = self.record.missed_ticks;
        if missed > 0 {
            let missed = count(missed, "sample", "samples");
            let text = format!("! {missed} missed before this one: the machine slept or was overloaded");
            lines.push(Line::whole(2, Tone::Warning, text));
        }
        let mut summary = self.summary();
        let total = summary.pop();
        lines.extend(summary.into_iter().flatten());
        lines.extend(self.children());
        lines.extend(total.into_iter().flatten());
        lines
    }

    /// The identity and state of the root.
    fn heading(&self) -> Line {
        let record = self.record;
        let mut line = Line::default();
        line.push(Tone::Strong, format!("#{}", record.iteration));
        let time = record.timestamp.format("%H:%M:%S");
        line.push_apart(Tone::Plain, self.date.map_or_else(|| time.clone(), |date| format!("{date} {time}")));
        let name = display_name(&record.name, self.style);
        line.push_apart(Tone::Plain, format!("{name} (pid {})", record.pid));
        let began = record.start_time.as_deref().and_then(|start| start.parse::<Stamp>().ok());
        let age = began.and_then(|began| span(record.timestamp.unix_seconds() - began.unix_seconds()));
        let notes = [
            record.state.map(|state| state.to_string()),
            age.map(|age| format!("up {age}")),
            record.threads.map(|threads| count(threads, "thread", "threads")),
            record.cpu_ratio.map(|ratio| format!("CPU {}", percent(ratio))),
        ];
        notes.into_iter().flatten().for_each(|note| line.push_apart(Tone::Dim, note));
        line
    }

    /// The command line, if it is new or changed.
    fn command(&self) -> Option<Line> {
        let command = self.now.command.as_deref().filter(|command| !command.is_empty())?;
        if self.before.is_some_and(|before| before.command.as_deref() == Some(command)) {
            return None;
        }
        let mut line = Line::indented(2);
        line.push(Tone::Dim, "command");
        line.skip_to(VALUE_COLUMN);
        line.push(Tone::Plain, quote_command(command));
        Some(line)
    }

    /// The rows of the root and the totals, each of one line or more; the total is last.
    fn summary(&self) -> Vec<Vec<Line>> {
        let now = self.now;
        let mut table = Table::new([Column::left("", VALUE_COLUMN), Column::right(""), Column::right("")]);
        let mut notes = Vec::new();
        for (label, size) in now.sizes {
            match label {
                "PSS" if size.is_none() => continue,
                "swap" if size.is_none_or(|swap| swap == 0) => continue,
                "cgroup" if size.is_none() || now.cgroup_limit.is_none() => continue,
                _ => {}
            }
            let has_none = label == "children" && now.children.is_empty();
            // From no children to none is no change.
            let before = self.before.filter(|before| !(has_none && before.children.is_empty()));
            let value = if has_none { "none".to_owned() } else { size_or_dash(size) };
            let (label_tone, tone) =
                if label == "total" { (Tone::Strong, Tone::Strong) } else { (Tone::Dim, Tone::Plain) };
            let moved = change(before.and_then(|before| before.size(label)), size);
            table.push([Cell::new(label_tone, label), Cell::new(tone, value), moved]);
            notes.push(self.notes(label, size));
        }
        let (lines, notes_at) = table.into_lines(2);
        lines.into_iter().zip(notes).map(|(line, note)| self.with_notes(line, note, notes_at)).collect()
    }

    fn notes(&self, label: &str, size: Option<u64>) -> Vec<String> {
        let note = match label {
            "RSS" => return self.rss_notes(),
            "children" => return self.children_notes(),
            "total" => return self.total_notes(),
            "PSS" => self.record.uss_bytes.map(|uss| format!("{} of it unshared (USS)", Bytes(uss))),
            "cgroup" => size.zip(self.now.cgroup_limit).map(|(current, limit)| {
                let share = ratio(current, limit).map(|share| format!("{} of ", percent(share)));
                format!("{}its limit of {}", share.unwrap_or_default(), Bytes(limit))
            }),
            _ => None,
        };
        note.into_iter().collect()
    }

    /// `line` with notes after it, or below if they do not fit.
    fn with_notes(&self, mut line: Line, notes: Vec<String>, at: usize) -> Vec<Line> {
        let limit = self.style.width.unwrap_or(usize::MAX);
        let mut lines = Vec::new();
        let mut start = at;
        line.skip_to(start);
        if notes.iter().any(|note| at.saturating_add(width(note)) >= limit) {
            // On a narrow terminal there is more room below the values.
            start = VALUE_COLUMN;
            lines.push(std::mem::replace(&mut line, Line::indented(start)));
        }
        let mut notes = notes.into_iter().peekable();
        while let Some(mut note) = notes.next() {
            if notes.peek().is_some() {
                note.push(',');
            }
            let begins = line.width() <= start;
            if !begins && line.width() + 1 + width(&note) > limit {
                lines.push(std::mem::replace(&mut line, Line::indented(start)));
            } else if !begins {
                line.push(Tone::Plain, " ");
            }
            line.push(Tone::Plain, note);
        }
        lines.push(line);
        lines
    }

    fn rss_notes(&self) -> Vec<String> {
        let record = self.record;
        let whole =
            |bytes: Option<u64>, or: &str| bytes.map_or(or.to_owned(), |bytes| Bytes(bytes).to_string());
        let machine = record
            .memory_ratio
            .map(|share| format!("{} of {}", percent(share), whole(self.machine_bytes, "the machine")));
        let cgroup = record.cgroup_ratio.map(|share| {
            format!("{} of the cgroup's {}", percent(share), whole(self.now.cgroup_limit, "limit"))
        });
        let peak = record.rss_peak_bytes.filter(|&peak| record.rss_bytes.is_some_and(|rss| peak > rss));
        let peak = peak.map(|peak| format!("peak {}", Bytes(peak)));
        [machine, cgroup, peak].into_iter().flatten().collect()
    }

    fn children_notes(&self) -> Vec<String> {
        let number = self.record.children_count;
        let processes = (number > 0).then(|| count(number, "process", "processes"));
        let new = (self.now.new > 0).then(|| format!("{} new", self.now.new));
        let short = self.record.short_lived_count.filter(|&number| number > 0);
        let short = short.map(|number| format!("{number} short-lived"));
        [processes, new, short].into_iter().flatten().collect()
    }

    fn total_notes(&self) -> Vec<String> {
        let record = self.record;
        let since = self.now.since.map(|iteration| format!("since #{iteration}"));
        let unreadable = (self.now.unreadable > 0).then(|| {
            format!("without {} that cannot be read", count(self.now.unreadable, "process", "processes"))
        });
        let pss = record.total_pss_bytes.map(|bytes| {
            let age = record.total_pss_age_seconds.filter(|&age| age > record.interval_seconds);
            let age = age.and_then(span).map(|age| format!(" ({age} old)")).unwrap_or_default();
            format!("PSS {}{age}", Bytes(bytes))
        });
        [since, unreadable, pss].into_iter().flatten().collect()
    }

    /// The children, the largest first.
    fn children(&self) -> Vec<Line> {
        let mut children: Vec<&ProcessSample> = self.record.children.iter().collect();
        children.sort_by_key(|child| (Reverse(child.rss_bytes), child.pid));
        let (listed, rest) = children.split_at_checked(MAX_CHILDREN).unwrap_or((&children, &[]));
        let with_pss = listed.iter().all(|child| child.pss_bytes.is_some() || child.rss_bytes.is_none());
        let mut table = Table::new([
            Column::right("PID"),
            Column::left("NAME", NAME_COLUMNS),
            Column::right("MEMORY"),
            Column::right("PSS"),
            Column::right("CHANGE"),
            Column::right("CPU"),
            Column::left("COMMAND", usize::MAX),
        ]);
        for child in listed {
            let pss = child.pss_bytes.filter(|_| with_pss);
            table.push([
                Cell::plain(child.pid.to_string()),
                Cell::plain(display_name(&child.name, self.style)),
                Cell::plain(size_or_dash(child.rss_bytes)),
                Cell::plain(pss.map(|bytes| Bytes(bytes).to_string()).unwrap_or_default()),
                self.child_change(child),
                Cell::plain(child.cpu_ratio.map(percent).unwrap_or_default()),
                child_command(child),
            ]);
        }
        let mut lines = if listed.is_empty() { Vec::new() } else { table.into_lines(4).0 };
        if !rest.is_empty() {
            let read = rest.iter().filter_map(|child| child.rss_bytes).reduce(u64::saturating_add);
            let mut line = Line::indented(4);
            line.push(Tone::Dim, format!("and {} smaller, {}", rest.len(), size_or_dash(read)));
            lines.push(line);
        }
        lines
    }

    fn child_change(&self, child: &ProcessSample) -> Cell {
        let Some(before) = self.before else { return Cell::default() };
        match before.children.get(&identity(child)) {
            None => Cell::plain("new"),
            Some(&before) => change(before, child.rss_bytes),
        }
    }
}

fn child_command(child: &ProcessSample) -> Cell {
    match child.state {
        Some(state) if state.has_ended() => Cell::new(Tone::Dim, format!("({state})")),
        _ => Cell::plain(child.cmdline.as_deref().map(short_command).unwrap_or_default()),
    }
}

/// A change as a cell; empty if either side is unknown.
fn change(before: Option<u64>, now: Option<u64>) -> Cell {
    let (Some(before), Some(now)) = (before, now) else { return Cell::default() };
    let change = Change::between(before, now);
    let tone = match change.0 {
        0 => Tone::Dim,
        1.. => Tone::Growth,
        _ => Tone::Shrinkage,
    };
    Cell::new(tone, change.to_string())
}

/// A ratio as `12.5 %`.
fn percent(ratio: f64) -> String {
    format!("{:.1} %", ratio * 100.0)
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
