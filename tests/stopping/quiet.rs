//! Copies of processes that are not stopped: they count only if nothing ran meanwhile. The targets write down when they ran.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use memobj_process::memory::CopyBuffer;
use memobj_process::target::{FrozenProcess, Target};

use super::logged_runs::{LoggedTarget, compile};
use super::{COUNTING, assert_counts_on, assert_untouched, compiled, started};
use crate::support::python::python;
use crate::support::{PATIENCE, Tool, wait_until};

/// The number of writers.
const WRITERS: usize = 4;

/// The rest of a target that sleeps for random times and then runs for random times. Each run writes its number to its pages. The argument
/// chooses who runs.
const WAKING: &str = r#"
static void run(int writer, unsigned *seed) {
    volatile uint64_t *entry = begin_run();
    write_pages(writer);
    for (uint64_t until = entry[0] + chance(seed, 4) * chance(seed, 60) * 1000; now() < until;) pages[writer * PAGES][1]++;
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
    pthread_t thread; unsigned seed = 1;
    begin(args, 4);
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

fn freeze_asleep(
    target: &mut Target,
    buffer: &mut CopyBuffer,
    begin: &mut dyn FnMut(),
) -> Option<FrozenProcess> {
    let frozen = target.freeze_asleep(buffer, |_| {
        begin();
        true
    });
    frozen.unwrap()
}

/// All pages of a writer have the number of the same run.
fn assert_one_moment(target: &LoggedTarget, frozen: &FrozenProcess) {
    assert_eq!((frozen.copy.pause, frozen.copy.stops, frozen.copy.lost_pages), (None, 0, 0));
    for writer in 0..WRITERS {
        let mut numbers: BTreeMap<u64, usize> = BTreeMap::new();
        target
            .numbers(frozen, writer)
            .into_iter()
            .for_each(|number| *numbers.entry(number).or_default() += 1);
        assert_eq!(numbers.len(), 1, "pages by run of writer {writer}: {numbers:?}");
    }
}

#[test]
fn no_copy_is_quiet_while_target_runs() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = compile(folder.path(), WAKING) else {
        crate::skip!("no C compiler on this machine");
    };
    let copies = if crate::support::is_long() { 25_000 } else { 200 };
    for who in ["one", "several", "created", "signal", "vfork"] {
        let waking = LoggedTarget::start(&program, who);
        wait_until(PATIENCE, "its first run", || waking.count() > 0);
        let begun = Instant::now();
        // It ran in a part of the time of the copy.
        let spoils = |run: &Range<u64>, copy: &Range<u64>| run.start < copy.end && run.end > copy.start;
        let attempts = waking
            .try_copies(copies, &mut freeze_asleep, spoils, |frozen| assert_one_moment(&waking, frozen));
        println!("{who}: {attempts:?} in {:?}", begun.elapsed());
        assert!(attempts.valid > 0 && attempts.valid < attempts.begun, "{who}: {attempts:?}");
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
