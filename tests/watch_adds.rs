//! `memobj --watch-adds`: which lines add to a container and remove from it, and why that may be impossible.

use std::time::Duration;

use memobj_process::info::ProcessSource as _;
use memobj_process::target::Target;
use memobj_process::target::watchpoint::{MAX_WATCHPOINTS, Watchpoint};
use rustix::process::Signal;
use serde_json::Value;

use crate::other_users::{AS_NOBODY, cannot_be_nobody};
use crate::support::interpreters::{Interpreter, interpreters};
use crate::support::{Background, Tool, is_long, wait_until, workspace};

/// A machine that is busy delays everything.
const LIMIT: Duration = Duration::from_secs(60);

/// The oldest and the newest Python, or all of them in the long run. In debug builds most lines are not known.
fn tested() -> Vec<&'static Interpreter> {
    let all: Vec<&Interpreter> = interpreters().iter().filter(|interpreter| !interpreter.debug).collect();
    if is_long() { all } else { all.first().into_iter().chain(all.last()).copied().collect() }
}

fn newest() -> &'static Interpreter {
    tested().pop().unwrap()
}

fn start(interpreter: &Interpreter, target: &str, args: &[&str]) -> (Background, String) {
    let file = workspace::root().join("tests/targets").join(target);
    let mut process = Tool::new(&interpreter.program).args(["-I", "-S", "-B"]).arg(file).args(args).start();
    let line = process.wait_line("ready");
    (process, line)
}

fn watch(pid: u32, holder: &str, args: &[&str]) -> Tool {
    let memobj = Tool::ours("memobj").args(["--watch-adds", holder, "--format", "jsonl"]).args(args);
    memobj.args(["-p", &pid.to_string()])
}

/// Why no container of a process can be watched here, if so.
fn refusal(pid: u32) -> Option<String> {
    let target = Target::attach(pid).unwrap();
    let word = target.memory().regions().first().unwrap().start;
    Watchpoint::arm(&target, word, 1).err().map(|error| error.to_string())
}

macro_rules! skip_where_refused {
    ($pid:expr) => {
        if let Some(refused) = refusal($pid) {
            crate::skip!("{refused}")
        }
    };
}

/// The only record of a run that ended well.
fn record(run: &crate::support::Run) -> Value {
    assert_eq!(run.code(), Some(0), "{}", run.err());
    let mut records = run.records();
    let record = records.pop().unwrap();
    assert_eq!(record["type"], "writes", "{record}");
    record
}

/// Line and function of the innermost frames of the lines of a kind: of those that are certain, and of others that have most writes.
fn innermost(record: &Value, kind: &str) -> Vec<(u64, String)> {
    let lines = record[kind].as_array().unwrap().iter();
    let most = lines.clone().filter_map(|line| line["count"].as_u64()).max();
    let lines = lines.filter(|line| line["is_certain"] == true || line["count"].as_u64() == most);
    lines
        .map(|line| {
            let frame = &line["frames"][0];
            let function = frame["function"].as_str().unwrap().rsplit('.').next().unwrap();
            (frame["line"].as_u64().unwrap(), function.to_owned())
        })
        .collect()
}

#[test]
fn watched_lines_match_the_program() {
    let holders = [
        ("dict", "DICT"),
        ("list", "__main__.LIST"),
        ("set", "adds.SET"),
        ("deque", "DEQUE"),
        ("ordered", "ORDERED"),
        ("bytearray", "BYTES"),
        ("cached", "cached"),
        ("instance", "REGISTRY.entries"),
        ("awaited", "AWAITED"),
        ("threaded", "THREADED"),
    ];
    for interpreter in tested() {
        let (process, line) = start(interpreter, "adds.py", &[]);
        skip_where_refused!(process.pid());
        let description: Value = serde_json::from_str(line.trim_start_matches("ready ")).unwrap();
        let mut known = 0;
        for (name, holder) in holders {
            let mut shapes = description["shapes"].as_array().unwrap().iter();
            let Some(shape) = shapes.find(|shape| shape["shape"] == name) else { continue };
            let run = watch(process.pid(), holder, &["--count", "20", "--for", "5s"]).run();
            let record = record(&run);
            let (line, function) = (shape["line"].as_u64().unwrap(), shape["function"].as_str().unwrap());
            let additions = record["additions"].as_array().unwrap();
            let is_certain = additions.iter().any(|line| line["is_certain"] == true);
            let found = innermost(&record, "additions");
            let is_right = found.iter().all(|found| *found == (line, function.to_owned()));
            assert!(is_right || !is_certain, "{interpreter}: {record}");
            for (_, function) in innermost(&record, "removals") {
                assert!(matches!(&*function, "remove" | "forget"), "{interpreter}: {record}");
            }
            for frames in record["additions"].as_array().unwrap() {
                if let Some(caller) = frames["frames"].get(1) {
                    assert_eq!(caller["line"], shape["caller_line"], "{interpreter}: {record}");
                }
            }
            assert!(record["writes"].as_u64() > Some(0), "{interpreter}: {record}");
            known += usize::from(is_right && !additions.is_empty());
        }
        // From 3.15 on, the line is known only where the frame is read in time.
        let least = if interpreter.minor() < 15 { holders.len() * 3 / 4 } else { 0 };
        assert!(known >= least, "{interpreter}: {known} of {} are known", holders.len());
        println!("{interpreter}: {known} of {} are known", holders.len());
    }
}

#[test]
fn replaced_container_is_followed() {
    for interpreter in tested() {
        let (process, _) = start(interpreter, "replaces.py", &[]);
        skip_where_refused!(process.pid());
        let record = record(&watch(process.pid(), "CACHE", &["--for", "3s"]).run());
        assert!(record["replaced"].as_u64() >= Some(1) && record["is_gone"] == false, "{record}");
        for (lines, function) in [("additions", "add"), ("removals", "remove")] {
            let found = innermost(&record, lines);
            assert!(found.iter().all(|(_, name)| name == function), "{interpreter}: {record}");
        }
        assert!(record["added"].as_u64() > record["removed"].as_u64(), "{interpreter}: {record}");
    }
}

#[test]
fn fast_writes_are_sampled() {
    let (process, _) = start(newest(), "replaces.py", &["fast"]);
    skip_where_refused!(process.pid());
    let record = record(&watch(process.pid(), "POOL.free", &["--for", "3s"]).run());
    let (writes, seconds) = (record["writes"].as_u64().unwrap(), record["watched_seconds"].as_f64().unwrap());
    // Two hundred from one check to the next.
    assert!(writes >= 200 && (writes as f64) <= 200.0 * (seconds / 0.25 + 2.0), "{record}");
    assert!(record["unwatched_seconds"].as_f64() > Some(0.0), "{record}");
    assert!(innermost(&record, "additions").iter().all(|(_, name)| name == "add_fast"), "{record}");
}

#[test]
fn interrupted_watch_reports() {
    let (process, _) = start(newest(), "replaces.py", &[]);
    skip_where_refused!(process.pid());
    for signal in [Signal::INT, Signal::TERM] {
        let memobj = watch(process.pid(), "CACHE", &[]).start();
        wait_until(LIMIT, "a watch", || crate::additions::is_watching(memobj.pid()));
        std::thread::sleep(Duration::from_millis(500));
        memobj.signal(signal);
        let run = memobj.finish(LIMIT);
        let records = run.records();
        assert_eq!(records.last().unwrap()["type"], "writes", "{signal:?}: {}", run.err());
    }
}

#[test]
fn end_of_the_process_ends_the_watch() {
    let (process, _) = start(newest(), "replaces.py", &[]);
    skip_where_refused!(process.pid());
    let memobj = watch(process.pid(), "CACHE", &[]).start();
    wait_until(LIMIT, "a watch", || crate::additions::is_watching(memobj.pid()));
    drop(process);
    let records = memobj.finish(LIMIT).records();
    let record = records.iter().find(|record| record["type"] == "writes").unwrap();
    assert!(record["last_entries"].is_null(), "{record}");
}

#[test]
fn wrong_names_get_help() {
    let (process, _) = start(newest(), "replaces.py", &[]);
    for (holder, message) in [
        ("CACHES", "nothing is named 'CACHES'; near: __main__.CACHE"),
        ("replaces.CACHES", "nothing is named 'replaces.CACHES'; near: __main__.CACHE"),
        ("nothing.like.this", "nothing is named 'nothing.like.this': "),
        ("", "nothing is named ''"),
        (
            "POOL",
            "__main__.POOL is no container: it is of type __main__.Pool: name one of its containers: __main__.POOL.free, __main__.POOL.used",
        ),
        ("add", "__main__.add is no container: it is of type function"),
    ] {
        let run = watch(process.pid(), holder, &["--for", "1s"]).run().expect_code(2);
        assert!(run.err().contains(message), "{holder}: {}", run.err());
        assert_eq!(run.err().lines().count(), 1, "{}", run.err());
    }
    let pid = process.pid().to_string();
    for args in
        [&["--leaks", "-p", &pid][..], &["-p", "1", "-p", "2"], &["--core", "x"], &["-i", "1", "-p", &pid]]
    {
        Tool::ours("memobj").args(["--watch-adds", "CACHE"]).args(args).run().expect_code(2);
    }
}

#[test]
fn used_debug_registers_are_named() {
    let (process, _) = start(newest(), "replaces.py", &[]);
    skip_where_refused!(process.pid());
    let target = Target::attach(process.pid()).unwrap();
    let word = target.memory().regions().first().unwrap().start;
    let taken: Vec<Watchpoint> =
        (0..MAX_WATCHPOINTS).map(|_| Watchpoint::arm(&target, word, 1).unwrap()).collect();
    let run = watch(process.pid(), "CACHE", &["--for", "1s"]).run().expect_code(2);
    assert!(
        run.err().contains("all debug registers are in use: detach the debugger that uses them"),
        "{}",
        run.err()
    );
    assert_eq!(run.err().lines().count(), 1, "{}", run.err());
    drop(taken);
    record(&watch(process.pid(), "CACHE", &["--for", "1s"]).run());
}

#[test]
fn seccomp_is_named() {
    let (process, _) = start(newest(), "replaces.py", &[]);
    skip_where_refused!(process.pid());
    let python = interpreters().iter().rfind(|interpreter| {
        crate::support::interpreters::can_load(interpreter, "ctypes") && !interpreter.debug
    });
    let Some(python) = python else { crate::skip!("no Python with ctypes") };
    let wrapper = workspace::root().join("tests/targets/without_call.py");
    let pid = process.pid().to_string();
    let memobj = |args: &[&str]| {
        let tool = Tool::new(&python.program).args(["-I", "-S", "-B"]).arg(&wrapper);
        tool.arg("perf_event_open").arg(crate::support::bin("memobj")).args(args).args(["-p", &pid]).run()
    };
    let run = memobj(&["--watch-adds", "CACHE", "--for", "1s"]);
    if run.err().contains("no seccomp here") {
        crate::skip!("{}", run.err())
    }
    let run = run.expect_code(2);
    assert!(run.err().contains("perf_event_open is not permitted"), "{}", run.err());
    assert!(run.err().contains("--cap-add PERFMON"), "{}", run.err());
    assert_eq!(run.err().lines().count(), 1, "{}", run.err());
}

#[test]
fn users_watch_their_own_as_the_kernel_permits() {
    if let Some(reason) = cannot_be_nobody() {
        crate::skip!("{reason}")
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (program, file) = (folder.path().join("memobj"), folder.path().join("replaces.py"));
    std::fs::copy(crate::support::bin("memobj"), &program).unwrap();
    std::fs::copy(workspace::root().join("tests/targets/replaces.py"), &file).unwrap();
    let as_nobody = |program: &std::path::Path| Tool::new("setpriv").args(AS_NOBODY).arg(program);
    let reaches = |program: &std::path::Path| as_nobody(program).arg("--version").run().code() == Some(0);
    if !reaches(&program) || !reaches(newest().program.as_ref()) {
        crate::skip!("another user cannot run the programs here")
    }
    let mut process = as_nobody(newest().program.as_ref()).args(["-I", "-S", "-B"]).arg(&file).start();
    process.wait_line("ready");
    let pid = process.pid().to_string();
    skip_where_refused!(process.pid());
    let run = as_nobody(&program)
        .args(["--watch-adds", "CACHE", "--for", "1s", "--no-stop", "--format", "jsonl", "-p", &pid])
        .run();
    let level = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap();
    match level.trim().parse::<i32>().unwrap() {
        level @ 3.. => {
            let message =
                format!("kernel.perf_event_paranoid is {level}: run memobj as root, or set it to 2");
            assert!(run.err().contains(&message), "{}", run.err());
            assert_eq!(run.code(), Some(2));
        }
        _ => assert!(record(&run)["writes"].as_u64() > Some(0), "{}", run.out()),
    }
}
