//! Damaged and unusual logs: a correct plot or a clear error, never a false zero.

use serde_json::json;

use super::logs::{START, census, census_of, error, event, legacy, tree, tree_of};
use super::{folder, logs, memplot, rendering, svg, write};
use crate::support::Tool;

fn seconds(n: u64) -> i64 {
    START + i64::try_from(n).unwrap() * 1000
}

#[test]
fn empty_logs_are_refused() {
    for log in ["", "\n\n", "garbage\n", "\u{0}\u{1}\u{2}", "{\"type\":\"census\""] {
        let run = memplot(&[]).stdin(log).run().expect_code(2);
        assert!(run.stdout.is_empty() && run.err().starts_with("memplot: "), "{log:?}: {run}");
    }
    let run = memplot(&[]).stdin(error(1, START)).run().expect_code(2);
    assert!(run.err().contains("failed (it was gone)"), "{run}");
}

#[test]
fn one_record_makes_a_plot() {
    let figure = svg(&census(1, START, &[("dict", 5 << 20)], None), &[]);
    let document = rendering::parse(&figure);
    assert_eq!(rendering::pieces(&document, "line", "dict"), 1);
    let figure = svg(&tree(1, START, &[(1, "bot", 5 << 20), (2, "child", 3 << 20)]), &[]);
    assert_eq!(rendering::series(&rendering::parse(&figure), "area").len(), 2);
}

#[test]
fn bad_lines_are_skipped() {
    let good = census(1, START, &[("dict", 5 << 20)], None);
    let log =
        format!("{good}not json\n{}{{\"type\":\"cen", census(2, seconds(1), &[("dict", 6 << 20)], None));
    let run = memplot(&[]).stdin(log).run().expect_code(0);
    assert!(run.err().contains(":2:"), "{run}");
    assert_eq!(rendering::pieces(&rendering::parse(&run.out()), "line", "dict"), 1);
}

#[test]
fn extreme_values_have_an_axis() {
    for value in [0, 1, 1023, u64::MAX / 4] {
        for args in [&[][..], &["--log-scale"], &["--delta"], &["--no-stack"]] {
            let log: String = (0..4).map(|n| tree(n + 1, seconds(n), &[(1, "bot", value)])).collect();
            let figure = svg(&log, args);
            assert!(!figure.contains("NaN") && !figure.contains("inf"), "{value} {args:?}");
            rendering::parse(&figure);
        }
    }
}

#[test]
fn failed_sample_splits_lines() {
    let log: String =
        (0..9)
            .map(|n| {
                if n == 4 {
                    error(n + 1, seconds(n))
                } else {
                    tree(n + 1, seconds(n), &[(1, "bot", 5 << 20)])
                }
            })
            .collect();
    for (args, class) in [(&["--no-stack"][..], "line"), (&[], "area"), (&[], "total")] {
        let name = if class == "total" { "total" } else { "bot" };
        assert_eq!(rendering::pieces(&rendering::parse(&svg(&log, args)), class, name), 2, "{class}");
    }
}

#[test]
fn long_silence_is_a_gap() {
    let moments = [0, 1, 2, 5, 6];
    let log: String =
        (1..).zip(moments).map(|(n, second)| tree(n, seconds(second), &[(1, "bot", 5 << 20)])).collect();
    assert_eq!(rendering::pieces(&rendering::parse(&svg(&log, &["--no-stack"])), "line", "bot"), 2);
}

#[test]
fn cut_list_gap_whole_list_zero() {
    let both = [("dict", 9 << 20), ("list", 5 << 20)];
    let one = &both[..1];
    let log = |omitted| -> String {
        (0..6).map(|n| census(n + 1, seconds(n), if n == 3 { one } else { &both[..] }, omitted)).collect()
    };
    assert_eq!(rendering::pieces(&rendering::parse(&svg(&log(Some(1)), &[])), "line", "list"), 2);
    assert_eq!(rendering::pieces(&rendering::parse(&svg(&log(None), &[])), "line", "list"), 1);
}

#[test]
fn exited_process_is_labelled_ended() {
    let with = [(1, "bot", 5 << 20), (2, "child", 3 << 20)];
    let log: String =
        (0..6).map(|n| tree(n + 1, seconds(n), if n < 3 { &with } else { &with[..1] })).collect();
    let figure = svg(&log, &[]);
    let document = rendering::parse(&figure);
    let label = rendering::labels(&document).into_iter().find(|label| label.2.starts_with("child")).unwrap();
    assert!(label.2.ends_with("ended"), "{label:?}");
}

#[test]
fn two_runs_are_not_joined() {
    let run = |run: &str, from: u64| -> String {
        (0..5).map(|n| census_of(run, 7, n + 1, seconds(from + n), &[("dict", 5 << 20)], None)).collect()
    };
    let figure = svg(&(run("one", 0) + &run("two", 5)), &[]);
    let document = rendering::parse(&figure);
    assert_eq!(rendering::pieces(&document, "line", "dict"), 2);
    assert!(rendering::tooltips(&document, "mark").iter().any(|text| text.contains("run 2 begins")));
    let trees = |run: &str, from: u64| -> String {
        (0..5).map(|n| tree_of(run, n + 1, seconds(from + n), &[(1, "bot", 5 << 20)])).collect()
    };
    assert_eq!(
        rendering::pieces(&rendering::parse(&svg(&(trees("one", 0) + &trees("two", 5)), &[])), "area", "bot"),
        2
    );
}

#[test]
fn overlapping_runs_cannot_stack() {
    let trees = |run: &str, pid: u32| -> String {
        (0..5).map(|n| tree_of(run, n + 1, seconds(n), &[(pid, "bot", 5 << 20)])).collect()
    };
    let log = trees("one", 1) + &trees("two", 2);
    let figure = svg(&log, &[]);
    let mut drawn = rendering::series(&rendering::parse(&figure), "line");
    drawn.sort();
    assert_eq!(drawn, ["bot (1)", "bot (2)"]);
    let run = memplot(&["--stack"]).stdin(log).run().expect_code(2);
    assert!(run.err().contains("overlap in time"), "{run}");
}

#[test]
fn clock_set_back_splits_lines() {
    let moments = [100, 101, 102, 50, 51, 52];
    let log: String =
        (1..).zip(moments).map(|(n, second)| tree(n, seconds(second), &[(1, "bot", 5 << 20)])).collect();
    assert_eq!(rendering::pieces(&rendering::parse(&svg(&log, &["--no-stack"])), "line", "bot"), 2);
    // Equal moments, and a step back of less than a second, are none.
    let moments = [0, 1000, 1000, 900, 2000];
    let log: String = (1..).zip(moments).map(|(n, ms)| tree(n, START + ms, &[(1, "bot", 5 << 20)])).collect();
    assert_eq!(rendering::pieces(&rendering::parse(&svg(&log, &["--no-stack"])), "line", "bot"), 1);
}

#[test]
fn time_zone_offsets_are_equal() {
    let at = |minute: u64, hour: u64, zone: &str| {
        let line = tree(minute + 1, START, &[(1, "bot", (5 + minute) << 20)]);
        line.replace(&logs::stamp(START), &format!("2026-11-24T{hour}:{minute:02}:00.000{zone}"))
    };
    let log = |hour, zone: &str| -> String { (0..9).map(|minute| at(minute, hour, zone)).collect() };
    assert_ne!(log(10, "Z"), log(11, "+01:00"));
    assert_eq!(svg(&log(10, "Z"), &["--no-stack"]), svg(&log(11, "+01:00"), &["--no-stack"]));
}

#[test]
fn many_series_combine_into_others() {
    let names: Vec<String> = (0..10_000).map(|n| format!("botpkg.generated.Type{n:05}")).collect();
    let mut log = String::new();
    for n in 0..12_u64 {
        let types: Vec<(&str, u64)> = names
            .iter()
            .enumerate()
            .map(|(place, name)| (name.as_str(), 1000 + (place as u64 * 7919 + n) % 10_007))
            .collect();
        log += &census(n + 1, seconds(n), &types, None);
    }
    let figure = svg(&log, &["--stack"]);
    assert!(figure.len() < 200_000, "{}", figure.len());
    let document = rendering::parse(&figure);
    let drawn = rendering::series(&document, "area");
    assert_eq!(drawn.len(), 11);
    assert!(drawn.contains(&"9,990 others".to_owned()), "{drawn:?}");
    // As lines, the combined others would flatten them: they are only mentioned.
    let lines = svg(&log, &[]);
    assert!(lines.contains("9,990 others not drawn"), "{lines}");
}

#[test]
fn tiny_lines_are_joined() {
    let types = [("dict", 1 << 20), ("str", 1 << 19), ("a", 900), ("b", 800), ("c", 700)];
    let log: String = (0..3).map(|n| census(n + 1, seconds(n), &types, None)).collect();
    let drawn = |log: &str, args: &[&str]| {
        let mut names = rendering::series(&rendering::parse(&svg(log, args)), "line");
        names.sort();
        names
    };
    assert_eq!(drawn(&log, &[]), ["3 others", "dict", "str"]);
    // What was asked for, or can be seen, stays.
    for args in [&["--grep", "."][..], &["--log-scale"]] {
        assert_eq!(drawn(&log, args), ["a", "b", "c", "dict", "str"], "{args:?}");
    }
    let pair: String = (0..3).map(|n| census(n + 1, seconds(n), &types[..4], None)).collect();
    assert_eq!(drawn(&pair, &[]), ["a", "b", "dict", "str"]);
}

#[test]
fn many_labels_go_below_the_plot() {
    for (top, count) in [("12", 12), ("60", 60), ("500", 200)] {
        let names: Vec<String> = (0..count).map(|n| format!("botpkg.module{n}.Class")).collect();
        let types: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 1 << 20)).collect();
        let log: String = (0..3).map(|n| census(n + 1, seconds(n), &types, None)).collect();
        let figure = svg(&log, &["--top", top]);
        let document = rendering::parse(&figure);
        let labels = rendering::labels(&document);
        assert!(labels.len() >= 12);
        for (number, a) in labels.iter().enumerate() {
            for b in labels.iter().skip(number + 1) {
                assert!((a.1 - b.1).abs() >= 14.0 || (a.0 - b.0).abs() >= 80.0, "{a:?} and {b:?}");
            }
            assert!(a.1 < 768.0 && a.0 < 1344.0, "{a:?} is outside");
        }
    }
}

#[test]
fn ticks_for_years_and_milliseconds() {
    let day = 86_400_u64;
    let log: String =
        (0..3650).map(|n| census(n + 1, seconds(n * day), &[("dict", 5 << 20)], None)).collect();
    let words = rendering::texts(&rendering::parse(&svg(&log, &[]))).join("|");
    assert!(words.contains("|2028|") && words.contains("|2034|"), "{words}");
    let log: String = (0..5_u64)
        .map(|n| tree(n + 1, START + i64::try_from(n).unwrap() * 10, &[(1, "bot", 5 << 20)]))
        .collect();
    let words = rendering::texts(&rendering::parse(&svg(&log, &[]))).join("|");
    assert!(words.contains("|10:00:00.020|"), "{words}");
}

#[test]
fn legacy_logs_keep_gaps_and_runs() {
    let types = [("dict", 100, 9 << 20), ("list", 50, 5 << 20)];
    let mut log = String::new();
    for n in 0..20_u64 {
        let time = format!("2026-11-24 10:00:{n:02}");
        // One failed, and a new run that shares the file and begins with the numbers again.
        let rows = if n == 5 { &[][..] } else { &types[..] };
        log += &legacy(if n < 12 { n + 1 } else { n - 11 }, &time, rows);
    }
    let figure = svg(&log, &[]);
    let document = rendering::parse(&figure);
    assert_eq!(rendering::pieces(&document, "line", "dict"), 3, "{figure}");
    assert!(rendering::texts(&document).iter().any(|words| words.contains("1 sample failed")));
}

#[test]
fn thousands_of_events_are_counted() {
    let mut log = String::new();
    for n in 0..3000_u64 {
        log += &tree(n + 1, seconds(n), &[(1, "bot", 5 << 20)]);
        let pid = u32::try_from(n).unwrap() + 10;
        log += &event(n + 1, seconds(n), "exited", pid, json!({"name": "job", "exit_code": 0}));
    }
    log += &event(3001, seconds(2999), "oom_kill", 5, json!({"oom_kills": 2}));
    let figure = svg(&log, &[]);
    let document = rendering::parse(&figure);
    let tooltips = rendering::tooltips(&document, "mark");
    assert!(tooltips.len() < 400, "{}", tooltips.len());
    assert!(tooltips.iter().any(|text| text.contains("2 processes killed: out of memory")), "{tooltips:?}");
    let ends = tooltips.iter().flat_map(|text| text.split("; ")).filter(|part| part.contains("ended"));
    let count = |part: &str| match part.split(" ends:").next().and_then(|head| head.rsplit(' ').next()) {
        Some(number) if part.contains(" ends:") => number.parse::<u64>().unwrap(),
        _ => 1,
    };
    assert_eq!(ends.map(count).sum::<u64>(), 3000, "{tooltips:?}");
}

#[test]
fn several_logs_share_one_axis() {
    let folder = folder("");
    let log = |from: u64, name: &'static str| -> String {
        (0..5)
            .map(|n| census(n + 1, seconds(from + n), &[("dict", 5 << 20), (name, 2 << 20)], None))
            .collect()
    };
    write(folder.path(), "a.jsonl", &log(0, "only.A"));
    write(folder.path(), "b.jsonl", &log(2, "only.B"));
    let run = memplot(&["a.jsonl", "b.jsonl"]).dir(folder.path()).run().expect_code(0);
    let figure = run.out();
    let document = rendering::parse(&figure);
    let mut drawn = rendering::series(&document, "line");
    drawn.sort();
    assert_eq!(drawn, ["a: dict", "a: only.A", "b: dict", "b: only.B"]);
}

#[test]
fn since_until_and_grep_select() {
    let log = logs::hour();
    for (args, first, last) in [
        (&["--since", "10:30"][..], "10:30", "10:59"),
        (&["--since", "-20m", "--until", "-10m"], "10:39", "10:49"),
        (&["--since", "2026-11-24T10:10:00Z", "--until", "2026-11-24T10:20:00Z"], "10:10", "10:20"),
        (&["--until", "10:05"], "10:00", "10:05"),
    ] {
        let figure = svg(&log, args);
        let words = rendering::texts(&rendering::parse(&figure));
        let when = words.iter().find(|words| words.contains("UTC")).unwrap();
        assert!(
            when.contains(&format!(" {first}")) && when.contains(&format!("–{last}")),
            "{args:?}: {when}"
        );
    }
    let figure = svg(&log, &["--grep", "^(bot|worker)$"]);
    let mut drawn = rendering::series(&rendering::parse(&figure), "area");
    drawn.sort();
    assert_eq!(drawn, ["bot", "worker"]);
}

#[test]
fn first_sample_of_a_range_keeps_its_values() {
    // Which day 10:00:10 is of is known only at that time: all samples before are dropped then.
    let log: String =
        (0..20).map(|n| tree(n + 1, seconds(n), &[(1, "bot", 5 << 20), (2, "w", 3 << 20)])).collect();
    let page = memplot(&["--since", "10:00:10", "--format", "html"]).stdin(log).run().expect_code(0).out();
    for (name, bytes) in [("bot", 5 << 20), ("w", 3 << 20), ("total", 8 << 20)] {
        let series = page.split(&format!("\"name\":\"{name}\"")).nth(1).unwrap();
        let runs = series.split("\"runs\":[[").nth(1).unwrap();
        assert!(runs.starts_with(&format!("0,{bytes},")), "{name}: {}", &runs[..60]);
    }
}

#[test]
fn one_sample_is_as_wide_as_the_axis() {
    let types = census(1, seconds(0), &[("dict", 5 << 20), ("list", 2 << 20)], None);
    for (log, class) in [(types, "line"), (tree(1, seconds(0), &[(1, "bot", 5 << 20)]), "area")] {
        let figure = svg(&log, &[]);
        let document = rendering::parse(&figure);
        let words = rendering::texts(&document).join("|");
        assert!(words.contains("|10:00:00|24 Nov 2026|") && words.contains("1 sample  ·"), "{words}");
        assert!(!rendering::groups(&document, class).is_empty());
        assert!(!figure.contains("<circle class=\"fc"), "no dots: {figure}");
        let text = memplot(&["--format", "text"]).stdin(log).run().expect_code(0).out();
        let dots = |line: &str| line.chars().filter(|c| ('\u{2801}'..='\u{28ff}').contains(c)).count();
        assert!(text.lines().any(|line| dots(line) > 50), "{text}");
    }
}

#[test]
fn equal_workers_are_one_series() {
    // Forty workers of 20 MiB, more than there are series, and one that grows to 160 MiB.
    let processes = |n: u64| {
        let worker = |pid| (pid, "worker", (if pid == 13 { 20 + 10 * n } else { 20 }) << 20);
        let root = (1, "bot", 5 << 20);
        std::iter::once(root).chain((10..50).map(worker)).collect::<Vec<_>>()
    };
    let log: String = (0..15).map(|n| tree(n + 1, seconds(n), &processes(n))).collect();
    let document = |args: &[&str]| rendering::series(&rendering::parse(&svg(&log, args)), "area");
    let drawn = document(&[]);
    assert_eq!(drawn.len(), 3, "{drawn:?}");
    assert!(drawn.contains(&"worker ×39".to_owned()) && drawn.contains(&"bot".to_owned()), "{drawn:?}");
    assert_eq!(document(&["--top", "41"]).len(), 41, "enough series for all");
}

#[test]
fn verdicts_become_trend_lines() {
    let folder = folder(&logs::objects());
    let diff = ["--trend", "--format", "jsonl", "log.jsonl"];
    // 1: something grows.
    let diff = Tool::ours("memdiff").args(diff).env("TZ", "UTC").dir(folder.path()).run().expect_code(1);
    write(folder.path(), "diff.jsonl", &diff.out());
    let run = memplot(&["log.jsonl", "--trend", "diff.jsonl"]).dir(folder.path()).run().expect_code(0);
    let figure = run.out();
    let document = rendering::parse(&figure);
    assert_eq!(rendering::series(&document, "trend"), ["botpkg.sessions.SessionState"]);
    assert!(rendering::labels(&document).iter().any(|label| label.2.contains("growing, +14.1 MiB/h")));
}

#[test]
fn smallest_series_are_dropped_first() {
    let mut log = String::new();
    let mut pid = 10;
    for n in 0..6000_u64 {
        let mut processes = vec![(1, "bot", 9 << 20)];
        for _ in 0..8 {
            pid += 1;
            processes.push((pid, "job", if pid == 17_000 { 300 << 20 } else { 1 << 20 }));
        }
        log += &tree(n + 1, seconds(n), &processes);
    }
    let figure = svg(&log, &["--top", "2"]);
    let document = rendering::parse(&figure);
    // The root has its place, small processes of a command share one, and all others are still in the sum.
    let drawn = rendering::series(&document, "area");
    let [others, jobs, root] = &drawn[..] else { panic!("{drawn:?}") };
    assert!(root == "bot" && jobs.starts_with("job ×") && others.ends_with(" others"), "{drawn:?}");
    assert!(rendering::texts(&document).iter().any(|words| words.starts_with("peak 316 MiB")), "{figure}");
}

#[test]
fn root_and_groups_of_tasks_are_named() {
    // A root that grows, a worker, and a new task each second.
    let processes = |n: u64| {
        let task = |age: u64| (100 + u32::try_from(n - age).unwrap(), "task", (40 - 10 * age) << 20);
        let mut all = vec![(1, "bot", (1 + n / 4) << 20), (2, "worker", 30 << 20)];
        all.extend((0..=n.min(2)).map(task));
        all
    };
    let log: String = (0..60).map(|n| tree(n + 1, seconds(n), &processes(n))).collect();
    let figure = svg(&log, &["--top", "3"]);
    let document = rendering::parse(&figure);
    let mut drawn = rendering::series(&document, "area");
    drawn.sort();
    assert_eq!(drawn, ["bot", "task ×60", "worker"]);
    assert!(svg(&log, &["--top", "1"]).contains("data-series=\"bot\""), "the root is drawn, however small");
    // Changes are compared one by one, and have a sign.
    let change = svg(&log, &["--delta", "--top", "2"]);
    assert!(change.contains("+14.0 MiB") && !change.contains('×'), "{change}");
}

#[test]
fn unmeasured_values_are_no_gap() {
    let all = [(1, "bot", 5 << 20), (2, "child", 3 << 20)];
    let log: String = (0..9)
        .map(|n| {
            let line = tree(n + 1, seconds(n), &all);
            if n % 3 == 0 { line } else { line.replace("\"threads\":2", "\"threads\":null") }
        })
        .collect();
    let figure = svg(&log, &["--what", "threads"]);
    let document = rendering::parse(&figure);
    assert_eq!(rendering::pieces(&document, "line", "child"), 1);
    assert!(rendering::labels(&document).iter().all(|label| !label.2.contains("ended")));
    // Nor does --until end those that are still there.
    let figure = svg(&log, &["--until", "10:00:05"]);
    let document = rendering::parse(&figure);
    assert!(rendering::labels(&document).iter().all(|label| !label.2.contains("ended")));
}

#[test]
fn stack_reuses_last_measured_value() {
    let all = [(1, "bot", 8 << 20), (2, "child", 4 << 20)];
    let child = "\"pss_bytes\":2097152";
    let log: String = (0..9)
        .map(|n| {
            let line = tree(n + 1, seconds(n), &all);
            assert!(line.contains(child));
            if matches!(n, 3 | 6) { line } else { line.replace(child, "\"pss_bytes\":null") }
        })
        .collect();
    let figure = svg(&log, &["--metric", "pss"]);
    let document = rendering::parse(&figure);
    assert_eq!(
        (rendering::pieces(&document, "area", "bot"), rendering::pieces(&document, "area", "child")),
        (1, 1)
    );
    let when = rendering::texts(&document).iter().find(|words| words.contains("UTC")).unwrap().clone();
    assert!(when.contains("10:00:03–10:00:08") && when.contains("peak 6.00 MiB"), "{when}");
}
