//! Groups verdicts of growth by their cause: of everything that grows in a process, the holder comes first.

use common::record::{SeriesKind, Verdict};

use super::key::is_count;

/// Growth at a holder, with less than this share of the growth of its process, is not taken for the cause.
const MIN_SHARE: f64 = 0.1;
/// Further holders of a process with this share of the growth of the first one may have causes of their own.
const OWN_SHARE: f64 = 0.5;

/// Growth with one cause.
#[derive(Debug, Clone, PartialEq)]
pub struct GrowthGroup<'a> {
    /// The series to examine first.
    pub cause: &'a Verdict,
    /// The series that grow with it, those that say most first.
    pub followers: Vec<&'a Verdict>,
}

/// Groups the verdicts of growth by process, the fastest growth first.
pub fn group_growth<'a>(growing: &[&'a Verdict]) -> Vec<GrowthGroup<'a>> {
    let mut processes: Vec<(ProcessId<'a>, Vec<&'a Verdict>)> = Vec::new();
    // Descriptors and threads are no bytes: each is a cause of its own.
    let (counts, sizes): (Vec<&Verdict>, Vec<&Verdict>) =
        growing.iter().partition(|verdict| is_count(verdict.kind));
    let (trees, own): (Vec<&Verdict>, Vec<&Verdict>) =
        sizes.iter().partition(|verdict| is_tree(verdict.kind));
    for verdict in own {
        let id = process(verdict);
        match processes.iter_mut().find(|(known, _)| *known == id) {
            Some((_, verdicts)) => verdicts.push(verdict),
            None => processes.push((id, vec![verdict])),
        }
    }
    processes.sort_by(|(_, a), (_, b)| fastest(b).total_cmp(&fastest(a)));
    let mut groups: Vec<GrowthGroup<'a>> = Vec::new();
    for (_, verdicts) in processes {
        groups.extend(of_process(verdicts));
    }
    // A tree grows with the processes in it.
    match groups.first_mut() {
        Some(group) => group.followers.extend(trees),
        None => groups.extend(trees.into_iter().map(|cause| GrowthGroup { cause, followers: Vec::new() })),
    }
    groups.extend(counts.into_iter().map(|cause| GrowthGroup { cause, followers: Vec::new() }));
    for group in &mut groups {
        group.followers.sort_by(|a, b| rank(a.kind).cmp(&rank(b.kind)).then(rate(b).total_cmp(&rate(a))));
        // Two logs of one process say the same twice.
        let mut said = vec![series(group.cause)];
        group.followers.retain(|other| {
            let is_new = !said.contains(&series(other));
            said.push(series(other));
            is_new
        });
    }
    groups
}

type ProcessId<'a> = (Option<u32>, Option<&'a str>);

/// Identifies the process of a verdict: by its pid, or by its role.
fn process(verdict: &Verdict) -> ProcessId<'_> {
    (verdict.pid, verdict.pid.is_none().then_some(&*verdict.role))
}

/// Identifies the series of a verdict in any run.
fn series(verdict: &Verdict) -> (SeriesKind, &str, ProcessId<'_>) {
    (verdict.kind, &verdict.name, process(verdict))
}

fn is_tree(kind: SeriesKind) -> bool {
    matches!(kind, SeriesKind::TotalRss | SeriesKind::TotalPss)
}

fn rate(verdict: &Verdict) -> f64 {
    verdict.bytes_per_hour.unwrap_or(0.0)
}

fn fastest(verdicts: &[&Verdict]) -> f64 {
    verdicts.iter().map(|verdict| rate(verdict)).fold(0.0, f64::max)
}

/// The order of followers: the sizes of the process, then what they consist of.
fn rank(kind: SeriesKind) -> u8 {
    match kind {
        SeriesKind::Rss => 0,
        SeriesKind::TotalRss => 1,
        SeriesKind::Python => 2,
        SeriesKind::Native => 3,
        SeriesKind::Cache => 4,
        SeriesKind::Type => 5,
        SeriesKind::Holder => 6,
        _ => 7,
    }
}

/// The groups of one process: a holder, else a type of the program, else the memory outside objects, else its fastest series.
fn of_process(mut verdicts: Vec<&Verdict>) -> Vec<GrowthGroup<'_>> {
    verdicts.sort_by(|a, b| {
        rate(b).total_cmp(&rate(a)).then_with(|| (rank(a.kind), &a.name).cmp(&(rank(b.kind), &b.name)))
    });
    let total = verdicts
        .iter()
        .filter(|verdict| matches!(verdict.kind, SeriesKind::Rss | SeriesKind::Python | SeriesKind::Native))
        .map(|verdict| rate(verdict))
        .fold(0.0, f64::max);
    let matters = |verdict: &&&Verdict| rate(verdict) >= total * MIN_SHARE;
    // Names in parentheses are of the interpreter and its library.
    let is_holder =
        |verdict: &&&Verdict| verdict.kind == SeriesKind::Holder && !verdict.name.starts_with('(');
    let is_cause: [&dyn Fn(&&&Verdict) -> bool; 5] = [
        &is_holder,
        &|verdict| verdict.kind == SeriesKind::Cache,
        &|verdict| verdict.kind == SeriesKind::Type && verdict.name.contains('.'),
        &|verdict| verdict.kind == SeriesKind::Native,
        &|verdict| verdict.kind == SeriesKind::Rss,
    ];
    let native = verdicts.iter().find(|verdict| verdict.kind == SeriesKind::Native);
    let holder = verdicts.iter().find(is_holder).map_or(0.0, |verdict| rate(verdict));
    // Objects that are a small part of the growth do not cause the rest.
    let native =
        native.filter(|verdict| rate(verdict) > total * OWN_SHARE && holder < rate(verdict) * OWN_SHARE);
    let found = native.or_else(|| {
        is_cause.iter().find_map(|is_cause| verdicts.iter().filter(matters).find(|verdict| is_cause(verdict)))
    });
    let Some(&cause) = found.or(verdicts.first()) else { return Vec::new() };
    let others = |verdict: &&&Verdict| {
        cause.kind == SeriesKind::Holder && is_holder(verdict) && rate(verdict) >= rate(cause) * OWN_SHARE
    };
    let causes: Vec<&Verdict> =
        verdicts.iter().filter(others).copied().filter(|other| *other != cause).collect();
    let follows = |verdict: &&Verdict| *verdict != cause && !causes.contains(verdict);
    let followers = verdicts.iter().copied().filter(follows).collect();
    let mut groups = vec![GrowthGroup { cause, followers }];
    groups.extend(causes.into_iter().map(|cause| GrowthGroup { cause, followers: Vec::new() }));
    groups
}

#[cfg(test)]
mod tests {
    use common::record::TrendKind;

    use super::*;
    use crate::measurement::local_stamp;

    fn grows(kind: SeriesKind, name: &str, pid: u32, rate: f64) -> Verdict {
        Verdict {
            kind,
            name: name.into(),
            role: "root".into(),
            pid: Some(pid),
            trend: TrendKind::Growing,
            confidence_ratio: 0.99,
            bytes_per_hour: Some(rate),
            bytes_per_hour_low: None,
            bytes_per_hour_high: None,
            count_per_hour: None,
            count_per_hour_low: None,
            count_per_hour_high: None,
            from: Some(local_stamp(0)),
            to: Some(local_stamp(1)),
            first_bytes: None,
            last_bytes: None,
            first_count: None,
            last_count: None,
            moments: 9,
            limit_reached_at: None,
            limit_kind: None,
            limit_bytes: None,
            new_objects: None,
            new_objects_survived: None,
        }
    }

    fn names(verdicts: &[Verdict]) -> Vec<(String, Vec<String>)> {
        let groups = group_growth(&verdicts.iter().collect::<Vec<_>>());
        let name = |verdict: &Verdict| verdict.name.to_string();
        groups
            .iter()
            .map(|group| (name(group.cause), group.followers.iter().map(|other| name(other)).collect()))
            .collect()
    }

    #[test]
    fn holder_comes_before_what_follows_from_it() {
        use SeriesKind::{Holder, Module, Native, Python, Rss, TotalRss, Type};
        let leak = [
            grows(Module, "builtins", 1, 99.0),
            grows(Rss, "bot.py", 1, 120.0),
            grows(TotalRss, "tree", 1, 130.0),
            grows(Type, "str", 1, 90.0),
            grows(Python, "objects", 1, 100.0),
            grows(Holder, "(standard library)", 1, 95.0),
            grows(Holder, "app.cache", 1, 80.0),
            grows(Holder, "app.second", 1, 41.0),
            grows(Holder, "app.small", 1, 2.0),
        ];
        let followers = ["bot.py", "tree", "objects", "str", "(standard library)", "app.small", "builtins"];
        assert_eq!(
            names(&leak),
            [
                ("app.cache".to_owned(), followers.map(str::to_owned).to_vec()),
                ("app.second".to_owned(), Vec::new())
            ]
        );
        let native = [
            grows(Holder, "app.cache", 1, 10.0),
            grows(Native, "native", 1, 90.0),
            grows(Rss, "bot.py", 1, 100.0),
            grows(Rss, "other.py", 2, 500.0),
        ];
        let expected = [("other.py", &[][..]), ("native", &["bot.py", "app.cache"])];
        let expected = expected.map(|(cause, followers)| {
            (cause.to_owned(), followers.iter().map(|name| (*name).to_owned()).collect())
        });
        assert_eq!(names(&native), expected);
    }

    #[test]
    fn two_logs_of_a_process_say_it_once() {
        use SeriesKind::{Rss, TotalRss};
        let logs = [
            grows(Rss, "bot.py", 1, 120.0),
            grows(Rss, "bot.py", 1, 119.0),
            grows(TotalRss, "bot.py", 1, 130.0),
            grows(TotalRss, "bot.py", 1, 131.0),
            grows(Rss, "bot.py", 2, 5.0),
        ];
        let expected = [("bot.py".to_owned(), vec!["bot.py".to_owned()]), ("bot.py".to_owned(), Vec::new())];
        assert_eq!(names(&logs), expected);
    }
}
