use std::sync::Arc;

use common::record::Run;
use proptest::prelude::*;

use super::*;
use crate::measurement::MeasuredData;
use crate::measurement::testing::{census, census_with_holders, measurement, process, tree};

fn compared(before: &[Measurement], after: &[Measurement], threshold: &GrowthThreshold) -> Comparison {
    compare(Header::now(&Run::start(), 1), before, after, &["log".to_owned()], threshold)
}

fn counted(types: &[(&str, u64, u64)], is_cut: bool) -> Vec<Measurement> {
    vec![measurement("r", 1, MeasuredData::Census(Arc::new(census(types, is_cut))))]
}

fn rows(changes: &[CountChange]) -> Vec<(&str, Presence, Option<u64>, Option<u64>)> {
    changes.iter().map(|c| (&*c.name, c.presence, c.size_before_bytes, c.size_after_bytes)).collect()
}

#[test]
fn truncated_list_gives_unknown_presence() {
    let (some, more) = ([("dict", 3, 300), ("old", 1, 10)], [("dict", 4, 500), ("young", 2, 40)]);
    let whole = compared(&counted(&some, false), &counted(&more, false), &GrowthThreshold::default());
    assert_eq!(
        rows(&whole.record.types),
        [
            ("dict", Presence::Both, Some(300), Some(500)),
            ("young", Presence::New, Some(0), Some(40)),
            ("old", Presence::Gone, Some(10), Some(0)),
        ]
    );
    let cut = compared(&counted(&some, true), &counted(&more, true), &GrowthThreshold::default());
    assert_eq!(
        rows(&cut.record.types),
        [
            ("dict", Presence::Both, Some(300), Some(500)),
            ("young", Presence::Unknown, None, Some(40)),
            ("old", Presence::Unknown, Some(10), None),
        ]
    );
    // Each side for itself: what a whole list of before lacks is new, whatever was cut after.
    let half = compared(&counted(&some, false), &counted(&more, true), &GrowthThreshold::default());
    assert_eq!(
        rows(&half.record.types)[1..],
        [("young", Presence::New, Some(0), Some(40)), ("old", Presence::Unknown, Some(10), None),]
    );
    assert_eq!(whole.record.types, whole.record.modules);
}

#[test]
fn missing_modules_list_is_unknown() {
    let mut after = census(&[("dict", 1, 1)], false);
    after.modules.clear();
    let after = vec![measurement("r", 2, MeasuredData::Census(Arc::new(after)))];
    let delta = compared(&counted(&[("dict", 1, 1)], false), &after, &GrowthThreshold::default());
    assert_eq!(rows(&delta.record.modules), [("dict", Presence::Unknown, Some(1), None)]);
}

fn holding(
    holders: &[(&str, u64, u64)],
    caches: &[(&str, u64, Option<u64>)],
    is_cut: bool,
) -> Vec<Measurement> {
    vec![measurement(
        "r",
        1,
        MeasuredData::Census(Arc::new(census_with_holders(&[("dict", 1, 1)], holders, caches, is_cut))),
    )]
}

#[test]
fn holders_and_caches_are_compared() {
    let before =
        |is_cut| holding(&[("a._old", 1, 10), ("a._all", 5, 500)], &[("lru of a.f", 9, Some(90))], is_cut);
    let after =
        |is_cut| holding(&[("a._all", 7, 900), ("a._new", 2, 40)], &[("lru of a.g", 3, Some(30))], is_cut);
    let whole = compared(&before(false), &after(false), &GrowthThreshold::new(&[], 300));
    assert_eq!(
        rows(&whole.record.holders),
        [
            ("a._all", Presence::Both, Some(500), Some(900)),
            ("a._new", Presence::New, Some(0), Some(40)),
            ("a._old", Presence::Gone, Some(10), Some(0)),
        ]
    );
    assert_eq!(
        rows(&whole.record.caches),
        [("lru of a.f", Presence::Gone, Some(90), Some(0)), ("lru of a.g", Presence::New, Some(0), Some(30)),]
    );
    assert_eq!((whole.record.caches[0].count_before, whole.record.caches[0].count_after), (Some(9), Some(0)));
    assert_eq!(whole.grown, [Growth { name: "a._all".into(), bytes: 400 }]);
    let cut = compared(&before(true), &after(true), &GrowthThreshold::default()).record;
    assert_eq!(
        rows(&cut.holders)[1..],
        [("a._new", Presence::Unknown, None, Some(40)), ("a._old", Presence::Unknown, Some(10), None)]
    );
    assert!(cut.caches.iter().all(|change| change.presence == Presence::Unknown), "{cut:#?}");
}

#[test]
fn uncounted_holders_are_unknown() {
    let looked =
        holding(&[("a._all", 5, 500)], &[("lru of a.f", 9, Some(90)), ("lru of a.g", 4, None)], false);
    let other = counted(&[("dict", 1, 1)], false);
    for (before, after, sides) in [(&looked, &other, (Some(500), None)), (&other, &looked, (None, Some(500)))]
    {
        let record = compared(before, after, &GrowthThreshold::new(&[], 0)).record;
        assert_eq!(rows(&record.holders), [("a._all", Presence::Unknown, sides.0, sides.1)]);
        assert!(record.caches.len() == 2 && !record.grew, "{record:#?}");
    }
    let neither = compared(&other, &other, &GrowthThreshold::default()).record;
    assert_eq!((neither.holders, neither.caches), (vec![], vec![]));
    let later = holding(&[], &[("lru of a.f", 9, None), ("lru of a.g", 6, None)], false);
    let record = compared(&looked, &later, &GrowthThreshold::new(&[], 0)).record;
    assert_eq!(
        rows(&record.caches),
        [("lru of a.g", Presence::Both, None, None), ("lru of a.f", Presence::Both, Some(90), None)]
    );
    assert_eq!((record.caches[0].count_before, record.caches[0].count_after), (Some(4), Some(6)));
}

#[test]
fn unknown_change_is_no_growth() {
    let none = GrowthThreshold::new(&[Threshold::Bytes(0)], 0);
    let delta = compared(&counted(&[], true), &counted(&[("dict", 1, 1 << 30)], true), &none);
    let kinds: Vec<&str> = delta.grown.iter().map(|growth| &*growth.name).collect();
    // All objects are counted, whatever the list shows.
    assert_eq!(kinds, ["Python objects"]);
}

#[test]
fn growth_must_exceed_both_bounds() {
    let bounds = |texts: &[&str]| {
        let thresholds: Vec<Threshold> = texts.iter().map(|text| Threshold::parse(text).unwrap()).collect();
        GrowthThreshold::new(&thresholds, DEFAULT_THRESHOLD_BYTES)
    };
    assert_eq!(bounds(&[]), GrowthThreshold::default());
    let mib = |n: u64| n << 20;
    assert!(!bounds(&[]).is_exceeded(0, mib(4)) && bounds(&[]).is_exceeded(0, mib(4) + 1));
    assert!(bounds(&["0"]).is_exceeded(0, 1) && !bounds(&["0"]).is_exceeded(1, 1));
    assert!(
        !bounds(&["10%"]).is_exceeded(mib(100), mib(110)) && bounds(&["10%"]).is_exceeded(mib(100), mib(111))
    );
    assert!(
        !bounds(&["10%"]).is_exceeded(mib(1), mib(2)) && bounds(&["10%", "0"]).is_exceeded(mib(1), mib(2))
    );
    assert!(!bounds(&["0"]).is_exceeded(mib(9), mib(2)));
}

#[test]
fn missing_process_is_new_or_gone() {
    let before = vec![measurement("r", 1, tree(&[process(1, 1, "bot", 10), process(2, 2, "w", 5)]))];
    let after = vec![measurement("r", 2, tree(&[process(1, 1, "bot", 30), process(3, 3, "x", 7)]))];
    let record = compared(&before, &after, &GrowthThreshold::default()).record;
    let shown: Vec<_> =
        record.processes.iter().map(|p| (&*p.role, p.presence, p.pid_before, p.pid_after)).collect();
    assert_eq!(
        shown,
        [
            ("root", Presence::Both, Some(1), Some(1)),
            ("x", Presence::New, None, Some(3)),
            ("w", Presence::Gone, Some(2), None),
        ]
    );
    assert_eq!(record.totals.len(), 1);
    assert_eq!(
        (record.totals[0].before_bytes, record.totals[0].after_bytes),
        (Some(15 << 20), Some(37 << 20))
    );
    // A side that lists no processes does not say that there were none.
    let objects = counted(&[("dict", 1, 1)], false);
    let record = compared(&objects, &after, &GrowthThreshold::default()).record;
    let other = record.processes.iter().find(|process| process.role.contains('x')).unwrap();
    assert_eq!(other.presence, Presence::Unknown);
}

#[test]
fn new_fork_counts_by_its_pss() {
    let mut fork = process(2, 2, "w", 500);
    let root = process(1, 1, "bot", 500);
    let before = vec![measurement("r", 1, tree(std::slice::from_ref(&root)))];
    let grown = |fork: &common::log::Process| {
        let mut side = tree(&[root.clone(), fork.clone()]);
        let MeasuredData::Tree(all) = &mut side else { panic!() };
        let total = 500 << 20;
        Arc::get_mut(all).unwrap().total_pss_bytes = Some(total);
        let mut before = before.clone();
        let MeasuredData::Tree(all) = &mut before[0].data else { panic!() };
        Arc::make_mut(all).total_pss_bytes = Some(total);
        compared(&before, &[measurement("r", 2, side)], &GrowthThreshold::default()).grown
    };
    assert_eq!(grown(&fork).len(), 1);
    fork.pss_bytes = Some(3 << 20);
    assert_eq!(grown(&fork), []);
}

#[test]
fn threads_are_counted_by_name() {
    let with = |names: &[&str]| {
        let mut census = census(&[("dict", 1, 1)], false);
        census.threads = Some(names.iter().map(|&name| name.into()).collect());
        vec![measurement("r", 1, MeasuredData::Census(Arc::new(census)))]
    };
    let delta = compared(
        &with(&["main", "pool", "old"]),
        &with(&["main", "pool", "pool", "pool"]),
        &GrowthThreshold::default(),
    );
    let shown: Vec<_> = delta.record.threads.iter().map(|t| (&*t.name, t.presence)).collect();
    assert_eq!(shown, [("old", Presence::Gone), ("pool", Presence::New), ("pool", Presence::New)]);
    let unknown = compared(&counted(&[("dict", 1, 1)], false), &with(&["main"]), &GrowthThreshold::default());
    assert_eq!(unknown.record.threads, []);
}

#[test]
fn notes_warn_of_unusual_sides() {
    let other = |run: &str, iteration| vec![measurement(run, iteration, tree(&[process(1, 1, "bot", 1)]))];
    let notes = |before: &[Measurement], after: &[Measurement]| {
        compared(before, after, &GrowthThreshold::default()).notes
    };
    assert_eq!(notes(&other("a", 1), &other("a", 2)), [""; 0]);
    assert!(notes(&other("a", 1), &other("b", 2))[0].contains("two different runs"));
    assert!(notes(&other("a", 2), &other("a", 1))[0].contains("before"));
    let counted_too = [other("a", 2), counted(&[("dict", 1, 1)], false)].concat();
    assert!(notes(&other("r", 1), &counted_too).iter().any(|note| note.contains("one side only")));
}

/// Everything exchanged that has a side.
fn mirrored(mut record: DiffRecord) -> DiffRecord {
    use std::mem::swap;
    let turned = |presence| match presence {
        Presence::New => Presence::Gone,
        Presence::Gone => Presence::New,
        same => same,
    };
    swap(&mut record.before, &mut record.after);
    for p in &mut record.processes {
        p.presence = turned(p.presence);
        swap(&mut p.pid_before, &mut p.pid_after);
        swap(&mut p.rss_before_bytes, &mut p.rss_after_bytes);
        swap(&mut p.pss_before_bytes, &mut p.pss_after_bytes);
        swap(&mut p.uss_before_bytes, &mut p.uss_after_bytes);
        swap(&mut p.swap_before_bytes, &mut p.swap_after_bytes);
        swap(&mut p.threads_before, &mut p.threads_after);
    }
    for total in &mut record.totals {
        swap(&mut total.before_bytes, &mut total.after_bytes);
        swap(&mut total.count_before, &mut total.count_after);
    }
    let lists = [&mut record.types, &mut record.modules, &mut record.holders, &mut record.caches];
    for change in lists.into_iter().flatten() {
        change.presence = turned(change.presence);
        swap(&mut change.count_before, &mut change.count_after);
        swap(&mut change.size_before_bytes, &mut change.size_after_bytes);
    }
    record.threads.iter_mut().for_each(|thread| thread.presence = turned(thread.presence));
    record
}

fn any_side() -> impl Strategy<Value = Vec<Measurement>> {
    // Few names and pids, so that both sides share some; each command line once, as the numbers of several depend on their order.
    let types = proptest::collection::btree_map(0_u8..6, (0_u64..5, 0_u64..3000), 0..6);
    let children = proptest::collection::btree_map(2_u32..7, 0_u64..900, 0..5);
    (types, any::<bool>(), children, 0_u64..900).prop_map(|(types, is_cut, children, rss)| {
        let names: Vec<(String, u64, u64)> =
            types.into_iter().map(|(name, (count, size))| (format!("t{name}"), count, size)).collect();
        let types: Vec<(&str, u64, u64)> =
            names.iter().map(|(name, count, size)| (&**name, *count, *size)).collect();
        let below = children.into_iter().map(|(pid, rss)| {
            let letter = char::from(b'a' + u8::try_from(pid).unwrap());
            process(pid, 50 + u64::from(pid), &format!("w {letter}"), rss)
        });
        let processes: Vec<_> = std::iter::once(process(1, 10, "bot", rss)).chain(below).collect();
        // Of some caches the size is not known.
        let caches: Vec<_> =
            types.iter().map(|&(name, n, size)| (name, n, (n > 1).then_some(size))).collect();
        let census_with_holders = census_with_holders(&types, &types, &caches, is_cut);
        vec![
            measurement("r", 1, tree(&processes)),
            measurement("m", 1, MeasuredData::Census(Arc::new(census_with_holders))),
        ]
    })
}

proptest! {
    #[test]
    fn exchanged_sides_mirror_result(before in any_side(), after in any_side()) {
        let there = compared(&before, &after, &GrowthThreshold::default()).record;
        let back = mirrored(compared(&after, &before, &GrowthThreshold::default()).record);
        prop_assert_eq!(&there.processes, &back.processes);
        prop_assert_eq!(&there.totals, &back.totals);
        prop_assert_eq!(&there.types, &back.types);
        prop_assert_eq!(&there.modules, &back.modules);
        prop_assert_eq!(&there.holders, &back.holders);
        prop_assert_eq!(&there.caches, &back.caches);
        prop_assert_eq!(&there.before, &back.before);
    }

    #[test]
    fn no_type_is_lost_or_invented(before in any_side(), after in any_side()) {
        let record = compared(&before, &after, &GrowthThreshold::default()).record;
        let listed = |side: &[Measurement]| {
            let MeasuredData::Census(census) = &side[1].data else { panic!() };
            census.types.iter().map(|total| (total.name.to_string(), total.size_bytes)).collect::<HashMap<_, _>>()
        };
        let (was, is) = (listed(&before), listed(&after));
        for change in &record.types {
            let name = &*change.name;
            if let Some(size) = change.size_before_bytes.filter(|size| *size > 0) {
                prop_assert_eq!(was.get(name), Some(&size));
            }
            if let Some(size) = change.size_after_bytes.filter(|size| *size > 0) {
                prop_assert_eq!(is.get(name), Some(&size));
            }
        }
        let names: std::collections::HashSet<_> = was.keys().chain(is.keys()).collect();
        prop_assert_eq!(record.types.len(), names.len());
    }
}
