//! Stopping a process and copying it: the copy is exact, and the process is not disturbed, whatever it does.

mod copies;
mod copies_ahead;
mod files;
mod gentle;
mod logged_runs;
mod quiet;
mod quota;
mod refusals;
mod signals;
mod threads;
mod watchdog;

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use memobj_process::addr::Addr;
use memobj_process::info::{MappingKind, ProcessInfo};
use memobj_process::memory::{CopyBuffer, Memory, PAGE_SIZE};
use memobj_process::target::{FrozenProcess, STOP_LIMIT, Target, set_watchdog, without_stops};

use crate::support::python::{Python, python};
use crate::support::{Background, Tool, wait_for};

/// Environment variable for a second process of these tests: the pid that it stops.
const HOLD: &str = "MEMTOOLS_TEST_HOLD";

/// A Python program, running, that has said `ready`.
fn started(python: &Python, program: &str, args: &[&str]) -> (Background, String) {
    let mut process = Tool::new(&python.path).args(["-B", "-c", program]).args(args).start();
    let ready = process.wait_line("ready");
    (process, ready.trim().to_owned())
}

/// A program out of C; `None` without a compiler for it.
fn compiled(folder: &Path, source: &str, options: &[&str]) -> Option<PathBuf> {
    let (file, program) = (folder.join("target.c"), folder.join("target"));
    std::fs::write(&file, source).unwrap();
    let mut compiler = Command::new("gcc");
    let made = compiler.arg("-O1").args(options).arg("-o").arg(&program).arg(&file).output();
    made.is_ok_and(|made| made.status.success()).then_some(program)
}

/// A copy of a process, taken as it was.
#[track_caller]
fn freeze(pid: u32) -> FrozenProcess {
    let mut target = Target::attach(pid).unwrap();
    target.freeze(&mut CopyBuffer::new(), STOP_LIMIT, |_| true).unwrap()
}

/// Compares two memories page by page in all readable private mappings: the pages compared, and those that differ.
fn differences(info: &ProcessInfo, one: &dyn Memory, other: &dyn Memory) -> (usize, Vec<String>) {
    let mut pages = 0;
    let mut found = Vec::new();
    let private = |m: &&memobj_process::info::Mapping| {
        m.access.read && !m.access.shared && m.kind() != MappingKind::Kernel
    };
    for mapping in info.mappings.iter().filter(private) {
        for number in 0..mapping.length() / PAGE_SIZE as u64 {
            let at = mapping.range.start.plus(number * PAGE_SIZE as u64);
            let page = |memory: &dyn Memory| {
                let mut bytes = vec![0; PAGE_SIZE];
                memory.read(at, &mut bytes).ok().map(|()| bytes)
            };
            pages += 1;
            let (one, other) = (page(one), page(other));
            if one != other {
                let there = |page: &Option<Vec<u8>>| if page.is_some() { "there" } else { "not there" };
                // A failing test's message stays short.
                if found.len() < 20 {
                    found.push(format!("{at} of {mapping:?}: {}, {}", there(&one), there(&other)));
                }
            }
        }
    }
    (pages, found)
}

/// The number behind `field` in a text of `/proc`.
#[track_caller]
fn field(pid: u32, file: &str, field: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .unwrap_or_else(|| panic!("no {field} in {text}"));
    line.trim_start_matches(':').split_ascii_whitespace().next().unwrap().parse().unwrap()
}

/// The letters of the states of a process's threads.
fn states(pid: u32) -> Vec<char> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok())
        .filter_map(|stat| stat.rsplit_once(')')?.1.trim_start().chars().next())
        .collect()
}

#[track_caller]
fn assert_untouched(pid: u32) {
    assert_eq!(field(pid, "status", "TracerPid"), 0);
    let states = states(pid);
    assert!(!states.is_empty() && !states.iter().any(|state| "tTZ".contains(*state)), "{states:?}");
}

/// A process of ours that keeps `pid` stopped until it is killed.
fn holder(pid: u32, starter: &[&str]) -> Background {
    let own = env::current_exe().unwrap();
    let mut command = starter.iter().map(std::ffi::OsString::from).chain([own.into_os_string()]);
    Tool::new(command.next().unwrap())
        .args(command)
        .args(["--exact", "stopping::hold_process_until_killed", "--ignored", "--nocapture"])
        .env(HOLD, pid.to_string())
        .start()
}

#[test]
#[ignore = "other tests run it as a second process"]
fn hold_process_until_killed() {
    let Some(pid) = env::var(HOLD).ok().and_then(|pid| pid.parse().ok()) else {
        crate::skip!("only of use to other tests");
    };
    let said = |word: &str| {
        println!("\n{word}");
        std::io::stdout().flush().unwrap();
    };
    common::signal::on_suspend(|suspend| without_stops(suspend)).unwrap();
    set_watchdog(|| {
        let mut watchdog = Command::new(crate::support::bin("memobj"));
        watchdog.arg("--watchdog-of");
        watchdog
    });
    let target = match Target::attach(pid) {
        Ok(target) => target,
        Err(error) => return said(&format!("refused {error}")),
    };
    match target.stop(STOP_LIMIT) {
        Err(error) => said(&format!("refused {error}")),
        Ok(stopped) => {
            said(&format!("held {}", stopped.threads()));
            std::thread::sleep(Duration::from_secs(600));
        }
    }
}

const COUNTING: &str = r#"
import sys, threading, time
counts = [0] * int(sys.argv[1])
def count(number):
    while True:
        counts[number] += 1
        time.sleep(0.0005)
for number in range(len(counts)):
    threading.Thread(target=count, args=(number,), daemon=True).start()
print("ready", flush=True)
for line in sys.stdin:
    print("counts", sum(counts), flush=True)
"#;

/// Asks a program that counts whether it still does.
#[track_caller]
fn assert_counts_on(process: &mut Background) {
    let count = |process: &mut Background| {
        let before = process.out().matches("counts ").count();
        process.write("\n");
        let lines = wait_for(crate::support::PATIENCE, "an answer", || {
            let out = process.out();
            (out.matches("counts ").count() > before && out.ends_with('\n')).then_some(out)
        });
        lines.lines().last().unwrap().strip_prefix("counts ").unwrap().parse::<u64>().unwrap()
    };
    let first = count(process);
    wait_for(crate::support::PATIENCE, "a higher count", || (count(process) > first).then_some(()));
}

#[test]
fn killed_holder_resumes_target() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let (mut process, _) = started(python, COUNTING, &["5"]);
    assert_counts_on(&mut process);
    for _ in 0..3 {
        let mut holder = holder(process.pid(), &[]);
        assert_eq!(holder.wait_line("held ").trim(), "6");
        assert!(states(process.pid()).iter().all(|&state| state == 't'), "{:?}", states(process.pid()));
        holder.signal(rustix::process::Signal::KILL);
        wait_for(crate::support::PATIENCE, "an end of tracing", || {
            (field(process.pid(), "status", "TracerPid") == 0).then_some(())
        });
        drop(holder);
        assert_counts_on(&mut process);
        assert_untouched(process.pid());
    }
}

#[test]
fn dropped_or_panicked_stop_resumes() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let (mut process, _) = started(python, COUNTING, &["2"]);
    let target = Target::attach(process.pid()).unwrap();
    drop(target.stop(STOP_LIMIT).unwrap());
    assert_counts_on(&mut process);
    let ended = std::thread::scope(|scope| {
        let panicking = scope.spawn(|| {
            let _stopped = target.stop(STOP_LIMIT).unwrap();
            std::panic::resume_unwind(Box::new("on purpose"));
        });
        panicking.join()
    });
    assert!(ended.is_err());
    assert_counts_on(&mut process);
    assert_untouched(process.pid());
    let stopped = target.stop(STOP_LIMIT).unwrap();
    assert!(stopped.memory().read_u8(Addr(0)).is_err());
    assert!(stopped.resume() < Duration::from_secs(5));
}
