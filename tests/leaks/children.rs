//! Processes below the one that the user names are searched, too.

use serde_json::Value;

use crate::support::interpreters::script;
use crate::support::log::number;
use crate::support::{Background, Run, Tool, workspace};

use super::{LIMIT, usual};

/// Long enough for the censuses of all on a busy machine.
const LOOK: [&str; 5] = ["--leaks", "--for", "24s", "-i", "8"];

fn start(what: &str) -> Option<Background> {
    let file = workspace::root().join("tests/targets/leaks/children.py");
    let mut target = script(usual()?, &file).arg(what).start();
    target.wait_line("ready ");
    Some(target)
}

/// The verdicts of a run on the master and on its workers.
fn verdicts(run: &Run, master: u32) -> (Value, Vec<Value>) {
    let (own, below): (Vec<Value>, Vec<Value>) =
        run.records().into_iter().partition(|record| number(record, "pid") == u64::from(master));
    assert!(own.len() == 1 && own[0]["verdict"] == "none", "{run}");
    assert!(below.iter().all(|record| record["root_pid"] == master), "{run}");
    (own.into_iter().next().unwrap(), below)
}

#[test]
fn leaking_workers_are_found() {
    let Some(target) = start("leak") else { crate::skip!("no Python on this machine") };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leaks");
    let pid = target.pid().to_string();
    let memobj = Tool::ours("memobj").args(LOOK).args(["-p", &pid, "-o"]).arg(&file);
    memobj.limit(LIMIT).run().expect_code(1);
    let text = std::fs::read_to_string(&file).unwrap();
    let records = std::fs::read_to_string(folder.path().join("leaks.jsonl")).unwrap();
    let records: Vec<Value> = records.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let leaks = records.iter().filter(|record| record["verdict"] == "leak");
    let holders: Vec<&Value> = leaks.map(|record| &record["leaks"][0]["holder"]).collect();
    assert_eq!(holders, ["__main__.seen"; 2], "{records:?}");
    assert_eq!(records.len(), 3, "{records:?}");
    assert!(text.starts_with("LEAK  __main__.seen grows by "), "{text}");
    let parts = ["LEAK  the same as in pid ", "no leak found  in 1 process\n"];
    assert!(parts.iter().all(|part| text.matches(part).count() == 1), "{text}");
}

#[test]
fn quiet_workers_are_searched() {
    let Some(target) = start("rest") else { crate::skip!("no Python on this machine") };
    let run = Tool::ours("memobj").args(LOOK).args(["-p", &target.pid().to_string()]).limit(LIMIT).run();
    let (own, below) = verdicts(&run, target.pid());
    assert!(below.len() == 2 && below.iter().all(|record| record["verdict"] == "none"), "{run}");
    assert_eq!((&own["unchecked_children"], &own["brief_children"]), (&0.into(), &0.into()), "{run}");
    run.expect_code(0);
}

#[test]
fn brief_workers_are_only_counted() {
    let Some(target) = start("brief") else { crate::skip!("no Python on this machine") };
    let run = Tool::ours("memobj").args(LOOK).args(["-p", &target.pid().to_string()]).limit(LIMIT).run();
    let (own, below) = verdicts(&run, target.pid());
    assert!(below.is_empty() && number(&own, "brief_children") > 0, "{run}");
    run.expect_code(0);
}
