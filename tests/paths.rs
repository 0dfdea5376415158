//! Who holds an object, by memobj's account, is where the program itself finds it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde_json::Value;

use crate::support::interpreters::{Interpreter, interpreters, loads, script};
use crate::support::log::number;
use crate::support::{Background, Tool, workspace};

/// How many objects are at each place: `N` in the target.
const OBJECTS: u64 = 40;

/// The places of `tests/targets/holds.py`, as memobj is to name them, and the class of what is there.
const PLACES: &[(&str, &str)] = &[
    ("__main__.sessions", "InDict"),
    ("__main__.queue", "InDeque"),
    ("__main__.ordered", "InOrdered"),
    ("__main__.grouped", "InDefault"),
    ("__main__.unique", "InSet"),
    ("__main__.Plugin.instances", "InClass"),
    ("__main__.Plugin.Inner.kept", "InInner"),
    ("__main__.Plugin.method default kept", "InMethod"),
    ("__main__.app.cache.entries", "InInstance"),
    ("__main__.nested.state.history", "InNamespace"),
    ("__main__.slotted.second", "InSlot"),
    ("__main__.closure closure kept", "InClosure"),
    ("__main__.default default second", "InArgument"),
    ("__main__.default default third", "InKeyword"),
    ("cache of __main__.cached", "InLru"),
    ("__main__.partial.args", "InPartial"),
    ("__main__.generator local kept", "InGenerator"),
    ("__main__.main() local rows", "InFrame"),
    ("__main__.worker() local own", "InThread"),
    ("thread pool-worker: __main__.local.conns", "InThreadLocal"),
];

/// Those of `tests/targets/binds.py`.
const BOUND: &[(&str, &str)] = &[
    ("__main__.partial.args", "InArguments"),
    ("__main__.keyworded.keywords", "InKeywords"),
    ("__main__.proxy", "InProxy"),
    ("__main__.mapped.iters", "InMap"),
    ("__main__.chained.source.sequence", "InChain"),
    ("__main__.jobs.queue", "InQueue"),
    ("__main__.reference.__callback__.args", "InWeakCallback"),
    ("weakref.finalize._registry", "InFinalizer"),
    ("__main__.bound.kept", "InBound"),
    ("__main__.error.args", "InError"),
    ("__main__.error.__traceback__.tb_next frame of __main__.failing() local request", "InTraceback"),
    ("__main__.later.__context__.args", "InContext"),
    ("__main__.Records.records", "InHandler"),
    ("__main__.copied context variable request", "InCopiedContext"),
    ("context variable session", "InThreadsContext"),
    ("__main__.future._callbacks.args", "InCallback"),
    ("__main__.done._result", "InResult"),
    ("__main__.failed._exception.args", "InException"),
];

/// Those of `tests/targets/imports/main.py`: the names in the modules that define them.
const IMPORTED: &[(&str, &str)] = &[
    ("app.settings", "InParent"),
    ("app.models.rows", "InSubmodule"),
    ("app.store.table.table.entries", "InInstance"),
    ("app.store.table.sessions", "InDict"),
    ("app.store.table.Table.made", "InClass"),
    ("app.registry.plugins", "InRegistry"),
    ("logging.root.handlers", "InHandler"),
];

/// Those of `tests/targets/awaits.py`, and how the path to each begins.
const AWAITED: &[(&str, &str, &str)] = &[
    ("__main__.Jar.cookies", "InAttribute", "coroutine __main__.main, waiting at awaits.py:"),
    ("__main__.Bot.jobs._queue", "InQueue", "coroutine __main__.main, waiting at awaits.py:"),
    ("__main__.State.items", "InWeakKeyed", "coroutine __main__.main, waiting at awaits.py:"),
    ("__main__.poller() local seen", "InLocal", "coroutine __main__.poller, waiting at awaits.py:"),
    ("__main__.consumer() local kept", "InWaiting", "coroutine __main__.consumer, waiting at awaits.py:"),
    ("__main__.main() local pending", "InMany", "coroutine __main__.main, waiting at awaits.py:"),
];

/// A running target that holds objects.
struct Holding {
    process: Background,
}

impl Holding {
    fn start(interpreter: &Interpreter, name: &str) -> Self {
        let file = workspace::root().join("tests/targets").join(name);
        let mut process = script(interpreter, &file).start();
        process.wait_line("ready ");
        Self { process }
    }

    /// Its census.
    fn census(&self, args: &[&str]) -> Value {
        let pid = self.process.pid().to_string();
        let tool = Tool::ours("memobj").args(["-p", &pid]).args(args).limit(Duration::from_secs(120));
        let records = tool.run().expect_code(0).records();
        assert_eq!(records.len(), 1);
        records.into_iter().next().unwrap()
    }

    /// How many objects of a class the target finds at a place.
    fn found(&mut self, place: &str, class: &str) -> u64 {
        self.process.write(&format!("{place} {class}\n"));
        self.process.wait_line(&format!("found {place} {class} ")).parse().unwrap()
    }
}

fn rows<'a>(record: &'a Value, list: &str, name: &str) -> BTreeMap<&'a str, &'a Value> {
    let rows = record[list].as_array().unwrap_or_else(|| panic!("no {list}: {record}"));
    rows.iter().map(|row| (row[name].as_str().unwrap(), row)).collect()
}

/// What a list and what it left out have together.
fn sum(record: &Value, list: &str, field: &str) -> u64 {
    let rows = record[list].as_array().unwrap();
    let omitted = &record[format!("{list}_omitted")];
    rows.iter().map(|row| number(row, field)).sum::<u64>() + omitted[field].as_u64().unwrap_or(0)
}

/// The places of a target whose name memobj gives wrong, or where the program itself finds other objects than memobj does.
fn wrong_places(target: &mut Holding, places: &[(&str, &str)]) -> Vec<String> {
    let mut args = vec!["--retained"];
    args.extend(places.iter().flat_map(|&(_, class)| ["--why", class]));
    let record = target.census(&args);
    let holders = rows(&record, "holders", "holder");
    let mut wrong = Vec::new();
    for &(place, class) in places {
        let ways = record["paths"].as_array().unwrap().iter();
        let ways: Vec<&Value> = ways.filter(|way| way["type"] == format!("__main__.{class}")).collect();
        let shown: Vec<&str> = ways.iter().map(|way| way["path"].as_str().unwrap()).collect();
        match holders.get(place) {
            Some(holder) if number(holder, "count") >= OBJECTS && ways.len() == 1 => {
                let (way, retained) = (ways[0], number(holder, "retained_bytes"));
                assert_eq!(number(way, "count"), OBJECTS, "{place}: {shown:?}");
                assert_eq!(number(way, "objects"), OBJECTS, "{place}: {shown:?}");
                assert!(retained >= OBJECTS * 16, "{place} retains {retained} bytes");
            }
            other => wrong.push(format!("{place}: {other:?}, by {shown:?}")),
        }
        let found = target.found(place, class);
        if found != OBJECTS {
            wrong.push(format!("{place}: the program finds {found}"));
        }
    }
    wrong
}

#[test]
fn holders_match_program() {
    if interpreters().is_empty() {
        crate::skip!("no Python from 3.8 on");
    }
    let mut wrong = String::new();
    for interpreter in interpreters() {
        let mut target = Holding::start(interpreter, "holds.py");
        for place in wrong_places(&mut target, PLACES) {
            writeln!(wrong, "{interpreter}: {place}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The interpreters that can load `asyncio`; what has no shared libraries has no sockets.
fn with_asyncio() -> Vec<&'static Interpreter> {
    interpreters().iter().filter(|interpreter| loads(interpreter, "asyncio")).collect()
}

#[test]
fn stdlib_holders_match_program() {
    let all = with_asyncio();
    if all.is_empty() {
        crate::skip!("no Python from 3.8 on that can load asyncio");
    }
    let mut wrong = String::new();
    for interpreter in all {
        let mut target = Holding::start(interpreter, "binds.py");
        for place in wrong_places(&mut target, BOUND) {
            writeln!(wrong, "{interpreter}: {place}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The places whose objects have another holder, or a path that begins otherwise.
fn misnamed(
    record: &Value,
    places: impl Iterator<Item = (&'static str, &'static str, &'static str)>,
) -> String {
    let holders = rows(record, "holders", "holder");
    let mut wrong = String::new();
    for (place, class, begin) in places {
        let paths = record["paths"].as_array().unwrap().iter();
        let paths = paths.filter(|path| path["type"] == format!("__main__.{class}"));
        let paths: Vec<&str> = paths.map(|path| path["path"].as_str().unwrap()).collect();
        let count = holders.get(place).map_or(0, |holder| number(holder, "count"));
        if count < OBJECTS || paths.len() != 1 || !paths[0].starts_with(begin) || paths[0].contains('?') {
            writeln!(wrong, "{place}: {count}, by {paths:?}").unwrap();
        }
    }
    wrong
}

#[test]
fn defining_module_names_the_holder() {
    if interpreters().is_empty() {
        crate::skip!("no Python from 3.8 on");
    }
    let mut wrong = String::new();
    for interpreter in interpreters() {
        let target = Holding::start(interpreter, "imports/main.py");
        let args: Vec<&str> = IMPORTED.iter().flat_map(|&(_, class)| ["--why", class]).collect();
        let record = target.census(&args);
        let of = misnamed(&record, IMPORTED.iter().map(|&(place, class)| (place, class, "module ")));
        if !of.is_empty() {
            writeln!(wrong, "{interpreter}: {of}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn suspended_functions_hold_their_variables() {
    let all = with_asyncio();
    if all.is_empty() {
        crate::skip!("no Python from 3.8 on that can load asyncio");
    }
    let mut wrong = String::new();
    for interpreter in all {
        let target = Holding::start(interpreter, "awaits.py");
        let args: Vec<&str> = AWAITED.iter().flat_map(|&(_, class, _)| ["--why", class]).collect();
        let record = target.census(&args);
        let of = misnamed(&record, AWAITED.iter().copied());
        if !of.is_empty() {
            writeln!(wrong, "{interpreter}: {of}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn suspended_code_has_its_line() {
    let all = with_asyncio();
    if all.is_empty() {
        crate::skip!("no Python from 3.8 on that can load asyncio");
    }
    for interpreter in all {
        let file = workspace::root().join("tests/targets/suspends.py");
        let mut process = script(interpreter, &file).start();
        process.wait_line("ready ");
        let out = process.out();
        let expected: Vec<&str> = out.lines().filter_map(|line| line.strip_prefix("as ")).collect();
        assert_eq!(expected.len(), 9, "{interpreter}: {expected:?}");
        let record = Holding { process }.census(&["--holders"]);
        let owners = rows(&record, "owners", "owner");
        for name in expected {
            assert!(owners.contains_key(name), "{interpreter}: {name} is not among {:?}", owners.keys());
        }
    }
}

#[test]
fn each_object_has_one_holder() {
    if interpreters().is_empty() {
        crate::skip!("no Python from 3.8 on");
    }
    for interpreter in interpreters() {
        let target = Holding::start(interpreter, "holds.py");
        let record = target.census(&["--holders"]);
        for list in ["holders", "owners", "owner_modules"] {
            for (field, total) in [("count", "total_objects"), ("size_bytes", "total_size_bytes")] {
                assert_eq!(
                    sum(&record, list, field),
                    number(&record, total),
                    "{}: {field} of all {list}",
                    interpreter.program.display()
                );
            }
        }
        // Whatever class they are of: the program made them, and so owns them.
        let owners = rows(&record, "owners", "owner");
        for &(_, class) in PLACES {
            let owner = owners.get(format!("__main__.{class}").as_str());
            let count = owner.map_or(0, |owner| number(owner, "count"));
            assert!(count >= OBJECTS, "{}: {class} owns {count}", interpreter.program.display());
        }
    }
}

#[test]
fn missing_type_is_an_error_with_near_names() {
    let Some(interpreter) = interpreters().first() else { crate::skip!("no Python from 3.8 on") };
    let target = Holding::start(interpreter, "holds.py");
    let pid = target.process.pid().to_string();
    let why = |names: &[&str]| {
        let names = names.iter().flat_map(|name| ["--why", name]);
        Tool::ours("memobj").args(["-p", &pid]).args(names).limit(Duration::from_secs(120)).run()
    };
    let run = why(&["nod", "Nothing.Like.This.Anywhere"]).expect_code(2);
    let err = run.err();
    assert!(err.contains("no objects of a type named 'nod'; near: __main__.Node"), "{run}");
    assert!(err.contains("no objects of a type named 'Nothing.Like.This.Anywhere'"), "{run}");
    assert_eq!(run.records().len(), 1, "the census is written: {run}");
    assert!(why(&["Node"]).expect_code(0).err().is_empty());
}

#[test]
fn garbage_is_no_held_object() {
    if interpreters().is_empty() {
        crate::skip!("no Python from 3.8 on");
    }
    for interpreter in interpreters() {
        let target = Holding::start(interpreter, "holds.py");
        let record = target.census(&["--why", "Node"]);
        let strays: Vec<&Value> = record["unreachable"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|row| row["type"] == "__main__.Node")
            .collect();
        let place = interpreter.program.display();
        assert_eq!(strays.len(), 1, "{place}: {strays:?}");
        assert_eq!(
            (&strays[0]["cause"], number(strays[0], "count")),
            (&"garbage".into(), OBJECTS),
            "{place}"
        );
        let ways = record["paths"].as_array().unwrap();
        assert_eq!(ways.len(), 1, "{place}: {ways:?}");
        assert!(
            ways[0]["path"].as_str().unwrap().starts_with("unreachable: cyclic garbage"),
            "{place}: {ways:?}"
        );
        // Of what the program can reach, the collector has nothing to free.
        let others: Vec<&Value> = record["unreachable"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|row| {
                let name = row["type"].as_str().unwrap();
                name.starts_with("__main__.") && name != "__main__.Node"
            })
            .collect();
        assert!(others.is_empty(), "{place}: {others:?}");
    }
}

/// The classes of `tests/targets/strays.py`, and what memobj is to say of their objects.
const STRAYS: &[(&str, Option<&str>)] = &[
    ("Circle", Some("garbage")),
    ("Saved", Some("uncollectable")),
    ("Leaked", Some("unreferred")),
    ("Child", Some("unreferred")),
    ("Pinned", Some("native")),
    ("Held", None),
];

#[test]
fn unreachable_objects_are_classified() {
    let mut seen = 0;
    for interpreter in interpreters() {
        if !loads(interpreter, "ctypes") {
            continue;
        }
        seen += 1;
        let record = Holding::start(interpreter, "strays.py").census(&["--holders"]);
        for &(class, standing) in STRAYS {
            let rows = record["unreachable"].as_array().unwrap().iter();
            let found: Vec<(&str, u64)> = rows
                .filter(|row| row["type"] == format!("__main__.{class}"))
                .map(|row| (row["cause"].as_str().unwrap(), number(row, "count")))
                .collect();
            let expected: Vec<(&str, u64)> =
                standing.into_iter().map(|standing| (standing, OBJECTS)).collect();
            assert_eq!(found, expected, "{interpreter}: {class}");
        }
    }
    if seen == 0 {
        crate::skip!("no Python from 3.8 on that can load ctypes");
    }
}
