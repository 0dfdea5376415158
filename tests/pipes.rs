//! memmon's outputs: closed readers, full disks, signals during writes, and the saved history.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::launching::{events, of_type};
use crate::support::process::{descendants, is_alive};
use crate::support::{Background, PATIENCE, Run, Tool, bin, json_lines, wait_for, wait_until};

/// Something to watch that ends with the test.
fn target() -> Background {
    Tool::new("cat").start()
}

fn watch(target: &Background, options: &[&str]) -> Tool {
    Tool::ours("memmon").args(["-p", &target.pid().to_string()]).args(options)
}

/// A shell command with `$MEMMON` and `$PID` set.
fn shell(target: &Background, line: &str) -> Tool {
    Tool::new("sh").args(["-c", line]).env("MEMMON", bin("memmon")).env("PID", target.pid().to_string())
}

/// memmon below a shell.
fn memmon_below(shell: &Background) -> u32 {
    let is_memmon =
        |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "memmon\n");
    wait_for(PATIENCE, "memmon", || descendants(shell.pid()).into_iter().find(is_memmon))
}

fn kill(pid: u32, signal: Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid.cast_signed()).unwrap(), signal)
        .unwrap();
}

fn has_samples(process: &Background, number: usize) -> bool {
    of_type(&process.records(), "process").len() >= number
}

/// The files in a folder with that ending.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|e| e == ending)).collect()
}

#[test]
fn closed_reader_ends_watch_at_once() {
    let target = target();
    let line = r#"{ "$MEMMON" -i 10m -p $PID; echo $? >&2; } | head -1"#;
    let run = shell(&target, line).run().expect_code(0);
    assert_eq!((run.records().len(), run.err().as_str()), (1, "0\n"));
    assert!(is_alive(target.pid()));
}

#[test]
fn closed_reader_keeps_launched_command() {
    let target = target();
    // The command prints long after the reader went.
    let line = r#"{ "$MEMMON" -i 10m -- sh -c 'read x; echo late; exit 5'; echo $? >&2; } | head -1"#;
    let mut process = shell(&target, line).start();
    let memmon = memmon_below(&process);
    wait_until(PATIENCE, "the reader's end", || process.records().len() == 1);
    let spent = || -> u64 {
        let stat = fs::read_to_string(format!("/proc/{memmon}/stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_ascii_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    // It sleeps instead of polling the pipe. Processor time in 1/100 s.
    std::thread::sleep(Duration::from_millis(300));
    let before = spent();
    std::thread::sleep(Duration::from_secs(1));
    assert!(spent() - before < 25, "memmon is busy with nothing");
    process.write("end\n");
    assert_eq!(process.finish(PATIENCE).expect_code(0).err(), "late\n5\n");
}

#[test]
fn full_disk_is_one_line_and_exit_2() {
    if !Path::new("/dev/full").exists() {
        crate::skip!("no /dev/full");
    }
    let target = target();
    let run = shell(&target, r#""$MEMMON" -i 10m -p $PID >/dev/full"#).run().expect_code(2);
    assert!(run.err().starts_with("memmon: stdout: ") && run.err().lines().count() == 1, "{run}");
    let run = watch(&target, &["-i", "10m", "-o", "/dev/full"]).run().expect_code(2);
    assert!(run.err().starts_with("memmon: /dev/full: ") && run.err().lines().count() == 1, "{run}");
    // The caller needs the command's status.
    let run = shell(&target, r#""$MEMMON" -i 10m -- sh -c 'exit 5' >/dev/full"#).run().expect_code(5);
    assert!(run.err().starts_with("memmon: stdout: ") && run.err().lines().count() == 1, "{run}");
}

/// A small disk, unmounted on drop.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let run = Tool::new("mount")
            .args(["-t", "tmpfs", "-o", "size=32k,mode=0777", "memtools-test"])
            .arg(folder.path())
            .run();
        if run.code() == Some(0) { Ok(Self(folder)) } else { Err(run.err().trim().to_owned()) }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn full_disk_leaves_whole_lines() {
    let disk = crate::or_skip!(SmallDisk::mount(), "no small disk can be mounted: ");
    let target = target();
    let log = disk.0.path().join("log.jsonl");
    let run = watch(&target, &["-i", "10ms", "-o", log.to_str().unwrap()]).run().expect_code(2);
    let said = format!("memmon: {}: ", log.display());
    assert!(run.err().starts_with(&said) && run.err().lines().count() == 1, "{run}");
    let text = fs::read(&log).unwrap();
    let whole = text.iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
    assert!(json_lines(&text[..whole]).len() > 3);
}

#[test]
fn full_history_disk_keeps_watching() {
    let disk = crate::or_skip!(SmallDisk::mount(), "no small disk can be mounted: ");
    let target = target();
    let run = watch(&target, &["-i", "10ms", "--count", "100", "--save", disk.0.path().to_str().unwrap()])
        .run()
        .expect_code(0);
    assert_eq!(of_type(&run.records(), "process").len(), 100);
    let warnings = run.err().lines().filter(|line| line.contains("going on without saving")).count();
    assert_eq!(warnings, 1, "{run}");
    // The saved lines are whole.
    let [log] = &files(disk.0.path(), "jsonl")[..] else { panic!("{run}") };
    assert!(!json_lines(&fs::read(log).unwrap()).is_empty());
}

#[test]
fn unwritable_history_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let target = target();
    for place in [file.clone(), file.join("below"), "/proc/no-such-folder".into()] {
        let run = watch(&target, &["-i", "10m", "--save", place.to_str().unwrap()]).run().expect_code(2);
        assert!(run.out().is_empty() && run.err().starts_with("memmon: "), "{run}");
        assert_eq!(run.err().matches(place.to_str().unwrap()).count(), 1, "{run}");
        assert_eq!(run.err().lines().count(), 1, "{run}");
    }
    let run = watch(&target, &["-o", file.join("log").to_str().unwrap()]).run().expect_code(2);
    assert_eq!(run.err().lines().count(), 1, "{run}");
}

#[test]
fn closed_outputs_are_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let target = target();
    let both = r#""$MEMMON" -i 20ms --count 3 --save saved -p $PID"#;
    for closed in [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"] {
        shell(&target, &format!("{both} {closed}")).dir(folder.path()).run().expect_code(0);
    }
    let saved = files(&folder.path().join("saved"), "jsonl");
    assert_eq!(saved.len(), 4);
    for log in saved {
        let records = json_lines(&fs::read(log).unwrap());
        assert_eq!(of_type(&records, "process").len(), 3);
    }
    let command = r#""$MEMMON" -i 10m -- sh -c 'echo x; echo y >&2; exit 6'"#;
    for closed in [">&-", "2>&-", ">&- 2>&-"] {
        shell(&target, &format!("{command} {closed}")).run().expect_code(6);
    }
}

#[test]
fn history_is_named_by_time_and_pid() {
    let folder = tempfile::tempdir().unwrap();
    let target = target();
    let options = ["-i", "20ms", "--count", "2"];
    let run = watch(&target, &options).args(["--save", "history"]).dir(folder.path()).run().expect_code(0);
    let saved = folder.path().join("history");
    for ending in ["jsonl", "txt"] {
        let [file] = &files(&saved, ending)[..] else { panic!("one .{ending}: {run}") };
        let name = file.file_stem().unwrap().to_str().unwrap();
        let rest = name.strip_prefix("process_monitor_").unwrap();
        let moment = rest.strip_suffix(&format!("_pid{}", target.pid())).unwrap();
        let (day, time) = moment.split_once('_').unwrap();
        assert!(
            day.len() == 8 && time.len() == 6 && (day.to_owned() + time).bytes().all(|b| b.is_ascii_digit())
        );
        assert!(run.err().contains(&format!("memmon: saved history/{name}.{ending}\n")), "{run}");
    }
    let log = fs::read(&files(&saved, "jsonl")[0]).unwrap();
    assert!(log == run.stdout, "the history is not what was printed");
    // Without a name it goes to a default folder; without --save a pipe gets none.
    watch(&target, &options).arg("--save").dir(folder.path()).run().expect_code(0);
    assert_eq!(files(&folder.path().join("data/memory_diagnostics"), "txt").len(), 1);
    let state = folder.path().join("state");
    watch(&target, &options).env("XDG_STATE_HOME", &state).run().expect_code(0);
    assert!(!state.exists());
}

#[test]
fn killed_memmon_leaves_whole_samples() {
    let folder = tempfile::tempdir().unwrap();
    let target = target();
    let process = watch(&target, &["-i", "10ms", "--save", "."]).dir(folder.path()).start();
    wait_until(PATIENCE, "samples", || has_samples(&process, 10));
    process.signal(Signal::KILL);
    let run: Run = process.finish(PATIENCE);
    assert_eq!(run.signal(), Some(9));
    let whole = |text: &[u8]| text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let log = fs::read(&files(folder.path(), "jsonl")[0]).unwrap();
    let (printed, saved) = (whole(&run.stdout), whole(&log));
    // The log may be one line ahead or behind when it is killed.
    let [printed, saved] = [json_lines(&run.stdout[..printed]), json_lines(&log[..saved])];
    assert!(printed.len().abs_diff(saved.len()) <= 1 && printed.iter().zip(&saved).all(|(a, b)| a == b));
    let blocks = fs::read_to_string(&files(folder.path(), "txt")[0]).unwrap();
    let blocks = blocks.lines().filter(|line| line.starts_with('#')).count();
    assert!(blocks.abs_diff(of_type(&saved, "process").len()) <= 1, "{blocks}");
    assert!(is_alive(target.pid()));
}

#[test]
fn signals_end_watch_with_exit_0() {
    let target = target();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let process = watch(&target, &["-i", "10ms"]).start();
        wait_until(PATIENCE, "samples", || has_samples(&process, 3));
        process.signal(signal);
        let run = process.finish(PATIENCE).expect_code(0);
        assert!(run.stdout.ends_with(b"\n") && run.records().len() >= 3 && run.err().is_empty(), "{run}");
        assert!(is_alive(target.pid()));
    }
}

#[test]
fn second_ctrl_c_ends_blocked_write() {
    let folder = tempfile::tempdir().unwrap();
    let target = target();
    let waits_for_a_pipe = |pid| {
        fs::read_to_string(format!("/proc/{pid}/wchan")).is_ok_and(|place: String| place.contains("pipe"))
    };
    // The target reads from a pipe once it runs.
    let begin = std::time::Instant::now();
    while !waits_for_a_pipe(target.pid()) && begin.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(5));
    }
    if !waits_for_a_pipe(target.pid()) {
        crate::skip!("what a process waits for is not to be seen here");
    }
    // The shell keeps the pipe open and does not read it.
    let line = r#"mkfifo unread; exec 3<>unread; "$MEMMON" -i 10ms -p $PID >unread; echo $?"#;
    let mut process = shell(&target, line).dir(folder.path()).start();
    let memmon = memmon_below(&process);
    wait_until(PATIENCE, "a full pipe", || waits_for_a_pipe(memmon));
    kill(memmon, Signal::INT);
    std::thread::sleep(Duration::from_millis(200));
    assert!(is_alive(memmon), "the first asks for a whole record");
    kill(memmon, Signal::INT);
    assert_eq!(process.wait_line("1"), "30");
    process.finish(PATIENCE).expect_code(0);
}

#[test]
fn suspended_memmon_counts_missed_ticks() {
    let target = target();
    let process = watch(&target, &["-i", "100ms"]).start();
    wait_until(PATIENCE, "samples", || has_samples(&process, 3));
    process.signal(Signal::STOP);
    std::thread::sleep(Duration::from_millis(1500));
    let before = of_type(&process.records(), "process").len();
    process.signal(Signal::CONT);
    wait_until(PATIENCE, "more samples", || has_samples(&process, before + 5));
    process.signal(Signal::TERM);
    let run = process.finish(PATIENCE).expect_code(0);
    let records = run.records();
    let samples = of_type(&records, "process");
    let most = samples.iter().map(|sample| sample["missed_ticks"].as_u64().unwrap()).max().unwrap();
    assert!(most >= 12, "{most} of about 14 ticks");
    let elapsed: Vec<f64> =
        samples.iter().map(|sample| sample["elapsed_seconds"].as_f64().unwrap()).collect();
    let mut ticks = 0;
    for (index, (sample, elapsed)) in samples.iter().zip(&elapsed).enumerate() {
        assert_eq!(sample["iteration"], index + 1);
        ticks += sample["missed_ticks"].as_u64().unwrap() + u64::from(index > 0);
        // Each at a tick of its own: no burst.
        assert!((-0.001..0.3).contains(&(elapsed - ticks as f64 * 0.1)), "{sample}");
    }
}

/// libfaketime's library, which sets the time that programs see.
fn faketime() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    folders
        .map(|folder| folder.join("faketime/libfaketime.so.1"))
        .chain(["/usr/lib/faketime/libfaketime.so.1".into(), "/usr/lib64/faketime/libfaketime.so.1".into()])
        .find(|file| file.exists())
}

#[test]
fn clock_set_back_changes_only_time() {
    let Some(library) = faketime() else { crate::skip!("no libfaketime to set a clock with") };
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    fs::write(&clock, "+0").unwrap();
    let target = target();
    let process = watch(&target, &["-i", "50ms"])
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", &clock)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .start();
    wait_until(PATIENCE, "samples", || has_samples(&process, 5));
    fs::write(&clock, "-3600").unwrap();
    let before = of_type(&process.records(), "process").len();
    wait_until(PATIENCE, "more samples", || has_samples(&process, before + 10));
    process.signal(Signal::TERM);
    let run = process.finish(PATIENCE).expect_code(0);
    let records = run.records();
    let samples = of_type(&records, "process");
    let moments: Vec<&str> = samples.iter().map(|sample| sample["timestamp"].as_str().unwrap()).collect();
    assert!(moments.windows(2).any(|pair| pair[1] < pair[0]), "the clock was not set back: {moments:?}");
    for (index, pair) in samples.windows(2).enumerate() {
        assert_eq!(pair[1]["iteration"], index + 2);
        let step =
            pair[1]["elapsed_seconds"].as_f64().unwrap() - pair[0]["elapsed_seconds"].as_f64().unwrap();
        assert!(step > 0.0 && step < 30.0, "{step}");
        let cpu = &pair[1]["cpu_ratio"];
        assert!(cpu.is_null() || (0.0..4.0).contains(&cpu.as_f64().unwrap()), "{cpu}");
    }
    assert!(events(&records, "exited").is_empty());
}
