//! `memmon --at CONDITION --run COMMAND`: the command runs when it should, and before the kernel's OOM killer.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::control_group::ControlGroup;
use crate::support::log::memmon;
use crate::support::python::known;
use crate::support::{Background, PATIENCE, Tool, bin, json_lines, wait_until};

/// Grows by `argv[1]` MiB a second, up to `argv[2]` MiB, after a line of its stdin. Its memory is in objects that memobj counts.
const GROWS: &str = "
import sys, time
class Held:
    def __init__(self): self.data = b'x' * (1 << 20)
rate, most, held = float(sys.argv[1]), float(sys.argv[2]), []
print('ready', flush=True)
sys.stdin.readline()
begun = time.monotonic()
while True:
    while len(held) < min(rate * (time.monotonic() - begun), most): held.append(Held())
    time.sleep(0.005)
";

fn growing(python: &Path, rate: &str, most: &str) -> Background {
    let mut target = Tool::new(python).args(["-I", "-S", "-c", GROWS, rate, most]).start();
    target.wait_line("ready");
    target
}

/// The outputs of commands beside the log `log.jsonl` of a folder.
fn outputs(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|ending| ending == "txt")).collect()
}

/// The events of conditions in a log.
fn crossings(log: &Path) -> Vec<Value> {
    let records = json_lines(&fs::read(log).unwrap_or_default());
    records.into_iter().filter(|record| record["event"] == "limit_crossed").collect()
}

#[test]
fn census_is_taken_at_a_condition() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    for (condition, metric) in [("rss:60M", "rss"), ("60M", "total"), ("growth:40M/1h", "growth")] {
        let mut target = growing(&python.path, "50", "200");
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log.jsonl");
        let command = format!("{} -p {{pid}}", bin("memobj").display());
        // Samples are so far apart that only the reading between them sees it.
        let watching =
            memmon(target.pid(), &["-i", "1h", "--at", condition, "--run", &command, "-o"]).arg(&log).start();
        wait_until(PATIENCE, "the first sample", || log.metadata().is_ok_and(|file| file.len() > 0));
        target.write("go\n");
        wait_until(PATIENCE, "the end of the command", || watching.err().contains("exit status: 0"));
        watching.signal(Signal::INT);
        let run = watching.finish(PATIENCE).expect_code(0);
        let crossed = crossings(&log);
        assert_eq!(crossed.len(), 1, "once an hour: {run}");
        assert_eq!(
            (crossed[0]["metric"].as_str(), &crossed[0]["pid"]),
            (Some(metric), &target.pid().into()),
            "{run}"
        );
        assert!(crossed[0]["value_bytes"].as_u64() > crossed[0]["limit_bytes"].as_u64(), "{crossed:?}");
        let [output] = &outputs(folder.path())[..] else { panic!("{run}") };
        let census = &json_lines(&fs::read(output).unwrap())[0];
        assert_eq!((&census["type"], &census["pid"]), (&"census".into(), &target.pid().into()), "{run}");
        target.signal(Signal::KILL);
    }
}

/// Opens files and starts threads after a line of its stdin.
const OPENS: &str = "
import os, sys, threading, time
print('ready', flush=True)
sys.stdin.readline()
held = [os.open('/dev/null', os.O_RDONLY) for _ in range(300)]
for _ in range(40): threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
time.sleep(600)
";

#[test]
fn descriptors_and_threads_are_conditions() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    for (condition, metric, least) in [("fds:250", "fds", 300), ("threads:30", "threads", 31)] {
        let mut target = Tool::new(&python.path).args(["-I", "-S", "-c", OPENS]).start();
        target.wait_line("ready");
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log.jsonl");
        let command = "echo $MEMMON_CONDITION $MEMMON_VALUE {pid}";
        let watching =
            memmon(target.pid(), &["-i", "1h", "--at", condition, "--run", command, "-o"]).arg(&log).start();
        wait_until(PATIENCE, "the first sample", || log.metadata().is_ok_and(|file| file.len() > 0));
        target.write("go\n");
        wait_until(PATIENCE, "the end of the command", || watching.err().contains("exit status: 0"));
        watching.signal(Signal::INT);
        let run = watching.finish(PATIENCE).expect_code(0);
        let [crossed] = &crossings(&log)[..] else { panic!("once an hour: {run}") };
        assert_eq!((crossed["metric"].as_str(), crossed.get("value_bytes")), (Some(metric), None), "{run}");
        let [value, limit] = ["value_count", "limit_count"].map(|field| crossed[field].as_u64().unwrap());
        assert!(value > limit && value >= least, "{crossed}");
        assert!(run.err().contains(&format!("{value} is above {limit}")), "{run}");
        let [output] = &outputs(folder.path())[..] else { panic!("{run}") };
        let said = fs::read_to_string(output).unwrap();
        assert_eq!(said.trim(), format!("{condition} {value} {}", target.pid()));
        target.signal(Signal::KILL);
    }
}

#[test]
fn descriptors_and_threads_fail_a_run() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    for limit in ["fds:250", "threads:30"] {
        let run = Tool::ours("memmon")
            .args(["-i", "200ms", "--fail-above", limit, "--"])
            .arg(&python.path)
            .args(["-I", "-S", "-c", OPENS])
            .stdin("go\n")
            .run()
            .expect_code(1);
        let metric = limit.split(':').next().unwrap();
        assert!(run.err().contains(&format!("limit crossed: {metric} ")), "{run}");
        let crossed = run.records().into_iter().find(|record| record["event"] == "limit_crossed").unwrap();
        assert!(crossed["value_count"].as_u64() > crossed["limit_count"].as_u64(), "{crossed}");
    }
}

#[test]
fn pressure_needs_a_kernel_that_measures_it() {
    let target = Tool::new("cat").start();
    let pid = target.pid().to_string();
    let conditions = ["--at", "pressure:full:99%", "--run", "exit 1", "--count", "3", "-i", "100ms"];
    let has_pressure = fs::read_to_string("/proc/pressure/memory").is_ok();
    let here = Tool::ours("memmon").args(["-p", &pid]).args(conditions).run();
    assert_eq!(here.code(), Some(if has_pressure { 0 } else { 2 }), "{here}");
    if !has_pressure {
        crate::skip!("this kernel measures no memory pressure");
    }
    // A kernel without it has no such file.
    let hide = "mount --bind /dev/null /proc/pressure/memory && exec \"$@\"";
    let unshare = ["--mount", "sh", "-c", hide, "sh"];
    let can_hide = Tool::new("unshare").args(unshare).arg("true").run();
    if can_hide.code() != Some(0) {
        crate::skip!("no namespaces may be made here");
    }
    let run = Tool::new("unshare").args(unshare).arg(bin("memmon")).args(["-p", &pid]).args(conditions).run();
    let run = run.expect_code(2);
    assert_eq!(run.err().lines().count(), 1, "{run}");
    assert!(run.err().contains("PSI") && run.err().contains("--at 80%"), "{run}");
}

#[test]
fn conditions_below_their_value_run_nothing() {
    let target = Tool::new("cat").start();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.jsonl");
    let conditions =
        ["--at", "rss:1G", "--at", "growth:1G/1m", "--at", "99%", "--at", "fds:99", "--run", "exit 1"];
    let run =
        memmon(target.pid(), &["-i", "100ms", "--count", "5"]).args(conditions).arg("-o").arg(&log).run();
    let run = run.expect_code(0);
    assert!(outputs(folder.path()).is_empty() && crossings(&log).is_empty(), "{run}");
}

#[test]
fn impossible_conditions_are_refused() {
    for args in [
        &["-p", "1", "--at", "80%"][..],
        &["-p", "1", "--run", "true"],
        &["-p", "1", "--at", "pss:1G", "--run", "true"],
        &["-p", "1", "--at", "growth:1G", "--run", "true"],
        &["-p", "1", "--at", "180%", "--run", "true"],
        &["-p", "1", "--at", "pressure:20", "--run", "true"],
        &["-p", "1", "--at", "fds:many", "--run", "true"],
        &["--at", "80%", "--run", "true", "--", "true"],
    ] {
        let run = Tool::ours("memmon").args(args).run().expect_code(2);
        assert!(run.err().contains("--at") || run.err().contains("--run"), "{run}");
    }
}

/// Saves a snapshot of a program that grows to its kill by `rate` MiB/s, once it has a quarter of its limit. `{save}` in the command
/// is memobj's.
fn save_before_the_kill(name: &str, rate: &str, command: &str) {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    let group = crate::or_skip!(ControlGroup::limited(name, 600 << 20));
    let mut target = growing(&python.path, rate, "inf");
    fs::write(group.file("cgroup.procs"), target.pid().to_string()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (log, snapshot) = (folder.path().join("log.jsonl"), folder.path().join("before"));
    let save = format!("{} --save-snapshot {} -p {{pid}}", bin("memobj").display(), snapshot.display());
    let command = command.replace("{save}", &save);
    let watching =
        memmon(target.pid(), &["-i", "1h", "--at", "25%", "--run", &command, "-o"]).arg(&log).start();
    wait_until(PATIENCE, "the first sample", || log.metadata().is_ok_and(|file| file.len() > 0));
    target.write("go\n");
    // It ends with the target.
    let run = watching.finish(PATIENCE);
    let killed = target.finish(PATIENCE);
    assert_eq!(killed.signal(), Some(9), "the kernel kills it: {killed}");
    assert!(run.err().contains("with exit status: 0"), "{run}");
    let crossed = crossings(&log);
    assert_eq!(crossed[0]["metric"], "memory", "{crossed:?}");
    assert_eq!(crossed[0]["limit_bytes"], 150 << 20, "{crossed:?}");
    let run = Tool::ours("memobj").arg("--snapshot").arg(&snapshot).run().expect_code(0);
    let types = run.records()[0]["types"].as_array().unwrap().clone();
    let held = types.iter().find(|row| row["type"] == "__main__.Held").unwrap();
    assert!(held["count"].as_u64() >= Some(100), "{held}");
}

#[test]
fn snapshot_precedes_the_oom_kill() {
    save_before_the_kill("oom", "50", "{save}");
}

#[test]
fn snapshot_precedes_a_fast_oom_kill() {
    save_before_the_kill("oom-stop", "100", "{save} --stop-first");
}

/// Reads pages of the file `argv[1]` at random with eight threads, once it has written `argv[2]` MiB to it: more than its memory limit, so
/// that it reads the same pages from the disk again and again.
const THRASHES: &str = "
import os, random, sys, threading, time
mib = int(sys.argv[2])
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
for _ in range(mib): os.write(file, bytes(1 << 20))
os.fsync(file)
os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
def read():
    while True: os.pread(file, 4096, random.randrange(mib << 8) << 12)
for _ in range(8): threading.Thread(target=read, daemon=True).start()
print('ready', flush=True)
time.sleep(600)
";

/// The share of the last ten seconds in which tasks of a group waited for memory, by the kernel; of the machine, if it has no group's.
fn kernel_pressure(group: &ControlGroup) -> Option<f64> {
    let text = fs::read_to_string(group.file("memory.pressure"))
        .or_else(|_| fs::read_to_string("/proc/pressure/memory"))
        .ok()?;
    let some = text.lines().find_map(|line| line.strip_prefix("some avg10="))?;
    some.split(' ').next()?.parse().ok()
}

#[test]
fn memory_pressure_fires() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    let group = crate::or_skip!(ControlGroup::limited("pressure", 48 << 20));
    if kernel_pressure(&group).is_none() {
        crate::skip!("this kernel measures no memory pressure");
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    // The pages of the file count for the group of the first process that has them.
    let begin = "echo $$ > \"$1\" && shift && exec \"$@\"";
    let mut target = Tool::new("sh")
        .args(["-c", begin, "sh"])
        .arg(group.file("cgroup.procs"))
        .arg(&python.path)
        .args(["-I", "-S", "-c", THRASHES])
        .arg(folder.path().join("file"))
        .arg("192")
        .start();
    let log = folder.path().join("log.jsonl");
    let command = "echo $MEMMON_CONDITION {pid}";
    let watching = memmon(target.pid(), &["-i", "200ms", "--at", "pressure:0.5%", "--run", command, "-o"])
        .arg(&log)
        .start();
    target.wait_line("ready");
    let begun = Instant::now();
    while kernel_pressure(&group).is_some_and(|percent| percent < 1.0) && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(100));
    }
    let pressure = kernel_pressure(&group).unwrap_or_default();
    if pressure < 1.0 {
        crate::skip!("the disk of this machine is so fast that reading again is no pressure: {pressure} %");
    }
    wait_until(PATIENCE, "the end of the command", || watching.err().contains("exit status: 0"));
    watching.signal(Signal::INT);
    let run = watching.finish(PATIENCE).expect_code(0);
    let crossed = &crossings(&log)[0];
    assert_eq!((crossed["metric"].as_str(), crossed.get("value_bytes")), (Some("pressure"), None), "{run}");
    let [value, limit] = ["value_ratio", "limit_ratio"].map(|field| crossed[field].as_f64().unwrap());
    assert!(limit == 0.005 && value > limit && value <= 1.0, "{crossed}");
    let [output] = &outputs(folder.path())[..] else { panic!("{run}") };
    let said = fs::read_to_string(output).unwrap();
    assert_eq!(said.trim(), format!("pressure:0.5% {}", target.pid()));
    target.signal(Signal::KILL);
}
