//! One tick: what began and ended, what each process holds, and the records that say so.

mod budget;
mod pending_processes;
mod records;
mod round_robin;
mod watched_process;

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::process::ProcessId;
use common::record::{ErrorRecord, EventKind, Header, ProcessEvent, Record, Run};
use common::time::Tick;

use self::budget::TimeBudget;
use self::pending_processes::{PendingProcess, PendingProcesses, ProcessUpdate};
use self::round_robin::ReadQueue;
use self::watched_process::{WatchedProcess, round};
use crate::cli::Pss;
use crate::process_forest::ProcessForest;
use crate::source::{ProcessEntry, ProcessSource, ReadError};

/// Processes are listed again after this time though the kernel told of every one.
const MAX_LISTING_AGE: Duration = Duration::from_secs(30);

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct SamplerOptions {
    /// The interval asked for.
    pub interval: Duration,
    /// When to read PSS and USS.
    pub pss: Pss,
    /// Whether records carry command lines.
    pub cmdline: bool,
    /// Whether a process's start is in clock ticks.
    pub start_ticks: bool,
    /// Whether orphans of the first tree become this program's children, which has no others.
    pub adopts: bool,
}

/// How a process ended, when somebody could know.
#[derive(Debug, Clone, Copy)]
struct ExitStatus {
    wait_status: i32,
    at: Option<Duration>,
}

/// What a tree weighs between two samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TreeUsage {
    /// The sum of the resident sizes.
    pub total_bytes: u64,
    /// The largest of them.
    pub largest_bytes: u64,
}

/// A tree's part that changes from sample to sample.
#[derive(Debug, Default)]
struct Tree {
    ended: bool,
    short_lived: u64,
    oom_kills: Option<u64>,
    limit: Option<u64>,
}

/// Takes samples of one or several trees.
pub struct Sampler {
    source: Box<dyn ProcessSource>,
    options: SamplerOptions,
    run: Run,
    started: Instant,
    forest: ProcessForest,
    trees: Vec<Tree>,
    members: HashMap<ProcessId, WatchedProcess>,
    queue: ReadQueue,
    pending: PendingProcesses,
    kernel_reports: bool,
    listed: Option<Instant>,
    ends: HashMap<u32, ExitStatus>,
    details_budget: TimeBudget,
    pss_budget: TimeBudget,
    last: Option<Instant>,
    system_read_at: Option<Instant>,
    machine: Option<u64>,
    iteration: u64,
}

impl std::fmt::Debug for Sampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sampler")
            .field("members", &self.members.len())
            .field("iteration", &self.iteration)
            .finish()
    }
}

impl Sampler {
    /// A sampler of the trees below `roots`.
    #[must_use]
    pub fn new(
        mut source: Box<dyn ProcessSource>,
        options: SamplerOptions,
        run: Run,
        roots: &[ProcessEntry],
    ) -> Self {
        let (details_budget, pss_budget) = round_robin::budgets(options.interval);
        let machine = source.system().map(|system| system.total_bytes);
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
            kernel_reports: false,
            listed: None,
            ends: HashMap::new(),
            details_budget,
            pss_budget,
            last: None,
            system_read_at: None,
            machine,
            iteration: 1,
        };
        for found in roots {
            let root = sampler.forest.add_root(found.id);
            sampler.trees.push(Tree::default());
            sampler.members.insert(found.id, WatchedProcess::new(found, root, options.start_ticks));
        }
        if options.adopts {
            sampler.forest.set_adopter(std::process::id());
        }
        sampler
    }

    /// Whether no root is left.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.trees.iter().all(|tree| tree.ended)
    }

    /// The roots that still live.
    pub fn living_roots(&self) -> impl Iterator<Item = ProcessId> {
        self.forest.roots().iter().zip(&self.trees).filter(|(_, tree)| !tree.ended).map(|(id, _)| *id)
    }

    /// Whether the process with this number is or was a root.
    #[must_use]
    pub fn has_root(&self, pid: u32) -> bool {
        self.forest.roots().iter().any(|id| id.pid == pid)
    }

    /// The number of the next sample.
    #[must_use]
    pub fn iteration(&self) -> u64 {
        self.iteration
    }

    /// The header for a record that belongs to the next sample.
    #[must_use]
    pub fn header(&self) -> Header {
        Header::now(&self.run, self.iteration)
    }

    /// Becomes readable when [`read_kernel_events`](Self::listen) has something to hear.
    #[cfg(unix)]
    #[must_use]
    pub fn event_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.source.event_fd()
    }

    /// Somebody reaped this process: `wait_status` as wait(2) encodes it.
    pub fn reaped(&mut self, pid: u32, wait_status: i32) {
        if self.forest.tree_of(pid).is_some() || self.pending.tree_of(pid).is_some() {
            self.ends.insert(pid, ExitStatus { wait_status, at: None });
        }
    }

    /// Hears what the kernel tells, between samples: short lives as records, the rest is noted for the next sample.
    pub fn read_kernel_events(&mut self) -> Vec<Record> {
        let Some(events) = self.source.kernel_events() else { return Vec::new() };
        self.kernel_reports = true;
        let (forest, ends) = (&self.forest, &self.ends);
        let lives = |pid| forest.tree_of(pid).is_some() && !ends.contains_key(&pid);
        let updates = self.pending.apply(events, |pid| forest.tree_of(pid), lives);
        let mut records = Vec::new();
        for updates in updates {
            match updates {
                ProcessUpdate::NewProgram { pid } => {
                    // It may be over any moment: read it at once, or never.
                    let Ok(found) = self.source.find(pid) else { continue };
                    if let Ok(details) = self.source.details(found.id) {
                        let (name, cmdline) = if self.options.cmdline {
                            (details.full_name(), details.cmdline)
                        } else {
                            (details.name, None)
                        };
                        self.pending.set_name(pid, name, cmdline);
                    }
                    // Most are never seen again.
                    self.source.forget(found.id);
                }
                ProcessUpdate::ShortLived { pid, process: pending, wait_status, at } => {
                    self.ends.remove(&pid);
                    if let Some(tree) = self.trees.get_mut(pending.root) {
                        tree.short_lived += 1;
                    }
                    let (exit_code, signal) = decode_wait_status(wait_status);
                    let root = self.root_pid(pending.root);
                    records.push(Record::ProcessEvent(Box::new(ProcessEvent {
                        ppid: Some(pending.ppid),
                        name: self.name_of(&pending),
                        exit_code,
                        signal,
                        lifetime_seconds: Some(round(at.saturating_sub(pending.at).as_secs_f64(), 1e6)),
                        cmdline: pending.cmdline,
                        ..ProcessEvent::new(self.header(), EventKind::Exited, pid, root)
                    })));
                }
                ProcessUpdate::Exec { pid } => {
                    if let Some(member) = self.forest.member(pid).and_then(|id| self.members.get_mut(&id)) {
                        member.note_exec();
                    }
                }
                ProcessUpdate::Exit { pid, wait_status, at } => {
                    self.ends.insert(pid, ExitStatus { wait_status, at: Some(at) });
                }
                ProcessUpdate::Lost => {
                    self.listed = None;
                    let message = "processes came and went faster than the kernel could tell: some short lives are missing";
                    records.push(Record::Error(ErrorRecord::new(self.header(), "events", message.into())));
                }
            }
        }
        records
    }

    /// Takes a sample: the events that led to it, then a `process` record for each living root, then what the kernel killed.
    ///
    /// # Errors
    /// If processes cannot be listed at all.
    pub fn sample(&mut self, tick: &Tick) -> io::Result<Vec<Record>> {
        let begin = Instant::now();
        for member in self.members.values_mut() {
            member.details_fresh = false;
            member.pss_fresh = false;
        }
        let mut records = self.read_kernel_events();
        self.add_new_processes(begin, &mut records)?;
        self.read_sizes(&mut records);
        let elapsed = self.last.map_or(Duration::ZERO, |last| begin.duration_since(last));
        self.last = Some(begin);
        self.read_details(elapsed, &mut records);
        self.read_pss(elapsed);
        self.build(tick, begin, &mut records);
        self.forget_stale_exits();
        self.iteration += 1;
        Ok(records)
    }

    /// Reads the sizes of all processes between two samples: births and ends as records, and for each tree the sum of the
    /// resident sizes and the largest of them, in bytes.
    ///
    /// # Errors
    /// If processes cannot be listed at all.
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

    /// Looks only for processes that ended, without a sample: a root's end is told at once, not at the next tick.
    pub fn collect_exits(&mut self) -> Vec<Record> {
        let mut records = self.read_kernel_events();
        self.read_sizes(&mut records);
        self.forget_stale_exits();
        records
    }

    /// Ends that nobody asks about any more.
    fn forget_stale_exits(&mut self) {
        let watched = |pid| self.forest.tree_of(pid).is_some() || self.pending.tree_of(pid).is_some();
        self.ends.retain(|pid, _| watched(*pid));
    }

    /// A newborn's own name; before it runs a program of its own it bears its parent's.
    fn name_of(&self, pending: &PendingProcess) -> Option<Arc<str>> {
        let inherited =
            || self.members.get(&self.forest.member(pending.ppid)?).map(|parent| Arc::clone(&parent.name));
        pending.name.clone().or_else(|| if pending.execed { None } else { inherited() })
    }

    fn root_pid(&self, root: usize) -> u32 {
        self.forest.roots().get(root).map_or(0, |id| id.pid)
    }

    fn add_new_processes(&mut self, now: Instant, records: &mut Vec<Record>) -> io::Result<()> {
        let first = self.iteration == 1;
        // Where the kernel tells of every birth nobody needs to look for them, but for what it may have lost.
        let updates =
            self.kernel_reports && self.listed.is_some_and(|at| now.duration_since(at) < MAX_LISTING_AGE);
        let mut new = if updates {
            self.pending.pids().into_iter().filter_map(|pid| self.source.find(pid).ok()).collect()
        } else {
            self.listed = Some(now);
            self.source.new_processes()?
        };
        // Below a shell we may be among those we watch. We are not what the user asked about.
        new.retain(|found| found.id.pid != std::process::id());
        let mut added = Vec::new();
        if first {
            added.extend(
                self.forest
                    .roots()
                    .iter()
                    .filter_map(|id| self.forest.tree_of(id.pid).map(|root| (*id, root))),
            );
        }
        let mut others = Vec::with_capacity(new.len());
        for found in new {
            if let Some(old) = self.forest.member(found.id.pid).filter(|old| *old != found.id) {
                // Its number was given out again.
                self.remove_exited(old, None, records);
            }
            // One that the kernel told of belongs where its parent was, even if that has ended since.
            let Some(pending) = self.pending.take(found.id.pid) else {
                others.push(found);
                continue;
            };
            self.forest.add(found.id, pending.root);
            let mut member = WatchedProcess::new(&found, pending.root, self.options.start_ticks);
            member.born_at = Some(pending.at);
            // It may be over before it can be read.
            member.name = self.name_of(&pending).unwrap_or_default();
            self.members.insert(found.id, member);
            added.push((found.id, pending.root));
        }
        for (found, root) in self.forest.add_new(&others) {
            self.members.insert(found.id, WatchedProcess::new(&found, root, self.options.start_ticks));
            added.push((found.id, root));
        }
        for (id, root) in added {
            self.queue.add(id);
            self.refresh(id, now);
            let (header, root_pid) = (self.header(), self.root_pid(root));
            if let Some(member) = self.members.get(&id) {
                let event = ProcessEvent {
                    at_start: first.then_some(true),
                    ..member.event(header, EventKind::Started, root_pid)
                };
                records.push(Record::ProcessEvent(Box::new(event)));
            }
        }
        Ok(())
    }

    /// Reads a process's details; whether they show that it runs another program now.
    fn refresh(&mut self, id: ProcessId, now: Instant) -> bool {
        match (self.source.details(id), self.members.get_mut(&id)) {
            (Ok(details), Some(member)) => member.update_details(details, now, self.options.cmdline),
            // Its end shows when its size is read.
            _ => false,
        }
    }

    fn read_sizes(&mut self, records: &mut Vec<Record>) {
        let mut gone = Vec::new();
        for (id, member) in &mut self.members {
            let was_exiting = std::mem::take(&mut member.is_exiting);
            match self.source.sizes(*id) {
                Ok(sizes) => member.update_sizes(sizes),
                Err(ReadError::Exited { wait_status }) => gone.push((*id, wait_status, was_exiting)),
                // The next look finds out how.
                Err(ReadError::Exiting) => (member.sizes, member.is_exiting) = (None, true),
                Err(ReadError::Failed(error)) => {
                    member.sizes = None;
                    if !member.reported_unreadable {
                        member.reported_unreadable = true;
                        let header = Header::now(&self.run, self.iteration);
                        let message = format!("pid {} ({}) cannot be read: {error}", id.pid, member.name);
                        let hint = Some("watch it as its own user or as root".to_owned());
                        let record = ErrorRecord {
                            hint,
                            pid: Some(id.pid),
                            ..ErrorRecord::new(header, "sample", message)
                        };
                        records.push(Record::Error(record));
                    }
                }
            }
        }
        let mut ended = HashSet::new();
        gone.sort_unstable_by_key(|(id, ..)| (id.start, id.pid));
        if !gone.is_empty() {
            // They may have ended after the kernel was heard.
            records.append(&mut self.read_kernel_events());
        }
        for (id, zombie, was_exiting) in gone {
            // The kernel tells of an end a moment after everyone else can see it (kernel/exit.c, do_exit): the next look knows how
            // it ended, or nobody does.
            let untold =
                self.kernel_reports && zombie.is_none() && !was_exiting && !self.ends.contains_key(&id.pid);
            match self.members.get_mut(&id) {
                Some(member) if untold && !member.name.is_empty() => {
                    (member.sizes, member.is_exiting) = (None, true)
                }
                _ => {
                    self.remove_exited(id, zombie, records);
                    ended.insert(id.pid);
                }
            }
        }
        self.refresh_parents(&ended);
        if self.trees.iter().any(|tree| tree.ended) {
            // What is left below a root that ended goes on without us.
            let trees = &self.trees;
            self.members.retain(|id, member| {
                let stays = trees.get(member.root).is_some_and(|tree| !tree.ended);
                if !stays {
                    self.source.forget(*id);
                    self.forest.remove(*id);
                }
                stays
            });
        }
    }

    /// Looks who the children of processes that ended belong to now. Details may be read much later, and a parent that is
    /// no more would be named till then.
    fn refresh_parents(&mut self, ended: &HashSet<u32>) {
        if ended.is_empty() {
            return;
        }
        for member in self.members.values_mut().filter(|member| ended.contains(&member.ppid)) {
            if let Ok(found) = self.source.find(member.id.pid)
                && found.id == member.id
            {
                member.ppid = found.ppid;
            }
        }
    }

    /// Takes out a process that ended, and tells of it.
    fn remove_exited(&mut self, id: ProcessId, zombie: Option<i32>, records: &mut Vec<Record>) {
        self.source.forget(id);
        self.forest.remove(id);
        let Some(member) = self.members.remove(&id) else { return };
        let end = self.ends.remove(&id.pid).or_else(|| {
            let sure = zombie.filter(|status| *status != 0 || member.is_readable());
            sure.map(|wait_status| ExitStatus { wait_status, at: None })
        });
        records.push(ended(&member, end, self.header(), self.root_pid(member.root)));
        if self.forest.roots().get(member.root) == Some(&id)
            && let Some(tree) = self.trees.get_mut(member.root)
        {
            tree.ended = true;
        }
    }
}

/// The event of a process's end.
fn ended(member: &WatchedProcess, end: Option<ExitStatus>, header: Header, root_pid: u32) -> Record {
    let (exit_code, signal) = end.map_or((None, None), |end| decode_wait_status(end.wait_status));
    let updates = end
        .and_then(|end| end.at)
        .zip(member.born_at)
        .map(|(at, born)| at.saturating_sub(born).as_secs_f64());
    Record::ProcessEvent(Box::new(ProcessEvent {
        exit_code,
        signal,
        lifetime_seconds: updates.or_else(|| member.age_seconds()).map(|seconds| round(seconds, 1e6)),
        rss_peak_bytes: member.peak_rss,
        ..member.event(header, EventKind::Exited, root_pid)
    }))
}

/// A wait status as wait(2) encodes it: exit code, or signal.
fn decode_wait_status(wait_status: i32) -> (Option<i32>, Option<i32>) {
    match wait_status & 0x7f {
        0 => (Some((wait_status >> 8) & 0xff), None),
        signal => (None, Some(signal)),
    }
}
