//! From a process or a file to its census: attach, copy while it sleeps or under a stop, find the layout, count.
//!
//! ```no_run
//! use memobj::capture::capture_once;
//! use memobj::config::CensusOptions;
//!
//! # fn main() -> Result<(), memobj_process::error::Error> {
//! let census = capture_once(1234, &CensusOptions::default())?;
//! println!("{} types", census.types.len());
//! # Ok(())
//! # }
//! ```
use std::time::{Duration, Instant};

use common::record::{CaptureMethod, LeaksRecord, LiveReason, WritesRecord};
use memobj_cpython::runtime::Runtime;
use memobj_cpython::runtime::detect::{DetectedPython, detect};
use memobj_cpython::runtime::locate::SYMBOLS;
use memobj_cpython::stage;
use memobj_process::elf::ElfCache;
use memobj_process::error::{Error, Stage};
use memobj_process::info::ProcessSource;
use memobj_process::memory::{AnyMemory, CopyBuffer, Memory, ProcMem};
use memobj_process::snapshot;
use memobj_process::target::{FrozenProcess, MAX_STOPS, Pauses, STOP_LIMIT, StopLimits, Target, core_file};

use crate::census::Census;
use crate::census::clock::clocks_at;
use crate::census::count::{CaptureContext, count_objects};
use crate::config::{CensusOptions, HeapFile, StopPolicy};
use crate::leaks::LeakTracker;
use crate::live_count::{NoCopy, count_live};
use crate::low_priority::at_low_priority;
use crate::partial_copy::KnownPages;
use crate::watch::holder::WatchedHolder;
use crate::watch::watch_writes;

/// Copies that are made at most until one holds together, though no collection was under way.
const MAX_COPIES: u32 = 3;

/// The longest time limit of a stop, after shorter ones were exceeded.
const MAX_STOP: Duration = Duration::from_secs(1);

/// Takes censuses. Tests have a source of their own.
pub trait CensusSource {
    /// Counts the objects of a running process.
    ///
    /// # Errors
    /// Why that is impossible, with a hint. `exited` is set if the process has exited or runs another program.
    fn capture_process(
        &mut self,
        pid: u32,
        options: &CensusOptions,
        state: &mut ProcessState,
    ) -> Result<Census, Error>;

    /// Counts the objects in a file.
    ///
    /// # Errors
    /// The file cannot be read, or contains no supported Python.
    fn capture_file(&mut self, file: &HeapFile, options: &CensusOptions) -> Result<Census, Error>;

    /// A warning about the tool's own memory, if there is one.
    fn warning(&self) -> Option<String> {
        None
    }
}

/// The state of a process from one census to the next.
#[derive(Debug, Default)]
pub struct ProcessState {
    attached: Option<AttachedPython>,
    /// The search for leaks, if there is one.
    pub leaks: Option<LeakTracker>,
}

impl ProcessState {
    /// Whether the next copy may leave out pages: those that the census before did not read.
    #[must_use]
    pub fn leaves_out_pages(&self) -> bool {
        self.attached.as_ref().is_some_and(|attached| attached.pages.are_some_unneeded())
    }

    /// Watches for `limit` at most, while `goes_on`, who adds to the leaks that were found last. Returns the findings with that.
    pub fn watch_additions(
        &mut self,
        limit: Duration,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Option<&LeaksRecord> {
        let (attached, leaks) = (self.attached.as_ref()?, self.leaks.as_mut()?);
        if attached.target.has_ended() {
            return None;
        }
        leaks.watch_additions(&attached.target, &attached.python, limit, goes_on);
        Some(leaks.report())
    }

    /// Watches who writes to a container, as [`watch_writes`](watch_writes()).
    ///
    /// # Errors
    /// If there is no such process any more, or the kernel refuses the watch.
    pub fn watch_writes(
        &self,
        holder: &WatchedHolder,
        goes_on: &mut dyn FnMut(Duration, u64, u64) -> bool,
    ) -> Result<WritesRecord, Error> {
        let AttachedPython { target, python, .. } =
            self.attached.as_ref().ok_or_else(|| Error::exited(Stage::WATCH, "the process has exited"))?;
        watch_writes(target, python, holder, goes_on)
    }
}

/// A process that memobj is attached to, and its verified Python.
#[derive(Debug)]
struct AttachedPython {
    target: Target,
    python: DetectedPython,
    pages: KnownPages,
}

impl AttachedPython {
    fn attach(pid: u32, options: &CensusOptions, files: &ElfCache) -> Result<Self, Error> {
        let target = Target::attach(pid)?;
        let python = detect(&target, options.locate, files)?;
        Ok(Self { target, python, pages: KnownPages::default() })
    }
}

/// Takes censuses of processes and files. Keeps the buffers of copies, and the ELF files of the processes.
#[derive(Debug)]
pub struct Capturer {
    buffers: CopyBuffer,
    files: ElfCache,
}

impl Default for Capturer {
    fn default() -> Self {
        Self { buffers: CopyBuffer::default(), files: ElfCache::new(SYMBOLS) }
    }
}

impl CensusSource for Capturer {
    fn capture_process(
        &mut self,
        pid: u32,
        options: &CensusOptions,
        state: &mut ProcessState,
    ) -> Result<Census, Error> {
        let begun = Instant::now();
        // An error drops it: the next census attaches anew.
        let mut attached = match state.attached.take() {
            Some(mut attached) => {
                attached.target.refresh()?;
                attached
            }
            None => AttachedPython::attach(pid, options, &self.files)?,
        };
        let mut leaks = state.leaks.as_mut();
        // A snapshot includes it, so that it yields the same account.
        attached.target.record_residence(options.memory || options.save.is_some());
        let counted = self.count_whole(&mut attached, options, leaks.as_deref_mut(), begun);
        attached.target.forget_copy();
        let census = match counted {
            Err(error) if error.out_of_memory && options.save.is_none() => {
                // Memory is short, and the buffers are too small: give them back.
                self.buffers = CopyBuffer::default();
                Err(NoCopy { reason: LiveReason::Memory, paused: Duration::ZERO })
            }
            census => census?,
        };
        let census = match census {
            Ok(census) => census,
            Err(without) => {
                let AttachedPython { target, python, .. } = &mut attached;
                at_low_priority(options, || {
                    count_live(target, python, &mut self.buffers, without, options, leaks, begun)
                })?
            }
        };
        state.attached = Some(attached);
        Ok(census)
    }

    fn capture_file(&mut self, file: &HeapFile, options: &CensusOptions) -> Result<Census, Error> {
        let begun = Instant::now();
        let (still, method) = match file {
            HeapFile::Core(path) => (core_file::open(path)?, CaptureMethod::Core),
            HeapFile::Snapshot(path) => (snapshot::open(path)?, CaptureMethod::Snapshot),
        };
        let context = CaptureContext {
            lost_pages: still.copy.lost_pages,
            clocks: still.at.and_then(clocks_at),
            ..CaptureContext::new(method, begun)
        };
        at_low_priority(options, || {
            find_and_count(&still, AnyMemory::Frozen(&still.memory), context, options)
        })
    }

    fn warning(&self) -> Option<String> {
        self.files.health().warning().map(|warning| format!("the cache of program files is {warning}"))
    }
}

impl Capturer {
    /// Copies the pages of the process that are needed and counts the copy. If one was needed that it lacks, drops the census and takes
    /// another one, in the end of all pages. Or says why the process must be read while it runs.
    fn count_whole(
        &mut self,
        attached: &mut AttachedPython,
        options: &CensusOptions,
        mut leaks: Option<&mut LeakTracker>,
        begun: Instant,
    ) -> Result<Result<Census, NoCopy>, Error> {
        if options.stop == StopPolicy::Never {
            return Ok(Err(NoCopy { reason: LiveReason::Asked, paused: Duration::ZERO }));
        }
        let mut pauses = Pauses::default();
        let mut dropped = 0;
        loop {
            attached.pages.choose(&mut attached.target, &attached.python, options, dropped);
            let leaks = leaks.as_deref_mut();
            match self.copy_and_count(attached, &mut pauses, options, leaks, begun) {
                Err(error) if error.missed_pages => dropped += 1,
                census => return census,
            }
        }
    }

    /// Copies the memory of the process once and counts the copy, or says why the process must be read while it runs. Adds to `pauses`.
    fn copy_and_count(
        &mut self,
        attached: &mut AttachedPython,
        pauses: &mut Pauses,
        options: &CensusOptions,
        mut leaks: Option<&mut LeakTracker>,
        begun: Instant,
    ) -> Result<Result<Census, NoCopy>, Error> {
        let StopPolicy::IfAwake { at_most: limit, interrupts } = options.stop else {
            return self.stop_and_count(attached, None, pauses, options, leaks, begun).map(Ok);
        };
        let asleep = match self.count_asleep(attached, *pauses, options, leaks.as_deref_mut(), begun)? {
            None if attached.target.copy_ahead(&mut self.buffers) => {
                self.count_asleep(attached, *pauses, options, leaks.as_deref_mut(), begun)?
            }
            asleep => asleep,
        };
        if let Some(census) = asleep {
            return Ok(Ok(census));
        }
        let mut reason = LiveReason::MaxPause;
        if limit != Some(Duration::ZERO) {
            // Half of the time is left for the stop of all threads, if that is permitted.
            let longest = limit.map(|limit| {
                let left = limit.saturating_sub(pauses.total);
                if interrupts { left / 2 } else { left }
            });
            let gentle =
                self.count_gently(attached, longest, pauses, options, leaks.as_deref_mut(), begun)?;
            if let Some(census) = gentle {
                return Ok(Ok(census));
            }
            if interrupts {
                match self.stop_and_count(attached, limit, pauses, options, leaks.as_deref_mut(), begun) {
                    Err(error) if limit.is_some() && error.paused_in_vain.is_some() => {
                        if error.no_watchdog {
                            reason = LiveReason::Watchdog;
                        }
                    }
                    census => return census.map(Ok),
                }
            } else {
                reason = LiveReason::NoInterrupt;
            }
        }
        if !pauses.total.is_zero()
            && let Some(census) = self.count_asleep(attached, *pauses, options, leaks, begun)?
        {
            return Ok(Ok(census));
        }
        Ok(Err(NoCopy { reason, paused: pauses.total }))
    }

    /// Copies the memory of the process while it sleeps, and counts the copy. `None` if it does not sleep that long. `pauses` are
    /// those before, in vain.
    fn count_asleep(
        &mut self,
        attached: &mut AttachedPython,
        pauses: Pauses,
        options: &CensusOptions,
        leaks: Option<&mut LeakTracker>,
        begun: Instant,
    ) -> Result<Option<Census>, Error> {
        let is_consistent = is_consistent(&attached.python);
        let still = attached.target.freeze_asleep(&mut self.buffers, is_consistent)?;
        let Some(still) = still else { return Ok(None) };
        let context = CaptureContext::paused(CaptureMethod::Quiet, pauses, begun);
        self.count_one_copy(still, attached, context, options, leaks)
    }

    /// Pauses the threads that run, copies the memory of the process, and counts the copy. `None` if other threads would have to be paused
    /// for that, or if `longest` does not suffice. Adds to `pauses`.
    fn count_gently(
        &mut self,
        attached: &mut AttachedPython,
        longest: Option<Duration>,
        pauses: &mut Pauses,
        options: &CensusOptions,
        leaks: Option<&mut LeakTracker>,
        begun: Instant,
    ) -> Result<Option<Census>, Error> {
        let is_consistent = is_consistent(&attached.python);
        let limits = StopLimits { pause: longest, ..STOP_LIMIT.into() };
        let (still, new_pauses) = attached.target.freeze_gently(&mut self.buffers, limits, is_consistent)?;
        *pauses += new_pauses;
        let Some(still) = still else { return Ok(None) };
        // All its threads may have fallen asleep meanwhile.
        let method = if new_pauses.count == 0 { CaptureMethod::Quiet } else { CaptureMethod::Gentle };
        let context = CaptureContext::paused(method, *pauses, begun);
        self.count_one_copy(still, attached, context, options, leaks)
    }

    /// Counts a copy. `None` if its data do not hold together.
    fn count_one_copy(
        &mut self,
        still: FrozenProcess,
        attached: &mut AttachedPython,
        context: CaptureContext<'_>,
        options: &CensusOptions,
        leaks: Option<&mut LeakTracker>,
    ) -> Result<Option<Census>, Error> {
        match self.count_copy(still, attached, context, options, leaks) {
            Err(error) if error.stage == stage::LAYOUT => Ok(None),
            census => census.map(Some),
        }
    }

    /// Stops the process outside of a garbage collection, copies its memory, lets it run, and counts the copy. `pauses` are those before, in
    /// vain, and become all of them.
    fn stop_and_count(
        &mut self,
        attached: &mut AttachedPython,
        longest: Option<Duration>,
        pauses: &mut Pauses,
        options: &CensusOptions,
        mut leaks: Option<&mut LeakTracker>,
        begun: Instant,
    ) -> Result<Census, Error> {
        let mut limit = STOP_LIMIT;
        loop {
            let left = longest.map(|longest| longest.saturating_sub(pauses.total));
            let at_once = options.stop == StopPolicy::AtOnce;
            let limits = StopLimits { stop: limit, pause: left, at_once };
            let is_consistent = is_consistent(&attached.python);
            let still = match attached.target.freeze(&mut self.buffers, limits, is_consistent) {
                // On a busy machine a thread may have to wait for a processor before it stops.
                Err(error) if longest.is_none() && error.paused_in_vain.is_some() && limit < MAX_STOP => {
                    pauses.total += error.paused_in_vain.unwrap_or_default();
                    pauses.count += 1;
                    limit *= 2;
                    continue;
                }
                Err(error) => {
                    pauses.total += error.paused_in_vain.unwrap_or_default();
                    return Err(error);
                }
                Ok(still) => still,
            };
            *pauses += Pauses {
                count: still.copy.stops,
                total: still.copy.pause.unwrap_or_default(),
                cut_short: still.copy.cut_short,
            };
            let context = CaptureContext::paused(CaptureMethod::Stopped, *pauses, begun);
            match self.count_copy(still, attached, context, options, leaks.as_deref_mut()) {
                Err(error) if error.stage == stage::LAYOUT && pauses.count < MAX_COPIES * MAX_STOPS => {}
                census => return census,
            }
        }
    }

    /// Counts a copy, and keeps its buffer for the next one. `context` says how it was made.
    ///
    /// # Errors
    /// At the stage [`stage::LAYOUT`] if the data do not hold together. [`Error::missed_pages`] if they lack a page.
    fn count_copy(
        &mut self,
        mut still: FrozenProcess,
        AttachedPython { python, pages, .. }: &mut AttachedPython,
        context: CaptureContext<'_>,
        options: &CensusOptions,
        leaks: Option<&mut LeakTracker>,
    ) -> Result<Census, Error> {
        let age = still.at.and_then(|at| at.elapsed().ok()).unwrap_or_default();
        let at = Instant::now().checked_sub(age).unwrap_or(context.begun);
        let census = at_low_priority(options, || {
            let runtime = python.read(&still.memory)?;
            if let Some(path) = &options.save {
                still.saved_addresses = python.location.landmarks();
                snapshot::save(&still, path)?;
            }
            let context = CaptureContext {
                at,
                lost_pages: still.copy.lost_pages,
                residence: still.residence.as_ref().filter(|_| options.memory),
                ..context.with_process(still.info.id, options, leaks.is_some())
            };
            let memory = AnyMemory::Frozen(&still.memory);
            count_objects(&memory, &still.info, python, runtime, context, options, leaks)
        });
        let census = pages.check(&still.memory, census);
        self.buffers = still.memory.into_buffers();
        census
    }
}

/// A test whether no garbage collection is under way.
fn is_consistent(python: &DetectedPython) -> impl Fn(&ProcMem) -> bool {
    // Unreadable memory cannot be copied either, which is reported then.
    |memory| !Runtime::is_collecting(memory, &python.layout, python.location.at).unwrap_or(false)
}

/// Counts the objects of a running process, and keeps nothing for another census.
///
/// # Errors
/// As [`CensusSource::capture_process`].
pub fn capture_once(pid: u32, options: &CensusOptions) -> Result<Census, Error> {
    Capturer::default().capture_process(pid, options, &mut ProcessState::default())
}

/// Counts any memory at rest, as if it came from a snapshot: tests and fuzzers have memory of their own.
///
/// # Errors
/// As [`CensusSource::capture_file`].
pub fn capture_memory(
    source: &dyn ProcessSource,
    memory: &dyn Memory,
    options: &CensusOptions,
) -> Result<Census, Error> {
    let memory = AnyMemory::Other(memory);
    find_and_count(source, memory, CaptureContext::new(CaptureMethod::Snapshot, Instant::now()), options)
}

fn find_and_count<'s>(
    source: &'s dyn ProcessSource,
    memory: AnyMemory<'_>,
    context: CaptureContext<'s>,
    options: &CensusOptions,
) -> Result<Census, Error> {
    // The inode numbers in a file are its own, so its programs are not kept for others.
    let python = detect(source, options.locate, &ElfCache::new(SYMBOLS))?;
    let runtime = python.read(&memory)?;
    let context = CaptureContext { residence: source.residence().filter(|_| options.memory), ..context };
    count_objects(&memory, source.info(), &python, runtime, context, options, None)
}
