//! Destinations of records: stdout or a file, the saved history, the screen.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use common::cli::Failure;
use common::jsonl::Writer;
use common::metrics::MetricsWriter;
use common::output_file::Existing;
use common::record::Record;
use common::record_sink::Sink;
use common::session::{Destination, open_log, open_stdout, stdout_style, terminal_columns};
use common::table::Style;
use common::time::Stamp;

use crate::cli::{Args, Format};
use crate::emit::{Csv, HistoryFiles, Text, csv_titles, state_dir};
use crate::watch::TerminalScreen;

/// The folder of histories that are saved by default, below the user's state folder.
const DEFAULT_HISTORY: &str = "memmon";

/// Writes each record to every destination.
pub struct Outputs {
    pub log: Destination<Box<dyn Sink>>,
    save: Option<HistoryFiles>,
    /// The screen of `--watch`.
    pub screen: Destination<TerminalScreen>,
    /// Whether records are shown on a terminal as they come.
    pub to_terminal: bool,
}

impl Outputs {
    /// Opens the log that the arguments ask for.
    ///
    /// # Errors
    /// The file cannot be opened, or `--watch` has no terminal.
    pub fn open(args: &Args) -> Result<Self, Failure> {
        let to_terminal = args.output.is_none() && io::stdout().is_terminal();
        if args.watch && !to_terminal {
            return Err(Failure::new("--watch needs a terminal", "leave it out to get a log"));
        }
        let log = if args.watch { Destination::closed() } else { open_main(args, to_terminal)? };
        Ok(Self { log, save: None, screen: Destination::closed(), to_terminal })
    }

    /// Takes over the terminal for `--watch`; reads keys unless a command owns stdin.
    ///
    /// # Errors
    /// The terminal refuses.
    pub fn open_screen(&mut self, keys: bool) -> Result<(), Failure> {
        let screen = TerminalScreen::open(keys).map_err(|error| Failure::at("the terminal", &error))?;
        self.screen = Destination::new("the terminal", screen);
        Ok(())
    }

    /// Begins the saved history: where `--save` says, or by default when samples go to a terminal.
    ///
    /// # Errors
    /// The folder of `--save` cannot be used. For the default folder that is only a note, which is returned.
    pub fn open_save(&mut self, args: &Args, pid: u32) -> Result<Option<String>, Failure> {
        let by_default = self.to_terminal && !args.no_save;
        let folder = match &args.save {
            Some(folder) => Some(folder.clone()),
            None => state_dir().filter(|_| by_default).map(|state| state.join(DEFAULT_HISTORY)),
        };
        let Some(folder) = folder else { return Ok(None) };
        match HistoryFiles::create(&folder, pid, Stamp::now()) {
            Ok(save) => {
                self.save = Some(save);
                Ok(None)
            }
            // The error names the file or folder.
            Err(error) if args.save.is_some() => Err(Failure::at("the history cannot be saved", &error)),
            Err(error) => Ok(Some(format!("the history is not saved: {error}"))),
        }
    }

    /// Whether the log or the screen still takes records.
    pub fn is_open(&self) -> bool {
        self.log.is_open() || self.screen.is_open()
    }

    /// The failure that closed the log or the screen, once.
    pub fn take_failure(&mut self) -> Option<Failure> {
        self.log.take_failure().or_else(|| self.screen.take_failure())
    }

    /// Writes the records to every destination. Problems with the history are returned, as lines for stderr.
    pub fn record(&mut self, records: &[Record]) -> Vec<String> {
        if self.to_terminal
            && let Some(log) = self.log.writer()
        {
            log.set_width(terminal_columns());
        }
        self.log.write(|log| {
            records.iter().try_for_each(|record| log.record(record))?;
            log.end_round()
        });
        if let Some(screen) = self.screen.writer() {
            records.iter().for_each(|record| screen.take(record));
        }
        let Some(save) = &mut self.save else { return Vec::new() };
        records.iter().filter_map(|record| save.record(record)).collect()
    }

    /// Draws the screen, if there is one.
    pub fn draw(&mut self) {
        self.screen.write(TerminalScreen::draw);
    }

    /// Ends everything. Returns the files of the history, and a problem with them.
    pub fn finish(&mut self) -> (Vec<PathBuf>, Option<String>) {
        self.screen.close();
        self.log.write(|log| log.finish());
        let Some(mut save) = self.save.take() else { return (Vec::new(), None) };
        let problem = save.finish();
        (save.paths().map(|path| path.to_path_buf()).to_vec(), problem)
    }
}

fn open_main(args: &Args, to_terminal: bool) -> Result<Destination<Box<dyn Sink>>, Failure> {
    let default = if to_terminal { Format::Text } else { Format::Jsonl };
    let format = args.chosen_format().unwrap_or(default);
    if let (Format::Openmetrics, Some(path)) = (format, &args.output) {
        let name = path.display().to_string();
        let writer = MetricsWriter::to_file(path).map_err(|error| Failure::at(&name, &error))?;
        return Ok(Destination::new(name, Box::new(writer)));
    }
    if let (Format::Csv, Some(path)) = (format, &args.output) {
        let name = path.display().to_string();
        let file = open_log(path, Existing::Append)?.with_head(csv_titles());
        return Ok(Destination::new(name, Box::new(Csv::without_titles(file))));
    }
    let (name, file, style): (_, Box<dyn Write>, _) = match &args.output {
        Some(path) => {
            (path.display().to_string(), Box::new(open_log(path, Existing::Append)?), Style::default())
        }
        None => ("stdout".to_owned(), Box::new(open_stdout()?), stdout_style()),
    };
    let sink: Box<dyn Sink> = match format {
        Format::Jsonl => Box::new(Writer::new(file)),
        Format::Csv => Box::new(Csv::new(file)),
        Format::Openmetrics => Box::new(MetricsWriter::to_stream(file)),
        Format::Text => Box::new(Text::new(file, style)),
    };
    Ok(Destination::new(name, sink))
}
