//! Merging of address ranges.

use std::ops::Range;

use crate::addr::Addr;

/// The largest gap that [`merge_nearby`] closes, in bytes: lookups in few ranges are faster than in many.
const NEAR: u64 = 1 << 20;

/// Sorts ranges and merges those that touch or overlap.
pub(super) fn merge_overlapping(mut ranges: Vec<Range<Addr>>) -> Vec<Range<Addr>> {
    ranges.sort_by_key(|range| (range.start, range.end));
    merge(ranges, |last, next| next.start <= last.end)
}

/// Sorts and merges `parts` of `regions` that are close together in one region. `regions` are in ascending order and do not overlap.
pub fn merge_nearby(parts: Vec<Range<Addr>>, regions: &[Range<Addr>]) -> Vec<Range<Addr>> {
    let region_of = |at: Addr| regions.partition_point(|region| region.start <= at);
    merge(merge_overlapping(parts), |last, next| {
        next.start.0.saturating_sub(last.end.0) <= NEAR && region_of(last.start) == region_of(next.start)
    })
}

fn merge(ranges: Vec<Range<Addr>>, is_one: impl Fn(&Range<Addr>, &Range<Addr>) -> bool) -> Vec<Range<Addr>> {
    let mut merged: Vec<Range<Addr>> = Vec::new();
    for range in ranges {
        match merged.last_mut().filter(|last| is_one(last, &range)) {
            Some(last) => last.end = last.end.max(range.end),
            None => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> Range<Addr> {
        Addr(start)..Addr(end)
    }

    #[test]
    fn merging_stops_at_gaps_and_regions() {
        let regions = [range(0, 100 * NEAR), range(100 * NEAR + 1, 200 * NEAR)];
        let parts = vec![
            range(90 * NEAR, 100 * NEAR),
            range(0, 10),
            range(10 + NEAR, 20 + NEAR),
            range(21 + 2 * NEAR, 22 + 2 * NEAR),
            range(5, 8),
            range(100 * NEAR + 1, 100 * NEAR + 2),
        ];
        let expected = [
            range(0, 20 + NEAR),
            range(21 + 2 * NEAR, 22 + 2 * NEAR),
            range(90 * NEAR, 100 * NEAR),
            range(100 * NEAR + 1, 100 * NEAR + 2),
        ];
        assert_eq!(merge_nearby(parts, &regions), expected);
        assert_eq!(merge_nearby(Vec::new(), &regions), []);
    }
}
