//! `memmon -- COMMAND`: the command runs as it would alone, and memmon returns its status.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::support::process::{is_alive, state_and_parent};
use crate::support::python::{python, script};
use crate::support::{PATIENCE, Run, Tool, bin, json_lines, wait_for, wait_gone, wait_until};

/// An interval that no test waits for.
const LONG: &str = "10m";

fn memmon(args: &[&str]) -> Tool {
    Tool::ours("memmon").args(args)
}

fn shell(options: &[&str], script: &str) -> Tool {
    memmon(options).args(["--", "sh", "-c", script])
}

pub fn of_type<'a>(records: &'a [Value], kind: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["type"] == kind).collect()
}

/// The events of that kind about the command itself.
pub fn events<'a>(records: &'a [Value], event: &str) -> Vec<&'a Value> {
    all_events(records, event).into_iter().filter(|record| record["pid"] == record["root_pid"]).collect()
}

/// The events of that kind about the command and all below it.
pub fn all_events<'a>(records: &'a [Value], event: &str) -> Vec<&'a Value> {
    of_type(records, "process_event").into_iter().filter(|record| record["event"] == event).collect()
}

#[test]
fn command_status_is_returned() {
    for (script, code) in
        [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
    {
        let run = shell(&["-i", LONG], script).run().expect_code(code);
        assert_eq!(run.err(), "", "nothing is to be said about an end");
        let records = run.records();
        let ends = events(&records, "exited");
        assert_eq!(ends.len(), 1, "{script}: {run}");
        if code > 128 && code < 255 {
            assert_eq!((&ends[0]["signal"], &ends[0]["exit_code"]), (&(code - 128).into(), &Value::Null));
        } else {
            assert_eq!((&ends[0]["exit_code"], &ends[0]["signal"]), (&code.into(), &Value::Null));
        }
    }
}

#[test]
fn unstartable_command_status() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plain.txt");
    fs::write(&file, "no program").unwrap();
    for (command, code) in
        [("no-such-command-here", 127), ("./no/such/file", 127), ("./plain.txt", 126), (".", 126)]
    {
        let run = memmon(&["--"]).arg(command).dir(folder.path()).run().expect_code(code);
        assert_eq!(run.out(), "", "{command}");
        let said = run.err();
        assert!(said.starts_with("memmon: ") && said.lines().count() == 1, "{command}: {said}");
    }
    // The bit is set, but it is no program.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    memmon(&["--", "./plain.txt"]).dir(folder.path()).run().expect_code(126);
    memmon(&["--", ""]).run().expect_code(2);
}

#[test]
fn early_exit_is_reported_once() {
    for extra in ["--no-cmdline", "--no-connector"] {
        for (command, code) in [("false", 1), ("true", 0)].repeat(6) {
            let run = memmon(&["-i", LONG, extra, "--", command]).run().expect_code(code);
            let records = run.records();
            let ends = events(&records, "exited");
            assert_eq!(ends.len(), 1, "{run}");
            assert_eq!(ends[0]["exit_code"], code, "{run}");
        }
    }
}

#[test]
fn arguments_arrive_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let words: [&[u8]; 8] = [b"a b", b"", b"--", b"-p", b"--help", b"\xff\xfe\n", b"$HOME *", b"--watch"];
    let run = memmon(&["-o", "log", "--", "sh", "-c", "printf '%s\\0' \"$@\"", "sh"])
        .args(words.map(|word| OsString::from_vec(word.to_vec())))
        .dir(folder.path())
        .run()
        .expect_code(0);
    assert_eq!(run.stdout, words.map(|word| [word, b"\0"].concat()).concat());
}

#[test]
fn stdin_passes_output_to_stderr() {
    let input = "line\n".repeat(100_000);
    let run = memmon(&["-i", LONG, "--", "cat"]).stdin(input.clone()).run().expect_code(0);
    assert!(run.err() == input, "{} bytes of {}", run.stderr.len(), input.len());
    assert!(
        run.records().iter().all(|record| record["type"] == "process" || record["type"] == "process_event")
    );

    let run = shell(&["-i", LONG], "echo '{\"out\":1}'; echo err >&2; echo out").run().expect_code(0);
    assert_eq!(run.err(), "{\"out\":1}\nerr\nout\n");
    assert!(run.records().iter().all(|record| record["out"].is_null()), "{run}");
}

#[test]
fn output_file_keeps_command_streams() {
    let folder = tempfile::tempdir().unwrap();
    let line =
        r#"seq 500 | "$MEMMON" -i 10m -o deep/log.jsonl -- sh -c 'cat; echo oops >&2; exit 0' | wc -l"#;
    let run = Tool::new("sh")
        .args(["-c", line])
        .env("MEMMON", bin("memmon"))
        .dir(folder.path())
        .run()
        .expect_code(0);
    assert_eq!((run.out().trim(), run.err().as_str()), ("500", "oops\n"));
    let log = folder.path().join("deep/log.jsonl");
    let first = json_lines(&fs::read(&log).unwrap());
    assert_eq!(events(&first, "exited").len(), 1);

    // A log is added to.
    shell(&["-o", "deep/log.jsonl"], "exit 3").dir(folder.path()).run().expect_code(3);
    let both = json_lines(&fs::read(&log).unwrap());
    assert_eq!(both[..first.len()], first);
    assert!(both.len() > first.len() && both[first.len()]["run"] != first[0]["run"]);
}

#[test]
fn prefixed_lines_keep_bytes() {
    let script =
        r"printf 'caf\351 \377\n'; sleep 0.2; printf '\033[1mbold\n' >&2; sleep 0.2; printf 'no end'";
    let run = shell(&["-i", LONG, "--prefix"], script).run().expect_code(0);
    assert_eq!(run.stderr, b"[sh] caf\xe9 \xff\n[sh!] \x1b[1mbold\n[sh] no end\n");
    assert!(of_type(&run.records(), "output").is_empty());
}

#[test]
fn output_is_recorded_by_line() {
    let script = r"echo one; sleep 0.2; printf 'caf\351\tx\n' >&2; sleep 0.2; printf last";
    let run = shell(&["-i", LONG, "--record-output"], script).run().expect_code(0);
    assert_eq!(run.stderr, b"[sh] one\n[sh!] caf\xe9\tx\n[sh] last\n");
    let records = run.records();
    let outputs: Vec<_> =
        of_type(&records, "output").iter().map(|r| (r["stream"].clone(), r["line"].clone())).collect();
    let expected = [("stdout", "one"), ("stderr", "caf\u{fffd}\tx"), ("stdout", "last")];
    assert_eq!(outputs, expected.map(|(stream, line)| (stream.into(), line.into())));
}

#[test]
fn unread_stderr_blocks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // The shell holds both ends, so that writing is possible, and reads nothing.
    let line = r#"mkfifo unread; exec 3<>unread
        "$MEMMON" -i 10m --prefix -- sh -c 'yes | head -c 20000000; exit 6' 2>unread"#;
    let run = Tool::new("sh").args(["-c", line]).env("MEMMON", bin("memmon")).dir(folder.path()).run();
    assert_eq!(events(&run.expect_code(6).records(), "exited").len(), 1);
}

/// An interpreter that says who it is.
fn fake_python(file: &Path) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, "#!/bin/sh\necho \"$0 ran $*\"\n").unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn script_uses_project_interpreter() {
    let folder = tempfile::tempdir().unwrap();
    let place = fs::canonicalize(folder.path()).unwrap();
    let project = place.join("project");
    fs::create_dir_all(&project).unwrap();
    fs::write(project.join("bot.py"), "").unwrap();
    fake_python(&place.join("path/python3"));
    let run = || -> Run {
        memmon(&["-o", "/dev/null", "--", "bot.py", "--count", "x y"])
            .env("PATH", place.join("path"))
            .env("VIRTUAL_ENV", place.join("active"))
            .dir(&project)
            .run()
            .expect_code(0)
    };
    // Each is preferred to those made before it.
    for (file, shown) in [
        ("path/python3", place.join("path/python3")),
        ("active/bin/python", place.join("active/bin/python")),
        ("project/venv/Scripts/python.exe", "venv/Scripts/python.exe".into()),
        ("project/venv/bin/python", "venv/bin/python".into()),
        ("project/.venv/bin/python", ".venv/bin/python".into()),
    ] {
        fake_python(&place.join(file));
        let run = run();
        assert_eq!(run.out(), format!("{} ran bot.py --count x y\n", place.join(file).display()));
        assert_eq!(run.err(), format!("memmon: running bot.py with {}\n", shown.display()));
    }
    memmon(&["--", "missing.py"]).dir(&project).run().expect_code(127);
}

#[test]
fn real_script_runs() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bot.py"), "import sys; print(sys.argv); sys.exit(4)").unwrap();
    let bin = folder.path().join(".venv/bin");
    fs::create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink(&python.path, bin.join("python")).unwrap();
    let run = memmon(&["-o", "log", "--", "bot.py", "-v"]).dir(folder.path()).run().expect_code(4);
    assert_eq!(run.out(), "['bot.py', '-v']\n");
    assert_eq!(run.err(), "memmon: running bot.py with .venv/bin/python\n");
}

#[test]
fn bounds_do_not_end_the_command() {
    for enough in [["--count", "2"], ["--duration", "150ms"]] {
        let options = [&["-i", "20ms"][..], &enough].concat();
        let mut process = shell(&options, "read line; exit 9").start();
        let samples = |process: &crate::support::Background| of_type(&process.records(), "process").len();
        wait_until(PATIENCE, "two samples", || samples(&process) >= 2);
        std::thread::sleep(std::time::Duration::from_millis(400));
        let seen = samples(&process);
        assert!(!process.has_ended() && seen <= 8, "{enough:?}: {seen}");
        process.write("end\n");
        let run = process.finish(PATIENCE).expect_code(9);
        let records = run.records();
        assert_eq!(of_type(&records, "process").len(), seen);
        assert_eq!(events(&records, "exited").len(), 1);
    }
}

#[test]
fn daemon_is_left_and_reported() {
    let script = "setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo $!";
    let run = shell(&["-i", LONG], script).run().expect_code(0);
    let said = run.err();
    let (pid, rest) = said.split_once('\n').unwrap();
    let pid: u32 = pid.parse().unwrap();
    let lives = is_alive(pid);
    if lives {
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    assert!(lives, "{run}");
    assert_eq!(rest, "memmon: 1 process that the command started still runs; it was left alone\n");
    wait_gone(pid);
}

#[test]
fn orphan_leaves_no_zombie() {
    let mut process =
        shell(&["-i", "100ms"], "(sh -c 'read x; exit 4' <&3 & echo $! >&2) 3<&0; exec sleep 1000").start();
    let orphan: u32 = wait_for(PATIENCE, "the orphan's pid", || process.err().trim().parse().ok());
    wait_until(PATIENCE, "the orphan's new parent", || {
        state_and_parent(orphan).is_some_and(|(_, parent)| parent == process.pid())
    });
    // Where the kernel does not tell of births, a sample must have come across it.
    wait_until(PATIENCE, "its birth", || {
        all_events(&process.records(), "started").iter().any(|start| start["pid"] == orphan)
    });
    process.write("end\n");
    wait_until(PATIENCE, "the orphan's very end", || state_and_parent(orphan).is_none());
    wait_until(PATIENCE, "its status", || {
        let records = process.records();
        all_events(&records, "exited").iter().any(|end| end["pid"] == orphan && end["exit_code"] == 4)
    });
    process.signal(rustix::process::Signal::TERM);
    process.finish(PATIENCE).expect_code(143);
}

#[test]
fn signal_target_works() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let run = script(python, "signals.py", &["6"]).run().expect_code(6);
    assert!(run.out().starts_with("ready "));
}
