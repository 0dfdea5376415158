//! The system call that a thread sleeps in, and what an interrupt does to it.
//!
//! A stop by ptrace(2) wakes a thread that sleeps, and its system call returns. After a stop without a signal the kernel repeats most calls
//! with the time that is left (`-ERESTARTSYS`, `-ERESTARTNOHAND`, `-ERESTART_RESTARTBLOCK` of linux/errno.h), so the program sees nothing.
//! Others end with EINTR: signal(7) lists them. A call that has moved a part of its bytes returns that part.
//!
//! A thread that runs in user code is in no call, so there is nothing to end. Whether it was in one is seen after the stop, in its registers.

use nix::libc::{self, c_long};

use super::processor::{EndedCall, OWN_ROBUST_CALLS};
use super::procfs::read_short;

/// Where a thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InCall {
    /// On a processor, or ready for one.
    Running,
    /// Asleep in a call that the kernel goes on with after a stop, or in none.
    Robust,
    /// Asleep in a call that a stop may end early.
    Fragile,
    /// The file is missing (CONFIG_HAVE_ARCH_TRACEHOOK) or forbidden, or the thread has exited.
    Unknown,
}

impl InCall {
    /// Whether the kernel made sure that the thread was on no processor.
    pub const fn is_off_processor(self) -> bool {
        matches!(self, Self::Robust | Self::Fragile)
    }
}

/// Calls in which a thread waits, and which go on after a stop without an effect that the program could see. Processors have others beside.
const ROBUST: [c_long; 11] = [
    libc::SYS_clock_nanosleep,
    libc::SYS_futex,
    libc::SYS_futex_waitv,
    libc::SYS_nanosleep,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigsuspend,
    libc::SYS_sched_yield,
    libc::SYS_wait4,
    libc::SYS_waitid,
];

/// Reads where a thread is: proc_pid_syscall(5).
pub(super) fn in_call(pid: u32, tid: u32) -> InCall {
    read_short(&format!("/proc/{pid}/task/{tid}/syscall")).map_or(InCall::Unknown, |text| parse(&text))
}

fn parse(text: &[u8]) -> InCall {
    let first = text.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    if first == b"running" {
        return InCall::Running;
    }
    // A line of numbers; a system without this file's meaning may show anything else.
    match std::str::from_utf8(first).ok().and_then(|number| number.parse::<c_long>().ok()) {
        // It was stopped or preempted outside of a call.
        Some(-1) => InCall::Robust,
        Some(number) if ROBUST.contains(&number) || OWN_ROBUST_CALLS.contains(&number) => InCall::Robust,
        Some(_) => InCall::Fragile,
        None => InCall::Unknown,
    }
}

/// Whether a stop ended a call early: with EINTR, or with a part of the bytes to write. Calls that write from several places (writev(2),
/// sendmsg(2), sendfile(2)) do not show that.
pub(super) fn is_cut_short(EndedCall { number, result, length }: EndedCall) -> bool {
    let writes = [libc::SYS_write, libc::SYS_sendto, libc::SYS_pwrite64].contains(&number);
    let is_part = || u64::try_from(result).is_ok_and(|written| written < length);
    number >= 0 && (result == -i64::from(libc::EINTR) || writes && is_part())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_classified() {
        assert_eq!(parse(b"running\n"), InCall::Running);
        let waiting =
            |call: c_long| parse(format!("{call} 0x3 0x0 0x1 0x0 0x0 0x0 0x7ffd 0x7f\n").as_bytes());
        assert_eq!(waiting(libc::SYS_futex), InCall::Robust);
        assert!(OWN_ROBUST_CALLS.iter().all(|&call| waiting(call) == InCall::Robust));
        assert_eq!(parse(b"-1 0x7ffd10 0x7f0012\n"), InCall::Robust);
        assert_eq!(waiting(libc::SYS_epoll_pwait), InCall::Fragile);
        for text in [&b""[..], b"\n", b"0x1 2", b"\xff 1", b"99999999999999999999"] {
            assert_eq!(parse(text), InCall::Unknown);
        }
        assert!(!InCall::Running.is_off_processor() && !InCall::Unknown.is_off_processor());
        assert_eq!(in_call(u32::MAX, 1), InCall::Unknown);
    }

    #[test]
    fn cut_calls_are_recognized() {
        let stopped = |number, result, length| is_cut_short(EndedCall { number, result, length });
        assert!(stopped(libc::SYS_epoll_pwait, -4, 0), "EINTR");
        assert!(stopped(libc::SYS_write, 4096, 65536), "a part");
        assert!(!stopped(libc::SYS_write, 65536, 65536), "the whole");
        assert!(!stopped(libc::SYS_write, -512, 65536), "is repeated");
        assert!(!stopped(libc::SYS_read, 1, 65536), "a read may return less");
        assert!(!stopped(-1, -4, 0), "user code with any value in its registers");
    }
}
