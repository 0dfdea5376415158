//! What is copied while the target stands still: pages with a content of their own, and nothing that a file has.

use std::io::IoSliceMut;
use std::time::{Duration, Instant};

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use crate::addr::Addr;
use crate::error::{Error, Stage};
use crate::info::Mapping;
use crate::memory::{BufferFull, CopyBuffer, CopyBuilder, Memory, PAGE_SIZE, ProcMem};
use crate::residence::Residence;

use super::page_map::{self, Pages};
use super::ptrace::PtraceStop;
use super::{Target, access_errors, smaps};

/// How much is read at once: the fastest on the machines that were measured.
const PIECE: usize = 1 << 20;
/// How many stretches of the target one call reads at most; the kernel's own limit is 1,024 (IOV_MAX).
const STRETCHES: usize = 256;

/// A target whose threads all stand still. Dropped, they run on.
#[derive(Debug)]
pub struct StoppedProcess<'t> {
    pub(super) target: &'t Target,
    pub(super) stop: PtraceStop,
    pub(super) memory: ProcMem,
    pub(super) mappings: Vec<Mapping>,
    pub(super) maps: page_map::PageMap,
}

/// What was copied, before it is made readable; that takes time, which the target need not stand still for.
#[derive(Debug)]
pub(super) struct Copied {
    pub filling: CopyBuilder,
    pub mappings: Vec<Mapping>,
    pub lost_pages: u64,
}

/// Why nothing was copied.
#[derive(Debug)]
pub(super) enum CopyError {
    /// It is more than there is room for.
    BufferFull,
    /// It has ended.
    Exited,
}

impl StoppedProcess<'_> {
    /// Its memory, to look at single words before deciding to copy.
    #[must_use]
    pub const fn memory(&self) -> &ProcMem {
        &self.memory
    }

    /// How many threads stand still.
    #[must_use]
    pub const fn threads(&self) -> usize {
        self.stop.threads
    }

    /// Where its pages are, if the kernel says so.
    #[must_use]
    pub fn read_residence(&self) -> Option<Residence> {
        smaps::read_residence(self.target.info.id.pid, &self.memory)
    }

    /// Lets it run on.
    #[must_use]
    pub fn resume(self) -> Duration {
        let begun = self.stop.begun;
        self.stop.release().saturating_duration_since(begun)
    }

    /// Copies into `buffers`, which are taken, or given back with an error.
    pub(super) fn copy(&mut self, buffers: &mut CopyBuffer) -> Result<Copied, CopyError> {
        let begun = Instant::now();
        let mut copying = Copier {
            pid: self.target.info.id.pid,
            memory: &self.memory,
            filling: CopyBuilder::new(std::mem::take(buffers)),
            batch: Vec::with_capacity(STRETCHES),
            batched: 0,
            one_call: true,
            lost_pages: 0,
        };
        for mapping in self.mappings.iter().filter(|mapping| page_map::is_wanted(mapping)) {
            let files_too = !self.target.has_file(mapping);
            if self.maps.scan(mapping, files_too, |pages| copying.pages(pages)).is_err() {
                *buffers = copying.filling.into_buffers();
                return Err(CopyError::BufferFull);
            }
        }
        copying.flush();
        let (lost_pages, pages) = (copying.lost_pages, copying.filling.used_bytes() / PAGE_SIZE);
        if lost_pages > 0 && lost_pages == pages as u64 {
            *buffers = copying.filling.into_buffers();
            return Err(CopyError::Exited);
        }
        self.target.note_rate(copying.filling.used_bytes(), begun.elapsed());
        Ok(Copied { filling: copying.filling, mappings: std::mem::take(&mut self.mappings), lost_pages })
    }
}

struct Copier<'m> {
    pid: u32,
    memory: &'m ProcMem,
    filling: CopyBuilder,
    /// Pages that have a place, and are read together.
    batch: Vec<RemoteIoVec>,
    batched: usize,
    /// Whether process_vm_readv(2) works here.
    one_call: bool,
    lost_pages: u64,
}

impl Copier<'_> {
    fn pages(&mut self, pages: Pages) -> Result<(), BufferFull> {
        let mut at = pages.at;
        let mut left = pages.count;
        while left > 0 {
            let count = left.min(PIECE / PAGE_SIZE);
            // The call is faster, but parts pages that are shared with a fork: each would have its own from then on.
            if pages.exclusive && self.one_call {
                if self.batch.len() >= STRETCHES || self.batched + count * PAGE_SIZE > PIECE {
                    self.flush();
                }
                self.filling.pages(at, count)?;
                self.batch.push(RemoteIoVec { base: at.0 as usize, len: count * PAGE_SIZE });
                self.batched += count * PAGE_SIZE;
            } else {
                self.flush();
                let into = self.filling.pages(at, count)?;
                self.lost_pages += read_pages(self.memory, at, into);
            }
            at = at.plus((count * PAGE_SIZE) as u64);
            left -= count;
        }
        Ok(())
    }

    /// Reads what is waiting.
    fn flush(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        let length = std::mem::take(&mut self.batched);
        let Some(into) = self.filling.last_mut(length).filter(|into| !into.is_empty()) else { return };
        let read =
            process_vm_readv(Pid::from_raw(self.pid.cast_signed()), &mut [IoSliceMut::new(into)], &batch);
        if read != Ok(length) {
            // Forbidden by a container's seccomp profile, or pages that cannot be had: the other way finds out which.
            self.one_call = read.is_ok();
            let mut rest = into;
            for stretch in &batch {
                let Some((part, behind)) = std::mem::take(&mut rest).split_at_mut_checked(stretch.len) else {
                    break;
                };
                self.lost_pages += read_pages(self.memory, Addr(stretch.base as u64), part);
                rest = behind;
            }
        }
        self.batch = batch;
        self.batch.clear();
    }
}

/// Reads whole pages; those that cannot be read become zeros. How many these are.
fn read_pages(memory: &ProcMem, at: Addr, into: &mut [u8]) -> u64 {
    if memory.read(at, into).is_ok() {
        return 0;
    }
    let mut lost = 0;
    for (page, number) in into.chunks_mut(PAGE_SIZE).zip(0_u64..) {
        if memory.read(at.plus(number * PAGE_SIZE as u64), page).is_err() {
            page.fill(0);
            lost += 1;
        }
    }
    lost
}

impl CopyError {
    /// As users are told.
    pub fn describe(&self, target: &Target) -> Error {
        let (pid, name) = (target.info.id.pid, &target.info.name);
        match self {
            Self::Exited => access_errors::gone(Stage::COPY, pid, name),
            Self::BufferFull => Error::new(
                Stage::COPY,
                format!(
                    "{}: grew faster than room for its copy could be made",
                    access_errors::named(pid, name)
                ),
                "try again, or read without a stop (`--no-stop`)",
            ),
        }
    }
}
