//! Censuses made by hand, for the tests of this layer.

use common::record::{
    Allocator, CaptureMethod, CensusRecord, Coverage, GcGeneration, GcState, PythonBuild, PythonThread, Scope,
};

use crate::census::Census;
use crate::object_sum::TypeCount;

/// Objects of a type.
pub fn type_count(module: &str, qualname: &str, count: u64, size_bytes: u64) -> TypeCount {
    let (module, qualname) = (module.into(), qualname.into());
    TypeCount { module, qualname, count, size_bytes, overhead_bytes: 0, size_exact: true }
}

/// A census of these types, of process 4711.
pub fn census(types: Vec<TypeCount>) -> Census {
    let generation = |pending, threshold| GcGeneration {
        pending: Some(pending),
        threshold: Some(threshold),
        collections: Some(120),
        collected: Some(9000),
        uncollectable: Some(0),
        objects: None,
    };
    let record = CensusRecord {
        pid: 4711,
        start_ticks: Some(99),
        name: Some("python3".into()),
        cmdline: Some(["python3".into(), "bot.py".into()].into()),
        python: Some(PythonBuild {
            version: "3.13.0".into(),
            implementation: "cpython".into(),
            debug: Some(false),
            free_threaded: Some(false),
            shared: Some(true),
            executable: Some("/opt/py/bin/python3.13".into()),
            located_by: Some("dynsym".into()),
            layout: Some("3.13".into()),
            other_runtimes: Some(0),
        }),
        interpreters: Some(1),
        scope: Some(Scope::Reachable),
        tracked_objects: Some(90_000),
        tracked_size_bytes: Some(12 << 20),
        permanent_objects: Some(0),
        permanent_size_bytes: Some(0),
        threads: Some(vec![
            PythonThread {
                name: Some("MainThread".into()),
                ident: Some(140_000_000_000_000),
                native_id: Some(4711),
                daemon: Some(false),
                alive: Some(true),
                main: Some(true),
                function: Some("Bot.poll".into()),
                file: Some("/srv/bot/botpkg/poll.py".into()),
                line: Some(118),
            },
            PythonThread { native_id: Some(4715), ..PythonThread::default() },
        ]),
        gc: Some(GcState {
            enabled: Some(true),
            generations: vec![generation(411, 2000), generation(7, 10)],
            frozen: Some(0),
            garbage: Some(2),
            tracked: Some(90_000),
        }),
        coverage: Some(Coverage {
            allocator: Some(Allocator::Pymalloc),
            allocator_used_bytes: Some(28 << 20),
            allocator_explained_bytes: Some(27 << 20),
            ..Coverage::default()
        }),
        rss_bytes: Some(100 << 20),
        method: Some(CaptureMethod::Stopped),
        attempts: Some(1),
        in_collection: Some(false),
        pause_seconds: Some(0.0125),
        duration_seconds: Some(0.25),
        torn_reads: Some(0),
        rejected_reads: Some(0),
        ..CensusRecord::default()
    };
    Census { record, types, memory: None, held: None, caches: None, watched: None }
}
