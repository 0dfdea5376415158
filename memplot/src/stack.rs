//! Stacks series: the upper edge of each area.

use std::collections::BTreeMap;

use crate::downsample::extremes;
use crate::figure::Series;

/// A part of a stack without a gap: the upper edge of each series from left to right, as moments and heights. A moment where a
/// series begins or ends occurs twice: without and with it.
pub type StackSegment = Vec<Vec<(i64, f64)>>;

/// The values of all series at one moment, and which of them continue to the next.
#[derive(Debug, Clone)]
struct StackRow {
    unix_ms: i64,
    values: Vec<Option<f64>>,
    continues: Vec<bool>,
}

/// Stacks series, the first one at the bottom. Of the moments with the same `column` keeps the first, the last, and those with
/// the lowest and the highest sum.
pub fn segments(series: &[Series], column: impl Fn(i64) -> i64) -> Vec<StackSegment> {
    let rows = decimated(&rows(series), column);
    let parts = rows.chunk_by(|row, _| row.continues.contains(&true));
    parts.map(|part| segment(part, series.len())).collect()
}

fn rows(series: &[Series]) -> Vec<StackRow> {
    let count = series.len();
    let mut rows: BTreeMap<i64, StackRow> = BTreeMap::new();
    for (index, one) in series.iter().enumerate() {
        for run in &one.runs {
            for (number, point) in run.iter().enumerate() {
                let unix_ms = point.unix_ms;
                let empty = || StackRow { unix_ms, values: vec![None; count], continues: vec![false; count] };
                let row = rows.entry(unix_ms).or_insert_with(empty);
                if let (Some(value), Some(continues)) =
                    (row.values.get_mut(index), row.continues.get_mut(index))
                {
                    *value = Some(point.value);
                    *continues = number + 1 < run.len();
                }
            }
        }
    }
    rows.into_values().collect()
}

fn decimated(rows: &[StackRow], column: impl Fn(i64) -> i64) -> Vec<StackRow> {
    let sum = |row: &StackRow| -> f64 { row.values.iter().flatten().sum() };
    let mut kept: Vec<StackRow> = Vec::with_capacity(rows.len());
    for group in rows.chunk_by(|a, b| column(a.unix_ms) == column(b.unix_ms)) {
        let indices = extremes(group, sum);
        for (number, &index) in indices.iter().enumerate() {
            let Some(row) = group.get(index) else { continue };
            let mut row = row.clone();
            // Rows between two that are kept are left out: a series that both have continues.
            let next = indices.get(number + 1).filter(|next| **next > index + 1);
            if let Some(next) = next.and_then(|next| group.get(*next)) {
                let both = row.values.iter().zip(&next.values).map(|(a, b)| a.is_some() && b.is_some());
                row.continues = both.collect();
            }
            kept.push(row);
        }
    }
    kept
}

fn segment(rows: &[StackRow], count: usize) -> StackSegment {
    let mut edges: StackSegment = vec![Vec::new(); count];
    let mut add = |row: &StackRow, is_shown: &dyn Fn(usize) -> bool| {
        let mut sum = 0.0;
        for (index, edge) in edges.iter_mut().enumerate() {
            sum += row.values.get(index).copied().flatten().filter(|_| is_shown(index)).unwrap_or(0.0);
            if edge.last() != Some(&(row.unix_ms, sum)) {
                edge.push((row.unix_ms, sum));
            }
        }
    };
    if let [only] = rows {
        add(only, &|_| true);
    }
    for (before, after) in rows.iter().zip(rows.iter().skip(1)) {
        let continues = |index| before.continues.get(index) == Some(&true);
        add(before, &continues);
        add(after, &continues);
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Point;

    fn series(runs: &[&[(i64, f64)]]) -> Series {
        let runs =
            runs.iter().map(|run| run.iter().map(|&(unix_ms, value)| Point { unix_ms, value }).collect());
        Series { runs: runs.collect(), ..Series::default() }
    }

    #[test]
    fn stack_edges_are_vertical() {
        let all = [series(&[&[(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0)]]), series(&[&[(1, 5.0), (2, 6.0)]])];
        let found = segments(&all, |unix_ms| unix_ms);
        assert_eq!(found.len(), 1);
        let top = [(0, 1.0), (1, 1.0), (1, 6.0), (2, 7.0), (2, 1.0), (3, 1.0)];
        assert_eq!(found[0][1], top);
        assert_eq!(found[0][0], [(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0)]);
    }

    #[test]
    fn shared_gap_splits_segments() {
        let all = [series(&[&[(0, 1.0), (1, 2.0)], &[(5, 3.0)]])];
        let found = segments(&all, |unix_ms| unix_ms);
        assert_eq!(found.len(), 2);
        assert_eq!(found[1], [vec![(5, 3.0)]]);
    }

    #[test]
    fn stack_keeps_extremes_per_column() {
        let points: Vec<(i64, f64)> = (0..1000).map(|n| (n, if n == 437 { 90.0 } else { 1.0 })).collect();
        let all = [series(&[&points])];
        let found = segments(&all, |unix_ms| unix_ms / 100);
        assert!(found.len() == 1 && found[0][0].len() <= 40, "{found:?}");
        assert!(found[0][0].contains(&(437, 90.0)));
    }
}
