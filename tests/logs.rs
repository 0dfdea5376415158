//! Logs read as moments: the fast way and serde find the same, and what a log says is what is read.

use std::cell::RefCell;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

use common::jsonl::Writer;
use common::log::{Input, Moment, MomentData, Options, Summary, read, read_reporting};
use common::record::Record;
use common::time::Stamp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

use crate::records;
use crate::support::pty::{CTRL_C, Terminal};
use crate::support::samples::{self, Fill};
use crate::support::{PATIENCE, Tool, bin, workspace};

/// What was read of a file.
#[derive(Debug, PartialEq)]
struct Outcome {
    moments: Vec<Moment>,
    /// `None`: nothing could be read.
    summary: Option<Summary>,
    told: Vec<String>,
}

/// Reads a file; `fast`: with the scanner, or by serde alone.
fn outcome(path: &Path, fast: bool) -> Outcome {
    let mut moments = Vec::new();
    let options = Options { fast, progress: false, ..Options::new("logs") };
    let mut keep = |moment| {
        moments.push(moment);
        ControlFlow::Continue(())
    };
    let told = RefCell::new(Vec::new());
    let summary = read_reporting(&[Input::from(path)], &options, &mut keep, &|message| {
        told.borrow_mut().push(message.to_owned())
    });
    Outcome { moments, summary: summary.ok(), told: told.into_inner() }
}

/// The moments of a log, which are the same in both ways of reading, and how many the fast way took.
#[track_caller]
fn moments(log: &[u8]) -> (Vec<Moment>, u64) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(log).unwrap();
    let mut fast = outcome(file.path(), true);
    let scanned = fast.summary.as_mut().map_or(0, |summary| std::mem::take(&mut summary.scanned));
    assert_eq!(fast, outcome(file.path(), false));
    (fast.moments, scanned)
}

fn written(record: &Record) -> Vec<u8> {
    let mut line = Vec::new();
    Writer::new(&mut line).write(record).unwrap();
    line
}

/// Samples and censuses in the form in which they are written.
fn common_form() -> Vec<Vec<u8>> {
    let records = [Fill::Full, Fill::Bare].into_iter().flat_map(samples::records);
    let common = records.filter(|record| matches!(record, Record::Process(_) | Record::Census(_)));
    common.map(|record| written(&record)).collect()
}

/// A change to a line: what is put where.
#[derive(Debug, Clone)]
enum Change {
    Byte(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    /// In place of a value.
    Value(Index, &'static str),
    /// A field is there twice.
    Twice(Index),
}

fn change() -> BoxedStrategy<Change> {
    let place = any::<Index>;
    let values = [
        "0",
        "7",
        "-1",
        "1.5",
        "1e3",
        "1e400",
        "-0.0",
        "01",
        "NaN",
        "null",
        "true",
        "[]",
        "{}",
        "\"\"",
        "\"x\\ny\"",
        "\"\\ud800\"",
        "18446744073709551615",
        "18446744073709551616",
        "4294967296",
        "99999999999",
        "[\"a\"]",
        "",
        "\"2024-02-29T23:59:59.999-12:30\"",
        "\"2023-02-29T00:00:00.000+00:00\"",
        "\"2026-11-23T22:27:00Z\"",
        "1E-7",
    ];
    let byte = prop_oneof![select(b"\"\\{}[]:,.0-9 ntx\x00\x1f\xff\n".to_vec()), any::<u8>()];
    prop_oneof![
        (place(), byte.clone()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        (place(), byte).prop_map(|(at, byte)| Change::Insert(at, byte)),
        place().prop_map(Change::Remove),
        (place(), select(values.to_vec())).prop_map(|(at, value)| Change::Value(at, value)),
        (place(), select(values.to_vec())).prop_map(|(at, value)| Change::Value(at, value)),
        place().prop_map(Change::Twice),
    ]
    .boxed()
}

/// Where the values of a line begin and end, those within others too.
fn values(line: &[u8]) -> Vec<(usize, usize)> {
    let ends = |at: usize| {
        let (mut depth, mut inside, mut escaped) = (0_i32, false, false);
        line[at..].iter().position(|&byte| {
            if inside {
                inside = escaped || byte != b'"';
                escaped = byte == b'\\' && !escaped;
                return false;
            }
            match byte {
                b'"' => inside = true,
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            depth < 0 || (depth == 0 && byte == b',')
        })
    };
    let begins = line.windows(2).enumerate().filter(|(_, pair)| pair == b"\":").map(|(at, _)| at + 2);
    begins.filter_map(|begin| Some((begin, begin + ends(begin)?))).collect()
}

fn changed(mut line: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let values = values(&line);
        if line.is_empty() || values.is_empty() {
            break;
        }
        match change {
            Change::Byte(at, byte) => *at.get_mut(&mut line) = *byte,
            Change::Insert(at, byte) => line.insert(at.index(line.len()), *byte),
            Change::Remove(at) => drop(line.remove(at.index(line.len()))),
            Change::Value(at, value) => {
                let (begin, end) = *at.get(&values);
                line.splice(begin..end, value.bytes());
            }
            Change::Twice(at) => {
                let (begin, end) = *at.get(&values);
                let key = line[..begin - 2].iter().rposition(|&byte| byte == b'"').unwrap_or(0);
                let field = [&line[key..end], b","].concat();
                line.splice(key..key, field);
            }
        }
    }
    line
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_fast_way_and_serde_find_the_same_in_damaged_lines(
        lines in vec((select(common_form()), vec(change(), 0..3)), 1..6),
    ) {
        let log: Vec<u8> = lines.into_iter().flat_map(|(line, changes)| changed(line, &changes)).collect();
        moments(&log);
    }
}

proptest! {
    #[test]
    fn the_fast_way_and_serde_find_the_same_in_any_records(
        records in vec(records::record(), 1..6),
        changes in vec(change(), 0..2),
    ) {
        let mut log: Vec<u8> = records.iter().flat_map(written).collect();
        moments(&log);
        log = changed(log, &changes);
        moments(&log);
    }
}

#[test]
fn what_our_tools_write_is_read_the_fast_way() {
    let lines = common_form();
    assert_eq!(lines.len(), 4);
    let (found, scanned) = moments(&lines.concat());
    assert_eq!((found.len(), scanned), (4, 4));
    let again = lines.concat().repeat(3);
    assert_eq!(moments(&again).1, 12, "and so are lines like those before");
    let spaced = String::from_utf8(lines[0].clone()).unwrap().replacen("\"pid\":", "\"pid\": ", 1);
    let (found, scanned) = moments(spaced.as_bytes());
    assert_eq!((found.len(), scanned), (1, 0), "another form is read too");
}

#[test]
fn censuses_of_every_age_are_read_the_fast_way() {
    let without = workspace::read("tests/fixtures/census-v1.jsonl");
    let with = workspace::read("tests/fixtures/census-holders-v1.jsonl");
    let python = workspace::read("tests/fixtures/census-python-v1.jsonl");
    let (found, scanned) = moments(format!("{without}{with}{python}").as_bytes());
    let held = |moment: &Moment| match &moment.data {
        MomentData::Census(census) => {
            (census.holders.as_ref().map(Vec::len), census.caches.as_ref().map(Vec::len), census.holders_cut)
        }
        _ => panic!("{moment:?}"),
    };
    let held: Vec<_> = found.iter().map(held).collect();
    assert_eq!(
        held,
        [
            (None, None, false),
            (None, None, false),
            (Some(2), Some(2), true),
            (None, Some(0), false),
            (None, None, false)
        ]
    );
    assert_eq!(scanned, 5);
}

#[test]
fn moments_say_what_the_records_say() {
    let log: Vec<u8> = samples::records(Fill::Full).iter().flat_map(written).collect();
    let (found, _) = moments(&log);
    let [tree, event, failed, census, leaks, diff] = &found[..] else { panic!("{found:?}") };
    // No moments are the line of a command's output, number 3, and a watch of a holder, 7.
    assert_eq!(found.iter().map(|moment| moment.line).collect::<Vec<_>>(), [1, 2, 4, 5, 6, 8]);
    for moment in &found {
        let head = (&*moment.run, &*moment.host, moment.iteration, moment.unix_ms);
        assert_eq!(head, ("00c0ffee00c0ffee", "server", 3, samples::header().timestamp.unix_ms()));
    }
    assert_eq!((tree.elapsed_seconds, tree.interval_seconds, tree.missed_ticks), (Some(20.5), Some(10.0), 1));
    let MomentData::Tree(tree) = &tree.data else { panic!("{tree:?}") };
    assert_eq!((tree.total_rss_bytes, tree.total_pss_bytes), (100 << 20, Some(80 << 20)));
    assert_eq!((tree.cgroup_current_bytes, tree.cgroup_limit_bytes), (Some(150 << 20), Some(200 << 20)));
    assert_eq!((tree.system_total_bytes, tree.system_available_bytes), (Some(16 << 30), Some(8 << 30)));
    let [root, child] = &tree.processes[..] else { panic!("{tree:?}") };
    for (process, pid) in [(root, 100), (child, 101)] {
        assert_eq!((process.pid, process.start, &*process.name), (pid, 4711, "python3"));
        assert_eq!(process.cmdline.as_deref(), Some("python3 bot.py"));
        assert_eq!((process.rss_bytes, process.pss_bytes), (Some(50 << 20), Some(40 << 20)));
        assert_eq!(
            (process.uss_bytes, process.swap_bytes, process.threads),
            (Some(30 << 20), Some(4096), Some(8))
        );
    }
    assert!(matches!(&event.data, MomentData::Event(event) if **event == samples::event(Fill::Full)));
    assert_eq!(failed.data, MomentData::Failed("pid 100 is gone".into()));
    assert!(matches!(&leaks.data, MomentData::Leaks(leaks) if **leaks == samples::leaks(Fill::Full)));
    assert!(matches!(&diff.data, MomentData::Diff(diff) if **diff == samples::diff(Fill::Full)));

    let MomentData::Census(census) = &census.data else { panic!("{census:?}") };
    assert_eq!((census.pid, census.start, census.root_pid, &*census.name), (101, 4711, Some(100), "python3"));
    assert_eq!((census.total_objects, census.total_size_bytes), (207_575, Some(30 << 20)));
    let [kind] = &census.types[..] else { panic!("{census:?}") };
    assert_eq!((&*kind.name, kind.count, kind.size_bytes), ("botpkg.cache.Session", 66_051, 10_673_854));
    assert_eq!(&*census.modules[0].name, "botpkg.cache");
    assert!(census.types_cut && census.modules_cut && census.holders_cut && census.caches_cut);
    assert_eq!(census.threads.as_deref(), Some(&["会话线程".into()][..]));
    let [holder] = census.holders.as_deref().unwrap() else { panic!("{census:?}") };
    assert_eq!(
        (&*holder.name, holder.count, holder.size_bytes),
        ("botpkg.cache._sessions", 66_055, 10_680_000)
    );
    let [cache] = census.caches.as_deref().unwrap() else { panic!("{census:?}") };
    assert_eq!((&*cache.name, cache.entries, cache.size_bytes), ("botpkg.render", 128, Some(1_234_567)));
    let (bare, _) = moments(&written(&samples::records(Fill::Bare).remove(4)));
    let MomentData::Census(bare) = &bare[0].data else { panic!("{bare:?}") };
    assert!(!bare.types_cut && !bare.modules_cut && bare.threads.is_none() && bare.start == 0);
    assert!(bare.holders.is_none() && !bare.holders_cut && bare.caches.is_none() && !bare.caches_cut);
}

#[test]
fn a_start_is_told_apart_where_there_are_no_ticks() {
    let line = String::from_utf8(written(&samples::records(Fill::Full).remove(0))).unwrap();
    let line = line.replace("\"start_ticks\":4711", "\"start_ticks\":null");
    let later = line.replace("22:00:00", "22:00:01");
    let (found, scanned) = moments([line, later].concat().as_bytes());
    let starts: Vec<u64> = found
        .iter()
        .map(
            |moment| {
                if let MomentData::Tree(tree) = &moment.data { tree.processes[0].start } else { panic!() }
            },
        )
        .collect();
    assert_eq!(scanned, 2);
    assert!(starts[0] != 0 && starts[1] != 0 && starts[0] != starts[1], "{starts:?}");
}

#[test]
fn a_real_log_is_read_the_fast_way_and_says_what_json_says() {
    let shell = "sleep 30 & a=$!; sleep 30 & b=$!; sleep 3; kill $a $b";
    let run = Tool::ours("memmon").args(["-i", "30ms", "--count", "20", "--", "sh", "-c", shell]).run();
    let text = run.out();
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let samples: Vec<&Value> = records.iter().filter(|record| record["type"] == "process").collect();
    assert!(samples.len() >= 20, "{text}");
    let (found, scanned) = moments(text.as_bytes());
    assert_eq!(scanned, samples.len() as u64, "{text}");
    let trees = found.iter().filter_map(|moment| match &moment.data {
        MomentData::Tree(tree) => Some((moment, tree)),
        _ => None,
    });
    for ((moment, tree), sample) in trees.zip(samples) {
        assert_eq!(Value::from(moment.iteration), sample["iteration"]);
        let stamp: Stamp = sample["timestamp"].as_str().unwrap().parse().unwrap();
        assert_eq!(moment.unix_ms, stamp.unix_ms());
        assert_eq!(Value::from(moment.elapsed_seconds), sample["elapsed_seconds"]);
        assert_eq!(Value::from(tree.total_rss_bytes), sample["total_rss_bytes"]);
        let members: Vec<&Value> =
            std::iter::once(sample).chain(sample["children"].as_array().unwrap()).collect();
        assert_eq!(tree.processes.len(), members.len());
        for (process, member) in tree.processes.iter().zip(members) {
            assert_eq!(Value::from(process.pid), member["pid"]);
            assert_eq!(Value::from(process.start), member["start_ticks"]);
            assert_eq!(Value::from(&*process.name), member["name"]);
            assert_eq!(Value::from(process.rss_bytes), member["rss_bytes"]);
            assert_eq!(Value::from(process.pss_bytes), member["pss_bytes"]);
            assert_eq!(Value::from(process.threads), member["threads"]);
        }
    }
}

#[test]
fn a_record_that_comes_alone_through_a_pipe_is_given_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    Tool::new("mkfifo").arg(&pipe).run().expect_code(0);
    let (seen_in, seen) = channel();
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || {
            read(&[Input::from(pipe.as_path())], &Options::new("logs"), &mut |moment| {
                seen_in.send(moment.line).unwrap();
                ControlFlow::Continue(())
            })
        }
    });
    let mut writer = std::fs::File::options().write(true).open(&pipe).unwrap();
    let line = written(&samples::records(Fill::Full).remove(0));
    for number in 1..=3 {
        // Its beginning alone is nothing yet.
        writer.write_all(&line[..100]).unwrap();
        assert!(seen.recv_timeout(Duration::from_millis(50)).is_err());
        writer.write_all(&line[100..]).unwrap();
        // The pipe is still open: nothing but this line can have made it come.
        assert_eq!(seen.recv_timeout(PATIENCE), Ok(number));
    }
    drop(writer);
    assert_eq!(reader.join().unwrap().unwrap().moments, 3);
}

#[test]
fn on_a_terminal_a_long_reading_says_how_far_it_is() {
    // Empty as it is, it takes hours to read; no disk holds it.
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(1 << 42).unwrap();
    let mut session = Terminal::new(bin("memdiff")).args([file.path()]).start();
    session.wait_screen("memdiff: reading: ");
    session.wait_screen(" of 4.00 TiB (0 %)");
    session.type_keys(CTRL_C);
    assert!(!session.finish().success(), "{session}");
}

/// Lines as the older tool wrote them. They are never changed.
#[test]
fn logs_of_the_older_tool_are_readable() {
    let text = workspace::read("tests/fixtures/legacy.jsonl");
    let (found, scanned) = moments(text.as_bytes());
    let [first, failed, second] = &found[..] else { panic!("{found:?}") };
    assert_eq!(scanned, 0);
    let runs = [first, failed, second].map(|moment| (&*moment.run, moment.iteration, moment.line));
    assert_eq!(runs, [("legacy-1", 2, 1), ("legacy-1", 4, 2), ("legacy-2", 1, 3)]);
    assert_eq!((&*first.host, first.elapsed_seconds), ("", None));
    let stamp = Stamp::from_unix_seconds(first.unix_ms as f64 / 1000.0).unwrap();
    assert_eq!(stamp.format("%Y-%m-%d %H:%M:%S"), "2026-11-23 09:42:00", "local time");
    assert!(matches!(failed.data, MomentData::Failed(_)), "a census that failed is no drop to zero");

    let MomentData::Census(census) = &first.data else { panic!("{first:?}") };
    assert_eq!((census.pid, census.total_objects, census.total_size_bytes), (0, 207_575, None));
    let types: Vec<(&str, u64, u64)> =
        census.types.iter().map(|t| (&*t.name, t.count, t.size_bytes)).collect();
    assert_eq!(types, [("str", 66_051, 10_673_854), ("dict", 13_706, 4_344_888)]);
    assert_eq!(
        (&*census.modules[1].name, census.modules[1].count, census.modules[1].size_bytes),
        ("src", 608, 31_616)
    );
    assert!(census.types_cut && census.modules_cut, "it lists the largest alone");
    assert_eq!(census.threads.as_deref(), Some(&["MainThread".into(), "会话线程".into()][..]));
    let MomentData::Census(census) = &second.data else { panic!("{second:?}") };
    assert_eq!((census.total_objects, &*census.types[0].name), (5000, "function (__init__)"));
}

#[test]
fn damaged_lines_of_the_older_tool_cost_themselves_only() {
    let text = workspace::read("tests/fixtures/legacy.jsonl");
    let good = text.lines().next().unwrap();
    for (from, to) in [
        ("\"size\": 10673854", "\"size\": null"),
        ("\"size\": 10673854", "\"size\": -1"),
        ("2026-11-23 09:42:00", "soon"),
        ("\"iteration\": 2", "\"iteration\": 2.5"),
        ("\"total_objects\": 207575, ", ""),
        ("[\"src\", 608, 31616]", "[\"src\", 608]"),
    ] {
        assert!(good.contains(from), "{from}");
        let log = format!("{}\n{good}\n", good.replace(from, to));
        let (found, _) = moments(log.as_bytes());
        assert_eq!(found.iter().map(|moment| moment.line).collect::<Vec<_>>(), [2], "{to}");
    }
}

#[test]
fn moments_come_as_they_stand_whatever_their_time() {
    let line = String::from_utf8(written(&samples::records(Fill::Full).remove(0))).unwrap();
    let stamps = [
        "2026-11-23T22:27:00.123+01:00",
        "2026-11-23T21:27:00.123+00:00",
        "2026-11-23T21:26:59.000+00:00",
        "1969-12-31T23:59:59.999+00:00",
        "2036-11-23T16:27:00.123-05:30",
    ];
    let log: String = stamps.iter().map(|stamp| line.replace(stamps[0], stamp)).collect();
    let (found, scanned) = moments(log.as_bytes());
    let times: Vec<i64> = found.iter().map(|moment| moment.unix_ms).collect();
    let expected = stamps.map(|stamp| stamp.parse::<Stamp>().unwrap().unix_ms());
    assert_eq!((times, scanned), (expected.to_vec(), 5));
    assert_eq!(expected[..2], [expected[0]; 2]);
    assert_eq!(expected[3], -1);
}
