//! The control groups of a process: cgroups(7), version 1 and 2.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// From this value on, a limit means "no limit": version 1 writes a number near 2^63, rounded down to pages.
pub const NO_LIMIT: u64 = 1 << 62;

/// A control group with one of the controllers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlGroup {
    /// 1 or 2.
    pub version: u32,
    /// Its path in the hierarchy.
    pub path: Arc<str>,
    /// Its folder in our file system.
    pub folder: PathBuf,
    /// The top folder of the hierarchy in our file system.
    pub mount: PathBuf,
}

impl ControlGroup {
    /// Finds the group of a process that `controller` (`memory`, `cpu`) manages; `None` if the process has exited, or no group is visible.
    #[must_use]
    pub fn for_process(pid: u32, controller: &str) -> Option<Self> {
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
        Self::locate(controller, &groups, &mounts)
    }

    /// Finds the group in the texts of `/proc/PID/cgroup` and `mountinfo`.
    ///
    /// A group of version 1 comes first: if both versions are mounted (hybrid), a controller is in only one of them, and
    /// `/proc/PID/cgroup` lists it by name only in version 1.
    #[must_use]
    pub fn locate(controller: &str, groups: &str, mounts: &str) -> Option<Self> {
        let lines = || {
            groups.lines().filter_map(|line| {
                let mut parts = line.splitn(3, ':');
                Some((parts.next()?, parts.next()?, parts.next()?))
            })
        };
        let one = lines().find(|(_, controllers, _)| controllers.split(',').any(|c| c == controller));
        let (version, path) = match one {
            Some((_, _, path)) => (1, path),
            None => (2, lines().find(|(id, controllers, _)| *id == "0" && controllers.is_empty())?.2),
        };
        let mount = mounts.lines().filter_map(Mount::parse).find(|mount| match version {
            1 => mount.kind == "cgroup" && mount.options.split(',').any(|o| o == controller),
            _ => mount.kind == "cgroup2",
        })?;
        // In a container the mount shows a part of the hierarchy. The path may begin with the root of that part.
        let below = path.strip_prefix(mount.root.trim_end_matches('/')).unwrap_or(path);
        let mut folder = PathBuf::from(&mount.point);
        folder.push(below.trim_start_matches('/'));
        Some(Self { version, path: path.into(), folder, mount: PathBuf::from(mount.point) })
    }

    /// Its folder and those of the groups above it, whose limits also apply.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        self.folder.ancestors().take_while(|folder| folder.starts_with(&self.mount))
    }

    /// The name of the file with a group's limit of memory.
    #[must_use]
    pub const fn limit_file(&self) -> &'static str {
        if self.version == 1 { "memory.limit_in_bytes" } else { "memory.max" }
    }

    /// The name of the file with a group's usage of memory.
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
        // White space in paths is written as octal escapes.
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
    fn hybrid_memory_cgroup_is_v1() {
        let group =
            ControlGroup::locate("memory", "9:name=systemd:/\n4:cpu,memory:/a/b\n0::/c\n", HYBRID).unwrap();
        assert_eq!((group.version, &*group.path), (1, "/a/b"));
        assert_eq!(group.folder, Path::new("/sys/fs/cgroup/memory/a/b"));
        let folders: Vec<&Path> = group.folders().collect();
        assert_eq!(folders[1..], [Path::new("/sys/fs/cgroup/memory/a"), Path::new("/sys/fs/cgroup/memory")]);
    }

    #[test]
    fn container_sees_its_own_cgroup() {
        let mounts = "30 24 0:26 /docker/abc /sys/fs/cgroup ro,nosuid shared:1 - cgroup2 cgroup rw\n";
        let group = ControlGroup::locate("memory", "0::/docker/abc/worker\n", mounts).unwrap();
        assert_eq!((group.version, group.folder.as_path()), (2, Path::new("/sys/fs/cgroup/worker")));
        let inside = ControlGroup::locate("memory", "0::/worker\n", mounts).unwrap();
        assert_eq!(inside.folder, Path::new("/sys/fs/cgroup/worker"));
        assert_eq!(ControlGroup::locate("memory", "0::/x\n", ""), None);
        assert_eq!(ControlGroup::locate("memory", "garbage\n::\n", mounts), None);
    }
}
