//! The paths to the objects of a type (`--why`); like paths are one.
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use common::record::Liveness;
use common::units::{counted, thousands};

use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::Holders;
use super::place_name::{NamePart, PlaceNamer, Role, step_of_thread};
use crate::graph::{NodeId, ShortestPaths};
use crate::names::similar::similar_names;
use crate::names::{NameReader, Reference};
use crate::object_graph::{ObjectGraph, RootKind, TypeIndex};

/// Items of a container with more are not named, unless they are attributes.
const FEW: u64 = 64;
/// The longest path that is reported in full; of longer ones, such as those into linked lists, both ends are.
const LONGEST: usize = 64;
/// References that are kept: paths share their beginnings.
const MAX_KNOWN: usize = 1 << 20;

/// The paths to the objects of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// The type.
    pub type_name: String,
    /// The number of its objects.
    pub objects: u64,
    /// The number of objects whose path was searched.
    pub sampled: u64,
    /// The paths, the most frequent first.
    pub paths: Vec<ReferencePath>,
}

/// A path to some objects of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferencePath {
    /// The number of searched objects with this path.
    pub count: u64,
    /// Its root: `module botpkg.cache`.
    pub root: Arc<str>,
    /// Its steps; the last one is the object itself.
    pub steps: Vec<PathStep>,
}

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStep {
    /// The reference to it: `_sessions`, `local rows`, `[3]`; empty for one of many.
    pub name: Arc<str>,
    /// The name of its type in its module.
    pub type_name: Arc<str>,
    /// The number of its items, if it is a container and the same one in all paths.
    pub entries: Option<u64>,
    /// The number of such steps in a row.
    pub repeats: u64,
    /// The object, if it is the same one in all paths.
    node: Option<NodeId>,
    kind: TypeIndex,
    /// Whether it is an item of a container: paths to other items are like this one.
    is_item: bool,
}

/// The label of a reference in a path.
struct StepLabel {
    /// Its name; `None` if the target has the same name as its referrer.
    name: Option<Arc<str>>,
    is_item: bool,
    role: Role,
}

impl StepLabel {
    fn named(name: Arc<str>, role: Role) -> Self {
        Self { name: Some(name), is_item: false, role }
    }

    fn item(name: Arc<str>) -> Self {
        Self { name: Some(name), is_item: true, role: Role::Named }
    }
}

impl ReferencePath {
    /// Describes the path in one line: `module botpkg.cache → _sessions (dict, 10,000 entries) → SessionState`.
    pub fn describe(&self) -> String {
        let mut text = self.root.to_string();
        let last = self.steps.len().saturating_sub(1);
        for (number, step) in self.steps.iter().enumerate() {
            text.push_str(" → ");
            let entries = step.entries.filter(|_| number < last);
            let entries = entries.map(|entries| counted(entries, "entry", "entries"));
            // A `String` takes all that is written to it.
            let _ = match (step.name.is_empty(), entries) {
                (true, None) => write!(text, "{}", step.type_name),
                (true, Some(entries)) => write!(text, "{} ({entries})", step.type_name),
                (false, None) => write!(text, "{} ({})", step.name, step.type_name),
                (false, Some(entries)) => write!(text, "{} ({}, {entries})", step.name, step.type_name),
            };
            if step.repeats > 1 {
                let _ = write!(text, " ×{}", thousands(step.repeats));
            }
        }
        text
    }

    /// The last step that is an attribute of an object, with the class of that, or the class that it is: `SessionStore._by_id`. `None` if there is none.
    pub fn last_attribute(&self) -> Option<String> {
        let steps = self.steps.iter().zip(self.steps.iter().skip(1));
        let (of, step) = steps.rev().find(|(_, step)| !step.is_item && !step.name.is_empty())?;
        // Local variables have a word before their name. The dict of a thread's `threading.local` is no class.
        let is_attribute = !step.name.contains([' ', '[']) && &*of.type_name != "dict";
        let of = if &*of.type_name == "type" { &of.name } else { &of.type_name };
        is_attribute.then(|| format!("{of}.{}", step.name))
    }
}

/// The key of like paths: the root, and the name and the type of each step.
type Shape = (Arc<str>, Vec<(Arc<str>, TypeIndex)>);

/// Reads paths; they share what is read of references and types.
struct PathReader<'a, 'p, 'm, 'w, M> {
    namer: PlaceNamer<'a, 'p, 'm, 'w, M>,
    paths: &'a ShortestPaths,
    steps: HashMap<(NodeId, NodeId), Option<Reference>>,
    types: HashMap<TypeIndex, Arc<str>>,
}

impl<'w> Holders<'w> {
    /// Finds the paths to the objects of the types with this name, with or without their module. Of each type at most `sample` objects are
    /// searched, evenly spread over their addresses.
    pub fn why<M: Memory>(&self, names: &mut NameReader<'_, '_, M>, name: &str, sample: usize) -> Vec<Why> {
        let mut reader = self.path_reader(names);
        let mut found = Vec::new();
        for (counted, index) in self.graph.types().iter().zip(0..) {
            let full = counted.ty.name();
            let is_meant = full == name || full.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
            if is_meant {
                found.push(reader.why(full, TypeIndex(index), sample));
            }
        }
        found.retain(|why| why.objects > 0);
        found.sort_by_key(|why| std::cmp::Reverse(why.objects));
        found
    }

    /// The names of types with objects that are like `name`.
    pub fn similar_types(&self, name: &str) -> Vec<String> {
        let mut has_objects = vec![false; self.graph.types().len()];
        for node in self.graph.object_nodes() {
            if let Some(place) = has_objects.get_mut(self.graph.type_index(node).0 as usize) {
                *place = true;
            }
        }
        let types = self.graph.types().iter().zip(has_objects).filter(|(_, has_objects)| *has_objects);
        let known: Vec<String> = types.map(|(counted, _)| counted.ty.name()).collect();
        similar_names(name, known.iter().map(String::as_str)).into_iter().map(Into::into).collect()
    }

    /// Finds the paths to these objects, the most frequent first.
    pub fn reference_paths<M: Memory>(
        &self,
        names: &mut NameReader<'_, '_, M>,
        nodes: impl Iterator<Item = NodeId>,
    ) -> Vec<ReferencePath> {
        self.path_reader(names).paths_to(nodes)
    }

    fn path_reader<'a, 'p, 'm, M: Memory>(
        &'a self,
        names: &'a mut NameReader<'p, 'm, M>,
    ) -> PathReader<'a, 'p, 'm, 'w, M> {
        let namer = PlaceNamer { graph: &self.graph, modules: &self.modules, threads: &self.threads, names };
        PathReader { namer, paths: &self.paths, steps: HashMap::new(), types: HashMap::new() }
    }
}

impl<'a, 'w, M: Memory> PathReader<'a, '_, '_, 'w, M> {
    fn graph(&self) -> &'a ObjectGraph<'w> {
        self.namer.graph
    }

    fn why(&mut self, type_name: String, index: TypeIndex, sample: usize) -> Why {
        let graph = self.graph();
        let all = || graph.object_nodes().filter(|&node| graph.type_index(node) == index);
        let objects = all().count();
        let every = objects.div_ceil(sample.max(1)).max(1);
        let sampled = objects.div_ceil(every) as u64;
        let paths = self.paths_to(all().step_by(every));
        Why { type_name, objects: objects as u64, sampled, paths }
    }

    fn paths_to(&mut self, nodes: impl Iterator<Item = NodeId>) -> Vec<ReferencePath> {
        let mut paths: Vec<ReferencePath> = Vec::new();
        let mut by_shape: HashMap<Shape, usize> = HashMap::new();
        for node in nodes {
            let path = self.path_to(node);
            let no_name: Arc<str> = "".into();
            let name =
                |step: &PathStep| if step.is_item { Arc::clone(&no_name) } else { Arc::clone(&step.name) };
            let shape = path.steps.iter().map(|step| (name(step), step.kind)).collect();
            let number = *by_shape.entry((Arc::clone(&path.root), shape)).or_insert(paths.len());
            match paths.get_mut(number) {
                Some(like) => like.join(&path),
                None => paths.push(path),
            }
        }
        for step in paths.iter_mut().flat_map(|path| &mut path.steps) {
            let at = step.node.and_then(|node| self.graph().address(node));
            step.entries = at.and_then(|at| self.namer.names.entries(at));
        }
        // Of equally frequent ones the first.
        paths.sort_by_key(|path| std::cmp::Reverse(path.count));
        paths
    }

    /// The path to an object.
    fn path_to(&mut self, node: NodeId) -> ReferencePath {
        if !self.paths.reaches(node) {
            let root = match self.graph().liveness(node) {
                Liveness::Garbage => "unreachable: cyclic garbage that the collector has not freed yet",
                _ => "no known referrer",
            };
            let step = self.step(node, "".into(), true);
            return ReferencePath { count: 1, root: root.into(), steps: vec![step] };
        }
        let mut nodes = self.paths.path_to(node);
        let left_out = nodes.len().saturating_sub(LONGEST);
        if left_out > 0 {
            nodes.drain(LONGEST / 2..LONGEST / 2 + left_out);
        }
        let first = nodes.first().copied().unwrap_or(node);
        let (root, _) = self.namer.root(first);
        let address = self.graph().address(first);
        let suspended = address.and_then(|at| self.namer.names.suspended(at));
        let root = match suspended {
            Some(suspended) => suspended.to_string().into(),
            None if address.is_some_and(|at| self.namer.modules.get(at).is_some()) => {
                format!("module {root}").into()
            }
            None => root,
        };
        let mut steps: Vec<PathStep> = Vec::new();
        let mut role = Role::Named;
        for (number, pair) in nodes.windows(2).enumerate() {
            let &[from, to] = pair else { continue };
            let label = if left_out > 0 && number + 1 == LONGEST / 2 {
                StepLabel::named("…".into(), Role::Named)
            } else {
                self.label(from, to, role)
            };
            let was_cell = role == Role::Cell;
            role = label.role;
            let Some(name) = label.name.or_else(|| (to == node).then(|| "".into())) else {
                // The variable is shown, not its cell.
                if was_cell && let Some(last) = steps.pop() {
                    steps.push(self.step(to, last.name, last.is_item));
                }
                continue;
            };
            let step = self.step(to, name, label.is_item);
            let like =
                |last: &&mut PathStep| !step.is_item && (&last.name, last.kind) == (&step.name, step.kind);
            match steps.last_mut().filter(like) {
                Some(last) => {
                    last.repeats += 1;
                    last.node = None;
                }
                None => steps.push(step),
            }
        }
        ReferencePath { count: 1, root, steps }
    }

    fn step(&mut self, node: NodeId, name: Arc<str>, is_item: bool) -> PathStep {
        let graph = self.graph();
        let kind = graph.type_index(node);
        let type_name = self.types.entry(kind).or_insert_with(|| {
            graph.type_at(kind).map_or_else(|| "?".into(), |of| of.qualname.as_str().into())
        });
        PathStep {
            name,
            type_name: Arc::clone(type_name),
            entries: None,
            repeats: 1,
            node: Some(node),
            kind,
            is_item,
        }
    }

    /// The label of a reference.
    fn label(&mut self, from: NodeId, to: NodeId, role: Role) -> StepLabel {
        let Some(to_at) = self.graph().address(to) else { return StepLabel::item("".into()) };
        let from_at = self.graph().address(from).unwrap_or_default();
        let many =
            role != Role::Namespace && self.namer.names.entries(from_at).is_some_and(|entries| entries > FEW);
        let reference =
            if many { Some(Reference::Element) } else { self.reference(from, to, from_at, to_at) };
        let Some(reference) = reference else { return StepLabel::item("".into()) };
        let of = self.graph().type_of(from);
        match self.namer.follow(from_at, of, role, &reference, to_at) {
            Some((NamePart::Nothing, role)) => StepLabel { name: None, is_item: false, role },
            Some((
                NamePart::Attribute(name) | NamePart::Labeled(name) | NamePart::ContextVariable(name),
                role,
            )) => StepLabel::named(name, role),
            Some((NamePart::OfThread(name), role)) => StepLabel::named(format!("thread {name}").into(), role),
            Some((NamePart::Cache, role)) => StepLabel { role, ..StepLabel::item("".into()) },
            None => match reference {
                Reference::Entry(key) => {
                    let key = self.namer.names.key(key);
                    StepLabel::item(key.map_or_else(|| "".into(), |key| format!("[\"{key}\"]").into()))
                }
                Reference::Index(index) => StepLabel::item(format!("[{index}]").into()),
                Reference::Attribute(name) => StepLabel::named(name, Role::Named),
                _ => StepLabel::item("".into()),
            },
        }
    }

    fn reference(&mut self, from: NodeId, to: NodeId, from_at: Addr, to_at: Addr) -> Option<Reference> {
        if let Some(reference) = self.steps.get(&(from, to)) {
            return reference.clone();
        }
        let reference = match self.graph().root(from).map(|root| root.kind) {
            Some(RootKind::Frame { at, .. }) => {
                let mut found = None;
                self.namer.names.visit_frame(at, |other, reference| {
                    if other == to_at && found.is_none() {
                        found = Some(reference);
                    }
                });
                found
            }
            Some(RootKind::Thread(_)) => step_of_thread(self.graph(), to),
            Some(_) => None,
            None => self.namer.names.reference(from_at, to_at),
        };
        if self.steps.len() < MAX_KNOWN {
            self.steps.insert((from, to), reference.clone());
        }
        reference
    }
}

impl ReferencePath {
    /// Merges a like path.
    fn join(&mut self, other: &Self) {
        self.count += other.count;
        for (step, other) in self.steps.iter_mut().zip(&other.steps) {
            if step.node != other.node {
                step.node = None;
            }
            if step.name != other.name {
                step.name = "".into();
            }
            step.repeats = step.repeats.max(other.repeats);
        }
    }
}
