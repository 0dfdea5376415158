//! The text of a verdict, and the end of a search that the user stops.

use serde_json::Value;

use crate::support::interpreters::{Interpreter, loads, script};
use crate::support::pty::Terminal;
use crate::support::{Tool, bin};

use super::{LIMIT, LOOK, start, usual};

#[test]
fn text_starts_with_the_verdict() {
    let Some(interpreter) = usual() else { crate::skip!("no Python on this machine") };
    let target = start(interpreter, "class_attribute");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leaks");
    let run = Tool::ours("memobj")
        .args(["--leaks", "-p"])
        .arg(target.pid().to_string())
        .args(LOOK)
        .arg("-o")
        .arg(&file)
        .limit(LIMIT)
        .run()
        .expect_code(1);
    assert!(run.out().is_empty() && run.err().is_empty(), "{run}");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("LEAK  __main__.Subject.made grows by "), "{text}");
    for part in
        [" Payload per minute (", "\n  why ", "\n  held     module __main__ → ", "\n  do ", "7 censuses"]
    {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(text.lines().count() <= 24, "it fits a screen\n{text}");
    let records = std::fs::read_to_string(folder.path().join("leaks.jsonl")).unwrap();
    assert_eq!(records.lines().count(), 1, "{records}");
    let record: Value = serde_json::from_str(&records).unwrap();
    let totals = record["totals_by_census"].as_array().unwrap();
    assert_eq!(totals.len(), 7, "{record}");
    for (end, name) in [(&totals[0], "first"), (&totals[6], "last")] {
        for kind in ["objects", "size_bytes", "rss_bytes"] {
            assert_eq!(end[kind], record[format!("{name}_{kind}")], "{record}");
        }
    }
    let rows = record["memory_rows"].as_array().unwrap().iter();
    let sizes =
        rows.flat_map(|row| ["private_bytes", "shared_bytes"].map(|kind| row[kind].as_u64().unwrap()));
    let (sum, rss) = (sizes.sum::<u64>(), record["last_rss_bytes"].as_u64().unwrap());
    assert!(sum.abs_diff(rss) < rss / 10, "the account adds up to the resident set: {sum} {rss}");
}

#[test]
fn text_wraps_at_the_width_of_the_terminal() {
    let Some(interpreter) = usual() else { crate::skip!("no Python on this machine") };
    let target = start(interpreter, "class_attribute");
    let look = |columns| {
        Terminal::new(bin("memobj"))
            .args([&["--leaks", "-p", &target.pid().to_string()], &LOOK[..]].concat())
            .size(columns, 60)
            .start()
    };
    for (columns, mut memobj) in [80, 120].map(|columns| (columns, look(columns))) {
        memobj.finish();
        let text = memobj.screen();
        let verdict = text.lines().take_while(|line| !line.starts_with("memobj: "));
        let wrapped: Vec<&str> = verdict.skip_while(|line| !line.starts_with("LEAK")).collect();
        assert!(wrapped.iter().all(|line| line.chars().count() <= columns.into()), "{text}");
        // The terminal itself would wrap in a word, to the first column.
        let follows = |(above, below): &(&&str, &&str)| {
            let first = below.split_whitespace().next().unwrap_or_default();
            below.starts_with("          ")
                && above.chars().count() + 1 + first.chars().count() > columns.into()
        };
        let followed = wrapped.iter().zip(wrapped.iter().skip(1)).filter(follows).count();
        assert!(columns > 80 || followed > 0, "nothing is wrapped at {columns} columns\n{text}");
        for label in
            ["LEAK  ", "  why      ", "  held     ", "  grows    ", "  age      ", "  do       ", "python"]
        {
            assert!(wrapped.iter().any(|line| line.starts_with(label)), "{label:?} is not in\n{text}");
        }
        let labels = ["LEAK  ", "  ", "RSS grew by ", "python"];
        assert!(
            wrapped.iter().all(|line| labels.iter().any(|label| line.starts_with(label)) || line.is_empty()),
            "{text}"
        );
        assert!(text.split_whitespace().any(|word| word == "confidence"), "a word is broken\n{text}");
    }
}

#[test]
fn ctrl_c_prints_the_verdict() {
    let Some(interpreter) = usual() else { crate::skip!("no Python on this machine") };
    let target = start(interpreter, "class_attribute");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leaks");
    let mut memobj = Terminal::new(bin("memobj"))
        .args(["--leaks", "-i", "0.3", "--for", "1m", "-p"])
        .args([target.pid().to_string()])
        .args(["-o".as_ref(), file.as_os_str()])
        .start();
    // Progress is shown on a terminal: after three censuses there is a verdict.
    memobj.wait("three censuses", |memobj| memobj.text().contains("census 3 of 201"));
    memobj.signal(rustix::process::Signal::INT);
    assert_eq!(memobj.finish().code(), Some(1), "{memobj}");
    let records = std::fs::read_to_string(folder.path().join("leaks.jsonl")).unwrap();
    let record: Value = serde_json::from_str(&records).unwrap();
    assert!(record["censuses"].as_u64().is_some_and(|censuses| (3..200).contains(&censuses)), "{record}");
    assert_eq!(record["verdict"], "leak", "{record}");
}

#[test]
fn censuses_without_a_copy_are_reported() {
    let Some(interpreter) = usual() else { crate::skip!("no Python on this machine") };
    let folder = tempfile::tempdir().unwrap();
    let (program, file) = (folder.path().join("busy.py"), folder.path().join("leaks"));
    // A program that sleeps can be copied without a pause.
    std::fs::write(&program, "print('ready', flush=True)\nwhile True: pass\n").unwrap();
    let mut target = script(interpreter, &program).start();
    target.wait_line("ready");
    let memobj = |limits: &[&str]| {
        let run = Tool::ours("memobj").args(["--leaks", "-p"]).arg(target.pid().to_string()).args(&LOOK[..4]);
        run.args(limits).arg("-o").arg(&file).limit(LIMIT).run().expect_code(0);
        let record = std::fs::read_to_string(file.with_extension("jsonl")).unwrap();
        let record: Value = serde_json::from_str(record.lines().last().unwrap()).unwrap();
        (record, std::fs::read_to_string(&file).unwrap())
    };
    let (record, text) = memobj(&["--max-pause", "0"]);
    assert_eq!(record["live_censuses"], record["censuses"], "{text}");
    assert!(text.contains("not copied") && text.contains("--max-pause 2s"), "{text}");
    std::fs::remove_file(&file).unwrap();
    let (record, text) = memobj(&["--no-stop"]);
    assert!(record["live_censuses"] == 0 && !text.contains("not copied"), "it was asked for: {text}");
}

/// What is advised where a shape leaks.
fn advice(interpreter: &Interpreter, shape: &str) -> String {
    let target = start(interpreter, shape);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leaks");
    let run = Tool::ours("memobj").args(["--leaks", "-p"]).arg(target.pid().to_string()).args(LOOK);
    run.arg("-o").arg(&file).limit(LIMIT).run().expect_code(1);
    let text = std::fs::read_to_string(&file).unwrap();
    text.lines().find(|line| line.starts_with("  do ")).unwrap_or(&text).to_owned()
}

#[test]
fn advice_fits_the_leak() {
    let Some(interpreter) = usual().filter(|usual| loads(usual, "ctypes") && loads(usual, "asyncio")) else {
        crate::skip!("no Python with ctypes and asyncio on this machine")
    };
    for (shape, wanted) in [
        ("exit_callbacks", "atexit.unregister()"),
        ("finished_tasks", "add_done_callback(pending.discard)"),
        ("tasks", "these tasks never end"),
        ("tasks_of_other_loop", "these tasks never end"),
        ("hidden_cycle", "_random.Random does not visit what it holds"),
        ("lost_by_c", "C code of ctypes may forget a Py_DECREF"),
        ("in_item", "unused keys of __main__.Store.by_id"),
    ] {
        let advice = advice(interpreter, shape);
        assert!(advice.contains(wanted), "{shape}: {advice}");
    }
}
