//! Trends of the numbers of descriptors and threads of real programs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::diff;
use crate::support::log::memmon;
use crate::support::python::{Python, Target, known};
use crate::support::{Background, PATIENCE, Run, Tool, wait_until};

/// memmon spends so small a part of the time on these numbers that a busy machine has few of them in a minute.
const LONG: Duration = Duration::from_secs(240);

/// `opens.py` in a mode, and memmon that watches it.
struct Recording {
    target: Target,
    memmon: Background,
    log: PathBuf,
}

impl Recording {
    fn start(folder: &TempDir, python: &Python, mode: &str) -> Self {
        let target = Target::start(python, "opens.py", &[mode]);
        let log = folder.path().join(mode);
        let memmon = memmon(target.pid(), &["-i", "500ms", "-o"]).arg(&log).start();
        Self { target, memmon, log }
    }

    /// Ends memmon. Returns the program's own account: how many files and threads it leaks in an hour.
    fn finish(self) -> Vec<f64> {
        self.memmon.signal(Signal::INT);
        self.memmon.finish(PATIENCE).expect_code(0);
        let out = self.target.process.out();
        let rates = out.lines().filter_map(|line| line.strip_prefix("rates ")).next_back().unwrap();
        rates.split(' ').map(|number| number.parse().unwrap()).collect()
    }
}

fn trend(log: &Path) -> Tool {
    diff(&["--trend"]).arg(log)
}

/// The verdicts on numbers.
fn counts(run: &Run) -> Vec<Value> {
    let verdicts = run.records().pop().map(|record| record["verdicts"].clone()).unwrap_or_default();
    let is_count = |row: &&Value| row["kind"] == "fds" || row["kind"] == "threads";
    verdicts.as_array().into_iter().flatten().filter(is_count).cloned().collect()
}

#[test]
fn leaked_descriptors_and_threads_grow() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    let folder = tempfile::tempdir().unwrap();
    let [leaking, steady] = ["leak", "steady"].map(|mode| Recording::start(&folder, python, mode));
    let (log, steady_log) = (folder.path().join("so far"), steady.log.clone());
    wait_until(LONG, "verdicts on descriptors and threads", || {
        std::thread::sleep(Duration::from_secs(1));
        std::fs::copy(&leaking.log, &log).unwrap();
        let found = counts(&trend(&log).args(["--format", "jsonl"]).run());
        found.len() == 2 && found.iter().all(|row| row["trend"] == "growing")
    });
    let (rates, none) = (leaking.finish(), steady.finish());
    assert_eq!(none, [0.0, 0.0]);
    let run = trend(&log).args(["--format", "jsonl"]).run().expect_code(1);
    let verdicts = counts(&run);
    for (kind, rate) in [("fds", rates[0]), ("threads", rates[1])] {
        let Some(verdict) = verdicts.iter().find(|row| row["kind"] == kind) else { panic!("{kind}: {run}") };
        assert_eq!(verdict["trend"], "growing", "{run}");
        let found = verdict["count_per_hour"].as_f64().unwrap();
        // A busy machine does not let the program do the same in each second.
        assert!((found - rate).abs() <= rate / 3.0, "{kind}: {found} instead of {rate} an hour");
    }
    let text = trend(&log).run().expect_code(1).out();
    assert!(text.contains("the number of open file descriptors of "), "{text}");
    assert!(text.contains("the number of threads of "), "{text}");
    trend(&log).args(["--fail-on", "never"]).run().expect_code(0);
    let run = trend(&steady_log).args(["--format", "jsonl"]).run();
    let found = counts(&run);
    assert!(found.len() == 2 && found.iter().all(|row| row["trend"] != "growing"), "{run}");
    let text = trend(&steady_log).arg("--all").run().out();
    assert!(text.contains("the number of threads of "), "{text}");
    // The same from a pipe.
    diff(&["--trend"]).stdin(std::fs::read(&log).unwrap()).run().expect_code(1);
}
