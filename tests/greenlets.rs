//! Objects that suspended greenlets hold are counted and named like those of generators. A verdict on leaking greenlets names the line where
//! they wait.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::support::log::number;
use crate::support::python::with;
use crate::support::{Background, Run, Tool, workspace};

/// What is installed, each with its version.
const GREENLET: &[&str] = &["greenlet==3.2.4"];
const GEVENT: &[&str] = &["greenlet==3.2.4", "gevent==25.5.1"];
/// A machine that is busy delays everything.
const LIMIT: Duration = Duration::from_secs(180);

/// An interpreter with `packages`, or why there is none.
fn python(packages: &[&str], check: &str) -> Result<PathBuf, String> {
    with(packages, check).map_err(|reason| format!("no environment with {}: {reason}", packages.join(", ")))
}

/// A running `tests/targets/greenlets.py`.
struct Target {
    process: Background,
}

impl Target {
    fn start(python: PathBuf, kind: &str) -> Self {
        let file = workspace::root().join("tests/targets/greenlets.py");
        let mut process = Tool::new(python).args(["-I", "-B"]).arg(file).arg(kind).limit(LIMIT).start();
        process.wait_line("ready ");
        Self { process }
    }

    /// The suspended code that memobj is to name.
    fn expected(&self) -> Vec<String> {
        self.process.out().lines().filter_map(|line| Some(line.strip_prefix("as ")?.to_owned())).collect()
    }

    /// Numbers and bytes of the objects that its variables have, by type, as the program itself counts them.
    fn truth(&self) -> BTreeMap<String, (u64, u64)> {
        let out = self.process.out();
        serde_json::from_str(out.lines().find(|line| line.starts_with('{')).unwrap()).unwrap()
    }

    fn memobj(&self, args: &[&str]) -> Run {
        let pid = self.process.pid().to_string();
        Tool::ours("memobj").args(["-p", &pid]).args(args).limit(LIMIT).run()
    }

    fn leaks(&self) -> Run {
        self.memobj(&["--leaks", "--for", "3s", "-i", "0.5"])
    }
}

/// The rows of a list, by the field that names them.
fn rows<'r>(record: &'r Value, list: &str, name: &str) -> BTreeMap<&'r str, &'r Value> {
    record[list].as_array().unwrap().iter().map(|row| (row[name].as_str().unwrap(), row)).collect()
}

#[test]
fn variables_are_counted_as_those_of_generators() {
    let python = crate::or_skip!(python(GREENLET, "import greenlet"));
    for kind in ["generator", "greenlet"] {
        let target = Target::start(python.clone(), kind);
        let run = target.memobj(&["--holders", "--limit", "10000"]).expect_code(0);
        let record = run.records().remove(0);
        let types = rows(&record, "types", "type");
        let truth = target.truth();
        assert_eq!(truth.len(), 3, "{truth:?}");
        for (name, (count, bytes)) in truth {
            let found = types.get(name.as_str()).map(|row| (number(row, "count"), number(row, "size_bytes")));
            assert_eq!(found, Some((count, bytes)), "{kind}: {name}: {run}");
        }
        let (owners, holders) = (rows(&record, "owners", "owner"), rows(&record, "holders", "holder"));
        for name in target.expected() {
            assert!(owners.contains_key(&*name), "{name} is not among {:?}", owners.keys());
        }
        // 40 of them are in a list of a module; one is held by its own variables alone.
        assert!(number(holders["__main__.waiting"], "size_bytes") > 40 * 100_000, "{kind}: {holders:?}");
        if kind == "greenlet" {
            assert_eq!(number(holders["__main__.alone() local hoard"], "count"), 1001, "{holders:?}");
        }
        assert_eq!(record["coverage"]["unread_frames_of"], serde_json::json!([]), "{kind}");
    }
}

/// Checks what is said of greenlets that are forgotten.
#[track_caller]
fn assert_forgotten(target: &Target, function: &str) {
    let run = target.leaks();
    let record = run.records().into_iter().find(|record| record["type"] == "leaks").unwrap();
    assert_eq!(record["verdict"], "leak", "{run}");
    let census = target.memobj(&["--memory"]).expect_code(0).records().remove(0);
    let coverage = &census["coverage"];
    assert!(coverage["malloc_ratio"].as_f64().is_some_and(|ratio| ratio > 0.9), "{coverage}");
    let leak = &record["leaks"][0];
    assert_eq!(leak["holder"], "suspended greenlets", "{run}");
    assert_eq!(leak["function"], function, "{run}");
    let waiting = target.expected();
    assert_eq!(leak["waiting"].as_str(), waiting.first().map(String::as_str), "{run}");
    let text = run.err();
    assert!(!text.contains("Py_DECREF") && !text.contains("native code"), "{run}");
}

#[test]
fn forgotten_greenlets_have_their_line() {
    let python = crate::or_skip!(python(GREENLET, "import greenlet"));
    assert_forgotten(&Target::start(python, "leak"), "__main__.forgotten");
}

#[test]
fn forgotten_greenlets_of_gevent_have_their_line() {
    let python = crate::or_skip!(python(GEVENT, "import gevent"));
    assert_forgotten(&Target::start(python, "gevent"), "__main__.forgotten_by_gevent");
}

#[test]
fn unknown_greenlets_are_said_to_be_missing() {
    let python = crate::or_skip!(python(GREENLET, "import greenlet, ctypes"));
    let target = Target::start(python, "strange");
    let unread = serde_json::json!(["greenlet.greenlet"]);
    let run = target.leaks();
    let record = run.records().into_iter().find(|record| record["type"] == "leaks").unwrap();
    assert_eq!((&record["verdict"], &record["unread_frames_of"]), (&"leak".into(), &unread), "{run}");
    let record = target.memobj(&["--memory"]).expect_code(0).records().remove(0);
    let coverage = &record["coverage"];
    assert_eq!(coverage["unread_frames_of"], unread);
    // By now most of malloc's memory is in those frames. Until 3.10 a frame object has the frame below it.
    let version = record["python"]["version"].as_str().unwrap();
    let minor: u32 = version.split('.').nth(1).unwrap().parse().unwrap();
    let ratio = coverage["malloc_ratio"].as_f64().unwrap();
    assert_eq!(ratio < 0.5, minor >= 11, "{coverage}");
    let pid = target.process.pid().to_string();
    let text =
        Tool::ours("memobj").args(["--leaks", "-p", &pid, "--for", "3s", "-i", "0.5", "--format", "text"]);
    let text = text.limit(LIMIT).run();
    for wrong in ["Py_DECREF", "native code", "C code allocates"] {
        assert!(!text.out().contains(wrong) && !text.err().contains(wrong), "{wrong}: {text}");
    }
}
