//! `memmon --watch`: a live screen, and a restored terminal after every exit.

use rustix::process::Signal;

use crate::support::process::state_and_parent;
use crate::support::pty::{CTRL_C, CTRL_Z, Session, Terminal};
use crate::support::{Background, PATIENCE, Tool, bin, wait_until};

fn target() -> Background {
    Tool::new("cat").start()
}

fn watch(pid: u32) -> Session {
    let session = Terminal::new(bin("memmon"))
        .args(["--watch", "--no-save", "-i", "100ms", "-p", &pid.to_string()])
        .start();
    session.wait_screen(&pid.to_string());
    session
}

/// The terminal is as a shell has it, and the picture is gone.
#[track_caller]
fn assert_given_back(session: &Session, pid: u32) {
    assert_eq!(session.is_taken_over(), (false, false), "{session}");
    assert!(session.is_cooked(), "{session}");
    assert!(!session.screen().contains(&format!("{pid}  ")), "{session}");
}

#[test]
fn screen_shows_names_and_sizes() {
    let mut target = Tool::new("sh").args(["-c", "sleep 1000 & echo child $!; read x"]).start();
    let child = target.wait_line("child ");
    let session = watch(target.pid());
    session.wait_screen("sleep");
    session.wait_screen(&child);
    let screen = session.screen();
    assert!(screen.contains("sh") && screen.matches("M ").count() >= 2, "{session}");
    assert_eq!(session.is_taken_over(), (true, true), "{session}");
    // Keys come at once and unseen, but Ctrl-C is still Ctrl-C.
    assert!(!session.is_cooked());
}

#[test]
fn watch_needs_a_terminal() {
    let run =
        Tool::ours("memmon").args(["--watch", "-p", &std::process::id().to_string()]).run().expect_code(2);
    assert_eq!(run.out(), "");
    assert!(run.err().starts_with("memmon: --watch needs a terminal"), "{run}");
}

#[test]
fn screen_follows_terminal_size() {
    let target = target();
    let session = watch(target.pid());
    for (columns, rows) in [(60, 12), (150, 45), (20, 4), (100, 30)] {
        let before = session.bytes().len();
        session.resize(columns, rows);
        // Cleared and drawn anew: at once, and whole.
        session.wait("a new picture", |session| {
            let bytes = session.bytes();
            let new = String::from_utf8_lossy(&bytes[before..]).into_owned();
            new.contains("\x1b[2J") && session.screen().lines().any(|line| !line.trim().is_empty())
        });
        let widest = session.screen().lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= usize::from(columns), "{widest} of {columns}: {session}");
    }
    session.wait_screen(&target.pid().to_string());
}

#[test]
fn every_exit_restores_terminal() {
    type Leave = fn(&Session);
    let ways: [(&str, Leave); 5] = [
        ("q", |session| session.type_keys("q")),
        ("Ctrl-C", |session| session.type_keys(CTRL_C)),
        ("Ctrl-C again and again", |session| (0..8).for_each(|_| session.type_keys(CTRL_C))),
        ("TERM", |session| session.signal(Signal::TERM)),
        ("HUP", |session| session.signal(Signal::HUP)),
    ];
    for (way, leave) in ways {
        let target = target();
        let mut session = watch(target.pid());
        leave(&session);
        let status = session.finish();
        let is_hasty = way.contains("again");
        assert!(status.code() == Some(0) || is_hasty, "{way}: {status} {session}");
        assert_given_back(&session, target.pid());
        assert!(session.text().contains(", at most ") || is_hasty, "{way}: {session}");
    }
}

#[test]
fn target_exit_restores_terminal() {
    let mut target = target();
    let mut session = watch(target.pid());
    target.close_stdin();
    assert_eq!(session.finish().code(), Some(0), "{session}");
    assert_given_back(&session, target.pid());
    drop(target);
}

#[test]
fn ctrl_z_suspends_the_screen() {
    let target = target();
    let mut session = watch(target.pid());
    session.type_keys(CTRL_Z);
    let state = |session: &Session| state_and_parent(session.pid()).map(|(state, _)| state);
    wait_until(PATIENCE, "the stop", || state(&session) == Some('T'));
    session.wait("the terminal given back", |session| session.is_taken_over() == (false, false));
    assert_given_back(&session, target.pid());
    session.signal(Signal::CONT);
    session.wait("the screen", |session| session.is_taken_over() == (true, true));
    session.wait_screen(&target.pid().to_string());
    assert!(!session.is_cooked());
    session.type_keys("q");
    assert_eq!(session.finish().code(), Some(0), "{session}");
    assert_given_back(&session, target.pid());
}

#[test]
fn launched_command_keeps_keyboard() {
    let mut session = Terminal::new(bin("memmon"))
        .args(["--watch", "--no-save", "-i", "100ms", "--", "sh", "-c"])
        .args(["echo wor''ds; read line; echo \"read $line\" >&2; exec sleep 1000"])
        .start();
    session.wait_screen("words");
    session.type_keys("q\r");
    session.wait_screen("read q");
    session.wait_screen("sleep");
    session.type_keys(CTRL_C);
    assert_eq!(session.finish().code(), Some(130), "{session}");
    assert_eq!(session.is_taken_over(), (false, false), "{session}");
    assert!(session.is_cooked(), "{session}");
}
