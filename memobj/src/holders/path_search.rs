//! The reported path to each object: the shortest one that says something to the program's author.
//!
//! An object has many paths. Those from the program's own modules come first, then those from its running functions and threads, then those
//! from the standard library. Last come paths over references that bind all objects to each other and explain nothing: an instance to its
//! class, a function to its module, a class to its bases, a module to its imports.

use std::collections::{HashMap, HashSet};

use crate::graph::{NodeId, NodeSet, ShortestPaths};
use crate::names::NameReader;
use crate::names::modules::Modules;
use crate::object_graph::{ObjectGraph, RootKind, TypeIndex};
use memobj_cpython::heap::builtins::Builtin;
use memobj_cpython::object::memory_ext::MemoryExt;
use memobj_process::memory::Memory;

/// The role of a type in the search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NodeClass {
    Other,
    Module,
    Type,
    Tuple,
    Frame,
    Function,
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
    /// Functions in the dict of a module that did not define them.
    imported: HashSet<(NodeId, NodeId)>,
}

impl<'l, 'w> EdgeRules<'l, 'w> {
    fn new<M: Memory>(graph: &'l ObjectGraph<'w>, names: &NameReader<'_, '_, M>) -> Self {
        let class = |kind: Option<Builtin>, is_type: bool| match kind {
            _ if is_type => NodeClass::Type,
            Some(Builtin::Module) => NodeClass::Module,
            Some(Builtin::Frame) => NodeClass::Frame,
            Some(Builtin::Tuple) => NodeClass::Tuple,
            Some(Builtin::Function) => NodeClass::Function,
            _ => NodeClass::Other,
        };
        let types = graph.types();
        let mut rules = Self {
            graph,
            classes: types.iter().map(|counted| class(counted.ty.kind, counted.ty.is_metatype())).collect(),
            types: types.iter().map(|counted| graph.node(counted.ty.at)).collect(),
            dicts: NodeSet::new(graph.objects()),
            modules: HashMap::new(),
            imported: HashSet::new(),
        };
        let (memory, known) = (names.python().memory, &names.python().layout.module_object);
        for node in graph.object_nodes() {
            if rules.class(node) != NodeClass::Module {
                continue;
            }
            let dict = graph.address(node).and_then(|at| memory.read_pointer(at, known.md_dict).ok());
            if let Some(dict) = dict.and_then(|dict| graph.node(dict)) {
                rules.dicts.insert(dict);
                rules.modules.insert(dict, node);
            }
        }
        let globals = names.python().layout.function_object.func_globals;
        for &dict in rules.modules.keys() {
            let Some(own) = graph.address(dict) else { continue };
            for &function in graph.references().targets(dict) {
                let at = graph.address(function).filter(|_| rules.class(function) == NodeClass::Function);
                let of = at.and_then(|at| memory.read_pointer(at, globals).ok());
                if of.is_some_and(|of| of != own) {
                    rules.imported.insert((dict, function));
                }
            }
        }
        rules
    }

    #[inline]
    fn class(&self, node: NodeId) -> NodeClass {
        self.classes.get(self.graph.type_index(node).0 as usize).copied().unwrap_or(NodeClass::Other)
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
                self.class(from) != NodeClass::Type && self.types.get(kind.0 as usize) != Some(&Some(to))
            }
            NodeClass::Tuple => self.class(from) != NodeClass::Type,
            NodeClass::Frame => self.class(from) != NodeClass::Frame,
            NodeClass::Function => !self.imported.contains(&(from, to)),
            NodeClass::Other => true,
        }
    }
}

/// Finds the path to each object.
pub fn find_paths<M: Memory>(
    graph: &ObjectGraph<'_>,
    modules: &Modules,
    names: &mut NameReader<'_, '_, M>,
) -> ShortestPaths {
    let rules = EdgeRules::new(graph, names);
    let (mut own, mut standard) = (Vec::new(), Vec::new());
    for module in modules.list() {
        if let Some(node) = graph.node(module.at) {
            if module.standard { &mut standard } else { &mut own }.push(node);
        }
    }
    let mut own_frames = Vec::new();
    let mut threads = Vec::new();
    for root in graph.roots() {
        match root.kind {
            RootKind::Frame { at, .. } => {
                let module = names.function_of_frame(at).and_then(|(module, _)| module);
                let is_own = module.is_some_and(|module| !modules.is_standard(&module));
                if is_own { &mut own_frames } else { &mut standard }.push(root.node);
            }
            RootKind::Thread(_) => threads.push(root.node),
            _ => {}
        }
    }
    own_frames.extend(threads);
    // Nodes with edges that were not followed.
    let mut passed_over: Vec<NodeId> = Vec::new();
    let mut follow = |from: NodeId, to: NodeId| {
        let is_informative = rules.is_informative(from, to);
        if !is_informative && passed_over.last() != Some(&from) {
            passed_over.push(from);
        }
        is_informative
    };
    let references = graph.references();
    let mut paths = ShortestPaths::new(references, &own, &mut follow);
    paths.extend(references, &own_frames, &mut follow);
    paths.extend(references, &standard, &mut follow);
    let mut rest = passed_over;
    rest.extend(graph.root_nodes());
    paths.extend(references, &rest, |_, _| true);
    paths
}
