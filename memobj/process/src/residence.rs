//! Which pages of a process are resident, and whether others have them too: proc_pid_pagemap(5), proc_pid_smaps(5).

use std::ops::Range;

use crate::addr::Addr;

const PAGE: u64 = 4096;
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
/// The page is a file's or shared memory's, not anonymous.
const OF_FILE: u64 = 1 << 61;
/// Mapped by nobody else: since Linux 4.2.
const EXCLUSIVE: u64 = 1 << 56;

/// What a page is to the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageKind {
    /// Resident, and mapped by this process alone.
    Private,
    /// Resident, and mapped by others too.
    Shared,
    /// Not resident, but in swap.
    Swapped,
}

/// Consecutive pages of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRun {
    /// Where.
    pub range: Range<Addr>,
    /// What they are.
    pub kind: PageKind,
}

/// Where the memory of a process was at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Residence {
    /// Its pages.
    pub pages: Pages,
    /// The resident set, as the kernel adds it up from its pages (`Rss` of smaps). `VmRSS` of proc_pid_status(5) is a counter that may
    /// be off by some pages for each processor.
    pub rss_bytes: u64,
    /// Of that, in huge pages: `AnonHugePages`, `ShmemPmdMapped`, `FilePmdMapped`.
    pub huge_bytes: u64,
    /// What is swapped out: `Swap`.
    pub swap_bytes: u64,
    /// Of hugetlbfs, which is no part of the resident set: `Shared_Hugetlb`, `Private_Hugetlb`.
    pub hugetlb_bytes: u64,
    /// The kernel's own tables for it, which are no part of the resident set: `VmPTE`. `None` if that is not known.
    pub page_table_bytes: Option<u64>,
    /// The stack pointer of each thread, by its number, as far as it is known.
    pub stack_pointers: Vec<(u32, Addr)>,
}

/// The resident and the swapped pages of a process, by address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pages {
    runs: Vec<PageRun>,
    /// Resident pages, in bytes.
    resident_bytes: u64,
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
            self.resident_bytes =
                self.resident_bytes.saturating_add(run.range.end.0.saturating_sub(run.range.start.0));
        }
    }

    /// Adds the pages of a mapping, each with its entry as the kernel gives it, by address. Mappings are to be added in the order of
    /// theirs.
    ///
    /// `rss_bytes` is what proc_pid_smaps(5) says is resident in that mapping, where that is known. The kernel gives a page of zeros to
    /// who reads anonymous memory that nobody has written to; pagemap says it is present, while RSS does not count it. So where more
    /// is present than resident, as many of the pages that look like that one are left out: those of which `is_zero` says that
    /// they hold nothing but zeros, as long as there are enough of them, else those that come last.
    pub fn add_mapping(
        &mut self,
        entries: &[(Addr, u64)],
        rss_bytes: Option<u64>,
        is_zero: impl Fn(Addr) -> bool,
    ) {
        let present = entries.iter().filter(|(_, entry)| entry & PRESENT != 0).count() as u64;
        let surplus = rss_bytes.map_or(0, |rss| present.saturating_sub(rss / PAGE));
        let zeros = if surplus > 0 { zeros(entries, surplus, is_zero) } else { Vec::new() };
        for (number, (page, entry)) in entries.iter().enumerate() {
            let kind = match entry & (PRESENT | SWAPPED) {
                0 => continue,
                SWAPPED => PageKind::Swapped,
                _ if zeros.get(number).copied().unwrap_or(false) => continue,
                _ if entry & EXCLUSIVE != 0 => PageKind::Private,
                _ => PageKind::Shared,
            };
            self.push(PageRun { range: *page..page.plus(PAGE), kind });
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
        self.resident_bytes
    }
}

/// Which of the pages of a mapping are the kernel's page of zeros, if that many are.
fn zeros(entries: &[(Addr, u64)], mut surplus: u64, is_zero: impl Fn(Addr) -> bool) -> Vec<bool> {
    let looks_so = |entry: u64| entry & PRESENT != 0 && entry & (OF_FILE | EXCLUSIVE) == 0;
    let rounds: [&dyn Fn(Addr, u64) -> bool; 3] = [
        &|page, entry| looks_so(entry) && is_zero(page),
        &|_, entry| looks_so(entry),
        // The kernel is not known to do so; but what it does not count is not resident.
        &|_, entry| entry & PRESENT != 0,
    ];
    let mut zeros = vec![false; entries.len()];
    for round in rounds {
        for ((page, entry), zero) in entries.iter().zip(&mut zeros).rev() {
            if surplus == 0 {
                return zeros;
            }
            if !*zero && round(*page, *entry) {
                *zero = true;
                surplus -= 1;
            }
        }
    }
    zeros
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries of the pages from number `first` on.
    fn entries(first: u64, entries: &[u64]) -> Vec<(Addr, u64)> {
        (first..).zip(entries).map(|(number, entry)| (Addr(number * PAGE), *entry)).collect()
    }

    fn kinds(pages: &Pages) -> Vec<(u64, u64, PageKind)> {
        pages.runs().iter().map(|run| (run.range.start.0 / PAGE, run.range.end.0 / PAGE, run.kind)).collect()
    }

    #[test]
    fn entries_become_runs_of_one_kind() {
        let entries = entries(
            16,
            &[
                PRESENT | EXCLUSIVE,
                PRESENT | EXCLUSIVE,
                PRESENT | OF_FILE,
                0,
                SWAPPED | 77,
                PRESENT | OF_FILE | EXCLUSIVE,
            ],
        );
        let mut pages = Pages::default();
        pages.add_mapping(&entries, Some(4 * PAGE), |_| false);
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
        let entries = entries(0, &[PRESENT, PRESENT | EXCLUSIVE, PRESENT, PRESENT]);
        let left = |rss: u64, zero: u64| {
            let mut pages = Pages::default();
            pages.add_mapping(&entries, Some(rss * PAGE), |page| page.0 / PAGE == zero);
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
