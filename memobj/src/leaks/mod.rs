//! Finds leaks: what grows from census to census, who holds it, and whether it is ever freed.
//!
//! The history has the objects of each place and type in every census ([`history`]), and which objects survived
//! ([`survivors`](crate::survivors)). A type in a place leaks if it rises until the end ([`trend`]) and if the added objects survive.
//! Growth roots ([`growth_roots`]) say which objects were added, and to which container.

pub mod growth_roots;
pub mod history;
pub mod trend;

mod describe;
mod find;
mod native;
mod threads;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::record::{Leak, MemoryGrowth};
use history::History;
use memobj_cpython::heap::address_set::AddressIndex;
use memobj_cpython::heap::address_set::AddressSet;
use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_cpython::stage;
use memobj_process::error::Error;
use memobj_process::memory::Memory;

use crate::account::Account;
use crate::graph::TooLarge;
use crate::holders::{Holders, ObjectTotals};
use crate::names::NameReader;
use crate::survivors::{Generations, MAX_CENSUSES, Survivors};

/// Censuses that a verdict needs.
pub const MIN_CENSUSES: usize = 3;

/// Facts about the process at the moment of a census.
#[derive(Debug, Clone, Copy)]
pub struct ProcessContext<'a> {
    /// The moment.
    pub at: Instant,
    /// How long the process was paused; `None` if it was not.
    pub pause: Option<Duration>,
    /// Its resident set.
    pub rss_bytes: Option<u64>,
    /// Whether its garbage collector is enabled; `None` if unknown.
    pub collector_on: Option<bool>,
    /// The account of its resident set.
    pub account: Option<&'a Account>,
    /// The type names of the account, by row.
    pub types: &'a [Arc<str>],
}

/// Finds the leaks of one process: owns everything that is kept from one census to the next.
#[derive(Debug, Default)]
pub struct LeakTracker {
    survivors: Survivors,
    history: History,
    first: Option<Instant>,
    moments: Vec<f64>,
    totals: Vec<ObjectTotals>,
    rss: Vec<Option<u64>>,
    /// Threads that run Python, in each census.
    threads: Vec<u64>,
    first_account: Option<Account>,
    report: LeakReport,
}

/// The findings of all censuses so far.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LeakReport {
    /// Whether there were enough censuses; without that only their number and pause are known.
    pub is_conclusive: bool,
    /// The number of censuses.
    pub censuses: u64,
    /// The longest pause.
    pub longest_pause: Option<Duration>,
    /// Seconds from the first to the last census.
    pub seconds: f64,
    /// All objects of the first and of the last census.
    pub totals: (ObjectTotals, ObjectTotals),
    /// The resident set at the first and at the last census.
    pub rss_bytes: (Option<u64>, Option<u64>),
    /// The number of places that hold objects.
    pub places: u64,
    /// Growth without an end, most bytes per minute first.
    pub leaks: Vec<Leak>,
    /// Growth towards a known limit.
    pub filling: Vec<Leak>,
    /// Free memory in nearly empty arenas, and the type that keeps most of it; `None` if unknown.
    pub pinned: Option<(u64, Arc<str>)>,
    /// Growth of the resident set beyond Python objects; `None` if there is none, or unknown.
    pub memory: Option<MemoryGrowth>,
}

impl LeakReport {
    /// Whether something leaks.
    #[must_use]
    pub fn has_leak(&self) -> bool {
        !self.leaks.is_empty() || self.memory.as_ref().is_some_and(|memory| memory.is_leak)
    }

    /// The growth of all leaks, in bytes per minute.
    #[must_use]
    pub fn bytes_per_minute(&self) -> f64 {
        let objects: f64 = self.leaks.iter().map(|leak| leak.bytes_per_minute).sum();
        let memory = self.memory.as_ref().filter(|memory| memory.is_leak);
        objects.max(memory.map_or(0.0, |memory| memory.bytes_per_minute))
    }
}

impl LeakTracker {
    /// The findings so far.
    #[must_use]
    pub fn report(&self) -> &LeakReport {
        &self.report
    }

    /// Compares a census with those before. [`keep`](Self::keep) takes the generations that are returned.
    ///
    /// # Errors
    /// There were too many censuses or objects.
    pub fn observe<M: Memory>(
        &mut self,
        python: &PythonHeap<'_, M>,
        holders: &Holders<'_>,
        context: ProcessContext<'_>,
    ) -> Result<Generations, Error> {
        let too_many = |what: String| Error::new(stage::HEAP, what, "start a new search");
        if self.moments.len() >= MAX_CENSUSES {
            return Err(too_many(format!("at most {MAX_CENSUSES} censuses can be compared")));
        }
        let generations = self
            .survivors
            .identify(python, holders.graph())
            .map_err(|error: TooLarge| too_many(format!("objects cannot be tracked: {error}")))?;
        let mut names = NameReader::new(python);
        let links = holders.graph();
        let counts: Vec<bool> = links.types().iter().map(|counted| find::has_items(&counted.ty)).collect();
        let ids = self.history.add(holders, &generations, |node| {
            let counts = counts.get(links.type_index(node).0 as usize).is_some_and(|&counts| counts);
            let at = counts.then(|| links.address(node)).flatten();
            at.and_then(|at| names.entries(at)).unwrap_or(0)
        });
        let first = *self.first.get_or_insert(context.at);
        self.moments.push(context.at.saturating_duration_since(first).as_secs_f64());
        let total = links.types().iter().fold(ObjectTotals::default(), |total, counted| ObjectTotals {
            objects: total.objects.saturating_add(counted.counts.heap.objects),
            bytes: total.bytes.saturating_add(counted.counts.heap.bytes),
        });
        self.totals.push(total);
        self.rss.push(context.rss_bytes);
        self.threads.push(links.threads().len() as u64);
        self.report.censuses = self.moments.len() as u64;
        self.report.longest_pause = self.report.longest_pause.max(context.pause);
        if self.moments.len() >= MIN_CENSUSES {
            self.conclude(holders, &generations, &ids, &mut names, context)?;
        } else if self.first_account.is_none() {
            self.first_account = context.account.cloned();
        }
        Ok(generations)
    }

    /// Keeps what the next census is compared with.
    pub fn keep(&mut self, places: AddressIndex, set: AddressSet, generations: Generations) {
        self.survivors.keep(places, set, generations);
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
        };
        let found = finder.find(names)?;
        let (filling, leaks) = found.into_iter().partition(|leak| leak.max_entries.is_some());
        let first = self.first_account.as_ref();
        let memory = native::growth(&self.moments, &self.rss, &self.totals, first, context.account);
        let ends =
            |totals: &[ObjectTotals]| totals.first().copied().zip(totals.last().copied()).unwrap_or_default();
        self.report = LeakReport {
            is_conclusive: true,
            censuses: self.report.censuses,
            longest_pause: self.report.longest_pause,
            seconds: self.moments.last().copied().unwrap_or(0.0),
            totals: ends(&self.totals),
            rss_bytes: (self.rss.first().copied().flatten(), self.rss.last().copied().flatten()),
            places: holders.places().len() as u64,
            leaks,
            filling,
            pinned: context.account.and_then(|account| {
                let by = account.pinned.types.first()?;
                let name = context.types.get(by.row.0 as usize)?;
                Some((account.pinned.arena_bytes, Arc::clone(name)))
            }),
            memory,
        };
        Ok(())
    }
}
