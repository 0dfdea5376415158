//! The support of the other tests, tested: what it waits for, what it kills, what it finds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::process::{descendants, is_alive, state_and_parent};
use crate::support::python::{Target, psutil, python, pythons, script};
use crate::support::{PATIENCE, Tool, json_lines, skip, wait_for, wait_gone, wait_until};

fn shell(script: &str) -> Tool {
    Tool::new("sh").args(["-c", script])
}

/// The message with which `body` panics.
fn panic_of(body: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(body)).expect_err("it did not panic");
    payload.downcast_ref::<String>().expect("a message").clone()
}

fn children(pid: u32) -> Vec<u32> {
    descendants(pid)
        .into_iter()
        .filter(|&child| state_and_parent(child).is_some_and(|(_, p)| p == pid))
        .collect()
}

#[test]
fn a_run_has_everything_a_program_said_and_how_it_ended() {
    let run = shell("cat; echo \"$WORD $PWD\" >&2; exit 7").stdin("in\n").env("WORD", "x").dir("/proc").run();
    assert_eq!((run.code(), run.signal()), (Some(7), None));
    assert_eq!((run.out(), run.err()), ("in\n".to_owned(), "x /proc\n".to_owned()));
    let run = shell("kill -TERM $$").run();
    assert_eq!((run.code(), run.signal()), (None, Some(15)));
    let message = panic_of(|| drop(shell("echo here; exit 3").run().expect_code(0)));
    assert!(message.contains("here") && message.contains('3'), "{message}");
}

#[test]
fn more_than_a_pipe_holds_goes_in_and_out() {
    let input = vec![b'x'; 3 << 20];
    let run = Tool::new("cat").stdin(input.clone()).run().expect_code(0);
    assert!(run.stdout == input, "{} bytes came back", run.stdout.len());
    // And a program that reads nothing of it is not waited for.
    shell("exec <&-; exit 0").stdin(input).run().expect_code(0);
}

#[test]
fn a_program_that_takes_too_long_fails_with_what_it_printed_and_is_killed_with_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let script =
        "sleep 1000 & echo $! > pids; setsid sleep 1000 & echo $! >> pids; echo began; echo bad >&2; wait";
    let message = panic_of(|| drop(shell(script).dir(folder.path()).limit(Duration::from_millis(700)).run()));
    assert!(
        message.contains("still runs") && message.contains("began") && message.contains("bad"),
        "{message}"
    );
    let pids = std::fs::read_to_string(folder.path().join("pids")).unwrap();
    assert_eq!(pids.lines().count(), 2);
    pids.lines().for_each(|pid| wait_gone(pid.parse().unwrap()));
}

#[test]
fn a_program_that_leaves_its_outputs_to_another_is_found_out() {
    let message = panic_of(|| drop(shell("sleep 1000 & exit 0").limit(Duration::from_millis(500)).run()));
    assert!(message.contains("still held open"), "{message}");
}

#[test]
fn what_is_dropped_is_killed_with_all_below_it() {
    let mut process = shell("setsid sleep 1000 & sleep 1000 & echo two; wait").start();
    process.wait_line("two");
    let pid = process.pid();
    let below = wait_for(PATIENCE, "two children", || Some(descendants(pid)).filter(|d| d.len() == 2));
    drop(process);
    for pid in [&below[..], &[pid]].concat() {
        wait_gone(pid);
    }
}

#[test]
fn lines_and_records_are_seen_while_the_program_runs() {
    let mut process =
        shell(r#"echo '{"n":1}'; read x; printf '{"n":2}\n{"n":'; read x; echo "3}" >&2; read x"#).start();
    process.wait_line("{\"n\":1");
    process.write("\n");
    wait_until(PATIENCE, "half a line", || process.out().ends_with("{\"n\":"));
    assert_eq!(process.records().iter().map(|r| r["n"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2]);
    process.write("\n");
    wait_until(PATIENCE, "a word on stderr", || process.err() == "3}\n");
    assert!(!process.has_ended());
    process.signal(Signal::TERM);
    assert_eq!(process.finish(PATIENCE).signal(), Some(15));
    let message = panic_of(|| drop(shell("echo other").start().wait_line("awaited")));
    assert!(message.contains("ended before") && message.contains("other"), "{message}");
}

#[test]
fn waiting_ends_when_it_should() {
    let mut left = 3;
    assert_eq!(
        wait_for(PATIENCE, "three looks", || {
            left -= 1;
            (left == 0).then_some("there")
        }),
        "there"
    );
    let start = Instant::now();
    let message = panic_of(|| wait_until(Duration::from_millis(50), "the impossible", || false));
    assert!(message.contains("the impossible") && start.elapsed() >= Duration::from_millis(50), "{message}");
}

#[test]
fn lines_that_are_no_records_are_not_passed_over() {
    let run = shell(r#"echo '{"a":1}'; echo '{"a":2}'"#).run();
    assert_eq!(
        run.records().iter().map(|record| record["a"].as_u64()).collect::<Vec<_>>(),
        [Some(1), Some(2)]
    );
    for (text, word) in [("{\"a\":1}\nx\n", "line 2"), ("[]\n", "no object"), ("{}\n\n{}\n", "line 2")] {
        assert!(panic_of(|| drop(json_lines(text.as_bytes()))).contains(word), "{text}");
    }
}

#[test]
fn a_skip_is_noted_with_the_tests_name_and_reason() {
    assert_eq!(skip::entry(Some("some::test"), "module", 7, "no moon"), "SKIPPED: some::test: no moon\n");
    assert_eq!(skip::entry(Some("main"), "module", 7, "no sun"), "SKIPPED: module:7: no sun\n");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("skipped.txt");
    skip::append(&file, "one\n");
    skip::append(&file, "two\n");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\ntwo\n");
}

#[test]
fn interpreters_are_themselves_and_each_is_there_once() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    assert!(python.version >= (3, 4), "{python:?}");
    let program = std::fs::read(&python.path).unwrap();
    assert!(program.starts_with(b"\x7fELF"), "{python:?} is a wrapper");
    let all = pythons();
    for (index, one) in all.iter().enumerate() {
        assert!(!all[..index].iter().any(|other| other.path == one.path), "{one:?} twice");
        assert_eq!(std::fs::canonicalize(&one.path).unwrap(), one.path);
    }
}

#[test]
fn psutil_measures() {
    let interpreter: &Path = crate::or_skip!(psutil(), "no psutil: ");
    let run =
        Tool::new(interpreter).args(["-c", "import psutil; print(psutil.Process().memory_info().rss)"]).run();
    let rss: u64 = run.expect_code(0).out().trim().parse().unwrap();
    assert!(rss > 1 << 20, "{rss}");
    assert_eq!(psutil(), Ok(interpreter));
}

#[test]
fn a_tree_has_its_width_and_depth_and_leaves_nothing_behind() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    for (args, below, direct) in
        [(["3", "2", "1"], 12, 3), (["1", "41", "0"], 41, 1), (["60", "1", "0"], 60, 60)]
    {
        let mut tree = Target::start(python, "tree.py", &args);
        assert_eq!(tree.pid(), tree.process.pid());
        let all = descendants(tree.pid());
        assert_eq!((all.len(), children(tree.pid()).len()), (below, direct), "{args:?}");
        tree.process.close_stdin();
        assert_eq!(tree.process.finish(PATIENCE).code(), Some(0));
        assert!(!all.iter().any(|&pid| is_alive(pid)), "{args:?}");
    }
    // And if the first is killed, the others end by themselves.
    let tree = Target::start(python, "tree.py", &["2", "2", "0"]);
    let all = descendants(tree.pid());
    tree.process.signal(Signal::KILL);
    assert_eq!(tree.process.finish(PATIENCE).signal(), Some(9));
    all.into_iter().for_each(wait_gone);
}

#[test]
fn a_storm_tells_what_it_made() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let run = script(python, "storm.py", &["0.5"]).run().expect_code(0);
    let (ready, told) = run.out().split_once('\n').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert!(ready.starts_with("ready "));
    let told = &json_lines(told.as_bytes())[0];
    let exits = told["exits"].as_array().unwrap();
    assert!(exits.len() > 10 && told["made"] == exits.len(), "{} were made", exits.len());
    let mut codes: Vec<u64> = exits.iter().map(|exit| exit[1].as_u64().unwrap()).collect();
    codes.sort_unstable();
    let mut expected: Vec<u64> = (0..exits.len() as u64).map(|n| n % 256).collect();
    expected.sort_unstable();
    assert_eq!(codes, expected);
}

#[test]
fn one_that_grows_grows_to_its_most_and_stays() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let mut target = Target::start(python, "grow.py", &["400", "40"]);
    target.process.wait_line("grown");
    let status = std::fs::read_to_string(format!("/proc/{}/status", target.pid())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = resident.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    assert!(kib > 40 << 10, "{kib} KiB");
    assert!(!target.process.has_ended());
    assert_eq!(target.process.finish(PATIENCE).code(), Some(0));
    // Without an end it stops when its stdin closes.
    let target = Target::start(python, "grow.py", &["1"]);
    assert_eq!(target.process.finish(PATIENCE).code(), Some(0));
}

#[test]
fn a_hostile_name_and_arguments_are_as_bad_as_promised() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let target = Target::start(python, "hostile_name.py", &[]);
    let read = |file: &str| std::fs::read(format!("/proc/{}/{file}", target.pid())).unwrap();
    assert_eq!(read("comm"), b"a) R 1\n\x1b[31m\xff\"\n");
    let arguments = read("cmdline");
    let longest = arguments.split(|&byte| byte == 0).map(<[u8]>::len).max();
    assert!(longest == Some(100_000) && arguments.contains(&b'\n') && arguments.contains(&0x1b));
    assert!(String::from_utf8(arguments).is_err());
    assert_eq!(state_and_parent(target.pid()).map(|(_, parent)| parent), Some(std::process::id()));
}

#[test]
fn one_that_becomes_another_keeps_its_pid() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let mut target = Target::start(python, "execer.py", &[]);
    target.process.write("cat\nfor cat\n");
    target.process.wait_line("for cat");
    let comm = std::fs::read_to_string(format!("/proc/{}/comm", target.pid())).unwrap();
    assert_eq!(comm, "cat\n");
    assert_eq!(target.process.finish(PATIENCE).code(), Some(0));
}

#[test]
fn stopped_ended_and_orphaned_children_are_what_they_say() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let stopper = Target::start(python, "stopper.py", &[]);
    assert_eq!(state_and_parent(stopper.ready[1]), Some(('T', stopper.pid())));
    assert_eq!(stopper.process.finish(PATIENCE).code(), Some(0));

    let zombie = Target::start(python, "zombie.py", &[]);
    assert_eq!(state_and_parent(zombie.ready[1]), Some(('Z', zombie.pid())));
    assert_eq!(zombie.process.finish(PATIENCE).code(), Some(0));

    let mut orphan = Target::start(python, "orphan.py", &[]);
    let [pid, child, grandchild] = orphan.ready[..] else { panic!("{:?}", orphan.ready) };
    assert_eq!(descendants(pid), [child, grandchild]);
    orphan.process.write("leave\n");
    orphan.process.wait_line("orphaned");
    assert!(!is_alive(child) && is_alive(grandchild) && descendants(pid).is_empty());
    assert_eq!(orphan.process.finish(PATIENCE).code(), Some(0));
    wait_gone(grandchild);
}
