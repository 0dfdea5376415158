//! One record of each type, with everything in it and with as little as there can be.
//!
//! Written out field by field, so that a field added to the contract must be added here, and so comes under its tests.

mod diff;
mod leaks;

use std::sync::Arc;

use common::process::ProcessState;
use common::record::{
    CacheTotal, CensusRecord, Cgroup, Coverage, DescriptorTotal, ErrorRecord, EventKind, Fingerprints,
    GcGeneration, GcState, Header, HeapNode, HolderTotal, LargeRegion, MemoryAccount, MemoryRow, ModuleTotal,
    ObjectSample, Omitted, OutputRecord, OutputStream, OwnerTotal, PathTotal, PinnedHolder, PinnedType,
    Pressure, ProcessEvent, ProcessRecord, ProcessSample, PythonBuild, PythonThread, Record, System,
    TypeMemory, TypeTotal, UnreachableTotal,
};

pub use diff::{count_change, diff, mark, process_change, thread_change, total_change, verdict};
pub use leaks::{
    adding_line, additions, census_totals, code_line, descriptor_growth, leak, leaks, memory_growth,
    memory_row_growth, peers, type_growth, writes,
};

/// How much a sample holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// Every field that may be empty has a value.
    Full,
    /// None has.
    Bare,
}

impl Fill {
    fn of<T>(self, value: T) -> Option<T> {
        (self == Self::Full).then_some(value)
    }
}

/// A header of always the same moment.
pub fn header() -> Header {
    Header {
        schema: common::record::SCHEMA,
        timestamp: "2026-11-23T22:27:00.123+01:00".parse().unwrap(),
        host: "server".into(),
        run: "00c0ffee00c0ffee".into(),
        iteration: 3,
    }
}

/// A record of each type.
pub fn records(fill: Fill) -> Vec<Record> {
    vec![
        Record::Process(Box::new(process(fill))),
        Record::ProcessEvent(Box::new(event(fill))),
        Record::Output(OutputRecord::new(header(), OutputStream::Stderr, "a line".into())),
        Record::Error(error(fill)),
        Record::Census(Box::new(census(fill))),
        Record::Leaks(Box::new(leaks(fill))),
        Record::Writes(Box::new(writes(fill))),
        Record::Diff(Box::new(diff(fill))),
    ]
}

/// One process.
pub fn sample(fill: Fill, pid: u32) -> ProcessSample {
    let words: [String; 2] = ["python3".into(), "bot.py".into()];
    ProcessSample {
        pid,
        ppid: fill.of(1),
        start_time: fill.of("2026-11-23T22:00:00.000+01:00".into()),
        start_ticks: fill.of(4711),
        name: "python3".into(),
        cmdline: fill.of(Arc::new(words) as Arc<[String]>),
        state: fill.of(ProcessState::Sleeping),
        rss_bytes: fill.of(50 << 20),
        vms_bytes: fill.of(200 << 20),
        pss_bytes: fill.of(40 << 20),
        uss_bytes: fill.of(30 << 20),
        swap_bytes: fill.of(4096),
        rss_peak_bytes: fill.of(60 << 20),
        rss_anon_bytes: fill.of(35 << 20),
        rss_file_bytes: fill.of(14 << 20),
        rss_shmem_bytes: fill.of(1 << 20),
        memory_ratio: fill.of(0.125),
        cgroup_ratio: fill.of(0.25),
        cpu_ratio: fill.of(1.5),
        threads: fill.of(8),
        fds: fill.of(12),
    }
}

/// A tree; with one child if full.
pub fn process(fill: Fill) -> ProcessRecord {
    let mut record = ProcessRecord::new(header(), sample(fill, 100));
    record.interval_seconds = 10.0;
    record.elapsed_seconds = 20.5;
    record.late_seconds = 0.001;
    record.missed_ticks = 1;
    record.sample_seconds = 0.002;
    record.children = fill.of(sample(fill, 101)).into_iter().collect();
    record.children_count = record.children.len() as u64;
    record.short_lived_count = fill.of(5);
    record.children_rss_bytes = fill.of(50 << 20).unwrap_or(0);
    record.total_rss_bytes = fill.of(100 << 20).unwrap_or(0);
    record.total_pss_bytes = fill.of(80 << 20);
    record.total_pss_age_seconds = fill.of(40.5);
    record.cgroup = fill.of(cgroup(fill));
    record.pressure = fill.of(pressure());
    record.system = fill.of(system(fill));
    record
}

/// A control group.
pub fn cgroup(fill: Fill) -> Cgroup {
    Cgroup {
        version: 2,
        path: "/service".into(),
        current_bytes: fill.of(150 << 20),
        limit_bytes: fill.of(200 << 20),
        peak_bytes: fill.of(160 << 20),
        oom_kills: fill.of(2),
        anon_bytes: fill.of(70 << 20),
        file_bytes: fill.of(60 << 20),
        kernel_bytes: fill.of(20 << 20),
        shmem_bytes: fill.of(1 << 20),
    }
}

/// Memory pressure.
pub fn pressure() -> Pressure {
    Pressure {
        some_avg10_ratio: 0.5,
        some_avg60_ratio: 0.25,
        some_avg300_ratio: 0.125,
        some_total_seconds: 12.5,
        full_avg10_ratio: 0.25,
        full_avg60_ratio: 0.125,
        full_avg300_ratio: 0.0625,
        full_total_seconds: 6.25,
    }
}

/// A machine's memory.
pub fn system(fill: Fill) -> System {
    System { total_bytes: 16 << 30, available_bytes: fill.of(8 << 30) }
}

/// An event. No real one has every field: which belong to which is in the schema.
pub fn event(fill: Fill) -> ProcessEvent {
    let words: [String; 2] = ["python3".into(), "bot.py".into()];
    let header = header();
    ProcessEvent {
        schema: header.schema,
        timestamp: header.timestamp,
        host: header.host,
        run: header.run,
        iteration: header.iteration,
        event: EventKind::LimitCrossed,
        pid: 101,
        ppid: fill.of(100),
        root_pid: 100,
        start_time: fill.of("2026-11-23T22:00:00.000+01:00".into()),
        start_ticks: fill.of(4711),
        name: fill.of("python3".into()),
        cmdline: fill.of(Arc::new(words) as Arc<[String]>),
        at_start: fill.of(true),
        exit_code: fill.of(-1),
        signal: fill.of(9),
        lifetime_seconds: fill.of(0.25),
        rss_peak_bytes: fill.of(60 << 20),
        metric: fill.of("total".into()),
        limit_bytes: fill.of(500 << 20),
        value_bytes: fill.of(501 << 20),
        limit_count: fill.of(1000),
        value_count: fill.of(1001),
        limit_ratio: fill.of(0.25),
        value_ratio: fill.of(0.5),
        own_bytes: fill.of(100 << 20),
        growth_bytes: fill.of(-4096),
        oom_kills: fill.of(1),
        omitted_exits: fill.of(12),
    }
}

/// An error.
pub fn error(fill: Fill) -> ErrorRecord {
    let mut record = ErrorRecord::new(header(), "sample", "pid 100 is gone".into());
    record.hint = fill.of("name another".into());
    record.pid = fill.of(100);
    record
}

/// A census; with one of everything if full.
pub fn census(fill: Fill) -> CensusRecord {
    let words: [String; 2] = ["python3".into(), "bot.py".into()];
    let header = header();
    CensusRecord {
        schema: header.schema,
        timestamp: header.timestamp,
        host: header.host,
        run: header.run,
        iteration: header.iteration,
        pid: 101,
        start_ticks: fill.of(4711),
        root_pid: fill.of(100),
        name: fill.of("python3".into()),
        cmdline: fill.of(Arc::new(words) as Arc<[String]>),
        total_objects: 207_575,
        total_size_bytes: 30 << 20,
        types: fill.of(type_total(fill)).into_iter().collect(),
        types_omitted: fill.of(omitted()),
        modules: fill.of(module_total()).into_iter().collect(),
        modules_omitted: fill.of(omitted()),
        threads: fill.of(vec![thread(fill)]),
        rss_bytes: fill.of(50 << 20),
        holders: fill.of(vec![holder_total(fill)]),
        holders_omitted: fill.of(omitted()),
        caches: fill.of(vec![cache_total(fill)]),
        caches_omitted: fill.of(omitted()),
        python: fill.of(python_build(fill)),
        interpreters: fill.of(2),
        scope: fill.of("reachable".into()),
        tracked_objects: fill.of(90_000),
        tracked_size_bytes: fill.of(12 << 20),
        permanent_objects: fill.of(5139),
        permanent_size_bytes: fill.of(1 << 20),
        reachable_objects: fill.of(207_575),
        reachable_size_bytes: fill.of(30 << 20),
        heap_objects: fill.of(210_000),
        heap_size_bytes: fill.of(31 << 20),
        total_overhead_bytes: fill.of(2 << 20),
        gc: fill.of(gc_state(fill)),
        coverage: fill.of(coverage(fill)),
        method: fill.of("live".into()),
        live_reason: fill.of("max_pause".into()),
        attempts: fill.of(3),
        in_collection: fill.of(false),
        pause_seconds: fill.of(0.012_5),
        interrupted_calls: fill.of(1),
        duration_seconds: fill.of(0.25),
        torn_reads: fill.of(7),
        rejected_reads: fill.of(1),
        memobj_peak_bytes: fill.of(60 << 20),
        owners: fill.of(vec![owner_total()]),
        owners_omitted: fill.of(omitted()),
        owner_modules: fill.of(vec![module_total()]),
        owner_modules_omitted: fill.of(omitted()),
        unreachable: fill.of(vec![unreachable_total()]),
        paths: fill.of(vec![path_total()]),
        object_samples: fill.of(vec![object_sample()]),
        heap_tree: fill.of(vec![heap_node(Fill::Full), heap_node(Fill::Bare)]),
        memory: fill.of(memory_account(fill)),
        fds: fill.of(1012),
        fd_holders: fill.of(vec![descriptor_total()]),
    }
}

/// Open file descriptors of a holder.
pub fn descriptor_total() -> DescriptorTotal {
    DescriptorTotal { holder: "botpkg.pool._free".into(), name: "socket.socket".into(), count: 1000 }
}

/// The account of a resident set.
pub fn memory_account(fill: Fill) -> MemoryAccount {
    MemoryAccount {
        rss_bytes: 50 << 20,
        explained_bytes: 49 << 20,
        explained_ratio: 0.98,
        rows: fill.of(memory_row(fill)).into_iter().collect(),
        types: fill.of(type_memory()).into_iter().collect(),
        types_omitted: fill.of(omitted()),
        malloc_arenas: fill.of(4),
        trimmable_bytes: 2 << 20,
        pinned_arenas: 7,
        pinned_bytes: 6 << 20,
        pinned_types: fill.of(pinned_type()).into_iter().collect(),
        pinned_holders: fill.of(vec![pinned_holder()]),
        large_regions: fill.of(large_region(fill)).into_iter().collect(),
        huge_page_bytes: 2 << 20,
        swap_bytes: 4096,
        hugetlb_bytes: 0,
        page_table_bytes: fill.of(200 << 10),
    }
}

/// A row of it.
pub fn memory_row(fill: Fill) -> MemoryRow {
    let detail = fill.of("/usr/lib/libpython3.13.so.1.0".into());
    MemoryRow { kind: "file".into(), detail, private_bytes: 700_000, shared_bytes: 4_000_000, swap_bytes: 0 }
}

/// Where objects of a type lie.
pub fn type_memory() -> TypeMemory {
    let name = "botpkg.cache.Session".into();
    TypeMemory { name, private_bytes: 10_000_000, shared_bytes: 700_000, swap_bytes: 4096 }
}

/// Who keeps arenas.
pub fn pinned_type() -> PinnedType {
    PinnedType { name: "botpkg.cache.Session".into(), blocks: 120, pinned_bytes: 5 << 20 }
}

/// Who holds what is in them.
pub fn pinned_holder() -> PinnedHolder {
    PinnedHolder { holder: "botpkg.cache._sessions".into(), objects: 110, arenas: 7, pinned_bytes: 4 << 20 }
}

/// A large piece of memory.
pub fn large_region(fill: Fill) -> LargeRegion {
    LargeRegion {
        kind: "native_mapped".into(),
        owner: fill.of("numpy.ndarray".into()),
        resident_bytes: 8 << 20,
    }
}

/// Which Python it is.
pub fn python_build(fill: Fill) -> PythonBuild {
    PythonBuild {
        version: "3.13.0".into(),
        implementation: "cpython".into(),
        debug: fill.of(false),
        free_threaded: fill.of(false),
        shared: fill.of(true),
        executable: fill.of("/opt/py/bin/python3.13".into()),
        located_by: fill.of("dynsym".into()),
        layout: fill.of("3.13".into()),
        other_runtimes: fill.of(0),
    }
}

/// The state of a garbage collector.
pub fn gc_state(fill: Fill) -> GcState {
    GcState {
        enabled: fill.of(true),
        generations: fill.of(gc_generation(fill)).into_iter().collect(),
        tracked: fill.of(90_000),
        frozen: fill.of(5139),
        garbage: fill.of(2),
    }
}

/// A generation of it.
pub fn gc_generation(fill: Fill) -> GcGeneration {
    GcGeneration {
        pending: fill.of(411),
        threshold: fill.of(2000),
        collections: fill.of(120),
        collected: fill.of(9000),
        uncollectable: fill.of(2),
        objects: fill.of(800),
    }
}

/// How much of the memory is explained.
pub fn coverage(fill: Fill) -> Coverage {
    Coverage {
        objects_bytes: 32 << 20,
        allocator: fill.of("pymalloc".into()),
        allocator_used_bytes: fill.of(28 << 20),
        allocator_explained_bytes: fill.of(27 << 20),
        allocator_ratio: fill.of(0.964_3),
        malloc_used_bytes: fill.of(6 << 20),
        malloc_explained_bytes: fill.of(5 << 20),
        malloc_ratio: fill.of(0.833_3),
        rss_ratio: fill.of(0.64),
        unread_frames_of: fill.of(vec!["fibers.Fiber".into()]).unwrap_or_default(),
    }
}

/// Objects of a type.
pub fn type_total(fill: Fill) -> TypeTotal {
    TypeTotal {
        overhead_bytes: fill.of(4096).unwrap_or(0),
        size_exact: fill.of(()).is_none(),
        retained_bytes: fill.of(12_000_000),
        ..TypeTotal::new("botpkg.cache.Session".into(), 66_051, 10_673_854)
    }
}

/// Objects of a module's types.
pub fn module_total() -> ModuleTotal {
    ModuleTotal { module: "botpkg.cache".into(), count: 66_060, size_bytes: 10_700_000 }
}

/// Objects that something holds.
pub fn holder_total(fill: Fill) -> HolderTotal {
    HolderTotal {
        holder: "botpkg.cache._sessions".into(),
        count: 66_055,
        size_bytes: 10_680_000,
        retained_bytes: fill.of(10_600_000),
    }
}

/// Objects that something owns.
pub fn owner_total() -> OwnerTotal {
    OwnerTotal { owner: "botpkg.cache.Session".into(), count: 66_051, size_bytes: 10_673_854 }
}

/// Objects that the program cannot reach.
pub fn unreachable_total() -> UnreachableTotal {
    UnreachableTotal { name: "botpkg.Node".into(), cause: "garbage".into(), count: 700, size_bytes: 56_000 }
}

/// Which objects of a type there are.
pub fn object_sample() -> ObjectSample {
    let fingerprints = Fingerprints::parse("0000a1b200c0ffee").unwrap();
    ObjectSample { kind: "type".into(), name: "botpkg.cache.Session".into(), fingerprints }
}

/// A node of the tree of holders.
pub fn heap_node(fill: Fill) -> HeapNode {
    HeapNode {
        depth: 2,
        kind: "holder".into(),
        name: "botpkg.cache._sessions".into(),
        count: 66_051,
        size_bytes: 9 << 20,
        omitted: fill.of(omitted()),
    }
}

/// A way to objects.
pub fn path_total() -> PathTotal {
    PathTotal {
        name: "botpkg.cache.Session".into(),
        path: "module botpkg.cache → _sessions (dict, 66,051 entries) → Session".into(),
        count: 10_000,
        sampled: 10_000,
        objects: 66_051,
    }
}

/// A cache.
pub fn cache_total(fill: Fill) -> CacheTotal {
    CacheTotal {
        name: "botpkg.render".into(),
        entries: 128,
        size_bytes: fill.of(1_234_567),
        max_entries: fill.of(256),
        hits: fill.of(9000),
        misses: fill.of(900),
        kind: fill.of("functools.lru_cache".into()),
        stdlib: fill.of(false),
        instances: fill.of(1),
        fill_ratio: fill.of(0.5),
        hit_ratio: fill.of(0.909_090_909_090_909_1),
        shared_bytes: fill.of(4096),
        retained_bytes: fill.of(1_230_471),
        average_entry_bytes: fill.of(9000),
        largest_entry_bytes: fill.of(600_000),
        largest_entry_key: fill.of("frontpage".into()),
        large_entries: fill.of(2),
        clock: fill.of("monotonic".into()),
        expired_entries: fill.of(17),
        warnings: fill.of(vec!["large_entry".into()]),
    }
}

/// What a list left out.
pub fn omitted() -> Omitted {
    Omitted { rows: 120, count: 4000, size_bytes: 1 << 20 }
}

/// A Python thread.
pub fn thread(fill: Fill) -> PythonThread {
    PythonThread {
        name: fill.of("会话线程".into()),
        ident: fill.of(140_000_000_000_000),
        native_id: fill.of(104),
        daemon: fill.of(true),
        alive: fill.of(true),
        main: fill.of(false),
        function: fill.of("Bot.poll".into()),
        file: fill.of("/srv/bot/botpkg/poll.py".into()),
        line: fill.of(118),
    }
}
