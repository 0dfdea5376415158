//! memmon follows a tree of processes: starts, exits and changes, each reported once.

use std::collections::BTreeSet;
use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::log::{Log, Watch, children, members, memmon, number, pid};
use crate::support::process::{descendants, is_alive, state_and_parent};
use crate::support::python::{Python, Target, python};
use crate::support::{PATIENCE, Tool, bin, json_lines, wait_gone, wait_until};

/// With the kernel's process events, where they are permitted, and without.
const WITH_AND_WITHOUT_EVENTS: [&[&str]; 2] = [&["-i", "100ms"], &["-i", "100ms", "--no-connector"]];

fn kill(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

/// The pids below `root`.
fn below(root: u32) -> BTreeSet<u32> {
    descendants(root).into_iter().collect()
}

/// Watches a storm of short-lived children. Returns memmon's log, and the pid and exit code of every child.
fn storm(python: &Python, args: &[&str]) -> (u32, Log, Vec<(u64, u64)>) {
    let mut target = Target::start(python, "storm.py", &["1"]);
    let root = target.pid();
    let watch = Watch::start(root, args);
    watch.wait_first();
    target.process.write("\n");
    let reported = target.process.wait_line("{\"made\"");
    target.process.finish(PATIENCE);
    let reported = &json_lines(format!("{{\"made\"{reported}").as_bytes())[0];
    let exits: Vec<(u64, u64)> = serde_json::from_value(reported["exits"].clone()).unwrap();
    assert!(exits.len() > 50, "no storm: {} children", exits.len());
    (root, watch.finish(), exits)
}

/// Whether the kernel must permit process events. The inodes of the first namespaces are fixed (include/linux/proc_ns.h).
fn events_must_be_permitted() -> bool {
    let first = |kind: &str, inode: &str| {
        fs::read_link(format!("/proc/self/ns/{kind}"))
            .is_ok_and(|link| link.ends_with(format!("{kind}:[{inode}]")))
    };
    first("pid", "4026531836") && first("user", "4026531837") && rustix::process::geteuid().is_root()
}

#[test]
fn millisecond_children_are_reported() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let (root, log, mut exits) = storm(python, &["-i", "100ms"]);
    if !log.is_told_by_the_kernel() {
        assert!(!events_must_be_permitted(), "root in the first namespaces receives process events");
        crate::skip!(
            "no process events from the kernel: they need the first namespaces, and before Linux 6.6 CAP_NET_ADMIN"
        )
    }
    assert_eq!(log.errors(), Vec::<&Value>::new());
    let ended = log.events("exited");
    let of_children = ended.iter().filter(|event| pid(event) != root);
    let mut reported: Vec<(u64, u64)> =
        of_children.clone().map(|event| (number(event, "pid"), number(event, "exit_code"))).collect();
    reported.sort_unstable();
    exits.sort_unstable();
    // Of a storm, only the first thousand exits or so are written; the others are counted.
    let omitted = |after: u64| {
        let events =
            log.events("omitted").into_iter().filter(move |event| number(event, "iteration") > after);
        events.map(|event| number(event, "omitted_exits")).sum::<u64>() as usize
    };
    assert_eq!(reported.len() + omitted(0), exits.len());
    reported.retain(|end| exits.binary_search(end).is_err());
    assert!(reported.is_empty(), "no such children: {reported:?}");
    for event in of_children {
        let lifetime = event["lifetime_seconds"].as_f64().unwrap();
        assert!((0.001..60.0).contains(&lifetime), "it slept for a millisecond: {event}");
        assert_eq!((&event["ppid"], &event["root_pid"]), (&root.into(), &root.into()), "{event}");
        assert_eq!(event["name"], log.last()["name"], "a fork has its parent's name: {event}");
    }
    // Each child is in a sample or counted as short-lived, except those after the last sample.
    let counted: u64 = log.samples().iter().map(|sample| number(sample, "short_lived_count")).sum();
    let last = number(log.last(), "iteration");
    let seen = log.events("started").len() - 1;
    let late =
        ended.iter().filter(|event| number(event, "iteration") > last && event["start_ticks"].is_null());
    assert_eq!(counted as usize + seen + late.count() + omitted(last), exits.len());
}

#[test]
fn storm_writes_bounded_records() {
    if !Log::of(memmon(std::process::id(), &["--count", "1"]).run()).is_told_by_the_kernel() {
        crate::skip!("no process events from the kernel");
    }
    // As many children as on any machine are more than the limit, however fast it forks.
    const MADE: u64 = 4000;
    let script = format!(
        "import os\nfor _ in range({MADE}):\n    pid = os.fork() or os._exit(0)\n    os.waitpid(pid, 0)"
    );
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let run = Tool::ours("memmon").args(["-i", "500ms", "--pss", "never", "--"]);
    let log = Log::of(run.arg(&python.path).args(["-c", &script]).run());
    let exited = log.events("exited").len() - 1;
    let seconds = log.event("exited", pid(log.last()))["lifetime_seconds"].as_f64().unwrap();
    // Of those in a sample, each has its event too: one or two each time.
    let most = 1000 + 50 * (seconds.ceil() as usize + 1) + 2 * log.samples().len();
    assert!(exited <= most, "{exited} exits, of {MADE} children");
    let omitted: u64 = log.events("omitted").iter().map(|event| number(event, "omitted_exits")).sum();
    assert_eq!(exited as u64 + omitted, MADE, "each exit is written or counted");
}

#[test]
fn storm_without_events_is_right() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    // So many samples that some see children during their start or exit.
    let (root, log, exits) = storm(python, &["-i", "10ms", "--no-connector", "--pss", "never"]);
    assert_eq!(log.errors(), Vec::<&Value>::new());
    let known: BTreeSet<u64> = exits.iter().map(|(pid, _)| *pid).collect();
    let mut seen = 0;
    for sample in log.samples() {
        assert!(sample["short_lived_count"].is_null(), "no events: {sample}");
        for child in members(sample).skip(1) {
            assert!(known.contains(&number(child, "pid")), "{child}");
            assert_eq!(child["ppid"], root, "{child}");
            seen += 1;
        }
    }
    assert!(seen > 0, "not one child in {} samples", log.samples().len());
    for event in
        log.events("exited").into_iter().filter(|event| event["exit_code"].is_u64() && pid(event) != root)
    {
        let end = (number(event, "pid"), number(event, "exit_code"));
        assert!(exits.contains(&end), "{event}");
    }
}

#[test]
fn five_hundred_generations() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let target = Target::start(python, "tree.py", &["1", "500", "0"]);
    let log = Log::of(memmon(target.pid(), &["-i", "100ms", "--count", "2"]).run());
    let expected = below(target.pid());
    assert_eq!(expected.len(), 500);
    for sample in log.samples() {
        assert_eq!(children(sample), expected);
        for child in members(sample).skip(1) {
            assert_eq!(
                state_and_parent(pid(child)).map(|(_, parent)| u64::from(parent)),
                child["ppid"].as_u64()
            );
        }
    }
    assert_eq!(log.samples().len(), 2);
}

#[test]
fn two_thousand_children() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let target = Target::start(python, "tree.py", &["2000", "1", "0"]);
    let expected = below(target.pid());
    assert_eq!(expected.len(), 2000);
    let script = format!("ulimit -n 100; exec '{}' \"$@\"", bin("memmon").display());
    let few = Tool::new("sh").args(["-c", &script, "sh"]);
    for tool in [Tool::ours("memmon"), few] {
        let watched = tool.args(["-p", &target.pid().to_string(), "-i", "100ms", "--count", "2"]);
        let log = Log::of(watched.run());
        assert_eq!(log.samples().len(), 2);
        assert_eq!(log.errors(), Vec::<&Value>::new());
        for sample in log.samples() {
            assert!(children(sample) == expected, "{} children", sample["children_count"]);
            for child in members(sample) {
                let pages: u64 = statm(pid(child));
                assert_eq!(number(child, "rss_bytes"), pages * rustix::param::page_size() as u64, "{child}");
            }
        }
        // The time budget does not allow reading all of them at once.
        let last = log.last();
        assert!(
            members(last).any(|member| member["pss_bytes"].is_null()),
            "a reading of PSS for each of 2000"
        );
    }
}

fn statm(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    text.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn exec_is_reported_as_replaced() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    for args in WITH_AND_WITHOUT_EVENTS {
        let mut target = Target::start(python, "execer.py", &[]);
        let root = target.pid();
        let watch = Watch::start(root, args);
        watch.wait_first();
        target.process.write("cat -u -\nit is cat\n");
        target.process.wait_line("it is cat");
        watch.wait_for("the change", |log| log.events("replaced").pop().map(|_| ()));
        let log = watch.wait_next();
        assert_eq!(log.last()["name"], "cat", "{args:?}");
        assert_eq!(target.process.finish(PATIENCE).code(), Some(0));
        let log = watch.finish();
        let event = log.event("replaced", root);
        assert_eq!(event["name"], "cat");
        assert_eq!(event["cmdline"], serde_json::json!(["cat", "-u", "-"]));
        let (start, same) = (log.event("started", root), log.event("exited", root));
        assert!(event["start_ticks"] == start["start_ticks"] && event["start_ticks"] == same["start_ticks"]);
    }
}

#[test]
fn root_exit_is_reported_at_once() {
    for more in [&[][..], &["--no-connector"]] {
        for (script, code, signal) in [
            ("read x; exit 7", Value::from(7), Value::Null),
            ("read x; kill -KILL $$", Value::Null, Value::from(9)),
        ] {
            let mut target = Tool::new("sh").args(["-c", script]).start();
            let watch = Watch::start(target.pid(), &[&["-i", "10m"], more].concat());
            watch.wait_first();
            target.write("\n");
            let log = watch.finish();
            let event = log.event("exited", target.pid());
            assert_eq!((&event["exit_code"], &event["signal"]), (&code, &signal), "{more:?} {event}");
            assert_eq!(log.samples().len(), 1);
            let lifetime = event["lifetime_seconds"].as_f64().unwrap();
            assert!(lifetime < PATIENCE.as_secs_f64(), "{event}");
            assert!(number(event, "rss_peak_bytes") >= number(log.last(), "rss_bytes"), "{event}");
        }
    }
}

#[test]
fn unseen_exit_has_no_status() {
    let mut target = Tool::new("sh").start();
    target.write("sleep 1000 & child=$!; echo child $child\n");
    let child: u32 = target.wait_line("child ").parse().unwrap();
    let watch = Watch::start(target.pid(), &["-i", "100ms", "--no-connector"]);
    watch.wait_first();
    // Its parent reaps it while memmon is stopped: no zombie is left to read.
    kill(watch.pid(), Signal::STOP);
    target.write("kill $child; wait $child; echo reaped\n");
    target.wait_line("reaped");
    kill(watch.pid(), Signal::CONT);
    watch.wait_for("its end", |log| log.events("exited").pop().map(|_| ()));
    let log = watch.stop();
    let event = log.event("exited", child);
    assert!(event["exit_code"].is_null() && event["signal"].is_null(), "{event}");
}

#[test]
fn stopped_child_and_zombie() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    for args in WITH_AND_WITHOUT_EVENTS {
        let target = Target::start(python, "stopper.py", &[]);
        let child = target.ready[1];
        let watch = Watch::start(target.pid(), args);
        let log = watch.wait_next();
        assert_eq!(log.last()["children"][0]["state"], "stopped");
        // Its parent sleeps and does not reap it.
        kill(child, Signal::KILL);
        wait_until(PATIENCE, "a zombie", || state_and_parent(child).is_some_and(|(state, _)| state == 'Z'));
        watch.wait_for("its end", |log| log.events("exited").pop().map(|_| ()));
        let log = watch.wait_next();
        assert!(children(log.last()).is_empty(), "{}", log.last());
        assert_eq!(log.event("exited", child)["signal"], 9);
        assert_eq!(state_and_parent(child).map(|(state, _)| state), Some('Z'));
        drop(watch);
        drop(target.process);
    }
}

#[test]
fn zombie_is_refused_and_no_child() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let target = Target::start(python, "zombie.py", &[]);
    for source in ["linux", "sysinfo"] {
        let run = memmon(target.ready[1], &["--source", source]).run().expect_code(2);
        assert_eq!(run.out(), "");
        assert!(
            run.err().starts_with("memmon: ") && run.err().contains(&target.ready[1].to_string()),
            "{run}"
        );
        assert!(source == "sysinfo" || run.err().contains("zombie"), "{run}");
        let log = Log::of(memmon(target.pid(), &["--source", source, "--count", "2", "-i", "50ms"]).run());
        assert!(children(log.last()).is_empty());
    }
}

#[test]
fn orphan_stays_in_its_tree() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    for args in WITH_AND_WITHOUT_EVENTS {
        let mut target = Target::start(python, "orphan.py", &[]);
        let [root, child, grandchild] = target.ready[..] else { panic!("{:?}", target.ready) };
        let watch = Watch::start(root, args);
        watch.wait_first();
        target.process.write("leave\n");
        target.process.wait_line("orphaned");
        watch.wait_for("the end of the one between", |log| log.events("exited").pop().map(|_| ()));
        let log = watch.wait_next();
        assert_eq!(children(log.last()), BTreeSet::from([grandchild]));
        assert_eq!(log.event("exited", child)["ppid"], root);
        let parent = state_and_parent(grandchild).map(|(_, parent)| parent).unwrap();
        assert!(log.last()["children"][0]["ppid"] == parent && parent != child, "{}", log.last());
        // A memmon that starts later finds it by its session or group.
        let late = Log::of(memmon(root, &["--count", "1"]).run());
        assert_eq!(children(late.last()), BTreeSet::from([grandchild]));
        assert_eq!(target.process.finish(PATIENCE).code(), Some(0));
        watch.finish();
        wait_gone(grandchild);
    }
}

/// Makes the kernel use `pid` next; false if that is not permitted.
fn choose_next(pid: u32) -> bool {
    fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).is_ok()
}

#[test]
fn reused_pid_is_another_process() {
    for (args, inside) in WITH_AND_WITHOUT_EVENTS.iter().flat_map(|args| [(args, false), (args, true)]) {
        let mut target = Tool::new("sh").start();
        target.write("sleep 1000 & first=$!; echo first $first\n");
        let first: u32 = target.wait_line("first ").parse().unwrap();
        let root = target.pid();
        let watch = Watch::start(root, args);
        watch.wait_first();
        // Stopped while the pid is reused, so that no sample shows it unused.
        kill(watch.pid(), Signal::STOP);
        target.write("kill $first; wait $first; echo reaped\n");
        target.wait_line("reaped");
        let mut other = None;
        let mut attempts = 0;
        // Other programs start processes too, and may get the pid.
        while !is_alive(first)
            || state_and_parent(first)
                .is_none_or(|(_, parent)| parent != if inside { root } else { std::process::id() })
        {
            attempts += 1;
            if !choose_next(first) {
                kill(watch.pid(), Signal::CONT);
                crate::skip!("pids cannot be chosen here: that needs write access to ns_last_pid")
            }
            assert!(attempts < 1000, "another program has pid {first}");
            if inside {
                target.write(&format!("sleep 1001 & echo attempt {attempts}. $!\n"));
                let got: u32 = target.wait_line(&format!("attempt {attempts}. ")).parse().unwrap();
                if got != first {
                    target.write(&format!("kill {got}; wait {got}\n"));
                }
            } else {
                drop(other.take());
                other = Some(Tool::new("sleep").arg("1002").start());
            }
        }
        kill(watch.pid(), Signal::CONT);
        watch.wait_for("the first one's end", |log| {
            log.events("exited").into_iter().find(|e| pid(e) == first).map(|_| ())
        });
        let log = watch.wait_next();
        let births: Vec<&Value> =
            log.events("started").into_iter().filter(|event| pid(event) == first).collect();
        if inside {
            assert_eq!(births.len(), 2, "{args:?} {births:?}");
            assert_ne!(births[0]["start_ticks"], births[1]["start_ticks"]);
            let child = &log.last()["children"][0];
            assert_eq!(child["start_ticks"], births[1]["start_ticks"]);
            assert_eq!(child["cmdline"], serde_json::json!(["sleep", "1001"]));
        } else {
            assert_eq!(births.len(), 1, "{args:?} {births:?}");
            assert!(children(log.last()).is_empty(), "a process of another tree: {}", log.last());
        }
        assert_eq!(log.event("exited", first)["start_ticks"], births[0]["start_ticks"]);
        drop(other);
    }
}
