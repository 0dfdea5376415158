//! Under a processor quota of its own, memobj could lose its processor in the middle of a pause.

use std::ffi::OsString;
use std::path::Path;

use super::started;
use crate::support::control_group::ControlGroup;
use crate::support::python::python;
use crate::support::{PATIENCE, Tool, bin};

/// Never sleeps, so that each copy pauses it. Copying it takes longer than 5 ms, by memobj's first estimate.
const RUNNING: &str =
    "held = [b'x' * (400 + i % 2) for i in range(100_000)]\nprint('ready', flush=True)\nwhile True: pass";

/// The record of a census by memobj, in a control group if there is one.
fn census(pid: u32, group: Option<&Path>) -> serde_json::Value {
    let script = "[ -z \"$0\" ] || echo $$ > \"$0\"; exec \"$@\"";
    let group = group.map_or_else(OsString::new, |group| group.as_os_str().to_owned());
    let tool = Tool::new("sh").args(["-c", script]).arg(group);
    let tool = tool.arg(bin("memobj")).arg("-p").arg(pid.to_string()).args(["--max-pause", "60s"]);
    tool.limit(PATIENCE).run().expect_code(0).records()[0].clone()
}

#[test]
fn pause_longer_than_the_quota_is_not_begun() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let group = crate::or_skip!(ControlGroup::with_quota("quota", 10_000, 20_000));
    let (process, _) = started(python, RUNNING, &[]);
    let record = census(process.pid(), None);
    assert!(record["pause_seconds"].as_f64().is_some_and(|pause| pause > 0.0), "{record}");

    let record = census(process.pid(), Some(&group.file("cgroup.procs")));
    assert_eq!(
        (&record["method"], &record["live_reason"]),
        (&"live".into(), &"max_pause".into()),
        "{record}"
    );
    assert!(record["pause_seconds"].is_null(), "{record}");

    // A quota that is large enough.
    let group = crate::or_skip!(ControlGroup::with_quota("large-quota", 1_000_000, 500_000));
    let record = census(process.pid(), Some(&group.file("cgroup.procs")));
    assert!(record["pause_seconds"].as_f64().is_some_and(|pause| pause > 0.0), "{record}");
}
