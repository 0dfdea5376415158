//! The values of one record, by metric and labels.

use std::collections::BTreeMap;

use super::families::Family;
use crate::process_search::ProgramName;
use crate::stdio::escape_controls;

/// The most descendants of a root, and the most types, holders, caches and leaks of a process, those with the most bytes first. A
/// label with any number of values would make a monitoring system's memory grow.
pub const MAX_ROWS: usize = 20;

/// A value's identity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) family: Family,
    /// The values of the family's labels.
    pub(super) labels: Vec<String>,
    /// The start of its process: another process with that pid has no values of the earlier one.
    start_ticks: Option<u64>,
}

/// The process that values are of.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    labels: Vec<String>,
    start_ticks: Option<u64>,
}

impl Subject {
    /// A process. Its label `command` is the name of its script, if it is an interpreter: a fleet has many a `python3`. The kernel cuts
    /// names after 15 bytes; two programs must not have one label.
    pub(super) fn new(
        name: &str,
        cmdline: Option<&[String]>,
        pid: u32,
        root: Option<u32>,
        start_ticks: Option<u64>,
    ) -> Self {
        let program = ProgramName { name, cmdline: cmdline.unwrap_or_default() };
        let command = program.short().to_owned();
        let pids = [Some(pid), root].into_iter().flatten().map(|pid| pid.to_string());
        Self { labels: std::iter::once(command).chain(pids).collect(), start_ticks }
    }
}

/// The value of a label as it is written, without the format's escapes: names that look the same are the same label.
fn label(name: &str) -> String {
    escape_controls(name).into_owned()
}

/// The values of one record.
#[derive(Debug, Default)]
pub(super) struct Values(BTreeMap<Key, f64>);

impl Values {
    /// Adds a value. `row` has the labels behind the subject's. Without a value, that in `old` counts: some are not read in each sample.
    ///
    /// Of two rows with the same labels the first one counts, which is the larger: a reader refuses a file that has labels twice.
    pub(super) fn set(
        &mut self,
        family: Family,
        subject: &Subject,
        row: &[&str],
        value: Option<f64>,
        old: &Self,
    ) {
        let labels =
            subject.labels.iter().map(String::as_str).chain(row.iter().copied()).map(label).collect();
        let key = Key { family, labels, start_ticks: subject.start_ticks };
        let value = value.or_else(|| old.0.get(&key).copied());
        if let Some(value) = value.filter(|value| value.is_finite()) {
            self.0.entry(key).or_insert(value);
        }
    }

    /// All values in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, f64)> {
        self.0.iter().map(|(key, &value)| (key, value))
    }
}
