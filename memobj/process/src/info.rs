//! What is known of a process besides the content of its memory: who it is, what it has mapped, its threads.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use common::process::{ProcessId, ProcessState};

use crate::addr::Addr;
use crate::error::Error;
use crate::memory::Memory;
use crate::residence::Residence;

/// What may be done with a mapping: the second column of proc_pid_maps(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions {
    /// `r`.
    pub read: bool,
    /// `w`.
    pub write: bool,
    /// `x`.
    pub execute: bool,
    /// `s`: what is written to it, others see.
    pub shared: bool,
}

/// A stretch of a process's memory: a line of proc_pid_maps(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Where.
    pub range: Range<Addr>,
    /// What may be done with it.
    pub access: Permissions,
    /// Where in its file it begins, in bytes.
    pub offset: u64,
    /// Major and minor number of the file's device; zeros without a file.
    pub device: (u32, u32),
    /// The file's number on its device; 0 without a file.
    pub inode: u64,
    /// The last column: a path as the process sees it, or a name in brackets that the kernel gives, or nothing.
    pub path: PathBuf,
    /// Whether the file has no name any more: the kernel adds ` (deleted)` to the path, which is taken off here.
    pub deleted: bool,
}

/// What is behind a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MappingKind {
    /// Memory without a file: heap, stacks, anonymous mappings.
    Anonymous,
    /// A file on a disk, or one that lives in memory.
    File,
    /// What the kernel maps into every process: `[vdso]`, `[vvar]`, `[vsyscall]`.
    Kernel,
}

impl Mapping {
    /// How long it is, in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.range.end.0.saturating_sub(self.range.start.0)
    }

    /// Whether `at` is in it.
    #[must_use]
    pub fn contains(&self, at: Addr) -> bool {
        self.range.contains(&at)
    }

    /// What is behind it.
    #[must_use]
    pub fn kind(&self) -> MappingKind {
        match self.path.as_os_str().as_bytes() {
            b"[vdso]" | b"[vsyscall]" => MappingKind::Kernel,
            path if path.starts_with(b"[vvar") => MappingKind::Kernel,
            // Private mappings of these begin as zeros, as those without a file do: mmap(2), hugetlbfs.
            b"/dev/zero" | b"/anon_hugepage" if !self.access.shared => MappingKind::Anonymous,
            _ if self.inode == 0 => MappingKind::Anonymous,
            _ => MappingKind::File,
        }
    }

    /// The last part of its path, if that is a file's; empty otherwise.
    #[must_use]
    pub fn file_name(&self) -> &OsStr {
        match self.kind() {
            MappingKind::File => self.path.file_name().unwrap_or_default(),
            MappingKind::Anonymous | MappingKind::Kernel => OsStr::new(""),
        }
    }

    /// Whether the same part of the same file is mapped at the same place.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.range == other.range
            && (self.offset, self.device, self.inode) == (other.offset, other.device, other.inode)
    }
}

/// A thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// Its number, as the observer sees it.
    pub tid: u32,
    /// Its number in its own pid namespace: what Python calls its native id. `None` if the kernel does not say.
    pub inner_tid: Option<u32>,
    /// Its name, cut by the kernel to 15 bytes.
    pub name: String,
    /// What it was doing.
    pub state: ProcessState,
}

/// Who a process is, and how large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Its number and when it began.
    pub id: ProcessId,
    /// Its number in its own pid namespace: what `os.getpid()` says there. `None` if the kernel does not say.
    pub inner_pid: Option<u32>,
    /// Its name, cut by the kernel to 15 bytes; what is no UTF-8 is replaced.
    pub name: String,
    /// Its program, as the kernel or the core file names it; empty if they do not.
    pub program: PathBuf,
    /// Resident size, in bytes.
    pub rss_bytes: Option<u64>,
    /// What of it has no file: RssAnon of proc_pid_status(5), in bytes.
    pub rss_anon_bytes: Option<u64>,
    /// What of its memory is swapped out, in bytes.
    pub swap_bytes: Option<u64>,
    /// Its threads, by number.
    pub threads: Vec<Thread>,
    /// What it has mapped, by address.
    pub mappings: Vec<Mapping>,
}

impl ProcessInfo {
    /// The mapping that `at` is in.
    #[must_use]
    pub fn mapping_at(&self, at: Addr) -> Option<&Mapping> {
        let next = self.mappings.partition_point(|mapping| mapping.range.start <= at);
        self.mappings.get(next.checked_sub(1)?).filter(|mapping| mapping.contains(at))
    }

    /// The first mapping of each file that is mapped from its beginning: where its headers are.
    pub fn files(&self) -> impl Iterator<Item = &Mapping> {
        self.mappings.iter().filter(|mapping| mapping.kind() == MappingKind::File && mapping.offset == 0)
    }
}

/// Something whose memory and files can be looked at: a process, a core file, a snapshot.
pub trait ProcessSource: Sync {
    /// Who and what it is.
    fn info(&self) -> &ProcessInfo;

    /// Its memory.
    fn memory(&self) -> &dyn Memory;

    /// Whether it never changes: what did not hold together once will not at a second look.
    fn is_frozen(&self) -> bool {
        false
    }

    /// Addresses that names in files led to when it was saved, for when those files are not there: none but of a snapshot.
    fn saved_addresses(&self) -> &BTreeMap<String, Addr> {
        static NONE: BTreeMap<String, Addr> = BTreeMap::new();
        &NONE
    }

    /// Where its pages were; `None` where that is not known.
    fn residence(&self) -> Option<&Residence> {
        None
    }

    /// The file behind a mapping: the very one, even if it was deleted or another has its name now.
    ///
    /// # Errors
    /// If it cannot be had any more.
    fn open(&self, mapping: &Mapping) -> Result<std::fs::File, Error>;
}

/// The path as text, for messages.
#[must_use]
pub fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
