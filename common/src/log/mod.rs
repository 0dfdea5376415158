//! Reads logs of any tool and version as moments: fast, and in bounded memory.
//!
//! One thread splits the inputs into pieces of complete lines (`pieces`); others parse those lines (`batch`), with a scanner for
//! the form that our tools write (`scan`) or with serde (`line`), which decides what a line means. The caller gets the moments
//! in order (`parallel`).
//!
//! ```
//! use std::ops::ControlFlow;
//!
//! use common::log::{Input, MomentData, Options, read};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let path = std::env::temp_dir().join(format!("memtools-log-example-{}.jsonl", std::process::id()));
//! # let header = r#""schema":2,"timestamp":"2026-11-23T22:27:00.000+01:00","host":"h","run":"r","iteration":1"#;
//! # std::fs::write(&path, format!("{{\"type\":\"error\",{header},\"stage\":\"sample\",\"message\":\"gone\"}}\n"))?;
//! let mut failed = 0;
//! let summary = read(&[Input::from(path.as_path())], &Options::new("example"), &mut |moment| {
//!     failed += u32::from(matches!(moment.data, MomentData::Failed(_)));
//!     ControlFlow::Continue(())
//! })
//! # .map_err(|failure| failure.message)?;
//! # std::fs::remove_file(&path)?;
//! assert_eq!((summary.moments, failed), (1, 1));
//! # Ok(())
//! # }
//! ```

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
use crate::stdio;

pub use input::Input;
pub use moment::{Cache, Census, Moment, MomentData, Process, Total, Tree};

use batch::{BadLine, Batch, MAX_REASONS};
use line::Line;
use parallel::Step;
use progress::Progress;

/// The default limit for lines: 64 MiB.
const MAX_LINE_BYTES: usize = 64 << 20;

/// The options of [`read`].
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// The tool's name, for messages.
    pub tool: &'a str,
    /// Whether to show progress on stderr: if it is a terminal, files are read, and it takes longer than a second. Not for a
    /// tool that prints meanwhile.
    pub progress: bool,
    /// Threads that parse lines. One more reads them.
    pub workers: usize,
    /// The limit for lines.
    pub max_line_bytes: usize,
    /// Whether to scan lines in the form that our tools write. If not, serde parses all lines, with the same result.
    pub fast: bool,
}

impl<'a> Options<'a> {
    /// The defaults for `tool`: progress, two threads, and lines of up to 64 MiB.
    #[must_use]
    pub fn new(tool: &'a str) -> Self {
        Self { tool, progress: true, workers: 2, max_line_bytes: MAX_LINE_BYTES, fast: true }
    }
}

/// The counts of a reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Moments passed to the caller.
    pub moments: u64,
    /// Records that are no moments: outputs of commands, watches of holders, and errors of something else than a measurement.
    pub other_records: u64,
    /// Records of unknown types.
    pub unknown: u64,
    /// Lines that are no records; reported on stderr.
    pub bad_lines: u64,
    /// Incomplete last lines: the writer was killed, or still writes. Not reported.
    pub torn_lines: u64,
    /// Inputs that failed before their end; reported on stderr.
    pub truncated_inputs: u64,
    /// Records that were scanned, not parsed by serde.
    pub scanned: u64,
    /// Whether the caller ended the reading.
    pub stopped: bool,
}

/// Reads all inputs one after the other, and passes each moment to `each` in order; moments from a pipe at once. `each` ends the
/// reading with `Break`.
///
/// Bad lines are reported on stderr as `tool: file:line: …`, each after the moments before it. The first few of each input are
/// reported singly, the rest by their number. They do not end the reading.
///
/// # Errors
/// An input cannot be opened, or no input has a record.
pub fn read(
    inputs: &[Input],
    options: &Options<'_>,
    each: &mut dyn FnMut(Moment) -> ControlFlow<()>,
) -> Result<Summary, Failure> {
    read_reporting(inputs, options, each, &|message| stdio::say(options.tool, message))
}

/// Like [`read`], but passes the messages about the inputs to `report`, without the tool's name.
///
/// # Errors
/// As [`read`].
pub fn read_reporting(
    inputs: &[Input],
    options: &Options<'_>,
    each: &mut dyn FnMut(Moment) -> ControlFlow<()>,
    report: &dyn Fn(&str),
) -> Result<Summary, Failure> {
    let mut total = Some(0_u64);
    for input in inputs {
        let length = input.check()?;
        total = total.zip(length).map(|(total, length)| total.saturating_add(length));
    }
    let steps = parallel::start(inputs, options.workers, options.max_line_bytes, options.fast)
        .map_err(|error| Failure::new(format!("cannot start a thread: {error}"), ""))?;
    let mut reader = LogReader {
        progress: Progress::new(options.tool, options.progress, total, steps.read.clone()),
        report,
        names: inputs.iter().map(Input::name).collect(),
        each,
        runs: legacy::Runs::default(),
        position: Position::default(),
        summary: Summary::default(),
    };
    let pause = reader.progress.pause();
    while let Some(step) = steps.next(pause) {
        if reader.handle(step).is_break() {
            reader.summary.stopped = true;
            return Ok(reader.summary);
        }
    }
    let LogReader { names, summary, .. } = reader;
    if summary.moments + summary.other_records + summary.unknown == 0 {
        let hint = "a log of memmon, memobj or memdiff is needed";
        return Err(Failure::new(format!("{}: no records", names.join(", ")), hint));
    }
    Ok(summary)
}

/// The state of the reading in the caller's thread.
struct LogReader<'a> {
    report: &'a dyn Fn(&str),
    names: Vec<String>,
    each: &'a mut dyn FnMut(Moment) -> ControlFlow<()>,
    runs: legacy::Runs,
    position: Position,
    progress: Progress,
    summary: Summary,
}

/// The position of the next lines.
#[derive(Debug, Default)]
struct Position {
    input: usize,
    /// The number of lines before them.
    lines: u64,
    /// Bad lines of the input, and how many of them were reported singly.
    bad: u64,
    reported: u64,
}

impl LogReader<'_> {
    fn handle(&mut self, step: Step) -> ControlFlow<()> {
        self.progress.tick();
        match step {
            Step::Batch(batch) => return self.handle_batch(batch),
            Step::Failed(error) => {
                self.summary.truncated_inputs += 1;
                let kept = if self.position.lines > 0 { "; what was read before is kept" } else { "" };
                self.say(&format!("{}: {}{kept}", self.name(), describe_error(&error)));
            }
            Step::NextInput => {
                let unreported = self.position.bad - self.position.reported;
                if unreported > 0 {
                    self.say(&format!("{}: {unreported} more lines are no records, left out", self.name()));
                }
                self.position = Position { input: self.position.input + 1, ..Position::default() };
            }
            Step::Waiting => {}
        }
        ControlFlow::Continue(())
    }

    fn handle_batch(&mut self, batch: Batch) -> ControlFlow<()> {
        self.summary.other_records += batch.other_records;
        self.summary.unknown += batch.unknown;
        self.summary.torn_lines += batch.torn_lines;
        self.summary.scanned += batch.scanned;
        self.summary.bad_lines += batch.bad_lines;
        self.position.bad += batch.bad_lines;
        let mut reasons = batch.reasons.into_iter().peekable();
        for (line, found) in batch.moments {
            while let Some((line, reason)) = reasons.next_if(|(bad, _)| *bad <= line) {
                self.report_bad_line(line, reason);
            }
            let mut moment = match found {
                Line::Moment(moment) => moment,
                Line::Legacy(mut moment) => {
                    moment.run = self.runs.name(self.position.input, moment.iteration);
                    moment
                }
                Line::NoMoment | Line::Unknown => continue,
            };
            self.summary.moments += 1;
            moment.input = self.position.input;
            moment.line = self.position.lines + line;
            (self.each)(*moment)?;
        }
        for (line, reason) in reasons {
            self.report_bad_line(line, reason);
        }
        self.position.lines += batch.lines;
        ControlFlow::Continue(())
    }

    fn report_bad_line(&mut self, line: u64, reason: BadLine) {
        if self.position.reported < MAX_REASONS as u64 {
            self.position.reported += 1;
            let line = self.position.lines + line;
            self.say(&format!("{}:{line}: {reason}", self.name()));
        }
    }

    fn name(&self) -> &str {
        self.names.get(self.position.input).map_or("", String::as_str)
    }

    fn say(&mut self, message: &str) {
        self.progress.clear();
        (self.report)(message);
    }
}

/// Describes the error that ended an input.
fn describe_error(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the archive is cut off".to_owned(),
        _ => error.to_string(),
    }
}
