//! Parses a line with serde, which decides what a line means. The scanner in `scan` must agree with it.

use std::sync::Arc;

use super::legacy;
use super::moment::{Cache, Census, Moment, MomentData, Process, Total, Tree};
use crate::record::{CensusRecord, Header, Omitted, ProcessRecord, ProcessSample, Record, RecordError};

/// Stages of `error` records about something else than a measurement: no moment was lost.
const SIDE_STAGES: [&str; 2] = ["events", "save"];

/// The content of a line. A moment's `input` and `line` are still 0.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Line {
    /// A moment.
    Moment(Box<Moment>),
    /// A moment of the older tool, still without a run.
    Legacy(Box<Moment>),
    /// A record that is no moment: a command's output, a watch of a holder, or an error of something else than a measurement.
    NoMoment,
    /// A record of an unknown type.
    Unknown,
}

/// Parses a line without its end.
///
/// # Errors
/// The line is neither a record nor of the older tool.
pub(super) fn parse(line: &[u8]) -> Result<Line, RecordError> {
    let record = match Record::parse(line) {
        Err(RecordError::NoType) => return legacy::parse(line).map(|moment| Line::Legacy(Box::new(moment))),
        other => other?,
    };
    let moment = match record {
        Record::Process(record) => moment(
            record.header(),
            Some((record.elapsed_seconds, record.interval_seconds)),
            record.missed_ticks,
            MomentData::Tree(tree(&record)),
        ),
        Record::Census(record) => moment(record.header(), None, 0, MomentData::Census(census(*record))),
        Record::ProcessEvent(event) => moment(event.header(), None, 0, MomentData::Event(event)),
        Record::Diff(diff) => moment(diff.header(), None, 0, MomentData::Diff(diff)),
        Record::Error(error) if !SIDE_STAGES.contains(&&*error.stage) => {
            moment(error.header(), None, 0, MomentData::Failed(error.message))
        }
        Record::Leaks(leaks) => moment(leaks.header(), None, 0, MomentData::Leaks(leaks)),
        Record::Error(_) | Record::Output(_) | Record::Writes(_) => return Ok(Line::NoMoment),
        Record::Unknown(_) => return Ok(Line::Unknown),
    };
    Ok(Line::Moment(Box::new(moment)))
}

/// The fields of a record's header that a moment has.
#[derive(Default)]
pub(super) struct Head {
    pub(super) unix_ms: i64,
    pub(super) host: Arc<str>,
    pub(super) run: Arc<str>,
    pub(super) iteration: u64,
}

impl From<Header> for Head {
    fn from(header: Header) -> Self {
        let unix_ms = header.timestamp.unix_ms();
        Self { unix_ms, host: header.host, run: header.run, iteration: header.iteration }
    }
}

/// A moment without its position.
pub(super) fn moment(
    head: impl Into<Head>,
    times: Option<(f64, f64)>,
    missed_ticks: u64,
    data: MomentData,
) -> Moment {
    let head = head.into();
    Moment {
        input: 0,
        line: 0,
        run: head.run,
        host: head.host,
        iteration: head.iteration,
        unix_ms: head.unix_ms,
        elapsed_seconds: times.map(|(elapsed, _)| elapsed),
        interval_seconds: times.map(|(_, interval)| interval),
        missed_ticks,
        data,
    }
}

fn tree(record: &ProcessRecord) -> Tree {
    let root = record.root();
    Tree {
        processes: std::iter::once(&root).chain(&record.children).map(process).collect(),
        total_rss_bytes: record.total_rss_bytes,
        total_pss_bytes: record.total_pss_bytes,
        cgroup_limit_bytes: record.cgroup.as_ref().and_then(|group| group.limit_bytes),
        cgroup_current_bytes: record.cgroup.as_ref().and_then(|group| group.current_bytes),
        system_total_bytes: record.system.as_ref().map(|system| system.total_bytes),
        system_available_bytes: record.system.as_ref().and_then(|system| system.available_bytes),
    }
}

fn process(sample: &ProcessSample) -> Process {
    Process {
        pid: sample.pid,
        start: start(sample.start_ticks, sample.start_time.as_deref()),
        name: Arc::clone(&sample.name),
        cmdline: sample.cmdline.as_deref().map(one_line),
        rss_bytes: sample.rss_bytes,
        pss_bytes: sample.pss_bytes,
        uss_bytes: sample.uss_bytes,
        swap_bytes: sample.swap_bytes,
        threads: sample.threads,
        fds: sample.fds,
    }
}

fn total(name: Arc<str>, count: u64, size_bytes: u64) -> Total {
    Total { name, count, size_bytes }
}

fn is_cut(omitted: Option<Omitted>) -> bool {
    omitted.is_some_and(|omitted| omitted.rows > 0)
}

fn census(record: CensusRecord) -> Census {
    Census {
        pid: record.pid,
        start: start(record.start_ticks, None),
        root_pid: record.root_pid,
        name: record.name.unwrap_or_else(|| "".into()),
        cmdline: record.cmdline.as_deref().map(one_line),
        total_objects: record.total_objects,
        total_size_bytes: Some(record.total_size_bytes),
        types: record.types.into_iter().map(|t| total(t.name, t.count, t.size_bytes)).collect(),
        types_cut: is_cut(record.types_omitted),
        modules: record.modules.into_iter().map(|m| total(m.module, m.count, m.size_bytes)).collect(),
        modules_cut: is_cut(record.modules_omitted),
        threads: record.threads.map(|threads| {
            threads.into_iter().filter_map(|t| thread_name(t.name, t.native_id, t.alive)).collect()
        }),
        rss_bytes: record.rss_bytes,
        holders: record
            .holders
            .map(|rows| rows.into_iter().map(|h| total(h.holder, h.count, h.size_bytes)).collect()),
        holders_cut: is_cut(record.holders_omitted),
        caches: record.caches.map(|caches| {
            caches
                .into_iter()
                .map(|c| Cache { name: c.name, entries: c.entries, size_bytes: c.size_bytes })
                .collect()
        }),
        caches_cut: is_cut(record.caches_omitted),
        memory_rows: record.memory.map(|memory| memory.rows).unwrap_or_default(),
        object_samples: record.object_samples.unwrap_or_default(),
        heap_tree: record.heap_tree.unwrap_or_default(),
    }
}

/// The name of a running thread, or its number if it has no name.
pub(super) fn thread_name(
    name: Option<Arc<str>>,
    native_id: Option<u64>,
    alive: Option<bool>,
) -> Option<Arc<str>> {
    if alive == Some(false) {
        return None;
    }
    Some(match (name, native_id) {
        (Some(name), _) => name,
        (None, Some(id)) => format!("thread {id}").into(),
        (None, None) => "unnamed thread".into(),
    })
}

/// The part of a process's identity besides its pid: its start in ticks, else a hash of its start time, else 0.
fn start(ticks: Option<u64>, time: Option<&str>) -> u64 {
    ticks.or_else(|| time.map(hash)).unwrap_or(0)
}

/// The FNV-1a hash of a text.
pub(super) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn one_line(words: &[String]) -> Arc<str> {
    words.join(" ").into()
}
