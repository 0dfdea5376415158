//! Where records go: stdout, a log file, or a screen, each until it fails.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::path::Path;

use super::log_file::LogFile;
use crate::cli::Failure;
use crate::output_file::Existing;
use crate::stdio;
use crate::table::Style;

/// A writer with its name. It is closed by its first error, which is kept for the end of the session.
///
/// A reader that goes away (`| head -1`) closes it without a failure.
#[derive(Debug)]
pub struct Destination<W> {
    name: String,
    writer: Option<W>,
    failure: Option<Failure>,
}

impl<W> Destination<W> {
    /// A destination named `name` in messages.
    pub fn new(name: impl Into<String>, writer: W) -> Self {
        Self { name: name.into(), writer: Some(writer), failure: None }
    }

    /// A destination that takes nothing.
    #[must_use]
    pub fn closed() -> Self {
        Self { name: String::new(), writer: None, failure: None }
    }

    /// Whether it still takes records.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.writer.is_some()
    }

    /// Drops the writer.
    pub fn close(&mut self) {
        self.writer = None;
    }

    /// The writer, while it is open.
    pub fn writer(&mut self) -> Option<&mut W> {
        self.writer.as_mut()
    }

    /// Writes with `write` if it is open; an error closes it.
    pub fn write(&mut self, write: impl FnOnce(&mut W) -> io::Result<()>) {
        if let Some(Err(error)) = self.writer.as_mut().map(write) {
            self.failure = Failure::output(&self.name, &error);
            self.writer = None;
        }
    }

    /// The failure that closed it, once.
    pub fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }
}

/// A descriptor of stdout without a buffer.
///
/// # Errors
/// Stdout is closed.
pub fn open_stdout() -> Result<File, Failure> {
    let file = io::stdout().as_fd().try_clone_to_owned().map(File::from);
    file.map_err(|error| Failure::at("stdout", &error))
}

/// Opens a log, as [`LogFile::open`] does.
///
/// # Errors
/// The file or a folder cannot be created, or the file is refused.
pub fn open_log(path: &Path, existing: Existing) -> Result<LogFile, Failure> {
    LogFile::open(path, existing).map_err(|error| Failure::at(&path.display().to_string(), &error))
}

/// Colour and width for text on stdout.
#[must_use]
pub fn stdout_style() -> Style {
    let stdout = io::stdout();
    let width = if stdout.is_terminal() { terminal_columns() } else { None };
    Style { colour: stdio::wants_colour(&stdout), width }
}

/// The width of the terminal that stdout is.
#[must_use]
pub fn terminal_columns() -> Option<usize> {
    rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_error_closes_and_is_kept() {
        let mut destination = Destination::new("log", Vec::<u8>::new());
        destination.write(|bytes| {
            bytes.push(1);
            Ok(())
        });
        destination.write(|_| Err(io::ErrorKind::StorageFull.into()));
        destination.write(|_| panic!("closed"));
        assert!(!destination.is_open());
        assert!(destination.take_failure().unwrap().message.starts_with("log: "));
        assert_eq!(destination.take_failure(), None);
    }

    #[test]
    fn closed_pipe_is_no_failure() {
        let mut destination = Destination::new("stdout", ());
        destination.write(|()| Err(io::ErrorKind::BrokenPipe.into()));
        assert!(!destination.is_open());
        assert_eq!(destination.take_failure(), None);
    }

    #[test]
    fn open_log_creates_folders() {
        use std::io::Write as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/log");
        for (existing, expected) in
            [(Existing::Append, "a"), (Existing::Append, "aa"), (Existing::Replace, "a")]
        {
            open_log(&path, existing).unwrap().write_all(b"a").unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        }
        let error = open_log(&path.join("below"), Existing::Append).unwrap_err();
        assert!(error.message.contains("new/log"), "{error:?}");
    }
}
