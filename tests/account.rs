//! The account of RSS: that it adds up, and that its figures are those of malloc, of Python and of the kernel themselves.

use std::path::PathBuf;
use std::process::Command;

use memobj::account::rows::Kind;
use memobj::account::{Account, Ground, PythonMemory, account};
use memobj::memory::Buffers;
use memobj::target::{STOP_LIMIT, Still, Target};

use crate::support::{Background, Tool, workspace};

/// A page, in bytes.
const PAGE: u64 = 4096;

/// The process as it is now, with its pages.
fn still(pid: u32) -> Still {
    let mut target = Target::attach(pid).unwrap();
    target.want_residence(true);
    target.freeze(&mut Buffers::default(), STOP_LIMIT, |_| true).unwrap()
}

/// The account of a process without Python.
fn native(pid: u32) -> Account {
    let still = still(pid);
    let residence = still.residence.as_ref().unwrap();
    let ground = Ground::read(&still.memory, &still.facts, residence, &[]);
    account(&still.memory, &still.facts, residence, ground, &PythonMemory::default())
}

/// What `field` of `/proc/PID/smaps_rollup` says, in bytes.
fn rollup(pid: u32, field: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn sum(account: &Account) -> u64 {
    account.rows.iter().map(|row| row.tally.resident_bytes()).sum()
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
fn the_native_heap_is_what_malloc_says_and_rss_adds_up() {
    let program = match compiled() {
        Ok(program) => program,
        Err(reason) => crate::skip!("{reason}"),
    };
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
    assert_eq!(account.native_mapped_told_bytes, Some(hblkhd));
    assert_eq!(account.resident_bytes(Kind::NativeMapped), hblkhd);

    for worker in ["worker-0", "worker-1", "worker-2"] {
        let stack =
            account.rows.iter().find(|row| row.kind == Kind::Stack && row.detail.as_deref() == Some(worker));
        let bytes = stack.unwrap_or_else(|| panic!("{worker}: {:#?}", account.rows)).tally.resident_bytes();
        assert!((700 << 10..800 << 10).contains(&bytes), "{worker}: {bytes}");
    }
    assert_eq!(account.resident_bytes(Kind::SharedMemory), 1 << 20);
    let unexplained = account.resident_bytes(Kind::Unexplained);
    assert!((3 << 20..(3 << 20) + 16 * PAGE).contains(&unexplained), "{unexplained}: {:#?}", account.rows);
    assert!(
        account
            .large
            .iter()
            .any(|large| large.kind == Kind::Unexplained && large.tally.private_bytes >= 3 << 20)
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
