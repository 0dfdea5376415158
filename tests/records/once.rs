//! Lines as they were written once. They are never changed: what they say must be read for ever.

use common::process::ProcessState;
use common::record::{
    Allocator, CaptureMethod, EventKind, LimitKind, Metric, Omitted, OutputStream, Presence, ProcessEvent,
    Record, Scope, TrendKind,
};
use serde_json::Value;

use super::read;
use crate::support::samples::{self, Fill};
use crate::support::workspace;

#[test]
fn processes_of_the_first_version_are_readable() {
    let records = read(workspace::read("tests/fixtures/process-v1.jsonl").as_bytes());
    let [Record::Process(tree), Record::Process(bare)] = &records[..] else { panic!("{records:?}") };
    assert_eq!((tree.schema, tree.iteration, &*tree.host, &*tree.run), (1, 7, "server", "5f0e6c1d2b3a4987"));
    assert_eq!(tree.timestamp.to_string(), "2026-03-29T01:59:59.999+01:00");
    assert_eq!((tree.interval_seconds, tree.elapsed_seconds, tree.missed_ticks), (0.5, 3.000_021, 2));
    assert_eq!((tree.pid, tree.start_ticks, &*tree.name), (4711, Some(1_234_567), "python3"));
    assert_eq!(tree.cmdline.as_deref(), Some(&["python3".into(), "bot.py".into(), "naïve \n ☃".into()][..]));
    assert_eq!((tree.rss_bytes, tree.pss_bytes, tree.fds), (Some(123_456_789), Some(100_000_000), Some(64)));
    assert_eq!((tree.children_count, tree.short_lived_count), (1, Some(12)));
    let child = &tree.children[0];
    assert_eq!((child.pid, child.ppid, child.state), (4712, Some(4711), Some(ProcessState::DiskSleep)));
    assert_eq!(
        (child.rss_bytes, child.cpu_ratio, child.cmdline.as_ref()),
        (Some(40_000_000), Some(1.75), None)
    );
    assert_eq!((tree.total_rss_bytes, tree.total_pss_bytes), (163_456_789, Some(120_000_000)));
    let cgroup = tree.cgroup.as_ref().unwrap();
    assert_eq!((cgroup.version, cgroup.limit_bytes, cgroup.oom_kills), (2, Some(536_870_912), Some(1)));
    assert_eq!(tree.pressure.as_ref().unwrap().full_total_seconds, 0.000_789);
    assert_eq!(tree.system.as_ref().unwrap().total_bytes, 16_777_216_000);

    assert_eq!((bare.iteration, bare.pid, bare.state), (8, 4711, Some(ProcessState::Zombie)));
    assert_eq!((bare.rss_bytes, bare.total_pss_bytes, bare.children.len()), (None, None, 0));
    assert_eq!((&bare.cgroup, &bare.pressure, &bare.system), (&None, &None, &None));
}

#[test]
fn events_outputs_and_errors_of_the_first_version_are_readable() {
    let records = read(workspace::read("tests/fixtures/events-v1.jsonl").as_bytes());
    let events: Vec<&ProcessEvent> = records
        .iter()
        .filter_map(|r| if let Record::ProcessEvent(event) = r { Some(&**event) } else { None })
        .collect();
    let kinds: Vec<EventKind> = events.iter().map(|event| event.event).collect();
    assert_eq!(
        kinds,
        [
            EventKind::Started,
            EventKind::Replaced,
            EventKind::Grew,
            EventKind::LimitCrossed,
            EventKind::OomKill,
            EventKind::Exited,
            EventKind::Exited
        ]
    );
    assert_eq!((events[0].at_start, events[0].ppid, events[0].root_pid), (Some(true), Some(1), 4711));
    assert_eq!(events[1].cmdline.as_deref(), Some(&["cat".into(), "-".into()][..]));
    assert_eq!((events[2].growth_bytes, events[2].value_bytes), (Some(20_971_520), Some(123_456_789)));
    assert_eq!((events[3].metric, events[3].own_bytes), (Some(Metric::Total), Some(40_000_000)));
    assert_eq!(events[3].growth_bytes, Some(-4096));
    assert_eq!(events[4].oom_kills, Some(1));
    assert_eq!(
        (events[5].exit_code, events[5].signal, events[5].lifetime_seconds),
        (Some(3), None, Some(0.0012))
    );
    assert_eq!((events[6].exit_code, events[6].signal), (None, Some(9)));

    let [Record::Output(output), Record::Error(error)] = &records[7..] else { panic!("{records:?}") };
    assert_eq!((output.stream, output.line.as_str()), (OutputStream::Stdout, "a \"line\"\t☃"));
    assert_eq!(
        (&*error.stage, error.pid, error.hint.as_deref()),
        ("sample", Some(4711), Some("wait, or name another"))
    );
}

#[test]
fn censuses_and_differences_of_the_first_version_are_readable() {
    let records = read(workspace::read("tests/fixtures/census-v1.jsonl").as_bytes());
    let [Record::Census(census), Record::Census(bare)] = &records[..] else { panic!("{records:?}") };
    assert_eq!((census.iteration, census.pid, census.root_pid), (4, 4712, Some(4711)));
    assert_eq!((census.total_objects, census.total_size_bytes), (207_575, 31_457_280));
    let [first, second] = &census.types[..] else { panic!("{census:?}") };
    assert_eq!((&*first.name, first.count, first.size_bytes), ("str", 66_051, 10_673_854));
    assert_eq!(&*second.name, "botpkg.cache.Séance");
    assert_eq!(census.types_omitted, Some(Omitted { rows: 812, count: 141_000, size_bytes: 20_000_000 }));
    assert_eq!((&*census.modules[0].module, census.modules_omitted), ("builtins", None));
    let threads = census.threads.as_ref().unwrap();
    assert_eq!((threads[0].name.as_deref(), threads[0].main), (Some("MainThread"), Some(true)));
    assert_eq!((threads[1].name.as_deref(), threads[1].native_id), (None, Some(4715)));
    assert_eq!((bare.total_objects, bare.types.len(), bare.rss_bytes), (0, 0, None));

    let records = read(workspace::read("tests/fixtures/diff-v1.jsonl").as_bytes());
    let [Record::Diff(diff)] = &records[..] else { panic!("{records:?}") };
    assert_eq!((&*diff.before.file, diff.before.iteration, diff.after.iteration), ("log \"a\".jsonl", 1, 9));
    assert_eq!(
        (diff.processes[0].presence, diff.processes[0].rss_after_bytes),
        (Presence::New, Some(40_000_000))
    );
    assert_eq!((diff.types[0].count_before, diff.types[0].presence), (None, Presence::Unknown));
    assert_eq!((&*diff.threads[0].name, diff.threads[0].presence), ("会话线程", Presence::Gone));
    let verdict = &diff.verdicts[0];
    assert_eq!(
        (verdict.trend, verdict.bytes_per_hour, verdict.moments),
        (TrendKind::Sawtooth, Some(-12.5), 60)
    );
    assert_eq!((verdict.limit_kind, diff.grew), (Some(LimitKind::Machine), true));
}

#[test]
fn censuses_with_holders_and_caches_are_readable() {
    let records = read(workspace::read("tests/fixtures/census-holders-v1.jsonl").as_bytes());
    let [Record::Census(found), Record::Census(unknown)] = &records[..] else { panic!("{records:?}") };
    let [first, second] = &found.holders.as_ref().unwrap()[..] else { panic!("{found:?}") };
    assert_eq!((&*first.holder, first.count, first.size_bytes), ("botpkg.cache._sessions", 524, 29_344_000));
    assert_eq!(&*second.holder, "botpkg.séance.<locals>[\"☃\"]");
    assert_eq!(found.holders_omitted, Some(Omitted { rows: 40, count: 9000, size_bytes: 800_000 }));
    let [first, second] = &found.caches.as_ref().unwrap()[..] else { panic!("{found:?}") };
    assert_eq!((&*first.name, first.entries), ("functools.lru_cache of botpkg.render", 128));
    assert_eq!((first.size_bytes, first.max_entries), (Some(1_234_567), Some(128)));
    assert_eq!((first.hits, first.misses), (Some(9000), Some(900)));
    assert_eq!((second.entries, second.size_bytes, second.max_entries, second.hits), (7, None, None, None));
    assert_eq!(found.caches_omitted, None);
    assert_eq!((&unknown.holders, unknown.caches.as_deref()), (&None, Some(&[][..])));
}

#[test]
fn censuses_that_say_which_python_it_is_are_readable() {
    let records = read(workspace::read("tests/fixtures/census-python-v1.jsonl").as_bytes());
    let [Record::Census(found)] = &records[..] else { panic!("{records:?}") };
    let rows: Vec<_> = found.types.iter().map(|row| (row.overhead_bytes, row.size_exact)).collect();
    assert_eq!(rows, [(0, true), (8384, true), (0, false)]);
    let [thread, foreign] = &found.threads.as_ref().unwrap()[..] else { panic!("{found:?}") };
    assert_eq!((thread.function.as_deref(), thread.line), (Some("Bot.poll"), Some(118)));
    assert_eq!(thread.file.as_deref(), Some("/srv/bot/\"poll\".py"));
    assert_eq!((&foreign.function, foreign.native_id), (&None, Some(4715)));
    let python = found.python.as_ref().unwrap();
    assert_eq!((&*python.version, &*python.implementation), ("3.13.0", "cpython"));
    assert_eq!((python.debug, python.free_threaded, python.shared), (Some(false), Some(false), Some(true)));
    assert_eq!(python.executable.as_deref(), Some("/opt/py/bin/python3.13"));
    assert_eq!((python.located_by.as_deref(), python.layout.as_deref()), (Some("dynsym"), Some("3.13")));
    assert_eq!((found.interpreters, found.scope), (Some(1), Some(Scope::Reachable)));
    assert_eq!((found.tracked_objects, found.tracked_size_bytes), (Some(90_000), Some(12_582_912)));
    assert_eq!((found.permanent_objects, found.permanent_size_bytes), (Some(0), Some(0)));
    assert_eq!((found.reachable_objects, found.reachable_size_bytes), (Some(207_575), Some(31_457_280)));
    assert_eq!((found.heap_objects, found.heap_size_bytes), (None, None));
    assert_eq!(found.total_overhead_bytes, Some(2_097_152));
    let gc = found.gc.as_ref().unwrap();
    assert_eq!((gc.enabled, gc.tracked, gc.frozen, gc.garbage), (Some(true), Some(90_000), Some(0), Some(2)));
    let [young, old] = &gc.generations[..] else { panic!("{gc:?}") };
    assert_eq!((young.pending, young.threshold, young.objects), (Some(411), Some(2000), Some(411)));
    assert_eq!((old.collections, old.collected, old.uncollectable), (Some(10), Some(80), Some(0)));
    let coverage = found.coverage.as_ref().unwrap();
    assert_eq!((coverage.objects_bytes, coverage.allocator), (33_554_432, Some(Allocator::Pymalloc)));
    assert_eq!(
        (coverage.allocator_used_bytes, coverage.allocator_explained_bytes),
        (Some(29_360_128), Some(28_311_552))
    );
    assert_eq!(
        (coverage.allocator_ratio, coverage.rss_ratio),
        (Some(0.964_285_714_285_714_3), Some(0.27179))
    );
    assert_eq!((found.method, found.live_reason), (Some(CaptureMethod::Stopped), None));
    assert_eq!((found.attempts, found.in_collection), (Some(3), Some(false)));
    assert_eq!((found.pause_seconds, found.duration_seconds), (Some(0.0125), Some(0.25)));
    assert_eq!((found.torn_reads, found.rejected_reads), (Some(0), Some(1)));
    assert_eq!(found.memobj_peak_bytes, Some(62_914_560));
}

/// The fields that schema 2 renamed, as `docs/schema.md` lists them: the object, the old name and the new one.
fn renamed_fields() -> Vec<(String, String, String)> {
    let document = workspace::read("docs/schema.md");
    let (_, section) = document.split_once("## Names of schema 1").unwrap();
    let mut renamed = Vec::new();
    for row in section
        .lines()
        .skip_while(|line| !line.starts_with("|---"))
        .skip(1)
        .take_while(|line| line.starts_with('|'))
    {
        let cells: Vec<Vec<&str>> = row
            .trim_matches('|')
            .split('|')
            .map(|cell| cell.split('`').skip(1).step_by(2).collect())
            .collect();
        let [objects, old, new] = &cells[..] else { panic!("{row}") };
        assert_eq!(old.len(), new.len(), "{row}");
        for object in objects {
            let pairs = old.iter().zip(new);
            renamed.extend(pairs.map(|(old, new)| ((*object).into(), (*old).into(), (*new).into())));
        }
    }
    renamed
}

/// Gives the fields of the object at `path`, in lists too, their names of schema 1.
fn rename(value: &mut Value, path: &[&str], old: &str, new: &str) -> usize {
    match (value, path) {
        (Value::Array(items), _) => items.iter_mut().map(|item| rename(item, path, old, new)).sum(),
        (Value::Object(fields), []) => {
            let Some(value) = fields.remove(new) else { return 0 };
            fields.insert(old.into(), value);
            1
        }
        (Value::Object(fields), [inner, path @ ..]) => {
            fields.get_mut(*inner).map_or(0, |value| rename(value, path, old, new))
        }
        _ => 0,
    }
}

#[test]
fn old_names_of_fields_are_read() {
    let renamed = renamed_fields();
    assert!(renamed.len() > 30, "{renamed:?}");
    let mut counts = vec![0; renamed.len()];
    for record in samples::records(Fill::Full) {
        let mut value = serde_json::to_value(&record).unwrap();
        let kind = value["type"].as_str().unwrap().to_owned();
        // From the innermost objects outwards: an object's own name may have changed, too.
        for (count, (object, old, new)) in counts.iter_mut().zip(&renamed).rev() {
            let path: Vec<&str> = match object.split('.').collect::<Vec<_>>()[..] {
                ["children"] if kind == "process" => vec!["children"],
                [first, ref rest @ ..] if first == kind => rest.to_vec(),
                _ => continue,
            };
            *count += rename(&mut value, &path, old, new);
        }
        assert_eq!(read(value.to_string().as_bytes()), [record]);
    }
    assert!(counts.iter().all(|&count| count > 0), "{counts:?} {renamed:?}");
}

#[test]
fn old_trend_names_are_read() {
    assert_eq!(serde_json::from_str::<TrendKind>("\"saw_tooth\"").unwrap(), TrendKind::Sawtooth);
    assert_eq!(serde_json::to_string(&TrendKind::Sawtooth).unwrap(), "\"sawtooth\"");
}

/// Whether everything that `part` says is said by `whole`, too.
fn is_part(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(name, value)| whole.get(name).is_some_and(|other| is_part(value, other)))
        }
        (Value::Array(part), Value::Array(whole)) => {
            part.len() == whole.len() && part.iter().zip(whole).all(|(part, whole)| is_part(part, whole))
        }
        (part, whole) => part == whole,
    }
}

#[test]
fn records_of_schema_2_are_readable() {
    let log = workspace::read("tests/fixtures/records-v2.jsonl");
    let records = read(log.as_bytes());
    assert_eq!(records.len(), log.lines().count());
    for (line, record) in log.lines().zip(&records) {
        let (line, written) = (serde_json::from_str(line).unwrap(), serde_json::to_value(record).unwrap());
        assert!(is_part(&line, &written), "{line} is read as {written}");
    }
}
