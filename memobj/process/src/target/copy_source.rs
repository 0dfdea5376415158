//! Copying a process that does not run: its own pages, and nothing that its files hold.

use std::fs::{self, File};
use std::io;
use std::ops::Range;

use super::mapped_files::MappedFiles;
use super::page_choice::PageChoice;
use super::page_map::{OwnPages, PageMap, is_copied};
use super::{procfs, smaps};
use crate::addr::Addr;
use crate::info::{Mapping, MappingKind};
use crate::memory::{
    BufferFull, CopyBuffer, CopyBuilder, EarlierCopy, Memory, PAGE_SIZE, ProcMem, read_scattered,
};
use crate::residence::Residence;

/// Bytes of one read: the fastest size on the machines that were measured.
const CHUNK: usize = 1 << 20;
/// Ranges of one read; the kernel's limit is 1,024 (IOV_MAX).
const MAX_PARTS: usize = 256;

/// Why a copy has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CopyError {
    /// The process has more memory than the buffer.
    BufferFull,
    /// The caller did not want it any more, after this number of bytes.
    Abandoned(usize),
}

impl From<BufferFull> for CopyError {
    fn from(_: BufferFull) -> Self {
        Self::BufferFull
    }
}

/// The memory of a process that does not run, with its mappings at that time.
#[derive(Debug)]
pub(super) struct CopySource {
    pid: u32,
    memory: ProcMem,
    mappings: Vec<Mapping>,
    page_map: PageMap,
    pages: PageChoice,
}

/// A copy that is not indexed yet: that takes time, and the process may run meanwhile.
#[derive(Debug)]
pub(super) struct Copied {
    pub builder: CopyBuilder,
    pub mappings: Vec<Mapping>,
    /// Pages that could not be read: zeros in the copy.
    pub unreadable: Vec<Addr>,
}

impl Copied {
    pub fn lost_pages(&self) -> u64 {
        self.unreadable.len() as u64
    }
}

/// Which pages are copied.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pages<'a> {
    /// All.
    All,
    /// Those whose writes are tracked, and that have not been written to.
    Tracked,
    /// Those that have been written to since the earlier copy in the same buffer, which the others are taken over from.
    Written(&'a EarlierCopy),
}

impl CopySource {
    /// Opens the memory of a process, and reads the list of its mappings. Its copy leaves out what `pages` does.
    ///
    /// # Errors
    /// Why one of the two is impossible.
    pub fn open(pid: u32, page_map: PageMap, pages: PageChoice) -> io::Result<Self> {
        let memory = File::open(format!("/proc/{pid}/mem"))?;
        let mappings = procfs::parse_maps(&fs::read(format!("/proc/{pid}/maps"))?);
        Ok(Self { pid, memory: ProcMem::new(memory, readable(&mappings)), mappings, page_map, pages })
    }

    /// Its memory, to inspect single values before a copy.
    pub const fn memory(&self) -> &ProcMem {
        &self.memory
    }

    /// Reads where its pages are; `None` where the kernel does not show it.
    pub fn read_residence(&self) -> Option<Residence> {
        smaps::read_residence(self.pid, &self.memory)
    }

    /// Copies pages into `buffer`, which is taken, or given back with an error. Pages of the mapped `files` are left out.
    /// `goes_on` is asked before each piece of at most a mebibyte, whether the copy is still wanted.
    pub fn copy(
        &mut self,
        buffer: &mut CopyBuffer,
        which: Pages<'_>,
        files: &MappedFiles,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<Copied, CopyError> {
        let bytes = std::mem::take(buffer);
        let builder = match which {
            Pages::Written(earlier) => CopyBuilder::behind(earlier, bytes),
            Pages::All | Pages::Tracked => CopyBuilder::new(bytes),
        };
        let mut copier = Copier {
            pid: self.pid,
            memory: &self.memory,
            builder,
            batch: Vec::with_capacity(MAX_PARTS),
            batch_bytes: 0,
            can_batch: true,
            unreadable: Vec::new(),
        };
        let mut copied = Ok(());
        for mapping in self.mappings.iter().filter(|mapping| is_copied(mapping)) {
            for part in self.pages.wanted(&mapping.range) {
                self.page_map.scan(mapping, &part, files.part(mapping).is_none(), |pages| {
                    if copied.is_ok() {
                        copied = copier.choose(which, pages, goes_on);
                    }
                });
                if let Err(error) = copied {
                    *buffer = copier.builder.into_buffers();
                    return Err(error);
                }
            }
        }
        copier.flush();
        let Copier { builder, unreadable, .. } = copier;
        Ok(Copied { builder, mappings: std::mem::take(&mut self.mappings), unreadable })
    }
}

/// The mappings that can be read.
pub(super) fn readable(mappings: &[Mapping]) -> Vec<Range<Addr>> {
    let is_readable = |mapping: &&Mapping| mapping.access.read && mapping.kind() != MappingKind::Kernel;
    mappings.iter().filter(is_readable).map(|mapping| mapping.range.clone()).collect()
}

struct Copier<'m> {
    pid: u32,
    memory: &'m ProcMem,
    builder: CopyBuilder,
    /// Ranges that have a place in the buffer and are read together.
    batch: Vec<(Addr, usize)>,
    batch_bytes: usize,
    /// Whether process_vm_readv(2) works here.
    can_batch: bool,
    unreadable: Vec<Addr>,
}

impl Copier<'_> {
    /// Copies those of some pages that are wanted, and takes over those that the earlier copy has.
    fn choose(
        &mut self,
        which: Pages<'_>,
        pages: OwnPages,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<(), CopyError> {
        match which {
            Pages::Tracked if !pages.unwritten => Ok(()),
            Pages::Written(earlier) if pages.unwritten => {
                let missing = self.builder.reuse(earlier, pages.at, pages.count);
                missing
                    .into_iter()
                    .try_for_each(|(at, count)| self.pages(OwnPages { at, count, ..pages }, goes_on))
            }
            Pages::All | Pages::Tracked | Pages::Written(_) => self.pages(pages, goes_on),
        }
    }

    fn pages(&mut self, pages: OwnPages, goes_on: &mut dyn FnMut() -> bool) -> Result<(), CopyError> {
        let mut at = pages.at;
        let mut left = pages.count;
        while left > 0 {
            let count = left.min(CHUNK / PAGE_SIZE);
            let length = count * PAGE_SIZE;
            if !goes_on() {
                return Err(CopyError::Abandoned(self.builder.used_bytes()));
            }
            // Batches are faster, but give the process its own copy of each page that it shares with a fork.
            if pages.exclusive && self.can_batch {
                if self.batch.len() >= MAX_PARTS || self.batch_bytes + length > CHUNK {
                    self.flush();
                }
                self.builder.pages(at, count)?;
                self.batch.push((at, length));
                self.batch_bytes += length;
            } else {
                self.flush();
                read_pages(self.memory, at, self.builder.pages(at, count)?, &mut self.unreadable);
            }
            at = at.plus(length as u64);
            left -= count;
        }
        Ok(())
    }

    /// Reads the batch.
    fn flush(&mut self) {
        let length = std::mem::take(&mut self.batch_bytes);
        let Some(mut into) = self.builder.last_mut(length).filter(|into| !into.is_empty()) else { return };
        let read = read_scattered(self.pid, &self.batch, into);
        if !read.as_ref().is_ok_and(|&read| read == length) {
            // Forbidden by a container's seccomp profile, or some pages are unreadable: single reads find out which.
            self.can_batch = read.is_ok();
            for &(at, length) in &self.batch {
                let Some((part, rest)) = into.split_at_mut_checked(length) else { break };
                read_pages(self.memory, at, part, &mut self.unreadable);
                into = rest;
            }
        }
        self.batch.clear();
    }
}

/// Reads whole pages. Replaces unreadable ones by zeros, and adds them to `unreadable`.
fn read_pages(memory: &ProcMem, at: Addr, into: &mut [u8], unreadable: &mut Vec<Addr>) {
    if memory.read(at, into).is_ok() {
        return;
    }
    for (at, page) in at.page_parts(into) {
        if memory.read(at, page).is_err() {
            page.fill(0);
            unreadable.push(at);
        }
    }
}
