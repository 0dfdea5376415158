//! Every shape of program, and the verdict on it.

use std::io::Write as _;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;

use serde_json::Value;
use xtask::shapes::{self as results_file, ShapeResult};
use xtask::support::Tested;

use crate::support::interpreters::{Interpreter, interpreters, loads};
use crate::support::{is_long, tested};

use super::shapes::{self, Shape};
use super::{RATE, all_usual, look, start, usual, verdict};

/// Held by the test that searches: both together would have more programs than processors.
static TURN: Mutex<()> = Mutex::new(());
/// The largest relative error of a rate.
const TOLERANCE: f64 = 0.1;

/// The result for a shape, and its difference from the right one, if any.
type Outcome = (ShapeResult, Option<String>);

/// A result before the verdict.
fn no_verdict(interpreter: &Interpreter, shape: &Shape) -> ShapeResult {
    let row = tested::row(interpreter, 0);
    ShapeResult {
        python: format!("{} {} {}", row.version, row.name, row.build),
        shape: shape.name.to_owned(),
        leaks: shape.leak.is_some(),
        right: false,
        of: None,
        holder: None,
        off_ratio: None,
        confidence_ratio: None,
    }
}

/// Searches one shape.
fn check(interpreter: &Interpreter, shape: &Shape) -> Outcome {
    let target = start(interpreter, shape.name);
    let run = look(&target);
    drop(target);
    let record = verdict(&run);
    let found = &record["leaks"][0];
    let rate = shape.leak.as_ref().filter(|leak| !leak.grows).and_then(|leak| {
        let field = if leak.items { "entries_per_minute" } else { "objects_per_minute" };
        Some((found[field].as_f64()?, leak.per_step * RATE * 60.0))
    });
    let mut result = ShapeResult {
        of: found["type"].as_str().map(str::to_owned),
        holder: found["holder"].as_str().map(str::to_owned),
        off_ratio: rate.map(|(rate, wanted)| (rate - wanted).abs() / wanted),
        confidence_ratio: found["confidence_ratio"].as_f64(),
        ..no_verdict(interpreter, shape)
    };
    let is = |field: &str, texts: &[&str]| found[field].as_str().is_some_and(|text| texts.contains(&text));
    let wrong = match &shape.leak {
        None if run.code() == Some(0) && record["verdict"] == "none" => None,
        None => Some("leaks".to_owned()),
        Some(_) if run.code() != Some(1) || record["verdict"] != "leak" => Some("no leak".to_owned()),
        Some(leak)
            if !is("type", leak.types) || !is("holder", leak.holders) || !is("cause", &[leak.cause]) =>
        {
            Some(format!("{} held by {} ({})", found["type"], found["holder"], found["cause"]))
        }
        Some(leak) if !leak.grows && result.off_ratio.is_none_or(|off| off > TOLERANCE) => {
            Some(format!("{rate:?}: the rate and the right one, per minute"))
        }
        Some(_) if result.confidence_ratio.is_none_or(|confidence| confidence < 0.9) => {
            Some(format!("confidence {:?}", result.confidence_ratio))
        }
        Some(_) => second_leak(&record),
    };
    result.right = wrong.is_none();
    (result, wrong.map(|what| format!("{interpreter}: {}: {what}\n{run}", shape.name)))
}

/// A leak that is no side effect of the first one.
fn second_leak(record: &Value) -> Option<String> {
    let mut others = record["leaks"].as_array().unwrap().iter().skip(1);
    let second = others.find(|leak| leak["side_effect_of"].is_null())?;
    Some(format!("a second leak: {} held by {}", second["type"], second["holder"]))
}

/// The same, where a panic is a wrong result: the others have results nevertheless.
fn check_or_panic(interpreter: &Interpreter, shape: &Shape) -> Outcome {
    std::panic::catch_unwind(|| check(interpreter, shape)).unwrap_or_else(|_| {
        let wrong = format!("{interpreter}: {}: no verdict, see the panic above", shape.name);
        (no_verdict(interpreter, shape), Some(wrong))
    })
}

/// Searches one for each processor at a time. Returns the results in the same order.
fn check_all(work: &[(&Interpreter, &Shape)]) -> Vec<Outcome> {
    let searches = available_parallelism().map_or(1, NonZero::get);
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let next = AtomicUsize::new(0);
    let mut all: Vec<(usize, Outcome)> = std::thread::scope(|scope| {
        let worker = || {
            let mut found = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(&(interpreter, shape)) = work.get(index) else { break found };
                let outcome = check_or_panic(interpreter, shape);
                if let Some(wrong) = &outcome.1 {
                    // At once, past the capture of a test's output: there are minutes until the end, and much other output after it.
                    let first = wrong.lines().next().unwrap_or_default();
                    std::io::stderr().write_all(format!("WRONG: {first}\n").as_bytes()).unwrap();
                }
                found.push((index, outcome));
            }
        };
        let workers: Vec<_> = (0..searches).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    all.sort_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, outcome)| outcome).collect()
}

#[track_caller]
fn assert_right(outcomes: &[Outcome]) {
    let wrong: Vec<&str> = outcomes.iter().filter_map(|(_, wrong)| wrong.as_deref()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// All shapes that an interpreter can have.
fn shapes_for(interpreter: &Interpreter) -> impl Iterator<Item = (&Interpreter, &Shape)> {
    let lacks: Vec<&str> = (shapes::NEEDS.iter())
        .filter(|(_, module)| !loads(interpreter, module))
        .map(|(shape, _)| *shape)
        .collect();
    let has = move |shape: &&Shape| !lacks.contains(&shape.name);
    shapes::ALL.iter().filter(has).map(move |shape| (interpreter, shape))
}

#[test]
fn every_leak_shape_is_named() {
    let Some(newest) = usual() else { crate::skip!("no Python on this machine") };
    // In the oldest, attributes are in dicts: one more object between each and the next.
    let oldest = all_usual().next().filter(|oldest| !std::ptr::eq(*oldest, newest));
    let work: Vec<_> = shapes_for(newest).chain(oldest.into_iter().flat_map(shapes_for)).collect();
    assert_right(&check_all(&work));
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
    let outcomes = check_all(&work);
    for interpreter in all {
        let own = work.iter().zip(&outcomes).filter(|((other, _), _)| std::ptr::eq(*other, interpreter));
        let leaks = Some(own.into_iter().all(|(_, (_, wrong))| wrong.is_none()));
        tested::note("leaks", &Tested { leaks, ..tested::row(interpreter, 0) });
    }
    let results: Vec<ShapeResult> = outcomes.iter().map(|(result, _)| result.clone()).collect();
    results_file::note(&results_file::file(), &results).unwrap();
    assert_right(&outcomes);
}
