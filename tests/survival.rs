//! A log of censuses shows which new objects stayed, after the process is gone.

use std::time::Duration;

use common::record::{DiffRecord, Record, Verdict};

use crate::support::interpreters::{interpreters, script};
use crate::support::{Tool, workspace};

#[test]
fn log_shows_which_new_objects_stay() {
    let Some(interpreter) = interpreters().last() else { crate::skip!("no Python from 3.8 on") };
    let mut process = script(interpreter, &workspace::root().join("tests/targets/stay_or_go.py")).start();
    process.wait_line("ready");
    let pid = process.pid().to_string();
    let taken = Tool::ours("memobj")
        .args(["-p", &pid, "--holders", "-i", "0.15", "--count", "30"])
        .limit(Duration::from_secs(120))
        .run()
        .expect_code(0);
    drop(process);
    let judged = Tool::ours("memdiff").args(["--trend", "--format", "jsonl"]).stdin(taken.out()).run();
    let found = Record::parse(judged.out().trim_end().as_bytes()).unwrap();
    let Record::Diff(found) = found else { panic!("{found:?}") };
    let DiffRecord { verdicts, .. } = *found;
    let of = |kind: &str, name: &str| -> &Verdict {
        verdicts.iter().find(|verdict| (verdict.kind, &*verdict.name) == (kind.into(), name)).unwrap()
    };
    for (kind, name) in [("type", "__main__.Stays"), ("holder", "__main__.kept")] {
        let verdict = of(kind, name);
        let (seen, kept) = (verdict.new_objects.unwrap(), verdict.new_objects_survived.unwrap());
        // An object that was just being created may have a wrong mark, and seem to go.
        assert!(seen >= 8 && kept + 1 >= seen, "{name}: {kept} of {seen} stayed");
    }
    let goes = of("type", "__main__.Goes");
    let (seen, kept) = (goes.new_objects.unwrap(), goes.new_objects_survived.unwrap());
    assert!(seen >= 16 && kept * 2 < seen, "{kept} of {seen} stayed that had to go within a second");
}
