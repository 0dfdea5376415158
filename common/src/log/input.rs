//! Where logs come from: files and stdin.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::cli::Failure;

/// The name of stdin on the command line.
const STDIN: &str = "-";

/// A log, or several put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input(Source);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Stdin,
    File(PathBuf),
}

impl Input {
    /// What the arguments name: files, and stdin by `-` or by naming nothing.
    #[must_use]
    pub fn from_args(paths: &[PathBuf]) -> Vec<Self> {
        if paths.is_empty() {
            return vec![Self(Source::Stdin)];
        }
        paths.iter().map(|path| Self::from(path.as_path())).collect()
    }

    /// What it is called in messages.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.0 {
            Source::Stdin => "stdin".to_owned(),
            Source::File(path) => path.display().to_string(),
        }
    }

    /// Looks whether it can be opened, without opening what can be opened only once (a pipe).
    ///
    /// # Errors
    /// A file that is not there, that may not be read, or that is a folder.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let Source::File(path) = &self.0 else { return Ok(()) };
        let trouble = |error: &io::Error| {
            let hint = match error.kind() {
                io::ErrorKind::NotFound => "check the path",
                io::ErrorKind::PermissionDenied => "it needs the right to read it",
                _ => "",
            };
            Failure::new(format!("{}: {error}", self.name()), hint)
        };
        let kind = fs::metadata(path).map_err(|error| trouble(&error))?;
        if kind.is_dir() {
            return Err(Failure::new(format!("{}: is a folder", self.name()), "name the files in it"));
        }
        if kind.is_file() {
            File::open(path).map_err(|error| trouble(&error))?;
        }
        Ok(())
    }

    /// Opens it.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(match &self.0 {
            Source::Stdin => Box::new(io::stdin()),
            Source::File(path) => Box::new(BufReader::with_capacity(1 << 20, File::open(path)?)),
        })
    }
}

impl From<&Path> for Input {
    fn from(path: &Path) -> Self {
        Self(if path.as_os_str() == STDIN { Source::Stdin } else { Source::File(path.to_owned()) })
    }
}
