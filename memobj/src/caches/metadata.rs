//! Values beside a cache: its limit, its hits, the deadlines of its entries.

use std::sync::Arc;

use crate::names::{NameReader, Reference};
use memobj_cpython::heap::builtins::Builtin;
use memobj_cpython::object::memory_ext::MemoryExt;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::name_heuristics::{Meaning, is_limit_of, means};

/// Names that are read of each object.
const MAX_NAMES: usize = 1000;

/// Names with their values: the attributes of an object, the closure variables of a function.
pub(super) type Attributes = Vec<(Arc<str>, Addr)>;

/// The counters and the limit of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counters {
    pub limit: Option<u64>,
    pub hits: Option<u64>,
    pub misses: Option<u64>,
}

/// Reads the attributes of an object itself: in its dict, its values, its slots.
pub(super) fn attributes<M: Memory>(names: &mut NameReader<'_, '_, M>, at: Addr) -> Attributes {
    let mut found: Attributes = Vec::new();
    let mut dicts = Vec::new();
    names.visit_references(at, |to, reference| match reference {
        Reference::Attribute(name) if found.len() < MAX_NAMES => found.push((name, to)),
        Reference::Internal => dicts.push(to),
        _ => {}
    });
    for dict in dicts {
        found.extend(entries(names, dict));
    }
    found
}

/// Reads the entries of a dict whose keys could be names.
pub(super) fn entries<M: Memory>(names: &mut NameReader<'_, '_, M>, dict: Addr) -> Attributes {
    let pairs = names.objects().read_pairs(dict, MAX_NAMES);
    pairs.into_iter().filter_map(|(key, value)| Some((names.key(key)?, value))).collect()
}

/// Reads the closure variables of a function.
pub(super) fn closure<M: Memory>(names: &mut NameReader<'_, '_, M>, function: Addr) -> Attributes {
    let layout = names.python().layout;
    let objects = names.objects();
    let cells = objects.read_pointer(function, layout.function_object.func_closure);
    let Some(cells) = cells.filter(|&cells| objects.read_length(cells).is_some()) else { return Vec::new() };
    let count = objects.read_length(cells).unwrap_or(0).min(MAX_NAMES as u64);
    let mut found = Vec::new();
    for index in 0..count {
        let item = u64::from(layout.tuple_object.ob_item).saturating_add(index.saturating_mul(8));
        let Ok(cell) = names.python().memory.read_pointer(cells.plus(item), 0) else { break };
        let inside = objects.read_pointer(cell, layout.cell_object.ob_ref).filter(|inside| !inside.is_null());
        let (Some(name), Some(inside)) = (names.closure_variable(function, index), inside) else { continue };
        found.push((name, inside));
    }
    found
}

/// The value with a name.
pub(super) fn value_of(all: &Attributes, name: &str) -> Option<Addr> {
    all.iter().find(|(known, _)| &**known == name).map(|&(_, at)| at)
}

/// Reads a `float`, or an `int` that fits; no `bool`.
pub fn number<M: Memory>(names: &mut NameReader<'_, '_, M>, at: Addr) -> Option<f64> {
    let of = names.type_of(at)?;
    let python = names.python();
    match of.kind? {
        Builtin::Int if of.name() != "bool" => names.objects().read_integer(at).map(|number| number as f64),
        Builtin::Number if of.name() == "float" => {
            python.memory.read_word(at, python.layout.float_object.ob_fval).ok().map(f64::from_bits)
        }
        _ => None,
    }
}

/// The limit that an object sets for a container with `entries` that it owns: an attribute of it with the name of a limit.
pub fn limit_of_owner<M: Memory>(
    names: &mut NameReader<'_, '_, M>,
    owner: Addr,
    entries: u64,
) -> Option<u64> {
    let all = attributes(names, owner);
    counters(names, &all, entries).limit
}

/// The limit that a module sets for the container at `container`, a variable of it: a constant with the name of both, as
/// `_MAXCACHE` for `_cache` in `re`.
pub fn limit_in_module<M: Memory>(
    names: &mut NameReader<'_, '_, M>,
    module: Addr,
    container: Addr,
) -> Option<u64> {
    let all = attributes(names, module);
    let name = all.iter().find(|&&(_, at)| at == container).map(|(name, _)| Arc::clone(name))?;
    let (_, limit) = all.iter().find(|(other, _)| is_limit_of(other, &name))?;
    let of = names.type_of(*limit).filter(|of| of.kind == Some(Builtin::Int) && of.name() != "bool");
    of.and_then(|_| names.objects().read_integer(*limit)).and_then(|number| u64::try_from(number).ok())
}

/// Finds the counters among these names, for a cache with `entries`.
pub(super) fn counters<M: Memory>(
    names: &mut NameReader<'_, '_, M>,
    all: &Attributes,
    entries: u64,
) -> Counters {
    let mut counters = Counters::default();
    for (name, at) in all {
        let place = match name {
            name if means(name, Meaning::Limit) => &mut counters.limit,
            name if means(name, Meaning::Hits) => &mut counters.hits,
            name if means(name, Meaning::Misses) => &mut counters.misses,
            _ => continue,
        };
        let of = names.type_of(*at);
        if of.is_some_and(|of| of.kind == Some(Builtin::Int) && of.name() != "bool") {
            *place =
                place.or(names.objects().read_integer(*at).and_then(|number| u64::try_from(number).ok()));
        }
    }
    // A limit that was passed long ago limits something else.
    counters.limit = counters.limit.filter(|&limit| limit > 0 && entries <= limit.saturating_add(limit / 4));
    if counters.hits.is_none() || counters.misses.is_none() {
        (counters.hits, counters.misses) = (None, None);
    }
    counters
}
