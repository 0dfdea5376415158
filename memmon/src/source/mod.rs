//! What the operating system reports about processes.
//!
//! [`ProcessSource`] has two implementations: [`linux`] keeps `/proc` files open and lists processes only when new ones were
//! created; [`sysinfo`] serves every other system. On Linux both exist, and a test compares them.

#[cfg(target_os = "linux")]
pub mod linux;
pub mod sysinfo;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use common::process::ProcessId;
use common::process_search::ProgramName;
use common::record::{Cgroup, Pressure, ProcessSample, System};

/// A process and its position in the process table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessEntry {
    /// Its identity.
    pub id: ProcessId,
    /// Its parent's pid.
    pub ppid: u32,
    /// The pid of its process group's leader; 0 if unknown.
    pub group: u32,
    /// The pid of its session's leader; 0 if unknown.
    pub session: u32,
}

/// Why a process could not be read.
#[derive(Debug)]
pub enum ReadError {
    /// It has exited.
    Exited {
        /// Of a zombie, as wait(2) encodes it. 0 may also mean that the reader may not see it.
        wait_status: Option<i32>,
    },
    /// It released its memory and is about to exit. Its exit status is not known yet.
    Exiting,
    /// It exists, but cannot be read: usually for lack of permission.
    Failed(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        // After an exit, reading an open /proc file fails with ESRCH, opening one with ENOENT.
        if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(3) {
            return Self::Exited { wait_status: None };
        }
        Self::Failed(error)
    }
}

/// Sizes that are cheap enough for every tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessSizes {
    /// Resident set size.
    pub rss_bytes: u64,
    /// Virtual memory size.
    pub vms_bytes: u64,
}

/// The numbers of a process's resources; `None` if the reader may not see them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessCounts {
    /// Open file descriptors.
    pub fds: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
}

/// Everything that is read in turn, not at every tick. Values that the system does not report are `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProcessDetails {
    /// Its current position: parents and groups change.
    pub entry: ProcessEntry,
    /// Its name as the kernel keeps it (on Linux at most 15 bytes), all its arguments, its state, and the values that a sample has
    /// only in turn.
    pub sample: ProcessSample,
    /// Its start in seconds since 1970.
    pub start_unix_seconds: Option<f64>,
    /// Processor time used so far.
    pub cpu_time: Option<Duration>,
    /// Changes at every exec; `None` if the reader may not see it.
    pub image: Option<u64>,
}

impl ProcessDetails {
    /// The full name: one that the kernel may have cut is completed from the command line.
    pub fn full_name(&self) -> Arc<str> {
        let program = ProgramName {
            name: &self.sample.name,
            cmdline: self.sample.cmdline.as_deref().unwrap_or_default(),
        };
        // Most names are whole, and shared.
        let full = program.full();
        if full == program.name { Arc::clone(&self.sample.name) } else { full.into() }
    }
}

/// Sizes that divide or exclude shared pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProportionalSizes {
    /// Proportional set size.
    pub pss_bytes: u64,
    /// Unique set size.
    pub uss_bytes: u64,
}

/// An event that the kernel reports. Times are on the monotonic clock, since boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelEvent {
    /// `parent` created `child`.
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
    /// A process changed its name other than by exec.
    Name {
        /// The process.
        pid: u32,
        /// The name, at most 15 bytes.
        name: Arc<str>,
    },
    /// A process exited.
    Exit {
        /// The process.
        pid: u32,
        /// As wait(2) encodes it.
        wait_status: i32,
        /// When.
        at: Duration,
    },
    /// The kernel dropped events.
    Lost,
}

/// A way to ask the operating system about processes.
pub trait ProcessSource {
    /// The processes that are new since the last call; at the first call, all.
    ///
    /// # Errors
    /// Processes cannot be listed.
    fn new_processes(&mut self) -> io::Result<Vec<ProcessEntry>>;

    /// Looks up one process.
    ///
    /// # Errors
    /// It does not exist or is not visible.
    fn find(&mut self, pid: u32) -> Result<ProcessEntry, ReadError>;

    /// The sizes of a process.
    ///
    /// # Errors
    /// It has exited (its pid may be in use again), or is not readable.
    fn sizes(&mut self, id: ProcessId) -> Result<ProcessSizes, ReadError>;

    /// Everything but the sizes.
    ///
    /// # Errors
    /// As for [`sizes`](Self::sizes). Parts that are not readable are `None`.
    fn details(&mut self, id: ProcessId) -> Result<ProcessDetails, ReadError>;

    /// Forgets what is kept for a process.
    fn forget(&mut self, id: ProcessId);

    /// The machine's memory.
    fn system(&mut self) -> Option<System>;

    /// PSS and USS; `None` if the system does not have them.
    ///
    /// # Errors
    /// As for [`sizes`](Self::sizes).
    fn proportional(&mut self, _: ProcessId) -> Option<Result<ProportionalSizes, ReadError>> {
        None
    }

    /// Kernel events since the last call; `None` if the system does not report any.
    fn kernel_events(&mut self) -> Option<Vec<KernelEvent>> {
        None
    }

    /// A descriptor that is readable when there are kernel events.
    #[cfg(unix)]
    fn event_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }

    /// The numbers of descriptors and threads of a process.
    fn counts(&mut self, _: ProcessId) -> ProcessCounts {
        ProcessCounts::default()
    }

    /// Memory pressure of the machine.
    fn pressure(&mut self) -> Option<Pressure> {
        None
    }

    /// Memory pressure of the control group of a process.
    fn group_pressure(&mut self, _: ProcessId) -> Option<Pressure> {
        None
    }

    /// Memory pressure of the control group of a process where groups have it, else of the machine.
    fn pressure_of(&mut self, id: ProcessId) -> Option<Pressure> {
        self.group_pressure(id).or_else(|| self.pressure())
    }

    /// The memory control group of a process.
    fn cgroup(&mut self, _: ProcessId) -> Option<Cgroup> {
        None
    }
}
