//! The one layer that touches another process: attaching, stopping, copying, letting go. Nothing is ever written to it.

mod access_errors;
mod available_memory;
mod copy;
pub mod core_file;
mod frozen_process;
mod live_memory;
mod mapped_files;
mod page_map;
mod process_info;
mod procfs;
mod ptrace;
mod smaps;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use common::units;
use rustix::io::Errno;

use crate::addr::Addr;
use crate::error::{Error, Stage};
use crate::info::{Mapping, MappingKind, ProcessInfo, ProcessSource};
use crate::memory::{Backing, CopyBuffer, FilePart, Memory, PAGE_SIZE, ProcMem, Uncopied, merge_nearby};

use access_errors::Attempt;
use page_map::PageMap;
use process_info::read_process;
use procfs::Stat;
use ptrace::PtraceStop;

use available_memory::AvailableMemory;
use copy::CopyError;
pub use copy::StoppedProcess;
pub use frozen_process::{CopyInfo, FileOrigin, FrozenProcess};
pub use live_memory::{LiveMemory, ReadCounts};

/// How long the threads of a target may take to stop. They stop within a millisecond or are stuck.
pub const STOP_LIMIT: Duration = Duration::from_millis(250);
/// How many times a target is stopped until it is found quiet.
pub const MAX_STOPS: u32 = 12;
/// The pause before the second stop; it doubles each time, so that a long collection is waited for and a short one too.
const FIRST_WAIT: Duration = Duration::from_millis(2);
const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// How many files are kept open. What the others hold is copied from memory.
const MAX_FILES: usize = 512;
/// Nanoseconds for a mebibyte, as long as nothing was copied: the slower of two ways on the machines that were measured.
const FIRST_RATE: u64 = 300_000;
const MEBIBYTE: u64 = 1 << 20;

/// A running process.
#[derive(Debug)]
pub struct Target {
    info: ProcessInfo,
    /// Where its program and its first stack are: another program in the same process has others.
    image: (u64, u64),
    memory: ProcMem,
    file_parts: Vec<(Mapping, Arc<FilePart>)>,
    /// Nanoseconds that copying a mebibyte took at last.
    rate: AtomicU64,
    /// Room for looking at its pages, kept from one stop to the next.
    maps: Mutex<Option<PageMap>>,
    wants_residence: bool,
}

/// What a copy would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// How much would be copied.
    pub bytes: u64,
    /// How long the target would stand still for it, as the last copy went.
    pub pause: Duration,
}

impl Target {
    /// Gets at a process: finds out who it is and what it has mapped. It takes no notice of that.
    ///
    /// # Errors
    /// If there is none, or it is nothing that memory can be read of, or we may not: each with what to do.
    pub fn attach(pid: u32) -> Result<Self, Error> {
        let (info, image) = read_process(pid)?;
        let memory = memory_of(&info).map_err(|error| unreadable(&info, Attempt::Read, &error))?;
        let rate = AtomicU64::new(FIRST_RATE);
        let mut target = Self {
            info,
            image,
            memory,
            file_parts: Vec::new(),
            rate,
            maps: Mutex::new(None),
            wants_residence: false,
        };
        target.open_files();
        Ok(target)
    }

    /// Whether copies come with where its pages were, from now on. That makes a stop some 25 ms longer for each GiB that is resident.
    pub const fn record_residence(&mut self, wanted: bool) {
        self.wants_residence = wanted;
    }

    /// Looks again at what it has mapped and how large it is.
    ///
    /// # Errors
    /// If it has ended or become another program, or as [`attach`](Self::attach).
    pub fn refresh(&mut self) -> Result<(), Error> {
        let (info, image) = read_process(self.info.id.pid)?;
        if info.id != self.info.id || image != self.image {
            return Err(self.gone(Stage::ATTACH));
        }
        self.memory = memory_of(&info).map_err(|error| unreadable(&info, Attempt::Read, &error))?;
        self.info = info;
        self.open_files();
        Ok(())
    }

    /// Whether it has ended or become another program.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let stat =
            fs::read(format!("/proc/{}/stat", self.info.id.pid)).ok().and_then(|text| Stat::parse(&text));
        stat.is_none_or(|stat| {
            stat.state.has_ended() || stat.start_ticks != self.info.id.start || stat.image != self.image
        })
    }

    /// What a copy would be, if it were made now.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        let mut bytes = 0_u64;
        self.scan(|_| true, |pages| bytes += (pages.count * PAGE_SIZE) as u64);
        let nanoseconds =
            u128::from(bytes) * u128::from(self.rate.load(Ordering::Relaxed)) / u128::from(MEBIBYTE);
        Estimate { bytes, pause: Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX)) }
    }

    /// Stops all its threads within `limit`.
    ///
    /// # Errors
    /// If it has ended, or one of them does not stop, or we may not. Then all of them run on.
    pub fn stop(&self, limit: Duration) -> Result<StoppedProcess<'_>, Error> {
        let pid = self.info.id.pid;
        let maps = self.page_map();
        let stop = PtraceStop::stop(pid, limit).map_err(|error| self.stop_error(error, limit))?;
        // Opened anew: what was opened before may be the memory of a program that it no longer is.
        if self.has_ended() {
            return Err(self.gone(Stage::COPY));
        }
        let opened = File::open(format!("/proc/{pid}/mem"))
            .map_err(|error| unreadable(&self.info, Attempt::Stop, &error))?;
        let text = fs::read(format!("/proc/{pid}/maps"))
            .map_err(|error| unreadable(&self.info, Attempt::Stop, &error))?;
        let mappings = procfs::maps(&text);
        let memory = ProcMem::new(opened, readable(&mappings));
        Ok(StoppedProcess { target: self, stop, memory, mappings, maps })
    }

    /// Stops it, copies it and lets it go; `is_quiet` looks at it while it stands still, and if it says no, it is let go and stopped
    /// again a little later, up to [`MAX_STOPS`] times; then it is copied as it is.
    ///
    /// # Errors
    /// As [`stop`](Self::stop), or if no room can be got ([`Error::out_of_memory`]).
    pub fn freeze(
        &mut self,
        buffers: &mut CopyBuffer,
        limit: Duration,
        mut is_quiet: impl FnMut(&ProcMem) -> bool,
    ) -> Result<FrozenProcess, Error> {
        self.refresh()?;
        self.make_room(buffers)?;
        let mut wait = FIRST_WAIT;
        let mut stops = 0;
        loop {
            let mut stopped = self.stop(limit)?;
            stops += 1;
            let was_quiet = is_quiet(stopped.memory());
            if stops < MAX_STOPS && !was_quiet {
                let _ = stopped.resume();
                std::thread::sleep(wait);
                wait = (wait * 2).min(LONGEST_WAIT);
                continue;
            }
            let copied = stopped.copy(buffers);
            let residence =
                (self.wants_residence && copied.is_ok()).then(|| stopped.read_residence()).flatten();
            let threads = stopped.threads();
            let at = SystemTime::now();
            self.keep_of(&mut stopped);
            let pause = stopped.resume();
            match copied {
                Ok(copied) => {
                    let copy = CopyInfo {
                        pause: Some(pause),
                        stops,
                        was_quiet,
                        threads,
                        lost_pages: copied.lost_pages,
                        missing_bytes: 0,
                    };
                    return Ok(FrozenProcess { residence, ..self.still(copied, at, copy) });
                }
                Err(CopyError::BufferFull) if stops < MAX_STOPS => {
                    self.refresh()?;
                    self.make_room(buffers)?;
                }
                Err(error) => return Err(error.describe(self)),
            }
        }
    }

    /// Its memory as it runs, read page by page, of which at most `cache_bytes` are kept.
    ///
    /// # Errors
    /// If it has ended, or as [`attach`](Self::attach).
    pub fn live(&self, cache_bytes: u64) -> Result<LiveMemory, Error> {
        let memory = memory_of(&self.info).map_err(|error| unreadable(&self.info, Attempt::Read, &error))?;
        let written = merge_nearby(self.written_regions(), memory.regions());
        Ok(LiveMemory::new(self.info.id.pid, memory, written, cache_bytes))
    }

    /// Its own pages, and those of files that can be had.
    fn written_regions(&self) -> Vec<Range<Addr>> {
        let of_files = self.wanted().filter(|mapping| self.has_file(mapping));
        let mut written: Vec<Range<Addr>> = of_files.map(|mapping| mapping.range.clone()).collect();
        self.scan(
            |mapping| !self.has_file(mapping),
            |pages| written.push(pages.at..pages.at.plus((pages.count * PAGE_SIZE) as u64)),
        );
        written
    }

    /// The mappings of which anything is to be copied.
    fn wanted(&self) -> impl Iterator<Item = &Mapping> {
        self.info.mappings.iter().filter(|mapping| page_map::is_wanted(mapping))
    }

    /// Tells `each` the pages with a content of their own in those of the wanted mappings for which `of` is true.
    fn scan(&self, of: impl Fn(&Mapping) -> bool, mut each: impl FnMut(page_map::Pages)) {
        let mut maps = self.page_map();
        for mapping in self.wanted().filter(|mapping| of(mapping)) {
            let Ok(()) = maps.scan(mapping, !self.has_file(mapping), |pages| {
                each(pages);
                Ok::<(), std::convert::Infallible>(())
            });
        }
        self.keep(maps);
    }

    fn still(&self, copied: copy::Copied, at: SystemTime, copy: CopyInfo) -> FrozenProcess {
        let behind = copied.mappings.iter().filter(|mapping| page_map::is_wanted(mapping));
        let behind = behind.filter_map(|mapping| {
            let backing = match (mapping.kind(), self.file_of(mapping)) {
                (MappingKind::Anonymous, _) => Backing::Zeros,
                (MappingKind::File, Some(constant)) => Backing::File(Arc::clone(constant)),
                (MappingKind::File, None) | (MappingKind::Kernel, _) => return None,
            };
            Some(Uncopied { range: mapping.range.clone(), backing })
        });
        let memory = copied.filling.finish(behind.collect());
        let info = ProcessInfo { mappings: copied.mappings, ..self.info.clone() };
        FrozenProcess {
            memory,
            info,
            at: Some(at),
            copy,
            residence: None,
            files: FileOrigin::Process(self.info.id.pid),
            saved_addresses: BTreeMap::new(),
        }
    }

    fn make_room(&self, buffers: &mut CopyBuffer) -> Result<(), Error> {
        let bytes = self.estimate().bytes;
        let out_of_memory = |why: &str| {
            let named = access_errors::named(self.info.id.pid, &self.info.name);
            let what = format!("{named}: no room for a copy of {}: {why}", units::Bytes(bytes));
            let hint = "read without a stop (`--no-stop`), which takes little memory";
            Error { out_of_memory: true, ..Error::new(Stage::COPY, what, hint) }
        };
        let room = AvailableMemory::now();
        if !room.fits(bytes.saturating_sub(buffers.populated_bytes() as u64)) {
            return Err(out_of_memory(&room.to_string()));
        }
        let wanted = usize::try_from(bytes).map_err(|error| out_of_memory(&error.to_string()))?;
        // A little more is faulted in, for what it allocates meanwhile.
        buffers.prepare(wanted.saturating_add(1 << 20)).map_err(|error| out_of_memory(&error.to_string()))
    }

    /// Opens what is mapped from files, as far as it is not open yet.
    fn open_files(&mut self) {
        let mut opened: Vec<((u32, u32), u64, Arc<File>)> = Vec::new();
        let mut kept = std::mem::take(&mut self.file_parts);
        kept.retain(|(mapping, _)| {
            self.info.mapping_at(mapping.range.start).is_some_and(|now| now.is_same_as(mapping))
        });
        let mut file_parts = Vec::with_capacity(kept.len());
        for mapping in
            self.info.mappings.iter().filter(|m| m.kind() == MappingKind::File && page_map::is_wanted(m))
        {
            if let Some(constant) = found(&kept, mapping) {
                file_parts.push((mapping.clone(), Arc::clone(constant)));
                continue;
            }
            let known =
                opened.iter().find(|(device, inode, _)| (*device, *inode) == (mapping.device, mapping.inode));
            let file = match known {
                Some((_, _, file)) => Arc::clone(file),
                None if opened.len() >= MAX_FILES => continue,
                None => match mapped_files::open(self.info.id.pid, mapping) {
                    Ok(file) => {
                        let file = Arc::new(file);
                        opened.push((mapping.device, mapping.inode, Arc::clone(&file)));
                        file
                    }
                    Err(_) => continue,
                },
            };
            file_parts
                .push((mapping.clone(), Arc::new(FilePart::new(file, mapping.offset, mapping.length()))));
        }
        self.file_parts = file_parts;
    }

    /// The file's part behind a mapping, if it is open.
    fn file_of(&self, mapping: &Mapping) -> Option<&Arc<FilePart>> {
        found(&self.file_parts, mapping)
    }

    fn has_file(&self, mapping: &Mapping) -> bool {
        self.file_of(mapping).is_some()
    }

    fn page_map(&self) -> PageMap {
        let kept = self.maps.lock().unwrap_or_else(PoisonError::into_inner).take();
        kept.unwrap_or_else(|| PageMap::new(None)).of(self.info.id.pid)
    }

    fn keep(&self, maps: PageMap) {
        *self.maps.lock().unwrap_or_else(PoisonError::into_inner) = Some(maps);
    }

    fn keep_of(&self, stopped: &mut StoppedProcess<'_>) {
        self.keep(std::mem::replace(&mut stopped.maps, PageMap::new(None)));
    }

    fn note_rate(&self, bytes: usize, took: Duration) {
        // Small copies say more about the calls than about the memory.
        if bytes as u64 >= 8 * MEBIBYTE {
            let rate = took.as_nanos() * u128::from(MEBIBYTE) / bytes as u128;
            self.rate.store(u64::try_from(rate).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    fn gone(&self, stage: Stage) -> Error {
        access_errors::gone(stage, self.info.id.pid, &self.info.name)
    }

    fn stop_error(&self, error: ptrace::StopError, limit: Duration) -> Error {
        let named = access_errors::named(self.info.id.pid, &self.info.name);
        match error {
            ptrace::StopError::Gone => self.gone(Stage::COPY),
            ptrace::StopError::Refused(error) => unreadable(&self.info, Attempt::Stop, &error),
            ptrace::StopError::NoThread(error) => Error::new(
                Stage::COPY,
                format!("{named}: no thread to stop it with: {error}"),
                "close other programs",
            ),
            ptrace::StopError::Timeout(stuck) => {
                let who = stuck.map_or_else(
                    || "it is becoming another program".to_owned(),
                    |stuck| {
                        format!(
                            "its thread {} ({}) is in state {}",
                            stuck.tid,
                            stuck.name,
                            stuck.state.as_str()
                        )
                    },
                );
                Error::new(
                    Stage::COPY,
                    format!("{named}: did not stop within {} ms: {who}", limit.as_millis()),
                    "it runs on unharmed; try again, or read without a stop (`--no-stop`)",
                )
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
        mapped_files::open(self.info.id.pid, mapping).map_err(|error| {
            Error::new(
                Stage::ATTACH,
                format!("{}: {error}", crate::info::shown(&mapping.path)),
                "run memobj as root, or inside the same container",
            )
        })
    }
}

/// What of `constants`, which are ordered by address, is behind a mapping.
fn found<'c>(file_parts: &'c [(Mapping, Arc<FilePart>)], mapping: &Mapping) -> Option<&'c Arc<FilePart>> {
    let at = file_parts.binary_search_by_key(&mapping.range.start, |(known, _)| known.range.start).ok()?;
    file_parts.get(at).filter(|(known, _)| known.is_same_as(mapping)).map(|(_, constant)| constant)
}

fn readable(mappings: &[Mapping]) -> Vec<Range<Addr>> {
    let is_readable = |m: &&Mapping| m.access.read && m.kind() != MappingKind::Kernel;
    mappings.iter().filter(is_readable).map(|mapping| mapping.range.clone()).collect()
}

fn memory_of(info: &ProcessInfo) -> io::Result<ProcMem> {
    Ok(ProcMem::new(File::open(format!("/proc/{}/mem", info.id.pid))?, readable(&info.mappings)))
}

fn unreadable(info: &ProcessInfo, attempt: Attempt, error: &io::Error) -> Error {
    let stage = if attempt == Attempt::Read { Stage::ATTACH } else { Stage::COPY };
    match error.raw_os_error() {
        Some(code) if [Errno::SRCH, Errno::NOENT].iter().any(|gone| gone.raw_os_error() == code) => {
            access_errors::gone(stage, info.id.pid, &info.name)
        }
        _ => access_errors::refused(info.id.pid, attempt, error),
    }
}
