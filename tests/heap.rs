//! What memobj finds in a process is what that process finds in itself, object by object: types, sizes, references.

mod linked;
mod target;

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_cpython::heap::referents::{EdgeKind, ReferenceReader};
use memobj_cpython::heap::size::read_size;
use memobj_cpython::heap::types::TypeRegistry;
use memobj_cpython::heap::walk::HeapWalk;
use memobj_cpython::heap::walk::ScopedCounts;
use memobj_cpython::heap::walk::walk_heap;
use memobj_cpython::layout;
use memobj_cpython::layout::Build;
use memobj_cpython::layout::Layout;
use memobj_cpython::runtime::verify::verify;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use crate::support::interpreters::{Interpreter, build, can_load, interpreters, loads};
use crate::support::tested;
use target::{Oracle, Target};
use xtask::support::Tested;

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

/// The layout that holds for a target, tried on it as memobj does, and its interpreters.
fn layout_of(target: &Target, build: Build) -> (Layout, Vec<Addr>) {
    let found = layout::candidates(build).unwrap().into_iter().find_map(|layout| {
        Some((layout, verify(&target.memory, layout, target.runtime).ok()?.runtime.interpreters))
    });
    let (layout, interpreters) = found.unwrap();
    (*layout, interpreters.iter().map(|interpreter| interpreter.at).collect())
}

/// All that differs between what is found in a target and what it said itself.
fn compare(target: &Target, layout: &Layout, interpreters: &[Addr]) -> Differences {
    let mut differences = Differences::default();
    let python = match PythonHeap::read(&target.memory, layout, target.runtime, interpreters) {
        Ok(python) => python,
        Err(error) => {
            differences.add(error.to_string(), String::new);
            return differences;
        }
    };
    let walked = walk_heap(&python, 1).unwrap();
    let again = walk_heap(&python, 2).unwrap();
    assert_eq!(counts(&walked), counts(&again), "two threads count otherwise than one");
    compare_sets(&walked, &target.oracle, &mut TypeRegistry::new(&python), &mut differences);
    compare_objects(&target.oracle, &mut TypeRegistry::new(&python), &mut differences);
    differences.0.retain(|about, (count, _)| !is_known(about, *count));
    differences
}

/// All that is counted, by type.
fn counts(walked: &HeapWalk) -> (Vec<(String, ScopedCounts)>, [u64; 3]) {
    let types = walked.types.iter().map(|counted| (counted.ty.name(), counted.counts)).collect();
    (types, [walked.torn, walked.rejected, walked.broken_links])
}

fn name_of<M: Memory>(types: &mut TypeRegistry<'_, '_, M>, at: Addr) -> String {
    let id = types.type_of(at);
    id.and_then(|id| types.get(id)).map_or_else(|| "?".to_owned(), |of| of.name())
}

fn compare_sets<M: Memory>(
    walked: &HeapWalk,
    oracle: &Oracle,
    types: &mut TypeRegistry<'_, '_, M>,
    differences: &mut Differences,
) {
    let set = |bitmap: &memobj_cpython::heap::address_set::AddressSet| {
        let mut all = HashSet::new();
        bitmap.for_each(&walked.index, |at| {
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

fn compare_objects<M: Memory>(
    oracle: &Oracle,
    types: &mut TypeRegistry<'_, '_, M>,
    differences: &mut Differences,
) {
    for (&at, object) in &oracle.objects {
        let (module, qualname) = &oracle.types[&object.of];
        let Some(id) = types.type_of(Addr(at)) else {
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
        let mut referents = Vec::new();
        let mut guessed = false;
        let mut reader = ReferenceReader { python: types.python(), types };
        let read = reader.read_visited(Addr(at), &of, &mut |to: Addr, kind| {
            guessed |= kind == EdgeKind::Guessed;
            referents.push(to.0);
        });
        referents.sort_unstable();
        if read.is_err() || referents != object.referents {
            let lacks: Vec<u64> = minus(&object.referents, &referents);
            let extra: Vec<u64> = minus(&referents, &object.referents);
            let describe = |all: &[u64], types: &mut TypeRegistry<'_, '_, M>| {
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

/// What is known to differ, how often at most, and why. All else must be the same, to the last object.
const KNOWN: &[(&str, usize, &str)] = &[
    (
        "inexact size of __main__.build.<locals>.WithSizeof",
        1,
        "a `__sizeof__` of Python's: marked as inexact",
    ),
    (
        "inexact size of __main__.build.<locals>.ListWithSizeof",
        1,
        "a `__sizeof__` of Python's: marked as inexact",
    ),
    (
        "guessed referents of module",
        10,
        "a module's state is a struct of its own: what points to objects in it is taken",
    ),
    ("referents of module", 1, "before 3.10 the callbacks of atexit lie behind the state of its module"),
    (
        "referents of PyCapsule",
        1,
        "a capsule may have a traverse of its own in a function pointer (3.13 and newer)",
    ),
    ("reachable has too many int", 8, "reached by the state of a module alone"),
    ("reachable has too many str", 8, "reached by the state of a module alone"),
    ("reachable has too many dict", 1, "reached by the state of a module alone"),
    ("reachable has too many bytes", 1, "reached by the state of a module alone"),
    ("reachable has too many datetime.datetime", 1, "reached by the state of a module alone"),
    ("reachable has too many tuple", 375, "reached by the state of a module alone (3.12)"),
    ("reachable has too many type", 2, "reached by the state of a module alone (3.12)"),
    ("guessed referents of sqlite3.Cache", 1, "a type of 3.10 alone, whose shape is not in the list"),
    (
        "referents of dict",
        1,
        "the table of interned strings (3.12 and newer): names come and go as the twin works",
    ),
];

/// Whether so many differences of this kind are known, and no more.
fn is_known(about: &str, count: usize) -> bool {
    KNOWN.iter().any(|&(known, most, _)| known == about && count <= most)
}

#[test]
fn census_equals_process_own_view() {
    // For one interpreter alone: ONLY="pyenv 3.13".
    let only = std::env::var("ONLY").ok();
    let mut wrong = String::new();
    for interpreter in interpreters() {
        let name = interpreter.to_string();
        if only.as_ref().is_some_and(|only| !name.starts_with(only.as_str())) {
            continue;
        }
        if !loads(interpreter, "ctypes") {
            continue;
        }
        let target = Target::run(&interpreter.program, "fixture.py");
        let (layout, found) = layout_of(&target, build(interpreter));
        let differences = compare(&target, &layout, &found);
        let differs = |of: &str| differences.0.keys().any(|about| about.contains(of));
        tested::note(
            "heap",
            &Tested {
                tracked: Some(!differs("tracked") && !differs("size of") && !differs("name of")),
                reachable: Some(differences.0.is_empty()),
                ..tested::row(interpreter, target.oracle.objects.len() as u64)
            },
        );
        if !differences.0.is_empty() {
            writeln!(wrong, "{name}:\n{}", differences.report()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The newest interpreter that the fixture runs on, with its name.
fn newest() -> Option<&'static Interpreter> {
    interpreters().iter().rev().find(|interpreter| !interpreter.debug && can_load(interpreter, "ctypes"))
}

#[test]
fn wrong_offset_is_noticed() {
    let Some(interpreter) = newest() else { crate::skip!("no interpreter that can load ctypes") };
    let target = Target::run(&interpreter.program, "fixture.py");
    let (layout, found) = layout_of(&target, build(interpreter));
    type Break = (&'static str, fn(&mut Layout));
    let breaks: [Break; 8] = [
        ("list_object.ob_item", |layout| layout.list_object.ob_item += 8),
        ("list_object.allocated", |layout| layout.list_object.allocated -= 8),
        ("set_object.mask", |layout| layout.set_object.mask -= 8),
        ("dict_keys.dk_nentries", |layout| layout.dict_keys.dk_nentries -= 8),
        ("deque_object.leftindex", |layout| layout.deque_object.leftindex += 8),
        ("function_object.func_code", |layout| layout.function_object.func_code += 8),
        ("member_def.offset", |layout| layout.member_def.offset += 8),
        ("gen_object.gi_name", |layout| layout.gen_object.gi_name += 16),
    ];
    for (name, break_it) in breaks {
        let mut wrong = layout;
        break_it(&mut wrong);
        assert!(!compare(&target, &wrong, &found).0.is_empty(), "{name} is nowhere looked at");
    }
}

#[test]
fn frozen_objects_are_counted_apart() {
    for interpreter in interpreters() {
        if !loads(interpreter, "ctypes") {
            continue;
        }
        let target = Target::run(&interpreter.program, "frozen.py");
        let (layout, found) = layout_of(&target, build(interpreter));
        let python = PythonHeap::read(&target.memory, &layout, target.runtime, &found).unwrap();
        let walked = walk_heap(&python, 2).unwrap();
        let said = (target.said["frozen"], target.said["tracked"]);
        assert_eq!((walked.frozen.len(), walked.tracked.len()), said, "{interpreter}");
        assert_eq!(walked.broken_links, 0, "{interpreter}");
    }
}

#[test]
fn damaged_heap_walk_ends() {
    let Some(interpreter) = newest() else { crate::skip!("no interpreter that can load ctypes") };
    let mut target = Target::run(&interpreter.program, "frozen.py");
    let (layout, found) = layout_of(&target, build(interpreter));
    // The same damage each time.
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..2 {
        for _ in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            target.memory.flip(random >> 8);
        }
        // Where its landmarks are damaged it is refused; else all of it is walked, whatever it has become.
        let Ok(python) = PythonHeap::read(&target.memory, &layout, target.runtime, &found) else { continue };
        // Where there is more than can be, that is the answer.
        if let (Ok(walked), Ok(again)) = (walk_heap(&python, 2), walk_heap(&python, 1)) {
            assert_eq!(counts(&walked), counts(&again), "two threads count otherwise than one");
        }
    }
}
