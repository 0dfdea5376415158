//! Reads logs, of whatever tool and age, as moments: fast, in memory that does not grow with them.
//!
//! One thread takes the inputs apart into pieces of whole lines (`pieces`), some read those lines (`batch`): by a scanner of the
//! forms that our tools write (`scan`), or by serde, which is the truth about what a line says (`line`). The caller gets the
//! moments in order (`parallel`).

mod batch;
mod input;
mod legacy;
mod line;
mod moment;
mod parallel;
mod pieces;
mod progress;
mod scan;
#[cfg(test)]
mod tests;
mod zstd;

use std::io;
use std::ops::ControlFlow;

use crate::cli::Failure;
use crate::jsonl::{BadLine, MAX_LINE_BYTES, Reason};
use crate::stdio;

pub use input::Input;
pub use moment::{Cache, Census, Moment, Process, Total, Tree, What};

use batch::{Batch, MAX_REASONS};
use line::Line;
use parallel::Step;
use progress::Progress;

/// How to read.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// The tool's name, for messages.
    pub tool: &'a str,
    /// Whether to show on stderr how far it is, where that is a terminal, files are read, and it takes longer than a second.
    /// Not for a tool that prints meanwhile.
    pub progress: bool,
    /// How many threads parse lines, beside one that reads and the caller's.
    pub workers: usize,
    /// The longest line that is taken in.
    pub max_line_bytes: usize,
    /// Whether lines in the form that our tools write may be read the fast way. It finds the same; without it serde reads all.
    pub fast: bool,
}

impl<'a> Options<'a> {
    /// For `tool`: with progress, two threads, and the contract's length of lines.
    #[must_use]
    pub fn new(tool: &'a str) -> Self {
        Self { tool, progress: true, workers: 2, max_line_bytes: MAX_LINE_BYTES, fast: true }
    }
}

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Moments given to the caller.
    pub moments: u64,
    /// Records that are no moments: outputs of commands, errors beside the measuring.
    pub beside: u64,
    /// Records of types that this version does not know.
    pub unknown: u64,
    /// Lines that were left out and told on stderr.
    pub bad_lines: u64,
    /// Last lines that were incomplete: their writer was killed or is still at it. Not told.
    pub torn_lines: u64,
    /// Inputs that could not be read to their end; told on stderr.
    pub cut_inputs: u64,
    /// Records that were read the fast way.
    pub scanned: u64,
    /// Whether the caller wanted no more.
    pub stopped: bool,
}

/// Reads all inputs, one after the other, and gives every moment to `each` in the order in which it stands there; one that comes
/// through a pipe at once. `each` ends the reading with `Break`.
///
/// Bad lines are told on stderr as `tool: file:line: …`, each after the moments that stand before it, the first few of each input one by
/// one and the others by number; reading goes on behind them.
///
/// # Errors
/// An input that is not there or cannot be opened, and inputs without a single record.
pub fn read(
    inputs: &[Input],
    options: &Options<'_>,
    each: &mut dyn FnMut(Moment) -> ControlFlow<()>,
) -> Result<Summary, Failure> {
    read_and_tell(inputs, options, each, &|message| stdio::say(options.tool, message))
}

/// The same with another way to tell of what is wrong with the inputs: each message without the tool's name.
///
/// # Errors
/// As [`read`].
pub fn read_and_tell(
    inputs: &[Input],
    options: &Options<'_>,
    each: &mut dyn FnMut(Moment) -> ControlFlow<()>,
    tell: &dyn Fn(&str),
) -> Result<Summary, Failure> {
    let mut total = Some(0_u64);
    for input in inputs {
        let length = input.check()?;
        total = total.zip(length).map(|(total, length)| total.saturating_add(length));
    }
    let steps = parallel::start(inputs, options.workers, options.max_line_bytes, options.fast)
        .map_err(|error| Failure::new(format!("no thread to read with: {error}"), ""))?;
    let mut reading = Reading {
        progress: Progress::new(options.tool, options.progress, total, steps.read.clone()),
        tell,
        names: inputs.iter().map(Input::name).collect(),
        each,
        runs: legacy::Runs::default(),
        place: Place::default(),
        summary: Summary::default(),
    };
    let pause = reading.progress.pause();
    while let Some(step) = steps.next(pause) {
        if reading.take(step).is_break() {
            reading.summary.stopped = true;
            return Ok(reading.summary);
        }
    }
    let Reading { names, summary, .. } = reading;
    if summary.moments + summary.beside + summary.unknown == 0 {
        let hint = "a log of memmon, memobj or memdiff is needed";
        return Err(Failure::new(format!("{}: no records", names.join(", ")), hint));
    }
    Ok(summary)
}

/// The reading of all inputs, in the caller's thread.
struct Reading<'a> {
    tell: &'a dyn Fn(&str),
    names: Vec<String>,
    each: &'a mut dyn FnMut(Moment) -> ControlFlow<()>,
    runs: legacy::Runs,
    place: Place,
    progress: Progress,
    summary: Summary,
}

/// Where the next lines stand.
#[derive(Debug, Default)]
struct Place {
    input: usize,
    /// Lines of the input before them.
    lines: u64,
    /// Lines of the input that were bad, and how many of them were told.
    bad: u64,
    told: u64,
}

impl Reading<'_> {
    fn take(&mut self, step: Step) -> ControlFlow<()> {
        self.progress.tick();
        match step {
            Step::Batch(batch) => return self.batch(batch),
            Step::Failed(error) => {
                self.summary.cut_inputs += 1;
                let kept = if self.place.lines > 0 { "; what was read before is kept" } else { "" };
                self.say(&format!("{}: {}{kept}", self.name(), trouble(&error)));
            }
            Step::NextInput => {
                let untold = self.place.bad - self.place.told;
                if untold > 0 {
                    self.say(&format!("{}: {untold} more lines are no records, left out", self.name()));
                }
                self.place = Place { input: self.place.input + 1, ..Place::default() };
            }
            Step::Waiting => {}
        }
        ControlFlow::Continue(())
    }

    fn batch(&mut self, batch: Batch) -> ControlFlow<()> {
        self.summary.beside += batch.beside;
        self.summary.unknown += batch.unknown;
        self.summary.torn_lines += batch.torn_lines;
        self.summary.scanned += batch.scanned;
        self.summary.bad_lines += batch.bad_lines;
        self.place.bad += batch.bad_lines;
        let mut reasons = batch.reasons.into_iter().peekable();
        for (line, found) in batch.moments {
            while let Some((line, reason)) = reasons.next_if(|(bad, _)| *bad <= line) {
                self.bad(line, reason);
            }
            let mut moment = match found {
                Line::Moment(moment) => moment,
                Line::Legacy(mut moment) => {
                    moment.run = self.runs.name(self.place.input, moment.iteration);
                    moment
                }
                Line::Beside | Line::Unknown => continue,
            };
            self.summary.moments += 1;
            moment.input = self.place.input;
            moment.line = self.place.lines + line;
            (self.each)(*moment)?;
        }
        for (line, reason) in reasons {
            self.bad(line, reason);
        }
        self.place.lines += batch.lines;
        ControlFlow::Continue(())
    }

    fn bad(&mut self, line: u64, reason: Reason) {
        if self.place.told < MAX_REASONS as u64 {
            self.place.told += 1;
            let line = self.place.lines + line;
            self.say(&BadLine { file: self.name().to_owned(), line, reason }.to_string());
        }
    }

    fn name(&self) -> &str {
        self.names.get(self.place.input).map_or("", String::as_str)
    }

    fn say(&mut self, message: &str) {
        self.progress.clear();
        (self.tell)(message);
    }
}

/// What stopped an input, in words.
fn trouble(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the archive is cut off".to_owned(),
        _ => error.to_string(),
    }
}
