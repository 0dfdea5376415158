//! A running process.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use common::process::Stat;
use common::units;

use super::access_errors::{self, Attempt, named};
use super::available_memory::allocate;
use super::copy_source::{Copied, CopyError, CopySource, Pages, readable};
use super::cpu_quota::CpuQuota;
use super::frozen_process::{CopyInfo, FileOrigin, FrozenProcess, open_file};
use super::mapped_files::MappedFiles;
use super::page_choice::PageChoice;
use super::page_map::{OwnPages, PageMap, is_copied};
use super::process_info::read_process;
use super::ptrace::{Choice, PtraceStop, StopError};
use super::retry::retry_while_traced;
use super::stopped::StoppedProcess;
use super::write_tracking::CopyAhead;
use crate::error::{Error, Stage};
use crate::info::{Mapping, MappingKind, ProcessInfo, ProcessSource};
use crate::memory::{Backing, CopyBuffer, Memory, PAGE_SIZE, ProcMem, Uncopied};
use crate::priority;

/// How long the threads of a process may take to stop. They stop within a millisecond, or are stuck.
pub const STOP_LIMIT: Duration = Duration::from_millis(250);
/// How often [`Target::freeze`] pauses a process until it is quiet.
pub const MAX_STOPS: u32 = 12;
/// The wait before the second pause. It doubles each time, to wait for short and for long garbage collections.
const FIRST_WAIT: Duration = Duration::from_millis(2);
const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// Nanoseconds to copy a mebibyte, until one was measured: the slower of two measured machines.
const FIRST_RATE: u64 = 300_000;
const MEBIBYTE: u64 = 1 << 20;
/// Nanoseconds to find out that a page was not written to.
const LOOK_AT_PAGE: u64 = 40;
/// Spare room in a buffer for memory that the process allocates before it is paused.
const HEADROOM: usize = 1 << 20;

/// A running process to read from.
#[derive(Debug)]
pub struct Target {
    pub(super) info: ProcessInfo,
    /// Identifies the program: it changes with execve(2).
    image: Option<u64>,
    pub(super) memory: ProcMem,
    pub(super) files: MappedFiles,
    /// Nanoseconds that the last copy took for a mebibyte.
    rate: u64,
    pub(super) records_residence: bool,
    pages: PageChoice,
    pub(super) ahead: Option<CopyAhead>,
}

/// How long a process may be paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopLimits {
    /// Until all its threads are stopped.
    pub stop: Duration,
    /// In all, with all repetitions. Then it runs on, whatever we do. `None` is no limit.
    pub pause: Option<Duration>,
    /// Whether it is paused before there is memory for its copy: for longer, but a process that grows fast does not grow meanwhile.
    pub at_once: bool,
}

impl From<Duration> for StopLimits {
    /// No limit but that until all its threads are stopped.
    fn from(stop: Duration) -> Self {
        Self { stop, pause: None, at_once: false }
    }
}

/// Size and duration of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Bytes to copy.
    pub bytes: u64,
    /// How long the process would be paused, at the speed of the last copy.
    pub pause: Duration,
}

impl Target {
    /// Opens a process for reading, without any effect on it.
    ///
    /// # Errors
    /// If there is no such process, it has no readable memory, or permission is missing; each with a hint.
    pub fn attach(pid: u32) -> Result<Self, Error> {
        let (info, image) = read_process(pid)?;
        let memory = open_memory(&info)?;
        let files = MappedFiles::default().reopened(&info);
        Ok(Self {
            info,
            image,
            memory,
            files,
            rate: FIRST_RATE,
            records_residence: false,
            pages: PageChoice::default(),
            ahead: None,
        })
    }

    /// Chooses whether copies record where the pages were. That adds some 25 ms per resident GiB to the pause.
    pub const fn record_residence(&mut self, wanted: bool) {
        self.records_residence = wanted;
    }

    /// Chooses which pages the next copies leave out. Reading one of them in a copy is an error ([`Memory::has_missed`]).
    pub fn choose_pages(&mut self, pages: PageChoice) {
        self.pages = pages;
    }

    /// Reads its mappings and sizes again.
    ///
    /// # Errors
    /// If it has exited or runs another program; and as [`attach`](Self::attach).
    pub fn refresh(&mut self) -> Result<(), Error> {
        let (info, image) = read_process(self.info.id.pid)?;
        if info.id != self.info.id || image != self.image {
            return Err(self.exited(Stage::ATTACH));
        }
        self.memory = open_memory(&info)?;
        self.files = std::mem::take(&mut self.files).reopened(&info);
        self.info = info;
        Ok(())
    }

    /// Whether it has exited or runs another program.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let text = fs::read(format!("/proc/{}/stat", self.info.id.pid)).unwrap_or_default();
        Stat::parse(&text).is_none_or(|stat| {
            stat.state.has_ended() || stat.start_ticks != self.info.id.start || stat.image != self.image
        })
    }

    /// Estimates a copy made now.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        let (mut bytes, mut looked_at) = (0, 0);
        self.scan(
            &self.pages,
            |_| true,
            |pages| {
                let earlier = self.ahead.as_ref().filter(|_| pages.unwritten);
                let copied = earlier.map_or(pages.count, |ahead| ahead.pages.missing(pages.at, pages.count));
                bytes += (copied * PAGE_SIZE) as u64;
                looked_at += (pages.count - copied) as u64;
            },
        );
        let copying = u128::from(bytes) * u128::from(self.rate) / u128::from(MEBIBYTE);
        let nanoseconds = copying + u128::from(looked_at * LOOK_AT_PAGE);
        Estimate { bytes, pause: Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX)) }
    }

    /// Pauses all its threads within `limit`.
    ///
    /// # Errors
    /// If it has exited, a thread does not stop, or permission is missing. Then all its threads run.
    pub fn stop(&self, limit: Duration) -> Result<StoppedProcess, Error> {
        self.stop_within(limit.into())
    }

    fn stop_within(&self, limits: StopLimits) -> Result<StoppedProcess, Error> {
        let pid = self.info.id.pid;
        let page_map = self.open_page_map();
        let stop = retry_while_traced(pid, || PtraceStop::stop(pid, Choice::All, limits.stop, limits.pause))
            .map_err(|error| self.stop_error(error, limits.stop))?;
        if self.has_ended() {
            return Err(self.exited(Stage::COPY));
        }
        Ok(StoppedProcess { stop, source: self.open_source(page_map)? })
    }

    /// Before a pause: its buffer is allocated and written to.
    pub(super) fn open_page_map(&self) -> PageMap {
        PageMap::open(self.info.id.pid, self.ahead.is_some())
    }

    /// Opened again for each copy: a file opened earlier may be the memory of a former program.
    pub(super) fn open_source(&self, page_map: PageMap) -> Result<CopySource, Error> {
        CopySource::open(self.info.id.pid, page_map, self.pages.clone())
            .map_err(|error| unreadable(&self.info, Attempt::Stop, &error))
    }

    /// Pauses, copies and resumes it. `is_consistent` inspects the paused process; while it returns false, the process is resumed and paused
    /// again later, at most [`MAX_STOPS`] times, and then copied as it is.
    ///
    /// # Errors
    /// As [`stop`](Self::stop), if memory is short ([`Error::out_of_memory`]), or if the limits do not suffice
    /// ([`Error::paused_in_vain`]). If that is foreseen, it is not paused at all.
    pub fn freeze(
        &mut self,
        buffer: &mut CopyBuffer,
        limits: impl Into<StopLimits>,
        mut is_consistent: impl FnMut(&ProcMem) -> bool,
    ) -> Result<FrozenProcess, Error> {
        let limits: StopLimits = limits.into();
        let mut estimate = Duration::ZERO;
        if !limits.at_once {
            self.refresh()?;
            estimate = self.make_room(buffer)?.pause;
        }
        let (mut wait, mut stops, mut paused, mut cut_short) = (FIRST_WAIT, 0, Duration::ZERO, 0);
        loop {
            let left = limits.pause.map(|longest| longest.saturating_sub(paused));
            if let Some(left) = left {
                self.check_time(estimate, left, paused)?;
            }
            // Whoever waits for us has to wait for less.
            let raised = priority::raise();
            let stopped = self.stop_within(StopLimits { pause: left, ..limits });
            let mut stopped = stopped.map_err(|error| Error {
                paused_in_vain: error.paused_in_vain.map(|in_vain| in_vain + paused),
                ..error
            })?;
            stops += 1;
            let held = priority::raise_to_real_time();
            let was_consistent = is_consistent(stopped.memory());
            if stops < MAX_STOPS && !was_consistent {
                cut_short += stopped.stop.cut_short;
                paused += stopped.resume();
                drop((held, raised));
                std::thread::sleep(wait);
                wait = (wait * 2).min(LONGEST_WAIT);
                continue;
            }
            if limits.at_once {
                self.refresh()?;
                self.make_room(buffer)?;
            }
            let begun = Instant::now();
            let end = left.and_then(|left| stopped.stop.begun.checked_add(left));
            let mut goes_on = || end.is_none_or(|end| Instant::now() < end);
            let copied = stopped.source.copy(buffer, self.which_pages(buffer), &self.files, &mut goes_on);
            let took = begun.elapsed();
            let with_residence = self.records_residence && copied.is_ok();
            let residence = with_residence.then(|| stopped.source.read_residence()).flatten();
            let (threads, at) = (stopped.threads(), SystemTime::now());
            cut_short += stopped.stop.cut_short;
            let (pause, time_over) = stopped.release();
            drop((held, raised));
            paused += pause;
            match copied {
                Ok(copied) => {
                    self.note_rate(copied.builder.used_bytes(), took);
                    if time_over {
                        *buffer = copied.builder.into_buffers();
                        return Err(self.too_long(paused));
                    }
                    let lost_pages = copied.lost_pages();
                    if lost_pages > 0 && lost_pages == copied.builder.page_count() as u64 {
                        *buffer = copied.builder.into_buffers();
                        return Err(self.exited(Stage::COPY));
                    }
                    self.forget_copy();
                    let pause = Some(paused);
                    let copy = CopyInfo {
                        pause,
                        stops,
                        cut_short,
                        was_consistent,
                        threads,
                        lost_pages,
                        missing_bytes: 0,
                    };
                    return Ok(FrozenProcess { residence, ..self.frozen(copied, at, copy) });
                }
                Err(CopyError::Abandoned(bytes)) => {
                    self.note_rate(bytes, took);
                    return Err(self.too_long(paused));
                }
                Err(CopyError::BufferFull) if stops < MAX_STOPS => {
                    self.refresh()?;
                    estimate = self.make_room(buffer)?.pause;
                }
                Err(CopyError::BufferFull) => {
                    return Err(self.outgrown());
                }
            }
        }
    }

    /// An error if a pause has [no time](Self::has_time).
    fn check_time(&mut self, estimate: Duration, left: Duration, paused: Duration) -> Result<(), Error> {
        if Self::has_time(estimate, left) {
            return Ok(());
        }
        // One copy may have been slow by chance: the next pause is judged by less of that.
        self.rate -= self.rate.saturating_sub(FIRST_RATE) / 4;
        Err(self.too_long(paused))
    }

    /// Whether a pause of the estimated length fits into the time that is left, and into our own time on the processors: a whole period of
    /// that is before us at the return.
    pub(super) fn has_time(estimate: Duration, left: Duration) -> bool {
        let quota = CpuQuota::now();
        let fits = estimate <= left && quota.is_none_or(|quota| quota.fits(estimate));
        quota.filter(|_| fits).map(|quota| quota.period).into_iter().for_each(std::thread::sleep);
        fits
    }

    pub(super) fn outgrown(&self) -> Error {
        let hint = "try again, or read without a pause (`--no-stop`)";
        self.error("allocated memory faster than its copy could grow", hint)
    }

    fn too_long(&self, paused: Duration) -> Error {
        let hint = "permit a longer pause (`--max-pause`), or read without a pause (`--no-stop`)";
        Error {
            paused_in_vain: Some(paused),
            ..self.error("a copy takes longer than it may be paused", hint)
        }
    }

    pub(super) fn copied_mappings(&self) -> impl Iterator<Item = &Mapping> {
        self.info.mappings.iter().filter(|mapping| is_copied(mapping))
    }

    /// Passes to `each` the pages to copy, without those that `choice` leaves out, in the mappings for which `is_wanted` is true.
    pub(super) fn scan(
        &self,
        choice: &PageChoice,
        is_wanted: impl Fn(&Mapping) -> bool,
        mut each: impl FnMut(OwnPages),
    ) {
        let mut page_map = self.open_page_map();
        for mapping in self.copied_mappings().filter(|mapping| is_wanted(mapping)) {
            for part in choice.wanted(&mapping.range) {
                page_map.scan(mapping, &part, self.files.part(mapping).is_none(), &mut each);
            }
        }
    }

    pub(super) fn frozen(&self, mut copied: Copied, at: SystemTime, copy: CopyInfo) -> FrozenProcess {
        for mapping in copied.mappings.iter().filter(|mapping| is_copied(mapping)) {
            self.pages.skipped(&mapping.range).for_each(|range| copied.builder.skip(range));
        }
        let uncopied = copied.mappings.iter().filter(|mapping| is_copied(mapping)).filter_map(|mapping| {
            let backing = match (mapping.kind(), self.files.part(mapping)) {
                (MappingKind::Anonymous, _) => Backing::Zeros,
                (MappingKind::File, Some(part)) => Backing::File(Arc::clone(part)),
                (MappingKind::File, None) | (MappingKind::Kernel, _) => return None,
            };
            Some(Uncopied { range: mapping.range.clone(), backing })
        });
        FrozenProcess {
            memory: copied.builder.finish(uncopied.collect()),
            info: ProcessInfo { mappings: copied.mappings, ..self.info.clone() },
            at: Some(at),
            copy,
            residence: None,
            files: FileOrigin::Process(self.info.id.pid),
            saved_addresses: BTreeMap::new(),
        }
    }

    /// Which pages a copy in this buffer has, which earlier ones may be in.
    pub(super) fn which_pages(&self, buffer: &CopyBuffer) -> Pages<'_> {
        let earlier = self.ahead.as_ref().filter(|ahead| ahead.pages.is_in(buffer));
        earlier.map_or(Pages::All, |ahead| Pages::Written(&ahead.pages))
    }

    /// Prepares a buffer for a copy made now, and returns the estimate of it. Forgets an earlier copy that leaves no room for it.
    pub(super) fn make_room(&mut self, buffer: &mut CopyBuffer) -> Result<Estimate, Error> {
        let mut estimate = self.estimate();
        if let Some(ahead) = &self.ahead {
            let wanted = ahead.pages.used_bytes() as u64 + estimate.bytes + HEADROOM as u64;
            if ahead.pages.is_in(buffer) && wanted <= buffer.len() as u64 {
                return Ok(estimate);
            }
            self.ahead = None;
            estimate = self.estimate();
        }
        let bytes = estimate.bytes;
        allocate(buffer, bytes, HEADROOM).map_err(|why| {
            let message = format!("no room for a copy of {}: {why}", units::Bytes(bytes));
            let hint = "read without a pause (`--no-stop`), which needs little memory";
            Error { out_of_memory: true, ..self.error(&message, hint) }
        })?;
        Ok(estimate)
    }

    pub(super) fn note_rate(&mut self, bytes: usize, took: Duration) {
        // Small copies measure the system calls rather than the memory.
        if bytes as u64 >= 8 * MEBIBYTE {
            let rate = took.as_nanos() * u128::from(MEBIBYTE) / bytes as u128;
            self.rate = u64::try_from(rate).unwrap_or(u64::MAX);
        }
    }

    fn error(&self, message: &str, hint: &str) -> Error {
        Error::new(Stage::COPY, format!("{}: {message}", named(self.info.id.pid, &self.info.name)), hint)
    }

    pub(super) fn exited(&self, stage: Stage) -> Error {
        access_errors::exited(stage, self.info.id.pid, &self.info.name)
    }

    pub(super) fn stop_error(&self, error: StopError, limit: Duration) -> Error {
        match error {
            // The latter is no answer to a request to stop all of them.
            StopError::Exited | StopError::Asleep => self.exited(Stage::COPY),
            StopError::Refused(error) => unreadable(&self.info, Attempt::Stop, &error),
            StopError::NoThread(error) => {
                self.error(&format!("cannot start a thread to pause it: {error}"), "close other programs")
            }
            StopError::NoWatchdog(error) => {
                let error = self.error(
                    &format!("was not paused: the watchdog of the pause cannot be started: {error}"),
                    "permit a new process and pidfd_open(2), or read without a pause (`--no-stop`)",
                );
                Error { paused_in_vain: Some(Duration::ZERO), no_watchdog: true, ..error }
            }
            StopError::Timeout(thread, paused, _) => {
                let why = match thread {
                    None => "it is starting another program".to_owned(),
                    Some((tid, name, state)) => format!("its thread {tid} ({name}) is in state {state}"),
                };
                let error = self.error(
                    &format!("did not stop within {} ms: {why}", limit.as_millis()),
                    "it runs on unharmed; try again, or read without a pause (`--no-stop`)",
                );
                Error { paused_in_vain: Some(paused), ..error }
            }
        }
    }
}

impl ProcessSource for Target {
    fn info(&self) -> &ProcessInfo {
        &self.info
    }

    fn memory(&self) -> &dyn Memory {
        &self.memory
    }

    fn open(&self, mapping: &Mapping) -> Result<File, Error> {
        open_file(self.info.id.pid, mapping)
    }
}

fn open_memory(info: &ProcessInfo) -> Result<ProcMem, Error> {
    let file = File::open(format!("/proc/{}/mem", info.id.pid));
    let file = file.map_err(|error| unreadable(info, Attempt::Read, &error))?;
    Ok(ProcMem::new(file, readable(&info.mappings)))
}

fn unreadable(info: &ProcessInfo, attempt: Attempt, error: &io::Error) -> Error {
    access_errors::unreadable(info.id.pid, &info.name, attempt, error)
}
