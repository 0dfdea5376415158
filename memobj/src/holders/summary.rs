//! Who holds the objects that were counted.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use common::record::ObjectSample;

use crate::config::HolderOptions;
use crate::graph::NodeId;
use crate::holders::retained::RetainedSizes;
use crate::holders::why::Why;
use crate::holders::{Holders, ObjectTotals};
use crate::names::NameReader;
use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::object_samples::sample_objects;
use super::pinning::{HeldPinning, find_pinning};

/// To so many objects of a type the ways are looked at.
const SAMPLE: usize = 10_000;

/// Who holds the objects of a Python; each object is in each list once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Held {
    /// By the place of the program that leads to them, those with most bytes first.
    pub holders: Vec<HeldBy>,
    /// By the nearest thing above them that has a name.
    pub owners: Vec<HeldBy>,
    /// By the module of their owner; `None`: of none.
    pub modules: Vec<HeldBy>,
    /// What the program cannot reach.
    pub strays: Vec<Stray>,
    /// What the objects of each type retain, by the type's name; `None` if that was not asked.
    pub retained: Option<BTreeMap<Arc<str>, u64>>,
    /// By the place that leads to them: what keeps nearly empty arenas of Python's allocator; nothing if that is not known.
    pub pinning: Vec<HeldPinning>,
    /// The ways to the objects of the types that were asked for.
    pub whys: Vec<Why>,
    /// Which objects there were, in a sample.
    pub samples: Vec<ObjectSample>,
}

/// The objects that belong to something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBy {
    /// Its name.
    pub name: Arc<str>,
    /// How many objects.
    pub count: u64,
    /// Their sizes.
    pub size_bytes: u64,
    /// What would be freed without it; `None` if that was not asked, or says nothing.
    pub retained_bytes: Option<u64>,
}

/// Objects of a type that the program cannot reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// The name of the type.
    pub of: Arc<str>,
    /// Why they are there, in a word.
    pub standing: &'static str,
    /// How many.
    pub count: u64,
    /// Their sizes.
    pub size_bytes: u64,
}

/// Sums up who holds the objects of `holders`, and what they retain, if that is known and wanted. `kept` are nearly empty arenas of
/// Python's allocator, as far as they are known: by address, each with what it keeps.
#[must_use]
pub fn summarize_holders<M: Memory>(
    python: &PythonHeap<'_, M>,
    holders: &Holders<'_>,
    retained: Option<&RetainedSizes>,
    wanted: &HolderOptions,
    kept: &[(Range<Addr>, u64)],
) -> Held {
    let graph = holders.graph();
    let retained = retained.filter(|_| wanted.retained);
    let places = holders.places();
    let by_holder = retained.map(|retained| {
        retained.by_group(places.len(), |node: NodeId| holders.holder(node).map(|place| place.0 as usize))
    });
    let named = |totals: Vec<ObjectTotals>, retained: Option<&Vec<u64>>| {
        let rows = totals.into_iter().zip(places).enumerate();
        let rows = rows.filter(|(_, (total, _))| total.objects > 0).map(|(number, (total, place))| HeldBy {
            name: (&*place.text).into(),
            count: total.objects,
            size_bytes: total.bytes,
            retained_bytes: retained.and_then(|retained| retained.get(number)).copied(),
        });
        ordered(rows.collect())
    };
    let owned = holders.owner_totals();
    let mut modules: BTreeMap<&str, ObjectTotals> = BTreeMap::new();
    for (total, place) in owned.iter().zip(places) {
        let module = modules.entry(place.module.as_deref().unwrap_or("(none)")).or_default();
        module.objects = module.objects.saturating_add(total.objects);
        module.bytes = module.bytes.saturating_add(total.bytes);
    }
    let modules = modules.into_iter().filter(|(_, total)| total.objects > 0);
    let modules = modules.map(|(name, total)| HeldBy {
        name: name.into(),
        count: total.objects,
        size_bytes: total.bytes,
        retained_bytes: None,
    });
    let strays = holders.unreachable().into_iter().map(|(standing, of, total)| Stray {
        of: graph.type_at(of).map_or_else(|| "?".into(), |of| of.name().into()),
        standing: standing.as_str(),
        count: total.objects,
        size_bytes: total.bytes,
    });
    let mut names = NameReader::new(python);
    let whys = wanted.why.iter().flat_map(|of| holders.why(&mut names, of, SAMPLE)).collect();
    Held {
        holders: named(holders.holder_totals(), by_holder.as_ref()),
        owners: named(owned, None),
        modules: ordered(modules.collect()),
        strays: strays.collect(),
        retained: retained.map(|retained| by_type(holders, retained)),
        pinning: find_pinning(holders, kept),
        whys,
        samples: sample_objects(holders),
    }
}

/// What types retain, those of one name together.
fn by_type(holders: &Holders<'_>, retained: &RetainedSizes) -> BTreeMap<Arc<str>, u64> {
    let graph = holders.graph();
    let mut numbers: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    let mut groups = Vec::with_capacity(graph.types().len());
    for counted in graph.types() {
        let next = numbers.len();
        groups.push(*numbers.entry(counted.of.name().into()).or_insert(next));
    }
    let group = |node: NodeId| groups.get(graph.type_index(node).0 as usize).copied();
    let sums = retained.by_group(numbers.len(), group);
    numbers.into_iter().map(|(name, number)| (name, sums.get(number).copied().unwrap_or(0))).collect()
}

/// The most bytes first, then the most objects, then by name.
fn ordered(mut rows: Vec<HeldBy>) -> Vec<HeldBy> {
    rows.sort_unstable_by(|a, b| {
        (Reverse(a.size_bytes), Reverse(a.count), &a.name).cmp(&(
            Reverse(b.size_bytes),
            Reverse(b.count),
            &b.name,
        ))
    });
    rows
}
