use std::sync::Arc;

use common::log::{Moment, MomentData};
use common::record::{
    EventKind, Fingerprints, Header, LimitKind, ObjectSample, ProcessEvent, Run, SeriesKind,
};

use super::*;
use crate::measurement::testing::{census, census_with_holders, measurement, process, tree};
use crate::measurement::{MeasuredData, Measurement};

/// The moment at a second of a run, ten of which are an interval.
fn moment(run: &str, second: u64, data: MomentData) -> Moment {
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
        data,
    }
}

fn data(measurement: Measurement) -> MomentData {
    match measurement.data {
        MeasuredData::Tree(tree) => MomentData::Tree(Arc::unwrap_or_clone(tree)),
        MeasuredData::Census(census) => MomentData::Census(Arc::unwrap_or_clone(census)),
    }
}

fn trees(series: &mut SeriesSet, run: &str, rss: impl Fn(u64) -> u64, pid: u32, start: u64) {
    for turn in 0..120 {
        let sizes = measurement(
            run,
            1,
            tree(&[process(1, 1, "bot", 20), process(pid, start, "w --queue mail", rss(turn))]),
        );
        series.add(&moment(run, turn * 10, data(sizes)));
    }
}

fn shown(series: &SeriesSet) -> Vec<(String, String, TrendKind)> {
    let verdicts = series.verdicts();
    verdicts.iter().map(|v| (v.kind.to_string(), v.name.to_string(), v.trend)).collect()
}

#[test]
fn descriptors_are_judged() {
    let mut series = SeriesSet::default();
    for turn in 0..120 {
        let mut bot = process(1, 1, "bot", 20);
        // They are read in turn.
        if turn % 3 == 0 {
            (bot.fds, bot.threads) = (Some(20 + turn), Some(8 + turn % 2));
        }
        series.add(&moment("r", turn * 10, data(measurement("r", 1, tree(&[bot])))));
    }
    let verdicts = series.verdicts();
    let count_of = |kind| verdicts.iter().find(|verdict| verdict.kind == kind).unwrap();
    let (fds, threads) = (count_of(SeriesKind::Fds), count_of(SeriesKind::Threads));
    assert_eq!((threads.trend, threads.last_count, threads.last_bytes), (TrendKind::Steady, Some(9), None));
    let said = describe(threads, threads.to.unwrap());
    assert_eq!(said.subject, "the number of threads of bot (pid 1)");
    assert!(
        said.predicate.starts_with("is steady, ") && said.predicate.ends_with("9 at the end"),
        "{said:?}"
    );
    assert_eq!((fds.kind, fds.trend, fds.last_count), (SeriesKind::Fds, TrendKind::Growing, Some(137)));
    assert_eq!((fds.bytes_per_hour, fds.first_bytes, fds.limit_reached_at), (None, None, None));
    // One in ten seconds.
    assert!((fds.count_per_hour.unwrap() - 360.0).abs() < 1.0, "{fds:?}");
    let said = describe(fds, fds.to.unwrap());
    assert_eq!(said.subject, "the number of open file descriptors of bot (pid 1)");
    assert!(said.predicate.starts_with("grows by 360.0/h (360.0 to 360.0), 99 % sure"), "{}", said.predicate);
    assert!(said.predicate.ends_with("137 at the end"), "{}", said.predicate);
    let fast = Verdict { count_per_hour: Some(71_472.4), ..fds.clone() };
    let said = describe(&fast, fds.to.unwrap());
    assert!(said.predicate.starts_with("grows by 71,472/h (360.0 to 360.0)"), "{}", said.predicate);
    assert!(is_growing_beyond(fds, &GrowthThreshold::default()), "a threshold of bytes is none of numbers");
    let groups = group_growth(&[fds]);
    assert_eq!((groups.len(), groups[0].cause.kind), (1, SeriesKind::Fds));
}

#[test]
fn growing_series_come_first() {
    let mut series = SeriesSet::default();
    trees(&mut series, "r", |turn| 10 + turn, 2, 2);
    let verdicts = series.verdicts();
    let growing: Vec<_> =
        verdicts.iter().take_while(|v| v.trend == TrendKind::Growing).map(|v| &*v.name).collect();
    assert_eq!(growing, ["w --queue mail", "bot"], "{verdicts:#?}");
    // Of equal rates that of the process comes before that of its tree.
    assert_eq!(
        (verdicts[0].kind, verdicts[1].kind, &*verdicts[0].role),
        (SeriesKind::Rss, SeriesKind::TotalRss, "w --queue mail")
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
fn reused_pid_begins_another_series() {
    let mut series = SeriesSet::default();
    trees(&mut series, "a", |turn| 10 + turn, 2, 2);
    trees(&mut series, "b", |turn| 130 + turn, 2, 2);
    let mut count = |run: &str, start| {
        trees(&mut series, run, |turn| 10 + turn, 2, start);
        let verdicts = series.verdicts();
        verdicts.iter().filter(|v| v.kind == SeriesKind::Rss && v.pid == Some(2)).count()
    };
    assert_eq!(count("b", 3), 3);
    assert_eq!(count("c", 2), 4);
}

#[test]
fn missing_type_is_zero_or_gap() {
    for (is_cut, moments, last) in [(false, 40, Some(0)), (true, 20, Some(900))] {
        let mut series = SeriesSet::default();
        for turn in 0..40_u64 {
            let types: &[_] =
                if turn < 20 { &[("dict", 5, 500), ("gone", 9, 900)] } else { &[("dict", 5, 500)] };
            series.add(&moment("m", turn * 10, MomentData::Census(census(types, is_cut))));
        }
        let verdicts = series.verdicts();
        let gone = verdicts.iter().find(|v| &*v.name == "gone" && v.kind == SeriesKind::Type).unwrap();
        assert_eq!((gone.moments, gone.last_bytes), (moments, last), "{is_cut}");
    }
}

#[test]
fn unmeasured_cache_is_not_zero() {
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
            MomentData::Census(census_with_holders(&[("dict", 1, 1)], &holders, caches, false)),
        ));
    }
    let verdicts = series.verdicts();
    let find =
        |kind: &str, name: &str| verdicts.iter().find(|v| v.kind == kind.into() && &*v.name == name).unwrap();
    let leak = find("holder", "a._sessions");
    assert_eq!((leak.trend, leak.limit_reached_at, leak.pid), (TrendKind::Growing, None, Some(1)));
    let description = describe(leak, leak.to.unwrap());
    assert_eq!(description.subject, "holder a._sessions in root (pid 1)");
    assert!(description.predicate.starts_with("grows by 360.0 MiB/h"), "{}", description.predicate);
    assert_eq!(find("holder", "a._table").trend, TrendKind::Steady);
    let cache = find("cache", "lru of a.f");
    assert_eq!((cache.trend, cache.moments, cache.last_bytes), (TrendKind::Steady, 80, Some(9000)));
    let gone = find("cache", "lru of a.once");
    assert_eq!((gone.moments, gone.last_bytes), (120, Some(0)));
    // Nothing is said of what was not looked at.
    series.add(&moment("m", 1200, MomentData::Census(census(&[("dict", 1, 1)], false))));
    assert!(series.verdicts().iter().any(|v| &*v.name == "a._table" && v.last_bytes == Some(300)));
}

#[test]
fn growth_reports_kept_objects() {
    let mut series = SeriesSet::default();
    for turn in 1..=120_u64 {
        let mut census = census_with_holders(
            &[("Session", turn, turn << 10)],
            &[("a._sessions", turn, turn << 20)],
            &[],
            false,
        );
        for (kind, name) in [("type", "Session"), ("holder", "a._sessions"), ("kind of later", "?")] {
            let mut fingerprints = Fingerprints::default();
            (0..turn).for_each(|object| {
                fingerprints.insert(Fingerprints::fingerprint(0x1000 + 64 * object, 0x77))
            });
            census.object_samples.push(ObjectSample { kind: kind.into(), name: name.into(), fingerprints });
        }
        series.add(&moment("m", turn * 10, MomentData::Census(census)));
    }
    let verdicts = series.verdicts();
    for name in ["Session", "a._sessions"] {
        let verdict = verdicts.iter().find(|v| &*v.name == name && v.kind != SeriesKind::Module).unwrap();
        let (seen, kept) = (verdict.new_objects.unwrap(), verdict.new_objects_survived.unwrap());
        assert!(seen > 16 && seen == kept, "{name}: {kept} of {seen}");
        let description = describe(verdict, verdict.to.unwrap());
        assert!(
            description.predicate.ends_with(&format!("; {kept} of {seen} new objects in the samples stayed")),
            "{}",
            description.predicate
        );
    }
    let module = verdicts.iter().find(|verdict| verdict.kind == SeriesKind::Module).unwrap();
    assert_eq!((module.new_objects, module.new_objects_survived), (None, None));
}

#[test]
fn failed_moment_is_gap() {
    let mut series = SeriesSet::default();
    for turn in 0..30_u64 {
        let failed = turn % 7 == 3;
        let data = if failed {
            MomentData::Failed("no".into())
        } else {
            MomentData::Census(census(&[("dict", 5, 500)], false))
        };
        assert_eq!(series.add(&moment("m", turn * 10, data)), !failed);
    }
    let verdicts = series.verdicts();
    assert!(
        verdicts.iter().all(|v| v.trend == TrendKind::Steady && v.last_bytes != Some(0)),
        "{verdicts:#?}"
    );
    assert_eq!((series.measured(), verdicts[0].moments), (26, 26));
}

#[test]
fn forecast_names_nearer_limit() {
    let feed = |ends: bool| {
        let mut series = SeriesSet::default();
        for turn in 0..120_u64 {
            let mut data = data(measurement("r", 1, tree(&[process(1, 1, "bot", 10 + turn)])));
            let MomentData::Tree(tree) = &mut data else { panic!() };
            (tree.system_total_bytes, tree.system_available_bytes) = (Some(64 << 30), Some(32 << 30));
            if turn == 100 {
                (tree.cgroup_limit_bytes, tree.cgroup_current_bytes) = (Some(512 << 20), Some(152 << 20));
            }
            series.add(&moment("r", turn * 10, data));
        }
        if ends {
            let event = ProcessEvent::new(Header::now(&Run::start(), 1), EventKind::Exited, 1, 1);
            series.add(&moment("r", 1200, MomentData::Event(Box::new(event))));
        }
        series.verdicts().remove(0)
    };
    let verdict = feed(false);
    // 360 MiB are left at 360 MiB an hour: an hour from the last look.
    assert_eq!(verdict.limit_kind, Some(LimitKind::Cgroup));
    let ahead = verdict.limit_reached_at.unwrap().unix_seconds() - 1190.0;
    assert!((ahead - 3600.0).abs() < 30.0, "{ahead}");
    let description = describe(&verdict, verdict.to.unwrap());
    assert_eq!(description.subject, "bot (pid 1)");
    assert!(
        description.predicate.starts_with("grows by 360.0 MiB/h (360.0 to 360.0), 99 % sure, "),
        "{}",
        description.predicate
    );
    assert!(
        description.predicate.contains("120 moments; fills the cgroup's 512.00 MiB in about 60 min ("),
        "{}",
        description.predicate
    );
    assert_eq!((feed(true).trend, feed(true).limit_reached_at), (TrendKind::Growing, None));
}

#[test]
fn last_value_of_ended_is_ignored() {
    for (is_told, is_root) in [(true, true), (true, false), (false, false)] {
        let mut series = SeriesSet::default();
        let growing = |turn: u64| if turn < 100 { 10 + turn } else { 3 };
        for turn in 0..=100 {
            let it = process(2, 2, "w", growing(turn));
            let processes = if is_root { vec![it] } else { vec![process(1, 1, "bot", 20), it] };
            series.add(&moment("r", turn * 10, data(measurement("r", 1, tree(&processes)))));
        }
        let lives = |series: &SeriesSet| series.verdicts().into_iter().find(|v| v.pid == Some(2)).unwrap();
        assert_ne!(lives(&series).trend, TrendKind::Growing, "one that lives has shrunk");
        if is_told {
            let event = ProcessEvent::new(Header::now(&Run::start(), 1), EventKind::Exited, 2, 1);
            series.add(&moment("r", 1005, MomentData::Event(Box::new(event))));
        }
        if !is_root {
            series.add(&moment("r", 1010, data(measurement("r", 1, tree(&[process(1, 1, "bot", 20)])))));
        }
        let verdict = lives(&series);
        assert_eq!((verdict.trend, verdict.moments), (TrendKind::Growing, 100), "{is_told} {is_root}");
        assert_eq!(verdict.last_bytes, Some(109 << 20));
    }
}

#[test]
fn clock_set_back_keeps_growth() {
    let mut series = SeriesSet::default();
    for turn in 0..120_u64 {
        // Back by an hour in the middle.
        let second = if turn < 60 { 10_000 + turn * 10 } else { 6_400 + turn * 10 };
        series.add(&moment("r", second, data(measurement("r", 1, tree(&[process(1, 1, "bot", 10 + turn)])))));
    }
    let verdict = series.verdicts().remove(0);
    assert_eq!(verdict.trend, TrendKind::Growing, "{verdict:#?}");
    let rate = verdict.bytes_per_hour.unwrap() / f64::from(1 << 20);
    assert!((rate - 360.0).abs() < 20.0, "{rate}");
}

#[test]
fn smallest_series_are_dropped() {
    let mut series = SeriesSet::with_limit(100);
    let names: Vec<String> = (0..500).map(|n| format!("type{n:03}")).collect();
    for turn in 0..20_u64 {
        let types: Vec<(&str, u64, u64)> =
            names.iter().zip(1..).map(|(name, size)| (&**name, 1, size * 1000)).collect();
        let mut census = census(&types, false);
        census.modules.clear();
        series.add(&moment("m", turn * 10, MomentData::Census(census)));
    }
    let shown = shown(&series);
    assert!(shown.len() <= 112, "{}", shown.len());
    // The largest and the sum of all stay.
    assert!(
        shown.iter().any(|(_, name, _)| name == "type499") && shown.iter().any(|(kind, ..)| kind == "python")
    );
    assert!(!shown.iter().any(|(_, name, _)| name == "type000"));
    assert!(series.dropped() >= 380 && series.dropped() <= 500, "{}", series.dropped());
}

#[test]
fn brief_processes_are_dropped_first() {
    let mut series = SeriesSet::with_limit(50);
    for turn in 0..400_u64 {
        let brief = process(100 + u32::try_from(turn).unwrap(), turn, "cc1", 900);
        let all = tree(&[process(1, 1, "make", 5), process(2, 2, "small", 1), brief]);
        series.add(&moment("r", turn * 10, data(measurement("r", 1, all))));
    }
    let shown = shown(&series);
    assert!(shown.len() <= 57 && shown.iter().any(|(_, name, _)| name == "small"), "{shown:?}");
}

#[test]
fn memory_of_series_is_bounded() {
    let mut series = SeriesSet::with_limit(50);
    for turn in 0..3000_u32 {
        let lasting = (1..80).map(|pid| process(pid, 1, "server", 100 + u64::from(pid)));
        let brief = (0..5).map(|n| process(1000 + turn * 5 + n, u64::from(turn), "cc1", 1));
        let all: Vec<_> = lasting.chain(brief).collect();
        series.add(&moment("r", u64::from(turn) * 10, data(measurement("r", 1, tree(&all)))));
    }
    assert!(
        series.processes.len() < 400 && series.count <= 56,
        "{} {}",
        series.processes.len(),
        series.count
    );
    assert!(series.dropped() > 10_000);
}

#[test]
fn verdicts_are_sentences() {
    let mut series = SeriesSet::default();
    trees(&mut series, "r", |turn| 200 - turn, 2, 2);
    let verdicts = series.verdicts();
    let find = |name: &str| verdicts.iter().find(|v| &*v.name == name && v.kind == SeriesKind::Rss).unwrap();
    let said = |verdict: &Verdict| {
        let description = describe(verdict, verdict.to.unwrap());
        format!("{} {}", description.subject, description.predicate)
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
    let rates = [5.0, 1536.0, -3.0 * f64::from(1 << 20)].map(|rate| {
        typed.bytes_per_hour = Some(rate);
        format_slope(&typed)
    });
    assert_eq!(rates, ["5 B/h", "1.5 KiB/h", "3.0 MiB/h"]);
}
