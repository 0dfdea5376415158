//! The entries that are added to a container: what a person counts.
//!
//! A growth root may only wrap what it is there for: a tuple of a job and its time, a dict with an exception. Then the entry is that.

use std::collections::{BTreeMap, HashMap, HashSet};

use memobj_cpython::heap::builtins::{Builtin, Growth};
use memobj_cpython::heap::types::Type;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::find::LeakFinder;
use super::growth_roots::{RootGroup, is_user_class};
use crate::graph::NodeId;
use crate::names::{NameReader, Reference};
use crate::object_graph::TypeIndex;

/// Wrappers around an entry that are followed.
const MAX_DEPTH: usize = 3;
/// References of a wrapper that are followed.
const MAX_WIDTH: usize = 32;

/// The entries of a group of growth roots.
pub(super) struct Entries {
    /// Their type.
    pub of: TypeIndex,
    /// Some of them.
    pub nodes: Vec<NodeId>,
    /// The type whose new objects are counted.
    pub counted: TypeIndex,
    /// How many entries there are for each of those.
    pub share: f64,
}

impl LeakFinder<'_, '_> {
    pub(super) fn is_user_class(&self, of: TypeIndex) -> bool {
        self.holders.graph().type_at(of).is_some_and(|of| is_user_class(self.holders, of))
    }

    /// Whether objects of a type in each other are links of a chain: those of a class, and functions that wrap each other.
    pub(super) fn is_link(&self, of: TypeIndex) -> bool {
        let kind = self.holders.graph().type_at(of).and_then(|of| of.kind);
        kind == Some(Builtin::Function) || self.is_user_class(of)
    }

    /// The entries that the growth roots of type `root` are or wrap. Roots in objects of their own type are links of a chain: then every
    /// object of that type counts.
    pub(super) fn entries<M: Memory>(
        &self,
        names: &mut NameReader<'_, '_, M>,
        groups: &HashMap<TypeIndex, RootGroup>,
        (root, group): (TypeIndex, &RootGroup),
        is_chain: bool,
    ) -> Entries {
        let graph = self.holders.graph();
        let wrapped: Vec<NodeId> = group.samples.iter().map(|&node| self.wrapped(node)).collect();
        let mut counts: BTreeMap<TypeIndex, usize> = BTreeMap::new();
        for &node in &wrapped {
            *counts.entry(self.ids.type_index(graph, node)).or_default() += 1;
        }
        let wrappers = wrapped.len();
        let most = counts.into_iter().max_by_key(|&(_, count)| count);
        let of = most.filter(|&(_, count)| count * 2 > wrappers).map_or(root, |(of, _)| of);
        let mut nodes = if of == root { group.samples.clone() } else { wrapped };
        nodes.retain(|&node| self.ids.type_index(graph, node) == of);
        nodes.sort_unstable();
        nodes.dedup();
        let within = |of: TypeIndex| group.types.get(&of).copied().unwrap_or(0);
        let is_one_each = within(of).abs_diff(group.roots).saturating_mul(5) <= group.roots;
        let keys = if is_chain { HashSet::new() } else { self.keys_of_new(names, group) };
        if is_chain || is_one_each || !group.is_spread(self.generations) {
            let (mut all, mut of_keys) = (0.0, 0.0);
            for group in groups.values() {
                let count = group.types.get(&of).copied().unwrap_or(0) as f64;
                all += count;
                of_keys += count * self.part_of_keys(&keys, group);
            }
            let share = if of_keys > 0.0 { 1.0 - of_keys / all } else { 1.0 };
            return Entries { of, nodes, counted: of, share };
        }
        // Others of the type may be in objects of another type, and these are entries as well; a wrapper is counted wherever it is.
        let everywhere = || groups.values().filter_map(|group| group.types.get(&root)).sum();
        let all = if of == root { within(root) } else { everywhere() };
        // Two containers may wrap the same entry.
        let once = nodes.len() as f64 / wrappers.max(1) as f64;
        let entries = group.roots as f64 * (1.0 - self.part_of_keys(&keys, group));
        Entries { of, nodes, counted: root, share: once * entries / all.max(1) as f64 }
    }

    /// The part of a group's growth roots that are keys, or parts of keys, of values that are new, too: each entry of a dict counts once.
    fn part_of_keys(&self, keys: &HashSet<Addr>, group: &RootGroup) -> f64 {
        let is_key = |node: NodeId| self.holders.graph().address(node).is_some_and(|at| keys.contains(&at));
        let is_of_key =
            |&&node: &&NodeId| is_key(node) || self.holders.paths().parent(node).is_some_and(is_key);
        let among = group.samples.iter().filter(is_of_key).count();
        among as f64 / group.samples.len().max(1) as f64
    }

    /// The keys, in the container with most growth roots of a group, whose values are new.
    fn keys_of_new<M: Memory>(&self, names: &mut NameReader<'_, '_, M>, group: &RootGroup) -> HashSet<Addr> {
        let graph = self.holders.graph();
        let is_new = |at: Addr| graph.node(at).is_some_and(|node| self.generations.first_seen(node) > 0);
        let mut keys = HashSet::new();
        let has_keys = |&node: &NodeId| {
            graph.type_of(node).and_then(|of| of.kind).is_some_and(|kind| kind.growth() == Growth::Keys)
        };
        let container = group.most().map(|(container, _)| container).filter(has_keys);
        if let Some(at) = container.and_then(|container| graph.address(container)) {
            names.visit_references(at, |to, reference| {
                if let Reference::Entry(key) = reference
                    && key != to
                    && is_new(to)
                {
                    keys.insert(key);
                }
            });
        }
        keys
    }

    /// The nearest new object of a class of the program that a wrapper leads to, or else the nearest new function or coroutine; otherwise
    /// the object itself.
    fn wrapped(&self, root: NodeId) -> NodeId {
        let graph = self.holders.graph();
        let wraps = |node: NodeId| graph.type_of(node).is_some_and(is_wrapping);
        let mut level: Vec<NodeId> = Some(root).filter(|&root| wraps(root)).into_iter().collect();
        let mut code = None;
        for _ in 0..MAX_DEPTH {
            let mut below = Vec::new();
            for &node in &level {
                for &to in graph.references().targets(node).iter().take(MAX_WIDTH) {
                    if graph.address(to).is_none() || self.generations.first_seen(to) == 0 {
                        continue;
                    }
                    if self.is_user_class(graph.type_index(to)) {
                        return to;
                    }
                    if graph.type_of(to).is_some_and(is_code) {
                        code.get_or_insert(to);
                    }
                    if wraps(to) {
                        below.push(to);
                    }
                }
            }
            level = below;
        }
        code.unwrap_or(root)
    }

    /// The function that an object refers to by an attribute, directly or in a method or partial.
    pub(super) fn called(&self, object: NodeId) -> Option<NodeId> {
        let graph = self.holders.graph();
        let mut level = vec![object];
        for _ in 0..MAX_DEPTH {
            let mut below = Vec::new();
            for &node in &level {
                for &to in graph.references().targets(node).iter().take(MAX_WIDTH) {
                    let Some(of) = graph.type_of(to) else { continue };
                    match of.kind {
                        Some(Builtin::Function) => return Some(to),
                        // The object's own attributes.
                        Some(Builtin::Dict) if node == object => below.push(to),
                        None if matches!(of.name().as_str(), "method" | "functools.partial") => {
                            below.push(to)
                        }
                        _ => {}
                    }
                }
            }
            level = below;
        }
        None
    }
}

/// Whether objects of a type are code that waits to run.
fn is_code(of: &Type) -> bool {
    matches!(
        of.kind,
        Some(Builtin::Function | Builtin::Generator | Builtin::Coroutine | Builtin::AsyncGenerator)
    )
}

/// Whether objects of a type only wrap others.
fn is_wrapping(of: &Type) -> bool {
    match of.kind {
        Some(Builtin::Tuple | Builtin::List | Builtin::Dict | Builtin::WeakReference) => true,
        Some(_) => false,
        None => matches!(
            of.name().as_str(),
            "method"
                | "builtin_function_or_method"
                | "cell"
                | "functools.partial"
                | "functools._lru_list_elem"
        ),
    }
}
