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
    /// The files of one log, in order.
    Files {
        pattern: PathBuf,
        files: Vec<PathBuf>,
    },
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
    ///
    /// A name with `*` or `?` that is no file is one log in several files, in the order of their names.
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
            Source::File(path) | Source::Files { pattern: path, .. } => path.display().to_string(),
        }
    }

    /// Checks whether it can be opened, and returns the length of a file. Does not open a pipe, which can be opened only once.
    ///
    /// # Errors
    /// The file does not exist, is not readable, or is a folder. No file has a name that fits a pattern.
    pub(super) fn check(&self) -> Result<Option<u64>, Failure> {
        match &self.0 {
            Source::Stdin => {
                let about = stdin().and_then(|file| file.metadata()).ok().filter(fs::Metadata::is_file);
                Ok(about.map(|about| about.len()))
            }
            Source::File(path) => check_file(path),
            Source::Files { files, .. } if files.is_empty() => {
                Err(Failure::new(format!("{}: no file has such a name", self.name()), "check the path"))
            }
            Source::Files { files, .. } => files.iter().try_fold(Some(0), |sum: Option<u64>, file| {
                Ok(sum.zip(check_file(file)?).map(|(sum, length)| sum.saturating_add(length)))
            }),
        }
    }

    /// Opens it, and detects its compression. Adds the number of bytes read, still compressed, to `read`.
    ///
    /// # Errors
    /// The system cannot open or read it.
    pub(super) fn open(&self, read: &Arc<AtomicU64>) -> io::Result<Opened> {
        match &self.0 {
            Source::Stdin => open(stdin()?, read),
            Source::File(path) => open(File::open(path)?, read),
            Source::Files { files, .. } => {
                let source =
                    Sequence { files: files.clone().into_iter(), current: None, read: Arc::clone(read) };
                Ok(Opened { source: Box::new(source), live: false })
            }
        }
    }
}

/// Checks whether a file can be opened, and returns its length; `None` if it is a pipe or a device.
fn check_file(path: &Path) -> Result<Option<u64>, Failure> {
    let name = path.display();
    let failure = |error: &io::Error| {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => "check the path",
            io::ErrorKind::PermissionDenied => "you need permission to read it",
            _ => "",
        };
        Failure::new(format!("{name}: {error}"), hint)
    };
    let about = fs::metadata(path).map_err(|error| failure(&error))?;
    if about.is_dir() {
        return Err(Failure::new(format!("{name}: is a folder"), "name the files in it"));
    }
    if !about.is_file() {
        return Ok(None);
    }
    File::open(path).map_err(|error| failure(&error))?;
    Ok(Some(about.len()))
}

/// Detects the compression of an open file.
fn open(file: File, read: &Arc<AtomicU64>) -> io::Result<Opened> {
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

/// The content of files, one after the other.
struct Sequence {
    files: std::vec::IntoIter<PathBuf>,
    current: Option<Box<dyn Read>>,
    read: Arc<AtomicU64>,
}

impl Read for Sequence {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(current) = &mut self.current {
                let count = current.read(buffer)?;
                if count > 0 || buffer.is_empty() {
                    return Ok(count);
                }
            }
            let Some(file) = self.files.next() else { return Ok(0) };
            // The last line of a file may be incomplete. Empty lines are no records.
            let separator: &[u8] = if self.current.is_some() { b"\n" } else { b"" };
            self.current = Some(Box::new(separator.chain(open(File::open(file)?, &self.read)?.source)));
        }
    }
}

/// The files whose name fits that of `pattern`, in order; `*` is any text and `?` any character. Hidden files fit no pattern that begins
/// with one of them.
fn matching(pattern: &Path) -> Option<Vec<PathBuf>> {
    let wanted = pattern.file_name()?.to_str().filter(|name| name.contains(['*', '?']))?;
    let folder = pattern.parent().filter(|folder| !folder.as_os_str().is_empty());
    let entries = fs::read_dir(folder.unwrap_or(Path::new("."))).ok()?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            name.to_str()
                .is_some_and(|name| fits(wanted, name) && (wanted.starts_with('.') || !name.starts_with('.')))
        })
        .map(|entry| folder.map_or_else(|| entry.file_name().into(), |folder| folder.join(entry.file_name())))
        .collect();
    files.sort();
    Some(files)
}

/// Whether a name fits a pattern.
fn fits(pattern: &str, name: &str) -> bool {
    let (mut wanted, mut rest) = (pattern.chars(), name.chars());
    // Behind the last `*`, and the text that it may still take.
    let mut star: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let before = (wanted.clone(), rest.clone());
        match (wanted.next(), rest.next()) {
            (Some('*'), _) => {
                star = Some((wanted.clone(), before.1.clone()));
                rest = before.1;
            }
            (None, None) => return true,
            (Some(a), Some(b)) if a == b || a == '?' => {}
            _ => {
                let Some((behind, taken)) = &mut star else { return false };
                if taken.next().is_none() {
                    return false;
                }
                (wanted, rest) = (behind.clone(), taken.clone());
            }
        }
    }
}

impl From<&Path> for Input {
    fn from(path: &Path) -> Self {
        if path.as_os_str() == STDIN {
            return Self(Source::Stdin);
        }
        let files = if path.exists() { None } else { matching(path) };
        Self(match files {
            Some(files) => Source::Files { pattern: path.to_owned(), files },
            None => Source::File(path.to_owned()),
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_patterns() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("log-????.jsonl*", "log-1130.jsonl.gz", true),
            ("log-????.jsonl", "log-113.jsonl", false),
            ("?", "é", true),
            ("?", "", false),
            ("a*", "ba", false),
            ("*a", "ab", false),
            ("a", "ab", false),
            ("**", "x", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
        assert!(!fits(&"*a".repeat(30), &"a".repeat(29)), "no exponential time");
    }

    #[test]
    fn files_of_a_pattern_are_one_input() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for (name, text) in
            [("log-2", "second"), ("log-1", "first\ntorn"), (".log-0", "hidden"), ("log-3", "")]
        {
            fs::write(path(name), text).unwrap();
        }
        let input = Input::from(path("log-?").as_path());
        assert_eq!(input.check().map_err(|failure| failure.message), Ok(Some(16)));
        let read = Arc::default();
        let text = io::read_to_string(input.open(&read).unwrap().source).unwrap();
        assert_eq!((text.as_str(), read.load(Ordering::Relaxed)), ("first\ntorn\nsecond\n", 16));
        assert!(Input::from(path("x*").as_path()).check().unwrap_err().message.contains("x*: no file"));
        fs::write(path("log-?"), "this one").unwrap();
        assert_eq!(
            Input::from(path("log-?").as_path()).check().map_err(|failure| failure.message),
            Ok(Some(8))
        );
    }
}
