//! What grows in a program, who holds it, and whether anything ever leaves it.
//!
//! Of each census is kept what every place holds of every type ([`history`]) and which objects were there before
//! ([`survivors`](crate::survivors)). What a place holds of a type leaks if there is more of it each time, at the end as before ([`trend`]),
//! and if what came stays. What came is told by the first new object on the way to it ([`roots`]): what was added, and to what.

pub mod growth_roots;
pub mod history;
pub mod trend;

mod describe;
mod find;
mod finding;
mod native;
mod threads;

use std::sync::Arc;
use std::time::Instant;

use crate::account::Account;
use crate::graph::TooLarge;
use crate::holders::{Holders, ObjectTotals};
use crate::names::NameReader;
use crate::survivors::{Generations, MAX_CENSUSES, Survivors};
use memobj_cpython::heap::address_set::AddressIndex;
use memobj_cpython::heap::address_set::AddressSet;
use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_cpython::stage;
use memobj_process::error::Error;
use memobj_process::memory::Memory;

pub use finding::{Container, Finding, GrowthMode, LeakCause, TypeGrowth};
pub use native::{MemoryGrowth, RowGrowth};

use history::History;

/// From so many censuses on something can be said.
pub const MIN_CENSUSES: usize = 3;

/// What else is known of the process at the moment of a census.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessContext<'a> {
    /// Its resident set.
    pub rss_bytes: Option<u64>,
    /// Whether its collector is on; `None` if that is not known.
    pub collector_on: Option<bool>,
    /// The account of its resident set.
    pub account: Option<&'a Account>,
    /// The names of the types in it, by number.
    pub types: &'a [Arc<str>],
}

/// All that is known of a process from one census to the next.
#[derive(Debug, Default)]
pub struct LeakTracker {
    survivors: Survivors,
    history: History,
    first: Option<Instant>,
    moments: Vec<f64>,
    totals: Vec<ObjectTotals>,
    rss: Vec<Option<u64>>,
    /// How many threads run Python, in each.
    threads: Vec<u64>,
    account: Option<Account>,
}

/// What was found in the censuses so far.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// How many there were.
    pub censuses: u64,
    /// From the first to the last, in seconds.
    pub seconds: f64,
    /// All objects, in each.
    pub totals: Vec<ObjectTotals>,
    /// The resident set, in each; `None` where it is not known.
    pub rss_bytes: Vec<Option<u64>>,
    /// How many places hold objects.
    pub places: u64,
    /// What grows and does not stop, those with the most bytes a second first.
    pub leaks: Vec<Finding>,
    /// What grows towards a limit that it has.
    pub filling: Vec<Finding>,
    /// What is resident and free in arenas of pymalloc that few objects keep, and the type that keeps most; `None` if that is not known.
    pub pinned: Option<(u64, Arc<str>)>,
    /// What of the resident set grows besides Python objects; `None` if that does not grow, or is not known.
    pub memory: Option<MemoryGrowth>,
}

impl Report {
    /// Whether something leaks.
    #[must_use]
    pub fn leaks(&self) -> bool {
        !self.leaks.is_empty() || self.memory.as_ref().is_some_and(|memory| memory.leaks)
    }
}

impl LeakTracker {
    /// Takes in a census that was taken at `at`: what was seen, which [`keep`](Self::keep) wants; and what that says, from
    /// [`MIN_CENSUSES`] on.
    ///
    /// # Errors
    /// If there were too many.
    pub fn look<M: Memory>(
        &mut self,
        python: &PythonHeap<'_, M>,
        holders: &Holders<'_>,
        at: Instant,
        context: ProcessContext<'_>,
    ) -> Result<(Generations, Option<Report>), Error> {
        let too_many = |what: String| Error::new(stage::HEAP, what, "begin anew");
        if self.moments.len() >= MAX_CENSUSES {
            return Err(too_many(format!("no more than {MAX_CENSUSES} censuses can be candidate apart")));
        }
        let generations = self
            .survivors
            .look(python, holders.graph())
            .map_err(|error: TooLarge| too_many(format!("objects cannot be followed: {error}")))?;
        let mut names = NameReader::new(python);
        let links = holders.graph();
        let counts: Vec<bool> = links.types().iter().map(|counted| find::has_items(&counted.of)).collect();
        let census = self.history.add(holders, &generations, |node| {
            let counts = counts.get(links.type_index(node).0 as usize).is_some_and(|&counts| counts);
            let at = counts.then(|| links.address(node)).flatten();
            at.and_then(|at| names.entries(at)).unwrap_or(0)
        });
        let first = *self.first.get_or_insert(at);
        self.moments.push(at.saturating_duration_since(first).as_secs_f64());
        let total = links.types().iter().fold(ObjectTotals::default(), |total, counted| ObjectTotals {
            objects: total.objects.saturating_add(counted.counts.heap.objects),
            bytes: total.bytes.saturating_add(counted.counts.heap.bytes),
        });
        self.totals.push(total);
        self.rss.push(context.rss_bytes);
        self.threads.push(links.threads().len() as u64);
        let mut report = None;
        if self.moments.len() >= MIN_CENSUSES {
            report = Some(self.report(holders, &generations, &census, &mut names, context)?);
        } else if self.account.is_none() {
            self.account = context.account.cloned();
        }
        Ok((generations, report))
    }

    /// Keeps what the next census is compared with.
    pub fn keep(&mut self, places: AddressIndex, set: AddressSet, generations: Generations) {
        self.survivors.keep(places, set, generations);
    }

    fn report<M: Memory>(
        &self,
        holders: &Holders<'_>,
        generations: &Generations,
        census: &history::PlaceIds,
        names: &mut NameReader<'_, '_, M>,
        context: ProcessContext<'_>,
    ) -> Result<Report, Error> {
        let finder = find::LeakFinder {
            history: &self.history,
            moments: &self.moments,
            holders,
            generations,
            census,
            collector_on: context.collector_on,
            threads: &self.threads,
        };
        let found = finder.find(names)?;
        let (filling, leaks): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|finding| finding.limit.is_some());
        let memory =
            native::growth(&self.moments, &self.rss, &self.totals, self.account.as_ref(), context.account);
        Ok(Report {
            censuses: self.moments.len() as u64,
            seconds: self.moments.last().copied().unwrap_or(0.0),
            totals: self.totals.clone(),
            rss_bytes: self.rss.clone(),
            places: holders.places().len() as u64,
            leaks,
            filling,
            pinned: context.account.and_then(|account| {
                let by = account.pinned.types.first()?;
                let name = context.types.get(by.row.0 as usize)?;
                Some((account.pinned.arena_bytes, Arc::clone(name)))
            }),
            memory,
        })
    }
}
