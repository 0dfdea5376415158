//! Destinations of censuses: stdout, or one file for people and one for programs.

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use common::cli::Failure;
use common::jsonl::Writer;
use common::metrics::MetricsWriter;
use common::output_file::Existing;
use common::record::{CensusRecord, ErrorRecord, LeaksRecord, Record};
use common::record_sink::Sink;
use common::session::{Destination, open_log, open_stdout, stdout_style, terminal_columns};
use common::table::Style;

use crate::census::Census;
use crate::config::{Config, Format};
use crate::emit::summary::CensusSummary;
use crate::emit::text::{TextState, TextWriter};

/// Writes each record to every destination.
pub struct Outputs {
    text: Destination<TextWriter<Box<dyn Write>>>,
    /// For programs.
    records: Destination<Box<dyn Sink>>,
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
        let mut outputs = Self {
            text: Destination::closed(),
            records: Destination::closed(),
            to_terminal: config.output.is_none() && io::stdout().is_terminal(),
            files: None,
        };
        let Some(path) = &config.output else {
            let default_format = if outputs.to_terminal { Format::Text } else { Format::Jsonl };
            let file = Box::new(open_stdout()?);
            outputs.add(
                config.format.unwrap_or(default_format),
                "stdout".into(),
                file,
                stdout_style(),
                config,
            );
            return Ok(outputs);
        };
        let name = path.display().to_string();
        match config.format {
            Some(Format::Openmetrics) => {
                let writer = MetricsWriter::to_file(path).map_err(|error| Failure::at(&name, &error))?;
                outputs.records = Destination::new(&name, Box::new(writer));
                outputs.files = Some(format!("writes metrics to {name}"));
            }
            Some(format) => {
                outputs.add_log(format, path, config)?;
                outputs.files = Some(format!("writes to {name}"));
            }
            None => {
                let records = records_path(path);
                outputs.add_log(Format::Text, path, config)?;
                outputs.add_log(Format::Jsonl, &records, config)?;
                outputs.files = Some(format!("writes text to {name}, records to {}", records.display()));
            }
        }
        Ok(outputs)
    }

    fn add_log(&mut self, format: Format, path: &Path, config: &Config) -> Result<(), Failure> {
        let file = open_log(path, Existing::Append)?;
        self.add(format, path.display().to_string(), Box::new(file), Style::default(), config);
        Ok(())
    }

    fn add(&mut self, format: Format, name: String, file: Box<dyn Write>, style: Style, config: &Config) {
        let sink: Box<dyn Sink> = match format {
            Format::Text => {
                self.text = Destination::new(name, TextWriter::new(file, style, config.text));
                return;
            }
            Format::Jsonl => Box::new(Writer::new(file)),
            Format::Openmetrics => Box::new(MetricsWriter::to_stream(file)),
        };
        self.records = Destination::new(name, sink);
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
        self.text.is_open() || self.records.is_open()
    }

    /// Closes all destinations: the reader of stdout has gone.
    pub fn close(&mut self) {
        self.text.close();
        self.records.close();
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

    /// Writes what was held back; the run is over. Returns the failure that closed a destination.
    pub fn finish(&mut self) -> Option<Failure> {
        self.records.write(|records| records.finish());
        self.text.take_failure().or_else(|| self.records.take_failure())
    }

    /// All records of a round were written.
    pub fn end_round(&mut self) {
        self.records.write(|records| records.end_round());
    }

    /// Adopts the width of the terminal, which may have changed.
    fn adopt_width(&mut self) {
        if let (true, Some(text)) = (self.to_terminal, self.text.writer()) {
            text.set_width(terminal_columns());
        }
    }

    fn write(&mut self, record: &Record) {
        self.records.write(|records| records.record(record));
    }
}

/// The file for records: the name of the text file with `.jsonl` appended.
pub(super) fn records_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".jsonl");
    name.into()
}
