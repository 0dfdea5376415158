//! Exports for other tools: they are well-formed, have the numbers of the census, the names of the program and none of its values.

mod profiles;
mod programs;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::held::core;
use crate::support::interpreters::{Interpreter, interpreters, script};
use crate::support::log::number;
use crate::support::python::known;
use crate::support::{Background, PATIENCE, Tool, bin, wait_until, workspace};

/// The endings of all formats.
const ENDINGS: [&str; 4] = [".heapsnapshot", ".pb.gz", ".speedscope.json", ".csv"];

/// A running `tests/targets/exported.py`.
fn start(interpreter: &Interpreter) -> Background {
    let mut process = script(interpreter, &workspace::root().join("tests/targets/exported.py")).start();
    process.wait_line("ready ");
    process
}

/// Exports to `file`, and returns the census of the same run.
#[track_caller]
fn export(file: &Path, args: &[&str]) -> Value {
    let tool = Tool::ours("memobj").args(args).arg("--export").arg(file).limit(Duration::from_secs(120));
    tool.run().expect_code(0).records().remove(0)
}

/// The objects and bytes of each type of a census, without the suffix of lower bounds.
fn census_types(record: &Value) -> BTreeMap<String, (u64, u64)> {
    let rows = record["types"].as_array().unwrap().iter();
    rows.map(|row| {
        (row["type"].as_str().unwrap().to_owned(), (number(row, "count"), number(row, "size_bytes")))
    })
    .collect()
}

/// A heap snapshot of V8.
struct HeapSnapshot {
    nodes: Vec<[u64; 7]>,
    edges: Vec<[u64; 3]>,
    strings: Vec<String>,
    /// The first edge of each node.
    first: Vec<usize>,
}

const OBJECT: u64 = 3;
const SYNTHETIC: u64 = 9;
const PROPERTY: u64 = 2;
const WEAK: u64 = 6;

impl HeapSnapshot {
    /// Reads it, and checks all numbers of it against each other.
    #[track_caller]
    fn read(file: &Path) -> Self {
        let json: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        let numbers = |name: &str| -> Vec<u64> {
            json[name].as_array().unwrap().iter().map(|value| value.as_u64().unwrap()).collect()
        };
        let meta = &json["snapshot"]["meta"];
        for (kind, fields) in [("node", 7), ("edge", 3)] {
            assert_eq!(meta[format!("{kind}_fields")].as_array().unwrap().len(), fields);
            assert_eq!(meta[format!("{kind}_types")].as_array().unwrap().len(), fields);
        }
        let strings = json["strings"].as_array().unwrap().iter().map(|s| s.as_str().unwrap().to_owned());
        let (nodes, edges) = (numbers("nodes"), numbers("edges"));
        let (nodes, rest) = nodes.as_chunks();
        assert!(rest.is_empty());
        let (edges, rest) = edges.as_chunks();
        assert!(rest.is_empty());
        assert_eq!(nodes.len() as u64, number(&json["snapshot"], "node_count"));
        assert_eq!(edges.len() as u64, number(&json["snapshot"], "edge_count"));
        let mut first = vec![0];
        first.extend(nodes.iter().scan(0, |sum, node| {
            *sum += usize::try_from(node[4]).unwrap();
            Some(*sum)
        }));
        assert_eq!(first.last(), Some(&edges.len()), "the edges of all nodes");
        let snapshot =
            Self { nodes: nodes.to_vec(), edges: edges.to_vec(), strings: strings.collect(), first };
        for [kind, name, id, size, ..] in &snapshot.nodes {
            assert!([OBJECT, SYNTHETIC].contains(kind) && (*name as usize) < snapshot.strings.len());
            assert!(*id > 0 && *id < 1 << 32 && *size < 1 << 32);
        }
        let ids: BTreeSet<u64> = snapshot.nodes.iter().map(|node| node[2]).collect();
        assert_eq!(ids.len(), snapshot.nodes.len(), "ids are unique");
        for [kind, name, to] in &snapshot.edges {
            assert!([0, 1, 2, 3, WEAK].contains(kind) && to % 7 == 0 && to / 7 < snapshot.nodes.len() as u64);
            assert!(*kind == 1 || (*name as usize) < snapshot.strings.len());
        }
        snapshot
    }

    fn name(&self, node: usize) -> &str {
        &self.strings[self.nodes[node][1] as usize]
    }

    /// The edges of a node: type, name, and target.
    fn edges(&self, node: usize) -> impl Iterator<Item = (u64, u64, usize)> {
        let row = &self.edges[self.first[node]..self.first[node + 1]];
        row.iter().map(|&[kind, name, to]| (kind, name, (to / 7) as usize))
    }

    /// The target of the edge with a name.
    fn follow(&self, node: usize, name: &str) -> Option<usize> {
        let mut edges = self.edges(node);
        edges.find(|&(kind, text, _)| kind != 1 && self.strings[text as usize] == name).map(|(_, _, to)| to)
    }

    fn types(&self) -> BTreeMap<&str, (u64, u64)> {
        let mut types: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (node, _) in self.nodes.iter().enumerate().filter(|(_, fields)| fields[0] == OBJECT) {
            let sum = types.entry(self.name(node)).or_default();
            *sum = (sum.0 + 1, sum.1 + self.nodes[node][3]);
        }
        types
    }

    fn ids(&self, name: &str) -> BTreeSet<u64> {
        (0..self.nodes.len())
            .filter(|&node| self.name(node) == name)
            .map(|node| self.nodes[node][2])
            .collect()
    }
}

#[test]
fn heap_snapshot_has_the_census() {
    if interpreters().is_empty() {
        crate::skip!("no Python from 3.8 on");
    }
    for interpreter in interpreters() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.heapsnapshot");
        let process = start(interpreter);
        let record = export(&file, &["-p", &process.pid().to_string()]);
        let snapshot = &HeapSnapshot::read(&file);
        let types = snapshot.types();
        let census = census_types(&record);
        assert!(census.len() > 20, "{interpreter}: {record}");
        for (name, sums) in census {
            assert_eq!(types.get(&*name), Some(&sums), "{interpreter}: {name}");
        }
        let sums = types.values().fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
        let total = (number(&record, "total_objects"), number(&record, "total_size_bytes"));
        assert_eq!(sums, total, "{interpreter}");

        let step = |node: usize, name: &str| {
            let found = snapshot.follow(node, name);
            found.unwrap_or_else(|| panic!("{interpreter}: {} has no {name}", snapshot.name(node)))
        };
        let modules = (0..snapshot.nodes.len()).find(|&node| snapshot.name(node) == "sys.modules").unwrap();
        let main = step(step(modules, "__main__"), "__dict__");
        let sessions = step(main, "sessions");
        let entries = snapshot
            .edges(sessions)
            .filter(|&(kind, _, to)| kind == 1 && snapshot.name(to) == "__main__.Session");
        let numbers: BTreeSet<u64> = entries.map(|(_, index, _)| index).collect();
        assert_eq!(numbers, (0..2000).collect(), "{interpreter}");
        let last = step(main, "last");
        assert_eq!(snapshot.name(step(last, "visible_slot")), "str", "{interpreter}");
        assert_eq!(snapshot.name(step(last, "after")), "__main__.Session", "{interpreter}");
        let class = step(last, "__class__");
        assert_eq!(snapshot.name(class), "type", "{interpreter}");
        let bot = step(main, "bot");
        let attribute = snapshot.follow(bot, "visible_attribute");
        let attribute = attribute.or_else(|| snapshot.follow(step(bot, "__dict__"), "visible_attribute"));
        assert_eq!(attribute.map(|node| snapshot.name(node)), Some("dict"), "{interpreter}");
        let class = step(step(main, "Bot"), "__dict__");
        assert_eq!(snapshot.name(step(class, "visible_class_attribute")), "list", "{interpreter}");
        let is_local =
            |edge: &&[u64; 3]| edge[0] == 0 && snapshot.strings[edge[1] as usize] == "visible_local";
        let local = snapshot.edges.iter().find(is_local).map(|edge| snapshot.name((edge[2] / 7) as usize));
        assert_eq!(local, Some("dict"), "{interpreter}: a local variable");
        let named =
            |name: &'static str| (0..snapshot.nodes.len()).filter(move |&node| snapshot.name(node) == name);
        let unreachable: BTreeSet<usize> =
            named("(unreachable)").flat_map(|node| snapshot.edges(node)).map(|(_, _, to)| to).collect();
        assert_eq!(
            named("__main__.Lost").filter(|node| unreachable.contains(node)).count(),
            3,
            "{interpreter}"
        );
        let small = step(main, "small");
        let to_small: Vec<u64> = (0..snapshot.nodes.len())
            .filter(|&from| from != main)
            .flat_map(|from| snapshot.edges(from))
            .filter(|&(_, _, to)| to == small)
            .map(|(kind, ..)| kind)
            .collect();
        assert_eq!(to_small, [WEAK; 3], "{interpreter}: garbage keeps nothing alive");
        let properties = snapshot.edges.iter().filter(|edge| edge[0] == PROPERTY).count();
        assert!(properties > 1000, "{interpreter}");
    }
}

#[test]
fn exports_have_no_values() {
    if interpreters().is_empty() {
        crate::skip!("no Python from 3.8 on");
    }
    for interpreter in interpreters() {
        let folder = tempfile::tempdir().unwrap();
        let process = start(interpreter);
        let saved = folder.path().join("saved").to_str().unwrap().to_owned();
        let pid = process.pid().to_string();
        Tool::ours("memobj").args(["-p", &pid, "--save-snapshot", &saved]).run().expect_code(0);
        for ending in ENDINGS {
            let file = folder.path().join(format!("a{ending}"));
            export(&file, &["--snapshot", &saved, "--retained"]);
            let bytes = if ending == ".pb.gz" { profiles::unpacked(&file) } else { fs::read(&file).unwrap() };
            let text = String::from_utf8_lossy(&bytes);
            let secret = text.find("hunter2").map(|at| text.get(at..at + 40));
            assert_eq!(secret, None, "{interpreter}: {ending}");
            assert!(text.contains("__main__.Session"), "{interpreter}: {ending}");
            let has_names = text.contains("visible_attribute") && text.contains("visible_local");
            assert!(has_names || ending != ".heapsnapshot", "{interpreter}");
        }
    }
}

#[test]
fn exports_are_the_same_live_and_from_files() {
    let Some(interpreter) = interpreters().last() else { crate::skip!("no Python from 3.8 on") };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let text = |name: &str| path(name).to_str().unwrap().to_owned();
    let process = start(interpreter);
    let pid = process.pid().to_string();
    export(&path("a.heapsnapshot"), &["-p", &pid, "--save-snapshot", &text("saved")]);
    let read = |name: &str| fs::read(path(name)).unwrap();
    for ending in ENDINGS {
        let (live, saved) = (&format!("a{ending}"), &format!("b{ending}"));
        export(&path(live), &["-p", &pid]);
        export(&path(saved), &["--snapshot", &text("saved")]);
        assert!(read(live) == read(saved), "{ending}: the saved snapshot has another export");
    }
    export(&path("later.heapsnapshot"), &["-p", &pid]);
    let (first, later) =
        (HeapSnapshot::read(&path("a.heapsnapshot")), HeapSnapshot::read(&path("later.heapsnapshot")));
    assert_eq!(first.ids("__main__.Session").len(), 2001);
    assert_eq!(first.ids("__main__.Session"), later.ids("__main__.Session"));
    match core(process.pid(), folder.path()) {
        Ok(file) => {
            for ending in ENDINGS {
                let (live, cored) = (&format!("a{ending}"), &format!("c{ending}"));
                export(&path(cored), &["--core", file.to_str().unwrap()]);
                assert!(read(live) == read(cored), "{ending}: the core has another export");
            }
        }
        Err(reason) => crate::skip!("no core by gcore: {reason}"),
    }
}

#[test]
fn export_is_private_and_errors_are_reported() {
    let Some(interpreter) = interpreters().last() else { crate::skip!("no Python from 3.8 on") };
    let folder = tempfile::tempdir().unwrap();
    let process = start(interpreter);
    let pid = process.pid().to_string();
    let file = folder.path().join("a.heapsnapshot");
    export(&file, &["-p", &pid]);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let missing = folder.path().join("none/a.heapsnapshot");
    let run = Tool::ours("memobj").args(["-p", &pid, "--export"]).arg(&missing).run().expect_code(2);
    assert!(run.err().contains("cannot write"), "{run}");
    let run = Tool::ours("memobj").args(["-p", &pid, "--export", "a.unknown"]).run().expect_code(2);
    assert!(ENDINGS.iter().all(|ending| run.err().contains(ending)), "{run}");
    for ending in ENDINGS {
        let name = format!("refused{ending}");
        for args in [&["-p", &pid, "--tree"][..], &["-p", &pid, "-p", "1"], &["-p", &pid, "-i", "1s"]] {
            let run = Tool::ours("memobj").args(args).args(["--export", &name]).dir(folder.path()).run();
            assert!(run.code() == Some(2) && !folder.path().join(&name).exists(), "{args:?}: {run}");
        }
    }
    let full = folder.path().join("full.heapsnapshot");
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    let run = Tool::ours("memobj").args(["-p", &pid, "--export"]).arg(&full).run().expect_code(2);
    assert!(run.err().contains("No space left"), "{run}");
}

#[test]
fn failed_export_leaves_the_earlier_file() {
    let Some(interpreter) = interpreters().last() else { crate::skip!("no Python from 3.8 on") };
    let process = start(interpreter);
    let pid = process.pid().to_string();
    // 64 KiB: the first file of the run that fits.
    let limited = "trap '' XFSZ; ulimit -f 64; exec \"$@\"";
    let export_limited = |file: &Path| {
        let tool = Tool::new("bash").args(["-c", limited, "bash"]).arg(bin("memobj")).args(["-p", &pid]);
        tool.arg("--export").arg(file).limit(Duration::from_secs(120)).run()
    };
    let folder = tempfile::tempdir().unwrap();
    let names = || fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let file = folder.path().join("a.heapsnapshot");
    let run = export_limited(&file).expect_code(2);
    assert!(run.err().contains("File too large"), "{run}");
    assert_eq!(names(), Vec::<std::ffi::OsString>::new());
    fs::write(&file, "earlier").unwrap();
    export_limited(&file).expect_code(2);
    assert_eq!(
        (names(), fs::read_to_string(&file).unwrap()),
        (vec!["a.heapsnapshot".into()], "earlier".into())
    );
    export_limited(&folder.path().join("a.csv")).expect_code(0);
}

#[test]
fn table_has_all_types() {
    if interpreters().is_empty() {
        crate::skip!("no Python from 3.8 on");
    }
    for interpreter in interpreters() {
        let folder = tempfile::tempdir().unwrap();
        let process = start(interpreter);
        let file = folder.path().join("a.csv");
        let pid = process.pid().to_string();
        for args in [&["-p", &pid, "--retained"][..], &["-p", &pid]] {
            let record = export(&file, args);
            let rows: Vec<BTreeMap<String, String>> =
                csv::Reader::from_path(&file).unwrap().deserialize().map(Result::unwrap).collect();
            let cell = |row: &BTreeMap<String, String>, name: &str| row[name].parse::<u64>().unwrap();
            let sum = |name: &str| rows.iter().map(|row| cell(row, name)).sum::<u64>();
            assert_eq!(sum("count"), number(&record, "total_objects"), "{interpreter}");
            assert_eq!(sum("size_bytes"), number(&record, "total_size_bytes"), "{interpreter}");
            assert_eq!(sum("overhead_bytes"), number(&record, "total_overhead_bytes"), "{interpreter}");
            let sizes: Vec<u64> = rows.iter().map(|row| cell(row, "size_bytes")).collect();
            assert!(sizes.is_sorted_by(|a, b| a >= b), "{interpreter}");
            let listed = record["types"].as_array().unwrap();
            assert!(rows.len() > listed.len(), "{interpreter}: small types too");
            for of in listed {
                let row = rows.iter().find(|row| row["type"] == of["type"]).unwrap();
                for name in ["count", "size_bytes", "overhead_bytes"] {
                    assert_eq!(cell(row, name), of[name].as_u64().unwrap_or(0), "{interpreter}: {of}");
                }
                let retained = of["retained_bytes"].as_u64().map_or_else(String::new, |of| of.to_string());
                assert_eq!(row["retained_bytes"], retained, "{interpreter}: {of}");
                assert_eq!(row["size_exact"] == "false", of["size_exact"] == false, "{interpreter}: {of}");
            }
            let session = rows.iter().find(|row| row["type"] == "__main__.Session").unwrap();
            assert_eq!((&*session["module"], &*session["count"]), ("__main__", "2001"), "{interpreter}");
            assert_eq!(session["retained_bytes"].is_empty(), args.len() == 2, "{interpreter}");
        }
    }
}

/// A heap that takes a while to write.
const LARGE: &str = "held = [{'number': [n]} for n in range(400_000)]; print('ready', flush=True); input()";

/// Whether a process has a file of a folder open.
fn has_open(pid: u32, folder: &Path) -> bool {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    open.flatten().any(|link| fs::read_link(link.path()).is_ok_and(|file| file.starts_with(folder)))
}

#[test]
fn interrupted_export_leaves_nothing() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    let mut target = Tool::new(&python.path).args(["-I", "-S", "-c", LARGE]).start();
    target.wait_line("ready");
    let pid = target.pid().to_string();
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.heapsnapshot");
        let export = Tool::ours("memobj").args(["-p", &pid, "--export"]).arg(&file).start();
        wait_until(PATIENCE, "the export to begin", || has_open(export.pid(), folder.path()));
        export.signal(signal);
        let run = export.finish(PATIENCE);
        assert_ne!(run.code(), Some(0), "{run}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{signal:?}: {run}");
    }
}
