//! Where the memory control group of a process is: cgroups(7), version 1 and 2.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Version 1 has no word for "no limit" but a number near 2^63, rounded down to pages.
pub const NO_LIMIT: u64 = 1 << 62;

/// Where a group is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// 1 or 2.
    pub version: u32,
    /// Its path in its hierarchy, as the kernel names it.
    pub path: Arc<str>,
    /// Its folder, as we see it.
    pub folder: PathBuf,
    /// The uppermost folder of the hierarchy that we see.
    pub mount: PathBuf,
}

impl Place {
    /// The group of a process; `None` if it has none that we can see, or has ended.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
        Self::locate(&groups, &mounts)
    }

    /// The folder of the memory controller's group, out of the texts of `/proc/PID/cgroup` and `mountinfo`.
    ///
    /// A group of version 1's memory controller comes before one of version 2: where both are mounted (hybrid), a controller is in
    /// one of them only, and `/proc/PID/cgroup` lists `memory` by name only in version 1.
    #[must_use]
    pub fn locate(groups: &str, mounts: &str) -> Option<Self> {
        let lines = || {
            groups.lines().filter_map(|line| {
                let mut parts = line.splitn(3, ':');
                Some((parts.next()?, parts.next()?, parts.next()?))
            })
        };
        let one = lines().find(|(_, controllers, _)| controllers.split(',').any(|c| c == "memory"));
        let (version, path) = match one {
            Some((_, _, path)) => (1, path),
            None => (2, lines().find(|(id, controllers, _)| *id == "0" && controllers.is_empty())?.2),
        };
        let mount = mounts.lines().filter_map(Mount::parse).find(|mount| match version {
            1 => mount.kind == "cgroup" && mount.options.split(',').any(|o| o == "memory"),
            _ => mount.kind == "cgroup2",
        })?;
        // In a container the mount shows a part of the hierarchy, whose root the path may or may not begin with.
        let below = path.strip_prefix(mount.root.trim_end_matches('/')).unwrap_or(path);
        let mut folder = PathBuf::from(&mount.point);
        folder.push(below.trim_start_matches('/'));
        Some(Self { version, path: path.into(), folder, mount: PathBuf::from(mount.point) })
    }

    /// Its folder and those of the groups above it, whose limits hold for it too.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        self.folder.ancestors().take_while(|folder| folder.starts_with(&self.mount))
    }

    /// The name of the file with a group's limit.
    #[must_use]
    pub const fn limit_file(&self) -> &'static str {
        if self.version == 1 { "memory.limit_in_bytes" } else { "memory.max" }
    }

    /// The name of the file that says how much a group uses.
    #[must_use]
    pub const fn usage_file(&self) -> &'static str {
        if self.version == 1 { "memory.usage_in_bytes" } else { "memory.current" }
    }
}

/// A line of proc_pid_mountinfo(5).
struct Mount<'a> {
    root: &'a str,
    point: String,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (mount, kind) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (root, point) = (mount.next()?, mount.next()?);
        let mut kind = kind.split(' ');
        let name = kind.next()?;
        // Blanks in paths are written as octal escapes.
        let point = point.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\");
        Some(Self { root, point, kind: name, options: kind.nth(1)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                          41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_memory_controller_of_a_hybrid_machine_is_version_1() {
        let place = Place::locate("9:name=systemd:/\n4:cpu,memory:/a/b\n0::/c\n", HYBRID).unwrap();
        assert_eq!((place.version, &*place.path), (1, "/a/b"));
        assert_eq!(place.folder, Path::new("/sys/fs/cgroup/memory/a/b"));
        let folders: Vec<&Path> = place.folders().collect();
        assert_eq!(folders[1..], [Path::new("/sys/fs/cgroup/memory/a"), Path::new("/sys/fs/cgroup/memory")]);
    }

    #[test]
    fn version_2_and_a_container_that_sees_only_its_own_part() {
        let mounts = "30 24 0:26 /docker/abc /sys/fs/cgroup ro,nosuid shared:1 - cgroup2 cgroup rw\n";
        let place = Place::locate("0::/docker/abc/worker\n", mounts).unwrap();
        assert_eq!((place.version, place.folder.as_path()), (2, Path::new("/sys/fs/cgroup/worker")));
        let inside = Place::locate("0::/worker\n", mounts).unwrap();
        assert_eq!(inside.folder, Path::new("/sys/fs/cgroup/worker"));
        assert_eq!(Place::locate("0::/x\n", ""), None);
        assert_eq!(Place::locate("garbage\n::\n", mounts), None);
    }
}
