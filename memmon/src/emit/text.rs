//! Text for people: a block for each sample, with the events between samples and warnings.

mod event_lines;
mod format;
mod sample_block;

#[cfg(test)]
mod event_tests;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io::{self, Write};

use common::columns::Tone;
use common::record::{ErrorRecord, EventKind, ProcessEvent, ProcessRecord, Record};
use common::record_sink::Sink;
use common::stdio::escape_controls;
use common::table::{Line, Style};

pub use self::format::describe_metric;

use self::event_lines::{LimitCrossing, PendingEvents};
use self::format::ProcessIdentity;
use self::sample_block::{Checkpoint, SampleBlock};

/// After this many samples without a root its last values are forgotten.
const MAX_ROOT_AGE: u64 = 100;

/// Writes a block for each `process` record, with changes since the last block of the same root.
///
/// Events before a sample are held back until the sample arrives, and summarized if there are many. [`finish`](Sink::finish)
/// writes them in any case, and so does dropping, which cannot report an error.
#[derive(Debug)]
pub struct Text<W: Write> {
    output: W,
    style: Style,
    /// The text of the current record, written at once.
    text: String,
    /// Whether anything was written.
    has_written: bool,
    /// The iteration of the last text.
    last: Option<u64>,
    pending: PendingEvents,
    crossing: Option<LimitCrossing>,
    roots: HashMap<ProcessIdentity, Checkpoint>,
    machine_bytes: Option<u64>,
    /// The date of the last block.
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
            EventKind::Started | EventKind::Exited | EventKind::Replaced | EventKind::Omitted => {
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
        let pid = error.pid.map(|pid| format!(" for pid {pid}")).unwrap_or_default();
        let hint = error.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        let text = format!("! {} failed{pid}: {}{hint}", error.stage, error.message);
        self.write_below(error.iteration, &[Line::whole(2, Tone::Warning, escape_controls(&text))]);
    }

    /// Writes the events that were held back.
    fn flush_pending(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let iteration = pending.iteration;
        let lines = pending.into_lines();
        if !lines.is_empty() {
            self.write_group(iteration, &lines);
        }
    }

    /// Writes lines after an empty line.
    fn write_group(&mut self, iteration: u64, lines: &[Line]) {
        if self.has_written || !self.text.is_empty() {
            self.text.push('\n');
        }
        self.last = Some(iteration);
        self.add(lines);
    }

    /// Writes lines directly below the last ones, if these are of the same iteration.
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
        let result = self.output.write_all(self.text.as_bytes());
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
            // Output of the command is relayed already; other records are not memmon's.
            _ => {}
        }
        self.write()
    }

    /// A terminal of unknown size reports 0 columns; then nothing is cut.
    fn set_width(&mut self, width: Option<usize>) {
        self.style.width = width.filter(|&columns| columns > 0);
    }

    fn finish(&mut self) -> io::Result<()> {
        self.flush_pending();
        self.write()?;
        self.output.flush()
    }
}

impl<W: Write> Drop for Text<W> {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}
