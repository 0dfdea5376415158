//! Downsamples whole rows for stacks: each bucket keeps the rows with the lowest and the highest sum.

use super::buckets::{Bucket, Buckets};

/// The value of one series at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    /// The series.
    pub id: u32,
    /// Its value.
    pub value: f64,
}

/// The values of all series at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Milliseconds since 1970.
    pub unix_ms: i64,
    /// Nothing was measured between the row before and this one.
    pub gap: bool,
    /// The sum including series that are not listed; `None` if it is not known.
    pub total: Option<f64>,
    /// The listed series.
    pub entries: Vec<Entry>,
}

fn sum(total: Option<f64>, entries: &[Entry]) -> f64 {
    total.unwrap_or_else(|| entries.iter().map(|entry| entry.value).sum())
}

impl Row {
    fn sum(&self) -> f64 {
        sum(self.total, &self.entries)
    }
}

#[derive(Debug, Clone)]
struct RowBucket {
    /// Nothing was measured between the bucket before and this one.
    gap: bool,
    least: Row,
    /// `None` if there is only one row.
    greatest: Option<Row>,
}

impl RowBucket {
    fn rows(&self) -> impl Iterator<Item = &Row> {
        std::iter::once(&self.least).chain(&self.greatest)
    }

    fn add(&mut self, row: Row) {
        let sum = row.sum();
        if sum < self.least.sum() {
            let least = std::mem::replace(&mut self.least, row);
            self.greatest.get_or_insert(least);
        } else if self.greatest.as_ref().is_none_or(|greatest| sum > greatest.sum()) {
            self.greatest = Some(row);
        }
    }

    fn has_room_for(&self, sum: f64) -> bool {
        sum < self.least.sum() || self.greatest.as_ref().is_none_or(|greatest| sum > greatest.sum())
    }

    fn entry_count(&self) -> usize {
        self.rows().map(|row| row.entries.len()).sum()
    }
}

impl Bucket for RowBucket {
    fn first_ms(&self) -> i64 {
        self.rows().map(|row| row.unix_ms).min().unwrap_or(i64::MIN)
    }

    fn last_ms(&self) -> i64 {
        self.rows().map(|row| row.unix_ms).max().unwrap_or(i64::MAX)
    }

    fn join(&mut self, next: Self) {
        self.add(next.least);
        next.greatest.into_iter().for_each(|row| self.add(row));
    }
}

/// Rows in order of time, in a limited number of buckets and with a limited number of values.
#[derive(Debug, Clone)]
pub struct RowBuckets {
    entries_limit: usize,
    entries: usize,
    buckets: Buckets<RowBucket>,
}

impl RowBuckets {
    /// No rows yet. Keeps at least one bucket.
    pub fn new(limit: usize, entries_limit: usize) -> Self {
        Self { entries_limit, entries: 0, buckets: Buckets::new(limit) }
    }

    /// Adds a row that is not earlier than the last one.
    pub fn push(&mut self, unix_ms: i64, gap: bool, total: Option<f64>, entries: &[Entry]) {
        let row = || Row { unix_ms, gap, total, entries: entries.to_vec() };
        if let Some(last) = self.buckets.covering(unix_ms) {
            // Most rows are between the two, and need no copy.
            if !last.has_room_for(sum(total, entries)) {
                return;
            }
            let before = last.entry_count();
            last.add(row());
            self.entries = (self.entries + last.entry_count()).saturating_sub(before);
        } else {
            self.buckets.add(RowBucket { gap, least: row(), greatest: None });
            self.entries += entries.len();
        }
        while self.buckets.len() > 1 && (self.buckets.is_over_limit() || self.entries > self.entries_limit) {
            self.buckets.coarsen();
            self.count_entries();
        }
    }

    fn count_entries(&mut self) {
        self.entries = self.buckets.iter().map(RowBucket::entry_count).sum();
    }

    /// Removes buckets that end before a moment.
    pub fn drop_before(&mut self, unix_ms: i64) {
        self.buckets.drop_before(unix_ms);
        self.count_entries();
    }

    /// Removes series. Their values stay in the totals.
    pub fn remove_series(&mut self, is_removed: impl Fn(u32) -> bool) {
        for bucket in self.buckets.iter_mut() {
            for row in std::iter::once(&mut bucket.least).chain(&mut bucket.greatest) {
                row.total = Some(row.sum());
                row.entries.retain(|entry| !is_removed(entry.id));
            }
        }
        self.count_entries();
    }

    /// The kept rows between two moments, in order of time.
    pub fn rows(&self, from: i64, to: i64) -> impl Iterator<Item = Row> + '_ {
        let ordered = self.buckets.iter().flat_map(|bucket| {
            let mut rows: Vec<&Row> = bucket.rows().collect();
            rows.sort_by_key(|row| row.unix_ms);
            let rows = rows.into_iter().enumerate();
            rows.map(|(index, row)| Row { gap: bucket.gap && index == 0, ..row.clone() })
        });
        ordered.filter(move |row| row.unix_ms >= from && row.unix_ms <= to)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(values: &[f64]) -> Vec<Entry> {
        (0..).zip(values).map(|(id, &value)| Entry { id, value }).collect()
    }

    fn kept(rows: &RowBuckets) -> Vec<Row> {
        rows.rows(i64::MIN, i64::MAX).collect()
    }

    #[test]
    fn spike_keeps_its_whole_row() {
        let mut rows = RowBuckets::new(64, 1_000_000);
        for index in 0..100_000 {
            let value = if index == 70_001 { 500.0 } else { 10.0 };
            rows.push(index * 1000, false, None, &entries(&[1.0, value, 2.0]));
        }
        let kept = kept(&rows);
        assert!(kept.len() <= 128);
        let spike = kept.iter().find(|row| row.unix_ms == 70_001_000).unwrap();
        assert_eq!(spike.entries, entries(&[1.0, 500.0, 2.0]));
    }

    #[test]
    fn row_values_stay_bounded() {
        let mut rows = RowBuckets::new(4096, 10_000);
        let many = entries(&[1.0; 1000]);
        for index in 0..5000 {
            rows.push(index, false, None, &many);
        }
        let held: usize = kept(&rows).iter().map(|row| row.entries.len()).sum();
        assert!(held <= 10_000 && held > 1000, "{held}");
    }

    #[test]
    fn removed_series_stay_in_total() {
        let mut rows = RowBuckets::new(8, 100);
        rows.push(0, false, None, &entries(&[1.0, 2.0]));
        rows.remove_series(|id| id == 0);
        let row = &kept(&rows)[0];
        assert_eq!((row.total, row.entries.len()), (Some(3.0), 1));
    }

    proptest! {
        #[test]
        fn extremes_of_sums_are_kept(
            values in proptest::collection::vec(0.0_f64..1e9, 1..300), limit in 1_usize..12,
        ) {
            let mut rows = RowBuckets::new(limit, 1_000_000);
            for (index, &value) in (0..).zip(&values) {
                rows.push(index * 7, index % 50 == 0, None, &entries(&[value, 1.0]));
            }
            let kept = kept(&rows);
            let heights: Vec<f64> = kept.iter().map(Row::sum).collect();
            let greatest = values.iter().fold(f64::MIN, |a, &b| a.max(b)) + 1.0;
            prop_assert_eq!(heights.iter().fold(f64::MIN, |a, &b| a.max(b)), greatest);
            prop_assert!(kept.windows(2).all(|pair| pair[0].unix_ms < pair[1].unix_ms));
            prop_assert!(kept.len() <= 2 * limit);
        }
    }
}
