//! The tree of holders in a census adds up to the heap, and its holders have the retained sizes that `--retained` shows.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::support::interpreters::{interpreters, script};
use crate::support::log::number;
use crate::support::{Tool, workspace};

/// The record of a census of `tests/targets/heap_tree.py`, for each Python.
fn each_census(mut check: impl FnMut(&str, &Value)) {
    for interpreter in interpreters() {
        let file = workspace::root().join("tests/targets/heap_tree.py");
        let mut process = script(interpreter, &file).start();
        process.wait_line("ready ");
        let pid = process.pid().to_string();
        let tool = Tool::ours("memobj").args(["--retained", "-p", &pid]).limit(Duration::from_secs(120));
        let records = tool.run().expect_code(0).records();
        check(&interpreter.to_string(), &records[0]);
    }
}

fn tree(record: &Value) -> &[Value] {
    record["heap_tree"].as_array().unwrap()
}

/// The names from the heap to each node, with the node.
fn paths(record: &Value) -> BTreeMap<Vec<&str>, &Value> {
    let mut path: Vec<&str> = Vec::new();
    let mut all = BTreeMap::new();
    for node in tree(record) {
        let depth = usize::try_from(number(node, "depth")).unwrap();
        assert!(depth <= path.len(), "no node between: {node} below {path:?}");
        path.truncate(depth);
        path.push(node["name"].as_str().unwrap());
        assert!(all.insert(path.clone(), node).is_none(), "twice: {path:?}");
    }
    all
}

/// What the nodes of a holder have together, those inside another one of the same holder not again.
fn outermost_bytes(record: &Value, holder: &str) -> u64 {
    let (mut sum, mut inside) = (0, None);
    for node in tree(record) {
        let depth = number(node, "depth");
        if inside.is_some_and(|outer| depth <= outer) {
            inside = None;
        }
        if inside.is_none() && node["kind"] == "holder" && node["name"] == holder {
            sum += number(node, "size_bytes");
            inside = Some(depth);
        }
    }
    sum
}

#[test]
fn tree_adds_up_to_the_heap() {
    if interpreters().is_empty() {
        crate::skip!("no Python from 3.8 on");
    }
    each_census(|python, record| {
        let heap = &tree(record)[0];
        assert_eq!((number(heap, "depth"), &heap["kind"]), (0, &"heap".into()), "{python}");
        let total = number(record, "total_size_bytes");
        assert_eq!(number(heap, "size_bytes"), total, "{python}");
        assert_eq!(number(heap, "count"), number(record, "total_objects"), "{python}");
        let paths = paths(record);
        for (path, node) in &paths {
            let below =
                paths.iter().filter(|(other, _)| other.len() == path.len() + 1 && other.starts_with(path));
            for field in ["count", "size_bytes"] {
                let omitted = node["omitted"][field].as_u64().unwrap_or(0);
                let parts: u64 = below.clone().map(|(_, part)| number(part, field)).sum();
                assert!(
                    parts + omitted <= number(node, field),
                    "{python}: {path:?} {field} {parts} {omitted}"
                );
            }
            assert!(number(node, "size_bytes") * 1000 >= total, "{python}: {path:?} is small");
        }
        assert!(paths.len() < 2000, "{python}: {} nodes", paths.len());
    });
}

#[test]
fn holders_have_their_retained_sizes() {
    if interpreters().is_empty() {
        crate::skip!("no Python from 3.8 on");
    }
    each_census(|python, record| {
        // What the record leaves out may be parts of any holder.
        let omitted: u64 =
            tree(record).iter().filter_map(|node| node["omitted"]["size_bytes"].as_u64()).sum();
        let mut compared = 0;
        for holder in record["holders"].as_array().unwrap() {
            let name = holder["holder"].as_str().unwrap();
            let found = outermost_bytes(record, name);
            let retained = number(holder, "retained_bytes");
            if ["__main__.sessions", "__main__.bot.cache", "__main__.chain.after"].contains(&name) {
                assert_eq!(found, retained, "{python}: {name}");
                compared += 1;
            } else if found > 0 {
                assert!(
                    found <= retained && retained - found <= omitted,
                    "{python}: {name} {found} {retained}"
                );
            }
        }
        assert_eq!(compared, 3, "{python}");
    });
}

#[test]
fn entries_are_below_their_container() {
    if interpreters().is_empty() {
        crate::skip!("no Python from 3.8 on");
    }
    each_census(|python, record| {
        let paths = paths(record);
        let node = |path: &[&str]| {
            let mut whole = vec!["Python objects"];
            whole.extend(path);
            *paths.get(&whole).unwrap_or_else(|| panic!("{python}: no {path:?} in {:#?}", paths.keys()))
        };
        let sessions = ["__main__", "__main__.sessions", "dict", "__main__.Session"];
        assert!(number(node(&sessions), "count") >= 5990, "{python}: each session has a text");
        assert!(number(node(&sessions), "size_bytes") > 3_000_000, "{python}");
        let all: Vec<_> = paths.keys().filter(|path| path.contains(&"__main__.Node")).collect();
        assert!(
            all.iter().all(|path| path.len() < 10),
            "{python}: a chain is not as deep as it is long: {all:?}"
        );
        let chain = node(&["__main__", "__main__.chain", "__main__.Node"]);
        assert!(number(chain, "size_bytes") > 1_000_000, "{python}");
        let lost = paths.iter().find(|(path, _)| path.ends_with(&["(garbage)", "__main__.Lost"]));
        assert!(lost.is_some_and(|(_, lost)| number(lost, "count") >= 500), "{python}: {lost:?}");
    });
}

#[test]
fn other_censuses_have_no_tree() {
    let Some(interpreter) = interpreters().first() else { crate::skip!("no Python from 3.8 on") };
    let file = workspace::root().join("tests/targets/heap_tree.py");
    let mut process = script(interpreter, &file).start();
    process.wait_line("ready ");
    let pid = process.pid().to_string();
    let records = Tool::ours("memobj").args(["--holders", "-p", &pid]).run().expect_code(0).records();
    assert_eq!(records[0].get("heap_tree"), None);
}
