//! Reads logs, of whatever tool and age, as moments: fast, in memory that does not grow with them.

mod input;
mod legacy;
mod line;
mod moment;

use std::io::{BufRead, BufReader, Read};
use std::ops::ControlFlow;

use crate::cli::Failure;
use crate::jsonl::{BadLine, MAX_LINE_BYTES, Reason};
use crate::stdio;

pub use input::Input;
pub use moment::{Census, Moment, Process, Total, Tree, What};

use line::Line;

/// How many bad lines of an input are told one by one.
const TOLD_BAD_LINES: u64 = 5;

/// How to read.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// The tool's name, for messages.
    pub tool: &'a str,
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
    /// Whether the caller wanted no more.
    pub stopped: bool,
}

/// Reads all inputs, one after the other, and gives every moment to `each` in the order in which it stands there; one that comes
/// through a pipe at once. `each` ends the reading with `Break`.
///
/// Bad lines are told on stderr as `tool: file:line: …`, the first few of each input one by one and the others by number; reading goes
/// on behind them.
///
/// # Errors
/// An input that cannot be opened, and inputs without a single record.
pub fn read(
    inputs: &[Input],
    options: &Options<'_>,
    each: &mut dyn FnMut(Moment) -> ControlFlow<()>,
) -> Result<Summary, Failure> {
    for input in inputs {
        input.check()?;
    }
    let mut reading = Reading { options, each, runs: legacy::Runs::default(), summary: Summary::default() };
    for (index, input) in inputs.iter().enumerate() {
        if reading.input(index, input).is_break() {
            reading.summary.stopped = true;
            return Ok(reading.summary);
        }
    }
    let summary = reading.summary;
    if summary.moments + summary.beside + summary.unknown == 0 {
        let names: Vec<String> = inputs.iter().map(Input::name).collect();
        return Err(Failure::new(
            format!("{}: no records", names.join(", ")),
            "is this a log of memmon or memobj?",
        ));
    }
    Ok(summary)
}

struct Reading<'a> {
    options: &'a Options<'a>,
    each: &'a mut dyn FnMut(Moment) -> ControlFlow<()>,
    runs: legacy::Runs,
    summary: Summary,
}

impl Reading<'_> {
    fn input(&mut self, index: usize, input: &Input) -> ControlFlow<()> {
        let name = input.name();
        let bad_before = self.summary.bad_lines;
        let mut source = match input.open() {
            Ok(source) => BufReader::with_capacity(1 << 16, source),
            Err(error) => {
                stdio::say(self.options.tool, &format!("{name}: {error}"));
                self.summary.cut_inputs += 1;
                return ControlFlow::Continue(());
            }
        };
        let mut buffer = Vec::new();
        let mut number = 0;
        let room = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
        loop {
            buffer.clear();
            match source.by_ref().take(room).read_until(b'\n', &mut buffer) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    stdio::say(self.options.tool, &format!("{name}: {error}"));
                    self.summary.cut_inputs += 1;
                    break;
                }
            }
            number += 1;
            let ended = buffer.last() == Some(&b'\n');
            if !ended && buffer.len() > MAX_LINE_BYTES {
                let _ = source.skip_until(b'\n');
                self.bad(&name, number, Reason::TooLong { limit: MAX_LINE_BYTES }, bad_before);
                continue;
            }
            let text =
                buffer.strip_prefix(b"\xef\xbb\xbf").filter(|_| number == 1).unwrap_or(&buffer).trim_ascii();
            if text.is_empty() {
                continue;
            }
            match line::parse(text) {
                Ok(line) => self.line(index, number, line)?,
                Err(crate::record::RecordError::Json(error)) if !ended && error.is_eof() => {
                    self.summary.torn_lines += 1
                }
                Err(error) => self.bad(&name, number, Reason::NotARecord(error), bad_before),
            }
        }
        let untold = (self.summary.bad_lines - bad_before).saturating_sub(TOLD_BAD_LINES);
        if untold > 0 {
            stdio::say(self.options.tool, &format!("{name}: {untold} more lines are no records, left out"));
        }
        ControlFlow::Continue(())
    }

    fn line(&mut self, input: usize, number: u64, line: Line) -> ControlFlow<()> {
        let mut moment = match line {
            Line::Moment(moment) => moment,
            Line::Legacy(mut moment) => {
                moment.run = self.runs.name(input, moment.iteration);
                moment
            }
            Line::Beside => {
                self.summary.beside += 1;
                return ControlFlow::Continue(());
            }
            Line::Unknown => {
                self.summary.unknown += 1;
                return ControlFlow::Continue(());
            }
        };
        self.summary.moments += 1;
        moment.input = input;
        moment.line = number;
        (self.each)(*moment)
    }

    fn bad(&mut self, file: &str, line: u64, reason: Reason, before: u64) {
        self.summary.bad_lines += 1;
        if self.summary.bad_lines - before <= TOLD_BAD_LINES {
            stdio::say(self.options.tool, &BadLine { file: file.to_owned(), line, reason }.to_string());
        }
    }
}
