//! Records with fixed values, for the tests of the sinks.

use std::io::{self, Write};
use std::sync::Arc;

use common::process::ProcessState;
use common::record::{
    ErrorRecord, EventKind, Header, ProcessEvent, ProcessRecord, ProcessSample, Record, SCHEMA,
};

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;

/// Keeps each write separately.
#[derive(Debug, Default)]
pub(super) struct Writes(pub(super) Vec<Vec<u8>>);

impl Write for Writes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Iteration `n` at 14:25:00 and 2 seconds for each before it.
pub(super) fn header(n: u64) -> Header {
    let (minute, second) = (25 + n * 2 / 60, n * 2 % 60);
    Header {
        schema: SCHEMA,
        timestamp: format!("2026-11-23T14:{minute:02}:{second:02}.123+01:00").parse().unwrap(),
        host: "box".into(),
        run: "0123456789abcdef".into(),
        iteration: n,
    }
}

pub(super) fn arguments(line: &[&str]) -> Option<Arc<[String]>> {
    Some(line.iter().map(|argument| (*argument).to_owned()).collect())
}

/// A sleeping process of which only names and sizes are known.
pub(super) fn sample(pid: u32, name: &str, rss: Option<u64>) -> ProcessSample {
    ProcessSample {
        ppid: Some(1),
        start_time: Some("2026-11-23T12:22:00.000+01:00".into()),
        start_ticks: Some(4711),
        cmdline: arguments(&[name]),
        state: Some(ProcessState::Sleeping),
        rss_bytes: rss,
        vms_bytes: rss.map(|bytes| bytes * 2),
        ..ProcessSample::unread(pid, name)
    }
}

/// A record of `root` with its sums.
pub(super) fn tree(n: u64, root: ProcessSample, children: Vec<ProcessSample>) -> ProcessRecord {
    let mut record = ProcessRecord::new(header(n), root);
    record.interval_seconds = 2.0;
    record.children_count = u64::try_from(children.len()).unwrap();
    record.children_rss_bytes = children.iter().filter_map(|child| child.rss_bytes).sum();
    record.total_rss_bytes += record.children_rss_bytes;
    record.children = children;
    record
}

/// `python3` (pid 1234) with 100 MiB and no children, changed by `change`.
pub(super) fn process(n: u64, change: impl FnOnce(&mut ProcessRecord)) -> Record {
    let mut record = tree(n, sample(1234, "python3", Some(100 * MIB)), Vec::new());
    change(&mut record);
    Record::Process(Box::new(record))
}

/// An event of `pid` in the tree of 1234.
pub(super) fn event(
    n: u64,
    kind: EventKind,
    pid: u32,
    name: &str,
    change: impl FnOnce(&mut ProcessEvent),
) -> Record {
    let mut event = ProcessEvent::new(header(n), kind, pid, 1234);
    event.name = Some(name.into());
    change(&mut event);
    Record::ProcessEvent(Box::new(event))
}

pub(super) fn error(n: u64, stage: &str, message: &str) -> Record {
    Record::Error(ErrorRecord::new(header(n), stage, message.to_owned()))
}
