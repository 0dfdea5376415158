//! Destinations of censuses: stdout, or one file for people and one for programs.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use common::cli::Failure;
use common::jsonl::Writer;
use common::output_file::Existing;
use common::record::{CensusRecord, ErrorRecord, LeaksRecord, Record};
use common::session::{Destination, open_log, open_stdout, stdout_style, terminal_columns};
use common::table::Style;

use crate::census::Census;
use crate::config::{Config, Format};
use crate::emit::summary::CensusSummary;
use crate::emit::text::{TextState, TextWriter};

/// Writes each record to every destination.
#[derive(Debug)]
pub struct Outputs {
    text: Destination<TextWriter<File>>,
    jsonl: Destination<Writer<File>>,
    to_terminal: bool,
    /// The names of the files that are written.
    files: Option<String>,
}

impl Outputs {
    /// Opens the destinations that the configuration asks for.
    ///
    /// # Errors
    /// A file cannot be opened.
    pub fn open(config: &Config) -> Result<Self, Failure> {
        let text = |name, file, style| Destination::new(name, TextWriter::new(file, style, config.text));
        let mut outputs = Self {
            text: Destination::closed(),
            jsonl: Destination::closed(),
            to_terminal: false,
            files: None,
        };
        if let Some(path) = &config.output {
            let records = records_path(path);
            let name = |path: &Path| path.display().to_string();
            outputs.text = text(name(path), open_log(path, Existing::Append)?, Style::default());
            outputs.jsonl =
                Destination::new(name(&records), Writer::new(open_log(&records, Existing::Append)?));
            outputs.files =
                Some(format!("writes text to {}, records to {}", path.display(), records.display()));
            return Ok(outputs);
        }
        outputs.to_terminal = io::stdout().is_terminal();
        let default_format = if outputs.to_terminal { Format::Text } else { Format::Jsonl };
        let file = open_stdout()?;
        match config.format.unwrap_or(default_format) {
            Format::Text => outputs.text = text("stdout".into(), file, stdout_style()),
            Format::Jsonl => outputs.jsonl = Destination::new("stdout", Writer::new(file)),
        }
        Ok(outputs)
    }

    /// Whether records are shown on a terminal as they come.
    pub fn to_terminal(&self) -> bool {
        self.to_terminal
    }

    /// The files that are written, as a line for the user.
    pub fn announce(&self) -> Option<String> {
        self.files.clone()
    }

    /// Whether any destination still takes records.
    pub fn is_open(&self) -> bool {
        self.text.is_open() || self.jsonl.is_open()
    }

    /// Closes all destinations: the reader of stdout has gone.
    pub fn close(&mut self) {
        self.text.close();
        self.jsonl.close();
    }

    /// The failure that closed a destination, once.
    pub fn take_failure(&mut self) -> Option<Failure> {
        self.text.take_failure().or_else(|| self.jsonl.take_failure())
    }

    /// Writes a census. `state` is what the text remembers of the process.
    pub fn census(
        &mut self,
        record: CensusRecord,
        census: &Census,
        summary: CensusSummary,
        state: &mut Option<TextState>,
    ) {
        self.adopt_width();
        self.text.write(|text| text.census(&record, census, summary, state));
        self.write(&Record::Census(Box::new(record)));
    }

    /// Writes an error. If it ends the run, a terminal gets no text, since stderr has the error.
    pub fn error(&mut self, error: ErrorRecord, ends_run: bool) {
        let record = Record::Error(error);
        if !(ends_run && self.to_terminal) {
            self.text.write(|text| text.record(&record));
        }
        self.write(&record);
    }

    /// Writes any other record.
    pub fn record(&mut self, record: &Record) {
        self.adopt_width();
        self.text.write(|text| text.record(record));
        self.write(record);
    }

    /// Writes the verdicts on leaks of all processes.
    pub fn leaks(&mut self, records: Vec<LeaksRecord>) {
        self.adopt_width();
        self.text.write(|text| text.leaks(&records));
        for record in records {
            self.write(&Record::Leaks(Box::new(record)));
        }
    }

    /// Adopts the width of the terminal, which may have changed.
    fn adopt_width(&mut self) {
        if let (true, Some(text)) = (self.to_terminal, self.text.writer()) {
            text.set_width(terminal_columns());
        }
    }

    fn write(&mut self, record: &Record) {
        self.jsonl.write(|jsonl| jsonl.write(record));
    }
}

/// The file for records: the name of the text file with `.jsonl` appended.
pub(super) fn records_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".jsonl");
    name.into()
}
