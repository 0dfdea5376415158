//! memmon's two sources agree on every value that both measure.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::log::{Log, members, memmon, number, pid};
use crate::support::python::{Target, python};

/// The members of the tree below `root` by number, as seen with these arguments.
fn seen(root: u32, args: &[&str]) -> (Log, BTreeMap<u32, Value>) {
    let log = Log::of(memmon(root, args).run());
    let by_pid = members(log.last()).map(|member| (pid(member), member.clone())).collect();
    (log, by_pid)
}

#[test]
fn sources_agree_on_processes_and_sizes() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    // Fifty threads beside the first: a system that lists them as processes would make rows of each.
    let target = Target::start(python, "family.py", &["2", "8", "50"]);
    let (_, linux) = seen(target.pid(), &["--source", "linux", "--count", "1"]);
    let (log, sysinfo) = seen(target.pid(), &["--source", "sysinfo", "--count", "1"]);
    assert_eq!(linux.len(), 3);
    assert!(linux.keys().eq(sysinfo.keys()), "{:?} {:?}", linux.keys(), sysinfo.keys());
    for (one, other) in linux.values().zip(sysinfo.values()) {
        for field in ["ppid", "name", "cmdline", "state", "rss_bytes", "vms_bytes", "memory_ratio"] {
            assert_eq!(one[field], other[field], "{field}: {one} {other}");
        }
        assert_eq!(one["threads"], 51, "{one}");
        // sysinfo counts whole seconds from a boot in whole seconds.
        assert!((0.0..2.0).contains(&(start(one) - start(other))), "{one} {other}");
        let unknown = [
            "start_ticks",
            "pss_bytes",
            "uss_bytes",
            "swap_bytes",
            "rss_peak_bytes",
            "rss_anon_bytes",
            "rss_file_bytes",
            "rss_shmem_bytes",
            "cgroup_ratio",
            "threads",
            "fds",
        ];
        for field in unknown {
            assert!(other[field].is_null(), "{field} is Linux's: {other}");
        }
    }
    let sample = log.last();
    for field in ["cgroup", "pressure", "total_pss_bytes", "total_pss_age_seconds", "short_lived_count"] {
        assert!(sample[field].is_null(), "{field} is Linux's: {sample}");
    }
    assert!(number(&sample["system"], "total_bytes") > 0 && number(&sample["system"], "available_bytes") > 0);
}

fn start(member: &Value) -> f64 {
    let stamp: common::time::Stamp = member["start_time"].as_str().unwrap().parse().unwrap();
    stamp.unix_seconds()
}

#[test]
fn sources_complete_truncated_names() {
    let folder = tempfile::tempdir().unwrap();
    // Its end is this test's alone: others may run beside it.
    let name = format!("a-name-of-more-than-15-bytes-{}", std::process::id());
    let program = folder.path().join(&name);
    std::os::unix::fs::symlink(crate::support::which("cat"), &program).unwrap();
    let target = crate::support::Tool::new(&program).start();
    for source in ["linux", "sysinfo"] {
        let (log, _) = seen(target.pid(), &["--source", source, "--count", "1"]);
        assert_eq!(log.last()["name"], *name, "{source}");
        // And it is found by it.
        let run = crate::support::Tool::ours("memmon")
            .args(["-n", &name, "--source", source, "--count", "1"])
            .run();
        assert_eq!(pid(Log::of(run).last()), target.pid());
    }
}

#[test]
fn sysinfo_reports_exits_and_stops() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let target = Target::start(python, "stopper.py", &[]);
    let child = target.ready[1];
    let watch = crate::support::log::Watch::start(target.pid(), &["--source", "sysinfo", "-i", "100ms"]);
    let log = watch.wait_next();
    assert_eq!(log.last()["children"][0]["state"], "stopped", "{}", log.last());
    assert_eq!(target.process.finish(crate::support::PATIENCE).code(), Some(0));
    let log = watch.finish();
    log.event("exited", child);
    log.event("exited", pid(log.samples()[0]));
}
