//! Facts of a process other than its memory: identity, sizes, mappings and threads.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use common::process::{ProcessId, ProcessState};
use serde::{Deserialize, Serialize, Serializer};

use crate::addr::Addr;
use crate::error::Error;
use crate::memory::Memory;
use crate::residence::Residence;

/// Permissions of a mapping: the second column of proc_pid_maps(5), such as `rw-p`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub struct Permissions {
    /// `r`.
    pub read: bool,
    /// `w`.
    pub write: bool,
    /// `x`.
    pub execute: bool,
    /// `s`: other processes see what is written.
    pub shared: bool,
}

impl Permissions {
    pub(crate) fn parse(text: &str) -> Self {
        let has = |letter: char| text.contains(letter);
        Self { read: has('r'), write: has('w'), execute: has('x'), shared: has('s') }
    }
}

impl From<String> for Permissions {
    fn from(text: String) -> Self {
        Self::parse(&text)
    }
}

impl From<Permissions> for String {
    fn from(Permissions { read, write, execute, shared }: Permissions) -> Self {
        let letters = [(read, 'r', '-'), (write, 'w', '-'), (execute, 'x', '-'), (shared, 's', 'p')];
        letters.iter().map(|&(is, yes, no)| if is { yes } else { no }).collect()
    }
}

/// A range of a process's memory: a line of proc_pid_maps(5).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mapping {
    /// Its addresses.
    #[serde(flatten)]
    pub range: Range<Addr>,
    /// Its permissions.
    pub access: Permissions,
    /// The offset of its first byte in its file.
    pub offset: u64,
    /// Major and minor number of the file's device; zeros without a file.
    pub device: (u32, u32),
    /// The file's inode number; 0 without a file.
    pub inode: u64,
    /// The last column: a path as the process sees it, a name in brackets from the kernel, or nothing.
    #[serde(serialize_with = "serialize_lossy")]
    pub path: PathBuf,
    /// Whether the file was deleted: the kernel's ` (deleted)` is not part of `path`.
    pub deleted: bool,
}

/// The kind of memory behind a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MappingKind {
    /// Memory without a file: heap, stacks, anonymous mappings.
    Anonymous,
    /// A file, on a disk or in memory.
    File,
    /// Memory that the kernel maps into every process: `[vdso]`, `[vvar]`, `[vsyscall]`.
    Kernel,
}

impl Mapping {
    /// Its length in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.range.end.0.saturating_sub(self.range.start.0)
    }

    /// Whether `at` is in it.
    #[must_use]
    pub fn contains(&self, at: Addr) -> bool {
        self.range.contains(&at)
    }

    /// The kind of memory behind it.
    #[must_use]
    pub fn kind(&self) -> MappingKind {
        match self.path.as_os_str().as_bytes() {
            b"[vdso]" | b"[vsyscall]" => MappingKind::Kernel,
            path if path.starts_with(b"[vvar") => MappingKind::Kernel,
            // Private mappings of these files begin as zeros, as anonymous ones do: mmap(2), hugetlbfs.
            b"/dev/zero" | b"/anon_hugepage" if !self.access.shared => MappingKind::Anonymous,
            _ if self.inode == 0 => MappingKind::Anonymous,
            _ => MappingKind::File,
        }
    }

    /// The file name of its path; empty without a file.
    #[must_use]
    pub fn file_name(&self) -> &OsStr {
        match self.kind() {
            MappingKind::File => self.path.file_name().unwrap_or_default(),
            MappingKind::Anonymous | MappingKind::Kernel => OsStr::new(""),
        }
    }

    /// Whether both map the same part of the same file at the same addresses.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.range == other.range
            && (self.offset, self.device, self.inode) == (other.offset, other.device, other.inode)
    }

    /// Whether both map the same file.
    #[must_use]
    pub fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode, &self.path) == (other.device, other.inode, &other.path)
    }
}

/// A thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// Its number in our pid namespace.
    pub tid: u32,
    /// Its number in its own pid namespace; Python calls it the native id. `None` if the kernel does not say.
    pub inner_tid: Option<u32>,
    /// Its name, at most 15 bytes.
    pub name: String,
    /// Its state.
    pub state: ProcessState,
}

/// Identity, size, threads and mappings of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessInfo {
    /// Its number and start time.
    #[serde(flatten, with = "ProcessIdFields")]
    pub id: ProcessId,
    /// Its number in its own pid namespace, where `os.getpid()` returns it. `None` if the kernel does not say.
    pub inner_pid: Option<u32>,
    /// Its name, at most 15 bytes. Invalid UTF-8 is replaced.
    pub name: String,
    /// The path of its program, from the kernel or the core file; empty if unknown.
    #[serde(serialize_with = "serialize_lossy")]
    pub program: PathBuf,
    /// Resident set size in bytes.
    pub rss_bytes: Option<u64>,
    /// Resident memory without a file in bytes: RssAnon of proc_pid_status(5).
    pub rss_anon_bytes: Option<u64>,
    /// Swapped out memory in bytes.
    pub swap_bytes: Option<u64>,
    /// Its threads, by number.
    pub threads: Vec<Thread>,
    /// Its mappings, by address.
    pub mappings: Vec<Mapping>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ProcessId")]
struct ProcessIdFields {
    pid: u32,
    #[serde(rename = "start_ticks")]
    start: u64,
}

impl ProcessInfo {
    /// The mapping that contains `at`.
    #[must_use]
    pub fn mapping_at(&self, at: Addr) -> Option<&Mapping> {
        let next = self.mappings.partition_point(|mapping| mapping.range.start <= at);
        self.mappings.get(next.checked_sub(1)?).filter(|mapping| mapping.contains(at))
    }

    /// The mappings of the first bytes of files, which hold the headers.
    pub fn files(&self) -> impl Iterator<Item = &Mapping> {
        self.mappings.iter().filter(|mapping| mapping.kind() == MappingKind::File && mapping.offset == 0)
    }
}

/// A process to read from: live, frozen, in a core file or in a snapshot.
pub trait ProcessSource: Sync {
    /// Its identity, mappings and threads.
    fn info(&self) -> &ProcessInfo;

    /// Its memory.
    fn memory(&self) -> &dyn Memory;

    /// Whether its memory never changes: a failed check will fail again.
    fn is_frozen(&self) -> bool {
        false
    }

    /// Addresses by name that were saved with a snapshot, for machines without the files of the process; empty for other sources.
    fn saved_addresses(&self) -> &BTreeMap<String, Addr> {
        static NONE: BTreeMap<String, Addr> = BTreeMap::new();
        &NONE
    }

    /// Where its pages were, if known.
    fn residence(&self) -> Option<&Residence> {
        None
    }

    /// Opens the file behind a mapping: the same file, even if it was deleted or its path names another file now.
    ///
    /// # Errors
    /// If it is not accessible.
    fn open(&self, mapping: &Mapping) -> Result<File, Error>;
}

/// The path as text, for messages.
#[must_use]
pub fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn serialize_lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}
