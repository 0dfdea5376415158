//! The report of a page: what `memobj --leaks` found, in a browser, as people read it.

use common::record::{LeakVerdict, LeaksRecord, Record};
use common::stdio::escape_controls;
use common::verdict::{HELD, sentences};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::memplot::heap::{HEAP, log as heap_log};
use crate::memplot::logs;
use crate::support::Tool;
use crate::support::browser::Browser;
use crate::support::samples::{self, Fill};

fn line(record: LeaksRecord) -> String {
    format!("{}\n", serde_json::to_string(&Record::Leaks(Box::new(record))).unwrap())
}

/// The page of a log, in its folder.
fn page(log: &str, args: &[&str]) -> (String, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("log.jsonl"), log).unwrap();
    let tool = Tool::ours("memplot").args(["log.jsonl", "--html", "-o", "page.html"]).args(args);
    tool.dir(folder.path()).run().expect_code(0);
    (std::fs::read_to_string(folder.path().join("page.html")).unwrap(), folder)
}

fn show(log: &str, args: &[&str], size: (u32, u32)) -> Option<(Browser, TempDir)> {
    let browser = Browser::start(size)?;
    let (_, folder) = page(log, args);
    browser.open(&folder.path().join("page.html"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
    Some((browser, folder))
}

/// A verdict with three censuses.
fn verdict() -> LeaksRecord {
    let mut record = samples::leaks(Fill::Full);
    record.leaks[0].side_effect_of = None;
    let totals = |at: f64, mebibytes: u64| common::record::CensusTotals {
        elapsed_seconds: at,
        objects: mebibytes * 1000,
        size_bytes: mebibytes << 20,
        rss_bytes: Some((mebibytes + 40) << 20),
    };
    let totals_by_census = vec![totals(0.0, 10), totals(30.0, 12), totals(60.5, 16)];
    LeaksRecord { totals_by_census, ..record }
}

#[test]
fn report_says_what_memobj_says() {
    let record = verdict();
    let Some((browser, _folder)) = show(&line(record.clone()), &[], (1300, 900)) else {
        crate::skip!("no Chromium")
    };
    let shown = browser.text("#report");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = words(&shown);
    for sentence in sentences(&record).iter().filter(|sentence| sentence.label != HELD) {
        let text = words(&escape_controls(&sentence.text));
        assert!(shown.contains(&text), "{text:?} is not in {shown:?}");
    }
    let steps = browser.run(
        "return [...document.querySelectorAll('.way')[0].children].map((step) => step.textContent)",
        Value::Null,
    );
    assert_eq!(steps, json!(["module __main__", "_sessions (dict, 12,000 entries)", "SessionState"]));
    for part in ["Resident memory: 41.00 MiB", "Python objects in pools", "memobj 0.1.0", "Host server"] {
        assert!(shown.contains(part), "{part:?} is not in {shown:?}");
    }
    // Above the curves, which show the totals of all censuses.
    let below = "return document.getElementById('stage').getBoundingClientRect().top
        - document.getElementById('report').getBoundingClientRect().bottom";
    assert!(browser.run(below, Value::Null).as_f64().unwrap() >= 0.0);
    let read = "return [...document.querySelectorAll('tbody .name')].map((name) => name.textContent)";
    assert_eq!(browser.run(read, Value::Null), json!(["RSS of the process", "Python objects"]));
    let range = browser.text("#range");
    assert!(range.ends_with("1 min 1 s") || range.ends_with("1 min"), "{range}");
}

#[test]
fn hostile_names_stay_text() {
    let hostile =
        "</section></script><script>window.owned=1</script><img src=x onerror='window.owned=2'>\u{202e}";
    let mut record = verdict();
    for leak in record.leaks.iter_mut().chain(&mut record.filling) {
        leak.holder = hostile.into();
        leak.name = hostile.into();
        leak.path = Some(format!("module {hostile} → {hostile}").into());
        leak.side_effect_of = None;
        leak.cause = "held".into();
    }
    record.memory_rows[0].detail = Some(hostile.into());
    record.name = Some(hostile.into());
    record.cmdline = Some(std::sync::Arc::new([hostile.to_owned()]));
    let record = LeaksRecord { host: hostile.into(), python: hostile.into(), ..record };
    let Some((browser, _folder)) = show(&line(record), &[], (1300, 900)) else { crate::skip!("no Chromium") };
    let found = browser.run(
        "return [window.owned ?? null, document.scripts.length, document.images.length, performance.getEntriesByType('resource').length]",
        Value::Null,
    );
    assert_eq!(found, json!([null, 2, 0, 0]));
    let shown = browser.text("#report");
    assert!(shown.matches("<img src=x").count() > 6, "{shown}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn report_fits_a_phone() {
    let mut record = verdict();
    record.leaks[0].holder = "a_module_with_a_very_long_name.and_a_class_with_a_long_name.attribute".into();
    let Some((browser, _folder)) = show(&line(record), &[], (390, 800)) else { crate::skip!("no Chromium") };
    let wider = "return document.documentElement.scrollWidth - window.innerWidth";
    assert_eq!(browser.run(wider, Value::Null), 0, "nothing sticks out");
}

#[test]
fn report_needs_a_verdict() {
    let none = |text: &str| !text.contains("id=\"report\"") && !text.contains(".finding");
    assert!(none(&page(&logs::objects(), &[]).0) && none(&page(&heap_log(&HEAP, |_| ()), &[]).0));
    let quiet = LeaksRecord { verdict: LeakVerdict::None, leaks: Vec::new(), ..verdict() };
    let (both, _folder) = page(&format!("{}{}", logs::objects(), line(quiet)), &["--no-host"]);
    assert!(
        both.contains("no leak found") && !both.contains("<dt>Host</dt>"),
        "a log of censuses and a verdict"
    );
    // Pictures of other formats show the curves.
    let svg = crate::memplot::svg(&line(verdict()), &[]);
    assert!(svg.contains("RSS of the process") && svg.contains("3 samples"), "{svg}");
}
