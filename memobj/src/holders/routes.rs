//! The way that is told of an object: the shortest one that means something to who wrote the program.
//!
//! An object has many ways to it. Those from the program's own modules come first, then those from its running functions and threads,
//! then those from what came with Python, and only then those over what binds all objects to each other and says nothing of any: an
//! instance to its class, a function to its module, a class to its bases, a module to those that it imports.

use std::collections::{HashMap, HashSet};

use crate::graph::{NodeId, Paths};
use crate::links::{Links, SourceKind, TypeIndex};
use crate::names::Names;
use crate::names::modules::Modules;
use memobj_cpython::heap::access::Access;
use memobj_cpython::heap::kinds::Kind;
use memobj_process::memory::Memory;

/// What a type is to the search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Other,
    Module,
    Type,
    Tuple,
    Frame,
    Function,
}

/// What the search asks of each edge.
struct Rules<'l, 'w> {
    links: &'l Links<'w>,
    classes: Vec<Class>,
    /// By type: its own node.
    types: Vec<Option<NodeId>>,
    /// A bit for each object that is a module's dict.
    dicts: Vec<u64>,
    modules: HashMap<NodeId, NodeId>,
    /// By function that a module has from another one: so its dict does not tell of it.
    imported: HashSet<(NodeId, NodeId)>,
}

impl<'l, 'w> Rules<'l, 'w> {
    fn new<M: Memory>(links: &'l Links<'w>, names: &Names<'_, '_, M>) -> Self {
        let class = |kind: Option<Kind>, is_type: bool| match kind {
            _ if is_type => Class::Type,
            Some(Kind::Module) => Class::Module,
            Some(Kind::Frame) => Class::Frame,
            Some(Kind::Tuple) => Class::Tuple,
            Some(Kind::Function) => Class::Function,
            _ => Class::Other,
        };
        let types = links.types();
        let mut rules = Self {
            links,
            classes: types.iter().map(|counted| class(counted.of.kind, counted.of.is_metatype())).collect(),
            types: types.iter().map(|counted| links.node(counted.of.at)).collect(),
            dicts: vec![0; links.objects().div_ceil(64)],
            modules: HashMap::new(),
            imported: HashSet::new(),
        };
        let (memory, known) = (names.python().memory, &names.python().layout.module_object);
        for node in (0..).take(links.objects()).map(NodeId) {
            if rules.class(node) != Class::Module {
                continue;
            }
            let dict = links.address(node).and_then(|at| memory.read_pointer(at, known.md_dict).ok());
            if let Some(dict) = dict.and_then(|dict| links.node(dict)) {
                if let Some(word) = rules.dicts.get_mut(dict.index() / 64) {
                    *word |= 1 << (dict.index() % 64);
                }
                rules.modules.insert(dict, node);
            }
        }
        let globals = names.python().layout.function_object.func_globals;
        for &dict in rules.modules.keys() {
            let Some(own) = links.address(dict) else { continue };
            for &function in links.graph().targets(dict) {
                let at = links.address(function).filter(|_| rules.class(function) == Class::Function);
                let of = at.and_then(|at| memory.read_pointer(at, globals).ok());
                if of.is_some_and(|of| of != own) {
                    rules.imported.insert((dict, function));
                }
            }
        }
        rules
    }

    #[inline]
    fn class(&self, node: NodeId) -> Class {
        self.classes.get(self.links.kind(node).0 as usize).copied().unwrap_or(Class::Other)
    }

    #[inline]
    fn is_module_dict(&self, node: NodeId) -> bool {
        self.dicts.get(node.index() / 64).is_some_and(|word| word >> (node.index() % 64) & 1 != 0)
    }

    /// Whether an edge says something of what it leads to.
    #[inline]
    fn tells(&self, from: NodeId, to: NodeId) -> bool {
        if self.is_module_dict(to) {
            return self.modules.get(&to) == Some(&from);
        }
        let kind: TypeIndex = self.links.kind(from);
        match self.class(to) {
            Class::Module => false,
            Class::Type => {
                self.class(from) != Class::Type && self.types.get(kind.0 as usize) != Some(&Some(to))
            }
            Class::Tuple => self.class(from) != Class::Type,
            Class::Frame => self.class(from) != Class::Frame,
            Class::Function => !self.imported.contains(&(from, to)),
            Class::Other => true,
        }
    }
}

/// Finds the way to each object.
#[must_use]
pub fn find<M: Memory>(links: &Links<'_>, modules: &Modules, names: &mut Names<'_, '_, M>) -> Paths {
    let rules = Rules::new(links, names);
    let (mut own, mut standard) = (Vec::new(), Vec::new());
    for module in modules.list() {
        if let Some(node) = links.node(module.at) {
            if module.standard { &mut standard } else { &mut own }.push(node);
        }
    }
    let mut own_frames = Vec::new();
    let mut threads = Vec::new();
    for source in links.sources() {
        match source.kind {
            SourceKind::Frame { at, .. } => {
                let module = names.function_of_frame(at).and_then(|(module, _)| module);
                let is_own = module.is_some_and(|module| !modules.is_standard(&module));
                if is_own { &mut own_frames } else { &mut standard }.push(source.node);
            }
            SourceKind::Thread(_) => threads.push(source.node),
            _ => {}
        }
    }
    own_frames.extend(threads);
    // Where the search did not go on though it could.
    let mut passed_over: Vec<NodeId> = Vec::new();
    let mut follow = |from: NodeId, to: NodeId| {
        let tells = rules.tells(from, to);
        if !tells && passed_over.last() != Some(&from) {
            passed_over.push(from);
        }
        tells
    };
    let graph = links.graph();
    let mut paths = Paths::new(graph, &own, &mut follow);
    paths.go_on(graph, &own_frames, &mut follow);
    paths.go_on(graph, &standard, &mut follow);
    let mut rest = passed_over;
    rest.extend(links.roots());
    paths.go_on(graph, &rest, |_, _| true);
    paths
}
