//! Where the caches are.
//!
//! Types that are caches first; then dicts that a name of the program leads to and that are called so, or that belong to something that
//! is called so; then dicts whose entries have times in them. Of what came with Python only what it calls a cache itself counts.

mod location;

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
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
use super::name_heuristics;

/// Items of a container with more are not told apart by their keys.
const FEW: usize = 64;
/// The longest way from a name to a cache. A bound, no fact.
const MOST_HOPS: usize = 16;
/// A dict with fewer entries is not looked into for times.
const MANY: u64 = 8;
/// So many objects of a class are looked at whose attributes are called caches. A bound, no fact.
const MOST_OBJECTS: usize = 10_000;
/// The most caches that are told apart. A bound, no fact.
const MOST_CACHES: usize = 100_000;

/// A cache that was found.
#[derive(Debug)]
pub(super) struct CacheCandidate {
    /// The cache itself.
    pub root: NodeId,
    /// What it is to this search.
    pub sort: CacheKind,
    /// The dict with its entries.
    pub table: Addr,
    /// What it refers to that is not of it.
    pub besides: Option<NodeId>,
    /// Its type.
    pub kind: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Whether it came with Python.
    pub standard: bool,
    /// What it says of itself.
    pub counters: Counters,
    /// What stands beside it.
    pub beside: Attributes,
}

/// What a search knows.
struct Search<'a, 'p, 'm, 'w, M> {
    holders: &'a Holders<'w>,
    names: &'a mut NameReader<'p, 'm, M>,
    now: Option<ClockReadings>,
    /// By type.
    sorts: Vec<CacheKind>,
    found: Vec<CacheCandidate>,
    /// Caches, their tables, and objects whose parts are no caches of their own.
    claimed: HashSet<NodeId>,
    /// By owner: the largest dict so far of something that is called a cache.
    owned: HashMap<NodeId, (u64, CacheCandidate)>,
}

/// All caches; in the order of their addresses, those that are told by type first.
pub(super) fn search<M: Memory>(
    holders: &Holders<'_>,
    names: &mut NameReader<'_, '_, M>,
    now: Option<ClockReadings>,
) -> Vec<CacheCandidate> {
    let sorts = holders.graph().types().iter().map(|counted| CacheKind::of(names, &counted.of)).collect();
    let mut search = Search {
        holders,
        names,
        now,
        sorts,
        found: Vec::new(),
        claimed: HashSet::new(),
        owned: HashMap::new(),
    };
    search.look_at_types();
    search.look_at_attributes();
    search.look_at_tables();
    let mut owned: Vec<CacheCandidate> = search.owned.into_values().map(|(_, found)| found).collect();
    owned.sort_by_key(|found| found.root);
    search.found.extend(owned);
    search.found
}

impl<M: Memory> Search<'_, '_, '_, '_, M> {
    fn sort(&self, node: NodeId) -> CacheKind {
        self.sorts.get(self.holders.graph().type_index(node).0 as usize).copied().unwrap_or(CacheKind::Other)
    }

    fn objects(&self) -> impl Iterator<Item = NodeId> + use<M> {
        (0..).take(self.holders.graph().objects()).map(NodeId)
    }

    fn push(&mut self, found: CacheCandidate) {
        if self.found.len() < MOST_CACHES {
            self.claimed.extend(self.holders.graph().node(found.table));
            self.claimed.insert(found.root);
            self.found.push(found);
        }
    }

    /// What is a cache by its type.
    fn look_at_types(&mut self) {
        for node in self.objects() {
            let sort = self.sort(node);
            let found = match sort {
                CacheKind::Lru => self.lru(node),
                CacheKind::Cachetools | CacheKind::Locmem | CacheKind::Weak => self.of_library(node, sort),
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
        let function = objects.pointer(at, known.func)?;
        let table = objects.pointer(at, known.cache)?;
        let counters = Counters {
            // -1 is none; 0 keeps nothing, and only counts.
            limit: number(known.maxsize).and_then(|most| u64::try_from(most).ok()),
            hits: number(known.hits).and_then(|hits| u64::try_from(hits).ok()),
            misses: number(known.misses).and_then(|misses| u64::try_from(misses).ok()),
        };
        let (name, standard) = self.name_of_function(node, function);
        Some(CacheCandidate {
            root: node,
            sort: CacheKind::Lru,
            table,
            besides: self.holders.graph().node(function),
            kind: "functools.lru_cache".into(),
            name,
            standard,
            counters,
            beside: Vec::new(),
        })
    }

    /// The name of a function whose results are kept; where it has none of its own, of the place that leads to it.
    fn name_of_function(&mut self, node: NodeId, function: Addr) -> (Arc<str>, bool) {
        let is_function = self.names.type_of(function).is_some_and(|of| of.kind == Some(Builtin::Function));
        let own = is_function.then(|| self.names.function(function)).flatten();
        let (place, module) = self.name(node);
        let Some(own) = own else { return (place, self.is_standard(module.as_deref())) };
        let known = self.names.python().layout.function_object.func_module;
        let module = self.names.objects().pointer(function, known).and_then(|module| self.names.text(module));
        let standard = self.is_standard(module.as_deref());
        // `<lambda>`, and what was made in a function, are better told by where they are, if that is a name.
        let is_named = self.is_top(node) && !place.contains(['(', '[', '?']);
        if own.contains('<') && is_named { (place, standard) } else { (own.into(), standard) }
    }

    /// An object of a class that some library has for caches.
    fn of_library(&mut self, node: NodeId, sort: CacheKind) -> Option<CacheCandidate> {
        let at = self.holders.graph().address(node)?;
        let beside = metadata::attributes(self.names, at);
        let table = metadata::named(&beside, sort.table()?)?;
        let (name, module) = match (sort, self.holders.graph().node(table)) {
            // Django's are many objects, one for each thread, and one dict.
            (CacheKind::Locmem, Some(table)) => self.name(table),
            _ => self.name(node),
        };
        let entries = self.names.entries(table)?;
        let standard = self.is_standard(module.as_deref()) || self.is_of_standard(self.owner(node));
        let mut found = CacheCandidate {
            root: node,
            sort,
            table,
            besides: None,
            kind: self.type_name(node),
            name,
            standard,
            counters: metadata::counters(self.names, &beside, entries),
            beside,
        };
        if sort == CacheKind::Cachetools {
            self.add_decorator(node, &mut found, entries);
        }
        Some(found)
    }

    /// The hits of a cache of cachetools are counted by the function that it is of, if at all.
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

    /// Objects whose class has attributes that are called caches, wherever they are: in containers they have no names of their own.
    fn look_at_attributes(&mut self) {
        let graph = self.holders.graph();
        let mut by_type: HashMap<u32, (Vec<Arc<str>>, usize)> = HashMap::new();
        for (index, (sort, counted)) in (0..).zip(self.sorts.iter().zip(graph.types())) {
            let of = &counted.of;
            if *sort == CacheKind::Instance && !self.holders.modules().is_standard(&of.module) {
                let mut called = self.names.attributes_of(of);
                called.retain(|name| name_heuristics::is_cache(name));
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
            if *seen > MOST_OBJECTS || self.claimed.contains(&node) {
                continue;
            }
            let Some(at) = graph.address(node) else { continue };
            for name in called.clone() {
                let Some(table) = self.names.attribute(at, &name).and_then(|at| graph.node(at)) else {
                    continue;
                };
                // What a name leads to comes later, with its neighbours.
                if self.sort(table) == CacheKind::Table
                    && !self.is_named(table)
                    && !self.claimed.contains(&table)
                {
                    let beside = metadata::attributes(self.names, at);
                    if let Some(found) = self.table(table, beside) {
                        self.push(found);
                    }
                }
            }
        }
    }

    /// Dicts that a name leads to.
    fn look_at_tables(&mut self) {
        for node in self.objects() {
            if self.sort(node) == CacheKind::Table && self.is_named(node) && !self.claimed.contains(&node) {
                self.look_at_table(node);
            }
        }
    }

    fn look_at_table(&mut self, node: NodeId) {
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
        let called = name_heuristics::is_cache(leaf);
        if !called && (standard || self.is_within_a_cache(node)) {
            return;
        }
        let class = match owner {
            Some(CacheOwner::Instance(owner)) => graph.type_of(owner).map(|of| of.qualname.as_str()),
            _ => None,
        };
        let own_class = graph.type_of(node).filter(|of| of.class.is_some()).map(|of| of.qualname.as_str());
        let last = |name: &str| name.rsplit('.').next().is_some_and(name_heuristics::is_cache);
        let is_of_cache = !name_heuristics::is_beside(leaf)
            && (class.is_some_and(last) || name_heuristics::is_cache(location::leaf(above).1));
        let is_cache = called || own_class.is_some_and(last);
        let beside = self.beside(node, owner);
        let Some(found) = self.table(node, beside) else { return };
        if is_cache && !self.holds_caches(leaf, &found) {
            self.push(found);
        } else if is_cache || standard {
            self.look_at_parts(&found);
        } else if is_of_cache {
            let entries = self.names.entries(found.table).unwrap_or(0);
            match owner {
                // Of such an object the largest is the cache; the others say more of the same keys.
                Some(CacheOwner::Instance(owner)) => {
                    let is_larger = self.owned.get(&owner).is_none_or(|(largest, _)| entries > *largest);
                    if is_larger {
                        self.owned.insert(owner, (entries, found));
                    }
                }
                _ if entries > 0 => self.push(found),
                _ => {}
            }
        } else if !name_heuristics::is_beside(leaf)
            && !name_heuristics::is_deadlines(leaf)
            && self.has_times(&found)
        {
            self.push(found);
        }
    }

    /// Whether a dict is a part of what was found to be a cache: an entry is none, whatever the names above it say.
    fn is_within_a_cache(&self, node: NodeId) -> bool {
        let paths = self.holders.paths();
        let above = std::iter::successors(paths.parent(node), |&above| paths.parent(above));
        above.take(MOST_HOPS).any(|above| self.claimed.contains(&above))
    }

    /// Whether a dict is no cache but a list of some, as its name says: all that it has are caches, or dicts.
    fn holds_caches(&mut self, leaf: &str, found: &CacheCandidate) -> bool {
        if !name_heuristics::is_caches(leaf) {
            return false;
        }
        let values = self.values(found.table, FEW);
        let graph = self.holders.graph();
        let is_cache = |value: &Addr| {
            let node = graph.node(*value);
            node.is_some_and(|node| self.claimed.contains(&node) || self.sort(node) == CacheKind::Table)
        };
        !values.is_empty() && values.iter().all(is_cache)
    }

    /// The caches in a list of caches.
    fn look_at_parts(&mut self, whole: &CacheCandidate) {
        for value in self.values(whole.table, FEW) {
            let Some(node) = self.holders.graph().node(value) else { continue };
            if self.sort(node) == CacheKind::Table
                && !self.claimed.contains(&node)
                && let Some(found) = self.table(node, Vec::new())
            {
                self.push(found);
            }
        }
    }

    fn values(&self, table: Addr, most: usize) -> Vec<Addr> {
        let mut values = Vec::new();
        self.names.objects().entries(table, |_, value| {
            values.push(value);
            if values.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        values
    }

    /// Whether the entries of a dict have times in them that can be told from other numbers.
    fn has_times(&mut self, found: &CacheCandidate) -> bool {
        let Some(now) = self.now else { return false };
        if self.names.entries(found.table).is_none_or(|entries| entries < MANY) {
            return false;
        }
        // Some from its beginning say whether it is worth reading all of it.
        let some = self.values(found.table, FEW);
        times(self.names, &some, &now, false).is_some_and(|times| times.is_telling)
    }

    /// A dict as a cache.
    fn table(&mut self, node: NodeId, beside: Attributes) -> Option<CacheCandidate> {
        let table = self.holders.graph().address(node)?;
        let entries = self.names.entries(table)?;
        let (name, module) = self.name(node);
        let mut counters = metadata::counters(self.names, &beside, entries);
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
            sort: CacheKind::Table,
            table,
            besides: None,
            kind: self.type_name(node),
            name,
            standard,
            counters,
            beside,
        })
    }

    /// What stands beside a dict: the attributes of the object or class that it is of, the closure variables of the function.
    fn beside(&mut self, node: NodeId, owner: Option<CacheOwner>) -> Attributes {
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
