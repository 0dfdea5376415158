//! Where the memory of a process is, asked of the kernel while it stands still.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use crate::addr::Addr;
use crate::memory::{Memory, PAGE_SIZE};
use crate::residence::{Pages, Residence};

/// Entries of pagemap read at once: those of 128 MiB of addresses.
const ENTRIES: u64 = 1 << 15;
const ENTRY: u64 = 8;
/// In mappings beyond this pages are not looked for: address space that was set aside, which would take seconds. What is resident in
/// them counts, but has no place.
const MAX_MAPPING: u64 = 1 << 38;

/// Sums of proc_pid_smaps(5), in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sums {
    rss: u64,
    swap: u64,
    huge: u64,
    hugetlb: u64,
}

/// Reads where the pages of a process are. `memory` is asked for the content of a page where the kernel's word is not enough.
/// `None` where smaps or pagemap cannot be read.
///
/// Costs some 25 ms for each GiB that is resident: two walks over its page tables.
pub(super) fn read_residence(pid: u32, memory: &impl Memory) -> Option<Residence> {
    let smaps = fs::read(format!("/proc/{pid}/smaps")).ok()?;
    let pagemap = File::open(format!("/proc/{pid}/pagemap")).ok()?;
    let mut residence = Residence { stack_pointers: stack_pointers(pid), ..Residence::default() };
    let mut buffer = vec![0; (ENTRIES * ENTRY) as usize];
    for (start, end, sums) in mappings(&smaps) {
        residence.rss_bytes = residence.rss_bytes.saturating_add(sums.rss);
        residence.swap_bytes = residence.swap_bytes.saturating_add(sums.swap);
        residence.huge_bytes = residence.huge_bytes.saturating_add(sums.huge);
        residence.hugetlb_bytes = residence.hugetlb_bytes.saturating_add(sums.hugetlb);
        // Pages of hugetlbfs are present and not resident.
        let is_empty = sums.rss == 0 && sums.swap == 0;
        if !is_empty && sums.hugetlb == 0 && end.0.saturating_sub(start.0) <= MAX_MAPPING {
            add(&mut residence.pages, &pagemap, &mut buffer, start..end, sums.rss, memory)?;
        }
    }
    let status = fs::read(format!("/proc/{pid}/status")).unwrap_or_default();
    residence.page_table_bytes = super::procfs::Status::parse(&status).page_table_bytes;
    Some(residence)
}

/// Adds the pages of one mapping.
fn add(
    pages: &mut Pages,
    pagemap: &File,
    buffer: &mut [u8],
    range: std::ops::Range<Addr>,
    rss: u64,
    memory: &impl Memory,
) -> Option<()> {
    let (first, end) = (range.start.0 / PAGE_SIZE as u64, range.end.0 / PAGE_SIZE as u64);
    let is_zero = |page: Addr| {
        let mut bytes = [0; PAGE_SIZE];
        memory.read(page, &mut bytes).is_ok() && bytes == [0; PAGE_SIZE]
    };
    let mut known = Vec::with_capacity(usize::try_from(rss / PAGE_SIZE as u64).unwrap_or(0).min(1 << 20));
    let mut page = first;
    while page < end {
        let count = ENTRIES.min(end - page);
        let piece = buffer.get_mut(..(count * ENTRY) as usize)?;
        pagemap.read_exact_at(piece, page.checked_mul(ENTRY)?).ok()?;
        let entries = (page..).zip(piece.as_chunks::<{ ENTRY as usize }>().0);
        known.extend(entries.filter_map(|(number, entry)| {
            let entry = u64::from_le_bytes(*entry);
            (entry != 0).then_some((Addr(number.wrapping_mul(PAGE_SIZE as u64)), entry))
        }));
        page += count;
    }
    pages.add_mapping(&known, Some(rss), is_zero);
    Some(())
}

/// The mappings of smaps, by address. Their first lines are those of maps, and begin with a digit or a letter in lower case.
fn mappings(text: &[u8]) -> Vec<(Addr, Addr, Sums)> {
    let mut found: Vec<(Addr, Addr, Sums)> = Vec::new();
    for line in text.split(|&byte| byte == b'\n') {
        let Ok(line) = std::str::from_utf8(line) else {
            // A path in another encoding.
            let end = line.iter().position(|&byte| byte == b' ').unwrap_or(0);
            let range = line.get(..end).and_then(|range| std::str::from_utf8(range).ok()).and_then(range_of);
            found.extend(range.map(|(start, end)| (start, end, Sums::default())));
            continue;
        };
        let mut words = line.split_ascii_whitespace();
        let Some(first) = words.next() else { continue };
        let Some(key) = first.strip_suffix(':') else {
            found.extend(range_of(first).map(|(start, end)| (start, end, Sums::default())));
            continue;
        };
        let Some((_, _, sums)) = found.last_mut() else { continue };
        let sum = match key {
            "Rss" => &mut sums.rss,
            "Swap" => &mut sums.swap,
            "AnonHugePages" | "ShmemPmdMapped" | "FilePmdMapped" => &mut sums.huge,
            "Shared_Hugetlb" | "Private_Hugetlb" => &mut sums.hugetlb,
            _ => continue,
        };
        let bytes = words.next().and_then(|kib| kib.parse::<u64>().ok()?.checked_mul(1024));
        *sum = sum.saturating_add(bytes.unwrap_or(0));
    }
    found
}

fn range_of(word: &str) -> Option<(Addr, Addr)> {
    let (start, end) = word.split_once('-')?;
    let hex = |text| u64::from_str_radix(text, 16).ok().map(Addr);
    hex(start).zip(hex(end)).filter(|(start, end)| start < end)
}

/// Where the stacks of its threads are now: the last two fields of proc_pid_syscall(5), of a thread that is not running.
fn stack_pointers(pid: u32) -> Vec<(u32, Addr)> {
    let mut found: HashMap<u32, Addr> = HashMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let Some(tid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(text) = fs::read_to_string(entry.path().join("syscall")) else { continue };
        let pointer = text.split_ascii_whitespace().rev().nth(1).and_then(|word| word.strip_prefix("0x"));
        if let Some(at) = pointer.and_then(|hex| u64::from_str_radix(hex, 16).ok()) {
            found.insert(tid, Addr(at));
        }
    }
    let mut found: Vec<(u32, Addr)> = found.into_iter().collect();
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_of_smaps_have_their_sums() {
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
            mappings(text),
            [
                (
                    Addr(0x55d0_c0a0_0000),
                    Addr(0x55d0_c0a0_2000),
                    Sums { rss: kib(8), swap: kib(4), ..Sums::default() }
                ),
                (
                    Addr(0x7f00_0000_0000),
                    Addr(0x7f00_0020_0000),
                    Sums { rss: kib(2048), huge: kib(2048), ..Sums::default() }
                ),
            ]
        );
    }

    #[test]
    fn our_own_memory_is_all_accounted_for() {
        // Other tests run beside this one: between two looks at the same process a few pages come.
        let direct = crate::memory::ProcMem::new(File::open("/proc/self/mem").unwrap(), Vec::new());
        let residence = read_residence(std::process::id(), &direct).unwrap();
        let missing = residence.rss_bytes.abs_diff(residence.pages.resident_bytes());
        assert!(residence.rss_bytes > 1 << 20 && missing < 4 << 20, "{residence:?}");
        assert!(residence.page_table_bytes.is_some_and(|bytes| bytes > 0));
    }
}
