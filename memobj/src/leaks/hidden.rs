//! Who holds objects without a known referrer: an object of C or Rust that does not show the collector what it holds.
//!
//! Its memory has their addresses, in its own struct or in blocks that the struct points to. If it is only reached from the objects that it
//! holds, these are in a reference cycle that the collector cannot see.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use common::record::Liveness;
use common::verdict::last_part;
use memobj_cpython::heap::types::{Traverse, Type};
use memobj_cpython::object::memory_ext::MemoryExt;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::find::{Candidate, LeakFinder};
use crate::graph::NodeId;
use crate::holders::PlaceId;
use crate::names::NameReader;
use crate::names::modules::{Origin, package_of};
use crate::object_graph::{RootKind, TypeIndex};

/// Lost objects whose addresses are searched.
const MAX_LOST: usize = 32;
/// Objects that are followed from each of them.
const MAX_FOLLOWED: usize = 128;
/// Objects of C in all the rest of the program that are searched.
const MAX_OPAQUE: usize = 1 << 13;
/// Words of a block that are searched, and those of one whose size is unknown.
const MAX_WORDS: u64 = 1 << 17;
const FEW_WORDS: u64 = 8;
/// Blocks from an object to a reference: a tree of Rust has two for each level.
const MAX_DEPTH: u32 = 12;
/// Words that are searched for one object in a cycle; for one that the program holds, and for all of each kind.
const MAX_CYCLE_WORDS: u64 = 1 << 14;
const MAX_ALL_WORDS: u64 = 1 << 22;
/// Of an object whose memory was not searched to its end, this many lost objects are enough.
const FEW: usize = 3;
/// Packages that are listed.
const MAX_SUSPECTS: usize = 6;

/// The holder of objects without a known referrer.
enum HiddenHolder {
    /// They are in cycles through objects of this type; the types of one cycle, in order.
    Cycle(TypeIndex, Vec<TypeIndex>),
    /// An object that the program holds, and its place.
    Object(NodeId, PlaceId),
}

impl LeakFinder<'_, '_> {
    /// Names who holds the objects below these growth roots, or the packages that may hold them or have lost them; `types` are those that
    /// grow.
    pub(super) fn name_hidden_holder<M: Memory>(
        &self,
        names: &mut NameReader<'_, '_, M>,
        candidate: &mut Candidate,
        roots: &[NodeId],
        types: Vec<TypeIndex>,
    ) {
        let graph = self.holders.graph();
        let leak = &mut candidate.leak;
        match self.hidden_holder(names, roots) {
            Some(HiddenHolder::Cycle(of, types)) => {
                let name = |of| graph.type_at(of).map_or_else(|| "?".into(), Type::name);
                let short = |of| graph.type_at(of).map_or("?", |of| of.qualname.as_str());
                let cycle: Vec<&str> = [of].into_iter().chain(types).map(short).collect();
                leak.holder = format!("(cycle through {})", name(of)).into();
                leak.hiding_type = Some(name(of).into());
                leak.path = Some(cycle.join(" → ").into());
                leak.suspects = packages(graph.type_at(of).map(|of| of.module.as_str()).into_iter());
            }
            Some(HiddenHolder::Object(node, place)) => {
                let path = self.holders.reference_paths(names, [node].into_iter());
                let short = last_part(&leak.name);
                leak.path = path.first().map(|path| format!("{} → {short}", path.describe()).into());
                leak.cause = Liveness::Held;
                leak.container = graph.type_of(node).map(|of| of.name().into());
                if let Some(place) = self.holders.place(place) {
                    leak.holder = Arc::clone(&place.text);
                    candidate.origin =
                        place.module.as_ref().and_then(|module| self.holders.modules().origin(module));
                    let module = place.module.as_deref();
                    candidate.is_standard = module.is_some_and(|module| self.holders.is_standard(module));
                }
            }
            None => leak.suspects = self.suspects(types.into_iter()),
        }
    }

    /// Finds who holds most of these objects, if all that is known of them is that something does.
    fn hidden_holder<M: Memory>(
        &self,
        names: &NameReader<'_, '_, M>,
        nodes: &[NodeId],
    ) -> Option<HiddenHolder> {
        let graph = self.holders.graph();
        let is_lost = |node: NodeId| {
            let root = self.holders.paths().parent(node).and_then(|before| graph.root(before));
            root.is_some_and(|root| matches!(root.kind, RootKind::Native | RootKind::Unknown))
        };
        let lost: Vec<NodeId> = nodes.iter().copied().filter(|&node| is_lost(node)).collect();
        let every = lost.len().div_ceil(MAX_LOST).max(1);
        let lost: Vec<NodeId> = lost.into_iter().step_by(every).collect();
        let memory = names.python().memory;
        let mut search = StorageSearch {
            finder: self,
            memory,
            head: names.python().layout.object.size.into(),
            python_data: self.python_data(),
            words: 0,
        };
        let mut cycles: BTreeMap<TypeIndex, (usize, Vec<TypeIndex>)> = BTreeMap::new();
        for &node in &lost {
            if let Some(cycle) = search.cycle(node) {
                let of = cycle.last().copied().unwrap_or(TypeIndex::NONE);
                cycles.entry(of).or_insert((0, cycle)).0 += 1;
            }
        }
        let most = cycles.into_iter().max_by_key(|(_, (count, _))| *count);
        if let Some((of, (_, cycle))) = most.filter(|(_, (count, _))| count * 2 > lost.len()) {
            return Some(HiddenHolder::Cycle(of, cycle));
        }
        search.object_with_most(&lost)
    }

    /// The packages whose C code may have lost objects of these types, or may hold them: those of the types that are of C, or else all that
    /// were loaded and did not come with Python.
    pub(super) fn suspects(&self, types: impl Iterator<Item = TypeIndex>) -> Vec<Arc<str>> {
        let modules = self.holders.modules();
        let of_c = types.filter_map(|index| self.holders.graph().type_at(index)).filter(|of| {
            of.class.is_none() && modules.origin(&of.module).is_some_and(|origin| origin != Origin::Standard)
        });
        let found = packages(of_c.map(|of| of.module.as_str()));
        if !found.is_empty() {
            return found;
        }
        let extensions = modules.list().iter().filter(|module| {
            // A call by ctypes is as dangerous as code in C.
            &*module.name == "ctypes" || module.is_extension && module.origin != Origin::Standard
        });
        packages(extensions.map(|module| &*module.name))
    }
}

/// The packages of some modules, each once.
fn packages<'a>(modules: impl Iterator<Item = &'a str>) -> Vec<Arc<str>> {
    let mut found: Vec<Arc<str>> = Vec::new();
    for package in modules.map(package_of) {
        if found.len() < MAX_SUSPECTS && !found.iter().any(|known| **known == *package) {
            found.push(package.into());
        }
    }
    found
}

/// Searches the memory of objects of C.
struct StorageSearch<'a, 'h, 'w, M> {
    finder: &'a LeakFinder<'h, 'w>,
    memory: &'a M,
    /// Bytes of an object's head.
    head: u64,
    /// The static data of Python: it leads to everything.
    python_data: Range<Addr>,
    /// Words that were searched.
    words: u64,
}

impl<M: Memory> StorageSearch<'_, '_, '_, M> {
    /// The types from a lost object to an object of C that holds it; the last is the type of that.
    fn cycle(&mut self, lost: NodeId) -> Option<Vec<TypeIndex>> {
        let graph = self.finder.holders.graph();
        let wanted: HashSet<Addr> = graph.address(lost).into_iter().collect();
        let mut before: HashMap<NodeId, NodeId> = HashMap::new();
        let mut met = vec![lost];
        let mut next = 0;
        while let Some(&node) = met.get(next) {
            next += 1;
            if !self.found_in(node, &wanted, MAX_CYCLE_WORDS).addresses.is_empty() {
                let path = std::iter::successors(Some(node), |node| before.get(node).copied());
                let mut types: Vec<TypeIndex> = path.map(|node| graph.type_index(node)).collect();
                types.reverse();
                return Some(types);
            }
            for &to in graph.references().targets(node) {
                let is_new = to != lost && graph.liveness(to) != Liveness::Held && !before.contains_key(&to);
                if is_new && graph.address(to).is_some() && met.len() < MAX_FOLLOWED {
                    before.insert(to, node);
                    met.push(to);
                }
            }
        }
        None
    }

    /// The object, among those that the program can reach, whose place holds most of the lost objects.
    fn object_with_most(&mut self, lost: &[NodeId]) -> Option<HiddenHolder> {
        let holders = self.finder.holders;
        let graph = holders.graph();
        let wanted: HashSet<Addr> = lost.iter().filter_map(|&node| graph.address(node)).collect();
        if wanted.is_empty() {
            return None;
        }
        self.words = 0;
        let is_opaque: Vec<bool> = graph.types().iter().map(|counted| is_opaque(&counted.ty)).collect();
        let is_candidate = |node: NodeId| {
            is_opaque.get(graph.type_index(node).0 as usize) == Some(&true)
                && graph.liveness(node) == Liveness::Held
        };
        let mut by_place: BTreeMap<PlaceId, (NodeId, Found)> = BTreeMap::new();
        for node in graph.object_nodes().filter(|&node| is_candidate(node)).take(MAX_OPAQUE) {
            let found = self.found_in(node, &wanted, MAX_ALL_WORDS);
            if let Some(place) = holders.holder(node).filter(|_| !found.addresses.is_empty()) {
                let (_, all) = by_place.entry(place).or_insert((node, Found::default()));
                all.addresses.extend(found.addresses);
                all.is_cut |= found.is_cut;
            }
        }
        let most = by_place.into_iter().max_by_key(|(_, (_, found))| found.addresses.len())?;
        let (place, (node, found)) = most;
        let count = found.addresses.len();
        let is_enough = count * 4 >= wanted.len() || found.is_cut && count >= FEW;
        is_enough.then_some(HiddenHolder::Object(node, place))
    }

    /// The wanted addresses in the memory of an object of C: in its struct, and in the blocks that this leads to.
    fn found_in(&mut self, node: NodeId, wanted: &HashSet<Addr>, limit: u64) -> Found {
        let graph = self.finder.holders.graph();
        let mut found = Found::default();
        let of = graph.type_of(node).filter(|of| is_opaque(of) && struct_bytes(of) > self.head);
        let Some((at, of)) = graph.address(node).zip(of) else { return found };
        let limit = self.words.saturating_add(limit).min(MAX_ALL_WORDS);
        let mut met: HashSet<Addr> = HashSet::new();
        let words = struct_bytes(of).saturating_sub(self.head) / 8;
        let mut stack = vec![(at.plus(self.head), words.min(MAX_WORDS), 0_u32)];
        let mut inside = Vec::new();
        while let Some((block, words, depth)) = stack.pop() {
            if self.words >= limit {
                found.is_cut = true;
                break;
            }
            self.words = self.words.saturating_add(words);
            let _ = self.memory.read_words(block, words, |word| inside.push(Addr(word)));
            for to in inside.drain(..) {
                if wanted.contains(&to) {
                    found.addresses.insert(to);
                }
                let is_pointer = to.is_plausible() && to.0.is_multiple_of(8);
                let is_block = is_pointer && !self.python_data.contains(&to);
                if is_block && depth < MAX_DEPTH && graph.node(to).is_none() && met.insert(to) {
                    stack.push((to, self.words_of(to), depth.saturating_add(1)));
                }
            }
            if found.addresses.len() == wanted.len() {
                break;
            }
        }
        found
    }

    /// The words of a block: a chunk of glibc's malloc has its size in front, and the lowest bit of the next one's says that it is in use.
    fn words_of(&self, block: Addr) -> u64 {
        let size = |at: Addr| self.memory.read_u64(at.minus(8)).ok();
        let Some(head) = size(block) else { return 0 };
        let bytes = head & !7;
        // A chunk with a mapping of its own has no next one (`IS_MMAPPED` in glibc's malloc/malloc.c).
        let is_mapped = head & 2 != 0 && bytes.is_multiple_of(4096);
        let is_used = || is_mapped || size(block.plus(bytes)).is_some_and(|next| next & 1 == 1 && next >= 32);
        let is_chunk = bytes >= 32 && bytes.is_multiple_of(16) && bytes >> 40 == 0 && is_used();
        if is_chunk { (bytes / 8).saturating_sub(1).min(MAX_WORDS) } else { FEW_WORDS }
    }
}

/// The lost objects that an object holds.
#[derive(Default)]
struct Found {
    addresses: HashSet<Addr>,
    /// Whether not all of its memory was searched.
    is_cut: bool,
}

/// The bytes of an object's C struct. A type of C without a destructor of its own has that of classes (`PyType_FromSpec`).
fn struct_bytes(of: &Type) -> u64 {
    if of.class.is_some() { of.c_size } else { of.basicsize }
}

/// Whether an object's C struct may hold references that are not known. The definition of a module leads to the static data of a library, and
/// that to anything.
fn is_opaque(of: &Type) -> bool {
    let is_definition = of.module == "builtins" && of.qualname == "moduledef";
    of.kind.is_none() && !of.is_metatype() && !matches!(of.traverse, Traverse::Members(_)) && !is_definition
}

#[cfg(test)]
mod tests {
    use super::packages;

    #[test]
    fn each_package_is_listed_once() {
        let found = packages(
            ["numpy.core._multiarray", "numpy.linalg", "rpds.rpds", "a", "b", "c", "d", "e"].into_iter(),
        );
        assert_eq!(
            found.iter().map(|name| &**name).collect::<Vec<_>>(),
            ["numpy", "rpds", "a", "b", "c", "d"]
        );
    }
}
