//! Exit statuses, and the reaping of children.

use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus};

/// The exit status of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this status.
    Exited(i32),
    /// A signal ended it.
    Signaled {
        /// Its number.
        signal: i32,
        /// Whether a core file was written.
        core_dumped: bool,
    },
    /// This program was started with SIGCHLD ignored, and then the kernel keeps no status (wait(2)).
    Unknown,
}

impl ExitStatus {
    /// The exit code that a shell reports: the command's own, or 128 + N for signal N; 2 if unknown.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        let status = match self {
            Self::Exited(status) => status & 0xff,
            Self::Signaled { signal, .. } => 128_i32.saturating_add(signal),
            Self::Unknown => i32::from(crate::cli::EXIT_TROUBLE),
        };
        u8::try_from(status).unwrap_or(u8::MAX)
    }

    fn from_wait(status: &WaitIdStatus) -> Self {
        if let Some(code) = status.exit_status() {
            return Self::Exited(code);
        }
        match status.terminating_signal() {
            Some(signal) => Self::Signaled { signal, core_dumped: status.dumped() },
            None => Self::Unknown,
        }
    }
}

/// A reaped child. The kernel may now give its pid to another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaped {
    /// Its pid.
    pub pid: u32,
    /// Its exit status.
    pub status: ExitStatus,
}

/// The next child to reap. It stays a zombie.
pub(super) fn next_exited(command: Option<Pid>) -> Option<Pid> {
    #[cfg(target_os = "linux")]
    {
        use nix::sys::wait::{Id, WaitPidFlag, waitid};
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        loop {
            match waitid(Id::All, flags) {
                Ok(status) => return status.pid().and_then(|pid| Pid::from_raw(pid.as_raw())),
                Err(nix::errno::Errno::EINTR) => {}
                // A real-time signal ended a child; nix does not know its number.
                Err(nix::errno::Errno::EINVAL) => break,
                Err(_) => return None,
            }
        }
    }
    let has_exited = |&pid: &Pid| matches!(wait(pid, WaitIdOptions::NOWAIT), Ok(Some(_)));
    command.filter(has_exited).or_else(|| other_exited(has_exited))
}

#[cfg(target_os = "linux")]
fn other_exited(has_exited: impl Fn(&Pid) -> bool) -> Option<Pid> {
    let zombies = super::family::zombies();
    zombies.into_iter().filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).find(has_exited)
}

/// Without a subreaper the command is the only child.
#[cfg(not(target_os = "linux"))]
fn other_exited(_: impl Fn(&Pid) -> bool) -> Option<Pid> {
    None
}

/// Reaps the child `pid`, unless `options` contain NOWAIT. `None` if it still runs.
///
/// # Errors
/// There is no such child: it was reaped, or the kernel discarded its status.
pub(super) fn wait(pid: Pid, options: WaitIdOptions) -> io::Result<Option<ExitStatus>> {
    let options = options | WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    loop {
        match rustix::process::waitid(WaitId::Pid(pid), options) {
            Err(Errno::INTR) => {}
            other => return Ok(other?.as_ref().map(ExitStatus::from_wait)),
        }
    }
}

/// Whether this program has children, zombies included. A subreaper without children has no descendants: an orphan would be
/// its child. A list of processes, read one by one, is not as reliable.
pub(super) fn has_children() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    rustix::process::waitid(WaitId::All, options).err() != Some(Errno::CHILD)
}

/// The largest resident size, in bytes, of any reaped child: getrusage(2), RUSAGE_CHILDREN.
pub(super) fn children_max_rss_bytes() -> Option<u64> {
    use nix::sys::resource::{UsageWho, getrusage};
    let max = getrusage(UsageWho::RUSAGE_CHILDREN).ok()?.max_rss();
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    u64::try_from(max).ok().filter(|&max| max > 0)?.checked_mul(unit)
}

/// The largest resident size of this program, in bytes. Every child inherits it, because it starts in the same memory (`exec_mmap`
/// in fs/exec.c). `None` without `/proc`.
///
/// getrusage(2) would include a program that this one replaced.
#[must_use]
pub fn own_peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim_end().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_status_matches_shell() {
        let by_signal = |signal| ExitStatus::Signaled { signal, core_dumped: false }.exit_code();
        assert_eq!(ExitStatus::Exited(0).exit_code(), 0);
        assert_eq!(ExitStatus::Exited(255).exit_code(), 255);
        assert_eq!(ExitStatus::Exited(256 + 7).exit_code(), 7);
        assert_eq!(ExitStatus::Exited(-1).exit_code(), 255);
        assert_eq!((by_signal(9), by_signal(15), by_signal(64)), (137, 143, 192));
        assert_eq!(ExitStatus::Unknown.exit_code(), 2);
    }
}
