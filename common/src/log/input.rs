//! Where logs come from: files and stdin, as they are or compressed.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use super::zstd::Frames;
use crate::cli::Failure;

/// The name of stdin on the command line.
const STDIN: &str = "-";

/// What archives begin with.
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// How much of an archive is read at once.
const ARCHIVE_BUFFER_BYTES: usize = 256 << 10;

/// A log, or several put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input(Source);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Stdin,
    File(PathBuf),
}

/// An input that is being read, decompressed.
pub(super) struct Opened {
    /// Its bytes.
    pub(super) source: Box<dyn Read>,
    /// Whether it comes when its writer likes, so that what is there should be looked at before more is waited for.
    pub(super) live: bool,
}

impl Input {
    /// What the arguments name: files, and stdin by `-` or by naming nothing. Archives (gzip, zstd) are known by their content.
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

    /// Looks whether it can be opened, without opening what can be opened only once (a pipe). Its length, if it has one.
    ///
    /// # Errors
    /// A file that is not there, that may not be read, or that is a folder.
    pub(super) fn check(&self) -> Result<Option<u64>, Failure> {
        let Source::File(path) = &self.0 else {
            let file = stdin().ok();
            let about = file.and_then(|file| file.metadata().ok()).filter(fs::Metadata::is_file);
            return Ok(about.map(|about| about.len()));
        };
        let trouble = |error: &io::Error| {
            let hint = match error.kind() {
                io::ErrorKind::NotFound => "check the path",
                io::ErrorKind::PermissionDenied => "it takes the right to read it",
                _ => "",
            };
            Failure::new(format!("{}: {error}", self.name()), hint)
        };
        let about = fs::metadata(path).map_err(|error| trouble(&error))?;
        if about.is_dir() {
            return Err(Failure::new(format!("{}: is a folder", self.name()), "name the files in it"));
        }
        if !about.is_file() {
            return Ok(None);
        }
        File::open(path).map_err(|error| trouble(&error))?;
        Ok(Some(about.len()))
    }

    /// Opens it, and looks what it begins with. The bytes that come from it, still compressed, are added to `read`.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn open(&self, read: &Arc<AtomicU64>) -> io::Result<Opened> {
        let file = match &self.0 {
            Source::Stdin => stdin()?,
            Source::File(path) => File::open(path)?,
        };
        let live = !file.metadata().is_ok_and(|about| about.is_file());
        let mut source = Counted { source: file, read: Arc::clone(read) };
        let mut begin = [0; ZSTD.len()];
        let mut length = 0;
        while let Some(room) = begin.get_mut(length..).filter(|room| !room.is_empty()) {
            match source.read(room) {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let begin = begin.get(..length).unwrap_or_default();
        let whole = io::Cursor::new(begin.to_vec()).chain(source);
        let source: Box<dyn Read> = if begin.starts_with(&GZIP) {
            Box::new(MultiGzDecoder::new(BufReader::with_capacity(ARCHIVE_BUFFER_BYTES, whole)))
        } else if begin.starts_with(&ZSTD) {
            Box::new(Frames::new(BufReader::with_capacity(ARCHIVE_BUFFER_BYTES, whole)))
        } else {
            Box::new(whole)
        };
        Ok(Opened { source, live })
    }
}

impl From<&Path> for Input {
    fn from(path: &Path) -> Self {
        Self(if path.as_os_str() == STDIN { Source::Stdin } else { Source::File(path.to_owned()) })
    }
}

/// Stdin without the standard library's buffer, as a file that can be asked what it is.
#[cfg(unix)]
fn stdin() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

#[cfg(windows)]
fn stdin() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    Ok(File::from(io::stdin().as_handle().try_clone_to_owned()?))
}

/// Counts what is read.
struct Counted<R> {
    source: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
