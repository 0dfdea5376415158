//! Places labels beside the ends of their series, for SVG and terminal alike.

use crate::figure::Figure;

/// The value that a label should be beside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LabelAnchor {
    /// The last value of a line, or the middle of an area at the end of the plot.
    pub value: f64,
    /// Whether the series has a value there.
    pub is_drawn: bool,
}

/// The anchor of each series' label.
pub fn anchors(figure: &Figure) -> Vec<LabelAnchor> {
    if !figure.stacked {
        let last = figure.series.iter().map(|one| one.last);
        return last
            .map(|last| LabelAnchor { value: last.map_or(0.0, |p| p.value), is_drawn: last.is_some() })
            .collect();
    }
    let last_points = || figure.series.iter().map(|one| one.runs.last().and_then(|run| run.last()));
    let end = last_points().flatten().map(|point| point.unix_ms).max();
    let mut sum = 0.0;
    let anchors = last_points().map(|last| {
        let last = last.filter(|last| Some(last.unix_ms) == end);
        let height = last.map_or(0.0, |last| last.value.max(0.0));
        sum += height;
        LabelAnchor { value: sum - height / 2.0, is_drawn: last.is_some() }
    });
    anchors.collect()
}

/// The index and position of each label, from top to bottom. `heights` are those of the lines' ends, growing downwards. The first
/// `totals` labels are at the top. The others are ordered as stacked, or by height.
pub fn arrange(
    stacked: bool,
    totals: usize,
    heights: &[f64],
    label_height: f64,
    (top, bottom): (f64, f64),
) -> Vec<(usize, f64)> {
    let series = heights.get(totals..).unwrap_or_default();
    let order = (0..totals).chain(order(stacked, series).into_iter().map(|index| index + totals));
    let order: Vec<usize> = order.collect();
    let wanted: Vec<f64> = order.iter().filter_map(|index| heights.get(*index)).copied().collect();
    order.into_iter().zip(spread(&wanted, label_height, top, bottom)).collect()
}

/// The order of labels from top to bottom: as stacked, or by the height of the lines' ends (`heights`, growing downwards).
fn order(stacked: bool, heights: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..heights.len()).collect();
    if stacked {
        order.reverse();
    } else {
        let height = |index: &usize| heights.get(*index).copied().unwrap_or_default();
        order.sort_by(|a, b| height(a).total_cmp(&height(b)));
    }
    order
}

/// Positions for labels of `height` as near as possible to `wanted` (in ascending order) without overlaps. Labels that touch move
/// as one block, to the mean of their wanted positions.
fn spread(wanted: &[f64], height: f64, top: f64, bottom: f64) -> Vec<f64> {
    // Blocks of touching labels: the sum of their wanted positions for the block's first label, and their number.
    let mut blocks: Vec<(f64, f64)> = Vec::new();
    let lowest = |count: f64| (bottom - height * (count - 1.0)).max(top);
    let position = |&(sum, count): &(f64, f64)| (sum / count).clamp(top, lowest(count));
    for &want in wanted {
        blocks.push((want, 1.0));
        while let [.., before, last] = blocks.as_slice() {
            if position(before) + before.1 * height <= position(last) + 1e-9 {
                break;
            }
            let joined = (before.0 + last.0 - last.1 * before.1 * height, before.1 + last.1);
            blocks.truncate(blocks.len() - 2);
            blocks.push(joined);
        }
    }
    let mut positions = Vec::with_capacity(wanted.len());
    for block in &blocks {
        let end = positions.len() as f64 + block.1;
        let mut at = position(block);
        while (positions.len() as f64) < end {
            positions.push(at);
            at += height;
        }
    }
    positions
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn touching_labels_spread_evenly() {
        assert_eq!(spread(&[10.0, 50.0, 90.0], 10.0, 0.0, 100.0), [10.0, 50.0, 90.0]);
        assert_eq!(spread(&[50.0, 50.0], 10.0, 0.0, 100.0), [45.0, 55.0]);
        assert_eq!(spread(&[0.0, 0.0, 100.0], 10.0, 0.0, 100.0), [0.0, 10.0, 100.0]);
        assert_eq!(spread(&[100.0, 100.0], 10.0, 0.0, 100.0), [90.0, 100.0]);
        assert!(spread(&[], 10.0, 0.0, 1.0).is_empty());
    }

    proptest! {
        #[test]
        fn labels_never_overlap(mut wanted in proptest::collection::vec(-50.0_f64..500.0, 1..30)) {
            wanted.sort_by(f64::total_cmp);
            let places = spread(&wanted, 16.0, 0.0, 480.0);
            prop_assert_eq!(places.len(), wanted.len());
            for pair in places.windows(2) {
                prop_assert!(pair[1] - pair[0] >= 16.0 - 1e-6, "{:?}", places);
            }
            prop_assert!(places[0] >= -1e-6 && places[places.len() - 1] <= 480.0 + 1e-6, "{:?}", places);
        }
    }
}
