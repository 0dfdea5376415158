//! Groups events: counts all of them and describes the first few.

use std::collections::BTreeMap;

use crate::figure::MarkKind;

/// Events of one kind at about the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventGroup {
    /// The time of the first one.
    pub unix_ms: i64,
    /// Their kind.
    pub kind: MarkKind,
    /// Their number.
    pub count: u64,
    /// Descriptions of the first few.
    pub texts: Vec<String>,
}

/// Descriptions kept for a group.
const MAX_TEXTS: usize = 5;

/// Events in buckets of time, by kind.
#[derive(Debug, Clone)]
pub struct EventBuckets {
    width_ms: i64,
    limit: usize,
    buckets: BTreeMap<(i64, MarkKind), EventGroup>,
}

impl EventBuckets {
    /// No events yet. Keeps at most `limit` groups.
    pub fn new(limit: usize) -> Self {
        Self { width_ms: 1, limit: limit.max(8), buckets: BTreeMap::new() }
    }

    /// Adds an event. `text` describes it, and is called only for the first few of a group.
    pub fn add(&mut self, unix_ms: i64, kind: MarkKind, text: impl FnOnce() -> String) {
        let key = (unix_ms.div_euclid(self.width_ms), kind);
        let empty = EventGroup { unix_ms, kind, count: 0, texts: Vec::new() };
        let group = self.buckets.entry(key).or_insert(empty);
        group.count += 1;
        group.unix_ms = group.unix_ms.min(unix_ms);
        if group.texts.len() < MAX_TEXTS {
            group.texts.push(text());
        }
        while self.buckets.len() > self.limit {
            self.coarsen();
        }
    }

    fn coarsen(&mut self) {
        self.width_ms = self.width_ms.saturating_mul(2);
        for ((_, kind), group) in std::mem::take(&mut self.buckets) {
            let key = (group.unix_ms.div_euclid(self.width_ms), kind);
            match self.buckets.get_mut(&key) {
                Some(earlier) => {
                    earlier.count += group.count;
                    earlier.texts.extend(group.texts);
                    earlier.texts.truncate(MAX_TEXTS);
                }
                None => {
                    self.buckets.insert(key, group);
                }
            }
        }
    }

    /// The groups between two moments, in order of time.
    pub fn between(&self, from: i64, to: i64) -> impl Iterator<Item = &EventGroup> {
        self.buckets.values().filter(move |group| group.unix_ms >= from && group.unix_ms <= to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn million_events_stay_counted() {
        let mut tally = EventBuckets::new(100);
        for index in 0..1_000_000 {
            tally.add(index * 10, MarkKind::Exited, || format!("{index} ended"));
        }
        tally.add(5_000_000, MarkKind::Oom, || "killed".to_owned());
        let all: Vec<&EventGroup> = tally.between(i64::MIN, i64::MAX).collect();
        assert!(all.len() <= 100 && all.iter().all(|group| group.texts.len() <= MAX_TEXTS));
        let exits: u64 = all.iter().filter(|h| h.kind == MarkKind::Exited).map(|h| h.count).sum();
        assert_eq!(exits, 1_000_000);
        let oom = all.iter().find(|group| group.kind == MarkKind::Oom).unwrap();
        assert_eq!((oom.unix_ms, oom.count), (5_000_000, 1));
        assert!(all.windows(2).all(|pair| pair[0].unix_ms <= pair[1].unix_ms + 1_000_000));
    }
}
