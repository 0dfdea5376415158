//! Verifies a layout on the target: facts that hold in every CPython must hold at the offsets of the layout.
//!
//! No number is given before all checks passed. They cover the chain from the runtime to modules, types and the collector's lists, on which
//! the rest builds. A layout of another version, or of a patched build, fails here, and the error names the fact.

use std::ops::ControlFlow;

use crate::layout::encoding::GcLists;
use crate::layout::{Layout, flags};
use crate::object::Objects;
use crate::object::dict::KeysTable;
use crate::object::memory_ext::MemoryExt;
use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use super::frame::{read_thread_location, read_top_frame};
use super::line_table::line_at;
use super::{Interpreter, Runtime, ThreadState};

/// The facts that the verification read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The interpreters and threads.
    pub runtime: Runtime,
    /// `sys.hexversion`.
    pub hexversion: u32,
    /// `sys.abiflags`: `d` for a debug build, `t` for a free-threaded one; empty if there is none.
    pub abiflags: String,
    /// `sys.implementation.name`.
    pub implementation: String,
}

/// Why a layout does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// There is a Python that has not started yet; the layout may be right.
    NotStarted,
    /// The Python has ended, or is about to; the layout may be right.
    Ended,
    /// A fact does not hold: the layout is of another Python, or memory changed during the read.
    Wrong(String),
}

impl From<Unreadable> for Fault {
    fn from(unreadable: Unreadable) -> Self {
        Self::Wrong(unreadable.to_string())
    }
}

/// Marks in the lowest bits of the collector's links.
const MARKS: u64 = 3;

/// Types of `builtins` that must be there under their own names, out of the twenty and more that are looked at: programs replace some.
const FEWEST_TYPES: usize = 15;

/// Verifies `layout` on the runtime at `at`.
///
/// # Errors
/// The first fact that does not hold.
pub fn verify(memory: &dyn Memory, layout: &Layout, at: Addr) -> Result<Verified, Fault> {
    let fields = &layout.runtime_state;
    let int = |offset: u32| memory.read_int(at, offset);
    let pointer = |offset: u32| memory.read_pointer(at, offset);
    match int(fields.initialized)? {
        0 if pointer(fields.interpreters_head)?.is_null() => return Err(Fault::NotStarted),
        0 | 1 => {}
        other => return Err(wrong(format!("`initialized` is {other}"))),
    }
    let runtime = Runtime::read(memory, layout, at).map_err(|error| Fault::Wrong(error.message))?;
    let main = pointer(fields.interpreters_main)?;
    let Some(main) = runtime.interpreters.iter().find(|interpreter| interpreter.at == main) else {
        return Err(wrong("the main interpreter is not in the list of interpreters"));
    };
    if main.id != 0 || runtime.interpreters.iter().any(|interpreter| !(0..1 << 40).contains(&interpreter.id))
    {
        return Err(wrong("the interpreters have no valid ids"));
    }
    for interpreter in &runtime.interpreters {
        verify_threads(memory, layout, interpreter)?;
    }
    if int(fields.initialized)? == 0
        || main.modules.is_null()
        || main.sysdict.is_null()
        || main.builtins.is_null()
    {
        return Err(Fault::NotStarted);
    }
    if !pointer(fields.finalizing)?.is_null() {
        return Err(Fault::Ended);
    }
    let objects = Objects::new(memory, layout);
    let verified = verify_interpreter(objects, &runtime, main)?;
    verify_threads_run(objects, main)?;
    Ok(verified)
}

/// The kernel gives no higher number to a thread (`PID_MAX_LIMIT`, include/linux/threads.h).
const MOST_THREAD_NUMBERS: u64 = 1 << 22;

/// The main thread is one of the threads, they have numbers, and they run code.
fn verify_threads_run(objects: Objects<'_>, main: &Interpreter) -> Result<(), Fault> {
    let layout = objects.layout;
    let ident = objects.memory.read_u64(main.runtime.plus(layout.runtime_state.main_thread.into()));
    let is_main = |thread: &ThreadState| thread.ident != 0 && Ok(thread.ident) == ident;
    ensure(main.threads.iter().any(is_main), "the main thread is not in the list of threads")?;
    if layout.thread_state.native_thread_id.is_some() {
        let has_number = |thread: &ThreadState| thread.native_id.is_some_and(|id| id <= MOST_THREAD_NUMBERS);
        ensure(main.threads.iter().any(has_number), "no thread has a thread id of the kernel")?;
    }
    let mut running = main
        .threads
        .iter()
        .filter(|thread| read_top_frame(objects.memory, layout, thread.at) != Some(Addr::NULL))
        .peekable();
    // Threads change while they are read: one that can be read is enough.
    let one =
        running.peek().is_none() || running.any(|thread| read_thread_location(objects, thread.at).is_some());
    ensure(one, "no running thread has a code object")
}

fn wrong(what: impl Into<String>) -> Fault {
    Fault::Wrong(what.into())
}

/// Fails with `what` unless `holds`.
fn ensure(holds: bool, what: &str) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(wrong(what)) }
}

/// Every thread is of its interpreter, and linked both ways.
fn verify_threads(memory: &dyn Memory, layout: &Layout, interpreter: &Interpreter) -> Result<(), Fault> {
    let fields = &layout.thread_state;
    let mut before = Addr::NULL;
    for thread in &interpreter.threads {
        let pointer = |offset: u32| memory.read_pointer(thread.at, offset);
        ensure(
            pointer(fields.interp)? == interpreter.at,
            "a thread is not of the interpreter that lists it",
        )?;
        ensure(pointer(fields.prev)? == before, "the list of threads is not linked back")?;
        before = thread.at;
    }
    Ok(())
}

fn verify_interpreter(
    objects: Objects<'_>,
    runtime: &Runtime,
    main: &Interpreter,
) -> Result<Verified, Fault> {
    verify_types(objects, main)?;
    let modules = [("sys", main.sysdict), ("builtins", main.builtins)];
    for (name, dict) in modules {
        let module =
            objects.read_item(main.modules, name).and_then(|module| objects.read_module_dict(module));
        ensure(
            module == Some(dict),
            &format!("`sys.modules` has no `{name}` with the dict that the interpreter knows"),
        )?;
    }
    for dict in [main.modules, main.sysdict, main.builtins] {
        verify_dict(objects, dict)?;
    }
    verify_basic_sizes(objects, main.builtins)?;
    verify_instance(objects, main)?;
    verify_subclasses(objects, main)?;
    for interpreter in &runtime.interpreters {
        verify_collector(objects, interpreter)?;
        verify_garbage(objects, interpreter)?;
    }
    let sys = |name: &str| objects.read_item(main.sysdict, name);
    let hexversion = sys("hexversion").and_then(|value| objects.read_integer(value));
    let hexversion = hexversion.and_then(|value| u32::try_from(value).ok());
    let hexversion = hexversion.ok_or_else(|| wrong("`sys.hexversion` is no number"))?;
    let minor = objects.layout.hexversion >> 16;
    ensure(hexversion >> 16 == minor, &format!("`sys.hexversion` is {hexversion:#010x}"))?;
    let text = |name: &str| sys(name).and_then(|value| objects.read_name(value));
    let version = text("version").ok_or_else(|| wrong("`sys.version` is no text"))?;
    let begins = super::version::format_hexversion(hexversion);
    ensure(version.starts_with(&begins), "`sys.version` and `sys.hexversion` differ")?;
    let implementation = sys("implementation").and_then(|value| objects.read_attribute(value, "name"));
    let implementation = implementation.and_then(|name| objects.read_name(name));
    Ok(Verified {
        runtime: runtime.clone(),
        hexversion,
        abiflags: text("abiflags").unwrap_or_default(),
        implementation: implementation.ok_or_else(|| wrong("`sys.implementation` has no name"))?,
    })
}

/// The type of `type` is `type`, which is an `object`, which has no base; `None` is of a type of its own.
fn verify_types(objects: Objects<'_>, main: &Interpreter) -> Result<(), Fault> {
    let named = |ty: Option<Addr>, name: &str| {
        ty.filter(|&ty| objects.read_type_name(ty).as_deref() == Some(name))
            .ok_or_else(|| wrong(format!("there is no type named `{name}` where it has to be")))
    };
    let dict = named(objects.read_type_of(main.modules), "dict")?;
    ensure(objects.is_instance(main.modules, flags::DICT_SUBCLASS), "`dict` has not its flag")?;
    let ty = named(objects.read_type_of(dict), "type")?;
    ensure(objects.read_type_of(ty) == Some(ty), "the type of `type` is not `type`")?;
    let base = |ty: Addr| objects.read_pointer(ty, objects.layout.type_object.tp_base);
    for ty in [dict, ty] {
        let object = named(base(ty), "object")?;
        ensure(base(object) == Some(Addr::NULL), "`object` has a base")?;
    }
    // The order in which names are looked up in `dict`: itself, then `object`.
    let order = objects.read_pointer(dict, objects.layout.type_object.tp_mro);
    let order = order.ok_or_else(|| wrong("`dict` has no `__mro__`"))?;
    let first = objects.read_pointer(order, objects.layout.tuple_object.ob_item);
    ensure(
        objects.read_length(order) == Some(2) && first == Some(dict),
        "the `__mro__` of `dict` is not that of every `dict`",
    )?;
    let none = objects.read_item(main.builtins, "None").ok_or_else(|| wrong("`builtins` has no `None`"))?;
    named(objects.read_type_of(none), "NoneType").map(|_| ())
}

/// The entries written to a dict's table and the free ones fit into its room, and as many have a value as the dict says. Another member at
/// the same offset, such as indices or a key, might satisfy one dict by chance, but not several.
fn verify_dict(objects: Objects<'_>, dict: Addr) -> Result<(), Fault> {
    let (memory, layout) = (objects.memory, objects.layout);
    let at = memory.read_pointer(dict, layout.dict_object.ma_keys)?;
    let keys = KeysTable::read(memory, layout, at)?;
    let written = memory.read_word(at, layout.dict_keys.dk_nentries)?;
    let free = memory.read_word(at, layout.dict_keys.dk_usable)?;
    ensure(
        written.checked_add(free).is_some_and(|all| all <= keys.room),
        "a dict has more entries than room",
    )?;
    let mut values = 0_u64;
    let read = objects.read_entries(dict, |_, _| {
        values = values.saturating_add(1);
        ControlFlow::Continue(())
    });
    let used = memory.read_word(dict, layout.dict_object.ma_used)?;
    ensure(read.is_some() && used == values, "a dict does not have as many entries as it says")
}

/// `builtins.__spec__` is an instance of a class written in Python: it has attributes, its class has a dict with a function, and the
/// function's code has a name, a file and lines.
fn verify_instance(objects: Objects<'_>, main: &Interpreter) -> Result<(), Fault> {
    /// A function is not longer: its own table says which lines it has.
    const LINES: i32 = 100;
    let layout = objects.layout;
    let spec =
        objects.read_item(main.builtins, "__spec__").ok_or_else(|| wrong("`builtins` has no `__spec__`"))?;
    let name = objects.read_attribute(spec, "name").and_then(|name| objects.read_name(name));
    ensure(name.as_deref() == Some("builtins"), "`builtins.__spec__` has not its name")?;
    let class = objects
        .read_type_of(spec)
        .filter(|&class| objects.read_type_name(class).as_deref() == Some("ModuleSpec"));
    let dict = class.and_then(|class| objects.read_pointer(class, layout.type_object.tp_dict));
    let function = dict.and_then(|dict| objects.read_item(dict, "__init__"));
    let code = function.and_then(|function| objects.read_pointer(function, layout.function_object.func_code));
    let code = code.filter(|&code| objects.read_type_name_of(code).as_deref() == Some("code"));
    let code = code.ok_or_else(|| wrong("a class has no function with code where it has to be"))?;
    let fields = &layout.code_object;
    let text = |offset: u32| objects.read_name(objects.read_pointer(code, offset)?);
    ensure(text(fields.co_name).as_deref() == Some("__init__"), "a code object has not its name")?;
    let qualified = fields.co_qualname.is_none_or(|at| text(at).as_deref() == Some("ModuleSpec.__init__"));
    ensure(qualified, "a code object has not its qualified name")?;
    let file = text(fields.co_filename).is_some_and(|file| file.contains("importlib"));
    ensure(file, "a code object has not its file")?;
    let table =
        objects.read_pointer(code, fields.co_lnotab).and_then(|table| objects.read_bytes(table, 1 << 16));
    let first = objects.memory.read_int(code, fields.co_firstlineno).ok();
    let line = table.zip(first).and_then(|(table, first)| {
        let line = line_at(layout.encodings.line_table, &table, first, 0)?;
        Some(first > 0 && (0..LINES).contains(&line.checked_sub(first)?))
    });
    ensure(line == Some(true), "a code object has not its lines")
}

/// A dict with keys that are no strings: the subclasses of a class, by their addresses, each a weak reference
/// (`add_subclass`, Objects/typeobject.c).
fn verify_subclasses(objects: Objects<'_>, main: &Interpreter) -> Result<(), Fault> {
    let layout = objects.layout;
    let module = objects.read_item(main.modules, "_frozen_importlib_external");
    let dict = module.and_then(|module| objects.read_module_dict(module));
    let Some(class) = dict.and_then(|dict| objects.read_item(dict, "_LoaderBasics")) else {
        // The program has deleted it.
        return Ok(());
    };
    let known = objects.read_pointer(class, layout.type_object.tp_subclasses);
    let mut good = 0_usize;
    let read = known.and_then(|known| {
        objects.read_entries(known, |key, reference| {
            let class = objects.read_integer(key).map(|key| Addr(key.cast_unsigned()));
            let referred = objects.read_pointer(reference, layout.weakref_object.wr_object);
            if class != referred
                || !class.is_some_and(|class| objects.is_instance(class, flags::TYPE_SUBCLASS))
            {
                good = 0;
                return ControlFlow::Break(());
            }
            good = good.saturating_add(1);
            ControlFlow::Continue(())
        })
    });
    ensure(read.is_some() && good > 0, "a class has not its subclasses")
}

/// The sizes of builtin types are those of the layout's structs.
fn verify_basic_sizes(objects: Objects<'_>, builtins: Addr) -> Result<(), Fault> {
    let layout = objects.layout;
    let expected = [
        ("object", layout.object.size),
        ("type", layout.heap_type_object.size),
        ("int", layout.long_object.ob_digit),
        ("float", layout.float_object.size),
        ("complex", layout.complex_object.size),
        ("str", layout.unicode_object.size),
        ("bytes", layout.bytes_object.ob_sval.saturating_add(1)),
        ("bytearray", layout.bytearray_object.size),
        ("memoryview", layout.memoryview_object.ob_array),
        ("tuple", layout.tuple_object.ob_item),
        ("list", layout.list_object.size),
        ("dict", layout.dict_object.size),
        ("set", layout.set_object.size),
        ("frozenset", layout.set_object.size),
        ("range", layout.range_object.size),
        ("slice", layout.slice_object.size),
        ("property", layout.property_object.size),
        ("classmethod", layout.classmethod_object.size),
        ("staticmethod", layout.staticmethod_object.size),
        ("super", layout.super_object.size),
        ("BaseException", layout.base_exception.size),
        ("OSError", layout.os_error.size),
        ("ImportError", layout.import_error.size),
        ("SyntaxError", layout.syntax_error.size),
        ("StopIteration", layout.stop_iteration.size),
    ];
    let mut agreeing = 0_usize;
    let mut fault = None;
    objects.read_entries(builtins, |name, ty| {
        let Some((name, size)) = expected.iter().find(|(known, _)| objects.is_named(name, known)) else {
            return ControlFlow::Continue(());
        };
        if !objects.is_instance(ty, flags::TYPE_SUBCLASS)
            || objects.read_type_name(ty).as_deref() != Some(name)
        {
            // The program has replaced it.
            return ControlFlow::Continue(());
        }
        let basic = objects.memory.read_word(ty, layout.type_object.tp_basicsize);
        if basic == Ok(u64::from(*size)) {
            agreeing = agreeing.saturating_add(1);
            return ControlFlow::Continue(());
        }
        fault = Some(match basic {
            Ok(basic) => format!("a `{name}` has {basic} bytes, not {size}"),
            Err(unreadable) => unreadable.to_string(),
        });
        ControlFlow::Break(())
    });
    match fault {
        Some(what) => Err(wrong(what)),
        None => ensure(
            agreeing >= FEWEST_TYPES,
            &format!("only {agreeing} types of `builtins` are what they are named"),
        ),
    }
}

/// The objects that the collector could not free are in a list, which is `gc.garbage` if that module was imported.
fn verify_garbage(objects: Objects<'_>, interpreter: &Interpreter) -> Result<(), Fault> {
    let list = objects.read_pointer(interpreter.gc, objects.layout.gc_state.garbage);
    let list = list.filter(|&list| list.is_null() || objects.is_instance(list, flags::LIST_SUBCLASS));
    ensure(list.is_some(), "the collector's garbage is no list")?;
    let module =
        objects.read_item(interpreter.modules, "gc").and_then(|module| objects.read_module_dict(module));
    let known = module.and_then(|dict| objects.read_item(dict, "garbage"));
    ensure(known.is_none() || known == list, "`gc.garbage` is not the collector's")
}

/// The lists of the collector close, and it knows their heads.
fn verify_collector(objects: Objects<'_>, interpreter: &Interpreter) -> Result<(), Fault> {
    let layout = objects.layout;
    let (state, size) = (&layout.gc_state, layout.gc_generation.size);
    let memory = objects.memory;
    let number = |offset: u32| memory.read_int(interpreter.gc, offset);
    ensure(matches!(number(state.enabled)?, 0 | 1), "the collector is neither on nor off")?;
    let collecting = number(state.collecting)?;
    ensure(matches!(collecting, 0 | 1), "the collector neither works nor rests")?;
    let mut heads = vec![state.permanent_generation];
    match layout.encodings.gc_lists {
        GcLists::MimallocPages => return Ok(()),
        GcLists::Generations => {
            let first = state.generations.ok_or_else(|| wrong("the layout has no generations"))?;
            heads.extend((0..3).map(|index| first.saturating_add(size.saturating_mul(index))));
            if let Some(offset) = state.generation0 {
                let known = memory.read_pointer(interpreter.gc, offset);
                let first = interpreter.gc.plus(first.into()).plus(layout.gc_generation.head.into());
                ensure(
                    known == Ok(first),
                    "the collector's youngest generation is not where the layout says",
                )?;
            }
        }
        GcLists::YoungOld => {
            let old = state.old.ok_or_else(|| wrong("the layout has no old generations"))?;
            heads.extend(state.young);
            heads.extend([old, old.saturating_add(size)]);
        }
    }
    if collecting != 0 {
        // A collection takes its lists apart.
        return Ok(());
    }
    for head in heads {
        let head = interpreter.gc.plus(head.into()).plus(layout.gc_generation.head.into());
        let link = |at: Addr, offset: u32| {
            let link = memory.read_pointer(at, offset);
            link.map(|link| link.clear_bits(MARKS))
        };
        let (next, prev) = (link(head, layout.gc_head._gc_next)?, link(head, layout.gc_head._gc_prev)?);
        let closes =
            link(next, layout.gc_head._gc_prev)? == head && link(prev, layout.gc_head._gc_next)? == head;
        ensure(closes, "a list of the collector does not close")?;
    }
    Ok(())
}
