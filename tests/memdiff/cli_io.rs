//! Pipes, terminals and signals.

use std::io::Write;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::{diff, error_line, sample_logs, written};
use crate::support::pty::Terminal;
use crate::support::{PATIENCE, bin, wait_until};

const RUN: &str = "00c0ffee00c0ffee";

fn bot(iteration: u64, mib: f64) -> String {
    sample_logs::tree(RUN, iteration, 10 * iteration.cast_signed(), &[(1, 10, "python3 bot.py", mib)])
}

#[test]
fn pipe_compares_each_record_at_once() {
    let mut running = diff(&["--format", "jsonl"]).start();
    running.write(&bot(1, 5.0));
    for n in 2..5_u32 {
        running.write(&bot(u64::from(n), 5.0 * f64::from(n)));
        wait_until(PATIENCE, "a difference while the pipe is open", || {
            running.records().len() == n as usize - 1
        });
    }
    let run = running.finish(PATIENCE).expect_code(1);
    let iterations: Vec<_> =
        run.records().iter().map(|r| (r["before"]["iteration"].clone(), r["iteration"].clone())).collect();
    assert_eq!(iterations, [(1.into(), 1.into()), (2.into(), 2.into()), (3.into(), 3.into())]);
    assert!(run.records().iter().all(|record| record["run"] == run.records()[0]["run"]));
}

#[test]
fn stdin_is_one_of_the_logs() {
    let folder = tempfile::tempdir().unwrap();
    let before = written(&folder, "before", &bot(1, 5.0));
    let after = bot(9, 50.0);
    let run = diff(&[before.to_str().unwrap(), "-"]).stdin(after.clone()).run().expect_code(1);
    assert!(run.out().contains("stdin #9") && run.out().contains("+45.00 MiB"), "{run}");
    let run = diff(&["-", before.to_str().unwrap()]).stdin(after).run().expect_code(0);
    assert!(run.out().contains("-45.00 MiB"), "{run}");
    // One record has none before it.
    let run = diff(&[]).stdin(bot(1, 5.0)).run().expect_code(2);
    assert!(error_line(&run).contains("stdin: no two records of one process"), "{run}");
    diff(&[]).run().expect_code(2);
}

#[test]
fn logs_of_different_programs_are_warned_about() {
    let folder = tempfile::tempdir().unwrap();
    let log = |name: &str, command: &str| {
        let line = sample_logs::tree(RUN, 1, 10, &[(1, 10, command, 5.0)]);
        written(&folder, name, &line).to_str().unwrap().to_owned()
    };
    let (bot, same, other) =
        (log("a", "python3 bot.py"), log("b", "python3 bot.py"), log("c", "redis-server"));
    let run = diff(&[&bot, &other]).run().expect_code(0);
    let expected = "memdiff: warning: these are different programs: python3 bot.py; and redis-server\n";
    assert_eq!(run.err(), expected, "{run}");
    assert!(diff(&[&bot, &same]).run().expect_code(0).err().is_empty());
}

#[test]
fn ctrl_c_reports_what_was_read() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut running = diff(&["--trend"]).start();
        running.write(&(1..=150_u32).map(|n| bot(u64::from(n), 10.0 + f64::from(n))).collect::<String>());
        // The error of this line shows that the lines before it were read.
        running.write("no record\n");
        wait_until(PATIENCE, "all to be read", || running.err().contains("stdin:151: "));
        running.signal(signal);
        // Its standard input stays open.
        wait_until(PATIENCE, "its end", || running.has_ended());
        let run = running.finish(PATIENCE).expect_code(1);
        assert!(
            run.out().starts_with("stdin: 150 measurements") && run.out().contains("grows by 360.0 MiB/h"),
            "{run}"
        );
    }
}

#[test]
fn every_shows_verdicts_last_counts() {
    let log: String = (1..=200_u32).map(|n| bot(u64::from(n), 10.0 + f64::from(n.min(90)))).collect();
    let run = diff(&["--trend", "--every", "80"]).stdin(log).run().expect_code(0);
    assert_eq!(run.out().matches(" measurements in ").count(), 3, "{run}");
    assert!(run.out().contains("grows by 360.0 MiB/h"), "{run}");
    // What has stopped to grow is not growing.
    assert!(run.out().rsplit("200 measurements").next().unwrap().contains("nothing is growing"), "{run}");
}

#[test]
fn closed_stdout_ends_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let log = written(&folder, "log", &(1..3000).map(|n| bot(n, 5.0)).collect::<String>());
    let mut child = Command::new(bin("memdiff"))
        .args(["--every", "1", log.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
    // And one that leaves while nothing comes.
    let mut child = Command::new(bin("memdiff"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(bot(1, 5.0).as_bytes()).unwrap();
    drop(child.stdout.take());
    wait_until(PATIENCE, "the end", || child.try_wait().unwrap().is_some());
    drop(stdin);
}

#[test]
fn full_disk_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let log = written(&folder, "log", &(bot(1, 5.0) + &bot(2, 5.0)));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Command::new(bin("memdiff")).arg(log).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("memdiff: stdout: "));
}

#[test]
fn terminal_gets_colour_and_width() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("python3 {}/worker.py --last", "very/long/path/".repeat(20));
    let log = sample_logs::tree(RUN, 1, 0, &[(1, 10, "bot", 5.0), (2, 20, &line, 5.0)])
        + &sample_logs::tree(RUN, 2, 10, &[(1, 10, "bot", 5.0), (2, 20, &line, 50.0)]);
    let log = written(&folder, "log", &log);
    let shown = |name: &str, value: &str| {
        let mut session = Terminal::new(bin("memdiff")).args([&log]).env(name, value).start();
        assert_eq!(session.finish().code(), Some(1), "{session}");
        session.text()
    };
    let text = shown("TZ", "UTC");
    assert!(text.contains("\u{1b}[31m+45.00 MiB\u{1b}[0m"), "{text:?}");
    let row = text.lines().find(|line| line.contains("MiB") && line.contains('…')).unwrap();
    assert!(row.trim_end().ends_with("--last"), "{row:?}");
    assert!(!shown("NO_COLOR", "1").contains('\u{1b}'));
    // Without anything to read it says what it needs, and does not wait.
    let mut session = Terminal::new(bin("memdiff")).start();
    assert_eq!(session.finish().code(), Some(2));
    assert!(
        session.text().contains("memdiff: nothing to compare: give one log or two, or pipe one in"),
        "{session}"
    );
}
