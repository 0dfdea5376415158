//! Copies are exact, and copying leaves the target unchanged.

use std::time::Duration;

use memobj_process::addr::Addr;
use memobj_process::info::{Mapping, MappingKind, ProcessInfo, ProcessSource};
use memobj_process::memory::{CopyBuffer, Memory};
use memobj_process::snapshot;
use memobj_process::target::{MAX_STOPS, STOP_LIMIT, Target, core_file};
use rustix::process::Signal;

use super::{differences, field, freeze, started, states};
use crate::support::python::{python, pythons};
use crate::support::{PATIENCE, Tool, wait_until};

/// A Python with memory of every kind: touched in part, untouched, read-only, swapped in from files, large and small.
const VARIED: &str = r#"
import ctypes, mmap, sys, threading, time, json, decimal, sqlite3
text = bytearray(b"what is copied is what was there" * 1000)
held = (ctypes.c_char * len(text)).from_buffer(text)
untouched = mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for page in (0, 7, 8, 9, 5000): untouched[page * 4096 + 17] = 1
shared = mmap.mmap(-1, 1 << 20)
file = open(sys.executable, "rb")
written = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
written[4096 * 2] = 99
objects = [{"number": number, "text": str(number)} for number in range(20000)]
print("ready", ctypes.addressof(held), flush=True)
sys.stdin.read()
"#;

/// Stops it by SIGSTOP, so that it can be read twice.
fn stop_by_job_control(process: &crate::support::Background) {
    process.signal(Signal::STOP);
    wait_until(PATIENCE, "a stop by job control", || states(process.pid()).iter().all(|&state| state == 'T'));
}

#[test]
fn copy_has_every_readable_byte() {
    if pythons().is_empty() {
        crate::skip!("no Python on this machine");
    }
    for python in pythons() {
        let (process, at) = started(python, VARIED, &[]);
        stop_by_job_control(&process);
        let frozen = freeze(process.pid());
        // A resumed thread takes a moment to stop again.
        wait_until(PATIENCE, "job control's stop", || {
            states(process.pid()).iter().all(|&state| state == 'T')
        });

        let mut text = vec![0; 32_000];
        frozen.memory.read(Addr(at.parse().unwrap()), &mut text).unwrap();
        assert_eq!(text, b"what is copied is what was there".repeat(1000));

        let live = Target::attach(process.pid()).unwrap();
        let direct = live.memory();
        let (pages, found) = differences(&frozen.info, &frozen.memory, direct);
        assert!(pages > 10_000, "{pages} pages were compared");
        assert!(
            found.is_empty(),
            "{python:?}: {} of {pages} pages differ:\n{}",
            found.len(),
            found.join("\n")
        );
        // Untouched memory and unchanged file contents are not copied.
        let copied = frozen.memory.copied_bytes();
        let anonymous = frozen.info.rss_anon_bytes.unwrap();
        assert!(copied < anonymous + (4 << 20), "copied {copied} bytes of {anonymous}");
        assert_eq!(frozen.copy.lost_pages, 0);

        let mut saved = Vec::new();
        let length = snapshot::write(&frozen, &mut saved).unwrap();
        let opened = snapshot::read(&*saved, length, snapshot::Checksum::Verify).unwrap();
        let mut info = frozen.info.clone();
        // Code that was not read is not saved.
        info.mappings.retain(|mapping| !mapping.access.execute && mapping.length() < 64 << 20);
        let (_, found) = differences(&info, &frozen.memory, &opened.memory);
        assert!(found.is_empty(), "{python:?}: a snapshot differs:\n{}", found.join("\n"));
        assert_eq!(opened.info, frozen.info);
    }
}

#[test]
fn gcore_file_equals_live_memory() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let gcore = std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .any(|folder| folder.join("gcore").is_file());
    if !gcore {
        crate::skip!("no gcore on this machine");
    }
    let (process, at) = started(python, VARIED, &[]);
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("core");
    Tool::new("gcore").arg("-o").arg(&name).arg(process.pid().to_string()).run().expect_code(0);
    let file = folder.path().join(format!("core.{}", process.pid()));
    compare_core(&file, process.pid(), &at);

    // Cut in the middle, it still gives the first half.
    let whole = std::fs::metadata(&file).unwrap().len();
    let cut = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
    cut.set_len(whole / 2).unwrap();
    let half = core_file::open(&file).unwrap();
    assert!(half.copy.missing_bytes > whole / 4 && half.memory.copied_bytes() > 0, "{:?}", half.copy);
    cut.set_len(20).unwrap();
    let error = core_file::open(&file).unwrap_err().to_string();
    assert!(error.contains("core."), "{error}");
}

#[test]
fn flipped_core_is_refused_or_read() {
    let on_path = |name: &str| {
        std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|f| f.join(name).is_file())
    };
    if !on_path("gcore") {
        crate::skip!("no gcore on this machine");
    }
    let process = Tool::new("sleep").arg("600").start();
    let folder = tempfile::tempdir().unwrap();
    Tool::new("gcore")
        .arg("-o")
        .arg(folder.path().join("core"))
        .arg(process.pid().to_string())
        .run()
        .expect_code(0);
    let file = folder.path().join(format!("core.{}", process.pid()));
    let whole = std::fs::read(&file).unwrap();
    let mut opened = 0;
    let mut random = 5_u64;
    for _ in 0..200 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut bytes = whole.clone();
        // Headers and notes are in the first bytes.
        bytes[(random >> 33) as usize % 8000] ^= 1 << (random >> 20 & 7);
        std::fs::write(&file, &bytes).unwrap();
        if let Ok(frozen) = core_file::open(&file) {
            opened += 1;
            assert!(frozen.memory.copied_bytes() <= bytes.len() as u64 + (1 << 20));
            for mapping in &frozen.info.mappings {
                let _ = frozen.memory.read_u64(mapping.range.start);
            }
        }
    }
    assert!(opened > 100, "{opened} were opened");
}

#[test]
fn kernel_core_equals_live_memory() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if pattern.trim() != "core" {
        crate::skip!("cores go elsewhere here: {}", pattern.trim());
    }
    let folder = tempfile::tempdir().unwrap();
    let command = "ulimit -c unlimited && exec \"$0\" -B -c \"$1\"";
    let mut process =
        Tool::new("sh").args(["-c", command]).arg(&python.path).arg(VARIED).dir(folder.path()).start();
    let at = process.wait_line("ready ");
    let before = freeze(process.pid());
    let pid = process.pid();
    process.signal(Signal::ABORT);
    process.finish(PATIENCE);
    let found = std::fs::read_dir(folder.path())
        .unwrap()
        .flatten()
        .find(|f| f.file_name().to_string_lossy().starts_with("core"));
    let Some(found) = found else { crate::skip!("the kernel wrote no core") };
    let core = core_file::open(&found.path()).unwrap();
    assert_eq!((core.info.id.pid, core.copy.missing_bytes), (pid, 0));
    let mut text = vec![0; 32_000];
    core.memory.read(Addr(at.trim().parse().unwrap()), &mut text).unwrap();
    assert_eq!(text, b"what is copied is what was there".repeat(1000));
    // A core has no constants of programs; they are read from the files.
    let is_constant = |m: &Mapping| m.kind() == MappingKind::File && !m.access.write && !m.access.shared;
    let mut info = before.info.clone();
    info.mappings.retain(|mapping| is_constant(mapping) && is_program(mapping, &before.info));
    let (pages, found) = differences(&info, &before.memory, &core.memory);
    assert!(pages > 300 && found.is_empty(), "{} of {pages} differ:\n{}", found.len(), found.join("\n"));
}

fn is_program(mapping: &Mapping, info: &ProcessInfo) -> bool {
    mapping.file_name().to_string_lossy().contains(".so") || mapping.path == info.program
}

fn compare_core(file: &std::path::Path, pid: u32, at: &str) {
    let live = freeze(pid);
    let core = core_file::open(file).unwrap();
    assert_eq!((core.info.id.pid, core.copy.missing_bytes), (pid, 0));
    assert_eq!(core.info.threads.len(), live.info.threads.len());
    assert!(core.info.name.starts_with("python"), "{}", core.info.name);
    let mut text = vec![0; 32_000];
    core.memory.read(Addr(at.parse().unwrap()), &mut text).unwrap();
    assert_eq!(text, b"what is copied is what was there".repeat(1000));
    // It ran between the two, waiting in a read, so only its stack may differ. A core has no
    // files of data, so they cannot be compared.
    let mut info = live.info.clone();
    let is_data =
        |m: &Mapping| m.kind() == MappingKind::File && !m.access.write && !is_program(m, &live.info);
    info.mappings.retain(|mapping| mapping.path.as_os_str() != "[stack]" && !is_data(mapping));
    let (pages, found) = differences(&info, &live.memory, &core.memory);
    assert!(
        pages > 10_000 && found.len() < 5,
        "{} of {pages} pages differ:\n{}",
        found.len(),
        found.join("\n")
    );
}

/// Holds 40 MB, forks, and both wait.
const FORKING: &str = r#"
import gc, os, sys
held = [bytes(1000) for _ in range(40000)]
gc.freeze()
child = os.fork()
if child == 0:
    sys.stdin.read()
    os._exit(0)
print("ready", child, flush=True)
sys.stdin.read()
"#;

#[test]
fn copy_keeps_sizes_and_shared_pages() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let (process, child) = started(python, FORKING, &[]);
    let child: u32 = child.parse().unwrap();
    let sizes =
        |pid: u32| ["Rss", "Pss_Anon", "Shared_Dirty", "Swap"].map(|name| field(pid, "smaps_rollup", name));
    std::thread::sleep(Duration::from_millis(100));
    for pid in [child, process.pid()] {
        let before = [sizes(child), sizes(process.pid())];
        assert!(before[0][2] > 30_000, "the two share too little for a comparison: {before:?}");
        let frozen = freeze(pid);
        assert!(frozen.memory.copied_bytes() > 40_000_000);
        let after = [sizes(child), sizes(process.pid())];
        for (before, after) in before.iter().flatten().zip(after.iter().flatten()) {
            // In KiB; a process that wakes up may touch its stack.
            assert!(before.abs_diff(*after) <= 200, "{before:?} became {after:?}");
        }
    }
}

#[test]
fn busy_target_is_stopped_again() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let (process, _) = started(python, super::COUNTING, &["1"]);
    let mut target = Target::attach(process.pid()).unwrap();
    let mut buffers = CopyBuffer::new();
    let mut looks = 0;
    let frozen = target
        .freeze(&mut buffers, STOP_LIMIT, |memory| {
            looks += 1;
            assert!(!memory.regions().is_empty());
            looks == 4
        })
        .unwrap();
    assert_eq!((looks, frozen.copy.stops, frozen.copy.was_consistent), (4, 4, true));
    buffers = frozen.memory.into_buffers();
    let held = buffers.populated_bytes();
    assert!(held > 1 << 20);
    let again = target.freeze(&mut buffers, STOP_LIMIT, |_| true).unwrap();
    assert!(again.copy.pause.unwrap() > Duration::ZERO && again.copy.stops == 1);
    // A target that is never quiet is copied anyway, and the copy says so.
    let never = target.freeze(&mut CopyBuffer::new(), STOP_LIMIT, |_| false).unwrap();
    assert_eq!((never.copy.stops, never.copy.was_consistent), (MAX_STOPS, false));
}

#[test]
fn live_reads_are_equal_and_bounded() {
    const KEPT: u64 = 2 << 20;
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    for (program, shares) in [(VARIED, false), (FORKING, true)] {
        let (process, _) = started(python, program, &[]);
        stop_by_job_control(&process);
        let frozen = freeze(process.pid());
        let target = Target::attach(process.pid()).unwrap();
        let live = target.live(KEPT);
        let mut info = frozen.info.clone();
        info.mappings.retain(|mapping| mapping.access.write && mapping.length() < 32 << 20);
        let sizes = || field(process.pid(), "smaps_rollup", "Pss_Anon");
        let before = sizes();

        // Twice: on demand, and prefetched.
        let (pages, found) = differences(&info, &frozen.memory, &live);
        assert!(pages > 1000 && found.is_empty(), "{} of {pages} differ:\n{}", found.len(), found.join("\n"));
        let one_by_one = live.counts();
        assert!(one_by_one.calls as usize >= pages && one_by_one.rejected == 0, "{one_by_one:?}");
        live.clear_cache();
        let first = info.mappings.iter().find(|mapping| mapping.length() > 1 << 20).unwrap().range.start;
        let wanted = |number: u64| first.plus(number * 4096 + 100)..first.plus(number * 4096 + 164);
        live.prefetch(&mut (0..256).map(wanted));
        for number in 0..256 {
            let mut bytes = [0; 64];
            live.read(wanted(number).start, &mut bytes).unwrap();
            assert_eq!(Some(&bytes[..]), frozen.memory.slice(wanted(number).start, 64));
        }
        let calls = live.counts().calls - one_by_one.calls;
        // Pages shared with a fork are read one by one: reading several at once would copy them.
        assert!(if shares { calls == 256 } else { calls == 1 }, "{calls} calls");
        assert!(sizes().abs_diff(before) <= 200, "{before} became {}", sizes());

        assert!(live.read_u64(Addr(8)).is_err() && live.read_u64(Addr(u64::MAX - 3)).is_err());
        live.prefetch(&mut [Addr(0)..Addr(u64::MAX), Addr(9)..Addr(3)].into_iter());
        assert_eq!(live.counts().rejected, 2);
        assert!(live.health().bytes <= KEPT, "{:?}", live.health());
    }
}

#[test]
fn estimate_matches_copy() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let (process, _) = started(python, FORKING, &[]);
    let mut target = Target::attach(process.pid()).unwrap();
    let guess = target.estimate();
    let frozen = target.freeze(&mut CopyBuffer::new(), STOP_LIMIT, |_| true).unwrap();
    assert!(guess.bytes.abs_diff(frozen.memory.copied_bytes()) < 1 << 20, "{guess:?}");
    assert!(guess.pause > Duration::from_millis(5), "{guess:?}");
    // The second estimate uses the speed of the first copy.
    let second = target.estimate().pause.as_secs_f64();
    let measured = frozen.copy.pause.unwrap().as_secs_f64();
    assert!(second < measured * 1.5 && second > measured / 50.0, "{second} s for {measured} s");
}

#[test]
fn unprivileged_user_copies_own_process() {
    const TESTS: [&str; 3] = [
        "stopping::copies::copy_has_every_readable_byte",
        "stopping::copies::live_reads_are_equal_and_bounded",
        "stopping::files::deleted_or_replaced_program_opens",
    ];
    if !rustix::process::geteuid().is_root() {
        crate::skip!(
            "only root can become somebody else; and the other tests are run by somebody without privileges"
        );
    }
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    if !matches!(scope.trim(), "" | "0") {
        crate::skip!("kernel.yama.ptrace_scope is {}", scope.trim());
    }
    let unprivileged = ["--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps", "-all"];
    let command = |program: &std::ffi::OsStr| {
        Tool::new("setpriv")
            .args(unprivileged)
            .arg(program)
            .env("HOME", "/nonexistent")
            .env("PYENV_ROOT", "/nonexistent")
    };
    let own = std::env::current_exe().unwrap();
    if command(own.as_os_str()).arg("--list").run().code() != Some(0) {
        crate::skip!("the tests cannot be run as somebody else here");
    }
    let run = command(own.as_os_str()).arg("--exact").args(TESTS).run();
    assert!(run.code() == Some(0) && run.out().contains("3 passed"), "{}\n{}", run.out(), run.err());
}
