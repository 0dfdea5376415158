//! Names of the members of C structs: Python's name where Python shows the member, else the one in C.

use memobj_cpython::heap::builtins::Builtin;
use memobj_cpython::heap::types::{Traverse, Type};
use memobj_cpython::layout::FixedShape;
use memobj_cpython::object::memory_ext::MemoryExt;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::{NameReader, Reference};

/// Members that lead to the content of the object: of a cell, of a context.
const INSIDE: &[&str] =
    &["dict", "ns_dict", "sm_dict", "cm_dict", "ob_ref", "ctx_vars", "h_root", "cw_coroutine"];

/// Members for the object that this one is a view of or a proxy for.
const WRAPPED: &[&str] = &["mapping", "mbuf", "dv_dict", "ww_task", "sw_task", "ags_gen", "agt_gen"];

/// Python's names of members; of one type, where others use the name for something else.
const NAMES: &[(Option<&str>, &str, &str)] = &[
    (Some("types.GenericAlias"), "args", "__args__"),
    (Some("types.UnionType"), "args", "__args__"),
    (Some("super"), "obj", "__self__"),
    (Some("super"), "type", "__thisclass__"),
    (Some("super"), "obj_type", "__self_class__"),
    (None, "args", "args"),
    (None, "fn", "func"),
    (None, "kw", "keywords"),
    (None, "notes", "__notes__"),
    (None, "traceback", "__traceback__"),
    (None, "context", "__context__"),
    (None, "cause", "__cause__"),
    (None, "excs", "exceptions"),
    (None, "myerrno", "errno"),
    (None, "im_func", "__func__"),
    (None, "im_self", "__self__"),
    (None, "m_self", "__self__"),
    (None, "m_module", "__module__"),
    (None, "self", "__self__"),
    (None, "d_type", "__objclass__"),
    (None, "sm_callable", "__func__"),
    (None, "cm_callable", "__func__"),
    (None, "prop_get", "fget"),
    (None, "prop_set", "fset"),
    (None, "prop_del", "fdel"),
    (None, "prop_doc", "__doc__"),
    (None, "origin", "__origin__"),
    (None, "parameters", "__parameters__"),
    (None, "fut_callback0", "_callbacks"),
    (None, "task_callback0", "_callbacks"),
    (None, "fut_source_tb", "_source_traceback"),
    (None, "task_source_tb", "_source_traceback"),
    (None, "fut_cancel_msg", "_cancel_message"),
    (None, "task_cancel_msg", "_cancel_message"),
    (None, "tok_oldval", "old_value"),
    (None, "it_seq", "sequence"),
    (None, "si_set", "set"),
    (None, "di_dict", "dict"),
];

/// Prefixes of members in C, and what Python has instead: `_loop` and `_coro` in futures and tasks.
const PREFIXES: &[(&str, &str)] = &[
    ("fut_", "_"),
    ("task_", "_"),
    ("tok_", ""),
    ("var_", ""),
    ("en_", ""),
    ("it_", ""),
    ("di_", ""),
    ("ctx_", ""),
    ("ags_", ""),
    ("agt_", ""),
    ("agw_", ""),
    ("sw_", ""),
];

/// The reference that a member of a struct is.
fn reference(tp_name: &str, member: &str) -> Reference {
    if INSIDE.contains(&member) {
        return Reference::Internal;
    }
    if WRAPPED.contains(&member) {
        return Reference::Wrapped;
    }
    let named = NAMES
        .iter()
        .find(|&&(of, known, _)| known == member && of.is_none_or(|of| of == tp_name))
        .map(|&(_, _, name)| name.into());
    let stripped = || {
        let (rest, before) =
            PREFIXES.iter().find_map(|&(prefix, new)| Some((member.strip_prefix(prefix)?, new)))?;
        Some(format!("{before}{rest}").into())
    };
    Reference::Attribute(named.or_else(stripped).unwrap_or_else(|| member.into()))
}

impl<M: Memory> NameReader<'_, '_, M> {
    /// Visits the references of an object with a fixed layout.
    pub(super) fn visit_shape(&self, at: Addr, shape: &FixedShape, each: &mut impl FnMut(Addr, Reference)) {
        let members = shape.visited.iter().zip(shape.names);
        let fields = members.map(|(&offset, member)| (offset, reference(shape.tp_name, member)));
        self.visit_fields(at, fields, each);
    }

    /// The fixed layout of a type's objects, if it has one.
    pub(super) fn shape(of: &Type) -> Option<&'static FixedShape> {
        match of.traverse {
            Traverse::Members(shape) => Some(shape),
            Traverse::Nothing | Traverse::Known(_) | Traverse::Guess => None,
        }
    }

    /// Visits a node of the tree in a context (`Python/hamt.c`): keys, which are context variables, and values; or null and a node below.
    pub(super) fn visit_hamt_items(&mut self, at: Addr, of: &Type, each: &mut impl FnMut(Addr, Reference)) {
        let (memory, layout) = (self.python.memory, self.python.layout);
        let array = if of.qualname == "hamt_bitmap_node" {
            layout.hamt_node_bitmap.b_array
        } else {
            layout.hamt_node_collision.c_array
        };
        let count = memory.read_count(at, layout.var_object.ob_size).unwrap_or(0);
        let mut key = None;
        let mut items = Vec::new();
        let _ = memory.read_words(at.plus(u64::from(array)), count.min(MAX_ITEMS), |word| match key.take() {
            None => key = Some(Addr(word)),
            Some(key) => items.push((key, Addr(word))),
        });
        for (key, value) in items {
            if value.is_null() {
                continue;
            }
            if key.is_null() {
                each(value, Reference::Internal);
                continue;
            }
            match self.context_variable(key) {
                Some(name) => each(value, Reference::ContextVariable(name)),
                None => each(value, Reference::Element),
            }
            each(key, Reference::Key);
        }
    }

    /// The name of the context variable at `at`.
    fn context_variable(&mut self, at: Addr) -> Option<std::sync::Arc<str>> {
        let name = self.objects.read_pointer(at, self.python.layout.contextvar_object.var_name)?;
        self.key(name)
    }

    /// Visits the awaitable of the coroutine at `at`, if it waits in `frame` (`_PyGen_yf` in `Objects/genobject.c`): the top of its stack,
    /// or, from 3.15 on, the slot below a number there.
    pub(super) fn visit_awaited(&mut self, at: Addr, frame: Addr, each: &mut impl FnMut(Addr, Reference)) {
        let name = match self.type_of(at).and_then(|of| of.kind) {
            Some(Builtin::Coroutine) => "cr_await",
            Some(Builtin::AsyncGenerator) => "ag_await",
            _ => return,
        };
        let top = self.tops_of_stack(frame).into_iter().flatten().find(|top| !top.is_null());
        if let Some(top) = top
            && self.type_of(top).is_some_and(|of| is_awaited(&of))
        {
            each(top, Reference::Awaited(name));
        }
    }
}

/// More items than a node of a context's tree has: 32 pairs, and those whose hashes collide.
const MAX_ITEMS: u64 = 1 << 16;

/// Whether a type's objects are left on a stack only by `await` and `async for`.
fn is_awaited(of: &Type) -> bool {
    matches!(of.kind, Some(Builtin::Coroutine | Builtin::Generator))
        || matches!(
            of.qualname.as_str(),
            "FutureIter" | "coroutine_wrapper" | "async_generator_asend" | "async_generator_athrow"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_have_pythons_names() {
        let attribute = |name: &str| Reference::Attribute(name.into());
        assert_eq!(reference("functools.partial", "fn"), attribute("func"));
        assert_eq!(reference("functools.partial", "args"), attribute("args"));
        assert_eq!(reference("types.GenericAlias", "args"), attribute("__args__"));
        assert_eq!(reference("_asyncio.Task", "task_coro"), attribute("_coro"));
        assert_eq!(reference("_asyncio.Future", "fut_callback0"), attribute("_callbacks"));
        assert_eq!(reference("BaseException", "traceback"), attribute("__traceback__"));
        assert_eq!(reference("traceback", "tb_frame"), attribute("tb_frame"));
        assert_eq!(reference("BaseException", "dict"), Reference::Internal);
        assert_eq!(reference("mappingproxy", "mapping"), Reference::Wrapped);
    }
}
