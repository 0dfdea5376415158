//! The sources of logs: files and stdin, plain or compressed.

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

/// The first bytes of archives.
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The size of a read from an archive.
const ARCHIVE_BUFFER_BYTES: usize = 256 << 10;

/// A log, or several concatenated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input(Source);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Stdin,
    File(PathBuf),
}

/// An open input, decompressed.
pub(super) struct Opened {
    /// Its bytes.
    pub(super) source: Box<dyn Read>,
    /// Whether it is no file, so that available bytes must be parsed before more are read.
    pub(super) live: bool,
}

impl Input {
    /// Converts arguments: files, and stdin for `-` or for no argument. Archives (gzip, zstd) are recognized by their content.
    #[must_use]
    pub fn from_args(paths: &[PathBuf]) -> Vec<Self> {
        if paths.is_empty() {
            return vec![Self(Source::Stdin)];
        }
        paths.iter().map(|path| Self::from(path.as_path())).collect()
    }

    /// Its name in messages.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.0 {
            Source::Stdin => "stdin".to_owned(),
            Source::File(path) => path.display().to_string(),
        }
    }

    /// Checks whether it can be opened, and returns the length of a file. Does not open a pipe, which can be opened only once.
    ///
    /// # Errors
    /// The file does not exist, is not readable, or is a folder.
    pub(super) fn check(&self) -> Result<Option<u64>, Failure> {
        let Source::File(path) = &self.0 else {
            let file = stdin().ok();
            let about = file.and_then(|file| file.metadata().ok()).filter(fs::Metadata::is_file);
            return Ok(about.map(|about| about.len()));
        };
        let failure = |error: &io::Error| {
            let hint = match error.kind() {
                io::ErrorKind::NotFound => "check the path",
                io::ErrorKind::PermissionDenied => "you need permission to read it",
                _ => "",
            };
            Failure::new(format!("{}: {error}", self.name()), hint)
        };
        let about = fs::metadata(path).map_err(|error| failure(&error))?;
        if about.is_dir() {
            return Err(Failure::new(format!("{}: is a folder", self.name()), "name the files in it"));
        }
        if !about.is_file() {
            return Ok(None);
        }
        File::open(path).map_err(|error| failure(&error))?;
        Ok(Some(about.len()))
    }

    /// Opens it, and detects its compression. Adds the number of bytes read, still compressed, to `read`.
    ///
    /// # Errors
    /// The system cannot open or read it.
    pub(super) fn open(&self, read: &Arc<AtomicU64>) -> io::Result<Opened> {
        let file = match &self.0 {
            Source::Stdin => stdin()?,
            Source::File(path) => File::open(path)?,
        };
        let live = !file.metadata().is_ok_and(|about| about.is_file());
        let mut source = Counted { source: file, read: Arc::clone(read) };
        let mut begin = Vec::new();
        source.by_ref().take(ZSTD.len() as u64).read_to_end(&mut begin)?;
        let (is_gzip, is_zstd) = (begin.starts_with(&GZIP), begin.starts_with(&ZSTD));
        let whole = io::Cursor::new(begin).chain(source);
        let source: Box<dyn Read> = if is_gzip {
            Box::new(MultiGzDecoder::new(BufReader::with_capacity(ARCHIVE_BUFFER_BYTES, whole)))
        } else if is_zstd {
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

/// Stdin without a buffer, as a file with metadata.
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

/// A reader that counts its bytes.
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
