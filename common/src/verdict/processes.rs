//! Verdicts on several processes: equal ones once, and those without leaks together.

use std::sync::Arc;

use crate::columns::Tone;
use crate::record::{LeakVerdict, LeaksRecord};
use crate::units::{Bytes, counted, whole};

use super::leaks::{numbers, remarks, sentences};
use super::sentence::Sentence;

/// The verdicts on all processes, each as a block: equal ones once, and those on processes without leaks together at the end.
#[must_use]
pub fn of_processes(records: &[LeaksRecord]) -> Vec<Vec<Sentence>> {
    let is_quiet = |record: &&LeaksRecord| record.verdict == LeakVerdict::None && records.len() > 1;
    let block = |(number, record): (usize, &LeaksRecord)| {
        let alike = records.iter().take(number).find(|other| is_alike(other, record));
        alike.map_or_else(|| sentences(record), |other| repeated(record, other))
    };
    let mut blocks: Vec<Vec<Sentence>> =
        records.iter().enumerate().filter(|(_, record)| !is_quiet(record)).map(block).collect();
    let quiet: Vec<&LeaksRecord> = records.iter().filter(is_quiet).collect();
    if !quiet.is_empty() {
        blocks.push(without_leaks(&quiet));
    }
    blocks
}

/// Verdicts on processes without leaks.
fn without_leaks(records: &[&LeaksRecord]) -> Vec<Sentence> {
    let processes = counted(records.len() as u64, "process", "processes");
    let mut all = vec![Sentence::headline("no leak found", Tone::Strong, &format!("in {processes}"))];
    all.extend(records.iter().flat_map(|record| remarks(record)));
    all
}

/// A verdict that is like the one on `other`, another process.
fn repeated(record: &LeaksRecord, other: &LeaksRecord) -> Vec<Sentence> {
    let rate = Bytes(whole(bytes_per_minute(record)));
    let text = format!("the same as in pid {}, here {rate}/min", other.pid);
    vec![Sentence::headline("LEAK", Tone::Alarm, &text), numbers(record)]
}

/// Whether two processes have the same leaks.
fn is_alike(a: &LeaksRecord, b: &LeaksRecord) -> bool {
    let places = |record: &LeaksRecord| {
        let mut places: Vec<_> =
            record.leaks.iter().map(|leak| (Arc::clone(&leak.holder), Arc::clone(&leak.name))).collect();
        places.sort_unstable();
        places
    };
    !a.leaks.is_empty() && places(a) == places(b)
}

/// The growth of all leaks of a process, in bytes per minute.
#[must_use]
pub fn bytes_per_minute(record: &LeaksRecord) -> f64 {
    let objects: f64 = record
        .leaks
        .iter()
        .map(|leak| leak.bytes_per_minute + leak.native_bytes_per_minute.unwrap_or(0.0))
        .sum();
    let memory = record.memory.as_ref().filter(|memory| memory.is_leak);
    objects.max(memory.map_or(0.0, |memory| memory.bytes_per_minute))
}
