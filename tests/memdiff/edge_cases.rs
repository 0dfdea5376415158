//! Unusual logs: short, torn, of several runs, with clock jumps, failed moments and hostile names.

use super::{diff, error_line, sample_logs, written};

const RUN: &str = "00c0ffee00c0ffee";
const OTHER: &str = "00c0ffee00c0ff33";
const THIRD: &str = "00c0ffee00c0ff66";

fn bot(run: &str, iteration: u64, seconds: i64, mib: f64) -> String {
    sample_logs::tree(run, iteration, seconds, &[(1, 10, "python3 bot.py", mib)])
}

#[test]
fn nothing_to_compare_exits_2() {
    let folder = tempfile::tempdir().unwrap();
    let one = bot(RUN, 1, 0, 5.0);
    for (name, text) in [("one", one.clone()), ("empty", String::new()), ("garbage", "no\nlog\n".to_owned())]
    {
        written(&folder, name, &text);
    }
    written(&folder, "failed", &sample_logs::failed(RUN, 1, 0));
    written(&folder, "two", &(one + &bot(RUN, 2, 10, 5.0)));
    let cases: [(&[&str], &str); 10] = [
        (&["one"], "one: both sides are the same moment: "),
        (&["one", "--trend", "--fail-on", "grown"], "--fail-on grown "),
        (&["empty"], "empty: "),
        (&["missing"], "missing: "),
        (&["failed"], "failed: no measurements of processes or objects: "),
        (&["failed", "--trend"], "failed: no measurements of processes or objects: "),
        (&["two", "--at", "7"], "two: no moment 7: the log goes from 2026-11-24 12:00:00 (#1) to "),
        (&["two", "--fail-on", "growing"], "--fail-on growing needs --trend: "),
        (&["two", "two", "two"], "more than two logs: "),
        (&["-", "-"], "- is given twice: "),
    ];
    for (args, begins) in cases {
        let run = diff(args).dir(folder.path()).run().expect_code(2);
        assert!(
            error_line(&run).starts_with(&format!("memdiff: {begins}")) && run.out().is_empty(),
            "{args:?}: {run}"
        );
    }
    let run = diff(&["garbage"]).dir(folder.path()).run().expect_code(2);
    assert!(run.err().contains("garbage:1: ") && run.err().contains("garbage:2: "), "{run}");
    // Beside a bad line everything else counts.
    written(
        &folder,
        "torn",
        &format!("x\n{}{}", bot(RUN, 1, 0, 5.0), bot(RUN, 2, 10, 50.0).trim_end_matches("}\n")),
    );
    let run = diff(&["two", "torn"]).dir(folder.path()).run().expect_code(0);
    assert!(run.err().contains("torn:1: ") && run.out().contains("nothing grew"), "{run}");
    let run =
        diff(&["two", "--threshold", "7%", "--threshold", "1K"]).dir(folder.path()).run().expect_code(0);
    assert!(run.out().ends_with("nothing grew by more than 1.00 KiB and 7 %\n"), "{run}");
    for args in [&["--threshold", "much"][..], &["--at", "noon"], &["--every", "0"], &["--format", "xml"]] {
        diff(args).run().expect_code(2);
    }
}

#[test]
fn moments_are_named_by_number_and_time() {
    let folder = tempfile::tempdir().unwrap();
    let log: String =
        (0..60_u32).map(|n| bot(RUN, u64::from(n) + 1, i64::from(n) * 60, 10.0 + f64::from(n))).collect();
    written(&folder, "log", &log);
    let changes = |args: &[&str]| {
        let run = diff(&["log", "--format", "csv"]).args(args).dir(folder.path()).run();
        let mut reader = csv::Reader::from_reader(run.stdout.as_slice());
        let rows: Vec<_> = reader.records().map(Result::unwrap).filter(|row| &row[4] == "rss").collect();
        rows.iter().map(|row| format!("{} {} {}", &row[2], &row[3], &row[12])).collect::<Vec<_>>().join(", ")
    };
    let mib = 1 << 20;
    assert_eq!(changes(&[]), format!("1 60 {}", 59 * mib));
    assert_eq!(changes(&["--at", "11"]), format!("11 60 {}", 49 * mib));
    assert_eq!(changes(&["--at", "11", "--at", "12:20"]), format!("11 21 {}", 10 * mib));
    assert_eq!(
        changes(&["--at", "12:29:40", "--at", "2026-11-24T14:10+02:00"]),
        format!("31 11 {}", -20 * mib)
    );
    let every = changes(&["--every", "20"]);
    assert_eq!(every, format!("1 21 {}, 21 41 {}", 20 * mib, 20 * mib));
    // Here it is noon at another time.
    let run = diff(&["log", "--at", "21:20"]).dir(folder.path()).env("TZ", "Asia/Tokyo").run().expect_code(1);
    assert!(run.out().contains("before 2026-11-24 21:20:00  log #21\n"), "{run}");
}

#[test]
fn two_runs_in_one_file_stay_apart() {
    let folder = tempfile::tempdir().unwrap();
    let first: String = (1..40).map(|n| bot(RUN, n, 10 * n.cast_signed(), 10.0 + n as f64)).collect();
    let second: String = (1..40)
        .map(|n| sample_logs::tree(OTHER, n, 1000 + 10 * n.cast_signed(), &[(7, 99, "python3 bot.py", 11.0)]))
        .collect();
    written(&folder, "log", &(first + &second));
    let run = diff(&["log"]).dir(folder.path()).run().expect_code(0);
    assert!(run.out().contains("two different runs") && run.out().contains("1 → 7"), "{run}");
    // The first run grows, the second does not: put together they would do neither.
    let run = diff(&["--trend", "log"]).dir(folder.path()).run().expect_code(1);
    assert_eq!(run.out().matches(" grew by ").count(), 1, "{run}");
    assert!(run.out().contains("python3 bot.py (pid 1) grew by 360.0 MiB/h"), "{run}");
    assert!(run.out().contains("39 moments, until 12:06\n"), "{run}");
}

#[test]
fn clock_jumps_make_no_growth() {
    let folder = tempfile::tempdir().unwrap();
    let shift = |log: String, zone: &str| log.replace("+00:00", zone);
    // The same moment in another zone, then back by an hour.
    let steady: String = (0..80)
        .map(|n| {
            let line = bot(RUN, n + 1, 10 * n.cast_signed() - if n > 40 { 3600 } else { 0 }, 20.0);
            if n % 2 == 0 { line } else { shift(line, "+05:30") }
        })
        .collect();
    written(&folder, "steady", &steady);
    let run = diff(&["--trend", "steady"]).dir(folder.path()).run().expect_code(0);
    assert!(run.out().contains("nothing is growing\n"), "{run}");
    let back = bot(RUN, 1, 3600, 10.0) + &bot(RUN, 2, 0, 30.0);
    written(&folder, "back", &back);
    let run = diff(&["back"]).dir(folder.path()).run().expect_code(1);
    assert!(run.out().contains("the later side was measured before the earlier one"), "{run}");
}

#[test]
fn failed_legacy_moments_are_gaps() {
    let folder = tempfile::tempdir().unwrap();
    let moment = |n: u64| {
        let types: &[_] = if n % 5 == 4 { &[] } else { &[("dict", 9, 90 << 20), ("list", 7, 700)] };
        sample_logs::legacy(n, 10 * n.cast_signed(), types)
    };
    // Ends with a failed one.
    written(&folder, "log", &(1..50).map(moment).collect::<String>());
    let run = diff(&["log"]).dir(folder.path()).run().expect_code(0);
    assert!(run.out().contains("log #48") && !run.out().contains("-90"), "{run}");
    let run = diff(&["--trend", "log", "--format", "csv"]).dir(folder.path()).run().expect_code(0);
    let mut reader = csv::Reader::from_reader(run.stdout.as_slice());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert!(rows.len() == 2 && rows.iter().all(|row| &row[4] == "steady" && &row[13] == "39"), "{rows:?}");
}

#[test]
fn diff_of_cut_lists_reports_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let census = |n, name, omitted| {
        sample_logs::census(RUN, n, 10 * i64::from(n as u32), &[("dict", 1, 10), (name, 1, 5 << 20)], omitted)
    };
    let held = |n, name, omitted| {
        let caches = [(name, 1, Some(5 << 20))];
        sample_logs::holding(
            RUN,
            (n, 10 * i64::from(n as u32)),
            &[("x", 1, 10 << 20), (name, 1, 5 << 20)],
            &caches,
            omitted,
        )
    };
    for (omitted, mark, code) in [(true, "listed on one side only", 0), (false, "(gone)", 1)] {
        written(&folder, "log", &(census(1, "a.B", omitted) + &census(2, "c.D", omitted)));
        written(&folder, "held", &(held(1, "a._b", omitted) + &held(2, "c._d", omitted)));
        for log in ["log", "held"] {
            let run = diff(&[log]).dir(folder.path()).run().expect_code(code);
            assert!(run.out().matches(mark).count() >= 2, "{run}");
        }
    }
}

#[test]
fn hostile_names_keep_formats_valid() {
    let folder = tempfile::tempdir().unwrap();
    let names = [
        "<script>alert(1)</script>",
        "a|b`c`\\",
        "\u{1b}[31mred\u{9b}2J",
        "two\nlines\r\n\"quoted\",x",
        "名前 👍🏽 é",
        "\u{202e}fdp.exe",
        "",
        "=cmd()",
        "@all #1 http://x.org",
    ];
    let types =
        |size: u64| -> Vec<sample_logs::Type<'_>> { names.iter().map(|name| (*name, 1, size)).collect() };
    let caches = |size: u64| -> Vec<sample_logs::Cache<'_>> {
        names.iter().map(|name| (*name, 1, Some(size))).collect()
    };
    let moment = |n: u32| {
        let all: Vec<sample_logs::Process<'_>> =
            names.iter().zip(1..).map(|(name, pid)| (pid, 10, *name, 1.0 + f64::from(n))).collect();
        let size = 1000 + u64::from(n) * 5_000_000;
        sample_logs::tree(RUN, u64::from(n) + 1, i64::from(n) * 10, &all)
            + &sample_logs::census(OTHER, u64::from(n) + 1, i64::from(n) * 10, &types(size), false)
            + &sample_logs::holding(
                THIRD,
                (u64::from(n) + 1, i64::from(n) * 10),
                &types(size),
                &caches(size),
                false,
            )
    };
    written(&folder, "log\u{1b}[31m", &(0..30).map(moment).collect::<String>());
    for trend in [&[][..], &["--trend"]] {
        for format in ["text", "markdown", "csv", "jsonl"] {
            let args = ["log\u{1b}[31m", "--format", format, "--all"];
            let run = diff(&args).args(trend).dir(folder.path()).run().expect_code(1);
            let text = String::from_utf8(run.stdout.clone()).unwrap();
            let is_harmful = |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{202a}'..='\u{202e}'));
            if format == "jsonl" {
                assert!(!text.bytes().any(|byte| byte < b' ' && byte != b'\n'), "{text:?}");
                let record = run.records().remove(0);
                let lists =
                    if trend.is_empty() { &["types", "holders", "caches"][..] } else { &["verdicts"] };
                for list in lists {
                    let rows = record[list].as_array().unwrap();
                    let found: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
                    assert!(names.iter().all(|name| found.contains(name)), "{list}: {found:?}");
                }
            } else {
                assert!(!text.contains(is_harmful), "{format}: {text:?}");
            }
            if format == "csv" {
                let mut reader = csv::Reader::from_reader(run.stdout.as_slice());
                let width = reader.headers().unwrap().len();
                assert!(reader.records().all(|row| row.unwrap().len() == width));
            }
            if format == "markdown" {
                let outside_code = text.split('`').step_by(2).collect::<String>();
                assert!(!outside_code.contains("<script>") && !outside_code.contains("@all"), "{text}");
            }
        }
    }
}
