//! Finds leaks: what grows from census to census, who holds it, and whether it is ever freed.
//!
//! The history has the objects of each place and type in every census ([`history`]), and which objects survived
//! ([`survivors`](crate::survivors)). A type in a place leaks if it rises until the end ([`trend`]) and if the added objects survive.
//! Growth roots ([`growth_roots`]) say which objects were added, and to which container.

pub mod additions;
pub mod growth_roots;
pub mod history;
pub mod mentions;
pub mod source_lines;
pub mod trend;

mod bounded;
mod chains;
mod container_owner;
mod describe;
mod descriptors;
mod entries;
mod entry_code;
mod find;
mod hidden;
mod limits;
mod line_effects;
mod made_anew;
mod native;
mod replaced;
mod side_effects;
mod sleepers;
mod threads;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use additions::AdditionWatch;
use common::record::{CensusTotals, CodeLine, Leak, LeakVerdict, LeaksRecord};
use container_owner::ContainerOwner;
use descriptors::DescriptorHistory;
use find::Candidate;
use history::History;
use memobj_cpython::heap::address_set::{AddressIndex, AddressSet};
use memobj_cpython::heap::builtins::{Builtin, Growth};
use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_cpython::heap::walk::ObjectCount;
use memobj_cpython::runtime::bytecode::Bytecode;
use memobj_cpython::runtime::detect::DetectedPython;
use memobj_cpython::stage;
use memobj_process::addr::Addr;
use memobj_process::error::Error;
use memobj_process::memory::Memory;
use memobj_process::target::Target;
use memobj_process::target::watchpoint::MAX_WATCHPOINTS;
use mentions::{Mentions, NameInCode};
use sleepers::{LoopTimers, ThreadSwitches};

use crate::account::{Account, rows};
use crate::graph::{NodeId, TooLarge};
use crate::holders::Holders;
use crate::holders::single_objects::SingleClasses;
use crate::names::NameReader;
use crate::object_graph::ObjectGraph;
use crate::survivors::{Generations, MAX_CENSUSES, Survivors};

/// Censuses that a verdict needs.
pub const MIN_CENSUSES: usize = 3;

/// Facts about the process at the moment of a census.
#[derive(Debug, Clone, Copy)]
pub struct ProcessContext<'a> {
    /// The moment.
    pub at: Instant,
    /// The pause of the process; `None` without one.
    pub pause_seconds: Option<f64>,
    /// Whether it was read while it ran, because it could not be copied.
    pub could_not_copy: bool,
    /// Its resident set.
    pub rss_bytes: Option<u64>,
    /// Whether its garbage collector is enabled; `None` if unknown.
    pub collector_on: Option<bool>,
    /// The account of its resident set.
    pub account: Option<&'a Account>,
    /// The type names of the account, by row.
    pub types: &'a [Arc<str>],
    /// The types whose objects may have frames that cannot be read.
    pub unread_frames_of: &'a [Arc<str>],
    /// How often each of its Python threads left a processor, by identifier.
    pub switches: &'a BTreeMap<u64, u64>,
    /// Whether its threads were stopped.
    pub stopped: bool,
    /// Its open file descriptors, if known.
    pub descriptors: Option<&'a BTreeSet<u32>>,
}

/// Finds the leaks of one process: owns everything that is kept from one census to the next.
#[derive(Debug, Default)]
pub struct LeakTracker {
    survivors: Survivors,
    history: History,
    /// Those of the first census.
    single_classes: Option<SingleClasses>,
    first: Option<Instant>,
    moments: Vec<f64>,
    totals: Vec<ObjectCount>,
    rss: Vec<Option<u64>>,
    /// Threads that run Python, in each census.
    threads: Vec<u64>,
    switches: ThreadSwitches,
    timers: LoopTimers,
    descriptors: DescriptorHistory,
    first_account: Option<Account>,
    /// Memory outside Python objects that is in use, in each census.
    foreign_in_use: Vec<Option<u64>>,
    report: LeaksRecord,
    watchable: Watchable,
    additions: AdditionWatch,
}

/// What is needed to find who adds to the leaks.
#[derive(Debug, Clone, Default)]
struct Watchable {
    /// The functions that name the containers, by the number of the leak.
    mentions: Vec<(usize, Mentions)>,
    /// The lines of the program where threads and coroutines slept nearly all the time.
    sleeping: Vec<CodeLine>,
    /// Where the counts of the containers are, by the number of the leak.
    counts: Vec<(usize, Addr)>,
    bytecode: Bytecode,
}

impl Watchable {
    fn read<M: Memory>(
        names: &mut NameReader<'_, '_, M>,
        holders: &Holders<'_>,
        found: &[Candidate],
    ) -> Self {
        let graph = holders.graph();
        let is_code = |&node: &NodeId| graph.type_of(node).is_some_and(|of| of.kind == Some(Builtin::Code));
        let codes: Vec<NodeId> = graph.object_nodes().filter(is_code).collect();
        let own: Vec<(usize, &Candidate)> = (0..)
            .zip(found)
            .filter(|(_, candidate)| candidate.leak.side_effect_of.is_none())
            .take(MAX_WATCHPOINTS)
            .collect();
        let owners: Vec<_> = own
            .iter()
            .map(|(_, candidate)| {
                let owner = candidate.container.map(|node| ContainerOwner::read(names, holders, node));
                (&candidate.leak, NameInCode::read(names, holders, candidate), owner.unwrap_or_default())
            })
            .collect();
        let mentions =
            if own.is_empty() { Vec::new() } else { mentions::find_mentions(names, graph, &codes, &owners) };
        let mentions = own.iter().map(|&(number, _)| number).zip(mentions).collect();
        let counts: Vec<(usize, Addr)> = (0..)
            .zip(found)
            .filter(|(_, candidate)| candidate.leak.side_effect_of.is_none() && !candidate.leak.is_made_anew)
            .filter_map(|(number, candidate)| {
                Some((number, additions::count_address(names, graph, candidate.container?)?))
            })
            .take(MAX_WATCHPOINTS)
            .collect();
        if counts.is_empty() {
            return Self { mentions, ..Self::default() };
        }
        let codes = codes.into_iter().filter_map(|node| graph.address(node));
        Self { mentions, counts, bytecode: Bytecode::read(names.objects(), codes), ..Self::default() }
    }
}

/// Names the containers of leaks that their holders do not name.
fn name_containers<M: Memory>(
    names: &mut NameReader<'_, '_, M>,
    holders: &Holders<'_>,
    found: &mut [Candidate],
) {
    for candidate in found {
        let Some(of_holder) = mentions::name_in_code(&candidate.leak.holder) else { continue };
        let name = candidate.container.and_then(|node| container_name(names, holders, node));
        candidate.leak.container_name = name.filter(|name| mentions::name_in_code(name) != Some(of_holder));
    }
}

/// The name of a container as an attribute of the class that has it.
fn container_name<M: Memory>(
    names: &mut NameReader<'_, '_, M>,
    holders: &Holders<'_>,
    node: NodeId,
) -> Option<Arc<str>> {
    let kind = holders.graph().type_of(node)?.kind?;
    if matches!(kind.growth(), Growth::Fixed | Growth::Copies) {
        return None;
    }
    holders.reference_paths(names, std::iter::once(node)).first()?.last_attribute().map(Arc::from)
}

/// Drops what grows only because something else does that is no leak.
fn without_side_effects_of<'a>(
    found: Vec<Candidate>,
    harmless: impl Iterator<Item = &'a Candidate>,
) -> Vec<Candidate> {
    let holders: HashSet<Arc<str>> = harmless.map(|candidate| Arc::clone(&candidate.leak.holder)).collect();
    let comes_with = |candidate: &Candidate| {
        candidate.leak.side_effect_of.as_ref().is_some_and(|main| holders.contains(main))
    };
    found.into_iter().filter(|candidate| !comes_with(candidate)).collect()
}

impl LeakTracker {
    /// The findings so far: a record without header, process and peers.
    pub fn report(&self) -> &LeaksRecord {
        &self.report
    }

    /// The functions that name the containers of the leaks found last, by the number of the leak.
    pub fn mentions(&self) -> &[(usize, Mentions)] {
        &self.watchable.mentions
    }

    /// The lines of the program where threads and coroutines slept nearly all the time, if there are leaks.
    pub fn sleeping(&self) -> &[CodeLine] {
        &self.watchable.sleeping
    }

    /// The classes that had a single object in the first census, if there was one.
    pub const fn single_classes(&self) -> Option<&SingleClasses> {
        self.single_classes.as_ref()
    }

    /// Finds the objects of the censuses before in another one.
    ///
    /// # Errors
    /// There were too many censuses or objects.
    pub fn identify<M: Memory>(
        &self,
        python: &PythonHeap<'_, M>,
        graph: &ObjectGraph<'_>,
    ) -> Result<Generations, Error> {
        let too_many = |what: String| Error::new(stage::HEAP, what, "start a new search");
        if self.moments.len() >= MAX_CENSUSES {
            return Err(too_many(format!("at most {MAX_CENSUSES} censuses can be compared")));
        }
        let identified = self.survivors.identify(python, graph);
        identified.map_err(|error: TooLarge| too_many(format!("objects cannot be tracked: {error}")))
    }

    /// Compares a census with those before. [`keep`](Self::keep) takes the generations that are returned.
    ///
    /// # Errors
    /// The references of a leak could not be read.
    pub fn observe<M: Memory>(
        &mut self,
        python: &PythonHeap<'_, M>,
        holders: &Holders<'_>,
        mut generations: Generations,
        context: ProcessContext<'_>,
    ) -> Result<Generations, Error> {
        let mut names = NameReader::new(python);
        replaced::correct(&mut generations, holders, &mut names);
        let graph = holders.graph();
        let counts: Vec<bool> = graph.types().iter().map(|counted| find::has_items(&counted.ty)).collect();
        let ids = self.history.add(holders, &generations, |node| {
            let counts = counts.get(graph.type_index(node).0 as usize).is_some_and(|&counts| counts);
            let at = counts.then(|| graph.address(node)).flatten();
            at.and_then(|at| names.entries(at)).unwrap_or(0)
        });
        self.single_classes.get_or_insert_with(|| holders.single_classes().clone());
        self.switches.add(context.switches, self.first.is_none(), context.stopped);
        self.timers.add(&mut names, graph, self.moments.len());
        self.descriptors.add(python, holders, &ids, context.descriptors);
        let first = *self.first.get_or_insert(context.at);
        self.moments.push(context.at.saturating_duration_since(first).as_secs_f64());
        let mut total = ObjectCount::default();
        graph.types().iter().for_each(|counted| total.merge(&counted.counts.heap));
        self.totals.push(total);
        self.rss.push(context.rss_bytes);
        self.foreign_in_use.push(context.account.map(native::foreign_in_use));
        self.threads.push(graph.threads().len() as u64);
        self.report.censuses = self.moments.len() as u64;
        self.report.totals_by_census = self.totals_by_census();
        self.report.memobj_version = Some(env!("CARGO_PKG_VERSION").into());
        let pauses = [self.report.longest_pause_seconds, context.pause_seconds];
        self.report.longest_pause_seconds = pauses.into_iter().flatten().reduce(f64::max);
        self.report.live_censuses =
            self.report.live_censuses.saturating_add(u64::from(context.could_not_copy));
        if self.moments.len() >= MIN_CENSUSES {
            self.conclude(holders, &generations, &ids, &mut names, context)?;
        } else if self.first_account.is_none() {
            self.first_account = context.account.cloned();
        }
        generations.note_keepers(|node| holders.keeper(node));
        Ok(generations)
    }

    /// Watches for `limit` at most, while `goes_on`, who adds to the leaks found last, and adds that to the report.
    pub fn watch_additions(
        &mut self,
        target: &Target,
        python: &DetectedPython,
        limit: Duration,
        goes_on: &mut dyn FnMut() -> bool,
    ) {
        let Watchable { counts, bytecode, .. } = &self.watchable;
        let at: Vec<Addr> = counts.iter().map(|&(_, at)| at).collect();
        self.additions.watch(target, python, bytecode, &at, limit, goes_on);
        self.report_additions();
    }

    /// Whether there are leaks whose additions were not seen often enough yet.
    pub fn wants_watch(&self) -> bool {
        self.watchable.counts.iter().any(|&(_, at)| self.additions.wants(at))
    }

    fn report_additions(&mut self) {
        for &(leak, at) in &self.watchable.counts {
            if let Some(leak) = self.report.leaks.get_mut(leak) {
                leak.additions = self.additions.report(at);
            }
        }
    }

    /// What [`observe`](Self::observe) changes, to [`restore`](Self::restore) it if that census is dropped.
    pub fn checkpoint(&self) -> Self {
        Self {
            survivors: Survivors::default(),
            history: self.history.clone(),
            single_classes: self.single_classes.clone(),
            first: self.first,
            moments: self.moments.clone(),
            totals: self.totals.clone(),
            rss: self.rss.clone(),
            threads: self.threads.clone(),
            switches: self.switches.clone(),
            timers: self.timers.clone(),
            descriptors: self.descriptors.clone(),
            first_account: self.first_account.clone(),
            foreign_in_use: self.foreign_in_use.clone(),
            report: self.report.clone(),
            watchable: self.watchable.clone(),
            additions: AdditionWatch::default(),
        }
    }

    /// Forgets all that was observed since the checkpoint.
    pub fn restore(&mut self, checkpoint: Self) {
        let survivors = std::mem::take(&mut self.survivors);
        let additions = std::mem::take(&mut self.additions);
        *self = Self { survivors, additions, ..checkpoint };
    }

    /// Keeps the objects of this census for the next one.
    pub fn keep(&mut self, places: AddressIndex, set: AddressSet, generations: Generations) {
        self.survivors.keep(places, set, generations);
    }

    fn totals_by_census(&self) -> Vec<CensusTotals> {
        let all = self.moments.iter().zip(&self.totals).zip(&self.rss);
        all.map(|((&elapsed_seconds, total), &rss_bytes)| CensusTotals {
            elapsed_seconds,
            objects: total.objects,
            size_bytes: total.bytes,
            rss_bytes,
        })
        .collect()
    }

    fn conclude<M: Memory>(
        &mut self,
        holders: &Holders<'_>,
        generations: &Generations,
        ids: &history::PlaceIds,
        names: &mut NameReader<'_, '_, M>,
        context: ProcessContext<'_>,
    ) -> Result<(), Error> {
        let finder = find::LeakFinder {
            history: &self.history,
            moments: &self.moments,
            holders,
            generations,
            ids,
            collector_on: context.collector_on,
            threads: &self.threads,
            tested: self.history.changed(),
        };
        let mut found = finder.find(names)?;
        let accounts = (self.first_account.as_ref(), context.account);
        let mut memory =
            native::growth(&self.moments, &self.rss, &self.totals, &self.foreign_in_use, accounts);
        let (first, last) = self.totals.first().copied().zip(self.totals.last().copied()).unwrap_or_default();
        if let Some(memory) = &mut memory {
            let all_frames = context.unread_frames_of.is_empty();
            finder.explain(memory, &mut found, (first.bytes, last.bytes), all_frames);
        }
        let (filling, found): (Vec<Candidate>, Vec<Candidate>) =
            found.into_iter().partition(|candidate| candidate.leak.max_entries.is_some());
        let (slowing, found): (Vec<Candidate>, Vec<Candidate>) =
            found.into_iter().partition(|candidate| candidate.slows_down);
        let mut found = without_side_effects_of(found, filling.iter().chain(&slowing));
        name_containers(names, holders, &mut found);
        self.watchable = Watchable::read(names, holders, &found);
        if !found.is_empty() {
            let evidence = (&self.switches, &self.timers);
            self.watchable.sleeping =
                sleepers::sleeping_lines(names, holders, generations, evidence, self.moments.len());
        }
        let leaks_of = |found: Vec<Candidate>| -> Vec<Leak> {
            let with_descriptors = |Candidate { leak, places, .. }: Candidate| {
                let (fds, added_fds) = self.descriptors.of_places(&places);
                Leak { fds, added_fds, ..leak }
            };
            found.into_iter().map(with_descriptors).collect()
        };
        let (filling, slowing, leaks) = (leaks_of(filling), leaks_of(slowing), leaks_of(found));
        let memory_leaks = memory.as_ref().is_some_and(|memory| memory.is_leak);
        let pinned = context.account.and_then(|account| {
            let by = account.pinned.types.first()?;
            Some((account.pinned.arena_bytes, Arc::clone(context.types.get(by.row.0 as usize)?)))
        });
        let (pinned_bytes, pinned_type) = pinned.unzip();
        self.report = LeaksRecord {
            verdict: if leaks.is_empty() && !memory_leaks { LeakVerdict::None } else { LeakVerdict::Leak },
            censuses: self.report.censuses,
            duration_seconds: self.moments.last().copied().unwrap_or(0.0),
            longest_pause_seconds: self.report.longest_pause_seconds,
            live_censuses: self.report.live_censuses,
            first_objects: first.objects,
            last_objects: last.objects,
            first_size_bytes: first.bytes,
            last_size_bytes: last.bytes,
            first_rss_bytes: self.rss.first().copied().flatten(),
            last_rss_bytes: self.rss.last().copied().flatten(),
            holders_checked: holders.places().len() as u64,
            leaks,
            filling,
            slowing,
            pinned_bytes,
            pinned_type,
            memory,
            unread_frames_of: context.unread_frames_of.to_vec(),
            totals_by_census: std::mem::take(&mut self.report.totals_by_census),
            memory_rows: context
                .account
                .map(|account| rows::without_small_files(&account.rows, account.rss_bytes))
                .unwrap_or_default(),
            memobj_version: self.report.memobj_version.take(),
            fds: self.descriptors.growth(),
            ..LeaksRecord::default()
        };
        // A slow leak is added to a few times between the censuses.
        self.report_additions();
        Ok(())
    }
}
