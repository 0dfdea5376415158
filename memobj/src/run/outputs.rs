//! Where censuses go: stdout, or a file for people and one for programs.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use common::cli::Failure;
use common::jsonl::Writer;
use common::record::{CensusRecord, ErrorRecord, Record};
use common::stdio;
use common::table::Style;

use crate::cli::{Args, Format};
use crate::emit::summary::CensusSummary;
use crate::emit::text::{TextOptions, TextWriter};

/// An output and its name.
#[derive(Debug)]
struct NamedOutput<O> {
    name: String,
    output: O,
}

/// Who gets the censuses.
#[derive(Debug)]
pub struct Outputs {
    text: Option<NamedOutput<TextWriter<File>>>,
    jsonl: Option<NamedOutput<Writer<File>>>,
    to_stdout: bool,
    to_terminal: bool,
    failure: Option<Failure>,
}

impl Outputs {
    /// Opens what the arguments ask for.
    ///
    /// # Errors
    /// A file that cannot be opened.
    pub fn open(args: &Args) -> Result<Self, Failure> {
        let options = TextOptions { limit: args.limit, diff_every: args.diff_every, memory: args.memory };
        let mut outputs = Self {
            text: None,
            jsonl: None,
            to_stdout: args.output.is_none(),
            to_terminal: false,
            failure: None,
        };
        if let Some(path) = &args.output {
            let records = records_path(path);
            let open = |path: &Path| -> Result<NamedOutput<File>, Failure> {
                let name = path.display().to_string();
                match open_log(path) {
                    Ok(output) => Ok(NamedOutput { name, output }),
                    Err(error) => Err(failure(&name, &error)),
                }
            };
            let (text, records) = (open(path)?, open(&records)?);
            outputs.text = Some(NamedOutput {
                name: text.name,
                output: TextWriter::new(text.output, Style::default(), options),
            });
            outputs.jsonl = Some(NamedOutput { name: records.name, output: Writer::new(records.output) });
            return Ok(outputs);
        }
        let stdout = io::stdout();
        outputs.to_terminal = stdout.is_terminal();
        let name = "stdout".to_owned();
        let file = stdout.as_fd().try_clone_to_owned().map_err(|error| failure(&name, &error))?;
        let default_format = if outputs.to_terminal { Format::Text } else { Format::Jsonl };
        match args.format.unwrap_or(default_format) {
            Format::Text => {
                let width = if outputs.to_terminal { columns() } else { None };
                let style = Style { colour: stdio::wants_colour(&stdout), width };
                outputs.text =
                    Some(NamedOutput { name, output: TextWriter::new(file.into(), style, options) });
            }
            Format::Jsonl => outputs.jsonl = Some(NamedOutput { name, output: Writer::new(file.into()) }),
        }
        Ok(outputs)
    }

    /// A descriptor of stdout, if censuses go there.
    #[must_use]
    pub fn stdout(&self) -> Option<OwnedFd> {
        self.to_stdout.then(|| io::stdout().as_fd().try_clone_to_owned().ok()).flatten()
    }

    /// Whether people look at it as it comes.
    #[must_use]
    pub fn to_terminal(&self) -> bool {
        self.to_terminal
    }

    /// Whether anyone still gets what the user wanted.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.text.is_some() || self.jsonl.is_some()
    }

    /// Nobody reads stdout any more.
    pub fn close(&mut self) {
        (self.text, self.jsonl) = (None, None);
    }

    /// Why an output was given up, if it was for an error.
    pub fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    /// Gives out a census.
    pub fn census(&mut self, record: CensusRecord, summary: &CensusSummary) {
        if self.to_terminal
            && let Some(text) = &mut self.text
        {
            text.output.set_width(columns());
        }
        self.show(|text| text.census(&record, summary));
        self.write(&Record::Census(Box::new(record)));
    }

    /// Gives out an error; not as text if it will be said on stderr as the reason of the end.
    pub fn error(&mut self, error: ErrorRecord, is_end: bool) {
        let record = Record::Error(error);
        if !(is_end && self.to_terminal) {
            self.show(|text| text.record(&record));
        }
        self.write(&record);
    }

    /// Gives out any other record.
    pub fn record(&mut self, record: &Record) {
        self.show(|text| text.record(record));
        self.write(record);
    }

    fn show(&mut self, write: impl FnOnce(&mut TextWriter<File>) -> io::Result<()>) {
        if let Some(NamedOutput { name, output }) = &mut self.text
            && let Err(error) = write(output)
        {
            self.failure = Failure::output(name, &error);
            self.text = None;
        }
    }

    fn write(&mut self, record: &Record) {
        if let Some(NamedOutput { name, output }) = &mut self.jsonl
            && let Err(error) = output.write(record)
        {
            self.failure = Failure::output(name, &error);
            self.jsonl = None;
        }
    }
}

/// The file for the records: that of the text with `.jsonl` behind its name.
fn records_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".jsonl");
    name.into()
}

fn failure(name: &str, error: &io::Error) -> Failure {
    Failure::output(name, error).unwrap_or_else(|| Failure::new(format!("{name}: {error}"), ""))
}

/// A log is added to, never overwritten.
fn open_log(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

fn columns() -> Option<usize> {
    rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col.into())
}
