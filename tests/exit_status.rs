//! How `memmon -- COMMAND` ends: by signals that are passed on, by limits, and what is left behind.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::launching::{events, of_type};
use crate::support::process::is_alive;
use crate::support::pty::{CTRL_C, Terminal};
use crate::support::python::{Python, Target, python};
use crate::support::{Background, PATIENCE, Tool, bin, workspace};

/// A target of `tests/targets/` below memmon, which leaves it its stdin and stdout.
fn below_memmon(python: &Python, log: &std::path::Path, name: &str, args: &[&str]) -> Background {
    Tool::ours("memmon")
        .args(["-i", "10m", "-o"])
        .arg(log)
        .arg("--")
        .arg(&python.path)
        .arg("-B")
        .arg(workspace::root().join("tests/targets").join(name))
        .args(args)
        .start()
}

fn count(text: &str, line: &str) -> usize {
    text.lines().filter(|one| *one == line).count()
}

#[test]
fn signal_is_forwarded_once() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let folder = tempfile::tempdir().unwrap();
    let mut process = below_memmon(python, &folder.path().join("log"), "signals.py", &["5"]);
    process.wait_line("ready ");
    let sent = [
        (Signal::TERM, "got TERM"),
        (Signal::USR1, "got USR1"),
        (Signal::INT, "got INT"),
        (Signal::HUP, "got HUP"),
        (Signal::QUIT, "got QUIT"),
    ];
    for (signal, line) in sent {
        process.signal(signal);
        process.wait_line(line);
    }
    // What came twice would have come by now.
    process.signal(Signal::USR2);
    process.wait_line("got USR2");
    process.close_stdin();
    let run = process.finish(PATIENCE).expect_code(5);
    for (_, line) in sent {
        assert_eq!(count(&run.out(), line), 1, "{run}");
    }
}

#[test]
fn signaled_command_status() {
    let mut process =
        Tool::ours("memmon").args(["-i", "10m", "--", "sh", "-c", "echo here; exec sleep 1000"]).start();
    crate::support::wait_until(PATIENCE, "the command", || process.err().contains("here"));
    process.close_stdin();
    process.signal(Signal::TERM);
    let run = process.finish(PATIENCE).expect_code(143);
    assert_eq!(events(&run.records(), "exited")[0]["signal"], 15);
}

#[test]
fn ctrl_c_reaches_command_once() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let target = workspace::root().join("tests/targets/signals.py");
    let mut session = Terminal::new(bin("memmon"))
        .args(["--no-save", "-i", "10m", "-o", "/dev/null", "--"])
        .args([python.path.as_os_str(), "-B".as_ref(), target.as_os_str(), "6".as_ref()])
        .start();
    session.wait_screen("ready ");
    session.type_keys(CTRL_C);
    session.wait_screen("got INT");
    // Twice, as memmon may attend to the first of these before the other.
    for name in [Signal::USR1, Signal::USR2] {
        session.signal(name);
    }
    session.wait_screen("got USR1");
    session.wait_screen("got USR2");
    // Ctrl-D: the end of what is typed.
    session.type_keys("\x04");
    assert_eq!(session.finish().code(), Some(6), "{session}");
    assert_eq!(session.text().matches("got INT").count(), 1, "{session}");
}

#[test]
fn ctrl_c_exit_is_130() {
    let mut session = Terminal::new(bin("memmon"))
        .args(["--no-save", "-i", "10m", "--", "sh", "-c", "echo he''re; exec sleep 1000"])
        .start();
    session.wait_screen("here");
    session.type_keys(CTRL_C);
    assert_eq!(session.finish().code(), Some(130), "{session}");
}

#[test]
fn hangup_reaches_the_command() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let said = folder.path().join("said");
    // With memmon as the leader of the session, as under `ssh -t`, only memmon receives the kernel's signal.
    let script = "trap 'echo HUP >>said; exit 8' HUP; echo ready; while :; do sleep 0.05; done";
    let mut session = Terminal::new(bin("memmon"))
        .args(["-i", "10m", "-o"])
        .args([log.as_os_str(), "--".as_ref(), "sh".as_ref(), "-c".as_ref(), script.as_ref()])
        .dir(folder.path())
        .start();
    session.wait_screen("ready");
    session.hang_up();
    assert_eq!(session.finish().code(), Some(8), "{}", python.path.display());
    assert_eq!(std::fs::read_to_string(said).unwrap(), "HUP\n");
}

/// A shell whose Python child grows, and the last words.
fn growing(limit: &str) -> (crate::support::Run, Vec<Value>) {
    let python = python().unwrap();
    let target = workspace::root().join("tests/targets/grow.py");
    // Behind `&` the shell would take its stdin away, and with that end it.
    let script = "exec 3<&0; \"$1\" -B \"$2\" 400 2000 <&3 & sleep 1000 & wait";
    let mut process = Tool::ours("memmon")
        .args(["-i", "50ms", "--fail-above", limit, "--", "sh", "-c", script, "sh"])
        .args([&python.path, &target])
        .start();
    crate::support::wait_until(PATIENCE, "the end", || process.has_ended());
    process.close_stdin();
    let run = process.finish(PATIENCE).expect_code(1);
    let records = run.records();
    (run, records)
}

#[test]
fn crossed_limit_ends_the_tree() {
    if python().is_none() {
        crate::skip!("no Python on this machine");
    }
    for (limit, metric) in [("total:150M", "total"), ("rss:150M", "rss")] {
        let (run, records) = growing(limit);
        let crossed = crate::launching::all_events(&records, "limit_crossed");
        let crossed = crossed.iter().find(|event| event["limit_bytes"] == 150 << 20).expect("the event");
        assert_eq!(crossed["metric"], metric);
        let name = crossed["name"].as_str().unwrap();
        assert!(name.starts_with("python") && crossed["pid"] != crossed["root_pid"], "{crossed}");
        assert!(crossed["value_bytes"].as_u64().unwrap() > 150 << 20, "{crossed}");
        let said: Vec<String> =
            run.err().lines().filter(|line| line.contains("limit crossed")).map(str::to_owned).collect();
        assert_eq!(said.len(), 1, "{run}");
        assert!(said[0].starts_with("memmon: ") && said[0].contains(name), "{said:?}");
        // Nothing lives on.
        let started = crate::launching::all_events(&records, "started");
        let last = of_type(&records, "process").pop().unwrap();
        let children = last["children"].as_array().unwrap();
        assert!(started.len() + children.len() >= 3, "{run}");
        for process in started.into_iter().chain(children) {
            assert!(!is_alive(u32::try_from(process["pid"].as_u64().unwrap()).unwrap()), "{process}");
        }
    }
}

#[test]
fn crossed_limit_spares_other_targets() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let target = Target::start(python, "grow.py", &["400", "200"]);
    let run = Tool::ours("memmon")
        .args(["-i", "50ms", "--fail-above", "rss:120M", "-p", &target.pid().to_string()])
        .run()
        .expect_code(1);
    let records = run.records();
    assert!(events(&records, "limit_crossed").iter().any(|event| event["pid"] == target.pid()), "{run}");
    assert!(is_alive(target.pid()) && !target.process.has_ended());
    assert_eq!(target.process.finish(PATIENCE).code(), Some(0));
}

#[test]
fn limit_holds_between_samples() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let target = Target::start(python, "grow.py", &["400", "200"]);
    let run = Tool::ours("memmon")
        .args(["-i", "10m", "--fail-above", "rss:120M", "-p", &target.pid().to_string()])
        .run()
        .expect_code(1);
    let records = run.records();
    let crossed = events(&records, "limit_crossed");
    assert_eq!(crossed.len(), 1, "{run}");
    let last = *of_type(&records, "process").last().unwrap();
    assert_eq!(crossed[0]["iteration"], last["iteration"], "a sample shows what it was: {run}");
    assert_eq!(crossed[0]["value_bytes"], last["rss_bytes"]);
    assert_eq!(target.process.finish(PATIENCE).code(), Some(0));
}

#[test]
fn missed_peak_is_found_at_exit() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    // A grandchild, over at once: hardly ever does a look come across it.
    let script = "\"$1\" -c 'x = bytearray(150 << 20); import os; os._exit(0)'; exit 0";
    let run = |limit: &str| {
        Tool::ours("memmon")
            .args(["-i", "10m", "--fail-above", limit, "--", "sh", "-c", script, "sh"])
            .arg(&python.path)
            .run()
    };
    for limit in ["120M", "rss:120M"] {
        let run = run(limit).expect_code(1);
        let records = run.records();
        let crossed = crate::launching::all_events(&records, "limit_crossed");
        assert_eq!(crossed.len(), 1, "{run}");
        assert!(crossed[0]["value_bytes"].as_u64().unwrap() > 120 << 20, "{run}");
        assert!(run.err().contains("limit crossed"), "{run}");
    }
    run("1G").expect_code(0);
    // The PSS at the peak is unknown.
    run("pss:120M").expect_code(0);
}

#[test]
fn killed_memmon_harms_no_target() {
    let target = Tool::new("cat").start();
    let memmon = Tool::ours("memmon").args(["-i", "20ms", "-p", &target.pid().to_string()]).start();
    crate::support::wait_until(PATIENCE, "a sample", || !memmon.records().is_empty());
    kill_process(Pid::from_raw(memmon.pid().cast_signed()).unwrap(), Signal::KILL).unwrap();
    assert_eq!(memmon.finish(PATIENCE).signal(), Some(9));
    assert!(is_alive(target.pid()));
    assert_eq!(target.finish(PATIENCE).code(), Some(0));
}
