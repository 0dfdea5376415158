//! The texts of `/proc`, as bytes that anyone may have written: a name can hold parentheses, spaces and line ends.

use common::process::ProcessState;

const PF_KTHREAD: u64 = 0x0020_0000;

/// `/proc/PID/stat`: proc_pid_stat(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat<'a> {
    /// Field 2: the name, 15 bytes at most, whatever bytes.
    pub comm: &'a [u8],
    /// Field 3.
    pub state: ProcessState,
    /// Field 4.
    pub ppid: u32,
    /// Field 5.
    pub group: u32,
    /// Field 6.
    pub session: u32,
    /// Field 9, the bit `PF_KTHREAD` (include/linux/sched.h): it is the kernel's own, without memory of its own.
    pub is_kernel_thread: bool,
    /// Fields 14 and 15 added: processor time in clock ticks.
    pub cpu_ticks: u64,
    /// Field 20.
    pub threads: u64,
    /// Field 22: clock ticks since boot.
    pub start_ticks: u64,
    /// Fields 26 and 28, the addresses of code and stack, mixed: another program has others. `None` if they are hidden from us.
    pub image: Option<u64>,
    /// Field 52: the wait status of a process that has ended; 0 if it has not or if it is hidden from us.
    pub exit_code: i32,
}

impl<'a> Stat<'a> {
    /// Reads the line; `None` if it is not whole.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let open = text.iter().position(|&b| b == b'(')?;
        let close = text.iter().rposition(|&b| b == b')')?;
        let comm = text.get(open + 1..close)?;
        // Field 3 comes first from here on.
        let mut fields = text.get(close + 1..)?.split(|b| b.is_ascii_whitespace()).filter(|f| !f.is_empty());
        let state = ProcessState::from_letter(*fields.next()?.first()?);
        let mut numbers = [0_u64; 49];
        for number in &mut numbers {
            // Negative ones (priorities, terminals) are of no interest here.
            *number = decimal(fields.next()?).unwrap_or(0);
        }
        let field = |n: usize| numbers.get(n - 4).copied().unwrap_or(0);
        let small = |n: usize| u32::try_from(field(n)).unwrap_or(0);
        let (code, stack) = (field(26), field(28));
        Some(Self {
            comm,
            state,
            ppid: small(4),
            group: small(5),
            session: small(6),
            is_kernel_thread: field(9) & PF_KTHREAD != 0,
            cpu_ticks: field(14).saturating_add(field(15)),
            threads: field(20),
            start_ticks: field(22),
            // The kernel writes 0 or 1 where it hides them (fs/proc/array.c, do_task_stat).
            image: (code > 1 && stack > 1).then(|| code.rotate_left(32) ^ stack),
            exit_code: i32::try_from(field(52)).unwrap_or(0),
        })
    }
}

/// The first two fields of `/proc/PID/statm`: pages mapped and pages resident.
pub fn statm(text: &[u8]) -> Option<(u64, u64)> {
    let mut fields = text.split(|&b| b == b' ');
    Some((decimal(fields.next()?)?, decimal(fields.next()?)?))
}

/// What is wanted of `/proc/PID/status`, in bytes: proc_pid_status(5).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Status {
    /// `VmHWM`.
    pub rss_peak_bytes: Option<u64>,
    /// `RssAnon`.
    pub rss_anon_bytes: Option<u64>,
    /// `RssFile`.
    pub rss_file_bytes: Option<u64>,
    /// `RssShmem`.
    pub rss_shmem_bytes: Option<u64>,
    /// `VmSwap`.
    pub swap_bytes: Option<u64>,
}

impl Status {
    /// Reads the text. The kernel escapes line ends in the name (`Name:`), so no name can pass for a field.
    pub fn parse(text: &[u8]) -> Self {
        let mut status = Self::default();
        for (key, bytes) in kib_fields(text) {
            match key {
                b"VmHWM" => status.rss_peak_bytes = Some(bytes),
                b"RssAnon" => status.rss_anon_bytes = Some(bytes),
                b"RssFile" => status.rss_file_bytes = Some(bytes),
                b"RssShmem" => status.rss_shmem_bytes = Some(bytes),
                b"VmSwap" => status.swap_bytes = Some(bytes),
                _ => {}
            }
        }
        status
    }
}

/// Every `Key:   123 kB` line of a text, the value in bytes; other lines are passed over.
pub fn kib_fields(text: &[u8]) -> impl Iterator<Item = (&[u8], u64)> {
    text.split(|&b| b == b'\n').filter_map(|line| {
        let colon = line.iter().position(|&b| b == b':')?;
        let (key, value) = line.split_at_checked(colon)?;
        let value = value.get(1..)?.trim_ascii().strip_suffix(b" kB")?;
        Some((key, decimal(value)?.checked_mul(1024)?))
    })
}

/// Every `key 123` line of a text (cgroup files); other lines are passed over.
pub fn plain_fields(text: &[u8]) -> impl Iterator<Item = (&[u8], u64)> {
    text.split(|&b| b == b'\n').filter_map(|line| {
        let space = line.iter().position(|&b| b == b' ')?;
        let (key, value) = line.split_at_checked(space)?;
        Some((key, decimal(value.trim_ascii())?))
    })
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0` of `/proc/pressure/memory`: shares of 1 and seconds.
pub fn pressure_line(text: &str, kind: &str) -> Option<[f64; 4]> {
    let line = text.lines().find(|line| line.split_ascii_whitespace().next() == Some(kind))?;
    let value = |key: &str| -> Option<f64> {
        let field = line.split_ascii_whitespace().find_map(|f| f.strip_prefix(key)?.strip_prefix('='))?;
        field.parse().ok()
    };
    // The kernel gives percent and microseconds (Documentation/accounting/psi.rst).
    Some([value("avg10")? / 100.0, value("avg60")? / 100.0, value("avg300")? / 100.0, value("total")? / 1e6])
}

/// A whole decimal number and nothing else.
pub fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, &b| {
        let digit = b.checked_sub(b'0').filter(|d| *d < 10)?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINE: &[u8] =
        b"1234 (a) b) (c\n) S 1 1234 1200 0 -1 4194304 100 0 0 0 7 5 0 0 20 0 3 0 98765 10485760 512 \
        18446744073709551615 4096 8192 140000 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 256\n";

    #[test]
    fn a_name_with_parentheses_spaces_and_line_ends_moves_no_field() {
        let stat = Stat::parse(LINE).unwrap();
        assert_eq!(stat.comm, b"a) b) (c\n");
        assert_eq!(stat.state, ProcessState::Sleeping);
        assert_eq!((stat.ppid, stat.group, stat.session), (1, 1234, 1200));
        assert_eq!((stat.cpu_ticks, stat.threads, stat.start_ticks), (12, 3, 98765));
        assert_eq!(stat.exit_code, 256);
        assert!(!stat.is_kernel_thread);
        assert!(stat.image.is_some());
    }

    #[test]
    fn our_own_stat_agrees_with_what_we_know() {
        let text = std::fs::read("/proc/self/stat").unwrap();
        let stat = Stat::parse(&text).unwrap();
        assert_eq!(stat.ppid, std::os::unix::process::parent_id());
        assert!(stat.start_ticks > 0 && stat.threads > 0 && stat.image.is_some());
        assert!(!stat.is_kernel_thread);
    }

    #[test]
    fn status_and_fields() {
        let text =
            b"Name:\ta\\nVmSwap: 9 kB\nVmHWM:\t  2048 kB\nRssAnon:\t 4 kB\nVmSwap:\t 0 kB\nThreads:\t1\n";
        let status = Status::parse(text);
        assert_eq!(status.rss_peak_bytes, Some(2 << 20));
        assert_eq!(status.rss_anon_bytes, Some(4096));
        assert_eq!(status.swap_bytes, Some(0));
        assert_eq!(status.rss_file_bytes, None);
        assert_eq!(
            plain_fields(b"anon 5\nfile x\nshmem 7\n").collect::<Vec<_>>(),
            [(&b"anon"[..], 5), (b"shmem", 7)]
        );
        assert_eq!(statm(b"100 50 3 1 0 20 0\n"), Some((100, 50)));
        assert_eq!(statm(b""), None);
    }

    #[test]
    fn pressure_in_shares_and_seconds() {
        let text = "some avg10=1.50 avg60=0.25 avg300=0.00 total=2500000\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=1\n";
        assert_eq!(pressure_line(text, "some"), Some([0.015, 0.0025, 0.0, 2.5]));
        assert_eq!(pressure_line(text, "full"), Some([0.005, 0.0, 0.0, 1e-6]));
        assert_eq!(pressure_line("", "some"), None);
    }

    #[test]
    fn decimals_are_whole_and_checked() {
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        for text in [&b""[..], b"-1", b"1x", b"18446744073709551616"] {
            assert_eq!(decimal(text), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = Stat::parse(&bytes);
            let _ = Status::parse(&bytes);
            let _ = statm(&bytes);
            let _ = plain_fields(&bytes).count();
            let _ = pressure_line(&String::from_utf8_lossy(&bytes), "some");
        }

        #[test]
        fn a_stat_line_cut_short_is_no_line(cut in 0_usize..LINE.len()) {
            if let Some(stat) = Stat::parse(&LINE[..cut]) {
                // Cut inside the last number it still reads; never with a field moved.
                prop_assert_eq!(stat.start_ticks, 98765);
            }
        }
    }
}
