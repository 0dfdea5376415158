//! Files of `/proc` that describe a process. Names in them can hold any bytes: parentheses, spaces, line ends.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::{fs, io};

use common::process::{ProcessState, Stat};

use crate::addr::Addr;
use crate::info::{Mapping, Permissions};

/// Fields of `/proc/PID/status`, sizes in bytes: proc_pid_status(5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Status {
    /// `Tgid`: the process of a thread.
    pub process: Option<u32>,
    /// `TracerPid`, if there is one.
    pub tracer: Option<u32>,
    /// `Uid`: real, effective, saved, of files.
    pub uids: Vec<u32>,
    /// The last number of `NSpid`: its number in its own namespace.
    pub inner: Option<u32>,
    /// `VmRSS`.
    pub rss_bytes: Option<u64>,
    /// `RssAnon`.
    pub rss_anon_bytes: Option<u64>,
    /// `VmSwap`.
    pub swap_bytes: Option<u64>,
    /// `VmPTE`.
    pub page_table_bytes: Option<u64>,
    /// `CapEff`.
    pub capabilities: Option<u64>,
    /// `CapBnd`: the capabilities that a program started by it can have at most, with any user.
    pub bounding: Option<u64>,
    /// `Seccomp`: whether a filter of system calls applies (2).
    pub is_filtered: bool,
    /// `State`.
    pub state: ProcessState,
    /// `Threads`: the number of threads of the process.
    pub threads: Option<usize>,
    /// `voluntary_ctxt_switches` and `nonvoluntary_ctxt_switches`: how often it was taken off a processor. `None` without both.
    pub switches: Option<u64>,
}

impl Status {
    /// Parses the text. The kernel escapes line ends in `Name:`, so a name cannot pass for a field.
    pub fn parse(text: &[u8]) -> Self {
        let mut status = Self::default();
        let (mut voluntary, mut forced) = (None, None);
        for line in text.split(|&byte| byte == b'\n') {
            let Some((key, value)) = std::str::from_utf8(line).ok().and_then(|line| line.split_once(':'))
            else {
                continue;
            };
            let mut values = value.split_ascii_whitespace();
            let number = |word: Option<&str>| word.and_then(|word| word.parse::<u32>().ok());
            let kib = |word: Option<&str>| word?.parse::<u64>().ok()?.checked_mul(1024);
            match key {
                "Tgid" => status.process = number(values.next()),
                "TracerPid" => status.tracer = number(values.next()).filter(|&pid| pid != 0),
                "Uid" => status.uids = values.filter_map(|word| word.parse().ok()).collect(),
                "NSpid" => status.inner = number(values.next_back()),
                "VmRSS" => status.rss_bytes = kib(values.next()),
                "RssAnon" => status.rss_anon_bytes = kib(values.next()),
                "VmPTE" => status.page_table_bytes = kib(values.next()),
                "VmSwap" => status.swap_bytes = kib(values.next()),
                "State" => {
                    let letter = values.next().and_then(|word| word.bytes().next());
                    status.state = letter.map(ProcessState::from_letter).unwrap_or_default();
                }
                "Threads" => status.threads = values.next().and_then(|word| word.parse().ok()),
                "voluntary_ctxt_switches" => {
                    voluntary = values.next().and_then(|word| word.parse::<u64>().ok())
                }
                "nonvoluntary_ctxt_switches" => {
                    forced = values.next().and_then(|word| word.parse::<u64>().ok())
                }
                "CapEff" => {
                    status.capabilities = values.next().and_then(|word| u64::from_str_radix(word, 16).ok());
                }
                "CapBnd" => {
                    status.bounding = values.next().and_then(|word| u64::from_str_radix(word, 16).ok());
                }
                "Seccomp" => status.is_filtered = values.next() == Some("2"),
                _ => {}
            }
        }
        status.switches = voluntary.zip(forced).map(|(voluntary, forced)| voluntary.wrapping_add(forced));
        status
    }
}

/// Parses `/proc/PID/maps`: proc_pid_maps(5). Lines that are not understood are left out.
pub(super) fn parse_maps(text: &[u8]) -> Vec<Mapping> {
    text.split(|&byte| byte == b'\n').filter_map(parse_mapping).collect()
}

fn parse_mapping(line: &[u8]) -> Option<Mapping> {
    let mut rest = line;
    let mut field = || {
        let end = rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len());
        let (field, after) = rest.split_at_checked(end)?;
        rest = after.trim_ascii_start();
        std::str::from_utf8(field).ok()
    };
    let range = parse_range(field()?)?;
    let access = Permissions::parse(field()?);
    let offset = u64::from_str_radix(field()?, 16).ok()?;
    let (major, minor) = field()?.split_once(':')?;
    let device = (u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?);
    let inode = field()?.parse().ok()?;
    // A file whose own name ends with this text looks the same.
    let without = rest.strip_suffix(b" (deleted)").filter(|_| inode != 0);
    let path = PathBuf::from(OsString::from_vec(unescape(without.unwrap_or(rest))));
    Some(Mapping { range, access, offset, device, inode, path, deleted: without.is_some() })
}

/// Parses the addresses of a mapping, such as `7f00-8f00`.
pub(super) fn parse_range(text: &str) -> Option<Range<Addr>> {
    let (start, end) = text.split_once('-')?;
    let hex = |text| u64::from_str_radix(text, 16).ok().map(Addr);
    Some(hex(start)?..hex(end)?).filter(|range| range.start < range.end)
}

/// Decodes `\012`, which the kernel writes for line ends in paths (fs/proc/task_mmu.c, `show_map_vma`).
fn unescape(path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        let line_end = rest.strip_prefix(b"\\012");
        plain.push(if line_end.is_some() { b'\n' } else { byte });
        rest = line_end.unwrap_or(after);
    }
    plain
}

/// Reads a short file of `/proc`. [`fs::read`] takes three times as many calls, because the kernel reports a length of 0. Each thread has such
/// files, and some are read during a pause.
pub(super) fn read_short(path: &str) -> io::Result<Vec<u8>> {
    /// What a `status` takes, with room to spare.
    const USUAL: usize = 4096;
    let mut text = Vec::with_capacity(USUAL);
    // `take` keeps `read_to_end` from calling fstat(2) for the length.
    File::open(path)?.take(u64::MAX).read_to_end(&mut text)?;
    Ok(text)
}

/// The numbers of a process's threads, in ascending order.
pub(super) fn tids(pid: u32) -> io::Result<Vec<u32>> {
    let mut tids = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        tids.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    tids.sort_unstable();
    // The kernel finds its place again in a list that changes.
    tids.dedup();
    Ok(tids)
}

/// Name and state of a thread; `None` if it has exited.
pub(super) fn thread_state(pid: u32, tid: u32) -> Option<(String, ProcessState)> {
    let text = read_short(&format!("/proc/{pid}/task/{tid}/stat")).ok()?;
    let stat = Stat::parse(&text)?;
    Some((String::from_utf8_lossy(stat.comm).into_owned(), stat.state))
}

/// The status of a thread; `None` if it has exited.
pub(super) fn thread_status(pid: u32, tid: u32) -> Option<Status> {
    read_short(&format!("/proc/{pid}/task/{tid}/status")).ok().map(|text| Status::parse(&text))
}

/// Whether a process may share private memory with a fork. Such pages were written to, so they are dirty: `Shared_Dirty` of
/// proc_pid_smaps(5).
pub(super) fn shares_memory(pid: u32) -> bool {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix("Shared_Dirty:"));
    value.is_none_or(|value| value.trim() != "0 kB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::MappingKind;

    const MAPS: &[u8] = b"\
55d0c0a00000-55d0c0a01000 r--p 00000000 08:01 131 /usr/bin/a b (deleted)
7f0000000000-7f0000021000 rw-p 00000000 00:00 0
7f1000000000-7f1000001000 rw-s 00002000 00:05 77 /dev/shm/x\\012y
7fff00000000-7fff00001000 r-xp 00000000 00:00 0                          [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
7f0000000000-7f0000000000 rw-p 00000000 00:00 0
nonsense
";

    #[test]
    fn maps_are_parsed() {
        let maps = parse_maps(MAPS);
        assert_eq!(maps.len(), 5);
        assert_eq!(maps[0].path.to_str(), Some("/usr/bin/a b"));
        assert!(maps[0].deleted && maps[0].device == (8, 1) && maps[0].inode == 131);
        assert!(maps[1].access.write && !maps[1].access.shared && maps[1].path.as_os_str().is_empty());
        assert_eq!((maps[2].path.to_str(), maps[2].offset), (Some("/dev/shm/x\ny"), 0x2000));
        assert!(maps[2].access.shared);
        let kinds: Vec<MappingKind> = maps.iter().map(Mapping::kind).collect();
        assert_eq!(
            kinds,
            [
                MappingKind::File,
                MappingKind::Anonymous,
                MappingKind::File,
                MappingKind::Kernel,
                MappingKind::Kernel
            ]
        );
    }

    #[test]
    fn status_is_parsed() {
        let status = Status::parse(
            b"Name:\tx\nTgid:\t9\nNSpid:\t9\t1\nTracerPid:\t0\nUid:\t0\t1\t2\t3\nVmRSS:\t 12 kB\nCapEff:\t000001ffffffffff\n",
        );
        assert_eq!((status.process, status.inner, status.tracer), (Some(9), Some(1), None));
        assert_eq!((status.uids.len(), status.rss_bytes), (4, Some(12 << 10)));
        assert_eq!(status.capabilities, Some(0x1ff_ffff_ffff));
        assert_eq!(Status::parse(b"TracerPid:\t5\n").tracer, Some(5));
        let counts = b"State:\tS (sleeping)\nThreads:\t3\nvoluntary_ctxt_switches:\t40\nnonvoluntary_ctxt_switches:\t2\n";
        let counted = Status::parse(counts);
        assert_eq!(
            (counted.state, counted.threads, counted.switches),
            (ProcessState::Sleeping, Some(3), Some(42))
        );
        assert_eq!(Status::parse(b"voluntary_ctxt_switches:\t40\n").switches, None);
    }
}
