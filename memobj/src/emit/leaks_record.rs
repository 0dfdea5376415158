//! The record of a verdict on leaks.

use std::sync::Arc;

use common::record::{
    Header, Leak, LeakVerdict, LeaksRecord, MemoryGrowth, MemoryRowGrowth, PeerComparison, TypeGrowth,
};

use crate::census::{Census, ProcessFacts};
use crate::leaks::{Finding, LeakReport, MemoryGrowth as Growth};

/// Rows of the account that are listed.
const MAX_ROWS: usize = 10;
/// Seconds per minute.
pub const MINUTE: f64 = 60.0;

/// The findings in a process, and which process that is.
#[derive(Debug)]
pub struct LeakOutcome {
    /// The process.
    pub process: ProcessFacts,
    /// The version of its Python.
    pub python: Arc<str>,
    /// The process that the user named.
    pub root: Option<u32>,
    /// The findings.
    pub report: LeakReport,
}

impl LeakOutcome {
    /// The findings after `census`.
    #[must_use]
    pub fn new(root: Option<u32>, census: &Census, report: LeakReport) -> Self {
        Self { process: census.process.clone(), python: Arc::clone(&census.python.version), root, report }
    }
}

/// The record of the findings in a process. Without `cmdline` it has none of its arguments.
#[must_use]
pub fn leaks_record(
    header: Header,
    outcome: &LeakOutcome,
    peers: Option<PeerComparison>,
    cmdline: bool,
) -> LeaksRecord {
    let LeakOutcome { process, python, root, report } = outcome;
    let (first, last) = report.totals;
    let verdict = match report {
        LeakReport { is_conclusive: false, .. } => LeakVerdict::TooShort,
        report if report.has_leak() => LeakVerdict::Leak,
        _ => LeakVerdict::None,
    };
    LeaksRecord {
        schema: header.schema,
        timestamp: header.timestamp,
        host: header.host,
        run: header.run,
        iteration: header.iteration,
        pid: process.pid,
        start_ticks: process.start_ticks,
        root_pid: root.filter(|&root| root != process.pid),
        name: process.name.clone(),
        cmdline: process.cmdline.clone().filter(|_| cmdline).map(Arc::from),
        python: Arc::clone(python),
        verdict,
        censuses: report.censuses,
        duration_seconds: report.seconds,
        longest_pause_seconds: report.longest_pause.map(|pause| pause.as_secs_f64()),
        first_objects: first.objects,
        last_objects: last.objects,
        first_size_bytes: first.bytes,
        last_size_bytes: last.bytes,
        first_rss_bytes: report.rss_bytes.0,
        last_rss_bytes: report.rss_bytes.1,
        holders_checked: report.places,
        leaks: report.leaks.iter().map(leak).collect(),
        filling: report.filling.iter().map(leak).collect(),
        pinned_bytes: report.pinned.as_ref().map(|(bytes, _)| *bytes),
        pinned_type: report.pinned.as_ref().map(|(_, by)| Arc::clone(by)),
        memory: report.memory.as_ref().map(memory),
        peers,
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
        oldest_age_seconds: finding.oldest_age_seconds,
        newest_age_seconds: finding.newest_age_seconds,
        survived: finding.stayed,
        freed: finding.left,
        confidence_ratio: finding.confidence,
        container: container.map(|container| Arc::clone(&container.of)),
        entries: container.and_then(|container| container.entries),
        growth_mode: finding.how.word().into(),
        path: finding.way.as_deref().map(Arc::from),
        types: finding
            .types
            .iter()
            .map(|grown| TypeGrowth {
                name: Arc::clone(&grown.of),
                objects_per_minute: grown.objects_per_second * MINUTE,
                bytes_per_minute: grown.bytes_per_second * MINUTE,
            })
            .collect(),
        max_entries: finding.limit,
        side_effect_of: finding.along.clone(),
    }
}

fn memory(growth: &Growth) -> MemoryGrowth {
    MemoryGrowth {
        is_leak: growth.leaks,
        bytes_per_minute: growth.bytes_per_second * MINUTE,
        objects_bytes_per_minute: growth.objects_bytes_per_second * MINUTE,
        confidence_ratio: growth.confidence,
        rows: growth
            .rows
            .iter()
            .take(MAX_ROWS)
            .map(|row| MemoryRowGrowth {
                kind: row.kind.as_str().into(),
                detail: row.detail.clone(),
                growth_bytes: row.bytes,
                current_bytes: row.current_bytes,
            })
            .collect(),
        trimmable_bytes: growth.trimmable_bytes,
    }
}
