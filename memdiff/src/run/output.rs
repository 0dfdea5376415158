//! Writes reports to stdout, in the chosen format.

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;

use common::cli::Failure;
use common::jsonl;
use common::record::Record;
use common::stdio;

use crate::cli::{Args, Format};
use crate::table::{CsvWriter, RenderOptions, Report, render_markdown, render_text};

/// The output of a run.
#[derive(Debug)]
pub(super) struct Output {
    format: Format,
    options: RenderOptions,
    csv: CsvWriter,
    /// Written before each report.
    separator: &'static str,
}

impl Output {
    pub(super) fn new(args: &Args) -> Self {
        let stdout = io::stdout();
        let is_text = args.format == Format::Text;
        let options = RenderOptions {
            colour: is_text && stdio::wants_colour(&stdout),
            width: if is_text && stdout.is_terminal() { terminal_columns() } else { None },
            limit: (!args.all).then_some(args.limit.get()),
        };
        Self { format: args.format, options, csv: CsvWriter::default(), separator: "" }
    }

    /// Writes a report at once. `Break` if stdout is closed.
    ///
    /// # Errors
    /// Other errors of stdout.
    pub(super) fn show(&mut self, report: &Report<'_>) -> Result<ControlFlow<()>, Failure> {
        let bytes = match self.format {
            Format::Text => (self.separator.to_owned() + &render_text(report, self.options)).into_bytes(),
            Format::Markdown => {
                (self.separator.to_owned() + &render_markdown(report, self.options)).into_bytes()
            }
            Format::Csv => self.csv.rows(report)?,
            Format::Jsonl => {
                let mut writer = jsonl::Writer::new(Vec::new());
                let written = writer.write(&Record::Diff(Box::new(report.record().clone())));
                written.map_err(|error| Failure::new(format!("record: {error}"), ""))?;
                std::mem::take(writer.get_mut())
            }
        };
        self.separator = "\n";
        let mut stdout = io::stdout().lock();
        match stdout.write_all(&bytes).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(ControlFlow::Continue(())),
            Err(error) => Failure::output("stdout", &error).map_or(Ok(ControlFlow::Break(())), Err),
        }
    }
}

/// The width of the terminal, if known.
#[cfg(unix)]
fn terminal_columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
}

#[cfg(not(unix))]
fn terminal_columns() -> Option<usize> {
    None
}
