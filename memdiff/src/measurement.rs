//! What is measured at one moment, and when: a side of a comparison is made of these.

use std::collections::HashMap;
use std::sync::Arc;

use common::log::{Census, Moment, Process, Total, Tree, What};
use common::record::MomentRef;
use common::time::Stamp;

/// Where a measurement stands, and when it was taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    /// Which input, from 0.
    pub input: usize,
    /// Its line there.
    pub line: u64,
    /// The run it is of.
    pub run: Arc<str>,
    /// The machine.
    pub host: Arc<str>,
    /// Its number in the run.
    pub iteration: u64,
    /// Milliseconds since 1970.
    pub unix_ms: i64,
}

impl Origin {
    /// For a record; `files` are the names of the inputs.
    #[must_use]
    pub fn mark(&self, files: &[String]) -> MomentRef {
        MomentRef {
            file: files.get(self.input).cloned().unwrap_or_default(),
            run: Arc::clone(&self.run),
            iteration: self.iteration,
            timestamp: local_stamp(self.unix_ms),
        }
    }
}

/// The moment as this machine's zone shows it; 1970 for one that no calendar has.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "milliseconds of any year are below 2^53")]
pub fn local_stamp(unix_ms: i64) -> Stamp {
    let stamp = Stamp::from_unix_seconds(unix_ms as f64 / 1000.0);
    stamp.or_else(|| Stamp::from_unix_seconds(0.0)).unwrap_or_else(Stamp::now)
}

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub enum MeasuredData {
    /// A process and everything below it.
    Tree(Arc<Tree>),
    /// The objects of a Python process.
    Census(Arc<Census>),
}

/// A measurement and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// Where and when.
    pub at: Origin,
    /// What.
    pub what: MeasuredData,
}

/// Who a measurement is of: two of one key follow each other in time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MeasurementKey {
    /// A tree or a census.
    pub is_tree: bool,
    /// The run.
    pub run: Arc<str>,
    /// The root of the tree, or the process.
    pub pid: u32,
    /// When that began.
    pub start: u64,
}

impl Measurement {
    /// The measurement in a moment of a log, if it is one.
    #[must_use]
    pub fn from_moment(moment: Moment) -> Option<Self> {
        let what = match moment.what {
            What::Tree(tree) => MeasuredData::Tree(Arc::new(tree)),
            What::Census(census) => MeasuredData::Census(Arc::new(census)),
            What::Event(_) | What::Diff(_) | What::Failed(_) => return None,
        };
        let at = Origin {
            input: moment.input,
            line: moment.line,
            run: moment.run,
            host: moment.host,
            iteration: moment.iteration,
            unix_ms: moment.unix_ms,
        };
        Some(Self { at, what })
    }

    /// Who it is of.
    #[must_use]
    pub fn key(&self) -> MeasurementKey {
        let (is_tree, pid, start) = match &self.what {
            MeasuredData::Tree(tree) => {
                let root = tree.processes.first();
                (true, root.map_or(0, |root| root.pid), root.map_or(0, |root| root.start))
            }
            MeasuredData::Census(census) => (false, census.pid, census.start),
        };
        MeasurementKey { is_tree, run: Arc::clone(&self.at.run), pid, start }
    }

    /// Takes over what was not measured this time from the measurement before of the same key: of each process that is in both
    /// its last known proportional, unique and swapped size and its threads, which memmon reads in turn.
    pub fn fill_from_previous(&mut self, before: &Self) {
        let (MeasuredData::Tree(now), MeasuredData::Tree(before)) = (&mut self.what, &before.what) else {
            return;
        };
        let Some(now) = Arc::get_mut(now) else { return };
        // Nearly always the same processes in the same order; only where that is not so a table pays.
        let mut table: Option<HashMap<(u32, u64), &Process>> = None;
        for (index, process) in now.processes.iter_mut().enumerate() {
            let same = |other: &&Process| (other.pid, other.start) == (process.pid, process.start);
            let known = before.processes.get(index).filter(same).or_else(|| {
                let table = table.get_or_insert_with(|| {
                    before.processes.iter().map(|process| ((process.pid, process.start), process)).collect()
                });
                table.get(&(process.pid, process.start)).copied()
            });
            if let Some(known) = known {
                // What shrank below the size that was read then has other sizes now.
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
    /// What is counted.
    pub name: &'a Arc<str>,
    /// How many there are of it; of a cache, how many entries.
    pub count: u64,
    /// Their size; `None` if it was not measured.
    pub size_bytes: Option<u64>,
}

/// A list of a census, and whether there may be more than it has.
pub type CensusList<'a> = (Vec<ListRow<'a>>, bool);

/// The objects by type.
#[must_use]
pub fn types(census: &Census) -> CensusList<'_> {
    (rows(&census.types), census.types_cut)
}

/// The objects by module. An empty list beside objects is one that was not made.
#[must_use]
pub fn modules(census: &Census) -> CensusList<'_> {
    let is_missing = census.modules.is_empty() && census.total_objects > 0;
    (rows(&census.modules), census.modules_cut || is_missing)
}

/// The objects by what holds them. Of what was not looked at nothing is known.
#[must_use]
pub fn holders(census: &Census) -> CensusList<'_> {
    let holders = census.holders.as_deref();
    (rows(holders.unwrap_or_default()), census.holders_cut || holders.is_none())
}

/// The caches. Where none was looked for nothing is known.
#[must_use]
pub fn caches(census: &Census) -> CensusList<'_> {
    let caches = census.caches.as_deref();
    let rows = caches.unwrap_or_default().iter().map(|c| ListRow {
        name: &c.name,
        count: c.entries,
        size_bytes: c.size_bytes,
    });
    (rows.collect(), census.caches_cut || caches.is_none())
}

fn rows(totals: &[Total]) -> Vec<ListRow<'_>> {
    totals.iter().map(|t| ListRow { name: &t.name, count: t.count, size_bytes: Some(t.size_bytes) }).collect()
}

/// Measurements of one moment, in their order: trees first.
pub type Measurements = Vec<Measurement>;

#[cfg(test)]
pub mod testing {
    //! Moments for tests.

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
        }
    }

    /// A tree of these, with their sum.
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

    /// A census of process 1 with these types, each of a count and a size in bytes.
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
            object_samples: Vec::new(),
        }
    }

    /// The same with these holders, and caches of a number of entries and a size if it is known.
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

    /// It, measured at the second `iteration` of `run`.
    pub fn measurement(run: &str, iteration: u64, what: MeasuredData) -> Measurement {
        let unix_ms = i64::try_from(iteration).unwrap() * 1000;
        let at = Origin { input: 0, line: iteration, run: run.into(), host: "h".into(), iteration, unix_ms };
        Measurement { at, what }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{measurement, process, tree};
    use super::*;

    #[test]
    fn what_is_read_in_turn_is_kept_until_it_is_read_again_and_only_for_the_same_process() {
        let mut first = process(1, 10, "a", 5);
        (first.pss_bytes, first.threads) = (Some(7), Some(2));
        let mut other = process(2, 10, "b", 5);
        other.pss_bytes = Some(9);
        let before = measurement("r", 1, tree(&[first, other]));
        let mut fresh = process(1, 10, "a", 6);
        fresh.threads = Some(3);
        // The second has a number that was used again, and the order changed.
        let mut now = measurement("r", 2, tree(&[process(2, 11, "b", 6), fresh]));
        now.fill_from_previous(&before);
        let MeasuredData::Tree(tree) = &now.what else { panic!() };
        assert_eq!((tree.processes[1].pss_bytes, tree.processes[1].threads), (Some(7), Some(3)));
        assert_eq!((tree.processes[0].pss_bytes, tree.processes[0].threads), (None, None));
    }

    #[test]
    fn moments_beyond_every_calendar_have_a_stamp_too() {
        for unix_ms in [i64::MIN, -1, 0, 1_795_526_700_000, i64::MAX] {
            assert!(!local_stamp(unix_ms).to_string().is_empty());
        }
    }
}
