//! A target that writes down when it ran, and copies of it that are compared with that.

use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use memobj_process::addr::Addr;
use memobj_process::memory::{CopyBuffer, Memory, PAGE_SIZE};
use memobj_process::target::{FrozenProcess, Target};

use super::compiled;
use crate::support::{Background, Tool};

/// Runs of the target that its log keeps: far more than there can be during a copy.
const LOGGED: u64 = 1 << 16;
/// Runs that are compared with a copy.
const COMPARED: u64 = 2000;
/// Pages that each writer writes to.
const WRITTEN: usize = 256;

/// The first part of such a target. Each writer writes a number to each of its pages. `begin_run` writes the time to a file, and whoever
/// called it writes the time of the end to the second word there. The file has first the number of runs, then for each a begin and an end, in
/// ns since 1970. Arguments: who runs, the file.
const LOGGING: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#define PAGES 256
#define LOGGED (1 << 16)
static volatile uint64_t *log_file;
static volatile uint64_t (*pages)[512];
static uint64_t now(void) { struct timespec t; clock_gettime(CLOCK_REALTIME, &t); return t.tv_sec * 1000000000ull + t.tv_nsec; }
static unsigned chance(unsigned *seed, unsigned below) { return rand_r(seed) % below; }
static volatile uint64_t *begin_run(void) {
    uint64_t number = __atomic_fetch_add(&log_file[0], 1, __ATOMIC_SEQ_CST), from = now();
    volatile uint64_t *entry = log_file + 1 + number % LOGGED * 2;
    entry[0] = from;
    entry[1] = UINT64_MAX;
    return entry;
}
static void write_pages(long writer) {
    uint64_t count = pages[writer * PAGES][0] + 1;
    for (int page = 0; page < PAGES; page++) pages[writer * PAGES + page][0] = count;
}
static void begin(char **args, int writers) {
    int file = open(args[2], O_RDWR);
    log_file = mmap(0, (1 + LOGGED * 2) * 8, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    pages = mmap(0, writers * PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int page = 0; page < writers * PAGES; page++) pages[page][2] = 1;
    printf("ready %p\n", (void *)pages); fflush(stdout);
}
"#;

/// Compiles such a target; `None` without a compiler.
pub(super) fn compile(folder: &Path, rest: &str) -> Option<PathBuf> {
    compiled(folder, &format!("{LOGGING}{rest}"), &["-pthread"])
}

/// A way to copy a target. It calls the function when the threads have been looked at, before it copies the first byte.
type Method<'m> = dyn FnMut(&mut Target, &mut CopyBuffer, &mut dyn FnMut()) -> Option<FrozenProcess> + 'm;

/// A running target.
pub(super) struct LoggedTarget {
    pub process: Background,
    pages: Addr,
    log: tempfile::NamedTempFile,
}

/// The result of a series of attempts.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    /// Copies that were begun.
    pub begun: usize,
    /// Copies that count.
    pub valid: usize,
}

impl LoggedTarget {
    pub fn start(program: &Path, who: &str) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        log.as_file().set_len((1 + LOGGED * 2) * 8).unwrap();
        let mut process = Tool::new(program).args([who]).args([log.path()]).start();
        let address = process.wait_line("ready ");
        let pages = u64::from_str_radix(address.trim().trim_start_matches("0x"), 16).unwrap();
        Self { process, pages: Addr(pages), log }
    }

    fn logged(&self, word: u64) -> u64 {
        let mut bytes = [0; 8];
        self.log.as_file().read_exact_at(&mut bytes, word * 8).unwrap();
        u64::from_le_bytes(bytes)
    }

    /// The number of runs.
    pub fn count(&self) -> u64 {
        self.logged(0)
    }

    /// The last times at which it ran.
    fn runs(&self) -> Vec<Range<u64>> {
        let count = self.count();
        let entries = (count.saturating_sub(COMPARED)..count).map(|number| 1 + number % LOGGED * 2);
        entries.map(|at| self.logged(at)..self.logged(at + 1)).collect()
    }

    /// Copies it until `copies` copies were begun. No run may spoil the time of a copy that counts. `check` gets each such copy.
    pub fn try_copies(
        &self,
        copies: usize,
        method: &mut Method<'_>,
        spoils: fn(run: &Range<u64>, copy: &Range<u64>) -> bool,
        check: impl Fn(&FrozenProcess),
    ) -> Attempts {
        let mut target = Target::attach(self.process.pid()).unwrap();
        let mut buffer = CopyBuffer::new();
        let mut attempts = Attempts::default();
        while attempts.begun < copies {
            let mut begun = 0;
            let frozen = method(&mut target, &mut buffer, &mut || {
                attempts.begun += 1;
                begun = since_1970(SystemTime::now());
            });
            let Some(frozen) = frozen else { continue };
            attempts.valid += 1;
            let copy = begun..since_1970(frozen.at.unwrap());
            let ran: Vec<_> = self.runs().into_iter().filter(|run| spoils(run, &copy)).collect();
            assert!(ran.is_empty(), "copied in {copy:?}, and it ran: {ran:?}");
            check(&frozen);
            buffer = frozen.memory.into_buffers();
        }
        attempts
    }

    /// The numbers on the pages of a writer in a copy.
    pub fn numbers(&self, frozen: &FrozenProcess, writer: usize) -> Vec<u64> {
        let at = |page: usize| self.pages.plus(((writer * WRITTEN + page) * PAGE_SIZE) as u64);
        (0..WRITTEN).map(|page| frozen.memory.read_u64(at(page)).unwrap()).collect()
    }
}

fn since_1970(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}
