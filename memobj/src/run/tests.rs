//! Runs with fake censuses of real processes.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser as _;
use common::record::{EventKind, Record};

use super::*;
use crate::capture::{CensusSource, ProcessState};
use crate::census::Census;
use crate::cli::Args;
use crate::config::{CensusOptions, HeapFile};
use crate::emit::testing::{census, type_count};
use memobj_cpython::stage;
use memobj_process::error::{Error, Stage};

/// Answers each census by a function of the number of the call, from 1, and the process.
struct FakeSource<F> {
    calls: u64,
    answer: F,
    /// For each census of a process: whether nothing was kept of it.
    fresh: Vec<bool>,
}

impl<F: FnMut(u64, u32) -> Result<Census, Error>> CensusSource for FakeSource<F> {
    fn capture_process(
        &mut self,
        pid: u32,
        _: &CensusOptions,
        state: &mut ProcessState,
    ) -> Result<Census, Error> {
        self.calls += 1;
        self.fresh.push(state.leaks.is_none());
        state.leaks.get_or_insert_default();
        let mut census = (self.answer)(self.calls, pid)?;
        census.record.pid = pid;
        Ok(census)
    }

    fn capture_file(&mut self, _: &HeapFile, _: &CensusOptions) -> Result<Census, Error> {
        self.calls += 1;
        (self.answer)(self.calls, 0)
    }
}

fn small_census() -> Census {
    census(vec![type_count("builtins", "str", 10, 1000)])
}

/// The output and result of a run, and the number of censuses that were requested.
struct FinishedRun {
    records: Vec<Record>,
    text: String,
    result: Result<u8, Failure>,
    calls: u64,
    fresh: Vec<bool>,
}

impl FinishedRun {
    /// Type, iteration and process of each record.
    fn lines(&self) -> Vec<(&'static str, u64)> {
        let line = |record: &Record| match record {
            Record::Census(census) => ("census", census.iteration),
            Record::Error(error) => ("error", error.iteration),
            Record::ProcessEvent(event) if event.event == EventKind::Exited => ("exited", event.iteration),
            Record::ProcessEvent(event) if event.event == EventKind::Replaced => {
                ("replaced", event.iteration)
            }
            other => panic!("{other:?}"),
        };
        self.records.iter().map(line).collect()
    }
}

fn run_with(args: &[&str], answer: impl FnMut(u64, u32) -> Result<Census, Error>) -> FinishedRun {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("made/log");
    let shown = file.to_str().unwrap();
    let args = Args::try_parse_from(["memobj", "-o", shown].iter().chain(args)).unwrap();
    let mut source = FakeSource { calls: 0, answer, fresh: Vec::new() };
    let result = args.into_config().and_then(|config| run(&config, || Ok(CensusWorker::Inline(&mut source))));
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let records = read(&folder.path().join("made/log.jsonl"));
    let records = records.lines().map(|line| Record::parse(line.as_bytes()).unwrap());
    FinishedRun {
        records: records.collect(),
        text: read(&file),
        result,
        calls: source.calls,
        fresh: source.fresh,
    }
}

/// A process that exits on request, or with the test.
struct Running(Child);

impl Running {
    fn shell(script: &str) -> Self {
        let script = format!("echo; {script}");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // `spawn` returns while the kernel is still setting up the shell, which then seems to have no image.
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        Self(child)
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }

    fn go_on(&mut self) {
        std::io::Write::write_all(self.0.stdin.as_mut().unwrap(), b"\n").unwrap();
    }

    fn end(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn refused() -> Error {
    Error::new(stage::LOCATE, "pid 7 is no Python", "give another")
}

#[test]
fn one_census_is_one_record() {
    let running = Running::shell("read x");
    let once = run_with(&["-p", &running.pid()], |_, _| Ok(small_census()));
    assert_eq!((once.lines(), once.calls), (vec![("census", 1)], 1));
    assert_eq!(once.result, Ok(0));
    assert!(once.text.starts_with("#1  ") && once.text.contains("10 objects, 1000 B"), "{}", once.text);
    let Record::Census(record) = &once.records[0] else { panic!("{:?}", once.records) };
    assert!(record.cmdline.is_some() && record.root_pid.is_none());
}

#[test]
fn failed_census_is_error_record() {
    let running = Running::shell("read x");
    let torn = Error::new(Stage::COPY, "it moved", "try again");
    let begin = Instant::now();
    let found = run_with(&["-i", "20ms", "--count", "4", "-p", &running.pid()], |call, _| match call {
        1 | 3 => Err(torn.clone()),
        _ => Ok(small_census()),
    });
    assert_eq!(found.lines(), [("error", 1), ("census", 2), ("error", 3), ("census", 4)]);
    assert_eq!((found.result, found.calls), (Ok(0), 4));
    assert!(begin.elapsed() >= Duration::from_millis(60));
    let Record::Error(error) = &found.records[0] else { panic!("{:?}", found.records) };
    assert_eq!(
        (&*error.stage, error.message.as_str(), error.hint.as_deref()),
        ("copy", "it moved", Some("try again"))
    );
    assert_eq!(error.pid, Some(running.0.id()));
    assert!(found.text.contains("! no census of pid "), "{}", found.text);
}

#[test]
fn run_without_census_fails() {
    let running = Running::shell("read x");
    let found = run_with(&["-i", "10ms", "--count", "3", "-p", &running.pid()], |_, _| {
        Err(Error::new(Stage::COPY, "it is traced", "detach the other"))
    });
    assert_eq!(found.lines(), [("error", 1), ("error", 2), ("error", 3)]);
    assert_eq!(found.result, Err(Failure::new("it is traced", "detach the other")));
}

#[test]
fn non_python_ends_the_run() {
    let running = Running::shell("read x");
    for args in [&["-i", "10ms"][..], &[]] {
        let found = run_with(&[args, &["-p", &running.pid()]].concat(), |_, _| Err(refused()));
        assert_eq!((found.lines(), found.calls), (vec![("error", 1)], 1));
        assert_eq!(found.result, Err(Failure::new("pid 7 is no Python", "give another")));
    }
    let other = Running::shell("read x");
    let pids = ["-i", "10ms", "--count", "2", "-p", &running.pid(), "-p", &other.pid()].map(str::to_owned);
    let pids: Vec<&str> = pids.iter().map(String::as_str).collect();
    let one = running.0.id();
    let found = run_with(&pids, |_, pid| if pid == one { Err(refused()) } else { Ok(small_census()) });
    assert_eq!(found.lines(), [("census", 1), ("error", 1), ("census", 2), ("error", 2)]);
    assert_eq!(found.result, Ok(0), "one of two is good enough");
}

#[test]
fn target_exit_ends_the_run() {
    let mut running = Running::shell("read x");
    let pid = running.pid();
    let begin = Instant::now();
    let found = run_with(&["-i", "60s", "-p", &pid], |_, _| {
        running.end();
        Ok(small_census())
    });
    assert_eq!(found.lines(), [("census", 1), ("exited", 1)]);
    assert_eq!((found.result, found.fresh), (Ok(0), vec![true]));
    assert!(begin.elapsed() < Duration::from_secs(30), "it was waited for the next census");
    assert!(found.text.ends_with(&format!("sh (pid {pid}) exited\n")), "{}", found.text);
}

#[test]
fn exit_during_census_is_no_error() {
    let mut running = Running::shell("read x");
    let found = run_with(&["-i", "10ms", "-p", &running.pid()], |call, _| {
        if call < 3 {
            return Ok(small_census());
        }
        running.end();
        Err(Error::exited(Stage::COPY, "it ended"))
    });
    assert_eq!(found.lines(), [("census", 1), ("census", 2), ("exited", 3)]);
    assert_eq!(found.result, Ok(0));
    let mut running = Running::shell("read x");
    let found = run_with(&["-p", &running.pid()], |_, _| {
        running.end();
        Err(Error::exited(Stage::ATTACH, "it ended"))
    });
    assert_eq!(found.lines(), [("exited", 1), ("error", 1)]);
    assert_eq!(found.result.unwrap_err().message, "it ended");
}

#[test]
fn missing_pid_is_error_without_exit() {
    // Above the most that the kernel gives out (proc_sys_kernel(5), pid_max).
    let absent = (1_u32 << 30).to_string();
    for gone in [false, true] {
        let found = run_with(&["-i", "10ms", "-p", &absent], |_, _| {
            Err(Error { exited: gone, ..Error::new(Stage::ATTACH, "no such process", "") })
        });
        assert_eq!((found.lines(), found.calls), (vec![("error", 1)], 1));
        assert_eq!(found.result.unwrap_err().code, 2);
    }
}

#[test]
fn exec_is_reported_and_counted() {
    let mut running = Running::shell("read x; exec cat");
    let pid = running.0.id();
    let found = run_with(&["-i", "10ms", "--count", "2", "-p", &running.pid()], |call, _| {
        if call > 1 {
            return Ok(small_census());
        }
        running.go_on();
        let limit = Instant::now() + Duration::from_secs(30);
        while std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap() != "cat\n" {
            assert!(Instant::now() < limit);
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(Error::exited(Stage::COPY, "it is another program"))
    });
    assert_eq!(found.lines(), [("replaced", 1), ("census", 1), ("census", 2)]);
    assert_eq!((found.result, found.calls, found.fresh), (Ok(0), 3, vec![true, true, false]));
}

#[test]
fn exec_of_non_python_ends_late() {
    let mut running = Running::shell("read x; exec cat");
    let pid = running.0.id();
    let begin = Instant::now();
    let found = run_with(&["-i", "200ms", "-p", &running.pid()], |call, _| {
        if call == 1 {
            running.go_on();
            return Ok(small_census());
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "it never ended");
        let is_cat = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap() == "cat\n";
        if is_cat { Err(refused()) } else { Ok(small_census()) }
    });
    let lines = found.lines();
    let errors = lines.iter().filter(|(kind, _)| *kind == "error").count();
    assert!(errors > 5 && lines.iter().any(|(kind, _)| *kind == "replaced"), "{lines:?}");
    assert!(begin.elapsed() >= Duration::from_secs(5) && found.result == Ok(0));
}

#[test]
fn tree_counts_only_python() {
    let mut running = Running::shell("exec 3<&0; sh -c 'read x <&3; :' & read x <&3; :");
    let root = running.0.id();
    let mut below = Vec::new();
    let limit = Instant::now() + Duration::from_secs(30);
    let found = run_with(&["--tree", "-i", "10ms", "-p", &running.pid()], |_, pid| {
        if pid == root {
            return Err(refused());
        }
        below.push(pid);
        assert!(Instant::now() < limit, "it never ended");
        if below.len() == 3 {
            running.end();
        }
        Ok(small_census())
    });
    let lines = found.lines();
    let censuses = lines.iter().filter(|(kind, _)| *kind == "census").count();
    assert!(censuses >= 3, "{lines:?}");
    assert_eq!(lines.iter().filter(|(kind, _)| *kind == "exited").count(), 1, "{lines:?}");
    // The shell below may have come after the first look; no iteration is without a record.
    let iterations: Vec<u64> = lines.iter().map(|(_, iteration)| *iteration).collect();
    assert_eq!(iterations[0], 1);
    assert!(iterations.windows(2).all(|pair| pair[1] - pair[0] <= 1), "{lines:?}");
    let Some(Record::Census(census)) =
        found.records.iter().find(|record| matches!(record, Record::Census(_)))
    else {
        panic!("{:?}", found.records)
    };
    assert_eq!((census.root_pid, census.pid), (Some(root), below[0]));
    assert_eq!(found.result, Ok(0));
    let none = run_with(&["--tree", "-p", &std::process::id().to_string()], |_, _| Err(refused()));
    assert!(none.result.unwrap_err().message.starts_with("no process at or below pid "));
}

#[test]
fn leak_search_reports_children_without_census() {
    let running = Running::shell("exec 3<&0; sh -c 'read x <&3; :' & read x <&3; :");
    let root = running.0.id();
    let limit = Instant::now() + Duration::from_secs(30);
    let children = format!("/proc/{root}/task/{root}/children");
    while std::fs::read_to_string(&children).unwrap().is_empty() && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(2));
    }
    // The census of the root alone takes longer than half an interval.
    let args = ["--leaks", "--no-stop", "-i", "20ms", "--for", "80ms", "-p", &running.pid()];
    let slow = run_with(&args, |_, pid| {
        assert_eq!(pid, root);
        std::thread::sleep(Duration::from_millis(30));
        Ok(small_census())
    });
    let [Record::Leaks(leaks)] = &slow.records[..] else { panic!("{:?}", slow.records) };
    assert_eq!((leaks.pid, leaks.unchecked_children, slow.result), (root, 1, Ok(2)));
    assert!(
        slow.text.contains("not checked  1 Python process below it was not checked: add --tree"),
        "{}",
        slow.text
    );
    let tree = run_with(&[&args[..], &["--tree"]].concat(), |_, _| {
        std::thread::sleep(Duration::from_millis(30));
        Ok(small_census())
    });
    assert_eq!(tree.records.iter().filter(|record| matches!(record, Record::Leaks(_))).count(), 2);
}

#[test]
fn file_is_counted_once() {
    let found = run_with(&["--core", "core", "--no-cmdline"], |_, _| Ok(small_census()));
    assert_eq!((found.lines(), found.calls), (vec![("census", 1)], 1));
    let Record::Census(record) = &found.records[0] else { panic!("{:?}", found.records) };
    assert_eq!((&record.cmdline, record.root_pid), (&None, None));
    let found = run_with(&["--snapshot", "s"], |_, _| Err(Error::new(Stage::ATTACH, "s: no snapshot", "")));
    assert_eq!((found.lines(), found.result), (vec![("error", 1)], Err(Failure::new("s: no snapshot", ""))));
}

#[test]
fn invalid_targets_are_refused() {
    for args in [&[][..], &["--tree", "--core", "x"], &["-p", "1", "-p", "2", "--save-snapshot", "x"]] {
        let found = run_with(args, |_, _| panic!("nothing was to be taken"));
        assert!(found.result.is_err_and(|failure| !failure.hint.is_empty()), "{args:?}");
    }
}
