//! The processes of a run: those that the user named, and with `--tree` everything below them, as they come and go.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Instant;

use common::process::{ProcessId, Stat, decimal};

/// A process that may run Python.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetProcess {
    /// Who it is; its start is 0 if it could not be read.
    pub id: ProcessId,
    /// The process that was named and is this one or above it.
    pub root: u32,
    /// Its name.
    pub name: Arc<str>,
    /// What tells the program in it from another one; `None` where that is hidden from us.
    image: Option<u64>,
    /// Whether a census of it was taken.
    pub counted: bool,
    /// Since when it runs another program than the one that was counted, if no census of that was taken yet.
    pub replaced: Option<Instant>,
}

/// What happened to the members since they were looked at last.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ProcessChanges {
    /// They have ended.
    pub ended: Vec<TargetProcess>,
    /// They run another program now, the same processes.
    pub replaced: Vec<TargetProcess>,
}

/// All members.
#[derive(Debug)]
pub struct ProcessSet {
    tree: bool,
    adopts: bool,
    members: Vec<TargetProcess>,
}

impl ProcessSet {
    /// The processes of these numbers; with `tree`, and what is below them. One that is not there is a member all the same:
    /// taking its census says what is wrong. `adopts`: orphans of the first one become children of this process, its subreaper.
    pub fn new(roots: &[u32], tree: bool, adopts: bool) -> Self {
        let mut members: Vec<TargetProcess> = Vec::new();
        for &pid in roots {
            if members.iter().all(|known| known.id.pid != pid) {
                let member = ProcStat::read(pid).map(|found| found.member(pid));
                members.push(member.unwrap_or_else(|| TargetProcess {
                    id: ProcessId { pid, start: 0 },
                    root: pid,
                    name: "?".into(),
                    image: None,
                    counted: false,
                    replaced: None,
                }));
            }
        }
        let mut all = Self { tree, adopts, members };
        all.take_in(&read_all(tree));
        all
    }

    /// Those that live, as far as is known, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &TargetProcess> {
        self.members.iter()
    }

    /// That of the number `pid`.
    pub fn get_mut(&mut self, pid: u32) -> Option<&mut TargetProcess> {
        self.members.iter_mut().find(|member| member.id.pid == pid)
    }

    /// Leaves a living member out from now on.
    pub fn drop(&mut self, pid: u32) {
        self.members.retain(|member| member.id.pid != pid);
    }

    /// Whether none lives.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Looks what became of them, and who has come.
    pub fn refresh(&mut self) -> ProcessChanges {
        let mut changes = ProcessChanges::default();
        let mut living = Vec::with_capacity(self.members.len());
        for mut member in self.members.drain(..) {
            match ProcStat::read(member.id.pid) {
                Some(now) if member.id.start == 0 || now.id == member.id => {
                    let is_other = matches!((member.image, now.image), (Some(old), Some(new)) if old != new);
                    (member.id, member.image, member.name) = (now.id, now.image.or(member.image), now.name);
                    if is_other {
                        changes.replaced.push(member.clone());
                        member.replaced = member.counted.then(Instant::now).or(member.replaced);
                        member.counted = false;
                    }
                    living.push(member);
                }
                _ => changes.ended.push(member),
            }
        }
        self.members = living;
        self.take_in(&read_all(self.tree));
        changes
    }

    /// Members are remembered: one whose parent ended, and so has another one now, stays a member.
    fn take_in(&mut self, read_all: &BTreeMap<u32, ProcStat>) {
        let mut known: HashSet<u32> = self.members.iter().map(|member| member.id.pid).collect();
        let mut children: BTreeMap<u32, Vec<&ProcStat>> = BTreeMap::new();
        for found in read_all.values() {
            children.entry(found.parent).or_default().push(found);
        }
        if let Some(root) = self.members.first().map(|member| member.root).filter(|_| self.adopts) {
            for found in children.get(&std::process::id()).into_iter().flatten() {
                if known.insert(found.id.pid) {
                    self.members.push(found.member(root));
                }
            }
        }
        let mut next = 0;
        while let Some((pid, root)) = self.members.get(next).map(|member| (member.id.pid, member.root)) {
            for found in children.get(&pid).into_iter().flatten() {
                if known.insert(found.id.pid) {
                    self.members.push(found.member(root));
                }
            }
            next += 1;
        }
    }
}

/// A process as it was found.
#[derive(Debug, Clone)]
struct ProcStat {
    id: ProcessId,
    parent: u32,
    name: Arc<str>,
    image: Option<u64>,
}

impl ProcStat {
    /// The living process of that number.
    fn read(pid: u32) -> Option<Self> {
        let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let stat = Stat::parse(&text)?;
        // The first thread of a program may have ended before the others.
        let has_ended = stat.state.has_ended() && stat.threads <= 1;
        (!has_ended && !stat.is_kernel_thread).then(|| Self {
            id: ProcessId { pid, start: stat.start_ticks },
            parent: stat.ppid,
            name: String::from_utf8_lossy(stat.comm).into(),
            image: stat.image,
        })
    }

    fn member(&self, root: u32) -> TargetProcess {
        TargetProcess {
            id: self.id,
            root,
            name: Arc::clone(&self.name),
            image: self.image,
            counted: false,
            replaced: None,
        }
    }
}

/// As much of a command line as is read: the kernel gives out as much as there is, megabytes if need be.
const MAX_CMDLINE_BYTES: u64 = 64 << 10;

/// The arguments of a process, as it may have changed them; `None` where they cannot be read: proc_pid_cmdline(5).
pub fn read_cmdline(pid: u32) -> Option<Vec<String>> {
    let mut text = Vec::new();
    fs::File::open(format!("/proc/{pid}/cmdline"))
        .ok()?
        .take(MAX_CMDLINE_BYTES)
        .read_to_end(&mut text)
        .ok()?;
    let text = text.strip_suffix(b"\0").unwrap_or(&text);
    Some(text.split(|&byte| byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect())
}

/// All processes, if they are wanted, but this one.
fn read_all(wanted: bool) -> BTreeMap<u32, ProcStat> {
    if !wanted {
        return BTreeMap::new();
    }
    let entries = fs::read_dir("/proc").into_iter().flatten();
    let pids =
        entries.filter_map(|entry| u32::try_from(decimal(entry.ok()?.file_name().as_encoded_bytes())?).ok());
    let us = std::process::id();
    pids.filter(|&pid| pid != us).filter_map(|pid| Some((pid, ProcStat::read(pid)?))).collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};
    use std::time::Duration;

    use super::*;

    /// A process that is gone with the test.
    struct Running(Child);

    impl Running {
        fn shell(script: &str) -> Self {
            let script = format!("echo; {script}");
            let mut command = Command::new("sh");
            command.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.spawn().unwrap();
            // `spawn` returns while the kernel is still setting up the shell, which then seems to have no image.
            child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
            Self(child)
        }

        fn end(&mut self) {
            // Its end of the pipe: `read` in the script returns, and the script ends.
            drop(self.0.stdin.take());
            self.0.wait().unwrap();
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
        let limit = Instant::now() + Duration::from_secs(30);
        while !condition() {
            assert!(Instant::now() < limit, "waited in vain: {what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn orphans_stay_in_the_tree() {
        let mut running =
            Running::shell("exec 3<&0; sh -c 'sh -c \"read x <&3; :\" 3<&3 & wait' & read x <&3; :");
        let root = running.0.id();
        let mut members = ProcessSet::new(&[root], true, false);
        wait_until("three shells", || {
            members.refresh();
            members.iter().count() >= 3
        });
        assert!(members.iter().all(|member| member.root == root));
        let pids: Vec<u32> = members.iter().map(|member| member.id.pid).collect();
        let [_, middle, inner] = pids[..] else { panic!("{members:?}") };
        let middle = rustix::process::Pid::from_raw(middle.try_into().unwrap()).unwrap();
        rustix::process::kill_process(middle, rustix::process::Signal::KILL).unwrap();
        wait_until("the end of the middle one", || !members.refresh().ended.is_empty());
        assert_eq!(members.iter().map(|member| member.id.pid).collect::<Vec<_>>(), [root, inner]);
        // Both shells that are left read the pipe, and find its end.
        running.end();
        wait_until("the end of all", || {
            members.refresh();
            members.is_empty()
        });
    }

    #[test]
    fn exit_and_exec_are_reported() {
        let mut running = Running::shell("read x; exec cat");
        let pid = running.0.id();
        let mut members = ProcessSet::new(&[pid, pid], false, false);
        assert_eq!(members.iter().count(), 1);
        members.get_mut(pid).unwrap().counted = true;
        std::io::Write::write_all(running.0.stdin.as_mut().unwrap(), b"\n").unwrap();
        let mut replaced = Vec::new();
        wait_until("exec", || {
            replaced.append(&mut members.refresh().replaced);
            !replaced.is_empty()
        });
        let member = members.get_mut(pid).unwrap();
        assert_eq!((&*replaced[0].name, &*member.name, member.counted), ("cat", "cat", false));
        running.end();
        let changes = members.refresh();
        assert_eq!(changes.ended.iter().map(|member| member.id.pid).collect::<Vec<_>>(), [pid]);
        assert!(members.is_empty());
    }

    #[test]
    fn cmdline_splits_arguments() {
        let running = Running::shell("read x; : 'two words'");
        let words = read_cmdline(running.0.id()).unwrap();
        assert_eq!((&*words[0], &*words[1], words.len()), ("sh", "-c", 3));
        assert!(words[2].ends_with(": 'two words'"), "{words:?}");
        assert_eq!(read_cmdline(1 << 30), None);
    }

    #[test]
    fn missing_pid_is_kept_until_refresh() {
        // Above the most that the kernel gives out (proc_sys_kernel(5), pid_max).
        let mut members = ProcessSet::new(&[1 << 30], true, false);
        assert_eq!(
            members.iter().map(|member| member.id).collect::<Vec<_>>(),
            [ProcessId { pid: 1 << 30, start: 0 }]
        );
        assert_eq!(members.refresh().ended.len(), 1);
    }
}
