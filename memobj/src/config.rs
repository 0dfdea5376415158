//! The configuration of a run: resolved once from the arguments, and constant after that.
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use common::record::Scope;
use memobj_cpython::runtime::LocateMethod;

/// A run of memobj.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The place of the objects.
    pub targets: Targets,
    /// Includes all Python processes below the roots.
    pub tree: bool,
    /// Includes those that there is time for: a search for leaks without `tree`.
    pub children: bool,
    /// The content of each census.
    pub census: CensusOptions,
    /// The time from one census to the next; `None` takes a single one.
    pub interval: Option<Duration>,
    /// The number of censuses after which the run ends.
    pub max_censuses: u64,
    /// The time after which the run ends.
    pub duration: Option<Duration>,
    /// Compares the censuses and reports leaks in place of censuses.
    pub leaks: bool,
    /// The time that a search for leaks was given. On a busy machine it ends soon after that, with fewer censuses.
    pub search_time: Option<Duration>,
    /// Watches who writes to a container, in place of censuses.
    pub watch: Option<WatchOptions>,
    /// The file for the text; records go to the same name with `.jsonl`. With a format, the only file. `None` is stdout.
    pub output: Option<PathBuf>,
    /// The format, also by the ending of the file; `None` on stdout depends on whether it is a terminal.
    pub format: Option<Format>,
    /// The extent of the text.
    pub text: TextOptions,
}

/// The place of the objects of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Targets {
    /// In a file.
    File(HeapFile),
    /// In these running processes.
    Processes(Vec<u32>),
    /// In a command that memobj starts.
    Command(Vec<OsString>),
}

/// A file with the memory of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeapFile {
    /// A core file of gcore or the kernel.
    Core(PathBuf),
    /// A snapshot of `--save-snapshot`.
    Snapshot(PathBuf),
}

/// Output formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One JSON object per line
    Jsonl,
    /// Tables for people
    Text,
    /// The newest values for Prometheus; with -o, FILE is replaced after every round of censuses
    Openmetrics,
}

impl Format {
    /// The format that the ending of a file's name stands for.
    pub fn of_file(path: &Path) -> Option<Self> {
        let name = path.as_os_str().as_encoded_bytes();
        let name = name.strip_suffix(b".gz").unwrap_or(name);
        match () {
            () if name.ends_with(b".jsonl") => Some(Self::Jsonl),
            () if name.ends_with(b".prom") => Some(Self::Openmetrics),
            () => None,
        }
    }
}

/// The extent of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextOptions {
    /// Rows of a table.
    pub limit: usize,
    /// Shows changes at every `diff_every`-th census of a process; 0 never does.
    pub diff_every: u64,
    /// Whether the user asked for the account of the resident set.
    pub memory: bool,
}

/// The content of a census, and the permitted ways to read memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CensusOptions {
    /// Which objects are counted.
    pub scope: Scope,
    /// Whether the process may be stopped.
    pub stop: StopPolicy,
    /// The only method to locate the interpreter; `None` tries all of them.
    pub locate: Option<LocateMethod>,
    /// Adds the account of the resident set.
    pub memory: bool,
    /// Saves the copied memory to this file.
    pub save: Option<PathBuf>,
    /// Writes the objects to a file for another tool.
    pub export: Option<ExportFile>,
    /// Adds who holds the objects.
    pub holders: Option<HolderOptions>,
    /// Adds the program's caches.
    pub caches: Option<CacheOptions>,
    /// Finds the container with this name.
    pub watch: Option<String>,
    /// Includes the command line and the path of the executable.
    pub cmdline: bool,
    /// The nice value of the analysis, setpriority(2), if it is higher than that of the program. The copy has the program's.
    pub nice: u8,
}

/// A file for another tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportFile {
    /// Its path.
    pub path: PathBuf,
    /// Its format, by the ending of its name.
    pub format: ExportFormat,
}

/// Formats of other tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// A heap snapshot of V8: Chrome DevTools, memlab.
    HeapSnapshot,
    /// The tree of holders as a profile: pprof, Pyroscope, Grafana.
    Pprof,
    /// The same for speedscope.
    Speedscope,
    /// The types as a table: spreadsheets.
    Csv,
}

impl ExportFormat {
    /// The formats with the endings of their files.
    pub const ENDINGS: [(&'static str, Self); 4] = [
        (".heapsnapshot", Self::HeapSnapshot),
        (".pb.gz", Self::Pprof),
        (".speedscope.json", Self::Speedscope),
        (".csv", Self::Csv),
    ];

    /// Whether it contains more than the types.
    pub const fn has_references(self) -> bool {
        !matches!(self, Self::Csv)
    }

    /// Whether it contains the tree of holders.
    pub const fn has_tree(self) -> bool {
        matches!(self, Self::Pprof | Self::Speedscope)
    }
}

/// The options of `--watch-adds`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchOptions {
    /// The longest time.
    pub duration: Option<Duration>,
    /// The number of additions that suffice.
    pub additions: Option<u64>,
}

/// The longest pause without another choice: a quarter of the second after which the most impatient health checks and heartbeats give up. A
/// copy of half a gigabyte fits.
pub const MAX_PAUSE: Duration = Duration::from_millis(250);

/// The nice value of the analysis without another choice: a tenth of the weight of a normal program. The service goes first, and on busy
/// processors the census still ends. At 19 it has a seventieth: there it takes minutes, and Ctrl-C waits for a thread that does not run.
pub const NICE: u8 = 10;

/// Whether a process may be stopped while its memory is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopPolicy {
    /// If no copy succeeds while all its threads sleep, which needs no stop.
    IfAwake {
        /// The longest pause of a census. If a copy takes longer, it is read while it runs instead. `None` is no limit.
        at_most: Option<Duration>,
        /// Whether threads may be stopped that wait in a system call. If not, only those that run are.
        interrupts: bool,
    },
    /// Before memory for its copy is prepared, for as long as the copy takes.
    AtOnce,
    /// It is read while it runs.
    Never,
}

impl Default for StopPolicy {
    fn default() -> Self {
        Self::IfAwake { at_most: Some(MAX_PAUSE), interrupts: true }
    }
}

/// The options of `--caches`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheOptions {
    /// Larger entries are counted as large.
    pub max_item_bytes: u64,
}

/// The options of `--holders`, `--retained` and `--why`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HolderOptions {
    /// Adds the bytes that would be freed without each type and holder.
    pub retained: bool,
    /// Type names whose objects get their paths to roots.
    pub why: Vec<String>,
}
