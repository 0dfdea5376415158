//! A verdict as a record.

use std::sync::Arc;

use common::record::{Header, Leak, LeakVerdict, LeaksRecord, MemoryGrowth, MemoryRowGrowth, TypeGrowth};

use crate::census::Census;
use crate::leaks::{Finding, MemoryGrowth as Grown, Report};

/// So many rows of the account are told.
const MAX_ROWS: usize = 10;
/// Seconds of a minute.
const MINUTE: f64 = 60.0;

/// The record of what was found in a process; `census` is the last one of it, `pause` the longest of all in seconds. Of its arguments
/// nothing is in it without `cmdline`.
#[must_use]
pub fn record(
    header: Header,
    census: &Census,
    report: Option<&Report>,
    pause: Option<f64>,
    root_pid: Option<u32>,
    cmdline: bool,
) -> LeaksRecord {
    let none = Report::default();
    let known = report.unwrap_or(&none);
    let process = &census.process;
    let (first, last) = (known.totals.first(), known.totals.last());
    let objects = |total: Option<&crate::holders::ObjectTotals>| total.map_or(0, |total| total.objects);
    let bytes = |total: Option<&crate::holders::ObjectTotals>| total.map_or(0, |total| total.bytes);
    let verdict = match report {
        None => LeakVerdict::TooShort,
        Some(report) if report.leaks() => LeakVerdict::Leak,
        Some(_) => LeakVerdict::None,
    };
    LeaksRecord {
        schema: header.schema,
        timestamp: header.timestamp,
        host: header.host,
        run: header.run,
        iteration: header.iteration,
        pid: process.pid,
        start_ticks: process.start_ticks,
        root_pid: root_pid.filter(|&root| root != process.pid),
        name: process.name.clone(),
        cmdline: process.cmdline.clone().filter(|_| cmdline).map(Arc::from),
        python: Arc::clone(&census.python.version),
        verdict,
        censuses: known.censuses,
        duration_seconds: known.seconds,
        longest_pause_seconds: pause,
        first_objects: objects(first),
        last_objects: objects(last),
        first_size_bytes: bytes(first),
        last_size_bytes: bytes(last),
        first_rss_bytes: known.rss_bytes.first().copied().flatten(),
        last_rss_bytes: known.rss_bytes.last().copied().flatten(),
        places: known.places,
        leaks: known.leaks.iter().map(leak).collect(),
        filling: known.filling.iter().map(leak).collect(),
        pinned_bytes: known.pinned.as_ref().map(|(bytes, _)| *bytes),
        pinned_by: known.pinned.as_ref().map(|(_, by)| Arc::clone(by)),
        memory: known.memory.as_ref().map(memory),
        among: None,
    }
}

fn leak(finding: &Finding) -> Leak {
    let container = finding.container.as_ref();
    Leak {
        cause: finding.cause.word().into(),
        holder: Arc::clone(&finding.holder),
        name: Arc::clone(&finding.of),
        function: finding.function.clone(),
        waiting: finding.waiting.clone(),
        objects_per_minute: finding.objects_per_second * MINUTE,
        entries_per_minute: finding.entries_per_second.map(|per_second| per_second * MINUTE),
        bytes_per_minute: finding.bytes_per_second * MINUTE,
        held_objects: finding.held.objects,
        held_size_bytes: finding.held.bytes,
        retained_bytes: finding.retained_bytes,
        oldest_seconds: finding.oldest_seconds,
        newest_seconds: finding.newest_seconds,
        stayed: finding.stayed,
        left: finding.left,
        confidence_ratio: finding.confidence,
        container: container.map(|container| Arc::clone(&container.of)),
        entries: container.and_then(|container| container.entries),
        how: finding.how.word().into(),
        way: finding.way.as_deref().map(Arc::from),
        types: finding
            .types
            .iter()
            .map(|grown| TypeGrowth {
                name: Arc::clone(&grown.of),
                objects_per_minute: grown.objects_per_second * MINUTE,
                bytes_per_minute: grown.bytes_per_second * MINUTE,
            })
            .collect(),
        limit: finding.limit,
        along: finding.along.clone(),
    }
}

fn memory(grown: &Grown) -> MemoryGrowth {
    MemoryGrowth {
        leaks: grown.leaks,
        bytes_per_minute: grown.bytes_per_second * MINUTE,
        objects_bytes_per_minute: grown.objects_bytes_per_second * MINUTE,
        confidence_ratio: grown.confidence,
        rows: grown
            .rows
            .iter()
            .take(MAX_ROWS)
            .map(|row| MemoryRowGrowth {
                kind: row.kind.as_str().into(),
                detail: row.detail.clone(),
                grown_bytes: row.bytes,
                now_bytes: row.now_bytes,
            })
            .collect(),
        trimmable_bytes: grown.trimmable_bytes,
    }
}
