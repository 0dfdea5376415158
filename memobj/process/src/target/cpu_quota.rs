//! The processor time that our own control group may use: who is throttled while a process is paused cannot resume it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use common::cgroup::ControlGroup;
use rustix::time::{ClockId, clock_gettime};

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
        self.fits_after(pause, Duration::ZERO)
    }

    /// The same if we have `used` a part of the time.
    fn fits_after(self, pause: Duration, used: Duration) -> bool {
        pause.saturating_mul(2) <= self.time.saturating_sub(used)
    }
}

/// The quota, and what we have used of it since a whole period was before us.
#[derive(Debug)]
pub(super) struct RestOfQuota {
    quota: Option<CpuQuota>,
    used_before: Duration,
}

impl RestOfQuota {
    /// All of the quota: the caller has slept for a period.
    pub fn all() -> Self {
        Self { quota: CpuQuota::now(), used_before: processor_time() }
    }

    /// Whether a pause that begins now ends before the quota does.
    pub fn fits(&self, pause: Duration) -> bool {
        let used = processor_time().saturating_sub(self.used_before);
        self.quota.is_none_or(|quota| quota.fits_after(pause, used))
    }

    /// Sleeps for a period, and returns how long that is.
    pub fn renew(&mut self) -> Duration {
        let period = self.quota.map_or(Duration::ZERO, |quota| quota.period);
        std::thread::sleep(period);
        *self = Self::all();
        period
    }
}

/// The processor time of all our threads.
fn processor_time() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap_or_default())
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
        assert!(found.fits_after(Duration::from_millis(7), Duration::from_millis(6)));
        assert!(!found.fits_after(Duration::from_millis(7), Duration::from_millis(7)));
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

    #[test]
    fn used_time_is_no_part_of_the_rest() {
        let pause = Duration::from_millis(2);
        let quota = Some(CpuQuota { time: pause * 3, period: pause });
        let mut rest = RestOfQuota { quota, used_before: processor_time() };
        while rest.fits(pause) {
            // It ends, because this uses processor time.
            std::hint::spin_loop();
        }
        assert_eq!(rest.renew(), pause);
        assert_eq!(rest.quota, CpuQuota::now());
    }
}
