//! The record of a verdict on leaks.

use std::sync::Arc;

use common::record::{Header, LeakVerdict, LeaksRecord, PeerComparison};

use crate::census::{Census, ProcessFacts};
use crate::leaks::LeakReport;

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
        cmdline: process.cmdline.clone().filter(|_| cmdline),
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
        leaks: report.leaks.clone(),
        filling: report.filling.clone(),
        pinned_bytes: report.pinned.as_ref().map(|(bytes, _)| *bytes),
        pinned_type: report.pinned.as_ref().map(|(_, by)| Arc::clone(by)),
        memory: report.memory.clone(),
        peers,
    }
}
