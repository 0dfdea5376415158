//! memmon's options: targets, interval, duration and hidden data.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;

use crate::support::log::{Log, Watch, children, members, memmon, number, pid};
use crate::support::process::descendants;
use crate::support::python::{Target, python};
use crate::support::{Background, PATIENCE, Tool, bin, wait_for, which};

/// A shell under a unique name that reads commands from its stdin.
fn named(folder: &Path, name: &str) -> Background {
    let program = folder.join(name);
    if !program.exists() {
        symlink(which("sh"), &program).unwrap();
    }
    let mut shell = Tool::new(&program).start();
    shell.write("echo ready\n");
    shell.wait_line("ready");
    shell
}

/// A name that only this test uses.
fn unique(word: &str) -> String {
    format!("{word}-{}", std::process::id())
}

fn roots(log: &Log) -> BTreeSet<u32> {
    log.samples().into_iter().map(pid).collect()
}

#[test]
fn name_selects_all_outermost_matches() {
    let folder = tempfile::tempdir().unwrap();
    let name = unique("nest");
    let mut outer = named(folder.path(), &name);
    let other = named(folder.path(), &name);
    let program = folder.path().join(&name);
    outer.write(&format!("'{}' -c 'sleep 1000; true' &\necho below $!\n", program.display()));
    let inner: u32 = outer.wait_line("below ").parse().unwrap();
    wait_for(PATIENCE, "a grandchild", || (descendants(outer.pid()).len() == 2).then_some(()));
    for source in ["linux", "sysinfo"] {
        let run =
            Tool::ours("memmon").args(["-n", &name, "--count", "2", "-i", "100ms", "--source", source]).run();
        let note = format!("memmon: pid {inner} is below pid {} and is watched there\n", outer.pid());
        assert_eq!(run.err(), note);
        let log = Log::of(run);
        assert_eq!(roots(&log), BTreeSet::from([outer.pid(), other.pid()]), "{source}");
        assert_eq!(log.samples().len(), 4, "{source}");
        let of_outer = log.samples().into_iter().find(|sample| pid(sample) == outer.pid()).unwrap();
        assert_eq!(children(of_outer), descendants(outer.pid()).into_iter().collect(), "{source}");
        let of_other = log.samples().into_iter().find(|sample| pid(sample) == other.pid()).unwrap();
        assert!(children(of_other).is_empty(), "{source}: {of_other}");
    }
}

#[test]
fn script_is_found_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join(unique("script.sh"));
    std::fs::write(&script, "echo ready\nread x\n").unwrap();
    let mut target = Tool::new("sh").arg(&script).start();
    target.wait_line("ready");
    let log = Log::of(Tool::ours("memmon").args(["-n", &unique("script.sh"), "--count", "1"]).run());
    assert_eq!(roots(&log), BTreeSet::from([target.pid()]));
}

#[test]
fn several_pids_are_separate_trees() {
    let targets = [Tool::new("cat").start(), Tool::new("cat").start()];
    let pids = targets.each_ref().map(Background::pid);
    // A target named twice is watched once.
    let more = [pids[1], pids[0]].map(|pid| pid.to_string());
    let watch = Watch::start(pids[0], &["-p", &more[0], "-p", &more[1], "-i", "100ms"]);
    let log = watch.wait_next();
    assert_eq!(roots(&log), pids.into());
    let [first, second] = targets;
    assert_eq!(first.finish(PATIENCE).code(), Some(0));
    watch.wait_for("the end of one", |log| log.events("exited").pop().map(|_| ()));
    let log = watch.wait_next();
    let iteration = &log.last()["iteration"];
    let now: Vec<&Value> =
        log.samples().into_iter().filter(|sample| sample["iteration"] == *iteration).collect();
    assert_eq!(now.len(), 1, "{now:?}");
    assert_eq!(pid(now[0]), pids[1]);
    assert_eq!(second.finish(PATIENCE).code(), Some(0));
    let log = watch.finish();
    assert_eq!(log.event("exited", pids[0])["root_pid"], pids[0]);
    assert_eq!(log.event("exited", pids[1])["exit_code"], 0);
}

#[test]
fn missing_targets_get_an_error_and_hint() {
    let mut ended = Tool::new("true").start();
    ended.close_stdin();
    let gone = ended.pid();
    ended.finish(PATIENCE);
    let name = unique("no-process-is-named");
    let here = std::process::id().to_string();
    for source in ["linux", "sysinfo"] {
        let cases: [(&[&str], &str); 3] = [
            (&["-p", &gone.to_string()], &format!("{gone}")),
            (&["-n", &name], &name),
            // One missing target is an error, even beside one that exists.
            (&["-p", &here, "-n", &name], &name),
        ];
        for (args, word) in cases {
            let run = Tool::ours("memmon").args(args).args(["--count", "1", "--source", source]).run();
            let run = run.expect_code(2);
            assert!(run.stdout.is_empty(), "{run}");
            assert!(run.err().starts_with("memmon: ") && run.err().contains(word), "{run}");
            assert_eq!(run.err().lines().count(), 1, "{run}");
        }
    }
}

#[test]
fn memmon_leaves_itself_out() {
    let folder = tempfile::tempdir().unwrap();
    let name = unique("self");
    symlink(bin("memmon"), folder.path().join(&name)).unwrap();
    let program = folder.path().join(&name);
    for more in [&["--source", "linux"][..], &["--source", "sysinfo"], &["--no-connector"]] {
        // memmon's parent is the shell that it watches.
        let script = format!(
            "sleep 1000 & echo $! >&2; '{}' -p $$ --count 3 -i 100ms \"$@\"; kill $!",
            program.display()
        );
        let run = Tool::new("sh").args(["-c", &script, "sh"]).args(more).run();
        let sleeper: u32 = run.err().trim().parse().unwrap();
        let log = Log::of(run);
        assert_eq!(log.samples().len(), 3);
        for sample in log.samples() {
            assert_eq!(children(sample), BTreeSet::from([sleeper]), "{more:?}");
            assert_eq!(sample["short_lived_count"].as_u64().unwrap_or(0), 0, "{sample}");
        }
        assert_eq!(log.events("started").len(), 2, "{more:?}");
        let run = Tool::new(&program).args(["-n", &name, "--count", "1"]).args(more).run();
        run.expect_code(2);
    }
}

#[test]
fn count_and_duration_end_the_watch() {
    let target = Tool::new("cat").start();
    let log = Log::of(memmon(target.pid(), &["--count", "3", "-i", "50ms"]).run());
    assert_eq!(log.samples().len(), 3);
    let log = Log::of(memmon(target.pid(), &["--duration", "1s", "-i", "100ms"]).run());
    let samples = log.samples();
    let elapsed = samples.last().unwrap()["elapsed_seconds"].as_f64().unwrap();
    assert!(elapsed <= 1.001, "a sample after the end: {elapsed}");
    // Every tick was sampled or counted as missed.
    let missed: u64 = samples.iter().map(|sample| number(sample, "missed_ticks")).sum();
    let ticks = samples.len() as u64 + missed;
    assert!(ticks == (elapsed / 0.1) as u64 + 1 && ticks <= 11, "{ticks} ticks in {elapsed} s");
    assert!(!target.has_ended(), "the target is only looked at");
}

#[test]
fn no_cmdline_hides_every_secret() {
    const SECRET: &str = "hunter2-is-no-password";
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().to_str().unwrap();
    let python_too = format!("exec sh -c 'read x; exec sh -c \"read x; :\" {SECRET}-exec' {SECRET}-again");
    for format in ["jsonl", "text", "csv"] {
        for more in [&[][..], &["--no-connector"], &["--source", "sysinfo"]] {
            let mut target =
                Tool::new("sh").args(["-c", "while read line; do eval \"$line\"; done", SECRET]).start();
            target.write(&format!("sleep 1000 {SECRET} & sh -c 'sleep 1000; :' {SECRET}-child &\n"));
            let watch = memmon(target.pid(), &["-i", "100ms", "--no-cmdline", "--format", format])
                .args(["--save", saved, "--warn-rss", "1K"])
                .args(more)
                .start();
            wait_for(PATIENCE, "a sample", || watch.out().contains("sleep").then_some(()));
            // Short-lived processes, and an exec.
            target.write(&format!("sh -c : {SECRET}-short; {python_too}\n"));
            target.write("\n");
            wait_for(PATIENCE, "another program", || {
                let bytes = std::fs::read(format!("/proc/{}/cmdline", target.pid())).unwrap();
                String::from_utf8_lossy(&bytes).contains("-exec").then_some(())
            });
            let before = watch.out().len();
            wait_for(PATIENCE, "more", || (watch.out().len() > before).then_some(()));
            target.close_stdin();
            let run = watch.finish(PATIENCE).expect_code(0);
            assert!(!run.out().contains(SECRET) && !run.err().contains(SECRET), "{format} {more:?}: {run}");
            if format == "jsonl" {
                let log = Log::of(run);
                assert!(members(log.last()).all(|member| member["cmdline"].is_null()), "{}", log.last());
                assert!(log.records.iter().all(|record| record["cmdline"].is_null()));
            }
        }
    }
    let files: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(!text.is_empty() && !text.contains(SECRET), "{file:?}: {text}");
    }
}

#[test]
fn pss_modes_read_as_documented() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let target = Target::start(python, "tree.py", &["300", "1", "0"]);
    let watch = |args: &[&str]| Log::of(memmon(target.pid(), args).run());
    let known = |sample: &Value| members(sample).filter(|member| member["pss_bytes"].is_u64()).count();

    let log = watch(&["--pss", "always", "--count", "2", "-i", "100ms"]);
    for sample in log.samples() {
        assert_eq!(known(sample), 301);
        assert!(sample["total_pss_bytes"].is_u64() && sample["total_pss_age_seconds"].as_f64() < Some(60.0));
    }
    let log = watch(&["--pss", "never", "--count", "2", "-i", "100ms"]);
    for sample in log.samples() {
        assert_eq!(known(sample), 0);
        assert!(sample["total_pss_bytes"].is_null() && sample["total_pss_age_seconds"].is_null());
    }
    // In turn: the first sample spends the saved budget; later ones have little.
    let log = watch(&["--pss", "auto", "--count", "20", "-i", "20ms"]);
    assert!(known(log.last()) < 301, "all of 301 in 20 ms");
    assert!(known(log.samples()[0]) > 0, "a burst at first");
    let mut ever = BTreeSet::new();
    for sample in log.samples() {
        ever.extend(members(sample).filter(|member| member["pss_bytes"].is_u64()).map(pid));
        assert_eq!(sample["total_pss_bytes"].is_u64(), ever.len() == 301, "{} of 301 are known", ever.len());
        for member in members(sample) {
            assert_eq!(member["pss_bytes"].is_null(), member["uss_bytes"].is_null());
        }
    }
}
