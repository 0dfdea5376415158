//! A wrong layout is refused, whichever offset is wrong.

use common::record::PythonThread;
use memobj::census::collector::read_collector;
use memobj::census::threads::read_threads;
use memobj_cpython::layout::Layout;
use memobj_cpython::object::Objects;
use memobj_cpython::runtime::Runtime;
use memobj_cpython::runtime::detect::detect;
use memobj_cpython::runtime::locate::SYMBOLS;
use memobj_cpython::runtime::verify::Fault;
use memobj_cpython::runtime::verify::verify;
use memobj_process::addr::Addr;
use memobj_process::elf::ElfCache;
use memobj_process::memory::{CopyBuffer, FrozenMemory};
use memobj_process::target::{STOP_LIMIT, Target};

use crate::support::interpreters::{Interpreter, interpreters, script};
use crate::support::{Background, workspace};

/// A copied Python process with its own layout.
struct Held {
    _process: Background,
    memory: FrozenMemory,
    layout: Layout,
    at: Addr,
}

impl Held {
    fn of(interpreter: &Interpreter) -> Self {
        let mut process = script(interpreter, &workspace::root().join("tests/targets/known.py")).start();
        process.wait_line("still");
        let mut target = Target::attach(process.pid()).unwrap();
        let python = detect(&target, None, &ElfCache::new(SYMBOLS)).unwrap();
        let frozen = target.freeze(&mut CopyBuffer::new(), STOP_LIMIT, |_| true).unwrap();
        Self { _process: process, memory: frozen.memory, layout: python.layout, at: python.location.at }
    }

    /// Reads everything with a layout, if it is not refused.
    fn read(&self, layout: &Layout) -> Result<(Runtime, Vec<PythonThread>, Vec<String>), Fault> {
        let runtime = verify(&self.memory, layout, self.at)?.runtime;
        let objects = Objects::new(&self.memory, layout);
        let threads = read_threads(objects, &runtime, runtime.main_thread(&self.memory, layout), &[]);
        let collectors = runtime.interpreters.iter().map(|interpreter| {
            let gc = read_collector(objects, interpreter);
            format!("{:?} {:?}", gc.enabled, gc.garbage)
        });
        let collectors = collectors.collect();
        Ok((runtime, threads, collectors))
    }
}

/// A place of a layout, to be changed.
trait Place {
    fn change(&mut self, by: i32) -> bool;
}

impl Place for u32 {
    fn change(&mut self, by: i32) -> bool {
        self.checked_add_signed(by).is_some_and(|changed| {
            *self = changed;
            true
        })
    }
}

impl Place for Option<u32> {
    fn change(&mut self, by: i32) -> bool {
        self.as_mut().is_some_and(|place| place.change(by))
    }
}

type Change = fn(&mut Layout, i32) -> bool;

macro_rules! places {
    ($($group:ident: $($field:ident)*;)*) => {
        &[$($((
            concat!(stringify!($group), ".", stringify!($field)),
            |layout, by| layout.$group.$field.change(by),
        )),*),*]
    };
}

/// What this part reads, but for numbers alone (thresholds, statistics, the choice of an allocator), which nothing can be held against.
const PLACES: &[(&str, Change)] = places! {
    runtime_state: initialized interpreters_head interpreters_main finalizing main_thread gc;
    interpreter_state: next id threads_head modules sysdict builtins gc;
    thread_state: prev next interp thread_id native_thread_id frame cframe current_frame;
    gc_state: enabled generations young old generation0 permanent_generation garbage;
    gc_generation: size head;
    gc_head: _gc_next _gc_prev;
    object: ob_type;
    var_object: ob_size;
    type_object: tp_name tp_basicsize tp_flags tp_base;
    heap_type_object: size ht_cached_keys;
    module_object: md_dict;
    dict_object: ma_used ma_keys ma_values;
    dict_keys: dk_size dk_log2_index_bytes dk_kind dk_nentries dk_indices;
    dict_key_entry: size me_key me_value;
    ascii_object: size length state;
    long_object: ob_digit lv_tag;
    bytes_object: ob_sval;
    code_object: co_filename co_name co_qualname co_lnotab;
    frame_object: f_code f_lasti;
};

const FRAMES: &[&str] = &["thread_state.frame", "thread_state.cframe", "thread_state.current_frame"];

#[test]
fn layout_with_one_error_is_refused() {
    if interpreters().is_empty() {
        crate::skip!("no Python from 3.8 on");
    }
    let mut last = 0;
    for interpreter in interpreters().iter().filter(|interpreter| !interpreter.debug) {
        // One of each version and kind.
        let kind = interpreter.minor() * 2 + u32::from(interpreter.free_threaded);
        if std::mem::replace(&mut last, kind) == kind {
            continue;
        }
        let held = Held::of(interpreter);
        let right = held.read(&held.layout).unwrap();
        let mut refused = 0;
        let mut wrong = Vec::new();
        for (name, change) in PLACES {
            for by in [-16, -8, 8, 16] {
                let mut layout = held.layout;
                if !change(&mut layout, by) {
                    continue;
                }
                match held.read(&layout) {
                    Err(_) => refused += 1,
                    Ok(read) if read == right => {}
                    // A thread that runs no Python code, or is at its first line, looks the same.
                    Ok((_, threads, _))
                        if FRAMES.contains(name) && threads.iter().all(|t| t.function.is_none()) => {}
                    Ok(_) if *name == "frame_object.f_lasti" => {}
                    Ok(read) => wrong.push(format!("{name} {by:+}: {}", first_difference(&read, &right))),
                }
            }
        }
        assert!(wrong.is_empty(), "{interpreter}:\n{}", wrong.join("\n"));
        assert!(refused > 100, "{interpreter}: {refused}");
    }
}

fn first_difference<T: std::fmt::Debug>(one: &T, other: &T) -> String {
    let (one, other) = (format!("{one:#?}"), format!("{other:#?}"));
    let difference = one.lines().zip(other.lines()).find(|(one, other)| one != other);
    difference
        .map_or_else(|| "a length".to_owned(), |(one, other)| format!("{} / {}", one.trim(), other.trim()))
}

#[test]
fn other_version_layout_is_refused() {
    if interpreters().len() < 2 {
        crate::skip!("no two Pythons from 3.8 on");
    }
    for interpreter in interpreters() {
        let held = Held::of(interpreter);
        for build in memobj_cpython::layout::builds() {
            for layout in memobj_cpython::layout::candidates(build).unwrap() {
                let same = layout.hexversion >> 16 == interpreter.hexversion >> 16;
                let kind =
                    (build.free_threaded, build.debug) == (interpreter.free_threaded, interpreter.debug);
                if !same || build.free_threaded != interpreter.free_threaded {
                    let result = held.read(layout);
                    assert!(result.is_err(), "{interpreter}: {} was taken", layout.origin);
                } else if kind && layout.hexversion == held.layout.hexversion {
                    assert!(held.read(&held.layout).is_ok());
                }
            }
        }
    }
}
