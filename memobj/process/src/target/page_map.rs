//! Which pages of a process have a content of their own: proc_pid_pagemap(5).

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::addr::Addr;
use crate::info::{Mapping, MappingKind};
use crate::memory::PAGE_SIZE;

const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
/// The page is a file's (or shared memory): what a private mapping has not written to.
const OF_FILE: u64 = 1 << 61;
/// Nobody else has it mapped.
const EXCLUSIVE: u64 = 1 << 56;
/// Entries read at once: those of 128 MiB of addresses.
const ENTRIES: usize = 1 << 15;
const ENTRY: usize = size_of::<u64>();
/// Mappings beyond this are address space that was set aside (sanitizers, garbage collectors of other languages), never a Python heap;
/// looking at the pages of 16 TiB would take seconds.
const MAX_MAPPING: u64 = 1 << 38;

/// Consecutive pages with a content of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pages {
    pub at: Addr,
    pub count: usize,
    /// Whether none is shared with another process.
    pub exclusive: bool,
}

/// Whether anything in a mapping is to be copied: private memory that can be read. What is shared does not hold still.
pub(super) fn is_wanted(mapping: &Mapping) -> bool {
    mapping.access.read
        && !mapping.access.shared
        && mapping.kind() != MappingKind::Kernel
        && mapping.length() <= MAX_MAPPING
}

/// A look at the pages of a process; the room it needs is kept.
#[derive(Debug)]
pub(super) struct PageMap {
    /// `None` where the kernel has none (CONFIG_PROC_PAGE_MONITOR) or forbids it.
    file: Option<File>,
    entries: Vec<u8>,
}

impl PageMap {
    pub fn new(file: Option<File>) -> Self {
        Self { file, entries: vec![0; ENTRIES * ENTRY] }
    }

    /// The same room, for looking at a process.
    pub fn of(self, pid: u32) -> Self {
        Self { file: File::open(format!("/proc/{pid}/pagemap")).ok(), ..self }
    }

    /// Tells `each` the pages of a mapping that have a content of their own, in ascending order; ends when it returns an error. With
    /// `files_too` those that are a file's as well: where the file itself cannot be had.
    pub fn scan<E>(
        &mut self,
        mapping: &Mapping,
        files_too: bool,
        mut each: impl FnMut(Pages) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(file) = &self.file else { return blind(mapping, each) };
        let unwanted = if files_too { 0 } else { OF_FILE };
        let (mut page, end) = numbers(&mapping.range);
        let mut open: Option<Pages> = None;
        while page < end {
            let count = ENTRIES.min(usize::try_from(end - page).unwrap_or(ENTRIES));
            let Some(entries) = self.entries.get_mut(..count * ENTRY) else { break };
            if file.read_exact_at(entries, page.saturating_mul(ENTRY as u64)).is_err() {
                // Nothing is known of these.
                if let Some(pages) = open.take() {
                    each(pages)?;
                }
                return blind(
                    &Mapping { range: from_number(page)..mapping.range.end, ..mapping.clone() },
                    each,
                );
            }
            for (number, &entry) in (page..).zip(entries.as_chunks::<ENTRY>().0) {
                let entry = u64::from_le_bytes(entry);
                if entry & (PRESENT | SWAPPED) == 0 || entry & unwanted != 0 {
                    if let Some(pages) = open.take() {
                        each(pages)?;
                    }
                    continue;
                }
                let exclusive = entry & (EXCLUSIVE | OF_FILE) == EXCLUSIVE;
                match &mut open {
                    Some(pages) => {
                        pages.count += 1;
                        pages.exclusive &= exclusive;
                    }
                    None => open = Some(Pages { at: from_number(number), count: 1, exclusive }),
                }
            }
            page += count as u64;
        }
        open.map_or(Ok(()), each)
    }
}

/// All pages that may have one, where there is no way to know.
fn blind<E>(mapping: &Mapping, mut each: impl FnMut(Pages) -> Result<(), E>) -> Result<(), E> {
    let (page, end) = numbers(&mapping.range);
    let may = mapping.access.write || mapping.kind() == MappingKind::Anonymous || !mapping.access.execute;
    match usize::try_from(end.saturating_sub(page)) {
        Ok(count @ 1..) if may => each(Pages { at: mapping.range.start, count, exclusive: false }),
        _ => Ok(()),
    }
}

/// The numbers of the pages of a range.
fn numbers(range: &Range<Addr>) -> (u64, u64) {
    (range.start.0 / PAGE_SIZE as u64, range.end.0 / PAGE_SIZE as u64)
}

fn from_number(page: u64) -> Addr {
    Addr(page.wrapping_mul(PAGE_SIZE as u64))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::info::Permissions;

    const START: u64 = 16;

    fn mapping(pages: u64) -> Mapping {
        Mapping {
            range: from_number(START)..from_number(START + pages),
            access: Permissions { read: true, write: true, execute: false, shared: false },
            offset: 0,
            device: (0, 0),
            inode: 0,
            path: std::path::PathBuf::new(),
            deleted: false,
        }
    }

    fn found(file: Option<File>, mapping: &Mapping, files_too: bool) -> Vec<(u64, usize, bool)> {
        let mut found = Vec::new();
        let scanned = PageMap::new(file).scan(mapping, files_too, |pages| {
            found.push((pages.at.0 / PAGE_SIZE as u64 - START, pages.count, pages.exclusive));
            Ok::<(), ()>(())
        });
        assert_eq!(scanned, Ok(()));
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
    fn runs_are_pages_with_a_content_of_their_own() {
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
    fn runs_go_on_across_what_is_read_at_once() {
        let pages = ENTRIES * 2 + 5;
        let mut entries = vec![PRESENT | EXCLUSIVE; pages];
        entries[ENTRIES + 1] = 0;
        let expected = [(0, ENTRIES + 1, true), (ENTRIES as u64 + 2, ENTRIES + 3, true)];
        assert_eq!(found(Some(pagemap(&entries)), &mapping(pages as u64), false), expected);
    }

    #[test]
    fn without_a_page_map_or_with_half_of_one_all_may_have_content() {
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
    fn what_is_shared_unreadable_or_endless_is_not_copied() {
        assert!(is_wanted(&mapping(9)) && !is_wanted(&mapping(1 << 40)));
        let with = |access| is_wanted(&Mapping { access, ..mapping(9) });
        assert!(
            !with(Permissions { shared: true, ..mapping(9).access })
                && !with(Permissions { read: false, ..mapping(9).access })
        );
    }
}
