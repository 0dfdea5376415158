//! Types whose objects may have frames that cannot be read: coroutines of C code that switches stacks, other than those that are known.

use std::rc::Rc;
use std::sync::Arc;

use memobj_cpython::heap::builtins::Builtin;
use memobj_cpython::heap::greenlets::{Greenlet, read_greenlet};
use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_cpython::heap::types::{Type, TypeRegistry};
use memobj_cpython::heap::walk::HeapWalk;
use memobj_cpython::object::Objects;
use memobj_process::memory::Memory;

/// What such types are called: `fibers.Fiber`, `stackless.tasklet`, `_continuation.continulet`.
const NAMES: [&str; 5] = ["fiber", "tasklet", "continulet", "coroutine", "greenlet"];
/// Modules whose coroutines switch no stacks: CPython's own, and those of Cython (`_cython_3_0_11`), which the collector sees.
const STACKLESS: [&str; 3] = ["builtins", "types", "_cython"];

/// The names of the types in a heap whose objects may have such frames, in the order of their addresses.
pub(super) fn find<M: Memory>(python: &PythonHeap<'_, M>, walked: &HeapWalk) -> Vec<Arc<str>> {
    let name = |of: &Type| Arc::<str>::from(of.name());
    let mut found: Vec<Arc<str>> = walked
        .types
        .iter()
        .filter(|counted| counted.counts.heap.objects > 0 && may_have_frames(&counted.ty))
        .map(|counted| name(&counted.ty))
        .collect();
    if walked.types.iter().any(|counted| counted.ty.kind == Some(Builtin::Greenlet)) {
        let objects = Objects::new(python.memory, python.layout);
        let mut types = TypeRegistry::new(python);
        walked.heap.for_each(&walked.index, |at| {
            let of = types.type_of(at).and_then(|id| types.get(id)).map(Rc::clone);
            let Some(of) = of.filter(|of| of.kind == Some(Builtin::Greenlet)) else { return };
            if read_greenlet(objects, at) == Greenlet::Unknown && !found.contains(&name(&of)) {
                found.push(name(&of));
            }
        });
    }
    found
}

/// Whether objects of a type that is not known may have frames of their own.
fn may_have_frames(of: &Type) -> bool {
    let called = of.qualname.to_lowercase();
    of.kind.is_none()
        && of.class.is_none()
        && !of.is_metatype()
        && !STACKLESS.iter().any(|module| of.module.starts_with(module))
        && NAMES.iter().any(|name| called.contains(name))
}
