//! Targets that exit, exec or are stopped while memobj reads them.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::process::{self, is_let_go, tasks};
use crate::support::python::{Target, known};
use crate::support::{PATIENCE, Run, Tool, wait_until};

fn memobj(pid: u32, args: &[&str]) -> Tool {
    Tool::ours("memobj").arg("-p").arg(pid.to_string()).args(args)
}

fn censuses(records: &[Value]) -> usize {
    records.iter().filter(|record| record["type"] == "census").count()
}

/// Asserts that a run ended in good order because its target did.
#[track_caller]
fn assert_ended_with_target(run: &Run) {
    let records = run.records();
    assert_eq!(run.code(), Some(0), "{run}");
    let iterations: Vec<u64> = records.iter().filter_map(|record| record["iteration"].as_u64()).collect();
    assert!(iterations.is_sorted(), "{run}");
}

#[test]
fn run_ends_with_its_target() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    let mut target = Target::start(python, "signals.py", &[]);
    let observer = memobj(target.pid(), &["-i", "50ms"]).start();
    wait_until(PATIENCE, "two censuses", || censuses(&observer.records()) >= 2 || observer.has_ended());
    target.process.close_stdin();
    let end = Instant::now();
    let run = observer.finish(PATIENCE);
    assert!(end.elapsed() < Duration::from_secs(10), "it noticed {:?} later", end.elapsed());
    assert_ended_with_target(&run);
    assert!(censuses(&run.records()) >= 2, "{run}");
}

#[test]
fn exit_is_noticed_during_long_interval() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    let mut target = Target::start(python, "signals.py", &[]);
    let mut observer = memobj(target.pid(), &["-i", "10m"]).start();
    observer.wait_line("{\"type\":\"census\"");
    target.process.close_stdin();
    assert_ended_with_target(&observer.finish(PATIENCE));
}

#[test]
fn target_killed_any_time_ends_run() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    for round in 0..30_u64 {
        // One that sleeps is hardly ever stopped.
        let is_busy = round % 3 == 0;
        let target = Target::start(python, "forked.py", &["20", "0", if is_busy { "0" } else { "10" }]);
        let observer = memobj(target.pid(), &["-i", "10ms"]).start();
        // During the first census too, and in the middle of stops.
        if is_busy {
            wait_until(PATIENCE, "a stop", || {
                observer.has_ended() || tasks(target.pid()).iter().any(|task| task.tracer != 0)
            });
        } else {
            std::thread::sleep(Duration::from_millis(round * 7 % 200));
        }
        target.process.signal(Signal::KILL);
        let run = observer.finish(PATIENCE);
        if censuses(&run.records()) > 0 {
            assert_ended_with_target(&run);
        } else {
            // It was gone before the first census: an error.
            assert!(matches!(run.code(), Some(0 | 2)), "{run}");
        }
        for line in run.err().lines() {
            assert!(line.starts_with("memobj: ") && !line.contains("panicked"), "{run}");
        }
    }
}

#[test]
fn exec_of_target_is_reported() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    let mut target = Target::start(python, "execer.py", &[]);
    let mut observer = memobj(target.pid(), &["-i", "50ms"]).start();
    observer.wait_line("{\"type\":\"census\"");
    target.process.write("cat\n");
    wait_until(PATIENCE, "cat", || {
        std::fs::read_to_string(format!("/proc/{}/comm", target.pid())).is_ok_and(|comm| comm == "cat\n")
    });
    let run = observer.finish(PATIENCE);
    assert!(matches!(run.code(), Some(0 | 2)), "{run}");
    // No census after the exec.
    let last = run.records().pop().unwrap();
    assert!(run.err().contains("memobj: ") || last["type"] == "error", "not a word: {run}");
    assert!(process::is_alive(target.pid()) && is_let_go(target.pid()), "{:?}", tasks(target.pid()));
}

#[test]
fn stopped_target_stays_stopped() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    let mut target = Target::start(python, "signals.py", &[]);
    let pid = target.pid();
    target.process.signal(Signal::STOP);
    wait_until(PATIENCE, "the stop", || tasks(pid).iter().all(|task| task.state == 'T'));
    let run = memobj(pid, &["-i", "10ms", "--count", "10"]).run().expect_code(0);
    assert_eq!(censuses(&run.records()), 10, "{run}");
    wait_until(PATIENCE, "no tracer", || tasks(pid).iter().all(|task| task.tracer == 0));
    assert!(tasks(pid).iter().all(|task| task.state == 'T'), "it runs: {:?}", tasks(pid));
    // Signals that arrive meanwhile are delivered once when it resumes.
    target.process.signal(Signal::USR1);
    memobj(pid, &["--count", "1"]).run().expect_code(0);
    assert!(tasks(pid).iter().all(|task| task.state == 'T'), "it runs: {:?}", tasks(pid));
    target.process.signal(Signal::CONT);
    target.process.wait_line("got USR1");
    target.process.close_stdin();
    let run = target.process.finish(PATIENCE).expect_code(0);
    assert_eq!(run.out().matches("got USR1").count(), 1, "{run}");
}

#[test]
fn signals_during_censuses_arrive_once() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    let mut target = Target::start(python, "signals.py", &[]);
    let observer = memobj(target.pid(), &["-i", "10ms"]).start();
    wait_until(PATIENCE, "a census", || censuses(&observer.records()) > 0 || observer.has_ended());
    let names =
        [("USR1", Signal::USR1), ("USR2", Signal::USR2), ("HUP", Signal::HUP), ("QUIT", Signal::QUIT)];
    for round in 0..200 {
        let (name, signal) = names[round % names.len()];
        let line = format!("got {name}\n");
        let before = target.process.out().matches(&line).count();
        target.process.signal(signal);
        wait_until(PATIENCE, &line, || target.process.out().matches(&line).count() == before + 1);
    }
    assert!(!observer.has_ended(), "{}", observer.finish(PATIENCE));
    observer.signal(Signal::INT);
    observer.finish(PATIENCE);
    target.process.close_stdin();
    let run = target.process.finish(PATIENCE).expect_code(0);
    assert_eq!(run.out().matches("got ").count(), 200, "{run}");
}

/// A Python whose census takes seconds in a debug build.
const MANY: &str = "import os, sys\nclass Node:\n    def __init__(self, n): self.n = [n]\n\
                    nodes = [Node(n) for n in range(200_000)]\nprint('ready', os.getpid(), flush=True)\nsys.stdin.read()";

/// Processor time of a process, in ticks of 10 ms.
fn spent_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
    fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

#[test]
fn interrupt_ends_census_in_every_phase() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    let mut target = Tool::new(&python.path).args(["-c", MANY]).start();
    target.wait_line("ready");
    let snapshot = tempfile::NamedTempFile::new().unwrap();
    let save = ["--save-snapshot", snapshot.path().to_str().unwrap()];
    memobj(target.pid(), &save).run().expect_code(0);
    let pid = target.pid().to_string();
    let file = ["--snapshot", snapshot.path().to_str().unwrap(), "--holders", "--retained"];
    let live = ["-p", &pid, "--holders", "--retained"];
    let leaks = ["-p", &pid, "--leaks", "--for", "1h"];
    for (args, code) in [(&live[..], 2), (&file, 2), (&leaks, 2)] {
        for ticks in [5, 20, 50, 100] {
            let observer = Tool::ours("memobj").args(args).start();
            wait_until(PATIENCE, "its work", || spent_ticks(observer.pid()) >= ticks || observer.has_ended());
            assert!(!observer.has_ended(), "too fast: {}", observer.finish(PATIENCE));
            observer.signal(Signal::INT);
            let asked = Instant::now();
            let run = observer.finish(PATIENCE).expect_code(code);
            // 200 ms are meant; other tests keep the processors busy.
            assert!(asked.elapsed() < Duration::from_millis(1500), "{:?} at {ticks}: {run}", asked.elapsed());
            assert!(run.err().contains("interrupted") && run.err().lines().count() == 1, "{run}");
            wait_until(PATIENCE, "no tracer", || is_let_go(target.pid()));
        }
    }
}

#[test]
fn signal_ends_save_to_unread_pipe() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    let target = Target::start(python, "signals.py", &[]);
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    Tool::new("mkfifo").arg(&pipe).run().expect_code(0);
    for is_read in [false, true] {
        // A reader that never reads: the pipe fills up.
        let reader =
            is_read.then(|| Tool::new("sh").args(["-c", "exec sleep 1000 <\"$0\""]).arg(&pipe).start());
        let observer = memobj(target.pid(), &["--save-snapshot"]).arg(&pipe).start();
        wait_until(PATIENCE, "a blocked thread", || {
            let blocked = |call: &str| {
                call.contains("fifo_open") || call.contains("pipe_write") || call.contains("wait_for_partner")
            };
            tasks(observer.pid()).iter().any(|task| {
                std::fs::read_to_string(format!("/proc/{}/task/{}/wchan", observer.pid(), task.tid))
                    .is_ok_and(|call| blocked(&call))
            })
        });
        observer.signal(Signal::TERM);
        let asked = Instant::now();
        let run = observer.finish(PATIENCE).expect_code(2);
        assert!(asked.elapsed() < Duration::from_millis(1500), "{:?}: {run}", asked.elapsed());
        assert!(run.err().contains("interrupted"), "{run}");
        drop(reader);
    }
}

/// Whether a process has a handler for Ctrl-C: proc_pid_status(5), `SigCgt`.
fn catches_interrupt(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & (1 << 1) != 0)
}

#[test]
fn signal_during_the_start_is_not_lost() {
    let sleeper = Tool::new("sleep").arg("600").start();
    let pid = sleeper.pid().to_string();
    for tool in ["memmon", "memobj"] {
        for _ in 0..40 {
            let observer = Tool::ours(tool).args(["-p", &pid, "-i", "50ms"]).start();
            // Without a pause: the moment in which one was lost lasts for microseconds.
            let begun = Instant::now();
            while !catches_interrupt(observer.pid()) && !observer.has_ended() {
                assert!(begun.elapsed() < PATIENCE, "{tool} never caught Ctrl-C");
            }
            observer.signal(Signal::INT);
            // memobj finds no Python in that program.
            observer.finish(PATIENCE).expect_code(if tool == "memmon" { 0 } else { 2 });
        }
    }
}
