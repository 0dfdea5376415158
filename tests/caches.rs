//! The caches of a program, by memobj's account, are what the program itself says of them.

mod libraries;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::support::interpreters::{Interpreter, interpreters, script};
use crate::support::log::number;
use crate::support::{Background, Run, Tool, workspace};

/// Of a free-threaded build so much of a cache may be held by what its program cannot see: memory that was given back and not used
/// again still has the addresses of objects in it. A part in a hundred.
const UNSEEN: u64 = 100;

/// What is wrong with the caches of `tests/targets/caches.py`; of all others nothing is.
const WARNINGS: &[(&str, &[&str])] = &[
    ("_session_cache", &["no_limit"]),
    ("memo", &["large_entry"]),
    ("bounded", &["low_hits", "above_90"]),
    ("nothing", &["low_hits"]),
    ("Service.lookup", &["above_90"]),
    ("rows_cache", &["above_90"]),
];

/// A running target and the truth about its caches, by name.
struct Target {
    process: Background,
    truth: Map<String, Value>,
}

impl Target {
    fn start(tool: Tool) -> Self {
        let mut process = tool.start();
        process.wait_line("ready ");
        let text = process.out();
        let truth = text.lines().find(|line| line.starts_with('{')).unwrap();
        let Value::Object(truth) = serde_json::from_str(truth).unwrap() else { panic!("{truth}") };
        Self { process, truth }
    }

    fn of(interpreter: &Interpreter) -> Self {
        Self::start(script(interpreter, &workspace::root().join("tests/targets/caches.py")))
    }

    fn memobj(&self, args: &[&str]) -> Run {
        let pid = self.process.pid().to_string();
        let tool = Tool::ours("memobj").args(["--caches", "-p", &pid]).args(args);
        tool.limit(Duration::from_secs(120)).run().expect_code(0)
    }
}

/// The caches of a census, by name.
#[track_caller]
fn caches(record: &Value) -> BTreeMap<&str, &Value> {
    let rows = record["caches"].as_array().unwrap_or_else(|| panic!("no caches: {record}"));
    let by_name: BTreeMap<_, _> = rows.iter().map(|row| (row["name"].as_str().unwrap(), row)).collect();
    assert_eq!(by_name.len(), rows.len(), "a name comes twice: {record}");
    by_name
}

/// What of the truth is not in these rows; a line each. `unseen`: whether more may be shared than the program sees.
fn differences(truth: &Map<String, Value>, rows: &BTreeMap<&str, &Value>, unseen: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, expected) in truth {
        let Some(row) = rows.get(name.as_str()) else {
            wrong.push(format!("{name} was not found"));
            continue;
        };
        for (field, value) in expected.as_object().unwrap() {
            let found = &row[field];
            let is_close = || {
                let (found, least) = (found.as_u64().unwrap_or(0), value.as_u64().unwrap_or(0));
                (least..=least + number(row, "size_bytes") / UNSEEN).contains(&found)
            };
            if found != value && !(unseen && field == "shared_bytes" && is_close()) {
                wrong.push(format!("{name}: {field} is {found}, in truth {value}"));
            }
        }
        let (size, shared) = (row["size_bytes"].as_u64(), row["shared_bytes"].as_u64());
        if size.is_none() || shared > size {
            wrong.push(format!("{name}: of {size:?} bytes {shared:?} are shared"));
        }
    }
    wrong
}

#[test]
fn caches_match_program() {
    if interpreters().is_empty() {
        crate::skip!("no Python from 3.8 on");
    }
    for interpreter in interpreters() {
        let target = Target::of(interpreter);
        assert!(target.truth.len() >= 24, "{interpreter}: {:?}", target.truth);
        let record = target.memobj(&[]).records().remove(0);
        let rows = caches(&record);
        let mut wrong = differences(&target.truth, &rows, interpreter.free_threaded);
        for (name, row) in &rows {
            let is_own = row["stdlib"] == false;
            if is_own != target.truth.contains_key(*name) {
                wrong.push(format!("{name} is one of the program: {is_own}"));
            }
            let warnings = WARNINGS.iter().find(|(known, _)| *name == format!("__main__.{known}"));
            let expected = warnings.map_or(&[][..], |(_, warnings)| warnings);
            if row["warnings"] != serde_json::json!(expected) {
                wrong.push(format!("{name}: {} is wrong with it, not {expected:?}", row["warnings"]));
            }
        }
        // No object is counted twice, and none that others hold.
        let own: u64 = rows.values().map(|row| number(row, "size_bytes") - number(row, "shared_bytes")).sum();
        let most = number(&record, "total_size_bytes");
        let is_within = rows.values().all(|row| number(row, "size_bytes") <= most);
        assert!(own <= most && is_within, "{interpreter}: {own} bytes of {most} in caches: {record}");
        assert!(wrong.is_empty(), "{interpreter}:\n{}", wrong.join("\n"));
    }
}

/// An interpreter for what is the same with all of them.
fn newest() -> Option<&'static Interpreter> {
    interpreters().iter().rfind(|interpreter| !interpreter.free_threaded && !interpreter.debug)
}

#[test]
fn snapshot_has_same_caches() {
    let Some(interpreter) = newest() else { crate::skip!("no Python from 3.8 on") };
    let target = Target::of(interpreter);
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("snapshot");
    let live = target.memobj(&["--save-snapshot", saved.to_str().unwrap()]).records().remove(0);
    let later = Tool::ours("memobj").args(["--caches", "--snapshot"]).arg(&saved).run().expect_code(0);
    let later = later.records().remove(0);
    let mut live =
        caches(&live).into_iter().map(|(name, row)| (name, row.clone())).collect::<BTreeMap<_, _>>();
    // The monotonic clock of then is nobody's now; and by such a time alone no cache is told.
    let by_clock: Vec<&str> =
        live.iter().filter(|(_, row)| row["clock"] == "monotonic").map(|(&name, _)| name).collect();
    assert_eq!(by_clock, ["__main__.leases"]);
    live.remove("__main__.leases");
    let later = caches(&later);
    assert_eq!(later.keys().collect::<Vec<_>>(), live.keys().collect::<Vec<_>>());
    for (name, row) in &live {
        assert_eq!(later[name], row, "{name}");
    }
}

#[test]
fn core_file_has_same_caches() {
    let Some(interpreter) = newest() else { crate::skip!("no Python from 3.8 on") };
    let target = Target::of(interpreter);
    let folder = tempfile::tempdir().unwrap();
    let core = crate::or_skip!(crate::held::core(target.process.pid(), folder.path()), "no core by gcore: ");
    let run = Tool::ours("memobj").args(["--caches", "--core"]).arg(core).run().expect_code(0);
    let record = run.records().remove(0);
    let rows = caches(&record);
    let mut truth = target.truth.clone();
    // When it was made no core file says: no time in it is known to be one.
    truth.retain(|_, expected| expected.get("clock").is_none());
    let wrong = differences(&truth, &rows, false);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn cache_growth_comes_first() {
    let Some(interpreter) = newest() else { crate::skip!("no Python from 3.8 on") };
    let mut target = Target::of(interpreter);
    let pid = target.process.pid().to_string();
    let args = ["--caches", "--format", "text", "-i", "2", "--count", "2", "-p", &pid];
    let mut memobj = Tool::ours("memobj").args(args).limit(Duration::from_secs(120)).start();
    memobj.wait_line("  copied without a pause");
    target.process.write("grow\n");
    target.process.wait_line("grown");
    let run = memobj.finish(Duration::from_secs(120)).expect_code(0);
    let text = run.out();
    let (first, second) = text.split_once("\n#2 ").unwrap_or_else(|| panic!("{run}"));
    assert!(!first.contains("CHANGE"), "{run}");
    let row = second
        .lines()
        .find(|line| line.split_whitespace().any(|word| word == "__main__.growing_cache"))
        .unwrap_or_else(|| panic!("{run}"));
    let words: Vec<&str> = row.split_whitespace().collect();
    assert_eq!((words[0], words[1]), ("100", "+100,"), "{row}");
    // Each warning is a line of its own, before the table; there the same are the first.
    let warnings: Vec<&str> = second.lines().filter_map(|line| line.strip_prefix("  ! ")).collect();
    assert!(warnings[0].starts_with("__main__._session_cache has no limit, 1,200 entries"), "{warnings:#?}");
    let table = second.lines().skip_while(|line| !line.contains("ENTRIES")).nth(1).unwrap();
    assert!(table.contains(" __main__._session_cache "), "{run}");
    assert!(second.lines().count() < 40, "more than a screen: {run}");
    assert!(second.contains("of Python itself") && !second.contains("garbage collector"), "{run}");
}

#[test]
fn large_entries_are_counted() {
    let Some(interpreter) = newest() else { crate::skip!("no Python from 3.8 on") };
    let target = Target::of(interpreter);
    for (size, count) in [("1M", 0), ("500K", 1), ("0", 51)] {
        let record = target.memobj(&["--max-item", size]).records().remove(0);
        assert_eq!(number(caches(&record)["__main__.memo"], "large_entries"), count, "{size}");
    }
}

#[test]
fn no_caches_without_option() {
    let Some(interpreter) = newest() else { crate::skip!("no Python from 3.8 on") };
    let target = Target::of(interpreter);
    let pid = target.process.pid().to_string();
    let run = Tool::ours("memobj").args(["-p", &pid]).run().expect_code(0);
    assert_eq!(run.records()[0]["caches"], Value::Null);
}
