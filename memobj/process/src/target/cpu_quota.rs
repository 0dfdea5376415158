//! The processor time that our own control group may use: who is throttled while a process is paused cannot resume it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use common::cgroup::ControlGroup;

/// The tightest quota of our control group and its ancestors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CpuQuota {
    /// Processor time in each period.
    pub time: Duration,
    /// The period.
    pub period: Duration,
}

impl CpuQuota {
    /// Reads it; `None` without a quota.
    pub fn now() -> Option<Self> {
        Self::for_group(&ControlGroup::for_process(std::process::id(), "cpu")?)
    }

    fn for_group(group: &ControlGroup) -> Option<Self> {
        let quotas = group.folders().filter_map(|folder| quota(group.version, folder));
        quotas.min_by_key(|quota| quota.time)
    }

    /// Whether a pause that begins with a period ends within it: the other half of the time is for those who share the quota with us.
    pub fn fits(self, pause: Duration) -> bool {
        pause.saturating_mul(2) <= self.time
    }
}

/// The quota of one group, in microseconds: `cpu.max`, or `cpu.cfs_quota_us` and `cpu.cfs_period_us` (Documentation/admin-guide/cgroup-v2.rst,
/// Documentation/scheduler/sched-bwc.rst of the kernel). Without a quota the first is `max` or -1.
fn quota(version: u32, folder: &Path) -> Option<CpuQuota> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let text = match version {
        1 => format!("{} {}", read("cpu.cfs_quota_us")?, read("cpu.cfs_period_us")?),
        _ => read("cpu.max")?,
    };
    let mut numbers = text.split_ascii_whitespace().map(|word| word.parse().ok().map(Duration::from_micros));
    Some(CpuQuota { time: numbers.next()??, period: numbers.next()?? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(version: u32, files: &[(&str, &str)]) -> Option<CpuQuota> {
        let mount = tempfile::tempdir().unwrap();
        let folder = mount.path().join("a/b");
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in files {
            fs::write(mount.path().join(name), text).unwrap();
        }
        CpuQuota::for_group(&ControlGroup {
            version,
            path: "/a/b".into(),
            folder,
            mount: mount.path().to_owned(),
        })
    }

    #[test]
    fn tightest_quota_counts() {
        let two = [("a/cpu.max", "20000 100000\n"), ("a/b/cpu.max", "max 100000\n")];
        let found = quota(2, &two).unwrap();
        assert_eq!((found.time, found.period), (Duration::from_millis(20), Duration::from_millis(100)));
        assert!(found.fits(Duration::from_millis(10)) && !found.fits(Duration::from_millis(11)));
        assert_eq!(quota(2, &[("a/b/cpu.max", "max 100000\n")]), None);
        let one = [
            ("cpu.cfs_quota_us", "-1\n"),
            ("cpu.cfs_period_us", "100000\n"),
            ("a/b/cpu.cfs_quota_us", "5000\n"),
            ("a/b/cpu.cfs_period_us", "50000\n"),
        ];
        assert_eq!(quota(1, &one).map(|quota| quota.time), Some(Duration::from_millis(5)));
        assert_eq!(quota(1, &[]), None);
    }
}
