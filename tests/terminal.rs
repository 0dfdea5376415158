//! memmon on a terminal: coloured text, a saved history, and no escape sequences from a target.

use std::fs;
use std::path::Path;

use crate::launching::of_type;
use crate::support::pty::{CTRL_C, Session, Terminal};
use crate::support::python::{Target, python};
use crate::support::{Background, PATIENCE, Tool, bin, json_lines, wait_until};

fn target() -> Background {
    Tool::new("cat").start()
}

/// memmon in a terminal, its state in `folder`.
fn memmon(folder: &Path, pid: u32, options: &[&str]) -> Terminal {
    Terminal::new(bin("memmon"))
        .args(["-p", &pid.to_string()])
        .args(options)
        .env("XDG_STATE_HOME", folder.join("state"))
        .dir(folder)
}

/// The lines of the saved history.
fn saved(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join("state/memtools/memmon")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn terminal_gets_text_and_history() {
    let folder = tempfile::tempdir().unwrap();
    let target = target();
    let mut session = memmon(folder.path(), target.pid(), &["-i", "20ms", "--count", "2"]).start();
    assert_eq!(session.finish().code(), Some(0), "{session}");
    let text = session.text();
    assert!(text.contains("\x1b[1m") && text.contains("\x1b[0m"), "no colour: {session}");
    let shown = session.screen();
    assert!(shown.contains("#1  ") && shown.contains("#2  ") && shown.contains("cat (pid "), "{session}");
    assert!(!shown.contains('{'), "{session}");
    let files = saved(folder.path());
    let [jsonl, txt] = &files[..] else { panic!("{files:?}") };
    assert!(jsonl.ends_with(&format!("_pid{}.jsonl", target.pid())) && txt.ends_with(".txt"), "{files:?}");
    // The last words say where.
    let last: Vec<&str> = text.lines().rev().take(2).collect();
    assert!(last[0].ends_with(txt.as_str()) && last[1].ends_with(jsonl.as_str()), "{last:?}");
    assert!(last.iter().all(|line| line.starts_with("memmon: saved /")), "{last:?}");
    let log = json_lines(&fs::read(folder.path().join("state/memtools/memmon").join(jsonl)).unwrap());
    assert_eq!(of_type(&log, "process").len(), 2);
    let block = fs::read(folder.path().join("state/memtools/memmon").join(txt)).unwrap();
    assert!(!block.contains(&0x1b), "a file has no colours");
}

#[test]
fn history_and_colour_can_be_off() {
    let folder = tempfile::tempdir().unwrap();
    let target = target();
    let options = ["-i", "20ms", "--count", "2", "--no-save"];
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let mut session = memmon(folder.path(), target.pid(), &options).env(name, value).start();
        assert_eq!(session.finish().code(), Some(0), "{session}");
        assert!(session.text().contains("#2  "), "{session}");
        assert!(!session.bytes().contains(&0x1b), "{name}: {session}");
        assert!(!session.text().contains("saved"), "{session}");
    }
    assert!(!folder.path().join("state").exists());
}

#[test]
fn pipe_gets_plain_jsonl() {
    let folder = tempfile::tempdir().unwrap();
    let target = target();
    let line = "\"$MEMMON\" -p $PID -i 20ms --count 2 | cat >log";
    let mut session = Terminal::new("sh")
        .args(["-c", line])
        .env("MEMMON", bin("memmon"))
        .env("PID", target.pid().to_string())
        .env("XDG_STATE_HOME", folder.path().join("state"))
        .dir(folder.path())
        .start();
    assert_eq!(session.finish().code(), Some(0), "{session}");
    let log = fs::read(folder.path().join("log")).unwrap();
    assert!(!log.contains(&0x1b));
    assert_eq!(of_type(&json_lines(&log), "process").len(), 2);
    assert!(saved(folder.path()).is_empty() && session.text().is_empty(), "{session}");
}

#[test]
fn unsaved_history_is_a_note() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("state"), "a file").unwrap();
    let target = target();
    let mut session = memmon(folder.path(), target.pid(), &["-i", "20ms", "--count", "1"]).start();
    assert_eq!(session.finish().code(), Some(0), "{session}");
    assert_eq!(session.text().matches("memmon: the history is not saved: ").count(), 1, "{session}");
    assert_eq!(session.text().matches("state/memtools").count(), 1, "{session}");
    assert!(session.screen().contains("#1  "), "{session}");
}

#[test]
fn ctrl_c_with_tee_leaves_whole_lines() {
    let folder = tempfile::tempdir().unwrap();
    let target = target();
    let line = "trap 'echo ended' INT; \"$MEMMON\" -p $PID -i 10ms | tee log.jsonl >/dev/null";
    let mut session = Terminal::new("sh")
        .args(["-c", line])
        .env("MEMMON", bin("memmon"))
        .env("PID", target.pid().to_string())
        .dir(folder.path())
        .start();
    let log = || fs::read(folder.path().join("log.jsonl")).unwrap_or_default();
    wait_until(PATIENCE, "three lines", || log().iter().filter(|&&byte| byte == b'\n').count() > 3);
    session.type_keys(CTRL_C);
    session.finish();
    assert!(session.text().contains("ended") && !session.text().contains("memmon: "), "{session}");
    assert!(log().ends_with(b"\n"));
    assert!(json_lines(&log()).len() > 3);
}

#[test]
fn ctrl_c_exits_0_with_summary() {
    let folder = tempfile::tempdir().unwrap();
    let target = target();
    let mut session = memmon(folder.path(), target.pid(), &["-i", "10m"]).start();
    session.wait_screen("#1  ");
    session.type_keys(CTRL_C);
    assert_eq!(session.finish().code(), Some(0), "{session}");
    assert!(session.text().contains("memmon: 1 sample in ") && saved(folder.path()).len() == 2, "{session}");
}

/// Nothing of what the target bears may have been obeyed.
#[track_caller]
fn assert_harmless(session: &Session) {
    assert_eq!(session.demands(), Vec::<String>::new(), "{session}");
    let bytes = session.bytes();
    let has = |payload: &[u8]| bytes.windows(payload.len()).any(|window| window == payload);
    for payload in
        [&b"\x1b]0;title"[..], b"\x1b[2J\x1b]", b"\x1b[31mred", b"\x07", b"\x1b[31m\xff", b"line\nend"]
    {
        assert!(!has(payload), "{payload:?}: {session}");
    }
    let text = String::from_utf8_lossy(&bytes);
    assert!(!text.contains(['\u{202e}', '\u{2066}', '\u{85}']), "{session}");
}

#[test]
fn hostile_names_are_escaped() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let folder = tempfile::tempdir().unwrap();
    let hostile = Target::start(python, "hostile_name.py", &["200"]);
    let mut session = memmon(folder.path(), hostile.pid(), &["-i", "20ms", "--count", "2"]).start();
    assert_eq!(session.finish().code(), Some(0), "{session}");
    assert!(session.text().contains("a) R 1\\n"), "{session}");
    assert_harmless(&session);

    // Without the command line the row has the name of the process, and not that of the script.
    let session = memmon(folder.path(), hostile.pid(), &["-i", "50ms", "--watch", "--no-cmdline"]).start();
    session.wait_screen("a) R 1\\n");
    assert_harmless(&session);
}
