//! `Thread` objects and the names of threads, from the module `threading`.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::object_graph::GraphThread;
use memobj_cpython::object::Objects;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::NameReader;

/// More entries of `threading._active` than any process can have threads.
const MAX_THREADS: usize = 1 << 22;

/// The `Thread` object of a thread.
#[derive(Debug, Clone, Default)]
pub struct ThreadObject {
    /// Its name.
    pub name: Option<Arc<str>>,
    /// The kernel's number of the thread.
    pub native_id: Option<u64>,
    /// Whether the interpreter ends without waiting for it.
    pub daemon: Option<bool>,
    /// Whether it is the main thread.
    pub main: bool,
}

/// Reads `threading._active` by ident; `modules` is `sys.modules`. `None` if the interpreter has not imported `threading`.
pub fn read_thread_objects(objects: Objects<'_>, modules: Addr) -> Option<HashMap<u64, ThreadObject>> {
    let dict = objects.read_module_dict(objects.read_item(modules, "threading")?)?;
    let main = objects.read_item(dict, "_main_thread");
    let mut found = HashMap::new();
    objects.read_entries(objects.read_item(dict, "_active")?, |ident, thread| {
        if let Some(ident) = objects.read_integer(ident) {
            let attribute = |name: &str| objects.read_attribute(thread, name);
            let native_id = attribute("_native_id").and_then(|id| objects.read_integer(id));
            let object = ThreadObject {
                name: attribute("_name").and_then(|name| objects.read_name(name)).map(Into::into),
                native_id: native_id.and_then(|id| u64::try_from(id).ok()),
                daemon: attribute("_daemonic").and_then(|daemon| objects.read_boolean(daemon)),
                main: main == Some(thread),
            };
            found.insert(ident.cast_unsigned(), object);
        }
        if found.len() < MAX_THREADS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    Some(found)
}

/// Reads the names of these threads, in their order; the ident of a thread that `threading` does not know.
pub fn read_thread_names<M: Memory>(
    names: &mut NameReader<'_, '_, M>,
    threads: &[GraphThread],
) -> Vec<Arc<str>> {
    let (objects, layout) = (names.objects(), names.python().layout);
    let modules = names.python().interpreters.iter();
    let modules = modules.filter_map(|&at| objects.read_pointer(at, layout.interpreter_state.modules));
    let known: HashMap<u64, Arc<str>> = modules
        .filter_map(|modules| read_thread_objects(objects, modules))
        .flatten()
        .filter_map(|(ident, object)| Some((ident, object.name?)))
        .collect();
    let name = |thread: &GraphThread| known.get(&thread.ident).cloned();
    threads
        .iter()
        .map(|thread| name(thread).unwrap_or_else(|| format!("{:#x}", thread.ident).into()))
        .collect()
}
