//! A control group with a limit of memory, for the processes of a test.

use std::fs;
use std::path::PathBuf;

/// A control group, removed at the end.
pub struct ControlGroup(PathBuf);

impl ControlGroup {
    /// A new one with this limit; `name` is of one test.
    ///
    /// # Errors
    /// Why there is none: a reason for [`skip!`](crate::skip).
    pub fn limited(name: &str, bytes: u64) -> Result<Self, String> {
        let mounts = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"].map(PathBuf::from);
        let mount = mounts.into_iter().find(|mount| mount.join("cgroup.procs").exists());
        let path = mount
            .ok_or("no memory control groups here")?
            .join(format!("memtools-{name}-{}", std::process::id()));
        let refused = |error| format!("a control group cannot be made: {error}");
        fs::create_dir(&path).map_err(refused)?;
        let group = Self(path);
        let limit = |file: &str| fs::write(group.file(file), bytes.to_string());
        limit("memory.limit_in_bytes").or_else(|_| limit("memory.max")).map_err(refused)?;
        Ok(group)
    }

    /// One of its files, such as `cgroup.procs`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
