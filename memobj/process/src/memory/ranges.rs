//! Lists of address ranges.

use std::ops::Range;

use crate::addr::Addr;

/// The largest gap that [`merge_nearby`] closes, in bytes: lookups in few ranges are faster than in many.
const NEAR: u64 = 1 << 20;

/// Sorts ranges and merges those that touch or overlap.
pub fn merge_overlapping(mut ranges: Vec<Range<Addr>>) -> Vec<Range<Addr>> {
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

/// The range that an address lies in; `ranges` are by address and do not overlap.
pub fn range_at(ranges: &[Range<Addr>], at: Addr) -> Option<&Range<Addr>> {
    let behind = ranges.partition_point(|range| range.start <= at);
    ranges.get(behind.checked_sub(1)?).filter(|range| at < range.end)
}

/// The end of the memory that an address lies in: ranges that follow each other are one. The address itself if it lies in none.
pub fn contiguous_end(ranges: &[Range<Addr>], at: Addr) -> Addr {
    let first = ranges.partition_point(|range| range.end <= at);
    let mut end = at;
    for range in ranges.iter().skip(first) {
        if range.start > end {
            break;
        }
        end = end.max(range.end);
    }
    end
}

/// The parts of a range that are in none of `known`, which is by address.
pub fn gaps(range: &Range<Addr>, known: &[Range<Addr>]) -> Vec<Range<Addr>> {
    let mut left = Vec::new();
    let mut at = range.start;
    let first = known.partition_point(|known| known.start < range.start).saturating_sub(1);
    for known in known.iter().skip(first).take_while(|known| known.start < range.end) {
        if at < known.start {
            left.push(at..known.start);
        }
        at = at.max(known.end);
    }
    if at < range.end {
        left.push(at..range.end);
    }
    left
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

    #[test]
    fn rest_of_a_range_is_in_no_other() {
        let known = [range(0, 12), range(20, 30), range(28, 40), range(90, 200)];
        assert_eq!(gaps(&range(10, 100), &known), [range(12, 20), range(40, 90)]);
        assert_eq!(gaps(&range(10, 12), &known), []);
        assert_eq!(gaps(&range(50, 60), &known), [range(50, 60)]);
    }

    #[test]
    fn range_at_respects_ends() {
        let ranges = [range(10, 20), range(20, 30), range(40, 50)];
        let found = [9, 10, 29, 30, 49].map(|at| range_at(&ranges, Addr(at)).map(|range| range.start.0));
        assert_eq!(found, [None, Some(10), Some(20), None, Some(40)]);
        assert_eq!([9, 12, 45].map(|at| contiguous_end(&ranges, Addr(at)).0), [9, 30, 50]);
    }
}
