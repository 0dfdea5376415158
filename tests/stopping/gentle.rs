//! Copies of processes of which only the threads that run were stopped: they count only if nothing else ran meanwhile, and no system call
//! is cut short. The targets write down when they ran.

use std::ops::Range;
use std::time::{Duration, Instant};

use memobj_process::memory::CopyBuffer;
use memobj_process::target::{FrozenProcess, Pauses, STOP_LIMIT, StopLimits, Target};

use super::logged_runs::{LoggedTarget, compile};
use super::quiet::census;
use super::{COUNTING, assert_counts_on, assert_untouched, compiled, started};
use crate::support::python::python;
use crate::support::{PATIENCE, Tool, wait_until};

/// The number of writers.
const WRITERS: usize = 6;

/// Threads that sleep for random times and run for random times, or always run. One that runs writes a number that grows to each of its
/// pages, in their order, again and again. It writes the times of each run to a file: first the number of runs, then for each a begin and an
/// end, in ns since 1970.
const RUNNING: &str = r#"
static void run(long writer, uint64_t length) {
    volatile uint64_t *entry = begin_run();
    do write_pages(writer); while (now() < entry[0] + length);
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
    begin(args, 6);
    signal(SIGUSR1, on_signal);
    sleeps_in_epoll = !strcmp(args[1], "epoll");
    void *(*busy)(void *) = !strcmp(args[1], "bursts") ? burst : !strcmp(args[1], "created") ? create : spin;
    pthread_create(threads, 0, busy, (void *)0);
    if (strcmp(args[1], "created")) for (long writer = 1; writer < 4; writer++) pthread_create(threads + writer, 0, wake, (void *)writer);
    if (!strcmp(args[1], "signals")) pthread_create(threads + 4, 0, send, threads);
    for (;;) pause();
}
"#;

/// The first pages of a writer have one number, and the others the number before: it was stopped between two of its pages, or at the end.
fn assert_one_moment(target: &LoggedTarget, frozen: &FrozenProcess) {
    assert_eq!(frozen.copy.lost_pages, 0);
    for writer in 0..WRITERS {
        let numbers = target.numbers(frozen, writer);
        let steps: Vec<_> = numbers.iter().zip(&numbers[1..]).filter(|(one, next)| one != next).collect();
        let is_whole = match &steps[..] {
            [] => true,
            [(one, next)] => **one == **next + 1,
            _ => false,
        };
        assert!(is_whole, "writer {writer}: {steps:?}");
    }
}

#[test]
fn no_copy_is_gentle_while_a_thread_runs() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = compile(folder.path(), RUNNING) else {
        crate::skip!("no C compiler on this machine");
    };
    let copies = if crate::support::is_long() { 10_000 } else { 200 };
    for who in ["created", "epoll", "signals", "bursts", "spinner"] {
        let running = LoggedTarget::start(&program, who);
        wait_until(PATIENCE, "its first runs", || running.count() > 3);
        let begun = Instant::now();
        let mut cut_short = 0;
        let mut freeze = |target: &mut Target, buffer: &mut CopyBuffer, begin: &mut dyn FnMut()| {
            let frozen = target.freeze_gently(buffer, STOP_LIMIT, |_| {
                begin();
                true
            });
            let (frozen, pauses) = frozen.unwrap();
            cut_short += pauses.cut_short;
            frozen
        };
        // It was stopped after the beginning of a run or before its end.
        let spoils =
            |run: &Range<u64>, copy: &Range<u64>| copy.contains(&run.start) || copy.contains(&run.end);
        let attempts =
            running.try_copies(copies, &mut freeze, spoils, |frozen| assert_one_moment(&running, frozen));
        println!("{who}: {attempts:?} in {:?}, {cut_short} calls cut short", begun.elapsed());
        assert!(attempts.valid > 0, "{who}: {attempts:?}");
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
    // A thread that waits for a processor since the last stop is still in the call that this one has ended.
    let pid = process.pid();
    let settle = || {
        let are_asleep = || super::states(pid).iter().filter(|&&state| state == 'R').count() <= 1;
        wait_until(PATIENCE, "sleep of all but one", are_asleep);
    };
    let (mut gentle, mut counted, mut in_vain) = (0, 0, 0);
    for _ in 0..50 {
        settle();
        let (frozen, pauses) = target.freeze_gently(&mut CopyBuffer::new(), STOP_LIMIT, |_| true).unwrap();
        gentle += u32::from(frozen.is_some());
        counted += pauses.cut_short;
        in_vain += u64::from(pauses.count) - u64::from(frozen.is_some_and(|frozen| frozen.copy.stops > 0));
    }
    assert!(gentle >= 25, "a program of which one thread runs is copied so: {gentle}");
    // A stop of all threads has both effects, and they are counted.
    let freeze = |_| {
        settle();
        super::freeze(pid).copy.cut_short
    };
    let stopped: u64 = (0..20).map(freeze).sum();
    // A thread that has woken and waits for a processor is still in its call: on a busy machine a few are cut.
    assert!(stopped > 0 && counted * 4 < stopped, "gentle: {counted} of 50 copies, stopped: {stopped} of 20");
    // A thread that did not stop in time was asked to: its call may end early after we looked, or be seen again by the next attempt. Two
    // threads are in such calls.
    let sum = counted + stopped;
    let expected = sum.saturating_sub(2 * in_vain)..=sum + 2 * in_vain;
    wait_until(PATIENCE, "the same number of calls", || {
        process.write("\n");
        let out = process.out();
        let sum = |calls: &str| calls.split(' ').filter_map(|count| count.parse::<u64>().ok()).sum::<u64>();
        out.lines().filter_map(|line| line.strip_prefix("calls ")).any(|calls| expected.contains(&sum(calls)))
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
        let limits = StopLimits { pause: Some(pause), ..STOP_LIMIT.into() };
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
    // Each thread wakes every 2 ms, from a call that a stop ends early. memobj copies small objects and leaves out large ones. This program has
    // many small ones, so that each copy takes longer than 2 ms.
    const PROGRAM: &str = "
import select, sys, threading
def wake():
    poll = select.epoll()
    while True: poll.poll(0.002)
data = [[number] for number in range(250_000)]
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
