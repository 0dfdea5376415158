//! The account of RSS: that it adds up, and that its figures are those of malloc, of Python and of the kernel themselves.

use std::path::{Path, PathBuf};
use std::process::Command;

use common::record::{MemoryKind, MemoryRow};
use memobj::account::process_memory::ProcessMemory;
use memobj::account::{Account, NativeHeaps, PythonMemory, account};
use memobj::capture::capture_once;
use memobj::config::CensusOptions;
use memobj_process::memory::CopyBuffer;
use memobj_process::target::{FrozenProcess, STOP_LIMIT, Target};

use crate::support::interpreters::interpreters;
use crate::support::python;
use crate::support::{Background, PATIENCE, Tool, process, wait_for, workspace};

/// A page, in bytes.
const PAGE: u64 = 4096;

/// The process as it is now, with its pages.
pub fn frozen(pid: u32) -> FrozenProcess {
    let mut target = Target::attach(pid).unwrap();
    target.record_residence(true);
    target.freeze(&mut CopyBuffer::default(), STOP_LIMIT, |_| true).unwrap()
}

/// The account of a process without Python.
fn native(pid: u32) -> Account {
    let frozen = frozen(pid);
    let residence = frozen.residence.as_ref().unwrap();
    let ground = NativeHeaps::read(&frozen.memory, &frozen.info, residence, &[]);
    account(&frozen.memory, &frozen.info, residence, ground, &PythonMemory::default())
}

/// What `field` of `/proc/PID/smaps_rollup` says, in bytes.
fn rollup(pid: u32, field: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

pub fn sum(account: &Account) -> u64 {
    account.rows.iter().map(MemoryRow::resident_bytes).sum()
}

/// The program of `tests/account/native.c`, compiled; the reason if there is no compiler here.
fn compiled() -> Result<PathBuf, String> {
    let program =
        tempfile::Builder::new().prefix("native-").tempfile_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (_, program) = program.keep().unwrap();
    let source = workspace::root().join("tests/account/native.c");
    let output = Command::new("cc").args(["-O1", "-pthread", "-o"]).arg(&program).arg(source).output();
    match output {
        Ok(output) if output.status.success() => Ok(program),
        Ok(output) => {
            Err(String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or("cc failed").to_owned())
        }
        Err(error) => Err(format!("cc: {error}")),
    }
}

/// What mallinfo2 said last: arena, uordblks, fordblks, fsmblks, hblkhd, hblks.
fn mallinfo(process: &Background) -> [u64; 6] {
    let out = process.out();
    let line = out.lines().filter_map(|line| line.strip_prefix("malloc ")).next_back().unwrap();
    let numbers: Vec<u64> = line.split(' ').map(|word| word.parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

#[test]
fn native_heap_matches_mallinfo() {
    let program = crate::or_skip!(compiled());
    let mut process = Tool::new(&program).start();
    process.wait_line("ready ");
    let pid = process.pid();
    let account = native(pid);
    assert_eq!(sum(&account), account.rss_bytes, "{:#?}", account.rows);
    assert_eq!(account.rss_bytes, rollup(pid, "Rss"));

    let [arena, uordblks, fordblks, fsmblks, hblkhd, _] = mallinfo(&process);
    let arenas = account.arenas.as_ref().unwrap();
    let total = |of: fn(&memobj::account::glibc::Arena) -> u64| arenas.iter().map(of).sum::<u64>();
    assert_eq!(arenas.len(), 4, "{arenas:#?}");
    assert_eq!(arenas.iter().filter(|arena| arena.main).count(), 1);
    assert_eq!(total(|arena| arena.lost_bytes), 0, "{arenas:#?}");
    assert_eq!(total(|arena| arena.system_bytes), arena);
    assert_eq!(total(|arena| arena.free_bytes + arena.fast_bytes + arena.top_bytes), fordblks);
    assert_eq!(total(|arena| arena.fast_bytes), fsmblks);
    // Of what malloc says is in use, chunks in threads' caches are not: seven of 48 bytes in each of four threads, and what was given
    // back of other sizes up to 1,032 bytes while there was room. What an arena has for itself is neither.
    let (used, cached) = (total(|arena| arena.used_bytes), total(|arena| arena.cached_bytes));
    assert!(cached >= 4 * 7 * 48, "{cached}");
    let own = uordblks - used - cached;
    assert!(own < 4 * PAGE, "{own} of {uordblks}");
    assert_eq!(account.native_mapped_malloc_bytes, Some(hblkhd));
    assert_eq!(account.resident_bytes(MemoryKind::NativeMapped), hblkhd);

    for worker in ["worker-0", "worker-1", "worker-2"] {
        let stack = account
            .rows
            .iter()
            .find(|row| row.kind == MemoryKind::Stack && row.detail.as_deref() == Some(worker));
        let bytes = stack.unwrap_or_else(|| panic!("{worker}: {:#?}", account.rows)).resident_bytes();
        assert!((700 << 10..800 << 10).contains(&bytes), "{worker}: {bytes}");
    }
    assert_eq!(account.resident_bytes(MemoryKind::SharedMemory), 1 << 20);
    let unexplained = account.resident_bytes(MemoryKind::Unexplained);
    assert!((3 << 20..(3 << 20) + 16 * PAGE).contains(&unexplained), "{unexplained}: {:#?}", account.rows);
    assert!(
        account
            .large
            .iter()
            .any(|large| large.kind == MemoryKind::Unexplained && large.bytes.private_bytes >= 3 << 20)
    );

    // What was promised is what the system gets.
    process.write("trim");
    process.wait_line("did");
    let trimmed = native(pid);
    assert_eq!(sum(&trimmed), trimmed.rss_bytes);
    let fallen = account.rss_bytes - trimmed.rss_bytes;
    assert!(account.trimmable_bytes > 1 << 20, "{}", account.trimmable_bytes);
    assert!(fallen.abs_diff(account.trimmable_bytes) <= 4 * PAGE, "{fallen} of {}", account.trimmable_bytes);
    assert!(trimmed.trimmable_bytes <= 4 * PAGE, "{}", trimmed.trimmable_bytes);
    std::fs::remove_file(program).unwrap();
}

/// The account of a Python process.
pub fn of_python(pid: u32) -> ProcessMemory {
    let options = CensusOptions { memory: true, ..CensusOptions::default() };
    let memory = capture_once(pid, &options).unwrap().memory.unwrap();
    let account = &memory.account;
    assert_eq!(sum(account), account.rss_bytes, "{:#?}", account.rows);
    let types: u64 = account.types.iter().map(|tally| tally.resident_bytes()).sum();
    assert_eq!(types, account.resident_bytes(MemoryKind::PythonObjects));
    memory
}

/// Resident bytes of a type: private and shared.
pub fn of_type(memory: &ProcessMemory, name: &str) -> (u64, u64) {
    let found = memory.types.iter().zip(&memory.account.types).filter(|(of, _)| &***of == name);
    found.fold((0, 0), |(private, shared), (_, tally)| {
        (private + tally.private_bytes, shared + tally.shared_bytes)
    })
}

/// A program of `tests/account/python.py` that is ready, its pid, and what it said besides.
pub fn program(python: &Path, word: &str) -> (Background, u32, Vec<u32>) {
    let file = workspace::root().join("tests/account/python.py");
    let mut process = Tool::new(python).args(["-I", "-S", "-B"]).arg(file).arg(word).start();
    let said = process.wait_line("ready ");
    let mut said = said.split(' ').map(|word| word.parse().unwrap());
    let pid = said.next().unwrap();
    (process, pid, said.collect())
}

/// A number that `sys._debugmallocstats` printed behind `what`.
fn debug_stats(text: &str, what: &str) -> u64 {
    let line = text.lines().rfind(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}: {text}"));
    line.rsplit('=').next().unwrap().trim().replace(',', "").parse().unwrap()
}

#[test]
fn accounts_match_pymalloc() {
    let all = interpreters().iter().filter(|interpreter| !interpreter.free_threaded);
    let mut any = false;
    for interpreter in all {
        any = true;
        let (process, pid, _) = program(&interpreter.program, "objects");
        let memory = of_python(pid);
        let (account, shown) = (&memory.account, interpreter.to_string());
        assert!(account.explained_ratio() > 0.99, "{shown}: {:#?}", account.rows);
        // musl's malloc has no arenas.
        let arenas = account.arenas.iter().flatten();
        assert_eq!(arenas.map(|arena| arena.lost_bytes).sum::<u64>(), 0, "{shown}");
        assert!(account.reads_malloc, "{shown}");

        let told = process.err();
        let objects = account.rows.iter().find(|row| row.detail.as_deref() == Some("pools"));
        let found = objects.unwrap().resident_bytes() + account.resident_bytes(MemoryKind::PythonUsed);
        let said = debug_stats(&told, "# bytes in allocated blocks");
        assert!(found.abs_diff(said) < said / 100, "{shown}: {found} in use, {said} by its own account");
        // Nearly all blocks in use have an owner.
        assert!(account.resident_bytes(MemoryKind::PythonUsed) < said / 20, "{shown}: {:#?}", account.rows);
        // Free blocks that were never given out need not be resident.
        let (free, said) = (
            account.resident_bytes(MemoryKind::PythonFreeBlocks),
            debug_stats(&told, "# bytes in available blocks"),
        );
        assert!(
            free <= said + said / 10 + (64 << 10) && free > said / 2,
            "{shown}: {free} free, {said} by its own account"
        );
        // A third of 15,000 that are left of 30,000, and 20,000.
        let (item, _) = of_type(&memory, "__main__.Item");
        assert!(item >= 35_000 * 48, "{shown}: {item}");
    }
    if !any {
        crate::skip!("no Python on this machine");
    }
}

#[test]
fn c_memory_is_no_object() {
    let Some(python) = python::python() else { crate::skip!("no Python on this machine") };
    let (_process, pid, _) = program(&python.path, "native");
    let memory = of_python(pid);
    let used = memory.account.resident_bytes(MemoryKind::NativeUsed);
    assert!((4000 * 5000..4000 * 5000 + (2 << 20)).contains(&used), "{:#?}", memory.account.rows);
    assert!(memory.account.explained_ratio() > 0.99, "{:#?}", memory.account.rows);
}

#[test]
fn pinning_types_are_named() {
    let Some(python) = python::python() else { crate::skip!("no Python on this machine") };
    let (_process, pid, said) = program(&python.path, "fragmented");
    let memory = of_python(pid);
    let pinned = &memory.account.pinned;
    assert!(pinned.arena_bytes > memory.account.rss_bytes / 2, "{pinned:?}");
    let worst = &pinned.types[0];
    assert_eq!(&*memory.types[worst.row.0 as usize], "bytes");
    // All of them, but for those in arenas that hold much else; and what Python itself keeps as bytes: the code of its modules.
    assert!(
        worst.in_arenas <= u64::from(said[0]) + 1000 && worst.in_arenas > u64::from(said[0]) * 3 / 4,
        "{worst:?}"
    );
    assert!(worst.arena_bytes > pinned.arena_bytes * 9 / 10, "{pinned:?}");
}

#[test]
fn large_buffers_have_owners() {
    let Some(python) = python::python() else { crate::skip!("no Python on this machine") };
    let (_process, pid, _) = program(&python.path, "large");
    let memory = of_python(pid);
    for (owner, bytes) in [("bytearray", 9_u64 << 20), ("list", 16 << 20), ("mmap.mmap", 6 << 20)] {
        let found = memory.account.large.iter().find(|large| {
            let of = large.owner.map(|row| &*memory.types[row.0 as usize]);
            of == Some(owner) && large.bytes.resident_bytes().abs_diff(bytes) <= 4 * PAGE
        });
        assert!(found.is_some(), "{owner}: {:?}", memory.account.large);
    }
    assert!(memory.account.explained_ratio() > 0.99, "{:#?}", memory.account.rows);
}

#[test]
fn threads_have_arenas_and_stacks() {
    let Some(python) = python::python() else { crate::skip!("no Python on this machine") };
    let (_process, pid, _) = program(&python.path, "threads");
    let account = of_python(pid).account;
    assert!(account.arenas.as_ref().unwrap().len() > 1, "{:?}", account.arenas);
    assert!(account.resident_bytes(MemoryKind::Stack) > 0);
    assert!(account.explained_ratio() > 0.99, "{:#?}", account.rows);
}

#[test]
fn shared_pages_have_types() {
    let Some(python) = python::python() else { crate::skip!("no Python on this machine") };
    let (mut process, _, said) = program(&python.path, "forked");
    let worker = said[0];
    let (private, shared) = of_type(&of_python(worker), "__main__.Item");
    assert!(shared > 50_000 * 32 && private < shared / 10, "{private} private, {shared} shared");
    process.write("touch\n");
    process.wait_line("touched");
    // Counting references writes to the objects, not to the storage of their attributes.
    let (parted, left) = of_type(&of_python(worker), "__main__.Item");
    assert!(parted >= 50_000 * 48 && left < shared / 2, "{parted} private, {left} of {shared} shared");
}

#[test]
fn web_service_is_explained() {
    let served =
        crate::or_skip!(python::with(&["flask==3.0.3", "gunicorn==22.0.0"], "import flask, gunicorn"));
    let folder = tempfile::tempdir().unwrap();
    let code = "import flask\napp = flask.Flask('shop')\n@app.get('/')\ndef hello(): return 'hello'\n\
                def make():\n    for _ in range(50): app.test_client().get('/')\n    return app\n";
    std::fs::write(folder.path().join("shop.py"), code).unwrap();
    let server = Tool::new(&served)
        .args(["-m", "gunicorn", "--preload", "--workers", "2", "--bind", "127.0.0.1:0", "--chdir"])
        .arg(folder.path())
        .arg("shop:make()")
        .start();
    let workers = wait_for(PATIENCE, "two workers", || {
        let workers = process::descendants(server.pid());
        (workers.len() == 2 && server.err().matches("Booting worker").count() == 2).then_some(workers)
    });
    for pid in workers.into_iter().chain([server.pid()]) {
        let account = of_python(pid).account;
        assert!(account.explained_ratio() > 0.95, "{:#?}", account.rows);
    }
}
