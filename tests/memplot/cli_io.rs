//! Output files and formats, and errors.

use std::process::Command;

use super::{folder, logs, memplot, write};
use crate::support::pty::Terminal;
use crate::support::{bin, which};

/// Width and height of a PNG.
fn png_size(bytes: &[u8]) -> (u32, u32) {
    assert_eq!(&bytes[..8], b"\x89PNG\r\n\x1a\n");
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

#[test]
fn file_extension_sets_the_format() {
    let folder = folder(&logs::objects());
    memplot(&["log.jsonl", "-o", "a.svg"]).dir(folder.path()).run().expect_code(0);
    memplot(&["log.jsonl", "-o", "a.png"]).dir(folder.path()).run().expect_code(0);
    memplot(&["log.jsonl", "-o"]).dir(folder.path()).run().expect_code(0);
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert!(read("a.svg").starts_with(b"<svg "));
    assert_eq!(png_size(&read("a.png")), (2100, 1200));
    assert_eq!(read("memory_analysis_plot.png"), read("a.png"));
    let run = memplot(&["log.jsonl", "--format", "png", "--size", "640x400"])
        .dir(folder.path())
        .run()
        .expect_code(0);
    assert_eq!(png_size(&run.stdout), (1000, 625));
}

#[test]
fn redirected_file_sets_the_format() {
    let folder = folder(&logs::objects());
    for (name, start) in
        [("a.png", &b"\x89PNG"[..]), ("a.html", b"<!DOCTYPE html>"), ("a.svg", b"<svg "), ("a", b"<svg ")]
    {
        let script = format!("{} log.jsonl > {name}", bin("memplot").display());
        let status = Command::new(which("bash")).args(["-c", &script]).current_dir(folder.path()).status();
        assert!(status.unwrap().success(), "{name}");
        assert!(std::fs::read(folder.path().join(name)).unwrap().starts_with(start), "{name}");
    }
    // What was meant to be written is not read.
    let run = memplot(&["log.jsonl", "a.png"]).dir(folder.path()).run().expect_code(2);
    assert!(run.err().contains("a.png: is the name of a picture") && run.err().contains("-o a.png"), "{run}");
    let picture = std::fs::read(folder.path().join("a.png")).unwrap();
    assert_eq!(png_size(&picture), (2100, 1200), "it is as it was");
}

#[test]
fn png_names_letters_without_a_font() {
    let log = logs::census(1, logs::START, &[("dict\u{10fffd}", 1 << 20)], None);
    let folder = folder(&log);
    let run = memplot(&["log.jsonl", "-o", "a.png"]).dir(folder.path()).run().expect_code(0);
    assert!(run.err().contains("1 letter") && run.err().lines().count() == 1, "{run}");
    let run = memplot(&["log.jsonl", "-o", "a.svg"]).dir(folder.path()).run().expect_code(0);
    assert_eq!(run.err(), "", "an SVG is drawn where it is shown");
}

#[test]
fn input_log_is_never_overwritten() {
    let log = logs::objects();
    let folder = folder(&log);
    let run = memplot(&["-o", "log.jsonl"]).stdin(log.clone()).dir(folder.path()).run().expect_code(2);
    assert!(run.err().contains("unknown file extension"), "{run}");
    let args = ["log.jsonl", "-o", "./log.jsonl", "--format", "svg"];
    let run = memplot(&args).dir(folder.path()).run().expect_code(2);
    assert!(run.err().contains("one of the logs to read"), "{run}");
    assert_eq!(std::fs::read_to_string(folder.path().join("log.jsonl")).unwrap(), log);
}

#[test]
fn png_is_refused_on_a_terminal() {
    let folder = folder(&logs::objects());
    let mut session =
        Terminal::new(bin("memplot")).args(["--format", "png", "log.jsonl"]).dir(folder.path()).start();
    session.wait_screen("redirect stdout");
    assert_eq!(session.finish().code(), Some(2));
}

#[test]
fn closed_pipe_and_full_disk() {
    let folder = folder(&logs::objects());
    let script = format!("{} log.jsonl | head -c 10; exit ${{PIPESTATUS[0]}}", bin("memplot").display());
    let output =
        Command::new(which("bash")).args(["-c", &script]).current_dir(folder.path()).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 10), "{output:?}");
    let run =
        memplot(&["log.jsonl", "-o", "/dev/full", "--format", "svg"]).dir(folder.path()).run().expect_code(2);
    assert!(run.err().contains("/dev/full: "), "{run}");
}

#[test]
fn errors_come_with_a_hint() {
    let folder = folder(&logs::objects());
    write(folder.path(), "tree.jsonl", &logs::hour());
    for (args, message) in [
        (&["log.jsonl", "--grep", "("][..], "--grep '('"),
        (&["log.jsonl", "--grep", "nothing like it"], "no name matches"),
        (&["log.jsonl", "--since", "2030-01-01"], "between --since and --until"),
        (&["tree.jsonl", "--what", "types"], "try --what processes"),
        (&["missing.jsonl"], "missing.jsonl"),
        (&["log.jsonl", "--trend", "tree.jsonl"], "no verdicts"),
        (&["log.jsonl", "-o", "no/such/folder/x.svg"], "no/such/folder/x.svg"),
    ] {
        let run = memplot(args).dir(folder.path()).run().expect_code(2);
        assert!(run.err().contains(message) && run.err().lines().count() == 1, "{args:?}: {run}");
    }
}

#[test]
fn ticks_use_the_local_time_zone() {
    let log = logs::hour();
    let words = |zone: &str| memplot(&[]).env("TZ", zone).stdin(log.clone()).run().expect_code(0).out();
    assert!(words("UTC").contains(">10:15<"), "{}", words("UTC"));
    assert!(words("JST-9").contains(">19:15<"));
}
