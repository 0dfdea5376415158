//! Records as lines and back: whatever a tool writes, another reads, today's and yesterday's alike.

mod census;
mod once;

use std::sync::Arc;

use common::jsonl::Writer;
use common::process::ProcessState;
use common::record::{
    Cgroup, ErrorRecord, EventKind, Header, OutputRecord, OutputStream, Presence, Pressure, ProcessEvent,
    ProcessRecord, ProcessSample, Record, System, TrendKind,
};
use common::time::Stamp;
use proptest::array::{uniform4, uniform8, uniform12};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::support::samples::{self, Fill};

fn text() -> BoxedStrategy<Arc<str>> {
    any::<String>().prop_map(Arc::from).boxed()
}

fn words() -> BoxedStrategy<Option<Arc<[String]>>> {
    of(vec(any::<String>(), 0..4).prop_map(Arc::from)).boxed()
}

/// Any number that JSON has.
fn number() -> BoxedStrategy<f64> {
    prop_oneof![any::<f64>().prop_filter("JSON has no NaN", |f| f.is_finite()), 0.0..1e9_f64, 0.0..1.0_f64]
        .boxed()
}

/// Any moment of the years that RFC 3339 has, with any of its offsets.
fn stamp() -> BoxedStrategy<Stamp> {
    let date = (1_u32..=9998, 1_u32..=12, 1_u32..=28);
    let time = (0_u32..24, 0_u32..60, 0_u32..60, 0_u32..1000);
    (date, time, select(vec!['+', '-']), 0_u32..24, 0_u32..60)
        .prop_map(|((y, mo, d), (h, mi, s, ms), sign, oh, om)| {
            format!("{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}.{ms:03}{sign}{oh:02}:{om:02}")
                .parse()
                .unwrap()
        })
        .boxed()
}

fn header() -> BoxedStrategy<Header> {
    (any::<u32>(), stamp(), text(), text(), any::<u64>())
        .prop_map(|(schema, timestamp, host, run, iteration)| Header {
            schema,
            timestamp,
            host,
            run,
            iteration,
        })
        .boxed()
}

fn state() -> BoxedStrategy<ProcessState> {
    select(b"RSDTtZXIPq".map(ProcessState::from_letter).to_vec()).boxed()
}

fn sample() -> BoxedStrategy<ProcessSample> {
    let who = (any::<u32>(), of(any::<u32>()), of(text()), text(), words(), of(state()));
    let counts = (uniform12(of(any::<u64>())), of(any::<u64>()));
    (who, counts, uniform4(of(number())))
        .prop_map(
            |((pid, ppid, start_time, name, cmdline, state), (counts, fds), [percent, cgroup, cpu, _])| {
                let [ticks, rss, vms, pss, uss, swap, peak, anon, file, shmem, threads, _] = counts;
                ProcessSample {
                    pid,
                    ppid,
                    start_time,
                    start_ticks: ticks,
                    name,
                    cmdline,
                    state,
                    rss_bytes: rss,
                    vms_bytes: vms,
                    pss_bytes: pss,
                    uss_bytes: uss,
                    swap_bytes: swap,
                    rss_peak_bytes: peak,
                    rss_anon_bytes: anon,
                    rss_file_bytes: file,
                    rss_shmem_bytes: shmem,
                    memory_ratio: percent,
                    cgroup_ratio: cgroup,
                    cpu_ratio: cpu,
                    threads,
                    fds,
                }
            },
        )
        .boxed()
}

fn cgroup() -> BoxedStrategy<Cgroup> {
    (any::<u32>(), text(), uniform8(of(any::<u64>())))
        .prop_map(|(version, path, [current, limit, peak, kills, anon, file, kernel, shmem])| Cgroup {
            version,
            path,
            current_bytes: current,
            limit_bytes: limit,
            peak_bytes: peak,
            oom_kills: kills,
            anon_bytes: anon,
            file_bytes: file,
            kernel_bytes: kernel,
            shmem_bytes: shmem,
        })
        .boxed()
}

fn pressure() -> BoxedStrategy<Pressure> {
    uniform8(number())
        .prop_map(|[some10, some60, some300, some, full10, full60, full300, full]| Pressure {
            some_avg10_ratio: some10,
            some_avg60_ratio: some60,
            some_avg300_ratio: some300,
            some_total_seconds: some,
            full_avg10_ratio: full10,
            full_avg60_ratio: full60,
            full_avg300_ratio: full300,
            full_total_seconds: full,
        })
        .boxed()
}

fn process() -> BoxedStrategy<Record> {
    let system = (any::<u64>(), of(any::<u64>()));
    let system = system.prop_map(|(total_bytes, available_bytes)| System { total_bytes, available_bytes });
    let around = (of(cgroup()), of(pressure()), of(system), of(number()));
    let counts = (uniform4(any::<u64>()), uniform4(of(any::<u64>())));
    let tree = (sample(), vec(sample(), 0..3));
    (header(), tree, uniform4(number()), counts, around)
        .prop_map(|(header, (root, children), times, (counts, optional), (cgroup, pressure, system, age))| {
            let mut record = ProcessRecord::new(header, root);
            [record.interval_seconds, record.elapsed_seconds, record.late_seconds, record.sample_seconds] =
                times;
            [record.missed_ticks, record.children_count, record.children_rss_bytes, record.total_rss_bytes] =
                counts;
            [record.short_lived_count, record.total_pss_bytes, _, _] = optional;
            record.total_pss_age_seconds = age;
            record.children = children;
            (record.cgroup, record.pressure, record.system) = (cgroup, pressure, system);
            Record::Process(Box::new(record))
        })
        .boxed()
}

/// A value that has a name in records; a name of a later version among others.
fn named<T: for<'n> From<&'n str> + std::fmt::Debug + 'static>() -> BoxedStrategy<T> {
    let names =
        ["total", "rss", "reachable", "heap", "stopped", "live", "asked", "max_pause", "pymalloc", "later"];
    select(names.to_vec()).prop_map(T::from).boxed()
}

fn event() -> BoxedStrategy<Record> {
    let kinds = [
        EventKind::Started,
        EventKind::Exited,
        EventKind::Replaced,
        EventKind::LimitCrossed,
        EventKind::Grew,
        EventKind::OomKill,
        EventKind::Unknown,
    ];
    let who = (
        select(kinds.to_vec()),
        any::<u32>(),
        of(any::<u32>()),
        any::<u32>(),
        of(text()),
        of(text()),
        words(),
    );
    let end = (
        of(any::<bool>()),
        of(any::<i32>()),
        of(any::<i32>()),
        of(number()),
        of(named()),
        of(any::<i64>()),
        of(number()),
    );
    (header(), who, end, uniform8(of(any::<u64>())))
        .prop_map(|(header, who, end, counts)| {
            let (event, pid, ppid, root_pid, start_time, name, cmdline) = who;
            let (at_start, exit_code, signal, lifetime_seconds, metric, growth_bytes, value_ratio) = end;
            let [
                start_ticks,
                rss_peak_bytes,
                limit_bytes,
                value_bytes,
                own_bytes,
                oom_kills,
                limit_count,
                value_count,
            ] = counts;
            Record::ProcessEvent(Box::new(ProcessEvent {
                ppid,
                start_time,
                start_ticks,
                name,
                cmdline,
                at_start,
                exit_code,
                signal,
                lifetime_seconds,
                rss_peak_bytes,
                metric,
                limit_bytes,
                value_bytes,
                limit_count,
                value_count,
                limit_ratio: value_ratio,
                value_ratio,
                own_bytes,
                growth_bytes,
                oom_kills,
                ..ProcessEvent::new(header, event, pid, root_pid)
            }))
        })
        .boxed()
}

/// Any record of any type.
pub fn record() -> BoxedStrategy<Record> {
    let stream = select(vec![OutputStream::Stdout, OutputStream::Stderr]);
    let output = (header(), stream, any::<String>())
        .prop_map(|(header, stream, line)| Record::Output(OutputRecord::new(header, stream, line)));
    let error = (header(), text(), any::<String>(), of(any::<String>()), of(any::<u32>())).prop_map(
        |(header, stage, message, hint, pid)| {
            Record::Error(ErrorRecord { hint, pid, ..ErrorRecord::new(header, &stage, message) })
        },
    );
    prop_oneof![process(), event(), census::census(), diff(), output, error].boxed()
}

/// A difference with any names in it; its numbers are those of the sample.
fn diff() -> BoxedStrategy<Record> {
    let side = select(vec![Presence::Both, Presence::New, Presence::Gone, Presence::Unknown]);
    let trend = select(vec![TrendKind::Growing, TrendKind::Steady, TrendKind::Sawtooth, TrendKind::TooShort]);
    (header(), select(vec![Fill::Full, Fill::Bare]), text(), text(), side, trend, stamp())
        .prop_map(|(header, fill, name, role, presence, trend, at)| {
            let mut record = samples::diff(fill);
            (record.timestamp, record.iteration) = (header.timestamp, header.iteration);
            (record.host, record.run) = (header.host, header.run);
            record.before.file = name.to_string();
            record.after.timestamp = at;
            for row in &mut record.types {
                (row.name, row.role, row.presence) = (Arc::clone(&name), Arc::clone(&role), presence);
            }
            for row in &mut record.processes {
                (row.name, row.role, row.presence) = (Arc::clone(&name), Arc::clone(&role), presence);
            }
            for row in &mut record.verdicts {
                (row.name, row.trend, row.limit_reached_at) = (Arc::clone(&name), trend, Some(at));
            }
            Record::Diff(Box::new(record))
        })
        .boxed()
}

fn written(records: &[Record]) -> Vec<u8> {
    let mut log = Vec::new();
    let mut writer = Writer::new(&mut log);
    for record in records {
        writer.write(record).unwrap();
    }
    log
}

/// The records of a log in which every line is one.
#[track_caller]
fn read(log: &[u8]) -> Vec<Record> {
    log.split_inclusive(|&byte| byte == b'\n').map(|line| Record::parse(line).unwrap()).collect()
}

/// What a version to come may have put into a record: any JSON value.
fn future_value() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        number().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((any::<String>(), inner), 0..4).prop_map(|pairs| pairs.into_iter().collect()),
        ]
    })
    .boxed()
}

/// Puts `value` under `name` into every object of a record that describes something.
fn with_unknown(record: &mut Value, name: &str, value: &Value) {
    match record {
        Value::Object(fields) => {
            fields.values_mut().for_each(|inner| with_unknown(inner, name, value));
            fields.insert(name.to_owned(), value.clone());
        }
        Value::Array(items) => items.iter_mut().for_each(|inner| with_unknown(inner, name, value)),
        _ => {}
    }
}

proptest! {
    #[test]
    fn any_record_comes_back_as_it_was(records in vec(record(), 0..5)) {
        let log = written(&records);
        prop_assert_eq!(log.iter().filter(|&&byte| byte == b'\n').count(), records.len());
        prop_assert_eq!(read(&log), records);
    }

    #[test]
    fn fields_that_a_later_version_adds_are_passed_over(
        record in record(),
        // No field begins so.
        name in "zz_[a-z]{1,8}",
        value in future_value(),
    ) {
        let mut changed = serde_json::to_value(&record).unwrap();
        with_unknown(&mut changed, &name, &value);
        prop_assert_eq!(read(changed.to_string().as_bytes()), [record]);
    }

    #[test]
    fn types_that_a_later_version_adds_are_kept_by_name(kind in "[a-z_]{1,12}", value in future_value()) {
        prop_assume!(!["process", "process_event", "census", "diff", "output", "error"].contains(&kind.as_str()));
        let line = json!({ "type": kind, "schema": 2, "value": value }).to_string();
        prop_assert_eq!(read(line.as_bytes()), [Record::Unknown(kind)]);
    }
}

#[test]
fn words_that_a_later_version_adds_are_read_as_unknown() {
    let mut process = serde_json::to_value(samples::records(Fill::Full).remove(0)).unwrap();
    process["state"] = "dreaming".into();
    let [Record::Process(process)] = &read(process.to_string().as_bytes())[..] else { panic!() };
    assert_eq!(process.state, Some(ProcessState::Unknown));
    let mut event = serde_json::to_value(samples::records(Fill::Full).remove(1)).unwrap();
    event["event"] = "forked".into();
    let [Record::ProcessEvent(event)] = &read(event.to_string().as_bytes())[..] else { panic!() };
    assert_eq!(event.event, EventKind::Unknown);
}
