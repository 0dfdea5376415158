//! Names of places: a module or function, then attributes and variables.

use std::sync::Arc;

use common::record::{EXIT_CALLBACKS, GREENLETS, Liveness};

use crate::graph::NodeId;
use crate::names::modules::Modules;
use crate::names::{NameReader, Reference, qualified_name};
use crate::object_graph::{ObjectGraph, RootKind};
use memobj_cpython::heap::builtins::Builtin;
use memobj_cpython::heap::types::Type;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

/// The name of what only the structs of an interpreter refer to.
pub const INTERPRETER: &str = "(interpreter)";

/// The name of what only the C stacks of greenlets refer to: arguments of functions that wait.
pub const GREENLET_STACKS: &str = "(stacks of greenlets)";

/// The name of contexts of context variables that no module holds.
pub const CONTEXTS: &str = "(contexts)";

/// The place of unreachable objects.
pub fn liveness_place(liveness: Liveness) -> Arc<str> {
    format!("({liveness})").into()
}

/// The role of a node in the name of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The object with the name.
    Named,
    /// The dict of a module, a class or an instance: its entries are their attributes.
    Namespace,
    /// The default arguments of the function at this address, by number.
    Defaults(Addr),
    /// The keyword-only default arguments.
    KeywordDefaults,
    /// The closure variables of the function at this address.
    Closure(Addr),
    /// A cell: its content has the name.
    Cell,
    /// The dicts of a `threading.local`, by thread.
    ThreadLocals,
    /// A part of the object with the name, without a name of its own.
    Part,
}

/// The part that a reference adds to a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamePart {
    /// No part: the target has the same name.
    Nothing,
    /// `.name`.
    Attribute(Arc<str>),
    /// A variable or a frame: `local name`, `default name`, `closure name`, `frame of function()`.
    Labeled(Arc<str>),
    /// `context variable name`.
    ContextVariable(Arc<str>),
    /// `cache of` it.
    Cache,
    /// `thread name:` before everything else.
    OfThread(Arc<str>),
}

impl NamePart {
    fn labeled(label: &str, name: &str) -> Self {
        Self::Labeled(format!("{label} {name}").into())
    }

    /// Appends this to a name.
    pub fn append_to(&self, text: &Arc<str>) -> Arc<str> {
        match self {
            Self::Nothing => Arc::clone(text),
            Self::Attribute(name) => format!("{text}.{name}").into(),
            Self::Labeled(label) | Self::ContextVariable(label) => format!("{text} {label}").into(),
            Self::Cache => format!("cache of {text}").into(),
            Self::OfThread(name) => format!("thread {name}: {text}").into(),
        }
    }
}

/// The name that a place of one thread ([`NamePart::OfThread`]) has for all threads together.
pub fn name_of_threads(place: &str) -> Option<String> {
    let (_, of_all) = place.strip_prefix("thread ")?.split_once(": ")?;
    Some(format!("threads: {of_all}"))
}

/// Builds the names of places.
pub struct PlaceNamer<'a, 'p, 'm, 'w, M> {
    /// The graph.
    pub graph: &'a ObjectGraph<'w>,
    /// The modules.
    pub modules: &'a Modules,
    /// The names of the threads of `graph`.
    pub threads: &'a [Arc<str>],
    /// The reader of all other names.
    pub names: &'a mut NameReader<'p, 'm, M>,
}

impl<M: Memory> PlaceNamer<'_, '_, '_, '_, M> {
    /// The name of a root, and its module.
    pub fn root(&mut self, node: NodeId) -> (Arc<str>, Option<Arc<str>>) {
        if let Some(root) = self.graph.root(node) {
            return match root.kind {
                RootKind::Modules(_) => ("sys.modules".into(), Some("sys".into())),
                RootKind::Frame { at, .. } => match self.names.function_of_frame(at) {
                    Some((module, name)) => {
                        (format!("{}()", qualified_name(module.as_deref(), &name)).into(), module)
                    }
                    None => ("a frame".into(), None),
                },
                RootKind::Thread(number) => {
                    let name = self.threads.get(number).map_or("?", |name| name);
                    (format!("thread {name}").into(), None)
                }
                RootKind::ExitCallbacks(_) => (EXIT_CALLBACKS.into(), None),
                RootKind::Registry(registry) => (registry.name().into(), None),
                RootKind::Interpreter(_) => (INTERPRETER.into(), None),
                RootKind::Greenlets => (GREENLETS.into(), None),
                RootKind::GreenletStacks => (GREENLET_STACKS.into(), None),
                RootKind::StaticTypes => ("(builtin types)".into(), None),
                RootKind::Native => ("(native code)".into(), None),
                RootKind::Unknown => ("(no known referrer)".into(), None),
            };
        }
        let Some(at) = self.graph.address(node) else { return ("?".into(), None) };
        if let Some(module) = self.modules.get(at) {
            return (Arc::clone(&module.name), Some(Arc::clone(&module.name)));
        }
        if self.graph.type_of(node).is_some_and(is_context) {
            return (CONTEXTS.into(), None);
        }
        match self.names.suspended(at) {
            Some(of) => (format!("{}()", qualified_name(of.module.as_deref(), &of.name)).into(), of.module),
            None => ("?".into(), None),
        }
    }

    /// The part that a reference adds to the name, and the role of its target; `None` if the target is a part of the object with the name.
    pub fn follow(
        &mut self,
        from: Addr,
        from_type: Option<&Type>,
        role: Role,
        reference: &Reference,
        to: Addr,
    ) -> Option<(NamePart, Role)> {
        let kind = from_type.and_then(|of| of.kind);
        let is_cell =
            |names: &mut NameReader<'_, '_, M>| names.type_of(to).is_some_and(|of| of.name() == "cell");
        Some(match (role, reference) {
            (Role::Namespace, Reference::Entry(key)) => match self.names.key(*key)? {
                // A wrapped function has the name of its wrapper (`functools.update_wrapper`).
                name if &*name == "__wrapped__" => (NamePart::Nothing, Role::Named),
                name => (NamePart::Attribute(name), Role::Named),
            },
            (Role::Defaults(function), Reference::Index(index)) => {
                (NamePart::labeled("default", &self.names.default_argument(function, *index)?), Role::Named)
            }
            (Role::KeywordDefaults, Reference::Entry(key)) => {
                (NamePart::labeled("default", &self.names.key(*key)?), Role::Named)
            }
            (Role::Closure(function), Reference::Index(index)) => {
                let name = self.names.closure_variable(function, *index)?;
                (
                    NamePart::labeled("closure", &name),
                    if is_cell(self.names) { Role::Cell } else { Role::Named },
                )
            }
            (Role::Cell, Reference::Internal) | (Role::Named, Reference::Wrapped) => {
                (NamePart::Nothing, Role::Named)
            }
            (Role::ThreadLocals, Reference::Entry(key)) => {
                (NamePart::OfThread(self.thread_of(*key)?), Role::Namespace)
            }
            (Role::Named, Reference::Internal) => {
                let is_dict = self.names.type_of(to).is_some_and(|of| of.kind == Some(Builtin::Dict));
                (NamePart::Nothing, if is_dict { Role::Namespace } else { Role::Named })
            }
            (Role::Named, Reference::Defaults) => (NamePart::Nothing, Role::Defaults(from)),
            (Role::Named, Reference::KeywordDefaults) => (NamePart::Nothing, Role::KeywordDefaults),
            (Role::Named, Reference::Closure) => (NamePart::Nothing, Role::Closure(from)),
            (Role::Named, Reference::Local(name)) => {
                let role = if is_cell(self.names) { Role::Cell } else { Role::Named };
                (NamePart::labeled("local", name), role)
            }
            (Role::Named, Reference::Cached) => (NamePart::Cache, Role::Part),
            (Role::Named, Reference::ThreadLocals) => (NamePart::Nothing, Role::ThreadLocals),
            (Role::Named, Reference::Awaited(name)) => (NamePart::Attribute((*name).into()), Role::Named),
            (Role::Named, Reference::ContextVariable(name)) => {
                (NamePart::ContextVariable(format!("context variable {name}").into()), Role::Named)
            }
            (Role::Named, Reference::Attribute(name)) => match kind {
                // Likewise; the attributes of a function or a class are parts of it.
                Some(Builtin::LruCache) => (NamePart::Nothing, Role::Named),
                Some(Builtin::Function | Builtin::Type | Builtin::Frame | Builtin::Module) => return None,
                _ if self.names.type_of(to).is_some_and(|of| of.kind == Some(Builtin::Frame)) => {
                    let function = self.names.function_of_frame_object(to)?;
                    (NamePart::labeled("frame of", &format!("{function}()")), Role::Named)
                }
                _ if is_wrapper(from_type) => (NamePart::Nothing, Role::Named),
                _ => (NamePart::Attribute(Arc::clone(name)), Role::Named),
            },
            _ => return None,
        })
    }

    /// Finds the thread of a key in the dicts of a `threading.local`: the key is a weak reference to an object in the thread's dict, or,
    /// from 3.13 on, an object in its state.
    fn thread_of(&mut self, key: Addr) -> Option<Arc<str>> {
        let layout = self.names.python().layout;
        let referred = match self.names.type_of(key)?.kind {
            Some(Builtin::WeakReference) => {
                self.names.objects().read_pointer(key, layout.weakref_object.wr_object)?
            }
            _ => key,
        };
        let wanted = self.graph.node(referred)?;
        let references = self.graph.references();
        let holds = |node: NodeId| references.targets(node).contains(&wanted);
        let of_thread = self.graph.roots().iter().find_map(|root| match root.kind {
            RootKind::Thread(number) => {
                let direct =
                    holds(root.node) || references.targets(root.node).iter().any(|&held| holds(held));
                direct.then_some(number)
            }
            _ => None,
        });
        self.threads.get(of_thread?).map(Arc::clone)
    }
}

/// The reference from the state of a thread to `to`: only its context has a name.
pub(super) fn step_of_thread(graph: &ObjectGraph<'_>, to: NodeId) -> Option<Reference> {
    is_context(graph.type_of(to)?).then_some(Reference::Internal)
}

/// Whether a type's objects are contexts: the values of context variables.
pub(super) fn is_context(of: &Type) -> bool {
    of.qualname == "Context" && matches!(of.module.as_str(), "builtins" | "_contextvars")
}

/// Whether a type's objects only wrap a function.
fn is_wrapper(of: Option<&Type>) -> bool {
    let Some(of) = of else { return false };
    matches!(of.name().as_str(), "property" | "classmethod" | "staticmethod" | "method")
}
