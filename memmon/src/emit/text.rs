//! Blocks for people: one for each sample, with what happened between the samples and what follows from them.

mod event_lines;
mod sample_block;

#[cfg(test)]
mod event_tests;
#[cfg(test)]
mod tests;

use common::columns::{Tone, cut};
use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use common::record::{ErrorRecord, EventKind, ProcessEvent, ProcessRecord, Record};
use common::stdio::escape_controls;
use common::table::{Line, Style};
use common::units::Bytes;

use self::event_lines::{LimitCrossing, PendingEvents};
use self::sample_block::{Checkpoint, SampleBlock};
use super::Sink;

/// Columns for a name before it is cut, or pushes the columns behind it where nothing is cut.
const NAME_COLUMNS: usize = 24;

/// A root not seen for so many samples has ended; its last values are forgotten.
const MAX_ROOT_AGE: u64 = 100;

/// A process within a run: its number and when it began.
type ProcessIdentity = (u32, Option<Arc<str>>);

/// Records for people: a block for each `process` record, with changes since the block before of the same root.
///
/// What happened before a sample is held back until the sample is there, and summed up if it was much;
/// [`finish`](Sink::finish) writes what is still held, and so does dropping, which cannot tell of an error.
#[derive(Debug)]
pub struct Text<W: Write> {
    output: W,
    style: Style,
    /// What the record at hand becomes; written at once.
    text: String,
    /// Whether anything was written yet.
    has_written: bool,
    /// The iteration of what was written last.
    last: Option<u64>,
    pending: PendingEvents,
    crossing: Option<LimitCrossing>,
    roots: HashMap<ProcessIdentity, Checkpoint>,
    machine_bytes: Option<u64>,
    /// The day of the block before.
    date: String,
}

impl<W: Write> Text<W> {
    /// Text in `style` to `output`, which should not buffer.
    pub fn new(output: W, style: Style) -> Self {
        Self {
            output,
            style: Style { width: style.width.filter(|&columns| columns > 0), ..style },
            text: String::new(),
            has_written: false,
            last: None,
            pending: PendingEvents::default(),
            crossing: None,
            roots: HashMap::new(),
            machine_bytes: None,
            date: String::new(),
        }
    }

    fn process(&mut self, record: &ProcessRecord) {
        self.flush_pending();
        if let Some(system) = &record.system {
            self.machine_bytes = Some(system.total_bytes);
        }
        self.roots.retain(|_, root| record.iteration.saturating_sub(root.iteration) <= MAX_ROOT_AGE);
        let identity = (record.pid, record.start_time.clone());
        let before = self.roots.remove(&identity);
        let now = Checkpoint::new(record, before.as_ref());
        let date = record.timestamp.format("%Y-%m-%d");
        let block = SampleBlock {
            record,
            now: &now,
            before: before.as_ref(),
            machine_bytes: self.machine_bytes,
            date: (date != self.date).then_some(date.as_str()),
            style: self.style,
        };
        self.write_group(record.iteration, &block.lines());
        self.date = date;
        self.roots.insert(identity, now);
    }

    fn event(&mut self, event: &ProcessEvent) {
        match event.event {
            EventKind::Started | EventKind::Exited | EventKind::Replaced => {
                if self.pending.iteration != event.iteration {
                    self.flush_pending();
                }
                self.pending.take(event, self.style);
            }
            EventKind::Grew => {
                let root = self.roots.iter().filter(|((pid, _), _)| *pid == event.root_pid);
                let since = root.max_by_key(|(_, root)| root.iteration).and_then(|(_, root)| root.since);
                self.write_below(event.iteration, &[event_lines::grew(event, since, self.style)]);
            }
            EventKind::LimitCrossed => {
                let crossing = LimitCrossing::new(event, self.crossing.take());
                let lines = crossing.lines(event, self.style);
                self.write_below(event.iteration, &lines);
                self.crossing = Some(crossing);
            }
            EventKind::OomKill => {
                self.write_below(event.iteration, &[event_lines::oom_kill(event, self.style)])
            }
            EventKind::Unknown => {}
        }
    }

    fn error(&mut self, error: &ErrorRecord) {
        let pid = error.pid.map(|pid| format!(" pid {pid}")).unwrap_or_default();
        let hint = error.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        let text = format!("! could not {}{pid}: {}{hint}", error.stage, error.message);
        self.write_below(error.iteration, &[Line::whole(2, Tone::Warning, escape_controls(&text))]);
    }

    /// What was held back.
    fn flush_pending(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let iteration = pending.iteration;
        let lines = pending.into_lines();
        if !lines.is_empty() {
            self.write_group(iteration, &lines);
        }
    }

    /// Lines set apart from what stands before them.
    fn write_group(&mut self, iteration: u64, lines: &[Line]) {
        if self.has_written || !self.text.is_empty() {
            self.text.push('\n');
        }
        self.last = Some(iteration);
        self.add(lines);
    }

    /// Lines that belong to what stands before them, if that is of the same iteration.
    fn write_below(&mut self, iteration: u64, lines: &[Line]) {
        if self.last == Some(iteration) {
            self.add(lines);
        } else {
            self.write_group(iteration, lines);
        }
    }

    fn add(&mut self, lines: &[Line]) {
        self.crossing = None;
        for line in lines {
            line.write(self.style, &mut self.text);
        }
    }

    fn write(&mut self) -> io::Result<()> {
        if self.text.is_empty() {
            return Ok(());
        }
        let result = self.output.write_all(self.text.as_bytes()).and_then(|()| self.output.flush());
        self.text.clear();
        self.has_written |= result.is_ok();
        result
    }
}

impl<W: Write> Sink for Text<W> {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        match record {
            Record::Process(record) => self.process(record),
            Record::ProcessEvent(event) => self.event(event),
            Record::Error(error) => self.error(error),
            // What a command prints is relayed where it is launched.
            Record::Output(_)
            | Record::Census(_)
            | Record::Leaks(_)
            | Record::Diff(_)
            | Record::Unknown(_) => {}
        }
        self.write()
    }

    /// A width of 0 comes from a terminal that does not know its size, and cuts nothing.
    fn set_width(&mut self, width: Option<usize>) {
        self.style.width = width.filter(|&columns| columns > 0);
    }

    fn finish(&mut self) -> io::Result<()> {
        self.flush_pending();
        self.write()
    }
}

impl<W: Write> Drop for Text<W> {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

/// A name for a line of text: escaped, and cut if lines are cut.
fn display_name(name: &str, style: Style) -> String {
    let name = escape_controls(name);
    if style.width.is_some() { cut(&name, NAME_COLUMNS).into_owned() } else { name.into_owned() }
}

/// A size, or what stands for one that is not known.
fn size_or_dash(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "–".to_owned(), |bytes| Bytes(bytes).to_string())
}

/// `1 process`, `2 processes`.
fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
