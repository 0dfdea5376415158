//! Totals by holder, owner and module.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use common::record::{DescriptorTotal, HeapNode, ObjectSample, PinnedHolder, UnreachableTotal};

use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_cpython::heap::walk::ObjectCount;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::Holders;
use super::heap_tree::HeapTree;
use super::object_samples::sample_objects;
use super::pinning::find_pinning;
use super::retained::RetainedSizes;
use super::why::Why;
use crate::config::HolderOptions;
use crate::graph::NodeId;
use crate::names::NameReader;
use crate::object_sum::{ObjectSum, SummaryRow};

/// Objects of a type whose paths are searched for `--why`.
const MAX_PATHS: usize = 10_000;

/// The holders of a Python's objects; each object is in each list once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HolderSummary {
    /// By holder, those with most bytes first.
    pub holders: Vec<SummaryRow>,
    /// By owner.
    pub owners: Vec<SummaryRow>,
    /// By the module of the owner.
    pub modules: Vec<SummaryRow>,
    /// The unreachable objects.
    pub unreachable: Vec<UnreachableTotal>,
    /// The size that the objects of each type retain, by the type's name; `None` if not requested.
    pub retained: Option<BTreeMap<Arc<str>, u64>>,
    /// The tree of holders; `None` if not requested.
    pub tree: Option<Vec<HeapNode>>,
    /// The holders of the objects that keep nearly empty arenas of Python's allocator; empty if these are not known.
    pub pinning: Vec<PinnedHolder>,
    /// The paths to the objects of the requested types.
    pub whys: Vec<Why>,
    /// The requested types without objects.
    pub missing_types: Vec<MissingType>,
    /// A sample of the objects.
    pub samples: Vec<ObjectSample>,
    /// The objects with open file descriptors, by holder and type; `None` if these are not known.
    pub descriptors: Option<Vec<DescriptorTotal>>,
}

/// A requested type without objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingType {
    /// Its name.
    pub name: String,
    /// Names of types with objects that are like it.
    pub similar: Vec<String>,
}

/// Sums up the objects of `holders`, with retained sizes if those are known and requested. `kept` are nearly empty arenas of Python's
/// allocator by address, each with the bytes it keeps.
pub fn summarize_holders<M: Memory>(
    python: &PythonHeap<'_, M>,
    holders: &Holders<'_>,
    retained: Option<&RetainedSizes>,
    tree: Option<&HeapTree<'_, '_>>,
    wanted: &HolderOptions,
    kept: &[(Range<Addr>, u64)],
) -> HolderSummary {
    let retained = retained.filter(|_| wanted.retained);
    let places = holders.places();
    let by_holder = retained.map(|retained| {
        retained.by_group(places.len(), |node: NodeId| holders.holder(node).map(|place| place.0 as usize))
    });
    let named = |totals: Vec<ObjectCount>, retained: Option<&Vec<u64>>| {
        let rows = totals.into_iter().zip(places).enumerate();
        rows.map(|(number, (total, place))| {
            let retained_bytes = retained.and_then(|retained| retained.get(number)).copied();
            row(&place.text, total, retained_bytes)
        })
        .collect()
    };
    let owned = holders.owner_totals();
    let mut modules: BTreeMap<&str, ObjectCount> = BTreeMap::new();
    for (total, place) in owned.iter().zip(places) {
        let module = modules.entry(place.module.as_deref().unwrap_or("(none)")).or_default();
        module.merge(total);
    }
    let modules = modules.into_iter().map(|(name, total)| row(name, total, None)).collect();
    let mut names = NameReader::new(python);
    let (mut whys, mut missing_types) = (Vec::new(), Vec::new());
    for name in &wanted.why {
        let found = holders.why(&mut names, name, MAX_PATHS);
        if found.is_empty() {
            missing_types.push(MissingType { name: name.clone(), similar: holders.similar_types(name) });
        }
        whys.extend(found);
    }
    HolderSummary {
        holders: ordered(named(holders.holder_totals(), by_holder.as_ref())),
        owners: ordered(named(owned, None)),
        modules: ordered(modules),
        unreachable: holders.unreachable(),
        retained: retained.map(|retained| by_type(holders, retained)),
        tree: retained.and(tree).map(HeapTree::listed),
        pinning: find_pinning(holders, kept),
        whys,
        missing_types,
        samples: sample_objects(holders),
        descriptors: None,
    }
}

/// The retained size of each type; types of one name together.
fn by_type(holders: &Holders<'_>, retained: &RetainedSizes) -> BTreeMap<Arc<str>, u64> {
    let graph = holders.graph();
    let mut numbers: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    let mut groups = Vec::with_capacity(graph.types().len());
    for counted in graph.types() {
        let next = numbers.len();
        groups.push(*numbers.entry(counted.ty.name().into()).or_insert(next));
    }
    let group = |node: NodeId| groups.get(graph.type_index(node).0 as usize).copied();
    let sums = retained.by_group(numbers.len(), group);
    numbers.into_iter().map(|(name, number)| (name, sums.get(number).copied().unwrap_or(0))).collect()
}

/// The most bytes first, then the most objects, then by name.
fn row(name: &str, total: ObjectCount, retained_bytes: Option<u64>) -> SummaryRow {
    let (count, size_bytes) = (total.objects, total.bytes);
    SummaryRow { name: name.into(), sum: ObjectSum { count, size_bytes, retained_bytes, ..ObjectSum::NONE } }
}

/// The rows that have objects, the largest first, then by name.
fn ordered(mut rows: Vec<SummaryRow>) -> Vec<SummaryRow> {
    rows.retain(|row| row.sum.count > 0);
    SummaryRow::sort(&mut rows);
    rows
}
