//! The memory control group of a process: cgroups(7), version 1 and 2.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::cgroup::{self, ControlGroup};
use common::process::ProcessId;
use common::record::{Cgroup, Pressure};
use rustix::fs::{Mode, OFlags};

use super::parse;

/// A process can move to another group; its group is looked up again after this time.
const REFRESH_INTERVAL: Duration = Duration::from_secs(30);

/// The groups of the roots.
#[derive(Debug, Default)]
pub struct Cgroups {
    found: HashMap<ProcessId, (Instant, Option<OpenCgroup>)>,
}

impl Cgroups {
    /// The current values of a process's group.
    pub fn read(&mut self, id: ProcessId) -> Option<Cgroup> {
        self.find(id).map(OpenCgroup::read)
    }

    /// The memory pressure of a process's group; `None` in version 1, which has none for groups.
    pub fn pressure(&mut self, id: ProcessId) -> Option<Pressure> {
        parse::pressure(&self.find(id)?.pressure.read())
    }

    fn find(&mut self, id: ProcessId) -> Option<&OpenCgroup> {
        let now = Instant::now();
        let known = self.found.get(&id).is_some_and(|(at, _)| now.duration_since(*at) < REFRESH_INTERVAL);
        if !known {
            // Also drops the groups of roots that exited.
            self.found.retain(|_, (at, _)| now.duration_since(*at) < 2 * REFRESH_INTERVAL);
            self.found.insert(id, (now, ControlGroup::for_process(id.pid, "memory").map(OpenCgroup::open)));
        }
        let (_, group) = self.found.get(&id)?;
        group.as_ref()
    }
}

/// The open files of a group: reading an open file costs a third of opening it.
#[derive(Debug)]
struct OpenCgroup {
    version: u32,
    path: Arc<str>,
    current: OpenFile,
    peak: OpenFile,
    events: OpenFile,
    stat: OpenFile,
    kernel: OpenFile,
    pressure: OpenFile,
    /// Its own limit, and those of the groups above it.
    limits: Vec<OpenFile>,
}

impl OpenCgroup {
    fn open(group: ControlGroup) -> Self {
        let file = |one: &str, two: &str| {
            OpenFile::open(&group.folder.join(if group.version == 1 { one } else { two }))
        };
        Self {
            current: file("memory.usage_in_bytes", "memory.current"),
            peak: file("memory.max_usage_in_bytes", "memory.peak"),
            events: file("memory.oom_control", "memory.events"),
            stat: file("memory.stat", "memory.stat"),
            pressure: file("memory.pressure", "memory.pressure"),
            // In version 2 it is in memory.stat.
            kernel: if group.version == 1 { file("memory.kmem.usage_in_bytes", "") } else { OpenFile(None) },
            limits: group.folders().map(|folder| OpenFile::open(&folder.join(group.limit_file()))).collect(),
            version: group.version,
            path: group.path,
        }
    }

    fn read(&self) -> Cgroup {
        let stat = self.stat.read();
        let of_stat = |one: &[u8], two: &[u8]| {
            let key = if self.version == 1 { one } else { two };
            parse::plain_fields(&stat).find(|(k, _)| *k == key).map(|(_, value)| value)
        };
        let events = self.events.read();
        Cgroup {
            version: self.version,
            path: Arc::clone(&self.path),
            current_bytes: self.current.number(),
            limit_bytes: self
                .limits
                .iter()
                .filter_map(OpenFile::number)
                .filter(|limit| *limit < cgroup::NO_LIMIT)
                .min(),
            peak_bytes: self.peak.number(),
            oom_kills: parse::plain_fields(&events).find(|(k, _)| *k == b"oom_kill").map(|(_, value)| value),
            anon_bytes: of_stat(b"total_rss", b"anon"),
            file_bytes: of_stat(b"total_cache", b"file"),
            kernel_bytes: self.kernel.number().or_else(|| of_stat(b"", b"kernel")),
            shmem_bytes: of_stat(b"total_shmem", b"shmem"),
        }
    }
}

/// An open file, if it exists.
#[derive(Debug)]
struct OpenFile(Option<OwnedFd>);

impl OpenFile {
    fn open(path: &Path) -> Self {
        Self(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok())
    }

    /// Its current text; empty if it does not exist.
    fn read(&self) -> Vec<u8> {
        let mut text = vec![0; 4 << 10];
        let read = self.0.as_ref().and_then(|file| rustix::io::pread(file, &mut text, 0).ok());
        text.truncate(read.unwrap_or(0));
        text
    }

    /// Its number; `None` for `max` too.
    fn number(&self) -> Option<u64> {
        parse::decimal(self.read().trim_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smallest_limit_up_to_mount_counts() {
        let mount = tempfile::tempdir().unwrap();
        let folder = mount.path().join("a/b");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(mount.path().join("a/memory.max"), "1000\n").unwrap();
        std::fs::write(folder.join("memory.max"), "max\n").unwrap();
        std::fs::write(folder.join("memory.current"), "300\n").unwrap();
        std::fs::write(folder.join("memory.events"), "low 0\noom_kill 2\n").unwrap();
        std::fs::write(folder.join("memory.stat"), "anon 200\nfile 100\n").unwrap();
        let line = "avg10=12.50 avg60=0.00 avg300=0.00 total=7";
        std::fs::write(folder.join("memory.pressure"), format!("some {line}\nfull {line}\n")).unwrap();
        let group = ControlGroup { version: 2, path: "/a/b".into(), folder, mount: mount.path().to_owned() };
        let group = OpenCgroup::open(group);
        let pressure = parse::pressure(&group.pressure.read()).unwrap();
        assert_eq!((pressure.some_avg10_ratio, pressure.full_avg10_ratio), (0.125, 0.125));
        let read = group.read();
        assert_eq!((read.limit_bytes, read.current_bytes, read.oom_kills), (Some(1000), Some(300), Some(2)));
        assert_eq!((read.anon_bytes, read.file_bytes, read.kernel_bytes), (Some(200), Some(100), None));
    }

    #[test]
    fn version_1_without_limit() {
        let mount = tempfile::tempdir().unwrap();
        std::fs::write(mount.path().join("memory.limit_in_bytes"), "9223372036854771712\n").unwrap();
        std::fs::write(mount.path().join("memory.usage_in_bytes"), "77\n").unwrap();
        let folder = mount.path().to_owned();
        let group = ControlGroup { version: 1, path: "/".into(), mount: folder.clone(), folder };
        let group = OpenCgroup::open(group);
        assert_eq!((group.read().limit_bytes, group.read().current_bytes), (None, Some(77)));
        std::fs::write(mount.path().join("memory.usage_in_bytes"), "78\n").unwrap();
        assert_eq!(group.read().current_bytes, Some(78));
    }
}
