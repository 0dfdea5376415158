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
}
