//! A control group with a limit of memory or of processor time, for the processes of a test.

use std::fs;
use std::path::PathBuf;

/// A control group, removed at the end.
pub struct ControlGroup(PathBuf);

impl ControlGroup {
    /// A new one with this limit of memory; `name` is of one test.
    ///
    /// # Errors
    /// Why there is none: a reason for [`skip!`](crate::skip).
    pub fn limited(name: &str, bytes: u64) -> Result<Self, String> {
        let bytes = bytes.to_string();
        Self::with(
            name,
            "memory",
            &[("memory.limit_in_bytes", bytes.as_str())],
            &[("memory.max", bytes.as_str())],
        )
    }

    /// A new one with this processor time in each period, in microseconds; `name` is of one test.
    ///
    /// # Errors
    /// As [`limited`](Self::limited).
    pub fn with_quota(name: &str, time: u32, period: u32) -> Result<Self, String> {
        let both = format!("{time} {period}");
        let (time, period) = (time.to_string(), period.to_string());
        let one = [("cpu.cfs_period_us", period.as_str()), ("cpu.cfs_quota_us", time.as_str())];
        Self::with(name, "cpu", &one, &[("cpu.max", both.as_str())])
    }

    /// A new group below that of `controller`, with the values of version 1 or of version 2.
    fn with(
        name: &str,
        controller: &str,
        one: &[(&str, &str)],
        two: &[(&str, &str)],
    ) -> Result<Self, String> {
        let mounts = [format!("/sys/fs/cgroup/{controller}"), "/sys/fs/cgroup".to_owned()].map(PathBuf::from);
        let mount = mounts.into_iter().find(|mount| mount.join("cgroup.procs").exists());
        let path = mount
            .ok_or_else(|| format!("no control groups of {controller} here"))?
            .join(format!("memtools-{name}-{}", std::process::id()));
        let refused = |error| format!("a control group cannot be made: {error}");
        fs::create_dir(&path).map_err(refused)?;
        let group = Self(path);
        let set = |values: &[(&str, &str)]| {
            values.iter().try_for_each(|(file, value)| fs::write(group.file(file), value))
        };
        set(one).or_else(|_| set(two)).map_err(refused)?;
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
