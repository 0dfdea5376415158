//! Extracts the values of one quantity from a moment of a log.

use std::sync::{Arc, LazyLock};

use common::log::{Census, MomentData as Measured, Process, Total, Tree};

use super::buffer::SeriesKey;
use crate::cli::{Metric, Quantity};

/// Identifies a series within one moment.
#[derive(Debug, Clone, Copy)]
pub enum SeriesId<'a> {
    /// A process.
    Process { pid: u32, start: u64, name: &'a Arc<str>, cmdline: Option<&'a Arc<str>> },
    /// A type, module, holder, cache or total.
    Named(&'a Arc<str>),
}

impl SeriesId<'_> {
    /// Whether this is the series of a key, if input and role are the same.
    pub fn matches(&self, key: &SeriesKey) -> bool {
        match (self, key) {
            (Self::Process { pid, start, .. }, SeriesKey::Process { pid: p, start: s, .. }) => {
                pid == p && start == s
            }
            (Self::Named(name), SeriesKey::Named { name: known, .. }) => {
                Arc::ptr_eq(name, known) || *name == known
            }
            _ => false,
        }
    }

    /// The key of the series.
    pub fn key(&self, input: usize, role: &Arc<str>) -> SeriesKey {
        match self {
            Self::Process { pid, start, .. } => SeriesKey::Process { input, pid: *pid, start: *start },
            Self::Named(name) => SeriesKey::Named { input, role: Arc::clone(role), name: Arc::clone(name) },
        }
    }
}

/// A moment apart from its values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MomentSummary {
    /// The process that was asked for. Records of one iteration differ in it.
    pub root: (u32, u64),
    /// The sum of everything, listed or not.
    pub total: Option<f64>,
    /// Whether all series are listed: one that is not listed is zero.
    pub complete: bool,
}

/// The names of totals.
#[derive(Debug)]
pub struct TotalNames {
    pub rss: Arc<str>,
    pub pss: Arc<str>,
    pub python: Arc<str>,
    pub objects: Arc<str>,
    process: Arc<str>,
    threads: Arc<str>,
}

/// The names of totals, allocated once.
pub static TOTAL_NAMES: LazyLock<TotalNames> = LazyLock::new(|| TotalNames {
    rss: "sum of RSS".into(),
    pss: "sum of PSS".into(),
    python: "Python objects".into(),
    objects: "objects".into(),
    process: "RSS of the process".into(),
    threads: "Python threads".into(),
});

/// Takes the values of a moment: each with its series, `None` if it was not measured.
pub type ValueSink<'a> = dyn FnMut(SeriesId<'_>, Option<u64>) + 'a;

/// Calls `each` for every value of a quantity in a moment. Returns `None` if the moment has no such values.
pub fn extract(
    measured: &Measured,
    quantity: Quantity,
    metric: Metric,
    each: &mut ValueSink<'_>,
) -> Option<MomentSummary> {
    match measured {
        Measured::Tree(tree) => extract_tree(tree, quantity, metric, each),
        Measured::Census(census) => extract_census(census, quantity, each),
        _ => None,
    }
}

fn size(process: &Process, metric: Metric) -> Option<u64> {
    match metric {
        Metric::Rss => process.rss_bytes,
        Metric::Pss => process.pss_bytes,
        Metric::Uss => process.uss_bytes,
        Metric::Swap => process.swap_bytes,
    }
}

fn extract_tree(
    tree: &Tree,
    quantity: Quantity,
    metric: Metric,
    each: &mut ValueSink<'_>,
) -> Option<MomentSummary> {
    match quantity {
        Quantity::Processes | Quantity::Threads => {
            for process in &tree.processes {
                let Process { pid, start, name, cmdline, .. } = process;
                let id = SeriesId::Process { pid: *pid, start: *start, name, cmdline: cmdline.as_ref() };
                let is_threads = quantity == Quantity::Threads;
                each(id, if is_threads { process.threads } else { size(process, metric) });
            }
        }
        Quantity::Total => {
            each(SeriesId::Named(&TOTAL_NAMES.rss), Some(tree.total_rss_bytes));
            if tree.total_pss_bytes.is_some() {
                each(SeriesId::Named(&TOTAL_NAMES.pss), tree.total_pss_bytes);
            }
        }
        _ => return None,
    }
    let root = tree.processes.first().map_or((0, 0), |process| (process.pid, process.start));
    Some(MomentSummary { root, total: None, complete: false })
}

fn extract_census(census: &Census, quantity: Quantity, each: &mut ValueSink<'_>) -> Option<MomentSummary> {
    let mut named = |name: &Arc<str>, value| each(SeriesId::Named(name), value);
    let mut list = |totals: &[Total], value: fn(&Total) -> u64| {
        totals.iter().for_each(|total| named(&total.name, Some(value(total))));
    };
    let (total, complete) = match quantity {
        Quantity::Types => {
            list(&census.types, |total| total.size_bytes);
            (census.total_size_bytes, !census.types_cut)
        }
        Quantity::Counts => {
            list(&census.types, |total| total.count);
            (Some(census.total_objects), !census.types_cut)
        }
        Quantity::Modules => {
            list(&census.modules, |total| total.size_bytes);
            let has_any = !census.modules.is_empty();
            (census.total_size_bytes.filter(|_| has_any), has_any && !census.modules_cut)
        }
        Quantity::Holders => {
            list(census.holders.as_ref()?, |total| total.size_bytes);
            (census.total_size_bytes, !census.holders_cut)
        }
        Quantity::Caches => {
            census.caches.as_ref()?.iter().for_each(|cache| named(&cache.name, cache.size_bytes));
            (None, !census.caches_cut)
        }
        Quantity::Total => {
            match census.total_size_bytes {
                Some(size) => {
                    named(&TOTAL_NAMES.python, Some(size));
                    if census.rss_bytes.is_some() {
                        named(&TOTAL_NAMES.process, census.rss_bytes);
                    }
                }
                None => named(&TOTAL_NAMES.objects, Some(census.total_objects)),
            }
            (None, false)
        }
        Quantity::Processes => {
            let Census { pid, start, name, cmdline, .. } = census;
            let id = SeriesId::Process { pid: *pid, start: *start, name, cmdline: cmdline.as_ref() };
            each(id, Some(census.rss_bytes?));
            (None, false)
        }
        Quantity::Threads => {
            named(&TOTAL_NAMES.threads, u64::try_from(census.threads.as_ref()?.len()).ok());
            (None, false)
        }
        // A tree has no series.
        Quantity::Heap | Quantity::Treemap => return None,
    };
    let total = total.map(|total| total as f64);
    Some(MomentSummary { root: (census.pid, census.start), total, complete })
}
