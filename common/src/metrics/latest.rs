//! The newest values of all processes, and their text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::families::Family;
use super::python;
use super::tree;
use super::values::{Key, Values};
use crate::record::{EventKind, Record};

/// The newest values of all processes.
#[derive(Debug, Default)]
pub struct Metrics {
    /// The number of the round of each record, and its values.
    records: BTreeMap<(Source, u32), (u64, Values)>,
    is_changed: bool,
}

/// The type of a record with values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Process,
    Census,
    Leaks,
}

impl Metrics {
    /// Replaces the values of a record's process. Forgets a process that exited, runs another program, or could not be counted.
    pub fn take(&mut self, record: &Record) {
        let (source, pid, iteration) = match record {
            Record::Process(record) => (Source::Process, record.pid, record.iteration),
            Record::Census(record) => (Source::Census, record.pid, record.iteration),
            Record::Leaks(record) => (Source::Leaks, record.pid, record.iteration),
            Record::ProcessEvent(event) => {
                if matches!(event.event, EventKind::Exited | EventKind::Replaced) {
                    self.forget(Source::Process, event.pid);
                    self.forget(Source::Census, event.pid);
                }
                return;
            }
            Record::Error(error) => {
                return error.pid.into_iter().for_each(|pid| self.forget(Source::Census, pid));
            }
            _ => return,
        };
        let mut values = Values::default();
        match record {
            Record::Process(record) => {
                let old = self.records.remove(&(source, pid)).map(|(_, old)| old).unwrap_or_default();
                tree::take(&mut values, &old, record);
            }
            Record::Census(record) => python::take_census(&mut values, record),
            Record::Leaks(record) => python::take_leaks(&mut values, record),
            _ => {}
        }
        self.records.insert((source, pid), (iteration, values));
        self.is_changed = true;
    }

    fn forget(&mut self, source: Source, pid: u32) {
        self.is_changed |= self.records.remove(&(source, pid)).is_some();
    }

    /// Forgets the processes that the newest round does not have. Returns whether anything changed since the last call.
    pub fn end_round(&mut self) -> bool {
        let mut newest = BTreeMap::new();
        for (&(source, _), &(iteration, _)) in &self.records {
            let newest = newest.entry(source).or_insert(iteration);
            *newest = iteration.max(*newest);
        }
        self.records.retain(|(source, _), (iteration, _)| newest.get(source) == Some(iteration));
        std::mem::take(&mut self.is_changed)
    }

    /// The text of all values, which ends with `# EOF`.
    #[must_use]
    pub fn text(&self) -> String {
        let mut values: Vec<(&Key, f64)> =
            self.records.values().flat_map(|(_, values)| values.iter()).collect();
        // The metrics of a family must be together.
        values.sort_by_key(|&(key, _)| key);
        let mut text = String::new();
        let mut last = None;
        for (Key { family, labels, .. }, value) in values {
            if last.replace(family.name) != Some(family.name) {
                write_head(&mut text, family);
            }
            let labels: Vec<String> = family
                .labels
                .iter()
                .zip(labels)
                .map(|(name, value)| format!("{name}=\"{}\"", escape(value)))
                .collect();
            let _ = writeln!(text, "{}{{{}}} {value}", family.name, labels.join(","));
        }
        text.push_str("# EOF\n");
        text
    }
}

fn write_head(text: &mut String, family: &Family) {
    let name = family.name;
    if !family.is_counter() {
        let _ = writeln!(text, "# TYPE {name} gauge");
    }
    if let Some(unit) = family.unit() {
        let _ = writeln!(text, "# UNIT {name} {unit}");
    }
    let _ = writeln!(text, "# HELP {name} {}", family.help);
}

/// Escapes a label's value, which has no control characters.
fn escape(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"")
}
