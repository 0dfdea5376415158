//! The texts of `/proc`, as bytes that anyone may have written: a name can hold parentheses, spaces and line ends.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use common::process::ProcessState;

use crate::addr::Addr;
use crate::info::{Mapping, Permissions};

const PF_KTHREAD: u64 = 0x0020_0000;

/// What is wanted of `/proc/PID/stat`: proc_pid_stat(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stat {
    /// Field 2.
    pub name: String,
    /// Field 3.
    pub state: ProcessState,
    /// Field 9, the bit `PF_KTHREAD` (include/linux/sched.h).
    pub is_kernel_thread: bool,
    /// Field 22: clock ticks since boot.
    pub start_ticks: u64,
    /// Fields 26 and 28, the addresses of code and stack: another program has others. Zeros if they are hidden from us.
    pub image: (u64, u64),
}

impl Stat {
    /// Reads the line; `None` if it is not whole.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let open = text.iter().position(|&byte| byte == b'(')?;
        let close = text.iter().rposition(|&byte| byte == b')')?;
        let name = String::from_utf8_lossy(text.get(open + 1..close)?).into_owned();
        let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
        // Field 3 is the first of these.
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).copied();
        let number = |at: usize| field(at)?.parse::<u64>().ok();
        Some(Self {
            name,
            state: ProcessState::from_letter(*field(3)?.as_bytes().first()?),
            is_kernel_thread: number(9)? & PF_KTHREAD != 0,
            start_ticks: number(22)?,
            image: (number(26)?, number(28)?),
        })
    }
}

/// What is wanted of `/proc/PID/status`, sizes in bytes: proc_pid_status(5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Status {
    /// `Tgid`: the process that a thread belongs to.
    pub process: Option<u32>,
    /// `TracerPid`, if there is one.
    pub tracer: Option<u32>,
    /// `Uid`: real, effective, saved, of files.
    pub uids: Vec<u32>,
    /// The last number of `NSpid`: that in its own namespace.
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
}

impl Status {
    /// Reads the text. The kernel escapes line ends in the name (`Name:`), so no name can pass for a field.
    pub fn parse(text: &[u8]) -> Self {
        let mut status = Self::default();
        for line in text.split(|&byte| byte == b'\n') {
            let Some((key, value)) = std::str::from_utf8(line).ok().and_then(|line| line.split_once(':'))
            else {
                continue;
            };
            let mut words = value.split_ascii_whitespace();
            let number = |word: Option<&str>| word.and_then(|word| word.parse::<u32>().ok());
            let kib = |word: Option<&str>| word?.parse::<u64>().ok()?.checked_mul(1024);
            match key {
                "Tgid" => status.process = number(words.next()),
                "TracerPid" => status.tracer = number(words.next()).filter(|&pid| pid != 0),
                "Uid" => status.uids = words.filter_map(|word| word.parse().ok()).collect(),
                "NSpid" => status.inner = number(words.next_back()),
                "VmRSS" => status.rss_bytes = kib(words.next()),
                "RssAnon" => status.rss_anon_bytes = kib(words.next()),
                "VmPTE" => status.page_table_bytes = kib(words.next()),
                "VmSwap" => status.swap_bytes = kib(words.next()),
                "CapEff" => {
                    status.capabilities = words.next().and_then(|word| u64::from_str_radix(word, 16).ok());
                }
                _ => {}
            }
        }
        status
    }
}

/// The lines of `/proc/PID/maps`, by address: proc_pid_maps(5). Lines that are not understood are left out.
pub(super) fn maps(text: &[u8]) -> Vec<Mapping> {
    text.split(|&byte| byte == b'\n').filter_map(mapping).collect()
}

fn mapping(line: &[u8]) -> Option<Mapping> {
    let mut rest = line;
    let mut word = || {
        let end = rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len());
        let (word, behind) = rest.split_at_checked(end)?;
        rest = behind.trim_ascii_start();
        std::str::from_utf8(word).ok()
    };
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let (start, end) = word()?.split_once('-')?;
    let access = word()?.as_bytes();
    let offset = hex(word()?)?;
    let (major, minor) = word()?.split_once(':')?;
    let device = (u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?);
    let inode = word()?.parse().ok()?;
    let range = Addr(hex(start)?)..Addr(hex(end)?);
    // A file whose own name ends so is told apart by no one.
    let without = rest.strip_suffix(b" (deleted)").filter(|_| inode != 0);
    let is = |at: usize, letter: u8| access.get(at) == Some(&letter);
    (range.start < range.end).then_some(())?;
    Some(Mapping {
        range,
        access: Permissions {
            read: is(0, b'r'),
            write: is(1, b'w'),
            execute: is(2, b'x'),
            shared: is(3, b's'),
        },
        offset,
        device,
        inode,
        path: PathBuf::from(OsString::from_vec(unescaped(without.unwrap_or(rest)))),
        deleted: without.is_some(),
    })
}

/// The kernel writes line ends in paths as `\012` (fs/proc/task_mmu.c, `show_map_vma`).
fn unescaped(path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, behind)) = rest.split_first() {
        match rest.strip_prefix(b"\\012") {
            Some(behind) => {
                plain.push(b'\n');
                rest = behind;
            }
            None => {
                plain.push(byte);
                rest = behind;
            }
        }
    }
    plain
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
    fn a_line_of_maps_has_a_path_with_anything_in_it_or_none() {
        let maps = maps(MAPS);
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
    fn a_name_may_hold_parentheses_and_spaces() {
        let zeros = "0 ".repeat(30);
        let text = format!("7 (a) R (b) S 1 7 7 0 -1 2097152 {zeros}");
        let stat = Stat::parse(text.as_bytes()).unwrap();
        assert_eq!((stat.name.as_str(), stat.state), ("a) R (b", ProcessState::Sleeping));
        assert!(stat.is_kernel_thread && stat.start_ticks == 0);
        assert_eq!(Stat::parse(b"7 (a) S 1"), None);
        assert_eq!(Stat::parse(b""), None);
    }

    #[test]
    fn a_status_tells_who_traces_and_the_number_inside() {
        let status = Status::parse(
            b"Name:\tx\nTgid:\t9\nNSpid:\t9\t1\nTracerPid:\t0\nUid:\t0\t1\t2\t3\nVmRSS:\t 12 kB\nCapEff:\t000001ffffffffff\n",
        );
        assert_eq!((status.process, status.inner, status.tracer), (Some(9), Some(1), None));
        assert_eq!((status.uids.len(), status.rss_bytes), (4, Some(12 << 10)));
        assert_eq!(status.capabilities, Some(0x1ff_ffff_ffff));
        assert_eq!(Status::parse(b"TracerPid:\t5\n").tracer, Some(5));
    }
}
