//! What stands beside a cache and says something of it: its limit, its hits, the deadlines of its entries.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::names::{NameReader, Reference};
use memobj_cpython::heap::builtins::Builtin;
use memobj_cpython::object::memory_ext::MemoryExt;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::name_heuristics;

/// So many names are looked at of each. A bound, no fact.
const MOST_NAMES: usize = 1000;

/// NameReader and what they mean: the attributes of an object, the closure variables of a function.
pub(super) type Attributes = Vec<(Arc<str>, Addr)>;

/// What a cache counts, and how much it may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counters {
    pub limit: Option<u64>,
    pub hits: Option<u64>,
    pub misses: Option<u64>,
}

/// The attributes that an object itself has: in its dict, its values, its slots.
pub(super) fn attributes<M: Memory>(names: &mut NameReader<'_, '_, M>, at: Addr) -> Attributes {
    let mut found: Attributes = Vec::new();
    let mut dicts = Vec::new();
    names.visit_references(at, |to, reference| match reference {
        Reference::Attribute(name) if found.len() < MOST_NAMES => found.push((name, to)),
        Reference::Internal => dicts.push(to),
        _ => {}
    });
    for dict in dicts {
        found.extend(entries(names, dict));
    }
    found
}

/// The entries of a dict whose keys are names.
pub(super) fn entries<M: Memory>(names: &mut NameReader<'_, '_, M>, dict: Addr) -> Attributes {
    let mut pairs = Vec::new();
    names.objects().entries(dict, |key, value| {
        pairs.push((key, value));
        if pairs.len() < MOST_NAMES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    pairs.into_iter().filter_map(|(key, value)| Some((names.key(key)?, value))).collect()
}

/// The closure variables of a function, and what is in them.
pub(super) fn closure<M: Memory>(names: &mut NameReader<'_, '_, M>, function: Addr) -> Attributes {
    let layout = names.python().layout;
    let objects = names.objects();
    let cells = objects.pointer(function, layout.function_object.func_closure);
    let Some(cells) = cells.filter(|&cells| objects.length(cells).is_some()) else { return Vec::new() };
    let count = objects.length(cells).unwrap_or(0).min(MOST_NAMES as u64);
    let mut found = Vec::new();
    for index in 0..count {
        let item = u64::from(layout.tuple_object.ob_item).saturating_add(index.saturating_mul(8));
        let Ok(cell) = names.python().memory.read_pointer(cells.plus(item), 0) else { break };
        let inside = objects.pointer(cell, layout.cell_object.ob_ref).filter(|inside| !inside.is_null());
        let (Some(name), Some(inside)) = (names.closure_variable(function, index), inside) else { continue };
        found.push((name, inside));
    }
    found
}

/// What is meant by a name, as it is written in its class.
pub(super) fn named(all: &Attributes, name: &str) -> Option<Addr> {
    all.iter().find(|(known, _)| &**known == name).map(|&(_, at)| at)
}

/// A `float`, or an `int` that fits; no `bool`.
pub(super) fn number<M: Memory>(names: &mut NameReader<'_, '_, M>, at: Addr) -> Option<f64> {
    let of = names.type_of(at)?;
    let python = names.python();
    match of.kind? {
        Builtin::Int if of.name() != "bool" => names.objects().integer(at).map(|number| number as f64),
        Builtin::Number if of.name() == "float" => {
            python.memory.read_word(at, python.layout.float_object.ob_fval).ok().map(f64::from_bits)
        }
        _ => None,
    }
}

/// The counters among these names, for a cache of so many entries.
pub(super) fn counters<M: Memory>(
    names: &mut NameReader<'_, '_, M>,
    all: &Attributes,
    entries: u64,
) -> Counters {
    let mut counters = Counters::default();
    for (name, at) in all {
        let place = match name {
            name if name_heuristics::is_limit(name) => &mut counters.limit,
            name if name_heuristics::is_hits(name) => &mut counters.hits,
            name if name_heuristics::is_misses(name) => &mut counters.misses,
            _ => continue,
        };
        let of = names.type_of(*at);
        if of.is_some_and(|of| of.kind == Some(Builtin::Int) && of.name() != "bool") {
            *place = place.or(names.objects().integer(*at).and_then(|number| u64::try_from(number).ok()));
        }
    }
    // One that is long passed is a limit of something else.
    counters.limit = counters.limit.filter(|&limit| limit > 0 && entries <= limit.saturating_add(limit / 4));
    if counters.hits.is_none() || counters.misses.is_none() {
        (counters.hits, counters.misses) = (None, None);
    }
    counters
}
