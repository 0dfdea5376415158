//! Ranges of memory, put together.

use std::ops::Range;

use crate::addr::Addr;

/// What lies between two parts of a region, in bytes, for them to be told as one: few parts are found faster than many.
const NEAR: u64 = 1 << 20;

/// Ranges in ascending order; those that meet or overlap are one.
pub(super) fn merge_overlapping(mut ranges: Vec<Range<Addr>>) -> Vec<Range<Addr>> {
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut merge_overlapping: Vec<Range<Addr>> = Vec::new();
    for range in ranges {
        match merge_overlapping.last_mut().filter(|last| range.start <= last.end) {
            Some(last) => last.end = last.end.max(range.end),
            None => merge_overlapping.push(range),
        }
    }
    merge_overlapping
}

/// Parts of `regions`, which are in order and apart, in ascending order; those that are near to each other in one region are one.
pub fn merge_nearby(parts: Vec<Range<Addr>>, regions: &[Range<Addr>]) -> Vec<Range<Addr>> {
    let of_region = |at: Addr| regions.partition_point(|region| region.start <= at);
    let mut merge_nearby: Vec<Range<Addr>> = Vec::new();
    for part in merge_overlapping(parts) {
        let is_near = |last: &Range<Addr>| {
            part.start.0 - last.end.0 <= NEAR && of_region(last.start) == of_region(part.start)
        };
        match merge_nearby.last_mut().filter(|last| is_near(last)) {
            Some(last) => last.end = part.end,
            None => merge_nearby.push(part),
        }
    }
    merge_nearby
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> Range<Addr> {
        Addr(start)..Addr(end)
    }

    #[test]
    fn parts_are_gathered_over_small_gaps_and_never_beyond_a_region() {
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
