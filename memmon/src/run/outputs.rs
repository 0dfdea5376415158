//! Everyone who gets the records: stdout or a file, the saved history, the screen.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use common::cli::Failure;
use common::record::Record;
use common::stdio;
use common::time::Stamp;

use crate::cli::{Args, Format};
use crate::emit::{self, Csv, Jsonl, Save, Sink, Style, Text};
use crate::watch::Screen;

/// Where the history goes if the user asked for `--save` without a folder is in the arguments; this is where it goes unasked.
const SAVED_BY_ITSELF: &str = "memmon";

/// Who gets the records.
#[derive(Debug)]
pub struct Outputs {
    main: Option<Main>,
    name: String,
    save: Option<Save>,
    screen: Option<Screen>,
    to_terminal: bool,
    failure: Option<Failure>,
}

#[derive(Debug)]
enum Main {
    Jsonl(Jsonl<File>),
    Text(Box<Text<File>>),
    Csv(Csv<File>),
}

impl Main {
    fn sink(&mut self) -> &mut dyn Sink {
        match self {
            Self::Jsonl(sink) => sink,
            Self::Text(sink) => sink.as_mut(),
            Self::Csv(sink) => sink,
        }
    }
}

impl Outputs {
    /// Opens what the arguments ask for; the screen too, with keys unless a command owns the standard input.
    ///
    /// # Errors
    /// A file that cannot be opened, `--watch` without a terminal.
    pub fn open(args: &Args) -> Result<Self, Failure> {
        let stdout = io::stdout();
        let to_terminal = args.output.is_none() && stdout.is_terminal();
        if args.watch && !to_terminal {
            return Err(Failure::new("--watch needs a terminal", "leave it out to get a log"));
        }
        let mut outputs =
            Self { main: None, name: "stdout".into(), save: None, screen: None, to_terminal, failure: None };
        if !args.watch {
            let file = match &args.output {
                Some(path) => {
                    outputs.name = path.display().to_string();
                    open_log(path, args.format == Some(Format::Csv))
                }
                None => stdout.as_fd().try_clone_to_owned().map(File::from),
            };
            let file = file.map_err(|error| failure(&outputs.name, &error))?;
            let format = args.format.unwrap_or(if to_terminal { Format::Text } else { Format::Jsonl });
            outputs.main = Some(match format {
                Format::Jsonl => Main::Jsonl(Jsonl::new(file)),
                Format::Csv => Main::Csv(Csv::new(file)),
                Format::Text => {
                    let width = if to_terminal { columns() } else { None };
                    let colour = args.output.is_none() && stdio::wants_colour(&stdout);
                    Main::Text(Box::new(Text::new(file, Style { colour, width })))
                }
            });
        }
        Ok(outputs)
    }

    /// Takes the terminal over for `--watch`.
    ///
    /// # Errors
    /// What the terminal says.
    pub fn open_screen(&mut self, keys: bool) -> Result<(), Failure> {
        let screen = Screen::open(keys).map_err(|error| failure("the terminal", &error))?;
        self.screen = Some(screen);
        Ok(())
    }

    /// Begins the saved history, if there is to be one: asked for, or by itself when samples go to a terminal.
    ///
    /// # Errors
    /// A folder asked for that cannot be made or written to. One nobody asked for is only told of.
    pub fn open_save(&mut self, args: &Args, pid: u32) -> Result<Option<String>, Failure> {
        let (folder, asked) = match (&args.save, emit::state_dir()) {
            (Some(folder), _) => (folder.clone(), true),
            (None, Some(folder)) if self.to_terminal && !args.no_save => {
                (folder.join(SAVED_BY_ITSELF), false)
            }
            _ => return Ok(None),
        };
        match Save::create(&folder, pid, Stamp::now()) {
            Ok(save) => {
                self.save = Some(save);
                Ok(None)
            }
            // The error names the file or folder.
            Err(error) if asked => Err(failure("the history cannot be saved", &error)),
            Err(error) => Ok(Some(format!("the history is not saved: {error}"))),
        }
    }

    /// Whether people look at it as it comes.
    #[must_use]
    pub fn to_terminal(&self) -> bool {
        self.to_terminal
    }

    /// A descriptor of stdout, if samples go there.
    #[must_use]
    pub fn stdout(&self) -> Option<OwnedFd> {
        self.main.as_ref()?;
        (self.name == "stdout").then(|| io::stdout().as_fd().try_clone_to_owned().ok()).flatten()
    }

    /// The screen of `--watch`.
    pub fn screen(&mut self) -> Option<&mut Screen> {
        self.screen.as_mut()
    }

    /// Gives the terminal back.
    pub fn close_screen(&mut self) {
        self.screen = None;
    }

    /// Whether samples still go where the user wanted them.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.main.is_some() || self.screen.is_some()
    }

    /// Nobody reads the main output any more.
    pub fn close_main(&mut self) {
        self.main = None;
    }

    /// Why the main output was given up, if it was for an error.
    pub fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    /// Gives the records to everyone. Lines for stderr come back: trouble with the history.
    pub fn record(&mut self, records: &[Record]) -> Vec<String> {
        if let Some(Main::Text(text)) = &mut self.main
            && self.to_terminal
        {
            text.set_width(columns());
        }
        self.write(|sink| records.iter().try_for_each(|record| sink.record(record)));
        let mut said = Vec::new();
        if let Some(save) = &mut self.save {
            for record in records {
                if let Err(error) = save.record(record) {
                    said.push(format!("the history is not saved any more: {error}"));
                }
                said.extend(save.take_trouble());
            }
        }
        if let Some(screen) = &mut self.screen {
            for record in records {
                screen.take(record);
            }
        }
        said
    }

    /// Draws the screen, if there is one.
    pub fn draw(&mut self) {
        if let Some(screen) = &mut self.screen
            && let Err(error) = screen.draw()
        {
            self.failure = Failure::output("the terminal", &error);
            self.screen = None;
        }
    }

    /// Ends everything; the files of the history, if there is one.
    pub fn finish(&mut self) -> Option<Vec<PathBuf>> {
        self.close_screen();
        self.write(|sink| sink.finish());
        let mut save = self.save.take()?;
        let _ = save.finish();
        Some(save.paths().iter().map(|path| path.to_path_buf()).collect())
    }

    fn write(&mut self, with: impl FnOnce(&mut dyn Sink) -> io::Result<()>) {
        if let Some(main) = &mut self.main
            && let Err(error) = with(main.sink())
        {
            self.failure = Failure::output(&self.name, &error);
            self.main = None;
        }
    }
}

fn failure(name: &str, error: &io::Error) -> Failure {
    Failure::output(name, error).unwrap_or_else(|| Failure::new(format!("{name}: {error}"), ""))
}

/// A log is added to, never overwritten; a table is begun anew, since its head stands once.
fn open_log(path: &Path, anew: bool) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).write(true).append(!anew).truncate(anew).open(path)
}

fn columns() -> Option<usize> {
    rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col.into())
}
