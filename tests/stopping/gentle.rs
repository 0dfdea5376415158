//! Copies of processes of which only the threads that run were stopped: they count only if nothing else ran meanwhile, and no system call
//! is cut short. The targets write down when they ran.

use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use memobj_process::addr::Addr;
use memobj_process::memory::{CopyBuffer, Memory, PAGE_SIZE};
use memobj_process::target::{FrozenProcess, Pauses, STOP_LIMIT, StopLimits, Target};

use super::quiet::census;
use super::{COUNTING, assert_counts_on, assert_untouched, compiled, started};
use crate::support::python::python;
use crate::support::{Background, PATIENCE, Tool, wait_until};

/// Runs of the target that its log keeps: far more than there can be during a copy.
const LOGGED: u64 = 1 << 16;
/// Pages that each writer writes to.
const WRITTEN: usize = 256;
const WRITERS: usize = 6;

/// Threads that sleep for random times and run for random times, or always run. One that runs writes a number that grows to each of its
/// pages, in their order, again and again. It writes the times of each run to a file: first the number of runs, then for each a begin and an
/// end, in ns since 1970.
const RUNNING: &str = r#"
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
#include <time.h>
#include <unistd.h>
#define PAGES 256
#define LOGGED (1 << 16)
static volatile uint64_t *log_file;
static volatile uint64_t (*pages)[512];
static uint64_t now(void) { struct timespec t; clock_gettime(CLOCK_REALTIME, &t); return t.tv_sec * 1000000000ull + t.tv_nsec; }
static unsigned chance(unsigned *seed, unsigned below) { return rand_r(seed) % below; }
static void run(long writer, uint64_t length) {
    uint64_t number = __atomic_fetch_add(&log_file[0], 1, __ATOMIC_SEQ_CST), from = now();
    volatile uint64_t *entry = log_file + 1 + number % LOGGED * 2;
    entry[0] = from;
    entry[1] = UINT64_MAX;
    do {
        uint64_t count = pages[writer * PAGES][0] + 1;
        for (int page = 0; page < PAGES; page++) pages[writer * PAGES + page][0] = count;
    } while (now() < from + length);
    entry[1] = now();
}
static void *spin(void *writer) { for (;;) run((long)writer, UINT64_MAX / 2); return 0; }
static void *burst(void *writer) { for (;;) run((long)writer, 20000); return 0; }
static int sleeps_in_epoll;
static void nap(unsigned *seed) {
    static __thread int poll;
    unsigned kind = chance(seed, 16), us = kind == 0 ? 30000 : kind < 3 ? chance(seed, 60) : chance(seed, 8000);
    if (!sleeps_in_epoll) { usleep(us); return; }
    if (!poll) poll = epoll_create1(0);
    struct epoll_event event;
    epoll_wait(poll, &event, 1, us / 1000 + 1);
}
static void *wake(void *writer) {
    unsigned seed = 7 + (long)writer;
    for (;;) { nap(&seed); run((long)writer, chance(&seed, 4) * chance(&seed, 60) * 1000); }
    return 0;
}
static void *once(void *writer) { run((long)writer, 1000); return 0; }
static void *create(void *writer) {
    unsigned seed = 5; pthread_t thread;
    for (;;) {
        run((long)writer, chance(&seed, 300) * 1000);
        if (!pthread_create(&thread, 0, once, (void *)((long)writer + 1))) pthread_join(thread, 0);
    }
    return 0;
}
static void *send(void *thread) { unsigned seed = 3; for (;;) { usleep(chance(&seed, 8000)); pthread_kill(*(pthread_t *)thread, SIGUSR1); } return 0; }
static void on_signal(int number) { run(4, 1000); }
static pthread_t threads[8];
int main(int count, char **args) {
    int file = open(args[2], O_RDWR);
    log_file = mmap(0, (1 + LOGGED * 2) * 8, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    pages = mmap(0, 6 * PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int page = 0; page < 6 * PAGES; page++) pages[page][2] = 1;
    printf("ready %p\n", (void *)pages); fflush(stdout);
    signal(SIGUSR1, on_signal);
    sleeps_in_epoll = !strcmp(args[1], "epoll");
    void *(*busy)(void *) = !strcmp(args[1], "bursts") ? burst : !strcmp(args[1], "created") ? create : spin;
    pthread_create(threads, 0, busy, (void *)0);
    if (strcmp(args[1], "created")) for (long writer = 1; writer < 4; writer++) pthread_create(threads + writer, 0, wake, (void *)writer);
    if (!strcmp(args[1], "signals")) pthread_create(threads + 4, 0, send, threads);
    for (;;) pause();
}
"#;

struct Running {
    process: Background,
    pages: Addr,
    log: tempfile::NamedTempFile,
}

/// What a series of attempts gave.
#[derive(Debug, Default)]
struct Outcome {
    copies: usize,
    gentle: usize,
    cut_short: u64,
}

impl Running {
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

    /// The last times at which it ran, begin and end.
    fn runs(&self) -> Vec<(u64, u64)> {
        let count = self.logged(0);
        let entries = (count.saturating_sub(2000)..count).map(|number| 1 + number % LOGGED * 2);
        entries.map(|at| (self.logged(at), self.logged(at + 1))).collect()
    }

    /// Copies it until `copies` copies were begun. None of those that count may be of a time at which a run began or ended.
    fn try_copies(&self, copies: usize) -> Outcome {
        let mut target = Target::attach(self.process.pid()).unwrap();
        let mut buffer = CopyBuffer::new();
        let mut outcome = Outcome::default();
        while outcome.copies < copies {
            let mut begun = 0;
            let (frozen, pauses) = target
                .freeze_gently(&mut buffer, STOP_LIMIT, |_| {
                    // It is asked when the threads have been looked at, before the first byte is copied.
                    outcome.copies += 1;
                    begun = since_1970(SystemTime::now());
                    true
                })
                .unwrap();
            outcome.cut_short += pauses.cut_short;
            let Some(frozen) = frozen else { continue };
            outcome.gentle += 1;
            let ended = since_1970(frozen.at.unwrap());
            let during = |at: &u64| (begun..ended).contains(at);
            let ran: Vec<_> =
                self.runs().into_iter().filter(|(from, end)| during(from) || during(end)).collect();
            assert!(ran.is_empty(), "copied from {begun} to {ended}, and it ran: {ran:?}");
            assert_eq!(frozen.copy.lost_pages, 0);
            self.assert_one_moment(&frozen);
            buffer = frozen.memory.into_buffers();
        }
        outcome
    }

    /// The first pages of a writer have one number, and the others the number before: it was stopped between two of its pages, or at the end.
    fn assert_one_moment(&self, frozen: &FrozenProcess) {
        for writer in 0..WRITERS {
            let number = |page: usize| {
                let at = self.pages.plus(((writer * WRITTEN + page) * PAGE_SIZE) as u64);
                frozen.memory.read_u64(at).unwrap()
            };
            let numbers: Vec<u64> = (0..WRITTEN).map(number).collect();
            let steps = numbers.iter().zip(&numbers[1..]).filter(|(one, next)| one != next);
            let steps: Vec<_> = steps.collect();
            let is_whole = match &steps[..] {
                [] => true,
                [(one, next)] => **one == **next + 1,
                _ => false,
            };
            assert!(is_whole, "writer {writer}: {steps:?}");
        }
    }
}

fn since_1970(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

#[test]
fn no_copy_is_gentle_while_a_thread_runs() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = compiled(folder.path(), RUNNING, &["-pthread"]) else {
        crate::skip!("no C compiler on this machine");
    };
    let copies = if crate::support::is_long() { 10_000 } else { 200 };
    for who in ["created", "epoll", "signals", "bursts", "spinner"] {
        let running = Running::start(&program, who);
        wait_until(PATIENCE, "its first runs", || running.logged(0) > 3);
        let begun = Instant::now();
        let outcome = running.try_copies(copies);
        println!("{who}: {outcome:?} in {:?}", begun.elapsed());
        assert!(outcome.gentle > 0, "{who}: {outcome:?}");
        assert_untouched(running.process.pid());
    }
}

/// One thread spins, and others wait in calls that a stop ends early: epoll_wait(2) with a timeout, and a write to a pipe that is full. Each
/// line of input makes it print how many calls ended early.
const WAITING: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
static volatile long interrupted, cut;
static int ends[2];
static void *spin(void *none) { for (volatile long i = 0;; i++); return none; }
static void *poll(void *none) {
    int poll = epoll_create1(0); struct epoll_event event;
    for (;;) if (epoll_wait(poll, &event, 1, 60) < 0 && errno == EINTR) interrupted++;
    return none;
}
static void *fill(void *none) {
    static char bytes[1 << 20];
    for (;;) { ssize_t written = write(ends[1], bytes, sizeof bytes); if (written != sizeof bytes) cut++; }
    return none;
}
static void *drain(void *none) {
    static char bytes[1 << 14];
    for (;;) { usleep(40000); if (read(ends[0], bytes, sizeof bytes) < 0) return none; }
}
int main(int count, char **args) {
    pthread_t thread; char line[8];
    pipe(ends);
    if (count > 1) pthread_create(&thread, 0, spin, 0);
    pthread_create(&thread, 0, poll, 0);
    pthread_create(&thread, 0, fill, 0);
    pthread_create(&thread, 0, drain, 0);
    printf("ready\n"); fflush(stdout);
    while (fgets(line, sizeof line, stdin)) { printf("calls %ld %ld\n", interrupted, cut); fflush(stdout); }
    return 0;
}
"#;

#[test]
fn gentle_copies_rarely_cut_calls_short() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = compiled(folder.path(), WAITING, &["-pthread"]) else {
        crate::skip!("no C compiler on this machine");
    };
    let mut process = Tool::new(&program).args(["spin"]).start();
    process.wait_line("ready");
    let mut target = Target::attach(process.pid()).unwrap();
    let (mut gentle, mut counted) = (0, 0);
    for _ in 0..50 {
        let (frozen, pauses) = target.freeze_gently(&mut CopyBuffer::new(), STOP_LIMIT, |_| true).unwrap();
        gentle += u32::from(frozen.is_some());
        counted += pauses.cut_short;
    }
    assert!(gentle >= 25, "a program of which one thread runs is copied so: {gentle}");
    // A stop of all threads has both effects, and they are counted.
    let stopped: u64 = (0..20).map(|_| super::freeze(process.pid()).copy.cut_short).sum();
    // A thread that has woken and waits for a processor is still in its call: on a busy machine a few are cut.
    assert!(stopped > 0 && counted * 4 < stopped, "gentle: {counted} of 50 copies, stopped: {stopped} of 20");
    wait_until(PATIENCE, "the same number of calls", || {
        process.write("\n");
        let out = process.out();
        let sum = |calls: &str| calls.split(' ').filter_map(|count| count.parse::<u64>().ok()).sum::<u64>();
        out.lines()
            .filter_map(|line| line.strip_prefix("calls "))
            .any(|calls| sum(calls) == counted + stopped)
    });
}

#[test]
fn gentle_copy_pauses_no_sleeper() {
    let process = Tool::new("sleep").args(["600"]).start();
    wait_until(PATIENCE, "sleep", || super::states(process.pid()) == ['S']);
    let mut target = Target::attach(process.pid()).unwrap();
    let (frozen, pauses) = target.freeze_gently(&mut CopyBuffer::new(), STOP_LIMIT, |_| true).unwrap();
    assert_eq!((frozen.expect("it sleeps").copy.pause, pauses), (None, Pauses::default()));
    process.signal(rustix::process::Signal::KILL);
    wait_until(PATIENCE, "its end", || process.has_ended());
    assert!(target.freeze_gently(&mut CopyBuffer::new(), STOP_LIMIT, |_| true).unwrap_err().exited);
}

#[test]
fn gentle_copy_keeps_its_limits() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let (process, _) = started(python, "print('ready', flush=True)\nwhile True: pass", &[]);
    let mut target = Target::attach(process.pid()).unwrap();
    let mut freeze = |pause: Duration, consistent: bool| {
        let limits = StopLimits { stop: STOP_LIMIT, pause: Some(pause) };
        target.freeze_gently(&mut CopyBuffer::new(), limits, |_| consistent).unwrap()
    };
    let (frozen, pauses) = freeze(PATIENCE, true);
    let copy = frozen.expect("only one thread, which runs").copy;
    assert_eq!(
        (copy.pause, copy.stops, copy.cut_short),
        (Some(pauses.total), pauses.count, pauses.cut_short)
    );
    assert!(copy.was_consistent && copy.threads == 1 && pauses.count >= 1);
    // No copy fits.
    assert_eq!(
        (freeze(Duration::ZERO, true).0.is_none(), freeze(Duration::ZERO, true).1),
        (true, Pauses::default())
    );
    // It is never in the state that is wanted.
    let (frozen, pauses) = freeze(PATIENCE, false);
    assert!(frozen.is_none() && (1..=12).contains(&pauses.count), "{pauses:?}");
    assert_untouched(process.pid());
}

#[test]
fn wakers_that_a_stop_does_not_disturb_are_stopped_too() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    // Each of them sleeps for half a millisecond, so a copy takes longer; and the stop does not end their sleep.
    let (mut process, _) = started(python, COUNTING, &["50"]);
    let mut target = Target::attach(process.pid()).unwrap();
    let freeze = |_| target.freeze_gently(&mut CopyBuffer::new(), STOP_LIMIT, |_| true).unwrap().0.is_some();
    assert!((0..10).any(freeze));
    assert_counts_on(&mut process);
    assert_untouched(process.pid());
}

#[test]
fn record_says_that_only_threads_that_ran_were_paused() {
    const PROGRAM: &str = "
import os, threading
read, write = os.pipe()
threading.Thread(target=os.read, args=(read, 1), daemon=True).start()
print('ready', flush=True)
while True: pass
";
    let Some(python) = python().filter(|python| python.version >= (3, 8)) else {
        crate::skip!("no Python that memobj knows")
    };
    let (busy, _) = started(python, PROGRAM, &[]);
    let record = census(busy.pid(), &["--max-pause", "10s"]);
    let gentle = |record: &serde_json::Value| record["method"] == "gentle";
    assert!(gentle(&record) && record["interrupted_calls"] == 0, "{record}");
    assert!(record["pause_seconds"].as_f64().unwrap() > 0.0, "{record}");
    let record = census(busy.pid(), &["--no-interrupt", "--max-pause", "10s", "--memory"]);
    assert!(gentle(&record) && record["memory"].is_object(), "{record}");
    let record = census(busy.pid(), &["--no-interrupt", "--max-pause", "0"]);
    assert_eq!((&record["method"], &record["live_reason"]), (&"live".into(), &"max_pause".into()));
    assert_untouched(busy.pid());
}

#[test]
fn record_says_that_waiting_threads_were_interrupted() {
    // Threads that wake every 5 ms in a call that a stop ends early, and memory for whose copy that does not suffice: one of them wakes.
    const PROGRAM: &str = "
import select, sys, threading
def wake():
    poll = select.epoll()
    while True: poll.poll(0.005)
data = [bytes(range(256)) * 4096 for _ in range(100)]
for _ in range(8): threading.Thread(target=wake, daemon=True).start()
print('ready', flush=True)
sys.stdin.read()
";
    let Some(python) = python().filter(|python| python.version >= (3, 8)) else {
        crate::skip!("no Python that memobj knows")
    };
    let (wakers, _) = started(python, PROGRAM, &[]);
    let record = census(wakers.pid(), &["--max-pause", "10s"]);
    assert_eq!((&record["method"], &record["live_reason"]), (&"stopped".into(), &().into()), "{record}");
    assert!(record["interrupted_calls"].as_u64().unwrap() > 0, "{record}");
    let record = census(wakers.pid(), &["--max-pause", "10s", "--no-interrupt"]);
    assert_eq!((&record["method"], &record["live_reason"]), (&"live".into(), &"no_interrupt".into()));
    assert_untouched(wakers.pid());
}
