//! Names and command lines are hostile input: records stay valid JSON and text stays plain text.

use crate::support::log::{Log, memmon, number};
use crate::support::python::{Target, python};
use crate::support::{Run, Tool};

/// Characters that a terminal or a reader of lines does not treat as text.
fn harmful(text: &str) -> Vec<char> {
    let turns = |c: char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(|&c| c != '\n' && (c.is_control() || turns(c))).collect()
}

#[test]
fn hostile_cmdline_stays_on_one_line() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let target = Target::start(python, "hostile_name.py", &["100000"]);
    let bytes = std::fs::read(format!("/proc/{}/cmdline", target.pid())).unwrap();
    let args: Vec<String> = bytes
        .strip_suffix(b"\0")
        .unwrap()
        .split(|&byte| byte == 0)
        .map(|arg| String::from_utf8_lossy(arg).into_owned())
        .collect();
    // The sysinfo crate leaves empty arguments out.
    let filled: Vec<String> = args.iter().filter(|arg| !arg.is_empty()).cloned().collect();
    for (source, args) in [("linux", &args), ("sysinfo", &filled)] {
        let run = memmon(target.pid(), &["--count", "2", "-i", "50ms", "--source", source]).run();
        assert!(harmful(&run.out()).is_empty(), "{source}: {:?} in a log", harmful(&run.out()));
        let log = Log::of(run);
        assert_eq!(log.samples().len(), 2);
        let name = log.last()["name"].as_str().unwrap();
        assert!(name.starts_with("a) R 1\n\u{1b}[31m"), "{source}: {name:?}");
        let whole: Vec<String> =
            serde_json::from_value(log.event("started", target.pid())["cmdline"].clone()).unwrap();
        assert!(whole == *args, "{source}: {} arguments of {}", whole.len(), args.len());
        let cut: Vec<String> = serde_json::from_value(log.last()["cmdline"].clone()).unwrap();
        let (last, before) = cut.split_last().unwrap();
        assert_eq!(before, &args[..before.len()], "{source}");
        let last = last.strip_suffix('…').expect("a mark where it was cut");
        assert!(args[before.len()].starts_with(last));
        assert_eq!(before.iter().map(String::len).sum::<usize>() + last.len(), 4096, "{source}");
    }
}

#[test]
fn text_escapes_hostile_names() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let target = Target::start(python, "hostile_name.py", &["100000"]);
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().to_str().unwrap();
    let check = |what: &str, run: &Run| {
        for (stream, bytes) in [("stdout", &run.stdout), ("stderr", &run.stderr)] {
            let text = std::str::from_utf8(bytes).unwrap_or_else(|_| panic!("{what}: {stream} is no UTF-8"));
            assert!(harmful(text).is_empty(), "{what}: {:?} on {stream}", harmful(text));
        }
    };
    // Crossing limits brings the name into events and to stderr.
    let args = ["--count", "2", "-i", "50ms", "--warn-rss", "1K", "--fail-above", "rss:1K", "--save", saved];
    for source in ["linux", "sysinfo"] {
        for format in ["text", "jsonl"] {
            let more = ["--format", format, "--source", source];
            let run = memmon(target.pid(), &args).args(more).run().expect_code(1);
            check(&format!("{format} of {source}"), &run);
            assert!(run.out().contains("a) R 1\\n") && run.err().contains("a) R 1\\n"), "{run}");
        }
    }
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().collect();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert!(!text.is_empty() && harmful(&text).is_empty(), "{:?}: {:?}", file.path(), harmful(&text));
    }
}

#[test]
fn csv_rows_keep_their_columns() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let target = Target::start(python, "hostile_name.py", &["10"]);
    let run = memmon(target.pid(), &["--count", "2", "-i", "50ms", "--format", "csv"]).run().expect_code(0);
    let reader = "import csv, sys; print(len({len(row) for row in csv.reader(sys.stdin)}), file=sys.stderr)";
    let columns = Tool::new(&python.path).args(["-c", reader]).stdin(run.stdout.clone()).run().expect_code(0);
    assert_eq!(columns.err(), "1\n", "rows of different lengths\n{run}");
    assert!(!run.out().contains('\u{1b}'), "{run}");
}

#[test]
fn csv_names_are_no_formulas() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("@cat");
    std::os::unix::fs::symlink(crate::support::which("cat"), &program).unwrap();
    let target = Tool::new("bash").args(["-c", "exec -a '=1+1' \"$0\""]).arg(&program).start();
    crate::support::wait_until(crate::support::PATIENCE, "another name", || {
        std::fs::read(format!("/proc/{}/cmdline", target.pid())).is_ok_and(|line| line.starts_with(b"=1+1"))
    });
    let run = memmon(target.pid(), &["--count", "1", "--format", "csv"]).run().expect_code(0);
    let row = run.out().lines().nth(1).unwrap().to_owned();
    assert!(row.contains(",'@cat,") && row.ends_with(",'=1+1'"), "{row}");
}

#[test]
fn rewritten_title_is_not_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("a-name-of-more-than-15-bytes");
    std::os::unix::fs::symlink(crate::support::which("cat"), &program).unwrap();
    let title = format!("a-name-of-more-than-15-bytes --key=hunter2 {}", "x".repeat(50_000));
    // As programs do that rewrite their title: everything in the first argument.
    let script = format!("exec -a '{title}' '{}'", program.display());
    let target = Tool::new("bash").args(["-c", &script]).start();
    crate::support::wait_until(crate::support::PATIENCE, "another program", || {
        std::fs::read(format!("/proc/{}/comm", target.pid())).is_ok_and(|comm| comm.starts_with(b"a-name"))
    });
    let log = Log::of(memmon(target.pid(), &["--count", "1"]).run());
    assert_eq!(log.last()["name"], "a-name-of-more-than-15-bytes");
    let log = Log::of(memmon(target.pid(), &["--count", "1", "--no-cmdline"]).run());
    assert_eq!(
        log.last()["name"],
        "a-name-of-more-",
        "as the kernel has it, without the command line's help"
    );
    assert!(number(log.last(), "rss_bytes") > 0);
}
