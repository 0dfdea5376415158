//! `memobj --leaks` names what leaks and who holds it, how fast, and reports no leak of programs that do not leak.

mod children;
mod code;
mod every_shape;
mod shapes;
mod text;

use std::time::Duration;

use serde_json::Value;

use crate::support::interpreters::{Interpreter, interpreters, loads, script};
use crate::support::{Background, Run, Tool, workspace};

/// Seven censuses of each target, however long they take: a time limit leaves too few on a busy machine. Without a nice value the analysis
/// gets its share of the processors there.
const LOOK: [&str; 8] = ["--count", "7", "-i", "0.5", "--max-pause", "1m", "--nice", "0"];
/// The rate of all targets, in steps a second.
const RATE: f64 = 200.0;
/// A search that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(600);

/// Starts a target in a shape, and waits until it is under way.
fn start(interpreter: &Interpreter, shape: &str) -> Background {
    let file = workspace::root().join("tests/targets/leaks/shapes.py");
    let mut target = script(interpreter, &file).arg(shape).env("RATE", RATE.to_string()).start();
    target.wait_line("ready ");
    target
}

/// What memobj says of a running target.
fn look(target: &Background) -> Run {
    Tool::ours("memobj").args(["--leaks", "-p"]).arg(target.pid().to_string()).args(LOOK).limit(LIMIT).run()
}

/// The verdict of a run.
#[track_caller]
fn verdict(run: &Run) -> Value {
    let records = run.records();
    let mut leaks = records.into_iter().filter(|record| record["type"] == "leaks");
    let first = leaks.next().unwrap_or_else(|| panic!("no verdict: {run}"));
    assert!(leaks.next().is_none(), "{run}");
    first
}

/// The only leak of a verdict that is no side effect of another.
#[track_caller]
fn only_leak(run: &Run) -> Value {
    let record = verdict(run);
    let leaks = record["leaks"].as_array().unwrap();
    let own: Vec<&Value> = leaks.iter().filter(|leak| leak["side_effect_of"].is_null()).collect();
    assert_eq!(own.len(), 1, "{run}");
    own[0].clone()
}

/// The interpreters whose locks and garbage collector are the usual ones, the oldest first.
fn all_usual() -> impl DoubleEndedIterator<Item = &'static Interpreter> {
    interpreters().iter().filter(|interpreter| !interpreter.free_threaded && !interpreter.debug)
}

/// The newest of them.
fn usual() -> Option<&'static Interpreter> {
    all_usual().next_back()
}

#[test]
fn impossible_plans_are_refused() {
    for args in [
        &["--leaks", "-p", "1", "--for", "1s", "-i", "1s"][..],
        &["--leaks", "-p", "1", "--for", "1h", "-i", "1s"],
        &["--leaks", "-p", "1", "--count", "2"],
        &["--leaks", "--core", "core"],
        &["--for", "3s", "-p", "1"],
        &["--leaks", "-p", "1", "--holders"],
    ] {
        let run = Tool::ours("memobj").args(args).run().expect_code(2);
        assert!(run.err().contains("--") || run.err().contains("census"), "{run}");
    }
}

#[test]
fn launched_leak_sets_exit_code() {
    let Some(interpreter) = usual() else { crate::skip!("no Python on this machine") };
    let text = "import time\nkept = []\nfor n in range(900):\n    kept.append('x' * 100 + str(n))\n    time.sleep(0.005)\n";
    let run = Tool::ours("memobj")
        .args(["--leaks", "--for", "2s", "-i", "0.4", "--"])
        .arg(&interpreter.program)
        .args(["-I", "-S", "-c", text])
        .limit(LIMIT)
        .run()
        .expect_code(1);
    assert_eq!(verdict(&run)["leaks"][0]["holder"], "__main__.kept", "{run}");
}

#[test]
fn leaking_worker_stands_out() {
    let Some(interpreter) = usual() else { crate::skip!("no Python on this machine") };
    let file = workspace::root().join("tests/targets/leaks/workers.py");
    let mut target = script(interpreter, &file).start();
    target.wait_line("ready ");
    let run = Tool::ours("memobj")
        .args(["--leaks", "--tree", "-p"])
        .arg(target.pid().to_string())
        .args(LOOK)
        .limit(LIMIT)
        .run()
        .expect_code(1);
    let records = run.records();
    let leaks: Vec<&Value> = records.iter().filter(|record| record["type"] == "leaks").collect();
    assert_eq!(leaks.len(), 5, "the parent and four workers: {run}");
    assert_eq!(leaks[0]["verdict"], "leak", "{run}");
    assert_eq!(leaks[0]["peers"]["is_outlier"], true, "{run}");
    let others = leaks.iter().skip(1);
    assert!(others.clone().all(|record| record["verdict"] == "none"), "{run}");
    assert_eq!(others.filter(|record| record["peers"]["is_outlier"] == true).count(), 0, "{run}");
}

#[track_caller]
fn assert_near(value: f64, wanted: f64, tolerance: f64, run: &Run) {
    assert!((value - wanted).abs() <= wanted * tolerance, "{value} instead of {wanted}: {run}");
}

#[test]
fn rate_and_freed_bytes_agree() {
    let Some(interpreter) = usual() else { crate::skip!("no Python on this machine") };
    for shape in ["wrapped_twice", "errors_in_dicts"] {
        let run = look(&start(interpreter, shape));
        let leak = only_leak(&run);
        let minutes = verdict(&run)["duration_seconds"].as_f64().unwrap() / 60.0;
        let added = leak["added_bytes"].as_f64().unwrap();
        assert_near(leak["bytes_per_minute"].as_f64().unwrap() * minutes, added, 0.15, &run);
        let all = leak["retained_bytes"].as_f64().unwrap();
        assert!(all >= added * 0.85, "{run}");
    }
}

#[test]
fn native_memory_belongs_to_its_entries() {
    let Some(interpreter) = usual().filter(|usual| loads(usual, "zlib")) else {
        crate::skip!("no Python with zlib on this machine")
    };
    let run = look(&start(interpreter, "native_each"));
    let leak = only_leak(&run);
    assert_eq!(leak["native_type"], "zlib.Compress", "{run}");
    let record = verdict(&run);
    assert_eq!(record["memory"]["is_leak"], false, "{run}");
    let grown = record["last_rss_bytes"].as_f64().unwrap() - record["first_rss_bytes"].as_f64().unwrap();
    let minutes = record["duration_seconds"].as_f64().unwrap() / 60.0;
    assert_near(leak["native_bytes_per_minute"].as_f64().unwrap() * minutes, grown, 0.25, &run);
    assert!(record["memory"]["explained_bytes"].as_f64().unwrap() >= grown * 0.8, "{run}");
}
