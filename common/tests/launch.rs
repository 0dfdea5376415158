//! Real commands, started and ended.
//!
//! All children of a process are the launcher's, so these tests have a process to themselves, and take turns in it.
//! Where the streams or the signals of the launching program matter, this program starts itself again in a role.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, and what they share")]

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::launch::{
    Environment, ExitStatus, FORWARDED, Launched, Output, Plan, Reaped, RelayOptions, resolve,
};
use common::record::OutputStream;
use common::signal::{Received, Signals};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

const LIMIT: Duration = Duration::from_secs(30);

/// One test at a time: the children of all of them are the children of one process.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn plan(words: &[&str]) -> Plan {
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    resolve(&words, &Environment::current()).unwrap()
}

fn sh(script: &str) -> Plan {
    plan(&["sh", "-c", script])
}

fn start(script: &str) -> Launched {
    Launched::spawn(&sh(script), Output::Inherit).unwrap()
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let limit = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < limit, "waited for {what} in vain");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn wait(launched: &mut Launched) -> ExitStatus {
    wait_until("the command's end", || {
        launched.reap(|_| {});
        launched.exit_status().is_some()
    });
    launched.exit_status().unwrap()
}

fn has_children() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::All, options), Err(Errno::CHILD))
}

/// The file's content, once there is any.
fn when_written(file: &Path) -> String {
    let mut text = String::new();
    wait_until("a file", || {
        text = fs::read_to_string(file).unwrap_or_default();
        text.ends_with('\n')
    });
    text
}

fn exit_of(script: &str) -> u8 {
    wait(&mut start(script)).exit_code()
}

#[test]
fn exit_status_is_the_commands() {
    let _turn = alone();
    assert_eq!(exit_of("exit 0"), 0);
    assert_eq!(exit_of("exit 7"), 7);
    assert_eq!(exit_of("exit 255"), 255);
    assert_eq!(exit_of("kill -KILL $$"), 137);
    assert_eq!(exit_of("kill -TERM $$"), 143);
    // Real-time signals have no names.
    assert_eq!(exit_of("kill -35 $$"), 163);
    assert!(matches!(wait(&mut start("kill -9 $$")), ExitStatus::Signaled { signal: 9, core_dumped: false }));
    assert!(!has_children());
}

#[test]
fn failed_start_gives_reason() {
    let _turn = alone();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.into_os_string().into_string().unwrap()
    };
    let failure = |word: &str| {
        let failure = Launched::spawn(&plan(&[word]), Output::Inherit).unwrap_err();
        assert!(!failure.message.contains('\n') && failure.message.contains(word), "{failure:?}");
        (failure.code, failure.message + "; " + &failure.hint)
    };
    let check = |word: &str, code, words: &str| {
        let (got, text) = failure(word);
        assert!(got == code && text.contains(words), "{got} {text}");
    };
    check("no-such-command-7", 127, "check the spelling");
    check("/nowhere/at/all", 127, "check the path");
    check("/tmp", 126, "it is a folder");
    check(&file("plain", "echo hi\n", 0o644), 126, "chmod +x");
    check(&file("no-line", "echo hi\n", 0o755), 126, "name its interpreter: sh ");
    check(
        &file("bad-line", "#!/nowhere/sh -e\necho hi\n", 0o755),
        126,
        "interpreter '/nowhere/sh -e' is not there",
    );
    check(&(file("not-a-folder", "", 0o644) + "/x"), 126, "");
    assert!(!has_children());
}

#[test]
fn orphan_is_adopted_and_reaped() {
    let _turn = alone();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script = format!("sh -c 'sleep 0.5 & echo $! > {}' & wait; exit 5", file.display());
    let mut launched = start(&script);
    let orphan: u32 = when_written(&file).trim().parse().unwrap();
    assert_eq!(wait(&mut launched), ExitStatus::Exited(5));
    assert_eq!(launched.leftovers(), [orphan]);

    let mut states = HashMap::new();
    let mut reaped = Vec::new();
    wait_until("the orphan's end", || {
        let before = |pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            states.insert(pid, stat.rsplit_once(") ").unwrap().1.starts_with('Z'));
        };
        reaped.append(&mut launched.reap(before));
        !has_children()
    });
    assert_eq!(reaped, [Reaped { pid: orphan, status: ExitStatus::Exited(0) }]);
    assert_eq!(states, HashMap::from([(orphan, true)]));
    assert_eq!(launched.leftovers(), [0; 0]);
    assert_eq!(launched.exit_status(), Some(ExitStatus::Exited(5)));
}

#[test]
fn realtime_signal_end_is_reaped() {
    let _turn = alone();
    let mut launched = start("(sh -c 'kill -35 $$' &); (sh -c 'exit 3' &); exec sleep 0.3");
    let mut statuses = Vec::new();
    wait_until("all ends", || {
        statuses.extend(launched.reap(|_| {}).iter().map(|reaped| reaped.status.exit_code()));
        !has_children()
    });
    statuses.sort_unstable();
    // dash starts a further shell for each pair of brackets; it waits for those itself.
    assert_eq!(statuses, [0, 3, 163]);
}

#[test]
fn missed_signals_are_forwarded() {
    let _turn = alone();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ready");
    let began = || {
        let _ = fs::remove_file(&file);
        let traps: String =
            FORWARDED.iter().map(|number| format!("trap 'exit {}' {number}; ", 40 + number)).collect();
        let script = format!("{traps} echo ready > {}; while :; do sleep 0.02; done", file.display());
        // A shell sets no trap for what was ignored when it began, as under nohup(1) or behind `&`.
        let words = ["env", "--default-signal", "sh", "-c", &script];
        let launched = Launched::spawn(&plan(&words), Output::Inherit).unwrap();
        when_written(&file);
        launched
    };
    for number in FORWARDED {
        let mut launched = began();
        let by = |sent_by_process| Received { number, sent_by_process };
        let from_terminal = [Signal::INT, Signal::QUIT, Signal::HUP].map(Signal::as_raw).contains(&number);
        if from_terminal {
            assert!(!launched.forward(by(false)));
            std::thread::sleep(Duration::from_millis(60));
            assert_eq!((launched.reap(|_| {}), launched.exit_status()), (vec![], None));
            assert!(launched.forward(by(true)));
        } else {
            assert!(launched.forward(by(false)));
        }
        assert_eq!(wait(&mut launched), ExitStatus::Exited(40 + number));
        // The number is free for others now.
        assert!(!launched.forward(by(true)));
    }
    let mut launched = began();
    for signal in [Signal::TSTP, Signal::STOP, Signal::KILL, Signal::CHILD] {
        assert!(!launched.forward(Received { number: signal.as_raw(), sent_by_process: true }));
    }
    assert!(!launched.forward(Received { number: 64, sent_by_process: true }));
    launched.terminate(LIMIT, |_| {});
}

#[test]
fn sigterm_ignorers_are_killed() {
    let _turn = alone();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let idle = "while :; do sleep 0.05; done";
    let mut launched =
        start(&format!("trap '' TERM; (trap '' TERM; {idle}) & echo $! > {}; {idle}", file.display()));
    let child: u32 = when_written(&file).trim().parse().unwrap();
    let mut told = Vec::new();
    let begun = Instant::now();
    let grace = Duration::from_millis(300);
    let done = launched.terminate(grace, |pid| told.push(pid));
    assert!(begun.elapsed() >= grace && begun.elapsed() < grace + Duration::from_secs(5));
    assert_eq!(launched.exit_status(), Some(ExitStatus::Signaled { signal: 9, core_dumped: false }));
    assert!(done.killed.contains(&launched.pid()) && done.killed.contains(&child), "{done:?}");
    assert_eq!(done.survivors, [0; 0]);
    assert_eq!(told, done.reaped.iter().map(|reaped| reaped.pid).collect::<Vec<_>>());
    assert!(!has_children());
}

#[test]
fn shell_children_get_sigterm() {
    let _turn = alone();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("said");
    // The shell ends at SIGTERM and tells nobody; one of its programs is in a session of its own.
    let script = format!(
        "exec 2> /dev/null; setsid sleep 600 & sh -c 'trap \"echo bye > {0}; exit 0\" TERM; echo up > {0}.up; while :; do sleep 0.02; done'; :",
        file.display()
    );
    let mut launched = start(&script);
    when_written(&file.with_extension("up"));
    let begun = Instant::now();
    let done = launched.terminate(LIMIT, |_| {});
    assert!(begun.elapsed() < LIMIT / 2, "{:?}", begun.elapsed());
    assert_eq!(launched.exit_status(), Some(ExitStatus::Signaled { signal: 15, core_dumped: false }));
    assert_eq!((done.killed, done.survivors), (vec![], vec![]));
    assert_eq!(fs::read_to_string(&file).unwrap(), "bye\n");
    assert!(!has_children());
}

#[test]
fn stopped_command_gets_sigterm() {
    let _turn = alone();
    let mut launched = start("kill -STOP $$; sleep 600");
    let stat = format!("/proc/{}/stat", launched.pid());
    wait_until("the stop", || fs::read_to_string(&stat).unwrap().contains(") T "));
    assert_eq!(launched.terminate(LIMIT, |_| {}).killed, [0; 0]);
    assert!(!has_children());
}

#[test]
fn fork_chain_is_terminated() {
    let _turn = alone();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("up");
    let mut launched = start(&format!(
        "trap '' TERM; next() {{ sleep 0.02; next & }}; next & echo up > {}; while :; do sleep 0.05; done",
        file.display()
    ));
    when_written(&file);
    let done = launched.terminate(Duration::from_millis(100), |_| {});
    assert_eq!(done.survivors, [0; 0]);
    assert!(!has_children());
}

#[test]
fn dropped_launch_ends_command() {
    let _turn = alone();
    let launched = start("sleep 600 & sleep 600");
    let pid = i32::try_from(launched.pid()).ok().and_then(Pid::from_raw).unwrap();
    drop(launched);
    assert_eq!(kill_process(pid, Signal::TERM), Err(Errno::SRCH));
    assert!(!has_children());

    // But a daemon that a command left on purpose stays.
    let mut launched = start("sleep 600 & exit 0");
    wait(&mut launched);
    let left = launched.leftovers();
    drop(launched);
    assert_eq!(left.len(), 1);
    let daemon = Pid::from_raw(i32::try_from(left[0]).unwrap()).unwrap();
    kill_process(daemon, Signal::KILL).unwrap();
    waitid(WaitId::Pid(daemon), WaitIdOptions::EXITED).unwrap();
}

#[test]
fn short_peak_is_measured() {
    let _turn = alone();
    let mut launched = start("head -c 60000000 /dev/zero | tail -c 60000000 | wc -c > /dev/null");
    assert_eq!(launched.max_rss_bytes(), None);
    wait(&mut launched);
    let max = launched.max_rss_bytes().unwrap();
    assert!((60_000_000..1_000_000_000).contains(&max), "{max}");
}

#[test]
fn kept_lines_equal_output() {
    let _turn = alone();
    let options = RelayOptions { tool: "test", to_stderr: false, name: None, keep: true };
    let script = r"printf 'caf\351\000\nno end'; printf 'oops\377\n' >&2; sleep 600 & exit 4";
    let mut launched = Launched::spawn(&sh(script), Output::Relay(options)).unwrap();
    assert_eq!(wait(&mut launched), ExitStatus::Exited(4));
    let mut relay = launched.take_relay().unwrap();
    let begun = Instant::now();
    // The daemon holds the pipes open.
    assert!(relay.finish(LIMIT).held_open && begun.elapsed() < LIMIT / 2);
    let lines = relay.lines().lines;
    let of = |stream| -> Vec<&[u8]> {
        lines.iter().filter(|line| line.stream == stream).map(|line| line.bytes.as_slice()).collect()
    };
    assert_eq!(of(OutputStream::Stdout), [&b"caf\xe9\0"[..], b"no end"]);
    assert_eq!(of(OutputStream::Stderr), [b"oops\xff"]);
    launched.terminate(LIMIT, |_| {});
    assert!(!has_children());
}

#[test]
fn script_runs_in_its_project() {
    let _turn = alone();
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join(".venv/bin");
    fs::create_dir_all(&bin).unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    fs::write(folder.path().join("src/bot.py"), "").unwrap();
    // Stands for an interpreter: it tells how it was called.
    fs::write(bin.join("real"), "#!/bin/sh\nprintf '%s\\n' \"$0\" \"$@\"\n").unwrap();
    fs::set_permissions(bin.join("real"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("real", bin.join("python")).unwrap();
    let script = folder.path().join("src/bot.py").into_os_string().into_string().unwrap();
    let options = RelayOptions { tool: "test", to_stderr: false, name: None, keep: true };
    let mut launched = Launched::spawn(&plan(&[&script, "a b", ""]), Output::Relay(options)).unwrap();
    assert_eq!(wait(&mut launched), ExitStatus::Exited(0));
    let mut relay = launched.take_relay().unwrap();
    relay.finish(LIMIT);
    let said: Vec<String> =
        relay.lines().lines.iter().map(|line| String::from_utf8_lossy(&line.bytes).into_owned()).collect();
    let python = fs::canonicalize(&bin).unwrap().join("python");
    assert_eq!(said, [python.to_str().unwrap(), &script, "a b", ""]);
}

/// What this program does when it is started again by a test.
#[test]
fn role() {
    let Ok(role) = std::env::var("LAUNCH_ROLE") else { return };
    let options =
        |name: &str| RelayOptions { tool: "test", to_stderr: true, name: Some(name.into()), keep: false };
    let both = sh("echo out; echo err >&2; cat");
    let (plan, output) = match role.as_str() {
        "to_stderr" => (both, Output::ToStderr),
        "inherit" => (both, Output::Inherit),
        "relay" => (both, Output::Relay(options("sh"))),
        "unread" => (sh("yes 0123456789 | head -c 20000000"), Output::Relay(options("yes"))),
        "signals" => (plan(&["grep", "^Sig", "/proc/self/status"]), Output::Inherit),
        "true" => (plan(&["true"]), Output::Inherit),
        other => panic!("no role {other}"),
    };
    let _signals = Signals::catch(&FORWARDED, &[]).unwrap();
    let mut launched = Launched::spawn(&plan, output).unwrap();
    let ended = wait(&mut launched);
    let finished = launched.take_relay().map(|mut relay| relay.finish(Duration::from_millis(500)));
    println!("\nended: {ended:?} {finished:?}");
}

/// Starts this program in `role`, by way of a shell that executes it with `exec`.
fn in_role(role: &str, exec: &str) -> Command {
    let me: PathBuf = std::env::current_exe().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{exec} \"$0\" --exact role --nocapture")]).arg(me);
    command.env("LAUNCH_ROLE", role).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Its stdout and stderr, when it was given `input`.
fn played(role: &str, exec: &str, input: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut child = in_role(role, exec).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    (output.stdout, output.stderr)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[test]
fn output_goes_to_stderr_directly() {
    let _turn = alone();
    let (stdout, stderr) = played("to_stderr", "exec", b"in\xff\n");
    assert_eq!(stderr, b"out\nerr\nin\xff\n");
    assert!(!contains(&stdout, b"out\n") && contains(&stdout, b"ended: Exited(0) None"));
}

#[test]
fn inherited_streams_are_direct() {
    let _turn = alone();
    let (stdout, stderr) = played("inherit", "exec", b"in\xff no end");
    assert_eq!(stderr, b"err\n");
    assert!(contains(&stdout, b"out\nin\xff no end\nended: Exited(0) None"));
}

#[test]
fn relay_marks_lines_with_source() {
    let _turn = alone();
    let (stdout, stderr) = played("relay", "exec", b"in\xff no end");
    let mut lines: Vec<&[u8]> = stderr.split_inclusive(|&byte| byte == b'\n').collect();
    lines.sort_unstable();
    assert_eq!(lines, [&b"[sh!] err\n"[..], b"[sh] in\xff no end\n", b"[sh] out\n"]);
    assert!(contains(&stdout, b"held_open: false"));
}

#[test]
fn unread_stderr_blocks_nothing() {
    let _turn = alone();
    let mut child = in_role("unread", "exec").spawn().unwrap();
    let mut stdout = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut stdout).unwrap();
    let status = child.wait().unwrap();
    assert!(status.success() && status.signal().is_none());
    let stdout = String::from_utf8_lossy(&stdout);
    assert!(stdout.contains("ended: Exited(0) Some(Finished { lost: Lost { lines: "), "{stdout}");
    let mut stderr = Vec::new();
    child.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
    assert!(stderr.starts_with(b"[yes] 0123456789\n[yes] ") && stderr.len() < 1_000_000);
}

#[test]
#[cfg(target_os = "linux")]
fn ignored_signals_are_inherited() {
    let _turn = alone();
    let (stdout, _) = played("signals", "exec env --default-signal --ignore-signal=HUP,USR2", b"");
    let stdout = String::from_utf8_lossy(&stdout);
    let mask = |name: &str| {
        let line = stdout.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    };
    let of = |signals: &[Signal]| signals.iter().map(|signal| 1 << (signal.as_raw() - 1)).sum::<u64>();
    let ours = of(&FORWARDED.map(|number| Signal::from_named_raw(number).unwrap())) | of(&[Signal::PIPE]);
    assert_eq!(mask("SigIgn:") & ours, of(&[Signal::HUP, Signal::USR2]));
    assert_eq!((mask("SigBlk:"), mask("SigCgt:") & ours), (0, 0));
}

#[test]
#[cfg(target_os = "linux")]
fn discarded_status_is_unknown() {
    let _turn = alone();
    // Not by `trap`: some shells do not let go of this one.
    let (stdout, _) = played("true", "exec env --ignore-signal=CHLD", b"");
    assert!(contains(&stdout, b"ended: Unknown None"), "{}", String::from_utf8_lossy(&stdout));
}

#[test]
fn command_shares_process_group() {
    let _turn = alone();
    let launched = start("sleep 600");
    let pid = i32::try_from(launched.pid()).ok().map(nix::unistd::Pid::from_raw);
    // Not through `rustix`: the leader may be outside this pid namespace, where its number is 0 here.
    assert_eq!(nix::unistd::getpgid(pid).unwrap(), nix::unistd::getpgrp());
    drop(launched);
}
