//! A watchdog ends a memobj that cannot resume what it has paused.

use std::path::PathBuf;

use rustix::process::Signal;

use super::{COUNTING, assert_counts_on, assert_untouched, holder, started};
use crate::support::process::is_let_go;
use crate::support::python::{Python, python};
use crate::support::{Background, PATIENCE, Tool, wait_for, wait_gone, wait_until};

/// The watchdog of a process.
fn watchdog(pid: u32) -> Option<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<u32> = children
        .flat_map(|text| text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect();
    children.into_iter().find(|pid| {
        std::fs::read_to_string(format!("/proc/{pid}/comm"))
            .is_ok_and(|name| name.trim() == "memobj-watchdog")
    })
}

/// A Python that never sleeps, so that each census stops it, and memobj that takes one after the other.
fn observed(python: &Python) -> (Background, Background) {
    let (process, _) = started(python, "print('ready', flush=True)\nwhile True: pass", &[]);
    let pid = process.pid().to_string();
    let memobj = Tool::ours("memobj").args(["-i", "50ms", "-p", &pid]).start();
    (process, memobj)
}

#[test]
fn stopped_holder_is_ended() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let (mut process, _) = started(python, COUNTING, &["5"]);
    for _ in 0..3 {
        let mut holder = holder(process.pid(), &[]);
        holder.wait_line("held ");
        assert!(!is_let_go(process.pid()));
        holder.signal(Signal::STOP);
        wait_until(PATIENCE, "a free target", || is_let_go(process.pid()));
        assert_counts_on(&mut process);
        wait_until(PATIENCE, "the end of the holder", || holder.has_ended());
        wait_until(PATIENCE, "the watchdog's line", || holder.err().contains("the watchdog ended memobj"));
        assert!(
            holder.err().contains(&format!("while it held pid {} paused", process.pid())),
            "{}",
            holder.err()
        );
    }
    assert_untouched(process.pid());
}

#[test]
fn holder_under_debugger_is_ended() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let has_gdb = std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|f| f.join("gdb").is_file());
    if !has_gdb {
        crate::skip!("no gdb on this machine");
    }
    let (mut process, _) = started(python, COUNTING, &["5"]);
    let mut holder = holder(process.pid(), &[]);
    holder.wait_line("held ");
    // gdb stops it, and waits for a command.
    let pid = holder.pid().to_string();
    let debugger = Tool::new("gdb").args(["-q", "-nx", "-p", &pid]).start();
    wait_until(PATIENCE, "a free target", || is_let_go(process.pid()));
    assert_counts_on(&mut process);
    drop(debugger);
    wait_until(PATIENCE, "the end of the holder", || holder.has_ended());
    // It is written after the kill.
    wait_until(PATIENCE, "the watchdog's line", || holder.err().contains("the watchdog ended memobj"));
}

#[test]
fn quiet_census_needs_no_watchdog() {
    let Some(python) = python().filter(|python| python.version >= (3, 8)) else {
        crate::skip!("no Python that memobj knows")
    };
    let (process, _) = started(python, "import sys\nprint('ready', flush=True)\nsys.stdin.read()", &[]);
    let pid = process.pid().to_string();
    // Without a stop: what wakes the process on a busy machine must not bring the watchdog.
    let memobj = Tool::ours("memobj").args(["-i", "50ms", "--max-pause", "0", "-p", &pid]).start();
    let quiet = || memobj.records().iter().filter(|record| record["method"] == "quiet").count();
    wait_until(PATIENCE, "quiet censuses", || quiet() > 3);
    assert_eq!(watchdog(memobj.pid()), None);
}

#[test]
fn watchdog_is_apart_and_replaced() {
    let Some(python) = python().filter(|python| python.version >= (3, 8)) else {
        crate::skip!("no Python that memobj knows")
    };
    let (process, memobj) = observed(python);
    let mut last = None;
    for signal in [Signal::KILL, Signal::STOP, Signal::KILL] {
        let pid =
            wait_for(PATIENCE, "a watchdog", || watchdog(memobj.pid()).filter(|&pid| Some(pid) != last));
        assert!(last.is_none_or(|last| last != pid));
        // It leads a session, and has neither our outputs nor the memory of the target.
        assert_eq!(session(pid), pid);
        let files = wait_for(PATIENCE, "its descriptors", || {
            let files = descriptors(pid);
            (files.iter().any(|file| file.to_string_lossy().contains("pidfd"))).then_some(files)
        });
        // It may be reading the status of the thread that traces.
        let is_foreign = |file: &PathBuf| file.starts_with("/proc") && !file.ends_with("status");
        assert!(!files.iter().any(|file| is_foreign(file) || file.extension().is_some()), "{files:?}");
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid.cast_signed()).unwrap(), signal)
            .unwrap();
        last = Some(pid);
        let before = memobj.records().len();
        wait_until(PATIENCE, "more censuses", || memobj.records().len() > before + 2);
    }
    let records = memobj.records();
    assert!(records.iter().all(|record| record["type"] == "census"), "{records:#?}");
    let pid = wait_for(PATIENCE, "a watchdog", || watchdog(memobj.pid()));
    memobj.signal(Signal::KILL);
    wait_gone(pid);
    wait_until(PATIENCE, "a free target", || is_let_go(process.pid()));
}

fn session(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(3).unwrap().parse().unwrap()
}

fn descriptors(pid: u32) -> Vec<PathBuf> {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    files.filter_map(|file| std::fs::read_link(file.path()).ok()).collect()
}

#[test]
fn watchdog_of_launch_is_not_left_over() {
    let Some(python) = python().filter(|python| python.version >= (3, 8)) else {
        crate::skip!("no Python that memobj knows")
    };
    let spin = "import time\nend = time.time() + 2\nwhile time.time() < end: pass";
    let run = Tool::ours("memobj")
        .args(["-i", "50ms", "--"])
        .arg(&python.path)
        .args(["-c", spin])
        .run()
        .expect_code(0);
    assert!(!run.err().contains("still run"), "{run}");
}

/// Runs a command as the first process of a container does: orphans become its children (PR_SET_CHILD_SUBREAPER, prctl(2)).
const ADOPTING: &str = "
import ctypes, os, subprocess, sys
if ctypes.CDLL(None).prctl(36, 1):
    sys.exit('no subreaper here')
code = subprocess.call(sys.argv[1:])
try:
    print('left behind:', os.waitpid(-1, 0)[0])
except ChildProcessError:
    print('none left behind')
sys.exit(code)
";

#[test]
fn watchdog_is_left_to_no_other_process() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let (process, _) = started(python, "print('ready', flush=True)\nwhile True: pass", &[]);
    let memobj = crate::support::bin("memobj");
    // The records show that there was a pause, so a watchdog.
    let run = Tool::new(&python.path)
        .args(["-c", ADOPTING])
        .arg(memobj)
        .args(["--format", "jsonl", "-i", "50ms", "--count", "3", "-p", &process.pid().to_string()])
        .run();
    if run.err().contains("ctypes") || run.err().contains("no subreaper") {
        crate::skip!("{}", run.err())
    }
    let out = run.expect_code(0).out();
    assert!(out.contains("\"method\":\"gentle\"") || out.contains("\"method\":\"stopped\""), "{out}");
    assert!(out.ends_with("none left behind\n"), "{out}");
}
