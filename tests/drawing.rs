//! memplot on a terminal, and its output to files and pipes: size, colours and escaped names.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use common::record::{ProcessRecord, ProcessSample, Record};
use common::time::Stamp;

use crate::support::browser::Browser;
use crate::support::pty::Terminal;
use crate::support::samples::{self, Fill};
use crate::support::{Tool, bin};

/// A log of two processes, one with a hostile name, a second apart for a minute.
fn log(folder: &Path) -> PathBuf {
    let start = "2026-11-24T20:00:00.000+00:00".parse::<Stamp>().unwrap().unix_seconds();
    let mut text = String::new();
    for second in 0..60_u32 {
        let root = ProcessSample {
            name: "bot".into(),
            cmdline: None,
            rss_bytes: Some(100 << 20),
            ..samples::sample(Fill::Full, 100)
        };
        let mut header = samples::header();
        header.timestamp = Stamp::from_unix_seconds(start + f64::from(second)).unwrap();
        header.iteration = u64::from(second) + 1;
        let mut record = ProcessRecord::new(header, root);
        record.interval_seconds = 1.0;
        record.elapsed_seconds = second.into();
        record.children = vec![ProcessSample {
            name: "\u{1b}[2J\u{1b}]0;owned\u{7}</script><b>".into(),
            cmdline: None,
            rss_bytes: Some(u64::from(20 + second) << 20),
            ..samples::sample(Fill::Full, 101)
        }];
        record.total_rss_bytes = u64::from(120 + second) << 20;
        writeln!(text, "{}", serde_json::to_string(&Record::Process(Box::new(record))).unwrap()).unwrap();
    }
    let file = folder.join("log.jsonl");
    std::fs::write(&file, text).unwrap();
    file
}

#[test]
fn terminal_shows_labels_and_colours() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    for (columns, rows) in [(120, 40), (40, 20), (250, 60)] {
        let mut session = Terminal::new(bin("memplot"))
            .args([&log])
            .size(columns, rows)
            .env("TZ", "UTC")
            .env("COLORTERM", "truecolor")
            .start();
        assert_eq!(session.finish().code(), Some(0), "{session}");
        let screen = session.screen();
        for word in ["bot", "179 MiB", "20:00:30", "24 Nov 2026"] {
            assert!(screen.contains(word), "{word} at {columns}x{rows}: {session}");
        }
        assert!(session.text().contains("\x1b[38;2;") && screen.contains('█'), "{session}");
        // Nothing was scrolled away, nothing asked of the terminal.
        assert!(screen.lines().count() < usize::from(rows) && screen.starts_with("Memory"), "{session}");
        assert_eq!(session.demands(), Vec::<String>::new(), "{session}");
        // Of the name as much as there is room for.
        assert!(screen.contains("\\u{1b}[2"), "{session}");
    }
}

#[test]
fn colours_follow_terminal_and_user() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    let shown = |name: &str, value: &str| {
        let mut session = Terminal::new(bin("memplot")).args([&log]).env(name, value).start();
        assert_eq!(session.finish().code(), Some(0), "{session}");
        session.text()
    };
    let indexed = shown("COLORTERM", "");
    assert!(indexed.contains("\x1b[38;5;") && !indexed.contains("\x1b[38;2;"), "{indexed:?}");
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let plain = shown(name, value);
        assert!(!plain.contains('\x1b') && plain.contains('⣀'), "{name}: {plain:?}");
    }
    let run = Tool::ours("memplot").arg(&log).args(["--format", "text"]).env("COLORTERM", "truecolor").run();
    let out = run.expect_code(0).out();
    assert!(!out.contains('\x1b') && out.contains("179 MiB"), "{out}");
    assert!(out.lines().count() <= 30 && out.lines().all(|line| line.chars().count() <= 100), "{out}");
}

#[test]
fn html_is_refused_on_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    let memplot = || Tool::ours("memplot").arg(&log).dir(folder.path()).env("TZ", "UTC");
    memplot().args(["-o", "a.html"]).run().expect_code(0);
    memplot().args(["--html", "-o"]).run().expect_code(0);
    let piped = memplot().arg("--html").run().expect_code(0).stdout;
    for name in ["a.html", "memory_analysis_plot.html"] {
        assert_eq!(std::fs::read(folder.path().join(name)).unwrap(), piped, "{name}");
    }
    memplot().args(["-o", "a.txt"]).run().expect_code(0);
    assert!(std::fs::read_to_string(folder.path().join("a.txt")).unwrap().contains("179 MiB"));
    let mut session = Terminal::new(bin("memplot")).args([log.as_os_str(), "--html".as_ref()]).start();
    assert_eq!(session.finish().code(), Some(2), "{session}");
    assert!(session.screen().contains("-o plot.html"), "{session}");
    memplot().args(["--html", "--format", "svg"]).run().expect_code(2);
}

#[test]
fn page_table_has_the_values() {
    let Some(browser) = Browser::start((1200, 900)) else { crate::skip!("no Chromium") };
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    let page = folder.path().join("plot.html");
    Tool::ours("memplot").arg(&log).args(["--html", "-o"]).arg(&page).env("TZ", "UTC").run().expect_code(0);
    browser.open(&page);
    assert_eq!(browser.complaints(), Vec::<String>::new());
    let rows = browser.run("return document.getElementById('table').textContent", serde_json::Value::Null);
    let rows = rows.as_str().unwrap();
    for value in ["total", "120.00 MiB", "179.00 MiB", "+59.00 MiB", "24 Nov 20:00:59", "</script><b>"] {
        assert!(rows.contains(value), "{value}: {rows}");
    }
    // The arrow to the right, then End.
    browser.keys("\u{e014}\u{e010}");
    assert!(browser.text("#tip").contains("79.00 MiB"), "{}", browser.text("#tip"));
}
