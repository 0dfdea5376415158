//! Names of threads, from the module `threading`.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::object_graph::GraphThread;
use memobj_process::memory::Memory;

use super::NameReader;

/// Reads the names of these threads, in their order; the ident of a thread that `threading` does not know.
#[must_use]
pub fn read_thread_names<M: Memory>(
    names: &mut NameReader<'_, '_, M>,
    threads: &[GraphThread],
) -> Vec<Arc<str>> {
    let layout = names.python().layout;
    let objects = names.objects();
    let mut known: HashMap<u64, Arc<str>> = HashMap::new();
    for interpreter in &names.python().interpreters {
        let active = objects
            .pointer(*interpreter, layout.interpreter_state.modules)
            .and_then(|modules| objects.item(modules, "threading"))
            .and_then(|module| objects.module_dict(module))
            .and_then(|dict| objects.item(dict, "_active"));
        let Some(active) = active else { continue };
        objects.entries(active, |ident, thread| {
            let name = objects.attribute(thread, "_name").and_then(|name| objects.name(name));
            if let (Some(ident), Some(name)) = (objects.integer(ident), name) {
                known.insert(ident.cast_unsigned(), name.into());
            }
            ControlFlow::Continue(())
        });
    }
    threads
        .iter()
        .map(|thread| {
            known.get(&thread.ident).map_or_else(|| format!("{:#x}", thread.ident).into(), Arc::clone)
        })
        .collect()
}
