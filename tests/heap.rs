//! What memobj finds in a process is what that process finds in itself, object by object: types, sizes, references.

mod target;

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use memobj::addr::Addr;
use memobj::heap::python::Python;
use memobj::heap::referents::read_referents;
use memobj::heap::size::read_size;
use memobj::heap::types::Types;
use memobj::heap::walk::{Counts, Walked, walk};
use memobj::layout::{self, Build};
use memobj::memory::Memory;
use memobj::runtime::verify::verify;

use crate::support::interpreters::{build, interpreters};
use crate::support::skip::note;
use target::{Oracle, Target};

/// What differs, by what it is about: how often, and the first few.
#[derive(Default)]
struct Differences(BTreeMap<String, (usize, Vec<String>)>);

impl Differences {
    fn add(&mut self, about: String, what: impl FnOnce() -> String) {
        let (count, first) = self.0.entry(about).or_default();
        *count += 1;
        if first.len() < 3 {
            first.push(what());
        }
    }

    fn report(&self) -> String {
        let mut text = String::new();
        for (about, (count, first)) in &self.0 {
            writeln!(text, "{count:6} {about}").unwrap();
            for one in first {
                writeln!(text, "         {one}").unwrap();
            }
        }
        text
    }
}

fn compare(target: &Target, build: Build) -> Differences {
    let memory = &target.memory;
    // Which of the layouts of this version it is, is tried on the target, as memobj does.
    let (layout, runtime) = layout::candidates(build)
        .unwrap()
        .into_iter()
        .find_map(|layout| Some((layout, verify(memory, layout, target.runtime).ok()?.runtime)))
        .unwrap();
    let interpreters: Vec<Addr> = runtime.interpreters.iter().map(|interpreter| interpreter.at).collect();
    let python = Python::read(memory, layout, target.runtime, &interpreters).unwrap();
    let started = std::time::Instant::now();
    let walked = walk(&python, 1).unwrap();
    eprintln!(
        "{:x}: tracked {} reachable {} heap {} torn {} rejected {} broken {} in {:?}",
        target.hexversion,
        walked.tracked.len(),
        walked.reachable.len(),
        walked.heap.len(),
        walked.torn,
        walked.rejected,
        walked.broken_links,
        started.elapsed()
    );
    let mut differences = Differences::default();
    let again = walk(&python, 2).unwrap();
    assert_eq!(counts(&walked), counts(&again), "two threads count otherwise than one");
    compare_sets(&walked, &target.oracle, &mut Types::new(&python), &mut differences);
    compare_objects(&target.oracle, &mut Types::new(&python), &mut differences);
    differences
}

/// All that is counted, by type.
fn counts(walked: &Walked) -> (Vec<(String, Counts)>, [u64; 3]) {
    let types = walked.types.iter().map(|counted| (counted.of.name(), counted.counts)).collect();
    (types, [walked.torn, walked.rejected, walked.broken_links])
}

fn name_of<M: Memory>(types: &mut Types<'_, '_, M>, at: Addr) -> String {
    let id = types.of(at);
    id.and_then(|id| types.get(id)).map_or_else(|| "?".to_owned(), |of| of.name())
}

fn compare_sets<M: Memory>(
    walked: &Walked,
    oracle: &Oracle,
    types: &mut Types<'_, '_, M>,
    differences: &mut Differences,
) {
    let set = |bitmap: &memobj::heap::seen::Bitmap| {
        let mut all = HashSet::new();
        bitmap.each(&walked.places, |at| {
            all.insert(at.0);
        });
        all
    };
    let reachable = set(&walked.reachable);
    for at in oracle.objects.keys().filter(|at| !reachable.contains(at)) {
        let name = name_of(types, Addr(*at));
        differences.add(format!("reachable lacks {name}"), || format!("{at:#x}"));
    }
    for at in reachable.iter().filter(|at| !oracle.objects.contains_key(at)) {
        let name = name_of(types, Addr(*at));
        differences.add(format!("reachable has too many {name}"), || format!("{at:#x}"));
    }
    let tracked = set(&walked.tracked);
    for (at, object) in &oracle.objects {
        if object.tracked != tracked.contains(at) {
            let name = name_of(types, Addr(*at));
            differences.add(format!("tracked: {} for {name}", !object.tracked), || format!("{at:#x}"));
        }
    }
    for at in tracked.iter().filter(|at| !oracle.objects.contains_key(at)) {
        let name = name_of(types, Addr(*at));
        differences.add(format!("tracked has too many {name}"), || format!("{at:#x}"));
    }
}

fn compare_objects<M: Memory>(oracle: &Oracle, types: &mut Types<'_, '_, M>, differences: &mut Differences) {
    for (&at, object) in &oracle.objects {
        let (module, qualname) = &oracle.types[&object.of];
        let Some(id) = types.of(Addr(at)) else {
            differences.add(format!("no type: {module}.{qualname}"), || format!("{at:#x}"));
            continue;
        };
        let of = types.get(id).unwrap().clone();
        if (&of.module.replace(' ', "_"), &of.qualname.replace(' ', "_")) != (module, qualname) {
            differences.add(format!("name of {module}.{qualname}"), || of.name());
        }
        let size = read_size(types.python(), Addr(at), &of).map(|size| size.bytes.cast_signed());
        if of.size_exact && size != Ok(object.size) {
            differences
                .add(format!("size of {}", of.name()), || format!("{at:#x}: {size:?}, not {}", object.size));
        }
        if !of.size_exact {
            differences
                .add(format!("inexact size of {}", of.name()), || format!("{size:?}, {}", object.size));
        }
        if std::env::var_os("LEARN").is_some() && of.traverse == memobj::heap::types::Traverse::Guess && of.class.is_none() {
            let name = types.python().memory.read_c_string(types.python().memory.read_addr(of.at.plus(24)).unwrap(), 200).unwrap();
            let name = String::from_utf8(name).unwrap();
            let mut left = object.referents.clone();
            for offset in (16..of.c_size).step_by(8) {
                let word = types.python().memory.read_u64(Addr(at + offset)).unwrap();
                let what = if word == 0 { "null" } else if let Some(i) = left.iter().position(|r| *r == word) { left.swap_remove(i); "VISIT" } else if oracle.objects.contains_key(&word) || oracle.types.contains_key(&word) { "HELD" } else { "other" };
                eprintln!("LEARN {name} {} {offset} {what}", of.c_size);
            }
            let ty = if left.contains(&object.of) { left.retain(|r| *r != object.of); "TYPE" } else { "notype" };
            eprintln!("LEARN {name} {} 0 {ty} {}", of.c_size, left.len());
        }
        let mut referents = Vec::new();
        let mut guessed = false;
        let read = read_referents(types, Addr(at), &of, |to, kind| {
            guessed |= kind == memobj::heap::referents::EdgeKind::Guessed;
            referents.push(to.0);
        });
        referents.sort_unstable();
        if read.is_err() || referents != object.referents {
            let lacks: Vec<u64> = minus(&object.referents, &referents);
            let extra: Vec<u64> = minus(&referents, &object.referents);
            let describe = |all: &[u64], types: &mut Types<'_, '_, M>| {
                all.iter().map(|at| name_of(types, Addr(*at))).collect::<Vec<_>>().join(" ")
            };
            let (lacks, extra) = (describe(&lacks, types), describe(&extra, types));
            differences
                .add(format!("{}referents of {}", if guessed { "guessed " } else { "" }, of.name()), || {
                    format!("{at:#x}: {read:?} lacks {lacks}; extra {extra}")
                });
        }
    }
}

/// What a sorted list has and another has not, or not as often.
fn minus(all: &[u64], but: &[u64]) -> Vec<u64> {
    let mut but = but.to_vec();
    all.iter()
        .filter(|one| match but.iter().position(|other| other == *one) {
            Some(index) => {
                but.swap_remove(index);
                false
            }
            None => true,
        })
        .copied()
        .collect()
}

/// What is known to differ, and why. All else must be the same, to the last object.
fn is_known(about: &str) -> Option<&'static str> {
    let known: &[(&str, &str)] = &[
        ("inexact size of __main__.build.<locals>.WithSizeof", "a `__sizeof__` of Python's: marked as inexact"),
        ("inexact size of __main__.build.<locals>.ListWithSizeof", "a `__sizeof__` of Python's: marked as inexact"),
        ("guessed referents of module", "a module's state is a struct of its own: what points to objects in it is taken"),
        ("referents of module", "before 3.10 the callbacks of atexit lie behind the state of its module"),
        ("referents of PyCapsule", "a capsule may have a traverse of its own in a function pointer (3.13 and newer)"),
        ("reachable has too many int", "reached by the state of a module alone"),
        ("reachable has too many str", "reached by the state of a module alone"),
        ("reachable has too many dict", "reached by the state of a module alone"),
        ("reachable has too many bytes", "reached by the state of a module alone"),
        ("reachable has too many datetime.datetime", "reached by the state of a module alone"),
        ("reachable has too many tuple", "reached by the state of a module alone (3.12)"),
        ("reachable has too many type", "reached by the state of a module alone (3.12)"),
        ("guessed referents of sqlite3.Cache", "a type of 3.10 alone, whose shape is not in the list"),
    ];
    known.iter().find(|(prefix, _)| *prefix == about).map(|(_, reason)| *reason)
}

#[test]
fn every_object_is_what_its_own_process_says() {
    // For one interpreter alone: ONLY="pyenv 3.13".
    let only = std::env::var("ONLY").ok();
    let mut wrong = String::new();
    for interpreter in interpreters() {
        let name = interpreter.to_string();
        if only.as_ref().is_some_and(|only| !name.starts_with(only.as_str())) {
            continue;
        }
        if let Err(error) = ctypes(&interpreter.program) {
            note(module_path!(), line!(), &format!("{name}: {error}"));
            continue;
        }
        let target = Target::run(&interpreter.program, "fixture.py");
        let mut differences = compare(&target, build(interpreter));
        differences.0.retain(|about, _| is_known(about).is_none());
        if !differences.0.is_empty() {
            writeln!(wrong, "{name}:\n{}", differences.report()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Whether an interpreter can load the module that the fixture forks itself with: one without shared libraries cannot.
fn ctypes(program: &Path) -> Result<(), String> {
    let asked = Command::new(program).args(["-I", "-S", "-c", "import ctypes"]).output().unwrap();
    if asked.status.success() { Ok(()) } else { Err("it cannot load ctypes".to_owned()) }
}
