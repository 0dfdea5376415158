//! Copies of processes that are not stopped: they count only if nothing ran meanwhile. The targets write down when they ran.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use memobj_process::addr::Addr;
use memobj_process::memory::{CopyBuffer, Memory, PAGE_SIZE};
use memobj_process::target::{FrozenProcess, Target};

use super::{COUNTING, assert_counts_on, assert_untouched, compiled, started};
use crate::support::python::python;
use crate::support::{Background, PATIENCE, Tool, wait_until};

/// Runs of the target that its log keeps: far more than there can be during a copy.
const LOGGED: u64 = 1 << 16;
/// Pages that each run of the target writes to.
const WRITTEN: usize = 256;

/// Sleeps for random times and then runs for random times. Each run writes the number of the run to each of its pages, and the times at which
/// it ran to a file: first the number of runs, then for each a begin and an end, in ns since 1970. The argument chooses who runs.
const WAKING: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
static void run(int writer, unsigned *seed) {
    uint64_t number = __atomic_fetch_add(&log_file[0], 1, __ATOMIC_SEQ_CST), from = now();
    volatile uint64_t *entry = log_file + 1 + number % LOGGED * 2;
    entry[0] = from;
    entry[1] = UINT64_MAX;
    uint64_t count = pages[writer * PAGES][0] + 1;
    for (int page = 0; page < PAGES; page++) pages[writer * PAGES + page][0] = count;
    for (uint64_t until = from + chance(seed, 4) * chance(seed, 60) * 1000; now() < until;) pages[writer * PAGES][1]++;
    entry[1] = now();
}
static void nap(unsigned *seed) {
    unsigned kind = chance(seed, 16);
    usleep(kind == 0 ? 30000 : kind < 3 ? chance(seed, 60) : chance(seed, 4000));
}
static void *wake(void *writer) { unsigned seed = 7 + (long)writer; for (;;) { nap(&seed); run((long)writer, &seed); } return 0; }
static void *once(void *writer) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; unsigned seed = 99;
    pthread_mutex_lock(&lock); run((long)writer, &seed); pthread_mutex_unlock(&lock);
    return 0;
}
static void *create(void *writer) {
    unsigned seed = 5; pthread_t thread; pthread_attr_t detached;
    pthread_attr_init(&detached); pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    for (;;) { nap(&seed); run((long)writer, &seed); pthread_create(&thread, &detached, once, (void *)((long)writer + 1)); usleep(500); }
    return 0;
}
static void on_alarm(int number) {
    static unsigned seed = 3;
    run(0, &seed);
    struct itimerval next = {{0, 0}, {0, chance(&seed, 8) ? 100 + chance(&seed, 4000) : 30000}};
    setitimer(ITIMER_REAL, &next, 0);
}
int main(int count, char **args) {
    int file = open(args[2], O_RDWR);
    log_file = mmap(0, (1 + LOGGED * 2) * 8, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    pages = mmap(0, 4 * PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int page = 0; page < 4 * PAGES; page++) pages[page][2] = 1;
    pthread_t thread; unsigned seed = 1; char line[8];
    printf("ready %p\n", (void *)pages); fflush(stdout);
    if (!strcmp(args[1], "one")) wake(0);
    else if (!strcmp(args[1], "several")) for (long writer = 0; writer < 3; writer++) pthread_create(&thread, 0, wake, (void *)writer);
    else if (!strcmp(args[1], "created")) pthread_create(&thread, 0, create, (void *)0);
    else if (!strcmp(args[1], "signal")) {
        signal(SIGALRM, on_alarm);
        kill(getpid(), SIGALRM);
    } else if (!strcmp(args[1], "vfork")) {
        for (;;) {
            nap(&seed);
            run(0, &seed);
            int child = vfork();
            if (child == 0) { nap(&seed); run(0, &seed); _exit(0); }
            waitpid(child, 0, 0);
        }
    }
    for (;;) pause();
}
"#;

struct Waking {
    process: Background,
    pages: Addr,
    log: tempfile::NamedTempFile,
}

/// What a series of attempts gave.
#[derive(Debug, Default)]
struct Outcome {
    copies: usize,
    quiet: usize,
}

impl Waking {
    fn start(program: &std::path::Path, who: &str) -> Self {
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

    /// The times at which it ran that end after `since`, by their begin.
    fn runs_since(&self, since: u64) -> Vec<(u64, u64)> {
        let count = self.logged(0);
        let entries = (count.saturating_sub(200)..count).map(|number| 1 + number % LOGGED * 2);
        entries.map(|at| (self.logged(at), self.logged(at + 1))).filter(|&(_, end)| end > since).collect()
    }

    /// Copies it until `copies` copies were begun. None of those that count may be of a time at which it ran.
    fn try_copies(&self, copies: usize) -> Outcome {
        let mut target = Target::attach(self.process.pid()).unwrap();
        let mut buffer = CopyBuffer::new();
        let mut outcome = Outcome::default();
        while outcome.copies < copies {
            let mut begun = 0;
            let frozen = target.freeze_asleep(&mut buffer, |_| {
                // It is asked when the threads have been looked at, before the first byte is copied.
                outcome.copies += 1;
                begun = since_1970(SystemTime::now());
                true
            });
            let Some(frozen) = frozen.unwrap() else { continue };
            outcome.quiet += 1;
            assert_eq!((frozen.copy.pause, frozen.copy.stops, frozen.copy.lost_pages), (None, 0, 0));
            let ended = since_1970(frozen.at.unwrap());
            let ran: Vec<_> = self.runs_since(begun).into_iter().filter(|&(from, _)| from < ended).collect();
            assert!(ran.is_empty(), "copied from {begun} to {ended}, and it ran: {ran:?}");
            self.assert_one_moment(&frozen);
            buffer = frozen.memory.into_buffers();
        }
        outcome
    }

    /// All pages of a writer have the number of the same run.
    fn assert_one_moment(&self, frozen: &FrozenProcess) {
        for writer in 0..4 {
            let number = |page: usize| {
                let at = self.pages.plus(((writer * WRITTEN + page) * PAGE_SIZE) as u64);
                frozen.memory.read_u64(at).unwrap()
            };
            let mut numbers: BTreeMap<u64, usize> = BTreeMap::new();
            (0..WRITTEN).for_each(|page| *numbers.entry(number(page)).or_default() += 1);
            assert_eq!(numbers.len(), 1, "pages by run of writer {writer}: {numbers:?}");
        }
    }
}

fn since_1970(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

#[test]
fn no_copy_is_quiet_while_target_runs() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = compiled(folder.path(), WAKING, &["-pthread"]) else {
        crate::skip!("no C compiler on this machine");
    };
    let copies = if crate::support::is_long() { 25_000 } else { 200 };
    for who in ["one", "several", "created", "signal", "vfork"] {
        let waking = Waking::start(&program, who);
        wait_until(PATIENCE, "its first run", || waking.logged(0) > 0);
        let begun = Instant::now();
        let outcome = waking.try_copies(copies);
        println!("{who}: {outcome:?} in {:?}", begun.elapsed());
        assert!(outcome.quiet > 0 && outcome.quiet < outcome.copies, "{who}: {outcome:?}");
        assert_untouched(waking.process.pid());
    }
}

/// Waits again and again in a call that ends with EINTR if it is interrupted, and counts that.
const INTERRUPTED: &str = r#"
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
int main(void) {
    int poll = epoll_create1(0); long interrupted = 0; char line[8];
    struct epoll_event event = {EPOLLIN};
    epoll_ctl(poll, EPOLL_CTL_ADD, 0, &event);
    printf("ready\n"); fflush(stdout);
    for (;;) {
        int ready = epoll_wait(poll, &event, 1, 40);
        if (ready < 0 && errno == EINTR) interrupted++;
        if (ready > 0) { if (!fgets(line, sizeof line, stdin)) return 0; printf("EINTR %ld\n", interrupted); fflush(stdout); }
    }
}
"#;

#[test]
fn sleeper_is_not_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = compiled(folder.path(), INTERRUPTED, &[]) else {
        crate::skip!("no C compiler on this machine");
    };
    let mut process = Tool::new(&program).start();
    process.wait_line("ready");
    let mut target = Target::attach(process.pid()).unwrap();
    let quiet = (0..50).filter(|_| target.freeze_asleep(&mut CopyBuffer::new(), |_| true).unwrap().is_some());
    // Nearly all, where we are not kept off the processors ourselves.
    assert!(quiet.count() >= 25, "a program that sleeps nearly always is copied so");
    process.write("\n");
    assert_eq!(process.wait_line("EINTR ").trim(), "0");
    // A stop has this effect.
    for _ in 0..5 {
        super::freeze(process.pid());
    }
    process.write("\n");
    wait_until(PATIENCE, "interrupted calls", || {
        process.out().lines().any(|line| line.strip_prefix("EINTR ").is_some_and(|count| count != "0"))
    });
}

#[test]
fn copy_of_a_sleeper_equals_one_under_a_stop() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let (process, _) = started(python, "print('ready', flush=True)\nimport sys\nsys.stdin.read()", &[]);
    wait_until(PATIENCE, "sleep", || super::states(process.pid()) == ['S']);
    let mut target = Target::attach(process.pid()).unwrap();
    let quiet = target.freeze_asleep(&mut CopyBuffer::new(), |_| true).unwrap().expect("it sleeps");
    let stopped = super::freeze(process.pid());
    assert_eq!(quiet.info.mappings, stopped.info.mappings);
    let (pages, differences) = super::differences(&quiet.info, &quiet.memory, &stopped.memory);
    assert!(pages > 100 && differences.is_empty(), "{differences:#?}");
    assert_eq!((quiet.copy.threads, quiet.copy.was_consistent), (1, true));
    assert!(target.freeze_asleep(&mut CopyBuffer::new(), |_| false).unwrap().is_none());
}

#[test]
fn busy_target_is_given_up_in_time() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let (process, _) = started(python, "print('ready', flush=True)\nwhile True: pass", &[]);
    let mut target = Target::attach(process.pid()).unwrap();
    let mut copies = 0;
    let begun = Instant::now();
    for _ in 0..10 {
        let frozen = target.freeze_asleep(&mut CopyBuffer::new(), |_| {
            copies += 1;
            true
        });
        assert!(frozen.unwrap().is_none());
    }
    // Ten times 50 ms, and the estimate of two copies of a bare interpreter; the rest is for machines that are busy themselves.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(copies, 0, "nothing is copied from a process that runs");
    assert_untouched(process.pid());
}

#[test]
fn wakers_by_the_hundred_are_left_alone() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let (mut process, _) = started(python, COUNTING, &["50"]);
    let mut target = Target::attach(process.pid()).unwrap();
    for _ in 0..5 {
        // Each of them sleeps for half a millisecond: a copy takes longer.
        assert!(target.freeze_asleep(&mut CopyBuffer::new(), |_| true).unwrap().is_none());
    }
    assert_counts_on(&mut process);
    assert_untouched(process.pid());
}

#[test]
fn ended_target_is_an_error() {
    let process = Tool::new("sleep").args(["600"]).start();
    let mut target = Target::attach(process.pid()).unwrap();
    process.signal(rustix::process::Signal::KILL);
    wait_until(PATIENCE, "its end", || process.has_ended());
    assert!(target.freeze_asleep(&mut CopyBuffer::new(), |_| true).unwrap_err().exited);
}

/// The one census that memobj makes of a process.
#[track_caller]
pub(super) fn census(pid: u32, args: &[&str]) -> serde_json::Value {
    let run = Tool::ours("memobj").args(["-p", &pid.to_string()]).args(args).run().expect_code(0);
    let [census] = &run.records()[..] else { panic!("{run}") };
    census.clone()
}

#[test]
fn record_tells_how_memory_was_copied() {
    const BUSY: &str = "print('ready', flush=True)\nwhile True: pass";
    const BOT: &str = "
import asyncio
async def main():
    print('ready', flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
";
    let Some(python) = python().filter(|python| python.version >= (3, 8)) else {
        crate::skip!("no Python that memobj knows")
    };
    let how = |pid: u32, args: &[&str]| {
        let census = census(pid, args);
        let pause = &census["pause_seconds"];
        let paused = pause.as_f64().map(|pause| pause > 0.0);
        (
            census["method"].as_str().unwrap().to_owned(),
            census["live_reason"].as_str().map(str::to_owned),
            paused,
        )
    };
    let (bot, _) = started(python, BOT, &[]);
    assert_eq!(how(bot.pid(), &[]), ("quiet".into(), None, Some(false)));
    assert_eq!(how(bot.pid(), &["--max-pause", "0", "--memory"]), ("quiet".into(), None, Some(false)));
    assert_eq!(how(bot.pid(), &["--no-stop"]), ("live".into(), Some("asked".into()), None));
    assert_untouched(bot.pid());
    let (busy, _) = started(python, BUSY, &[]);
    assert_eq!(how(busy.pid(), &["--max-pause", "10s"]), ("gentle".into(), None, Some(true)));
    for limit in ["0", "1ms"] {
        let live = ("live".into(), Some("max_pause".into()), None);
        assert_eq!(how(busy.pid(), &["--max-pause", limit]), live, "{limit}");
    }
    assert_untouched(busy.pid());
}
