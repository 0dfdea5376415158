//! Where the memory of a paused process is, from the kernel.

use std::fs;
use std::ops::Range;

use super::page_map::{MAX_MAPPING, PageMap};
use super::procfs::{self, Status};
use crate::addr::Addr;
use crate::memory::{Memory, PAGE_SIZE};
use crate::residence::Residence;

/// Sums of proc_pid_smaps(5), in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sums {
    rss: u64,
    swap: u64,
    huge: u64,
    hugetlb: u64,
}

/// Reads where the pages of a process are. `memory` shows whether a page holds zeros, where the kernel's entry does not.
/// `None` where smaps or pagemap cannot be read.
///
/// Takes some 25 ms per resident GiB: two walks over its page tables.
pub(super) fn read_residence(pid: u32, memory: &impl Memory) -> Option<Residence> {
    let smaps = fs::read(format!("/proc/{pid}/smaps")).ok()?;
    let mut page_map = PageMap::open(pid, false);
    let mut residence = Residence { stack_pointers: read_stack_pointers(pid), ..Residence::default() };
    let is_zero = |page: Addr| {
        let mut bytes = [0; PAGE_SIZE];
        memory.read(page, &mut bytes).is_ok() && bytes == [0; PAGE_SIZE]
    };
    for (range, sums) in parse_smaps(&smaps) {
        residence.rss_bytes = residence.rss_bytes.saturating_add(sums.rss);
        residence.swap_bytes = residence.swap_bytes.saturating_add(sums.swap);
        residence.huge_bytes = residence.huge_bytes.saturating_add(sums.huge);
        residence.hugetlb_bytes = residence.hugetlb_bytes.saturating_add(sums.hugetlb);
        let is_empty = sums.rss == 0 && sums.swap == 0;
        // Pages of hugetlbfs are present, but not resident. Resident bytes of huge mappings count, but their pages are not looked up.
        if is_empty || sums.hugetlb > 0 || range.end.0.saturating_sub(range.start.0) > MAX_MAPPING {
            continue;
        }
        let mut entries = Vec::new();
        page_map.entries(&range, |at, entry| entries.extend((entry != 0).then_some((at, entry)))).ok()?;
        residence.pages.add_mapping(&entries, Some(sums.rss), is_zero);
    }
    let status = fs::read(format!("/proc/{pid}/status")).unwrap_or_default();
    residence.page_table_bytes = Status::parse(&status).page_table_bytes;
    Some(residence)
}

/// The mappings of smaps, by address. The first line of each is that of maps, and begins with a digit or a lower case letter.
fn parse_smaps(text: &[u8]) -> Vec<(Range<Addr>, Sums)> {
    let mut found: Vec<(Range<Addr>, Sums)> = Vec::new();
    for line in text.split(|&byte| byte == b'\n') {
        // Only paths can be invalid UTF-8.
        let line = String::from_utf8_lossy(line);
        let mut fields = line.split_ascii_whitespace();
        let Some(first) = fields.next() else { continue };
        let Some(key) = first.strip_suffix(':') else {
            found.extend(procfs::parse_range(first).map(|range| (range, Sums::default())));
            continue;
        };
        let Some((_, sums)) = found.last_mut() else { continue };
        let sum = match key {
            "Rss" => &mut sums.rss,
            "Swap" => &mut sums.swap,
            "AnonHugePages" | "ShmemPmdMapped" | "FilePmdMapped" => &mut sums.huge,
            "Shared_Hugetlb" | "Private_Hugetlb" => &mut sums.hugetlb,
            _ => continue,
        };
        let bytes = fields.next().and_then(|kib| kib.parse::<u64>().ok()?.checked_mul(1024));
        *sum = sum.saturating_add(bytes.unwrap_or(0));
    }
    found
}

/// The stack pointers of threads that do not run: the last but one field of proc_pid_syscall(5).
fn read_stack_pointers(pid: u32) -> Vec<(u32, Addr)> {
    let pointer = |tid: u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/task/{tid}/syscall")).ok()?;
        let hex = text.split_ascii_whitespace().rev().nth(1)?.strip_prefix("0x")?;
        Some((tid, Addr(u64::from_str_radix(hex, 16).ok()?)))
    };
    procfs::tids(pid).unwrap_or_default().into_iter().filter_map(pointer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smaps_are_parsed() {
        let text =
            b"55d0c0a00000-55d0c0a02000 r--p 00000000 08:01 131                        /usr/bin/a: b\xff
Size:                  8 kB
Rss:                   8 kB
Swap:                  4 kB
7f0000000000-7f0000200000 rw-p 00000000 00:00 0
Rss:                2048 kB
AnonHugePages:      2048 kB
Private_Hugetlb:       0 kB
VmFlags: rd wr mr mw me ac sd
";
        let kib = |kib: u64| kib * 1024;
        assert_eq!(
            parse_smaps(text),
            [
                (
                    Addr(0x55d0_c0a0_0000)..Addr(0x55d0_c0a0_2000),
                    Sums { rss: kib(8), swap: kib(4), ..Sums::default() }
                ),
                (
                    Addr(0x7f00_0000_0000)..Addr(0x7f00_0020_0000),
                    Sums { rss: kib(2048), huge: kib(2048), ..Sums::default() }
                ),
            ]
        );
    }

    #[test]
    fn own_resident_pages_are_found() {
        // Other tests run at the same time: between two readings of this process a few pages are added.
        let direct = crate::memory::ProcMem::new(fs::File::open("/proc/self/mem").unwrap(), Vec::new());
        let residence = read_residence(std::process::id(), &direct).unwrap();
        let missing = residence.rss_bytes.abs_diff(residence.pages.resident_bytes());
        assert!(residence.rss_bytes > 1 << 20 && missing < 4 << 20, "{residence:?}");
        assert!(residence.page_table_bytes.is_some_and(|bytes| bytes > 0));
    }
}
