//! The record of a census: the rows that it lists, and the sum of the others.

use std::collections::HashSet;
use std::sync::Arc;

use common::launch::own_peak_bytes;
use common::record::{
    CensusRecord, Coverage, Header, HolderTotal, ModuleTotal, Omitted, OwnerTotal, PathTotal, PythonBuild,
    TypeTotal,
};

use super::cache_record::caches;
use super::summary::{CensusSummary, ratio};
use crate::census::Census;
use crate::holders::summary::HolderSummary;
use crate::holders::why::Why;
use crate::object_sum::{ObjectSum, SummaryRow};

/// A type or module is listed from one part in this many of all objects or bytes on.
const TYPE_PARTS: u64 = 10_000;
/// The same for holders: even a small program has thousands.
const HOLDER_PARTS: u64 = 2_000;

/// Paths to the objects of a type that are listed: rarer ones are unique.
const MAX_PATHS: usize = 100;

/// Names that are remembered; beyond that, names without objects are forgotten.
const MAX_NAMES: usize = 10_000;

/// Makes the records of a process: a row that was listed once stays listed.
#[derive(Debug, Default)]
pub struct CensusRecorder {
    types: ListedNames,
    modules: ListedNames,
    holders: ListedNames,
    owners: ListedNames,
    owner_modules: ListedNames,
}

/// The names of rows that were listed.
type ListedNames = HashSet<Arc<str>>;

/// Selects the rows that are large enough or were listed before, even if they have no objects now. The others are summed up.
fn select<T>(
    names: &mut ListedNames,
    rows: &[SummaryRow],
    total: ObjectSum,
    parts: u64,
    to_record: impl Fn(SummaryRow) -> T,
) -> (Vec<T>, Option<Omitted>) {
    let is_large = |sum: ObjectSum| {
        let reaches = |part: u64, whole: u64| u128::from(part) * u128::from(parts) >= u128::from(whole);
        reaches(sum.count, total.count) || reaches(sum.size_bytes, total.size_bytes)
    };
    let mut listed = Vec::new();
    let mut omitted = Omitted::default();
    for row in rows {
        if is_large(row.sum) || names.contains(&row.name) {
            listed.push(row.clone());
        } else {
            omitted.add(row.sum.count, row.sum.size_bytes);
        }
    }
    let now: ListedNames = listed.iter().map(|row| Arc::clone(&row.name)).collect();
    let mut gone: Vec<Arc<str>> = names.difference(&now).cloned().collect();
    if gone.len() > MAX_NAMES {
        gone.clear();
        names.clone_from(&now);
    }
    gone.sort_unstable();
    listed.extend(gone.into_iter().map(|name| SummaryRow { name, sum: ObjectSum::NONE }));
    names.extend(now);
    (listed.into_iter().map(to_record).collect(), omitted.if_any())
}

impl CensusRecorder {
    /// Makes the record of a census. Without `cmdline` it has no arguments and no path of the executable.
    pub fn record(
        &mut self,
        header: Header,
        census: &Census,
        summary: &CensusSummary,
        root_pid: Option<u32>,
        cmdline: bool,
    ) -> CensusRecord {
        let (total, held) = (summary.total, census.held.as_ref());
        let (types, types_omitted) =
            select(&mut self.types, &summary.types, total, TYPE_PARTS, |row| type_total(row, held));
        let (modules, modules_omitted) =
            select(&mut self.modules, &summary.modules, total, TYPE_PARTS, module_total);
        let (holders, holders_omitted) = held
            .map(|held| select(&mut self.holders, &held.holders, total, HOLDER_PARTS, holder_total))
            .unzip();
        let (owners, owners_omitted) =
            held.map(|held| select(&mut self.owners, &held.owners, total, HOLDER_PARTS, owner_total)).unzip();
        let (owner_modules, owner_modules_omitted) = held
            .map(|held| select(&mut self.owner_modules, &held.modules, total, HOLDER_PARTS, module_total))
            .unzip();
        let (caches, caches_omitted) = census.caches.as_deref().map_or((None, None), caches);
        let known = &census.record;
        CensusRecord {
            root_pid: root_pid.filter(|&root| root != known.pid),
            cmdline: known.cmdline.clone().filter(|_| cmdline),
            total_objects: total.count,
            total_size_bytes: total.size_bytes,
            total_overhead_bytes: Some(total.overhead_bytes),
            types,
            types_omitted,
            modules,
            modules_omitted,
            holders,
            holders_omitted: holders_omitted.flatten(),
            caches,
            caches_omitted,
            python: known
                .python
                .clone()
                .map(|python| PythonBuild { executable: python.executable.filter(|_| cmdline), ..python }),
            coverage: known.coverage.clone().map(|coverage| complete(coverage, known.rss_bytes, total)),
            memobj_peak_bytes: own_peak_bytes(),
            owners,
            owners_omitted: owners_omitted.flatten(),
            owner_modules,
            owner_modules_omitted: owner_modules_omitted.flatten(),
            unreachable: held.map(|held| held.unreachable.clone()),
            paths: held.map(|held| held.whys.iter().flat_map(path_totals).collect()),
            object_samples: held.map(|held| held.samples.clone()),
            heap_tree: held.and_then(|held| held.tree.clone()),
            fd_holders: held.and_then(|held| held.descriptors.clone()),
            memory: census
                .memory
                .as_ref()
                .map(|memory| super::memory_record::memory(memory, held.map(|held| &*held.pinning))),
            ..known.clone()
        }
        .with_header(header)
    }
}

fn holder_total(SummaryRow { name, sum }: SummaryRow) -> HolderTotal {
    let ObjectSum { count, size_bytes, retained_bytes, .. } = sum;
    HolderTotal { holder: name, count, size_bytes, retained_bytes }
}

fn owner_total(SummaryRow { name, sum }: SummaryRow) -> OwnerTotal {
    OwnerTotal { owner: name, count: sum.count, size_bytes: sum.size_bytes }
}

/// The most frequent paths to the objects of a type.
fn path_totals(why: &Why) -> impl Iterator<Item = PathTotal> {
    why.paths.iter().take(MAX_PATHS).map(|path| PathTotal {
        name: why.type_name.as_str().into(),
        path: path.describe().into(),
        count: path.count,
        sampled: why.sampled,
        objects: why.objects,
    })
}

fn type_total(SummaryRow { name, sum }: SummaryRow, held: Option<&HolderSummary>) -> TypeTotal {
    TypeTotal {
        retained_bytes: held.and_then(|held| held.retained.as_ref()?.get(&name).copied()),
        name,
        count: sum.count,
        size_bytes: sum.size_bytes,
        overhead_bytes: sum.overhead_bytes,
        size_exact: sum.size_exact,
    }
}

fn module_total(SummaryRow { name, sum }: SummaryRow) -> ModuleTotal {
    ModuleTotal { module: name, count: sum.count, size_bytes: sum.size_bytes }
}

/// Adds the counted objects to the coverage.
fn complete(coverage: Coverage, rss_bytes: Option<u64>, total: ObjectSum) -> Coverage {
    let objects_bytes = total.size_bytes.saturating_add(total.overhead_bytes);
    let (used, explained) = (coverage.allocator_used_bytes, coverage.allocator_explained_bytes);
    Coverage {
        objects_bytes,
        allocator_ratio: explained.and_then(|explained| ratio(explained, used?)),
        malloc_ratio: coverage
            .malloc_explained_bytes
            .zip(coverage.malloc_used_bytes)
            .and_then(|(part, of)| ratio(part, of)),
        rss_ratio: rss_bytes.and_then(|rss| ratio(objects_bytes, rss)),
        ..coverage
    }
}

#[cfg(test)]
mod tests {
    use common::record::{CaptureMethod, LiveReason, Liveness, Run};

    use super::*;
    use crate::emit::testing::{census, type_count};
    use crate::object_sum::TypeCount;

    fn record(recorder: &mut CensusRecorder, types: Vec<TypeCount>) -> CensusRecord {
        let census = census(types);
        recorder.record(Header::now(&Run::start(), 1), &census, &CensusSummary::new(&census), Some(1), true)
    }

    fn names(record: &CensusRecord) -> Vec<&str> {
        record.types.iter().map(|row| &*row.name).collect()
    }

    #[test]
    fn small_types_are_summed_up() {
        let mut recorder = CensusRecorder::default();
        let types = |small| {
            vec![
                type_count("builtins", "str", 1_000_000, 100 << 20),
                type_count("a", "Small", small, 100),
                type_count("a", "b", 2, 50),
            ]
        };
        let first = record(&mut recorder, types(99));
        assert_eq!(names(&first), ["str"]);
        assert_eq!(first.types_omitted, Some(Omitted { rows: 2, count: 101, size_bytes: 150 }));
        assert_eq!((first.total_objects, first.total_size_bytes), (1_000_101, (100 << 20) + 150));
        assert_eq!(first.modules_omitted, None, "its many objects make the module large");
        assert_eq!(
            names(&record(&mut recorder, types(101))),
            ["str", "a.Small"],
            "a part in 10,000 by count"
        );
        let again = record(&mut recorder, types(1));
        assert_eq!(names(&again), ["str", "a.Small"]);
        assert_eq!(again.types_omitted, Some(Omitted { rows: 1, count: 2, size_bytes: 50 }));
        let gone = record(&mut recorder, types(0));
        assert_eq!(names(&gone), ["str", "a.Small"], "known to be none, rather than not known");
        assert_eq!((gone.types[1].count, gone.types[1].size_bytes), (0, 0));
    }

    #[test]
    fn listed_and_omitted_add_up() {
        let types = (0..3000).map(|n| type_count("m", &format!("T{n}"), 1 + n % 7, n * n % 1000));
        let record = record(&mut CensusRecorder::default(), types.collect());
        let omitted = record.types_omitted.unwrap();
        let count: u64 = record.types.iter().map(|row| row.count).sum();
        let size: u64 = record.types.iter().map(|row| row.size_bytes).sum();
        assert_eq!(record.types.len() as u64 + omitted.rows, 3000);
        assert_eq!(
            (count + omitted.count, size + omitted.size_bytes),
            (record.total_objects, record.total_size_bytes)
        );
    }

    #[test]
    fn holders_list_retained_bytes() {
        let row = |name: &str, count, size_bytes| SummaryRow {
            name: name.into(),
            sum: ObjectSum { count, size_bytes, retained_bytes: Some(size_bytes / 2), ..ObjectSum::NONE },
        };
        let held = HolderSummary {
            holders: vec![row("a.big", 900_000, 8 << 20), row("a.small", 1, 50)],
            owners: vec![row("a.C", 900_001, (8 << 20) + 50)],
            modules: vec![row("a", 900_001, (8 << 20) + 50)],
            unreachable: vec![common::record::UnreachableTotal {
                name: "a.C".into(),
                cause: Liveness::Garbage,
                count: 2,
                size_bytes: 96,
            }],
            retained: Some([("str".into(), 77)].into()),
            ..HolderSummary::default()
        };
        let census = Census {
            held: Some(held),
            ..census(vec![type_count("builtins", "str", 900_001, (8 << 20) + 50)])
        };
        let header = Header::now(&Run::start(), 1);
        let found =
            CensusRecorder::default().record(header, &census, &CensusSummary::new(&census), None, true);
        let holders = found.holders.unwrap();
        assert_eq!(holders.len(), 1);
        assert_eq!((&*holders[0].holder, holders[0].retained_bytes), ("a.big", Some(4 << 20)));
        assert_eq!(found.holders_omitted, Some(Omitted { rows: 1, count: 1, size_bytes: 50 }));
        assert_eq!(found.types[0].retained_bytes, Some(77));
        assert_eq!((found.owners.map(|rows| rows.len()), found.owners_omitted), (Some(1), None));
        assert_eq!(found.owner_modules.map(|rows| rows.len()), Some(1));
        assert_eq!(found.unreachable.map(|rows| rows.len()), Some(1));
        assert_eq!(found.paths, Some(Vec::new()));
    }

    #[test]
    fn holders_are_null_unless_asked() {
        let found = record(&mut CensusRecorder::default(), vec![type_count("builtins", "str", 3, 100)]);
        assert_eq!((found.holders, found.owners, found.unreachable, found.paths), (None, None, None, None));
        assert_eq!(found.types[0].retained_bytes, None);
    }

    #[test]
    fn listed_names_stay_bounded() {
        let mut recorder = CensusRecorder::default();
        for round in 0..8 {
            let types = (0..3000).map(|n| type_count("m", &format!("T{round}_{n}"), 1, 1));
            record(&mut recorder, types.collect());
            assert!(recorder.types.len() <= MAX_NAMES + 3000, "{}", recorder.types.len());
        }
    }

    #[test]
    fn record_mirrors_census() {
        let mut census =
            census(vec![TypeCount { overhead_bytes: 5, ..type_count("builtins", "str", 3, 195) }]);
        census.record.method = Some(CaptureMethod::Live);
        census.record.live_reason = Some(LiveReason::MaxPause);
        census.record.pause_seconds = None;
        let summary = CensusSummary::new(&census);
        let run = Run::start();
        let record = |root, cmdline| {
            CensusRecorder::default().record(Header::now(&run, 7), &census, &summary, root, cmdline)
        };
        let found = record(Some(4000), true);
        assert_eq!(
            (found.iteration, found.pid, found.start_ticks, found.root_pid),
            (7, 4711, Some(99), Some(4000))
        );
        assert_eq!(found.cmdline.as_deref(), Some(&["python3".to_owned(), "bot.py".to_owned()][..]));
        assert_eq!(
            (found.method, found.live_reason),
            (Some(CaptureMethod::Live), Some(LiveReason::MaxPause))
        );
        assert_eq!((found.pause_seconds, found.duration_seconds), (None, Some(0.25)));
        assert_eq!((found.tracked_objects, found.reachable_objects), (Some(90_000), None));
        let coverage = found.coverage.unwrap();
        assert_eq!((coverage.objects_bytes, coverage.allocator_ratio), (200, Some(27.0 / 28.0)));
        assert_eq!(coverage.rss_ratio, Some(200.0 / f64::from(100 << 20)));
        assert!(found.memobj_peak_bytes.is_some_and(|bytes| bytes > 0));
        let gc = found.gc.unwrap();
        assert_eq!(
            (gc.generations[0].pending, gc.generations[1].threshold, gc.garbage),
            (Some(411), Some(10), Some(2))
        );
        let threads = found.threads.unwrap();
        assert_eq!((threads[0].function.as_deref(), threads[0].line), (Some("Bot.poll"), Some(118)));

        let private = record(Some(4711), false);
        assert_eq!((private.cmdline, private.root_pid), (None, None), "it is the root itself");
        assert_eq!(private.python.unwrap().executable, None);
    }
}
