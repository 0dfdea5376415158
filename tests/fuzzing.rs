//! Hostile input: with damaged files and false memory, memobj never panics, hangs, or allocates without bound.
//!
//! A smoke run of what `fuzz/` does for as long as one likes: real snapshots, cores and programs, damaged by chance. `MEMTOOLS_FUZZ_CASES` says how
//! often, `MEMTOOLS_FUZZ_SEED` with what, `MEMTOOLS_FUZZ_FROM` from which case on, to see one again that failed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use memobj::capture::capture_memory;
use memobj::config::{CacheOptions, CensusOptions, HolderOptions, Scope, StopPolicy};
use memobj_process::addr::Addr;
use memobj_process::elf::Elf;
use memobj_process::info::{Mapping, ProcessInfo, ProcessSource};
use memobj_process::memory::{CopyBuffer, Memory};
use memobj_process::residence::Residence;
use memobj_process::snapshot::{self, Checksum};
use memobj_process::target::{FrozenProcess, Target as Process};
use rustix::time::{ClockId, clock_gettime};

use crate::support::damage::{Damaged, Watched};
use crate::support::python::{Python, Target, pythons};
use crate::support::series::Chance;
use crate::support::{Tool, bin, which};

/// Environment variable of the child that runs the cases: the folder of its seeds.
const CHILD: &str = "MEMTOOLS_FUZZ_CHILD";

/// Processor time that a case may take in a build without optimisation. An endless loop takes more.
const CASE_LIMIT: Duration = Duration::from_secs(20);

/// Memory that the child may map, in KiB, with its threads' stacks. Its input is a fiftieth of that.
const MEMORY_LIMIT_KIB: u32 = 2 << 20;

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().map_or(otherwise, |text| text.parse().expect(variable))
}

/// Runs `case` with many damages in a process of its own, whose memory is limited. `seeds` puts what is damaged into a folder, or says
/// why it cannot.
///
/// # Panics
/// If a case panics, takes too long, or takes too much memory: the message says which.
#[track_caller]
fn in_a_child(
    test: &str,
    cases: u64,
    seeds: impl FnOnce(&Path) -> Result<(), String>,
    case: impl Fn(&Path, &mut Chance),
) -> Result<(), String> {
    if let Some(folder) = std::env::var_os(CHILD) {
        run_cases(cases, |chance| case(Path::new(&folder), chance));
        return Ok(());
    }
    let folder = tempfile::tempdir().unwrap();
    seeds(folder.path())?;
    let run = Tool::new("sh")
        .args(["-c", "ulimit -v \"$0\" && exec \"$@\"", &MEMORY_LIMIT_KIB.to_string()])
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--test-threads=1", "--nocapture"])
        .env(CHILD, folder.path())
        .env("RUST_BACKTRACE", "0")
        .limit(Duration::from_secs(3600))
        .run();
    let err = run.err();
    let last: Vec<&str> = err.lines().rev().take(12).collect();
    let passed = run.code() == Some(0) && run.out().contains("1 passed");
    assert!(passed, "{test}: {}\n{}", run.status, last.into_iter().rev().collect::<Vec<_>>().join("\n"));
    Ok(())
}

/// Processor time of all our threads, independent of the machine's load.
fn processor_time() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(spent.tv_sec.unsigned_abs(), u32::try_from(spent.tv_nsec).unwrap())
}

/// Panics of any thread: the owner of a thread may turn its panic into an error.
static PANICS: AtomicUsize = AtomicUsize::new(0);

fn run_cases(cases: u64, case: impl Fn(&mut Chance)) {
    let (seed, from) = (number("MEMTOOLS_FUZZ_SEED", 20_261_124), number("MEMTOOLS_FUZZ_FROM", 0));
    let say = |text: &str| std::io::stderr().write_all(text.as_bytes()).unwrap();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        before(info);
    }));
    for nth in from..from + number("MEMTOOLS_FUZZ_CASES", cases) {
        say(&format!("case {nth} of MEMTOOLS_FUZZ_SEED={seed}\n"));
        let start = processor_time();
        let mut chance = Chance(seed.wrapping_add(nth.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let outcome = catch_unwind(AssertUnwindSafe(|| case(&mut chance)));
        let took = processor_time() - start;
        assert!(outcome.is_ok() && PANICS.load(Ordering::Relaxed) == 0, "case {nth}: a panic");
        assert!(took < CASE_LIMIT, "case {nth} took {took:?}");
    }
}

/// A position to damage: the beginning, which has the lengths, more often than the rest.
fn place(length: usize, chance: &mut Chance) -> usize {
    let end = match chance.count(0, 2) {
        0 => length.min(128),
        1 => length.min(16 << 10),
        _ => length,
    };
    chance.count(0, end.saturating_sub(1))
}

/// An unusual number.
fn unexpected(chance: &mut Chance, length: usize) -> u64 {
    let length = length as u64;
    let numbers = [
        0,
        1,
        7,
        length,
        length + 1,
        length.wrapping_sub(1),
        u64::from(u32::MAX),
        1 << 31,
        (1 << 31) - 1,
        u64::MAX,
        1 << 63,
        (1 << 63) - 1,
        (1 << 47) - 8,
        1 << 47,
        0xffff_8000_0000_0000,
        chance.bits(),
    ];
    numbers[chance.count(0, numbers.len() - 1)]
}

/// Damages bytes by flips, swaps, cuts and impossible numbers.
fn damage(bytes: &mut Vec<u8>, chance: &mut Chance) {
    for _ in 0..chance.count(1, 8) {
        let length = bytes.len();
        if length < 16 {
            return;
        }
        let at = place(length, chance);
        match chance.count(0, 7) {
            0 | 1 => bytes[at] ^= 1 << chance.count(0, 7),
            2 => bytes[at] = chance.bits() as u8,
            3 | 4 => {
                let number = unexpected(chance, length).to_le_bytes();
                let width = [2, 4, 8][chance.count(0, 2)].min(length - at);
                bytes[at..at + width].copy_from_slice(&number[..width]);
            }
            5 => {
                let other = place(length, chance);
                let width = 8.min(length - at).min(length - other);
                for index in 0..width {
                    bytes.swap(at + index, other + index);
                }
            }
            6 => bytes.truncate(at),
            _ => {
                let end = (at + chance.count(1, 64)).min(length);
                let part: Vec<u8> = bytes.drain(at..end).collect();
                if chance.count(0, 1) == 0 {
                    bytes.extend(part);
                }
            }
        }
    }
}

/// Picks a file of a folder at random, from the sorted names.
fn one_of(folder: &Path, chance: &mut Chance) -> PathBuf {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.swap_remove(chance.count(0, files.len() - 1))
}

/// Interpreters to take snapshots of: the oldest and the newest that memobj knows, which differ most.
fn interpreters() -> Vec<&'static Python> {
    let known: Vec<&Python> = pythons().iter().filter(|python| python.version >= (3, 8)).collect();
    match known.as_slice() {
        [] => Vec::new(),
        [one] => vec![one],
        [first, .., last] => vec![first, last],
    }
}

/// A copy of a process.
fn frozen(pid: u32) -> FrozenProcess {
    let mut process = Process::attach(pid).unwrap();
    process.record_residence(true);
    process.freeze(&mut CopyBuffer::default(), Duration::from_secs(10), |_| true).unwrap()
}

/// Puts snapshots of small Pythons into a folder.
fn snapshots(folder: &Path) -> Result<(), String> {
    for (number, python) in interpreters().into_iter().enumerate() {
        let target = Target::start(python, "signals.py", &[]);
        snapshot::save(&frozen(target.pid()), &folder.join(format!("{number}.snapshot"))).unwrap();
    }
    if fs::read_dir(folder).unwrap().next().is_none() {
        return Err("no Python that memobj knows on this machine".to_owned());
    }
    Ok(())
}

/// Reads a copy from a damaged file as the layers below the census do.
fn read_regions(frozen: &FrozenProcess, chance: &mut Chance) {
    let regions = frozen.memory.regions();
    assert!(
        regions.iter().all(|region| region.start < region.end)
            && regions.is_sorted_by_key(|region| region.start)
    );
    let copied: u64 = frozen.memory.runs().map(|(_, bytes)| bytes.len() as u64).sum();
    assert_eq!(copied, frozen.memory.copied_bytes());
    for _ in 0..64 {
        let at = match regions.get(chance.count(0, regions.len().saturating_sub(1))) {
            Some(region) if chance.count(0, 7) > 0 => {
                region.start.plus(chance.bits() % (region.end.0 - region.start.0))
            }
            _ => Addr(chance.bits()),
        };
        let word = frozen.memory.read_u64(at);
        let mut bytes = [0; 8];
        assert_eq!(frozen.memory.read(at, &mut bytes).map(|()| u64::from_le_bytes(bytes)), word);
        let _ = frozen.memory.read_c_string(at, 256);
    }
}

#[test]
fn damaged_snapshots_refused_or_read() {
    let outcome =
        in_a_child("fuzzing::damaged_snapshots_refused_or_read", 300, snapshots, |folder, chance| {
            let mut bytes = fs::read(one_of(folder, chance)).unwrap();
            damage(&mut bytes, chance);
            let seal = if chance.count(0, 7) == 0 { Checksum::Verify } else { Checksum::Ignore };
            if let Ok(frozen) = snapshot::read(bytes.as_slice(), bytes.len() as u64, seal) {
                read_regions(&frozen, chance);
                if chance.count(0, 3) == 0 {
                    // The page list of its header may be false too: the account must end.
                    let _ = capture_memory(&frozen, &frozen.memory, &options(chance.count(0, 1) == 0));
                }
            }
        });
    if let Err(reason) = outcome {
        crate::skip!("{reason}");
    }
}

/// A copy with another memory: a false one, or one that notes each read.
struct With<'s, M> {
    frozen: &'s FrozenProcess,
    memory: M,
}

impl<M: Memory> ProcessSource for With<'_, M> {
    fn info(&self) -> &ProcessInfo {
        self.frozen.info()
    }

    fn memory(&self) -> &dyn Memory {
        &self.memory
    }

    fn is_frozen(&self) -> bool {
        true
    }

    fn residence(&self) -> Option<&Residence> {
        self.frozen.residence()
    }

    fn open(&self, mapping: &Mapping) -> Result<File, memobj_process::error::Error> {
        self.frozen.open(mapping)
    }
}

/// Options of a census, with holders and paths if `holders`.
fn options(holders: bool) -> CensusOptions {
    let why = ["dict", "list", "function", "type", "thread"].map(str::to_owned).to_vec();
    CensusOptions {
        scope: Scope::Heap,
        stop: StopPolicy::Never,
        memory: true,
        holders: holders.then_some(HolderOptions { retained: true, why }),
        caches: holders.then_some(CacheOptions { max_item_bytes: 1 << 20 }),
        ..CensusOptions::default()
    }
}

/// Returns a false word: another valid pointer, a value near the old one, or any number.
fn false_word(old: u64, places: &[Addr], chance: &mut Chance) -> u64 {
    let other = places[chance.count(0, places.len() - 1)].0;
    match chance.count(0, 9) {
        0 | 1 => other,
        2 => other.wrapping_add(chance.count(0, 64) as u64),
        3 => old ^ (1 << chance.count(0, 63)),
        4 => old.wrapping_add([8, 16, 1, u64::MAX, 4096][chance.count(0, 4)]),
        5 => (old & 0xffff_ffff) | (unexpected(chance, 1 << 20) << 32),
        6 => (old & !0xffff_ffff) | (unexpected(chance, 1 << 20) & 0xffff_ffff),
        _ => unexpected(chance, 1 << 20),
    }
}

/// A copy and the addresses that a census reads.
struct Seed {
    frozen: FrozenProcess,
    places: Vec<Addr>,
    objects: u64,
}

fn seeds_of(folder: &Path) -> Vec<Seed> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let seed = |file: PathBuf| {
        let frozen = snapshot::open(&file).unwrap();
        let noting = With { frozen: &frozen, memory: Watched::new(&frozen.memory) };
        let census = capture_memory(&noting, &noting.memory, &options(true)).unwrap();
        let places = noting.memory.into_places();
        Seed { places, objects: census.types.iter().map(|row| row.count).sum(), frozen }
    };
    files.into_iter().map(seed).collect()
}

#[test]
fn census_of_false_memory_ends() {
    let seeds = OnceLock::new();
    let outcome = in_a_child("fuzzing::census_of_false_memory_ends", 100, snapshots, |folder, chance| {
        let seeds: &Vec<Seed> = seeds.get_or_init(|| seeds_of(folder));
        let seed = &seeds[chance.count(0, seeds.len() - 1)];
        assert!(
            seed.places.len() > 1000 && seed.objects > 1000,
            "the census of the undamaged copy read too little"
        );
        let mut memory = Damaged::new(&seed.frozen.memory);
        for _ in 0..[1, 3, 10, 100, 1000][chance.count(0, 4)] {
            let at = seed.places[chance.count(0, seed.places.len() - 1)].plus(8 * chance.count(0, 3) as u64);
            memory.replace(at, |old| false_word(old, &seed.places, chance));
        }
        let process = With { frozen: &seed.frozen, memory };
        let holding = chance.count(0, 1) == 0;
        if let Ok(census) = capture_memory(&process, &process.memory, &options(holding)) {
            // The totals stay bounded, however false the rows are.
            let listed: u64 = census.types.iter().map(|row| row.count).sum();
            assert!(listed < 100 * seed.objects, "{listed} objects, of {}", seed.objects);
            let held = census.held.iter().flat_map(|held| &held.holders).map(|row| row.sum.count);
            assert_eq!(census.held.is_some(), holding);
            assert!(held.sum::<u64>() < 100 * seed.objects, "more is held than is there");
        }
    });
    if let Err(reason) = outcome {
        crate::skip!("{reason}");
    }
}

/// Puts small programs into a folder.
fn programs(folder: &Path) -> Result<(), String> {
    // The shell is small and on every machine.
    let mut files: Vec<OsString> = vec![which("sh").into_os_string()];
    files.extend(interpreters().first().map(|python| python.path.clone().into_os_string()));
    for (number, file) in files.iter().enumerate() {
        let bytes = fs::read(file).map_err(|error| error.to_string())?;
        fs::write(folder.join(format!("{number}.elf")), bytes).unwrap();
    }
    Ok(())
}

#[test]
fn damaged_programs_refused_or_read() {
    let outcome =
        in_a_child("fuzzing::damaged_programs_refused_or_read", 1000, programs, |folder, chance| {
            let mut bytes = fs::read(one_of(folder, chance)).unwrap();
            damage(&mut bytes, chance);
            // Beside the folder, which keeps the undamaged seeds.
            let damaged = folder.with_extension("damaged");
            fs::write(&damaged, &bytes).unwrap();
            let elf = Elf::read(File::open(&damaged).unwrap(), &["_PyRuntime", "Py_Version", "", "main"]);
            fs::remove_file(&damaged).unwrap();
            let Ok(elf) = elf else { return };
            let _ = elf.symbol("no such symbol");
            for section in [".PyRuntime", ".text", ".symtab", ".note.gnu.build-id"] {
                let _ = elf.section(section);
            }
        });
    if let Err(reason) = outcome {
        crate::skip!("{reason}");
    }
}

/// Writes the core file of a process by gcore, which equals the kernel's, into a folder.
fn core_of(pid: u32, folder: &Path) -> Result<PathBuf, String> {
    let start = folder.join("core");
    let run =
        Tool::new("sh").args(["-c", "exec gcore -o \"$0\" \"$1\""]).arg(&start).arg(pid.to_string()).run();
    if run.code() == Some(0) {
        Ok(start.with_extension(pid.to_string()))
    } else {
        Err(format!("gcore (of gdb) does not work here: {}", run.err().trim()))
    }
}

/// Puts the core files of a small process and of a small Python into a folder.
fn cores(folder: &Path) -> Result<(), String> {
    core_of(Tool::new("cat").start().pid(), folder)?;
    if let Some(python) = interpreters().first() {
        core_of(Target::start(python, "signals.py", &[]).pid(), folder)?;
    }
    Ok(())
}

#[test]
fn core_with_false_mapping_is_read_in_bounded_memory() {
    let Some(python) = interpreters().pop() else { crate::skip!("no Python that memobj knows") };
    let target = Target::start(python, "signals.py", &[]);
    let folder = tempfile::tempdir().unwrap();
    let core = crate::or_skip!(core_of(target.pid(), folder.path()));
    let memobj = |core: &Path| {
        // Far more than it needs, far less than false sizes of up to 2^47 bytes would take.
        let limited = Tool::new("sh").args(["-c", "ulimit -v 4000000; exec \"$@\"", "sh"]);
        limited.arg(bin("memobj")).arg("--core").arg(core).run()
    };
    let objects = memobj(&core).expect_code(0).records()[0]["total_objects"].clone();
    let bytes = fs::read(&core).unwrap();
    let maps = fs::read_to_string(format!("/proc/{}/maps", target.pid())).unwrap();
    let mut damaged = 0;
    for line in maps.lines().filter(|line| line.contains(" /")) {
        let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let word = |hex: &str| u64::from_str_radix(hex, 16).unwrap().to_le_bytes();
        // An entry of NT_FILE begins with the two addresses of the mapping; a program header has its start alone.
        let entry = [word(start), word(end)].concat();
        let Some(at) = bytes.windows(16).position(|window| window == entry) else { continue };
        let mut changed = bytes.clone();
        changed[at..at + 8].fill(0);
        let file = folder.path().join("damaged");
        fs::write(&file, changed).unwrap();
        let run = memobj(&file);
        assert!(matches!(run.code(), Some(0 | 2)), "{line}: {run}");
        assert!(run.code() == Some(2) || run.records()[0]["total_objects"].is_u64(), "{line}: {run}");
        damaged += usize::from(run.code() == Some(0) && run.records()[0]["total_objects"] == objects);
    }
    assert!(damaged > 3, "only {damaged} of the damaged files were counted as before");
}

#[test]
fn damaged_cores_refused_or_read() {
    let outcome = in_a_child("fuzzing::damaged_cores_refused_or_read", 300, cores, |folder, chance| {
        let mut bytes = fs::read(one_of(folder, chance)).unwrap();
        damage(&mut bytes, chance);
        let damaged = folder.with_extension("damaged");
        fs::write(&damaged, &bytes).unwrap();
        let frozen = memobj_process::target::core_file::open(&damaged);
        fs::remove_file(&damaged).unwrap();
        if let Ok(frozen) = frozen {
            read_regions(&frozen, chance);
            if chance.count(0, 3) == 0 {
                let _ = capture_memory(&frozen, &frozen.memory, &options(chance.count(0, 1) == 0));
            }
        }
    });
    if let Err(reason) = outcome {
        crate::skip!("{reason}");
    }
}
