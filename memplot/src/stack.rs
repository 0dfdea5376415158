//! What is stacked: the edges between areas that lie on each other.

use std::collections::{BTreeMap, BTreeSet};

use crate::figure::Series;

/// A segment of time without a gap.
#[derive(Debug, Clone, PartialEq)]
pub struct StackSegment {
    /// The edge above each series, in the order of the series, from left to right: moments and sums. Where a series begins or
    /// ends, a moment stands twice: with and without it.
    pub edges: Vec<Vec<(i64, f64)>>,
}

/// The values of all series at one moment, and which of them go on to the next.
#[derive(Debug, Clone)]
struct StackRow {
    unix_ms: i64,
    values: Vec<Option<f64>>,
    continues: Vec<bool>,
}

/// The segments of `series`, the first at the bottom. `column` tells which moments are drawn at the same place: of each place
/// the first, the last, and those with the least and the greatest sum are kept.
#[must_use]
pub fn segments(series: &[Series], column: impl Fn(i64) -> i64) -> Vec<StackSegment> {
    let moments = decimated(moments(series), column);
    let mut segments = Vec::new();
    let mut begin = 0;
    for end in 1..=moments.len() {
        let goes_on = end < moments.len()
            && moments.get(end - 1).is_some_and(|moment| moment.continues.contains(&true));
        if !goes_on {
            segments.extend(moments.get(begin..end).map(|part| segment(part, series.len())));
            begin = end;
        }
    }
    segments
}

fn moments(series: &[Series]) -> Vec<StackRow> {
    let count = series.len();
    let mut moments: BTreeMap<i64, StackRow> = BTreeMap::new();
    for (place, one) in series.iter().enumerate() {
        for run in &one.runs {
            let last = run.len().saturating_sub(1);
            for (number, point) in run.iter().enumerate() {
                let empty = || StackRow {
                    unix_ms: point.unix_ms,
                    values: vec![None; count],
                    continues: vec![false; count],
                };
                let moment = moments.entry(point.unix_ms).or_insert_with(empty);
                if let (Some(value), Some(on)) =
                    (moment.values.get_mut(place), moment.continues.get_mut(place))
                {
                    *value = Some(point.value);
                    *on = number < last;
                }
            }
        }
    }
    moments.into_values().collect()
}

fn decimated(moments: Vec<StackRow>, column: impl Fn(i64) -> i64) -> Vec<StackRow> {
    let sum = |moment: &StackRow| -> f64 { moment.values.iter().flatten().sum() };
    let mut kept: Vec<StackRow> = Vec::with_capacity(moments.len());
    for group in moments.chunk_by(|a, b| column(a.unix_ms) == column(b.unix_ms)) {
        let by_sum = |(_, a): &(usize, &StackRow), (_, b): &(usize, &StackRow)| sum(a).total_cmp(&sum(b));
        let least = group.iter().enumerate().min_by(by_sum).map(|(place, _)| place);
        let greatest = group.iter().enumerate().max_by(by_sum).map(|(place, _)| place);
        let places: BTreeSet<usize> =
            [Some(0), least, greatest, group.len().checked_sub(1)].into_iter().flatten().collect();
        let places: Vec<usize> = places.into_iter().collect();
        for (number, &place) in places.iter().enumerate() {
            let Some(moment) = group.get(place) else { continue };
            let mut moment = moment.clone();
            // Within one place what is there at both ends goes on.
            if let Some(next) =
                places.get(number + 1).filter(|next| **next > place + 1).and_then(|next| group.get(*next))
            {
                let both = moment.values.iter().zip(&next.values).map(|(a, b)| a.is_some() && b.is_some());
                moment.continues = both.collect();
            }
            kept.push(moment);
        }
    }
    kept
}

fn segment(moments: &[StackRow], count: usize) -> StackSegment {
    let mut edges: Vec<Vec<(i64, f64)>> = vec![Vec::new(); count];
    let mut add = |moment: &StackRow, continues: Option<&[bool]>| {
        let mut sum = 0.0;
        for (place, edge) in edges.iter_mut().enumerate() {
            let is_there = continues.is_none_or(|continues| continues.get(place) == Some(&true));
            sum += moment.values.get(place).copied().flatten().filter(|_| is_there).unwrap_or(0.0);
            if edge.last() != Some(&(moment.unix_ms, sum)) {
                edge.push((moment.unix_ms, sum));
            }
        }
    };
    if let [only] = moments {
        add(only, None);
    }
    for pair in moments.windows(2) {
        if let [before, after] = pair {
            add(before, Some(&before.continues));
            add(after, Some(&before.continues));
        }
    }
    StackSegment { edges }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Point;

    fn series(runs: &[&[(i64, f64)]]) -> Series {
        let runs =
            runs.iter().map(|run| run.iter().map(|&(unix_ms, value)| Point { unix_ms, value }).collect());
        Series {
            name: String::new(),
            colour: None,
            runs: runs.collect(),
            first: None,
            peak: None,
            last: None,
            ended: false,
            trend: None,
        }
    }

    #[test]
    fn stack_edges_are_vertical() {
        let all = [series(&[&[(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0)]]), series(&[&[(1, 5.0), (2, 6.0)]])];
        let found = segments(&all, |unix_ms| unix_ms);
        assert_eq!(found.len(), 1);
        let top = [(0, 1.0), (1, 1.0), (1, 6.0), (2, 7.0), (2, 1.0), (3, 1.0)];
        assert_eq!(found[0].edges[1], top);
        assert_eq!(found[0].edges[0], [(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0)]);
    }

    #[test]
    fn shared_gap_splits_segments() {
        let all = [series(&[&[(0, 1.0), (1, 2.0)], &[(5, 3.0)]])];
        let found = segments(&all, |unix_ms| unix_ms);
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].edges, [vec![(5, 3.0)]]);
    }

    #[test]
    fn stack_keeps_extremes_per_column() {
        let points: Vec<(i64, f64)> = (0..1000).map(|n| (n, if n == 437 { 90.0 } else { 1.0 })).collect();
        let all = [series(&[&points])];
        let found = segments(&all, |unix_ms| unix_ms / 100);
        assert!(found.len() == 1 && found[0].edges[0].len() <= 40, "{found:?}");
        assert!(found[0].edges[0].contains(&(437, 90.0)));
    }
}
