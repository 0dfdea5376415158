//! One line as what it says: the truth about what a line means, by serde. The fast path in `scan` must agree with it.

use std::sync::Arc;

use super::legacy;
use super::moment::{Cache, Census, Moment, Process, Total, Tree, What};
use crate::record::{CensusRecord, Header, ProcessRecord, ProcessSample, Record, RecordError};

/// Stages of `error` records that tell of something beside the measuring: the moment itself was not lost.
const BESIDE: [&str; 2] = ["events", "save"];

/// What a line turned out to be. Where it stands is not known here: a moment's `input` and `line` are 0.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Line {
    /// A moment.
    Moment(Box<Moment>),
    /// A moment of the older tool, whose run is still to be named.
    Legacy(Box<Moment>),
    /// A record that is no moment: a command's output, an error beside the measuring.
    Beside,
    /// A record of a type that this version does not know.
    Unknown,
}

/// Reads one line without its end.
///
/// # Errors
/// What is neither a record nor a line of the older tool.
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
            What::Tree(tree(&record)),
        ),
        Record::Census(record) => moment(record.header(), None, 0, What::Census(census(*record))),
        Record::ProcessEvent(event) => moment(event.header(), None, 0, What::Event(event)),
        Record::Diff(diff) => moment(diff.header(), None, 0, What::Diff(diff)),
        Record::Error(error) if !BESIDE.contains(&&*error.stage) => {
            moment(error.header(), None, 0, What::Failed(error.message))
        }
        // What is concluded from censuses is no moment of its own.
        Record::Error(_) | Record::Output(_) | Record::Leaks(_) => return Ok(Line::Beside),
        Record::Unknown(_) => return Ok(Line::Unknown),
    };
    Ok(Line::Moment(Box::new(moment)))
}

/// What a record begins with, as far as a moment has it.
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

/// A moment that begins with `head`; where it stands is for the reader to say.
pub(super) fn moment(
    head: impl Into<Head>,
    times: Option<(f64, f64)>,
    missed_ticks: u64,
    what: What,
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
        what,
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
    }
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
        types: record
            .types
            .into_iter()
            .map(|t| Total { name: t.name, count: t.count, size_bytes: t.size_bytes })
            .collect(),
        types_cut: record.types_omitted.is_some_and(|omitted| omitted.rows > 0),
        modules: record
            .modules
            .into_iter()
            .map(|m| Total { name: m.module, count: m.count, size_bytes: m.size_bytes })
            .collect(),
        modules_cut: record.modules_omitted.is_some_and(|omitted| omitted.rows > 0),
        threads: record.threads.map(|threads| {
            threads.into_iter().filter_map(|t| thread_name(t.name, t.native_id, t.alive)).collect()
        }),
        rss_bytes: record.rss_bytes,
        holders: record.holders.map(|holders| {
            holders
                .into_iter()
                .map(|h| Total { name: h.holder, count: h.count, size_bytes: h.size_bytes })
                .collect()
        }),
        holders_cut: record.holders_omitted.is_some_and(|omitted| omitted.rows > 0),
        caches: record.caches.map(|caches| {
            caches
                .into_iter()
                .map(|c| Cache { name: c.name, entries: c.entries, size_bytes: c.size_bytes })
                .collect()
        }),
        caches_cut: record.caches_omitted.is_some_and(|omitted| omitted.rows > 0),
        object_samples: record.object_samples.unwrap_or_default(),
    }
}

/// The name of a thread that has not ended; its number where it has no name.
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

/// What tells a process from others of its number: its ticks, or else a hash of its time of start, or else 0.
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
