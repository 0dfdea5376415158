//! What the operating system says of processes.
//!
//! One trait, [`Source`], and two ways to answer it side by side: [`linux`], the fast path, which keeps `/proc` files open and
//! lists processes only when new ones were made; and [`sysinfo`], for every other system. On Linux both are there, and a test
//! holds that they agree on what both measure.

#[cfg(target_os = "linux")]
pub mod linux;
pub mod sysinfo;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use common::process::{ProcessId, ProcessState};
use common::record::{Cgroup, Pressure, System};

/// A process that was found, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessEntry {
    /// Who it is.
    pub id: ProcessId,
    /// Its parent's number.
    pub ppid: u32,
    /// The number of its process group's leader; 0 if unknown.
    pub group: u32,
    /// The number of its session's leader; 0 if unknown.
    pub session: u32,
}

/// Why a process could not be read.
#[derive(Debug)]
pub enum ReadError {
    /// It has ended.
    Exited {
        /// Of a zombie, as wait(2) encodes it. 0 may also mean that it is hidden from the reader.
        wait_status: Option<i32>,
    },
    /// It gave back its memory and will have ended in a moment. How cannot be said yet.
    Exiting,
    /// It is there, but this could not be read: usually for want of permission.
    Failed(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        // A read of a kept /proc file says ESRCH when its process has gone, an open says ENOENT.
        match error.kind() {
            io::ErrorKind::NotFound => Self::Exited { wait_status: None },
            _ if error.raw_os_error() == Some(3) => Self::Exited { wait_status: None },
            _ => Self::Failed(error),
        }
    }
}

/// Cheap enough for every tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessSizes {
    /// Resident set size.
    pub rss_bytes: u64,
    /// Virtual memory size.
    pub vms_bytes: u64,
}

/// What is read in turn. What the system does not tell is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessDetails {
    /// Where it stands now: parents and groups change.
    pub found: ProcessEntry,
    /// Its name as the kernel keeps it, on Linux 15 bytes at most.
    pub name: Arc<str>,
    /// Its arguments, all of them.
    pub cmdline: Option<Arc<[String]>>,
    /// When it began, in seconds since 1970.
    pub start_unix_seconds: Option<f64>,
    /// What it is doing.
    pub state: ProcessState,
    /// Processor time it used so far.
    pub cpu_time: Option<Duration>,
    /// Its threads.
    pub threads: Option<u64>,
    /// Its open file descriptors.
    pub fds: Option<u64>,
    /// What of it is in swap.
    pub swap_bytes: Option<u64>,
    /// Its largest resident set size so far.
    pub rss_peak_bytes: Option<u64>,
    /// Resident and backed by no file.
    pub rss_anon_bytes: Option<u64>,
    /// Resident and mapped from files.
    pub rss_file_bytes: Option<u64>,
    /// Resident and shared memory.
    pub rss_shmem_bytes: Option<u64>,
    /// Changes whenever the process starts another program (exec); `None` if the reader may not see it.
    pub image: Option<u64>,
}

/// The length to which Linux cuts a name: `TASK_COMM_LEN` without the closing zero, proc_pid_comm(5).
const KERNEL_NAME_BYTES: usize = 15;

/// The longest name of a file: `NAME_MAX`, limits.h(0p).
const FILE_NAME_BYTES: usize = 255;

impl ProcessDetails {
    /// What every system tells.
    #[must_use]
    pub fn new(found: ProcessEntry, name: Arc<str>, state: ProcessState) -> Self {
        Self {
            found,
            name,
            cmdline: None,
            start_unix_seconds: None,
            state,
            cpu_time: None,
            threads: None,
            fds: None,
            swap_bytes: None,
            rss_peak_bytes: None,
            rss_anon_bytes: None,
            rss_file_bytes: None,
            rss_shmem_bytes: None,
            image: None,
        }
    }

    /// The name in full: where the kernel may have cut it and the command line begins the same, the rest of that word.
    ///
    /// Of that word only: programs write titles of any length over their command lines, with arguments in them.
    #[must_use]
    pub fn full_name(&self) -> Arc<str> {
        let kept = || Arc::clone(&self.name);
        if self.name.len() < KERNEL_NAME_BYTES {
            return kept();
        }
        let Some(command) = self.cmdline.as_deref().and_then(<[String]>::first) else { return kept() };
        // Of a path the last part; but a title is no path, and slashes may be in it.
        let whole = if command.starts_with(&*self.name) {
            command.as_str()
        } else {
            command.rsplit('/').next().unwrap_or(command)
        };
        let Some(rest) = whole.strip_prefix(&*self.name) else { return kept() };
        let word = rest.find(|c: char| c.is_whitespace() || c.is_control() || c == '/').unwrap_or(rest.len());
        let end = self.name.len() + word;
        whole.get(..whole.floor_char_boundary(end.min(FILE_NAME_BYTES))).map_or_else(kept, Arc::from)
    }
}

/// Memory with shared pages told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProportionalSizes {
    /// Proportional set size.
    pub pss_bytes: u64,
    /// Unique set size.
    pub uss_bytes: u64,
}

/// What the kernel tells of by itself, in the order it happened. Times are on the monotonic clock, since boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelEvent {
    /// `parent` made `child`.
    Fork {
        /// The parent process.
        parent: u32,
        /// The new process.
        child: u32,
        /// When.
        at: Duration,
    },
    /// A process started another program.
    Exec {
        /// The process.
        pid: u32,
    },
    /// A process gave itself another name (not by exec, which is told as such only).
    Name {
        /// The process.
        pid: u32,
        /// The name, 15 bytes at most.
        name: Arc<str>,
    },
    /// A process ended.
    Exit {
        /// The process.
        pid: u32,
        /// As wait(2) encodes it.
        wait_status: i32,
        /// When.
        at: Duration,
    },
    /// More happened than the kernel kept for us.
    Lost,
}

/// A way to ask the operating system.
pub trait ProcessSource {
    /// The processes that were not there at the call before; at the first call, all.
    ///
    /// # Errors
    /// If processes cannot be listed at all.
    fn new_processes(&mut self) -> io::Result<Vec<ProcessEntry>>;

    /// Looks for one process now.
    ///
    /// # Errors
    /// If it is not there or may not be seen.
    fn find(&mut self, pid: u32) -> Result<ProcessEntry, ReadError>;

    /// The sizes of a process.
    ///
    /// # Errors
    /// If it has ended (also if another has its number now), or may not be read.
    fn sizes(&mut self, id: ProcessId) -> Result<ProcessSizes, ReadError>;

    /// Everything but the sizes.
    ///
    /// # Errors
    /// As for [`sizes`](Self::sizes). Parts that may not be read are `None` instead.
    fn details(&mut self, id: ProcessId) -> Result<ProcessDetails, ReadError>;

    /// PSS and USS; `None` where the system has no such figure.
    ///
    /// # Errors
    /// As for [`sizes`](Self::sizes).
    fn proportional(&mut self, id: ProcessId) -> Option<Result<ProportionalSizes, ReadError>>;

    /// What the kernel told of by itself since the last call; `None` where it tells nothing.
    fn kernel_events(&mut self) -> Option<Vec<KernelEvent>>;

    /// Becomes readable when the kernel has something to tell.
    #[cfg(unix)]
    fn event_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>>;

    /// Forgets what is kept for a process.
    fn forget(&mut self, id: ProcessId);

    /// The machine's memory.
    fn system(&mut self) -> Option<System>;

    /// Memory pressure of the machine.
    fn pressure(&mut self) -> Option<Pressure>;

    /// The memory control group of a process.
    fn cgroup(&mut self, id: ProcessId) -> Option<Cgroup>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full_name(name: &str, command: &str) -> String {
        let found = ProcessEntry { id: ProcessId { pid: 1, start: 1 }, ppid: 0, group: 0, session: 0 };
        let details = ProcessDetails {
            cmdline: Some(Arc::new([command.to_owned()])),
            ..ProcessDetails::new(found, name.into(), ProcessState::Running)
        };
        details.full_name().to_string()
    }

    #[test]
    fn cut_name_is_completed() {
        assert_eq!(full_name("a-name-of-many-", "/opt/bin/a-name-of-many-bytes"), "a-name-of-many-bytes");
        assert_eq!(full_name("a-name-of-many-", "a-name-of-many-"), "a-name-of-many-");
        assert_eq!(full_name("a-name-of-many-", "/opt/another"), "a-name-of-many-");
        assert_eq!(full_name("short", "short-of-nothing"), "short", "nothing was cut from it");
    }

    #[test]
    fn title_adds_its_first_word() {
        assert_eq!(full_name("gunicorn: maste", "gunicorn: master [app --key=x/y]"), "gunicorn: master");
        assert_eq!(full_name("a-name-of-many-", "/x/a-name-of-many-parts --key=x"), "a-name-of-many-parts");
        assert_eq!(full_name("a-name-of-many-", "a-name-of-many-\u{1b}[31m"), "a-name-of-many-");
        let long = full_name("a-name-of-many-", &format!("a-name-of-many-{}", "é".repeat(100_000)));
        assert_eq!(long.len(), FILE_NAME_BYTES);
    }
}
