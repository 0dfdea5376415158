//! Arguments, exit codes and the timing of samples.

use crate::launching::of_type;
use crate::support::{PATIENCE, Tool, wait_until};

fn memmon(args: &[&str]) -> Tool {
    Tool::ours("memmon").args(args)
}

#[test]
fn wrong_usage_exits_2() {
    let cases: [&[&str]; 12] = [
        &[],
        &["-i", "0", "-p", "1"],
        &["-i", "-1", "-p", "1"],
        &["-i", "9ms", "-p", "1"],
        &["-i", "soon", "-p", "1"],
        &["-p", "1", "--", "true"],
        &["-p", "0"],
        &["-p", "1", "--count", "0"],
        &["-p", "1", "--prefix"],
        &["-p", "1", "--fail-above", "much"],
        &["-p", "1", "--save", "x", "--no-save"],
        &["-p", "1", "--no-such-option"],
    ];
    for args in cases {
        let run = memmon(args).run().expect_code(2);
        assert!(run.out().is_empty() && !run.err().is_empty(), "{args:?}: {run}");
        assert!(!run.err().contains("panicked"), "{args:?}: {run}");
    }
    // What no process is: in one line.
    for args in [["-p", "999999999"], ["-n", "no-process-has-this-name"]] {
        let run = memmon(&args).run().expect_code(2);
        assert!(run.out().is_empty() && run.err().starts_with("memmon: "), "{run}");
        assert_eq!(run.err().lines().count(), 1, "{run}");
    }
}

#[test]
fn help_and_version_go_to_stdout() {
    for args in [["--help"], ["-h"], ["--version"]] {
        let run = memmon(&args).run().expect_code(0);
        assert!(run.out().contains("memmon") || run.out().contains("Watch"), "{run}");
        assert_eq!(run.err(), "");
    }
    let run = memmon(&["--version"]).run();
    assert_eq!(run.out(), format!("memmon {}\n", env!("CARGO_PKG_VERSION")));
    // To a reader that has enough at once.
    let line = "\"$MEMMON\" --help | true";
    Tool::new("sh").args(["-c", line]).env("MEMMON", crate::support::bin("memmon")).run().expect_code(0);
}

#[test]
fn intervals_are_seconds_or_units() {
    let target = Tool::new("cat").start();
    for (text, seconds) in [("0.5", 0.5), ("500ms", 0.5), ("2s", 2.0), ("1m", 60.0), ("10ms", 0.01)] {
        let run = memmon(&["-i", text, "--count", "1", "-p", &target.pid().to_string()]).run().expect_code(0);
        let records = run.records();
        let samples = of_type(&records, "process");
        assert_eq!(samples.len(), 1);
        assert_eq!(samples[0]["interval_seconds"], seconds, "{text}");
    }
}

#[test]
fn csv_has_titles_and_rows() {
    let mut target = Tool::new("sh").args(["-c", "sleep 1000 & echo ready; read x"]).start();
    target.wait_line("ready");
    let options = ["--format", "csv", "-i", "50ms", "--count", "3", "-p", &target.pid().to_string()];
    let run = memmon(&options).run().expect_code(0);
    let mut table = csv::Reader::from_reader(run.stdout.as_slice());
    let heads: Vec<String> = table.headers().unwrap().iter().map(str::to_owned).collect();
    let column =
        |name: &str| heads.iter().position(|head| head == name).unwrap_or_else(|| panic!("{heads:?}"));
    let (iteration, pid, rss) = (column("iteration"), column("pid"), column("rss_bytes"));
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 3 * 2, "{run}");
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(row[iteration].parse::<usize>().unwrap(), index / 2 + 1);
        assert!(row[rss].parse::<u64>().unwrap() > 0);
    }
    assert_eq!(rows[0][pid], target.pid().to_string());
}

#[test]
fn samples_do_not_drift() {
    let target = Tool::new("cat").start();
    let run = memmon(&["-i", "0.1", "--count", "20", "-p", &target.pid().to_string()]).run().expect_code(0);
    let records = run.records();
    let samples = of_type(&records, "process");
    assert_eq!(samples.len(), 20);
    let mut ticks = 0;
    for (index, sample) in samples.iter().enumerate() {
        let number = |name: &str| sample[name].as_f64().unwrap();
        assert_eq!(sample["iteration"], index + 1);
        ticks += sample["missed_ticks"].as_u64().unwrap() + u64::from(index > 0);
        let due = ticks as f64 * 0.1;
        // Late it may be, on a busy machine; but never by the sum of earlier delays.
        let late = number("elapsed_seconds") - due;
        assert!((-0.001..0.3).contains(&late), "sample {index}: {late} s late: {sample}");
        assert!(number("late_seconds") <= late + 0.001, "{sample}");
    }
}

#[test]
fn user_and_target_end_exit_0() {
    let mut target = Tool::new("cat").start();
    let process = memmon(&["-i", "10m", "-p", &target.pid().to_string()]).start();
    wait_until(PATIENCE, "a sample", || !of_type(&process.records(), "process").is_empty());
    target.close_stdin();
    // Long before the next sample is due.
    let run = process.finish(PATIENCE).expect_code(0);
    assert_eq!(crate::launching::events(&run.records(), "exited").len(), 1);
    drop(target);
}
