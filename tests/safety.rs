//! The target is sacred: whatever memobj does, the target goes on to compute correctly and shows no trace of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::process::{self, is_let_go, rss_and_pss, tasks};
use crate::support::python::{Python, Target, python, pythons};
use crate::support::series::Chance;
use crate::support::{Background, PATIENCE, Tool, is_long, wait_for, wait_until};

/// How many censuses are taken in a row.
fn censuses() -> usize {
    if is_long() { 1000 } else { 100 }
}

/// Interpreters that memobj knows: all in long tests, otherwise one.
fn interpreters() -> Vec<&'static Python> {
    let mut known: Vec<&Python> = pythons().iter().filter(|python| python.version >= (3, 8)).collect();
    if !is_long() {
        let one = python().filter(|python| python.version >= (3, 8)).or(known.last().copied());
        known = one.into_iter().collect();
    }
    known
}

/// memobj, to look at the process `pid` with these arguments.
fn memobj(pid: u32, args: &[&str]) -> Tool {
    Tool::ours("memobj").arg("-p").arg(pid.to_string()).args(args).limit(Duration::from_secs(600))
}

/// Ends a target by closing its stdin, and returns its report.
#[track_caller]
fn verdict(mut target: Background) -> Value {
    target.close_stdin();
    let text = target.wait_line("verdict ");
    let run = target.finish(PATIENCE);
    let verdict: Value = serde_json::from_str(&text).unwrap();
    assert!(run.err().is_empty(), "{run}");
    verdict
}

/// Asserts that nothing of memobj is left in a process.
#[track_caller]
fn assert_let_go(pid: u32) {
    assert!(process::is_alive(pid), "{pid} has ended");
    assert!(is_let_go(pid), "{:?}", tasks(pid));
}

/// The censuses among records, each of which has objects.
#[track_caller]
fn assert_censuses(records: &[Value], at_least: usize) {
    let censuses: Vec<&Value> = records.iter().filter(|record| record["type"] == "census").collect();
    let others: Vec<&Value> = records.iter().filter(|record| record["type"] != "census").collect();
    assert!(censuses.len() >= at_least, "{} censuses, and {others:#?}", censuses.len());
    for census in censuses {
        assert!(census["total_objects"].as_u64() > Some(1000), "{census}");
    }
}

#[test]
fn busy_program_survives_censuses() {
    let interpreters = interpreters();
    if interpreters.is_empty() {
        crate::skip!("no Python that memobj knows on this machine");
    }
    for python in interpreters {
        let target = Target::start(python, "busy.py", &[]);
        let pid = target.pid();
        let before = rss_and_pss(pid);
        let count = censuses().to_string();
        let mut observer = memobj(pid, &["-i", "10ms", "--count", &count]).start();
        // memobj's own descriptors and memory after some censuses, and near their end.
        let own =
            |observer: &Background| (process::descriptors(observer.pid()), rss_and_pss(observer.pid()).0);
        observer.wait_line("{\"type\":\"census\"");
        wait_until(PATIENCE, "twenty censuses", || observer.out().lines().count() > 20);
        let early = own(&observer);
        wait_until(Duration::from_secs(600), "most censuses", || {
            observer.has_ended() || observer.out().lines().count() + 20 > censuses()
        });
        let late = (!observer.has_ended()).then(|| own(&observer));
        let run = observer.finish(PATIENCE).expect_code(0);
        assert_censuses(&run.records(), censuses() * 9 / 10);
        assert_let_go(pid);
        let after = rss_and_pss(pid);
        let verdict = verdict(target.process);

        let python = python.path.display();
        assert_eq!(verdict["failures"], Value::Array(Vec::new()), "{python}");
        let parts = [
            "sum",
            "collector",
            "fork",
            "subprocess",
            "signal",
            "real-time signal",
            "pipe",
            "queue",
            "file",
            "asyncio echo",
            "asyncio lock",
            "asyncio subprocess",
            "wait: lock",
            "wait: epoll",
            "wait: recv",
            "alarm",
            "no child left",
        ];
        for part in parts {
            assert!(verdict["checks"][part].as_u64() > Some(0), "{python}: {part} did nothing: {verdict}");
        }
        // Its size varies without us; a copy of each page that is read would be more than this.
        let slack = 24 << 20;
        assert!(
            after.0.abs_diff(before.0) < slack && after.1.abs_diff(before.1) < slack,
            "{before:?} {after:?}"
        );
        if let Some(late) = late {
            assert!(late.0 <= early.0 + 2, "{python}: {} descriptors became {}", early.0, late.0);
            assert!(late.1 < early.1 + (32 << 20), "{python}: {} bytes became {}", early.1, late.1);
        }
    }
}

/// System calls that any stop cuts short, a stop from the keyboard too: signal(7), "Interruption of system calls", and what it does not list was measured.
const INTERRUPTED: [&str; 5] =
    ["epoll_wait", "epoll_pwait2", "semtimedop", "rt_sigtimedwait", "recv SO_RCVTIMEO"];

#[test]
fn only_interruptible_calls_get_eintr() {
    let Some(&python) = interpreters().first() else {
        crate::skip!("no Python that memobj knows on this machine");
    };
    let natural = BTreeMap::from([
        ("futex", "ETIMEDOUT"),
        ("semtimedop", "EAGAIN"),
        ("rt_sigtimedwait", "EAGAIN"),
        ("recv SO_RCVTIMEO", "EAGAIN"),
    ]);
    let target = Target::start(python, "blocked.py", &["30"]);
    let run = memobj(target.pid(), &["-i", "10ms", "--count", &censuses().to_string()]).run().expect_code(0);
    assert_censuses(&run.records(), censuses() * 9 / 10);
    assert_let_go(target.pid());
    let verdict = verdict(target.process);
    let mut interrupted = BTreeSet::new();
    for (call, ends) in verdict.as_object().unwrap() {
        let ends = ends.as_object().unwrap();
        assert!(
            ends.values().filter_map(Value::as_u64).sum::<u64>() > 10,
            "{call} was hardly called: {verdict}"
        );
        for end in ends.keys() {
            let fine = natural.get(call.as_str()).map_or(end == "0", |natural| end == natural);
            let by_stop = end == "EINTR" && INTERRUPTED.contains(&call.as_str());
            assert!(fine || by_stop, "{call} ended with {end}: {verdict}");
            interrupted.extend(by_stop.then_some(call.as_str()));
        }
    }
    assert!(!interrupted.is_empty(), "nothing was ever stopped: this test checked nothing: {verdict}");
}

/// A name and an error of each system call that failed, of a line of `perf trace --failure`.
fn failed_call(line: &str) -> Option<(String, String)> {
    let error = line.rsplit_once(" = -1 ")?.1.split_whitespace().next()?.to_owned();
    // `1.102 ( 0.017 ms): python/13122 futex(uaddr: …`, or ` ... [continued]: futex())`.
    let call = match line.split_once("[continued]: ") {
        Some((_, rest)) => rest,
        None => line.split_once("): ")?.1.split_once(' ')?.1.trim_start(),
    };
    Some((call.split('(').next()?.to_owned(), error))
}

#[test]
fn perf_lines_are_parsed() {
    let found = |line| failed_call(line).map(|(call, error)| format!("{call} {error}"));
    let line =
        "     1.102 ( 0.017 ms): python/13122 futex(uaddr: 0x7e, op: WAIT)    = -1 EAGAIN (Resource x)";
    assert_eq!(found(line).as_deref(), Some("futex EAGAIN"));
    let line = "         ? (         ): python/13127  ... [continued]: futex())  = -1 ETIMEDOUT (Connection)";
    assert_eq!(found(line).as_deref(), Some("futex ETIMEDOUT"));
    assert_eq!(found("     0.1 ( 0.0 ms): cat/1 read(fd: 3, count: 4096) = 12"), None);
}

#[test]
fn no_other_system_calls_fail() {
    let Some(&python) = interpreters().first() else {
        crate::skip!("no Python that memobj knows on this machine");
    };
    let folder = tempfile::tempdir().unwrap();
    let target = Target::start(python, "busy.py", &[]);
    let traced = |name: &str, meanwhile: &dyn Fn()| -> Result<BTreeSet<(String, String)>, String> {
        let file = folder.path().join(name);
        let args = ["trace", "--failure", "-p", &target.pid().to_string(), "-o", file.to_str().unwrap()];
        // It fails if a thread ends between being listed and being opened.
        let attempts = (0..40).map(|_| {
            let _ = std::fs::remove_file(&file);
            let perf = Tool::new("sh").args(["-c", "exec perf \"$@\"", "sh"]).args(args).start();
            // perf's own first lines are shorter.
            let traces = || std::fs::metadata(&file).is_ok_and(|file| file.len() > 500);
            wait_until(PATIENCE, "perf's start or end", || perf.has_ended() || traces());
            perf
        });
        let mut ended = None;
        let perf = attempts.into_iter().find_map(|perf| {
            if perf.has_ended() {
                ended = Some(perf.finish(PATIENCE));
                return None;
            }
            Some(perf)
        });
        let Some(perf) = perf else {
            let said = std::fs::read_to_string(&file).unwrap_or_default();
            return Err(format!("{said} {}", ended.map(|run| run.err()).unwrap_or_default()));
        };
        meanwhile();
        perf.signal(Signal::INT);
        perf.finish(PATIENCE);
        let text = std::fs::read(&file).map_err(|error| error.to_string())?;
        Ok(String::from_utf8_lossy(&text).lines().filter_map(failed_call).collect())
    };
    let begun = Instant::now();
    let observed = match traced("observed", &|| {
        memobj(target.pid(), &["-i", "10ms", "--count", &censuses().to_string()]).run().expect_code(0);
    }) {
        Ok(calls) => calls,
        Err(reason) => crate::skip!("perf trace does not work here: {}", reason.trim()),
    };
    // Some of its calls fail seldom by themselves: on a slow machine once in several seconds.
    let as_long = begun.elapsed();
    let alone = match traced("alone", &|| std::thread::sleep(as_long)) {
        Ok(calls) => calls,
        Err(reason) => crate::skip!("perf trace worked once, and then no more: {}", reason.trim()),
    };
    let verdict = verdict(target.process);
    assert_eq!(verdict["failures"], Value::Array(Vec::new()));
    assert!(alone.iter().any(|(call, _)| call == "futex"), "perf saw nothing: {alone:?}");
    // Usual results: nothing there yet, or time is up. `(unknown)` marks a call that the kernel restarts without the program's
    // knowledge (ERESTARTSYS and the like).
    let usual = ["EAGAIN", "ETIMEDOUT", "EINTR", "(unknown)"];
    let new: Vec<&(String, String)> = observed.difference(&alone).collect();
    let new: Vec<_> = new.into_iter().filter(|(_, error)| !usual.contains(&error.as_str())).collect();
    assert!(new.is_empty(), "{new:?} failed only while memobj ran");
}

#[test]
fn forked_workers_keep_shared_pages() {
    let Some(&python) = interpreters().first() else {
        crate::skip!("no Python that memobj knows on this machine");
    };
    let target = Target::start(python, "forked.py", &["100", "3"]);
    let family = target.ready.clone();
    let memory = || family.iter().map(|&pid| rss_and_pss(pid)).collect::<Vec<_>>();
    // Until each process has touched the shared pages that it uses.
    std::thread::sleep(Duration::from_secs(1));
    let before = memory();
    assert!(before[0].0 > 90 << 20 && before[1].1 * 2 < before[1].0, "nothing is shared: {before:?}");
    for &pid in &family {
        // Reading it without a copy makes pages of its files resident.
        let run = memobj(pid, &["-i", "10ms", "--count", "5", "--max-pause", "1m"]).run().expect_code(0);
        assert_censuses(&run.records(), 5);
    }
    let after = memory();
    for (pid, (before, after)) in family.iter().zip(before.iter().zip(&after)) {
        assert_let_go(*pid);
        let slack = 512 << 10;
        assert!(after.0.abs_diff(before.0) <= slack, "{pid}: resident: {before:?} became {after:?}");
        assert!(after.1.abs_diff(before.1) <= slack, "{pid}: proportional: {before:?} became {after:?}");
    }
    let verdict = verdict(target.process);
    assert_eq!(verdict["noticed"], Value::Array(Vec::new()), "the parent noticed something");
    assert_eq!(verdict["statuses"], serde_json::json!([7, 7, 7]));
}

#[test]
fn killed_memobj_leaves_target_running() {
    let Some(&python) = interpreters().first() else {
        crate::skip!("no Python that memobj knows on this machine");
    };
    let busy = Target::start(python, "busy.py", &[]);
    // Large enough to be found stopped.
    let large = Target::start(python, "forked.py", &["60", "0"]);
    let mut chance = Chance(20_240_611);
    let mut hit = 0;
    for round in 0..100 {
        let pid = if round % 2 == 0 { large.pid() } else { busy.pid() };
        let signal = [Signal::KILL, Signal::INT, Signal::TERM][round % 3];
        let observer = memobj(pid, &["-i", "10ms"]).start();
        if round % 4 < 2 {
            // In the middle of a stop.
            let seen = wait_for(PATIENCE, "a stop, or memobj's end", || {
                let traced = tasks(pid).iter().any(|task| task.tracer != 0);
                (traced || observer.has_ended()).then_some(traced)
            });
            assert!(seen, "memobj ended early: {}", observer.finish(PATIENCE));
        } else {
            std::thread::sleep(Duration::from_micros(chance.count(0, 150_000) as u64));
        }
        let _ = kill_process(Pid::from_raw(observer.pid().cast_signed()).unwrap(), signal);
        let traced = tasks(pid).iter().any(|task| task.tracer != 0);
        hit += u32::from(traced);
        let run = observer.finish(PATIENCE);
        // Others end a run in good order, after its first record or before.
        let in_order = matches!(run.code(), Some(0 | 2)) && signal != Signal::KILL;
        assert!(run.signal() == Some(signal.as_raw()) || in_order, "round {round}, {signal:?}: {run}");
        assert_let_go(pid);
    }
    assert!(hit >= 10, "the target was stopped in {hit} of 100 cases alone: this test checked little");
    assert_eq!(verdict(busy.process)["failures"], Value::Array(Vec::new()));
    assert_eq!(verdict(large.process)["noticed"], Value::Array(Vec::new()));
}
