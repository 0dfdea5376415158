//! Log files: dated names, and compression by ending.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::output_file::{self, Existing};
use crate::stdio::say;
use crate::time::Stamp;

/// The uncompressed size of a gzip member. A smaller one compresses worse, and after a crash a member that was not written is lost.
const MEMBER_BYTES: usize = 256 << 10;

/// The longest time for which a line waits for others to be compressed with.
const MEMBER_TIME: Duration = Duration::from_secs(60);

/// A log that is appended to. Each `write` must be one or more whole lines.
///
/// A name with conversions of strftime(3), `log-%Y%m%d.jsonl`, begins a new file when it changes. A name that ends with `.gz` is
/// compressed: lines wait until there are 256 KiB of them, or a minute, and become one gzip member. Each line or member is written with
/// one `write` to the end of the file, so several processes can write to one log.
#[derive(Debug)]
pub struct LogFile {
    name: PathBuf,
    existing: Existing,
    /// The file of the present name.
    file: File,
    path: PathBuf,
    /// The line that an empty file begins with.
    head: Vec<u8>,
    needs_head: bool,
    /// Lines for the next member.
    waiting: Vec<u8>,
    /// When the first of them came.
    since: Instant,
}

impl LogFile {
    /// Opens the file of the present time; missing folders are created. `existing` holds for each file.
    ///
    /// # Errors
    /// The file or a folder cannot be created, the file is refused, or the name has an unknown conversion.
    pub fn open(name: &Path, existing: Existing) -> io::Result<Self> {
        let path = dated_path(name, Stamp::now())?;
        let file = open(&path, existing)?;
        let (head, waiting) = (Vec::new(), Vec::new());
        let name = name.to_owned();
        Ok(Self { name, existing, file, path, head, needs_head: true, waiting, since: Instant::now() })
    }

    /// Writes a line before the first ones of each file that is empty then: the titles of a table. A file that gets no line has only that once
    /// the next one begins.
    #[must_use]
    pub fn with_head(mut self, head: Vec<u8>) -> Self {
        self.head = head;
        self
    }

    /// Opens the next file if the name changed.
    fn rotate(&mut self, now: Stamp) -> io::Result<()> {
        let path = dated_path(&self.name, now)?;
        if path != self.path {
            let waiting = std::mem::take(&mut self.waiting);
            self.write_with_head(&waiting)?;
            self.file = open(&path, self.existing)?;
            self.needs_head = true;
            self.path = path;
        }
        Ok(())
    }

    fn append(&mut self, lines: &[u8], now: Stamp, at: Instant) -> io::Result<()> {
        self.rotate(now)?;
        if !self.is_compressed() {
            return self.write_with_head(lines);
        }
        if self.waiting.is_empty() {
            self.since = at;
        }
        self.waiting.extend_from_slice(lines);
        if self.waiting.len() >= MEMBER_BYTES || at.saturating_duration_since(self.since) >= MEMBER_TIME {
            self.write_member()?;
        }
        Ok(())
    }

    /// The line that must precede the first lines of this file; empty if another writer has written it.
    fn missing_head(&mut self) -> io::Result<Vec<u8>> {
        if self.head.is_empty() || !std::mem::take(&mut self.needs_head) || self.file.metadata()?.len() > 0 {
            return Ok(Vec::new());
        }
        Ok(self.head.clone())
    }

    fn write_member(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let waiting = std::mem::take(&mut self.waiting);
        self.write_with_head(&waiting)
    }

    /// Writes lines to the file, which may be none, behind the head if that is missing.
    fn write_with_head(&mut self, lines: &[u8]) -> io::Result<()> {
        let bytes = [&self.missing_head()?, lines].concat();
        match self.is_compressed() && !bytes.is_empty() {
            true => self.file.write_all(&compressed(&bytes)?),
            false => self.file.write_all(&bytes),
        }
    }

    fn is_compressed(&self) -> bool {
        self.path.extension().is_some_and(|ending| ending == "gz")
    }
}

/// A gzip member.
fn compressed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

impl Write for LogFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.append(lines, Stamp::now(), Instant::now())?;
        Ok(lines.len())
    }

    /// Writes the lines that wait for others.
    fn flush(&mut self) -> io::Result<()> {
        self.write_member()
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        if let Err(error) = self.write_member() {
            say(&self.path.display().to_string(), &error.to_string());
        }
    }
}

/// Whether a log with this name may be several files, each with the date in its name.
#[must_use]
pub fn is_dated(path: &Path) -> bool {
    path.to_string_lossy().contains('%')
}

/// Replaces the conversions of strftime(3) in a path.
///
/// # Errors
/// A conversion is unknown. A `%` that is none is written `%%`.
pub fn dated_path(path: &Path, at: Stamp) -> io::Result<PathBuf> {
    let text = path.to_str().filter(|text| text.contains('%'));
    let Some(text) = text else { return Ok(path.to_owned()) };
    at.try_format(text).map(PathBuf::from).map_err(|error| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{error}; write %% for the character %"))
    })
}

fn open(path: &Path, existing: Existing) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    output_file::open(path, existing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Stamp {
        text.parse().unwrap()
    }

    /// What a log has, compressed or not.
    fn text_of(path: &Path) -> String {
        let file = File::open(path).unwrap();
        let is_compressed = path.extension().is_some_and(|ending| ending == "gz");
        io::read_to_string::<Box<dyn io::Read>>(match is_compressed {
            true => Box::new(flate2::read::MultiGzDecoder::new(file)),
            false => Box::new(file),
        })
        .unwrap()
    }

    #[test]
    fn new_day_begins_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let mut log = LogFile::open(&folder.path().join("%Y/log-%m%d.jsonl"), Existing::Append).unwrap();
        for (time, line) in [
            ("2026-12-31T23:59:59.999+01:00", "old\n"),
            ("2027-01-01T00:00:00.000+01:00", "new\n"),
            ("2027-01-01T00:00:01.000+01:00", "newer\n"),
            ("2026-12-31T23:59:59.999+01:00", "clock was set back\n"),
        ] {
            log.append(line.as_bytes(), at(time), Instant::now()).unwrap();
        }
        assert_eq!(read("2026/log-1231.jsonl"), "old\nclock was set back\n");
        assert_eq!(read("2027/log-0101.jsonl"), "new\nnewer\n");
    }

    #[test]
    fn each_empty_file_begins_with_the_head() {
        let folder = tempfile::tempdir().unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let name = folder.path().join("log-%d.csv");
        let write = |times: &[&str]| {
            let log = LogFile::open(&name, Existing::Append).unwrap();
            let mut log = log.with_head(b"titles\n".to_vec());
            for time in times {
                let at = at(&format!("2026-11-{time}T12:00:00.000+00:00"));
                log.append(b"row\n", at, Instant::now()).unwrap();
            }
        };
        write(&["01", "01", "02"]);
        write(&["02", "03"]);
        assert_eq!(
            ["log-01.csv", "log-02.csv", "log-03.csv"].map(read),
            ["titles\nrow\nrow\n", "titles\nrow\nrow\n", "titles\nrow\n"]
        );
    }

    #[test]
    fn file_without_a_line_has_the_head() {
        let folder = tempfile::tempdir().unwrap();
        for ending in ["csv", "csv.gz"] {
            let name = folder.path().join(format!("log-%Y.{ending}"));
            let first = dated_path(&name, Stamp::now()).unwrap();
            let log = LogFile::open(&name, Existing::Append).unwrap();
            let mut log = log.with_head(b"titles\n".to_vec());
            log.append(b"row\n", at("2020-11-01T12:00:00.000+00:00"), Instant::now()).unwrap();
            assert_eq!(text_of(&first), "titles\n", "{first:?}");
        }
    }

    #[test]
    fn two_writers_write_one_head() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["log.csv", "log.csv.gz"] {
            let path = folder.path().join(name);
            let log = || LogFile::open(&path, Existing::Append).unwrap().with_head(b"titles\n".to_vec());
            let mut logs = [log(), log()];
            for log in &mut logs {
                log.append(b"row\n", Stamp::now(), Instant::now()).unwrap();
            }
            drop(logs);
            assert_eq!(text_of(&path), "titles\nrow\nrow\n", "{name}");
        }
    }

    #[test]
    fn percent_sign_is_doubled() {
        let path = |name: &str| dated_path(Path::new(name), at("2026-11-30T08:09:10.000+00:00"));
        assert_eq!(path("log-%H%M%S").unwrap(), Path::new("log-080910"));
        assert_eq!(path("100%%").unwrap(), Path::new("100%"));
        for wrong in ["100%", "log-%!"] {
            assert!(path(wrong).unwrap_err().to_string().contains("write %%"), "{wrong}");
        }
    }

    #[test]
    fn members_are_whole_and_wait_at_most_a_minute() {
        use std::io::Read as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl.gz");
        let read = || {
            let mut text = String::new();
            let file = File::open(&path).unwrap();
            flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).map(|_| text)
        };
        let (now, start) = (Stamp::now(), Instant::now());
        let mut logs = [0, 1].map(|_| LogFile::open(&path, Existing::Append).unwrap());
        for log in &mut logs {
            log.append(b"one\n", now, start).unwrap();
        }
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
        logs[0].append(b"two\n", now, start + MEMBER_TIME).unwrap();
        assert_eq!(read().unwrap(), "one\ntwo\n");
        logs[1].append(&b"long\n".repeat(MEMBER_BYTES), now, start).unwrap();
        assert!(read().unwrap().starts_with("one\ntwo\none\nlong\n"));
        logs[1].append(b"last\n", now, start).unwrap();
        drop(logs);
        assert!(read().unwrap().ends_with("long\nlast\n"));
    }
}
