//! Pages that were copied, and which of them a later copy takes over.

use super::{CopyBuffer, PAGE_SIZE};
use crate::addr::Addr;

/// Consecutive pages that were copied, and are consecutive in the buffer too.
#[derive(Debug, Clone, Copy)]
pub(super) struct CopiedRun {
    pub at: Addr,
    pub pages: usize,
    /// The number of the first one's copy in the buffer.
    pub first: usize,
}

impl CopiedRun {
    pub fn end(&self) -> Addr {
        self.at.plus((self.pages * PAGE_SIZE) as u64)
    }

    /// Its first `pages` pages and the others.
    fn split(self, pages: usize) -> (Option<Self>, Option<Self>) {
        let front = pages.min(self.pages);
        let back = Self {
            at: self.at.plus((front * PAGE_SIZE) as u64),
            pages: self.pages - front,
            first: self.first + front,
        };
        let filled = |run: Self| (run.pages > 0).then_some(run);
        (filled(Self { pages: front, ..self }), filled(back))
    }
}

fn pages_between(from: Addr, to: Addr) -> usize {
    usize::try_from(to.0.saturating_sub(from.0) / PAGE_SIZE as u64).unwrap_or(usize::MAX)
}

/// Adds a run, as a part of the last one if it continues that in both memories.
pub(super) fn append(runs: &mut Vec<CopiedRun>, run: CopiedRun) {
    match runs.last_mut().filter(|last| last.end() == run.at && last.first + last.pages == run.first) {
        Some(last) => last.pages += run.pages,
        None => runs.push(run),
    }
}

/// Pages in a buffer that a later copy may take over, if the process has not changed them.
#[derive(Debug)]
pub struct EarlierCopy {
    /// By address.
    runs: Vec<CopiedRun>,
    used: usize,
    content: u64,
}

impl EarlierCopy {
    /// The pages of these runs but the `unreadable` ones; see [`CopyBuilder::keep`](super::CopyBuilder::keep).
    pub(super) fn new(copied: Vec<CopiedRun>, unreadable: &[Addr], used: usize, content: u64) -> Self {
        let mut runs = Vec::with_capacity(copied.len());
        for run in copied {
            let mut rest = Some(run);
            for gap in unreadable.iter().filter(|gap| (run.at..run.end()).contains(gap)) {
                let Some(whole) = rest else { break };
                let (front, back) = whole.split(pages_between(whole.at, *gap));
                runs.extend(front);
                rest = back.and_then(|back| back.split(1).1);
            }
            runs.extend(rest);
        }
        runs.sort_by_key(|run| run.at);
        Self { runs, used, content }
    }

    /// Whether the buffer still holds these pages.
    #[must_use]
    pub const fn is_in(&self, buffer: &CopyBuffer) -> bool {
        self.content == buffer.content()
    }

    /// The bytes at the beginning of the buffer that belong to it.
    #[must_use]
    pub const fn used_bytes(&self) -> usize {
        self.used
    }

    /// How many of these pages it lacks.
    #[must_use]
    pub fn missing(&self, at: Addr, pages: usize) -> usize {
        self.find(at, pages).1.iter().map(|(_, pages)| pages).sum()
    }

    /// The copies of the pages from `at` on, and the pages without one.
    pub(super) fn find(&self, at: Addr, pages: usize) -> (Vec<CopiedRun>, Vec<(Addr, usize)>) {
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        let end = at.plus((pages * PAGE_SIZE) as u64);
        let mut next = at;
        let begin = self.runs.partition_point(|run| run.end() <= at);
        for run in self.runs.iter().skip(begin).take_while(|run| run.at < end) {
            if next < run.at {
                missing.push((next, pages_between(next, run.at)));
            }
            let from = next.max(run.at);
            let rest = run.split(pages_between(run.at, from)).1;
            found.extend(rest.and_then(|rest| rest.split(pages_between(from, end)).0));
            next = run.end();
        }
        if next < end {
            missing.push((next, pages_between(next, end)));
        }
        (found, missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Addr = Addr(0x7f00_0000_0000);

    fn page(number: usize) -> Addr {
        AT.plus((number * PAGE_SIZE) as u64)
    }

    fn run(at: usize, pages: usize, first: usize) -> CopiedRun {
        CopiedRun { at: page(at), pages, first }
    }

    /// The runs that are found, and the pages that are missing, by numbers.
    fn found(earlier: &EarlierCopy, at: usize, pages: usize) -> [Vec<(usize, usize, usize)>; 2] {
        let (found, missing) = earlier.find(page(at), pages);
        assert_eq!(earlier.missing(page(at), pages), missing.iter().map(|(_, pages)| pages).sum::<usize>());
        [
            found.iter().map(|run| (pages_between(AT, run.at), run.pages, run.first)).collect(),
            missing.iter().map(|&(at, pages)| (pages_between(AT, at), pages, 0)).collect(),
        ]
    }

    #[test]
    fn pages_are_found_or_missing() {
        let earlier = EarlierCopy::new(vec![run(10, 5, 0), run(20, 2, 5), run(22, 3, 70)], &[], 80, 1);
        assert_eq!(found(&earlier, 11, 2), [vec![(11, 2, 1)], vec![]]);
        assert_eq!(
            found(&earlier, 8, 16),
            [vec![(10, 5, 0), (20, 2, 5), (22, 2, 70)], vec![(8, 2, 0), (15, 5, 0)]]
        );
        assert_eq!(found(&earlier, 24, 9), [vec![(24, 1, 72)], vec![(25, 8, 0)]]);
        assert_eq!(found(&earlier, 15, 5), [vec![], vec![(15, 5, 0)]]);
    }

    #[test]
    fn unreadable_pages_are_missing() {
        let gaps = [page(10), page(12), page(14), page(30)];
        let earlier = EarlierCopy::new(vec![run(10, 5, 0), run(30, 1, 5)], &gaps, 6, 1);
        let missing = vec![(10, 1, 0), (12, 1, 0), (14, 17, 0)];
        assert_eq!(found(&earlier, 10, 21), [vec![(11, 1, 1), (13, 1, 3)], missing]);
    }

    #[test]
    fn runs_are_joined_where_both_memories_go_on() {
        let mut runs = vec![run(1, 2, 0)];
        append(&mut runs, run(3, 1, 2));
        append(&mut runs, run(4, 1, 9));
        assert_eq!(runs.iter().map(|run| (run.pages, run.first)).collect::<Vec<_>>(), [(3, 0), (1, 9)]);
    }
}
