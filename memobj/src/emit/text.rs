//! Tables for people: one block per census, and the changes every few censuses.

mod caches;
mod census;
mod holders;
mod memory;
mod packages;
mod tables;
mod type_changes;
mod writes;

use std::io::{self, Write};

use common::columns::Tone;
use common::record::{
    CensusRecord, ErrorRecord, EventKind, LeaksRecord, MemoryAccount, ProcessEvent, Record,
};
use common::stdio::escape_controls;
use common::table::{Line, Style};
use common::time::Stamp;
use common::verdict::{Level, Sentence, of_processes};

use self::census::CensusView;
use self::type_changes::TypeChanges;
use super::summary::CensusSummary;
use crate::census::Census;
use crate::config::TextOptions;

/// The columns of labels and of the text behind them.
const LABEL: usize = 2;
const TEXT: usize = 11;

/// The state of the text of a process.
#[derive(Debug)]
pub struct TextState {
    /// Censuses that were shown.
    censuses: u64,
    /// The account at the last one that had one.
    memory: Option<MemoryAccount>,
    /// The census that changes are shown against, its moment and its number.
    base: CensusSummary,
    base_at: Stamp,
    base_iteration: u64,
    /// The caches of the last census.
    caches: Option<caches::Before>,
}

/// Writes censuses for people.
#[derive(Debug)]
pub struct TextWriter<W: Write> {
    output: W,
    style: Style,
    options: TextOptions,
    /// Whether anything was written.
    begun: bool,
    /// The day of the last block.
    date: String,
}

impl<W: Write> TextWriter<W> {
    /// Writes to `output`, which should not buffer.
    pub fn new(output: W, style: Style, options: TextOptions) -> Self {
        let mut text = Self { output, style, options, begun: false, date: String::new() };
        text.set_width(style.width);
        text
    }

    /// Cuts lines at this width from now on. Terminals that do not know their width report 0.
    pub fn set_width(&mut self, width: Option<usize>) {
        self.style.width = width.filter(|&columns| columns > 0);
    }

    /// Writes a census, and every few censuses what changed. `state` is what was remembered of the process.
    ///
    /// # Errors
    /// The output refuses.
    pub fn census(
        &mut self,
        record: &CensusRecord,
        census: &Census,
        summary: CensusSummary,
        state: &mut Option<TextState>,
    ) -> io::Result<()> {
        let date = record.timestamp.format("%Y-%m-%d");
        let before = state.as_ref();
        let view = CensusView {
            record,
            census,
            summary: &summary,
            limit: self.options.limit,
            day: (date != self.date).then_some(&date),
            caches: before.and_then(|state| state.caches.as_ref()),
        };
        let mut lines = view.lines();
        let memory = record.memory.as_ref();
        if let (None, true) = (memory, self.options.memory) {
            lines.push(memory::missing(record));
        }
        if let (Some(before), Some(now)) = (before.and_then(|state| state.memory.as_ref()), memory) {
            lines.extend(memory::since(before, now));
        }
        let caches = census.caches.as_deref().map(caches::cache_sizes);
        // The caches alone fit one screen, and show their changes themselves.
        let every = if caches.is_some() { 0 } else { self.options.diff_every };
        let (base_at, base_iteration) = (record.timestamp, record.iteration);
        match state {
            Some(state) => {
                state.censuses += 1;
                if every > 0 && state.censuses.is_multiple_of(every) {
                    let since = (state.base_at, state.base_iteration);
                    let changes = TypeChanges::between(&state.base, &summary);
                    lines.extend(changes.lines(since, record.timestamp, self.options.limit));
                    (state.base, state.base_at, state.base_iteration) = (summary, base_at, base_iteration);
                }
                (state.memory, state.caches) = (memory.cloned().or(state.memory.take()), caches);
            }
            None => {
                *state = Some(TextState {
                    censuses: 1,
                    memory: memory.cloned(),
                    base: summary,
                    base_at,
                    base_iteration,
                    caches,
                });
            }
        }
        self.date = date;
        self.write(&lines)
    }

    /// Writes any other record that is of interest to people.
    ///
    /// # Errors
    /// The output refuses.
    pub fn record(&mut self, record: &Record) -> io::Result<()> {
        match record {
            Record::Error(error) => self.write(&[error_line(error)]),
            Record::Writes(writes) => self.write(&writes::lines(writes)),
            Record::Leaks(leaks) => self.leaks(std::slice::from_ref(leaks)),
            Record::ProcessEvent(event) => self.write(&[event_line(event)]),
            _ => Ok(()),
        }
    }

    /// Writes the verdicts on leaks of all processes: equal ones once, and those on processes without leaks together at the end.
    ///
    /// # Errors
    /// The output refuses.
    pub fn leaks(&mut self, records: &[LeaksRecord]) -> io::Result<()> {
        for block in of_processes(records) {
            self.write(&block.iter().map(sentence_line).collect::<Vec<_>>())?;
        }
        Ok(())
    }

    /// Writes lines as a block of their own, in one call.
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

/// A sentence of a verdict, wrapped.
fn sentence_line(sentence: &Sentence) -> Line {
    let Sentence { level, label, tone, text } = sentence;
    let text = escape_controls(text);
    match level {
        Level::Headline => {
            let mut line = Line::whole(0, *tone, label);
            line.push_apart(Tone::Strong, text);
            line
        }
        Level::Detail if label.is_empty() => Line::whole(LABEL, *tone, text),
        Level::Detail => {
            let mut line = Line::whole(LABEL, Tone::Dim, label);
            line.skip_to(TEXT);
            line.push(*tone, text);
            line
        }
        Level::Remark => Line::whole(0, *tone, text),
    }
}

fn error_line(error: &ErrorRecord) -> Line {
    // Most messages begin with the process.
    let pid = error.pid.filter(|_| !error.message.starts_with("pid "));
    let pid = pid.map(|pid| format!(" of pid {pid}")).unwrap_or_default();
    let hint = error.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    let time = error.timestamp.format("%H:%M:%S");
    let text = format!("#{}  {time}  ! no census{pid}: {}{hint}", error.iteration, error.message);
    Line::whole(0, Tone::Warning, escape_controls(&text))
}

fn event_line(event: &ProcessEvent) -> Line {
    let name = event.name.as_deref().unwrap_or("?");
    let what = match (event.event, event.exit_code, event.signal) {
        (EventKind::Exited, Some(code), _) => format!("exited with status {code}"),
        (EventKind::Exited, None, Some(signal)) => format!("was killed by signal {signal}"),
        (EventKind::Exited, None, None) => "exited".into(),
        (EventKind::Replaced, ..) => "runs another program now".into(),
        _ => "started".into(),
    };
    let time = event.timestamp.format("%H:%M:%S");
    let text = format!("#{}  {time}  {name} (pid {}) {what}", event.iteration, event.pid);
    Line::whole(0, Tone::Plain, escape_controls(&text))
}

#[cfg(test)]
mod tests;
