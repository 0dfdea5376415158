//! What `memobj` writes, for whom, how long, and how it ends.

use std::ops::ControlFlow;

use common::log::{Input, Options, read};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::control_group::ControlGroup;
use crate::support::pty::{CTRL_C, Terminal};
use crate::support::python::{Python, Target, known};
use crate::support::{Background, PATIENCE, Run, Tool, bin, wait_until};

fn memobj(pid: u32, args: &[&str]) -> Tool {
    Tool::ours("memobj").arg("-p").arg(pid.to_string()).args(args)
}

/// The records of a type, in their order.
fn of<'a>(records: &'a [Value], kind: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["type"] == kind).collect()
}

/// Asserts that no iteration is skipped, from 1 on.
#[track_caller]
fn assert_whole(run: &Run) {
    let mut last = 0;
    for record in run.records() {
        let iteration = record["iteration"].as_u64().unwrap();
        assert!(iteration == last || iteration == last + 1, "{run}");
        last = iteration;
    }
    assert!(last > 0, "{run}");
}

/// Asserts that the rows of a list and what it leaves out are the totals.
#[track_caller]
fn assert_adds_up(census: &Value, list: &str) {
    let omitted = &census[format!("{list}_omitted")];
    for (field, total) in [("count", "total_objects"), ("size_bytes", "total_size_bytes")] {
        let rows = census[list].as_array().unwrap().iter().map(|row| row[field].as_u64().unwrap());
        let all = rows.sum::<u64>() + omitted[field].as_u64().unwrap_or(0);
        assert_eq!(Some(all), census[total].as_u64(), "{list} {field}: {census}");
    }
}

#[test]
fn census_line_adds_up() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    let target = Target::start(python, "signals.py", &[]);
    let run = memobj(target.pid(), &[]).run().expect_code(0);
    assert_eq!(run.err(), "", "{run}");
    let records = run.records();
    let [census] = &records[..] else { panic!("{run}") };
    assert_eq!(
        (&census["type"], &census["iteration"], &census["schema"]),
        (&"census".into(), &1.into(), &2.into())
    );
    assert_eq!((&census["pid"], &census["root_pid"]), (&target.pid().into(), &Value::Null));
    let (major, minor) = python.version;
    let version = census["python"]["version"].as_str().unwrap();
    assert!(version.starts_with(&format!("{major}.{minor}.")), "{version}");
    assert_eq!(census["python"]["implementation"], "cpython");
    assert!(
        census["cmdline"]
            .as_array()
            .unwrap()
            .iter()
            .any(|word| word.as_str().unwrap().ends_with("signals.py"))
    );
    // It waits for its input.
    assert_eq!((&census["method"], &census["scope"]), (&"quiet".into(), &"reachable".into()));
    assert_eq!(census["pause_seconds"], 0.0, "{census}");
    assert!(census["tracked_objects"].as_u64() < census["total_objects"].as_u64(), "{census}");
    assert_adds_up(census, "types");
    assert_adds_up(census, "modules");
    let threads = census["threads"].as_array().unwrap();
    assert!(threads.len() == 1 && threads[0]["main"] == true, "{census}");
    assert_eq!(threads[0]["function"], "main", "it waits there for its input");
    let names: Vec<&str> =
        census["types"].as_array().unwrap().iter().map(|row| row["type"].as_str().unwrap()).collect();
    for name in ["str", "dict", "code", "function", "type"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &run.stdout).unwrap();
    let options = Options { progress: false, ..Options::new("counting") };
    let summary = read(&[Input::from(file.path())], &options, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!((summary.moments, summary.scanned), (1, 1), "{run}");
}

#[test]
fn terminal_gets_tables() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    let target = Target::start(python, "grow.py", &["2", "20"]);
    let mut session = Terminal::new(bin("memobj"))
        .args(["-i", "300ms", "-l", "4", "-p", &target.pid().to_string()])
        .size(100, 60)
        .start();
    session.wait_screen("change since #1");
    session.wait_screen("all objects");
    let text = session.text();
    for part in
        ["#1", "types (", "packages (", "threads (1)", "garbage collector: enabled", "coverage", " pause"]
    {
        assert!(text.contains(part), "{part}: {session}");
    }
    assert!(text.contains("\u{1b}[31m+"), "growth is red: {session}");
    session.type_keys(CTRL_C);
    assert_eq!(session.finish().code(), Some(0), "{session}");
    session.wait_screen("censuses in");
}

/// Asserts that what memobj found is all there, read as the target ran since there was no room for a copy.
#[track_caller]
fn assert_read_for_want_of_room(run: &Run) {
    let records = run.records();
    let [census] = &records[..] else { panic!("{run}") };
    assert_eq!(
        (&census["method"], &census["live_reason"], &census["pause_seconds"]),
        (&"live".into(), &"memory".into(), &Value::Null),
        "{run}"
    );
    let of = |name: &str| census["types"].as_array().unwrap().iter().find(|row| row["type"] == name);
    assert_eq!(of("__main__.Boxed").unwrap()["count"], 1234, "{run}");
    assert!(of("bytearray").unwrap()["size_bytes"].as_u64() > Some(600 << 20), "{run}");
}

#[test]
fn no_room_for_copy_reads_live() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    let code = "
import sys
class Boxed: pass
kept = [Boxed() for _ in range(1234)], bytearray(b'x') * (600 << 20)
print('ready', flush=True)
sys.stdin.read()";
    let mut target = Tool::new(&python.path).args(["-I", "-S", "-c", code]).start();
    target.wait_line("ready");
    let pid = target.pid().to_string();
    // Our own address space has none.
    let limited = |command: &str| {
        let line = format!("{command}; exec \"$@\"");
        Tool::new("sh").args(["-c", &line, "sh"]).arg(bin("memobj")).args(["-p", &pid])
    };
    assert_read_for_want_of_room(&limited("ulimit -v 500000").run().expect_code(0));
    let text = limited("ulimit -v 500000").args(["--format", "text"]).run().expect_code(0).out();
    assert!(text.contains("no room for a copy"), "{text}");
    // What is to be saved has to be copied.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("saved.mem");
    let run = limited("ulimit -v 500000").arg("--save-snapshot").arg(&file).run().expect_code(2);
    assert!(run.err().contains("no room for a copy of 6") && !file.exists(), "{run}");
    // It is paused by then, and has to run on.
    let run = limited("ulimit -v 500000").args(["--stop-first", "--save-snapshot"]).arg(&file).run();
    let run = run.expect_code(2);
    assert!(run.err().contains("no room for a copy of 6") && !file.exists(), "{run}");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("TracerPid:\t0\n") && status.contains("State:\tS"), "{status}");

    // Our own control group has none.
    let group = crate::or_skip!(ControlGroup::limited("room", 300 << 20));
    let run = limited(&format!("echo $$ > {}", group.file("cgroup.procs").display())).run();
    assert_read_for_want_of_room(&run.expect_code(0));
}

#[test]
fn reserved_memory_is_free() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    // 0x4000: MAP_NORESERVE. Two of its pages are touched, far from each other.
    let code = "
import mmap, sys
try: kept = mmap.mmap(-1, 64 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)
except OSError: print('ready', 'not given', flush=True)
else:
    kept[0] = kept[40 << 30] = 1
    print('ready', 'given', flush=True)
sys.stdin.read()";
    let mut target = Tool::new(&python.path).args(["-I", "-S", "-c", code]).start();
    if target.wait_line("ready ") == "not given" {
        crate::skip!("the kernel reserves no 64 GiB");
    }
    for args in [&[][..], &["--no-stop"], &["--holders"], &["--memory"]] {
        let run = memobj(target.pid(), args).run().expect_code(0);
        let records = run.records();
        // A bit for every eight bytes of it would be 1 GiB.
        let peak = records[0]["memobj_peak_bytes"].as_u64().unwrap();
        assert!(peak < 128 << 20, "{args:?}: {peak}");
    }
}

#[test]
fn output_appends_to_both_files() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    let target = Target::start(python, "signals.py", &[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new/folder/objects");
    let shown = file.to_str().unwrap();
    for _ in 0..2 {
        let run = memobj(target.pid(), &["-i", "20ms", "--count", "2", "-o", shown, "--no-cmdline"]).run();
        assert_eq!((run.out(), run.err()), (String::new(), String::new()), "{run}");
    }
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!((text.matches("\n#2  ").count(), text.matches("  types (").count()), (2, 4), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    let records = crate::support::json_lines(&std::fs::read(file.with_extension("jsonl")).unwrap());
    let numbers: Vec<_> = records.iter().map(|record| record["iteration"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 1, 2]);
    assert_ne!(records[1]["run"], records[2]["run"]);
    assert!(
        records.iter().all(|record| record["cmdline"].is_null() && record["python"]["executable"].is_null())
    );
    let nowhere = memobj(target.pid(), &["-o", "/proc/no/such/file"]).run().expect_code(2);
    assert!(nowhere.err().starts_with("memobj: /proc/no/such/file"), "{nowhere}");
}

#[test]
fn run_ends_by_ctrl_c_count_or_time() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    let target = Target::start(python, "signals.py", &[]);
    let mut asked = memobj(target.pid(), &["-i", "30ms"]).start();
    asked.wait_line("{\"type\":\"census\"");
    asked.signal(Signal::INT);
    let asked = asked.finish(PATIENCE).expect_code(0);
    assert_whole(&asked);
    let counted = memobj(target.pid(), &["-i", "30ms", "--count", "3"]).run().expect_code(0);
    assert_whole(&counted);
    assert_eq!(of(&counted.records(), "census").len(), 3, "{counted}");
    let timed = memobj(target.pid(), &["-i", "30ms", "--duration", "1s"]).run().expect_code(0);
    assert_whole(&timed);
    assert!(!timed.records().is_empty());
}

#[test]
fn closed_stdout_ends_the_run() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    let target = Target::start(python, "signals.py", &[]);
    let script = format!("'{}' -i 20ms -p {} | head -n 2", bin("memobj").display(), target.pid());
    let run = Tool::new("sh").args(["-c", &script]).run().expect_code(0);
    assert_eq!((run.records().len(), run.err()), (2, String::new()), "{run}");
}

/// Starts `memobj -- python -c code`.
fn launch(python: &Python, args: &[&str], code: &str) -> Background {
    Tool::ours("memobj").args(args).arg("--").arg(&python.path).args(["-I", "-c", code]).start()
}

#[test]
fn launch_returns_command_status() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    let code = "import os; print('begun', flush=True); os.read(0, 1); raise SystemExit(7)";
    let mut launched = launch(python, &["-i", "50ms"], code);
    wait_until(PATIENCE, "two censuses", || of(&launched.records(), "census").len() >= 2);
    launched.close_stdin();
    let run = launched.finish(PATIENCE).expect_code(7);
    assert_eq!(run.err(), "begun\n", "{run}");
    assert_whole(&run);
    let records = run.records();
    assert_eq!(records[0]["type"], "census", "nothing is told of an interpreter that is not up yet: {run}");
    let ends = of(&records, "process_event");
    let [end] = ends[..] else { panic!("{run}") };
    assert_eq!(
        (&end["event"], &end["exit_code"], &end["pid"]),
        (&"exited".into(), &7.into(), &records[0]["pid"])
    );
}

#[test]
fn command_outlives_counting() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    let mut launched = Tool::ours("memobj")
        .args(["-i", "10ms", "--count", "1", "--"])
        .arg(&python.path)
        .args(["-B", "tests/targets/signals.py", "5"])
        .dir(crate::support::workspace::root())
        .start();
    wait_until(PATIENCE, "a census", || !launched.records().is_empty());
    wait_until(PATIENCE, "the program", || launched.err().contains("ready "));
    launched.signal(Signal::TERM);
    wait_until(PATIENCE, "the signal", || launched.err().contains("got TERM"));
    launched.close_stdin();
    let run = launched.finish(PATIENCE).expect_code(5);
    assert_eq!(of(&run.records(), "census").len(), 1, "{run}");
}

#[test]
fn launched_non_python_is_left_alone() {
    let run = Tool::ours("memobj").args(["--", "sh", "-c", "echo out; exit 3"]).run().expect_code(3);
    let records = run.records();
    assert_eq!(
        (records.len(), &records[0]["event"], &records[0]["exit_code"]),
        (1, &"exited".into(), &3.into())
    );
    assert!(run.err().starts_with("out\nmemobj: no census was taken"), "{run}");
    let run = Tool::ours("memobj").args(["--", "/no/such/program"]).run().expect_code(127);
    assert!(run.err().starts_with("memobj: /no/such/program: "), "{run}");
}

#[test]
fn tree_follows_births_and_exits() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    // A shell with a Python below it, and another that comes later and goes.
    let wait = "import os; os.read(3, 1)";
    let script =
        format!("'{0}' -I -c '{wait}' 3<&4 & read x; '{0}' -I -c '{wait}' 3<&4; wait", python.path.display());
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    Tool::new("mkfifo").arg(&pipe).run().expect_code(0);
    // For both ways, so that opening it waits for nobody, and held by this test until both shall end.
    let script = format!("exec 4<'{}'; {script}", pipe.display());
    let held = std::fs::File::options().read(true).write(true).open(&pipe).unwrap();
    let mut root = Tool::new("sh").args(["-c", &script]).start();
    let pid = root.pid();
    let counter = memobj(pid, &["--tree", "-i", "50ms"]).start();
    let pids = |records: &[Value]| -> std::collections::BTreeSet<u64> {
        of(records, "census").iter().map(|census| census["pid"].as_u64().unwrap()).collect()
    };
    wait_until(PATIENCE, "the first Python", || pids(&counter.records()).len() == 1 || counter.has_ended());
    root.write("\n");
    wait_until(PATIENCE, "the second Python", || pids(&counter.records()).len() == 2 || counter.has_ended());
    drop(held);
    let run = counter.finish(PATIENCE).expect_code(0);
    assert_whole(&run);
    let records = run.records();
    for census in of(&records, "census") {
        assert_eq!(census["root_pid"], pid, "{run}");
    }
    let ended: Vec<u64> =
        of(&records, "process_event").iter().map(|event| event["pid"].as_u64().unwrap()).collect();
    assert_eq!(ended.len(), 2, "the shell is no Python: {run}");
    assert!(ended.iter().all(|pid| pids(&records).contains(pid)), "{run}");
}

#[test]
fn snapshot_repeats_the_census() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    let target = Target::start(python, "signals.py", &[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("snapshot");
    let shown = file.to_str().unwrap();
    let live = memobj(target.pid(), &["--save-snapshot", shown]).run().expect_code(0);
    drop(target);
    let told = |run: &Run| {
        let mut record = run.records().remove(0);
        for field in ["timestamp", "run", "duration_seconds", "memobj_peak_bytes"] {
            record.as_object_mut().unwrap().remove(field);
        }
        record
    };
    let again = || Tool::ours("memobj").args(["--snapshot", shown]).run().expect_code(0);
    let first = told(&again());
    assert_eq!(first, told(&again()));
    assert_eq!(first["method"], "snapshot");
    let live = told(&live);
    for field in
        ["pid", "start_ticks", "total_objects", "total_size_bytes", "types", "threads", "gc", "coverage"]
    {
        assert_eq!(first[field], live[field], "{field}");
    }
}

#[test]
fn censuses_pipe_to_memdiff() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    let target = Target::start(python, "grow.py", &["5", "20"]);
    let (memobj, memdiff) = (bin("memobj"), bin("memdiff"));
    let script = format!(
        "'{}' -i 500ms --count 3 -p {} | '{}' --threshold 1M",
        memobj.display(),
        target.pid(),
        memdiff.display()
    );
    let run = Tool::new("sh").args(["-c", &script]).run().expect_code(1);
    assert!(run.out().contains("bytearray") && run.out().contains("all Python objects"), "{run}");
}

#[test]
fn help_and_usage_errors() {
    let short = Tool::ours("memobj").arg("-h").run().expect_code(0);
    assert!(short.out().contains("memobj -p 1234 ") && short.out().contains("| memdiff"), "{short}");
    let help = Tool::ours("memobj").arg("--help").run().expect_code(0);
    for part in ["sys.getsizeof", "EINTR", "SYS_PTRACE", "Exit status"] {
        assert!(help.out().contains(part), "{part}: {help}");
    }
    assert!(!help.out().contains("--locate"), "{help}");
    let run = Tool::ours("memobj").run().expect_code(2);
    assert!(run.err().starts_with("memobj: nothing to count: "), "{run}");
    let run = Tool::ours("memobj").args(["-p", "1", "--", "python"]).run().expect_code(2);
    assert!(run.out().is_empty() && run.err().contains("cannot be used with"), "{run}");
}

#[test]
fn long_names_are_cut_with_a_mark() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    let script = "import sys\nkind = type('C' * 10_000_000, (), {'__module__': 'm' * 5_000_000})\n\
                  kept = [kind() for _ in range(5000)]\nprint('ready', flush=True)\nsys.stdin.read()";
    let mut target = Tool::new(&python.path).args(["-c", script]).start();
    target.wait_line("ready");
    let run = memobj(target.pid(), &["--holders"]).run().expect_code(0);
    let record = &run.records()[0];
    let name = record["types"]
        .as_array()
        .unwrap()
        .iter()
        .find_map(|row| row["type"].as_str().filter(|name| name.contains("CCC") && row["count"] == 5000));
    let name = name.unwrap_or_else(|| panic!("no such type: {run}"));
    assert_eq!(name, format!("{}….{}…", "m".repeat(1024), "C".repeat(1024)));
    assert!(run.stdout.len() < 1 << 20, "{} bytes", run.stdout.len());
}
