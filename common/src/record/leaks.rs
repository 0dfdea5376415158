//! `leaks`: the growth of a Python process from census to census, with its holders.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::census::Liveness;
use super::header::record;
use super::memory::{MemoryKind, MemoryRow};
use super::names::names;

/// The holder of the callbacks of `atexit`.
pub const EXIT_CALLBACKS: &str = "atexit callbacks";
/// The holder of threads that have not ended.
pub const ACTIVE_THREADS: &str = "threading._active";
/// The holder of the callbacks of `os.register_at_fork`.
pub const FORK_CALLBACKS: &str = "register_at_fork callbacks";
/// The holder of what `sys.addaudithook` was given.
pub const AUDIT_HOOKS: &str = "audit hooks";
/// The holder of what `codecs.register_error` was given.
pub const CODEC_ERRORS: &str = "codec error handlers";
/// The holder of what `codecs.register` was given, and of the codecs found so far.
pub const CODECS: &str = "codec registry";
/// The holder of what only the collector's rule keeps: a suspended greenlet.
pub const GREENLETS: &str = "suspended greenlets";

record! {
    /// The verdict on a CPython process after several censuses (`type`: `leaks`).
    pub struct LeaksRecord {
        /// Its pid in the pid namespace of memobj.
        pub pid: u32,
        /// Its start time in clock ticks since boot.
        pub start_ticks: Option<u64>,
        /// The pid of the requested process, if this process is a descendant of it.
        pub root_pid: Option<u32>,
        /// Its name; `null` if it could not be read.
        pub name: Option<Arc<str>>,
        /// Its arguments; `null` if they could not be read, or if they are not recorded.
        pub cmdline: Option<Arc<[String]>>,
        /// The version of its Python.
        pub python: Arc<str>,
        /// The conclusion.
        pub verdict: LeakVerdict,
        /// The number of censuses.
        pub censuses: u64,
        /// The time from the first to the last census.
        pub duration_seconds: f64,
        /// The longest pause of the process for a census: 0 if it slept at each; `null` if it was never copied.
        pub longest_pause_seconds: Option<f64>,
        /// The number of censuses that read it while it ran, because a copy would have taken too long a pause or too much memory.
        #[serde(default)]
        pub live_censuses: u64,
        /// The number of all objects in the first census.
        pub first_objects: u64,
        /// The number of all objects in the last census.
        pub last_objects: u64,
        /// Their sizes in the first census.
        pub first_size_bytes: u64,
        /// Their sizes in the last census.
        pub last_size_bytes: u64,
        /// The resident set in the first census; `null` if unknown.
        pub first_rss_bytes: Option<u64>,
        /// The resident set in the last census; `null` if unknown.
        pub last_rss_bytes: Option<u64>,
        /// The number of holders of objects; all were checked.
        #[serde(alias = "places")]
        pub holders_checked: u64,
        /// Growth without a limit, those with the most bytes per minute first.
        pub leaks: Vec<Leak>,
        /// Growth towards a limit: caches and queues that fill up.
        #[serde(default)]
        pub filling: Vec<Leak>,
        /// Growth that slows down: each census finds fewer new objects than the one before.
        #[serde(default)]
        pub slowing: Vec<Leak>,
        /// Growth that cannot be judged yet: a loop that removes from it slept nearly all the time.
        #[serde(default)]
        pub undecided: Vec<Leak>,
        /// The resident and free memory in arenas that few objects keep allocated; `null` if unknown.
        pub pinned_bytes: Option<u64>,
        /// The type whose objects keep most of that memory; `null` if there is none.
        #[serde(alias = "pinned_by")]
        pub pinned_type: Option<Arc<str>>,
        /// The growth of the resident set besides Python objects; `null` if there is none, or if unknown.
        pub memory: Option<MemoryGrowth>,
        /// The comparison with other processes of the same program; `null` if there are none.
        #[serde(alias = "among")]
        pub peers: Option<PeerComparison>,
        /// The number of Python processes below it that were not searched, as that would have taken too long, or was not possible.
        #[serde(default)]
        pub unchecked_children: u64,
        /// The number of Python processes below it that ran too briefly for a verdict; 0 with `--tree`, where each has a record.
        #[serde(default)]
        pub brief_children: u64,
        /// The types whose objects may have suspended frames that cannot be read, and that may hold what has no known holder.
        #[serde(default)]
        pub unread_frames_of: Vec<Arc<str>>,
        /// The totals of each census, the first one first.
        #[serde(default)]
        pub totals_by_census: Vec<CensusTotals>,
        /// The account of the resident set in the last census, in the form of `census.memory.rows`; empty if there is none.
        #[serde(default)]
        pub memory_rows: Vec<MemoryRow>,
        /// The version of memobj; `null` in old records.
        #[serde(default)]
        pub memobj_version: Option<Arc<str>>,
        /// The open file descriptors in the first and the last census; `null` if unknown.
        #[serde(default)]
        pub fds: Option<DescriptorGrowth>,
    }
}

/// The open file descriptors of a process at two moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescriptorGrowth {
    /// Their number in the first census.
    pub first_count: u64,
    /// Their number in the last census.
    pub last_count: u64,
    /// The number of those in the first census that Python objects own.
    pub first_object_count: u64,
    /// The same in the last census.
    pub last_object_count: u64,
}

/// The totals of a census.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CensusTotals {
    /// The time since the first census.
    pub elapsed_seconds: f64,
    /// The number of all objects.
    pub objects: u64,
    /// Their sizes.
    pub size_bytes: u64,
    /// The resident set; `null` if unknown.
    pub rss_bytes: Option<u64>,
}

/// The conclusion of a leak search.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeakVerdict {
    /// Something grows without a limit.
    Leak,
    /// Nothing grows without a limit.
    None,
    /// There were too few censuses.
    #[default]
    TooShort,
}

names! {
    /// The way in which a container grows.
    pub enum GrowthMode {
        /// Items are appended at its end.
        Appended,
        /// Items are put in front of the others.
        Prepended,
        /// Items are inserted anywhere.
        Inserted,
        /// Keys are set.
        KeysSet,
        /// Elements are added to a set.
        Added,
        /// Results are cached.
        Cached,
        /// Attributes are set, or a chain of objects grows.
        Linked,
        /// The object itself grows.
        Enlarged,
    }
}

/// A growing set of objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leak {
    /// Why the objects are not freed. Garbage is listed only while the collector is off.
    pub cause: Liveness,
    /// The holder, by name.
    pub holder: Arc<str>,
    /// The type of the added entries; of entries that only wrap an object, the type of that.
    #[serde(rename = "type")]
    pub name: Arc<str>,
    /// The function that is suspended in the holder, or that is the holder; `null` if there is none.
    pub function: Option<Arc<str>>,
    /// The suspended objects, with the line where most of them wait: `task bot.wait_reply, waiting at bot.py:42`; `null` if there are none.
    pub waiting: Option<Arc<str>>,
    /// The function of the program that most of the objects are or lead to, with its first line: what a timer calls, what a thread runs;
    /// `null` if there is none, or if they wait.
    #[serde(default)]
    pub entry_code: Option<CodeLine>,
    /// New entries of that type per minute.
    pub objects_per_minute: f64,
    /// New items per minute, if a single container grows and the number of objects does not; else `null`.
    pub entries_per_minute: Option<f64>,
    /// The growth from each census to the next: in objects; in items or bytes if a single object grows.
    #[serde(default)]
    pub growth_by_census: Vec<i64>,
    /// The growth in bytes per minute, with everything that the added objects bring with them.
    pub bytes_per_minute: f64,
    /// The growth in bytes per minute of memory outside Python objects that the entries keep; `null` if there is none.
    #[serde(default)]
    pub native_bytes_per_minute: Option<f64>,
    /// The type of the objects that keep it.
    #[serde(default)]
    pub native_type: Option<Arc<str>>,
    /// The number of all objects that the holder has now.
    pub held_objects: u64,
    /// The sum of their sizes.
    pub held_size_bytes: u64,
    /// The memory that would be freed without the entries, old and new ones; `null` if unknown.
    pub retained_bytes: Option<u64>,
    /// The part of it that was added since the first census, tables of the containers included; `null` if unknown.
    #[serde(default)]
    pub added_bytes: Option<u64>,
    /// The time since the oldest object was first seen; `null` if it was in the first census.
    #[serde(alias = "oldest_seconds")]
    pub oldest_age_seconds: Option<f64>,
    /// The time since the last census without the newest object.
    #[serde(alias = "newest_seconds")]
    pub newest_age_seconds: f64,
    /// The number of objects that were new after the first census and were seen again in a later one.
    #[serde(alias = "stayed")]
    pub survived: u64,
    /// The number of objects that were seen twice and then disappeared.
    #[serde(alias = "left")]
    pub freed: u64,
    /// The confidence, 0 to 1: 1 minus the probability that any of all holders would rise so by chance, times the share of the growth that
    /// a straight line explains.
    pub confidence_ratio: f64,
    /// The type of the container that grows; `null` without a holder.
    pub container: Option<Arc<str>>,
    /// Its own name, as an attribute of the class that has it: `MemoryJobStore._jobs`; `null` if the holder is named by it, or if it has none.
    #[serde(default)]
    pub container_name: Option<Arc<str>>,
    /// The number of its items; `null` if unknown, or if there are several containers.
    pub entries: Option<u64>,
    /// How it grows.
    #[serde(alias = "how")]
    pub growth_mode: GrowthMode,
    /// The most frequent path from a root to the objects; `null` without a holder.
    #[serde(alias = "way")]
    pub path: Option<Arc<str>>,
    /// The growing types, those with the most bytes first.
    pub types: Vec<TypeGrowth>,
    /// The largest number of entries that the cache or queue allows; `null` without a limit.
    #[serde(alias = "limit")]
    pub max_entries: Option<u64>,
    /// The type of C whose objects hold them in reference cycles, which it does not show to the collector; `null` if there is none.
    #[serde(default)]
    pub hiding_type: Option<Arc<str>>,
    /// The packages whose C code may have lost the objects, or may hold them; empty if their holder is known.
    #[serde(default)]
    pub suspects: Vec<Arc<str>>,
    /// Whether the container is made anew again and again, larger each time; then the holder is what is assigned.
    #[serde(default)]
    pub is_made_anew: bool,
    /// The holder of the leak that causes this one, as with weak references; `null` for an independent leak.
    #[serde(alias = "along")]
    pub side_effect_of: Option<Arc<str>>,
    /// The lines of code that add to the container; `null` if it was not watched.
    pub additions: Option<Additions>,
    /// Functions that name the container: they may add to it. With the line that adds where their source shows it, else with their first
    /// line. At most three.
    #[serde(default)]
    pub candidates: Vec<CodeLine>,
    /// Lines that remove from the container, by their source; the first of each function. At most three.
    #[serde(default)]
    pub removers: Vec<CodeLine>,
    /// Lines of the program that call a method of the object that has the container, by their source, where the container belongs to a
    /// library; the first of each function. At most three.
    #[serde(default)]
    pub callers: Vec<CodeLine>,
    /// The line at which a loop of the program slept nearly all the time, which removes from the container when it wakes; `null` if none is
    /// known.
    #[serde(default)]
    pub sleeping_remover: Option<CodeLine>,
    /// The number of open file descriptors that objects of the holder own now.
    #[serde(default)]
    pub fds: u64,
    /// How many more these are than in the first census.
    #[serde(default)]
    pub added_fds: u64,
}

impl Leak {
    /// The name by which a person knows the container: its own, or that of its holder.
    pub fn container_or_holder(&self) -> &Arc<str> {
        self.container_name.as_ref().unwrap_or(&self.holder)
    }
}

/// Additions to a container that were seen while its count was watched.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Additions {
    /// The duration of the watch.
    pub watched_seconds: f64,
    /// The number of additions seen.
    pub seen: u64,
    /// The lines that add, the most frequent first. It lacks additions whose line is unknown.
    pub lines: Vec<AddingLine>,
    /// Why the container cannot be watched, and a remedy; `null` if it was watched.
    pub refused: Option<Arc<str>>,
}

record! {
    /// Who adds to a container and removes from it (`type`: `writes`).
    pub struct WritesRecord {
        /// The process's pid in the pid namespace of memobj.
        pub pid: u32,
        /// Its start time in clock ticks since boot.
        pub start_ticks: Option<u64>,
        /// Its name; `null` if it could not be read.
        pub name: Option<Arc<str>>,
        /// Its arguments; `null` if they could not be read, or if they are not recorded.
        pub cmdline: Option<Arc<[String]>>,
        /// The version of its Python.
        pub python: Arc<str>,
        /// The name of the container.
        pub holder: Arc<str>,
        /// Its type.
        pub container: Arc<str>,
        /// The number of containers with that name.
        pub containers: u64,
        /// The number of those that were watched: at most four, the largest ones.
        pub watched_containers: u64,
        /// The duration of the watch.
        pub watched_seconds: f64,
        /// The part of it in which writes came faster than memobj reads them, so that it saw none.
        pub unwatched_seconds: f64,
        /// The number of writes to the counts of the containers.
        pub writes: u64,
        /// The number of additions among them that memobj saw. One addition may add several entries.
        pub added: u64,
        /// The number of removals that it saw.
        pub removed: u64,
        /// The number of writes seen that left the count as it was, or of which it is not known whether they added or removed.
        pub unclear: u64,
        /// The lines that add, the most frequent first. It lacks additions whose line is unknown.
        pub additions: Vec<AddingLine>,
        /// The lines that remove, likewise.
        pub removals: Vec<AddingLine>,
        /// The number of entries at the beginning; `null` if unknown.
        pub first_entries: Option<u64>,
        /// The number of entries at the end; `null` if unknown, or if the process or the container is gone.
        pub last_entries: Option<u64>,
        /// How often the program put another container in the place of one. Writes until memobj noticed it were not seen.
        pub replaced: u64,
        /// Whether the watch ended because the container was gone.
        pub is_gone: bool,
    }
}

/// A line that adds to a container, or removes from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AddingLine {
    /// The number of additions seen from this line, or of removals.
    pub count: u64,
    /// Whether the running frame confirmed the line; otherwise the line is only likely.
    pub is_certain: bool,
    /// The line, then its callers as far as they are certain.
    pub frames: Vec<CodeLine>,
}

/// A line of code.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CodeLine {
    /// The qualified name of the function; the bare name before Python 3.11.
    pub function: Arc<str>,
    /// The file name in the code object.
    pub file: Arc<str>,
    /// The line in that file; `null` if the instruction has none.
    pub line: Option<u32>,
}

impl CodeLine {
    /// Whether the line is of the standard library or an installed package.
    pub fn is_library(&self) -> bool {
        let file = &*self.file;
        file.starts_with('<')
            || file.contains("/site-packages/")
            || file.contains("/dist-packages/")
            || file.contains("/lib/python")
    }
}

/// Growth of a type at a holder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TypeGrowth {
    /// The type.
    #[serde(rename = "type")]
    pub name: Arc<str>,
    /// Its growth in objects per minute.
    pub objects_per_minute: f64,
    /// Its growth in bytes per minute.
    pub bytes_per_minute: f64,
}

/// Growth of the resident set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemoryGrowth {
    /// Whether it is a separate leak: the growth is more than Python objects explain.
    #[serde(alias = "leaks")]
    pub is_leak: bool,
    /// The growth in bytes per minute.
    pub bytes_per_minute: f64,
    /// The growth of Python objects, in bytes per minute.
    pub objects_bytes_per_minute: f64,
    /// The confidence in the growth, 0 to 1.
    pub confidence_ratio: f64,
    /// The rows that grew most, from the account of the first census to the account of the last.
    pub rows: Vec<MemoryRowGrowth>,
    /// The part of the growth that the leaks explain, over all censuses.
    #[serde(default)]
    pub explained_bytes: u64,
    /// The memory that `malloc_trim(0)` would return.
    pub trimmable_bytes: u64,
    /// The packages whose C code may allocate it; empty if objects explain the growth.
    #[serde(default)]
    pub suspects: Vec<Arc<str>>,
}

/// Growth of a use of memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryRowGrowth {
    /// The use of the memory, as in the account of a census.
    pub kind: MemoryKind,
    /// A detail of the use.
    pub detail: Option<Arc<str>>,
    /// Its growth.
    #[serde(alias = "grown_bytes")]
    pub growth_bytes: u64,
    /// Its current size.
    #[serde(alias = "now_bytes")]
    pub current_bytes: u64,
}

/// The comparison of a process with others of the same program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeerComparison {
    /// The number of processes, this one included.
    pub processes: u64,
    /// The median growth of their objects, in bytes per minute.
    pub median_bytes_per_minute: f64,
    /// The growth of its own objects, in bytes per minute.
    pub bytes_per_minute: f64,
    /// Whether the process is an outlier.
    #[serde(alias = "stands_out")]
    pub is_outlier: bool,
}
