//! `memobj --leaks` names what leaks and who holds it, how fast, and says of programs that do not leak that they do not.

mod children;
mod shapes;

use std::time::Duration;

use serde_json::Value;

use xtask::shapes::{self as shapes_file, ShapeResult};
use xtask::support::Tested;

use crate::support::interpreters::{Interpreter, interpreters, loads, script};
use crate::support::pty::Terminal;
use crate::support::{Background, Run, Tool, bin, is_long, tested, workspace};

/// For how long each target is looked at, and how often; a loaded machine copies slowly.
const LOOK: [&str; 6] = ["--for", "3s", "-i", "0.5", "--max-pause", "1m"];
/// So many targets are looked at at once: the machine has other things to do.
const AT_ONCE: usize = 6;
/// How far a rate may be off.
const TOLERANCE: f64 = 0.1;
/// The rate of all targets, in steps a second.
const RATE: f64 = 200.0;
/// A machine that is busy delays everything.
const LIMIT: Duration = Duration::from_secs(180);

/// Starts a target in a shape, and waits until it is under way.
fn start(interpreter: &Interpreter, shape: &str) -> Background {
    let file = workspace::root().join("tests/targets/leaks/shapes.py");
    let mut target = script(interpreter, &file).arg(shape).env("RATE", RATE.to_string()).start();
    target.wait_line("ready ");
    target
}

/// What memobj says of a running target.
fn look(target: &Background) -> Run {
    Tool::ours("memobj").args(["--leaks", "-p"]).arg(target.pid().to_string()).args(LOOK).limit(LIMIT).run()
}

/// The verdict of a run.
#[track_caller]
fn verdict(run: &Run) -> Value {
    let records = run.records();
    let mut leaks = records.into_iter().filter(|record| record["type"] == "leaks");
    let first = leaks.next().unwrap_or_else(|| panic!("no verdict: {run}"));
    assert!(leaks.next().is_none(), "{run}");
    first
}

/// A shape that nothing was said of yet.
fn untold(interpreter: &Interpreter, shape: &shapes::Shape) -> ShapeResult {
    let row = tested::row(interpreter, 0);
    ShapeResult {
        python: format!("{} {} {}", row.version, row.name, row.build),
        shape: shape.name.to_owned(),
        leaks: shape.leak.is_some(),
        right: false,
        looks: 1,
        of: None,
        holder: None,
        off_ratio: None,
        confidence_ratio: None,
    }
}

/// What was said of a shape, and what is wrong with that; nothing if it is right.
fn told(interpreter: &Interpreter, shape: &shapes::Shape) -> (ShapeResult, Option<String>) {
    let target = start(interpreter, shape.name);
    let run = look(&target);
    drop(target);
    let record = verdict(&run);
    let found = &record["leaks"][0];
    let rate = shape.leak.as_ref().filter(|leak| !leak.grows).and_then(|leak| {
        let field = if leak.items { "entries_per_minute" } else { "objects_per_minute" };
        Some((found[field].as_f64()?, leak.per_step * RATE * 60.0))
    });
    let mut told = ShapeResult {
        of: found["type"].as_str().map(str::to_owned),
        holder: found["holder"].as_str().map(str::to_owned),
        off_ratio: rate.map(|(rate, wanted)| (rate - wanted).abs() / wanted),
        confidence_ratio: found["confidence_ratio"].as_f64(),
        ..untold(interpreter, shape)
    };
    let is = |field: &str, words: &[&str]| found[field].as_str().is_some_and(|text| words.contains(&text));
    let wrong = match &shape.leak {
        None if run.code() == Some(0) && record["verdict"] == "none" => None,
        None => Some("leaks".to_owned()),
        Some(_) if run.code() != Some(1) || record["verdict"] != "leak" => Some("no leak".to_owned()),
        Some(leak)
            if !is("type", leak.types) || !is("holder", leak.holders) || !is("cause", &[leak.cause]) =>
        {
            Some(format!("{} held by {} ({})", found["type"], found["holder"], found["cause"]))
        }
        Some(leak) if !leak.grows && told.off_ratio.is_none_or(|off| off > TOLERANCE) => {
            Some(format!("{rate:?}: the rate and the right one, in a minute"))
        }
        Some(_) if told.confidence_ratio.is_none_or(|confidence| confidence < 0.9) => {
            Some(format!("confidence {:?}", told.confidence_ratio))
        }
        Some(_) => second_leak(&record),
    };
    told.right = wrong.is_none();
    (told, wrong.map(|what| format!("{interpreter}: {}: {what}\n{run}", shape.name)))
}

/// A second leak, where there is one alone.
fn second_leak(record: &Value) -> Option<String> {
    let mut others = record["leaks"].as_array().unwrap().iter().skip(1);
    let second = others.find(|leak| leak["side_effect_of"].is_null())?;
    Some(format!("a second leak: {} held by {}", second["type"], second["holder"]))
}

/// What was said of a shape, whatever becomes of the look.
fn looked(interpreter: &Interpreter, shape: &shapes::Shape) -> (ShapeResult, Option<String>) {
    std::panic::catch_unwind(|| told(interpreter, shape)).unwrap_or_else(|_| {
        let wrong = format!("{interpreter}: {}: no verdict, as said above", shape.name);
        (untold(interpreter, shape), Some(wrong))
    })
}

/// Looks at all of them, several at a time: what was said of each, in their order, and what is wrong with it.
fn all_told(work: &[(&Interpreter, &shapes::Shape)]) -> Vec<(ShapeResult, Option<String>)> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let mut all: Vec<(usize, (ShapeResult, Option<String>))> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    let mut found = Vec::new();
                    loop {
                        let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        let Some(&(interpreter, shape)) = work.get(index) else { break found };
                        found.push((index, looked(interpreter, shape)));
                    }
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    all.sort_by_key(|(index, _)| *index);
    // A verdict of three seconds is a statistic, and the machine was busy: what is wrong is looked at once more when the others are
    // done, by itself, and must be right then.
    let again =
        |((interpreter, shape), told): (&(&Interpreter, &shapes::Shape), (ShapeResult, Option<String>))| {
            if told.1.is_none() {
                return told;
            }
            let (told, wrong) = looked(interpreter, shape);
            (ShapeResult { looks: 2, ..told }, wrong)
        };
    work.iter().zip(all.into_iter().map(|(_, told)| told)).map(again).collect()
}

#[track_caller]
fn assert_right(told: &[(ShapeResult, Option<String>)]) {
    let wrong: Vec<&str> = told.iter().filter_map(|(_, wrong)| wrong.as_deref()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The interpreters whose locks and garbage collector are the usual ones, the oldest first.
fn all_usual() -> impl DoubleEndedIterator<Item = &'static Interpreter> {
    interpreters().iter().filter(|interpreter| !interpreter.free_threaded && !interpreter.debug)
}

/// The newest of them.
fn usual() -> Option<&'static Interpreter> {
    all_usual().next_back()
}

#[test]
fn every_leak_shape_is_named() {
    let Some(newest) = usual() else { crate::skip!("no Python on this machine") };
    // In the oldest, attributes are in dicts: one more object between each and the next.
    let oldest = all_usual().next().filter(|oldest| !std::ptr::eq(*oldest, newest));
    let work: Vec<_> = shapes_for(newest).chain(oldest.into_iter().flat_map(shapes_for)).collect();
    assert_right(&all_told(&work));
}

/// All shapes that an interpreter can have.
fn shapes_for(interpreter: &Interpreter) -> impl Iterator<Item = (&Interpreter, &shapes::Shape)> {
    let lacks: Vec<&str> = (shapes::NEEDS.iter())
        .filter(|(_, module)| !loads(interpreter, module))
        .map(|(shape, _)| *shape)
        .collect();
    let has = move |shape: &&shapes::Shape| !lacks.contains(&shape.name);
    shapes::ALL.iter().filter(has).map(move |shape| (interpreter, shape))
}

#[test]
fn all_interpreters_find_leaks() {
    let all = interpreters();
    if all.is_empty() {
        crate::skip!("no Python on this machine");
    }
    let few: Vec<_> = shapes::ALL.iter().filter(|shape| shapes::FEW.contains(&shape.name)).collect();
    assert_eq!(few.len(), shapes::FEW.len());
    // Each has one of them in turn: all of them, and all others, take half an hour.
    let work: Vec<_> = if is_long() {
        all.iter().flat_map(shapes_for).collect()
    } else {
        all.iter().zip(few.iter().cycle()).map(|(interpreter, shape)| (interpreter, *shape)).collect()
    };
    let told = all_told(&work);
    for interpreter in all {
        let of = work.iter().zip(&told).filter(|((other, _), _)| std::ptr::eq(*other, interpreter));
        let leaks = Some(of.into_iter().all(|(_, (_, wrong))| wrong.is_none()));
        tested::note("leaks", &Tested { leaks, ..tested::row(interpreter, 0) });
    }
    let all: Vec<ShapeResult> = told.iter().map(|(told, _)| told.clone()).collect();
    shapes_file::note(&shapes_file::file(), &all).unwrap();
    assert_right(&told);
}

#[test]
fn impossible_plans_are_refused() {
    for args in [
        &["--leaks", "-p", "1", "--for", "1s", "-i", "1s"][..],
        &["--leaks", "-p", "1", "--for", "1h", "-i", "1s"],
        &["--leaks", "-p", "1", "--count", "2"],
        &["--leaks", "--core", "core"],
        &["--for", "3s", "-p", "1"],
        &["--leaks", "-p", "1", "--holders"],
    ] {
        let run = Tool::ours("memobj").args(args).run().expect_code(2);
        assert!(run.err().contains("--") || run.err().contains("census"), "{run}");
    }
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

#[test]
fn text_starts_with_the_verdict() {
    let Some(interpreter) = usual() else { crate::skip!("no Python on this machine") };
    let target = start(interpreter, "class_attribute");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leaks");
    let run = Tool::ours("memobj")
        .args(["--leaks", "-p"])
        .arg(target.pid().to_string())
        .args(LOOK)
        .arg("-o")
        .arg(&file)
        .limit(LIMIT)
        .run()
        .expect_code(1);
    assert!(run.out().is_empty() && run.err().is_empty(), "{run}");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("LEAK  __main__.Subject.made grows by "), "{text}");
    for part in
        [" Payload per minute (", "\n  why ", "\n  held     module __main__ → ", "\n  do ", "7 censuses"]
    {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(text.lines().count() <= 24, "it fits a screen\n{text}");
    let records = std::fs::read_to_string(folder.path().join("leaks.jsonl")).unwrap();
    assert_eq!(records.lines().count(), 1, "{records}");
}

#[test]
fn text_wraps_at_the_width_of_the_terminal() {
    let Some(interpreter) = usual() else { crate::skip!("no Python on this machine") };
    let target = start(interpreter, "class_attribute");
    let look = |columns| {
        Terminal::new(bin("memobj"))
            .args([&["--leaks", "-p", &target.pid().to_string()], &LOOK[..]].concat())
            .size(columns, 60)
            .start()
    };
    for (columns, mut memobj) in [80, 120].map(|columns| (columns, look(columns))) {
        memobj.finish();
        let text = memobj.screen();
        let verdict = text.lines().take_while(|line| !line.starts_with("memobj: "));
        let wrapped: Vec<&str> = verdict.skip_while(|line| !line.starts_with("LEAK")).collect();
        assert!(wrapped.iter().all(|line| line.chars().count() <= columns.into()), "{text}");
        // The terminal itself would wrap in a word, to the first column.
        let follows = |(above, below): &(&&str, &&str)| {
            let first = below.split_whitespace().next().unwrap_or_default();
            below.starts_with("          ")
                && above.chars().count() + 1 + first.chars().count() > columns.into()
        };
        let followed = wrapped.iter().zip(wrapped.iter().skip(1)).filter(follows).count();
        assert!(columns > 80 || followed > 0, "nothing is wrapped at {columns} columns\n{text}");
        for label in
            ["LEAK  ", "  why      ", "  held     ", "  grows    ", "  age      ", "  do       ", "python"]
        {
            assert!(wrapped.iter().any(|line| line.starts_with(label)), "{label:?} is not in\n{text}");
        }
        let labels = ["LEAK  ", "  ", "RSS grew by ", "python"];
        assert!(
            wrapped.iter().all(|line| labels.iter().any(|label| line.starts_with(label)) || line.is_empty()),
            "{text}"
        );
        assert!(text.split_whitespace().any(|word| word == "confidence"), "a word is broken\n{text}");
    }
}

#[test]
fn ctrl_c_prints_the_verdict() {
    let Some(interpreter) = usual() else { crate::skip!("no Python on this machine") };
    let target = start(interpreter, "class_attribute");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leaks");
    let mut memobj = Terminal::new(bin("memobj"))
        .args(["--leaks", "-i", "0.3", "--for", "1m", "-p"])
        .args([target.pid().to_string()])
        .args(["-o".as_ref(), file.as_os_str()])
        .start();
    // Progress is shown on a terminal: after three censuses there is a verdict.
    memobj.wait("three censuses", |memobj| memobj.text().contains("census 3 of 201"));
    memobj.signal(rustix::process::Signal::INT);
    assert_eq!(memobj.finish().code(), Some(1), "{memobj}");
    let records = std::fs::read_to_string(folder.path().join("leaks.jsonl")).unwrap();
    let told: Value = serde_json::from_str(&records).unwrap();
    assert!(told["censuses"].as_u64().is_some_and(|censuses| (3..200).contains(&censuses)), "{told}");
    assert_eq!(told["verdict"], "leak", "{told}");
}

#[test]
fn launched_leak_sets_exit_code() {
    let Some(interpreter) = usual() else { crate::skip!("no Python on this machine") };
    let text = "import time\nkept = []\nfor n in range(900):\n    kept.append('x' * 100 + str(n))\n    time.sleep(0.005)\n";
    let run = Tool::ours("memobj")
        .args(["--leaks", "--for", "2s", "-i", "0.4", "--"])
        .arg(&interpreter.program)
        .args(["-I", "-S", "-c", text])
        .limit(LIMIT)
        .run()
        .expect_code(1);
    assert_eq!(verdict(&run)["leaks"][0]["holder"], "__main__.kept", "{run}");
}

#[test]
fn leaking_worker_stands_out() {
    let Some(interpreter) = usual() else { crate::skip!("no Python on this machine") };
    let file = workspace::root().join("tests/targets/leaks/workers.py");
    let mut target = script(interpreter, &file).start();
    target.wait_line("ready ");
    let run = Tool::ours("memobj")
        .args(["--leaks", "--tree", "-p"])
        .arg(target.pid().to_string())
        .args(LOOK)
        .limit(LIMIT)
        .run()
        .expect_code(1);
    let records = run.records();
    let leaks: Vec<&Value> = records.iter().filter(|record| record["type"] == "leaks").collect();
    assert_eq!(leaks.len(), 5, "the parent and four workers: {run}");
    assert_eq!(leaks[0]["verdict"], "leak", "{run}");
    assert_eq!(leaks[0]["peers"]["is_outlier"], true, "{run}");
    let others = leaks.iter().skip(1);
    assert!(others.clone().all(|record| record["verdict"] == "none"), "{run}");
    assert_eq!(others.filter(|record| record["peers"]["is_outlier"] == true).count(), 0, "{run}");
}

/// The only leak of a verdict that is no side effect of another.
#[track_caller]
fn only_leak(run: &Run) -> Value {
    let record = verdict(run);
    let leaks = record["leaks"].as_array().unwrap();
    let own: Vec<&Value> = leaks.iter().filter(|leak| leak["side_effect_of"].is_null()).collect();
    assert_eq!(own.len(), 1, "{run}");
    own[0].clone()
}

#[track_caller]
fn assert_near(value: f64, wanted: f64, tolerance: f64, run: &Run) {
    assert!((value - wanted).abs() <= wanted * tolerance, "{value} instead of {wanted}: {run}");
}

#[test]
fn rate_and_freed_bytes_agree() {
    let Some(interpreter) = usual() else { crate::skip!("no Python on this machine") };
    for shape in ["wrapped_twice", "errors_in_dicts"] {
        let run = look(&start(interpreter, shape));
        let leak = only_leak(&run);
        let minutes = verdict(&run)["duration_seconds"].as_f64().unwrap() / 60.0;
        let added = leak["added_bytes"].as_f64().unwrap();
        assert_near(leak["bytes_per_minute"].as_f64().unwrap() * minutes, added, 0.15, &run);
        let all = leak["retained_bytes"].as_f64().unwrap();
        assert!(all >= added * 0.85, "{run}");
    }
}

#[test]
fn native_memory_belongs_to_its_entries() {
    let Some(interpreter) = usual().filter(|usual| loads(usual, "zlib")) else {
        crate::skip!("no Python with zlib on this machine")
    };
    let run = look(&start(interpreter, "native_each"));
    let leak = only_leak(&run);
    assert_eq!(leak["native_type"], "zlib.Compress", "{run}");
    let record = verdict(&run);
    assert_eq!(record["memory"]["is_leak"], false, "{run}");
    let grown = record["last_rss_bytes"].as_f64().unwrap() - record["first_rss_bytes"].as_f64().unwrap();
    let minutes = record["duration_seconds"].as_f64().unwrap() / 60.0;
    assert_near(leak["native_bytes_per_minute"].as_f64().unwrap() * minutes, grown, 0.25, &run);
    assert!(record["memory"]["explained_bytes"].as_f64().unwrap() >= grown * 0.8, "{run}");
}

#[test]
fn censuses_without_a_copy_are_told() {
    let Some(interpreter) = usual() else { crate::skip!("no Python on this machine") };
    let folder = tempfile::tempdir().unwrap();
    let (program, file) = (folder.path().join("busy.py"), folder.path().join("leaks"));
    // A program that sleeps can be copied without a pause.
    std::fs::write(&program, "print('ready', flush=True)\nwhile True: pass\n").unwrap();
    let mut target = script(interpreter, &program).start();
    target.wait_line("ready");
    let memobj = |limits: &[&str]| {
        let run = Tool::ours("memobj").args(["--leaks", "-p"]).arg(target.pid().to_string()).args(&LOOK[..4]);
        run.args(limits).arg("-o").arg(&file).limit(LIMIT).run().expect_code(0);
        let record = std::fs::read_to_string(file.with_extension("jsonl")).unwrap();
        let record: Value = serde_json::from_str(record.lines().last().unwrap()).unwrap();
        (record, std::fs::read_to_string(&file).unwrap())
    };
    let (record, text) = memobj(&["--max-pause", "0"]);
    assert_eq!(record["live_censuses"], record["censuses"], "{text}");
    assert!(text.contains("not copied") && text.contains("--max-pause 2s"), "{text}");
    std::fs::remove_file(&file).unwrap();
    let (record, text) = memobj(&["--no-stop"]);
    assert!(record["live_censuses"] == 0 && !text.contains("not copied"), "it was asked for: {text}");
}

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

/// What is advised where a shape leaks.
fn advice(interpreter: &Interpreter, shape: &str) -> String {
    let target = start(interpreter, shape);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leaks");
    let run = Tool::ours("memobj").args(["--leaks", "-p"]).arg(target.pid().to_string()).args(LOOK);
    run.arg("-o").arg(&file).limit(LIMIT).run().expect_code(1);
    let text = std::fs::read_to_string(&file).unwrap();
    text.lines().find(|line| line.starts_with("  do ")).unwrap_or(&text).to_owned()
}

#[test]
fn advice_fits_the_leak() {
    let Some(interpreter) = usual().filter(|usual| loads(usual, "ctypes") && loads(usual, "asyncio")) else {
        crate::skip!("no Python with ctypes and asyncio on this machine")
    };
    for (shape, wanted) in [
        ("exit_callbacks", "atexit.unregister()"),
        ("finished_tasks", "add_done_callback(pending.discard)"),
        ("tasks", "these tasks never end"),
        ("hidden_cycle", "_random.Random does not visit what it holds"),
        ("lost_by_c", "C code of ctypes may forget a Py_DECREF"),
        ("in_item", "unused keys of Store.by_id"),
    ] {
        let advice = advice(interpreter, shape);
        assert!(advice.contains(wanted), "{shape}: {advice}");
    }
}
