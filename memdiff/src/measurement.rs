//! What is measured at one moment: a process tree or the objects of a process.

use std::collections::HashMap;
use std::sync::Arc;

use common::log::{Census, Moment, MomentData, Process, Total, Tree};
use common::record::{MomentRef, SeriesKind};
use common::time::Stamp;

/// The origin of a measurement: the line of a log, and its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    /// The index of the input.
    pub input: usize,
    /// The line in it.
    pub line: u64,
    /// The run.
    pub run: Arc<str>,
    /// The machine.
    pub host: Arc<str>,
    /// The number of the moment in its run.
    pub iteration: u64,
    /// Milliseconds since 1970.
    pub unix_ms: i64,
}

impl Origin {
    /// The origin of a moment of a log.
    pub fn from_moment(moment: &Moment) -> Self {
        Self {
            input: moment.input,
            line: moment.line,
            run: Arc::clone(&moment.run),
            host: Arc::clone(&moment.host),
            iteration: moment.iteration,
            unix_ms: moment.unix_ms,
        }
    }

    /// The origin as records have it; `files` are the names of the inputs.
    pub fn to_moment_ref(&self, files: &[String]) -> MomentRef {
        MomentRef {
            file: files.get(self.input).cloned().unwrap_or_default(),
            run: Arc::clone(&self.run),
            iteration: self.iteration,
            timestamp: local_stamp(self.unix_ms),
        }
    }
}

/// The time in this machine's zone; 1970 for a time outside the calendar.
pub fn local_stamp(unix_ms: i64) -> Stamp {
    let stamp = Stamp::from_unix_seconds(unix_ms as f64 / 1000.0);
    stamp.or_else(|| Stamp::from_unix_seconds(0.0)).unwrap_or_else(Stamp::now)
}

/// The measured values.
#[derive(Debug, Clone, PartialEq)]
pub enum MeasuredData {
    /// A process tree.
    Tree(Arc<Tree>),
    /// The objects of a Python process.
    Census(Arc<Census>),
}

/// A measurement and its origin.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// The origin.
    pub origin: Origin,
    /// The values.
    pub data: MeasuredData,
}

/// Identifies measurements of the same process in the same run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MeasurementKey {
    /// A tree or a census.
    pub is_tree: bool,
    /// The run.
    pub run: Arc<str>,
    /// The root of the tree, or the process.
    pub pid: u32,
    /// The start of that process.
    pub start: u64,
}

impl Measurement {
    /// The measurement of a moment; `None` for events, failures and differences.
    pub fn from_moment(moment: Moment) -> Option<Self> {
        let origin = Origin::from_moment(&moment);
        let data = match moment.data {
            MomentData::Tree(tree) => MeasuredData::Tree(Arc::new(tree)),
            MomentData::Census(census) => MeasuredData::Census(Arc::new(census)),
            MomentData::Event(_) | MomentData::Diff(_) | MomentData::Leaks(_) | MomentData::Failed(_) => {
                return None;
            }
        };
        Some(Self { origin, data })
    }

    /// The tree, if it is one.
    pub fn tree(&self) -> Option<&Tree> {
        if let MeasuredData::Tree(tree) = &self.data { Some(tree) } else { None }
    }

    /// The census, if it is one.
    pub fn census(&self) -> Option<&Census> {
        if let MeasuredData::Census(census) = &self.data { Some(census) } else { None }
    }

    /// The program that was measured: the command line of the process or root, or its name; empty if unknown.
    pub fn program(&self) -> &str {
        let (cmdline, name) = match &self.data {
            MeasuredData::Tree(tree) => match tree.processes.first() {
                Some(root) => (root.cmdline.as_deref(), &*root.name),
                None => (None, ""),
            },
            MeasuredData::Census(census) => (census.cmdline.as_deref(), &*census.name),
        };
        cmdline.filter(|line| !line.is_empty()).unwrap_or(name)
    }

    /// The key of the process that was measured.
    pub fn key(&self) -> MeasurementKey {
        let (is_tree, pid, start) = match &self.data {
            MeasuredData::Tree(tree) => {
                let root = tree.processes.first();
                (true, root.map_or(0, |root| root.pid), root.map_or(0, |root| root.start))
            }
            MeasuredData::Census(census) => (false, census.pid, census.start),
        };
        MeasurementKey { is_tree, run: Arc::clone(&self.origin.run), pid, start }
    }

    /// Fills in PSS, USS, swap and threads from the measurement before: memmon does not read them for every process each time.
    pub fn fill_from_previous(&mut self, previous: &Self) {
        let (MeasuredData::Tree(now), Some(previous)) = (&mut self.data, previous.tree()) else { return };
        let Some(now) = Arc::get_mut(now) else { return };
        // Mostly the same processes in the same order: the table is only made where they are not.
        let mut table: Option<HashMap<(u32, u64), &Process>> = None;
        for (index, process) in now.processes.iter_mut().enumerate() {
            let identity = (process.pid, process.start);
            let same = previous.processes.get(index).filter(|other| (other.pid, other.start) == identity);
            let known = same.or_else(|| {
                let table = table.get_or_insert_with(|| {
                    previous.processes.iter().map(|process| ((process.pid, process.start), process)).collect()
                });
                table.get(&identity).copied()
            });
            if let Some(known) = known {
                // A process whose RSS fell below the earlier PSS has another PSS now.
                let fits = |size: &u64| process.rss_bytes.is_none_or(|rss| *size <= rss);
                process.pss_bytes = process.pss_bytes.or(known.pss_bytes.filter(fits));
                process.uss_bytes = process.uss_bytes.or(known.uss_bytes.filter(fits));
                process.swap_bytes = process.swap_bytes.or(known.swap_bytes);
                process.threads = process.threads.or(known.threads);
            }
        }
    }
}

/// A row of a list of a census.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListRow<'a> {
    /// The name.
    pub name: &'a Arc<str>,
    /// The number of objects, or of entries of a cache.
    pub count: u64,
    /// Their size; `None` if it was not measured.
    pub size_bytes: Option<u64>,
}

/// A list of a census.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CensusList<'a> {
    /// The kind of its rows.
    pub kind: SeriesKind,
    /// The rows.
    pub rows: Vec<ListRow<'a>>,
    /// Whether rows are missing, or the whole list.
    pub is_truncated: bool,
}

/// The lists of a census.
pub fn census_lists(census: &Census) -> [CensusList<'_>; 4] {
    // An empty list of modules beside objects was not made.
    let modules = Some(&*census.modules).filter(|modules| !modules.is_empty() || census.total_objects == 0);
    let caches = census.caches.as_deref();
    let cache_rows = caches.unwrap_or_default().iter().map(|cache| ListRow {
        name: &cache.name,
        count: cache.entries,
        size_bytes: cache.size_bytes,
    });
    [
        total_list(SeriesKind::Type, Some(&census.types), census.types_cut),
        total_list(SeriesKind::Module, modules, census.modules_cut),
        total_list(SeriesKind::Holder, census.holders.as_deref(), census.holders_cut),
        CensusList {
            kind: SeriesKind::Cache,
            rows: cache_rows.collect(),
            is_truncated: census.caches_cut || caches.is_none(),
        },
    ]
}

fn total_list(kind: SeriesKind, totals: Option<&[Total]>, is_truncated: bool) -> CensusList<'_> {
    let rows = totals.unwrap_or_default().iter().map(|total| ListRow {
        name: &total.name,
        count: total.count,
        size_bytes: Some(total.size_bytes),
    });
    CensusList { kind, rows: rows.collect(), is_truncated: is_truncated || totals.is_none() }
}

/// The resident size that Python objects do not explain; `None` if either is unknown.
pub fn native_bytes(census: &Census) -> Option<u64> {
    Some(census.rss_bytes?.saturating_sub(census.total_size_bytes?))
}

#[cfg(test)]
pub mod testing {
    //! Measurements for tests.

    use super::*;
    use common::log::Cache;

    /// A process of `rss` MiB.
    pub fn process(pid: u32, start: u64, cmdline: &str, rss: u64) -> Process {
        Process {
            pid,
            start,
            name: cmdline.split(' ').next().unwrap_or_default().into(),
            cmdline: (!cmdline.is_empty()).then(|| cmdline.into()),
            rss_bytes: Some(rss << 20),
            pss_bytes: None,
            uss_bytes: None,
            swap_bytes: None,
            threads: None,
            fds: None,
        }
    }

    /// A tree of these processes, with their sum.
    pub fn tree(processes: &[Process]) -> MeasuredData {
        MeasuredData::Tree(Arc::new(Tree {
            processes: processes.to_vec(),
            total_rss_bytes: processes.iter().filter_map(|process| process.rss_bytes).sum(),
            total_pss_bytes: None,
            cgroup_limit_bytes: None,
            cgroup_current_bytes: None,
            system_total_bytes: None,
            system_available_bytes: None,
        }))
    }

    /// A census of process 1 with these types: name, count, bytes.
    pub fn census(types: &[(&str, u64, u64)], is_cut: bool) -> Census {
        let total =
            |&(name, count, size_bytes): &(&str, u64, u64)| Total { name: name.into(), count, size_bytes };
        let types: Vec<Total> = types.iter().map(total).collect();
        Census {
            pid: 1,
            start: 10,
            root_pid: None,
            name: "python3".into(),
            cmdline: Some("python3 bot.py".into()),
            total_objects: types.iter().map(|total| total.count).sum(),
            total_size_bytes: Some(types.iter().map(|total| total.size_bytes).sum()),
            modules: types.clone(),
            modules_cut: is_cut,
            types,
            types_cut: is_cut,
            threads: None,
            rss_bytes: None,
            holders: None,
            holders_cut: is_cut,
            caches: None,
            caches_cut: is_cut,
            memory_rows: Vec::new(),
            object_samples: Vec::new(),
            heap_tree: Vec::new(),
        }
    }

    /// A census with holders, and caches: name, entries, bytes if known.
    pub fn census_with_holders(
        types: &[(&str, u64, u64)],
        holders: &[(&str, u64, u64)],
        caches: &[(&str, u64, Option<u64>)],
        is_cut: bool,
    ) -> Census {
        let cache = |&(name, entries, size_bytes): &(&str, u64, Option<u64>)| Cache {
            name: name.into(),
            entries,
            size_bytes,
        };
        Census {
            holders: Some(census(holders, is_cut).types),
            caches: Some(caches.iter().map(cache).collect()),
            ..census(types, is_cut)
        }
    }

    /// A measurement at the second `iteration` of `run`.
    pub fn measurement(run: &str, iteration: u64, data: MeasuredData) -> Measurement {
        let unix_ms = i64::try_from(iteration).unwrap() * 1000;
        let origin =
            Origin { input: 0, line: iteration, run: run.into(), host: "h".into(), iteration, unix_ms };
        Measurement { origin, data }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{measurement, process, tree};
    use super::*;

    #[test]
    fn unread_values_come_from_same_process() {
        let mut first = process(1, 10, "a", 5);
        (first.pss_bytes, first.threads) = (Some(7), Some(2));
        let mut other = process(2, 10, "b", 5);
        other.pss_bytes = Some(9);
        let before = measurement("r", 1, tree(&[first, other]));
        let mut fresh = process(1, 10, "a", 6);
        fresh.threads = Some(3);
        // The pid of the second was reused, and the order changed.
        let mut now = measurement("r", 2, tree(&[process(2, 11, "b", 6), fresh]));
        now.fill_from_previous(&before);
        let MeasuredData::Tree(tree) = &now.data else { panic!() };
        assert_eq!((tree.processes[1].pss_bytes, tree.processes[1].threads), (Some(7), Some(3)));
        assert_eq!((tree.processes[0].pss_bytes, tree.processes[0].threads), (None, None));
    }

    #[test]
    fn any_time_has_a_stamp() {
        for unix_ms in [i64::MIN, -1, 0, 1_795_526_700_000, i64::MAX] {
            assert!(!local_stamp(unix_ms).to_string().is_empty());
        }
    }
}
