//! The code that a verdict names.

use serde_json::Value;

use crate::support::interpreters::{Interpreter, loads};
use crate::support::workspace;

use super::{all_usual, look, only_leak, start, usual, verdict};

#[test]
fn code_that_names_the_holder_is_a_candidate() {
    let Some(interpreter) = usual() else { crate::skip!("no Python on this machine") };
    // A method, a subscript, and a variable of the function itself.
    let source = std::fs::read_to_string(workspace::root().join("tests/targets/leaks/shapes.py")).unwrap();
    let line_of =
        |text: &str| source.lines().position(|line| line.trim() == text).map(|index| index as u64 + 1);
    for (shape, adding) in [
        ("class_attribute", "Subject.made.append(Payload(n))"),
        ("leak_beside_churn", "sessions[n] = Payload(n)"),
        ("in_item", "stores[\"default\"].by_id[n] = Payload(n)"),
        ("local_variable", "accumulated.append(Payload(n))"),
    ] {
        let run = look(&start(interpreter, shape));
        let candidates = only_leak(&run)["candidates"].clone();
        let candidates = candidates.as_array().unwrap();
        let is_named = |line: &Value| {
            line["function"] == shape
                && line["line"].as_u64() == line_of(adding)
                && line["file"].as_str().is_some_and(|file| file.ends_with("shapes.py"))
        };
        assert!(candidates.iter().any(is_named), "{shape}: {run}");
    }
}

#[test]
fn code_that_removes_from_the_holder_is_named() {
    let Some(interpreter) = usual() else { crate::skip!("no Python on this machine") };
    let run = look(&start(interpreter, "leak_beside_churn"));
    let source = std::fs::read_to_string(workspace::root().join("tests/targets/leaks/shapes.py")).unwrap();
    let line =
        source.lines().position(|line| line.trim().starts_with("sessions.pop(n - 1")).unwrap() as u64 + 1;
    let is_it = |remover: &Value| remover["function"] == "leak_beside_churn" && remover["line"] == line;
    assert!(only_leak(&run)["removers"].as_array().unwrap().iter().any(is_it), "{run}");
}

#[test]
fn sleeping_remover_is_named() {
    let Some(interpreter) = usual() else { crate::skip!("no Python on this machine") };
    let source = std::fs::read_to_string(workspace::root().join("tests/targets/leaks/shapes.py")).unwrap();
    for (shape, function, sleep) in [
        ("swept_by_thread", "sweep_rarely", "time.sleep(3600)"),
        ("swept_by_task", "sweep_rarely_in_task", "await asyncio.sleep(3600)"),
    ] {
        let run = look(&start(interpreter, shape)).expect_code(0);
        let record = verdict(&run);
        let [undecided] = record["undecided"].as_array().unwrap().as_slice() else {
            panic!("{shape}: {run}")
        };
        assert_eq!(undecided["holder"], "__main__.kept_until_swept", "{run}");
        let line = source.lines().position(|line| line.trim() == sleep).unwrap() as u64 + 1;
        assert_eq!(undecided["sleeping_remover"]["function"], function, "{run}");
        assert_eq!(undecided["sleeping_remover"]["line"].as_u64(), Some(line), "{run}");
    }
}

#[test]
fn likely_line_of_a_caller_is_corrected() {
    let Some(interpreter) = usual() else { crate::skip!("no Python on this machine") };
    let run = look(&start(interpreter, "odd_cache"));
    let source = std::fs::read_to_string(workspace::root().join("tests/targets/leaks/shapes.py")).unwrap();
    let line = |text: &str| source.lines().position(|line| line.trim() == text).unwrap() as u64 + 1;
    let leak = only_leak(&run);
    let method = if interpreter.hexversion >= 0x030b_0000 { "LeastRecent.put" } else { "put" };
    let at =
        |found: &Value, text: &str| found["function"] == method && found["line"].as_u64() == Some(line(text));
    let candidates = leak["candidates"].as_array().unwrap();
    assert!(matches!(&candidates[..], [one] if at(one, "self.items[n] = Payload(n)")), "{run}");
    let removers = leak["removers"].as_array().unwrap();
    assert!(matches!(&removers[..], [one] if at(one, "self.items.popitem(last=False)")), "{run}");
    let lines = leak["additions"]["lines"].as_array();
    for adding in lines.into_iter().flatten() {
        let first = &adding["frames"][0];
        assert!(at(first, "self.items[n] = Payload(n)"), "{run}");
    }
}

#[test]
fn callers_of_a_library_are_named() {
    let Some(interpreter) = usual() else { crate::skip!("no Python on this machine") };
    let run = look(&start(interpreter, "queued"));
    let source = std::fs::read_to_string(workspace::root().join("tests/targets/leaks/shapes.py")).unwrap();
    let line = source.lines().position(|line| line.trim() == "jobs.put(Payload(n))").unwrap() as u64 + 1;
    let leak = only_leak(&run);
    let is_it = |caller: &Value| caller["function"] == "queued" && caller["line"].as_u64() == Some(line);
    assert!(leak["callers"].as_array().unwrap().iter().any(is_it), "{run}");
    let candidates = leak["candidates"].as_array().unwrap();
    let is_of_queue = |line: &Value| line["file"].as_str().is_some_and(|file| file.ends_with("/queue.py"));
    assert!(!candidates.is_empty() && candidates.iter().all(is_of_queue), "{run}");
}

#[test]
fn what_is_made_anew_is_named_with_its_line() {
    let Some(interpreter) = usual() else { crate::skip!("no Python on this machine") };
    let source = std::fs::read_to_string(workspace::root().join("tests/targets/leaks/shapes.py")).unwrap();
    for (shape, start_of_line) in
        [("tables_made_anew", "tables.by_name = {"), ("frame_made_anew", "tables.frame = Frame(tables")]
    {
        let line = source.lines().position(|line| line.trim().starts_with(start_of_line)).unwrap() as u64 + 1;
        let run = look(&start(interpreter, shape));
        let leak = only_leak(&run);
        assert_eq!(leak["is_made_anew"], true, "{run}");
        let candidates = leak["candidates"].as_array().unwrap();
        assert!(
            matches!(&candidates[..], [one] if one["function"] == shape && one["line"].as_u64() == Some(line)),
            "{run}"
        );
        // Nothing adds to it.
        assert!(leak["additions"].is_null(), "{run}");
    }
    let run = look(&start(interpreter, "observers"));
    assert_eq!(only_leak(&run)["is_made_anew"], false, "{run}");
}

#[test]
fn made_dicts_belong_to_their_objects() {
    let Some(interpreter) = usual() else { crate::skip!("no Python on this machine") };
    let run = look(&start(interpreter, "attributes_as_dict"));
    let record = verdict(&run);
    let leaks = record["leaks"].as_array().unwrap();
    assert!(leaks.iter().all(|leak| leak["holder"] == "__main__.records"), "{run}");
}

#[test]
fn timers_name_their_function() {
    let with_asyncio = |interpreter: &&Interpreter| loads(interpreter, "asyncio");
    let Some(interpreter) = all_usual().rfind(with_asyncio) else {
        crate::skip!("no Python with asyncio on this machine");
    };
    let run = look(&start(interpreter, "timers")).expect_code(1);
    let leak = &verdict(&run)["leaks"][0];
    assert_eq!(
        (&leak["type"], &leak["function"]),
        (&"asyncio.events.TimerHandle".into(), &"__main__.remind".into()),
        "{run}"
    );
    let source = std::fs::read_to_string(workspace::root().join("tests/targets/leaks/shapes.py")).unwrap();
    let line = source.lines().position(|line| line == "def remind(n):").unwrap() as u64 + 1;
    assert_eq!(
        (&leak["entry_code"]["function"], &leak["entry_code"]["line"]),
        (&"remind".into(), &line.into()),
        "{run}"
    );
}
