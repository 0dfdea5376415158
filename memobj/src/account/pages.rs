//! The pages of a process, from what proc_pid_pagemap(5) says of them.

use crate::addr::Addr;

use super::span::{PageKind, PageRun};

const PAGE: u64 = 4096;
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
/// The page is a file's or shared memory's, not anonymous.
const OF_FILE: u64 = 1 << 61;
/// Mapped by nobody else: since Linux 4.2.
const EXCLUSIVE: u64 = 1 << 56;

/// The resident and the swapped pages of a process, by address.
#[derive(Debug, Default)]
pub struct Pages {
    runs: Vec<PageRun>,
    /// Resident pages, in bytes.
    resident: u64,
}

impl Pages {
    /// Of runs that are in order and do not overlap; one that breaks this is left out.
    #[must_use]
    pub fn of(runs: impl IntoIterator<Item = PageRun>) -> Self {
        let mut pages = Self::default();
        for run in runs {
            pages.push(run);
        }
        pages
    }

    fn push(&mut self, run: PageRun) {
        if run.range.start >= run.range.end {
            return;
        }
        match self.runs.last_mut() {
            Some(last) if last.range.end > run.range.start => return,
            Some(last) if last.range.end == run.range.start && last.kind == run.kind => {
                last.range.end = run.range.end
            }
            _ => self.runs.push(run.clone()),
        }
        if run.kind != PageKind::Swapped {
            self.resident = self.resident.saturating_add(run.range.end.0.saturating_sub(run.range.start.0));
        }
    }

    /// Adds the entries of the pages from `at` on, as the kernel gives them. Mappings are to be added in the order of their addresses.
    ///
    /// `rss_bytes` is what proc_pid_smaps(5) says is resident in that mapping, where that is known. The kernel gives a page of zeros to
    /// who reads anonymous memory that nobody has written to; pagemap says it is present, while RSS does not count it. So where more
    /// is present than resident, as many of the pages that look like that one are left out: those of which `is_zero` says that
    /// they hold nothing but zeros, as long as there are enough of them, else those that come last.
    pub fn add_mapping(
        &mut self,
        at: Addr,
        entries: &[u8],
        rss_bytes: Option<u64>,
        is_zero: impl Fn(Addr) -> bool,
    ) {
        let entries = entries.as_chunks::<8>().0;
        let present =
            entries.iter().filter(|entry| u64::from_le_bytes(**entry) & PRESENT != 0).count() as u64;
        let mut surplus = rss_bytes.map_or(0, |rss| present.saturating_sub(rss / PAGE));
        let looks_like_zeros = |entry: u64| entry & PRESENT != 0 && entry & (OF_FILE | EXCLUSIVE) == 0;
        let mut zeros = vec![false; if surplus > 0 { entries.len() } else { 0 }];
        // First those that hold zeros, then any of their kind, then (the kernel maps nothing of its own otherwise) any at all.
        let rounds: [&dyn Fn(u64, Addr) -> bool; 3] = [
            &|entry, page| looks_like_zeros(entry) && is_zero(page),
            &|entry, _| looks_like_zeros(entry),
            &|entry, _| entry & PRESENT != 0,
        ];
        for round in rounds {
            if surplus == 0 {
                break;
            }
            for (number, (entry, zero)) in entries.iter().zip(&mut zeros).enumerate().rev() {
                if surplus == 0 {
                    break;
                }
                if !*zero && round(u64::from_le_bytes(*entry), page_at(at, number)) {
                    *zero = true;
                    surplus -= 1;
                }
            }
        }
        for (number, entry) in entries.iter().enumerate() {
            let entry = u64::from_le_bytes(*entry);
            let kind = if entry & PRESENT != 0 {
                if zeros.get(number).copied().unwrap_or(false) {
                    continue;
                }
                if entry & EXCLUSIVE != 0 { PageKind::Private } else { PageKind::Shared }
            } else if entry & SWAPPED != 0 {
                PageKind::Swapped
            } else {
                continue;
            };
            let page = page_at(at, number);
            self.push(PageRun { range: page..page.plus(PAGE), kind });
        }
    }

    /// The runs, by address.
    #[must_use]
    pub fn runs(&self) -> &[PageRun] {
        &self.runs
    }

    /// What is resident, in bytes.
    #[must_use]
    pub const fn resident_bytes(&self) -> u64 {
        self.resident
    }
}

fn page_at(at: Addr, number: usize) -> Addr {
    at.plus((number as u64).wrapping_mul(PAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(entries: &[u64]) -> Vec<u8> {
        entries.iter().flat_map(|entry| entry.to_le_bytes()).collect()
    }

    fn kinds(pages: &Pages) -> Vec<(u64, u64, PageKind)> {
        pages.runs().iter().map(|run| (run.range.start.0 / PAGE, run.range.end.0 / PAGE, run.kind)).collect()
    }

    #[test]
    fn entries_become_runs_of_one_kind() {
        let entries = bytes(&[
            PRESENT | EXCLUSIVE,
            PRESENT | EXCLUSIVE,
            PRESENT | OF_FILE,
            0,
            SWAPPED | 77,
            PRESENT | OF_FILE | EXCLUSIVE,
        ]);
        let mut pages = Pages::default();
        pages.add_mapping(Addr(16 * PAGE), &entries, Some(4 * PAGE), |_| false);
        assert_eq!(
            kinds(&pages),
            [
                (16, 18, PageKind::Private),
                (18, 19, PageKind::Shared),
                (20, 21, PageKind::Swapped),
                (21, 22, PageKind::Private),
            ]
        );
        assert_eq!(pages.resident_bytes(), 4 * PAGE);
    }

    #[test]
    fn pages_of_zeros_are_not_resident() {
        let entries = bytes(&[PRESENT, PRESENT | EXCLUSIVE, PRESENT, PRESENT]);
        let left = |rss: u64, zero: u64| {
            let mut pages = Pages::default();
            pages.add_mapping(Addr(0), &entries, Some(rss * PAGE), |page| page.0 / PAGE == zero);
            assert_eq!(pages.resident_bytes(), rss * PAGE);
            kinds(&pages)
        };
        assert_eq!(left(3, 0), [(1, 2, PageKind::Private), (2, 4, PageKind::Shared)]);
        assert_eq!(left(2, 0), [(1, 2, PageKind::Private), (2, 3, PageKind::Shared)]);
        assert_eq!(left(0, 0), []);
    }

    #[test]
    fn what_is_out_of_order_is_left_out() {
        let run = |start: u64, end: u64| PageRun { range: Addr(start)..Addr(end), kind: PageKind::Private };
        let pages = Pages::of([run(8, 16), run(4, 12), run(16, 16), run(16, 20)]);
        assert_eq!(pages.runs(), [run(8, 20)]);
        assert_eq!(pages.resident_bytes(), 12);
    }
}
