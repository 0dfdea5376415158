//! The saved history of a run: a text file for people and a JSONL file for the other tools.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use common::jsonl::Writer;
use common::record::Record;
use common::record_sink::Sink;
use common::table::Style;
use common::time::Stamp;

use super::atomic_writer::{AppendFile, AtomicWriter};
use super::text::Text;

/// Names to try for runs that begin in the same second and folder.
const MAX_NAMES: u32 = 10_000;

/// Saves every record at once in a `.jsonl` and a `.txt` file: if memmon is killed, all complete samples are there.
///
/// A full disk does not end the run. A failed write leaves no torn line; the next record is written again.
#[derive(Debug)]
pub struct HistoryFiles<F: AppendFile = File> {
    jsonl: Writer<AtomicWriter<F>>,
    text: Text<AtomicWriter<F>>,
    paths: [PathBuf; 2],
    /// The number of lost records since writing failed; `None` while it works.
    lost: Option<u64>,
}

impl HistoryFiles {
    /// Creates `process_monitor_<YYYYmmdd_HHMMSS>_pid<PID>.jsonl` and `.txt` in `folder`, and the folder and those above it
    /// if missing. If such a file exists, `_2`, `_3`, … is appended to the name.
    ///
    /// Command lines may contain secrets: only the user can read the files and new folders.
    ///
    /// # Errors
    /// A file or folder cannot be created; the message begins with its path.
    pub fn create(folder: &Path, pid: u32, started: Stamp) -> io::Result<Self> {
        let created = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        created.map_err(|error| with_path(folder, &error))?;
        let stem = format!("process_monitor_{}_pid{pid}", started.format("%Y%m%d_%H%M%S"));
        for number in 1..=MAX_NAMES {
            let stem = if number == 1 { stem.clone() } else { format!("{stem}_{number}") };
            let paths = ["jsonl", "txt"].map(|ending| folder.join(format!("{stem}.{ending}")));
            let [jsonl, text] = &paths;
            let Some(jsonl_file) = create_file(jsonl)? else { continue };
            match create_file(text) {
                Ok(Some(text_file)) => return Ok(Self::new([jsonl_file, text_file], paths)),
                other => {
                    // One file alone is useless. Whether removing it succeeds does not matter.
                    let _ = std::fs::remove_file(jsonl);
                    other?;
                }
            }
        }
        Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("{}: all names are taken", folder.display()),
        ))
    }
}

impl<F: AppendFile> HistoryFiles<F> {
    fn new([jsonl, text]: [F; 2], paths: [PathBuf; 2]) -> Self {
        Self {
            jsonl: Writer::new(AtomicWriter::new(jsonl)),
            text: Text::new(AtomicWriter::new(text), Style::default()),
            paths,
            lost: None,
        }
    }

    /// The files: JSONL, text.
    pub fn paths(&self) -> [&Path; 2] {
        let [jsonl, text] = &self.paths;
        [jsonl, text]
    }

    /// Writes a record to both files. Returns a message for the user if writing began to fail, or works again and how much was lost.
    pub fn record(&mut self, record: &Record) -> Option<String> {
        let results = [self.jsonl.record(record), self.text.record(record)];
        // A small record may still fit on a full disk. Only a sample, which goes to both files, shows that writing works again.
        self.note_results(results, matches!(record, Record::Process(_)))
    }

    /// Writes what was held back. Returns a message for the user if records were lost.
    pub fn finish(&mut self) -> Option<String> {
        let results = [self.jsonl.finish(), self.text.finish()];
        self.note_results(results, false).or_else(|| self.loss_message())
    }

    /// Notes the results of writing to both files.
    fn note_results(&mut self, results: [io::Result<()>; 2], sure: bool) -> Option<String> {
        let failed = self.paths.iter().zip(results).find_map(|(path, result)| Some(path).zip(result.err()));
        match (failed, self.lost) {
            (Some((path, error)), None) => {
                self.lost = Some(1);
                Some(format!("{}; going on without saving", with_path(path, &error)))
            }
            (Some(_), Some(lost)) => {
                self.lost = Some(lost.saturating_add(1));
                None
            }
            (None, Some(_)) if sure => {
                let message = self.loss_message().map(|message| format!("{message}; saving works again"));
                self.lost = None;
                message
            }
            (None, _) => None,
        }
    }

    fn loss_message(&self) -> Option<String> {
        let [jsonl, _] = &self.paths;
        let lost = self.lost?;
        let records = if lost == 1 { "record" } else { "records" };
        Some(format!("{}: {lost} {records} could not be saved", jsonl.with_extension("").display()))
    }
}

fn with_path(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// A new file at `path`; `None` if it exists.
fn create_file(path: &Path) -> io::Result<Option<File>> {
    match OpenOptions::new().append(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(with_path(path, &error)),
    }
}

/// The default folder of histories: `$XDG_STATE_HOME/memtools`, else `~/.local/state/memtools` (XDG Base Directory
/// Specification 0.8); `~/Library/Application Support/memtools` on macOS.
///
/// `None` if there is no home folder.
pub fn state_dir() -> Option<PathBuf> {
    state_dir_of(|name| std::env::var_os(name), std::env::home_dir())
}

fn state_dir_of(variable: impl Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Option<PathBuf> {
    // The specification ignores relative paths: they would depend on the current folder.
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    let folder = |name: &str| variable(name).map(PathBuf::from).and_then(absolute);
    let at_home = |path: &str| home.clone().and_then(absolute).map(|home| home.join(path));
    let default = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/state" };
    folder("XDG_STATE_HOME").or_else(|| at_home(default)).map(|base| base.join("memtools"))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use common::record::EventKind;

    use super::super::atomic_writer::tests::SmallDisk;
    use super::super::testing::{error, event, header, process};
    use super::*;

    fn records(path: &Path) -> Vec<Record> {
        let log = std::fs::read(path).unwrap();
        log.split_inclusive(|&byte| byte == b'\n').map(|line| Record::parse(line).unwrap()).collect()
    }

    fn create(folder: &Path) -> HistoryFiles {
        HistoryFiles::create(folder, 1234, header(1).timestamp).unwrap()
    }

    #[test]
    fn each_sample_is_in_both_files() {
        let folder = tempfile::tempdir().unwrap();
        let mut save = create(&folder.path().join("a/b"));
        let [jsonl, text] = save.paths().map(Path::to_owned);
        assert_eq!(jsonl, folder.path().join("a/b/process_monitor_20261123_142502_pid1234.jsonl"));
        assert_eq!(text, jsonl.with_extension("txt"));
        let sample = process(1, |_| {});
        assert_eq!(save.record(&sample), None);
        // As after SIGKILL: nothing is finished or dropped.
        assert_eq!(records(&jsonl), [sample]);
        let block = std::fs::read_to_string(&text).unwrap();
        assert!(block.starts_with("#1  2026-11-23 14:25:02  python3 (pid 1234)"), "{block}");
        assert!(block.ends_with("  total     100.00 MiB\n"), "{block}");
    }

    #[test]
    fn pending_events_are_saved_at_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut save = create(folder.path());
        assert_eq!(save.record(&process(1, |_| {})), None);
        let exited = event(2, EventKind::Exited, 1234, "python3", |e| e.exit_code = Some(0));
        assert_eq!((save.record(&exited), save.finish()), (None, None));
        let text = std::fs::read_to_string(save.paths()[1]).unwrap();
        assert!(text.ends_with("\n\n  - 1234 python3 ended: exit 0\n"), "{text}");
        assert_eq!(records(save.paths()[0]).len(), 2);
    }

    #[test]
    fn existing_files_are_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let names = |save: &HistoryFiles| save.paths().map(|path| path.file_name().unwrap().to_owned());
        let stem = "process_monitor_20261123_142502_pid1234";
        drop(create(folder.path()));
        // A text without its JSONL takes the name as well.
        std::fs::write(folder.path().join(format!("{stem}_2.txt")), "mine").unwrap();
        let third = create(folder.path());
        assert_eq!(names(&third), [format!("{stem}_3.jsonl"), format!("{stem}_3.txt")].map(OsString::from));
        assert_eq!(std::fs::read_to_string(folder.path().join(format!("{stem}_2.txt"))).unwrap(), "mine");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 5);
    }

    #[cfg(unix)]
    #[test]
    fn new_files_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let save = create(&folder.path().join("a/b"));
        assert_eq!(save.paths().map(mode), [0o600; 2]);
        assert_eq!(["a", "a/b"].map(|path| mode(&folder.path().join(path))), [0o700; 2]);
        assert_eq!(mode(folder.path()), 0o755, "what was there stays as it was");
    }

    #[test]
    fn unusable_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = HistoryFiles::create(&file.join("sub"), 1, header(1).timestamp).unwrap_err();
        assert!(error.to_string().contains("file/sub: "), "{error}");
    }

    /// A save whose two files share a disk with so much room, and the room.
    fn on_small_disk(room: usize) -> (HistoryFiles<SmallDisk>, Rc<Cell<usize>>) {
        let room = Rc::new(Cell::new(room));
        let files = [SmallDisk::new(&room), SmallDisk::new(&room)];
        (HistoryFiles::new(files, ["dir/log.jsonl".into(), "dir/log.txt".into()]), room)
    }

    /// The iterations in the JSONL, each of whose lines must be a record.
    fn iterations(save: &mut HistoryFiles<SmallDisk>) -> Vec<u64> {
        let log = save.jsonl.get_mut().storage().bytes.clone();
        assert!(log.is_empty() || log.ends_with(b"\n"));
        log.split_inclusive(|&byte| byte == b'\n')
            .map(|line| match Record::parse(line).unwrap() {
                Record::Process(record) => record.iteration,
                Record::Error(record) => record.iteration,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn full_disk_is_reported_once() {
        let (mut save, room) = on_small_disk(2500);
        let mut problems = Vec::new();
        for n in 1..=20 {
            if n == 15 {
                room.set(room.get() + 100_000);
            }
            problems.extend(save.record(&process(n, |_| {})).map(|problem| (n, problem)));
        }
        let saved = iterations(&mut save);
        let first_lost = (1..).find(|n| !saved.contains(n)).unwrap();
        assert!((2..5).contains(&first_lost), "{saved:?}");
        assert_eq!(saved.last(), Some(&20));
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert_eq!(problems[0].0, first_lost);
        assert!(
            problems[0].1.starts_with("dir/log.") && problems[0].1.ends_with("; going on without saving"),
            "{problems:?}"
        );
        let lost = 15 - first_lost;
        let again = format!("dir/log: {lost} records could not be saved; saving works again");
        assert_eq!(problems[1], (15, again));
    }

    #[test]
    fn small_record_does_not_end_problem() {
        let (mut save, room) = on_small_disk(600);
        assert!(save.record(&process(1, |_| {})).unwrap().contains("going on without saving"));
        assert_eq!(save.record(&error(1, "sample", "short")), None);
        assert_eq!(iterations(&mut save), [1]);
        assert_eq!(save.record(&process(2, |_| {})), None, "reported already");
        assert_eq!(save.finish().unwrap(), "dir/log: 2 records could not be saved");
        assert!(room.get() < 600);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn full_device_never_ends_the_run() {
        let full = || OpenOptions::new().append(true).open("/dev/full").unwrap();
        let mut save = HistoryFiles::new([full(), full()], ["a.jsonl".into(), "a.txt".into()]);
        let problems: Vec<String> = (1..=3).filter_map(|n| save.record(&process(n, |_| {}))).collect();
        let [problem] = problems.as_slice() else { panic!("{problems:?}") };
        assert!(problem.starts_with("a.jsonl: ") && problem.contains("space"), "{problem}");
        assert_eq!(save.finish().unwrap(), "a: 3 records could not be saved");
    }

    #[cfg(all(unix, not(target_os = "macos")))]
    #[test]
    fn state_folder_follows_xdg() {
        let of = |xdg: Option<&str>, home: Option<&str>| {
            state_dir_of(
                |name| (name == "XDG_STATE_HOME").then_some(xdg)?.map(OsString::from),
                home.map(PathBuf::from),
            )
        };
        assert_eq!(of(Some("/state"), Some("/people/u")), Some("/state/memtools".into()));
        for xdg in [None, Some(""), Some("state")] {
            assert_eq!(of(xdg, Some("/people/u")), Some("/people/u/.local/state/memtools".into()));
        }
        assert_eq!(of(None, None), None);
        assert_eq!(of(None, Some("home")), None);
    }
}
