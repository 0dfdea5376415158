//! How processes ended.

use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this status.
    Exited(i32),
    /// By a signal.
    Signaled {
        /// Its number.
        signal: i32,
        /// Whether a core file was written.
        core_dumped: bool,
    },
    /// Nobody can know: this program was started with SIGCHLD ignored, and then the kernel keeps no status (wait(2)).
    Unknown,
}

impl Ended {
    /// The exit status with which a shell would tell it: the command's own, or 128 + N for signal N; 2 if unknown.
    #[must_use]
    pub fn exit_status(self) -> u8 {
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

/// An ended child of which notice was taken: its number may be given out again from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaped {
    /// Its number.
    pub pid: u32,
    /// How it ended.
    pub status: Ended,
}

/// Which end of a child to take notice of next, without taking it.
pub(super) fn next_ended(command: Option<Pid>) -> Option<Pid> {
    #[cfg(target_os = "linux")]
    {
        use nix::sys::wait::{Id, WaitPidFlag, waitid};
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        loop {
            match waitid(Id::All, flags) {
                Ok(status) => return status.pid().and_then(|pid| Pid::from_raw(pid.as_raw())),
                Err(nix::errno::Errno::EINTR) => {}
                // A child that a real-time signal ended, whose number nix does not know.
                Err(nix::errno::Errno::EINVAL) => break,
                Err(_) => return None,
            }
        }
    }
    let has_ended = |&pid: &Pid| matches!(wait(pid, WaitIdOptions::NOWAIT), Ok(Some(_)));
    command.filter(has_ended).or_else(|| other_ended(has_ended))
}

#[cfg(target_os = "linux")]
fn other_ended(has_ended: impl Fn(&Pid) -> bool) -> Option<Pid> {
    let zombies = super::family::zombies();
    zombies.into_iter().filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).find(has_ended)
}

/// Where nothing is adopted, the command is the only child.
#[cfg(not(target_os = "linux"))]
fn other_ended(_: impl Fn(&Pid) -> bool) -> Option<Pid> {
    None
}

/// How the child `pid` ended; taking notice, unless `options` say NOWAIT. `None` if it lives.
///
/// # Errors
/// There is no such child, as after its end was noticed, or if the kernel threw its status away.
pub(super) fn wait(pid: Pid, options: WaitIdOptions) -> io::Result<Option<Ended>> {
    let options = options | WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    loop {
        match rustix::process::waitid(WaitId::Pid(pid), options) {
            Err(Errno::INTR) => {}
            other => return Ok(other?.as_ref().map(Ended::from_wait)),
        }
    }
}

/// Whether this program has children, living or ended. A subreaper without children has no descendants at all: every
/// orphan among them would be its child. No list of processes, read one by one, is as sure.
pub(super) fn has_children() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    rustix::process::waitid(WaitId::All, options).err() != Some(Errno::CHILD)
}

/// The largest resident size, in bytes, that any child noticed so far had: getrusage(2), RUSAGE_CHILDREN.
pub(super) fn children_max_rss_bytes() -> Option<u64> {
    use nix::sys::resource::{UsageWho, getrusage};
    let max = getrusage(UsageWho::RUSAGE_CHILDREN).ok()?.max_rss();
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    u64::try_from(max).ok().filter(|&max| max > 0)?.checked_mul(unit)
}

/// The largest resident size, in bytes, that this program had: every child counts as having had it too, since it began in the same
/// memory (`exec_mmap` in fs/exec.c). `None` where the system does not tell.
///
/// Not getrusage(2), whose value may be that of a program that was replaced by this one.
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
    fn statuses_are_those_of_a_shell() {
        let by_signal = |signal| Ended::Signaled { signal, core_dumped: false }.exit_status();
        assert_eq!(Ended::Exited(0).exit_status(), 0);
        assert_eq!(Ended::Exited(255).exit_status(), 255);
        assert_eq!(Ended::Exited(256 + 7).exit_status(), 7);
        assert_eq!(Ended::Exited(-1).exit_status(), 255);
        assert_eq!((by_signal(9), by_signal(15), by_signal(64)), (137, 143, 192));
        assert_eq!(Ended::Unknown.exit_status(), 2);
    }
}
