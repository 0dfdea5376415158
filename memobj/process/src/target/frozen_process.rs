//! A process that holds still: its memory at one moment, what was known of it then, and where its files are.

use std::collections::BTreeMap;
use std::fs::File;
use std::time::{Duration, SystemTime};

use crate::addr::Addr;
use crate::elf::{Elf, build_id_in_memory};
use crate::error::{Error, Stage};
use crate::info::{Mapping, ProcessInfo, ProcessSource, shown};
use crate::memory::{FrozenMemory, Memory};
use crate::residence::Residence;

use super::mapped_files;

/// Where files of a process are looked for after the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileOrigin {
    /// With the process of this number, which may still run.
    Process(u32),
    /// On this machine, under the paths that the process knew; each is compared with what the memory says of it.
    Disk,
}

/// How a copy came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CopyInfo {
    /// How long the process stood still, from the first thread that was asked to stop to the last that was let go. `None` if it was not
    /// stopped for it.
    pub pause: Option<Duration>,
    /// How many times it was stopped until it could be copied.
    pub stops: u32,
    /// Whether it was found quiet the last time, or else copied as it was. False if nobody looked.
    pub was_quiet: bool,
    /// How many of its threads stood still.
    pub threads: usize,
    /// How many pages could not be read, and read as zeros.
    pub lost_pages: u64,
    /// How many bytes are missing that a core file or snapshot should have had: it was cut.
    pub missing_bytes: u64,
}

/// A process at one moment.
#[derive(Debug)]
pub struct FrozenProcess {
    /// Its memory.
    pub memory: FrozenMemory,
    /// Who and what it was.
    pub info: ProcessInfo,
    /// When that was; `None` if a core file does not say.
    pub at: Option<SystemTime>,
    /// How it was taken.
    pub copy: CopyInfo,
    /// Where its pages were; `None` if that was not asked for or cannot be known.
    pub residence: Option<Residence>,
    /// Where its files are.
    pub files: FileOrigin,
    /// Addresses that were found by names which its files have, for who reads a snapshot without these files. Kept as they are.
    pub saved_addresses: BTreeMap<String, Addr>,
}

impl ProcessSource for FrozenProcess {
    fn saved_addresses(&self) -> &BTreeMap<String, Addr> {
        &self.saved_addresses
    }

    fn info(&self) -> &ProcessInfo {
        &self.info
    }

    fn memory(&self) -> &dyn Memory {
        &self.memory
    }

    fn is_frozen(&self) -> bool {
        true
    }

    fn residence(&self) -> Option<&Residence> {
        self.residence.as_ref()
    }

    fn open(&self, mapping: &Mapping) -> Result<File, Error> {
        match self.files {
            FileOrigin::Process(pid) => {
                mapped_files::open(pid, mapping).map_err(|error| unavailable(mapping, &error.to_string()))
            }
            FileOrigin::Disk => same_build(&self.memory, &self.info, mapping),
        }
    }
}

fn unavailable(mapping: &Mapping, why: &str) -> Error {
    Error::new(
        Stage::ATTACH,
        format!("{}: {why}", shown(&mapping.path)),
        "the file that the process has mapped is needed; run memobj where it is",
    )
}

/// The file that has the mapping's path on this machine, if it is of the same build as what the memory holds.
pub(super) fn same_build(memory: &dyn Memory, info: &ProcessInfo, mapping: &Mapping) -> Result<File, Error> {
    let file = mapped_files::open_regular(&mapping.path)
        .map_err(|error| unavailable(mapping, &error.to_string()))?;
    let again = || file.try_clone().map_err(|error| unavailable(mapping, &error.to_string()));
    let elf = Elf::read(again()?).map_err(|error| unavailable(mapping, &error.to_string()))?;
    let first = info.files().find(|first| {
        (first.device, first.inode, &first.path) == (mapping.device, mapping.inode, &mapping.path)
    });
    let in_memory = first.and_then(|first| build_id_in_memory(memory, first.range.start));
    match (in_memory, elf.build_id) {
        (Some(then), Some(now)) if then == now => Ok(file),
        (Some(_), _) => Err(unavailable(mapping, "another build of it is on this machine")),
        // A core file without the pages that hold it: whether it fits is found out by what reads it.
        (None, _) => Ok(file),
    }
}
