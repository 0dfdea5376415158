//! The header of a snapshot: everything but the memory, as JSON, since it is small and people may want to look at it.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::addr::Addr;
use crate::info::ProcessInfo;
use crate::memory::FrozenMemory;
use crate::residence::Residence;
use crate::target::{CopyInfo, FileOrigin, FrozenProcess};

/// The first part of a snapshot. Readers ignore fields that they do not know.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SnapshotHeader {
    #[serde(flatten)]
    info: ProcessInfo,
    /// Since 1970.
    at: Option<Duration>,
    #[serde(flatten)]
    copy: CopyInfo,
    landmarks: BTreeMap<String, Addr>,
    /// The first snapshots lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residence: Option<Residence>,
}

impl SnapshotHeader {
    pub fn new(process: &FrozenProcess) -> Self {
        Self {
            info: process.info.clone(),
            at: process.at.and_then(|at| at.duration_since(UNIX_EPOCH).ok()),
            copy: process.copy,
            landmarks: process.saved_addresses.clone(),
            residence: process.residence.clone(),
        }
    }

    /// Joins the header with its memory.
    pub fn into_process(self, memory: FrozenMemory) -> FrozenProcess {
        let mut info = self.info;
        info.mappings.retain(|mapping| mapping.range.start < mapping.range.end);
        info.mappings.sort_by_key(|mapping| mapping.range.start);
        FrozenProcess {
            memory,
            info,
            at: self.at.and_then(|at| UNIX_EPOCH.checked_add(at)),
            copy: self.copy,
            residence: self.residence,
            files: FileOrigin::Disk,
            saved_addresses: self.landmarks,
        }
    }
}
