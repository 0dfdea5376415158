//! Copies of a process whose threads that sleep are left alone: the quiet copy, if all of them sleep, and the gentle one, which pauses the
//! others.
//!
//! A pause wakes a thread that sleeps in a system call, and some calls then end early (signal(7), and a write(2) that has written a part).
//! A thread that runs in user code is in no call. So the gentle copy pauses the threads that run. Those that sleep must have slept from
//! before the first byte was copied until after the last one ([`SleepingThreads`]). A thread that woke spoils the copy, and it is tried again.
//! Threads that wake often, as one that waits for Python's global lock does, are paused too if they sleep in a call that the kernel goes on
//! with after a pause.
//!
//! A thread can begin to sleep in the microseconds between the look at it and its interrupt, and a call in which it runs can end early, too:
//! [`CopyInfo::cut_short`] counts the calls that did.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;
use std::time::{Duration, Instant, SystemTime};

use super::attached::{StopLimits, Target};
use super::copy_source::{Copied, CopyError, CopySource};
use super::cpu_quota::RestOfQuota;
use super::frozen_process::{CopyInfo, FrozenProcess};
use super::page_map::PageMap;
use super::ptrace::{Choice, PtraceStop, StopError};
use super::retry::retry_while_traced;
use super::sleep::{Look, SleepingThreads};
use crate::error::{Error, Stage};
use crate::memory::{CopyBuffer, ProcMem};
use crate::priority;
use crate::residence::Residence;

/// How long a moment is awaited at which a copy can begin, apart from the time of the copy itself. A program that sleeps at all mostly does
/// within that time, and one that never does is delayed by no more.
const SLEEP_LIMIT: Duration = Duration::from_millis(50);
/// Attempts that are made even if that time is over: we may have been kept off the processors, and all its threads sleep.
const MIN_ATTEMPTS: u32 = 5;
/// How long a copy of a sleeper may take beyond the estimate: it has no effect, so we need not hurry on a busy machine.
const SLOW_COPY: Duration = Duration::from_secs(1);
/// The pause between two looks at threads that did not sleep.
const LOOK_PAUSE: Duration = Duration::from_millis(1);
/// The same for a gentle copy: a service runs for less than a millisecond for a request.
const SHORT_LOOK_PAUSE: Duration = Duration::from_micros(200);
/// The shortest time between two looks during a copy. A look takes at most a tenth of the time.
const COPY_LOOK_PAUSE: Duration = Duration::from_millis(5);
/// Pauses of one gentle copy at most.
const MAX_PAUSES: u32 = 12;
/// How long the threads that run may take to stop: they only wait for a processor.
const AWAKE_STOP_LIMIT: Duration = Duration::from_millis(50);
/// How long a thread that wakes often may sleep before a copy is begun all the same: it may sleep on for as long.
const FRAGILE_WAIT: Duration = Duration::from_millis(10);
/// The wait after a pause in a garbage collection. It doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(2);

/// The pauses of a process for a gentle copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pauses {
    /// Their number.
    pub count: u32,
    /// How long it was paused in all.
    pub total: Duration,
    /// System calls that the pauses ended early: with EINTR, or after a part of the bytes to write.
    pub cut_short: u64,
}

impl Pauses {
    /// The facts of a copy after these pauses.
    fn copy_info(&self, threads: &SleepingThreads) -> CopyInfo {
        CopyInfo {
            pause: (self.count > 0).then_some(self.total),
            stops: self.count,
            cut_short: self.cut_short,
            threads: threads.len(),
            ..CopyInfo::default()
        }
    }
}

impl AddAssign for Pauses {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.total += other.total;
        self.cut_short += other.cut_short;
    }
}

/// A copy with the proof that it shows one moment.
struct Proven {
    copied: Copied,
    residence: Option<Residence>,
    at: SystemTime,
    took: Duration,
}

/// Why an attempt gave no copy.
enum Spoilt {
    /// A thread ran, or may have run.
    Awake,
    /// Another moment is wanted.
    Inconsistent,
    /// The buffer did not suffice: since it was prepared, the process ran and allocated more.
    BufferFull,
}

impl Target {
    /// Copies it while it runs, without any effect on it, and proves that none of its threads ran meanwhile: so the copy shows one moment, as
    /// one under a [`stop`](Self::stop) does. `is_consistent` inspects the memory before a copy, and is false if another moment is wanted.
    ///
    /// Begins again for some 50 ms and the time of a copy; `None` if its threads do not sleep that long, or the kernel does not show it.
    ///
    /// # Errors
    /// If it has exited, permission is missing, or memory is short ([`Error::out_of_memory`]).
    pub fn freeze_asleep(
        &mut self,
        buffer: &mut CopyBuffer,
        mut is_consistent: impl FnMut(&ProcMem) -> bool,
    ) -> Result<Option<FrozenProcess>, Error> {
        self.refresh()?;
        let copy_time = self.make_room(buffer)?.pause;
        let last_begin = Instant::now() + SLEEP_LIMIT + copy_time;
        let deadline = last_begin + copy_time + SLOW_COPY;
        for attempt in 1_u32.. {
            let threads = SleepingThreads::look(self.info.id.pid, &BTreeSet::new(), deadline);
            if let Some(threads) = threads {
                let page_map = self.open_page_map();
                match self.copy_proven(page_map, &threads, buffer, &mut is_consistent, deadline)? {
                    Ok(proven) => {
                        let copy = CopyInfo { threads: threads.len(), ..CopyInfo::default() };
                        return Ok(Some(self.frozen_proven(proven, copy)));
                    }
                    Err(Spoilt::BufferFull) => self.make_more_room(buffer)?,
                    Err(Spoilt::Awake | Spoilt::Inconsistent) => {}
                }
            }
            if attempt >= MIN_ATTEMPTS && Instant::now() >= last_begin {
                break;
            }
            std::thread::sleep(LOOK_PAUSE);
        }
        Ok(None)
    }

    /// Pauses the threads that run, copies it, and resumes them. Threads that sleep in a system call that a pause could end early are left
    /// alone, and it is proven that they slept: so the copy shows one moment. If none runs, none is paused. `is_consistent` is that of
    /// [`freeze`](Self::freeze).
    ///
    /// Begins again for some 50 ms and the time of a copy, within the limits. The copy is `None` if a thread that was left alone always
    /// woke up, if the limits do not suffice, or if the kernel does not show what is needed. The pauses are those of all attempts.
    ///
    /// # Errors
    /// If it has exited, permission is missing, or memory is short ([`Error::out_of_memory`]).
    pub fn freeze_gently(
        &mut self,
        buffer: &mut CopyBuffer,
        limits: impl Into<StopLimits>,
        mut is_consistent: impl FnMut(&ProcMem) -> bool,
    ) -> Result<(Option<FrozenProcess>, Pauses), Error> {
        let limits: StopLimits = limits.into();
        let mut pauses = Pauses::default();
        self.refresh()?;
        let mut copy_time = self.make_room(buffer)?.pause;
        let fits = limits.pause.is_none_or(|longest| Self::has_time(copy_time, longest));
        let mut quota = limits.pause.map(|_| RestOfQuota::all());
        let mut renewals = 0;
        let mut last_begin = Instant::now() + SLEEP_LIMIT + copy_time;
        let (mut wakers, mut wait) = (Wakers::default(), FIRST_WAIT);
        let mut attempts = 0;
        while fits && (Instant::now() < last_begin || attempts < MIN_ATTEMPTS) && pauses.count < MAX_PAUSES {
            attempts += 1;
            let Some(moment) = wakers.look(self.info.id.pid) else {
                std::thread::sleep(SHORT_LOOK_PAUSE);
                continue;
            };
            let left = limits.pause.map(|longest| longest.saturating_sub(pauses.total));
            if left.is_some_and(|left| left < copy_time) {
                break;
            }
            // The looks and the pauses before have used a part of it.
            let used_up = quota.as_mut().filter(|quota| !quota.fits(copy_time));
            if let (Moment::Stop(_), Some(quota)) = (&moment, used_up) {
                if renewals == MAX_PAUSES {
                    break;
                }
                renewals += 1;
                last_begin += quota.renew();
                continue;
            }
            let limits = StopLimits { stop: limits.stop.min(AWAKE_STOP_LIMIT), pause: left, ..limits };
            match self.copy_gently(&moment, buffer, limits, &mut is_consistent, &mut pauses)? {
                Ok(frozen) => return Ok((Some(frozen), pauses)),
                Err(Spoilt::Awake) => {}
                Err(Spoilt::BufferFull) => {
                    self.make_more_room(buffer)?;
                    copy_time = self.estimate().pause;
                }
                Err(Spoilt::Inconsistent) => {
                    std::thread::sleep(wait);
                    last_begin += wait;
                    wait *= 2;
                }
            }
        }
        Ok((None, pauses))
    }

    /// Pauses, copies and resumes it once.
    fn copy_gently(
        &mut self,
        moment: &Moment,
        buffer: &mut CopyBuffer,
        limits: StopLimits,
        is_consistent: &mut dyn FnMut(&ProcMem) -> bool,
        pauses: &mut Pauses,
    ) -> Result<Result<FrozenProcess, Spoilt>, Error> {
        let pid = self.info.id.pid;
        // Here, because its buffer is allocated and written to.
        let page_map = self.open_page_map();
        let Moment::Stop(also) = moment else {
            let deadline = Instant::now() + SLEEP_LIMIT + SLOW_COPY;
            let Some(threads) = SleepingThreads::look(pid, &BTreeSet::new(), deadline) else {
                return Ok(Err(Spoilt::Awake));
            };
            let proven = self.copy_proven(page_map, &threads, buffer, is_consistent, deadline)?;
            return Ok(proven.map(|proven| self.frozen_proven(proven, pauses.copy_info(&threads))));
        };
        let stop = || PtraceStop::stop(pid, Choice::Awake(also.clone()), limits.stop, limits.pause);
        let stop = match retry_while_traced(pid, stop) {
            Ok(stop) => stop,
            // The stop of all threads reports that there is no watchdog.
            Err(StopError::Asleep | StopError::NoWatchdog(_)) => return Ok(Err(Spoilt::Awake)),
            Err(StopError::Timeout(_, total, cut_short)) => {
                *pauses += Pauses { count: 1, total, cut_short };
                return Ok(Err(Spoilt::Awake));
            }
            Err(error) => return Err(self.stop_error(error, limits.stop)),
        };
        let raised = priority::raise_to_real_time();
        let (begun, cut_short) = (stop.begun, stop.cut_short);
        let end = begun + limits.pause.unwrap_or(Duration::MAX / 4);
        let threads = SleepingThreads::look(pid, &stop.threads, end);
        let copy = |threads| self.copy_proven(page_map, threads, buffer, is_consistent, end);
        let proven = threads.as_ref().map(copy);
        let release = stop.release();
        drop(raised);
        *pauses += Pauses { count: 1, total: release.at.saturating_duration_since(begun), cut_short };
        let Some(threads) = threads else { return Ok(Err(Spoilt::Awake)) };
        match proven.transpose()?.unwrap_or(Err(Spoilt::Awake)) {
            Ok(proven) if release.time_over => {
                *buffer = proven.copied.builder.into_buffers();
                Ok(Err(Spoilt::Awake))
            }
            Ok(proven) => Ok(Ok(self.frozen_proven(proven, pauses.copy_info(&threads)))),
            Err(spoilt) => Ok(Err(spoilt)),
        }
    }

    /// Copies it once, and proves that no thread ran that is not stopped.
    fn copy_proven(
        &self,
        page_map: PageMap,
        threads: &SleepingThreads,
        buffer: &mut CopyBuffer,
        is_consistent: &mut dyn FnMut(&ProcMem) -> bool,
        deadline: Instant,
    ) -> Result<Result<Proven, Spoilt>, Error> {
        if self.has_ended() {
            return Err(self.exited(Stage::COPY));
        }
        let mut source: CopySource = self.open_source(page_map)?;
        if !is_consistent(source.memory()) {
            return Ok(Err(Spoilt::Inconsistent));
        }
        let begun = Instant::now();
        let mut next_look = begun + COPY_LOOK_PAUSE;
        let mut goes_on = || {
            let now = Instant::now();
            if now < next_look {
                return true;
            }
            let is_asleep = threads.seem_asleep();
            next_look = Instant::now() + (now.elapsed() * 10).max(COPY_LOOK_PAUSE);
            is_asleep && now < deadline
        };
        let copied = match source.copy(buffer, self.which_pages(buffer), &self.files, &mut goes_on) {
            Ok(copied) => copied,
            Err(CopyError::Abandoned(_)) => return Ok(Err(Spoilt::Awake)),
            Err(CopyError::BufferFull) => return Ok(Err(Spoilt::BufferFull)),
        };
        let took = begun.elapsed();
        let residence = self.records_residence.then(|| source.read_residence()).flatten();
        let at = SystemTime::now();
        if !threads.have_slept() || self.has_ended() {
            *buffer = copied.builder.into_buffers();
            return Ok(Err(Spoilt::Awake));
        }
        Ok(Ok(Proven { copied, residence, at, took }))
    }

    fn frozen_proven(
        &mut self,
        Proven { copied, residence, at, took }: Proven,
        copy: CopyInfo,
    ) -> FrozenProcess {
        self.note_rate(copied.builder.used_bytes(), took);
        self.forget_copy();
        let copy = CopyInfo { was_consistent: true, lost_pages: copied.lost_pages(), ..copy };
        FrozenProcess { residence, ..self.frozen(copied, at, copy) }
    }

    fn make_more_room(&mut self, buffer: &mut CopyBuffer) -> Result<(), Error> {
        self.refresh()?;
        self.make_room(buffer).map(drop)
    }
}

/// How a copy can begin.
enum Moment {
    /// All threads sleep.
    Asleep,
    /// Threads run. These are to be paused with them: they wake often.
    Stop(BTreeSet<u32>),
}

/// Which threads of a process wake often.
#[derive(Debug, Default)]
struct Wakers {
    /// The switches of each thread when it was last seen asleep.
    switches: BTreeMap<u32, u64>,
    restless: BTreeSet<u32>,
    waits_since: Option<Instant>,
}

impl Wakers {
    /// Looks whether a copy can begin.
    fn look(&mut self, pid: u32) -> Option<Moment> {
        let look = Look::at(pid)?;
        self.restless.extend(&look.awake);
        for &(tid, switches) in look.fragile.iter().chain(&look.robust) {
            if self.switches.insert(tid, switches).is_some_and(|before| before != switches) {
                self.restless.insert(tid);
            }
        }
        let tids = |of: &[(u32, u64)]| of.iter().map(|&(tid, _)| tid).collect::<BTreeSet<u32>>();
        let also: BTreeSet<u32> = tids(&look.robust).intersection(&self.restless).copied().collect();
        let would_wake = !tids(&look.fragile).is_disjoint(&self.restless);
        let waits_since = *self.waits_since.get_or_insert_with(Instant::now);
        if would_wake && waits_since.elapsed() < FRAGILE_WAIT {
            return None;
        }
        self.waits_since = None;
        let is_asleep = look.awake.is_empty() && also.is_empty();
        Some(if is_asleep { Moment::Asleep } else { Moment::Stop(also) })
    }
}
