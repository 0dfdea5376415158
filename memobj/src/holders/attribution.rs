//! Assigns a holder and an owner to every object.
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use common::record::Liveness;
use memobj_cpython::heap::builtins::{Builtin, Content};
use memobj_cpython::heap::types::Type;
use memobj_process::memory::Memory;

use super::definitions::is_long_chain;
use super::place_name::{NamePart, PlaceNamer, Role, liveness_place, step_of_thread};
use super::{Holders, NamedPlace, PlaceId};
use crate::graph::NodeId;
use crate::names::suspended::is_task;
use crate::names::{NameReader, Reference};
use crate::object_graph::{ObjectGraph, TypeIndex};

/// Attributes that a name may have behind its module; deeper ones belong to the last one.
const MAX_DEPTH: u8 = 6;

/// Places that are kept apart; later ones belong to the place above.
const MAX_PLACES: usize = 1 << 20;

/// A smaller string, number or bytes object belongs to its referrer; larger ones have names, since memory may go into them.
const SMALL_VALUE_BYTES: u64 = 1024;

/// A place of the standard library has a row of its own if it holds one part in so many of all bytes.
const LISTED_PART: u64 = 2000;

/// The row of the standard library.
pub const STANDARD: &str = "(standard library)";

/// Not assigned yet.
const NONE: PlaceId = PlaceId(u32::MAX);

/// An object with a name whose parts may have names.
struct PendingNode {
    node: NodeId,
    place: PlaceId,
    /// The root of its path: a module, a frame.
    root: PlaceId,
    role: Role,
    /// The class whose attributes its references are, if it is an instance or the dict of one.
    class: Option<TypeIndex>,
    naming: Naming,
    depth: u8,
    /// The types of the instances above, the nearest last: a chain of objects of one type is one place.
    types: Vec<TypeIndex>,
}

/// The name of an attribute of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Naming {
    /// Of an object that a module holds: all names from the module on.
    Path,
    /// Of an object that only running or suspended functions reach: its class and the attribute, unless the class is of the standard
    /// library.
    OwnClass,
    /// The same, and the name of the class says more in any case: the function is of the standard library too, or it is an object in a
    /// container.
    AnyClass,
}

/// The owner of a type's objects and of their references.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OwnerRule {
    /// The owner of the referrer.
    Inherited,
    /// Their class.
    Class(PlaceId),
    /// The line where they wait, or where their coroutine does: generators, coroutines, tasks.
    Suspended,
}

struct Attribution<'a, 'p, 'm, 'w, M> {
    namer: PlaceNamer<'a, 'p, 'm, 'w, M>,
    paths: &'a crate::graph::ShortestPaths,
    places: Vec<NamedPlace>,
    /// The place in which a place is counted, if it is a definition of a module: a function, a class.
    merged_into: HashMap<PlaceId, PlaceId>,
    by_text: HashMap<Arc<str>, PlaceId>,
    holders: Vec<PlaceId>,
    owners: Vec<PlaceId>,
    owner_rules: Vec<OwnerRule>,
    stack: Vec<PendingNode>,
}

impl Holders<'_> {
    /// Assigns every object. The attributes of `single` objects have names of their own wherever those are.
    pub(super) fn attribute<M: Memory>(
        &mut self,
        names: &mut NameReader<'_, '_, M>,
        starts: &[NodeId],
        single: &[NodeId],
    ) {
        let nodes = self.graph.references().nodes();
        let mut attribution = Attribution {
            namer: PlaceNamer { graph: &self.graph, modules: &self.modules, threads: &self.threads, names },
            paths: &self.paths,
            places: Vec::new(),
            merged_into: HashMap::new(),
            by_text: HashMap::new(),
            holders: vec![NONE; nodes],
            owners: vec![NONE; nodes],
            owner_rules: Vec::new(),
            stack: Vec::new(),
        };
        attribution.owner_rules = attribution.read_owner_rules();
        attribution.push_roots(starts);
        attribution.name_all();
        for &node in single {
            attribution.push_single(node);
            attribution.name_all();
        }
        attribution.assign_unreachable();
        attribution.assign_unnamed();
        attribution.merge_definitions();
        let Attribution { places, mut holders, mut owners, .. } = attribution;
        holders.truncate(self.graph.objects());
        owners.truncate(self.graph.objects());
        self.places = places;
        self.holders = holders;
        self.owners = owners;
    }
}

impl<'w, M: Memory> Attribution<'_, '_, '_, 'w, M> {
    fn graph(&self) -> &ObjectGraph<'w> {
        self.namer.graph
    }

    /// The place with a name.
    fn place(&mut self, text: Arc<str>, module: Option<Arc<str>>, above: Option<PlaceId>) -> PlaceId {
        if let Some(&known) = self.by_text.get(&text) {
            return known;
        }
        let id = PlaceId(u32::try_from(self.places.len()).unwrap_or(u32::MAX));
        self.by_text.insert(Arc::clone(&text), id);
        self.places.push(NamedPlace { text, module, above });
        id
    }

    fn read_owner_rules(&mut self) -> Vec<OwnerRule> {
        let types = self.graph().types();
        let mut all = Vec::with_capacity(types.len());
        for counted in types {
            all.push(self.owner_rule(&counted.ty));
        }
        all
    }

    fn owner_rule(&mut self, of: &Type) -> OwnerRule {
        let name = of.name();
        if of.kind.is_some_and(Builtin::is_suspendable) || is_task(&name) {
            return OwnerRule::Suspended;
        }
        let is_named = of.class.is_some() && !of.is_metatype() && of.module != "builtins";
        if is_named && !self.namer.modules.is_standard(&of.module) {
            return OwnerRule::Class(self.place(name.into(), Some(of.module.as_str().into()), None));
        }
        OwnerRule::Inherited
    }

    /// Names the roots, and the suspended functions and contexts that paths begin at.
    fn push_roots(&mut self, starts: &[NodeId]) {
        let mut roots: Vec<NodeId> =
            self.namer.modules.list().iter().filter_map(|m| self.graph().node(m.at)).collect();
        let modules = roots.len();
        roots.extend(self.graph().root_nodes());
        roots.extend(starts);
        let mut open = Vec::new();
        for (number, node) in roots.into_iter().enumerate() {
            if !self.paths.reaches(node) || self.paths.parent(node).is_some() {
                continue;
            }
            let (text, module) = self.namer.root(node);
            let is_standard = self.graph().root(node).is_none()
                && module.as_ref().is_some_and(|module| self.namer.modules.is_standard(module));
            let is_own = module.as_ref().is_some_and(|module| !self.namer.modules.is_standard(module));
            let naming = match () {
                () if number < modules => Naming::Path,
                () if is_own => Naming::OwnClass,
                () => Naming::AnyClass,
            };
            let place = self.place(text, module, None);
            if is_standard {
                let standard = self.place(STANDARD.into(), Some(STANDARD.into()), None);
                self.merged_into.insert(place, standard);
            }
            self.assign(node, place, place);
            open.push(PendingNode {
                node,
                place,
                root: place,
                role: Role::Named,
                class: None,
                naming,
                depth: 0,
                types: Vec::new(),
            });
        }
        // The first root is processed first.
        open.reverse();
        self.stack = open;
    }

    fn assign(&mut self, node: NodeId, holder: PlaceId, owner: PlaceId) {
        if let Some(place) = self.holders.get_mut(node.index()) {
            *place = holder;
        }
        let owner = self.own_place(node).unwrap_or(owner);
        if let Some(place) = self.owners.get_mut(node.index()) {
            *place = owner;
        }
    }

    fn holder(&self, node: NodeId) -> PlaceId {
        self.holders.get(node.index()).copied().unwrap_or(NONE)
    }

    fn owner(&self, node: NodeId) -> PlaceId {
        self.owners.get(node.index()).copied().unwrap_or(NONE)
    }

    /// The owner that an object is itself.
    fn own_place(&mut self, node: NodeId) -> Option<PlaceId> {
        let owner_rules = *self.owner_rules.get(self.graph().type_index(node).0 as usize)?;
        match owner_rules {
            OwnerRule::Inherited => None,
            OwnerRule::Class(place) => Some(place),
            OwnerRule::Suspended => {
                let at = self.graph().address(node)?;
                let suspended = self.namer.names.suspended(at)?;
                Some(self.place(suspended.to_string().into(), suspended.module, None))
            }
        }
    }

    fn name_all(&mut self) {
        while let Some(open) = self.stack.pop() {
            self.name_children(open);
        }
    }

    /// Names the attributes of an object in a container by its class.
    fn push_single(&mut self, node: NodeId) {
        let above = std::iter::successors(self.paths.parent(node), |&before| self.paths.parent(before));
        let mut above = above.skip_while(|&before| self.holder(before) == NONE);
        let (Some(before), true) = (above.next(), self.holder(node) == NONE) else { return };
        let (place, owner) = (self.holder(before), self.owner(before));
        self.assign(node, place, owner);
        let kind = self.graph().type_index(node);
        self.stack.push(PendingNode {
            node,
            place,
            root: place,
            role: Role::Named,
            class: Some(kind),
            naming: Naming::AnyClass,
            depth: 0,
            types: vec![kind],
        });
    }

    /// Names the references of an object; those without a name belong to the object.
    fn name_children(&mut self, open: PendingNode) {
        let (graph, paths) = (self.namer.graph, self.paths);
        let is_ours = |to: NodeId| paths.parent(to) == Some(open.node);
        // Each object once, by the most specific name: a hostile list may have the same object many times.
        let mut met = HashSet::new();
        let mut steps = Vec::new();
        let mut seen = |to: memobj_process::addr::Addr, reference: Reference| {
            if let Some(node) = graph.node(to).filter(|&node| is_ours(node))
                && met.insert(node)
            {
                steps.push((node, to, reference));
            }
        };
        let of = graph.type_of(open.node);
        let at = graph.address(open.node);
        match (at, graph.root(open.node).map(|root| root.kind)) {
            (_, Some(crate::object_graph::RootKind::Frame { at, .. })) => {
                self.namer.names.visit_frame(at, &mut seen)
            }
            (_, Some(crate::object_graph::RootKind::Thread(_))) => {
                for &to in graph.references().targets(open.node) {
                    if let (Some(at), Some(reference)) = (graph.address(to), step_of_thread(graph, to)) {
                        seen(at, reference);
                    }
                }
            }
            (Some(at), _) => self.namer.names.visit_references(at, &mut seen),
            _ => {}
        }
        for (node, to, reference) in steps {
            if self.holder(node) != NONE {
                continue;
            }
            let kind = graph.type_of(node).and_then(|of| of.kind);
            let is_small = kind.is_some_and(|kind| kind.content() == Content::Value)
                && graph.size(node) < SMALL_VALUE_BYTES;
            let from = at.unwrap_or_default();
            let Some((part, role)) = self.namer.follow(from, of, open.role, &reference, to) else {
                continue;
            };
            if is_small && part != NamePart::Cache {
                continue;
            }
            let is_full = self.places.len() >= MAX_PLACES;
            let place = if part == NamePart::Nothing || is_full {
                open.place
            } else {
                let above = self.places.get(open.place.0 as usize);
                let (text, module) = match (self.attribute_of_class(&open, &part), above) {
                    (Some((text, module)), _) => (text, Some(module)),
                    (None, Some(place)) => {
                        // Each task copies a context.
                        let text = match &part {
                            NamePart::ContextVariable(name) if open.naming != Naming::Path => {
                                Arc::clone(name)
                            }
                            part => part.append_to(&place.text),
                        };
                        (text, place.module.clone())
                    }
                    (None, None) => continue,
                };
                let place = self.place(text, module, Some(open.place));
                // A function or a class is a definition of its module; the objects that it keeps may be more.
                let is_code = match kind {
                    // One that wraps another, and so on, is more than a definition.
                    Some(Builtin::Function) => !is_long_chain(graph, node),
                    // A class that owns its objects has a row of its own.
                    Some(Builtin::Type) => !self.owner_rules.contains(&OwnerRule::Class(place)),
                    _ => false,
                };
                if is_code {
                    self.merged_into.insert(place, open.root);
                }
                place
            };
            // Suspended code owns its variables, whatever their names; until 3.10 a frame object has them.
            let is_suspended = of.is_some_and(|of| of.kind == Some(Builtin::Frame))
                || self.owner_rules.get(graph.type_index(open.node).0 as usize)
                    == Some(&OwnerRule::Suspended);
            let owner = if part == NamePart::Nothing || is_suspended { self.owner(open.node) } else { place };
            self.assign(node, place, owner);
            self.push_child(node, place, role, &part, &open);
        }
        let owner = self.owner(open.node);
        for &to in graph.references().targets(open.node) {
            if is_ours(to) && self.holder(to) == NONE {
                self.assign(to, open.place, owner);
            }
        }
    }

    /// The name of an attribute by its class, and the module of that, where only functions lead to it.
    fn attribute_of_class(&self, open: &PendingNode, part: &NamePart) -> Option<(Arc<str>, Arc<str>)> {
        let NamePart::Attribute(name) = part else { return None };
        let of = self.graph().type_at(open.class?)?;
        let by_class = match open.naming {
            Naming::Path => false,
            Naming::OwnClass => !self.namer.modules.is_standard(&of.module),
            Naming::AnyClass => true,
        };
        by_class.then(|| (format!("{}.{name}", of.name()).into(), of.module.as_str().into()))
    }

    /// Adds a named object to the stack, if its parts may have names.
    fn push_child(&mut self, node: NodeId, place: PlaceId, role: Role, part: &NamePart, above: &PendingNode) {
        let mut types = above.types.clone();
        let mut class = if role == Role::Namespace { above.class } else { None };
        if role == Role::Named {
            let kind = self.graph().type_index(node);
            let Some(of) = self.graph().type_at(kind) else { return };
            let is_instance = of.class.is_some() && !of.is_metatype();
            let has_parts = match of.kind {
                _ if is_instance => true,
                None => true,
                Some(
                    Builtin::Type
                    | Builtin::Module
                    | Builtin::Function
                    | Builtin::LruCache
                    | Builtin::WeakReference
                    | Builtin::HamtItems
                    | Builtin::HamtArray
                    | Builtin::Frame,
                ) => true,
                Some(builtin) => builtin.is_suspendable(),
            };
            if !has_parts || (types.contains(&kind) && !self.is_namespace_within(node, part, &types)) {
                return;
            }
            if is_instance {
                types.push(kind);
                class = Some(kind);
            }
        } else if role == Role::Part {
            return;
        }
        let depth = above.depth.saturating_add(u8::from(*part != NamePart::Nothing));
        if depth <= MAX_DEPTH {
            let (root, naming) = (above.root, above.naming);
            self.stack.push(PendingNode { node, place, root, role, class, naming, depth, types });
        }
    }

    /// Whether an object of the same type as the one above is no link of a chain: it has no attribute of that name itself, as in
    /// `types.SimpleNamespace` and `argparse.Namespace`.
    fn is_namespace_within(&mut self, node: NodeId, part: &NamePart, types: &[TypeIndex]) -> bool {
        let NamePart::Attribute(name) = part else { return false };
        let Some(at) =
            self.graph().address(node).filter(|_| types.last() == Some(&self.graph().type_index(node)))
        else {
            return false;
        };
        self.namer.names.attribute(at, name).is_none()
    }

    /// Merges definitions into their modules, and small places of the standard library into one.
    fn merge_definitions(&mut self) {
        let standard = self.place(STANDARD.into(), Some(STANDARD.into()), None);
        let graph = self.namer.graph;
        let is_standard: Vec<bool> = (self.places.iter())
            .map(|place| place.module.as_ref().is_some_and(|module| self.namer.modules.is_standard(module)))
            .collect();
        for all in [&mut self.holders, &mut self.owners] {
            let mut bytes = vec![0_u64; self.places.len()];
            for (node, place) in graph.object_nodes().zip(&mut *all) {
                let once = self.merged_into.get(place).copied().unwrap_or(*place);
                // A function is merged into its module, and that may be merged into the standard library.
                *place = self.merged_into.get(&once).copied().unwrap_or(once);
                if let Some(bytes) = bytes.get_mut(place.0 as usize) {
                    *bytes = bytes.saturating_add(graph.size(node));
                }
            }
            let least = bytes.iter().fold(0_u64, |sum, &bytes| sum.saturating_add(bytes)) / LISTED_PART;
            for place in &mut *all {
                let number = place.0 as usize;
                let is_light = bytes.get(number).is_some_and(|&bytes| bytes < least);
                if is_light && is_standard.get(number) == Some(&true) {
                    *place = standard;
                }
            }
        }
    }

    /// Assigns unreachable objects that have an owner of their own, and those that they lead to.
    fn assign_unreachable(&mut self) {
        let graph = self.namer.graph;
        let is_unreachable = |node: NodeId| graph.liveness(node) != Liveness::Held;
        let mut stack = Vec::new();
        for node in graph.object_nodes().filter(|&node| is_unreachable(node)) {
            if self.holder(node) != NONE || self.paths.reaches(node) {
                continue;
            }
            let Some(owner) = self.own_place(node) else { continue };
            let holder = self.place(liveness_place(graph.liveness(node)), None, None);
            self.assign(node, holder, owner);
            stack.push(node);
        }
        while let Some(node) = stack.pop() {
            let owner = self.owner(node);
            for &to in graph.references().targets(node) {
                if self.holder(to) == NONE && is_unreachable(to) && !self.paths.reaches(to) {
                    let holder = self.place(liveness_place(graph.liveness(to)), None, None);
                    self.assign(to, holder, owner);
                    stack.push(to);
                }
            }
        }
    }

    /// Assigns the other objects to the place that their path comes from.
    fn assign_unnamed(&mut self) {
        let mut path = Vec::new();
        for node in self.graph().object_nodes() {
            let mut at = node;
            while self.holder(at) == NONE {
                path.push(at);
                match self.paths.parent(at) {
                    Some(before) => at = before,
                    None => break,
                }
            }
            let (mut holder, mut owner) = (self.holder(at), self.owner(at));
            while let Some(node) = path.pop() {
                if holder == NONE {
                    let liveness = self.graph().liveness(node);
                    holder = self.place(liveness_place(liveness), None, None);
                    owner = holder;
                }
                self.assign(node, holder, owner);
                owner = self.owner(node);
            }
        }
    }
}
