//! Growth that has a bound: tables of the interpreter, imported modules, and buffers.
//!
//! The struct of an interpreter or a thread has a fixed number of words, so the objects in them are bounded: its caches of types and of strings,
//! its lists of free objects. A container that the struct refers to is not: it may be a list of the program's callbacks. An imported module
//! exists once for each file. C code prunes the lists of weak references that it keeps for itself. A text file keeps what was written in a list
//! until that has 8 KiB: `pending_bytes`, `Modules/_io/textio.c`.

use std::collections::{HashMap, HashSet};

use memobj_cpython::heap::builtins::Builtin;
use memobj_process::memory::Memory;

use super::growth_roots::{RootFinder, new_objects};
use super::history::{NameId, PlaceIds};
use crate::graph::NodeId;
use crate::holders::Holders;
use crate::holders::place_name::INTERPRETER;
use crate::names::NameReader;
use crate::names::modules::read_file;
use crate::object_graph::{RootKind, TypeIndex};
use crate::survivors::Generations;

/// Entries in tables of the library that come with an imported module: its loader, its logger, its codec.
const MAX_PER_IMPORT: u64 = 4;

/// If more than this share of a row's new objects is bounded, the row is.
const MOST_BOUNDED: (u64, u64) = (7, 10);

/// New objects of a type in a place.
#[derive(Debug, Default, Clone, Copy)]
struct NewObjects {
    all: u64,
    bounded: u64,
}

/// The bounded part of the growth of places.
#[derive(Debug)]
pub(super) struct BoundedGrowth {
    counts: HashMap<(NameId, TypeIndex), NewObjects>,
    /// Modules that were imported after the first census.
    pub imported: HashSet<NodeId>,
    /// The places and types of lists that C code prunes, of those of text files, and of what is in these.
    lists: HashSet<(NameId, TypeIndex)>,
}

impl BoundedGrowth {
    /// Finds the bounded growth of the `wanted` places, from the objects that were added after the first census.
    pub fn find<M: Memory>(
        holders: &Holders<'_>,
        generations: &Generations,
        ids: &PlaceIds,
        names: &mut NameReader<'_, '_, M>,
        wanted: impl Fn(NameId) -> bool,
    ) -> Self {
        let graph = holders.graph();
        let imported = new_imports(holders, generations, names);
        let mut roots = RootFinder::new(holders, generations, &imported);
        let listing = tables_of_imports(holders, generations, names, &mut roots, &imported);
        let is_pruned: HashSet<NodeId> = pruned_references(holders, names).collect();
        let is_bounded = |root: NodeId| {
            let before = holders.paths().parent(root);
            let state = before.and_then(|before| graph.root(before));
            imported.contains(&root)
                || is_pruned.contains(&root)
                || before.is_some_and(|before| listing.contains(&before))
                || state
                    .is_some_and(|state| matches!(state.kind, RootKind::Interpreter(_) | RootKind::Thread(_)))
        };
        let mut counts: HashMap<(NameId, TypeIndex), NewObjects> = HashMap::new();
        for (node, place) in new_objects(holders, generations, ids, wanted) {
            let count = counts.entry((place, ids.type_index(graph, node))).or_default();
            count.all += 1;
            // One object that refers to many others may be the newest one of a chain: only the first of each path is bounded.
            let root = roots.root(node);
            if is_bounded(root) && (root == node || imported.contains(&root)) {
                count.bounded += 1;
            }
        }
        let pruned = is_pruned.iter().filter_map(|&reference| holders.paths().parent(reference));
        let unwritten = unwritten_lists(holders)
            .flat_map(|list| std::iter::once(list).chain(graph.references().targets(list).iter().copied()));
        let row = |node| Some((ids.key(holders, node)?.0, ids.type_index(graph, node)));
        let lists = pruned.chain(unwritten).filter_map(row).collect();
        Self { counts, imported, lists }
    }

    /// How many entries in tables of the library come with the imported modules at most.
    pub fn entries_of_imports(&self) -> u64 {
        (self.imported.len() as u64).saturating_mul(MAX_PER_IMPORT)
    }

    /// Whether the growth of a row of the history is bounded: of a place with its name, a type, its new objects and its new entries.
    pub fn explains_row(
        &self,
        (place, name): (NameId, &str),
        of: Option<TypeIndex>,
        objects: f64,
        entries: Option<f64>,
    ) -> bool {
        // Tables of what is imported: of loggers, of modules.
        let with_imports = entries.is_some_and(|entries| entries <= self.entries_of_imports() as f64);
        // Tables of the interpreter that get no objects of their own list those of others: interned strings, classes.
        let lists_others = objects <= 0.0 && name == INTERPRETER;
        let is_bounded = |of| self.lists.contains(&(place, of)) || self.explains(place, of);
        with_imports || lists_others || of.is_some_and(is_bounded)
    }

    /// Whether most new objects of a type in a place are bounded. Objects that came in the two censuses of an import are, and at unequal
    /// distances these may have half of all.
    pub fn explains(&self, place: NameId, of: TypeIndex) -> bool {
        self.counts.get(&(place, of)).is_some_and(|count| {
            count.bounded.saturating_mul(MOST_BOUNDED.1) > count.all.saturating_mul(MOST_BOUNDED.0)
        })
    }
}

/// The lists of what text files have not written yet. A file has none before the first write.
fn unwritten_lists(holders: &Holders<'_>) -> impl Iterator<Item = NodeId> {
    let graph = holders.graph();
    let is_file: Vec<bool> = graph
        .types()
        .iter()
        .map(|counted| counted.ty.module == "_io" && counted.ty.qualname == "TextIOWrapper")
        .collect();
    let files = graph
        .object_nodes()
        .filter(move |&node| is_file.get(graph.type_index(node).0 as usize).is_some_and(|&is| is));
    let held = files.flat_map(|file| graph.references().targets(file).iter().map(move |&held| (file, held)));
    held.filter(|&(file, held)| {
        graph.type_of(held).is_some_and(|of| of.kind == Some(Builtin::List))
            && holders.paths().parent(held) == Some(file)
    })
    .map(|(_, list)| list)
}

/// Dead weak references in lists that objects of C types hold. Python code does not see such a list, so the C code prunes it: a connection of
/// sqlite3 at each 200th cursor (`_pysqlite_drop_unused_cursor_references` in `Modules/_sqlite/connection.c`).
fn pruned_references<M: Memory>(
    holders: &Holders<'_>,
    names: &NameReader<'_, '_, M>,
) -> impl Iterator<Item = NodeId> {
    let graph = holders.graph();
    let referred = names.python().layout.weakref_object.wr_object;
    let kind = |node: NodeId| graph.type_of(node).and_then(|of| of.kind);
    let is_of_c =
        |node: NodeId| graph.type_of(node).is_some_and(|of| of.kind.is_none() && of.class.is_none());
    graph.object_nodes().filter(move |&node| {
        let list =
            (kind(node) == Some(Builtin::WeakReference)).then(|| holders.paths().parent(node)).flatten();
        let list = list.filter(|&list| kind(list) == Some(Builtin::List));
        let is_hidden = list.and_then(|list| holders.paths().parent(list)).is_some_and(is_of_c);
        let referent = graph.address(node).filter(|_| is_hidden);
        referent
            .and_then(|at| names.objects().read_pointer(at, referred))
            .is_some_and(|to| names.objects().is_none(to))
    })
}

/// Containers of weak references to objects of new modules, such as the subclasses that a class lists.
fn tables_of_imports<M: Memory>(
    holders: &Holders<'_>,
    generations: &Generations,
    names: &NameReader<'_, '_, M>,
    roots: &mut RootFinder<'_>,
    imported: &HashSet<NodeId>,
) -> HashSet<NodeId> {
    let graph = holders.graph();
    let mut found = HashSet::new();
    if imported.is_empty() {
        return found;
    }
    let referred = names.python().layout.weakref_object.wr_object;
    let is_weak = |of: TypeIndex| graph.type_at(of).is_some_and(|of| of.kind == Some(Builtin::WeakReference));
    for node in graph.object_nodes().filter(|&node| is_weak(graph.type_index(node))) {
        let at = graph.address(node).filter(|_| generations.first_seen(node) > 0);
        let referent = at.and_then(|at| graph.node(names.objects().read_pointer(at, referred)?));
        if referent.is_some_and(|referent| imported.contains(&roots.root(referent))) {
            found.extend(holders.paths().parent(node));
        }
    }
    found
}

/// The modules that were imported after the first census: those with a `__spec__`, from a file that no other module comes from. A program
/// can make modules, or load one file again and again, without end.
fn new_imports<M: Memory>(
    holders: &Holders<'_>,
    generations: &Generations,
    names: &mut NameReader<'_, '_, M>,
) -> HashSet<NodeId> {
    let graph = holders.graph();
    let objects = names.objects();
    let mut files: HashMap<String, usize> = HashMap::new();
    let mut new: Vec<(NodeId, Option<String>)> = Vec::new();
    for module in holders.modules().list() {
        let file = read_file(objects, module.dict);
        if let Some(file) = &file {
            *files.entry(file.clone()).or_default() += 1;
        }
        let has_spec = objects.read_item(module.dict, "__spec__").is_some_and(|spec| !objects.is_none(spec));
        let node = graph.node(module.at).filter(|&node| has_spec && generations.first_seen(node) > 0);
        if let Some(node) = node.filter(|&node| is_module(holders, node)) {
            new.push((node, file));
        }
    }
    let is_single = |file: &Option<String>| file.as_ref().is_none_or(|file| files.get(file) == Some(&1));
    new.into_iter().filter(|(_, file)| is_single(file)).map(|(node, _)| node).collect()
}

fn is_module(holders: &Holders<'_>, node: NodeId) -> bool {
    holders.graph().type_of(node).is_some_and(|of| of.kind == Some(Builtin::Module))
}
