//! Which pages of a process are resident, and which of them it shares: proc_pid_pagemap(5), proc_pid_smaps(5).

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::addr::{ADDRESS_BITS, Addr, PAGE_SIZE};

const PAGE: u64 = PAGE_SIZE as u64;
/// More pages than a process is believed to have: 1 TiB.
const MAX_PAGES: u64 = 1 << 28;
/// Where the addresses of a user's process end.
const MAX_ADDRESS: u64 = 1 << ADDRESS_BITS;

/// Bit of a pagemap entry: the page is resident.
pub(crate) const PRESENT: u64 = 1 << 63;
/// Bit of a pagemap entry: the page is in swap.
pub(crate) const SWAPPED: u64 = 1 << 62;
/// Bit of a pagemap entry: the page belongs to a file or shared memory, and is not anonymous.
pub(crate) const OF_FILE: u64 = 1 << 61;
/// Bit of a pagemap entry: the process has written to the page since the kernel was asked to forget that (CONFIG_MEM_SOFT_DIRTY).
pub(crate) const SOFT_DIRTY: u64 = 1 << 55;
/// Bit of a pagemap entry: no other process maps the page (Linux 4.2 and later).
pub(crate) const EXCLUSIVE: u64 = 1 << 56;

/// The state of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageKind {
    /// Resident, and mapped by this process alone.
    Private,
    /// Resident, and mapped by others too.
    Shared,
    /// In swap.
    Swapped,
}

/// Consecutive pages of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRun {
    /// Their addresses.
    pub range: Range<Addr>,
    /// Their kind.
    pub kind: PageKind,
}

/// Where the memory of a process was at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Residence {
    /// Its pages.
    #[serde(rename = "runs")]
    pub pages: Pages,
    /// The resident set size as the sum over its pages (`Rss` of smaps). `VmRSS` of proc_pid_status(5) is a counter that may be off by some
    /// pages for each processor.
    pub rss_bytes: u64,
    /// The part of it in huge pages: `AnonHugePages`, `ShmemPmdMapped`, `FilePmdMapped`.
    pub huge_bytes: u64,
    /// Swapped out memory: `Swap`.
    pub swap_bytes: u64,
    /// Memory of hugetlbfs, which is not part of the resident set: `Shared_Hugetlb`, `Private_Hugetlb`.
    pub hugetlb_bytes: u64,
    /// The kernel's page tables for it, which are not part of the resident set: `VmPTE`. `None` if unknown.
    pub page_table_bytes: Option<u64>,
    /// The known stack pointers, each with the number of its thread.
    pub stack_pointers: Vec<(u32, Addr)>,
}

/// The resident and the swapped pages of a process, by address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<PackedRun>", try_from = "Vec<PackedRun>")]
pub struct Pages {
    runs: Vec<PageRun>,
    /// Resident pages, in bytes.
    resident_bytes: u64,
}

/// A run in a snapshot: pages since the last run, its pages, and 0 for private, 1 for shared, 2 for swapped.
type PackedRun = (u64, u64, u8);

impl From<Pages> for Vec<PackedRun> {
    fn from(pages: Pages) -> Self {
        let mut last_end = 0;
        let pack = |run: PageRun| {
            let (first, end) = (run.range.start.0 / PAGE, run.range.end.0 / PAGE);
            let gap = first.saturating_sub(last_end);
            last_end = end;
            (gap, end.saturating_sub(first), run.kind as u8)
        };
        pages.runs.into_iter().map(pack).collect()
    }
}

impl TryFrom<Vec<PackedRun>> for Pages {
    type Error = &'static str;

    fn try_from(packed: Vec<PackedRun>) -> Result<Self, Self::Error> {
        let (mut page, mut total) = (0_u64, 0_u64);
        let mut pages = Self::default();
        for (gap, count, kind) in packed {
            let kind = match kind {
                0 => PageKind::Private,
                1 => PageKind::Shared,
                2 => PageKind::Swapped,
                _ => return Err("an unknown kind of page"),
            };
            let first = page.saturating_add(gap);
            page = first.saturating_add(count);
            total = total.saturating_add(count);
            if page > MAX_ADDRESS / PAGE || total > MAX_PAGES {
                return Err("more pages than a process can have");
            }
            pages.push(PageRun { range: Addr(first * PAGE)..Addr(page * PAGE), kind });
        }
        Ok(pages)
    }
}

impl Pages {
    /// Adds a run that follows the others. One that overlaps the one before is left out.
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

    /// Adds the pages of a mapping, each with its pagemap entry. Add mappings and pages in ascending order of their addresses.
    ///
    /// `rss_bytes` is the resident size of that mapping in proc_pid_smaps(5), if known. A process that reads anonymous memory before any
    /// write gets the kernel's page of zeros, which pagemap reports as present and RSS does not count. So if more pages are present than
    /// resident, the surplus is left out: first pages that `is_zero` confirms, then the last ones that may be such a page.
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

    /// The runs of pages, by address.
    #[must_use]
    pub fn runs(&self) -> &[PageRun] {
        &self.runs
    }

    /// The resident pages, in bytes.
    #[must_use]
    pub const fn resident_bytes(&self) -> u64 {
        self.resident_bytes
    }
}

/// Selects `surplus` pages that are, or may be, the kernel's page of zeros.
fn zeros(entries: &[(Addr, u64)], mut surplus: u64, is_zero: impl Fn(Addr) -> bool) -> Vec<bool> {
    let may_be_zero = |entry: u64| entry & PRESENT != 0 && entry & (OF_FILE | EXCLUSIVE) == 0;
    let rounds: [&dyn Fn(Addr, u64) -> bool; 3] = [
        &|page, entry| may_be_zero(entry) && is_zero(page),
        &|_, entry| may_be_zero(entry),
        // Not known to happen; but a page that the kernel does not count is not resident.
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
    fn entries_become_runs() {
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
    fn overlapping_runs_are_left_out() {
        let run = |start: u64, end: u64| PageRun { range: Addr(start)..Addr(end), kind: PageKind::Private };
        let mut pages = Pages::default();
        for run in [run(8, 16), run(4, 12), run(16, 16), run(16, 20)] {
            pages.push(run);
        }
        assert_eq!(pages.runs(), [run(8, 20)]);
        assert_eq!(pages.resident_bytes(), 12);
    }
}
