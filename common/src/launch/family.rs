//! The descendants of this process, and signals that reach only the intended process.

use crate::process::{ProcessId, Stat};

/// A process as `/proc/PID/stat` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "there is no /proc to read"))]
pub(super) struct ProcessStat {
    pub(super) id: ProcessId,
    parent: u32,
    /// Whether every thread has exited.
    has_exited: bool,
}

#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "there is no /proc to read"))]
impl ProcessStat {
    /// Parses `/proc/PID/stat`; `None` if it is incomplete.
    fn parse(pid: u32, stat: &[u8]) -> Option<Self> {
        let stat = Stat::parse(stat)?;
        let id = ProcessId { pid, start: stat.start_ticks };
        Some(Self { id, parent: stat.ppid, has_exited: stat.has_exited() })
    }
}

#[cfg(target_os = "linux")]
pub(super) use linux::{descendants, send, visit_descendants, zombies};
#[cfg(not(target_os = "linux"))]
pub(super) use portable::{descendants, send, visit_descendants};

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::{HashMap, HashSet};
    use std::fs;

    use rustix::io::Errno;
    use rustix::process::{Pid, PidfdFlags, Signal};

    use super::ProcessStat;

    fn read(pid: u32) -> Option<ProcessStat> {
        ProcessStat::parse(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// All visible processes, each read when the iterator gets to it. Processes that exit meanwhile are missing.
    fn all_processes() -> impl Iterator<Item = ProcessStat> {
        let entries = fs::read_dir("/proc").into_iter().flatten();
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter_map(read)
    }

    /// The children of this process that exited and were not reaped.
    pub(in super::super) fn zombies() -> Vec<u32> {
        let me = std::process::id();
        all_processes().filter(|p| p.parent == me && p.has_exited).map(|p| p.id.pid).collect()
    }

    /// All running descendants of this process. Those that fork meanwhile may be missing, even all of them: only
    /// [`has_children`](super::super::reap::has_children) knows whether there are any.
    pub(in super::super) fn descendants() -> Vec<ProcessStat> {
        descendants_of(std::process::id(), &all_processes().collect::<Vec<_>>())
    }

    /// Calls `visit` for each running descendant as soon as it is read, so that it has no time to fork and exit. Misses those
    /// with a lower pid than their parent: call it again when the parents have exited.
    pub(in super::super) fn visit_descendants(mut visit: impl FnMut(&ProcessStat)) {
        let mut family = HashSet::from([std::process::id()]);
        for process in all_processes() {
            if family.contains(&process.parent) && family.insert(process.id.pid) && !process.has_exited {
                visit(&process);
            }
        }
    }

    pub(super) fn descendants_of(root: u32, all_processes: &[ProcessStat]) -> Vec<ProcessStat> {
        let mut children: HashMap<u32, Vec<&ProcessStat>> = HashMap::new();
        for process in all_processes {
            children.entry(process.parent).or_default().push(process);
        }
        // Entries read at different times can form a cycle through reused pids.
        let mut seen = HashSet::from([root]);
        let mut found = Vec::new();
        let mut parents = vec![root];
        while let Some(parent) = parents.pop() {
            for &&child in children.get(&parent).into_iter().flatten() {
                if seen.insert(child.id.pid) {
                    parents.push(child.id.pid);
                    found.push(child);
                }
            }
        }
        found.retain(|process| !process.has_exited);
        found
    }

    /// Sends `signal` to exactly this process, if it still runs. Returns `false` if that is not permitted.
    pub(in super::super) fn send(target: &ProcessStat, signal: Signal) -> bool {
        let Some(pid) = i32::try_from(target.id.pid).ok().and_then(Pid::from_raw) else { return true };
        let sent = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            // The descriptor keeps the pid from being reused, so this check is reliable only now.
            Ok(_) if read(target.id.pid).is_none_or(|now| now.id != target.id) => Ok(()),
            Ok(process) => rustix::process::pidfd_send_signal(process, signal),
            // Kernels before 5.3, and sandboxes.
            Err(Errno::NOSYS | Errno::PERM) => rustix::process::kill_process(pid, signal),
            Err(error) => Err(error),
        };
        sent != Err(Errno::PERM)
    }
}

/// Elsewhere orphans become children of init, and descendants cannot be listed safely: only the command itself is known.
#[cfg(not(target_os = "linux"))]
mod portable {
    use super::ProcessStat;

    pub(in super::super) fn descendants() -> Vec<ProcessStat> {
        Vec::new()
    }

    pub(in super::super) fn visit_descendants(_: impl FnMut(&ProcessStat)) {}

    pub(in super::super) fn send(_: &ProcessStat, _: rustix::process::Signal) -> bool {
        true
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::linux::descendants_of;
    use super::*;

    /// Fields 25 to 52.
    const OTHER_FIELDS: &str = " 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0";

    fn process(pid: u32, parent: u32, has_exited: bool) -> ProcessStat {
        ProcessStat { id: ProcessId { pid, start: 1 }, parent, has_exited }
    }

    #[test]
    fn stat_survives_hostile_name() {
        let line = b"7 (a) Z 1 (b\xff) S 5 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 3 0 4711 9 9";
        assert_eq!(
            ProcessStat::parse(7, &[&line[..], OTHER_FIELDS.as_bytes()].concat()),
            Some(ProcessStat { id: ProcessId { pid: 7, start: 4711 }, parent: 5, has_exited: false })
        );
        for torn in [&b""[..], b"7 (", b"7 (x)", b"7 (x) S", b"7 (x) S 5 7 7", b"7 (x) S five"] {
            assert_eq!(ProcessStat::parse(7, torn), None);
        }
    }

    #[test]
    fn zombie_with_threads_lives() {
        let stat = |threads| {
            format!("7 (x) Z 5 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 {threads} 0 4711 9 9{OTHER_FIELDS}")
        };
        assert!(ProcessStat::parse(7, stat(1).as_bytes()).unwrap().has_exited);
        assert!(!ProcessStat::parse(7, stat(2).as_bytes()).unwrap().has_exited);
    }

    #[test]
    fn descendants_survive_pid_cycles() {
        let all_processes = [
            process(1, 0, false),
            process(10, 1, false),
            process(11, 10, true),
            process(12, 11, false),
            process(13, 12, false),
            process(20, 1, false),
            // Pids reused while reading.
            process(30, 31, false),
            process(31, 30, false),
        ];
        let mut pids: Vec<u32> = descendants_of(10, &all_processes).iter().map(|p| p.id.pid).collect();
        pids.sort_unstable();
        assert_eq!(pids, [12, 13]);
        assert_eq!(descendants_of(30, &all_processes).len(), 1);
    }
}
