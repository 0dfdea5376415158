//! What is left of the resident set when objects are counted: free-threaded builds, what libraries have mapped, who keeps arenas, what
//! grew, what workers share, and that a snapshot says the same.

use std::path::PathBuf;

use common::record::{MemoryKind, MemoryRow};
use memobj::account::growth::{GrowthCause, compare};
use memobj::capture::{Capturer, CensusSource as _, capture_once};
use memobj::config::{CensusOptions, HeapFile, HolderOptions};
use memobj::emit::memory_record::memory;
use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_cpython::pools::HeapTag;
use memobj_cpython::runtime::detect::detect;
use memobj_cpython::runtime::locate::SYMBOLS;
use memobj_process::elf::ElfCache;
use memobj_process::target::Target;

use crate::account::{frozen, of_python, of_type, program, sum};
use crate::support::interpreters::{Interpreter, interpreters};
use crate::support::{Tool, python};

/// The interpreters with mimalloc for everything.
fn free_threaded() -> Vec<&'static Interpreter> {
    interpreters().iter().filter(|interpreter| interpreter.free_threaded).collect()
}

#[test]
fn mimalloc_blocks_match_python() {
    if free_threaded().is_empty() {
        crate::skip!("no free-threaded Python");
    }
    for interpreter in free_threaded() {
        let (_process, pid, said) = program(&interpreter.program, "objects");
        let target = Target::attach(pid).unwrap();
        let python = detect(&target, None, &ElfCache::new(SYMBOLS)).unwrap();
        let frozen = frozen(pid);
        let runtime = python.read(&frozen.memory).unwrap();
        let heap = PythonHeap::from_runtime(&frozen.memory, &python.layout, &runtime).unwrap();
        let pages = heap.read_pages(&[]);
        assert_eq!(pages.rejected, 0, "{interpreter}");
        // What it makes of its answer comes on top; what it freed meanwhile does not.
        let (found, told) = (pages.blocks(), u64::from(said[0]));
        assert!(found.abs_diff(told) <= 64, "{interpreter}: {found} in use, {told} by its own account");
        for kind in [HeapTag::Mem, HeapTag::Object, HeapTag::Gc, HeapTag::GcPre] {
            assert!(pages.pools.iter().any(|pool| pool.heap == kind), "{interpreter}: {kind:?}");
        }

        let options = CensusOptions { memory: true, ..CensusOptions::default() };
        let census = capture_once(pid, &options).unwrap();
        let coverage = census.record.coverage.as_ref().unwrap();
        let (used, explained) =
            (coverage.allocator_used_bytes.unwrap(), coverage.allocator_explained_bytes.unwrap());
        assert!(used >= pages.used_bytes() / 2 && explained <= used, "{interpreter}: {explained} of {used}");
        assert!(explained * 100 >= used * 95, "{interpreter}: {explained} of {used}");
        let account = census.memory.unwrap().account;
        assert_eq!(sum(&account), account.rss_bytes, "{interpreter}: {:#?}", account.rows);
        assert!(account.explained_ratio() > 0.99, "{interpreter}: {:#?}", account.rows);
        let of = |kind: MemoryKind| account.resident_bytes(kind);
        let objects = account.rows.iter().find(|row| row.detail.as_deref() == Some("pools")).unwrap();
        let in_use = objects.resident_bytes() + of(MemoryKind::PythonUsed);
        // Blocks in use have been written to, but for the ends of large ones: tables and lists with room for more.
        assert!(
            in_use <= used + used / 100 && in_use > used - used / 10,
            "{interpreter}: {in_use} resident of {used}"
        );
        assert!(of(MemoryKind::PythonFreeBlocks) > 0 && of(MemoryKind::PythonOverhead) > 0, "{interpreter}");
    }
}

#[test]
fn free_threaded_rss_is_explained() {
    if free_threaded().is_empty() {
        crate::skip!("no free-threaded Python");
    }
    for interpreter in free_threaded() {
        // A static build may have no extension modules.
        let extensions =
            Tool::new(&interpreter.program).args(["-c", "import ctypes, mmap"]).run().code() == Some(0);
        let words: &[&str] = if extensions {
            &["native", "fragmented", "large", "threads"]
        } else {
            &["fragmented", "threads"]
        };
        for word in words {
            let (_process, pid, _) = program(&interpreter.program, word);
            let account = of_python(pid).account;
            assert!(account.explained_ratio() > 0.99, "{interpreter}: {word}: {:#?}", account.rows);
        }
    }
}

#[test]
fn pinning_holders_are_named() {
    if interpreters().is_empty() {
        crate::skip!("no Python on this machine");
    }
    for interpreter in interpreters() {
        let (_process, pid, said) = program(&interpreter.program, "fragmented");
        let holders = Some(HolderOptions::default());
        let options = CensusOptions { memory: true, holders, ..CensusOptions::default() };
        let census = capture_once(pid, &options).unwrap();
        let memory = census.memory.unwrap();
        let pinned = &memory.account.pinned;
        assert!(pinned.arena_bytes > memory.account.rss_bytes / 2, "{interpreter}: {pinned:?}");
        let (name, most) = memory.pinning().next().unwrap();
        assert_eq!(&**name, "bytes", "{interpreter}: {pinned:?}");
        assert!(most.arenas * 10 > pinned.arenas * 9, "{interpreter}: {pinned:?}");
        let held = &census.held.unwrap().pinning;
        let first = held.first().unwrap();
        assert_eq!(&*first.holder, "__main__.pins", "{interpreter}: {held:?}");
        assert!(
            first.objects <= u64::from(said[0]) && first.objects > u64::from(said[0]) / 2,
            "{interpreter}: {first:?}"
        );
        assert!(
            first.pinned_bytes > pinned.arena_bytes / 2,
            "{interpreter}: {first:?} of {}",
            pinned.arena_bytes
        );
        let all: u64 = held.iter().map(|one| one.pinned_bytes).sum();
        assert!(all <= pinned.arena_bytes, "{interpreter}: {all} of {}", pinned.arena_bytes);
    }
}

#[test]
fn snapshot_has_same_account() {
    let Some(python) = python::python() else { crate::skip!("no Python on this machine") };
    for word in ["objects", "large"] {
        let (_process, pid, _) = program(&python.path, word);
        let folder = tempfile::tempdir().unwrap();
        let path: PathBuf = folder.path().join("snapshot");
        let with_memory = CensusOptions { memory: true, ..CensusOptions::default() };
        let live = CensusOptions { save: Some(path.clone()), ..with_memory.clone() };
        let live = capture_once(pid, &live).unwrap().memory.unwrap();
        let saved = |options| {
            Capturer::default().capture_file(&HeapFile::Snapshot(path.clone()), options).unwrap().memory
        };
        assert_eq!(saved(&with_memory).unwrap(), live, "{word}");
        assert_eq!(saved(&CensusOptions::default()), None, "{word}");
    }
}

#[test]
fn native_growth_is_no_object() {
    let Some(python) = python::python() else { crate::skip!("no Python on this machine") };
    let (mut process, pid, _) = program(&python.path, "native");
    let first = memory(&of_python(pid), None);
    process.write("more\n");
    process.wait_line("took");
    let last = memory(&of_python(pid), None);
    let change = compare(&first, &last);
    assert_eq!(change.cause(), Some(GrowthCause::Native), "{change:?}");
    let bytes = change.causes[0].1;
    assert!((4000 * 5000..4000 * 5000 + (1 << 20)).contains(&bytes), "{change:?}");
    assert!(GrowthCause::Native.advice(&last).contains("native leak"));
}

/// Private and shared bytes, by what smaps_rollup says.
fn rollup(pid: u32) -> (u64, u64) {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let sum = |prefix: &str| {
        let lines = text.lines().filter(|line| line.starts_with(prefix) && !line.contains("Hugetlb"));
        lines.map(|line| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024).sum()
    };
    (sum("Private_"), sum("Shared_"))
}

#[test]
fn worker_pages_match_smaps() {
    let Some(python) = python::python() else { crate::skip!("no Python on this machine") };
    // So that pages of libraries are shared all the time: programs of other tests come and go.
    let _other = program(&python.path, "forked");
    let (mut process, parent, said) = program(&python.path, "forked");
    for touched in [false, true] {
        if touched {
            process.write("touch\n");
            process.wait_line("touched");
        }
        for pid in [said[0], parent] {
            let memory = of_python(pid);
            let (private, shared) = rollup(pid);
            let sum = |of: fn(&MemoryRow) -> u64| memory.account.rows.iter().map(of).sum::<u64>();
            let found = (sum(|tally| tally.private_bytes), sum(|tally| tally.shared_bytes));
            // Pages of libraries are shared with whoever else has them just now; others come and go.
            let near = |a: u64, b: u64| a.abs_diff(b) <= memory.account.rss_bytes / 10;
            assert!(near(found.0, private) && near(found.1, shared), "{found:?}, not {private} and {shared}");
            let (own, common) = of_type(&memory, "__main__.Item");
            assert_eq!(own > common, touched, "{own} private, {common} shared");
        }
    }
}

#[test]
fn library_mappings_have_owners() {
    let numpy = crate::or_skip!(python::with(&["numpy"], "import numpy"));
    let code = "import numpy, time\na = numpy.random.rand(1500, 1500)\nb = a @ a\n\
                c = [numpy.arange(n % 3000) for n in range(3000)]\nprint('ready', flush=True)\ntime.sleep(100)";
    let mut process = Tool::new(&numpy).args(["-c", code]).start();
    process.wait_line("ready");
    let memory = of_python(process.pid());
    let account = &memory.account;
    assert!(account.explained_ratio() > 0.99, "{:#?}", account.rows);
    // Two of 18 MB, of which the kernel makes two mappings each by numpy's advice on huge pages.
    let arrays = account.large.iter().filter(|large| {
        let owner = large.owner.map(|row| &*memory.types[row.0 as usize]);
        owner == Some("numpy.ndarray") && large.bytes.resident_bytes() >= 18_000_000
    });
    assert_eq!(arrays.count(), 2, "{:?}", account.large);
    let library = account.rows.iter().find(|row| {
        row.kind == MemoryKind::Library && row.detail.as_deref().is_some_and(|path| path.contains("openblas"))
    });
    assert!(library.is_some_and(|row| row.resident_bytes() > 1 << 20), "{:#?}", account.rows);
}

#[test]
fn missing_account_has_reason() {
    let Some(python) = python::python() else { crate::skip!("no Python on this machine") };
    let (_process, pid, _) = program(&python.path, "objects");
    let done = Tool::ours("memobj")
        .args(["--memory", "--no-stop", "--format", "text", "-p", &pid.to_string()])
        .run();
    assert!(
        done.out().contains("! no account of the resident set: it was read while it ran"),
        "{}",
        done.out()
    );
    let record = Tool::ours("memobj")
        .args(["--memory", "--no-stop", "--format", "jsonl", "-p", &pid.to_string()])
        .run();
    let record: serde_json::Value = serde_json::from_str(record.out().lines().next().unwrap()).unwrap();
    assert!(record["memory"].is_null() && record["total_objects"].as_u64() > Some(1000));
}
