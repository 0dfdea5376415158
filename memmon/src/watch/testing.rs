//! Records for the tests of this module.

use common::process::ProcessState;
use common::record::{EventKind, Header, ProcessEvent, ProcessRecord, ProcessSample, SCHEMA};

/// A header of 22:27:00 on a machine named `host`.
pub(super) fn header(iteration: u64) -> Header {
    Header {
        schema: SCHEMA,
        timestamp: "2026-11-23T22:27:00+01:00".parse().unwrap(),
        host: "host".into(),
        run: "0123456789abcdef".into(),
        iteration,
    }
}

/// A process that sleeps and of which only the resident size is known; it began `pid` ticks after boot.
pub(super) fn sample(pid: u32, ppid: u32, name: &str, rss: u64) -> ProcessSample {
    ProcessSample {
        ppid: Some(ppid),
        start_ticks: Some(pid.into()),
        cmdline: Some(vec![name.to_owned(), "--flag".to_owned()].into()),
        state: Some(ProcessState::Sleeping),
        rss_bytes: Some(rss),
        ..ProcessSample::unread(pid, name)
    }
}

/// A root without children, sampled every 10 s.
pub(super) fn record(pid: u32, iteration: u64, rss: u64) -> ProcessRecord {
    let mut record = ProcessRecord::new(header(iteration), sample(pid, 0, &format!("p{pid}"), rss));
    record.interval_seconds = 10.0;
    let elapsed = iteration as f64 * 10.0;
    record.elapsed_seconds = elapsed;
    record
}

/// A root with children, given as their number and that of their parent; each process has 1 MiB.
pub(super) fn tree(pid: u32, iteration: u64, children: &[(u32, u32)]) -> ProcessRecord {
    let mut record = record(pid, iteration, 1 << 20);
    let child = |&(pid, ppid): &(u32, u32)| sample(pid, ppid, &format!("p{pid}"), 1 << 20);
    record.children = children.iter().map(child).collect();
    record.children_count = record.children.len() as u64;
    record.children_rss_bytes = record.children_count << 20;
    record.total_rss_bytes = record.children_rss_bytes + (1 << 20);
    record
}

/// An event of the first iteration.
pub(super) fn event(kind: EventKind, pid: u32, root: u32) -> ProcessEvent {
    ProcessEvent::new(header(1), kind, pid, root)
}
