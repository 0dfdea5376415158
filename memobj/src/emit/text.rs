//! A block of tables for each census, with what changed at every few.

mod advice;
mod caches;
mod census;
mod holders;
mod leaks;
mod memory;
mod type_changes;

use std::collections::HashMap;
use std::io::{self, Write};

use common::columns::Tone;
use common::record::{CensusRecord, ErrorRecord, EventKind, ProcessEvent, Record};
use common::stdio::escape_controls;
use common::table::{Line, Style};
use common::time::Stamp;

use self::census::CensusView;
use self::type_changes::TypeChanges;
use super::summary::CensusSummary;
use crate::account::growth::AccountSummary;

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextOptions {
    /// Rows of a table.
    pub limit: usize,
    /// At every how many censuses of a process the change is shown; 0: never.
    pub diff_every: u64,
    /// Whether an account of the resident set was asked for.
    pub memory: bool,
}

/// What was shown of a process.
#[derive(Debug)]
struct TextState {
    /// How many censuses.
    censuses: u64,
    /// What had the resident set at the last one.
    figures: Option<AccountSummary>,
    /// What it had when changes were shown last, or first of all.
    base: CensusSummary,
    /// When that was.
    base_at: Stamp,
    /// The iteration of that.
    base_iteration: u64,
    /// The caches at the census before this one.
    caches: Option<caches::Before>,
}

/// Censuses for people.
#[derive(Debug)]
pub struct TextWriter<W: Write> {
    output: W,
    style: Style,
    options: TextOptions,
    processes: HashMap<(u32, Option<u64>), TextState>,
    begun: bool,
    /// The day of the block before.
    date: String,
}

impl<W: Write> TextWriter<W> {
    /// Text in `style` to `output`, which should not buffer.
    pub fn new(output: W, style: Style, options: TextOptions) -> Self {
        let mut text =
            Self { output, style, options, processes: HashMap::new(), begun: false, date: String::new() };
        text.set_width(style.width);
        text
    }

    /// Cuts lines at another width from now on: the terminal was resized. 0 columns are what a terminal says that does not
    /// know, and cut nothing.
    pub fn set_width(&mut self, width: Option<usize>) {
        self.style.width = width.filter(|&columns| columns > 0);
    }

    /// Shows a census; `tally` has all its rows, of which the record may list a part.
    ///
    /// # Errors
    /// What the output says.
    pub fn census(&mut self, record: &CensusRecord, summary: &CensusSummary) -> io::Result<()> {
        let date = record.timestamp.format("%Y-%m-%d");
        let day = (date != self.date).then_some(date.as_str());
        let every = self.options.diff_every;
        let process = (record.pid, record.start_ticks);
        let shown = self.processes.entry(process).or_insert_with(|| TextState {
            censuses: 0,
            figures: None,
            base: summary.clone(),
            base_at: record.timestamp,
            base_iteration: record.iteration,
            caches: None,
        });
        let block =
            CensusView { record, summary, limit: self.options.limit, day, caches: shown.caches.as_ref() };
        let mut lines = block.lines();
        shown.caches = summary.caches.as_deref().map(caches::cache_sizes);
        shown.censuses += 1;
        let memory = record.memory.as_ref();
        if let (None, true) = (memory, self.options.memory) {
            lines.push(memory::missing(record));
        }
        let figures = memory.map(super::memory::figures);
        if let (Some(before), Some(now)) = (&shown.figures, &figures) {
            lines.extend(memory::since(before, now));
        }
        shown.figures = figures.or(shown.figures.take());
        // What is wanted of caches fits one screen, and has changes of its own.
        let every = if summary.caches.is_some() { 0 } else { every };
        if every > 0 && shown.censuses > 1 && shown.censuses.is_multiple_of(every) {
            let since = (shown.base_at, shown.base_iteration);
            lines.extend(TypeChanges::between(&shown.base, summary).lines(
                since,
                record.timestamp,
                self.options.limit,
            ));
            shown.base.clone_from(summary);
            shown.base_at = record.timestamp;
            shown.base_iteration = record.iteration;
        }
        self.date = date;
        self.write(&lines)
    }

    /// Shows any other record that has something for people.
    ///
    /// # Errors
    /// What the output says.
    pub fn record(&mut self, record: &Record) -> io::Result<()> {
        match record {
            Record::Error(error) => self.write(&[error_line(error)]),
            Record::Leaks(leaks) => self.write(&leaks::lines(leaks)),
            Record::ProcessEvent(event) => {
                if event.event == EventKind::Exited {
                    self.processes.retain(|(pid, _), _| *pid != event.pid);
                }
                self.write(&[event_line(event)])
            }
            _ => Ok(()),
        }
    }

    /// Lines set apart from those before them, in one write.
    fn write(&mut self, lines: &[Line]) -> io::Result<()> {
        let mut text = String::new();
        if self.begun {
            text.push('\n');
        }
        for line in lines {
            line.write(self.style, &mut text);
        }
        self.output.write_all(text.as_bytes())?;
        self.output.flush()?;
        self.begun = true;
        Ok(())
    }
}

fn error_line(error: &ErrorRecord) -> Line {
    let pid = error.pid.map(|pid| format!(" pid {pid}")).unwrap_or_default();
    let hint = error.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    let time = error.timestamp.format("%H:%M:%S");
    let text = format!("#{}  {time}  ! no census{pid}: {}{hint}", error.iteration, error.message);
    Line::whole(0, Tone::Warning, escape_controls(&text))
}

fn event_line(event: &ProcessEvent) -> Line {
    let name = event.name.as_deref().unwrap_or("?");
    let what = match (event.event, event.exit_code, event.signal) {
        (EventKind::Exited, Some(code), _) => format!("ended with status {code}"),
        (EventKind::Exited, None, Some(signal)) => format!("was ended by signal {signal}"),
        (EventKind::Exited, None, None) => "ended".into(),
        (EventKind::Replaced, ..) => "became another program".into(),
        _ => "began".into(),
    };
    let time = event.timestamp.format("%H:%M:%S");
    let text = format!("#{}  {time}  {name} (pid {}) {what}", event.iteration, event.pid);
    Line::whole(0, Tone::Plain, escape_controls(&text))
}

#[cfg(test)]
mod tests;
