//! Which pages of a process a copy leaves out: those that earlier censuses did not read.
//!
//! A wrong choice costs another copy and never gives a wrong result, because a read of a page that was left out is an error. So the choice
//! needs to know nothing about the content: insides of arrays, and memory that an allocator keeps, are just pages that are not read.

use std::ops::Range;
use std::sync::Arc;

use crate::addr::Addr;
use crate::memory::{PageUse, gaps, merge_overlapping};

/// The shortest run of pages that is left out, in bytes. In shorter ones new objects are likely to be, and they would save little.
const MIN_SKIPPED: u64 = 64 << 10;
/// Bytes around a page that was missed that are copied from then on: an arena of Python's allocator.
const NEAR_MISSED: u64 = 1 << 20;
/// Ranges around missed pages that are kept at most; with more, all are forgotten.
const MAX_NEEDED: usize = 4096;

/// The pages that copies leave out.
#[derive(Debug, Clone, Default)]
pub struct PageChoice {
    skipped: Arc<[Range<Addr>]>,
    /// What lies around pages that were missed.
    needed: Vec<Range<Addr>>,
}

impl PageChoice {
    /// Leaves out the pages that a census did not read. If it missed some, copies these and what is near them, too: what it would have
    /// read behind them is unknown, so nothing more is left out.
    pub fn learn(&mut self, usage: &PageUse) {
        let around = |missed: &Range<Addr>| {
            Addr(missed.start.0.saturating_sub(NEAR_MISSED))..Addr(missed.end.0.saturating_add(NEAR_MISSED))
        };
        if self.needed.len() > MAX_NEEDED {
            self.needed.clear();
        }
        self.needed.extend(usage.missed.iter().map(around));
        self.needed = merge_overlapping(std::mem::take(&mut self.needed));
        let unused = if usage.missed.is_empty() { &usage.unread[..] } else { &self.skipped };
        let unused = unused.iter().flat_map(|unused| gaps(unused, &self.needed));
        self.skipped = unused.filter(|range| length(range) >= MIN_SKIPPED).collect();
    }

    /// Whether it leaves nothing out.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.skipped.is_empty()
    }

    /// The parts of a range that are copied.
    pub(super) fn wanted(&self, range: &Range<Addr>) -> Vec<Range<Addr>> {
        gaps(range, &self.skipped)
    }

    /// The parts of a range that are left out.
    pub(super) fn skipped(&self, range: &Range<Addr>) -> impl Iterator<Item = Range<Addr>> {
        let first = self.skipped.partition_point(|skipped| skipped.end <= range.start);
        let skipped = self.skipped.iter().skip(first).take_while(|skipped| skipped.start < range.end);
        skipped.map(|skipped| skipped.start.max(range.start)..skipped.end.min(range.end))
    }
}

fn length(range: &Range<Addr>) -> u64 {
    range.end.0.saturating_sub(range.start.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::PAGE_SIZE;

    fn pages(from: u64, to: u64) -> Range<Addr> {
        Addr(from * PAGE_SIZE as u64)..Addr(to * PAGE_SIZE as u64)
    }

    /// The wanted and the skipped parts.
    fn split(choice: &PageChoice, from: u64, to: u64) -> [Vec<(u64, u64)>; 2] {
        let number = |range: Range<Addr>| (range.start.0 / PAGE_SIZE as u64, range.end.0 / PAGE_SIZE as u64);
        let range = pages(from, to);
        [
            choice.wanted(&range).into_iter().map(number).collect(),
            choice.skipped(&range).map(number).collect(),
        ]
    }

    #[test]
    fn long_unread_runs_are_left_out() {
        let mut choice = PageChoice::default();
        assert!(choice.is_full());
        assert_eq!(split(&choice, 5, 14), [vec![(5, 14)], vec![]]);
        choice.learn(&PageUse {
            unread: vec![pages(1000, 1100), pages(1200, 1215), pages(1300, 1316)],
            missed: vec![],
        });
        assert!(!choice.is_full());
        let expected = [vec![(990, 1000), (1100, 1300), (1316, 1320)], vec![(1000, 1100), (1300, 1316)]];
        assert_eq!(split(&choice, 990, 1320), expected);
        assert_eq!(split(&choice, 1010, 1030), [vec![], vec![(1010, 1030)]]);
        assert_eq!(split(&choice, 1090, 1110), [vec![(1100, 1110)], vec![(1090, 1100)]]);
        assert_eq!(split(&choice, 1100, 1300), [vec![(1100, 1300)], vec![]]);
    }

    #[test]
    fn surroundings_of_missed_pages_stay_in() {
        let mut choice = PageChoice::default();
        choice.learn(&PageUse { unread: vec![pages(1000, 4000)], missed: vec![] });
        // What lies behind a missed page was not read, and is no reason to leave it out.
        let unread = vec![pages(0, 2000), pages(2001, 9000)];
        choice.learn(&PageUse { unread, missed: vec![pages(2000, 2001)] });
        let expected = [vec![(1744, 2257)], vec![(1000, 1744), (2257, 4000)]];
        assert_eq!(split(&choice, 1000, 4000), expected);
        choice.learn(&PageUse { unread: vec![pages(1000, 4000)], missed: vec![] });
        assert_eq!(split(&choice, 1000, 4000), expected);
    }
}
