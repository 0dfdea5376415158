//! GC roots: the nodes behind those of the objects, from which the program reaches everything it can use.

use std::collections::HashMap;

use super::registry::Registry;
use crate::graph::{NodeId, NodeSet, TooLarge};
use memobj_cpython::heap::builtins::Builtin;
use memobj_cpython::heap::exit_callbacks::ExitCallbacks;
use memobj_cpython::heap::greenlets::{Greenlet, read_greenlet};
use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_cpython::heap::referents::{EdgeKind, ReferenceReader, read_running_frame};
use memobj_cpython::heap::roots::read_guesses;
use memobj_cpython::heap::types::TypeRegistry;
use memobj_cpython::object::Objects;
use memobj_cpython::object::memory_ext::MemoryExt;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::ObjectGraph;
use super::refcounts::read_count;

/// A GC root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Root {
    /// Its kind.
    pub kind: RootKind,
    /// Its node.
    pub node: NodeId,
}

/// The kind of a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootKind {
    /// `sys.modules` of the interpreter with this number; its references are the modules.
    Modules(usize),
    /// A running frame.
    Frame {
        /// Its address: a frame object until 3.10, then an interpreter's frame.
        at: Addr,
        /// Its thread, by the number among [`ObjectGraph::threads`].
        thread: usize,
    },
    /// The state of a thread, by its number among [`ObjectGraph::threads`]: its dict, its exceptions, its context.
    Thread(usize),
    /// The callbacks of `atexit`, with the address of their number if it is in C.
    ExitCallbacks(Option<Addr>),
    /// What was registered with an interpreter.
    Registry(Registry),
    /// The rest of the state of an interpreter.
    Interpreter(usize),
    /// Greenlets that are suspended: the collector does not free them, whoever refers to them (`green_is_gc` in `PyGreenlet.cpp`).
    Greenlets,
    /// The C stacks of those, and the stacks of their frames where the depth is unknown.
    GreenletStacks,
    /// The static types of C code, and objects that they own.
    StaticTypes,
    /// Native code: its objects have a higher reference count than references were found.
    Native,
    /// No known referrer: its objects have a reference count, and no reference was found. Native code holds them, or leaked them.
    Unknown,
}

/// A thread of a Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraphThread {
    /// Its `PyThreadState`.
    pub at: Addr,
    /// Its interpreter, the main one being 0.
    pub interpreter: usize,
    /// The value of `threading.get_ident` in it.
    pub ident: u64,
}

impl ObjectGraph<'_> {
    /// Adds the roots that are found in the interpreters' structs.
    pub(super) fn add_known_roots<M: Memory>(&mut self, python: &PythonHeap<'_, M>) -> Result<(), TooLarge> {
        let layout = python.layout;
        let mut types = TypeRegistry::new(python);
        let mut reader = ReferenceReader { python, types: &mut types };
        let objects = Objects::new(python.memory, layout);
        let mut found: Vec<(RootKind, Vec<NodeId>)> = Vec::new();
        let guesses = |reader: &mut ReferenceReader<'_, '_, '_, M>, at: Addr, bytes: u32| {
            let mut held = Vec::new();
            read_guesses(reader, at, bytes.into(), &mut |to: Addr, _: EdgeKind| held.push(to));
            held
        };
        for (number, &interpreter) in python.interpreters.iter().enumerate() {
            let dict =
                objects.read_pointer(interpreter, layout.interpreter_state.modules).unwrap_or_default();
            let modules: Vec<Addr> =
                objects.read_pairs(dict, usize::MAX).into_iter().map(|(_, module)| module).collect();
            found.push((RootKind::Modules(number), self.nodes(&modules)));
            for at in python.read_threads(interpreter) {
                let thread = self.threads.len();
                let ident = python.memory.read_word(at, layout.thread_state.thread_id).unwrap_or(0);
                self.threads.push(GraphThread { at, interpreter: number, ident });
                for frame in python.read_frames(at) {
                    let mut held = Vec::new();
                    let _ =
                        read_running_frame(&mut reader, frame, &mut |to: Addr, _: EdgeKind| held.push(to));
                    found.push((RootKind::Frame { at: frame, thread }, self.nodes(&held)));
                }
                let held = guesses(&mut reader, at, layout.thread_state.size);
                found.push((RootKind::Thread(thread), self.nodes(&held)));
            }
            let held = guesses(&mut reader, interpreter, layout.interpreter_state.size);
            let registries = Registry::read_all(objects, layout, interpreter);
            let (lists, mut held): (Vec<Addr>, Vec<Addr>) =
                held.into_iter().partition(|&at| python.is_exit_callback_list(at));
            held.retain(|held| registries.iter().all(|(_, at)| at != held));
            for (registry, at) in registries {
                found.push((RootKind::Registry(registry), self.nodes(&[at])));
            }
            let callbacks = match python.read_exit_callbacks(interpreter) {
                Some(ExitCallbacks { held, count }) => (Some(count), held),
                None => (None, lists),
            };
            found.push((RootKind::ExitCallbacks(callbacks.0), self.nodes(&callbacks.1)));
            found.push((RootKind::Interpreter(number), self.nodes(&held)));
        }
        let mut on_stacks = std::mem::take(&mut self.on_stacks);
        on_stacks.sort_unstable();
        on_stacks.dedup();
        found.push((RootKind::GreenletStacks, on_stacks));
        self.drop_stale_guesses(python, &mut found);
        found.push((RootKind::Greenlets, self.suspended_greenlets(objects)));
        for (kind, held) in found {
            self.add_root(kind, held)?;
        }
        let fixed = self.static_types(python);
        self.add_root(RootKind::StaticTypes, fixed)
    }

    /// The static types, with or without objects.
    fn static_types<M: Memory>(&self, python: &PythonHeap<'_, M>) -> Vec<NodeId> {
        let is_metatype: Vec<bool> = self.types.iter().map(|counted| counted.ty.is_metatype()).collect();
        let is_static = |node: &NodeId| {
            let of_type = is_metatype.get(self.type_index(*node).0 as usize).is_some_and(|&is| is);
            let is_heap = || self.address(*node).and_then(|at| python.read_is_heap_type(at).ok());
            of_type && is_heap() == Some(false)
        };
        self.object_nodes().filter(is_static).collect()
    }

    fn suspended_greenlets(&self, objects: Objects<'_>) -> Vec<NodeId> {
        let is_suspended = |node: &NodeId| {
            self.type_of(*node).is_some_and(|of| of.kind == Some(Builtin::Greenlet))
                && self.address(*node).is_some_and(|at| read_greenlet(objects, at) != Greenlet::Idle)
        };
        self.object_nodes().filter(is_suspended).collect()
    }

    fn nodes(&self, held: &[Addr]) -> Vec<NodeId> {
        held.iter().filter_map(|&at| self.node(at)).collect()
    }

    /// Drops guessed references, from the states of threads and interpreters and from stacks, to objects whose whole reference count is
    /// accounted for. A state has lists of freed objects (`Include/internal/pycore_interp.h`), and old pointers stay written in them.
    fn drop_stale_guesses<M: Memory>(
        &self,
        python: &PythonHeap<'_, M>,
        found: &mut [(RootKind, Vec<NodeId>)],
    ) {
        let is_guessed = |kind: RootKind| {
            matches!(kind, RootKind::Thread(_) | RootKind::Interpreter(_) | RootKind::GreenletStacks)
        };
        let guessed = || found.iter().filter(|(kind, _)| is_guessed(*kind)).flat_map(|(_, held)| held);
        let mut counts: HashMap<NodeId, u64> = guessed().map(|&node| (node, 0)).collect();
        // A bit for each guess: most edges lead elsewhere.
        let mut guesses = NodeSet::new(self.objects());
        counts.keys().for_each(|&node| guesses.insert(node));
        for from in self.object_nodes() {
            for &to in self.references.targets(from) {
                if guesses.contains(to)
                    && let Some(count) = counts.get_mut(&to)
                {
                    *count = count.saturating_add(1);
                }
            }
        }
        let is_held = |node: &NodeId| {
            let counted = self.address(*node).map(|at| read_count(python.memory, python.layout, at));
            match counted {
                Some(Ok(Some(counted))) => counts.get(node).is_none_or(|&found| counted > found),
                // It is immortal.
                Some(Ok(None)) => true,
                Some(Err(_)) | None => false,
            }
        };
        for (kind, held) in found.iter_mut() {
            if is_guessed(*kind) {
                held.retain(is_held);
            }
        }
    }

    /// Adds a root with references to these objects.
    pub(super) fn add_root(&mut self, kind: RootKind, held: Vec<NodeId>) -> Result<(), TooLarge> {
        let node = self.references.add(held)?;
        self.roots.push(Root { kind, node });
        Ok(())
    }
}
