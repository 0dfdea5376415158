//! From a moment of a log to the values of a view.

use std::sync::Arc;

use common::log::{Census, Process, Total, Tree, What as Measured};

use super::buffer::SeriesKey;
use crate::cli::{Metric, Quantity};

/// One value of a moment.
#[derive(Debug)]
pub struct Measurement<'a> {
    /// Whose it is.
    pub of: SeriesId<'a>,
    /// The value; `None` if it was not measured.
    pub value: Option<u64>,
}

/// Whose a value is.
#[derive(Debug, Clone, Copy)]
pub enum SeriesId<'a> {
    /// A process of a tree, or of a census.
    Process {
        /// Its number.
        pid: u32,
        /// When it began.
        start: u64,
        /// Its name.
        name: &'a Arc<str>,
        /// Its arguments.
        cmdline: Option<&'a Arc<str>>,
    },
    /// Something with a name.
    Named(&'a Arc<str>),
}

impl SeriesId<'_> {
    /// Whether this is the member of that key, in the same input and role.
    #[must_use]
    pub fn is(&self, key: &SeriesKey) -> bool {
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

    /// The key of a new member.
    #[must_use]
    pub fn key(&self, input: usize, role: &Arc<str>) -> SeriesKey {
        match self {
            Self::Process { pid, start, .. } => SeriesKey::Process { input, pid: *pid, start: *start },
            Self::Named(name) => SeriesKey::Named { input, role: Arc::clone(role), name: Arc::clone(name) },
        }
    }
}

/// What a view sees of a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MomentSummary {
    /// The process that was asked for, which tells records of one iteration apart.
    pub root: (u32, u64),
    /// The sum of everything, listed or not.
    pub total: Option<f64>,
    /// What is not listed was not there.
    pub complete: bool,
}

/// Names of sums.
#[derive(Debug, Clone)]
pub struct TotalNames {
    rss: Arc<str>,
    pss: Arc<str>,
    python: Arc<str>,
    objects: Arc<str>,
    process: Arc<str>,
    threads: Arc<str>,
}

impl Default for TotalNames {
    fn default() -> Self {
        Self {
            rss: "sum of RSS".into(),
            pss: "sum of PSS".into(),
            python: "Python objects".into(),
            objects: "objects".into(),
            process: "RSS of the process".into(),
            threads: "Python threads".into(),
        }
    }
}

/// Gives each value of a moment that a view shows to `each`; `None` if the view shows nothing of such moments.
pub fn extract(
    measured: &Measured,
    what: Quantity,
    metric: Metric,
    sums: &TotalNames,
    each: &mut dyn FnMut(Measurement<'_>),
) -> Option<MomentSummary> {
    match measured {
        Measured::Tree(tree) => of_tree(tree, what, metric, sums, each),
        Measured::Census(census) => of_census(census, what, sums, each),
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

fn of_tree(
    tree: &Tree,
    what: Quantity,
    metric: Metric,
    sums: &TotalNames,
    each: &mut dyn FnMut(Measurement<'_>),
) -> Option<MomentSummary> {
    let root = tree.processes.first().map_or((0, 0), |process| (process.pid, process.start));
    let seen = MomentSummary { root, total: None, complete: false };
    match what {
        Quantity::Processes | Quantity::Threads => {
            for process in &tree.processes {
                let value = if what == Quantity::Threads { process.threads } else { size(process, metric) };
                let of = SeriesId::Process {
                    pid: process.pid,
                    start: process.start,
                    name: &process.name,
                    cmdline: process.cmdline.as_ref(),
                };
                each(Measurement { of, value });
            }
            Some(seen)
        }
        Quantity::Total => {
            each(Measurement { of: SeriesId::Named(&sums.rss), value: Some(tree.total_rss_bytes) });
            if tree.total_pss_bytes.is_some() {
                each(Measurement { of: SeriesId::Named(&sums.pss), value: tree.total_pss_bytes });
            }
            Some(seen)
        }
        Quantity::Types | Quantity::Modules | Quantity::Holders | Quantity::Caches | Quantity::Counts => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a picture has no more than 53 bits of resolution")]
fn of_census(
    census: &Census,
    what: Quantity,
    sums: &TotalNames,
    each: &mut dyn FnMut(Measurement<'_>),
) -> Option<MomentSummary> {
    let root = (census.pid, census.start);
    let seen = |total: Option<u64>, complete| {
        Some(MomentSummary { root, total: total.map(|total| total as f64), complete })
    };
    let mut list = |totals: &[Total], value: fn(&Total) -> u64| {
        for total in totals {
            each(Measurement { of: SeriesId::Named(&total.name), value: Some(value(total)) });
        }
    };
    match what {
        Quantity::Types => {
            list(&census.types, |total| total.size_bytes);
            seen(census.total_size_bytes, !census.types_cut)
        }
        Quantity::Counts => {
            list(&census.types, |total| total.count);
            seen(Some(census.total_objects), !census.types_cut)
        }
        Quantity::Modules => {
            list(&census.modules, |total| total.size_bytes);
            let total = census.total_size_bytes.filter(|_| !census.modules.is_empty());
            seen(total, !census.modules_cut && !census.modules.is_empty())
        }
        Quantity::Holders => {
            let holders = census.holders.as_ref()?;
            list(holders, |total| total.size_bytes);
            seen(census.total_size_bytes, !census.holders_cut)
        }
        Quantity::Caches => {
            for cache in census.caches.as_ref()? {
                each(Measurement { of: SeriesId::Named(&cache.name), value: cache.size_bytes });
            }
            seen(None, !census.caches_cut)
        }
        Quantity::Total => {
            match census.total_size_bytes {
                Some(size) => each(Measurement { of: SeriesId::Named(&sums.python), value: Some(size) }),
                None => each(Measurement {
                    of: SeriesId::Named(&sums.objects),
                    value: Some(census.total_objects),
                }),
            }
            if census.rss_bytes.is_some() && census.total_size_bytes.is_some() {
                each(Measurement { of: SeriesId::Named(&sums.process), value: census.rss_bytes });
            }
            seen(None, false)
        }
        Quantity::Processes => {
            let of = SeriesId::Process {
                pid: census.pid,
                start: census.start,
                name: &census.name,
                cmdline: census.cmdline.as_ref(),
            };
            let value = census.rss_bytes?;
            each(Measurement { of, value: Some(value) });
            seen(None, false)
        }
        Quantity::Threads => {
            let threads = u64::try_from(census.threads.as_ref()?.len()).ok();
            each(Measurement { of: SeriesId::Named(&sums.threads), value: threads });
            seen(None, false)
        }
    }
}
