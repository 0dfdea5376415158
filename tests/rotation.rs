//! Logs in several files: by date, compressed, and written by several processes at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use common::log::{Input, MomentData, Options, read};
use serde_json::Value;

use crate::support::log::number;
use crate::support::{Tool, json_lines};

fn memmon(args: &[&str]) -> Tool {
    let pid = std::process::id().to_string();
    Tool::ours("memmon").args(["--format", "jsonl", "-p", &pid]).args(args)
}

/// The files of a folder, by name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// The iterations of the samples of each run, in the order of a log.
fn iterations(log: &Path) -> BTreeMap<String, Vec<u64>> {
    let mut runs: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let summary = read(&[Input::from(log)], &Options::new("test"), &mut |moment| {
        if let MomentData::Tree(_) = moment.data {
            runs.entry(moment.run.to_string()).or_default().push(moment.iteration);
        }
        std::ops::ControlFlow::Continue(())
    });
    let summary = summary.unwrap_or_else(|failure| panic!("{}", failure.message));
    assert_eq!((summary.bad_lines, summary.torn_lines, summary.truncated_inputs), (0, 0, 0));
    runs
}

#[test]
fn dated_files_are_one_log() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    // A name that changes each second stands for one that changes each day.
    let run =
        memmon(&["-i", "100ms", "--count", "30", "-o", "logs/log-%H%M%S.jsonl"]).dir(folder.path()).run();
    run.expect_code(0);
    let files = files(&logs);
    assert!(files.len() >= 3, "{files:?}");
    for file in &files {
        let records = json_lines(&fs::read(file).unwrap());
        let seconds: BTreeSet<&str> =
            records.iter().map(|record| &record["timestamp"].as_str().unwrap()[..19]).collect();
        // A sample of the end of a second can be written in the next one.
        assert!(seconds.len() <= 2, "{file:?}: {seconds:?}");
    }
    let pattern = logs.join("log-*.jsonl");
    let runs = iterations(&pattern);
    assert_eq!(runs.into_values().collect::<Vec<_>>(), [(1..=30).collect::<Vec<u64>>()]);
    let one = Tool::ours("memdiff").arg("--format").arg("jsonl").arg(&pattern).run();
    let record: Value = one.records().remove(0);
    let moments = [&record["before"], &record["after"]].map(|moment| number(moment, "iteration"));
    assert_eq!(moments, [1, 30], "{one}");
    let trend =
        Tool::ours("memdiff").args(["--trend", "--fail-on", "never"]).arg(&pattern).run().expect_code(0);
    assert!(trend.out().contains("30 measurements"), "{trend}");
    let svg = Tool::ours("memplot").arg(&pattern).run().expect_code(0).out();
    assert!(svg.contains("<svg"), "{svg}");
    let none = Tool::ours("memplot").arg(logs.join("x*")).run().expect_code(2);
    assert!(none.err().contains("no file has such a name"), "{none}");
}

#[test]
fn compressed_log_is_read_by_gzip() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log-2.jsonl.gz");
    memmon(&["-i", "50ms", "--count", "5", "-o"]).arg(&log).run().expect_code(0);
    let run = Tool::new("gzip").arg("-dc").arg(&log).run().expect_code(0);
    let samples = run.records().iter().filter(|record| record["type"] == "process").count();
    assert_eq!(samples, 5);
    assert!(fs::metadata(&log).unwrap().len() < run.stdout.len() as u64 / 2);
    // Tables and texts are compressed as a whole too.
    for format in ["csv", "text"] {
        let log = folder.path().join(format!("{format}.gz"));
        let pid = std::process::id().to_string();
        let args = ["--format", format, "-p", &pid, "-i", "50ms", "--count", "12", "-o"];
        Tool::ours("memmon").args(args).arg(&log).run().expect_code(0);
        let whole = Tool::new("gzip").arg("-dc").arg(&log).run().expect_code(0).stdout.len();
        assert!(fs::metadata(&log).unwrap().len() < whole as u64 / 2, "{format}: {whole}");
    }
    // Files of one log can have several formats.
    memmon(&["-i", "50ms", "--count", "4", "-o"]).arg(folder.path().join("log-1.jsonl")).run().expect_code(0);
    let runs: Vec<usize> =
        iterations(&folder.path().join("log-*")).into_values().map(|run| run.len()).collect();
    assert_eq!(runs.iter().sum::<usize>(), 9, "{runs:?}");
}

#[test]
fn several_writers_share_a_log() {
    const WRITERS: usize = 4;
    const SAMPLES: u64 = 100;
    let folder = tempfile::tempdir().unwrap();
    for name in ["log.jsonl", "log.jsonl.gz"] {
        let log = folder.path().join(name);
        let samples = SAMPLES.to_string();
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| memmon(&["-i", "10ms", "--count", &samples, "-o"]).arg(&log).start())
            .collect();
        for writer in writers {
            writer.finish(crate::support::PATIENCE).expect_code(0);
        }
        let runs = iterations(&log);
        assert_eq!(runs.len(), WRITERS);
        for (run, iterations) in runs {
            assert_eq!(iterations, (1..=SAMPLES).collect::<Vec<u64>>(), "{name} {run}");
        }
    }
}

#[test]
fn unusable_names_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let run = memmon(&["--count", "1", "-o", "100%"]).dir(folder.path()).run().expect_code(2);
    assert!(run.err().contains("write %%"), "{run}");
    let pid = std::process::id().to_string();
    for tool in ["memmon", "memobj"] {
        let metrics = ["--format", "openmetrics", "--count", "1", "-o", "bot-%Y.prom", "-p", &pid];
        let run = Tool::ours(tool).args(metrics).dir(folder.path()).run().expect_code(2);
        assert!(run.err().contains("without %"), "{run}");
    }
    assert!(files(folder.path()).is_empty());
}

#[test]
fn each_table_has_titles_once() {
    let folder = tempfile::tempdir().unwrap();
    let pid = std::process::id().to_string();
    // The second run goes on with the last file of the first one, or begins another.
    for _ in 0..2 {
        let args = ["-i", "100ms", "--count", "15", "-p", &pid, "-o", "log-%H%M%S.csv"];
        Tool::ours("memmon").args(args).dir(folder.path()).run().expect_code(0);
    }
    let mut rows = 0;
    for file in files(folder.path()) {
        let mut table = csv::Reader::from_path(&file).unwrap();
        assert_eq!(table.headers().unwrap().get(0), Some("timestamp"), "{file:?}");
        for row in table.records().map(Result::unwrap) {
            assert_ne!(row.get(0), Some("timestamp"), "{file:?}");
            rows += usize::from(row.get(4) == Some("root"));
        }
    }
    assert_eq!(rows, 30);
    assert!(files(folder.path()).len() >= 3);
}
