//! The metrics: their names, types and meanings.

/// Metrics of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Family {
    /// Its name. It begins with the tool and ends with the unit, or with `_total` for a counter.
    pub name: &'static str,
    /// Its meaning.
    pub help: &'static str,
    /// Its labels.
    pub labels: &'static [&'static str],
}

impl Family {
    /// Whether it only rises, until the process ends.
    #[must_use]
    pub fn is_counter(&self) -> bool {
        self.name.ends_with("_total")
    }

    /// Its unit, a suffix of its name.
    #[must_use]
    pub fn unit(&self) -> Option<&'static str> {
        const UNITS: [&str; 4] = ["bytes_per_second", "bytes", "seconds", "ratio"];
        UNITS
            .into_iter()
            .find(|unit| self.name.strip_suffix(unit).is_some_and(|before| before.ends_with('_')))
    }
}

/// The labels of a root or a Python process.
const PROCESS: &[&str] = &["command", "pid"];
/// The labels of a process in a tree; `root` is the pid of the tree's root.
const MEMBER: &[&str] = &["command", "pid", "root"];
const HOLDER: &[&str] = &["command", "pid", "holder"];
const CACHE: &[&str] = &["command", "pid", "cache"];
const LEAK: &[&str] = &["command", "pid", "holder", "type"];

macro_rules! families {
    ($($id:ident: $name:literal, $labels:expr, $help:literal;)*) => {
        $(pub(super) const $id: Family = Family { name: $name, help: $help, labels: $labels };)*

        /// All metrics.
        pub const FAMILIES: &[Family] = &[$($id),*];
    };
}

families! {
    SAMPLE_TIME: "memmon_sample_timestamp_seconds", PROCESS, "The time of the last sample, since 1970.";
    TREE_RSS: "memmon_tree_rss_bytes", PROCESS, "Sum of the resident sizes of the process and its descendants. Shared pages count several times.";
    TREE_PSS: "memmon_tree_pss_bytes", PROCESS, "Sum of their proportional sizes. Shared pages count once.";
    TREE_PROCESSES: "memmon_tree_processes", PROCESS, "Number of these processes.";
    CGROUP_USAGE: "memmon_cgroup_usage_bytes", PROCESS, "Memory in use by the control group of the process, with page cache.";
    CGROUP_ANON: "memmon_cgroup_anon_bytes", PROCESS, "Part of it in anonymous memory.";
    CGROUP_LIMIT: "memmon_cgroup_limit_bytes", PROCESS, "Memory limit of the control group.";
    CGROUP_OOM_KILLS: "memmon_cgroup_oom_kills_total", PROCESS, "Processes of the control group that the kernel killed for lack of memory.";
    PROCESS_RSS: "memmon_process_rss_bytes", MEMBER, "Resident set size of a process.";
    PROCESS_PSS: "memmon_process_pss_bytes", MEMBER, "Proportional set size of a process.";
    PROCESS_USS: "memmon_process_uss_bytes", MEMBER, "Unique set size of a process.";
    PROCESS_SWAP: "memmon_process_swap_bytes", MEMBER, "Swapped-out size of a process.";
    PROCESS_ANON: "memmon_process_rss_anon_bytes", MEMBER, "Part of the resident set that no file backs.";
    PROCESS_PEAK: "memmon_process_rss_peak_bytes", MEMBER, "Largest resident set size of a process so far.";
    PROCESS_CPU: "memmon_process_cpu_ratio", MEMBER, "Processor time of a process as a share of one processor, between its last two readings.";
    PROCESS_THREADS: "memmon_process_threads", MEMBER, "Threads of a process.";
    PROCESS_FDS: "memmon_process_fds", MEMBER, "Open file descriptors of a process.";
    PROCESS_START: "memmon_process_start_time_seconds", MEMBER, "Start time of a process, since 1970.";
    CENSUS_TIME: "memobj_census_timestamp_seconds", PROCESS, "The time of the last census, since 1970.";
    CENSUS_PAUSE: "memobj_census_pause_seconds", PROCESS, "Time for which the process was paused for the last census.";
    PYTHON: "memobj_python_info", &["command", "pid", "version"], "The version of Python that the process runs. Always 1.";
    CENSUS_RSS: "memobj_process_rss_bytes", PROCESS, "Resident set size at the census.";
    OBJECTS: "memobj_objects", PROCESS, "Python objects.";
    OBJECT_BYTES: "memobj_objects_bytes", PROCESS, "Sum of the sizes of the Python objects.";
    TYPE_OBJECTS: "memobj_type_objects", &["command", "pid", "type"], "Objects of a type.";
    TYPE_BYTES: "memobj_type_bytes", &["command", "pid", "type"], "Sum of the sizes of the objects of a type.";
    HOLDER_OBJECTS: "memobj_holder_objects", HOLDER, "Objects that a holder keeps alive.";
    HOLDER_BYTES: "memobj_holder_bytes", HOLDER, "Sum of their sizes.";
    HOLDER_RETAINED: "memobj_holder_retained_bytes", HOLDER, "Memory that would be freed without the holder.";
    CACHE_ENTRIES: "memobj_cache_entries", CACHE, "Entries of a cache.";
    CACHE_MAX_ENTRIES: "memobj_cache_max_entries", CACHE, "Largest number of entries that the cache allows.";
    CACHE_BYTES: "memobj_cache_bytes", CACHE, "Deep size of a cache.";
    CACHE_HITS: "memobj_cache_hits_total", CACHE, "Lookups that found an entry.";
    CACHE_MISSES: "memobj_cache_misses_total", CACHE, "Lookups that found no entry.";
    MEMORY: "memobj_memory_bytes", &["command", "pid", "kind"], "Resident memory by its owner.";
    VERDICT_TIME: "memobj_verdict_timestamp_seconds", PROCESS, "The time of the last verdict on leaks, since 1970.";
    VERDICT_PAUSE: "memobj_verdict_longest_pause_seconds", PROCESS, "Longest time for which the process was paused for a census of that search.";
    LEAKS: "memobj_leaks", PROCESS, "Leaks found: holders that grow without a limit, and 1 if other memory does. Absent if the search was too short.";
    LEAK_RATE: "memobj_leak_bytes_per_second", LEAK, "Growth of a leak.";
    LEAK_OBJECTS_RATE: "memobj_leak_objects_per_second", LEAK, "Entries that a leak gets.";
    LEAK_RETAINED: "memobj_leak_retained_bytes", LEAK, "Memory that would be freed without the entries of the leak.";
    LEAK_CONFIDENCE: "memobj_leak_confidence_ratio", LEAK, "Confidence in the leak.";
    OTHER_RATE: "memobj_other_memory_bytes_per_second", PROCESS, "Growth of resident memory that Python objects do not explain, if it is a leak.";
}
