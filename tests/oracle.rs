//! memmon's figures equal those of psutil and of the kernel's files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::support::log::{Log, Watch, children, members, memmon, number, pid};
use crate::support::python::{Target, psutil, python};
use crate::support::{Background, PATIENCE, Tool, wait_for, workspace};

/// psutil in a process of its own, which stays: pages that it shares with the target are shared at every reading.
struct Oracle {
    process: Background,
    asked: u64,
}

impl Oracle {
    fn start(interpreter: &Path) -> Self {
        let file = workspace::root().join("tests/support/oracle.py");
        let mut process = Tool::new(interpreter).arg("-B").arg(file).start();
        process.wait_line("ready");
        Self { process, asked: 0 }
    }

    /// Asks about these processes now.
    #[track_caller]
    fn ask(&mut self, pids: &[u32]) -> Value {
        let words: Vec<String> = pids.iter().map(u32::to_string).collect();
        self.process.write(&format!("{}\n", words.join(" ")));
        self.asked += 1;
        let answer = self.process.wait_line(&format!("answer {} ", self.asked));
        serde_json::from_str(&answer).unwrap()
    }
}

/// By how much a value may be off though the target does not move.
///
/// `pss` and `uss` depend on who else maps the same libraries, and other tests come and go.
fn slack(field: &str) -> u64 {
    match field {
        "pss_bytes" => 1 << 20,
        "uss_bytes" => 256 << 10,
        "current_bytes" | "available_bytes" | "file_bytes" | "anon_bytes" | "kernel_bytes" => 64 << 20,
        _ => 0,
    }
}

/// Where `seen` is not between what was said before and after it.
fn outside(field: &str, before: &Value, seen: &Value, after: &Value) -> Option<String> {
    let fits = match (before.as_u64(), seen.as_u64(), after.as_u64()) {
        (Some(before), Some(seen), Some(after)) => {
            let slack = slack(field);
            seen >= before.min(after).saturating_sub(slack) && seen <= before.max(after) + slack
        }
        _ => seen == before || seen == after,
    };
    (!fits).then(|| format!("{field}: memmon says {seen}, others before {before} and after {after}"))
}

/// What psutil knows too, and what only the kernel's files say.
const MEASURED: &[&str] = &[
    "ppid",
    "name",
    "cmdline",
    "state",
    "rss_bytes",
    "vms_bytes",
    "pss_bytes",
    "uss_bytes",
    "swap_bytes",
    "rss_peak_bytes",
    "rss_anon_bytes",
    "rss_file_bytes",
    "rss_shmem_bytes",
    "threads",
    "fds",
];

fn differences(sample: &Value, before: &Value, after: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let answers = |answer: &Value| answer["processes"].as_array().unwrap().clone();
    for (before, after) in answers(before).iter().zip(&answers(after)) {
        let member = members(sample).find(|member| member["pid"] == before["pid"]).unwrap();
        for field in MEASURED {
            let said = outside(field, &before[*field], &member[*field], &after[*field]);
            found.extend(said.map(|said| format!("pid {} {said}", before["pid"])));
        }
    }
    for field in ["total_bytes", "available_bytes"] {
        let system = |of: &Value| of["system"][field].clone();
        found.extend(outside(field, &system(before), &system(sample), &system(after)));
    }
    found
}

#[test]
fn figures_match_psutil_and_kernel() {
    let interpreter = crate::or_skip!(psutil(), "no psutil: ");
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let wall = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let begin = wall();
    let target = Target::start(python, "family.py", &["3", "32", "4"]);
    let ready = wall();
    let mut oracle = Oracle::start(interpreter);
    let watch = Watch::start(target.pid(), &["-i", "1s", "--pss", "always"]);
    watch.wait_first();
    let first = watch.wait_for("a sample", |log| log.samples().pop().cloned());
    let pids: Vec<u32> = members(&first).map(pid).collect();
    assert_eq!(pids.len(), 4, "{first}");

    // Once in a quiet moment they agree to the byte; numbers that were made up never would.
    let mut last = Vec::new();
    let agree = (0..20).any(|_| {
        let before = oracle.ask(&pids);
        let log = watch.wait_next();
        let after = oracle.ask(&pids);
        last = differences(log.last(), &before, &after);
        last.is_empty()
    });
    assert!(agree, "{}", last.join("\n"));

    let log = watch.stop();
    let sample = log.last();
    let reported = oracle.ask(&pids);
    for (member, other) in members(sample).zip(reported["processes"].as_array().unwrap()) {
        let start = unix_seconds(&member["start_time"]);
        assert!((begin - 0.02..=ready).contains(&start), "{start} is not from {begin} to {ready}");
        assert!((start - other["started"].as_f64().unwrap()).abs() <= 1.01, "{member} {other}");
        // What the kernel counts for each processor is not summed up exactly everywhere.
        let parts: u64 =
            ["rss_anon_bytes", "rss_file_bytes", "rss_shmem_bytes"].map(|f| number(member, f)).iter().sum();
        assert!(parts.abs_diff(number(member, "rss_bytes")) <= 1 << 20, "{member}");
        let share = number(member, "rss_bytes") as f64 / number(&reported["system"], "total_bytes") as f64;
        assert!((member["memory_ratio"].as_f64().unwrap() - share).abs() < 1e-6, "{member}");
        assert!(number(member, "rss_shmem_bytes") >= 8 << 20, "the shared memory: {member}");
        assert!(member["cpu_ratio"].as_f64().is_some_and(|share| share < 0.05), "it sleeps: {member}");
    }
    // Four processes have the same 40 MiB: by RSS they are there four times, by PSS once.
    let (by_rss, by_pss) = (number(sample, "total_rss_bytes"), number(sample, "total_pss_bytes"));
    assert!(by_rss > 160 << 20 && (40 << 20..90 << 20).contains(&by_pss), "{by_rss} {by_pss}");
    assert!(number(sample, "uss_bytes") < 16 << 20, "most of it is shared: {sample}");
}

fn unix_seconds(time: &Value) -> f64 {
    let stamp: common::time::Stamp = time.as_str().unwrap().parse().unwrap();
    stamp.unix_seconds()
}

#[test]
fn busy_process_cpu_time() {
    let interpreter = crate::or_skip!(psutil(), "no psutil: ");
    let mut oracle = Oracle::start(interpreter);
    let target = Tool::new("sh").args(["-c", "while :; do :; done"]).start();
    let used =
        |oracle: &mut Oracle| oracle.ask(&[target.pid()])["processes"][0]["cpu_seconds"].as_f64().unwrap();
    let before = used(&mut oracle);
    let watch = Watch::start(target.pid(), &["-i", "2s", "--count", "2"]);
    watch.wait_first();
    // At most what it used around both samples, at least what it used between them.
    let after_first = used(&mut oracle);
    let mut before_second = after_first;
    let log = wait_for(PATIENCE, "the second sample", || {
        let now = used(&mut oracle);
        let log =
            watch.wait_for("the log", |log| Some(log.samples().into_iter().cloned().collect::<Vec<_>>()));
        if log.len() < 2 {
            before_second = now;
            return None;
        }
        Some(log)
    });
    let after = used(&mut oracle);
    watch.finish();
    let elapsed = |sample: &Value| sample["elapsed_seconds"].as_f64().unwrap();
    let ratio = log[1]["cpu_ratio"].as_f64().unwrap();
    let reported = ratio * (elapsed(&log[1]) - elapsed(&log[0]));
    assert!(log[0]["cpu_ratio"].is_null(), "one reading is no share: {}", log[0]);
    // The kernel counts in hundredths, and each reading takes its time.
    assert!(reported <= after - before + 0.05, "{reported} s of {} s", after - before);
    assert!(
        reported >= before_second - after_first - 0.1,
        "{reported} s of {} s",
        before_second - after_first
    );
    assert!(ratio <= 1.05, "one thread can keep one processor busy: {ratio}");
}

/// The folder of the memory controller's group of `pid` and the version, found in the plainest way.
fn memory_group(pid: u32) -> Option<(u64, String, PathBuf, PathBuf)> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mounted = |kind: &str, option: &str| {
        let lines = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        lines
            .filter(|m| m[2] == kind && m[3].split(',').any(|o| o == option))
            .map(|m| PathBuf::from(m[1]))
            .next()
    };
    let group = |start: &dyn Fn(&str) -> bool| {
        groups.lines().find(|line| start(line)).and_then(|line| line.splitn(3, ':').nth(2)).map(str::to_owned)
    };
    let (version, path, mount) = match group(&|line| line.contains(":memory:")) {
        Some(path) => (1, path, mounted("cgroup", "memory")?),
        None => (2, group(&|line| line.starts_with("0::"))?, mounted("cgroup2", "rw")?),
    };
    let folder = mount.join(path.trim_start_matches('/'));
    // In a container the path may be of the outer hierarchy, of which the mount shows a part.
    folder.is_dir().then_some((version, path, folder, mount))
}

fn file_number(file: &Path) -> Value {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.trim().parse::<u64>().map_or(Value::Null, Value::from)
}

/// The smallest limit from `folder` up to `mount`.
fn smallest_limit(folder: &Path, mount: &Path, name: &str) -> Value {
    let limits = folder.ancestors().take_while(|above| above.starts_with(mount));
    let limits = limits.filter_map(|above| file_number(&above.join(name)).as_u64());
    // Version 1 writes a number near 2^63 where there is none.
    limits.filter(|limit| *limit < 1 << 62).min().map_or(Value::Null, Value::from)
}

#[test]
fn cgroup_matches_its_files() {
    let target = Tool::new("cat").start();
    let Some((version, path, folder, mount)) = memory_group(target.pid()) else {
        crate::skip!("the memory control group of this machine cannot be found in the plain way")
    };
    let files: &[(&str, &str)] = if version == 1 {
        &[
            ("current_bytes", "memory.usage_in_bytes"),
            ("peak_bytes", "memory.max_usage_in_bytes"),
            ("kernel_bytes", "memory.kmem.usage_in_bytes"),
        ]
    } else {
        &[("current_bytes", "memory.current"), ("peak_bytes", "memory.peak")]
    };
    let limit = if version == 1 { "memory.limit_in_bytes" } else { "memory.max" };
    let read =
        || files.iter().map(|(field, file)| (*field, file_number(&folder.join(file)))).collect::<Vec<_>>();
    let mut last = Vec::new();
    let agree = (0..10).any(|_| {
        let before = read();
        let log = Log::of(memmon(target.pid(), &["--count", "1"]).run());
        let group = &log.last()["cgroup"];
        last = before
            .iter()
            .zip(read())
            .filter_map(|((field, before), (_, after))| outside(field, before, &group[*field], &after))
            .collect();
        assert_eq!((group["version"].as_u64(), group["path"].as_str()), (Some(version), Some(path.as_str())));
        let limit = smallest_limit(&folder, &mount, limit);
        assert_eq!(group["limit_bytes"], limit, "{group}");
        let share = limit.as_u64().map(|limit| number(log.last(), "rss_bytes") as f64 / limit as f64);
        let reported = log.last()["cgroup_ratio"].as_f64();
        assert!(
            share.zip(reported).map_or(share == reported, |(a, b)| (a - b).abs() < 1e-6),
            "{reported:?} is not {share:?}"
        );
        last.is_empty()
    });
    assert!(agree, "{}", last.join("\n"));
}

#[test]
fn cgroup_limit_is_effective() {
    let (mut process, version, mount) = match memory_group(std::process::id()) {
        Some((version, _, _, mount)) => (Tool::new("sh").start(), version, mount),
        None => crate::skip!("the memory control group of this machine cannot be found in the plain way"),
    };
    let outer = mount.join(format!("memtools-test-{}", std::process::id()));
    let inner = outer.join("inner");
    let limit = if version == 1 { "memory.limit_in_bytes" } else { "memory.max" };
    let made = fs::create_dir(&outer)
        .and_then(|()| {
            if version == 2 { fs::write(outer.join("cgroup.subtree_control"), "+memory") } else { Ok(()) }
        })
        .and_then(|()| fs::create_dir(&inner))
        .and_then(|()| fs::write(outer.join(limit), "104857600"))
        .and_then(|()| fs::write(inner.join("cgroup.procs"), process.pid().to_string()));
    let log = made.as_ref().ok().map(|()| Log::of(memmon(process.pid(), &["--count", "1"]).run()));
    process.close_stdin();
    process.finish(PATIENCE);
    let _ = fs::remove_dir(&inner);
    let _ = fs::remove_dir(&outer);
    let Some(log) = log else { crate::skip!("a control group cannot be made: {:?}", made) };
    let sample = log.last();
    assert_eq!(sample["cgroup"]["limit_bytes"], 104_857_600, "the outer group's: {sample}");
    assert!(sample["cgroup"]["path"].as_str().unwrap().ends_with("/inner"), "{sample}");
    let share = number(sample, "rss_bytes") as f64 / 104_857_600.0;
    assert!((sample["cgroup_ratio"].as_f64().unwrap() - share).abs() < 1e-6, "{sample}");
    assert!(children(sample).is_empty());
}

#[test]
fn pressure_matches_the_kernel() {
    let read = || -> Option<Vec<f64>> {
        let text = fs::read_to_string("/proc/pressure/memory").ok()?;
        let words = text.split_ascii_whitespace().filter_map(|word| word.split_once('='));
        Some(
            words
                .map(|(key, value)| value.parse::<f64>().unwrap() / if key == "total" { 1e6 } else { 100.0 })
                .collect(),
        )
    };
    let target = Tool::new("cat").start();
    let before = read();
    let log = Log::of(memmon(target.pid(), &["--count", "1"]).run());
    let after = read();
    let reported = &log.last()["pressure"];
    let (Some(before), Some(after)) = (before, after) else {
        assert!(reported.is_null(), "what the kernel does not account is unknown: {reported}");
        return;
    };
    let fields = ["avg10_ratio", "avg60_ratio", "avg300_ratio", "total_seconds"];
    let names = ["some", "full"].into_iter().flat_map(|kind| fields.map(|field| format!("{kind}_{field}")));
    for (name, (before, after)) in names.zip(before.iter().zip(&after)) {
        let reported = reported[&name].as_f64().unwrap_or_else(|| panic!("no {name} in {reported}"));
        // The averages are made anew every two seconds.
        assert!(
            reported >= before.min(*after) - 1e-9 && reported <= before.max(*after) + 1e-9,
            "{name}: {before} {reported} {after}"
        );
    }
}
