//! Layout tables agree with interpreters' debug information and with running interpreters.

mod generator;

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use memobj_cpython::layout::Layout;
use memobj_cpython::layout::candidates;
use memobj_cpython::layout::refine;
use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};
use serde_json::Value;
use xtask::layouts;

use crate::support::interpreters::{self, Interpreter, build, fetched, script};
use crate::support::{Background, workspace};

/// The memory of a process, through its file.
struct Live(File);

impl Memory for Live {
    fn read(&self, at: Addr, into: &mut [u8]) -> Result<(), Unreadable> {
        self.0.read_exact_at(into, at.0).map_err(|_| Unreadable { at })
    }

    fn regions(&self) -> &[Range<Addr>] {
        &[]
    }
}

/// A running interpreter that reported sizes and addresses of its objects.
struct Insides {
    _process: Background,
    memory: Live,
    reported: Value,
}

impl Insides {
    fn of(interpreter: &Interpreter) -> Self {
        let file = workspace::root().join("tests/targets/insides.py");
        let mut process = script(interpreter, &file).start();
        let pid: u32 = process.wait_line("ready ").trim().parse().unwrap();
        let reported = serde_json::from_str(&format!("{{{}", process.wait_line("{"))).unwrap();
        let memory = Live(File::open(format!("/proc/{pid}/mem")).unwrap());
        Self { _process: process, memory, reported }
    }

    /// Sizes and places that contradict the layout.
    fn contradictions(&self, layout: &Layout) -> Vec<String> {
        let mut found = Vec::new();
        for (group, size) in self.reported["sizes"].as_object().unwrap() {
            match sizes(layout).into_iter().find(|(name, _)| name == group) {
                None => panic!("the test knows no size of {group}"),
                // tp_basicsize of this build, or a type that a build without its library has not.
                Some((_, Some(ours))) if u64::from(ours) == size.as_u64().unwrap() => {}
                Some((_, ours)) => found.push(format!("sizeof {group}: {ours:?}, not {size}")),
            }
        }
        for word in self.reported["words"].as_array().unwrap() {
            let (name, object) = (word[0].as_str().unwrap(), Addr(word[1].as_u64().unwrap()));
            let wanted = word[2].as_u64().unwrap();
            let (_, place) =
                places(layout).into_iter().find(|(known, _)| *known == name).unwrap_or_else(|| {
                    panic!("the test knows no place {name}");
                });
            let at = place.map(|place| object.plus(u64::from(place)));
            let there = at.and_then(|at| self.memory.read_u64(at).ok());
            if there != Some(wanted) {
                found.push(format!("{name}: {there:x?} at {place:?}, not {wanted:#x}"));
            }
        }
        found
    }
}

/// The sizes that interpreters report.
macro_rules! sizes {
    ($layout:ident: $($group:ident)*; $($optional:ident)*) => {
        vec![$((stringify!($group), Some($layout.$group.size)),)*
            $((stringify!($optional), $layout.$optional.map(|group| group.size)),)*]
    };
}

fn sizes(layout: &Layout) -> Vec<(&'static str, Option<u32>)> {
    sizes![layout: heap_type_object list_object dict_object set_object float_object complex_object
        bytearray_object slice_object range_object property_object staticmethod_object classmethod_object super_object
        unicode_object base_exception syntax_error import_error unicode_error system_exit os_error stop_iteration
        function_object method_object cfunction_object cell_object module_object traceback_object weakref_object odict_object
        deque_object defdict_object partial_object lru_cache_object bytes_io string_io buffered text_io product_object
        combinations_object cwr_object permutations_object tee_data_object pattern_object match_object context_object
        contextvar_object dict_view_object dict_iter_object;
        array_object struct_object dec_object dec_context pickler unpickler element_object simple_queue mmap_object
        base_exception_group template_object ctypes_data frozen_dict_object]
}

/// The places whose contents interpreters report.
macro_rules! places {
    ($layout:ident: $($group:ident.$field:ident)*) => {
        vec![$((concat!(stringify!($group), ".", stringify!($field)), Option::<u32>::from($layout.$group.$field)),)*]
    };
}

fn places(layout: &Layout) -> Vec<(&'static str, Option<u32>)> {
    let mut places = places![layout: object.ob_type var_object.ob_size
        function_object.func_code function_object.func_globals function_object.func_defaults
        function_object.func_kwdefaults function_object.func_closure function_object.func_doc function_object.func_name
        function_object.func_qualname function_object.func_dict function_object.func_module cell_object.ob_ref
        code_object.co_consts code_object.co_names code_object.co_filename code_object.co_name
        method_object.im_func method_object.im_self cfunction_object.m_self property_object.prop_get
        property_object.prop_set property_object.prop_del staticmethod_object.sm_callable classmethod_object.cm_callable
        gen_object.gi_name gen_object.gi_qualname tuple_object.ob_item dict_object.ma_used set_object.used set_object.fill
        defdict_object.default_factory deque_object.maxlen slice_object.start slice_object.stop slice_object.step
        range_object.start range_object.stop range_object.step partial_object.fn_ partial_object.args partial_object.kw
        lru_cache_object.func lru_cache_object.maxsize ascii_object.length ascii_object.hash bytes_io.string_size
        memoryview_object.exports type_object.tp_basicsize type_object.tp_itemsize type_object.tp_flags type_object.tp_mro
        type_object.tp_base heap_type_object.ht_name heap_type_object.ht_qualname base_exception.args
        base_exception.traceback base_exception.context base_exception.cause traceback_object.tb_frame stop_iteration.value
        system_exit.code weakref_object.wr_object weakref_object.wr_callback module_object.md_dict descr_object.d_type
        descr_object.d_name super_object.obj super_object.obj_type];
    places.push(("super_object.type", Some(layout.super_object.r#type)));
    places
}

/// Interpreters that can import all modules of `insides.py`.
fn interpreters() -> Vec<&'static Interpreter> {
    let all = interpreters::interpreters().iter();
    all.filter(|interpreter| !interpreter.linked_statically() && interpreters::loads(interpreter, "ctypes"))
        .collect()
}

/// The layout that an interpreter's own micro version has in the tables, among which its own must be, or the nearest.
fn first(interpreter: &Interpreter) -> Result<&'static Layout, String> {
    candidates(build(interpreter)).map(|found| found[0]).map_err(|error| error.to_string())
}

#[test]
fn running_interpreters_match_tables() {
    if let Err(why) = fetched() {
        crate::support::skip::note(module_path!(), line!(), &why);
    }
    let mut wrong = Vec::new();
    for interpreter in interpreters() {
        let layout = first(interpreter).unwrap_or_else(|error| panic!("{interpreter}: {error}"));
        let found = Insides::of(interpreter).contradictions(layout);
        if layout.hexversion != interpreter.hexversion {
            // The nearest layout serves it; memobj's own verification decides.
            eprintln!("{interpreter} is not in the tables; by the layout of {}: {found:?}", layout.origin);
            continue;
        }
        wrong.extend(
            found.iter().map(|line| format!("{interpreter} by the layout of {}: {line}", layout.origin)),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    if interpreters().is_empty() {
        crate::skip!("no interpreter from 3.8 on");
    }
}

#[test]
fn debug_offsets_match_tables() {
    let mut tried = 0;
    for interpreter in interpreters() {
        let layout = first(interpreter).unwrap();
        if layout.debug_offsets.is_none() {
            continue;
        }
        let insides = Insides::of(interpreter);
        let runtime = Addr(insides.reported["runtime"].as_u64().unwrap());
        match refine(layout, &insides.memory, runtime) {
            Ok(own) => {
                // States end later from one build of a micro version to the other.
                let moved: Vec<&str> =
                    own.moved.into_iter().filter(|name| !name.ends_with(".size")).collect();
                assert!(
                    moved.is_empty() || layout.hexversion != interpreter.hexversion,
                    "{interpreter}: {moved:?}"
                );
            }
            Err(error) => assert_ne!(layout.hexversion, interpreter.hexversion, "{interpreter}: {error}"),
        }
        tried += 1;
        // Eight bytes further there are no offsets.
        let error = refine(layout, &insides.memory, runtime.plus(8)).unwrap_err();
        assert!(error.message.contains("no debug offsets"), "{error}");
    }
    if tried == 0 {
        crate::skip!("no interpreter from 3.13 on");
    }
}

#[test]
fn other_version_layout_is_contradicted() {
    let all = interpreters();
    let (Some(&old), Some(&new)) = (all.first(), all.last()) else {
        crate::skip!("no interpreters");
    };
    if old.minor() == new.minor() {
        crate::skip!("all interpreters are of one minor version");
    }
    let wrong = Insides::of(old).contradictions(first(new).unwrap());
    assert!(wrong.len() > 5, "{old} by the layout of {new}: {wrong:?}");
}

#[test]
fn tables_match_debug_information() {
    if interpreters().is_empty() {
        crate::skip!("no interpreter from 3.8 on");
    }
    let checked = layouts::check(interpreters::interpreters()).unwrap();
    for line in &checked.left_out {
        eprintln!("left out: {line}");
    }
    assert!(checked.wrong.is_empty(), "run `cargo layouts`:\n{}", checked.wrong.join("\n"));
    if checked.compared.is_empty() {
        crate::skip!("no interpreter here is one that the tables were made from: run tests/interpreters");
    }
}
