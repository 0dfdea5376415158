//! The search for caches.
//!
//! By type first; then dicts with the name of a cache, or in an object with such a name; then dicts whose entries have times in them. In
//! the standard library only names of caches count.

mod location;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::graph::NodeId;
use crate::holders::Holders;
use crate::names::NameReader;
use memobj_cpython::heap::builtins::Builtin;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use self::location::{CacheOwner, leaf};
use super::clock::ClockReadings;
use super::expiry::times;
use super::kind::CacheKind;
use super::metadata::{self, Attributes, Counters};
use super::name_heuristics::{Meaning, is_accessory, is_cache, is_caches, means};

/// Items of a larger container are not named by their keys.
const FEW: usize = 64;
/// The longest path from a name to a cache.
const MAX_HOPS: usize = 16;
/// Least entries of a dict that is searched for times.
const MANY: u64 = 8;
/// Objects of a class that are searched for attributes with the name of a cache.
const MAX_OBJECTS: usize = 10_000;
/// More caches are not kept.
const MAX_CACHES: usize = 100_000;

/// A cache that was found.
#[derive(Debug)]
pub(super) struct CacheCandidate {
    /// The cache itself.
    pub root: NodeId,
    /// Its kind.
    pub cache_kind: CacheKind,
    /// The dict with its entries.
    pub table: Addr,
    /// The function whose results it keeps.
    pub function: Option<NodeId>,
    /// Its type.
    pub kind: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The class and the attribute of the object that has it: `web.Request._cache`.
    pub attribute: Option<Arc<str>>,
    /// Whether it belongs to the standard library.
    pub standard: bool,
    /// Its counters and limit.
    pub counters: Counters,
    /// The names beside it, with their values.
    pub attributes: Attributes,
}

/// The state of a search.
struct Search<'a, 'p, 'm, 'w, M> {
    holders: &'a Holders<'w>,
    names: &'a mut NameReader<'p, 'm, M>,
    now: Option<ClockReadings>,
    /// The kind of each type's objects.
    cache_kinds: Vec<CacheKind>,
    found: Vec<CacheCandidate>,
    /// Caches, their tables, and objects whose parts are no caches of their own.
    claimed: HashSet<NodeId>,
    /// By owner: the largest dict so far in an object with the name of a cache.
    owned: HashMap<NodeId, (u64, CacheCandidate)>,
}

/// Finds all caches: those found by type first, then by address.
pub(super) fn search<M: Memory>(
    holders: &Holders<'_>,
    names: &mut NameReader<'_, '_, M>,
    now: Option<ClockReadings>,
) -> Vec<CacheCandidate> {
    let cache_kinds =
        holders.graph().types().iter().map(|counted| CacheKind::from_type(names, &counted.ty)).collect();
    let mut search = Search {
        holders,
        names,
        now,
        cache_kinds,
        found: Vec::new(),
        claimed: HashSet::new(),
        owned: HashMap::new(),
    };
    search.find_by_type();
    search.find_by_attribute();
    search.find_by_name();
    let mut owned: Vec<CacheCandidate> = search.owned.into_values().map(|(_, found)| found).collect();
    owned.sort_by_key(|found| found.root);
    search.found.extend(owned);
    search.found
}

impl<M: Memory> Search<'_, '_, '_, '_, M> {
    fn cache_kind(&self, node: NodeId) -> CacheKind {
        self.cache_kinds
            .get(self.holders.graph().type_index(node).0 as usize)
            .copied()
            .unwrap_or(CacheKind::Other)
    }

    fn objects(&self) -> impl Iterator<Item = NodeId> + use<M> {
        self.holders.graph().object_nodes()
    }

    fn push(&mut self, found: CacheCandidate) {
        if self.found.len() < MAX_CACHES {
            self.claimed.extend(self.holders.graph().node(found.table));
            self.claimed.insert(found.root);
            self.found.push(found);
        }
    }

    /// Finds caches by type.
    fn find_by_type(&mut self) {
        for node in self.objects() {
            let cache_kind = self.cache_kind(node);
            let found = match cache_kind {
                CacheKind::Lru => self.lru(node),
                CacheKind::Cachetools | CacheKind::Locmem | CacheKind::Weak => {
                    self.of_library(node, cache_kind)
                }
                CacheKind::Table | CacheKind::Instance | CacheKind::Other => None,
            };
            if let Some(found) = found
                && !self.holders.graph().node(found.table).is_some_and(|table| self.claimed.contains(&table))
            {
                self.push(found);
            }
        }
    }

    fn lru(&mut self, node: NodeId) -> Option<CacheCandidate> {
        let at = self.holders.graph().address(node)?;
        let python = self.names.python();
        let objects = self.names.objects();
        let known = &python.layout.lru_cache_object;
        let number = |offset: u32| python.memory.read_u64(at.plus(offset.into())).ok().map(u64::cast_signed);
        let function = objects.read_pointer(at, known.func)?;
        let table = objects.read_pointer(at, known.cache)?;
        let counters = Counters {
            // -1 is none; 0 keeps nothing, and only counts.
            limit: number(known.maxsize).and_then(|most| u64::try_from(most).ok()),
            hits: number(known.hits).and_then(|hits| u64::try_from(hits).ok()),
            misses: number(known.misses).and_then(|misses| u64::try_from(misses).ok()),
        };
        let (name, standard) = self.name_of_function(node, function);
        Some(CacheCandidate {
            root: node,
            cache_kind: CacheKind::Lru,
            table,
            function: self.holders.graph().node(function),
            kind: "functools.lru_cache".into(),
            name,
            attribute: None,
            standard,
            counters,
            attributes: Vec::new(),
        })
    }

    /// The name of a cached function; if it has none, its place.
    fn name_of_function(&mut self, node: NodeId, function: Addr) -> (Arc<str>, bool) {
        let is_function = self.names.type_of(function).is_some_and(|of| of.kind == Some(Builtin::Function));
        let own = is_function.then(|| self.names.function(function)).flatten();
        let (place, module) = self.name(node);
        let Some(own) = own else { return (place, self.is_standard(module.as_deref())) };
        let known = self.names.python().layout.function_object.func_module;
        let module =
            self.names.objects().read_pointer(function, known).and_then(|module| self.names.text(module));
        let standard = self.is_standard(module.as_deref());
        // A lambda or an inner function is better known by its place, if that is a name.
        let is_named = self.is_top(node) && !place.contains(['(', '[', '?']);
        if own.contains('<') && is_named { (place, standard) } else { (own.into(), standard) }
    }

    /// Reads a cache of a library's class.
    fn of_library(&mut self, node: NodeId, cache_kind: CacheKind) -> Option<CacheCandidate> {
        let at = self.holders.graph().address(node)?;
        let attributes = metadata::attributes(self.names, at);
        let table = metadata::value_of(&attributes, cache_kind.table()?)?;
        let (name, module) = match (cache_kind, self.holders.graph().node(table)) {
            // Django has many objects, one for each thread, and one dict.
            (CacheKind::Locmem, Some(table)) => self.name(table),
            _ => self.name(node),
        };
        let entries = self.names.entries(table)?;
        let standard = self.is_standard(module.as_deref()) || self.is_of_standard(self.owner(node));
        let mut found = CacheCandidate {
            root: node,
            cache_kind,
            table,
            function: None,
            kind: self.type_name(node),
            name,
            attribute: self.attribute(node),
            standard,
            counters: metadata::counters(self.names, &attributes, entries),
            attributes,
        };
        if cache_kind == CacheKind::Cachetools {
            self.add_decorator(node, &mut found, entries);
        }
        Some(found)
    }

    /// Reads the hits of a cachetools cache, which the decorated function counts.
    fn add_decorator(&mut self, node: NodeId, found: &mut CacheCandidate, entries: u64) {
        let owner = self.owner(node);
        let around = match owner {
            Some(CacheOwner::Instance(owner)) => self.holders.graph().address(owner),
            _ => None,
        };
        let Some(around) = around.map(|at| metadata::attributes(self.names, at)) else { return };
        let Counters { hits, misses, .. } = metadata::counters(self.names, &around, entries);
        found.counters = Counters { hits, misses, ..found.counters };
    }

    fn type_name(&self, node: NodeId) -> Arc<str> {
        self.holders.graph().type_of(node).map_or_else(|| "?".into(), |of| of.name().into())
    }

    /// Finds caches in attributes with such a name, of objects without names of their own.
    fn find_by_attribute(&mut self) {
        let graph = self.holders.graph();
        let mut by_type: HashMap<u32, (Vec<Arc<str>>, usize)> = HashMap::new();
        for (index, (cache_kind, counted)) in (0..).zip(self.cache_kinds.iter().zip(graph.types())) {
            let of = &counted.ty;
            if *cache_kind == CacheKind::Instance && !self.holders.modules().is_standard(&of.module) {
                let mut called = self.names.attributes_of(of);
                called.retain(|name| is_cache(name));
                if !called.is_empty() {
                    by_type.insert(index, (called, 0));
                }
            }
        }
        if by_type.is_empty() {
            return;
        }
        for node in self.objects() {
            let Some((called, seen)) = by_type.get_mut(&graph.type_index(node).0) else { continue };
            *seen += 1;
            if *seen > MAX_OBJECTS || self.claimed.contains(&node) {
                continue;
            }
            let Some(at) = graph.address(node) else { continue };
            for name in called.clone() {
                let Some(table) = self.names.attribute(at, &name).and_then(|at| graph.node(at)) else {
                    continue;
                };
                // A named dict comes later, with its neighbours.
                if self.cache_kind(table) == CacheKind::Table
                    && !self.is_named(table)
                    && !self.claimed.contains(&table)
                {
                    let attributes = metadata::attributes(self.names, at);
                    if let Some(mut found) = self.table(table, attributes) {
                        found.attribute = Some(format!("{}.{name}", self.type_name(node)).into());
                        self.push(found);
                    }
                }
            }
        }
    }

    /// Finds caches among named dicts.
    fn find_by_name(&mut self) {
        for node in self.objects() {
            if self.cache_kind(node) == CacheKind::Table
                && self.is_named(node)
                && !self.claimed.contains(&node)
            {
                self.check_named_dict(node);
            }
        }
    }

    fn check_named_dict(&mut self, node: NodeId) {
        let graph = self.holders.graph();
        let Some(place) = self.holders.holder(node).and_then(|place| self.holders.place(place)) else {
            return;
        };
        let (above, leaf) = leaf(&place.text);
        let owner = self.owner(node);
        let standard = self.is_standard(place.module.as_deref()) || self.is_of_standard(owner);
        if let Some(CacheOwner::Instance(owner)) = owner
            && self.claimed.contains(&owner)
        {
            return;
        }
        let called = is_cache(leaf);
        if !called && (standard || self.is_within_a_cache(node)) {
            return;
        }
        let class = match owner {
            Some(CacheOwner::Instance(owner)) => graph.type_of(owner).map(|of| of.qualname.as_str()),
            _ => None,
        };
        let own_class = graph.type_of(node).filter(|of| of.class.is_some()).map(|of| of.qualname.as_str());
        let last = |name: &str| name.rsplit('.').next().is_some_and(is_cache);
        let is_of_cache =
            !is_accessory(leaf) && (class.is_some_and(last) || is_cache(location::leaf(above).1));
        let is_cache = called || own_class.is_some_and(last);
        let attributes = self.attributes_beside(node, owner);
        let Some(found) = self.table(node, attributes) else { return };
        if is_cache && !self.holds_caches(leaf, &found) {
            self.push(found);
        } else if is_cache || standard {
            self.push_parts(&found);
        } else if is_of_cache {
            let entries = self.names.entries(found.table).unwrap_or(0);
            match owner {
                // The largest dict of such an object is the cache; the others describe the same keys.
                Some(CacheOwner::Instance(owner)) => {
                    let is_larger = self.owned.get(&owner).is_none_or(|(largest, _)| entries > *largest);
                    if is_larger {
                        self.owned.insert(owner, (entries, found));
                    }
                }
                _ if entries > 0 => self.push(found),
                _ => {}
            }
        } else if !is_accessory(leaf) && !means(leaf, Meaning::Deadlines) && self.has_times(&found) {
            self.push(found);
        }
    }

    /// Whether a dict is a part of a known cache.
    fn is_within_a_cache(&self, node: NodeId) -> bool {
        let paths = self.holders.paths();
        let above = std::iter::successors(paths.parent(node), |&above| paths.parent(above));
        above.take(MAX_HOPS).any(|above| self.claimed.contains(&above))
    }

    /// Whether a dict with a plural name contains caches alone.
    fn holds_caches(&mut self, leaf: &str, found: &CacheCandidate) -> bool {
        if !is_caches(leaf) {
            return false;
        }
        let values = self.values(found.table, FEW);
        let graph = self.holders.graph();
        let is_cache = |value: &Addr| {
            let node = graph.node(*value);
            node.is_some_and(|node| self.claimed.contains(&node) || self.cache_kind(node) == CacheKind::Table)
        };
        !values.is_empty() && values.iter().all(is_cache)
    }

    /// Adds the caches in a container of caches.
    fn push_parts(&mut self, whole: &CacheCandidate) {
        for value in self.values(whole.table, FEW) {
            let Some(node) = self.holders.graph().node(value) else { continue };
            if self.cache_kind(node) == CacheKind::Table
                && !self.claimed.contains(&node)
                && let Some(found) = self.table(node, Vec::new())
            {
                self.push(found);
            }
        }
    }

    fn values(&self, table: Addr, most: usize) -> Vec<Addr> {
        self.names.objects().read_pairs(table, most).into_iter().map(|(_, value)| value).collect()
    }

    /// Whether the entries of a dict have recognizable times.
    fn has_times(&mut self, found: &CacheCandidate) -> bool {
        let Some(now) = self.now else { return false };
        if self.names.entries(found.table).is_none_or(|entries| entries < MANY) {
            return false;
        }
        // The first entries show whether reading all is worthwhile.
        let some = self.values(found.table, FEW);
        times(self.names, &some, &now, false).is_some_and(|times| times.is_recognizable)
    }

    /// Describes a dict as a cache.
    fn table(&mut self, node: NodeId, attributes: Attributes) -> Option<CacheCandidate> {
        let table = self.holders.graph().address(node)?;
        let entries = self.names.entries(table)?;
        let (name, module) = self.name(node);
        let mut counters = metadata::counters(self.names, &attributes, entries);
        let standard = self.is_standard(module.as_deref()) || self.is_of_standard(self.owner(node));
        let is_class = self.holders.graph().type_of(node).is_some_and(|of| of.class.is_some());
        if is_class {
            let own = metadata::attributes(self.names, table);
            let own = metadata::counters(self.names, &own, entries);
            counters.limit = own.limit.or(counters.limit);
            if own.hits.is_some() {
                (counters.hits, counters.misses) = (own.hits, own.misses);
            }
        }
        Some(CacheCandidate {
            root: node,
            cache_kind: CacheKind::Table,
            table,
            function: None,
            kind: self.type_name(node),
            name,
            attribute: self.attribute(node),
            standard,
            counters,
            attributes,
        })
    }

    /// Reads the names beside a dict: attributes of its object or class, closure variables of its function.
    fn attributes_beside(&mut self, node: NodeId, owner: Option<CacheOwner>) -> Attributes {
        let graph = self.holders.graph();
        let at = |node: NodeId| graph.address(node);
        match owner {
            Some(CacheOwner::Instance(owner)) => at(owner).map(|at| metadata::attributes(self.names, at)),
            Some(CacheOwner::Function(owner)) => at(owner).map(|at| metadata::closure(self.names, at)),
            Some(CacheOwner::Class) => {
                let dict = self.holders.paths().parent(node).and_then(at);
                dict.map(|dict| metadata::entries(self.names, dict))
            }
            None => None,
        }
        .unwrap_or_default()
    }
}
