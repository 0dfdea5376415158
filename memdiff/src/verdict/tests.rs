use common::log::{Moment, What};
use common::record::{Fingerprints, Header, ObjectSample, ProcessEvent, Run};

use super::*;
use crate::measurement::testing::{census, census_with_holders, measurement, process, tree};
use crate::measurement::{MeasuredData, Measurement};

/// The moment at a second of a run, ten of which are an interval.
fn moment(run: &str, second: u64, what: What) -> Moment {
    Moment {
        input: 0,
        line: second,
        run: run.into(),
        host: "h".into(),
        iteration: second / 10,
        unix_ms: i64::try_from(second).unwrap() * 1000,
        elapsed_seconds: None,
        interval_seconds: Some(10.0),
        missed_ticks: 0,
        what,
    }
}

fn what(measurement: Measurement) -> What {
    match measurement.what {
        MeasuredData::Tree(tree) => What::Tree(Arc::unwrap_or_clone(tree)),
        MeasuredData::Census(census) => What::Census(Arc::unwrap_or_clone(census)),
    }
}

fn trees(series: &mut SeriesSet, run: &str, rss: impl Fn(u64) -> u64, pid: u32, start: u64) {
    for turn in 0..120 {
        let sizes = measurement(
            run,
            1,
            tree(&[process(1, 1, "bot", 20), process(pid, start, "w --queue mail", rss(turn))]),
        );
        series.add(&moment(run, turn * 10, what(sizes)));
    }
}

fn shown(series: &SeriesSet) -> Vec<(String, String, TrendKind)> {
    let verdicts = series.verdicts();
    verdicts.iter().map(|v| (v.kind.to_string(), v.name.to_string(), v.trend)).collect()
}

#[test]
fn what_grows_is_found_and_comes_first() {
    let mut series = SeriesSet::default();
    trees(&mut series, "r", |turn| 10 + turn, 2, 2);
    let verdicts = series.verdicts();
    let growing: Vec<_> =
        verdicts.iter().take_while(|v| v.trend == TrendKind::Growing).map(|v| &*v.name).collect();
    assert_eq!(growing, ["w --queue mail", "bot"], "{verdicts:#?}");
    // Of equal rates that of the process comes before that of its tree.
    assert_eq!(
        (&*verdicts[0].kind, &*verdicts[1].kind, &*verdicts[0].role),
        ("rss", "total_rss", "w --queue mail")
    );
    // One MiB in ten seconds.
    let rate = verdicts[1].bytes_per_hour.unwrap() / f64::from(1 << 20);
    assert!((rate - 360.0).abs() < 0.5, "{rate}");
    assert_eq!(verdicts[2].trend, TrendKind::Steady);
    assert!(
        is_growing_beyond(&verdicts[0], &GrowthThreshold::new(&[], 0))
            && !is_growing_beyond(&verdicts[2], &GrowthThreshold::new(&[], 0))
    );
    assert!(!is_growing_beyond(&verdicts[0], &GrowthThreshold::new(&[], 1 << 40)));
}

#[test]
fn runs_and_numbers_used_again_are_other_series() {
    let mut series = SeriesSet::default();
    trees(&mut series, "a", |turn| 10 + turn, 2, 2);
    trees(&mut series, "b", |turn| 130 + turn, 2, 2);
    let mut count = |run: &str, start| {
        trees(&mut series, run, |turn| 10 + turn, 2, start);
        let verdicts = series.verdicts();
        verdicts.iter().filter(|v| &*v.kind == "rss" && v.pid == Some(2)).count()
    };
    assert_eq!(count("b", 3), 3);
    assert_eq!(count("c", 2), 4);
}

#[test]
fn a_type_is_absent_where_the_list_is_whole_and_unknown_where_it_was_cut() {
    for (is_cut, moments, last) in [(false, 40, Some(0)), (true, 20, Some(900))] {
        let mut series = SeriesSet::default();
        for turn in 0..40_u64 {
            let types: &[_] =
                if turn < 20 { &[("dict", 5, 500), ("gone", 9, 900)] } else { &[("dict", 5, 500)] };
            series.add(&moment("m", turn * 10, What::Census(census(types, is_cut))));
        }
        let verdicts = series.verdicts();
        let gone = verdicts.iter().find(|v| &*v.name == "gone" && &*v.kind == "type").unwrap();
        assert_eq!((gone.moments, gone.last_bytes), (moments, last), "{is_cut}");
    }
}

#[test]
fn holders_and_caches_have_series_and_what_has_no_size_this_time_is_no_zero() {
    let mut series = SeriesSet::default();
    for turn in 0..120_u64 {
        let size = |bytes| (turn % 3 != 1).then_some(bytes);
        let short_lived = ("lru of a.once", 1, Some(70));
        let caches = [("lru of a.f", 128, size(9000)), short_lived];
        let caches = if turn < 60 { &caches[..] } else { &caches[..1] };
        let holders = [("a._sessions", turn, turn << 20), ("a._table", 3, 300)];
        series.add(&moment(
            "m",
            turn * 10,
            What::Census(census_with_holders(&[("dict", 1, 1)], &holders, caches, false)),
        ));
    }
    let verdicts = series.verdicts();
    let find =
        |kind: &str, name: &str| verdicts.iter().find(|v| &*v.kind == kind && &*v.name == name).unwrap();
    let leak = find("holder", "a._sessions");
    assert_eq!((leak.trend, leak.limit_reached_at, leak.pid), (TrendKind::Growing, None, Some(1)));
    let words = describe(leak, leak.to.unwrap());
    assert_eq!(words.subject, "what a._sessions holds in root (pid 1)");
    assert!(words.predicate.starts_with("grows by 360.0 MiB/h"), "{}", words.predicate);
    assert_eq!(find("holder", "a._table").trend, TrendKind::Steady);
    let cache = find("cache", "lru of a.f");
    assert_eq!((cache.trend, cache.moments, cache.last_bytes), (TrendKind::Steady, 80, Some(9000)));
    let gone = find("cache", "lru of a.once");
    assert_eq!((gone.moments, gone.last_bytes), (120, Some(0)));
    // Nothing is said of what was not looked at.
    series.add(&moment("m", 1200, What::Census(census(&[("dict", 1, 1)], false))));
    assert!(series.verdicts().iter().any(|v| &*v.name == "a._table" && v.last_bytes == Some(300)));
}

#[test]
fn of_what_grows_it_is_told_whether_what_came_stayed() {
    let mut series = SeriesSet::default();
    for turn in 1..=120_u64 {
        let mut census = census_with_holders(
            &[("Session", turn, turn << 10)],
            &[("a._sessions", turn, turn << 20)],
            &[],
            false,
        );
        for (kind, name) in [("type", "Session"), ("holder", "a._sessions"), ("kind of later", "?")] {
            let mut marks = Fingerprints::default();
            (0..turn).for_each(|object| marks.insert(Fingerprints::fingerprint(0x1000 + 64 * object, 0x77)));
            census.object_samples.push(ObjectSample {
                kind: kind.into(),
                name: name.into(),
                fingerprints: marks,
            });
        }
        series.add(&moment("m", turn * 10, What::Census(census)));
    }
    let verdicts = series.verdicts();
    for name in ["Session", "a._sessions"] {
        let verdict = verdicts.iter().find(|v| &*v.name == name && &*v.kind != "module").unwrap();
        let (measurement, kept) = (verdict.new_objects.unwrap(), verdict.new_objects_survived.unwrap());
        assert!(measurement > 16 && measurement == kept, "{name}: {kept} of {measurement}");
        let words = describe(verdict, verdict.to.unwrap());
        assert!(
            words.predicate.ends_with(&format!("; of {measurement} looked at that came, {kept} stayed")),
            "{}",
            words.predicate
        );
    }
    let module = verdicts.iter().find(|verdict| &*verdict.kind == "module").unwrap();
    assert_eq!((module.new_objects, module.new_objects_survived), (None, None));
}

#[test]
fn a_failed_moment_is_a_gap_and_no_zero() {
    let mut series = SeriesSet::default();
    for turn in 0..30_u64 {
        let failed = turn % 7 == 3;
        let what =
            if failed { What::Failed("no".into()) } else { What::Census(census(&[("dict", 5, 500)], false)) };
        assert_eq!(series.add(&moment("m", turn * 10, what)), !failed);
    }
    let verdicts = series.verdicts();
    assert!(
        verdicts.iter().all(|v| v.trend == TrendKind::Steady && v.last_bytes != Some(0)),
        "{verdicts:#?}"
    );
    assert_eq!((series.measured(), verdicts[0].moments), (26, 26));
}

#[test]
fn the_limit_that_is_nearer_is_foretold_and_none_to_a_process_that_ended() {
    let feed = |ends: bool| {
        let mut series = SeriesSet::default();
        for turn in 0..120_u64 {
            let mut what = what(measurement("r", 1, tree(&[process(1, 1, "bot", 10 + turn)])));
            let What::Tree(tree) = &mut what else { panic!() };
            (tree.system_total_bytes, tree.system_available_bytes) = (Some(64 << 30), Some(32 << 30));
            if turn == 100 {
                (tree.cgroup_limit_bytes, tree.cgroup_current_bytes) = (Some(512 << 20), Some(152 << 20));
            }
            series.add(&moment("r", turn * 10, what));
        }
        if ends {
            let event = ProcessEvent::new(Header::now(&Run::start(), 1), EventKind::Exited, 1, 1);
            series.add(&moment("r", 1200, What::Event(Box::new(event))));
        }
        series.verdicts().remove(0)
    };
    let verdict = feed(false);
    // 360 MiB are left at 360 MiB an hour: an hour from the last look.
    assert_eq!(verdict.limit_kind.as_deref(), Some("cgroup"));
    let ahead = verdict.limit_reached_at.unwrap().unix_seconds() - 1190.0;
    assert!((ahead - 3600.0).abs() < 30.0, "{ahead}");
    let words = describe(&verdict, verdict.to.unwrap());
    assert_eq!(words.subject, "bot (pid 1)");
    assert!(
        words.predicate.starts_with("grows by 360.0 MiB/h (360.0 to 360.0), 99 % sure, "),
        "{}",
        words.predicate
    );
    assert!(
        words.predicate.contains("120 moments; the cgroup's 512.00 MiB are full in about 60 min ("),
        "{}",
        words.predicate
    );
    assert_eq!((feed(true).trend, feed(true).limit_reached_at), (TrendKind::Growing, None));
}

#[test]
fn the_last_look_at_a_process_may_find_it_half_gone_and_that_is_no_end_of_its_growth() {
    for (is_told, is_root) in [(true, true), (true, false), (false, false)] {
        let mut series = SeriesSet::default();
        let growing = |turn: u64| if turn < 100 { 10 + turn } else { 3 };
        for turn in 0..=100 {
            let it = process(2, 2, "w", growing(turn));
            let processes = if is_root { vec![it] } else { vec![process(1, 1, "bot", 20), it] };
            series.add(&moment("r", turn * 10, what(measurement("r", 1, tree(&processes)))));
        }
        let lives = |series: &SeriesSet| series.verdicts().into_iter().find(|v| v.pid == Some(2)).unwrap();
        assert_ne!(lives(&series).trend, TrendKind::Growing, "one that lives has shrunk");
        if is_told {
            let event = ProcessEvent::new(Header::now(&Run::start(), 1), EventKind::Exited, 2, 1);
            series.add(&moment("r", 1005, What::Event(Box::new(event))));
        }
        if !is_root {
            series.add(&moment("r", 1010, what(measurement("r", 1, tree(&[process(1, 1, "bot", 20)])))));
        }
        let verdict = lives(&series);
        assert_eq!((verdict.trend, verdict.moments), (TrendKind::Growing, 100), "{is_told} {is_root}");
        assert_eq!(verdict.last_bytes, Some(109 << 20));
    }
}

#[test]
fn a_clock_that_is_set_back_does_not_turn_growth_round() {
    let mut series = SeriesSet::default();
    for turn in 0..120_u64 {
        // Back by an hour in the middle.
        let second = if turn < 60 { 10_000 + turn * 10 } else { 6_400 + turn * 10 };
        series.add(&moment("r", second, what(measurement("r", 1, tree(&[process(1, 1, "bot", 10 + turn)])))));
    }
    let verdict = series.verdicts().remove(0);
    assert_eq!(verdict.trend, TrendKind::Growing, "{verdict:#?}");
    let rate = verdict.bytes_per_hour.unwrap() / f64::from(1 << 20);
    assert!((rate - 360.0).abs() < 20.0, "{rate}");
}

#[test]
fn of_too_many_series_the_smallest_are_dropped_and_counted() {
    let mut series = SeriesSet::with_limit(100);
    let names: Vec<String> = (0..500).map(|n| format!("type{n:03}")).collect();
    for turn in 0..20_u64 {
        let types: Vec<(&str, u64, u64)> =
            names.iter().zip(1..).map(|(name, size)| (&**name, 1, size * 1000)).collect();
        let mut census = census(&types, false);
        census.modules.clear();
        series.add(&moment("m", turn * 10, What::Census(census)));
    }
    let shown = shown(&series);
    assert!(shown.len() <= 112, "{}", shown.len());
    // The largest and the sum of all stay.
    assert!(
        shown.iter().any(|(_, name, _)| name == "type499") && shown.iter().any(|(kind, ..)| kind == "python")
    );
    assert!(!shown.iter().any(|(_, name, _)| name == "type000"));
    assert!(series.omitted() >= 380 && series.omitted() <= 500, "{}", series.omitted());
}

#[test]
fn brief_processes_do_not_crowd_out_those_that_last() {
    let mut series = SeriesSet::with_limit(50);
    for turn in 0..400_u64 {
        let brief = process(100 + u32::try_from(turn).unwrap(), turn, "cc1", 900);
        let all = tree(&[process(1, 1, "make", 5), process(2, 2, "small", 1), brief]);
        series.add(&moment("r", turn * 10, what(measurement("r", 1, all))));
    }
    let shown = shown(&series);
    assert!(shown.len() <= 57 && shown.iter().any(|(_, name, _)| name == "small"), "{shown:?}");
}

#[test]
fn memory_is_bounded_by_the_series_that_are_followed() {
    let mut series = SeriesSet::with_limit(50);
    for turn in 0..3000_u32 {
        let lasting = (1..80).map(|pid| process(pid, 1, "server", 100 + u64::from(pid)));
        let brief = (0..5).map(|n| process(1000 + turn * 5 + n, u64::from(turn), "cc1", 1));
        let all: Vec<_> = lasting.chain(brief).collect();
        series.add(&moment("r", u64::from(turn) * 10, what(measurement("r", 1, tree(&all)))));
    }
    assert!(
        series.processes.len() < 400 && series.count <= 56,
        "{} {}",
        series.processes.len(),
        series.count
    );
    assert!(series.omitted() > 10_000);
}

#[test]
fn all_is_said_in_words() {
    let mut series = SeriesSet::default();
    trees(&mut series, "r", |turn| 200 - turn, 2, 2);
    let verdicts = series.verdicts();
    let find = |name: &str| verdicts.iter().find(|v| &*v.name == name && &*v.kind == "rss").unwrap();
    let said = |verdict: &Verdict| {
        let words = describe(verdict, verdict.to.unwrap());
        format!("{} {}", words.subject, words.predicate)
    };
    let shrinks = said(find("w --queue mail"));
    assert!(
        shrinks.starts_with("w --queue mail (pid 2) shrinks by 360.0 MiB/h (360.0 to 360.0), "),
        "{shrinks}"
    );
    let steady = said(find("bot"));
    assert!(
        steady.starts_with("bot (pid 1) is steady, ") && steady.ends_with("20.00 MiB at the end"),
        "{steady}"
    );
    let mut typed = find("bot").clone();
    (typed.kind, typed.name, typed.role) = ("type".into(), "dict".into(), "root".into());
    assert!(said(&typed).starts_with("type dict in root (pid 1) is steady"), "{}", said(&typed));
    assert_eq!(count_by_trend(verdicts.iter()), "1 steady, 2 shrinking");
    assert_eq!(
        [format_rate(5.0), format_rate(1536.0), format_rate(-3.0 * f64::from(1 << 20))],
        ["5 B/h", "1.5 KiB/h", "3.0 MiB/h"]
    );
}
