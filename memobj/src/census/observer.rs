//! The whole flow: get at it, find the Python, stop and copy, let go, count.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::leaks::LeakTracker;
use crate::request::{Request, Source, Stopping};
use memobj_cpython::runtime::Runtime;
use memobj_cpython::runtime::detect::DetectedPython;
use memobj_cpython::runtime::detect::detect;
use memobj_cpython::stage;
use memobj_process::error::{Error, Stage};
use memobj_process::info::ProcessSource as _;
use memobj_process::memory::{CopyBuffer, Memory};
use memobj_process::snapshot;
use memobj_process::target::{FrozenProcess, MAX_STOPS, STOP_LIMIT, Target, core_file};

use super::clock::{clocks_at, read_clocks};
use super::count::{CaptureContext, count};
use super::{Census, LiveReason, Method, Taker};

/// How often a copy is made anew that turns out not to hold together, though no collection was under way in it.
const MAX_COPIES: u32 = 3;

/// How long a stop may take at last, if it took too long before.
const LONGEST_STOP: Duration = Duration::from_secs(1);

/// How much of a process that is read as it runs is kept at once, in bytes. What does not fit is read again.
const LIVE_CACHE: u64 = 256 << 20;

/// How often it is looked at until it holds together, if it is read as it runs, and the pause between two looks.
const MAX_ATTEMPTS: u32 = 10;
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// Takes censuses, and keeps what the next one needs, too: what was found out of each process, and memory for its copy.
#[derive(Debug, Default)]
pub struct Observer {
    processes: HashMap<u32, AttachedPython>,
    followed: HashMap<u32, LeakTracker>,
    buffers: CopyBuffer,
}

/// A process and its Python.
#[derive(Debug)]
struct AttachedPython {
    target: Target,
    python: DetectedPython,
}

impl Observer {
    /// Nothing is held of any process yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn process(&mut self, pid: u32, request: &Request, begun: Instant) -> Result<Census, Error> {
        let mut attached = match self.processes.remove(&pid) {
            Some(mut attached) => {
                attached.target.refresh()?;
                attached
            }
            None => {
                let target = Target::attach(pid)?;
                let python = detect(&target, request.way)?;
                AttachedPython { target, python }
            }
        };
        let mut tracker = request.following.then(|| self.followed.remove(&pid).unwrap_or_default());
        let census = match reason_to_read_live(&attached.target, request.stopping) {
            Some(reason) => live(&attached, reason, request, tracker.as_mut(), begun),
            None => match self.stopped(&mut attached, request, tracker.as_mut(), begun) {
                Err(error) if error.out_of_memory && request.save.is_none() => {
                    // What a copy before was made into is of no use now, and room is short.
                    self.buffers = CopyBuffer::default();
                    live(&attached, LiveReason::Memory, request, tracker.as_mut(), begun)
                }
                census => census,
            },
        };
        if let Some(tracker) = tracker {
            self.followed.insert(pid, tracker);
        }
        let census = census?;
        self.processes.insert(pid, attached);
        Ok(census)
    }

    /// Stops it outside of a collection, as far as that can be had, copies, and counts what was copied.
    fn stopped(
        &mut self,
        attached: &mut AttachedPython,
        request: &Request,
        mut tracker: Option<&mut LeakTracker>,
        begun: Instant,
    ) -> Result<Census, Error> {
        let (mut attempts, mut pause) = (0, Duration::ZERO);
        let mut limit = STOP_LIMIT;
        // A snapshot has it, so that it gives the same account.
        attached.target.record_residence(request.memory || request.save.is_some());
        loop {
            let python = &attached.python;
            let frozen = attached.target.freeze(&mut self.buffers, limit, |memory| {
                // What cannot be read now cannot be copied either: that is told then.
                !Runtime::is_collecting(memory, &python.layout, python.location.at).unwrap_or(false)
            });
            let mut still = match frozen {
                // On a machine that is busy a thread may have to wait for a processor to stop on.
                Err(error)
                    if error.stage == Stage::COPY
                        && !error.exited
                        && !error.out_of_memory
                        && limit < LONGEST_STOP =>
                {
                    limit *= 2;
                    attempts += 1;
                    continue;
                }
                frozen => frozen?,
            };
            let end = Instant::now();
            let at = still.copy.pause.and_then(|pause| end.checked_sub(pause)).unwrap_or(end);
            attempts += still.copy.stops;
            pause += still.copy.pause.unwrap_or_default();
            let context = CaptureContext {
                method: Method::Stopped,
                attempts: attempts.into(),
                pause: Some(pause),
                lost: still.copy.lost_pages,
                begun,
                at,
                residence: still.residence.as_ref().filter(|_| request.memory),
                clocks: Some(read_clocks(still.info.id)),
            };
            let read = python.read(&still.memory);
            let retry = read.as_ref().is_err_and(|error| error.stage == stage::LAYOUT)
                && attempts < MAX_COPIES * MAX_STOPS;
            let census = match read {
                Ok(runtime) => {
                    if let Some(path) = &request.save {
                        still.saved_addresses = python.location.landmarks();
                        snapshot::save(&still, path)?;
                    }
                    let tracker = tracker.as_deref_mut();
                    count(&still.memory, &still.info, python, runtime, context, request, tracker)
                }
                Err(error) => Err(error),
            };
            self.buffers = still.memory.into_buffers();
            if !retry {
                return census;
            }
        }
    }

    fn held(
        still: &FrozenProcess,
        method: Method,
        request: &Request,
        begun: Instant,
    ) -> Result<Census, Error> {
        let lost = still.copy.lost_pages;
        let residence = still.residence.as_ref().filter(|_| request.memory);
        let clocks = still.at.and_then(clocks_at);
        let context =
            CaptureContext { method, attempts: 1, pause: None, lost, begun, at: begun, residence, clocks };
        held(still, &still.memory, context, request)
    }
}

/// The census of what holds still, wherever it is, as if it came from a snapshot: `memory` is the source's own, by its type. For who has
/// memory of another kind than those that a [`Request`] names, as tests do.
///
/// # Errors
/// As [`Taker::take`].
pub fn take_held<M: Memory>(
    source: &dyn memobj_process::info::ProcessSource,
    memory: &M,
    request: &Request,
) -> Result<Census, Error> {
    let at = Instant::now();
    let context = CaptureContext {
        method: Method::Snapshot,
        attempts: 1,
        pause: None,
        lost: 0,
        begun: at,
        at,
        residence: source.residence().filter(|_| request.memory),
        clocks: None,
    };
    held(source, memory, context, request)
}

fn held<M: Memory>(
    source: &dyn memobj_process::info::ProcessSource,
    memory: &M,
    context: CaptureContext<'_>,
    request: &Request,
) -> Result<Census, Error> {
    let python = detect(source, request.way)?;
    let runtime = python.read(memory)?;
    count(memory, source.info(), &python, runtime, context, request, None)
}

/// Why a process is not to be stopped and copied, if there is a reason. Whether there is room is asked when that is got.
fn reason_to_read_live(target: &Target, stopping: Stopping) -> Option<LiveReason> {
    match stopping {
        Stopping::Never => Some(LiveReason::Asked),
        Stopping::AtMost(most) => (target.estimate().pause > most).then_some(LiveReason::MaxPause),
        Stopping::Any => None,
    }
}

/// Counts what is there while the process runs on.
fn live(
    attached: &AttachedPython,
    reason: LiveReason,
    request: &Request,
    tracker: Option<&mut LeakTracker>,
    begun: Instant,
) -> Result<Census, Error> {
    let memory = attached.target.live(LIVE_CACHE)?;
    let context = CaptureContext {
        method: Method::Live(reason),
        attempts: 1,
        pause: None,
        lost: 0,
        begun,
        at: Instant::now(),
        residence: None,
        clocks: Some(read_clocks(attached.target.info().id)),
    };
    let mut attempts = 1;
    let runtime = loop {
        match attached.python.read(&memory) {
            Err(error) if error.stage == stage::LAYOUT && attempts < MAX_ATTEMPTS => {
                std::thread::sleep(RETRY_PAUSE);
                memory.clear_cache();
                attempts += 1;
            }
            read => break read?,
        }
    };
    count(&memory, attached.target.info(), &attached.python, runtime, context, request, tracker)
}

impl Taker for Observer {
    fn take(&mut self, request: &Request) -> Result<Census, Error> {
        let begun = Instant::now();
        match &request.source {
            Source::Process { pid } => self.process(*pid, request, begun),
            Source::Core(path) => Self::held(&core_file::open(path)?, Method::Core, request, begun),
            Source::Snapshot(path) => Self::held(&snapshot::open(path)?, Method::Snapshot, request, begun),
        }
    }

    fn forget(&mut self, pid: u32) {
        self.processes.remove(&pid);
        self.followed.remove(&pid);
    }
}
