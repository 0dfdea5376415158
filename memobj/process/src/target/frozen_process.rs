//! A copied process: its memory at one moment, its facts, and the way to its files.

use std::collections::BTreeMap;
use std::fs::File;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::mapped_files;
use crate::addr::Addr;
use crate::elf::{Elf, build_id_in_memory};
use crate::error::{Error, Stage};
use crate::info::{Mapping, ProcessInfo, ProcessSource, shown};
use crate::memory::{FrozenMemory, Memory};
use crate::residence::Residence;

/// Where to look for the files of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FileOrigin {
    /// In the process of this number, if it still runs.
    Process(u32),
    /// On this machine, under the paths that the process used. The build id must match.
    #[default]
    Disk,
}

/// How a copy was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CopyInfo {
    /// How long the process was paused, from the first request to the last release. `None` if it was not paused.
    pub pause: Option<Duration>,
    /// How often it was paused.
    pub stops: u32,
    /// System calls that the pauses ended early: with EINTR, or after a part of the bytes to write.
    #[serde(default)]
    pub cut_short: u64,
    /// Whether its data were consistent when it was copied, as the caller checks it. False if that was not checked.
    #[serde(rename = "was_quiet")]
    pub was_consistent: bool,
    /// The number of paused and sleeping threads.
    #[serde(rename = "stopped_threads")]
    pub threads: usize,
    /// Unreadable pages, replaced by zeros.
    pub lost_pages: u64,
    /// Bytes missing at the end of a truncated core file.
    pub missing_bytes: u64,
}

/// A process at one moment. Its serialized form is the header of a snapshot: everything but the memory. Readers ignore unknown fields.
#[derive(Debug, Serialize, Deserialize)]
pub struct FrozenProcess {
    /// Its memory.
    #[serde(skip)]
    pub memory: FrozenMemory,
    /// Its identity, mappings and threads.
    #[serde(flatten)]
    pub info: ProcessInfo,
    /// The moment of the copy; `None` if a core file does not hold it.
    #[serde(default, with = "since_1970")]
    pub at: Option<SystemTime>,
    /// How the copy was made.
    #[serde(flatten)]
    pub copy: CopyInfo,
    /// Addresses found by name in its files, for readers of a snapshot without these files.
    #[serde(rename = "landmarks")]
    pub saved_addresses: BTreeMap<String, Addr>,
    /// Where its pages were; `None` if not recorded. The first snapshots lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residence: Option<Residence>,
    /// Where its files are.
    #[serde(skip)]
    pub files: FileOrigin,
}

/// Moments as durations since 1970.
mod since_1970 {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(at: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
        at.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SystemTime>, D::Error> {
        let at = Option::<Duration>::deserialize(deserializer)?;
        Ok(at.and_then(|at| UNIX_EPOCH.checked_add(at)))
    }
}

impl ProcessSource for FrozenProcess {
    fn info(&self) -> &ProcessInfo {
        &self.info
    }

    fn memory(&self) -> &dyn Memory {
        &self.memory
    }

    fn is_frozen(&self) -> bool {
        true
    }

    fn saved_addresses(&self) -> &BTreeMap<String, Addr> {
        &self.saved_addresses
    }

    fn residence(&self) -> Option<&Residence> {
        self.residence.as_ref()
    }

    fn open(&self, mapping: &Mapping) -> Result<File, Error> {
        match self.files {
            FileOrigin::Process(pid) => open_file(pid, mapping),
            FileOrigin::Disk => open_same_build(&self.memory, &self.info, mapping),
        }
    }
}

/// Opens the file behind a mapping of a running process.
pub(super) fn open_file(pid: u32, mapping: &Mapping) -> Result<File, Error> {
    mapped_files::open(pid, mapping).map_err(|error| unavailable(mapping, &error))
}

/// Opens the file with the mapping's path on this machine, if its build id is the one in memory.
pub(super) fn open_same_build(
    memory: &dyn Memory,
    info: &ProcessInfo,
    mapping: &Mapping,
) -> Result<File, Error> {
    let file = mapped_files::open_regular(&mapping.path).map_err(|error| unavailable(mapping, &error))?;
    let again = file.try_clone().map_err(|error| unavailable(mapping, &error))?;
    let elf = Elf::read(again, &[]).map_err(|error| unavailable(mapping, &error))?;
    let first = info.files().find(|first| first.is_same_file(mapping));
    // Without the pages that hold it, the build is checked by later readers.
    match first.and_then(|first| build_id_in_memory(memory, first.range.start)) {
        Some(in_memory) if elf.build_id != Some(in_memory) => {
            Err(unavailable(mapping, &"this machine has another build of it"))
        }
        _ => Ok(file),
    }
}

fn unavailable(mapping: &Mapping, why: &dyn std::fmt::Display) -> Error {
    let hint = "the file that the process has mapped is needed; run memobj where it is, as root or in the same container";
    Error::new(Stage::ATTACH, format!("{}: {why}", shown(&mapping.path)), hint)
}
