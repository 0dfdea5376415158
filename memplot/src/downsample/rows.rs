//! Whole moments, for what is stacked: of each bucket the one with the least and the one with the greatest sum.

use super::index;

/// The value of one member at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    /// Which member.
    pub id: u32,
    /// Its value.
    pub value: f64,
}

/// All values of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Milliseconds since 1970.
    pub unix_ms: i64,
    /// Nothing was measured between the row before and this one.
    pub gap: bool,
    /// The sum, of members that are not listed too; `None` if it is not known.
    pub total: Option<f64>,
    /// The members that were there.
    pub entries: Vec<Entry>,
}

impl Row {
    fn height(&self) -> f64 {
        self.total.unwrap_or_else(|| self.entries.iter().map(|entry| entry.value).sum())
    }
}

#[derive(Debug, Clone)]
struct Bucket {
    index: i64,
    gap: bool,
    least: Row,
    /// `None`: there is one row only.
    greatest: Option<Row>,
}

impl Bucket {
    fn add(&mut self, row: Row) -> usize {
        let height = row.height();
        if height < self.least.height() {
            let old = std::mem::replace(&mut self.least, row);
            if self.greatest.is_none() {
                self.greatest = Some(old);
                return 0;
            }
            return old.entries.len();
        }
        match &mut self.greatest {
            Some(greatest) if height <= greatest.height() => row.entries.len(),
            Some(greatest) => std::mem::replace(greatest, row).entries.len(),
            None => {
                self.greatest = Some(row);
                0
            }
        }
    }
}

/// RowBuckets in order of time, at most two for each of `limit` buckets, and at most `entries_limit` values in all.
#[derive(Debug, Clone)]
pub struct RowBuckets {
    width_ms: i64,
    limit: usize,
    entries_limit: usize,
    entries: usize,
    buckets: Vec<Bucket>,
}

impl RowBuckets {
    /// Without a row. The limits are at least 1 bucket.
    #[must_use]
    pub fn new(limit: usize, entries_limit: usize) -> Self {
        Self { width_ms: 1, limit: limit.max(1), entries_limit, entries: 0, buckets: Vec::new() }
    }

    /// Adds a row that is not earlier than the last one.
    pub fn push(&mut self, unix_ms: i64, gap: bool, total: Option<f64>, entries: &[Entry]) {
        let index = index(unix_ms, self.width_ms);
        let height = total.unwrap_or_else(|| entries.iter().map(|entry| entry.value).sum());
        match self.buckets.last_mut() {
            Some(last) if last.index == index => {
                let within = height >= last.least.height()
                    && last.greatest.as_ref().is_some_and(|greatest| height <= greatest.height());
                if !within {
                    let row = Row { unix_ms, gap: false, total, entries: entries.to_vec() };
                    self.entries = (self.entries + entries.len()).saturating_sub(last.add(row));
                }
            }
            _ => {
                let least = Row { unix_ms, gap, total, entries: entries.to_vec() };
                self.buckets.push(Bucket { index, gap, least, greatest: None });
                self.entries += entries.len();
            }
        }
        while self.buckets.len() > 1 && (self.buckets.len() > self.limit || self.entries > self.entries_limit)
        {
            self.coarsen();
        }
    }

    fn coarsen(&mut self) {
        self.width_ms = self.width_ms.saturating_mul(2);
        let mut joined: Vec<Bucket> = Vec::with_capacity(self.buckets.len() / 2 + 1);
        for bucket in std::mem::take(&mut self.buckets) {
            let index = index(bucket.least.unix_ms, self.width_ms);
            match joined.last_mut() {
                Some(last) if last.index == index => {
                    for row in [Some(bucket.least), bucket.greatest].into_iter().flatten() {
                        self.entries = self.entries.saturating_sub(last.add(row));
                    }
                }
                _ => joined.push(Bucket { index, ..bucket }),
            }
        }
        self.buckets = joined;
    }

    /// Forgets whole buckets before a moment.
    pub fn drop_before(&mut self, unix_ms: i64) {
        let gone = self.buckets.partition_point(|bucket| {
            let latest = bucket.greatest.as_ref().map_or(bucket.least.unix_ms, |row| row.unix_ms);
            latest.max(bucket.least.unix_ms) < unix_ms
        });
        for bucket in self.buckets.drain(..gone) {
            let greatest = bucket.greatest.map_or(0, |row| row.entries.len());
            self.entries = self.entries.saturating_sub(bucket.least.entries.len() + greatest);
        }
        if self.buckets.is_empty() {
            self.width_ms = 1;
        }
    }

    /// Forgets members; what they had stays in the totals.
    pub fn forget(&mut self, is_forgotten: impl Fn(u32) -> bool) {
        self.entries = 0;
        for bucket in &mut self.buckets {
            for row in [Some(&mut bucket.least), bucket.greatest.as_mut()].into_iter().flatten() {
                if row.total.is_none() {
                    row.total = Some(row.height());
                }
                row.entries.retain(|entry| !is_forgotten(entry.id));
                self.entries += row.entries.len();
            }
        }
    }

    /// The rows that are kept, between two moments, in order of time.
    pub fn rows(&self, from: i64, to: i64) -> impl Iterator<Item = Row> + '_ {
        let ordered = self.buckets.iter().flat_map(|bucket| {
            let mut pair = [Some(&bucket.least), bucket.greatest.as_ref()];
            pair.sort_by_key(|row| row.map_or(i64::MAX, |row| row.unix_ms));
            let gap = bucket.gap;
            pair.into_iter()
                .flatten()
                .enumerate()
                .map(move |(place, row)| Row { gap: gap && place == 0, ..row.clone() })
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
    fn forgotten_series_stay_in_total() {
        let mut rows = RowBuckets::new(8, 100);
        rows.push(0, false, None, &entries(&[1.0, 2.0]));
        rows.forget(|id| id == 0);
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
            let heights: Vec<f64> = kept.iter().map(Row::height).collect();
            let greatest = values.iter().fold(f64::MIN, |a, &b| a.max(b)) + 1.0;
            prop_assert_eq!(heights.iter().fold(f64::MIN, |a, &b| a.max(b)), greatest);
            prop_assert!(kept.windows(2).all(|pair| pair[0].unix_ms < pair[1].unix_ms));
            prop_assert!(kept.len() <= 2 * limit);
        }
    }
}
