//! The watched processes: which they are, when they start and exit, and their sizes.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::launch::{ExitStatus, Reaped};
use common::process::ProcessId;
use common::record::{Cgroup, ErrorRecord, EventKind, Header, ProcessEvent, Record, Run};
use common::session::set_exit;

use super::budget::TimeBudget;
use super::pending_processes::{PendingProcess, PendingProcesses};
use super::round_robin::{self, ReadQueue};
use super::watched_process::{WatchedProcess, round};
use crate::cli::Pss;
use crate::limits::TreeUsage;
use crate::process_forest::ProcessForest;
use crate::source::{KernelEvent, ProcessCounts, ProcessEntry, ProcessSource, ReadError};
use crate::triggers::{MemoryUse, Needs, ProcessSize, TreeSizes};

/// Processes are listed again after this time even if the kernel reports each new one.
const MAX_LISTING_AGE: Duration = Duration::from_secs(30);

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct SamplerOptions {
    /// The requested interval.
    pub interval: Duration,
    /// When to read PSS and USS.
    pub pss: Pss,
    /// Whether records contain command lines.
    pub cmdline: bool,
    /// Whether process starts are in clock ticks.
    pub start_ticks: bool,
    /// Whether orphans of the first tree become children of this program, which has no others.
    pub adopts: bool,
}

/// The state of one tree.
#[derive(Debug, Default)]
pub(super) struct TreeState {
    pub(super) ended: bool,
    pub(super) short_lived: u64,
    pub(super) oom_kills: Option<u64>,
    pub(super) limit: Option<u64>,
}

/// Samples one or several process trees.
pub struct Sampler {
    pub(super) source: Box<dyn ProcessSource>,
    pub(super) options: SamplerOptions,
    pub(super) run: Run,
    pub(super) started: Instant,
    pub(super) forest: ProcessForest,
    pub(super) trees: Vec<TreeState>,
    pub(super) members: HashMap<ProcessId, WatchedProcess>,
    pub(super) queue: ReadQueue,
    pending: PendingProcesses,
    /// Whether the kernel reports process events.
    pub(super) has_kernel_events: bool,
    listed: Option<Instant>,
    /// How processes ended whose exit was not noticed yet, and when, if known.
    exits: HashMap<u32, (ExitStatus, Option<Duration>)>,
    pub(super) details_budget: TimeBudget,
    pub(super) pss_budget: TimeBudget,
    last_tick: Option<Instant>,
    pub(super) system_read_at: Option<Instant>,
    pub(super) machine_bytes: Option<u64>,
    pub(super) iteration: u64,
}

impl Sampler {
    /// A sampler of the trees below `roots`.
    pub fn new(
        mut source: Box<dyn ProcessSource>,
        options: SamplerOptions,
        run: Run,
        roots: &[ProcessEntry],
    ) -> Self {
        let (details_budget, pss_budget) = round_robin::budgets(options.interval);
        let machine_bytes = source.system().map(|system| system.total_bytes);
        let mut sampler = Self {
            source,
            options,
            run,
            started: Instant::now(),
            forest: ProcessForest::default(),
            trees: Vec::new(),
            members: HashMap::new(),
            queue: ReadQueue::default(),
            pending: PendingProcesses::default(),
            has_kernel_events: false,
            listed: None,
            exits: HashMap::new(),
            details_budget,
            pss_budget,
            last_tick: None,
            system_read_at: None,
            machine_bytes,
            iteration: 1,
        };
        for entry in roots {
            let root = sampler.forest.add_root(entry.id);
            sampler.trees.push(TreeState::default());
            sampler.members.insert(entry.id, WatchedProcess::new(entry, root, options.start_ticks));
        }
        if options.adopts {
            sampler.forest.set_adopter(std::process::id());
        }
        sampler
    }

    /// Whether every root has exited.
    pub fn has_ended(&self) -> bool {
        self.trees.iter().all(|tree| tree.ended)
    }

    /// The roots that still live.
    pub fn living_roots(&self) -> impl Iterator<Item = ProcessId> {
        self.forest.roots().iter().zip(&self.trees).filter(|(_, tree)| !tree.ended).map(|(id, _)| *id)
    }

    /// Whether the process with this pid is or was a root.
    pub fn has_root(&self, pid: u32) -> bool {
        self.forest.roots().iter().any(|id| id.pid == pid)
    }

    /// The header for a record that belongs to the next sample.
    pub fn header(&self) -> Header {
        Header::now(&self.run, self.iteration)
    }

    /// A descriptor that is readable when there are [kernel events](Self::read_kernel_events).
    #[cfg(unix)]
    pub fn event_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.source.event_fd()
    }

    /// Notes the exit status of a reaped process.
    pub fn reaped(&mut self, reaped: &Reaped) {
        if self.is_watched(reaped.pid) && reaped.status != ExitStatus::Unknown {
            self.exits.insert(reaped.pid, (reaped.status, None));
        }
    }

    /// Reads kernel events. Exits of short-lived processes become records; the rest is kept for the next sample.
    pub fn read_kernel_events(&mut self) -> Vec<Record> {
        let Some(events) = self.source.kernel_events() else { return Vec::new() };
        self.has_kernel_events = true;
        let (forest, exits) = (&self.forest, &self.exits);
        let lives = |pid| forest.tree_of(pid).is_some() && !exits.contains_key(&pid);
        let updates = self.pending.apply(events, |pid| forest.tree_of(pid), lives);
        updates.into_iter().filter_map(|(event, pending)| self.apply(event, pending)).collect()
    }

    fn apply(&mut self, event: KernelEvent, pending: Option<PendingProcess>) -> Option<Record> {
        match (event, pending) {
            (KernelEvent::Exec { pid }, Some(_)) => self.read_program(pid),
            (KernelEvent::Exec { pid }, None) => {
                if let Some(member) = self.forest.member(pid).and_then(|id| self.members.get_mut(&id)) {
                    member.note_exec();
                }
            }
            (KernelEvent::Exit { pid, wait_status, at }, Some(process)) => {
                self.exits.remove(&pid);
                if let Some(tree) = self.trees.get_mut(process.root) {
                    tree.short_lived += 1;
                }
                let mut event = ProcessEvent {
                    ppid: Some(process.ppid),
                    name: self.name_of(&process),
                    lifetime_seconds: Some(round(at.saturating_sub(process.at).as_secs_f64(), 1e6)),
                    cmdline: process.cmdline,
                    ..ProcessEvent::new(self.header(), EventKind::Exited, pid, self.root_pid(process.root))
                };
                set_exit(&mut event, decode_wait_status(wait_status));
                return Some(Record::ProcessEvent(Box::new(event)));
            }
            (KernelEvent::Exit { pid, wait_status, at }, None) => {
                self.exits.insert(pid, (decode_wait_status(wait_status), Some(at)));
            }
            (KernelEvent::Lost, _) => {
                self.listed = None;
                let message = "the kernel dropped process events: some short-lived processes are missing";
                return Some(Record::Error(ErrorRecord::new(self.header(), "events", message.into())));
            }
            (KernelEvent::Fork { .. } | KernelEvent::Name { .. }, _) => {}
        }
        None
    }

    /// Reads the name and command line of a pending process at once: it may exit at any moment.
    fn read_program(&mut self, pid: u32) {
        let Ok(entry) = self.source.find(pid) else { return };
        if let Ok(details) = self.source.details(entry.id) {
            let (name, cmdline) = if self.options.cmdline {
                (details.full_name(), details.sample.cmdline)
            } else {
                (details.sample.name, None)
            };
            self.pending.set_name(pid, name, cmdline);
        }
        // Most are never seen again.
        self.source.forget(entry.id);
    }

    /// Begins a tick. Returns the time since the last one.
    pub(super) fn begin_tick(&mut self, now: Instant) -> Option<Duration> {
        for member in self.members.values_mut() {
            (member.details_fresh, member.pss_fresh) = (false, false);
        }
        self.last_tick.replace(now).map(|last| now.duration_since(last))
    }

    /// Reads all sizes between two samples. Returns starts and exits as records, and the usage of each tree.
    ///
    /// # Errors
    /// Processes cannot be listed.
    pub fn probe_usage(&mut self) -> io::Result<(Vec<Record>, Vec<TreeUsage>)> {
        let mut records = self.read_kernel_events();
        self.add_new_processes(Instant::now(), &mut records)?;
        self.read_sizes(&mut records);
        self.forget_stale_exits();
        let mut usage = vec![TreeUsage::default(); self.trees.len()];
        for member in self.members.values() {
            if let (Some(usage), Some(sizes)) = (usage.get_mut(member.root), member.sizes) {
                usage.total_bytes = usage.total_bytes.saturating_add(sizes.rss_bytes);
                usage.largest_bytes = usage.largest_bytes.max(sizes.rss_bytes);
            }
        }
        Ok((records, usage))
    }

    /// The use of the cgroup of a root if that has a limit, or else of the machine.
    fn memory_use(&mut self, root: ProcessId) -> Option<MemoryUse> {
        if let Some(of_group) = self.source.cgroup(root).as_ref().and_then(cgroup_use) {
            return Some(of_group);
        }
        let system = self.source.system()?;
        let used_bytes = system.total_bytes.saturating_sub(system.available_bytes?);
        Some(MemoryUse { used_bytes, limit_bytes: system.total_bytes })
    }

    /// The sizes of all trees as they were read last, and what conditions need beside them, read now.
    pub fn tree_sizes(&mut self, needs: Needs) -> Vec<TreeSizes> {
        let roots = self.forest.roots().to_vec();
        let mut trees: Vec<TreeSizes> = (roots.into_iter())
            .map(|root| TreeSizes {
                root_pid: root.pid,
                processes: Vec::new(),
                memory: needs.memory.then(|| self.memory_use(root)).flatten(),
                pressure: needs.pressure.then(|| self.source.pressure_of(root)).flatten(),
            })
            .collect();
        for member in self.members.values() {
            if let (Some(tree), Some(sizes)) = (trees.get_mut(member.root), member.sizes) {
                let (id, name, rss_bytes) = (member.id, Arc::clone(&member.name), sizes.rss_bytes);
                let counts = if needs.counts { self.source.counts(id) } else { ProcessCounts::default() };
                tree.processes.push(ProcessSize { id, name, rss_bytes, counts });
            }
        }
        trees
    }

    /// Looks for exits without taking a sample, so that a root's exit is recorded at once.
    pub fn collect_exits(&mut self) -> Vec<Record> {
        let mut records = self.read_kernel_events();
        self.read_sizes(&mut records);
        self.forget_stale_exits();
        records
    }

    fn is_watched(&self, pid: u32) -> bool {
        self.forest.tree_of(pid).is_some() || self.pending.tree_of(pid).is_some()
    }

    pub(super) fn forget_stale_exits(&mut self) {
        let mut exits = std::mem::take(&mut self.exits);
        exits.retain(|pid, _| self.is_watched(*pid));
        self.exits = exits;
    }

    /// The name of a pending process. Before an exec it has its parent's.
    fn name_of(&self, process: &PendingProcess) -> Option<Arc<str>> {
        let inherited =
            || self.members.get(&self.forest.member(process.ppid)?).map(|parent| Arc::clone(&parent.name));
        process.name.clone().or_else(|| if process.execed { None } else { inherited() })
    }

    pub(super) fn root_pid(&self, root: usize) -> u32 {
        self.forest.roots().get(root).map_or(0, |id| id.pid)
    }

    /// Adds processes that started since the last call, and records their starts.
    pub(super) fn add_new_processes(&mut self, now: Instant, records: &mut Vec<Record>) -> io::Result<()> {
        let first = self.iteration == 1;
        // With kernel events no listing is needed, except to find what the kernel may have lost.
        let is_reported =
            self.has_kernel_events && self.listed.is_some_and(|at| now.duration_since(at) < MAX_LISTING_AGE);
        let mut new = if is_reported {
            self.pending.pids().into_iter().filter_map(|pid| self.source.find(pid).ok()).collect()
        } else {
            self.listed = Some(now);
            self.source.new_processes()?
        };
        // memmon may run below the watched shell. It never counts itself.
        new.retain(|entry| entry.id.pid != std::process::id());
        let mut added = Vec::new();
        if first {
            let tree_of = |id: &ProcessId| self.forest.tree_of(id.pid).map(|root| (*id, root));
            added.extend(self.forest.roots().iter().filter_map(tree_of));
        }
        let mut others = Vec::with_capacity(new.len());
        for entry in new {
            if let Some(old) = self.forest.member(entry.id.pid).filter(|old| *old != entry.id) {
                // The pid was reused.
                self.remove_exited(old, None, records);
            }
            // A process that the kernel reported belongs to its parent's tree, even if the parent has exited since.
            let Some(process) = self.pending.take(entry.id.pid) else {
                others.push(entry);
                continue;
            };
            self.forest.add(entry.id, process.root);
            let mut member = WatchedProcess::new(&entry, process.root, self.options.start_ticks);
            member.born_at = Some(process.at);
            // It may exit before its details are read.
            member.name = self.name_of(&process).unwrap_or_default();
            self.members.insert(entry.id, member);
            added.push((entry.id, process.root));
        }
        for (entry, root) in self.forest.add_new(&others) {
            self.members.insert(entry.id, WatchedProcess::new(&entry, root, self.options.start_ticks));
            added.push((entry.id, root));
        }
        for (id, root) in added {
            self.queue.add(id);
            self.refresh(id, now);
            let (header, root_pid) = (self.header(), self.root_pid(root));
            if let Some(member) = self.members.get(&id) {
                let event = member.event(header, EventKind::Started, root_pid);
                let event = ProcessEvent { at_start: first.then_some(true), ..event };
                records.push(Record::ProcessEvent(Box::new(event)));
            }
        }
        Ok(())
    }

    /// Reads a process's details. Returns whether they show an exec.
    pub(super) fn refresh(&mut self, id: ProcessId, now: Instant) -> bool {
        match (self.source.details(id), self.members.get_mut(&id)) {
            (Ok(details), Some(member)) => member.update_details(details, now, self.options.cmdline),
            // An exit is noticed when the size is read.
            _ => false,
        }
    }

    /// Reads the sizes of all processes, and removes those that exited.
    pub(super) fn read_sizes(&mut self, records: &mut Vec<Record>) {
        let mut gone = Vec::new();
        for (id, member) in &mut self.members {
            let was_exiting = std::mem::take(&mut member.is_exiting);
            match self.source.sizes(*id) {
                Ok(sizes) => member.update_sizes(sizes),
                Err(ReadError::Exited { wait_status }) => gone.push((*id, wait_status, was_exiting)),
                // The next reading finds its exit status.
                Err(ReadError::Exiting) => (member.sizes, member.is_exiting) = (None, true),
                Err(ReadError::Failed(error)) => {
                    member.sizes = None;
                    if !std::mem::replace(&mut member.reported_unreadable, true) {
                        let message = format!("pid {} ({}) cannot be read: {error}", id.pid, member.name);
                        records.push(Record::Error(ErrorRecord {
                            hint: Some("run memmon as the same user or as root".to_owned()),
                            pid: Some(id.pid),
                            ..ErrorRecord::new(Header::now(&self.run, self.iteration), "sample", message)
                        }));
                    }
                }
            }
        }
        if !gone.is_empty() {
            // They may have exited after the last kernel events were read.
            records.append(&mut self.read_kernel_events());
        }
        gone.sort_unstable_by_key(|(id, ..)| (id.start, id.pid));
        let mut exited = HashSet::new();
        for (id, zombie, was_exiting) in gone {
            // The kernel reports an exit shortly after it becomes visible (kernel/exit.c, do_exit): wait one reading for it.
            let may_come = self.has_kernel_events
                && zombie.is_none()
                && !was_exiting
                && !self.exits.contains_key(&id.pid);
            match self.members.get_mut(&id) {
                Some(member) if may_come && !member.name.is_empty() => {
                    (member.sizes, member.is_exiting) = (None, true);
                }
                _ => {
                    self.remove_exited(id, zombie, records);
                    exited.insert(id.pid);
                }
            }
        }
        if !exited.is_empty() {
            self.refresh_parents(&exited);
        }
        if self.trees.iter().any(|tree| tree.ended) {
            self.remove_orphaned_trees();
        }
    }

    /// Stops watching the processes below a root that exited.
    fn remove_orphaned_trees(&mut self) {
        self.members.retain(|id, member| {
            let stays = self.trees.get(member.root).is_some_and(|tree| !tree.ended);
            if !stays {
                self.source.forget(*id);
                self.forest.remove(*id);
            }
            stays
        });
    }

    /// Updates the parents of orphans now. Their details may be read much later.
    fn refresh_parents(&mut self, exited: &HashSet<u32>) {
        for member in self.members.values_mut().filter(|member| exited.contains(&member.ppid)) {
            if let Ok(entry) = self.source.find(member.id.pid)
                && entry.id == member.id
            {
                member.ppid = entry.ppid;
            }
        }
    }

    /// Removes a process that exited and records its exit.
    fn remove_exited(&mut self, id: ProcessId, zombie: Option<i32>, records: &mut Vec<Record>) {
        self.source.forget(id);
        self.forest.remove(id);
        let Some(member) = self.members.remove(&id) else { return };
        let zombie = zombie.filter(|status| *status != 0 || member.is_readable()).map(decode_wait_status);
        let (ended, at) = self.exits.remove(&id.pid).unwrap_or((zombie.unwrap_or(ExitStatus::Unknown), None));
        let lifetime = at.zip(member.born_at).map(|(at, born)| at.saturating_sub(born).as_secs_f64());
        let mut event = ProcessEvent {
            lifetime_seconds: lifetime.or_else(|| member.age_seconds()).map(|seconds| round(seconds, 1e6)),
            rss_peak_bytes: member.peak_rss,
            ..member.event(self.header(), EventKind::Exited, self.root_pid(member.root))
        };
        set_exit(&mut event, ended);
        records.push(Record::ProcessEvent(Box::new(event)));
        if self.forest.roots().get(member.root) == Some(&id)
            && let Some(tree) = self.trees.get_mut(member.root)
        {
            tree.ended = true;
        }
    }
}

/// Decodes a wait status, as wait(2) encodes it.
fn decode_wait_status(status: i32) -> ExitStatus {
    match status & 0x7f {
        0 => ExitStatus::Exited((status >> 8) & 0xff),
        signal => ExitStatus::Signaled { signal, core_dumped: status & 0x80 != 0 },
    }
}
/// The use of a cgroup with a limit. The kernel drops page cache before a process is killed.
fn cgroup_use(cgroup: &Cgroup) -> Option<MemoryUse> {
    let parts = [cgroup.anon_bytes?, cgroup.shmem_bytes.unwrap_or(0), cgroup.kernel_bytes.unwrap_or(0)];
    let used_bytes = parts.into_iter().fold(0, u64::saturating_add);
    Some(MemoryUse { used_bytes, limit_bytes: cgroup.limit_bytes? })
}
