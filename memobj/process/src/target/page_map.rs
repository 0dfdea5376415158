//! Which pages of a process must be copied: proc_pid_pagemap(5).

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::addr::Addr;
use crate::info::{Mapping, MappingKind};
use crate::memory::PAGE_SIZE;
use crate::residence::{EXCLUSIVE, OF_FILE, PRESENT, SOFT_DIRTY, SWAPPED};

/// Entries of one read: those of 128 MiB of addresses, with pages of 4 KiB.
const ENTRIES: usize = 1 << 15;
const ENTRY: usize = size_of::<u64>();
/// Larger mappings are reserved address space (sanitizers, collectors of other languages), never a Python heap. Reading the entries of
/// 16 TiB would take seconds.
pub(super) const MAX_MAPPING: u64 = 1 << 38;

/// Consecutive pages with content of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OwnPages {
    pub at: Addr,
    pub count: usize,
    /// Whether none is shared with another process.
    pub exclusive: bool,
    /// Whether the process has written to none of them since the [tracking](super::write_tracking) of its writes began.
    pub unwritten: bool,
}

impl OwnPages {
    /// Their addresses, and their number of bytes.
    pub fn range(&self) -> (Range<Addr>, u64) {
        let bytes = (self.count * PAGE_SIZE) as u64;
        (self.at..self.at.plus(bytes), bytes)
    }
}

/// Whether a mapping's own pages are copied: private, readable memory. Other processes may change shared memory during the copy.
pub(super) fn is_copied(mapping: &Mapping) -> bool {
    mapping.access.read
        && !mapping.access.shared
        && mapping.kind() != MappingKind::Kernel
        && mapping.length() <= MAX_MAPPING
}

/// The pagemap of a process, with a buffer to read it.
#[derive(Debug)]
pub(super) struct PageMap {
    /// `None` where the kernel has none (CONFIG_PROC_PAGE_MONITOR) or forbids it.
    file: Option<File>,
    buffer: Vec<u8>,
    /// The bytes of an entry's page: 4 KiB on x86-64, 4, 16 or 64 KiB on Arm.
    kernel_page: u64,
    /// Whether the writes of the process are tracked.
    is_tracked: bool,
}

impl PageMap {
    /// Opens the pagemap of a process, whose writes are tracked or not.
    pub fn open(pid: u32, is_tracked: bool) -> Self {
        Self::new(File::open(format!("/proc/{pid}/pagemap")).ok(), is_tracked)
    }

    /// Reads a pagemap that is open.
    pub fn new(file: Option<File>, is_tracked: bool) -> Self {
        // Written to here, so that its pages are not allocated while the process is paused.
        let kernel_page = rustix::param::page_size() as u64;
        Self { file, buffer: vec![u8::MAX; ENTRIES * ENTRY], kernel_page, is_tracked }
    }

    /// Passes each page's address and entry to `each`, in ascending order; larger pages of the kernel in our pieces, each with the entry of the
    /// whole. Fails with the first page whose entry cannot be read.
    pub fn entries(&mut self, range: &Range<Addr>, mut each: impl FnMut(Addr, u64)) -> Result<(), Addr> {
        let Some(file) = &self.file else { return Err(range.start) };
        let size = self.kernel_page;
        let (mut page, end) = (range.start.0 / size, range.end.0.div_ceil(size));
        while page < end {
            let count = ENTRIES.min(usize::try_from(end - page).unwrap_or(ENTRIES));
            let Some(entries) = self.buffer.get_mut(..count * ENTRY) else { break };
            if file.read_exact_at(entries, page.saturating_mul(ENTRY as u64)).is_err() {
                return Err(range.start.max(Addr(page.saturating_mul(size))));
            }
            for (number, &entry) in (page..).zip(entries.as_chunks::<ENTRY>().0) {
                let start = number.saturating_mul(size);
                let pieces = start.max(range.start.0)..start.saturating_add(size).min(range.end.0);
                for at in pieces.step_by(PAGE_SIZE) {
                    each(Addr(at), u64::from_le_bytes(entry));
                }
            }
            page += count as u64;
        }
        Ok(())
    }

    /// Passes the pages in `part` of a mapping that have content of their own to `each`, in ascending order. With `with_file_pages`, pages
    /// of a file too, for files that cannot be opened.
    pub fn scan(
        &mut self,
        mapping: &Mapping,
        part: &Range<Addr>,
        with_file_pages: bool,
        mut each: impl FnMut(OwnPages),
    ) {
        let unwanted = if with_file_pages { 0 } else { OF_FILE };
        // Huge pages of hugetlbfs are not tracked. They have an inode.
        let is_tracked = self.is_tracked && mapping.inode == 0;
        let mut run: Option<OwnPages> = None;
        let end = self.entries(part, |at, entry| {
            if entry & (PRESENT | SWAPPED) == 0 || entry & unwanted != 0 {
                return run.take().into_iter().for_each(&mut each);
            }
            let exclusive = entry & (EXCLUSIVE | OF_FILE) == EXCLUSIVE;
            // The kernel's page of zeros, which pages become that are given back and read again, is not exclusive.
            let unwritten = is_tracked && exclusive && entry & (PRESENT | SOFT_DIRTY) == PRESENT;
            match run.as_mut().filter(|pages| pages.unwritten == unwritten) {
                Some(pages) => {
                    pages.count += 1;
                    pages.exclusive &= exclusive;
                }
                None => {
                    let begun = OwnPages { at, count: 1, exclusive, unwritten };
                    run.replace(begun).into_iter().for_each(&mut each);
                }
            }
        });
        run.into_iter().for_each(&mut each);
        // Without entries, all pages that may have content are copied.
        let may_have_content =
            mapping.access.write || mapping.kind() == MappingKind::Anonymous || !mapping.access.execute;
        if let Err(at) = end
            && may_have_content
            && at < part.end
        {
            let pages = part.end.0.saturating_sub(at.0) / PAGE_SIZE as u64;
            let count = usize::try_from(pages).unwrap_or(usize::MAX);
            each(OwnPages { at, count, exclusive: false, unwritten: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::info::Permissions;

    const START: u64 = 16;

    fn page_addr(page: u64) -> Addr {
        Addr(page * PAGE_SIZE as u64)
    }

    fn mapping(pages: u64) -> Mapping {
        Mapping {
            range: page_addr(START)..page_addr(START + pages),
            access: Permissions { read: true, write: true, execute: false, shared: false },
            ..Mapping::default()
        }
    }

    fn found(file: Option<File>, mapping: &Mapping, with_file_pages: bool) -> Vec<(u64, usize, bool)> {
        let mut found = Vec::new();
        PageMap::new(file, false).scan(mapping, &mapping.range, with_file_pages, |pages| {
            found.push((pages.at.0 / PAGE_SIZE as u64 - START, pages.count, pages.exclusive));
        });
        found
    }

    fn pagemap(entries: &[u64]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        let before = [0; START as usize];
        file.write_all(
            &before.iter().chain(entries).flat_map(|entry| entry.to_le_bytes()).collect::<Vec<u8>>(),
        )
        .unwrap();
        file
    }

    #[test]
    fn scan_yields_runs_of_own_pages() {
        let entries = [
            PRESENT | EXCLUSIVE,
            PRESENT | EXCLUSIVE,
            0,
            SWAPPED,
            PRESENT | EXCLUSIVE,
            PRESENT | OF_FILE | EXCLUSIVE,
            PRESENT,
        ];
        assert_eq!(
            found(Some(pagemap(&entries)), &mapping(7), false),
            [(0, 2, true), (3, 2, false), (6, 1, false)]
        );
        assert_eq!(found(Some(pagemap(&entries)), &mapping(7), true), [(0, 2, true), (3, 4, false)]);
    }

    #[test]
    fn unwritten_pages_are_runs_of_their_own() {
        let own = PRESENT | EXCLUSIVE;
        let entries = [
            own,
            own,
            own | SOFT_DIRTY,
            own,
            PRESENT,
            SWAPPED | EXCLUSIVE,
            own | OF_FILE,
            own,
            own | SOFT_DIRTY,
        ];
        let runs = |mapping: &Mapping, is_tracked| {
            let mut runs = Vec::new();
            PageMap::new(Some(pagemap(&entries)), is_tracked).scan(mapping, &mapping.range, true, |pages| {
                runs.push((pages.at.0 / PAGE_SIZE as u64 - START, pages.count, pages.unwritten));
            });
            runs
        };
        let expected =
            [(0, 2, true), (2, 1, false), (3, 1, true), (4, 3, false), (7, 1, true), (8, 1, false)];
        assert_eq!(runs(&mapping(9), true), expected);
        assert_eq!(runs(&mapping(9), false), [(0, 9, false)]);
        let huge = Mapping { inode: 7, ..mapping(9) };
        assert_eq!(runs(&huge, true), [(0, 9, false)], "huge pages of hugetlbfs");
    }

    #[test]
    fn runs_cross_reads() {
        let pages = ENTRIES * 2 + 5;
        let mut entries = vec![PRESENT | EXCLUSIVE; pages];
        entries[ENTRIES + 1] = 0;
        let expected = [(0, ENTRIES + 1, true), (ENTRIES as u64 + 2, ENTRIES + 3, true)];
        assert_eq!(found(Some(pagemap(&entries)), &mapping(pages as u64), false), expected);
    }

    #[test]
    fn large_pages_are_in_pieces() {
        let own = PRESENT | EXCLUSIVE;
        let entries = [0, 0, 0, 0, own, 0, own | 7];
        let pieces = |kernel_page, range: Range<u64>| {
            let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes).unwrap();
            let mut pages = PageMap { kernel_page, ..PageMap::new(Some(file), false) };
            let mut found = Vec::new();
            let end = pages.entries(&(page_addr(range.start)..page_addr(range.end)), |at, entry| {
                found.push((at.0 / PAGE_SIZE as u64, entry));
            });
            (end, found)
        };
        let of = |pages: Range<u64>, entry| pages.map(move |page| (page, entry));
        let all = of(17..20, own).chain(of(20..24, 0)).chain(of(24..27, own | 7)).collect();
        assert_eq!(pieces(16 << 10, 17..27), (Ok(()), all), "of 16 KiB");
        assert_eq!(pieces(64 << 10, 65..67), (Ok(()), of(65..67, own).collect()), "of 64 KiB");
        assert_eq!(pieces(64 << 10, 120..130), (Err(page_addr(120)), vec![]), "beyond its end");
    }

    #[test]
    fn unknown_pages_are_copied() {
        assert_eq!(found(None, &mapping(9), false), [(0, 9, false)]);
        let code = Mapping {
            access: Permissions { write: false, execute: true, ..mapping(9).access },
            inode: 5,
            ..mapping(9)
        };
        assert_eq!(found(None, &code, false), []);
        let half = pagemap(&[PRESENT; 3]);
        assert_eq!(found(Some(half), &mapping(9), false), [(0, 9, false)]);
    }

    #[test]
    fn shared_unreadable_and_huge_mappings_are_skipped() {
        assert!(is_copied(&mapping(9)) && !is_copied(&mapping(1 << 40)));
        let with = |access| is_copied(&Mapping { access, ..mapping(9) });
        assert!(
            !with(Permissions { shared: true, ..mapping(9).access })
                && !with(Permissions { read: false, ..mapping(9).access })
        );
    }
}
