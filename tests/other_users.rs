//! Processes of other users and in other pid namespaces.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::Path;

use serde_json::Value;

use crate::support::log::{Log, children, members, memmon, number, pid};
use crate::support::process::descendants;
use crate::support::{Background, PATIENCE, Tool, bin, wait_for, wait_until};

/// What makes a command another user's, nobody's.
pub const AS_NOBODY: [&str; 3] = ["--reuid=65534", "--regid=65534", "--clear-groups"];

/// Why commands cannot be run as another user here, if they cannot.
pub fn cannot_be_nobody() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("this takes root, to be another user".to_owned());
    }
    let run = Tool::new("sh").args(["-c", "exec setpriv \"$@\" true", "sh"]).args(AS_NOBODY).run();
    (run.code() != Some(0)).then(|| format!("setpriv does not work here: {}", run.err().trim()))
}

/// Waits until the process runs the program `name`.
fn wait_name(process: &Background, name: &str) {
    wait_until(PATIENCE, name, || {
        let comm = fs::read_to_string(format!("/proc/{}/comm", process.pid()));
        comm.is_ok_and(|comm| comm.trim_end() == name)
    });
}

#[test]
fn root_reads_other_users_process() {
    if let Some(reason) = cannot_be_nobody() {
        crate::skip!("{reason}")
    }
    let target = Tool::new("setpriv").args(AS_NOBODY).arg("cat").start();
    wait_name(&target, "cat");
    let log = Log::of(memmon(target.pid(), &["--count", "2", "-i", "100ms", "--pss", "always"]).run());
    assert_eq!(log.errors(), Vec::<&Value>::new());
    let sample = log.last();
    let unknown: Vec<&String> = sample
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, value)| value.is_null())
        .map(|(name, _)| name)
        .collect();
    let may_be = ["cgroup_ratio", "short_lived_count", "cgroup", "pressure", "system"];
    assert!(unknown.iter().all(|name| may_be.contains(&name.as_str())), "{unknown:?} unknown: {sample}");
}

#[test]
fn other_user_sees_sizes_only() {
    if let Some(reason) = cannot_be_nobody() {
        crate::skip!("{reason}")
    }
    let mut target = Tool::new("sh").start();
    target.write("cat /dev/zero | sleep 1000 & echo ready\n");
    target.wait_line("ready");
    let below =
        wait_for(PATIENCE, "two children", || Some(descendants(target.pid())).filter(|all| all.len() == 2));
    // Where everybody can reach it: the build may be in a folder that is not open to all.
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("memmon");
    fs::copy(bin("memmon"), &program).unwrap();
    let reaches = Tool::new("setpriv").args(AS_NOBODY).arg(&program).arg("--version").run();
    if reaches.code() != Some(0) {
        crate::skip!(
            "another user cannot run programs in {}: {}",
            folder.path().display(),
            reaches.err().trim()
        )
    }
    let watch = |pids: &[u32], args: &[&str]| {
        let pids = pids.iter().flat_map(|pid| ["-p".to_owned(), pid.to_string()]);
        Tool::new("setpriv").args(AS_NOBODY).arg(&program).args(pids).args(args).run()
    };
    for source in ["linux", "sysinfo"] {
        let run =
            watch(&[target.pid()], &["--count", "2", "-i", "100ms", "--pss", "always", "--source", source]);
        assert_eq!(run.err(), "", "{source}");
        let log = Log::of(run);
        assert!(log.errors().len() <= 1, "{:?}", log.errors());
        let sample = log.last();
        assert_eq!(children(sample), below.iter().copied().collect(), "{source}");
        for member in members(sample) {
            assert!(number(member, "rss_bytes") > 0 && number(member, "vms_bytes") > 0, "{member}");
            assert!(member["state"].is_string() && member["start_time"].is_string(), "{member}");
            for hidden in ["pss_bytes", "uss_bytes"] {
                assert!(member[hidden].is_null(), "{source}: {hidden} may not be read: {member}");
            }
            // Which descriptors it has is hidden; since Linux 6.2 their number is not.
            let fds = fs::read_dir(format!("/proc/{}/fd", pid(member))).unwrap().count() as u64;
            assert!(member["fds"].is_null() || member["fds"] == fds, "{source}: {fds} descriptors: {member}");
        }
        assert!(sample["total_pss_bytes"].is_null(), "{sample}");
    }
    // And an end whose status is hidden has none, rather than 0.
    let mut one = Tool::new("sh").args(["-c", "read x; exit 7"]).start();
    let pids = one.pid().to_string();
    let watching =
        Tool::new("setpriv").args(AS_NOBODY).arg(&program).args(["-p", &pids, "-i", "10m"]).start();
    wait_until(PATIENCE, "a sample", || watching.out().contains("\"type\":\"process\","));
    one.write("\n");
    let log = Log::of(watching.finish(PATIENCE));
    let event = log.event("exited", one.pid());
    assert!(event["exit_code"].is_null() || event["exit_code"] == 7, "{event}");
}

/// What makes a command the first of a pid namespace with a `/proc` of its own.
const APART: [&str; 3] = ["--pid", "--fork", "--mount-proc"];

fn cannot_be_apart() -> Option<String> {
    let run = Tool::new("sh").args(["-c", "exec unshare \"$@\" true", "sh"]).args(APART).run();
    (run.code() != Some(0)).then(|| format!("no pid namespace can be made here: {}", run.err().trim()))
}

#[test]
fn namespace_seen_by_outer_pids() {
    if let Some(reason) = cannot_be_apart() {
        crate::skip!("{reason}")
    }
    let target =
        Tool::new("unshare").args(APART).args(["sh", "-c", "sleep 1000 & sleep 1000 & wait"]).start();
    let below = wait_for(PATIENCE, "three processes", || {
        let all = descendants(target.pid());
        let named =
            |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "sleep\n");
        (all.iter().filter(|pid| named(pid)).count() == 2 && all.len() == 3).then_some(all)
    });
    let log = Log::of(memmon(target.pid(), &["--count", "2", "-i", "100ms", "--pss", "always"]).run());
    assert_eq!(children(log.last()), below.into_iter().collect());
    assert!(members(log.last()).all(|member| member["pss_bytes"].is_u64()), "{}", log.last());
    // The first process in there can be watched too.
    let first = pid(&log.last()["children"][0]);
    assert_eq!(Log::of(memmon(first, &["--count", "1"]).run()).last()["children_count"], 2);
}

#[test]
fn inner_pids_hold_inside_namespace() {
    if let Some(reason) = cannot_be_apart() {
        crate::skip!("{reason}")
    }
    // The kernel tells this one of processes, by their outer numbers; whoever else listens would get that too.
    let listener = memmon(std::process::id(), &["-i", "10m"]).start();
    wait_until(PATIENCE, "a sample", || listener.out().contains("\"type\":\"process\","));
    let script = format!("sh -c 'sleep 1000 & wait' & exec '{}' -p 2 \"$@\"", bin("memmon").display());
    let inside = Tool::new("unshare").args(APART).args(["sh", "-c", &script, "sh"]);
    let log = Log::of(inside.args(["--count", "4", "-i", "100ms"]).run());
    let sample = log.last();
    assert_eq!((pid(sample), number(sample, "ppid")), (2, 1), "{sample}");
    assert_eq!(sample["children"][0]["name"], "sleep", "{sample}");
    assert!(number(&sample["children"][0], "pid") < 20, "{sample}");
    assert!(!log.is_told_by_the_kernel(), "{sample}");
    assert_eq!(log.errors(), Vec::<&Value>::new());
}

#[test]
fn hangup_passes_into_namespace() {
    if let Some(reason) = cannot_be_apart() {
        crate::skip!("{reason}")
    }
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready");
    let command = format!("trap 'exit 41' HUP; : > '{}'; while :; do sleep 0.02; done", ready.display());
    let script = format!(
        "'{}' -i 10m -o '{}' -- sh -c \"$1\" & until [ -e '{}' ]; do sleep 0.02; done; kill -HUP $!; wait $!",
        bin("memmon").display(),
        folder.path().join("log.jsonl").display(),
        ready.display()
    );
    let run = Tool::new("unshare").args(APART).args(["sh", "-c", &script, "sh", &command]).run();
    run.expect_code(41);
}

/// The user `nobody`, as in [`AS_NOBODY`].
const NOBODY: u32 = 65534;

/// Runs a tool that writes to `file`, for each tool with `-o`.
fn write_with_each_tool(target: &Background, file: &Path, mut check: impl FnMut(&str, crate::support::Run)) {
    let pid = target.pid().to_string();
    let log = memmon(target.pid(), &["--count", "2", "-i", "50ms"]).run().expect_code(0).stdout;
    for format in ["jsonl", "csv"] {
        let args = ["-p", &pid, "--count", "1", "--format", format];
        check("memmon", Tool::ours("memmon").args(args).arg("-o").arg(file).run());
    }
    check("memplot", Tool::ours("memplot").args(["-", "--format", "svg", "-o"]).arg(file).stdin(log).run());
    check("memobj", Tool::ours("memobj").args(["-p", &pid, "--count", "1", "-o"]).arg(file).run());
}

#[test]
fn output_files_are_private() {
    let target = Tool::new("cat").start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out");
    write_with_each_tool(&target, &file, |tool, run| {
        let mode = fs::metadata(&file).unwrap_or_else(|error| panic!("{tool}: {error}: {run}")).permissions();
        assert_eq!(mode.mode() & 0o777, 0o600, "{tool}: {run}");
        fs::remove_file(&file).unwrap();
    });
    let records = folder.path().join("out.jsonl");
    assert_eq!(fs::metadata(records).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn output_follows_no_link_of_other_users() {
    if !rustix::process::geteuid().is_root() {
        crate::skip!("this takes root, to make another user's link");
    }
    let target = Tool::new("cat").start();
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    let (file, ours) = (folder.path().join("out"), folder.path().join("precious"));
    fs::write(&ours, "mine").unwrap();
    let refused = |tool: &str, run: crate::support::Run, what: &str| {
        let run = run.expect_code(2);
        assert!(run.err().contains(what) && run.err().lines().count() == 1, "{tool}: {run}");
        assert_eq!(fs::read(&ours).unwrap(), b"mine", "{tool}");
    };
    // Their link to our file.
    symlink("precious", &file).unwrap();
    lchown(&file, Some(NOBODY), None).unwrap();
    write_with_each_tool(&target, &file, |tool, run| refused(tool, run, "a link that another user created"));
    // Our link to their file.
    fs::remove_file(&file).unwrap();
    symlink("theirs", &file).unwrap();
    fs::write(folder.path().join("theirs"), "").unwrap();
    chown(folder.path().join("theirs"), Some(NOBODY), None).unwrap();
    write_with_each_tool(&target, &file, |tool, run| refused(tool, run, "a link to a file of another user"));
    // Their file, which everybody can read.
    fs::rename(folder.path().join("theirs"), &file).unwrap();
    write_with_each_tool(&target, &file, |tool, run| refused(tool, run, "is a file of another user"));
    assert_eq!(fs::metadata(&file).unwrap().len(), 0);
}

#[test]
fn output_to_stdout_by_name_works() {
    let target = Tool::new("cat").start();
    let run = memmon(target.pid(), &["--count", "1", "-o", "/dev/stdout"]).run().expect_code(0);
    assert!(run.records().iter().any(|record| record["type"] == "process"), "{run}");
    memmon(target.pid(), &["--count", "1", "-o", "/dev/null"]).run().expect_code(0);
}
