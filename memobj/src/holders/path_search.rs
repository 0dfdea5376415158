//! The reported path to each object: the shortest one that says something to the program's author.
//!
//! An object has many paths. Those from the program's own modules come first, then those from its running and suspended functions, from
//! installed packages' functions, from the modules of the standard library, from contexts, and from its functions and the threads. Last come paths over
//! references that bind all objects to each other and explain nothing: an instance to its class, a function to its module, a class to its
//! bases, a module to its imports.
//!
//! An event loop refers to everything that waits; so paths of the program do not lead through it. What runs or waits in a context does not
//! hold the values of its variables: unless an own module holds it, paths begin at the context.
//!
//! A census may find a call at work on what something else keeps: the registry of a library, a context variable. So in a series of
//! censuses, paths of calls do not lead to what something more lasting held in the census before.

use std::collections::{HashMap, HashSet};

use crate::graph::{NodeId, NodeSet, ShortestPaths};
use crate::names::NameReader;
use crate::names::modules::{Module, Modules, Origin};
use crate::object_graph::{ObjectGraph, RootKind, TypeIndex};
use crate::survivors::Keeper;
use common::record::Liveness;
use memobj_cpython::heap::builtins::Builtin;
use memobj_cpython::heap::types::Type;
use memobj_cpython::object::memory_ext::MemoryExt;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::calls::{Calls, FrameOrders, order_suspended};
use super::definitions::Definitions;
use super::place_name::is_context;

/// Suspended calls of one function that are places of their own. More of them are many of a kind, held by whatever holds them.
const MAX_ALIKE: usize = 16;

/// The role of a type in the search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NodeClass {
    Other,
    Module,
    Type,
    Tuple,
    Frame,
    Suspended,
    EventLoop,
    Context,
    WeakKeyDictionary,
    WeakReference,
}

/// The rules by which edges are followed.
struct EdgeRules<'l, 'w> {
    graph: &'l ObjectGraph<'w>,
    classes: Vec<NodeClass>,
    /// The node of each type.
    types: Vec<Option<NodeId>>,
    /// The dicts of modules.
    dicts: NodeSet,
    modules: HashMap<NodeId, NodeId>,
    /// The dicts of weak-key dictionaries: their values live as long as their keys, whoever holds those.
    weak_keyed: NodeSet,
    definitions: Definitions,
    /// Attributes of classes that are objects of the program, and the dicts of classes.
    class_attributes: NodeSet,
    class_dicts: NodeSet,
}

impl<'l, 'w> EdgeRules<'l, 'w> {
    fn new<M: Memory>(
        graph: &'l ObjectGraph<'w>,
        modules: &Modules,
        names: &mut NameReader<'_, '_, M>,
    ) -> Self {
        let (memory, layout) = (names.python().memory, names.python().layout);
        let loops = event_loop_class(modules, names).and_then(|class| graph.node(class));
        let is_loop = |of: &Type| {
            let bases = memory.read_pointer(of.at, layout.type_object.tp_mro).ok();
            let bases = bases.filter(|_| of.is_heap()).and_then(|bases| graph.node(bases));
            loops.zip(bases).is_some_and(|(class, bases)| graph.references().targets(bases).contains(&class))
        };
        let class = |of: &Type| match of.kind {
            _ if of.is_metatype() => NodeClass::Type,
            Some(Builtin::Module) => NodeClass::Module,
            Some(Builtin::Frame) => NodeClass::Frame,
            Some(Builtin::Tuple) => NodeClass::Tuple,
            Some(Builtin::WeakReference) => NodeClass::WeakReference,
            Some(builtin) if builtin.is_suspendable() => NodeClass::Suspended,
            _ if of.module == "weakref" && of.qualname == "WeakKeyDictionary" => NodeClass::WeakKeyDictionary,
            _ if is_loop(of) => NodeClass::EventLoop,
            _ if is_context(of) => NodeClass::Context,
            _ => NodeClass::Other,
        };
        let types = graph.types();
        let mut rules = Self {
            graph,
            classes: types.iter().map(|counted| class(&counted.ty)).collect(),
            types: types.iter().map(|counted| graph.node(counted.ty.at)).collect(),
            dicts: NodeSet::new(graph.objects()),
            modules: HashMap::new(),
            weak_keyed: NodeSet::new(graph.objects()),
            definitions: Definitions::find(graph, modules, names),
            class_attributes: NodeSet::new(graph.objects()),
            class_dicts: NodeSet::new(graph.objects()),
        };
        for node in graph.object_nodes() {
            let class = rules.class(node);
            if class == NodeClass::Module {
                let dict = graph.address(node);
                let dict = dict.and_then(|at| memory.read_pointer(at, layout.module_object.md_dict).ok());
                if let Some(dict) = dict.and_then(|dict| graph.node(dict)) {
                    rules.dicts.insert(dict);
                    rules.modules.insert(dict, node);
                }
            } else if class == NodeClass::Type {
                let dict = graph.address(node).and_then(|at| names.python().read_type_dict(at).ok());
                if let Some(dict) = dict.and_then(|dict| graph.node(dict)) {
                    rules.add_class(dict);
                }
            } else if class == NodeClass::WeakKeyDictionary {
                let data = graph.address(node).and_then(|at| names.attribute(at, "data"));
                data.and_then(|data| graph.node(data))
                    .into_iter()
                    .for_each(|data| rules.weak_keyed.insert(data));
            }
        }
        rules
    }

    /// Notes the attributes of a class that are instances of Python classes.
    fn add_class(&mut self, dict: NodeId) {
        self.class_dicts.insert(dict);
        for &to in self.graph.references().targets(dict) {
            let is_instance = self.graph.type_of(to).is_some_and(|of| of.class.is_some() && of.is_gc());
            if is_instance && self.class(to) == NodeClass::Other {
                self.class_attributes.insert(to);
            }
        }
    }

    /// Whether an object has an attribute of a class, too: the class says more.
    #[inline]
    fn is_copy_of_class_attribute(&self, from: NodeId, to: NodeId) -> bool {
        self.class_attributes.contains(to)
            && !self.class_dicts.contains(from)
            && !self.is_module_dict(from)
            && self.graph.address(from).is_some()
    }

    #[inline]
    fn class(&self, node: NodeId) -> NodeClass {
        self.classes.get(self.graph.type_index(node).0 as usize).copied().unwrap_or(NodeClass::Other)
    }

    /// The live objects of a class.
    fn live_objects(&self, class: NodeClass) -> impl Iterator<Item = NodeId> {
        let is_alive = |node| matches!(self.graph.liveness(node), Liveness::Held | Liveness::Native);
        self.graph.object_nodes().filter(move |&node| self.class(node) == class && is_alive(node))
    }

    /// The live suspended functions of some kinds.
    fn find_suspended(&self, is: impl Fn(Builtin) -> bool) -> impl Iterator<Item = NodeId> {
        let kind = |node: NodeId| self.graph.type_of(node).and_then(|of| of.kind);
        self.live_objects(NodeClass::Suspended).filter(move |&node| kind(node).is_some_and(&is))
    }

    #[inline]
    fn is_module_dict(&self, node: NodeId) -> bool {
        self.dicts.contains(node)
    }

    /// Whether an edge explains its target.
    #[inline]
    fn is_informative(&self, from: NodeId, to: NodeId) -> bool {
        if self.is_module_dict(to) {
            return self.modules.get(&to) == Some(&from);
        }
        let kind: TypeIndex = self.graph.type_index(from);
        match self.class(to) {
            NodeClass::Module => false,
            NodeClass::Type => {
                self.class(from) != NodeClass::Type
                    && self.types.get(kind.0 as usize) != Some(&Some(to))
                    && !(self.is_module_dict(from) && self.definitions.is_imported(from, to))
            }
            NodeClass::Tuple => self.class(from) != NodeClass::Type,
            NodeClass::Frame => self.class(from) != NodeClass::Frame,
            NodeClass::WeakReference => true,
            NodeClass::EventLoop
            | NodeClass::Context
            | NodeClass::Suspended
            | NodeClass::WeakKeyDictionary
            | NodeClass::Other => {
                !(self.weak_keyed.contains(from)
                    || self.is_copy_of_class_attribute(from, to)
                    || self.is_module_dict(from) && self.definitions.is_imported(from, to))
            }
        }
    }
}

/// The paths to all objects.
pub(super) struct FoundPaths {
    pub paths: ShortestPaths,
    /// The suspended functions, and the contexts of context variables, that paths begin at.
    pub starts: Vec<NodeId>,
    /// What the path to each object that is reached begins at.
    pub keepers: Vec<Keeper>,
    /// The event loops.
    pub loops: Vec<NodeId>,
}

/// What paths begin at.
#[derive(Default)]
struct PathRoots {
    /// The modules of the program and of installed packages.
    own: Vec<NodeId>,
    /// Running functions.
    program: Calls,
    installed: Calls,
    /// The modules of the standard library, then its running functions and the threads.
    standard: Vec<NodeId>,
    library: Vec<NodeId>,
    /// The values of running functions that have names there.
    variables: HashMap<NodeId, HashSet<NodeId>>,
    frames: FrameOrders,
}

impl PathRoots {
    fn find<M: Memory>(
        rules: &EdgeRules<'_, '_>,
        modules: &Modules,
        names: &mut NameReader<'_, '_, M>,
    ) -> Self {
        let graph = rules.graph;
        let mut found = Self::default();
        // Imported modules come before those that import them; the main module imports most of all.
        let (main, others): (Vec<&Module>, _) =
            modules.list().iter().partition(|module| &*module.name == "__main__");
        for module in others.into_iter().chain(main) {
            if let Some(node) = graph.node(module.at) {
                let is_standard = module.origin == Origin::Standard;
                if is_standard { &mut found.standard } else { &mut found.own }.push(node);
            }
        }
        let mut threads = Vec::new();
        let suspendable = graph.object_nodes().filter(|&node| rules.class(node) == NodeClass::Suspended);
        let frames = suspendable.filter_map(|node| names.frame_of_generator(graph.address(node)?));
        let frames: HashSet<Addr> = frames.collect();
        // The outermost frame of each thread is its last.
        for root in graph.roots().iter().rev() {
            match root.kind {
                RootKind::Frame { at, thread } => {
                    let order = found.frames.add(thread, root.node, frames.contains(&at));
                    let mut named = HashSet::new();
                    names.visit_frame(at, |to, _| named.extend(graph.node(to)));
                    // Until 3.10 a frame object has the variables.
                    found.variables.extend(graph.node(at).map(|frame| (frame, named.clone())));
                    found.variables.insert(root.node, named);
                    let module = names.function_of_frame(at).and_then(|(module, _)| module);
                    match module.map(|module| modules.origin(&module)) {
                        Some(None | Some(Origin::Program)) => found.program.add(order, root.node),
                        Some(Some(Origin::Installed)) => found.installed.add(order, root.node),
                        Some(Some(Origin::Standard)) | None => found.library.push(root.node),
                    }
                }
                RootKind::Thread(_) => threads.push(root.node),
                _ => {}
            }
        }
        found.library.extend(threads.into_iter().rev());
        found
    }
}

/// Finds the path to each object. `kept_by` is what the path to it began at in the census before.
pub(super) fn find_paths<M: Memory>(
    graph: &ObjectGraph<'_>,
    modules: &Modules,
    names: &mut NameReader<'_, '_, M>,
    kept_by: impl Fn(NodeId) -> Keeper,
) -> FoundPaths {
    let rules = EdgeRules::new(graph, modules, names);
    let PathRoots { own, mut program, mut installed, standard, library, variables, frames } =
        PathRoots::find(&rules, modules, names);
    let mut keepers = vec![Keeper::Lasting; graph.objects()];
    let mut keep = |node: NodeId, by: Keeper| {
        keepers.get_mut(node.index()).into_iter().for_each(|keeper| *keeper = by);
    };
    // Nodes with edges that were not followed.
    let mut passed_over: Vec<NodeId> = Vec::new();
    let mut follow = |from: NodeId, to: NodeId, may_lead_to: bool| {
        let is_informative = may_lead_to && rules.is_informative(from, to);
        if !is_informative && passed_over.last() != Some(&from) {
            passed_over.push(from);
        }
        is_informative
    };
    let references = graph.references();
    let is_no_loop = |to: NodeId| rules.class(to) != NodeClass::EventLoop;
    let is_no_context = |to: NodeId| rules.class(to) != NodeClass::Context;
    // What coroutines and greenlets wait for leads to them, and holds nothing of theirs.
    let scheduled = rules.find_suspended(Builtin::is_scheduled);
    let mut suspended = one_of_few(graph, modules, names, scheduled);
    let mut is_start = NodeSet::new(graph.objects());
    suspended.iter().for_each(|&(node, _)| is_start.insert(node));
    let mut paths = ShortestPaths::new(references, &own, |from, to| {
        follow(from, to, is_no_loop(to) && !is_start.contains(to))
    });
    let others = rules.find_suspended(|kind| !kind.is_scheduled());
    let others = others.filter(|&node| !paths.reaches(node));
    suspended.extend(one_of_few(graph, modules, names, others));
    let nodes: Vec<NodeId> = suspended.iter().map(|&(node, _)| node).collect();
    for (&(node, origin), order) in suspended.iter().zip(order_suspended(graph, &nodes, &frames)) {
        let (calls, keeper) = match origin {
            Origin::Program => (&mut program, Keeper::ProgramCall),
            _ => (&mut installed, Keeper::LibraryCall),
        };
        calls.add(order, node);
        keep(node, keeper);
    }
    // Each of them holds its own variables, whoever holds it.
    nodes.iter().for_each(|&node| is_start.insert(node));
    let mut starts = nodes;
    // What a function only computes with, other paths may name.
    let has_name = |from: NodeId, to: NodeId| {
        let is_frame = from.index() >= graph.objects() || rules.class(from) == NodeClass::Frame;
        !is_frame || variables.get(&from).is_none_or(|named| named.contains(&to))
    };
    for (calls, keeper) in [(&program, Keeper::ProgramCall), (&installed, Keeper::LibraryCall)] {
        for calls in calls.groups() {
            paths.extend(references, calls, |from, to| {
                let is_outlasted = kept_by(to) > keeper;
                let may_lead_to = has_name(from, to) && is_no_loop(to) && is_no_context(to);
                let follows = follow(from, to, may_lead_to && !is_outlasted && !is_start.contains(to));
                if follows {
                    keep(to, keeper);
                }
                follows
            });
        }
    }
    paths.extend(references, &standard, |from, to| follow(from, to, is_no_context(to)));
    let contexts: Vec<NodeId> =
        rules.live_objects(NodeClass::Context).filter(|&node| !paths.reaches(node)).collect();
    paths.extend(references, &contexts, |from, to| follow(from, to, true));
    starts.extend(contexts);
    paths.extend(references, &library, |from, to| follow(from, to, has_name(from, to)));
    let mut rest = passed_over;
    rest.extend(graph.root_nodes());
    paths.extend(references, &rest, |_, to| {
        keep(to, Keeper::Unknown);
        true
    });
    let loops = rules.live_objects(NodeClass::EventLoop).collect();
    FoundPaths { paths, starts, keepers, loops }
}

/// Those of these suspended functions that belong to the program or to installed packages; not those of which there are many.
fn one_of_few<M: Memory>(
    graph: &ObjectGraph<'_>,
    modules: &Modules,
    names: &mut NameReader<'_, '_, M>,
    suspended: impl Iterator<Item = NodeId>,
) -> Vec<(NodeId, Origin)> {
    let mut by_code: HashMap<Addr, (usize, Origin)> = HashMap::new();
    let mut found = Vec::new();
    for node in suspended {
        let Some((code, module)) = graph.address(node).and_then(|at| names.suspended_code(at)) else {
            continue;
        };
        let (alike, origin) = by_code.entry(code).or_insert_with(|| {
            let origin = module.map_or(Some(Origin::Standard), |module| modules.origin(&module));
            (0, origin.unwrap_or(Origin::Program))
        });
        *alike += 1;
        if *origin != Origin::Standard {
            found.push((node, code));
        }
    }
    let is_one_of_few = |(node, code): (NodeId, Addr)| {
        let &(alike, origin) = by_code.get(&code)?;
        (alike <= MAX_ALIKE).then_some((node, origin))
    };
    found.into_iter().filter_map(is_one_of_few).collect()
}

/// The class `asyncio.AbstractEventLoop`, if the program imported it: every event loop is one.
fn event_loop_class<M: Memory>(modules: &Modules, names: &NameReader<'_, '_, M>) -> Option<Addr> {
    let events = modules.list().get(modules.number("asyncio.events")?)?;
    names.objects().read_item(events.dict, "AbstractEventLoop")
}
