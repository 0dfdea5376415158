//! The memory that is available for a copy, on the machine and in our control group.

use std::path::Path;
use std::{fmt, fs};

use common::cgroup::{self, ControlGroup};
use common::units;

use crate::memory::CopyBuffer;

/// Bytes that a copy leaves free.
const MARGIN: u64 = 64 << 20;

/// Memory that we can use without taking it from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AvailableMemory {
    /// `MemAvailable` of proc_meminfo(5), if known.
    pub machine_bytes: Option<u64>,
    /// The least that is left of the limits of our control group and its ancestors; droppable file pages count as free. `None` without a
    /// limit.
    pub group_bytes: Option<u64>,
}

impl AvailableMemory {
    /// Reads it.
    #[must_use]
    pub fn now() -> Self {
        let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let group = ControlGroup::for_process(std::process::id(), "memory");
        Self { machine_bytes: available(&text), group_bytes: group.as_ref().and_then(of_group) }
    }

    /// Whether `bytes` more fit.
    #[must_use]
    pub fn fits(&self, bytes: u64) -> bool {
        let needed = bytes.saturating_add(MARGIN);
        [self.machine_bytes, self.group_bytes].into_iter().flatten().all(|room| room >= needed)
    }
}

impl fmt::Display for AvailableMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |bytes: Option<u64>| {
            bytes.map_or_else(|| "any amount".to_owned(), |bytes| units::Bytes(bytes).to_string())
        };
        match self.group_bytes {
            Some(group) if self.machine_bytes.is_none_or(|machine| group < machine) => {
                write!(f, "our control group has {} left", shown(Some(group)))
            }
            _ => write!(f, "the machine has {} left", shown(self.machine_bytes)),
        }
    }
}

/// Prepares a buffer for `bytes`, which must fit into memory, and for `headroom` more.
///
/// # Errors
/// Why there is no room.
pub(super) fn allocate(buffer: &mut CopyBuffer, bytes: u64, headroom: usize) -> Result<(), String> {
    let available = AvailableMemory::now();
    if !available.fits(bytes.saturating_sub(buffer.populated_bytes() as u64)) {
        return Err(available.to_string());
    }
    let wanted = usize::try_from(bytes).unwrap_or(usize::MAX).saturating_add(headroom);
    buffer.prepare(wanted).map_err(|error| error.to_string())
}

/// `MemAvailable`, in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let value = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    value.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

fn of_group(group: &ControlGroup) -> Option<u64> {
    group.folders().filter_map(|folder| left(group, folder)).min()
}

/// The rest of one group's limit.
fn left(group: &ControlGroup, folder: &Path) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
    let limit = number(group.limit_file()).filter(|&limit| limit < cgroup::NO_LIMIT)?;
    let used = number(group.usage_file())?;
    let key = if group.version == 1 { "total_inactive_file " } else { "inactive_file " };
    let droppable = read("memory.stat")
        .and_then(|stat| stat.lines().find_map(|line| line.strip_prefix(key)?.trim().parse::<u64>().ok()));
    Some(limit.saturating_sub(used.saturating_sub(droppable.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(version: u32, files: &[(&str, &str)]) -> Option<u64> {
        let mount = tempfile::tempdir().unwrap();
        let folder = mount.path().join("a/b");
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in files {
            fs::write(mount.path().join(name), text).unwrap();
        }
        of_group(&ControlGroup { version, path: "/a/b".into(), folder, mount: mount.path().to_owned() })
    }

    #[test]
    fn tightest_group_counts() {
        let two = [
            ("a/memory.max", "1000\n"),
            ("a/memory.current", "900\n"),
            ("a/memory.stat", "file 500\ninactive_file 300\n"),
            ("a/b/memory.max", "max\n"),
            ("a/b/memory.current", "800\n"),
        ];
        assert_eq!(group(2, &two), Some(400));
        let one = [
            ("a/b/memory.limit_in_bytes", "9223372036854771712\n"),
            ("a/b/memory.usage_in_bytes", "5\n"),
            ("memory.limit_in_bytes", "700\n"),
            ("memory.usage_in_bytes", "900\n"),
            ("memory.stat", "inactive_file 1\ntotal_inactive_file 250\n"),
        ];
        assert_eq!(group(1, &one), Some(50));
        assert_eq!(group(2, &[]), None);
    }

    #[test]
    fn machine_and_group_limit_a_copy() {
        let room = AvailableMemory { machine_bytes: Some(1 << 30), group_bytes: Some(256 << 20) };
        assert!(room.fits(192 << 20) && !room.fits((192 << 20) + 1));
        assert!(room.to_string().contains("control group has 256"), "{room}");
        assert!(
            !AvailableMemory { group_bytes: None, ..room }.fits(1 << 30)
                && AvailableMemory::default().fits(u64::MAX - MARGIN)
        );
        assert!(AvailableMemory { group_bytes: None, ..room }.to_string().contains("machine has 1"));
        assert!(AvailableMemory::now().machine_bytes.is_some_and(|bytes| bytes > 1 << 20));
        assert_eq!(available("MemTotal: 5 kB\nMemAvailable:   12 kB\n"), Some(12 << 10));
    }
}
