//! The identity of a process, and `/proc/PID/stat`.

use std::fmt;

/// The identity of a process: its pid and start time.
///
/// The kernel reuses pids. Two processes with the same pid and start would have to start within one clock tick (10 ms on
/// Linux), after all other pids were used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessId {
    /// The pid in the pid namespace of the observer.
    pub pid: u32,
    /// The start time: clock ticks since boot on Linux (`starttime`, field 22 of proc_pid_stat(5)), seconds since 1970
    /// elsewhere. Use it only for comparison.
    pub start: u64,
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {}", self.pid)
    }
}

/// The state of a process, with psutil's names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessState {
    /// It runs or waits for a processor.
    Running,
    /// It waits, and a signal wakes it.
    Sleeping,
    /// It waits for a device, and no signal wakes it.
    DiskSleep,
    /// Stopped by a signal (job control).
    Stopped,
    /// Stopped by a debugger.
    TracingStop,
    /// It exited and was not reaped. It holds no memory.
    Zombie,
    /// The kernel removes it.
    Dead,
    /// A kernel thread without work.
    Idle,
    /// A parked kernel thread.
    Parked,
    /// A state that this version does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

impl ProcessState {
    /// Converts the letter in `/proc/PID/stat`: proc_pid_stat(5), field 3.
    #[must_use]
    pub fn from_letter(letter: u8) -> Self {
        match letter {
            b'R' => Self::Running,
            b'S' => Self::Sleeping,
            b'D' => Self::DiskSleep,
            b'T' => Self::Stopped,
            b't' => Self::TracingStop,
            b'Z' => Self::Zombie,
            b'X' | b'x' => Self::Dead,
            b'I' => Self::Idle,
            b'P' => Self::Parked,
            _ => Self::Unknown,
        }
    }

    /// Whether the process has exited and holds no memory.
    #[must_use]
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Zombie | Self::Dead)
    }
}

const PF_KTHREAD: u64 = 0x0020_0000;

/// The fields of `/proc/PID/stat`: proc_pid_stat(5). Any process can choose its name, also with parentheses, spaces and line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat<'a> {
    /// Field 2: the name, at most 15 bytes, in any encoding.
    pub comm: &'a [u8],
    /// Field 3.
    pub state: ProcessState,
    /// Field 4.
    pub ppid: u32,
    /// Field 5.
    pub group: u32,
    /// Field 6.
    pub session: u32,
    /// Field 9, the bit `PF_KTHREAD` (include/linux/sched.h): a kernel thread has no memory of its own.
    pub is_kernel_thread: bool,
    /// The sum of fields 14 and 15: processor time in clock ticks.
    pub cpu_ticks: u64,
    /// Field 20.
    pub threads: u64,
    /// Field 22: clock ticks since boot.
    pub start_ticks: u64,
    /// A mix of fields 26 and 28, the addresses of code and stack: they differ in another program. `None` if they are hidden.
    pub image: Option<u64>,
    /// Field 52: the wait status of a process that has exited; 0 if it still runs, or if the status is hidden.
    pub exit_code: i32,
}

impl<'a> Stat<'a> {
    /// Parses the file; `None` if it is incomplete.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let open = text.iter().position(|&b| b == b'(')?;
        let close = text.iter().rposition(|&b| b == b')')?;
        let comm = text.get(open + 1..close)?;
        // The fields from 3 on.
        let mut fields = text.get(close + 1..)?.split(|b| b.is_ascii_whitespace()).filter(|f| !f.is_empty());
        let state = ProcessState::from_letter(*fields.next()?.first()?);
        let mut numbers = [0_u64; 49];
        for number in &mut numbers {
            // Negative numbers (priorities, terminals) are not used.
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

impl Stat<'_> {
    /// Whether every thread of the process has exited. A process whose main thread alone has exited shows as a zombie too.
    #[must_use]
    pub fn has_exited(&self) -> bool {
        self.state.has_ended() && self.threads <= 1
    }
}

/// Parses a decimal number without a sign.
#[must_use]
pub fn decimal(text: &[u8]) -> Option<u64> {
    let text = str::from_utf8(text).ok().filter(|text| !text.starts_with('+'))?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn state_names_match_json() {
        for letter in *b"RSDTtZXIPq" {
            let state = ProcessState::from_letter(letter);
            assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{state}\""));
            assert_eq!(serde_json::from_str::<ProcessState>(&format!("\"{state}\"")).unwrap(), state);
        }
        assert_eq!(serde_json::from_str::<ProcessState>("\"waking\"").unwrap(), ProcessState::Unknown);
    }

    #[test]
    fn reused_pid_is_another_process() {
        let first = ProcessId { pid: 7, start: 100 };
        assert_ne!(first, ProcessId { pid: 7, start: 101 });
        assert_eq!(first.to_string(), "pid 7");
    }

    const LINE: &[u8] =
        b"1234 (a) b) (c\n) S 1 1234 1200 0 -1 4194304 100 0 0 0 7 5 0 0 20 0 3 0 98765 10485760 512 \
        18446744073709551615 4096 8192 140000 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 256\n";

    #[test]
    fn hostile_name_moves_no_field() {
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
    fn own_stat_is_correct() {
        let text = std::fs::read("/proc/self/stat").unwrap();
        let stat = Stat::parse(&text).unwrap();
        assert_eq!(stat.ppid, std::os::unix::process::parent_id());
        assert!(stat.start_ticks > 0 && stat.threads > 0 && stat.image.is_some());
        assert!(!stat.is_kernel_thread);
    }

    #[test]
    fn decimal_refuses_overflow() {
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        for text in [&b""[..], b"-1", b"1x", b"18446744073709551616"] {
            assert_eq!(decimal(text), None);
        }
    }

    proptest! {
        #[test]
        fn any_stat_bytes_do_not_panic(bytes: Vec<u8>) {
            let _ = Stat::parse(&bytes);
            let _ = decimal(&bytes);
        }

        #[test]
        fn truncated_stat_moves_no_field(cut in 0_usize..LINE.len()) {
            if let Some(stat) = Stat::parse(&LINE[..cut]) {
                // Cut inside the last number it still reads; never with a field moved.
                prop_assert_eq!(stat.start_ticks, 98765);
            }
        }
    }
}
