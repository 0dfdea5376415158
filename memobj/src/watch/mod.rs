//! Who writes to the count of a container: hardware watchpoints, and the code that runs at each hit.
//!
//! [`holder`] finds the container that a user names, [`hits`] reads what can be known of a write. Here containers are watched for as long
//! as the user likes. The number of hits is bounded: where more come than can be read, only some of them are seen.

pub mod hits;
pub mod holder;
pub mod spinner;

mod tally;

use std::time::{Duration, Instant};

use common::record::WritesRecord;
use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_cpython::runtime::detect::DetectedPython;
use memobj_process::error::Error;
use memobj_process::info::ProcessSource as _;
use memobj_process::memory::AnyMemory;
use memobj_process::target::Target;
use memobj_process::target::watchpoint::{Watchpoint, wait_for_hits};

use self::hits::{Hit, HitReader};
use self::holder::{WatchedContainer, WatchedHolder, follow};
use self::spinner::Spinner;
use self::tally::Tally;
use crate::names::NameReader;

/// Hits of a thread from one check to the next, after which the kernel disarms a watchpoint: at 20 µs each, under 2 % of its time.
const MAX_HITS: u32 = 200;
/// The time from one check of threads, containers and hits to the next.
const CHECK: Duration = Duration::from_millis(250);
/// How long we look for hits without a pause, at the beginning and as a part of the time.
const FIRST_SPIN: Duration = Duration::from_secs(2);
const SPIN_PART: u32 = 20;
/// Failed checks of a container in a row, after which it is gone: the program may just be changing what leads to it.
const MAX_FAILURES: u32 = 3;

/// A container that is watched.
struct Armed {
    container: WatchedContainer,
    watchpoint: Option<Watchpoint>,
    /// The count after the last write that was seen.
    count: Option<u64>,
    last_hit: Instant,
    failures: u32,
}

/// A watch.
struct Watch<'a> {
    target: &'a Target,
    python: &'a DetectedPython,
    memory: &'a AnyMemory<'a>,
    heap: Option<PythonHeap<'a, AnyMemory<'a>>>,
    reader: HitReader<'a>,
    armed: Vec<Armed>,
    tally: Tally,
    seen: WritesRecord,
    unwatched: Duration,
}

/// Watches containers while `goes_on`, which gets the time of watching and the number of additions and of removals so far, and until the process or the containers
/// are gone. The record that it returns has what was seen, and nothing of the process and the name.
///
/// # Errors
/// If the kernel refuses the watch, with what to do about it.
pub fn watch_writes(
    target: &Target,
    python: &DetectedPython,
    holder: &WatchedHolder,
    goes_on: &mut dyn FnMut(Duration, u64, u64) -> bool,
) -> Result<WritesRecord, Error> {
    let reader = HitReader::new(target, python, &holder.bytecode);
    let memory = AnyMemory::Other(target.memory());
    let mut watch = Watch {
        target,
        python,
        memory: &memory,
        heap: None,
        reader,
        armed: Vec::new(),
        tally: Tally::default(),
        seen: WritesRecord::default(),
        unwatched: Duration::ZERO,
    };
    for container in &holder.containers {
        let armed = watch.arm(container.clone())?;
        watch.armed.push(armed);
    }
    watch.seen.first_entries = watch.entries();
    // On a busy machine, the kernel arms the first watchpoint only after seconds: it waits for all its processors.
    let begun = Instant::now();
    let (mut spinner, mut checked) = (Spinner::default(), begun);
    while !watch.seen.is_gone
        && !target.has_ended()
        && goes_on(begun.elapsed(), watch.tally.additions.seen, watch.tally.removals.seen)
    {
        let wait = spinner.spin(FIRST_SPIN + begun.elapsed() / SPIN_PART, || watch.take_hits());
        let mut watchpoints: Vec<&mut Watchpoint> =
            watch.armed.iter_mut().filter_map(|armed| armed.watchpoint.as_mut()).collect();
        // Other errors than a signal, which ends it early, do not come.
        let _ = wait_for_hits(&mut watchpoints, wait);
        watch.take_hits();
        if checked.elapsed() >= CHECK {
            watch.check();
            checked = Instant::now();
        }
    }
    watch.check();
    Ok(watch.report(begun.elapsed()))
}

impl Watch<'_> {
    fn arm(&self, container: WatchedContainer) -> Result<Armed, Error> {
        let watchpoint = Some(Watchpoint::arm(self.target, container.count, MAX_HITS)?);
        let count = self.reader.read_count(container.count);
        Ok(Armed { container, watchpoint, count, last_hit: Instant::now(), failures: 0 })
    }

    fn entries(&self) -> Option<u64> {
        self.armed.iter().try_fold(0_u64, |sum, armed| {
            Some(sum.saturating_add(self.reader.read_count(armed.container.count)?))
        })
    }

    /// Takes the hits that there are.
    fn take_hits(&mut self) {
        let Self { armed, reader, tally, .. } = self;
        for armed in armed {
            let mut hits: Vec<Hit> = Vec::new();
            let mut count = armed.count;
            loop {
                let before = hits.len();
                while let Some(hit) = armed.watchpoint.as_mut().and_then(Watchpoint::next_hit) {
                    hits.push(reader.read(&hit));
                }
                // A write before the count was read has its hit in the buffer by then.
                if hits.len() == before || hits.len() >= MAX_HITS as usize {
                    break;
                }
                count = reader.read_count(armed.container.count);
            }
            if !hits.is_empty() {
                tally.add(&hits, armed.count, count, |at| reader.line(at));
                (armed.count, armed.last_hit) = (count, Instant::now());
            }
        }
    }

    /// Watches new threads, arms again what the kernel disarmed, and finds the containers that are there now.
    fn check(&mut self) {
        if self.target.has_ended() {
            return;
        }
        self.reader.find_threads();
        for armed in &mut self.armed {
            let Some(watchpoint) = &mut armed.watchpoint else { continue };
            // Threads that cannot be watched are left out: others are.
            let _ = watchpoint.watch_new_threads(&self.target.info().name);
            let renewal = watchpoint.renew();
            self.seen.writes = self.seen.writes.saturating_add(renewal.hits);
            if renewal.was_disarmed {
                self.unwatched += armed.last_hit.elapsed();
                armed.count = self.reader.read_count(armed.container.count);
            }
        }
        self.follow_containers();
    }

    fn follow_containers(&mut self) {
        if self.heap.is_none() {
            let runtime = self.python.read_running(self.memory);
            let heap = runtime.and_then(|of| PythonHeap::from_runtime(self.memory, &self.python.layout, &of));
            self.heap = heap.ok();
        }
        // If it cannot be read at this moment, it may be at the next check.
        let Some(heap) = &self.heap else { return };
        let mut names = NameReader::new(heap);
        for number in 0..self.armed.len() {
            let Some(armed) = self.armed.get_mut(number) else { continue };
            let found = follow(&mut names, &armed.container);
            if let Some((at, count)) =
                found.filter(|&found| found != (armed.container.at, armed.container.count))
            {
                let container = WatchedContainer { at, count, way: armed.container.way.clone() };
                // Before it is armed again: there are only four.
                armed.watchpoint = None;
                self.seen.replaced = self.seen.replaced.saturating_add(1);
                if let Ok(now) = self.arm(container)
                    && let Some(armed) = self.armed.get_mut(number)
                {
                    *armed = now;
                }
            } else if found.is_some() {
                armed.failures = 0;
            } else {
                armed.failures = armed.failures.saturating_add(1);
            }
        }
        // Another object may come where it was: what is written there is none of it.
        self.armed.retain(|armed| armed.failures < MAX_FAILURES);
        self.seen.is_gone = self.armed.is_empty();
    }

    fn report(self, elapsed: Duration) -> WritesRecord {
        let last_entries = if self.seen.is_gone || self.target.has_ended() { None } else { self.entries() };
        WritesRecord {
            watched_seconds: elapsed.as_secs_f64(),
            unwatched_seconds: self.unwatched.as_secs_f64(),
            added: self.tally.additions.seen,
            removed: self.tally.removals.seen,
            unclear: self.tally.unclear,
            additions: self.tally.additions.report(|at| self.reader.is_caller(at)),
            removals: self.tally.removals.report(|at| self.reader.is_caller(at)),
            last_entries,
            ..self.seen
        }
    }
}
