//! Who adds to a container: the line and its callers match the program's own.

use std::time::Duration;

use common::record::Additions;
use memobj::leaks::additions::AdditionWatch;
use memobj_cpython::layout::Layout;
use memobj_cpython::object::Objects;
use memobj_cpython::runtime::bytecode::Bytecode;
use memobj_cpython::runtime::detect::detect;
use memobj_cpython::runtime::locate::SYMBOLS;
use memobj_process::addr::Addr;
use memobj_process::elf::ElfCache;
use memobj_process::info::ProcessSource as _;
use memobj_process::target::Target;
use memobj_process::target::watchpoint::{MAX_WATCHPOINTS, Watchpoint};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::interpreters::{Interpreter, interpreters};
use crate::support::{Background, Tool, wait_until, workspace};

/// A machine that is busy delays everything.
const LIMIT: Duration = Duration::from_secs(60);

/// Starts `tests/targets/adds.py`; returns its own description.
fn program(interpreter: &Interpreter) -> (Background, Value) {
    let file = workspace::root().join("tests/targets/adds.py");
    let mut process = Tool::new(&interpreter.program).args(["-I", "-S", "-B"]).arg(file).start();
    let description = process.wait_line("ready ");
    (process, serde_json::from_str(&description).unwrap())
}

fn count_of(layout: &Layout, shape: &Value) -> Addr {
    let offset = match shape["kind"].as_str().unwrap() {
        "dict" => layout.dict_object.ma_used,
        "list" => layout.var_object.ob_size,
        "set" => layout.set_object.used,
        other => panic!("{other}"),
    };
    Addr(shape["at"].as_u64().unwrap()).plus(offset.into())
}

/// The additions to each container, or why none can be watched.
fn watched(pid: u32, description: &Value) -> Result<Vec<Additions>, String> {
    let target = Target::attach(pid).unwrap();
    let python = detect(&target, None, &ElfCache::new(SYMBOLS)).unwrap();
    let codes = description["codes"].as_array().unwrap().iter().map(|code| Addr(code.as_u64().unwrap()));
    let bytecode = Bytecode::read(Objects::new(target.memory(), &python.layout), codes);
    let counts: Vec<Addr> = description["shapes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|shape| count_of(&python.layout, shape))
        .collect();
    let mut all: Vec<Additions> = Vec::new();
    for counts in counts.chunks(MAX_WATCHPOINTS) {
        let mut watch = AdditionWatch::default();
        watch.watch(&target, &python, &bytecode, counts, Duration::from_secs(20), &mut || true);
        all.extend(counts.iter().filter_map(|&count| watch.report(count)));
    }
    match all.iter().find_map(|additions| additions.refused.as_deref()) {
        Some(refused) => Err(refused.to_owned()),
        None => Ok(all),
    }
}

#[test]
fn adding_lines_match_the_program() {
    for interpreter in interpreters() {
        let (process, description) = program(interpreter);
        let all = crate::or_skip!(watched(process.pid(), &description));
        let (mut certain, mut likely, mut with_callers) = (0, 0, 0);
        for (shape, additions) in description["shapes"].as_array().unwrap().iter().zip(&all) {
            let name = format!("{interpreter}: {}: {additions:#?}", shape["shape"]);
            let is = |key: &str, text: &str| {
                let expected = shape[key].as_str().unwrap();
                text == expected || text.ends_with(&format!(".{expected}"))
            };
            assert!(additions.seen > 0, "{name}");
            for line in &additions.lines {
                let (innermost, callers) = line.frames.split_first().unwrap();
                let is_right = innermost.line.map(u64::from) == shape["line"].as_u64()
                    && is("function", &innermost.function);
                assert!(is_right || !line.is_certain, "{name}");
                likely += usize::from(is_right && !line.is_certain);
                certain += usize::from(line.is_certain);
                if let Some(caller) = callers.first() {
                    assert_eq!(caller.line.map(u64::from), shape["caller_line"].as_u64(), "{name}");
                    assert!(is("caller", &caller.function), "{name}");
                    with_callers += 1;
                }
            }
        }
        // A function may have returned before its frame was read, and words of earlier calls may lie nearer than its own.
        // How many words the compiler leaves on the stack differs: with Alpine's build they are right for 10 of 16 shapes, and
        // a busy machine adds none by reading frames in time. From 3.15 on, the instruction is only in the frame.
        let is_kept = !interpreter.debug && interpreter.minor() < 15;
        let least = if is_kept { all.len() / 2 } else { 0 };
        assert!(certain + likely >= least, "{interpreter}: {certain} + {likely}: {all:#?}");
        println!(
            "{interpreter}: of {} certain {certain}, likely and right {likely}, with callers {with_callers}",
            all.len()
        );
    }
}

#[test]
fn slow_additions_are_seen_between_censuses() {
    if !crate::support::is_long() {
        crate::skip!("it takes a minute: MEMTOOLS_LONG=1")
    }
    let Some(interpreter) = interpreters().iter().rfind(|interpreter| !interpreter.debug) else {
        crate::skip!("no Python on this machine")
    };
    let file = workspace::root().join("tests/targets/slow.py");
    let mut target = Tool::new(&interpreter.program).args(["-I", "-S", "-B"]).arg(&file).start();
    target.wait_line("ready");
    if let Err(refused) = take_all_watchpoints(target.pid()) {
        crate::skip!("{refused}");
    }
    let run = Tool::ours("memobj").args(["--leaks", "--for", "60s", "-i", "6", "--format", "jsonl", "-p"]);
    let run = run.arg(target.pid().to_string()).limit(LIMIT * 3).run();
    let record: Value = serde_json::from_str(run.out().lines().last().unwrap()).unwrap();
    let leak = &record["leaks"][0];
    assert!(leak["holder"].as_str().unwrap().ends_with("SLOW"), "{record}");
    let additions = &leak["additions"];
    assert!(additions["seen"].as_u64() >= Some(2), "{additions}");
    assert_eq!(additions["lines"][0]["frames"][0]["function"], "add", "{additions}");
}

/// Whether a process has a perf event open: it watches something.
pub fn is_watching(pid: u32) -> bool {
    let Ok(files) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    files.flatten().any(|file| {
        std::fs::read_link(file.path()).is_ok_and(|link| link.ends_with("anon_inode:[perf_event]"))
    })
}

/// Takes every watchpoint of every thread, for a moment.
fn take_all_watchpoints(pid: u32) -> Result<(), String> {
    let target = Target::attach(pid).unwrap();
    // Any word will do.
    let word = target.memory().regions().first().unwrap().start;
    let arm = |_| Watchpoint::arm(&target, word, 1).map_err(|error| error.to_string());
    (0..MAX_WATCHPOINTS).map(arm).collect::<Result<Vec<_>, _>>().map(drop)
}

#[test]
fn killed_watch_leaves_nothing() {
    let Some(interpreter) = interpreters().iter().find(|interpreter| !interpreter.debug) else {
        crate::skip!("no Python on this machine")
    };
    for signals in [&[Signal::KILL][..], &[Signal::STOP, Signal::KILL], &[Signal::INT], &[Signal::HUP]] {
        // Six additions a second: the watch goes on for seconds.
        let file = workspace::root().join("tests/targets/leaks/shapes.py");
        let mut target = Tool::new(&interpreter.program).args(["-I", "-S", "-B"]).arg(&file);
        target = target.arg("class_attribute").env("RATE", "6");
        let mut target = target.start();
        target.wait_line("ready ");
        if let Err(refused) = take_all_watchpoints(target.pid()) {
            crate::skip!("{refused}");
        }
        // A slow machine takes fewer censuses in this time, perhaps too few to name the leak.
        let memobj = ["2s", "10s", "30s"].into_iter().find_map(|time| {
            let memobj = Tool::ours("memobj").args(["--leaks", "--for", time, "-i", "0.5", "-p"]);
            let memobj = memobj.arg(target.pid().to_string()).start();
            wait_until(LIMIT, "a watch or its end", || is_watching(memobj.pid()) || memobj.has_ended());
            (!memobj.has_ended()).then_some(memobj)
        });
        let memobj = memobj.unwrap_or_else(|| panic!("no watch"));
        signals.iter().for_each(|&signal| memobj.signal(signal));
        memobj.finish(LIMIT);
        let threads = procfs_states(target.pid());
        assert!(
            !threads.is_empty() && threads.iter().all(|state| !matches!(state, 't' | 'T')),
            "{threads:?}"
        );
        take_all_watchpoints(target.pid()).unwrap_or_else(|error| panic!("{signals:?}: {error}"));
    }
}

/// The states of the threads of a process (proc_pid_stat(5)).
fn procfs_states(pid: u32) -> Vec<char> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let stats = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok());
    stats.filter_map(|stat| stat.rsplit_once(") ")?.1.chars().next()).collect()
}
