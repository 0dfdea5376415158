//! What memobj says of a Python's threads, collector and allocator is what that Python says of itself.

use std::time::Duration;

use common::record::{Allocator, CaptureMethod, LiveReason, Scope};
use memobj::capture::{Capturer, CensusSource as _, ProcessState, capture_once};
use memobj::census::Census;
use memobj::config::{CensusOptions, HeapFile, StopPolicy};
use memobj_cpython::pools::{Pools, scan_pools};
use memobj_cpython::runtime::detect::detect;
use memobj_cpython::runtime::locate::SYMBOLS;
use memobj_process::addr::Addr;
use memobj_process::elf::ElfCache;
use memobj_process::memory::{CopyBuffer, Memory as _};
use memobj_process::target::{STOP_LIMIT, Target};
use serde_json::Value;

use crate::support::interpreters::{Interpreter, interpreters, script};
use crate::support::{Background, PATIENCE, Tool, wait_for, wait_until, workspace};

/// An interpreter that told what it knows of itself, and holds still.
struct Known {
    process: Background,
    told: Value,
}

impl Known {
    fn of(interpreter: &Interpreter, allocator: Option<&str>) -> Self {
        let file = workspace::root().join("tests/targets/known.py");
        let tool = match allocator {
            None => script(interpreter, &file),
            // With `-I` it would not look at the environment.
            Some(name) => {
                Tool::new(&interpreter.program).args(["-S", "-B"]).arg(&file).env("PYTHONMALLOC", name)
            }
        };
        let mut process = tool.start();
        let told = serde_json::from_str(&process.wait_line("ready ")).unwrap();
        process.wait_line("still");
        // In its sleep, and not on its way there.
        let stat = format!("/proc/{}/stat", process.pid());
        wait_until(PATIENCE, "its sleep", || std::fs::read_to_string(&stat).unwrap().contains(") S "));
        Self { process, told }
    }

    fn census(&self, scope: Scope) -> Census {
        capture_once(self.process.pid(), &CensusOptions { scope, ..CensusOptions::default() }).unwrap()
    }
}

#[test]
fn threads_match_threading() {
    if interpreters().is_empty() {
        crate::skip!("no Python from 3.8 on");
    }
    for interpreter in interpreters() {
        let known = Known::of(interpreter, None);
        let census = known.census(Scope::Tracked);
        let threads = census.record.threads.unwrap();
        let told = known.told["threads"].as_array().unwrap();
        let unnamed = known.told["unnamed"].as_array().unwrap();
        assert_eq!(threads.len(), told.len() + unnamed.len(), "{interpreter}: {threads:#?}");
        for wanted in told {
            let ident = wanted["ident"].as_u64();
            let thread = threads.iter().find(|thread| thread.ident == ident).unwrap();
            let text = |key: &str| wanted[key].as_str();
            assert_eq!(thread.name.as_deref(), text("name"), "{interpreter}");
            assert_eq!(thread.native_id, wanted["native_id"].as_u64(), "{interpreter}: {thread:?}");
            assert_eq!(thread.daemon, wanted["daemon"].as_bool(), "{interpreter}: {thread:?}");
            assert_eq!(thread.main, wanted["main"].as_bool(), "{interpreter}: {thread:?}");
            assert_eq!(thread.alive, Some(true));
            assert_eq!(thread.function.as_deref(), text("function"), "{interpreter}: {thread:?}");
            assert_eq!(thread.file.as_deref(), text("file"), "{interpreter}: {thread:?}");
            assert_eq!(thread.line.map(u64::from), wanted["line"].as_u64(), "{interpreter}: {thread:?}");
        }
        for ident in unnamed {
            let thread = threads.iter().find(|thread| thread.ident == ident.as_u64()).unwrap();
            assert_eq!((thread.name.as_deref(), thread.main), (None, Some(false)), "{interpreter}");
            assert_eq!(thread.function.as_deref(), Some("plain"), "{interpreter}");
            // A number of the kernel's that no other thread has.
            let tasks = format!("/proc/{}/task/{}", known.process.pid(), thread.native_id.unwrap());
            assert!(std::fs::exists(tasks).unwrap());
            assert_eq!(threads.iter().filter(|other| other.native_id == thread.native_id).count(), 1);
        }
    }
}

#[test]
fn main_thread_is_named() {
    if interpreters().is_empty() {
        crate::skip!("no Python from 3.8 on");
    }
    let code =
        "import sys; assert 'threading' not in sys.modules; print('ready', flush=True); sys.stdin.read()";
    for interpreter in interpreters() {
        let mut process = Tool::new(&interpreter.program).args(["-I", "-S", "-c", code]).start();
        process.wait_line("ready");
        let threads = capture_once(process.pid(), &CensusOptions::default()).unwrap().record.threads.unwrap();
        let named: Vec<_> = threads.iter().map(|thread| (thread.name.as_deref(), thread.main)).collect();
        assert_eq!(named, [(Some("MainThread"), Some(true))], "{interpreter}");
    }
}

#[test]
fn gc_state_matches_gc_module() {
    if interpreters().is_empty() {
        crate::skip!("no Python from 3.8 on");
    }
    for interpreter in interpreters() {
        let known = Known::of(interpreter, None);
        let told = &known.told;
        let gc = known.census(Scope::Tracked).record.gc.unwrap();
        assert_eq!(gc.enabled, told["enabled"].as_bool(), "{interpreter}");
        assert_eq!(gc.garbage, told["garbage"].as_u64(), "{interpreter}");
        assert_eq!(gc.frozen, told["frozen"].as_u64(), "{interpreter}");
        assert_eq!(gc.generations.len(), 3);
        for (index, generation) in gc.generations.iter().enumerate() {
            let stats = &told["stats"][index];
            assert_eq!(generation.threshold, told["thresholds"][index].as_u64(), "{interpreter}: {index}");
            assert_eq!(generation.collections, stats["collections"].as_u64(), "{interpreter}: {index}");
            assert_eq!(generation.collected, stats["collected"].as_u64(), "{interpreter}: {index}");
            assert_eq!(generation.uncollectable, stats["uncollectable"].as_u64(), "{interpreter}: {index}");
            let (pending, wanted) = (generation.pending.unwrap(), told["counts"][index].as_u64().unwrap());
            // The youngest one counts what was made for telling, too.
            assert!(
                pending.abs_diff(wanted) < if index == 0 { 300 } else { 1 },
                "{interpreter}: {pending} {wanted}"
            );
        }
    }
}

/// Of each size of blocks: pools and blocks in use, as `sys._debugmallocstats` prints them.
fn printed(text: &str) -> Vec<(u64, usize, u64)> {
    let mut rows = Vec::new();
    for line in text.lines().skip_while(|line| !line.starts_with("-----")).skip(1) {
        let numbers: Vec<u64> =
            line.split_whitespace().map_while(|word| word.replace(',', "").parse().ok()).collect();
        let [_, size, pools, blocks, _] = numbers[..] else { break };
        rows.push((size, usize::try_from(pools).unwrap(), blocks));
    }
    rows
}

fn in_use(pools: &Pools) -> Vec<(u64, usize, u64)> {
    let mut rows: Vec<(u64, usize, u64)> = Vec::new();
    for pool in &pools.pools {
        match rows.iter_mut().find(|(size, ..)| *size == pool.block_bytes) {
            Some((_, pools, blocks)) => {
                *pools += 1;
                *blocks += u64::from(pool.used);
            }
            None => rows.push((pool.block_bytes, 1, pool.used.into())),
        }
    }
    rows.sort_unstable();
    rows
}

#[test]
fn pools_match_pymalloc_stats() {
    let with_pymalloc: Vec<&Interpreter> =
        interpreters().iter().filter(|interpreter| !interpreter.free_threaded).collect();
    if with_pymalloc.is_empty() {
        crate::skip!("no Python with pymalloc");
    }
    for interpreter in with_pymalloc {
        let known = Known::of(interpreter, None);
        // Its stderr is another pipe than the one on which it said that it holds still.
        wait_until(PATIENCE, "statistics", || known.process.err().contains("# bytes lost"));
        let printed = printed(&known.process.err());
        assert!(printed.len() > 20, "{interpreter}: {}", known.process.err());
        let mut target = Target::attach(known.process.pid()).unwrap();
        let python = detect(&target, None, &ElfCache::new(SYMBOLS)).unwrap();
        let still = target.freeze(&mut CopyBuffer::new(), STOP_LIMIT, |_| true).unwrap();
        let interpreters: Vec<Addr> = python
            .read(&still.memory)
            .unwrap()
            .interpreters
            .iter()
            .map(|interpreter| interpreter.at)
            .collect();
        let named = python.location.file.arenas;
        let regions = still.memory.regions();
        let by_table = Pools::read(&still.memory, &python.layout, &interpreters, named, regions);
        let by_scan = scan_pools(&still.memory, &python.layout, regions);
        for (how, pools) in [("by its table", &by_table), ("by their headers", &by_scan)] {
            let found = in_use(pools);
            let sizes =
                |rows: &[(u64, usize, u64)]| rows.iter().map(|row| (row.0, row.1)).collect::<Vec<_>>();
            assert_eq!(sizes(&found), sizes(&printed), "{interpreter}: {how}");
            // What is in use while it prints may not be while it sleeps.
            let blocks = |rows: &[(u64, usize, u64)]| rows.iter().map(|row| row.2).sum::<u64>();
            assert!(
                blocks(&found).abs_diff(blocks(&printed)) <= 8,
                "{interpreter}: {how}: {found:?} {printed:?}"
            );
        }
        assert_eq!(by_table.rejected, 0, "{interpreter}");
        assert!(
            by_table.pools.iter().all(|pool| pool.for_each_used_block(&still.memory, |_| {})),
            "{interpreter}"
        );
        assert!(known.told["blocks"].as_u64().unwrap() > by_table.blocks() / 2, "{interpreter}");
    }
}

#[test]
fn objects_explain_allocator() {
    if interpreters().is_empty() {
        crate::skip!("no Python from 3.8 on");
    }
    for interpreter in interpreters().iter().filter(|interpreter| !interpreter.free_threaded) {
        for (allocator, name) in [
            ("pymalloc", Allocator::Pymalloc),
            ("pymalloc_debug", Allocator::Pymalloc),
            ("malloc", Allocator::Malloc),
        ] {
            let known = Known::of(interpreter, Some(allocator));
            let census = known.census(Scope::Heap);
            let coverage = census.record.coverage.clone().unwrap();
            let what = format!("{interpreter} {allocator}: {coverage:?}");
            assert_eq!(coverage.allocator, Some(name), "{what}");
            if name == Allocator::Malloc {
                let bytes = (coverage.allocator_used_bytes, coverage.allocator_explained_bytes);
                assert_eq!(bytes, (None, None), "{what}");
                continue;
            }
            let used = coverage.allocator_used_bytes.unwrap();
            let explained = coverage.allocator_explained_bytes.unwrap();
            assert!(used < census.record.rss_bytes.unwrap() && explained <= used, "{what}");
            assert!(explained as f64 > 0.95 * used as f64, "{what}");
            // An estimate of what nothing leads to: little, as most is found.
            let record = &census.record;
            let (reachable, heap) = (record.reachable_objects.unwrap(), record.heap_objects.unwrap());
            assert!(heap >= reachable && heap - reachable < reachable / 20, "{what} {heap}");
            let bytes = (record.reachable_size_bytes.unwrap(), record.heap_size_bytes.unwrap());
            assert!(bytes.1 - bytes.0 < bytes.0 / 10, "{what} {bytes:?}");
            let counted: u64 = census.types.iter().map(|of| of.count).sum();
            assert_eq!(counted, heap, "{what}");
        }
    }
}

/// Compares what of a census does not depend on how it was taken.
#[track_caller]
fn assert_same(one: &Census, other: &Census, what: &str) {
    let types = |census: &Census| {
        let mut types = census.types.clone();
        types.sort_by(|a, b| (&a.module, &a.qualname, a.count).cmp(&(&b.module, &b.qualname, b.count)));
        types
    };
    let totals = |census: &Census| {
        let record = &census.record;
        [
            (record.tracked_objects, record.tracked_size_bytes),
            (record.permanent_objects, record.permanent_size_bytes),
            (record.reachable_objects, record.reachable_size_bytes),
        ]
    };
    assert_eq!(one.record.python, other.record.python, "{what}");
    assert_eq!(totals(one), totals(other), "{what}");
    assert_eq!(one.record.threads, other.record.threads, "{what}");
    assert_eq!(one.record.gc, other.record.gc, "{what}");
    assert_eq!(one.record.coverage, other.record.coverage, "{what}");
    assert_eq!(types(one), types(other), "{what}");
}

#[test]
fn all_methods_agree() {
    if interpreters().is_empty() {
        crate::skip!("no Python from 3.8 on");
    }
    let folder = tempfile::tempdir().unwrap();
    for (number, interpreter) in interpreters().iter().enumerate() {
        let known = Known::of(interpreter, None);
        let file = folder.path().join(format!("{number}.mem"));
        let options = |stop: StopPolicy, save: Option<std::path::PathBuf>| CensusOptions {
            scope: Scope::Tracked,
            stop,
            save,
            ..CensusOptions::default()
        };
        let pid = known.process.pid();
        let (mut capturer, mut state) = (Capturer::default(), ProcessState::default());
        let mut count = |stop, save| capturer.capture_process(pid, &options(stop, save), &mut state).unwrap();
        let stopped = count(StopPolicy::AtOnce, Some(file.clone()));
        assert_eq!(
            (stopped.record.method, stopped.record.in_collection),
            (Some(CaptureMethod::Stopped), Some(false))
        );
        assert!(stopped.record.pause_seconds.is_some_and(|pause| pause > 0.0), "{interpreter}");
        let never = count(StopPolicy::Never, None);
        assert_eq!(
            (never.record.method, never.record.live_reason),
            (Some(CaptureMethod::Live), Some(LiveReason::Asked))
        );
        // It waits for its input again, as soon as it had a processor.
        let quiet = wait_for(PATIENCE, "a quiet copy", || {
            let census = count(StopPolicy::IfAwake { at_most: Some(Duration::ZERO), interrupts: true }, None);
            (census.record.method == Some(CaptureMethod::Quiet)).then_some(census)
        });
        assert_eq!((quiet.record.live_reason, quiet.record.pause_seconds), (None, Some(0.0)));
        drop(known);
        let saved = HeapFile::Snapshot(file.clone());
        let saved = capturer.capture_file(&saved, &options(StopPolicy::AtOnce, None)).unwrap();
        assert_eq!(saved.record.method, Some(CaptureMethod::Snapshot));
        for (how, other) in [("live", &never), ("quiet", &quiet), ("saved", &saved)] {
            assert_same(other, &stopped, &format!("{interpreter}: {how}"));
        }
        std::fs::remove_file(file).unwrap();
    }
}

#[test]
fn snapshot_needs_no_files() {
    let single = |interpreter: &&Interpreter| interpreter.minor() < 12 && !interpreter.free_threaded;
    let Some(interpreter) = interpreters().iter().rev().find(single) else {
        crate::skip!("no Python up to 3.11")
    };
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("worker");
    std::fs::copy(&interpreter.program, &program).unwrap();
    let code = "import sys; print('ready', flush=True); sys.stdin.read()";
    let home =
        Tool::new(&interpreter.program).args(["-I", "-S", "-c", "import sys; print(sys.prefix)"]).run().out();
    let mut process = Tool::new(&program).env("PYTHONHOME", home.trim()).args(["-S", "-c", code]).start();
    process.wait_line("ready");
    let file = folder.path().join("saved.mem");
    let options = CensusOptions { scope: Scope::Tracked, ..CensusOptions::default() };
    let saving = CensusOptions { save: Some(file.clone()), ..options.clone() };
    let then = capture_once(process.pid(), &saving).unwrap();
    drop(process);
    std::fs::remove_file(&program).unwrap();
    let later = Capturer::default().capture_file(&HeapFile::Snapshot(file), &options).unwrap();
    assert_same(&later, &then, &interpreter.to_string());
}

#[test]
fn subinterpreters_are_counted() {
    let mut tried = 0;
    for interpreter in interpreters() {
        let file = workspace::root().join("tests/targets/interpreters.py");
        let mut process = script(interpreter, &file).start();
        let made: u64 = process.wait_line("ready ").trim().parse().unwrap();
        let census = capture_once(process.pid(), &CensusOptions::default()).unwrap();
        assert_eq!(census.record.interpreters, Some(made), "{interpreter}");
        let kept: u64 = census.types.iter().filter(|of| &*of.qualname == "Kept").map(|of| of.count).sum();
        assert_eq!(kept, (made - 1) * 1000, "{interpreter}");
        tried += u32::from(made > 1);
    }
    if tried == 0 {
        crate::skip!("no Python that can make interpreters");
    }
}

#[test]
fn namespaced_thread_ids() {
    let Some(interpreter) = interpreters().iter().rev().find(|interpreter| interpreter.minor() >= 11) else {
        crate::skip!("no Python from 3.11 on");
    };
    let inside = ["--pid", "--fork", "--kill-child", "--mount-proc"];
    if !std::process::Command::new("unshare").args(inside).arg("true").status().is_ok_and(|s| s.success()) {
        crate::skip!("no pid namespaces here");
    }
    let code = "import os, sys, threading; print('ready', os.getpid(), threading.get_native_id(), flush=True); sys.stdin.read()";
    let tool = Tool::new("unshare").args(inside).arg(&interpreter.program).args(["-I", "-S", "-c", code]);
    let mut outside = tool.start();
    assert_eq!(outside.wait_line("ready ").trim(), "1 1");
    let children = format!("/proc/{0}/task/{0}/children", outside.pid());
    let pid: u32 = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();
    let census = capture_once(pid, &CensusOptions::default()).unwrap();
    let threads = census.record.threads.unwrap();
    assert_eq!(
        (threads.len(), threads[0].native_id, threads[0].main),
        (1, Some(1), Some(true)),
        "{threads:?}"
    );
}
