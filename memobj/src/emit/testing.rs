//! Censuses made by hand, for the tests of this layer.

use std::time::Duration;

use common::record::{Allocator, CaptureMethod, GcGeneration, GcState, PythonBuild, PythonThread, Scope};

use crate::census::{CaptureInfo, Census, Coverage, ProcessFacts, Total, Totals, TypeCount};

/// Objects of a type.
pub fn type_count(module: &str, qualname: &str, count: u64, size_bytes: u64) -> TypeCount {
    let (module, qualname) = (module.into(), qualname.into());
    TypeCount { module, qualname, count, size_bytes, overhead_bytes: 0, size_exact: true }
}

/// A census of these types, of process 4711.
pub fn census(types: Vec<TypeCount>) -> Census {
    let tracked = Total { count: 90_000, size_bytes: 12 << 20 };
    let generation = |pending, threshold| GcGeneration {
        pending: Some(pending),
        threshold: Some(threshold),
        collections: Some(120),
        collected: Some(9000),
        uncollectable: Some(0),
        objects: None,
    };
    Census {
        process: ProcessFacts {
            pid: 4711,
            start_ticks: Some(99),
            name: Some("python3".into()),
            cmdline: Some(["python3".into(), "bot.py".into()].into()),
        },
        python: PythonBuild {
            version: "3.13.0".into(),
            implementation: "cpython".into(),
            debug: Some(false),
            free_threaded: Some(false),
            shared: Some(true),
            executable: Some("/opt/py/bin/python3.13".into()),
            located_by: Some("dynsym".into()),
            layout: Some("3.13".into()),
            other_runtimes: Some(0),
        },
        interpreters: 1,
        scope: Scope::Reachable,
        totals: Totals { tracked: Some(tracked), permanent: Some(Total::default()), ..Totals::default() },
        types,
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
        coverage: Coverage {
            allocator: Some(Allocator::Pymalloc),
            used_bytes: Some(28 << 20),
            explained_bytes: Some(27 << 20),
            rss_bytes: Some(100 << 20),
        },
        memory: None,
        capture: CaptureInfo {
            method: CaptureMethod::Stopped,
            live_reason: None,
            attempts: 1,
            in_collection: Some(false),
            pause: Some(Duration::from_micros(12_500)),
            duration: Duration::from_millis(250),
            torn_reads: 0,
            rejected_reads: 0,
        },
        held: None,
        caches: None,
    }
}
