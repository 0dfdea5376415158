//! The processes below this one, and signals that cannot hit a stranger.

use crate::process::{ProcessId, Stat};

/// A process as `/proc/PID/stat` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "there is no /proc to read"))]
pub(super) struct Relative {
    pub(super) id: ProcessId,
    parent: u32,
    /// Every thread of it has ended.
    has_ended: bool,
}

#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "there is no /proc to read"))]
impl Relative {
    /// Reads the text of `/proc/PID/stat`; `None` if it is not whole.
    fn parse(pid: u32, stat: &[u8]) -> Option<Self> {
        let stat = Stat::parse(stat)?;
        // A first thread that ended before the others shows as a zombie, too: the process lives.
        let has_ended = stat.state.has_ended() && stat.threads <= 1;
        Some(Self { id: ProcessId { pid, start: stat.start_ticks }, parent: stat.ppid, has_ended })
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

    use super::Relative;

    fn read(pid: u32) -> Option<Relative> {
        Relative::parse(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Every process that can be seen, read when it is its turn. Those that end meanwhile are left out.
    fn everyone() -> impl Iterator<Item = Relative> {
        let entries = fs::read_dir("/proc").into_iter().flatten();
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter_map(read)
    }

    /// The ended children of this process that nobody has taken notice of.
    pub(in super::super) fn zombies() -> Vec<u32> {
        let me = std::process::id();
        everyone().filter(|p| p.parent == me && p.has_ended).map(|p| p.id.pid).collect()
    }

    /// All living processes below this one. What forks meanwhile may be missing, be it everything: whether there are any
    /// is told by [`has_children`](super::super::reap::has_children).
    pub(in super::super) fn descendants() -> Vec<Relative> {
        below(std::process::id(), &everyone().collect::<Vec<_>>())
    }

    /// Calls `visit` for living processes below this one the moment each is read, so that it has no time to fork and end.
    /// Those numbered below their parents are missed: ask again when those have ended.
    pub(in super::super) fn visit_descendants(mut visit: impl FnMut(&Relative)) {
        let mut family = HashSet::from([std::process::id()]);
        for process in everyone() {
            if family.contains(&process.parent) && family.insert(process.id.pid) && !process.has_ended {
                visit(&process);
            }
        }
    }

    pub(super) fn below(root: u32, everyone: &[Relative]) -> Vec<Relative> {
        let mut children: HashMap<u32, Vec<&Relative>> = HashMap::new();
        for process in everyone {
            children.entry(process.parent).or_default().push(process);
        }
        // Lines read at different moments can make a circle out of numbers given out again.
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
        found.retain(|process| !process.has_ended);
        found
    }

    /// Sends `signal` to exactly this process; one that is gone needs none. `false` if that is not permitted.
    pub(in super::super) fn send(target: &Relative, signal: Signal) -> bool {
        let Some(pid) = i32::try_from(target.id.pid).ok().and_then(Pid::from_raw) else { return true };
        let sent = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            // The descriptor holds the process fast; only now can it be seen whether it is still the one that was meant.
            Ok(_) if read(target.id.pid).is_none_or(|now| now.id != target.id) => Ok(()),
            Ok(process) => rustix::process::pidfd_send_signal(process, signal),
            // Kernels before 5.3, and sandboxes.
            Err(Errno::NOSYS | Errno::PERM) => rustix::process::kill_process(pid, signal),
            Err(error) => Err(error),
        };
        sent != Err(Errno::PERM)
    }
}

/// Elsewhere orphans go to init at once, and there is no safe way to list what is below a process: only the command
/// itself is known.
#[cfg(not(target_os = "linux"))]
mod portable {
    use super::Relative;

    pub(in super::super) fn descendants() -> Vec<Relative> {
        Vec::new()
    }

    pub(in super::super) fn visit_descendants(_: impl FnMut(&Relative)) {}

    pub(in super::super) fn send(_: &Relative, _: rustix::process::Signal) -> bool {
        true
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::linux::below;
    use super::*;

    /// Fields 25 to 52, none of which is of interest here.
    const OTHER_FIELDS: &str = " 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0";

    fn process(pid: u32, parent: u32, has_ended: bool) -> Relative {
        Relative { id: ProcessId { pid, start: 1 }, parent, has_ended }
    }

    #[test]
    fn a_stat_line_is_read_behind_a_hostile_name() {
        let line = b"7 (a) Z 1 (b\xff) S 5 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 3 0 4711 9 9";
        assert_eq!(
            Relative::parse(7, &[&line[..], OTHER_FIELDS.as_bytes()].concat()),
            Some(Relative { id: ProcessId { pid: 7, start: 4711 }, parent: 5, has_ended: false })
        );
        for torn in [&b""[..], b"7 (", b"7 (x)", b"7 (x) S", b"7 (x) S 5 7 7", b"7 (x) S five"] {
            assert_eq!(Relative::parse(7, torn), None);
        }
    }

    #[test]
    fn a_zombie_with_threads_left_lives() {
        let stat = |threads| {
            format!("7 (x) Z 5 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 {threads} 0 4711 9 9{OTHER_FIELDS}")
        };
        assert!(Relative::parse(7, stat(1).as_bytes()).unwrap().has_ended);
        assert!(!Relative::parse(7, stat(2).as_bytes()).unwrap().has_ended);
    }

    #[test]
    fn descendants_are_all_levels_without_the_ended_and_without_circles() {
        let everyone = [
            process(1, 0, false),
            process(10, 1, false),
            process(11, 10, true),
            process(12, 11, false),
            process(13, 12, false),
            process(20, 1, false),
            // Numbers given out again while reading.
            process(30, 31, false),
            process(31, 30, false),
        ];
        let mut pids: Vec<u32> = below(10, &everyone).iter().map(|p| p.id.pid).collect();
        pids.sort_unstable();
        assert_eq!(pids, [12, 13]);
        assert_eq!(below(30, &everyone).len(), 1);
    }
}
