//! What people see of events and errors, to the letter.

use common::record::{ErrorRecord, EventKind, Header, OutputRecord, OutputStream, ProcessEvent, Record};

use super::super::testing::{GIB, MIB, arguments, error, event, header, process};
use super::tests::{PLAIN, written};
use super::*;

/// The text after the block of iteration 1.
fn after_a_block(records: &[Record]) -> String {
    let block = [process(1, |_| {})];
    let text = written(PLAIN, &[&block, records].concat());
    text.strip_prefix(&written(PLAIN, &block)).unwrap().to_owned()
}

fn exited(pid: u32, change: impl FnOnce(&mut ProcessEvent)) -> Record {
    event(2, EventKind::Exited, pid, "convert", change)
}

fn started(n: u64, pid: u32) -> Record {
    event(n, EventKind::Started, pid, "convert", |e| e.cmdline = arguments(&["convert", "a b.png"]))
}

#[test]
fn events_stand_between_blocks() {
    let text = after_a_block(&[
        started(2, 1250),
        event(2, EventKind::Replaced, 1250, "magick", |e| e.cmdline = arguments(&["magick", "-x"])),
        exited(1250, |e| {
            (e.exit_code, e.lifetime_seconds, e.rss_peak_bytes) = (Some(0), Some(3.2), Some(12 * MIB));
        }),
        exited(1251, |e| (e.signal, e.lifetime_seconds) = (Some(9), Some(0.35))),
        exited(1252, |e| e.exit_code = Some(-1)),
        exited(1253, |e| (e.name, e.lifetime_seconds) = (None, Some(f64::NAN))),
        process(2, |_| {}),
    ]);
    assert_eq!(
        text,
        "
  + 1250 convert started: convert 'a b.png'
  ~ 1250 now runs magick: magick -x
  - 1250 convert ended: exit 0 after 3 s, peak 12.00 MiB
  - 1251 convert ended: SIGKILL after 350 ms
  - 1252 convert ended: exit -1
  - 1253 ended

#2  14:25:04  python3 (pid 1234)  sleeping  up 2 h 3 min
  RSS       100.00 MiB  ±0 B
  VMS       200.00 MiB  ±0 B
  children        none
  total     100.00 MiB  ±0 B  since #1
"
    );
}

#[test]
fn storm_is_summarized_except_roots() {
    let mut records: Vec<Record> = (0..41).map(|n| started(2, 2000 + n)).collect();
    records.extend(
        (0..39)
            .map(|n| exited(2000 + n, |e| if n < 2 { e.signal = Some(15) } else { e.exit_code = Some(0) })),
    );
    records.push(exited(1234, |e| e.signal = Some(11)));
    assert_eq!(
        after_a_block(&records),
        "\n  41 processes started, 39 ended (2 by signal)\n  - 1234 convert ended: SIGSEGV\n"
    );
    let failed = (0..7).map(|n| exited(n, |e| e.exit_code = Some(i32::from(n == 3))));
    let mut records: Vec<Record> = failed.collect();
    records.push(event(2, EventKind::Replaced, 9, "x", |_| {}));
    assert_eq!(after_a_block(&records), "\n  7 processes ended (1 failed), 1 now run another program\n");
    assert_eq!(after_a_block(&(0..6).map(|n| started(2, n)).collect::<Vec<_>>()).lines().count(), 1 + 6);
    assert_eq!(
        after_a_block(&(0..7).map(|n| started(2, n)).collect::<Vec<_>>()),
        "\n  7 processes started\n"
    );
}

#[test]
fn initial_processes_are_not_shown() {
    let there = event(1, EventKind::Started, 5, "sh", |e| e.at_start = Some(true));
    let output = Record::Output(OutputRecord::new(header(1), OutputStream::Stdout, "hello".to_owned()));
    let unknown = [event(1, EventKind::Unknown, 5, "sh", |_| {}), Record::Unknown("census".to_owned())];
    assert_eq!(after_a_block(&[&[there, output], &unknown[..]].concat()), "");
}

#[test]
fn events_without_sample_are_kept() {
    let text = after_a_block(&[started(2, 5), started(3, 6)]);
    assert_eq!(
        text,
        "\n  + 5 convert started: convert 'a b.png'\n\n  + 6 convert started: convert 'a b.png'\n"
    );
}

#[test]
fn drop_writes_pending_events() {
    let mut out = Vec::new();
    Text::new(&mut out, PLAIN).record(&started(1, 5)).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), "  + 5 convert started: convert 'a b.png'\n");
}

#[test]
fn warnings_follow_their_block() {
    let grew = |n| {
        event(n, EventKind::Grew, 1240, "worker-1", |e| {
            (e.growth_bytes, e.limit_bytes) = (Some(12 << 20), Some(10 * MIB));
        })
    };
    let text = after_a_block(&[
        grew(1),
        process(2, |_| {}),
        grew(2),
        event(2, EventKind::OomKill, 1234, "python3", |e| e.oom_kills = Some(2)),
        event(2, EventKind::OomKill, 1234, "python3", |e| e.name = None),
    ]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        "  ! worker-1 (pid 1240) grew by 12.00 MiB since the sample before, more than 10.00 MiB"
    );
    assert_eq!(
        lines[7..],
        [
            "  ! worker-1 (pid 1240) grew by 12.00 MiB since #1, more than 10.00 MiB",
            "  ! out of memory: the kernel killed 2 processes in the cgroup of python3 (pid 1234)",
            "  ! out of memory: the kernel killed processes in the cgroup of pid 1234",
        ]
    );
}

fn crossed(n: u64, pid: u32, metric: &str) -> Record {
    event(n, EventKind::LimitCrossed, pid, "w", |e| {
        e.metric = Some(metric.into());
        (e.limit_bytes, e.value_bytes) = (Some(GIB), Some(GIB + GIB / 4));
        (e.own_bytes, e.growth_bytes) = (Some(800 * MIB), Some(-(20 << 20)));
    })
}

#[test]
fn tree_limit_is_shown_once() {
    let unknown = event(1, EventKind::LimitCrossed, 7, "w", |e| e.name = None);
    let records = [
        crossed(1, 5, "total"),
        crossed(1, 6, "total"),
        crossed(1, 5, "pss"),
        crossed(1, 5, "rss"),
        crossed(2, 5, "rss"),
        unknown,
    ];
    assert_eq!(
        after_a_block(&records),
        "  ! tree of pid 1234: total RSS 1.25 GiB is above the limit of 1.00 GiB
      w (pid 5): 800.00 MiB, -20.00 MiB since first seen
      w (pid 6): 800.00 MiB, -20.00 MiB since first seen
  ! tree of pid 1234: total PSS 1.25 GiB is above the limit of 1.00 GiB
      w (pid 5): 800.00 MiB, -20.00 MiB since first seen
  ! w (pid 5): RSS 1.25 GiB is above the limit of 1.00 GiB, -20.00 MiB since first seen

  ! w (pid 5): RSS 1.25 GiB is above the limit of 1.00 GiB, -20.00 MiB since first seen

  ! tree of pid 1234: total memory – is above the limit
      pid 7: –
"
    );
}

#[test]
fn crossing_names_ten_processes() {
    let mut records: Vec<Record> = (1..=40).map(|pid| crossed(1, pid, "total")).collect();
    let text = after_a_block(&records);
    assert_eq!(text.lines().count(), 12);
    assert!(
        text.ends_with("\n      w (pid 10): 800.00 MiB, -20.00 MiB since first seen\n      and others\n"),
        "{text}"
    );
    records.truncate(2);
    records.insert(1, error(1, "save", "disk full"));
    assert_eq!(after_a_block(&records).matches("! tree of pid 1234").count(), 2);
}

#[test]
fn error_shows_cause_and_hint() {
    let full = |header: Header| {
        let mut error = ErrorRecord::new(header, "sample", "Permission denied".to_owned());
        error.hint = Some("run as the same user".to_owned());
        error.pid = Some(77);
        Record::Error(error)
    };
    assert_eq!(
        after_a_block(&[error(1, "save", "No space left"), full(header(2)), error(2, "sample", "gone")]),
        "  ! save failed: No space left

  ! sample failed for pid 77: Permission denied (run as the same user)
  ! sample failed: gone
"
    );
}

#[test]
fn warnings_wrap_and_are_never_cut() {
    let mut out = Vec::new();
    let mut text = Text::new(&mut out, Style { colour: false, width: Some(30) });
    text.record(&error(1, "sample", "a long story of what went wrong")).unwrap();
    text.record(&started(1, 5)).unwrap();
    drop(text);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "  ! sample failed: a long\n    story of what went wrong\n\n  + 5 convert started: conver…\n"
    );
}
