//! Stdout: in the format that was asked for, one difference after the other.

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;

use common::cli::Failure;
use common::jsonl;
use common::record::Record;
use common::stdio;

use crate::cli::{Args, Format};
use crate::table::{CsvWriter, RenderOptions, Report, markdown, text};

/// Where differences go.
#[derive(Debug)]
pub(super) struct Output {
    format: Format,
    options: RenderOptions,
    csv: CsvWriter,
    /// Whether anything was written yet: what follows is set apart.
    is_begun: bool,
}

impl Output {
    pub(super) fn new(args: &Args) -> Self {
        let stdout = io::stdout();
        let is_text = args.format == Format::Text;
        let options = RenderOptions {
            colour: is_text && stdio::wants_colour(&stdout),
            width: if is_text && stdout.is_terminal() { columns() } else { None },
            limit: (!args.all).then_some(args.limit.get()),
        };
        Self { format: args.format, options, csv: CsvWriter::default(), is_begun: false }
    }

    /// Shows one difference, in one write. `Break` if nobody reads any more.
    ///
    /// # Errors
    /// What writing says otherwise.
    pub(super) fn show(&mut self, found: &Report<'_>) -> Result<ControlFlow<()>, Failure> {
        let bytes = match self.format {
            Format::Text => self.apart(text(found, self.options)),
            Format::Markdown => self.apart(markdown(found, self.options)),
            Format::Csv => self.csv.rows(found.record(), matches!(found, Report::Verdicts { .. }))?,
            Format::Jsonl => {
                let mut writer = jsonl::Writer::new(Vec::new());
                let written = writer.write(&Record::Diff(Box::new(found.record().clone())));
                written.map_err(|error| Failure::new(format!("record: {error}"), ""))?;
                std::mem::take(writer.get_mut())
            }
        };
        self.is_begun = true;
        let mut stdout = io::stdout().lock();
        match stdout.write_all(&bytes).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(ControlFlow::Continue(())),
            Err(error) => Failure::output("stdout", &error).map_or(Ok(ControlFlow::Break(())), Err),
        }
    }

    fn apart(&self, text: String) -> Vec<u8> {
        let lead = if self.is_begun { "\n" } else { "" };
        format!("{lead}{text}").into_bytes()
    }
}

/// The columns of the terminal; `None` where it does not say.
fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
}
