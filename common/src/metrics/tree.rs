//! The metrics of a `process` record.

use std::cmp::Reverse;

use super::families::{
    CGROUP_ANON, CGROUP_LIMIT, CGROUP_OOM_KILLS, CGROUP_USAGE, PROCESS_ANON, PROCESS_CPU, PROCESS_FDS,
    PROCESS_PEAK, PROCESS_PSS, PROCESS_RSS, PROCESS_START, PROCESS_SWAP, PROCESS_THREADS, PROCESS_USS,
    SAMPLE_TIME, TREE_PROCESSES, TREE_PSS, TREE_RSS,
};
use super::values::{MAX_ROWS, Subject, Values};
use crate::record::{ProcessRecord, ProcessSample};
use crate::time::Stamp;

/// Adds the values of a root, its tree and its largest descendants.
pub(super) fn take(values: &mut Values, old: &Values, record: &ProcessRecord) {
    let root = record.root();
    let subject = subject(&root, None);
    let cgroup = record.cgroup.as_ref();
    let bytes = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64);
    for (family, value) in [
        (SAMPLE_TIME, Some(record.timestamp.unix_seconds())),
        (TREE_RSS, bytes(Some(record.total_rss_bytes))),
        (TREE_PSS, bytes(record.total_pss_bytes)),
        (TREE_PROCESSES, bytes(Some(record.children_count.saturating_add(1)))),
        (CGROUP_USAGE, bytes(cgroup.and_then(|cgroup| cgroup.current_bytes))),
        (CGROUP_ANON, bytes(cgroup.and_then(|cgroup| cgroup.anon_bytes))),
        (CGROUP_LIMIT, bytes(cgroup.and_then(|cgroup| cgroup.limit_bytes))),
        (CGROUP_OOM_KILLS, bytes(cgroup.and_then(|cgroup| cgroup.oom_kills))),
    ] {
        values.set(family, &subject, &[], value, old);
    }
    let mut children: Vec<&ProcessSample> = record.children.iter().collect();
    children.sort_by_key(|child| Reverse(child.rss_bytes));
    for process in std::iter::once(&root).chain(children.into_iter().take(MAX_ROWS)) {
        take_process(values, old, process, root.pid);
    }
}

fn take_process(values: &mut Values, old: &Values, process: &ProcessSample, root: u32) {
    let subject = subject(process, Some(root));
    let start = process.start_time.as_ref().and_then(|time| time.parse::<Stamp>().ok());
    for (family, value) in [
        (PROCESS_RSS, process.rss_bytes),
        (PROCESS_PSS, process.pss_bytes),
        (PROCESS_USS, process.uss_bytes),
        (PROCESS_SWAP, process.swap_bytes),
        (PROCESS_ANON, process.rss_anon_bytes),
        (PROCESS_PEAK, process.rss_peak_bytes),
        (PROCESS_THREADS, process.threads),
        (PROCESS_FDS, process.fds),
    ] {
        values.set(family, &subject, &[], value.map(|value| value as f64), old);
    }
    values.set(PROCESS_CPU, &subject, &[], process.cpu_ratio, old);
    values.set(PROCESS_START, &subject, &[], start.map(Stamp::unix_seconds), old);
}

fn subject(process: &ProcessSample, root: Option<u32>) -> Subject {
    Subject::new(&process.name, process.cmdline.as_deref(), process.pid, root, process.start_ticks)
}
