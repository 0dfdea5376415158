//! Blocks as people see them.

use common::columns::width;
use common::record::{CaptureMethod, Coverage, ErrorRecord, Header, LiveReason, Run};
use proptest::prelude::*;

use super::*;
use crate::census::Census;
use crate::emit::census_record::CensusRecorder;
use crate::emit::testing::{census, type_count};
use crate::object_sum::TypeCount;

const PLAIN: Style = Style { colour: false, width: None };
const OPTIONS: TextOptions = TextOptions { limit: 20, diff_every: 3, memory: false };

fn header(iteration: u64) -> Header {
    let timestamp = format!("2026-11-24T12:00:{:02}.000+00:00", iteration % 60).parse().unwrap();
    Header { schema: 1, timestamp, host: "server".into(), run: "00c0ffee00c0ffee".into(), iteration }
}

/// What censuses look like, one after the other, without the memory that this test itself takes.
fn shown(style: Style, options: TextOptions, censuses: &[Census]) -> String {
    let mut out = Vec::new();
    let (mut text, mut state) = (TextWriter::new(&mut out, style, options), None);
    for (iteration, census) in (1..).zip(censuses) {
        let summary = CensusSummary::new(census);
        let mut record = CensusRecorder::default().record(header(iteration), census, &summary, None, true);
        record.memobj_peak_bytes = Some(60 << 20);
        text.census(&record, census, summary, &mut state).unwrap();
    }
    String::from_utf8(out).unwrap()
}

fn types() -> Vec<TypeCount> {
    vec![
        type_count("builtins", "str", 66_051, 10_673_854),
        TypeCount { overhead_bytes: 8384, ..type_count("botpkg.cache", "Séance", 524, 29_344) },
        TypeCount { size_exact: false, ..type_count("_hashlib", "HASH", 2, 160) },
    ]
}

#[test]
fn census_prints_tables() {
    assert_eq!(
        shown(PLAIN, OPTIONS, &[census(types())]),
        "\
#1  2026-11-24 12:00:01  python3 (pid 4711)  cpython 3.13.0
  66,577 objects, ≥10.21 MiB and 8.19 KiB of overhead  reachable  tracked: 90,000, 12.00 MiB

  types (3)
   COUNT       SIZE   SHARE  OVERHEAD  TYPE
  66,051  10.18 MiB  99.7 %            str
     524  28.66 KiB   0.3 %  8.19 KiB  botpkg.cache.Séance
       2     ≥160 B   0.0 %            _hashlib.HASH

  packages (3)
   COUNT       SIZE   SHARE  OVERHEAD  PACKAGE
  66,051  10.18 MiB  99.7 %            builtins
     524  28.66 KiB   0.3 %  8.19 KiB  botpkg.cache
       2     ≥160 B   0.0 %            _hashlib

  threads (2)
    ID  NAME        STATE  FUNCTION
  4711  MainThread  main   Bot.poll  /srv/bot/botpkg/poll.py:118
  4715  unnamed

  garbage collector: enabled, 90,000 tracked, 2 in gc.garbage
  GENERATION  PENDING  THRESHOLD  COLLECTIONS  COLLECTED  UNCOLLECTABLE
           0      411      2,000          120      9,000              0
           1        7         10          120      9,000              0

  coverage  96.4 % of 28.00 MiB in use in pymalloc  objects 10.22 MiB, 10.2 % of 100.00 MiB resident
  paused for 12.5 ms  counted in 250.0 ms  memobj used at most 60.00 MiB
"
    );
}

#[test]
fn limit_sums_the_rest() {
    let text = shown(PLAIN, TextOptions { limit: 1, ..OPTIONS }, &[census(types())]);
    assert!(text.contains("     526  ≥28.81 KiB   0.3 %  8.19 KiB  … 2 more\n"), "{text}");
    assert!(text.contains("  types (3)\n") && !text.contains("HASH") && text.contains("… 1 more"), "{text}");
}

#[test]
fn every_third_census_shows_changes() {
    let of = |count: u64| {
        census(vec![
            type_count("m", "Up", count, 100 * count),
            type_count("m", "Down", 100 - count, 8000 - 80 * count),
        ])
    };
    let censuses: Vec<Census> = (1..=6).map(|n| of(10 * n)).collect();
    let text = shown(PLAIN, OPTIONS, &censuses);
    let changes: Vec<&str> = text.lines().filter(|line| line.starts_with("  change since")).collect();
    assert_eq!(changes, ["  change since #1, 2 s ago", "  change since #3, 3 s ago"]);
    let last: Vec<&str> = text.lines().rev().take(3).collect();
    assert_eq!(
        last,
        [
            "     +600 B            ±0  8.98 KiB    100  all objects",
            "  -2.34 KiB           -30  3.12 KiB     40  m.Down",
            "  +2.93 KiB           +30  5.86 KiB     60  m.Up",
        ]
    );
    let never = shown(PLAIN, TextOptions { diff_every: 0, ..OPTIONS }, &censuses);
    assert!(!never.contains("change since"));
}

#[test]
fn doubtful_numbers_are_warned() {
    let mut unsure = census(types());
    let record = &mut unsure.record;
    record.method = Some(CaptureMethod::Live);
    record.live_reason = Some(LiveReason::MaxPause);
    (record.in_collection, record.attempts) = (Some(true), Some(5));
    (record.torn_reads, record.pause_seconds) = (Some(1234), None);
    record.coverage.as_mut().unwrap().allocator_explained_bytes = Some(1 << 20);
    record.python.as_mut().unwrap().other_runtimes = Some(1);
    let text = shown(Style { colour: true, width: None }, OPTIONS, &[unsure]);
    for part in [
        "! the garbage collector was running in each of 5 attempts",
        "exceeded --max-pause",
        "! the process has 1 other Python, which memobj did not count",
        "! 1,234 torn reads: some objects may be missing",
        "\u{1b}[33m3.6 %\u{1b}[0m of 28.00 MiB in use",
        "read while it ran",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // There always are a few.
    let mut usual = census(types());
    (usual.record.torn_reads, usual.record.rejected_reads) = (Some(2), Some(60));
    assert_eq!(shown(PLAIN, OPTIONS, &[usual]), shown(PLAIN, OPTIONS, &[census(types())]));
}

#[test]
fn unknown_values_are_left_out() {
    let mut bare = census(Vec::new());
    bare.record = CensusRecord {
        method: Some(CaptureMethod::Core),
        coverage: Some(Coverage::default()),
        python: bare.record.python,
        ..CensusRecord::default()
    };
    let text = shown(PLAIN, OPTIONS, &[bare]);
    assert!(text.contains("? (pid 0)") && text.contains("0 objects, 0 B"), "{text}");
    assert!(text.contains("from a core") && !text.contains("threads") && !text.contains("garbage"), "{text}");
}

#[test]
fn errors_and_exits_are_lines() {
    let mut out = Vec::new();
    let mut text = TextWriter::new(&mut out, PLAIN, OPTIONS);
    let error = ErrorRecord {
        hint: Some("try\u{1b}[31m again".into()),
        pid: Some(7),
        ..ErrorRecord::new(header(4), "copy", "it change".into())
    };
    let named = ErrorRecord { message: "pid 7 (bot): may not be traced".into(), ..error.clone() };
    text.record(&Record::Error(error)).unwrap();
    text.record(&Record::Error(named)).unwrap();
    let mut event = ProcessEvent::new(header(5), EventKind::Exited, 7, 7);
    (event.name, event.signal) = (Some("py\nthon".into()), Some(9));
    text.record(&Record::ProcessEvent(Box::new(event.clone()))).unwrap();
    (event.event, event.signal) = (EventKind::Replaced, None);
    text.record(&Record::ProcessEvent(Box::new(event))).unwrap();
    text.record(&Record::Unknown("later".into())).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(
        text,
        "#4  12:00:04  ! no census of pid 7: it change (try\\u{1b}[31m again)\n\n\
         #4  12:00:04  ! no census: pid 7 (bot): may not be traced (try\\u{1b}[31m again)\n\n\
         #5  12:00:05  py\\nthon (pid 7) was killed by signal 9\n\n\
         #5  12:00:05  py\\nthon (pid 7) runs another program now\n"
    );
    assert!(Run::start().id().len() == 16);
}

proptest! {
    #[test]
    fn hostile_names_are_escaped(
        names in proptest::collection::vec(any::<String>(), 1..6),
        columns in 20_usize..120,
    ) {
        let mut hostile = census(names.iter().map(|name| type_count(name, name, 1, 10)).collect());
        hostile.record.name = names.first().map(|name| name.as_str().into());
        for thread in hostile.record.threads.iter_mut().flatten() {
            thread.name = names.last().map(|name| name.as_str().into());
            thread.function = thread.name.clone();
            thread.file = thread.name.clone();
        }
        hostile.record.python.as_mut().unwrap().version = names[0].as_str().into();
        let text = shown(Style { colour: false, width: Some(columns) }, OPTIONS, &[hostile]);
        for line in text.lines() {
            let is_plain = matches!(escape_controls(line), std::borrow::Cow::Borrowed(_));
            prop_assert!(is_plain, "{:?}", line);
            prop_assert!(width(line) <= columns || line.contains('!'), "{:?}", line);
        }
    }
}
