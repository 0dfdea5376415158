//! The processes of a run: the ones that the user named, and with `--tree` everything below them, as they come and go.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use common::process::{ProcessId, Stat, decimal};

use super::tracker::Tracker;

/// A process as events name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessSummary {
    /// Its identity; the start is 0 if it could not be read.
    pub id: ProcessId,
    /// The process that the user named: this one, or one above it.
    pub root: u32,
    /// Its name.
    pub name: Arc<str>,
    /// Whether a census of its program was taken.
    pub counted: bool,
}

/// A process that may run Python.
#[derive(Debug)]
pub struct TargetProcess {
    pub info: ProcessSummary,
    /// Identifies the program in it; `None` where that is hidden.
    image: Option<u64>,
    /// The moment when a counted program was replaced by one that is not counted yet.
    pub replaced: Option<Instant>,
    pub tracker: Tracker,
}

/// What happened since the last refresh.
#[derive(Debug, Default)]
pub struct ProcessChanges {
    /// Processes that exited.
    pub ended: Vec<TargetProcess>,
    /// Processes that run another program now; `counted` is of the program before.
    pub replaced: Vec<ProcessSummary>,
}

/// All processes of a run.
#[derive(Debug)]
pub struct ProcessSet {
    roots: Vec<u32>,
    tree: bool,
    adopts: bool,
    processes: Vec<TargetProcess>,
}

impl ProcessSet {
    /// The processes `roots`, and with `tree` those below them. A missing one is included: its census reports the reason.
    /// With `adopts`, orphans of the first root become children of this process, its subreaper.
    pub fn new(roots: &[u32], tree: bool, adopts: bool) -> Self {
        let mut processes: Vec<TargetProcess> = Vec::new();
        for &pid in roots {
            if processes.iter().all(|known| known.info.id.pid != pid) {
                let missing =
                    || ProcStat { id: ProcessId { pid, start: 0 }, parent: 0, name: "?".into(), image: None };
                processes.push(ProcStat::read(pid).unwrap_or_else(missing).target(pid));
            }
        }
        let mut all = Self { roots: roots.to_vec(), tree, adopts, processes };
        all.add_descendants(&read_all(tree));
        all
    }

    /// The processes that are known to run, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &TargetProcess> {
        self.processes.iter()
    }

    /// The processes that the user named.
    pub fn roots(&self) -> &[u32] {
        &self.roots
    }

    /// Those of them that still run.
    pub fn living_roots(&self) -> Vec<u32> {
        let pids = self.pids();
        self.roots.iter().copied().filter(|root| pids.contains(root)).collect()
    }

    /// The numbers of all processes.
    pub fn pids(&self) -> Vec<u32> {
        self.iter().map(|process| process.info.id.pid).collect()
    }

    /// The process `pid`.
    pub fn get_mut(&mut self, pid: u32) -> Option<&mut TargetProcess> {
        self.processes.iter_mut().find(|process| process.info.id.pid == pid)
    }

    /// Removes the process `pid`, which goes on running.
    pub fn remove(&mut self, pid: u32) -> Option<TargetProcess> {
        let index = self.processes.iter().position(|process| process.info.id.pid == pid)?;
        Some(self.processes.remove(index))
    }

    /// By root: how many of these processes below it still run Python, as far as the names of their programs tell.
    pub fn count_python(&self, pids: &BTreeSet<u32>) -> BTreeMap<u32, u64> {
        let program =
            |process: &TargetProcess| fs::read_link(format!("/proc/{}/exe", process.info.id.pid)).ok();
        let counted: HashSet<PathBuf> =
            self.iter().filter(|process| process.info.counted).filter_map(program).collect();
        let is_python = |path: &PathBuf| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            counted.contains(path) || name.is_some_and(|name| name.starts_with("python"))
        };
        let mut counts = BTreeMap::new();
        for process in self.iter().filter(|process| pids.contains(&process.info.id.pid)) {
            if program(process).is_some_and(|path| is_python(&path)) {
                *counts.entry(process.info.root).or_default() += 1;
            }
        }
        counts
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.processes.is_empty()
    }

    /// Finds out which processes exited, run another program, or are new.
    pub fn refresh(&mut self) -> ProcessChanges {
        let mut changes = ProcessChanges::default();
        for mut process in std::mem::take(&mut self.processes) {
            let info = &mut process.info;
            match ProcStat::read(info.id.pid) {
                Some(now) if info.id.start == 0 || now.id == info.id => {
                    let is_other = matches!((process.image, now.image), (Some(old), Some(new)) if old != new);
                    (info.id, process.image, info.name) = (now.id, now.image.or(process.image), now.name);
                    if is_other {
                        changes.replaced.push(info.clone());
                        process.replaced = info.counted.then(Instant::now).or(process.replaced);
                        info.counted = false;
                        process.tracker.restart();
                    }
                    self.processes.push(process);
                }
                _ => changes.ended.push(process),
            }
        }
        self.add_descendants(&read_all(self.tree));
        changes
    }

    /// Adds children of known processes. One whose parent exited, and which has another parent now, stays.
    fn add_descendants(&mut self, read_all: &BTreeMap<u32, ProcStat>) {
        let mut known: HashSet<u32> = self.iter().map(|process| process.info.id.pid).collect();
        let mut children: BTreeMap<u32, Vec<&ProcStat>> = BTreeMap::new();
        for found in read_all.values() {
            children.entry(found.parent).or_default().push(found);
        }
        if let Some(root) = self.processes.first().map(|process| process.info.root).filter(|_| self.adopts) {
            for found in children.get(&std::process::id()).into_iter().flatten() {
                if known.insert(found.id.pid) {
                    self.processes.push(found.target(root));
                }
            }
        }
        let mut next = 0;
        while let Some((pid, root)) =
            self.processes.get(next).map(|process| (process.info.id.pid, process.info.root))
        {
            for found in children.get(&pid).into_iter().flatten() {
                if known.insert(found.id.pid) {
                    self.processes.push(found.target(root));
                }
            }
            next += 1;
        }
    }
}

/// A process as /proc shows it.
#[derive(Debug, Clone)]
struct ProcStat {
    id: ProcessId,
    parent: u32,
    name: Arc<str>,
    image: Option<u64>,
}

impl ProcStat {
    /// Reads the running process `pid`.
    fn read(pid: u32) -> Option<Self> {
        let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let stat = Stat::parse(&text)?;
        (!stat.has_exited() && !stat.is_kernel_thread).then(|| Self {
            id: ProcessId { pid, start: stat.start_ticks },
            parent: stat.ppid,
            name: String::from_utf8_lossy(stat.comm).into(),
            image: stat.image,
        })
    }

    fn target(&self, root: u32) -> TargetProcess {
        let info = ProcessSummary { id: self.id, root, name: Arc::clone(&self.name), counted: false };
        TargetProcess { info, image: self.image, replaced: None, tracker: Tracker::default() }
    }
}

/// All processes but this one, if `wanted`.
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
    use std::io::Read as _;
    use std::process::{Child, Command, Stdio};
    use std::time::Duration;

    use super::*;

    /// A process that exits with the test.
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
        let mut processes = ProcessSet::new(&[root], true, false);
        wait_until("three shells", || {
            processes.refresh();
            processes.iter().count() >= 3
        });
        assert!(processes.iter().all(|process| process.info.root == root));
        let pids = processes.pids();
        let [_, middle, inner] = pids[..] else { panic!("{processes:?}") };
        let middle = rustix::process::Pid::from_raw(middle.try_into().unwrap()).unwrap();
        rustix::process::kill_process(middle, rustix::process::Signal::KILL).unwrap();
        wait_until("the end of the middle one", || !processes.refresh().ended.is_empty());
        assert_eq!(processes.pids(), [root, inner]);
        // Both shells that are left read the pipe, and find its end.
        running.end();
        wait_until("the end of all", || {
            processes.refresh();
            processes.is_empty()
        });
    }

    #[test]
    fn exit_and_exec_are_reported() {
        let mut running = Running::shell("read x; exec cat");
        let pid = running.0.id();
        let mut processes = ProcessSet::new(&[pid, pid], false, false);
        assert_eq!(processes.iter().count(), 1);
        processes.get_mut(pid).unwrap().info.counted = true;
        std::io::Write::write_all(running.0.stdin.as_mut().unwrap(), b"\n").unwrap();
        let mut replaced = Vec::new();
        wait_until("exec", || {
            replaced.append(&mut processes.refresh().replaced);
            !replaced.is_empty()
        });
        let info = &processes.get_mut(pid).unwrap().info;
        assert_eq!((&*replaced[0].name, &*info.name, info.counted), ("cat", "cat", false));
        running.end();
        let changes = processes.refresh();
        assert_eq!(changes.ended.iter().map(|process| process.info.id.pid).collect::<Vec<_>>(), [pid]);
        assert!(processes.is_empty());
    }

    #[test]
    fn missing_pid_is_kept_until_refresh() {
        // Above the most that the kernel gives out (proc_sys_kernel(5), pid_max).
        let mut processes = ProcessSet::new(&[1 << 30], true, false);
        assert_eq!(
            processes.iter().map(|process| process.info.id).collect::<Vec<_>>(),
            [ProcessId { pid: 1 << 30, start: 0 }]
        );
        assert_eq!(processes.refresh().ended.len(), 1);
    }
}
